// SPDX-License-Identifier: GPL-2.0
/*
 * Emulators for tests of the transport "raw".
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "emu.h"
#include "util.h"

/* ---- raw ioctls ---------------------------------------------------------- */

int raw_dev_setup(int fd)
{
	struct vbe_dev_setup s = { .size = sizeof(s), .loss_policy = VBE_LOSS_DEFAULT };

	return xioctl(fd, VBE_IOC_DEV_SETUP, &s);
}

int raw_region(int fd, uint32_t index, uint32_t space, uint64_t base, uint64_t len)
{
	struct vbe_raw_region r = { .size = sizeof(r), .index = index, .space = space,
				    .base = base, .len = len };

	return xioctl(fd, VBE_IOC_RAW_REGION, &r);
}

static int match(int fd, struct vbe_raw_match m)
{
	m.size = sizeof(m);
	return xioctl(fd, VBE_IOC_RAW_MATCH, &m);
}

int raw_match(int fd, uint32_t region, uint64_t offset, uint32_t len, int eventfd)
{
	return match(fd, (struct vbe_raw_match) {
		.region = region, .offset = offset, .len = len, .fd = eventfd });
}

int raw_match_data(int fd, uint32_t region, uint64_t offset, uint32_t len, uint64_t data,
		   int eventfd)
{
	return match(fd, (struct vbe_raw_match) {
		.region = region, .offset = offset, .len = len, .fd = eventfd,
		.flags = VBE_RAW_MATCH_F_DATA, .data = data });
}

int raw_unmatch(int fd, uint32_t region, uint64_t offset, uint32_t len, uint32_t flags,
		uint64_t data)
{
	return match(fd, (struct vbe_raw_match) {
		.region = region, .offset = offset, .len = len, .fd = -1,
		.flags = flags | VBE_RAW_MATCH_F_DEASSIGN, .data = data });
}

static int irq(int fd, struct vbe_raw_irq i)
{
	i.size = sizeof(i);
	return xioctl(fd, VBE_IOC_RAW_IRQ, &i);
}

int raw_edge(int fd, uint32_t index, int eventfd)
{
	return irq(fd, (struct vbe_raw_irq) {
		.index = index, .type = VBE_RAW_IRQ_EDGE, .fd = eventfd, .resample_fd = -1 });
}

int raw_level(int fd, uint32_t index, int eventfd, int resample)
{
	return irq(fd, (struct vbe_raw_irq) {
		.index = index, .type = VBE_RAW_IRQ_LEVEL, .fd = eventfd,
		.resample_fd = resample });
}

int raw_msi(int fd, uint32_t index, int eventfd, uint64_t addr, uint32_t data)
{
	return irq(fd, (struct vbe_raw_irq) {
		.index = index, .type = VBE_RAW_IRQ_MSI, .fd = eventfd, .resample_fd = -1,
		.msi_addr = addr, .msi_data = data });
}

int raw_no_irq(int fd, uint32_t index)
{
	return irq(fd, (struct vbe_raw_irq) { .index = index, .fd = -1, .resample_fd = -1 });
}

int complete_data(int fd, uint64_t cookie, uint64_t data)
{
	struct vbe_complete c = { .size = sizeof(c), .cookie = cookie, .data = data };

	return xioctl(fd, VBE_IOC_COMPLETE, &c);
}

/* ---- an emulator --------------------------------------------------------- */

uint64_t emu_value(uint32_t region, uint64_t offset)
{
	return 0x0123456789abcdefULL * (offset + 1) + region;
}

struct emu *emu_new(const char *name, uint64_t base, uint32_t timeout_ms)
{
	struct vbe_guest_dev_add a = guest_dev_params(name, "raw", base);
	struct emu *emu = calloc(1, sizeof(*emu));
	int ret;

	if (!emu)
		die("no memory for an emulator");
	emu->fd = -1;
	strncpy(emu->name, name, sizeof(emu->name) - 1);
	emu->g = guest_new("emu");
	if (!emu->g) {
		free(emu);
		return NULL;
	}
	a.reset_timeout_ms = timeout_ms;
	ret = guest_mem_add(emu->g, 0, 1 << 20, 0);
	if (ret >= 0)
		ret = guest_dev_add_params(emu->g, &a);
	if (ret < 0) {
		emu_free(emu);
		errno = -ret;
		return NULL;
	}
	emu->dev = ret;
	return emu;
}

int emu_up(struct emu *emu)
{
	int ret;

	emu->fd = dev_open(emu->name);
	if (emu->fd < 0)
		return emu->fd;
	ret = raw_dev_setup(emu->fd);
	if (ret >= 0)
		ret = raw_region(emu->fd, 0, VBE_SPACE_MMIO, EMU_MMIO, EMU_LEN);
	if (ret >= 0)
		ret = dev_simple(emu->fd, VBE_IOC_DEV_ONLINE);
	return ret;
}

void emu_kill(struct emu *emu)
{
	emu_stop(emu);
	if (emu->fd >= 0)
		close(emu->fd);
	emu->fd = -1;
}

static void *serve(void *arg)
{
	struct emu *emu = arg;
	struct vbe_event ev;

	while (!emu->stop) {
		if (read_event(emu->fd, &ev, 20) || ev.type != VBE_EVENT_ACCESS)
			continue;
		if (emu->n < EMU_LOG)
			emu->log[emu->n] = ev;
		/* Before the vCPU goes on and asks. */
		emu->n++;
		if (!emu->mute)
			complete_data(emu->fd, ev.cookie,
				      emu_value(ev.data[1] >> 32, ev.data[0]));
	}
	return NULL;
}

void emu_start(struct emu *emu)
{
	emu->stop = false;
	if (pthread_create(&emu->thread, NULL, serve, emu))
		die("cannot make a thread");
	emu->running = true;
}

void emu_stop(struct emu *emu)
{
	emu->stop = true;
	if (emu->running)
		pthread_join(emu->thread, NULL);
	emu->running = false;
}

struct awaited {
	struct emu *emu;
	uint32_t n;
};

static bool has_read(void *arg)
{
	struct awaited *a = arg;

	return a->emu->n >= a->n;
}

bool emu_wait(struct emu *emu, uint32_t n, int ms)
{
	struct awaited a = { emu, n };

	return wait_until(has_read, &a, ms);
}

void emu_free(struct emu *emu)
{
	if (!emu)
		return;
	emu_kill(emu);
	guest_free(emu->g);
	free(emu);
}

/* ---- a vCPU in a thread -------------------------------------------------- */

static void on_signal(int sig)
{
	(void)sig;
}

static void *run(void *arg)
{
	struct vcpu *v = arg;
	int64_t begin = now_ms();

	v->tid = gettid();
	v->ret = guest_access_once(v->g, &v->a);
	v->took = now_ms() - begin;
	v->done = true;
	return NULL;
}

void vcpu_again(struct vcpu *v)
{
	struct sigaction sa = { .sa_handler = on_signal };

	/* A handler, and no restart: what a VMM does to get at its vCPU. */
	sigaction(SIGUSR1, &sa, NULL);
	v->done = false;
	v->tid = 0;
	if (pthread_create(&v->thread, NULL, run, v))
		die("cannot make a thread");
}

void vcpu_load(struct vcpu *v, struct guest *g, uint64_t addr, uint32_t len)
{
	memset(v, 0, sizeof(*v));
	v->g = g;
	v->a.space = VBE_SPACE_MMIO;
	v->a.addr = addr;
	v->a.len = len;
	vcpu_again(v);
}

void vcpu_store(struct vcpu *v, struct guest *g, uint64_t addr, uint32_t len, uint64_t data)
{
	memset(v, 0, sizeof(*v));
	v->g = g;
	v->a.flags = VBE_ACCESS_F_WRITE;
	v->a.space = VBE_SPACE_MMIO;
	v->a.addr = addr;
	v->a.len = len;
	v->a.data = data;
	vcpu_again(v);
}

static bool sleeps(void *arg)
{
	struct vcpu *v = arg;

	return v->tid && task_state(v->tid) == 'S';
}

bool vcpu_waits(struct vcpu *v, int ms)
{
	return wait_until(sleeps, v, ms);
}

/* It may be on its way into the ioctl still, so once is not enough. */
void vcpu_interrupt(struct vcpu *v)
{
	while (!v->done) {
		pthread_kill(v->thread, SIGUSR1);
		sleep_ms(2);
	}
}

static bool is_done(void *arg)
{
	return ((struct vcpu *)arg)->done;
}

bool vcpu_join(struct vcpu *v, int ms)
{
	if (!wait_until(is_done, v, ms))
		return false;
	pthread_join(v->thread, NULL);
	return true;
}
