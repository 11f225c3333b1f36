// SPDX-License-Identifier: GPL-2.0
/*
 * The device side of split and packed rings, as plain as can be: chains are completed
 * in the order they came.
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

/*
 * What a revoked one maps is scratch memory at once, and the event that says so comes later.
 * But MEM_COPY is refused before any of that memory can be seen.
 */
static bool is_revoked(struct be *be)
{
	struct vbe_copy_entry e = { .len = 0 };
	struct vbe_mem_copy c = { .size = sizeof(c), .n = 1, .entries = (uintptr_t)&e };

	return xioctl(be->fd, VBE_IOC_MEM_COPY, &c) == -ENODEV;
}

/* A driver that is this kernel's own does not lie: what does is a bug to show. */
int be_broken(struct be *be, const char *why)
{
	uint32_t i;

	if (!is_revoked(be)) {
		be->broken = why;
		return -EPROTO;
	}
	for (i = 0; i < be->n_queues; i++)
		be->queues[i].live = false;
	return -ENODEV;
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

static int start_split(struct be *be, struct be_queue *q, const struct vbe_queue_info *i,
		       bool resume)
{
	q->desc = be_host(be, i->desc, 16ULL * i->num);
	q->avail = be_host(be, i->driver, 6 + 2ULL * i->num);
	q->used = be_host(be, i->device, 6 + 8ULL * i->num);
	if (!q->desc || !q->avail || !q->used)
		return be_broken(be, "a ring is in no window");
	/* Each chain is published before the next is taken: so nothing else need be resumed. */
	q->next = resume ? q->used->idx : i->base;
	q->pushed = q->next;
	return 0;
}

static int start_packed(struct be *be, struct be_queue *q, const struct vbe_queue_info *i,
			bool resume)
{
	q->pdesc = be_host(be, i->desc, 16ULL * i->num);
	q->pdriver = be_host(be, i->driver, 4);
	q->pdevice = be_host(be, i->device, 4);
	if (!q->pdesc || !q->pdevice || !q->pdriver)
		return be_broken(be, "a packed ring is in no window");
	q->next = i->base & 0x7fff;
	q->wrap = i->base & 0x8000;
	if (resume && !q->saved)
		return be_broken(be, "a packed ring cannot be resumed without an in-flight area");
	/* The kernel clears it when the driver resets device or queue. */
	if (q->saved && (*q->saved & SAVED_VALID)) {
		q->next = *q->saved;
		q->wrap = *q->saved & SAVED_WRAP;
	}
	if (q->next >= i->num || i->base >> 16 != (i->base & 0xffff))
		return be_broken(be, "a packed ring begins where it cannot");
	q->pdevice->flags = 0;
	return 0;
}

/* 1: the queue is live; 0: the driver has not enabled it. */
int be_queue_start(struct be *be, uint32_t index, bool resume)
{
	struct be_queue *q = &be->queues[index];
	struct vbe_queue_info info;
	struct vbe_dev_info dev;
	int ret = queue_info(be->fd, index, &info);

	if (ret >= 0)
		ret = dev_info(be->fd, &dev);
	if (ret < 0)
		return ret;
	if (!(info.flags & VBE_QUEUE_F_ENABLED))
		return 0;
	q->packed = dev.driver_features & 1ULL << VIRTIO_F_RING_PACKED;
	q->event_idx = dev.driver_features & 1ULL << VIRTIO_RING_F_EVENT_IDX;
	q->num = info.num;
	q->saved = be->inflight_map ? (void *)(be->inflight_map + (uint64_t)index *
					       (be->inflight_len / be->n_queues)) : NULL;
	if (q->packed)
		ret = start_packed(be, q, &info, resume);
	else
		ret = start_split(be, q, &info, resume);
	if (ret)
		return ret;
	q->called_at = q->pushed;
	q->look |= resume;
	q->live = true;
	return 1;
}

/* As &vbe_queue_info.base. Nothing is in flight between two chains. */
uint32_t be_queue_base(const struct be_queue *q)
{
	uint32_t pos;

	if (!q->packed)
		return q->next;
	pos = q->next | (q->wrap ? 0x8000 : 0);
	return pos << 16 | pos;
}

static int add_seg(struct be *be, struct be_seg *segs, int n, uint64_t addr, uint32_t len,
		   bool write)
{
	if (n >= BE_SEGS)
		return be_broken(be, "a chain has too many segments");
	segs[n].p = be_host(be, addr, len);
	segs[n].len = len;
	segs[n].write = write;
	return segs[n].p ? n + 1 : be_broken(be, "a buffer is in no window");
}

/* A table of a whole chain. Packed ones have no links, but all else at the same place. */
static int pop_table(struct be *be, struct be_queue *q, struct be_seg *segs, uint64_t addr,
		     uint32_t len)
{
	struct vring_desc *t = be_host(be, addr, len);
	uint32_t n_table = len / 16, at = 0, seen;
	int n = 0;

	if (!t || !n_table || len % 16)
		return be_broken(be, "an indirect table is in no window");
	for (seen = 0; seen < n_table; seen++) {
		struct vring_packed_desc *p = (void *)&t[at];
		uint16_t flags = q->packed ? p->flags : t[at].flags;

		n = add_seg(be, segs, n, t[at].addr, t[at].len, flags & VRING_DESC_F_WRITE);
		if (n < 0 || (!q->packed && !(flags & VRING_DESC_F_NEXT)))
			return n;
		at = q->packed ? at + 1 : t[at].next;
		if (!q->packed && at >= n_table)
			return be_broken(be, "a link of an indirect table is out of range");
	}
	return q->packed ? n : be_broken(be, "an indirect table has a loop");
}

/* Tell the driver that a kick is wanted for whatever comes next. */
static void want_kick(struct be_queue *q)
{
	if (!q->event_idx)
		return;
	if (q->packed) {
		q->pdevice->off_wrap = q->next | q->wrap << VRING_PACKED_EVENT_F_WRAP_CTR;
		__atomic_store_n(&q->pdevice->flags, VRING_PACKED_EVENT_FLAG_DESC,
				 __ATOMIC_RELEASE);
	} else {
		__atomic_store_n((uint16_t *)&q->used->ring[q->num], q->next,
				 __ATOMIC_RELEASE);
	}
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static int pop_split(struct be *be, struct be_queue *q, struct be_seg *segs, uint32_t *id,
		     uint32_t *n_descs)
{
	uint16_t at;
	int n = 0;

	want_kick(q);
	if (__atomic_load_n(&q->avail->idx, __ATOMIC_ACQUIRE) == q->next)
		return 0;
	at = q->avail->ring[q->next & (q->num - 1)];
	*id = at;
	*n_descs = 1;
	for (;;) {
		struct vring_desc d;

		if (at >= q->num)
			return be_broken(be, "a descriptor index is out of range");
		d = q->desc[at];
		if (d.flags & VRING_DESC_F_INDIRECT)
			return pop_table(be, q, segs, d.addr, d.len);
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

	want_kick(q);
	*n_descs = 0;
	for (;;) {
		struct vring_packed_desc *d = &q->pdesc[at];
		uint16_t flags = __atomic_load_n(&d->flags, __ATOMIC_ACQUIRE);
		bool avail = flags & (1 << VRING_PACKED_DESC_F_AVAIL);
		bool used = flags & (1 << VRING_PACKED_DESC_F_USED);

		/* The first descriptor's flags are written last. */
		if (!*n_descs && (avail != q->wrap || used == q->wrap))
			return 0;
		*id = d->id;
		++*n_descs;
		if (flags & VRING_DESC_F_INDIRECT)
			return pop_table(be, q, segs, d->addr, d->len);
		n = add_seg(be, segs, n, d->addr, d->len, flags & VRING_DESC_F_WRITE);
		if (n < 0)
			return n;
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
	q->pushed += n_descs;
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
	q->pushed = q->next;
	__atomic_store_n(&q->used->idx, q->next, __ATOMIC_RELEASE);
}

/* Does the driver want to be called for what was given back since it was last asked? */
bool be_needs_call(struct be_queue *q)
{
	uint16_t since = q->pushed - q->called_at, at, off;

	q->called_at = q->pushed;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!q->packed) {
		if (!q->event_idx)
			return !(q->avail->flags & VRING_AVAIL_F_NO_INTERRUPT);
		at = __atomic_load_n(&q->avail->ring[q->num], __ATOMIC_ACQUIRE);
		return vring_need_event(at, q->next, q->next - since);
	}
	switch (__atomic_load_n(&q->pdriver->flags, __ATOMIC_ACQUIRE)) {
	case VRING_PACKED_EVENT_FLAG_DISABLE:
		return false;
	case VRING_PACKED_EVENT_FLAG_DESC:
		off = q->pdriver->off_wrap;
		at = off & 0x7fff;
		if (!!(off & 0x8000) != q->wrap)
			at -= q->num;
		return vring_need_event(at, q->next, q->next - since);
	}
	return true;
}
