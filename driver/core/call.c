// SPDX-License-Identifier: GPL-2.0
/*
 * Calls: backend to FE.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * A call eventfd is a hook (hook.c), kept under dev->lock. Its function runs inside
 * the eventfd's wake-up, so it must not enter the FE's driver: that kicks under locks
 * which it would also need here, and the kick takes the lock of an eventfd (the same
 * one, if a hostile backend so chooses). Hence "nested".
 */
#include <linux/file.h>
#include <linux/nospec.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <uapi/linux/virtio_config.h>

#include "trace.h"
#include "vbe.h"

/**
 * vbe_queue_call() - interrupt the FE for a queue
 * @q: queue
 * @nested: inside an eventfd wake-up
 *
 * Context: any.
 */
void vbe_queue_call(struct vbe_queue *q, bool nested)
{
	struct vbe_device *dev = q->dev;
	bool live;

	atomic64_inc(&q->stats.calls);
	rcu_read_lock();
	/* Not before DRIVER_OK (3.1.1): a driver that probes is not ready for it. */
	live = READ_ONCE(q->enabled) && READ_ONCE(dev->visible) &&
	       (READ_ONCE(dev->status) & VIRTIO_CONFIG_S_DRIVER_OK) &&
	       READ_ONCE(dev->state) != VBE_DEV_DEAD;
	trace_vbe_call(q, nested, live);
	if (live)
		dev->transport->queue_call(q, nested);
	else
		atomic64_inc(&q->stats.spurious);
	rcu_read_unlock();
}

/**
 * vbe_device_config_changed() - interrupt the FE for its config space
 * @dev: device
 *
 * Context: any.
 */
void vbe_device_config_changed(struct vbe_device *dev)
{
	rcu_read_lock();
	if (READ_ONCE(dev->visible) && READ_ONCE(dev->state) != VBE_DEV_DEAD)
		dev->transport->config_changed(dev);
	rcu_read_unlock();
}

static void vbe_call_written(struct vbe_hook *hook, u64 count, bool nested)
{
	struct vbe_queue *q = hook->arg;

	if (count > 1)
		atomic64_add(count - 1, &q->stats.coalesced);
	vbe_queue_call(q, nested);
}

/* The device outlives this: its work queue is flushed before it goes. */
static void vbe_call_gone(struct vbe_hook *hook)
{
	struct vbe_device *dev = hook->owner;

	mutex_lock(&dev->lock);
	if (!hook->freed)
		vbe_queue_drop_call(hook->arg);
	mutex_unlock(&dev->lock);
}

static const struct vbe_hook_ops vbe_call_ops = {
	.fn = vbe_call_written,
	.gone = vbe_call_gone,
};

/* Two calls on one eventfd would eat each other's events. */
static bool vbe_call_elsewhere(struct vbe_queue *q, struct eventfd_ctx *ctx)
{
	struct vbe_device *dev = q->dev;
	u32 i;

	for (i = 0; i < dev->n_queues; i++)
		if (&dev->queues[i] != q && dev->queues[i].call &&
		    dev->queues[i].call->ctx == ctx)
			return true;
	return false;
}

static int vbe_call_assign(struct vbe_queue *q, struct file *file, struct vbe_why *why)
{
	struct eventfd_ctx *ctx = eventfd_ctx_fileget(file);
	struct vbe_hook *call;

	if (IS_ERR(ctx))
		return vbe_fail(why, -EINVAL, "call_fd is not an eventfd");
	/* Ours to compare only: the file keeps it. */
	eventfd_ctx_put(ctx);
	if (vbe_call_elsewhere(q, ctx))
		return vbe_fail(why, -EBUSY, "call_fd serves another queue already");
	/* An eventfd has one first waiter: ours, if it is the same again. */
	if (q->call && q->call->ctx == ctx)
		vbe_queue_drop_call(q);
	call = vbe_hook_new(&vbe_call_ops, file, q->dev->wq, q->dev, q);
	if (PTR_ERR_OR_ZERO(call) == -EBUSY)
		return vbe_fail(why, -EBUSY, "call_fd serves another queue already");
	if (IS_ERR(call))
		return vbe_fail(why, PTR_ERR(call), "out of memory");
	vbe_queue_drop_call(q);
	/* Work for its closing waits for dev->lock, so it finds this published. */
	q->call = call;
	return 0;
}

/**
 * vbe_queue_drop_call() - detach the call eventfd
 * @q: queue; dev->lock held
 *
 * When it returns, the eventfd injects no more.
 */
void vbe_queue_drop_call(struct vbe_queue *q)
{
	lockdep_assert_held(&q->dev->lock);
	if (q->call)
		vbe_hook_free(q->call);
	q->call = NULL;
}

/**
 * vbe_queue_set_call() - attach, replace or detach the call eventfd
 * @q: queue; dev->lock held
 * @fd: eventfd of the caller, or -1
 * @why: error text
 *
 * Context: process, may sleep.
 * Return: 0; EBADF, EINVAL, EBUSY, ENOMEM.
 */
int vbe_queue_set_call(struct vbe_queue *q, int fd, struct vbe_why *why)
{
	struct file *file;
	int ret;

	lockdep_assert_held(&q->dev->lock);
	if (fd < 0) {
		vbe_queue_drop_call(q);
		return 0;
	}
	file = eventfd_fget(fd);
	if (IS_ERR(file))
		return vbe_fail(why, PTR_ERR(file), "call_fd is not an eventfd");
	ret = vbe_call_assign(q, file, why);
	fput(file);
	return ret;
}
