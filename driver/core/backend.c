// SPDX-License-Identifier: GPL-2.0
/*
 * Backends: attach, set up, go online, go away.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * A backend may end at any instruction. What it leaves behind:
 *
 *  - its mappings: gone with its VMAs, or turned into scratch memory; what it did not give
 *    back of transient memory is given back;
 *  - its call eventfds: unhooked; its kick eventfds: kicks are latched again;
 *  - a held FE action: answered at once on its behalf;
 *  - I/O that the host's storage still does for it, straight to or from FE
 *    buffers (O_DIRECT, io_uring fixed buffers). Nobody can recall that. But such
 *    I/O holds page references, so it can be *seen*: no next backend attaches
 *    before they have gone, and then the provider repairs what a late write may
 *    have spoilt. Else a write of the dead could overtake one of the living.
 *    Where the pages are a file's, others may hold them as well, and for good (a VMM
 *    that passes hardware through): the dead's share cannot be told from theirs, so
 *    for those pages the wait just ends with the reset time-out.
 */
#include <linux/delay.h>
#include <linux/sched/signal.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <uapi/linux/virtio_config.h>

#include "vbe.h"

#define VBE_INFLIGHT_TOTAL	(64UL << 20)	/* bytes per device */

/* ---- attach and detach ------------------------------------------------------- */

static int vbe_backend_try_attach(struct vbe_device *dev, struct vbe_client *c, bool late,
				  struct vbe_why *why)
{
	lockdep_assert_held(&dev->lock);
	if (dev->state == VBE_DEV_DEAD || dev->deleting)
		return vbe_fail(why, -ENODEV, "the device is being made or deleted");
	if (dev->client)
		return vbe_fail(why, -EBUSY, "the device has a backend already");
	if (dev->state == VBE_DEV_OFFLINING)
		return vbe_fail(why, -EBUSY, "the device is being taken away from its front-end");
	if (dev->resetting || vbe_device_mem_busy(dev, late))
		return -EAGAIN;
	if (dev->provider->mem_clean)
		dev->provider->mem_clean(dev);
	dev->client = c;
	if (dev->provider->state_changed)
		dev->provider->state_changed(dev);
	return 0;
}

/**
 * vbe_backend_attach() - make a client the device's backend
 * @dev: device
 * @c: new client
 * @nowait: do not wait for what a dead backend left in flight
 * @why: error text
 *
 * Context: process; sleeps, interruptible, at most the reset time-out.
 * Return: 0; ENODEV, EBUSY, EINTR.
 */
int vbe_backend_attach(struct vbe_device *dev, struct vbe_client *c, bool nowait,
		       struct vbe_why *why)
{
	unsigned long end = jiffies + msecs_to_jiffies(READ_ONCE(dev->params.reset_timeout_ms));
	unsigned int pause;
	bool late;
	int ret;

	for (pause = 1;; pause = min(2 * pause, 50U)) {
		late = !nowait && time_after(jiffies, end);
		mutex_lock(&dev->lock);
		ret = vbe_backend_try_attach(dev, c, late, why);
		if (!ret)
			vbe_nl_notify(dev, VBE_NL_ATTACH);
		mutex_unlock(&dev->lock);
		if (ret != -EAGAIN)
			return ret;
		if (nowait || late)
			return vbe_fail(why, -EBUSY,
					"I/O of the previous backend is still in flight, or a reset is");
		if (msleep_interruptible(pause))
			return vbe_fail(why, -EINTR, "interrupted");
	}
}

static void vbe_backend_unhook(struct vbe_device *dev)
{
	u32 i;

	for (i = 0; i < dev->n_queues; i++) {
		vbe_queue_drop_call(&dev->queues[i]);
		vbe_queue_set_kick(&dev->queues[i], NULL);
	}
	if (dev->held.cookie) {
		dev->held.cookie = 0;
		dev->held.answered = false;
		complete(&dev->held.done);
	}
}

static void vbe_backend_needs_reset(struct vbe_device *dev)
{
	unsigned long flags;

	spin_lock_irqsave(&dev->state_lock, flags);
	if (dev->status)
		dev->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	spin_unlock_irqrestore(&dev->state_lock, flags);
	vbe_device_config_changed(dev);
}

static void vbe_backend_lost(struct vbe_device *dev)
{
	atomic64_inc(&dev->stats.losses);
	vbe_nl_notify(dev, VBE_NL_LOSS);
	switch (dev->setup_policy) {
	case VBE_LOSS_FAIL:
		vbe_device_set_state(dev, VBE_DEV_OFFLINING);
		dev->provider->hide(dev, true);
		break;
	case VBE_LOSS_RESET:
		vbe_device_set_state(dev, VBE_DEV_LOST);
		vbe_backend_needs_reset(dev);
		break;
	default:
		vbe_device_set_state(dev, VBE_DEV_LOST);
		break;
	}
}

/*
 * End @c's attachment. Its memory is revoked already, so that whatever still
 * refers to a window's page is I/O in flight.
 */
static void vbe_backend_end(struct vbe_device *dev, struct vbe_client *c)
{
	lockdep_assert_held(&dev->lock);
	if (dev->client != c)
		return;
	dev->client = NULL;
	vbe_windows_unmap(dev, true);
	vbe_backend_unhook(dev);
	if (dev->transport->backend_gone)
		dev->transport->backend_gone(dev);
	if (dev->provider->state_changed)
		dev->provider->state_changed(dev);
	if (dev->state != VBE_DEV_ONLINE)
		vbe_nl_notify(dev, VBE_NL_DETACH);
	if (dev->state != VBE_DEV_DEAD && dev->provider->mem_suspect)
		dev->provider->mem_suspect(dev);
	switch (dev->state) {
	case VBE_DEV_READY:
		vbe_setup_free(dev);
		vbe_device_set_state(dev, VBE_DEV_EMPTY);
		break;
	case VBE_DEV_ONLINE:
		vbe_backend_lost(dev);
		break;
	case VBE_DEV_OFFLINING:
		if (dev->visible)
			dev->provider->hide(dev, true);
		break;
	default:
		break;
	}
}

/**
 * vbe_backend_detach() - the client's file was closed
 * @c: client
 *
 * Context: process, may sleep; no lock.
 */
void vbe_backend_detach(struct vbe_client *c)
{
	struct vbe_device *dev = c->dev;

	vbe_client_revoke_mem(c);
	mutex_lock(&dev->lock);
	vbe_backend_end(dev, c);
	mutex_unlock(&dev->lock);
}

/**
 * vbe_backend_revoke() - end the attachment of a backend that lives
 * @dev: device
 *
 * Its mappings become scratch memory, its ioctls give ENODEV. No-op without one.
 * Context: process, may sleep; takes dev->lock.
 */
void vbe_backend_revoke(struct vbe_device *dev)
{
	struct vbe_client *c;

	mutex_lock(&dev->lock);
	c = dev->client;
	if (c)
		kref_get(&c->ref);
	mutex_unlock(&dev->lock);
	if (!c)
		return;
	vbe_client_revoke_mem(c);
	mutex_lock(&dev->lock);
	atomic64_inc(&dev->stats.revokes);
	vbe_nl_notify(dev, VBE_NL_REVOKE);
	vbe_event_post(dev, c, dev->deleting ? VBE_EVENT_GONE : VBE_EVENT_REVOKED,
		       VBE_NO_QUEUE, 0, 0, 0);
	vbe_backend_end(dev, c);
	mutex_unlock(&dev->lock);
	vbe_events_end(c);
	vbe_client_put(c);
}

/* ---- set-up ------------------------------------------------------------------- */

/**
 * struct vbe_setup - a DEV_SETUP on its way in
 * @arg: the caller's struct
 * @config: its config bytes
 * @sizes: its queue sizes
 * @queues: the new device's queues
 * @pages: the new device's in-flight area
 * @n_pages: number of those
 * @inflight_size: bytes per queue, whole pages
 */
struct vbe_setup {
	const struct vbe_dev_setup *arg;
	u8 *config;
	u32 *sizes;
	struct vbe_queue *queues;
	struct page **pages;
	unsigned long n_pages;
	u32 inflight_size;
};

static void vbe_setup_abort(struct vbe_setup *s)
{
	if (s->pages)
		vbe_pages_free(s->pages, s->n_pages);
	kvfree(s->queues);
	kfree(s->config);
	kfree(s->sizes);
}

/* QUEUE_CALL looks at the queues under RCU alone. */
static void vbe_setup_free_queues(struct vbe_device *dev)
{
	struct vbe_queue *queues = dev->queues;
	u32 i;

	if (!queues)
		return;
	WRITE_ONCE(dev->queues, NULL);
	synchronize_rcu();
	for (i = 0; i < dev->n_queues; i++) {
		/* No backend is attached any more, or its device is: nothing signals. */
		vbe_queue_set_fe_kick(&queues[i], NULL);
		cancel_work_sync(&queues[i].kick_work);
	}
	dev->n_queues = 0;
	kvfree(queues);
}

/**
 * vbe_setup_free() - forget what a backend described
 * @dev: device; hidden, and with no client that is set up; its lock held
 */
void vbe_setup_free(struct vbe_device *dev)
{
	if (dev->inflight.pages) {
		struct page **pages;

		down_write(&dev->mem_sem);
		pages = dev->inflight.pages;
		dev->inflight.pages = NULL;
		up_write(&dev->mem_sem);
		/* One that has not been set up yet may have mapped it, without references. */
		if (dev->client)
			vbe_window_zap(dev->client, &dev->inflight, dev->inflight.fe_addr,
				       dev->inflight.len);
		vbe_pages_free(pages, dev->inflight.len >> PAGE_SHIFT);
	}
	vbe_setup_free_queues(dev);
	kfree(dev->config);
	dev->config = NULL;
	dev->config_size = 0;
	dev->inflight_size = 0;
	dev->virtio_id = 0;
	dev->features = 0;
	dev->resume = false;
	dev->setup_policy = dev->params.loss_policy;
}

/* On a transport where nothing is virtio. */
static int vbe_setup_check_plain(const struct vbe_dev_setup *a, struct vbe_why *why)
{
	if (a->flags || a->virtio_id || a->vendor_id || a->features || a->n_queues ||
	    a->config_size || a->inflight_size)
		return vbe_fail(why, -EINVAL, "this transport is not virtio: no id, no features, no queues, no config space");
	return 0;
}

static int vbe_setup_check_virtio(const struct vbe_dev_setup *a, struct vbe_why *why)
{
	if (a->flags & ~(VBE_SETUP_F_ASK_FEATURES | VBE_SETUP_F_QUEUE_STOP))
		return vbe_fail(why, -EINVAL, "unknown flags");
	if (!a->virtio_id || a->virtio_id > 0xffff)
		return vbe_fail(why, -EINVAL, "virtio_id must be 1 to 65535");
	if (!(a->features & BIT_ULL(VIRTIO_F_VERSION_1)))
		return vbe_fail(why, -EINVAL, "VIRTIO_F_VERSION_1 must be offered");
	if (!a->n_queues || a->n_queues > VBE_MAX_QUEUES)
		return vbe_fail(why, -EINVAL, "n_queues must be 1 to 256");
	if (a->config_size > VBE_MAX_CONFIG)
		return vbe_fail(why, -EINVAL, "config_size must be at most 4096");
	if (a->inflight_size > VBE_MAX_INFLIGHT)
		return vbe_fail(why, -EINVAL, "inflight_size must be at most 8 MiB");
	if (a->n_queues * PAGE_ALIGN(a->inflight_size) > VBE_INFLIGHT_TOTAL)
		return vbe_fail(why, -EINVAL, "the in-flight areas of all queues pass 64 MiB");
	return 0;
}

static int vbe_setup_check(struct vbe_device *dev, const struct vbe_dev_setup *a,
			   struct vbe_why *why)
{
	if (a->loss_policy > VBE_LOSS_FAIL && a->loss_policy != VBE_LOSS_DEFAULT)
		return vbe_fail(why, -EINVAL, "unknown loss policy");
	return dev->transport->not_virtio ? vbe_setup_check_plain(a, why) :
					    vbe_setup_check_virtio(a, why);
}

static int vbe_setup_fetch(struct vbe_setup *s, struct vbe_why *why)
{
	const struct vbe_dev_setup *a = s->arg;
	u32 i;

	s->sizes = memdup_user(u64_to_user_ptr(a->queue_sizes), a->n_queues * sizeof(u32));
	if (IS_ERR(s->sizes)) {
		int ret = PTR_ERR(s->sizes);

		s->sizes = NULL;
		return vbe_fail(why, ret, "queue_sizes cannot be read");
	}
	for (i = 0; i < a->n_queues; i++)
		if (!is_power_of_2(s->sizes[i]) || s->sizes[i] > VBE_MAX_QUEUE_SIZE)
			return vbe_fail(why, -EINVAL,
					"a queue size is not a power of two from 1 to 32768");
	s->config = kzalloc(max(a->config_size, 1U), GFP_KERNEL_ACCOUNT);
	if (!s->config)
		return vbe_fail(why, -ENOMEM, "out of memory");
	if (copy_from_user(s->config, u64_to_user_ptr(a->config), a->config_size))
		return vbe_fail(why, -EFAULT, "config cannot be read");
	s->inflight_size = PAGE_ALIGN(a->inflight_size);
	return 0;
}

static int vbe_setup_alloc(struct vbe_setup *s, struct vbe_device *dev, struct vbe_why *why)
{
	u32 i, n = s->arg->n_queues;

	s->queues = kvcalloc(n, sizeof(*s->queues), GFP_KERNEL_ACCOUNT);
	if (!s->queues)
		return vbe_fail(why, -ENOMEM, "out of memory");
	for (i = 0; i < n; i++)
		vbe_queue_init(&s->queues[i], dev, i, s->sizes[i]);
	s->n_pages = (unsigned long)n * (s->inflight_size >> PAGE_SHIFT);
	if (!s->n_pages)
		return 0;
	s->pages = vbe_pages_alloc(s->n_pages);
	if (IS_ERR(s->pages)) {
		int ret = PTR_ERR(s->pages);

		s->pages = NULL;
		return vbe_fail(why, ret, "no memory for the in-flight area, or over a cap");
	}
	return 0;
}

static u64 vbe_setup_features(struct vbe_device *dev, const struct vbe_dev_setup *a)
{
	u64 features = (a->features & ~dev->transport->features_owned) |
		       vbe_fe_features_required(dev);

	if (a->flags & VBE_SETUP_F_QUEUE_STOP)
		features |= dev->transport->features_queue_stop;
	return features;
}

/* A first description: nothing of the FE exists yet. */
static void vbe_setup_apply(struct vbe_device *dev, struct vbe_setup *s)
{
	const struct vbe_dev_setup *a = s->arg;

	dev->virtio_id = a->virtio_id;
	dev->vendor_id = a->vendor_id;
	dev->setup_flags = a->flags;
	dev->features = vbe_setup_features(dev, a);
	dev->config = s->config;
	dev->config_size = a->config_size;
	dev->inflight_size = s->inflight_size;
	dev->n_queues = a->n_queues;
	/* QUEUE_CALL finds initialised queues, and their number, behind this. */
	smp_store_release(&dev->queues, s->queues);
	down_write(&dev->mem_sem);
	dev->inflight = (struct vbe_window) {
		.fe_addr = VBE_MMAP_INFLIGHT,
		.len = (u64)s->n_pages << PAGE_SHIFT,
		.mem_class = VBE_MEM_PINNED,
		.pages = s->pages,
	};
	up_write(&dev->mem_sem);
	s->config = NULL;
	s->queues = NULL;
	s->pages = NULL;
	vbe_device_set_state(dev, VBE_DEV_READY);
}

static int vbe_setup_compatible(struct vbe_device *dev, struct vbe_setup *s, struct vbe_why *why)
{
	const struct vbe_dev_setup *a = s->arg;
	u32 i;

	if (a->virtio_id != dev->virtio_id)
		return vbe_fail(why, -EINVAL, "virtio_id differs from what the driver knows");
	if (a->n_queues != dev->n_queues)
		return vbe_fail(why, -EINVAL, "n_queues differs from what the driver knows");
	for (i = 0; i < a->n_queues; i++)
		if (s->sizes[i] != dev->queues[i].max_size)
			return vbe_fail(why, -EINVAL,
					"a queue size differs from what the driver knows");
	if (a->config_size != dev->config_size)
		return vbe_fail(why, -EINVAL, "config_size differs from what the driver knows");
	if (s->inflight_size != dev->inflight_size)
		return vbe_fail(why, -EINVAL,
				"inflight_size differs from the area that the last backend left");
	if (dev->driver_features & ~vbe_setup_features(dev, a))
		return vbe_fail(why, -EINVAL, "a feature that the driver took is not offered");
	return 0;
}

/* A next backend: the driver keeps what it negotiated. */
static void vbe_setup_reapply(struct vbe_device *dev, struct vbe_setup *s)
{
	u8 *config = s->config;

	dev->setup_flags = s->arg->flags;
	dev->features = vbe_setup_features(dev, s->arg);
	spin_lock_irq(&dev->state_lock);
	if (memcmp(dev->config, config, dev->config_size)) {
		swap(dev->config, config);
		dev->config_generation++;
		dev->config_dirty = true;
	}
	spin_unlock_irq(&dev->state_lock);
	s->config = config;
}

/**
 * vbe_backend_setup() - DEV_SETUP
 * @c: client
 * @a: its argument, copied in
 *
 * Context: process, may sleep; takes dev->lock.
 */
int vbe_backend_setup(struct vbe_client *c, const struct vbe_dev_setup *a)
{
	struct vbe_setup s = { .arg = a };
	struct vbe_device *dev = c->dev;
	int ret;

	ret = vbe_setup_check(dev, a, &c->why);
	if (!ret)
		ret = vbe_setup_fetch(&s, &c->why);
	if (ret)
		goto out;

	mutex_lock(&dev->lock);
	if (dev->client != c || dev->deleting)
		ret = vbe_fail(&c->why, -ENODEV, "the device is gone, or being deleted");
	else if (c->setup_done)
		ret = vbe_fail(&c->why, -EINVAL, "the device is set up already");
	else if (!dev->params.virtio_id && !c->admin && !dev->provider->any_type)
		ret = vbe_fail(&c->why, -EACCES,
			       "an unprivileged owner serves only a device whose virtio id the administrator fixed (dev add --type)");
	else if (dev->params.virtio_id && dev->params.virtio_id != a->virtio_id)
		ret = vbe_fail(&c->why, -EINVAL,
			       "the administrator fixed another virtio id for this device");
	else if (dev->state == VBE_DEV_EMPTY)
		ret = vbe_setup_alloc(&s, dev, &c->why);
	else
		ret = vbe_setup_compatible(dev, &s, &c->why);
	if (!ret) {
		if (dev->state == VBE_DEV_EMPTY)
			vbe_setup_apply(dev, &s);
		else
			vbe_setup_reapply(dev, &s);
		if (a->loss_policy != VBE_LOSS_DEFAULT)
			dev->setup_policy = a->loss_policy;
		c->setup_done = true;
	}
	mutex_unlock(&dev->lock);
out:
	vbe_setup_abort(&s);
	return ret;
}

/* ---- online and offline --------------------------------------------------------- */

static int vbe_backend_show(struct vbe_client *c)
{
	struct vbe_device *dev = c->dev;
	int ret;

	lockdep_assert_held(&dev->lock);
	WRITE_ONCE(dev->visible, true);
	ret = dev->provider->show ? dev->provider->show(dev) : 0;
	if (ret) {
		WRITE_ONCE(dev->visible, false);
		return vbe_fail(&c->why, ret, "the provider could not show the device");
	}
	/* Not before it is certain: nobody waits for who came in when it is not. */
	WRITE_ONCE(dev->leaving, false);
	vbe_device_set_state(dev, VBE_DEV_ONLINE);
	return 0;
}

/**
 * vbe_backend_online() - DEV_ONLINE
 * @c: client
 *
 * Context: process, may sleep; takes dev->lock.
 */
int vbe_backend_online(struct vbe_client *c)
{
	struct vbe_device *dev = c->dev;
	int ret = 0;

	mutex_lock(&dev->lock);
	if (dev->client != c) {
		ret = vbe_fail(&c->why, -ENODEV, "the device is gone");
	} else if (!c->setup_done) {
		ret = vbe_fail(&c->why, -EINVAL, "DEV_SETUP comes first");
	} else if (dev->deleting) {
		ret = vbe_fail(&c->why, -ENODEV, "the device is being deleted");
	} else if (dev->state == VBE_DEV_READY) {
		ret = vbe_backend_show(c);
	} else if (dev->state == VBE_DEV_LOST) {
		vbe_device_set_state(dev, VBE_DEV_ONLINE);
		if (dev->config_dirty)
			vbe_device_config_changed(dev);
		dev->config_dirty = false;
	} else {
		ret = vbe_fail(&c->why, -EINVAL, "the device is online, or being taken away");
	}
	mutex_unlock(&dev->lock);
	return ret;
}

/**
 * vbe_backend_offline() - DEV_OFFLINE
 * @c: client
 *
 * Context: process, may sleep; takes dev->lock.
 */
int vbe_backend_offline(struct vbe_client *c)
{
	struct vbe_device *dev = c->dev;
	int ret = 0;

	mutex_lock(&dev->lock);
	if (dev->client != c)
		ret = vbe_fail(&c->why, -ENODEV, "the device is gone");
	else if (dev->state != VBE_DEV_ONLINE)
		ret = vbe_fail(&c->why, -EINVAL, "the device is not online");
	else if (dev->provider->fe_stays && dev->status)
		ret = vbe_fail(&c->why, -EOPNOTSUPP,
			       "a driver in a guest uses the device, and cannot be made to leave: close, and the next backend goes on");
	if (!ret) {
		vbe_device_set_state(dev, VBE_DEV_OFFLINING);
		dev->provider->hide(dev, false);
	}
	mutex_unlock(&dev->lock);
	return ret;
}
