// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
/*
 * In a Xen guest: pages that are granted to dom0, until this program ends.
 *
 *	grant-pages N
 *
 * Prints, of each run of consecutive grants, "area ADDRESS PAGES" with the address that a
 * virtio driver would give for it: bit 63, and the number of the first grant. Then
 * "granted", and sleeps. Each page has bytes of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xen/gntalloc.h>

#define PAGE		4096ul
#define BATCH		512u
#define GRANT_ADDR	(1ull << 63)

static uint32_t first, run;	/* grants that are not printed yet */

static void die(const char *what)
{
	fprintf(stderr, "grant-pages: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void flush(void)
{
	if (run)
		printf("area 0x%llx %u\n", GRANT_ADDR | (unsigned long long)first * PAGE, run);
	run = 0;
}

static void add(uint32_t ref)
{
	if (ref != first + run) {
		flush();
		first = ref;
	}
	run++;
}

static void grant(int fd, unsigned int n, unsigned int done)
{
	static union {
		struct ioctl_gntalloc_alloc_gref op;
		char room[sizeof(struct ioctl_gntalloc_alloc_gref) + BATCH * sizeof(uint32_t)];
	} u;
	const uint32_t *refs = (const uint32_t *)(u.room + offsetof(typeof(u.op), gref_ids));
	unsigned int i;
	char *p;

	u.op = (struct ioctl_gntalloc_alloc_gref) {
		.domid = 0, .flags = GNTALLOC_FLAG_WRITABLE, .count = n,
	};
	if (ioctl(fd, IOCTL_GNTALLOC_ALLOC_GREF, &u.op))
		die("gntalloc");
	p = mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, u.op.index);
	if (p == MAP_FAILED)
		die("mmap of gntalloc");
	for (i = 0; i < n; i++) {
		memset(p + i * PAGE, 1 + done + i, PAGE);
		*(uint64_t *)(p + i * PAGE + 8) = 0x76626500000000ull + done + i;
		add(refs[i]);
	}
}

int main(int argc, char **argv)
{
	unsigned int n = argc == 2 ? strtoul(argv[1], NULL, 0) : 0, done, part;
	int fd;

	if (!n) {
		fprintf(stderr, "usage: grant-pages N\n");
		return 2;
	}
	fd = open("/dev/xen/gntalloc", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		die("/dev/xen/gntalloc");
	for (done = 0; done < n; done += part) {
		part = n - done < BATCH ? n - done : BATCH;
		grant(fd, part, done);
	}
	flush();
	printf("granted\n");
	fflush(stdout);
	for (;;)
		pause();
}
