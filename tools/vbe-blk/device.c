// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
/* Describe the disk to the kernel: features, config space, queues; also to one that is live. */
#include <endian.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>

#include "vbe-blk.h"

#define BIT(n)		(1ull << (n))
#define TAG_LEN		16u	/* sizeof(image.tag), at the end of queue 0's in-flight area */

static uint64_t offer(const struct options *o, const struct image *img, uint32_t n_queues)
{
	uint64_t f = BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_BLK_F_SEG_MAX) |
		     BIT(VIRTIO_BLK_F_BLK_SIZE) | BIT(VIRTIO_BLK_F_TOPOLOGY) |
		     BIT(VIRTIO_BLK_F_FLUSH) | BIT(VIRTIO_BLK_F_CONFIG_WCE);

	if (o->event_idx)
		f |= BIT(VIRTIO_RING_F_EVENT_IDX);
	if (o->indirect)
		f |= BIT(VIRTIO_RING_F_INDIRECT_DESC);
	if (o->packed)
		f |= BIT(VIRTIO_F_RING_PACKED);
	if (n_queues > 1)
		f |= BIT(VIRTIO_BLK_F_MQ);
	if (img->read_only)
		f |= BIT(VIRTIO_BLK_F_RO);
	else if (img->can_discard)
		f |= BIT(VIRTIO_BLK_F_DISCARD) | BIT(VIRTIO_BLK_F_WRITE_ZEROES);
	return f;
}

/* What a driver may have taken from a server with other options, and we can do as well. */
static uint64_t can_do(const struct image *img)
{
	uint64_t f = BIT(VIRTIO_RING_F_EVENT_IDX) | BIT(VIRTIO_RING_F_INDIRECT_DESC) |
		     BIT(VIRTIO_F_RING_PACKED) | BIT(VIRTIO_BLK_F_MQ);

	if (img->read_only)
		return f;
	return f | BIT(VIRTIO_BLK_F_DISCARD) | BIT(VIRTIO_BLK_F_WRITE_ZEROES);
}

static void fill_config(struct disk *d, const struct options *o, const struct image *img)
{
	struct virtio_blk_config *c = &d->config;
	uint32_t seg_max = BLK_SEG_MAX, ratio = img->physical / img->logical;

	/* Without indirect descriptors a request must fit the queue, with header and status. */
	if (d->queue_sizes[0] - 2 < seg_max)
		seg_max = d->queue_sizes[0] - 2;
	d->wce = !o->writethrough;
	c->capacity = htole64(image_size(img) / SECTOR);
	c->seg_max = htole32(seg_max);
	c->blk_size = htole32(img->logical);
	while (ratio >> (c->physical_block_exp + 1))
		c->physical_block_exp++;
	c->min_io_size = htole16(img->io_min / img->logical);
	c->opt_io_size = htole32(img->io_opt / img->logical);
	c->wce = d->wce;
	c->num_queues = htole16(d->n_queues);
	c->max_discard_sectors = htole32(BLK_MAX_RANGE_SECTORS);
	c->max_discard_seg = htole32(BLK_MAX_RANGES);
	c->discard_sector_alignment = htole32(img->physical / SECTOR);
	c->max_write_zeroes_sectors = htole32(BLK_MAX_RANGE_SECTORS);
	c->max_write_zeroes_seg = htole32(BLK_MAX_RANGES);
	c->write_zeroes_may_unmap = 1;
}

/* Whether the in-flight area belongs to this image: its writes must not go to another. */
static int check_tag(const struct options *o, const struct image *img, struct vbe_dev *dev)
{
	static const uint8_t none[TAG_LEN];
	size_t len;
	void *area;
	uint8_t *tag;

	if (o->force || vbe_inflight(dev, 0, &area, &len) || len < TAG_LEN)
		return XC_OK;
	tag = (uint8_t *)area + len - TAG_LEN;
	if (!memcmp(tag, none, TAG_LEN) || !memcmp(tag, img->tag, TAG_LEN))
		return XC_OK;
	say("device %s: its driver has another image in use: give this disk another --name, "
	    "or go on by --force", o->name);
	return XC_FAIL;
}

/**
 * disk_claim() - the driver is ready: mark the in-flight area as this image's
 * @o: options
 * @img: image
 * @dev: device
 *
 * Whoever runs the guest may have brought an area that a former server left.
 *
 * Return: an exit code; not XC_OK after a message.
 */
int disk_claim(const struct options *o, const struct image *img, struct vbe_dev *dev)
{
	size_t len;
	void *area;
	int ret = check_tag(o, img, dev);

	if (!ret && vbe_inflight(dev, 0, &area, &len) == 0 && len >= TAG_LEN)
		memcpy((uint8_t *)area + len - TAG_LEN, img->tag, TAG_LEN);
	return ret;
}

/*
 * A VMM with a transport of its own shows the driver a number of entries that it made up, and
 * vhost-user has no way to tell it what we can do: so offer the most.
 */
static uint32_t queue_size(const struct options *o, const struct vbe_dev_info *info)
{
	if (o->queue_size)
		return o->queue_size;
	return strcmp((const char *)info->provider, "loop") &&
	       !strcmp((const char *)info->transport, "direct") ? BLK_MAX_QUEUE_SIZE : 256;
}

/* Take over a device that a former server described: queues and features must stay. */
static int adopt(struct disk *d, const struct options *o, const struct image *img,
		 struct vbe_dev *dev, const struct vbe_dev_info *info)
{
	uint64_t kept = info->driver_features;
	struct virtio_blk_config old;

	if (info->virtio_id != VIRTIO_ID_BLOCK || info->config_size != sizeof(d->config) ||
	    !info->n_queues || info->n_queues > BLK_MAX_QUEUES) {
		say("device %s: was served by another kind of backend", o->name);
		return XC_FAIL;
	}
	if (info->status && img->read_only != !!(kept & BIT(VIRTIO_BLK_F_RO))) {
		say("device %s: its driver knows it as %s", o->name,
		    img->read_only ? "writable" : "read-only");
		return XC_FAIL;
	}
	d->n_queues = info->n_queues;
	for (uint32_t i = 0; i < d->n_queues; i++) {
		struct vbe_queue_info q;

		/* A kernel that does not say will check it at SETUP. */
		if (vbe_get_queue(dev, i, &q))
			q.max_size = queue_size(o, info);
		if (q.max_size > BLK_MAX_QUEUE_SIZE) {
			say("device %s: queue %u has %u entries: too many", o->name, i, q.max_size);
			return XC_FAIL;
		}
		d->queue_sizes[i] = q.max_size;
	}
	if ((o->queue_size && o->queue_size != d->queue_sizes[0]) ||
	    (o->queues > 1 && o->queues != d->n_queues))
		say("device %s: has %u queues of %u entries from its last server, and keeps them",
		    o->name, d->n_queues, d->queue_sizes[0]);
	d->features = offer(o, img, d->n_queues) | (kept & can_do(img));
	fill_config(d, o, img);
	/* What the driver set itself. */
	if (vbe_config_read(dev, 0, &old, sizeof(old)) == 0)
		d->config.wce = old.wce;
	d->resumed = true;
	note("device %s: taking over from a former server", o->name);
	return check_tag(o, img, dev);
}

/* O_DIRECT needs pages that can be pinned: all windows must have them. Returns 0 or -errno. */
static int look_at_memory(struct disk *d, struct image *img, struct vbe_dev *dev)
{
	struct vbe_mem_window win;
	int ret;

	d->direct = img->direct_fd >= 0;
	for (unsigned int i = 0; (ret = vbe_mem_window(dev, i, &win)) == 0; i++)
		if (win.mem_class != VBE_MEM_PINNED || !win.host)
			d->direct = false;
	image_use_direct(img, d->direct);
	return ret == -ENOENT ? 0 : ret;
}

/* The driver's memory has changed; no I/O is in flight. */
void disk_memory_changed(struct disk *d, struct image *img, struct vbe_dev *dev)
{
	bool was = d->direct;

	look_at_memory(d, img, dev);
	if (d->direct != was)
		note("the driver's memory %s be pinned: %s", d->direct ? "can" : "cannot",
		     d->direct ? "O_DIRECT" : "page cache");
}

static int check_memory(struct disk *d, const struct options *o, struct image *img,
			struct vbe_dev *dev)
{
	if (look_at_memory(d, img, dev)) {
		say("device %s: cannot reach the driver's memory: %s", o->name, vbe_error(dev));
		return XC_FAIL;
	}
	if (!d->direct && o->direct == DIRECT_ON) {
		say("device %s: its memory cannot be pinned, so O_DIRECT is not possible: "
		    "use --direct auto", o->name);
		return XC_UNSUPPORTED;
	}
	/*
	 * What is registered stays what it was, even when a VMM has put other memory in its place:
	 * until we hear of that, the driver would get old memory's data, and no error.
	 */
	d->fixed = d->direct && d->local && o->fixed;
	if (o->fixed && !d->local)
		say("device %s: its driver's memory may change: no fixed buffers", o->name);
	return XC_OK;
}

static int do_setup(struct disk *d, const struct options *o, struct vbe_dev *dev,
		    const struct vbe_dev_info *info)
{
	struct vbe_dev_setup s = {
		.flags = VBE_SETUP_F_QUEUE_STOP,
		.virtio_id = VIRTIO_ID_BLOCK,
		.features = d->features,
		.n_queues = d->n_queues,
		.config_size = sizeof(d->config),
		.config = (uintptr_t)&d->config,
		.queue_sizes = (uintptr_t)d->queue_sizes,
		.loss_policy = o->policy,
		.inflight_size = vbe_queue_inflight_size(d->queue_sizes[0]) + TAG_LEN,
	};
	int ret;

	if (d->resumed)
		s.inflight_size = info->inflight_size;
	ret = vbe_setup(dev, &s);
	if (ret == -EINVAL) {
		/* Perhaps a kernel that cannot stop single queues. */
		s.flags = 0;
		ret = vbe_setup(dev, &s);
	}
	if (!ret)
		return XC_OK;
	say("device %s: cannot be set up: %s", o->name, vbe_error(dev));
	return XC_FAIL;
}

/**
 * disk_setup() - describe the disk
 * @d: filled in
 * @o: options
 * @img: image; its O_DIRECT fd is closed if memory does not allow it
 * @dev: device
 *
 * Return: an exit code; not XC_OK after a message.
 */
int disk_setup(struct disk *d, const struct options *o, struct image *img, struct vbe_dev *dev)
{
	struct vbe_dev_info info;
	int ret;

	memset(d, 0, sizeof(*d));
	ret = vbe_get_info(dev, &info);
	if (ret) {
		say("device %s: %s", o->name, vbe_error(dev));
		return XC_FAIL;
	}
	d->local = !strcmp((const char *)info.provider, "loop");
	if (info.state == VBE_DEV_LOST) {
		ret = adopt(d, o, img, dev, &info);
		if (ret)
			return ret;
	} else {
		if (o->queues > info.max_queues) {
			say("--queues %u: device %s can have %u", o->queues, o->name,
			    info.max_queues);
			return XC_USAGE;
		}
		d->n_queues = o->queues;
		for (uint32_t i = 0; i < d->n_queues; i++)
			d->queue_sizes[i] = queue_size(o, &info);
		d->features = offer(o, img, d->n_queues);
		fill_config(d, o, img);
	}
	if (o->packed && !(info.features_allowed & BIT(VIRTIO_F_RING_PACKED)))
		say("device %s: its transport has no packed rings; going on with split ones",
		    o->name);
	ret = check_memory(d, o, img, dev);
	return ret ? ret : do_setup(d, o, dev, &info);
}

/* Whether writes must be stable when they complete (virtio 1.3, 5.2.6.2). */
bool disk_writethrough(const struct disk *d, struct vbe_dev *dev)
{
	struct vbe_dev_info info;
	uint8_t wce;

	if (vbe_get_info(dev, &info))
		return true;
	if (!(info.driver_features & BIT(VIRTIO_BLK_F_CONFIG_WCE)))
		return !d->wce || !(info.driver_features & BIT(VIRTIO_BLK_F_FLUSH));
	if (vbe_config_read(dev, offsetof(struct virtio_blk_config, wce), &wce, 1))
		wce = d->wce;
	return !wce;
}
