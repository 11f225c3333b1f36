// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
/* The in-flight area: its layout, its checks, and large queues. */
#include <stdlib.h>
#include <string.h>
#include "byhand.h"

static uint8_t *log_at(uint32_t off)
{
	return (uint8_t *)t.log + off;
}

static uint32_t log32(uint32_t off)
{
	uint32_t v;

	memcpy(&v, log_at(off), 4);
	return v;
}

static void log_set(uint32_t off, uint32_t v)
{
	memcpy(log_at(off), &v, 4);
}

static void layout_split(void)
{
	setup_log(0);
	CHECK_EQ(log32(0), 0x51456276);
	CHECK_EQ(log32(4), 1 | 1 << 16);
	CHECK_EQ(log32(8), SIZE);
	one(5, AT(DATA_OFF), 4, 0);
	one(2, AT(DATA_OFF), 4, 0);
	CHECK_EQ(pop(), 1);
	CHECK_EQ(log32(64 + 5 * 16), 1);
	CHECK_EQ(log32(64 + 5 * 16 + 8), 1 << 16);
	CHECK_EQ(vbe_vq_stage(&t.vq, t.chain.token, 0), 0);
	CHECK_EQ(log32(64 + 5 * 16 + 8), 2 << 16);
	CHECK_EQ(pop(), 1);
	CHECK_EQ(log32(64 + 2 * 16), 2);
	CHECK_EQ(vbe_vq_stage(&t.vq, t.chain.token, 0), 0);
	CHECK_EQ(log32(64 + 2 * 16 + 8), (2 << 16) + 1);
	CHECK_EQ(vbe_vq_flush(&t.vq), 0);
	CHECK_EQ(log32(64 + 5 * 16 + 8), 0);
	CHECK_EQ(log32(64 + 2 * 16 + 8), 0);
}

static void layout_packed(void)
{
	uint32_t e = 64;

	setup_log(VBE_VQ_F_RING_PACKED);
	CHECK_EQ(log32(0), 0x51456276);
	CHECK_EQ(log32(4), 1 | 2 << 16);
	CHECK_EQ(log32(8), SIZE);
	CHECK_EQ(log32(12), 0);
	two(AT(DATA_OFF), 4, 0, AT(DATA_OFF + 64), 9, F_WRITE);
	CHECK_EQ(pop(), 1);
	CHECK_EQ(log32(e), 1);
	CHECK_EQ(log32(e + 8), 1 << 16);
	CHECK_EQ(log32(e + 12), 1 | 2 << 16);
	CHECK_EQ(log32(e + 16), AT(DATA_OFF));
	CHECK_EQ(log32(e + 24), 4);
	CHECK_EQ(log32(e + 28), (F_NEXT | F_AVAIL) << 16);
	CHECK_EQ(log32(e + 32 + 8), 0);
	CHECK_EQ(log32(e + 32 + 16), AT(DATA_OFF + 64));
	CHECK_EQ(log32(e + 32 + 24), 9);
	CHECK_EQ(log32(e + 32 + 28), (F_WRITE | F_AVAIL) << 16 | 7);
	CHECK_EQ(vbe_vq_stage(&t.vq, t.chain.token, 0), 0);
	CHECK_EQ(log32(e + 8), 2 << 16);
	CHECK_EQ(log32(12), 0);
	CHECK_EQ(vbe_vq_flush(&t.vq), 0);
	CHECK_EQ(log32(e + 8), 0);
	CHECK_EQ(log32(12), 2);
}

static int resume(void)
{
	t.cfg.flags |= VBE_VQ_RESUME;
	return vbe_vq_init(&t.vq, &t.cfg);
}

static void zeroes_are_fresh(void)
{
	unsigned int i;

	for (i = 0; i < 2; i++) {
		setup_log(both[i]);
		memset(t.log, 0, sizeof(t.log));
		one(0, AT(DATA_OFF), 4, 0);
		CHECK_EQ(resume(), 0);
		CHECK(!vbe_vq_needs_call(&t.vq));
		CHECK_EQ(pop(), 1);
		CHECK(!t.chain.resumed);
		CHECK_EQ(resume(), 0);
		CHECK(vbe_vq_needs_call(&t.vq));
		CHECK_EQ(vbe_vq_has_work(&t.vq), 1);
		CHECK_EQ(vbe_vq_enable_kicks(&t.vq), 1);
		CHECK_EQ(pop(), 1);
		CHECK(t.chain.resumed);
		/* Without the flag, what it says is dropped. */
		CHECK_EQ(vbe_vq_push(&t.vq, t.chain.token, 0), 0);
		one(1, AT(DATA_OFF), 4, 0);
		CHECK_EQ(pop(), 1);
		t.cfg.flags = 0;
		memset(t.g.mem, 0, MEM_LEN);
		CHECK_EQ(vbe_vq_init(&t.vq, &t.cfg), 0);
		CHECK_EQ(resume(), 0);
		CHECK_EQ(pop(), 0);
	}
}

/* Zeroes begin where the caller says; an area in use knows better. */
static void zeroes_begin_at(uint64_t ring, uint16_t count, uint16_t pos, uint16_t other)
{
	struct vbe_vq_state s;

	setup_log(ring);
	memset(t.log, 0, sizeof(t.log));
	t.avail = count;
	*at16(DEVICE_OFF + 2) = ring ? 0 : count;
	one(3, AT(DATA_OFF), 4, 0);
	one(4, AT(DATA_OFF), 4, 0);
	t.cfg.flags = VBE_VQ_START;
	t.cfg.start_avail = pos;
	t.cfg.start_used = pos;
	CHECK_EQ(resume(), 0);
	vbe_vq_get_state(&t.vq, &s);
	CHECK_EQ(s.avail_pos, pos);
	CHECK_EQ(s.used_pos, pos);
	CHECK_EQ(pop(), 1);
	CHECK_EQ(t.chain.id, 3);
	CHECK(!t.chain.resumed);
	CHECK_EQ(vbe_vq_push(&t.vq, t.chain.token, 0), 0);
	CHECK_EQ(pop(), 1);
	CHECK_EQ(t.chain.id, 4);

	t.cfg.start_avail = other;
	t.cfg.start_used = other;
	CHECK_EQ(resume(), 0);
	vbe_vq_get_state(&t.vq, &s);
	CHECK_EQ(s.in_flight, 1);
	CHECK_EQ(pop(), 1);
	CHECK_EQ(t.chain.id, 4);
	CHECK(t.chain.resumed);
	one(5, AT(DATA_OFF), 4, 0);
	CHECK_EQ(pop(), 1);
	CHECK_EQ(t.chain.id, 5);
	CHECK_EQ(pop(), 0);
}

static void zeroes_and_start(void)
{
	unsigned int i;

	zeroes_begin_at(0, 5, 5, 0);
	zeroes_begin_at(0, 0xfffe, 0xfffe, 0x8000);
	for (i = 0; i < 4 * SIZE; i++) {
		uint16_t pos = i % SIZE | (i / SIZE % 2 ? 0 : 0x8000);

		NOTE("%u descriptors before", i);
		zeroes_begin_at(VBE_VQ_F_RING_PACKED, i, pos, pos ^ 0x8000);
		zeroes_begin_at(VBE_VQ_F_RING_PACKED, i, pos, 0x8000);
		zeroes_begin_at(0, i, i, i + 1);
	}
}

static void header_is_checked(void)
{
	static const uint32_t bad[][2] = {
		{ 0, 1 }, { 4, 2 | 1 << 16 }, { 4, 1 | 3 << 16 }, { 4, 1 }, { 8, SIZE * 2 },
		{ 8, 0 }, { 8, ~0u },
	};
	unsigned int i, k;

	for (i = 0; i < 2; i++) {
		for (k = 0; k < ARRAY_SIZE(bad); k++) {
			setup_log(both[i]);
			log_set(bad[k][0], bad[k][1]);
			CHECK_EQ(resume(), VBE_VQ_E_INFLIGHT);
			CHECK_EQ(pop(), VBE_VQ_E_INFLIGHT);
		}
		/* The area of a queue of the other kind. */
		setup_log(both[i]);
		t.cfg.features ^= VBE_VQ_F_RING_PACKED;
		CHECK_EQ(resume(), VBE_VQ_E_INFLIGHT);
	}
	setup_log(VBE_VQ_F_RING_PACKED);
	log_set(12, 2 * SIZE);
	CHECK_EQ(resume(), VBE_VQ_E_INFLIGHT);
	setup_log(VBE_VQ_F_RING_PACKED);
	log_set(12, ~0u);
	CHECK_EQ(resume(), VBE_VQ_E_INFLIGHT);
}

/* An area with two chains in flight; packed: the first of two descriptors. */
static void two_in_flight(uint64_t ring)
{
	setup_log(ring);
	two(AT(DATA_OFF), 4, 0, AT(DATA_OFF + 64), 9, F_WRITE);
	one(4, AT(DATA_OFF), 4, 0);
	CHECK_EQ(pop(), 1);
	CHECK_EQ(pop(), 1);
}

static void entries_are_checked(void)
{
	/* Offsets and values, each of which makes a packed area impossible. */
	static const uint32_t bad[][2] = {
		{ 64 + 8, 1 }, { 64 + 8, 3 << 16 }, { 64 + 8, (1 << 16) + 1 },
		{ 64 + 8, (2 << 16) + 2 * SIZE },	/* no such position */
		{ 64 + 12, 1 },				/* count 0 */
		{ 64 + 12, (SIZE + 1u) << 16 | 1 },	/* count beyond the area */
		{ 64 + 12, 0xffffu << 16 | 1 },
		{ 64 + 12, 2u << 16 | SIZE },		/* next outside */
		{ 64 + 12, 2u << 16 | 0xffff },
		{ 64 + 12, 2u << 16 | 0 },		/* itself */
		{ 64 + 12, 2u << 16 | 2 },		/* the other chain */
		{ 64 + 12, 3u << 16 | 1 },		/* so does its second one */
		{ 64 + 32 + 8, 1 << 16 },		/* its second one a chain, too */
		{ 64 + 64, 1 },				/* order not unique */
		{ 64 + 64, 0 },
		{ 64 + 68, 1u << 31 },			/* more than ever counted */
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		NOTE("entry %u", i);
		two_in_flight(VBE_VQ_F_RING_PACKED);
		log_set(bad[i][0], bad[i][1]);
		CHECK_EQ(resume(), VBE_VQ_E_INFLIGHT);
	}

	two_in_flight(0);
	log_set(64 + 8, 5);
	CHECK_EQ(resume(), VBE_VQ_E_INFLIGHT);
	two_in_flight(0);
	log_set(64 + 8, 3 << 16);
	CHECK_EQ(resume(), VBE_VQ_E_INFLIGHT);
	two_in_flight(0);
	log_set(64, 2);
	CHECK_EQ(resume(), VBE_VQ_E_INFLIGHT);
	/* Offered again while it waits to be resumed. */
	two_in_flight(0);
	offer(4);
	CHECK_EQ(resume(), 0);
	CHECK_EQ(pop(), 1);
	CHECK_EQ(t.chain.id, 0);
	CHECK_EQ(pop(), 1);
	CHECK_EQ(t.chain.id, 4);
	breaks(VBE_VQ_E_BUSY);
}

/* Copies of descriptors are checked as if the FE had just given them. */
static void copies_are_checked(void)
{
	/* Untouched it is fine. */
	two_in_flight(VBE_VQ_F_RING_PACKED);
	CHECK_EQ(resume(), 0);
	CHECK_EQ(pop(), 1);
	CHECK_EQ(t.chain.nr_descs, 2);
	two_in_flight(VBE_VQ_F_RING_PACKED);
	log_set(64 + 16, 0);
	CHECK_EQ(resume(), 0);
	breaks(VBE_VQ_E_ADDR);
	/* A chain that ends too early, or not. */
	two_in_flight(VBE_VQ_F_RING_PACKED);
	log_set(64 + 28, 0);
	CHECK_EQ(resume(), 0);
	CHECK_EQ(pop(), VBE_VQ_E_INFLIGHT);
	two_in_flight(VBE_VQ_F_RING_PACKED);
	log_set(64 + 32 + 28, F_NEXT << 16);
	CHECK_EQ(resume(), 0);
	CHECK_EQ(pop(), VBE_VQ_E_INFLIGHT);
}

/*
 * An FE that leaves rubbish in the availability bits of all but the first descriptor of a chain.
 * Another chain may well be published at such a place, and then the BE dies half-way.
 */
static void careless_fe(void)
{
	static uint32_t first, n;
	static bool died;

	for (n = 1, died = true; died; n++) {
		setup_log(VBE_VQ_F_RING_PACKED);
		pdesc(AT(DATA_OFF), 4, 1, 0);
		pdesc(AT(DATA_OFF), 4, 0, F_NEXT);
		pdesc(AT(DATA_OFF), 4, 2, 0);
		pdesc(AT(DATA_OFF), 4, 3, 0);
		*at16(DESC_OFF + 32 + 14) = F_USED;
		CHECK_EQ(pop(), 1);
		first = t.chain.token;
		CHECK_EQ(pop(), 1);
		CHECK_EQ(vbe_vq_push(&t.vq, first, 0), 0);
		first = t.chain.token;
		CHECK_EQ(pop(), 1);
		CHECK_EQ(vbe_vq_push(&t.vq, t.chain.token, 0), 0);
		store_count = 0;
		kill_at = n;
		died = true;
		if (!setjmp(killed)) {
			CHECK_EQ(vbe_vq_push(&t.vq, first, 0), 0);
			died = false;
		}
		kill_at = 0;
		CHECK_EQ(resume(), 0);
		/* It is in flight, or published where the FE looks next. */
		if (pop()) {
			CHECK_EQ(t.chain.id, 2);
			CHECK_EQ(*at16(DESC_OFF + 32 + 14) & (F_AVAIL | F_USED), F_AVAIL);
		} else {
			CHECK_EQ(*at16(DESC_OFF + 32 + 12), 2);
			CHECK_EQ(*at16(DESC_OFF + 32 + 14), F_AVAIL | F_USED);
		}
	}
	CHECK(n > 6);
}

/* The largest queues there are, full, in flight, resumed, and completed backwards. */
static void large(uint64_t features, uint32_t size)
{
	struct fe_opts opts = { .size = size, .features = features, .start = 40000 };
	struct vbe_vq_seg segs[FE_MAX_SEGS];
	struct vbe_vq_chain chain = { .segs = segs, .max_segs = FE_MAX_SEGS };
	static struct vbe_vq_done done[32768];
	struct vbe_vq_slot *slots = malloc(size * sizeof(*slots));
	struct vbe_vq_config cfg;
	struct fe fe;
	uint32_t i, n;
	void *log;

	if (features & VBE_VQ_F_RING_PACKED)
		opts.start = 0;
	fe_init(&fe, &opts, size);
	fe_config(&fe, &cfg, slots, NULL, 0);
	cfg.inflight_len = vbe_vq_inflight_size(&cfg);
	log = calloc(1, cfg.inflight_len);
	cfg.inflight = log;
	CHECK_EQ(vbe_vq_init(&t.vq, &cfg), 0);
	while (fe_add(&fe))
		CHECK_EQ(vbe_vq_pop(&t.vq, &chain), 1);
	cfg.flags |= VBE_VQ_RESUME;
	CHECK_EQ(vbe_vq_init(&t.vq, &cfg), 0);
	n = fe.nr_active;
	for (i = 0; i < n; i++) {
		struct fe_req *r;

		CHECK_EQ(vbe_vq_pop(&t.vq, &chain), 1);
		CHECK(chain.resumed);
		r = fe_check_chain(&fe, &t.vq, &chain);
		CHECK_EQ(r->tag, i);
		done[n - 1 - i].token = chain.token;
		done[n - 1 - i].written = 0;
	}
	CHECK_EQ(vbe_vq_pop(&t.vq, &chain), 0);
	CHECK_EQ(vbe_vq_push_n(&t.vq, done, n), 0);
	CHECK_EQ(fe_take_all(&fe), n);
	CHECK(vbe_vq_needs_call(&t.vq));
	CHECK(fe_add(&fe));
	CHECK_EQ(vbe_vq_pop(&t.vq, &chain), 1);
	fe_free(&fe);
	free(slots);
	free(log);
}

static void largest(void)
{
	large(0, 32768);
	large(VBE_VQ_F_RING_PACKED, 32768);
	large(VBE_VQ_F_RING_PACKED, 32767);
	large(VBE_VQ_F_IN_ORDER | VBE_VQ_F_INDIRECT_DESC, 32768);
	large(VBE_VQ_F_RING_PACKED | VBE_VQ_F_INDIRECT_DESC | VBE_VQ_F_EVENT_IDX, 32768);
}

void log_tests(void)
{
	test_run("unit: layout of the in-flight area, split", layout_split);
	test_run("unit: layout of the in-flight area, packed", layout_packed);
	test_run("unit: zeroes are a fresh in-flight area", zeroes_are_fresh);
	test_run("unit: zeroes begin where the caller says", zeroes_and_start);
	test_run("unit: header of the in-flight area", header_is_checked);
	test_run("unit: entries of the in-flight area", entries_are_checked);
	test_run("unit: descriptors in the in-flight area", copies_are_checked);
	test_run("unit: an FE with rubbish in availability bits", careless_fe);
	test_run("unit: the largest queues", largest);
	byhand_free();
}
