/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 The vbe authors */
/*
 * Ways to reach pages of a Xen guest, and what each costs: between xen-map.c, which
 * repeats and counts, and xen-map-foreign.c and xen-map-grant.c, which do it.
 */
#ifndef XEN_MAP_H
#define XEN_MAP_H

#include <stdint.h>
#include <vbe/vbe.h>

#define PAGE		4096ul
#define MAX_BATCH	512
#define GRANT_ADDR	(1ull << 63)

enum step { STEP_MAP, STEP_FIRST, STEP_AGAIN, STEP_UNMAP, N_STEPS };

/* So many pages from an address on, and what they took. */
struct piece {
	uint64_t addr;		/* in the guest: of memory, or GRANT_ADDR and a grant */
	unsigned int pages;
	uint64_t ns[N_STEPS];
	uint64_t sum;		/* of what was found */
};

struct bench {
	struct vbe_dev *dev;
	uint16_t domid;
	int fd;			/* of the peer that a way opens at its first call; else -1 */
};

/* @fn: returns whether there is such a way here; ends the program when it fails */
struct way {
	const char *name;
	int (*fn)(struct bench *b, struct piece *piece);
};

extern const struct way foreign_ways[], grant_ways[];	/* a name of NULL is the end */

void die(const char *what) __attribute__((noreturn));
uint64_t now_ns(void);
uint64_t touch(const void *p, unsigned int pages);
void touch_twice(struct piece *piece, const void *p);
int by_copy(struct bench *b, struct piece *piece);

#endif /* XEN_MAP_H */
