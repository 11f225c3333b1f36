// SPDX-License-Identifier: GPL-2.0
/*
 * The test driver over virtio-pci (virtio 1.3, 4.1): finds the capabilities, puts the
 * BARs somewhere, and uses MSI-X, one vector per queue and vector 0 for config, or
 * INTx.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <errno.h>
#include <string.h>

#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>

#include "driver.h"
#include "drv_bus.h"
#include "util.h"

#define RESET_MS	COMES_MS
#define MAX_CAPS	64
#define MSI_ADDR	0xfee00000ULL
#define MSI_DATA	0x4000

static uint32_t cfg_in(struct drv *d, uint32_t reg, uint32_t len)
{
	return guest_read(d->g, VBE_SPACE_PCI, GUEST_PCI(d->base, reg), len);
}

static int cfg_out(struct drv *d, uint32_t reg, uint32_t len, uint32_t value)
{
	return guest_write(d->g, VBE_SPACE_PCI, GUEST_PCI(d->base, reg), len, value);
}

static uint64_t in(struct drv *d, uint64_t addr, uint32_t len)
{
	return guest_read(d->g, VBE_SPACE_MMIO, addr, len);
}

static int out(struct drv *d, uint64_t addr, uint32_t len, uint64_t value)
{
	return guest_write(d->g, VBE_SPACE_MMIO, addr, len, value);
}

/* ---- finding it ---------------------------------------------------------------------- */

/* One memory BAR: sized, and put at the next free place. Gives how many registers it took. */
static uint32_t place_bar(struct drv *d, uint32_t i)
{
	uint32_t reg = PCI_BASE_ADDRESS_0 + 4 * i, low, wide;
	uint64_t mask;

	cfg_out(d, reg, 4, 0xffffffff);
	low = cfg_in(d, reg, 4);
	if (!low || (low & PCI_BASE_ADDRESS_SPACE_IO))
		return 1;
	wide = (low & PCI_BASE_ADDRESS_MEM_TYPE_MASK) == PCI_BASE_ADDRESS_MEM_TYPE_64;
	mask = low & PCI_BASE_ADDRESS_MEM_MASK;
	if (wide) {
		cfg_out(d, reg + 4, 4, 0xffffffff);
		mask |= (uint64_t)cfg_in(d, reg + 4, 4) << 32;
	} else {
		mask |= 0xffffffff00000000ULL;
	}
	d->bar_len[i] = ~mask + 1;
	d->bars = (d->bars + d->bar_len[i] - 1) & mask;
	d->bar[i] = d->bars;
	d->bars += d->bar_len[i];
	cfg_out(d, reg, 4, d->bar[i]);
	if (wide)
		cfg_out(d, reg + 4, 4, d->bar[i] >> 32);
	return 1 + wide;
}

static void virtio_cap(struct drv *d, uint32_t at)
{
	uint32_t bar = cfg_in(d, at + VIRTIO_PCI_CAP_BAR, 1);
	uint64_t addr;

	if (bar >= DRV_BARS || !d->bar[bar])
		return;
	addr = d->bar[bar] + cfg_in(d, at + VIRTIO_PCI_CAP_OFFSET, 4);
	switch (cfg_in(d, at + VIRTIO_PCI_CAP_CFG_TYPE, 1)) {
	case VIRTIO_PCI_CAP_COMMON_CFG:
		d->common = addr;
		break;
	case VIRTIO_PCI_CAP_NOTIFY_CFG:
		d->notify_base = addr;
		d->notify_mul = cfg_in(d, at + VIRTIO_PCI_NOTIFY_CAP_MULT, 4);
		break;
	case VIRTIO_PCI_CAP_ISR_CFG:
		d->isr = addr;
		break;
	case VIRTIO_PCI_CAP_DEVICE_CFG:
		d->device_cfg = addr;
		break;
	}
}

static void msix_cap(struct drv *d, uint32_t at)
{
	uint32_t table = cfg_in(d, at + PCI_MSIX_TABLE, 4);
	uint32_t bar = table & PCI_MSIX_TABLE_BIR;

	if (bar >= DRV_BARS || !d->bar[bar])
		return;
	d->msix_cap = at;
	d->msix_table = d->bar[bar] + (table & PCI_MSIX_TABLE_OFFSET);
}

static int walk_caps(struct drv *d)
{
	uint32_t at = cfg_in(d, PCI_CAPABILITY_LIST, 1) & ~3U, n;

	for (n = 0; at && n < MAX_CAPS; n++) {
		switch (cfg_in(d, at, 1)) {
		case PCI_CAP_ID_VNDR:
			virtio_cap(d, at);
			break;
		case PCI_CAP_ID_MSIX:
			msix_cap(d, at);
			break;
		}
		at = cfg_in(d, at + 1, 1) & ~3U;
	}
	return at ? -ELOOP : 0;
}

static int pci_find(struct drv *d)
{
	uint32_t i;
	int ret;

	if (cfg_in(d, PCI_VENDOR_ID, 2) != 0x1af4)
		return -ENODEV;
	if (d->common)
		return 0;
	if (!(cfg_in(d, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST))
		return -EPROTO;
	for (i = 0; i < DRV_BARS; )
		i += place_bar(d, i);
	ret = walk_caps(d);
	if (ret)
		return ret;
	if (!d->common || !d->isr || !d->notify_base || (d->notify_mul & 1))
		return -EPROTO;
	ret = cfg_out(d, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
		      (d->flags & DRV_F_INTX ? 0 : PCI_COMMAND_INTX_DISABLE));
	if (ret < 0 || (d->flags & DRV_F_INTX))
		return ret;
	if (!d->msix_cap)
		return -EPROTO;
	return cfg_out(d, d->msix_cap + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
}

/* ---- common configuration --------------------------------------------------------------- */

static int pci_get_status(struct drv *d)
{
	return in(d, d->common + VIRTIO_PCI_COMMON_STATUS, 1);
}

static int pci_set_status(struct drv *d, uint8_t status)
{
	int64_t end = now_ms() + RESET_MS;
	int ret = out(d, d->common + VIRTIO_PCI_COMMON_STATUS, 1, status);

	while (!status && !ret && pci_get_status(d)) {
		if (now_ms() > end)
			return -ETIMEDOUT;
		sleep_ms(1);
	}
	return ret;
}

static uint64_t pci_get_features(struct drv *d)
{
	uint64_t f;

	out(d, d->common + VIRTIO_PCI_COMMON_DFSELECT, 4, 1);
	f = in(d, d->common + VIRTIO_PCI_COMMON_DF, 4) << 32;
	out(d, d->common + VIRTIO_PCI_COMMON_DFSELECT, 4, 0);
	return f | in(d, d->common + VIRTIO_PCI_COMMON_DF, 4);
}

static int pci_set_features(struct drv *d, uint64_t features)
{
	out(d, d->common + VIRTIO_PCI_COMMON_GFSELECT, 4, 1);
	out(d, d->common + VIRTIO_PCI_COMMON_GF, 4, features >> 32);
	out(d, d->common + VIRTIO_PCI_COMMON_GFSELECT, 4, 0);
	return out(d, d->common + VIRTIO_PCI_COMMON_GF, 4, features & 0xffffffff);
}

static uint32_t pci_queue_max(struct drv *d, uint32_t q)
{
	if (q >= in(d, d->common + VIRTIO_PCI_COMMON_NUMQ, 2))
		return 0;
	out(d, d->common + VIRTIO_PCI_COMMON_Q_SELECT, 2, q);
	return in(d, d->common + VIRTIO_PCI_COMMON_Q_SIZE, 2);
}

static void out64(struct drv *d, uint32_t reg, uint64_t value)
{
	out(d, d->common + reg, 4, value & 0xffffffff);
	out(d, d->common + reg + 4, 4, value >> 32);
}

static int pci_queue_enable(struct drv *d, uint32_t qi)
{
	struct drv_queue *q = &d->queues[qi];
	uint64_t c = d->common;

	out(d, c + VIRTIO_PCI_COMMON_Q_SELECT, 2, qi);
	if (in(d, c + VIRTIO_PCI_COMMON_Q_ENABLE, 2))
		return -EBUSY;
	out(d, c + VIRTIO_PCI_COMMON_Q_SIZE, 2, q->num);
	out64(d, VIRTIO_PCI_COMMON_Q_DESCLO, q->desc);
	out64(d, VIRTIO_PCI_COMMON_Q_AVAILLO, q->driver);
	out64(d, VIRTIO_PCI_COMMON_Q_USEDLO, q->device);
	q->notify = d->notify_base +
		    d->notify_mul * in(d, c + VIRTIO_PCI_COMMON_Q_NOFF, 2);
	out(d, c + VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	return in(d, c + VIRTIO_PCI_COMMON_Q_ENABLE, 2) == 1 ? 0 : -EINVAL;
}

static int pci_queue_reset(struct drv *d, uint32_t q)
{
	int64_t end = now_ms() + RESET_MS;
	uint64_t c = d->common;

	out(d, c + VIRTIO_PCI_COMMON_Q_SELECT, 2, q);
	out(d, c + VIRTIO_PCI_COMMON_Q_RESET, 2, 1);
	while (in(d, c + VIRTIO_PCI_COMMON_Q_RESET, 2)) {
		if (now_ms() > end)
			return -ETIMEDOUT;
		sleep_ms(1);
	}
	return in(d, c + VIRTIO_PCI_COMMON_Q_ENABLE, 2) ? -EOPNOTSUPP : 0;
}

static int pci_kick(struct drv *d, uint32_t q)
{
	return out(d, d->queues[q].notify, 2, q);
}

static int pci_config(struct drv *d, uint32_t offset, void *buf, uint32_t len, bool write)
{
	if (!d->device_cfg)
		return -ENODEV;
	return drv_copy_config(d, d->device_cfg + offset, buf, len, write);
}

static uint32_t pci_generation(struct drv *d)
{
	return in(d, d->common + VIRTIO_PCI_COMMON_CFGGENERATION, 1);
}

/* ---- interrupts ------------------------------------------------------------------------ */

static uint32_t vector_of(uint32_t q)
{
	return q == DRV_CONFIG ? 0 : q + 1;
}

static int set_vector(struct drv *d, uint32_t q, uint32_t vector)
{
	uint32_t reg = VIRTIO_PCI_COMMON_MSIX;

	if (q != DRV_CONFIG) {
		out(d, d->common + VIRTIO_PCI_COMMON_Q_SELECT, 2, q);
		reg = VIRTIO_PCI_COMMON_Q_MSIX;
	}
	out(d, d->common + reg, 2, vector);
	return in(d, d->common + reg, 2) == vector ? 0 : -ENOSPC;
}

static int pci_irq_on(struct drv *d, uint32_t q)
{
	uint32_t vector = vector_of(q);
	uint64_t entry = d->msix_table + PCI_MSIX_ENTRY_SIZE * vector;
	int *fd = q == DRV_CONFIG ? &d->config_fd : &d->queues[q].call_fd;
	int ret = 0;

	if (d->flags & DRV_F_INTX)
		return drv_line_on(d);
	out(d, entry + PCI_MSIX_ENTRY_LOWER_ADDR, 4, MSI_ADDR);
	out(d, entry + PCI_MSIX_ENTRY_UPPER_ADDR, 4, 0);
	out(d, entry + PCI_MSIX_ENTRY_DATA, 4, MSI_DATA + vector);
	out(d, entry + PCI_MSIX_ENTRY_VECTOR_CTRL, 4, 0);
	if (!(d->flags & DRV_F_EVENTS) && *fd < 0) {
		*fd = guest_eventfd();
		ret = guest_set_fd(d->g, d->dev, VBE_GUEST_FD_MSI, vector, *fd);
	}
	return ret < 0 ? ret : set_vector(d, q, vector);
}

static uint32_t pci_ack(struct drv *d)
{
	return in(d, d->isr, 1);
}

static int pci_irq_wait(struct drv *d, uint32_t q, int ms)
{
	int fd = q == DRV_CONFIG ? d->config_fd : d->queues[q].call_fd;
	uint32_t vector = vector_of(q);
	struct vbe_guest_event ev;
	int ret;

	if (d->flags & DRV_F_INTX)
		return drv_line_wait(d, q, ms, pci_ack);
	if (fd >= 0)
		return !!guest_eventfd_wait(fd, ms);
	ret = guest_wait_indexed(d->g, VBE_GUEST_EVENT_MSI, d->dev, vector, &ev, ms);
	if (ret)
		return ret == -ETIMEDOUT ? 0 : ret;
	return ev.data[0] == MSI_ADDR && ev.data[1] == MSI_DATA + vector ? 1 : -EPROTO;
}

const struct drv_bus drv_pci = {
	.name = "pci",
	.find = pci_find,
	.get_status = pci_get_status,
	.set_status = pci_set_status,
	.get_features = pci_get_features,
	.set_features = pci_set_features,
	.queue_max = pci_queue_max,
	.queue_enable = pci_queue_enable,
	.queue_reset = pci_queue_reset,
	.kick = pci_kick,
	.config = pci_config,
	.generation = pci_generation,
	.irq_on = pci_irq_on,
	.irq_wait = pci_irq_wait,
};
