// SPDX-License-Identifier: GPL-2.0
/*
 * A ublk server whose disk reads as zeroes: the peer in the benchmark, as no
 * Debian package has one.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * One queue, one thread, one ring, set up as a server that wants to be quick
 * does it: fixed file, single issuer, deferred task work, every completion
 * fetches the next request, and one system call both submits and waits.
 *
 * Prints the disk's name once it is there, and serves until SIGTERM or SIGINT.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <liburing.h>
#include <linux/ublk_cmd.h>

#define DEPTH		128
#define MAX_IO		0x100000U
#define SECTORS		0x200000ULL
#define DEV_ID		0

/* Headers of before 6.4 have only the bare numbers of the commands. */
#define CTRL_OP(nr)	_IOWR('u', nr, struct ublksrv_ctrl_cmd)
#define IO_OP(nr)	_IOWR('u', nr, struct ublksrv_io_cmd)
#define FLAG_CMD_IOCTL_ENCODE	0x40ULL

struct queue {
	int dev;
	struct io_uring ring;
	const struct ublksrv_io_desc *descs;
	char *bufs;
	pthread_barrier_t ready;
};

static void fail(int error, const char *what)
{
	errno = error;
	err(1, "%s", what);
}

/* All zero; it is as large as the ring's entries are. */
static struct io_uring_sqe *new_sqe(struct io_uring *ring)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	if (!sqe)
		errx(1, "submission ring overrun");
	memset(sqe, 0, sizeof(*sqe) << !!(ring->flags & IORING_SETUP_SQE128));
	return sqe;
}

static void ctrl_named(struct io_uring *ring, int fd, const char *name, unsigned int nr,
		       void *buf, size_t len, __u64 data)
{
	struct io_uring_sqe *sqe = new_sqe(ring);
	struct ublksrv_ctrl_cmd *cmd = (void *)&sqe->addr3;
	struct io_uring_cqe *cqe = NULL;
	int ret;

	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = fd;
	sqe->off = CTRL_OP(nr);
	cmd->dev_id = DEV_ID;
	cmd->queue_id = -1;
	cmd->addr = (__u64)(uintptr_t)buf;
	cmd->len = len;
	cmd->data[0] = data;
	ret = io_uring_submit_and_wait(ring, 1);
	if (ret >= 0)
		ret = io_uring_peek_cqe(ring, &cqe);
	if (ret < 0)
		fail(-ret, "io_uring of /dev/ublk-control");
	ret = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	if (ret < 0)
		fail(-ret, name);
}

#define ctrl(ring, fd, nr, ...)	ctrl_named(ring, fd, #nr, nr, __VA_ARGS__)

static void add_device(struct io_uring *ring, int fd)
{
	struct ublksrv_ctrl_dev_info info = {
		.nr_hw_queues = 1,
		.queue_depth = DEPTH,
		.max_io_buf_bytes = MAX_IO,
		.dev_id = DEV_ID,
		.ublksrv_pid = getpid(),
		.flags = FLAG_CMD_IOCTL_ENCODE,
	};
	struct ublk_params params = {
		.len = sizeof(params),
		.types = UBLK_PARAM_TYPE_BASIC,
		.basic = {
			.attrs = UBLK_ATTR_READ_ONLY,
			.logical_bs_shift = 9,
			.physical_bs_shift = 12,
			.io_opt_shift = 12,
			.io_min_shift = 9,
			.max_sectors = MAX_IO >> 9,
			.dev_sectors = SECTORS,
		},
	};

	ctrl(ring, fd, UBLK_CMD_ADD_DEV, &info, sizeof(info), 0);
	ctrl(ring, fd, UBLK_CMD_SET_PARAMS, &params, sizeof(params), 0);
}

static void put(struct queue *q, unsigned int tag, unsigned int nr, int result)
{
	struct io_uring_sqe *sqe = new_sqe(&q->ring);
	struct ublksrv_io_cmd *cmd = (void *)&sqe->addr3;

	sqe->opcode = IORING_OP_URING_CMD;
	sqe->flags = IOSQE_FIXED_FILE;
	sqe->fd = 0;
	sqe->off = IO_OP(nr);
	sqe->user_data = tag;
	cmd->q_id = 0;
	cmd->tag = tag;
	cmd->result = result;
	cmd->addr = (__u64)(uintptr_t)(q->bufs + (size_t)tag * MAX_IO);
}

/* Returns what the request is answered with. */
static int serve(struct queue *q, unsigned int tag)
{
	const struct ublksrv_io_desc *iod = &q->descs[tag];
	int bytes = iod->nr_sectors << 9;

	switch (ublksrv_get_op(iod)) {
	case UBLK_IO_OP_READ:
		/* What every server of this benchmark does. */
		memset(q->bufs + (size_t)tag * MAX_IO, 0, bytes);
		return bytes;
	case UBLK_IO_OP_FLUSH:
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

/* Returns false when the device has been stopped. */
static bool reap(struct queue *q)
{
	struct io_uring_cqe *cqe;
	unsigned int head, n = 0;
	bool live = true;

	io_uring_for_each_cqe(&q->ring, head, cqe) {
		unsigned int tag = cqe->user_data;

		n++;
		if (cqe->res == UBLK_IO_RES_OK)
			put(q, tag, UBLK_IO_COMMIT_AND_FETCH_REQ, serve(q, tag));
		else
			live = false;
	}
	io_uring_cq_advance(&q->ring, n);
	return live;
}

static void *queue_thread(void *arg)
{
	struct queue *q = arg;
	unsigned int i;
	int ret;

	ret = io_uring_queue_init(DEPTH, &q->ring, IORING_SETUP_COOP_TASKRUN |
				  IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
	if (!ret)
		ret = io_uring_register_files(&q->ring, &q->dev, 1);
	if (ret)
		fail(-ret, "io_uring of the queue");
	for (i = 0; i < DEPTH; i++)
		put(q, i, UBLK_IO_FETCH_REQ, 0);
	io_uring_submit(&q->ring);
	pthread_barrier_wait(&q->ready);
	do {
		ret = io_uring_submit_and_wait(&q->ring, 1);
		if (ret < 0 && ret != -EINTR)
			fail(-ret, "io_uring of the queue");
	} while (reap(q));
	io_uring_queue_exit(&q->ring);
	return NULL;
}

static void *map(size_t len, int prot, int flags, int fd)
{
	void *p = mmap(NULL, len, prot, flags, fd, UBLKSRV_CMD_BUF_OFFSET);

	if (p == MAP_FAILED)
		err(1, "mmap");
	return p;
}

static void start_queue(struct queue *q, pthread_t *thread)
{
	char path[32];

	snprintf(path, sizeof(path), "/dev/ublkc%d", DEV_ID);
	q->dev = open(path, O_RDWR | O_CLOEXEC);
	if (q->dev < 0)
		err(1, "%s", path);
	q->descs = map(DEPTH * sizeof(*q->descs), PROT_READ, MAP_SHARED | MAP_POPULATE, q->dev);
	q->bufs = map((size_t)DEPTH * MAX_IO, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1);
	pthread_barrier_init(&q->ready, NULL, 2);
	errno = pthread_create(thread, NULL, queue_thread, q);
	if (errno)
		err(1, "pthread_create");
	pthread_barrier_wait(&q->ready);
}

int main(void)
{
	static struct queue q;
	struct io_uring ring;
	pthread_t thread;
	sigset_t stop;
	int fd, sig, ret;

	sigemptyset(&stop);
	sigaddset(&stop, SIGTERM);
	sigaddset(&stop, SIGINT);
	pthread_sigmask(SIG_BLOCK, &stop, NULL);
	fd = open("/dev/ublk-control", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		err(1, "/dev/ublk-control");
	ret = io_uring_queue_init(4, &ring, IORING_SETUP_SQE128);
	if (ret)
		fail(-ret, "io_uring of /dev/ublk-control");
	add_device(&ring, fd);
	start_queue(&q, &thread);
	ctrl(&ring, fd, UBLK_CMD_START_DEV, NULL, 0, getpid());
	printf("/dev/ublkb%d\n", DEV_ID);
	fflush(stdout);
	sigwait(&stop, &sig);
	ctrl(&ring, fd, UBLK_CMD_STOP_DEV, NULL, 0, 0);
	pthread_join(thread, NULL);
	/* The device goes when nothing refers to it: no ring, mapping or fd. */
	munmap((void *)q.descs, DEPTH * sizeof(*q.descs));
	close(q.dev);
	ctrl(&ring, fd, UBLK_CMD_DEL_DEV, NULL, 0, 0);
	return 0;
}
