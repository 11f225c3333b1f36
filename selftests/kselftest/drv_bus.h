/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the register transports of the test driver share.
 *
 * Copyright (c) 2026 The vbe authors
 */
#ifndef KST_DRV_BUS_H
#define KST_DRV_BUS_H

#include "driver.h"

int drv_line_on(struct drv *d);
/* @ack: reads the ISR and acknowledges it: bit 0 queues, bit 1 config. */
int drv_line_wait(struct drv *d, uint32_t q, int ms, uint32_t (*ack)(struct drv *d));
int drv_copy_config(struct drv *d, uint64_t addr, void *buf, uint32_t len, bool write);

#endif /* KST_DRV_BUS_H */
