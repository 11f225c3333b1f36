// SPDX-License-Identifier: GPL-2.0
/*
 * What backends wrote, for a migration.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * While a guest migrates, it runs, and Xen notes what it writes to; that is copied once
 * more, at last with the guest suspended. What a backend writes through its own mapping Xen
 * does not see. But before a guest suspends its driver resets the device, and waits for
 * that. So all that a backend may have written since the guest began is reported then, and
 * goes with what is copied last.
 *
 * What was mapped is known by blocks. It stays known: who has a page in its page table
 * asks nobody when it writes to it later. Where nobody migrates, a report costs a hypercall
 * in which Xen does nothing.
 */
#include <linux/bitmap.h>
#include <linux/slab.h>

#include "mem.h"

#include <asm/xen/hypercall.h>

#define XEN_DIRTY_SHIFT		9	/* frames of a block */
/* Of one report. */
#define XEN_DIRTY_MOST		BIT(16)

static unsigned long xen_dirty_blocks(const struct xen_mem *mem)
{
	return DIV_ROUND_UP(mem->len >> PAGE_SHIFT, BIT(XEN_DIRTY_SHIFT));
}

/**
 * xen_dirty_init() - begin
 * @mem: new guest memory, with @len
 *
 * Return: 0; ENOMEM.
 */
int xen_dirty_init(struct xen_mem *mem)
{
	/* On Arm Xen cannot migrate a guest. */
	if (!IS_ENABLED(CONFIG_X86))
		return 0;
	mem->touched = kvcalloc(BITS_TO_LONGS(xen_dirty_blocks(mem)), sizeof(long),
				GFP_KERNEL);
	return mem->touched ? 0 : -ENOMEM;
}

/**
 * xen_dirty_exit() - end
 * @mem: guest memory
 */
void xen_dirty_exit(struct xen_mem *mem)
{
	kvfree(mem->touched);
}

/**
 * xen_dirty_note() - frames are about to be mapped, or written to
 * @mem: guest memory
 * @first: frame number, below @len
 * @n: frames, at least one
 *
 * Context: any.
 */
void xen_dirty_note(struct xen_mem *mem, unsigned long first, unsigned long n)
{
	unsigned long block = first >> XEN_DIRTY_SHIFT;
	unsigned long last = (first + n - 1) >> XEN_DIRTY_SHIFT;

	for (; mem->touched && block <= last && block < xen_dirty_blocks(mem); block++)
		if (!test_bit(block, mem->touched))
			set_bit(block, mem->touched);
}

/* Xen refuses what is past the last frame; and that one, too, by mistake. */
static int xen_dirty_report(domid_t domid, unsigned long first, unsigned long end,
			    unsigned long limit)
{
	unsigned long n;
	int ret = 0;

	end = min(end, limit);
	for (; !ret && first < end; first += n) {
		n = min(end - first, XEN_DIRTY_MOST);
		ret = xen_dmop_modified(domid, first, n);
		cond_resched();
	}
	return ret;
}

/**
 * xen_dirty_tell() - no backend writes any more, for a device of the guest
 * @guest: guest
 *
 * Context: process, may sleep.
 */
void xen_dirty_tell(struct xen_guest *guest)
{
	struct xen_mem *mem = guest->mem;
	domid_t domid = guest->domid;
	unsigned long begin, end;
	long limit;

	if (!mem->touched)
		return;
	limit = HYPERVISOR_memory_op(XEN_MAXIMUM_GPFN, &domid);
	if (limit < 0)
		return;
	for_each_set_bitrange(begin, end, mem->touched, xen_dirty_blocks(mem))
		if (xen_dirty_report(domid, begin << XEN_DIRTY_SHIFT,
				     end << XEN_DIRTY_SHIFT, limit))
			return;
}
