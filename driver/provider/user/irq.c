// SPDX-License-Identifier: GPL-2.0
/*
 * Interrupts towards the VMM, and kicks from it, by eventfd.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * An interrupt finds its eventfd under SRCU and signals it there and then: with
 * KVM_IRQFD on the other side the guest is interrupted before the backend's ioctl
 * returns. Inside an eventfd wake-up that may not be done; there a work item does it.
 * (Not an irq_work: a VMM could feed an eventfd to itself through us, and that must
 * cost it a thread, and not us a CPU.)
 *
 * Without an eventfd, an interrupt is an event to be read. Who attaches one later gets
 * what has not been read by then:
 *
 *	inject:	set pending; look for an eventfd again; there: take pending, signal
 *	attach:	publish the eventfd; take pending; if it was set, signal
 */
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/nospec.h>

#include "user.h"

static void user_signal_work(struct work_struct *work)
{
	struct user_dev *ud = container_of(work, struct user_dev, signal_work);
	struct srcu_struct *srcu = &ud->guest->srcu;
	struct eventfd_ctx *ctx;
	u32 source;
	int idx;

	for_each_set_bit(source, ud->signal, USER_FD_SOURCES) {
		if (!test_and_clear_bit(source, ud->signal))
			continue;
		idx = srcu_read_lock(srcu);
		ctx = srcu_dereference(ud->fds[source], srcu);
		if (ctx)
			vbe_eventfd_signal(ctx);
		srcu_read_unlock(srcu, idx);
	}
	/* See user_event_nested(). */
	if (user_events_pending(ud->guest))
		wake_up_interruptible_poll(&ud->guest->wait, EPOLLIN | EPOLLRDNORM);
}

void user_irq_init(struct user_dev *ud)
{
	INIT_WORK(&ud->signal_work, user_signal_work);
	spin_lock_init(&ud->tell_lock);
}

/* Under guest->srcu. */
static void user_signal(struct user_dev *ud, u32 source, struct eventfd_ctx *ctx, bool nested)
{
	if (!nested && eventfd_signal_allowed()) {
		vbe_eventfd_signal(ctx);
		return;
	}
	set_bit(source, ud->signal);
	queue_work(ud->vbe->wq, &ud->signal_work);
}

static void user_raise(struct user_dev *ud, u32 source, bool nested)
{
	struct srcu_struct *srcu = &ud->guest->srcu;
	struct eventfd_ctx *ctx = srcu_dereference(ud->fds[source], srcu);

	if (likely(ctx)) {
		user_signal(ud, source, ctx, nested);
		return;
	}
	if (nested)
		user_event_nested(ud, source);
	else
		user_event(ud, source);
	/* Pairs with user_fd_publish(). */
	smp_mb__after_atomic();
	ctx = srcu_dereference(ud->fds[source], srcu);
	if (ctx && test_and_clear_bit(source, ud->pending))
		user_signal(ud, source, ctx, nested);
}

static void user_raise_line(struct user_dev *ud, const struct vbe_irq *irq)
{
	unsigned long flags;

	if (irq->type == VBE_IRQ_PULSE) {
		spin_lock_irqsave(&ud->tell_lock, flags);
		ud->pulsed = true;
		spin_unlock_irqrestore(&ud->tell_lock, flags);
	} else if (rcu_access_pointer(ud->fds[USER_SRC_LINE]) && !user_line(ud)) {
		/* Who listens by eventfd lowers the line himself, at EOI. */
		return;
	}
	user_raise(ud, USER_SRC_LINE, irq->nested);
}

static void user_raise_msi(struct user_dev *ud, const struct vbe_irq *irq)
{
	struct user_vector *v;
	unsigned long flags;

	if (irq->index >= VBE_GUEST_MAX_VECTORS)
		return;
	v = &ud->vectors[array_index_nospec(irq->index, VBE_GUEST_MAX_VECTORS)];
	if (!rcu_access_pointer(ud->fds[USER_SRC_MSI + irq->index])) {
		spin_lock_irqsave(&ud->tell_lock, flags);
		v->addr = irq->msi_addr;
		v->data = irq->msi_data;
		spin_unlock_irqrestore(&ud->tell_lock, flags);
	}
	user_raise(ud, USER_SRC_MSI + irq->index, irq->nested);
}

/**
 * user_inject() - an interrupt of a device
 * @dev: device
 * @irq: which
 *
 * Context: any, under RCU.
 */
void user_inject(struct vbe_device *dev, const struct vbe_irq *irq)
{
	struct user_dev *ud = dev->provider_priv;
	int idx = srcu_read_lock(&ud->guest->srcu);

	switch (irq->type) {
	case VBE_IRQ_QUEUE:
		if (irq->index < VBE_MAX_QUEUES)
			user_raise(ud, USER_SRC_CALL + irq->index, irq->nested);
		break;
	case VBE_IRQ_CONFIG:
		user_raise(ud, USER_SRC_CONFIG, irq->nested);
		break;
	case VBE_IRQ_LINE:
	case VBE_IRQ_PULSE:
		user_raise_line(ud, irq);
		break;
	case VBE_IRQ_MSI:
		user_raise_msi(ud, irq);
		break;
	}
	srcu_read_unlock(&ud->guest->srcu, idx);
}

/* ---- SET_FD ------------------------------------------------------------------------ */

static void user_fd_publish(struct user_dev *ud, u32 source, struct eventfd_ctx *ctx)
{
	struct eventfd_ctx *old;

	lockdep_assert_held(&ud->guest->lock);
	old = rcu_replace_pointer(ud->fds[source], ctx, lockdep_is_held(&ud->guest->lock));
	/* Pairs with user_raise(): one of the two sees what the other did. */
	smp_mb();
	if (ctx && test_and_clear_bit(source, ud->pending))
		vbe_eventfd_signal(ctx);
	if (old) {
		synchronize_srcu(&ud->guest->srcu);
		eventfd_ctx_put(old);
	}
}

/* The queue @index of @ud kicks by @file from now on; the device's lock held. */
static int user_kick_apply(struct user_dev *ud, u32 index)
{
	struct vbe_queue *q;

	/* Before a backend has come there are no queues: see user_apply_kicks(). */
	q = vbe_fe_queue(ud->vbe, index);
	return q ? vbe_queue_set_fe_kick(q, ud->kicks[index]) : 0;
}

/**
 * user_apply_kicks() - the device is shown: its queues get the VMM's eventfds
 * @ud: device; ud->vbe->lock held
 *
 * Return: 0; ENOMEM, EBUSY.
 */
int user_apply_kicks(struct user_dev *ud)
{
	int ret = 0;
	u32 i;

	lockdep_assert_held(&ud->vbe->lock);
	for (i = 0; !ret && i < ud->vbe->n_queues; i++)
		if (ud->kicks[i])
			ret = user_kick_apply(ud, i);
	return ret;
}

static int user_set_kick(struct user_dev *ud, u32 index, struct file *file)
{
	struct vbe_why *why = &ud->guest->why;
	struct file *old;
	int ret;

	if (index >= VBE_MAX_QUEUES)
		return vbe_fail(why, -EINVAL, "index must be 0 to 255 for a queue");
	index = array_index_nospec(index, VBE_MAX_QUEUES);
	mutex_lock(&ud->vbe->lock);
	old = ud->kicks[index];
	ud->kicks[index] = file ? get_file(file) : NULL;
	ret = user_kick_apply(ud, index);
	if (ret && file) {
		ud->kicks[index] = NULL;
		fput(file);
	}
	mutex_unlock(&ud->vbe->lock);
	if (old)
		fput(old);
	if (ret)
		vbe_fail(why, ret, "the eventfd cannot be listened to");
	return ret;
}

/* A line that is high would raise itself for ever. */
static const char user_circle[] = "LINE and RESAMPLE need an eventfd each";

static void user_resampled(struct vbe_hook *hook, u64 count, bool nested)
{
	struct user_dev *ud = hook->owner;

	vbe_device_eoi(ud->vbe, nested);
}

/* Nothing to do when the VMM closes it: it is kept until replaced. */
static const struct vbe_hook_ops user_resample_ops = {
	.fn = user_resampled,
};

static void user_drop_resample(struct user_dev *ud)
{
	if (ud->resample)
		vbe_hook_free(ud->resample);
	ud->resample = NULL;
}

static int user_set_resample(struct user_dev *ud, struct file *file)
{
	struct vbe_hook *hook;

	lockdep_assert_held(&ud->guest->lock);
	/* An eventfd has one listener: ours, if it is the same again. */
	user_drop_resample(ud);
	if (!file)
		return 0;
	hook = vbe_hook_new(&user_resample_ops, file, ud->vbe->wq, ud, NULL);
	if (IS_ERR(hook))
		return vbe_fail(&ud->guest->why, PTR_ERR(hook),
				"the eventfd cannot be listened to");
	if (rcu_access_pointer(ud->fds[USER_SRC_LINE]) == hook->ctx) {
		vbe_hook_free(hook);
		return vbe_fail(&ud->guest->why, -EINVAL, user_circle);
	}
	ud->resample = hook;
	return 0;
}

static int user_set_source(struct user_dev *ud, u32 source, struct file *file)
{
	struct eventfd_ctx *ctx = NULL;

	if (file) {
		ctx = eventfd_ctx_fileget(file);
		if (IS_ERR(ctx))
			return vbe_fail(&ud->guest->why, PTR_ERR(ctx), "fd is not an eventfd");
	}
	if (source == USER_SRC_LINE && ctx && ud->resample && ud->resample->ctx == ctx) {
		eventfd_ctx_put(ctx);
		return vbe_fail(&ud->guest->why, -EINVAL, user_circle);
	}
	user_fd_publish(ud, source, ctx);
	return 0;
}

static int user_set_fd_indexed(struct user_dev *ud, const struct vbe_guest_set_fd *s,
			       struct file *file)
{
	struct vbe_why *why = &ud->guest->why;

	switch (s->type) {
	case VBE_GUEST_FD_KICK:
		return user_set_kick(ud, s->index, file);
	case VBE_GUEST_FD_CALL:
		if (s->index >= VBE_MAX_QUEUES)
			return vbe_fail(why, -EINVAL, "index must be 0 to 255 for a queue");
		return user_set_source(ud, USER_SRC_CALL +
				       array_index_nospec(s->index, VBE_MAX_QUEUES), file);
	case VBE_GUEST_FD_MSI:
		if (s->index >= VBE_GUEST_MAX_VECTORS)
			return vbe_fail(why, -EINVAL, "index must be 0 to 256 for a vector");
		return user_set_source(ud, USER_SRC_MSI +
				       array_index_nospec(s->index, VBE_GUEST_MAX_VECTORS), file);
	}
	if (s->index)
		return vbe_fail(why, -EINVAL, "index must be 0 for this type");
	switch (s->type) {
	case VBE_GUEST_FD_CONFIG:
		return user_set_source(ud, USER_SRC_CONFIG, file);
	case VBE_GUEST_FD_LINE:
		return user_set_source(ud, USER_SRC_LINE, file);
	case VBE_GUEST_FD_RESAMPLE:
		return user_set_resample(ud, file);
	default:
		return vbe_fail(why, -EINVAL, "unknown type");
	}
}

/* A device's line that is high already rises for whoever begins to listen. */
static void user_line_again(struct user_dev *ud)
{
	const struct vbe_irq irq = { .type = VBE_IRQ_LINE };

	rcu_read_lock();
	if (user_line(ud))
		user_inject(ud->vbe, &irq);
	rcu_read_unlock();
}

static int user_set_fd_locked(struct user_dev *ud, const struct vbe_guest_set_fd *s,
			      struct file *file)
{
	int ret;

	mutex_lock(&ud->guest->lock);
	if (ud->dead)
		ret = vbe_fail(&ud->guest->why, -ENODEV, "the device was deleted");
	else
		ret = user_set_fd_indexed(ud, s, file);
	if (!ret && file && s->type == VBE_GUEST_FD_LINE)
		user_line_again(ud);
	mutex_unlock(&ud->guest->lock);
	return ret;
}

int user_ioctl_set_fd(void *ctx, void *arg, struct vbe_new_fd *nfd)
{
	struct vbe_guest_set_fd *s = arg;
	struct user_guest *guest = ctx;
	struct file *file = NULL;
	struct user_dev *ud;
	int ret;

	if (s->flags)
		return vbe_fail(&guest->why, -EINVAL, "unknown flags");
	if (s->fd < -1)
		return vbe_fail(&guest->why, -EBADF, "a negative fd other than -1");
	if (s->fd >= 0) {
		file = eventfd_fget(s->fd);
		if (IS_ERR(file))
			return vbe_fail(&guest->why, PTR_ERR(file), "fd is not an eventfd");
	}
	ud = user_dev_get(guest, s->dev);
	ret = PTR_ERR_OR_ZERO(ud);
	if (!ret) {
		ret = user_set_fd_locked(ud, s, file);
		user_dev_put(ud);
	}
	if (file)
		fput(file);
	return ret;
}

/**
 * user_irq_exit() - the device is deleted: let go of all eventfds
 * @ud: device; guest->lock held; nothing injects any more
 */
void user_irq_exit(struct user_dev *ud)
{
	struct eventfd_ctx *ctx;
	u32 i;

	lockdep_assert_held(&ud->guest->lock);
	user_drop_resample(ud);
	cancel_work_sync(&ud->signal_work);
	/* Who still is in the middle of an interrupt; one wait for all of up to 515. */
	synchronize_srcu(&ud->guest->srcu);
	for (i = 0; i < USER_FD_SOURCES; i++) {
		ctx = rcu_replace_pointer(ud->fds[i], NULL,
					  lockdep_is_held(&ud->guest->lock));
		if (ctx)
			eventfd_ctx_put(ctx);
	}
	mutex_lock(&ud->vbe->lock);
	for (i = 0; i < VBE_MAX_QUEUES; i++) {
		struct file *file = ud->kicks[i];

		if (!file)
			continue;
		ud->kicks[i] = NULL;
		user_kick_apply(ud, i);
		fput(file);
	}
	mutex_unlock(&ud->vbe->lock);
}
