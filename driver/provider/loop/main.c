// SPDX-License-Identifier: GPL-2.0
/*
 * The loop provider: devices on this machine's own virtio bus.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * Showing and hiding happen in a work item of the device: a driver's probe and
 * remove do I/O, which the backend that asked for them has to serve meanwhile.
 */
#include <linux/bitmap.h>
#include <linux/dma-mapping.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/slab.h>
#include <linux/sysfs.h>
#include <linux/wait.h>

#include "loop.h"

struct workqueue_struct *loop_finish_wq;
static struct workqueue_struct *loop_wq;
static struct device *loop_root;

/*
 * Objects whose release is in this module. They may outlive their vbe device, as
 * whoever reads their sysfs files holds references; so the module waits for them.
 */
static atomic_t loop_objects;
static DECLARE_WAIT_QUEUE_HEAD(loop_objects_wait);

void loop_object_new(void)
{
	atomic_inc(&loop_objects);
}

void loop_object_gone(void)
{
	if (atomic_dec_and_test(&loop_objects))
		wake_up_all(&loop_objects_wait);
}

/* ---- sysfs: how full the pool is ------------------------------------------------ */

static ssize_t pool_pages_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%lu\n", to_loop_device(dev)->pool.n_pages);
}
static DEVICE_ATTR_RO(pool_pages);

static ssize_t pool_used_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n", loop_pool_used(&to_loop_device(dev)->pool));
}
static DEVICE_ATTR_RO(pool_used);

static ssize_t pool_exhausted_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%lld\n",
			  atomic64_read(&to_loop_device(dev)->pool.exhausted));
}
static DEVICE_ATTR_RO(pool_exhausted);

static struct attribute *loop_attrs[] = {
	&dev_attr_pool_pages.attr,
	&dev_attr_pool_used.attr,
	&dev_attr_pool_exhausted.attr,
	NULL,
};
ATTRIBUTE_GROUPS(loop);

/* ---- show and hide --------------------------------------------------------------- */

static bool loop_device_do_show(struct loop_device *ld)
{
	struct loop_vdev *lv = loop_vdev_new(ld);
	bool force;

	if (!lv)
		return false;
	WRITE_ONCE(ld->pool.failing, false);
	spin_lock(&ld->lock);
	rcu_assign_pointer(ld->vdev, lv);
	force = ld->force;
	spin_unlock(&ld->lock);
	if (force)
		loop_finish_start(lv);
	/* Probes, and so may take as long as the backend likes. */
	if (!register_virtio_device(&lv->vdev))
		return true;
	rcu_assign_pointer(ld->vdev, NULL);
	loop_vdev_put(lv);
	return false;
}

static void loop_device_do_hide(struct loop_device *ld, struct loop_vdev *lv)
{
	get_device(&lv->vdev.dev);
	unregister_virtio_device(&lv->vdev);
	rcu_assign_pointer(ld->vdev, NULL);
	loop_vdev_put(lv);
	loop_pool_reset(&ld->pool);
}

static void loop_device_work(struct work_struct *work)
{
	struct loop_device *ld = container_of(work, struct loop_device, work);
	struct loop_vdev *lv = rcu_dereference_protected(ld->vdev, true);
	bool want, shown;

	spin_lock(&ld->lock);
	want = ld->want;
	shown = ld->shown;
	spin_unlock(&ld->lock);
	if (!shown || (want && lv))
		return;
	if (want && loop_device_do_show(ld))
		return;
	if (!want && lv)
		loop_device_do_hide(ld, lv);
	/* Hidden as asked for, or it could not be shown. */
	spin_lock(&ld->lock);
	ld->want = false;
	ld->shown = false;
	spin_unlock(&ld->lock);
	vbe_device_hidden(ld->vbe);
}

static int loop_show(struct vbe_device *dev)
{
	struct loop_device *ld = dev->provider_priv;

	spin_lock(&ld->lock);
	ld->want = true;
	ld->force = false;
	ld->shown = true;
	spin_unlock(&ld->lock);
	queue_work(loop_wq, &ld->work);
	return 0;
}

static void loop_hide(struct vbe_device *dev, bool force)
{
	struct loop_device *ld = dev->provider_priv;
	struct loop_vdev *lv;

	rcu_read_lock();
	spin_lock(&ld->lock);
	ld->want = false;
	if (force)
		ld->force = true;
	lv = rcu_dereference(ld->vdev);
	spin_unlock(&ld->lock);
	if (lv && force)
		loop_finish_start(lv);
	rcu_read_unlock();
	queue_work(loop_wq, &ld->work);
}

/* ---- other provider ops --------------------------------------------------------------- */

static void loop_inject(struct vbe_device *dev, const struct vbe_irq *irq)
{
	struct loop_device *ld = dev->provider_priv;
	struct loop_vdev *lv = rcu_dereference(ld->vdev);

	if (!lv)
		return;
	switch (irq->type) {
	case VBE_IRQ_QUEUE:
		if (irq->index < lv->n_vqs)
			loop_irq_queue(&lv->vqs[array_index_nospec(irq->index, lv->n_vqs)],
				       irq->nested);
		break;
	case VBE_IRQ_CONFIG:
		loop_irq_config(lv);
		break;
	default:
		break;
	}
}

static void loop_mem_suspect(struct vbe_device *dev)
{
	struct loop_device *ld = dev->provider_priv;

	loop_pool_suspect(&ld->pool);
}

static void loop_mem_clean(struct vbe_device *dev)
{
	struct loop_device *ld = dev->provider_priv;

	loop_pool_clean(&ld->pool);
}

static void loop_fe_name(struct vbe_device *dev, char *buf, size_t len)
{
	struct loop_device *ld = dev->provider_priv;
	struct loop_vdev *lv;

	*buf = '\0';
	if (!ld)
		return;
	rcu_read_lock();
	lv = rcu_dereference(ld->vdev);
	/* Its index is set before it is started. */
	if (lv && smp_load_acquire(&lv->started))
		snprintf(buf, len, "virtio%d", lv->vdev.index);
	rcu_read_unlock();
}

/* ---- a device comes and goes ---------------------------------------------------------- */

static void loop_device_release(struct device *parent)
{
	kfree(to_loop_device(parent));
	loop_object_gone();
}

static u64 loop_window_size(const struct vbe_dev_params *p, struct netlink_ext_ack *extack)
{
	u64 size = LOOP_WINDOW_DEFAULT;

	if (p->set & BIT(VBE_PARAM_WINDOW_SIZE))
		size = p->window_size;
	if (size < LOOP_WINDOW_MIN || size > LOOP_WINDOW_MAX) {
		NL_SET_ERR_MSG(extack, "window size must be 1 MiB to 1 GiB");
		return 0;
	}
	if (size & ~PAGE_MASK) {
		NL_SET_ERR_MSG(extack, "window size must be a multiple of the page size");
		return 0;
	}
	return size;
}

/* The front-end is this machine: there is no place in a guest to speak of. */
static int loop_params_check(const struct vbe_dev_params *p, struct netlink_ext_ack *extack)
{
	if (p->set & BIT(VBE_PARAM_GUEST_ID)) {
		NL_SET_ERR_MSG(extack, "provider loop takes no guest-id (domid): its driver is on this machine");
		return -EINVAL;
	}
	if (p->set & (BIT(VBE_PARAM_BASE) | BIT(VBE_PARAM_IRQ))) {
		NL_SET_ERR_MSG(extack, "provider loop takes no base and no irq: its devices have no registers");
		return -EINVAL;
	}
	if (p->set & BIT(VBE_PARAM_GRANTS)) {
		NL_SET_ERR_MSG(extack, "provider loop takes no grants: its driver grants no memory");
		return -EINVAL;
	}
	return 0;
}

static struct loop_device *loop_device_alloc(struct vbe_device *dev,
					     struct netlink_ext_ack *extack)
{
	struct loop_device *ld = kzalloc(sizeof(*ld), GFP_KERNEL);

	if (!ld) {
		NL_SET_ERR_MSG(extack, "out of memory");
		return ERR_PTR(-ENOMEM);
	}
	loop_object_new();
	ld->vbe = dev;
	spin_lock_init(&ld->lock);
	INIT_WORK(&ld->work, loop_device_work);
	device_initialize(&ld->parent);
	ld->parent.parent = loop_root;
	ld->parent.release = loop_device_release;
	ld->parent.groups = loop_groups;
	if (loop_dma_setup(ld)) {
		put_device(&ld->parent);
		NL_SET_ERR_MSG(extack, "this kernel has neither virtio map ops nor own DMA ops");
		return ERR_PTR(-EOPNOTSUPP);
	}
	return ld;
}

static int loop_device_add_window(struct loop_device *ld, u64 size,
				  struct netlink_ext_ack *extack)
{
	u64 rings;
	int ret;

	ret = loop_pool_init(&ld->pool, size >> PAGE_SHIFT);
	if (ret) {
		NL_SET_ERR_MSG(extack, "no memory for the window, or over a cap");
		return ret;
	}
	rings = (u64)ld->pool.ring_pages << PAGE_SHIFT;
	ld->ring_window.fe_addr = LOOP_FE_BASE;
	ld->ring_window.len = rings;
	ld->ring_window.mem_class = VBE_MEM_PINNED;
	ld->ring_window.flags = VBE_WINDOW_F_GUARDED;
	ld->ring_window.pages = ld->pool.pages;
	ld->ring_window.guard = bitmap_alloc(ld->pool.ring_pages, GFP_KERNEL_ACCOUNT);
	if (!ld->ring_window.guard) {
		NL_SET_ERR_MSG(extack, "out of memory");
		return -ENOMEM;
	}
	bitmap_fill(ld->ring_window.guard, ld->pool.ring_pages);
	ld->window.fe_addr = LOOP_FE_BASE + rings;
	ld->window.len = size - rings;
	ld->window.mem_class = VBE_MEM_PINNED;
	ld->window.pages = ld->pool.pages + ld->pool.ring_pages;
	ret = vbe_window_add(ld->vbe, &ld->ring_window);
	if (!ret)
		ret = vbe_window_add(ld->vbe, &ld->window);
	if (ret)
		NL_SET_ERR_MSG(extack, "the window could not be added");
	return ret;
}

static void loop_device_del_window(struct loop_device *ld)
{
	vbe_window_del(ld->vbe, &ld->window);
	vbe_window_del(ld->vbe, &ld->ring_window);
	bitmap_free(ld->ring_window.guard);
	loop_pool_free(&ld->pool);
}

static int loop_dev_add(struct vbe_device *dev, const struct vbe_dev_params *p,
			struct netlink_ext_ack *extack)
{
	struct loop_device *ld;
	u64 size;
	int ret;

	ret = loop_params_check(p, extack);
	if (ret)
		return ret;
	size = loop_window_size(p, extack);
	if (!size)
		return -EINVAL;
	ld = loop_device_alloc(dev, extack);
	if (IS_ERR(ld))
		return PTR_ERR(ld);
	ret = loop_device_add_window(ld, size, extack);
	if (ret)
		goto err;
	ret = dev_set_name(&ld->parent, "vbe.%s", dev->name);
	if (!ret)
		ret = device_add(&ld->parent);
	if (ret) {
		NL_SET_ERR_MSG(extack, "the device's entry in sysfs could not be made");
		goto err;
	}
	dev->provider_priv = ld;
	return 0;

err:
	loop_device_del_window(ld);
	put_device(&ld->parent);
	return ret;
}

static void loop_dev_del(struct vbe_device *dev)
{
	struct loop_device *ld = dev->provider_priv;

	flush_work(&ld->work);
	dev->provider_priv = NULL;
	/* Nobody reads the pool by sysfs once this has returned. */
	device_del(&ld->parent);
	loop_device_del_window(ld);
	put_device(&ld->parent);
}

static struct vbe_provider_ops loop_provider = {
	.owner = THIS_MODULE,
	.name = "loop",
	.description = "devices on this machine's own virtio bus",
	.default_transport = "direct",
	.guest = "host",
	.features_required = BIT_ULL(VIRTIO_F_VERSION_1) | BIT_ULL(VIRTIO_F_ACCESS_PLATFORM),
	.dev_add = loop_dev_add,
	.dev_del = loop_dev_del,
	.show = loop_show,
	.hide = loop_hide,
	.inject = loop_inject,
	.mem_suspect = loop_mem_suspect,
	.mem_clean = loop_mem_clean,
	.fe_name = loop_fe_name,
};

static int __init loop_init(void)
{
	int ret = -ENOMEM;

	/* A driver that probes may wait for its backend for ever, each with a worker. */
	loop_wq = alloc_workqueue("vbe_loop", WQ_UNBOUND, WQ_MAX_ACTIVE);
	/* Under memory pressure, failing what nobody serves any more must go on. */
	loop_finish_wq = alloc_workqueue("vbe_loop_finish", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	if (!loop_wq || !loop_finish_wq)
		goto err_wq;
	loop_root = root_device_register("vbe_loop");
	if (IS_ERR(loop_root)) {
		ret = PTR_ERR(loop_root);
		goto err_wq;
	}
	ret = vbe_provider_register(&loop_provider);
	if (!ret)
		return 0;
	root_device_unregister(loop_root);
err_wq:
	if (loop_finish_wq)
		destroy_workqueue(loop_finish_wq);
	if (loop_wq)
		destroy_workqueue(loop_wq);
	return ret;
}

static void __exit loop_exit(void)
{
	vbe_provider_unregister(&loop_provider);
	wait_event(loop_objects_wait, !atomic_read(&loop_objects));
	root_device_unregister(loop_root);
	destroy_workqueue(loop_finish_wq);
	destroy_workqueue(loop_wq);
}

module_init(loop_init);
module_exit(loop_exit);
MODULE_DESCRIPTION("vbe loop provider: devices on this machine's own virtio bus");
MODULE_LICENSE("GPL");
MODULE_AUTHOR("The vbe authors");
MODULE_ALIAS("vbe-provider-loop");
