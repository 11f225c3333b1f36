// SPDX-License-Identifier: BSD-3-Clause
/* Copyright (c) 2026 The vbe authors */
/*
 * The eventfd that a queue is kicked by: the FE's own where it brings one, else ours.
 *
 * The fd number that waiters use stays the same for the life of the queue; what changes is the
 * file behind it, by dup3(), which is atomic. So it may be changed while another thread waits: who
 * sleeps on the old eventfd is woken through it afterwards, and finds the new one at its next call.
 *
 * The FE's eventfd is one open file with another process. Whether it blocks is that process'
 * choice, and must not be changed here.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "private.h"

/* Make whoever waits on @fd return. A full one is readable anyway, and a write would block. */
static void poke(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLOUT };
	uint64_t one = 1;

	if (poll(&pfd, 1, 0) > 0 && pfd.revents & POLLOUT) {
		ssize_t n = write(fd, &one, sizeof(one));

		(void)n;
	}
}

int vbe_kick_init(struct vbe_kick *k)
{
	int err;

	k->adopted = -1;
	k->own = eventfd(0, EFD_CLOEXEC);
	if (k->own < 0)
		return -errno;
	k->fd = fcntl(k->own, F_DUPFD_CLOEXEC, 0);
	if (k->fd >= 0)
		return 0;
	err = errno;
	close(k->own);
	return -err;
}

void vbe_kick_exit(struct vbe_kick *k)
{
	if (k->adopted >= 0)
		close(k->adopted);
	close(k->own);
	close(k->fd);
}

/* Put the FE's eventfd @adopted, or with -1 ours, behind the number. Owns it if it succeeds. */
static int change(struct vbe_kick *k, int adopted)
{
	int fd = adopted >= 0 ? adopted : k->own;
	int old = k->adopted;
	bool nonblock = fcntl(fd, F_GETFL) & O_NONBLOCK;

	if (dup3(fd, k->fd, O_CLOEXEC) < 0)
		return -errno;
	k->adopted = adopted;
	__atomic_store_n(&k->nonblock, nonblock, __ATOMIC_RELAXED);
	/* What was signalled there and not seen yet is to be seen here. */
	poke(fd);
	poke(old >= 0 ? old : k->own);
	if (old >= 0)
		close(old);
	return 0;
}

/**
 * vbe_kick_attach() - have the queue kicked: by the FE's eventfd if there is one, else by ours
 * @k: kick
 * @dev: device
 * @index: queue
 *
 * Again, when the FE has changed its own. The waiter then looks at its queue without a kick.
 */
int vbe_kick_attach(struct vbe_kick *k, struct vbe_dev *dev, uint32_t index)
{
	struct vbe_queue_kick_fd arg = { .size = sizeof(arg), .index = index };
	int ret = vbe_ioctl(dev, VBE_IOC_QUEUE_KICK_FD, &arg);

	if (!ret) {
		ret = change(k, arg.out_fd);
		if (!ret)
			return 0;
		close(arg.out_fd);
	}
	/* Older kernels, FEs without, no fd left: ours works everywhere. */
	ret = vbe_set_fds(dev, index, VBE_FDS_F_KICK, k->own, -1);
	if (!ret && k->adopted >= 0)
		ret = change(k, -1);
	return ret;
}

void vbe_kick_detach(struct vbe_kick *k, struct vbe_dev *dev, uint32_t index)
{
	/* Fails only when the device has gone; then nothing is attached either. */
	vbe_set_fds(dev, index, VBE_FDS_F_KICK, -1, -1);
	if (k->adopted >= 0)
		change(k, -1);
}

int vbe_kick_wait(struct vbe_kick *k, int timeout_ms)
{
	uint64_t count;

	if (timeout_ms >= 0 || __atomic_load_n(&k->nonblock, __ATOMIC_RELAXED)) {
		struct pollfd pfd = { .fd = k->fd, .events = POLLIN };
		int ret = poll(&pfd, 1, timeout_ms);

		if (ret <= 0)
			return ret ? -errno : 0;
	}
	if (read(k->fd, &count, sizeof(count)) == sizeof(count))
		return 1;
	if (errno != EAGAIN)
		return -errno;
	/* Taken by somebody else who has it; a kick for nothing does no harm. */
	__atomic_store_n(&k->nonblock, true, __ATOMIC_RELAXED);
	return 1;
}

void vbe_kick_wake(struct vbe_kick *k)
{
	poke(k->fd);
}
