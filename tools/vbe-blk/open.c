// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
/* Become the backend of a device. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "vbe-blk.h"

#define OPEN_WAIT_MS	2000	/* for a predecessor to end */

int open_exit_code(int err)
{
	switch (err) {
	case EACCES:
	case EPERM:
		return XC_PERM;
	case EOPNOTSUPP:
	case ENOPROTOOPT:
	case ENOSYS:
		return XC_UNSUPPORTED;
	default:
		return XC_FAIL;
	}
}

/* What may take long before there is a device to care for can be interrupted. */
void open_interruptible(bool on)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(on ? SIG_UNBLOCK : SIG_BLOCK, &set, NULL);
}

/*
 * A predecessor that was just killed may take a moment to end, and its I/O longer: the last try
 * lets the kernel wait for that.
 */
static struct vbe_dev *open_patiently(const char *name)
{
	int64_t end = now_ms() + OPEN_WAIT_MS;

	while (now_ms() < end) {
		struct vbe_dev *dev = vbe_open(name, VBE_OPEN_F_NOWAIT);

		if (dev || errno != EBUSY)
			return dev;
		usleep(20000);
	}
	return vbe_open(name, 0);
}

/**
 * open_device() - become the backend, without a message
 * @o: options
 *
 * Return: the device, or NULL with errno.
 */
struct vbe_dev *open_device(const struct options *o)
{
	struct vbe_dev *dev;
	int err;

	/* Who waits takes signals between one try and the next. */
	open_interruptible(!o->wait);
	dev = o->fd >= 0 ? vbe_from_fd(o->fd) : open_patiently(o->name);
	err = errno;
	open_interruptible(false);
	errno = err;
	return dev;
}

/* Say why open_device() failed. */
void open_explain(const struct options *o, int err)
{
	struct vbe_info info;
	char why[VBE_ERROR_TEXT_MAX];

	strncpy(why, vbe_error(NULL), sizeof(why) - 1);
	why[sizeof(why) - 1] = '\0';
	if (o->fd >= 0)
		say("--fd %d: %s", o->fd, why);
	else
		say("device %s: %s", o->name, why);
	if (o->loop && err == EBUSY)
		say("another name can be given by --name");
	if (!o->on)
		return;
	if (err == ENOENT && vbe_probe(&info) == 0)
		say("whoever runs the guest, or vbe-ctl, makes it; --wait waits for that");
	if (err == EACCES && vbe_probe(&info) == 0)
		say("run this as root, or as the user to whom whoever made the device gave it: "
		    "for a VMM that says nothing else, its own user");
}
