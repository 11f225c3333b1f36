// SPDX-License-Identifier: GPL-2.0
/*
 * Interrupts into the guest.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * Each is one hypercall from wherever the call came: no work item, no allocation.
 *
 *	MSI	x86: the message goes to the guest's local APICs.
 *	INTx	x86 with chipset: a level. Xen tells of no EOI; the driver reads the ISR,
 *		and that lowers the line.
 *	SPI	Arm: a rising edge, whatever the device tree says of it: Xen's interrupt
 *		controller takes each "1" for one, and no "0".
 */
#include "xen.h"

/*
 * Two CPUs may come here with news of the line, and the older news must not be what Xen
 * hears last. So the level is looked at under the lock under which it is told.
 */
static void xen_line(struct xen_dev *xd)
{
	struct vbe_device *dev = xd->vbe;
	unsigned long flags;
	bool high;

	spin_lock_irqsave(&xd->line_lock, flags);
	high = dev->transport->line && dev->transport->line(dev);
	if (high != xd->line) {
		xd->line = high;
		xen_dmop_intx(xd->guest->domid, xd->slot, high);
	}
	spin_unlock_irqrestore(&xd->line_lock, flags);
}

static void xen_pulse(struct xen_dev *xd)
{
	unsigned long flags;

	spin_lock_irqsave(&xd->line_lock, flags);
	if (!xd->line) {
		xen_dmop_intx(xd->guest->domid, xd->slot, true);
		xen_dmop_intx(xd->guest->domid, xd->slot, false);
	}
	spin_unlock_irqrestore(&xd->line_lock, flags);
}

/* Told again with the line high already, there is something new behind it: another edge. */
static void xen_edge(struct xen_dev *xd, bool pulse)
{
	struct vbe_device *dev = xd->vbe;

	if (pulse || (dev->transport->line && dev->transport->line(dev)))
		xen_dmop_irq(xd->guest->domid, xd->irq, true);
}

/**
 * xen_inject() - an interrupt of a device
 * @dev: device
 * @irq: which
 *
 * A guest that dies meanwhile needs none: what Xen answers is of no interest.
 * Context: any, under RCU.
 */
void xen_inject(struct vbe_device *dev, const struct vbe_irq *irq)
{
	struct xen_dev *xd = dev->provider_priv;

	switch (irq->type) {
	case VBE_IRQ_MSI:
		if (IS_ENABLED(CONFIG_X86))
			xen_dmop_msi(xd->guest->domid, irq->msi_addr, irq->msi_data);
		break;
	case VBE_IRQ_LINE:
	case VBE_IRQ_PULSE:
		if (xd->irq)
			xen_edge(xd, irq->type == VBE_IRQ_PULSE);
		else if (xd->slot && irq->type == VBE_IRQ_PULSE)
			xen_pulse(xd);
		else if (xd->slot)
			xen_line(xd);
		break;
	default:
		/* Of transport direct, which this provider does not bring. */
		break;
	}
}
