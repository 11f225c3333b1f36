// SPDX-License-Identifier: GPL-2.0
/*
 * virtio-pci: configuration space (PCI 3.0, 6.1 and 6.2; virtio 1.3, 4.1.2 and 4.1.4).
 *
 * Copyright (c) 2026 The vbe authors
 *
 * A type 0 header, five virtio capabilities and MSI-X, each in words of 32 bits that are
 * read whole and written under a mask of the bytes that the driver stored. The extended
 * part, from 0x100 on, reads as zero: no extended capability.
 *
 * Without a backend there is no function: all reads as ones.
 */
#include <linux/align.h>
#include <uapi/linux/pci_regs.h>
#include <uapi/linux/virtio_ids.h>
#include <uapi/linux/virtio_pci.h>

#include "pci.h"

#define VBE_PCI_VENDOR		0x1af4
#define VBE_PCI_DEVICE_BASE	0x1040	/* + virtio device id (4.1.2.1) */
#define VBE_PCI_REVISION	1
#define VBE_PCI_INTA		1

#define VBE_PCI_COMMAND_BITS	(PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |	\
				 PCI_COMMAND_PARITY | PCI_COMMAND_SERR |	\
				 PCI_COMMAND_INTX_DISABLE)

/* Capabilities follow each other in this order, without gaps. */
enum {
	CAP_COMMON = 0x40,
	CAP_ISR = CAP_COMMON + 16,
	CAP_NOTIFY = CAP_ISR + 16,
	CAP_DEVICE = CAP_NOTIFY + 20,
	CAP_WINDOW = CAP_DEVICE + 16,
	CAP_MSIX = CAP_WINDOW + 20,
	CAP_END = CAP_MSIX + 12,
};

/**
 * struct vbe_pci_cap - a virtio capability (4.1.4); all are in BAR 0
 * @at: where it begins
 * @len: bytes
 * @type: cfg_type
 * @offset: of the structure that it tells of, in the BAR
 * @size: of that
 * @more: word behind struct virtio_pci_cap, if @len says that there is one
 */
struct vbe_pci_cap {
	u8 at;
	u8 len;
	u8 type;
	u32 offset;
	u32 size;
	u32 more;
};

static const struct vbe_pci_cap vbe_pci_caps[] = {
	{ CAP_COMMON, 16, VIRTIO_PCI_CAP_COMMON_CFG,
	  VBE_PCI_COMMON_OFFSET, VBE_PCI_COMMON_SIZE },
	{ CAP_ISR, 16, VIRTIO_PCI_CAP_ISR_CFG,
	  VBE_PCI_ISR_OFFSET, VBE_PCI_ISR_SIZE },
	{ CAP_NOTIFY, 20, VIRTIO_PCI_CAP_NOTIFY_CFG,
	  VBE_PCI_NOTIFY_OFFSET, VBE_PCI_NOTIFY_SIZE, VBE_PCI_NOTIFY_STRIDE },
	{ CAP_DEVICE, 16, VIRTIO_PCI_CAP_DEVICE_CFG,
	  VBE_PCI_DEVICE_OFFSET, VBE_PCI_DEVICE_SIZE },
	{ CAP_WINDOW, 20, VIRTIO_PCI_CAP_PCI_CFG },
};

/* Where the driver can change something in there. */
#define REG_WINDOW_BAR		(CAP_WINDOW + VIRTIO_PCI_CAP_BAR)
#define REG_WINDOW_OFFSET	(CAP_WINDOW + VIRTIO_PCI_CAP_OFFSET)
#define REG_WINDOW_LENGTH	(CAP_WINDOW + VIRTIO_PCI_CAP_LENGTH)
#define REG_WINDOW_DATA		(CAP_WINDOW + 16)

/* ---- what it is ------------------------------------------------------------------- */

/* Base class and sub-class; for types without a fitting one, 0x00ff as others do. */
static u32 vbe_pci_class(u32 virtio_id)
{
	switch (virtio_id) {
	case VIRTIO_ID_NET:
		return 0x0200;	/* Ethernet */
	case VIRTIO_ID_BLOCK:
	case VIRTIO_ID_FS:
		return 0x0180;	/* other mass storage */
	case VIRTIO_ID_SCSI:
		return 0x0100;	/* SCSI */
	case VIRTIO_ID_CONSOLE:
	case VIRTIO_ID_VSOCK:
		return 0x0780;	/* other communication */
	case VIRTIO_ID_GPU:
		return 0x0380;	/* other display */
	case VIRTIO_ID_INPUT:
		return 0x0980;	/* other input */
	case VIRTIO_ID_SOUND:
		return 0x0401;	/* audio */
	case VIRTIO_ID_CRYPTO:
		return 0x1080;	/* other encryption */
	default:
		return 0x00ff;
	}
}

/* Drivers take it for the virtio vendor id (4.1.2.1). */
static u32 vbe_pci_subsystem_vendor(const struct vbe_device *dev)
{
	u32 vendor = READ_ONCE(dev->vendor_id);

	return vendor && vendor <= U16_MAX ? vendor : VBE_PCI_VENDOR;
}

static u32 vbe_pci_status(const struct vbe_pci *pci)
{
	u32 status = PCI_STATUS_CAP_LIST;

	/* 4.1.5.4.1: what ISR says, with MSI-X disabled, whatever INTx Disable says. */
	if (pci->isr && !vbe_pci_msix_on(pci))
		status |= PCI_STATUS_INTERRUPT;
	return status;
}

static u32 vbe_pci_header_read(const struct vbe_pci *pci, u32 reg)
{
	const struct vbe_device *dev = pci->dev;

	switch (reg) {
	case PCI_VENDOR_ID:
		return (VBE_PCI_DEVICE_BASE + dev->virtio_id) << 16 | VBE_PCI_VENDOR;
	case PCI_COMMAND:
		return vbe_pci_status(pci) << 16 | pci->command;
	case PCI_CLASS_REVISION:
		return vbe_pci_class(dev->virtio_id) << 16 | VBE_PCI_REVISION;
	case PCI_CACHE_LINE_SIZE:
		return pci->cache_line;
	case PCI_BASE_ADDRESS_0:
	case PCI_BASE_ADDRESS_1:
		return vbe_pci_bar_read(pci, reg == PCI_BASE_ADDRESS_1);
	case PCI_SUBSYSTEM_VENDOR_ID:
		return (VBE_PCI_DEVICE_BASE + dev->virtio_id) << 16 |
		       vbe_pci_subsystem_vendor(dev);
	case PCI_CAPABILITY_LIST:
		return CAP_COMMON;
	case PCI_INTERRUPT_LINE:
		return VBE_PCI_INTA << 8 | pci->int_line;
	default:
		return 0;
	}
}

static u32 vbe_pci_cap_word(const struct vbe_pci_cap *cap, u32 reg)
{
	u32 next = cap->at + cap->len;

	switch (reg - cap->at) {
	case VIRTIO_PCI_CAP_VNDR:
		return PCI_CAP_ID_VNDR | next << 8 | cap->len << 16 | (u32)cap->type << 24;
	case VIRTIO_PCI_CAP_BAR:
		return 0;
	case VIRTIO_PCI_CAP_OFFSET:
		return cap->offset;
	case VIRTIO_PCI_CAP_LENGTH:
		return cap->size;
	default:
		return cap->more;
	}
}

static u32 vbe_pci_virtio_cap_read(u32 reg)
{
	const struct vbe_pci_cap *cap = vbe_pci_caps;

	while (reg >= cap->at + cap->len)
		cap++;
	return vbe_pci_cap_word(cap, reg);
}

static u32 vbe_pci_cap_read(const struct vbe_pci *pci, u32 reg)
{
	switch (reg) {
	case REG_WINDOW_BAR:
	case REG_WINDOW_OFFSET:
	case REG_WINDOW_LENGTH:
		return vbe_pci_window_read(pci, reg - CAP_WINDOW);
	case CAP_MSIX:
		/* The last one. */
		return vbe_pci_msix_control_read(pci) << 16 | PCI_CAP_ID_MSIX;
	case CAP_MSIX + PCI_MSIX_TABLE:
		return VBE_PCI_TABLE_OFFSET;
	case CAP_MSIX + PCI_MSIX_PBA:
		return VBE_PCI_PBA_OFFSET;
	default:
		return vbe_pci_virtio_cap_read(reg);
	}
}

/* With pci->lock held. */
static u32 vbe_pci_config_read(const struct vbe_pci *pci, u32 reg)
{
	if (reg < PCI_STD_HEADER_SIZEOF)
		return vbe_pci_header_read(pci, reg);
	return reg < CAP_END ? vbe_pci_cap_read(pci, reg) : 0;
}

/* ---- what the driver changes ------------------------------------------------------ */

/**
 * struct vbe_pci_decode - what says where the BAR is decoded
 * @command: COMMAND
 * @bar: BAR 0 and 1
 */
struct vbe_pci_decode {
	u16 command;
	u64 bar;
};

/* With pci->lock held: as it is after a write of @value's bits @mask to @reg. */
static struct vbe_pci_decode vbe_pci_decode_after(const struct vbe_pci *pci, u32 reg,
						  u32 value, u32 mask)
{
	struct vbe_pci_decode to = { .command = pci->command, .bar = pci->bar };

	if (reg == PCI_COMMAND) {
		mask &= VBE_PCI_COMMAND_BITS;
		to.command = (to.command & ~mask) | (value & mask);
	} else {
		to.bar = vbe_pci_bar_written(pci, reg == PCI_BASE_ADDRESS_1, value, mask);
	}
	return to;
}

/*
 * With pci->lock held. Return: 0; 1: the BAR must be remapped; EWOULDBLOCK: it would have
 * to be, and nothing has changed.
 */
static int vbe_pci_decode_write(struct vbe_pci *pci, u32 reg, u32 value, u32 mask,
				bool may_sleep)
{
	struct vbe_pci_decode to = vbe_pci_decode_after(pci, reg, value, mask);
	bool remap = vbe_pci_bar_wanted(to.command, to.bar) != pci->mapped;

	if (remap && !may_sleep)
		return -EWOULDBLOCK;
	if (to.command & ~pci->command & PCI_COMMAND_MASTER)
		pci->unmasked = true;
	pci->command = to.command;
	pci->bar = to.bar;
	/* Even if it seems to be right: another CPU may be about to move it. */
	return may_sleep;
}

/* With pci->lock held. Return: as vbe_pci_decode_write(). */
static int vbe_pci_config_write(struct vbe_pci *pci, u32 reg, u32 value, u32 mask,
				bool may_sleep)
{
	switch (reg) {
	case PCI_COMMAND:
	case PCI_BASE_ADDRESS_0:
	case PCI_BASE_ADDRESS_1:
		return vbe_pci_decode_write(pci, reg, value, mask, may_sleep);
	case PCI_CACHE_LINE_SIZE:
		pci->cache_line = (pci->cache_line & ~mask) | (value & mask);
		break;
	case PCI_INTERRUPT_LINE:
		pci->int_line = (pci->int_line & ~mask) | (value & mask);
		break;
	case REG_WINDOW_BAR:
	case REG_WINDOW_OFFSET:
	case REG_WINDOW_LENGTH:
		vbe_pci_window_write(pci, reg - CAP_WINDOW, value, mask);
		break;
	case CAP_MSIX:
		vbe_pci_msix_control_write(pci, value >> 16, mask >> 16);
		break;
	}
	return 0;
}

/* ---- accesses ------------------------------------------------------------------------- */

static int vbe_pci_config_store(struct vbe_pci *pci, const struct vbe_access *a, bool may_sleep)
{
	u32 shift = 8 * (a->offset % 4), mask = vbe_pci_ones(a->len) << shift;
	unsigned long flags;
	int ret;

	flags = vbe_pci_lock(pci);
	ret = vbe_pci_config_write(pci, a->offset & ~3U, a->data << shift, mask, may_sleep);
	vbe_pci_unlock(pci, flags, false);
	if (ret < 0)
		return ret;
	if (ret)
		vbe_pci_remap(pci);
	return 0;
}

static void vbe_pci_config_load(struct vbe_pci *pci, struct vbe_access *a)
{
	unsigned long flags;
	u32 value;

	flags = vbe_pci_lock(pci);
	value = vbe_pci_config_read(pci, a->offset & ~3U);
	vbe_pci_unlock(pci, flags, false);
	a->data = value >> 8 * (a->offset % 4) & vbe_pci_ones(a->len);
}

/**
 * vbe_pci_config_access() - configuration space
 * @pci: function
 * @a: access
 * @may_sleep: in process context
 *
 * 1, 2 or 4 bytes, aligned: the bus has no other. Else it reads ones and writes nothing.
 * Return: 0; EWOULDBLOCK.
 */
int vbe_pci_config_access(struct vbe_pci *pci, struct vbe_access *a, bool may_sleep)
{
	if (!a->present || a->len > 4 || !IS_ALIGNED(a->offset, a->len))
		return vbe_pci_nobody(a);
	if ((a->offset & ~3U) == REG_WINDOW_DATA)
		return vbe_pci_window_access(pci, a, may_sleep);
	if (a->write)
		return vbe_pci_config_store(pci, a, may_sleep);
	vbe_pci_config_load(pci, a);
	return 0;
}

/* With pci->lock held. The mapping of the BAR is left as it is. */
void vbe_pci_config_power_on(struct vbe_pci *pci)
{
	pci->command = 0;
	pci->cache_line = 0;
	pci->int_line = 0;
	pci->bar = 0;
	pci->window = (struct vbe_pci_window) { };
}
