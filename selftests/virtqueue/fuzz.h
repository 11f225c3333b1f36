/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 The vbe authors */
/*
 * The language of the fuzz inputs: a header of FUZZ_HEADER bytes, then operations, each a byte
 * (modulo FUZZ_OPS) and its arguments, little-endian. Missing bytes read as zeroes.
 */
#ifndef VQ_FUZZ_H
#define VQ_FUZZ_H

#include <string.h>
#include "model.h"

/* Header: features and the like, then queue size and access. */
#define FUZZ_HEADER		2u
#define FUZZ_PACKED		0x01u
#define FUZZ_EVENT_IDX		0x02u
#define FUZZ_IN_ORDER		0x04u
#define FUZZ_INDIRECT		0x08u
#define FUZZ_LOGGED		0x10u
#define FUZZ_MAX_INDIRECT	64u
#define FUZZ_MAX_WRITE		64u

enum fuzz_op {
	FUZZ_WRITE,		/* u16 offset, u8 length, bytes: into the guest's memory */
	FUZZ_LOG_WRITE,		/* the same into the in-flight area */
	FUZZ_POP,
	FUZZ_PUSH,		/* u8 which of those popped, u16 written */
	FUZZ_STAGE,		/* the same */
	FUZZ_FLUSH,
	FUZZ_NEEDS_CALL,
	FUZZ_ENABLE_KICKS,
	FUZZ_DISABLE_KICKS,
	FUZZ_HAS_WORK,
	FUZZ_RESTART,		/* u8: 1 resume, 2 start; u16 start */
	FUZZ_COPY,		/* u16 offset, u8 length: from and to the chain popped last */
	FUZZ_BAD_PUSH,		/* u32 token */
	FUZZ_OPS
};

/* The name is libFuzzer's. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a header means. */
static inline void fuzz_opts(const uint8_t *h, struct fe_opts *opts, bool *logged)
{
	static const uint32_t split[] = { 1, 2, 4, 8, 16 };
	static const uint32_t packed[] = { 1, 3, 5, 8, 16 };

	memset(opts, 0, sizeof(*opts));
	opts->size = (h[0] & FUZZ_PACKED ? packed : split)[h[1] % 5];
	opts->access = h[1] / 5 % ACCESS_KINDS;
	opts->features = (h[0] & FUZZ_PACKED ? VBE_VQ_F_RING_PACKED : 0) |
			 (h[0] & FUZZ_EVENT_IDX ? VBE_VQ_F_EVENT_IDX : 0) |
			 (h[0] & FUZZ_IN_ORDER ? VBE_VQ_F_IN_ORDER : 0) |
			 (h[0] & FUZZ_INDIRECT ? VBE_VQ_F_INDIRECT_DESC : 0);
	*logged = h[0] & FUZZ_LOGGED;
}

#endif
