// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
/*
 * Writes a seed corpus for the fuzzer: what the model of the driver does, as writes of guest
 * memory, and what a BE does in between. So the fuzzer begins with rings that work, and with
 * chains of each kind, and has only to spoil them.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "fuzz.h"

jmp_buf test_failed, killed;
char test_note[256];
uint64_t store_count, kill_at, desc_reads;
void (*at_store)(void);

void test_fail(const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "%s:%d: ", file, line);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\n");
	exit(1);
}

static struct {
	FILE *out;
	struct fe fe;
	uint8_t *old;		/* guest memory as the fuzzer would have it now */
	struct vbe_vq vq;
	struct vbe_vq_config cfg;
	struct vbe_vq_done popped[16];
	uint32_t nr_popped;
	struct rng rng;
} s;

static void byte(uint32_t v)
{
	fputc(v & 0xff, s.out);
}

/* Writes what the FE changed, in pieces that begin and end with a changed byte. */
static void emit_changes(void)
{
	uint32_t off, end, k, len = s.fe.guest.len;
	const uint8_t *mem = s.fe.guest.mem;

	for (off = 0; off < len; off++) {
		if (mem[off] == s.old[off])
			continue;
		for (end = k = off; k < len && k - off < FUZZ_MAX_WRITE; k++)
			if (mem[k] != s.old[k])
				end = k;
		byte(FUZZ_WRITE);
		byte(off);
		byte(off >> 8);
		byte(end - off + 1);
		for (; off <= end; off++)
			byte(mem[off]);
		off--;
	}
	memcpy(s.old, mem, len);
}

/* The engine's own writes are the fuzzer's, too. */
static void engine_ran(void)
{
	memcpy(s.old, s.fe.guest.mem, s.fe.guest.len);
}

static void pop(void)
{
	struct vbe_vq_seg segs[64];
	struct vbe_vq_chain chain = { .segs = segs, .max_segs = 64 };
	const struct fe_req *r;

	byte(FUZZ_POP);
	if (vbe_vq_pop(&s.vq, &chain) > 0) {
		r = fe_check_chain(&s.fe, &s.vq, &chain);
		s.popped[s.nr_popped].token = chain.token;
		/* The same each time it is served. */
		s.popped[s.nr_popped].written = r->tag % 3 ? r->write_len : 0;
		fe_serve(&s.vq, &chain, r, s.popped[s.nr_popped++].written);
	}
	engine_ran();
}

static void push(bool stage)
{
	uint32_t i;

	if (!s.nr_popped)
		return;
	i = rng_below(&s.rng, s.nr_popped);
	byte(stage ? FUZZ_STAGE : FUZZ_PUSH);
	byte(i);
	byte(s.popped[i].written);
	byte(s.popped[i].written >> 8);
	CHECK_EQ((stage ? vbe_vq_stage : vbe_vq_push)(&s.vq, s.popped[i].token,
						      s.popped[i].written), 0);
	memmove(s.popped + i, s.popped + i + 1, (s.nr_popped - i - 1) * sizeof(s.popped[0]));
	s.nr_popped--;
	engine_ran();
}

static void restart(void)
{
	uint32_t i;

	byte(FUZZ_RESTART);
	byte(1);
	byte(0);
	byte(0);
	s.cfg.flags = VBE_VQ_RESUME;
	CHECK_EQ(vbe_vq_init(&s.vq, &s.cfg), 0);
	for (i = 0; i < s.fe.size; i++)
		s.fe.req[i].popped = false;
	s.nr_popped = 0;
	engine_ran();
}

static void step(void)
{
	switch (rng_below(&s.rng, 12)) {
	case 0: case 1: case 2:
		fe_add(&s.fe);
		emit_changes();
		break;
	case 3: case 4: case 5:
		pop();
		break;
	case 6:
		push(false);
		break;
	case 7:
		push(true);
		break;
	case 8:
		byte(FUZZ_FLUSH);
		CHECK_EQ(vbe_vq_flush(&s.vq), 0);
		byte(FUZZ_NEEDS_CALL);
		vbe_vq_needs_call(&s.vq);
		engine_ran();
		break;
	case 9:
		fe_take_all(&s.fe);
		fe_calls(&s.fe, rng_below(&s.rng, 2), rng_below(&s.rng, s.fe.size));
		emit_changes();
		break;
	case 10:
		byte(FUZZ_ENABLE_KICKS);
		vbe_vq_enable_kicks(&s.vq);
		engine_ran();
		break;
	case 11:
		if (s.cfg.inflight && !rng_below(&s.rng, 3))
			restart();
		break;
	}
}

static void make_seed(const char *dir, uint32_t nr)
{
	uint8_t header[FUZZ_HEADER] = { nr % 32, nr / 32 * 2 % 15 };
	struct vbe_vq_slot slots[16];
	struct fe_opts opts;
	char name[4096];
	bool logged;
	uint32_t i;

	snprintf(name, sizeof(name), "%s/seed-%03u", dir, nr);
	memset(&s, 0, sizeof(s));
	s.out = fopen(name, "wb");
	if (!s.out) {
		perror(name);
		exit(1);
	}
	rng_seed(&s.rng, nr);
	for (i = 0; i < FUZZ_HEADER; i++)
		byte(header[i]);
	fuzz_opts(header, &opts, &logged);
	fe_init(&s.fe, &opts, nr);
	fe_config(&s.fe, &s.cfg, slots, NULL, 0);
	s.cfg.max_indirect = FUZZ_MAX_INDIRECT;
	if (logged) {
		s.cfg.inflight_len = vbe_vq_inflight_size(&s.cfg);
		s.cfg.inflight = calloc(1, s.cfg.inflight_len);
	}
	s.old = calloc(1, s.fe.guest.len);
	CHECK_EQ(vbe_vq_init(&s.vq, &s.cfg), 0);
	engine_ran();
	for (i = 0; i < 60; i++)
		step();
	if (fclose(s.out)) {
		perror(name);
		exit(1);
	}
	free(s.old);
	free(s.cfg.inflight);
	fe_free(&s.fe);
}

int main(int argc, char **argv)
{
	uint32_t i;

	if (argc != 2) {
		fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
		return 2;
	}
	for (i = 0; i < 256; i++)
		make_seed(argv[1], i);
	return 0;
}
