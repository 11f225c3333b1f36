/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A virtio-pci function for tests, register by register: the guest, a backend, and a driver
 * that does what it is told. What is where is the table in Documentation/registers.md.
 *
 * Copyright (c) 2026 The vbe authors
 */
#ifndef KST_PCIFN_H
#define KST_PCIFN_H

#include <stdbool.h>
#include <stdint.h>

#include "be.h"
#include "guest.h"

#define FN_BDF		0x10020		/* segment 1, device 4 */
#define FN_BAR		0x3e0000000ULL	/* where the test puts it; above 4 GiB */
#define FN_MEM		0x80000000ULL
#define FN_HIGH_MEM	0x240000000ULL	/* addresses with an upper half */
#define FN_MEM_LEN	(1U << 20)
#define FN_QUEUES	2
#define FN_VECTORS	(FN_QUEUES + 1)
#define FN_NUM		64
#define FN_CONFIG_LEN	16
#define FN_RESET_MS	3000		/* where nobody answers */
#define LIMIT		COMES_MS	/* ms for what should come at once */
#define QUIET		100		/* ms in which nothing should come */

/* BAR */
#define BAR_LEN		0x8000
#define COMMON		0x0000
#define ISR		0x1000
#define DEVCFG		0x2000
#define NOTIFY		0x3000
#define TABLE		0x4000
#define PBA		0x6000

/* configuration space */
#define CAP_FIRST	0x40
#define CAP_WINDOW	0x84
#define WINDOW_DATA	0x94
#define CAP_MSIX	0x98

/* common configuration */
#define DEV_SEL		0
#define DEV_FEATURES	4
#define DRV_SEL		8
#define DRV_FEATURES	12
#define CONFIG_VECTOR	16
#define NUM_QUEUES	18
#define STATUS		20
#define GENERATION	21
#define QUEUE_SEL	22
#define QUEUE_SIZE	24
#define QUEUE_VECTOR	26
#define QUEUE_ENABLE	28
#define QUEUE_NOFF	30
#define QUEUE_DESC	32
#define QUEUE_DRIVER	40
#define QUEUE_DEVICE	48
#define QUEUE_NDATA	56
#define QUEUE_RESET	58
#define ADMIN_INDEX	60
#define ADMIN_NUM	62
#define COMMON_LEN	64

#define NO_VECTOR	0xffff

/* status */
#define S_ACK		1
#define S_DRIVER	(S_ACK | 2)
#define S_FEATURES	(S_DRIVER | 8)
#define S_OK		(S_FEATURES | 4)

#define F_VERSION_1	(1ULL << 32)
#define F_RING_RESET	(1ULL << 40)
#define F_SOME		(1ULL << 0 | 1ULL << 5)	/* of the device type */
#define F_OWNED		(1ULL << 33 | 1ULL << 36 | 1ULL << 37 | 1ULL << 38 | 1ULL << 39 | \
			 1ULL << 40 | 1ULL << 41)

/**
 * struct fn - a function
 * @g: its guest
 * @be: its backend, not attached yet
 * @dev: number in the guest
 * @bdf: PCI address
 * @bar: where bar_in() and bar_out() look for the BAR
 */
struct fn {
	struct guest *g;
	struct be *be;
	int dev;
	uint32_t bdf;
	uint64_t bar;
};

/**
 * struct place - a queue's size and addresses
 */
struct place {
	uint32_t num;
	uint64_t desc;
	uint64_t driver;
	uint64_t device;
};

/* A guest with memory and the function; 0 or -errno. fn_free() at any rate. */
int fn_new(struct fn *fn, const char *name);
void fn_free(struct fn *fn);
struct be *fn_backend(void);
/* The backend is online, without a thread: its kicks and calls are the test's. */
int fn_online(struct fn *fn, const char *name);

uint32_t cfg_in(struct fn *fn, uint32_t reg, uint32_t len);
void cfg_out(struct fn *fn, uint32_t reg, uint32_t len, uint32_t value);
uint64_t bar_in(struct fn *fn, uint32_t offset, uint32_t len);
void bar_out(struct fn *fn, uint32_t offset, uint32_t len, uint64_t value);
/* Does somebody decode the BAR at @at? */
bool decoded(struct fn *fn, uint64_t at);
void set_command(struct fn *fn, uint32_t command);
/* With decoding off: BAR at @at; then memory and bus master on. */
void place_bar(struct fn *fn, uint64_t at);

/* A field of the common configuration by its own width; 64 bits at once. */
uint32_t field_len(uint32_t field);
uint64_t get(struct fn *fn, uint32_t field);
void put(struct fn *fn, uint32_t field, uint64_t value);
/* The same of queue @q. */
uint64_t qget(struct fn *fn, uint32_t q, uint32_t field);
void qput(struct fn *fn, uint32_t q, uint32_t field, uint64_t value);

uint64_t offered(struct fn *fn);
void take(struct fn *fn, uint64_t features);
/* From reset to FEATURES_OK; the status that reads back. */
uint32_t negotiate(struct fn *fn, uint64_t features);
struct place good_place(uint32_t q);
void stage(struct fn *fn, uint32_t q, struct place p);
/* What queue_enable reads back. */
uint32_t enable(struct fn *fn, uint32_t q, struct place p);
/* All the way to DRIVER_OK; the status that reads back. */
uint32_t drive(struct fn *fn, uint64_t features);

/* A vector's table entry. */
void set_vector(struct fn *fn, uint32_t vector, uint64_t addr, uint32_t data, bool masked);
uint64_t pending(struct fn *fn);
void set_msix(struct fn *fn, uint32_t control);

/* By the backend: call a queue by ioctl, or by eventfd; change config. */
int call_queue(struct fn *fn, uint32_t q);
int call_by_fd(struct fn *fn, uint32_t q);
int change_config(struct fn *fn, uint32_t offset, uint8_t byte);

#endif /* KST_PCIFN_H */
