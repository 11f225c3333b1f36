// SPDX-License-Identifier: GPL-2.0
/*
 * Transport "pci", with the test as VMM and as driver: configuration space, the BAR, the
 * common configuration in and out of order, at wrong sizes, with lies; reset, queue reset,
 * loss. Interrupts are in vbe_pci_irq.c. What is expected is in
 * Documentation/registers.md.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>

#include "kselftest_harness.h"

#include "check.h"
#include "dev.h"
#include "driver.h"
#include "pcifn.h"

#define NAME		"kst-pci"
#define MMIO_BASE	0x3f0000000ULL
#define MMIO_LOW	(MMIO_BASE & 0xffffffff)
#define MMIO_MAGIC	0x74726976
#define ALL_ONES	0xffffffffU
#define DECODE		(PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER)

FIXTURE(pci)
{
	struct fn fn;
	struct be *next;
	struct drv drv;
};

FIXTURE_SETUP(pci)
{
	ASSERT_DONE(fn_new(&self->fn, NAME));
}

FIXTURE_TEARDOWN(pci)
{
	EXPECT_EQ(NULL, self->fn.be->broken)
		TH_LOG("backend: %s", self->fn.be->broken);
	drv_exit(&self->drv);
	fn_free(&self->fn);
	be_free(self->next);
}

/* A backend that serves, and the BAR in its place. */
static void up(struct __test_metadata *_metadata, struct fn *fn)
{
	ASSERT_DONE(be_up(fn->be, NAME));
	place_bar(fn, FN_BAR);
	ASSERT_TRUE(decoded(fn, FN_BAR));
}

static void up_and_drive(struct __test_metadata *_metadata, struct fn *fn)
{
	up(_metadata, fn);
	ASSERT_EQ(S_OK, drive(fn, F_VERSION_1 | F_RING_RESET));
}

/* ---- configuration space ----------------------------------------------------------- */

TEST_F(pci, not_there)
{
	struct fn *fn = &self->fn;
	struct vbe_guest_dev_info info;
	uint32_t i;

	for (i = 0; i < 0x1000; i += 0x44) {
		EXPECT_EQ(0xff, cfg_in(fn, i, 1));
		EXPECT_EQ(0xffff, cfg_in(fn, i, 2));
		EXPECT_EQ(ALL_ONES, cfg_in(fn, i, 4));
		EXPECT_EQ(0, fn->g->last);
		cfg_out(fn, i, 4, 0x12345678);
		EXPECT_EQ(0, fn->g->last);
	}
	ASSERT_DONE(guest_dev_info(fn->g, fn->dev, &info));
	EXPECT_EQ(0, info.n_vectors);
	place_bar(fn, FN_BAR);
	EXPECT_FALSE(decoded(fn, FN_BAR));
	/* Nothing of that is there when a backend comes. */
	ASSERT_DONE(fn_online(fn, NAME));
	EXPECT_EQ(0, cfg_in(fn, PCI_COMMAND, 2));
	EXPECT_EQ(PCI_BASE_ADDRESS_MEM_TYPE_64, cfg_in(fn, PCI_BASE_ADDRESS_0, 4));
	EXPECT_EQ(0, cfg_in(fn, PCI_BASE_ADDRESS_1, 4));
	EXPECT_EQ(0, cfg_in(fn, PCI_INTERRUPT_LINE, 1));
	EXPECT_FALSE(decoded(fn, FN_BAR));
	ASSERT_DONE(guest_dev_info(fn->g, fn->dev, &info));
	EXPECT_EQ(FN_VECTORS, info.n_vectors);
}

TEST_F(pci, header)
{
	struct fn *fn = &self->fn;

	ASSERT_DONE(fn_online(fn, NAME));
	EXPECT_EQ(0x1af4, cfg_in(fn, PCI_VENDOR_ID, 2));
	EXPECT_EQ(0x1040 + BE_RNG, cfg_in(fn, PCI_DEVICE_ID, 2));
	EXPECT_EQ(1, cfg_in(fn, PCI_REVISION_ID, 1));
	EXPECT_EQ(0x00ff, cfg_in(fn, PCI_CLASS_DEVICE, 2));
	EXPECT_EQ(0, cfg_in(fn, PCI_CLASS_PROG, 1));
	EXPECT_EQ(0, cfg_in(fn, PCI_HEADER_TYPE, 1));
	EXPECT_EQ(0x1af4, cfg_in(fn, PCI_SUBSYSTEM_VENDOR_ID, 2));
	EXPECT_EQ(0x1040 + BE_RNG, cfg_in(fn, PCI_SUBSYSTEM_ID, 2));
	EXPECT_EQ(1, cfg_in(fn, PCI_INTERRUPT_PIN, 1));
	EXPECT_EQ(PCI_STATUS_CAP_LIST, cfg_in(fn, PCI_STATUS, 2));
	EXPECT_EQ(CAP_FIRST, cfg_in(fn, PCI_CAPABILITY_LIST, 1));
	EXPECT_EQ(0, cfg_in(fn, PCI_ROM_ADDRESS, 4));
	/* As drivers ask first. */
	EXPECT_EQ((0x1040U + BE_RNG) << 16 | 0x1af4, cfg_in(fn, PCI_VENDOR_ID, 4));
}

struct type {
	uint32_t virtio_id;
	uint32_t class;
	uint32_t vendor;
	uint32_t subvendor;
};

TEST_F(pci, types)
{
	static const struct type types[] = {
		{ 1, 0x0200, 0, 0x1af4 }, { 2, 0x0180, 0x1234, 0x1234 },
		{ 3, 0x0780, 0xffff, 0xffff }, { 4, 0x00ff, 0x10000, 0x1af4 },
		{ 8, 0x0100, 1, 1 }, { 16, 0x0380, 0, 0x1af4 }, { 18, 0x0980, 0, 0x1af4 },
		{ 19, 0x0780, 0, 0x1af4 }, { 20, 0x1080, 0, 0x1af4 },
		{ 25, 0x0401, 0, 0x1af4 }, { 26, 0x0180, 0, 0x1af4 },
		{ 0x3f, 0x00ff, 0, 0x1af4 },
	};
	struct good_setup *s = calloc(1, sizeof(*s));
	struct fn *fn = &self->fn;
	char name[VBE_NAME_MAX];
	uint32_t i;
	int fd;

	ASSERT_NE(NULL, s);
	for (i = 0; i < ARRAY_LEN(types); i++) {
		snprintf(name, sizeof(name), NAME "-%u", types[i].virtio_id);
		fn->bdf = 0x100 + 8 * i;
		ASSERT_DONE(guest_dev_add(fn->g, name, "pci", fn->bdf));
		good_setup(s);
		s->s.virtio_id = types[i].virtio_id;
		s->s.vendor_id = types[i].vendor;
		fd = dev_open(name);
		ASSERT_DONE(fd);
		ASSERT_DONE(xioctl(fd, VBE_IOC_DEV_SETUP, s));
		ASSERT_DONE(dev_simple(fd, VBE_IOC_DEV_ONLINE));
		EXPECT_EQ(0x1040 + types[i].virtio_id, cfg_in(fn, PCI_DEVICE_ID, 2));
		EXPECT_EQ(types[i].class, cfg_in(fn, PCI_CLASS_DEVICE, 2))
			TH_LOG("type %u", types[i].virtio_id);
		EXPECT_EQ(types[i].subvendor, cfg_in(fn, PCI_SUBSYSTEM_VENDOR_ID, 2))
			TH_LOG("type %u", types[i].virtio_id);
		close(fd);
	}
	free(s);
}

struct cap {
	uint32_t at;
	uint32_t type;	/* of a virtio capability; else id << 8 */
	uint32_t len;
	uint32_t offset;
	uint32_t size;
};

TEST_F(pci, capabilities)
{
	static const struct cap caps[] = {
		{ 0x40, VIRTIO_PCI_CAP_COMMON_CFG, 16, COMMON, COMMON_LEN },
		{ 0x50, VIRTIO_PCI_CAP_ISR_CFG, 16, ISR, 1 },
		{ 0x60, VIRTIO_PCI_CAP_NOTIFY_CFG, 20, NOTIFY, 1024 },
		{ 0x74, VIRTIO_PCI_CAP_DEVICE_CFG, 16, DEVCFG, 4096 },
		{ 0x84, VIRTIO_PCI_CAP_PCI_CFG, 20, 0, 0 },
	};
	struct fn *fn = &self->fn;
	uint32_t at, i;

	ASSERT_DONE(fn_online(fn, NAME));
	at = cfg_in(fn, PCI_CAPABILITY_LIST, 1);
	for (i = 0; i < ARRAY_LEN(caps); i++) {
		EXPECT_EQ(caps[i].at, at);
		EXPECT_EQ(PCI_CAP_ID_VNDR, cfg_in(fn, at, 1));
		EXPECT_EQ(caps[i].len, cfg_in(fn, at + VIRTIO_PCI_CAP_LEN, 1));
		EXPECT_EQ(caps[i].type, cfg_in(fn, at + VIRTIO_PCI_CAP_CFG_TYPE, 1));
		EXPECT_EQ(0, cfg_in(fn, at + VIRTIO_PCI_CAP_BAR, 4));
		EXPECT_EQ(caps[i].offset, cfg_in(fn, at + VIRTIO_PCI_CAP_OFFSET, 4));
		EXPECT_EQ(caps[i].size, cfg_in(fn, at + VIRTIO_PCI_CAP_LENGTH, 4));
		at = cfg_in(fn, at + VIRTIO_PCI_CAP_NEXT, 1);
	}
	EXPECT_EQ(4, cfg_in(fn, 0x60 + VIRTIO_PCI_NOTIFY_CAP_MULT, 4));
	EXPECT_EQ(CAP_MSIX, at);
	EXPECT_EQ(PCI_CAP_ID_MSIX, cfg_in(fn, at, 1));
	EXPECT_EQ(0, cfg_in(fn, at + 1, 1));
	EXPECT_EQ(FN_VECTORS - 1, cfg_in(fn, at + PCI_MSIX_FLAGS, 2));
	EXPECT_EQ(TABLE, cfg_in(fn, at + PCI_MSIX_TABLE, 4));
	EXPECT_EQ(PBA, cfg_in(fn, at + PCI_MSIX_PBA, 4));
}

TEST_F(pci, config_sizes)
{
	struct fn *fn = &self->fn;
	uint32_t i, word;

	ASSERT_DONE(fn_online(fn, NAME));
	for (i = 0; i < 0x1000; i += i < 0x100 ? 4 : 0xfc) {
		word = cfg_in(fn, i, 4);
		EXPECT_EQ(word & 0xffff, cfg_in(fn, i, 2));
		EXPECT_EQ(word >> 16, cfg_in(fn, i + 2, 2));
		EXPECT_EQ(word & 0xff, cfg_in(fn, i, 1));
		EXPECT_EQ(word >> 24, cfg_in(fn, i + 3, 1));
		/* What the bus has not got */
		EXPECT_EQ(0xffff, cfg_in(fn, i + 1, 2));
		if (i + 8 <= 0x1000) {
			EXPECT_EQ(ALL_ONES, cfg_in(fn, i + 2, 4));
			EXPECT_EQ(~0ULL, guest_read(fn->g, VBE_SPACE_PCI,
						    GUEST_PCI(fn->bdf, i), 8));
		}
		if (i >= 0x100)
			EXPECT_EQ(0, word);
	}
	guest_write(fn->g, VBE_SPACE_PCI, GUEST_PCI(fn->bdf, 0x38), 8, ~0ULL);
	cfg_out(fn, PCI_INTERRUPT_LINE - 2, 4, ALL_ONES);
	EXPECT_EQ(0, cfg_in(fn, PCI_INTERRUPT_LINE, 1));
	/* The neighbour's space begins right behind. */
	guest_read(fn->g, VBE_SPACE_PCI, GUEST_PCI(fn->bdf, 0xffe), 4);
	EXPECT_EQ(-ENOENT, fn->g->last);
	guest_read(fn->g, VBE_SPACE_PCI, GUEST_PCI(fn->bdf, 0x1000), 4);
	EXPECT_EQ(-ENOENT, fn->g->last);
}

/* What a word of configuration space keeps of ones that are written to it. */
static uint32_t writable(uint32_t reg)
{
	switch (reg) {
	case PCI_COMMAND:
		return PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_PARITY |
		       PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE;
	case PCI_CACHE_LINE_SIZE:
	case PCI_INTERRUPT_LINE:
	case CAP_WINDOW + VIRTIO_PCI_CAP_BAR:
		return 0xff;
	case PCI_BASE_ADDRESS_0:
		return ~(BAR_LEN - 1U);
	case PCI_BASE_ADDRESS_1:
	case CAP_WINDOW + VIRTIO_PCI_CAP_OFFSET:
	case CAP_WINDOW + VIRTIO_PCI_CAP_LENGTH:
		return ALL_ONES;
	case CAP_MSIX:
		return (PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL) << 16;
	default:
		return 0;
	}
}

TEST_F(pci, config_writes)
{
	struct fn *fn = &self->fn;
	uint32_t before[0x40], i, j, keep;

	ASSERT_DONE(fn_online(fn, NAME));
	for (i = 0; i < 0x40; i++)
		before[i] = cfg_in(fn, 4 * i, 4);
	for (i = 0; i < 0x40; i++) {
		if (4 * i == WINDOW_DATA)
			continue;
		keep = writable(4 * i);
		cfg_out(fn, 4 * i, 4, ALL_ONES);
		EXPECT_EQ(before[i] | keep, cfg_in(fn, 4 * i, 4))
			TH_LOG("word at 0x%x", 4 * i);
		cfg_out(fn, 4 * i, 4, 0);
		EXPECT_EQ(before[i] & ~keep, cfg_in(fn, 4 * i, 4))
			TH_LOG("word at 0x%x", 4 * i);
		/* Each byte alone. */
		for (j = 0; j < 4; j++) {
			cfg_out(fn, 4 * i + j, 1, 0xff);
			EXPECT_EQ((before[i] & ~keep) | (keep & 0xffU << 8 * j),
				  cfg_in(fn, 4 * i, 4))
				TH_LOG("byte at 0x%x", 4 * i + j);
			cfg_out(fn, 4 * i + j, 1, 0);
		}
	}
	for (i = 0; i < 0x40; i++)
		EXPECT_EQ(4 * i == WINDOW_DATA ? ALL_ONES : before[i], cfg_in(fn, 4 * i, 4));
	cfg_out(fn, 0x100, 4, ALL_ONES);
	EXPECT_EQ(0, cfg_in(fn, 0x100, 4));
}

TEST_F(pci, bad_base)
{
	struct vbe_guest_dev_add a = guest_dev_params(NAME "-2", "pci", 0x100000000ULL);
	struct guest *g = self->fn.g;

	EXPECT_WHY(g->fd, EINVAL, guest_dev_add_params(g, &a));
	a.base = FN_BDF;
	EXPECT_WHY(g->fd, EEXIST, guest_dev_add_params(g, &a));
	/* The last one of all. */
	a.base = 0xffffffff;
	EXPECT_DONE(guest_dev_add_params(g, &a));
	EXPECT_EQ(ALL_ONES, guest_read(g, VBE_SPACE_PCI, GUEST_PCI(0xffffffffULL, 0), 4));
	EXPECT_EQ(0, g->last);
}

/* ---- the BAR ---------------------------------------------------------------------- */

static int wait_region(struct fn *fn, uint64_t base, uint64_t len)
{
	struct vbe_guest_event ev;
	int ret;

	/* Only the last place is told. */
	ret = guest_wait_indexed(fn->g, VBE_GUEST_EVENT_REGION, fn->dev, 0, &ev, LIMIT);
	if (ret)
		return ret;
	if (ev.data[1] != len || ev.data[2] != VBE_SPACE_MMIO)
		return -EPROTO;
	return !len || ev.data[0] == base ? 0 : -EADDRNOTAVAIL;
}

static uint64_t notify_addr(struct fn *fn, uint32_t q)
{
	struct vbe_guest_queue_info info;

	if (guest_queue_info(fn->g, fn->dev, q, &info) < 0)
		return ~0ULL;
	return info.notify_len || (info.flags & VBE_GUEST_QUEUE_F_MATCH) ? ~0ULL :
		info.notify_addr;
}

TEST_F(pci, bar_size)
{
	struct fn *fn = &self->fn;
	struct vbe_guest_event ev;
	uint32_t command;

	ASSERT_DONE(fn_online(fn, NAME));
	guest_drop_events(fn->g);
	/* Most drivers stop decoding meanwhile, some do not: no address may be claimed. */
	for (command = 0; command <= DECODE; command += DECODE) {
		set_command(fn, command);
		cfg_out(fn, PCI_BASE_ADDRESS_0, 4, ALL_ONES);
		EXPECT_EQ(~(BAR_LEN - 1U) | PCI_BASE_ADDRESS_MEM_TYPE_64,
			  cfg_in(fn, PCI_BASE_ADDRESS_0, 4));
		EXPECT_FALSE(decoded(fn, 0xffff8000));
		cfg_out(fn, PCI_BASE_ADDRESS_1, 4, ALL_ONES);
		EXPECT_EQ(ALL_ONES, cfg_in(fn, PCI_BASE_ADDRESS_1, 4));
		EXPECT_FALSE(decoded(fn, -(uint64_t)BAR_LEN));
		cfg_out(fn, PCI_BASE_ADDRESS_0, 4, 0);
		EXPECT_FALSE(decoded(fn, 0xffffffff00000000ULL));
		cfg_out(fn, PCI_BASE_ADDRESS_1, 4, 0);
		EXPECT_FALSE(decoded(fn, 0));
		EXPECT_EQ(0, notify_addr(fn, 0));
	}
	/* What the driver's writes make is there when they return. */
	EXPECT_EQ(-ETIMEDOUT, guest_wait_indexed(fn->g, VBE_GUEST_EVENT_REGION, fn->dev, 0, &ev,
						 QUIET));
}

TEST_F(pci, bar_moves)
{
	uint64_t there = FN_BAR, next = 0x90000000ULL;
	struct fn *fn = &self->fn;

	ASSERT_DONE(fn_online(fn, NAME));
	guest_drop_events(fn->g);
	place_bar(fn, there);
	EXPECT_EQ(0, wait_region(fn, there, BAR_LEN));
	EXPECT_EQ(FN_QUEUES, get(fn, NUM_QUEUES));
	EXPECT_TRUE(decoded(fn, there + BAR_LEN - 4));
	EXPECT_FALSE(decoded(fn, there + BAR_LEN));
	EXPECT_FALSE(decoded(fn, there + BAR_LEN - 2));
	EXPECT_FALSE(decoded(fn, there - 4));
	EXPECT_EQ(there + NOTIFY, notify_addr(fn, 0));
	EXPECT_EQ(there + NOTIFY + 4, notify_addr(fn, 1));
	/* With decoding off and on: the old place is free at once. */
	place_bar(fn, next);
	EXPECT_EQ(0, wait_region(fn, next, BAR_LEN));
	EXPECT_FALSE(decoded(fn, there));
	EXPECT_EQ(FN_QUEUES, get(fn, NUM_QUEUES));
	EXPECT_EQ(next + NOTIFY, notify_addr(fn, 0));
	/* While it is on, each half moves it. */
	cfg_out(fn, PCI_BASE_ADDRESS_1, 4, 3);
	EXPECT_FALSE(decoded(fn, next));
	fn->bar = 3ULL << 32 | next;
	EXPECT_EQ(FN_QUEUES, get(fn, NUM_QUEUES));
	EXPECT_EQ(0, wait_region(fn, fn->bar, BAR_LEN));
	cfg_out(fn, PCI_BASE_ADDRESS_0, 4, there);
	EXPECT_FALSE(decoded(fn, fn->bar));
	EXPECT_TRUE(decoded(fn, there));
	EXPECT_EQ(0, wait_region(fn, there, BAR_LEN));
	/* Low bits and single bytes. */
	cfg_out(fn, PCI_BASE_ADDRESS_0, 4, (uint32_t)there | (BAR_LEN - 1));
	EXPECT_TRUE(decoded(fn, there));
	cfg_out(fn, PCI_BASE_ADDRESS_0 + 2, 1, 0x11);
	EXPECT_TRUE(decoded(fn, there | 0x110000));
	EXPECT_EQ(0, wait_region(fn, there | 0x110000, BAR_LEN));
	set_command(fn, PCI_COMMAND_MASTER);
	EXPECT_FALSE(decoded(fn, there | 0x110000));
	EXPECT_EQ(0, wait_region(fn, 0, 0));
	EXPECT_EQ(0, notify_addr(fn, 0));
}

TEST_F(pci, bar_overlap)
{
	struct vbe_guest_event ev;
	struct fn *fn = &self->fn;
	int other;

	other = guest_dev_add(fn->g, NAME "-mmio", "mmio", MMIO_BASE);
	ASSERT_DONE(other);
	ASSERT_DONE(fn_online(fn, NAME));
	guest_drop_events(fn->g);
	place_bar(fn, MMIO_BASE);
	EXPECT_EQ(MMIO_MAGIC, guest_read(fn->g, VBE_SPACE_MMIO, MMIO_BASE, 4));
	EXPECT_FALSE(decoded(fn, MMIO_BASE + 0x1000));
	EXPECT_EQ(-ETIMEDOUT, guest_wait_indexed(fn->g, VBE_GUEST_EVENT_REGION, fn->dev, 0,
						 &ev, QUIET));
	EXPECT_EQ(0, notify_addr(fn, 0));
	/* It keeps what was written, as it could not tell. */
	EXPECT_EQ(MMIO_LOW, cfg_in(fn, PCI_BASE_ADDRESS_0, 4) & ~0xfU);
	EXPECT_EQ(DECODE, cfg_in(fn, PCI_COMMAND, 2));
	/* From below, and right beside. */
	place_bar(fn, MMIO_BASE - BAR_LEN);
	EXPECT_EQ(FN_QUEUES, get(fn, NUM_QUEUES));
	EXPECT_EQ(MMIO_MAGIC, guest_read(fn->g, VBE_SPACE_MMIO, MMIO_BASE, 4));
	/* Onto it, while decoding: it loses its own place too, and gets it back. */
	cfg_out(fn, PCI_BASE_ADDRESS_0, 4, MMIO_LOW);
	EXPECT_FALSE(decoded(fn, MMIO_BASE - BAR_LEN));
	EXPECT_EQ(MMIO_MAGIC, guest_read(fn->g, VBE_SPACE_MMIO, MMIO_BASE, 4));
	cfg_out(fn, PCI_BASE_ADDRESS_0, 4, MMIO_LOW - BAR_LEN);
	EXPECT_EQ(FN_QUEUES, get(fn, NUM_QUEUES));
	cfg_out(fn, PCI_BASE_ADDRESS_0, 4, MMIO_LOW);
	/* The place becomes free, and the driver tries again. */
	ASSERT_DONE(guest_dev_del(fn->g, other));
	EXPECT_FALSE(decoded(fn, MMIO_BASE));
	set_command(fn, DECODE);
	fn->bar = MMIO_BASE;
	EXPECT_EQ(FN_QUEUES, get(fn, NUM_QUEUES));
	/* Who comes second, by whatever transport, does not get it. */
	EXPECT_WHY(fn->g->fd, EEXIST, guest_dev_add(fn->g, NAME "-mmio", "mmio", MMIO_BASE));
}

TEST_F(pci, command)
{
	struct fn *fn = &self->fn;

	ASSERT_DONE(fn_online(fn, NAME));
	place_bar(fn, FN_BAR);
	set_command(fn, 0);
	EXPECT_FALSE(decoded(fn, FN_BAR));
	/* Bus master and the rest decode nothing. */
	set_command(fn, PCI_COMMAND_MASTER | PCI_COMMAND_IO | PCI_COMMAND_INTX_DISABLE |
		    PCI_COMMAND_SERR | PCI_COMMAND_PARITY);
	EXPECT_FALSE(decoded(fn, FN_BAR));
	EXPECT_EQ(PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE | PCI_COMMAND_SERR |
		  PCI_COMMAND_PARITY, cfg_in(fn, PCI_COMMAND, 2));
	cfg_out(fn, PCI_COMMAND, 1, PCI_COMMAND_MEMORY);
	EXPECT_TRUE(decoded(fn, FN_BAR));
	EXPECT_EQ(PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_DISABLE | PCI_COMMAND_SERR,
		  cfg_in(fn, PCI_COMMAND, 2));
	cfg_out(fn, PCI_COMMAND + 1, 1, 0);
	EXPECT_TRUE(decoded(fn, FN_BAR));
	EXPECT_EQ(PCI_COMMAND_MEMORY, cfg_in(fn, PCI_COMMAND, 2));
	/* STATUS is in the same word, and keeps nothing. */
	cfg_out(fn, PCI_COMMAND, 4, 0xffff0000);
	EXPECT_FALSE(decoded(fn, FN_BAR));
	EXPECT_EQ(PCI_STATUS_CAP_LIST << 16, cfg_in(fn, PCI_COMMAND, 4));
}

/* ---- PCI_CFG --------------------------------------------------------------------------- */

static void set_window(struct fn *fn, uint32_t bar, uint32_t offset, uint32_t len)
{
	cfg_out(fn, CAP_WINDOW + VIRTIO_PCI_CAP_BAR, 1, bar);
	cfg_out(fn, CAP_WINDOW + VIRTIO_PCI_CAP_OFFSET, 4, offset);
	cfg_out(fn, CAP_WINDOW + VIRTIO_PCI_CAP_LENGTH, 4, len);
}

static uint32_t window_in(struct fn *fn, uint32_t offset, uint32_t len)
{
	set_window(fn, 0, offset, len);
	return cfg_in(fn, WINDOW_DATA, len);
}

static void window_out(struct fn *fn, uint32_t offset, uint32_t len, uint32_t value)
{
	set_window(fn, 0, offset, len);
	cfg_out(fn, WINDOW_DATA, len, value);
}

/* For what follows nothing need be decoded. */
TEST_F(pci, window)
{
	struct fn *fn = &self->fn;

	ASSERT_DONE(be_up(fn->be, NAME));
	EXPECT_EQ(FN_QUEUES, window_in(fn, COMMON + NUM_QUEUES, 2));
	window_out(fn, COMMON + DEV_SEL, 4, 1);
	EXPECT_EQ(1, window_in(fn, COMMON + DEV_SEL, 4));
	EXPECT_EQ(F_VERSION_1 >> 32 | F_RING_RESET >> 32, window_in(fn, COMMON + DEV_FEATURES, 4));
	EXPECT_EQ(0x13, window_in(fn, DEVCFG + 3, 1));
	EXPECT_EQ(0x1312, window_in(fn, DEVCFG + 2, 2));
	/* What sleeps, too. */
	window_out(fn, COMMON + STATUS, 1, S_DRIVER);
	EXPECT_EQ(S_DRIVER, window_in(fn, COMMON + STATUS, 1));
	window_out(fn, DEVCFG, 4, 0x44332211);
	EXPECT_EQ(0x44332211, window_in(fn, DEVCFG, 4));
	window_out(fn, COMMON + STATUS, 1, 0);
	EXPECT_EQ(0, window_in(fn, COMMON + STATUS, 1));
	/* The length is that of the capability, whichever bytes are accessed. */
	set_window(fn, 0, DEVCFG, 4);
	EXPECT_EQ(0x33, cfg_in(fn, WINDOW_DATA + 2, 1));
	EXPECT_EQ(0x4433, cfg_in(fn, WINDOW_DATA + 2, 2));
	cfg_out(fn, WINDOW_DATA + 1, 1, 0x99);
	EXPECT_EQ(0x44339911, cfg_in(fn, WINDOW_DATA, 4));
	set_window(fn, 0, DEVCFG, 1);
	EXPECT_EQ(0x11, cfg_in(fn, WINDOW_DATA, 4) & 0xff);
	cfg_out(fn, WINDOW_DATA, 4, 0x55667788);
	EXPECT_EQ(0x44339988, window_in(fn, DEVCFG, 4));
	/* The same registers as in the BAR. */
	place_bar(fn, FN_BAR);
	EXPECT_EQ(0x44339988, bar_in(fn, DEVCFG, 4));
	window_out(fn, TABLE, 4, 0xfee00000);
	EXPECT_EQ(0xfee00000, bar_in(fn, TABLE, 4));
}

struct window {
	uint32_t bar;
	uint32_t offset;
	uint32_t len;
};

TEST_F(pci, bad_window)
{
	static const struct window bad[] = {
		{ 0, 0, 0 }, { 0, 0, 3 }, { 0, 0, 5 }, { 0, 0, 8 }, { 0, 0, 0xffffffff },
		{ 0, 0, 0x104 }, { 1, 0, 4 }, { 5, 0, 4 }, { 6, 0, 4 }, { 0xff, 0, 4 },
		{ 0, 1, 2 }, { 0, 2, 4 }, { 0, BAR_LEN - 2, 4 }, { 0, BAR_LEN, 1 },
		{ 0, BAR_LEN, 4 }, { 0, 0x80000000, 4 }, { 0, 0xfffffffc, 4 },
		{ 0, 0xffffffff, 1 },
	};
	struct fn *fn = &self->fn;
	uint32_t i;

	ASSERT_DONE(fn_online(fn, NAME));
	place_bar(fn, FN_BAR);
	for (i = 0; i < ARRAY_LEN(bad); i++) {
		set_window(fn, bad[i].bar, bad[i].offset, bad[i].len);
		EXPECT_EQ(bad[i].offset, cfg_in(fn, CAP_WINDOW + VIRTIO_PCI_CAP_OFFSET, 4));
		EXPECT_EQ(bad[i].len, cfg_in(fn, CAP_WINDOW + VIRTIO_PCI_CAP_LENGTH, 4));
		cfg_out(fn, WINDOW_DATA, 4, 1);
		EXPECT_EQ(0, fn->g->last);
		EXPECT_EQ(ALL_ONES, cfg_in(fn, WINDOW_DATA, 4))
			TH_LOG("bar %u offset 0x%x length %u", bad[i].bar, bad[i].offset,
			       bad[i].len);
	}
	EXPECT_EQ(0, get(fn, DEV_SEL));
	/* A place that exists, and where nothing is. */
	EXPECT_EQ(ALL_ONES, window_in(fn, BAR_LEN - 4, 4));
	EXPECT_EQ(0xffff, window_in(fn, COMMON + STATUS, 2));
}

/* ---- common configuration ------------------------------------------------------------ */

static bool is_field(uint32_t at, uint32_t len)
{
	static const uint8_t fields[] = {
		DEV_SEL, DEV_FEATURES, DRV_SEL, DRV_FEATURES, CONFIG_VECTOR, NUM_QUEUES,
		STATUS, GENERATION, QUEUE_SEL, QUEUE_SIZE, QUEUE_VECTOR, QUEUE_ENABLE,
		QUEUE_NOFF, QUEUE_DESC, QUEUE_DRIVER, QUEUE_DEVICE, QUEUE_NDATA,
		QUEUE_RESET, ADMIN_INDEX, ADMIN_NUM,
	};
	uint32_t i;

	for (i = 0; i < sizeof(fields); i++) {
		if (at == fields[i] && len == field_len(at))
			return true;
		/* Addresses also by halves. */
		if (field_len(fields[i]) == 8 && len == 4 &&
		    (at == fields[i] || at == fields[i] + 4U))
			return true;
	}
	return false;
}

/* All there is of the common configuration, as the driver would read it. */
static void snapshot(struct fn *fn, uint64_t *fields)
{
	uint32_t at;

	for (at = 0; at < COMMON_LEN; at++)
		fields[at] = is_field(at, field_len(at)) ? get(fn, at) : 0;
}

TEST_F(pci, common_sizes)
{
	uint64_t before[COMMON_LEN], after[COMMON_LEN], ones;
	struct fn *fn = &self->fn;
	uint32_t at, len;

	up(_metadata, fn);
	stage(fn, 1, good_place(1));
	snapshot(fn, before);
	for (len = 1; len <= 8; len *= 2) {
		ones = len == 8 ? ~0ULL : (1ULL << 8 * len) - 1;
		for (at = 0; at < COMMON_LEN + 8; at++) {
			if (is_field(at, len))
				continue;
			EXPECT_EQ(ones, bar_in(fn, COMMON + at, len))
				TH_LOG("%u bytes at %u", len, at);
			bar_out(fn, COMMON + at, len, 0x0102030405060708ULL);
			EXPECT_EQ(0, fn->g->last);
		}
	}
	snapshot(fn, after);
	for (at = 0; at < COMMON_LEN; at++)
		EXPECT_EQ(before[at], after[at])
			TH_LOG("field at %u", at);
}

TEST_F(pci, read_only_fields)
{
	static const uint8_t fields[] = {
		DEV_FEATURES, NUM_QUEUES, GENERATION, QUEUE_NOFF, QUEUE_NDATA, ADMIN_INDEX,
		ADMIN_NUM,
	};
	struct fn *fn = &self->fn;
	uint64_t before;
	uint32_t i;

	up(_metadata, fn);
	put(fn, QUEUE_SEL, 1);
	for (i = 0; i < sizeof(fields); i++) {
		before = get(fn, fields[i]);
		put(fn, fields[i], ~before);
		EXPECT_EQ(before, get(fn, fields[i]))
			TH_LOG("field at %u", fields[i]);
	}
	EXPECT_EQ(FN_QUEUES, get(fn, NUM_QUEUES));
	EXPECT_EQ(1, get(fn, QUEUE_NOFF));
	EXPECT_EQ(0, get(fn, QUEUE_NDATA));
	EXPECT_EQ(0, get(fn, ADMIN_INDEX));
	EXPECT_EQ(0, get(fn, ADMIN_NUM));
}

/* Of the BAR, where no register is. */
TEST_F(pci, holes)
{
	static const uint32_t holes[] = {
		COMMON_LEN, 0xffc, ISR + 1, ISR + 4, ISR + 0xffc, NOTIFY, NOTIFY + 0xffc,
		TABLE + 16 * FN_VECTORS, TABLE + 0x1ffc, PBA + 64, PBA + 0xffc, 0x7000, 0x7ffc,
	};
	struct fn *fn = &self->fn;
	uint32_t i;

	up(_metadata, fn);
	for (i = 0; i < ARRAY_LEN(holes); i++) {
		bar_out(fn, holes[i], 4, 0);
		EXPECT_EQ(0, fn->g->last);
		EXPECT_EQ(ALL_ONES, bar_in(fn, holes[i], 4))
			TH_LOG("offset 0x%x", holes[i]);
		EXPECT_EQ(0xff, bar_in(fn, holes[i], 1));
	}
}

/* ---- features and status ------------------------------------------------------------- */

TEST_F(pci, features)
{
	struct fn *fn = &self->fn;

	up(_metadata, fn);
	/* What is the transport's comes from the transport. */
	EXPECT_EQ(F_VERSION_1 | F_SOME | F_RING_RESET, offered(fn));
	put(fn, DEV_SEL, 2);
	EXPECT_EQ(0, get(fn, DEV_FEATURES));
	put(fn, DEV_SEL, 0xffffffff);
	EXPECT_EQ(0xffffffff, get(fn, DEV_SEL));
	EXPECT_EQ(0, get(fn, DEV_FEATURES));
	take(fn, 0x123456789abcdef0ULL);
	EXPECT_EQ(0x9abcdef0, get(fn, DRV_FEATURES));
	put(fn, DRV_SEL, 1);
	EXPECT_EQ(0x12345678, get(fn, DRV_FEATURES));
	put(fn, DRV_SEL, 2);
	EXPECT_EQ(0, get(fn, DRV_FEATURES));
	EXPECT_EQ(S_FEATURES, negotiate(fn, F_VERSION_1 | F_SOME));
	/* Settled: what is written now changes nothing. */
	take(fn, ~0ULL);
	EXPECT_EQ(S_FEATURES, get(fn, STATUS));
	put(fn, STATUS, S_OK);
	EXPECT_EQ(S_OK, get(fn, STATUS));
}

TEST_F(pci, refused_features)
{
	static const uint64_t bad[] = {
		0, F_SOME, F_VERSION_1 | 1ULL << 1, F_VERSION_1 | 1ULL << 38,
		F_VERSION_1 | 1ULL << 33, F_VERSION_1 | 1ULL << 63, ~0ULL,
	};
	struct fn *fn = &self->fn;
	uint32_t i;

	up(_metadata, fn);
	for (i = 0; i < ARRAY_LEN(bad); i++) {
		EXPECT_EQ(S_DRIVER, negotiate(fn, bad[i]));
		put(fn, STATUS, S_OK);
		EXPECT_EQ(S_DRIVER, get(fn, STATUS));
	}
	/* Windows past the second are never offered. */
	put(fn, STATUS, 0);
	put(fn, STATUS, S_DRIVER);
	take(fn, F_VERSION_1);
	put(fn, DRV_SEL, 2);
	put(fn, DRV_FEATURES, 1);
	put(fn, STATUS, S_FEATURES);
	EXPECT_EQ(S_DRIVER, get(fn, STATUS));
	/* A reset makes it good again. */
	EXPECT_EQ(S_FEATURES, negotiate(fn, F_VERSION_1));
	put(fn, STATUS, 0);
	put(fn, DRV_SEL, 7);
	put(fn, DRV_FEATURES, 0);
	EXPECT_EQ(S_FEATURES, negotiate(fn, F_VERSION_1));
}

TEST_F(pci, status)
{
	struct fn *fn = &self->fn;

	up(_metadata, fn);
	EXPECT_EQ(0, get(fn, STATUS));
	put(fn, STATUS, S_ACK);
	EXPECT_EQ(S_ACK, get(fn, STATUS));
	/* DRIVER_OK before FEATURES_OK; a bit that goes; NEEDS_RESET, which is not its own */
	put(fn, STATUS, S_DRIVER | 4);
	EXPECT_EQ(S_ACK, get(fn, STATUS));
	put(fn, STATUS, S_DRIVER);
	put(fn, STATUS, S_ACK);
	EXPECT_EQ(S_DRIVER, get(fn, STATUS));
	put(fn, STATUS, S_DRIVER | 64);
	EXPECT_EQ(S_DRIVER, get(fn, STATUS));
	put(fn, STATUS, S_DRIVER | 128);
	EXPECT_EQ(S_DRIVER | 128, get(fn, STATUS));
	put(fn, STATUS, 0);
	EXPECT_EQ(0, get(fn, STATUS));
	EXPECT_EQ(S_OK, drive(fn, F_VERSION_1));
	EXPECT_TRUE(be_wait_event(fn->be, VBE_EVENT_STATUS, 1, LIMIT));
}

/* ---- queues ----------------------------------------------------------------------------- */

static void expect_fresh(struct __test_metadata *_metadata, struct fn *fn, uint32_t q)
{
	EXPECT_EQ(FN_NUM, qget(fn, q, QUEUE_SIZE));
	EXPECT_EQ(NO_VECTOR, get(fn, QUEUE_VECTOR));
	EXPECT_EQ(0, get(fn, QUEUE_ENABLE));
	EXPECT_EQ(0, get(fn, QUEUE_RESET));
	EXPECT_EQ(q, get(fn, QUEUE_NOFF));
	EXPECT_EQ(0, get(fn, QUEUE_DESC));
	EXPECT_EQ(0, get(fn, QUEUE_DRIVER));
	EXPECT_EQ(0, get(fn, QUEUE_DEVICE));
}

TEST_F(pci, queue_staging)
{
	struct fn *fn = &self->fn;
	struct vbe_guest_queue_info info;

	up(_metadata, fn);
	ASSERT_EQ(S_FEATURES, negotiate(fn, F_VERSION_1));
	expect_fresh(_metadata, fn, 0);
	expect_fresh(_metadata, fn, 1);
	/* Each queue has its own, whole or by halves in any order. */
	qput(fn, 0, QUEUE_DESC, 0x1122334455667788ULL);
	put(fn, QUEUE_SIZE, 32);
	qput(fn, 1, QUEUE_DEVICE, ~0ULL);
	bar_out(fn, COMMON + QUEUE_DEVICE + 4, 4, 0x99);
	EXPECT_EQ(0x99ffffffffULL, get(fn, QUEUE_DEVICE));
	bar_out(fn, COMMON + QUEUE_DEVICE, 4, 0x77);
	EXPECT_EQ(0x9900000077ULL, get(fn, QUEUE_DEVICE));
	EXPECT_EQ(0x99, bar_in(fn, COMMON + QUEUE_DEVICE + 4, 4));
	EXPECT_EQ(FN_NUM, get(fn, QUEUE_SIZE));
	EXPECT_EQ(0x1122334455667788ULL, qget(fn, 0, QUEUE_DESC));
	EXPECT_EQ(0x55667788, bar_in(fn, COMMON + QUEUE_DESC, 4));
	EXPECT_EQ(0x11223344, bar_in(fn, COMMON + QUEUE_DESC + 4, 4));
	EXPECT_EQ(32, get(fn, QUEUE_SIZE));
	EXPECT_EQ(1, enable(fn, 0, good_place(0)));
	/* Settled until reset. */
	put(fn, QUEUE_SIZE, 8);
	put(fn, QUEUE_DESC, 0);
	bar_out(fn, COMMON + QUEUE_DRIVER + 4, 4, 1);
	put(fn, QUEUE_ENABLE, 0);
	put(fn, QUEUE_ENABLE, 1);
	EXPECT_EQ(1, get(fn, QUEUE_ENABLE));
	EXPECT_EQ(FN_NUM, get(fn, QUEUE_SIZE));
	EXPECT_EQ(good_place(0).desc, get(fn, QUEUE_DESC));
	EXPECT_EQ(good_place(0).driver, get(fn, QUEUE_DRIVER));
	ASSERT_DONE(guest_queue_info(fn->g, fn->dev, 0, &info));
	EXPECT_EQ(FN_NUM, info.num);
	EXPECT_EQ(good_place(0).desc, info.desc);
	EXPECT_EQ(good_place(0).device, info.device);
	EXPECT_EQ(0, qget(fn, 1, QUEUE_ENABLE));
}

TEST_F(pci, no_such_queue)
{
	static const uint32_t none[] = { FN_QUEUES, 255, 256, 0x7fff, 0x8000, 0xffff };
	struct fn *fn = &self->fn;
	uint32_t i;

	up(_metadata, fn);
	ASSERT_EQ(S_FEATURES, negotiate(fn, F_VERSION_1 | F_RING_RESET));
	for (i = 0; i < ARRAY_LEN(none); i++) {
		stage(fn, none[i], good_place(0));
		put(fn, QUEUE_VECTOR, 0);
		put(fn, QUEUE_ENABLE, 1);
		put(fn, QUEUE_RESET, 1);
		EXPECT_EQ(none[i], get(fn, QUEUE_SEL));
		EXPECT_EQ(0, get(fn, QUEUE_SIZE));
		EXPECT_EQ(NO_VECTOR, get(fn, QUEUE_VECTOR));
		EXPECT_EQ(0, get(fn, QUEUE_ENABLE));
		EXPECT_EQ(0, get(fn, QUEUE_NOFF));
		EXPECT_EQ(0, get(fn, QUEUE_DESC));
		EXPECT_EQ(0, get(fn, QUEUE_RESET));
	}
	expect_fresh(_metadata, fn, 0);
	expect_fresh(_metadata, fn, 1);
}

TEST_F(pci, lies_about_queues)
{
	const struct place good = good_place(1);
	const struct place lies[] = {
		{ 0, good.desc, good.driver, good.device },
		{ 3, good.desc, good.driver, good.device },
		{ 2 * FN_NUM, good.desc, good.driver, good.device },
		{ 0xffff, good.desc, good.driver, good.device },
		{ FN_NUM, 0, 0, 0 },
		{ FN_NUM, ~0ULL, ~0ULL, ~0ULL },
		{ FN_NUM, good.desc + 1, good.driver, good.device },
		{ FN_NUM, good.desc, good.driver + 1, good.device },
		{ FN_NUM, good.desc, good.driver, good.device + 2 },
		{ FN_NUM, FN_MEM - 16, good.driver, good.device },
		{ FN_NUM, FN_MEM + FN_MEM_LEN - 16, good.driver, good.device },
		{ FN_NUM, good.desc, FN_HIGH_MEM + FN_MEM_LEN - 2, good.device },
		{ FN_NUM, good.desc, good.driver, FN_BAR },
		{ FN_NUM, good.desc & 0xffffffff, good.driver, good.device },
		{ FN_NUM, -16ULL, good.driver, good.device },
	};
	struct fn *fn = &self->fn;
	uint32_t i;

	up(_metadata, fn);
	/* Before FEATURES_OK nobody knows what a ring looks like. */
	put(fn, STATUS, S_DRIVER);
	EXPECT_EQ(0, enable(fn, 1, good));
	ASSERT_EQ(S_FEATURES, negotiate(fn, F_VERSION_1));
	for (i = 0; i < ARRAY_LEN(lies); i++)
		EXPECT_EQ(0, enable(fn, 1, lies[i]))
			TH_LOG("lie %u", i);
	/* Only 1 enables. */
	stage(fn, 1, good);
	put(fn, QUEUE_ENABLE, 0);
	put(fn, QUEUE_ENABLE, 2);
	put(fn, QUEUE_ENABLE, 0x100);
	put(fn, QUEUE_ENABLE, 0xffff);
	EXPECT_EQ(0, get(fn, QUEUE_ENABLE));
	EXPECT_EQ(1, enable(fn, 1, good));
}

static uint64_t kicks(struct fn *fn, uint32_t q)
{
	return guest_eventfd_wait(fn->be->queues[q].kick, 0);
}

TEST_F(pci, notify)
{
	struct fn *fn = &self->fn;
	uint32_t len, i;

	ASSERT_DONE(fn_online(fn, NAME));
	place_bar(fn, FN_BAR);
	ASSERT_EQ(S_OK, drive(fn, F_VERSION_1));
	for (len = 1; len <= 8; len *= 2) {
		bar_out(fn, NOTIFY + 4, len, 0xffffffffffffffffULL);
		EXPECT_EQ(0, kicks(fn, 0));
		EXPECT_EQ(1, kicks(fn, 1))
			TH_LOG("%u bytes", len);
		bar_out(fn, NOTIFY, len, 1);
		EXPECT_EQ(1, kicks(fn, 0));
		EXPECT_EQ(0, kicks(fn, 1));
	}
	/* Loads, between two, behind the last. */
	bar_in(fn, NOTIFY, 2);
	for (i = 1; i < 4; i++)
		bar_out(fn, NOTIFY + i, 1, 0);
	for (i = FN_QUEUES; i < 1024; i += 63)
		bar_out(fn, NOTIFY + 4 * i, 2, 0);
	EXPECT_EQ(0, kicks(fn, 0));
	EXPECT_EQ(0, kicks(fn, 1));
	set_window(fn, 0, NOTIFY + 4, 2);
	cfg_out(fn, WINDOW_DATA, 2, 1);
	EXPECT_EQ(1, kicks(fn, 1));
}

/* ---- device configuration ------------------------------------------------------------------ */

TEST_F(pci, device_config)
{
	struct fn *fn = &self->fn;
	uint32_t i;

	up(_metadata, fn);
	for (i = 0; i < FN_CONFIG_LEN; i++)
		EXPECT_EQ(0x10 + i, bar_in(fn, DEVCFG + i, 1));
	EXPECT_EQ(0x14131211, bar_in(fn, DEVCFG + 1, 4));
	EXPECT_EQ(0x1716151413121110ULL, bar_in(fn, DEVCFG, 8));
	EXPECT_EQ(0xffff1f1eU, bar_in(fn, DEVCFG + FN_CONFIG_LEN - 2, 4));
	EXPECT_EQ(0xff, bar_in(fn, DEVCFG + FN_CONFIG_LEN, 1));
	EXPECT_EQ(ALL_ONES, bar_in(fn, DEVCFG + 0xffc, 4));
	bar_out(fn, DEVCFG + 3, 2, 0xbbaa);
	EXPECT_EQ(0x15bbaa12, bar_in(fn, DEVCFG + 2, 4));
	EXPECT_TRUE(be_wait_event(fn->be, VBE_EVENT_CONFIG, 1, LIMIT));
	/* All of it or nothing. */
	bar_out(fn, DEVCFG + FN_CONFIG_LEN - 2, 4, 0);
	EXPECT_EQ(0x1f1e, bar_in(fn, DEVCFG + FN_CONFIG_LEN - 2, 2));
}

TEST_F(pci, generation)
{
	struct fn *fn = &self->fn;
	uint32_t before, i;

	up(_metadata, fn);
	before = get(fn, GENERATION);
	bar_out(fn, DEVCFG, 1, 9);
	/* The driver's own writes are no news to it. */
	EXPECT_EQ(before, get(fn, GENERATION));
	for (i = 1; i <= 300; i++) {
		ASSERT_DONE(change_config(fn, 5, i));
		EXPECT_EQ((before + i) & 0xff, get(fn, GENERATION));
	}
	EXPECT_EQ(300 & 0xff, bar_in(fn, DEVCFG + 5, 1));
}

/* ---- reset ------------------------------------------------------------------------------- */

static void expect_reset(struct __test_metadata *_metadata, struct fn *fn)
{
	EXPECT_EQ(0, get(fn, STATUS));
	EXPECT_EQ(0, get(fn, DEV_SEL));
	EXPECT_EQ(0, get(fn, DRV_SEL));
	EXPECT_EQ(0, get(fn, DRV_FEATURES));
	EXPECT_EQ(NO_VECTOR, get(fn, CONFIG_VECTOR));
	EXPECT_EQ(0, get(fn, QUEUE_SEL));
	expect_fresh(_metadata, fn, 0);
	expect_fresh(_metadata, fn, 1);
	EXPECT_EQ(0, bar_in(fn, ISR, 1));
}

static void dirty(struct fn *fn)
{
	put(fn, DEV_SEL, 1);
	put(fn, DRV_SEL, 1);
	put(fn, DRV_FEATURES, 5);
	put(fn, CONFIG_VECTOR, 1);
	qput(fn, 1, QUEUE_VECTOR, 2);
}

TEST_F(pci, reset_in_every_state)
{
	static const uint32_t states[] = { 0, S_ACK, S_DRIVER, S_FEATURES, S_OK, S_OK | 128 };
	struct fn *fn = &self->fn;
	uint32_t i, s;

	up(_metadata, fn);
	for (i = 0; i < ARRAY_LEN(states); i++) {
		s = states[i];
		if (s >= S_OK)
			drive(fn, F_VERSION_1);
		else if (s == S_FEATURES)
			negotiate(fn, F_VERSION_1);
		else
			put(fn, STATUS, s);
		dirty(fn);
		if (s & 128)
			put(fn, STATUS, s);
		EXPECT_EQ(s, get(fn, STATUS));
		put(fn, STATUS, 0);
		expect_reset(_metadata, fn);
	}
	EXPECT_EQ(S_OK, drive(fn, F_VERSION_1));
}

/* The function is not the device (4.1.4). */
TEST_F(pci, reset_keeps_the_function)
{
	struct fn *fn = &self->fn;

	up_and_drive(_metadata, fn);
	set_msix(fn, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	set_vector(fn, 1, 0xfee01000, 0x41, false);
	cfg_out(fn, PCI_INTERRUPT_LINE, 1, 11);
	set_window(fn, 0, DEVCFG, 4);
	put(fn, STATUS, 0);
	EXPECT_EQ(0, get(fn, STATUS));
	EXPECT_EQ(DECODE, cfg_in(fn, PCI_COMMAND, 2));
	EXPECT_EQ(FN_BAR & 0xffffffff, cfg_in(fn, PCI_BASE_ADDRESS_0, 4) & ~0xfU);
	EXPECT_EQ(11, cfg_in(fn, PCI_INTERRUPT_LINE, 1));
	EXPECT_EQ(PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL | (FN_VECTORS - 1),
		  cfg_in(fn, CAP_MSIX + PCI_MSIX_FLAGS, 2));
	EXPECT_EQ(0x41fee01000ULL - 0x4100000000ULL, bar_in(fn, TABLE + 16, 8));
	EXPECT_EQ(0x41, bar_in(fn, TABLE + 16 + 8, 8));
	EXPECT_EQ(4, cfg_in(fn, CAP_WINDOW + VIRTIO_PCI_CAP_LENGTH, 4));
}

TEST_F(pci, reset_of_a_mute_backend)
{
	struct fn *fn = &self->fn;
	int64_t start;

	up_and_drive(_metadata, fn);
	fn->be->mute_reset = true;
	ASSERT_EQ(0, dev_set_reset_ms(NAME, FN_RESET_MS));
	start = now_ms();
	put(fn, STATUS, 0);
	EXPECT_LE(FN_RESET_MS - 50, now_ms() - start);
	EXPECT_GT(FN_RESET_MS + LIMIT, now_ms() - start);
	expect_reset(_metadata, fn);
	EXPECT_TRUE(be_wait_event(fn->be, VBE_EVENT_REVOKED, 1, LIMIT));
	/* The function is still where it was. */
	EXPECT_EQ(S_FEATURES, negotiate(fn, F_VERSION_1));
}

TEST_F(pci, queue_reset)
{
	struct place p = good_place(1);
	struct fn *fn = &self->fn;

	up_and_drive(_metadata, fn);
	qput(fn, 0, QUEUE_VECTOR, 1);
	qput(fn, 1, QUEUE_VECTOR, 2);
	put(fn, QUEUE_RESET, 0);
	put(fn, QUEUE_RESET, 2);
	EXPECT_EQ(1, get(fn, QUEUE_ENABLE));
	put(fn, QUEUE_RESET, 1);
	expect_fresh(_metadata, fn, 1);
	EXPECT_EQ(1, fn->be->events[VBE_EVENT_QUEUE_STOP]);
	/* The other one does not notice. */
	EXPECT_EQ(1, qget(fn, 0, QUEUE_ENABLE));
	EXPECT_EQ(1, get(fn, QUEUE_VECTOR));
	EXPECT_EQ(S_OK, get(fn, STATUS));
	/* It comes again, with another size. */
	p.num = FN_NUM / 2;
	EXPECT_EQ(1, enable(fn, 1, p));
	EXPECT_EQ(FN_NUM / 2, get(fn, QUEUE_SIZE));
	EXPECT_TRUE(be_wait_event(fn->be, VBE_EVENT_QUEUE, 1, LIMIT));
}

TEST_F(pci, queue_reset_not_negotiated)
{
	struct fn *fn = &self->fn;

	up(_metadata, fn);
	ASSERT_EQ(S_OK, drive(fn, F_VERSION_1));
	qput(fn, 1, QUEUE_RESET, 1);
	EXPECT_EQ(0, get(fn, QUEUE_RESET));
	EXPECT_EQ(1, get(fn, QUEUE_ENABLE));
	EXPECT_EQ(0, fn->be->events[VBE_EVENT_QUEUE_STOP]);
}

TEST_F(pci, queues_that_cannot_stop)
{
	struct fn *fn = &self->fn;

	fn->be->setup_flags = 0;
	up(_metadata, fn);
	EXPECT_EQ(F_VERSION_1 | F_SOME, offered(fn));
	EXPECT_EQ(S_DRIVER, negotiate(fn, F_VERSION_1 | F_RING_RESET));
}

static void *reset_queue(void *arg)
{
	put(arg, QUEUE_RESET, 1);
	return NULL;
}

TEST_F(pci, queue_reset_under_way)
{
	struct fn *fn = &self->fn;
	pthread_t thread;

	up_and_drive(_metadata, fn);
	fn->be->mute_stop = true;
	put(fn, QUEUE_SEL, 1);
	ASSERT_EQ(0, pthread_create(&thread, NULL, reset_queue, fn));
	ASSERT_TRUE(be_wait_event(fn->be, VBE_EVENT_QUEUE_STOP, 1, LIMIT));
	EXPECT_EQ(1, qget(fn, 1, QUEUE_RESET));
	EXPECT_EQ(0, qget(fn, 0, QUEUE_RESET));
	/* Another vCPU that wants the same does not wait. */
	qput(fn, 1, QUEUE_RESET, 1);
	EXPECT_EQ(1, get(fn, QUEUE_RESET));
	/* It ends with who does not answer: vbe_guest_io has the time-out. */
	be_drop(fn->be);
	pthread_join(thread, NULL);
	expect_fresh(_metadata, fn, 1);
}

/* ---- backends come and go -------------------------------------------------------------------- */

TEST_F(pci, backend_lost)
{
	struct fn *fn = &self->fn;

	up_and_drive(_metadata, fn);
	qput(fn, 1, QUEUE_VECTOR, 2);
	be_drop(fn->be);
	EXPECT_TRUE(guest_wait_state(fn->g, fn->dev, VBE_DEV_LOST, LIMIT));
	EXPECT_EQ(0x1af4, cfg_in(fn, PCI_VENDOR_ID, 2));
	EXPECT_EQ(S_OK, get(fn, STATUS));
	EXPECT_EQ(2, qget(fn, 1, QUEUE_VECTOR));
	EXPECT_EQ(good_place(1).desc, get(fn, QUEUE_DESC));
	bar_out(fn, NOTIFY + 4, 2, 1);
	self->next = fn_backend();
	ASSERT_DONE(be_up(self->next, NAME));
	EXPECT_EQ(S_OK, get(fn, STATUS));
	EXPECT_EQ(2, qget(fn, 1, QUEUE_VECTOR));
	EXPECT_EQ(1, get(fn, QUEUE_ENABLE));
}

TEST_F(pci, hidden_and_shown_again)
{
	struct fn *fn = &self->fn;

	fn->be->loss = VBE_LOSS_FAIL;
	up_and_drive(_metadata, fn);
	set_msix(fn, PCI_MSIX_FLAGS_ENABLE);
	set_vector(fn, 0, 0xfee00000, 0x33, false);
	cfg_out(fn, PCI_INTERRUPT_LINE, 1, 5);
	guest_drop_events(fn->g);
	be_drop(fn->be);
	ASSERT_TRUE(guest_wait_state(fn->g, fn->dev, VBE_DEV_EMPTY, LIMIT));
	EXPECT_EQ(ALL_ONES, cfg_in(fn, PCI_VENDOR_ID, 4));
	EXPECT_FALSE(decoded(fn, FN_BAR));
	EXPECT_EQ(0, wait_region(fn, 0, 0));
	self->next = fn_backend();
	ASSERT_DONE(be_up(self->next, NAME));
	EXPECT_EQ(0x1af4, cfg_in(fn, PCI_VENDOR_ID, 2));
	EXPECT_EQ(0, cfg_in(fn, PCI_COMMAND, 2));
	EXPECT_EQ(PCI_BASE_ADDRESS_MEM_TYPE_64, cfg_in(fn, PCI_BASE_ADDRESS_0, 4));
	EXPECT_EQ(0, cfg_in(fn, PCI_INTERRUPT_LINE, 1));
	EXPECT_EQ(FN_VECTORS - 1, cfg_in(fn, CAP_MSIX + PCI_MSIX_FLAGS, 2));
	EXPECT_FALSE(decoded(fn, FN_BAR));
	place_bar(fn, FN_BAR);
	EXPECT_EQ(0, bar_in(fn, TABLE, 8));
	EXPECT_EQ(1ULL << 32, bar_in(fn, TABLE + 8, 8));
	expect_reset(_metadata, fn);
	EXPECT_EQ(S_OK, drive(fn, F_VERSION_1));
}

TEST_F(pci, deleted)
{
	struct fn *fn = &self->fn;

	up_and_drive(_metadata, fn);
	ASSERT_DONE(guest_dev_del(fn->g, fn->dev));
	EXPECT_FALSE(decoded(fn, FN_BAR));
	cfg_in(fn, PCI_VENDOR_ID, 4);
	EXPECT_EQ(-ENOENT, fn->g->last);
	EXPECT_TRUE(be_wait_event(fn->be, VBE_EVENT_GONE, 1, LIMIT));
}

/* ---- all together --------------------------------------------------------------------------- */

/* A random read from the device, with everything that goes with it. */
static void round_trips(struct __test_metadata *_metadata, struct fn *fn, struct drv *d,
			uint32_t flags)
{
	struct drv_buf buf = { .len = 64 };
	uint64_t token;
	uint32_t len, i;
	uint8_t *p;

	ASSERT_DONE(be_up(fn->be, NAME));
	drv_init(d, fn->g, fn->dev, "pci", FN_BDF, flags);
	drv_arena(d, FN_MEM, FN_MEM_LEN);
	ASSERT_DONE(drv_up(d, 0, FN_QUEUES, FN_NUM));
	buf.addr = drv_alloc(d, buf.len, 16);
	p = drv_ptr(d, buf.addr, buf.len);
	ASSERT_NE(NULL, p);
	for (i = 0; i < 40; i++) {
		p[63] = 0;
		ASSERT_DONE(drv_add(d, i % FN_QUEUES, &buf, 0, 1, i));
		ASSERT_DONE(drv_kick(d, i % FN_QUEUES));
		ASSERT_EQ(1, drv_wait(d, i % FN_QUEUES, &token, &len, LIMIT));
		EXPECT_EQ(i, token);
		EXPECT_EQ(BE_RNG_BYTE, p[63]);
	}
}

TEST_F(pci, works_by_msix)
{
	round_trips(_metadata, &self->fn, &self->drv, 0);
}

TEST_F(pci, works_by_msix_events)
{
	round_trips(_metadata, &self->fn, &self->drv, DRV_F_EVENTS);
}

TEST_F(pci, works_by_intx)
{
	round_trips(_metadata, &self->fn, &self->drv, DRV_F_INTX);
}

TEST_F(pci, works_by_ioeventfd)
{
	round_trips(_metadata, &self->fn, &self->drv, DRV_F_KICK_FD);
}

struct vcpu {
	struct fn fn;
	uint32_t seed;
	volatile bool *stop;
	volatile uint32_t n;
	pthread_t thread;
};

static uint32_t dice(struct vcpu *v, uint32_t sides)
{
	v->seed = v->seed * 1103515245 + 12345;
	return (v->seed >> 16) % sides;
}

static void do_something(struct vcpu *v)
{
	static const uint64_t places[] = { FN_BAR, 0x90000000, MMIO_BASE, 0, ~0ULL };
	static const uint16_t bars[] = { COMMON, COMMON, ISR, DEVCFG, NOTIFY, TABLE, PBA };
	uint32_t len = 1U << dice(v, 4), at;

	switch (dice(v, 8)) {
	case 0:
		cfg_out(&v->fn, 4 * dice(v, 0x2c), len, v->seed);
		break;
	case 1:
		cfg_in(&v->fn, dice(v, 0xb0), len);
		break;
	case 2:
		place_bar(&v->fn, places[dice(v, ARRAY_LEN(places))]);
		break;
	case 3:
		drive(&v->fn, F_VERSION_1 | F_RING_RESET);
		break;
	case 4:
		qput(&v->fn, dice(v, 3), QUEUE_RESET, 1);
		break;
	default:
		at = bars[dice(v, ARRAY_LEN(bars))] + dice(v, 0x48);
		if (dice(v, 2))
			bar_out(&v->fn, at, len, v->seed);
		else
			bar_in(&v->fn, at, len);
	}
	v->fn.bar = FN_BAR;
}

static void *run_vcpu(void *arg)
{
	struct vcpu *v = arg;

	while (!*v->stop) {
		do_something(v);
		v->n++;
	}
	return NULL;
}

static bool has_run(void *arg)
{
	return ((struct vcpu *)arg)->n > 10;
}

/* Whatever they do to each other: afterwards the function works. */
TEST_F_TIMEOUT(pci, many_vcpus, 3600)
{
	unsigned int ms = 1000 * env_seconds("VBE_RACE_SECONDS", 3);
	struct vcpu vcpus[4] = { };
	volatile bool stop = false;
	struct fn *fn = &self->fn;
	uint32_t i;

	ASSERT_DONE(guest_dev_add(fn->g, NAME "-mmio", "mmio", MMIO_BASE));
	up_and_drive(_metadata, fn);
	for (i = 0; i < ARRAY_LEN(vcpus); i++) {
		vcpus[i].fn = *fn;
		vcpus[i].seed = i + 1;
		vcpus[i].stop = &stop;
		ASSERT_EQ(0, pthread_create(&vcpus[i].thread, NULL, run_vcpu, &vcpus[i]));
	}
	sleep_ms(ms);
	for (i = 0; i < ARRAY_LEN(vcpus); i++)
		EXPECT_TRUE(wait_until(has_run, &vcpus[i], LIMIT));
	stop = true;
	for (i = 0; i < ARRAY_LEN(vcpus); i++)
		pthread_join(vcpus[i].thread, NULL);
	place_bar(fn, FN_BAR);
	EXPECT_EQ(FN_QUEUES, get(fn, NUM_QUEUES));
	EXPECT_EQ(S_OK, drive(fn, F_VERSION_1));
	place_bar(fn, 0x90000000);
	EXPECT_FALSE(decoded(fn, FN_BAR));
	EXPECT_EQ(S_OK, get(fn, STATUS));
	/* Rings that others wrote to while it ran are no fault of the backend's. */
	fn->be->broken = NULL;
}

TEST_HARNESS_MAIN
