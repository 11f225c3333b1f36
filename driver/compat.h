/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What differs between the kernels vbe is built for (6.1, 6.12, 7.2).
 *
 * Copyright (c) 2026 The vbe authors
 *
 * The source is written against the newest; this file gives older kernels the
 * same names. No other file tests a kernel version.
 */
#ifndef VBE_COMPAT_H
#define VBE_COMPAT_H

#include <linux/eventfd.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/version.h>
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 17, 0)
#include <linux/pfn_t.h>
#endif
#include <linux/virtio_config.h>
#include <linux/wait.h>
#include <net/genetlink.h>

/* ---- eventfd -------------------------------------------------------------- */

/* Since 6.8 eventfd_signal() always adds one. */
static inline void vbe_eventfd_signal(struct eventfd_ctx *ctx)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
	eventfd_signal(ctx);
#else
	eventfd_signal(ctx, 1);
#endif
}

/*
 * Since 6.17 add_wait_queue_priority() is not exclusive any more, and the
 * exclusive variant refuses a second priority waiter.
 */
static inline int vbe_add_wait_queue_exclusive_first(wait_queue_head_t *wqh,
						     wait_queue_entry_t *wait)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 17, 0)
	return add_wait_queue_priority_exclusive(wqh, wait);
#else
	add_wait_queue_priority(wqh, wait);
	return 0;
#endif
}

/* ---- generic netlink ------------------------------------------------------- */

/* Since 6.6 the attributes of a dump request are in its genl_info. */
static inline struct nlattr **vbe_genl_dump_attrs(struct netlink_callback *cb)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 6, 0)
	return genl_info_dump(cb)->attrs;
#else
	return genl_dumpit_info(cb)->attrs;
#endif
}

/* ---- memory ------------------------------------------------------------- */

/* Page tables that have a page of order 0; page_mapcount() comes and goes. */
static inline int vbe_page_mapcount(struct page *page)
{
	return atomic_read(&page->_mapcount) + 1;
}

/* vm_flags is written through helpers since 6.3. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
static inline void vm_flags_set(struct vm_area_struct *vma, vm_flags_t flags)
{
	vma->vm_flags |= flags;
}

static inline void vm_flags_clear(struct vm_area_struct *vma, vm_flags_t flags)
{
	vma->vm_flags &= ~flags;
}
#endif

/* Files may prepare a mapping instead of making it since 6.16. */
static inline bool vbe_file_can_mmap(struct file *file)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 17, 0)
	return can_mmap_file(file);
#else
	return file->f_op->mmap;
#endif
}

/* A page frame number was a struct until 6.17. */
static inline vm_fault_t vbe_insert_mixed(struct vm_area_struct *vma, unsigned long va,
					  unsigned long pfn)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 17, 0)
	return vmf_insert_mixed(vma, va, pfn);
#else
	return vmf_insert_mixed(vma, va, pfn_to_pfn_t(pfn));
#endif
}

/* ---- virtio ------------------------------------------------------------- */

/* Since 6.18 a virtio device brings its own map ops; before, its parent's DMA ops. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 18, 0)
#define VBE_HAVE_VIRTIO_MAP_OPS
#else
#include <linux/dma-map-ops.h>
#endif

/*
 * What find_vqs() is asked for: an array of structs since 6.11. The function that
 * VBE_DEFINE_FIND_VQS() defines has the kernel's signature and calls @fn with a
 * &struct vbe_vqs_info.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0)
struct vbe_vqs_info {
	const struct virtqueue_info *vqs;
};

#define vbe_vqs_name(info, i)		((info)->vqs[i].name)
#define vbe_vqs_callback(info, i)	((info)->vqs[i].callback)
#define vbe_vqs_ctx(info, i)		((info)->vqs[i].ctx)

#define VBE_DEFINE_FIND_VQS(op, fn)						\
static int op(struct virtio_device *vdev, unsigned int n,			\
	      struct virtqueue *vqs[], struct virtqueue_info vqs_info[],	\
	      struct irq_affinity *desc)					\
{										\
	const struct vbe_vqs_info info = { .vqs = vqs_info };			\
										\
	return fn(vdev, n, vqs, &info);						\
}										\
static_assert(true)
#else
struct vbe_vqs_info {
	vq_callback_t **callbacks;
	const char * const *names;
	const bool *ctx;
};

#define vbe_vqs_name(info, i)		((info)->names[i])
#define vbe_vqs_callback(info, i)	((info)->callbacks[i])
#define vbe_vqs_ctx(info, i)		((info)->ctx && (info)->ctx[i])

#define VBE_DEFINE_FIND_VQS(op, fn)						\
static int op(struct virtio_device *vdev, unsigned int n,			\
	      struct virtqueue *vqs[], vq_callback_t *callbacks[],		\
	      const char * const names[], const bool *ctx,			\
	      struct irq_affinity *desc)					\
{										\
	const struct vbe_vqs_info info = {					\
		.callbacks = callbacks, .names = names, .ctx = ctx,		\
	};									\
										\
	return fn(vdev, n, vqs, &info);						\
}										\
static_assert(true)
#endif

#endif /* VBE_COMPAT_H */
