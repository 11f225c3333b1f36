// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
/*
 * A guest's memory by its own addresses: through a mapping of the vbe device, through
 * privcmd's MMAPBATCH_V2, as QEMU and the other backends of Xen do it, and by MEM_COPY.
 */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "xen-map.h"

/* Of <xen/privcmd.h>, which wants headers that no distribution installs. */
struct mmapbatch {
	unsigned int num;
	uint16_t dom;
	uint64_t addr;
	const uint64_t *arr;
	int *err;
};

#define IOCTL_MMAPBATCH_V2	_IOC(_IOC_NONE, 'P', 4, sizeof(struct mmapbatch))

static void use(struct piece *piece, void *p, uint64_t since)
{
	uint64_t t = now_ns();

	piece->ns[STEP_MAP] = t - since;
	touch_twice(piece, p);
	t = now_ns();
	munmap(p, piece->pages * PAGE);
	piece->ns[STEP_UNMAP] = now_ns() - t;
}

static int by_vbe(struct bench *b, struct piece *piece)
{
	uint64_t since = now_ns();
	void *p = mmap(NULL, piece->pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
		       vbe_fd(b->dev), piece->addr);

	if (p == MAP_FAILED)
		die(vbe_error(b->dev));
	use(piece, p, since);
	return 1;
}

static int by_privcmd(struct bench *b, struct piece *piece)
{
	static uint64_t gfns[MAX_BATCH];
	static int errs[MAX_BATCH];
	struct mmapbatch m = {
		.num = piece->pages, .dom = b->domid, .arr = gfns, .err = errs,
	};
	uint64_t since;
	unsigned int i;
	void *p;

	if (b->fd < 0)
		b->fd = open("/dev/xen/privcmd", O_RDWR | O_CLOEXEC);
	if (b->fd < 0)
		die("/dev/xen/privcmd");
	for (i = 0; i < piece->pages; i++)
		gfns[i] = piece->addr / PAGE + i;
	since = now_ns();
	p = mmap(NULL, piece->pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, b->fd, 0);
	if (p == MAP_FAILED)
		die("mmap of privcmd");
	m.addr = (uintptr_t)p;
	if (ioctl(b->fd, IOCTL_MMAPBATCH_V2, &m))
		die("MMAPBATCH_V2: is there memory at this address?");
	use(piece, p, since);
	return 1;
}

const struct way foreign_ways[] = {
	{ "vbe mmap", by_vbe },
	{ "privcmd MMAPBATCH_V2", by_privcmd },
	{ "vbe MEM_COPY", by_copy },
	{ }
};
