// SPDX-License-Identifier: GPL-2.0
/*
 * Devices of a guest.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * Where a device is, and which interrupt it has, is said by the administrator, or by the
 * toolstack through xenstore (bus.c). For a PCI function on x86 it may be left open: the
 * slots that the guest's device model uses are the low ones, so ours begin in the middle,
 * and the guest finds devices in the order in which they were made.
 */
#include <linux/bitops.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "xen.h"

#define XEN_SPI_FIRST		32
#define XEN_SPI_LAST		1019
#define XEN_SLOT_FIRST		4	/* before it: bridges, platform device, VGA */
#define XEN_SLOT_OURS		16
#define XEN_SLOT_LAST		31

/* ---- where it is ---------------------------------------------------------------------- */

static int xen_place_mmio(struct xen_dev *xd, const struct vbe_dev_params *p,
			  struct netlink_ext_ack *extack)
{
	if (xd->guest->type != XEN_GUEST_ARM) {
		NL_SET_ERR_MSG(extack, "transport mmio needs an Arm guest; use pci in an HVM guest");
		return -EOPNOTSUPP;
	}
	if (!(p->set & BIT(VBE_PARAM_BASE)) || !(p->set & BIT(VBE_PARAM_IRQ))) {
		NL_SET_ERR_MSG(extack, "transport mmio needs base and irq, as the guest's device tree has them");
		return -EINVAL;
	}
	return 0;
}

static unsigned long xen_slots_used(struct xen_guest *guest)
{
	unsigned long used = 0;
	struct xen_dev *xd;

	lockdep_assert_held(&guest->lock);
	list_for_each_entry(xd, &guest->devs, node)
		if (xd->slot)
			used |= BIT(xd->slot);
	return used;
}

/* 0 when all are taken. */
static u8 xen_slot_free(unsigned long used)
{
	unsigned int slot;

	slot = find_next_zero_bit(&used, XEN_SLOT_LAST + 1, XEN_SLOT_OURS);
	if (slot <= XEN_SLOT_LAST)
		return slot;
	slot = find_next_zero_bit(&used, XEN_SLOT_OURS, XEN_SLOT_FIRST);
	return slot < XEN_SLOT_OURS ? slot : 0;
}

static int xen_place_pci(struct xen_dev *xd, const struct vbe_dev_params *p,
			 struct netlink_ext_ack *extack)
{
	unsigned long used = xen_slots_used(xd->guest);
	u64 base = p->base;

	if (xd->guest->type != XEN_GUEST_HVM) {
		NL_SET_ERR_MSG(extack, "transport pci needs an HVM guest, and xenstore does not say that this is one");
		return -EOPNOTSUPP;
	}
	if (!(p->set & BIT(VBE_PARAM_BASE))) {
		base = xen_slot_free(used) << 3;
		if (!base) {
			NL_SET_ERR_MSG(extack, "no PCI slot of the guest is left");
			return -ENOSPC;
		}
	}
	if (base > 0xff || base & 7) {
		NL_SET_ERR_MSG(extack, "a function is at 00:SLOT.0: the guest has one bus, and its firmware routes slots");
		return -EINVAL;
	}
	xd->slot = base >> 3;
	if (xd->slot < XEN_SLOT_FIRST) {
		NL_SET_ERR_MSG(extack, "slots 0 to 3 are the guest's own device model's");
		return -EINVAL;
	}
	if (used & BIT(xd->slot)) {
		NL_SET_ERR_MSG(extack, "the guest has a device of vbe in this slot already");
		return -EEXIST;
	}
	return 0;
}

static int xen_place_irq(struct xen_dev *xd, const struct vbe_dev_params *p,
			 struct netlink_ext_ack *extack)
{
	if (!(p->set & BIT(VBE_PARAM_IRQ)))
		return 0;
	if (xd->guest->type != XEN_GUEST_ARM) {
		NL_SET_ERR_MSG(extack, "an irq can be given for Arm guests only");
		return -EINVAL;
	}
	if (p->irq < XEN_SPI_FIRST || p->irq > XEN_SPI_LAST) {
		NL_SET_ERR_MSG(extack, "irq is a shared peripheral interrupt: 32 to 1019");
		return -EINVAL;
	}
	xd->irq = p->irq;
	return 0;
}

/* An emulator says itself where its regions are; base is the slot whose pin it has. */
static int xen_place_raw(struct xen_dev *xd, const struct vbe_dev_params *p,
			 struct netlink_ext_ack *extack)
{
	if (!(p->set & BIT(VBE_PARAM_BASE)))
		return 0;
	return xen_place_pci(xd, p, extack);
}

static int xen_place(struct xen_dev *xd, const struct vbe_dev_params *p,
		     struct netlink_ext_ack *extack)
{
	const char *transport = xd->vbe->transport->name;
	int ret;

	if (!strcmp(transport, "mmio")) {
		ret = xen_place_mmio(xd, p, extack);
		if (ret)
			return ret;
	}
	ret = xen_place_irq(xd, p, extack);
	if (ret || !strcmp(transport, "mmio"))
		return ret;
	if (!strcmp(transport, "pci"))
		return xen_place_pci(xd, p, extack);
	return xen_place_raw(xd, p, extack);
}

/* The slot that was chosen. The device has a name already, and may be looked at. */
static void xen_place_tell(const struct xen_dev *xd, struct vbe_device *dev)
{
	if (!xd->slot)
		return;
	mutex_lock(&dev->lock);
	dev->params.base = xd->slot << 3;
	dev->params.set |= BIT(VBE_PARAM_BASE);
	mutex_unlock(&dev->lock);
}

/* ---- life ------------------------------------------------------------------------------ */

static int xen_dev_add_locked(struct xen_dev *xd, const struct vbe_dev_params *p,
			      struct netlink_ext_ack *extack)
{
	struct xen_guest *guest = xd->guest;
	int ret;

	if (guest->dying) {
		NL_SET_ERR_MSG(extack, "the domain is dying");
		return -ENODEV;
	}
	ret = xen_place(xd, p, extack);
	xd->vbe->no_wire = !xd->irq && !xd->slot;
	if (!ret)
		ret = xen_mem_attach(xd, p, extack);
	if (!ret)
		list_add_tail(&xd->node, &guest->devs);
	return ret;
}

/**
 * xen_dev_add() - a device for a guest
 * @dev: device; its params get what was left open
 * @p: what the administrator or the toolstack said
 * @extack: gets a sentence on failure
 *
 * Context: process, may sleep.
 */
int xen_dev_add(struct vbe_device *dev, const struct vbe_dev_params *p,
		struct netlink_ext_ack *extack)
{
	struct xen_dev *xd;
	int ret;

	if (!(p->set & BIT(VBE_PARAM_GUEST_ID))) {
		NL_SET_ERR_MSG(extack, "provider xen needs domid, the number of the guest");
		return -EINVAL;
	}
	xd = kzalloc(sizeof(*xd), GFP_KERNEL);
	if (!xd) {
		NL_SET_ERR_MSG(extack, "out of memory");
		return -ENOMEM;
	}
	xd->vbe = dev;
	spin_lock_init(&xd->line_lock);
	xd->guest = xen_guest_get(p->guest_id, extack);
	if (IS_ERR(xd->guest)) {
		ret = PTR_ERR(xd->guest);
		kfree(xd);
		return ret;
	}
	mutex_lock(&xd->guest->lock);
	ret = xen_dev_add_locked(xd, p, extack);
	mutex_unlock(&xd->guest->lock);
	if (ret) {
		xen_guest_put(xd->guest);
		kfree(xd);
		return ret;
	}
	xen_place_tell(xd, dev);
	vbe_guest_get(xd->guest->core);
	dev->guest = xd->guest->core;
	dev->provider_priv = xd;
	xen_bus_bind(xd, p->provider_data);
	return 0;
}

/**
 * xen_dev_del() - undo xen_dev_add()
 * @dev: device; nothing calls into it any more
 *
 * Context: process, may sleep.
 */
void xen_dev_del(struct vbe_device *dev)
{
	struct xen_dev *xd = dev->provider_priv;
	struct xen_guest *guest = xd->guest;

	if (xd->line)
		xen_dmop_intx(guest->domid, xd->slot, false);
	mutex_lock(&guest->lock);
	list_del(&xd->node);
	xen_mem_detach(xd);
	mutex_unlock(&guest->lock);
	xen_dirty_tell(guest);
	xen_guest_put(guest);
	kfree(xd);
}

/**
 * xen_dev_quiesced() - a device's driver has reset it, and its backend has stopped
 * @dev: device
 *
 * Context: process, may sleep.
 */
void xen_dev_quiesced(struct vbe_device *dev)
{
	struct xen_dev *xd = dev->provider_priv;

	xen_dirty_tell(xd->guest);
}

/* ---- regions ------------------------------------------------------------------------------ */

static int xen_region_range(const struct vbe_device *dev, const struct vbe_region *region,
			    bool map)
{
	const struct xen_dev *xd = dev->provider_priv;
	const struct xen_guest *guest = xd->guest;
	u64 start = region->base, end = region->base + region->len - 1;
	u32 type = DMOP_RANGE_MEMORY;

	if (region->space == VBE_SPACE_PIO) {
		type = DMOP_RANGE_PORT;
	} else if (region->space == VBE_SPACE_PCI) {
		/* Xen knows functions, not their registers. */
		type = DMOP_RANGE_PCI;
		start >>= 12;
		end >>= 12;
	}
	return xen_dmop_range(guest->domid, guest->server, type, start, end, map);
}

/**
 * xen_dev_region_map() - a region has come
 * @dev: device
 * @region: where it is
 *
 * Where a vCPU waits for the access that moved it, it is there before the vCPU goes on.
 * Context: process; the guest's region lock held.
 */
int xen_dev_region_map(struct vbe_device *dev, const struct vbe_region *region)
{
	const struct xen_dev *xd = dev->provider_priv;
	int ret = xen_region_range(dev, region, true);

	/* It was left there, see below. */
	return ret == -EEXIST && xd->guest->type == XEN_GUEST_ARM ? 0 : ret;
}

/**
 * xen_dev_region_unmap() - a region has gone
 * @dev: device
 * @region: where it was
 */
void xen_dev_region_unmap(struct vbe_device *dev, const struct vbe_region *region)
{
	const struct xen_dev *xd = dev->provider_priv;

	/*
	 * On Arm an access that no range covers is fatal to the guest's kernel, whose driver
	 * knows nothing of the device's end. So Xen goes on to send them here, where they
	 * find nobody, as long as the guest has devices of ours.
	 */
	if (xd->guest->type == XEN_GUEST_ARM && region->space == VBE_SPACE_MMIO)
		return;
	/* A guest that dies has no ranges any more. */
	xen_region_range(dev, region, false);
}
