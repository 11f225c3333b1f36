// SPDX-License-Identifier: GPL-2.0
/*
 * The hostile hypervisor.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/falloc.h>

#include "fuzz.h"
#include "../kselftest/dev.h"
#include "../kselftest/util.h"

static const char *const transports[N_SLOTS] = {
	"direct", "mmio", "pci", "raw", "direct", "mmio", "pci", "raw",
};

struct vm vms[N_GUESTS];
int eventfds[N_EVENTFDS];

/* ---- what the others ask for ----------------------------------------------------- */

struct vm *vm_get(struct worker *w, struct slot **slot, const char *transport)
{
	struct vm *vm = &vms[rnd_below(&w->rng, N_GUESTS)];
	uint32_t at = rnd_below(&w->rng, N_SLOTS);

	while (transport && strcmp(vm->slots[at].transport, transport))
		at = (at + 1) % N_SLOTS;
	*slot = &vm->slots[at];
	pthread_rwlock_rdlock(&vm->lock);
	return vm;
}

void vm_put(struct vm *vm)
{
	pthread_rwlock_unlock(&vm->lock);
}

int some_eventfd(struct rng *r)
{
	if (one_in(r, 4))
		return -1;
	if (one_in(r, 20))
		return (int)rnd_edge(r);
	return eventfds[rnd_below(r, N_EVENTFDS)];
}

uint64_t some_address(struct rng *r, uint64_t align)
{
	uint64_t addr = RAM_BASE + rnd_below(r, one_in(r, 8) ? N_MEM : 2) * RAM_STEP +
			rnd_below(r, MEM_PAGES * PAGE / align) * align;

	return rnd_or(r, addr, 40);
}

/* ---- guests, devices ------------------------------------------------------------- */

static int guest_made(struct rng *r)
{
	struct vbe_guest_new n = { .size = sizeof(n), .name = "fuzz" };
	int ctl = vbe_open(), ret;

	if (ctl < 0)
		die("/dev/vbe");
	if (r && one_in(r, 3)) {
		n.name[rnd_below(r, sizeof(n.name))] = rnd(r);
		n.flags = rnd_or(r, 0, 4);
		n.__reserved = rnd_or(r, 0, 4);
	}
	ret = cover(CALL_GUEST_NEW, xioctl(ctl, VBE_IOC_GUEST_NEW, &n));
	close(ctl);
	return ret < 0 ? ret : n.out_fd;
}

static int add_device(struct vm *vm, struct slot *s, struct rng *r)
{
	struct vbe_guest_dev_add a = guest_dev_params(s->name, s->transport, s->base);
	int ret;

	/* Short, as many resets will go unanswered. */
	a.reset_timeout_ms = 5 + rnd_below(r, 30);
	a.loss_policy = rnd_below(r, 3);
	if (one_in(r, 4)) {
		a.base = rnd_or(r, a.base, 3);
		a.virtio_id = rnd_or(r, 0, 3);
		a.loss_policy = rnd_or(r, a.loss_policy, 5);
		a.flags = rnd_or(r, 0, 8);
		a.uid = rnd_or(r, a.uid, 8);
		if (one_in(r, 6))
			a.transport[rnd_below(r, 4)] ^= 1 << rnd_below(r, 8);
		if (one_in(r, 8))
			memset(a.name, rnd(r), sizeof(a.name));
	}
	ret = cover(CALL_DEV_ADD, xioctl(vm->fd, VBE_IOC_GUEST_DEV_ADD, &a));
	if (ret >= 0)
		s->dev = a.out_dev;
	return ret;
}

static int add_memory(struct vm *vm, uint32_t at, struct rng *r)
{
	struct vbe_guest_mem m = {
		.size = sizeof(m), .fe_addr = RAM_BASE + at * RAM_STEP,
		.len = MEM_PAGES * PAGE, .fd = vm->mem[at],
		.flags = at == 2 ? VBE_GUEST_MEM_F_READONLY : 0,
	};

	if (one_in(r, 4)) {
		m.fe_addr = rnd_or(r, m.fe_addr + rnd_below(r, 8) * PAGE, 3);
		m.len = rnd_or(r, (1 + rnd_below(r, 2 * MEM_PAGES)) * PAGE, 3);
		m.offset = rnd_or(r, rnd_below(r, MEM_PAGES) * PAGE, 4);
		m.flags = rnd_or(r, m.flags, 6);
		m.fd = rnd_or(r, m.fd, 4);
	}
	return cover(CALL_MEM_ADD, xioctl(vm->fd, VBE_IOC_GUEST_MEM_ADD, &m));
}

static void del_memory(struct vm *vm, uint32_t at, struct rng *r)
{
	struct vbe_guest_mem m = { .size = sizeof(m), .fe_addr = RAM_BASE + at * RAM_STEP,
				   .len = MEM_PAGES * PAGE, .fd = -1 };

	if (one_in(r, 2)) {
		m.len = rnd_or(r, m.len, 2);
		m.flags = rnd_or(r, 0, 4);
		m.fd = rnd_or(r, -1, 4);
	}
	cover(CALL_MEM_DEL, xioctl(vm->fd, VBE_IOC_GUEST_MEM_DEL, &m));
}

/* A fresh guest in the place of another. All devices, and the first two regions. */
static void fresh(struct vm *vm, struct rng *r)
{
	uint32_t i;

	vm->fd = guest_made(NULL);
	if (vm->fd < 0)
		die("GUEST_NEW");
	if (fcntl(vm->fd, F_SETFL, O_NONBLOCK))
		die("O_NONBLOCK");
	for (i = 0; i < N_SLOTS; i++)
		vm->slots[i].dev = -1;
	for (i = 0; i < 3; i++)
		add_memory(vm, i, r);
	for (i = 0; i < N_SLOTS; i++)
		add_device(vm, &vm->slots[i], r);
}

static uint64_t place(uint32_t slot)
{
	if (!strcmp(transports[slot], "mmio"))
		return MMIO_BASE + slot * PAGE;
	return strcmp(transports[slot], "direct") ? slot << 3 : 0;
}

void vmm_begin(void)
{
	pthread_rwlockattr_t attr;
	struct rng r = { 0 };
	uint32_t i, j;

	/* Or who replaces a guest would never get a turn. */
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	for (i = 0; i < N_EVENTFDS; i++) {
		eventfds[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (eventfds[i] < 0)
			die("eventfd");
	}
	for (i = 0; i < N_GUESTS; i++) {
		struct vm *vm = &vms[i];

		pthread_rwlock_init(&vm->lock, &attr);
		for (j = 0; j < N_MEM; j++) {
			vm->mem[j] = memfd_create("fuzz", MFD_CLOEXEC);
			if (vm->mem[j] < 0 || ftruncate(vm->mem[j], MEM_PAGES * PAGE))
				die("memfd");
		}
		for (j = 0; j < N_SLOTS; j++) {
			vm->slots[j].transport = transports[j];
			vm->slots[j].base = place(j);
			snprintf(vm->slots[j].name, sizeof(vm->slots[j].name), "fuzz%u.%u",
				 i, j);
		}
		fresh(vm, &r);
	}
}

bool vmm_end(void)
{
	bool clean = true;
	uint32_t i, j;
	int fd;

	for (i = 0; i < N_GUESTS; i++) {
		close(vms[i].fd);
		for (j = 0; j < N_MEM; j++)
			close(vms[i].mem[j]);
	}
	for (i = 0; i < N_EVENTFDS; i++)
		close(eventfds[i]);
	for (i = 0; i < N_GUESTS; i++) {
		for (j = 0; j < N_SLOTS; j++) {
			fd = dev_open(vms[i].slots[j].name);
			if (fd == -ENOENT)
				continue;
			clean = false;
			printf("# %s is still there: %d\n", vms[i].slots[j].name, fd);
		}
	}
	return clean;
}

/* ---- steps ----------------------------------------------------------------------- */

/* Dies by DIE mostly, while others are in the middle of calls; then by close. */
static void step_death(struct worker *w, struct vm *vm)
{
	struct vbe_guest_dev d = { .size = sizeof(d), .dev = rnd_or(&w->rng, 0, 4) };
	bool died = false;
	uint32_t i;

	pthread_rwlock_rdlock(&vm->lock);
	if (!one_in(&w->rng, 4))
		died = cover(CALL_DIE, xioctl(vm->fd, VBE_IOC_GUEST_DIE, &d)) >= 0;
	for (i = 0; died && i < 20; i++) {
		add_device(vm, &vm->slots[i % N_SLOTS], &w->rng);
		add_memory(vm, i % N_MEM, &w->rng);
		sleep_ms(1);
	}
	vm_put(vm);
	pthread_rwlock_wrlock(&vm->lock);
	close(vm->fd);
	fresh(vm, &w->rng);
	pthread_rwlock_unlock(&vm->lock);
}

static void step_device(struct worker *w)
{
	struct vbe_guest_dev d = { .size = sizeof(d) };
	struct slot *s;
	struct vm *vm = vm_get(w, &s, NULL);
	int ret;

	d.dev = rnd_or(&w->rng, s->dev, 10);
	if (one_in(&w->rng, 3)) {
		ret = xioctl(vm->fd, VBE_IOC_GUEST_DEV_DEL, &d);
		if (cover(CALL_DEV_DEL, ret) >= 0)
			s->dev = -1;
	}
	if (one_in(&w->rng, 8))
		cover(CALL_NL_DEL, dev_del(s->name));
	else
		add_device(vm, s, &w->rng);
	vm_put(vm);
}

static void step_memory(struct worker *w)
{
	uint32_t at = rnd_below(&w->rng, N_MEM);
	struct slot *s;
	struct vm *vm = vm_get(w, &s, NULL);

	/* The first two are mostly there, or no queue would ever be set up. */
	if (at < 2 && !one_in(&w->rng, 10)) {
		add_memory(vm, at, &w->rng);
	} else {
		switch (rnd_below(&w->rng, 5)) {
		case 0:
			del_memory(vm, at, &w->rng);
			break;
		case 1:
			if (ftruncate(vm->mem[at], rnd_below(&w->rng, MEM_PAGES) * PAGE / 2))
				die("ftruncate");
			break;
		case 2:
			fallocate(vm->mem[at], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				  rnd_below(&w->rng, MEM_PAGES) * PAGE, 8 * PAGE);
			break;
		case 3:
			if (ftruncate(vm->mem[at], MEM_PAGES * PAGE))
				die("ftruncate");
			break;
		default:
			add_memory(vm, at, &w->rng);
		}
	}
	vm_put(vm);
}

static void step_fd(struct worker *w)
{
	struct vbe_guest_set_fd f = { .size = sizeof(f) };
	struct rng *r = &w->rng;
	uint64_t one = 1;
	struct slot *s;
	struct vm *vm = vm_get(w, &s, NULL);

	f.dev = rnd_or(r, s->dev, 20);
	f.type = rnd_or(r, rnd_below(r, 6), 20);
	f.index = f.type == VBE_GUEST_FD_KICK || f.type == VBE_GUEST_FD_CALL ||
		  f.type == VBE_GUEST_FD_MSI ? rnd_below(r, 4) : 0;
	f.index = rnd_or(r, f.index, 20);
	f.fd = some_eventfd(r);
	f.flags = rnd_or(r, 0, 40);
	cover(CALL_SET_FD, xioctl(vm->fd, VBE_IOC_GUEST_SET_FD, &f));
	/* As KVM would do it, and as somebody else might. */
	if (one_in(r, 2) && write(eventfds[rnd_below(r, N_EVENTFDS)], &one, sizeof(one)) < 0 &&
	    errno != EAGAIN)
		die("write of an eventfd");
	vm_put(vm);
}

static void step_ask(struct worker *w)
{
	struct vbe_guest_dev_info info = { .size = sizeof(info) };
	struct vbe_guest_queue_info q = { .size = sizeof(q) };
	struct vbe_guest_dev d = { .size = sizeof(d) };
	struct slot *s;
	struct vm *vm = vm_get(w, &s, NULL);

	info.dev = q.dev = d.dev = rnd_or(&w->rng, s->dev, 20);
	q.index = rnd_or(&w->rng, rnd_below(&w->rng, 3), 10);
	cover(CALL_DEV_INFO, xioctl(vm->fd, VBE_IOC_GUEST_DEV_INFO, &info));
	cover(CALL_QUEUE_INFO, xioctl(vm->fd, VBE_IOC_GUEST_QUEUE_INFO, &q));
	cover(CALL_EOI, xioctl(vm->fd, VBE_IOC_GUEST_EOI, &d));
	/* One that kills nobody: step_death() comes too seldom to be sure of it. */
	d.dev = 1 + rnd_below(&w->rng, 4);
	if (one_in(&w->rng, 16))
		cover(CALL_DIE, xioctl(vm->fd, VBE_IOC_GUEST_DIE, &d));
	vm_put(vm);
}

static void step_read(struct worker *w)
{
	struct vbe_guest_event ev[20];
	size_t len = rnd_or(&w->rng, sizeof(ev), 8) % (sizeof(ev) + 1);
	void *volatile to = one_in(&w->rng, 16) ? (void *)8 : ev;
	struct slot *s;
	struct vm *vm = vm_get(w, &s, NULL);
	ssize_t n = read(vm->fd, to, len), i;

	cover(CALL_READ, n < 0 ? -errno : 0);
	for (i = 0; i < n / (ssize_t)sizeof(ev[0]); i++)
		seen(SEEN_GUEST_EVENT, ev[i].type);
	vm_put(vm);
}

/* A struct of noise, for any ioctl that there is or may be. */
static void step_garbage(struct worker *w)
{
	uint8_t buf[512] __attribute__((aligned(8)));
	uint32_t cmd = one_in(&w->rng, 4) ? rnd_below(&w->rng, 256) :
					    0x40 + rnd_below(&w->rng, 16);
	uint32_t size, i;
	struct slot *s;
	struct vm *vm;

	for (i = 0; i < sizeof(buf); i += 8)
		*(uint64_t *)(buf + i) = one_in(&w->rng, 2) ? 0 : rnd_edge(&w->rng);
	size = rnd_or(&w->rng, 8 * rnd_below(&w->rng, 16), 4);
	memcpy(buf, &size, sizeof(size));
	/* DIE has a step of its own. */
	if (cmd == 0x4f)
		cmd = 0x50;
	vm = vm_get(w, &s, NULL);
	cover(CALL_GARBAGE, xioctl(vm->fd, _IO(VBE_IOC_MAGIC, cmd),
				   one_in(&w->rng, 16) ? (void *)(8UL * rnd_below(&w->rng, 64)) :
							 buf));
	vm_put(vm);
	if (one_in(&w->rng, 8)) {
		int fd = guest_made(&w->rng);

		if (fd >= 0)
			close(fd);
	}
}

void vmm_step(struct worker *w)
{
	uint32_t what = rnd_below(&w->rng, 100);

	if (what < 1 && one_in(&w->rng, 4))
		step_death(w, &vms[rnd_below(&w->rng, N_GUESTS)]);
	else if (what < 4)
		step_device(w);
	else if (what < 20)
		step_memory(w);
	else if (what < 40)
		step_fd(w);
	else if (what < 55)
		step_ask(w);
	else if (what < 80)
		step_read(w);
	else
		step_garbage(w);
}
