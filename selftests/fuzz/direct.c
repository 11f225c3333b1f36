// SPDX-License-Identifier: GPL-2.0
/*
 * A VMM that drives devices itself, and lies about what its driver does.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "fuzz.h"
#include "../kselftest/util.h"

static void set_status(struct worker *w, struct vm *vm, uint32_t dev, uint32_t status)
{
	struct vbe_guest_status s = { .size = sizeof(s), .dev = rnd_or(&w->rng, dev, 100),
				      .status = rnd_or(&w->rng, status, 50),
				      .__reserved = rnd_or(&w->rng, 0, 200) };

	if (cover(CALL_STATUS, xioctl(vm->fd, VBE_IOC_GUEST_STATUS, &s)) >= 0)
		seen(SEEN_STATUS, SEEN_DIRECT * 16 + (s.status & 15));
}

static void set_queue(struct worker *w, struct vm *vm, uint32_t dev, uint32_t index)
{
	struct rng *r = &w->rng;
	struct vbe_guest_queue_set q = {
		.size = sizeof(q), .dev = rnd_or(r, dev, 100), .index = rnd_or(r, index, 30),
		.flags = rnd_or(r, VBE_GUEST_QUEUE_SET_F_ENABLE | rnd_below(r, 2) << 1, 50),
		.num = rnd_or(r, 8U << rnd_below(r, 4), 20), .base = rnd_or(r, 0, 4),
		.desc = some_address(r, 16), .driver = some_address(r, 16),
		.device = some_address(r, 16),
	};

	cover(CALL_QUEUE_SET, xioctl(vm->fd, VBE_IOC_GUEST_QUEUE_SET, &q));
}

static void stop_queue(struct worker *w, struct vm *vm, uint32_t dev)
{
	struct vbe_guest_queue_set q = { .size = sizeof(q), .dev = dev,
					 .index = rnd_or(&w->rng, rnd_below(&w->rng, 2), 10) };

	cover(CALL_QUEUE_STOP, xioctl(vm->fd, VBE_IOC_GUEST_QUEUE_SET, &q));
}

static void set_features(struct worker *w, struct vm *vm, uint32_t dev)
{
	uint64_t some = (rnd(&w->rng) & 0xffffff) | (uint64_t)one_in(&w->rng, 3) << 34;
	struct vbe_guest_features f = {
		.size = sizeof(f), .dev = rnd_or(&w->rng, dev, 100),
		.features = rnd_or(&w->rng, 1ULL << 32 | (one_in(&w->rng, 3) ? some : 0), 30),
	};

	cover(CALL_FEATURES, xioctl(vm->fd, VBE_IOC_GUEST_FEATURES, &f));
}

static void config(struct worker *w, struct vm *vm, uint32_t dev)
{
	uint8_t buf[4096];
	struct rng *r = &w->rng;
	struct vbe_guest_config c = {
		.size = sizeof(c), .dev = dev, .offset = rnd_or(r, rnd_below(r, 16), 10),
		.len = rnd_below(r, 16), .flags = rnd_or(r, rnd_below(r, 2), 20),
		.buf = one_in(r, 16) ? 8 : (uintptr_t)buf,
	};

	if (one_in(r, 10))
		c.len = rnd_edge(r) & 0xfff;
	memset(buf, rnd(r), sizeof(buf));
	cover(CALL_CONFIG, xioctl(vm->fd, VBE_IOC_GUEST_CONFIG, &c));
}

static void kick(struct worker *w, struct vm *vm, uint32_t dev)
{
	unsigned long arg = (unsigned long)(dev & 0xff) << 16 | rnd_below(&w->rng, 2);
	int ret;

	if (one_in(&w->rng, 30))
		arg = rnd_edge(&w->rng);
	ret = ioctl(vm->fd, VBE_IOC_GUEST_KICK, arg);
	cover(CALL_KICK, ret < 0 ? -errno : 0);
}

static void inflight(struct worker *w, struct vm *vm, uint32_t dev)
{
	struct rng *r = &w->rng;
	struct vbe_guest_inflight i = {
		.size = sizeof(i), .dev = dev, .flags = rnd_or(r, rnd_below(r, 2), 10),
		.fd = rnd_or(r, vm->mem[rnd_below(r, N_MEM)], 10),
		.offset = rnd_below(r, 8) * PAGE, .len = rnd_or(r, 2 * PAGE, 4),
	};

	cover(CALL_INFLIGHT, xioctl(vm->fd, VBE_IOC_GUEST_INFLIGHT, &i));
}

static void up(struct worker *w, struct vm *vm, uint32_t dev)
{
	set_status(w, vm, dev, 0);
	if (one_in(&w->rng, 4))
		inflight(w, vm, dev);
	set_status(w, vm, dev, 1);
	set_status(w, vm, dev, 3);
	set_features(w, vm, dev);
	set_status(w, vm, dev, 11);
	set_queue(w, vm, dev, 0);
	set_queue(w, vm, dev, 1);
	set_status(w, vm, dev, 15);
}

void direct_step(struct worker *w)
{
	uint32_t n = 1 + rnd_below(&w->rng, 10);
	struct slot *s;
	struct vm *vm = vm_get(w, &s, one_in(&w->rng, 20) ? NULL : "direct");
	uint32_t dev = s->dev;

	if (one_in(&w->rng, 2))
		up(w, vm, dev);
	while (n--) {
		switch (rnd_below(&w->rng, 12)) {
		case 0:
			set_status(w, vm, dev,
				   one_in(&w->rng, 2) ? 15 : rnd_below(&w->rng, 256));
			break;
		case 1:
			set_features(w, vm, dev);
			break;
		case 2:
			stop_queue(w, vm, dev);
			set_queue(w, vm, dev, rnd_below(&w->rng, 2));
			break;
		case 3:
			inflight(w, vm, dev);
			break;
		case 4:
		case 5:
			config(w, vm, dev);
			break;
		default:
			kick(w, vm, dev);
		}
	}
	vm_put(vm);
}
