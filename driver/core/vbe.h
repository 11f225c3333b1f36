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
 *	vbe_device.fe_lock	(mutex)  one FE control operation at a time; held
 *				while a reset waits for the backend
 *	vbe_device.lock		(mutex)  life cycle: state, client, set-up, eventfds
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
#include <linux/spinlock.h>
#include <linux/uidgid.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include <linux/vbe.h>

#include "compat.h"

#define VBE_MAX_DEVICES		1024
#define VBE_MAX_WINDOWS		64
#define VBE_EVENT_SLOTS		64
#define VBE_RESET_TIMEOUT_MS	5000	/* default; 1 ms .. 10 min may be set */
#define VBE_RESET_TIMEOUT_MAX_MS (10 * 60 * 1000)

struct vbe_device;
struct vbe_queue;
struct vbe_client;
struct vbe_new_fd;

/* ---- providers and transports ---------------------------------------- */

/**
 * enum vbe_irq_type - what a transport asks a provider to deliver
 * @VBE_IRQ_QUEUE: the driver's callback of queue @index (direct transport)
 * @VBE_IRQ_CONFIG: the driver's config change callback (direct transport)
 * @VBE_IRQ_LINE: level of the device's wired line (register transports)
 * @VBE_IRQ_MSI: one message (virtio-pci)
 */
enum vbe_irq_type {
	VBE_IRQ_QUEUE,
	VBE_IRQ_CONFIG,
	VBE_IRQ_LINE,
	VBE_IRQ_MSI,
};

/**
 * struct vbe_irq - one interrupt to deliver
 * @type: &enum vbe_irq_type
 * @nested: raised inside an eventfd wake-up, with its wait-queue lock held and
 *	interrupts off: neither FE driver code nor eventfd_signal() may run from
 *	here; defer to irq_work or a work item
 * @index: queue, for VBE_IRQ_QUEUE
 * @level: for VBE_IRQ_LINE
 * @msi_addr: for VBE_IRQ_MSI
 * @msi_data: for VBE_IRQ_MSI
 */
struct vbe_irq {
	enum vbe_irq_type type;
	bool nested;
	u32 index;
	u32 level;
	u64 msi_addr;
	u32 msi_data;
};

/**
 * struct vbe_dev_params - what the administrator says of a device
 * @set: bit (1 << VBE_PARAM_x) for each field that was given
 * @name: device name: 1..31 of [A-Za-z0-9._:-], not beginning with '.' or '-'
 * @provider: provider name
 * @transport: transport name; empty for the provider's default
 * @window_size: bytes of shared window, for providers that allocate one
 * @virtio_id: fixes the device type; 0 leaves it to the backend
 * @uid: owner who may open it
 * @gid: group that may open it
 * @loss_policy: &enum vbe_loss_policy
 * @reset_timeout_ms: 1..VBE_RESET_TIMEOUT_MAX_MS
 */
struct vbe_dev_params {
	u32 set;
	char name[VBE_NAME_MAX];
	char provider[VBE_LABEL_MAX];
	char transport[VBE_LABEL_MAX];
	u64 window_size;
	u32 virtio_id;
	kuid_t uid;
	kgid_t gid;
	u32 loss_policy;
	u32 reset_timeout_ms;
};

enum {
	VBE_PARAM_NAME,
	VBE_PARAM_PROVIDER,
	VBE_PARAM_TRANSPORT,
	VBE_PARAM_WINDOW_SIZE,
	VBE_PARAM_VIRTIO_ID,
	VBE_PARAM_UID,
	VBE_PARAM_GID,
	VBE_PARAM_LOSS_POLICY,
	VBE_PARAM_RESET_TIMEOUT,
};

/**
 * struct vbe_provider_ops - one hypervisor
 * @owner: module; pinned by each of its devices
 * @name: what the administrator calls it by
 * @description: one line for "vbe-ctl probe"
 * @default_transport: used when the administrator names none
 * @guest: name of the guest its devices belong to, when there is only one
 * @features_required: virtio features that every device offers here
 * @list: the core's
 *
 * Only @inject and @mem_suspect run in atomic context; all others may sleep.
 * @show, @hide, @fe_name, @mem_suspect and @mem_clean are called with dev->lock
 * held (@hide also with fe_lock): they must not call back into the core. @dev_add
 * and @dev_del are called without a core lock.
 */
struct vbe_provider_ops {
	struct module *owner;
	const char *name;
	const char *description;
	const char *default_transport;
	const char *guest;
	u64 features_required;
	struct list_head list;

	/**
	 * @dev_add: take a new device; set @dev->provider_priv and add windows.
	 * Errors get an extack text.
	 */
	int (*dev_add)(struct vbe_device *dev, const struct vbe_dev_params *p,
		       struct netlink_ext_ack *extack);
	/**
	 * @dev_del: undo dev_add. The device is hidden, no call can be raised any
	 * more and no backend is attached. Cannot fail.
	 */
	void (*dev_del)(struct vbe_device *dev);
	/**
	 * @show: the FE shall see the device. Must not wait for probing, which
	 * needs the caller (the backend) to serve.
	 */
	int (*show)(struct vbe_device *dev);
	/**
	 * @hide: the FE shall leave; the provider calls vbe_device_hidden() when
	 * it has. Returns at once. With @force no backend serves any more: what is
	 * in flight fails, and the FE is gone in bounded time. May be called again
	 * with @force after a call without.
	 */
	void (*hide)(struct vbe_device *dev, bool force);
	/**
	 * @inject: deliver an interrupt. Any context, under RCU; see
	 * &struct vbe_irq.nested.
	 */
	void (*inject)(struct vbe_device *dev, const struct vbe_irq *irq);
	/**
	 * @mem_suspect: a backend ended: the host's storage may still write to pages
	 * of its windows to which somebody else has a reference. What the FE puts
	 * there from now on, until @mem_clean, may be overwritten. Optional. Atomic
	 * context.
	 */
	void (*mem_suspect)(struct vbe_device *dev);
	/**
	 * @mem_clean: a next backend attaches, and nobody else refers to a page of
	 * its windows any more: what @mem_suspect said is over. Optional.
	 */
	void (*mem_clean)(struct vbe_device *dev);
	/**
	 * @fe_name: what the FE calls the device ("virtio3"), into @buf; empty when
	 * it has no name now. Optional.
	 */
	void (*fe_name)(struct vbe_device *dev, char *buf, size_t len);
};

int vbe_provider_register(struct vbe_provider_ops *ops);
void vbe_provider_unregister(struct vbe_provider_ops *ops);

/**
 * struct vbe_transport_ops - one way a driver talks to a device
 * @name: "direct", "mmio", "pci", "msg", "raw"
 * @features_owned: virtio features that are the transport's to offer or not;
 *	masked from what a backend offers
 */
struct vbe_transport_ops {
	const char *name;
	u64 features_owned;

	/** @queue_call: the backend interrupts queue @q. Any context, under RCU. */
	void (*queue_call)(struct vbe_queue *q, bool nested);
	/** @config_changed: config bytes or status changed. Any context, under RCU. */
	void (*config_changed)(struct vbe_device *dev);
};

extern const struct vbe_transport_ops vbe_direct_transport;

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
 * struct vbe_window - a range of FE addresses that the backend may reach
 * @fe_addr: first FE address, page aligned (also the mmap offset)
 * @len: bytes, whole pages
 * @mem_class: &enum vbe_mem_class
 * @flags: VBE_WINDOW_F_*
 * @pages: VBE_MEM_PINNED: len / PAGE_SIZE pages, each with one reference owned by
 *	whoever added the window; any further one is a mapping or DMA of a backend
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
	unsigned long *guard;
};

/**
 * struct vbe_call - a call eventfd on a queue (irqfd)
 * @dev: its device, which outlives @hup
 * @q: its queue; NULL once detached, under dev->lock
 * @ctx: eventfd, reference held until detached
 * @wqh: the eventfd's wait queue
 * @wait: our entry in the eventfd's wait queue
 * @pt: used once, to find that wait queue
 * @hup: detaches after EPOLLHUP; holds a reference while queued
 * @ref: one for vbe_queue.call, one for @hup while queued
 * @error: from hooking @wait
 *
 * See call.c for the life cycle.
 */
struct vbe_call {
	struct vbe_device *dev;
	struct vbe_queue *q;
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
 * @call: under dev->lock
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

	struct vbe_call *call;
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
 * @inode: its mapping covers all VMAs of this attachment, for revocation
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
 * @type: VBE_EVENT_FEATURES or VBE_EVENT_RESET
 * @cookie: 0 when nothing waits
 * @result: the backend's answer
 * @answered: it has answered (false: it went away)
 * @done: completed by COMPLETE, or by the client's end
 *
 * All but @done under dev->lock. There is at most one, as fe_lock serialises.
 */
struct vbe_held {
	u32 type;
	u64 cookie;
	u32 result;
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

/* ---- device.c: the registry and the life cycle --------------------------- */

int vbe_device_create(const struct vbe_dev_params *p, struct netlink_ext_ack *extack);
int vbe_device_delete(struct vbe_device *dev, struct netlink_ext_ack *extack);
int vbe_device_set(struct vbe_device *dev, const struct vbe_dev_params *p,
		   struct netlink_ext_ack *extack);
int vbe_device_resize(struct vbe_device *dev, struct netlink_ext_ack *extack);
struct vbe_device *vbe_device_find(const char *name);
struct vbe_device *vbe_device_next(u32 min_id);
void vbe_device_put(struct vbe_device *dev);
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
int vbe_fe_set_features(struct vbe_device *dev, u64 features);
u8 vbe_fe_status(struct vbe_device *dev);
int vbe_fe_set_status(struct vbe_device *dev, u8 status);
void vbe_fe_reset(struct vbe_device *dev);
int vbe_fe_config_read(struct vbe_device *dev, u32 offset, void *buf, u32 len);
int vbe_fe_config_write(struct vbe_device *dev, u32 offset, const void *buf, u32 len);
u32 vbe_fe_config_generation(struct vbe_device *dev);
int vbe_fe_queue_set(struct vbe_device *dev, u32 index, u32 num, u64 desc, u64 driver,
		     u64 device);
int vbe_fe_queue_enable(struct vbe_device *dev, u32 index, bool on);
struct vbe_queue *vbe_fe_queue(struct vbe_device *dev, u32 index);
int vbe_held_complete(struct vbe_client *c, u64 cookie, u32 result);

/* ---- queue.c: kicks ---------------------------------------------------- */

void vbe_queue_init(struct vbe_queue *q, struct vbe_device *dev, u32 index, u32 max_size);
void vbe_queue_kick(struct vbe_queue *q);
void vbe_queue_set_kick(struct vbe_queue *q, struct eventfd_ctx *ctx);
void vbe_queue_stop(struct vbe_queue *q);

/* ---- call.c: calls ------------------------------------------------------ */

void vbe_queue_call(struct vbe_queue *q, bool nested);
int vbe_queue_set_call(struct vbe_queue *q, int fd, struct vbe_why *why);
void vbe_queue_drop_call(struct vbe_queue *q);
void vbe_device_config_changed(struct vbe_device *dev);

/* ---- event.c --------------------------------------------------------------- */

void vbe_events_init(struct vbe_events *ev);
void vbe_event_post(struct vbe_device *dev, struct vbe_client *c, u32 type, u32 queue,
		    u64 cookie, u64 data0, u64 data1);
void vbe_events_end(struct vbe_client *c);
ssize_t vbe_events_read(struct vbe_client *c, struct iov_iter *to, bool nonblock);
__poll_t vbe_events_poll(struct vbe_client *c, struct file *file, poll_table *pt);

/* ---- window.c: memory ---------------------------------------------------------- */

int vbe_window_add(struct vbe_device *dev, struct vbe_window *win);
void vbe_window_del(struct vbe_device *dev, struct vbe_window *win);
void vbe_window_guard(struct vbe_device *dev, struct vbe_window *win, unsigned long first,
		      unsigned long n, bool guard);
struct vbe_window *vbe_window_find(struct vbe_device *dev, u64 fe_addr, u64 len);
bool vbe_window_contains(struct vbe_device *dev, u64 fe_addr, u64 len);
bool vbe_window_busy(struct vbe_window *win);
bool vbe_device_mem_busy(struct vbe_device *dev);
struct page **vbe_pages_alloc(unsigned long n);
void vbe_pages_free(struct page **pages, unsigned long n);
int vbe_client_mmap(struct vbe_client *c, struct vm_area_struct *vma, bool readonly);
void vbe_client_revoke_mem(struct vbe_client *c);
int vbe_mem_copy(struct vbe_client *c, const struct vbe_copy_entry *e, void *bounce, bool to_fe);

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
