// SPDX-License-Identifier: GPL-2.0
/*
 * The driver's mappings: the pool behind the kernel's DMA interfaces.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * Drivers see a device with VIRTIO_F_ACCESS_PLATFORM, so that every buffer and
 * ring goes through these ops and gets an address in the window. Since 6.18 a
 * virtio device may bring its own map ops; before, its parent has DMA ops.
 */
#include <linux/dma-mapping.h>
#include <linux/scatterlist.h>

#include "loop.h"

static dma_addr_t loop_dma_map_page(struct device *dev, struct page *page, unsigned long offset,
				    size_t size, enum dma_data_direction dir,
				    unsigned long attrs)
{
	return loop_pool_map(&to_loop_device(dev)->pool, page_to_phys(page) + offset, size, dir,
			     !(attrs & DMA_ATTR_SKIP_CPU_SYNC));
}

static void loop_dma_unmap_page(struct device *dev, dma_addr_t addr, size_t size,
				enum dma_data_direction dir, unsigned long attrs)
{
	struct loop_device *ld = to_loop_device(dev);

	if (unlikely(!loop_pool_unmap(&ld->pool, addr, !(attrs & DMA_ATTR_SKIP_CPU_SYNC))))
		loop_force_distrust(ld);
}

static void loop_dma_sync_for_cpu(struct device *dev, dma_addr_t addr, size_t size,
				  enum dma_data_direction dir)
{
	loop_pool_sync(&to_loop_device(dev)->pool, addr, size, true);
}

static void loop_dma_sync_for_device(struct device *dev, dma_addr_t addr, size_t size,
				     enum dma_data_direction dir)
{
	loop_pool_sync(&to_loop_device(dev)->pool, addr, size, false);
}

static void *loop_dma_alloc(struct device *dev, size_t size, dma_addr_t *addr, gfp_t gfp,
			    unsigned long attrs)
{
	return loop_pool_alloc(&to_loop_device(dev)->pool, size, addr);
}

static void loop_dma_free(struct device *dev, size_t size, void *vaddr, dma_addr_t addr,
			  unsigned long attrs)
{
	loop_pool_release(&to_loop_device(dev)->pool, addr);
}

static size_t loop_dma_max_mapping_size(struct device *dev)
{
	return to_loop_device(dev)->pool.max_map;
}

#ifdef VBE_HAVE_VIRTIO_MAP_OPS

static dma_addr_t loop_map_page(union virtio_map map, struct page *page, unsigned long offset,
				size_t size, enum dma_data_direction dir, unsigned long attrs)
{
	return loop_dma_map_page(map.dma_dev, page, offset, size, dir, attrs);
}

static void loop_unmap_page(union virtio_map map, dma_addr_t addr, size_t size,
			    enum dma_data_direction dir, unsigned long attrs)
{
	loop_dma_unmap_page(map.dma_dev, addr, size, dir, attrs);
}

static void loop_sync_for_cpu(union virtio_map map, dma_addr_t addr, size_t size,
			      enum dma_data_direction dir)
{
	loop_dma_sync_for_cpu(map.dma_dev, addr, size, dir);
}

static void loop_sync_for_device(union virtio_map map, dma_addr_t addr, size_t size,
				 enum dma_data_direction dir)
{
	loop_dma_sync_for_device(map.dma_dev, addr, size, dir);
}

static void *loop_alloc(union virtio_map map, size_t size, dma_addr_t *addr, gfp_t gfp)
{
	return loop_dma_alloc(map.dma_dev, size, addr, gfp, 0);
}

static void loop_free(union virtio_map map, size_t size, void *vaddr, dma_addr_t addr,
		      unsigned long attrs)
{
	loop_dma_free(map.dma_dev, size, vaddr, addr, attrs);
}

static bool loop_need_sync(union virtio_map map, dma_addr_t addr)
{
	return true;
}

static int loop_mapping_error(union virtio_map map, dma_addr_t addr)
{
	return addr == DMA_MAPPING_ERROR ? -ENOMEM : 0;
}

static size_t loop_max_mapping_size(union virtio_map map)
{
	return loop_dma_max_mapping_size(map.dma_dev);
}

static const struct virtio_map_ops loop_map_ops = {
	.map_page = loop_map_page,
	.unmap_page = loop_unmap_page,
	.sync_single_for_cpu = loop_sync_for_cpu,
	.sync_single_for_device = loop_sync_for_device,
	.alloc = loop_alloc,
	.free = loop_free,
	.need_sync = loop_need_sync,
	.mapping_error = loop_mapping_error,
	.max_mapping_size = loop_max_mapping_size,
};

static int loop_dma_set_ops(struct device *dev)
{
	return 0;
}

static void loop_dma_set_map(struct virtio_device *vdev)
{
	vdev->map = &loop_map_ops;
	vdev->vmap.dma_dev = vdev->dev.parent;
}

#else /* !VBE_HAVE_VIRTIO_MAP_OPS */

static void loop_dma_unmap_sg(struct device *dev, struct scatterlist *sgl, int n,
			      enum dma_data_direction dir, unsigned long attrs)
{
	struct scatterlist *sg;
	int i;

	for_each_sg(sgl, sg, n, i)
		loop_dma_unmap_page(dev, sg_dma_address(sg), sg_dma_len(sg), dir, attrs);
}

static int loop_dma_map_sg(struct device *dev, struct scatterlist *sgl, int n,
			   enum dma_data_direction dir, unsigned long attrs)
{
	struct scatterlist *sg;
	int i;

	for_each_sg(sgl, sg, n, i) {
		sg_dma_address(sg) = loop_dma_map_page(dev, sg_page(sg), sg->offset, sg->length,
						       dir, attrs);
		if (sg_dma_address(sg) == DMA_MAPPING_ERROR) {
			loop_dma_unmap_sg(dev, sgl, i, dir, attrs | DMA_ATTR_SKIP_CPU_SYNC);
			return -ENOMEM;
		}
		sg_dma_len(sg) = sg->length;
	}
	return n;
}

static void loop_dma_sync_sg_for_cpu(struct device *dev, struct scatterlist *sgl, int n,
				     enum dma_data_direction dir)
{
	struct scatterlist *sg;
	int i;

	for_each_sg(sgl, sg, n, i)
		loop_dma_sync_for_cpu(dev, sg_dma_address(sg), sg_dma_len(sg), dir);
}

static void loop_dma_sync_sg_for_device(struct device *dev, struct scatterlist *sgl, int n,
					enum dma_data_direction dir)
{
	struct scatterlist *sg;
	int i;

	for_each_sg(sgl, sg, n, i)
		loop_dma_sync_for_device(dev, sg_dma_address(sg), sg_dma_len(sg), dir);
}

static int loop_dma_supported(struct device *dev, u64 mask)
{
	return mask >= LOOP_FE_BASE + LOOP_WINDOW_MAX - 1;
}

static const struct dma_map_ops loop_dma_ops = {
	.alloc = loop_dma_alloc,
	.free = loop_dma_free,
	.map_page = loop_dma_map_page,
	.unmap_page = loop_dma_unmap_page,
	.map_sg = loop_dma_map_sg,
	.unmap_sg = loop_dma_unmap_sg,
	.sync_single_for_cpu = loop_dma_sync_for_cpu,
	.sync_single_for_device = loop_dma_sync_for_device,
	.sync_sg_for_cpu = loop_dma_sync_sg_for_cpu,
	.sync_sg_for_device = loop_dma_sync_sg_for_device,
	.dma_supported = loop_dma_supported,
	.max_mapping_size = loop_dma_max_mapping_size,
};

/* A kernel without DMA ops per device would map around the pool: refuse. */
static int loop_dma_set_ops(struct device *dev)
{
	set_dma_ops(dev, &loop_dma_ops);
	return get_dma_ops(dev) == &loop_dma_ops ? 0 : -EOPNOTSUPP;
}

static void loop_dma_set_map(struct virtio_device *vdev)
{
}

#endif /* VBE_HAVE_VIRTIO_MAP_OPS */

/**
 * loop_dma_setup() - make the parent device one whose mappings go to the pool
 * @ld: device, its parent initialised
 *
 * Return: 0, or -EOPNOTSUPP on a kernel that has no such hook.
 */
int loop_dma_setup(struct loop_device *ld)
{
	struct device *dev = &ld->parent;

	dev->coherent_dma_mask = DMA_BIT_MASK(64);
	dev->dma_mask = &dev->coherent_dma_mask;
	dev->dma_parms = &ld->dma_parms;
	dma_set_max_seg_size(dev, UINT_MAX);
	return loop_dma_set_ops(dev);
}

/**
 * loop_dma_setup_vdev() - the same for a virtio device
 * @lv: not registered yet
 */
void loop_dma_setup_vdev(struct loop_vdev *lv)
{
	loop_dma_set_map(&lv->vdev);
}
