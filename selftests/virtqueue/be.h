/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 The vbe authors */
/* A backend for the tests: pops, serves and completes what the model offers, at random. */
#ifndef VQ_BE_H
#define VQ_BE_H

#include "model.h"

#define BE_SEGS		64

struct be_chain {
	struct vbe_vq_done done;
	uint64_t tag;
};

struct be {
	struct vbe_vq vq;
	struct vbe_vq_config cfg;
	struct vbe_vq_slot *slots;
	void *log;
	struct fe *fe;
	struct be_chain *busy;
	uint32_t nr_busy;
	uint64_t next_tag;	/* what the next pop must give, unless resumed */
	struct rng rng;
};

/* Takes memory; @logged: with an in-flight area. be_start() begins with the queue. */
void be_init(struct be *be, struct fe *fe, bool logged, uint64_t seed);
void be_free(struct be *be);
int be_start(struct be *be, uint32_t flags);

/* Pops, checks and serves one chain; returns what vbe_vq_pop() said. */
int be_pop(struct be *be);

/* Completes up to @max of the busy chains, in random order, in one of the ways there are. */
void be_complete(struct be *be, uint32_t max);

/* How much the BE writes for a request: the same each time it is served. */
uint32_t be_written(const struct fe_req *r);

/* All rings, features and sizes worth trying. */
struct be_case {
	char name[80];
	struct fe_opts opts;
};

bool be_case_get(uint32_t i, struct be_case *c);

#endif
