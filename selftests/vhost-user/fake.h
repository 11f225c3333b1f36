/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 The vbe authors */
/*
 * A kernel without a kernel: the guest fd as vbe-vhost-user uses it. It abort()s on whatever the
 * program must never ask for, whatever its front-end has sent.
 */
#ifndef FAKE_H
#define FAKE_H

#include "../../tools/vbe-vhost-user/vbe-vhost-user.h"

#define FAKE_QUEUES	4u
#define FAKE_INFLIGHT	4096u
#define FAKE_CONFIG	60u
#define FAKE_FEATURES	(BIT(32) | BIT(29) | BIT(28) | BIT(34) | BIT(9) | BIT(33) | BIT(26))
/* As a front-end may see them. */
#define FAKE_OFFERED	((FAKE_FEATURES & ~BIT(33) & ~BIT(26)) | VU_F_PROTOCOL_FEATURES)
#define FAKE_BASE	0x1234u	/* where a stopped queue has ended */

struct fake_mem {
	uint64_t addr;
	uint64_t len;
};

struct fake_queue {
	struct vbe_guest_queue_set set;
	bool enabled;
	bool kick;
	bool call;
};

/**
 * struct fake - the kernel side
 * @g: first: what the program under test has
 * @seed: state of the random numbers
 * @fail_one_in: calls fail at random, one in so many; 0: never
 * @failed: one has
 * @lost: no backend: a queue cannot be stopped
 * @away: the device was away for a moment: its queues are not enabled any more
 * @refuse: the backend refuses all features
 * @resumed: flags of the last GUEST_INFLIGHT, or -1 for none
 * @renewed: how often the device was made
 */
struct fake {
	struct guest g;
	struct options o;
	uint64_t seed;
	unsigned int fail_one_in;
	bool failed;
	bool lost;
	bool away;
	bool refuse;
	uint32_t status;
	uint64_t staged;
	uint8_t config[FAKE_CONFIG];
	struct fake_mem mem[VBE_GUEST_MAX_MEM];
	unsigned int n_mem;
	struct fake_queue queues[FAKE_QUEUES];
	int resumed;
	unsigned int renewed;
};

void fake_init(struct fake *f, uint64_t seed);
uint64_t fake_random(struct fake *f);
void fake_assert_clean(const struct fake *f);

#endif /* FAKE_H */
