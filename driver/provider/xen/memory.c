// SPDX-License-Identifier: GPL-2.0
/*
 * Guest memory: windows, and pages on demand.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * A guest's memory is one window, from its address 0 on: what is there is asked of Xen
 * when a backend touches it, a block around the touched page at a time. Where nothing is,
 * the backend gets scratch memory.
 *
 * A PV kernel has Xen write the entries of the backend's page table. There is nothing to
 * keep, and nothing to cap: it costs no memory but the page tables, which are the
 * backend's own. Who is auto-translated needs a place in its own address space for each
 * frame first: see physmap.c.
 *
 * Frames leave a guest when it gives memory back (a balloon). Xen keeps such a frame
 * for as long as it is mapped, and tells us that some have gone, not which. So all are
 * unmapped then, and come back as they are touched.
 *
 * What the guest's driver grants is a window of its own: grant.c, grant_map.c.
 *
 * None of that is of a class that the kernel could do I/O to by itself: Xen decides when
 * a frame goes, and waits for nobody.
 */
#include <linux/mm.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include <uapi/linux/virtio_config.h>

#include <xen/interface/grant_table.h>
#include <xen/page.h>
#include <xen/xen-ops.h>
#include <xen/xen.h>

#include <asm/xen/hypercall.h>

#include "mem.h"

/* RAM may come into what is a hole now, below this. */
#define XEN_MEM_MIN		(4ULL * SZ_1G)
/* A guest may place pages of its own anywhere. No backend has more address space. */
#define XEN_MEM_MAX		BIT_ULL(44)

#define XEN_GRANT_BASE		BIT_ULL(63)
#define XEN_GRANT_LEN		BIT_ULL(32 + PAGE_SHIFT)
/* In a page of a grant table, of the version that has more. */
#define XEN_GRANTS_PER_FRAME	(PAGE_SIZE / sizeof(struct grant_entry_v1))

static bool grant_map = true;
module_param(grant_map, bool, 0644);
MODULE_PARM_DESC(grant_map, "map what guests grant, where this kernel can, for devices added from now on; else it is copied");

/* ---- pages on demand ------------------------------------------------------------------ */

/* Frame numbers and results of a block. */
struct xen_remap {
	xen_pfn_t gfns[XEN_BLOCK_PAGES];
	int errs[XEN_BLOCK_PAGES];
};

/*
 * Not by vma->vm_page_prot, which may lack the right to write so as to be asked at the
 * first write to a page: the kernel cannot change an entry of a foreign frame.
 *
 * Returns how many were mapped: what Xen's errors are, @errs says.
 */
static unsigned long xen_pv_remap(struct xen_mem *mem, struct vm_area_struct *vma,
				  unsigned long va, xen_pfn_t *gfns, int *errs,
				  unsigned long n)
{
	unsigned long i, done = 0;

	/* Those it never comes to. */
	for (i = 0; i < n; i++)
		errs[i] = -ENOMEM;
	xen_remap_domain_gfn_array(vma, va, gfns, n, errs, vm_get_page_prot(vma->vm_flags),
				   mem->guest->domid, NULL);
	for (i = 0; i < n; i++)
		done += !errs[i];
	return done;
}

static long xen_pv_insert(struct xen_mem *mem, struct vm_area_struct *vma, unsigned long va,
			  unsigned long first, unsigned long n, unsigned long want)
{
	xen_pfn_t gfn = first + want;
	struct xen_remap *remap;
	unsigned long i;
	long done;
	int err;

	/*
	 * It comes first: a guest that names addresses without memory shall not have us try
	 * all around each.
	 */
	if (!xen_pv_remap(mem, vma, va + want * PAGE_SIZE, &gfn, &err, 1)) {
		if (err == -ENOMEM)
			return err;
		return err == -ENOENT ? -EAGAIN : -ENXIO;
	}
	if (n == 1)
		return 1;
	remap = kmalloc(sizeof(*remap), GFP_KERNEL | __GFP_NOWARN);
	if (!remap)
		return 1;
	n = min_t(unsigned long, n, XEN_BLOCK_PAGES);
	for (i = 0; i < n; i++)
		remap->gfns[i] = first + i;
	done = xen_pv_remap(mem, vma, va, remap->gfns, remap->errs, n);
	kfree(remap);
	return max(done, 1L);
}

static long xen_window_insert(struct vbe_window *win, struct vm_area_struct *vma,
			      unsigned long va, unsigned long first, unsigned long n,
			      unsigned long want, bool write)
{
	struct xen_dev *xd = win->priv;
	struct xen_mem *mem = xd->guest->mem;

	if (READ_ONCE(mem->gone))
		return -ENXIO;
	xen_dirty_note(mem, first, n);
	if (xen_pv_domain())
		return xen_pv_insert(mem, vma, va, first, n, want);
	return xen_physmap_insert(mem, vma, va, first, n, want);
}

/* ---- copies ------------------------------------------------------------------------------ */

/**
 * xen_mem_copy() - bytes to or from a guest
 * @guest: guest
 * @addr: guest-physical address
 * @buf: kernel memory
 * @len: bytes, which do not pass the end of the page
 * @to_guest: direction
 *
 * Context: process, may sleep; takes no lock of the core's.
 * Return: 0; ENXIO (no memory there), EAGAIN (paged out), ENOMEM.
 */
int xen_mem_copy(struct xen_guest *guest, u64 addr, void *buf, u32 len, bool to_guest)
{
	struct xen_frame frame = { };
	int ret;

	if (READ_ONCE(guest->mem->gone) || addr >= guest->mem->len ||
	    len > PAGE_SIZE - offset_in_page(addr))
		return -ENXIO;
	ret = xen_frame_map_foreign(&frame, guest->domid, addr >> PAGE_SHIFT);
	if (ret)
		return ret;
	if (to_guest) {
		xen_dirty_note(guest->mem, addr >> PAGE_SHIFT, 1);
		memcpy(frame.addr + offset_in_page(addr), buf, len);
	} else {
		memcpy(buf, frame.addr + offset_in_page(addr), len);
	}
	xen_frame_unmap(&frame);
	return 0;
}

static int xen_window_copy(struct vbe_window *win, u64 addr, void *buf, u32 len, bool to_fe)
{
	struct xen_dev *xd = win->priv;

	return xen_mem_copy(xd->guest, addr, buf, len, to_fe);
}

static const struct vbe_window_ops xen_window_ops = {
	.insert = xen_window_insert,
	.copy = xen_window_copy,
};

/* ---- windows ----------------------------------------------------------------------------- */

/* As far as the guest's grant table may grow: no address beyond is worth a question. */
static u64 xen_grant_len(domid_t domid)
{
	struct gnttab_query_size query = { .dom = domid, .status = GNTST_general_error };

	if (HYPERVISOR_grant_table_op(GNTTABOP_query_size, &query, 1) ||
	    query.status != GNTST_okay || !query.max_nr_frames)
		return XEN_GRANT_LEN;
	return min_t(u64, (u64)query.max_nr_frames * XEN_GRANTS_PER_FRAME << PAGE_SHIFT,
		     XEN_GRANT_LEN);
}

/* A driver that uses grants says so by taking the feature. */
static int xen_grants_attach(struct xen_dev *xd)
{
	bool map = !xen_pv_domain() && READ_ONCE(grant_map);
	int ret = 0;

	xd->grants = (struct vbe_window) {
		.fe_addr = XEN_GRANT_BASE,
		.len = xen_grant_len(xd->guest->domid),
		.mem_class = map ? VBE_MEM_PFN : VBE_MEM_COPY,
		.flags = map ? VBE_WINDOW_F_TRANSIENT : 0,
		.ops = map ? &xen_grant_map_ops : &xen_grant_copy_ops,
		.priv = xd,
	};
	if (map)
		ret = xen_grants_init(xd);
	if (!ret)
		ret = vbe_window_add(xd->vbe, &xd->grants);
	xd->vbe->features_required |= BIT_ULL(VIRTIO_F_ACCESS_PLATFORM);
	return ret;
}

/**
 * xen_mem_attach() - give a device's backends the guest's memory
 * @xd: device, its window empty
 * @p: its parameters: @grants
 * @extack: gets a sentence on failure
 *
 * Context: process, may sleep; guest->lock held.
 */
int xen_mem_attach(struct xen_dev *xd, const struct vbe_dev_params *p,
		   struct netlink_ext_ack *extack)
{
	int ret;

	lockdep_assert_held(&xd->guest->lock);
	xd->window = (struct vbe_window) {
		.len = xd->guest->mem->len,
		.mem_class = VBE_MEM_PFN,
		.ops = &xen_window_ops,
		.priv = xd,
	};
	ret = vbe_window_add(xd->vbe, &xd->window);
	if (!ret && p->grants)
		ret = xen_grants_attach(xd);
	if (ret) {
		xen_mem_detach(xd);
		NL_SET_ERR_MSG(extack, "the device cannot take the guest's memory");
	}
	return ret;
}

/**
 * xen_mem_detach() - take it back
 * @xd: device, perhaps without
 *
 * Context: process, may sleep; guest->lock held.
 */
void xen_mem_detach(struct xen_dev *xd)
{
	vbe_window_del(xd->vbe, &xd->window);
	vbe_window_del(xd->vbe, &xd->grants);
	xen_grants_exit(xd);
}

/**
 * xen_mem_invalidate() - frames have left the guest
 * @guest: guest
 *
 * When it returns, nothing is mapped that the guest does not have any more.
 *
 * Context: process, may sleep; guest->lock held.
 */
void xen_mem_invalidate(struct xen_guest *guest)
{
	struct xen_dev *xd;

	lockdep_assert_held(&guest->lock);
	/*
	 * From here on faults ask Xen again. Those that did not have put their pages into
	 * page tables before vbe_window_invalidate() empties these; then no page table has
	 * a page that is released.
	 */
	xen_physmap_forget(guest->mem);
	list_for_each_entry(xd, &guest->devs, node)
		vbe_window_invalidate(xd->vbe, &xd->window);
	xen_physmap_release(guest->mem);
}

/**
 * xen_mem_revoke() - the guest is dying
 * @guest: guest; its devices are still there
 *
 * When it returns nothing of it is mapped, and nothing will be. It waits for no RCU grace
 * period of its own: on Arm, Xen may have a CPU of ours go round in a hypercall until all of
 * the guest's pages are free, and there is none meanwhile. (It takes the locks of devices:
 * whoever sets one up, or changes its interrupts, just then may wait for one under them.)
 *
 * Context: process, may sleep; takes guest->lock.
 */
void xen_mem_revoke(struct xen_guest *guest)
{
	struct xen_mem *mem = guest->mem;
	struct xen_dev *xd;

	mutex_lock(&mem->lock);
	WRITE_ONCE(mem->gone, true);
	mutex_unlock(&mem->lock);
	mutex_lock(&guest->lock);
	list_for_each_entry(xd, &guest->devs, node)
		xen_grants_unmap(xd);
	xen_mem_invalidate(guest);
	mutex_unlock(&guest->lock);
}

/* ---- begin and end ---------------------------------------------------------------------- */

/**
 * xen_mem_new() - find out how much memory a guest has
 * @guest: new guest
 * @extack: gets a sentence on failure
 *
 * Context: process, may sleep.
 * Return: 0; ESRCH, EPERM or what else Xen says, ENOMEM, EOPNOTSUPP.
 */
int xen_mem_new(struct xen_guest *guest, struct netlink_ext_ack *extack)
{
	domid_t domid = guest->domid;
	struct xen_mem *mem;
	long last;
	int ret;

	if (PAGE_SIZE != XEN_PAGE_SIZE) {
		NL_SET_ERR_MSG(extack, "Xen's pages are of 4 KiB, this kernel's are not");
		return -EOPNOTSUPP;
	}
	last = HYPERVISOR_memory_op(XEN_MAXIMUM_GPFN, &domid);
	if (last < 0) {
		if (last == -ESRCH)
			NL_SET_ERR_MSG(extack, "there is no domain of this number");
		else if (last == -EPERM)
			NL_SET_ERR_MSG(extack, "Xen does not let this domain emulate devices for that guest");
		else
			NL_SET_ERR_MSG(extack, "Xen does not say how much memory the guest has");
		return last;
	}
	mem = kzalloc(sizeof(*mem), GFP_KERNEL);
	if (!mem) {
		NL_SET_ERR_MSG(extack, "out of memory");
		return -ENOMEM;
	}
	mem->guest = guest;
	mem->len = max_t(u64, ((u64)last + 1) << PAGE_SHIFT, XEN_MEM_MIN);
	/* Its firmware moves RAM from below 4 GiB to the end, to make room for devices. */
	if (guest->type == XEN_GUEST_HVM)
		mem->len += XEN_MEM_MIN;
	mem->len = min_t(u64, mem->len, XEN_MEM_MAX);
	ret = xen_dirty_init(mem);
	if (ret)
		goto err_free;
	ret = xen_physmap_init(mem);
	if (ret)
		goto err_dirty;
	guest->mem = mem;
	return 0;

err_dirty:
	xen_dirty_exit(mem);
err_free:
	kfree(mem);
	NL_SET_ERR_MSG(extack, "out of memory");
	return ret;
}

/**
 * xen_mem_free() - undo xen_mem_new()
 * @guest: guest, without devices
 *
 * Context: process, may sleep; guest->lock not held.
 */
void xen_mem_free(struct xen_guest *guest)
{
	xen_physmap_exit(guest->mem);
	xen_dirty_exit(guest->mem);
	kfree(guest->mem);
	guest->mem = NULL;
}
