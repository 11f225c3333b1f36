// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
/*
 * What it costs to reach a page of a Xen guest, from its dom0: through a mapping of a
 * vbe device, by MEM_COPY, and through privcmd's MMAPBATCH_V2 of the same frames.
 *
 *	xen-map DEVICE DOMID [ADDR [MIB [ROUNDS]]]
 *
 * The guest has memory from ADDR on, and does not write to it: paused, say. Nobody has
 * used that part of it through vbe before: where dom0 is auto-translated, what was mapped
 * once is cheaper the next time. Prints a table of nanoseconds per page, the median of all
 * pieces of so many pages each. All ways have to find the same bytes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <vbe/vbe.h>

#define PAGE		4096ul
#define MAX_BATCH	512

/* Of <xen/privcmd.h>, which wants headers that no distribution installs. */
struct mmapbatch {
	unsigned int num;
	uint16_t dom;
	uint64_t addr;
	const uint64_t *arr;
	int *err;
};

#define IOCTL_MMAPBATCH_V2	_IOC(_IOC_NONE, 'P', 4, sizeof(struct mmapbatch))

enum step { STEP_MAP, STEP_FIRST, STEP_AGAIN, STEP_UNMAP, N_STEPS };

static const char * const step_names[] = { "map", "first touch", "touch again", "unmap" };
static const unsigned int batches[] = { 1, 16, 512 };

#define N_BATCHES	(sizeof(batches) / sizeof(batches[0]))

struct piece {
	uint64_t addr;		/* in the guest */
	unsigned int pages;
	uint64_t ns[N_STEPS];
	uint64_t sum;		/* of what was found */
};

struct bench {
	struct vbe_dev *dev;
	int privcmd;
	uint16_t domid;
	uint64_t addr;
	unsigned long pages;
	unsigned int rounds;
};

static void die(const char *what)
{
	fprintf(stderr, "xen-map: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

/* One load per page; the sum keeps the compiler, and us, honest. */
static uint64_t touch(const void *p, unsigned int pages)
{
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < pages; i++)
		sum = sum * 31 + *(const volatile uint64_t *)((const char *)p + i * PAGE + 8);
	return sum;
}

static void use(struct piece *piece, void *p, uint64_t since)
{
	uint64_t t[4];

	t[0] = now_ns();
	piece->sum = touch(p, piece->pages);
	t[1] = now_ns();
	if (touch(p, piece->pages) != piece->sum) {
		fprintf(stderr, "xen-map: the guest's memory changes: pause it\n");
		exit(1);
	}
	t[2] = now_ns();
	munmap(p, piece->pages * PAGE);
	t[3] = now_ns();
	piece->ns[STEP_MAP] = t[0] - since;
	piece->ns[STEP_FIRST] = t[1] - t[0];
	piece->ns[STEP_AGAIN] = t[2] - t[1];
	piece->ns[STEP_UNMAP] = t[3] - t[2];
}

/* ---- the ways ------------------------------------------------------------------------ */

static void by_vbe(struct bench *b, struct piece *piece)
{
	uint64_t since = now_ns();
	void *p;

	p = mmap(NULL, piece->pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
		 vbe_fd(b->dev), piece->addr);
	if (p == MAP_FAILED)
		die(vbe_error(b->dev));
	use(piece, p, since);
}

static void by_privcmd(struct bench *b, struct piece *piece)
{
	static uint64_t gfns[MAX_BATCH];
	static int errs[MAX_BATCH];
	struct mmapbatch m = {
		.num = piece->pages, .dom = b->domid, .arr = gfns, .err = errs,
	};
	uint64_t since;
	unsigned int i;
	void *p;

	for (i = 0; i < piece->pages; i++)
		gfns[i] = piece->addr / PAGE + i;
	since = now_ns();
	p = mmap(NULL, piece->pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, b->privcmd, 0);
	if (p == MAP_FAILED)
		die("mmap of privcmd");
	m.addr = (uintptr_t)p;
	if (ioctl(b->privcmd, IOCTL_MMAPBATCH_V2, &m))
		die("MMAPBATCH_V2: is there memory at this address?");
	use(piece, p, since);
}

/* "First touch" is the copy of a page, "touch again" one more. */
static void by_copy(struct bench *b, struct piece *piece)
{
	static struct vbe_copy_entry e[MAX_BATCH];
	static char buf[MAX_BATCH * PAGE];
	uint64_t since;
	unsigned int i, n;

	for (n = 0; n < 2; n++) {
		for (i = 0; i < piece->pages; i++)
			e[i] = (struct vbe_copy_entry) {
				.fe_addr = piece->addr + i * PAGE,
				.buf = (uintptr_t)(buf + i * PAGE),
				.len = PAGE,
			};
		since = now_ns();
		if (vbe_mem_copy(b->dev, e, piece->pages, 0))
			die(vbe_error(b->dev));
		piece->ns[n ? STEP_AGAIN : STEP_FIRST] = now_ns() - since;
	}
	piece->sum = touch(buf, piece->pages);
}

static const struct {
	const char *name;
	void (*fn)(struct bench *b, struct piece *piece);
} ways[] = {
	{ "vbe mmap", by_vbe },
	{ "privcmd MMAPBATCH_V2", by_privcmd },
	{ "vbe MEM_COPY", by_copy },
};

#define N_WAYS	(sizeof(ways) / sizeof(ways[0]))

/* ---- the table ------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static uint64_t median(const struct piece *pieces, unsigned int n, enum step step)
{
	uint64_t *all = calloc(n, sizeof(*all)), value;
	unsigned int i;

	if (!all)
		die("memory");
	for (i = 0; i < n; i++)
		all[i] = pieces[i].ns[step] / pieces[i].pages;
	qsort(all, n, sizeof(*all), compare);
	value = all[n / 2];
	free(all);
	return value;
}

static void print_row(const char *name, const char *when, unsigned int batch,
		      const struct piece *pieces, unsigned int n)
{
	unsigned int i;

	printf("%-22s %-6s %5u", name, when, batch);
	for (i = 0; i < N_STEPS; i++)
		printf(" %12llu", (unsigned long long)median(pieces, n, i));
	printf("\n");
}

/* Each size of pieces has a part of memory for itself. */
static uint64_t row(struct bench *b, unsigned int way, unsigned int which)
{
	unsigned int batch = batches[which], n = b->pages / N_BATCHES / batch, i, round;
	uint64_t sum = 0, base = b->addr + which * (b->pages / N_BATCHES) * PAGE;
	struct piece *pieces;

	/* One page at a time takes long: a part is enough for a median. */
	if (n > 512)
		n = 512;
	pieces = calloc((size_t)n * b->rounds, sizeof(*pieces));
	if (!pieces)
		die("memory");
	for (round = 0; round < b->rounds; round++) {
		for (i = 0; i < n; i++) {
			struct piece *piece = &pieces[round * n + i];

			piece->addr = base + (uint64_t)i * batch * PAGE;
			piece->pages = batch;
			ways[way].fn(b, piece);
			sum = sum * 31 + piece->sum;
		}
	}
	print_row(ways[way].name, "first", batch, pieces, n);
	print_row(ways[way].name, "again", batch, pieces + n, n * (b->rounds - 1));
	free(pieces);
	return sum;
}

static void table(struct bench *b)
{
	unsigned int i, way;
	uint64_t sum, first = 0;

	printf("%-22s %-6s %5s", "ns per page", "round", "batch");
	for (i = 0; i < N_STEPS; i++)
		printf(" %12s", step_names[i]);
	printf("\n");
	for (i = 0; i < N_BATCHES; i++) {
		for (way = 0; way < N_WAYS; way++) {
			sum = row(b, way, i);
			if (!way)
				first = sum;
			if (sum == first)
				continue;
			fprintf(stderr, "xen-map: %s finds other bytes than %s\n",
				ways[way].name, ways[0].name);
			exit(1);
		}
	}
}

int main(int argc, char **argv)
{
	struct bench b = { .addr = 16 << 20, .rounds = 3 };
	unsigned long mib = 32;

	if (argc < 3 || argc > 6) {
		fprintf(stderr, "usage: xen-map DEVICE DOMID [ADDR [MIB [ROUNDS]]]\n");
		return 2;
	}
	b.domid = strtoul(argv[2], NULL, 0);
	if (argc > 3)
		b.addr = strtoull(argv[3], NULL, 0);
	if (argc > 4)
		mib = strtoul(argv[4], NULL, 0);
	if (argc > 5)
		b.rounds = strtoul(argv[5], NULL, 0);
	b.pages = mib << (20 - 12);
	if (b.pages < N_BATCHES * MAX_BATCH || b.rounds < 2 || b.addr % PAGE) {
		fprintf(stderr, "xen-map: at least 6 MiB, two rounds, a whole page\n");
		return 2;
	}
	b.dev = vbe_open(argv[1], 0);
	if (!b.dev)
		die(vbe_error(NULL));
	b.privcmd = open("/dev/xen/privcmd", O_RDWR | O_CLOEXEC);
	if (b.privcmd < 0)
		die("/dev/xen/privcmd");
	table(&b);
	vbe_close(b.dev);
	return 0;
}
