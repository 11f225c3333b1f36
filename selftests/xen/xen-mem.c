// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
/*
 * A Xen guest's memory as a backend sees it: run in its dom0, on a guest that is paused
 * and may be spoilt. Prints TAP.
 *
 *	xen-mem DEVICE ADDR MIB HOLE
 *
 * The guest has MIB of memory, 4 or more, at ADDR, which begins a block of 2 MiB, and none
 * at HOLE.
 *
 *	xen-mem DEVICE ADDR MIB touch SECONDS
 *
 * This one only reads, all of it, again and again: the guest may run.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <vbe/vbe.h>

#define PAGE		4096ul
#define BLOCK		(512 * PAGE)
#define N_THREADS	8
#define COPY_MAX	(1ul << 20)	/* of an entry */

static struct vbe_dev *dev;
static uint64_t addr, size, hole;
static int n_tests, n_failed;

static void check(bool good, const char *what)
{
	printf("%sok %d - %s\n", good ? "" : "not ", ++n_tests, what);
	n_failed += !good;
}

static char *map_fd(int fd, uint64_t at, size_t len, int prot)
{
	return mmap(NULL, len, prot, MAP_SHARED, fd, at);
}

static char *map(uint64_t at, size_t len)
{
	char *p = map_fd(vbe_fd(dev), at, len, PROT_READ | PROT_WRITE);

	if (p == MAP_FAILED) {
		printf("Bail out! mmap: %s\n", vbe_error(dev));
		exit(1);
	}
	return p;
}

static int copy(uint64_t at, void *buf, size_t len, bool to_fe)
{
	struct vbe_copy_entry e = { .fe_addr = at, .buf = (uintptr_t)buf };
	int ret = 0;

	for (; !ret && len; len -= e.len) {
		e.len = len < COPY_MAX ? len : COPY_MAX;
		ret = vbe_mem_copy(dev, &e, 1, to_fe ? VBE_COPY_F_TO_FE : 0);
		ret = ret < 0 ? ret : e.status;
		e.fe_addr += e.len;
		e.buf += e.len;
	}
	return ret;
}

/* Bytes that differ from page to page and from call to call. */
static void fill(char *p, size_t len, unsigned int seed)
{
	size_t i;

	for (i = 0; i < len; i++)
		p[i] = seed + i * 7 + i / PAGE;
}

static bool same(const char *p, uint64_t at, size_t len)
{
	char *buf = malloc(len);
	bool ret = buf && !copy(at, buf, len, false) && !memcmp(p, buf, len);

	free(buf);
	return ret;
}

static void test_bytes(void)
{
	static char buf[3 * PAGE];
	char *p = map(addr, 2 * BLOCK);

	fill(p, BLOCK, 1);
	check(same(p, addr, BLOCK), "what is stored in a mapping, MEM_COPY finds");
	fill(buf, sizeof(buf), 2);
	check(!copy(addr + BLOCK - PAGE - 5, buf, sizeof(buf), true) &&
	      !memcmp(p + BLOCK - PAGE - 5, buf, sizeof(buf)),
	      "what MEM_COPY writes, also across blocks, a mapping shows");
	munmap(p, 2 * BLOCK);
	p = map(addr + BLOCK - PAGE, 2 * PAGE);
	check(same(p, addr + BLOCK - PAGE, 2 * PAGE),
	      "a mapping of the end of a block and the begin of the next");
	munmap(p, 2 * PAGE);
}

/* The kernel cannot read the entries of foreign pages on a PV dom0. */
static void test_change(void)
{
	char *p = map(addr, BLOCK), *q;

	fill(p, BLOCK, 3);
	check(mprotect(p, BLOCK, PROT_READ) && errno == EACCES && same(p, addr, BLOCK),
	      "mprotect() is refused");
	q = mmap(NULL, 2 * BLOCK, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	q = mremap(p, BLOCK, BLOCK, MREMAP_MAYMOVE | MREMAP_FIXED,
		   (char *)(((uintptr_t)q + BLOCK - 1) & ~(BLOCK - 1)) + 3 * PAGE);
	check(q != MAP_FAILED && same(q, addr, BLOCK), "mremap() keeps what is mapped");
	if (q == MAP_FAILED)
		return;
	q[5] ^= 1;
	check(same(q, addr, BLOCK), "and that it can be written");
	munmap(q + 7 * PAGE, PAGE);
	check(same(q, addr, 7 * PAGE) && same(q + 8 * PAGE, addr + 8 * PAGE, 8 * PAGE),
	      "so does a hole in the mapping");
	munmap(q, 7 * PAGE);
	munmap(q + 8 * PAGE, BLOCK - 8 * PAGE);
}

static void test_soft_dirty(void)
{
	char *p = map(addr, BLOCK);
	int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);

	p[0]++;
	if (fd >= 0) {
		if (write(fd, "4", 1) != 1)
			printf("# clear_refs: %s\n", strerror(errno));
		close(fd);
	}
	p[0]++;
	munmap(p, BLOCK);
	p = map(addr, BLOCK);
	p[PAGE]++;
	check(same(p, addr, BLOCK), "pages can be written while writes are tracked");
	munmap(p, BLOCK);
}

static void test_kernel(void)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	char *p = map(addr, BLOCK);
	volatile char *scratch;

	check(pread(fd, p + 5, 3 * PAGE, 0) == 3 * PAGE && same(p, addr, 4 * PAGE),
	      "read() into the guest's memory");
	munmap(p, BLOCK);
	p = map(hole, BLOCK);
	check(pread(fd, p, PAGE, 0) < 0 && errno == EFAULT,
	      "read() into a hole of it fails: EFAULT");
	/* A compiler knows what it has stored, and no better. */
	scratch = p;
	scratch[0] = 1;
	check(scratch[0] == 1 && !scratch[1] && scratch[9 * PAGE] == 1 && !scratch[9 * PAGE + 1],
	      "a backend finds scratch memory there, one page everywhere");
	check(copy(hole, p, 8, false) == -EFAULT, "and MEM_COPY EFAULT");
	munmap(p, BLOCK);
	close(fd);
}

static void test_readonly(void)
{
	int fd = vbe_mem_fd(dev, VBE_MEM_FD_F_READONLY);
	char *p = map_fd(fd, addr, BLOCK, PROT_READ);

	check(p != MAP_FAILED && same(p, addr, BLOCK), "a mapping to read only");
	check(map_fd(fd, addr, BLOCK, PROT_READ | PROT_WRITE) == MAP_FAILED,
	      "which is all that its fd gives");
	if (p != MAP_FAILED)
		munmap(p, BLOCK);
	close(fd);
}

static void *touch(void *arg)
{
	volatile char *p = arg;
	uintptr_t sum = 0, i;

	for (i = 0; i < 2 * BLOCK; i += PAGE)
		sum = sum * 31 + (unsigned char)p[i];
	return (void *)sum;
}

static void test_threads(void)
{
	char *p = map(addr, 2 * BLOCK);
	pthread_t threads[N_THREADS];
	bool good = true;
	void *sum;
	int i;

	for (i = 0; i < N_THREADS; i++)
		pthread_create(&threads[i], NULL, touch, p);
	for (i = 0; i < N_THREADS; i++) {
		pthread_join(threads[i], &sum);
		good &= sum == touch(p);
	}
	check(good && same(p, addr, BLOCK), "threads that touch the same pages first");
	munmap(p, 2 * BLOCK);
}

/* Perhaps more than may be mapped at a time, and up and down. */
static void test_all(void)
{
	uint64_t i, bad = 0;
	char *p = map(addr, size);

	for (i = 0; i < size; i += PAGE)
		*(uint64_t *)(p + i) = addr + i;
	for (i = size; i; i -= PAGE)
		bad += *(uint64_t *)(p + i - PAGE) != addr + i - PAGE;
	check(!bad, "all of it");
	memmove(p, p + size / 2 + 8, size / 2 - 8);
	for (i = 0; i < size / 2 - PAGE; i += PAGE)
		bad += *(uint64_t *)(p + i + PAGE - 8) != addr + size / 2 + i + PAGE;
	check(!bad && same(p, addr, BLOCK), "from one half to the other");
	munmap(p, size);
}

static int touch_for(int seconds)
{
	time_t end = time(NULL) + seconds;
	volatile char *p = map(addr, size);
	unsigned int sum = 0, rounds = 0;
	size_t i;

	for (; time(NULL) < end; rounds++) {
		for (i = 0; i < size; i += PAGE)
			sum += p[i];
		usleep(10000);
	}
	printf("%u rounds, sum %u\n", rounds, sum);
	vbe_close(dev);
	return !rounds;
}

int main(int argc, char **argv)
{
	bool touches = argc == 6 && !strcmp(argv[4], "touch");

	if (argc != 5 && !touches) {
		fprintf(stderr, "usage: xen-mem DEVICE ADDR MIB (HOLE | touch SECONDS)\n");
		return 2;
	}
	addr = strtoull(argv[2], NULL, 0);
	size = strtoull(argv[3], NULL, 0) << 20;
	hole = strtoull(argv[4], NULL, 0);
	dev = vbe_open(argv[1], 0);
	if (!dev) {
		printf("Bail out! %s: %s\n", argv[1], vbe_error(NULL));
		return 1;
	}
	if (touches)
		return touch_for(atoi(argv[5]));
	test_bytes();
	test_change();
	test_soft_dirty();
	test_kernel();
	test_readonly();
	test_threads();
	test_all();
	printf("1..%d\n", n_tests);
	vbe_close(dev);
	return n_failed != 0;
}
