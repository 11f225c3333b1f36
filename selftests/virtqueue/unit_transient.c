// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
/*
 * Transient windows: what the engine gave pointers to is given back before the FE sees the chain
 * as used, and nothing else is reached by pointer.
 */
#include <string.h>
#include "byhand.h"

#define BIG	4096u
#define SMALL	(VBE_VQ_TRANSIENT_MIN - 1)
#define NR	4u

/* What the callbacks were told, and what the FE could see when they were. */
static struct {
	struct vbe_vq_range ranges[NR], want[NR], wanted[NR];
	uint32_t nr, calls, nr_want[2], reads;
	uint32_t seen;		/* used by then */
	int fail;
} told;

static int (*guest_read)(void *opaque, uint64_t addr, void *dst, uint32_t len);

static int count_read(void *opaque, uint64_t addr, void *dst, uint32_t len)
{
	told.reads++;
	return guest_read(opaque, addr, dst, len);
}

/* Chains that the FE can see as used; in packed rings of this test, each has one descriptor. */
static uint32_t used(void)
{
	uint16_t flags;
	uint32_t n = 0;

	if (!t.packed)
		return *at16(DEVICE_OFF + 2);
	for (; n < SIZE; n++) {
		flags = *at16(DESC_OFF + 16 * n + 14);
		if ((flags & (F_AVAIL | F_USED)) != (F_AVAIL | F_USED))
			break;
	}
	return n;
}

static int release(void *opaque, const struct vbe_vq_range *ranges, uint32_t n)
{
	CHECK(opaque == &t.g);
	CHECK(n && told.nr + n <= NR);
	memcpy(told.ranges + told.nr, ranges, n * sizeof(*ranges));
	told.nr += n;
	told.calls++;
	told.seen = used();
	return told.fail;
}

static void want(void *opaque, const struct vbe_vq_range *ranges, uint32_t n, bool write)
{
	CHECK(opaque == &t.g);
	CHECK(n && told.nr_want[write] + n <= NR);
	memcpy((write ? told.wanted : told.want) + told.nr_want[write], ranges,
	       n * sizeof(*ranges));
	told.nr_want[write] += n;
}

static void begin(uint64_t features, uint32_t nr_ranges)
{
	static struct vbe_vq_range ranges[NR];

	memset(&told, 0, sizeof(told));
	memset(ranges, 0xa5, sizeof(ranges));
	setup(features);
	guest_read = t.g.access.read;
	t.g.access.read = count_read;
	t.g.access.release = release;
	t.g.access.want = want;
	t.g.windows[0].flags = VBE_VQ_WINDOW_TRANSIENT;
	t.cfg.ranges = nr_ranges ? ranges : NULL;
	t.cfg.nr_ranges = nr_ranges;
	CHECK_EQ(vbe_vq_init(&t.vq, &t.cfg), 0);
}

static void is_range(const struct vbe_vq_range *r, uint32_t off, uint32_t len)
{
	CHECK_EQ(r->fe_addr, AT(off));
	CHECK_EQ(r->len, len);
}

static bool mapped(uint32_t seg)
{
	uint32_t off = t.segs[seg].fe_addr - GUEST_BASE;

	CHECK(!t.segs[seg].host || t.segs[seg].host == t.g.mem + off);
	return t.segs[seg].host;
}

/* Rings are by pointer; of chains, what is worth it. */
static void pointers(void)
{
	char buf[8];
	int i;

	for (i = 0; i < 2; i++) {
		begin(both[i], NR);
		CHECK(t.vq.desc.host && t.vq.driver.host && t.vq.device.host);
		one(0, AT(DATA_OFF), SMALL, F_WRITE);
		CHECK_EQ(pop(), 1);
		CHECK(!mapped(0));
		CHECK_EQ(vbe_vq_chain_write(&t.vq, &t.chain, 5, "abc", 3), 0);
		CHECK(!memcmp(t.g.mem + DATA_OFF + 5, "abc", 3));
		CHECK_EQ(vbe_vq_push(&t.vq, t.chain.token, 8), 0);
		CHECK_EQ(told.calls, 0);
		one(1, AT(DATA_OFF), SMALL + 1, F_WRITE);
		CHECK_EQ(pop(), 1);
		CHECK(mapped(0));
		CHECK_EQ(told.reads, 0);
		CHECK_EQ(vbe_vq_mem_read(&t.g.access, AT(DATA_OFF), buf, 8), 0);
		CHECK_EQ(told.reads, 1);
	}
}

static void given_back(void)
{
	uint32_t first;
	int i;

	for (i = 0; i < 2; i++) {
		begin(both[i], NR);
		one(0, AT(DATA_OFF), BIG, F_WRITE);
		one(1, AT(DATA_OFF + 2 * BIG), BIG, 0);
		CHECK_EQ(pop(), 1);
		first = t.chain.token;
		CHECK_EQ(pop(), 1);
		CHECK(mapped(0));
		CHECK_EQ(told.nr_want[0], 1);
		CHECK_EQ(told.nr_want[1], 1);
		is_range(&told.want[0], DATA_OFF + 2 * BIG, BIG);
		is_range(&told.wanted[0], DATA_OFF, BIG);
		/* Not before it is published, and only what is. */
		CHECK_EQ(vbe_vq_stage(&t.vq, t.chain.token, 0), 0);
		CHECK_EQ(told.calls, 0);
		CHECK_EQ(vbe_vq_flush(&t.vq), 0);
		CHECK_EQ(told.calls, 1);
		CHECK_EQ(told.nr, 1);
		is_range(&told.ranges[0], DATA_OFF + 2 * BIG, BIG);
		CHECK_EQ(told.seen, 0);
		CHECK_EQ(used(), 1);
		CHECK_EQ(vbe_vq_push(&t.vq, first, BIG), 0);
		CHECK_EQ(told.calls, 2);
		is_range(&told.ranges[1], DATA_OFF, BIG);
		CHECK_EQ(told.seen, 1);
		CHECK_EQ(used(), 2);
	}
}

/* What is published at once is given back at once; neighbours of a chain are one. */
static void batches(void)
{
	uint32_t first;

	begin(0, NR);
	desc(0, AT(DATA_OFF), BIG, F_NEXT, 1);
	desc(1, AT(DATA_OFF + BIG), BIG, F_NEXT, 2);
	desc(2, AT(DATA_OFF + 2 * BIG), 16, F_NEXT, 3);
	desc(3, AT(DATA_OFF + 4 * BIG), BIG, F_WRITE, 0);
	offer(0);
	desc(4, AT(DATA_OFF + 6 * BIG), BIG, F_WRITE, 0);
	offer(4);
	CHECK_EQ(pop(), 1);
	CHECK(mapped(0) && mapped(1) && !mapped(2) && mapped(3));
	first = t.chain.token;
	CHECK_EQ(pop(), 1);
	CHECK_EQ(vbe_vq_stage(&t.vq, first, 0), 0);
	CHECK_EQ(vbe_vq_stage(&t.vq, t.chain.token, 0), 0);
	CHECK_EQ(vbe_vq_flush(&t.vq), 0);
	CHECK_EQ(told.calls, 1);
	CHECK_EQ(told.nr, 3);
	is_range(&told.ranges[0], DATA_OFF, 2 * BIG);
	is_range(&told.ranges[1], DATA_OFF + 4 * BIG, BIG);
	is_range(&told.ranges[2], DATA_OFF + 6 * BIG, BIG);
	CHECK_EQ(told.seen, 0);
	CHECK_EQ(used(), 2);
}

/* Nothing crosses windows, not even from one transient window into the next. */
static void adjacent(void)
{
	uint32_t i;

	begin(0, NR);
	t.g.windows[0].len = DATA_OFF + BIG;
	t.g.windows[1] = (struct vbe_vq_window){
		.fe_addr = AT(DATA_OFF + BIG),
		.len = MEM_LEN - DATA_OFF - BIG,
		.host = t.g.mem + DATA_OFF + BIG,
		.flags = VBE_VQ_WINDOW_TRANSIENT,
	};
	t.g.access.nr_windows = 2;
	CHECK_EQ(vbe_vq_set_mem(&t.vq, &t.g.access), 0);
	desc(0, AT(DATA_OFF), BIG, F_NEXT, 1);
	desc(1, AT(DATA_OFF + BIG), BIG, F_NEXT, 2);
	desc(2, AT(DATA_OFF + 2 * BIG), BIG, 0, 0);
	offer(0);
	/* Also where one descriptor does. */
	desc(3, AT(DATA_OFF + BIG - SMALL - 1), 2 * (SMALL + 1), 0, 0);
	offer(3);
	for (i = 0; i < 2; i++) {
		told.nr = 0;
		told.nr_want[0] = 0;
		CHECK_EQ(pop(), 1);
		CHECK_EQ(t.chain.nr_read, 3 - i);
		CHECK(mapped(0) && mapped(1));
		CHECK_EQ(vbe_vq_push(&t.vq, t.chain.token, 0), 0);
		CHECK_EQ(told.nr, 2);
		is_range(&told.ranges[0], i ? DATA_OFF + BIG - SMALL - 1 : DATA_OFF,
			 i ? SMALL + 1 : BIG);
		is_range(&told.ranges[1], DATA_OFF + BIG, i ? SMALL + 1 : 2 * BIG);
	}
}

/* A table that cannot give back what chains hold is not taken; before and after it may be. */
static void other_table(void)
{
	struct vbe_vq_mem other;
	uint32_t i;

	for (i = 0; i < 2; i++) {
		begin(both[i], NR);
		other = t.g.access;
		other.release = NULL;
		CHECK_EQ(vbe_vq_set_mem(&t.vq, &other), 0);
		CHECK_EQ(vbe_vq_set_mem(&t.vq, &t.g.access), 0);
		one(0, AT(DATA_OFF), BIG, F_WRITE);
		CHECK_EQ(pop(), 1);
		CHECK(mapped(0));
		CHECK_EQ(vbe_vq_set_mem(&t.vq, &t.g.access), 0);
		CHECK_EQ(vbe_vq_push(&t.vq, t.chain.token, 0), 0);
		CHECK_EQ(told.calls, 1);
		CHECK_EQ(vbe_vq_set_mem(&t.vq, &other), 0);
		CHECK_EQ(vbe_vq_set_mem(&t.vq, &t.g.access), 0);
		one(1, AT(DATA_OFF), BIG, F_WRITE);
		CHECK_EQ(pop(), 1);
		CHECK_EQ(vbe_vq_set_mem(&t.vq, &other), VBE_VQ_E_CONFIG);
		CHECK_EQ(vbe_vq_push(&t.vq, t.chain.token, 0), VBE_VQ_E_CONFIG);
		CHECK_EQ(told.calls, 1);
		CHECK_EQ(used(), 1);
	}
}

/* Completions that wait for an earlier one are held until that is published. */
static void in_order(void)
{
	uint32_t first;
	int i;

	for (i = 0; i < 2; i++) {
		begin(both[i] | VBE_VQ_F_IN_ORDER, NR);
		one(0, AT(DATA_OFF), BIG, F_WRITE);
		one(1, AT(DATA_OFF + 2 * BIG), BIG, F_WRITE);
		CHECK_EQ(pop(), 1);
		first = t.chain.token;
		CHECK_EQ(pop(), 1);
		CHECK_EQ(vbe_vq_push(&t.vq, t.chain.token, 0), 0);
		CHECK_EQ(told.calls, 0);
		CHECK_EQ(vbe_vq_push(&t.vq, first, 0), 0);
		CHECK_EQ(told.calls, 1);
		CHECK_EQ(told.nr, 2);
		CHECK_EQ(told.seen, 0);
	}
}

/* Without a note nothing is reached by pointer; one that is given back serves again. */
static void notes(void)
{
	uint32_t first, i;

	for (i = 0; i < 3; i++) {
		begin(0, i ? NR : 0);
		if (i == 1)
			t.g.access.release = NULL;
		one(0, AT(DATA_OFF), BIG, F_WRITE);
		CHECK_EQ(pop(), 1);
		CHECK_EQ(mapped(0), i == 2);
		CHECK_EQ(vbe_vq_push(&t.vq, t.chain.token, 0), 0);
		CHECK_EQ(told.calls, i == 2);
	}
	begin(0, 1);
	one(0, AT(DATA_OFF), BIG, F_WRITE);
	one(1, AT(DATA_OFF + 2 * BIG), BIG, F_WRITE);
	CHECK_EQ(pop(), 1);
	CHECK(mapped(0));
	first = t.chain.token;
	CHECK_EQ(pop(), 1);
	CHECK(!mapped(0));
	CHECK_EQ(vbe_vq_push(&t.vq, first, 0), 0);
	CHECK_EQ(vbe_vq_push(&t.vq, t.chain.token, 0), 0);
	for (i = 2; i < 5; i++) {
		one(i, AT(DATA_OFF), BIG, F_WRITE);
		told.nr = 0;
		told.nr_want[1] = 0;
		CHECK_EQ(pop(), 1);
		CHECK(mapped(0));
		CHECK_EQ(vbe_vq_push(&t.vq, t.chain.token, 0), 0);
		CHECK_EQ(told.nr, 1);
	}
}

/* What could not be given back is not published. */
static void failure(void)
{
	int i;

	for (i = 0; i < 2; i++) {
		begin(both[i], NR);
		told.fail = -1;
		one(0, AT(DATA_OFF), BIG, F_WRITE);
		CHECK_EQ(pop(), 1);
		CHECK_EQ(vbe_vq_push(&t.vq, t.chain.token, 0), VBE_VQ_E_MEM);
		CHECK_EQ(used(), 0);
		CHECK_EQ(vbe_vq_error(&t.vq), VBE_VQ_E_MEM);
	}
}

static void tables(void)
{
	int i;

	for (i = 0; i < 2; i++) {
		begin(both[i] | VBE_VQ_F_INDIRECT_DESC, NR);
		raw(TABLE_OFF, AT(DATA_OFF), BIG, i ? 0 : F_WRITE, i ? F_WRITE : 0);
		one(0, AT(TABLE_OFF), 16, F_INDIRECT);
		CHECK_EQ(pop(), 1);
		CHECK_EQ(told.reads, 1);
		CHECK(mapped(0));
		CHECK_EQ(vbe_vq_push(&t.vq, t.chain.token, 0), 0);
		CHECK_EQ(told.nr, 1);
		is_range(&told.ranges[0], DATA_OFF, BIG);
	}
}

void transient_tests(void)
{
	test_run("transient: what is reached by pointer", pointers);
	test_run("transient: given back before it is published", given_back);
	test_run("transient: batches", batches);
	test_run("transient: adjacent windows", adjacent);
	test_run("transient: another table", other_table);
	test_run("transient: in order", in_order);
	test_run("transient: notes", notes);
	test_run("transient: what is not given back is not published", failure);
	test_run("transient: indirect tables", tables);
	byhand_free();
}
