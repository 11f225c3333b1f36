// SPDX-License-Identifier: GPL-2.0
/*
 * virtio-pci: interrupts: ISR status and INTx, or MSI-X (virtio 1.3, 4.1.4.5, 4.1.5.3,
 * 4.1.5.4).
 *
 * Copyright (c) 2026 The vbe authors
 *
 * With MSI-X enabled a queue and the configuration each have a vector, or none; without,
 * their bit of ISR status is set, and the line is high until the driver has read it. No
 * process of the backend's runs in between.
 *
 * Registers change between vbe_pci_lock() and vbe_pci_unlock(). What follows from the
 * change, the line or messages that were held back, is told to the provider after that.
 */
#include <linux/nospec.h>
#include <uapi/linux/pci_regs.h>
#include <uapi/linux/virtio_config.h>

#include "pci.h"

/* Under RCU as every inject(), and never under pci->lock. */
static void vbe_pci_inject(struct vbe_pci *pci, const struct vbe_irq *irq)
{
	rcu_read_lock();
	pci->dev->provider->inject(pci->dev, irq);
	rcu_read_unlock();
}

/* Send what is pending and masked no more. */
static void vbe_pci_send_pending(struct vbe_pci *pci, bool nested)
{
	struct vbe_irq irq = { .nested = nested };
	unsigned long flags;
	bool send;
	u32 i;

	for (i = 0; i < VBE_PCI_VECTORS; i++) {
		spin_lock_irqsave(&pci->lock, flags);
		i = find_next_bit(pci->pending, VBE_PCI_VECTORS, i);
		send = i < VBE_PCI_VECTORS && vbe_pci_msix_take(pci, i, &irq);
		spin_unlock_irqrestore(&pci->lock, flags);
		if (send)
			vbe_pci_inject(pci, &irq);
	}
}

/* Interrupt Status of the header's STATUS shows the same, but whatever COMMAND says. */
bool vbe_pci_level(const struct vbe_pci *pci)
{
	return pci->isr && !vbe_pci_msix_on(pci) &&
	       !(pci->command & PCI_COMMAND_INTX_DISABLE);
}

/**
 * vbe_pci_lock() - begin to look at registers, or change them
 * @pci: function
 *
 * Context: any.
 * Return: for vbe_pci_unlock().
 */
unsigned long vbe_pci_lock(struct vbe_pci *pci)
	__acquires(&pci->lock)
{
	unsigned long flags;

	spin_lock_irqsave(&pci->lock, flags);
	return flags;
}

/**
 * vbe_pci_unlock() - registers are as they shall be: interrupt accordingly
 * @pci: function
 * @flags: from vbe_pci_lock()
 * @nested: inside an eventfd's wake-up, or with a lock of the core's held
 *
 * Context: any.
 */
void vbe_pci_unlock(struct vbe_pci *pci, unsigned long flags, bool nested)
	__releases(&pci->lock)
{
	struct vbe_irq irq = { .type = VBE_IRQ_LINE, .nested = nested };
	bool level = vbe_pci_level(pci), changed, send;

	changed = level != pci->line_told;
	WRITE_ONCE(pci->line_told, level);
	send = pci->unmasked && !bitmap_empty(pci->pending, VBE_PCI_VECTORS);
	pci->unmasked = false;
	spin_unlock_irqrestore(&pci->lock, flags);
	if (changed) {
		irq.level = level;
		vbe_pci_inject(pci, &irq);
	}
	if (send)
		vbe_pci_send_pending(pci, nested);
}

/* Providers ask from within inject(), too: without the lock. */
bool vbe_pci_line(struct vbe_device *dev)
{
	struct vbe_pci *pci = dev->transport_priv;

	return READ_ONCE(pci->line_told);
}

/* What is still high interrupts once more (level semantics). */
void vbe_pci_eoi(struct vbe_device *dev, bool nested)
{
	const struct vbe_irq irq = { .type = VBE_IRQ_LINE, .nested = nested, .level = 1 };

	if (vbe_pci_line(dev))
		vbe_pci_inject(dev->transport_priv, &irq);
}

/* Return: whether it merged with one that the driver has yet to see. */
static bool vbe_pci_raise(struct vbe_pci *pci, const u16 *field, u8 bit, bool nested)
{
	struct vbe_irq irq = { .nested = nested };
	bool send = false, merged = false;
	unsigned long flags;
	u32 vector;

	flags = vbe_pci_lock(pci);
	/*
	 * Who asked the core for the status did so without our lock, and may have lost
	 * against a reset, after which nothing is pending: ask again.
	 */
	if (!(vbe_fe_status(pci->dev) & VIRTIO_CONFIG_S_DRIVER)) {
		vbe_pci_unlock(pci, flags, nested);
		return false;
	}
	if (!vbe_pci_msix_on(pci)) {
		merged = pci->isr & bit;
		pci->isr |= bit;
	} else {
		/* 4.1.4.5.1: of the configuration, ISR tells with MSI-X, too. */
		pci->isr |= bit & VBE_PCI_ISR_CONFIG;
		vector = *field;
		if (vector < VBE_PCI_VECTORS) {
			vector = array_index_nospec(vector, VBE_PCI_VECTORS);
			merged = test_bit(vector, pci->pending);
			send = vbe_pci_msix_take(pci, vector, &irq);
		}
	}
	vbe_pci_unlock(pci, flags, nested);
	if (send)
		vbe_pci_inject(pci, &irq);
	return merged;
}

void vbe_pci_queue_call(struct vbe_queue *q, bool nested)
{
	struct vbe_pci *pci = q->dev->transport_priv;

	if (vbe_pci_raise(pci, &pci->queues[q->index].vector, VBE_PCI_ISR_QUEUE, nested))
		atomic64_inc(&q->stats.coalesced);
}

/* A driver reads its configuration before DRIVER_OK: it must learn of changes after that. */
void vbe_pci_config_changed(struct vbe_device *dev)
{
	struct vbe_pci *pci = dev->transport_priv;

	vbe_pci_raise(pci, &pci->config_vector, VBE_PCI_ISR_CONFIG, true);
}

/**
 * vbe_pci_isr_access() - ISR status: reading clears it (4.1.4.5.1)
 * @pci: function
 * @a: access, present
 *
 * Context: any.
 * Return: 0.
 */
int vbe_pci_isr_access(struct vbe_pci *pci, struct vbe_access *a)
{
	unsigned long flags;

	if (a->offset != VBE_PCI_ISR_OFFSET || a->len != VBE_PCI_ISR_SIZE)
		return vbe_pci_nobody(a);
	if (a->write)
		return 0;
	flags = vbe_pci_lock(pci);
	a->data = pci->isr;
	pci->isr = 0;
	vbe_pci_unlock(pci, flags, false);
	return 0;
}
