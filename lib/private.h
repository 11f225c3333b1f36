/* SPDX-License-Identifier: BSD-3-Clause */
/* Copyright (c) 2026 The vbe authors */
/* What the files of libvbe share. */
#ifndef VBE_PRIVATE_H
#define VBE_PRIVATE_H

#include <pthread.h>
#include <stdbool.h>
#include <vbe/vbe.h>

/**
 * struct vbe_kind - what the engine does not need to know of a window
 * @mem_class: &enum vbe_mem_class
 * @flags: VBE_WINDOW_F_*
 */
struct vbe_kind {
	uint32_t mem_class;
	uint32_t flags;
};

/**
 * struct vbe_dev - a device fd and its mappings
 * @fd: device fd, owned
 * @lock: protects the first loading of @windows, and @inflight
 * @loaded: @windows, @kinds and @mem are valid. Set under @lock, read without
 * @mem: FE memory as the engine takes it; its table is @windows
 * @windows: table, mem.nr_windows entries
 * @kinds: of each
 * @inflight: mapping of the whole in-flight area, or NULL
 * @inflight_slice: bytes per queue
 * @inflight_queues: number of slices
 */
struct vbe_dev {
	int fd;
	pthread_mutex_t lock;
	bool loaded;
	struct vbe_vq_mem mem;
	struct vbe_vq_window *windows;
	struct vbe_kind *kinds;
	void *inflight;
	size_t inflight_slice;
	uint32_t inflight_queues;
};

/**
 * struct vbe_kick - what a queue is kicked by
 * @fd: what waiters use: a duplicate of @own or @adopted; the same number for its life
 * @own: our eventfd
 * @adopted: the FE's eventfd, or -1
 * @nonblock: @fd does not block: poll it first. A hint; atomic
 */
struct vbe_kick {
	int fd;
	int own;
	int adopted;
	bool nonblock;
};

int vbe_kick_init(struct vbe_kick *k);
void vbe_kick_exit(struct vbe_kick *k);
int vbe_kick_attach(struct vbe_kick *k, struct vbe_dev *dev, uint32_t index);
void vbe_kick_detach(struct vbe_kick *k, struct vbe_dev *dev, uint32_t index);
int vbe_kick_wait(struct vbe_kick *k, int timeout_ms);
void vbe_kick_wake(struct vbe_kick *k);

int vbe_ioctl(const struct vbe_dev *dev, unsigned long cmd, void *arg);
void vbe_mem_drop(struct vbe_dev *dev);

#endif /* VBE_PRIVATE_H */
