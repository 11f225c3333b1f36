/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 The vbe authors */
/* A tiny harness: a failed CHECK() ends its test and is counted; the others still run. */
#ifndef VQ_TEST_H
#define VQ_TEST_H

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

extern jmp_buf test_failed;

void test_fail(const char *file, int line, const char *fmt, ...)
	__attribute__((noreturn, format(printf, 3, 4)));
void test_run(const char *name, void (*fn)(void));

#define CHECK(cond) do {						\
	if (!(cond))							\
		test_fail(__FILE__, __LINE__, "%s", #cond);		\
} while (0)

#define CHECK_EQ(a, b) do {						\
	long long _a = (long long)(a), _b = (long long)(b);		\
									\
	if (_a != _b)							\
		test_fail(__FILE__, __LINE__, "%s is %lld, not %s = %lld", #a, _a, #b, _b); \
} while (0)

/* What the test is about to do, shown when it fails. */
extern char test_note[256];
#define NOTE(...) snprintf(test_note, sizeof(test_note), __VA_ARGS__)

/* xorshift64*: the same sequence everywhere. */
struct rng {
	uint64_t s;
};

static inline uint32_t rng_next(struct rng *r)
{
	r->s ^= r->s >> 12;
	r->s ^= r->s << 25;
	r->s ^= r->s >> 27;
	return (r->s * 0x2545f4914f6cdd1dull) >> 32;
}

static inline uint32_t rng_below(struct rng *r, uint32_t n)
{
	return rng_next(r) % n;
}

static inline void rng_seed(struct rng *r, uint64_t seed)
{
	r->s = (seed + 1) * 0x9e3779b97f4a7c15ull;
}

/*
 * Called by the engine before each store of memory that outlives the BE. At the kill_at-th one
 * the BE "dies": control goes to killed. Before any store, the FE may act.
 */
extern uint64_t store_count, kill_at, desc_reads;
extern jmp_buf killed;
extern void (*at_store)(void);
void vbe_vq_test_store(void);
void vbe_vq_test_desc_read(void);

void unit_tests(void);
void log_tests(void);
void transient_tests(void);
void traffic_tests(void);
void crash_tests(void);
void thread_tests(void);

#endif
