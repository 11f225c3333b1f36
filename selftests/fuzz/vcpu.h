/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A driver that errs.
 *
 * Copyright (c) 2026 The vbe authors
 */
#ifndef VBE_FUZZ_VCPU_H
#define VBE_FUZZ_VCPU_H

#include "fuzz.h"

/**
 * struct driver - one step of a hostile driver
 * @w: whose step
 * @vm: guest, locked
 * @slot: device
 * @sloppy: one access in so many is not what it should be
 * @bar: pci: where its BAR is put
 * @lost: accesses in a row that nobody answered: it gives up after some
 */
struct driver {
	struct worker *w;
	struct vm *vm;
	struct slot *slot;
	uint32_t sloppy;
	uint64_t bar;
	uint32_t lost;
};

#define LOST	4

/* One access, or none, two, or another one. */
int drive(struct driver *d, uint32_t space, uint64_t addr, uint32_t len, bool write,
	  uint64_t *data);

#endif /* VBE_FUZZ_VCPU_H */
