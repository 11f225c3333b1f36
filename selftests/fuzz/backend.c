// SPDX-License-Identifier: GPL-2.0
/*
 * Backends: some serve, some do not answer, some talk nonsense, and all go at any moment.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "../kselftest/util.h"

#define CLIENTS		4
#define QUEUES		2
#define QUEUE_SIZE	128
#define CONFIG_SIZE	16
#define VIRTIO_RNG	4
/* VERSION_1, RING_PACKED, and some that mean nothing to vbe. */
#define FEATURES	(1ULL << 32 | 1ULL << 34 | 0x300000ff)

/**
 * struct client - one attachment, and what it has of the device
 * @fd: device fd, -1: none
 * @slot: device
 * @raw: it is no virtio device
 * @mute: it answers nothing
 * @cookie: of a held event that was not answered, to be answered late
 * @map: guest memory, or NULL
 * @len: bytes
 * @writable: it may be written
 */
struct client {
	int fd;
	struct slot *slot;
	bool raw;
	bool mute;
	uint64_t cookie;
	volatile uint8_t *map;
	size_t len;
	bool writable;
};

static struct client *clients(struct worker *w)
{
	struct client *c = w->priv;
	int i;

	if (c)
		return c;
	c = calloc(CLIENTS, sizeof(*c));
	if (!c)
		die("calloc");
	for (i = 0; i < CLIENTS; i++)
		c[i].fd = -1;
	w->priv = c;
	return c;
}

static void unmap(struct client *c)
{
	if (c->map)
		munmap((void *)c->map, c->len);
	c->map = NULL;
}

/* The mapping goes before the fd, or after it. */
static void leave(struct client *c, struct rng *r)
{
	bool first = rnd_below(r, 2);

	if (first)
		unmap(c);
	close(c->fd);
	unmap(c);
	c->fd = -1;
}

/* ---- on the way up --------------------------------------------------------------- */

static int setup(struct client *c, struct rng *r)
{
	uint32_t sizes[3] = { QUEUE_SIZE, QUEUE_SIZE, QUEUE_SIZE };
	uint8_t config[CONFIG_SIZE] = { 0 };
	struct vbe_dev_setup s = {
		.size = sizeof(s), .flags = rnd_below(r, 4), .virtio_id = VIRTIO_RNG,
		.features = FEATURES, .n_queues = QUEUES, .config_size = CONFIG_SIZE,
		.config = (uintptr_t)config, .queue_sizes = (uintptr_t)sizes,
		.loss_policy = one_in(r, 2) ? VBE_LOSS_DEFAULT : rnd_below(r, 3),
		.inflight_size = 4096,
	};

	if (c->raw) {
		s = (struct vbe_dev_setup){ .size = sizeof(s), .loss_policy = s.loss_policy };
	} else if (one_in(r, 8)) {
		sizes[rnd_below(r, 2)] = rnd_or(r, 64, 2);
		s.n_queues = rnd_or(r, 3, 2) & 3;
		s.virtio_id = rnd_or(r, s.virtio_id, 4);
		s.inflight_size = rnd_or(r, s.inflight_size, 3);
		s.features = rnd_or(r, s.features, 4);
		s.flags = rnd_or(r, s.flags, 8);
		s.config = rnd_or(r, s.config, 10);
	}
	return cover(CALL_BE_SETUP, xioctl(c->fd, VBE_IOC_DEV_SETUP, &s));
}

static void queue_fd(struct client *c, struct rng *r)
{
	struct vbe_queue_fds f = {
		.size = sizeof(f), .index = rnd_or(r, rnd_below(r, QUEUES), 20),
		.flags = rnd_or(r, 1 + rnd_below(r, 3), 20), .kick_fd = some_eventfd(r),
		.call_fd = some_eventfd(r),
	};
	struct vbe_queue_kick_fd k = { .size = sizeof(k), .index = rnd_below(r, QUEUES) };

	if (one_in(r, 2)) {
		cover(CALL_BE_QUEUE_FDS, xioctl(c->fd, VBE_IOC_QUEUE_SET_FDS, &f));
		return;
	}
	if (cover(CALL_BE_KICK_FD, xioctl(c->fd, VBE_IOC_QUEUE_KICK_FD, &k)) >= 0)
		close(k.out_fd);
}

static void raw_region(struct client *c, struct rng *r)
{
	uint32_t at = c->slot->base >> 3, index = rnd_below(r, 2);
	struct vbe_raw_region g = {
		.size = sizeof(g), .index = rnd_or(r, index, 10), .space = index,
		.base = index ? 0x1000 * at : RAW_BASE + at * RAW_STEP,
		.len = index ? 0x100 : 0x1000,
	};

	if (one_in(r, 4)) {
		g.space = rnd_or(r, g.space, 4);
		g.base = rnd_or(r, g.base, 3);
		g.len = rnd_or(r, 0, 3);
		g.flags = rnd_or(r, 0, 8);
		/* Where mmio devices are. */
		if (one_in(r, 4))
			g.base = MMIO_BASE;
	}
	cover(CALL_BE_RAW_REGION, xioctl(c->fd, VBE_IOC_RAW_REGION, &g));
}

static void raw_match(struct client *c, struct rng *r)
{
	struct vbe_raw_match m = {
		.size = sizeof(m), .flags = rnd_or(r, rnd_below(r, 4), 20),
		.region = rnd_or(r, one_in(r, 4) ? VBE_RAW_MAX_REGIONS : rnd_below(r, 2), 10),
		.offset = rnd_or(r, 4 * rnd_below(r, 8), 10),
		.len = rnd_or(r, 1U << rnd_below(r, 4), 10), .data = rnd_below(r, 3),
		.fd = some_eventfd(r),
	};

	if (m.flags & VBE_RAW_MATCH_F_DEASSIGN)
		m.fd = rnd_or(r, -1, 10);
	if (!(m.flags & VBE_RAW_MATCH_F_DATA))
		m.data = rnd_or(r, 0, 10);
	cover(CALL_BE_RAW_MATCH, xioctl(c->fd, VBE_IOC_RAW_MATCH, &m));
	if (one_in(r, 4))
		cover(CALL_BE_RAW_MATCH, xioctl(c->fd, VBE_IOC_RAW_MATCH, &m));
}

static void raw_irq(struct client *c, struct rng *r)
{
	struct vbe_raw_irq i = {
		.size = sizeof(i), .index = rnd_or(r, rnd_below(r, 4), 10),
		.type = rnd_or(r, rnd_below(r, 3), 20), .fd = some_eventfd(r), .resample_fd = -1,
	};

	if (i.type == VBE_RAW_IRQ_LEVEL)
		i.resample_fd = some_eventfd(r);
	if (i.type == VBE_RAW_IRQ_MSI) {
		i.msi_addr = 0xfee00000;
		i.msi_data = rnd_below(r, 100);
	}
	if (one_in(r, 20))
		i.flags = rnd_edge(r);
	cover(CALL_BE_RAW_IRQ, xioctl(c->fd, VBE_IOC_RAW_IRQ, &i));
}

static void arrive(struct worker *w, struct client *c)
{
	struct vm *vm = &vms[rnd_below(&w->rng, N_GUESTS)];
	struct vbe_dev_online o = { .size = sizeof(o) };
	struct rng *r = &w->rng;
	uint32_t i;
	int fd;

	c->slot = &vm->slots[rnd_below(r, N_SLOTS)];
	c->raw = !strcmp(c->slot->transport, "raw");
	c->mute = one_in(r, 6);
	c->cookie = 0;
	fd = cover(CALL_BE_OPEN, dev_open_flags(c->slot->name, rnd_below(r, 2)));
	if (fd < 0)
		return;
	c->fd = fd;
	if (!one_in(r, 20) && setup(c, r) < 0 && !one_in(r, 8)) {
		leave(c, r);
		return;
	}
	for (i = 0; i < 4; i++) {
		if (!c->raw)
			queue_fd(c, r);
		else if (i & 1)
			raw_match(c, r);
		else
			raw_region(c, r);
	}
	if (!one_in(r, 20))
		cover(CALL_BE_ONLINE, xioctl(c->fd, VBE_IOC_DEV_ONLINE, &o));
}

/* ---- while it serves ------------------------------------------------------------- */

static void answer(struct client *c, struct rng *r, uint64_t cookie)
{
	struct vbe_complete a = { .size = sizeof(a), .cookie = rnd_or(r, cookie, 20),
				  .result = one_in(r, 12), .data = rnd_or(r, 0, 4) };

	cover(CALL_BE_COMPLETE, xioctl(c->fd, VBE_IOC_COMPLETE, &a));
}

static void events(struct client *c, struct rng *r)
{
	struct vbe_event ev;
	int n = 0;

	while (n++ < 16 && !read_event(c->fd, &ev, 0)) {
		seen(SEEN_BACKEND_EVENT, ev.type);
		if (!ev.cookie)
			continue;
		if (c->mute || one_in(r, 10))
			c->cookie = ev.cookie;
		else
			answer(c, r, ev.cookie);
	}
}

static void map(struct client *c, struct rng *r)
{
	uint64_t offset = one_in(r, 6) ? VBE_MMAP_INFLIGHT :
			  RAM_BASE + rnd_below(r, N_MEM) * RAM_STEP + rnd_below(r, 4) * PAGE;
	size_t len = (1 + rnd_below(r, offset == VBE_MMAP_INFLIGHT ? 2 : 32)) * PAGE;
	bool writable = !one_in(r, 3);
	void *p;

	unmap(c);
	p = mmap(NULL, len, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED, c->fd,
		 rnd_or(r, offset, 20) & -PAGE);
	cover(CALL_BE_MMAP, p == MAP_FAILED ? -errno : 0);
	if (p == MAP_FAILED)
		return;
	c->map = p;
	c->len = len;
	c->writable = writable;
}

/* Whatever has become of the memory: this does not fault. */
static void touch(struct client *c, struct rng *r)
{
	uint32_t i;

	for (i = 0; c->map && i < 8; i++) {
		size_t at = rnd_below(r, c->len);

		if (c->writable && one_in(r, 2))
			c->map[at] = i;
		else
			(void)c->map[at];
	}
}

/* What the backend says it is going to touch, or has done with. */
static void ranges(struct client *c, struct rng *r)
{
	bool map = rnd_below(r, 2);
	struct vbe_mem_range e[4];
	struct vbe_mem_map m = { .size = sizeof(m), .n = rnd_or(r, 1 + rnd_below(r, 4), 20),
				 .flags = rnd_or(r, map ? rnd_below(r, 2) : 0, 20),
				 .ranges = one_in(r, 20) ? 8 : (uintptr_t)e };
	uint32_t i;
	int ret;

	/* Statuses are written: not past the end of ours. */
	if (m.n > 4 && m.n <= VBE_MAX_MEM_RANGES)
		m.n = 4;
	for (i = 0; i < 4; i++)
		e[i] = (struct vbe_mem_range){ .fe_addr = some_address(r, 1),
					       .len = rnd_or(r, 1 + rnd_below(r, 65536), 10),
					       .status = 1 };
	ret = xioctl(c->fd, map ? VBE_IOC_MEM_MAP : VBE_IOC_MEM_UNMAP, &m);
	cover(map ? CALL_BE_MEM_MAP : CALL_BE_MEM_UNMAP, ret);
	for (i = 0; !ret && i < m.n; i++)
		cover(CALL_BE_MEM_RANGE, e[i].status);
}

static void memory(struct client *c, struct rng *r)
{
	struct vbe_mem_query q = { .size = sizeof(q), .index = rnd_or(r, rnd_below(r, 4), 10) };
	struct vbe_copy_entry e[4];
	uint8_t buf[4][256];
	struct vbe_mem_copy m = { .size = sizeof(m), .flags = rnd_or(r, rnd_below(r, 2), 20),
				  .n = rnd_or(r, 4, 20) & 0x4ff, .entries = (uintptr_t)e };
	struct vbe_mem_fd f = { .size = sizeof(f), .flags = rnd_below(r, 2) };
	int i;

	if (m.n > 4 && m.n <= VBE_MAX_COPY_ENTRIES)
		m.n = 4;
	for (i = 0; i < 4; i++)
		e[i] = (struct vbe_copy_entry){ .fe_addr = some_address(r, 1),
						.buf = rnd_or(r, (uintptr_t)buf[i], 20),
						.len = rnd_below(r, sizeof(buf[i])) };
	/* Not into what is not ours. */
	for (i = 0; i < 4; i++)
		if (e[i].buf != (uintptr_t)buf[i])
			e[i].buf = 8;
	memset(buf, 1, sizeof(buf));
	cover(CALL_BE_MEM_QUERY, xioctl(c->fd, VBE_IOC_MEM_QUERY, &q));
	cover(CALL_BE_MEM_COPY, xioctl(c->fd, VBE_IOC_MEM_COPY, &m));
	if (one_in(r, 4) && cover(CALL_BE_MEM_FD, xioctl(c->fd, VBE_IOC_MEM_FD, &f)) >= 0)
		close(f.out_fd);
}

static void config(struct client *c, struct rng *r)
{
	uint8_t buf[64];
	struct vbe_config_rw x = { .size = sizeof(x), .buf = (uintptr_t)buf,
				   .offset = rnd_or(r, rnd_below(r, CONFIG_SIZE), 16),
				   .len = rnd_below(r, CONFIG_SIZE) };
	bool write = rnd_below(r, 2);

	memset(buf, rnd(r), sizeof(buf));
	cover(write ? CALL_BE_CONFIG_WRITE : CALL_BE_CONFIG_READ,
	      xioctl(c->fd, write ? VBE_IOC_CONFIG_WRITE : VBE_IOC_CONFIG_READ, &x));
}

static void call(struct client *c, struct rng *r)
{
	int ret = ioctl(c->fd, VBE_IOC_QUEUE_CALL, rnd_or(r, rnd_below(r, QUEUES), 20));

	cover(CALL_BE_QUEUE_CALL, ret < 0 ? -errno : 0);
}

static void serve(struct client *c, struct rng *r)
{
	struct vbe_dev_online o = { .size = sizeof(o), .flags = rnd_or(r, 0, 20) };

	switch (rnd_below(r, 16)) {
	case 0:
		map(c, r);
		break;
	case 1:
	case 2:
		touch(c, r);
		break;
	case 3:
		memory(c, r);
		ranges(c, r);
		break;
	case 4:
		config(c, r);
		break;
	case 5:
	case 6:
		queue_fd(c, r);
		break;
	case 7:
		if (one_in(r, 4))
			setup(c, r);
		else if (one_in(r, 2))
			cover(CALL_BE_ONLINE, xioctl(c->fd, VBE_IOC_DEV_ONLINE, &o));
		else
			cover(CALL_BE_OFFLINE, xioctl(c->fd, VBE_IOC_DEV_OFFLINE, &o));
		break;
	case 8:
		raw_region(c, r);
		raw_match(c, r);
		raw_irq(c, r);
		break;
	case 9:
		if (c->cookie)
			answer(c, r, c->cookie);
		break;
	default:
		call(c, r);
	}
}

void backend_step(struct worker *w)
{
	struct client *c = &clients(w)[rnd_below(&w->rng, CLIENTS)];
	struct rng *r = &w->rng;
	struct pollfd p;

	if (c->fd < 0) {
		arrive(w, c);
		return;
	}
	events(c, r);
	serve(c, r);
	touch(c, r);
	p = (struct pollfd){ .fd = c->fd, .events = POLLIN };
	poll(&p, 1, 0);
	if (one_in(r, p.revents & POLLHUP ? 4 : 200))
		leave(c, r);
}

void backend_end(struct worker *w)
{
	struct client *c = clients(w);
	int i;

	for (i = 0; i < CLIENTS; i++)
		if (c[i].fd >= 0)
			leave(&c[i], &w->rng);
	free(c);
	w->priv = NULL;
}
