/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause */
/*
 * vbe: virtio backends in user space, the same on every hypervisor.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * A device's life as its backend sees it (states of &enum vbe_dev_state):
 *
 *	           SETUP               ONLINE
 *	  EMPTY ----------> READY ----------------> ONLINE <-----------+
 *	    ^                 |                     |    |             |
 *	    |   close         |      OFFLINE, FE    |    | close       | OPEN, SETUP,
 *	    +-----------------+      has gone       |    | (loss)      | ONLINE by the
 *	    |                                       |    v             | next backend
 *	    +---------------------------------------+   LOST ----------+
 *	    |                                            |
 *	    +--------------------------------------------+  policy "fail", FE has gone
 *
 * Any state goes to DEAD when the device is deleted or its guest dies: every
 * call then gives ENODEV, and what was mapped is private scratch memory: loads
 * give zeroes, stores go nowhere. That is for the backend's own loads and stores;
 * I/O that the kernel does to or from a page which the backend itself has not
 * touched since fails with EFAULT, so that no zeroes are written to a disk image in
 * place of what the FE meant. A backend that learns of it should stop at once.
 *
 * Every argument struct begins with its own size as the caller knows it and
 * grows only at the end. Reserved fields and unknown flags must be zero.
 *
 * Errors, everywhere: ENOTTY unknown ioctl; E2BIG a newer struct with a
 * non-zero tail; EOPNOTSUPP known, but not on this provider; EINVAL bad
 * argument; ENODEV guest or device is gone, or this backend's attachment was
 * revoked; EBUSY somebody else has it; EACCES/EPERM not yours; ENOENT no such
 * name; EFAULT bad pointer; ENOMEM out of memory or over a cap. A sentence that
 * says what was wrong follows from VBE_IOC_ERROR_TEXT.
 */
#ifndef _UAPI_LINUX_VBE_H
#define _UAPI_LINUX_VBE_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define VBE_ABI_VERSION		1

#define VBE_NAME_MAX		32	/* device name, with its NUL */
#define VBE_LABEL_MAX		32	/* provider, transport, guest, FE name, with NUL */
#define VBE_MAX_QUEUES		256	/* queues per device */
#define VBE_MAX_QUEUE_SIZE	32768	/* entries per queue */
#define VBE_MAX_CONFIG		4096	/* bytes of device config space */
#define VBE_MAX_INFLIGHT	(8U << 20) /* bytes of in-flight area per queue */
#define VBE_MAX_COPY_ENTRIES	1024	/* entries of one MEM_COPY */
#define VBE_MAX_MEM_RANGES	1024	/* ranges of one MEM_MAP or MEM_UNMAP */
#define VBE_ERROR_TEXT_MAX	160	/* bytes of an error text, with its NUL */
#define VBE_PARAM_MAX		1024	/* bytes of a parameter's value, with its NUL */

/* mmap() offset of the in-flight area; below it, an offset is an FE address. */
#define VBE_MMAP_INFLIGHT	(1ULL << 62)
/*
 * FE addresses from 2^63 on are no offsets that the kernel takes: here is the one at
 * which 2^63 is mapped, and those above it follow. See &struct vbe_mem_query.mmap_offset.
 */
#define VBE_MMAP_HIGH		(3ULL << 61)

#define VBE_IOC_MAGIC		0xBE

/* on /dev/vbe */
#define VBE_IOC_INFO		_IO(VBE_IOC_MAGIC, 0x00)
#define VBE_IOC_DEV_OPEN	_IO(VBE_IOC_MAGIC, 0x01)
#define VBE_IOC_GUEST_NEW	_IO(VBE_IOC_MAGIC, 0x02)	/* <linux/vbe_guest.h> */
/* on every fd of vbe */
#define VBE_IOC_ERROR_TEXT	_IO(VBE_IOC_MAGIC, 0x0f)
/* on a device fd */
#define VBE_IOC_DEV_INFO	_IO(VBE_IOC_MAGIC, 0x10)
#define VBE_IOC_DEV_SETUP	_IO(VBE_IOC_MAGIC, 0x11)
#define VBE_IOC_DEV_ONLINE	_IO(VBE_IOC_MAGIC, 0x12)
#define VBE_IOC_DEV_OFFLINE	_IO(VBE_IOC_MAGIC, 0x13)
#define VBE_IOC_CONFIG_READ	_IO(VBE_IOC_MAGIC, 0x14)
#define VBE_IOC_CONFIG_WRITE	_IO(VBE_IOC_MAGIC, 0x15)
#define VBE_IOC_QUEUE_INFO	_IO(VBE_IOC_MAGIC, 0x16)
#define VBE_IOC_QUEUE_SET_FDS	_IO(VBE_IOC_MAGIC, 0x17)
#define VBE_IOC_QUEUE_CALL	_IO(VBE_IOC_MAGIC, 0x18)
#define VBE_IOC_COMPLETE	_IO(VBE_IOC_MAGIC, 0x19)
#define VBE_IOC_MEM_QUERY	_IO(VBE_IOC_MAGIC, 0x1a)
#define VBE_IOC_MEM_COPY	_IO(VBE_IOC_MAGIC, 0x1b)
#define VBE_IOC_MEM_FD		_IO(VBE_IOC_MAGIC, 0x1c)
#define VBE_IOC_QUEUE_KICK_FD	_IO(VBE_IOC_MAGIC, 0x1d)
#define VBE_IOC_DEV_PARAM	_IO(VBE_IOC_MAGIC, 0x1e)
#define VBE_IOC_MEM_MAP		_IO(VBE_IOC_MAGIC, 0x1f)
/* on a device fd, transport "raw" only */
#define VBE_IOC_RAW_REGION	_IO(VBE_IOC_MAGIC, 0x20)
#define VBE_IOC_RAW_MATCH	_IO(VBE_IOC_MAGIC, 0x21)
#define VBE_IOC_RAW_IRQ		_IO(VBE_IOC_MAGIC, 0x22)
/* on a device fd */
#define VBE_IOC_MEM_UNMAP	_IO(VBE_IOC_MAGIC, 0x30)
/* on a guest fd, see <linux/vbe_guest.h>: 0x40 to 0x4f */

/**
 * enum vbe_dev_state - where a device is in its life
 * @VBE_DEV_EMPTY: no backend has described it yet
 * @VBE_DEV_READY: described by a backend, hidden from the FE
 * @VBE_DEV_ONLINE: the FE sees it and a backend serves it
 * @VBE_DEV_LOST: the FE sees it, its backend has gone
 * @VBE_DEV_OFFLINING: the FE is being made to leave
 * @VBE_DEV_DEAD: deleted, or its guest has died
 */
enum vbe_dev_state {
	VBE_DEV_EMPTY,
	VBE_DEV_READY,
	VBE_DEV_ONLINE,
	VBE_DEV_LOST,
	VBE_DEV_OFFLINING,
	VBE_DEV_DEAD,
};

/**
 * enum vbe_loss_policy - what the FE sees when a backend dies
 * @VBE_LOSS_HOLD: it waits for the next backend
 * @VBE_LOSS_RESET: DEVICE_NEEDS_RESET is set and a config interrupt raised
 *	(virtio 1.3, 2.1.2)
 * @VBE_LOSS_FAIL: what is in flight fails, and the device is taken away
 * @VBE_LOSS_DEFAULT: in DEV_SETUP: leave what the administrator set
 */
enum vbe_loss_policy {
	VBE_LOSS_HOLD,
	VBE_LOSS_RESET,
	VBE_LOSS_FAIL,
	VBE_LOSS_DEFAULT = 0xff,
};

/**
 * enum vbe_mem_class - what can be done with a window's memory
 * @VBE_MEM_PINNED: mmap gives refcounted pages; O_DIRECT and io_uring fixed
 *	buffers work
 * @VBE_MEM_PFN: mmap gives plain access only; instantly revocable
 * @VBE_MEM_COPY: nothing can be mapped; VBE_IOC_MEM_COPY moves bytes
 */
enum vbe_mem_class {
	VBE_MEM_PINNED = 1,
	VBE_MEM_PFN = 2,
	VBE_MEM_COPY = 3,
};

/**
 * enum vbe_space - what an address of a trapped access is an address of
 * @VBE_SPACE_MMIO: FE physical memory
 * @VBE_SPACE_PIO: x86 I/O ports
 * @VBE_SPACE_PCI: PCI configuration: PCI address << 12 | offset
 */
enum vbe_space {
	VBE_SPACE_MMIO,
	VBE_SPACE_PIO,
	VBE_SPACE_PCI,
};

/**
 * enum vbe_event_type - what an event record tells
 * @VBE_EVENT_LOST: the event queue was full; @data[0] records were dropped.
 *	Read DEV_INFO and QUEUE_INFO again.
 * @VBE_EVENT_FEATURES: the driver wants FEATURES_OK with the features in
 *	@data[0]. Held: answer with COMPLETE (0 accepts, anything else refuses).
 *	Sent only with VBE_SETUP_F_ASK_FEATURES.
 * @VBE_EVENT_STATUS: the driver wrote device status @data[0] (not on reset).
 *	With DRIVER_OK in it the queues may be served.
 * @VBE_EVENT_RESET: the driver resets the device. Held: stop touching queues
 *	and buffers, then COMPLETE. Unanswered for the reset time-out, the
 *	kernel revokes the backend's memory and completes it itself.
 * @VBE_EVENT_CONFIG: the driver wrote @data[1] bytes at offset @data[0] of the
 *	config space; read them with CONFIG_READ.
 * @VBE_EVENT_QUEUE: queue @queue was enabled (@data[0] = 1) after DRIVER_OK
 * @VBE_EVENT_MEM: windows have changed; query them again
 * @VBE_EVENT_REVOKED: a reset was not answered in time: this backend's mappings
 *	are scratch memory now, and its attachment is over. Exit, or close and open
 *	again; drop all other references to FE memory (fixed buffers) first
 * @VBE_EVENT_OFFLINE: the FE no longer sees the device (ends DEV_OFFLINE, or
 *	the administrator asked for it)
 * @VBE_EVENT_GONE: the device was deleted or its guest has died
 * @VBE_EVENT_RESIZE: the administrator asks the backend to look at the size of
 *	what it serves again (vbe-ctl dev set NAME resize)
 * @VBE_EVENT_QUEUE_STOP: the FE stops queue @queue, others go on (virtio 1.3, 2.6.1).
 *	Held: finish what was taken from it, take no more, then COMPLETE with
 *	where it ended in @data. Unanswered for the reset time-out, it is as with
 *	VBE_EVENT_RESET. Sent only with VBE_SETUP_F_QUEUE_STOP
 * @VBE_EVENT_KICK_FD: the FE replaced the eventfd of queue @queue: ask
 *	QUEUE_KICK_FD again. Until then kicks come to the old one all the same
 * @VBE_EVENT_ACCESS: transport "raw": the FE accessed a region. @data[0]: offset in
 *	it; @data[1]: region index << 32 | bytes << 8 | 1 for a store; @data[2]: what
 *	is stored. Held, several at once: COMPLETE with what is loaded in @data
 */
enum vbe_event_type {
	VBE_EVENT_LOST = 1,
	VBE_EVENT_FEATURES = 2,
	VBE_EVENT_STATUS = 3,
	VBE_EVENT_RESET = 4,
	VBE_EVENT_CONFIG = 5,
	VBE_EVENT_QUEUE = 6,
	VBE_EVENT_MEM = 7,
	VBE_EVENT_REVOKED = 8,
	VBE_EVENT_OFFLINE = 9,
	VBE_EVENT_GONE = 10,
	VBE_EVENT_RESIZE = 11,
	VBE_EVENT_QUEUE_STOP = 12,
	VBE_EVENT_KICK_FD = 13,
	VBE_EVENT_ACCESS = 14,
};

#define VBE_NO_QUEUE	0xffffffffU

/**
 * struct vbe_event - one record from read() on a device fd
 * @type: &enum vbe_event_type
 * @queue: the queue it is about, or VBE_NO_QUEUE
 * @seq: grows by one with every event of the device, sent or dropped
 * @cookie: not 0: the event is held until VBE_IOC_COMPLETE gives this back
 * @data: as the type says
 * @__reserved: zero
 *
 * read() returns as many whole records as fit; a buffer smaller than one record
 * is EINVAL. poll() gives EPOLLIN when there are any, and EPOLLHUP once the
 * device is gone or this attachment was revoked.
 */
struct vbe_event {
	__u32 type;
	__u32 queue;
	__aligned_u64 seq;
	__aligned_u64 cookie;
	__aligned_u64 data[4];
	__aligned_u64 __reserved;
};

/**
 * struct vbe_info - VBE_IOC_INFO: what this vbe can do
 * @size: sizeof(struct vbe_info)
 * @abi_version: VBE_ABI_VERSION of the kernel side
 * @max_queues: queues per device
 * @max_queue_size: entries per queue
 * @max_config: bytes of config space
 * @max_inflight: bytes of in-flight area per queue
 * @max_copy_entries: entries of one MEM_COPY
 * @__reserved: zero
 */
struct vbe_info {
	__u32 size;
	__u32 abi_version;
	__u32 max_queues;
	__u32 max_queue_size;
	__u32 max_config;
	__u32 max_inflight;
	__u32 max_copy_entries;
	__u32 __reserved;
};

#define VBE_OPEN_F_NOWAIT	(1U << 0)

/**
 * struct vbe_dev_open - VBE_IOC_DEV_OPEN: become the backend of a device
 * @size: sizeof(struct vbe_dev_open)
 * @flags: VBE_OPEN_F_NOWAIT: do not wait for I/O that a dead backend left behind
 * @name: NUL-terminated device name
 * @out_fd: out: the device fd (close-on-exec)
 * @__reserved: zero
 *
 * One backend at a time. Where the last backend was killed while the host's
 * storage still wrote to FE buffers on its behalf, the call waits for that to
 * end (interruptible, at most the device's reset time-out, then EBUSY): no
 * stale write may reach a buffer that the FE has reused. Pages of a VMM's files may be
 * pinned for good by somebody else, so after that time they are not waited for any
 * more, and no reason for EBUSY.
 *
 * Errors: ENOENT no such device; EACCES neither its owner nor CAP_SYS_ADMIN;
 * EBUSY it has a backend; ENODEV it is being deleted.
 */
struct vbe_dev_open {
	__u32 size;
	__u32 flags;
	__u8 name[VBE_NAME_MAX];
	__s32 out_fd;
	__u32 __reserved;
};

/**
 * struct vbe_error_text - VBE_IOC_ERROR_TEXT: why the last ioctl on this fd failed
 * @size: sizeof(struct vbe_error_text)
 * @out_errno: out: its errno, 0 when none has failed yet
 * @out_text: out: one English sentence, or an empty string
 *
 * The text is for people; it may change. Last writer wins between threads.
 */
struct vbe_error_text {
	__u32 size;
	__s32 out_errno;
	__u8 out_text[VBE_ERROR_TEXT_MAX];
};

#define VBE_INFO_F_RESUME	(1U << 0)

/**
 * struct vbe_dev_info - VBE_IOC_DEV_INFO: a device as it is now
 * @size: sizeof(struct vbe_dev_info)
 * @flags: out: VBE_INFO_F_RESUME: a driver is live and a former backend served
 *	it: take up its rings from the in-flight area
 * @state: out: &enum vbe_dev_state
 * @virtio_id: out: virtio device id; 0 while neither fixed nor set up
 * @name: out: device name
 * @provider: out: who brings the FE
 * @transport: out: how the driver talks
 * @guest: out: guest name
 * @status: out: virtio device status
 * @loss_policy: out: &enum vbe_loss_policy
 * @features: out: what is offered to the driver
 * @driver_features: out: what the driver took (valid with FEATURES_OK)
 * @n_queues: out: number of queues; 0 before SETUP
 * @config_size: out: bytes of config space
 * @config_generation: out: counts changes by the backend
 * @n_windows: out: number of windows now
 * @mem_classes: out: bit (1 << class) for each class among the windows
 * @reset_timeout_ms: out: how long a reset waits for the backend
 * @inflight_size: out: bytes per queue of the in-flight area
 * @max_queues: out: how many queues this device may have
 * @pending_cookie: out: cookie of the held event that waits, 0 if none
 * @features_allowed: out: virtio features that may be offered here; others belong
 *	to the transport and are masked from what DEV_SETUP offers
 */
struct vbe_dev_info {
	__u32 size;
	__u32 flags;
	__u32 state;
	__u32 virtio_id;
	__u8 name[VBE_NAME_MAX];
	__u8 provider[VBE_LABEL_MAX];
	__u8 transport[VBE_LABEL_MAX];
	__u8 guest[VBE_LABEL_MAX];
	__u32 status;
	__u32 loss_policy;
	__aligned_u64 features;
	__aligned_u64 driver_features;
	__u32 n_queues;
	__u32 config_size;
	__u32 config_generation;
	__u32 n_windows;
	__u32 mem_classes;
	__u32 reset_timeout_ms;
	__u32 inflight_size;
	__u32 max_queues;
	__aligned_u64 pending_cookie;
	__aligned_u64 features_allowed;
};

/**
 * struct vbe_dev_param - VBE_IOC_DEV_PARAM: what a device is configured with
 * @size: sizeof(struct vbe_dev_param)
 * @len: in: bytes that @value has room for; out: bytes written, with the NUL
 * @key: NUL-terminated: what is asked for, see below
 * @value: user pointer: gets the value, a NUL-terminated string
 *
 * The administrator or the guest's configuration may say what a backend is to serve:
 *
 *	path	a file or block device
 *	mode	"r": it is not to be changed; or "w". Known if path is
 *	vdev	what the guest's configuration calls the device, such as "xvda"
 *
 * More may come. Errors: ENOENT not given, or no such key; ERANGE @value has no room:
 * VBE_PARAM_MAX bytes always are enough.
 */
struct vbe_dev_param {
	__u32 size;
	__u32 len;
	__u8 key[VBE_LABEL_MAX];
	__aligned_u64 value;
};

#define VBE_SETUP_F_ASK_FEATURES	(1U << 0)
#define VBE_SETUP_F_QUEUE_STOP		(1U << 1)

/**
 * struct vbe_dev_setup - VBE_IOC_DEV_SETUP: describe the virtio device
 * @size: sizeof(struct vbe_dev_setup)
 * @flags: VBE_SETUP_F_ASK_FEATURES: send VBE_EVENT_FEATURES before FEATURES_OK.
 *	VBE_SETUP_F_QUEUE_STOP: the backend answers VBE_EVENT_QUEUE_STOP; drivers may
 *	then reset single queues (VIRTIO_F_RING_RESET, where the transport has it)
 * @virtio_id: virtio device id (2 is block); not 0
 * @vendor_id: virtio vendor id, 0 for the default
 * @features: what the device offers. VIRTIO_F_VERSION_1 is a must; bits that
 *	belong to the transport are masked
 * @n_queues: 1..VBE_MAX_QUEUES
 * @config_size: 0..VBE_MAX_CONFIG bytes of config space
 * @config: user pointer to its initial bytes
 * @queue_sizes: user pointer to n_queues __u32: the most entries of each queue,
 *	a power of two up to VBE_MAX_QUEUE_SIZE
 * @loss_policy: &enum vbe_loss_policy, or VBE_LOSS_DEFAULT
 * @inflight_size: bytes per queue that survive this backend, 0..VBE_MAX_INFLIGHT;
 *	rounded up to whole pages
 *
 * An opener without CAP_SYS_ADMIN sets up only a device whose virtio id the
 * administrator fixed (EACCES): on the loop, the FE is this very kernel.
 *
 * On transport "raw" nothing is virtio: @virtio_id, @vendor_id, @features, @n_queues,
 * @config_size and @inflight_size are zero.
 *
 * In state LOST the device keeps what was negotiated: id, number and sizes of
 * queues and in-flight size must be as before, and @features must contain what
 * the driver took; a changed config raises the config interrupt at ONLINE.
 */
struct vbe_dev_setup {
	__u32 size;
	__u32 flags;
	__u32 virtio_id;
	__u32 vendor_id;
	__aligned_u64 features;
	__u32 n_queues;
	__u32 config_size;
	__aligned_u64 config;
	__aligned_u64 queue_sizes;
	__u32 loss_policy;
	__u32 inflight_size;
};

/**
 * struct vbe_dev_online - VBE_IOC_DEV_ONLINE and VBE_IOC_DEV_OFFLINE
 * @size: sizeof(struct vbe_dev_online)
 * @flags: 0
 *
 * ONLINE shows the device to the FE and returns; probing then happens while the
 * backend serves. OFFLINE makes the FE leave and returns; keep serving until
 * VBE_EVENT_OFFLINE. EINVAL in a state that does not allow it.
 */
struct vbe_dev_online {
	__u32 size;
	__u32 flags;
};

/**
 * struct vbe_config_rw - VBE_IOC_CONFIG_READ and VBE_IOC_CONFIG_WRITE
 * @size: sizeof(struct vbe_config_rw)
 * @offset: first byte
 * @len: number of bytes; offset + len must not pass config_size
 * @flags: 0
 * @buf: user pointer
 *
 * A write changes the bytes at once, raises the generation, and sends the
 * driver a config change interrupt.
 */
struct vbe_config_rw {
	__u32 size;
	__u32 offset;
	__u32 len;
	__u32 flags;
	__aligned_u64 buf;
};

#define VBE_QUEUE_F_ENABLED	(1U << 0)
#define VBE_QUEUE_F_HAS_KICK	(1U << 1)
#define VBE_QUEUE_F_HAS_CALL	(1U << 2)
/*
 * Kicks come from the FE to the backend's eventfd without passing vbe: they are not
 * counted.
 */
#define VBE_QUEUE_F_DIRECT_KICK	(1U << 3)

/**
 * struct vbe_queue_info - VBE_IOC_QUEUE_INFO: a queue as the driver set it up
 * @size: sizeof(struct vbe_queue_info)
 * @index: in: queue
 * @flags: out: VBE_QUEUE_F_*
 * @max_size: out: the most entries
 * @num: out: entries that the driver chose
 * @base: out: where to begin, unless the in-flight area says otherwise. Low 16 bits:
 *	next available index; packed rings: with its wrap counter as bit 15, and the
 *	next used index in the high 16 bits likewise
 * @desc: out: FE address of the descriptor area
 * @driver: out: FE address of the driver area
 * @device: out: FE address of the device area
 */
struct vbe_queue_info {
	__u32 size;
	__u32 index;
	__u32 flags;
	__u32 max_size;
	__u32 num;
	__u32 base;
	__aligned_u64 desc;
	__aligned_u64 driver;
	__aligned_u64 device;
};

#define VBE_FDS_F_KICK		(1U << 0)
#define VBE_FDS_F_CALL		(1U << 1)

/**
 * struct vbe_queue_fds - VBE_IOC_QUEUE_SET_FDS: attach eventfds
 * @size: sizeof(struct vbe_queue_fds)
 * @index: queue
 * @flags: which of the two to change: VBE_FDS_F_KICK, VBE_FDS_F_CALL
 * @kick_fd: eventfd to signal on FE kicks, or -1 to detach. Kicks that come
 *	while none is attached are latched, and signal it when it comes
 * @call_fd: eventfd whose writes interrupt the FE, or -1. One eventfd serves
 *	one queue (EBUSY when it already serves another of the device). A count
 *	that is pending when it is attached interrupts at once
 * @__reserved: zero
 *
 * When a detach or replacement returns, the old call fd injects no more.
 */
struct vbe_queue_fds {
	__u32 size;
	__u32 index;
	__u32 flags;
	__s32 kick_fd;
	__s32 call_fd;
	__u32 __reserved;
};

/*
 * VBE_IOC_QUEUE_CALL takes the queue's index itself as its argument, not a
 * pointer: it interrupts the FE for that queue with nothing to copy in.
 */

/**
 * struct vbe_queue_kick_fd - VBE_IOC_QUEUE_KICK_FD: wait on the FE's own eventfd
 * @size: sizeof(struct vbe_queue_kick_fd)
 * @index: queue
 * @out_fd: out: the eventfd that the FE signals on kicks (close-on-exec)
 * @__reserved: zero
 *
 * Where the FE's side brings an eventfd (KVM_IOEVENTFD, vhost-user), this attaches it as
 * the queue's kick eventfd, as QUEUE_SET_FDS does with one of the backend's, and
 * nothing of vbe runs on a kick any more. What is pending stays pending. ENOENT where
 * it brings none: then use QUEUE_SET_FDS. Either works everywhere; this is faster.
 */
struct vbe_queue_kick_fd {
	__u32 size;
	__u32 index;
	__s32 out_fd;
	__u32 __reserved;
};

/**
 * struct vbe_complete - VBE_IOC_COMPLETE: answer a held event
 * @size: sizeof(struct vbe_complete)
 * @result: 0: accepted, or done; for VBE_EVENT_FEATURES anything else refuses
 * @cookie: from the event. ENOENT when it is not waiting (any more)
 * @data: VBE_EVENT_ACCESS: what is loaded. VBE_EVENT_QUEUE_STOP: where the queue
 *	ended, as &struct vbe_queue_info.base. Else 0
 */
struct vbe_complete {
	__u32 size;
	__u32 result;
	__aligned_u64 cookie;
	__aligned_u64 data;
};

#define VBE_WINDOW_F_READONLY	(1U << 0)
/*
 * The window holds rings. What only the driver writes in them, the backend may
 * read but not write (SIGBUS, EFAULT for the kernel on its behalf): drivers
 * believe it. The part that devices write is writable. No fixed buffers in here.
 */
#define VBE_WINDOW_F_GUARDED	(1U << 1)
/*
 * What stands behind an address is the FE's to take back when it gets a buffer back: it
 * comes when the backend touches it, or by MEM_MAP, and stays until MEM_UNMAP. So a
 * backend gives back what it touched of a buffer before it publishes it as used; else
 * the driver may give the device up for good. Rings stay until reset.
 */
#define VBE_WINDOW_F_TRANSIENT	(1U << 2)

/**
 * struct vbe_mem_query - VBE_IOC_MEM_QUERY: one window
 * @size: sizeof(struct vbe_mem_query)
 * @index: in: 0 up to n_windows - 1 (ENOENT past the end)
 * @flags: out: VBE_WINDOW_F_*
 * @mem_class: out: &enum vbe_mem_class
 * @fe_addr: out: first FE address
 * @len: out: bytes
 * @mmap_offset: out: offset to mmap: @fe_addr, but for addresses from 2^63 on; 0 for class
 *	"copy"
 */
struct vbe_mem_query {
	__u32 size;
	__u32 index;
	__u32 flags;
	__u32 mem_class;
	__aligned_u64 fe_addr;
	__aligned_u64 len;
	__aligned_u64 mmap_offset;
};

/**
 * struct vbe_copy_entry - one piece of VBE_IOC_MEM_COPY
 * @fe_addr: FE address
 * @buf: user pointer
 * @len: bytes, at most 1 MiB
 * @status: out: 0, or a negative errno for this entry alone
 */
struct vbe_copy_entry {
	__aligned_u64 fe_addr;
	__aligned_u64 buf;
	__u32 len;
	__s32 status;
};

#define VBE_COPY_F_TO_FE	(1U << 0)

/**
 * struct vbe_mem_copy - VBE_IOC_MEM_COPY: copy bytes from or to FE memory
 * @size: sizeof(struct vbe_mem_copy)
 * @flags: VBE_COPY_F_TO_FE: to FE memory; else from it
 * @n: 1..VBE_MAX_COPY_ENTRIES entries
 * @out_failed: out: how many entries have a status other than 0
 * @entries: user pointer to &struct vbe_copy_entry [n]
 *
 * Works on windows of every class. Returns 0 when all entries were tried.
 */
struct vbe_mem_copy {
	__u32 size;
	__u32 flags;
	__u32 n;
	__u32 out_failed;
	__aligned_u64 entries;
};

/**
 * struct vbe_mem_range - one range of VBE_IOC_MEM_MAP or VBE_IOC_MEM_UNMAP
 * @fe_addr: first FE address; what is meant is all pages that the range touches
 * @len: bytes, not 0; MEM_MAP: at most 1 MiB
 * @status: out: 0, or a negative errno for this range alone
 */
struct vbe_mem_range {
	__aligned_u64 fe_addr;
	__u32 len;
	__s32 status;
};

#define VBE_MAP_F_WRITE		(1U << 0)

/**
 * struct vbe_mem_map - VBE_IOC_MEM_MAP and VBE_IOC_MEM_UNMAP: transient memory
 * @size: sizeof(struct vbe_mem_map)
 * @flags: MEM_MAP: VBE_MAP_F_WRITE: the backend is going to write there; MEM_UNMAP: 0
 * @n: 1..VBE_MAX_MEM_RANGES ranges
 * @out_failed: out: how many ranges have a status other than 0
 * @ranges: user pointer to &struct vbe_mem_range [n]
 *
 * For windows with VBE_WINDOW_F_TRANSIENT. MEM_MAP is a hint: it has the ranges ready in
 * few hypercalls, before the backend touches the first page of them. It may touch them
 * without. MEM_UNMAP takes them out of the backend's mappings and gives them back; when
 * it returns, nothing holds them. Touching one again brings it back, if the FE still
 * lets the backend have it, and gives scratch memory if not.
 *
 * Either does nothing on other windows that can be mapped. Returns 0 when all ranges
 * were tried. Status: EFAULT not within one window, or not for writing, or the FE does
 * not let the backend have it; EINVAL @len; EAGAIN, ENOMEM not now: touch it;
 * EOPNOTSUPP MEM_MAP on a window of class "copy"; ENODEV.
 */
struct vbe_mem_map {
	__u32 size;
	__u32 flags;
	__u32 n;
	__u32 out_failed;
	__aligned_u64 ranges;
};

#define VBE_MEM_FD_F_READONLY	(1U << 0)

/**
 * struct vbe_mem_fd - VBE_IOC_MEM_FD: an fd for the FE memory alone
 * @size: sizeof(struct vbe_mem_fd)
 * @flags: VBE_MEM_FD_F_READONLY
 * @out_fd: out: an fd that only mmap (offset = FE address) works on
 * @__reserved: zero
 *
 * It ends with the attachment it came from: mappings then are scratch memory.
 */
struct vbe_mem_fd {
	__u32 size;
	__u32 flags;
	__s32 out_fd;
	__u32 __reserved;
};

/* ---- transport "raw": emulators that are not virtio ------------------------------- */

#define VBE_RAW_MAX_REGIONS	16
#define VBE_RAW_MAX_MATCHES	64
#define VBE_RAW_MAX_IRQS	64

/**
 * struct vbe_raw_region - VBE_IOC_RAW_REGION: claim a range of addresses
 * @size: sizeof(struct vbe_raw_region)
 * @index: 0..VBE_RAW_MAX_REGIONS - 1; replaces what it was before
 * @space: &enum vbe_space
 * @flags: 0
 * @base: first address
 * @len: bytes; 0 gives the region up
 *
 * May be called at any time: a PCI BAR moves so. The device's own PCI configuration
 * space, if it was added with one, is no region of the backend's making: it is index
 * VBE_RAW_MAX_REGIONS in events and matches.
 * Errors: EEXIST overlaps another region of the guest; EINVAL wraps, or passes the end
 * of the space; EOPNOTSUPP the hypervisor cannot trap there.
 */
struct vbe_raw_region {
	__u32 size;
	__u32 index;
	__u32 space;
	__u32 flags;
	__aligned_u64 base;
	__aligned_u64 len;
};

#define VBE_RAW_MATCH_F_DATA	(1U << 0)
#define VBE_RAW_MATCH_F_DEASSIGN (1U << 1)

/**
 * struct vbe_raw_match - VBE_IOC_RAW_MATCH: a store that signals an eventfd
 * @size: sizeof(struct vbe_raw_match)
 * @flags: VBE_RAW_MATCH_F_DATA: only stores of @data. VBE_RAW_MATCH_F_DEASSIGN: take
 *	back the match with the same region, offset, len, flags and data (ENOENT)
 * @region: region index
 * @fd: eventfd to signal; -1 with DEASSIGN
 * @offset: in the region
 * @len: bytes of the store; 0: any
 * @__reserved: zero
 * @data: see @flags
 *
 * A matching store is answered in the kernel and is no event. A store at a matched
 * offset whose data does not match is an event like any other.
 * Errors: EEXIST the same match is there, or one with the same place and no data;
 * ENOSPC too many.
 */
struct vbe_raw_match {
	__u32 size;
	__u32 flags;
	__u32 region;
	__s32 fd;
	__aligned_u64 offset;
	__u32 len;
	__u32 __reserved;
	__aligned_u64 data;
};

/**
 * enum vbe_raw_irq_type - how an emulator interrupts
 * @VBE_RAW_IRQ_EDGE: a write to the eventfd pulses the wired line
 * @VBE_RAW_IRQ_LEVEL: a write to the eventfd raises the wired line; the guest's EOI
 *	lowers it and signals @resample_fd: write again if it is still to be high
 * @VBE_RAW_IRQ_MSI: a write to the eventfd sends one message
 */
enum vbe_raw_irq_type {
	VBE_RAW_IRQ_EDGE,
	VBE_RAW_IRQ_LEVEL,
	VBE_RAW_IRQ_MSI,
};

/**
 * struct vbe_raw_irq - VBE_IOC_RAW_IRQ: an interrupt by eventfd
 * @size: sizeof(struct vbe_raw_irq)
 * @index: 0..VBE_RAW_MAX_IRQS - 1; replaces what it was before, keeping what is pending
 * @type: &enum vbe_raw_irq_type
 * @flags: 0
 * @fd: eventfd whose writes interrupt; -1 takes it back
 * @resample_fd: VBE_RAW_IRQ_LEVEL: eventfd that is signalled on EOI; else -1
 * @msi_addr: VBE_RAW_IRQ_MSI: address; else 0
 * @msi_data: VBE_RAW_IRQ_MSI: message; else 0
 * @__reserved: zero
 */
struct vbe_raw_irq {
	__u32 size;
	__u32 index;
	__u32 type;
	__u32 flags;
	__s32 fd;
	__s32 resample_fd;
	__aligned_u64 msi_addr;
	__u32 msi_data;
	__u32 __reserved;
};

#endif /* _UAPI_LINUX_VBE_H */
