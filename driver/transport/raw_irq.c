// SPDX-License-Identifier: GPL-2.0
/*
 * Raw transport: eventfds that interrupt.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * An index has a hook on its eventfd and a target that says what a write does. Both can
 * be replaced alone, in any order and with writes under way, and none is lost: the hooks
 * of an index all lead to its target of the moment. The target is read under RCU; after
 * a grace period nobody uses the old one, and only then what it has left behind, a line
 * that is high, is handed to the new one.
 *
 * The wired line is high while any level index raised it. An EOI lowers it for all and
 * then tells each that had raised it, who raises it again if there is still a reason.
 */
#include <linux/file.h>
#include <linux/nospec.h>
#include <linux/slab.h>

#include "raw.h"

/* ---- delivery ------------------------------------------------------------ */

/* Under RCU. */
static void vbe_raw_irq_inject(struct vbe_device *dev, struct vbe_irq *irq)
{
	/* Before it is shown, and after, there is nobody to interrupt. */
	if (READ_ONCE(dev->visible) && READ_ONCE(dev->state) != VBE_DEV_DEAD)
		dev->provider->inject(dev, irq);
}

static void vbe_raw_irq_line_changed(struct vbe_raw *raw, bool nested)
{
	struct vbe_irq irq = {
		.type = VBE_IRQ_LINE,
		.nested = nested,
		.level = vbe_raw_irq_line(raw->dev),
	};

	rcu_read_lock();
	vbe_raw_irq_inject(raw->dev, &irq);
	rcu_read_unlock();
}

static void vbe_raw_irq_raise(struct vbe_raw *raw, u32 index, bool nested)
{
	bool present, rises;
	unsigned long flags;

	spin_lock_irqsave(&raw->line_lock, flags);
	/*
	 * A line that rose while nobody looks would stay high unseen. Asked under the
	 * lock: what is raised before the device leaves is lowered by its reset.
	 */
	present = READ_ONCE(raw->dev->visible) && !READ_ONCE(raw->dev->leaving);
	rises = present && !raw->raised;
	if (present)
		WRITE_ONCE(raw->raised, raw->raised | BIT_ULL(index));
	spin_unlock_irqrestore(&raw->line_lock, flags);
	if (rises)
		vbe_raw_irq_line_changed(raw, nested);
}

/* Take @mask off the line. Returns what of it was on. */
static u64 vbe_raw_irq_lower(struct vbe_raw *raw, u64 mask, bool nested)
{
	unsigned long flags;
	bool falls;
	u64 was;

	spin_lock_irqsave(&raw->line_lock, flags);
	was = raw->raised & mask;
	WRITE_ONCE(raw->raised, raw->raised & ~mask);
	falls = was && !raw->raised;
	spin_unlock_irqrestore(&raw->line_lock, flags);
	if (falls)
		vbe_raw_irq_line_changed(raw, nested);
	return was;
}

/* Under RCU, which keeps @t. */
static void vbe_raw_irq_deliver(struct vbe_raw_source *src, const struct vbe_raw_target *t,
				bool nested)
{
	struct vbe_irq irq = {
		.type = t->type == VBE_RAW_IRQ_MSI ? VBE_IRQ_MSI : VBE_IRQ_PULSE,
		.nested = nested,
		.index = src->index,
		.msi_addr = t->msi_addr,
		.msi_data = t->msi_data,
	};

	if (t->type == VBE_RAW_IRQ_LEVEL)
		vbe_raw_irq_raise(src->raw, src->index, nested);
	else
		vbe_raw_irq_inject(src->raw->dev, &irq);
}

/* The eventfd was written: however often, it is one interrupt. */
static void vbe_raw_irq_fire(struct vbe_hook *hook, u64 count, bool nested)
{
	struct vbe_raw_source *src = hook->arg;
	const struct vbe_raw_target *t;

	rcu_read_lock();
	t = rcu_dereference(src->target);
	if (t)
		vbe_raw_irq_deliver(src, t, nested);
	rcu_read_unlock();
}

/* ---- EOI ----------------------------------------------------------------- */

static void vbe_raw_irq_resample(struct vbe_raw *raw, u64 mask)
{
	const struct vbe_raw_target *t;

	for (; mask; mask &= mask - 1) {
		rcu_read_lock();
		t = rcu_dereference(raw->irqs[__ffs64(mask)].target);
		if (t && t->resample)
			vbe_eventfd_signal(t->resample);
		rcu_read_unlock();
	}
}

static void vbe_raw_irq_resample_work(struct work_struct *work)
{
	struct vbe_raw *raw = container_of(work, struct vbe_raw, resample_work);
	u64 mask;

	spin_lock_irq(&raw->line_lock);
	mask = raw->resample;
	raw->resample = 0;
	spin_unlock_irq(&raw->line_lock);
	vbe_raw_irq_resample(raw, mask);
}

/**
 * vbe_raw_irq_eoi() - the guest acknowledged the wired interrupt
 * @dev: device
 * @nested: inside an eventfd wake-up
 *
 * Context: any, under RCU.
 */
void vbe_raw_irq_eoi(struct vbe_device *dev, bool nested)
{
	struct vbe_raw *raw = dev->transport_priv;
	unsigned long flags;
	u64 was;

	/* Lowered first: who is told may raise it again at once. */
	was = vbe_raw_irq_lower(raw, U64_MAX, nested);
	if (!was)
		return;
	if (!nested && eventfd_signal_allowed()) {
		vbe_raw_irq_resample(raw, was);
		return;
	}
	spin_lock_irqsave(&raw->line_lock, flags);
	raw->resample |= was;
	spin_unlock_irqrestore(&raw->line_lock, flags);
	queue_work(dev->wq, &raw->resample_work);
}

/**
 * vbe_raw_irq_line() - is the wired interrupt high?
 * @dev: device
 *
 * Context: any.
 */
bool vbe_raw_irq_line(struct vbe_device *dev)
{
	struct vbe_raw *raw;
	bool high;

	/* Also asked while the device goes: see vbe_raw_exit(). */
	rcu_read_lock();
	raw = READ_ONCE(dev->transport_priv);
	high = raw && READ_ONCE(raw->raised);
	rcu_read_unlock();
	return high;
}

/**
 * vbe_raw_irq_reset() - the device was hidden: the wired line falls
 * @dev: device; dev->lock held
 */
void vbe_raw_irq_reset(struct vbe_device *dev)
{
	vbe_raw_irq_lower(dev->transport_priv, U64_MAX, true);
}

/* ---- targets ------------------------------------------------------------- */

static void vbe_raw_target_free(struct vbe_raw_target *t)
{
	if (t && t->resample)
		eventfd_ctx_put(t->resample);
	kfree(t);
}

static struct vbe_raw_target *vbe_raw_target_new(struct vbe_client *c,
						 const struct vbe_raw_irq *irq)
{
	struct vbe_raw_target *t = kzalloc(sizeof(*t), GFP_KERNEL_ACCOUNT);
	int ret;

	if (!t) {
		vbe_fail(&c->why, -ENOMEM, "out of memory");
		return ERR_PTR(-ENOMEM);
	}
	t->type = irq->type;
	t->msi_addr = irq->msi_addr;
	t->msi_data = irq->msi_data;
	if (irq->resample_fd < 0)
		return t;
	t->resample = eventfd_ctx_fdget(irq->resample_fd);
	if (!IS_ERR(t->resample))
		return t;
	ret = vbe_fail(&c->why, PTR_ERR(t->resample), "resample_fd is not an eventfd");
	kfree(t);
	return ERR_PTR(ret);
}

/* Tell a provider that routes messages beforehand. */
static void vbe_raw_irq_vector(struct vbe_raw_source *src, const struct vbe_raw_target *old,
			       const struct vbe_raw_target *t)
{
	struct vbe_device *dev = src->raw->dev;

	if (!dev->provider->vector_changed)
		return;
	if (t && t->type == VBE_RAW_IRQ_MSI)
		dev->provider->vector_changed(dev, src->index, t->msi_addr, t->msi_data, false);
	else if (old && old->type == VBE_RAW_IRQ_MSI)
		dev->provider->vector_changed(dev, src->index, 0, 0, true);
}

/*
 * From now on a write to the eventfd does what @t says. Returns the old target, which
 * nobody uses any more.
 */
static struct vbe_raw_target *vbe_raw_irq_swap(struct vbe_raw_source *src,
					       struct vbe_raw_target *t)
{
	struct vbe_raw *raw = src->raw;
	struct vbe_raw_target *old;

	lockdep_assert_held(&raw->dev->lock);
	old = rcu_replace_pointer(src->target, t, lockdep_is_held(&raw->dev->lock));
	vbe_raw_irq_vector(src, old, t);
	if (!old)
		return NULL;
	synchronize_rcu();
	if (t && t->type == VBE_RAW_IRQ_LEVEL)
		return old;
	/* A line that the old one holds high is a message, or an edge, now. */
	if (vbe_raw_irq_lower(raw, BIT_ULL(src->index), true) && t) {
		rcu_read_lock();
		vbe_raw_irq_deliver(src, t, true);
		rcu_read_unlock();
	}
	return old;
}

/* ---- RAW_IRQ ------------------------------------------------------------- */

void vbe_raw_irq_init(struct vbe_raw *raw)
{
	u32 i;

	spin_lock_init(&raw->line_lock);
	INIT_WORK(&raw->resample_work, vbe_raw_irq_resample_work);
	for (i = 0; i < VBE_RAW_MAX_IRQS; i++) {
		raw->irqs[i].raw = raw;
		raw->irqs[i].index = i;
	}
}

static void vbe_raw_irq_unhook(struct vbe_raw_source *src)
{
	if (src->hook)
		vbe_hook_free(src->hook);
	src->hook = NULL;
}

/* The last fd of its eventfd was closed: no write will come. */
static void vbe_raw_irq_gone(struct vbe_hook *hook)
{
	struct vbe_device *dev = hook->owner;
	struct vbe_raw_source *src = hook->arg;

	mutex_lock(&dev->lock);
	if (!hook->freed)
		vbe_raw_irq_unhook(src);
	mutex_unlock(&dev->lock);
}

static const struct vbe_hook_ops vbe_raw_irq_hook_ops = {
	.fn = vbe_raw_irq_fire,
	.gone = vbe_raw_irq_gone,
};

static void vbe_raw_irq_take_back(struct vbe_client *c, u32 index)
{
	struct vbe_raw *raw = c->dev->transport_priv;
	struct vbe_raw_source *src = &raw->irqs[array_index_nospec(index, VBE_RAW_MAX_IRQS)];

	vbe_raw_irq_unhook(src);
	vbe_raw_target_free(vbe_raw_irq_swap(src, NULL));
}

/**
 * vbe_raw_irq_drop() - forget all interrupts; the wired line falls
 * @raw: device's; dev->lock held
 *
 * Context: process, may sleep.
 */
void vbe_raw_irq_drop(struct vbe_raw *raw)
{
	struct vbe_raw_target *old[VBE_RAW_MAX_IRQS];
	bool any = false;
	u32 i;

	lockdep_assert_held(&raw->dev->lock);
	for (i = 0; i < VBE_RAW_MAX_IRQS; i++) {
		vbe_raw_irq_unhook(&raw->irqs[i]);
		old[i] = rcu_replace_pointer(raw->irqs[i].target, NULL,
					     lockdep_is_held(&raw->dev->lock));
		vbe_raw_irq_vector(&raw->irqs[i], old[i], NULL);
		any |= !!old[i];
	}
	if (any)
		synchronize_rcu();
	for (i = 0; i < VBE_RAW_MAX_IRQS; i++)
		vbe_raw_target_free(old[i]);
	vbe_raw_irq_lower(raw, U64_MAX, true);
}

/**
 * vbe_raw_irq_exit() - the device goes: nothing is deferred any more
 * @raw: device's, after vbe_raw_irq_drop()
 */
void vbe_raw_irq_exit(struct vbe_raw *raw)
{
	cancel_work_sync(&raw->resample_work);
}

/* Two hooks on one eventfd would eat each other's writes. */
static bool vbe_raw_irq_elsewhere(struct vbe_raw_source *src, struct eventfd_ctx *ctx)
{
	struct vbe_raw *raw = src->raw;
	u32 i;

	for (i = 0; i < VBE_RAW_MAX_IRQS; i++)
		if (&raw->irqs[i] != src && raw->irqs[i].hook && raw->irqs[i].hook->ctx == ctx)
			return true;
	return false;
}

/* Takes over @t when it returns 0. */
static int vbe_raw_irq_assign(struct vbe_client *c, u32 index, struct vbe_raw_target *t,
			      struct file *file)
{
	struct vbe_raw *raw = c->dev->transport_priv;
	struct vbe_raw_source *src = &raw->irqs[array_index_nospec(index, VBE_RAW_MAX_IRQS)];
	struct eventfd_ctx *ctx = eventfd_ctx_fileget(file);
	struct vbe_hook *hook = src->hook;
	struct vbe_raw_target *old;

	if (IS_ERR(ctx))
		return vbe_fail(&c->why, PTR_ERR(ctx), "fd is not an eventfd");
	/* @file keeps it. */
	eventfd_ctx_put(ctx);
	if (vbe_raw_irq_elsewhere(src, ctx))
		return vbe_fail(&c->why, -EBUSY, "fd serves another interrupt already");
	old = vbe_raw_irq_swap(src, t);
	if (!hook || hook->ctx != ctx) {
		/* What is pending on it interrupts from in here, as @t says. */
		hook = vbe_hook_new(&vbe_raw_irq_hook_ops, file, c->dev->wq, c->dev, src);
		if (IS_ERR(hook)) {
			vbe_raw_irq_swap(src, old);
			/* Perhaps an EOI came meanwhile. To be asked once more is harmless. */
			if (old && old->resample)
				vbe_eventfd_signal(old->resample);
			return vbe_fail(&c->why, PTR_ERR(hook), "fd cannot be waited on");
		}
		vbe_raw_irq_unhook(src);
		src->hook = hook;
	}
	vbe_raw_target_free(old);
	return 0;
}

static int vbe_raw_irq_set(struct vbe_client *c, const struct vbe_raw_irq *irq)
{
	struct vbe_raw_target *t;
	struct file *file;
	int ret;

	t = vbe_raw_target_new(c, irq);
	if (IS_ERR(t))
		return PTR_ERR(t);
	file = eventfd_fget(irq->fd);
	if (IS_ERR(file)) {
		ret = vbe_fail(&c->why, PTR_ERR(file), "fd is not an eventfd");
		goto free;
	}
	ret = vbe_raw_lock(c);
	if (!ret) {
		ret = vbe_raw_irq_assign(c, irq->index, t, file);
		mutex_unlock(&c->dev->lock);
	}
	fput(file);
	if (!ret)
		return 0;
free:
	vbe_raw_target_free(t);
	return ret;
}

static int vbe_raw_irq_check(struct vbe_client *c, const struct vbe_raw_irq *irq)
{
	if (irq->flags)
		return vbe_fail(&c->why, -EINVAL, "unknown flags");
	if (irq->__reserved)
		return vbe_fail(&c->why, -EINVAL, "reserved field is not zero");
	if (irq->index >= VBE_RAW_MAX_IRQS)
		return vbe_fail(&c->why, -EINVAL, "index must be 0 to 63");
	if (irq->type > VBE_RAW_IRQ_MSI)
		return vbe_fail(&c->why, -EINVAL, "unknown type of interrupt");
	if (irq->fd < -1 || irq->resample_fd < -1)
		return vbe_fail(&c->why, -EBADF, "a negative fd other than -1");
	if (irq->resample_fd >= 0 && (irq->type != VBE_RAW_IRQ_LEVEL || irq->fd < 0))
		return vbe_fail(&c->why, -EINVAL, "resample_fd is for VBE_RAW_IRQ_LEVEL");
	if ((irq->msi_addr || irq->msi_data) && irq->type != VBE_RAW_IRQ_MSI)
		return vbe_fail(&c->why, -EINVAL, "msi_addr, msi_data are for VBE_RAW_IRQ_MSI");
	if (irq->type != VBE_RAW_IRQ_MSI && c->dev->no_wire)
		return vbe_fail(&c->why, -EOPNOTSUPP,
				"the device was made without an interrupt (irq, or slot): it has messages only");
	if (irq->type == VBE_RAW_IRQ_LEVEL && c->dev->provider->no_eoi)
		return vbe_fail(&c->why, -EOPNOTSUPP,
				"here nobody tells when the guest acknowledges a level: use edges, or messages");
	if (irq->type == VBE_RAW_IRQ_MSI && c->dev->provider->no_msi)
		return vbe_fail(&c->why, -EOPNOTSUPP, "this guest takes no messages: use edges");
	return 0;
}

/**
 * vbe_raw_ioctl_irq() - RAW_IRQ
 * @ctx: client
 * @arg: &struct vbe_raw_irq, copied in
 * @nfd: not used
 *
 * Context: process, may sleep; takes dev->lock.
 */
int vbe_raw_ioctl_irq(void *ctx, void *arg, struct vbe_new_fd *nfd)
{
	const struct vbe_raw_irq *irq = arg;
	struct vbe_client *c = ctx;
	int ret;

	ret = vbe_raw_irq_check(c, irq);
	if (ret)
		return ret;
	if (irq->fd >= 0)
		return vbe_raw_irq_set(c, irq);
	ret = vbe_raw_lock(c);
	if (ret)
		return ret;
	vbe_raw_irq_take_back(c, irq->index);
	mutex_unlock(&c->dev->lock);
	return 0;
}
