// SPDX-License-Identifier: GPL-2.0
/*
 * Events: what the backend reads from its device fd.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * A bounded ring per client. Ordinary records leave the last slots free, which
 * are for those that should not be lost: held ones and OFFLINE, and the very last
 * for what ends the attachment (REVOKED, GONE). What does not fit is counted, and a LOST
 * record says so as soon as the reader has made room.
 */
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/uio.h>

#include "trace.h"
#include "vbe.h"

void vbe_events_init(struct vbe_events *ev)
{
	mutex_init(&ev->read_lock);
	spin_lock_init(&ev->lock);
	init_waitqueue_head(&ev->wait);
}

static bool vbe_event_vital(const struct vbe_event *e)
{
	return e->cookie || e->type == VBE_EVENT_REVOKED || e->type == VBE_EVENT_OFFLINE ||
	       e->type == VBE_EVENT_GONE;
}

static bool vbe_events_put(struct vbe_events *ev, const struct vbe_event *e)
{
	u32 limit = VBE_EVENT_SLOTS;

	if (!vbe_event_vital(e))
		limit -= VBE_EVENT_RESERVED;
	else if (e->type != VBE_EVENT_REVOKED && e->type != VBE_EVENT_GONE)
		limit--;
	if (ev->count >= limit) {
		ev->dropped++;
		return false;
	}
	ev->ring[(ev->head + ev->count++) % VBE_EVENT_SLOTS] = *e;
	return true;
}

/**
 * vbe_event_post() - queue an event for a client
 * @dev: device
 * @c: its client
 * @type: &enum vbe_event_type
 * @queue: queue, or VBE_NO_QUEUE
 * @cookie: not 0 for a held event
 * @data0: as the type says
 * @data1: as the type says
 *
 * Context: process, dev->lock held (which keeps @seq in order); takes the event
 * lock.
 */
void vbe_event_post(struct vbe_device *dev, struct vbe_client *c, u32 type, u32 queue,
		    u64 cookie, u64 data0, u64 data1)
{
	struct vbe_event e = {
		.type = type,
		.queue = queue,
		.seq = atomic64_inc_return(&dev->event_seq),
		.cookie = cookie,
		.data = { data0, data1 },
	};
	bool put;

	lockdep_assert_held(&dev->lock);
	spin_lock(&c->events.lock);
	put = vbe_events_put(&c->events, &e);
	spin_unlock(&c->events.lock);
	if (!put)
		atomic64_inc(&dev->stats.events_lost);
	trace_vbe_event(dev, &e, !put);
	wake_up_interruptible_poll(&c->events.wait, EPOLLIN | EPOLLRDNORM);
}

/**
 * vbe_event_post_access() - a held event about an access of the FE
 * @dev: device, its lock held
 * @c: its client
 * @cookie: to be completed by
 * @data: of VBE_EVENT_ACCESS
 *
 * Unlike others it is not sent at the expense of a LOST record: who posts it waits.
 * Context: process.
 * Return: false when the event queue is full: try again.
 */
bool vbe_event_post_access(struct vbe_device *dev, struct vbe_client *c, u64 cookie,
			   const u64 data[3])
{
	struct vbe_events *ev = &c->events;
	struct vbe_event e = {
		.type = VBE_EVENT_ACCESS,
		.queue = VBE_NO_QUEUE,
		.cookie = cookie,
		.data = { data[0], data[1], data[2] },
	};
	bool put;

	lockdep_assert_held(&dev->lock);
	spin_lock(&ev->lock);
	put = !ev->dropped && ev->count < VBE_EVENT_SLOTS - VBE_EVENT_RESERVED;
	if (put) {
		e.seq = atomic64_inc_return(&dev->event_seq);
		ev->ring[(ev->head + ev->count++) % VBE_EVENT_SLOTS] = e;
	}
	spin_unlock(&ev->lock);
	if (put) {
		trace_vbe_event(dev, &e, false);
		wake_up_interruptible_poll(&ev->wait, EPOLLIN | EPOLLRDNORM);
	}
	return put;
}

/* Look at what is next to be read, without taking it. */
static bool vbe_events_peek(struct vbe_client *c, struct vbe_event *e)
{
	struct vbe_events *ev = &c->events;
	bool got = true;

	spin_lock(&ev->lock);
	if (ev->dropped) {
		*e = (struct vbe_event) {
			.type = VBE_EVENT_LOST,
			.queue = VBE_NO_QUEUE,
			.seq = ev->count ? ev->ring[ev->head].seq :
					   atomic64_read(&c->dev->event_seq),
			.data = { ev->dropped },
		};
	} else if (ev->count) {
		*e = ev->ring[ev->head];
	} else {
		got = false;
	}
	spin_unlock(&ev->lock);
	return got;
}

/* Take what vbe_events_peek() gave and the reader now has. */
static void vbe_events_consume(struct vbe_client *c, const struct vbe_event *e)
{
	struct vbe_events *ev = &c->events;

	spin_lock(&ev->lock);
	if (e->type == VBE_EVENT_LOST) {
		/* More may have been dropped since. */
		ev->dropped -= e->data[0];
	} else {
		ev->head = (ev->head + 1) % VBE_EVENT_SLOTS;
		ev->count--;
	}
	spin_unlock(&ev->lock);
}

static bool vbe_events_pending(struct vbe_client *c)
{
	return READ_ONCE(c->events.count) || READ_ONCE(c->events.dropped);
}

/* The end of the stream: no event will come any more; the last one is queued. */
static bool vbe_events_over(struct vbe_client *c)
{
	/* Pairs with vbe_events_end(). */
	return smp_load_acquire(&c->over);
}

/**
 * vbe_events_end() - nothing will be posted any more
 * @c: client
 */
void vbe_events_end(struct vbe_client *c)
{
	/* Who sees this sees the last event. */
	smp_store_release(&c->over, true);
	wake_up_all(&c->events.wait);
}

/* Copy what there is and fits; a record that cannot be copied stays. */
static ssize_t vbe_events_copy(struct vbe_client *c, struct iov_iter *to)
{
	struct vbe_event e;
	ssize_t done = 0;

	if (mutex_lock_interruptible(&c->events.read_lock))
		return -ERESTARTSYS;
	while (iov_iter_count(to) >= sizeof(e) && vbe_events_peek(c, &e)) {
		if (copy_to_iter(&e, sizeof(e), to) != sizeof(e)) {
			done = done ?: -EFAULT;
			break;
		}
		vbe_events_consume(c, &e);
		done += sizeof(e);
	}
	mutex_unlock(&c->events.read_lock);
	return done;
}

/**
 * vbe_events_read() - read() on a device fd
 * @c: client
 * @to: user buffer
 * @nonblock: do not wait for the first record
 *
 * Context: process, may sleep; takes the event lock, never while it touches user
 * memory.
 * Return: bytes, whole records; 0 when the attachment is over and all was read;
 * EINVAL (buffer below one record), EAGAIN, ERESTARTSYS, EFAULT.
 */
ssize_t vbe_events_read(struct vbe_client *c, struct iov_iter *to, bool nonblock)
{
	ssize_t done;
	int ret;

	if (iov_iter_count(to) < sizeof(struct vbe_event))
		return vbe_fail(&c->why, -EINVAL, "the buffer is smaller than one event");
	for (;;) {
		done = vbe_events_copy(c, to);
		if (done)
			return done;
		if (vbe_events_over(c) && !vbe_events_pending(c))
			return 0;
		if (nonblock)
			return -EAGAIN;
		ret = wait_event_interruptible(c->events.wait,
					       vbe_events_pending(c) || vbe_events_over(c));
		if (ret)
			return ret;
	}
}

/**
 * vbe_events_poll() - poll() on a device fd
 * @c: client
 * @file: its file
 * @pt: poll table
 */
__poll_t vbe_events_poll(struct vbe_client *c, struct file *file, poll_table *pt)
{
	__poll_t mask = 0;

	poll_wait(file, &c->events.wait, pt);
	if (vbe_events_pending(c))
		mask |= EPOLLIN | EPOLLRDNORM;
	if (vbe_events_over(c))
		mask |= EPOLLHUP;
	return mask;
}
