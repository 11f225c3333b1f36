// SPDX-License-Identifier: GPL-2.0
/*
 * Events: what the VMM reads from the guest fd.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * A bit per thing that may happen, so that nothing is lost and nothing is bounded by
 * who reads how fast. What an event tells is looked up when it is read: the reader
 * takes the bit first, so what happens after that sets it again.
 */
#include <linux/sched/signal.h>
#include <linux/uio.h>

#include "user.h"

#define USER_EVENT_BATCH	16	/* records on the stack */

static void user_event_note(struct user_dev *ud, u32 source)
{
	set_bit(source, ud->pending);
	/* Who takes the bit below sees the one above. */
	smp_mb__before_atomic();
	set_bit(ud->id, ud->guest->ready);
}

/**
 * user_event() - something is to be read
 * @ud: device
 * @source: &enum user_source, plus queue, vector or region
 *
 * Context: process, no spinlock held.
 */
void user_event(struct user_dev *ud, u32 source)
{
	user_event_note(ud, source);
	wake_up_interruptible_poll(&ud->guest->wait, EPOLLIN | EPOLLRDNORM);
}

/**
 * user_event_nested() - likewise, inside an eventfd's wake-up or with a spinlock held
 * @ud: device
 * @source: as above
 *
 * Some who poll the guest fd signal an eventfd from within their wake-up (AIO, io_uring),
 * perhaps one whose writes call into the kernel here: then this runs inside a wake-up
 * of the very same queue already, or takes the caller's lock again. So a work item wakes.
 * Context: any, from dev_add to dev_del.
 */
void user_event_nested(struct user_dev *ud, u32 source)
{
	user_event_note(ud, source);
	if (wq_has_sleeper(&ud->guest->wait))
		queue_work(ud->vbe->wq, &ud->signal_work);
}

/**
 * user_line() - is the device's wired line high?
 * @ud: device
 *
 * Context: any.
 */
bool user_line(struct user_dev *ud)
{
	struct vbe_device *dev = ud->vbe;
	bool high;

	/* Once the state is DEAD, the core waits for RCU, and then ends the transport. */
	rcu_read_lock();
	high = READ_ONCE(dev->state) != VBE_DEV_DEAD && dev->transport->line &&
	       dev->transport->line(dev);
	rcu_read_unlock();
	return high;
}

/**
 * user_vector_changed() - the guest wrote an MSI vector
 * @dev: device
 * @vector: number
 * @addr: address
 * @data: message
 * @masked: by the guest
 *
 * Context: any.
 */
void user_vector_changed(struct vbe_device *dev, u32 vector, u64 addr, u32 data, bool masked)
{
	struct user_dev *ud = dev->provider_priv;
	unsigned long flags;

	if (vector >= VBE_GUEST_MAX_VECTORS)
		return;
	spin_lock_irqsave(&ud->tell_lock, flags);
	ud->vectors[vector] = (struct user_vector) {
		.addr = addr, .data = data, .masked = masked,
	};
	spin_unlock_irqrestore(&ud->tell_lock, flags);
	/* A transport's lock is held. */
	user_event_nested(ud, USER_SRC_VECTOR + vector);
}

static void user_region_tell(struct vbe_device *dev, const struct vbe_region *region, u64 len)
{
	struct user_dev *ud = dev->provider_priv;

	if (region->index > VBE_RAW_MAX_REGIONS)
		return;
	spin_lock_irq(&ud->tell_lock);
	ud->regions[region->index] = *region;
	ud->regions[region->index].len = len;
	spin_unlock_irq(&ud->tell_lock);
	user_event(ud, USER_SRC_REGION + region->index);
}

/* Any address can be trapped: the VMM hands over what its vCPUs do. */
int user_region_map(struct vbe_device *dev, const struct vbe_region *region)
{
	user_region_tell(dev, region, region->len);
	return 0;
}

void user_region_unmap(struct vbe_device *dev, const struct vbe_region *region)
{
	user_region_tell(dev, region, 0);
}

/* ---- reading ------------------------------------------------------------------------ */

static void user_tell_line(struct user_dev *ud, struct vbe_guest_event *e)
{
	spin_lock_irq(&ud->tell_lock);
	e->data[0] = ud->pulsed || user_line(ud);
	ud->pulsed = false;
	spin_unlock_irq(&ud->tell_lock);
}

static void user_tell_vector(struct user_dev *ud, u32 vector, struct vbe_guest_event *e)
{
	spin_lock_irq(&ud->tell_lock);
	e->index = vector;
	e->data[0] = ud->vectors[vector].addr;
	e->data[1] = ud->vectors[vector].data;
	e->data[2] = ud->vectors[vector].masked;
	spin_unlock_irq(&ud->tell_lock);
}

static void user_tell_region(struct user_dev *ud, u32 index, struct vbe_guest_event *e)
{
	spin_lock_irq(&ud->tell_lock);
	e->index = index;
	e->data[0] = ud->regions[index].base;
	e->data[1] = ud->regions[index].len;
	e->data[2] = ud->regions[index].space;
	spin_unlock_irq(&ud->tell_lock);
}

/* The device is not freed as the guest's lock is held. */
static void user_tell(struct user_dev *ud, u32 source, struct vbe_guest_event *e)
{
	*e = (struct vbe_guest_event) { .dev = ud->id };
	if (source >= USER_SRC_REGION) {
		e->type = VBE_GUEST_EVENT_REGION;
		user_tell_region(ud, source - USER_SRC_REGION, e);
	} else if (source >= USER_SRC_VECTOR) {
		e->type = VBE_GUEST_EVENT_VECTOR;
		user_tell_vector(ud, source - USER_SRC_VECTOR, e);
	} else if (source >= USER_SRC_MSI) {
		e->type = VBE_GUEST_EVENT_MSI;
		user_tell_vector(ud, source - USER_SRC_MSI, e);
		e->data[2] = 0;
	} else if (source >= USER_SRC_CALL) {
		e->type = VBE_GUEST_EVENT_CALL;
		e->index = source - USER_SRC_CALL;
	} else if (source == USER_SRC_CONFIG) {
		e->type = VBE_GUEST_EVENT_CONFIG;
	} else if (source == USER_SRC_LINE) {
		e->type = VBE_GUEST_EVENT_LINE;
		user_tell_line(ud, e);
	} else if (source == USER_SRC_GONE) {
		e->type = VBE_GUEST_EVENT_GONE;
	} else {
		e->type = VBE_GUEST_EVENT_STATE;
		e->data[0] = READ_ONCE(ud->vbe->state);
	}
}

/**
 * struct user_batch - records taken, and from where, should they not reach the reader
 * @n: number
 * @e: records
 * @ud: their devices, a reference each
 * @source: their sources
 */
struct user_batch {
	u32 n;
	struct vbe_guest_event e[USER_EVENT_BATCH];
	struct user_dev *ud[USER_EVENT_BATCH];
	u32 source[USER_EVENT_BATCH];
};

static void user_take_dev(struct user_dev *ud, struct user_batch *b, u32 max)
{
	u32 source;

	for_each_set_bit(source, ud->pending, USER_SRC_MAX) {
		if (b->n == max) {
			set_bit(ud->id, ud->guest->ready);
			return;
		}
		if (!test_and_clear_bit(source, ud->pending))
			continue;
		/* What happens from here on sets it again. */
		smp_mb__after_atomic();
		user_tell(ud, source, &b->e[b->n]);
		kref_get(&ud->ref);
		b->ud[b->n] = ud;
		b->source[b->n++] = source;
	}
}

static void user_take(struct user_guest *guest, struct user_batch *b, u32 max)
{
	u32 id;

	b->n = 0;
	mutex_lock(&guest->lock);
	for_each_set_bit(id, guest->ready, VBE_GUEST_MAX_DEVICES) {
		if (b->n == max)
			break;
		clear_bit(id, guest->ready);
		/* What becomes pending from here on sets it again: see user_event(). */
		smp_mb__after_atomic();
		if (guest->devs[id] && guest->devs[id]->vbe)
			user_take_dev(guest->devs[id], b, max);
	}
	mutex_unlock(&guest->lock);
}

/* From @from on they have not reached the reader: they are still to be read. */
static void user_batch_end(struct user_batch *b, u32 from)
{
	u32 i;

	for (i = 0; i < b->n; i++) {
		if (i >= from)
			user_event(b->ud[i], b->source[i]);
		user_dev_put(b->ud[i]);
	}
}

/* User memory may take any time, so no lock is held there. */
static ssize_t user_events_copy(struct user_guest *guest, struct iov_iter *to)
{
	struct user_batch b;
	ssize_t done = 0;
	u32 i, max;

	do {
		max = min_t(size_t, iov_iter_count(to) / sizeof(b.e[0]), USER_EVENT_BATCH);
		user_take(guest, &b, max);
		for (i = 0; i < b.n; i++)
			if (copy_to_iter(&b.e[i], sizeof(b.e[i]), to) != sizeof(b.e[i]))
				break;
		user_batch_end(&b, i);
		done += i * sizeof(b.e[0]);
		if (i < b.n)
			return done ?: -EFAULT;
	} while (b.n && iov_iter_count(to) >= sizeof(b.e[0]) && !signal_pending(current));
	return done;
}

bool user_events_pending(struct user_guest *guest)
{
	return !bitmap_empty(guest->ready, VBE_GUEST_MAX_DEVICES);
}

/**
 * user_events_read() - read() on a guest fd
 * @guest: guest
 * @to: user buffer
 * @nonblock: do not wait for the first record
 *
 * Context: process, may sleep; takes guest->lock, never while it touches user memory.
 * Return: bytes, whole records; EINVAL (buffer below one), EAGAIN, ERESTARTSYS, EFAULT;
 * 0 once the guest is dead.
 */
ssize_t user_events_read(struct user_guest *guest, struct iov_iter *to, bool nonblock)
{
	ssize_t done;
	int ret;

	if (iov_iter_count(to) < sizeof(struct vbe_guest_event))
		return vbe_fail(&guest->why, -EINVAL, "the buffer is smaller than one event");
	for (;;) {
		done = user_events_copy(guest, to);
		if (done)
			return done;
		if (READ_ONCE(guest->dead))
			return 0;
		if (nonblock)
			return -EAGAIN;
		ret = wait_event_interruptible(guest->wait, user_events_pending(guest) ||
					       READ_ONCE(guest->dead));
		if (ret)
			return ret;
	}
}
