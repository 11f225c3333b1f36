// SPDX-License-Identifier: GPL-2.0
/*
 * Limits: how much of the pool a driver may ask for at once.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * A full pool must make a driver wait, never fail. Two things are needed for it:
 *
 * 1. Every request fits into an otherwise empty pool: else it waits for ever. So
 *    the segments of a block or SCSI request (seg_max, the backend's offer) times
 *    the longest mapping (which the driver asks for) are held under half the pool.
 *
 * 2. The driver learns that the pool is full. Linux' virtio_ring says -ENOMEM when
 *    a mapping fails on a split ring, and virtio_blk comes back later. On a packed
 *    ring it says -EIO, which fails the request. So there the rings are made so
 *    short, and the mappings so small, that the pool cannot get full.
 *
 * Receive queues keep buffers posted for ever; of drivers that have some, no
 * device-writable mapping gets the last quarter of the pool, so that they can send.
 */
#include <linux/log2.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>
#include <uapi/linux/virtio_blk.h>
#include <uapi/linux/virtio_scsi.h>

#include "transport/direct.h"
#include "loop.h"

/* Beside its data a request maps a header, a status and an indirect table. */
#define LOOP_EXTRA_MAPS		4
#define LOOP_MIN_RING		4U
#define LOOP_GOOD_RING		16U	/* shorter requests before shorter rings than this */

/* Where the config space has seg_max, or -1. */
static int loop_seg_max_offset(struct loop_vdev *lv)
{
	switch (lv->vdev.id.device) {
	case VIRTIO_ID_BLOCK:
		return offsetof(struct virtio_blk_config, seg_max);
	case VIRTIO_ID_SCSI:
		return offsetof(struct virtio_scsi_config, seg_max);
	default:
		return -1;
	}
}

/* Data segments per request by the backend's offer; 1 when it offers nothing. */
static u32 loop_seg_max_offered(struct loop_vdev *lv, int offset)
{
	__le32 v = 0;

	if (lv->vdev.id.device == VIRTIO_ID_BLOCK &&
	    !(lv->vdev.features & BIT_ULL(VIRTIO_BLK_F_SEG_MAX)))
		return 1;
	if (vbe_direct_config_read(lv->ld->vbe, offset, &v, sizeof(v)))
		return 1;
	return max(le32_to_cpu(v), 1U);
}

static u32 loop_ring_pages(struct loop_vdev *lv, u32 num)
{
	u32 i, pages = 0;

	for (i = 0; i < lv->n_vqs; i++) {
		u32 n = min(num, vbe_direct_queue_max(lv->ld->vbe, i));

		/* A packed ring has three pieces, the last two of a page each. */
		pages += max(PAGE_ALIGN(vring_size(n, PAGE_SIZE)) / PAGE_SIZE,
			     PAGE_ALIGN(16UL * n) / PAGE_SIZE + 2);
	}
	return pages;
}

/* The longest rings that fit into the pages which the pool has for them. */
static u32 loop_ring_limit(struct loop_vdev *lv)
{
	u32 num = VBE_MAX_QUEUE_SIZE;

	while (num > LOOP_MIN_RING && loop_ring_pages(lv, num) > lv->ld->pool.ring_pages)
		num /= 2;
	return num;
}

/* Rule 2: the longest rings with which @pages cannot run out; else no packed ones. */
static void loop_packed_num(struct loop_vdev *lv, u32 pages, u32 maps)
{
	u32 i, total, num;

	for (num = lv->limits.num; num >= LOOP_MIN_RING; num /= 2) {
		total = 0;
		for (i = 0; i < lv->n_vqs; i++)
			total += min(num, vbe_direct_queue_max(lv->ld->vbe, i));
		if ((u64)total * maps <= pages) {
			lv->limits.num = num;
			return;
		}
	}
	dev_info(&lv->vdev.dev, "the window is too small for packed rings, using split ones\n");
	__virtio_clear_bit(&lv->vdev, VIRTIO_F_RING_PACKED);
}

static void loop_limits_requests(struct loop_vdev *lv, int offset)
{
	bool packed = lv->vdev.features & BIT_ULL(VIRTIO_F_RING_PACKED);
	bool indirect = lv->vdev.features & BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC);
	struct loop_pool *pool = &lv->ld->pool;
	u32 pages = pool->n_data;
	u32 segs, room = pages / 2;

	if (packed)
		room = min(room, pages / (lv->n_vqs * LOOP_GOOD_RING));
	room = max(room, 2U * LOOP_EXTRA_MAPS) - LOOP_EXTRA_MAPS;
	segs = min3(loop_seg_max_offered(lv, offset), room, LOOP_MAX_SEGS - LOOP_EXTRA_MAPS);
	/* The indirect table is mapped as well, and must be no longer than one may be. */
	if (indirect)
		segs = min(segs, (u32)(PAGE_SIZE / sizeof(struct vring_desc)) - 2);
	lv->limits.seg_max = segs;
	if (packed) {
		pool->max_map = PAGE_SIZE;
		loop_packed_num(lv, pages, indirect ? segs + LOOP_EXTRA_MAPS : 1);
		return;
	}
	pool->max_map = min_t(size_t, (size_t)rounddown_pow_of_two(room / segs) << PAGE_SHIFT,
			      LOOP_MAP_MAX);
}

/**
 * loop_limits_set() - find the limits for what was negotiated
 * @lv: virtio device; the driver has chosen its features, and has no queue yet
 */
void loop_limits_set(struct loop_vdev *lv)
{
	struct loop_pool *pool = &lv->ld->pool;
	int offset = loop_seg_max_offset(lv);

	lv->limits.num = loop_ring_limit(lv);
	lv->limits.seg_max = 0;
	pool->reserve = 0;
	if (offset >= 0) {
		loop_limits_requests(lv, offset);
		return;
	}
	pool->reserve = 2;
	pool->max_map = clamp_t(size_t, rounddown_pow_of_two(pool->n_data) * PAGE_SIZE / 8,
				PAGE_SIZE, LOOP_MAP_MAX);
}

/**
 * loop_limits_config() - show the driver a seg_max that fits
 * @lv: virtio device
 * @offset: first byte of config space that the driver reads
 * @buf: what it will get
 * @len: number of bytes
 */
void loop_limits_config(struct loop_vdev *lv, u32 offset, void *buf, u32 len)
{
	int at = loop_seg_max_offset(lv);
	__le32 v;

	if (at < 0 || !lv->limits.seg_max || offset != at || len != sizeof(v))
		return;
	memcpy(&v, buf, sizeof(v));
	v = cpu_to_le32(min(le32_to_cpu(v), lv->limits.seg_max));
	memcpy(buf, &v, sizeof(v));
}
