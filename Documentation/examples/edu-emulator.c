// SPDX-License-Identifier: BSD-3-Clause
/* Copyright (c) 2026 The vbe authors */
/*
 * An emulator of a device that is not virtio: "edu", a PCI function with a few registers,
 * a doorbell, DMA, and interrupts by INTx or MSI. Explained, with all that an emulator has
 * to know, in Documentation/emulator-guide.md.
 *
 *	edu-emulator DEVICE
 *
 * DEVICE has transport "raw" and a PCI address; the VMM added it. SIGTERM takes the device
 * away from the guest and ends the emulator.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "edu.h"

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
	(void)sig;
	stop = 1;
}

/* What was written to an eventfd since it was asked last. */
static uint64_t taken(int fd)
{
	uint64_t count;

	return read(fd, &count, sizeof(count)) == sizeof(count) ? count : 0;
}

/* ---- what vCPUs do ------------------------------------------------------- */

static uint64_t load(struct edu *edu, uint32_t region, uint64_t offset, uint32_t len)
{
	if (region == VBE_RAW_MAX_REGIONS)
		return edu_pci_read(edu, offset, len);
	return len == 4 ? edu_regs_read(edu, offset) : ~0ull;
}

static void store(struct edu *edu, uint32_t region, uint64_t offset, uint32_t len, uint64_t data)
{
	if (region == VBE_RAW_MAX_REGIONS)
		edu_pci_write(edu, offset, len, data);
	else if (len == 4)
		edu_regs_write(edu, offset, data);
}

/* What has happened, and does not come as an event. */
static void catch_up(struct edu *edu)
{
	uint64_t rings = taken(edu->bell_fd);

	edu->rings += rings;
	if (rings)
		edu_interrupt(edu, EDU_IRQ_DOORBELL);
	if (taken(edu->done_fd))
		edu_interrupt(edu, EDU_IRQ_FACTORIAL);
	if (taken(edu->resample_fd))
		edu_resample(edu);
}

static void handle_access(struct edu *edu, const struct vbe_event *ev)
{
	uint32_t region = ev->data[1] >> 32;
	uint32_t len = ev->data[1] >> 8 & 0xff;
	uint64_t data = 0;

	/*
	 * The doorbell comes another way, and this access may be younger: a guest that
	 * rings, and then asks how often it rang, must be told of this ring.
	 */
	catch_up(edu);
	if (ev->data[1] & 1)
		store(edu, region, ev->data[0], len, ev->data[2]);
	else
		data = load(edu, region, ev->data[0], len);
	/* All is done before the vCPU goes on. ENOENT: we were too slow, and it went on. */
	vbe_complete_data(edu->dev, ev->cookie, 0, data);
}

/* Returns false when there is nothing left to do. */
static bool handle_events(struct edu *edu)
{
	struct vbe_event ev[16];
	int i, n = vbe_event_read(edu->dev, ev, 16);

	if (n <= 0)
		return n == -EAGAIN || n == -EINTR;
	for (i = 0; i < n; i++) {
		switch (ev[i].type) {
		case VBE_EVENT_ACCESS:
			handle_access(edu, &ev[i]);
			break;
		case VBE_EVENT_MEM:
			vbe_mem_refresh(edu->dev);
			break;
		case VBE_EVENT_OFFLINE:
		case VBE_EVENT_REVOKED:
		case VBE_EVENT_GONE:
			return false;
		}
	}
	return true;
}

static void loop(struct edu *edu)
{
	struct pollfd fds[] = {
		{ .fd = vbe_fd(edu->dev), .events = POLLIN },
		{ .fd = edu->bell_fd, .events = POLLIN },
		{ .fd = edu->resample_fd, .events = POLLIN },
		{ .fd = edu->done_fd, .events = POLLIN },
	};

	for (;;) {
		/* The guest is to lose the device first; until it has, it is served. */
		if (stop == 1 && vbe_offline(edu->dev))
			return;
		if (stop)
			stop = 2;
		if (poll(fds, 4, 1000) < 0)
			continue;
		catch_up(edu);
		if (fds[0].revents && !handle_events(edu))
			return;
	}
}

/* ---- coming and going ---------------------------------------------------- */

static int fail(struct vbe_dev *dev, const char *what)
{
	fprintf(stderr, "edu-emulator: %s: %s\n", what, vbe_error(dev));
	return 1;
}

static int attach(struct edu *edu)
{
	/* Nothing of virtio is described: there is nothing of it. */
	const struct vbe_dev_setup setup = { .loss_policy = VBE_LOSS_HOLD };
	const struct vbe_raw_irq intx = {
		.index = 0, .type = VBE_RAW_IRQ_LEVEL,
		.fd = edu->irq_fd, .resample_fd = edu->resample_fd,
	};
	const struct vbe_raw_match bell = {
		.region = 0, .offset = EDU_DOORBELL, .len = 4, .fd = edu->bell_fd,
	};

	if (vbe_setup(edu->dev, &setup))
		return fail(edu->dev, "set-up");
	if (vbe_raw_irq(edu->dev, &intx))
		return fail(edu->dev, "interrupt");
	/* BAR 0 is nowhere yet; the match holds wherever the guest puts it. */
	if (vbe_raw_match(edu->dev, &bell))
		return fail(edu->dev, "doorbell");
	edu->mode = EDU_IRQ_INTX;
	edu_pci_init(edu);
	if (vbe_online(edu->dev))
		return fail(edu->dev, "online");
	return 0;
}

static int new_eventfd(void)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	if (fd < 0)
		perror("edu-emulator: eventfd");
	return fd;
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_signal };
	static struct edu edu;
	int ret;

	if (argc != 2) {
		fprintf(stderr, "usage: edu-emulator DEVICE\n");
		return 2;
	}
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	edu.irq_fd = new_eventfd();
	edu.resample_fd = new_eventfd();
	edu.bell_fd = new_eventfd();
	edu.done_fd = new_eventfd();
	edu.dev = vbe_open(argv[1], 0);
	if (!edu.dev)
		return fail(NULL, argv[1]);
	/* Read until there is nothing more, rather than wait in read(). */
	fcntl(vbe_fd(edu.dev), F_SETFL, O_NONBLOCK);
	if (edu_regs_init(&edu))
		return 1;
	ret = attach(&edu);
	if (!ret)
		loop(&edu);
	edu_regs_exit(&edu);
	vbe_close(edu.dev);
	return ret;
}
