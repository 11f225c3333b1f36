/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The user provider: a process is the hypervisor.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * Files:
 *
 *	guest.c		the guest fd: life, ioctl table, death
 *	dev.c		devices of a guest, and the provider ops
 *	access.c	what a vCPU did
 *	direct.c	the VMM drives the device itself (transport "direct")
 *	irq.c		interrupts towards the VMM, and kicks from it, by eventfd
 *	event.c		what the VMM reads from the guest fd
 *	memory.c	guest memory: from files to windows
 *	huge.c		guest memory in huge pages
 *	inflight.c	an in-flight area that the VMM keeps
 *
 * Lock order, outermost first:
 *
 *	user_guest.lock		(mutex) its devices and memory come and go
 *	  the core's locks, down to mem_sem
 *	  user_dev.tell_lock	(spin, irq) what events tell
 *
 * Interrupts take none of these: eventfds are found under SRCU, events are bits.
 * GUEST_ACCESS takes none of these: it finds its device through the core.
 */
#ifndef VBE_USER_H
#define VBE_USER_H

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/srcu.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include <linux/vbe_guest.h>

#include "vbe.h"

/* What interrupts and events a device has towards its VMM. */
enum user_source {
	USER_SRC_STATE,
	USER_SRC_GONE,
	USER_SRC_LINE,
	USER_SRC_CONFIG,
	USER_SRC_CALL,						/* + queue */
	USER_SRC_MSI = USER_SRC_CALL + VBE_MAX_QUEUES,		/* + vector */
	USER_SRC_VECTOR = USER_SRC_MSI + VBE_GUEST_MAX_VECTORS,	/* + vector */
	USER_SRC_REGION = USER_SRC_VECTOR + VBE_GUEST_MAX_VECTORS, /* + region */
	USER_SRC_MAX = USER_SRC_REGION + VBE_RAW_MAX_REGIONS + 1,
};

/* Sources that an eventfd may stand for: LINE, CONFIG, CALL and MSI. */
#define USER_FD_SOURCES		USER_SRC_VECTOR

/* A range of guest memory: memory.c's. */
struct user_mem;

/**
 * struct user_huge - pinned pages of a file
 * @pages: @n of them
 * @n: number
 * @pinned: how many have been pinned, while that goes on
 * @mm: on whose account
 */
struct user_huge {
	struct page **pages;
	unsigned long n;
	unsigned long pinned;
	struct mm_struct *mm;
};

/**
 * struct user_vector - what the guest wrote of an MSI vector
 * @addr: address
 * @data: message
 * @masked: by the guest
 */
struct user_vector {
	u64 addr;
	u32 data;
	bool masked;
};

/**
 * struct user_dev - a device of a guest
 * @guest: its guest, reference held
 * @vbe: the core's device, reference held; NULL until dev_add
 * @id: number in the guest
 * @ref: the guest's table holds one until the device goes, the core's device one
 * @made: the VMM has its number; under user_guest.lock
 * @dead: deleted; under user_guest.lock, read anywhere
 *
 * @kicks: eventfds that the VMM gave for queues; under vbe->lock
 * @resample: hook of the VMM's resample eventfd; under user_guest.lock
 *
 * @fds: eventfds towards the VMM, by source; changed under user_guest.lock, read under
 *	user_guest.srcu
 * @signal: sources whose eventfd is to be signalled by @signal_work
 * @signal_work: signals, and wakes readers of events, where that was not allowed on the
 *	spot
 * @pending: events to be read, by source
 *
 * @tell_lock: protects what follows
 * @pulsed: the wired line was pulsed since VBE_GUEST_EVENT_LINE was read
 * @vectors: MSI vectors as the guest last wrote them
 * @regions: as the transport last mapped them; len 0: not mapped
 */
struct user_dev {
	struct user_guest *guest;
	struct vbe_device *vbe;
	u32 id;
	struct kref ref;
	bool made;
	bool dead;

	struct file *kicks[VBE_MAX_QUEUES];
	struct vbe_hook *resample;

	struct eventfd_ctx __rcu *fds[USER_FD_SOURCES];
	DECLARE_BITMAP(signal, USER_FD_SOURCES);
	struct work_struct signal_work;
	DECLARE_BITMAP(pending, USER_SRC_MAX);

	spinlock_t tell_lock;
	bool pulsed;
	struct user_vector vectors[VBE_GUEST_MAX_VECTORS];
	struct vbe_region regions[VBE_RAW_MAX_REGIONS + 1];
};

/**
 * struct user_guest - a guest fd
 * @ref: the file holds one, each user_dev one
 * @core: what the core knows of it
 * @lock: protects @devs, @mem, @n_mem, @dead
 * @devs: by number, NULL where free
 * @mem: list of struct user_mem
 * @n_mem: its length
 * @dead: no more devices or memory
 * @ready: devices that have events to be read, by number
 * @wait: readers and pollers of events; who waits for a device to be deleted
 * @death: deletes the devices, in a context where no signal interrupts it
 * @srcu: interrupts under way. Of its own, since a VMM may replace eventfds often (each
 *	time the guest masks a vector), and waits for them
 * @why: last error on the fd
 */
struct user_guest {
	struct kref ref;
	struct vbe_guest *core;
	struct mutex lock;
	struct user_dev *devs[VBE_GUEST_MAX_DEVICES];
	struct list_head mem;
	u32 n_mem;
	bool dead;
	DECLARE_BITMAP(ready, VBE_GUEST_MAX_DEVICES);
	wait_queue_head_t wait;
	struct work_struct death;
	struct srcu_struct srcu;
	struct vbe_why why;
};

/* guest.c */
int user_guest_new(struct vbe_guest_new *arg, struct vbe_new_fd *nfd, struct vbe_why *why);
void user_guest_put(struct user_guest *guest);

/* dev.c */
int user_ioctl_dev_add(void *ctx, void *arg, struct vbe_new_fd *nfd);
int user_ioctl_dev_del(void *ctx, void *arg, struct vbe_new_fd *nfd);
int user_ioctl_dev_info(void *ctx, void *arg, struct vbe_new_fd *nfd);
struct user_dev *user_dev_get(struct user_guest *guest, u32 id);
void user_dev_put(struct user_dev *ud);
void user_guest_delete_devs(struct user_guest *guest);

/* access.c */
int user_ioctl_access(void *ctx, void *arg, struct vbe_new_fd *nfd);
int user_ioctl_eoi(void *ctx, void *arg, struct vbe_new_fd *nfd);

/* direct.c */
int user_ioctl_queue_info(void *ctx, void *arg, struct vbe_new_fd *nfd);
int user_ioctl_queue_set(void *ctx, void *arg, struct vbe_new_fd *nfd);
int user_ioctl_features(void *ctx, void *arg, struct vbe_new_fd *nfd);
int user_ioctl_status(void *ctx, void *arg, struct vbe_new_fd *nfd);
int user_ioctl_config(void *ctx, void *arg, struct vbe_new_fd *nfd);
int user_guest_kick(struct user_guest *guest, unsigned long arg);

/* irq.c */
void user_irq_init(struct user_dev *ud);
void user_irq_exit(struct user_dev *ud);
void user_inject(struct vbe_device *dev, const struct vbe_irq *irq);
int user_ioctl_set_fd(void *ctx, void *arg, struct vbe_new_fd *nfd);
int user_apply_kicks(struct user_dev *ud);

/* event.c */
bool user_line(struct user_dev *ud);
void user_event(struct user_dev *ud, u32 source);
void user_event_nested(struct user_dev *ud, u32 source);
void user_vector_changed(struct vbe_device *dev, u32 vector, u64 addr, u32 data, bool masked);
int user_region_map(struct vbe_device *dev, const struct vbe_region *region);
void user_region_unmap(struct vbe_device *dev, const struct vbe_region *region);
bool user_events_pending(struct user_guest *guest);
ssize_t user_events_read(struct user_guest *guest, struct iov_iter *to, bool nonblock);

/*
 * memory.c. All with guest->lock held, but the ioctls.
 *
 * user_mem_attach() gives a new device windows on all memory of the guest;
 * user_mem_detach() takes them back when no backend is attached any more;
 * user_mem_free() ends all memory of a guest without devices.
 */
int user_ioctl_mem_add(void *ctx, void *arg, struct vbe_new_fd *nfd);
int user_ioctl_mem_del(void *ctx, void *arg, struct vbe_new_fd *nfd);
int user_mem_attach(struct user_dev *ud);
void user_mem_detach(struct user_dev *ud);
void user_mem_free(struct user_guest *guest);
bool user_file_sealed(struct file *file);

/* huge.c */
bool user_file_huge(struct file *file);
unsigned int user_file_huge_seals(struct file *file);
struct user_huge *user_huge_new(struct file *file, u64 offset, u64 len, bool readonly,
				struct vbe_why *why);
void user_huge_free(struct user_huge *huge);

/* inflight.c */
int user_ioctl_inflight(void *ctx, void *arg, struct vbe_new_fd *nfd);

#endif /* VBE_USER_H */
