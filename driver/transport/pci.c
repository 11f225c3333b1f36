// SPDX-License-Identifier: GPL-2.0
/*
 * virtio-pci: a PCI function with one BAR (virtio 1.3, 4.1).
 *
 * Copyright (c) 2026 The vbe authors
 *
 * Two regions: configuration space, which is there as long as the device is, and the BAR,
 * which is where the driver puts it. What each register does is in
 * Documentation/registers.md; pci.h tells which file does it.
 *
 * Most of it is answered wherever the access was trapped, hard interrupt included. Those
 * need a process that the core's sleeping functions need it for (device_status,
 * queue_enable, queue_reset, device configuration), and a move of the BAR.
 *
 * Two resets differ. Of the virtio device: what the driver wrote to the common
 * configuration goes, with all that is pending; BAR, COMMAND and MSI-X stay. Of the
 * function, when it is taken away from the guest: all goes, and when it comes back, it is
 * as after power-on.
 *
 * There is no legacy or transitional interface (4.1.4.10): its drivers know neither
 * VIRTIO_F_VERSION_1 nor FEATURES_OK, which the core insists on.
 */
#include <linux/slab.h>
#include <uapi/linux/virtio_config.h>

#include "pci.h"

/* ---- accesses ----------------------------------------------------------------- */

/*
 * 4.1.4.4: a store to a queue's own address kicks it. Its value would be the queue's index
 * again: NOTIFICATION_DATA is not offered. Nothing can be read there.
 */
static int vbe_pci_notify_access(struct vbe_pci *pci, struct vbe_access *a)
{
	u32 offset = a->offset - VBE_PCI_NOTIFY_OFFSET;
	struct vbe_queue *q;

	if (!a->write)
		return vbe_pci_nobody(a);
	q = vbe_fe_queue(pci->dev, offset / VBE_PCI_NOTIFY_STRIDE);
	if (q && offset % VBE_PCI_NOTIFY_STRIDE == 0)
		vbe_queue_kick(q);
	return 0;
}

/* Bytes of any width and alignment (4.1.3.1); what is past its end reads as ones. */
static int vbe_pci_device_access(struct vbe_pci *pci, struct vbe_access *a, bool may_sleep)
{
	u32 offset = a->offset - VBE_PCI_DEVICE_OFFSET;
	u32 len = min_t(u32, a->len, sizeof(__le64));
	__le64 raw = 0;

	if (a->write && !may_sleep)
		return -EWOULDBLOCK;
	if (a->write) {
		raw = cpu_to_le64(a->data);
		vbe_fe_config_write(pci->dev, offset, &raw, len);
	} else {
		vbe_fe_config_read(pci->dev, offset, &raw, len);
		a->data = le64_to_cpu(raw);
	}
	return 0;
}

/**
 * vbe_pci_bar_access() - an access to the BAR
 * @pci: function
 * @a: access, within VBE_PCI_BAR_SIZE
 * @may_sleep: in process context
 *
 * Return: 0; EWOULDBLOCK.
 */
int vbe_pci_bar_access(struct vbe_pci *pci, struct vbe_access *a, bool may_sleep)
{
	if (!a->present)
		return vbe_pci_nobody(a);
	switch (a->offset & ~0xfffU) {
	case VBE_PCI_NOTIFY_OFFSET:
		return vbe_pci_notify_access(pci, a);
	case VBE_PCI_ISR_OFFSET:
		return vbe_pci_isr_access(pci, a);
	case VBE_PCI_COMMON_OFFSET:
		return vbe_pci_common_access(pci, a, may_sleep);
	case VBE_PCI_DEVICE_OFFSET:
		return vbe_pci_device_access(pci, a, may_sleep);
	case VBE_PCI_TABLE_OFFSET:
	case VBE_PCI_TABLE_OFFSET + 0x1000:
		return vbe_pci_table_access(pci, a);
	case VBE_PCI_PBA_OFFSET:
		return vbe_pci_pba_access(pci, a);
	default:
		return vbe_pci_nobody(a);
	}
}

static int vbe_pci_access(struct vbe_device *dev, struct vbe_access *a, bool may_sleep)
{
	struct vbe_pci *pci = dev->transport_priv;

	if (a->region == VBE_PCI_REGION_BAR)
		return vbe_pci_bar_access(pci, a, may_sleep);
	return vbe_pci_config_access(pci, a, may_sleep);
}

/* ---- reset ---------------------------------------------------------------------- */

/* With pci->lock held. */
static void vbe_pci_power_on(struct vbe_pci *pci)
{
	vbe_pci_config_power_on(pci);
	vbe_pci_msix_power_on(pci);
	vbe_pci_common_forget(pci);
	pci->isr = 0;
}

static void vbe_pci_reset(struct vbe_device *dev)
{
	struct vbe_pci *pci = dev->transport_priv;
	bool gone = READ_ONCE(dev->leaving);
	unsigned long flags;

	flags = vbe_pci_lock(pci);
	if (gone)
		vbe_pci_power_on(pci);
	vbe_pci_common_forget(pci);
	bitmap_zero(pci->pending, VBE_PCI_VECTORS);
	pci->isr = 0;
	vbe_pci_unlock(pci, flags, true);
	if (gone)
		vbe_pci_remap(pci);
}

static void vbe_pci_queue_stopped(struct vbe_queue *q)
{
	struct vbe_pci *pci = q->dev->transport_priv;
	unsigned long flags;

	flags = vbe_pci_lock(pci);
	vbe_pci_queue_forget(&pci->queues[q->index]);
	vbe_pci_unlock(pci, flags, true);
}

/* ---- life ------------------------------------------------------------------------ */

static int vbe_pci_check(const struct vbe_dev_params *p, struct netlink_ext_ack *extack)
{
	if (!(p->set & BIT(VBE_PARAM_BASE))) {
		NL_SET_ERR_MSG(extack, "transport pci needs a base, its PCI address");
		return -EINVAL;
	}
	if (p->base > U32_MAX) {
		NL_SET_ERR_MSG(extack, "a PCI address is segment << 16 | bus << 8 | devfn");
		return -EINVAL;
	}
	return 0;
}

static int vbe_pci_map_config(struct vbe_pci *pci, u64 address, struct netlink_ext_ack *extack)
{
	int ret = vbe_region_map(pci->dev, VBE_PCI_REGION_CONFIG, VBE_SPACE_PCI, address << 12,
				 VBE_PCI_CONFIG_SIZE);

	if (ret == -EEXIST)
		NL_SET_ERR_MSG(extack, "the guest has a device at this PCI address already");
	else if (ret)
		NL_SET_ERR_MSG(extack, "no function can be placed at this PCI address");
	return ret;
}

static int vbe_pci_init(struct vbe_device *dev, const struct vbe_dev_params *p,
			struct netlink_ext_ack *extack)
{
	struct vbe_pci *pci;
	int ret;

	ret = vbe_pci_check(p, extack);
	if (ret)
		return ret;
	pci = kvzalloc(sizeof(*pci), GFP_KERNEL_ACCOUNT);
	if (!pci) {
		NL_SET_ERR_MSG(extack, "out of memory");
		return -ENOMEM;
	}
	pci->dev = dev;
	mutex_init(&pci->map_lock);
	spin_lock_init(&pci->lock);
	vbe_pci_power_on(pci);
	/* Accesses may come from within vbe_pci_map_config() on. */
	dev->transport_priv = pci;
	ret = vbe_pci_map_config(pci, p->base, extack);
	if (ret) {
		dev->transport_priv = NULL;
		kvfree(pci);
	}
	return ret;
}

static void vbe_pci_exit(struct vbe_device *dev)
{
	vbe_region_unmap(dev, VBE_PCI_REGION_BAR);
	vbe_region_unmap(dev, VBE_PCI_REGION_CONFIG);
	kvfree(dev->transport_priv);
	dev->transport_priv = NULL;
}

/* ---- what hypervisors ask -------------------------------------------------------- */

static void vbe_pci_notify(struct vbe_queue *q, struct vbe_notify *n)
{
	struct vbe_pci *pci = q->dev->transport_priv;
	u64 base = READ_ONCE(pci->mapped);
	u16 vector = READ_ONCE(pci->queues[q->index].vector);

	n->addr = base ? base + VBE_PCI_NOTIFY_OFFSET + VBE_PCI_NOTIFY_STRIDE * q->index : 0;
	n->len = 0;
	n->match = false;
	n->data = 0;
	n->vector = vector == VBE_PCI_NO_VECTOR ? VBE_NO_QUEUE : vector;
}

/* Before SETUP nobody knows how many queues there will be. */
static u32 vbe_pci_n_vectors(struct vbe_device *dev)
{
	return dev->n_queues ? dev->n_queues + 1 : 0;
}

/* ACCESS_PLATFORM is a provider's to demand; the others are no part of this transport. */
const struct vbe_transport_ops vbe_pci_transport = {
	.name = "pci",
	.features_owned = BIT_ULL(VIRTIO_F_ACCESS_PLATFORM) |
			  BIT_ULL(VIRTIO_F_ORDER_PLATFORM) |
			  BIT_ULL(VIRTIO_F_SR_IOV) |
			  BIT_ULL(VBE_PCI_F_NOTIFICATION_DATA) |
			  BIT_ULL(VBE_PCI_F_NOTIF_CONFIG_DATA) |
			  BIT_ULL(VBE_PCI_F_RING_RESET) |
			  BIT_ULL(VBE_PCI_F_ADMIN_VQ),
	.features_queue_stop = BIT_ULL(VBE_PCI_F_RING_RESET),
	.queue_call = vbe_pci_queue_call,
	.config_changed = vbe_pci_config_changed,
	.init = vbe_pci_init,
	.exit = vbe_pci_exit,
	.access = vbe_pci_access,
	.reset = vbe_pci_reset,
	.queue_stopped = vbe_pci_queue_stopped,
	.eoi = vbe_pci_eoi,
	.line = vbe_pci_line,
	.notify = vbe_pci_notify,
	.n_vectors = vbe_pci_n_vectors,
};
