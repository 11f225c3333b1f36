// SPDX-License-Identifier: BSD-3-Clause
/* Copyright (c) 2026 The vbe authors */
/* The virtqueue engine bound to a queue of a device. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "private.h"

#define RANGES_MIN	1024u	/* notes of transient memory, of a queue */

/**
 * struct vbe_queue - a queue of a device
 * @vq: the engine's part
 * @dev: its device
 * @index: its number
 * @kick: what it is kicked by
 * @slots: the engine's notes, kept for the next start
 * @nr_slots: their number
 * @ranges: its notes of transient memory, likewise; NULL while there was none
 * @nr_ranges: their number
 * @size: entries; 0 while not started
 * @packed: ring format, once started
 * @base: where it ended, as &vbe_queue_info.base; kept after a stop
 * @has_base: @base is valid
 * @error: why the engine refused or broke; kept after a stop
 * @inflight: slice of the in-flight area, or NULL
 * @inflight_len: its length
 */
struct vbe_queue {
	struct vbe_vq vq;
	struct vbe_dev *dev;
	uint32_t index;
	struct vbe_kick kick;
	struct vbe_vq_slot *slots;
	uint32_t nr_slots;
	struct vbe_vq_range *ranges;
	uint32_t nr_ranges;
	uint32_t size;
	bool packed;
	uint32_t base;
	bool has_base;
	int error;
	void *inflight;
	size_t inflight_len;
};

uint32_t vbe_queue_inflight_size(uint32_t max_size)
{
	struct vbe_vq_config cfg = { .size = max_size };
	size_t split, packed;

	split = vbe_vq_inflight_size(&cfg);
	cfg.features = VBE_VQ_F_RING_PACKED;
	packed = vbe_vq_inflight_size(&cfg);
	return split > packed ? split : packed;
}

struct vbe_queue *vbe_queue_new(struct vbe_dev *dev, uint32_t index)
{
	struct vbe_queue *q = calloc(1, sizeof(*q));
	int ret;

	if (!q)
		return NULL;
	q->dev = dev;
	q->index = index;
	ret = vbe_kick_init(&q->kick);
	if (ret) {
		free(q);
		errno = -ret;
		return NULL;
	}
	return q;
}

void vbe_queue_free(struct vbe_queue *q)
{
	if (!q)
		return;
	vbe_queue_stop(q);
	vbe_kick_exit(&q->kick);
	free(q->slots);
	free(q->ranges);
	free(q);
}

static int grow_slots(struct vbe_queue *q, uint32_t n)
{
	struct vbe_vq_slot *slots;

	if (q->nr_slots >= n)
		return 0;
	slots = calloc(n, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	free(q->slots);
	q->slots = slots;
	q->nr_slots = n;
	return 0;
}

/* Some for each chain, for what is mapped and given back with it. Beyond them, it is copied. */
static int grow_ranges(struct vbe_queue *q, const struct vbe_vq_mem *mem, uint32_t size)
{
	uint32_t n = size < RANGES_MIN / 4 ? RANGES_MIN : 4 * size;
	struct vbe_vq_range *ranges;
	bool any = false;

	for (uint32_t i = 0; i < mem->nr_windows; i++)
		any |= mem->windows[i].flags & VBE_VQ_WINDOW_TRANSIENT;
	if (!any || q->nr_ranges >= n)
		return 0;
	ranges = calloc(n, sizeof(*ranges));
	if (!ranges)
		return -ENOMEM;
	free(q->ranges);
	q->ranges = ranges;
	q->nr_ranges = n;
	return 0;
}

/* Where to begin, should the in-flight area have nothing to say. */
static void config_base(struct vbe_vq_config *cfg, uint32_t base)
{
	cfg->flags |= VBE_VQ_START;
	cfg->start_avail = base & 0xffff;
	cfg->start_used = cfg->features & VBE_VQ_F_RING_PACKED ? base >> 16 : base & 0xffff;
}

/* What the driver negotiated and where its rings are. */
static int queue_config(struct vbe_queue *q, uint32_t flags, struct vbe_vq_config *cfg)
{
	struct vbe_queue_info qi;
	struct vbe_dev_info info;
	int ret;

	ret = vbe_get_info(q->dev, &info);
	if (!ret)
		ret = vbe_get_queue(q->dev, q->index, &qi);
	if (ret)
		return ret;
	if (!(qi.flags & VBE_QUEUE_F_ENABLED) || !qi.num)
		return -EAGAIN;
	memset(cfg, 0, sizeof(*cfg));
	cfg->features = info.driver_features;
	cfg->size = qi.num;
	cfg->desc_addr = qi.desc;
	cfg->driver_addr = qi.driver;
	cfg->device_addr = qi.device;
	config_base(cfg, qi.base);
	cfg->mem = vbe_mem_engine(q->dev);
	if (!cfg->mem)
		return -errno;
	ret = vbe_inflight(q->dev, q->index, &q->inflight, &q->inflight_len);
	if (ret == -ENOENT)
		return 0;
	if (ret)
		return ret;
	if (q->inflight_len < vbe_vq_inflight_size(cfg))
		return -ENOSPC;
	cfg->inflight = q->inflight;
	cfg->inflight_len = q->inflight_len;
	/* The kernel zeroes the area when the driver resets, and zeroes say that base counts. */
	if (!(flags & VBE_START_FRESH))
		cfg->flags |= VBE_VQ_RESUME;
	return 0;
}

int vbe_queue_start(struct vbe_queue *q, uint32_t flags)
{
	struct vbe_vq_config cfg;
	int ret;

	if (flags & ~VBE_START_FRESH)
		return -EINVAL;
	if (q->size)
		return -EALREADY;
	ret = queue_config(q, flags, &cfg);
	if (ret)
		return ret;
	ret = grow_slots(q, cfg.size);
	if (!ret)
		ret = grow_ranges(q, cfg.mem, cfg.size);
	if (ret)
		return ret;
	cfg.slots = q->slots;
	cfg.nr_slots = q->nr_slots;
	cfg.ranges = q->ranges;
	cfg.nr_ranges = q->nr_ranges;
	q->error = vbe_vq_init(&q->vq, &cfg);
	if (q->error)
		return -EPROTO;
	ret = vbe_kick_attach(&q->kick, q->dev, q->index);
	if (ret)
		return ret;
	q->size = cfg.size;
	q->packed = cfg.features & VBE_VQ_F_RING_PACKED;
	return 0;
}

int vbe_queue_refresh_kick(struct vbe_queue *q)
{
	return q->size ? vbe_kick_attach(&q->kick, q->dev, q->index) : 0;
}

/* Where the engine is, as &vbe_queue_info.base. */
static uint32_t engine_base(const struct vbe_queue *q)
{
	struct vbe_vq_state state;

	vbe_vq_get_state(&q->vq, &state);
	return state.avail_pos | (q->packed ? (uint32_t)state.used_pos << 16 : 0);
}

int vbe_queue_base(struct vbe_queue *q, uint32_t *base)
{
	struct vbe_queue_info qi;
	int ret = 0;

	if (q->size) {
		*base = engine_base(q);
	} else if (q->has_base) {
		*base = q->base;
	} else {
		/* It was never served: it is where it began. */
		ret = vbe_get_queue(q->dev, q->index, &qi);
		if (!ret)
			*base = qi.base;
	}
	return ret;
}

void vbe_queue_stop(struct vbe_queue *q)
{
	if (!q->size)
		return;
	vbe_kick_detach(&q->kick, q->dev, q->index);
	q->base = engine_base(q);
	q->has_base = true;
	q->error = vbe_vq_error(&q->vq);
	q->size = 0;
}

void vbe_queue_reset(struct vbe_queue *q)
{
	vbe_queue_stop(q);
	q->has_base = false;
	/*
	 * The driver will begin anew. If this process is killed before it starts the queue again,
	 * the next backend must not resume from the old rings' notes.
	 */
	if (q->inflight)
		memset(q->inflight, 0, q->inflight_len);
}

int vbe_queue_remap(struct vbe_queue *q)
{
	if (!q->size)
		return 0;
	q->error = vbe_vq_set_mem(&q->vq, &q->dev->mem);
	return q->error ? -EPROTO : 0;
}

struct vbe_vq *vbe_queue_vq(struct vbe_queue *q)
{
	return &q->vq;
}

uint32_t vbe_queue_size(const struct vbe_queue *q)
{
	return q->size;
}

int vbe_queue_started(const struct vbe_queue *q)
{
	return q->size != 0;
}

int vbe_queue_kick_fd(const struct vbe_queue *q)
{
	return q->kick.fd;
}

int vbe_queue_wait(struct vbe_queue *q, int timeout_ms)
{
	return vbe_kick_wait(&q->kick, timeout_ms);
}

void vbe_queue_wake(struct vbe_queue *q)
{
	vbe_kick_wake(&q->kick);
}

int vbe_queue_pop(struct vbe_queue *q, struct vbe_vq_chain *chain)
{
	int ret = vbe_vq_pop(&q->vq, chain);

	return ret < 0 ? -EPROTO : ret;
}

int vbe_queue_push(struct vbe_queue *q, uint32_t token, uint32_t written)
{
	int ret = vbe_vq_push(&q->vq, token, written);

	if (ret == VBE_VQ_E_TOKEN || ret == VBE_VQ_E_WRITTEN)
		return -EINVAL;
	return ret < 0 ? -EPROTO : 0;
}

int vbe_queue_call(struct vbe_queue *q)
{
	int ret;

	if (!vbe_vq_needs_call(&q->vq))
		return 0;
	ret = vbe_call(q->dev, q->index);
	return ret ? ret : 1;
}

int vbe_queue_serve(struct vbe_queue *q, struct vbe_vq_chain *chain,
		    uint32_t (*handle)(struct vbe_queue *q, struct vbe_vq_chain *chain, void *arg),
		    void *arg)
{
	uint32_t limit = 4 * q->size;
	uint32_t handled = 0;
	int ret;

	do {
		vbe_vq_disable_kicks(&q->vq);
		while ((ret = vbe_vq_pop(&q->vq, chain)) > 0) {
			ret = vbe_vq_stage(&q->vq, chain->token, handle(q, chain, arg));
			if (ret)
				break;
			handled++;
		}
		if (ret == 0)
			ret = vbe_vq_flush(&q->vq);
	} while (ret == 0 && (ret = vbe_vq_enable_kicks(&q->vq)) > 0 && handled < limit);
	/* A driver that never pauses must not keep the caller from looking at anything else. */
	if (ret > 0)
		vbe_queue_wake(q);
	if (handled)
		vbe_queue_call(q);
	return ret < 0 ? -EPROTO : (int)handled;
}

const char *vbe_queue_strerror(const struct vbe_queue *q)
{
	return vbe_vq_strerror(q->size ? vbe_vq_error(&q->vq) : q->error);
}
