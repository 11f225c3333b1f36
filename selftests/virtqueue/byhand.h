/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 The vbe authors */
/* A queue that is small enough to write its rings by hand, word by word, rightly or wrongly. */
#ifndef VQ_BYHAND_H
#define VQ_BYHAND_H

#include "model.h"

#define MEM_LEN		0x10000u
#define DESC_OFF	0x1000u
#define DRIVER_OFF	0x2000u
#define DEVICE_OFF	0x3000u
#define TABLE_OFF	0x4000u
#define DATA_OFF	0x8000u
#define AT(off)		(GUEST_BASE + (off))

#define F_NEXT		1
#define F_WRITE		2
#define F_INDIRECT	4
#define F_AVAIL		0x80
#define F_USED		0x8000

#define SIZE		8
#define MAX_SEGS	16

struct byhand {
	struct guest g;
	struct vbe_vq vq;
	struct vbe_vq_config cfg;
	struct vbe_vq_slot slots[SIZE];
	struct vbe_vq_seg segs[MAX_SEGS];
	struct vbe_vq_chain chain;
	uint64_t log[64 / 8 + SIZE * 4];
	uint16_t avail;		/* split: index; packed: descriptors, in two laps */
	bool packed;
};

extern struct byhand t;

/* The two ring formats, as feature bits. */
extern const uint64_t both[2];

/* Begins with zeroed memory and a new queue. */
void setup(uint64_t features);
void setup_access(uint64_t features, enum access access);
void setup_log(uint64_t features);
void byhand_free(void);

/* A word of guest memory. */
uint16_t *at16(uint32_t off);
uint32_t *at32(uint32_t off);

/* A descriptor anywhere. */
void raw(uint32_t off, uint64_t addr, uint32_t len, uint16_t w12, uint16_t w14);

/* Split: a descriptor of the ring. */
void desc(uint16_t i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next);

/* Split: makes @head available. */
void offer(uint16_t head);

/* Packed: the next descriptor, available. */
void pdesc(uint64_t addr, uint32_t len, uint16_t id, uint16_t flags);

/* A chain of one element, in either format. */
void one(uint16_t id, uint64_t addr, uint32_t len, uint16_t flags);

/* A chain of two. */
void two(uint64_t a, uint32_t alen, uint16_t aflags, uint64_t b, uint32_t blen, uint16_t bflags);

int pop(void);

/* The next pop fails so; then all calls say the same, until the queue is set up anew. */
void breaks(int error);

#endif
