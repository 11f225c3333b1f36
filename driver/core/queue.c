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
 */
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

/**
 * vbe_queue_set_kick() - attach, replace or detach the kick eventfd
 * @q: queue
 * @ctx: its reference passes to the queue; NULL detaches
 *
 * A latched kick signals the new one. Detaching latches a kick on a live queue:
 * the old backend may have eaten one without serving it.
 * Context: process; takes kick_lock.
 */
void vbe_queue_set_kick(struct vbe_queue *q, struct eventfd_ctx *ctx)
{
	struct eventfd_ctx *old;

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
	q->desc = 0;
	q->driver = 0;
	q->device = 0;
	spin_unlock_irq(&q->kick_lock);
}
