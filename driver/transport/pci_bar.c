// SPDX-License-Identifier: GPL-2.0
/*
 * virtio-pci: where the BAR is, and when it is decoded (PCI 3.0, 6.2.5.1).
 *
 * Copyright (c) 2026 The vbe authors
 *
 * One BAR of 64 bits, not prefetchable, of VBE_PCI_BAR_SIZE bytes, in registers 0 and 1.
 * It is decoded while COMMAND says so. A place where it cannot be, because another
 * device's region is there or the hypervisor does not want it, is no error that a PCI
 * function could tell: it is then not decoded, until the driver writes BAR or COMMAND
 * again.
 *
 * The two halves are written one after the other. With decoding off nothing happens in
 * between. With it on, real hardware claims whatever address that gives for a moment,
 * and so does this; but not address 0, and not where a half is all ones, which is how a
 * driver asks for the size.
 *
 * Registers change under vbe_pci.lock, the mapping follows under map_lock, in a process.
 * An access that cannot sleep is let through only if the mapping is as it wants it, and
 * vbe_pci_remap() looks again after each step: so the last one always wins.
 */
#include <uapi/linux/pci_regs.h>

#include "pci.h"

#define VBE_PCI_BAR_MASK	(~(u64)(VBE_PCI_BAR_SIZE - 1))

/* With pci->lock held: a BAR register as it reads. */
u32 vbe_pci_bar_read(const struct vbe_pci *pci, bool high)
{
	return high ? upper_32_bits(pci->bar) :
		      lower_32_bits(pci->bar) | PCI_BASE_ADDRESS_MEM_TYPE_64;
}

/* With pci->lock held: the whole BAR as it is once the bits @mask of a half are @value. */
u64 vbe_pci_bar_written(const struct vbe_pci *pci, bool high, u32 value, u32 mask)
{
	u32 shift = high ? 32 : 0;
	u32 half = pci->bar >> shift;

	half = (half & ~mask) | (value & mask);
	return vbe_pci_set_half(pci->bar, shift, half) & VBE_PCI_BAR_MASK;
}

/* Where COMMAND and BAR say that it shall be decoded; 0: nowhere. */
u64 vbe_pci_bar_wanted(u16 command, u64 bar)
{
	if (!(command & PCI_COMMAND_MEMORY) || upper_32_bits(bar) == U32_MAX ||
	    lower_32_bits(bar) == lower_32_bits(VBE_PCI_BAR_MASK))
		return 0;
	return bar;
}

/* Return: where it now is. */
static u64 vbe_pci_bar_place(struct vbe_pci *pci, u64 wanted)
{
	if (!wanted) {
		vbe_region_unmap(pci->dev, VBE_PCI_REGION_BAR);
		return 0;
	}
	if (vbe_region_map(pci->dev, VBE_PCI_REGION_BAR, VBE_SPACE_MMIO, wanted,
			   VBE_PCI_BAR_SIZE))
		return 0;
	return wanted;
}

/**
 * vbe_pci_remap() - decode the BAR where the registers say
 * @pci: function
 *
 * Context: process, may sleep; takes map_lock. dev->lock may be held.
 */
void vbe_pci_remap(struct vbe_pci *pci)
{
	u64 wanted, mapped;
	unsigned long flags;
	bool again;

	mutex_lock(&pci->map_lock);
	do {
		flags = vbe_pci_lock(pci);
		wanted = vbe_pci_bar_wanted(pci->command, pci->bar);
		vbe_pci_unlock(pci, flags, true);
		mapped = wanted == pci->mapped ? wanted : vbe_pci_bar_place(pci, wanted);
		flags = vbe_pci_lock(pci);
		WRITE_ONCE(pci->mapped, mapped);
		again = wanted != vbe_pci_bar_wanted(pci->command, pci->bar);
		vbe_pci_unlock(pci, flags, true);
	} while (again);
	mutex_unlock(&pci->map_lock);
}
