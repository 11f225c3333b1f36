// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
#include <stdlib.h>
#include <string.h>
#include "byhand.h"

struct byhand t;

const uint64_t both[2] = { 0, VBE_VQ_F_RING_PACKED };

void setup_access(uint64_t features, enum access access)
{
	free(t.g.mem);
	memset(&t, 0, sizeof(t));
	guest_init(&t.g, MEM_LEN, access);
	t.packed = features & VBE_VQ_F_RING_PACKED;
	t.cfg.features = features;
	t.cfg.size = SIZE;
	t.cfg.desc_addr = AT(DESC_OFF);
	t.cfg.driver_addr = AT(DRIVER_OFF);
	t.cfg.device_addr = AT(DEVICE_OFF);
	t.cfg.mem = &t.g.access;
	t.cfg.slots = t.slots;
	t.cfg.nr_slots = SIZE;
	t.chain.segs = t.segs;
	t.chain.max_segs = MAX_SEGS;
	CHECK_EQ(vbe_vq_init(&t.vq, &t.cfg), 0);
}

void setup(uint64_t features)
{
	setup_access(features, ACCESS_MAPPED);
}

void setup_log(uint64_t features)
{
	setup(features);
	t.cfg.inflight = t.log;
	t.cfg.inflight_len = sizeof(t.log);
	CHECK_EQ(vbe_vq_init(&t.vq, &t.cfg), 0);
}

uint16_t *at16(uint32_t off)
{
	return (uint16_t *)(t.g.mem + off);
}

uint32_t *at32(uint32_t off)
{
	return (uint32_t *)(t.g.mem + off);
}

void raw(uint32_t off, uint64_t addr, uint32_t len, uint16_t w12, uint16_t w14)
{
	memcpy(t.g.mem + off, &addr, 8);
	*at32(off + 8) = len;
	*at16(off + 12) = w12;
	*at16(off + 14) = w14;
}

void desc(uint16_t i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
	raw(DESC_OFF + 16 * i, addr, len, flags, next);
}

void offer(uint16_t head)
{
	*at16(DRIVER_OFF + 4 + 2 * (t.avail % SIZE)) = head;
	*at16(DRIVER_OFF + 2) = ++t.avail;
}

void pdesc(uint64_t addr, uint32_t len, uint16_t id, uint16_t flags)
{
	bool wrap = t.avail / SIZE % 2 == 0;

	raw(DESC_OFF + 16 * (t.avail % SIZE), addr, len, id,
	    flags | (wrap ? F_AVAIL : F_USED));
	t.avail++;
}

void one(uint16_t id, uint64_t addr, uint32_t len, uint16_t flags)
{
	if (t.packed) {
		pdesc(addr, len, id, flags);
	} else {
		desc(id, addr, len, flags, 0);
		offer(id);
	}
}

void two(uint64_t a, uint32_t alen, uint16_t aflags, uint64_t b, uint32_t blen, uint16_t bflags)
{
	if (t.packed) {
		pdesc(a, alen, 0, aflags | F_NEXT);
		pdesc(b, blen, 7, bflags);
	} else {
		desc(0, a, alen, aflags | F_NEXT, 1);
		desc(1, b, blen, bflags, 0);
		offer(0);
	}
}

int pop(void)
{
	return vbe_vq_pop(&t.vq, &t.chain);
}

void breaks(int error)
{
	uint32_t token = t.chain.token;

	CHECK_EQ(pop(), error);
	CHECK_EQ(vbe_vq_error(&t.vq), error);
	CHECK_EQ(pop(), error);
	CHECK_EQ(vbe_vq_has_work(&t.vq), error);
	CHECK_EQ(vbe_vq_push(&t.vq, token, 0), error);
	CHECK_EQ(vbe_vq_flush(&t.vq), error);
	CHECK_EQ(vbe_vq_enable_kicks(&t.vq), error);
	vbe_vq_disable_kicks(&t.vq);
	CHECK(vbe_vq_needs_call(&t.vq));
	CHECK_EQ(vbe_vq_init(&t.vq, &t.cfg), 0);
	CHECK_EQ(vbe_vq_error(&t.vq), 0);
}

void byhand_free(void)
{
	free(t.g.mem);
	t.g.mem = NULL;
}
