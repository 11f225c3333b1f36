// SPDX-License-Identifier: GPL-2.0
/*
 * The raw transport: devices that are not virtio. Accesses and regions.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * An access that no match answers goes to the emulator and back:
 *
 *	FREE --event posted--> ASKED --COMPLETE, backend gone, time-out--> answered
 *	  ^                      |                                            |
 *	  |                      | signal: the vCPU leaves with a cookie,     |
 *	  |                      | and comes again to wait on                 |
 *	  +----------------------+--------------------------------------------+
 *
 * Whatever happens to the emulator, the vCPU gets its answer within the device's reset
 * time-out: what was not answered loads ones, or stores nothing. An access has happened
 * once its event is posted, so it is never posted again; one whose vCPU never comes back
 * keeps its slot until the time-out, and then loses it to the next that needs one.
 */
#include <linux/jiffies.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "raw.h"

/* The region that the core, not the backend, made: PCI configuration space. */
#define VBE_RAW_CONFIG		VBE_RAW_MAX_REGIONS
#define VBE_RAW_CONFIG_LEN	4096

/* How often is looked whether an abandoned slot, or the event queue, has room. */
#define VBE_RAW_PAUSE		(HZ / 50 ?: 1)

static u64 vbe_raw_mask(u32 len)
{
	return len >= 8 ? U64_MAX : (1ULL << (8 * len)) - 1;
}

/* It waited before. Without a cookie it was interrupted before it began. */
static bool vbe_raw_begun(const struct vbe_access *a)
{
	return a->pending && a->cookie;
}

static int vbe_raw_ones(struct vbe_access *a)
{
	if (!a->write)
		a->data = vbe_raw_mask(a->len);
	return 0;
}

/* The device is there, and nobody who answers for it. */
static int vbe_raw_unanswered(struct vbe_device *dev, struct vbe_access *a)
{
	atomic64_inc(&dev->stats.unanswered);
	return vbe_raw_ones(a);
}

/* ---- slots: all under dev->lock ------------------------------------------ */

static bool vbe_raw_slot_free(const struct vbe_raw_slot *s)
{
	return READ_ONCE(s->state) == VBE_RAW_FREE ||
	       (!READ_ONCE(s->waiting) && time_after(jiffies, READ_ONCE(s->deadline)));
}

static struct vbe_raw_slot *vbe_raw_slot_find(struct vbe_raw *raw, u64 cookie)
{
	u32 i;

	lockdep_assert_held(&raw->dev->lock);
	for (i = 0; i < VBE_RAW_SLOTS; i++)
		if (raw->slots[i].state != VBE_RAW_FREE && raw->slots[i].cookie == cookie)
			return &raw->slots[i];
	return NULL;
}

/* Also looked at without the lock, by who waits. */
static struct vbe_raw_slot *vbe_raw_slot_any(struct vbe_raw *raw)
{
	u32 i;

	for (i = 0; i < VBE_RAW_SLOTS; i++)
		if (vbe_raw_slot_free(&raw->slots[i]))
			return &raw->slots[i];
	return NULL;
}

static void vbe_raw_slot_answer(struct vbe_raw_slot *s, u64 data)
{
	s->data = data & vbe_raw_mask(s->access.len);
	s->state = VBE_RAW_ANSWERED;
	complete(&s->done);
}

static void vbe_raw_slot_put(struct vbe_raw *raw, struct vbe_raw_slot *s)
{
	WRITE_ONCE(s->state, VBE_RAW_FREE);
	wake_up(&raw->room);
}

/* ---- accesses that the emulator answers ---------------------------------- */

/* Somebody to ask. */
static bool vbe_raw_served(struct vbe_device *dev)
{
	return dev->client && dev->client->setup_done &&
	       (dev->state == VBE_DEV_ONLINE || dev->state == VBE_DEV_OFFLINING);
}

/*
 * Post an access. Return: 0 with a slot, -ENOTCONN nobody to ask, -EAGAIN no room now.
 */
static int vbe_raw_post(struct vbe_raw *raw, const struct vbe_access *a, unsigned long deadline,
			struct vbe_raw_slot **slot)
{
	const u64 data[3] = {
		a->offset,
		(u64)a->region << 32 | a->len << 8 | a->write,
		a->write ? a->data : 0,
	};
	struct vbe_device *dev = raw->dev;
	struct vbe_raw_slot *s;

	lockdep_assert_held(&dev->lock);
	if (!vbe_raw_served(dev))
		return -ENOTCONN;
	s = vbe_raw_slot_any(raw);
	if (!s || !vbe_event_post_access(dev, dev->client, dev->last_cookie + 1, data))
		return -EAGAIN;
	s->cookie = ++dev->last_cookie;
	s->state = VBE_RAW_ASKED;
	s->waiting = true;
	s->access = *a;
	s->deadline = deadline;
	reinit_completion(&s->done);
	*slot = s;
	return 0;
}

/*
 * Post an access as soon as there is room, not after @deadline; dev->lock held, and
 * released while this waits. Return: as vbe_raw_post(), or -EINTR: not posted.
 */
static int vbe_raw_begin(struct vbe_raw *raw, const struct vbe_access *a, unsigned long deadline,
			 struct vbe_raw_slot **slot)
{
	struct vbe_device *dev = raw->dev;
	bool full;
	int ret;

	for (;;) {
		ret = vbe_raw_post(raw, a, deadline, slot);
		if (ret != -EAGAIN || time_after(jiffies, deadline))
			return ret;
		/* Else the event queue is, and who reads it does not tell. */
		full = !vbe_raw_slot_any(raw);
		mutex_unlock(&dev->lock);
		ret = 0;
		if (full)
			ret = wait_event_interruptible_timeout(raw->room, vbe_raw_slot_any(raw),
							       VBE_RAW_PAUSE);
		else
			schedule_timeout_interruptible(VBE_RAW_PAUSE);
		mutex_lock(&dev->lock);
		if (ret == -ERESTARTSYS || signal_pending(current))
			return -EINTR;
	}
}

/* A signal: the vCPU comes again with the cookie. 0: the access has not begun. */
static int vbe_raw_interrupted(struct vbe_access *a, u64 cookie)
{
	a->pending = true;
	a->cookie = cookie;
	return -EINPROGRESS;
}

/* Wait for the answer; dev->lock held, and released meanwhile. */
static int vbe_raw_wait(struct vbe_raw *raw, struct vbe_raw_slot *s, struct vbe_access *a)
{
	struct vbe_device *dev = raw->dev;
	long left = s->deadline - jiffies;
	long ret;

	s->waiting = true;
	mutex_unlock(&dev->lock);
	ret = wait_for_completion_interruptible_timeout(&s->done, max(left, 0L));
	mutex_lock(&dev->lock);
	WRITE_ONCE(s->waiting, false);
	if (s->state == VBE_RAW_ASKED && ret == -ERESTARTSYS)
		return vbe_raw_interrupted(a, s->cookie);
	if (s->state == VBE_RAW_ASKED) {
		atomic64_inc(&dev->stats.unanswered);
		s->data = vbe_raw_mask(a->len);
	}
	if (!a->write)
		a->data = s->data;
	vbe_raw_slot_put(raw, s);
	return 0;
}

static bool vbe_raw_same(const struct vbe_access *a, const struct vbe_access *b)
{
	return a->region == b->region && a->offset == b->offset && a->len == b->len &&
	       a->write == b->write && (!a->write || a->data == b->data);
}

static int vbe_raw_forward(struct vbe_raw *raw, struct vbe_access *a)
{
	struct vbe_device *dev = raw->dev;
	unsigned long timeout = msecs_to_jiffies(READ_ONCE(dev->params.reset_timeout_ms));
	struct vbe_raw_slot *s = NULL;
	int ret = 0;

	mutex_lock(&dev->lock);
	if (vbe_raw_begun(a)) {
		s = vbe_raw_slot_find(raw, a->cookie);
		/* One waits for one access, and only who made it. */
		if (s && (s->waiting || !vbe_raw_same(&s->access, a)))
			s = NULL;
	} else {
		ret = vbe_raw_begin(raw, a, jiffies + timeout, &s);
	}
	if (s)
		ret = vbe_raw_wait(raw, s, a);
	else if (ret == -EINTR)
		ret = vbe_raw_interrupted(a, 0);
	else
		ret = vbe_raw_unanswered(dev, a);
	mutex_unlock(&dev->lock);
	return ret;
}

static int vbe_raw_access(struct vbe_device *dev, struct vbe_access *a, bool may_sleep)
{
	struct vbe_raw *raw = dev->transport_priv;

	if (a->write)
		a->data &= vbe_raw_mask(a->len);
	if (!a->present)
		return vbe_raw_ones(a);
	if (!vbe_raw_begun(a)) {
		if (a->write && vbe_raw_match_hit(raw, a))
			return 0;
		if (!READ_ONCE(dev->client))
			return vbe_raw_unanswered(dev, a);
	}
	if (!may_sleep)
		return -EWOULDBLOCK;
	return vbe_raw_forward(raw, a);
}

static int vbe_raw_complete(struct vbe_device *dev, u64 cookie, u64 data)
{
	struct vbe_raw_slot *s = vbe_raw_slot_find(dev->transport_priv, cookie);

	if (!s || s->state != VBE_RAW_ASKED)
		return -ENOENT;
	vbe_raw_slot_answer(s, data);
	return 0;
}

/* ---- ioctls -------------------------------------------------------------- */

/**
 * vbe_raw_lock() - take dev->lock for an ioctl of a set-up client
 * @c: client
 *
 * Return: 0 with the lock held; or the error, which has been noted.
 */
int vbe_raw_lock(struct vbe_client *c)
{
	struct vbe_device *dev = c->dev;

	mutex_lock(&dev->lock);
	if (dev->client == c && c->setup_done)
		return 0;
	mutex_unlock(&dev->lock);
	if (READ_ONCE(c->revoked))
		return vbe_fail(&c->why, -ENODEV,
				"the device is gone, or this attachment was revoked");
	return vbe_fail(&c->why, -EINVAL, "DEV_SETUP comes first");
}

static u64 vbe_raw_space_end(u32 space)
{
	if (space == VBE_SPACE_PIO)
		return U16_MAX;
	/* Segment, bus, device and function: 32 bits; 12 of offset. */
	return space == VBE_SPACE_PCI ? (1ULL << 44) - 1 : U64_MAX;
}

static int vbe_raw_region_check(struct vbe_client *c, const struct vbe_raw_region *region)
{
	if (region->flags)
		return vbe_fail(&c->why, -EINVAL, "unknown flags");
	if (region->index >= VBE_RAW_MAX_REGIONS)
		return vbe_fail(&c->why, -EINVAL, "index must be 0 to 15");
	if (region->space > VBE_SPACE_PCI)
		return vbe_fail(&c->why, -EINVAL, "unknown space");
	if (!region->len)
		return 0;
	if (region->len > 1ULL << 32)
		return vbe_fail(&c->why, -EINVAL, "a region has at most 4 GiB");
	if (region->base > vbe_raw_space_end(region->space) ||
	    region->len - 1 > vbe_raw_space_end(region->space) - region->base)
		return vbe_fail(&c->why, -EINVAL, "the region passes the end of its space");
	return 0;
}

static int vbe_raw_region_error(struct vbe_client *c, int err)
{
	switch (err) {
	case -EEXIST:
		return vbe_fail(&c->why, err, "the region overlaps another one of the guest");
	case -ENOSPC:
		return vbe_fail(&c->why, err, "the guest has too many regions");
	case -ENOMEM:
		return vbe_fail(&c->why, err, "out of memory");
	case -EOPNOTSUPP:
		return vbe_fail(&c->why, err, "the hypervisor cannot trap accesses there");
	default:
		return vbe_fail(&c->why, err, "the region could not be claimed");
	}
}

static int vbe_raw_ioctl_region(void *ctx, void *arg, struct vbe_new_fd *nfd)
{
	const struct vbe_raw_region *region = arg;
	struct vbe_client *c = ctx;
	struct vbe_raw *raw;
	int ret;

	ret = vbe_raw_region_check(c, region);
	if (!ret)
		ret = vbe_raw_lock(c);
	if (ret)
		return ret;
	raw = c->dev->transport_priv;
	/* What cannot move to where the guest wants it is nowhere. */
	raw->regions &= ~BIT(region->index);
	if (region->len)
		ret = vbe_region_map(c->dev, region->index, region->space, region->base,
				     region->len);
	else
		vbe_region_unmap(c->dev, region->index);
	if (ret)
		vbe_raw_region_error(c, ret);
	else if (region->len)
		raw->regions |= BIT(region->index);
	mutex_unlock(&c->dev->lock);
	return ret;
}

static const struct vbe_ioctl vbe_raw_ioctls[] = {
	VBE_IOCTL(VBE_IOC_RAW_IRQ, vbe_raw_irq, __reserved, vbe_raw_ioctl_irq),
	VBE_IOCTL(VBE_IOC_RAW_MATCH, vbe_raw_match, data, vbe_raw_ioctl_match),
	VBE_IOCTL(VBE_IOC_RAW_REGION, vbe_raw_region, len, vbe_raw_ioctl_region),
};

/* ---- a device's life ----------------------------------------------------- */

static int vbe_raw_config_map(struct vbe_device *dev, u64 base, struct netlink_ext_ack *extack)
{
	int ret;

	if (!base)
		return 0;
	if (base > U32_MAX) {
		NL_SET_ERR_MSG(extack, "base must be a PCI address: segment, bus, devfn");
		return -EINVAL;
	}
	ret = vbe_region_map(dev, VBE_RAW_CONFIG, VBE_SPACE_PCI, base << 12,
			     VBE_RAW_CONFIG_LEN);
	if (ret)
		NL_SET_ERR_MSG(extack, "base cannot be claimed: it overlaps, or the hypervisor cannot trap PCI configuration");
	return ret;
}

static int vbe_raw_init(struct vbe_device *dev, const struct vbe_dev_params *p,
			struct netlink_ext_ack *extack)
{
	struct vbe_raw *raw = kvzalloc(sizeof(*raw), GFP_KERNEL_ACCOUNT);
	int ret;
	u32 i;

	if (!raw) {
		NL_SET_ERR_MSG(extack, "out of memory");
		return -ENOMEM;
	}
	raw->dev = dev;
	init_waitqueue_head(&raw->room);
	for (i = 0; i < VBE_RAW_SLOTS; i++)
		init_completion(&raw->slots[i].done);
	vbe_raw_match_init(raw);
	vbe_raw_irq_init(raw);
	/* Accesses may come as soon as the region is there. */
	dev->transport_priv = raw;
	raw->config = p->base;
	ret = vbe_raw_config_map(dev, p->base, extack);
	if (ret) {
		dev->transport_priv = NULL;
		kvfree(raw);
	}
	return ret;
}

/* What the backend claimed goes with it; dev->lock held. */
static void vbe_raw_backend_gone(struct vbe_device *dev)
{
	struct vbe_raw *raw = dev->transport_priv;
	u32 i;

	for (i = 0; i < VBE_RAW_MAX_REGIONS; i++)
		if (raw->regions & BIT(i))
			vbe_region_unmap(dev, i);
	raw->regions = 0;
	for (i = 0; i < VBE_RAW_SLOTS; i++) {
		if (raw->slots[i].state != VBE_RAW_ASKED)
			continue;
		atomic64_inc(&dev->stats.unanswered);
		vbe_raw_slot_answer(&raw->slots[i], U64_MAX);
	}
	/* Who waits for room finds nobody to ask. */
	wake_up_all(&raw->room);
	vbe_raw_match_drop(raw);
	vbe_raw_irq_drop(raw);
}

static void vbe_raw_exit(struct vbe_device *dev)
{
	struct vbe_raw *raw = dev->transport_priv;

	mutex_lock(&dev->lock);
	vbe_raw_backend_gone(dev);
	mutex_unlock(&dev->lock);
	if (raw->config)
		vbe_region_unmap(dev, VBE_RAW_CONFIG);
	vbe_raw_irq_exit(raw);
	WRITE_ONCE(dev->transport_priv, NULL);
	/* The wired line is looked at under RCU alone. */
	synchronize_rcu();
	kvfree(raw);
}

/* There is no queue to call for, and no config space of virtio. */
static void vbe_raw_queue_call(struct vbe_queue *q, bool nested)
{
}

static void vbe_raw_config_changed(struct vbe_device *dev)
{
}

const struct vbe_transport_ops vbe_raw_transport = {
	.name = "raw",
	.features_owned = U64_MAX,
	.not_virtio = true,
	.ioctls = vbe_raw_ioctls,
	.n_ioctls = ARRAY_SIZE(vbe_raw_ioctls),
	.queue_call = vbe_raw_queue_call,
	.config_changed = vbe_raw_config_changed,
	.init = vbe_raw_init,
	.exit = vbe_raw_exit,
	.access = vbe_raw_access,
	.reset = vbe_raw_irq_reset,
	.backend_gone = vbe_raw_backend_gone,
	.complete = vbe_raw_complete,
	.eoi = vbe_raw_irq_eoi,
	.line = vbe_raw_irq_line,
};
