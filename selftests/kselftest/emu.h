/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Emulators for tests of the transport "raw": raw ioctls, a device of a guest with its
 * backend, and a thread that answers accesses, or does not.
 *
 * Copyright (c) 2026 The vbe authors
 */
#ifndef KST_EMU_H
#define KST_EMU_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <linux/vbe.h>

#include "guest.h"

#define EMU_MMIO	0x10000000ULL	/* where emu_up() puts region 0 */
#define EMU_LEN		0x1000
#define EMU_TIMEOUT_MS	(2 * COMES_MS)	/* the reset time-out of the device */
#define EMU_LOG		512

/* ---- raw ioctls: 0 or a negative errno ----------------------------------- */

int raw_dev_setup(int fd);
int raw_region(int fd, uint32_t index, uint32_t space, uint64_t base, uint64_t len);
int raw_match(int fd, uint32_t region, uint64_t offset, uint32_t len, int eventfd);
int raw_match_data(int fd, uint32_t region, uint64_t offset, uint32_t len, uint64_t data,
		   int eventfd);
/* @match as it was assigned. */
int raw_unmatch(int fd, uint32_t region, uint64_t offset, uint32_t len, uint32_t flags,
		uint64_t data);
int raw_edge(int fd, uint32_t index, int eventfd);
int raw_level(int fd, uint32_t index, int eventfd, int resample);
int raw_msi(int fd, uint32_t index, int eventfd, uint64_t addr, uint32_t data);
int raw_no_irq(int fd, uint32_t index);
int complete_data(int fd, uint64_t cookie, uint64_t data);

/* ---- an emulator --------------------------------------------------------- */

/**
 * struct emu - a raw device of a guest, and its backend
 * @g: its guest
 * @dev: number in the guest
 * @name: of the device
 * @fd: device fd of the backend, or -1
 *
 * @mute: the thread reads events and leaves accesses unanswered
 * @running: there is a thread
 * @stop: it shall end
 * @log: accesses that the thread has read
 * @n: their number
 */
struct emu {
	struct guest *g;
	int dev;
	char name[32];
	int fd;

	pthread_t thread;
	volatile bool mute;
	bool running;
	volatile bool stop;
	struct vbe_event log[EMU_LOG];
	volatile uint32_t n;
};

/* What the thread answers a load of @region at @offset with. */
uint64_t emu_value(uint32_t region, uint64_t offset);

/* A guest with 1 MiB at 0, and a raw device; no backend. NULL: errno says why. */
struct emu *emu_new(const char *name, uint64_t base, uint32_t timeout_ms);
/* A backend attaches, claims region 0, and goes online. */
int emu_up(struct emu *emu);
/* It dies: its fd is closed. */
void emu_kill(struct emu *emu);
/* A thread answers accesses from now on. */
void emu_start(struct emu *emu);
void emu_stop(struct emu *emu);
/* Until the thread has read @n accesses. */
bool emu_wait(struct emu *emu, uint32_t n, int ms);
void emu_free(struct emu *emu);

/* ---- a vCPU in a thread -------------------------------------------------- */

/**
 * struct vcpu - one access by GUEST_ACCESS, in a thread of its own
 * @g: its guest
 * @a: in and out
 * @ret: what the ioctl gave
 * @took: milliseconds
 * @done: it has returned
 * @tid: its thread, 0: that has not begun
 */
struct vcpu {
	struct guest *g;
	struct vbe_guest_access a;
	int ret;
	int64_t took;
	volatile bool done;
	volatile pid_t tid;
	pthread_t thread;
};

void vcpu_load(struct vcpu *v, struct guest *g, uint64_t addr, uint32_t len);
void vcpu_store(struct vcpu *v, struct guest *g, uint64_t addr, uint32_t len, uint64_t data);
/* The access of @v once more: with the cookie that it has got. */
void vcpu_again(struct vcpu *v);
/* Until it sleeps in the kernel, interruptible: false after @ms. */
bool vcpu_waits(struct vcpu *v, int ms);
/* A signal that interrupts it, until it has returned. */
void vcpu_interrupt(struct vcpu *v);
/* Waits for it: false after @ms. */
bool vcpu_join(struct vcpu *v, int ms);

#endif /* KST_EMU_H */
