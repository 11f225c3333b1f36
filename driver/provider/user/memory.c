// SPDX-License-Identifier: GPL-2.0
/*
 * Guest memory: from files to windows.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * A region is a part of a file, and a window of every device of the guest.
 *
 * Files in memory (memfd, tmpfs). Pages are found in the page cache when a backend
 * touches them, and belong to the file as ever: it can be truncated, swapped out,
 * moved to other nodes. See driver/core/map.c for how that stays exact.
 *
 * Huge pages (hugetlbfs): see huge.c.
 *
 * Other files (on disks) would need write-back, which long-term pins and late writes
 * of a backend's storage break. The kernel refuses such pins, and so is it here.
 */
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/pagemap.h>
#include <linux/shmem_fs.h>
#include <linux/slab.h>
#include <linux/xarray.h>

#include "user.h"

#define USER_CHUNK_PAGES	512	/* whose bits are kept together */

/**
 * struct user_mem - a range of guest memory; all under user_guest.lock
 * @node: in user_guest.mem
 * @windows: one for each device
 * @fe_addr: guest-physical address
 * @len: bytes
 * @flags: VBE_GUEST_MEM_F_*
 * @file: whose part it is, reference held
 * @offset: in @file
 * @counted: @file counts a writable mapping, so that it cannot be sealed
 * @huge: its pages, where they are huge; else NULL
 */
struct user_mem {
	struct list_head node;
	struct list_head windows;
	u64 fe_addr;
	u64 len;
	u32 flags;
	struct file *file;
	u64 offset;
	bool counted;
	struct user_huge *huge;
};

/**
 * struct user_window - a region as one device's window
 * @win: the core's
 * @node: in user_mem.windows
 * @ud: device
 * @touched: bitmaps of USER_CHUNK_PAGES, by chunk: pages that backends of this device
 *	got, and which nobody had pinned then. If one is pinned when the backend has
 *	ended, it may be I/O of that backend
 */
struct user_window {
	struct vbe_window win;
	struct list_head node;
	struct user_dev *ud;
	struct xarray touched;
};

/* ---- pages on demand ------------------------------------------------------------- */

static int user_touch(struct user_window *uw, unsigned long index, struct page *page)
{
	unsigned long *bits, *old, chunk = index / USER_CHUNK_PAGES;

	/* I/O can only read it; or it is somebody else's already, who may keep it. */
	if ((uw->win.flags & VBE_WINDOW_F_READONLY) ||
	    folio_maybe_dma_pinned(page_folio(page)))
		return 0;
	bits = xa_load(&uw->touched, chunk);
	if (!bits) {
		bits = bitmap_zalloc(USER_CHUNK_PAGES, GFP_KERNEL_ACCOUNT);
		if (!bits)
			return -ENOMEM;
		old = xa_cmpxchg(&uw->touched, chunk, NULL, bits, GFP_KERNEL_ACCOUNT);
		if (old)
			bitmap_free(bits);
		if (xa_is_err(old))
			return xa_err(old);
		if (old)
			bits = old;
	}
	set_bit(index % USER_CHUNK_PAGES, bits);
	return 0;
}

static void user_touched_forget(struct user_window *uw)
{
	unsigned long *bits, chunk;

	xa_for_each(&uw->touched, chunk, bits) {
		xa_erase(&uw->touched, chunk);
		bitmap_free(bits);
	}
}

/* A neighbour of a page that was asked for: only if it is there. */
static struct page *user_page_cached(struct address_space *mapping, pgoff_t index)
{
	struct page *page = find_get_page(mapping, index);

	if (!page)
		return NULL;
	if (folio_test_uptodate(page_folio(page)) && !PageHWPoison(page))
		return page;
	put_page(page);
	return NULL;
}

static long user_mem_get(struct vbe_window *win, unsigned long first, unsigned long n,
			 bool write, struct page **pages)
{
	struct address_space *mapping = win->file->f_mapping;
	pgoff_t index = (win->file_offset >> PAGE_SHIFT) + first;
	struct user_window *uw = win->priv;
	unsigned long i;
	int ret;

	/* Fills a hole, and reads swap. */
	pages[0] = shmem_read_mapping_page(mapping, index);
	if (IS_ERR(pages[0])) {
		ret = PTR_ERR(pages[0]);
		/* Past the end of the file. */
		return ret == -EINVAL || ret == -EFBIG ? -ENXIO : ret;
	}
	for (i = 1; i < n; i++) {
		pages[i] = user_page_cached(mapping, index + i);
		if (!pages[i])
			break;
	}
	n = i;
	for (i = 0, ret = 0; i < n && !ret; i++)
		ret = user_touch(uw, first + i, pages[i]);
	if (!ret)
		return n;
	for (i = 0; i < n; i++)
		put_page(pages[i]);
	return ret;
}

/*
 * Pages that are gone from the file meanwhile are no guest memory any more, and what is
 * written to them late harms nobody.
 */
static bool user_page_pinned(struct address_space *mapping, pgoff_t index)
{
	struct page *page = find_get_page(mapping, index);
	bool pinned;

	if (!page)
		return false;
	pinned = folio_maybe_dma_pinned(page_folio(page));
	put_page(page);
	return pinned;
}

/*
 * Nobody is attached, so what is not pinned now will not be any more: each page is
 * looked at once. (Linux 6.1 does not pin for O_DIRECT, it takes plain references, as
 * many others do: those are not seen.)
 */
static bool user_mem_busy(struct vbe_window *win, bool give_up)
{
	pgoff_t base = win->file_offset >> PAGE_SHIFT;
	struct user_window *uw = win->priv;
	unsigned long *bits, chunk, i;

	if (give_up) {
		user_touched_forget(uw);
		return false;
	}
	xa_for_each(&uw->touched, chunk, bits) {
		for_each_set_bit(i, bits, USER_CHUNK_PAGES) {
			if (user_page_pinned(win->file->f_mapping,
					     base + chunk * USER_CHUNK_PAGES + i))
				return true;
			clear_bit(i, bits);
		}
		xa_erase(&uw->touched, chunk);
		bitmap_free(bits);
		cond_resched();
	}
	return false;
}

static const struct vbe_window_ops user_window_ops = {
	.get = user_mem_get,
	.busy = user_mem_busy,
};

/* ---- windows ------------------------------------------------------------------------- */

/* @ud gets a window on @mem. */
static int user_mem_share(struct user_mem *mem, struct user_dev *ud)
{
	struct user_window *uw = kzalloc(sizeof(*uw), GFP_KERNEL_ACCOUNT);
	int ret;

	if (!uw)
		return -ENOMEM;
	xa_init(&uw->touched);
	uw->ud = ud;
	uw->win = (struct vbe_window) {
		.fe_addr = mem->fe_addr,
		.len = mem->len,
		.flags = mem->flags & VBE_GUEST_MEM_F_READONLY ? VBE_WINDOW_F_READONLY : 0,
		.priv = uw,
	};
	if (mem->huge) {
		uw->win.mem_class = VBE_MEM_PFN;
		uw->win.pages = mem->huge->pages;
	} else {
		uw->win.mem_class = VBE_MEM_PINNED;
		uw->win.ops = &user_window_ops;
		uw->win.file = mem->file;
		uw->win.file_offset = mem->offset;
	}
	ret = vbe_window_add(ud->vbe, &uw->win);
	if (ret) {
		kfree(uw);
		return ret;
	}
	list_add(&uw->node, &mem->windows);
	return 0;
}

static void user_window_end(struct user_window *uw)
{
	vbe_window_del(uw->ud->vbe, &uw->win);
	list_del(&uw->node);
	user_touched_forget(uw);
	kfree(uw);
}

/* Nobody reaches @mem when it returns. */
static void user_mem_unshare(struct user_mem *mem)
{
	struct user_window *uw, *next;

	list_for_each_entry_safe(uw, next, &mem->windows, node)
		user_window_end(uw);
}

static void user_mem_end(struct user_mem *mem)
{
	user_mem_unshare(mem);
	if (mem->huge)
		user_huge_free(mem->huge);
	if (mem->counted)
		mapping_unmap_writable(mem->file->f_mapping);
	fput(mem->file);
	kfree(mem);
}

/**
 * user_mem_attach() - give a new device windows on all memory of its guest
 * @ud: device; guest->lock held
 *
 * Return: 0, or ENOMEM: then it has none.
 */
int user_mem_attach(struct user_dev *ud)
{
	struct user_mem *mem;
	int ret = 0;

	lockdep_assert_held(&ud->guest->lock);
	list_for_each_entry(mem, &ud->guest->mem, node) {
		ret = user_mem_share(mem, ud);
		if (ret)
			break;
	}
	if (ret)
		user_mem_detach(ud);
	return ret;
}

/**
 * user_mem_detach() - take them back
 * @ud: device; guest->lock held
 */
void user_mem_detach(struct user_dev *ud)
{
	struct user_window *uw, *next;
	struct user_mem *mem;

	lockdep_assert_held(&ud->guest->lock);
	list_for_each_entry(mem, &ud->guest->mem, node)
		list_for_each_entry_safe(uw, next, &mem->windows, node)
			if (uw->ud == ud)
				user_window_end(uw);
}

/**
 * user_mem_free() - end all memory of a guest
 * @guest: without devices; its lock held
 */
void user_mem_free(struct user_guest *guest)
{
	struct user_mem *mem, *next;

	lockdep_assert_held(&guest->lock);
	list_for_each_entry_safe(mem, next, &guest->mem, node) {
		list_del(&mem->node);
		user_mem_end(mem);
	}
	guest->n_mem = 0;
}

/* ---- regions -------------------------------------------------------------------------- */

/**
 * user_file_sealed() - does a seal forbid new writable mappings?
 * @file: in memory
 */
bool user_file_sealed(struct file *file)
{
	unsigned int seals;

	if (user_file_huge(file))
		seals = user_file_huge_seals(file);
	else
		seals = READ_ONCE(SHMEM_I(file->f_mapping->host)->seals);
	return seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE);
}

/* May, and can, this file be guest memory? */
static int user_mem_file_check(struct user_mem *mem, struct vbe_why *why)
{
	bool readonly = mem->flags & VBE_GUEST_MEM_F_READONLY;
	struct file *file = mem->file;

	if (!vbe_file_can_mmap(file))
		return vbe_fail(why, -ENODEV, "this kind of file cannot be mapped");
	if (!(file->f_mode & FMODE_READ))
		return vbe_fail(why, -EACCES, "the file is not open for reading");
	if (!readonly && !(file->f_mode & FMODE_WRITE))
		return vbe_fail(why, -EACCES,
				"the file is not open for writing, and the memory not READONLY");
	if (!shmem_file(file) && !user_file_huge(file))
		return vbe_fail(why, -EOPNOTSUPP,
				"only files in memory can be guest memory: memfd, tmpfs, hugetlbfs");
	if (readonly)
		return 0;
	/* From here on it cannot be sealed against writing; it may be already. */
	if (user_file_sealed(file) || mapping_map_writable(file->f_mapping))
		return vbe_fail(why, -EPERM, "the file is sealed against writing");
	mem->counted = true;
	return 0;
}

static int user_mem_pin(struct user_mem *mem, struct vbe_why *why)
{
	struct user_huge *huge;

	if (!user_file_huge(mem->file))
		return 0;
	huge = user_huge_new(mem->file, mem->offset, mem->len,
			     mem->flags & VBE_GUEST_MEM_F_READONLY, why);
	if (IS_ERR(huge))
		return PTR_ERR(huge);
	mem->huge = huge;
	return 0;
}

static int user_mem_check(const struct vbe_guest_mem *a, struct vbe_why *why)
{
	if (!PAGE_ALIGNED(a->fe_addr) || !PAGE_ALIGNED(a->len) || !PAGE_ALIGNED(a->offset))
		return vbe_fail(why, -EINVAL, "fe_addr, len and offset must be whole pages");
	if (!a->len)
		return vbe_fail(why, -EINVAL, "the region is empty");
	if (a->__reserved)
		return vbe_fail(why, -EINVAL, "reserved field is not zero");
	if (a->fe_addr + a->len < a->fe_addr || a->fe_addr + a->len > VBE_MMAP_INFLIGHT)
		return vbe_fail(why, -EINVAL, "the region passes the end of the address space");
	if (a->offset > MAX_LFS_FILESIZE || a->len > MAX_LFS_FILESIZE - a->offset)
		return vbe_fail(why, -EINVAL, "offset and len pass the end of any file");
	return 0;
}

static int user_mem_check_place(struct user_guest *guest, const struct user_mem *new)
{
	struct user_mem *mem;

	if (guest->dead)
		return vbe_fail(&guest->why, -ENODEV, "the guest is dead");
	if (guest->n_mem == VBE_MAX_WINDOWS)
		return vbe_fail(&guest->why, -ENOSPC, "a guest has at most 64 regions of memory");
	list_for_each_entry(mem, &guest->mem, node)
		if (new->fe_addr < mem->fe_addr + mem->len &&
		    mem->fe_addr < new->fe_addr + new->len)
			return vbe_fail(&guest->why, -EEXIST,
					"overlaps another region of this guest's memory");
	return 0;
}

/* All devices get it, or none. */
static int user_mem_share_all(struct user_guest *guest, struct user_mem *mem)
{
	struct user_dev *ud;
	int ret;
	u32 i;

	for (i = 0; i < VBE_GUEST_MAX_DEVICES; i++) {
		ud = guest->devs[i];
		if (!ud || !ud->vbe || ud->dead)
			continue;
		ret = user_mem_share(mem, ud);
		if (ret)
			return vbe_fail(&guest->why, ret,
					"a device of the guest cannot take the memory: out of memory?");
	}
	return 0;
}

static int user_mem_place(struct user_guest *guest, struct user_mem *mem)
{
	int ret;

	mutex_lock(&guest->lock);
	ret = user_mem_check_place(guest, mem);
	if (!ret)
		ret = user_mem_share_all(guest, mem);
	if (!ret) {
		list_add_tail(&mem->node, &guest->mem);
		guest->n_mem++;
	} else {
		user_mem_unshare(mem);
	}
	mutex_unlock(&guest->lock);
	return ret;
}

int user_ioctl_mem_add(void *ctx, void *arg, struct vbe_new_fd *nfd)
{
	struct user_guest *guest = ctx;
	struct vbe_guest_mem *a = arg;
	struct user_mem *mem;
	int ret;

	if (a->flags & ~VBE_GUEST_MEM_F_READONLY)
		return vbe_fail(&guest->why, -EINVAL, "unknown flags");
	ret = user_mem_check(a, &guest->why);
	if (ret)
		return ret;
	mem = kzalloc(sizeof(*mem), GFP_KERNEL_ACCOUNT);
	if (!mem)
		return vbe_fail(&guest->why, -ENOMEM, "out of memory");
	INIT_LIST_HEAD(&mem->windows);
	mem->fe_addr = a->fe_addr;
	mem->len = a->len;
	mem->flags = a->flags;
	mem->offset = a->offset;
	mem->file = fget(a->fd);
	if (!mem->file) {
		kfree(mem);
		return vbe_fail(&guest->why, -EBADF, "fd is not an open file");
	}
	ret = user_mem_file_check(mem, &guest->why);
	if (!ret)
		ret = user_mem_pin(mem, &guest->why);
	if (!ret)
		ret = user_mem_place(guest, mem);
	if (ret)
		user_mem_end(mem);
	return ret;
}

int user_ioctl_mem_del(void *ctx, void *arg, struct vbe_new_fd *nfd)
{
	struct user_guest *guest = ctx;
	struct vbe_guest_mem *a = arg;
	struct user_mem *mem, *found = NULL;

	if (a->flags || a->offset || a->__reserved)
		return vbe_fail(&guest->why, -EINVAL, "flags, offset and reserved must be 0 here");
	if (a->fd != -1)
		return vbe_fail(&guest->why, -EINVAL, "fd must be -1 here");
	mutex_lock(&guest->lock);
	list_for_each_entry(mem, &guest->mem, node)
		if (mem->fe_addr == a->fe_addr && mem->len == a->len)
			found = mem;
	if (found) {
		list_del(&found->node);
		guest->n_mem--;
		user_mem_end(found);
	}
	mutex_unlock(&guest->lock);
	if (!found)
		return vbe_fail(&guest->why, -ENOENT,
				"the guest has no region of memory at this address and of this length");
	return 0;
}
