// SPDX-License-Identifier: GPL-2.0
/*
 * An in-flight area that the VMM keeps.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * The pages stay the device's until it is hidden and forgotten, whatever the VMM does to
 * the file meanwhile: truncated, it just is not theirs in common any more.
 *
 * They are pages of the page cache, but backends' mappings of the area are no mappings
 * of the file, so they are of class "pfn": the page tables hold no reference and the
 * kernel does not count them as mapped. They are marked dirty once and for all: no one
 * can write them to swap, and so clean them, while we refer to them.
 */
#include <linux/file.h>
#include <linux/highmem.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/shmem_fs.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "user.h"

#define USER_INFLIGHT_MAX	SZ_64M	/* what the core allows a device */

static int user_inflight_file_check(struct file *file, struct vbe_why *why)
{
	if (!shmem_file(file))
		return vbe_fail(why, -EOPNOTSUPP, "the in-flight area must be in a memfd");
	if ((file->f_mode & (FMODE_READ | FMODE_WRITE)) != (FMODE_READ | FMODE_WRITE))
		return vbe_fail(why, -EACCES, "the file is not open for reading and writing");
	if (user_file_sealed(file))
		return vbe_fail(why, -EPERM, "the file is sealed against writing");
	return 0;
}

static int user_inflight_fill(struct page **pages, unsigned long n, struct file *file, u64 offset)
{
	unsigned long i;
	int ret = 0;

	/*
	 * Sealing fails while a writable mapping is counted, and afterwards as it
	 * finds pages that are referred to.
	 */
	if (mapping_map_writable(file->f_mapping))
		return -EPERM;
	for (i = 0; i < n && !ret; i++) {
		pages[i] = shmem_read_mapping_page(file->f_mapping, (offset >> PAGE_SHIFT) + i);
		if (IS_ERR(pages[i]))
			ret = PTR_ERR(pages[i]);
		else if (fatal_signal_pending(current))
			ret = -EINTR;
		if (IS_ERR(pages[i]))
			pages[i] = NULL;
		cond_resched();
	}
	mapping_unmap_writable(file->f_mapping);
	return ret;
}

static void user_inflight_drop(struct page **pages, unsigned long n)
{
	unsigned long i;

	for (i = 0; i < n; i++)
		if (pages[i])
			put_page(pages[i]);
	kvfree(pages);
	vbe_pages_uncharge(n);
}

/* The pages of a range of a file, charged; vbe_pages_free() takes them. */
static struct page **user_inflight_pages(struct file *file, u64 offset, unsigned long n,
					 struct vbe_why *why)
{
	struct page **pages;
	int ret;

	if (!vbe_pages_charge(n))
		return ERR_PTR(vbe_fail(why, -ENOMEM, "over the cap (mem_limit_mb)"));
	pages = kvcalloc(n, sizeof(*pages), GFP_KERNEL_ACCOUNT);
	if (!pages) {
		vbe_pages_uncharge(n);
		return ERR_PTR(vbe_fail(why, -ENOMEM, "out of memory"));
	}
	ret = user_inflight_fill(pages, n, file, offset);
	if (!ret)
		return pages;
	user_inflight_drop(pages, n);
	if (ret == -EINVAL || ret == -EFBIG)
		return ERR_PTR(vbe_fail(why, -EINVAL, "the range passes the end of the file"));
	return ERR_PTR(vbe_fail(why, ret, "the pages of the file cannot be had"));
}

/* May the area be replaced, by one of this length? dev->fe_lock and dev->lock held. */
static int user_inflight_ready(struct vbe_device *dev, u64 len, struct vbe_why *why)
{
	if (dev->transport != &vbe_direct_transport)
		return vbe_fail(why, -EOPNOTSUPP, "only for transport direct");
	if (!dev->client || !dev->client->setup_done)
		return vbe_fail(why, -ENOTCONN, "no backend has set the device up");
	if (dev->status)
		return vbe_fail(why, -EBUSY, "the driver uses the device: its status is not 0");
	if (!dev->inflight.pages)
		return vbe_fail(why, -EINVAL, "the backend has no in-flight area");
	if (len != dev->inflight.len)
		return vbe_fail(why, -EINVAL, "len is not n_queues * inflight_size");
	return 0;
}

static int user_inflight_set(struct vbe_device *dev, struct page **pages, u64 len, bool resume,
			     struct vbe_why *why)
{
	unsigned long i;
	int ret;

	/* With fe_lock, the status stays. */
	mutex_lock(&dev->fe_lock);
	mutex_lock(&dev->lock);
	ret = user_inflight_ready(dev, len, why);
	if (!ret) {
		for (i = 0; i < len >> PAGE_SHIFT; i++) {
			if (!resume)
				clear_highpage(pages[i]);
			set_page_dirty_lock(pages[i]);
		}
		vbe_inflight_replace(dev, pages);
		dev->resume = resume;
	}
	mutex_unlock(&dev->lock);
	mutex_unlock(&dev->fe_lock);
	return ret;
}

static int user_inflight_check(const struct vbe_guest_inflight *a, struct vbe_why *why)
{
	if (a->flags & ~VBE_GUEST_INFLIGHT_F_RESUME)
		return vbe_fail(why, -EINVAL, "unknown flags");
	if (!PAGE_ALIGNED(a->offset) || !PAGE_ALIGNED(a->len))
		return vbe_fail(why, -EINVAL, "offset and len must be whole pages");
	if (!a->len || a->len > USER_INFLIGHT_MAX)
		return vbe_fail(why, -EINVAL, "len is not n_queues * inflight_size");
	if (a->offset > MAX_LFS_FILESIZE - a->len)
		return vbe_fail(why, -EINVAL, "the range passes the end of the file");
	return 0;
}

int user_ioctl_inflight(void *ctx, void *arg, struct vbe_new_fd *nfd)
{
	struct vbe_guest_inflight *a = arg;
	struct user_guest *guest = ctx;
	unsigned long n = a->len >> PAGE_SHIFT;
	struct page **pages;
	struct user_dev *ud;
	struct file *file;
	int ret;

	ret = user_inflight_check(a, &guest->why);
	if (ret)
		return ret;
	ud = user_dev_get(guest, a->dev);
	if (IS_ERR(ud))
		return PTR_ERR(ud);
	file = fget(a->fd);
	if (!file) {
		ret = vbe_fail(&guest->why, -EBADF, "fd is not an open file");
		goto out;
	}
	ret = user_inflight_file_check(file, &guest->why);
	if (ret)
		goto out_file;
	pages = user_inflight_pages(file, a->offset, n, &guest->why);
	if (IS_ERR(pages)) {
		ret = PTR_ERR(pages);
		goto out_file;
	}
	ret = user_inflight_set(ud->vbe, pages, a->len, a->flags & VBE_GUEST_INFLIGHT_F_RESUME,
				&guest->why);
	if (ret)
		vbe_pages_free(pages, n);
out_file:
	fput(file);
out:
	user_dev_put(ud);
	return ret;
}
