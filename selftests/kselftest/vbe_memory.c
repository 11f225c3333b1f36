// SPDX-License-Identifier: GPL-2.0
/*
 * FE memory as the backend reaches it: MEM_QUERY, mmap() rules, MEM_COPY, MEM_MAP,
 * MEM_UNMAP, MEM_FD,
 * the in-flight area, and scratch memory after revocation.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "check.h"
#include "dev.h"

#define NAME		"kst-memory"
#define WINDOW		(1U << 20)
#define INFLIGHT	8192
#define COPY_MAX	(1U << 20)

FIXTURE(memory)
{
	int fd;
	long page;
	struct vbe_mem_query w;		/* the one for data */
	struct vbe_mem_query ro;	/* one with pages that are the driver's alone, if any */
	uint32_t n_windows;
	struct good_setup *g;
};

static int attach(int *fd)
{
	*fd = dev_open(NAME);
	return *fd < 0 ? *fd : 0;
}

/* How many there are. */
static uint32_t find_windows(int fd, struct vbe_mem_query *rw, struct vbe_mem_query *ro)
{
	struct vbe_mem_query w = { .size = sizeof(w) };

	for (; !xioctl(fd, VBE_IOC_MEM_QUERY, &w); w.index++)
		*(w.flags ? ro : rw) = w;
	return w.index;
}

FIXTURE_SETUP(memory)
{
	struct dev_params p = dev_defaults(NAME);

	self->page = sysconf(_SC_PAGESIZE);
	p.window = WINDOW;
	ASSERT_EQ(0, dev_fresh(&p))
		TH_LOG("cannot make a loop device: %s", dev_text);
	ASSERT_DONE(attach(&self->fd));
	self->n_windows = find_windows(self->fd, &self->w, &self->ro);
	ASSERT_NE(0, self->w.len)
		TH_LOG("no window that can be written");
	self->g = calloc(1, sizeof(*self->g));
	good_setup(self->g);
	self->g->s.virtio_id = 0x3f;
	self->g->s.n_queues = 2;
	self->g->sizes[1] = 64;
	self->g->s.inflight_size = INFLIGHT;
}

FIXTURE_TEARDOWN(memory)
{
	int ret;

	close(self->fd);
	free(self->g);
	ret = dev_del(NAME);
	EXPECT_TRUE(ret == 0 || ret == -ENOENT)
		TH_LOG("dev del: %d %s", ret, dev_text);
}

static uint8_t *map(int fd, uint64_t offset, size_t len, int prot, int flags)
{
	return mmap(NULL, len, prot, flags, fd, offset);
}

static int copy_n(int fd, struct vbe_copy_entry *e, uint32_t n, uint32_t flags, uint32_t *failed)
{
	struct vbe_mem_copy c = { .size = sizeof(c), .flags = flags, .n = n, .out_failed = 77,
				  .entries = (uintptr_t)e };
	int ret = xioctl(fd, VBE_IOC_MEM_COPY, &c);

	*failed = c.out_failed;
	return ret;
}

#define RW		(PROT_READ | PROT_WRITE)
#define EXPECT_NO_MAP(err, ...) do {						\
	errno = 0;								\
	EXPECT_EQ(MAP_FAILED, map(__VA_ARGS__))					\
		TH_LOG("%s was allowed", #__VA_ARGS__);				\
	EXPECT_EQ(err, errno)							\
		TH_LOG("%s", #__VA_ARGS__);					\
} while (0)

TEST_F(memory, query)
{
	struct vbe_mem_query w = { .size = sizeof(w), .index = self->n_windows };
	struct vbe_dev_info i;

	EXPECT_EQ(WINDOW, self->w.len + self->ro.len);
	EXPECT_EQ(VBE_MEM_PINNED, self->w.mem_class);
	EXPECT_EQ(0, self->w.flags & VBE_WINDOW_F_READONLY);
	EXPECT_EQ(0, self->w.fe_addr % self->page);
	EXPECT_EQ(self->w.fe_addr, self->w.mmap_offset);
	ASSERT_DONE(dev_info(self->fd, &i));
	EXPECT_EQ(self->n_windows, i.n_windows);
	EXPECT_EQ(1U << VBE_MEM_PINNED, i.mem_classes);
	EXPECT_WHY(self->fd, ENOENT, xioctl(self->fd, VBE_IOC_MEM_QUERY, &w));
	w.index = 0xffffffff;
	EXPECT_WHY(self->fd, ENOENT, xioctl(self->fd, VBE_IOC_MEM_QUERY, &w));
}

/* Two mappings and MEM_COPY all see the same bytes, which were zero at first. */
TEST_F(memory, one_memory)
{
	uint64_t at = self->w.fe_addr + 3 * self->page;
	uint8_t buf[64], *all, *part;
	struct vbe_copy_entry e = { .fe_addr = at + 5, .buf = (uintptr_t)buf, .len = 64 };
	uint32_t failed, i;

	all = map(self->fd, self->w.fe_addr, self->w.len, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, all);
	part = map(self->fd, at, self->page, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, part);
	for (i = 0; i < self->w.len; i++)
		if (all[i])
			break;
	EXPECT_EQ(self->w.len, i)
		TH_LOG("byte %u of a fresh window is not zero", i);
	memset(part, 0x3c, self->page);
	EXPECT_EQ(0x3c, all[3 * self->page]);
	ASSERT_DONE(copy_n(self->fd, &e, 1, 0, &failed));
	EXPECT_EQ(0, failed);
	EXPECT_EQ(0x3c, buf[63]);
	memset(buf, 0x11, sizeof(buf));
	ASSERT_DONE(copy_n(self->fd, &e, 1, VBE_COPY_F_TO_FE, &failed));
	EXPECT_EQ(0, failed);
	EXPECT_EQ(0x3c, part[4]);
	EXPECT_EQ(0x11, part[5]);
	EXPECT_EQ(0x11, all[3 * self->page + 68]);
	EXPECT_EQ(0x3c, part[69]);
	munmap(all, self->w.len);
	munmap(part, self->page);
}

TEST_F(memory, map_refused)
{
	uint64_t at = self->w.fe_addr, end = at + self->w.len;
	int fd = self->fd;
	long page = self->page;

	EXPECT_NO_MAP(EINVAL, fd, at, page, RW, MAP_PRIVATE);
	EXPECT_NO_MAP(EINVAL, fd, at, page, PROT_READ, MAP_PRIVATE);
	EXPECT_NO_MAP(EINVAL, fd, end + self->ro.len, page, RW, MAP_SHARED);
	EXPECT_NO_MAP(EINVAL, fd, at, self->w.len + page, RW, MAP_SHARED);
	EXPECT_NO_MAP(EINVAL, fd, end - page, 2 * page, RW, MAP_SHARED);
	EXPECT_NO_MAP(EINVAL, fd, at + (1ULL << 50), page, RW, MAP_SHARED);
	/* New kernels refuse it for every anonymous inode, with EPERM, before they ask us. */
	EXPECT_EQ(MAP_FAILED, mmap(NULL, page, RW | PROT_EXEC, MAP_SHARED, fd, at));
	EXPECT_TRUE(errno == EINVAL || errno == EPERM);
	/* no in-flight area before SETUP */
	EXPECT_NO_MAP(EINVAL, fd, VBE_MMAP_INFLIGHT, page, RW, MAP_SHARED);
}

TEST_F(memory, map_cannot_grow)
{
	uint8_t *p = map(self->fd, self->w.fe_addr, self->page, RW, MAP_SHARED);

	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(MAP_FAILED, mremap(p, self->page, 2 * self->page, MREMAP_MAYMOVE));
	p[0] = 1;
	EXPECT_EQ(1, p[0]);
	munmap(p, self->page);
}

static int touch_in_child(volatile uint8_t *p)
{
	pid_t pid = fork();

	if (!pid) {
		signal(SIGSEGV, SIG_DFL);
		_exit(p[0] == 0x5e ? 1 : 2);
	}
	return wait_child(pid, COMES_MS);
}

/* DONTCOPY: a child that was not meant to gets no FE memory. */
TEST_F(memory, not_in_children)
{
	uint8_t *p = map(self->fd, self->w.fe_addr, self->page, RW, MAP_SHARED);
	int status;

	ASSERT_NE(MAP_FAILED, p);
	p[0] = 0x5e;
	status = touch_in_child(p);
	EXPECT_TRUE(status >= 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV)
		TH_LOG("the child ended with 0x%x", status);
	EXPECT_EQ(0x5e, p[0]);
	munmap(p, self->page);
}

static int store_in_child(int fd, const struct vbe_mem_query *w)
{
	pid_t pid = fork();
	uint8_t *p;

	if (pid)
		return wait_child(pid, COMES_MS);
	signal(SIGBUS, SIG_DFL);
	p = map(fd, w->fe_addr, w->len, RW, MAP_SHARED);
	if (p == MAP_FAILED)
		_exit(errno);
	if (p[0])
		_exit(201);
	*(volatile uint8_t *)p = 1;
	_exit(200);
}

/* What the driver alone writes to can be read, and written in no way. */
TEST_F(memory, pages_of_the_driver)
{
	uint64_t at = self->ro.fe_addr;
	uint8_t byte = 1, *p;
	struct vbe_copy_entry e = { .fe_addr = at, .buf = (uintptr_t)&byte, .len = 1 };
	struct iovec to, from = { &byte, 1 };
	uint32_t failed;
	int status;

	if (!self->ro.len)
		SKIP(return, "this provider has no such pages");
	status = store_in_child(self->fd, &self->ro);
	EXPECT_TRUE(status == EACCES << 8 ||
		    (WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS))
		TH_LOG("a store ended with 0x%x", status);
	p = map(self->fd, at, self->page, PROT_READ, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(0, p[0]);
	to = (struct iovec){ p, 1 };
	EXPECT_EQ(-1, process_vm_writev(getpid(), &from, 1, &to, 1, 0));
	ASSERT_DONE(copy_n(self->fd, &e, 1, VBE_COPY_F_TO_FE, &failed));
	EXPECT_EQ(1, failed);
	EXPECT_GT(0, e.status);
	ASSERT_DONE(copy_n(self->fd, &e, 1, 0, &failed));
	EXPECT_EQ(0, failed);
	EXPECT_EQ(0, byte);
	munmap(p, self->page);
}

/* Class "pinned" promises pages that the kernel can take references to. */
TEST_F(memory, pinned_takes_references)
{
	uint8_t *p = map(self->fd, self->w.fe_addr, 4 * self->page, RW, MAP_SHARED);
	struct iovec to, from;
	int pipes[2];
	char buf[64];

	ASSERT_NE(MAP_FAILED, p);
	memset(p, 0x42, 4 * self->page);
	to = (struct iovec){ buf, sizeof(buf) };
	from = (struct iovec){ p + self->page - 8, sizeof(buf) };
	EXPECT_EQ((ssize_t)sizeof(buf), process_vm_readv(getpid(), &to, 1, &from, 1, 0))
		TH_LOG("errno %d: the mapping has no struct pages", errno);
	EXPECT_EQ(0x42, buf[63]);
	ASSERT_EQ(0, pipe(pipes));
	EXPECT_EQ((ssize_t)sizeof(buf), vmsplice(pipes[1], &from, 1, 0));
	/* A page in a pipe outlives the mapping. */
	munmap(p, 4 * self->page);
	memset(buf, 0, sizeof(buf));
	EXPECT_EQ((ssize_t)sizeof(buf), read(pipes[0], buf, sizeof(buf)));
	EXPECT_EQ(0x42, buf[63]);
	close(pipes[0]);
	close(pipes[1]);
}

/* ---- in-flight area ------------------------------------------------------------- */

static uint8_t *map_inflight(int fd, size_t len, int prot)
{
	return map(fd, VBE_MMAP_INFLIGHT, len, prot, MAP_SHARED);
}

TEST_F(memory, inflight_rules)
{
	uint8_t *p;
	int fd = self->fd, i;

	ASSERT_DONE(xioctl(fd, VBE_IOC_DEV_SETUP, &self->g->s));
	p = map_inflight(fd, 2 * INFLIGHT, RW);
	ASSERT_NE(MAP_FAILED, p)
		TH_LOG("errno %d", errno);
	for (i = 0; i < 2 * INFLIGHT; i++)
		ASSERT_EQ(0, p[i]);
	p[0] = p[2 * INFLIGHT - 1] = 9;
	munmap(p, 2 * INFLIGHT);
	p = map(fd, VBE_MMAP_INFLIGHT + INFLIGHT, INFLIGHT, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(9, p[INFLIGHT - 1]);
	munmap(p, INFLIGHT);
	EXPECT_NO_MAP(EINVAL, fd, VBE_MMAP_INFLIGHT, 2 * INFLIGHT + self->page, RW, MAP_SHARED);
	EXPECT_NO_MAP(EINVAL, fd, VBE_MMAP_INFLIGHT + 2 * INFLIGHT, self->page, RW, MAP_SHARED);
	EXPECT_NO_MAP(EINVAL, fd, VBE_MMAP_INFLIGHT, self->page, RW, MAP_PRIVATE);
	EXPECT_NO_MAP(EINVAL, fd, VBE_MMAP_INFLIGHT - self->page, self->page, RW, MAP_SHARED);
}

/* It survives a backend that was lost; a reset clears it, like that of registering. */
TEST_F(memory, inflight_survives_a_loss)
{
	uint8_t *p;

	ASSERT_DONE(xioctl(self->fd, VBE_IOC_DEV_SETUP, &self->g->s));
	ASSERT_DONE(dev_simple(self->fd, VBE_IOC_DEV_ONLINE));
	ASSERT_TRUE(fe_wait_status(NAME, 1, COMES_MS));
	p = map_inflight(self->fd, INFLIGHT, RW);
	ASSERT_NE(MAP_FAILED, p);
	memset(p, 0x77, INFLIGHT);
	munmap(p, INFLIGHT);
	close(self->fd);
	ASSERT_DONE(attach(&self->fd));
	ASSERT_DONE(xioctl(self->fd, VBE_IOC_DEV_SETUP, &self->g->s));
	p = map_inflight(self->fd, INFLIGHT, RW);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(0x77, p[0]);
	EXPECT_EQ(0x77, p[INFLIGHT - 1]);
	munmap(p, INFLIGHT);
}

TEST_F(memory, inflight_is_no_window)
{
	uint8_t buf[8] = { 0 };
	struct vbe_copy_entry e = { .fe_addr = VBE_MMAP_INFLIGHT, .buf = (uintptr_t)buf, .len = 8 };
	uint32_t failed;

	ASSERT_DONE(xioctl(self->fd, VBE_IOC_DEV_SETUP, &self->g->s));
	ASSERT_DONE(copy_n(self->fd, &e, 1, 0, &failed));
	EXPECT_EQ(1, failed);
	EXPECT_GT(0, e.status);
}

/* ---- MEM_COPY ---------------------------------------------------------------------- */

TEST_F(memory, copy_bad_call)
{
	struct vbe_copy_entry *e = calloc(VBE_MAX_COPY_ENTRIES + 1, sizeof(*e));
	uint32_t failed;
	int fd = self->fd;

	ASSERT_NE(NULL, e);
	EXPECT_WHY(fd, EINVAL, copy_n(fd, e, 0, 0, &failed));
	EXPECT_WHY(fd, EINVAL, copy_n(fd, e, VBE_MAX_COPY_ENTRIES + 1, 0, &failed));
	EXPECT_WHY(fd, EINVAL, copy_n(fd, e, 0xffffffff, 0, &failed));
	EXPECT_WHY(fd, EINVAL, copy_n(fd, e, 1, 2, &failed));
	EXPECT_WHY(fd, EINVAL, copy_n(fd, e, 1, 1U << 31, &failed));
	EXPECT_WHY(fd, EFAULT, copy_n(fd, NULL, 1, 0, &failed));
	EXPECT_WHY(fd, EFAULT, copy_n(fd, (void *)-64L, 1, 0, &failed));
	free(e);
}

TEST_F(memory, copy_partly_bad)
{
	uint64_t at = self->w.fe_addr, end = at + self->w.len;
	static uint8_t a[64], b[64];
	struct vbe_copy_entry e[] = {
		{ at, (uintptr_t)a, 64, 1 },			/* good */
		{ end + (1ULL << 40), (uintptr_t)a, 1, 0 },	/* past all windows */
		{ end - 8, (uintptr_t)a, 16, 0 },		/* across its end */
		{ ~0ULL - 3, (uintptr_t)a, 16, 0 },		/* wraps */
		{ at, 0, 16, 0 },				/* no buffer */
		{ at, (uintptr_t)-64L, 16, 0 },			/* not the caller's */
		{ at, (uintptr_t)a, COPY_MAX + 1, 0 },		/* too long */
		{ at, (uintptr_t)a, 0xffffffff, 0 },
		{ at + 64, (uintptr_t)b, 64, 1 },		/* good */
	};
	uint32_t failed, i, n = ARRAY_LEN(e);

	memset(a, 1, sizeof(a));
	memset(b, 2, sizeof(b));
	ASSERT_DONE(copy_n(self->fd, e, n, VBE_COPY_F_TO_FE, &failed));
	EXPECT_EQ(n - 2, failed);
	EXPECT_EQ(0, e[0].status);
	EXPECT_EQ(0, e[n - 1].status);
	for (i = 1; i < n - 1; i++)
		EXPECT_GT(0, e[i].status)
			TH_LOG("bad entry %u was taken", i);
	EXPECT_EQ(-EFAULT, e[4].status);
	EXPECT_EQ(-EFAULT, e[5].status);
	EXPECT_EQ(-EINVAL, e[6].status);
	memset(a, 0, sizeof(a));
	memset(b, 0, sizeof(b));
	for (i = 1; i < n - 1; i++)
		e[i].status = 0;
	ASSERT_DONE(copy_n(self->fd, e, n, 0, &failed));
	EXPECT_EQ(n - 2, failed);
	EXPECT_EQ(1, a[63]);
	EXPECT_EQ(2, b[63]);
}

TEST_F(memory, copy_most)
{
	struct vbe_copy_entry *e = calloc(VBE_MAX_COPY_ENTRIES, sizeof(*e));
	uint8_t *buf = malloc(COPY_MAX);
	uint32_t failed = 1, i;

	ASSERT_TRUE(e && buf);
	for (i = 0; i < VBE_MAX_COPY_ENTRIES; i++) {
		e[i].fe_addr = self->w.fe_addr + i * 100;
		e[i].buf = (uintptr_t)buf + i;
		e[i].len = 1;
		buf[i] = i * 7;
	}
	ASSERT_DONE(copy_n(self->fd, e, VBE_MAX_COPY_ENTRIES, VBE_COPY_F_TO_FE, &failed));
	EXPECT_EQ(0, failed);
	/* One long entry reads all of them; one that is too long, or past the end, none. */
	e[0].buf = (uintptr_t)buf;
	e[0].fe_addr = self->w.fe_addr;
	e[0].len = self->w.len < COPY_MAX ? self->w.len : COPY_MAX;
	ASSERT_DONE(copy_n(self->fd, e, 1, 0, &failed));
	EXPECT_EQ(0, failed);
	for (i = 0; i < VBE_MAX_COPY_ENTRIES; i++)
		ASSERT_EQ((uint8_t)(i * 7), buf[i * 100]);
	free(e);
	free(buf);
}

/* The entries themselves cannot be written back: an error, not silence. */
TEST_F(memory, copy_unwritable_entries)
{
	struct vbe_copy_entry *e = mmap(NULL, self->page, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint32_t failed;
	uint8_t c = 0;

	ASSERT_NE(MAP_FAILED, e);
	*e = (struct vbe_copy_entry){ self->w.fe_addr, (uintptr_t)&c, 1, 0 };
	ASSERT_EQ(0, mprotect(e, self->page, PROT_READ));
	EXPECT_EQ(-EFAULT, copy_n(self->fd, e, 1, 0, &failed));
	munmap(e, self->page);
}

/* ---- MEM_MAP, MEM_UNMAP --------------------------------------------------------------- */

static const unsigned long range_calls[] = { VBE_IOC_MEM_MAP, VBE_IOC_MEM_UNMAP };

static int range_n(int fd, unsigned long cmd, struct vbe_mem_range *r, uint32_t n,
		   uint32_t flags, uint32_t *failed)
{
	struct vbe_mem_map m = { .size = sizeof(m), .flags = flags, .n = n, .out_failed = 77,
				 .ranges = (uintptr_t)r };
	int ret = xioctl(fd, cmd, &m);

	*failed = m.out_failed;
	return ret;
}

TEST_F(memory, range_bad_call)
{
	struct vbe_mem_range *r = calloc(VBE_MAX_MEM_RANGES + 1, sizeof(*r));
	uint32_t failed, i;
	int fd = self->fd;

	ASSERT_NE(NULL, r);
	for (i = 0; i < ARRAY_LEN(range_calls); i++) {
		unsigned long cmd = range_calls[i];

		EXPECT_WHY(fd, EINVAL, range_n(fd, cmd, r, 0, 0, &failed));
		EXPECT_WHY(fd, EINVAL, range_n(fd, cmd, r, VBE_MAX_MEM_RANGES + 1, 0, &failed));
		EXPECT_WHY(fd, EINVAL, range_n(fd, cmd, r, 0xffffffff, 0, &failed));
		EXPECT_WHY(fd, EINVAL, range_n(fd, cmd, r, 1, 2, &failed));
		EXPECT_WHY(fd, EINVAL, range_n(fd, cmd, r, 1, 1U << 31, &failed));
		EXPECT_WHY(fd, EFAULT, range_n(fd, cmd, NULL, 1, 0, &failed));
		EXPECT_WHY(fd, EFAULT, range_n(fd, cmd, (void *)-64L, 1, 0, &failed));
	}
	EXPECT_WHY(fd, EINVAL, range_n(fd, VBE_IOC_MEM_UNMAP, r, 1, VBE_MAP_F_WRITE, &failed));
	free(r);
}

TEST_F(memory, range_partly_bad)
{
	uint64_t at = self->w.fe_addr, end = at + self->w.len;
	struct vbe_mem_range r[] = {
		{ at, 64, 1 },				/* good */
		{ at + 1, 8192, 1 },			/* good: of no page's beginning */
		{ end + (1ULL << 40), 1, 0 },		/* past all windows */
		{ end - 8, 16, 0 },			/* across its end */
		{ ~0ULL - 3, 16, 0 },			/* wraps */
		{ 1ULL << 63, 4096, 0 },		/* a grant, here */
		{ VBE_MMAP_INFLIGHT, 1, 0 },		/* no FE memory */
		{ at, 0, 0 },				/* nothing */
		{ end - 1, 1, 1 },			/* good */
	};
	uint32_t failed, i, k, n = ARRAY_LEN(r);

	for (k = 0; k < ARRAY_LEN(range_calls); k++) {
		for (i = 0; i < n; i++)
			r[i].status = 77;
		ASSERT_DONE(range_n(self->fd, range_calls[k], r, n, 0, &failed));
		EXPECT_EQ(n - 3, failed);
		EXPECT_EQ(0, r[0].status);
		EXPECT_EQ(0, r[1].status);
		EXPECT_EQ(0, r[n - 1].status);
		for (i = 2; i < n - 2; i++)
			EXPECT_EQ(-EFAULT, r[i].status)
				TH_LOG("bad range %u", i);
		EXPECT_EQ(-EINVAL, r[n - 2].status);
	}
}

/* Only what is lent is taken back: this window stays as it is. */
TEST_F(memory, range_unmap_takes_nothing_else)
{
	struct vbe_mem_range r = { .fe_addr = self->w.fe_addr, .len = self->page };
	uint8_t *p = map(self->fd, self->w.mmap_offset, self->page, RW, MAP_SHARED);
	uint32_t failed;

	ASSERT_NE(MAP_FAILED, p);
	p[5] = 55;
	ASSERT_DONE(range_n(self->fd, VBE_IOC_MEM_UNMAP, &r, 1, 0, &failed));
	EXPECT_EQ(0, failed);
	EXPECT_EQ(55, p[5]);
	r.len = COPY_MAX + 1;
	ASSERT_DONE(range_n(self->fd, VBE_IOC_MEM_MAP, &r, 1, VBE_MAP_F_WRITE, &failed));
	EXPECT_EQ(1, failed);
	EXPECT_EQ(-EINVAL, r.status);
	munmap(p, self->page);
}

TEST_F(memory, range_unwritable)
{
	struct vbe_mem_range *r = mmap(NULL, self->page, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint32_t failed, i;

	ASSERT_NE(MAP_FAILED, r);
	*r = (struct vbe_mem_range){ self->w.fe_addr, 1, 0 };
	ASSERT_EQ(0, mprotect(r, self->page, PROT_READ));
	for (i = 0; i < ARRAY_LEN(range_calls); i++)
		EXPECT_EQ(-EFAULT, range_n(self->fd, range_calls[i], r, 1, 0, &failed));
	munmap(r, self->page);
}

/* Where grants would be is nothing to be mapped. */
TEST_F(memory, no_map_high)
{
	EXPECT_NO_MAP(EINVAL, self->fd, VBE_MMAP_HIGH, self->page, RW, MAP_SHARED);
	EXPECT_NO_MAP(EINVAL, self->fd, VBE_MMAP_HIGH - self->page, 2 * self->page, RW, MAP_SHARED);
}

/* ---- MEM_FD -------------------------------------------------------------------------- */

static int mem_fd(int fd, uint32_t flags)
{
	struct vbe_mem_fd m = { .size = sizeof(m), .flags = flags, .out_fd = -1 };
	int ret = xioctl(fd, VBE_IOC_MEM_FD, &m);

	return ret < 0 ? ret : m.out_fd;
}

TEST_F(memory, fd_bad)
{
	struct vbe_mem_fd m = { .size = sizeof(m), .__reserved = 1 };

	EXPECT_WHY(self->fd, EINVAL, mem_fd(self->fd, 2));
	EXPECT_WHY(self->fd, EINVAL, mem_fd(self->fd, 1U << 31));
	EXPECT_WHY(self->fd, EINVAL, xioctl(self->fd, VBE_IOC_MEM_FD, &m));
}

TEST_F(memory, fd_maps_and_nothing_else)
{
	int m = mem_fd(self->fd, 0);
	struct pollfd p = { .fd = m, .events = POLLIN };
	struct vbe_dev_info i;
	uint8_t *a, *b;
	char c;

	ASSERT_LE(0, m);
	EXPECT_EQ(FD_CLOEXEC, fcntl(m, F_GETFD));
	EXPECT_EQ(-1, read(m, &c, 1));
	EXPECT_EQ(-1, write(m, &c, 1));
	EXPECT_EQ(-ENOTTY, dev_info(m, &i));
	EXPECT_EQ(-ENOTTY, mem_fd(m, 0));
	EXPECT_EQ(-ENOTTY, dev_simple(m, VBE_IOC_DEV_OFFLINE));
	poll(&p, 1, 0);
	a = map(self->fd, self->w.fe_addr, self->page, RW, MAP_SHARED);
	b = map(m, self->w.fe_addr, self->page, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, a);
	ASSERT_NE(MAP_FAILED, b);
	b[10] = 0x99;
	EXPECT_EQ(0x99, a[10]);
	EXPECT_NO_MAP(EINVAL, m, self->w.fe_addr, self->page, RW, MAP_PRIVATE);
	munmap(a, self->page);
	munmap(b, self->page);
	close(m);
}

TEST_F(memory, fd_readonly_stays_so)
{
	int m = mem_fd(self->fd, VBE_MEM_FD_F_READONLY);
	uint8_t *p;

	ASSERT_LE(0, m);
	EXPECT_EQ(MAP_FAILED, map(m, self->w.fe_addr, self->page, RW, MAP_SHARED));
	p = map(m, self->w.fe_addr, self->page, PROT_READ, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(0, p[0]);
	EXPECT_EQ(-1, mprotect(p, self->page, RW))
		TH_LOG("a read-only mapping was made writable");
	munmap(p, self->page);
	close(m);
}

/* It holds no attachment: that ends with the device fd, and takes it along. */
TEST_F(memory, fd_ends_with_its_attachment)
{
	int m = mem_fd(self->fd, 0), next;
	uint8_t *p;

	ASSERT_LE(0, m);
	p = map(m, self->w.fe_addr, self->page, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, p);
	p[0] = 0x31;
	close(self->fd);
	EXPECT_EQ(0, p[0])
		TH_LOG("the memory of an ended attachment can still be read");
	p[1] = 1;
	next = dev_open(NAME);
	ASSERT_LE(0, next)
		TH_LOG("a MEM_FD keeps the device busy: %s", strerror(-next));
	self->fd = next;
	EXPECT_EQ(MAP_FAILED, map(m, self->w.fe_addr, self->page, RW, MAP_SHARED));
	munmap(p, self->page);
	close(m);
}

/* ---- revocation ----------------------------------------------------------------------- */

static int use_scratch(uint8_t *p, uint8_t *untouched, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (p[i] || untouched[i])
			return 1;
	memset(p, 0x55, len);
	memset(untouched, 0x55, len);
	return p[0] == 0x55 && untouched[len - 1] == 0x55 ? 0 : 2;
}

TEST_F(memory, revoked_is_scratch)
{
	int m = mem_fd(self->fd, VBE_MEM_FD_F_READONLY);
	uint8_t *p, *lazy, *ro, *inflight;
	size_t len = 8 * self->page;

	ASSERT_DONE(xioctl(self->fd, VBE_IOC_DEV_SETUP, &self->g->s));
	p = map(self->fd, self->w.fe_addr, len, RW, MAP_SHARED);
	lazy = map(self->fd, self->w.fe_addr + len, len, RW, MAP_SHARED);
	ro = map(m, self->w.fe_addr, len, PROT_READ, MAP_SHARED);
	inflight = map_inflight(self->fd, INFLIGHT, RW);
	ASSERT_TRUE(p != MAP_FAILED && lazy != MAP_FAILED && ro != MAP_FAILED &&
		    inflight != MAP_FAILED);
	memset(p, 0xee, len);
	inflight[0] = 0xee;
	EXPECT_EQ(0xee, ro[len - 1]);
	ASSERT_EQ(0, dev_del(NAME));
	/* No SIGBUS, whether the page had been touched or not. */
	EXPECT_EQ(0, use_scratch(p, lazy, len));
	EXPECT_EQ(0, ro[len - 1]);
	EXPECT_EQ(0, inflight[0]);
	EXPECT_NO_MAP(ENODEV, self->fd, self->w.fe_addr, self->page, RW, MAP_SHARED);
	EXPECT_NO_MAP(ENODEV, m, self->w.fe_addr, self->page, PROT_READ, MAP_SHARED);
	munmap(p, len);
	munmap(lazy, len);
	munmap(ro, len);
	munmap(inflight, INFLIGHT);
	close(m);
}

/* Writes to scratch memory reach nobody, not even another mapping of it. */
TEST_F(memory, scratch_is_not_the_window)
{
	uint8_t *p = map(self->fd, self->w.fe_addr, self->page, RW, MAP_SHARED), *q;
	struct dev_params again = dev_defaults(NAME);

	ASSERT_NE(MAP_FAILED, p);
	p[0] = 1;
	ASSERT_EQ(0, dev_del(NAME));
	p[0] = 0x66;
	again.window = WINDOW;
	ASSERT_EQ(0, dev_add(&again));
	close(self->fd);
	ASSERT_DONE(attach(&self->fd));
	q = map(self->fd, self->w.fe_addr, self->page, RW, MAP_SHARED);
	ASSERT_NE(MAP_FAILED, q);
	EXPECT_EQ(0, q[0]);
	q[0] = 5;
	EXPECT_EQ(0x66, p[0]);
	munmap(p, self->page);
	munmap(q, self->page);
}

TEST_HARNESS_MAIN
