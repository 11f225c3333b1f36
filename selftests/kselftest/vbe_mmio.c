// SPDX-License-Identifier: GPL-2.0
/*
 * Transport "mmio", with the test as VMM and as driver: every register, in and out of
 * order, at wrong sizes, with lies; interrupts, reset, queue reset, loss. What is expected
 * is the table in Documentation/registers.md.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include <linux/virtio_config.h>

#include "kselftest_harness.h"

#include "be.h"
#include "check.h"
#include "dev.h"
#include "guest.h"

#define NAME		"kst-mmio"
#define BASE		0x10000000ULL
#define MEM		0x80000000ULL
#define HIGH_MEM	0x240000000ULL	/* addresses with an upper half */
#define MEM_LEN		(1U << 20)
#define QUEUES		2
#define NUM		64
#define CONFIG_LEN	16
#define RESET_MS	3000		/* where nobody answers */
#define LIMIT		COMES_MS	/* ms for what should come at once */
#define QUIET		100		/* ms in which nothing should come */

/* registers */
#define MAGIC		0x000
#define VERSION		0x004
#define DEVICE_ID	0x008
#define VENDOR_ID	0x00c
#define DEV_FEATURES	0x010
#define DEV_SEL		0x014
#define DRV_FEATURES	0x020
#define DRV_SEL		0x024
#define QUEUE_SEL	0x030
#define QUEUE_NUM_MAX	0x034
#define QUEUE_NUM	0x038
#define QUEUE_READY	0x044
#define QUEUE_NOTIFY	0x050
#define INT_STATUS	0x060
#define INT_ACK		0x064
#define STATUS		0x070
#define QUEUE_DESC	0x080
#define QUEUE_DRIVER	0x090
#define QUEUE_DEVICE	0x0a0
#define SHM_SEL		0x0ac
#define SHM_FIRST	0x0b0
#define SHM_LAST	0x0bc
#define QUEUE_RESET	0x0c0
#define GENERATION	0x0fc
#define CONFIG		0x100

/* status */
#define S_ACK		1
#define S_DRIVER	(S_ACK | 2)
#define S_FEATURES	(S_DRIVER | 8)
#define S_OK		(S_FEATURES | 4)

#define INT_USED	1
#define INT_CONFIG	2

#define F_VERSION_1	(1ULL << VIRTIO_F_VERSION_1)
#define F_RING_RESET	(1ULL << 40)
#define F_SOME		(1ULL << 0 | 1ULL << 5)	/* of the device type */
#define F_OWNED		(1ULL << 33 | 1ULL << 36 | 1ULL << 37 | 1ULL << 38 | 1ULL << 39 | \
			 1ULL << 40 | 1ULL << 41)
#define F_NOT_OFFERED	(1ULL << 1)

FIXTURE(mmio)
{
	struct guest *g;
	struct be *be;
	struct be *next;
	int dev;
	int line;
	uint16_t avail[QUEUES];
};

static struct be *new_backend(void)
{
	struct be *be = be_new(BE_RNG);
	uint32_t i;

	/* What belongs to the transport is offered, too, and must be masked. */
	be->features = F_VERSION_1 | F_SOME | F_OWNED;
	be->n_queues = QUEUES;
	be->queue_size = NUM;
	be->config_size = CONFIG_LEN;
	be->setup_flags = VBE_SETUP_F_QUEUE_STOP;
	for (i = 0; i < CONFIG_LEN; i++)
		be->config[i] = 0x10 + i;
	return be;
}

FIXTURE_SETUP(mmio)
{
	struct vbe_guest_dev_add a = guest_dev_params(NAME, "mmio", BASE);

	a.reset_timeout_ms = LIMIT;
	self->g = guest_new("kst-mmio-guest");
	ASSERT_NE(NULL, self->g)
		TH_LOG("GUEST_NEW: %s", strerror(errno));
	ASSERT_DONE(guest_mem_add(self->g, MEM, MEM_LEN, 0));
	ASSERT_DONE(guest_mem_add(self->g, HIGH_MEM, MEM_LEN, 0));
	self->dev = guest_dev_add_params(self->g, &a);
	ASSERT_DONE(self->dev);
	self->line = guest_eventfd();
	ASSERT_DONE(guest_set_fd(self->g, self->dev, VBE_GUEST_FD_LINE, 0, self->line));
	self->be = new_backend();
}

FIXTURE_TEARDOWN(mmio)
{
	EXPECT_EQ(NULL, self->be->broken)
		TH_LOG("backend: %s", self->be->broken);
	be_free(self->be);
	be_free(self->next);
	guest_free(self->g);
	close(self->line);
}

/* ---- a driver ------------------------------------------------------------------ */

static uint32_t rd(struct guest *g, uint32_t offset)
{
	return guest_read(g, VBE_SPACE_MMIO, BASE + offset, 4);
}

static void wr(struct guest *g, uint32_t offset, uint32_t value)
{
	guest_write(g, VBE_SPACE_MMIO, BASE + offset, 4, value);
}

static uint64_t offered(struct guest *g)
{
	uint64_t features;

	wr(g, DEV_SEL, 1);
	features = (uint64_t)rd(g, DEV_FEATURES) << 32;
	wr(g, DEV_SEL, 0);
	return features | rd(g, DEV_FEATURES);
}

static void take(struct guest *g, uint64_t features)
{
	wr(g, DRV_SEL, 1);
	wr(g, DRV_FEATURES, features >> 32);
	wr(g, DRV_SEL, 0);
	wr(g, DRV_FEATURES, features);
}

/* From reset to FEATURES_OK; the status that reads back. */
static uint32_t negotiate(struct guest *g, uint64_t features)
{
	wr(g, STATUS, 0);
	wr(g, STATUS, S_ACK);
	wr(g, STATUS, S_DRIVER);
	take(g, features);
	wr(g, STATUS, S_FEATURES);
	return rd(g, STATUS);
}

static void wr_addr(struct guest *g, uint32_t offset, uint64_t addr)
{
	wr(g, offset, addr);
	wr(g, offset + 4, addr >> 32);
}

struct place {
	uint32_t num;
	uint64_t desc;
	uint64_t driver;
	uint64_t device;
};

static struct place good_place(uint32_t q)
{
	uint64_t at = (q ? HIGH_MEM : MEM) + q * 0x8000;

	return (struct place){ NUM, at, at + 0x1000, at + 0x2000 };
}

static void stage(struct guest *g, uint32_t q, struct place p)
{
	wr(g, QUEUE_SEL, q);
	wr(g, QUEUE_NUM, p.num);
	wr_addr(g, QUEUE_DESC, p.desc);
	wr_addr(g, QUEUE_DRIVER, p.driver);
	wr_addr(g, QUEUE_DEVICE, p.device);
}

static uint32_t enable(struct guest *g, uint32_t q, struct place p)
{
	stage(g, q, p);
	wr(g, QUEUE_READY, 1);
	return rd(g, QUEUE_READY);
}

static uint32_t ready(struct guest *g, uint32_t q)
{
	wr(g, QUEUE_SEL, q);
	return rd(g, QUEUE_READY);
}

static uint32_t enable_all(struct __test_metadata *_metadata, struct _test_data_mmio *self)
{
	uint32_t q, n = 0;

	for (q = 0; q < QUEUES; q++) {
		struct place p = good_place(q);
		void *mem = guest_host(self->g, p.desc, 0x4000);

		ASSERT_NE(NULL, mem);
		memset(mem, 0, 0x4000);
		self->avail[q] = 0;
		n += enable(self->g, q, p);
	}
	return n;
}

/* All the way to DRIVER_OK. */
static void drive(struct __test_metadata *_metadata, struct _test_data_mmio *self,
		  uint64_t features)
{
	ASSERT_EQ(S_FEATURES, negotiate(self->g, features));
	ASSERT_EQ(QUEUES, enable_all(_metadata, self));
	wr(self->g, STATUS, S_OK);
	ASSERT_EQ(S_OK, rd(self->g, STATUS));
}

static void up(struct __test_metadata *_metadata, struct _test_data_mmio *self)
{
	ASSERT_DONE(be_up(self->be, NAME));
}

static void up_and_drive(struct __test_metadata *_metadata, struct _test_data_mmio *self)
{
	up(_metadata, self);
	drive(_metadata, self, F_VERSION_1 | F_RING_RESET);
}

/* A buffer for random bytes, not notified yet. */
static void add_buffer(struct _test_data_mmio *self, uint32_t q)
{
	struct place p = good_place(q);
	struct vring_desc *d = guest_host(self->g, p.desc, sizeof(*d));
	struct vring_avail *avail = guest_host(self->g, p.driver, 6 + 2 * NUM);
	uint8_t *buf = guest_host(self->g, p.desc + 0x3000, 64);

	memset(buf, 0, 64);
	*d = (struct vring_desc){ .addr = p.desc + 0x3000, .len = 64,
				  .flags = VRING_DESC_F_WRITE };
	avail->ring[self->avail[q] % NUM] = 0;
	self->avail[q]++;
	__atomic_store_n(&avail->idx, self->avail[q], __ATOMIC_SEQ_CST);
}

static bool served(struct _test_data_mmio *self, uint32_t q)
{
	struct place p = good_place(q);
	struct vring_used *used = guest_host(self->g, p.device, sizeof(*used));
	uint8_t *buf = guest_host(self->g, p.desc + 0x3000, 64);

	return __atomic_load_n(&used->idx, __ATOMIC_SEQ_CST) == self->avail[q] &&
	       buf[0] == BE_RNG_BYTE && buf[63] == BE_RNG_BYTE;
}

/* One buffer there and back, by interrupt; acknowledged. */
static void round_trip(struct __test_metadata *_metadata, struct _test_data_mmio *self, uint32_t q)
{
	uint64_t n;

	add_buffer(self, q);
	wr(self->g, QUEUE_NOTIFY, q);
	/* There may be one on its way that something before has caused. */
	do
		n = guest_eventfd_wait(self->line, LIMIT);
	while (n && !rd(self->g, INT_STATUS));
	EXPECT_LE(1, n)
		TH_LOG("no interrupt of queue %u", q);
	EXPECT_TRUE(served(self, q));
	EXPECT_EQ(INT_USED, rd(self->g, INT_STATUS));
	wr(self->g, INT_ACK, INT_USED);
	EXPECT_EQ(0, rd(self->g, INT_STATUS));
}

static bool line_is_high(struct _test_data_mmio *self)
{
	struct vbe_guest_dev_info info;

	return guest_dev_info(self->g, self->dev, &info) >= 0 &&
	       (info.flags & VBE_GUEST_INFO_F_LINE);
}

static int call_queue(struct be *be, uint32_t q)
{
	return xioctl(be->fd, VBE_IOC_QUEUE_CALL, (void *)(uintptr_t)q);
}

static int change_config(struct be *be, uint32_t offset, uint8_t value)
{
	struct vbe_config_rw c = { .size = sizeof(c), .offset = offset, .len = 1,
				   .buf = (uintptr_t)&value };

	return xioctl(be->fd, VBE_IOC_CONFIG_WRITE, &c);
}

/* ---- what it is -------------------------------------------------------------------- */

static uint64_t ones(uint32_t len)
{
	return len == 8 ? ~0ULL : (1ULL << (8 * len)) - 1;
}

/* A placeholder reads as one, and takes every write without a word. */
static void check_absent(struct __test_metadata *_metadata, struct guest *g)
{
	uint32_t offset;

	for (offset = 0; offset < 0x1000; offset += 4) {
		uint32_t expected = 0;

		if (offset == MAGIC)
			expected = 0x74726976;
		else if (offset == VERSION)
			expected = 2;
		else if (offset == VENDOR_ID)
			expected = rd(g, VENDOR_ID);
		else if (offset >= SHM_FIRST && offset <= SHM_LAST)
			expected = 0xffffffff;
		EXPECT_EQ(expected, rd(g, offset))
			TH_LOG("offset %#x", offset);
		EXPECT_EQ(0, g->last);
		EXPECT_EQ(0, guest_write(g, VBE_SPACE_MMIO, BASE + offset, 4, 1));
		EXPECT_EQ(expected, rd(g, offset));
	}
}

TEST_F(mmio, placeholder)
{
	struct guest *g = self->g;

	EXPECT_EQ(0x00656276, rd(g, VENDOR_ID));
	check_absent(_metadata, g);
	/* Described, but not shown yet: no difference. */
	ASSERT_DONE(be_attach(self->be, NAME));
	ASSERT_DONE(be_setup(self->be));
	check_absent(_metadata, g);
	/* Nothing of what was written has stuck. */
	ASSERT_DONE(be_online(self->be));
	EXPECT_EQ(BE_RNG, rd(g, DEVICE_ID));
	EXPECT_EQ(0, rd(g, STATUS));
	EXPECT_EQ(0, ready(g, 0));
	EXPECT_EQ(F_VERSION_1 | F_SOME | F_RING_RESET, offered(g));
	EXPECT_EQ(0, guest_eventfd_wait(self->line, 0));
}

TEST_F(mmio, identity)
{
	struct guest *g = self->g;
	struct good_setup s;
	int fd = dev_open(NAME);

	good_setup(&s);
	s.s.virtio_id = 0x1234;
	s.s.vendor_id = 0x87654321;
	ASSERT_DONE(fd);
	ASSERT_DONE(xioctl(fd, VBE_IOC_DEV_SETUP, &s.s));
	ASSERT_DONE(dev_simple(fd, VBE_IOC_DEV_ONLINE));
	EXPECT_EQ(0x74726976, rd(g, MAGIC));
	EXPECT_EQ(2, rd(g, VERSION));
	EXPECT_EQ(0x1234, rd(g, DEVICE_ID));
	EXPECT_EQ(0x87654321, rd(g, VENDOR_ID));
	/* No QUEUE_STOP, so no RING_RESET. */
	EXPECT_EQ(F_VERSION_1, offered(g));
	close(fd);
}

TEST_F(mmio, shared_memory)
{
	static const uint32_t ids[] = { 0, 1, 255, 256, 0xffffffff };
	uint32_t i, offset;

	up(_metadata, self);
	for (i = 0; i < ARRAY_LEN(ids); i++) {
		wr(self->g, SHM_SEL, ids[i]);
		for (offset = SHM_FIRST; offset <= SHM_LAST; offset += 4)
			EXPECT_EQ(0xffffffff, rd(self->g, offset));
	}
}

static bool readable(uint32_t offset)
{
	switch (offset) {
	case MAGIC:
	case VERSION:
	case DEVICE_ID:
	case VENDOR_ID:
	case DEV_FEATURES:
	case QUEUE_NUM_MAX:
	case QUEUE_READY:
	case INT_STATUS:
	case STATUS:
	case QUEUE_RESET:
	case GENERATION:
		return true;
	}
	return offset >= SHM_FIRST && offset <= SHM_LAST;
}

static bool writable(uint32_t offset)
{
	switch (offset) {
	case DEV_SEL:
	case DRV_FEATURES:
	case DRV_SEL:
	case QUEUE_SEL:
	case QUEUE_NUM:
	case QUEUE_READY:
	case QUEUE_NOTIFY:
	case INT_ACK:
	case STATUS:
	case SHM_SEL:
	case QUEUE_RESET:
		return true;
	}
	return (offset >= QUEUE_DESC && offset < QUEUE_DESC + 8) ||
	       (offset >= QUEUE_DRIVER && offset < QUEUE_DRIVER + 8) ||
	       (offset >= QUEUE_DEVICE && offset < QUEUE_DEVICE + 8);
}

/* All that can be read, for comparison. */
static void read_all(struct guest *g, uint32_t *all)
{
	uint32_t offset;

	for (offset = 0; offset < CONFIG + CONFIG_LEN; offset += 4)
		all[offset / 4] = rd(g, offset);
}

#define ALL ((CONFIG + CONFIG_LEN) / 4)

/* Write-only and unknown registers read 0; read-only and unknown ones take no writes. */
TEST_F(mmio, directions)
{
	uint32_t before[ALL], after[ALL], offset;

	up_and_drive(_metadata, self);
	read_all(self->g, before);
	for (offset = 0; offset < CONFIG; offset += 4) {
		if (!readable(offset))
			EXPECT_EQ(0, before[offset / 4])
				TH_LOG("offset %#x", offset);
		if (!writable(offset)) {
			wr(self->g, offset, 0xffffffff);
			wr(self->g, offset, 0);
		}
		EXPECT_EQ(0, self->g->last);
	}
	read_all(self->g, after);
	EXPECT_EQ(0, memcmp(before, after, sizeof(before)));
	round_trip(_metadata, self, 0);
}

/* Registers are 32 bits, aligned: nothing else reads or writes any. */
TEST_F(mmio, sizes)
{
	static const uint32_t lens[] = { 1, 2, 4, 8 };
	uint32_t before[ALL], after[ALL], offset, i;
	struct guest *g = self->g;

	up_and_drive(_metadata, self);
	read_all(g, before);
	for (offset = 0; offset < CONFIG; offset++) {
		for (i = 0; i < ARRAY_LEN(lens); i++) {
			uint32_t len = lens[i];

			if (len == 4 && offset % 4 == 0)
				continue;
			EXPECT_EQ(0, guest_read(g, VBE_SPACE_MMIO, BASE + offset, len))
				TH_LOG("offset %#x, %u bytes", offset, len);
			EXPECT_EQ(0, g->last);
			EXPECT_EQ(0, guest_write(g, VBE_SPACE_MMIO, BASE + offset, len, 0));
			EXPECT_EQ(0, guest_write(g, VBE_SPACE_MMIO, BASE + offset, len,
						 0x8080808080808080ULL));
		}
	}
	read_all(g, after);
	EXPECT_EQ(0, memcmp(before, after, sizeof(before)));
	round_trip(_metadata, self, 0);
	/* Not all of it is the device's. */
	EXPECT_EQ(~0ULL, guest_read(g, VBE_SPACE_MMIO, BASE + 0xffc, 8));
	EXPECT_EQ(-ENOENT, g->last);
	EXPECT_EQ(-ENOENT, guest_write(g, VBE_SPACE_MMIO, BASE - 1, 2, 0));
	EXPECT_EQ(-ENOENT, guest_write(g, VBE_SPACE_PIO, 0x100, 4, 0));
	EXPECT_EQ(-ENOENT, guest_write(g, VBE_SPACE_PCI, BASE, 4, 0));
}

/* ---- features and status ---------------------------------------------------------- */

TEST_F(mmio, offered_features)
{
	static const uint32_t windows[] = { 2, 3, 32, 0x80000000, 0xffffffff };
	uint32_t i;

	up(_metadata, self);
	EXPECT_EQ(F_VERSION_1 | F_SOME | F_RING_RESET, offered(self->g));
	for (i = 0; i < ARRAY_LEN(windows); i++) {
		wr(self->g, DEV_SEL, windows[i]);
		EXPECT_EQ(0, rd(self->g, DEV_FEATURES));
	}
}

static uint64_t taken(struct _test_data_mmio *self)
{
	struct vbe_guest_dev_info info;

	if (guest_dev_info(self->g, self->dev, &info) < 0)
		return ~0ULL;
	return info.driver_features;
}

TEST_F(mmio, taken_features)
{
	struct guest *g = self->g;

	up(_metadata, self);
	EXPECT_EQ(S_FEATURES, negotiate(g, F_VERSION_1));
	EXPECT_EQ(F_VERSION_1, taken(self));
	EXPECT_EQ(S_FEATURES, negotiate(g, offered(g)));
	EXPECT_EQ(F_VERSION_1 | F_SOME | F_RING_RESET, taken(self));
	/* Too late. */
	take(g, F_VERSION_1);
	wr(g, STATUS, S_FEATURES);
	EXPECT_EQ(F_VERSION_1 | F_SOME | F_RING_RESET, taken(self));
	wr(g, STATUS, 0);
	EXPECT_EQ(0, taken(self));
	/* The low half first, then over again; the last word counts. */
	wr(g, STATUS, S_DRIVER);
	wr(g, DRV_SEL, 0);
	wr(g, DRV_FEATURES, F_NOT_OFFERED);
	wr(g, DRV_FEATURES, F_SOME);
	wr(g, DRV_SEL, 1);
	wr(g, DRV_FEATURES, F_VERSION_1 >> 32);
	wr(g, STATUS, S_FEATURES);
	EXPECT_EQ(S_FEATURES, rd(g, STATUS));
	EXPECT_EQ(F_VERSION_1 | F_SOME, taken(self));
}

TEST_F(mmio, lies_about_features)
{
	struct guest *g = self->g;
	uint32_t bit;

	up(_metadata, self);
	EXPECT_EQ(S_DRIVER, negotiate(g, 0));
	EXPECT_EQ(S_DRIVER, negotiate(g, F_SOME));
	for (bit = 0; bit < 64; bit++) {
		uint64_t f = 1ULL << bit;
		bool good = f & (F_VERSION_1 | F_SOME | F_RING_RESET);

		EXPECT_EQ(good ? S_FEATURES : S_DRIVER, negotiate(g, F_VERSION_1 | f))
			TH_LOG("bit %u", bit);
	}
	/* A refusal is not the end: other features may be tried. */
	EXPECT_EQ(S_DRIVER, negotiate(g, F_VERSION_1 | F_NOT_OFFERED));
	EXPECT_EQ(0, taken(self));
	take(g, F_VERSION_1);
	wr(g, STATUS, S_FEATURES);
	EXPECT_EQ(S_FEATURES, rd(g, STATUS));
	/* Bits that no 64 have room for. */
	wr(g, STATUS, 0);
	wr(g, DRV_SEL, 2);
	wr(g, DRV_FEATURES, 1);
	wr(g, STATUS, S_DRIVER);
	take(g, F_VERSION_1);
	wr(g, STATUS, S_FEATURES);
	EXPECT_EQ(S_DRIVER, rd(g, STATUS));
	/* None of these, said aloud, is fine. */
	wr(g, STATUS, 0);
	wr(g, DRV_SEL, 0xffffffff);
	wr(g, DRV_FEATURES, 0);
	EXPECT_EQ(S_FEATURES, negotiate(g, F_VERSION_1));
}

TEST_F(mmio, asked_features)
{
	self->be->setup_flags |= VBE_SETUP_F_ASK_FEATURES;
	up(_metadata, self);
	EXPECT_EQ(S_FEATURES, negotiate(self->g, F_VERSION_1));
	self->be->refuse = true;
	EXPECT_EQ(S_DRIVER, negotiate(self->g, F_VERSION_1));
	self->be->refuse = false;
	self->be->mute_features = true;
	/* What it does answer is not to be late. */
	wr(self->g, STATUS, 0);
	ASSERT_EQ(0, dev_set_reset_ms(NAME, RESET_MS));
	EXPECT_EQ(S_DRIVER, negotiate(self->g, F_VERSION_1));
	EXPECT_TRUE(be_wait_event(self->be, VBE_EVENT_FEATURES, 3, LIMIT));
}

TEST_F(mmio, status)
{
	struct guest *g = self->g;

	up(_metadata, self);
	/* Bits that mean nothing do not reset. */
	wr(g, STATUS, S_ACK);
	wr(g, STATUS, 0x100);
	wr(g, STATUS, 0xffffff00);
	EXPECT_EQ(S_ACK, rd(g, STATUS));
	wr(g, STATUS, 0x100 | S_DRIVER);
	EXPECT_EQ(S_DRIVER, rd(g, STATUS));
	/* Bits do not go. */
	wr(g, STATUS, S_ACK);
	EXPECT_EQ(S_DRIVER, rd(g, STATUS));
	/* DRIVER_OK without FEATURES_OK */
	wr(g, STATUS, S_DRIVER | 4);
	EXPECT_EQ(S_DRIVER, rd(g, STATUS));
	/* Both at once, with the features refused, and then not. */
	take(g, F_NOT_OFFERED);
	wr(g, STATUS, S_OK);
	EXPECT_EQ(S_DRIVER, rd(g, STATUS));
	take(g, F_VERSION_1);
	wr(g, STATUS, S_OK);
	EXPECT_EQ(S_OK, rd(g, STATUS));
	/* NEEDS_RESET is the device's, FAILED the driver's. */
	wr(g, STATUS, S_OK | 0x40);
	EXPECT_EQ(S_OK, rd(g, STATUS));
	wr(g, STATUS, S_OK | 0x80);
	EXPECT_EQ(S_OK | 0x80, rd(g, STATUS));
	wr(g, STATUS, 0);
	EXPECT_EQ(0, rd(g, STATUS));
}

/* ---- queues ----------------------------------------------------------------------- */

static bool is_at(struct _test_data_mmio *self, uint32_t q, struct place p)
{
	struct vbe_guest_queue_info info;

	return guest_queue_info(self->g, self->dev, q, &info) >= 0 && info.num == p.num &&
	       info.desc == p.desc && info.driver == p.driver && info.device == p.device;
}

TEST_F(mmio, queue_setup)
{
	struct place p = good_place(0), high = good_place(1), other = good_place(0);
	struct guest *g = self->g;

	up(_metadata, self);
	/* What a ring looks like is not known yet. */
	EXPECT_EQ(0, enable(g, 0, p));
	ASSERT_EQ(S_FEATURES, negotiate(g, F_VERSION_1));
	/* Forgotten by reset. */
	wr(g, QUEUE_SEL, 0);
	wr(g, QUEUE_READY, 1);
	EXPECT_EQ(0, rd(g, QUEUE_READY));
	EXPECT_EQ(1, enable(g, 0, p));
	EXPECT_TRUE(is_at(self, 0, p));
	EXPECT_EQ(0, ready(g, 1));
	EXPECT_EQ(1, enable(g, 1, high));
	EXPECT_TRUE(is_at(self, 1, high));
	/* While it is ready nothing moves. */
	other.desc += 0x10;
	other.num = 32;
	EXPECT_EQ(1, enable(g, 0, other));
	EXPECT_TRUE(is_at(self, 0, p));
	/* No value but 0 and 1 means anything. */
	wr(g, QUEUE_READY, 2);
	wr(g, QUEUE_READY, 0xffffffff);
	EXPECT_EQ(1, rd(g, QUEUE_READY));
	wr(g, QUEUE_READY, 0);
	EXPECT_EQ(0, rd(g, QUEUE_READY));
	EXPECT_EQ(1, ready(g, 1));
	wr(g, QUEUE_SEL, 0);
	wr(g, QUEUE_READY, 2);
	EXPECT_EQ(0, rd(g, QUEUE_READY));
	EXPECT_EQ(1, enable(g, 0, other));
	EXPECT_TRUE(is_at(self, 0, other));
}

/* A driver may go to and fro between queues. */
TEST_F(mmio, queue_staging)
{
	struct place a = good_place(0), b = good_place(1);
	struct guest *g = self->g;

	up(_metadata, self);
	ASSERT_EQ(S_FEATURES, negotiate(g, F_VERSION_1));
	b.num = 16;
	stage(g, 0, a);
	stage(g, 1, b);
	/* of a queue that is not there */
	stage(g, 2, b);
	stage(g, 255, b);
	stage(g, 256, b);
	stage(g, 0xffffffff, b);
	wr(g, QUEUE_READY, 1);
	EXPECT_EQ(0, rd(g, QUEUE_READY));
	wr(g, QUEUE_SEL, 0);
	wr(g, QUEUE_READY, 1);
	EXPECT_EQ(1, rd(g, QUEUE_READY));
	wr(g, QUEUE_SEL, 1);
	EXPECT_EQ(0, rd(g, QUEUE_READY));
	wr(g, QUEUE_READY, 1);
	EXPECT_TRUE(is_at(self, 0, a));
	EXPECT_TRUE(is_at(self, 1, b));
}

TEST_F(mmio, no_such_queue)
{
	static const uint32_t bad[] = { QUEUES, 8, 255, 256, 0x10000, 0x80000000, 0xffffffff };
	struct guest *g = self->g;
	uint32_t i;

	up_and_drive(_metadata, self);
	for (i = 0; i < QUEUES; i++) {
		wr(g, QUEUE_SEL, i);
		EXPECT_EQ(NUM, rd(g, QUEUE_NUM_MAX));
	}
	for (i = 0; i < ARRAY_LEN(bad); i++) {
		EXPECT_EQ(0, enable(g, bad[i], good_place(0)));
		EXPECT_EQ(0, rd(g, QUEUE_NUM_MAX));
		wr(g, QUEUE_RESET, 1);
		EXPECT_EQ(0, rd(g, QUEUE_RESET));
		wr(g, QUEUE_READY, 0);
		EXPECT_EQ(0, g->last);
	}
	EXPECT_EQ(1, ready(g, 0));
	EXPECT_EQ(1, ready(g, 1));
}

TEST_F(mmio, lies_about_queues)
{
	static const uint32_t sizes[] = { 0, 3, 63, 65, 2 * NUM, 0x10000 + NUM, 0x80000000,
					  0xffffffff };
	static const uint64_t addrs[] = {
		0, 0x1000, MEM - 0x1000, MEM + MEM_LEN, HIGH_MEM & 0xffffffff,
		HIGH_MEM + (1ULL << 32), MEM + MEM_LEN - 16, ~0ULL & ~0xfULL, 1ULL << 63,
		MEM + 1, BASE,
	};
	struct place good = good_place(0), p;
	struct guest *g = self->g;
	uint32_t i;

	up(_metadata, self);
	ASSERT_EQ(S_FEATURES, negotiate(g, F_VERSION_1));
	for (i = 0; i < ARRAY_LEN(sizes); i++) {
		p = good;
		p.num = sizes[i];
		EXPECT_EQ(0, enable(g, 0, p))
			TH_LOG("%#x entries", p.num);
	}
	for (i = 0; i < ARRAY_LEN(addrs); i++) {
		p = good;
		p.desc = addrs[i];
		EXPECT_EQ(0, enable(g, 0, p))
			TH_LOG("desc %#llx", (unsigned long long)addrs[i]);
		p = good;
		p.driver = addrs[i];
		EXPECT_EQ(0, enable(g, 0, p))
			TH_LOG("driver %#llx", (unsigned long long)addrs[i]);
		p = good;
		p.device = addrs[i];
		EXPECT_EQ(0, enable(g, 0, p))
			TH_LOG("device %#llx", (unsigned long long)addrs[i]);
	}
	EXPECT_EQ(1, enable(g, 0, good));
}

/* A backend that does nothing: its kick eventfds tell what comes. */
static void drive_idle(struct __test_metadata *_metadata, struct _test_data_mmio *self)
{
	ASSERT_DONE(be_attach(self->be, NAME));
	ASSERT_DONE(be_setup(self->be));
	ASSERT_DONE(be_online(self->be));
	drive(_metadata, self, F_VERSION_1);
}

static void check_kicks(struct __test_metadata *_metadata, struct _test_data_mmio *self,
			uint64_t first, uint64_t second, int ms)
{
	EXPECT_EQ(first, guest_eventfd_wait(self->be->queues[0].kick, first ? ms : 0));
	EXPECT_EQ(second, guest_eventfd_wait(self->be->queues[1].kick, second ? ms : 0));
}

TEST_F(mmio, notify)
{
	struct vbe_guest_queue_info info;
	struct guest *g = self->g;
	uint32_t q;

	drive_idle(_metadata, self);
	for (q = 0; q < QUEUES; q++) {
		ASSERT_DONE(guest_queue_info(g, self->dev, q, &info));
		EXPECT_EQ(VBE_GUEST_QUEUE_F_ENABLED | VBE_GUEST_QUEUE_F_MATCH, info.flags);
		EXPECT_EQ(BASE + QUEUE_NOTIFY, info.notify_addr);
		EXPECT_EQ(4, info.notify_len);
		EXPECT_EQ(q, info.match);
		EXPECT_EQ(VBE_NO_QUEUE, info.vector);
	}
	check_kicks(_metadata, self, 0, 0, 0);
	wr(g, QUEUE_NOTIFY, 0);
	check_kicks(_metadata, self, 1, 0, 0);
	wr(g, QUEUE_NOTIFY, 1);
	wr(g, QUEUE_NOTIFY, 1);
	check_kicks(_metadata, self, 0, 2, 0);
	/* No such queue; no such size. */
	for (q = QUEUES; q < 0x10000; q = q * 2 + 1)
		wr(g, QUEUE_NOTIFY, q);
	EXPECT_EQ(0, g->last);
	EXPECT_EQ(0, guest_write(g, VBE_SPACE_MMIO, BASE + QUEUE_NOTIFY, 2, 0));
	check_kicks(_metadata, self, 0, 0, 0);
	/* Only 16 bits are the queue's number. */
	wr(g, QUEUE_NOTIFY, 0xabcd0001);
	check_kicks(_metadata, self, 0, 1, 0);
	/* Kept while nobody listens. */
	ASSERT_DONE(queue_fds(self->be->fd, 0, VBE_FDS_F_KICK, -1, -1));
	wr(g, QUEUE_NOTIFY, 0);
	ASSERT_DONE(queue_fds(self->be->fd, 0, VBE_FDS_F_KICK, self->be->queues[0].kick, -1));
	check_kicks(_metadata, self, 1, 0, 0);
}

/* What KVM_IOEVENTFD would write; attached before and after the device is there. */
TEST_F(mmio, kick_fd)
{
	int kick[QUEUES] = { guest_eventfd(), guest_eventfd() };
	uint64_t one = 1;

	ASSERT_DONE(guest_set_fd(self->g, self->dev, VBE_GUEST_FD_KICK, 0, kick[0]));
	drive_idle(_metadata, self);
	ASSERT_DONE(guest_set_fd(self->g, self->dev, VBE_GUEST_FD_KICK, 1, kick[1]));
	check_kicks(_metadata, self, 0, 0, 0);
	ASSERT_EQ(sizeof(one), write(kick[0], &one, sizeof(one)));
	check_kicks(_metadata, self, 1, 0, LIMIT);
	ASSERT_EQ(sizeof(one), write(kick[1], &one, sizeof(one)));
	check_kicks(_metadata, self, 0, 1, LIMIT);
	/* The register still works as well. */
	wr(self->g, QUEUE_NOTIFY, 0);
	check_kicks(_metadata, self, 1, 0, 0);
	close(kick[0]);
	close(kick[1]);
}

/* A backend that waits on the VMM's own eventfd. */
TEST_F(mmio, adopted_kick_fd)
{
	int kick = guest_eventfd(), i;
	uint64_t one = 1;

	self->be->adopt_kick = true;
	ASSERT_DONE(guest_set_fd(self->g, self->dev, VBE_GUEST_FD_KICK, 0, kick));
	up_and_drive(_metadata, self);
	for (i = 0; i < 5; i++) {
		add_buffer(self, 0);
		ASSERT_EQ(sizeof(one), write(kick, &one, sizeof(one)));
		EXPECT_LE(1, guest_eventfd_wait(self->line, LIMIT));
		EXPECT_TRUE(served(self, 0));
		wr(self->g, INT_ACK, INT_USED);
	}
	EXPECT_TRUE(self->be->queues[0].adopted);
	/* By register, the kick comes to that very eventfd. */
	round_trip(_metadata, self, 0);
	round_trip(_metadata, self, 1);
	close(kick);
}

/* ---- interrupts ---------------------------------------------------------------------- */

TEST_F(mmio, round_trips)
{
	int i;

	up_and_drive(_metadata, self);
	for (i = 0; i < 2 * NUM + 1; i++)
		round_trip(_metadata, self, i % QUEUES);
}

TEST_F(mmio, interrupt_status)
{
	struct guest *g = self->g;

	up_and_drive(_metadata, self);
	EXPECT_FALSE(line_is_high(self));
	ASSERT_DONE(call_queue(self->be, 0));
	EXPECT_EQ(1, guest_eventfd_wait(self->line, 0));
	EXPECT_EQ(INT_USED, rd(g, INT_STATUS));
	EXPECT_TRUE(line_is_high(self));
	/* Reading does not acknowledge, nor do other bits. */
	wr(g, INT_ACK, 0);
	wr(g, INT_ACK, INT_CONFIG);
	wr(g, INT_ACK, 0xfffffffc);
	EXPECT_EQ(INT_USED, rd(g, INT_STATUS));
	/* It is high already. */
	ASSERT_DONE(call_queue(self->be, 1));
	EXPECT_EQ(0, guest_eventfd_wait(self->line, 0));
	ASSERT_DONE(change_config(self->be, 0, 1));
	EXPECT_EQ(INT_USED | INT_CONFIG, rd(g, INT_STATUS));
	EXPECT_EQ(1, guest_eventfd_wait(self->line, LIMIT));
	/* One is acknowledged, the other still wants to be heard. */
	wr(g, INT_ACK, INT_USED);
	EXPECT_EQ(INT_CONFIG, rd(g, INT_STATUS));
	EXPECT_TRUE(line_is_high(self));
	EXPECT_EQ(1, guest_eventfd_wait(self->line, 0));
	wr(g, INT_ACK, 0xffffffff);
	EXPECT_EQ(0, rd(g, INT_STATUS));
	EXPECT_FALSE(line_is_high(self));
	EXPECT_EQ(0, guest_eventfd_wait(self->line, 0));
}

/* The line as a level: EOI, by call or by eventfd, finds it still high, or not. */
TEST_F(mmio, end_of_interrupt)
{
	int resample = guest_eventfd();
	struct guest *g = self->g;
	uint64_t one = 1;

	ASSERT_DONE(guest_set_fd(g, self->dev, VBE_GUEST_FD_RESAMPLE, 0, resample));
	EXPECT_DONE(guest_eoi(g, self->dev));
	up_and_drive(_metadata, self);
	EXPECT_DONE(guest_eoi(g, self->dev));
	EXPECT_EQ(0, guest_eventfd_wait(self->line, 0));
	ASSERT_DONE(call_queue(self->be, 0));
	EXPECT_EQ(1, guest_eventfd_wait(self->line, 0));
	EXPECT_DONE(guest_eoi(g, self->dev));
	EXPECT_EQ(1, guest_eventfd_wait(self->line, LIMIT));
	ASSERT_EQ(sizeof(one), write(resample, &one, sizeof(one)));
	EXPECT_EQ(1, guest_eventfd_wait(self->line, LIMIT));
	wr(g, INT_ACK, INT_USED);
	EXPECT_DONE(guest_eoi(g, self->dev));
	ASSERT_EQ(sizeof(one), write(resample, &one, sizeof(one)));
	EXPECT_EQ(0, guest_eventfd_wait(self->line, QUIET));
	close(resample);
}

/* A VMM that has no eventfd for the line reads its level; one that comes late rises. */
TEST_F(mmio, line_events)
{
	struct vbe_guest_event ev;
	struct guest *g = self->g;

	ASSERT_DONE(guest_set_fd(g, self->dev, VBE_GUEST_FD_LINE, 0, -1));
	up_and_drive(_metadata, self);
	guest_drop_events(g);
	ASSERT_DONE(call_queue(self->be, 0));
	ASSERT_EQ(0, guest_wait_event(g, VBE_GUEST_EVENT_LINE, self->dev, &ev, LIMIT));
	EXPECT_EQ(1, ev.data[0]);
	wr(g, INT_ACK, INT_USED);
	ASSERT_EQ(0, guest_wait_event(g, VBE_GUEST_EVENT_LINE, self->dev, &ev, LIMIT));
	EXPECT_EQ(0, ev.data[0]);
	ASSERT_DONE(call_queue(self->be, 0));
	ASSERT_DONE(guest_set_fd(g, self->dev, VBE_GUEST_FD_LINE, 0, self->line));
	EXPECT_LE(1, guest_eventfd_wait(self->line, LIMIT));
	/* A reset lowers it. */
	wr(g, STATUS, 0);
	EXPECT_EQ(0, rd(g, INT_STATUS));
	EXPECT_FALSE(line_is_high(self));
}

/* Nobody is interrupted who could not know why. */
TEST_F(mmio, too_early)
{
	struct guest *g = self->g;

	up(_metadata, self);
	ASSERT_DONE(call_queue(self->be, 0));
	ASSERT_DONE(change_config(self->be, 0, 1));
	EXPECT_EQ(0, rd(g, INT_STATUS));
	wr(g, STATUS, S_ACK);
	ASSERT_DONE(change_config(self->be, 0, 2));
	EXPECT_EQ(0, rd(g, INT_STATUS));
	ASSERT_EQ(S_FEATURES, negotiate(g, F_VERSION_1));
	ASSERT_EQ(QUEUES, enable_all(_metadata, self));
	ASSERT_DONE(call_queue(self->be, 0));
	EXPECT_EQ(0, rd(g, INT_STATUS));
	EXPECT_EQ(0, guest_eventfd_wait(self->line, 0));
	/* It may have read it already. */
	ASSERT_DONE(change_config(self->be, 0, 3));
	EXPECT_EQ(INT_CONFIG, rd(g, INT_STATUS));
	EXPECT_EQ(1, guest_eventfd_wait(self->line, LIMIT));
	wr(g, STATUS, 0);
	EXPECT_EQ(0, rd(g, INT_STATUS));
}

/* ---- config space ------------------------------------------------------------------ */

static uint64_t pattern(uint32_t offset, uint32_t len)
{
	uint64_t value = 0;
	uint32_t i;

	for (i = 0; i < len; i++) {
		uint64_t byte = offset + i < CONFIG_LEN ? 0x10 + offset + i : 0xff;

		value |= byte << (8 * i);
	}
	return value;
}

TEST_F(mmio, config_read)
{
	struct guest *g = self->g;
	uint32_t offset, len;

	up(_metadata, self);
	for (len = 1; len <= 8; len *= 2)
		for (offset = 0; offset < 2 * CONFIG_LEN; offset++)
			EXPECT_EQ(pattern(offset, len),
				  guest_read(g, VBE_SPACE_MMIO, BASE + CONFIG + offset, len))
				TH_LOG("offset %u, %u bytes", offset, len);
	for (len = 1; len <= 8; len *= 2)
		EXPECT_EQ(ones(len), guest_read(g, VBE_SPACE_MMIO, BASE + 0x1000 - len, len));
}

TEST_F(mmio, config_write)
{
	struct guest *g = self->g;
	uint32_t len, n = 0;

	up(_metadata, self);
	for (len = 1; len <= 8; len *= 2) {
		uint64_t value = 0xf0e0d0c0b0a09080ULL & ones(len);

		EXPECT_EQ(0, guest_write(g, VBE_SPACE_MMIO, BASE + CONFIG + 3, len, value));
		EXPECT_EQ(value, guest_read(g, VBE_SPACE_MMIO, BASE + CONFIG + 3, len));
		EXPECT_EQ(pattern(2, 1), guest_read(g, VBE_SPACE_MMIO, BASE + CONFIG + 2, 1));
		EXPECT_EQ(pattern(3 + len, 1),
			  guest_read(g, VBE_SPACE_MMIO, BASE + CONFIG + 3 + len, 1));
		EXPECT_TRUE(be_wait_event(self->be, VBE_EVENT_CONFIG, ++n, LIMIT));
	}
	/* All or nothing. */
	EXPECT_EQ(0, guest_write(g, VBE_SPACE_MMIO, BASE + CONFIG + CONFIG_LEN - 1, 2, 0));
	EXPECT_EQ(0, guest_write(g, VBE_SPACE_MMIO, BASE + CONFIG + CONFIG_LEN, 1, 0));
	EXPECT_EQ(0, guest_write(g, VBE_SPACE_MMIO, BASE + 0xff8, 8, 0));
	EXPECT_EQ(pattern(CONFIG_LEN - 1, 4),
		  guest_read(g, VBE_SPACE_MMIO, BASE + CONFIG + CONFIG_LEN - 1, 4));
	sleep_ms(QUIET);
	EXPECT_EQ(n, self->be->events[VBE_EVENT_CONFIG]);
}

TEST_F(mmio, config_generation)
{
	struct guest *g = self->g;
	uint32_t before, after;
	int i;

	up_and_drive(_metadata, self);
	before = rd(g, GENERATION);
	EXPECT_EQ(before, rd(g, GENERATION));
	for (i = 0; i < 4; i++) {
		ASSERT_DONE(change_config(self->be, i, 0x77));
		after = rd(g, GENERATION);
		EXPECT_NE(before, after);
		EXPECT_EQ(0x77, guest_read(g, VBE_SPACE_MMIO, BASE + CONFIG + i, 1));
		EXPECT_EQ(INT_CONFIG, rd(g, INT_STATUS));
		wr(g, INT_ACK, INT_CONFIG);
		before = after;
	}
	/* The driver's own writes are no news to it. */
	wr(g, CONFIG, 0);
	EXPECT_EQ(before, rd(g, GENERATION));
	EXPECT_EQ(0, rd(g, INT_STATUS));
	/* Nor does a reset change the config space. */
	wr(g, STATUS, 0);
	EXPECT_EQ(before, rd(g, GENERATION));
}

/* ---- reset ----------------------------------------------------------------------------- */

static void check_fresh(struct __test_metadata *_metadata, struct _test_data_mmio *self)
{
	struct guest *g = self->g;
	uint32_t q;

	EXPECT_EQ(0, rd(g, STATUS));
	EXPECT_EQ(0, rd(g, INT_STATUS));
	EXPECT_FALSE(line_is_high(self));
	EXPECT_EQ(0, taken(self));
	for (q = 0; q < QUEUES; q++) {
		EXPECT_EQ(0, ready(g, q));
		EXPECT_EQ(0, rd(g, QUEUE_RESET));
	}
	/* Features are forgotten, too. */
	wr(g, STATUS, S_FEATURES);
	EXPECT_EQ(S_DRIVER, rd(g, STATUS));
	wr(g, STATUS, 0);
}

TEST_F(mmio, reset_in_every_state)
{
	static const uint8_t states[] = { 0, S_ACK, S_DRIVER, S_FEATURES, S_OK, S_OK | 0x80 };
	struct guest *g = self->g;
	uint32_t i;

	up(_metadata, self);
	for (i = 0; i < ARRAY_LEN(states); i++) {
		/* all that this state allows, and some that it does not */
		take(g, F_VERSION_1);
		if (states[i])
			wr(g, STATUS, states[i]);
		EXPECT_EQ(states[i], rd(g, STATUS));
		enable_all(_metadata, self);
		EXPECT_EQ(states[i] >= S_FEATURES, ready(g, 0));
		change_config(self->be, 0, i);
		call_queue(self->be, 0);
		wr(g, QUEUE_NOTIFY, 0);
		wr(g, STATUS, 0);
		guest_eventfd_wait(self->line, 0);
		check_fresh(_metadata, self);
		drive(_metadata, self, F_VERSION_1);
		round_trip(_metadata, self, 0);
		round_trip(_metadata, self, 1);
		wr(g, STATUS, 0);
	}
}

/* A backend that does not answer is not waited for longer than was said. */
TEST_F(mmio, reset_of_a_mute_backend)
{
	struct guest *g = self->g;
	int64_t start;

	up_and_drive(_metadata, self);
	self->be->mute_reset = true;
	ASSERT_EQ(0, dev_set_reset_ms(NAME, RESET_MS));
	start = now_ms();
	wr(g, STATUS, 0);
	EXPECT_LE(RESET_MS, now_ms() - start);
	EXPECT_GT(LIMIT, now_ms() - start);
	EXPECT_TRUE(be_wait_event(self->be, VBE_EVENT_REVOKED, 1, LIMIT));
	check_fresh(_metadata, self);
	be_drop(self->be);
	self->next = new_backend();
	ASSERT_DONE(be_up(self->next, NAME));
	drive(_metadata, self, F_VERSION_1);
	round_trip(_metadata, self, 0);
}

/* ---- reset of a queue -------------------------------------------------------------------- */

TEST_F(mmio, queue_reset)
{
	struct guest *g = self->g;

	up_and_drive(_metadata, self);
	round_trip(_metadata, self, 0);
	wr(g, QUEUE_SEL, 0);
	wr(g, QUEUE_RESET, 0);
	wr(g, QUEUE_RESET, 2);
	EXPECT_EQ(1, rd(g, QUEUE_READY));
	wr(g, QUEUE_RESET, 1);
	EXPECT_EQ(0, rd(g, QUEUE_RESET));
	EXPECT_EQ(0, rd(g, QUEUE_READY));
	EXPECT_TRUE(be_wait_event(self->be, VBE_EVENT_QUEUE_STOP, 1, LIMIT));
	/* Once more: there is nothing to reset. */
	wr(g, QUEUE_RESET, 1);
	EXPECT_EQ(0, rd(g, QUEUE_RESET));
	EXPECT_EQ(1, self->be->events[VBE_EVENT_QUEUE_STOP]);
	/* The other goes on. */
	EXPECT_EQ(1, ready(g, 1));
	round_trip(_metadata, self, 1);
	/* Where it was is forgotten, and may be said anew. */
	wr(g, QUEUE_SEL, 0);
	wr(g, QUEUE_READY, 1);
	EXPECT_EQ(0, rd(g, QUEUE_READY));
	self->avail[0] = 0;
	memset(guest_host(g, good_place(0).desc, 0x4000), 0, 0x4000);
	EXPECT_EQ(1, enable(g, 0, good_place(0)));
	EXPECT_EQ(0, rd(g, QUEUE_RESET));
	round_trip(_metadata, self, 0);
	round_trip(_metadata, self, 1);
}

/* Without the feature the register does nothing; QueueReady does what it always did. */
TEST_F(mmio, queue_reset_not_negotiated)
{
	struct guest *g = self->g;

	up(_metadata, self);
	drive(_metadata, self, F_VERSION_1);
	wr(g, QUEUE_SEL, 0);
	wr(g, QUEUE_RESET, 1);
	EXPECT_EQ(0, rd(g, QUEUE_RESET));
	EXPECT_EQ(1, rd(g, QUEUE_READY));
	EXPECT_EQ(0, self->be->events[VBE_EVENT_QUEUE_STOP]);
	round_trip(_metadata, self, 0);
	wr(g, QUEUE_SEL, 0);
	wr(g, QUEUE_READY, 0);
	EXPECT_EQ(0, rd(g, QUEUE_READY));
	EXPECT_TRUE(be_wait_event(self->be, VBE_EVENT_QUEUE_STOP, 1, LIMIT));
	EXPECT_EQ(1, ready(g, 1));
}

/* What cannot be stopped does not claim to be. */
TEST_F(mmio, queue_that_cannot_stop)
{
	struct guest *g = self->g;

	self->be->setup_flags = 0;
	up(_metadata, self);
	EXPECT_EQ(F_VERSION_1 | F_SOME, offered(g));
	EXPECT_EQ(S_DRIVER, negotiate(g, F_VERSION_1 | F_RING_RESET));
	drive(_metadata, self, F_VERSION_1);
	wr(g, QUEUE_SEL, 0);
	wr(g, QUEUE_RESET, 1);
	wr(g, QUEUE_READY, 0);
	EXPECT_EQ(0, rd(g, QUEUE_RESET));
	EXPECT_EQ(1, rd(g, QUEUE_READY));
	round_trip(_metadata, self, 0);
	wr(g, STATUS, 0);
	EXPECT_EQ(0, ready(g, 0));
}

static void *reset_queue_0(void *arg)
{
	wr(arg, QUEUE_RESET, 1);
	return NULL;
}

static bool under_way(void *arg)
{
	return rd(arg, QUEUE_RESET);
}

/* Other vCPUs see that it is under way, and need not wait for it. */
TEST_F(mmio, queue_reset_under_way)
{
	struct guest *g = self->g;
	pthread_t thread;

	up_and_drive(_metadata, self);
	self->be->mute_stop = true;
	wr(g, QUEUE_SEL, 0);
	ASSERT_EQ(0, pthread_create(&thread, NULL, reset_queue_0, g));
	EXPECT_TRUE(wait_until(under_way, g, LIMIT));
	EXPECT_EQ(1, rd(g, QUEUE_READY));
	wr(g, QUEUE_RESET, 1);
	wr(g, QUEUE_SEL, 1);
	EXPECT_EQ(0, rd(g, QUEUE_RESET));
	EXPECT_EQ(1, rd(g, QUEUE_READY));
	wr(g, QUEUE_SEL, 0);
	/* It ends with who does not answer: vbe_guest_io has the time-out. */
	be_drop(self->be);
	pthread_join(thread, NULL);
	EXPECT_EQ(0, rd(g, QUEUE_RESET));
	EXPECT_EQ(0, rd(g, QUEUE_READY));
	EXPECT_EQ(1, ready(g, 1));
}

/* ---- loss ------------------------------------------------------------------------------- */

TEST_F(mmio, backend_lost)
{
	uint32_t before[ALL], after[ALL];
	struct guest *g = self->g;

	up_and_drive(_metadata, self);
	round_trip(_metadata, self, 0);
	read_all(g, before);
	be_drop(self->be);
	ASSERT_TRUE(guest_wait_state(g, self->dev, VBE_DEV_LOST, LIMIT));
	/* The driver sees no difference; its kick is kept. */
	read_all(g, after);
	EXPECT_EQ(0, memcmp(before, after, sizeof(before)));
	add_buffer(self, 0);
	wr(g, QUEUE_NOTIFY, 0);
	EXPECT_EQ(0, guest_eventfd_wait(self->line, QUIET));
	self->next = new_backend();
	ASSERT_DONE(be_up(self->next, NAME));
	EXPECT_LE(1, guest_eventfd_wait(self->line, LIMIT));
	EXPECT_TRUE(served(self, 0));
	wr(g, INT_ACK, INT_USED);
	round_trip(_metadata, self, 1);
}

/* Policy "reset": the driver is told, and gets out of it by a reset. */
TEST_F(mmio, needs_reset)
{
	struct guest *g = self->g;

	self->be->loss = VBE_LOSS_RESET;
	up_and_drive(_metadata, self);
	be_drop(self->be);
	EXPECT_LE(1, guest_eventfd_wait(self->line, LIMIT));
	EXPECT_EQ(INT_CONFIG, rd(g, INT_STATUS));
	EXPECT_EQ(S_OK | 0x40, rd(g, STATUS));
	wr(g, INT_ACK, INT_CONFIG);
	EXPECT_FALSE(line_is_high(self));
	wr(g, STATUS, 0);
	check_fresh(_metadata, self);
	self->next = new_backend();
	ASSERT_DONE(be_up(self->next, NAME));
	drive(_metadata, self, F_VERSION_1);
	round_trip(_metadata, self, 0);
}

TEST_F(mmio, reset_while_lost)
{
	struct guest *g = self->g;
	int64_t start;

	up_and_drive(_metadata, self);
	be_drop(self->be);
	ASSERT_TRUE(guest_wait_state(g, self->dev, VBE_DEV_LOST, LIMIT));
	/* Nobody is there to wait for. */
	start = now_ms();
	wr(g, QUEUE_SEL, 0);
	wr(g, QUEUE_RESET, 1);
	EXPECT_EQ(0, rd(g, QUEUE_RESET));
	EXPECT_EQ(0, rd(g, QUEUE_READY));
	EXPECT_EQ(1, ready(g, 1));
	wr(g, STATUS, 0);
	EXPECT_GT(LIMIT, now_ms() - start);
	check_fresh(_metadata, self);
	EXPECT_EQ(BE_RNG, rd(g, DEVICE_ID));
	drive(_metadata, self, F_VERSION_1);
	add_buffer(self, 1);
	wr(g, QUEUE_NOTIFY, 1);
	self->next = new_backend();
	ASSERT_DONE(be_up(self->next, NAME));
	EXPECT_LE(1, guest_eventfd_wait(self->line, LIMIT));
	EXPECT_TRUE(served(self, 1));
}

/* ---- where it is --------------------------------------------------------------------- */

TEST_F(mmio, bad_base)
{
	static const uint64_t bad[] = { 0, 1, 0x800, 0x20000004, ~0ULL, ~0xfffULL };
	struct vbe_guest_dev_add a;
	struct guest *g = self->g;
	uint32_t i;

	for (i = 0; i < ARRAY_LEN(bad); i++) {
		a = guest_dev_params(NAME "-b", "mmio", bad[i]);
		EXPECT_WHY(g->fd, EINVAL, guest_dev_add_params(g, &a));
	}
	a = guest_dev_params(NAME "-b", "mmio", BASE);
	EXPECT_WHY(g->fd, EEXIST, guest_dev_add_params(g, &a));
	/* Neighbours, and the last page that there is a byte behind of. */
	EXPECT_DONE(guest_dev_add(g, NAME "-b", "mmio", BASE + 0x1000));
	EXPECT_DONE(guest_dev_add(g, NAME "-c", "mmio", BASE - 0x1000));
	EXPECT_DONE(guest_dev_add(g, NAME "-d", "mmio", ~0xfffULL - 0x1000));
	EXPECT_EQ(0x74726976, guest_read(g, VBE_SPACE_MMIO, ~0xfffULL - 0x1000, 4));
}

TEST_F(mmio, deleted)
{
	struct guest *g = self->g;

	up_and_drive(_metadata, self);
	ASSERT_DONE(call_queue(self->be, 0));
	ASSERT_DONE(guest_dev_del(g, self->dev));
	EXPECT_EQ(0xffffffff, rd(g, MAGIC));
	EXPECT_EQ(-ENOENT, g->last);
	EXPECT_TRUE(be_wait_event(self->be, VBE_EVENT_GONE, 1, LIMIT));
	be_drop(self->be);
	self->dev = guest_dev_add(g, NAME, "mmio", BASE);
	ASSERT_DONE(self->dev);
	EXPECT_EQ(0, rd(g, DEVICE_ID));
	EXPECT_EQ(0, rd(g, INT_STATUS));
}

struct poker {
	struct guest *g;
	int line;
	volatile bool stop;
};

/* Whatever a VMM may ask of a device by number, whether that is there or not. */
static void *poke_devices(void *arg)
{
	struct vbe_guest_queue_info queue;
	struct vbe_guest_dev_info info;
	struct vbe_guest_event ev;
	struct poker *p = arg;
	uint32_t i;

	while (!p->stop) {
		for (i = 0; i < 4; i++) {
			guest_dev_info(p->g, i, &info);
			guest_queue_info(p->g, i, 0, &queue);
			guest_set_fd(p->g, i, VBE_GUEST_FD_LINE, 0, i % 2 ? p->line : -1);
			guest_eoi(p->g, i);
			guest_next_event(p->g, &ev, 0);
			guest_read(p->g, VBE_SPACE_MMIO, BASE + 0x1000 + INT_STATUS, 4);
		}
	}
	return NULL;
}

/* A device is asked about all the time, while it is made, raises its line, and is deleted. */
TEST_F(mmio, comes_and_goes)
{
	struct poker poker = { .g = self->g, .line = guest_eventfd() };
	pthread_t threads[2];
	uint32_t i, high = 0;

	for (i = 0; i < ARRAY_LEN(threads); i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, poke_devices, &poker));
	for (i = 0; i < 50; i++) {
		int dev = guest_dev_add(self->g, NAME "-x", "mmio", BASE + 0x1000);
		struct be *be = new_backend();

		ASSERT_DONE(dev);
		ASSERT_DONE(be_up(be, NAME "-x"));
		guest_write(self->g, VBE_SPACE_MMIO, BASE + 0x1000 + STATUS, 4, S_DRIVER);
		change_config(be, 0, i);
		high += guest_read(self->g, VBE_SPACE_MMIO, BASE + 0x1000 + INT_STATUS, 4);
		ASSERT_DONE(guest_dev_del(self->g, dev));
		be_free(be);
	}
	EXPECT_EQ(50 * INT_CONFIG, high);
	poker.stop = true;
	for (i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	close(poker.line);
}

/* ---- many vCPUs at once ------------------------------------------------------------------ */

struct vcpu {
	struct guest *g;
	pthread_t thread;
	unsigned int seed;
	volatile bool *stop;
	uint32_t failed;
};

static void *hostile_vcpu(void *arg)
{
	static const uint32_t values[] = { 0, 1, 2, 3, 7, 11, 15, 64, 0x1000, 0x80000000,
					   0x80001000, 0xffffffff };
	struct vcpu *v = arg;
	uint64_t data;

	while (!*v->stop) {
		uint32_t offset = rand_r(&v->seed) % (CONFIG / 4 + 4) * 4;
		bool write = rand_r(&v->seed) % 4;

		data = values[rand_r(&v->seed) % ARRAY_LEN(values)];
		/* Resets all the time would let nothing else happen. */
		if (offset == STATUS && !data && rand_r(&v->seed) % 8)
			continue;
		if (guest_access(v->g, VBE_SPACE_MMIO, BASE + offset, 4, write, &data) < 0)
			v->failed++;
	}
	return NULL;
}

TEST_F(mmio, many_vcpus)
{
	struct vcpu vcpus[4];
	volatile bool stop = false;
	int64_t end = now_ms() + 2000;
	uint32_t i;

	up(_metadata, self);
	for (i = 0; i < ARRAY_LEN(vcpus); i++) {
		vcpus[i] = (struct vcpu){ .g = self->g, .seed = 1 + i, .stop = &stop };
		ASSERT_EQ(0, pthread_create(&vcpus[i].thread, NULL, hostile_vcpu, &vcpus[i]));
	}
	for (i = 0; now_ms() < end; i++) {
		call_queue(self->be, i % QUEUES);
		change_config(self->be, i % CONFIG_LEN, i);
		if (i % 16 == 0)
			sleep_ms(1);
	}
	stop = true;
	for (i = 0; i < ARRAY_LEN(vcpus); i++) {
		pthread_join(vcpus[i].thread, NULL);
		EXPECT_EQ(0, vcpus[i].failed);
	}
	/* All of it is forgotten. */
	wr(self->g, STATUS, 0);
	guest_eventfd_wait(self->line, QUIET);
	check_fresh(_metadata, self);
	drive(_metadata, self, F_VERSION_1);
	round_trip(_metadata, self, 0);
	round_trip(_metadata, self, 1);
}

TEST_HARNESS_MAIN
