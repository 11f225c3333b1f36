// SPDX-License-Identifier: GPL-2.0
/*
 * The driver side of split and packed rings (virtio 1.3, 2.7 and 2.8).
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <errno.h>
#include <string.h>

#include "driver.h"
#include "util.h"

#define AVAIL	(1U << VRING_PACKED_DESC_F_AVAIL)
#define USED	(1U << VRING_PACKED_DESC_F_USED)
#define TABLE	16	/* descriptors of an indirect table */

struct rings {
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	struct vring_packed_desc *pdesc;
	struct vring_packed_desc_event *pdriver;
	struct vring_packed_desc_event *pdevice;
};

static struct rings rings(struct drv *d, struct drv_queue *q)
{
	struct rings r = { 0 };

	if (q->packed) {
		r.pdesc = drv_ptr(d, q->desc, 16ULL * q->num);
		r.pdriver = drv_ptr(d, q->driver, 4);
		r.pdevice = drv_ptr(d, q->device, 4);
	} else {
		r.desc = drv_ptr(d, q->desc, 16ULL * q->num);
		r.avail = drv_ptr(d, q->driver, 6 + 2ULL * q->num);
		r.used = drv_ptr(d, q->device, 6 + 8ULL * q->num);
	}
	return r;
}

/* Where the interrupt is wanted: after the next used chain. */
static void want_irq(struct drv_queue *q, struct rings *r)
{
	if (!q->event_idx)
		return;
	if (q->packed) {
		r->pdriver->off_wrap = q->last_used |
				       q->used_wrap << VRING_PACKED_EVENT_F_WRAP_CTR;
		__atomic_store_n(&r->pdriver->flags, VRING_PACKED_EVENT_FLAG_DESC,
				 __ATOMIC_RELEASE);
	} else {
		__atomic_store_n(&r->avail->ring[q->num], q->last_used, __ATOMIC_RELEASE);
	}
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* The ring as after a reset: empty. */
void drv_ring_init(struct drv *d, struct drv_queue *q)
{
	struct rings r = rings(d, q);
	uint32_t i;

	memset(q->n_descs, 0, sizeof(q->n_descs));
	q->free_head = 0;
	q->n_free = q->num;
	q->next_avail = q->last_used = 0;
	q->avail_wrap = q->used_wrap = true;
	q->kicked_at = q->added = q->in_flight = 0;
	if (q->packed) {
		memset(r.pdesc, 0, 16ULL * q->num);
		memset(r.pdriver, 0, 4);
		memset(r.pdevice, 0, 4);
	} else {
		memset(r.avail, 0, 6 + 2ULL * q->num);
		memset(r.used, 0, 6 + 8ULL * q->num);
		for (i = 0; i < q->num; i++)
			r.desc[i].next = i + 1;
	}
	want_irq(q, &r);
}

static uint16_t direction(uint32_t i, uint32_t n_out)
{
	return i >= n_out ? VRING_DESC_F_WRITE : 0;
}

/* A table of the whole chain, for the entry that describes it. */
static uint64_t fill_table(struct drv *d, struct drv_queue *q, uint32_t slot,
			   const struct drv_buf *bufs, uint32_t n_out, uint32_t n)
{
	uint64_t addr = q->tables + 16ULL * TABLE * slot;
	struct vring_desc *t = drv_ptr(d, addr, 16ULL * TABLE);
	struct vring_packed_desc *p = (void *)t;
	uint32_t i;

	for (i = 0; i < n; i++) {
		uint16_t flags = direction(i, n_out);

		if (q->packed)
			p[i] = (struct vring_packed_desc){ .addr = bufs[i].addr,
							   .len = bufs[i].len, .flags = flags };
		else
			t[i] = (struct vring_desc){
				.addr = bufs[i].addr, .len = bufs[i].len, .next = i + 1,
				.flags = flags | (i + 1 < n ? VRING_DESC_F_NEXT : 0) };
	}
	return addr;
}

static uint16_t add_split(struct drv_queue *q, struct rings *r, const struct drv_buf *bufs,
			  uint32_t n_out, uint32_t n, uint16_t more)
{
	uint16_t head = q->free_head, at = head;
	uint32_t i;

	for (i = 0; i < n; i++) {
		r->desc[at].addr = bufs[i].addr;
		r->desc[at].len = bufs[i].len;
		r->desc[at].flags = more | direction(i, n_out) |
				    (i + 1 < n ? VRING_DESC_F_NEXT : 0);
		at = r->desc[at].next;
	}
	q->free_head = at;
	r->avail->ring[q->next_avail & (q->num - 1)] = head;
	q->next_avail++;
	__atomic_store_n(&r->avail->idx, q->next_avail, __ATOMIC_RELEASE);
	return head;
}

static void add_packed(struct drv_queue *q, struct rings *r, const struct drv_buf *bufs,
		       uint32_t n_out, uint32_t n, uint16_t more, uint16_t id)
{
	uint16_t first = q->next_avail, at = first, first_flags = 0, flags;
	uint32_t i;

	for (i = 0; i < n; i++) {
		flags = (q->avail_wrap ? AVAIL : USED) | more | direction(i, n_out) |
			(i + 1 < n ? VRING_DESC_F_NEXT : 0);
		r->pdesc[at].addr = bufs[i].addr;
		r->pdesc[at].len = bufs[i].len;
		r->pdesc[at].id = id;
		if (i)
			r->pdesc[at].flags = flags;
		else
			first_flags = flags;
		if (++at == q->num) {
			at = 0;
			q->avail_wrap = !q->avail_wrap;
		}
	}
	q->next_avail = at;
	q->added += n;
	__atomic_store_n(&r->pdesc[first].flags, first_flags, __ATOMIC_RELEASE);
}

/* An id that no chain in flight has. */
static int free_id(struct drv_queue *q)
{
	uint32_t i;

	for (i = 0; i < q->num; i++)
		if (!q->n_descs[i])
			return i;
	return -ENOSPC;
}

int drv_add(struct drv *d, uint32_t qi, const struct drv_buf *bufs, uint32_t n_out,
	    uint32_t n_in, uint64_t token)
{
	struct drv_queue *q = &d->queues[qi];
	uint32_t n = n_out + n_in;
	struct rings r = rings(d, q);
	struct drv_buf one;
	uint16_t more = 0;
	int id;

	if (!q->num || !n)
		return -EINVAL;
	id = q->packed ? free_id(q) : q->free_head;
	if (q->tables && n > 1 && n <= TABLE && q->n_free) {
		one.addr = fill_table(d, q, id, bufs, n_out, n);
		one.len = 16 * n;
		bufs = &one;
		n = n_out = 1;
		more = VRING_DESC_F_INDIRECT;
	}
	if (n > q->n_free || id < 0)
		return -ENOSPC;
	if (q->packed)
		add_packed(q, &r, bufs, n_out, n, more, id);
	else
		id = add_split(q, &r, bufs, n_out, n, more);
	q->tokens[id] = token;
	q->n_descs[id] = n;
	q->n_free -= n;
	q->in_flight++;
	return 0;
}

static bool needs_kick_packed(struct drv_queue *q, struct rings *r)
{
	uint16_t flags = __atomic_load_n(&r->pdevice->flags, __ATOMIC_ACQUIRE);
	uint16_t off = r->pdevice->off_wrap, at = off & 0x7fff;

	if (flags != VRING_PACKED_EVENT_FLAG_DESC)
		return flags == VRING_PACKED_EVENT_FLAG_ENABLE;
	if (!!(off & 0x8000) != q->avail_wrap)
		at -= q->num;
	return vring_need_event(at, q->next_avail, q->next_avail - (q->added - q->kicked_at));
}

bool drv_needs_kick(struct drv *d, uint32_t qi)
{
	struct drv_queue *q = &d->queues[qi];
	struct rings r = rings(d, q);
	uint16_t event;
	bool needs;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (q->packed) {
		needs = needs_kick_packed(q, &r);
		q->kicked_at = q->added;
	} else {
		memcpy(&event, &r.used->ring[q->num], sizeof(event));
		needs = q->event_idx ?
			vring_need_event(event, q->next_avail, q->kicked_at) :
			!(r.used->flags & VRING_USED_F_NO_NOTIFY);
		q->kicked_at = q->next_avail;
	}
	return needs;
}

static void free_split(struct drv_queue *q, struct rings *r, uint16_t head, uint32_t n)
{
	uint16_t last = head;

	while (--n)
		last = r->desc[last].next;
	r->desc[last].next = q->free_head;
	q->free_head = head;
}

static int next_split(struct drv_queue *q, struct rings *r, uint32_t *id, uint32_t *len)
{
	struct vring_used_elem *e = &r->used->ring[q->last_used & (q->num - 1)];

	if (__atomic_load_n(&r->used->idx, __ATOMIC_ACQUIRE) == q->last_used)
		return 0;
	*id = e->id;
	*len = e->len;
	q->last_used++;
	return 1;
}

static int next_packed(struct drv_queue *q, struct rings *r, uint32_t *id, uint32_t *len)
{
	struct vring_packed_desc *e = &r->pdesc[q->last_used];
	uint16_t flags = __atomic_load_n(&e->flags, __ATOMIC_ACQUIRE);

	if (!!(flags & AVAIL) != q->used_wrap || !!(flags & USED) != q->used_wrap)
		return 0;
	*id = e->id;
	*len = flags & VRING_DESC_F_WRITE ? e->len : 0;
	if (*id >= q->num || !q->n_descs[*id])
		return -EPROTO;
	q->last_used += q->n_descs[*id];
	if (q->last_used >= q->num) {
		q->last_used -= q->num;
		q->used_wrap = !q->used_wrap;
	}
	return 1;
}

int drv_get(struct drv *d, uint32_t qi, uint64_t *token, uint32_t *len)
{
	struct drv_queue *q = &d->queues[qi];
	struct rings r = rings(d, q);
	uint32_t id, written;
	int ret;

	ret = q->packed ? next_packed(q, &r, &id, &written) : next_split(q, &r, &id, &written);
	if (ret <= 0)
		return ret;
	if (id >= q->num || !q->n_descs[id])
		return -EPROTO;
	if (!q->packed)
		free_split(q, &r, id, q->n_descs[id]);
	q->n_free += q->n_descs[id];
	q->n_descs[id] = 0;
	q->in_flight--;
	if (token)
		*token = q->tokens[id];
	if (len)
		*len = written;
	want_irq(q, &r);
	return 1;
}
