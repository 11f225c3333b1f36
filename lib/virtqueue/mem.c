// SPDX-License-Identifier: BSD-3-Clause
/* Copyright (c) 2026 The vbe authors */
/* FE memory: finding an address among the windows, and copying where nothing is mapped. */
#include "internal.h"

/*
 * Looks @addr up, of which @len bytes, at least 1, are wanted: in the windows first, then by the
 * map callback. *@got is at most @len. *@hit becomes the window, if it is one for reading and
 * writing: the fast path asks no more. Returns 0 or VBE_VQ_E_RANGE.
 */
int vbe_mem_find(const struct vbe_vq_mem *mem, uint64_t addr, uint32_t len, bool write,
		 void **host, uint32_t *got, const struct vbe_vq_window **hit)
{
	const struct vbe_vq_window *w;
	uint64_t off;
	uint32_t i;

	for (i = 0; i < mem->nr_windows; i++) {
		w = &mem->windows[i];
		off = addr - w->fe_addr;
		if (off >= w->len)
			continue;
		if (write && (w->flags & (VBE_VQ_WINDOW_RO | VBE_VQ_WINDOW_RINGS)))
			return VBE_VQ_E_RANGE;
		*host = w->host ? (uint8_t *)w->host + off : NULL;
		*got = w->len - off < len ? w->len - off : len;
		if (!w->flags)
			*hit = w;
		return 0;
	}
	*got = 0;
	if (!mem->map || mem->map(mem->opaque, addr, len, write, host, got) || !*got)
		return VBE_VQ_E_RANGE;
	if (*got > len)
		*got = len;
	return 0;
}

/*
 * Finds the next piece, at most 2^31 bytes, of a longer copy, or of a ring. A piece that is not
 * mapped needs the callback, so the lack of it is found here. Only a ring is there to stay, so
 * in a transient window nothing else is reached by pointer.
 */
static int find_piece(const struct vbe_vq_mem *mem, uint64_t addr, size_t len, bool write,
		      bool ring, void **host, uint32_t *got)
{
	const struct vbe_vq_window *hit;
	uint32_t want = len > 1u << 31 ? 1u << 31 : len;

	if (vbe_mem_find(mem, addr, want, write, host, got, &hit))
		return VBE_VQ_E_RANGE;
	if (!ring && *host && vbe_mem_transient(mem, addr))
		*host = NULL;
	if (!*host && (write ? !mem->write : !mem->read))
		return VBE_VQ_E_RANGE;
	return 0;
}

int vbe_vq_mem_read(const struct vbe_vq_mem *mem, uint64_t fe_addr, void *dst, size_t len)
{
	uint8_t *to = dst;
	uint32_t got;
	void *host;

	if (len && fe_addr + (len - 1) < fe_addr)
		return VBE_VQ_E_RANGE;
	for (; len; len -= got, fe_addr += got, to += got) {
		if (find_piece(mem, fe_addr, len, false, false, &host, &got))
			return VBE_VQ_E_RANGE;
		if (host)
			memcpy(to, host, got);
		else if (mem->read(mem->opaque, fe_addr, to, got))
			return VBE_VQ_E_MEM;
	}
	return 0;
}

int vbe_vq_mem_write(const struct vbe_vq_mem *mem, uint64_t fe_addr, const void *src, size_t len)
{
	const uint8_t *from = src;
	uint32_t got;
	void *host;

	if (len && fe_addr + (len - 1) < fe_addr)
		return VBE_VQ_E_RANGE;
	for (; len; len -= got, fe_addr += got, from += got) {
		if (find_piece(mem, fe_addr, len, true, false, &host, &got))
			return VBE_VQ_E_RANGE;
		if (host)
			memcpy(host, from, got);
		else if (mem->write(mem->opaque, fe_addr, from, got))
			return VBE_VQ_E_MEM;
	}
	return 0;
}

/* The same for a ring, which alone may be written in a window for rings. */
static int find_ring_piece(const struct vbe_vq_mem *mem, uint64_t addr, uint32_t len, bool write,
			   void **host, uint32_t *got)
{
	const struct vbe_vq_window *w;
	uint32_t i;

	for (i = 0; i < mem->nr_windows; i++) {
		w = &mem->windows[i];
		if (addr - w->fe_addr >= w->len)
			continue;
		if ((w->flags & ~VBE_VQ_WINDOW_TRANSIENT) == VBE_VQ_WINDOW_RINGS)
			write = false;
		break;
	}
	return find_piece(mem, addr, len, write, true, host, got);
}

/*
 * Finds out how a ring is reached: by a pointer if all of it is mapped in one piece, else by
 * copies, piece by piece.
 */
int vbe_ring_map(struct vbe_vq *vq, struct vbe_vq_ring *ring, uint32_t len, uint32_t align,
		 bool write)
{
	uint64_t addr = ring->fe_addr;
	uint32_t got;
	void *host;

	ring->host = NULL;
	if (addr & (align - 1))
		return VBE_VQ_E_ALIGN;
	if (addr + (len - 1) < addr)
		return VBE_VQ_E_RING;
	if (find_ring_piece(vq->mem, addr, len, write, &host, &got))
		return VBE_VQ_E_RING;
	if (host && got == len) {
		/* The window itself may be mapped askew. */
		if ((uintptr_t)host & (align - 1))
			return VBE_VQ_E_ALIGN;
		ring->host = host;
		return 0;
	}
	for (; len; len -= got, addr += got) {
		if (find_ring_piece(vq->mem, addr, len, write, &host, &got))
			return VBE_VQ_E_RING;
		/* The device reads back what it wrote, when it resumes. */
		if (!host && write && !vq->mem->read)
			return VBE_VQ_E_RING;
	}
	return 0;
}

/*
 * Rings of which a part cannot be reached by one pointer. A 16-bit word must still be fetched or
 * stored in one piece, which a memcpy() does not promise.
 */
int vbe_ring_copy_in(struct vbe_vq *vq, uint64_t addr, void *dst, uint32_t len)
{
	uint32_t got;
	uint16_t v;
	void *host;

	if (len == sizeof(v) && !find_piece(vq->mem, addr, len, false, true, &host, &got) &&
	    got == len && host && !((uintptr_t)host & 1)) {
		v = vbe_load16(host);
		memcpy(dst, &v, sizeof(v));
		return 0;
	}
	if (vbe_vq_mem_read(vq->mem, addr, dst, len))
		return vbe_vq_break(vq, VBE_VQ_E_MEM);
	return 0;
}

int vbe_ring_copy_out(struct vbe_vq *vq, uint64_t addr, const void *src, uint32_t len)
{
	uint32_t got;
	uint16_t v;
	void *host;

	if (len == sizeof(v) && !find_piece(vq->mem, addr, len, true, true, &host, &got) &&
	    got == len && host && !((uintptr_t)host & 1)) {
		memcpy(&v, src, sizeof(v));
		vbe_store16(host, v);
		return 0;
	}
	vbe_vq_test_store();
	if (vbe_vq_mem_write(vq->mem, addr, src, len))
		return vbe_vq_break(vq, VBE_VQ_E_MEM);
	return 0;
}
