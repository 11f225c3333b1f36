// SPDX-License-Identifier: BSD-3-Clause
/* Copyright (c) 2026 The vbe authors */
/*
 * The packed ring. Positions run over two laps, 0 .. 2 * size - 1: the wrap counter is 1 in the
 * first and 0 in the second, and distances need no case for the wrap.
 */
#include "internal.h"

#define DESC_LEN		8u
#define DESC_FLAGS		14u
#define EVENT_DESC		0u
#define EVENT_FLAGS		2u
#define EVENT_F_ENABLE		0u
#define EVENT_F_DISABLE		1u
#define EVENT_F_DESC		2u
#define EVENT_F_MASK		3u
#define EVENT_WRAP		0x8000u

static inline bool wrap_of(const struct vbe_vq *vq, uint32_t pos)
{
	return pos < vq->size;
}

static inline uint32_t index_of(const struct vbe_vq *vq, uint32_t pos)
{
	return pos < vq->size ? pos : pos - vq->size;
}

static inline uint32_t flags_at(const struct vbe_vq *vq, uint32_t pos)
{
	return index_of(vq, pos) * DESC_SIZE + DESC_FLAGS;
}

/* Fetches the flags at the next available position if there is a chain: 1, 0 or an error. */
static inline int peek(struct vbe_vq *vq, uint16_t *flags)
{
	bool wrap = wrap_of(vq, vq->avail_pos);
	int ret;

	ret = vbe_ring_get16(vq, &vq->desc, flags_at(vq, vq->avail_pos), flags);
	if (vbe_unlikely(ret))
		return ret;
	if (!(*flags & DESC_F_AVAIL) == wrap || !(*flags & DESC_F_USED) != wrap)
		return 0;
	/* A full ring cannot have more: each slot is the device's, and of the lap before. */
	if (vbe_unlikely(vq->outstanding >= vq->size))
		return vbe_vq_break(vq, VBE_VQ_E_OVERRUN);
	/* The rest must not be fetched before the flags. */
	vbe_rmb();
	return 1;
}

int vbe_packed_peek(struct vbe_vq *vq)
{
	uint16_t flags;

	return peek(vq, &flags);
}

/* Adds the @n-th descriptor of a chain. Gives 1 if another follows, 0 at the end, or an error. */
static int add(struct vbe_vq *vq, struct vbe_vq_chain *chain, const struct vbe_desc *d, uint32_t n)
{
	int ret;

	if (d->w14 & DESC_F_INDIRECT) {
		if (n > 1 || (d->w14 & DESC_F_NEXT))
			return VBE_VQ_E_INDIRECT_NEXT;
		return vbe_chain_indirect(vq, chain, d->addr, d->len);
	}
	ret = vbe_chain_add(vq, chain, d->addr, d->len, d->w14 & DESC_F_WRITE);
	return ret ? ret : !!(d->w14 & DESC_F_NEXT);
}

/*
 * Walks a new chain. Its descriptors are logged as they are read, in the first entries of the
 * free list; they count for nothing until the chain is marked as popped. On success it has the
 * first free slot, and with a log one more for each further descriptor.
 */
static int pop_new(struct vbe_vq *vq, struct vbe_vq_chain *chain, uint16_t flags)
{
	uint32_t pos = vq->avail_pos, n = 0;
	uint16_t slot = vq->free, entry = slot, tail = slot;
	struct vbe_vq_slot *s = &vq->slots[slot];
	struct vbe_desc d;
	int ret;

	vbe_chain_start(vq, chain);
	do {
		if (vbe_unlikely(vq->outstanding + n == vq->size))
			return n == vq->size ? VBE_VQ_E_LOOP : VBE_VQ_E_OVERRUN;
		ret = vbe_ring_desc(vq, index_of(vq, pos), &d);
		if (vbe_unlikely(ret))
			return ret;
		if (!n)
			d.w14 = flags;
		if (vq->log) {
			vbe_log_desc(vq, entry, &d);
			tail = entry;
			entry = vq->slots[entry].next;
		}
		pos = vbe_pos_add(vq, pos, 1);
		ret = add(vq, chain, &d, ++n);
	} while (ret > 0);
	if (vbe_unlikely(ret))
		return ret;
	vq->free = vq->slots[tail].next;
	s->id = d.w12;
	s->count = n;
	s->tail = tail;
	vq->avail_pos = pos;
	vq->outstanding += n;
	vbe_chain_finish(vq, chain, slot, false);
	return 1;
}

/* Walks a chain that an earlier BE popped, as the log has it. */
static int pop_resumed(struct vbe_vq *vq, struct vbe_vq_chain *chain)
{
	uint16_t slot = vq->resume.head, entry = slot;
	struct vbe_vq_slot *s = &vq->slots[slot];
	struct vbe_desc d;
	uint32_t n = 0;
	int ret, more;

	vbe_chain_start(vq, chain);
	do {
		vbe_log_desc_get(vq, entry, &d);
		ret = add(vq, chain, &d, ++n);
		if (vbe_unlikely(ret < 0))
			return ret;
		/* It must end where its count says. */
		more = n < s->count;
		if (vbe_unlikely(ret != more))
			return VBE_VQ_E_INFLIGHT;
		entry = vq->slots[entry].next;
	} while (ret);
	s->id = d.w12;
	vbe_list_take(vq, &vq->resume);
	vbe_chain_finish(vq, chain, slot, true);
	return 1;
}

int vbe_packed_pop(struct vbe_vq *vq, struct vbe_vq_chain *chain)
{
	uint16_t flags = 0;
	int ret;

	if (vbe_unlikely(vq->resume.count)) {
		ret = pop_resumed(vq, chain);
	} else {
		ret = peek(vq, &flags);
		if (ret <= 0)
			return ret;
		ret = pop_new(vq, chain, flags);
	}
	return vbe_unlikely(ret < 0) ? vbe_vq_break(vq, ret) : ret;
}

/* The two bits which say "available" (@used false) or "used" in the lap of @pos. */
static inline uint16_t lap_flags(const struct vbe_vq *vq, uint32_t pos, bool used)
{
	bool wrap = wrap_of(vq, pos);

	return (wrap ? DESC_F_AVAIL : 0) | (wrap == used ? DESC_F_USED : 0);
}

/*
 * Whether the descriptor at @pos, which was available in this lap, was published as used: 1, 0
 * or an error. It is still so when the FE has made it available again, in the next lap.
 */
int vbe_packed_is_used(struct vbe_vq *vq, uint32_t pos)
{
	uint16_t flags;
	int ret;

	ret = vbe_ring_get16(vq, &vq->desc, flags_at(vq, pos), &flags);
	return ret ? ret : !(flags & DESC_F_USED) != wrap_of(vq, pos);
}

/* Makes a slot that the device owns, and has not published, look so. */
int vbe_packed_take_back(struct vbe_vq *vq, uint32_t pos)
{
	int ret = vbe_packed_is_used(vq, pos);

	if (ret <= 0)
		return ret;
	return vbe_ring_put16(vq, &vq->desc, flags_at(vq, pos), lap_flags(vq, pos, false));
}

/*
 * Begins a batch. After a crash the used bit at its first position tells whether the batch was
 * published, so it must be clear before; a careless FE may not have seen to that in the middle
 * of a chain.
 */
int vbe_packed_open(struct vbe_vq *vq)
{
	return vbe_packed_take_back(vq, vq->used_pos);
}

/* Writes the used descriptor for @slot at @pos. The flags of a batch's first one wait. */
int vbe_packed_put(struct vbe_vq *vq, uint32_t pos, uint16_t slot)
{
	uint32_t off = index_of(vq, pos) * DESC_SIZE;
	struct vbe_vq_slot *s = &vq->slots[slot];
	struct {
		uint32_t len;
		uint16_t id;
	} used = { vbe_le32(s->written), vbe_le16(s->id) };
	uint16_t flags = lap_flags(vq, pos, true) | (s->written ? DESC_F_WRITE : 0);
	int ret = 0;

	if (vbe_likely(vq->desc.host)) {
		vbe_store32(vq->desc.host + off + DESC_LEN, used.len);
		vbe_store16(vq->desc.host + off + DESC_LEN + 4, used.id);
	} else {
		ret = vbe_ring_copy_out(vq, vq->desc.fe_addr + off + DESC_LEN, &used, 6);
	}
	if (pos == vq->used_pos)
		vq->first_flags = flags;
	else if (!ret)
		ret = vbe_ring_put16(vq, &vq->desc, off + DESC_FLAGS, flags);
	return ret;
}

/* Shows all up to the staged position to the FE. */
int vbe_packed_publish(struct vbe_vq *vq)
{
	int ret;

	/* The FE must see the rest of the batch, and the data, before the first flags. */
	vbe_wmb();
	ret = vbe_ring_put16(vq, &vq->desc, flags_at(vq, vq->used_pos), vq->first_flags);
	if (!ret && vq->log)
		vbe_log_used_pos(vq, vq->staged_pos);
	return ret;
}

/* Whether the FE wants a call for the last @since descriptors: 1, 0 or an error. */
int vbe_packed_wants_call(struct vbe_vq *vq, uint32_t since)
{
	uint32_t laps = 2 * vq->size, event, old;
	uint16_t where, flags;
	int ret;

	/*
	 * The FE may write one after the other. If this misses the second, it came before the FE
	 * looked at the ring, and will see what was published.
	 */
	ret = vbe_ring_get16(vq, &vq->driver, EVENT_DESC, &where);
	if (!ret)
		ret = vbe_ring_get16(vq, &vq->driver, EVENT_FLAGS, &flags);
	if (vbe_unlikely(ret))
		return ret;
	flags &= EVENT_F_MASK;
	if (flags == EVENT_F_DISABLE)
		return 0;
	event = where & ~EVENT_WRAP;
	if (flags != EVENT_F_DESC || !vq->event_idx || event >= vq->size || since >= laps)
		return 1;
	if (!(where & EVENT_WRAP))
		event += vq->size;
	old = vq->used_pos + laps - since;
	return (event + laps - old % laps) % laps < since;
}

int vbe_packed_kicks(struct vbe_vq *vq, bool on)
{
	uint16_t where, flags = EVENT_F_DISABLE;
	int ret;

	if (on && vq->event_idx) {
		where = index_of(vq, vq->avail_pos);
		if (wrap_of(vq, vq->avail_pos))
			where |= EVENT_WRAP;
		ret = vbe_ring_put16(vq, &vq->device, EVENT_DESC, where);
		if (ret)
			return ret;
		/* Where must be known before it counts. */
		vbe_wmb();
		flags = EVENT_F_DESC;
	} else if (on) {
		flags = EVENT_F_ENABLE;
	}
	if (on != vq->kicks_off)
		return 0;
	return vbe_ring_put16(vq, &vq->device, EVENT_FLAGS, flags);
}
