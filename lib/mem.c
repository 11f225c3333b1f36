// SPDX-License-Identifier: BSD-3-Clause
/* Copyright (c) 2026 The vbe authors */
/*
 * FE memory: a table of windows, mapped where their class allows it.
 *
 * mmap() itself takes no page: the kernel populates on demand. So all windows are mapped when
 * the first address is asked for, and the table is constant from then to vbe_mem_refresh().
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "private.h"

#define COPY_MAX	(1u << 20)	/* bytes per copy entry, <linux/vbe.h> */

#define MAP_MAX		(1u << 20)	/* bytes per range, of MEM_MAP */
#define MAP_ALONE	4096u		/* bytes for which a page fault is as good */
#define RANGES		64u		/* of one call, for the engine */
#define WANT_MAX	(4u << 20)	/* bytes that are worth a hint */

/* Rings are the engine's to write. */
#define NOT_WRITABLE	(VBE_VQ_WINDOW_RO | VBE_VQ_WINDOW_RINGS)

/* A table under construction; see struct vbe_dev. */
struct table {
	struct vbe_vq_window *windows;
	struct vbe_kind *kinds;
	uint32_t n;
};

static int copy_batch(struct vbe_dev *dev, struct vbe_copy_entry *entries, uint32_t n,
		      uint32_t flags)
{
	struct vbe_mem_copy arg = {
		.size = sizeof(arg),
		.flags = flags,
		.n = n,
		.entries = (uintptr_t)entries,
	};
	int ret = vbe_ioctl(dev, VBE_IOC_MEM_COPY, &arg);

	return ret ? ret : (int)arg.out_failed;
}

int vbe_mem_copy(struct vbe_dev *dev, struct vbe_copy_entry *entries, unsigned int n,
		 uint32_t flags)
{
	int failed = 0;

	while (n) {
		uint32_t batch = n < VBE_MAX_COPY_ENTRIES ? n : VBE_MAX_COPY_ENTRIES;
		int ret = copy_batch(dev, entries, batch, flags);

		if (ret < 0)
			return ret;
		failed += ret;
		entries += batch;
		n -= batch;
	}
	return failed;
}

static int copy_range(struct vbe_dev *dev, uint64_t fe_addr, uint8_t *buf, uint32_t len,
		      uint32_t flags)
{
	while (len) {
		struct vbe_copy_entry e = {
			.fe_addr = fe_addr,
			.buf = (uintptr_t)buf,
			.len = len < COPY_MAX ? len : COPY_MAX,
		};

		if (copy_batch(dev, &e, 1, flags))
			return -1;
		fe_addr += e.len;
		buf += e.len;
		len -= e.len;
	}
	return 0;
}

static int engine_read(void *opaque, uint64_t fe_addr, void *dst, uint32_t len)
{
	return copy_range(opaque, fe_addr, dst, len, 0);
}

static int engine_write(void *opaque, uint64_t fe_addr, const void *src, uint32_t len)
{
	return copy_range(opaque, fe_addr, (uint8_t *)src, len, VBE_COPY_F_TO_FE);
}

static int do_ranges(struct vbe_dev *dev, unsigned long cmd, struct vbe_mem_range *ranges,
		     uint32_t n, uint32_t flags)
{
	struct vbe_mem_map arg = {
		.size = sizeof(arg),
		.flags = flags,
		.n = n,
		.ranges = (uintptr_t)ranges,
	};
	int ret = vbe_ioctl(dev, cmd, &arg);

	return ret ? ret : (int)arg.out_failed;
}

static int all_ranges(struct vbe_dev *dev, unsigned long cmd, struct vbe_mem_range *ranges,
		      unsigned int n, uint32_t flags)
{
	int failed = 0;

	while (n) {
		uint32_t batch = n < VBE_MAX_MEM_RANGES ? n : VBE_MAX_MEM_RANGES;
		int ret = do_ranges(dev, cmd, ranges, batch, flags);

		if (ret < 0)
			return ret;
		failed += ret;
		ranges += batch;
		n -= batch;
	}
	return failed;
}

int vbe_mem_map(struct vbe_dev *dev, struct vbe_mem_range *ranges, unsigned int n, uint32_t flags)
{
	return all_ranges(dev, VBE_IOC_MEM_MAP, ranges, n, flags);
}

int vbe_mem_unmap(struct vbe_dev *dev, struct vbe_mem_range *ranges, unsigned int n)
{
	return all_ranges(dev, VBE_IOC_MEM_UNMAP, ranges, n, 0);
}

/*
 * Worth a call of its own are those which the kernel maps in fewer steps than it takes page
 * faults. Whatever becomes of it: pages come when they are touched, or do not. No more than
 * so many at once: nobody has looked at the request yet, whose length is the FE's to say.
 */
static void engine_want(void *opaque, const struct vbe_vq_range *ranges, uint32_t n, bool write)
{
	uint32_t flags = write ? VBE_MAP_F_WRITE : 0, left = WANT_MAX, len, i = 0;
	struct vbe_mem_range batch[RANGES];

	for (; n && left && i < RANGES; n--, ranges++) {
		if (ranges->len <= MAP_ALONE)
			continue;
		for (uint64_t at = 0; at < ranges->len && left && i < RANGES; at += len) {
			len = ranges->len - at < MAP_MAX ? ranges->len - at : MAP_MAX;
			len = len < left ? len : left;
			batch[i++] = (struct vbe_mem_range){ .fe_addr = ranges->fe_addr + at,
							     .len = len };
			left -= len;
		}
	}
	if (i)
		do_ranges(opaque, VBE_IOC_MEM_MAP, batch, i, flags);
}

/*
 * A range that is in no window any more has been given back with that; all have been when the
 * attachment was revoked (ENODEV).
 */
static int engine_release(void *opaque, const struct vbe_vq_range *ranges, uint32_t n)
{
	struct vbe_mem_range batch[RANGES];
	uint32_t i;
	int ret;

	while (n) {
		for (i = 0; i < n && i < RANGES; i++)
			batch[i] = (struct vbe_mem_range){ .fe_addr = ranges[i].fe_addr,
							   .len = ranges[i].len };
		ret = do_ranges(opaque, VBE_IOC_MEM_UNMAP, batch, i, 0);
		if (ret < 0)
			return ret == -ENODEV ? 0 : -1;
		ranges += i;
		n -= i;
	}
	return 0;
}

/* The window of @dev that is the same as @q, or NULL. */
static struct vbe_vq_window *same_window(struct vbe_dev *dev, const struct vbe_mem_query *q)
{
	for (uint32_t i = 0; i < dev->mem.nr_windows; i++) {
		struct vbe_vq_window *old = &dev->windows[i];

		if (old->fe_addr == q->fe_addr && old->len == q->len &&
		    dev->kinds[i].flags == q->flags && dev->kinds[i].mem_class == q->mem_class)
			return old;
	}
	return NULL;
}

/*
 * Map a window; at @old, where one like it was mapped before. That may be another one: only a new
 * mapping is sure to be of what is there now, and has no scratch memory from the time between.
 */
static void map_window(struct vbe_dev *dev, struct vbe_vq_window *w, struct vbe_vq_window *old,
		       uint64_t offset)
{
	int prot = PROT_READ | (w->flags & VBE_VQ_WINDOW_RO ? 0 : PROT_WRITE);
	void *at = old ? old->host : NULL;
	void *host;

	if (w->len > SIZE_MAX)
		return;
	host = mmap(at, w->len, prot, MAP_SHARED | (at ? MAP_FIXED : 0), dev->fd,
		    (off_t)offset);
	/* What cannot be mapped (address space, caps) can still be copied. */
	if (host != MAP_FAILED) {
		w->host = host;
	} else if (at) {
		munmap(at, w->len);
		old->host = NULL;
	}
}

static int table_add(struct vbe_dev *dev, struct table *t, const struct vbe_mem_query *q)
{
	struct vbe_vq_window *windows;
	struct vbe_vq_window *w;
	struct vbe_kind *kinds;

	windows = realloc(t->windows, (t->n + 1) * sizeof(*windows));
	if (!windows)
		return -ENOMEM;
	t->windows = windows;
	kinds = realloc(t->kinds, (t->n + 1) * sizeof(*kinds));
	if (!kinds)
		return -ENOMEM;
	t->kinds = kinds;
	w = &windows[t->n];
	kinds[t->n].mem_class = q->mem_class;
	kinds[t->n].flags = q->flags;
	memset(w, 0, sizeof(*w));
	w->fe_addr = q->fe_addr;
	w->len = q->len;
	w->flags = (q->flags & VBE_WINDOW_F_READONLY ? VBE_VQ_WINDOW_RO : 0) |
		   (q->flags & VBE_WINDOW_F_GUARDED ? VBE_VQ_WINDOW_RINGS : 0) |
		   (q->flags & VBE_WINDOW_F_TRANSIENT ? VBE_VQ_WINDOW_TRANSIENT : 0);
	/* A kernel that does not tell the offset has no window elsewhere. */
	if (q->mem_class != VBE_MEM_COPY)
		map_window(dev, w, same_window(dev, q), q->mmap_offset ? q->mmap_offset :
									 q->fe_addr);
	t->n++;
	return 0;
}

static bool table_has(const struct vbe_vq_window *windows, uint32_t n, const void *host)
{
	for (uint32_t i = 0; i < n; i++)
		if (windows[i].host == host)
			return true;
	return false;
}

/* Unmap the windows of one table that are not in the other. */
static void unmap_rest(struct vbe_vq_window *windows, uint32_t n, struct vbe_vq_window *keep,
		       uint32_t n_keep)
{
	for (uint32_t i = 0; i < n; i++)
		if (windows[i].host && !table_has(keep, n_keep, windows[i].host))
			munmap(windows[i].host, windows[i].len);
}

static int table_load(struct vbe_dev *dev, struct table *t)
{
	for (;;) {
		struct vbe_mem_query q = { .size = sizeof(q), .index = t->n };
		int ret = vbe_ioctl(dev, VBE_IOC_MEM_QUERY, &q);

		if (ret == -ENOENT)
			return 0;
		if (!ret)
			ret = table_add(dev, t, &q);
		if (ret)
			return ret;
	}
}

int vbe_mem_refresh(struct vbe_dev *dev)
{
	struct table t = { 0 };
	int ret = table_load(dev, &t);

	if (ret) {
		unmap_rest(t.windows, t.n, dev->windows, dev->mem.nr_windows);
		free(t.windows);
		free(t.kinds);
		return ret;
	}
	unmap_rest(dev->windows, dev->mem.nr_windows, t.windows, t.n);
	free(dev->windows);
	free(dev->kinds);
	dev->windows = t.windows;
	dev->kinds = t.kinds;
	dev->mem.windows = t.windows;
	dev->mem.nr_windows = t.n;
	dev->mem.opaque = dev;
	dev->mem.read = engine_read;
	dev->mem.write = engine_write;
	dev->mem.want = engine_want;
	dev->mem.release = engine_release;
	__atomic_store_n(&dev->loaded, true, __ATOMIC_RELEASE);
	return 0;
}

static int mem_load(struct vbe_dev *dev)
{
	int ret = 0;

	if (__atomic_load_n(&dev->loaded, __ATOMIC_ACQUIRE))
		return 0;
	pthread_mutex_lock(&dev->lock);
	if (!dev->loaded)
		ret = vbe_mem_refresh(dev);
	pthread_mutex_unlock(&dev->lock);
	return ret;
}

void vbe_mem_drop(struct vbe_dev *dev)
{
	unmap_rest(dev->windows, dev->mem.nr_windows, NULL, 0);
	free(dev->windows);
	free(dev->kinds);
	if (dev->inflight)
		munmap(dev->inflight, dev->inflight_slice * dev->inflight_queues);
}

const struct vbe_vq_mem *vbe_mem_engine(struct vbe_dev *dev)
{
	int ret = mem_load(dev);

	if (ret) {
		errno = -ret;
		return NULL;
	}
	return &dev->mem;
}

int vbe_mem_window(struct vbe_dev *dev, unsigned int index, struct vbe_mem_window *window)
{
	const struct vbe_vq_window *w;
	int ret = mem_load(dev);

	if (ret)
		return ret;
	if (index >= dev->mem.nr_windows)
		return -ENOENT;
	w = &dev->windows[index];
	window->fe_addr = w->fe_addr;
	window->len = w->len;
	window->host = w->host;
	window->mem_class = dev->kinds[index].mem_class;
	window->flags = dev->kinds[index].flags;
	return 0;
}

/* Where all of [fe_addr, fe_addr + len) is mapped, or NULL. */
static void *mapped(const struct vbe_dev *dev, uint64_t fe_addr, size_t len, uint32_t access)
{
	for (uint32_t i = 0; i < dev->mem.nr_windows; i++) {
		const struct vbe_vq_window *w = &dev->windows[i];
		uint64_t off = fe_addr - w->fe_addr;

		if (off >= w->len || len > w->len - off)
			continue;
		if (access & VBE_ACCESS_WRITE && w->flags & NOT_WRITABLE)
			return NULL;
		/* What would have to be given back is rather copied. */
		if (w->flags & VBE_VQ_WINDOW_TRANSIENT)
			return NULL;
		return w->host ? (uint8_t *)w->host + off : NULL;
	}
	return NULL;
}

/* Whether a copy of the range can be written back later, without writing now. */
static bool writable(const struct vbe_dev *dev, uint64_t fe_addr, size_t len)
{
	while (len) {
		const struct vbe_vq_window *w = NULL;
		uint64_t left;

		for (uint32_t i = 0; i < dev->mem.nr_windows && !w; i++)
			if (fe_addr - dev->windows[i].fe_addr < dev->windows[i].len)
				w = &dev->windows[i];
		if (!w || w->flags & NOT_WRITABLE)
			return false;
		left = w->len - (fe_addr - w->fe_addr);
		if (left >= len)
			return true;
		fe_addr += left;
		len -= left;
	}
	return true;
}

int vbe_mem(struct vbe_dev *dev, struct vbe_mem_ref *ref, uint64_t fe_addr, size_t len,
	    uint32_t access)
{
	int ret = mem_load(dev);

	if (ret)
		return ret;
	if (!len || !access || access & ~(VBE_ACCESS_READ | VBE_ACCESS_WRITE))
		return -EINVAL;
	*ref = (struct vbe_mem_ref){ .fe_addr = fe_addr, .len = len, .access = access };
	ref->ptr = mapped(dev, fe_addr, len, access);
	if (ref->ptr)
		return 0;
	if (access & VBE_ACCESS_WRITE && !writable(dev, fe_addr, len))
		return -EFAULT;
	ref->ptr = calloc(1, len);
	if (!ref->ptr)
		return -ENOMEM;
	ref->copied = 1;
	/* Fetched for write access too: vbe_mem_put() writes all of it back. */
	if (vbe_vq_mem_read(&dev->mem, fe_addr, ref->ptr, len) == 0)
		return 0;
	free(ref->ptr);
	*ref = (struct vbe_mem_ref){ 0 };
	return -EFAULT;
}

int vbe_mem_put(struct vbe_dev *dev, struct vbe_mem_ref *ref)
{
	int ret = 0;

	if (ref->copied) {
		if (ref->access & VBE_ACCESS_WRITE &&
		    vbe_vq_mem_write(&dev->mem, ref->fe_addr, ref->ptr, ref->len))
			ret = -EFAULT;
		free(ref->ptr);
	}
	*ref = (struct vbe_mem_ref){ 0 };
	return ret;
}

int vbe_mem_fd(struct vbe_dev *dev, uint32_t flags)
{
	struct vbe_mem_fd arg = { .size = sizeof(arg), .flags = flags };
	int ret = vbe_ioctl(dev, VBE_IOC_MEM_FD, &arg);

	return ret ? ret : arg.out_fd;
}

/* With dev->lock held. */
static int inflight_map(struct vbe_dev *dev)
{
	struct vbe_dev_info info;
	void *map;
	int ret;

	if (dev->inflight)
		return 0;
	ret = vbe_get_info(dev, &info);
	if (ret)
		return ret;
	if (!info.inflight_size || !info.n_queues)
		return -ENOENT;
	map = mmap(NULL, (size_t)info.inflight_size * info.n_queues, PROT_READ | PROT_WRITE,
		   MAP_SHARED, dev->fd, (off_t)VBE_MMAP_INFLIGHT);
	if (map == MAP_FAILED)
		return -errno;
	dev->inflight = map;
	dev->inflight_slice = info.inflight_size;
	dev->inflight_queues = info.n_queues;
	return 0;
}

int vbe_inflight(struct vbe_dev *dev, uint32_t index, void **area, size_t *len)
{
	int ret;

	pthread_mutex_lock(&dev->lock);
	ret = inflight_map(dev);
	pthread_mutex_unlock(&dev->lock);
	if (ret)
		return ret;
	if (index >= dev->inflight_queues)
		return -EINVAL;
	*area = (uint8_t *)dev->inflight + index * dev->inflight_slice;
	*len = dev->inflight_slice;
	return 0;
}
