// SPDX-License-Identifier: GPL-2.0
/*
 * Windows: FE memory in a backend's address space.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * FE memory is one mmap-able space: the file offset is the FE address. Pages come
 * in by fault, in batches, and are put into the page table under mem_sem. That is
 * the whole trick of revocation:
 *
 *	revoke:	 down_write(mem_sem); revoked = true; up_write;
 *		 unmap_mapping_range(everything)
 *	fault:	 down_read(mem_sem); revoked ? scratch : window page; insert;
 *		 up_read
 *
 * A fault either sees "revoked", or has inserted its page before the revoker gets
 * the lock, and then the page is unmapped. Nothing is inserted by mmap() itself:
 * a VMA is not in the address space yet there, and would be missed.
 *
 * Scratch pages are zeroed, private to the mapping, charged to the backend, and
 * freed with it: one dead guest does not SIGBUS a daemon that serves ten.
 *
 * Pages of class "pinned" are ordinary pages, so that GUP works (O_DIRECT, fixed
 * buffers). Such references outlive revocation: see backend.c.
 */
#include <linux/bitmap.h>
#include <linux/highmem.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "trace.h"
#include "vbe.h"

#define VBE_FAULT_BATCH		512	/* pages; one page table */
#define VBE_COPY_MAX		SZ_1M

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

static bool vbe_pages_charge(unsigned long n)
{
	if (atomic_long_add_return(n, &vbe_pages_used) <= vbe_pages_limit())
		return true;
	atomic_long_sub(n, &vbe_pages_used);
	return false;
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

static int vbe_window_check(struct vbe_device *dev, const struct vbe_window *win)
{
	u32 i;

	if (!win->len || !PAGE_ALIGNED(win->fe_addr) || !PAGE_ALIGNED(win->len) ||
	    win->fe_addr + win->len < win->fe_addr)
		return -EINVAL;
	if (win->mem_class == VBE_MEM_PINNED &&
	    win->fe_addr + win->len > VBE_MMAP_INFLIGHT)
		return -EINVAL;
	if (dev->n_windows == VBE_MAX_WINDOWS)
		return -ENOSPC;
	for (i = 0; i < dev->n_windows; i++)
		if (vbe_windows_overlap(dev->windows[i], win))
			return -EEXIST;
	return 0;
}

/**
 * vbe_window_add() - let backends reach a range of FE addresses
 * @dev: device
 * @win: the range; the caller keeps it until vbe_window_del()
 *
 * Context: process, may sleep; takes mem_sem.
 * Return: 0; EINVAL, EEXIST (overlap), ENOSPC.
 */
int vbe_window_add(struct vbe_device *dev, struct vbe_window *win)
{
	int ret;

	down_write(&dev->mem_sem);
	ret = vbe_window_check(dev, win);
	if (!ret)
		dev->windows[dev->n_windows++] = win;
	up_write(&dev->mem_sem);
	return ret;
}
EXPORT_SYMBOL_GPL(vbe_window_add);

/**
 * vbe_window_del() - take a range back
 * @dev: device; no backend is attached
 * @win: from vbe_window_add(); not being there is no error
 *
 * Context: process, may sleep; takes mem_sem.
 */
void vbe_window_del(struct vbe_device *dev, struct vbe_window *win)
{
	u32 i;

	down_write(&dev->mem_sem);
	for (i = 0; i < dev->n_windows; i++) {
		if (dev->windows[i] != win)
			continue;
		dev->windows[i] = dev->windows[--dev->n_windows];
		break;
	}
	up_write(&dev->mem_sem);
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
 * vbe_window_busy() - does anybody but its owner refer to a page of a window?
 * @win: pinned window that nobody has mapped
 */
bool vbe_window_busy(struct vbe_window *win)
{
	unsigned long i;

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
 *
 * Context: process, may sleep; takes mem_sem.
 */
bool vbe_device_mem_busy(struct vbe_device *dev)
{
	bool busy;
	u32 i;

	down_read(&dev->mem_sem);
	busy = vbe_window_busy(&dev->inflight);
	for (i = 0; !busy && i < dev->n_windows; i++)
		busy = vbe_window_busy(dev->windows[i]);
	up_read(&dev->mem_sem);
	return busy;
}

/* ---- mappings ------------------------------------------------------------------------ */

static struct vbe_window *vbe_mappable_find(struct vbe_device *dev, u64 addr, u64 len)
{
	lockdep_assert_held(&dev->mem_sem);
	if (dev->inflight.pages && vbe_window_covers(&dev->inflight, addr, len))
		return &dev->inflight;
	return vbe_window_find(dev, addr, len);
}

static int vbe_insert_scratch(struct vbe_device *dev, struct vm_area_struct *vma,
			      unsigned long va)
{
	struct page *page = alloc_page(GFP_HIGHUSER | __GFP_ZERO | __GFP_ACCOUNT |
				       __GFP_NOWARN | __GFP_RETRY_MAYFAIL);
	int ret;

	if (!page)
		return -ENOMEM;
	ret = vm_insert_page(vma, va, page);
	/* The page table holds it from now on. */
	put_page(page);
	trace_vbe_map(dev, va, 1, true);
	return ret;
}

static int vbe_insert_window(struct vbe_device *dev, struct vm_area_struct *vma,
			     unsigned long va, struct vbe_window *win, u64 addr)
{
	unsigned long first = (addr - win->fe_addr) >> PAGE_SHIFT;
	unsigned long want, left;
	int ret;

	want = min3((vma->vm_end - va) >> PAGE_SHIFT,
		    (unsigned long)(win->len >> PAGE_SHIFT) - first,
		    (unsigned long)VBE_FAULT_BATCH);
	left = want;
	ret = vm_insert_pages(vma, va, &win->pages[first], &left);
	atomic64_add(want - left, &dev->stats.maps);
	trace_vbe_map(dev, addr, want - left, false);
	/* Stopped at a page that another fault had brought: ours is there. */
	return left < want ? 0 : ret;
}

static int vbe_mem_insert(struct vbe_client *c, struct vm_area_struct *vma,
			  unsigned long va, u64 addr, bool user)
{
	struct vbe_device *dev = c->dev;
	struct vbe_window *win;
	unsigned int noio;
	int ret;

	/*
	 * Revocation waits for mem_sem. An allocation below must not wait for I/O
	 * that only the revocation would end.
	 */
	noio = memalloc_noio_save();
	down_read(&dev->mem_sem);
	win = vbe_mappable_find(dev, addr, PAGE_SIZE);
	/*
	 * Scratch memory is for the backend's own loads and stores. I/O that the
	 * kernel does for it fails: else zeroes would be written to an image.
	 */
	if (c->revoked || !win || win->mem_class != VBE_MEM_PINNED)
		ret = user ? vbe_insert_scratch(dev, vma, va) : -EFAULT;
	else
		ret = vbe_insert_window(dev, vma, va, win, addr);
	up_read(&dev->mem_sem);
	memalloc_noio_restore(noio);
	return ret;
}

static bool vbe_page_guarded(const struct vbe_window *win, u64 addr)
{
	return win->guard && test_bit((addr - win->fe_addr) >> PAGE_SHIFT, win->guard);
}

/*
 * The first write to a mapped page of a guarded window. All its pages come in
 * read-only, as this callback exists. The page lock is held from before the look at
 * the guard until the entry is writable; who guards a page takes that lock after
 * noting so, and unmaps then. So either this look sees it, or the unmapping comes
 * after this entry.
 */
static vm_fault_t vbe_mem_mkwrite(struct vm_fault *vmf)
{
	struct vbe_client *c = vmf->vma->vm_private_data;
	u64 addr = (u64)vmf->pgoff << PAGE_SHIFT;
	struct vbe_device *dev = c->dev;
	struct vbe_window *win;
	bool guarded;

	lock_page(vmf->page);
	down_read(&dev->mem_sem);
	win = vbe_mappable_find(dev, addr, PAGE_SIZE);
	guarded = !c->revoked && win && vbe_page_guarded(win, addr);
	up_read(&dev->mem_sem);
	if (!guarded)
		return VM_FAULT_LOCKED;
	unlock_page(vmf->page);
	return VM_FAULT_SIGBUS;
}

static vm_fault_t vbe_mem_fault(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct vbe_client *c = vma->vm_private_data;
	int ret;

	atomic64_inc(&c->dev->stats.faults);
	ret = vbe_mem_insert(c, vma, vmf->address & PAGE_MASK,
			     (u64)vmf->pgoff << PAGE_SHIFT,
			     vmf->flags & FAULT_FLAG_USER);
	/* EBUSY: another thread's fault was first. */
	if (!ret || ret == -EBUSY)
		return VM_FAULT_NOPAGE;
	return ret == -ENOMEM ? VM_FAULT_OOM : VM_FAULT_SIGBUS;
}

static const struct vm_operations_struct vbe_mem_vm_ops = {
	.fault = vbe_mem_fault,
};

/*
 * Guards cost a fault at the first write to each page, and the kernel pins no such
 * mapping for long (fixed buffers). So windows without guards do without.
 */
static const struct vm_operations_struct vbe_guarded_vm_ops = {
	.fault = vbe_mem_fault,
	.page_mkwrite = vbe_mem_mkwrite,
};

static int vbe_mmap_check(struct vbe_client *c, u64 addr, u64 len, u32 *flags)
{
	struct vbe_device *dev = c->dev;
	struct vbe_window *win;
	int ret = 0;

	down_read(&dev->mem_sem);
	win = vbe_mappable_find(dev, addr, len);
	if (c->revoked)
		ret = vbe_fail(&c->why, -ENODEV, "the device is gone");
	else if (!win)
		ret = vbe_fail(&c->why, -EINVAL, "the range is not within one window");
	else if (win->mem_class != VBE_MEM_PINNED)
		ret = vbe_fail(&c->why, -EOPNOTSUPP, "this window cannot be mapped; use MEM_COPY");
	else
		*flags |= win->flags;
	up_read(&dev->mem_sem);
	return ret;
}

/**
 * vbe_client_mmap() - mmap() on a device fd or a memory fd
 * @c: client
 * @vma: the new mapping; its file pins the client
 * @readonly: the fd does not allow writing
 *
 * Context: mmap_lock held; takes mem_sem.
 * Return: 0; EINVAL (private, executable, outside), EACCES, ENODEV, EOPNOTSUPP.
 */
int vbe_client_mmap(struct vbe_client *c, struct vm_area_struct *vma, bool readonly)
{
	u32 flags = readonly ? VBE_WINDOW_F_READONLY : 0;
	int ret;

	/* VM_SHARED is clear on a shared mapping of a read-only file. */
	if (!(vma->vm_flags & VM_MAYSHARE))
		return vbe_fail(&c->why, -EINVAL, "FE memory is mapped MAP_SHARED only");
	if (vma->vm_flags & VM_EXEC)
		return vbe_fail(&c->why, -EINVAL, "FE memory is not mapped executable");
	ret = vbe_mmap_check(c, (u64)vma->vm_pgoff << PAGE_SHIFT,
			     vma->vm_end - vma->vm_start, &flags);
	if (ret)
		return ret;
	readonly = flags & VBE_WINDOW_F_READONLY;
	if (readonly && (vma->vm_flags & VM_WRITE))
		return vbe_fail(&c->why, -EACCES, "this memory is read-only");
	vm_flags_clear(vma, VM_MAYEXEC | (readonly ? VM_MAYWRITE : 0));
	vm_flags_set(vma, VM_MIXEDMAP | VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP);
	vma->vm_private_data = c;
	vma->vm_ops = flags & VBE_WINDOW_F_GUARDED ? &vbe_guarded_vm_ops : &vbe_mem_vm_ops;
	return 0;
}

/**
 * vbe_client_revoke_mem() - turn all mappings of a client into scratch memory
 * @c: client
 *
 * Context: process, may sleep; takes mem_sem. May be called again.
 */
void vbe_client_revoke_mem(struct vbe_client *c)
{
	struct vbe_device *dev = c->dev;

	down_write(&dev->mem_sem);
	WRITE_ONCE(c->revoked, true);
	up_write(&dev->mem_sem);
	unmap_mapping_range(c->inode->i_mapping, 0, 0, 1);
}

/**
 * vbe_window_guard() - forbid or allow writing to pages of a guarded window
 * @dev: device
 * @win: its window
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
		unmap_mapping_range(c->inode->i_mapping,
				    win->fe_addr + ((loff_t)first << PAGE_SHIFT),
				    (loff_t)n << PAGE_SHIFT, 1);
	mutex_unlock(&dev->lock);
}
EXPORT_SYMBOL_GPL(vbe_window_guard);

/* ---- copies -------------------------------------------------------------------------- */

/*
 * One piece within a page, through a bounce buffer: user memory may take any time
 * to answer, and whatever is done to FE memory is done under mem_sem, so that
 * neither a revoked backend nor one that a guard stops comes late.
 */
static int vbe_copy_locked(struct vbe_client *c, u64 addr, void *bounce, u32 len, bool to_fe)
{
	struct vbe_device *dev = c->dev;
	struct vbe_window *win;
	struct page *page;
	int ret = -EFAULT;

	down_read(&dev->mem_sem);
	win = vbe_window_find(dev, addr, len);
	if (c->revoked) {
		ret = -ENODEV;
	} else if (win && win->mem_class == VBE_MEM_PINNED &&
		   !(to_fe && ((win->flags & VBE_WINDOW_F_READONLY) ||
			       vbe_page_guarded(win, addr)))) {
		page = win->pages[(addr - win->fe_addr) >> PAGE_SHIFT];
		if (to_fe)
			memcpy_to_page(page, offset_in_page(addr), bounce, len);
		else
			memcpy_from_page(bounce, page, offset_in_page(addr), len);
		ret = 0;
	}
	up_read(&dev->mem_sem);
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
 * ENODEV, EINTR.
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
