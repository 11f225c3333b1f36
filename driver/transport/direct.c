// SPDX-License-Identifier: GPL-2.0
/*
 * The direct transport: a driver that lives where the provider can call for it.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * There are no registers to decode: each function is one thing that a driver may
 * ask, in the words of the core.
 */
#include <uapi/linux/virtio_config.h>

#include "vbe.h"
#include "direct.h"

/**
 * vbe_direct_device_id() - virtio device type
 * @dev: device
 *
 * Context: any, while the device is shown.
 * Return: what the backend set up, never 0.
 */
u32 vbe_direct_device_id(struct vbe_device *dev)
{
	return dev->virtio_id;
}
EXPORT_SYMBOL_GPL(vbe_direct_device_id);

/**
 * vbe_direct_vendor_id() - virtio vendor
 * @dev: device
 *
 * Context: any, while the device is shown.
 * Return: what the backend set up; 0 when it did not care.
 */
u32 vbe_direct_vendor_id(struct vbe_device *dev)
{
	return dev->vendor_id;
}
EXPORT_SYMBOL_GPL(vbe_direct_vendor_id);

/**
 * vbe_direct_n_queues() - number of queues
 * @dev: device
 *
 * Context: any, while the device is shown.
 * Return: 1..VBE_MAX_QUEUES.
 */
u32 vbe_direct_n_queues(struct vbe_device *dev)
{
	return dev->n_queues;
}
EXPORT_SYMBOL_GPL(vbe_direct_n_queues);

/**
 * vbe_direct_queue_max() - the most entries that a queue may have
 * @dev: device
 * @index: queue
 *
 * Context: any, while the device is shown.
 * Return: a power of two, or 0 when there is no such queue.
 */
u32 vbe_direct_queue_max(struct vbe_device *dev, u32 index)
{
	struct vbe_queue *q = vbe_fe_queue(dev, index);

	return q ? q->max_size : 0;
}
EXPORT_SYMBOL_GPL(vbe_direct_queue_max);

/**
 * vbe_direct_features() - what the device offers
 * @dev: device
 *
 * Context: process, may sleep.
 */
u64 vbe_direct_features(struct vbe_device *dev)
{
	return vbe_fe_features(dev);
}
EXPORT_SYMBOL_GPL(vbe_direct_features);

/**
 * vbe_direct_set_features() - what the driver takes, before it sets FEATURES_OK
 * @dev: device
 * @features: subset of what is offered
 *
 * Context: process, may sleep.
 * Return: 0 or a negative errno.
 */
int vbe_direct_set_features(struct vbe_device *dev, u64 features)
{
	return vbe_fe_set_features(dev, features);
}
EXPORT_SYMBOL_GPL(vbe_direct_set_features);

/**
 * vbe_direct_status() - virtio device status
 * @dev: device
 *
 * Context: any.
 */
u8 vbe_direct_status(struct vbe_device *dev)
{
	return vbe_fe_status(dev);
}
EXPORT_SYMBOL_GPL(vbe_direct_status);

/**
 * vbe_direct_set_status() - set device status bits
 * @dev: device
 * @status: the new status; not 0, which is vbe_direct_reset()
 *
 * Setting FEATURES_OK may wait for the backend, for a bounded time.
 *
 * Context: process, may sleep.
 * Return: 0 or a negative errno; a refused FEATURES_OK is seen in the status.
 */
int vbe_direct_set_status(struct vbe_device *dev, u8 status)
{
	return vbe_fe_set_status(dev, status);
}
EXPORT_SYMBOL_GPL(vbe_direct_set_status);

/**
 * vbe_direct_reset() - reset the device
 * @dev: device
 *
 * Waits for the backend to quiesce, at most the device's reset time-out. When it
 * returns, no backend touches the rings or buffers of before.
 *
 * Context: process, may sleep.
 */
void vbe_direct_reset(struct vbe_device *dev)
{
	vbe_fe_reset(dev);
}
EXPORT_SYMBOL_GPL(vbe_direct_reset);

/**
 * vbe_direct_config_read() - read config space
 * @dev: device
 * @offset: first byte
 * @buf: for the bytes; zeroes where there is no config space
 * @len: number of bytes
 *
 * Context: any.
 * Return: 0, or -EINVAL when not all of it exists.
 */
int vbe_direct_config_read(struct vbe_device *dev, u32 offset, void *buf, u32 len)
{
	return vbe_fe_config_read(dev, offset, buf, len);
}
EXPORT_SYMBOL_GPL(vbe_direct_config_read);

/**
 * vbe_direct_config_write() - write config space
 * @dev: device
 * @offset: first byte
 * @buf: the bytes
 * @len: number of bytes
 *
 * Context: process, may sleep.
 * Return: 0, or -EINVAL when not all of it exists.
 */
int vbe_direct_config_write(struct vbe_device *dev, u32 offset, const void *buf, u32 len)
{
	return vbe_fe_config_write(dev, offset, buf, len);
}
EXPORT_SYMBOL_GPL(vbe_direct_config_write);

/**
 * vbe_direct_generation() - config generation
 * @dev: device
 *
 * Context: any.
 * Return: a number that changes with the config space.
 */
u32 vbe_direct_generation(struct vbe_device *dev)
{
	return vbe_fe_config_generation(dev);
}
EXPORT_SYMBOL_GPL(vbe_direct_generation);

/**
 * vbe_direct_queue_enable() - set a queue up and enable it
 * @dev: device
 * @index: queue
 * @geometry: its size and FE addresses
 *
 * Context: process, may sleep.
 * Return: 0 or a negative errno.
 */
int vbe_direct_queue_enable(struct vbe_device *dev, u32 index,
			    const struct vbe_direct_queue *geometry)
{
	int ret;

	ret = vbe_fe_queue_set(dev, index, geometry->num, geometry->desc,
			       geometry->driver, geometry->device);
	if (ret)
		return ret;
	return vbe_fe_queue_enable(dev, index, true);
}
EXPORT_SYMBOL_GPL(vbe_direct_queue_enable);

/**
 * vbe_direct_queue_disable() - the driver does without a queue
 * @dev: device
 * @index: queue
 *
 * Only after a reset, or before DRIVER_OK: the backend is not waited for.
 * Context: process, may sleep.
 */
void vbe_direct_queue_disable(struct vbe_device *dev, u32 index)
{
	vbe_fe_queue_enable(dev, index, false);
}
EXPORT_SYMBOL_GPL(vbe_direct_queue_disable);

/**
 * vbe_direct_kick() - notify a queue
 * @dev: device
 * @index: queue
 *
 * Context: any, under any lock of the driver.
 */
void vbe_direct_kick(struct vbe_device *dev, u32 index)
{
	struct vbe_queue *q = vbe_fe_queue(dev, index);

	if (q)
		vbe_queue_kick(q);
}
EXPORT_SYMBOL_GPL(vbe_direct_kick);

static void vbe_direct_queue_call(struct vbe_queue *q, bool nested)
{
	const struct vbe_irq irq = {
		.type = VBE_IRQ_QUEUE,
		.nested = nested,
		.index = q->index,
	};

	q->dev->provider->inject(q->dev, &irq);
}

static void vbe_direct_config_changed(struct vbe_device *dev)
{
	/* The caller may hold any lock of the core, so the driver must not run here. */
	const struct vbe_irq irq = {
		.type = VBE_IRQ_CONFIG,
		.nested = true,
	};

	dev->provider->inject(dev, &irq);
}

/*
 * Per-queue reset, notification data and the like are registers of other
 * transports. ORDER_PLATFORM asks for barriers that only real devices need.
 */
const struct vbe_transport_ops vbe_direct_transport = {
	.name = "direct",
	.features_owned = BIT_ULL(VIRTIO_F_ACCESS_PLATFORM) |
			  BIT_ULL(VIRTIO_F_ORDER_PLATFORM) |
			  BIT_ULL(VIRTIO_F_SR_IOV) |
			  BIT_ULL(38) /* NOTIFICATION_DATA */ |
			  BIT_ULL(39) /* NOTIF_CONFIG_DATA */ |
			  BIT_ULL(40) /* RING_RESET */ |
			  BIT_ULL(41) /* ADMIN_VQ */,
	.queue_call = vbe_direct_queue_call,
	.config_changed = vbe_direct_config_changed,
};
