// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
/*
 * virtio-blk requests (virtio 1.3, 5.2.6): check one, and answer it.
 *
 * The driver is hostile. What it wrote is copied out once, and checked in the copy. Nothing here
 * touches the image.
 */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "vbe-blk.h"

static void refuse(struct blk_request *r, uint8_t status)
{
	r->op = BLK_DONE;
	r->status = status;
}

/* Data as an iovec: what lies in [start, start + len) of @n segments. */
static void build_iov(struct blk_request *r, const struct vbe_vq_seg *seg, uint32_t n,
		      uint64_t start, uint64_t len)
{
	r->mapped = true;
	for (; n && len; seg++, n--) {
		struct iovec *last = r->n_iov ? &r->iov[r->n_iov - 1] : NULL;
		uint64_t take = seg->len;
		uint8_t *host = seg->host;

		if (start >= take) {
			start -= take;
			continue;
		}
		if (!host) {
			r->mapped = false;
			return;
		}
		host += start;
		take -= start;
		start = 0;
		if (take > len)
			take = len;
		len -= take;
		if (last && (uint8_t *)last->iov_base + last->iov_len == host)
			last->iov_len += take;
		else
			r->iov[r->n_iov++] = (struct iovec){ .iov_base = host, .iov_len = take };
	}
}

static void parse_rw(const struct blk_limits *lim, struct blk_request *r, uint64_t sector)
{
	bool write = r->op == BLK_WRITE;

	r->len = write ? r->chain.read_len - sizeof(struct virtio_blk_outhdr) :
			 r->chain.write_len - 1;
	if (write && lim->read_only)
		return refuse(r, VIRTIO_BLK_S_IOERR);
	if (r->len % SECTOR || sector > lim->capacity / SECTOR ||
	    r->len > lim->capacity - sector * SECTOR)
		return refuse(r, VIRTIO_BLK_S_IOERR);
	r->off = sector * SECTOR;
	if (!r->len)
		return refuse(r, VIRTIO_BLK_S_OK);
	if (write)
		build_iov(r, r->segs, r->chain.nr_read, sizeof(struct virtio_blk_outhdr), r->len);
	else
		build_iov(r, r->segs + r->chain.nr_read, r->chain.nr_write, 0, r->len);
}

/* One segment of a discard or write-zeroes; the status it deserves. */
static uint8_t parse_range(const struct blk_limits *lim, const struct blk_request *r,
			   const struct virtio_blk_discard_write_zeroes *seg,
			   struct blk_range *range)
{
	uint64_t sector = le64toh(seg->sector);
	uint32_t sectors = le32toh(seg->num_sectors);
	uint32_t flags = le32toh(seg->flags);
	uint32_t known = r->op == BLK_ZERO ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0;

	if (flags & ~known)
		return VIRTIO_BLK_S_UNSUPP;
	if (sectors > BLK_MAX_RANGE_SECTORS || sector > lim->capacity / SECTOR ||
	    sectors > lim->capacity / SECTOR - sector)
		return VIRTIO_BLK_S_IOERR;
	range->off = sector * SECTOR;
	range->len = (uint64_t)sectors * SECTOR;
	range->unmap = flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
	return VIRTIO_BLK_S_OK;
}

static void parse_ranges(const struct vbe_vq *vq, const struct blk_limits *lim,
			 struct blk_request *r)
{
	struct virtio_blk_discard_write_zeroes segs[BLK_MAX_RANGES];
	uint64_t len = r->chain.read_len - sizeof(struct virtio_blk_outhdr);
	uint8_t status = VIRTIO_BLK_S_OK;

	if (!lim->can_discard)
		return refuse(r, VIRTIO_BLK_S_UNSUPP);
	if (lim->read_only || !len || len % sizeof(segs[0]) || len > sizeof(segs) ||
	    vbe_vq_chain_read(vq, &r->chain, sizeof(struct virtio_blk_outhdr), segs, len))
		return refuse(r, VIRTIO_BLK_S_IOERR);
	r->n_ranges = len / sizeof(segs[0]);
	r->ranges = calloc(r->n_ranges, sizeof(*r->ranges));
	if (!r->ranges)
		return refuse(r, VIRTIO_BLK_S_IOERR);
	/* All are checked before any is done. */
	for (uint32_t i = 0; i < r->n_ranges && status == VIRTIO_BLK_S_OK; i++)
		status = parse_range(lim, r, &segs[i], &r->ranges[i]);
	if (status != VIRTIO_BLK_S_OK)
		refuse(r, status);
}

/**
 * blk_parse() - check a request that was popped
 * @vq: its queue
 * @lim: what to check against
 * @r: request, with its chain; all else is filled in
 *
 * Afterwards @r->op says what to do; BLK_DONE with a status is a finished one.
 */
void blk_parse(const struct vbe_vq *vq, const struct blk_limits *lim, struct blk_request *r)
{
	struct virtio_blk_outhdr hdr;

	r->status = VIRTIO_BLK_S_OK;
	r->mapped = false;
	r->no_direct = false;
	r->tries = 0;
	r->stable = false;
	r->off = 0;
	r->len = 0;
	r->pos = 0;
	r->n_iov = 0;
	r->iov_at = 0;
	r->bounce = NULL;
	r->ranges = NULL;
	r->n_ranges = 0;
	/* Without room for a status byte nothing can be told: the chain just goes back. */
	if (!r->chain.write_len || r->chain.read_len < sizeof(hdr) ||
	    vbe_vq_chain_read(vq, &r->chain, 0, &hdr, sizeof(hdr)))
		return refuse(r, VIRTIO_BLK_S_IOERR);
	switch (le32toh(hdr.type)) {
	case VIRTIO_BLK_T_IN:
		r->op = BLK_READ;
		return parse_rw(lim, r, le64toh(hdr.sector));
	case VIRTIO_BLK_T_OUT:
		r->op = BLK_WRITE;
		return parse_rw(lim, r, le64toh(hdr.sector));
	case VIRTIO_BLK_T_FLUSH:
		r->op = BLK_FLUSH;
		return;
	case VIRTIO_BLK_T_GET_ID:
		r->op = BLK_GET_ID;
		return;
	case VIRTIO_BLK_T_DISCARD:
		r->op = BLK_DISCARD;
		return parse_ranges(vq, lim, r);
	case VIRTIO_BLK_T_WRITE_ZEROES:
		r->op = BLK_ZERO;
		return parse_ranges(vq, lim, r);
	default:
		return refuse(r, VIRTIO_BLK_S_UNSUPP);
	}
}

/**
 * blk_advance() - note that the next bytes of a read or write are done
 * @r: request
 * @n: bytes
 */
void blk_advance(struct blk_request *r, uint32_t n)
{
	r->pos += n;
	if (!r->mapped)
		return;
	while (n && r->iov_at < r->n_iov) {
		struct iovec *v = &r->iov[r->iov_at];

		if (n < v->iov_len) {
			v->iov_base = (uint8_t *)v->iov_base + n;
			v->iov_len -= n;
			return;
		}
		n -= v->iov_len;
		r->iov_at++;
	}
}

/**
 * blk_get_id() - answer GET_ID
 * @vq: its queue
 * @r: request
 * @serial: at most VIRTIO_BLK_ID_BYTES characters
 */
void blk_get_id(const struct vbe_vq *vq, struct blk_request *r, const char *serial)
{
	char id[VIRTIO_BLK_ID_BYTES] = { 0 };
	uint64_t room = r->chain.write_len - 1;
	size_t len = strlen(serial);

	memcpy(id, serial, len < sizeof(id) ? len : sizeof(id));
	r->len = room < sizeof(id) ? room : sizeof(id);
	if (vbe_vq_chain_write(vq, &r->chain, 0, id, r->len))
		r->status = VIRTIO_BLK_S_IOERR;
	r->pos = r->len;
}

/**
 * blk_fill_zero() - answer a read with zeroes
 * @vq: its queue
 * @r: request
 */
void blk_fill_zero(const struct vbe_vq *vq, struct blk_request *r)
{
	static const uint8_t zeroes[4096];

	if (r->mapped) {
		for (uint32_t i = 0; i < r->n_iov; i++)
			memset(r->iov[i].iov_base, 0, r->iov[i].iov_len);
		r->pos = r->len;
		return;
	}
	while (r->pos < r->len) {
		uint64_t n = r->len - r->pos;

		if (n > sizeof(zeroes))
			n = sizeof(zeroes);
		if (vbe_vq_chain_write(vq, &r->chain, r->pos, zeroes, n)) {
			r->status = VIRTIO_BLK_S_IOERR;
			return;
		}
		r->pos += n;
	}
}

/**
 * blk_finish() - write the status byte
 * @vq: its queue
 * @r: request
 *
 * Return: how many bytes of the writable part were written, counted from its start without a gap:
 * the used length that virtio wants. A read that failed half-way has a gap before its status.
 */
uint32_t blk_finish(const struct vbe_vq *vq, struct blk_request *r)
{
	uint64_t room = r->chain.write_len;
	bool fills = r->op == BLK_READ || r->op == BLK_GET_ID;

	free(r->ranges);
	r->ranges = NULL;
	if (!room || vbe_vq_chain_write(vq, &r->chain, room - 1, &r->status, 1))
		return 0;
	if (room == 1)
		return 1;
	if (!fills || r->status != VIRTIO_BLK_S_OK)
		return 0;
	return r->pos == room - 1 ? room : r->pos;
}
