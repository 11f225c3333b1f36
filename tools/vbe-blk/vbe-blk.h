/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 The vbe authors */
/*
 * vbe-blk: what its files share. Each section is one file.
 *
 * Threads: the main thread handles events and signals (serve.c). Each queue has a worker
 * (worker.c), which owns the queue, its requests and its io_uring while it runs, and a helper
 * (helper.c) for what io_uring cannot do. The main thread starts, stops and resets queues only
 * while their worker is idle. A child process (minder.c) keeps the privileges that are needed to
 * find the disk's name and to delete the device at the end. With --wait all of this is a child of
 * a process that waits for the device (wait.c). With --auto each device has a process of this
 * program, started by one that does nothing else (auto.c).
 */
#ifndef VBE_BLK_H
#define VBE_BLK_H

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <linux/virtio_blk.h>
#include <vbe/vbe.h>

#include "../common/log.h"
#include "../common/notify.h"

#define SECTOR			512u
#define BLK_SEG_MAX		126u	/* data segments that a driver may use */
#define BLK_SEGS		(BLK_SEG_MAX + 34) /* and header, status, window crossings */
#define BLK_MAX_RANGES		16u	/* segments of one discard or write-zeroes */
#define BLK_MAX_RANGE_SECTORS	(1u << 22) /* of each: 2 GiB */
#define BLK_BOUNCE		(256u << 10) /* bytes of one bounce buffer */
#define BLK_BOUNCES		16u	/* bounce buffers per queue */
#define BLK_MAX_QUEUES		64u
#define BLK_MAX_QUEUE_SIZE	1024u

/* XC_GONE: of a server, to the process that waits: the device went away. */
enum exit_code { XC_OK, XC_FAIL, XC_USAGE, XC_UNSUPPORTED, XC_PERM, XC_GONE = 64 };
enum direct_mode { DIRECT_AUTO, DIRECT_ON, DIRECT_OFF };

/* ---- options.c ---- */

#define AUTO_PASS_MAX		32u	/* options that --auto hands on */

/**
 * struct options - the command line
 * @image: path of the image; NULL with @null
 * @name: device name
 * @loop: make the device with the loop provider
 * @on: serve the existing device @name
 * @fd: serve this device fd; -1: none
 * @wait: wait for the device @on, and again when it has gone
 * @all: serve every device that is configured with a path
 * @provider: with @all: only those of this provider; NULL: of any
 * @pass: with @all: options for each server
 * @n_pass: their number
 * @null: serve zeroes, drop writes
 * @size: bytes, of @null
 * @queues: number of queues
 * @queue_size: entries of each; 0: what suits the device
 * @block_size: logical block size; 0: of the image
 * @read_only: refuse writes
 * @writethrough: each write is stable before it completes
 * @packed: offer packed rings
 * @event_idx: offer the event index
 * @indirect: offer indirect descriptors
 * @direct: O_DIRECT
 * @fixed: register the windows with io_uring
 * @force: take over although another image was served before
 * @sandbox: seccomp and dropped privileges
 * @verbose: say more
 * @policy: &enum vbe_loss_policy
 * @window: bytes of shared window; 0: the provider's default
 * @serial: answer to GET_ID
 * @user: run as this user; NULL: nobody when root
 */
struct options {
	const char *image;
	char name[VBE_NAME_MAX];
	bool loop;
	bool on;
	int fd;
	bool wait;
	bool all;
	const char *provider;
	char *pass[AUTO_PASS_MAX];
	uint32_t n_pass;
	bool null;
	uint64_t size;
	uint32_t queues;
	uint32_t queue_size;
	uint32_t block_size;
	bool read_only;
	bool writethrough;
	bool packed;
	bool event_idx;
	bool indirect;
	enum direct_mode direct;
	bool fixed;
	bool force;
	bool sandbox;
	bool verbose;
	uint32_t policy;
	uint64_t window;
	char serial[VIRTIO_BLK_ID_BYTES + 1];
	const char *user;
};

int options_parse(struct options *o, int argc, char **argv);

/* Monotonic. */
static inline int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ll + ts.tv_nsec / 1000000;
}

/* ---- image.c ---- */

/**
 * struct image - what is served. Constant while workers run, but @size and @direct
 * @fd: buffered fd; -1: zeroes
 * @direct_fd: O_DIRECT fd of the same file; -1: none. Its open file holds the lock
 * @direct: O_DIRECT is used now; changes while no I/O is in flight
 * @dio_align: what address, offset and length must be a multiple of for @direct_fd
 * @block_dev: it is a block device
 * @read_only: opened read-only
 * @can_discard: punching holes works
 * @size: bytes, whole sectors. Atomic: resize
 * @logical: logical block size to report
 * @physical: physical block size, @logical << n
 * @io_min: least I/O size that performs well, bytes; 0 unknown
 * @io_opt: best I/O size, bytes; 0 unknown
 * @tag: says which image it is; survives in the in-flight area
 */
struct image {
	int fd;
	int direct_fd;
	bool direct;
	uint32_t dio_align;
	bool block_dev;
	bool read_only;
	bool can_discard;
	uint64_t size;
	uint32_t logical;
	uint32_t physical;
	uint32_t io_min;
	uint32_t io_opt;
	uint64_t tag[2];
};

int image_open(struct image *img, const struct options *o);
void image_use_direct(struct image *img, bool on);
int image_resize(struct image *img);
int image_discard(const struct image *img, uint64_t off, uint64_t len);
int image_zero(const struct image *img, uint64_t off, uint64_t len, bool may_unmap);
int image_sync(const struct image *img);
void image_close(struct image *img);

static inline uint64_t image_size(const struct image *img)
{
	return __atomic_load_n(&img->size, __ATOMIC_ACQUIRE);
}

/* ---- blk.c ---- */

enum blk_op {
	BLK_DONE,	/* answered already: @status says how */
	BLK_READ,
	BLK_WRITE,
	BLK_FLUSH,
	BLK_DISCARD,
	BLK_ZERO,
	BLK_GET_ID,
};

struct blk_range {
	uint64_t off;
	uint64_t len;
	bool unmap;
};

/**
 * struct blk_request - one request of the driver
 * @chain: its buffer; @chain.segs is @segs
 * @op: what to do
 * @status: VIRTIO_BLK_S_*
 * @mapped: all of the data is mapped: @iov is valid
 * @no_direct: the O_DIRECT fd refused it
 * @tries: how often I/O was to be tried again
 * @stable: must be on stable storage before it completes
 * @off: first byte of the image (read, write)
 * @len: bytes of data
 * @pos: bytes done
 * @n_iov: entries of @iov
 * @iov_at: first entry of @iov with something left to do
 * @bounce: bounce buffer, or NULL
 * @io_len: bytes of the I/O in flight
 * @ranges: of discard and write-zeroes
 * @n_ranges: number
 * @next: in lists of its worker
 * @segs: of @chain
 * @iov: data, mapped, neighbours merged
 */
struct blk_request {
	struct vbe_vq_chain chain;
	enum blk_op op;
	uint8_t status;
	bool mapped;
	bool no_direct;
	uint32_t tries;
	bool stable;
	uint64_t off;
	uint64_t len;
	uint64_t pos;
	uint32_t n_iov;
	uint32_t iov_at;
	void *bounce;
	uint32_t io_len;
	struct blk_range *ranges;
	uint32_t n_ranges;
	struct blk_request *next;
	struct vbe_vq_seg segs[BLK_SEGS];
	struct iovec iov[BLK_SEGS];
};

/**
 * struct blk_limits - what requests are checked against
 * @capacity: bytes
 * @read_only: refuse what changes the image
 * @can_discard: discard and write-zeroes were offered
 */
struct blk_limits {
	uint64_t capacity;
	bool read_only;
	bool can_discard;
};

/* Where the data part begins in the readable or writable part of a chain. */
static inline uint32_t blk_data_start(const struct blk_request *r)
{
	return r->op == BLK_READ || r->op == BLK_GET_ID ? 0 : sizeof(struct virtio_blk_outhdr);
}

void blk_parse(const struct vbe_vq *vq, const struct blk_limits *lim, struct blk_request *r);
void blk_advance(struct blk_request *r, uint32_t n);
void blk_get_id(const struct vbe_vq *vq, struct blk_request *r, const char *serial);
void blk_fill_zero(const struct vbe_vq *vq, struct blk_request *r);
uint32_t blk_finish(const struct vbe_vq *vq, struct blk_request *r);

/* ---- helper.c ---- */

/**
 * struct helper - a thread that does discards and write-zeroes, which may take long
 * @thread: thread
 * @lock: protects @todo, @done, @stop
 * @cond: @todo or @stop changed
 * @todo: requests to do
 * @done: requests done, for the worker
 * @stop: end
 * @img: image
 * @wake: the worker's queue
 */
struct helper {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	struct blk_request *todo;
	struct blk_request *done;
	bool stop;
	const struct image *img;
	struct vbe_queue *wake;
};

int helper_start(struct helper *h, const struct image *img, struct vbe_queue *wake);
void helper_stop(struct helper *h);
void helper_submit(struct helper *h, struct blk_request *r);
struct blk_request *helper_reap(struct helper *h);

/* ---- worker.c, ring.c ---- */

enum worker_state { W_IDLE, W_RUN, W_EXIT };

struct ring;

/**
 * struct worker - a queue's thread
 * @index: queue
 * @q: queue; the main thread's while @state is W_IDLE
 * @dev: device
 * @img: image
 * @want: what the main thread wants. Atomic
 * @lock: protects @state
 * @cond: @state changed
 * @state: what the thread does
 * @thread: thread
 * @reqs: request per queue entry
 * @n_reqs: their number
 * @free: requests not in use
 * @in_flight: requests popped and not finished. Atomic: the main thread looks
 * @staged: requests finished, not published
 * @broken: the queue broke: nothing is popped any more
 * @ring: io_uring; NULL with --null
 * @helper: for discards
 * @serial: answer to GET_ID
 * @writethrough: writes must be stable. Atomic: the driver may change it
 * @gone: the driver's memory has gone: nothing of it is written to the image. Atomic
 * @unstable: what was written could not be made stable: no more of it. Atomic
 * @can_discard: discard and write-zeroes are offered
 * @n_read: requests served, for the log
 * @n_write: likewise
 * @n_other: likewise
 */
struct worker {
	uint32_t index;
	struct vbe_queue *q;
	struct vbe_dev *dev;
	const struct image *img;
	int want;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	enum worker_state state;
	pthread_t thread;
	struct blk_request *reqs;
	uint32_t n_reqs;
	struct blk_request *free;
	uint32_t in_flight;
	uint32_t staged;
	bool broken;
	struct ring *ring;
	struct helper helper;
	const char *serial;
	bool writethrough;
	bool gone;
	bool unstable;
	bool can_discard;
	uint64_t n_read;
	uint64_t n_write;
	uint64_t n_other;
};

int worker_create(struct worker *w, uint32_t queue_size);
void worker_order(struct worker *w, enum worker_state want);
int worker_await(struct worker *w, unsigned int timeout_ms);
void worker_join(struct worker *w);
bool worker_attached(const struct worker *w);
void worker_done(struct worker *w, struct blk_request *r);

struct ring *ring_new(const struct image *img, uint32_t entries, int *err);
void ring_free(struct ring *ring);
void ring_register(struct ring *ring, struct vbe_dev *dev);
void ring_start(struct worker *w, struct blk_request *r);
bool ring_busy(const struct ring *ring);
int ring_wait(struct worker *w);

/* ---- create.c ---- */

int create_loop(const struct options *o, char *err, size_t err_len);
int create_delete(const char *name, char *err, size_t err_len);
int create_fe_name(const char *name, char *fe, size_t fe_len);

/* ---- minder.c ---- */

int minder_start(const char *name);
void minder_ask_disk(int fd);
bool minder_take_disk(int fd, char *buf, size_t len);
bool minder_delete(int fd);

/* ---- sandbox.c ---- */

int sandbox_threads(const struct options *o);
int sandbox_enter(const struct options *o);
int sandbox_owner(const struct options *o, uid_t *uid, gid_t *gid);

/* ---- open.c ---- */

int open_exit_code(int err);
void open_interruptible(bool on);
struct vbe_dev *open_device(const struct options *o);
void open_explain(const struct options *o, int err);

/* ---- main.c, wait.c ---- */

int serve_device(struct options *o, struct image *img, struct vbe_dev *dev,
		 const sigset_t *signals, bool created);
int wait_and_serve(struct options *o, struct image *img, const sigset_t *signals);
bool wait_bind(void);

/* ---- device.c ---- */

/**
 * struct disk - the virtio device as it was set up
 * @n_queues: number of queues
 * @queue_sizes: the most entries of each
 * @features: offered
 * @config: config space
 * @wce: writeback that the device begins with, and returns to on reset
 * @resumed: a former backend served it
 * @local: its driver is on this machine
 * @direct: O_DIRECT may be used
 * @fixed: fixed buffers are used
 */
struct disk {
	uint32_t n_queues;
	uint32_t queue_sizes[BLK_MAX_QUEUES];
	uint64_t features;
	struct virtio_blk_config config;
	uint8_t wce;
	bool resumed;
	bool local;
	bool direct;
	bool fixed;
};

int disk_setup(struct disk *d, const struct options *o, struct image *img, struct vbe_dev *dev);
void disk_memory_changed(struct disk *d, struct image *img, struct vbe_dev *dev);
int disk_claim(const struct options *o, const struct image *img, struct vbe_dev *dev);
bool disk_writethrough(const struct disk *d, struct vbe_dev *dev);

/* ---- serve.c ---- */

/**
 * enum serve_end - how serving ended
 * @END_NEVER_ONLINE: it never began
 * @END_KEPT: the device waits for the next server
 * @END_CLEAN: the device was taken from its driver
 */
enum serve_end { END_NEVER_ONLINE, END_KEPT, END_CLEAN };

int serve(const struct options *o, struct image *img, struct vbe_dev *dev, int minder,
	  const sigset_t *signals, enum serve_end *end);

#endif /* VBE_BLK_H */
