// SPDX-License-Identifier: GPL-2.0
/*
 * The test driver over "direct" and over virtio-mmio (virtio 1.3, 4.2).
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <errno.h>
#include <string.h>

#include <linux/virtio_mmio.h>

#include "driver.h"
#include "drv_bus.h"
#include "util.h"

#define QUEUE_RESET	0x0c0
#define RESET_MS	COMES_MS

/* ---- a wired line, of mmio and pci ------------------------------------------------- */

int drv_line_on(struct drv *d)
{
	if ((d->flags & DRV_F_EVENTS) || d->line_fd >= 0)
		return 0;
	d->line_fd = guest_eventfd();
	return guest_set_fd(d->g, d->dev, VBE_GUEST_FD_LINE, 0, d->line_fd);
}

static bool line_rose(struct drv *d, int ms)
{
	int64_t end = now_ms() + ms;
	struct vbe_guest_event ev;

	if (d->line_fd >= 0)
		return guest_eventfd_wait(d->line_fd, ms);
	do {
		int left = end - now_ms();

		if (guest_wait_event(d->g, VBE_GUEST_EVENT_LINE, d->dev, &ev,
				     left > 0 ? left : 0))
			return false;
	} while (!ev.data[0]);
	return true;
}

/* What one line says is for all queues: who waits for another one finds it later. */
int drv_line_wait(struct drv *d, uint32_t q, int ms, uint32_t (*ack)(struct drv *d))
{
	int64_t end = now_ms() + ms;

	for (;;) {
		int left = end - now_ms();
		uint32_t isr;

		if (d->pending & 1U << q) {
			d->pending &= ~(1U << q);
			return 1;
		}
		if (!line_rose(d, left > 0 ? left : 0))
			return 0;
		isr = ack(d);
		if (isr & 1)
			d->pending |= (1U << DRV_CONFIG) - 1;
		if (isr & 2)
			d->pending |= 1U << DRV_CONFIG;
		if (guest_eoi(d->g, d->dev) < 0)
			return -EIO;
	}
}

/* ---- direct ------------------------------------------------------------------------- */

static int direct_find(struct drv *d)
{
	struct vbe_guest_dev_info info;
	int ret = guest_dev_info(d->g, d->dev, &info);

	if (ret < 0)
		return ret;
	return info.virtio_id ? 0 : -ENODEV;
}

static int direct_get_status(struct drv *d)
{
	struct vbe_guest_dev_info info;
	int ret = guest_dev_info(d->g, d->dev, &info);

	return ret < 0 ? ret : (int)info.status;
}

static int direct_set_status(struct drv *d, uint8_t status)
{
	int ret = guest_status(d->g, d->dev, status);

	return ret < 0 ? ret : 0;
}

static uint64_t direct_get_features(struct drv *d)
{
	struct vbe_guest_dev_info info;

	return guest_dev_info(d->g, d->dev, &info) < 0 ? 0 : info.features;
}

static int direct_set_features(struct drv *d, uint64_t features)
{
	return guest_features(d->g, d->dev, features);
}

static uint32_t direct_queue_max(struct drv *d, uint32_t q)
{
	struct vbe_guest_queue_info info;

	return guest_queue_info(d->g, d->dev, q, &info) < 0 ? 0 : info.max_size;
}

static int direct_queue_enable(struct drv *d, uint32_t qi)
{
	struct drv_queue *q = &d->queues[qi];

	return guest_queue_set(d->g, d->dev, qi, q->num, q->desc, q->driver, q->device);
}

static int direct_queue_reset(struct drv *d, uint32_t q)
{
	return guest_queue_stop(d->g, d->dev, q, NULL);
}

static int direct_kick(struct drv *d, uint32_t q)
{
	return guest_kick(d->g, d->dev, q);
}

static int direct_config(struct drv *d, uint32_t offset, void *buf, uint32_t len, bool write)
{
	if (write)
		return guest_config_write(d->g, d->dev, offset, buf, len);
	return guest_config_read(d->g, d->dev, offset, buf, len, NULL);
}

static uint32_t direct_generation(struct drv *d)
{
	struct vbe_guest_dev_info info;

	return guest_dev_info(d->g, d->dev, &info) < 0 ? 0 : info.config_generation;
}

static int direct_irq_on(struct drv *d, uint32_t q)
{
	int *fd = q == DRV_CONFIG ? &d->config_fd : &d->queues[q].call_fd;

	if ((d->flags & DRV_F_EVENTS) || *fd >= 0)
		return 0;
	*fd = guest_eventfd();
	if (q == DRV_CONFIG)
		return guest_set_fd(d->g, d->dev, VBE_GUEST_FD_CONFIG, 0, *fd);
	return guest_set_fd(d->g, d->dev, VBE_GUEST_FD_CALL, q, *fd);
}

static int direct_irq_wait(struct drv *d, uint32_t q, int ms)
{
	int fd = q == DRV_CONFIG ? d->config_fd : d->queues[q].call_fd;
	struct vbe_guest_event ev;
	int ret;

	if (fd >= 0)
		return !!guest_eventfd_wait(fd, ms);
	if (q == DRV_CONFIG)
		ret = guest_wait_event(d->g, VBE_GUEST_EVENT_CONFIG, d->dev, &ev, ms);
	else
		ret = guest_wait_indexed(d->g, VBE_GUEST_EVENT_CALL, d->dev, q, &ev, ms);
	return ret == -ETIMEDOUT ? 0 : ret < 0 ? ret : 1;
}

const struct drv_bus drv_direct = {
	.name = "direct",
	.find = direct_find,
	.get_status = direct_get_status,
	.set_status = direct_set_status,
	.get_features = direct_get_features,
	.set_features = direct_set_features,
	.queue_max = direct_queue_max,
	.queue_enable = direct_queue_enable,
	.queue_reset = direct_queue_reset,
	.kick = direct_kick,
	.config = direct_config,
	.generation = direct_generation,
	.irq_on = direct_irq_on,
	.irq_wait = direct_irq_wait,
};

/* ---- mmio ------------------------------------------------------------------------------ */

static uint32_t in32(struct drv *d, uint32_t reg)
{
	return guest_read(d->g, VBE_SPACE_MMIO, d->base + reg, 4);
}

static int out32(struct drv *d, uint32_t reg, uint32_t value)
{
	return guest_write(d->g, VBE_SPACE_MMIO, d->base + reg, 4, value);
}

static int mmio_find(struct drv *d)
{
	if (in32(d, VIRTIO_MMIO_MAGIC_VALUE) != 0x74726976 ||
	    in32(d, VIRTIO_MMIO_VERSION) != 2)
		return -EPROTO;
	return in32(d, VIRTIO_MMIO_DEVICE_ID) ? 0 : -ENODEV;
}

static int mmio_get_status(struct drv *d)
{
	return in32(d, VIRTIO_MMIO_STATUS);
}

static int mmio_set_status(struct drv *d, uint8_t status)
{
	int64_t end = now_ms() + RESET_MS;
	int ret = out32(d, VIRTIO_MMIO_STATUS, status);

	while (!status && !ret && in32(d, VIRTIO_MMIO_STATUS)) {
		if (now_ms() > end)
			return -ETIMEDOUT;
		sleep_ms(1);
	}
	return ret;
}

static uint64_t mmio_get_features(struct drv *d)
{
	uint64_t f;

	out32(d, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	f = (uint64_t)in32(d, VIRTIO_MMIO_DEVICE_FEATURES) << 32;
	out32(d, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	return f | in32(d, VIRTIO_MMIO_DEVICE_FEATURES);
}

static int mmio_set_features(struct drv *d, uint64_t features)
{
	out32(d, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	out32(d, VIRTIO_MMIO_DRIVER_FEATURES, features >> 32);
	out32(d, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	return out32(d, VIRTIO_MMIO_DRIVER_FEATURES, features);
}

static uint32_t mmio_queue_max(struct drv *d, uint32_t q)
{
	out32(d, VIRTIO_MMIO_QUEUE_SEL, q);
	return in32(d, VIRTIO_MMIO_QUEUE_NUM_MAX);
}

static void out64(struct drv *d, uint32_t reg, uint64_t value)
{
	out32(d, reg, value);
	out32(d, reg + 4, value >> 32);
}

static int mmio_queue_enable(struct drv *d, uint32_t qi)
{
	struct drv_queue *q = &d->queues[qi];

	out32(d, VIRTIO_MMIO_QUEUE_SEL, qi);
	if (in32(d, VIRTIO_MMIO_QUEUE_READY))
		return -EBUSY;
	out32(d, VIRTIO_MMIO_QUEUE_NUM, q->num);
	out64(d, VIRTIO_MMIO_QUEUE_DESC_LOW, q->desc);
	out64(d, VIRTIO_MMIO_QUEUE_AVAIL_LOW, q->driver);
	out64(d, VIRTIO_MMIO_QUEUE_USED_LOW, q->device);
	out32(d, VIRTIO_MMIO_QUEUE_READY, 1);
	return in32(d, VIRTIO_MMIO_QUEUE_READY) == 1 ? 0 : -EINVAL;
}

static int mmio_queue_reset(struct drv *d, uint32_t q)
{
	int64_t end = now_ms() + RESET_MS;

	out32(d, VIRTIO_MMIO_QUEUE_SEL, q);
	out32(d, QUEUE_RESET, 1);
	while (in32(d, QUEUE_RESET)) {
		if (now_ms() > end)
			return -ETIMEDOUT;
		sleep_ms(1);
	}
	return in32(d, VIRTIO_MMIO_QUEUE_READY) ? -EOPNOTSUPP : 0;
}

static int mmio_kick(struct drv *d, uint32_t q)
{
	return out32(d, VIRTIO_MMIO_QUEUE_NOTIFY, q);
}

int drv_copy_config(struct drv *d, uint64_t addr, void *buf, uint32_t len, bool write)
{
	uint8_t *p = buf;
	uint32_t i;

	for (i = 0; i < len; i++) {
		if (write)
			guest_write(d->g, VBE_SPACE_MMIO, addr + i, 1, p[i]);
		else
			p[i] = guest_read(d->g, VBE_SPACE_MMIO, addr + i, 1);
		if (d->g->last < 0)
			return d->g->last;
	}
	return 0;
}

static int mmio_config(struct drv *d, uint32_t offset, void *buf, uint32_t len, bool write)
{
	return drv_copy_config(d, d->base + VIRTIO_MMIO_CONFIG + offset, buf, len, write);
}

static uint32_t mmio_generation(struct drv *d)
{
	return in32(d, VIRTIO_MMIO_CONFIG_GENERATION);
}

static uint32_t mmio_ack(struct drv *d)
{
	uint32_t isr = in32(d, VIRTIO_MMIO_INTERRUPT_STATUS);

	out32(d, VIRTIO_MMIO_INTERRUPT_ACK, isr);
	return isr;
}

static int mmio_irq_on(struct drv *d, uint32_t q)
{
	(void)q;
	return drv_line_on(d);
}

static int mmio_irq_wait(struct drv *d, uint32_t q, int ms)
{
	return drv_line_wait(d, q, ms, mmio_ack);
}

const struct drv_bus drv_mmio = {
	.name = "mmio",
	.find = mmio_find,
	.get_status = mmio_get_status,
	.set_status = mmio_set_status,
	.get_features = mmio_get_features,
	.set_features = mmio_set_features,
	.queue_max = mmio_queue_max,
	.queue_enable = mmio_queue_enable,
	.queue_reset = mmio_queue_reset,
	.kick = mmio_kick,
	.config = mmio_config,
	.generation = mmio_generation,
	.irq_on = mmio_irq_on,
	.irq_wait = mmio_irq_wait,
};
