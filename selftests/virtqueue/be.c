// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
#include <stdlib.h>
#include <string.h>
#include "be.h"

void be_init(struct be *be, struct fe *fe, bool logged, uint64_t seed)
{
	size_t len;

	memset(be, 0, sizeof(*be));
	rng_seed(&be->rng, seed);
	be->fe = fe;
	be->slots = malloc(fe->size * sizeof(*be->slots));
	be->busy = calloc(fe->size, sizeof(*be->busy));
	fe_config(fe, &be->cfg, be->slots, NULL, 0);
	if (logged) {
		len = vbe_vq_inflight_size(&be->cfg);
		be->log = calloc(1, len);
		be->cfg.inflight = be->log;
		be->cfg.inflight_len = len;
	}
}

void be_free(struct be *be)
{
	free(be->slots);
	free(be->busy);
	free(be->log);
}

int be_start(struct be *be, uint32_t flags)
{
	struct vbe_vq_config cfg = be->cfg;

	/* Nothing of an earlier life may matter. */
	memset(be->slots, 0xa5, be->fe->size * sizeof(*be->slots));
	memset(&be->vq, 0xa5, sizeof(be->vq));
	be->nr_busy = 0;
	cfg.flags |= flags;
	return vbe_vq_init(&be->vq, &cfg);
}

uint32_t be_written(const struct fe_req *r)
{
	uint32_t hash = (r->tag + 1) * 2654435761u >> 16;

	/* Often all, so that completions in order may be merged. */
	return hash & 1 ? r->write_len : (hash >> 1) % (r->write_len + 1);
}

int be_pop(struct be *be)
{
	struct vbe_vq_seg segs[BE_SEGS];
	struct vbe_vq_chain chain = { .segs = segs, .max_segs = BE_SEGS };
	struct be_chain *c = &be->busy[be->nr_busy];
	struct fe_req *r;
	uint64_t before = desc_reads;
	int ret;

	ret = vbe_vq_pop(&be->vq, &chain);
	if (ret <= 0)
		return ret;
	CHECK(desc_reads - before <= FE_MAX_SEGS + 1);
	r = fe_check_chain(be->fe, &be->vq, &chain);
	if (!chain.resumed)
		CHECK(r->tag >= be->next_tag);
	CHECK(be->nr_busy < be->fe->size);
	c->tag = r->tag;
	c->done.token = chain.token;
	c->done.written = be_written(r);
	be->next_tag = r->tag + 1;
	fe_serve(&be->vq, &chain, r, c->done.written);
	be->nr_busy++;
	return 1;
}

/* Takes a random busy chain out of the list. */
static struct vbe_vq_done take(struct be *be)
{
	uint32_t i = rng_below(&be->rng, be->nr_busy);
	struct vbe_vq_done d = be->busy[i].done;

	memmove(be->busy + i, be->busy + i + 1, (be->nr_busy - i - 1) * sizeof(*be->busy));
	be->nr_busy--;
	return d;
}

void be_complete(struct be *be, uint32_t max)
{
	struct vbe_vq_done d[16];
	uint32_t n = max < be->nr_busy ? max : be->nr_busy, i;

	if (n > 16)
		n = 16;
	for (i = 0; i < n; i++)
		d[i] = take(be);
	switch (rng_below(&be->rng, 4)) {
	case 0:
		CHECK_EQ(vbe_vq_push_n(&be->vq, d, n), 0);
		break;
	case 1:
		for (i = 0; i < n; i++)
			CHECK_EQ(vbe_vq_push(&be->vq, d[i].token, d[i].written), 0);
		break;
	case 2:
		for (i = 0; i < n; i++)
			CHECK_EQ(vbe_vq_stage(&be->vq, d[i].token, d[i].written), 0);
		CHECK_EQ(vbe_vq_flush(&be->vq), 0);
		break;
	case 3:
		/* Left for the next flush. */
		for (i = 0; i < n; i++)
			CHECK_EQ(vbe_vq_stage(&be->vq, d[i].token, d[i].written), 0);
		break;
	}
}

bool be_case_get(uint32_t i, struct be_case *c)
{
	static const uint32_t split_sizes[] = { 1, 2, 4, 16, 256, 1024 };
	static const uint32_t packed_sizes[] = { 1, 3, 4, 7, 16, 300 };
	bool packed = i & 1, event = i & 2, in_order = i & 4, indirect = i & 8;
	uint32_t access, s = i >> 4;

	access = s % ACCESS_KINDS;
	s /= ACCESS_KINDS;
	if (s >= 6)
		return false;
	memset(c, 0, sizeof(*c));
	c->opts.size = packed ? packed_sizes[s] : split_sizes[s];
	c->opts.access = access;
	c->opts.start = packed ? 0 : 65536 - 2 * c->opts.size;
	c->opts.features = (packed ? VBE_VQ_F_RING_PACKED : 0) |
			   (event ? VBE_VQ_F_EVENT_IDX : 0) |
			   (in_order ? VBE_VQ_F_IN_ORDER : 0) |
			   (indirect ? VBE_VQ_F_INDIRECT_DESC : 0);
	snprintf(c->name, sizeof(c->name), "%s size %u%s%s%s %s",
		 packed ? "packed" : "split", c->opts.size, event ? " event_idx" : "",
		 in_order ? " in_order" : "", indirect ? " indirect" : "",
		 access == ACCESS_MAPPED ? "mapped" : access == ACCESS_COPY ? "copy" : "mixed");
	return true;
}
