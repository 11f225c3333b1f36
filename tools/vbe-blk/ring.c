// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
/*
 * I/O by io_uring. The ring can do nothing but read, write and sync: it is restricted before it
 * is enabled, since no seccomp filter sees what goes through it.
 *
 * O_DIRECT is used only straight to and from FE memory, never with a bounce buffer: should this
 * process be killed, the kernel waits for I/O that still holds FE pages before it lets the next
 * backend in, but it cannot see I/O on memory of ours. A late write of that would overtake newer
 * ones. Buffered I/O has ended when the process has.
 */
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vbe-blk.h"

#define REG_MAX		(1ull << 30)	/* bytes of one registered buffer */
#define REGS		64u
#define MAX_TRIES	100u	/* of I/O that the kernel wants to be tried again */

/**
 * struct ring - the io_uring of a worker; only the worker uses it, once it runs
 * @uring: liburing's
 * @img: image
 * @kick: where the kick eventfd is read to
 * @kick_armed: that read is in flight
 * @in_flight: I/O in flight, without the kick
 * @regs: registered buffers
 * @n_regs: their number
 * @bounce: bounce buffers not in use
 * @n_bounce: their number
 * @n_made: bounce buffers made so far
 * @waiting: requests that wait for a bounce buffer
 */
struct ring {
	struct io_uring uring;
	const struct image *img;
	uint64_t kick;
	bool kick_armed;
	uint32_t in_flight;
	struct iovec regs[REGS];
	uint32_t n_regs;
	void *bounce[BLK_BOUNCES];
	uint32_t n_bounce;
	uint32_t n_made;
	struct blk_request *waiting;
};

/* liburing's own function for these two is missing from the shared library of some versions. */
static int do_register(struct io_uring *uring, unsigned int op, void *arg, unsigned int n)
{
	long ret = syscall(SYS_io_uring_register, uring->ring_fd, op, arg, n);

	return ret < 0 ? -errno : 0;
}

static int restrict_ring(struct io_uring *uring)
{
	static const uint8_t ops[] = {
		IORING_OP_READ, IORING_OP_READV, IORING_OP_READ_FIXED,
		IORING_OP_WRITE, IORING_OP_WRITEV, IORING_OP_WRITE_FIXED, IORING_OP_FSYNC,
	};
	static const uint8_t registers[] = {
		IORING_REGISTER_ENABLE_RINGS, IORING_REGISTER_BUFFERS,
		IORING_UNREGISTER_BUFFERS,
	};
	struct io_uring_restriction res[sizeof(ops) + sizeof(registers)];
	unsigned int n = 0;
	int ret;

	memset(res, 0, sizeof(res));
	for (unsigned int i = 0; i < sizeof(ops); i++, n++) {
		res[n].opcode = IORING_RESTRICTION_SQE_OP;
		res[n].sqe_op = ops[i];
	}
	for (unsigned int i = 0; i < sizeof(registers); i++, n++) {
		res[n].opcode = IORING_RESTRICTION_REGISTER_OP;
		res[n].register_op = registers[i];
	}
	ret = do_register(uring, IORING_REGISTER_RESTRICTIONS, res, n);
	return ret ? ret : do_register(uring, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

static int init_uring(struct io_uring *uring, uint32_t entries)
{
	unsigned int flags = IORING_SETUP_R_DISABLED;
	int ret;

	/* Completions need no interrupt of a worker that is about to wait anyway. */
	ret = io_uring_queue_init(entries, uring, flags | IORING_SETUP_COOP_TASKRUN);
	if (ret == -EINVAL)
		ret = io_uring_queue_init(entries, uring, flags);
	if (ret)
		return ret;
	ret = restrict_ring(uring);
	if (ret)
		io_uring_queue_exit(uring);
	return ret;
}

/**
 * ring_new() - make a ring
 * @img: image
 * @entries: at most so many requests at once
 * @err: set to a negative errno on failure
 */
struct ring *ring_new(const struct image *img, uint32_t entries, int *err)
{
	struct ring *ring = calloc(1, sizeof(*ring));

	*err = -ENOMEM;
	if (!ring)
		return NULL;
	ring->img = img;
	/* One per request, and the kick. */
	*err = init_uring(&ring->uring, entries + 1);
	if (!*err)
		return ring;
	free(ring);
	return NULL;
}

void ring_free(struct ring *ring)
{
	if (!ring)
		return;
	io_uring_queue_exit(&ring->uring);
	while (ring->n_bounce)
		free(ring->bounce[--ring->n_bounce]);
	free(ring);
}

/**
 * ring_register() - register the windows, so that I/O need not look up and pin their pages
 * @ring: ring, with nothing in flight
 * @dev: device
 *
 * It works without, only slower. The price: while the ring lives every page of a window is in use,
 * so that none can be given to the driver again should the kernel revoke this backend.
 */
void ring_register(struct ring *ring, struct vbe_dev *dev)
{
	struct vbe_mem_window win;
	int ret;

	if (ring->n_regs)
		io_uring_unregister_buffers(&ring->uring);
	ring->n_regs = 0;
	for (unsigned int i = 0; vbe_mem_window(dev, i, &win) == 0; i++) {
		if (!win.host || win.mem_class != VBE_MEM_PINNED ||
		    win.flags & (VBE_WINDOW_F_READONLY | VBE_WINDOW_F_GUARDED))
			continue;
		for (uint64_t off = 0; off < win.len && ring->n_regs < REGS; off += REG_MAX) {
			struct iovec *v = &ring->regs[ring->n_regs++];

			v->iov_base = (uint8_t *)win.host + off;
			v->iov_len = win.len - off < REG_MAX ? win.len - off : REG_MAX;
		}
	}
	if (!ring->n_regs)
		return;
	ret = io_uring_register_buffers(&ring->uring, ring->regs, ring->n_regs);
	if (ret) {
		note("no fixed buffers: %s%s", strerror(-ret),
		     ret == -ENOMEM ? " (see ulimit -l)" : "");
		ring->n_regs = 0;
	}
}

static int find_reg(const struct ring *ring, const struct iovec *v)
{
	uintptr_t a = (uintptr_t)v->iov_base;

	for (uint32_t i = 0; i < ring->n_regs; i++) {
		uintptr_t base = (uintptr_t)ring->regs[i].iov_base;
		size_t len = ring->regs[i].iov_len;

		if (a >= base && a - base < len && v->iov_len <= len - (a - base))
			return i;
	}
	return -1;
}

static bool direct_ok(const struct ring *ring, const struct blk_request *r)
{
	uint64_t mask = ring->img->dio_align - 1;
	uint64_t bits = r->off + r->pos;

	if (!ring->img->direct || r->no_direct)
		return false;
	for (uint32_t i = r->iov_at; i < r->n_iov; i++)
		bits |= (uintptr_t)r->iov[i].iov_base | r->iov[i].iov_len;
	return !(bits & mask);
}

/* There is one submission entry per request, and one for the kick: never NULL. */
static struct io_uring_sqe *get_sqe(struct ring *ring)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);

	if (!sqe) {
		io_uring_submit(&ring->uring);
		sqe = io_uring_get_sqe(&ring->uring);
	}
	return sqe;
}

static void submit_mapped(struct ring *ring, struct io_uring_sqe *sqe, struct blk_request *r)
{
	int fd = direct_ok(ring, r) ? ring->img->direct_fd : ring->img->fd;
	struct iovec *v = &r->iov[r->iov_at];
	uint32_t n = r->n_iov - r->iov_at;
	uint64_t off = r->off + r->pos;
	int reg = n == 1 ? find_reg(ring, v) : -1;

	if (reg >= 0 && r->op == BLK_WRITE)
		io_uring_prep_write_fixed(sqe, fd, v->iov_base, v->iov_len, off, reg);
	else if (reg >= 0)
		io_uring_prep_read_fixed(sqe, fd, v->iov_base, v->iov_len, off, reg);
	else if (r->op == BLK_WRITE)
		io_uring_prep_writev(sqe, fd, v, n, off);
	else
		io_uring_prep_readv(sqe, fd, v, n, off);
}

static int submit_bounced(struct worker *w, struct io_uring_sqe *sqe, struct blk_request *r)
{
	uint64_t left = r->len - r->pos;

	r->io_len = left < BLK_BOUNCE ? left : BLK_BOUNCE;
	if (r->op == BLK_READ) {
		io_uring_prep_read(sqe, w->img->fd, r->bounce, r->io_len, r->off + r->pos);
		return 0;
	}
	io_uring_prep_write(sqe, w->img->fd, r->bounce, r->io_len, r->off + r->pos);
	if (vbe_vq_chain_read(vbe_queue_vq(w->q), &r->chain, blk_data_start(r) + r->pos,
			      r->bounce, r->io_len))
		return -EFAULT;
	return worker_attached(w) ? 0 : -ENODEV;
}

/* Returns a negative errno when its data is not to be had. */
static int submit_data(struct worker *w, struct io_uring_sqe *sqe, struct blk_request *r)
{
	if (r->op == BLK_WRITE && __atomic_load_n(&w->gone, __ATOMIC_RELAXED))
		return -ENODEV;
	if (!r->mapped)
		return submit_bounced(w, sqe, r);
	submit_mapped(w->ring, sqe, r);
	return 0;
}

static void submit(struct worker *w, struct blk_request *r)
{
	struct io_uring_sqe *sqe = get_sqe(w->ring);

	if (r->op == BLK_FLUSH) {
		io_uring_prep_fsync(sqe, w->img->fd, IORING_FSYNC_DATASYNC);
	} else if (submit_data(w, sqe, r)) {
		/* The entry is taken: let it do nothing harmful, and fail the request. */
		io_uring_prep_read(sqe, w->img->fd, r->bounce, 0, 0);
		r->status = VIRTIO_BLK_S_IOERR;
	}
	if (r->op == BLK_WRITE && r->stable)
		sqe->rw_flags = RWF_DSYNC;
	io_uring_sqe_set_data(sqe, r);
	w->ring->in_flight++;
}

static bool get_bounce(struct ring *ring, struct blk_request *r)
{
	if (!ring->n_bounce && ring->n_made < BLK_BOUNCES) {
		void *buf = malloc(BLK_BOUNCE);

		if (buf) {
			ring->bounce[ring->n_bounce++] = buf;
			ring->n_made++;
		}
	}
	if (!ring->n_bounce)
		return false;
	r->bounce = ring->bounce[--ring->n_bounce];
	return true;
}

/**
 * ring_start() - begin a read, write or flush
 * @w: worker
 * @r: request, parsed
 */
void ring_start(struct worker *w, struct blk_request *r)
{
	struct blk_request **tail;

	if (r->op == BLK_FLUSH || r->mapped || get_bounce(w->ring, r)) {
		submit(w, r);
		return;
	}
	if (!w->ring->n_made) {
		r->status = VIRTIO_BLK_S_IOERR;
		complain("out of memory for bounce buffers");
		worker_done(w, r);
		return;
	}
	r->next = NULL;
	for (tail = &w->ring->waiting; *tail; tail = &(*tail)->next)
		;
	*tail = r;
}

static void finish(struct worker *w, struct blk_request *r)
{
	struct ring *ring = w->ring;
	struct blk_request *next = ring->waiting;

	if (r->bounce) {
		ring->bounce[ring->n_bounce++] = r->bounce;
		r->bounce = NULL;
		if (next) {
			ring->waiting = next->next;
			get_bounce(ring, next);
			submit(w, next);
		}
	}
	worker_done(w, r);
}

static const char *op_name(const struct blk_request *r)
{
	return r->op == BLK_READ ? "read" : r->op == BLK_WRITE ? "write" : "flush";
}

static void fail(struct worker *w, struct blk_request *r, const char *why)
{
	complain("%s of %llu bytes at %llu failed: %s", op_name(r), (unsigned long long)r->len,
		 (unsigned long long)r->off, why);
	r->status = VIRTIO_BLK_S_IOERR;
	finish(w, r);
}

/*
 * Its memory has changed, and we have not been told yet: the kernel knows better, and copies from
 * what is there now, or fails.
 */
static void use_copies(struct worker *w, struct blk_request *r)
{
	for (uint32_t i = 0; i < r->chain.nr_read + r->chain.nr_write; i++)
		r->segs[i].host = NULL;
	r->mapped = false;
	ring_start(w, r);
}

static void complete(struct worker *w, struct blk_request *r, int res)
{
	if ((res == -EINTR || res == -EAGAIN) && r->tries++ < MAX_TRIES) {
		submit(w, r);
		return;
	}
	/* Stricter about alignment than it looked, or not for this memory. */
	if ((res == -EINVAL || res == -EFAULT) && r->mapped && direct_ok(w->ring, r)) {
		r->no_direct = true;
		submit(w, r);
		return;
	}
	if (res == -EFAULT && r->mapped && r->status == VIRTIO_BLK_S_OK)
		return use_copies(w, r);
	if (r->status != VIRTIO_BLK_S_OK || res < 0) {
		fail(w, r, res < 0 ? strerror(-res) : "its data is out of reach");
		return;
	}
	if (r->op == BLK_FLUSH) {
		finish(w, r);
		return;
	}
	if (!res) {
		fail(w, r, "the image ends here: was it truncated?");
		return;
	}
	if (r->bounce && r->op == BLK_READ &&
	    vbe_vq_chain_write(vbe_queue_vq(w->q), &r->chain, r->pos, r->bounce, res)) {
		fail(w, r, "its data is out of reach");
		return;
	}
	blk_advance(r, res);
	if (r->pos < r->len)
		submit(w, r);
	else
		finish(w, r);
}

/* Whether the kick eventfd may be read by the ring, so that one must wait with ring_wait(). */
bool ring_busy(const struct ring *ring)
{
	return ring->in_flight || ring->kick_armed;
}

static void arm_kick(struct worker *w)
{
	struct io_uring_sqe *sqe = get_sqe(w->ring);

	io_uring_prep_read(sqe, vbe_queue_kick_fd(w->q), &w->ring->kick, sizeof(w->ring->kick), 0);
	io_uring_sqe_set_data(sqe, NULL);
	w->ring->kick_armed = true;
}

/**
 * ring_wait() - submit what was started; wait for a completion or a kick; handle completions
 * @w: worker
 *
 * Return: 0 or a negative errno.
 */
int ring_wait(struct worker *w)
{
	struct ring *ring = w->ring;
	struct io_uring_cqe *cqe;
	int ret;

	if (!ring->kick_armed)
		arm_kick(w);
	ret = io_uring_submit_and_wait(&ring->uring, 1);
	if (ret < 0 && ret != -EINTR && ret != -EAGAIN && ret != -EBUSY)
		return ret;
	while (io_uring_peek_cqe(&ring->uring, &cqe) == 0) {
		struct blk_request *r = io_uring_cqe_get_data(cqe);
		int res = cqe->res;

		io_uring_cqe_seen(&ring->uring, cqe);
		if (!r) {
			ring->kick_armed = false;
			/* Not to be expected; but if so, do not spin. */
			if (res < 0 && res != -EINTR && res != -EAGAIN)
				complain("queue %u: cannot read its kicks: %s", w->index,
					 strerror(-res));
			if (res < 0)
				vbe_queue_wait(w->q, 1);
			continue;
		}
		ring->in_flight--;
		complete(w, r, res);
	}
	return 0;
}
