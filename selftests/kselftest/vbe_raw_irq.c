// SPDX-License-Identifier: GPL-2.0
/*
 * Transport "raw": interrupts by eventfd. Edges, levels with resample, messages, and how
 * an index is made to interrupt otherwise while something is pending.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "check.h"
#include "emu.h"

#define NAME	"kst-raw-irq"
#define ADDR	0xfee01000ULL

FIXTURE(irq)
{
	struct emu *emu;
	struct guest *g;
	int fd;
	int dev;
	int irq;	/* the emulator's eventfds */
	int resample;
	int line;	/* the VMM's, given by listen_line() */
};

FIXTURE_SETUP(irq)
{
	self->emu = emu_new(NAME, 0, EMU_TIMEOUT_MS);
	ASSERT_NE(NULL, self->emu)
		TH_LOG("no raw device: %s", strerror(errno));
	self->g = self->emu->g;
	self->dev = self->emu->dev;
	ASSERT_DONE(emu_up(self->emu));
	self->fd = self->emu->fd;
	self->irq = guest_eventfd();
	self->resample = guest_eventfd();
	self->line = guest_eventfd();
	guest_drop_events(self->g);
}

FIXTURE_TEARDOWN(irq)
{
	emu_free(self->emu);
}

static void ring(int fd)
{
	eventfd_write(fd, 1);
}

static bool line_is_high(struct guest *g, int dev)
{
	struct vbe_guest_dev_info info;

	return guest_dev_info(g, dev, &info) >= 0 && (info.flags & VBE_GUEST_INFO_F_LINE);
}

/* The next LINE event's level, or -errno. */
static int64_t next_line(struct guest *g, int dev)
{
	struct vbe_guest_event ev;
	int ret = guest_wait_event(g, VBE_GUEST_EVENT_LINE, dev, &ev, COMES_MS);

	return ret ? ret : (int64_t)ev.data[0];
}

static bool quiet(struct guest *g, uint32_t type, int dev)
{
	struct vbe_guest_event ev;

	return guest_wait_event(g, type, dev, &ev, 30) == -ETIMEDOUT;
}

/* ---- levels -------------------------------------------------------------- */

TEST_F(irq, level)
{
	struct guest *g = self->g;
	int dev = self->dev, i;

	ASSERT_DONE(raw_level(self->fd, 0, self->irq, self->resample));
	EXPECT_FALSE(line_is_high(g, dev));
	for (i = 0; i < 3; i++) {
		ring(self->irq);
		EXPECT_EQ(1, next_line(g, dev));
		EXPECT_TRUE(line_is_high(g, dev));
		/* Asked for again, it is as high as before. */
		ring(self->irq);
		EXPECT_TRUE(quiet(g, VBE_GUEST_EVENT_LINE, dev));
		EXPECT_EQ(0, guest_eventfd_wait(self->resample, 0));
		EXPECT_DONE(guest_eoi(g, dev));
		EXPECT_EQ(1, guest_eventfd_wait(self->resample, COMES_MS));
		EXPECT_EQ(0, next_line(g, dev));
		EXPECT_FALSE(line_is_high(g, dev));
	}
	/* An EOI of nothing tells nobody. */
	EXPECT_DONE(guest_eoi(g, dev));
	EXPECT_EQ(0, guest_eventfd_wait(self->resample, 30));
}

TEST_F(irq, levels_share_the_line)
{
	int two = guest_eventfd(), again = guest_eventfd(), three = guest_eventfd();
	struct guest *g = self->g;

	ASSERT_DONE(raw_level(self->fd, 0, self->irq, self->resample));
	ASSERT_DONE(raw_level(self->fd, 1, two, again));
	ASSERT_DONE(raw_level(self->fd, 63, three, -1));
	ring(self->irq);
	ring(three);
	EXPECT_EQ(1, next_line(g, self->dev));
	/* Those that raised it are asked, and nobody else. */
	EXPECT_DONE(guest_eoi(g, self->dev));
	EXPECT_EQ(1, guest_eventfd_wait(self->resample, COMES_MS));
	EXPECT_EQ(0, guest_eventfd_wait(again, 30));
	EXPECT_FALSE(line_is_high(g, self->dev));
	/* What goes lowers its own part. */
	ring(self->irq);
	ring(two);
	ASSERT_DONE(raw_no_irq(self->fd, 0));
	EXPECT_TRUE(line_is_high(g, self->dev));
	ASSERT_DONE(raw_no_irq(self->fd, 1));
	EXPECT_FALSE(line_is_high(g, self->dev));
	ring(self->irq);
	EXPECT_FALSE(line_is_high(g, self->dev));
}

/* As with KVM_IRQFD and its resamplefd: no call of ours but the guest's EOI. */
TEST_F(irq, level_by_eventfds)
{
	int eoi = guest_eventfd(), i;
	struct guest *g = self->g;

	ASSERT_DONE(guest_set_fd(g, self->dev, VBE_GUEST_FD_LINE, 0, self->line));
	ASSERT_DONE(guest_set_fd(g, self->dev, VBE_GUEST_FD_RESAMPLE, 0, eoi));
	ASSERT_DONE(raw_level(self->fd, 0, self->irq, self->resample));
	for (i = 0; i < 3; i++) {
		ring(self->irq);
		EXPECT_EQ(1, guest_eventfd_wait(self->line, COMES_MS));
		EXPECT_TRUE(line_is_high(g, self->dev));
		ring(eoi);
		EXPECT_EQ(1, guest_eventfd_wait(self->resample, COMES_MS));
		EXPECT_FALSE(line_is_high(g, self->dev));
		EXPECT_EQ(0, guest_eventfd_wait(self->line, 30));
	}
	/* Still a reason: raised again. */
	ring(self->irq);
	EXPECT_EQ(1, guest_eventfd_wait(self->line, COMES_MS));
	ring(eoi);
	EXPECT_EQ(1, guest_eventfd_wait(self->resample, COMES_MS));
	ring(self->irq);
	EXPECT_EQ(1, guest_eventfd_wait(self->line, COMES_MS));
}

/* An emulator that answers each EOI with the same interrupt: one for one, not a storm. */
TEST_F(irq, resample_into_itself)
{
	uint64_t n;

	ASSERT_DONE(guest_set_fd(self->g, self->dev, VBE_GUEST_FD_LINE, 0, self->line));
	ASSERT_DONE(raw_level(self->fd, 0, self->irq, self->irq));
	ring(self->irq);
	EXPECT_EQ(1, guest_eventfd_wait(self->line, COMES_MS));
	for (n = 0; n < 5; n++) {
		EXPECT_DONE(guest_eoi(self->g, self->dev));
		EXPECT_EQ(1, guest_eventfd_wait(self->line, COMES_MS));
		EXPECT_TRUE(line_is_high(self->g, self->dev));
	}
	EXPECT_EQ(0, guest_eventfd_wait(self->line, 30));
}

/* ---- edges and messages -------------------------------------------------- */

TEST_F(irq, edge)
{
	struct guest *g = self->g;

	ASSERT_DONE(raw_edge(self->fd, 2, self->irq));
	ring(self->irq);
	EXPECT_EQ(1, next_line(g, self->dev));
	EXPECT_FALSE(line_is_high(g, self->dev));
	ASSERT_DONE(guest_set_fd(g, self->dev, VBE_GUEST_FD_LINE, 0, self->line));
	ring(self->irq);
	EXPECT_EQ(1, guest_eventfd_wait(self->line, COMES_MS));
	EXPECT_DONE(guest_eoi(g, self->dev));
	EXPECT_EQ(0, guest_eventfd_wait(self->line, 30));
	ring(self->irq);
	ASSERT_EQ(1, guest_eventfd_wait(self->line, COMES_MS));
}

TEST_F(irq, msi)
{
	struct vbe_guest_event ev;
	struct guest *g = self->g;
	int msi = guest_eventfd();

	ASSERT_DONE(raw_msi(self->fd, 3, self->irq, ADDR, 0x41));
	/* A VMM that routes messages beforehand is told where to. */
	ASSERT_EQ(0, guest_wait_indexed(g, VBE_GUEST_EVENT_VECTOR, self->dev, 3, &ev, COMES_MS));
	EXPECT_EQ(ADDR, ev.data[0]);
	EXPECT_EQ(0x41, ev.data[1]);
	EXPECT_EQ(0, ev.data[2]);
	ring(self->irq);
	ASSERT_EQ(0, guest_wait_indexed(g, VBE_GUEST_EVENT_MSI, self->dev, 3, &ev, COMES_MS));
	EXPECT_EQ(ADDR, ev.data[0]);
	EXPECT_EQ(0x41, ev.data[1]);
	EXPECT_FALSE(line_is_high(g, self->dev));
	/* By eventfd, each is one. */
	ASSERT_DONE(guest_set_fd(g, self->dev, VBE_GUEST_FD_MSI, 3, msi));
	ring(self->irq);
	EXPECT_EQ(1, guest_eventfd_wait(msi, COMES_MS));
	ring(self->irq);
	EXPECT_EQ(1, guest_eventfd_wait(msi, COMES_MS));
	EXPECT_TRUE(quiet(g, VBE_GUEST_EVENT_MSI, self->dev));
	ASSERT_DONE(raw_no_irq(self->fd, 3));
	ASSERT_EQ(0, guest_wait_indexed(g, VBE_GUEST_EVENT_VECTOR, self->dev, 3, &ev, COMES_MS));
	EXPECT_EQ(1, ev.data[2]);
	ring(self->irq);
	EXPECT_EQ(0, guest_eventfd_wait(msi, 30));
}

/* ---- another target, with something pending ------------------------------ */

TEST_F(irq, level_becomes_a_message)
{
	struct guest *g = self->g;
	int msi = guest_eventfd();

	ASSERT_DONE(guest_set_fd(g, self->dev, VBE_GUEST_FD_MSI, 0, msi));
	ASSERT_DONE(raw_level(self->fd, 0, self->irq, self->resample));
	ring(self->irq);
	EXPECT_EQ(1, next_line(g, self->dev));
	ASSERT_DONE(raw_msi(self->fd, 0, self->irq, ADDR, 1));
	EXPECT_EQ(1, guest_eventfd_wait(msi, COMES_MS));
	EXPECT_EQ(0, next_line(g, self->dev));
	EXPECT_FALSE(line_is_high(g, self->dev));
	/* Nobody waits for the EOI of what is a message now. */
	EXPECT_DONE(guest_eoi(g, self->dev));
	EXPECT_EQ(0, guest_eventfd_wait(self->resample, 30));
	ring(self->irq);
	EXPECT_EQ(1, guest_eventfd_wait(msi, COMES_MS));
	/* And back: nothing is pending, nothing comes. */
	ASSERT_DONE(raw_level(self->fd, 0, self->irq, self->resample));
	EXPECT_FALSE(line_is_high(g, self->dev));
	ring(self->irq);
	EXPECT_TRUE(line_is_high(g, self->dev));
	EXPECT_EQ(0, guest_eventfd_wait(msi, 30));
}

TEST_F(irq, level_keeps_its_line)
{
	int other = guest_eventfd(), again = guest_eventfd();
	struct guest *g = self->g;

	ASSERT_DONE(raw_level(self->fd, 0, self->irq, self->resample));
	ring(self->irq);
	EXPECT_EQ(1, next_line(g, self->dev));
	/* Another pair of eventfds: the line stays, the new one hears of the EOI. */
	ASSERT_DONE(raw_level(self->fd, 0, other, again));
	EXPECT_TRUE(line_is_high(g, self->dev));
	EXPECT_DONE(guest_eoi(g, self->dev));
	EXPECT_EQ(1, guest_eventfd_wait(again, COMES_MS));
	EXPECT_EQ(0, guest_eventfd_wait(self->resample, 30));
	EXPECT_FALSE(line_is_high(g, self->dev));
	ring(self->irq);
	EXPECT_FALSE(line_is_high(g, self->dev));
	ring(other);
	EXPECT_TRUE(line_is_high(g, self->dev));
}

TEST_F(irq, pending_before_it_comes)
{
	int msi = guest_eventfd(), other = guest_eventfd();
	struct vbe_guest_event ev;
	struct guest *g = self->g;

	/* Written before anybody listened. */
	ring(self->irq);
	ASSERT_DONE(raw_level(self->fd, 0, self->irq, self->resample));
	EXPECT_TRUE(line_is_high(g, self->dev));
	ring(other);
	ring(other);
	ASSERT_DONE(guest_set_fd(g, self->dev, VBE_GUEST_FD_MSI, 1, msi));
	ASSERT_DONE(raw_msi(self->fd, 1, other, ADDR, 7));
	EXPECT_EQ(1, guest_eventfd_wait(msi, COMES_MS));
	/* The new message, not the old one, is what is read later. */
	ASSERT_DONE(guest_set_fd(g, self->dev, VBE_GUEST_FD_MSI, 1, -1));
	ring(other);
	ASSERT_DONE(raw_msi(self->fd, 1, other, ADDR, 8));
	ASSERT_EQ(0, guest_wait_indexed(g, VBE_GUEST_EVENT_MSI, self->dev, 1, &ev, COMES_MS));
	EXPECT_EQ(8, ev.data[1]);
}

/* An index is moved about while somebody writes: none is lost, none comes twice. */
static void *writer(void *arg)
{
	int i, *fds = arg;

	for (i = 0; i < 2000; i++) {
		uint64_t n = 0;

		ring(fds[0]);
		while (!n)
			n = guest_eventfd_wait(fds[1], COMES_MS);
		if (n != 1)
			return (void *)1L;
	}
	return NULL;
}

TEST_F(irq, moved_about)
{
	int fds[2] = { self->irq, guest_eventfd() }, i;
	struct guest *g = self->g;
	pthread_t thread;
	void *bad;

	for (i = 0; i < 2; i++)
		ASSERT_DONE(guest_set_fd(g, self->dev, VBE_GUEST_FD_MSI, i, fds[1]));
	ASSERT_DONE(raw_msi(self->fd, 0, self->irq, ADDR, 1));
	ASSERT_EQ(0, pthread_create(&thread, NULL, writer, fds));
	for (i = 0; pthread_tryjoin_np(thread, &bad); i++)
		EXPECT_DONE(raw_msi(self->fd, 0, self->irq, ADDR, i));
	EXPECT_EQ(NULL, bad);
	EXPECT_LT(0, i);
}

/* ---- ends ---------------------------------------------------------------- */

TEST_F(irq, the_backend_dies)
{
	struct guest *g = self->g;

	ASSERT_DONE(guest_set_fd(g, self->dev, VBE_GUEST_FD_LINE, 0, self->line));
	ASSERT_DONE(raw_level(self->fd, 0, self->irq, self->resample));
	ring(self->irq);
	EXPECT_EQ(1, guest_eventfd_wait(self->line, COMES_MS));
	EXPECT_TRUE(line_is_high(g, self->dev));
	emu_kill(self->emu);
	EXPECT_FALSE(line_is_high(g, self->dev));
	ring(self->irq);
	EXPECT_EQ(0, guest_eventfd_wait(self->line, 30));
	EXPECT_DONE(guest_eoi(g, self->dev));
	EXPECT_EQ(0, guest_eventfd_wait(self->resample, 30));
	/* The next one: what was written meanwhile comes when it is attached. */
	ASSERT_DONE(emu_up(self->emu));
	ASSERT_DONE(raw_level(self->emu->fd, 0, self->irq, self->resample));
	EXPECT_EQ(1, guest_eventfd_wait(self->line, COMES_MS));
}

TEST_F(irq, nobody_to_interrupt)
{
	struct vbe_event ev;
	struct guest *g = self->g;

	ASSERT_DONE(raw_level(self->fd, 0, self->irq, self->resample));
	ring(self->irq);
	EXPECT_TRUE(line_is_high(g, self->dev));
	ASSERT_DONE(dev_simple(self->fd, VBE_IOC_DEV_OFFLINE));
	ASSERT_EQ(0, wait_event(self->fd, VBE_EVENT_OFFLINE, &ev, COMES_MS));
	EXPECT_FALSE(line_is_high(g, self->dev));
	ring(self->irq);
	EXPECT_FALSE(line_is_high(g, self->dev));
	ASSERT_DONE(dev_simple(self->fd, VBE_IOC_DEV_ONLINE));
	EXPECT_FALSE(line_is_high(g, self->dev));
	ring(self->irq);
	EXPECT_TRUE(line_is_high(g, self->dev));
}

TEST_F(irq, the_eventfd_is_closed)
{
	int other = guest_eventfd(), i;

	ASSERT_DONE(raw_level(self->fd, 0, self->irq, self->resample));
	close(self->irq);
	close(self->resample);
	ASSERT_DONE(raw_level(self->fd, 0, other, -1));
	ring(other);
	EXPECT_TRUE(line_is_high(self->g, self->dev));
	EXPECT_DONE(guest_eoi(self->g, self->dev));
	/* HUP against take-back and replacement. */
	for (i = 0; i < 200; i++) {
		int fd = guest_eventfd();

		ASSERT_DONE(raw_edge(self->fd, i % 4, fd));
		close(fd);
		if (i & 1)
			ASSERT_DONE(raw_no_irq(self->fd, i % 4));
	}
	emu_kill(self->emu);
}

TEST_F(irq, errors)
{
	struct vbe_raw_irq i = { .size = sizeof(i), .fd = self->irq, .resample_fd = -1,
				 .flags = 1 };
	int fd = self->fd, not_one = open("/dev/null", O_RDWR);

	EXPECT_WHY(fd, EINVAL, xioctl(fd, VBE_IOC_RAW_IRQ, &i));
	i.flags = 0;
	i.__reserved = 1;
	EXPECT_WHY(fd, EINVAL, xioctl(fd, VBE_IOC_RAW_IRQ, &i));
	i.__reserved = 0;
	i.type = VBE_RAW_IRQ_MSI + 1;
	EXPECT_WHY(fd, EINVAL, xioctl(fd, VBE_IOC_RAW_IRQ, &i));
	i.type = VBE_RAW_IRQ_EDGE;
	i.msi_data = 1;
	EXPECT_WHY(fd, EINVAL, xioctl(fd, VBE_IOC_RAW_IRQ, &i));
	i.msi_data = 0;
	i.resample_fd = self->resample;
	EXPECT_WHY(fd, EINVAL, xioctl(fd, VBE_IOC_RAW_IRQ, &i));
	EXPECT_WHY(fd, EINVAL, raw_edge(fd, VBE_RAW_MAX_IRQS, self->irq));
	EXPECT_WHY(fd, EBADF, raw_edge(fd, 0, -2));
	EXPECT_WHY(fd, EBADF, raw_level(fd, 0, self->irq, -2));
	EXPECT_WHY(fd, EBADF, raw_edge(fd, 0, 9999));
	EXPECT_WHY(fd, EINVAL, raw_edge(fd, 0, not_one));
	EXPECT_WHY(fd, EINVAL, raw_level(fd, 0, self->irq, not_one));
	EXPECT_WHY(fd, EINVAL, raw_level(fd, 0, -1, self->resample));
	ASSERT_DONE(raw_edge(fd, 0, self->irq));
	EXPECT_WHY(fd, EBUSY, raw_edge(fd, 1, self->irq));
	/* What failed has changed nothing. */
	EXPECT_WHY(fd, EINVAL, raw_msi(fd, 0, not_one, ADDR, 1));
	ring(self->irq);
	EXPECT_EQ(1, next_line(self->g, self->dev));
	EXPECT_DONE(raw_no_irq(fd, 0));
	EXPECT_DONE(raw_no_irq(fd, 0));
	EXPECT_DONE(raw_edge(fd, 1, self->irq));
	close(not_one);
}

TEST_HARNESS_MAIN
