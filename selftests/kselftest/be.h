/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A small backend for tests, by raw ioctls and with rings of its own, which can
 * be told to misbehave.
 *
 * Copyright (c) 2026 The vbe authors
 */
#ifndef KST_BE_H
#define KST_BE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <linux/virtio_ring.h>
#include <linux/vbe.h>

#define BE_QUEUES	8
#define BE_WINDOWS	8
#define BE_SEGS		160

#define BE_RNG_BYTE	0xa7

/* virtio device types that the backend plays */
#define BE_NET		1
#define BE_BLK		2
#define BE_CONSOLE	3
#define BE_RNG		4

struct be_window {
	uint64_t fe_addr;
	uint64_t len;
	uint8_t *host;
	bool readonly;
};

struct be_seg {
	uint8_t *p;
	uint32_t len;
	bool write;
};

/**
 * struct be_queue - the device side of one queue
 * @live: enabled by the driver, and mapped
 * @packed: ring format
 * @num: entries
 * @next: split: available index; packed: ring position
 * @wrap: packed: wrap counter
 * @event_idx: VIRTIO_RING_F_EVENT_IDX was taken
 * @look: look at the ring once without a kick
 * @pushed: split: used index; packed: descriptors given back
 * @called_at: @pushed when it was last asked whether to call
 * @kick: eventfd, or -1; the FE's own with @adopt_kick, if there is one
 * @call: eventfd, or -1
 * @adopted: @kick is the FE's own
 * @saved: where the packed position survives this backend, in the in-flight area
 */
struct be_queue {
	bool live;
	bool packed;
	uint32_t num;
	uint16_t next;
	bool wrap;
	bool event_idx;
	bool look;
	uint16_t pushed;
	uint16_t called_at;
	int kick;
	int call;
	bool adopted;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	struct vring_packed_desc *pdesc;
	struct vring_packed_desc_event *pdriver;
	struct vring_packed_desc_event *pdevice;
	uint32_t *saved;
};

/**
 * struct be - a backend; lies in memory that forked processes share
 *
 * What it is, set before be_attach() and be_online():
 * @id: virtio device type
 * @features: offered, VERSION_1 included
 * @n_queues: queues
 * @queue_size: most entries of each
 * @config: config bytes
 * @config_size: how many of them
 * @loss: loss policy
 * @inflight: in-flight bytes per queue
 * @setup_flags: VBE_SETUP_F_*; with VBE_SETUP_F_QUEUE_STOP it stops single queues
 * @adopt_kick: waits on the FE's own eventfds, where the FE brings any
 * @strict: looks at a ring on a kick, and once at that of a former backend; else each
 *	tick too, so that nobody sees a kick get lost
 * @disk: contents of a disk
 * @disk_size: bytes
 *
 * How it misbehaves, may change at any time:
 * @stall: takes nothing from the queues
 * @mute_reset: leaves resets unanswered
 * @mute_stop: leaves stops of single queues unanswered
 * @mute_features: leaves feature questions unanswered
 * @refuse: refuses features
 *
 * What it has seen:
 * @events: count by type
 * @stopped_at: where the queue that was stopped last ended, as &vbe_queue_info.base
 * @last_seq: of the last event
 * @bad_seq: a sequence number did not grow by one
 * @served: chains completed
 * @rounds: times that its thread has been through all it does
 * @hup: poll said POLLHUP
 * @broken: why it gave up, or NULL
 *
 * @owner: the process whose fds and mappings the rest speaks of
 */
struct be {
	int fd;
	uint32_t id;
	uint64_t features;
	uint32_t n_queues;
	uint32_t queue_size;
	uint8_t config[256];
	uint32_t config_size;
	uint32_t loss;
	uint32_t inflight;
	uint32_t setup_flags;
	bool adopt_kick;
	bool strict;
	uint8_t *disk;
	uint64_t disk_size;

	volatile bool stall;
	volatile bool mute_reset;
	volatile bool mute_stop;
	volatile bool mute_features;
	volatile bool refuse;
	volatile bool stop;

	volatile uint32_t events[32];
	volatile uint32_t stopped_at;
	volatile uint64_t last_seq;
	volatile bool bad_seq;
	volatile uint32_t served;
	volatile uint32_t rounds;
	volatile bool hup;
	const char *volatile broken;

	pid_t owner;
	struct be_window windows[BE_WINDOWS];
	uint32_t n_windows;
	uint8_t *inflight_map;
	uint64_t inflight_len;
	struct be_queue queues[BE_QUEUES];
	bool running;
	pthread_t thread;
};

struct be *be_new(uint32_t id);
void be_free(struct be *be);
void be_make_disk(struct be *be, uint64_t size);

int be_attach(struct be *be, const char *name);
int be_take(struct be *be, int fd);
int be_setup(struct be *be);
int be_online(struct be *be);
int be_start(struct be *be);
void be_stop(struct be *be);
void be_drop(struct be *be);
int be_leave(struct be *be, int ms);
int be_up(struct be *be, const char *name);
pid_t be_fork(struct be *be, const char *name);

bool be_stall(struct be *be);
bool be_wait_event(struct be *be, uint32_t type, uint32_t count, int ms);
void *be_host(struct be *be, uint64_t fe_addr, uint64_t len);

/* ring.c */
int be_queue_start(struct be *be, uint32_t index, bool resume);
int be_pop(struct be *be, struct be_queue *q, struct be_seg *segs, uint32_t *id,
	   uint32_t *n_descs);
uint32_t be_queue_base(const struct be_queue *q);
void be_push(struct be_queue *q, uint32_t id, uint32_t n_descs, uint32_t written);
bool be_needs_call(struct be_queue *q);
int be_broken(struct be *be, const char *why);

/* serve.c */
uint32_t be_serve_chain(struct be *be, uint32_t queue, struct be_seg *segs, int n);

#endif /* KST_BE_H */
