// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
/*
 * The minder: a child that does what the sandboxed server must not be able to. It obeys two
 * commands, of one byte each, on a socket pair:
 *
 *	'P'  find the disk that came up; answer with its path and a NUL
 *	'D'  delete the device; answer with 'D' or 'E'
 *
 * When the server dies in whatever way, the socket ends and so does the minder: the device stays,
 * and with it what the driver has in flight.
 */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/close_range.h>

#include "vbe-blk.h"

#define DISK_WAIT_MS	10000
#define DISK_POLL_MS	5

static bool find_block(const char *fe, char *path, size_t len)
{
	char dir[128];
	struct dirent *e;
	bool found = false;
	DIR *d;

	if (!fe[0] || strchr(fe, '/'))
		return false;
	snprintf(dir, sizeof(dir), "/sys/bus/virtio/devices/%s/block", fe);
	d = opendir(dir);
	if (!d)
		return false;
	while ((e = readdir(d)) && !found) {
		if (e->d_name[0] == '.')
			continue;
		found = snprintf(path, len, "/dev/%s", e->d_name) < (int)len;
	}
	closedir(d);
	return found;
}

/* Whether the server has gone or wants something else meanwhile. */
static bool interrupted(int fd, int ms)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	return poll(&pfd, 1, ms) != 0;
}

static void find_disk(int fd, const char *name)
{
	char path[64] = "", fe[VBE_LABEL_MAX] = "";

	for (int waited = 0; waited < DISK_WAIT_MS; waited += DISK_POLL_MS) {
		if (create_fe_name(name, fe, sizeof(fe)) == -ENODEV)
			break;
		if (find_block(fe, path, sizeof(path)) && access(path, F_OK) == 0)
			break;
		path[0] = '\0';
		if (interrupted(fd, DISK_POLL_MS))
			break;
	}
	send(fd, path, strlen(path) + 1, MSG_NOSIGNAL);
}

static void delete_device(int fd, const char *name)
{
	char err[256], answer = 'D';
	int ret = create_delete(name, err, sizeof(err));

	if (ret && ret != -ENOENT) {
		say("cannot delete device %s: %s", name, err);
		answer = 'E';
	}
	send(fd, &answer, 1, MSG_NOSIGNAL);
}

static void minder_main(int fd, const char *name)
{
	char cmd;

	prctl(PR_SET_NAME, "vbe-blk-minder");
	/* It ends with the server, not before: the terminal's signals are for the server. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	while (recv(fd, &cmd, 1, 0) == 1) {
		if (cmd == 'P')
			find_disk(fd, name);
		else if (cmd == 'D')
			delete_device(fd, name);
	}
}

/**
 * minder_start() - fork the minder, before there are threads
 * @name: device
 *
 * Return: the socket to it, or a negative errno.
 */
int minder_start(const char *name)
{
	int sv[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
		return -errno;
	pid = fork();
	if (pid < 0) {
		int err = errno;

		close(sv[0]);
		close(sv[1]);
		return -err;
	}
	if (pid) {
		close(sv[1]);
		return sv[0];
	}
	/* Above all it must not hold the device: its close is how the kernel learns of a death. */
	dup2(sv[1], 3);
	close_range(4, ~0u, 0);
	minder_main(3, name);
	_exit(0);
}

void minder_ask_disk(int fd)
{
	send(fd, "P", 1, MSG_NOSIGNAL);
}

/* Take the answer, "" when no disk came up. Returns false when the minder has ended. */
bool minder_take_disk(int fd, char *buf, size_t len)
{
	ssize_t n = recv(fd, buf, len - 1, 0);

	buf[n > 0 ? n : 0] = '\0';
	return n > 0;
}

/* Have the device deleted, and wait for that. */
bool minder_delete(int fd)
{
	char buf[64];
	ssize_t n;

	if (send(fd, "D", 1, MSG_NOSIGNAL) != 1)
		return false;
	do {
		/* An answer about the disk may still be under way. */
		n = recv(fd, buf, sizeof(buf), 0);
	} while (n > 0 && (buf[0] == '/' || !buf[0]));
	return n > 0 && buf[0] == 'D';
}
