// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
/*
 * FE and BE at the same time, each in a thread, which sleep whenever they may: a missing barrier
 * or a notification that is suppressed wrongly ends in a sleep that nobody ends.
 */
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include "be.h"

#define REQUESTS	40000
#define SPIN_REQUESTS	100000
#define PATIENCE_MS	20000

/* What one side waits for: an eventfd, or a flag when it spins, which is much quicker. */
struct bell {
	const char *name;
	int fd;
	bool rung;
};

static struct {
	struct fe fe;
	struct be be;
	struct bell kick, call;
	bool spin;
	bool stop;
	uint64_t kicks, calls;
} th;

static void ring(struct bell *b)
{
	uint64_t one = 1;

	if (th.spin)
		__atomic_store_n(&b->rung, true, __ATOMIC_SEQ_CST);
	else
		CHECK_EQ(write(b->fd, &one, sizeof(one)), sizeof(one));
}

static void spin(struct bell *b)
{
	struct timespec start, now;
	uint32_t n;

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (n = 1; !__atomic_exchange_n(&b->rung, false, __ATOMIC_SEQ_CST); n++) {
		if (n % 4096)
			continue;
		sched_yield();
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec - start.tv_sec > PATIENCE_MS / 1000)
			test_fail(__FILE__, __LINE__, "a %s was lost", b->name);
	}
}

static void await(struct bell *b)
{
	struct pollfd p = { .fd = b->fd, .events = POLLIN };
	uint64_t v;

	if (th.spin) {
		spin(b);
		return;
	}
	if (poll(&p, 1, PATIENCE_MS) != 1)
		test_fail(__FILE__, __LINE__, "a %s was lost", b->name);
	CHECK_EQ(read(b->fd, &v, sizeof(v)), sizeof(v));
}

static void finish_all(void)
{
	while (th.be.nr_busy)
		be_complete(&th.be, 16);
	CHECK_EQ(vbe_vq_flush(&th.be.vq), 0);
	if (vbe_vq_needs_call(&th.be.vq)) {
		th.calls++;
		ring(&th.call);
	}
}

static void *be_thread(void *unused)
{
	struct vbe_vq *vq = &th.be.vq;
	int ret;

	for (;;) {
		do {
			vbe_vq_disable_kicks(vq);
			while ((ret = be_pop(&th.be)) > 0) {
				/* The next one may come while this one falls asleep. */
				if (th.spin)
					finish_all();
				else if (th.be.nr_busy > 5)
					be_complete(&th.be, 3);
			}
		} while (!ret && (ret = vbe_vq_enable_kicks(vq)) > 0);
		CHECK_EQ(ret, 0);
		finish_all();
		if (__atomic_load_n(&th.stop, __ATOMIC_SEQ_CST))
			return unused;
		await(&th.kick);
	}
}

static void fe_loop(void)
{
	struct fe *fe = &th.fe;

	while (fe->completed < REQUESTS) {
		while (fe->next_tag < REQUESTS && rng_below(&fe->rng, 8) && fe_add(fe))
			;
		if (fe_wants_kick(fe)) {
			th.kicks++;
			ring(&th.kick);
		}
		if (fe_take_used(fe))
			continue;
		if (fe->next_tag < REQUESTS && rng_below(&fe->rng, 4))
			continue;
		if (fe->completed == REQUESTS || !fe->nr_active)
			continue;
		fe_calls(fe, true, 0);
		if (!fe_has_used(fe))
			await(&th.call);
		fe_calls(fe, false, fe->size / 2);
	}
}

/*
 * One request follows the other as soon as the FE hears of its end, after a short and changing
 * delay: so that it is made available just when the BE falls asleep, and it ends just when the FE
 * does.
 */
static void fe_one_by_one(void)
{
	struct fe *fe = &th.fe;
	volatile uint32_t delay;

	while (fe->completed < SPIN_REQUESTS) {
		for (delay = rng_below(&fe->rng, 256); delay; delay--)
			;
		CHECK(fe_add(fe));
		if (fe_wants_kick(fe)) {
			th.kicks++;
			ring(&th.kick);
		}
		for (delay = rng_below(&fe->rng, 256); delay; delay--)
			;
		fe_calls(fe, true, 0);
		while (!fe_take_used(fe)) {
			await(&th.call);
			fe_calls(fe, true, 0);
		}
		fe_calls(fe, false, fe->size / 2);
	}
}

static void run(const struct be_case *c, uint32_t nr)
{
	pthread_t thread;

	NOTE("%s", c->name);
	fe_init(&th.fe, &c->opts, nr);
	be_init(&th.be, &th.fe, nr & 4, nr + 1);
	CHECK_EQ(be_start(&th.be, 0), 0);
	th.kick.name = "kick";
	th.kick.fd = eventfd(0, 0);
	th.call.name = "call";
	th.call.fd = eventfd(0, 0);
	CHECK(th.kick.fd >= 0 && th.call.fd >= 0);
	CHECK(!pthread_create(&thread, NULL, be_thread, NULL));
	if (th.spin)
		fe_one_by_one();
	else
		fe_loop();
	__atomic_store_n(&th.stop, true, __ATOMIC_SEQ_CST);
	ring(&th.kick);
	CHECK(!pthread_join(thread, NULL));
	CHECK_EQ(th.fe.completed, th.fe.next_tag);
	CHECK(th.kicks && th.calls);
	close(th.kick.fd);
	close(th.call.fd);
	be_free(&th.be);
	fe_free(&th.fe);
}

static void sleeping(void)
{
	struct be_case c;
	uint32_t i;

	for (i = 0; i < 16; i++) {
		memset(&th, 0, sizeof(th));
		be_case_get(i + 3 * 16 * ACCESS_KINDS, &c);
		run(&c, i);
	}
}

static void spinning(void)
{
	struct be_case c;
	uint32_t i;

	for (i = 0; i < 4; i++) {
		memset(&th, 0, sizeof(th));
		th.spin = true;
		be_case_get(i + 3 * 16 * ACCESS_KINDS, &c);
		run(&c, i);
	}
}

void thread_tests(void)
{
	test_run("threads: FE and BE at once, sleeping when they may", sleeping);
	test_run("threads: FE and BE at once, with no pause in between", spinning);
}
