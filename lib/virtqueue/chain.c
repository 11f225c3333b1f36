// SPDX-License-Identifier: BSD-3-Clause
/* Copyright (c) 2026 The vbe authors */
/*
 * Chains: elements that cross windows or lie in transient ones, indirect tables, and copies from
 * and to segments.
 */
#include "internal.h"

/*
 * An element that crosses windows, or is in a transient one: then it is copied, or it is noted
 * what to give back. Bounded by the caller's segments: each piece takes one.
 */
int vbe_chain_add_slow(struct vbe_vq *vq, struct vbe_vq_chain *chain, uint64_t addr,
		       uint32_t len, bool write)
{
	uint32_t got;
	void *host;
	int ret;

	for (; len; len -= got, addr += got) {
		if (vbe_find(vq, addr, len, write, &host, &got))
			return VBE_VQ_E_ADDR;
		if (host && vbe_mem_transient(vq->mem, addr) &&
		    (got < VBE_VQ_TRANSIENT_MIN || !vbe_range_add(vq, addr, got)))
			host = NULL;
		ret = vbe_chain_seg(chain, host, addr, got, write);
		if (ret)
			return ret;
	}
	return 0;
}

/* An indirect table that is being read. Not mapped, it is fetched a few descriptors at a time. */
struct table {
	const uint8_t *host;
	uint64_t addr;
	uint32_t nr;
	uint32_t first;		/* of those in buf */
	uint32_t nr_buf;
	struct vbe_desc buf[16];
};

static int table_open(struct vbe_vq *vq, struct table *t, uint64_t addr, uint32_t len)
{
	uint32_t got;
	void *host;

	if (!len || len % DESC_SIZE)
		return VBE_VQ_E_INDIRECT_LEN;
	if (addr + (len - 1) < addr)
		return VBE_VQ_E_WRAP;
	if (vbe_find(vq, addr, len, false, &host, &got))
		return VBE_VQ_E_ADDR;
	/* No alignment is demanded of a table. Nobody would give a transient one back. */
	t->host = got == len && !((uintptr_t)host & 7) ? host : NULL;
	if (vq->transient && vbe_mem_transient(vq->mem, addr))
		t->host = NULL;
	t->addr = addr;
	t->nr = len / DESC_SIZE;
	t->nr_buf = 0;
	return 0;
}

static int table_get(struct vbe_vq *vq, struct table *t, uint32_t i, struct vbe_desc *desc)
{
	int ret;

	if (vbe_likely(t->host)) {
		vbe_desc_load(desc, t->host + (uint64_t)i * DESC_SIZE);
		return 0;
	}
	if (!t->nr_buf || i < t->first || i - t->first >= t->nr_buf) {
		t->first = i;
		t->nr_buf = t->nr - i < 16 ? t->nr - i : 16;
		ret = vbe_vq_mem_read(vq->mem, t->addr + (uint64_t)i * DESC_SIZE, t->buf,
				      t->nr_buf * DESC_SIZE);
		if (ret)
			return ret == VBE_VQ_E_RANGE ? VBE_VQ_E_ADDR : ret;
	}
	*desc = t->buf[i - t->first];
	vbe_desc_swap(desc);
	return 0;
}

static int indirect_split(struct vbe_vq *vq, struct vbe_vq_chain *chain, struct table *t)
{
	uint32_t i = 0, n = 0;
	struct vbe_desc d;
	int ret;

	for (;;) {
		if (n == t->nr)
			return VBE_VQ_E_LOOP;
		if (n++ == vq->max_indirect)
			return VBE_VQ_E_INDIRECT_MAX;
		ret = table_get(vq, t, i, &d);
		if (ret)
			return ret;
		if (d.w12 & DESC_F_INDIRECT)
			return VBE_VQ_E_INDIRECT_NEST;
		ret = vbe_chain_add(vq, chain, d.addr, d.len, d.w12 & DESC_F_WRITE);
		if (ret || !(d.w12 & DESC_F_NEXT))
			return ret;
		if (d.w14 >= t->nr)
			return VBE_VQ_E_NEXT;
		i = vbe_index(d.w14, t->nr);
	}
}

/* All of a packed table belongs to the chain; NEXT means nothing there. */
static int indirect_packed(struct vbe_vq *vq, struct vbe_vq_chain *chain, struct table *t)
{
	struct vbe_desc d;
	uint32_t i;
	int ret;

	if (t->nr > vq->max_indirect)
		return VBE_VQ_E_INDIRECT_MAX;
	for (i = 0; i < t->nr; i++) {
		ret = table_get(vq, t, i, &d);
		if (ret)
			return ret;
		if (d.w14 & DESC_F_INDIRECT)
			return VBE_VQ_E_INDIRECT_NEST;
		ret = vbe_chain_add(vq, chain, d.addr, d.len, d.w14 & DESC_F_WRITE);
		if (ret)
			return ret;
	}
	return 0;
}

/* Walks the indirect table at @addr, as the last or only descriptor of a chain. */
int vbe_chain_indirect(struct vbe_vq *vq, struct vbe_vq_chain *chain, uint64_t addr,
		       uint32_t len)
{
	struct table t;
	int ret;

	if (!vq->indirect)
		return VBE_VQ_E_INDIRECT;
	ret = table_open(vq, &t, addr, len);
	if (ret)
		return ret;
	return vq->packed ? indirect_packed(vq, chain, &t) : indirect_split(vq, chain, &t);
}

int vbe_vq_chain_read(const struct vbe_vq *vq, const struct vbe_vq_chain *chain,
		      uint64_t offset, void *dst, size_t len)
{
	const struct vbe_vq_seg *seg = chain->segs;
	const struct vbe_vq_mem *mem = vq->mem;
	uint8_t *to = dst;
	uint32_t n;

	if (offset > chain->read_len || len > chain->read_len - offset)
		return VBE_VQ_E_RANGE;
	for (; len; seg++) {
		if (offset >= seg->len) {
			offset -= seg->len;
			continue;
		}
		n = seg->len - offset < len ? seg->len - offset : len;
		if (seg->host)
			memcpy(to, (const uint8_t *)seg->host + offset, n);
		else if (!mem->read || mem->read(mem->opaque, seg->fe_addr + offset, to, n))
			return VBE_VQ_E_MEM;
		to += n;
		len -= n;
		offset = 0;
	}
	return 0;
}

int vbe_vq_chain_write(const struct vbe_vq *vq, const struct vbe_vq_chain *chain,
		       uint64_t offset, const void *src, size_t len)
{
	const struct vbe_vq_seg *seg = chain->segs + chain->nr_read;
	const struct vbe_vq_mem *mem = vq->mem;
	const uint8_t *from = src;
	uint32_t n;

	if (offset > chain->write_len || len > chain->write_len - offset)
		return VBE_VQ_E_RANGE;
	for (; len; seg++) {
		if (offset >= seg->len) {
			offset -= seg->len;
			continue;
		}
		n = seg->len - offset < len ? seg->len - offset : len;
		if (seg->host)
			memcpy((uint8_t *)seg->host + offset, from, n);
		else if (!mem->write || mem->write(mem->opaque, seg->fe_addr + offset, from, n))
			return VBE_VQ_E_MEM;
		from += n;
		len -= n;
		offset = 0;
	}
	return 0;
}
