// SPDX-License-Identifier: GPL-2.0
/*
 * Transport "direct": the VMM has a transport of its own, and says here what its
 * driver did. Also what any VMM may ask of a queue.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "transport/direct.h"
#include "user.h"

/*
 * The device of a number, with the FE let in: until user_direct_end() it stays shown,
 * and what its backend described stays.
 */
static struct user_dev *user_direct_begin(struct user_guest *guest, u32 id)
{
	struct user_dev *ud = user_dev_get(guest, id);
	int ret = 0;

	if (IS_ERR(ud))
		return ud;
	if (ud->vbe->transport != &vbe_direct_transport)
		ret = vbe_fail(&guest->why, -EOPNOTSUPP,
			       "the device's transport is driven by GUEST_ACCESS");
	else if (!vbe_fe_enter(ud->vbe))
		ret = vbe_fail(&guest->why, -ENOTCONN, "no backend has brought the device up");
	if (ret) {
		user_dev_put(ud);
		return ERR_PTR(ret);
	}
	return ud;
}

static void user_direct_end(struct user_dev *ud)
{
	vbe_fe_leave(ud->vbe);
	user_dev_put(ud);
}

int user_ioctl_features(void *ctx, void *arg, struct vbe_new_fd *nfd)
{
	struct vbe_guest_features *f = arg;
	struct user_guest *guest = ctx;
	struct user_dev *ud = user_direct_begin(guest, f->dev);
	int ret;

	if (IS_ERR(ud))
		return PTR_ERR(ud);
	ret = vbe_fe_set_features(ud->vbe, f->features);
	user_direct_end(ud);
	if (ret)
		vbe_fail(&guest->why, ret, "features are settled (FEATURES_OK); reset first");
	return ret;
}

int user_ioctl_status(void *ctx, void *arg, struct vbe_new_fd *nfd)
{
	struct vbe_guest_status *s = arg;
	struct user_guest *guest = ctx;
	struct user_dev *ud;
	int ret;

	if (s->status > 0xff || s->__reserved)
		return vbe_fail(&guest->why, -EINVAL, "device status is a byte; reserved fields are zero");
	ud = user_direct_begin(guest, s->dev);
	if (IS_ERR(ud))
		return PTR_ERR(ud);
	ret = vbe_fe_set_status(ud->vbe, s->status);
	s->status = vbe_fe_status(ud->vbe);
	user_direct_end(ud);
	if (ret)
		vbe_fail(&guest->why, ret,
			 "a driver takes no status bit back but by reset, and sets DRIVER_OK after FEATURES_OK");
	return ret;
}

/* ---- config space ----------------------------------------------------------------- */

static int user_config_move(struct user_dev *ud, struct vbe_guest_config *c, void *buf)
{
	c->out_generation = vbe_fe_config_generation(ud->vbe);
	if (c->flags & VBE_GUEST_CONFIG_F_WRITE)
		return vbe_fe_config_write(ud->vbe, c->offset, buf, c->len);
	return vbe_fe_config_read(ud->vbe, c->offset, buf, c->len);
}

int user_ioctl_config(void *ctx, void *arg, struct vbe_new_fd *nfd)
{
	struct vbe_guest_config *c = arg;
	struct user_guest *guest = ctx;
	bool write = c->flags & VBE_GUEST_CONFIG_F_WRITE;
	struct user_dev *ud;
	void *buf;
	int ret;

	if (c->flags & ~VBE_GUEST_CONFIG_F_WRITE)
		return vbe_fail(&guest->why, -EINVAL, "unknown flags");
	if (c->offset > VBE_MAX_CONFIG || c->len > VBE_MAX_CONFIG)
		return vbe_fail(&guest->why, -EINVAL, "the range passes the end of config space");
	buf = kzalloc(max(c->len, 1U), GFP_KERNEL_ACCOUNT);
	if (!buf)
		return vbe_fail(&guest->why, -ENOMEM, "out of memory");
	ret = -EFAULT;
	if (write && copy_from_user(buf, u64_to_user_ptr(c->buf), c->len)) {
		vbe_fail(&guest->why, ret, "buf cannot be read");
		goto out;
	}
	ud = user_direct_begin(guest, c->dev);
	ret = PTR_ERR_OR_ZERO(ud);
	if (ret)
		goto out;
	if (user_config_move(ud, c, buf))
		ret = vbe_fail(&guest->why, -EINVAL, "the range passes the end of config space");
	user_direct_end(ud);
	if (!ret && !write && copy_to_user(u64_to_user_ptr(c->buf), buf, c->len))
		ret = vbe_fail(&guest->why, -EFAULT, "buf cannot be written");
out:
	kfree(buf);
	return ret;
}

/* ---- queues ------------------------------------------------------------------------ */

static int user_queue_why(struct user_guest *guest, int ret)
{
	switch (ret) {
	case 0:
		return 0;
	case -ENOENT:
		return vbe_fail(&guest->why, ret, "the device has no queue of this index");
	case -EBUSY:
		return vbe_fail(&guest->why, ret, "the queue is enabled already");
	case -EFAULT:
		return vbe_fail(&guest->why, ret,
				"a ring address is not aligned, or the ring is not within one region of guest memory");
	case -ENOTCONN:
		return vbe_fail(&guest->why, ret, "no backend is there to tell where it ended");
	case -EOPNOTSUPP:
		return vbe_fail(&guest->why, ret, "the backend cannot stop single queues");
	default:
		return vbe_fail(&guest->why, ret,
				"features are not settled (FEATURES_OK), or the number of entries is bad");
	}
}

static void user_queue_base(struct vbe_device *dev, u32 index, u32 base)
{
	mutex_lock(&dev->lock);
	vbe_fe_queue(dev, index)->base = base;
	mutex_unlock(&dev->lock);
}

static int user_queue_start(struct vbe_device *dev, const struct vbe_guest_queue_set *s)
{
	int ret;

	ret = vbe_fe_queue_set(dev, s->index, s->num, s->desc, s->driver, s->device);
	if (ret)
		return ret;
	if (s->flags & VBE_GUEST_QUEUE_SET_F_BASE)
		user_queue_base(dev, s->index, s->base);
	return vbe_fe_queue_enable(dev, s->index, true);
}

int user_ioctl_queue_set(void *ctx, void *arg, struct vbe_new_fd *nfd)
{
	struct vbe_guest_queue_set *s = arg;
	struct user_guest *guest = ctx;
	struct user_dev *ud;
	int ret;

	if (s->flags & ~(VBE_GUEST_QUEUE_SET_F_ENABLE | VBE_GUEST_QUEUE_SET_F_BASE))
		return vbe_fail(&guest->why, -EINVAL, "unknown flags");
	ud = user_direct_begin(guest, s->dev);
	if (IS_ERR(ud))
		return PTR_ERR(ud);
	if (s->flags & VBE_GUEST_QUEUE_SET_F_ENABLE)
		ret = user_queue_start(ud->vbe, s);
	else
		ret = vbe_fe_queue_stop(ud->vbe, s->index, &s->base);
	user_direct_end(ud);
	return user_queue_why(guest, ret);
}

static void user_queue_info_fill(struct vbe_queue *q, struct vbe_guest_queue_info *info)
{
	struct vbe_notify n = { .vector = VBE_NO_QUEUE };

	/* From DEAD on the transport's part may be gone. */
	if (q->dev->transport->notify && q->dev->state != VBE_DEV_DEAD)
		q->dev->transport->notify(q, &n);
	*info = (struct vbe_guest_queue_info) {
		.size = info->size,
		.dev = info->dev,
		.index = info->index,
		.flags = (q->enabled ? VBE_GUEST_QUEUE_F_ENABLED : 0) |
			 (n.match ? VBE_GUEST_QUEUE_F_MATCH : 0),
		.max_size = q->max_size,
		.num = q->num,
		.desc = q->desc,
		.driver = q->driver,
		.device = q->device,
		.notify_addr = n.addr,
		.notify_len = n.len,
		.match = n.data,
		.vector = n.vector,
	};
}

int user_ioctl_queue_info(void *ctx, void *arg, struct vbe_new_fd *nfd)
{
	struct vbe_guest_queue_info *info = arg;
	struct user_guest *guest = ctx;
	struct user_dev *ud = user_dev_get(guest, info->dev);
	struct vbe_queue *q;

	if (IS_ERR(ud))
		return PTR_ERR(ud);
	mutex_lock(&ud->vbe->lock);
	q = vbe_fe_queue(ud->vbe, info->index);
	if (q)
		user_queue_info_fill(q, info);
	mutex_unlock(&ud->vbe->lock);
	user_dev_put(ud);
	return q ? 0 : user_queue_why(guest, -ENOENT);
}

/**
 * user_guest_kick() - GUEST_KICK
 * @guest: guest
 * @arg: dev << 16 | queue
 */
int user_guest_kick(struct user_guest *guest, unsigned long arg)
{
	struct user_dev *ud = user_direct_begin(guest, arg >> 16);
	struct vbe_queue *q;

	if (IS_ERR(ud))
		return PTR_ERR(ud);
	q = vbe_fe_queue(ud->vbe, arg & 0xffff);
	if (q)
		vbe_queue_kick(q);
	user_direct_end(ud);
	return q ? 0 : user_queue_why(guest, -ENOENT);
}
