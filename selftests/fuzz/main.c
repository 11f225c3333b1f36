// SPDX-License-Identifier: GPL-2.0
/*
 * Runs the threads for so many accesses, and so long, and says what came of it.
 *
 * Copyright (c) 2026 The vbe authors
 *
 *	fuzz [--seed N] [--steps N] [--seconds N | --hours N] [--print]
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "fuzz.h"
#include "../kselftest/util.h"

#define STUCK_MS	300000	/* without an access in this time */
#define PATIENCE	8	/* times the accesses, until all must have been reached */
#define TICK_MS		20
#define TELL_MS		20000

static struct {
	uint64_t seed;
	uint64_t steps;
	uint64_t seconds;
	bool print;
} opt = { .steps = 200000 };

volatile bool ending;

static struct worker workers[] = {
	{ .kind = "vmm", .step = vmm_step },
	{ .kind = "vmm", .step = vmm_step },
	{ .kind = "vmm", .step = vmm_step },
	{ .kind = "vcpu", .step = vcpu_step, .interrupt = true },
	{ .kind = "vcpu", .step = vcpu_step, .interrupt = true },
	{ .kind = "vcpu", .step = vcpu_step },
	{ .kind = "direct", .step = direct_step },
	{ .kind = "backend", .step = backend_step },
	{ .kind = "backend", .step = backend_step },
};

/* ---- random numbers -------------------------------------------------------------- */

uint64_t rnd(struct rng *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

uint32_t rnd_below(struct rng *r, uint32_t n)
{
	return (rnd(r) >> 32) * n >> 32;
}

bool one_in(struct rng *r, uint32_t n)
{
	return rnd_below(r, n) == 0;
}

uint64_t rnd_edge(struct rng *r)
{
	uint64_t power = 1ULL << rnd_below(r, 64);

	switch (rnd_below(r, 6)) {
	case 0:
		return rnd(r);
	case 1:
		return rnd_below(r, 16);
	case 2:
		return power;
	case 3:
		return power - 1;
	case 4:
		return -power;
	default:
		return -(uint64_t)rnd_below(r, 16);
	}
}

uint64_t rnd_or(struct rng *r, uint64_t right, uint32_t n)
{
	return one_in(r, n) ? rnd_edge(r) : right;
}

/* ---- threads --------------------------------------------------------------------- */

static void nothing(int sig)
{
	(void)sig;
}

static void *work(void *arg)
{
	struct worker *w = arg;

	while (!ending)
		w->step(w);
	return NULL;
}

static void start(void)
{
	struct sigaction sa = { .sa_handler = nothing };
	uint32_t i;

	/* Without SA_RESTART: accesses that wait come back. */
	sigaction(SIGUSR1, &sa, NULL);
	for (i = 0; i < ARRAY_LEN(workers); i++) {
		workers[i].rng.state = opt.seed + i * 0x100000001b3ULL;
		errno = pthread_create(&workers[i].thread, NULL, work, &workers[i]);
		if (errno)
			die("pthread_create");
	}
}

/*
 * Answers are what the accesses are for. Not a share of all that were made: while a vCPU
 * of this machine stands still with a guest dead, the others are refused at full speed.
 */
static bool answered(void)
{
	return times_seen(SEEN_ACCESS, ACCESS_ANSWERED) > opt.steps / 3;
}

/* Until all that was asked for is done; false: nothing moves any more. */
static bool wait_for_it(void)
{
	int64_t begin = now_ms(), moved = begin, told = begin, now;
	uint64_t last = 0, n;
	uint32_t i;

	for (;;) {
		sleep_ms(TICK_MS);
		for (i = 0; i < ARRAY_LEN(workers); i++)
			if (workers[i].interrupt)
				pthread_kill(workers[i].thread, SIGUSR1);
		n = accesses();
		now = now_ms();
		if (n != last)
			moved = now;
		last = n;
		if (n >= opt.steps && now - begin >= (int64_t)opt.seconds * 1000 &&
		    (n >= PATIENCE * opt.steps || (answered() && !cover_missing(false))))
			return true;
		if (now - moved > STUCK_MS)
			return false;
		if (now - told > TELL_MS) {
			told = now;
			printf("# %" PRIu64 " accesses after %" PRId64 " s\n", n,
			       (now - begin) / 1000);
			fflush(stdout);
		}
	}
}

/* Nobody waits in the kernel for longer than a reset time-out: so this ends. */
static void stop(void)
{
	uint32_t i;

	ending = true;
	for (i = 0; i < ARRAY_LEN(workers); i++)
		pthread_join(workers[i].thread, NULL);
	for (i = 0; i < ARRAY_LEN(workers); i++)
		if (workers[i].step == backend_step)
			backend_end(&workers[i]);
}

/* ---- verdict --------------------------------------------------------------------- */

static int failures;

static void result(bool good, const char *what)
{
	static int n;

	printf("%s %d - %s\n", good ? "ok" : "not ok", ++n, what);
	fflush(stdout);
	failures += !good;
}

static void usage(void)
{
	fprintf(stderr, "usage: fuzz [--seed N] [--steps N] [--seconds N | --hours N] [--print]\n");
	exit(2);
}

static void options(int argc, char **argv)
{
	static const struct option names[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "steps", required_argument, NULL, 'n' },
		{ "seconds", required_argument, NULL, 't' },
		{ "hours", required_argument, NULL, 'h' },
		{ "print", no_argument, NULL, 'p' },
		{ }
	};
	int c;

	if (getrandom(&opt.seed, 4, 0) != 4)
		die("getrandom");
	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (c) {
		case 's':
			opt.seed = strtoull(optarg, NULL, 0);
			break;
		case 'n':
			opt.steps = strtoull(optarg, NULL, 0);
			break;
		case 't':
			opt.seconds = strtoull(optarg, NULL, 0);
			break;
		case 'h':
			opt.seconds = 3600 * strtoull(optarg, NULL, 0);
			break;
		case 'p':
			opt.print = true;
			break;
		default:
			usage();
		}
	}
	if (optind != argc)
		usage();
}

int main(int argc, char **argv)
{
	char text[128];
	bool moves;

	options(argc, argv);
	printf("1..4\n# seed %" PRIu64 ", %" PRIu64 " accesses, %" PRIu64 " s at least\n",
	       opt.seed, opt.steps, opt.seconds);
	fflush(stdout);
	vmm_begin();
	start();
	moves = wait_for_it();
	snprintf(text, sizeof(text), "%" PRIu64 " accesses of %" PRIu64 ", seed %" PRIu64,
		 accesses(), opt.steps, opt.seed);
	result(moves && accesses() >= opt.steps, text);
	if (!moves) {
		/* Joining them would hang, too. */
		cover_print();
		return 1;
	}
	stop();
	result(vmm_end(), "all guests end, and every name is free again");
	result(!cover_missing(true), "every call, outcome, register and event was reached");
	snprintf(text, sizeof(text), "%u of them were answered",
		 times_seen(SEEN_ACCESS, ACCESS_ANSWERED));
	result(answered(), text);
	if (opt.print || failures)
		cover_print();
	return failures ? 1 : 0;
}
