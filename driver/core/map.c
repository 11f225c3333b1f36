// SPDX-License-Identifier: GPL-2.0
/*
 * Mappings: FE memory in a backend's address space.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * FE memory is one mmap-able space: the file offset is the FE address (almost: see
 * VBE_MMAP_HIGH). Pages come in by fault, in batches, and are put into the page table
 * under mem_sem. That is the whole trick of revocation:
 *
 *	revoke:	 down_write(mem_sem); revoked = true; unmap_mapping_range(everything);
 *		 up_write (a window that goes is unmapped after that)
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
 *
 * Pages of a file. The pages of some windows belong to a file in memory, whose owner
 * may truncate it or punch holes at any time. The kernel then empties the mappings of
 * that file, so ours must be among them: a VMA of ours has a file of its own making,
 * whose address space is either the client's or that of the window's file, and a
 * vm_pgoff that fits. (Not the window's file itself: remap_file_pages() would map what
 * it likes of it, past us.) Such a page is inserted with its lock held, after a look
 * whether the file still has it: truncation unmaps with that lock held.
 *
 * No foreign page may be in such a VMA: the kernel takes page tables away which by its
 * reckoning have none but the file's pages, and has just unmapped those (huge pages).
 * So scratch memory is "special" there: the page table holds no reference. The file of
 * the mapping does, and it outlives the VMA. The same goes for class "pfn".
 *
 * Scratch memory stays where it is once a backend has touched it: a file that shrinks
 * and grows again under a mapping leaves it there until its owner punches a hole at
 * that place, or takes the region back and adds it again.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/xarray.h>

#include "trace.h"
#include "vbe.h"

#define VBE_FAULT_BATCH		512	/* pages; one page table */
#define VBE_FAULT_AROUND	16	/* pages, where each has to be looked up */
#define VBE_FAULT_PATIENCE	(5 * HZ)	/* of the kernel, where it has to try again */

/**
 * struct vbe_map - one mmap() of FE memory, and what has been split off it
 * @client: whose; @owner holds it
 * @owner: the device or memory file that was mapped: it ends no sooner than its mappings
 * @backing: the window's file, or NULL
 * @writable: @backing counts a writable mapping: it cannot be sealed
 * @fe_addr: FE address of @pgoff
 * @pgoff: of the whole mapping, in the VMA's address space
 * @scratch: by page offset in that address space: scratch pages that page tables do not
 *	hold
 *
 * Ends with its file, which the VMAs hold.
 */
struct vbe_map {
	struct vbe_client *client;
	struct file *owner;
	struct file *backing;
	bool writable;
	u64 fe_addr;
	pgoff_t pgoff;
	struct xarray scratch;
};

static u64 vbe_map_addr(const struct vbe_map *map, pgoff_t pgoff)
{
	return map->fe_addr + ((u64)(pgoff - map->pgoff) << PAGE_SHIFT);
}

/* ---- pages ------------------------------------------------------------------------- */

/* Into the page table without a reference. */
static int vbe_insert_special(struct vm_area_struct *vma, unsigned long va, struct page *page)
{
	vm_fault_t ret;

	/* Not by vm_page_prot, where writes to entries that do not allow it are noticed. */
	if (vma->vm_flags & VM_PFNMAP)
		ret = vmf_insert_pfn_prot(vma, va, page_to_pfn(page),
					  vm_get_page_prot(vma->vm_flags));
	else
		ret = vbe_insert_mixed(vma, va, page_to_pfn(page));
	if (ret == VM_FAULT_NOPAGE)
		return 0;
	return ret & VM_FAULT_OOM ? -ENOMEM : -EFAULT;
}

static int vbe_scratch_keep(struct vbe_map *map, pgoff_t pgoff, struct page **page)
{
	struct page *old = xa_cmpxchg(&map->scratch, pgoff, NULL, *page, GFP_KERNEL_ACCOUNT);

	if (!old)
		return 0;
	put_page(*page);
	if (xa_is_err(old))
		return xa_err(old);
	*page = old;
	return 0;
}

static int vbe_insert_scratch(struct vbe_map *map, struct vm_area_struct *vma,
			      unsigned long va, pgoff_t pgoff)
{
	bool keep = map->backing || (vma->vm_flags & VM_PFNMAP);
	struct page *page = keep ? xa_load(&map->scratch, pgoff) : NULL;
	int ret;

	if (!page) {
		page = alloc_page(GFP_HIGHUSER | __GFP_ZERO | __GFP_ACCOUNT |
				  __GFP_NOWARN | __GFP_RETRY_MAYFAIL);
		if (!page)
			return -ENOMEM;
		ret = keep ? vbe_scratch_keep(map, pgoff, &page) : 0;
		if (ret)
			return ret;
	}
	if (keep) {
		ret = vbe_insert_special(vma, va, page);
	} else {
		ret = vm_insert_page(vma, va, page);
		/* The page table holds it from now on. */
		put_page(page);
	}
	trace_vbe_map(map->client->dev, va, 1, true);
	return ret;
}

static unsigned long vbe_fault_pages(const struct vm_area_struct *vma, unsigned long va,
				     const struct vbe_window *win, u64 addr, unsigned long max)
{
	return min3((vma->vm_end - va) >> PAGE_SHIFT,
		    (unsigned long)((win->fe_addr + win->len - addr) >> PAGE_SHIFT), max);
}

static int vbe_insert_pages(struct vm_area_struct *vma, unsigned long va,
			    struct vbe_window *win, u64 addr, unsigned long *done)
{
	unsigned long first = (addr - win->fe_addr) >> PAGE_SHIFT;
	unsigned long want = vbe_fault_pages(vma, va, win, addr, VBE_FAULT_BATCH);
	unsigned long left = want, i;
	int ret = 0;

	if (win->mem_class == VBE_MEM_PINNED) {
		ret = vm_insert_pages(vma, va, &win->pages[first], &left);
		*done = want - left;
		/* Stopped at a page that another fault had brought: ours is there. */
		return *done ? 0 : ret;
	}
	for (i = 0; i < want && !ret; i++)
		ret = vbe_insert_special(vma, va + i * PAGE_SIZE, win->pages[first + i]);
	*done = i;
	return i > 1 ? 0 : ret;
}

/*
 * One page of a file, if it still is: -EAGAIN if not. With @wait, the lock on it is
 * waited for.
 */
static int vbe_insert_cached(struct vm_area_struct *vma, unsigned long va, struct page *page,
			     pgoff_t pgoff, bool wait)
{
	struct folio *folio = page_folio(page);
	int ret = -EAGAIN;

	if (wait)
		folio_lock(folio);
	else if (!folio_trylock(folio))
		return -EAGAIN;
	if (page_folio(page) == folio && folio->mapping == vma->vm_file->f_mapping &&
	    folio->index + folio_page_idx(folio, page) == pgoff)
		ret = vm_insert_page(vma, va, page);
	folio_unlock(folio);
	return ret;
}

static int vbe_insert_demand(struct vm_area_struct *vma, unsigned long va, pgoff_t pgoff,
			     struct vbe_window *win, u64 addr, bool write, unsigned long *done)
{
	struct page *pages[VBE_FAULT_AROUND];
	long got, i;
	int ret = 0;

	got = win->ops->get(win, (addr - win->fe_addr) >> PAGE_SHIFT,
			    vbe_fault_pages(vma, va, win, addr, VBE_FAULT_AROUND), write, pages);
	if (got < 0)
		return got;
	for (i = 0; i < got; i++) {
		if (!ret)
			ret = vbe_insert_cached(vma, va + i * PAGE_SIZE, pages[i], pgoff + i, !i);
		if (!ret)
			(*done)++;
		put_page(pages[i]);
	}
	/* Where it was taken from the file this moment, the next fault finds out. */
	return *done || ret == -EAGAIN ? 0 : ret;
}

/*
 * The block of FE memory around the page, as far as the mapping and the window reach: a
 * backend that touches pages in any order has each block looked up once.
 */
static int vbe_insert_foreign(struct vm_area_struct *vma, unsigned long va,
			      struct vbe_window *win, u64 addr, bool write,
			      unsigned long *done)
{
	unsigned long index = (addr - win->fe_addr) >> PAGE_SHIFT;
	unsigned long before = min3((unsigned long)(addr >> PAGE_SHIFT) % VBE_FAULT_BATCH,
				    (va - vma->vm_start) >> PAGE_SHIFT, index);
	long got;

	va -= before * PAGE_SIZE;
	addr -= (u64)before * PAGE_SIZE;
	got = win->ops->insert(win, vma, va, index - before,
			       vbe_fault_pages(vma, va, win, addr, VBE_FAULT_BATCH -
					       (addr >> PAGE_SHIFT) % VBE_FAULT_BATCH),
			       before, write);
	if (got < 0)
		return got;
	*done = got;
	return 0;
}

static int vbe_insert_window(struct vm_fault *vmf, struct vbe_window *win, u64 addr,
			     unsigned long *done)
{
	unsigned long va = vmf->address & PAGE_MASK;
	bool write = vmf->flags & FAULT_FLAG_WRITE;

	if (!win->ops)
		return vbe_insert_pages(vmf->vma, va, win, addr, done);
	if (win->ops->insert)
		return vbe_insert_foreign(vmf->vma, va, win, addr, write, done);
	return vbe_insert_demand(vmf->vma, va, vmf->pgoff, win, addr, write, done);
}

/* Are its pages not this kernel's? */
static bool vbe_window_foreign(const struct vbe_window *win)
{
	return win->ops && win->ops->insert;
}

/*
 * Does what a VMA was made for still hold? A window that went, and came back as other
 * memory, needs a new mapping.
 */
static bool vbe_map_fits(struct vbe_map *map, struct vm_area_struct *vma, pgoff_t pgoff,
			 const struct vbe_window *win, u64 addr)
{
	if (win->mem_class == VBE_MEM_COPY)
		return false;
	if ((vma->vm_flags & VM_PFNMAP) && win->mem_class != VBE_MEM_PFN)
		return false;
	if (vbe_window_foreign(win) && !(vma->vm_flags & VM_IO))
		return false;
	return vma->vm_file->f_mapping == vbe_window_mapping(map->client, win) &&
	       (u64)pgoff << PAGE_SHIFT == vbe_window_offset(win, addr);
}

/* ---- faults -------------------------------------------------------------------------- */

/*
 * Where there are holes in foreign memory is for the guest to say, who may lead a backend
 * to ever more of them. So they all are one page, as long as the backend serves it.
 */
static pgoff_t vbe_scratch_key(const struct vbe_client *c, const struct vbe_window *win,
			       pgoff_t pgoff)
{
	return !c->revoked && win && vbe_window_foreign(win) ? ULONG_MAX : pgoff;
}

static int vbe_mem_insert(struct vbe_map *map, struct vm_fault *vmf)
{
	unsigned long va = vmf->address & PAGE_MASK, done = 0;
	u64 addr = vbe_map_addr(map, vmf->pgoff);
	struct vm_area_struct *vma = vmf->vma;
	struct vbe_client *c = map->client;
	struct vbe_device *dev = c->dev;
	struct vbe_window *win;
	int ret = -ENXIO;

	down_read(&dev->mem_sem);
	win = vbe_window_reachable(dev, addr, PAGE_SIZE);
	if (!c->revoked && win && vbe_map_fits(map, vma, vmf->pgoff, win, addr)) {
		ret = vbe_insert_window(vmf, win, addr, &done);
		if (done) {
			atomic64_add(done, &dev->stats.maps);
			trace_vbe_map(dev, addr, done, false);
		}
	}
	/*
	 * Scratch memory is for the backend's own loads and stores. I/O that the
	 * kernel does for it fails: else zeroes would be written to an image.
	 */
	if (ret == -ENXIO)
		ret = vmf->flags & FAULT_FLAG_USER ?
		      vbe_insert_scratch(map, vma, va, vbe_scratch_key(c, win, vmf->pgoff)) :
		      -EFAULT;
	up_read(&dev->mem_sem);
	return ret;
}

/*
 * Revocation waits for mem_sem. An allocation must not wait for I/O that only the
 * revocation would end.
 */
static int vbe_mem_try(struct vbe_map *map, struct vm_fault *vmf)
{
	unsigned int noio = memalloc_noio_save();
	int ret = vbe_mem_insert(map, vmf);

	memalloc_noio_restore(noio);
	return ret;
}

static vm_fault_t vbe_mem_fault(struct vm_fault *vmf)
{
	struct vbe_map *map = vmf->vma->vm_private_data;
	unsigned long end = jiffies + VBE_FAULT_PATIENCE;
	int ret;

	atomic64_inc(&map->client->dev->stats.faults);
	ret = vbe_mem_try(map, vmf);
	/* A backend tries until it may, or a signal comes: it gets that on its way back. */
	if (ret == -EAGAIN && (vmf->flags & FAULT_FLAG_USER)) {
		schedule_timeout_killable(1);
		return VM_FAULT_NOPAGE;
	}
	/*
	 * I/O that the kernel does for it would fail, and the FE see an error of its disk.
	 * So that waits as well, but not for ever: the fault holds locks of the mm. None
	 * that whoever makes room needs.
	 */
	while (ret == -EAGAIN && !fatal_signal_pending(current) && time_before(jiffies, end)) {
		schedule_timeout_killable(1);
		ret = vbe_mem_try(map, vmf);
	}
	/* EBUSY: another thread's fault was first. */
	if (!ret || ret == -EBUSY)
		return VM_FAULT_NOPAGE;
	return ret == -ENOMEM ? VM_FAULT_OOM : VM_FAULT_SIGBUS;
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
	struct vbe_map *map = vmf->vma->vm_private_data;
	u64 addr = vbe_map_addr(map, vmf->pgoff);
	struct vbe_client *c = map->client;
	struct vbe_device *dev = c->dev;
	struct vbe_window *win;
	bool guarded;

	lock_page(vmf->page);
	down_read(&dev->mem_sem);
	win = vbe_window_reachable(dev, addr, PAGE_SIZE);
	guarded = !c->revoked && win && vbe_page_guarded(win, addr);
	up_read(&dev->mem_sem);
	if (!guarded)
		return VM_FAULT_LOCKED;
	unlock_page(vmf->page);
	return VM_FAULT_SIGBUS;
}

/* ---- mappings ------------------------------------------------------------------------ */

static void vbe_mem_open(struct vm_area_struct *vma)
{
	struct vbe_map *map = vma->vm_private_data;

	if (map->backing)
		atomic_inc(&map->client->file_maps);
}

static void vbe_mem_close(struct vm_area_struct *vma)
{
	struct vbe_map *map = vma->vm_private_data;

	if (map->backing)
		atomic_dec(&map->client->file_maps);
}

static const struct vm_operations_struct vbe_mem_vm_ops = {
	.open = vbe_mem_open,
	.close = vbe_mem_close,
	.fault = vbe_mem_fault,
};

/*
 * Guards cost a fault at the first write to each page, and the kernel pins no such
 * mapping for long (fixed buffers). So windows without guards do without.
 */
static const struct vm_operations_struct vbe_guarded_vm_ops = {
	.open = vbe_mem_open,
	.close = vbe_mem_close,
	.fault = vbe_mem_fault,
	.page_mkwrite = vbe_mem_mkwrite,
};

/*
 * Entries of foreign pages are none that the kernel could read: where it moves them
 * (mremap) or changes them (mprotect) it may put something else there. So they are gone
 * before it moves any: whoever moves a mapping, or a part of it, opens a new one first
 * and has locked the old one against faults. And they are never changed.
 */
static void vbe_foreign_open(struct vm_area_struct *vma)
{
	unmap_mapping_range(vma->vm_file->f_mapping, (loff_t)vma->vm_pgoff << PAGE_SHIFT,
			    vma->vm_end - vma->vm_start, 1);
	vbe_mem_open(vma);
}

static int vbe_foreign_mprotect(struct vm_area_struct *vma, unsigned long start,
				unsigned long end, unsigned long flags)
{
	return flags == vma->vm_flags ? 0 : -EACCES;
}

static const struct vm_operations_struct vbe_foreign_vm_ops = {
	.open = vbe_foreign_open,
	.close = vbe_mem_close,
	.fault = vbe_mem_fault,
	.mprotect = vbe_foreign_mprotect,
};

/*
 * A page may be there for reading only, with an entry that says so; but what the mapping
 * allows is asked for once more when it is written to.
 */
static const struct vm_operations_struct vbe_transient_vm_ops = {
	.open = vbe_foreign_open,
	.close = vbe_mem_close,
	.fault = vbe_mem_fault,
	.pfn_mkwrite = vbe_mem_fault,
	.mprotect = vbe_foreign_mprotect,
};

static int vbe_map_release(struct inode *inode, struct file *file)
{
	struct vbe_map *map = file->private_data;
	struct page *page;
	unsigned long i;

	xa_for_each(&map->scratch, i, page)
		put_page(page);
	xa_destroy(&map->scratch);
	if (map->writable)
		mapping_unmap_writable(map->backing->f_mapping);
	if (map->backing)
		fput(map->backing);
	fput(map->owner);
	kfree(map);
	return 0;
}

static const struct file_operations vbe_map_fops = {
	.owner = THIS_MODULE,
	.release = vbe_map_release,
};

/*
 * The file of a mapping. One whose pages are another file's also has that one's inode:
 * where the kernel finds the address space of tmpfs (in smaps, say), it takes the inode
 * for one of tmpfs as well.
 */
static struct file *vbe_map_file(struct vbe_map *map)
{
	struct inode *inode;
	struct file *file;

	if (!map->backing)
		return anon_inode_getfile("[vbe]", &vbe_map_fops, map, O_RDWR);
	inode = map->backing->f_mapping->host;
	ihold(inode);
	file = alloc_file_pseudo(inode, map->backing->f_path.mnt, "[vbe]", O_RDWR,
				 &vbe_map_fops);
	if (IS_ERR(file)) {
		iput(inode);
		return file;
	}
	/* Put with the file. */
	__module_get(THIS_MODULE);
	file->private_data = map;
	return file;
}

/* The file whose pages a range is, with a reference, or NULL. */
static struct file *vbe_map_backing(struct vbe_client *c, const struct vm_area_struct *vma)
{
	struct vbe_device *dev = c->dev;
	struct file *backing = NULL;
	struct vbe_window *win;

	down_read(&dev->mem_sem);
	win = vbe_window_reachable(dev, vbe_mmap_addr((u64)vma->vm_pgoff << PAGE_SHIFT),
				   vma->vm_end - vma->vm_start);
	if (!c->revoked && win && win->file)
		backing = get_file(win->file);
	up_read(&dev->mem_sem);
	return backing;
}

/* The file of a mapping to be made of @owner. */
static struct file *vbe_map_new(struct vbe_client *c, struct vm_area_struct *vma)
{
	struct vbe_map *map = kzalloc(sizeof(*map), GFP_KERNEL_ACCOUNT);
	struct file *file;

	if (!map)
		return ERR_PTR(-ENOMEM);
	map->backing = vbe_map_backing(c, vma);
	file = vbe_map_file(map);
	if (IS_ERR(file)) {
		if (map->backing)
			fput(map->backing);
		kfree(map);
		return file;
	}
	map->client = c;
	map->owner = get_file(vma->vm_file);
	map->fe_addr = vbe_mmap_addr((u64)vma->vm_pgoff << PAGE_SHIFT);
	xa_init(&map->scratch);
	return file;
}

/*
 * Find the window and bind the mapping to it; mem_sem held, so that the window's file
 * is there. Until the VMA is in that file's address space nothing is inserted.
 */
static int vbe_map_bind(struct vbe_client *c, struct vm_area_struct *vma, struct file *file,
			bool readonly)
{
	struct vbe_map *map = file->private_data;
	struct vbe_window *win;

	win = vbe_window_reachable(c->dev, map->fe_addr, vma->vm_end - vma->vm_start);
	if (c->revoked)
		return vbe_fail(&c->why, -ENODEV, "the device is gone");
	/* Perhaps not any more. */
	if (!win || win->file != map->backing)
		return vbe_fail(&c->why, -EINVAL, "the range is not within one window");
	if (win->mem_class == VBE_MEM_COPY)
		return vbe_fail(&c->why, -EOPNOTSUPP, "this window cannot be mapped; use MEM_COPY");
	readonly |= win->flags & VBE_WINDOW_F_READONLY;
	if (readonly && (vma->vm_flags & VM_WRITE))
		return vbe_fail(&c->why, -EACCES, "this memory is read-only");
	/* A seal that is there or comes now: none of its VMAs may count as writable. */
	if (win->file && !readonly) {
		if (mapping_map_writable(win->file->f_mapping))
			return vbe_fail(&c->why, -EACCES, "this memory is sealed against writing");
		map->writable = true;
	}
	file->f_mapping = vbe_window_mapping(c, win);
	map->pgoff = vbe_window_offset(win, map->fe_addr) >> PAGE_SHIFT;
	vma->vm_pgoff = map->pgoff;
	vma->vm_ops = win->flags & VBE_WINDOW_F_GUARDED ? &vbe_guarded_vm_ops : &vbe_mem_vm_ops;
	if (readonly)
		vm_flags_clear(vma, VM_MAYWRITE | (win->file ? VM_SHARED : 0));
	vm_flags_set(vma, win->mem_class == VBE_MEM_PFN ? VM_PFNMAP : VM_MIXEDMAP);
	if (vbe_window_foreign(win)) {
		vma->vm_ops = win->flags & VBE_WINDOW_F_TRANSIENT ? &vbe_transient_vm_ops :
								    &vbe_foreign_vm_ops;
		vm_flags_set(vma, VM_IO);
	}
	return 0;
}

/**
 * vbe_client_mmap() - mmap() on a device fd or a memory fd
 * @c: client
 * @vma: the new mapping; its file pins the client
 * @readonly: the fd does not allow writing
 *
 * Context: mmap_lock held; takes mem_sem.
 * Return: 0; EINVAL (private, executable, outside), EACCES, ENODEV, ENOMEM, EOPNOTSUPP.
 */
int vbe_client_mmap(struct vbe_client *c, struct vm_area_struct *vma, bool readonly)
{
	struct file *file;
	int ret;

	/* VM_SHARED is clear on a shared mapping of a read-only file. */
	if (!(vma->vm_flags & VM_MAYSHARE))
		return vbe_fail(&c->why, -EINVAL, "FE memory is mapped MAP_SHARED only");
	if (vma->vm_flags & VM_EXEC)
		return vbe_fail(&c->why, -EINVAL, "FE memory is not mapped executable");
	file = vbe_map_new(c, vma);
	if (IS_ERR(file))
		return vbe_fail(&c->why, PTR_ERR(file), "no file or memory to be had");
	down_read(&c->dev->mem_sem);
	ret = vbe_map_bind(c, vma, file, readonly);
	up_read(&c->dev->mem_sem);
	if (!ret) {
		vm_flags_clear(vma, VM_MAYEXEC);
		vm_flags_set(vma, VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP);
		vma->vm_private_data = file->private_data;
		vma_set_file(vma, file);
		vbe_mem_open(vma);
	}
	fput(file);
	return ret;
}
