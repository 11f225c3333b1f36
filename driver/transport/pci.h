/* SPDX-License-Identifier: GPL-2.0 */
/*
 * virtio-pci: a PCI function (virtio 1.3, 4.1). What its parts share.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * Files:
 *
 *	pci.c		ops, life, which part of the BAR an access is for
 *	pci_config.c	configuration space: header, COMMAND and STATUS, capabilities
 *	pci_bar.c	where the BAR is, and when it is decoded
 *	pci_window.c	the BAR through configuration space
 *	pci_common.c	common configuration structure
 *	pci_irq.c	who interrupts how: ISR and line, or messages
 *	pci_msix.c	MSI-X: table, pending bits, masks
 *
 * Lock order, outermost first:
 *
 *	vbe_device.lock		(mutex)
 *	vbe_pci.map_lock	(mutex) one remapping of the BAR at a time
 *	  vbe_guest.lock	(mutex)
 *	vbe_pci.lock		(spin, irq) registers
 *
 * While vbe_pci.lock is held nobody is called but provider->vector_changed().
 */
#ifndef VBE_TRANSPORT_PCI_H
#define VBE_TRANSPORT_PCI_H

#include <linux/bitmap.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include "vbe.h"

/* The transport's numbers of its regions. */
#define VBE_PCI_REGION_BAR	0
#define VBE_PCI_REGION_CONFIG	1

#define VBE_PCI_CONFIG_SIZE	4096

/* What is where in the BAR. */
#define VBE_PCI_BAR_SIZE	0x8000
#define VBE_PCI_COMMON_OFFSET	0x0000
#define VBE_PCI_COMMON_SIZE	64
#define VBE_PCI_ISR_OFFSET	0x1000
#define VBE_PCI_ISR_SIZE	1
#define VBE_PCI_DEVICE_OFFSET	0x2000
#define VBE_PCI_DEVICE_SIZE	0x1000
#define VBE_PCI_NOTIFY_OFFSET	0x3000
#define VBE_PCI_NOTIFY_STRIDE	4
#define VBE_PCI_NOTIFY_SIZE	(VBE_MAX_QUEUES * VBE_PCI_NOTIFY_STRIDE)
#define VBE_PCI_TABLE_OFFSET	0x4000
#define VBE_PCI_TABLE_ENTRY	16
#define VBE_PCI_PBA_OFFSET	0x6000

#define VBE_PCI_VECTORS		(VBE_MAX_QUEUES + 1)
#define VBE_PCI_TABLE_SIZE	(VBE_PCI_VECTORS * VBE_PCI_TABLE_ENTRY)
#define VBE_PCI_PBA_SIZE	(BITS_TO_LONGS(VBE_PCI_VECTORS) * 8)

#define VBE_PCI_NO_VECTOR	0xffff

#define VBE_PCI_ISR_QUEUE	BIT(0)
#define VBE_PCI_ISR_CONFIG	BIT(1)

/* Feature bits that headers of the oldest kernel do not name. */
#define VBE_PCI_F_NOTIFICATION_DATA	38
#define VBE_PCI_F_NOTIF_CONFIG_DATA	39
#define VBE_PCI_F_RING_RESET		40
#define VBE_PCI_F_ADMIN_VQ		41

/**
 * struct vbe_pci_vector - an entry of the MSI-X table
 * @addr: message address
 * @data: message
 * @masked: bit 0 of vector control
 */
struct vbe_pci_vector {
	u64 addr;
	u32 data;
	bool masked;
};

/**
 * struct vbe_pci_queue - what the driver wrote of a queue, for queue_enable to take
 * @size: entries, when @sized
 * @vector: MSI-X vector, valid, or VBE_PCI_NO_VECTOR
 * @sized: the driver chose @size; else it is the most that the device has
 * @stopping: a queue_reset is under way
 * @desc: FE address of the descriptor area
 * @driver: FE address of the driver area
 * @device: FE address of the device area
 */
struct vbe_pci_queue {
	u16 size;
	u16 vector;
	bool sized;
	bool stopping;
	u64 desc;
	u64 driver;
	u64 device;
};

/**
 * struct vbe_pci_window - the PCI_CFG capability's registers (4.1.4.9)
 * @bar: BAR
 * @offset: in it
 * @len: bytes
 * @data: last value that was read or written
 */
struct vbe_pci_window {
	u8 bar;
	u32 offset;
	u32 len;
	u32 data;
};

/**
 * struct vbe_pci - a PCI function
 * @dev: device
 * @map_lock: one remapping at a time
 * @mapped: where the BAR is decoded, 0: nowhere. Written with both locks held
 *
 * @lock: protects what follows, by vbe_pci_lock()
 * @command: COMMAND
 * @cache_line: cache line size, kept for the driver
 * @int_line: interrupt line, kept for the driver
 * @bar: BAR 0 and 1 as one number, without the type bits
 * @window: PCI_CFG capability
 *
 * @isr: ISR status
 * @line_told: level of INTx that the provider was told last
 * @unmasked: messages that were held back may go now
 * @msix_control: enable and function mask of Message Control
 * @vectors: MSI-X table
 * @pending: MSI-X pending bits
 *
 * @device_feature_select: see 4.1.4.3 for this and the next
 * @driver_feature_select: likewise
 * @driver_features: windows 0 and 1 of driver_feature
 * @features_beyond: a bit was written to any other window
 * @config_vector: config_msix_vector
 * @queue_select: queue_select
 * @queues: staged geometry
 */
struct vbe_pci {
	struct vbe_device *dev;
	struct mutex map_lock;
	u64 mapped;

	spinlock_t lock;
	u16 command;
	u8 cache_line;
	u8 int_line;
	u64 bar;
	struct vbe_pci_window window;

	u8 isr;
	bool line_told;
	bool unmasked;
	u16 msix_control;
	struct vbe_pci_vector vectors[VBE_PCI_VECTORS];
	DECLARE_BITMAP(pending, VBE_PCI_VECTORS);

	u32 device_feature_select;
	u32 driver_feature_select;
	u64 driver_features;
	bool features_beyond;
	u16 config_vector;
	u16 queue_select;
	struct vbe_pci_queue queues[VBE_MAX_QUEUES];
};

/* What a load gives where nobody answers. */
static inline u64 vbe_pci_ones(u32 len)
{
	return U64_MAX >> (64 - 8 * min_t(u32, len, 8));
}

/* @value with the 32 bits from @shift on replaced. */
static inline u64 vbe_pci_set_half(u64 whole, u32 shift, u32 value)
{
	return (whole & ~((u64)U32_MAX << shift)) | (u64)value << shift;
}

/* The driver reads ones, or its store goes nowhere. */
static inline int vbe_pci_nobody(struct vbe_access *a)
{
	if (!a->write)
		a->data = vbe_pci_ones(a->len);
	return 0;
}

/* pci.c */
int vbe_pci_bar_access(struct vbe_pci *pci, struct vbe_access *a, bool may_sleep);

/* pci_config.c */
int vbe_pci_config_access(struct vbe_pci *pci, struct vbe_access *a, bool may_sleep);
void vbe_pci_config_power_on(struct vbe_pci *pci);

/* pci_bar.c */
u32 vbe_pci_bar_read(const struct vbe_pci *pci, bool high);
u64 vbe_pci_bar_written(const struct vbe_pci *pci, bool high, u32 value, u32 mask);
u64 vbe_pci_bar_wanted(u16 command, u64 bar);
void vbe_pci_remap(struct vbe_pci *pci);

/* pci_window.c */
u32 vbe_pci_window_read(const struct vbe_pci *pci, u32 reg);
void vbe_pci_window_write(struct vbe_pci *pci, u32 reg, u32 value, u32 mask);
int vbe_pci_window_access(struct vbe_pci *pci, struct vbe_access *a, bool may_sleep);

/* pci_common.c */
int vbe_pci_common_access(struct vbe_pci *pci, struct vbe_access *a, bool may_sleep);
void vbe_pci_common_forget(struct vbe_pci *pci);
void vbe_pci_queue_forget(struct vbe_pci_queue *pq);

/* pci_irq.c */
unsigned long vbe_pci_lock(struct vbe_pci *pci) __acquires(&pci->lock);
void vbe_pci_unlock(struct vbe_pci *pci, unsigned long flags, bool nested)
	__releases(&pci->lock);
bool vbe_pci_level(const struct vbe_pci *pci);
bool vbe_pci_line(struct vbe_device *dev);
void vbe_pci_eoi(struct vbe_device *dev, bool nested);
void vbe_pci_queue_call(struct vbe_queue *q, bool nested);
void vbe_pci_config_changed(struct vbe_device *dev);
int vbe_pci_isr_access(struct vbe_pci *pci, struct vbe_access *a);

/* pci_msix.c */
bool vbe_pci_msix_on(const struct vbe_pci *pci);
bool vbe_pci_msix_take(struct vbe_pci *pci, u32 vector, struct vbe_irq *irq);
u16 vbe_pci_msix_valid(const struct vbe_pci *pci, u32 vector);
u16 vbe_pci_msix_control_read(const struct vbe_pci *pci);
void vbe_pci_msix_control_write(struct vbe_pci *pci, u16 value, u16 mask);
void vbe_pci_msix_power_on(struct vbe_pci *pci);
int vbe_pci_table_access(struct vbe_pci *pci, struct vbe_access *a);
int vbe_pci_pba_access(struct vbe_pci *pci, struct vbe_access *a);

#endif /* VBE_TRANSPORT_PCI_H */
