/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Guest memory, between memory.c, physmap.c, grant.c and grant_map.c.
 *
 * Copyright (c) 2026 The vbe authors
 */
#ifndef VBE_XEN_MEM_H
#define VBE_XEN_MEM_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include <xen/interface/xen.h>
#include <xen/interface/grant_table.h>
#include <xen/interface/memory.h>

#include "xen.h"

/* Of Xen; not in Linux' headers. Argument: a domid. Result: its last frame number. */
#define XEN_MAXIMUM_GPFN	14

#define XEN_BLOCK_PAGES		512	/* mapped at once; one page table */

/**
 * struct xen_batch - frames of a guest that are to be put into our address space
 * @n: how many
 * @pages: pages whose place they take
 * @idxs: their numbers in the guest
 * @gpfns: where we put them
 * @errs: what Xen says of each
 */
struct xen_batch {
	unsigned int n;
	struct page *pages[XEN_BLOCK_PAGES];
	xen_ulong_t idxs[XEN_BLOCK_PAGES];
	xen_pfn_t gpfns[XEN_BLOCK_PAGES];
	int errs[XEN_BLOCK_PAGES];
};

/**
 * struct xen_mem - a guest's memory
 * @guest: guest
 * @len: bytes of address space that may have memory
 * @lock: protects what follows, down to @batch
 * @gone: the guest is dying: nothing of it is mapped any more
 * @frames: pages that the guest's frames are mapped to, by frame number: those in use, and
 *	those that are being released. Only where we are auto-translated
 * @now: which of the two is in use
 * @used: pages in both
 * @over: pages given beyond a cap, since @evict was asked for
 * @batch: scratch
 * @node: in the list of those that could give pages back; under a lock of physmap.c's
 * @full: @evict is to give back all that is mapped; else somebody else has done so
 * @evict: does it
 * @touched: bitmap of blocks of which something was ever mapped: dirty.c's
 */
struct xen_mem {
	struct xen_guest *guest;
	u64 len;

	struct mutex lock;
	bool gone;
	struct xarray frames[2];
	unsigned int now;
	unsigned long used;
	unsigned long over;
	struct xen_batch *batch;

	struct list_head node;
	bool full;
	struct work_struct evict;

	unsigned long *touched;
};

/* frame.c */
int xen_frame_map_foreign(struct xen_frame *frame, domid_t domid, xen_pfn_t gfn);
int xen_physmap_add(domid_t domid, struct xen_batch *batch);
int xen_physmap_remove(struct page *page);

/* physmap.c: where we are auto-translated. */
int xen_physmap_init(struct xen_mem *mem);
void xen_physmap_exit(struct xen_mem *mem);
long xen_physmap_insert(struct xen_mem *mem, struct vm_area_struct *vma, unsigned long va,
			unsigned long first, unsigned long n, unsigned long want);
void xen_physmap_forget(struct xen_mem *mem);
void xen_physmap_release(struct xen_mem *mem);

/* dirty.c */
int xen_dirty_init(struct xen_mem *mem);
void xen_dirty_exit(struct xen_mem *mem);
void xen_dirty_note(struct xen_mem *mem, unsigned long first, unsigned long n);

/* Of the cap on all guests together. @force: count it even if it passes that. */
bool xen_page_charge(struct page *page, bool force);
void xen_page_uncharge(void);

/* grant.c */
int xen_grant_copy(struct vbe_window *win, u64 addr, void *buf, u32 len, bool to_fe);
bool xen_grant_given(struct xen_dev *xd, grant_ref_t ref, void *buf, bool write);
extern const struct vbe_window_ops xen_grant_copy_ops;

/* grant_map.c: where we are auto-translated. */
int xen_grants_init(struct xen_dev *xd);
void xen_grants_exit(struct xen_dev *xd);
void xen_grants_unmap(struct xen_dev *xd);
extern const struct vbe_window_ops xen_grant_map_ops;

#endif /* VBE_XEN_MEM_H */
