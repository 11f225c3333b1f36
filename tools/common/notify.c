// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
/* Tell the service manager how we are: the protocol of sd_notify(3), as far as we need it. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "notify.h"

static int notify_fd = -1;

/* Before the sandbox: a connected socket needs no path later. */
void notify_init(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	size_t len = path ? strlen(path) : 0;

	if (len < 2 || len >= sizeof(sa.sun_path) || (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(sa.sun_path, path, len);
	if (sa.sun_path[0] == '@')
		sa.sun_path[0] = '\0';
	notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	/* Without a manager that listens there is nobody to tell. */
	if (notify_fd >= 0)
		(void)connect(notify_fd, (struct sockaddr *)&sa,
			      offsetof(struct sockaddr_un, sun_path) + len);
}

void notify_send(const char *text)
{
	if (notify_fd >= 0)
		send(notify_fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* In a child: it is another process that the manager listens to. */
void notify_end(void)
{
	if (notify_fd >= 0)
		close(notify_fd);
	notify_fd = -1;
}
