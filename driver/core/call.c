// SPDX-License-Identifier: GPL-2.0
/*
 * Calls: backend to FE.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * Life of a call eventfd:
 *
 *  assign	under dev->lock: take the eventfd, poll it, and hook our entry into
 *		its wait queue from within that poll. A count that is pending
 *		already injects. The file is held until all this is over.
 *  write	vbe_call_wakeup() runs in the writer, inside wqh->lock with
 *		interrupts off. It consumes the count and injects. We are the first
 *		waiter and exclusive, so nobody else eats the event.
 *  HUP		the last fd was closed. The same callback may not free what its
 *		caller walks, so it takes a reference and queues work, which detaches
 *		under dev->lock if nobody has by then. Deleting a device unhooks its
 *		calls, then flushes that work, so the device outlives it.
 *  deassign	under dev->lock. Removing the wait entry takes wqh->lock: when it
 *		returns no callback runs, and none will. Clearing vbe_call.q there
 *		makes one winner between HUP work and deassign.
 *
 * The callback holds wqh->lock, so it must not enter the FE's driver: that kicks
 * under locks which it would also need here, and the kick takes the lock of an
 * eventfd (the same one, if a hostile backend so chooses). Hence "nested".
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

static void vbe_call_put(struct vbe_call *call)
{
	if (refcount_dec_and_test(&call->ref))
		kfree(call);
}

static void vbe_call_detach(struct vbe_call *call)
{
	u64 cnt;

	lockdep_assert_held(&call->dev->lock);
	call->q->call = NULL;
	eventfd_ctx_remove_wait_queue(call->ctx, &call->wait, &cnt);
	eventfd_ctx_put(call->ctx);
	/* The queue may be freed from now on; HUP work looks for this. */
	call->q = NULL;
	vbe_call_put(call);
}

static void vbe_call_hup_work(struct work_struct *work)
{
	struct vbe_call *call = container_of(work, struct vbe_call, hup);
	struct vbe_device *dev = call->dev;

	mutex_lock(&dev->lock);
	if (call->q)
		vbe_call_detach(call);
	mutex_unlock(&dev->lock);
	vbe_call_put(call);
}

/* Under wqh->lock, interrupts off. */
static int vbe_call_wakeup(wait_queue_entry_t *wait, unsigned int mode, int sync, void *key)
{
	struct vbe_call *call = container_of(wait, struct vbe_call, wait);
	__poll_t flags = key_to_poll(key);
	struct vbe_queue *q = call->q;
	u64 cnt;

	if (flags & EPOLLIN) {
		eventfd_ctx_do_read(call->ctx, &cnt);
		if (cnt > 1)
			atomic64_add(cnt - 1, &q->stats.coalesced);
		vbe_queue_call(q, true);
	}
	if (flags & EPOLLHUP) {
		refcount_inc(&call->ref);
		/* Queued before: that one holds its own reference. */
		if (!queue_work(call->dev->wq, &call->hup))
			refcount_dec(&call->ref);
	}
	/* As first exclusive waiter, eat only what is meant for us. */
	return flags & EPOLLIN ? 1 : 0;
}

static void vbe_call_hook(struct file *file, wait_queue_head_t *wqh, poll_table *pt)
{
	struct vbe_call *call = container_of(pt, struct vbe_call, pt);

	call->wqh = wqh;
	call->error = vbe_add_wait_queue_exclusive_first(wqh, &call->wait);
}

static struct vbe_call *vbe_call_alloc(struct vbe_queue *q)
{
	/* Under dev->lock, which a reset needs: do not wait for I/O. */
	struct vbe_call *call = kzalloc(sizeof(*call), GFP_NOIO | __GFP_ACCOUNT);

	if (!call)
		return NULL;
	call->q = q;
	call->dev = q->dev;
	refcount_set(&call->ref, 1);
	INIT_WORK(&call->hup, vbe_call_hup_work);
	init_waitqueue_func_entry(&call->wait, vbe_call_wakeup);
	init_poll_funcptr(&call->pt, vbe_call_hook);
	return call;
}

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

/* Fails only before the old call is touched. */
static int vbe_call_hook_up(struct vbe_call *call, struct file *file, __poll_t *events)
{
	struct vbe_queue *q = call->q;

	if (vbe_call_elsewhere(q, call->ctx))
		return -EBUSY;
	/* An eventfd has one first waiter: ours, if it is the same again. */
	if (q->call && q->call->ctx == call->ctx)
		vbe_queue_drop_call(q);
	*events = vfs_poll(file, &call->pt);
	return call->error;
}

static int vbe_call_assign(struct vbe_queue *q, struct file *file, struct vbe_why *why)
{
	struct vbe_call *call = vbe_call_alloc(q);
	__poll_t events = 0;

	if (!call)
		return vbe_fail(why, -ENOMEM, "out of memory");
	call->ctx = eventfd_ctx_fileget(file);
	if (IS_ERR(call->ctx)) {
		kfree(call);
		return vbe_fail(why, -EINVAL, "call_fd is not an eventfd");
	}
	if (vbe_call_hook_up(call, file, &events)) {
		eventfd_ctx_put(call->ctx);
		kfree(call);
		return vbe_fail(why, -EBUSY, "call_fd serves another queue already");
	}
	vbe_queue_drop_call(q);
	/* HUP work waits for dev->lock, so it finds this published. */
	q->call = call;
	if (events & EPOLLIN) {
		u64 cnt;

		spin_lock_irq(&call->wqh->lock);
		eventfd_ctx_do_read(call->ctx, &cnt);
		spin_unlock_irq(&call->wqh->lock);
		vbe_queue_call(q, false);
	}
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
		vbe_call_detach(q->call);
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
