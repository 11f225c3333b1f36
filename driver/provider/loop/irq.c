// SPDX-License-Identifier: GPL-2.0
/*
 * Interrupts: from a backend's call into the driver.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * Drivers expect their callbacks in a hard interrupt, and kick under the locks
 * that the callbacks take. So from within an eventfd wake-up they may not be
 * called: an irq_work brings them into a real interrupt on this CPU, right after
 * the waker has dropped its lock. From an ioctl the callback is called at once,
 * with interrupts and bottom halves off as if in an interrupt; what it raised as
 * softirq runs when they come back on.
 */
#include <linux/bottom_half.h>
#include <linux/interrupt.h>
#include <linux/rcupdate.h>
#include <linux/virtio_ring.h>

#include "transport/direct.h"
#include "loop.h"

/**
 * loop_irq_deliver() - run the driver's callback of a queue
 * @lvq: queue
 *
 * Context: hard interrupt, or interrupts off.
 * Return: as vring_interrupt(): IRQ_NONE when nothing was used.
 */
irqreturn_t loop_irq_deliver(struct loop_vq *lvq)
{
	irqreturn_t ret = IRQ_NONE;

	lockdep_assert_irqs_disabled();
	/* Not every driver locks in its callback: a device has one vector per queue. */
	spin_lock(&lvq->lock);
	/* A driver that still probes has locks that are not initialised. */
	if (lvq->live && (vbe_direct_status(lvq->lv->ld->vbe) & VIRTIO_CONFIG_S_DRIVER_OK))
		ret = vring_interrupt(0, lvq->vq);
	spin_unlock(&lvq->lock);
	return ret;
}

static void loop_irq_work(struct irq_work *work)
{
	struct loop_vq *lvq = container_of(work, struct loop_vq, irq);
	unsigned long flags;

	local_irq_save(flags);
	loop_irq_deliver(lvq);
	local_irq_restore(flags);
}

static void loop_irq_config_work(struct irq_work *work)
{
	struct loop_vdev *lv = container_of(work, struct loop_vdev, config_irq);

	virtio_config_changed(&lv->vdev);
}

void loop_irq_init_vq(struct loop_vq *lvq)
{
	spin_lock_init(&lvq->lock);
	init_irq_work(&lvq->irq, loop_irq_work);
}

void loop_irq_init_config(struct loop_vdev *lv)
{
	init_irq_work(&lv->config_irq, loop_irq_config_work);
}

/**
 * loop_irq_queue() - interrupt the driver for a queue
 * @lvq: queue
 * @nested: from a place where its callback must not run
 *
 * Context: any.
 */
void loop_irq_queue(struct loop_vq *lvq, bool nested)
{
	unsigned long flags;

	if (nested) {
		irq_work_queue(&lvq->irq);
		return;
	}
	local_bh_disable();
	local_irq_save(flags);
	loop_irq_deliver(lvq);
	local_irq_restore(flags);
	local_bh_enable();
}

/**
 * loop_irq_config() - tell the driver that the config space or status changed
 * @lv: virtio device
 *
 * Context: any.
 */
void loop_irq_config(struct loop_vdev *lv)
{
	/* Before the virtio core has met the device, there is nobody to tell. */
	if (smp_load_acquire(&lv->started))
		irq_work_queue(&lv->config_irq);
}

/**
 * loop_irq_sync() - wait for interrupts that are on their way
 * @lv: virtio device
 *
 * Context: process, may sleep.
 */
void loop_irq_sync(struct loop_vdev *lv)
{
	u32 i;

	/* inject() runs under RCU. */
	synchronize_rcu();
	for (i = 0; i < lv->n_vqs; i++)
		irq_work_sync(&lv->vqs[i].irq);
	irq_work_sync(&lv->config_irq);
}
