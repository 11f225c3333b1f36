/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The raw transport's own: accesses that wait, matches, interrupts.
 *
 * Copyright (c) 2026 The vbe authors
 *
 *	raw.c		accesses and regions
 *	raw_match.c	stores that signal an eventfd
 *	raw_irq.c	eventfds that interrupt
 */
#ifndef VBE_RAW_H
#define VBE_RAW_H

#include "vbe.h"

/* Fewer than an event queue has room for: what nobody reads does not fill it. */
#define VBE_RAW_SLOTS		48

/**
 * enum vbe_raw_state - what an access that needs the emulator has come to
 * @VBE_RAW_FREE: the slot is not in use
 * @VBE_RAW_ASKED: its event is posted
 * @VBE_RAW_ANSWERED: the answer is there
 */
enum vbe_raw_state {
	VBE_RAW_FREE,
	VBE_RAW_ASKED,
	VBE_RAW_ANSWERED,
};

/**
 * struct vbe_raw_slot - an access that waits for the emulator
 * @state: &enum vbe_raw_state
 * @waiting: somebody waits on @done. Else a signal interrupted the vCPU: it comes again,
 *	or the slot is taken from it after @deadline
 * @cookie: of its event
 * @access: as it came
 * @data: the answer
 * @deadline: jiffies when it is given up
 * @done: completed together with VBE_RAW_ANSWERED
 *
 * All but @done under dev->lock.
 */
struct vbe_raw_slot {
	enum vbe_raw_state state;
	bool waiting;
	u64 cookie;
	struct vbe_access access;
	u64 data;
	unsigned long deadline;
	struct completion done;
};

/**
 * struct vbe_raw_target - how an index interrupts
 * @type: &enum vbe_raw_irq_type
 * @msi_addr: VBE_RAW_IRQ_MSI
 * @msi_data: VBE_RAW_IRQ_MSI
 * @resample: VBE_RAW_IRQ_LEVEL: eventfd, reference held, or NULL
 */
struct vbe_raw_target {
	u32 type;
	u64 msi_addr;
	u32 msi_data;
	struct eventfd_ctx *resample;
};

/**
 * struct vbe_raw_source - an interrupt index
 * @raw: its device's
 * @index: number
 * @hook: on its eventfd, or NULL; under dev->lock
 * @target: what a write does now. Written under dev->lock, read under RCU
 */
struct vbe_raw_source {
	struct vbe_raw *raw;
	u32 index;
	struct vbe_hook *hook;
	struct vbe_raw_target __rcu *target;
};

/**
 * struct vbe_raw - a device's raw transport
 * @dev: device
 * @slots: accesses that wait
 * @room: wakes who waits for a free slot
 * @regions: bit per region that the backend claimed; under dev->lock
 * @config: the device has a PCI configuration space
 * @doorbells: the matches. Written under dev->lock, read under RCU
 * @n_doorbells: their number; under dev->lock
 * @irqs: interrupts
 * @line_lock: protects @raised and @resample; innermost, taken inside wqh.lock
 * @raised: bit per index that holds the wired line high
 * @resample: bit per index whose resample eventfd @resample_work is to signal
 * @resample_work: signals them where an EOI may not
 */
struct vbe_raw {
	struct vbe_device *dev;
	struct vbe_raw_slot slots[VBE_RAW_SLOTS];
	wait_queue_head_t room;
	u32 regions;
	bool config;

	struct list_head doorbells;
	u32 n_doorbells;

	struct vbe_raw_source irqs[VBE_RAW_MAX_IRQS];
	spinlock_t line_lock;
	u64 raised;
	u64 resample;
	struct work_struct resample_work;
};

/* raw.c */
int vbe_raw_lock(struct vbe_client *c);

/* raw_match.c */
void vbe_raw_match_init(struct vbe_raw *raw);
bool vbe_raw_match_hit(struct vbe_raw *raw, const struct vbe_access *a);
void vbe_raw_match_drop(struct vbe_raw *raw);
int vbe_raw_ioctl_match(void *ctx, void *arg, struct vbe_new_fd *nfd);

/* raw_irq.c */
void vbe_raw_irq_init(struct vbe_raw *raw);
void vbe_raw_irq_drop(struct vbe_raw *raw);
void vbe_raw_irq_exit(struct vbe_raw *raw);
void vbe_raw_irq_reset(struct vbe_device *dev);
void vbe_raw_irq_eoi(struct vbe_device *dev, bool nested);
bool vbe_raw_irq_line(struct vbe_device *dev);
int vbe_raw_ioctl_irq(void *ctx, void *arg, struct vbe_new_fd *nfd);

#endif /* VBE_RAW_H */
