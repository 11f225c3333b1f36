// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
/* Each rule of the engine and each of its errors, on rings written by hand. */
#include <string.h>
#include "byhand.h"

/* What vbe_vq_init() says to the config of the queue at hand, changed. */
#define INIT(expect, stmt) do {						\
	struct vbe_vq_config cfg = t.cfg;				\
	int want = (expect);						\
									\
	stmt;								\
	CHECK_EQ(vbe_vq_init(&t.vq, &cfg), want);			\
	CHECK_EQ(vbe_vq_error(&t.vq), want);				\
} while (0)

static void config(void)
{
	unsigned int i;

	for (i = 0; i < 2; i++) {
		setup_log(both[i]);
		INIT(0, (void)0);
		INIT(VBE_VQ_E_CONFIG, cfg.size = 0);
		INIT(VBE_VQ_E_CONFIG, cfg.size = 32769);
		INIT(VBE_VQ_E_CONFIG, cfg.size = 65536);
		INIT(VBE_VQ_E_CONFIG, cfg.size = 0x80000000u);
		INIT(i ? 0 : VBE_VQ_E_CONFIG, cfg.size = 7);
		INIT(VBE_VQ_E_CONFIG, cfg.mem = NULL);
		INIT(VBE_VQ_E_CONFIG, cfg.slots = NULL);
		INIT(VBE_VQ_E_CONFIG, cfg.nr_slots = SIZE - 1);
		INIT(VBE_VQ_E_CONFIG, cfg.max_indirect = 65537);
		INIT(VBE_VQ_E_CONFIG, cfg.flags = 4);
		INIT(VBE_VQ_E_CONFIG, cfg.flags = VBE_VQ_RESUME; cfg.inflight = NULL);
		INIT(VBE_VQ_E_CONFIG, cfg.inflight = (char *)t.log + 4);
		INIT(VBE_VQ_E_CONFIG, cfg.inflight_len = vbe_vq_inflight_size(&cfg) - 1);
		INIT(0, cfg.inflight_len = vbe_vq_inflight_size(&cfg));
		INIT(i ? VBE_VQ_E_CONFIG : 0, cfg.flags = VBE_VQ_START; cfg.start_avail = SIZE;
		     cfg.start_used = SIZE);
		INIT(0, cfg.flags = VBE_VQ_START; cfg.start_avail = 7; cfg.start_used = 7);
	}
	setup(VBE_VQ_F_RING_PACKED);
	/* Nine descriptors cannot be outstanding. */
	INIT(VBE_VQ_E_CONFIG, cfg.flags = VBE_VQ_START; cfg.start_used = 0x8000;
	     cfg.start_avail = 1);
	INIT(0, cfg.flags = VBE_VQ_START; cfg.start_used = 0x8000; cfg.start_avail = 0);
}

static void inflight_size(void)
{
	struct vbe_vq_config cfg = { .size = 8 };

	CHECK_EQ(vbe_vq_inflight_size(&cfg), 64 + 8 * 16);
	cfg.size = 9;
	CHECK_EQ(vbe_vq_inflight_size(&cfg), 0);
	cfg.features = VBE_VQ_F_RING_PACKED;
	CHECK_EQ(vbe_vq_inflight_size(&cfg), 64 + 9 * 32);
	cfg.size = 32768;
	CHECK_EQ(vbe_vq_inflight_size(&cfg), 64 + 32768 * 32);
	cfg.size = 32769;
	CHECK_EQ(vbe_vq_inflight_size(&cfg), 0);
	cfg.size = 0;
	CHECK_EQ(vbe_vq_inflight_size(&cfg), 0);
}

static void rings(void)
{
	unsigned int i;

	for (i = 0; i < 2; i++) {
		setup(both[i]);
		INIT(VBE_VQ_E_ALIGN, cfg.desc_addr += 8);
		INIT(VBE_VQ_E_ALIGN, cfg.driver_addr += 1);
		INIT(i ? VBE_VQ_E_ALIGN : 0, cfg.driver_addr += 2);
		INIT(VBE_VQ_E_ALIGN, cfg.device_addr += 2);
		INIT(VBE_VQ_E_RING, cfg.desc_addr = 0);
		INIT(VBE_VQ_E_RING, cfg.desc_addr = AT(MEM_LEN));
		INIT(VBE_VQ_E_RING, cfg.desc_addr = AT(MEM_LEN) - 16 * (SIZE - 1));
		INIT(0, cfg.desc_addr = AT(MEM_LEN) - 16 * SIZE);
		INIT(VBE_VQ_E_RING, cfg.driver_addr = AT(MEM_LEN));
		INIT(VBE_VQ_E_RING, cfg.device_addr = AT(MEM_LEN));
		INIT(VBE_VQ_E_RING, cfg.desc_addr = -(uint64_t)16);

		/* A window mapped askew. */
		t.g.windows[0].host = t.g.mem + 1;
		t.g.windows[0].len--;
		INIT(VBE_VQ_E_ALIGN, (void)0);
		t.g.windows[0].host = t.g.mem;

		/* What the device writes must not be read-only; what it only reads may. */
		t.g.windows[0].flags = VBE_VQ_WINDOW_RO;
		INIT(VBE_VQ_E_RING, (void)0);
		t.g.windows[1].fe_addr = 0x1000;
		t.g.windows[1].len = 0x2000;
		t.g.windows[1].host = t.g.mem + DEVICE_OFF;
		t.g.access.nr_windows = 2;
		INIT(i ? VBE_VQ_E_RING : 0, cfg.device_addr = 0x1000);
		INIT(0, cfg.device_addr = 0x1000; cfg.desc_addr = 0x2000);

		/* Not mapped, and no way to copy. */
		setup_access(both[i], ACCESS_COPY);
		t.g.access.write = NULL;
		INIT(VBE_VQ_E_RING, (void)0);
		setup_access(both[i], ACCESS_COPY);
		t.g.access.read = NULL;
		INIT(VBE_VQ_E_RING, (void)0);
		/* With no windows at all. */
		t.g.access.nr_windows = 0;
		INIT(VBE_VQ_E_RING, (void)0);
	}
}

static void positions(void)
{
	setup(0);
	*at16(DRIVER_OFF + 2) = SIZE + 1;
	breaks(VBE_VQ_E_AVAIL_IDX);
	/* Backwards. */
	setup(0);
	*at16(DRIVER_OFF + 2) = 0xffff;
	breaks(VBE_VQ_E_AVAIL_IDX);

	setup(0);
	one(0, AT(DATA_OFF), 4, 0);
	*at16(DRIVER_OFF + 4) = SIZE;
	breaks(VBE_VQ_E_HEAD);
	setup(0);
	one(0, AT(DATA_OFF), 4, 0);
	*at16(DRIVER_OFF + 4) = 0xffff;
	breaks(VBE_VQ_E_HEAD);

	/* The same head twice. */
	setup(0);
	one(3, AT(DATA_OFF), 4, 0);
	offer(3);
	CHECK_EQ(pop(), 1);
	CHECK_EQ(t.chain.id, 3);
	breaks(VBE_VQ_E_BUSY);
	/* Finished but not published is still busy. */
	setup(0);
	one(3, AT(DATA_OFF), 4, 0);
	CHECK_EQ(pop(), 1);
	CHECK_EQ(vbe_vq_stage(&t.vq, t.chain.token, 0), 0);
	offer(3);
	breaks(VBE_VQ_E_BUSY);
	/* Published, it is not. */
	setup(0);
	one(3, AT(DATA_OFF), 4, 0);
	CHECK_EQ(pop(), 1);
	CHECK_EQ(vbe_vq_push(&t.vq, t.chain.token, 0), 0);
	offer(3);
	CHECK_EQ(pop(), 1);
}

static void overrun(void)
{
	int i;

	/* A full ring, offered once more. */
	setup(VBE_VQ_F_RING_PACKED);
	for (i = 0; i < SIZE; i++) {
		pdesc(AT(DATA_OFF), 4, 9, 0);
		CHECK_EQ(pop(), 1);
	}
	CHECK_EQ(pop(), 0);
	pdesc(AT(DATA_OFF), 4, 9, 0);
	breaks(VBE_VQ_E_OVERRUN);

	/* A chain that runs into what is outstanding. */
	setup(VBE_VQ_F_RING_PACKED);
	for (i = 0; i < SIZE - 1; i++) {
		pdesc(AT(DATA_OFF), 4, 9, 0);
		CHECK_EQ(pop(), 1);
	}
	pdesc(AT(DATA_OFF), 4, 9, F_NEXT);
	pdesc(AT(DATA_OFF), 4, 9, 0);
	breaks(VBE_VQ_E_OVERRUN);
}

static void direct_chains(void)
{
	int i;

	setup(0);
	desc(0, AT(DATA_OFF), 4, F_NEXT, SIZE);
	offer(0);
	breaks(VBE_VQ_E_NEXT);

	setup(0);
	desc(0, AT(DATA_OFF), 4, F_NEXT, 0);
	offer(0);
	breaks(VBE_VQ_E_LOOP);
	setup(0);
	/* Without elements no limit but the bound ends the loop. */
	desc(0, AT(DATA_OFF), 0, F_NEXT, 1);
	desc(1, AT(DATA_OFF), 0, F_NEXT, 0);
	offer(0);
	desc_reads = 0;
	breaks(VBE_VQ_E_LOOP);
	CHECK(desc_reads <= SIZE);

	/* As long as the ring is fine. */
	setup(0);
	for (i = 0; i < SIZE; i++)
		desc(i, AT(DATA_OFF + i), 1, i < SIZE - 1 ? F_NEXT : 0, i + 1);
	offer(0);
	CHECK_EQ(pop(), 1);
	CHECK_EQ(t.chain.nr_descs, SIZE);
	CHECK_EQ(t.chain.nr_read, SIZE);

	setup(VBE_VQ_F_RING_PACKED);
	for (i = 0; i < SIZE; i++)
		pdesc(AT(DATA_OFF), 4, 3, F_NEXT);
	breaks(VBE_VQ_E_LOOP);
	setup(VBE_VQ_F_RING_PACKED);
	for (i = 0; i < SIZE; i++)
		pdesc(AT(DATA_OFF), 4, 3, i < SIZE - 1 ? F_NEXT : 0);
	CHECK_EQ(pop(), 1);
	CHECK_EQ(t.chain.nr_descs, SIZE);
	CHECK_EQ(t.chain.id, 3);
}

static void elements(void)
{
	unsigned int i;

	for (i = 0; i < 2; i++) {
		setup(both[i]);
		two(AT(DATA_OFF), 4, F_WRITE, AT(DATA_OFF), 4, 0);
		breaks(VBE_VQ_E_ORDER);
		setup(both[i]);
		one(0, -(uint64_t)4, 5, 0);
		breaks(VBE_VQ_E_WRAP);
		setup(both[i]);
		one(0, -(uint64_t)4, 4, 0);
		breaks(VBE_VQ_E_ADDR);
		setup(both[i]);
		one(0, 0, 1, 0);
		breaks(VBE_VQ_E_ADDR);
		setup(both[i]);
		one(0, AT(0) - 1, 2, 0);
		breaks(VBE_VQ_E_ADDR);
		setup(both[i]);
		one(0, AT(MEM_LEN - 1), 2, F_WRITE);
		breaks(VBE_VQ_E_ADDR);
		setup(both[i]);
		one(0, AT(MEM_LEN), 1, F_WRITE);
		breaks(VBE_VQ_E_ADDR);
		setup(both[i]);
		one(0, AT(0), 0xffffffff, 0);
		breaks(VBE_VQ_E_ADDR);
		setup(both[i]);
		one(0, AT(0), MEM_LEN, 0);
		CHECK_EQ(pop(), 1);
		CHECK_EQ(t.chain.read_len, MEM_LEN);
		CHECK(t.segs[0].host == t.g.mem);

		/* Elements of length 0 are nothing, wherever they are. */
		setup(both[i]);
		two(0, 0, 0, AT(DATA_OFF), 8, F_WRITE);
		CHECK_EQ(pop(), 1);
		CHECK_EQ(t.chain.nr_read, 0);
		CHECK_EQ(t.chain.nr_write, 1);
		CHECK_EQ(t.chain.write_len, 8);
		CHECK_EQ(t.chain.nr_descs, 2);
		setup(both[i]);
		one(0, ~0ull, 0, 0);
		CHECK_EQ(pop(), 1);
		CHECK_EQ(t.chain.nr_read + t.chain.nr_write, 0);
		CHECK_EQ(vbe_vq_push(&t.vq, t.chain.token, 0), 0);

		setup(both[i]);
		two(AT(DATA_OFF), 4, 0, AT(DATA_OFF), 4, 0);
		t.chain.max_segs = 1;
		breaks(VBE_VQ_E_SEGS);
	}
}

static void totals(void)
{
	unsigned int i;

	for (i = 0; i < 2; i++) {
		setup(both[i]);
		/* A window as large as that, which nobody will copy from. */
		t.g.windows[1].fe_addr = 1ull << 40;
		t.g.windows[1].len = 1ull << 34;
		t.g.access.nr_windows = 2;
		two(1ull << 40, 1u << 31, 0, 1ull << 40, 1u << 31, F_WRITE);
		CHECK_EQ(pop(), 1);
		CHECK_EQ(t.chain.read_len + t.chain.write_len, 1ll << 32);
		CHECK(!t.segs[0].host);
		setup(both[i]);
		t.g.windows[1].fe_addr = 1ull << 40;
		t.g.windows[1].len = 1ull << 34;
		t.g.access.nr_windows = 2;
		two(1ull << 40, 1u << 31, 0, 1ull << 40, (1u << 31) + 1, F_WRITE);
		breaks(VBE_VQ_E_TOTAL);
	}
}

static void windows(void)
{
	unsigned int i;

	for (i = 0; i < 2; i++) {
		/* Two windows side by side, then a hole, then a read-only one. */
		setup(both[i]);
		t.g.windows[0].len = DATA_OFF + 16;
		t.g.windows[1].fe_addr = AT(DATA_OFF + 16);
		t.g.windows[1].len = 16;
		t.g.windows[1].host = NULL;
		t.g.windows[2].fe_addr = AT(DATA_OFF + 64);
		t.g.windows[2].len = 16;
		t.g.windows[2].host = t.g.mem + DATA_OFF + 64;
		t.g.windows[2].flags = VBE_VQ_WINDOW_RO;
		t.g.access.nr_windows = 3;
		one(0, AT(DATA_OFF + 8), 24, F_WRITE);
		CHECK_EQ(pop(), 1);
		CHECK_EQ(t.chain.nr_write, 2);
		CHECK(t.segs[0].host == t.g.mem + DATA_OFF + 8);
		CHECK_EQ(t.segs[0].len, 8);
		CHECK(!t.segs[1].host);
		CHECK_EQ(t.segs[1].fe_addr, AT(DATA_OFF + 16));
		CHECK_EQ(t.segs[1].len, 16);
		CHECK_EQ(vbe_vq_chain_write(&t.vq, &t.chain, 4, "0123456789", 10), 0);
		CHECK(!memcmp(t.g.mem + DATA_OFF + 12, "0123456789", 10));

		one(1, AT(DATA_OFF + 64), 16, 0);
		CHECK_EQ(pop(), 1);
		CHECK(t.segs[0].host == t.g.mem + DATA_OFF + 64);
		one(2, AT(DATA_OFF + 64), 16, F_WRITE);
		breaks(VBE_VQ_E_ADDR);
		t.avail = 0;
		memset(t.g.mem, 0, DATA_OFF);
		CHECK_EQ(vbe_vq_init(&t.vq, &t.cfg), 0);
		one(0, AT(DATA_OFF + 8), 25, F_WRITE);
		breaks(VBE_VQ_E_ADDR);

		/* The first window wins. */
		setup(both[i]);
		t.g.windows[1] = t.g.windows[0];
		t.g.windows[1].host = NULL;
		t.g.access.nr_windows = 2;
		one(0, AT(DATA_OFF), 4, 0);
		CHECK_EQ(pop(), 1);
		CHECK(t.segs[0].host);
		/* Another table; the rings are looked up again. */
		t.g.access.windows = &t.g.windows[1];
		t.g.access.nr_windows = 1;
		CHECK_EQ(vbe_vq_set_mem(&t.vq, &t.g.access), 0);
		one(1, AT(DATA_OFF), 4, 0);
		CHECK_EQ(pop(), 1);
		CHECK(!t.segs[0].host);
		t.g.access.nr_windows = 0;
		CHECK_EQ(vbe_vq_set_mem(&t.vq, &t.g.access), VBE_VQ_E_RING);
		CHECK_EQ(pop(), VBE_VQ_E_RING);
	}
}

/* A queue with indirect descriptors, the first of which refers to a table of @len bytes. */
static void indirect(uint64_t ring, uint64_t addr, uint32_t len, uint16_t flags)
{
	setup(ring | VBE_VQ_F_INDIRECT_DESC);
	one(0, addr, len, F_INDIRECT | flags);
}

static void entry(uint32_t i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
	if (t.packed)
		raw(TABLE_OFF + 16 * i, addr, len, next, flags);
	else
		raw(TABLE_OFF + 16 * i, addr, len, flags, next);
}

static void indirect_refused(void)
{
	unsigned int i;

	for (i = 0; i < 2; i++) {
		setup(both[i]);
		one(0, AT(TABLE_OFF), 16, F_INDIRECT);
		breaks(VBE_VQ_E_INDIRECT);
		indirect(both[i], AT(TABLE_OFF), 16, F_NEXT);
		breaks(VBE_VQ_E_INDIRECT_NEXT);
		indirect(both[i], AT(TABLE_OFF), 0, 0);
		breaks(VBE_VQ_E_INDIRECT_LEN);
		indirect(both[i], AT(TABLE_OFF), 15, 0);
		breaks(VBE_VQ_E_INDIRECT_LEN);
		indirect(both[i], AT(TABLE_OFF), 33, 0);
		breaks(VBE_VQ_E_INDIRECT_LEN);
		indirect(both[i], AT(MEM_LEN) - 16, 32, 0);
		breaks(VBE_VQ_E_ADDR);
		indirect(both[i], 16, 16, 0);
		breaks(VBE_VQ_E_ADDR);
		indirect(both[i], -(uint64_t)16, 32, 0);
		breaks(VBE_VQ_E_WRAP);
		indirect(both[i], AT(TABLE_OFF), 16, 0);
		entry(0, AT(TABLE_OFF), 16, F_INDIRECT, 0);
		breaks(VBE_VQ_E_INDIRECT_NEST);
		indirect(both[i], AT(TABLE_OFF), 16, 0);
		entry(0, 0, 16, 0, 0);
		breaks(VBE_VQ_E_ADDR);
		indirect(both[i], AT(TABLE_OFF), 32, 0);
		entry(0, AT(DATA_OFF), 16, F_WRITE | F_NEXT, 1);
		entry(1, AT(DATA_OFF), 16, 0, 0);
		breaks(VBE_VQ_E_ORDER);
		indirect(both[i], AT(TABLE_OFF), 64, 0);
		t.cfg.max_indirect = 3;
		CHECK_EQ(vbe_vq_init(&t.vq, &t.cfg), 0);
		entry(0, AT(DATA_OFF), 16, F_NEXT, 1);
		entry(1, AT(DATA_OFF), 16, F_NEXT, 2);
		entry(2, AT(DATA_OFF), 16, F_NEXT, 3);
		entry(3, AT(DATA_OFF), 16, 0, 0);
		breaks(VBE_VQ_E_INDIRECT_MAX);
	}
	indirect(0, AT(TABLE_OFF), 32, 0);
	entry(0, AT(DATA_OFF), 0, F_NEXT, 1);
	entry(1, AT(DATA_OFF), 0, F_NEXT, 0);
	breaks(VBE_VQ_E_LOOP);
	indirect(0, AT(TABLE_OFF), 32, 0);
	entry(0, AT(DATA_OFF), 0, F_NEXT, 2);
	breaks(VBE_VQ_E_NEXT);
	/* Packed: not at the end of a chain either. */
	setup(VBE_VQ_F_RING_PACKED | VBE_VQ_F_INDIRECT_DESC);
	pdesc(AT(DATA_OFF), 4, 0, F_NEXT);
	pdesc(AT(TABLE_OFF), 16, 0, F_INDIRECT);
	breaks(VBE_VQ_E_INDIRECT_NEXT);
}

static void indirect_taken(void)
{
	unsigned int i, odd;

	for (i = 0; i < 2; i++) {
		/* WRITE on the descriptor of a table means nothing; nor does its alignment. */
		for (odd = 0; odd < 2; odd++) {
			indirect(both[i], AT(TABLE_OFF) + odd, 48, F_WRITE);
			entry(0, AT(DATA_OFF), 4, F_NEXT, 1);
			entry(1, AT(DATA_OFF + 8), 4, F_WRITE | F_NEXT, 2);
			entry(2, AT(DATA_OFF + 16), 4, F_WRITE, 9);
			memmove(t.g.mem + TABLE_OFF + odd, t.g.mem + TABLE_OFF, 48);
			CHECK_EQ(pop(), 1);
			CHECK_EQ(t.chain.nr_read, 1);
			CHECK_EQ(t.chain.nr_write, 2);
			CHECK_EQ(t.chain.nr_descs, 1);
			CHECK_EQ(t.segs[2].fe_addr, AT(DATA_OFF + 16));
		}
	}
	/* Split: direct ones first are fine. */
	setup(VBE_VQ_F_INDIRECT_DESC);
	desc(0, AT(DATA_OFF), 4, F_NEXT, 1);
	desc(1, AT(TABLE_OFF), 16, F_INDIRECT, 0);
	offer(0);
	entry(0, AT(DATA_OFF + 4), 4, F_WRITE, 0);
	CHECK_EQ(pop(), 1);
	CHECK_EQ(t.chain.nr_read, 1);
	CHECK_EQ(t.chain.nr_write, 1);
	CHECK_EQ(t.chain.nr_descs, 2);
	/* Packed: all of the table, whatever NEXT and the like say. */
	indirect(VBE_VQ_F_RING_PACKED, AT(TABLE_OFF), 32, 0);
	entry(0, AT(DATA_OFF), 4, F_AVAIL | F_USED, 77);
	entry(1, AT(DATA_OFF + 8), 4, F_NEXT, 77);
	CHECK_EQ(pop(), 1);
	CHECK_EQ(t.chain.nr_read, 2);
}

static void tokens(void)
{
	struct vbe_vq_done done[3];
	unsigned int i;
	uint32_t token;

	for (i = 0; i < 2; i++) {
		setup(both[i]);
		one(0, AT(DATA_OFF), 8, F_WRITE);
		CHECK_EQ(vbe_vq_push(&t.vq, 0, 0), VBE_VQ_E_TOKEN);
		CHECK_EQ(pop(), 1);
		token = t.chain.token;
		CHECK_EQ(vbe_vq_push(&t.vq, token + SIZE, 0), VBE_VQ_E_TOKEN);
		CHECK_EQ(vbe_vq_push(&t.vq, token | 0xffff, 0), VBE_VQ_E_TOKEN);
		CHECK_EQ(vbe_vq_push(&t.vq, token + 1, 0), VBE_VQ_E_TOKEN);
		CHECK_EQ(vbe_vq_push(&t.vq, token + 0x10000, 0), VBE_VQ_E_TOKEN);
		CHECK_EQ(vbe_vq_push(&t.vq, token, 9), VBE_VQ_E_WRITTEN);
		CHECK_EQ(vbe_vq_push(&t.vq, token, 8), 0);
		CHECK_EQ(vbe_vq_push(&t.vq, token, 8), VBE_VQ_E_TOKEN);
		/* The same slot again: the old token does not name it. */
		one(0, AT(DATA_OFF), 8, F_WRITE);
		CHECK_EQ(pop(), 1);
		CHECK_EQ(t.chain.token & 0xffff, token & 0xffff);
		CHECK_EQ(vbe_vq_push(&t.vq, token, 8), VBE_VQ_E_TOKEN);
		CHECK_EQ(vbe_vq_stage(&t.vq, t.chain.token, 8), 0);
		CHECK_EQ(vbe_vq_stage(&t.vq, t.chain.token, 8), VBE_VQ_E_TOKEN);
		CHECK_EQ(vbe_vq_flush(&t.vq), 0);
		CHECK_EQ(vbe_vq_flush(&t.vq), 0);
		CHECK_EQ(vbe_vq_error(&t.vq), 0);
		/* Those before a wrong one are published. */
		one(1, AT(DATA_OFF), 8, F_WRITE);
		CHECK_EQ(pop(), 1);
		done[0].token = t.chain.token;
		done[0].written = 0;
		done[1] = done[0];
		one(2, AT(DATA_OFF), 8, F_WRITE);
		CHECK_EQ(pop(), 1);
		done[2].token = t.chain.token;
		done[2].written = 0;
		CHECK_EQ(vbe_vq_push_n(&t.vq, done, 3), VBE_VQ_E_TOKEN);
		CHECK_EQ(vbe_vq_in_flight(&t.vq), 1);
		CHECK_EQ(vbe_vq_push_n(&t.vq, done + 2, 1), 0);
		CHECK_EQ(vbe_vq_push_n(&t.vq, done, 0), 0);
		CHECK_EQ(vbe_vq_in_flight(&t.vq), 0);
	}
}

static void copies(void)
{
	struct vbe_vq_mem *m;
	uint8_t buf[64];
	unsigned int i;

	for (i = 0; i < ACCESS_KINDS; i++) {
		setup_access(0, i);
		m = &t.g.access;
		CHECK_EQ(vbe_vq_mem_write(m, AT(0x0ffc), "crosses pages", 13), 0);
		CHECK(!memcmp(t.g.mem + 0x0ffc, "crosses pages", 13));
		CHECK_EQ(vbe_vq_mem_read(m, AT(0x0ffc), buf, 13), 0);
		CHECK(!memcmp(buf, "crosses pages", 13));
		CHECK_EQ(vbe_vq_mem_read(m, AT(MEM_LEN - 4), buf, 5), VBE_VQ_E_RANGE);
		CHECK_EQ(vbe_vq_mem_write(m, AT(MEM_LEN - 4), buf, 5), VBE_VQ_E_RANGE);
		CHECK_EQ(vbe_vq_mem_read(m, -(uint64_t)4, buf, 5), VBE_VQ_E_RANGE);
		CHECK_EQ(vbe_vq_mem_write(m, -(uint64_t)4, buf, 5), VBE_VQ_E_RANGE);
		CHECK_EQ(vbe_vq_mem_read(m, 0, buf, 0), 0);
		memset(t.g.mem, 0, 0x2000);

		two(AT(DATA_OFF), 10, 0, AT(DATA_OFF + 0xff8), 20, F_WRITE);
		CHECK_EQ(pop(), 1);
		memcpy(t.g.mem + DATA_OFF, "0123456789", 10);
		CHECK_EQ(vbe_vq_chain_read(&t.vq, &t.chain, 3, buf, 7), 0);
		CHECK(!memcmp(buf, "3456789", 7));
		CHECK_EQ(vbe_vq_chain_read(&t.vq, &t.chain, 10, buf, 0), 0);
		CHECK_EQ(vbe_vq_chain_read(&t.vq, &t.chain, 3, buf, 8), VBE_VQ_E_RANGE);
		CHECK_EQ(vbe_vq_chain_read(&t.vq, &t.chain, 11, buf, 0), VBE_VQ_E_RANGE);
		CHECK_EQ(vbe_vq_chain_read(&t.vq, &t.chain, ~0ull, buf, 1), VBE_VQ_E_RANGE);
		CHECK_EQ(vbe_vq_chain_write(&t.vq, &t.chain, 2, "abcdefghijkl", 12), 0);
		CHECK(!memcmp(t.g.mem + DATA_OFF + 0xffa, "abcdefghijkl", 12));
		CHECK_EQ(vbe_vq_chain_write(&t.vq, &t.chain, 20, buf, 1), VBE_VQ_E_RANGE);
		CHECK_EQ(vbe_vq_chain_write(&t.vq, &t.chain, 1, buf, 20), VBE_VQ_E_RANGE);
		CHECK_EQ(vbe_vq_error(&t.vq), 0);
	}
	setup(0);
	t.g.windows[0].flags = VBE_VQ_WINDOW_RO;
	CHECK_EQ(vbe_vq_mem_write(&t.g.access, AT(0), "x", 1), VBE_VQ_E_RANGE);
	CHECK_EQ(vbe_vq_mem_read(&t.g.access, AT(0), buf, 1), 0);
}

/* The FE's memory goes away under a queue that is reached by copies. */
static void memory_gone(void)
{
	uint8_t buf[4];
	unsigned int i;

	for (i = 0; i < 2; i++) {
		setup_access(both[i], ACCESS_COPY);
		one(0, AT(DATA_OFF), 4, 0);
		t.g.gone = true;
		CHECK_EQ(pop(), VBE_VQ_E_MEM);
		CHECK_EQ(vbe_vq_error(&t.vq), VBE_VQ_E_MEM);

		setup_access(both[i], ACCESS_COPY);
		one(0, AT(DATA_OFF), 4, 0);
		CHECK_EQ(pop(), 1);
		t.g.gone = true;
		CHECK_EQ(vbe_vq_chain_read(&t.vq, &t.chain, 0, buf, 4), VBE_VQ_E_MEM);
		CHECK_EQ(vbe_vq_error(&t.vq), 0);
		CHECK_EQ(vbe_vq_push(&t.vq, t.chain.token, 0), VBE_VQ_E_MEM);
		CHECK_EQ(vbe_vq_error(&t.vq), VBE_VQ_E_MEM);

		setup_access(both[i], ACCESS_COPY);
		t.g.gone = true;
		CHECK_EQ(vbe_vq_enable_kicks(&t.vq), VBE_VQ_E_MEM);
		INIT(VBE_VQ_E_MEM, (void)0);

		setup_access(both[i] | VBE_VQ_F_INDIRECT_DESC, ACCESS_COPY);
		one(0, AT(DATA_OFF), 4, 0);
		CHECK_EQ(pop(), 1);
		CHECK_EQ(vbe_vq_push(&t.vq, t.chain.token, 0), 0);
		t.g.gone = true;
		CHECK(vbe_vq_needs_call(&t.vq));
	}
}

static int (*real_read)(void *opaque, uint64_t addr, void *dst, uint32_t len);
static uint32_t reads_of_desc;

static int counting_read(void *opaque, uint64_t addr, void *dst, uint32_t len)
{
	if (addr < AT(DESC_OFF + 16) && addr + len > AT(DESC_OFF))
		reads_of_desc++;
	return real_read(opaque, addr, dst, len);
}

/* In copy mode each fetch is a callback, so that they can be counted. */
static void fetched_once(void)
{
	setup_access(0, ACCESS_COPY);
	real_read = t.g.access.read;
	t.g.access.read = counting_read;
	reads_of_desc = 0;
	one(0, AT(DATA_OFF), 4, 0);
	CHECK_EQ(pop(), 1);
	CHECK_EQ(reads_of_desc, 1);
	setup_access(VBE_VQ_F_RING_PACKED, ACCESS_COPY);
	t.g.access.read = counting_read;
	reads_of_desc = 0;
	one(0, AT(DATA_OFF), 4, 0);
	CHECK_EQ(pop(), 1);
	/* The flags, then the rest. */
	CHECK_EQ(reads_of_desc, 2);
}

static void kicks(void)
{
	setup(0);
	CHECK_EQ(vbe_vq_enable_kicks(&t.vq), 0);
	vbe_vq_disable_kicks(&t.vq);
	CHECK_EQ(*at16(DEVICE_OFF), 1);
	one(0, AT(DATA_OFF), 4, 0);
	CHECK_EQ(vbe_vq_enable_kicks(&t.vq), 1);
	CHECK_EQ(*at16(DEVICE_OFF), 0);
	CHECK_EQ(pop(), 1);
	CHECK_EQ(vbe_vq_enable_kicks(&t.vq), 0);

	setup(VBE_VQ_F_EVENT_IDX);
	one(0, AT(DATA_OFF), 4, 0);
	vbe_vq_disable_kicks(&t.vq);
	CHECK_EQ(*at16(DEVICE_OFF), 0);
	CHECK_EQ(pop(), 1);
	CHECK_EQ(*at16(DEVICE_OFF + 4 + 8 * SIZE), 0);
	one(1, AT(DATA_OFF), 4, 0);
	CHECK_EQ(vbe_vq_enable_kicks(&t.vq), 1);
	CHECK_EQ(*at16(DEVICE_OFF + 4 + 8 * SIZE), 1);

	setup(VBE_VQ_F_RING_PACKED);
	vbe_vq_disable_kicks(&t.vq);
	CHECK_EQ(*at16(DEVICE_OFF + 2), 1);
	one(0, AT(DATA_OFF), 4, 0);
	CHECK_EQ(vbe_vq_enable_kicks(&t.vq), 1);
	CHECK_EQ(*at16(DEVICE_OFF + 2), 0);

	setup(VBE_VQ_F_RING_PACKED | VBE_VQ_F_EVENT_IDX);
	CHECK_EQ(*at32(DEVICE_OFF), 0x28000);
	vbe_vq_disable_kicks(&t.vq);
	CHECK_EQ(*at16(DEVICE_OFF + 2), 1);
	one(0, AT(DATA_OFF), 4, 0);
	CHECK_EQ(pop(), 1);
	CHECK_EQ(vbe_vq_enable_kicks(&t.vq), 0);
	CHECK_EQ(*at32(DEVICE_OFF), 0x28001);
}

static void complete_one(void)
{
	one(0, AT(DATA_OFF), 4, 0);
	CHECK_EQ(pop(), 1);
	CHECK_EQ(vbe_vq_push(&t.vq, t.chain.token, 0), 0);
}

static void calls(void)
{
	uint32_t i;

	setup(0);
	CHECK(!vbe_vq_needs_call(&t.vq));
	complete_one();
	CHECK(vbe_vq_needs_call(&t.vq));
	CHECK(!vbe_vq_needs_call(&t.vq));
	*at16(DRIVER_OFF) = 1;
	complete_one();
	CHECK(!vbe_vq_needs_call(&t.vq));

	setup(VBE_VQ_F_EVENT_IDX);
	/* Without that many checks nobody knows what the FE had wanted in between. */
	*at16(DRIVER_OFF + 4 + 2 * SIZE) = 0x8000;
	for (i = 0; i < 65536; i++)
		complete_one();
	CHECK(vbe_vq_needs_call(&t.vq));
	complete_one();
	CHECK(!vbe_vq_needs_call(&t.vq));

	setup(VBE_VQ_F_RING_PACKED);
	complete_one();
	CHECK(vbe_vq_needs_call(&t.vq));
	*at16(DRIVER_OFF + 2) = 1;
	complete_one();
	CHECK(!vbe_vq_needs_call(&t.vq));
	/* Not negotiated, or nonsense: call rather than hang. */
	*at32(DRIVER_OFF) = 0x28007;
	complete_one();
	CHECK(vbe_vq_needs_call(&t.vq));
	*at32(DRIVER_OFF) = 0x38007;
	complete_one();
	CHECK(vbe_vq_needs_call(&t.vq));

	setup(VBE_VQ_F_RING_PACKED | VBE_VQ_F_EVENT_IDX);
	*at32(DRIVER_OFF) = 0x28000 + SIZE;
	complete_one();
	CHECK(vbe_vq_needs_call(&t.vq));
	*at32(DRIVER_OFF) = 0x28000 + 2;
	complete_one();
	CHECK(!vbe_vq_needs_call(&t.vq));
	complete_one();
	CHECK(vbe_vq_needs_call(&t.vq));
	complete_one();
	CHECK(!vbe_vq_needs_call(&t.vq));
}

/* Four chains, finished in this order: 1, 3, 0, 2; chain 1 was not used completely. */
static void in_order(void)
{
	static const int order[] = { 1, 3, 0, 2 };
	struct vbe_vq_state st;
	uint32_t token[4];
	unsigned int i, k;

	for (i = 0; i < 2; i++) {
		setup(both[i] | VBE_VQ_F_IN_ORDER);
		for (k = 0; k < 4; k++) {
			one(k, AT(DATA_OFF), 8, F_WRITE);
			CHECK_EQ(pop(), 1);
			token[k] = t.chain.token;
		}
		for (k = 0; k < 4; k++) {
			CHECK_EQ(vbe_vq_push(&t.vq, token[order[k]], order[k] == 1 ? 5 : 8), 0);
			vbe_vq_get_state(&t.vq, &st);
			CHECK_EQ(st.published, k < 2 ? 0 : k * 2 - 2);
			CHECK_EQ(st.held, k < 2 ? k + 1 : 3 - k);
		}
		/* One entry for 0 and 1, where 0 would be; and one for 2 and 3. */
		if (i) {
			CHECK_EQ(*at16(DESC_OFF + 12), 1);
			CHECK_EQ(*at32(DESC_OFF + 8), 5);
			CHECK_EQ(*at16(DESC_OFF + 14), F_AVAIL | F_USED | F_WRITE);
			CHECK_EQ(*at16(DESC_OFF + 16 + 14), F_AVAIL | F_WRITE);
			CHECK_EQ(*at16(DESC_OFF + 32 + 12), 3);
			CHECK_EQ(*at32(DESC_OFF + 32 + 8), 8);
		} else {
			CHECK_EQ(*at16(DEVICE_OFF + 2), 4);
			CHECK_EQ(*at32(DEVICE_OFF + 4), 1);
			CHECK_EQ(*at32(DEVICE_OFF + 8), 5);
			CHECK_EQ(*at32(DEVICE_OFF + 4 + 16), 3);
			CHECK_EQ(*at32(DEVICE_OFF + 8 + 16), 8);
			CHECK_EQ(*at32(DEVICE_OFF + 4 + 8), 0);
		}
	}
}

static void errors(void)
{
	int i, k;

	CHECK(!strcmp(vbe_vq_errname(VBE_VQ_E_LOOP), "VBE_VQ_E_LOOP"));
	CHECK(!strcmp(vbe_vq_strerror(0), "no error"));
	CHECK(!strcmp(vbe_vq_strerror(1), "unknown error"));
	CHECK(!strcmp(vbe_vq_strerror(VBE_VQ_E_RANGE - 1), "unknown error"));
	CHECK(!strcmp(vbe_vq_strerror(-2147483647 - 1), "unknown error"));
	for (i = 0; i >= VBE_VQ_E_RANGE; i--) {
		CHECK(strcmp(vbe_vq_strerror(i), "unknown error"));
		for (k = 0; k > i; k--)
			CHECK(strcmp(vbe_vq_strerror(i), vbe_vq_strerror(k)));
	}
}

void unit_tests(void)
{
	test_run("unit: configuration", config);
	test_run("unit: size of the in-flight area", inflight_size);
	test_run("unit: ring addresses", rings);
	test_run("unit: available index and heads", positions);
	test_run("unit: packed ring overrun", overrun);
	test_run("unit: direct chains", direct_chains);
	test_run("unit: elements", elements);
	test_run("unit: totals of 2^32 bytes", totals);
	test_run("unit: windows", windows);
	test_run("unit: indirect tables refused", indirect_refused);
	test_run("unit: indirect tables taken", indirect_taken);
	test_run("unit: tokens", tokens);
	test_run("unit: copies", copies);
	test_run("unit: memory that is gone", memory_gone);
	test_run("unit: all is fetched once", fetched_once);
	test_run("unit: kicks", kicks);
	test_run("unit: calls", calls);
	test_run("unit: in order", in_order);
	test_run("unit: texts of errors", errors);
	byhand_free();
}
