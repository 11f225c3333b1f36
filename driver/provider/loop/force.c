// SPDX-License-Identifier: GPL-2.0
/*
 * Failing requests on rings that a backend has wrecked.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * Nothing in the rings can be believed: neither what is in flight nor where the
 * driver stands. What helps is what the driver itself does:
 *
 *  - While a queue is marked broken, vring_interrupt() calls no driver, but still
 *    says whether the place where the driver stands looks used. So that place is
 *    found by making one place after another look used.
 *  - When the driver is offered a request there which it has not made, it says so
 *    in the log, marks the queue broken, and has changed nothing. So one request
 *    after another is offered, those first that look as if they existed. Each
 *    that exists is completed.
 *
 * This takes at most some 64 K steps to find the place, and one per request that
 * could exist. The queue stays broken: new requests fail by themselves.
 */
#include <linux/virtio_ring.h>

#include "loop.h"

static bool loop_force_used(struct loop_vq *lvq)
{
	irqreturn_t ret;

	local_irq_disable();
	ret = loop_irq_deliver(lvq);
	local_irq_enable();
	return ret != IRQ_NONE;
}

/* Let the driver look, once. Returns whether it took what it was offered. */
static bool loop_force_offer(struct loop_vq *lvq)
{
	__virtqueue_unbreak(lvq->vq);
	local_bh_disable();
	loop_force_used(lvq);
	local_bh_enable();
	__virtqueue_break(lvq->vq);
	return !loop_force_used(lvq);
}

static void *loop_force_ptr(struct loop_vq *lvq, dma_addr_t addr)
{
	return lvq->lv->ld->pool.vaddr + (addr - LOOP_FE_BASE);
}

/* ---- split rings ---------------------------------------------------------------- */

/*
 * Kernels before about 6.18 take from the shared ring which descriptors of a chain
 * follow each other, so what a backend writes there leads the driver astray: in
 * circles for ever, even. No chain is longer than its head then.
 */
static void loop_force_unchain(struct loop_vq *lvq, struct virtqueue *vq, u32 num)
{
	struct vring_desc *desc = loop_force_ptr(lvq, virtqueue_get_desc_addr(vq));
	u32 i;

	for (i = 0; i < num; i++)
		WRITE_ONCE(*(__force __le16 *)&desc[i].flags, 0);
}

/**
 * loop_force_distrust() - the driver was led astray by what is in its rings
 * @ld: device
 *
 * Called from an unmap that makes no sense, in the middle of the driver's walk
 * along a chain: which ends where we unchain it. A driver's idea of what is in
 * flight is wrong from then on, so the queues are broken until the FE leaves.
 *
 * Context: any, under the driver's locks.
 */
void loop_force_distrust(struct loop_device *ld)
{
	struct loop_vdev *lv;
	u32 i;

	rcu_read_lock();
	lv = rcu_dereference(ld->vdev);
	for (i = 0; lv && i < lv->n_vqs; i++) {
		/* Not under its lock, which our caller may hold; del_vqs() waits for RCU. */
		struct virtqueue *vq = READ_ONCE(lv->vqs[i].vq);

		if (!vq)
			continue;
		if (!(lv->vdev.features & BIT_ULL(VIRTIO_F_RING_PACKED)))
			loop_force_unchain(&lv->vqs[i], vq, lv->vqs[i].num);
		__virtqueue_break(vq);
	}
	if (lv)
		dev_err_ratelimited(&lv->vdev.dev,
				    "the backend led the driver astray; its queues are broken now\n");
	rcu_read_unlock();
}

static void loop_force_set_idx(struct vring_used *used, u16 idx)
{
	/* After the entry that it announces. */
	smp_store_release((__force __le16 *)&used->idx, cpu_to_le16(idx));
}

static bool loop_force_find_split(struct loop_vq *lvq, struct vring_used *used, u16 *pos)
{
	u16 idx = le16_to_cpu((__force __le16)READ_ONCE(used->idx));
	unsigned int i;

	/* The driver is behind the device, if anything in there is true. */
	for (i = 0; i <= U16_MAX; i++) {
		loop_force_set_idx(used, idx - i);
		if (!loop_force_used(lvq)) {
			*pos = idx - i;
			return true;
		}
		cond_resched();
	}
	return false;
}

static bool loop_force_plausible(struct loop_vq *lvq, u32 id)
{
	const struct vring_desc *desc = loop_force_ptr(lvq, virtqueue_get_desc_addr(lvq->vq));
	u64 addr = le64_to_cpu((__force __le64)READ_ONCE(desc[id].addr));

	return loop_pool_is_live(&lvq->lv->ld->pool, addr);
}

static unsigned int loop_force_split(struct loop_vq *lvq)
{
	struct vring_used *used = loop_force_ptr(lvq, virtqueue_get_used_addr(lvq->vq));
	struct loop_pool *pool = &lvq->lv->ld->pool;
	unsigned int id, n = 0;
	u16 pos;

	if (!loop_force_find_split(lvq, used, &pos))
		return 0;
	loop_force_unchain(lvq, lvq->vq, lvq->num);
	for (id = 0; id < lvq->num && atomic_read(&pool->live); id++) {
		struct vring_used_elem *e = &used->ring[pos & (lvq->num - 1)];

		cond_resched();
		/* Descriptors are the driver's own (guarded): what waits begins in a mapping. */
		if (!loop_force_plausible(lvq, id))
			continue;
		WRITE_ONCE(*(__force __le32 *)&e->id, cpu_to_le32(id));
		WRITE_ONCE(*(__force __le32 *)&e->len, 0);
		loop_force_set_idx(used, pos + 1);
		if (loop_force_offer(lvq)) {
			pos++;
			n++;
		}
	}
	loop_force_set_idx(used, pos);
	return n;
}

/* ---- packed rings --------------------------------------------------------------- */

#define LOOP_PACKED_AVAIL	BIT(VRING_PACKED_DESC_F_AVAIL)
#define LOOP_PACKED_USED	BIT(VRING_PACKED_DESC_F_USED)

/**
 * struct loop_force_packed - a packed ring, being forced
 * @lvq: queue
 * @desc: its descriptors
 * @pos: where the driver stands
 * @wrap: the driver's used wrap counter
 */
struct loop_force_packed {
	struct loop_vq *lvq;
	struct vring_packed_desc *desc;
	u32 pos;
	bool wrap;
};

static void loop_force_mark(struct loop_force_packed *f, u32 pos, bool used, bool wrap)
{
	u16 flags = LOOP_PACKED_AVAIL;

	if (used)
		flags = wrap ? LOOP_PACKED_AVAIL | LOOP_PACKED_USED : 0;
	/* After the other fields, which the flags make valid. */
	smp_store_release(&f->desc[pos].flags, cpu_to_le16(flags));
}

/* From where the driver stood last, as it only moves on. */
static bool loop_force_find_packed(struct loop_force_packed *f)
{
	u32 i, num = f->lvq->num;

	for (i = 0; i < 2 * num; i++) {
		loop_force_mark(f, f->pos, true, f->wrap);
		if (loop_force_used(f->lvq))
			return true;
		loop_force_mark(f, f->pos, false, false);
		if (++f->pos == num) {
			f->pos = 0;
			f->wrap = !f->wrap;
		}
		cond_resched();
	}
	return false;
}

static unsigned int loop_force_packed(struct loop_vq *lvq)
{
	struct loop_force_packed f = {
		.lvq = lvq,
		.desc = loop_force_ptr(lvq, virtqueue_get_desc_addr(lvq->vq)),
	};
	struct loop_pool *pool = &lvq->lv->ld->pool;
	unsigned int id, n = 0;

	for (id = 0; id < lvq->num; id++)
		loop_force_mark(&f, id, false, false);
	if (!loop_force_find_packed(&f))
		return 0;
	for (id = 0; id < lvq->num && atomic_read(&pool->live); id++) {
		f.desc[f.pos].id = cpu_to_le16(id);
		f.desc[f.pos].len = 0;
		loop_force_mark(&f, f.pos, true, f.wrap);
		if (!loop_force_offer(lvq))
			continue;
		n++;
		loop_force_mark(&f, f.pos, false, false);
		if (!loop_force_find_packed(&f))
			return n;
	}
	loop_force_mark(&f, f.pos, false, false);
	return n;
}

/**
 * loop_force_vq() - complete all that a queue may have in flight
 * @lvq: live queue; finish_lock held
 *
 * Context: process, may sleep.
 * Return: the number of requests that were completed.
 */
unsigned int loop_force_vq(struct loop_vq *lvq)
{
	lockdep_assert_held(&lvq->lv->finish_lock);
	__virtqueue_break(lvq->vq);
	if (lvq->lv->vdev.features & BIT_ULL(VIRTIO_F_RING_PACKED))
		return loop_force_packed(lvq);
	return loop_force_split(lvq);
}
