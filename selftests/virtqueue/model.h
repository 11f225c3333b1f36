/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 The vbe authors */
/*
 * A model of the driver side, written from the virtio standard and not from the engine: it makes
 * requests available, takes used ones back, and complains about everything that a driver could.
 */
#ifndef VQ_MODEL_H
#define VQ_MODEL_H

#include <vbe/virtqueue.h>
#include "test.h"

#define GUEST_BASE	0x40000000ull
#define FE_MAX_SEGS	12
#define FE_REGION	1024u

/* How the BE reaches the guest's memory. */
enum access {
	ACCESS_MAPPED,		/* one window */
	ACCESS_COPY,		/* one window that cannot be mapped */
	ACCESS_MIXED,		/* many small windows, mapped, copy, and by the map callback */
	ACCESS_KINDS
};

struct guest {
	uint8_t *mem;
	uint32_t len;
	struct vbe_vq_window windows[512];
	struct vbe_vq_mem access;
	bool gone;		/* callbacks fail */
};

void guest_init(struct guest *g, uint32_t len, enum access access);
void guest_free(struct guest *g);

struct fe_seg {
	uint32_t off;		/* in guest memory */
	uint32_t len;
	bool write;
};

struct fe_req {
	bool active;
	bool popped;		/* for tests: the BE has it */
	bool was_popped;	/* for tests: an earlier BE had it */
	uint64_t tag;		/* counts requests, in the order in which they were added */
	uint32_t region;
	uint32_t nr_descs;	/* in the ring or table */
	uint32_t nr_segs;
	struct fe_seg seg[FE_MAX_SEGS];
	uint32_t read_len;
	uint32_t write_len;
	uint16_t desc[FE_MAX_SEGS];	/* split: descriptors taken */
};

struct fe_opts {
	uint32_t size;
	uint64_t features;
	enum access access;
	uint16_t start;		/* split: first index */
};

struct fe {
	struct guest guest;
	struct fe_opts opts;
	bool packed, event_idx, in_order, indirect;
	uint32_t size;
	uint8_t *desc, *driver, *device;
	uint64_t desc_addr, driver_addr, device_addr;
	struct fe_req *req;	/* by head, or by buffer ID - id_base */
	uint16_t id_base;
	uint32_t nr_free;	/* descriptors */
	uint32_t nr_active;
	uint16_t *free_desc;	/* split: a bag, or in order a ring from next_desc */
	uint16_t next_desc;
	uint32_t *free_region;
	uint16_t *order;	/* active requests as added */
	uint64_t next_tag;
	uint64_t completed;
	/* split */
	uint16_t avail_idx, used_idx;
	/* packed */
	uint32_t next_avail, next_used;
	bool avail_wrap, used_wrap;
	/* since the last look at whether to kick */
	uint32_t added;
	struct rng rng;
};

void fe_init(struct fe *fe, const struct fe_opts *opts, uint64_t seed);
void fe_free(struct fe *fe);

/* Fills in a config for the engine. */
void fe_config(const struct fe *fe, struct vbe_vq_config *cfg, struct vbe_vq_slot *slots,
	       void *inflight, size_t inflight_len);

/* Makes a random request available; false if there is no room. */
bool fe_add(struct fe *fe);

/* Whether the FE would kick for what it added since it was asked last. */
bool fe_wants_kick(struct fe *fe);

/* Takes the next used entry, and in order all that it stands for. Gives the number, maybe 0. */
uint32_t fe_take_used(struct fe *fe);

/* The same, until there is none. */
uint32_t fe_take_all(struct fe *fe);

bool fe_has_used(const struct fe *fe);

/* A word of the driver area. */
uint16_t fe_driver16(const struct fe *fe, uint32_t off);

/* Call suppression. With event index: a call for the entry (packed: descriptor) @ahead. */
void fe_calls(struct fe *fe, bool on, uint32_t ahead);

/* The request of a chain that the BE popped; checks all that the BE can know of it. */
struct fe_req *fe_check_chain(struct fe *fe, const struct vbe_vq *vq,
			      const struct vbe_vq_chain *chain);

/* Serves a chain: writes the first @len bytes. */
void fe_serve(const struct vbe_vq *vq, const struct vbe_vq_chain *chain, const struct fe_req *req,
	      uint32_t len);

#endif
