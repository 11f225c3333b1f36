/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause */
/*
 * vbe: a process as the hypervisor. What a VMM says of its guest.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * VBE_IOC_GUEST_NEW on /dev/vbe gives a guest fd. It stands for one guest: its
 * memory, its devices, and what they ask of the hypervisor. Closing the last copy is
 * the guest's death: its devices are deleted, their backends read VBE_EVENT_GONE, and
 * what they mapped is scratch memory.
 *
 * How a vCPU's exit travels:
 *
 *	vCPU --exit--> VMM --GUEST_ACCESS--> transport --answered in the kernel
 *	                                         |
 *	                                         +-- kick --> eventfd of the backend
 *
 * and how to do without the exit: make an eventfd, give it to KVM_IOEVENTFD with the
 * address that GUEST_QUEUE_INFO tells, and to vbe with VBE_GUEST_FD_KICK. The backend
 * then waits on that very eventfd: no code of vbe runs on a kick. An eventfd that
 * KVM_IRQFD listens to, given to vbe as VBE_GUEST_FD_CALL, _LINE or _MSI, is signalled
 * from within the backend's own QUEUE_CALL: no process wakes up on a call but the guest.
 *
 * What no eventfd is attached for is told by read(), as struct vbe_guest_event. Such
 * events are kept as state, not as a queue: each thing is told once however often it
 * happened, and none is ever lost.
 *
 * Structs, sizes and errors follow the rules of <linux/vbe.h>.
 */
#ifndef _UAPI_LINUX_VBE_GUEST_H
#define _UAPI_LINUX_VBE_GUEST_H

#include <linux/vbe.h>

#define VBE_GUEST_MAX_DEVICES	64	/* devices of one guest */
#define VBE_GUEST_MAX_MEM	64	/* memory regions of one guest */
#define VBE_GUEST_MAX_VECTORS	(VBE_MAX_QUEUES + 1)	/* MSI vectors of one device */

#define VBE_IOC_GUEST_DEV_ADD	_IO(VBE_IOC_MAGIC, 0x40)
#define VBE_IOC_GUEST_DEV_DEL	_IO(VBE_IOC_MAGIC, 0x41)
#define VBE_IOC_GUEST_DEV_INFO	_IO(VBE_IOC_MAGIC, 0x42)
#define VBE_IOC_GUEST_MEM_ADD	_IO(VBE_IOC_MAGIC, 0x43)
#define VBE_IOC_GUEST_MEM_DEL	_IO(VBE_IOC_MAGIC, 0x44)
#define VBE_IOC_GUEST_ACCESS	_IO(VBE_IOC_MAGIC, 0x45)
#define VBE_IOC_GUEST_SET_FD	_IO(VBE_IOC_MAGIC, 0x46)
#define VBE_IOC_GUEST_QUEUE_INFO _IO(VBE_IOC_MAGIC, 0x47)
#define VBE_IOC_GUEST_QUEUE_SET	_IO(VBE_IOC_MAGIC, 0x48)
#define VBE_IOC_GUEST_FEATURES	_IO(VBE_IOC_MAGIC, 0x49)
#define VBE_IOC_GUEST_STATUS	_IO(VBE_IOC_MAGIC, 0x4a)
#define VBE_IOC_GUEST_CONFIG	_IO(VBE_IOC_MAGIC, 0x4b)
#define VBE_IOC_GUEST_KICK	_IO(VBE_IOC_MAGIC, 0x4c)
#define VBE_IOC_GUEST_INFLIGHT	_IO(VBE_IOC_MAGIC, 0x4d)
#define VBE_IOC_GUEST_EOI	_IO(VBE_IOC_MAGIC, 0x4e)
#define VBE_IOC_GUEST_DIE	_IO(VBE_IOC_MAGIC, 0x4f)

/**
 * struct vbe_guest_new - VBE_IOC_GUEST_NEW, on /dev/vbe: make a guest
 * @size: sizeof(struct vbe_guest_new)
 * @flags: 0
 * @name: NUL-terminated, for people; need not be unique: 1..31 of [A-Za-z0-9._:-]
 * @out_fd: out: the guest fd (close-on-exec)
 * @__reserved: zero
 */
struct vbe_guest_new {
	__u32 size;
	__u32 flags;
	__u8 name[VBE_LABEL_MAX];
	__s32 out_fd;
	__u32 __reserved;
};

#define VBE_GUEST_SAME_UID	0xffffffffU
#define VBE_GUEST_NO_GID	0xffffffffU

/**
 * struct vbe_guest_dev_add - VBE_IOC_GUEST_DEV_ADD: give the guest a device
 * @size: sizeof(struct vbe_guest_dev_add)
 * @flags: 0
 * @name: device name, unique on this machine, by which a backend opens it
 * @transport: "mmio", "pci", "raw" or "direct", NUL-terminated
 * @uid: who may open it as backend; VBE_GUEST_SAME_UID: who the caller is
 * @gid: group that may; VBE_GUEST_NO_GID: none
 * @virtio_id: fixes the device type; 0 leaves it to the backend
 * @loss_policy: &enum vbe_loss_policy, or VBE_LOSS_DEFAULT
 * @reset_timeout_ms: how long a reset waits for the backend; 0 for the default
 * @out_dev: out: number of the device within this guest
 * @base: "mmio": guest-physical address of its 4 KiB of registers, page aligned.
 *	"pci": PCI address as segment << 16 | bus << 8 | devfn: its configuration
 *	space is at @base << 12 in VBE_SPACE_PCI. "raw": the same, or 0 for none.
 *	"direct": 0
 *
 * Errors: EEXIST the name is taken, or @base overlaps another region of the guest;
 * ENOSPC too many devices; EPERM @uid or @gid is somebody else and the caller has no
 * CAP_SYS_ADMIN; ENOENT no such transport; ENODEV the guest is dead.
 */
struct vbe_guest_dev_add {
	__u32 size;
	__u32 flags;
	__u8 name[VBE_NAME_MAX];
	__u8 transport[VBE_LABEL_MAX];
	__u32 uid;
	__u32 gid;
	__u32 virtio_id;
	__u32 loss_policy;
	__u32 reset_timeout_ms;
	__u32 out_dev;
	__aligned_u64 base;
};

/**
 * struct vbe_guest_dev - VBE_IOC_GUEST_DEV_DEL, VBE_IOC_GUEST_EOI, VBE_IOC_GUEST_DIE
 * @size: sizeof(struct vbe_guest_dev)
 * @dev: number from GUEST_DEV_ADD (ENOENT); 0 for GUEST_DIE
 *
 * GUEST_DEV_DEL takes the device away at once: the guest reads ones where it was.
 * GUEST_EOI says that the guest has acknowledged the device's wired interrupt: if the
 * line is still high, it is raised again; an emulator's resample eventfd is signalled.
 * GUEST_DIE declares the guest dead: all devices go; only read() and close() work then.
 */
struct vbe_guest_dev {
	__u32 size;
	__u32 dev;
};

#define VBE_GUEST_INFO_F_BACKEND	(1U << 0)	/* a backend serves it */
#define VBE_GUEST_INFO_F_QUEUE_STOP	(1U << 1)	/* it can stop single queues */
#define VBE_GUEST_INFO_F_LINE		(1U << 2)	/* the wired interrupt is high */

/**
 * struct vbe_guest_dev_info - VBE_IOC_GUEST_DEV_INFO: a device as it is now
 * @size: sizeof(struct vbe_guest_dev_info)
 * @dev: in: number
 * @flags: out: VBE_GUEST_INFO_F_*
 * @state: out: &enum vbe_dev_state
 * @virtio_id: out: virtio device id, 0 before a backend has set it up
 * @vendor_id: out: virtio vendor id
 * @status: out: virtio device status
 * @n_queues: out: number of queues
 * @features: out: what is offered to the driver
 * @driver_features: out: what it took
 * @config_size: out: bytes of config space
 * @config_generation: out: counts changes by the backend
 * @inflight_size: out: bytes per queue of the in-flight area
 * @n_vectors: out: MSI vectors ("pci"), else 0
 */
struct vbe_guest_dev_info {
	__u32 size;
	__u32 dev;
	__u32 flags;
	__u32 state;
	__u32 virtio_id;
	__u32 vendor_id;
	__u32 status;
	__u32 n_queues;
	__aligned_u64 features;
	__aligned_u64 driver_features;
	__u32 config_size;
	__u32 config_generation;
	__u32 inflight_size;
	__u32 n_vectors;
};

#define VBE_GUEST_MEM_F_READONLY	(1U << 0)

/**
 * struct vbe_guest_mem - VBE_IOC_GUEST_MEM_ADD and VBE_IOC_GUEST_MEM_DEL
 * @size: sizeof(struct vbe_guest_mem)
 * @flags: VBE_GUEST_MEM_F_READONLY: backends may only read it
 * @fe_addr: guest-physical address, page aligned
 * @len: bytes, whole pages
 * @fd: ADD: a file that mmap works on, open for reading, and for writing unless
 *	READONLY; DEL: -1
 * @__reserved: zero
 * @offset: ADD: where in the file, page aligned
 *
 * The memory becomes a window of every device of the guest, present and future.
 *
 * Files in memory (memfd, tmpfs, /dev/shm) are populated on demand (class "pinned"), and
 * follow what the VMM does to the file. A hole reads as zero, and is filled when a backend
 * touches it. Beyond the end of the file a backend gets scratch memory. Scratch memory
 * that it has touched stays in its mapping, also when the file grows again, until the VMM
 * punches a hole there or takes the region back and adds it again.
 *
 * Huge pages (hugetlbfs, MFD_HUGETLB) are pinned as long as the region is there, and
 * counted against the caller's RLIMIT_MEMLOCK (unless it has CAP_IPC_LOCK) and the module's
 * mem_limit_mb. They are of class "pfn": no O_DIRECT, no fixed buffers. They do not follow
 * the file: what is truncated or punched out backends keep until DEL.
 *
 * DEL takes the region @fe_addr, @len back, whole; @flags and @offset are zero then. When
 * it returns, no backend reaches it any more; but I/O for which the kernel has pinned
 * pages already runs on until it ends. Mappings of a backend keep the file from being
 * sealed against writing (EBUSY for who tries) until the backend unmaps them, which it
 * does after VBE_EVENT_MEM.
 *
 * Errors of ADD: EEXIST overlaps a region of this guest; ENOSPC too many; EINVAL not
 * aligned, empty, or wrapping; EBADF; EACCES the file is not open for this; EPERM it is
 * sealed against writing; ENODEV it cannot be mapped, or the guest is dead; EOPNOTSUPP
 * this kind of memory cannot be shared with backends; ENOMEM also where huge pages are
 * over RLIMIT_MEMLOCK or the module's cap; ENOMEM or EFAULT they are too few, or past the
 * end of the file; EINTR. Of DEL: ENOENT there is no such region; EINVAL.
 */
struct vbe_guest_mem {
	__u32 size;
	__u32 flags;
	__aligned_u64 fe_addr;
	__aligned_u64 len;
	__s32 fd;
	__u32 __reserved;
	__aligned_u64 offset;
};

#define VBE_ACCESS_F_WRITE	(1U << 0)	/* in: a store; else a load */
#define VBE_ACCESS_F_PENDING	(1U << 1)	/* in and out: see below */
#define VBE_ACCESS_F_EVENTS	(1U << 2)	/* out: read() has something */

/**
 * struct vbe_guest_access - VBE_IOC_GUEST_ACCESS: what a vCPU did
 * @size: sizeof(struct vbe_guest_access)
 * @flags: VBE_ACCESS_F_*
 * @space: &enum vbe_space
 * @len: 1, 2, 4 or 8 bytes
 * @addr: address in that space; for VBE_SPACE_PCI: PCI address << 12 | offset
 * @data: in: what is stored; out: what is loaded, in the low bytes
 * @cookie: see below
 *
 * Answered in the kernel whenever no backend is needed. A virtio reset, a queue reset
 * or FEATURES_OK may wait for the backend, at most the device's reset time-out. An
 * access that an emulator must answer (transport "raw") waits for it for at most as
 * long, and can be interrupted: the call then returns 0 with VBE_ACCESS_F_PENDING and
 * a @cookie. The access has happened once; call again with both, and everything else
 * as it was, to wait on. With PENDING and @cookie 0 it has not been sent yet: the call
 * was interrupted while too many others waited. Call again in the same way. An access
 * that is given up is completed by DEV_DEL or DIE.
 *
 * Errors: ENOENT no device of the guest claims all of [addr, addr + len); EINVAL len;
 * ENODEV the guest is dead, or the cookie's device is gone: take it as all ones.
 */
struct vbe_guest_access {
	__u32 size;
	__u32 flags;
	__u32 space;
	__u32 len;
	__aligned_u64 addr;
	__aligned_u64 data;
	__aligned_u64 cookie;
};

/**
 * enum vbe_guest_fd_type - what an eventfd of the VMM is for
 * @VBE_GUEST_FD_KICK: its writes kick queue @index: for KVM_IOEVENTFD, or a VMM's own
 *	transport. What was written before a backend came is kept
 * @VBE_GUEST_FD_CALL: signalled to interrupt the driver for queue @index
 *	(transport "direct")
 * @VBE_GUEST_FD_CONFIG: signalled when the config space or status changed ("direct")
 * @VBE_GUEST_FD_LINE: signalled when the wired interrupt rises, and when it is still
 *	high after EOI
 * @VBE_GUEST_FD_RESAMPLE: its writes are EOIs of the wired interrupt: the resamplefd
 *	of KVM_IRQFD
 * @VBE_GUEST_FD_MSI: signalled for MSI vector @index; see VBE_GUEST_EVENT_VECTOR
 */
enum vbe_guest_fd_type {
	VBE_GUEST_FD_KICK,
	VBE_GUEST_FD_CALL,
	VBE_GUEST_FD_CONFIG,
	VBE_GUEST_FD_LINE,
	VBE_GUEST_FD_RESAMPLE,
	VBE_GUEST_FD_MSI,
};

/**
 * struct vbe_guest_set_fd - VBE_IOC_GUEST_SET_FD: attach an eventfd
 * @size: sizeof(struct vbe_guest_set_fd)
 * @dev: device
 * @type: &enum vbe_guest_fd_type
 * @index: queue or vector; 0 for others
 * @fd: eventfd, or -1 to detach
 * @flags: 0
 *
 * May be called at any time, also before a backend has come: fds stay with the device
 * until replaced, whatever backends come and go. An interrupt that has not been read()
 * as an event yet signals the new fd. When it returns, the old one is not used any more.
 */
struct vbe_guest_set_fd {
	__u32 size;
	__u32 dev;
	__u32 type;
	__u32 index;
	__s32 fd;
	__u32 flags;
};

#define VBE_GUEST_QUEUE_F_ENABLED	(1U << 0)
#define VBE_GUEST_QUEUE_F_MATCH		(1U << 1)

/**
 * struct vbe_guest_queue_info - VBE_IOC_GUEST_QUEUE_INFO
 * @size: sizeof(struct vbe_guest_queue_info)
 * @dev: in: device
 * @index: in: queue (ENOENT)
 * @flags: out: VBE_GUEST_QUEUE_F_ENABLED; VBE_GUEST_QUEUE_F_MATCH: only stores of
 *	@match kick this queue (KVM_IOEVENTFD_FLAG_DATAMATCH)
 * @max_size: out: the most entries
 * @num: out: entries that the driver chose
 * @desc: out: FE address of the descriptor area
 * @driver: out: FE address of the driver area
 * @device: out: FE address of the device area
 * @notify_addr: out: where in VBE_SPACE_MMIO a store kicks it; 0 while nowhere
 * @notify_len: out: bytes of that store; 0: any
 * @match: out: see @flags
 * @vector: out: MSI vector of the queue, or VBE_NO_QUEUE
 * @__reserved: zero
 */
struct vbe_guest_queue_info {
	__u32 size;
	__u32 dev;
	__u32 index;
	__u32 flags;
	__u32 max_size;
	__u32 num;
	__aligned_u64 desc;
	__aligned_u64 driver;
	__aligned_u64 device;
	__aligned_u64 notify_addr;
	__u32 notify_len;
	__u32 match;
	__u32 vector;
	__u32 __reserved;
};

#define VBE_GUEST_QUEUE_SET_F_ENABLE	(1U << 0)
#define VBE_GUEST_QUEUE_SET_F_BASE	(1U << 1)

/**
 * struct vbe_guest_queue_set - VBE_IOC_GUEST_QUEUE_SET: transport "direct" only
 * @size: sizeof(struct vbe_guest_queue_set)
 * @dev: device
 * @index: queue
 * @flags: VBE_GUEST_QUEUE_SET_F_ENABLE: set it up and enable it; else stop it.
 *	VBE_GUEST_QUEUE_SET_F_BASE: begin at @base
 * @num: entries
 * @base: in, with F_BASE: where to begin. Out, of a stop: where the backend ended.
 *	Low 16 bits: next available index; packed rings: with its wrap counter as bit
 *	15, and the next used index in the high 16 bits likewise
 * @desc: FE address of the descriptor area
 * @driver: FE address of the driver area
 * @device: FE address of the device area
 *
 * A stop lets the backend finish what it has taken, for at most the reset time-out.
 * Errors: EINVAL sizes, or features are not settled (FEATURES_OK); EBUSY it is enabled
 * already; EFAULT an address that is not aligned, or not within guest memory;
 * EOPNOTSUPP the backend cannot stop single queues; ENOTCONN none serves the device.
 */
struct vbe_guest_queue_set {
	__u32 size;
	__u32 dev;
	__u32 index;
	__u32 flags;
	__u32 num;
	__u32 base;
	__aligned_u64 desc;
	__aligned_u64 driver;
	__aligned_u64 device;
};

/**
 * struct vbe_guest_features - VBE_IOC_GUEST_FEATURES: transport "direct" only
 * @size: sizeof(struct vbe_guest_features)
 * @dev: device
 * @features: what the driver takes; looked at when FEATURES_OK is set
 */
struct vbe_guest_features {
	__u32 size;
	__u32 dev;
	__aligned_u64 features;
};

/**
 * struct vbe_guest_status - VBE_IOC_GUEST_STATUS: transport "direct" only
 * @size: sizeof(struct vbe_guest_status)
 * @dev: device
 * @status: in: device status that the driver writes, 0 resets; out: what it reads
 *	back. FEATURES_OK is missing there when the features were refused
 * @__reserved: zero
 */
struct vbe_guest_status {
	__u32 size;
	__u32 dev;
	__u32 status;
	__u32 __reserved;
};

#define VBE_GUEST_CONFIG_F_WRITE	(1U << 0)

/**
 * struct vbe_guest_config - VBE_IOC_GUEST_CONFIG: transport "direct" only
 * @size: sizeof(struct vbe_guest_config)
 * @dev: device
 * @offset: first byte
 * @len: bytes; offset + len must not pass config_size (EINVAL)
 * @flags: VBE_GUEST_CONFIG_F_WRITE
 * @out_generation: out: config generation, read before the bytes
 * @buf: user pointer
 */
struct vbe_guest_config {
	__u32 size;
	__u32 dev;
	__u32 offset;
	__u32 len;
	__u32 flags;
	__u32 out_generation;
	__aligned_u64 buf;
};

/*
 * VBE_IOC_GUEST_KICK takes dev << 16 | queue itself as its argument, not a pointer:
 * transport "direct" only.
 */

#define VBE_GUEST_INFLIGHT_F_RESUME	(1U << 0)

/**
 * struct vbe_guest_inflight - VBE_IOC_GUEST_INFLIGHT: who keeps the in-flight area
 * @size: sizeof(struct vbe_guest_inflight)
 * @dev: device, transport "direct", with status 0 and a backend that has set it up
 * @fd: memfd with the area
 * @flags: VBE_GUEST_INFLIGHT_F_RESUME: it is what a former backend left: keep its
 *	contents. Else it is zeroed
 * @offset: where in the file, page aligned
 * @len: bytes: n_queues * inflight_size of GUEST_DEV_INFO (EINVAL)
 *
 * The device's in-flight area then is this memory, until the device goes: so a VMM
 * that outlives this guest fd can hand it to the next one. If the backend leaves before
 * DEV_ONLINE, or after DEV_OFFLINE, the area goes with what that backend had set up.
 *
 * Errors: EOPNOTSUPP the transport is not "direct", or the file is neither a memfd nor
 * of tmpfs (huge pages do not do); ENOTCONN no backend has set the device up; EBUSY its
 * status is not 0; EINVAL @len, alignment, flags, past the end of the file, or the backend
 * has no in-flight area; EACCES the file is not open for reading and writing; EPERM it is
 * sealed against writing; EBADF; ENOENT no such device; ENOMEM also over the module's cap;
 * EINTR.
 */
struct vbe_guest_inflight {
	__u32 size;
	__u32 dev;
	__s32 fd;
	__u32 flags;
	__aligned_u64 offset;
	__aligned_u64 len;
};

/**
 * enum vbe_guest_event_type - what read() on a guest fd tells
 * @VBE_GUEST_EVENT_STATE: the device's state or backend changed: ask GUEST_DEV_INFO.
 *	@data[0]: &enum vbe_dev_state when it was read
 * @VBE_GUEST_EVENT_LINE: the wired interrupt changed; @data[0]: its level
 * @VBE_GUEST_EVENT_MSI: vector @index fired and has no eventfd; @data: address, message
 * @VBE_GUEST_EVENT_CALL: queue @index called and has no eventfd ("direct")
 * @VBE_GUEST_EVENT_CONFIG: config space or status changed, no eventfd ("direct")
 * @VBE_GUEST_EVENT_VECTOR: the guest wrote MSI vector @index; @data: address, message:
 *	what an eventfd given as VBE_GUEST_FD_MSI must be routed to. @data[2]: masked
 * @VBE_GUEST_EVENT_REGION: region @index moved; @data: address, length, &enum vbe_space;
 *	length 0: the device does not decode it now. Notify addresses have moved with it
 * @VBE_GUEST_EVENT_GONE: the device was deleted by the administrator
 */
enum vbe_guest_event_type {
	VBE_GUEST_EVENT_STATE = 1,
	VBE_GUEST_EVENT_LINE = 2,
	VBE_GUEST_EVENT_MSI = 3,
	VBE_GUEST_EVENT_CALL = 4,
	VBE_GUEST_EVENT_CONFIG = 5,
	VBE_GUEST_EVENT_VECTOR = 6,
	VBE_GUEST_EVENT_REGION = 7,
	VBE_GUEST_EVENT_GONE = 8,
};

/**
 * struct vbe_guest_event - one record from read() on a guest fd
 * @type: &enum vbe_guest_event_type
 * @dev: device
 * @index: as the type says, else 0
 * @__reserved: zero
 * @data: as the type says
 *
 * read() returns as many whole records as fit, and blocks for the first unless
 * O_NONBLOCK; it returns 0 once the guest is dead. poll() gives EPOLLIN when there may be
 * records (read with O_NONBLOCK then), and EPOLLHUP once the guest is dead.
 */
struct vbe_guest_event {
	__u32 type;
	__u32 dev;
	__u32 index;
	__u32 __reserved;
	__aligned_u64 data[4];
};

#endif /* _UAPI_LINUX_VBE_GUEST_H */
