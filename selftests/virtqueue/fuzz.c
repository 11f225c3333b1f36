// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
/*
 * A hostile FE, and a hostile earlier BE: the input writes whatever it likes to guest memory and
 * to the in-flight area between calls of the engine. No access may leave them (the sanitizers
 * look), no call may work without bound, and what a pop gives must lie within the guest.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "fuzz.h"

#define MAX_SEGS	24

jmp_buf test_failed, killed;
char test_note[256];
uint64_t store_count, kill_at, desc_reads;
void (*at_store)(void);

void vbe_vq_test_store(void)
{
	store_count++;
}

void vbe_vq_test_desc_read(void)
{
	desc_reads++;
}

void test_fail(const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "%s:%d: ", file, line);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\n");
	abort();
}

static struct {
	const uint8_t *in;
	size_t left;
	struct fe fe;		/* for its memory and layout only */
	struct vbe_vq vq;
	struct vbe_vq_config cfg;
	struct vbe_vq_seg segs[MAX_SEGS];
	struct vbe_vq_chain chain;
	bool have_chain;
	struct {
		uint32_t token;
		uint64_t len;
	} popped[16];
	uint32_t nr_popped;
} f;

static uint32_t u8(void)
{
	if (!f.left)
		return 0;
	f.left--;
	return *f.in++;
}

static uint32_t u16(void)
{
	uint32_t v = u8();

	return v | u8() << 8;
}

static void restart(uint32_t how, uint16_t start)
{
	int ret;

	f.nr_popped = 0;
	f.have_chain = false;
	f.cfg.flags = 0;
	if (how & 1 && f.cfg.inflight)
		f.cfg.flags |= VBE_VQ_RESUME;
	if (how & 2)
		f.cfg.flags |= VBE_VQ_START;
	f.cfg.start_avail = start;
	f.cfg.start_used = start;
	ret = vbe_vq_init(&f.vq, &f.cfg);
	CHECK_EQ(ret, vbe_vq_error(&f.vq));
	if (ret) {
		CHECK(ret == VBE_VQ_E_INFLIGHT || ret == VBE_VQ_E_CONFIG);
		f.cfg.flags = 0;
		CHECK_EQ(vbe_vq_init(&f.vq, &f.cfg), 0);
	}
}

/* Only the FE, or the log, may break the queue. Broken it stays so, until it is restarted. */
static void check_error(int ret)
{
	if (ret >= 0) {
		CHECK_EQ(vbe_vq_error(&f.vq), 0);
		return;
	}
	CHECK(strcmp(vbe_vq_errname(ret), "VBE_VQ_E_?"));
	CHECK_EQ(vbe_vq_error(&f.vq), ret);
	CHECK_EQ(vbe_vq_pop(&f.vq, &f.chain), ret);
	CHECK_EQ(vbe_vq_flush(&f.vq), ret);
	restart(u8(), u16());
}

static void check_chain(void)
{
	const struct guest *g = &f.fe.guest;
	uint64_t rlen = 0, wlen = 0;
	uint32_t i;

	CHECK(f.chain.nr_read + f.chain.nr_write <= MAX_SEGS);
	CHECK(f.chain.nr_descs && f.chain.nr_descs <= f.fe.size);
	for (i = 0; i < f.chain.nr_read + f.chain.nr_write; i++) {
		const struct vbe_vq_seg *s = &f.segs[i];
		uint64_t off = s->fe_addr - GUEST_BASE;

		CHECK(s->len && off < g->len && s->len <= g->len - off);
		CHECK(!s->host || s->host == g->mem + off);
		if (i < f.chain.nr_read)
			rlen += s->len;
		else
			wlen += s->len;
	}
	CHECK(rlen == f.chain.read_len && wlen == f.chain.write_len);
}

static void op_pop(void)
{
	uint64_t before = desc_reads;
	int ret;

	f.chain.segs = f.segs;
	f.chain.max_segs = MAX_SEGS;
	f.have_chain = false;
	ret = vbe_vq_pop(&f.vq, &f.chain);
	CHECK(desc_reads - before <= f.fe.size + FUZZ_MAX_INDIRECT);
	if (ret > 0) {
		check_chain();
		f.have_chain = true;
		CHECK(f.nr_popped < f.fe.size);
		f.popped[f.nr_popped].token = f.chain.token;
		f.popped[f.nr_popped].len = f.chain.write_len;
		f.nr_popped++;
	}
	check_error(ret);
}

static void op_push(bool stage)
{
	uint32_t i = u8(), written = u16();
	int ret;

	if (!f.nr_popped)
		return;
	i %= f.nr_popped;
	ret = (stage ? vbe_vq_stage : vbe_vq_push)(&f.vq, f.popped[i].token, written);
	if (written > f.popped[i].len) {
		CHECK_EQ(ret, VBE_VQ_E_WRITTEN);
		return;
	}
	/* Its memory is all there, so nothing may go wrong. */
	CHECK_EQ(ret, 0);
	memmove(f.popped + i, f.popped + i + 1, (f.nr_popped - i - 1) * sizeof(f.popped[0]));
	f.nr_popped--;
	f.have_chain = false;
}

static void op_copy(void)
{
	uint32_t off = u16(), len = u8();
	uint8_t buf[256];

	if (!f.have_chain)
		return;
	memset(buf, len, sizeof(buf));
	CHECK_EQ(vbe_vq_chain_read(&f.vq, &f.chain, off, buf, len),
		 off + len <= f.chain.read_len ? 0 : VBE_VQ_E_RANGE);
	CHECK_EQ(vbe_vq_chain_write(&f.vq, &f.chain, off, buf, len),
		 off + len <= f.chain.write_len ? 0 : VBE_VQ_E_RANGE);
}

static void op_write(uint8_t *mem, size_t len)
{
	uint32_t off = u16(), n = u8() % (FUZZ_MAX_WRITE + 1);

	if (!len)
		return;
	for (off %= len; n--; off = (off + 1) % len)
		mem[off] = u8();
}

static void op_bad_push(void)
{
	uint32_t token = u16(), i;

	token |= u16() << 16;
	for (i = 0; i < f.nr_popped; i++)
		if (f.popped[i].token == token)
			return;
	CHECK_EQ(vbe_vq_push(&f.vq, token, 0), VBE_VQ_E_TOKEN);
}

static void check_state(void)
{
	struct vbe_vq_state st;

	vbe_vq_get_state(&f.vq, &st);
	CHECK_EQ(st.error, 0);
	CHECK(st.in_flight <= f.fe.size && st.held + st.to_resume <= st.in_flight);
	CHECK_EQ(st.in_flight - st.held - st.to_resume, f.nr_popped);
	if (f.fe.packed) {
		CHECK((st.avail_pos & 0x7fffu) < f.fe.size);
		CHECK((st.used_pos & 0x7fffu) < f.fe.size);
	}
}

static void op(uint32_t code)
{
	switch (code % FUZZ_OPS) {
	case FUZZ_WRITE:
		op_write(f.fe.guest.mem, f.fe.guest.len);
		break;
	case FUZZ_LOG_WRITE:
		op_write(f.cfg.inflight, f.cfg.inflight_len);
		break;
	case FUZZ_POP:
		op_pop();
		break;
	case FUZZ_PUSH:
		op_push(false);
		break;
	case FUZZ_STAGE:
		op_push(true);
		break;
	case FUZZ_FLUSH:
		CHECK_EQ(vbe_vq_flush(&f.vq), 0);
		break;
	case FUZZ_NEEDS_CALL:
		vbe_vq_needs_call(&f.vq);
		break;
	case FUZZ_ENABLE_KICKS:
		check_error(vbe_vq_enable_kicks(&f.vq));
		break;
	case FUZZ_DISABLE_KICKS:
		vbe_vq_disable_kicks(&f.vq);
		break;
	case FUZZ_HAS_WORK:
		check_error(vbe_vq_has_work(&f.vq));
		break;
	case FUZZ_RESTART:
		restart(u8(), u16());
		break;
	case FUZZ_COPY:
		op_copy();
		break;
	case FUZZ_BAD_PUSH:
		op_bad_push();
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vbe_vq_slot *slots;
	struct fe_opts opts;
	uint8_t header[FUZZ_HEADER];
	bool logged;
	uint32_t i;

	memset(&f, 0, sizeof(f));
	f.in = data;
	f.left = size;
	for (i = 0; i < FUZZ_HEADER; i++)
		header[i] = u8();
	fuzz_opts(header, &opts, &logged);
	fe_init(&f.fe, &opts, 1);
	slots = malloc(opts.size * sizeof(*slots));
	fe_config(&f.fe, &f.cfg, slots, NULL, 0);
	f.cfg.max_indirect = FUZZ_MAX_INDIRECT;
	if (logged) {
		f.cfg.inflight_len = vbe_vq_inflight_size(&f.cfg);
		f.cfg.inflight = calloc(1, f.cfg.inflight_len);
	}
	restart(1, 0);
	while (f.left) {
		op(u8());
		check_state();
	}
	free(f.cfg.inflight);
	free(slots);
	fe_free(&f.fe);
	return 0;
}
