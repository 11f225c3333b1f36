// SPDX-License-Identifier: BSD-3-Clause
/* Copyright (c) 2026 The vbe authors */
/*
 * Transient windows: what a chain was given pointers to, to be given back before it is published.
 *
 * The notes are of a pool. Each chain has a list of them, in the order of its segments; neighbours
 * in a window are one. When the pool is empty, the rest of a chain is copied, which needs no note.
 */
#include "internal.h"

/* Handed to a callback at once. */
#define BATCH	64u

static const struct vbe_vq_window *window_of(const struct vbe_vq_mem *mem, uint64_t addr)
{
	const struct vbe_vq_window *w;
	uint32_t i;

	for (i = 0; i < mem->nr_windows; i++) {
		w = &mem->windows[i];
		if (addr - w->fe_addr < w->len)
			return w;
	}
	return NULL;
}

bool vbe_mem_transient(const struct vbe_vq_mem *mem, uint64_t addr)
{
	const struct vbe_vq_window *w = window_of(mem, addr);

	return w && w->flags & VBE_VQ_WINDOW_TRANSIENT;
}

/* Chains are out that have notes. */
static bool noted(const struct vbe_vq *vq)
{
	uint32_t free = 0, i;

	for (i = vq->free_ranges; i; i = vq->ranges[i - 1].link)
		free++;
	return free < vq->nr_ranges;
}

/* Can what is noted be given back by that table's callbacks? */
bool vbe_ranges_fit_mem(const struct vbe_vq *vq, const struct vbe_vq_mem *mem)
{
	return mem->release || !noted(vq);
}

void vbe_ranges_set_mem(struct vbe_vq *vq)
{
	uint32_t i;

	vq->transient = false;
	for (i = 0; i < vq->mem->nr_windows; i++)
		if (vq->mem->windows[i].flags & VBE_VQ_WINDOW_TRANSIENT)
			vq->transient = true;
}

void vbe_ranges_init(struct vbe_vq *vq, const struct vbe_vq_config *cfg)
{
	uint32_t i;

	vq->ranges = cfg->ranges;
	vq->nr_ranges = cfg->ranges ? cfg->nr_ranges : 0;
	for (i = vq->nr_ranges; i; i--) {
		vq->ranges[i - 1].link = vq->free_ranges;
		vq->free_ranges = i;
	}
}

/* Notes a segment of the chain that is being popped. False: it cannot be, so copy it. */
bool vbe_range_add(struct vbe_vq *vq, uint64_t addr, uint32_t len)
{
	struct vbe_vq_range *last = vq->first_range ? &vq->ranges[vq->last_range - 1] : NULL;
	struct vbe_vq_range *r;
	uint32_t i;

	if (!vq->mem->release)
		return false;
	/* What gives back takes no range that crosses windows. */
	if (last && last->fe_addr + last->len == addr && last->len + len > len &&
	    window_of(vq->mem, addr - 1) == window_of(vq->mem, addr)) {
		last->len += len;
		return true;
	}
	i = vq->free_ranges;
	if (!i)
		return false;
	r = &vq->ranges[i - 1];
	vq->free_ranges = r->link;
	*r = (struct vbe_vq_range){ .fe_addr = addr, .len = len };
	if (last)
		last->link = i;
	else
		vq->first_range = i;
	vq->last_range = i;
	return true;
}

/* The first batch: it is a hint, and a chain may have any number. */
static void want(struct vbe_vq *vq, const struct vbe_vq_seg *seg, uint32_t n, bool write)
{
	struct vbe_vq_range batch[BATCH];
	uint32_t i = 0;

	for (; n && i < BATCH; n--, seg++)
		if (seg->host && vbe_mem_transient(vq->mem, seg->fe_addr))
			batch[i++] = (struct vbe_vq_range){ .fe_addr = seg->fe_addr,
							    .len = seg->len };
	if (i)
		vq->mem->want(vq->mem->opaque, batch, i, write);
}

/* A chain was popped that has notes. */
void vbe_ranges_want(struct vbe_vq *vq, const struct vbe_vq_chain *chain)
{
	if (!vq->mem->want)
		return;
	want(vq, chain->segs, chain->nr_read, false);
	want(vq, chain->segs + chain->nr_read, chain->nr_write, true);
}

/*
 * The first @n chains of the list are about to be published: gives back what they have. On failure
 * they are not, as the FE would find that it is still held.
 */
int vbe_ranges_release(struct vbe_vq *vq, uint32_t n)
{
	struct vbe_vq_range batch[BATCH];
	uint16_t slot = vq->fifo.head;
	struct vbe_vq_range *r;
	uint32_t i, done = 0;
	int ret = 0;

	for (; n; n--, slot = vq->slots[slot].link) {
		for (i = vq->slots[slot].ranges; i; i = vq->slots[slot].ranges) {
			r = &vq->ranges[i - 1];
			if (done == BATCH) {
				ret |= vq->mem->release(vq->mem->opaque, batch, done);
				done = 0;
			}
			batch[done++] = *r;
			vq->slots[slot].ranges = r->link;
			r->link = vq->free_ranges;
			vq->free_ranges = i;
		}
	}
	if (done)
		ret |= vq->mem->release(vq->mem->opaque, batch, done);
	return ret ? vbe_vq_break(vq, VBE_VQ_E_MEM) : 0;
}
