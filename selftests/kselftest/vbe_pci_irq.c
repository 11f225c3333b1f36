// SPDX-License-Identifier: GPL-2.0
/*
 * Transport "pci": interrupts. MSI-X table, masks and pending bits, messages by event and
 * by eventfd, INTx with ISR status, EOI. The rest is in vbe_pci.c.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include <linux/pci_regs.h>

#include "kselftest_harness.h"

#include "check.h"
#include "pcifn.h"

#define NAME		"kst-pci-irq"
#define ADDR		0xfee00000ULL
#define HIGH_ADDR	0x1fee00000ULL
#define DATA		0x4040
#define ALL_ONES	0xffffffffU
#define ON		PCI_MSIX_FLAGS_ENABLE
#define MASKALL		PCI_MSIX_FLAGS_MASKALL
#define DECODE		(PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER)

#define ISR_QUEUE	1
#define ISR_CONFIG	2

FIXTURE(irq)
{
	struct fn fn;
	int line;
	int msi;
};

/* Up to DRIVER_OK: no vector assigned, MSI-X disabled. */
FIXTURE_SETUP(irq)
{
	struct fn *fn = &self->fn;

	ASSERT_DONE(fn_new(fn, NAME));
	self->line = guest_eventfd();
	self->msi = guest_eventfd();
	ASSERT_DONE(be_up(fn->be, NAME));
	place_bar(fn, FN_BAR);
	ASSERT_EQ(S_OK, drive(fn, F_VERSION_1 | F_RING_RESET));
	guest_drop_events(fn->g);
}

FIXTURE_TEARDOWN(irq)
{
	EXPECT_EQ(NULL, self->fn.be->broken)
		TH_LOG("backend: %s", self->fn.be->broken);
	fn_free(&self->fn);
	close(self->line);
	close(self->msi);
}

/* Queue q has vector q + 1, config has vector 0. */
static void vectors_on(struct fn *fn)
{
	uint32_t i;

	set_msix(fn, ON);
	put(fn, CONFIG_VECTOR, 0);
	for (i = 0; i < FN_QUEUES; i++)
		qput(fn, i, QUEUE_VECTOR, i + 1);
	for (i = 0; i < FN_VECTORS; i++)
		set_vector(fn, i, ADDR + 0x1000 * i, DATA + i, false);
	guest_drop_events(fn->g);
}

/* Whether vector @vector fires within @ms, with the message of vectors_on(). */
static bool fired(struct fn *fn, uint32_t vector, int ms)
{
	struct vbe_guest_event ev;

	return !guest_wait_indexed(fn->g, VBE_GUEST_EVENT_MSI, fn->dev, vector, &ev, ms) &&
	       ev.data[0] == ADDR + 0x1000 * vector && ev.data[1] == DATA + vector;
}

static bool any_fired(struct fn *fn)
{
	struct vbe_guest_event ev;

	return !guest_wait_event(fn->g, VBE_GUEST_EVENT_MSI, GUEST_ANY, &ev, QUIET);
}

static uint32_t isr(struct fn *fn)
{
	return bar_in(fn, ISR, 1);
}

static bool level(struct fn *fn)
{
	struct vbe_guest_dev_info info;

	return guest_dev_info(fn->g, fn->dev, &info) >= 0 &&
	       (info.flags & VBE_GUEST_INFO_F_LINE);
}

/* ---- the table --------------------------------------------------------------------- */

static int vector_told(struct fn *fn, uint32_t vector, struct vbe_guest_event *ev, int ms)
{
	return guest_wait_indexed(fn->g, VBE_GUEST_EVENT_VECTOR, fn->dev, vector, ev, ms);
}

TEST_F(irq, table)
{
	struct fn *fn = &self->fn;
	uint32_t i, at;

	for (i = 0; i < FN_VECTORS; i++) {
		at = TABLE + 16 * i;
		/* As after power-on: masked. */
		EXPECT_EQ(0, bar_in(fn, at, 8));
		EXPECT_EQ(1ULL << 32, bar_in(fn, at + 8, 8));
		bar_out(fn, at, 4, ALL_ONES);
		EXPECT_EQ(ALL_ONES - 3, bar_in(fn, at, 4));
		bar_out(fn, at + 4, 4, 0x12345678);
		bar_out(fn, at + 8, 4, ALL_ONES);
		bar_out(fn, at + 12, 4, ALL_ONES - 1);
		EXPECT_EQ(0x12345678fffffffcULL, bar_in(fn, at, 8));
		EXPECT_EQ(0xffffffffULL, bar_in(fn, at + 8, 8));
		bar_out(fn, at + 12, 4, ALL_ONES);
		EXPECT_EQ(1, bar_in(fn, at + 12, 4));
		bar_out(fn, at, 8, ADDR + i);
		EXPECT_EQ((ADDR + i) & ~3ULL, bar_in(fn, at, 8));
		bar_out(fn, at + 8, 8, DATA + i);
		EXPECT_EQ(DATA + i, bar_in(fn, at + 8, 8));
	}
}

TEST_F(irq, table_sizes)
{
	struct fn *fn = &self->fn;
	uint64_t before;
	uint32_t i;

	set_vector(fn, 1, HIGH_ADDR, DATA, false);
	before = bar_in(fn, TABLE + 16, 8);
	EXPECT_EQ(HIGH_ADDR, before);
	for (i = 0; i < 16; i++) {
		bar_out(fn, TABLE + 16 + i, 1, 0x55);
		bar_out(fn, TABLE + 16 + i, 2, 0x5555);
		EXPECT_EQ(0xff, bar_in(fn, TABLE + 16 + i, 1));
		EXPECT_EQ(0xffff, bar_in(fn, TABLE + 16 + i, 2));
		if (i % 4) {
			bar_out(fn, TABLE + 16 + i, 4, 0x55555555);
			EXPECT_EQ(ALL_ONES, bar_in(fn, TABLE + 16 + i, 4));
		}
		if (i % 8) {
			bar_out(fn, TABLE + 16 + i, 8, 0x55555555);
			EXPECT_EQ(~0ULL, bar_in(fn, TABLE + 16 + i, 8));
		}
	}
	EXPECT_EQ(before, bar_in(fn, TABLE + 16, 8));
	EXPECT_EQ(DATA, bar_in(fn, TABLE + 24, 8));
	EXPECT_EQ(0, bar_in(fn, TABLE, 8));
	EXPECT_EQ(0, bar_in(fn, TABLE + 32, 8));
}

TEST_F(irq, vectors_are_told)
{
	struct fn *fn = &self->fn;
	struct vbe_guest_event ev;

	set_vector(fn, 2, HIGH_ADDR, DATA, false);
	ASSERT_EQ(0, vector_told(fn, 2, &ev, LIMIT));
	EXPECT_EQ(HIGH_ADDR, ev.data[0]);
	EXPECT_EQ(DATA, ev.data[1]);
	EXPECT_EQ(0, ev.data[2]);
	bar_out(fn, TABLE + 32 + 12, 4, 1);
	ASSERT_EQ(0, vector_told(fn, 2, &ev, LIMIT));
	EXPECT_EQ(HIGH_ADDR, ev.data[0]);
	EXPECT_EQ(1, ev.data[2]);
	/* Nothing new, or nothing that counts. */
	set_vector(fn, 2, HIGH_ADDR, DATA, true);
	bar_out(fn, TABLE + 32 + 12, 4, 3);
	bar_in(fn, TABLE, 8);
	set_msix(fn, ON);
	EXPECT_EQ(-ETIMEDOUT, vector_told(fn, GUEST_ANY, &ev, QUIET));
}

TEST_F(irq, vector_fields)
{
	static const uint32_t bad[] = { FN_VECTORS, 0x100, 0x101, 0x7ff, 0x8000, 0xfffe, 0xffff };
	struct fn *fn = &self->fn;
	struct vbe_guest_queue_info info;
	uint32_t i;

	EXPECT_EQ(NO_VECTOR, get(fn, CONFIG_VECTOR));
	ASSERT_DONE(guest_queue_info(fn->g, fn->dev, 1, &info));
	EXPECT_EQ(VBE_NO_QUEUE, info.vector);
	for (i = 0; i < FN_VECTORS; i++) {
		put(fn, CONFIG_VECTOR, i);
		EXPECT_EQ(i, get(fn, CONFIG_VECTOR));
		qput(fn, 1, QUEUE_VECTOR, i);
		EXPECT_EQ(i, get(fn, QUEUE_VECTOR));
		ASSERT_DONE(guest_queue_info(fn->g, fn->dev, 1, &info));
		EXPECT_EQ(i, info.vector);
	}
	for (i = 0; i < ARRAY_LEN(bad); i++) {
		put(fn, CONFIG_VECTOR, 1);
		put(fn, CONFIG_VECTOR, bad[i]);
		EXPECT_EQ(NO_VECTOR, get(fn, CONFIG_VECTOR));
		qput(fn, 1, QUEUE_VECTOR, 1);
		put(fn, QUEUE_VECTOR, bad[i]);
		EXPECT_EQ(NO_VECTOR, get(fn, QUEUE_VECTOR));
	}
	EXPECT_EQ(NO_VECTOR, qget(fn, 0, QUEUE_VECTOR));
}

/* ---- messages ----------------------------------------------------------------------- */

TEST_F(irq, messages)
{
	struct fn *fn = &self->fn;

	vectors_on(fn);
	ASSERT_DONE(call_queue(fn, 0));
	EXPECT_TRUE(fired(fn, 1, LIMIT));
	ASSERT_DONE(call_by_fd(fn, 1));
	EXPECT_TRUE(fired(fn, 2, LIMIT));
	ASSERT_DONE(change_config(fn, 0, 1));
	EXPECT_TRUE(fired(fn, 0, LIMIT));
	EXPECT_FALSE(any_fired(fn));
	/* Of queues, ISR does not tell; of the configuration, it does (4.1.4.5.1). */
	EXPECT_FALSE(level(fn));
	EXPECT_EQ(0, cfg_in(fn, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	EXPECT_EQ(ISR_CONFIG, isr(fn));
	EXPECT_EQ(0, isr(fn));
	/* Two queues on one vector, and config too. */
	qput(fn, 0, QUEUE_VECTOR, 2);
	put(fn, CONFIG_VECTOR, 2);
	ASSERT_DONE(call_queue(fn, 0));
	EXPECT_TRUE(fired(fn, 2, LIMIT));
	ASSERT_DONE(call_queue(fn, 1));
	EXPECT_TRUE(fired(fn, 2, LIMIT));
	ASSERT_DONE(change_config(fn, 0, 2));
	EXPECT_TRUE(fired(fn, 2, LIMIT));
	EXPECT_EQ(0, pending(fn));
}

TEST_F(irq, message_eventfd)
{
	struct fn *fn = &self->fn;

	vectors_on(fn);
	ASSERT_DONE(guest_set_fd(fn->g, fn->dev, VBE_GUEST_FD_MSI, 2, self->msi));
	ASSERT_DONE(call_queue(fn, 1));
	EXPECT_EQ(1, guest_eventfd_wait(self->msi, LIMIT));
	ASSERT_DONE(call_by_fd(fn, 1));
	EXPECT_EQ(1, guest_eventfd_wait(self->msi, LIMIT));
	/* Masking holds it back all the same. */
	set_vector(fn, 2, ADDR, DATA, true);
	ASSERT_DONE(call_queue(fn, 1));
	ASSERT_DONE(call_by_fd(fn, 1));
	EXPECT_EQ(0, guest_eventfd_wait(self->msi, QUIET));
	EXPECT_EQ(1ULL << 2, pending(fn));
	set_vector(fn, 2, ADDR, DATA, false);
	EXPECT_EQ(1, guest_eventfd_wait(self->msi, LIMIT));
	EXPECT_EQ(0, guest_eventfd_wait(self->msi, QUIET));
	EXPECT_FALSE(any_fired(fn));
	ASSERT_DONE(guest_set_fd(fn->g, fn->dev, VBE_GUEST_FD_MSI, 2, -1));
	set_vector(fn, 2, ADDR + 0x2000, DATA + 2, false);
	ASSERT_DONE(call_queue(fn, 1));
	EXPECT_TRUE(fired(fn, 2, LIMIT));
}

TEST_F(irq, no_vector)
{
	struct fn *fn = &self->fn;

	vectors_on(fn);
	put(fn, CONFIG_VECTOR, NO_VECTOR);
	qput(fn, 1, QUEUE_VECTOR, NO_VECTOR);
	ASSERT_DONE(call_queue(fn, 1));
	ASSERT_DONE(change_config(fn, 0, 1));
	EXPECT_FALSE(any_fired(fn));
	EXPECT_FALSE(level(fn));
	EXPECT_EQ(0, pending(fn));
	EXPECT_EQ(ISR_CONFIG, isr(fn));
}

TEST_F(irq, masked_vector)
{
	struct fn *fn = &self->fn;
	uint32_t i;

	vectors_on(fn);
	set_vector(fn, 1, ADDR + 0x1000, DATA + 1, true);
	for (i = 0; i < 5; i++)
		ASSERT_DONE(i & 1 ? call_by_fd(fn, 0) : call_queue(fn, 0));
	EXPECT_EQ(1ULL << 1, pending(fn));
	EXPECT_FALSE(any_fired(fn));
	/* Others are not held back. */
	ASSERT_DONE(call_queue(fn, 1));
	EXPECT_TRUE(fired(fn, 2, LIMIT));
	EXPECT_EQ(1ULL << 1, pending(fn));
	/* The message is that of when it is sent; one stands for all. */
	bar_out(fn, TABLE + 16 + 8, 4, 0x77);
	bar_out(fn, TABLE + 16 + 8, 4, DATA + 1);
	bar_out(fn, TABLE + 16 + 12, 4, 0);
	EXPECT_TRUE(fired(fn, 1, LIMIT));
	EXPECT_EQ(0, pending(fn));
	EXPECT_FALSE(any_fired(fn));
	/* Masked and unmasked with nothing pending. */
	bar_out(fn, TABLE + 16 + 12, 4, 1);
	bar_out(fn, TABLE + 16 + 12, 4, 0);
	EXPECT_FALSE(any_fired(fn));
}

TEST_F(irq, masked_function)
{
	struct fn *fn = &self->fn;

	vectors_on(fn);
	set_msix(fn, ON | MASKALL);
	set_vector(fn, 2, ADDR + 0x2000, DATA + 2, true);
	ASSERT_DONE(call_queue(fn, 0));
	ASSERT_DONE(call_queue(fn, 1));
	ASSERT_DONE(change_config(fn, 1, 1));
	EXPECT_EQ(7, pending(fn));
	EXPECT_FALSE(any_fired(fn));
	/* Two masks: both must go. */
	set_msix(fn, ON);
	EXPECT_TRUE(fired(fn, 0, LIMIT));
	EXPECT_TRUE(fired(fn, 1, LIMIT));
	EXPECT_EQ(4, pending(fn));
	EXPECT_FALSE(any_fired(fn));
	set_msix(fn, ON | MASKALL);
	set_vector(fn, 2, ADDR + 0x2000, DATA + 2, false);
	EXPECT_FALSE(any_fired(fn));
	set_msix(fn, ON);
	EXPECT_TRUE(fired(fn, 2, LIMIT));
	EXPECT_EQ(0, pending(fn));
}

TEST_F(irq, bus_master)
{
	struct fn *fn = &self->fn;

	vectors_on(fn);
	set_command(fn, PCI_COMMAND_MEMORY);
	ASSERT_DONE(call_queue(fn, 0));
	ASSERT_DONE(call_by_fd(fn, 1));
	EXPECT_EQ(6, pending(fn));
	EXPECT_FALSE(any_fired(fn));
	set_command(fn, DECODE);
	EXPECT_TRUE(fired(fn, 1, LIMIT));
	EXPECT_TRUE(fired(fn, 2, LIMIT));
	EXPECT_EQ(0, pending(fn));
}

TEST_F(irq, pending_is_forgotten)
{
	struct fn *fn = &self->fn;

	vectors_on(fn);
	set_msix(fn, ON | MASKALL);
	ASSERT_DONE(call_queue(fn, 0));
	EXPECT_EQ(2, pending(fn));
	/* By disabling MSI-X; */
	set_msix(fn, 0);
	EXPECT_EQ(0, pending(fn));
	set_msix(fn, ON);
	EXPECT_FALSE(any_fired(fn));
	/* by a reset of the device. */
	set_msix(fn, ON | MASKALL);
	ASSERT_DONE(call_queue(fn, 0));
	ASSERT_DONE(change_config(fn, 0, 7));
	EXPECT_EQ(3, pending(fn));
	put(fn, STATUS, 0);
	EXPECT_EQ(0, pending(fn));
	EXPECT_EQ(0, isr(fn));
	set_msix(fn, ON);
	EXPECT_FALSE(any_fired(fn));
}

TEST_F(irq, pending_bits)
{
	struct fn *fn = &self->fn;

	vectors_on(fn);
	set_msix(fn, ON | MASKALL);
	ASSERT_DONE(call_queue(fn, 0));
	bar_out(fn, PBA, 8, ~0ULL);
	bar_out(fn, PBA, 4, 0);
	EXPECT_EQ(2, bar_in(fn, PBA, 8));
	EXPECT_EQ(2, bar_in(fn, PBA, 4));
	EXPECT_EQ(0, bar_in(fn, PBA + 4, 4));
	EXPECT_EQ(0, bar_in(fn, PBA + 8, 8));
	EXPECT_EQ(0xff, bar_in(fn, PBA, 1));
	EXPECT_EQ(0xffff, bar_in(fn, PBA, 2));
	EXPECT_EQ(ALL_ONES, bar_in(fn, PBA + 2, 4));
	EXPECT_EQ(~0ULL, bar_in(fn, PBA + 4, 8));
}

struct masker {
	struct fn *fn;
	volatile bool stop;
	uint32_t n;
};

/* Each of the three, again and again; in the end none. */
static void *run_masker(void *arg)
{
	struct masker *m = arg;

	while (!m->stop) {
		bar_out(m->fn, TABLE + 16 + 12, 4, 1);
		bar_out(m->fn, TABLE + 16 + 12, 4, 0);
		set_msix(m->fn, ON | MASKALL);
		set_msix(m->fn, ON);
		set_command(m->fn, PCI_COMMAND_MEMORY);
		set_command(m->fn, DECODE);
		m->n++;
	}
	return NULL;
}

TEST_F(irq, masks_lose_nothing)
{
	struct fn *fn = &self->fn;
	struct masker m = { .fn = fn };
	pthread_t thread;
	uint32_t i;

	vectors_on(fn);
	ASSERT_DONE(guest_set_fd(fn->g, fn->dev, VBE_GUEST_FD_MSI, 1, self->msi));
	ASSERT_EQ(0, pthread_create(&thread, NULL, run_masker, &m));
	for (i = 0; i < 2000; i++) {
		/* One that came late belongs to the call before. */
		while (guest_eventfd_wait(self->msi, 0))
			;
		EXPECT_DONE(i & 1 ? call_by_fd(fn, 0) : call_queue(fn, 0));
		EXPECT_LE(1, guest_eventfd_wait(self->msi, LIMIT))
			break;
	}
	m.stop = true;
	pthread_join(thread, NULL);
	EXPECT_LT(10, m.n);
	EXPECT_EQ(2000, i);
	EXPECT_EQ(0, pending(fn));
}

/* As many as there can be. */
TEST_F(irq, many_vectors)
{
	struct good_setup *s = calloc(1, sizeof(*s));
	struct fn *fn = &self->fn;
	struct vbe_guest_event ev;
	uint64_t at = FN_MEM + 0x40000;
	uint32_t i;
	int fd;

	ASSERT_NE(NULL, s);
	fn->bdf = 0x100;
	fn->dev = guest_dev_add(fn->g, NAME "-big", "pci", fn->bdf);
	ASSERT_DONE(fn->dev);
	good_setup(s);
	s->s.n_queues = VBE_MAX_QUEUES;
	for (i = 0; i < VBE_MAX_QUEUES; i++)
		s->sizes[i] = 64;
	fd = dev_open(NAME "-big");
	ASSERT_DONE(fd);
	ASSERT_DONE(xioctl(fd, VBE_IOC_DEV_SETUP, s));
	ASSERT_DONE(dev_simple(fd, VBE_IOC_DEV_ONLINE));
	place_bar(fn, FN_BAR + BAR_LEN);
	EXPECT_EQ(VBE_MAX_QUEUES, cfg_in(fn, CAP_MSIX + PCI_MSIX_FLAGS, 2));
	ASSERT_EQ(S_FEATURES, negotiate(fn, F_VERSION_1));
	EXPECT_EQ(256, get(fn, NUM_QUEUES));
	qput(fn, 255, QUEUE_VECTOR, 257);
	EXPECT_EQ(NO_VECTOR, get(fn, QUEUE_VECTOR));
	put(fn, QUEUE_VECTOR, 256);
	EXPECT_EQ(256, get(fn, QUEUE_VECTOR));
	EXPECT_EQ(255, get(fn, QUEUE_NOFF));
	ASSERT_EQ(1, enable(fn, 255, (struct place){ 64, at, at + 0x1000, at + 0x2000 }));
	put(fn, STATUS, S_OK);
	set_msix(fn, ON);
	EXPECT_EQ(1, bar_in(fn, TABLE + 16 * 256 + 12, 4));
	EXPECT_EQ(ALL_ONES, bar_in(fn, TABLE + 16 * 257, 4));
	ASSERT_DONE(xioctl(fd, VBE_IOC_QUEUE_CALL, (void *)255UL));
	EXPECT_EQ(1, bar_in(fn, PBA + 32, 8));
	EXPECT_EQ(0, bar_in(fn, PBA, 8));
	set_vector(fn, 256, HIGH_ADDR, DATA, false);
	ASSERT_EQ(0, guest_wait_indexed(fn->g, VBE_GUEST_EVENT_MSI, fn->dev, 256, &ev, LIMIT));
	EXPECT_EQ(HIGH_ADDR, ev.data[0]);
	EXPECT_EQ(DATA, ev.data[1]);
	EXPECT_EQ(0, bar_in(fn, PBA + 32, 8));
	close(fd);
	free(s);
}

/* ---- INTx ----------------------------------------------------------------------------- */

TEST_F(irq, line)
{
	struct fn *fn = &self->fn;

	ASSERT_DONE(guest_set_fd(fn->g, fn->dev, VBE_GUEST_FD_LINE, 0, self->line));
	EXPECT_FALSE(level(fn));
	ASSERT_DONE(call_queue(fn, 0));
	EXPECT_EQ(1, guest_eventfd_wait(self->line, LIMIT));
	EXPECT_TRUE(level(fn));
	EXPECT_EQ(PCI_STATUS_INTERRUPT, cfg_in(fn, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	/* High already. */
	ASSERT_DONE(call_by_fd(fn, 1));
	ASSERT_DONE(change_config(fn, 0, 1));
	EXPECT_EQ(0, guest_eventfd_wait(self->line, QUIET));
	EXPECT_EQ(ISR_QUEUE | ISR_CONFIG, isr(fn));
	EXPECT_FALSE(level(fn));
	EXPECT_EQ(0, cfg_in(fn, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	EXPECT_EQ(0, isr(fn));
	ASSERT_DONE(call_by_fd(fn, 1));
	EXPECT_EQ(1, guest_eventfd_wait(self->line, LIMIT));
	EXPECT_EQ(ISR_QUEUE, isr(fn));
	EXPECT_FALSE(any_fired(fn));
}

TEST_F(irq, line_events)
{
	struct fn *fn = &self->fn;
	struct vbe_guest_event ev;

	ASSERT_DONE(call_queue(fn, 0));
	ASSERT_EQ(0, guest_wait_event(fn->g, VBE_GUEST_EVENT_LINE, fn->dev, &ev, LIMIT));
	EXPECT_EQ(1, ev.data[0]);
	EXPECT_EQ(ISR_QUEUE, isr(fn));
	ASSERT_EQ(0, guest_wait_event(fn->g, VBE_GUEST_EVENT_LINE, fn->dev, &ev, LIMIT));
	EXPECT_EQ(0, ev.data[0]);
}

TEST_F(irq, isr_sizes)
{
	struct fn *fn = &self->fn;

	ASSERT_DONE(call_queue(fn, 0));
	EXPECT_EQ(0xffff, bar_in(fn, ISR, 2));
	EXPECT_EQ(ALL_ONES, bar_in(fn, ISR, 4));
	bar_out(fn, ISR, 1, 0);
	EXPECT_TRUE(level(fn));
	EXPECT_EQ(ISR_QUEUE, isr(fn));
}

TEST_F(irq, intx_disable)
{
	struct fn *fn = &self->fn;

	ASSERT_DONE(guest_set_fd(fn->g, fn->dev, VBE_GUEST_FD_LINE, 0, self->line));
	set_command(fn, DECODE | PCI_COMMAND_INTX_DISABLE);
	ASSERT_DONE(call_queue(fn, 0));
	EXPECT_FALSE(level(fn));
	EXPECT_EQ(0, guest_eventfd_wait(self->line, QUIET));
	/* The bit in STATUS is not the line. */
	EXPECT_EQ(PCI_STATUS_INTERRUPT, cfg_in(fn, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	set_command(fn, DECODE);
	EXPECT_TRUE(level(fn));
	EXPECT_EQ(1, guest_eventfd_wait(self->line, LIMIT));
	set_command(fn, DECODE | PCI_COMMAND_INTX_DISABLE);
	EXPECT_FALSE(level(fn));
	EXPECT_EQ(ISR_QUEUE, isr(fn));
	set_command(fn, DECODE);
	EXPECT_FALSE(level(fn));
}

TEST_F(irq, msix_lowers_the_line)
{
	struct fn *fn = &self->fn;

	ASSERT_DONE(call_queue(fn, 0));
	EXPECT_TRUE(level(fn));
	set_msix(fn, ON | MASKALL);
	EXPECT_FALSE(level(fn));
	EXPECT_EQ(0, cfg_in(fn, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	set_msix(fn, 0);
	EXPECT_TRUE(level(fn));
	EXPECT_EQ(ISR_QUEUE, isr(fn));
	EXPECT_FALSE(level(fn));
}

TEST_F(irq, end_of_interrupt)
{
	struct fn *fn = &self->fn;
	int resample = guest_eventfd();
	uint64_t one = 1;

	ASSERT_DONE(guest_set_fd(fn->g, fn->dev, VBE_GUEST_FD_LINE, 0, self->line));
	ASSERT_DONE(guest_eoi(fn->g, fn->dev));
	EXPECT_EQ(0, guest_eventfd_wait(self->line, QUIET));
	ASSERT_DONE(call_queue(fn, 0));
	EXPECT_EQ(1, guest_eventfd_wait(self->line, LIMIT));
	/* Still high: again, until it has been read. */
	ASSERT_DONE(guest_eoi(fn->g, fn->dev));
	EXPECT_EQ(1, guest_eventfd_wait(self->line, LIMIT));
	ASSERT_DONE(guest_set_fd(fn->g, fn->dev, VBE_GUEST_FD_RESAMPLE, 0, resample));
	ASSERT_EQ(sizeof(one), write(resample, &one, sizeof(one)));
	EXPECT_EQ(1, guest_eventfd_wait(self->line, LIMIT));
	EXPECT_EQ(ISR_QUEUE, isr(fn));
	ASSERT_EQ(sizeof(one), write(resample, &one, sizeof(one)));
	ASSERT_DONE(guest_eoi(fn->g, fn->dev));
	EXPECT_EQ(0, guest_eventfd_wait(self->line, QUIET));
	close(resample);
}

TEST_F(irq, reset_lowers_the_line)
{
	struct fn *fn = &self->fn;
	struct vbe_guest_event ev;

	ASSERT_DONE(call_queue(fn, 0));
	ASSERT_DONE(change_config(fn, 0, 1));
	EXPECT_TRUE(level(fn));
	guest_drop_events(fn->g);
	put(fn, STATUS, 0);
	EXPECT_FALSE(level(fn));
	ASSERT_EQ(0, guest_wait_event(fn->g, VBE_GUEST_EVENT_LINE, fn->dev, &ev, LIMIT));
	EXPECT_EQ(0, ev.data[0]);
	EXPECT_EQ(0, isr(fn));
}

/* A driver that is not ready is not interrupted (3.1.1). */
TEST_F(irq, too_early)
{
	struct fn *fn = &self->fn;

	put(fn, STATUS, 0);
	ASSERT_DONE(call_queue(fn, 0));
	ASSERT_DONE(change_config(fn, 0, 1));
	EXPECT_EQ(0, isr(fn));
	ASSERT_EQ(S_FEATURES, negotiate(fn, F_VERSION_1));
	ASSERT_EQ(1, enable(fn, 0, good_place(0)));
	vectors_on(fn);
	ASSERT_DONE(call_queue(fn, 0));
	EXPECT_FALSE(any_fired(fn));
	EXPECT_EQ(0, pending(fn));
	/* What it has read of config, it must learn the change of. */
	ASSERT_DONE(change_config(fn, 0, 2));
	EXPECT_TRUE(fired(fn, 0, LIMIT));
	put(fn, STATUS, S_OK);
	ASSERT_DONE(call_queue(fn, 0));
	EXPECT_TRUE(fired(fn, 1, LIMIT));
	/* A queue that was not enabled, or was stopped, has nothing to say. */
	ASSERT_DONE(call_queue(fn, 1));
	EXPECT_FALSE(any_fired(fn));
}

TEST_F(irq, stopped_queue)
{
	struct fn *fn = &self->fn;

	vectors_on(fn);
	qput(fn, 1, QUEUE_RESET, 1);
	EXPECT_EQ(NO_VECTOR, get(fn, QUEUE_VECTOR));
	ASSERT_DONE(call_queue(fn, 1));
	EXPECT_FALSE(any_fired(fn));
	EXPECT_EQ(0, pending(fn));
	ASSERT_EQ(1, enable(fn, 1, good_place(1)));
	qput(fn, 1, QUEUE_VECTOR, 2);
	ASSERT_DONE(call_queue(fn, 1));
	EXPECT_TRUE(fired(fn, 2, LIMIT));
}

TEST_HARNESS_MAIN
