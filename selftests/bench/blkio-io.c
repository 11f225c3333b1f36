// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
/*
 * A vhost-user front-end by libblkio, with nothing of vbe in it.
 *
 *	blkio-io verify SOCKET QUEUES [ROUNDS]	write the whole disk, read it all back
 *	blkio-io bench SOCKET QUEUES DEPTH MS	random 4 KiB reads, result as JSON
 *
 * Each queue has a thread. What one queue wrote is read back through another.
 */
#include <blkio.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BLOCK		4096u
#define MAX_QUEUES	8
#define MAX_DEPTH	64
#define MAX_SAMPLES	400000u

struct lane {
	struct blkio *b;
	struct blkioq *q;
	pthread_t thread;
	int index, queues, depth;
	uint64_t blocks;		/* of the disk */
	unsigned char *buf;		/* depth blocks, mapped */
	uint64_t begun[MAX_DEPTH];	/* ns */
	uint64_t block[MAX_DEPTH];	/* what each slot is at */
	uint64_t end;			/* ns */
	uint32_t *lat;			/* ns */
	size_t n_lat;
	uint64_t done;
	uint32_t random;
};

static void die(const char *what)
{
	fprintf(stderr, "blkio-io: %s: %s\n", what, blkio_get_error_msg());
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

static uint32_t next_random(struct lane *l)
{
	l->random ^= l->random << 13;
	l->random ^= l->random >> 17;
	l->random ^= l->random << 5;
	return l->random;
}

/* Every word of a block tells which it is. */
static void fill(unsigned char *buf, uint64_t block)
{
	for (uint64_t i = 0; i < BLOCK / 8; i++) {
		uint64_t word = (block * (BLOCK / 8) + i) * 0x9e3779b97f4a7c15ull;

		memcpy(buf + 8 * i, &word, 8);
	}
}

static bool holds(const unsigned char *buf, uint64_t block)
{
	unsigned char want[BLOCK];

	fill(want, block);
	return !memcmp(buf, want, BLOCK);
}

/* Wait for one completion: the slot that is free now. */
static size_t complete_one(struct lane *l)
{
	struct blkio_completion c;
	int n = blkioq_do_io(l->q, &c, 1, 1, NULL);

	if (n != 1)
		die("blkioq_do_io");
	if (c.ret) {
		fprintf(stderr, "blkio-io: queue %d: I/O error: %s\n", l->index, strerror(-c.ret));
		exit(1);
	}
	return (size_t)c.user_data;
}

static void check_slot(struct lane *l, size_t slot)
{
	if (holds(l->buf + slot * BLOCK, l->block[slot]))
		return;
	fprintf(stderr, "blkio-io: queue %d: block %llu is not what was written\n", l->index,
		(unsigned long long)l->block[slot]);
	exit(1);
}

/* All blocks that are @share modulo the number of queues. */
static void sweep(struct lane *l, uint64_t share, bool write)
{
	uint64_t block = share;
	size_t slot, flying = 0;

	for (; block < l->blocks; block += l->queues) {
		unsigned char *buf;

		if (flying < (size_t)l->depth) {
			slot = flying++;
		} else {
			slot = complete_one(l);
			if (!write)
				check_slot(l, slot);
		}
		buf = l->buf + slot * BLOCK;
		l->block[slot] = block;
		if (write) {
			fill(buf, block);
			blkioq_write(l->q, block * BLOCK, buf, BLOCK, (void *)slot, 0);
		} else {
			memset(buf, 0, BLOCK);
			blkioq_read(l->q, block * BLOCK, buf, BLOCK, (void *)slot, 0);
		}
	}
	for (; flying; flying--) {
		slot = complete_one(l);
		if (!write)
			check_slot(l, slot);
	}
}

static void *write_lane(void *arg)
{
	struct lane *l = arg;

	sweep(l, l->index, true);
	blkioq_flush(l->q, NULL, 0);
	complete_one(l);
	return NULL;
}

static void *read_lane(void *arg)
{
	struct lane *l = arg;

	sweep(l, (l->index + 1) % l->queues, false);
	return NULL;
}

static void begin_read(struct lane *l, size_t slot)
{
	uint64_t block = next_random(l) % l->blocks;

	l->begun[slot] = now_ns();
	blkioq_read(l->q, block * BLOCK, l->buf + slot * BLOCK, BLOCK, (void *)slot, 0);
}

static void *bench_lane(void *arg)
{
	struct lane *l = arg;
	uint64_t now;
	int flying;

	for (flying = 0; flying < l->depth; flying++)
		begin_read(l, flying);
	while (flying) {
		size_t slot = complete_one(l);

		now = now_ns();
		l->done++;
		if (l->n_lat < MAX_SAMPLES)
			l->lat[l->n_lat++] = now - l->begun[slot];
		if (now < l->end)
			begin_read(l, slot);
		else
			flying--;
	}
	return NULL;
}

static struct blkio *open_disk(const char *socket, int queues)
{
	struct blkio *b;

	if (blkio_create("virtio-blk-vhost-user", &b))
		die("blkio_create");
	if (blkio_set_str(b, "path", socket))
		die("path");
	if (blkio_connect(b))
		die("connect");
	if (blkio_set_int(b, "num-queues", queues))
		die("num-queues");
	if (blkio_start(b))
		die("start");
	return b;
}

static void lanes_open(struct lane *lanes, const char *socket, int queues, int depth)
{
	struct blkio *b = open_disk(socket, queues);
	struct blkio_mem_region mem;
	uint64_t capacity;

	if (blkio_get_uint64(b, "capacity", &capacity))
		die("capacity");
	if (blkio_alloc_mem_region(b, &mem, (size_t)queues * depth * BLOCK) ||
	    blkio_map_mem_region(b, &mem))
		die("memory");
	for (int i = 0; i < queues; i++) {
		lanes[i] = (struct lane){
			.b = b, .q = blkio_get_queue(b, i), .index = i, .queues = queues,
			.depth = depth, .blocks = capacity / BLOCK, .random = 2463534242u + i,
			.buf = (unsigned char *)mem.addr + (size_t)i * depth * BLOCK,
		};
	}
}

static void lanes_run(struct lane *lanes, void *(*run)(void *))
{
	int queues = lanes[0].queues;

	for (int i = 0; i < queues; i++) {
		if (pthread_create(&lanes[i].thread, NULL, run, &lanes[i])) {
			perror("blkio-io: pthread_create");
			exit(1);
		}
	}
	for (int i = 0; i < queues; i++)
		pthread_join(lanes[i].thread, NULL);
}

static int verify(const char *socket, int queues, int rounds)
{
	struct lane lanes[MAX_QUEUES];

	lanes_open(lanes, socket, queues, 16);
	while (rounds--) {
		lanes_run(lanes, write_lane);
		lanes_run(lanes, read_lane);
	}
	printf("%llu blocks written and read back, %d queues\n",
	       (unsigned long long)lanes[0].blocks, queues);
	blkio_destroy(&lanes[0].b);
	return 0;
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static int bench(const char *socket, int queues, int depth, int ms)
{
	struct lane lanes[MAX_QUEUES];
	uint64_t begin, done = 0;
	double seconds;

	lanes_open(lanes, socket, queues, depth);
	begin = now_ns();
	for (int i = 0; i < queues; i++) {
		lanes[i].end = begin + ms * 1000000ull;
		lanes[i].lat = malloc(MAX_SAMPLES * sizeof(uint32_t));
		if (!lanes[i].lat)
			return 1;
	}
	lanes_run(lanes, bench_lane);
	seconds = (now_ns() - begin) / 1e9;
	for (int i = 0; i < queues; i++)
		done += lanes[i].done;
	/* Of the first queue: with more, the rate is what counts. */
	qsort(lanes[0].lat, lanes[0].n_lat, sizeof(uint32_t), by_value);
	printf("{\"queues\": %d, \"depth\": %d, \"iops\": %.0f, \"p50_ns\": %u, \"p99_ns\": %u}\n",
	       queues, depth, done / seconds, lanes[0].lat[lanes[0].n_lat / 2],
	       lanes[0].lat[lanes[0].n_lat * 99 / 100]);
	blkio_destroy(&lanes[0].b);
	return 0;
}

int main(int argc, char **argv)
{
	int queues = argc > 3 ? atoi(argv[3]) : 0, depth = argc > 4 ? atoi(argv[4]) : 0;
	int ms = argc > 5 ? atoi(argv[5]) : 0;

	if (queues >= 1 && queues <= MAX_QUEUES) {
		if ((argc == 4 || (argc == 5 && depth >= 1)) && !strcmp(argv[1], "verify"))
			return verify(argv[2], queues, argc == 5 ? depth : 1);
		if (argc == 6 && !strcmp(argv[1], "bench") && depth >= 1 &&
		    depth <= MAX_DEPTH && ms >= 1)
			return bench(argv[2], queues, depth, ms);
	}
	fprintf(stderr, "usage: blkio-io verify SOCKET QUEUES [ROUNDS]\n"
			"       blkio-io bench SOCKET QUEUES DEPTH MILLISECONDS\n");
	return 2;
}
