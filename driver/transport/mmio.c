// SPDX-License-Identifier: GPL-2.0
/*
 * virtio-mmio: 4 KiB of registers and one wired interrupt (virtio 1.3, 4.2).
 *
 * Copyright (c) 2026 The vbe authors
 *
 * What each register does is told by vbe_mmio_regs[] below, and in
 * Documentation/registers.md.
 *
 * Most of it is answered wherever the access was trapped, hard interrupt included:
 * all reads, selectors, feature words, queue addresses, notify and acknowledge. What
 * the driver writes step by step is only kept here. Four writes need the core, which
 * sleeps, and hand it over: Status, QueueReady, QueueReset and config space. So the
 * core gets 64 bits of features, or a queue with all three addresses, at once.
 *
 * The line is high while InterruptStatus is not zero. The backend's calls set its bits
 * without any process in between; the driver clears them with InterruptACK.
 *
 * A device that nobody serves yet is a placeholder: DeviceID is zero, which drivers
 * must pass over in silence (4.2.2.2).
 *
 * The legacy layout (Version 1) is not offered: its drivers know neither
 * VIRTIO_F_VERSION_1 nor FEATURES_OK, and their rings are in guest endianness, at a page
 * number, with the used ring at an alignment of the driver's choice. The core refuses
 * such a driver, and no backend could serve it. Linux has had version 2 since 4.0.
 */
#include <linux/align.h>
#include <linux/nospec.h>
#include <linux/slab.h>
#include <uapi/linux/virtio_config.h>

#include "vbe.h"

#define VBE_MMIO_SIZE		0x1000
#define VBE_MMIO_MAGIC		0x74726976	/* "virt" */
#define VBE_MMIO_VERSION	2
#define VBE_MMIO_VENDOR		0x00656276	/* "vbe\0" */

#define VBE_MMIO_INT_USED	BIT(0)
#define VBE_MMIO_INT_CONFIG	BIT(1)

#define VBE_F_NOTIFICATION_DATA	38
#define VBE_F_NOTIF_CONFIG_DATA	39
#define VBE_F_RING_RESET	40
#define VBE_F_ADMIN_VQ		41

/* Offsets, by the names of 4.2.2. */
enum {
	MMIO_MAGIC_VALUE = 0x000,
	MMIO_VERSION = 0x004,
	MMIO_DEVICE_ID = 0x008,
	MMIO_VENDOR_ID = 0x00c,
	MMIO_DEVICE_FEATURES = 0x010,
	MMIO_DEVICE_FEATURES_SEL = 0x014,
	MMIO_DRIVER_FEATURES = 0x020,
	MMIO_DRIVER_FEATURES_SEL = 0x024,
	MMIO_QUEUE_SEL = 0x030,
	MMIO_QUEUE_NUM_MAX = 0x034,
	MMIO_QUEUE_NUM = 0x038,
	MMIO_QUEUE_READY = 0x044,
	MMIO_QUEUE_NOTIFY = 0x050,
	MMIO_INTERRUPT_STATUS = 0x060,
	MMIO_INTERRUPT_ACK = 0x064,
	MMIO_STATUS = 0x070,
	MMIO_QUEUE_DESC_LOW = 0x080,
	MMIO_QUEUE_DESC_HIGH = 0x084,
	MMIO_QUEUE_DRIVER_LOW = 0x090,
	MMIO_QUEUE_DRIVER_HIGH = 0x094,
	MMIO_QUEUE_DEVICE_LOW = 0x0a0,
	MMIO_QUEUE_DEVICE_HIGH = 0x0a4,
	MMIO_SHM_LEN_LOW = 0x0b0,
	MMIO_SHM_LEN_HIGH = 0x0b4,
	MMIO_SHM_BASE_LOW = 0x0b8,
	MMIO_SHM_BASE_HIGH = 0x0bc,
	MMIO_QUEUE_RESET = 0x0c0,
	MMIO_CONFIG_GENERATION = 0x0fc,
	MMIO_CONFIG = 0x100,
};

/**
 * struct vbe_mmio_queue - what the driver wrote of a queue, for QueueReady to take
 * @num: entries
 * @stopping: a QueueReset is under way
 * @desc: FE address of the descriptor area
 * @driver: FE address of the driver area
 * @device: FE address of the device area
 */
struct vbe_mmio_queue {
	u32 num;
	bool stopping;
	u64 desc;
	u64 driver;
	u64 device;
};

/**
 * struct vbe_mmio - registers of a device
 * @rcu: frees it: see vbe_mmio_line()
 * @dev: device
 * @lock: protects what follows; selectors and @isr may be read without. No other lock
 *	is taken in it, and nobody is called
 * @device_features_sel: DeviceFeaturesSel
 * @driver_features_sel: DriverFeaturesSel
 * @queue_sel: QueueSel
 * @isr: InterruptStatus
 * @driver_features: what was written to windows 0 and 1 of DriverFeatures
 * @features_beyond: a bit was written to any other window
 * @queues: staged geometry
 */
struct vbe_mmio {
	struct rcu_head rcu;
	struct vbe_device *dev;

	spinlock_t lock;
	u32 device_features_sel;
	u32 driver_features_sel;
	u32 queue_sel;
	u32 isr;
	u64 driver_features;
	bool features_beyond;
	struct vbe_mmio_queue queues[VBE_MAX_QUEUES];
};

/**
 * struct vbe_mmio_reg - a register; NULL where it cannot be read or written
 * @read: its value. Any context
 * @stage: keep what was written. Any context, vbe_mmio.lock held
 * @write: act on what was written. Any context
 * @slow: likewise, but sleeps
 * @field: for @stage: offset of an address in struct vbe_mmio_queue
 * @high: for @stage: upper half of it
 * @always: reads the same where no device is shown; others read as zero then
 */
struct vbe_mmio_reg {
	u32 (*read)(struct vbe_mmio *m);
	void (*stage)(struct vbe_mmio *m, const struct vbe_mmio_reg *reg, u32 value);
	void (*write)(struct vbe_mmio *m, u32 value);
	void (*slow)(struct vbe_mmio *m, u32 value);
	u32 field;
	bool high;
	bool always;
};

/* ---- the interrupt ---------------------------------------------------------- */

/*
 * Asked by whoever shows the device, too, while it is being made or deleted. All other
 * functions run between vbe_mmio_init() and vbe_mmio_exit().
 */
static bool vbe_mmio_line(struct vbe_device *dev)
{
	const struct vbe_mmio *m;
	bool high;

	rcu_read_lock();
	m = READ_ONCE(dev->transport_priv);
	high = m && READ_ONCE(m->isr);
	rcu_read_unlock();
	return high;
}

/* Not under m->lock: the provider asks for the level. */
static void vbe_mmio_line_changed(struct vbe_mmio *m, bool nested)
{
	const struct vbe_irq irq = {
		.type = VBE_IRQ_LINE,
		.nested = nested,
		.level = !!READ_ONCE(m->isr),
	};

	rcu_read_lock();
	m->dev->provider->inject(m->dev, &irq);
	rcu_read_unlock();
}

/*
 * The core looks at the status without our lock. So a call may come here after the
 * reset that it has lost against; a driver finds no bit set after reset (4.2.2.1).
 * Return: false when the bit was set before: the driver has yet to see that one.
 */
static bool vbe_mmio_raise(struct vbe_mmio *m, u32 bit, u8 status, bool nested)
{
	bool fresh = false, merged = false;
	unsigned long flags;

	spin_lock_irqsave(&m->lock, flags);
	if (vbe_fe_status(m->dev) & status) {
		merged = m->isr & bit;
		fresh = !merged;
		WRITE_ONCE(m->isr, m->isr | bit);
	}
	spin_unlock_irqrestore(&m->lock, flags);
	if (fresh || (merged && m->dev->provider->edge))
		vbe_mmio_line_changed(m, nested);
	return !merged;
}

static void vbe_mmio_queue_call(struct vbe_queue *q, bool nested)
{
	if (!vbe_mmio_raise(q->dev->transport_priv, VBE_MMIO_INT_USED,
			    VIRTIO_CONFIG_S_DRIVER_OK, nested))
		atomic64_inc(&q->stats.coalesced);
}

/*
 * A driver reads config space before DRIVER_OK, so it must learn of a change that comes
 * after. While there is none, nobody would lower the line again.
 */
static void vbe_mmio_config_changed(struct vbe_device *dev)
{
	vbe_mmio_raise(dev->transport_priv, VBE_MMIO_INT_CONFIG, VIRTIO_CONFIG_S_DRIVER, true);
}

/* What is still high was raised before, and interrupts once more (level semantics). */
static void vbe_mmio_eoi(struct vbe_device *dev, bool nested)
{
	if (vbe_mmio_line(dev))
		vbe_mmio_line_changed(dev->transport_priv, nested);
}

static u32 vbe_mmio_read_interrupt_status(struct vbe_mmio *m)
{
	return READ_ONCE(m->isr);
}

static void vbe_mmio_write_interrupt_ack(struct vbe_mmio *m, u32 value)
{
	unsigned long flags;
	u32 old;

	spin_lock_irqsave(&m->lock, flags);
	old = m->isr;
	WRITE_ONCE(m->isr, old & ~value);
	spin_unlock_irqrestore(&m->lock, flags);
	if (old & value)
		vbe_mmio_line_changed(m, false);
}

/* ---- what it is --------------------------------------------------------------- */

static u32 vbe_mmio_read_magic_value(struct vbe_mmio *m)
{
	return VBE_MMIO_MAGIC;
}

static u32 vbe_mmio_read_version(struct vbe_mmio *m)
{
	return VBE_MMIO_VERSION;
}

static u32 vbe_mmio_read_device_id(struct vbe_mmio *m)
{
	return m->dev->virtio_id;
}

static u32 vbe_mmio_read_vendor_id(struct vbe_mmio *m)
{
	return READ_ONCE(m->dev->vendor_id) ?: VBE_MMIO_VENDOR;
}

/* Of no region; SHMSel need not be kept. */
static u32 vbe_mmio_read_shm(struct vbe_mmio *m)
{
	return U32_MAX;
}

static u32 vbe_mmio_read_config_generation(struct vbe_mmio *m)
{
	return vbe_fe_config_generation(m->dev);
}

/* ---- features and status ---------------------------------------------------------- */

static u32 vbe_mmio_read_device_features(struct vbe_mmio *m)
{
	switch (READ_ONCE(m->device_features_sel)) {
	case 0:
		return lower_32_bits(vbe_fe_features(m->dev));
	case 1:
		return upper_32_bits(vbe_fe_features(m->dev));
	default:
		return 0;
	}
}

static void vbe_mmio_stage_device_features_sel(struct vbe_mmio *m,
					       const struct vbe_mmio_reg *reg, u32 value)
{
	WRITE_ONCE(m->device_features_sel, value);
}

static void vbe_mmio_stage_driver_features_sel(struct vbe_mmio *m,
					       const struct vbe_mmio_reg *reg, u32 value)
{
	m->driver_features_sel = value;
}

static void vbe_mmio_set_half(u64 *whole, bool high, u32 value)
{
	if (high)
		*whole = (u64)value << 32 | lower_32_bits(*whole);
	else
		*whole = (*whole & ~(u64)U32_MAX) | value;
}

static void vbe_mmio_stage_driver_features(struct vbe_mmio *m, const struct vbe_mmio_reg *reg,
					   u32 value)
{
	if (m->driver_features_sel <= 1)
		vbe_mmio_set_half(&m->driver_features, m->driver_features_sel, value);
	else if (value)
		m->features_beyond = true;
}

static u32 vbe_mmio_read_status(struct vbe_mmio *m)
{
	return vbe_fe_status(m->dev);
}

static void vbe_mmio_hand_over_features(struct vbe_mmio *m)
{
	unsigned long flags;
	u64 features;

	spin_lock_irqsave(&m->lock, flags);
	features = m->driver_features;
	/* Stands for all bits past 63: never offered either, so refused. */
	if (m->features_beyond)
		features |= BIT_ULL(VBE_F_NOTIFICATION_DATA);
	spin_unlock_irqrestore(&m->lock, flags);
	vbe_fe_set_features(m->dev, features);
}

static void vbe_mmio_slow_status(struct vbe_mmio *m, u32 value)
{
	u8 status = value;

	if (!value) {
		vbe_fe_reset(m->dev);
		return;
	}
	/* Zero resets; 0x100 is not zero, and means nothing. */
	if (!status)
		return;
	if (status & ~vbe_fe_status(m->dev) & VIRTIO_CONFIG_S_FEATURES_OK)
		vbe_mmio_hand_over_features(m);
	vbe_fe_set_status(m->dev, status);
}

/* ---- queues ----------------------------------------------------------------------- */

static struct vbe_mmio_queue *vbe_mmio_queue(struct vbe_mmio *m, u32 index)
{
	if (index >= VBE_MAX_QUEUES)
		return NULL;
	return &m->queues[array_index_nospec(index, VBE_MAX_QUEUES)];
}

static void vbe_mmio_stage_queue_sel(struct vbe_mmio *m, const struct vbe_mmio_reg *reg,
				     u32 value)
{
	WRITE_ONCE(m->queue_sel, value);
}

static u32 vbe_mmio_read_queue_num_max(struct vbe_mmio *m)
{
	struct vbe_queue *q = vbe_fe_queue(m->dev, READ_ONCE(m->queue_sel));

	return q ? q->max_size : 0;
}

static void vbe_mmio_stage_queue_num(struct vbe_mmio *m, const struct vbe_mmio_reg *reg,
				     u32 value)
{
	struct vbe_mmio_queue *mq = vbe_mmio_queue(m, m->queue_sel);

	if (mq)
		mq->num = value;
}

static void vbe_mmio_stage_queue_addr(struct vbe_mmio *m, const struct vbe_mmio_reg *reg,
				      u32 value)
{
	struct vbe_mmio_queue *mq = vbe_mmio_queue(m, m->queue_sel);

	if (mq)
		vbe_mmio_set_half((void *)mq + reg->field, reg->high, value);
}

static u32 vbe_mmio_read_queue_ready(struct vbe_mmio *m)
{
	struct vbe_queue *q = vbe_fe_queue(m->dev, READ_ONCE(m->queue_sel));

	return q && READ_ONCE(q->enabled);
}

static void vbe_mmio_queue_start(struct vbe_mmio *m, u32 index)
{
	struct vbe_mmio_queue *mq = vbe_mmio_queue(m, index);
	struct vbe_mmio_queue set;
	unsigned long flags;

	if (!mq)
		return;
	spin_lock_irqsave(&m->lock, flags);
	set = *mq;
	spin_unlock_irqrestore(&m->lock, flags);
	/* What is refused reads back as not ready. */
	if (!vbe_fe_queue_set(m->dev, index, set.num, set.desc, set.driver, set.device))
		vbe_fe_queue_enable(m->dev, index, true);
}

/* Of several that stop a queue, one waits; the others find it under way. */
static bool vbe_mmio_claim_stop(struct vbe_mmio *m, struct vbe_mmio_queue *mq)
{
	unsigned long flags;
	bool claimed;

	spin_lock_irqsave(&m->lock, flags);
	claimed = !mq->stopping;
	WRITE_ONCE(mq->stopping, true);
	spin_unlock_irqrestore(&m->lock, flags);
	return claimed;
}

static void vbe_mmio_queue_stop(struct vbe_mmio *m, struct vbe_queue *q)
{
	struct vbe_mmio_queue *mq = &m->queues[q->index];
	unsigned long flags;

	if (!READ_ONCE(q->enabled) || !vbe_mmio_claim_stop(m, mq))
		return;
	/* One that the backend cannot stop stays, and reads as, ready. */
	vbe_fe_queue_stop(m->dev, q->index, NULL);
	spin_lock_irqsave(&m->lock, flags);
	WRITE_ONCE(mq->stopping, false);
	spin_unlock_irqrestore(&m->lock, flags);
}

/* With DRIVER_OK a backend may use the queue: it must be asked first. */
static void vbe_mmio_slow_queue_ready(struct vbe_mmio *m, u32 value)
{
	u32 index = READ_ONCE(m->queue_sel);
	struct vbe_queue *q = vbe_fe_queue(m->dev, index);

	if (!q)
		return;
	if (value == 1)
		vbe_mmio_queue_start(m, index);
	else if (!value && (vbe_fe_status(m->dev) & VIRTIO_CONFIG_S_DRIVER_OK))
		vbe_mmio_queue_stop(m, q);
	else if (!value)
		vbe_fe_queue_enable(m->dev, index, false);
}

static u32 vbe_mmio_read_queue_reset(struct vbe_mmio *m)
{
	struct vbe_mmio_queue *mq = vbe_mmio_queue(m, READ_ONCE(m->queue_sel));

	return mq && READ_ONCE(mq->stopping);
}

static void vbe_mmio_slow_queue_reset(struct vbe_mmio *m, u32 value)
{
	struct vbe_queue *q = vbe_fe_queue(m->dev, READ_ONCE(m->queue_sel));

	if (q && value == 1 &&
	    (READ_ONCE(m->dev->driver_features) & BIT_ULL(VBE_F_RING_RESET)))
		vbe_mmio_queue_stop(m, q);
}

/*
 * Without NOTIFICATION_DATA, which is never offered, the value is a queue's index, and
 * queues have 16 bits of it.
 */
static void vbe_mmio_write_queue_notify(struct vbe_mmio *m, u32 value)
{
	struct vbe_queue *q = vbe_fe_queue(m->dev, value & U16_MAX);

	if (q)
		vbe_queue_kick(q);
}

/* ---- decoding ------------------------------------------------------------------- */

#define MMIO_REG(offset)	((offset) / 4)
#define MMIO_ADDR(_field, _high)	{					\
	.stage = vbe_mmio_stage_queue_addr,					\
	.field = offsetof(struct vbe_mmio_queue, _field), .high = (_high) }

/* Sections are of virtio 1.3; the table itself is 4.2.2. */
static const struct vbe_mmio_reg vbe_mmio_regs[MMIO_REG(MMIO_CONFIG)] = {
	/* 4.2.2.1 */
	[MMIO_REG(MMIO_MAGIC_VALUE)] = { .read = vbe_mmio_read_magic_value, .always = true },
	[MMIO_REG(MMIO_VERSION)] = { .read = vbe_mmio_read_version, .always = true },
	/* 4.2.2.2: zero for a placeholder; types in 5 */
	[MMIO_REG(MMIO_DEVICE_ID)] = { .read = vbe_mmio_read_device_id },
	[MMIO_REG(MMIO_VENDOR_ID)] = { .read = vbe_mmio_read_vendor_id, .always = true },
	/* 2.2 */
	[MMIO_REG(MMIO_DEVICE_FEATURES)] = { .read = vbe_mmio_read_device_features },
	[MMIO_REG(MMIO_DEVICE_FEATURES_SEL)] = { .stage = vbe_mmio_stage_device_features_sel },
	/* 2.2, looked at in 3.1.1 step 5 */
	[MMIO_REG(MMIO_DRIVER_FEATURES)] = { .stage = vbe_mmio_stage_driver_features },
	[MMIO_REG(MMIO_DRIVER_FEATURES_SEL)] = { .stage = vbe_mmio_stage_driver_features_sel },
	/* 4.2.3.2 */
	[MMIO_REG(MMIO_QUEUE_SEL)] = { .stage = vbe_mmio_stage_queue_sel },
	[MMIO_REG(MMIO_QUEUE_NUM_MAX)] = { .read = vbe_mmio_read_queue_num_max },
	[MMIO_REG(MMIO_QUEUE_NUM)] = { .stage = vbe_mmio_stage_queue_num },
	[MMIO_REG(MMIO_QUEUE_READY)] = {
		.read = vbe_mmio_read_queue_ready,
		.slow = vbe_mmio_slow_queue_ready,
	},
	/* 4.2.3.3 */
	[MMIO_REG(MMIO_QUEUE_NOTIFY)] = { .write = vbe_mmio_write_queue_notify },
	/* 4.2.3.4 */
	[MMIO_REG(MMIO_INTERRUPT_STATUS)] = { .read = vbe_mmio_read_interrupt_status },
	[MMIO_REG(MMIO_INTERRUPT_ACK)] = { .write = vbe_mmio_write_interrupt_ack },
	/* 2.1, 2.4, 3.1.1 */
	[MMIO_REG(MMIO_STATUS)] = { .read = vbe_mmio_read_status, .slow = vbe_mmio_slow_status },
	/* 4.2.3.2, 2.6 */
	[MMIO_REG(MMIO_QUEUE_DESC_LOW)] = MMIO_ADDR(desc, false),
	[MMIO_REG(MMIO_QUEUE_DESC_HIGH)] = MMIO_ADDR(desc, true),
	[MMIO_REG(MMIO_QUEUE_DRIVER_LOW)] = MMIO_ADDR(driver, false),
	[MMIO_REG(MMIO_QUEUE_DRIVER_HIGH)] = MMIO_ADDR(driver, true),
	[MMIO_REG(MMIO_QUEUE_DEVICE_LOW)] = MMIO_ADDR(device, false),
	[MMIO_REG(MMIO_QUEUE_DEVICE_HIGH)] = MMIO_ADDR(device, true),
	/* 2.10: no shared memory regions */
	[MMIO_REG(MMIO_SHM_LEN_LOW)] = { .read = vbe_mmio_read_shm, .always = true },
	[MMIO_REG(MMIO_SHM_LEN_HIGH)] = { .read = vbe_mmio_read_shm, .always = true },
	[MMIO_REG(MMIO_SHM_BASE_LOW)] = { .read = vbe_mmio_read_shm, .always = true },
	[MMIO_REG(MMIO_SHM_BASE_HIGH)] = { .read = vbe_mmio_read_shm, .always = true },
	/* 2.6.1, 4.2.2.1 */
	[MMIO_REG(MMIO_QUEUE_RESET)] = {
		.read = vbe_mmio_read_queue_reset,
		.slow = vbe_mmio_slow_queue_reset,
	},
	/* 2.5, 4.2.2.1 */
	[MMIO_REG(MMIO_CONFIG_GENERATION)] = { .read = vbe_mmio_read_config_generation },
};

/* Bytes of any width and alignment (4.2.2); what is past its end reads as ones. */
static int vbe_mmio_access_config(struct vbe_mmio *m, struct vbe_access *a, bool may_sleep)
{
	u32 offset = a->offset - MMIO_CONFIG;
	__le64 raw = cpu_to_le64(a->data);

	if (!a->present) {
		a->data = a->write ? a->data : 0;
		return 0;
	}
	if (!a->write) {
		raw = 0;
		vbe_fe_config_read(m->dev, offset, &raw, min_t(u32, a->len, sizeof(raw)));
		a->data = le64_to_cpu(raw);
		return 0;
	}
	if (!may_sleep)
		return -EWOULDBLOCK;
	vbe_fe_config_write(m->dev, offset, &raw, min_t(u32, a->len, sizeof(raw)));
	return 0;
}

static int vbe_mmio_write_reg(struct vbe_mmio *m, const struct vbe_mmio_reg *reg, u32 value,
			      bool may_sleep)
{
	unsigned long flags;

	if (reg->slow && !may_sleep)
		return -EWOULDBLOCK;
	if (reg->slow) {
		reg->slow(m, value);
	} else if (reg->write) {
		reg->write(m, value);
	} else if (reg->stage) {
		spin_lock_irqsave(&m->lock, flags);
		reg->stage(m, reg, value);
		spin_unlock_irqrestore(&m->lock, flags);
	}
	return 0;
}

/*
 * Registers are accessed as aligned 32 bits only (4.2.2.2). Any other access is a driver's
 * mistake: it reads zero and writes nothing, like a register that cannot be read, or
 * written, or is none.
 */
static int vbe_mmio_access(struct vbe_device *dev, struct vbe_access *a, bool may_sleep)
{
	struct vbe_mmio *m = dev->transport_priv;
	const struct vbe_mmio_reg *reg;

	if (a->offset >= MMIO_CONFIG)
		return vbe_mmio_access_config(m, a, may_sleep);
	reg = &vbe_mmio_regs[array_index_nospec(a->offset / 4, ARRAY_SIZE(vbe_mmio_regs))];
	if (a->len != 4 || !IS_ALIGNED(a->offset, 4))
		a->data = a->write ? a->data : 0;
	else if (!a->write)
		a->data = reg->read && (a->present || reg->always) ? reg->read(m) : 0;
	else if (a->present)
		return vbe_mmio_write_reg(m, reg, a->data, may_sleep);
	return 0;
}

/* ---- life ------------------------------------------------------------------------ */

static void vbe_mmio_free(struct vbe_device *dev)
{
	struct vbe_mmio *m = dev->transport_priv;

	WRITE_ONCE(dev->transport_priv, NULL);
	kvfree_rcu(m, rcu);
}

/* What lies behind the end of a smaller one is another device's. */
static u32 vbe_mmio_size(const struct vbe_device *dev)
{
	return dev->provider->mmio_size ?: VBE_MMIO_SIZE;
}

static int vbe_mmio_map(struct vbe_device *dev, u64 base, struct netlink_ext_ack *extack)
{
	int ret = vbe_region_map(dev, 0, VBE_SPACE_MMIO, base, vbe_mmio_size(dev));

	switch (ret) {
	case 0:
		break;
	case -EEXIST:
		NL_SET_ERR_MSG(extack, "base overlaps another region of the guest");
		break;
	case -ENOSPC:
		NL_SET_ERR_MSG(extack, "the guest has too many regions");
		break;
	case -ENOMEM:
		NL_SET_ERR_MSG(extack, "out of memory");
		break;
	default:
		NL_SET_ERR_MSG(extack, "no registers can be placed at base");
	}
	return ret;
}

static int vbe_mmio_init(struct vbe_device *dev, const struct vbe_dev_params *p,
			 struct netlink_ext_ack *extack)
{
	struct vbe_mmio *m;
	int ret;

	if (!(p->set & BIT(VBE_PARAM_BASE)) || !IS_ALIGNED(p->base, vbe_mmio_size(dev))) {
		NL_SET_ERR_MSG(extack, "transport mmio needs a base, aligned to the size of its registers (4 KiB, or 512 bytes)");
		return -EINVAL;
	}
	m = kvzalloc(sizeof(*m), GFP_KERNEL_ACCOUNT);
	if (!m) {
		NL_SET_ERR_MSG(extack, "out of memory");
		return -ENOMEM;
	}
	m->dev = dev;
	spin_lock_init(&m->lock);
	/* Accesses may come as soon as it is mapped. */
	smp_store_release(&dev->transport_priv, m);
	ret = vbe_mmio_map(dev, p->base, extack);
	if (ret)
		vbe_mmio_free(dev);
	return ret;
}

static void vbe_mmio_exit(struct vbe_device *dev)
{
	vbe_region_unmap(dev, 0);
	vbe_mmio_free(dev);
}

static void vbe_mmio_forget_queue(struct vbe_mmio_queue *mq)
{
	mq->num = 0;
	mq->desc = 0;
	mq->driver = 0;
	mq->device = 0;
}

/* A QueueReset that is under way ends by itself: @stopping is not the driver's. */
static void vbe_mmio_reset(struct vbe_device *dev)
{
	struct vbe_mmio *m = dev->transport_priv;
	bool was_high;
	u32 i;

	spin_lock_irq(&m->lock);
	was_high = m->isr;
	WRITE_ONCE(m->isr, 0);
	WRITE_ONCE(m->device_features_sel, 0);
	WRITE_ONCE(m->queue_sel, 0);
	m->driver_features_sel = 0;
	m->driver_features = 0;
	m->features_beyond = false;
	for (i = 0; i < VBE_MAX_QUEUES; i++)
		vbe_mmio_forget_queue(&m->queues[i]);
	spin_unlock_irq(&m->lock);
	if (was_high)
		vbe_mmio_line_changed(m, true);
}

static void vbe_mmio_queue_stopped(struct vbe_queue *q)
{
	struct vbe_mmio *m = q->dev->transport_priv;

	spin_lock_irq(&m->lock);
	vbe_mmio_forget_queue(&m->queues[q->index]);
	spin_unlock_irq(&m->lock);
}

static void vbe_mmio_notify(struct vbe_queue *q, struct vbe_notify *n)
{
	u64 base = vbe_region_base(q->dev, 0);

	/* Not mapped: it is being deleted. */
	n->addr = base ? base + MMIO_QUEUE_NOTIFY : 0;
	n->len = 4;
	n->match = true;
	n->data = q->index;
	n->vector = VBE_NO_QUEUE;
}

/* ACCESS_PLATFORM is a provider's to demand; the others are no part of this transport. */
const struct vbe_transport_ops vbe_mmio_transport = {
	.name = "mmio",
	.features_owned = BIT_ULL(VIRTIO_F_ACCESS_PLATFORM) |
			  BIT_ULL(VIRTIO_F_ORDER_PLATFORM) |
			  BIT_ULL(VIRTIO_F_SR_IOV) |
			  BIT_ULL(VBE_F_NOTIFICATION_DATA) |
			  BIT_ULL(VBE_F_NOTIF_CONFIG_DATA) |
			  BIT_ULL(VBE_F_RING_RESET) |
			  BIT_ULL(VBE_F_ADMIN_VQ),
	.features_queue_stop = BIT_ULL(VBE_F_RING_RESET),
	.queue_call = vbe_mmio_queue_call,
	.config_changed = vbe_mmio_config_changed,
	.init = vbe_mmio_init,
	.exit = vbe_mmio_exit,
	.access = vbe_mmio_access,
	.reset = vbe_mmio_reset,
	.queue_stopped = vbe_mmio_queue_stopped,
	.eoi = vbe_mmio_eoi,
	.line = vbe_mmio_line,
	.notify = vbe_mmio_notify,
};
