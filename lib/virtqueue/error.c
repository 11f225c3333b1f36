// SPDX-License-Identifier: BSD-3-Clause
/* Copyright (c) 2026 The vbe authors */
/* Names and texts of the engine's errors. */
#include "internal.h"

struct text {
	int error;
	const char *name;
	const char *text;
};

#define E(n, t) { VBE_VQ_E_##n, "VBE_VQ_E_" #n, t }

static const struct text texts[] = {
	{ 0, "VBE_VQ_OK", "no error" },
	E(CONFIG, "the queue's configuration is not usable"),
	E(ALIGN, "a ring address is not aligned"),
	E(RING, "a ring is not within the memory windows"),
	E(MEM, "the FE's memory could not be read or written"),
	E(AVAIL_IDX, "the available index moved by more than the queue size"),
	E(HEAD, "a head index is not below the queue size"),
	E(BUSY, "the FE offered a head which it has not got back yet"),
	E(OVERRUN, "more descriptors are outstanding than the queue has"),
	E(NEXT, "a next field points outside its table"),
	E(LOOP, "a descriptor chain has a loop"),
	E(INDIRECT, "an indirect descriptor, which was not negotiated"),
	E(INDIRECT_NEXT, "an indirect descriptor in a chain where it must not be"),
	E(INDIRECT_NEST, "an indirect descriptor within an indirect table"),
	E(INDIRECT_LEN, "the length of an indirect table is 0 or no multiple of 16"),
	E(INDIRECT_MAX, "an indirect chain is longer than the limit"),
	E(ORDER, "a readable element after a writable one"),
	E(TOTAL, "a chain describes more than 2^32 bytes"),
	E(WRAP, "an element's address plus its length wraps"),
	E(ADDR, "an element is not within the memory windows"),
	E(SEGS, "a chain has more segments than the backend takes"),
	E(INFLIGHT, "the in-flight area is corrupt or of another queue"),
	E(TOKEN, "the backend completed a chain which is not popped"),
	E(WRITTEN, "the backend wrote more than the chain can take"),
	E(RANGE, "an access goes beyond the chain or the memory windows"),
	{ 0, NULL, NULL }
};

static const struct text *find(int error)
{
	static const struct text unknown = { 0, "VBE_VQ_E_?", "unknown error" };
	const struct text *t;

	for (t = texts; t->name; t++)
		if (t->error == error)
			return t;
	return &unknown;
}

const char *vbe_vq_strerror(int error)
{
	return find(error)->text;
}

const char *vbe_vq_errname(int error)
{
	return find(error)->name;
}
