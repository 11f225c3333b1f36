// SPDX-License-Identifier: GPL-2.0
/*
 * What the test backend does with a chain: a random source, a disk in memory,
 * and devices which swallow what they are given.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <string.h>

#include <linux/virtio_blk.h>

#include "be.h"

static uint32_t serve_rng(struct be_seg *segs, int n)
{
	uint32_t written = 0;
	int i;

	for (i = 0; i < n; i++) {
		if (!segs[i].write)
			continue;
		memset(segs[i].p, BE_RNG_BYTE, segs[i].len);
		written += segs[i].len;
	}
	return written;
}

static uint8_t move_sectors(struct be *be, uint64_t sector, struct be_seg *segs, int n,
			    bool in, uint32_t *written)
{
	uint64_t at = sector * 512;
	int i;

	for (i = 0; i < n; i++) {
		if (segs[i].write != in || at > be->disk_size ||
		    segs[i].len > be->disk_size - at)
			return VIRTIO_BLK_S_IOERR;
		if (in)
			memcpy(segs[i].p, be->disk + at, segs[i].len);
		else
			memcpy(be->disk + at, segs[i].p, segs[i].len);
		at += segs[i].len;
		*written += in ? segs[i].len : 0;
	}
	return VIRTIO_BLK_S_OK;
}

static uint32_t serve_blk(struct be *be, struct be_seg *segs, int n)
{
	struct virtio_blk_outhdr hdr;
	uint8_t status = VIRTIO_BLK_S_OK;
	uint32_t written = 0;

	if (n < 2 || segs[0].len != sizeof(hdr) || !segs[n - 1].write || !segs[n - 1].len) {
		be_broken(be, "a block request has a strange form");
		return 0;
	}
	memcpy(&hdr, segs[0].p, sizeof(hdr));
	switch (hdr.type) {
	case VIRTIO_BLK_T_IN:
	case VIRTIO_BLK_T_OUT:
		status = move_sectors(be, hdr.sector, segs + 1, n - 2,
				      hdr.type == VIRTIO_BLK_T_IN, &written);
		break;
	case VIRTIO_BLK_T_FLUSH:
		break;
	case VIRTIO_BLK_T_GET_ID:
		memset(segs[1].p, 0, segs[1].len);
		memcpy(segs[1].p, "vbe-kselftest", 13);
		written = segs[1].len;
		break;
	default:
		status = VIRTIO_BLK_S_UNSUPP;
	}
	segs[n - 1].p[0] = status;
	return written + 1;
}

/* Returns the number of bytes written. */
uint32_t be_serve_chain(struct be *be, uint32_t queue, struct be_seg *segs, int n)
{
	(void)queue;
	switch (be->id) {
	case BE_RNG:
		return serve_rng(segs, n);
	case BE_BLK:
		return serve_blk(be, segs, n);
	}
	return 0;
}
