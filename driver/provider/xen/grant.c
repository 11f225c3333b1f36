// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that a guest's driver granted, copied by Xen.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * A driver that trusts its backend with no more than its buffers puts grants where others
 * put addresses: bit 63, number of the first grant, offset in its page. A buffer of many
 * pages has consecutive grants, so it is a range of addresses like any other. Copying
 * needs no mapping, which the driver could not take back while we have it.
 */
#include <linux/delay.h>

#include <xen/interface/grant_table.h>
#include <xen/page.h>
#include <xen/xen.h>

#include <asm/xen/hypercall.h>

#include "mem.h"

#define XEN_GRANT_TRIES		20	/* ms, for a page that is paged out */

static void xen_grant_op(struct gnttab_copy *op, domid_t domid, u64 at, void *buf, u32 len,
			 bool to_fe)
{
	const struct gnttab_copy_ptr theirs = {
		.u.ref = at >> PAGE_SHIFT,
		.domid = domid,
		.offset = offset_in_page(at),
	};
	const struct gnttab_copy_ptr ours = {
		.u.gmfn = virt_to_gfn(buf),
		.domid = DOMID_SELF,
		.offset = offset_in_page(buf),
	};

	*op = (struct gnttab_copy) {
		.source = to_fe ? ours : theirs,
		.dest = to_fe ? theirs : ours,
		.len = len,
		.flags = to_fe ? GNTCOPY_dest_gref : GNTCOPY_source_gref,
		.status = GNTST_general_error,
	};
}

/**
 * xen_grant_copy() - copy op of a window of grants, see &struct vbe_window_ops
 * @win: window; @priv is its &struct xen_dev
 * @addr: FE address
 * @buf: of kmalloc()
 * @len: bytes, which do not pass the end of a page of either
 * @to_fe: direction
 *
 * Context: process, may sleep.
 * Return: 0; ENXIO (it is not granted, or not for writing), EAGAIN, EIO.
 */
int xen_grant_copy(struct vbe_window *win, u64 addr, void *buf, u32 len, bool to_fe)
{
	struct xen_dev *xd = win->priv;
	unsigned int tries = XEN_GRANT_TRIES;
	struct gnttab_copy op;

	for (;;) {
		xen_grant_op(&op, xd->guest->domid, addr - win->fe_addr, buf, len, to_fe);
		if (HYPERVISOR_grant_table_op(GNTTABOP_copy, &op, 1))
			return -EIO;
		if (op.status != GNTST_eagain || !--tries)
			break;
		usleep_range(1000, 2000);
	}
	if (op.status == GNTST_okay)
		return 0;
	return op.status == GNTST_eagain ? -EAGAIN : -ENXIO;
}

/**
 * xen_grant_given() - is a page granted, for that?
 * @xd: device
 * @ref: grant
 * @buf: a byte of kmalloc()
 * @write: for writing
 *
 * Xen looks whether both pages may be copied between before it looks whether the bytes are
 * within them. So a copy of more than a page is refused by its length if they may; it copies
 * nothing, and takes no memory. A grant that there cannot be shows that it is still so.
 *
 * It does not say that the page can be mapped: a guest can grant one for copies only.
 *
 * Context: process.
 * Return: whether it is; no where Xen does not tell.
 */
bool xen_grant_given(struct xen_dev *xd, grant_ref_t ref, void *buf, bool write)
{
	const grant_ref_t refs[] = { U32_MAX, ref };
	struct gnttab_copy ops[ARRAY_SIZE(refs)];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(refs); i++)
		xen_grant_op(&ops[i], xd->guest->domid, (u64)refs[i] << PAGE_SHIFT, buf,
			     PAGE_SIZE + 1, write);
	if (HYPERVISOR_grant_table_op(GNTTABOP_copy, ops, ARRAY_SIZE(ops)) ||
	    ops[0].status == GNTST_bad_copy_arg)
		return false;
	return ops[1].status == GNTST_bad_copy_arg || ops[1].status == GNTST_eagain;
}

const struct vbe_window_ops xen_grant_copy_ops = {
	.copy = xen_grant_copy,
};
