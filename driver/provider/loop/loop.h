/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The loop provider: devices on this machine's own virtio bus.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * A device added here appears as a real virtio_device, so that the kernel's own
 * drivers bind to it. Files:
 *
 *	main.c		provider ops: a device comes, is shown, is hidden, goes
 *	vdev.c		the virtio_device and its virtio_config_ops
 *	irq.c		interrupts into the driver
 *	pool.c		the bounce pool: all of FE memory that a backend ever sees
 *	dma.c		the driver's mappings, by DMA or virtio map ops
 *	limits.c	how much of the pool a driver may ask for at once
 *	finish.c	who serves a driver when no backend will any more
 *	force.c		the same on rings that a backend has wrecked
 *
 * Lock order, outermost first:
 *
 *	loop_vdev.finish_lock	(mutex)
 *	loop_vq.lock		(spin, irq) held while the driver's callback runs
 *	  the driver's own locks
 *	  loop_area.lock	(spin, irq)
 *
 * notify() runs under the driver's locks, and takes none of these.
 */
#ifndef VBE_LOOP_H
#define VBE_LOOP_H

#include <linux/device.h>
#include <linux/dma-direction.h>
#include <linux/irq_work.h>
#include <linux/irqreturn.h>
#include <linux/mutex.h>
#include <linux/sizes.h>
#include <linux/spinlock.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <linux/workqueue.h>

#include <vbe/virtqueue.h>

#include "vbe.h"

#define LOOP_FE_BASE		0x100000ULL	/* not 0: bugs use that */
#define LOOP_WINDOW_DEFAULT	SZ_16M
#define LOOP_WINDOW_MIN		SZ_1M
#define LOOP_WINDOW_MAX		SZ_1G

#define LOOP_SMALL_SHIFT	8	/* granule of small mappings: 256 bytes */
#define LOOP_SMALL_MAX		2048	/* above, whole pages */
#define LOOP_AREA_PAGES		256	/* aimed at; see loop_pool_init() */
#define LOOP_MAP_MAX		(256U << 10)
#define LOOP_POISON		0xff	/* what failed requests read */
#define LOOP_MAX_SEGS		1024	/* segments of a chain that finish.c takes */

/* ---- pool.c ------------------------------------------------------------- */

/**
 * struct loop_slot - what is mapped by a unit (page or granule) of the pool
 * @orig: the driver's buffer; 0 for a coherent allocation
 * @len: its length; 0: this unit is free, or is not the first of its mapping
 * @first: the mapping's first unit in the region
 * @dir: &enum dma_data_direction
 *
 * The trusted record of each mapping: it is in no page that a backend can reach.
 */
struct loop_slot {
	phys_addr_t orig;
	u32 len;
	u16 first;
	u8 dir;
};

/**
 * struct loop_region - a part of an area with units of one size
 * @page: its first page in the pool
 * @shift: log2 of the unit's size
 * @n: units
 * @free: units not in @used
 * @next: where to look first
 * @used: bitmap: units in use
 * @slots: per unit
 *
 * All under the area's lock, but @free, which may be peeked at.
 */
struct loop_region {
	unsigned long page;
	unsigned int shift;
	unsigned int n;
	unsigned int free;
	unsigned int next;
	unsigned long *used;
	struct loop_slot *slots;
};

/**
 * struct loop_area - a part of the pool with a lock of its own
 * @lock: protects all below
 * @pages: for all above LOOP_SMALL_MAX bytes
 * @small: granules for the rest
 */
struct loop_area {
	spinlock_t lock;	/* all below */
	struct loop_region pages;
	struct loop_region small;
} ____cacheline_aligned_in_smp;

/**
 * struct loop_pool - the bounce pool of a device
 * @pages: all pages, one reference each
 * @n_pages: number
 * @vaddr: where the kernel sees them, in one piece
 * @ring_pages: pages at the beginning, for rings alone
 * @rings: those; a window of its own, whose driver-written pages are guarded
 * @areas: parts of the rest
 * @n_areas: number
 * @area_pages: pages of each area but the last, which has what is left over too
 * @n_data: pages in the areas' page regions
 * @suspect: I/O of a dead backend may still write to pages
 * @max_map: longest mapping in bytes
 * @reserve: share of each area, in eighths, that no device-writable mapping gets:
 *	for drivers that keep receive buffers posted, so that they can still send
 * @failing: device-writable mappings are filled with LOOP_POISON
 * @live: streaming mappings now
 * @exhausted: mappings refused for want of room
 */
struct loop_pool {
	struct page **pages;
	unsigned long n_pages;
	void *vaddr;
	unsigned int ring_pages;
	struct loop_area rings;
	struct loop_area *areas;
	unsigned int n_areas;
	unsigned int area_pages;
	unsigned int n_data;
	bool suspect;
	size_t max_map;
	unsigned int reserve;
	bool failing;
	atomic_t live;
	atomic64_t exhausted;
};

int loop_pool_init(struct loop_pool *pool, unsigned long n_pages);
void loop_pool_free(struct loop_pool *pool);
dma_addr_t loop_pool_map(struct loop_pool *pool, phys_addr_t orig, size_t len,
			 enum dma_data_direction dir, bool copy);
bool loop_pool_unmap(struct loop_pool *pool, dma_addr_t addr, bool copy);
void loop_pool_sync(struct loop_pool *pool, dma_addr_t addr, size_t len, bool for_cpu);
void *loop_pool_alloc(struct loop_pool *pool, size_t size, dma_addr_t *addr);
void loop_pool_release(struct loop_pool *pool, dma_addr_t addr);
void loop_pool_reset(struct loop_pool *pool);
bool loop_pool_is_live(struct loop_pool *pool, dma_addr_t addr);
void loop_pool_fail(struct loop_pool *pool);
void loop_pool_suspect(struct loop_pool *pool);
void loop_pool_clean(struct loop_pool *pool);
bool loop_pool_settle(struct loop_pool *pool, unsigned int timeout_ms);
unsigned int loop_pool_used(struct loop_pool *pool);

/* ---- the device ------------------------------------------------------------ */

struct loop_vdev;

/**
 * struct loop_vq - a virtqueue of the driver
 * @lv: owner
 * @lock: protects @vq, and keeps two callbacks from running at once
 * @vq: the driver's queue; NULL before find_vqs() and after del_vqs()
 * @live: interrupts are delivered; false between reset and del_vqs()
 * @irq: delivers where the driver's callback may run
 * @num: entries
 * @engine: finish.c: the device's end of the ring
 * @slots: finish.c: memory for @engine, allocated with the queue
 * @engine_ready: finish.c: @engine was begun
 *
 * @vq and @live change under both @lock and finish_lock.
 */
struct loop_vq {
	struct loop_vdev *lv;
	spinlock_t lock;	/* vq, live, one callback at a time */
	struct virtqueue *vq;
	bool live;
	struct irq_work irq;
	u32 num;

	struct vbe_vq engine;
	struct vbe_vq_slot *slots;
	bool engine_ready;
};

/**
 * struct loop_limits - what limits.c allows a driver
 * @num: most entries of a ring
 * @seg_max: most data segments per request; 0: no limit
 */
struct loop_limits {
	u32 num;
	u32 seg_max;
};

/**
 * struct loop_vdev - one appearance of the device on the virtio bus
 * @vdev: the virtio device; freed with its last reference
 * @ld: owner, pinned as @vdev's parent
 * @n_vqs: queues
 * @started: the virtio core has initialised @vdev, so it may be interrupted
 * @config_irq: delivers config changes
 * @limits: in force since the driver took its features
 *
 * @finish_lock: held by finish.c while it works on rings, and by who takes rings
 *	away from it
 * @finish: work of finish.c
 * @finishing: no backend serves any more: kicks go to @finish. Never cleared
 * @kicked: @finish has been called for since it last began. Atomic
 * @progress: jiffies when it last finished something, or nothing was mapped
 * @forced: rounds of force.c
 * @window: the pool, as the engine wants it
 * @mem: @window
 * @segs: segments of the chain at hand; LOOP_MAX_SEGS entries
 * @inflight: the in-flight areas of all queues, or NULL
 * @vqs: queues
 */
struct loop_vdev {
	struct virtio_device vdev;
	struct loop_device *ld;
	u32 n_vqs;
	bool started;
	struct irq_work config_irq;
	struct loop_limits limits;

	struct mutex finish_lock;	/* the rings, against their end */
	struct delayed_work finish;
	bool finishing;
	atomic_t kicked;
	unsigned long progress;
	unsigned int forced;
	struct vbe_vq_window window;
	struct vbe_vq_mem mem;
	struct vbe_vq_seg *segs;
	void *inflight;

	struct loop_vq vqs[];
};

#define to_loop_vdev(_vdev)	container_of(_vdev, struct loop_vdev, vdev)

/**
 * struct loop_device - a vbe device of this provider
 * @parent: the virtio device's parent; its release frees this
 * @dma_parms: of @parent
 * @vbe: the core's device, valid until dev_del()
 * @pool: FE memory
 * @ring_window: the rings in @pool, as the core knows them
 * @window: the rest of @pool, as the core knows it
 * @lock: protects @want, @force and @shown
 * @want: the FE shall see it
 * @force: no backend serves it any more
 * @shown: the core believes that it is shown
 * @work: makes it so; the only one that changes @vdev
 * @vdev: what the FE sees, or NULL; RCU
 */
struct loop_device {
	struct device parent;
	struct device_dma_parameters dma_parms;
	struct vbe_device *vbe;
	struct loop_pool pool;
	struct vbe_window ring_window;
	struct vbe_window window;

	spinlock_t lock;	/* want, force, shown */
	bool want;
	bool force;
	bool shown;
	struct work_struct work;
	struct loop_vdev __rcu *vdev;
};

#define to_loop_device(_dev)	container_of(_dev, struct loop_device, parent)

/* main.c */
extern struct workqueue_struct *loop_finish_wq;
void loop_object_new(void);
void loop_object_gone(void);

/* vdev.c */
struct loop_vdev *loop_vdev_new(struct loop_device *ld);
void loop_vdev_put(struct loop_vdev *lv);

/* irq.c */
void loop_irq_init_vq(struct loop_vq *lvq);
void loop_irq_init_config(struct loop_vdev *lv);
void loop_irq_queue(struct loop_vq *lvq, bool nested);
void loop_irq_config(struct loop_vdev *lv);
irqreturn_t loop_irq_deliver(struct loop_vq *lvq);
void loop_irq_sync(struct loop_vdev *lv);

/* dma.c */
int loop_dma_setup(struct loop_device *ld);
void loop_dma_setup_vdev(struct loop_vdev *lv);

/* limits.c */
void loop_limits_set(struct loop_vdev *lv);
void loop_limits_config(struct loop_vdev *lv, u32 offset, void *buf, u32 len);

/* finish.c */
int loop_finish_init(struct loop_vdev *lv);
void loop_finish_free(struct loop_vdev *lv);
void loop_finish_start(struct loop_vdev *lv);
void loop_finish_kick(struct loop_vdev *lv);
void loop_finish_end(struct loop_vdev *lv);

/* force.c */
unsigned int loop_force_vq(struct loop_vq *lvq);
void loop_force_distrust(struct loop_device *ld);

#endif /* VBE_LOOP_H */
