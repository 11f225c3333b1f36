// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
/* Random traffic between the model and the engine, with every invariant checked at each step. */
#include <string.h>
#include "be.h"

struct sim {
	struct fe fe;
	struct be be;
	struct rng rng;
	bool asleep;		/* the BE waits for a kick */
	uint32_t old_pos;	/* used position at the last check for a call, in two laps */
	uint64_t old_published;	/* chains published then */
	bool skipped;		/* a check for a call was left out */
	uint64_t calls, kicks, resumes;
};

/* The used position as the ring tells it, in 16 bits (split) or two laps (packed). */
static uint32_t used_now(const struct sim *s)
{
	struct vbe_vq_state st;

	vbe_vq_get_state(&s->be.vq, &st);
	if (!s->fe.packed)
		return st.used_pos;
	return (st.used_pos & 0x7fff) + (st.used_pos & 0x8000 ? 0 : s->fe.size);
}

/* Whether the FE asked for a call for any used position from old_pos up to now. */
static bool call_expected(const struct sim *s, uint32_t now)
{
	uint32_t laps = s->fe.packed ? 2 * s->fe.size : 65536, pos = s->old_pos, want;
	uint16_t first = fe_driver16(&s->fe, 0), flags;

	if (s->be.vq.published == s->old_published)
		return false;
	if (!s->fe.packed) {
		if (!s->fe.event_idx)
			return first == 0;
		want = fe_driver16(&s->fe, 4 + 2 * s->fe.size);
	} else {
		flags = fe_driver16(&s->fe, 2);
		if (flags != 2)
			return flags == 0;
		want = (first & 0x7fff) + (first & 0x8000 ? 0 : s->fe.size);
	}
	/* At most one check was left out, so this is at most two laps. */
	do {
		if (pos == want)
			return true;
		pos = (pos + 1) % laps;
	} while (pos != now);
	return false;
}

static void check_call(struct sim *s)
{
	uint32_t now = used_now(s);
	bool want = call_expected(s, now);

	CHECK_EQ(vbe_vq_needs_call(&s->be.vq), want);
	s->calls += want;
	s->old_pos = now;
	s->old_published = s->be.vq.published;
	s->skipped = false;
}

static void step_add(struct sim *s)
{
	uint32_t n = 1 + rng_below(&s->rng, 4);
	bool added = false, kick;

	while (n-- && fe_add(&s->fe))
		added = true;
	kick = fe_wants_kick(&s->fe);
	s->kicks += kick;
	/* The first request after the BE went to sleep must wake it. */
	if (added && s->asleep)
		CHECK(kick);
	if (kick && s->asleep) {
		s->asleep = false;
		if (rng_below(&s->rng, 2))
			vbe_vq_disable_kicks(&s->be.vq);
	}
}

static void step_pop(struct sim *s)
{
	uint32_t n = 1 + rng_below(&s->rng, 5);
	uint64_t want;
	int ret = 1;

	if (s->asleep)
		return;
	while (n-- && ret) {
		want = s->be.next_tag;
		CHECK_EQ(vbe_vq_has_work(&s->be.vq), want < s->fe.next_tag);
		ret = be_pop(&s->be);
		CHECK_EQ(ret, want < s->fe.next_tag);
		if (ret)
			CHECK_EQ(s->be.busy[s->be.nr_busy - 1].tag, want);
	}
	if (ret)
		return;
	ret = vbe_vq_enable_kicks(&s->be.vq);
	CHECK_EQ(ret, 0);
	s->asleep = true;
}

static void step_fe(struct sim *s)
{
	uint32_t n = 1 + rng_below(&s->rng, 6);

	while (n-- && fe_take_used(&s->fe))
		;
	if (rng_below(&s->rng, 2))
		fe_calls(&s->fe, rng_below(&s->rng, 3), rng_below(&s->rng, s->fe.size));
}

static void check_state(const struct sim *s)
{
	struct vbe_vq_state st;

	vbe_vq_get_state(&s->be.vq, &st);
	CHECK_EQ(st.error, 0);
	CHECK_EQ(st.in_flight - st.held, s->be.nr_busy);
	CHECK_EQ(st.popped - st.published, st.in_flight);
	CHECK_EQ(st.in_flight, vbe_vq_in_flight(&s->be.vq));
	if (!s->fe.packed)
		CHECK_EQ((uint16_t)(st.avail_pos - st.used_pos), st.in_flight);
}

/* A backend that ends in good order, and one that takes over. */
static void step_hand_over(struct sim *s)
{
	struct vbe_vq_state st;

	while (s->be.nr_busy)
		be_complete(&s->be, 16);
	CHECK_EQ(vbe_vq_flush(&s->be.vq), 0);
	check_call(s);
	vbe_vq_get_state(&s->be.vq, &st);
	s->be.cfg.start_avail = st.avail_pos;
	s->be.cfg.start_used = st.used_pos;
	CHECK_EQ(be_start(&s->be, VBE_VQ_START), 0);
	s->old_pos = used_now(s);
	s->old_published = 0;
	s->asleep = false;
}

static void simulate(const struct be_case *c, uint32_t steps, bool logged)
{
	struct sim s;
	uint32_t i;

	memset(&s, 0, sizeof(s));
	rng_seed(&s.rng, steps);
	fe_init(&s.fe, &c->opts, steps + 1);
	be_init(&s.be, &s.fe, logged, steps + 2);
	CHECK_EQ(be_start(&s.be, 0), 0);
	s.old_pos = used_now(&s);
	for (i = 0; i < steps; i++) {
		NOTE("%s%s, step %u", c->name, logged ? " logged" : "", i);
		switch (rng_below(&s.rng, 8)) {
		case 0: case 1:
			step_add(&s);
			break;
		case 2: case 3:
			step_pop(&s);
			break;
		case 4: case 5:
			be_complete(&s.be, 1 + rng_below(&s.rng, 6));
			if (s.skipped || rng_below(&s.rng, 3))
				check_call(&s);
			else
				s.skipped = true;
			break;
		case 6:
			step_fe(&s);
			break;
		case 7:
			if (!rng_below(&s.rng, 50))
				step_hand_over(&s);
			break;
		}
		check_state(&s);
	}
	s.asleep = false;
	while (s.fe.nr_active) {
		step_pop(&s);
		s.asleep = false;
		be_complete(&s.be, 16);
		CHECK_EQ(vbe_vq_flush(&s.be.vq), 0);
		fe_take_all(&s.fe);
	}
	CHECK_EQ(s.fe.completed, s.fe.next_tag);
	CHECK_EQ(vbe_vq_in_flight(&s.be.vq), 0);
	CHECK(s.fe.size > 256 || (s.calls && s.kicks));
	be_free(&s.be);
	fe_free(&s.fe);
}

static void random_traffic(void)
{
	struct be_case c;
	uint32_t i;

	for (i = 0; be_case_get(i, &c); i++) {
		simulate(&c, 2500, false);
		simulate(&c, 1200, true);
	}
}

/* Far enough for 16-bit indices to wrap twice. */
static void long_traffic(void)
{
	struct be_case c;
	uint32_t i;

	for (i = 0; i < 8; i++) {
		be_case_get(i + 3 * 16 * ACCESS_KINDS, &c);
		c.opts.start = 0;
		simulate(&c, 900000, i & 1);
	}
}

void traffic_tests(void)
{
	test_run("traffic: random, all formats, features, sizes, kinds of access", random_traffic);
	test_run("traffic: indices wrap", long_traffic);
}
