// SPDX-License-Identifier: BSD-3-Clause
/* Copyright (c) 2026 The vbe authors */
/* The public calls: set-up, completions, and what is common to both ring formats. */
#include "internal.h"

static bool size_is_valid(uint32_t size, bool packed)
{
	return size && size <= VBE_VQ_MAX_SIZE && (packed || !(size & (size - 1)));
}

size_t vbe_vq_inflight_size(const struct vbe_vq_config *cfg)
{
	bool packed = cfg->features & VBE_VQ_F_RING_PACKED;

	return size_is_valid(cfg->size, packed) ? vbe_log_size(cfg->size, packed) : 0;
}

int vbe_vq_set_mem(struct vbe_vq *vq, const struct vbe_vq_mem *mem)
{
	uint32_t n = vq->size;
	int ret;

	if (!mem || !vbe_ranges_fit_mem(vq, mem))
		return vbe_vq_break(vq, VBE_VQ_E_CONFIG);
	vq->mem = mem;
	vq->hit = NULL;
	vbe_ranges_set_mem(vq);
	ret = vbe_ring_map(vq, &vq->desc, n * DESC_SIZE, 16, vq->packed);
	if (!ret)
		ret = vbe_ring_map(vq, &vq->driver, vq->packed ? 4 : 6 + 2 * n,
				   vq->packed ? 4 : 2, false);
	if (!ret)
		ret = vbe_ring_map(vq, &vq->device, vq->packed ? 4 : 6 + 8 * n, 4, true);
	return ret ? vbe_vq_break(vq, ret) : 0;
}

/* Packed: lists the free slots, lowest first. */
static void list_free(struct vbe_vq *vq)
{
	uint32_t i = vq->size;

	while (i--) {
		if (vq->slots[i].state == SLOT_FREE) {
			vq->slots[i].next = vq->free;
			vq->free = i;
		}
	}
}

/* Takes over the caller's word on where to begin. */
static int set_start(struct vbe_vq *vq, uint16_t avail, uint16_t used)
{
	uint32_t laps = 2 * vq->size;

	if (!vq->packed) {
		vq->avail_pos = avail;
		vq->used_pos = used;
		return 0;
	}
	if ((avail & 0x7fff) >= vq->size || (used & 0x7fff) >= vq->size)
		return VBE_VQ_E_CONFIG;
	vq->avail_pos = (avail & 0x7fff) + (avail & 0x8000 ? 0 : vq->size);
	vq->used_pos = (used & 0x7fff) + (used & 0x8000 ? 0 : vq->size);
	/* Chains lost with an earlier BE still hold their part of the ring. */
	vq->outstanding = (vq->avail_pos + laps - vq->used_pos) % laps;
	return vq->outstanding > vq->size ? VBE_VQ_E_CONFIG : 0;
}

/* Checks what can be checked without looking at the FE's memory. */
static int take_config(struct vbe_vq *vq, const struct vbe_vq_config *cfg)
{
	vq->packed = cfg->features & VBE_VQ_F_RING_PACKED;
	vq->indirect = cfg->features & VBE_VQ_F_INDIRECT_DESC;
	vq->event_idx = cfg->features & VBE_VQ_F_EVENT_IDX;
	vq->in_order = cfg->features & VBE_VQ_F_IN_ORDER;
	vq->size = cfg->size;
	vq->max_indirect = cfg->max_indirect ? cfg->max_indirect : VBE_VQ_MAX_INDIRECT;
	vq->desc.fe_addr = cfg->desc_addr;
	vq->driver.fe_addr = cfg->driver_addr;
	vq->device.fe_addr = cfg->device_addr;
	vq->slots = cfg->slots;
	vq->log = cfg->inflight;

	if (!size_is_valid(vq->size, vq->packed) || !vq->slots || cfg->nr_slots < vq->size ||
	    vq->max_indirect > VBE_VQ_MAX_INDIRECT ||
	    cfg->flags & ~(VBE_VQ_RESUME | VBE_VQ_START) ||
	    ((cfg->flags & VBE_VQ_RESUME) && !vq->log))
		return VBE_VQ_E_CONFIG;
	if (vq->log && (((uintptr_t)vq->log & 7) ||
			cfg->inflight_len < vbe_vq_inflight_size(cfg)))
		return VBE_VQ_E_CONFIG;
	if (cfg->flags & VBE_VQ_START)
		return set_start(vq, cfg->start_avail, cfg->start_used);
	return 0;
}

int vbe_vq_init(struct vbe_vq *vq, const struct vbe_vq_config *cfg)
{
	int ret;

	memset(vq, 0, sizeof(*vq));
	vq->free = 0xffff;
	ret = take_config(vq, cfg);
	vbe_ranges_init(vq, cfg);
	if (!ret)
		ret = vbe_vq_set_mem(vq, cfg->mem);
	if (ret)
		return vbe_vq_break(vq, ret);

	memset(vq->slots, 0, vq->size * sizeof(*vq->slots));
	if (vq->log && (cfg->flags & VBE_VQ_RESUME))
		ret = vbe_log_resume(vq);
	else if (vq->log)
		vbe_log_begin(vq);
	if (ret)
		return vbe_vq_break(vq, ret);
	if (vq->packed)
		list_free(vq);
	vq->staged_pos = vq->used_pos;
	vq->avail_seen = vq->avail_pos;

	/* An earlier BE may have died with kicks disabled. */
	vq->kicks_off = true;
	ret = vq->packed ? vbe_packed_kicks(vq, true) : vbe_split_kicks(vq, true);
	vq->kicks_off = false;
	vbe_mb();
	return ret;
}

int vbe_vq_pop(struct vbe_vq *vq, struct vbe_vq_chain *chain)
{
	if (vbe_unlikely(vq->error))
		return vq->error;
	return vq->packed ? vbe_packed_pop(vq, chain) : vbe_split_pop(vq, chain);
}

int vbe_vq_has_work(struct vbe_vq *vq)
{
	if (vq->error)
		return vq->error;
	if (vq->resume.count)
		return 1;
	return vq->packed ? vbe_packed_peek(vq) : vbe_split_peek(vq);
}

/* The entries that a chain takes in the used ring. */
static inline uint32_t width(const struct vbe_vq *vq, uint16_t slot)
{
	return vq->packed ? vq->slots[slot].count : 1;
}

/* Before the first mark of a batch. */
static inline int open_batch(struct vbe_vq *vq)
{
	if (vbe_likely(!vq->log || !vq->packed || vq->staged_pos != vq->used_pos))
		return 0;
	return vbe_packed_open(vq);
}

/* Gives the chain the next used position. */
static inline void claim_pos(struct vbe_vq *vq, uint16_t slot)
{
	if (vq->log)
		vbe_log_pending(vq, slot, vq->staged_pos);
	vq->staged_pos = vbe_pos_add(vq, vq->staged_pos, width(vq, slot));
}

static inline int put(struct vbe_vq *vq, uint32_t pos, uint16_t slot)
{
	return vq->packed ? vbe_packed_put(vq, pos, slot) : vbe_split_put(vq, pos, slot);
}

int vbe_vq_stage(struct vbe_vq *vq, uint32_t token, uint32_t written)
{
	uint32_t slot = token & 0xffff, pos = vq->staged_pos;
	struct vbe_vq_slot *s;
	int ret;

	if (vbe_unlikely(vq->error))
		return vq->error;
	if (vbe_unlikely(slot >= vq->size))
		return VBE_VQ_E_TOKEN;
	s = &vq->slots[slot];
	if (vbe_unlikely(s->state != SLOT_POPPED || (s->gen & 0xffff) != token >> 16))
		return VBE_VQ_E_TOKEN;
	if (vbe_unlikely(written > s->writable))
		return VBE_VQ_E_WRITTEN;
	s->written = written;
	s->state = SLOT_DONE;
	vq->held++;
	if (vq->in_order)
		return 0;
	ret = open_batch(vq);
	if (vbe_unlikely(ret))
		return ret;
	claim_pos(vq, slot);
	vbe_list_add(vq, &vq->fifo, slot);
	return put(vq, pos, slot);
}

/*
 * In order: stages what is finished at the head of the line. A used entry may stand for itself
 * and all chains before it that were used completely; it is written where the first would be.
 * Gives the number of chains, or an error.
 */
static int stage_in_order(struct vbe_vq *vq)
{
	uint16_t slot = vq->fifo.head, last;
	uint32_t n = 0, first;
	bool more;
	int ret;

	if (!vq->fifo.count || vq->slots[slot].state != SLOT_DONE)
		return 0;
	ret = open_batch(vq);
	if (ret)
		return ret;
	do {
		first = vq->staged_pos;
		do {
			claim_pos(vq, slot);
			last = slot;
			slot = vq->slots[slot].link;
			more = ++n < vq->fifo.count && vq->slots[slot].state == SLOT_DONE;
		} while (more && vq->slots[last].written == vq->slots[last].writable);
		ret = put(vq, first, last);
		if (ret)
			return ret;
	} while (more);
	return n;
}

/* The first @n chains of the list are published: forgets them. */
static void forget(struct vbe_vq *vq, uint32_t n)
{
	struct vbe_vq_slot *s;
	uint16_t slot;

	vq->published += n;
	vq->in_flight -= n;
	vq->held -= n;
	while (n--) {
		slot = vbe_list_take(vq, &vq->fifo);
		s = &vq->slots[slot];
		s->state = SLOT_FREE;
		if (vq->log)
			vbe_log_clear(vq, slot);
		if (vq->packed) {
			vq->outstanding -= s->count;
			vq->slots[s->tail].next = vq->free;
			vq->free = slot;
		}
	}
}

int vbe_vq_flush(struct vbe_vq *vq)
{
	uint32_t width;
	int n, ret;

	if (vbe_unlikely(vq->error))
		return vq->error;
	n = vq->in_order ? stage_in_order(vq) : (int)vq->fifo.count;
	if (n <= 0)
		return n;
	if (vbe_unlikely(vq->nr_ranges)) {
		ret = vbe_ranges_release(vq, n);
		if (ret)
			return ret;
	}
	ret = vq->packed ? vbe_packed_publish(vq) : vbe_split_publish(vq);
	if (vbe_unlikely(ret))
		return ret;
	if (vq->packed) {
		width = vq->staged_pos - vq->used_pos;
		if (vq->staged_pos <= vq->used_pos)
			width += 2 * vq->size;
	} else {
		width = n;
	}
	/* Beyond both laps and the index space alike, more makes no difference. */
	if (vq->unsignalled < 1u << 20)
		vq->unsignalled += width;
	vq->used_pos = vq->staged_pos;
	forget(vq, n);
	return 0;
}

int vbe_vq_push(struct vbe_vq *vq, uint32_t token, uint32_t written)
{
	int ret = vbe_vq_stage(vq, token, written);

	return vbe_unlikely(ret) ? ret : vbe_vq_flush(vq);
}

int vbe_vq_push_n(struct vbe_vq *vq, const struct vbe_vq_done *done, uint32_t n)
{
	int ret = 0, flushed;
	uint32_t i;

	for (i = 0; i < n && !ret; i++)
		ret = vbe_vq_stage(vq, done[i].token, done[i].written);
	flushed = vbe_vq_flush(vq);
	return ret ? ret : flushed;
}

bool vbe_vq_needs_call(struct vbe_vq *vq)
{
	uint32_t since = vq->unsignalled;

	if (vbe_unlikely(vq->error))
		return true;
	if (vbe_unlikely(vq->call_pending)) {
		vq->call_pending = false;
		vq->unsignalled = 0;
		return true;
	}
	if (!since)
		return false;
	vq->unsignalled = 0;
	/*
	 * Publish, then look whether the FE wants to know. The FE says what it wants to know,
	 * then looks what is published: one of the two sees the other.
	 */
	vbe_mb();
	return vq->packed ? vbe_packed_wants_call(vq, since) : vbe_split_wants_call(vq, since);
}

int vbe_vq_enable_kicks(struct vbe_vq *vq)
{
	int ret;

	if (vq->error)
		return vq->error;
	ret = vq->packed ? vbe_packed_kicks(vq, true) : vbe_split_kicks(vq, true);
	if (ret)
		return ret;
	vq->kicks_off = false;
	/* As in vbe_vq_needs_call(): ask first, then look once more. */
	vbe_mb();
	return vbe_vq_has_work(vq);
}

void vbe_vq_disable_kicks(struct vbe_vq *vq)
{
	if (vq->error || vq->kicks_off)
		return;
	if (vq->packed)
		vbe_packed_kicks(vq, false);
	else
		vbe_split_kicks(vq, false);
	vq->kicks_off = true;
}

static uint16_t state_pos(const struct vbe_vq *vq, uint32_t pos)
{
	if (!vq->packed)
		return pos;
	return pos < vq->size ? pos | 0x8000 : pos - vq->size;
}

void vbe_vq_get_state(const struct vbe_vq *vq, struct vbe_vq_state *state)
{
	state->error = vq->error;
	state->avail_pos = state_pos(vq, vq->avail_pos);
	state->used_pos = state_pos(vq, vq->used_pos);
	state->in_flight = vq->in_flight;
	state->held = vq->held;
	state->to_resume = vq->resume.count;
	state->popped = vq->popped;
	state->published = vq->published;
}
