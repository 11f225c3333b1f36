/* SPDX-License-Identifier: BSD-3-Clause */
/* Copyright (c) 2026 The vbe authors */
/* What tiny-vmm and its guest have to agree on. */
#ifndef TINY_GUEST_H
#define TINY_GUEST_H

#define GUEST_RAM	0x10000		/* bytes, from address 0 */
#define GUEST_CODE	0x1000		/* where it begins */
#define GUEST_MMIO	0xd0000		/* the device's registers: real mode reaches 1 MiB */
#define GUEST_IRQ	5

/* Ports on which the guest tells what it found. */
#define PORT_MAGIC	0x500
#define PORT_DEVICE	0x504
#define PORT_RANDOM	0x508
#define PORT_IRQS	0x50c
#define PORT_LENGTH	0x510
#define PORT_END	0x514

#endif
