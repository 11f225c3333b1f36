// SPDX-License-Identifier: GPL-2.0
/*
 * The failing device: who serves a driver when no backend will any more.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * A device that is taken away without a backend still has a driver, which waits
 * for what is in flight, and on its way out makes new requests. All of them are
 * completed here with a used length of 0 and 0xff in everything that the device
 * should have written, which every virtio device type reads as an error.
 *
 * The virtqueue engine tells what is in flight: from the rings and, where the
 * backend kept one, its in-flight area. A hostile backend may have written
 * anything to both. The engine is bounded and may come to any wrong conclusion;
 * whether it did is known from the pool, whose table of mappings no backend can
 * reach: while the driver has something mapped, it waits for something. When
 * that lasts for a second with nothing left to complete, force.c takes over.
 */
#include <linux/slab.h>
#include <linux/virtio_ring.h>
#include <linux/vmalloc.h>

#include "transport/direct.h"
#include "loop.h"

#define LOOP_FORCE_ROUNDS	8

static void *loop_finish_ptr(struct loop_vq *lvq, dma_addr_t addr)
{
	return lvq->lv->ld->pool.vaddr + (addr - LOOP_FE_BASE);
}

/* Begin where the backend stopped. */
static int loop_finish_begin(struct loop_vq *lvq)
{
	struct loop_vdev *lv = lvq->lv;
	u32 index = lvq->vq->index, len = lv->ld->vbe->inflight_size;
	struct vbe_vq_config cfg = {
		.features = lv->vdev.features,
		.size = lvq->num,
		.desc_addr = virtqueue_get_desc_addr(lvq->vq),
		.driver_addr = virtqueue_get_avail_addr(lvq->vq),
		.device_addr = virtqueue_get_used_addr(lvq->vq),
		.mem = &lv->mem,
		.slots = lvq->slots,
		.nr_slots = lvq->num,
		.max_indirect = LOOP_MAX_SEGS,
	};
	int ret;

	if (lv->inflight && len >= vbe_vq_inflight_size(&cfg)) {
		cfg.inflight = lv->inflight + (size_t)index * len;
		cfg.inflight_len = len;
		cfg.flags |= VBE_VQ_RESUME;
	}
	/*
	 * A backend that logs nothing is taken to have completed in order. A
	 * packed ring does not say where that was.
	 */
	if (!(cfg.features & BIT_ULL(VIRTIO_F_RING_PACKED))) {
		const struct vring_used *used = loop_finish_ptr(lvq, cfg.device_addr);

		cfg.flags |= VBE_VQ_START;
		cfg.start_used = le16_to_cpu((__force __le16)READ_ONCE(used->idx));
		cfg.start_avail = cfg.start_used;
	}
	ret = vbe_vq_init(&lvq->engine, &cfg);
	lvq->engine_ready = true;
	if (ret)
		dev_warn(&lv->vdev.dev, "queue %u was left in disorder: %s\n", index,
			 vbe_vq_strerror(ret));
	return ret;
}

/* Returns how many chains were completed. */
static unsigned int loop_finish_vq(struct loop_vq *lvq)
{
	struct vbe_vq_chain chain = { .segs = lvq->lv->segs, .max_segs = LOOP_MAX_SEGS };
	unsigned int n = 0;

	lockdep_assert_held(&lvq->lv->finish_lock);
	if (!lvq->live || (!lvq->engine_ready && loop_finish_begin(lvq)))
		return 0;
	while (n < lvq->num && vbe_vq_pop(&lvq->engine, &chain) > 0) {
		if (vbe_vq_push(&lvq->engine, chain.token, 0))
			break;
		n++;
	}
	if (vbe_vq_enable_kicks(&lvq->engine) > 0)
		loop_finish_kick(lvq->lv);
	/* The dead backend's last call may have been lost, so interrupt at any rate. */
	loop_irq_queue(lvq, false);
	return n;
}

static void loop_finish_force(struct loop_vdev *lv)
{
	unsigned int n = 0;
	u32 i;

	/* Who still probes waits for nothing. */
	if (!(vbe_direct_status(lv->ld->vbe) & VIRTIO_CONFIG_S_DRIVER_OK))
		return;
	if (lv->forced++ >= LOOP_FORCE_ROUNDS)
		return;
	for (i = 0; i < lv->n_vqs; i++)
		if (lv->vqs[i].live)
			n += loop_force_vq(&lv->vqs[i]);
	dev_warn(&lv->vdev.dev, "the backend left broken rings: %u requests failed by force\n", n);
}

static void loop_finish_work(struct work_struct *work)
{
	struct loop_vdev *lv = container_of(to_delayed_work(work), struct loop_vdev, finish);
	struct loop_pool *pool = &lv->ld->pool;
	unsigned int n = 0;
	u32 i;

	atomic_set(&lv->kicked, 0);
	/* Pairs with virtio_ring's barrier between a new entry and the kick. */
	smp_mb__after_atomic();
	mutex_lock(&lv->finish_lock);
	if (!READ_ONCE(pool->failing))
		loop_pool_fail(pool);
	for (i = 0; i < lv->n_vqs; i++) {
		n += loop_finish_vq(&lv->vqs[i]);
		cond_resched();
	}
	if (n || !atomic_read(&pool->live))
		lv->progress = jiffies;
	else if (time_after(jiffies, lv->progress + HZ))
		loop_finish_force(lv);
	mutex_unlock(&lv->finish_lock);
	queue_delayed_work(loop_finish_wq, &lv->finish, HZ / 2);
}

/**
 * loop_finish_kick() - the driver notifies a queue that no backend serves
 * @lv: virtio device
 *
 * Context: any. A pause of a tick keeps a driver that posts receive buffers again
 * as soon as they come back from using up the CPU.
 */
void loop_finish_kick(struct loop_vdev *lv)
{
	if (!atomic_xchg(&lv->kicked, 1))
		mod_delayed_work(loop_finish_wq, &lv->finish, 1);
}

/**
 * loop_finish_start() - no backend will serve this virtio device any more
 * @lv: virtio device
 *
 * Context: any.
 */
void loop_finish_start(struct loop_vdev *lv)
{
	if (READ_ONCE(lv->finishing))
		return;
	lv->progress = jiffies;
	WRITE_ONCE(lv->finishing, true);
	/* Kicks before this went to the backend; the first round looks at all queues. */
	smp_mb();
	mod_delayed_work(loop_finish_wq, &lv->finish, 0);
}

/**
 * loop_finish_end() - stop
 * @lv: virtio device, not published any more and without queues
 *
 * Context: process, may sleep.
 */
void loop_finish_end(struct loop_vdev *lv)
{
	cancel_delayed_work_sync(&lv->finish);
}

/**
 * loop_finish_init() - take what failing a device needs, while there is memory
 * @lv: new virtio device
 *
 * Return: 0, or -ENOMEM; loop_finish_free() cleans up in both cases.
 */
int loop_finish_init(struct loop_vdev *lv)
{
	struct vbe_window *inflight = &lv->ld->vbe->inflight;

	mutex_init(&lv->finish_lock);
	INIT_DELAYED_WORK(&lv->finish, loop_finish_work);
	lv->window.fe_addr = LOOP_FE_BASE;
	lv->window.len = (u64)lv->ld->pool.n_pages << PAGE_SHIFT;
	lv->window.host = lv->ld->pool.vaddr;
	lv->mem.windows = &lv->window;
	lv->mem.nr_windows = 1;
	lv->segs = kvcalloc(LOOP_MAX_SEGS, sizeof(*lv->segs), GFP_KERNEL);
	if (!lv->segs)
		return -ENOMEM;
	if (!inflight->pages)
		return 0;
	lv->inflight = vmap(inflight->pages, inflight->len >> PAGE_SHIFT, VM_MAP, PAGE_KERNEL);
	return lv->inflight ? 0 : -ENOMEM;
}

/**
 * loop_finish_free() - give it back
 * @lv: virtio device
 */
void loop_finish_free(struct loop_vdev *lv)
{
	if (lv->inflight)
		vunmap(lv->inflight);
	kvfree(lv->segs);
}
