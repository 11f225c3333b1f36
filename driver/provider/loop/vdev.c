// SPDX-License-Identifier: GPL-2.0
/*
 * The virtio device, as the kernel's own virtio bus sees it.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <linux/nospec.h>
#include <linux/slab.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>

#include "transport/direct.h"
#include "loop.h"

static struct vbe_device *vdev_vbe(struct virtio_device *vdev)
{
	return to_loop_vdev(vdev)->ld->vbe;
}

/* ---- config space, status, features ------------------------------------------- */

static void loop_vdev_get(struct virtio_device *vdev, unsigned int offset, void *buf,
			  unsigned int len)
{
	if (vbe_direct_config_read(vdev_vbe(vdev), offset, buf, len))
		memset(buf, 0, len);
	else
		loop_limits_config(to_loop_vdev(vdev), offset, buf, len);
}

static void loop_vdev_set(struct virtio_device *vdev, unsigned int offset, const void *buf,
			  unsigned int len)
{
	vbe_direct_config_write(vdev_vbe(vdev), offset, buf, len);
}

static u32 loop_vdev_generation(struct virtio_device *vdev)
{
	return vbe_direct_generation(vdev_vbe(vdev));
}

static u8 loop_vdev_get_status(struct virtio_device *vdev)
{
	return vbe_direct_status(vdev_vbe(vdev));
}

static void loop_vdev_set_status(struct virtio_device *vdev, u8 status)
{
	vbe_direct_set_status(vdev_vbe(vdev), status);
}

/*
 * virtio_net waits for its control queue in a busy loop, with rtnl held: a backend
 * that does not answer, or does not get the CPU for it, would stop this machine. So
 * there is no such queue here, nor what needs it.
 */
#define LOOP_NET_CONTROLLED						\
	(BIT_ULL(VIRTIO_NET_F_CTRL_VQ) | BIT_ULL(VIRTIO_NET_F_CTRL_RX) |	\
	 BIT_ULL(VIRTIO_NET_F_CTRL_VLAN) | BIT_ULL(VIRTIO_NET_F_CTRL_MAC_ADDR) | \
	 BIT_ULL(VIRTIO_NET_F_GUEST_ANNOUNCE) | BIT_ULL(VIRTIO_NET_F_MQ) |	\
	 BIT_ULL(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) | BIT_ULL(VIRTIO_NET_F_RSS) | \
	 BIT_ULL(VIRTIO_NET_F_HASH_REPORT) | BIT_ULL(52) | BIT_ULL(VIRTIO_NET_F_NOTF_COAL))

static u64 loop_vdev_get_features(struct virtio_device *vdev)
{
	u64 features = vbe_direct_features(vdev_vbe(vdev));

	if (vdev->id.device == VIRTIO_ID_NET)
		features &= ~LOOP_NET_CONTROLLED;
	return features;
}

static int loop_vdev_finalize_features(struct virtio_device *vdev)
{
	vring_transport_features(vdev);
	loop_limits_set(to_loop_vdev(vdev));
	return vbe_direct_set_features(vdev_vbe(vdev), vdev->features);
}

static const char *loop_vdev_bus_name(struct virtio_device *vdev)
{
	return dev_name(vdev->dev.parent);
}

/* ---- queues --------------------------------------------------------------------- */

static bool loop_vdev_notify(struct virtqueue *vq)
{
	struct loop_vq *lvq = vq->priv;

	if (unlikely(READ_ONCE(lvq->lv->finishing)))
		loop_finish_kick(lvq->lv);
	else
		vbe_direct_kick(lvq->lv->ld->vbe, vq->index);
	return true;
}

static void loop_vdev_synchronize_cbs(struct virtio_device *vdev)
{
	loop_irq_sync(to_loop_vdev(vdev));
}

/* From here on neither interrupts nor finish.c reach the driver's queues. */
static void loop_vdev_quiesce(struct loop_vdev *lv, bool forget)
{
	u32 i;

	mutex_lock(&lv->finish_lock);
	for (i = 0; i < lv->n_vqs; i++) {
		struct loop_vq *lvq = &lv->vqs[i];

		spin_lock_irq(&lvq->lock);
		lvq->live = false;
		if (forget)
			WRITE_ONCE(lvq->vq, NULL);
		spin_unlock_irq(&lvq->lock);
		lvq->engine_ready = false;
	}
	mutex_unlock(&lv->finish_lock);
	loop_irq_sync(lv);
}

static void loop_vdev_reset(struct virtio_device *vdev)
{
	struct loop_vdev *lv = to_loop_vdev(vdev);

	/* The virtio core resets once it has initialised the device, and before it probes. */
	smp_store_release(&lv->started, true);
	vbe_direct_reset(lv->ld->vbe);
	loop_vdev_quiesce(lv, false);
}

/* The pages of @len bytes at @addr, among the rings. */
static void loop_vq_guard(struct loop_vdev *lv, dma_addr_t addr, size_t len, bool guard)
{
	struct loop_device *ld = lv->ld;
	unsigned long first = (addr - LOOP_FE_BASE) >> PAGE_SHIFT;

	vbe_window_guard(ld->vbe, &ld->ring_window, first, PAGE_ALIGN(len) >> PAGE_SHIFT, guard);
}

/* What devices write is writable while there is a ring. */
static void loop_vq_set_guards(struct loop_vdev *lv, struct virtqueue *vq, bool guard)
{
	u32 num = virtqueue_get_vring_size(vq);

	if (lv->vdev.features & BIT_ULL(VIRTIO_F_RING_PACKED)) {
		loop_vq_guard(lv, virtqueue_get_desc_addr(vq), 16UL * num, guard);
		loop_vq_guard(lv, virtqueue_get_used_addr(vq), 4, guard);
	} else {
		loop_vq_guard(lv, virtqueue_get_used_addr(vq), 6 + 8UL * num, guard);
	}
}

static void loop_vdev_del_vqs(struct virtio_device *vdev)
{
	struct loop_vdev *lv = to_loop_vdev(vdev);
	struct virtqueue *vq, *tmp;

	loop_vdev_quiesce(lv, true);
	list_for_each_entry_safe(vq, tmp, &vdev->vqs, list) {
		struct loop_vq *lvq = vq->priv;

		vbe_direct_queue_disable(lv->ld->vbe, vq->index);
		kvfree(lvq->slots);
		lvq->slots = NULL;
		loop_vq_set_guards(lv, vq, true);
		vring_del_virtqueue(vq);
	}
}

static int loop_vq_enable(struct loop_vq *lvq, struct virtqueue *vq)
{
	const struct vbe_direct_queue geometry = {
		.num = virtqueue_get_vring_size(vq),
		.desc = virtqueue_get_desc_addr(vq),
		.driver = virtqueue_get_avail_addr(vq),
		.device = virtqueue_get_used_addr(vq),
	};

	lvq->num = geometry.num;
	lvq->slots = kvcalloc(lvq->num, sizeof(*lvq->slots), GFP_KERNEL);
	if (!lvq->slots)
		return -ENOMEM;
	loop_vq_set_guards(lvq->lv, vq, false);
	spin_lock_irq(&lvq->lock);
	WRITE_ONCE(lvq->vq, vq);
	lvq->live = true;
	spin_unlock_irq(&lvq->lock);
	return vbe_direct_queue_enable(lvq->lv->ld->vbe, vq->index, &geometry);
}

static struct virtqueue *loop_vq_new(struct loop_vdev *lv, u32 index, const char *name,
				     void (*callback)(struct virtqueue *vq), bool ctx)
{
	u32 max = vbe_direct_queue_max(lv->ld->vbe, index);
	struct virtqueue *vq;
	int ret;

	if (!max || index >= lv->n_vqs)
		return ERR_PTR(-ENOENT);
	if (!loop_pool_settle(&lv->ld->pool, READ_ONCE(lv->ld->vbe->params.reset_timeout_ms)))
		return ERR_PTR(-EBUSY);
	/*
	 * Both ends are CPUs of this machine, so weak barriers do. What devices
	 * write begins on a page of its own: see loop_vq_set_guards().
	 */
	vq = vring_create_virtqueue(index, min(max, lv->limits.num), PAGE_SIZE, &lv->vdev,
				    true, true, ctx, loop_vdev_notify, callback, name);
	if (!vq)
		return ERR_PTR(-ENOMEM);
	vq->num_max = max;
	vq->priv = &lv->vqs[array_index_nospec(index, lv->n_vqs)];
	ret = loop_vq_enable(vq->priv, vq);
	return ret ? ERR_PTR(ret) : vq;
}

static int loop_vdev_do_find_vqs(struct virtio_device *vdev, unsigned int n,
				 struct virtqueue *vqs[], const struct vbe_vqs_info *info)
{
	unsigned int i, index = 0;

	for (i = 0; i < n; i++) {
		const char *name = vbe_vqs_name(info, i);

		if (!name) {
			vqs[i] = NULL;
			continue;
		}
		vqs[i] = loop_vq_new(to_loop_vdev(vdev), index++, name,
				     vbe_vqs_callback(info, i), vbe_vqs_ctx(info, i));
		if (IS_ERR(vqs[i])) {
			int ret = PTR_ERR(vqs[i]);

			dev_err(&vdev->dev, "queue %u (%s) could not be made: %d\n", index - 1,
				name, ret);
			loop_vdev_del_vqs(vdev);
			return ret;
		}
	}
	return 0;
}

VBE_DEFINE_FIND_VQS(loop_vdev_find_vqs, loop_vdev_do_find_vqs);

static const struct virtio_config_ops loop_vdev_ops = {
	.get = loop_vdev_get,
	.set = loop_vdev_set,
	.generation = loop_vdev_generation,
	.get_status = loop_vdev_get_status,
	.set_status = loop_vdev_set_status,
	.reset = loop_vdev_reset,
	.find_vqs = loop_vdev_find_vqs,
	.del_vqs = loop_vdev_del_vqs,
	.synchronize_cbs = loop_vdev_synchronize_cbs,
	.get_features = loop_vdev_get_features,
	.finalize_features = loop_vdev_finalize_features,
	.bus_name = loop_vdev_bus_name,
};

/* ---- life --------------------------------------------------------------------- */

static void loop_vdev_free(struct loop_vdev *lv)
{
	loop_finish_free(lv);
	kvfree(lv);
	loop_object_gone();
}

static void loop_vdev_release(struct device *dev)
{
	loop_vdev_free(to_loop_vdev(dev_to_virtio(dev)));
}

/**
 * loop_vdev_new() - make a virtio device, to be registered by the caller
 * @ld: device; set up by a backend
 *
 * Context: process, may sleep.
 * Return: the device, or NULL when out of memory.
 */
struct loop_vdev *loop_vdev_new(struct loop_device *ld)
{
	u32 i, n = vbe_direct_n_queues(ld->vbe);
	struct loop_vdev *lv;

	lv = kvzalloc(struct_size(lv, vqs, n), GFP_KERNEL);
	if (!lv)
		return NULL;
	loop_object_new();
	lv->ld = ld;
	lv->n_vqs = n;
	lv->vdev.dev.parent = &ld->parent;
	lv->vdev.dev.release = loop_vdev_release;
	lv->vdev.config = &loop_vdev_ops;
	lv->vdev.id.device = vbe_direct_device_id(ld->vbe);
	lv->vdev.id.vendor = vbe_direct_vendor_id(ld->vbe);
	loop_dma_setup_vdev(lv);
	loop_irq_init_config(lv);
	for (i = 0; i < n; i++) {
		lv->vqs[i].lv = lv;
		loop_irq_init_vq(&lv->vqs[i]);
	}
	if (loop_finish_init(lv)) {
		loop_vdev_free(lv);
		return NULL;
	}
	return lv;
}

/**
 * loop_vdev_put() - let go of a device that register_virtio_device() refused, or
 *	that is unregistered
 * @lv: not published any more
 *
 * Context: process, may sleep.
 */
void loop_vdev_put(struct loop_vdev *lv)
{
	loop_irq_sync(lv);
	loop_finish_end(lv);
	put_device(&lv->vdev.dev);
}
