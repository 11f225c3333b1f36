// SPDX-License-Identifier: GPL-2.0
/*
 * The same virtqueue scenarios over each transport that a guest may have, with split and
 * packed rings: the test is hypervisor and driver, the backend is a disk in memory.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>

#include "kselftest_harness.h"

#include "be.h"
#include "check.h"
#include "dev.h"
#include "driver.h"

#define NAME	"kst-gio"
#define RAM	0x100000000ULL		/* above 4 GiB: addresses have two halves */
#define RAM_LEN	(8ULL << 20)
#define LOW	0x40000000ULL
#define PAGE	4096ULL
#define DISK	(1U << 20)
#define NUM	64
#define DEPTH	16
#define LONG	COMES_MS
#define SHORT_MS 500	/* the reset time-out where nobody answers */
#define RING_RESET (1ULL << VIRTIO_F_RING_RESET)

FIXTURE(io)
{
	struct guest *g;
	struct be *be;
	struct drv d;
	struct drv_blk_req r[DEPTH];
	int dev;
	pid_t pid;
};

FIXTURE_VARIANT(io)
{
	const char *transport;
	uint64_t base;
	uint32_t flags;
};

#define VARIANT(name, how, where, what)						\
FIXTURE_VARIANT_ADD(io, name)							\
{										\
	.transport = how, .base = where, .flags = what,				\
}

#define IDX (DRV_F_EVENT_IDX | DRV_F_INDIRECT | DRV_F_KICK_FD)

VARIANT(direct_split, "direct", 0, 0);
VARIANT(direct_packed, "direct", 0, DRV_F_PACKED);
VARIANT(direct_split_idx, "direct", 0, IDX);
VARIANT(direct_packed_idx, "direct", 0, IDX | DRV_F_PACKED);
VARIANT(direct_events, "direct", 0, DRV_F_EVENTS);
VARIANT(mmio_split, "mmio", 0x10000000, 0);
VARIANT(mmio_packed, "mmio", 0x10000000, DRV_F_PACKED);
VARIANT(mmio_packed_idx, "mmio", 0x10000000, IDX | DRV_F_PACKED);
VARIANT(mmio_events, "mmio", 0x10000000, DRV_F_EVENTS);
VARIANT(pci_split, "pci", 0x08, 0);
VARIANT(pci_packed, "pci", 0x08, DRV_F_PACKED);
VARIANT(pci_split_idx, "pci", 0x08, IDX);
VARIANT(pci_intx_split, "pci", 0x08, DRV_F_INTX);
VARIANT(pci_intx_packed_idx, "pci", 0x08, DRV_F_INTX | IDX | DRV_F_PACKED);
VARIANT(pci_events, "pci", 0x08, DRV_F_EVENTS | DRV_F_PACKED);
VARIANT(pci_intx_events, "pci", 0x08, DRV_F_EVENTS | DRV_F_INTX);

FIXTURE_SETUP(io)
{
	struct vbe_guest_dev_add a = guest_dev_params(NAME, variant->transport, variant->base);
	uint32_t i;

	memset(&self->d, 0, sizeof(self->d));
	self->pid = 0;
	self->g = guest_new(NAME);
	ASSERT_NE(NULL, self->g)
		TH_LOG("GUEST_NEW: %s", strerror(errno));
	ASSERT_DONE(guest_mem_add(self->g, RAM, RAM_LEN, 0));
	ASSERT_DONE(guest_mem_add(self->g, LOW, RAM_LEN, 0));
	a.reset_timeout_ms = LONG;
	self->dev = guest_dev_add_params(self->g, &a);
	ASSERT_LE(0, self->dev);
	self->be = be_new(BE_BLK);
	be_make_disk(self->be, DISK);
	for (i = 0; i < DISK; i += 4)
		*(uint32_t *)(self->be->disk + i) = i * 2654435761U;
	self->be->n_queues = 2;
	self->be->queue_size = 128;
	self->be->strict = true;
	self->be->setup_flags = VBE_SETUP_F_QUEUE_STOP;
	self->be->features |= 1ULL << VIRTIO_F_RING_PACKED | 1ULL << VIRTIO_RING_F_EVENT_IDX |
			      1ULL << VIRTIO_RING_F_INDIRECT_DESC;
	self->be->adopt_kick = variant->flags & DRV_F_INDIRECT;
	drv_init(&self->d, self->g, self->dev, variant->transport, variant->base,
		 variant->flags);
	drv_arena(&self->d, RAM, RAM_LEN);
	for (i = 0; i < DEPTH; i++)
		ASSERT_EQ(0, drv_blk_req(&self->d, &self->r[i], 8 * 512));
}

FIXTURE_TEARDOWN(io)
{
	EXPECT_EQ(NULL, self->be->broken)
		TH_LOG("backend: %s", self->be->broken);
	if (self->pid > 0) {
		kill(self->pid, SIGKILL);
		wait_child(self->pid, LONG);
	}
	drv_exit(&self->d);
	be_free(self->be);
	guest_free(self->g);
}

static void *data(struct _test_data_io *self, uint32_t i)
{
	return drv_ptr(&self->d, self->r[i].data, self->r[i].len);
}

static uint64_t sector_of(uint32_t i)
{
	return 16 + 8 * i;
}

static const uint8_t *disk_at(struct _test_data_io *self, uint32_t i)
{
	return self->be->disk + 512 * sector_of(i);
}

/* Adds all requests to queue @q, and kicks once. */
static void submit_all(struct __test_metadata *_metadata, struct _test_data_io *self, uint32_t q,
		       uint32_t type)
{
	uint32_t i;

	for (i = 0; i < DEPTH; i++)
		ASSERT_EQ(0, drv_blk_add(&self->d, q, &self->r[i], type, sector_of(i)));
	ASSERT_LE(0, drv_kick(&self->d, q));
}

/* Each comes back once, and well. */
static void collect_all(struct __test_metadata *_metadata, struct _test_data_io *self, uint32_t q,
			uint32_t type)
{
	uint32_t seen = 0, i, len, at;
	uint64_t token;

	for (i = 0; i < DEPTH; i++) {
		ASSERT_EQ(1, drv_wait(&self->d, q, &token, &len, LONG))
			TH_LOG("only %u of %u came back; served %u", i, DEPTH, self->be->served);
		at = (struct drv_blk_req *)(uintptr_t)token - self->r;
		ASSERT_GT(DEPTH, at);
		EXPECT_EQ(0, seen & 1U << at);
		seen |= 1U << at;
		EXPECT_EQ(VIRTIO_BLK_S_OK, drv_blk_status(&self->d, &self->r[at]));
		EXPECT_EQ(type == VIRTIO_BLK_T_IN ? self->r[at].len + 1 : 1, len);
		EXPECT_EQ(0, memcmp(data(self, at), disk_at(self, at), self->r[at].len))
			TH_LOG("request %u has the wrong data", at);
	}
	EXPECT_EQ(0, self->d.queues[q].in_flight);
}

static void io_once(struct __test_metadata *_metadata, struct _test_data_io *self, uint32_t q,
		    uint8_t byte)
{
	uint32_t i;

	for (i = 0; i < DEPTH; i++)
		memset(data(self, i), byte + i, self->r[i].len);
	submit_all(_metadata, self, q, VIRTIO_BLK_T_OUT);
	collect_all(_metadata, self, q, VIRTIO_BLK_T_OUT);
	for (i = 0; i < DEPTH; i++)
		memset(data(self, i), 0, self->r[i].len);
	submit_all(_metadata, self, q, VIRTIO_BLK_T_IN);
	collect_all(_metadata, self, q, VIRTIO_BLK_T_IN);
	EXPECT_EQ(byte, *disk_at(self, 0));
	EXPECT_EQ((uint8_t)(byte + DEPTH - 1), *disk_at(self, DEPTH - 1));
}

/* ---- I/O ------------------------------------------------------------------------- */

TEST_F(io, read_write)
{
	int i;

	ASSERT_EQ(0, be_up(self->be, NAME));
	ASSERT_EQ(0, drv_up(&self->d, 0, 2, NUM));
	/*
	 * The interrupt itself, before a look at the ring: the backend may be so quick that
	 * this finds all done, and never waits.
	 */
	submit_all(_metadata, self, 0, VIRTIO_BLK_T_IN);
	EXPECT_EQ(1, drv_irq(&self->d, 0, LONG));
	collect_all(_metadata, self, 0, VIRTIO_BLK_T_IN);
	/* More than once around each ring. */
	for (i = 0; i < 8; i++)
		io_once(_metadata, self, i & 1, 0x10 * i);
}

TEST_F(io, small_rings)
{
	uint32_t num = variant->flags & DRV_F_PACKED ? 5 : 4, i;

	ASSERT_EQ(0, be_up(self->be, NAME));
	ASSERT_EQ(0, drv_up(&self->d, 0, 1, num));
	for (i = 0; i < 4 * num; i++) {
		memset(data(self, 0), 0x20 + i, self->r[0].len);
		ASSERT_EQ(VIRTIO_BLK_S_OK, drv_blk(&self->d, 0, &self->r[0], VIRTIO_BLK_T_OUT,
						   sector_of(i), LONG));
		EXPECT_EQ((uint8_t)(0x20 + i), disk_at(self, i)[4095]);
	}
}

/* What is kicked before DRIVER_OK is served after it. */
TEST_F(io, kick_before_driver_ok)
{
	ASSERT_EQ(0, be_up(self->be, NAME));
	ASSERT_EQ(0, drv_negotiate(&self->d, 0));
	ASSERT_EQ(0, drv_queue_up(&self->d, 0, NUM));
	submit_all(_metadata, self, 0, VIRTIO_BLK_T_IN);
	sleep_ms(50);
	EXPECT_EQ(0, self->be->served);
	ASSERT_EQ(0, drv_ok(&self->d));
	collect_all(_metadata, self, 0, VIRTIO_BLK_T_IN);
}

/* ---- reset ----------------------------------------------------------------------- */

/* Nothing is written to the old buffers once a reset has returned. */
static void check_untouched(struct __test_metadata *_metadata, struct _test_data_io *self)
{
	uint32_t i;

	for (i = 0; i < DEPTH; i++)
		memset(data(self, i), 0xdb, self->r[i].len);
	self->be->stall = false;
	sleep_ms(100);
	for (i = 0; i < DEPTH; i++)
		EXPECT_EQ(0xdb, *(uint8_t *)data(self, i));
}

TEST_F(io, reset_in_flight)
{
	int round;

	ASSERT_EQ(0, be_up(self->be, NAME));
	for (round = 0; round < 3; round++) {
		ASSERT_EQ(0, drv_up(&self->d, 0, 2, NUM));
		io_once(_metadata, self, 0, 0x30);
		self->be->stall = true;
		submit_all(_metadata, self, 0, VIRTIO_BLK_T_IN);
		submit_all(_metadata, self, 1, VIRTIO_BLK_T_IN);
		ASSERT_EQ(0, drv_reset(&self->d));
		check_untouched(_metadata, self);
	}
	EXPECT_LE(3, self->be->events[VBE_EVENT_RESET]);
	ASSERT_EQ(0, drv_up(&self->d, 0, 2, NUM));
	io_once(_metadata, self, 1, 0x40);
}

TEST_F(io, reset_unanswered)
{
	ASSERT_EQ(0, be_up(self->be, NAME));
	ASSERT_EQ(0, drv_up(&self->d, 0, 1, NUM));
	ASSERT_EQ(0, dev_set_reset_ms(NAME, SHORT_MS));
	ASSERT_TRUE(be_stall(self->be));
	self->be->mute_reset = true;
	submit_all(_metadata, self, 0, VIRTIO_BLK_T_IN);
	ASSERT_EQ(0, drv_reset(&self->d));
	check_untouched(_metadata, self);
	EXPECT_EQ(0, self->be->served);
	EXPECT_TRUE(be_wait_event(self->be, VBE_EVENT_REVOKED, 1, LONG));
	be_drop(self->be);
	self->be->mute_reset = false;
	ASSERT_EQ(0, dev_set_reset_ms(NAME, LONG));
	ASSERT_EQ(0, be_up(self->be, NAME));
	ASSERT_EQ(0, drv_up(&self->d, 0, 2, NUM));
	io_once(_metadata, self, 1, 0x41);
}

/* Reset in every state on the way up. */
TEST_F(io, reset_each_state)
{
	ASSERT_EQ(0, be_up(self->be, NAME));
	ASSERT_EQ(0, drv_negotiate(&self->d, 0));
	ASSERT_EQ(0, drv_reset(&self->d));
	EXPECT_EQ(0, self->d.bus->get_status(&self->d));
	ASSERT_EQ(0, drv_negotiate(&self->d, 0));
	ASSERT_EQ(0, drv_queue_up(&self->d, 0, NUM));
	ASSERT_EQ(0, drv_reset(&self->d));
	ASSERT_EQ(0, drv_negotiate(&self->d, 0));
	/* The queue is not enabled any more, or this would be EBUSY. */
	ASSERT_EQ(0, drv_queue_up(&self->d, 0, NUM));
	ASSERT_EQ(0, drv_ok(&self->d));
	ASSERT_EQ(0, drv_reset(&self->d));
	ASSERT_EQ(0, drv_reset(&self->d));
	ASSERT_EQ(0, drv_up(&self->d, 0, 2, NUM));
	io_once(_metadata, self, 1, 0x42);
}

/* ---- the backend is killed ------------------------------------------------------- */

TEST_F(io, killed_in_flight)
{
	int round;

	self->pid = be_fork(self->be, NAME);
	ASSERT_LT(0, self->pid);
	ASSERT_EQ(0, drv_up(&self->d, 0, 2, NUM));
	for (round = 0; round < 3; round++) {
		io_once(_metadata, self, 0, 0x50 + round);
		ASSERT_TRUE(be_stall(self->be));
		submit_all(_metadata, self, 0, VIRTIO_BLK_T_IN);
		submit_all(_metadata, self, 1, VIRTIO_BLK_T_IN);
		sleep_ms(30);
		kill(self->pid, SIGKILL);
		ASSERT_EQ(SIGKILL, wait_child(self->pid, LONG));
		self->pid = 0;
		EXPECT_TRUE(guest_wait_state(self->g, self->dev, VBE_DEV_LOST, LONG));
		self->be->stall = false;
		self->pid = be_fork(self->be, NAME);
		ASSERT_LT(0, self->pid);
		collect_all(_metadata, self, 0, VIRTIO_BLK_T_IN);
		collect_all(_metadata, self, 1, VIRTIO_BLK_T_IN);
	}
}

/* Killed wherever it happens to be. */
TEST_F(io, killed_at_random)
{
	int round, i;

	self->pid = be_fork(self->be, NAME);
	ASSERT_LT(0, self->pid);
	ASSERT_EQ(0, drv_up(&self->d, 0, 2, NUM));
	for (round = 0; round < 6; round++) {
		for (i = 0; i < round; i++)
			io_once(_metadata, self, 0, 0x60 + i);
		submit_all(_metadata, self, 0, VIRTIO_BLK_T_IN);
		submit_all(_metadata, self, 1, VIRTIO_BLK_T_IN);
		kill(self->pid, SIGKILL);
		ASSERT_EQ(SIGKILL, wait_child(self->pid, LONG));
		self->pid = be_fork(self->be, NAME);
		ASSERT_LT(0, self->pid);
		/*
		 * A used entry whose interrupt the dead one did not get to raise is seen
		 * when the next one raises its own: that is why it looks at the ring.
		 */
		ASSERT_EQ(0, drv_kick_now(&self->d, 0));
		for (i = 0; i < LONG / 10 && self->d.queues[0].in_flight; i++)
			if (drv_get(&self->d, 0, NULL, NULL) == 0)
				sleep_ms(10);
		for (i = 0; i < LONG / 10 && self->d.queues[1].in_flight; i++)
			if (drv_get(&self->d, 1, NULL, NULL) == 0)
				sleep_ms(10);
		EXPECT_EQ(0, self->d.queues[0].in_flight);
		EXPECT_EQ(0, self->d.queues[1].in_flight);
	}
	io_once(_metadata, self, 1, 0x6f);
}

TEST_F(io, lost_by_reset)
{
	int status;

	self->be->loss = VBE_LOSS_RESET;
	ASSERT_EQ(0, be_up(self->be, NAME));
	ASSERT_EQ(0, drv_up(&self->d, 0, 1, NUM));
	io_once(_metadata, self, 0, 0x43);
	self->be->stall = true;
	submit_all(_metadata, self, 0, VIRTIO_BLK_T_IN);
	be_drop(self->be);
	EXPECT_EQ(1, drv_irq(&self->d, DRV_CONFIG, LONG));
	status = self->d.bus->get_status(&self->d);
	EXPECT_EQ(15 | VIRTIO_CONFIG_S_NEEDS_RESET, status);
	ASSERT_EQ(0, drv_reset(&self->d));
	self->be->stall = false;
	ASSERT_EQ(0, be_up(self->be, NAME));
	ASSERT_EQ(0, drv_up(&self->d, 0, 1, NUM));
	io_once(_metadata, self, 0, 0x44);
}

TEST_F(io, lost_by_fail)
{
	self->be->loss = VBE_LOSS_FAIL;
	ASSERT_EQ(0, be_up(self->be, NAME));
	ASSERT_EQ(0, drv_up(&self->d, 0, 1, NUM));
	self->be->stall = true;
	submit_all(_metadata, self, 0, VIRTIO_BLK_T_IN);
	be_drop(self->be);
	EXPECT_TRUE(guest_wait_state(self->g, self->dev, VBE_DEV_EMPTY, LONG));
	/* To the driver it is as if the device had been pulled. */
	EXPECT_NE(0, self->d.bus->find(&self->d));
	self->be->stall = false;
	ASSERT_EQ(0, be_up(self->be, NAME));
	drv_exit(&self->d);
	drv_init(&self->d, self->g, self->dev, variant->transport, variant->base,
		 variant->flags);
	drv_arena(&self->d, LOW, RAM_LEN);
	ASSERT_EQ(0, drv_up(&self->d, 0, 1, NUM));
	ASSERT_EQ(0, drv_blk_req(&self->d, &self->r[0], 4096));
	EXPECT_EQ(VIRTIO_BLK_S_OK,
		  drv_blk(&self->d, 0, &self->r[0], VIRTIO_BLK_T_IN, 0, LONG));
}

/* ---- single queues --------------------------------------------------------------- */

TEST_F(io, queue_stop)
{
	uint64_t want = RING_RESET;
	int round;

	ASSERT_EQ(0, be_up(self->be, NAME));
	ASSERT_EQ(0, drv_up(&self->d, want, 2, NUM));
	if (strcmp(variant->transport, "direct"))
		ASSERT_NE(0, self->d.features & RING_RESET);
	for (round = 0; round < 3; round++) {
		io_once(_metadata, self, 0, 0x70 + round);
		io_once(_metadata, self, 1, 0x80 + round);
		self->be->stall = true;
		submit_all(_metadata, self, 0, VIRTIO_BLK_T_IN);
		ASSERT_EQ(0, drv_queue_down(&self->d, 0));
		check_untouched(_metadata, self);
		/* The other one goes on. */
		io_once(_metadata, self, 1, 0x90 + round);
		ASSERT_EQ(0, drv_queue_up(&self->d, 0, round ? NUM : 2 * NUM));
	}
	io_once(_metadata, self, 0, 0xa0);
	EXPECT_EQ(3, self->be->events[VBE_EVENT_QUEUE_STOP]);
	EXPECT_EQ(0, self->be->events[VBE_EVENT_RESET]);
}

TEST_F(io, queue_stop_unanswered)
{
	/* Who asks where it ended is told that nobody knows. */
	int want = strcmp(variant->transport, "direct") ? 0 : -ENOTCONN;
	int64_t begin;

	ASSERT_EQ(0, be_up(self->be, NAME));
	ASSERT_EQ(0, drv_up(&self->d, RING_RESET, 2, NUM));
	ASSERT_EQ(0, dev_set_reset_ms(NAME, SHORT_MS));
	self->be->mute_stop = true;
	ASSERT_TRUE(be_stall(self->be));
	submit_all(_metadata, self, 0, VIRTIO_BLK_T_IN);
	begin = now_ms();
	EXPECT_EQ(want, drv_queue_down(&self->d, 0));
	EXPECT_LE(SHORT_MS - 50, now_ms() - begin);
	check_untouched(_metadata, self);
	EXPECT_EQ(0, self->be->served);
	EXPECT_TRUE(be_wait_event(self->be, VBE_EVENT_REVOKED, 1, LONG));
}

/* ---- config space ---------------------------------------------------------------- */

TEST_F(io, config_change)
{
	struct vbe_config_rw w = { .size = sizeof(w), .offset = 0, .len = 8 };
	uint64_t sectors, seen = 0;
	uint32_t before;
	int i;

	ASSERT_EQ(0, be_up(self->be, NAME));
	ASSERT_EQ(0, drv_up(&self->d, 0, 1, NUM));
	for (i = 1; i < 4; i++) {
		before = self->d.bus->generation(&self->d);
		sectors = DISK / 512 / (1 << i);
		w.buf = (uintptr_t)&sectors;
		ASSERT_DONE(xioctl(self->be->fd, VBE_IOC_CONFIG_WRITE, &w));
		EXPECT_EQ(1, drv_irq(&self->d, DRV_CONFIG, LONG));
		EXPECT_NE(before, self->d.bus->generation(&self->d));
		ASSERT_EQ(0, self->d.bus->config(&self->d, 0, &seen, 8, false));
		EXPECT_EQ(sectors, seen);
	}
	io_once(_metadata, self, 0, 0x45);
}

TEST_F(io, config_write)
{
	struct vbe_config_rw r = { .size = sizeof(r), .offset = 8, .len = 4 };
	uint32_t value = 0x12345678, seen = 0;

	ASSERT_EQ(0, be_up(self->be, NAME));
	ASSERT_EQ(0, drv_up(&self->d, 0, 1, NUM));
	ASSERT_EQ(0, self->d.bus->config(&self->d, 8, &value, 4, true));
	EXPECT_TRUE(be_wait_event(self->be, VBE_EVENT_CONFIG, 1, LONG));
	r.buf = (uintptr_t)&seen;
	ASSERT_DONE(xioctl(self->be->fd, VBE_IOC_CONFIG_READ, &r));
	EXPECT_EQ(value, seen);
}

/* ---- a driver that lies ---------------------------------------------------------- */

static const struct {
	uint64_t desc;
	uint64_t driver;
	uint64_t device;
} lies[] = {
	{ 0, 0, 0 },
	{ RAM - PAGE, RAM, RAM },
	{ RAM, RAM + RAM_LEN, RAM },
	{ RAM, RAM, RAM + RAM_LEN - 3 },
	{ RAM + 8, RAM, RAM },
	{ RAM, RAM + 1, RAM },
	{ RAM, RAM, RAM + 2 },
	{ ~0ULL, ~0ULL, ~0ULL },
	{ -16ULL, RAM, RAM },
	{ 1ULL << 62, RAM, RAM },
	/* From the end of one region into nothing. */
	{ LOW + RAM_LEN - 16, RAM, RAM },
};

TEST_F(io, wrong_rings)
{
	struct drv_queue *q = &self->d.queues[0], good;
	uint32_t i;

	ASSERT_EQ(0, be_up(self->be, NAME));
	ASSERT_EQ(0, drv_up(&self->d, RING_RESET, 2, NUM));
	good = *q;
	for (i = 0; i < ARRAY_LEN(lies); i++) {
		ASSERT_EQ(0, drv_queue_down(&self->d, 0));
		q->desc = lies[i].desc;
		q->driver = lies[i].driver;
		q->device = lies[i].device;
		EXPECT_GT(0, self->d.bus->queue_enable(&self->d, 0))
			TH_LOG("rings at %#llx %#llx %#llx", (unsigned long long)q->desc,
			       (unsigned long long)q->driver, (unsigned long long)q->device);
		/* A kick of a queue that is not there harms nobody. */
		drv_kick_now(&self->d, 0);
	}
	*q = good;
	EXPECT_EQ(15, self->d.bus->get_status(&self->d));
	ASSERT_EQ(0, drv_queue_up(&self->d, 0, NUM));
	io_once(_metadata, self, 0, 0x46);
}

TEST_F(io, wrong_numbers)
{
	struct drv_queue *q = &self->d.queues[0];
	static const uint32_t nums[] = { 0, 129, 256, 0x8000, 0xffff };
	uint32_t i;

	ASSERT_EQ(0, be_up(self->be, NAME));
	ASSERT_EQ(0, drv_negotiate(&self->d, 0));
	EXPECT_EQ(128, self->d.bus->queue_max(&self->d, 0));
	EXPECT_EQ(128, self->d.bus->queue_max(&self->d, 1));
	EXPECT_EQ(0, self->d.bus->queue_max(&self->d, 2));
	EXPECT_EQ(0, self->d.bus->queue_max(&self->d, 255));
	EXPECT_EQ(0, self->d.bus->queue_max(&self->d, 0xffff));
	ASSERT_EQ(0, drv_queue_up(&self->d, 0, NUM));
	ASSERT_EQ(0, drv_queue_up(&self->d, 1, NUM));
	ASSERT_EQ(0, drv_negotiate(&self->d, 0));
	for (i = 0; i < ARRAY_LEN(nums); i++) {
		q->num = nums[i];
		self->d.bus->queue_max(&self->d, 0);
		/* pci: a bad size is no size; what it was before is kept. */
		if (self->d.bus->queue_enable(&self->d, 0) >= 0)
			EXPECT_EQ(0, strcmp(variant->transport, "pci"));
		ASSERT_EQ(0, drv_negotiate(&self->d, 0));
	}
	q->num = 0;
	ASSERT_EQ(0, drv_up(&self->d, 0, 2, NUM));
	io_once(_metadata, self, 0, 0x47);
}

TEST_HARNESS_MAIN
