// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
/*
 * Windows whose memory is given back: where libvbe maps them, and what it tells the kernel on
 * behalf of the engine. The kernel's side is played here. TAP.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "private.h"

#define HIGH		(1ull << 63)
#define LEN		0x200000u
#define PAGE		4096u
#define MANY		150u		/* more than fit into one call of the library's */

static int n_tests, n_failed;

static void check(bool ok, const char *what)
{
	n_tests++;
	n_failed += !ok;
	printf("%sok %d - %s\n", ok ? "" : "not ", n_tests, what);
}

/* ---- the kernel's side ---- */

static struct {
	struct vbe_mem_range ranges[MANY];
	uint32_t n, calls, flags;
	unsigned long cmd;
} told;
static int unmap_errno;		/* what MEM_UNMAP says, or 0 */
static uint32_t out_failed;	/* what it counts */
static bool tells_offset = true;
static off_t mapped_at;
static uint32_t copied;		/* bytes, by MEM_COPY */
static uint8_t fe_memory[LEN];

int __wrap_ioctl(int fd, unsigned long cmd, ...);
void *__wrap_mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t offset);

static int fail(int err)
{
	errno = err;
	return -1;
}

static int mem_query(struct vbe_mem_query *q)
{
	if (q->index)
		return fail(ENOENT);
	q->flags = VBE_WINDOW_F_TRANSIENT;
	q->mem_class = VBE_MEM_PFN;
	q->fe_addr = HIGH;
	q->len = LEN;
	q->mmap_offset = tells_offset ? VBE_MMAP_HIGH : 0;
	return 0;
}

static int mem_copy(const struct vbe_mem_copy *c)
{
	struct vbe_copy_entry *e = (void *)(uintptr_t)c->entries;

	for (uint32_t i = 0; i < c->n; i++, e++) {
		void *buf = (void *)(uintptr_t)e->buf;
		void *at = fe_memory + (e->fe_addr - HIGH);

		memcpy(c->flags & VBE_COPY_F_TO_FE ? at : buf,
		       c->flags & VBE_COPY_F_TO_FE ? buf : at, e->len);
		copied += e->len;
	}
	return 0;
}

static int mem_map(unsigned long cmd, struct vbe_mem_map *m)
{
	if (!m->n || m->n > VBE_MAX_MEM_RANGES || told.n + m->n > MANY)
		return fail(EINVAL);
	memcpy(told.ranges + told.n, (void *)(uintptr_t)m->ranges, m->n * sizeof(told.ranges[0]));
	told.n += m->n;
	told.calls++;
	told.flags = m->flags;
	told.cmd = cmd;
	if (cmd == VBE_IOC_MEM_UNMAP && unmap_errno)
		return fail(unmap_errno);
	m->out_failed = out_failed;
	return 0;
}

int __wrap_ioctl(int fd, unsigned long cmd, ...)
{
	va_list ap;
	void *arg;

	(void)fd;
	va_start(ap, cmd);
	arg = va_arg(ap, void *);
	va_end(ap);
	switch (cmd) {
	case VBE_IOC_MEM_QUERY:
		return mem_query(arg);
	case VBE_IOC_MEM_COPY:
		return mem_copy(arg);
	case VBE_IOC_MEM_MAP:
	case VBE_IOC_MEM_UNMAP:
		return mem_map(cmd, arg);
	}
	return fail(ENOTTY);
}

void *__real_mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t offset);

void *__wrap_mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	mapped_at = offset;
	(void)fd;
	return __real_mmap64(addr, len, prot, (flags & ~MAP_SHARED) | MAP_PRIVATE | MAP_ANONYMOUS,
			   -1, 0);
}

/* ---- tests ---- */

static struct vbe_dev dev = { .fd = -1, .lock = PTHREAD_MUTEX_INITIALIZER };

static void begin(void)
{
	memset(&told, 0, sizeof(told));
	unmap_errno = 0;
	out_failed = 0;
}

static void windows(void)
{
	const struct vbe_vq_mem *mem = vbe_mem_engine(&dev);

	check(mem && mem->nr_windows == 1 && mem->windows[0].host, "the window is mapped");
	check(mapped_at == (off_t)VBE_MMAP_HIGH, "at the offset that the kernel tells");
	check(mem->windows[0].flags == VBE_VQ_WINDOW_TRANSIENT && mem->windows[0].fe_addr == HIGH,
	      "the engine knows that it is transient");
	tells_offset = false;
	check(!vbe_mem_refresh(&dev) && mapped_at == (off_t)HIGH,
	      "at its address, if the kernel tells none");
	tells_offset = true;
	check(!vbe_mem_refresh(&dev), "and again");
}

static void copies(void)
{
	struct vbe_mem_ref ref;

	begin();
	memset(fe_memory + 100, 7, 8);
	check(!vbe_mem(&dev, &ref, HIGH + 100, 8, VBE_ACCESS_READ | VBE_ACCESS_WRITE) &&
	      ref.copied && copied == 8 && *(uint8_t *)ref.ptr == 7, "vbe_mem() reads a copy");
	memset(ref.ptr, 8, 8);
	check(!vbe_mem_put(&dev, &ref) && fe_memory[107] == 8, "and writes it back");
	check(!told.calls, "and there is nothing to give back");
}

static void wanted(void)
{
	const struct vbe_vq_mem *mem = vbe_mem_engine(&dev);
	struct vbe_vq_range r[] = {
		{ HIGH, PAGE, 0 },		/* a page fault is as good */
		{ HIGH + PAGE, 2 * PAGE, 0 },
		{ HIGH, LEN - 5, 0 },		/* more than the kernel takes at once */
		{ HIGH + 8 * PAGE, PAGE + 1, 0 },
	};

	begin();
	mem->want(mem->opaque, r, 1, true);
	check(!told.calls, "a page is not asked for");
	mem->want(mem->opaque, r, 4, true);
	check(told.calls == 1 && told.n == 4 && told.cmd == VBE_IOC_MEM_MAP &&
	      told.flags == VBE_MAP_F_WRITE && told.ranges[0].fe_addr == HIGH + PAGE &&
	      told.ranges[0].len == 2 * PAGE && told.ranges[3].len == PAGE + 1,
	      "pieces of several pages are, to be written");
	check(told.ranges[1].fe_addr == HIGH && told.ranges[1].len == LEN / 2 &&
	      told.ranges[2].fe_addr == HIGH + LEN / 2 && told.ranges[2].len == LEN / 2 - 5,
	      "long ones in parts");
	mem->want(mem->opaque, r + 1, 1, false);
	check(told.calls == 2 && !told.flags, "or to be read");
}

static void released(void)
{
	const struct vbe_vq_mem *mem = vbe_mem_engine(&dev);
	struct vbe_vq_range r[MANY];
	bool same = true;

	for (uint32_t i = 0; i < MANY; i++)
		r[i] = (struct vbe_vq_range){ HIGH + 2 * i * PAGE, PAGE + i, 0 };
	begin();
	check(!mem->release(mem->opaque, r, 3) && told.calls == 1 && told.n == 3 &&
	      told.cmd == VBE_IOC_MEM_UNMAP && !told.flags, "what is given back is, in one call");
	begin();
	check(!mem->release(mem->opaque, r, MANY) && told.n == MANY, "and also when it is much");
	for (uint32_t i = 0; i < MANY; i++)
		same &= told.ranges[i].fe_addr == r[i].fe_addr && told.ranges[i].len == r[i].len;
	check(same, "each piece of it");
	begin();
	out_failed = 1;
	check(!mem->release(mem->opaque, r, 1), "a window that has gone has nothing to give");
	unmap_errno = ENODEV;
	check(!mem->release(mem->opaque, r, 1), "nor has a device that has gone");
	check(vbe_mem_unmap(&dev, &(struct vbe_mem_range){ HIGH, PAGE, 0 }, 1) == -ENODEV,
	      "of which vbe_mem_unmap() tells");
	unmap_errno = EFAULT;
	check(mem->release(mem->opaque, r, 1), "another failure is one");
}

int main(void)
{
	windows();
	copies();
	wanted();
	released();
	vbe_mem_drop(&dev);
	printf("1..%d\n", n_tests);
	return n_failed ? 1 : 0;
}
