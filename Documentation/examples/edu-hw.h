/* SPDX-License-Identifier: BSD-3-Clause */
/* Copyright (c) 2026 The vbe authors */
/* edu: its configuration space and registers. */
#ifndef EDU_HW_H
#define EDU_HW_H

/* Configuration space. Nobody has this vendor id; a real device needs one of its own. */
#define EDU_VENDOR		0xfff1
#define EDU_DEVICE		0x0ed0
#define EDU_BAR_SIZE		4096
#define EDU_MSI			0x40	/* offset of the MSI capability */

/* Registers in BAR 0: 4 bytes each, and accessed whole. */
#define EDU_ID			0x00	/* R: EDU_ID_VALUE */
#define EDU_LIVE		0x04	/* RW: reads as the inverse of what was written */
#define EDU_FACTORIAL		0x08	/* RW: write n, read n! modulo 2^32 when not busy */
#define EDU_STATUS		0x0c	/* R: EDU_BUSY */
#define EDU_IRQ_STATUS		0x10	/* R: EDU_IRQ_* that were not acknowledged */
#define EDU_IRQ_ACK		0x14	/* W: acknowledges these */
#define EDU_IRQ_RAISE		0x18	/* W: raises these */
#define EDU_DOORBELL		0x20	/* W: rings; the store needs no answer from us */
#define EDU_RINGS		0x24	/* R: how often it rang */
#define EDU_DMA_ADDR_LOW	0x40	/* RW: guest-physical address */
#define EDU_DMA_ADDR_HIGH	0x44
#define EDU_DMA_OFFSET		0x48	/* RW: in the device's buffer */
#define EDU_DMA_LEN		0x4c	/* RW: bytes */
#define EDU_DMA_GO		0x50	/* W: EDU_DMA_*; R: 0, or EDU_DMA_ERROR after a failure */

#define EDU_ID_VALUE		0xbe0001ed
#define EDU_BUSY		0x1
#define EDU_IRQ_FACTORIAL	0x1
#define EDU_IRQ_DMA		0x2
#define EDU_IRQ_DOORBELL	0x4
#define EDU_DMA_FROM_GUEST	1
#define EDU_DMA_TO_GUEST	2
#define EDU_DMA_ERROR		0x80000000
#define EDU_BUFFER_SIZE		4096

#endif /* EDU_HW_H */
