// SPDX-License-Identifier: BSD-3-Clause
/* Copyright (c) 2026 The vbe authors */
/* The split ring. Positions are the 16-bit indices of the available and the used ring. */
#include "internal.h"

#define AVAIL_FLAGS		0u
#define AVAIL_IDX		2u
#define AVAIL_RING		4u
#define USED_FLAGS		0u
#define USED_IDX		2u
#define USED_RING		4u
#define USED_ELEM		8u
#define AVAIL_F_NO_INTERRUPT	1u
#define USED_F_NO_NOTIFY	1u

/* Whether the FE made something available: 1, 0 or an error. */
int vbe_split_peek(struct vbe_vq *vq)
{
	uint16_t idx;
	int ret;

	if (vq->avail_seen != vq->avail_pos)
		return 1;
	ret = vbe_ring_get16(vq, &vq->driver, AVAIL_IDX, &idx);
	if (vbe_unlikely(ret))
		return ret;
	if (idx == vq->avail_pos)
		return 0;
	if (vbe_unlikely((uint16_t)(idx - vq->avail_pos) > vq->size))
		return vbe_vq_break(vq, VBE_VQ_E_AVAIL_IDX);
	vq->avail_seen = idx;
	/* The entries up to the index must not be fetched before it. */
	vbe_rmb();
	return 1;
}

/* Walks the chain at @head; gives the number of its descriptors, or an error. */
static int walk(struct vbe_vq *vq, struct vbe_vq_chain *chain, uint32_t head)
{
	uint32_t i = head, n = 0;
	struct vbe_desc d;
	int ret;

	vbe_chain_start(vq, chain);
	do {
		if (vbe_unlikely(n++ == vq->size))
			return VBE_VQ_E_LOOP;
		ret = vbe_ring_desc(vq, i, &d);
		if (vbe_unlikely(ret))
			return ret;
		if (d.w12 & DESC_F_INDIRECT) {
			if (d.w12 & DESC_F_NEXT)
				return VBE_VQ_E_INDIRECT_NEXT;
			ret = vbe_chain_indirect(vq, chain, d.addr, d.len);
			return ret ? ret : (int)n;
		}
		ret = vbe_chain_add(vq, chain, d.addr, d.len, d.w12 & DESC_F_WRITE);
		if (vbe_unlikely(ret))
			return ret;
		if (d.w12 & DESC_F_NEXT) {
			if (vbe_unlikely(d.w14 >= vq->size))
				return VBE_VQ_E_NEXT;
			i = vbe_index(d.w14, vq->size);
		}
	} while (d.w12 & DESC_F_NEXT);
	return n;
}

int vbe_split_pop(struct vbe_vq *vq, struct vbe_vq_chain *chain)
{
	bool resumed = vq->resume.count;
	uint16_t head;
	int ret;

	if (vbe_unlikely(resumed)) {
		head = vq->resume.head;
	} else {
		ret = vbe_split_peek(vq);
		if (ret <= 0)
			return ret;
		ret = vbe_ring_get16(vq, &vq->driver,
				     AVAIL_RING + 2 * (vq->avail_pos & (vq->size - 1)), &head);
		if (vbe_unlikely(ret))
			return ret;
		if (vbe_unlikely(head >= vq->size))
			return vbe_vq_break(vq, VBE_VQ_E_HEAD);
		head = vbe_index(head, vq->size);
		if (vbe_unlikely(vq->slots[head].state != SLOT_FREE))
			return vbe_vq_break(vq, VBE_VQ_E_BUSY);
	}
	ret = walk(vq, chain, head);
	if (vbe_unlikely(ret < 0))
		return vbe_vq_break(vq, ret);
	vq->slots[head].id = head;
	vq->slots[head].count = ret;
	if (vbe_unlikely(resumed))
		vbe_list_take(vq, &vq->resume);
	else
		vq->avail_pos = vbe_pos_add(vq, vq->avail_pos, 1);
	vbe_chain_finish(vq, chain, head, resumed);
	return 1;
}

/* Writes the used element for @slot at @pos; the FE cannot see it yet. */
int vbe_split_put(struct vbe_vq *vq, uint32_t pos, uint16_t slot)
{
	uint32_t off = USED_RING + USED_ELEM * (pos & (vq->size - 1));
	uint32_t elem[2];

	elem[0] = vbe_le32(slot);
	elem[1] = vbe_le32(vq->slots[slot].written);
	if (vbe_unlikely(!vq->device.host))
		return vbe_ring_copy_out(vq, vq->device.fe_addr + off, elem, sizeof(elem));
	vbe_store32(vq->device.host + off, elem[0]);
	vbe_store32(vq->device.host + off + 4, elem[1]);
	return 0;
}

/* Shows all up to the staged position to the FE. */
int vbe_split_publish(struct vbe_vq *vq)
{
	/* The FE must see the elements, and the data, before the index. */
	vbe_wmb();
	return vbe_ring_put16(vq, &vq->device, USED_IDX, vq->staged_pos);
}

/* Whether the FE wants a call for the last @since entries: 1, 0 or an error. */
int vbe_split_wants_call(struct vbe_vq *vq, uint32_t since)
{
	uint16_t v;
	int ret;

	if (!vq->event_idx) {
		ret = vbe_ring_get16(vq, &vq->driver, AVAIL_FLAGS, &v);
		return ret ? ret : !(v & AVAIL_F_NO_INTERRUPT);
	}
	if (since > 0xffff)
		return 1;
	ret = vbe_ring_get16(vq, &vq->driver, AVAIL_RING + 2 * vq->size, &v);
	return ret ? ret : (uint16_t)(vq->used_pos - v - 1) < since;
}

int vbe_split_kicks(struct vbe_vq *vq, bool on)
{
	/* With event index there is no "off"; an event that has passed comes no more. */
	if (vq->event_idx)
		return on ? vbe_ring_put16(vq, &vq->device, USED_RING + USED_ELEM * vq->size,
					   vq->avail_pos) : 0;
	if (on != vq->kicks_off)
		return 0;
	return vbe_ring_put16(vq, &vq->device, USED_FLAGS, on ? 0 : USED_F_NO_NOTIFY);
}
