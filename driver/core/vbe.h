/* SPDX-License-Identifier: GPL-2.0 */
/*
 * vbe core: what a device, a queue, a window, a backend and an event are.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * Names no hypervisor and no register. Providers and transports include this
 * header; the core reaches them through their ops only.
 *
 * Lock order, outermost first:
 *
 *	a provider's own locks, if it calls the core with them held
 *	vbe_device.fe_lock	(mutex)  one FE control operation at a time; held
 *				while a reset waits for the backend
 *	vbe_device.lock		(mutex)  life cycle: state, client, set-up, eventfds
 *	  vbe_guest.lock	(mutex)  which device has which addresses
 *	  mmap_lock		(the backend's mm)
 *	vbe_events.read_lock	(mutex)  readers of one event queue; no other inside
 *				but vbe_events.lock
 *	vbe_device.mem_sem	(rwsem)  windows, and whether a client is revoked
 *	vbe_client.events.lock	(spin)
 *	vbe_device.state_lock	(spin, irq)  FE-visible bytes: status, config
 *	vbe_queue.kick_lock	(spin, irq)  kick eventfd and latch
 *	  eventfd wqh.lock	(of a kick eventfd)
 *
 * A call runs the other way round: inside wqh.lock of a call eventfd. From there
 * only vbe_queue_call() and a provider's inject() run, and they take no lock
 * under which anybody kicks. User memory is never touched under mem_sem.
 */
#ifndef VBE_CORE_H
#define VBE_CORE_H

#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/eventfd.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/netlink.h>
#include <linux/poll.h>
#include <linux/rwsem.h>
#include <linux/seqlock.h>
#include <linux/spinlock.h>
#include <linux/uidgid.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include <linux/vbe.h>

#include "compat.h"
#include "ops.h"

#define VBE_MAX_DEVICES		1024
#define VBE_MAX_WINDOWS		64
#define VBE_EVENT_SLOTS		64
#define VBE_RESET_TIMEOUT_MS	5000	/* default; 1 ms .. 10 min may be set */
#define VBE_RESET_TIMEOUT_MAX_MS (10 * 60 * 1000)

/* ---- objects ----------------------------------------------------------- */

/**
 * struct vbe_why - errno and sentence of the last failure on an fd
 * @err: negative errno
 * @text: string constant, or NULL. Written without a lock: pointers are atomic
 */
struct vbe_why {
	int err;
	const char *text;
};

static inline int vbe_fail(struct vbe_why *why, int err, const char *text)
{
	WRITE_ONCE(why->text, text);
	WRITE_ONCE(why->err, err);
	return err;
}

/**
 * struct vbe_window_ops - a window whose pages come on demand
 * @get: pages @first.. of the window, up to @n of them, each with a reference for the
 *	caller. Return: how many, at least 1; -ENXIO: they are not there (any more), and
 *	a backend that touches them gets scratch memory; any other error is one of the
 *	backend's access. Process context, mem_sem held for reading.
 * @busy: may I/O of a backend that has ended still be in flight to or from it? With
 *	@give_up, whoever asks has waited long enough: forget it, the answer is no.
 *	Process context, mem_sem held for reading. Optional
 * @insert: instead of @get, where there is no struct page of this kernel's to be had: put
 *	pages @first.. of the window, @n of them, into the page table of @vma (which has
 *	VM_PFNMAP and VM_IO) from @va on. Page @first + @want must be there afterwards;
 *	others that cannot be had are left out. Return: how many were put in, at least 1;
 *	-EAGAIN: not now, it will be asked again in a moment; or errors as of @get. In a
 *	page fault, mem_sem held for reading; other threads may insert the same pages at
 *	the same time. The entries are never moved or changed, only emptied. With @write
 *	page @want is being written to, perhaps through an entry that does not allow it:
 *	only windows with VBE_WINDOW_F_TRANSIENT insert such; where it shall not be
 *	written, -ENXIO, and the entry has gone.
 * @map: the backend is going to touch pages @first.. of the window, @n of them. Return: 0;
 *	errors as of @insert. Process context, mem_sem held for reading. Optional
 * @unmap: give back those of pages @first.. of the window, @n of them, that are mapped,
 *	after they, and scratch memory in their place, have left all page tables. For
 *	windows with VBE_WINDOW_F_TRANSIENT. Process context, mem_sem held for reading or
 *	writing. Cannot fail.
 * @end: the attachment that mappings given to @insert were of has ended, all was unmapped,
 *	and their address space goes. Process context, mem_sem held for writing. Optional.
 *	Cannot fail.
 * @copy: with @insert, or alone for a window of class "copy": @len bytes at FE address
 *	@addr, within one page, to or from @buf, which is of the linear map and within one
 *	page, too. Return: 0, or errors as of @get. Process context, mem_sem held for
 *	reading.
 */
struct vbe_window_ops {
	long (*get)(struct vbe_window *win, unsigned long first, unsigned long n, bool write,
		    struct page **pages);
	bool (*busy)(struct vbe_window *win, bool give_up);
	long (*insert)(struct vbe_window *win, struct vm_area_struct *vma, unsigned long va,
		       unsigned long first, unsigned long n, unsigned long want, bool write);
	int (*map)(struct vbe_window *win, unsigned long first, unsigned long n, bool write);
	void (*unmap)(struct vbe_window *win, unsigned long first, unsigned long n);
	void (*end)(struct vbe_window *win);
	int (*copy)(struct vbe_window *win, u64 addr, void *buf, u32 len, bool to_fe);
};

/**
 * struct vbe_window - a range of FE addresses that the backend may reach
 * @fe_addr: first FE address, page aligned; vbe_mmap_offset() says what to mmap
 * @len: bytes, whole pages
 * @mem_class: &enum vbe_mem_class
 * @flags: VBE_WINDOW_F_*
 * @pages: len / PAGE_SIZE pages, each with one reference owned by whoever added the
 *	window; VBE_MEM_PINNED: any further one is a mapping or DMA of a backend
 * @ops: instead of @pages: they come on demand
 * @file: with @ops: the file whose pages they are, from @file_offset on. Mappings of the
 *	window then count as mappings of it, so that what its owner truncates or punches
 *	out leaves the backends' page tables, too
 * @file_offset: bytes, page aligned
 * @priv: its owner's
 * @guard: VBE_WINDOW_F_GUARDED: bitmap of pages that a backend may read but not
 *	write; under mem_sem, changed by vbe_window_guard()
 *
 * Owned by who adds it (a provider; the core for the in-flight area), who must
 * keep it until vbe_window_del() has returned.
 */
struct vbe_window {
	u64 fe_addr;
	u64 len;
	u32 mem_class;
	u32 flags;
	struct page **pages;
	const struct vbe_window_ops *ops;
	struct file *file;
	u64 file_offset;
	void *priv;
	unsigned long *guard;
};

/**
 * struct vbe_hook_ops - what runs when an eventfd is written, or closed
 * @fn: @count was written. Called inside the eventfd's wake-up, wqh.lock held and
 *	interrupts off, with @nested set: neither FE driver code nor eventfd_signal()
 *	may run in it, and no lock may be taken under which anybody signals. Or from
 *	vbe_hook_new(), for a count that is pending, with @nested clear.
 * @gone: the last fd of the eventfd was closed. Called once, from a work item. Takes
 *	the lock under which the hook is freed, looks at @hook->freed, and frees it if
 *	nobody has. Optional: a hook that nobody can trigger any more does no harm.
 */
struct vbe_hook_ops {
	void (*fn)(struct vbe_hook *hook, u64 count, bool nested);
	void (*gone)(struct vbe_hook *hook);
};

/**
 * struct vbe_hook - a function that runs when an eventfd is written (irqfd)
 * @ops: theirs
 * @owner: theirs; must outlive a flush of @wq after vbe_hook_free()
 * @arg: theirs; looked at by nobody once vbe_hook_free() has returned
 * @freed: vbe_hook_free() was called
 * @wq: where @ops->gone runs
 * @ctx: eventfd, reference held until freed
 * @wqh: the eventfd's wait queue
 * @wait: our entry in it
 * @pt: used once, to find that wait queue
 * @hup: calls @ops->gone; holds a reference while queued
 * @ref: one until freed, one for @hup while queued
 * @error: from hooking @wait
 *
 * See hook.c for the life cycle.
 */
struct vbe_hook {
	const struct vbe_hook_ops *ops;
	void *owner;
	void *arg;
	bool freed;
	struct workqueue_struct *wq;
	struct eventfd_ctx *ctx;
	wait_queue_head_t *wqh;
	wait_queue_entry_t wait;
	poll_table pt;
	struct work_struct hup;
	refcount_t ref;
	int error;
};

/**
 * struct vbe_queue_stats - counters since the device was made
 * @kicks: kicks by the FE
 * @calls: interrupts asked for by backends
 * @latched: kicks kept because no eventfd was attached
 * @coalesced: calls merged into one interrupt
 * @spurious: calls while the queue was not live, not delivered
 */
struct vbe_queue_stats {
	atomic64_t kicks;
	atomic64_t calls;
	atomic64_t latched;
	atomic64_t coalesced;
	atomic64_t spurious;
};

/**
 * struct vbe_queue - one virtqueue as the core knows it
 * @dev: owner
 * @index: number
 * @max_size: set at SETUP
 * @num: entries chosen by the driver
 * @enabled: by the driver. Written under fe_lock, read anywhere
 * @desc: FE address of the descriptor area
 * @driver: FE address of the driver area
 * @device: FE address of the device area
 * @kick_lock: protects @kick_ctx and @kick_latched
 * @kick_ctx: eventfd to signal, reference held, or NULL
 * @kick_latched: a kick came while @kick_ctx was NULL
 * @kick_work: signals where eventfd_signal() is not allowed
 * @fe_file: eventfd that the FE's side kicks by itself, or NULL; under dev->lock
 * @fe_ctx: its context; @kick_ctx == @fe_ctx when the backend waits on it
 * @fe_hook: carries its kicks to @kick_ctx where the backend does not; under dev->lock
 * @base: where a backend begins, see &struct vbe_queue_info
 * @call: hook of the call eventfd, or NULL; under dev->lock
 * @stats: counters
 */
struct vbe_queue {
	struct vbe_device *dev;
	u32 index;
	u32 max_size;
	u32 num;
	bool enabled;
	u64 desc;
	u64 driver;
	u64 device;

	spinlock_t kick_lock ____cacheline_aligned_in_smp;
	struct eventfd_ctx *kick_ctx;
	bool kick_latched;
	struct work_struct kick_work;
	struct file *fe_file;
	struct eventfd_ctx *fe_ctx;
	struct vbe_hook *fe_hook;
	u32 base;

	struct vbe_hook *call;
	struct vbe_queue_stats stats;
};

/**
 * struct vbe_dev_stats - counters since the device was made
 * @accesses: control accesses by the FE (registers, config, messages)
 * @maps: pages put into backend mappings
 * @faults: page faults on them
 * @copies: MEM_COPY entries
 * @revokes: attachments revoked
 * @bounded_resets: resets that the kernel completed since the backend did not
 * @losses: backends that went without OFFLINE
 * @events_lost: event records dropped on full queues
 * @unanswered: accesses that no emulator answered, or not in time
 */
struct vbe_dev_stats {
	atomic64_t accesses;
	atomic64_t maps;
	atomic64_t faults;
	atomic64_t copies;
	atomic64_t revokes;
	atomic64_t bounded_resets;
	atomic64_t losses;
	atomic64_t events_lost;
	atomic64_t unanswered;
};

/**
 * struct vbe_events - the bounded event queue of one client
 * @read_lock: one reader at a time, who takes a record after it has been copied
 * @lock: protects @ring, @head, @count, @dropped
 * @wait: readers and pollers
 * @ring: records; the last VBE_EVENT_RESERVED slots are for held and final ones
 * @head: next to read
 * @count: records in @ring
 * @dropped: records dropped since the last LOST record was read
 */
struct vbe_events {
	struct mutex read_lock;
	spinlock_t lock;
	wait_queue_head_t wait;
	struct vbe_event ring[VBE_EVENT_SLOTS];
	u32 head;
	u32 count;
	u64 dropped;
};

#define VBE_EVENT_RESERVED	8

/**
 * struct vbe_client - one backend's attachment to a device
 * @ref: the device file and each MEM_FD file hold one
 * @dev: reference held
 * @inode: its mapping covers all VMAs of this attachment, for revocation, but those of
 *	windows that are a file's
 * @file_maps: number of the latter
 * @revoked: under dev->mem_sem (write), read anywhere: mappings are scratch and
 *	every ioctl is ENODEV
 * @over: no event will be posted any more
 * @admin: its opener had CAP_SYS_ADMIN
 * @setup_done: SETUP was done by this client; under dev->lock
 * @why: last error
 * @events: event queue
 * @pid: of the opener, for show
 * @comm: of the opener, for show
 */
struct vbe_client {
	struct kref ref;
	struct vbe_device *dev;
	struct inode *inode;
	atomic_t file_maps;
	bool revoked;
	bool over;
	bool admin;
	bool setup_done;
	struct vbe_why why;
	struct vbe_events events;
	pid_t pid;
	char comm[TASK_COMM_LEN];
};

/**
 * struct vbe_held - the one FE action that waits for the backend
 * @type: VBE_EVENT_FEATURES, VBE_EVENT_RESET or VBE_EVENT_QUEUE_STOP
 * @cookie: 0 when nothing waits
 * @result: the backend's answer
 * @data: what came with it
 * @answered: it has answered (false: it went away)
 * @done: completed by COMPLETE, or by the client's end
 *
 * All but @done under dev->lock. There is at most one, as fe_lock serialises.
 */
struct vbe_held {
	u32 type;
	u64 cookie;
	u32 result;
	u64 data;
	bool answered;
	struct completion done;
};

/**
 * struct vbe_device - one virtio device
 * @ref: the registry holds one until deletion, each client one
 * @id: in the registry; never reused while the module is loaded
 * @name: unique
 * @provider: who brings the FE; module pinned
 * @provider_priv: the provider's, valid from dev_add to dev_del
 * @transport: how the driver talks
 * @transport_priv: the transport's
 * @guest: the guest it belongs to, reference held; or NULL. Set in dev_add
 * @no_wire: it has no wired interrupt. Set in dev_add
 * @features_required: features that it must have beside those of its provider. Set in
 *	dev_add
 * @fe_users: FE operations under way that the core let in, by vbe_fe_enter()
 * @leaving: no more are let in as for a device that is there; set but while it is shown
 * @vanish: see vbe_fe_vanish()
 *
 * @fe_lock: serialises FE control operations
 * @lock: protects the life cycle: @state, @client, @params, set-up, @held
 * @state: &enum vbe_dev_state
 * @visible: shown to the FE and not hidden yet
 * @deleting: a deletion is under way, or the device is being made
 * @resetting: the driver resets it; nobody attaches meanwhile
 * @hidden: wakes who waits for !@visible
 * @client: the attached backend, no reference (its release detaches it)
 * @params: as set by the administrator
 * @held: the FE action that waits
 * @last_cookie: last cookie given out
 *
 * @virtio_id: device type; 0 before SETUP
 * @vendor_id: vendor
 * @setup_flags: VBE_SETUP_F_*
 * @features: offered
 * @driver_features: accepted by the driver; under @fe_lock, stable with FEATURES_OK
 * @features_staged: what the driver wrote before FEATURES_OK
 * @queues: n_queues; stable from SETUP until no client is attached and !@visible
 * @n_queues: number
 * @resume: the in-flight area is what a former backend left, as the provider says
 * @inflight: the in-flight area as a window at VBE_MMAP_INFLIGHT
 * @inflight_size: bytes per queue
 * @config_dirty: SETUP by a new backend changed the config; interrupt at ONLINE
 * @setup_policy: loss policy in force
 *
 * @state_lock: protects @status, @config and @config_generation
 * @status: virtio device status
 * @config: config_size bytes
 * @config_size: bytes
 * @config_generation: counts changes by backends
 *
 * @mem_sem: protects @windows, @n_windows and vbe_client.revoked
 * @windows: what backends may reach
 * @n_windows: number
 * @event_seq: last event number
 * @stats: counters
 * @wq: one per device: HUPs, deferred kicks
 */
struct vbe_device {
	struct kref ref;
	u32 id;
	char name[VBE_NAME_MAX];
	struct vbe_provider_ops *provider;
	void *provider_priv;
	const struct vbe_transport_ops *transport;
	void *transport_priv;
	struct vbe_guest *guest;
	bool no_wire;
	u64 features_required;
	atomic_t fe_users;
	bool leaving;
	struct work_struct vanish;

	struct mutex fe_lock;
	struct mutex lock;
	enum vbe_dev_state state;
	bool visible;
	bool deleting;
	bool resetting;
	wait_queue_head_t hidden;
	struct vbe_client *client;
	struct vbe_dev_params params;
	struct vbe_held held;
	u64 last_cookie;

	u32 virtio_id;
	u32 vendor_id;
	u32 setup_flags;
	u64 features;
	u64 driver_features;
	u64 features_staged;
	struct vbe_queue *queues;
	u32 n_queues;
	bool resume;
	struct vbe_window inflight;
	u32 inflight_size;
	bool config_dirty;
	u32 setup_policy;

	spinlock_t state_lock;
	u8 status;
	u8 *config;
	u32 config_size;
	u32 config_generation;

	struct rw_semaphore mem_sem;
	struct vbe_window *windows[VBE_MAX_WINDOWS];
	u32 n_windows;

	atomic64_t event_seq;
	struct vbe_dev_stats stats;
	struct workqueue_struct *wq;
};

/**
 * struct vbe_region - a range of addresses whose accesses go to a device
 * @dev: device
 * @index: the transport's number of it
 * @space: &enum vbe_space
 * @base: first address
 * @len: bytes, not 0
 */
struct vbe_region {
	struct vbe_device *dev;
	u32 index;
	u32 space;
	u64 base;
	u64 len;
};

/**
 * struct vbe_region_map - the regions of a guest
 * @rcu: frees it
 * @n: number
 * @max: room for
 * @regions: sorted by space and base; they do not overlap
 *
 * Changed in place, under the guest's @seq; replaced only to grow, so that taking a
 * region away cannot fail.
 */
struct vbe_region_map {
	struct rcu_head rcu;
	u32 n;
	u32 max;
	struct vbe_region regions[];
};

#define VBE_MAX_REGIONS		1024	/* of one guest */

/**
 * struct vbe_guest - one guest of a provider that has many
 * @ref: its provider holds one, each of its devices one
 * @name: for show
 * @lock: serialises changes of @map; taken inside dev->lock or none of the core's
 * @seq: odd while @map changes, which is with interrupts off
 * @map: read under RCU and @seq
 */
struct vbe_guest {
	struct kref ref;
	char name[VBE_LABEL_MAX];
	struct mutex lock;
	seqcount_t seq;
	struct vbe_region_map __rcu *map;
};

/* ---- guest.c: from an address to a device ------------------------------------ */

struct vbe_guest *vbe_guest_new(const char *name);
void vbe_guest_put(struct vbe_guest *guest);
void vbe_guest_get(struct vbe_guest *guest);
int vbe_region_map(struct vbe_device *dev, u32 index, u32 space, u64 base, u64 len);
void vbe_region_unmap(struct vbe_device *dev, u32 index);
u64 vbe_region_base(struct vbe_device *dev, u32 index);
void vbe_regions_drop(struct vbe_device *dev);
int vbe_guest_access_atomic(struct vbe_guest *guest, u32 space, u64 addr,
			    struct vbe_access *a);
int vbe_guest_access(struct vbe_guest *guest, u32 space, u64 addr, struct vbe_access *a);
bool vbe_fe_enter(struct vbe_device *dev);
void vbe_fe_leave(struct vbe_device *dev);
void vbe_fe_close(struct vbe_device *dev);
void vbe_fe_vanish(struct vbe_device *dev, bool force);
void vbe_fe_vanish_work(struct work_struct *work);
void vbe_device_eoi(struct vbe_device *dev, bool nested);

/* ---- hook.c: eventfds that call into the kernel ----------------------------------- */

struct vbe_hook *vbe_hook_new(const struct vbe_hook_ops *ops, struct file *file,
			      struct workqueue_struct *wq, void *owner, void *arg);
void vbe_hook_free(struct vbe_hook *hook);

/* ---- device.c: the registry and the life cycle --------------------------- */

int vbe_device_create(const struct vbe_dev_params *p, struct netlink_ext_ack *extack);
int vbe_device_delete(struct vbe_device *dev, struct netlink_ext_ack *extack);
int vbe_device_set(struct vbe_device *dev, const struct vbe_dev_params *p,
		   struct netlink_ext_ack *extack);
int vbe_device_resize(struct vbe_device *dev, struct netlink_ext_ack *extack);
bool vbe_name_valid(const char *name);
struct vbe_device *vbe_device_find(const char *name);
struct vbe_device *vbe_device_next(u32 min_id);
void vbe_device_put(struct vbe_device *dev);
const char *vbe_device_guest(const struct vbe_device *dev);
void vbe_device_hidden(struct vbe_device *dev);
void vbe_device_set_state(struct vbe_device *dev, enum vbe_dev_state state);
bool vbe_device_may_open(struct vbe_device *dev);

/* ---- provider.c: who brings front-ends ------------------------------------- */

/**
 * struct vbe_provider_info - a provider, for show
 * @name: provider name
 * @description: one line
 * @transport: default transport
 */
struct vbe_provider_info {
	char name[VBE_LABEL_MAX];
	char description[96];
	char transport[VBE_LABEL_MAX];
};

bool vbe_provider_at(u32 index, struct vbe_provider_info *info);
struct vbe_provider_ops *vbe_provider_get(const char *name);
struct vbe_provider_ops *vbe_provider_get_guest_maker(void);
void vbe_provider_put(struct vbe_provider_ops *ops);
const struct vbe_transport_ops *vbe_transport_find(const char *name);

/* ---- backend.c: attach, set-up, online, loss ------------------------------ */

int vbe_backend_attach(struct vbe_device *dev, struct vbe_client *c, bool nowait,
		       struct vbe_why *why);
void vbe_backend_detach(struct vbe_client *c);
void vbe_backend_revoke(struct vbe_device *dev);
int vbe_backend_setup(struct vbe_client *c, const struct vbe_dev_setup *s);
int vbe_backend_online(struct vbe_client *c);
int vbe_backend_offline(struct vbe_client *c);
void vbe_setup_free(struct vbe_device *dev);

/* ---- fe.c: what a transport asks on behalf of the driver ------------------- */

u64 vbe_fe_features(struct vbe_device *dev);
u64 vbe_fe_features_required(const struct vbe_device *dev);
int vbe_fe_set_features(struct vbe_device *dev, u64 features);
u8 vbe_fe_status(struct vbe_device *dev);
int vbe_fe_set_status(struct vbe_device *dev, u8 status);
void vbe_fe_reset(struct vbe_device *dev);
int vbe_fe_queue_stop(struct vbe_device *dev, u32 index, u32 *base);
int vbe_fe_config_read(struct vbe_device *dev, u32 offset, void *buf, u32 len);
int vbe_fe_config_write(struct vbe_device *dev, u32 offset, const void *buf, u32 len);
u32 vbe_fe_config_generation(struct vbe_device *dev);
int vbe_fe_queue_set(struct vbe_device *dev, u32 index, u32 num, u64 desc, u64 driver,
		     u64 device);
int vbe_fe_queue_enable(struct vbe_device *dev, u32 index, bool on);
struct vbe_queue *vbe_fe_queue(struct vbe_device *dev, u32 index);
int vbe_held_complete(struct vbe_client *c, const struct vbe_complete *answer);

/* ---- queue.c: kicks ---------------------------------------------------- */

void vbe_queue_init(struct vbe_queue *q, struct vbe_device *dev, u32 index, u32 max_size);
void vbe_queue_kick(struct vbe_queue *q);
int vbe_queue_set_kick(struct vbe_queue *q, struct eventfd_ctx *ctx);
void vbe_queue_stop(struct vbe_queue *q);
bool vbe_queue_kick_is_direct(struct vbe_queue *q);
int vbe_queue_set_fe_kick(struct vbe_queue *q, struct file *file);
int vbe_queue_adopt_kick(struct vbe_queue *q, struct vbe_new_fd *nfd, struct vbe_why *why);

/* ---- call.c: calls ------------------------------------------------------ */

void vbe_queue_call(struct vbe_queue *q, bool nested);
int vbe_queue_set_call(struct vbe_queue *q, int fd, struct vbe_why *why);
void vbe_queue_drop_call(struct vbe_queue *q);
void vbe_device_config_changed(struct vbe_device *dev);

/* ---- event.c --------------------------------------------------------------- */

void vbe_events_init(struct vbe_events *ev);
void vbe_event_post(struct vbe_device *dev, struct vbe_client *c, u32 type, u32 queue,
		    u64 cookie, u64 data0, u64 data1);
bool vbe_event_post_access(struct vbe_device *dev, struct vbe_client *c, u64 cookie,
			   const u64 data[3]);
void vbe_events_end(struct vbe_client *c);
ssize_t vbe_events_read(struct vbe_client *c, struct iov_iter *to, bool nonblock);
__poll_t vbe_events_poll(struct vbe_client *c, struct file *file, poll_table *pt);

/* ---- window.c: memory ---------------------------------------------------------- */

int vbe_window_add(struct vbe_device *dev, struct vbe_window *win);
void vbe_window_del(struct vbe_device *dev, struct vbe_window *win);
void vbe_window_guard(struct vbe_device *dev, struct vbe_window *win, unsigned long first,
		      unsigned long n, bool guard);
void vbe_window_invalidate(struct vbe_device *dev, struct vbe_window *win);
struct vbe_window *vbe_window_find(struct vbe_device *dev, u64 fe_addr, u64 len);
bool vbe_window_contains(struct vbe_device *dev, u64 fe_addr, u64 len);
struct vbe_window *vbe_window_reachable(struct vbe_device *dev, u64 addr, u64 len);
bool vbe_window_busy(struct vbe_window *win, bool give_up);
bool vbe_device_mem_busy(struct vbe_device *dev, bool give_up);
struct address_space *vbe_window_mapping(struct vbe_client *c, const struct vbe_window *win);
u64 vbe_mmap_offset(u64 addr);
u64 vbe_mmap_addr(u64 offset);
u64 vbe_window_offset(const struct vbe_window *win, u64 addr);
void vbe_window_zap(struct vbe_client *c, const struct vbe_window *win, u64 addr, u64 len);
void vbe_inflight_replace(struct vbe_device *dev, struct page **pages);
bool vbe_page_guarded(const struct vbe_window *win, u64 addr);
bool vbe_pages_charge(unsigned long n);
void vbe_pages_uncharge(unsigned long n);
struct page **vbe_pages_alloc(unsigned long n);
void vbe_pages_free(struct page **pages, unsigned long n);
void vbe_client_revoke_mem(struct vbe_client *c);
int vbe_mem_copy(struct vbe_client *c, const struct vbe_copy_entry *e, void *bounce, bool to_fe);

/* ---- range.c: memory that is given back after use --------------------------------- */

int vbe_ioctl_mem_map(void *ctx, void *arg, struct vbe_new_fd *nfd);
int vbe_ioctl_mem_unmap(void *ctx, void *arg, struct vbe_new_fd *nfd);
void vbe_windows_unmap(struct vbe_device *dev, bool end);

/* ---- map.c: memory in a backend's address space ------------------------------------ */

int vbe_client_mmap(struct vbe_client *c, struct vm_area_struct *vma, bool readonly);

/* ---- file.c, main.c: fds ------------------------------------------------------- */

struct vbe_client *vbe_client_new(struct vbe_device *dev);
void vbe_client_put(struct vbe_client *c);
int vbe_client_open_file(struct vbe_client *c, struct vbe_new_fd *nfd);
int vbe_error_text_ioctl(const struct vbe_why *why, void *arg);

/**
 * struct vbe_new_fd - an fd that an ioctl made, not installed yet
 * @fd: reserved number, or -1
 * @file: its file
 *
 * Installed only after the struct with its number has reached the caller.
 */
struct vbe_new_fd {
	int fd;
	struct file *file;
};

/**
 * struct vbe_ioctl - one row of a dispatch table
 * @cmd: ioctl number
 * @size: of the struct as this kernel knows it
 * @min: smallest struct that a caller may pass
 * @fn: the struct has been copied in, and is copied back when it returns 0
 */
struct vbe_ioctl {
	unsigned int cmd;
	u32 size;
	u32 min;
	int (*fn)(void *ctx, void *arg, struct vbe_new_fd *nfd);
};

#define VBE_IOCTL(_cmd, _struct, _last, _fn)				\
	{ .cmd = (_cmd), .size = sizeof(struct _struct),		\
	  .min = offsetofend(struct _struct, _last), .fn = (_fn) }

#define VBE_IOCTL_ARG_MAX	320

long vbe_ioctl_dispatch(const struct vbe_ioctl *table, size_t n, unsigned int cmd,
			void __user *arg, void *ctx, struct vbe_why *why);

/* ---- inode.c: an address space per attachment ------------------------------- */

struct inode *vbe_inode_new(void);
void vbe_inode_free(struct inode *inode);

/* ---- netlink.c ---------------------------------------------------------- */

enum vbe_nl_what {
	VBE_NL_NEW,
	VBE_NL_DEL,
	VBE_NL_STATE,
	VBE_NL_ATTACH,
	VBE_NL_DETACH,
	VBE_NL_LOSS,
	VBE_NL_REVOKE,
	VBE_NL_BOUNDED_RESET,
	VBE_NL_STATUS,
};

int vbe_nl_init(void);
void vbe_nl_exit(void);
/* May sleep. Takes no core lock, so it may be called with any mutex held. */
void vbe_nl_notify(struct vbe_device *dev, enum vbe_nl_what what);

#endif /* VBE_CORE_H */
