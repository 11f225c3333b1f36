// SPDX-License-Identifier: BSD-3-Clause
/* Copyright (c) 2026 The vbe authors */
/* Events of a device. */
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "private.h"

int vbe_event_read(struct vbe_dev *dev, struct vbe_event *events, unsigned int n)
{
	ssize_t got = read(dev->fd, events, n * sizeof(*events));

	if (got < 0)
		return -errno;
	return got / sizeof(*events);
}

int vbe_event_wait(struct vbe_dev *dev, struct vbe_event *event, int timeout_ms)
{
	struct pollfd pfd = { .fd = dev->fd, .events = POLLIN };
	int ret = poll(&pfd, 1, timeout_ms);

	if (ret < 0)
		return -errno;
	if (!ret)
		return 0;
	/* HUP alone: all events were read, and no more will come. */
	if (!(pfd.revents & POLLIN))
		return -ENODEV;
	ret = vbe_event_read(dev, event, 1);
	return ret ? ret : -ENODEV;
}

const char *vbe_event_name(uint32_t type)
{
	static const char *const names[] = {
		[VBE_EVENT_LOST] = "LOST",
		[VBE_EVENT_FEATURES] = "FEATURES",
		[VBE_EVENT_STATUS] = "STATUS",
		[VBE_EVENT_RESET] = "RESET",
		[VBE_EVENT_CONFIG] = "CONFIG",
		[VBE_EVENT_QUEUE] = "QUEUE",
		[VBE_EVENT_MEM] = "MEM",
		[VBE_EVENT_REVOKED] = "REVOKED",
		[VBE_EVENT_OFFLINE] = "OFFLINE",
		[VBE_EVENT_GONE] = "GONE",
		[VBE_EVENT_RESIZE] = "RESIZE",
		[VBE_EVENT_QUEUE_STOP] = "QUEUE_STOP",
		[VBE_EVENT_KICK_FD] = "KICK_FD",
		[VBE_EVENT_ACCESS] = "ACCESS",
	};

	if (type >= sizeof(names) / sizeof(names[0]) || !names[type])
		return "unknown";
	return names[type];
}
