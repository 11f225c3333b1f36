// SPDX-License-Identifier: GPL-2.0
/*
 * Transient memory: had when it is used, given back after.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * The FE lets the backend have a buffer, and takes it back with the buffer. Whoever maps
 * it longer than that breaks the FE's driver. So it is given back
 *
 *  - by the backend (MEM_UNMAP), before it publishes the buffer as used;
 *  - rings and all else, when the driver resets the device or a queue, before it is told
 *    that this is done: it frees them next. And when it enables a queue: a backend that
 *    touched what was free meanwhile has scratch memory where the new ring may be;
 *  - when the backend's attachment ends, after its mappings were revoked;
 *  - by the window's owner, when that or the guest goes, or for a cap of its own.
 *
 * In what order that happens with page faults is the window's owner's business: see its
 * insert and unmap ops.
 */
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/uaccess.h>

#include "vbe.h"

#define VBE_MAP_MAX	SZ_1M	/* bytes of one range: they are mapped in one go */

static int vbe_range_in_window(struct vbe_window *win, const struct vbe_mem_range *r, bool map,
			       bool write)
{
	u64 at = r->fe_addr - win->fe_addr;
	unsigned long first = at >> PAGE_SHIFT;
	unsigned long n = ((at + r->len - 1) >> PAGE_SHIFT) - first + 1;
	int ret;

	if (!map) {
		if (win->ops && win->ops->unmap)
			win->ops->unmap(win, first, n);
		return 0;
	}
	if (win->mem_class == VBE_MEM_COPY)
		return -EOPNOTSUPP;
	if (write && (win->flags & VBE_WINDOW_F_READONLY))
		return -EFAULT;
	if (!win->ops || !win->ops->map)
		return 0;
	ret = win->ops->map(win, first, n, write);
	return ret == -ENXIO ? -EFAULT : ret;
}

static int vbe_range_do(struct vbe_client *c, const struct vbe_mem_range *r, bool map,
			bool write)
{
	struct vbe_device *dev = c->dev;
	struct vbe_window *win;
	unsigned int noio;
	int ret;

	if (!r->len || (map && r->len > VBE_MAP_MAX))
		return -EINVAL;
	/* As in a fault, see map.c. */
	noio = memalloc_noio_save();
	down_read(&dev->mem_sem);
	win = vbe_window_find(dev, r->fe_addr, r->len);
	if (c->revoked)
		ret = -ENODEV;
	else if (!win)
		ret = -EFAULT;
	else
		ret = vbe_range_in_window(win, r, map, write);
	up_read(&dev->mem_sem);
	memalloc_noio_restore(noio);
	return ret;
}

static int vbe_ranges_do(struct vbe_client *c, struct vbe_mem_map *arg, bool map)
{
	struct vbe_mem_range __user *ur = u64_to_user_ptr(arg->ranges);
	struct vbe_mem_range r;
	u32 i;

	if (!arg->n || arg->n > VBE_MAX_MEM_RANGES)
		return vbe_fail(&c->why, -EINVAL, "n must be 1 to 1024");
	if (READ_ONCE(c->revoked))
		return vbe_fail(&c->why, -ENODEV,
				"the device is gone, or this attachment was revoked");
	arg->out_failed = 0;
	for (i = 0; i < arg->n; i++) {
		if (copy_from_user(&r, ur + i, sizeof(r)))
			return vbe_fail(&c->why, -EFAULT, "ranges cannot be read");
		r.status = vbe_range_do(c, &r, map, arg->flags & VBE_MAP_F_WRITE);
		if (r.status)
			arg->out_failed++;
		if (put_user(r.status, &ur[i].status))
			return vbe_fail(&c->why, -EFAULT, "ranges cannot be written");
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

/**
 * vbe_ioctl_mem_map() - MEM_MAP
 * @ctx: client
 * @arg: &struct vbe_mem_map
 * @nfd: unused
 *
 * Context: process, may sleep; takes mem_sem, never while it touches user memory.
 * Return: 0; EINVAL, EFAULT, ENODEV, EINTR.
 */
int vbe_ioctl_mem_map(void *ctx, void *arg, struct vbe_new_fd *nfd)
{
	struct vbe_mem_map *map = arg;
	struct vbe_client *c = ctx;

	if (map->flags & ~VBE_MAP_F_WRITE)
		return vbe_fail(&c->why, -EINVAL, "unknown flags");
	return vbe_ranges_do(c, map, true);
}

/**
 * vbe_ioctl_mem_unmap() - MEM_UNMAP
 * @ctx: client
 * @arg: &struct vbe_mem_map
 * @nfd: unused
 *
 * Context: process, may sleep; takes mem_sem, never while it touches user memory.
 * Return: 0; EINVAL, EFAULT, ENODEV, EINTR.
 */
int vbe_ioctl_mem_unmap(void *ctx, void *arg, struct vbe_new_fd *nfd)
{
	struct vbe_mem_map *map = arg;
	struct vbe_client *c = ctx;

	if (map->flags)
		return vbe_fail(&c->why, -EINVAL, "unknown flags");
	return vbe_ranges_do(c, map, false);
}

/**
 * vbe_windows_unmap() - give all transient memory of a device back
 * @dev: device
 * @end: the attachment of its backend has ended; its mappings were revoked
 *
 * Neither what was there nor scratch memory in its place is in a page table when it
 * returns: it waits for page faults under way, as one that was told that nothing is there
 * puts scratch memory there next.
 *
 * Context: process, may sleep; takes mem_sem.
 */
void vbe_windows_unmap(struct vbe_device *dev, bool end)
{
	struct vbe_window *win;
	u32 i;

	down_write(&dev->mem_sem);
	for (i = 0; i < dev->n_windows; i++) {
		win = dev->windows[i];
		if (!win->ops)
			continue;
		if (win->ops->unmap)
			win->ops->unmap(win, 0, win->len >> PAGE_SHIFT);
		if (end && win->ops->end)
			win->ops->end(win);
	}
	up_write(&dev->mem_sem);
}
