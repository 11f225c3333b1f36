/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Devices by netlink, and what the front-end made of them.
 *
 * Copyright (c) 2026 The vbe authors
 */
#ifndef KST_DEV_H
#define KST_DEV_H

#include <stdbool.h>
#include <stdint.h>

#define NO_ID	0xffffffffU

/**
 * struct dev_params - a device to make; 0 (ids: NO_ID) leaves a field out
 */
struct dev_params {
	const char *name;
	const char *provider;
	uint64_t window;
	uint32_t virtio_id;
	uint32_t uid;
	uint32_t gid;
	uint32_t reset_ms;
	uint32_t loss;
	bool has_loss;
	const char *path;
	bool readonly;
};

/**
 * struct dev_state - a device as netlink tells of it
 */
struct dev_state {
	uint32_t state;
	uint32_t status;
	uint32_t loss;
	uint32_t reset_ms;
	uint32_t n_queues;
	uint64_t bounded_resets;
	uint64_t revokes;
	uint64_t losses;
	uint64_t events_lost;
	uint64_t unanswered;
	uint32_t backend_pid;
	char fe_name[32];
};

extern char dev_text[256];	/* extack text of the last call */

struct dev_params dev_defaults(const char *name);
int dev_add(const struct dev_params *p);
int dev_add_named(const char *name);
int dev_del(const char *name);
int dev_fresh(const struct dev_params *p);
int dev_set_loss(const char *name, uint32_t policy);
int dev_set_reset_ms(const char *name, uint32_t ms);
int dev_resize(const char *name);
int dev_get(const char *name, struct dev_state *st);
bool dev_wait_state(const char *name, uint32_t state, int ms);

/* The front-end: this kernel's own virtio bus. */
bool fe_wait_driver(const char *name, const char *driver, char *virtio, int ms);
bool fe_wait_status(const char *name, uint32_t bits, int ms);
bool fe_wait_gone(const char *virtio, int ms);
bool fe_block(const char *virtio, char *node, int ms);
uint64_t fe_block_sectors(const char *node);

#endif /* KST_DEV_H */
