// SPDX-License-Identifier: GPL-2.0
/*
 * Guest memory where Xen translates our addresses: frames of a guest in the place of pages
 * of ours.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * Each frame that anybody maps takes a page of this kernel's address space, which stays
 * as long as the guest has devices and all of them, and all backends, share. It costs
 * what the kernel needs to describe a page (64 bytes); or, where it has no free address
 * space to use, the page itself, which goes back to Xen meanwhile. Either would let a
 * guest that makes its backend touch all of it take memory from this domain, so there are
 * caps. Who comes to its own gives everything back and begins anew: what is mapped is a
 * cache. At the cap on all guests together, the one that has most does.
 *
 * That cannot be done in a page fault, which holds locks that it needs. So the fault gets
 * its page beyond the cap, and a work item does it a moment later. Only when many such
 * pages have been given, faults wait.
 *
 * Order. A page is in a page table only while it is in @frames. It is unmapped from all
 * page tables, then taken out of our translation, then given back: else a backend would
 * write to what somebody else has there. When Xen does not take it out, it is lost.
 */
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include <xen/xen.h>

#include <asm/xen/hypercall.h>

#include "mem.h"

/* What a guest may have in any case: an instruction touches a few blocks at a time. */
#define XEN_PHYSMAP_FLOOR	(8 * XEN_BLOCK_PAGES)
/* What it has beside its RAM: grant tables and the like. */
#define XEN_PHYSMAP_MORE	(SZ_1M >> PAGE_SHIFT)

static unsigned long guest_map_mb;
module_param(guest_map_mb, ulong, 0644);
MODULE_PARM_DESC(guest_map_mb, "on Arm and PVH: cap on memory mapped of one guest, in MiB (0: as much as it may have)");

static unsigned long map_limit_mb;
module_param(map_limit_mb, ulong, 0644);
MODULE_PARM_DESC(map_limit_mb, "on Arm and PVH: cap on memory mapped of all guests, in MiB (0: four times this domain's RAM; a quarter of it where that takes RAM, page for page)");

/* Of all guests. */
static atomic_long_t xen_pages_used;

/* Whether the pages that we get are this domain's RAM is known when there is one. */
static bool xen_pages_are_ram;

/* Who has pages, or will. */
static DEFINE_SPINLOCK(xen_mems_lock);
static LIST_HEAD(xen_mems);

/* ---- caps ----------------------------------------------------------------------------- */

/*
 * By default, what the toolstack lets the guest have, which it may change at any time.
 * How far its addresses reach is the guest's own to say.
 */
static unsigned long xen_guest_limit(const struct xen_mem *mem)
{
	unsigned long mb = READ_ONCE(guest_map_mb);
	domid_t domid = mem->guest->domid;
	long most;

	if (mb)
		return mb << (20 - PAGE_SHIFT);
	most = HYPERVISOR_memory_op(XENMEM_maximum_reservation, &domid);
	/* On Arm a domain without a limit has -1. */
	return most < 0 ? mem->len >> PAGE_SHIFT : most + XEN_PHYSMAP_MORE;
}

/*
 * By default the descriptions take a sixteenth of RAM at most. A kernel that could use
 * free address space may find none: then it takes RAM as well.
 */
static unsigned long xen_total_limit(void)
{
	unsigned long mb = READ_ONCE(map_limit_mb);

	if (mb)
		return mb << (20 - PAGE_SHIFT);
	return READ_ONCE(xen_pages_are_ram) ? totalram_pages() / 4 : totalram_pages() * 4;
}

/* This guest, or the one that has most, is to give everything back. */
static void xen_mem_evict_soon(struct xen_mem *mem, bool own)
{
	struct xen_mem *other;

	spin_lock(&xen_mems_lock);
	if (!own)
		list_for_each_entry(other, &xen_mems, node)
			if (READ_ONCE(other->used) > READ_ONCE(mem->used))
				mem = other;
	WRITE_ONCE(mem->full, true);
	queue_work(mem->guest->wq, &mem->evict);
	spin_unlock(&xen_mems_lock);
}

/*
 * Count pages, if the caps allow it. A single one that a backend waits for may pass them,
 * but not so many. Others are not worth that anybody gives up his.
 */
static bool xen_mem_charge(struct xen_mem *mem, unsigned int n, bool waits)
{
	bool small = mem->used + n <= XEN_PHYSMAP_FLOOR;
	bool own = !small && mem->used + n > xen_guest_limit(mem);

	lockdep_assert_held(&mem->lock);
	if (own || (!small && atomic_long_read(&xen_pages_used) + n > xen_total_limit())) {
		if (!waits)
			return false;
		xen_mem_evict_soon(mem, own);
		if (mem->over == XEN_PHYSMAP_FLOOR)
			return false;
		mem->over++;
	} else {
		mem->over = 0;
	}
	WRITE_ONCE(mem->used, mem->used + n);
	atomic_long_add(n, &xen_pages_used);
	return true;
}

static void xen_mem_uncharge(struct xen_mem *mem, unsigned int n)
{
	lockdep_assert_held(&mem->lock);
	WRITE_ONCE(mem->used, mem->used - n);
	atomic_long_sub(n, &xen_pages_used);
}

/**
 * xen_page_charge() - count a page that something of a guest takes the place of
 * @page: page
 * @force: even beyond the cap
 *
 * Of those that physmap.c does not count by guest.
 * Context: process.
 * Return: whether the cap on all guests together allows it.
 */
bool xen_page_charge(struct page *page, bool force)
{
	if (!is_zone_device_page(page))
		WRITE_ONCE(xen_pages_are_ram, true);
	if (!force && atomic_long_read(&xen_pages_used) >= xen_total_limit())
		return false;
	atomic_long_inc(&xen_pages_used);
	return true;
}

/* Undo xen_page_charge(). */
void xen_page_uncharge(void)
{
	atomic_long_dec(&xen_pages_used);
}

static void xen_mem_evict(struct work_struct *work)
{
	struct xen_mem *mem = container_of(work, struct xen_mem, evict);

	mutex_lock(&mem->guest->lock);
	if (READ_ONCE(mem->full))
		xen_mem_invalidate(mem->guest);
	mutex_unlock(&mem->guest->lock);
}

/* ---- frames come ------------------------------------------------------------------------- */

static struct xarray *xen_frames(struct xen_mem *mem)
{
	lockdep_assert_held(&mem->lock);
	return &mem->frames[mem->now];
}

/* Give pages back. Those that Xen still has something at stay charged. */
static void xen_batch_drop(struct xen_mem *mem)
{
	struct xen_batch *batch = mem->batch;

	if (!batch->n)
		return;
	xen_free_unpopulated_pages(batch->n, batch->pages);
	xen_mem_uncharge(mem, batch->n);
	batch->n = 0;
}

/* Keep what has come; leave what has not in the batch. */
static int xen_batch_keep(struct xen_mem *mem)
{
	struct xen_batch *batch = mem->batch;
	unsigned int i, left = 0;

	for (i = 0; i < batch->n; i++) {
		if (!batch->errs[i]) {
			batch->errs[i] = xa_err(xa_store(xen_frames(mem), batch->idxs[i],
							 batch->pages[i], GFP_KERNEL));
			/* If it cannot be taken out again it is lost. */
			if (!batch->errs[i] || xen_physmap_remove(batch->pages[i]))
				continue;
		}
		batch->pages[left++] = batch->pages[i];
	}
	batch->n = left;
	return batch->errs[0];
}

/* Have the frames of the batch. What became of the first? */
static int xen_batch_get(struct xen_mem *mem, bool waits)
{
	struct xen_batch *batch = mem->batch;
	int ret;

	if (!xen_mem_charge(mem, batch->n, waits))
		return -EAGAIN;
	if (xen_alloc_unpopulated_pages(batch->n, batch->pages)) {
		xen_mem_uncharge(mem, batch->n);
		if (waits)
			xen_mem_evict_soon(mem, false);
		return -EAGAIN;
	}
	if (!is_zone_device_page(batch->pages[0]))
		WRITE_ONCE(xen_pages_are_ram, true);
	/* Of each it says by itself what became of it. */
	xen_physmap_add(mem->guest->domid, batch);
	ret = xen_batch_keep(mem);
	xen_batch_drop(mem);
	if (!ret || ret == -ENOMEM)
		return ret;
	return ret == -ENOENT ? -EAGAIN : -ENXIO;
}

/*
 * Have frame @want, and those around it that can be had. The former comes first: a guest
 * that names addresses without memory shall not have us try all around each.
 */
static int xen_physmap_fill(struct xen_mem *mem, unsigned long first, unsigned long n,
			    unsigned long want)
{
	struct xen_batch *batch = mem->batch;
	unsigned long i;
	int ret;

	if (mem->gone)
		return -ENXIO;
	if (xa_load(xen_frames(mem), want))
		return 0;
	batch->idxs[0] = want;
	batch->n = 1;
	ret = xen_batch_get(mem, true);
	if (ret)
		return ret;
	batch->n = 0;
	for (i = first; i < first + n && batch->n < XEN_BLOCK_PAGES; i++)
		if (!xa_load(xen_frames(mem), i))
			batch->idxs[batch->n++] = i;
	if (batch->n)
		xen_batch_get(mem, false);
	return 0;
}

static long xen_physmap_show(struct xen_mem *mem, struct vm_area_struct *vma,
			     unsigned long va, unsigned long first, unsigned long n,
			     unsigned long want)
{
	unsigned long i, done = 0;
	struct page *page;
	vm_fault_t ret;

	for (i = 0; i < n; i++) {
		page = xa_load(xen_frames(mem), first + i);
		if (!page)
			continue;
		ret = vmf_insert_pfn(vma, va + i * PAGE_SIZE, page_to_pfn(page));
		if (ret == VM_FAULT_NOPAGE)
			done++;
		else if (i == want)
			return ret & VM_FAULT_OOM ? -ENOMEM : -EFAULT;
	}
	return done;
}

/**
 * xen_physmap_insert() - insert op of a window, see &struct vbe_window_ops
 * @mem: guest memory
 * @vma: mapping
 * @va: where in it
 * @first: frame number
 * @n: frames
 * @want: which of them has to be there
 *
 * Context: page fault; the device's mem_sem held for reading. Takes mem->lock.
 * Return: pages inserted; ENXIO, EAGAIN, ENOMEM.
 */
long xen_physmap_insert(struct xen_mem *mem, struct vm_area_struct *vma, unsigned long va,
			unsigned long first, unsigned long n, unsigned long want)
{
	long ret;

	mutex_lock(&mem->lock);
	ret = xen_physmap_fill(mem, first, n, first + want);
	if (!ret)
		ret = xen_physmap_show(mem, vma, va, first, n, want);
	mutex_unlock(&mem->lock);
	return ret;
}

/* ---- frames go ---------------------------------------------------------------------------- */

/**
 * xen_physmap_forget() - who asks from now on asks Xen
 * @mem: guest memory
 *
 * Context: process; one at a time. What was mapped stays until xen_physmap_release().
 */
void xen_physmap_forget(struct xen_mem *mem)
{
	mutex_lock(&mem->lock);
	mem->now ^= 1;
	mutex_unlock(&mem->lock);
}

/* Up to a batch of those that are to go; false when there are none. */
static bool xen_physmap_release_some(struct xen_mem *mem)
{
	struct xarray *old = &mem->frames[mem->now ^ 1];
	struct xen_batch *batch = mem->batch;
	unsigned int seen = 0;
	struct page *page;
	unsigned long i;

	batch->n = 0;
	xa_for_each(old, i, page) {
		if (seen++ == XEN_BLOCK_PAGES)
			break;
		xa_erase(old, i);
		if (!xen_physmap_remove(page))
			batch->pages[batch->n++] = page;
	}
	/* Lost ones stay charged. */
	if (batch->n < min_t(unsigned int, seen, XEN_BLOCK_PAGES))
		pr_warn_ratelimited("vbe_xen: frames of domain %u cannot be unmapped\n",
				    mem->guest->domid);
	xen_batch_drop(mem);
	return seen;
}

/**
 * xen_physmap_release() - give back what was forgotten
 * @mem: guest memory; no page table has a page of it
 *
 * Context: process, may sleep; one at a time.
 */
void xen_physmap_release(struct xen_mem *mem)
{
	bool more;

	if (!mem->batch)
		return;
	do {
		mutex_lock(&mem->lock);
		more = xen_physmap_release_some(mem);
		mem->over = 0;
		/* Whoever came to a cap while these still counted need not evict again. */
		if (!more)
			WRITE_ONCE(mem->full, false);
		mutex_unlock(&mem->lock);
		cond_resched();
	} while (more);
}

/* ---- begin and end -------------------------------------------------------------------------- */

/**
 * xen_physmap_init() - begin
 * @mem: new guest memory
 *
 * Return: 0; ENOMEM.
 */
int xen_physmap_init(struct xen_mem *mem)
{
	mutex_init(&mem->lock);
	xa_init(&mem->frames[0]);
	xa_init(&mem->frames[1]);
	INIT_WORK(&mem->evict, xen_mem_evict);
	INIT_LIST_HEAD(&mem->node);
	if (xen_pv_domain())
		return 0;
	mem->batch = kvmalloc(sizeof(*mem->batch), GFP_KERNEL);
	if (!mem->batch)
		return -ENOMEM;
	spin_lock(&xen_mems_lock);
	list_add(&mem->node, &xen_mems);
	spin_unlock(&xen_mems_lock);
	return 0;
}

/**
 * xen_physmap_exit() - end
 * @mem: guest memory; no device has a window on it
 *
 * Context: process, may sleep; guest->lock not held.
 */
void xen_physmap_exit(struct xen_mem *mem)
{
	/* From here on nobody queues it. */
	spin_lock(&xen_mems_lock);
	list_del_init(&mem->node);
	spin_unlock(&xen_mems_lock);
	cancel_work_sync(&mem->evict);
	xen_physmap_forget(mem);
	xen_physmap_release(mem);
	xa_destroy(&mem->frames[0]);
	xa_destroy(&mem->frames[1]);
	kvfree(mem->batch);
}
