// SPDX-License-Identifier: GPL-2.0
/*
 * virtio-pci: the BAR through configuration space (virtio 1.3, 4.1.4.9).
 *
 * Copyright (c) 2026 The vbe authors
 *
 * For firmware that cannot reach BARs. The driver writes bar, offset and length of the
 * PCI_CFG capability; an access to its pci_cfg_data then is one to that place, whether or
 * not the BAR is decoded. A place that is none reads ones and takes no store.
 */
#include <linux/align.h>
#include <linux/log2.h>
#include <uapi/linux/virtio_pci.h>

#include "pci.h"

/* With pci->lock held: a register of the capability, by its offset in there. */
u32 vbe_pci_window_read(const struct vbe_pci *pci, u32 reg)
{
	switch (reg) {
	case VIRTIO_PCI_CAP_BAR:
		return pci->window.bar;
	case VIRTIO_PCI_CAP_OFFSET:
		return pci->window.offset;
	default:
		return pci->window.len;
	}
}

/* With pci->lock held. */
void vbe_pci_window_write(struct vbe_pci *pci, u32 reg, u32 value, u32 mask)
{
	struct vbe_pci_window *w = &pci->window;

	switch (reg) {
	case VIRTIO_PCI_CAP_BAR:
		w->bar = (w->bar & ~mask) | (value & mask);
		break;
	case VIRTIO_PCI_CAP_OFFSET:
		w->offset = (w->offset & ~mask) | (value & mask);
		break;
	default:
		w->len = (w->len & ~mask) | (value & mask);
		break;
	}
}

/* The driver must choose 1, 2 or 4 bytes, aligned, that exist (4.1.4.9.2). */
static bool vbe_pci_window_ok(const struct vbe_pci_window *w)
{
	return w->bar == 0 && (w->len == 1 || w->len == 2 || w->len == 4) &&
	       IS_ALIGNED(w->offset, w->len) && w->offset <= VBE_PCI_BAR_SIZE - w->len;
}

static struct vbe_pci_window vbe_pci_window_get(struct vbe_pci *pci)
{
	struct vbe_pci_window w;
	unsigned long flags;

	flags = vbe_pci_lock(pci);
	w = pci->window;
	vbe_pci_unlock(pci, flags, false);
	return w;
}

static void vbe_pci_window_put(struct vbe_pci *pci, u32 data)
{
	unsigned long flags;

	flags = vbe_pci_lock(pci);
	pci->window.data = data;
	vbe_pci_unlock(pci, flags, false);
}

/**
 * vbe_pci_window_access() - pci_cfg_data
 * @pci: function
 * @a: access, present, within the four bytes of the register
 * @may_sleep: in process context
 *
 * Whichever of its bytes are accessed, the access behind it has the chosen length.
 * Return: 0; EWOULDBLOCK.
 */
int vbe_pci_window_access(struct vbe_pci *pci, struct vbe_access *a, bool may_sleep)
{
	struct vbe_pci_window w = vbe_pci_window_get(pci);
	u32 shift = 8 * (a->offset % 4), mask = vbe_pci_ones(a->len) << shift;
	struct vbe_access inner = {
		.region = VBE_PCI_REGION_BAR,
		.offset = w.offset,
		.len = w.len,
		.write = a->write,
		.present = true,
	};
	int ret;

	if (!vbe_pci_window_ok(&w))
		return vbe_pci_nobody(a);
	if (a->write) {
		w.data = (w.data & ~mask) | ((u32)(a->data << shift) & mask);
		inner.data = w.data & vbe_pci_ones(w.len);
	}
	ret = vbe_pci_bar_access(pci, &inner, may_sleep);
	if (ret)
		return ret;
	if (!a->write) {
		w.data = (w.data & ~vbe_pci_ones(w.len)) | inner.data;
		a->data = (w.data & mask) >> shift;
	}
	vbe_pci_window_put(pci, w.data);
	return 0;
}
