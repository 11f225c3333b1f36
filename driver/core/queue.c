// SPDX-License-Identifier: GPL-2.0
/*
 * Kicks: FE to backend.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * A kick signals the queue's eventfd, or is latched until there is one. It takes
 * the queue's own spinlock, allocates nothing and never sleeps; it may come from
 * a driver under its own locks with interrupts off.
 *
 * eventfd_signal() must not nest in another eventfd's wake-up: it would warn and
 * drop the signal. There the kick goes by a work item.
 *
 * The FE's side may bring an eventfd of its own for a queue, which a hypervisor or
 * another process signals (fe_file). Best is a backend that waits on that very one:
 * QUEUE_KICK_FD makes it the queue's kick eventfd, and nothing of vbe runs on such a
 * kick. For one that brought its own, a hook carries the kicks over. While there is no
 * backend there is no hook: the FE's eventfd keeps its count.
 */
#include <linux/file.h>

#include "trace.h"
#include "vbe.h"

static void vbe_queue_kick_work(struct work_struct *work)
{
	struct vbe_queue *q = container_of(work, struct vbe_queue, kick_work);

	spin_lock_irq(&q->kick_lock);
	if (q->kick_ctx)
		vbe_eventfd_signal(q->kick_ctx);
	else
		q->kick_latched = true;
	spin_unlock_irq(&q->kick_lock);
}

void vbe_queue_init(struct vbe_queue *q, struct vbe_device *dev, u32 index, u32 max_size)
{
	q->dev = dev;
	q->index = index;
	q->max_size = max_size;
	spin_lock_init(&q->kick_lock);
	INIT_WORK(&q->kick_work, vbe_queue_kick_work);
}

/**
 * vbe_queue_kick() - the FE notifies a queue
 * @q: queue
 *
 * Context: any, also hard interrupt.
 */
void vbe_queue_kick(struct vbe_queue *q)
{
	unsigned long flags;
	bool latched;

	atomic64_inc(&q->stats.kicks);
	spin_lock_irqsave(&q->kick_lock, flags);
	latched = !q->kick_ctx;
	if (latched) {
		q->kick_latched = true;
		atomic64_inc(&q->stats.latched);
	} else if (eventfd_signal_allowed()) {
		vbe_eventfd_signal(q->kick_ctx);
	} else {
		queue_work(q->dev->wq, &q->kick_work);
	}
	spin_unlock_irqrestore(&q->kick_lock, flags);
	trace_vbe_kick(q, latched);
}
EXPORT_SYMBOL_GPL(vbe_queue_kick);

/* A hook on the FE's eventfd; inside its wake-up, so without our lock. */
static void vbe_queue_fe_kicked(struct vbe_hook *hook, u64 count, bool nested)
{
	struct vbe_queue *q = hook->arg;

	atomic64_add(count, &q->stats.kicks);
	queue_work(q->dev->wq, &q->kick_work);
}

/* We hold the file, so it is not closed before us. */
static const struct vbe_hook_ops vbe_fe_kick_ops = {
	.fn = vbe_queue_fe_kicked,
};

static void vbe_queue_unhook(struct vbe_queue *q)
{
	if (q->fe_hook)
		vbe_hook_free(q->fe_hook);
	q->fe_hook = NULL;
}

/* Hook up or not, for a backend that waits on @kick. */
static int vbe_queue_rehook(struct vbe_queue *q, struct eventfd_ctx *kick)
{
	struct vbe_hook *hook;

	lockdep_assert_held(&q->dev->lock);
	if (!kick || !q->fe_ctx || kick == q->fe_ctx) {
		vbe_queue_unhook(q);
		return 0;
	}
	if (q->fe_hook)
		return 0;
	hook = vbe_hook_new(&vbe_fe_kick_ops, q->fe_file, q->dev->wq, q->dev, q);
	if (IS_ERR(hook))
		return PTR_ERR(hook);
	q->fe_hook = hook;
	return 0;
}

/**
 * vbe_queue_set_kick() - attach, replace or detach the kick eventfd
 * @q: queue; dev->lock held
 * @ctx: its reference passes to the queue, on success; NULL detaches and cannot fail
 *
 * A latched kick signals the new one. Detaching latches a kick on a live queue:
 * the old backend may have eaten one without serving it.
 * Context: process; takes kick_lock.
 * Return: 0; ENOMEM, EBUSY.
 */
int vbe_queue_set_kick(struct vbe_queue *q, struct eventfd_ctx *ctx)
{
	struct eventfd_ctx *old;
	int ret;

	ret = vbe_queue_rehook(q, ctx);
	if (ret)
		return ret;
	spin_lock_irq(&q->kick_lock);
	old = q->kick_ctx;
	q->kick_ctx = ctx;
	if (!ctx && old && READ_ONCE(q->enabled)) {
		q->kick_latched = true;
	} else if (ctx && q->kick_latched) {
		q->kick_latched = false;
		vbe_eventfd_signal(ctx);
	}
	spin_unlock_irq(&q->kick_lock);
	if (old)
		eventfd_ctx_put(old);
	return 0;
}

/**
 * vbe_queue_kick_is_direct() - do kicks come without passing vbe?
 * @q: queue; dev->lock held
 */
bool vbe_queue_kick_is_direct(struct vbe_queue *q)
{
	lockdep_assert_held(&q->dev->lock);
	return q->fe_ctx && q->fe_ctx == q->kick_ctx;
}

/**
 * vbe_queue_set_fe_kick() - the FE's side brings, replaces or takes back its eventfd
 * @q: queue; dev->lock held
 * @file: eventfd, of which the queue takes a reference of its own; or NULL
 *
 * A backend that waited on the old one gets kicks there until it asks again.
 * Context: process, may sleep.
 * Return: 0; EINVAL (no eventfd), ENOMEM, EBUSY. NULL cannot fail.
 */
int vbe_queue_set_fe_kick(struct vbe_queue *q, struct file *file)
{
	struct eventfd_ctx *ctx = NULL, *old_ctx = q->fe_ctx;
	struct file *old = q->fe_file;
	bool told;
	int ret;

	lockdep_assert_held(&q->dev->lock);
	if (file) {
		ctx = eventfd_ctx_fileget(file);
		if (IS_ERR(ctx))
			return -EINVAL;
		get_file(file);
	}
	told = q->dev->client && (vbe_queue_kick_is_direct(q) || (q->kick_ctx && ctx));
	vbe_queue_unhook(q);
	q->fe_file = file;
	q->fe_ctx = ctx;
	ret = vbe_queue_rehook(q, q->kick_ctx);
	if (ret) {
		/* The old one goes as well: who failed knows that there is none now. */
		q->fe_file = NULL;
		q->fe_ctx = NULL;
		eventfd_ctx_put(ctx);
		fput(file);
	}
	if (told)
		vbe_event_post(q->dev, q->dev->client, VBE_EVENT_KICK_FD, q->index, 0, 0, 0);
	if (old) {
		eventfd_ctx_put(old_ctx);
		fput(old);
	}
	return ret;
}

/**
 * vbe_queue_adopt_kick() - QUEUE_KICK_FD: the backend waits on the FE's own eventfd
 * @q: queue; dev->lock held
 * @nfd: gets an fd for it
 * @why: error text
 *
 * Context: process, may sleep.
 * Return: 0; ENOENT where the FE brings none, EMFILE.
 */
int vbe_queue_adopt_kick(struct vbe_queue *q, struct vbe_new_fd *nfd, struct vbe_why *why)
{
	struct eventfd_ctx *ctx;
	int fd;

	lockdep_assert_held(&q->dev->lock);
	if (!q->fe_file)
		return vbe_fail(why, -ENOENT,
				"the front-end brings no eventfd; use QUEUE_SET_FDS");
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return vbe_fail(why, fd, "no file descriptor to be had");
	ctx = eventfd_ctx_fileget(q->fe_file);
	if (IS_ERR(ctx)) {
		put_unused_fd(fd);
		return vbe_fail(why, PTR_ERR(ctx), "the front-end's eventfd is none");
	}
	/* Only takes a hook away: cannot fail. */
	vbe_queue_set_kick(q, ctx);
	nfd->fd = fd;
	nfd->file = get_file(q->fe_file);
	return 0;
}

/**
 * vbe_queue_stop() - the FE disabled or reset the queue
 * @q: queue
 *
 * Context: process; takes kick_lock.
 */
void vbe_queue_stop(struct vbe_queue *q)
{
	spin_lock_irq(&q->kick_lock);
	WRITE_ONCE(q->enabled, false);
	q->kick_latched = false;
	q->num = 0;
	q->base = 0;
	q->desc = 0;
	q->driver = 0;
	q->device = 0;
	spin_unlock_irq(&q->kick_lock);
}
