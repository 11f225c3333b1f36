/* SPDX-License-Identifier: BSD-3-Clause */
/* Copyright (c) 2026 The vbe authors */
/**
 * DOC: libvbe, a thin library for virtio backends over /dev/vbe
 *
 * Three layers, each usable alone:
 *
 * - a device: &struct vbe_dev, one function per ioctl of <linux/vbe.h>;
 * - FE memory: vbe_mem() and friends, which map a window where its class allows it and copy where
 *   not, so that a backend need not know which it has;
 * - queues: &struct vbe_queue binds the engine of <vbe/virtqueue.h> to a queue of a device.
 *
 * Functions that return int give 0 (or what they say) on success and a negative errno on failure;
 * those that return a pointer give NULL and set errno. vbe_error() then has a sentence from the
 * kernel.
 *
 * Threads: a &struct vbe_dev may be used by several threads at once, but vbe_close() and
 * vbe_mem_refresh() need it alone. A &struct vbe_queue belongs to one thread at a time; only
 * vbe_queue_wake() may be called by others, and, by whoever starts and stops the queue,
 * vbe_queue_refresh_kick().
 */
#ifndef VBE_VBE_H
#define VBE_VBE_H

#include <stddef.h>
#include <stdint.h>
#include <linux/vbe.h>
#include <vbe/virtqueue.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VBE_API __attribute__((visibility("default")))

/** Where vbe_open() looks. */
#define VBE_DEV_PATH		"/dev/vbe"

struct vbe_dev;
struct vbe_queue;

/**
 * vbe_version() - version of this library
 *
 * Return: such as "0.1.0".
 */
VBE_API const char *vbe_version(void);

/**
 * vbe_probe() - ask the kernel what its vbe can do
 * @info: filled in
 *
 * Return: 0; -ENOENT when there is no /dev/vbe; -EACCES when it may not be opened; others of the
 * ioctl.
 */
VBE_API int vbe_probe(struct vbe_info *info);

/**
 * vbe_open() - become the backend of a device
 * @name: its name
 * @flags: VBE_OPEN_F_*
 *
 * Return: the device; or NULL, with errno ENOENT (no such device, or no /dev/vbe), EACCES, EBUSY
 * (it has a backend), ENODEV (it is being deleted), EINVAL (name too long) or ENOMEM.
 */
VBE_API struct vbe_dev *vbe_open(const char *name, unsigned int flags);

/**
 * vbe_from_fd() - use a device fd that was inherited or passed over a socket
 * @fd: device fd; the library owns it from now on, unless this fails
 *
 * Return: the device; or NULL with errno ENOTTY (not a device fd of vbe), EBADF, ENODEV, ENOMEM.
 */
VBE_API struct vbe_dev *vbe_from_fd(int fd);

/**
 * vbe_close() - unmap all memory and close the fd
 * @dev: device or NULL
 *
 * Without vbe_offline() before, the kernel takes it as loss of the backend: what the FE then sees
 * is the device's loss policy. Free the queues first.
 */
VBE_API void vbe_close(struct vbe_dev *dev);

/**
 * vbe_fd() - the device fd, to poll or pass on
 * @dev: device
 *
 * Return: the fd; the library still owns it.
 */
VBE_API int vbe_fd(const struct vbe_dev *dev);

/**
 * vbe_error() - why the last call on a device failed
 * @dev: device; or NULL for this thread's last vbe_open(), vbe_from_fd() or vbe_probe()
 *
 * Return: the kernel's sentence, or the name of errno where it has none. Never NULL; valid until
 * the next vbe_error() of this thread.
 */
VBE_API const char *vbe_error(struct vbe_dev *dev);

/**
 * vbe_get_info() - the device as it is now (VBE_IOC_DEV_INFO)
 * @dev: device
 * @info: filled in
 *
 * Return: 0 or a negative errno.
 */
VBE_API int vbe_get_info(struct vbe_dev *dev, struct vbe_dev_info *info);

/**
 * vbe_dev_param() - what the device is configured with (VBE_IOC_DEV_PARAM)
 * @dev: device
 * @key: "path", "mode" ("r" or "w"), "vdev"; see &struct vbe_dev_param
 * @buf: gets a NUL-terminated string
 * @len: bytes that @buf has room for; VBE_PARAM_MAX is enough for any
 *
 * Return: 0 or a negative errno: -ENOENT the device was not given it; -ERANGE no room;
 * -ENOTTY an older kernel.
 */
VBE_API int vbe_dev_param(struct vbe_dev *dev, const char *key, char *buf, size_t len);

/**
 * vbe_setup() - describe the virtio device (VBE_IOC_DEV_SETUP)
 * @dev: device
 * @setup: as <linux/vbe.h> says; @size need not be set
 *
 * Return: 0 or a negative errno.
 */
VBE_API int vbe_setup(struct vbe_dev *dev, const struct vbe_dev_setup *setup);

/**
 * vbe_online() - show the device to the FE (VBE_IOC_DEV_ONLINE)
 * @dev: device
 *
 * Serve events and queues from now on: the driver probes.
 *
 * Return: 0 or a negative errno.
 */
VBE_API int vbe_online(struct vbe_dev *dev);

/**
 * vbe_offline() - make the FE leave (VBE_IOC_DEV_OFFLINE)
 * @dev: device
 *
 * Returns at once: keep serving until %VBE_EVENT_OFFLINE.
 *
 * Return: 0 or a negative errno.
 */
VBE_API int vbe_offline(struct vbe_dev *dev);

/**
 * vbe_config_read() - read the config space
 * @dev: device
 * @offset: first byte
 * @buf: to
 * @len: bytes
 *
 * Return: 0 or a negative errno; -EINVAL past its end.
 */
VBE_API int vbe_config_read(struct vbe_dev *dev, uint32_t offset, void *buf, uint32_t len);

/**
 * vbe_config_write() - change the config space, and interrupt the driver for it
 * @dev: device
 * @offset: first byte
 * @buf: from
 * @len: bytes
 *
 * Return: 0 or a negative errno; -EINVAL past its end.
 */
VBE_API int vbe_config_write(struct vbe_dev *dev, uint32_t offset, const void *buf, uint32_t len);

/**
 * vbe_get_queue() - a queue as the driver set it up (VBE_IOC_QUEUE_INFO)
 * @dev: device
 * @index: queue
 * @info: filled in
 *
 * Return: 0 or a negative errno.
 */
VBE_API int vbe_get_queue(struct vbe_dev *dev, uint32_t index, struct vbe_queue_info *info);

/**
 * vbe_set_fds() - attach or detach eventfds of a queue (VBE_IOC_QUEUE_SET_FDS)
 * @dev: device
 * @index: queue
 * @flags: which to change: VBE_FDS_F_KICK, VBE_FDS_F_CALL
 * @kick_fd: eventfd, or -1 to detach
 * @call_fd: eventfd, or -1 to detach
 *
 * Return: 0 or a negative errno.
 */
VBE_API int vbe_set_fds(struct vbe_dev *dev, uint32_t index, uint32_t flags, int kick_fd,
			int call_fd);

/**
 * vbe_call() - interrupt the driver for a queue (VBE_IOC_QUEUE_CALL)
 * @dev: device
 * @index: queue
 *
 * Faster than an eventfd, as nothing needs to be woken up.
 *
 * Return: 0 or a negative errno.
 */
VBE_API int vbe_call(struct vbe_dev *dev, uint32_t index);

/**
 * vbe_event_read() - take events
 * @dev: device
 * @events: array
 * @n: its length, 1 or more
 *
 * Blocks until there is one, unless the fd is O_NONBLOCK.
 *
 * Return: number of events, 0 when the attachment is over; or -EAGAIN, -EINTR, -ENODEV or
 * another negative errno.
 */
VBE_API int vbe_event_read(struct vbe_dev *dev, struct vbe_event *events, unsigned int n);

/**
 * vbe_event_wait() - wait for an event and take it
 * @dev: device
 * @event: filled in
 * @timeout_ms: milliseconds, -1 for ever, 0 only to look
 *
 * Return: 1 with an event, 0 when the time passed, -ENODEV when the attachment is
 * over, or another negative errno.
 */
VBE_API int vbe_event_wait(struct vbe_dev *dev, struct vbe_event *event, int timeout_ms);

/**
 * vbe_event_name() - name of an event type
 * @type: &enum vbe_event_type
 *
 * Return: such as "RESET", or "unknown".
 */
VBE_API const char *vbe_event_name(uint32_t type);

/**
 * vbe_complete() - answer a held event (VBE_IOC_COMPLETE)
 * @dev: device
 * @cookie: of the event
 * @result: 0: accepted, or done
 *
 * Return: 0; -ENOENT when nothing waits with that cookie (it timed out); others.
 */
VBE_API int vbe_complete(struct vbe_dev *dev, uint64_t cookie, uint32_t result);

/**
 * vbe_complete_data() - vbe_complete() for events whose answer has data
 * @dev: device
 * @cookie: of the event
 * @result: 0: accepted, or done
 * @data: %VBE_EVENT_QUEUE_STOP: what vbe_queue_base() says; %VBE_EVENT_ACCESS: what is loaded
 *
 * Return: as vbe_complete().
 */
VBE_API int vbe_complete_data(struct vbe_dev *dev, uint64_t cookie, uint32_t result,
			      uint64_t data);

/* ---- transport "raw": emulators that are not virtio ---------------------------------------- */

/**
 * vbe_raw_region() - claim a range of addresses, move it or give it up (VBE_IOC_RAW_REGION)
 * @dev: device
 * @region: as <linux/vbe.h> says; @size need not be set
 *
 * Return: 0; -EEXIST overlaps another region of the guest; -EINVAL; -EOPNOTSUPP; others.
 */
VBE_API int vbe_raw_region(struct vbe_dev *dev, const struct vbe_raw_region *region);

/**
 * vbe_raw_match() - have a store signal an eventfd, or take that back (VBE_IOC_RAW_MATCH)
 * @dev: device
 * @match: as <linux/vbe.h> says; @size need not be set
 *
 * Return: 0; -EEXIST, -ENOENT, -ENOSPC, -EINVAL; others.
 */
VBE_API int vbe_raw_match(struct vbe_dev *dev, const struct vbe_raw_match *match);

/**
 * vbe_raw_irq() - have writes to an eventfd interrupt the guest (VBE_IOC_RAW_IRQ)
 * @dev: device
 * @irq: as <linux/vbe.h> says; @size need not be set
 *
 * Return: 0 or a negative errno.
 */
VBE_API int vbe_raw_irq(struct vbe_dev *dev, const struct vbe_raw_irq *irq);

/* ---- FE memory ---------------------------------------------------------------------------- */

/** The backend will read what vbe_mem() gives. */
#define VBE_ACCESS_READ		(1u << 0)
/** The backend will write to it; vbe_mem_put() makes that visible to the FE. */
#define VBE_ACCESS_WRITE	(1u << 1)

/**
 * struct vbe_mem_ref - a piece of FE memory in use
 * @ptr: the bytes: the mapping itself, or a copy
 * @fe_addr: FE address
 * @len: bytes
 * @access: VBE_ACCESS_*
 * @copied: 1 if @ptr is a copy
 */
struct vbe_mem_ref {
	void *ptr;
	uint64_t fe_addr;
	size_t len;
	uint32_t access;
	uint32_t copied;
};

/**
 * struct vbe_mem_window - a window as vbe_mem_window() shows it
 * @fe_addr: first FE address
 * @len: bytes
 * @host: where it is mapped, or NULL when bytes can only be copied
 * @mem_class: &enum vbe_mem_class
 * @flags: VBE_WINDOW_F_*
 */
struct vbe_mem_window {
	uint64_t fe_addr;
	uint64_t len;
	void *host;
	uint32_t mem_class;
	uint32_t flags;
};

/**
 * vbe_mem() - get at FE memory, whatever its class
 * @dev: device
 * @ref: filled in; give it back by vbe_mem_put()
 * @fe_addr: FE address
 * @len: bytes, 1 or more
 * @access: VBE_ACCESS_READ, VBE_ACCESS_WRITE or both
 *
 * Gives a pointer into the mapping when the range lies in one window that can be mapped, else a
 * private copy; of a transient window (VBE_WINDOW_F_TRANSIENT) always the latter. Windows are
 * queried and mapped by the first call.
 *
 * Return: 0; -EFAULT when the range is in no window, or not writable (read-only windows, and those
 * of rings, which only the engine writes); -ENOMEM; -ENODEV.
 */
VBE_API int vbe_mem(struct vbe_dev *dev, struct vbe_mem_ref *ref, uint64_t fe_addr, size_t len,
		    uint32_t access);

/**
 * vbe_mem_put() - done with what vbe_mem() gave
 * @dev: device
 * @ref: as vbe_mem() filled it in
 *
 * Copies back what was written if @ref is a copy.
 *
 * Return: 0; -EFAULT when it could not be copied back (the window has gone); others.
 */
VBE_API int vbe_mem_put(struct vbe_dev *dev, struct vbe_mem_ref *ref);

/**
 * vbe_mem_copy() - copy pieces from or to FE memory (VBE_IOC_MEM_COPY)
 * @dev: device
 * @entries: pieces; the status of each is filled in
 * @n: any number: done in batches of VBE_MAX_COPY_ENTRIES
 * @flags: VBE_COPY_F_TO_FE or 0
 *
 * Return: number of entries that failed, or a negative errno.
 */
VBE_API int vbe_mem_copy(struct vbe_dev *dev, struct vbe_copy_entry *entries, unsigned int n,
			 uint32_t flags);

/**
 * vbe_mem_map() - say what is going to be touched of transient windows (VBE_IOC_MEM_MAP)
 * @dev: device
 * @ranges: at most 1 MiB each; the status of each is filled in
 * @n: any number: done in batches of VBE_MAX_MEM_RANGES
 * @flags: VBE_MAP_F_WRITE or 0
 *
 * For backends that use the pointers of vbe_mem_window() by themselves. Queues do it by
 * themselves.
 *
 * Return: number of ranges that failed, or a negative errno.
 */
VBE_API int vbe_mem_map(struct vbe_dev *dev, struct vbe_mem_range *ranges, unsigned int n,
			uint32_t flags);

/**
 * vbe_mem_unmap() - give back what was touched of transient windows (VBE_IOC_MEM_UNMAP)
 * @dev: device
 * @ranges: the status of each is filled in
 * @n: any number: done in batches of VBE_MAX_MEM_RANGES
 *
 * Before the buffer they are of is published as used. As vbe_mem_map().
 *
 * Return: number of ranges that failed, or a negative errno.
 */
VBE_API int vbe_mem_unmap(struct vbe_dev *dev, struct vbe_mem_range *ranges, unsigned int n);

/**
 * vbe_mem_window() - look at a window
 * @dev: device
 * @index: 0, 1, ... until this gives -ENOENT
 * @window: filled in
 *
 * Return: 0, -ENOENT past the last one, or another negative errno.
 */
VBE_API int vbe_mem_window(struct vbe_dev *dev, unsigned int index,
			   struct vbe_mem_window *window);

/**
 * vbe_mem_refresh() - query the windows again, after %VBE_EVENT_MEM
 * @dev: device
 *
 * Windows at the same place as before are mapped where they were, so that pointers stay valid;
 * other mappings go. No other thread may use memory or queues of the device meanwhile; call
 * vbe_queue_remap() for each queue after. Until then, what is mapped where a window has changed may
 * be scratch memory.
 *
 * Return: 0 or a negative errno (the old table is kept then).
 */
VBE_API int vbe_mem_refresh(struct vbe_dev *dev);

/**
 * vbe_mem_engine() - FE memory in the form that the virtqueue engine takes
 * @dev: device
 *
 * Return: valid until vbe_close(); NULL with errno when the windows could not be queried.
 */
VBE_API const struct vbe_vq_mem *vbe_mem_engine(struct vbe_dev *dev);

/**
 * vbe_mem_fd() - an fd on which only mmap() of FE memory works (VBE_IOC_MEM_FD)
 * @dev: device
 * @flags: VBE_MEM_FD_F_READONLY or 0
 *
 * Return: the fd (close-on-exec), or a negative errno.
 */
VBE_API int vbe_mem_fd(struct vbe_dev *dev, uint32_t flags);

/**
 * vbe_inflight() - a queue's slice of the in-flight area, which survives the backend
 * @dev: device, after vbe_setup()
 * @index: queue
 * @area: set to its mapping
 * @len: set to its length
 *
 * Return: 0; -ENOENT when the device was set up without one; others.
 */
VBE_API int vbe_inflight(struct vbe_dev *dev, uint32_t index, void **area, size_t *len);

/* ---- queues --------------------------------------------------------------------------------- */

/** Ignore what a former backend left in the in-flight area, and begin with an empty one. */
#define VBE_START_FRESH		(1u << 0)

/**
 * vbe_queue_inflight_size() - what to ask for in &vbe_dev_setup.inflight_size
 * @max_size: entries of the largest queue
 *
 * Return: bytes per queue that do for both ring formats; 0 if @max_size is not valid.
 */
VBE_API uint32_t vbe_queue_inflight_size(uint32_t max_size);

/**
 * vbe_queue_new() - make a queue object, with an eventfd of its own; nothing is attached yet
 * @dev: device, which must outlive it
 * @index: queue
 *
 * Return: the queue, or NULL with errno.
 */
VBE_API struct vbe_queue *vbe_queue_new(struct vbe_dev *dev, uint32_t index);

/**
 * vbe_queue_free() - stop and free
 * @q: queue or NULL
 */
VBE_API void vbe_queue_free(struct vbe_queue *q);

/**
 * vbe_queue_start() - begin to serve a queue that the driver has enabled
 * @q: queue, not started
 * @flags: VBE_START_FRESH or 0
 *
 * Reads what was negotiated, maps, takes up what a former backend (or this one, before a stop) left
 * in flight, and attaches an eventfd for kicks: the FE's own where it brings one
 * (VBE_IOC_QUEUE_KICK_FD), else ours. Where the in-flight area is empty the queue begins at
 * &vbe_queue_info.base. Look at the queue once without a kick.
 *
 * Return: 0; -EAGAIN when the driver has not enabled it; -EALREADY when it is started; -ENOSPC
 * when the in-flight area is too small; -EPROTO when the engine refused it (vbe_queue_strerror()
 * says why); others.
 */
VBE_API int vbe_queue_start(struct vbe_queue *q, uint32_t flags);

/**
 * vbe_queue_refresh_kick() - the FE has changed its eventfd: for %VBE_EVENT_KICK_FD
 * @q: queue; nothing happens if it is not started
 *
 * Attaches the FE's present eventfd, or ours if it brings none any more. May be called while
 * another thread waits for kicks or works on the queue, but not while one starts, stops, resets or
 * frees it. The waiter returns once, without a kick, and waits on the new eventfd from then on: by
 * vbe_queue_wait(), poll(2) or io_uring on vbe_queue_kick_fd(). Who uses epoll(7) has to remove the
 * fd before this, and to add it again after.
 *
 * Return: 0 or a negative errno; the old eventfd is kept then.
 */
VBE_API int vbe_queue_refresh_kick(struct vbe_queue *q);

/**
 * vbe_queue_base() - where a queue is, in the form of &vbe_queue_info.base
 * @q: queue; after vbe_queue_stop(): where it ended
 * @base: set
 *
 * To answer %VBE_EVENT_QUEUE_STOP: push all that was popped, vbe_queue_stop(), then
 * vbe_complete_data() with this. The kernel clears the queue's part of the in-flight area then.
 *
 * Return: 0; or a negative errno when the queue was never started and the kernel cannot be asked.
 */
VBE_API int vbe_queue_base(struct vbe_queue *q, uint32_t *base);

/**
 * vbe_queue_stop() - detach the kick eventfd; the in-flight area keeps what was not pushed
 * @q: queue
 */
VBE_API void vbe_queue_stop(struct vbe_queue *q);

/**
 * vbe_queue_reset() - vbe_queue_stop(), and forget what is in flight: for %VBE_EVENT_RESET
 * @q: queue
 *
 * Call it before vbe_complete().
 */
VBE_API void vbe_queue_reset(struct vbe_queue *q);

/**
 * vbe_queue_remap() - take the windows of vbe_mem_refresh()
 * @q: queue
 *
 * Host pointers in chains popped before are not valid any more if their window has gone.
 *
 * Return: 0, or -EPROTO when the rings are not within reach any more.
 */
VBE_API int vbe_queue_remap(struct vbe_queue *q);

/**
 * vbe_queue_vq() - the engine's queue, for all that <vbe/virtqueue.h> can do
 * @q: queue
 *
 * Return: it; to be used only while started.
 */
VBE_API struct vbe_vq *vbe_queue_vq(struct vbe_queue *q);

/**
 * vbe_queue_size() - number of entries that the driver chose
 * @q: queue
 *
 * Return: entries; 0 while it is not started.
 */
VBE_API uint32_t vbe_queue_size(const struct vbe_queue *q);

/**
 * vbe_queue_started() - whether vbe_queue_start() succeeded, and no stop came after
 * @q: queue
 *
 * Return: 1 or 0.
 */
VBE_API int vbe_queue_started(const struct vbe_queue *q);

/**
 * vbe_queue_kick_fd() - eventfd that becomes readable on a kick
 * @q: queue
 *
 * An FE may bring its own eventfd (see vbe_queue_start()), and vbe_queue_refresh_kick() another;
 * the number stays the same. It may be blocking or not: poll before you read, and take EAGAIN as
 * nothing there.
 *
 * Return: the fd; the same for the life of @q.
 */
VBE_API int vbe_queue_kick_fd(const struct vbe_queue *q);

/**
 * vbe_queue_wait() - wait for a kick or vbe_queue_wake(), and take it
 * @q: queue
 * @timeout_ms: milliseconds; -1 for ever, in one system call if the eventfd blocks; 0 only takes
 *	what is there
 *
 * Return: 1 when there was one (or, at times, none), 0 when the time passed, or a negative errno
 * (-EINTR).
 */
VBE_API int vbe_queue_wait(struct vbe_queue *q, int timeout_ms);

/**
 * vbe_queue_wake() - make vbe_queue_wait() return, from any thread
 * @q: queue
 */
VBE_API void vbe_queue_wake(struct vbe_queue *q);

/**
 * vbe_queue_pop() - take the next chain (vbe_vq_pop())
 * @q: queue
 * @chain: with segs and max_segs set
 *
 * Return: 1 with a chain, 0 when there is none, -EPROTO when the queue is broken.
 */
VBE_API int vbe_queue_pop(struct vbe_queue *q, struct vbe_vq_chain *chain);

/**
 * vbe_queue_push() - give a chain back to the FE (vbe_vq_push())
 * @q: queue
 * @token: of the chain
 * @written: bytes written to its writable part
 *
 * Return: 0, -EINVAL for a wrong token or too many bytes, -EPROTO when the queue is broken.
 */
VBE_API int vbe_queue_push(struct vbe_queue *q, uint32_t token, uint32_t written);

/**
 * vbe_queue_call() - interrupt the driver, if it wants that for what was pushed since the last time
 * @q: queue
 *
 * Return: 1 if it was interrupted, 0 if not needed, or a negative errno.
 */
VBE_API int vbe_queue_call(struct vbe_queue *q);

/**
 * vbe_queue_serve() - pop, handle and push all there is, then call: the usual loop
 * @q: queue
 * @chain: with segs and max_segs set
 * @handle: handles a chain at once; returns the number of bytes written to its writable part
 * @arg: for @handle
 *
 * On return kicks are enabled, and the queue was seen empty after that. A driver that adds chains
 * without end is left after four times the queue's size, with the kick eventfd signalled.
 *
 * Return: number of chains handled, or -EPROTO when the queue is broken.
 */
VBE_API int vbe_queue_serve(struct vbe_queue *q, struct vbe_vq_chain *chain,
			    uint32_t (*handle)(struct vbe_queue *q, struct vbe_vq_chain *chain,
					       void *arg),
			    void *arg);

/**
 * vbe_queue_strerror() - what broke the queue
 * @q: queue
 *
 * Return: a constant string, never NULL.
 */
VBE_API const char *vbe_queue_strerror(const struct vbe_queue *q);

#ifdef __cplusplus
}
#endif

#endif /* VBE_VBE_H */
