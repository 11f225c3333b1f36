// SPDX-License-Identifier: GPL-2.0
/*
 * Windows: what FE memory a backend may reach, and copies to and from it.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * How it is mapped is in map.c, and so is why taking it back is exact.
 */
#include <linux/bitmap.h>
#include <linux/highmem.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "vbe.h"

#define VBE_COPY_MAX		SZ_1M
#define VBE_ADDR_HIGH		BIT_ULL(63)	/* at VBE_MMAP_HIGH */

static unsigned long mem_limit_mb;
module_param(mem_limit_mb, ulong, 0644);
MODULE_PARM_DESC(mem_limit_mb, "cap on memory in windows and in-flight areas of all devices, in MiB (0: a quarter of RAM)");

static atomic_long_t vbe_pages_used;

/* ---- pages, counted and capped ------------------------------------------------- */

static unsigned long vbe_pages_limit(void)
{
	unsigned long mb = READ_ONCE(mem_limit_mb);

	return mb ? mb << (20 - PAGE_SHIFT) : totalram_pages() / 4;
}

/**
 * vbe_pages_charge() - count pages against the module's cap
 * @n: how many
 *
 * Return: whether the cap allows it; then vbe_pages_free() or vbe_pages_uncharge()
 * gives them back.
 */
bool vbe_pages_charge(unsigned long n)
{
	if (n <= LONG_MAX / 2 &&
	    atomic_long_add_return(n, &vbe_pages_used) <= vbe_pages_limit())
		return true;
	if (n <= LONG_MAX / 2)
		atomic_long_sub(n, &vbe_pages_used);
	return false;
}

/**
 * vbe_pages_uncharge() - undo vbe_pages_charge()
 * @n: how many
 */
void vbe_pages_uncharge(unsigned long n)
{
	atomic_long_sub(n, &vbe_pages_used);
}

/**
 * vbe_pages_alloc() - zeroed pages under the module's cap
 * @n: how many
 *
 * Context: process, may sleep.
 * Return: array of @n pages, or ERR_PTR: ENOMEM (also over the cap), EINTR.
 */
struct page **vbe_pages_alloc(unsigned long n)
{
	struct page **pages;
	unsigned long i = 0;
	int ret = -ENOMEM;

	if (!vbe_pages_charge(n))
		return ERR_PTR(-ENOMEM);
	pages = kvcalloc(n, sizeof(*pages), GFP_KERNEL_ACCOUNT);
	if (!pages)
		goto err;
	for (; i < n; i++) {
		pages[i] = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_NOWARN |
				      __GFP_RETRY_MAYFAIL);
		if (!pages[i])
			goto err;
		if (fatal_signal_pending(current)) {
			ret = -EINTR;
			i++;
			goto err;
		}
	}
	return pages;

err:
	while (i--)
		__free_page(pages[i]);
	kvfree(pages);
	atomic_long_sub(n, &vbe_pages_used);
	return ERR_PTR(ret);
}
EXPORT_SYMBOL_GPL(vbe_pages_alloc);

/**
 * vbe_pages_free() - give pages back
 * @pages: from vbe_pages_alloc()
 * @n: how many
 *
 * A page that somebody still refers to stays alive until that reference goes.
 */
void vbe_pages_free(struct page **pages, unsigned long n)
{
	unsigned long i;

	for (i = 0; i < n; i++)
		put_page(pages[i]);
	kvfree(pages);
	atomic_long_sub(n, &vbe_pages_used);
}
EXPORT_SYMBOL_GPL(vbe_pages_free);

/* ---- windows ---------------------------------------------------------------------- */

static bool vbe_windows_overlap(const struct vbe_window *a, const struct vbe_window *b)
{
	return a->fe_addr < b->fe_addr + b->len && b->fe_addr < a->fe_addr + a->len;
}

/* Can mmap() be told of all of it? */
static bool vbe_window_has_offset(const struct vbe_window *win)
{
	u64 last = win->fe_addr + win->len - 1;

	if (last < VBE_MMAP_INFLIGHT)
		return true;
	return win->fe_addr >= VBE_ADDR_HIGH &&
	       last - VBE_ADDR_HIGH <= LLONG_MAX - VBE_MMAP_HIGH;
}

static int vbe_window_check(struct vbe_device *dev, const struct vbe_window *win)
{
	u32 i;

	if (!win->len || !PAGE_ALIGNED(win->fe_addr) || !PAGE_ALIGNED(win->len) ||
	    win->fe_addr + win->len < win->fe_addr)
		return -EINVAL;
	if (win->mem_class != VBE_MEM_COPY && !vbe_window_has_offset(win))
		return -EINVAL;
	if (dev->n_windows == VBE_MAX_WINDOWS)
		return -ENOSPC;
	for (i = 0; i < dev->n_windows; i++)
		if (vbe_windows_overlap(dev->windows[i], win))
			return -EEXIST;
	return 0;
}

/* Tell the backend; dev->lock held. */
static void vbe_windows_changed(struct vbe_device *dev)
{
	vbe_event_post(dev, dev->client, VBE_EVENT_MEM, VBE_NO_QUEUE, 0, 0, 0);
}

/**
 * vbe_window_add() - let backends reach a range of FE addresses
 * @dev: device; a backend may be attached, and is told by VBE_EVENT_MEM
 * @win: the range; the caller keeps it until vbe_window_del()
 *
 * Context: process, may sleep; takes dev->lock and mem_sem.
 * Return: 0; EINVAL, EEXIST (overlap), ENOSPC.
 */
int vbe_window_add(struct vbe_device *dev, struct vbe_window *win)
{
	int ret;

	mutex_lock(&dev->lock);
	down_write(&dev->mem_sem);
	ret = vbe_window_check(dev, win);
	if (!ret)
		dev->windows[dev->n_windows++] = win;
	up_write(&dev->mem_sem);
	if (!ret && dev->client) {
		/* It was there before, perhaps: no scratch memory among its pages. */
		vbe_window_zap(dev->client, win, win->fe_addr, win->len);
		vbe_windows_changed(dev);
	}
	mutex_unlock(&dev->lock);
	return ret;
}
EXPORT_SYMBOL_GPL(vbe_window_add);

/**
 * vbe_window_del() - take a range back
 * @dev: device; a backend may be attached, and is told by VBE_EVENT_MEM
 * @win: from vbe_window_add(); not being there is no error
 *
 * When it returns, no mapping and no MEM_COPY reaches the range, and no more will.
 * Pages that the kernel holds for I/O of the backend (class "pinned") it may still
 * use until that I/O ends, like after a revocation.
 *
 * dev->lock is held from the removal to the unmapping: whoever revokes the backend
 * meanwhile either finds the window in its list, or has not ended the attachment,
 * and then the backend is still to be seen here.
 *
 * Context: process, may sleep; takes dev->lock and mem_sem.
 */
void vbe_window_del(struct vbe_device *dev, struct vbe_window *win)
{
	bool found = false;
	u32 i;

	mutex_lock(&dev->lock);
	down_write(&dev->mem_sem);
	for (i = 0; i < dev->n_windows && !found; i++) {
		if (dev->windows[i] != win)
			continue;
		dev->windows[i] = dev->windows[--dev->n_windows];
		found = true;
	}
	up_write(&dev->mem_sem);
	if (found && dev->client) {
		vbe_window_zap(dev->client, win, win->fe_addr, win->len);
		vbe_windows_changed(dev);
	}
	mutex_unlock(&dev->lock);
}
EXPORT_SYMBOL_GPL(vbe_window_del);

static bool vbe_window_covers(const struct vbe_window *win, u64 addr, u64 len)
{
	return addr >= win->fe_addr && len <= win->len &&
	       addr - win->fe_addr <= win->len - len;
}

/**
 * vbe_window_find() - the window that covers a range, or NULL
 * @dev: device; mem_sem held
 * @fe_addr: first address
 * @len: bytes; the whole range must lie in one window
 */
struct vbe_window *vbe_window_find(struct vbe_device *dev, u64 fe_addr, u64 len)
{
	u32 i;

	lockdep_assert_held(&dev->mem_sem);
	for (i = 0; i < dev->n_windows; i++)
		if (vbe_window_covers(dev->windows[i], fe_addr, len))
			return dev->windows[i];
	return NULL;
}

/**
 * vbe_window_contains() - does one window cover the whole range?
 * @dev: device
 * @fe_addr: first address
 * @len: bytes
 *
 * Context: process, may sleep; takes mem_sem.
 */
bool vbe_window_contains(struct vbe_device *dev, u64 fe_addr, u64 len)
{
	bool ret;

	down_read(&dev->mem_sem);
	ret = vbe_window_find(dev, fe_addr, len);
	up_read(&dev->mem_sem);
	return ret;
}

/**
 * vbe_window_reachable() - the window, or in-flight area, that covers a range, or NULL
 * @dev: device; mem_sem held
 * @addr: where a backend mapped it
 * @len: bytes
 */
struct vbe_window *vbe_window_reachable(struct vbe_device *dev, u64 addr, u64 len)
{
	lockdep_assert_held(&dev->mem_sem);
	if (dev->inflight.pages && vbe_window_covers(&dev->inflight, addr, len))
		return &dev->inflight;
	return vbe_window_find(dev, addr, len);
}

/* ---- what a dead backend left in flight -------------------------------------------- */

/**
 * vbe_window_busy() - does anybody but its owner refer to a page of a window?
 * @win: pinned window that nobody has mapped; mem_sem held, if its pages come on demand
 * @give_up: somebody waited long enough: pages on demand may be another's for good,
 *	who cannot be told from a dead backend's I/O. Forget them
 */
bool vbe_window_busy(struct vbe_window *win, bool give_up)
{
	unsigned long i;

	if (win->ops)
		return win->ops->busy && win->ops->busy(win, give_up);
	if (win->mem_class != VBE_MEM_PINNED || !win->pages)
		return false;
	for (i = 0; i < win->len >> PAGE_SHIFT; i++)
		if (page_ref_count(win->pages[i]) > 1)
			return true;
	return false;
}

/**
 * vbe_device_mem_busy() - is I/O of an ended backend still in flight?
 * @dev: device without a backend
 * @give_up: see vbe_window_busy()
 *
 * Context: process, may sleep; takes mem_sem.
 */
bool vbe_device_mem_busy(struct vbe_device *dev, bool give_up)
{
	bool busy;
	u32 i;

	down_read(&dev->mem_sem);
	busy = vbe_window_busy(&dev->inflight, give_up);
	for (i = 0; !busy && i < dev->n_windows; i++)
		busy = vbe_window_busy(dev->windows[i], give_up);
	up_read(&dev->mem_sem);
	return busy;
}

/* ---- taking memory back ------------------------------------------------------------- */

/**
 * vbe_window_mapping() - the address space that mappings of a window are in
 * @c: whose mappings
 * @win: window
 */
struct address_space *vbe_window_mapping(struct vbe_client *c, const struct vbe_window *win)
{
	return win->file ? win->file->f_mapping : c->inode->i_mapping;
}

/**
 * vbe_mmap_offset() - where mmap() has an FE address
 * @addr: FE address, in a window that can be mapped; or that of the in-flight area
 */
u64 vbe_mmap_offset(u64 addr)
{
	return addr < VBE_ADDR_HIGH ? addr : addr - VBE_ADDR_HIGH + VBE_MMAP_HIGH;
}

/**
 * vbe_mmap_addr() - the FE address, or that of the in-flight area, at an offset of mmap()
 * @offset: any
 */
u64 vbe_mmap_addr(u64 offset)
{
	return offset < VBE_MMAP_HIGH ? offset : offset - VBE_MMAP_HIGH + VBE_ADDR_HIGH;
}

/**
 * vbe_window_offset() - where an FE address is in that address space, in bytes
 * @win: window
 * @addr: FE address within it
 */
u64 vbe_window_offset(const struct vbe_window *win, u64 addr)
{
	return win->file ? win->file_offset + (addr - win->fe_addr) : vbe_mmap_offset(addr);
}
EXPORT_SYMBOL_GPL(vbe_window_offset);

/**
 * vbe_window_zap() - take pages out of a backend's page tables
 * @c: backend
 * @win: window
 * @addr: first FE address
 * @len: bytes
 *
 * Where the pages are a file's, all mappings of that part of the file are emptied, and
 * whoever else has some faults again. That is as rare as revocations of a live backend:
 * one that exits has no mappings any more when it comes here.
 *
 * Context: process, may sleep.
 */
void vbe_window_zap(struct vbe_client *c, const struct vbe_window *win, u64 addr, u64 len)
{
	if (win->file && !atomic_read(&c->file_maps))
		return;
	/* Ours are shared mappings; private copies that others made of a file are theirs. */
	unmap_mapping_range(vbe_window_mapping(c, win), vbe_window_offset(win, addr), len,
			    !win->file);
}

/**
 * vbe_client_revoke_mem() - turn all mappings of a client into scratch memory
 * @c: client
 *
 * It is one cut through what each of its threads does: whoever touches a page that is
 * gone already waits until all are. Else a completion could be published in a ring that
 * is still the FE's, after its status, or its line in the in-flight area, went into
 * scratch memory; and a next backend, which resumes from that area, would go wrong.
 *
 * Context: process, may sleep; takes mem_sem. May be called again.
 */
void vbe_client_revoke_mem(struct vbe_client *c)
{
	struct vbe_device *dev = c->dev;
	u32 i;

	down_write(&dev->mem_sem);
	WRITE_ONCE(c->revoked, true);
	unmap_mapping_range(c->inode->i_mapping, 0, 0, 1);
	for (i = 0; i < dev->n_windows; i++)
		if (dev->windows[i]->file)
			vbe_window_zap(c, dev->windows[i], dev->windows[i]->fe_addr,
				       dev->windows[i]->len);
	up_write(&dev->mem_sem);
}

/**
 * vbe_inflight_replace() - another in-flight area
 * @dev: device that has one; its lock held
 * @pages: as many as there are now, charged; the core's from now on. They may be a
 *	file's, so that backends map them without references (class "pfn")
 *
 * Context: process, may sleep; takes mem_sem.
 */
void vbe_inflight_replace(struct vbe_device *dev, struct page **pages)
{
	struct vbe_window *win = &dev->inflight;
	struct page **old;

	lockdep_assert_held(&dev->lock);
	down_write(&dev->mem_sem);
	old = win->pages;
	win->pages = pages;
	win->mem_class = VBE_MEM_PFN;
	up_write(&dev->mem_sem);
	/* Those of former backends are revoked. */
	if (dev->client)
		vbe_window_zap(dev->client, win, win->fe_addr, win->len);
	vbe_pages_free(old, win->len >> PAGE_SHIFT);
}

/**
 * vbe_page_guarded() - may a backend not write here?
 * @win: window; mem_sem held
 * @addr: FE address within it
 */
bool vbe_page_guarded(const struct vbe_window *win, u64 addr)
{
	return win->guard && test_bit((addr - win->fe_addr) >> PAGE_SHIFT, win->guard);
}

/**
 * vbe_window_guard() - forbid or allow writing to pages of a guarded window
 * @dev: device
 * @win: its window, with @pages of its own
 * @first: page within the window
 * @n: pages
 * @guard: forbid
 *
 * Context: process, may sleep; takes dev->lock and mem_sem.
 */
void vbe_window_guard(struct vbe_device *dev, struct vbe_window *win, unsigned long first,
		      unsigned long n, bool guard)
{
	struct vbe_client *c;
	unsigned long i;

	down_write(&dev->mem_sem);
	if (guard)
		bitmap_set(win->guard, first, n);
	else
		bitmap_clear(win->guard, first, n);
	up_write(&dev->mem_sem);
	if (!guard)
		return;
	/* Faults that looked before have finished then: see vbe_mem_mkwrite(). */
	for (i = first; i < first + n; i++) {
		lock_page(win->pages[i]);
		unlock_page(win->pages[i]);
	}
	/* Only the attached client can have mapped them. */
	mutex_lock(&dev->lock);
	c = dev->client;
	if (c)
		vbe_window_zap(c, win, win->fe_addr + ((u64)first << PAGE_SHIFT),
			       (u64)n << PAGE_SHIFT);
	mutex_unlock(&dev->lock);
}
EXPORT_SYMBOL_GPL(vbe_window_guard);

/**
 * vbe_window_invalidate() - what is behind a window's addresses has changed
 * @dev: device
 * @win: its window, with @ops: the owner answers for other pages by now
 *
 * When it returns, no mapping reaches a page that was inserted before, and no copy to or
 * from one is under way. The next touch asks the owner again.
 *
 * Context: process, may sleep; takes dev->lock and mem_sem.
 */
void vbe_window_invalidate(struct vbe_device *dev, struct vbe_window *win)
{
	/* Only the attached client can have mapped them. */
	mutex_lock(&dev->lock);
	down_write(&dev->mem_sem);
	if (dev->client)
		vbe_window_zap(dev->client, win, win->fe_addr, win->len);
	up_write(&dev->mem_sem);
	mutex_unlock(&dev->lock);
}
EXPORT_SYMBOL_GPL(vbe_window_invalidate);

/* ---- copies -------------------------------------------------------------------------- */

/* The page of an address, with a reference; mem_sem held. */
static struct page *vbe_copy_page(struct vbe_window *win, u64 addr, bool to_fe)
{
	unsigned long index = (addr - win->fe_addr) >> PAGE_SHIFT;
	struct page *page;
	long got;

	if (win->mem_class == VBE_MEM_COPY)
		return ERR_PTR(-EFAULT);
	if (to_fe && ((win->flags & VBE_WINDOW_F_READONLY) || vbe_page_guarded(win, addr)))
		return ERR_PTR(-EFAULT);
	if (!win->ops) {
		get_page(win->pages[index]);
		return win->pages[index];
	}
	got = win->ops->get(win, index, 1, to_fe, &page);
	if (got == -ENXIO)
		return ERR_PTR(-EFAULT);
	return got < 0 ? ERR_PTR(got) : page;
}

static int vbe_copy_in_window(struct vbe_window *win, u64 addr, void *bounce, u32 len,
			      bool to_fe)
{
	struct page *page;
	int ret;

	if (win->ops && win->ops->copy) {
		if (to_fe && (win->flags & VBE_WINDOW_F_READONLY))
			return -EFAULT;
		ret = win->ops->copy(win, addr, bounce, len, to_fe);
		return ret == -ENXIO ? -EFAULT : ret;
	}
	page = vbe_copy_page(win, addr, to_fe);
	if (IS_ERR(page))
		return PTR_ERR(page);
	if (to_fe)
		memcpy_to_page(page, offset_in_page(addr), bounce, len);
	else
		memcpy_from_page(bounce, page, offset_in_page(addr), len);
	/* A page of a file may be reclaimed. */
	if (to_fe && win->ops)
		set_page_dirty_lock(page);
	put_page(page);
	return 0;
}

/*
 * One piece within a page, through a bounce buffer: user memory may take any time
 * to answer, and whatever is done to FE memory is done under mem_sem, so that
 * neither a revoked backend nor one that a guard stops comes late.
 */
static int vbe_copy_locked(struct vbe_client *c, u64 addr, void *bounce, u32 len, bool to_fe)
{
	struct vbe_device *dev = c->dev;
	struct vbe_window *win;
	unsigned int noio;
	int ret;

	/* As in a fault, see map.c. */
	noio = memalloc_noio_save();
	down_read(&dev->mem_sem);
	win = vbe_window_find(dev, addr, len);
	if (c->revoked)
		ret = -ENODEV;
	else if (!win)
		ret = -EFAULT;
	else
		ret = vbe_copy_in_window(win, addr, bounce, len, to_fe);
	up_read(&dev->mem_sem);
	memalloc_noio_restore(noio);
	return ret;
}

static int vbe_copy_chunk(struct vbe_client *c, u64 addr, void __user *buf, void *bounce,
			  u32 len, bool to_fe)
{
	int ret;

	if (to_fe && copy_from_user(bounce, buf, len))
		return -EFAULT;
	ret = vbe_copy_locked(c, addr, bounce, len, to_fe);
	if (!ret && !to_fe && copy_to_user(buf, bounce, len))
		return -EFAULT;
	return ret;
}

/**
 * vbe_mem_copy() - one entry of MEM_COPY
 * @c: client
 * @e: the entry, in kernel memory
 * @bounce: a page of the caller's
 * @to_fe: direction
 *
 * Context: process, may sleep; takes mem_sem, never while it touches user memory.
 * Return: 0; EFAULT (outside the windows, read-only, or a bad pointer), EINVAL,
 * ENODEV, EINTR; or what the window's owner says, such as EAGAIN.
 */
int vbe_mem_copy(struct vbe_client *c, const struct vbe_copy_entry *e, void *bounce, bool to_fe)
{
	void __user *buf = u64_to_user_ptr(e->buf);
	u64 addr = e->fe_addr;
	u32 left = e->len;
	int ret;

	if (!left || left > VBE_COPY_MAX)
		return -EINVAL;
	if (!vbe_window_contains(c->dev, addr, left))
		return -EFAULT;
	atomic64_inc(&c->dev->stats.copies);
	while (left) {
		u32 n = min_t(u32, left, PAGE_SIZE - offset_in_page(addr));

		ret = vbe_copy_chunk(c, addr, buf, bounce, n, to_fe);
		if (ret)
			return ret;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
		addr += n;
		buf += n;
		left -= n;
	}
	return 0;
}
