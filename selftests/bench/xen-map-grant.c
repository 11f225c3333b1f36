// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
/*
 * Pages that a guest granted: copied by MEM_COPY and by gntdev, which both use Xen's grant
 * copy; and mapped by gntdev and, where the device's window can be, by vbe: when they are
 * touched, or by MEM_MAP before that. vbe's are given back by MEM_UNMAP.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "xen-map.h"

/* Of <xen/gntdev.h>, which no distribution installs. */
struct grant_ref {
	uint32_t domid;
	uint32_t ref;
};

struct grant_map {
	uint32_t count, pad;
	uint64_t index;
	struct grant_ref refs[MAX_BATCH];
};

struct grant_unmap {
	uint64_t index;
	uint32_t count, pad;
};

union grant_end {
	void *virt;
	struct {
		uint32_t ref;
		uint16_t offset, domid;
	} foreign;
};

struct grant_segment {
	union grant_end source, dest;
	uint16_t len, flags;
	int16_t status;
};

struct grant_copy {
	unsigned int count;
	struct grant_segment *segments;
};

/* The size in a number is that of the kernel's struct, which has one grant. */
#define IOCTL_MAP	_IOC(_IOC_NONE, 'G', 0, 24)
#define IOCTL_UNMAP	_IOC(_IOC_NONE, 'G', 1, sizeof(struct grant_unmap))
#define IOCTL_COPY	_IOC(_IOC_NONE, 'G', 8, sizeof(struct grant_copy))
#define SOURCE_IS_GRANT	1

static void open_gntdev(struct bench *b)
{
	if (b->fd < 0)
		b->fd = open("/dev/xen/gntdev", O_RDWR | O_CLOEXEC);
	if (b->fd < 0)
		die("/dev/xen/gntdev");
}

static uint32_t first_ref(const struct piece *piece)
{
	return (piece->addr & ~GRANT_ADDR) / PAGE;
}

#define RANGE_PAGES	256	/* the most that MEM_MAP takes in one range */

static unsigned int ranges_of(const struct piece *piece, struct vbe_mem_range *r)
{
	unsigned int n, done, pages;

	for (n = 0, done = 0; done < piece->pages; done += pages, n++) {
		pages = piece->pages - done < RANGE_PAGES ? piece->pages - done : RANGE_PAGES;
		r[n] = (struct vbe_mem_range) {
			.fe_addr = piece->addr + done * PAGE, .len = pages * PAGE,
		};
	}
	return n;
}

/* The mapping of the whole window is libvbe's. */
static const void *in_window(struct bench *b, const struct piece *piece)
{
	struct vbe_mem_window w;
	unsigned int i;

	for (i = 0; !vbe_mem_window(b->dev, i, &w); i++)
		if (w.host && piece->addr >= w.fe_addr && piece->addr - w.fe_addr < w.len)
			return (const char *)w.host + (piece->addr - w.fe_addr);
	return NULL;
}

static int by_window(struct bench *b, struct piece *piece, int ahead)
{
	struct vbe_mem_range r[MAX_BATCH / RANGE_PAGES];
	const void *p = in_window(b, piece);
	unsigned int n = ranges_of(piece, r);
	uint64_t since;

	if (!p)
		return 0;
	if (ahead) {
		since = now_ns();
		if (vbe_mem_map(b->dev, r, n, VBE_MAP_F_WRITE))
			die(vbe_error(b->dev));
		piece->ns[STEP_MAP] = now_ns() - since;
	}
	touch_twice(piece, p);
	since = now_ns();
	if (vbe_mem_unmap(b->dev, r, n))
		die(vbe_error(b->dev));
	piece->ns[STEP_UNMAP] = now_ns() - since;
	return 1;
}

static int by_touch(struct bench *b, struct piece *piece)
{
	return by_window(b, piece, 0);
}

static int by_mem_map(struct bench *b, struct piece *piece)
{
	return by_window(b, piece, 1);
}

static int by_gntdev(struct bench *b, struct piece *piece)
{
	static struct grant_map map;
	struct grant_unmap unmap;
	uint64_t since;
	unsigned int i;
	void *p;

	open_gntdev(b);
	map.count = piece->pages;
	for (i = 0; i < piece->pages; i++)
		map.refs[i] = (struct grant_ref) { b->domid, first_ref(piece) + i };
	since = now_ns();
	if (ioctl(b->fd, IOCTL_MAP, &map))
		die("gntdev: MAP_GRANT_REF");
	p = mmap(NULL, piece->pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, b->fd,
		 map.index);
	if (p == MAP_FAILED)
		die("mmap of gntdev");
	piece->ns[STEP_MAP] = now_ns() - since;
	touch_twice(piece, p);
	unmap = (struct grant_unmap) { .index = map.index, .count = map.count };
	since = now_ns();
	munmap(p, piece->pages * PAGE);
	if (ioctl(b->fd, IOCTL_UNMAP, &unmap))
		die("gntdev: UNMAP_GRANT_REF");
	piece->ns[STEP_UNMAP] = now_ns() - since;
	return 1;
}

/* "First touch" is the copy of a page, "touch again" one more. */
static int by_gntdev_copy(struct bench *b, struct piece *piece)
{
	static struct grant_segment s[MAX_BATCH];
	static char buf[MAX_BATCH * PAGE] __attribute__((aligned(PAGE)));
	struct grant_copy copy = { piece->pages, s };
	uint64_t since;
	unsigned int i, n;

	open_gntdev(b);
	for (n = 0; n < 2; n++) {
		for (i = 0; i < piece->pages; i++)
			s[i] = (struct grant_segment) {
				.source.foreign = { first_ref(piece) + i, 0, b->domid },
				.dest.virt = buf + i * PAGE,
				.len = PAGE,
				.flags = SOURCE_IS_GRANT,
			};
		since = now_ns();
		if (ioctl(b->fd, IOCTL_COPY, &copy))
			die("gntdev: GRANT_COPY");
		piece->ns[n ? STEP_AGAIN : STEP_FIRST] = now_ns() - since;
		errno = EFAULT;
		for (i = 0; i < piece->pages; i++)
			if (s[i].status)
				die("gntdev: GRANT_COPY of a page");
	}
	piece->sum = touch(buf, piece->pages);
	return 1;
}

const struct way grant_ways[] = {
	{ "vbe MEM_COPY", by_copy },
	{ "gntdev GRANT_COPY", by_gntdev_copy },
	{ "vbe touch", by_touch },
	{ "vbe MEM_MAP", by_mem_map },
	{ "gntdev map", by_gntdev },
	{ }
};
