// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
/*
 * What it costs to reach a page of a Xen guest, from its dom0: by vbe, and by Xen's own
 * device nodes, of the same pages.
 *
 *	xen-map DEVICE DOMID ROUNDS ADDR:PAGES...
 *
 * The guest has memory at each ADDR, or, with bit 63, grants; all of the one kind or of the
 * other. It does not write there: paused, say. Nobody has used those pages through vbe
 * before: where dom0 is auto-translated, what was mapped once is cheaper the next time,
 * which is what the first round and the later ones show.
 *
 * Prints lines of JSON with nanoseconds per page, the median of all pieces of so many pages
 * each. All ways have to find the same bytes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "xen-map.h"

static const struct {
	unsigned int pages, pieces;
} batches[] = { { 1, 256 }, { 16, 64 }, { MAX_BATCH, 5 } };

#define N_BATCHES	(sizeof(batches) / sizeof(batches[0]))
#define MAX_AREAS	64
#define MAX_PIECES	256

struct area {
	uint64_t addr, pages;	/* that are left */
};

static struct area areas[MAX_AREAS];
static unsigned int n_areas, rounds;

void die(const char *what)
{
	fprintf(stderr, "xen-map: %s: %s\n", what, strerror(errno));
	exit(1);
}

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

/* One load per page; the sum keeps the compiler, and us, honest. */
uint64_t touch(const void *p, unsigned int pages)
{
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < pages; i++)
		sum = sum * 31 + *(const volatile uint64_t *)((const char *)p + i * PAGE + 8);
	return sum;
}

void touch_twice(struct piece *piece, const void *p)
{
	uint64_t t[3];

	t[0] = now_ns();
	piece->sum = touch(p, piece->pages);
	t[1] = now_ns();
	if (touch(p, piece->pages) != piece->sum) {
		fprintf(stderr, "xen-map: the guest's memory changes: pause it\n");
		exit(1);
	}
	t[2] = now_ns();
	piece->ns[STEP_FIRST] = t[1] - t[0];
	piece->ns[STEP_AGAIN] = t[2] - t[1];
}

/* Of either kind. "First touch" is the copy of a page, "touch again" one more. */
int by_copy(struct bench *b, struct piece *piece)
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
	return 1;
}

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static uint64_t median(const struct piece *pieces, unsigned int n, enum step step)
{
	static uint64_t *all;
	unsigned int i;

	all = realloc(all, n * sizeof(*all));
	if (!all)
		die("memory");
	for (i = 0; i < n; i++)
		all[i] = pieces[i].ns[step] / pieces[i].pages;
	qsort(all, n, sizeof(*all), compare);
	return all[n / 2];
}

static void print_row(const char *name, const char *when, const struct piece *pieces,
		      unsigned int n)
{
	printf("{\"way\": \"%s\", \"round\": \"%s\", \"batch\": %u, \"pieces\": %u, ", name, when,
	       pieces->pages, n);
	printf("\"map\": %llu, \"first\": %llu, \"again\": %llu, \"unmap\": %llu}\n",
	       (unsigned long long)median(pieces, n, STEP_MAP),
	       (unsigned long long)median(pieces, n, STEP_FIRST),
	       (unsigned long long)median(pieces, n, STEP_AGAIN),
	       (unsigned long long)median(pieces, n, STEP_UNMAP));
}

/* Memory that no other size of pieces has. */
static unsigned int cut(struct piece *pieces, unsigned int max, unsigned int pages)
{
	struct area *area = areas;
	unsigned int n = 0;

	while (n < max && area < areas + n_areas) {
		if (area->pages < pages) {
			area++;
			continue;
		}
		pieces[n++] = (struct piece) { .addr = area->addr, .pages = pages };
		area->addr += pages * PAGE;
		area->pages -= pages;
	}
	return n;
}

/* Returns 0 when there is no such way here. */
static int measure(struct bench *b, const struct way *way, const struct piece *where,
		   unsigned int n, uint64_t *sum)
{
	struct piece *pieces = calloc((size_t)n * rounds, sizeof(*pieces)), *piece = pieces;
	unsigned int i;
	int there = 1;

	if (!pieces)
		die("memory");
	*sum = 0;
	for (i = 0; i < n * rounds && there; i++, piece++) {
		*piece = where[i % n];
		there = way->fn(b, piece);
		*sum = *sum * 31 + piece->sum;
	}
	if (there) {
		print_row(way->name, "first", pieces, n);
		print_row(way->name, "later", pieces + n, n * (rounds - 1));
	}
	free(pieces);
	return there;
}

/* Each way has its device node for as long as it is measured. */
static void one_size(struct bench *b, const struct way *ways, const struct piece *where,
		     unsigned int n)
{
	const struct way *way;
	uint64_t sum, first = 0;

	for (way = ways; way->name; way++) {
		b->fd = -1;
		if (!measure(b, way, where, n, &sum)) {
			fprintf(stderr, "xen-map: there is no %s here\n", way->name);
			continue;
		}
		if (b->fd >= 0)
			close(b->fd);
		if (way == ways)
			first = sum;
		if (sum == first)
			continue;
		fprintf(stderr, "xen-map: %s finds other bytes than %s\n", way->name, ways->name);
		exit(1);
	}
}

/* What looking at the clock adds to each number. */
static void print_clock(void)
{
	struct piece pieces[MAX_PIECES];
	uint64_t since;
	unsigned int i;

	memset(pieces, 0, sizeof(pieces));
	for (i = 0; i < MAX_PIECES; i++) {
		since = now_ns();
		pieces[i].ns[STEP_FIRST] = now_ns() - since;
		pieces[i].pages = 1;
	}
	printf("{\"clock\": %llu}\n", (unsigned long long)median(pieces, MAX_PIECES, STEP_FIRST));
}

static int parse(struct bench *b, int argc, char **argv)
{
	char *end;
	int i;

	if (argc < 5 || argc > 4 + MAX_AREAS)
		return -1;
	b->domid = strtoul(argv[2], NULL, 0);
	rounds = strtoul(argv[3], NULL, 0);
	for (i = 4; i < argc; i++) {
		struct area *area = &areas[n_areas++];

		area->addr = strtoull(argv[i], &end, 0);
		if (*end != ':' || area->addr % PAGE)
			return -1;
		area->pages = strtoul(end + 1, NULL, 0);
		if ((area->addr ^ areas[0].addr) & GRANT_ADDR)
			return -1;
	}
	return rounds < 2 ? -1 : 0;
}

int main(int argc, char **argv)
{
	static struct piece where[N_BATCHES][MAX_PIECES];
	const struct way *ways;
	struct bench b = { 0 };
	unsigned int i, n[N_BATCHES];

	if (parse(&b, argc, argv)) {
		fprintf(stderr, "usage: xen-map DEVICE DOMID ROUNDS ADDR:PAGES...\n");
		return 2;
	}
	ways = areas[0].addr & GRANT_ADDR ? grant_ways : foreign_ways;
	b.dev = vbe_open(argv[1], 0);
	if (!b.dev)
		die(vbe_error(NULL));
	/* The largest first: what is left over is enough for the others. */
	for (i = N_BATCHES; i--; ) {
		n[i] = cut(where[i], batches[i].pieces, batches[i].pages);
		if (n[i] < 3) {
			fprintf(stderr, "xen-map: too little memory for pieces of %u pages\n",
				batches[i].pages);
			return 2;
		}
	}
	print_clock();
	for (i = 0; i < N_BATCHES; i++)
		one_size(&b, ways, where[i], n[i]);
	vbe_close(b.dev);
	return 0;
}
