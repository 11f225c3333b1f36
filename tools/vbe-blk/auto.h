/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 The vbe authors */
/* --auto: what its two files share. */
#ifndef VBE_BLK_AUTO_H
#define VBE_BLK_AUTO_H

#include "vbe-blk.h"

/**
 * struct auto_dev - a device as the kernel describes it
 * @id: its number; never used again
 * @name: its name
 * @provider: who brings the front-end
 * @path: what is to be served, or empty
 * @virtio_id: device type; 0: open
 * @state: &enum vbe_dev_state
 * @readonly: it is not to be changed
 * @served: there is a backend
 */
struct auto_dev {
	uint32_t id;
	char name[VBE_NAME_MAX];
	char provider[VBE_LABEL_MAX];
	char path[VBE_PARAM_MAX];
	uint32_t virtio_id;
	uint32_t state;
	bool readonly;
	bool served;
};

/* ---- auto_nl.c ---- */

int auto_nl_open(void);
int auto_nl_events(bool *look);
int auto_nl_scan(void (*fn)(const struct auto_dev *d, void *arg), void *arg);

/* ---- auto.c ---- */

int auto_run(struct options *o, sigset_t *signals);

#endif /* VBE_BLK_AUTO_H */
