// SPDX-License-Identifier: GPL-2.0
/*
 * Block requests of the test driver.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <errno.h>

#include <linux/virtio_blk.h>

#include "driver.h"

#define STATUS_AT	16
#define NO_STATUS	0xff

int drv_blk_req(struct drv *d, struct drv_blk_req *r, uint32_t len)
{
	r->hdr = drv_alloc(d, 32, 32);
	r->data = drv_alloc(d, len, 512);
	r->len = len;
	return r->hdr && r->data ? 0 : -ENOMEM;
}

int drv_blk_add(struct drv *d, uint32_t q, struct drv_blk_req *r, uint32_t type,
		uint64_t sector)
{
	struct virtio_blk_outhdr *h = drv_ptr(d, r->hdr, 32);
	uint32_t half = r->len / 1024 * 512;
	bool out = type == VIRTIO_BLK_T_OUT;
	struct drv_buf bufs[4];
	uint32_t n = 0;

	*h = (struct virtio_blk_outhdr){ .type = type, .sector = sector };
	((uint8_t *)h)[STATUS_AT] = NO_STATUS;
	bufs[n++] = (struct drv_buf){ r->hdr, sizeof(*h) };
	if (type != VIRTIO_BLK_T_FLUSH) {
		if (half)
			bufs[n++] = (struct drv_buf){ r->data, half };
		bufs[n++] = (struct drv_buf){ r->data + half, r->len - half };
	}
	bufs[n++] = (struct drv_buf){ r->hdr + STATUS_AT, 1 };
	return drv_add(d, q, bufs, out ? n - 1 : 1, out ? 1 : n - 1, (uintptr_t)r);
}

int drv_blk_status(struct drv *d, const struct drv_blk_req *r)
{
	return *(volatile uint8_t *)drv_ptr(d, r->hdr + STATUS_AT, 1);
}

int drv_blk(struct drv *d, uint32_t q, struct drv_blk_req *r, uint32_t type, uint64_t sector,
	    int ms)
{
	uint64_t token = 0;
	uint32_t len = 0;
	int ret = drv_blk_add(d, q, r, type, sector);

	if (!ret)
		ret = drv_kick(d, q);
	if (ret >= 0)
		ret = drv_wait(d, q, &token, &len, ms);
	if (ret < 0)
		return ret;
	if (token != (uintptr_t)r || len != (type == VIRTIO_BLK_T_IN ? r->len : 0) + 1)
		return -EPROTO;
	return drv_blk_status(d, r);
}
