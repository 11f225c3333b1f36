/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The direct transport: a driver that lives where the provider can call for it.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * No registers: the provider calls these on the driver's behalf, and the
 * transport interrupts with VBE_IRQ_QUEUE and VBE_IRQ_CONFIG. All but
 * vbe_direct_kick(), vbe_direct_status(), vbe_direct_config_read() and
 * vbe_direct_generation(), which may be called anywhere, may sleep.
 */
#ifndef VBE_TRANSPORT_DIRECT_H
#define VBE_TRANSPORT_DIRECT_H

#include <linux/types.h>

struct vbe_device;

/**
 * struct vbe_direct_queue - a queue's geometry, as the driver sets it
 * @num: entries
 * @desc: FE address of the descriptor area
 * @driver: FE address of the driver area
 * @device: FE address of the device area
 */
struct vbe_direct_queue {
	u32 num;
	u64 desc;
	u64 driver;
	u64 device;
};

u32 vbe_direct_device_id(struct vbe_device *dev);
u32 vbe_direct_vendor_id(struct vbe_device *dev);
u32 vbe_direct_n_queues(struct vbe_device *dev);
u32 vbe_direct_queue_max(struct vbe_device *dev, u32 index);
u64 vbe_direct_features(struct vbe_device *dev);
int vbe_direct_set_features(struct vbe_device *dev, u64 features);
u8 vbe_direct_status(struct vbe_device *dev);
int vbe_direct_set_status(struct vbe_device *dev, u8 status);
void vbe_direct_reset(struct vbe_device *dev);
int vbe_direct_config_read(struct vbe_device *dev, u32 offset, void *buf, u32 len);
int vbe_direct_config_write(struct vbe_device *dev, u32 offset, const void *buf, u32 len);
u32 vbe_direct_generation(struct vbe_device *dev);
int vbe_direct_queue_enable(struct vbe_device *dev, u32 index,
			    const struct vbe_direct_queue *geometry);
void vbe_direct_queue_disable(struct vbe_device *dev, u32 index);
void vbe_direct_kick(struct vbe_device *dev, u32 index);

#endif /* VBE_TRANSPORT_DIRECT_H */
