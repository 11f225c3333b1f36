// SPDX-License-Identifier: GPL-2.0
/*
 * The test driver's life: from reset to DRIVER_OK and back (virtio 1.3, 3.1).
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <linux/virtio_config.h>

#include "driver.h"
#include "util.h"

#define DRIVER_STATUS	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER)
#define TABLES_LEN(num)	(256ULL * (num))

static const struct drv_bus *const buses[] = { &drv_direct, &drv_mmio, &drv_pci };

void drv_init(struct drv *d, struct guest *g, uint32_t dev, const char *transport,
	      uint64_t base, uint32_t flags)
{
	uint32_t i;

	memset(d, 0, sizeof(*d));
	d->g = g;
	d->dev = dev;
	d->base = base;
	d->bars = 0xe0000000;
	d->flags = flags;
	d->line_fd = d->config_fd = -1;
	for (i = 0; i < DRV_QUEUES; i++)
		d->queues[i].kick_fd = d->queues[i].call_fd = -1;
	for (i = 0; i < ARRAY_LEN(buses); i++)
		if (!strcmp(buses[i]->name, transport))
			d->bus = buses[i];
	if (!d->bus)
		die("a transport that the test driver does not know");
}

void drv_arena(struct drv *d, uint64_t addr, uint64_t len)
{
	d->arena = addr;
	d->arena_end = addr + len;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void drv_exit(struct drv *d)
{
	uint32_t i;

	if (!d->bus)
		return;
	for (i = 0; i < DRV_QUEUES; i++) {
		close_fd(&d->queues[i].kick_fd);
		close_fd(&d->queues[i].call_fd);
	}
	close_fd(&d->line_fd);
	close_fd(&d->config_fd);
	d->bus = NULL;
}

uint64_t drv_alloc(struct drv *d, uint64_t len, uint64_t align)
{
	uint64_t addr = (d->arena + align - 1) & -align;

	if (addr + len > d->arena_end || !drv_ptr(d, addr, len))
		return 0;
	memset(drv_ptr(d, addr, len), 0, len);
	d->arena = addr + len;
	return addr;
}

void *drv_ptr(struct drv *d, uint64_t addr, uint64_t len)
{
	return guest_host(d->g, addr, len);
}

static uint64_t needed_features(struct drv *d)
{
	uint64_t f = 1ULL << VIRTIO_F_VERSION_1;

	if (d->flags & DRV_F_PACKED)
		f |= 1ULL << VIRTIO_F_RING_PACKED;
	if (d->flags & DRV_F_EVENT_IDX)
		f |= 1ULL << VIRTIO_RING_F_EVENT_IDX;
	if (d->flags & DRV_F_INDIRECT)
		f |= 1ULL << VIRTIO_RING_F_INDIRECT_DESC;
	return f;
}

int drv_negotiate(struct drv *d, uint64_t want)
{
	uint64_t need = needed_features(d), offered;
	int ret = d->bus->find(d);

	if (!ret)
		ret = drv_reset(d);
	if (!ret)
		ret = d->bus->set_status(d, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	if (!ret)
		ret = d->bus->set_status(d, DRIVER_STATUS);
	if (ret)
		return ret;
	offered = d->bus->get_features(d);
	if (need & ~offered)
		return -EOPNOTSUPP;
	d->features = need | (want & offered);
	ret = d->bus->set_features(d, d->features);
	if (!ret)
		ret = d->bus->set_status(d, DRIVER_STATUS | VIRTIO_CONFIG_S_FEATURES_OK);
	if (ret)
		return ret;
	ret = d->bus->get_status(d);
	if (ret < 0)
		return ret;
	return ret & VIRTIO_CONFIG_S_FEATURES_OK ? 0 : -EPERM;
}

/* Rings are made once, and used again after a reset. */
static int make_rings(struct drv *d, struct drv_queue *q, uint32_t num)
{
	bool same = q->num == num && q->desc;

	q->packed = d->flags & DRV_F_PACKED;
	q->event_idx = d->flags & DRV_F_EVENT_IDX;
	q->num = num;
	if (!same) {
		q->desc = drv_alloc(d, 16ULL * num, 16);
		q->driver = drv_alloc(d, q->packed ? 4 : 6 + 2ULL * num, 4);
		q->device = drv_alloc(d, q->packed ? 4 : 6 + 8ULL * num, 4);
		if (d->flags & DRV_F_INDIRECT)
			q->tables = drv_alloc(d, TABLES_LEN(num), 16);
	}
	if (!q->desc || !q->driver || !q->device ||
	    (!q->tables && (d->flags & DRV_F_INDIRECT)))
		return -ENOMEM;
	drv_ring_init(d, q);
	return 0;
}

static int kick_fd_on(struct drv *d, uint32_t qi)
{
	struct drv_queue *q = &d->queues[qi];

	if (!(d->flags & DRV_F_KICK_FD) || q->kick_fd >= 0)
		return 0;
	q->kick_fd = guest_eventfd();
	return guest_set_fd(d->g, d->dev, VBE_GUEST_FD_KICK, qi, q->kick_fd);
}

int drv_queue_up(struct drv *d, uint32_t qi, uint32_t num)
{
	uint32_t max = d->bus->queue_max(d, qi);
	int ret;

	if (qi >= DRV_QUEUES || num > DRV_MAX_NUM || num > max)
		return -EINVAL;
	ret = make_rings(d, &d->queues[qi], num);
	if (!ret)
		ret = kick_fd_on(d, qi);
	if (ret >= 0)
		ret = d->bus->irq_on(d, qi);
	if (ret >= 0)
		ret = d->bus->queue_enable(d, qi);
	if (ret >= 0 && qi >= d->n_queues)
		d->n_queues = qi + 1;
	return ret < 0 ? ret : 0;
}

int drv_ok(struct drv *d)
{
	int ret = d->bus->irq_on(d, DRV_CONFIG);

	if (ret >= 0)
		ret = d->bus->set_status(d, DRIVER_STATUS | VIRTIO_CONFIG_S_FEATURES_OK |
					    VIRTIO_CONFIG_S_DRIVER_OK);
	return ret < 0 ? ret : 0;
}

int drv_up(struct drv *d, uint64_t want, uint32_t n_queues, uint32_t num)
{
	int ret = drv_negotiate(d, want);
	uint32_t i;

	for (i = 0; !ret && i < n_queues; i++)
		ret = drv_queue_up(d, i, num);
	return ret ? ret : drv_ok(d);
}

int drv_reset(struct drv *d)
{
	int ret = d->bus->set_status(d, 0);
	uint32_t i;

	d->pending = 0;
	d->n_queues = 0;
	for (i = 0; i < DRV_QUEUES; i++)
		d->queues[i].in_flight = 0;
	return ret;
}

int drv_queue_down(struct drv *d, uint32_t q)
{
	int ret = d->bus->queue_reset(d, q);

	if (ret >= 0)
		d->queues[q].in_flight = 0;
	return ret;
}

/* ---- kicks and interrupts -------------------------------------------------------- */

int drv_kick_now(struct drv *d, uint32_t qi)
{
	struct drv_queue *q = &d->queues[qi];
	uint64_t one = 1;

	if (q->kick_fd >= 0)
		return write(q->kick_fd, &one, sizeof(one)) == sizeof(one) ? 0 : -errno;
	return d->bus->kick(d, qi);
}

int drv_kick(struct drv *d, uint32_t q)
{
	return drv_needs_kick(d, q) ? drv_kick_now(d, q) : 0;
}

int drv_irq(struct drv *d, uint32_t q, int ms)
{
	return d->bus->irq_wait(d, q, ms);
}

int drv_wait(struct drv *d, uint32_t q, uint64_t *token, uint32_t *len, int ms)
{
	int64_t end = now_ms() + ms;
	int ret;

	for (;;) {
		ret = drv_get(d, q, token, len);
		if (ret)
			return ret;
		ret = drv_irq(d, q, end > now_ms() ? end - now_ms() : 0);
		if (ret <= 0)
			return ret ? ret : -ETIMEDOUT;
	}
}
