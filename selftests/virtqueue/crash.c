// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
/*
 * Kills the BE before each single store that it makes to the rings and to the in-flight area,
 * lets the FE do something or nothing, and begins again with what is left. Nothing may be lost,
 * published twice, popped twice or out of order, and nothing but complete entries may be seen.
 */
#include <string.h>
#include "be.h"

enum fe_act { FE_IDLE, FE_TAKES, FE_TAKES_AND_ADDS, FE_ACTS };

struct scene {
	struct fe fe;
	struct be be;
	struct rng rng;
	enum fe_act act;
	uint32_t steps;
	uint32_t started;	/* lives whose start is over: the log is valid */
};

/* Static, since a longjmp() leaves locals in doubt. */
static struct scene sc;

static void scene_open(const struct fe_opts *opts, enum fe_act act, uint32_t steps, uint64_t seed)
{
	memset(&sc, 0, sizeof(sc));
	rng_seed(&sc.rng, seed);
	sc.act = act;
	sc.steps = steps;
	fe_init(&sc.fe, opts, seed + 1);
	be_init(&sc.be, &sc.fe, true, seed + 2);
}

static void scene_close(void)
{
	be_free(&sc.be);
	fe_free(&sc.fe);
}

static void step(void)
{
	switch (rng_below(&sc.rng, 7)) {
	case 0: case 1:
		fe_add(&sc.fe);
		break;
	case 2: case 3:
		be_pop(&sc.be);
		break;
	case 4: case 5:
		be_complete(&sc.be, 1 + rng_below(&sc.rng, 4));
		break;
	case 6:
		fe_take_used(&sc.fe);
		if (rng_below(&sc.rng, 2))
			vbe_vq_disable_kicks(&sc.be.vq);
		else
			vbe_vq_enable_kicks(&sc.be.vq);
		break;
	}
}

/* The FE, between the death of a BE and the start of the next. */
static void interlude(void)
{
	uint32_t i;

	if (sc.act != FE_IDLE)
		fe_take_all(&sc.fe);
	if (sc.act == FE_TAKES_AND_ADDS)
		while (rng_below(&sc.rng, 4) && fe_add(&sc.fe))
			;
	for (i = 0; i < sc.fe.size; i++) {
		sc.fe.req[i].was_popped |= sc.fe.req[i].popped;
		sc.fe.req[i].popped = false;
	}
}

/* After a resume the BE must get all that is not used, in the order of the FE, and nothing else. */
static void check_resumed(bool valid)
{
	uint32_t before, i, extra = 0;
	struct vbe_vq_state st;

	vbe_vq_get_state(&sc.be.vq, &st);
	before = st.to_resume;
	CHECK_EQ(st.in_flight, before);
	CHECK(vbe_vq_needs_call(&sc.be.vq) || !valid);
	CHECK(!vbe_vq_needs_call(&sc.be.vq));
	sc.be.next_tag = 0;
	while (be_pop(&sc.be) > 0)
		;
	CHECK_EQ(vbe_vq_error(&sc.be.vq), 0);
	fe_take_all(&sc.fe);
	CHECK_EQ(sc.be.nr_busy, sc.fe.nr_active);
	for (i = 0; i < sc.fe.nr_active; i++) {
		const struct fe_req *r = &sc.fe.req[sc.fe.order[i]];

		CHECK_EQ(sc.be.busy[i].tag, r->tag);
		/* One may have been popped just then, without the BE getting to know. */
		if (i < before)
			extra += !r->was_popped;
		else
			CHECK(!r->was_popped);
	}
	CHECK(extra <= 1);
	/* Kicks work again, whatever the dead one had asked for. */
	fe_wants_kick(&sc.fe);
	CHECK_EQ(vbe_vq_enable_kicks(&sc.be.vq), 0);
	if (fe_add(&sc.fe)) {
		CHECK(fe_wants_kick(&sc.fe));
		CHECK_EQ(be_pop(&sc.be), 1);
	}
}

/* Before any store of the BE, the FE may do something, as it runs at the same time. */
static void fe_acts(void)
{
	static struct rng r = { 1 };

	if (rng_below(&r, 10))
		return;
	if (rng_below(&r, 2))
		fe_take_used(&sc.fe);
	else
		fe_add(&sc.fe);
}

/* One BE, up to its end or death. */
static void life(bool first)
{
	bool valid = sc.started;
	uint32_t i;

	CHECK_EQ(be_start(&sc.be, first ? 0 : VBE_VQ_RESUME), 0);
	sc.started++;
	if (!first)
		check_resumed(valid);
	if (sc.act == FE_ACTS)
		at_store = fe_acts;
	for (i = 0; i < sc.steps; i++)
		step();
}

/* Gives true if the BE died, at store @n of its life. */
static bool live(bool first, uint64_t n)
{
	at_store = NULL;
	store_count = 0;
	kill_at = n;
	if (setjmp(killed)) {
		kill_at = 0;
		at_store = NULL;
		interlude();
		return true;
	}
	life(first);
	kill_at = 0;
	at_store = NULL;
	return false;
}

/* The last BE serves all that is left. */
static void finish(void)
{
	if (sc.be.nr_busy || vbe_vq_in_flight(&sc.be.vq))
		CHECK_EQ(vbe_vq_flush(&sc.be.vq), 0);
	do {
		be_complete(&sc.be, 16);
		CHECK_EQ(vbe_vq_flush(&sc.be.vq), 0);
		fe_take_all(&sc.fe);
	} while (be_pop(&sc.be) > 0 || sc.be.nr_busy);
	CHECK_EQ(sc.fe.nr_active, 0);
	CHECK_EQ(sc.fe.completed, sc.fe.next_tag);
	CHECK_EQ(vbe_vq_in_flight(&sc.be.vq), 0);
}

/* The cases of the sweeps: small queues, so that laps end within a scene. */
static bool crash_case(uint32_t i, struct be_case *c)
{
	static const uint32_t sizes[2][2] = { { 4, 8 }, { 3, 6 } };
	bool packed;

	if (i >= 32)
		return false;
	CHECK(be_case_get(i % 16, c));
	packed = c->opts.features & VBE_VQ_F_RING_PACKED;
	c->opts.size = sizes[packed][i / 16];
	c->opts.start = packed ? 0 : 65536 - 5;
	snprintf(c->name, sizeof(c->name), "case %u %s size %u", i, packed ? "packed" : "split",
		 c->opts.size);
	return true;
}

/* Kills at each store in turn, until the scene gets through. Gives the number of kills. */
static uint32_t sweep_once(const struct be_case *c, enum fe_act act, uint32_t steps, uint64_t seed)
{
	uint32_t n;
	bool died;

	for (n = 1, died = true; died; n++) {
		NOTE("%s, act %d, seed %llu, killed at store %u", c->name, act,
		     (unsigned long long)seed, n);
		scene_open(&c->opts, act, steps, seed);
		died = live(true, n);
		if (died)
			live(false, 0);
		finish();
		scene_close();
	}
	return n - 2;
}

static void kill_once(void)
{
	struct be_case c;
	uint32_t i, act, seed, kills = 0;

	for (i = 0; crash_case(i, &c); i++)
		for (act = FE_IDLE; act <= FE_ACTS; act++)
			for (seed = 0; seed < 4; seed++)
				kills += sweep_once(&c, act, 40, seed * 1000 + i);
	printf("# %u kills\n", kills);
	CHECK(kills > 32 * 4 * 4 * 50);
}

/* Kills the second BE, too, at each store: most of all within its resume. */
static void kill_twice(void)
{
	uint32_t i, act, n, m, kills = 0;
	struct be_case c;
	bool died;

	for (i = 0; crash_case(i, &c); i++) {
		for (act = FE_IDLE; act <= FE_TAKES_AND_ADDS; act++) {
			for (n = 20 + i % 5; n < 150; n += 11) {
				for (m = 1, died = true; died; m++) {
					NOTE("%s, act %u, kills at %u, %u", c.name, act, n, m);
					scene_open(&c.opts, act, 24, i);
					died = live(true, n) && live(false, m);
					if (died) {
						live(false, 0);
						kills++;
					}
					finish();
					scene_close();
				}
			}
		}
	}
	printf("# %u pairs of kills\n", kills);
	CHECK(kills > 10000);
}

/* One FE outlives very many BEs; indices and laps wrap, and it acts while they run. */
static void kill_often(void)
{
	uint32_t i, n, kills = 0;
	struct be_case c;
	uint64_t served = 0;

	for (i = 0; crash_case(i, &c); i++) {
		scene_open(&c.opts, FE_ACTS, 120, i);
		live(true, 50);
		for (n = 0; n < 2500; n++) {
			NOTE("%s, life %u", c.name, n);
			if (live(false, 1 + rng_below(&sc.rng, 400)))
				kills++;
			else
				interlude();
		}
		live(false, 0);
		finish();
		served += sc.fe.completed;
		scene_close();
	}
	printf("# %u kills, %llu requests\n", kills, (unsigned long long)served);
	CHECK(kills > 32 * 1000);
}

void crash_tests(void)
{
	test_run("crash: killed at each store", kill_once);
	test_run("crash: killed at each store, and again after resuming", kill_twice);
	test_run("crash: killed thousands of times in a row", kill_often);
}
