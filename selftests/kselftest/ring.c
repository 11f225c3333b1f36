// SPDX-License-Identifier: GPL-2.0
/*
 * The device side of split and packed rings, as plain as can be: no indirect
 * descriptors, no event index, chains are completed in the order they came.
 * Not the engine of libvbe on purpose: two opinions find more.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include <linux/virtio_config.h>

#include "be.h"
#include "util.h"

#define SAVED_VALID	(1U << 31)
#define SAVED_WRAP	(1U << 30)

/* A driver that is this kernel's own does not lie: what does is a bug to show. */
static int broken(struct be *be, const char *why)
{
	be->broken = why;
	return -EPROTO;
}

void *be_host(struct be *be, uint64_t fe_addr, uint64_t len)
{
	uint32_t i;

	for (i = 0; i < be->n_windows; i++) {
		struct be_window *w = &be->windows[i];

		if (fe_addr >= w->fe_addr && len <= w->len &&
		    fe_addr - w->fe_addr <= w->len - len)
			return w->host + (fe_addr - w->fe_addr);
	}
	return NULL;
}

static int start_split(struct be *be, struct be_queue *q, const struct vbe_queue_info *i)
{
	q->desc = be_host(be, i->desc, 16ULL * i->num);
	q->avail = be_host(be, i->driver, 6 + 2ULL * i->num);
	q->used = be_host(be, i->device, 6 + 8ULL * i->num);
	if (!q->desc || !q->avail || !q->used)
		return broken(be, "a ring is in no window");
	/* Each chain is published before the next is taken: so this is resume too. */
	q->next = q->used->idx;
	return 0;
}

static int start_packed(struct be *be, struct be_queue *q, const struct vbe_queue_info *i,
			bool resume)
{
	q->pdesc = be_host(be, i->desc, 16ULL * i->num);
	q->pdevice = be_host(be, i->device, 4);
	if (!q->pdesc || !q->pdevice || !be_host(be, i->driver, 4))
		return broken(be, "a packed ring is in no window");
	q->next = 0;
	q->wrap = true;
	if (resume && !q->saved)
		return broken(be, "a packed ring cannot be resumed without an in-flight area");
	if (resume && (*q->saved & SAVED_VALID)) {
		q->next = *q->saved;
		q->wrap = *q->saved & SAVED_WRAP;
	} else if (q->saved) {
		*q->saved = 0;
	}
	q->pdevice->flags = 0;
	return 0;
}

/* 1: the queue is live; 0: the driver has not enabled it. */
int be_queue_start(struct be *be, uint32_t index, bool resume)
{
	struct be_queue *q = &be->queues[index];
	struct vbe_queue_info info;
	int ret = queue_info(be->fd, index, &info);

	if (ret < 0)
		return ret;
	if (!(info.flags & VBE_QUEUE_F_ENABLED))
		return 0;
	q->num = info.num;
	q->saved = be->inflight_map ? (void *)(be->inflight_map + (uint64_t)index *
					       (be->inflight_len / be->n_queues)) : NULL;
	if (q->packed)
		ret = start_packed(be, q, &info, resume);
	else
		ret = start_split(be, q, &info);
	if (ret)
		return ret;
	q->live = true;
	return 1;
}

static int add_seg(struct be *be, struct be_seg *segs, int n, uint64_t addr, uint32_t len,
		   bool write)
{
	if (n >= BE_SEGS)
		return broken(be, "a chain has too many segments");
	segs[n].p = be_host(be, addr, len);
	segs[n].len = len;
	segs[n].write = write;
	return segs[n].p ? n + 1 : broken(be, "a buffer is in no window");
}

static int pop_split(struct be *be, struct be_queue *q, struct be_seg *segs, uint32_t *id,
		     uint32_t *n_descs)
{
	uint16_t at;
	int n = 0;

	if (__atomic_load_n(&q->avail->idx, __ATOMIC_ACQUIRE) == q->next)
		return 0;
	at = q->avail->ring[q->next & (q->num - 1)];
	*id = at;
	*n_descs = 1;
	for (;;) {
		struct vring_desc d;

		if (at >= q->num)
			return broken(be, "a descriptor index is out of range");
		d = q->desc[at];
		n = add_seg(be, segs, n, d.addr, d.len, d.flags & VRING_DESC_F_WRITE);
		if (n < 0 || !(d.flags & VRING_DESC_F_NEXT))
			return n;
		at = d.next;
	}
}

static int pop_packed(struct be *be, struct be_queue *q, struct be_seg *segs, uint32_t *id,
		      uint32_t *n_descs)
{
	uint16_t at = q->next;
	int n = 0;

	*n_descs = 0;
	for (;;) {
		struct vring_packed_desc *d = &q->pdesc[at];
		uint16_t flags = __atomic_load_n(&d->flags, __ATOMIC_ACQUIRE);
		bool avail = flags & (1 << VRING_PACKED_DESC_F_AVAIL);
		bool used = flags & (1 << VRING_PACKED_DESC_F_USED);

		/* The first descriptor's flags are written last. */
		if (!*n_descs && (avail != q->wrap || used == q->wrap))
			return 0;
		n = add_seg(be, segs, n, d->addr, d->len, flags & VRING_DESC_F_WRITE);
		if (n < 0)
			return n;
		*id = d->id;
		++*n_descs;
		if (!(flags & VRING_DESC_F_NEXT))
			return n;
		if (++at == q->num)
			at = 0;
	}
}

/* Number of segments, 0 when the ring is empty, or a negative errno. */
int be_pop(struct be *be, struct be_queue *q, struct be_seg *segs, uint32_t *id,
	   uint32_t *n_descs)
{
	if (q->packed)
		return pop_packed(be, q, segs, id, n_descs);
	return pop_split(be, q, segs, id, n_descs);
}

static void push_packed(struct be_queue *q, uint32_t id, uint32_t n_descs, uint32_t written)
{
	struct vring_packed_desc *d = &q->pdesc[q->next];
	uint16_t flags = 0;

	if (q->wrap)
		flags = 1 << VRING_PACKED_DESC_F_AVAIL | 1 << VRING_PACKED_DESC_F_USED;
	if (written)
		flags |= VRING_DESC_F_WRITE;
	d->id = id;
	d->len = written;
	__atomic_store_n(&d->flags, flags, __ATOMIC_RELEASE);
	q->next += n_descs;
	if (q->next >= q->num) {
		q->next -= q->num;
		q->wrap = !q->wrap;
	}
	if (q->saved)
		*q->saved = q->next | SAVED_VALID | (q->wrap ? SAVED_WRAP : 0);
}

void be_push(struct be_queue *q, uint32_t id, uint32_t n_descs, uint32_t written)
{
	struct vring_used_elem *e;

	if (q->packed) {
		push_packed(q, id, n_descs, written);
		return;
	}
	e = &q->used->ring[q->next & (q->num - 1)];
	e->id = id;
	e->len = written;
	q->next++;
	__atomic_store_n(&q->used->idx, q->next, __ATOMIC_RELEASE);
}
