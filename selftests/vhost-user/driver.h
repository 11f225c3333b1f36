/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 The vbe authors */
/*
 * A VMM of one piece: a vhost-user front-end, the memory of a guest, and the guest's virtio-blk
 * driver with split rings. It connects again whenever its connection ends, as VMMs do, and the
 * "guest" does not notice.
 */
#ifndef DRIVER_H
#define DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire.h"

#define BIT(n)		(1ull << (n))
#define MB		(1024ull * 1024)
#define BLOCK		4096u
#define BLOCKS		4096u	/* of the disk that are used */
#define RING_SIZE	128u
#define MAX_DEPTH	32u
#define MAX_QUEUES	4u
#define REPLY_MS	30000	/* a connection waits in the backlog until a backend is online */
#define GUEST_BASE	0x40000000ull	/* guest address of the memory */
#define GUEST_SIZE	(16 * MB)
#define EXTRA_BASE	0x80000000ull	/* and of what comes and goes */
#define EXTRA_SIZE	(2 * MB)

/**
 * struct request - one place for a request, in the guest's memory
 * @busy: submitted
 * @write: it is a write
 * @block: of the disk
 * @version: what is written, or must be read
 */
struct request {
	bool busy;
	bool write;
	uint32_t block;
	uint32_t version;
};

/**
 * struct queue - a virtqueue as its driver knows it
 * @kick: eventfd
 * @call: eventfd
 * @avail: next available index
 * @used: next used index that is looked at
 * @reqs: what is in flight; request n has descriptors 3n to 3n + 2
 */
struct queue {
	int kick;
	int call;
	uint16_t avail;
	uint16_t used;
	struct request reqs[MAX_DEPTH];
};

/**
 * struct vmm - all of it
 * @path: socket to connect to
 * @n_queues: queues in use
 * @depth: requests in flight per queue
 * @use_status: negotiate STATUS
 * @use_slots: ADD_MEM_REG instead of SET_MEM_TABLE
 * @use_inflight: INFLIGHT_SHMFD
 * @extra: the extra region is there
 * @told: of the memory, on this connection
 * @buffer: guest address of all data, if not 0
 * @any_result: what a request gives does not matter, but that it ends does
 * @sock: connection, -1 for none
 * @mem: guest memory; its rings are at its beginning
 * @mem_fd: its file
 * @extra_fd: file of the extra region
 * @inflight_fd: kept over connections, -1 for none yet
 * @inflight: what came with it
 * @features: that were taken
 * @capacity: sectors
 * @queues: queues
 * @versions: of each block, as last completed; 0: this program has not written it
 * @salt: makes what is written differ from what another run has
 * @in_use: blocks that a request is about
 * @done: requests completed
 * @reconnects: how often it has connected again
 */
struct vmm {
	const char *path;
	unsigned int n_queues;
	unsigned int depth;
	bool use_status;
	bool use_slots;
	bool use_inflight;
	bool extra;
	bool told;
	uint64_t buffer;
	bool any_result;
	int sock;
	uint8_t *mem;
	int mem_fd;
	int extra_fd;
	int inflight_fd;
	struct vu_inflight inflight;
	uint64_t features;
	uint64_t capacity;
	struct queue queues[MAX_QUEUES];
	uint32_t versions[BLOCKS];
	uint64_t salt;
	bool in_use[BLOCKS];
	uint64_t done;
	unsigned int reconnects;
};

void vmm_init(struct vmm *v, const char *path);
void vmm_free(struct vmm *v);
int vmm_socket(const char *path, int timeout_ms);
int vmm_connect(struct vmm *v);
int vmm_start(struct vmm *v);
int vmm_stop(struct vmm *v);
int vmm_request(struct vmm *v, uint32_t request, const void *p, uint32_t size, const int *fds,
		unsigned int n_fds, union vu_payload *reply, int *reply_fd);
int vmm_simple(struct vmm *v, uint32_t request, const void *p, uint32_t size);
int vmm_extra(struct vmm *v, bool on);
bool vmm_alive(struct vmm *v);
int io_submit(struct vmm *v, unsigned int q, uint32_t block, bool out);
int io_reap(struct vmm *v, unsigned int q);
unsigned int io_in_flight(const struct vmm *v);
int io_drain(struct vmm *v);
int io_run(struct vmm *v, int64_t ms);
void io_random(struct vmm *v);
int io_verify(struct vmm *v);
int64_t now_ms(void);

#endif /* DRIVER_H */
