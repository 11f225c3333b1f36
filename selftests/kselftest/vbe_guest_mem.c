// SPDX-License-Identifier: GPL-2.0
/*
 * Guest memory of the user provider: what is taken as memory, how a backend sees it,
 * and what is left when the VMM truncates, punches, takes it back or dies.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <fcntl.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "check.h"
#include "dev.h"
#include "guest.h"

#define NAME		"kst-gmem"
#define NAME2		"kst-gmem2"
#define AT		0x80000000ULL
#define AT_RO		0xc0000000ULL
#define LEN		(4U << 20)
#define LEN_RO		(64U << 10)
#define RW		(PROT_READ | PROT_WRITE)
#define RESET_MS	400	/* where nobody answers */
#define PINNED_MS	1000	/* how long a next backend waits for pinned pages */

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

#define G_TEST(name)	TEST_F(gmem, name)

FIXTURE(gmem)
{
	struct guest *g;
	uint8_t *host;		/* the VMM's own mapping of the memory at AT */
	int memfd;
	int dev;
	int fd;			/* the backend's */
	long page;
};

FIXTURE_SETUP(gmem)
{
	struct vbe_guest_dev_add p = guest_dev_params(NAME, "direct", 0);

	self->page = sysconf(_SC_PAGESIZE);
	self->g = guest_new("gmem");
	ASSERT_NE(NULL, self->g);
	ASSERT_DONE(guest_mem_add(self->g, AT, LEN, 0));
	self->memfd = self->g->mem[0].fd;
	self->host = self->g->mem[0].host;
	p.reset_timeout_ms = RESET_MS;
	self->dev = guest_dev_add_params(self->g, &p);
	ASSERT_DONE(self->dev);
	self->fd = dev_open(NAME);
	ASSERT_DONE(self->fd);
}

FIXTURE_TEARDOWN(gmem)
{
	close(self->fd);
	guest_free(self->g);
}

static uint8_t *map(int fd, uint64_t offset, size_t len, int prot)
{
	return mmap(NULL, len, prot, MAP_SHARED, fd, offset);
}

static int memfd(size_t len)
{
	int fd = memfd_create("kst", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, len))
		die("memfd");
	return fd;
}

static int mem_fd(int fd, uint32_t flags)
{
	struct vbe_mem_fd m = { .size = sizeof(m), .flags = flags, .out_fd = -1 };
	int ret = xioctl(fd, VBE_IOC_MEM_FD, &m);

	return ret < 0 ? ret : m.out_fd;
}

static int copy1(int fd, uint64_t addr, void *buf, uint32_t len, uint32_t flags)
{
	struct vbe_copy_entry e = { .fe_addr = addr, .buf = (uintptr_t)buf, .len = len };
	struct vbe_mem_copy c = { .size = sizeof(c), .flags = flags, .n = 1,
				  .entries = (uintptr_t)&e };
	int ret = xioctl(fd, VBE_IOC_MEM_COPY, &c);

	return ret < 0 ? ret : e.status;
}

/* ---- a backend that writes all the time ------------------------------------------- */

struct hammer {
	volatile uint8_t *p;
	size_t len;
	volatile bool stop;
	volatile uint64_t rounds;
	pthread_t thread;
};

static void *hammer_main(void *arg)
{
	struct hammer *h = arg;
	uint8_t v = 1;
	size_t i;

	while (!h->stop) {
		for (i = 0; i < h->len; i += 256)
			h->p[i] = v;
		v = v == 255 ? 1 : v + 1;
		h->rounds++;
	}
	return NULL;
}

static void hammer_start(struct hammer *h, uint8_t *p, size_t len)
{
	*h = (struct hammer){ .p = p, .len = len };
	if (pthread_create(&h->thread, NULL, hammer_main, h))
		die("thread");
}

static bool hammer_moved(void *arg)
{
	struct hammer *h = arg;
	static uint64_t from;

	if (!from)
		from = h->rounds;
	if (h->rounds < from + 3)
		return false;
	from = 0;
	return true;
}

/* It still runs: three more rounds. */
static bool hammer_lives(struct hammer *h)
{
	return wait_until(hammer_moved, h, COMES_MS);
}

static void hammer_stop(struct hammer *h)
{
	h->stop = true;
	pthread_join(h->thread, NULL);
}

/* Nobody writes to these bytes while the hammer goes three times over its mapping. */
static bool untouched(struct hammer *h, const uint8_t *bytes, size_t len)
{
	uint8_t *copy = malloc(len);
	bool same;

	if (!copy)
		die("memory");
	memcpy(copy, bytes, len);
	same = hammer_lives(h) && !memcmp(copy, bytes, len);
	free(copy);
	return same;
}

/* ---- what is taken --------------------------------------------------------------------- */

G_TEST(bad_ranges)
{
	int g = self->g->fd, m = memfd(LEN);
	long page = self->page;
	struct vbe_guest_mem r = { .size = sizeof(r), .fe_addr = 0, .len = page, .fd = m,
				   .__reserved = 1 };

	EXPECT_WHY(g, EINVAL, guest_mem_add_fd(g, m, 0, 1, page, 0));
	EXPECT_WHY(g, EINVAL, guest_mem_add_fd(g, m, 0, 512, page, 0));
	EXPECT_WHY(g, EINVAL, guest_mem_add_fd(g, m, 1, 0, page, 0));
	EXPECT_WHY(g, EINVAL, guest_mem_add_fd(g, m, 0, 0, page - 1, 0));
	EXPECT_WHY(g, EINVAL, guest_mem_add_fd(g, m, 0, 0, 0, 0));
	EXPECT_WHY(g, EINVAL, guest_mem_add_fd(g, m, 0, -page, 2 * page, 0));
	EXPECT_WHY(g, EINVAL, guest_mem_add_fd(g, m, 0, page, -page, 0));
	EXPECT_WHY(g, EINVAL, guest_mem_add_fd(g, m, 0, VBE_MMAP_INFLIGHT, page, 0));
	EXPECT_WHY(g, EINVAL, guest_mem_add_fd(g, m, 0, VBE_MMAP_INFLIGHT - page, 2 * page, 0));
	EXPECT_WHY(g, EINVAL, guest_mem_add_fd(g, m, 1ULL << 63, 0, page, 0));
	EXPECT_WHY(g, EINVAL, guest_mem_add_fd(g, m, (1ULL << 63) - page, 0, page, 0));
	EXPECT_WHY(g, EINVAL, guest_mem_add_fd(g, m, -page, 0, page, 0));
	EXPECT_WHY(g, EINVAL, guest_mem_add_fd(g, m, 0, 0, page, 2));
	EXPECT_WHY(g, EINVAL, guest_mem_add_fd(g, m, 0, 0, page, 1U << 31));
	EXPECT_WHY(g, EINVAL, xioctl(g, VBE_IOC_GUEST_MEM_ADD, &r));
	/* overlaps of all kinds with what is there */
	EXPECT_WHY(g, EEXIST, guest_mem_add_fd(g, m, 0, AT, LEN, 0));
	EXPECT_WHY(g, EEXIST, guest_mem_add_fd(g, m, 0, AT + page, page, 0));
	EXPECT_WHY(g, EEXIST, guest_mem_add_fd(g, m, 0, AT - page, 2 * page, 0));
	EXPECT_WHY(g, EEXIST, guest_mem_add_fd(g, m, 0, AT + LEN - page, 2 * page, 0));
	EXPECT_WHY(g, EEXIST, guest_mem_add_fd(g, m, 0, AT - page, LEN + 2 * page, 0));
	/* neighbours are fine */
	EXPECT_DONE(guest_mem_add_fd(g, m, 0, AT - page, page, 0));
	EXPECT_DONE(guest_mem_add_fd(g, m, 0, AT + LEN, page, 0));
	close(m);
}

static int add(int guest_fd, int fd, uint32_t flags)
{
	return guest_mem_add_fd(guest_fd, fd, 0, 0, 4096, flags);
}

G_TEST(bad_files)
{
	int g = self->g->fd, p[2], m = memfd(4096), fd;
	char path[64];

	ASSERT_EQ(0, pipe(p));
	EXPECT_WHY(g, EBADF, add(g, -1, 0));
	EXPECT_WHY(g, EBADF, add(g, 4095, 0));
	EXPECT_WHY(g, ENODEV, add(g, p[1], 0));
	EXPECT_WHY(g, ENODEV, add(g, g, 0));
	fd = eventfd(0, 0);
	EXPECT_WHY(g, ENODEV, add(g, fd, 0));
	close(fd);
	fd = open("/", O_RDONLY | O_DIRECTORY);
	EXPECT_WHY(g, ENODEV, add(g, fd, VBE_GUEST_MEM_F_READONLY));
	close(fd);
	fd = open("/", O_PATH);
	EXPECT_WHY(g, EBADF, add(g, fd, 0));
	close(fd);
	fd = open("/dev/zero", O_RDWR);
	EXPECT_WHY(g, EOPNOTSUPP, add(g, fd, 0));
	close(fd);
	EXPECT_WHY(g, EOPNOTSUPP, add(g, self->fd, 0));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", m);
	fd = open(path, O_RDONLY);
	ASSERT_LE(0, fd);
	EXPECT_WHY(g, EACCES, add(g, fd, 0));
	EXPECT_DONE(add(g, fd, VBE_GUEST_MEM_F_READONLY));
	EXPECT_DONE(guest_mem_del(self->g, 0, 4096));
	close(fd);
	fd = open(path, O_WRONLY);
	ASSERT_LE(0, fd);
	EXPECT_WHY(g, EACCES, add(g, fd, 0));
	EXPECT_WHY(g, EACCES, add(g, fd, VBE_GUEST_MEM_F_READONLY));
	close(fd);
	close(p[0]);
	close(p[1]);
	close(m);
}

G_TEST(seals)
{
	int g = self->g->fd, m = memfd(4096), f = memfd(4096);
	uint8_t *p, *own;

	ASSERT_EQ(0, fcntl(f, F_ADD_SEALS, F_SEAL_FUTURE_WRITE));
	EXPECT_WHY(g, EPERM, add(g, f, 0));
	EXPECT_DONE(add(g, f, VBE_GUEST_MEM_F_READONLY));
	EXPECT_DONE(guest_mem_del(self->g, 0, 4096));
	close(f);
	/* Memory that backends may write cannot be sealed. */
	EXPECT_DONE(add(g, m, 0));
	EXPECT_EQ(-1, fcntl(m, F_ADD_SEALS, F_SEAL_WRITE));
	EXPECT_EQ(EBUSY, errno);
	EXPECT_DONE(guest_mem_del(self->g, 0, 4096));
	ASSERT_EQ(0, fcntl(m, F_ADD_SEALS, F_SEAL_WRITE));
	EXPECT_WHY(g, EPERM, add(g, m, 0));
	/* Sealed memory that a backend reads stays sealed. */
	EXPECT_DONE(add(g, m, VBE_GUEST_MEM_F_READONLY));
	p = map(self->fd, 0, 4096, PROT_READ);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(0, p[0]);
	own = map(m, 0, 4096, RW);
	EXPECT_EQ(MAP_FAILED, own)
		TH_LOG("a backend's mapping has broken the seal");
	munmap(p, 4096);
	EXPECT_EQ(MAP_FAILED, map(m, 0, 4096, RW));
	close(m);
}

G_TEST(too_many)
{
	int g = self->g->fd, m = memfd(4096), i;

	for (i = 1; i < 64; i++)
		ASSERT_DONE(guest_mem_add_fd(g, m, 0, i * 4096ULL, 4096, 0));
	EXPECT_WHY(g, ENOSPC, guest_mem_add_fd(g, m, 0, 0, 4096, 0));
	EXPECT_DONE(guest_mem_del(self->g, 7 * 4096, 4096));
	EXPECT_DONE(guest_mem_add_fd(g, m, 0, 0, 4096, 0));
	close(m);
}

G_TEST(bad_del)
{
	struct vbe_guest_mem d = { .size = sizeof(d), .fe_addr = AT, .len = LEN, .fd = -1 };
	int g = self->g->fd;

	EXPECT_WHY(g, ENOENT, guest_mem_del(self->g, 0, 4096));
	EXPECT_WHY(g, ENOENT, guest_mem_del(self->g, AT, LEN / 2));
	EXPECT_WHY(g, ENOENT, guest_mem_del(self->g, AT + 4096, LEN - 4096));
	d.flags = 1;
	EXPECT_WHY(g, EINVAL, xioctl(g, VBE_IOC_GUEST_MEM_DEL, &d));
	d.flags = 0;
	d.fd = self->memfd;
	EXPECT_WHY(g, EINVAL, xioctl(g, VBE_IOC_GUEST_MEM_DEL, &d));
	d.fd = -1;
	d.offset = 4096;
	EXPECT_WHY(g, EINVAL, xioctl(g, VBE_IOC_GUEST_MEM_DEL, &d));
	d.offset = 0;
	EXPECT_DONE(xioctl(g, VBE_IOC_GUEST_MEM_DEL, &d));
	EXPECT_WHY(g, ENOENT, xioctl(g, VBE_IOC_GUEST_MEM_DEL, &d));
}

G_TEST(none_of_a_dead_guest)
{
	int m = memfd(4096);

	ASSERT_DONE(guest_die(self->g));
	EXPECT_WHY(self->g->fd, ENODEV, add(self->g->fd, m, 0));
	close(m);
}

/* ---- how a backend sees it ------------------------------------------------------------- */

G_TEST(query)
{
	struct vbe_mem_query q = { .size = sizeof(q) };
	struct vbe_event ev;

	ASSERT_DONE(xioctl(self->fd, VBE_IOC_MEM_QUERY, &q));
	EXPECT_EQ(AT, q.fe_addr);
	EXPECT_EQ(LEN, q.len);
	EXPECT_EQ(0, q.flags);
	EXPECT_EQ(VBE_MEM_PINNED, q.mem_class);
	ASSERT_DONE(guest_mem_add(self->g, AT_RO, LEN_RO, VBE_GUEST_MEM_F_READONLY));
	EXPECT_DONE(wait_event(self->fd, VBE_EVENT_MEM, &ev, COMES_MS));
	q.index = 1;
	ASSERT_DONE(xioctl(self->fd, VBE_IOC_MEM_QUERY, &q));
	EXPECT_EQ(AT_RO, q.fe_addr);
	EXPECT_EQ(VBE_WINDOW_F_READONLY, q.flags);
	ASSERT_DONE(guest_mem_del(self->g, AT_RO, LEN_RO));
	EXPECT_DONE(wait_event(self->fd, VBE_EVENT_MEM, &ev, COMES_MS));
	EXPECT_EQ(-ENOENT, xioctl(self->fd, VBE_IOC_MEM_QUERY, &q));
}

G_TEST(one_memory)
{
	uint8_t buf[3 * 4096], *all, *part;
	uint32_t i;

	for (i = 0; i < LEN; i += 4096)
		self->host[i] = i >> 12;
	all = map(self->fd, AT, LEN, RW);
	part = map(self->fd, AT + LEN / 2, 4096, RW);
	ASSERT_TRUE(all != MAP_FAILED && part != MAP_FAILED);
	for (i = 0; i < LEN; i += 4096)
		ASSERT_EQ((uint8_t)(i >> 12), all[i]);
	part[5] = 0x77;
	EXPECT_EQ(0x77, self->host[LEN / 2 + 5]);
	EXPECT_EQ(0x77, all[LEN / 2 + 5]);
	memset(buf, 0x3c, sizeof(buf));
	EXPECT_EQ(0, copy1(self->fd, AT + 100, buf, sizeof(buf), VBE_COPY_F_TO_FE));
	EXPECT_EQ(0x3c, self->host[100]);
	EXPECT_EQ(0x3c, self->host[100 + sizeof(buf) - 1]);
	EXPECT_NE(0x3c, self->host[100 + sizeof(buf)]);
	self->host[4096] = 0x99;
	EXPECT_EQ(0, copy1(self->fd, AT + 4090, buf, 16, 0));
	EXPECT_EQ(0x99, buf[6]);
	EXPECT_EQ(-EFAULT, copy1(self->fd, AT + LEN - 8, buf, 16, 0));
	EXPECT_EQ(MAP_FAILED, map(self->fd, AT - 4096, 8192, RW));
	EXPECT_EQ(MAP_FAILED, map(self->fd, AT + LEN - 4096, 8192, RW));
	EXPECT_EQ(MAP_FAILED, map(self->fd, 0, 4096, RW));
	munmap(all, LEN);
	munmap(part, 4096);
}

/* What lies where in the file is told by the region, not by the FE address. */
G_TEST(offset_in_file)
{
	uint64_t at = 0x123450000ULL;
	uint8_t *p, *own;
	int m = memfd(LEN);

	ASSERT_DONE(guest_mem_add_fd(self->g->fd, m, 64 << 10, at, 64 << 10, 0));
	own = map(m, 0, LEN, RW);
	p = map(self->fd, at + 8192, 8192, RW);
	ASSERT_TRUE(own != MAP_FAILED && p != MAP_FAILED);
	own[(64 << 10) + 8192] = 0x41;
	EXPECT_EQ(0x41, p[0]);
	p[8191] = 0x42;
	EXPECT_EQ(0x42, own[(64 << 10) + 16383]);
	EXPECT_EQ(MAP_FAILED, map(self->fd, at + (60 << 10), 8192, RW));
	munmap(own, LEN);
	munmap(p, 8192);
	close(m);
}

G_TEST(readonly_region)
{
	uint8_t byte = 1, *p;
	int pipes[2];

	ASSERT_DONE(guest_mem_add(self->g, AT_RO, LEN_RO, VBE_GUEST_MEM_F_READONLY));
	self->g->mem[1].host[0] = 0x5a;
	errno = 0;
	EXPECT_EQ(MAP_FAILED, map(self->fd, AT_RO, LEN_RO, RW));
	EXPECT_EQ(EACCES, errno);
	p = map(self->fd, AT_RO, LEN_RO, PROT_READ);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(0x5a, p[0]);
	self->g->mem[1].host[1] = 0x5b;
	EXPECT_EQ(0x5b, p[1]);
	EXPECT_EQ(-1, mprotect(p, LEN_RO, RW));
	ASSERT_EQ(0, pipe(pipes));
	ASSERT_EQ(1, write(pipes[1], &byte, 1));
	EXPECT_EQ(-1, read(pipes[0], p, 1));
	EXPECT_EQ(-EFAULT, copy1(self->fd, AT_RO, &byte, 1, VBE_COPY_F_TO_FE));
	EXPECT_EQ(0, copy1(self->fd, AT_RO, &byte, 1, 0));
	EXPECT_EQ(0x5a, byte);
	EXPECT_EQ(0x5a, p[0]);
	munmap(p, LEN_RO);
	close(pipes[0]);
	close(pipes[1]);
}

static int touch_in_child(volatile uint8_t *p)
{
	pid_t pid = fork();

	if (!pid) {
		signal(SIGSEGV, SIG_DFL);
		_exit(p[0] ? 1 : 2);
	}
	return wait_child(pid, COMES_MS);
}

G_TEST(not_in_children)
{
	uint8_t *p = map(self->fd, AT, 4096, RW);
	int status;

	ASSERT_NE(MAP_FAILED, p);
	p[0] = 0x5e;
	status = touch_in_child(p);
	EXPECT_TRUE(status >= 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV)
		TH_LOG("the child ended with 0x%x", status);
	EXPECT_EQ(0x5e, p[0]);
	munmap(p, 4096);
}

G_TEST(memory_fds)
{
	int m = mem_fd(self->fd, 0), ro = mem_fd(self->fd, VBE_MEM_FD_F_READONLY);
	uint8_t *p, *q;

	ASSERT_TRUE(m >= 0 && ro >= 0);
	p = map(m, AT, LEN, RW);
	q = map(ro, AT, LEN, PROT_READ);
	ASSERT_TRUE(p != MAP_FAILED && q != MAP_FAILED);
	EXPECT_EQ(MAP_FAILED, map(ro, AT, LEN, RW));
	EXPECT_EQ(-1, mprotect(q, LEN, RW));
	p[LEN - 1] = 0x71;
	EXPECT_EQ(0x71, self->host[LEN - 1]);
	EXPECT_EQ(0x71, q[LEN - 1]);
	/* They end with the attachment. */
	close(self->fd);
	self->fd = -1;
	EXPECT_EQ(0, p[LEN - 1]);
	EXPECT_EQ(0, q[LEN - 1]);
	p[0] = 1;
	EXPECT_EQ(0, self->host[0]);
	munmap(p, LEN);
	munmap(q, LEN);
	close(m);
	close(ro);
}

/* The kernel has a call that maps more of a mapping's file: not of this one. */
G_TEST(no_way_around)
{
	uint8_t *p = map(self->fd, AT, 4 * 4096, RW);

	ASSERT_NE(MAP_FAILED, p);
	self->host[0] = 0x31;
	self->host[8 * 4096] = 0x32;
	EXPECT_EQ(0x31, p[0]);
	EXPECT_NE(0, syscall(SYS_remap_file_pages, p, 4096UL, 0UL, 8UL, 0UL))
		TH_LOG("remap_file_pages() has mapped the VMM's file");
	EXPECT_EQ(MAP_FAILED, mremap(p, 4 * 4096, 8 * 4096, MREMAP_MAYMOVE));
	EXPECT_EQ(MAP_FAILED, mremap(p, 0, 4096, MREMAP_MAYMOVE));
	EXPECT_NE(0, madvise(p, 4096, MADV_REMOVE));
	EXPECT_EQ(0x31, self->host[0]);
	munmap(p, 4 * 4096);
}

/* Pieces of a mapping, moved and cut, are still the pages that they were. */
G_TEST(moved_and_cut)
{
	size_t n = 16 * 4096;
	uint8_t *p = map(self->fd, AT, n, RW), *to, *q;
	int i;

	ASSERT_NE(MAP_FAILED, p);
	for (i = 0; i < 16; i++)
		self->host[i * 4096] = 0x80 + i;
	EXPECT_EQ(0x82, p[2 * 4096]);
	ASSERT_EQ(0, munmap(p + 4 * 4096, 2 * 4096));
	EXPECT_EQ(0x83, p[3 * 4096]);
	EXPECT_EQ(0x86, p[6 * 4096]);
	to = mmap(NULL, n, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, to);
	/* a piece of which one page has been touched, moved elsewhere */
	q = mremap(p + 6 * 4096, 4 * 4096, 4 * 4096, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	ASSERT_EQ(to, q);
	for (i = 0; i < 4; i++)
		EXPECT_EQ(0x86 + i, q[i * 4096]);
	ASSERT_EQ(0, mprotect(p + 4096, 4096, PROT_READ));
	EXPECT_EQ(0x81, p[4096]);
	EXPECT_EQ(0x8f, p[15 * 4096]);
	/* Taking it back finds all of them. */
	ASSERT_DONE(guest_die(self->g));
	EXPECT_EQ(0, p[0]);
	EXPECT_EQ(0, p[4096]);
	EXPECT_EQ(0, p[3 * 4096]);
	EXPECT_EQ(0, q[0]);
	EXPECT_EQ(0, q[3 * 4096]);
	EXPECT_EQ(0, p[15 * 4096]);
	q[0] = 9;
	EXPECT_EQ(0x86, self->host[6 * 4096]);
	munmap(p, n);
	munmap(to, n);
}

G_TEST(two_devices)
{
	int dev = guest_dev_add(self->g, NAME2, "direct", 0), fd;
	uint8_t *p, *q;

	ASSERT_DONE(dev);
	fd = dev_open(NAME2);
	ASSERT_DONE(fd);
	p = map(self->fd, AT, LEN, RW);
	q = map(fd, AT, LEN, RW);
	ASSERT_TRUE(p != MAP_FAILED && q != MAP_FAILED);
	p[0] = 0x11;
	EXPECT_EQ(0x11, q[0]);
	/* One goes; the other stays as it was, and so does the VMM. */
	ASSERT_DONE(guest_dev_del(self->g, dev));
	EXPECT_EQ(0, q[0]);
	EXPECT_EQ(0x11, p[0]);
	EXPECT_EQ(0x11, self->host[0]);
	q[0] = 0x22;
	p[1] = 0x12;
	EXPECT_EQ(0x11, self->host[0]);
	EXPECT_EQ(0x12, self->host[1]);
	munmap(p, LEN);
	munmap(q, LEN);
	close(fd);
}

/* ---- truncation and holes ------------------------------------------------------------ */

G_TEST(truncated_while_written)
{
	uint8_t *p = map(self->fd, AT, LEN, RW);
	struct hammer h;
	int i;

	ASSERT_NE(MAP_FAILED, p);
	munmap(self->host, LEN);	/* the VMM itself would get SIGBUS */
	hammer_start(&h, p, LEN);
	for (i = 0; i < 20; i++) {
		ASSERT_EQ(0, ftruncate(self->memfd, i % 3 * 4096));
		sleep_ms(5);
		ASSERT_EQ(0, ftruncate(self->memfd, LEN));
		sleep_ms(i);
	}
	ASSERT_EQ(0, ftruncate(self->memfd, 0));
	EXPECT_TRUE(hammer_lives(&h));
	hammer_stop(&h);
	self->host = mmap(self->host, LEN, RW, MAP_SHARED | MAP_FIXED, self->memfd, 0);
	ASSERT_NE(MAP_FAILED, self->host);
	munmap(p, LEN);
	/* New mappings see zeroes, write nowhere, and for the kernel there is nothing. */
	p = map(self->fd, AT, LEN, RW);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(0, p[LEN / 2]);
	p[LEN / 2] = 0x44;
	EXPECT_EQ(0x44, p[LEN / 2]);
	EXPECT_EQ(-EFAULT, copy1(self->fd, AT, &i, 4, 0));
	ASSERT_EQ(0, ftruncate(self->memfd, LEN));
	EXPECT_EQ(0, self->host[LEN / 2]);
	/* What it had not touched is the file again. */
	self->host[0] = 0x12;
	EXPECT_EQ(0x12, p[0]);
	EXPECT_EQ(0, copy1(self->fd, AT, &i, 4, 0));
	EXPECT_EQ(0x12, i);
	/* And what it had, once the VMM adds the memory again. */
	self->host[LEN / 2] = 0x13;
	EXPECT_EQ(0x44, p[LEN / 2]);
	{
		struct vbe_guest_mem d = { .size = sizeof(d), .fe_addr = AT, .len = LEN, .fd = -1 };

		ASSERT_DONE(xioctl(self->g->fd, VBE_IOC_GUEST_MEM_DEL, &d));
	}
	EXPECT_EQ(0, p[0]);
	ASSERT_DONE(guest_mem_add_fd(self->g->fd, self->memfd, 0, AT, LEN, 0));
	EXPECT_EQ(0x12, p[0]);
	EXPECT_EQ(0x13, p[LEN / 2]);
	munmap(p, LEN);
}

G_TEST(holes)
{
	uint8_t *p = map(self->fd, AT, LEN, RW);
	struct hammer h;
	int i;

	ASSERT_NE(MAP_FAILED, p);
	for (i = 0; i < 64; i++)
		p[i * 4096] = 0x61;
	ASSERT_EQ(0, fallocate(self->memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			       32 * 4096));
	/* Filled again by the VMM, or by the backend: one memory. */
	for (i = 0; i < 16; i++)
		self->host[i * 4096] = 0x62;
	for (i = 0; i < 16; i++)
		EXPECT_EQ(0x62, p[i * 4096]);
	EXPECT_EQ(0, p[16 * 4096]);
	p[17 * 4096] = 0x63;
	EXPECT_EQ(0x63, self->host[17 * 4096]);
	EXPECT_EQ(0x61, p[32 * 4096]);
	/* The same under fire. */
	hammer_start(&h, p, 32 * 4096);
	for (i = 0; i < 100; i++)
		ASSERT_EQ(0, fallocate(self->memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				       i % 8 * 4096, 24 * 4096));
	EXPECT_TRUE(hammer_lives(&h));
	hammer_stop(&h);
	EXPECT_EQ(0, memcmp(p, self->host, 32 * 4096))
		TH_LOG("a mapping has pages that are not the file's any more");
	munmap(p, LEN);
}

/* The kernel makes huge pages of small ones, and page tables go. */
G_TEST(huge_pages_come)
{
	size_t huge = 2U << 20;
	uint8_t *area, *p, *own;
	int ret, i;

	area = mmap(NULL, 2 * LEN, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, area);
	area = (void *)(((uintptr_t)area + huge - 1) & ~(huge - 1));
	p = mmap(area, LEN, RW, MAP_SHARED | MAP_FIXED, self->fd, AT);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, ftruncate(self->memfd, huge));
	for (i = 0; i < 512; i++) {
		p[i * 4096] = 0x21;
		p[huge + i * 4096] = 0x22;	/* scratch */
	}
	ASSERT_EQ(0, ftruncate(self->memfd, LEN));
	own = mmap(NULL, 2 * LEN, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	own = (void *)(((uintptr_t)own + huge - 1) & ~(huge - 1));
	own = mmap(own, LEN, RW, MAP_SHARED | MAP_FIXED, self->memfd, 0);
	ASSERT_NE(MAP_FAILED, own);
	for (i = 0; i < 512; i++)
		own[huge + i * 4096] = 0x23;
	ret = madvise(own, LEN, MADV_COLLAPSE);
	if (ret)
		TH_LOG("MADV_COLLAPSE: errno %d", errno);
	for (i = 0; i < 512; i++) {
		EXPECT_EQ(0x21, own[i * 4096]);
		EXPECT_EQ(0x21, p[i * 4096]);
		EXPECT_EQ(0x23, own[huge + i * 4096]);
		EXPECT_TRUE(p[huge + i * 4096] == 0x22 || p[huge + i * 4096] == 0x23);
	}
	p[5] = 0x24;
	EXPECT_EQ(0x24, own[5]);
	munmap(own, LEN);
	/* The page tables of a revoked backend hold nothing of the file at all. */
	ASSERT_DONE(guest_dev_del(self->g, self->dev));
	for (i = 0; i < 1024; i++)
		EXPECT_EQ(0, p[i * 4096] & ~0x22);
	madvise(self->host, LEN, MADV_COLLAPSE);
	for (i = 0; i < 1024; i++)
		p[i * 4096] = 0x25;
	EXPECT_EQ(0x21, self->host[4096]);
	munmap(p, LEN);
}

/* A swap area on a disk that is nobody's. */
static bool swap_on(const char *disk)
{
	static uint8_t head[4096];
	uint32_t version = 1, last = 4095;
	int fd = open(disk, O_RDWR);
	bool ok;

	if (fd < 0)
		return false;
	memcpy(head + 1024, &version, 4);
	memcpy(head + 1028, &last, 4);
	memcpy(head + 4086, "SWAPSPACE2", 10);
	ok = pwrite(fd, head, sizeof(head), 0) == sizeof(head) && !fsync(fd);
	close(fd);
	return ok && !swapon(disk, 0);
}

static long meminfo(const char *what)
{
	char buf[4096], *at;

	if (read_text("/proc/meminfo", buf, sizeof(buf)) < 0)
		return -1;
	at = strstr(buf, what);
	return at ? strtol(at + strlen(what), NULL, 10) : -1;
}

/* Pages that backends have mapped are the kernel's to reclaim, and come back. */
G_TEST(swapped_out)
{
	uint8_t *p = map(self->fd, AT, LEN, RW);
	long before;
	int i;

	ASSERT_NE(MAP_FAILED, p);
	if (!swap_on("/dev/vda"))
		SKIP(return, "no CONFIG_SWAP, or no disk /dev/vda (vm-run --scratch)");
	munmap(self->host, LEN);
	for (i = 0; i < 1024; i++)
		p[i * 4096] = i;
	before = meminfo("SwapFree:");
	EXPECT_EQ(0, madvise(p, LEN, MADV_PAGEOUT));
	EXPECT_GT(before - 2048, meminfo("SwapFree:"))
		TH_LOG("of 4096 KiB little went to swap");
	for (i = 0; i < 1024; i++)
		EXPECT_EQ((uint8_t)i, p[i * 4096]);
	madvise(p, LEN, MADV_PAGEOUT);
	EXPECT_EQ(0, copy1(self->fd, AT + 77 * 4096, &i, 1, 0));
	EXPECT_EQ(77, i & 0xff);
	munmap(p, LEN);
	self->host = mmap(self->host, LEN, RW, MAP_SHARED | MAP_FIXED, self->memfd, 0);
	ASSERT_NE(MAP_FAILED, self->host);
	for (i = 0; i < 1024; i++)
		EXPECT_EQ((uint8_t)i, self->host[i * 4096]);
	EXPECT_EQ(0, swapoff("/dev/vda"));
}

/* ---- taking it back -------------------------------------------------------------------- */

G_TEST(del_while_written)
{
	struct vbe_guest_mem d = { .size = sizeof(d), .fe_addr = AT, .len = LEN, .fd = -1 };
	uint8_t *p = map(self->fd, AT, LEN, RW);
	struct vbe_event ev;
	struct hammer h;
	int i;

	ASSERT_NE(MAP_FAILED, p);
	hammer_start(&h, p, LEN);
	for (i = 0; i < 10; i++) {
		EXPECT_TRUE(hammer_lives(&h));
		ASSERT_DONE(xioctl(self->g->fd, VBE_IOC_GUEST_MEM_DEL, &d));
		EXPECT_TRUE(untouched(&h, self->host, LEN))
			TH_LOG("round %d: written after MEM_DEL had returned", i);
		EXPECT_DONE(wait_event(self->fd, VBE_EVENT_MEM, &ev, COMES_MS));
		EXPECT_EQ(MAP_FAILED, map(self->fd, AT, LEN, RW));
		EXPECT_EQ(-EFAULT, copy1(self->fd, AT, &i, 4, 0));
		ASSERT_DONE(guest_mem_add_fd(self->g->fd, self->memfd, 0, AT, LEN, 0));
		EXPECT_DONE(wait_event(self->fd, VBE_EVENT_MEM, &ev, COMES_MS));
		EXPECT_FALSE(untouched(&h, self->host, LEN))
			TH_LOG("round %d: not there again after MEM_ADD", i);
	}
	hammer_stop(&h);
	munmap(p, LEN);
}

/* Other memory at the same address is not put into an old mapping. */
G_TEST(other_memory_comes)
{
	uint8_t *p = map(self->fd, AT, LEN, RW), *q, *own;
	struct vbe_guest_mem d = { .size = sizeof(d), .fe_addr = AT, .len = LEN, .fd = -1 };
	int m = memfd(LEN);

	ASSERT_NE(MAP_FAILED, p);
	self->host[0] = 0x41;
	EXPECT_EQ(0x41, p[0]);
	ASSERT_DONE(xioctl(self->g->fd, VBE_IOC_GUEST_MEM_DEL, &d));
	ASSERT_DONE(guest_mem_add_fd(self->g->fd, m, 0, AT, LEN, 0));
	own = map(m, 0, LEN, RW);
	ASSERT_NE(MAP_FAILED, own);
	own[0] = 0x42;
	EXPECT_EQ(0, p[0]);
	p[0] = 0x43;
	EXPECT_EQ(0x42, own[0]);
	EXPECT_EQ(0x41, self->host[0]);
	q = map(self->fd, AT, LEN, RW);
	ASSERT_NE(MAP_FAILED, q);
	EXPECT_EQ(0x42, q[0]);
	munmap(p, LEN);
	munmap(q, LEN);
	munmap(own, LEN);
	close(m);
}

G_TEST(guest_dies_while_written)
{
	uint8_t *p = map(self->fd, AT, LEN, RW), *lazy = map(self->fd, AT, LEN, RW);
	struct vbe_event ev;
	struct hammer h;
	int pipes[2];
	char c = 1;

	ASSERT_TRUE(p != MAP_FAILED && lazy != MAP_FAILED);
	hammer_start(&h, p, LEN);
	EXPECT_TRUE(hammer_lives(&h));
	guest_close(self->g);
	EXPECT_TRUE(untouched(&h, self->host, LEN))
		TH_LOG("written after the guest had died");
	hammer_stop(&h);
	EXPECT_DONE(wait_event(self->fd, VBE_EVENT_GONE, &ev, COMES_MS));
	/* The kernel writes no scratch memory that the backend has not touched. */
	ASSERT_EQ(0, pipe(pipes));
	ASSERT_EQ(1, write(pipes[1], &c, 1));
	EXPECT_EQ(-1, read(pipes[0], lazy, 1));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(0, lazy[0]);
	lazy[0] = 7;
	EXPECT_EQ(7, lazy[0]);
	munmap(p, LEN);
	munmap(lazy, LEN);
	close(pipes[0]);
	close(pipes[1]);
}

static void setup_queues(struct good_setup *s, uint32_t inflight)
{
	good_setup(s);
	s->s.n_queues = 2;
	s->sizes[1] = 64;
	s->s.inflight_size = inflight;
}

/* A reset that the backend does not answer takes its memory. */
G_TEST(bounded_reset)
{
	struct good_setup s;
	struct vbe_event ev;
	struct hammer h;
	uint8_t *p;

	setup_queues(&s, 0);
	ASSERT_DONE(xioctl(self->fd, VBE_IOC_DEV_SETUP, &s.s));
	ASSERT_DONE(dev_simple(self->fd, VBE_IOC_DEV_ONLINE));
	ASSERT_EQ(3, guest_status(self->g, self->dev, 3));
	p = map(self->fd, AT, LEN, RW);
	ASSERT_NE(MAP_FAILED, p);
	hammer_start(&h, p, LEN);
	EXPECT_TRUE(hammer_lives(&h));
	EXPECT_EQ(0, guest_status(self->g, self->dev, 0));
	EXPECT_TRUE(untouched(&h, self->host, LEN))
		TH_LOG("written after a bounded reset");
	hammer_stop(&h);
	EXPECT_DONE(wait_event(self->fd, VBE_EVENT_REVOKED, &ev, COMES_MS));
	EXPECT_EQ(MAP_FAILED, map(self->fd, AT, LEN, RW));
	munmap(p, LEN);
}

/* ---- all at once ----------------------------------------------------------------------- */

/*
 * A backend that maps, cuts, moves and writes, until it is killed. A piece is cut out by
 * putting nothing in its place: in a hole the other thread's next mapping could come to
 * lie, which the munmap() here would take away under it.
 */
static void *storm_main(void *arg)
{
	unsigned int seed = (uintptr_t)&seed >> 4;
	int fd = *(int *)arg, i;
	uint8_t *p, *to;

	for (;;) {
		size_t at = rand_r(&seed) % 512 * 4096, n = (1 + rand_r(&seed) % 512) * 4096;

		p = map(fd, AT + at, n, RW);
		if (p == MAP_FAILED)
			continue;
		for (i = 0; i < 64; i++)
			p[rand_r(&seed) % n]++;
		to = mremap(p, n / 2 / 4096 * 4096, n / 2 / 4096 * 4096,
			    MREMAP_MAYMOVE | MREMAP_DONTUNMAP);
		mmap(p + n / 4096 / 3 * 4096, 4096, PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		madvise(p, n, MADV_DONTNEED);
		for (i = 0; i < 64; i++)
			copy1(fd, AT + rand_r(&seed) % LEN, &seed, 4, VBE_COPY_F_TO_FE);
		if (to != MAP_FAILED)
			munmap(to, n / 2 / 4096 * 4096);
		munmap(p, n);
	}
	return NULL;
}

static pid_t storm_backend(void)
{
	pid_t pid = fork();
	struct hammer h;
	pthread_t t;
	uint8_t *p;
	int fd, i;

	if (pid)
		return pid;
	fd = dev_open(NAME);
	if (fd < 0)
		_exit(1);
	for (i = 0; i < 2; i++)
		pthread_create(&t, NULL, storm_main, &fd);
	do
		p = map(fd, AT, LEN, RW);
	while (p == MAP_FAILED);
	hammer_start(&h, p, LEN);
	for (;;)
		pause();
}

static void storm_vmm(struct guest *g, int m, unsigned int *seed)
{
	struct vbe_guest_mem d = { .size = sizeof(d), .fe_addr = AT, .len = LEN, .fd = -1 };
	off_t at = rand_r(seed) % 512 * 4096;

	switch (rand_r(seed) % 4) {
	case 0:
		fallocate(m, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, 100 * 4096);
		break;
	case 1:
		if (ftruncate(m, at) || ftruncate(m, LEN))
			die("ftruncate");
		break;
	case 2:
		xioctl(g->fd, VBE_IOC_GUEST_MEM_DEL, &d);
		guest_mem_add_fd(g->fd, m, 0, AT, LEN, 0);
		break;
	default:
		sleep_ms(1);
	}
}

/* Backends that are killed, while the VMM does what it must not. */
G_TEST(storm)
{
	int64_t end = now_ms() + 1000 * env_seconds("VBE_RACE_SECONDS", 3), until;
	uint8_t *copy = malloc(LEN);
	unsigned int seed = 1;
	pid_t pid;
	int status;

	ASSERT_NE(NULL, copy);
	close(self->fd);
	while (now_ms() < end) {
		pid = storm_backend();
		until = now_ms() + 20 + rand_r(&seed) % 100;
		while (now_ms() < until)
			storm_vmm(self->g, self->memfd, &seed);
		kill(pid, SIGKILL);
		status = wait_child(pid, COMES_MS);
		ASSERT_TRUE(status >= 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
			TH_LOG("the backend ended with 0x%x", status);
		memcpy(copy, self->host, LEN);
		sleep_ms(2);
		ASSERT_EQ(0, memcmp(copy, self->host, LEN))
			TH_LOG("written by a backend that is dead");
	}
	self->fd = dev_open(NAME);
	EXPECT_DONE(self->fd);
	free(copy);
}

/* ---- I/O that the kernel does ---------------------------------------------------------- */

static int ring_new(void)
{
	struct io_uring_params p = { 0 };

	return syscall(SYS_io_uring_setup, 4, &p);
}

static int ring_fix(int ring, void *p, size_t len)
{
	struct iovec v = { p, len };

	return syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS, &v, 1);
}

static bool kernel_is_old(void)
{
	int major = 0, minor = 0;
	struct utsname u;

	uname(&u);
	sscanf(u.release, "%d.%d", &major, &minor);
	return major < 6 || (major == 6 && minor < 5);
}

/* Class "pinned": fixed buffers of io_uring, and pages for pipes. */
G_TEST(pinned)
{
	uint8_t *p = map(self->fd, AT, LEN, RW), buf[64];
	struct iovec v = { p + 4090, sizeof(buf) };
	int ring = ring_new(), pipes[2];

	ASSERT_NE(MAP_FAILED, p);
	if (ring < 0)
		SKIP(return, "no io_uring here");
	/* Linux before 6.5 allows no mapped files but memfds: the loop's neither. */
	EXPECT_TRUE(!ring_fix(ring, p, LEN) || (errno == EOPNOTSUPP && kernel_is_old()))
		TH_LOG("fixed buffers: errno %d", errno);
	memset(self->host + 4090, 0x1e, sizeof(buf));
	ASSERT_EQ(0, pipe(pipes));
	EXPECT_EQ((ssize_t)sizeof(buf), vmsplice(pipes[1], &v, 1, 0));
	EXPECT_EQ((ssize_t)sizeof(buf), read(pipes[0], buf, sizeof(buf)));
	EXPECT_EQ(0x1e, buf[63]);
	/* A hole is filled by it, and it is the VMM's page. */
	close(ring);
	munmap(p, LEN);
	close(pipes[0]);
	close(pipes[1]);
}

G_TEST(direct_io)
{
	uint8_t *p = map(self->fd, AT, LEN, RW);
	int disk = open("/dev/vda", O_RDWR | O_DIRECT);

	ASSERT_NE(MAP_FAILED, p);
	if (disk < 0)
		SKIP(return, "no disk /dev/vda here (vm-run --scratch)");
	memset(self->host, 0x6b, 16 * 4096);
	EXPECT_EQ(16 * 4096, pwrite(disk, p, 16 * 4096, 0));
	EXPECT_EQ(16 * 4096, pread(disk, p + LEN / 2, 16 * 4096, 0));
	EXPECT_EQ(0, memcmp(self->host, self->host + LEN / 2, 16 * 4096));
	EXPECT_EQ(0x6b, self->host[LEN / 2]);
	/* Where there is nothing any more, I/O fails. */
	ASSERT_EQ(0, ftruncate(self->memfd, 4096));
	EXPECT_GT(0, pread(disk, p + LEN / 2, 4096, 0));
	EXPECT_EQ(0, p[LEN / 2]);
	EXPECT_GT(0, pread(disk, p + LEN / 2, 4096, 0));
	EXPECT_EQ(0, p[LEN / 2]);
	close(disk);
	munmap(p, LEN);
}

static bool opens_at_once(void *arg)
{
	int *fd = arg;

	*fd = dev_open_flags(NAME, VBE_OPEN_F_NOWAIT);
	return *fd != -EBUSY;
}

/*
 * Pages that somebody has pinned since a backend got them may be its I/O: the next one
 * waits, but not for ever, and not again.
 */
G_TEST(pinned_by_others)
{
	uint8_t *p = map(self->fd, AT, 64 * 4096, RW);
	int ring = ring_new();
	int64_t start;
	int i;

	ASSERT_NE(MAP_FAILED, p);
	if (ring < 0)
		SKIP(return, "no io_uring here");
	for (i = 0; i < 64; i++)
		p[i * 4096] = 1;
	ASSERT_EQ(0, ring_fix(ring, self->host, LEN));
	munmap(p, 64 * 4096);
	close(self->fd);
	ASSERT_EQ(0, dev_set_reset_ms(NAME, PINNED_MS));
	EXPECT_EQ(-EBUSY, dev_open_flags(NAME, VBE_OPEN_F_NOWAIT));
	start = now_ms();
	self->fd = dev_open(NAME);
	ASSERT_DONE(self->fd);
	EXPECT_LE(PINNED_MS - 50, now_ms() - start);
	/* The same pages again; they were pinned before it came. */
	p = map(self->fd, AT, 64 * 4096, RW);
	ASSERT_NE(MAP_FAILED, p);
	for (i = 0; i < 64; i++)
		p[i * 4096] = 1;
	munmap(p, 64 * 4096);
	close(self->fd);
	/* Who does not wait is refused for as long as anything is waited for. */
	EXPECT_TRUE(wait_until(opens_at_once, &self->fd, COMES_MS))
		TH_LOG("it waits for pages that the VMM has pinned for good");
	ASSERT_DONE(self->fd);
	close(ring);
}

/* ---- huge pages --------------------------------------------------------------------------- */

#define HUGE		(2U << 20)
#define AT_HUGE		0x200000000ULL

static int huge_memfd(size_t len, unsigned int flags)
{
	int fd;

	if (write_text("/proc/sys/vm/nr_hugepages", "8"))
		return -1;
	fd = memfd_create("huge", MFD_CLOEXEC | MFD_HUGETLB | flags);
	if (fd >= 0 && ftruncate(fd, len))
		die("huge memfd");
	return fd;
}

static int huge_free(void)
{
	char buf[32] = "";

	read_text("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", buf, sizeof(buf));
	return atoi(buf);
}

static bool huge_is_free(void *arg)
{
	return huge_free() == *(int *)arg;
}

G_TEST(huge)
{
	int m = huge_memfd(2 * HUGE, 0), g = self->g->fd, all = huge_free();
	struct vbe_guest_mem d = { .size = sizeof(d), .fe_addr = AT_HUGE, .len = 2 * HUGE - 4096,
				   .fd = -1 };
	struct vbe_mem_query q = { .size = sizeof(q), .index = 1 };
	uint8_t *p, *own, *own_m;
	struct iovec to, from;
	struct hammer h;
	char c;

	if (m < 0 || all < 4)
		SKIP(return, "no huge pages to be had here");
	own = map(m, 0, 2 * HUGE, RW);
	ASSERT_NE(MAP_FAILED, own);
	own[4096] = 0x51;
	/* need not begin or end where a huge page does */
	ASSERT_DONE(guest_mem_add_fd(g, m, 4096, AT_HUGE, 2 * HUGE - 4096, 0));
	EXPECT_WHY(g, ENOMEM, guest_mem_add_fd(g, m, 0, 0, 64ULL << 40, 0));
	ASSERT_DONE(xioctl(self->fd, VBE_IOC_MEM_QUERY, &q));
	EXPECT_EQ(VBE_MEM_PFN, q.mem_class);
	p = map(self->fd, AT_HUGE, 2 * HUGE - 4096, RW);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(0x51, p[0]);
	EXPECT_EQ(0, p[HUGE]);
	p[HUGE] = 0x52;
	EXPECT_EQ(0x52, own[HUGE + 4096]);
	EXPECT_EQ(0, copy1(self->fd, AT_HUGE + HUGE, &c, 1, 0));
	EXPECT_EQ(0x52, c);
	c = 0x53;
	EXPECT_EQ(0, copy1(self->fd, AT_HUGE + HUGE, &c, 1, VBE_COPY_F_TO_FE));
	EXPECT_EQ(0x53, p[HUGE]);
	/* plain access only */
	to = (struct iovec){ &c, 1 };
	from = (struct iovec){ p, 1 };
	errno = 0;
	EXPECT_EQ(-1, process_vm_readv(getpid(), &to, 1, &from, 1, 0));
	EXPECT_EQ(EFAULT, errno);
	/* The file may shrink: the backend keeps what it had. */
	hammer_start(&h, p, 2 * HUGE - 4096);
	EXPECT_TRUE(hammer_lives(&h));
	own_m = map(m, 0, HUGE, RW);
	ASSERT_NE(MAP_FAILED, own_m);
	ASSERT_EQ(0, ftruncate(m, HUGE));
	EXPECT_TRUE(hammer_lives(&h));
	ASSERT_DONE(xioctl(g, VBE_IOC_GUEST_MEM_DEL, &d));
	EXPECT_TRUE(untouched(&h, own_m, HUGE))
		TH_LOG("written after MEM_DEL had returned");
	hammer_stop(&h);
	munmap(own, 2 * HUGE);
	munmap(own_m, HUGE);
	close(m);
	EXPECT_TRUE(wait_until(huge_is_free, &all, COMES_MS))
		TH_LOG("huge pages have leaked");
	munmap(p, 2 * HUGE - 4096);
}

G_TEST(huge_refused)
{
	int m = huge_memfd(HUGE, MFD_ALLOW_SEALING), g = self->g->fd, ro;
	char path[64];
	uint8_t *p;

	if (m < 0 || huge_free() < 4)
		SKIP(return, "no huge pages to be had here");
	EXPECT_WHY(g, ENOMEM, guest_mem_add_fd(g, m, 0, AT_HUGE, 64 * HUGE, 0));
	EXPECT_WHY(g, EEXIST, guest_mem_add_fd(g, m, 0, AT, HUGE, 0));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", m);
	ro = open(path, O_RDONLY);
	ASSERT_LE(0, ro);
	EXPECT_WHY(g, EACCES, guest_mem_add_fd(g, ro, 0, AT_HUGE, HUGE, 0));
	ASSERT_DONE(guest_mem_add_fd(g, ro, 0, AT_HUGE, HUGE, VBE_GUEST_MEM_F_READONLY));
	EXPECT_EQ(MAP_FAILED, map(self->fd, AT_HUGE, HUGE, RW));
	p = map(self->fd, AT_HUGE, HUGE, PROT_READ);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(0, p[HUGE - 1]);
	ASSERT_DONE(guest_mem_del(self->g, AT_HUGE, HUGE));
	EXPECT_EQ(0, p[HUGE - 1]);
	munmap(p, HUGE);
	ASSERT_EQ(0, fcntl(m, F_ADD_SEALS, F_SEAL_WRITE));
	EXPECT_WHY(g, EPERM, guest_mem_add_fd(g, m, 0, AT_HUGE, HUGE, 0));
	close(m);
	close(ro);
}

/* Its own pages, while the owner is killed with all of it mapped. */
G_TEST(huge_guest_dies)
{
	int m = huge_memfd(HUGE, 0);
	struct hammer h;
	uint8_t *p, *own;

	if (m < 0 || huge_free() < 4)
		SKIP(return, "no huge pages to be had here");
	ASSERT_DONE(guest_mem_add_fd(self->g->fd, m, 0, AT_HUGE, HUGE, 0));
	p = map(self->fd, AT_HUGE, HUGE, RW);
	own = map(m, 0, HUGE, RW);
	ASSERT_TRUE(p != MAP_FAILED && own != MAP_FAILED);
	hammer_start(&h, p, HUGE);
	EXPECT_TRUE(hammer_lives(&h));
	EXPECT_FALSE(untouched(&h, own, HUGE));
	guest_close(self->g);
	EXPECT_TRUE(untouched(&h, own, HUGE))
		TH_LOG("written after the guest had died");
	hammer_stop(&h);
	munmap(p, HUGE);
	munmap(own, HUGE);
	close(m);
}

/* ---- the in-flight area ----------------------------------------------------------------- */

#define INFLIGHT	8192

static uint8_t *map_inflight(int fd, size_t len)
{
	return map(fd, VBE_MMAP_INFLIGHT, len, RW);
}

G_TEST(inflight_refused)
{
	int g = self->g->fd, m = memfd(LEN), f, pipes[2];
	uint32_t dev = self->dev;
	struct good_setup s;
	struct guest *gu = self->g;

	EXPECT_WHY(g, ENOTCONN, guest_inflight(gu, dev, m, 0, 2 * INFLIGHT, 0));
	setup_queues(&s, INFLIGHT);
	ASSERT_DONE(xioctl(self->fd, VBE_IOC_DEV_SETUP, &s.s));
	EXPECT_WHY(g, EINVAL, guest_inflight(gu, dev, m, 0, INFLIGHT, 0));
	EXPECT_WHY(g, EINVAL, guest_inflight(gu, dev, m, 0, 3 * INFLIGHT, 0));
	EXPECT_WHY(g, EINVAL, guest_inflight(gu, dev, m, 0, 0, 0));
	EXPECT_WHY(g, EINVAL, guest_inflight(gu, dev, m, 0, 1ULL << 40, 0));
	EXPECT_WHY(g, EINVAL, guest_inflight(gu, dev, m, 1, 2 * INFLIGHT, 0));
	EXPECT_WHY(g, EINVAL, guest_inflight(gu, dev, m, 0, 2 * INFLIGHT, 2));
	EXPECT_WHY(g, EINVAL, guest_inflight(gu, dev, m, LEN - 4096, 2 * INFLIGHT, 0));
	EXPECT_WHY(g, EINVAL, guest_inflight(gu, dev, m, ~4095ULL, 2 * INFLIGHT, 0));
	EXPECT_WHY(g, ENOENT, guest_inflight(gu, 9, m, 0, 2 * INFLIGHT, 0));
	EXPECT_WHY(g, EBADF, guest_inflight(gu, dev, -1, 0, 2 * INFLIGHT, 0));
	ASSERT_EQ(0, pipe(pipes));
	EXPECT_WHY(g, EOPNOTSUPP, guest_inflight(gu, dev, pipes[1], 0, 2 * INFLIGHT, 0));
	f = memfd(LEN);
	ASSERT_EQ(0, fcntl(f, F_ADD_SEALS, F_SEAL_WRITE));
	EXPECT_WHY(g, EPERM, guest_inflight(gu, dev, f, 0, 2 * INFLIGHT, 0));
	close(f);
	ASSERT_DONE(dev_simple(self->fd, VBE_IOC_DEV_ONLINE));
	ASSERT_EQ(1, guest_status(gu, dev, 1));
	EXPECT_WHY(g, EBUSY, guest_inflight(gu, dev, m, 0, 2 * INFLIGHT, 0));
	close(pipes[0]);
	close(pipes[1]);
	close(m);
}

G_TEST(inflight_kept)
{
	int m = memfd(LEN);
	uint8_t *own = map(m, 0, LEN, RW), *p, *q;
	struct vbe_dev_info info;
	struct good_setup s;

	setup_queues(&s, INFLIGHT);
	ASSERT_DONE(xioctl(self->fd, VBE_IOC_DEV_SETUP, &s.s));
	p = map_inflight(self->fd, 2 * INFLIGHT);
	ASSERT_TRUE(own != MAP_FAILED && p != MAP_FAILED);
	memset(p, 0x11, 2 * INFLIGHT);
	memset(own, 0x22, LEN);
	/* Fresh: zeroed, and nothing beside it. The mapping shows the new memory. */
	ASSERT_DONE(guest_inflight(self->g, self->dev, m, 4096, 2 * INFLIGHT, 0));
	EXPECT_EQ(0, p[0]);
	EXPECT_EQ(0, p[2 * INFLIGHT - 1]);
	EXPECT_EQ(0x22, own[4095]);
	EXPECT_EQ(0, own[4096]);
	EXPECT_EQ(0x22, own[4096 + 2 * INFLIGHT]);
	p[100] = 0x33;
	EXPECT_EQ(0x33, own[4096 + 100]);
	q = map_inflight(self->fd, 2 * INFLIGHT);
	ASSERT_NE(MAP_FAILED, q);
	EXPECT_EQ(0x33, q[100]);
	ASSERT_DONE(dev_info(self->fd, &info));
	EXPECT_EQ(0, info.flags & VBE_INFO_F_RESUME);
	/* What a former backend left. */
	memset(own, 0x44, 2 * INFLIGHT);
	ASSERT_DONE(guest_inflight(self->g, self->dev, m, 0, 2 * INFLIGHT,
				   VBE_GUEST_INFLIGHT_F_RESUME));
	EXPECT_EQ(0x44, p[0]);
	EXPECT_EQ(0x44, q[2 * INFLIGHT - 1]);
	ASSERT_DONE(dev_info(self->fd, &info));
	EXPECT_NE(0, info.flags & VBE_INFO_F_RESUME);
	/* The VMM may do to the file what it likes; and sealing would lie. */
	EXPECT_EQ(-1, fcntl(m, F_ADD_SEALS, F_SEAL_WRITE));
	munmap(own, LEN);
	ASSERT_EQ(0, ftruncate(m, 0));
	EXPECT_EQ(0x44, p[0]);
	q[1] = 0x45;
	EXPECT_EQ(0x45, p[1]);
	close(m);
	EXPECT_EQ(0x45, p[1]);
	/* And revocation takes it away. */
	ASSERT_DONE(guest_dev_del(self->g, self->dev));
	EXPECT_EQ(0, p[1]);
	EXPECT_EQ(0, q[1]);
	p[0] = q[0] = 1;
	munmap(p, 2 * INFLIGHT);
	munmap(q, 2 * INFLIGHT);
}

/* It is still the VMM's memory when device and backend have gone. */
G_TEST(inflight_left_behind)
{
	int m = memfd(2 * INFLIGHT);
	struct good_setup s;
	uint8_t *own, *p;

	setup_queues(&s, INFLIGHT);
	ASSERT_DONE(xioctl(self->fd, VBE_IOC_DEV_SETUP, &s.s));
	ASSERT_DONE(guest_inflight(self->g, self->dev, m, 0, 2 * INFLIGHT, 0));
	p = map_inflight(self->fd, 2 * INFLIGHT);
	ASSERT_NE(MAP_FAILED, p);
	memset(p, 0x5c, 2 * INFLIGHT);
	munmap(p, 2 * INFLIGHT);
	close(self->fd);
	self->fd = -1;
	guest_close(self->g);
	own = map(m, 0, 2 * INFLIGHT, RW);
	ASSERT_NE(MAP_FAILED, own);
	EXPECT_EQ(0x5c, own[0]);
	EXPECT_EQ(0x5c, own[2 * INFLIGHT - 1]);
	munmap(own, 2 * INFLIGHT);
	close(m);
}

/* ---- what others see of a backend's mapping --------------------------------------- */

/* procfs takes the file of a mapping of shmem's pages for one of shmem. */
G_TEST(smaps)
{
	uint8_t *p = map(self->fd, AT, LEN, RW);
	bool seen = false;
	char line[256];
	FILE *f;

	ASSERT_NE(MAP_FAILED, p);
	p[0] = 1;
	f = fopen("/proc/self/smaps", "re");
	ASSERT_NE(NULL, f);
	while (fgets(line, sizeof(line), f)) {
		unsigned long swap;

		seen |= !!strstr(line, "[vbe]");
		/* There is no swap here. */
		if (sscanf(line, "Swap: %lu kB", &swap) == 1)
			EXPECT_EQ(0, swap);
	}
	fclose(f);
	EXPECT_TRUE(seen);
	munmap(p, LEN);
}

/* Taking memory back leaves the private copies that others made of it. */
G_TEST(private_copies_stay)
{
	uint8_t *copy, *p = map(self->fd, AT, LEN, RW);

	ASSERT_NE(MAP_FAILED, p);
	copy = mmap(NULL, LEN, RW, MAP_PRIVATE, self->memfd, 0);
	ASSERT_NE(MAP_FAILED, copy);
	p[0] = 1;
	EXPECT_EQ(1, copy[0]);
	copy[0] = 2;
	ASSERT_DONE(guest_mem_del(self->g, AT, LEN));
	EXPECT_EQ(2, copy[0]);
	EXPECT_EQ(0, p[0]);
	munmap(copy, LEN);
	munmap(p, LEN);
}

TEST_HARNESS_MAIN
