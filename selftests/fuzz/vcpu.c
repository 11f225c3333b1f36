// SPDX-License-Identifier: GPL-2.0
/*
 * Hostile drivers of register transports: virtio-mmio, and regions of transport "raw".
 *
 * Copyright (c) 2026 The vbe authors
 *
 * A driver that only makes noise never gets past FEATURES_OK. So a step is mostly the
 * whole way up, in which each access may come out wrong, be left out or be done twice.
 */
#include <errno.h>
#include <string.h>

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>

#include "fuzz.h"
#include "vcpu.h"
#include "../kselftest/util.h"

#define QUEUE_RESET	0x0c0

static uint64_t n_accesses;

uint64_t accesses(void)
{
	return __atomic_load_n(&n_accesses, __ATOMIC_RELAXED);
}

int fuzz_access(struct vm *vm, struct vbe_guest_access *a)
{
	int ret;

	a->size = sizeof(*a);
	ret = cover(CALL_ACCESS, xioctl(vm->fd, VBE_IOC_GUEST_ACCESS, a));
	__atomic_fetch_add(&n_accesses, 1, __ATOMIC_RELAXED);
	if (ret >= 0)
		seen(SEEN_ACCESS, a->flags & VBE_ACCESS_F_PENDING ? ACCESS_PENDING :
								    ACCESS_ANSWERED);
	return ret;
}

/* ---- one access of a driver ------------------------------------------------------ */

static void go_wrong(struct rng *r, struct vbe_guest_access *a)
{
	switch (rnd_below(r, 6)) {
	case 0:
		a->len = rnd_or(r, 1U << rnd_below(r, 4), 4);
		break;
	case 1:
		a->addr += rnd_below(r, 16) - 8;
		break;
	case 2:
		a->data = rnd_edge(r);
		break;
	case 3:
		a->flags ^= VBE_ACCESS_F_WRITE;
		break;
	case 4:
		a->space = rnd_or(r, rnd_below(r, 3), 4);
		break;
	default:
		a->flags = rnd_edge(r) & 0xf;
		a->cookie = rnd_edge(r);
	}
}

int drive(struct driver *d, uint32_t space, uint64_t addr, uint32_t len, bool write,
	  uint64_t *data)
{
	struct vbe_guest_access a = { .flags = write ? VBE_ACCESS_F_WRITE : 0, .space = space,
				      .len = len, .addr = addr, .data = *data };
	struct rng *r = &d->w->rng;
	int ret;

	if (d->lost > LOST)
		return -ENOENT;
	if (one_in(r, d->sloppy))
		go_wrong(r, &a);
	if (one_in(r, 4 * d->sloppy))
		return 0;
	ret = fuzz_access(d->vm, &a);
	if (one_in(r, 2 * d->sloppy))
		ret = fuzz_access(d->vm, &a);
	d->lost = ret < 0 ? d->lost + 1 : 0;
	if (ret >= 0 && !write)
		*data = a.data;
	return ret;
}

/* ---- virtio-mmio ----------------------------------------------------------------- */

static uint32_t in32(struct driver *d, uint32_t reg)
{
	uint64_t data = 0;

	if (drive(d, VBE_SPACE_MMIO, d->slot->base + reg, 4, false, &data) >= 0)
		seen(SEEN_MMIO_READ, reg / 4);
	return data;
}

static void out32(struct driver *d, uint32_t reg, uint32_t value)
{
	uint64_t data = value;

	if (drive(d, VBE_SPACE_MMIO, d->slot->base + reg, 4, true, &data) >= 0)
		seen(SEEN_MMIO_WRITE, reg / 4);
}

static void out64(struct driver *d, uint32_t reg, uint64_t value)
{
	out32(d, reg, value);
	out32(d, reg + 4, value >> 32);
}

static void mmio_status(struct driver *d, uint32_t status)
{
	out32(d, VIRTIO_MMIO_STATUS, status);
	seen(SEEN_STATUS, SEEN_MMIO * 16 + (in32(d, VIRTIO_MMIO_STATUS) & 15));
}

static void mmio_queue(struct driver *d, uint32_t q)
{
	struct rng *r = &d->w->rng;
	uint32_t max;

	out32(d, VIRTIO_MMIO_QUEUE_SEL, rnd_or(r, q, 20));
	max = in32(d, VIRTIO_MMIO_QUEUE_NUM_MAX);
	out32(d, VIRTIO_MMIO_QUEUE_NUM, rnd_or(r, max ? max >> rnd_below(r, 3) : 8, 20));
	out64(d, VIRTIO_MMIO_QUEUE_DESC_LOW, some_address(r, 16));
	out64(d, VIRTIO_MMIO_QUEUE_AVAIL_LOW, some_address(r, 16));
	out64(d, VIRTIO_MMIO_QUEUE_USED_LOW, some_address(r, 16));
	out32(d, VIRTIO_MMIO_QUEUE_READY, rnd_or(r, 1, 20));
	in32(d, VIRTIO_MMIO_QUEUE_READY);
}

static void mmio_work(struct driver *d)
{
	struct rng *r = &d->w->rng;
	uint32_t n = rnd_below(r, 30);

	while (n--) {
		switch (rnd_below(r, 12)) {
		case 0:
			in32(d, VIRTIO_MMIO_CONFIG_GENERATION);
			break;
		case 1:
			in32(d, VIRTIO_MMIO_CONFIG + 4 * rnd_below(r, 4));
			break;
		case 2:
			out32(d, VIRTIO_MMIO_CONFIG + 4 * rnd_below(r, 4), rnd(r));
			break;
		case 3:
			out32(d, VIRTIO_MMIO_QUEUE_SEL, rnd_below(r, 3));
			out32(d, QUEUE_RESET, rnd_or(r, 1, 10));
			in32(d, QUEUE_RESET);
			mmio_queue(d, rnd_below(r, 2));
			break;
		case 4:
			out32(d, 0x0ac, rnd_below(r, 3));
			in32(d, 0x0b0 + 4 * rnd_below(r, 4));
			break;
		case 5:
		case 6:
			out32(d, VIRTIO_MMIO_INTERRUPT_ACK, in32(d, VIRTIO_MMIO_INTERRUPT_STATUS));
			break;
		default:
			out32(d, VIRTIO_MMIO_QUEUE_NOTIFY, rnd_or(r, rnd_below(r, 2), 20));
		}
	}
}

static void mmio_up(struct driver *d)
{
	struct rng *r = &d->w->rng;
	uint32_t low, q;

	in32(d, VIRTIO_MMIO_MAGIC_VALUE);
	in32(d, VIRTIO_MMIO_VERSION);
	in32(d, VIRTIO_MMIO_DEVICE_ID);
	in32(d, VIRTIO_MMIO_VENDOR_ID);
	mmio_status(d, 0);
	mmio_status(d, 1);
	mmio_status(d, 3);
	out32(d, VIRTIO_MMIO_DEVICE_FEATURES_SEL, rnd_or(r, 0, 30));
	low = in32(d, VIRTIO_MMIO_DEVICE_FEATURES);
	out32(d, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	in32(d, VIRTIO_MMIO_DEVICE_FEATURES);
	out32(d, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	out32(d, VIRTIO_MMIO_DRIVER_FEATURES, rnd_or(r, low & rnd(r), 30));
	out32(d, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	/* VERSION_1, and RING_RESET and RING_PACKED now and then. */
	out32(d, VIRTIO_MMIO_DRIVER_FEATURES, 1 | (rnd_below(r, 2) << 8) | (one_in(r, 3) << 2));
	mmio_status(d, 11);
	for (q = 0; q < 2; q++)
		mmio_queue(d, q);
	mmio_status(d, 15);
}

static void mmio_step(struct worker *w)
{
	struct driver d = { .w = w, .sloppy = 10 + rnd_below(&w->rng, 200) };

	d.vm = vm_get(w, &d.slot, "mmio");
	if (one_in(&w->rng, 8)) {
		out32(&d, rnd_below(&w->rng, 0x140), rnd_edge(&w->rng));
		in32(&d, rnd_below(&w->rng, 0x1000));
	} else if (one_in(&w->rng, 3)) {
		mmio_up(&d);
		mmio_work(&d);
	} else {
		mmio_work(&d);
	}
	vm_put(d.vm);
}

/* ---- raw ------------------------------------------------------------------------- */

/* An access that was interrupted: wait on, give it up, or say something else. */
static void pending(struct driver *d, struct vbe_guest_access *a)
{
	struct rng *r = &d->w->rng;
	uint32_t n = 0;

	while ((a->flags & VBE_ACCESS_F_PENDING) && n++ < 8) {
		if (one_in(r, 4)) {
			seen(SEEN_ACCESS, ACCESS_ABANDONED);
			return;
		}
		a->flags &= ~VBE_ACCESS_F_EVENTS;
		if (one_in(r, 6)) {
			a->cookie = rnd_or(r, a->cookie + rnd_below(r, 3) - 1, 3);
			seen(SEEN_ACCESS, ACCESS_STALE_COOKIE);
		}
		if (fuzz_access(d->vm, a) < 0)
			return;
		seen(SEEN_ACCESS, ACCESS_RESUMED);
	}
}

static void raw_step(struct worker *w)
{
	struct driver d = { .w = w };
	struct rng *r = &w->rng;
	struct vbe_guest_access a = { .space = rnd_below(r, 3), .len = 1U << rnd_below(r, 4),
				      .flags = rnd_below(r, 2), .data = rnd_edge(r) };
	uint32_t at, n = 1 + rnd_below(r, 20);

	d.vm = vm_get(w, &d.slot, "raw");
	at = d.slot - d.vm->slots;
	while (n-- && d.lost <= LOST) {
		a.addr = rnd_below(r, 64) * 4 + (one_in(r, 8) ? rnd_below(r, 4) : 0);
		if (a.space == VBE_SPACE_MMIO)
			a.addr += RAW_BASE + at * RAW_STEP;
		else if (a.space == VBE_SPACE_PIO)
			a.addr += 0x1000 * at;
		else
			a.addr += (uint64_t)at << 15;
		if (one_in(r, 20))
			go_wrong(r, &a);
		if (fuzz_access(d.vm, &a) < 0) {
			d.lost++;
			continue;
		}
		seen(SEEN_RAW, (a.space & 3) * 2 + (a.flags & VBE_ACCESS_F_WRITE));
		pending(&d, &a);
		a.flags &= VBE_ACCESS_F_WRITE;
		a.cookie = 0;
	}
	vm_put(d.vm);
}

void vcpu_step(struct worker *w)
{
	switch (rnd_below(&w->rng, 8)) {
	case 0:
		raw_step(w);
		break;
	case 1:
	case 2:
	case 3:
		mmio_step(w);
		break;
	default:
		pci_step(w);
	}
}
