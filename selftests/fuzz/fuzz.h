/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A hostile hypervisor, hostile drivers and hostile backends against the module.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * Threads of four kinds work on the same two guests at the same time:
 *
 *	vmm.c		the hypervisor: guests, devices, memory, eventfds, events
 *	vcpu.c		what a guest does to registers: mmio, pci, raw
 *	direct.c	what a VMM with a transport of its own does
 *	backend.c	backends, which attach, set up, serve or not, and go
 *
 * Each draws from a random sequence of its own, which the seed decides. What is drawn is
 * mostly near to what is right, or nothing would get past the first check.
 */
#ifndef VBE_FUZZ_H
#define VBE_FUZZ_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "cover.h"
#include "../kselftest/guest.h"

#define N_GUESTS	2
#define N_SLOTS		8	/* devices that a guest may have */
#define N_MEM		6	/* memory regions that it may have */
#define N_EVENTFDS	24

#define MEM_PAGES	64
#define PAGE		4096ULL
#define RAM_BASE	0x80000000ULL
#define RAM_STEP	0x1000000ULL
#define MMIO_BASE	0x10000000ULL
#define BAR_BASE	0xe0000000ULL
#define BAR_STEP	0x10000ULL
#define RAW_BASE	0x20000000ULL
#define RAW_STEP	0x10000ULL

/**
 * struct rng - a random sequence
 * @state: splitmix64
 */
struct rng {
	uint64_t state;
};

uint64_t rnd(struct rng *r);
/* 0..n - 1 */
uint32_t rnd_below(struct rng *r, uint32_t n);
/* Once in @n. */
bool one_in(struct rng *r, uint32_t n);
/* Numbers at which code changes its mind. */
uint64_t rnd_edge(struct rng *r);
/* One that is right mostly, and an edge once in @n. */
uint64_t rnd_or(struct rng *r, uint64_t right, uint32_t n);

/**
 * struct slot - a device that a guest may have
 * @transport: what it is
 * @base: as in struct vbe_guest_dev_add
 * @name: device name
 * @dev: number in the guest as last made, -1: none. Read without a lock: a stale one is
 *	as good as any
 */
struct slot {
	const char *transport;
	uint64_t base;
	char name[32];
	volatile int dev;
};

/**
 * struct vm - a guest
 * @lock: held for writing while the guest fd is replaced, else for reading
 * @fd: guest fd
 * @slots: its devices
 * @mem: memfds behind its memory, always there; given to vbe or not
 */
struct vm {
	pthread_rwlock_t lock;
	int fd;
	struct slot slots[N_SLOTS];
	int mem[N_MEM];
};

/**
 * struct worker - one thread
 * @rng: its random sequence
 * @main: what it does over and over
 * @thread: itself
 * @kind: for messages
 * @interrupt: signals are sent to it
 * @priv: its own
 */
struct worker {
	struct rng rng;
	void (*step)(struct worker *w);
	pthread_t thread;
	const char *kind;
	bool interrupt;
	void *priv;
};

extern struct vm vms[N_GUESTS];
extern int eventfds[N_EVENTFDS];
extern volatile bool ending;

/* The guest and slot that a step is about; the guest is locked until vm_put(). */
struct vm *vm_get(struct worker *w, struct slot **slot, const char *transport);
void vm_put(struct vm *vm);
/* An eventfd, or -1, or once in a while something that is none. */
int some_eventfd(struct rng *r);
/* An address in guest memory mostly, aligned to @align. */
uint64_t some_address(struct rng *r, uint64_t align);

/* One GUEST_ACCESS, counted. */
int fuzz_access(struct vm *vm, struct vbe_guest_access *a);
uint64_t accesses(void);

/* vmm.c */
void vmm_begin(void);
void vmm_step(struct worker *w);
/* Closes all; is every name free again? */
bool vmm_end(void);

/* vcpu.c */
void vcpu_step(struct worker *w);

/* pci.c */
void pci_step(struct worker *w);

/* direct.c */
void direct_step(struct worker *w);

/* backend.c */
void backend_step(struct worker *w);
void backend_end(struct worker *w);

#endif /* VBE_FUZZ_H */
