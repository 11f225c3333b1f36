// SPDX-License-Identifier: GPL-2.0
/*
 * The device as its driver sees it: features, status, config, queues, reset.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * Transports call these for the driver; whatever the driver says is checked here.
 *
 * Only three of its actions wait for the backend, each at most for the reset
 * time-out: FEATURES_OK, if the backend asked to be asked, reset, and the reset of a
 * single queue. The wait
 * holds fe_lock but not dev->lock, so the backend can do anything meanwhile,
 * dying included. Reset, step by step:
 *
 *  1. post a held VBE_EVENT_RESET and wait;
 *  2. answered: the backend touches no queue and no buffer any more.
 *     No backend: it ended before, and its end has been dealt with.
 *     Time-out: revoke its memory. It lives on with scratch memory; the attachment
 *     is over, and the loss policy applies;
 *  3. either way the kernel then gives back what is mapped of transient memory (the
 *     driver frees its rings next), disables the queues, clears the in-flight area, and
 *     the driver sees status 0.
 */
#include <linux/highmem.h>
#include <linux/nospec.h>
#include <uapi/linux/virtio_config.h>

#include "trace.h"
#include "vbe.h"

enum vbe_answer {
	VBE_ANSWER_NOBODY,
	VBE_ANSWER_TIMEOUT,
	VBE_ANSWER_OK,
	VBE_ANSWER_REFUSED,
};

/* ---- held actions ----------------------------------------------------------- */

/* No next backend attaches while a reset is under way: it would find old rings. */
static void vbe_reset_begin(struct vbe_device *dev)
{
	mutex_lock(&dev->lock);
	dev->resetting = true;
	mutex_unlock(&dev->lock);
}

static bool vbe_held_post(struct vbe_device *dev, u32 type, u32 queue, u64 data)
{
	struct vbe_held *held = &dev->held;
	bool posted = false;

	mutex_lock(&dev->lock);
	if (dev->client && dev->state != VBE_DEV_DEAD) {
		reinit_completion(&held->done);
		held->type = type;
		held->result = 0;
		held->answered = false;
		held->cookie = ++dev->last_cookie;
		held->data = 0;
		vbe_event_post(dev, dev->client, type, queue, held->cookie, data, 0);
		posted = true;
	}
	mutex_unlock(&dev->lock);
	return posted;
}

static enum vbe_answer vbe_held_ask(struct vbe_device *dev, u32 type, u32 queue, u64 data)
{
	unsigned long left = msecs_to_jiffies(READ_ONCE(dev->params.reset_timeout_ms));
	struct vbe_held *held = &dev->held;
	enum vbe_answer answer;

	lockdep_assert_held(&dev->fe_lock);
	if (!vbe_held_post(dev, type, queue, data))
		return VBE_ANSWER_NOBODY;
	wait_for_completion_timeout(&held->done, left);
	mutex_lock(&dev->lock);
	if (held->cookie)
		answer = VBE_ANSWER_TIMEOUT;
	else if (!held->answered)
		answer = VBE_ANSWER_NOBODY;
	else
		answer = held->result ? VBE_ANSWER_REFUSED : VBE_ANSWER_OK;
	held->cookie = 0;
	mutex_unlock(&dev->lock);
	return answer;
}

/**
 * vbe_held_complete() - COMPLETE
 * @c: client
 * @answer: which event, and the backend's answer
 *
 * Context: process; takes dev->lock.
 * Return: 0; ENODEV, ENOENT.
 */
int vbe_held_complete(struct vbe_client *c, const struct vbe_complete *answer)
{
	struct vbe_device *dev = c->dev;
	struct vbe_held *held = &dev->held;
	int ret = -ENOENT;

	mutex_lock(&dev->lock);
	if (dev->client != c) {
		ret = vbe_fail(&c->why, -ENODEV, "the device is gone");
	} else if (answer->cookie && held->cookie == answer->cookie) {
		held->cookie = 0;
		held->result = answer->result;
		held->data = answer->data;
		held->answered = true;
		complete(&held->done);
		ret = 0;
	} else if (answer->cookie && dev->transport->complete) {
		ret = dev->transport->complete(dev, answer->cookie, answer->data);
	}
	mutex_unlock(&dev->lock);
	if (ret == -ENOENT)
		vbe_fail(&c->why, ret, "no event with this cookie waits (any more)");
	return ret;
}

/* ---- features and status ------------------------------------------------------- */

/**
 * vbe_fe_features() - what the device offers (virtio 1.3, 2.2)
 * @dev: device, visible
 */
u64 vbe_fe_features(struct vbe_device *dev)
{
	return READ_ONCE(dev->features);
}

/**
 * vbe_fe_features_required() - what every driver of a device has to take
 * @dev: device
 */
u64 vbe_fe_features_required(const struct vbe_device *dev)
{
	return dev->provider->features_required | dev->features_required;
}

/**
 * vbe_fe_set_features() - what the driver takes
 * @dev: device, visible
 * @features: bits
 *
 * Looked at when the driver sets FEATURES_OK.
 * Context: process, may sleep; takes fe_lock.
 * Return: 0, or -EINVAL after FEATURES_OK.
 */
int vbe_fe_set_features(struct vbe_device *dev, u64 features)
{
	int ret = 0;

	mutex_lock(&dev->fe_lock);
	if (dev->status & VIRTIO_CONFIG_S_FEATURES_OK)
		ret = -EINVAL;
	else
		dev->features_staged = features;
	mutex_unlock(&dev->fe_lock);
	return ret;
}

/**
 * vbe_fe_status() - device status
 * @dev: device, visible
 *
 * Context: any.
 */
u8 vbe_fe_status(struct vbe_device *dev)
{
	return READ_ONCE(dev->status);
}

/*
 * A driver that takes what was not offered, leaves out VERSION_1, or leaves out
 * what the device cannot do without (ACCESS_PLATFORM) is refused.
 */
static bool vbe_fe_negotiate(struct vbe_device *dev)
{
	u64 must = vbe_fe_features_required(dev) | BIT_ULL(VIRTIO_F_VERSION_1);
	u64 features = dev->features_staged;

	if ((features & ~dev->features) || (must & ~features))
		return false;
	if ((dev->setup_flags & VBE_SETUP_F_ASK_FEATURES) &&
	    vbe_held_ask(dev, VBE_EVENT_FEATURES, VBE_NO_QUEUE, features) != VBE_ANSWER_OK)
		return false;
	mutex_lock(&dev->lock);
	dev->driver_features = features;
	mutex_unlock(&dev->lock);
	return true;
}

static void vbe_fe_status_event(struct vbe_device *dev, u8 status)
{
	mutex_lock(&dev->lock);
	if (dev->client)
		vbe_event_post(dev, dev->client, VBE_EVENT_STATUS, VBE_NO_QUEUE, 0, status, 0);
	trace_vbe_state(dev, dev->state);
	vbe_nl_notify(dev, VBE_NL_STATUS);
	mutex_unlock(&dev->lock);
}

static int vbe_fe_change_status(struct vbe_device *dev, u8 status)
{
	u8 old = dev->status;

	lockdep_assert_held(&dev->fe_lock);
	/* Bits only come, until reset (2.1.1); NEEDS_RESET is the device's. */
	status &= ~VIRTIO_CONFIG_S_NEEDS_RESET;
	if (old & ~status & ~VIRTIO_CONFIG_S_NEEDS_RESET)
		return -EINVAL;
	if ((status & VIRTIO_CONFIG_S_DRIVER_OK) && !(status & VIRTIO_CONFIG_S_FEATURES_OK))
		return -EINVAL;
	if ((status & ~old & VIRTIO_CONFIG_S_FEATURES_OK) && !vbe_fe_negotiate(dev))
		status &= ~(VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
	spin_lock_irq(&dev->state_lock);
	dev->status |= status;
	spin_unlock_irq(&dev->state_lock);
	vbe_fe_status_event(dev, dev->status);
	return 0;
}

/**
 * vbe_fe_set_status() - the driver writes device status
 * @dev: device, visible
 * @status: new value; 0 resets
 *
 * FEATURES_OK does not stick when the features are refused (3.1.1).
 * Context: process; sleeps at most for the reset time-out; takes fe_lock.
 * Return: 0, or -EINVAL for what a driver must not do.
 */
int vbe_fe_set_status(struct vbe_device *dev, u8 status)
{
	int ret;

	atomic64_inc(&dev->stats.accesses);
	if (!status) {
		vbe_fe_reset(dev);
		return 0;
	}
	mutex_lock(&dev->fe_lock);
	ret = vbe_fe_change_status(dev, status);
	mutex_unlock(&dev->fe_lock);
	return ret;
}

/* ---- reset -------------------------------------------------------------------- */

static void vbe_inflight_clear(struct vbe_device *dev, unsigned long first, unsigned long n)
{
	unsigned long i;

	lockdep_assert_held(&dev->lock);
	for (i = first; dev->inflight.pages && i < first + n; i++) {
		clear_highpage(dev->inflight.pages[i]);
		cond_resched();
	}
}

static void vbe_fe_forget(struct vbe_device *dev)
{
	u32 i;

	mutex_lock(&dev->lock);
	for (i = 0; i < dev->n_queues; i++)
		vbe_queue_stop(&dev->queues[i]);
	vbe_inflight_clear(dev, 0, dev->inflight.len >> PAGE_SHIFT);
	dev->resume = false;
	dev->driver_features = 0;
	dev->features_staged = 0;
	dev->resetting = false;
	spin_lock_irq(&dev->state_lock);
	dev->status = 0;
	spin_unlock_irq(&dev->state_lock);
	if (dev->transport->reset)
		dev->transport->reset(dev);
	trace_vbe_state(dev, dev->state);
	mutex_unlock(&dev->lock);
}

static void vbe_fe_overdue(struct vbe_device *dev)
{
	atomic64_inc(&dev->stats.bounded_resets);
	vbe_nl_notify(dev, VBE_NL_BOUNDED_RESET);
	vbe_backend_revoke(dev);
}

/**
 * vbe_fe_reset() - the driver resets the device (2.4)
 * @dev: device, visible
 *
 * Context: process; sleeps at most for the reset time-out; takes fe_lock.
 */
void vbe_fe_reset(struct vbe_device *dev)
{
	mutex_lock(&dev->fe_lock);
	vbe_reset_begin(dev);
	/* Drivers reset before they start: nothing is running then. */
	if (dev->status &&
	    vbe_held_ask(dev, VBE_EVENT_RESET, VBE_NO_QUEUE, 0) == VBE_ANSWER_TIMEOUT)
		vbe_fe_overdue(dev);
	vbe_windows_unmap(dev, false);
	if (dev->status && dev->provider->quiesced)
		dev->provider->quiesced(dev);
	vbe_fe_forget(dev);
	mutex_unlock(&dev->fe_lock);
}

static void vbe_fe_queue_forget(struct vbe_queue *q)
{
	struct vbe_device *dev = q->dev;
	unsigned long n = dev->inflight_size >> PAGE_SHIFT;

	mutex_lock(&dev->lock);
	vbe_queue_stop(q);
	vbe_inflight_clear(dev, q->index * n, n);
	if (dev->transport->queue_stopped)
		dev->transport->queue_stopped(q);
	mutex_unlock(&dev->lock);
}

static int vbe_fe_queue_ask(struct vbe_queue *q, u32 *base)
{
	struct vbe_device *dev = q->dev;

	if (!q->enabled)
		return 0;
	switch (vbe_held_ask(dev, VBE_EVENT_QUEUE_STOP, q->index, 0)) {
	case VBE_ANSWER_TIMEOUT:
		vbe_fe_overdue(dev);
		return base ? -ENOTCONN : 0;
	case VBE_ANSWER_NOBODY:
		return base ? -ENOTCONN : 0;
	default:
		if (base)
			*base = dev->held.data;
		return 0;
	}
}

/**
 * vbe_fe_queue_stop() - the driver resets one queue (2.6.1), or a provider stops it
 * @dev: device, visible
 * @index: queue
 * @base: for where the backend ended, as &struct vbe_queue_info.base. NULL: the driver
 *	resets the queue, and what is in flight in it is forgotten at any rate
 *
 * Context: process; sleeps at most for the reset time-out; takes fe_lock.
 * Return: 0; ENOENT; EOPNOTSUPP, the backend cannot stop single queues. With @base also
 * ENOTCONN: no backend tells where it ended; the queue and its in-flight area are left.
 */
int vbe_fe_queue_stop(struct vbe_device *dev, u32 index, u32 *base)
{
	struct vbe_queue *q = vbe_fe_queue(dev, index);
	int ret;

	if (!q)
		return -ENOENT;
	mutex_lock(&dev->fe_lock);
	if (base)
		*base = q->base;
	if (q->enabled && !(dev->setup_flags & VBE_SETUP_F_QUEUE_STOP))
		ret = -EOPNOTSUPP;
	else
		ret = vbe_fe_queue_ask(q, base);
	if (!ret) {
		/* Other queues touch theirs again. */
		vbe_windows_unmap(dev, false);
		vbe_fe_queue_forget(q);
	}
	mutex_unlock(&dev->fe_lock);
	return ret;
}

/* ---- config space ---------------------------------------------------------------- */

/**
 * vbe_fe_config_read() - the driver reads config space
 * @dev: device, visible
 * @offset: first byte
 * @buf: where to
 * @len: bytes
 *
 * Bytes past the end read as ones.
 * Context: any.
 * Return: 0, or -ERANGE when some bytes were past the end.
 */
int vbe_fe_config_read(struct vbe_device *dev, u32 offset, void *buf, u32 len)
{
	unsigned long flags;
	u32 n = 0;

	atomic64_inc(&dev->stats.accesses);
	trace_vbe_access(dev, false, offset, len);
	spin_lock_irqsave(&dev->state_lock, flags);
	if (offset < dev->config_size)
		n = min(len, dev->config_size - offset);
	memcpy(buf, dev->config + offset, n);
	spin_unlock_irqrestore(&dev->state_lock, flags);
	memset(buf + n, 0xff, len - n);
	return n == len ? 0 : -ERANGE;
}

/**
 * vbe_fe_config_write() - the driver writes config space
 * @dev: device, visible
 * @offset: first byte
 * @buf: from where
 * @len: bytes
 *
 * Context: process, may sleep; takes dev->lock.
 * Return: 0, or -ERANGE and nothing written when it passes the end.
 */
int vbe_fe_config_write(struct vbe_device *dev, u32 offset, const void *buf, u32 len)
{
	int ret = -ERANGE;

	atomic64_inc(&dev->stats.accesses);
	trace_vbe_access(dev, true, offset, len);
	spin_lock_irq(&dev->state_lock);
	if (offset <= dev->config_size && len <= dev->config_size - offset) {
		memcpy(dev->config + offset, buf, len);
		ret = 0;
	}
	spin_unlock_irq(&dev->state_lock);
	if (ret)
		return ret;
	mutex_lock(&dev->lock);
	if (dev->client)
		vbe_event_post(dev, dev->client, VBE_EVENT_CONFIG, VBE_NO_QUEUE, 0, offset, len);
	mutex_unlock(&dev->lock);
	return 0;
}

/**
 * vbe_fe_config_generation() - counts changes of config space by the device (2.5)
 * @dev: device, visible
 *
 * Context: any.
 */
u32 vbe_fe_config_generation(struct vbe_device *dev)
{
	return READ_ONCE(dev->config_generation);
}

/* ---- queues ------------------------------------------------------------------------ */

/**
 * vbe_fe_queue() - a queue by number
 * @dev: device, visible
 * @index: from the driver
 *
 * Return: the queue, or NULL when there is none of that number.
 */
struct vbe_queue *vbe_fe_queue(struct vbe_device *dev, u32 index)
{
	if (index >= dev->n_queues)
		return NULL;
	return &dev->queues[array_index_nospec(index, dev->n_queues)];
}

static bool vbe_ring_part_ok(struct vbe_device *dev, u64 addr, u64 len, u32 align)
{
	return IS_ALIGNED(addr, align) && vbe_window_contains(dev, addr, len);
}

/* Sizes and alignments of 2.7 (split) and 2.8.10 (packed). */
static int vbe_fe_ring_check(struct vbe_device *dev, u32 num, u64 desc, u64 driver, u64 device)
{
	bool packed = dev->driver_features & BIT_ULL(VIRTIO_F_RING_PACKED);
	u64 driver_len = packed ? 4 : 6 + 2ULL * num;
	u64 device_len = packed ? 4 : 6 + 8ULL * num;

	if (!packed && !is_power_of_2(num))
		return -EINVAL;
	if (!vbe_ring_part_ok(dev, desc, 16ULL * num, 16) ||
	    !vbe_ring_part_ok(dev, driver, driver_len, packed ? 4 : 2) ||
	    !vbe_ring_part_ok(dev, device, device_len, 4))
		return -EFAULT;
	return 0;
}

/**
 * vbe_fe_queue_set() - the driver says where a queue is
 * @dev: device, visible
 * @index: queue
 * @num: entries, 1..max_size
 * @desc: FE address of the descriptor area
 * @driver: FE address of the driver area
 * @device: FE address of the device area
 *
 * Context: process, may sleep; takes fe_lock.
 * Return: 0; ENOENT, EBUSY when enabled, EINVAL (also before FEATURES_OK), EFAULT for
 * an address that is not aligned or not in a window.
 */
int vbe_fe_queue_set(struct vbe_device *dev, u32 index, u32 num, u64 desc, u64 driver,
		     u64 device)
{
	struct vbe_queue *q = vbe_fe_queue(dev, index);
	int ret;

	if (!q)
		return -ENOENT;
	if (!num || num > q->max_size)
		return -EINVAL;
	mutex_lock(&dev->fe_lock);
	/* What a ring looks like is known once features are settled. */
	if (!(dev->status & VIRTIO_CONFIG_S_FEATURES_OK))
		ret = -EINVAL;
	else if (q->enabled)
		ret = -EBUSY;
	else
		ret = vbe_fe_ring_check(dev, num, desc, driver, device);
	if (!ret) {
		mutex_lock(&dev->lock);
		q->num = num;
		/* Packed rings begin with both wrap counters set (2.8.1). */
		q->base = dev->driver_features & BIT_ULL(VIRTIO_F_RING_PACKED) ?
			  0x80008000 : 0;
		q->desc = desc;
		q->driver = driver;
		q->device = device;
		mutex_unlock(&dev->lock);
	}
	mutex_unlock(&dev->fe_lock);
	return ret;
}

/**
 * vbe_fe_queue_enable() - the driver enables or disables a queue
 * @dev: device, visible
 * @index: queue
 * @on: enable; needs vbe_fe_queue_set() before
 *
 * Context: process, may sleep; takes fe_lock, dev->lock, mem_sem.
 * Return: 0; ENOENT, EINVAL when it was not set.
 */
int vbe_fe_queue_enable(struct vbe_device *dev, u32 index, bool on)
{
	struct vbe_queue *q = vbe_fe_queue(dev, index);
	int ret = 0;

	if (!q)
		return -ENOENT;
	mutex_lock(&dev->fe_lock);
	/* Who touched it while it was not there shall find it now. */
	if (on && !q->enabled)
		vbe_windows_unmap(dev, false);
	mutex_lock(&dev->lock);
	if (!on) {
		vbe_queue_stop(q);
	} else if (!q->num) {
		ret = -EINVAL;
	} else if (!q->enabled) {
		/* Who sees it enabled sees its addresses. */
		smp_store_release(&q->enabled, true);
		if (dev->client && (dev->status & VIRTIO_CONFIG_S_DRIVER_OK))
			vbe_event_post(dev, dev->client, VBE_EVENT_QUEUE, index, 0, 1, 0);
	}
	mutex_unlock(&dev->lock);
	mutex_unlock(&dev->fe_lock);
	return ret;
}
