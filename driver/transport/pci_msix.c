// SPDX-License-Identifier: GPL-2.0
/*
 * virtio-pci: MSI-X table, pending bits, masks (PCI 3.0, 6.8.2; virtio 1.3, 4.1.5.1.2).
 *
 * Copyright (c) 2026 The vbe authors
 *
 * A message is sent when MSI-X is enabled, COMMAND lets the function master the bus, and
 * neither the function nor the vector is masked. Else its pending bit is set, and it is
 * sent when the last obstacle goes; one message then stands for all that were held back.
 *
 * Of a table entry the driver must change address and message only while it is masked.
 * One that does not gets messages of old and new halves: its own, and nobody else's.
 */
#include <linux/align.h>
#include <linux/nospec.h>
#include <uapi/linux/pci_regs.h>

#include "pci.h"

static u32 vbe_pci_table_len(const struct vbe_pci *pci)
{
	return min_t(u32, pci->dev->n_queues + 1, VBE_PCI_VECTORS);
}

/* With pci->lock held. */
bool vbe_pci_msix_on(const struct vbe_pci *pci)
{
	return pci->msix_control & PCI_MSIX_FLAGS_ENABLE;
}

/* See own_msi of the provider. All zeroes is no message: the entry was not written yet. */
static bool vbe_pci_vector_masked(const struct vbe_pci *pci, const struct vbe_pci_vector *v)
{
	if (pci->dev->provider->own_msi && v->data && !(v->data & 0xff))
		return false;
	return v->masked;
}

static bool vbe_pci_vector_open(const struct vbe_pci *pci, u32 vector)
{
	return vbe_pci_msix_on(pci) && !(pci->msix_control & PCI_MSIX_FLAGS_MASKALL) &&
	       (pci->command & PCI_COMMAND_MASTER) &&
	       !vbe_pci_vector_masked(pci, &pci->vectors[vector]);
}

/**
 * vbe_pci_msix_take() - a vector's message, to be sent after unlocking
 * @pci: function; pci->lock held
 * @vector: vector that fired, less than VBE_PCI_VECTORS
 * @irq: gets the message
 *
 * Context: any.
 * Return: true: send @irq; false: masked, and pending now.
 */
bool vbe_pci_msix_take(struct vbe_pci *pci, u32 vector, struct vbe_irq *irq)
{
	const struct vbe_pci_vector *v = &pci->vectors[vector];

	if (!vbe_pci_vector_open(pci, vector)) {
		__set_bit(vector, pci->pending);
		return false;
	}
	__clear_bit(vector, pci->pending);
	irq->type = VBE_IRQ_MSI;
	irq->index = vector;
	irq->msi_addr = v->addr;
	irq->msi_data = v->data;
	return true;
}

/* What a vector field reads back as when @vector was written to it (4.1.5.1.2.1). */
u16 vbe_pci_msix_valid(const struct vbe_pci *pci, u32 vector)
{
	u32 n = vbe_pci_table_len(pci);

	return vector < n ? array_index_nospec(vector, n) : VBE_PCI_NO_VECTOR;
}

/* ---- Message Control -------------------------------------------------------------- */

u16 vbe_pci_msix_control_read(const struct vbe_pci *pci)
{
	return pci->msix_control | (vbe_pci_table_len(pci) - 1);
}

/* With pci->lock held. What was pending belongs to MSI-X, and goes with it. */
void vbe_pci_msix_control_write(struct vbe_pci *pci, u16 value, u16 mask)
{
	mask &= PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL;
	pci->msix_control = (pci->msix_control & ~mask) | (value & mask);
	pci->unmasked = true;
	if (!vbe_pci_msix_on(pci))
		bitmap_zero(pci->pending, VBE_PCI_VECTORS);
}

/* With pci->lock held. */
void vbe_pci_msix_power_on(struct vbe_pci *pci)
{
	u32 i;

	pci->msix_control = 0;
	bitmap_zero(pci->pending, VBE_PCI_VECTORS);
	for (i = 0; i < VBE_PCI_VECTORS; i++)
		pci->vectors[i] = (struct vbe_pci_vector) { .masked = true };
}

/* ---- table -------------------------------------------------------------------------- */

static u32 vbe_pci_table_read(const struct vbe_pci_vector *v, u32 field)
{
	switch (field) {
	case PCI_MSIX_ENTRY_LOWER_ADDR:
		return lower_32_bits(v->addr);
	case PCI_MSIX_ENTRY_UPPER_ADDR:
		return upper_32_bits(v->addr);
	case PCI_MSIX_ENTRY_DATA:
		return v->data;
	default:
		return v->masked ? PCI_MSIX_ENTRY_CTRL_MASKBIT : 0;
	}
}

static void vbe_pci_table_write(struct vbe_pci_vector *v, u32 field, u32 value)
{
	switch (field) {
	case PCI_MSIX_ENTRY_LOWER_ADDR:
		/* Messages go to whole words. */
		v->addr = vbe_pci_set_half(v->addr, 0, value & ~3U);
		break;
	case PCI_MSIX_ENTRY_UPPER_ADDR:
		v->addr = vbe_pci_set_half(v->addr, 32, value);
		break;
	case PCI_MSIX_ENTRY_DATA:
		v->data = value;
		break;
	default:
		v->masked = value & PCI_MSIX_ENTRY_CTRL_MASKBIT;
		break;
	}
}

static void vbe_pci_table_store(struct vbe_pci *pci, u32 vector, u32 field,
				const struct vbe_access *a)
{
	struct vbe_pci_vector *v = &pci->vectors[vector], old;
	const struct vbe_provider_ops *provider = pci->dev->provider;
	unsigned long flags;

	flags = vbe_pci_lock(pci);
	old = *v;
	vbe_pci_table_write(v, field, lower_32_bits(a->data));
	if (a->len == 8)
		vbe_pci_table_write(v, field + 4, upper_32_bits(a->data));
	pci->unmasked = vbe_pci_vector_masked(pci, &old) && !vbe_pci_vector_masked(pci, v);
	if (provider->vector_changed &&
	    (v->addr != old.addr || v->data != old.data || v->masked != old.masked))
		provider->vector_changed(pci->dev, vector, v->addr, v->data, v->masked);
	vbe_pci_unlock(pci, flags, false);
}

static void vbe_pci_table_load(struct vbe_pci *pci, u32 vector, u32 field,
			       struct vbe_access *a)
{
	struct vbe_pci_vector *v = &pci->vectors[vector];
	unsigned long flags;

	flags = vbe_pci_lock(pci);
	a->data = vbe_pci_table_read(v, field);
	if (a->len == 8)
		a->data |= (u64)vbe_pci_table_read(v, field + 4) << 32;
	vbe_pci_unlock(pci, flags, false);
}

/* Table and pending bits are accessed as aligned 32 or 64 bits (PCI 3.0, 6.8.2). */
static bool vbe_pci_msix_access_ok(const struct vbe_access *a, u32 offset)
{
	return (a->len == 4 || a->len == 8) && IS_ALIGNED(offset, a->len);
}

/**
 * vbe_pci_table_access() - the MSI-X table
 * @pci: function
 * @a: access, present
 *
 * Context: any.
 * Return: 0.
 */
int vbe_pci_table_access(struct vbe_pci *pci, struct vbe_access *a)
{
	u32 offset = a->offset - VBE_PCI_TABLE_OFFSET;
	u32 n = vbe_pci_table_len(pci), vector = offset / VBE_PCI_TABLE_ENTRY;

	if (vector >= n || !vbe_pci_msix_access_ok(a, offset))
		return vbe_pci_nobody(a);
	vector = array_index_nospec(vector, n);
	if (a->write)
		vbe_pci_table_store(pci, vector, offset % VBE_PCI_TABLE_ENTRY, a);
	else
		vbe_pci_table_load(pci, vector, offset % VBE_PCI_TABLE_ENTRY, a);
	return 0;
}

static u32 vbe_pci_pba_read(const struct vbe_pci *pci, u32 first)
{
	u32 i, bits = 0;

	for (i = 0; i < 32 && first + i < VBE_PCI_VECTORS; i++)
		if (test_bit(first + i, pci->pending))
			bits |= BIT(i);
	return bits;
}

/**
 * vbe_pci_pba_access() - pending bits, which cannot be written
 * @pci: function
 * @a: access, present
 *
 * Context: any.
 * Return: 0.
 */
int vbe_pci_pba_access(struct vbe_pci *pci, struct vbe_access *a)
{
	u32 offset = a->offset - VBE_PCI_PBA_OFFSET;
	unsigned long flags;

	if (a->write)
		return 0;
	if (offset >= VBE_PCI_PBA_SIZE || !vbe_pci_msix_access_ok(a, offset))
		return vbe_pci_nobody(a);
	flags = vbe_pci_lock(pci);
	a->data = vbe_pci_pba_read(pci, offset * 8);
	if (a->len == 8)
		a->data |= (u64)vbe_pci_pba_read(pci, offset * 8 + 32) << 32;
	vbe_pci_unlock(pci, flags, false);
	return 0;
}
