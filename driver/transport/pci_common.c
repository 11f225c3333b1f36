// SPDX-License-Identifier: GPL-2.0
/*
 * virtio-pci: common configuration structure (virtio 1.3, 4.1.4.3).
 *
 * Copyright (c) 2026 The vbe authors
 *
 * A field is accessed at its own width; those of 64 bits also as two halves (4.1.3.1).
 * Any other access reads ones and writes nothing.
 *
 * What the driver writes is only kept here, wherever the access was trapped. Three writes
 * need the core, which sleeps, and hand it over: device_status, queue_enable and
 * queue_reset. So the core gets 64 bits of features, or a queue with all three addresses,
 * at once.
 */
#include <linux/nospec.h>
#include <uapi/linux/virtio_config.h>

#include "pci.h"

/**
 * struct vbe_pci_field - a field
 * @len: bytes; 0: none begins here
 * @half: upper half of one with 64 bits: accessed as 32
 * @read: its value. Any context, vbe_pci.lock held
 * @stage: keep what was written. Any context, vbe_pci.lock held. NULL: read-only
 * @slow: act on what was written. Sleeps
 * @addr: for queue addresses: where in struct vbe_pci_queue
 */
struct vbe_pci_field {
	u8 len;
	bool half;
	u64 (*read)(struct vbe_pci *pci, const struct vbe_pci_field *f);
	void (*stage)(struct vbe_pci *pci, const struct vbe_pci_field *f, u64 value, u32 len);
	void (*slow)(struct vbe_pci *pci, u32 value);
	u32 addr;
};

/* ---- the device ------------------------------------------------------------------ */

static u64 vbe_pci_read_device_feature_select(struct vbe_pci *pci, const struct vbe_pci_field *f)
{
	return pci->device_feature_select;
}

static void vbe_pci_stage_device_feature_select(struct vbe_pci *pci,
						const struct vbe_pci_field *f, u64 value, u32 len)
{
	pci->device_feature_select = value;
}

static u64 vbe_pci_read_device_feature(struct vbe_pci *pci, const struct vbe_pci_field *f)
{
	u64 features = vbe_fe_features(pci->dev);

	switch (pci->device_feature_select) {
	case 0:
		return lower_32_bits(features);
	case 1:
		return upper_32_bits(features);
	default:
		return 0;
	}
}

static u64 vbe_pci_read_driver_feature_select(struct vbe_pci *pci, const struct vbe_pci_field *f)
{
	return pci->driver_feature_select;
}

static void vbe_pci_stage_driver_feature_select(struct vbe_pci *pci,
						const struct vbe_pci_field *f, u64 value, u32 len)
{
	pci->driver_feature_select = value;
}

static u64 vbe_pci_read_driver_feature(struct vbe_pci *pci, const struct vbe_pci_field *f)
{
	switch (pci->driver_feature_select) {
	case 0:
		return lower_32_bits(pci->driver_features);
	case 1:
		return upper_32_bits(pci->driver_features);
	default:
		return 0;
	}
}

static void vbe_pci_stage_driver_feature(struct vbe_pci *pci, const struct vbe_pci_field *f,
					 u64 value, u32 len)
{
	if (pci->driver_feature_select <= 1)
		pci->driver_features = vbe_pci_set_half(pci->driver_features,
							32 * pci->driver_feature_select, value);
	else if (value)
		pci->features_beyond = true;
}

static u64 vbe_pci_read_config_vector(struct vbe_pci *pci, const struct vbe_pci_field *f)
{
	return pci->config_vector;
}

static void vbe_pci_stage_config_vector(struct vbe_pci *pci, const struct vbe_pci_field *f,
					u64 value, u32 len)
{
	pci->config_vector = vbe_pci_msix_valid(pci, value);
}

static u64 vbe_pci_read_num_queues(struct vbe_pci *pci, const struct vbe_pci_field *f)
{
	return pci->dev->n_queues;
}

static u64 vbe_pci_read_device_status(struct vbe_pci *pci, const struct vbe_pci_field *f)
{
	return vbe_fe_status(pci->dev);
}

/* 2.5.1 wants no more than that it changes. */
static u64 vbe_pci_read_config_generation(struct vbe_pci *pci, const struct vbe_pci_field *f)
{
	return vbe_fe_config_generation(pci->dev) & U8_MAX;
}

static u64 vbe_pci_read_zero(struct vbe_pci *pci, const struct vbe_pci_field *f)
{
	return 0;
}

static void vbe_pci_hand_over_features(struct vbe_pci *pci)
{
	unsigned long flags;
	u64 features;

	flags = vbe_pci_lock(pci);
	features = pci->driver_features;
	/* Stands for all bits past 63: never offered either, so refused. */
	if (pci->features_beyond)
		features |= BIT_ULL(VBE_PCI_F_NOTIFICATION_DATA);
	vbe_pci_unlock(pci, flags, false);
	vbe_fe_set_features(pci->dev, features);
}

static void vbe_pci_slow_device_status(struct vbe_pci *pci, u32 value)
{
	if (value & ~vbe_fe_status(pci->dev) & VIRTIO_CONFIG_S_FEATURES_OK)
		vbe_pci_hand_over_features(pci);
	/* Zero resets, and the core calls vbe_pci_common_forget(). */
	vbe_fe_set_status(pci->dev, value);
}

/* ---- the queue of queue_select ------------------------------------------------------- */

/* With pci->lock held. NULL: the device has no such queue. */
static struct vbe_pci_queue *vbe_pci_selected(struct vbe_pci *pci, struct vbe_queue **q)
{
	*q = vbe_fe_queue(pci->dev, pci->queue_select);
	return *q ? &pci->queues[(*q)->index] : NULL;
}

static u64 vbe_pci_read_queue_select(struct vbe_pci *pci, const struct vbe_pci_field *f)
{
	return pci->queue_select;
}

static void vbe_pci_stage_queue_select(struct vbe_pci *pci, const struct vbe_pci_field *f,
				       u64 value, u32 len)
{
	pci->queue_select = value;
}

/* Zero: not available. Until the driver asks for less, it is the most. */
static u64 vbe_pci_read_queue_size(struct vbe_pci *pci, const struct vbe_pci_field *f)
{
	struct vbe_queue *q;
	struct vbe_pci_queue *pq = vbe_pci_selected(pci, &q);

	if (!pq)
		return 0;
	return pq->sized ? pq->size : q->max_size;
}

static void vbe_pci_stage_queue_size(struct vbe_pci *pci, const struct vbe_pci_field *f,
				     u64 value, u32 len)
{
	struct vbe_queue *q;
	struct vbe_pci_queue *pq = vbe_pci_selected(pci, &q);

	/* What an enabled queue has is settled. */
	if (!pq || READ_ONCE(q->enabled))
		return;
	pq->size = value;
	pq->sized = true;
}

static u64 vbe_pci_read_queue_msix_vector(struct vbe_pci *pci, const struct vbe_pci_field *f)
{
	struct vbe_queue *q;
	struct vbe_pci_queue *pq = vbe_pci_selected(pci, &q);

	return pq ? pq->vector : VBE_PCI_NO_VECTOR;
}

static void vbe_pci_stage_queue_msix_vector(struct vbe_pci *pci, const struct vbe_pci_field *f,
					    u64 value, u32 len)
{
	struct vbe_queue *q;
	struct vbe_pci_queue *pq = vbe_pci_selected(pci, &q);

	if (pq)
		pq->vector = vbe_pci_msix_valid(pci, value);
}

static u64 vbe_pci_read_queue_enable(struct vbe_pci *pci, const struct vbe_pci_field *f)
{
	struct vbe_queue *q;

	return vbe_pci_selected(pci, &q) && READ_ONCE(q->enabled);
}

static u64 vbe_pci_read_queue_notify_off(struct vbe_pci *pci, const struct vbe_pci_field *f)
{
	struct vbe_queue *q;

	return vbe_pci_selected(pci, &q) ? q->index : 0;
}

static u64 vbe_pci_read_queue_addr(struct vbe_pci *pci, const struct vbe_pci_field *f)
{
	struct vbe_queue *q;
	struct vbe_pci_queue *pq = vbe_pci_selected(pci, &q);
	const u64 *addr = pq ? (void *)pq + f->addr : NULL;

	if (!addr)
		return 0;
	return f->half ? upper_32_bits(*addr) : *addr;
}

static void vbe_pci_stage_queue_addr(struct vbe_pci *pci, const struct vbe_pci_field *f,
				     u64 value, u32 len)
{
	struct vbe_queue *q;
	struct vbe_pci_queue *pq = vbe_pci_selected(pci, &q);
	u64 *addr = pq ? (void *)pq + f->addr : NULL;

	if (!addr || READ_ONCE(q->enabled))
		return;
	*addr = len == 8 ? value : vbe_pci_set_half(*addr, f->half ? 32 : 0, value);
}

static u64 vbe_pci_read_queue_reset(struct vbe_pci *pci, const struct vbe_pci_field *f)
{
	struct vbe_queue *q;
	struct vbe_pci_queue *pq = vbe_pci_selected(pci, &q);

	return pq && pq->stopping;
}

/* A copy of the selected queue's fields. Return: its number, or VBE_NO_QUEUE. */
static u32 vbe_pci_queue_copy(struct vbe_pci *pci, struct vbe_pci_queue *copy)
{
	struct vbe_pci_queue *pq;
	u32 index = VBE_NO_QUEUE;
	unsigned long flags;
	struct vbe_queue *q;

	flags = vbe_pci_lock(pci);
	pq = vbe_pci_selected(pci, &q);
	if (pq) {
		*copy = *pq;
		if (!pq->sized)
			copy->size = q->max_size;
		index = q->index;
	}
	vbe_pci_unlock(pci, flags, false);
	return index;
}

/* Zero disables nothing: that takes a reset (4.1.4.3.2). */
static void vbe_pci_slow_queue_enable(struct vbe_pci *pci, u32 value)
{
	struct vbe_pci_queue set;
	u32 index = value == 1 ? vbe_pci_queue_copy(pci, &set) : VBE_NO_QUEUE;

	/* What is refused reads back as not enabled. */
	if (index != VBE_NO_QUEUE &&
	    !vbe_fe_queue_set(pci->dev, index, set.size, set.desc, set.driver, set.device))
		vbe_fe_queue_enable(pci->dev, index, true);
}

/*
 * Of several that reset a queue, one waits; the others find it under way.
 * Return: number of the queue to stop, or VBE_NO_QUEUE.
 */
static u32 vbe_pci_claim_stop(struct vbe_pci *pci)
{
	struct vbe_pci_queue *pq;
	u32 index = VBE_NO_QUEUE;
	unsigned long flags;
	struct vbe_queue *q;

	flags = vbe_pci_lock(pci);
	pq = vbe_pci_selected(pci, &q);
	if (pq && !pq->stopping) {
		pq->stopping = true;
		index = q->index;
	}
	vbe_pci_unlock(pci, flags, false);
	return index;
}

/* 2.6.1. Reads as one until the backend has let go of the queue. */
static void vbe_pci_slow_queue_reset(struct vbe_pci *pci, u32 value)
{
	u64 driver_features = READ_ONCE(pci->dev->driver_features);
	unsigned long flags;
	u32 index;

	if (value != 1 || !(driver_features & BIT_ULL(VBE_PCI_F_RING_RESET)))
		return;
	index = vbe_pci_claim_stop(pci);
	if (index == VBE_NO_QUEUE)
		return;
	vbe_fe_queue_stop(pci->dev, index, NULL);
	flags = vbe_pci_lock(pci);
	pci->queues[index].stopping = false;
	vbe_pci_unlock(pci, flags, false);
}

/* ---- decoding ---------------------------------------------------------------------- */

#define FIELD(_offset, _len, _name, ...)					\
	[_offset] = { .len = (_len), .read = vbe_pci_read_##_name, __VA_ARGS__ }
#define STAGED(_offset, _len, _name)						\
	FIELD(_offset, _len, _name, .stage = vbe_pci_stage_##_name)
#define SLOW(_offset, _len, _name)						\
	FIELD(_offset, _len, _name, .slow = vbe_pci_slow_##_name)
#define QUEUE_ADDR(_offset, _len, _field, _half)				\
	FIELD(_offset, _len, queue_addr, .stage = vbe_pci_stage_queue_addr,	\
	      .addr = offsetof(struct vbe_pci_queue, _field), .half = (_half))

/* All of struct virtio_pci_common_cfg of 4.1.4.3, by offset. */
static const struct vbe_pci_field vbe_pci_fields[VBE_PCI_COMMON_SIZE] = {
	STAGED(0, 4, device_feature_select),
	FIELD(4, 4, device_feature),
	STAGED(8, 4, driver_feature_select),
	STAGED(12, 4, driver_feature),
	STAGED(16, 2, config_vector),
	FIELD(18, 2, num_queues),
	SLOW(20, 1, device_status),
	FIELD(21, 1, config_generation),
	STAGED(22, 2, queue_select),
	STAGED(24, 2, queue_size),
	STAGED(26, 2, queue_msix_vector),
	SLOW(28, 2, queue_enable),
	FIELD(30, 2, queue_notify_off),
	QUEUE_ADDR(32, 8, desc, false),
	QUEUE_ADDR(36, 4, desc, true),
	QUEUE_ADDR(40, 8, driver, false),
	QUEUE_ADDR(44, 4, driver, true),
	QUEUE_ADDR(48, 8, device, false),
	QUEUE_ADDR(52, 4, device, true),
	FIELD(56, 2, zero),		/* queue_notif_config_data: not offered */
	SLOW(58, 2, queue_reset),
	FIELD(60, 2, zero),		/* admin_queue_index: not offered */
	FIELD(62, 2, zero),		/* admin_queue_num: likewise */
};

static const struct vbe_pci_field *vbe_pci_field(const struct vbe_access *a)
{
	u32 offset = a->offset - VBE_PCI_COMMON_OFFSET;
	const struct vbe_pci_field *f;

	if (offset >= VBE_PCI_COMMON_SIZE)
		return NULL;
	f = &vbe_pci_fields[array_index_nospec(offset, VBE_PCI_COMMON_SIZE)];
	return a->len == f->len || (f->len == 8 && a->len == 4) ? f : NULL;
}

/**
 * vbe_pci_common_access() - common configuration
 * @pci: function
 * @a: access, present
 * @may_sleep: in process context
 *
 * Return: 0; EWOULDBLOCK.
 */
int vbe_pci_common_access(struct vbe_pci *pci, struct vbe_access *a, bool may_sleep)
{
	const struct vbe_pci_field *f = vbe_pci_field(a);
	unsigned long flags;

	if (!f)
		return vbe_pci_nobody(a);
	if (a->write && f->slow) {
		if (!may_sleep)
			return -EWOULDBLOCK;
		f->slow(pci, a->data & vbe_pci_ones(a->len));
		return 0;
	}
	flags = vbe_pci_lock(pci);
	if (!a->write)
		a->data = f->read(pci, f) & vbe_pci_ones(a->len);
	else if (f->stage)
		f->stage(pci, f, a->data & vbe_pci_ones(a->len), a->len);
	vbe_pci_unlock(pci, flags, false);
	return 0;
}

/* ---- reset ---------------------------------------------------------------------------- */

/* With pci->lock held. A queue_reset that is under way ends by itself. */
void vbe_pci_queue_forget(struct vbe_pci_queue *pq)
{
	pq->size = 0;
	pq->sized = false;
	pq->vector = VBE_PCI_NO_VECTOR;
	pq->desc = 0;
	pq->driver = 0;
	pq->device = 0;
}

/* With pci->lock held: all that a driver wrote, as after a reset of the device (2.4). */
void vbe_pci_common_forget(struct vbe_pci *pci)
{
	u32 i;

	pci->device_feature_select = 0;
	pci->driver_feature_select = 0;
	pci->driver_features = 0;
	pci->features_beyond = false;
	pci->config_vector = VBE_PCI_NO_VECTOR;
	pci->queue_select = 0;
	for (i = 0; i < VBE_MAX_QUEUES; i++)
		vbe_pci_queue_forget(&pci->queues[i]);
}
