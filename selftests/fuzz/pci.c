// SPDX-License-Identifier: GPL-2.0
/*
 * A hostile driver of virtio-pci.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * It knows where vbe puts things (Documentation/registers.md): finding them by the
 * capabilities is what selftests/kselftest/driver.c does.
 */
#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>

#include "fuzz.h"
#include "vcpu.h"

#define ISR		0x1000
#define DEVICE		0x2000
#define NOTIFY		0x3000
#define TABLE		0x4000
#define PBA		0x6000
#define CAP_WINDOW	0x84
#define CAP_MSIX	0x98
#define Q_RESET		58

static uint32_t cfg_in(struct driver *d, uint32_t reg, uint32_t len)
{
	uint64_t data = 0;

	if (drive(d, VBE_SPACE_PCI, GUEST_PCI(d->slot->base, reg), len, false, &data) >= 0)
		seen(SEEN_PCI_CONFIG_READ, reg / 4);
	return data;
}

static void cfg_out(struct driver *d, uint32_t reg, uint32_t len, uint32_t value)
{
	uint64_t data = value;

	if (drive(d, VBE_SPACE_PCI, GUEST_PCI(d->slot->base, reg), len, true, &data) >= 0)
		seen(SEEN_PCI_CONFIG_WRITE, reg / 4);
}

static uint64_t in(struct driver *d, uint32_t at, uint32_t len)
{
	uint64_t data = 0;

	if (drive(d, VBE_SPACE_MMIO, d->bar + at, len, false, &data) >= 0) {
		seen(SEEN_PCI_BAR_READ, at >> 12);
		if (at < 64)
			seen(SEEN_PCI_COMMON_READ, at / 2);
	}
	return data;
}

static void out(struct driver *d, uint32_t at, uint32_t len, uint64_t value)
{
	if (drive(d, VBE_SPACE_MMIO, d->bar + at, len, true, &value) >= 0) {
		seen(SEEN_PCI_BAR_WRITE, at >> 12);
		if (at < 64)
			seen(SEEN_PCI_COMMON_WRITE, at / 2);
	}
}

static void out64(struct driver *d, uint32_t at, uint64_t value)
{
	out(d, at, 4, value & 0xffffffff);
	out(d, at + 4, 4, value >> 32);
}

static void status(struct driver *d, uint32_t value)
{
	out(d, VIRTIO_PCI_COMMON_STATUS, 1, value);
	seen(SEEN_STATUS, SEEN_PCI * 16 + (in(d, VIRTIO_PCI_COMMON_STATUS, 1) & 15));
}

/* ---- configuration space --------------------------------------------------------- */

static void look(struct driver *d)
{
	static const uint8_t regs[] = { 0, 4, 8, 12, 16, 20, 24, 36, 44, 52, 60, 64, 80,
					CAP_MSIX, CAP_MSIX + 4, CAP_MSIX + 8 };
	uint32_t i;

	for (i = 0; i < sizeof(regs); i++)
		cfg_in(d, regs[i], 4);
	cfg_in(d, 256, 4);
}

/* The BAR is sized and put where it belongs, or somewhere. */
static void place(struct driver *d)
{
	struct rng *r = &d->w->rng;
	uint64_t to = one_in(r, 20) ? rnd_edge(r) : d->bar;

	cfg_out(d, PCI_COMMAND, 2, 0);
	cfg_out(d, PCI_BASE_ADDRESS_0, 4, 0xffffffff);
	cfg_in(d, PCI_BASE_ADDRESS_0, 4);
	cfg_out(d, PCI_BASE_ADDRESS_1, 4, 0xffffffff);
	cfg_in(d, PCI_BASE_ADDRESS_1, 4);
	cfg_out(d, PCI_BASE_ADDRESS_0, 4, to);
	cfg_out(d, PCI_BASE_ADDRESS_1, 4, to >> 32);
	cfg_out(d, PCI_CACHE_LINE_SIZE, 1, 16);
	cfg_out(d, PCI_INTERRUPT_LINE, 1, 11);
	cfg_out(d, PCI_COMMAND, 2, 6 | (one_in(r, 4) ? PCI_COMMAND_INTX_DISABLE : 0));
}

static void window(struct driver *d)
{
	struct rng *r = &d->w->rng;

	cfg_out(d, CAP_WINDOW + VIRTIO_PCI_CAP_BAR, 1, rnd_or(r, 0, 8));
	cfg_out(d, CAP_WINDOW + VIRTIO_PCI_CAP_OFFSET, 4, rnd_or(r, rnd_below(r, 0x8000) & ~3U, 8));
	cfg_out(d, CAP_WINDOW + VIRTIO_PCI_CAP_LENGTH, 4, rnd_or(r, 1U << rnd_below(r, 3), 8));
	if (one_in(r, 2))
		cfg_in(d, CAP_WINDOW + 16, 4);
	else
		cfg_out(d, CAP_WINDOW + 16, 4, rnd_edge(r));
}

/* ---- interrupts ------------------------------------------------------------------ */

static void msix(struct driver *d)
{
	struct rng *r = &d->w->rng;
	uint32_t v = rnd_or(r, rnd_below(r, 4), 16) & 0xff;

	switch (rnd_below(r, 5)) {
	case 0:
		cfg_out(d, CAP_MSIX + PCI_MSIX_FLAGS, 2, rnd_below(r, 4) << 14);
		/* Read-only. */
		cfg_out(d, CAP_MSIX + PCI_MSIX_TABLE, 4, rnd_edge(r));
		break;
	case 1:
		out64(d, TABLE + 16 * v, rnd_or(r, 0xfee00000, 4));
		out(d, TABLE + 16 * v + 8, 4, rnd(r) & 0xffff);
		break;
	case 2:
		out(d, TABLE + 16 * v + 12, 4, rnd_below(r, 2));
		break;
	case 3:
		in(d, TABLE + 16 * v + 4 * rnd_below(r, 4), 4);
		break;
	default:
		in(d, PBA, 8);
		out(d, PBA, 4, rnd(r));
	}
}

static void vectors(struct driver *d)
{
	struct rng *r = &d->w->rng;
	uint32_t v;

	/* A third of the drivers knows only INTx. */
	if (one_in(r, 3))
		return;
	for (v = 0; v < 3; v++) {
		out64(d, TABLE + 16 * v, 0xfee00000);
		out(d, TABLE + 16 * v + 8, 4, 0x40 + v);
		out(d, TABLE + 16 * v + 12, 4, one_in(r, 4));
	}
	cfg_out(d, CAP_MSIX + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	out(d, VIRTIO_PCI_COMMON_MSIX, 2, rnd_or(r, 0, 10));
	in(d, VIRTIO_PCI_COMMON_MSIX, 2);
}

/* ---- virtio ---------------------------------------------------------------------- */

static void queue(struct driver *d, uint32_t q)
{
	struct rng *r = &d->w->rng;
	uint32_t max;

	out(d, VIRTIO_PCI_COMMON_Q_SELECT, 2, rnd_or(r, q, 20) & 0xffff);
	max = in(d, VIRTIO_PCI_COMMON_Q_SIZE, 2);
	if (one_in(r, 3))
		out(d, VIRTIO_PCI_COMMON_Q_SIZE, 2, rnd_or(r, max >> rnd_below(r, 3), 20) & 0xffff);
	out(d, VIRTIO_PCI_COMMON_Q_MSIX, 2, rnd_or(r, q + 1, 10) & 0xffff);
	in(d, VIRTIO_PCI_COMMON_Q_MSIX, 2);
	in(d, VIRTIO_PCI_COMMON_Q_NOFF, 2);
	out64(d, VIRTIO_PCI_COMMON_Q_DESCLO, some_address(r, 16));
	out64(d, VIRTIO_PCI_COMMON_Q_AVAILLO, some_address(r, 16));
	out64(d, VIRTIO_PCI_COMMON_Q_USEDLO, some_address(r, 16));
	if (one_in(r, 4)) {
		in(d, VIRTIO_PCI_COMMON_Q_SELECT, 2);
		in(d, VIRTIO_PCI_COMMON_Q_DESCLO, 4);
		in(d, VIRTIO_PCI_COMMON_Q_DESCHI, 4);
		in(d, VIRTIO_PCI_COMMON_Q_AVAILLO, 4);
		in(d, VIRTIO_PCI_COMMON_Q_AVAILHI, 4);
		in(d, VIRTIO_PCI_COMMON_Q_USEDLO, 4);
		in(d, VIRTIO_PCI_COMMON_Q_USEDHI, 4);
		in(d, VIRTIO_PCI_COMMON_Q_NDATA, 2);
	}
	out(d, VIRTIO_PCI_COMMON_Q_ENABLE, 2, rnd_or(r, 1, 20) & 0xffff);
	in(d, VIRTIO_PCI_COMMON_Q_ENABLE, 2);
}

static void queue_reset(struct driver *d)
{
	struct rng *r = &d->w->rng;
	uint32_t q = rnd_below(r, 2);

	out(d, VIRTIO_PCI_COMMON_Q_SELECT, 2, q);
	out(d, Q_RESET, 2, rnd_or(r, 1, 10) & 0xffff);
	in(d, Q_RESET, 2);
	queue(d, q);
}

static void features(struct driver *d)
{
	struct rng *r = &d->w->rng;
	uint32_t low;

	out(d, VIRTIO_PCI_COMMON_DFSELECT, 4, rnd_or(r, 0, 30) & 0xffffffff);
	in(d, VIRTIO_PCI_COMMON_DFSELECT, 4);
	low = in(d, VIRTIO_PCI_COMMON_DF, 4);
	out(d, VIRTIO_PCI_COMMON_GFSELECT, 4, 0);
	in(d, VIRTIO_PCI_COMMON_GFSELECT, 4);
	out(d, VIRTIO_PCI_COMMON_GF, 4, rnd_or(r, low & rnd(r), 30) & 0xffffffff);
	in(d, VIRTIO_PCI_COMMON_GF, 4);
	out(d, VIRTIO_PCI_COMMON_GFSELECT, 4, 1);
	out(d, VIRTIO_PCI_COMMON_GF, 4, 1 | (rnd_below(r, 2) << 8) | (one_in(r, 3) << 2));
}

static void up(struct driver *d)
{
	uint32_t q;

	look(d);
	place(d);
	status(d, 0);
	status(d, 1);
	status(d, 3);
	features(d);
	status(d, 11);
	vectors(d);
	in(d, VIRTIO_PCI_COMMON_NUMQ, 2);
	for (q = 0; q < 2; q++)
		queue(d, q);
	status(d, 15);
}

static void work(struct driver *d)
{
	struct rng *r = &d->w->rng;
	uint32_t n = rnd_below(r, 30);

	while (n--) {
		switch (rnd_below(r, 14)) {
		case 0:
			in(d, VIRTIO_PCI_COMMON_CFGGENERATION, 1);
			break;
		case 1:
			in(d, DEVICE + 4 * rnd_below(r, 4), 1U << rnd_below(r, 3));
			break;
		case 2:
			out(d, DEVICE + 4 * rnd_below(r, 4), 1U << rnd_below(r, 3), rnd(r));
			break;
		case 3:
			queue_reset(d);
			break;
		case 4:
			in(d, ISR, 1);
			out(d, ISR, 1, 0xff);
			break;
		case 5:
		case 6:
		case 7:
			msix(d);
			break;
		case 8:
			window(d);
			break;
		case 9:
			in(d, NOTIFY, 4);
			in(d, 0x7000, 4);
			out(d, 0x7000, 4, 1);
			break;
		default:
			out(d, NOTIFY + 4 * rnd_or(r, rnd_below(r, 2), 20), 2, rnd_below(r, 2));
		}
	}
}

/* Anything, anywhere. */
static void noise(struct driver *d)
{
	struct rng *r = &d->w->rng;

	cfg_out(d, rnd_below(r, 256), 1U << rnd_below(r, 3), rnd_edge(r));
	out(d, rnd_below(r, 0x8000), 1U << rnd_below(r, 3), rnd_edge(r));
	in(d, rnd_below(r, 0x8000), 1U << rnd_below(r, 3));
}

void pci_step(struct worker *w)
{
	struct driver d = { .w = w, .sloppy = 10 + rnd_below(&w->rng, 200) };

	d.vm = vm_get(w, &d.slot, "pci");
	d.bar = BAR_BASE + (d.slot - d.vm->slots) * BAR_STEP;
	if (one_in(&w->rng, 8)) {
		noise(&d);
	} else if (one_in(&w->rng, 3)) {
		up(&d);
		work(&d);
	} else {
		work(&d);
	}
	vm_put(d.vm);
}
