// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
/*
 * What an access costs that a VMM hands to vbe: run under QEMU's -icount shift=0, where
 * a nanosecond of the clock is an instruction. Prints JSON, instructions each.
 *
 * The VMM and the backends are this one process: no access here needs a backend.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <linux/vbe.h>
#include <linux/vbe_guest.h>

#define ROUNDS		2000
#define MMIO_BASE	0x10000000ull
#define RAW_BASE	0x20000000ull
#define VIRTIO_BLOCK	2
#define VERSION_1	(1ull << 32)

/* Registers of virtio-mmio (virtio 1.3, 4.2.2). */
#define MMIO_MAGIC	0x00
#define MMIO_NOTIFY	0x50
#define MMIO_STATUS	0x70

static int guest;
static int bell;

static void die(const char *what)
{
	fprintf(stderr, "access-path: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void call(int fd, unsigned long cmd, void *arg, const char *what)
{
	if (ioctl(fd, cmd, arg) < 0)
		die(what);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

static int control(void)
{
	int fd = open("/dev/vbe", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		die("/dev/vbe");
	return fd;
}

static void guest_new(void)
{
	struct vbe_guest_new g = { .size = sizeof(g), .name = "bench" };

	call(control(), VBE_IOC_GUEST_NEW, &g, "GUEST_NEW");
	guest = g.out_fd;
}

static uint32_t dev_add(const char *name, const char *transport, uint64_t base)
{
	struct vbe_guest_dev_add a = {
		.size = sizeof(a), .uid = VBE_GUEST_SAME_UID, .gid = VBE_GUEST_NO_GID,
		.loss_policy = VBE_LOSS_DEFAULT, .base = base,
	};

	strncpy((char *)a.name, name, sizeof(a.name) - 1);
	strncpy((char *)a.transport, transport, sizeof(a.transport) - 1);
	call(guest, VBE_IOC_GUEST_DEV_ADD, &a, "GUEST_DEV_ADD");
	return a.out_dev;
}

/* The backend's side of a device: virtio with one queue, or raw with none. */
static int backend(const char *name, bool virtio)
{
	struct vbe_dev_open o = { .size = sizeof(o), .out_fd = -1 };
	uint32_t queue_size = 16;
	struct vbe_dev_setup s = { .size = sizeof(s), .loss_policy = VBE_LOSS_DEFAULT };

	strncpy((char *)o.name, name, sizeof(o.name) - 1);
	call(control(), VBE_IOC_DEV_OPEN, &o, "DEV_OPEN");
	if (virtio) {
		s.virtio_id = VIRTIO_BLOCK;
		s.features = VERSION_1;
		s.n_queues = 1;
		s.queue_sizes = (uintptr_t)&queue_size;
	}
	call(o.out_fd, VBE_IOC_DEV_SETUP, &s, "DEV_SETUP");
	return o.out_fd;
}

static void online(int fd)
{
	struct vbe_dev_online o = { .size = sizeof(o) };

	call(fd, VBE_IOC_DEV_ONLINE, &o, "DEV_ONLINE");
}

static void raw_device(void)
{
	struct vbe_raw_region r = {
		.size = sizeof(r), .space = VBE_SPACE_MMIO, .base = RAW_BASE, .len = 0x1000,
	};
	struct vbe_raw_match m = { .size = sizeof(m), .offset = 0x10, .len = 4 };
	int fd;

	dev_add("bench-raw", "raw", 0);
	fd = backend("bench-raw", false);
	bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (bell < 0)
		die("eventfd");
	m.fd = bell;
	call(fd, VBE_IOC_RAW_REGION, &r, "RAW_REGION");
	call(fd, VBE_IOC_RAW_MATCH, &m, "RAW_MATCH");
	online(fd);
}

static void virtio_device(void)
{
	dev_add("bench-mmio", "mmio", MMIO_BASE);
	online(backend("bench-mmio", true));
}

static uint64_t access_at(uint64_t addr, bool write, uint64_t data)
{
	struct vbe_guest_access a = {
		.size = sizeof(a), .space = VBE_SPACE_MMIO, .addr = addr, .len = 4,
		.flags = write ? VBE_ACCESS_F_WRITE : 0, .data = data,
	};

	call(guest, VBE_IOC_GUEST_ACCESS, &a, "GUEST_ACCESS");
	return a.data;
}

/* ---- what is measured ------------------------------------------------------ */

static void do_getppid(void) { syscall(SYS_getppid); }
static void do_magic(void) { access_at(MMIO_BASE + MMIO_MAGIC, false, 0); }
static void do_status(void) { access_at(MMIO_BASE + MMIO_STATUS, false, 0); }
static void do_notify(void) { access_at(MMIO_BASE + MMIO_NOTIFY, true, 0); }
static void do_match(void) { access_at(RAW_BASE + 0x10, true, 1); }

static void do_eventfd(void)
{
	if (eventfd_write(bell, 1))
		die("eventfd_write");
}

/* The least of a few: what else runs only adds. */
static uint64_t measure(void (*what)(void))
{
	uint64_t best = UINT64_MAX;

	for (int try = 0; try < 5; try++) {
		uint64_t begin, each;

		what();
		begin = now_ns();
		for (int i = 0; i < ROUNDS; i++)
			what();
		each = (now_ns() - begin) / ROUNDS;
		if (each < best)
			best = each;
	}
	return best;
}

/* That what is measured does what it says. */
static void prove(void)
{
	eventfd_t n = 0;

	if (access_at(MMIO_BASE + MMIO_MAGIC, false, 0) != 0x74726976) {
		fprintf(stderr, "access-path: this is no virtio-mmio device\n");
		exit(1);
	}
	do_match();
	if (eventfd_read(bell, &n) || n != 1) {
		fprintf(stderr, "access-path: the match did not signal\n");
		exit(1);
	}
}

int main(void)
{
	guest_new();
	virtio_device();
	raw_device();
	prove();
	printf("{\"getppid\": %llu, \"eventfd_write\": %llu, \"read_magic\": %llu,"
	       " \"read_status\": %llu, \"notify\": %llu, \"match_to_eventfd\": %llu}\n",
	       (unsigned long long)measure(do_getppid),
	       (unsigned long long)measure(do_eventfd),
	       (unsigned long long)measure(do_magic),
	       (unsigned long long)measure(do_status),
	       (unsigned long long)measure(do_notify),
	       (unsigned long long)measure(do_match));
	return 0;
}
