// SPDX-License-Identifier: GPL-2.0
/*
 * What the tests share.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/virtio_config.h>

#include "util.h"

int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void sleep_ms(int ms)
{
	struct timespec t = { ms / 1000, (ms % 1000) * 1000000L };

	nanosleep(&t, NULL);
}

void die(const char *what)
{
	printf("Bail out! %s: %s\n", what, strerror(errno));
	fflush(stdout);
	_exit(1);
}

bool wait_until(bool (*cond)(void *arg), void *arg, int ms)
{
	int64_t end = now_ms() + ms;

	for (;;) {
		bool late = now_ms() >= end;

		if (cond(arg))
			return true;
		if (late)
			return false;
		sleep_ms(10);
	}
}

/* Length, or -errno; a trailing newline is dropped. */
int read_text(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, buf, size - 1);
	if (n < 0)
		n = -errno;
	close(fd);
	if (n < 0)
		return n;
	while (n && buf[n - 1] == '\n')
		n--;
	buf[n] = 0;
	return n;
}

int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int ret = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

bool exists(const char *path)
{
	return access(path, F_OK) == 0;
}

/* Built in or absent are the caller's to find out. */
void modprobe(const char *module)
{
	pid_t pid = fork();

	if (!pid) {
		execlp("modprobe", "modprobe", "-q", module, NULL);
		_exit(127);
	}
	if (pid > 0)
		wait_child(pid, COMES_MS);
}

/* Its wait status, or -ETIMEDOUT: it is still there. */
int wait_child(pid_t pid, int ms)
{
	int64_t end = now_ms() + ms;
	int status;

	for (;;) {
		pid_t got = waitpid(pid, &status, WNOHANG);

		if (got == pid)
			return status;
		if (got < 0)
			return -errno;
		if (now_ms() >= end)
			return -ETIMEDOUT;
		sleep_ms(5);
	}
}

/* R, S, D, ... as in /proc, of a process or a thread; 0: there is none. */
char task_state(pid_t tid)
{
	char path[64], text[512], *p;

	snprintf(path, sizeof(path), "/proc/%d/stat", tid);
	if (read_text(path, text, sizeof(text)) < 0)
		return 0;
	p = strrchr(text, ')');
	return p && p[1] == ' ' ? p[2] : 0;
}

/* In uninterruptible sleep? */
bool is_stuck(pid_t pid)
{
	return task_state(pid) == 'D';
}

int send_fd(int sock, int fd)
{
	char c = 'f', room[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8))) = "";
	struct iovec iov = { &c, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = room,
			      .msg_controllen = sizeof(room) };
	struct cmsghdr *h = CMSG_FIRSTHDR(&msg);

	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(h), &fd, sizeof(fd));
	return sendmsg(sock, &msg, 0) < 0 ? -errno : 0;
}

int recv_fd(int sock)
{
	char c, room[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8)));
	struct iovec iov = { &c, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = room,
			      .msg_controllen = sizeof(room) };
	struct cmsghdr *h;
	int fd;

	if (recvmsg(sock, &msg, MSG_CMSG_CLOEXEC) < 0)
		return -errno;
	h = CMSG_FIRSTHDR(&msg);
	if (!h || h->cmsg_type != SCM_RIGHTS)
		return -EPROTO;
	memcpy(&fd, CMSG_DATA(h), sizeof(fd));
	return fd;
}

/* A device fd that a child inherited by the way would keep the attachment alive. */
void keep_only(int fd)
{
	if (fd < 3) {
		close_range(3, ~0U, 0);
		return;
	}
	if (fd > 3)
		close_range(3, fd - 1, 0);
	close_range(fd + 1, ~0U, 0);
}

void drop_to_nobody(void)
{
	if (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
	    setresuid(NOBODY, NOBODY, NOBODY))
		die("cannot become nobody");
}

unsigned int env_seconds(const char *name, unsigned int otherwise)
{
	const char *v = getenv(name);
	long n = v ? strtol(v, NULL, 10) : 0;

	return n > 0 && n < 86400 ? (unsigned int)n : otherwise;
}

int xioctl(int fd, unsigned long cmd, void *arg)
{
	int ret = ioctl(fd, cmd, arg);

	return ret < 0 ? -errno : ret;
}

int vbe_open(void)
{
	int fd = open(VBE_NODE, O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int dev_open_flags(const char *name, uint32_t flags)
{
	struct vbe_dev_open o = { .size = sizeof(o), .flags = flags, .out_fd = -1 };
	int ctl = vbe_open(), ret;

	if (ctl < 0)
		return ctl;
	memcpy(o.name, name, strnlen(name, sizeof(o.name)));
	ret = xioctl(ctl, VBE_IOC_DEV_OPEN, &o);
	close(ctl);
	return ret < 0 ? ret : o.out_fd;
}

int dev_open(const char *name)
{
	return dev_open_flags(name, 0);
}

int dev_info(int fd, struct vbe_dev_info *info)
{
	memset(info, 0, sizeof(*info));
	info->size = sizeof(*info);
	return xioctl(fd, VBE_IOC_DEV_INFO, info);
}

/* DEV_ONLINE or DEV_OFFLINE. */
int dev_simple(int fd, unsigned long cmd)
{
	struct vbe_dev_online o = { .size = sizeof(o) };

	return xioctl(fd, cmd, &o);
}

int dev_complete(int fd, uint64_t cookie, uint32_t result)
{
	struct vbe_complete c = { .size = sizeof(c), .result = result, .cookie = cookie };

	return xioctl(fd, VBE_IOC_COMPLETE, &c);
}

/* With an answer: what was loaded, or where a queue ended. */
int dev_complete_data(int fd, uint64_t cookie, uint64_t data)
{
	struct vbe_complete c = { .size = sizeof(c), .cookie = cookie, .data = data };

	return xioctl(fd, VBE_IOC_COMPLETE, &c);
}

int queue_info(int fd, uint32_t index, struct vbe_queue_info *info)
{
	memset(info, 0, sizeof(*info));
	info->size = sizeof(*info);
	info->index = index;
	return xioctl(fd, VBE_IOC_QUEUE_INFO, info);
}

int queue_fds(int fd, uint32_t index, uint32_t flags, int kick, int call)
{
	struct vbe_queue_fds f = { .size = sizeof(f), .index = index, .flags = flags,
				   .kick_fd = kick, .call_fd = call };

	return xioctl(fd, VBE_IOC_QUEUE_SET_FDS, &f);
}

/* The errno of the last failure on @fd, its sentence in @text. */
int error_text(int fd, char *text, size_t size)
{
	struct vbe_error_text t = { .size = sizeof(t) };
	int ret = xioctl(fd, VBE_IOC_ERROR_TEXT, &t);

	if (ret < 0)
		return ret;
	snprintf(text, size, "%.*s", VBE_ERROR_TEXT_MAX, (char *)t.out_text);
	return t.out_errno;
}

/* 0, -ETIMEDOUT, or what read() said. */
int read_event(int fd, struct vbe_event *ev, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	ssize_t n;

	n = poll(&p, 1, ms);
	if (n == 0)
		return -ETIMEDOUT;
	if (n < 0)
		return -errno;
	if (!(p.revents & POLLIN))
		return -ENODATA;
	n = read(fd, ev, sizeof(*ev));
	if (n < 0)
		return -errno;
	return n == sizeof(*ev) ? 0 : -EPROTO;
}

/* Reads on until an event of @type; the others are dropped. */
int wait_event(int fd, uint32_t type, struct vbe_event *ev, int ms)
{
	int64_t end = now_ms() + ms;

	for (;;) {
		int left = end - now_ms();
		int ret = read_event(fd, ev, left > 0 ? left : 0);

		if (ret || ev->type == type)
			return ret;
	}
}

void good_setup(struct good_setup *g)
{
	memset(g, 0, sizeof(*g));
	g->sizes[0] = 64;
	g->s.size = sizeof(g->s);
	g->s.virtio_id = 4;
	g->s.features = 1ULL << VIRTIO_F_VERSION_1;
	g->s.n_queues = 1;
	g->s.queue_sizes = (uintptr_t)g->sizes;
	g->s.config = (uintptr_t)g->config;
	g->s.loss_policy = VBE_LOSS_DEFAULT;
}
