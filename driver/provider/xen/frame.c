// SPDX-License-Identifier: GPL-2.0
/*
 * A frame of another domain in this kernel's address space.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * Either way it takes the place of a page without memory of its own, so that there is an
 * address for it. Where Xen translates our addresses (Arm, PVH), it puts the frame where
 * the page is. A PV kernel has no such translation: there the page's entry in the page
 * table is written, by Xen, who checks whose frame it is.
 */
#include <linux/mm.h>

#include <xen/page.h>
#include <xen/xen-ops.h>
#include <xen/xen.h>

#include <asm/xen/hypercall.h>

#include "mem.h"

/* ---- auto-translated ---------------------------------------------------------------- */

/**
 * xen_physmap_add() - put frames of a guest where pages of ours are
 * @domid: guest
 * @batch: @n, @pages and @idxs are set; @errs is set on return: 0, or why not
 *
 * Context: process, may sleep.
 * Return: 0 if Xen has looked at all of them.
 */
int xen_physmap_add(domid_t domid, struct xen_batch *batch)
{
	struct xen_add_to_physmap_range range = {
		.domid = DOMID_SELF,
		.space = XENMAPSPACE_gmfn_foreign,
		.size = batch->n,
		.foreign_domid = domid,
	};
	unsigned int i;

	for (i = 0; i < batch->n; i++) {
		batch->gpfns[i] = xen_page_to_gfn(batch->pages[i]);
		/* Xen writes each that it tries. */
		batch->errs[i] = -ENXIO;
	}
	set_xen_guest_handle(range.idxs, batch->idxs);
	set_xen_guest_handle(range.gpfns, batch->gpfns);
	set_xen_guest_handle(range.errs, batch->errs);
	return HYPERVISOR_memory_op(XENMEM_add_to_physmap_range, &range);
}

/**
 * xen_physmap_remove() - take a foreign frame away from where a page of ours is
 * @page: page
 *
 * Return: 0; or an error, and then nobody may use the page any more.
 */
int xen_physmap_remove(struct page *page)
{
	struct xen_remove_from_physmap remove = {
		.domid = DOMID_SELF,
		.gpfn = xen_page_to_gfn(page),
	};

	return HYPERVISOR_memory_op(XENMEM_remove_from_physmap, &remove);
}

static int xen_frame_add(struct page *page, domid_t domid, xen_pfn_t gfn)
{
	xen_pfn_t gpfn = xen_page_to_gfn(page);
	struct xen_add_to_physmap_range range = {
		.domid = DOMID_SELF,
		.space = XENMAPSPACE_gmfn_foreign,
		.size = 1,
		.foreign_domid = domid,
	};
	xen_ulong_t idx = gfn;
	int ret, err = -ENXIO;

	set_xen_guest_handle(range.idxs, &idx);
	set_xen_guest_handle(range.gpfns, &gpfn);
	set_xen_guest_handle(range.errs, &err);
	ret = HYPERVISOR_memory_op(XENMEM_add_to_physmap_range, &range);
	return ret ?: err;
}

/* ---- PV ------------------------------------------------------------------------------- */

#ifdef CONFIG_XEN_PV
/*
 * Write the page table entry of an address of the linear map. With @machine, @frame is
 * one of the machine's; else one of the domain's, which Xen looks up.
 */
static int xen_pte_set(void *addr, unsigned long frame, domid_t domid, bool machine)
{
	struct mmu_update update;
	unsigned int level;
	pte_t *ptep;

	ptep = lookup_address((unsigned long)addr, &level);
	if (!ptep || level != PG_LEVEL_4K)
		return -EOPNOTSUPP;
	update.ptr = arbitrary_virt_to_machine(ptep).maddr |
		     (machine ? MMU_PT_UPDATE_NO_TRANSLATE : MMU_NORMAL_PT_UPDATE);
	update.val = pte_val_ma(mfn_pte(frame, PAGE_KERNEL));
	return HYPERVISOR_mmu_update(&update, 1, NULL, domid);
}

static int xen_pte_clear(void *addr)
{
	return HYPERVISOR_update_va_mapping((unsigned long)addr, native_make_pte(0),
					    UVMF_INVLPG | UVMF_ALL);
}
#else
static int xen_pte_set(void *addr, unsigned long frame, domid_t domid, bool machine)
{
	return -EOPNOTSUPP;
}

static int xen_pte_clear(void *addr)
{
	return -EOPNOTSUPP;
}
#endif

/* ---- either ---------------------------------------------------------------------------- */

static int xen_frame_begin(struct xen_frame *frame)
{
	int ret;

	ret = xen_alloc_unpopulated_pages(1, &frame->page);
	if (ret)
		return ret;
	frame->addr = page_address(frame->page);
	frame->gfn = xen_pv_domain() ? 0 : xen_page_to_gfn(frame->page);
	return 0;
}

/* Nothing was mapped. */
static int xen_frame_give_up(struct xen_frame *frame, int ret)
{
	xen_free_unpopulated_pages(1, &frame->page);
	*frame = (struct xen_frame) { };
	/* Of memory_op and mmu_update any number below 0 is an error. */
	return ret < 0 ? ret : -EIO;
}

/**
 * xen_frame_map_ioreq() - map the page of an IOREQ server
 * @frame: gets the mapping
 * @domid: guest
 * @server: number of its server
 *
 * Context: process, may sleep.
 * Return: 0; ENOMEM, or what Xen says: EOPNOTSUPP, EPERM, ESRCH, ENOENT.
 */
int xen_frame_map_ioreq(struct xen_frame *frame, domid_t domid, u16 server)
{
	struct xen_mem_acquire_resource res = {
		.domid = domid,
		.type = XENMEM_resource_ioreq_server,
		.id = server,
		.nr_frames = 1,
		.frame = IOREQ_RESOURCE_FRAME,
	};
	xen_pfn_t gfn;
	int ret;

	ret = xen_frame_begin(frame);
	if (ret)
		return ret;
	/* In: where to put it. Out, for PV: which one it is. */
	gfn = frame->gfn;
	set_xen_guest_handle(res.frame_list, &gfn);
	ret = HYPERVISOR_memory_op(XENMEM_acquire_resource, &res);
	if (!ret && xen_pv_domain()) {
		/* Older ones made it the emulator's own. */
		if (res.flags & XENMEM_rsrc_acq_caller_owned)
			domid = DOMID_SELF;
		ret = xen_pte_set(frame->addr, gfn, domid, true);
	}
	return ret ? xen_frame_give_up(frame, ret) : 0;
}

/**
 * xen_frame_map_foreign() - map a frame of a guest's memory
 * @frame: gets the mapping
 * @domid: guest
 * @gfn: its number in the guest
 *
 * Context: process, may sleep.
 * Return: 0; ENOMEM, EAGAIN (it is paged out: try again); ENXIO: the guest has no memory
 * there.
 */
int xen_frame_map_foreign(struct xen_frame *frame, domid_t domid, xen_pfn_t gfn)
{
	int ret;

	ret = xen_frame_begin(frame);
	if (ret)
		return ret;
	if (xen_pv_domain())
		ret = xen_pte_set(frame->addr, gfn, domid, false);
	else
		ret = xen_frame_add(frame->page, domid, gfn);
	if (!ret)
		return 0;
	xen_frame_give_up(frame, ret);
	return ret == -ENOENT ? -EAGAIN : -ENXIO;
}

/**
 * xen_frame_unmap() - undo a mapping
 * @frame: mapping; one that is not there is fine
 *
 * Context: process, may sleep.
 */
void xen_frame_unmap(struct xen_frame *frame)
{
	int ret;

	if (!frame->addr)
		return;
	ret = xen_pv_domain() ? xen_pte_clear(frame->addr) : xen_physmap_remove(frame->page);
	/* Else the page is lost: what its next owner wrote would be the guest's. */
	if (!ret)
		xen_free_unpopulated_pages(1, &frame->page);
	else
		pr_warn_ratelimited("vbe_xen: a frame cannot be unmapped (%d)\n", ret);
	*frame = (struct xen_frame) { };
}
