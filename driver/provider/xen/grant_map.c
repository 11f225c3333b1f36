// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that a guest's driver granted, mapped where Xen translates our addresses.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * A grant is mapped when a backend touches it, or says that it will, for what it is going
 * to do: a grant for reading cannot be mapped for writing. It takes a page of this
 * kernel's address space, as a foreign frame does (physmap.c). It stays until the backend
 * gives it back; the driver cannot take it back meanwhile, and breaks when it tries.
 *
 * Nobody else's is ever mapped: of the pages around one that is touched, those get into
 * the page table that are mapped already.
 *
 * A guest can have a backend map what it likes, so there is a cap for each device, one for
 * all, as Xen has one on what this domain maps by whatever driver, and what physmap.c says
 * of all guests together. At each the oldest of the device is given back, which is nothing
 * but a cache that forgets: it comes back when it is touched again.
 *
 * Where mapping fails for want of memory, this kernel's or Xen's, that looks like a page
 * which is not granted, and the backend must not get scratch memory for it. So it is asked
 * whether it is granted, and tried again. But a guest can grant a page for copies only,
 * which nobody can tell from that: so not for ever, and not again for a while.
 *
 * Order. An entry of a page table is made, and a page is taken out of all page tables and
 * then unmapped, under one lock. So whatever is in a page table is mapped, and as the
 * entry says. What Xen does not unmap is lost, as in physmap.c.
 */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>

#include <xen/grant_table.h>
#include <xen/xen.h>

#include <asm/xen/hypercall.h>

#include "mem.h"

#define XEN_GRANT_BATCH		64	/* of a hypercall */
#define XEN_GRANT_EVICT		16	/* given back at once, at a cap */
#define XEN_GRANT_POOL		64	/* pages that are kept for the next */
/* What a device may have in any case: rings, and a request. */
#define XEN_GRANT_FLOOR		256
/*
 * What is granted, and cannot be mapped: it is tried so often at once, for so long by who
 * touches it, and then for so long not again.
 */
#define XEN_GRANT_TRIES		3
#define XEN_GRANT_PATIENCE	(2 * HZ)
#define XEN_GRANT_GRUDGE	(60 * HZ)
/* Mapped, but not put into a page table yet, but for those that mappings lost since. */
#define XEN_GRANT_NEW		XA_MARK_0

static unsigned int grant_map_pages = 8192;
module_param(grant_map_pages, uint, 0644);
MODULE_PARM_DESC(grant_map_pages, "cap on grants mapped of one device, in pages (at least 256)");

static unsigned int grant_map_total = 131072;
module_param(grant_map_total, uint, 0644);
MODULE_PARM_DESC(grant_map_total, "cap on grants mapped of all devices, in pages; 256 of each are free");

/* Of all devices, lost ones included. */
static atomic_t xen_grants_used;

/* One that is mapped. */
struct xen_grant {
	struct list_head lru;
	struct page *page;
	grant_ref_t ref;
	grant_handle_t handle;
	bool readonly;
};

/**
 * struct xen_grants - the grants of a device that are mapped
 * @xd: device
 * @lock: protects all that follows
 * @refs: &struct xen_grant by number
 * @lru: all of them, oldest first
 * @n: their number
 * @mapping: address space of the mappings of the attachment; NULL: nothing was touched
 * @hard_since: when mapping began to fail for what is granted; until it does not for 1 s
 * @hard_last: when it did last
 * @grudge: until then there is no patience with that
 * @pool: pages to map at
 * @fill: scratch: to be mapped
 * @n_fill: number of those
 * @map: scratch: operations
 * @drop: scratch: to be unmapped
 * @n_drop: number of those
 * @unmap: scratch: operations
 * @pages: scratch: of either
 * @probe: a byte of kmalloc(), to ask Xen with
 */
struct xen_grants {
	struct xen_dev *xd;
	struct mutex lock;
	struct xarray refs;
	struct list_head lru;
	unsigned int n;
	struct address_space *mapping;
	unsigned long hard_since;
	unsigned long hard_last;
	unsigned long grudge;
	struct gnttab_page_cache pool;

	struct xen_grant *fill[XEN_GRANT_BATCH];
	unsigned int n_fill;
	struct gnttab_map_grant_ref map[XEN_GRANT_BATCH];
	struct xen_grant *drop[XEN_GRANT_BATCH];
	unsigned int n_drop;
	struct gnttab_unmap_grant_ref unmap[XEN_GRANT_BATCH];
	struct page *pages[XEN_GRANT_BATCH];
	u8 *probe;
};

static unsigned long xen_grant_va(const struct xen_grant *grant)
{
	return (unsigned long)page_address(grant->page);
}

static u32 xen_grant_flags(bool readonly)
{
	return GNTMAP_host_map | (readonly ? GNTMAP_readonly : 0);
}

/* ---- grants go ---------------------------------------------------------------------------- */

/* A place that has nothing mapped. */
static void xen_grant_free(struct xen_grants *g, struct xen_grant *grant)
{
	gnttab_page_cache_put(&g->pool, &grant->page, 1);
	xen_page_uncharge();
	atomic_dec(&xen_grants_used);
	kfree(grant);
}

/* Unmap those in @drop, which no page table has any more. */
static void xen_grants_drop(struct xen_grants *g)
{
	unsigned int i, lost = 0;

	lockdep_assert_held(&g->lock);
	if (!g->n_drop)
		return;
	for (i = 0; i < g->n_drop; i++) {
		gnttab_set_unmap_op(&g->unmap[i], xen_grant_va(g->drop[i]),
				    xen_grant_flags(g->drop[i]->readonly), g->drop[i]->handle);
		g->unmap[i].status = GNTST_general_error;
		g->pages[i] = g->drop[i]->page;
	}
	gnttab_unmap_refs(g->unmap, NULL, g->pages, g->n_drop);
	for (i = 0; i < g->n_drop; i++) {
		if (g->unmap[i].status == GNTST_okay) {
			xen_grant_free(g, g->drop[i]);
			continue;
		}
		/* Its page has the guest's memory behind it for ever, and stays charged. */
		kfree(g->drop[i]);
		lost++;
	}
	g->n_drop = 0;
	gnttab_page_cache_shrink(&g->pool, XEN_GRANT_POOL);
	if (lost)
		pr_warn_ratelimited("vbe_xen: grants of domain %u cannot be unmapped\n",
				    g->xd->guest->domid);
}

/* From here on who touches it has it mapped anew. */
static void xen_grant_forget(struct xen_grants *g, struct xen_grant *grant)
{
	xa_erase(&g->refs, grant->ref);
	list_del(&grant->lru);
	g->n--;
	g->drop[g->n_drop++] = grant;
	if (g->n_drop == XEN_GRANT_BATCH)
		xen_grants_drop(g);
}

/* Out of all page tables: grants, and scratch memory that was there in their place. */
static void xen_grants_zap(struct xen_grants *g, unsigned long first, unsigned long n)
{
	const struct vbe_window *win = &g->xd->grants;
	u64 addr = win->fe_addr + ((u64)first << PAGE_SHIFT);

	lockdep_assert_held(&g->lock);
	if (g->mapping)
		unmap_mapping_range(g->mapping, vbe_window_offset(win, addr),
				    (loff_t)n << PAGE_SHIFT, 1);
}

static void xen_grants_give_back(struct xen_grants *g, unsigned long first, unsigned long n)
{
	struct xen_grant *grant;
	unsigned long i;

	xen_grants_zap(g, first, n);
	xa_for_each_range(&g->refs, i, grant, first, first + n - 1)
		xen_grant_forget(g, grant);
	xen_grants_drop(g);
}

/* Give some back, the oldest. Are there any? */
static bool xen_grants_evict(struct xen_grants *g)
{
	struct xen_grant *grant, *next;
	unsigned int left = XEN_GRANT_EVICT;

	if (list_empty(&g->lru))
		return false;
	list_for_each_entry_safe(grant, next, &g->lru, lru) {
		xen_grants_zap(g, grant->ref, 1);
		xen_grant_forget(g, grant);
		if (!--left)
			break;
	}
	xen_grants_drop(g);
	return true;
}

/* ---- grants come ---------------------------------------------------------------------------- */

/* By the cap of all devices, may this one have more? */
static bool xen_grants_fits(const struct xen_grants *g)
{
	return g->n + g->n_fill < XEN_GRANT_FLOOR ||
	       (unsigned int)atomic_read(&xen_grants_used) < READ_ONCE(grant_map_total);
}

/* A page for one more may be had: by the caps, and by that of all guests together. */
static bool xen_grants_room(struct xen_grants *g, struct page *page)
{
	unsigned int cap = max_t(unsigned int, READ_ONCE(grant_map_pages), XEN_GRANT_FLOOR);

	/* What is about to be mapped counts, and is not there to be evicted. */
	while (g->n + g->n_fill >= cap || !xen_grants_fits(g))
		if (!xen_grants_evict(g))
			return false;
	while (!xen_page_charge(page, g->n + g->n_fill < XEN_GRANT_FLOOR))
		if (!xen_grants_evict(g))
			return false;
	atomic_inc(&xen_grants_used);
	return true;
}

/* Make a place for one, in @fill. */
static int xen_grant_prepare(struct xen_grants *g, unsigned long ref, bool write)
{
	struct xen_grant *grant = kzalloc(sizeof(*grant), GFP_KERNEL | __GFP_NOWARN);
	int ret;

	if (!grant)
		return -ENOMEM;
	grant->ref = ref;
	grant->readonly = !write;
	while (gnttab_page_cache_get(&g->pool, &grant->page)) {
		if (xen_grants_evict(g))
			continue;
		kfree(grant);
		return -EAGAIN;
	}
	if (!xen_grants_room(g, grant->page)) {
		gnttab_page_cache_put(&g->pool, &grant->page, 1);
		kfree(grant);
		return -EAGAIN;
	}
	ret = xa_insert(&g->refs, ref, grant, GFP_KERNEL);
	if (ret) {
		xen_grant_free(g, grant);
		return ret == -EBUSY ? 0 : ret;
	}
	g->fill[g->n_fill++] = grant;
	return 0;
}

static int xen_grant_error(s16 status)
{
	switch (status) {
	case GNTST_okay:
		return 0;
	case GNTST_eagain:
	case GNTST_no_device_space:
	/* Xen's table of what this domain has mapped is full. */
	case GNTST_no_space:
		return -EAGAIN;
	default:
		/* Not granted, or not for writing. */
		return -ENXIO;
	}
}

/*
 * Map @n of those in @fill, from @first on; their statuses are in @map. On Arm the kernel
 * has to note what is where. On x86 it has not, but gnttab_map_refs() would wait half a
 * minute for each page that Xen has paged out, and nothing could be taken back meanwhile.
 */
static void xen_grants_map(struct xen_grants *g, unsigned int first, unsigned int n)
{
	struct xen_grant *grant;
	unsigned int i;

	for (i = first; i < first + n; i++) {
		grant = g->fill[i];
		gnttab_set_map_op(&g->map[i], xen_grant_va(grant),
				  xen_grant_flags(grant->readonly), grant->ref,
				  g->xd->guest->domid);
		/* Those it never comes to. */
		g->map[i].status = GNTST_general_error;
		g->pages[i] = grant->page;
	}
	if (!IS_ENABLED(CONFIG_X86))
		gnttab_map_refs(g->map + first, NULL, g->pages + first, n);
	else if (HYPERVISOR_grant_table_op(GNTTABOP_map_grant_ref, g->map + first, n))
		pr_warn_ratelimited("vbe_xen: Xen takes no grants to map\n");
}

/* What is granted cannot be mapped: is it to be tried again? */
static bool xen_grants_patient(struct xen_grants *g)
{
	unsigned long now = jiffies;

	if (time_before(now, g->grudge))
		return false;
	if (time_after(now, g->hard_last + HZ))
		g->hard_since = now;
	g->hard_last = now;
	if (time_before(now, g->hard_since + XEN_GRANT_PATIENCE))
		return true;
	g->grudge = now + XEN_GRANT_GRUDGE;
	pr_warn_ratelimited("vbe_xen: domain %u grants what cannot be mapped; or memory is short\n",
			    g->xd->guest->domid);
	return false;
}

/*
 * One in @fill is not granted, says its status: for want of memory it says the same. The
 * kernel takes its part from what is free this moment (Arm): so wait until some is.
 */
static int xen_grant_refused(struct xen_grants *g, unsigned int i)
{
	const struct xen_grant *grant = g->fill[i];
	unsigned int tries;
	int err;

	if (!xen_grant_given(g->xd, grant->ref, g->probe, !grant->readonly))
		return -ENXIO;
	for (tries = 0; tries < XEN_GRANT_TRIES; tries++) {
		kfree(kmalloc(sizeof(*grant), GFP_KERNEL | __GFP_NOWARN));
		xen_grants_map(g, i, 1);
		err = xen_grant_error(g->map[i].status);
		if (err != -ENXIO)
			return err;
	}
	return xen_grants_patient(g) ? -EAGAIN : -ENXIO;
}

/* Map those in @fill. Return: 0, or the first error. */
static int xen_grants_fill(struct xen_grants *g)
{
	struct xen_grant *grant;
	int ret = 0, err;
	unsigned int i;

	if (!g->n_fill)
		return 0;
	xen_grants_map(g, 0, g->n_fill);
	for (i = 0; i < g->n_fill; i++) {
		grant = g->fill[i];
		err = xen_grant_error(g->map[i].status);
		if (err == -ENXIO)
			err = xen_grant_refused(g, i);
		if (err) {
			xa_erase(&g->refs, grant->ref);
			xen_grant_free(g, grant);
			ret = ret ?: err;
			continue;
		}
		grant->handle = g->map[i].handle;
		list_add_tail(&grant->lru, &g->lru);
		xa_set_mark(&g->refs, grant->ref, XEN_GRANT_NEW);
		g->n++;
	}
	g->n_fill = 0;
	return ret;
}

/* Is it there, and good for that? If it is for reading only it is not any more, then. */
static bool xen_grant_have(struct xen_grants *g, unsigned long ref, bool write)
{
	struct xen_grant *grant = xa_load(&g->refs, ref);

	if (!grant)
		return false;
	if (write && grant->readonly) {
		xen_grants_give_back(g, ref, 1);
		return false;
	}
	list_move_tail(&grant->lru, &g->lru);
	return true;
}

/* Have @n of them from @first on, as far as that is possible. Return: 0, or the first error. */
static int xen_grants_get(struct xen_grants *g, unsigned long first, unsigned long n, bool write)
{
	unsigned long ref;
	int ret = 0, err;

	lockdep_assert_held(&g->lock);
	if (READ_ONCE(g->xd->guest->mem->gone))
		return -ENXIO;
	for (ref = first; ref < first + n; ref++) {
		if (xen_grant_have(g, ref, write))
			continue;
		err = xen_grant_prepare(g, ref, write);
		if (err) {
			ret = ret ?: err;
			break;
		}
		if (g->n_fill == XEN_GRANT_BATCH) {
			err = xen_grants_fill(g);
			ret = ret ?: err;
		}
	}
	err = xen_grants_fill(g);
	ret = ret ?: err;
	/* The next try shall find room, here and in Xen's table. */
	if (ret == -EAGAIN)
		xen_grants_evict(g);
	return ret;
}

/* ---- into page tables --------------------------------------------------------------------- */

static int xen_grant_show(struct vm_area_struct *vma, unsigned long va,
			  const struct xen_grant *grant)
{
	pgprot_t prot = vm_get_page_prot(grant->readonly ? vma->vm_flags & ~VM_WRITE :
							   vma->vm_flags);
	vm_fault_t ret = vmf_insert_pfn_prot(vma, va, page_to_pfn(grant->page), prot);

	if (ret == VM_FAULT_NOPAGE)
		return 0;
	return ret & VM_FAULT_OOM ? -ENOMEM : -EFAULT;
}

/* The one that was touched, and those around it that no page table has had. */
static long xen_grants_show(struct xen_grants *g, struct vm_area_struct *vma, unsigned long va,
			    unsigned long first, unsigned long n, unsigned long want)
{
	struct xen_grant *grant = xa_load(&g->refs, first + want);
	unsigned long i = first, last = first + n - 1;
	long done = 1;
	int ret;

	ret = xen_grant_show(vma, va + want * PAGE_SIZE, grant);
	if (ret)
		return ret;
	xa_clear_mark(&g->refs, first + want, XEN_GRANT_NEW);
	for (grant = xa_find(&g->refs, &i, last, XEN_GRANT_NEW); grant;
	     grant = xa_find_after(&g->refs, &i, last, XEN_GRANT_NEW)) {
		if (xen_grant_show(vma, va + (i - first) * PAGE_SIZE, grant))
			break;
		xa_clear_mark(&g->refs, i, XEN_GRANT_NEW);
		done++;
	}
	return done;
}

/* Of one attachment: they all have one. See xen_grants_end_op(). */
static long xen_grants_insert(struct vbe_window *win, struct vm_area_struct *vma,
			      unsigned long va, unsigned long first, unsigned long n,
			      unsigned long want, bool write)
{
	struct xen_dev *xd = win->priv;
	struct xen_grants *g = xd->mapped;
	long ret;

	mutex_lock(&g->lock);
	g->mapping = vma->vm_file->f_mapping;
	ret = xen_grants_get(g, first + want, 1, write);
	if (!ret)
		ret = xen_grants_show(g, vma, va, first, n, want);
	mutex_unlock(&g->lock);
	return ret;
}

/* ---- for the core ------------------------------------------------------------------------- */

static int xen_grants_map_op(struct vbe_window *win, unsigned long first, unsigned long n,
			     bool write)
{
	struct xen_dev *xd = win->priv;
	int ret;

	mutex_lock(&xd->mapped->lock);
	ret = xen_grants_get(xd->mapped, first, n, write);
	mutex_unlock(&xd->mapped->lock);
	return ret;
}

static void xen_grants_unmap_op(struct vbe_window *win, unsigned long first, unsigned long n)
{
	struct xen_dev *xd = win->priv;
	struct xen_grants *g = xd->mapped;

	mutex_lock(&g->lock);
	xen_grants_give_back(g, first, n);
	mutex_unlock(&g->lock);
}

/* The backend's address space goes next. */
static void xen_grants_end_op(struct vbe_window *win)
{
	struct xen_dev *xd = win->priv;

	mutex_lock(&xd->mapped->lock);
	xd->mapped->mapping = NULL;
	mutex_unlock(&xd->mapped->lock);
}

const struct vbe_window_ops xen_grant_map_ops = {
	.insert = xen_grants_insert,
	.map = xen_grants_map_op,
	.unmap = xen_grants_unmap_op,
	.end = xen_grants_end_op,
	.copy = xen_grant_copy,
};

/**
 * xen_grants_unmap() - give all of a device's grants back
 * @xd: device, perhaps without
 *
 * Context: process, may sleep; waits for no RCU grace period.
 */
void xen_grants_unmap(struct xen_dev *xd)
{
	if (xd->mapped)
		xen_grants_unmap_op(&xd->grants, 0, xd->grants.len >> PAGE_SHIFT);
}

/**
 * xen_grants_init() - begin
 * @xd: device, its window described
 *
 * Return: 0; ENOMEM.
 */
int xen_grants_init(struct xen_dev *xd)
{
	struct xen_grants *g = kvzalloc(sizeof(*g), GFP_KERNEL);

	if (!g)
		return -ENOMEM;
	g->probe = kmalloc(1, GFP_KERNEL);
	if (!g->probe) {
		kvfree(g);
		return -ENOMEM;
	}
	g->xd = xd;
	g->hard_since = jiffies;
	g->hard_last = jiffies;
	g->grudge = jiffies;
	mutex_init(&g->lock);
	xa_init(&g->refs);
	INIT_LIST_HEAD(&g->lru);
	gnttab_page_cache_init(&g->pool);
	xd->mapped = g;
	return 0;
}

/**
 * xen_grants_exit() - end
 * @xd: device, perhaps without; its window has gone
 *
 * Context: process, may sleep.
 */
void xen_grants_exit(struct xen_dev *xd)
{
	if (!xd->mapped)
		return;
	xen_grants_unmap(xd);
	gnttab_page_cache_shrink(&xd->mapped->pool, 0);
	xa_destroy(&xd->mapped->refs);
	kfree(xd->mapped->probe);
	kvfree(xd->mapped);
	xd->mapped = NULL;
}
