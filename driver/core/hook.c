// SPDX-License-Identifier: GPL-2.0
/*
 * Hooks: eventfds whose writes call into the kernel (irqfd).
 *
 * Copyright (c) 2026 The vbe authors
 *
 * Life of a hook:
 *
 *  new		take the eventfd, poll it, and put our entry into its wait queue from
 *		within that poll. A count that is pending already calls the function.
 *		The caller holds the file until all this is over.
 *  write	vbe_hook_wakeup() runs in the writer, inside wqh->lock with interrupts
 *		off. It takes the count and calls the function. We are the first waiter
 *		and exclusive, so nobody else eats the event.
 *  HUP		the last fd was closed. The same callback may not free what its caller
 *		walks, so it takes a reference and queues work, which tells the owner.
 *		The owner frees under a lock of its own, and so does whoever else may:
 *		that lock makes one winner, and vbe_hook.freed says who it was.
 *  free	removing the wait entry takes wqh->lock: when it returns no callback
 *		runs, and none will. HUP work may still be queued: owners flush the work
 *		queue before they go.
 */
#include <linux/slab.h>

#include "vbe.h"

static void vbe_hook_put(struct vbe_hook *hook)
{
	if (refcount_dec_and_test(&hook->ref))
		kfree(hook);
}

static void vbe_hook_hup_work(struct work_struct *work)
{
	struct vbe_hook *hook = container_of(work, struct vbe_hook, hup);

	hook->ops->gone(hook);
	vbe_hook_put(hook);
}

/* Under wqh->lock, interrupts off. */
static int vbe_hook_wakeup(wait_queue_entry_t *wait, unsigned int mode, int sync, void *key)
{
	struct vbe_hook *hook = container_of(wait, struct vbe_hook, wait);
	__poll_t flags = key_to_poll(key);
	u64 count;

	if (flags & EPOLLIN) {
		eventfd_ctx_do_read(hook->ctx, &count);
		hook->ops->fn(hook, count, true);
	}
	if ((flags & EPOLLHUP) && hook->ops->gone) {
		refcount_inc(&hook->ref);
		/* Queued before: that one holds its own reference. */
		if (!queue_work(hook->wq, &hook->hup))
			refcount_dec(&hook->ref);
	}
	/* As first exclusive waiter, eat only what is meant for us. */
	return flags & EPOLLIN ? 1 : 0;
}

static void vbe_hook_queue_proc(struct file *file, wait_queue_head_t *wqh, poll_table *pt)
{
	struct vbe_hook *hook = container_of(pt, struct vbe_hook, pt);

	hook->wqh = wqh;
	hook->error = vbe_add_wait_queue_exclusive_first(wqh, &hook->wait);
}

/**
 * vbe_hook_new() - call a function on each write to an eventfd
 * @ops: the function, and what to do when the eventfd is closed
 * @file: eventfd
 * @wq: for @ops->gone
 * @owner: theirs
 * @arg: theirs
 *
 * Context: process, may sleep; does not wait for I/O.
 * Return: the hook; or ERR_PTR: EINVAL (no eventfd), EBUSY (it has a hook already, where
 * the kernel tells), ENOMEM.
 */
struct vbe_hook *vbe_hook_new(const struct vbe_hook_ops *ops, struct file *file,
			      struct workqueue_struct *wq, void *owner, void *arg)
{
	/* Under a device's lock, which a reset needs. */
	struct vbe_hook *hook = kzalloc(sizeof(*hook), GFP_NOIO | __GFP_ACCOUNT);
	int ret;

	if (!hook)
		return ERR_PTR(-ENOMEM);
	hook->ops = ops;
	hook->owner = owner;
	hook->arg = arg;
	hook->wq = wq;
	refcount_set(&hook->ref, 1);
	INIT_WORK(&hook->hup, vbe_hook_hup_work);
	init_waitqueue_func_entry(&hook->wait, vbe_hook_wakeup);
	init_poll_funcptr(&hook->pt, vbe_hook_queue_proc);
	hook->ctx = eventfd_ctx_fileget(file);
	if (IS_ERR(hook->ctx)) {
		kfree(hook);
		return ERR_PTR(-EINVAL);
	}
	if (vfs_poll(file, &hook->pt) & EPOLLIN && !hook->error) {
		u64 count;

		spin_lock_irq(&hook->wqh->lock);
		eventfd_ctx_do_read(hook->ctx, &count);
		spin_unlock_irq(&hook->wqh->lock);
		if (count)
			ops->fn(hook, count, false);
	}
	if (hook->error) {
		ret = hook->error;
		eventfd_ctx_put(hook->ctx);
		kfree(hook);
		return ERR_PTR(ret);
	}
	return hook;
}

/**
 * vbe_hook_free() - call it no more
 * @hook: from vbe_hook_new(); the lock that its @gone takes is held
 *
 * When it returns, the function does not run and will not.
 * Context: process; takes wqh->lock.
 */
void vbe_hook_free(struct vbe_hook *hook)
{
	u64 count;

	hook->freed = true;
	eventfd_ctx_remove_wait_queue(hook->ctx, &hook->wait, &count);
	eventfd_ctx_put(hook->ctx);
	vbe_hook_put(hook);
}
