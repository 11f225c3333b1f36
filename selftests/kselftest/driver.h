/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A virtio driver for tests: brings a device of a guest up and runs its virtqueues,
 * by transport "direct", "mmio" or "pci".
 *
 * Copyright (c) 2026 The vbe authors
 *
 *	struct drv d;
 *	drv_init(&d, g, dev, "pci", 0x0008, DRV_F_PACKED);
 *	drv_arena(&d, addr, len);		where rings and buffers go
 *	drv_up(&d, 0, 1, 64);			features, queues, entries
 *	drv_blk(&d, 0, VIRTIO_BLK_T_IN, sector, data, 512, 1000);
 *	drv_exit(&d);
 *
 * What returns int gives 0 or more, or a negative errno. A wait needs the interrupt: a
 * buffer that came back without one is not found, and the wait ends in -ETIMEDOUT.
 */
#ifndef KST_DRIVER_H
#define KST_DRIVER_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/virtio_ring.h>

#include "guest.h"

#define DRV_QUEUES	8
#define DRV_MAX_NUM	1024
#define DRV_BARS	6
#define DRV_CONFIG	DRV_QUEUES	/* the "queue" of config interrupts */

/* How a drv goes about it. */
#define DRV_F_PACKED	(1U << 0)	/* packed rings */
#define DRV_F_EVENTS	(1U << 1)	/* interrupts by events of the guest fd, not eventfds */
#define DRV_F_INTX	(1U << 2)	/* pci: the wired interrupt, not MSI-X */
#define DRV_F_KICK_FD	(1U << 3)	/* kicks by eventfd, as KVM_IOEVENTFD does */
#define DRV_F_EVENT_IDX	(1U << 4)	/* VIRTIO_RING_F_EVENT_IDX */
#define DRV_F_INDIRECT	(1U << 5)	/* chains of more than one go into a table */

struct drv;

/**
 * struct drv_buf - a part of a chain
 * @addr: guest-physical address
 * @len: bytes
 */
struct drv_buf {
	uint64_t addr;
	uint32_t len;
};

/**
 * struct drv_queue - the driver's side of one queue
 * @num: entries; 0: not set up
 * @packed: ring format
 * @event_idx: negotiated
 * @desc: guest-physical address of the descriptor area
 * @driver: of the driver area
 * @device: of the device area
 * @tables: of one indirect table per entry, or 0
 * @free_head: split: first free descriptor
 * @n_free: descriptors
 * @next_avail: split: avail index; packed: position
 * @avail_wrap: packed
 * @kicked_at: next_avail (split), or number of descriptors ever added (packed), at the
 *	last kick
 * @added: packed: descriptors ever added
 * @last_used: split: used index; packed: position
 * @used_wrap: packed
 * @in_flight: chains
 * @tokens: by id, what drv_add() was given
 * @n_descs: by id, descriptors of the chain; 0: not in flight
 * @kick_fd: eventfd, or -1
 * @call_fd: eventfd, or -1
 * @notify: pci: where it is kicked
 */
struct drv_queue {
	uint32_t num;
	bool packed;
	bool event_idx;
	uint64_t desc;
	uint64_t driver;
	uint64_t device;
	uint64_t tables;
	uint16_t free_head;
	uint32_t n_free;
	uint16_t next_avail;
	bool avail_wrap;
	uint32_t kicked_at;
	uint32_t added;
	uint16_t last_used;
	bool used_wrap;
	uint32_t in_flight;
	uint64_t tokens[DRV_MAX_NUM];
	uint16_t n_descs[DRV_MAX_NUM];
	int kick_fd;
	int call_fd;
	uint64_t notify;
};

/**
 * struct drv_bus - how one transport does it
 * @name: transport
 * @find: is it there, and where is what
 * @get_status: virtio device status
 * @set_status: write it; 0 resets, and has waited for that when it returns
 * @get_features: offered
 * @set_features: taken
 * @queue_max: most entries, 0 for no such queue
 * @queue_enable: with the addresses in the struct drv_queue
 * @queue_reset: stop this one alone
 * @kick: by an access or a call
 * @config: read or write config bytes
 * @generation: of config
 * @irq_on: attach eventfds, set vectors
 * @irq_wait: until an interrupt came that may be for @queue: 1; 0 after @ms
 */
struct drv_bus {
	const char *name;
	int (*find)(struct drv *d);
	int (*get_status)(struct drv *d);
	int (*set_status)(struct drv *d, uint8_t status);
	uint64_t (*get_features)(struct drv *d);
	int (*set_features)(struct drv *d, uint64_t features);
	uint32_t (*queue_max)(struct drv *d, uint32_t q);
	int (*queue_enable)(struct drv *d, uint32_t q);
	int (*queue_reset)(struct drv *d, uint32_t q);
	int (*kick)(struct drv *d, uint32_t q);
	int (*config)(struct drv *d, uint32_t offset, void *buf, uint32_t len, bool write);
	uint32_t (*generation)(struct drv *d);
	int (*irq_on)(struct drv *d, uint32_t q);
	int (*irq_wait)(struct drv *d, uint32_t q, int ms);
};

/**
 * struct drv - a driver bound to one device
 * @g: the guest
 * @dev: number of the device in it
 * @bus: transport
 * @base: mmio: registers; pci: PCI address
 * @bars: pci: where BARs are put
 * @flags: DRV_F_*
 * @arena: next free byte of guest memory for rings and buffers
 * @arena_end: its end
 * @features: what it took
 * @queues: queues
 * @n_queues: set up
 * @pending: of a shared line: bit of each queue, and of DRV_CONFIG, not waited for yet
 * @line_fd: eventfd of the wired line, or -1
 * @config_fd: eventfd for config changes, or -1
 * @bar: pci: address of each BAR, 0: none
 * @bar_len: pci: bytes
 * @common: pci: address of the common configuration
 * @isr: pci: of the ISR byte
 * @device_cfg: pci: of device config
 * @notify_base: pci: of the notify structure
 * @notify_mul: pci: bytes per queue_notify_off
 * @msix_cap: pci: offset of the capability, 0: none
 * @msix_table: pci: address of the table
 */
struct drv {
	struct guest *g;
	uint32_t dev;
	const struct drv_bus *bus;
	uint64_t base;
	uint64_t bars;
	uint32_t flags;
	uint64_t arena;
	uint64_t arena_end;
	uint64_t features;
	struct drv_queue queues[DRV_QUEUES];
	uint32_t n_queues;
	uint32_t pending;
	int line_fd;
	int config_fd;
	uint64_t bar[DRV_BARS];
	uint64_t bar_len[DRV_BARS];
	uint64_t common;
	uint64_t isr;
	uint64_t device_cfg;
	uint64_t notify_base;
	uint32_t notify_mul;
	uint32_t msix_cap;
	uint64_t msix_table;
};

extern const struct drv_bus drv_direct, drv_mmio, drv_pci;

/* ---- life (driver.c) ------------------------------------------------------------------ */

/* @base as in struct vbe_guest_dev_add. */
void drv_init(struct drv *d, struct guest *g, uint32_t dev, const char *transport,
	      uint64_t base, uint32_t flags);
void drv_arena(struct drv *d, uint64_t addr, uint64_t len);
void drv_exit(struct drv *d);
/* Guest memory, zeroed, @align a power of two; 0 when the arena is used up. */
uint64_t drv_alloc(struct drv *d, uint64_t len, uint64_t align);
void *drv_ptr(struct drv *d, uint64_t addr, uint64_t len);

/*
 * All the way up, from reset to DRIVER_OK: with the features of @want that are offered,
 * and those that the flags need (EOPNOTSUPP when they are not).
 */
int drv_up(struct drv *d, uint64_t want, uint32_t n_queues, uint32_t num);
/* Its steps: reset to FEATURES_OK; one queue; the last. */
int drv_negotiate(struct drv *d, uint64_t want);
int drv_queue_up(struct drv *d, uint32_t q, uint32_t num);
int drv_ok(struct drv *d);
/* Reset, and forget what was in flight. */
int drv_reset(struct drv *d);
/* Reset one queue; it can be set up again by drv_queue_up(). */
int drv_queue_down(struct drv *d, uint32_t q);

/* ---- virtqueues (drv_ring.c) ------------------------------------------------------------ */

void drv_ring_init(struct drv *d, struct drv_queue *q);
/* @n_out readable parts, then @n_in writable ones. ENOSPC when the ring is full. */
int drv_add(struct drv *d, uint32_t q, const struct drv_buf *bufs, uint32_t n_out,
	    uint32_t n_in, uint64_t token);
/* Does the device want to be kicked for what was added since the last kick? */
bool drv_needs_kick(struct drv *d, uint32_t q);
/* A chain that came back: 1, else 0; EPROTO when the device wrote nonsense. */
int drv_get(struct drv *d, uint32_t q, uint64_t *token, uint32_t *len);

/* Kicks if the device wants to know. */
int drv_kick(struct drv *d, uint32_t q);
/* Kicks at any rate. */
int drv_kick_now(struct drv *d, uint32_t q);
/* An interrupt for this queue, or DRV_CONFIG: 1; 0 after @ms. */
int drv_irq(struct drv *d, uint32_t q, int ms);
/* The next chain, waited for by interrupt. */
int drv_wait(struct drv *d, uint32_t q, uint64_t *token, uint32_t *len, int ms);

/* ---- block requests (drv_blk.c) ------------------------------------------------------------ */

/**
 * struct drv_blk_req - a block request and where it lies in guest memory
 * @hdr: address of header and status byte
 * @data: address of the data
 * @len: bytes of it
 */
struct drv_blk_req {
	uint64_t hdr;
	uint64_t data;
	uint32_t len;
};

int drv_blk_req(struct drv *d, struct drv_blk_req *r, uint32_t len);
/* Adds it, no kick; @r is its token. */
int drv_blk_add(struct drv *d, uint32_t q, struct drv_blk_req *r, uint32_t type,
		uint64_t sector);
/* Status byte of one that has come back. */
int drv_blk_status(struct drv *d, const struct drv_blk_req *r);
/* One request from start to end: its status byte. */
int drv_blk(struct drv *d, uint32_t q, struct drv_blk_req *r, uint32_t type, uint64_t sector,
	    int ms);

#endif /* KST_DRIVER_H */
