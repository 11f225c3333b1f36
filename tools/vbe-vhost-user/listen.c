// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
/* The socket that front-ends connect to. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "vbe-vhost-user.h"

#define BACKLOG	4

static int inherited(int fd)
{
	int value = 0;
	socklen_t len = sizeof(value);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &value, &len) < 0 || value != AF_UNIX) {
		say("--fd %d: this is not a UNIX socket", fd);
		return -EINVAL;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &len) < 0 || !value) {
		say("--fd %d: this socket does not listen", fd);
		return -EINVAL;
	}
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	return fd;
}

/* A socket that nobody listens on is what somebody who was killed has left. */
static bool is_stale(const struct sockaddr_un *sa)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool stale;

	stale = fd >= 0 && connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) < 0 &&
		errno == ECONNREFUSED;
	if (fd >= 0)
		close(fd);
	return stale;
}

static int bind_path(int fd, const struct sockaddr_un *sa, mode_t mode)
{
	/* Nobody shall connect before its permissions are what they are to be. */
	mode_t old = umask(0777 & ~mode);
	int ret = bind(fd, (const struct sockaddr *)sa, sizeof(*sa)) < 0 ? -errno : 0;

	if (ret == -EADDRINUSE && is_stale(sa) && unlink(sa->sun_path) == 0)
		ret = bind(fd, (const struct sockaddr *)sa, sizeof(*sa)) < 0 ? -errno : 0;
	umask(old);
	return ret;
}

/**
 * listen_open() - the socket that front-ends connect to
 * @o: options
 *
 * Return: its fd, or -errno after a message.
 */
int listen_open(const struct options *o)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd, ret;

	if (o->fd >= 0)
		return inherited(o->fd);
	if (strlen(o->socket) >= sizeof(sa.sun_path)) {
		say("%s: a socket's path has at most %zu characters", o->socket,
		    sizeof(sa.sun_path) - 1);
		return -EINVAL;
	}
	memcpy(sa.sun_path, o->socket, strlen(o->socket));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ret = fd < 0 ? -errno : bind_path(fd, &sa, o->socket_mode);
	if (!ret && o->socket_gid != (gid_t)-1 && chown(o->socket, -1, o->socket_gid) < 0)
		ret = -errno;
	if (!ret && listen(fd, BACKLOG) < 0)
		ret = -errno;
	if (!ret)
		return fd;
	say("%s: %s", o->socket, ret == -EADDRINUSE ? "somebody listens there" : strerror(-ret));
	if (fd >= 0)
		close(fd);
	return ret;
}

/**
 * listen_accept() - accept a connection
 * @fd: socket that listens
 *
 * Return: its fd, or -1 when there is none (any more).
 */
int listen_accept(int fd)
{
	int conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (conn < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
		complain("cannot accept a connection: %s", strerror(errno));
	return conn;
}

/** listen_refuse() - turn a second front-end away */
void listen_refuse(int fd)
{
	int conn = listen_accept(fd);

	if (conn < 0)
		return;
	complain("a second front-end is refused: there is one already");
	close(conn);
}

/** listen_close() - take the socket away */
void listen_close(const struct options *o, int fd)
{
	if (o->fd < 0)
		unlink(o->socket);
	close(fd);
}
