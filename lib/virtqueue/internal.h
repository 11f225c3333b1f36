/* SPDX-License-Identifier: BSD-3-Clause */
/* Copyright (c) 2026 The vbe authors */
/* What the files of the virtqueue engine share. */
#ifndef VBE_VIRTQUEUE_INTERNAL_H
#define VBE_VIRTQUEUE_INTERNAL_H

#include "port.h"
#include <vbe/virtqueue.h>

#define DESC_SIZE		16u
#define DESC_F_NEXT		0x0001u
#define DESC_F_WRITE		0x0002u
#define DESC_F_INDIRECT		0x0004u
#define DESC_F_AVAIL		0x0080u
#define DESC_F_USED		0x8000u

/* States of a slot, as struct vbe_vq_slot keeps them. */
enum {
	SLOT_FREE,
	SLOT_PART,	/* packed: entry of a logged chain, but not its first one */
	SLOT_RESUME,	/* in flight in an earlier BE, not popped yet */
	SLOT_POPPED,
	SLOT_DONE,	/* finished, not published */
};

/*
 * A descriptor in private memory. The fields at offset 12 and 14 are flags and next in the split
 * format, id and flags in the packed one.
 */
struct vbe_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t w12;
	uint16_t w14;
};

/* Marks the queue broken. */
static inline int vbe_vq_break(struct vbe_vq *vq, int error)
{
	vq->error = error;
	return error;
}

/* mem.c */
int vbe_mem_find(const struct vbe_vq_mem *mem, uint64_t addr, uint32_t len, bool write,
		 void **host, uint32_t *got, const struct vbe_vq_window **hit);
int vbe_ring_map(struct vbe_vq *vq, struct vbe_vq_ring *ring, uint32_t len, uint32_t align,
		 bool write);
int vbe_ring_copy_in(struct vbe_vq *vq, uint64_t addr, void *dst, uint32_t len);
int vbe_ring_copy_out(struct vbe_vq *vq, uint64_t addr, const void *src, uint32_t len);

/* transient.c */
bool vbe_mem_transient(const struct vbe_vq_mem *mem, uint64_t addr);
void vbe_ranges_init(struct vbe_vq *vq, const struct vbe_vq_config *cfg);
void vbe_ranges_set_mem(struct vbe_vq *vq);
bool vbe_ranges_fit_mem(const struct vbe_vq *vq, const struct vbe_vq_mem *mem);
bool vbe_range_add(struct vbe_vq *vq, uint64_t addr, uint32_t len);
void vbe_ranges_want(struct vbe_vq *vq, const struct vbe_vq_chain *chain);
int vbe_ranges_release(struct vbe_vq *vq, uint32_t n);

/* chain.c */
int vbe_chain_add_slow(struct vbe_vq *vq, struct vbe_vq_chain *chain, uint64_t addr,
		       uint32_t len, bool write);
int vbe_chain_indirect(struct vbe_vq *vq, struct vbe_vq_chain *chain, uint64_t addr,
		       uint32_t len);

/* split.c */
int vbe_split_peek(struct vbe_vq *vq);
int vbe_split_pop(struct vbe_vq *vq, struct vbe_vq_chain *chain);
int vbe_split_put(struct vbe_vq *vq, uint32_t pos, uint16_t slot);
int vbe_split_publish(struct vbe_vq *vq);
int vbe_split_wants_call(struct vbe_vq *vq, uint32_t since);
int vbe_split_kicks(struct vbe_vq *vq, bool on);

/* packed.c */
int vbe_packed_peek(struct vbe_vq *vq);
int vbe_packed_pop(struct vbe_vq *vq, struct vbe_vq_chain *chain);
int vbe_packed_open(struct vbe_vq *vq);
int vbe_packed_put(struct vbe_vq *vq, uint32_t pos, uint16_t slot);
int vbe_packed_publish(struct vbe_vq *vq);
int vbe_packed_wants_call(struct vbe_vq *vq, uint32_t since);
int vbe_packed_kicks(struct vbe_vq *vq, bool on);
int vbe_packed_is_used(struct vbe_vq *vq, uint32_t pos);
int vbe_packed_take_back(struct vbe_vq *vq, uint32_t pos);

/* inflight.c */
size_t vbe_log_size(uint32_t size, bool packed);
void vbe_log_begin(struct vbe_vq *vq);
int vbe_log_resume(struct vbe_vq *vq);
void vbe_log_desc(struct vbe_vq *vq, uint16_t slot, const struct vbe_desc *desc);
void vbe_log_desc_get(const struct vbe_vq *vq, uint16_t slot, struct vbe_desc *desc);
void vbe_log_pop(struct vbe_vq *vq, uint16_t slot);
void vbe_log_pending(struct vbe_vq *vq, uint16_t slot, uint32_t pos);
void vbe_log_used_pos(struct vbe_vq *vq, uint32_t pos);
void vbe_log_clear(struct vbe_vq *vq, uint16_t slot);

/* The ring position @n entries after @pos; @n is at most the queue size. */
static inline uint32_t vbe_pos_add(const struct vbe_vq *vq, uint32_t pos, uint32_t n)
{
	pos += n;
	if (!vq->packed)
		return pos & 0xffff;
	return pos >= 2 * vq->size ? pos - 2 * vq->size : pos;
}

static inline void vbe_list_add(struct vbe_vq *vq, struct vbe_vq_list *list, uint16_t slot)
{
	if (list->count++)
		vq->slots[list->tail].link = slot;
	else
		list->head = slot;
	list->tail = slot;
}

/* The list must not be empty. */
static inline uint16_t vbe_list_take(struct vbe_vq *vq, struct vbe_vq_list *list)
{
	uint16_t slot = list->head;

	list->head = vq->slots[slot].link;
	list->count--;
	return slot;
}

static inline int vbe_ring_get16(struct vbe_vq *vq, const struct vbe_vq_ring *ring, uint32_t off,
				 uint16_t *v)
{
	uint16_t le;
	int ret = 0;

	if (vbe_likely(ring->host))
		le = vbe_load16(ring->host + off);
	else
		ret = vbe_ring_copy_in(vq, ring->fe_addr + off, &le, sizeof(le));
	if (vbe_unlikely(ret))
		return ret;
	*v = vbe_le16(le);
	return 0;
}

static inline int vbe_ring_put16(struct vbe_vq *vq, const struct vbe_vq_ring *ring, uint32_t off,
				 uint16_t v)
{
	uint16_t le = vbe_le16(v);

	if (vbe_unlikely(!ring->host))
		return vbe_ring_copy_out(vq, ring->fe_addr + off, &le, sizeof(le));
	vbe_store16(ring->host + off, le);
	return 0;
}

static inline void vbe_desc_load(struct vbe_desc *desc, const uint8_t *host)
{
	vbe_vq_test_desc_read();
	desc->addr = vbe_le64(vbe_load64(host));
	desc->len = vbe_le32(vbe_load32(host + 8));
	desc->w12 = vbe_le16(vbe_load16(host + 12));
	desc->w14 = vbe_le16(vbe_load16(host + 14));
}

static inline void vbe_desc_swap(struct vbe_desc *desc)
{
	vbe_vq_test_desc_read();
	desc->addr = vbe_le64(desc->addr);
	desc->len = vbe_le32(desc->len);
	desc->w12 = vbe_le16(desc->w12);
	desc->w14 = vbe_le16(desc->w14);
}

/* Fetches descriptor @i of the ring; the caller has checked @i. */
static inline int vbe_ring_desc(struct vbe_vq *vq, uint32_t i, struct vbe_desc *desc)
{
	uint32_t off = i * DESC_SIZE;
	int ret;

	if (vbe_likely(vq->desc.host)) {
		vbe_desc_load(desc, vq->desc.host + off);
		return 0;
	}
	ret = vbe_ring_copy_in(vq, vq->desc.fe_addr + off, desc, sizeof(*desc));
	if (vbe_unlikely(ret))
		return ret;
	vbe_desc_swap(desc);
	return 0;
}

/* Looks an address up; gives as much as is contiguous. Returns 0 or VBE_VQ_E_RANGE. */
static inline int vbe_find(struct vbe_vq *vq, uint64_t addr, uint32_t len, bool write,
			   void **host, uint32_t *got)
{
	const struct vbe_vq_window *hit = vq->hit;
	uint64_t off;

	if (vbe_likely(hit)) {
		off = addr - hit->fe_addr;
		if (vbe_likely(off < hit->len && len <= hit->len - off && !hit->flags)) {
			*host = hit->host ? (uint8_t *)hit->host + off : NULL;
			*got = len;
			return 0;
		}
	}
	return vbe_mem_find(vq->mem, addr, len, write, host, got, &vq->hit);
}

static inline void vbe_chain_start(struct vbe_vq *vq, struct vbe_vq_chain *chain)
{
	vq->first_range = 0;
	chain->nr_read = 0;
	chain->nr_write = 0;
	chain->read_len = 0;
	chain->write_len = 0;
}

static inline int vbe_chain_seg(struct vbe_vq_chain *chain, void *host, uint64_t addr,
				uint32_t len, bool write)
{
	uint32_t n = chain->nr_read + chain->nr_write;
	struct vbe_vq_seg *seg = &chain->segs[n];

	if (vbe_unlikely(n >= chain->max_segs))
		return VBE_VQ_E_SEGS;
	seg->host = host;
	seg->fe_addr = addr;
	seg->len = len;
	seg->reserved = 0;
	if (write)
		chain->nr_write++;
	else
		chain->nr_read++;
	return 0;
}

/*
 * Adds an element that the FE described. An element of length 0 is allowed by the standard, and
 * means nothing; its address is not looked at.
 */
static inline int vbe_chain_add(struct vbe_vq *vq, struct vbe_vq_chain *chain, uint64_t addr,
				uint32_t len, bool write)
{
	void *host;
	uint32_t got;

	if (vbe_unlikely(!write && chain->nr_write))
		return VBE_VQ_E_ORDER;
	if (write)
		chain->write_len += len;
	else
		chain->read_len += len;
	if (vbe_unlikely(!len))
		return 0;
	if (vbe_unlikely(chain->read_len + chain->write_len > 1ull << 32))
		return VBE_VQ_E_TOTAL;
	if (vbe_unlikely(addr + (len - 1) < addr))
		return VBE_VQ_E_WRAP;
	if (vbe_unlikely(vbe_find(vq, addr, len, write, &host, &got)))
		return VBE_VQ_E_ADDR;
	if (vbe_unlikely(got < len || vq->transient))
		return vbe_chain_add_slow(vq, chain, addr, len, write);
	return vbe_chain_seg(chain, host, addr, len, write);
}

/* Makes a popped chain known under its slot, and fills in what the caller gets of it. */
static inline void vbe_chain_finish(struct vbe_vq *vq, struct vbe_vq_chain *chain, uint16_t slot,
				    bool resumed)
{
	struct vbe_vq_slot *s = &vq->slots[slot];

	s->state = SLOT_POPPED;
	s->gen++;
	s->writable = chain->write_len;
	s->ranges = vq->first_range;
	if (vbe_unlikely(s->ranges))
		vbe_ranges_want(vq, chain);
	chain->token = (s->gen & 0xffff) << 16 | slot;
	chain->nr_descs = s->count;
	chain->id = s->id;
	chain->resumed = resumed;
	if (!resumed) {
		if (vq->log)
			vbe_log_pop(vq, slot);
		vq->in_flight++;
	}
	if (vq->in_order)
		vbe_list_add(vq, &vq->fifo, slot);
	vq->popped++;
}

#endif /* VBE_VIRTQUEUE_INTERNAL_H */
