// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
/* The guest fd: one function for each ioctl. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include <linux/virtio_config.h>

#include "vbe-vhost-user.h"

#define DEV_PATH	"/dev/vbe"
#define ADD_TRIES	100	/* a tenth of a second each: a predecessor's device goes */

/* What a driver has to set before queues can be enabled. */
#define SETTLED		(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | \
			 VIRTIO_CONFIG_S_FEATURES_OK)

static int kernel_call(struct guest *g, unsigned long cmd, void *arg)
{
	return ioctl(g->fd, cmd, arg) < 0 ? -errno : 0;
}

static const char *error_text(int fd, int err)
{
	static struct vbe_error_text text;

	text.size = sizeof(text);
	if (ioctl(fd, VBE_IOC_ERROR_TEXT, &text) == 0 && text.out_text[0] &&
	    (text.out_errno == err || text.out_errno == -err))
		return (const char *)text.out_text;
	return strerror(err < 0 ? -err : err);
}

static const char *kernel_why(struct guest *g, int err)
{
	return error_text(g->fd, err);
}

static int fail(struct guest *g, int err, const char *what)
{
	complain("%s: %s", what, g->why(g, err));
	return err;
}

/**
 * guest_open() - make the guest
 * @g: filled in
 * @o: options; kept
 *
 * Return: 0 or -errno, after a message.
 */
int guest_open(struct guest *g, const struct options *o)
{
	struct vbe_guest_new arg = { .size = sizeof(arg) };
	int fd = open(DEV_PATH, O_RDWR | O_CLOEXEC);
	int err = fd < 0 ? -errno : 0;

	memset(g, 0, sizeof(*g));
	g->fd = -1;
	g->call = kernel_call;
	g->why = kernel_why;
	g->o = o;
	if (err) {
		say("%s: %s", DEV_PATH,
		    err == -ENOENT ? "it is not there: is the module vbe loaded?" : strerror(-err));
		return err;
	}
	memcpy(arg.name, o->guest, strlen(o->guest));
	if (ioctl(fd, VBE_IOC_GUEST_NEW, &arg) < 0) {
		err = -errno;
		say("cannot make guest %s: %s", o->guest, error_text(fd, err));
	} else {
		g->fd = arg.out_fd;
		fcntl(g->fd, F_SETFL, fcntl(g->fd, F_GETFL) | O_NONBLOCK);
	}
	close(fd);
	return err;
}

/**
 * guest_dev_add() - make the device
 * @g: guest
 *
 * One of the same name that is about to go, since its process has just ended, is waited for.
 */
int guest_dev_add(struct guest *g)
{
	const struct timespec pause = { .tv_nsec = 100 * 1000 * 1000 };
	struct vbe_guest_dev_add arg = {
		.size = sizeof(arg),
		.transport = "direct",
		.uid = g->o->uid,
		.gid = g->o->gid,
		.virtio_id = g->o->virtio_id,
		.loss_policy = VBE_LOSS_DEFAULT,
		.reset_timeout_ms = g->o->reset_ms,
	};
	int ret;

	memcpy(arg.name, g->o->dev, strlen(g->o->dev));
	for (int i = 0; ; i++) {
		ret = g->call(g, VBE_IOC_GUEST_DEV_ADD, &arg);
		if (ret != -EEXIST || i >= ADD_TRIES)
			break;
		if (!i)
			say("device %s exists: waiting for it to go", g->o->dev);
		nanosleep(&pause, NULL);
	}
	if (ret) {
		say("cannot make device %s: %s", g->o->dev, g->why(g, ret));
		return ret;
	}
	g->dev = arg.out_dev;
	g->status = 0;
	g->features = 0;
	return guest_info(g);
}

/**
 * guest_dev_renew() - delete the device and make it again
 * @g: guest
 *
 * So that nothing is done to an in-flight area which is still wanted: a reset would clear it.
 */
int guest_dev_renew(struct guest *g)
{
	struct vbe_guest_dev arg = { .size = sizeof(arg), .dev = g->dev };
	int ret = g->call(g, VBE_IOC_GUEST_DEV_DEL, &arg);

	if (ret && ret != -ENOENT && ret != -ENODEV)
		return fail(g, ret, "cannot delete the device");
	return guest_dev_add(g);
}

/** guest_info() - ask what the device is now, into @g->info */
int guest_info(struct guest *g)
{
	struct vbe_guest_dev_info info = { .size = sizeof(info), .dev = g->dev };
	int ret = g->call(g, VBE_IOC_GUEST_DEV_INFO, &info);

	if (ret)
		return fail(g, ret, "cannot ask for the device's state");
	g->info = info;
	return 0;
}

bool guest_online(const struct guest *g)
{
	return g->info.state == VBE_DEV_ONLINE;
}

static int write_status(struct guest *g, uint32_t status)
{
	struct vbe_guest_status arg = { .size = sizeof(arg), .dev = g->dev, .status = status };
	int ret = g->call(g, VBE_IOC_GUEST_STATUS, &arg);

	if (!ret)
		g->status = arg.status;
	return ret;
}

/** guest_reset() - virtio reset, if there is anything to reset */
int guest_reset(struct guest *g)
{
	int ret;

	if (!g->status)
		return 0;
	ret = write_status(g, 0);
	if (ret)
		return fail(g, ret, "cannot reset the device");
	g->features = 0;
	return 0;
}

/**
 * guest_set_status() - add bits to the device status
 * @g: guest
 * @status: bits; features are settled
 */
int guest_set_status(struct guest *g, uint32_t status)
{
	int ret;

	status |= g->status & ~VIRTIO_CONFIG_S_NEEDS_RESET;
	if (status == (g->status & ~VIRTIO_CONFIG_S_NEEDS_RESET))
		return 0;
	ret = write_status(g, status);
	return ret ? fail(g, ret, "cannot set the device status") : 0;
}

/**
 * guest_negotiate() - settle features, unless these are settled already
 * @g: guest
 * @features: what the driver takes
 *
 * Resets the device if others are. Return: 0, -EOPNOTSUPP when the backend refuses them, or
 * another -errno.
 */
int guest_negotiate(struct guest *g, uint64_t features)
{
	struct vbe_guest_features arg = { .size = sizeof(arg), .dev = g->dev,
					  .features = features };
	int ret;

	if ((g->status & VIRTIO_CONFIG_S_FEATURES_OK) && g->features == features)
		return 0;
	ret = guest_reset(g);
	if (ret)
		return ret;
	ret = g->call(g, VBE_IOC_GUEST_FEATURES, &arg);
	if (!ret)
		ret = write_status(g, SETTLED);
	if (ret)
		return fail(g, ret, "cannot settle features");
	if (!(g->status & VIRTIO_CONFIG_S_FEATURES_OK)) {
		complain("the backend refuses features 0x%llx", (unsigned long long)features);
		return -EOPNOTSUPP;
	}
	g->features = features;
	return 0;
}

/** guest_config() - read or write config space */
int guest_config(struct guest *g, uint32_t offset, uint32_t len, void *buf, bool write)
{
	struct vbe_guest_config arg = {
		.size = sizeof(arg),
		.dev = g->dev,
		.offset = offset,
		.len = len,
		.flags = write ? VBE_GUEST_CONFIG_F_WRITE : 0,
		.buf = (uintptr_t)buf,
	};
	int ret = g->call(g, VBE_IOC_GUEST_CONFIG, &arg);

	return ret ? fail(g, ret, write ? "config write" : "config read") : 0;
}

/** guest_set_fd() - attach an eventfd, or detach it (-1) */
int guest_set_fd(struct guest *g, uint32_t type, uint32_t index, int fd)
{
	struct vbe_guest_set_fd arg = {
		.size = sizeof(arg), .dev = g->dev, .type = type, .index = index, .fd = fd,
	};
	int ret = g->call(g, VBE_IOC_GUEST_SET_FD, &arg);

	if (!ret)
		return 0;
	complain("%s eventfd of ring %u: %s", type == VBE_GUEST_FD_KICK ? "kick" : "call", index,
		 g->why(g, ret));
	return ret;
}

/* vhost-user has no way to tell a front-end how large a ring may be: it has to be configured. */
static bool too_large(struct guest *g, const struct vbe_guest_queue_set *q)
{
	struct vbe_guest_queue_info info = {
		.size = sizeof(info), .dev = g->dev, .index = q->index,
	};

	if (g->call(g, VBE_IOC_GUEST_QUEUE_INFO, &info) || q->num <= info.max_size)
		return false;
	complain("ring %u: the front-end wants %u entries, the backend has at most %u: start "
		 "vbe-blk with --queue-size %u, or QEMU's device with queue-size=%u", q->index,
		 q->num, info.max_size, q->num, info.max_size);
	return true;
}

/** guest_queue_start() - set up and enable a queue; @q but its size, dev and flags */
int guest_queue_start(struct guest *g, struct vbe_guest_queue_set *q)
{
	int ret;

	q->size = sizeof(*q);
	q->dev = g->dev;
	q->flags |= VBE_GUEST_QUEUE_SET_F_ENABLE;
	ret = g->call(g, VBE_IOC_GUEST_QUEUE_SET, q);
	if (ret && (ret != -EINVAL || !too_large(g, q)))
		complain("ring %u: %s", q->index, g->why(g, ret));
	return ret;
}

/**
 * guest_queue_stop() - stop a queue
 * @g: guest
 * @index: queue
 * @base: set to where the backend ended
 *
 * Without a message: -ENOTCONN, no backend tells where it ended; -EOPNOTSUPP, the backend cannot
 * stop single queues.
 */
int guest_queue_stop(struct guest *g, uint32_t index, uint32_t *base)
{
	struct vbe_guest_queue_set q = { .size = sizeof(q), .dev = g->dev, .index = index };
	int ret = g->call(g, VBE_IOC_GUEST_QUEUE_SET, &q);

	if (!ret)
		*base = q.base;
	else if (ret != -ENOTCONN && ret != -EOPNOTSUPP)
		complain("ring %u cannot be stopped: %s", index, g->why(g, ret));
	return ret;
}

/* The kernel takes whole pages; a front-end may name what it needs of them. */
static int page_span(const struct region *r, struct vbe_guest_mem *arg)
{
	uint64_t mask = sysconf(_SC_PAGESIZE) - 1;
	uint64_t end = r->guest_addr + r->size;

	if ((r->guest_addr ^ r->offset) & mask)
		return -EINVAL;
	arg->fe_addr = r->guest_addr & ~mask;
	arg->offset = r->offset & ~mask;
	arg->len = ((end + mask) & ~mask) - arg->fe_addr;
	return 0;
}

/** guest_mem_add() - give a region to the kernel */
int guest_mem_add(struct guest *g, const struct region *r, int fd)
{
	struct vbe_guest_mem arg = { .size = sizeof(arg), .fd = fd };
	int ret = page_span(r, &arg);

	if (ret) {
		complain("memory at 0x%llx: address and file offset 0x%llx differ within a page",
			 (unsigned long long)r->guest_addr, (unsigned long long)r->offset);
		return ret;
	}
	ret = g->call(g, VBE_IOC_GUEST_MEM_ADD, &arg);
	if (ret)
		complain("memory at 0x%llx, 0x%llx bytes: %s", (unsigned long long)r->guest_addr,
			 (unsigned long long)r->size, g->why(g, ret));
	return ret;
}

/** guest_mem_del() - take a region back */
int guest_mem_del(struct guest *g, const struct region *r)
{
	struct vbe_guest_mem arg = { .size = sizeof(arg), .fd = -1 };
	int ret = page_span(r, &arg);

	arg.offset = 0;
	if (!ret)
		ret = g->call(g, VBE_IOC_GUEST_MEM_DEL, &arg);
	return ret ? fail(g, ret, "cannot take memory back") : 0;
}

/** guest_inflight() - give the kernel the in-flight area; the device has been reset */
int guest_inflight(struct guest *g, int fd, uint64_t offset, uint64_t len, bool resume)
{
	struct vbe_guest_inflight arg = {
		.size = sizeof(arg),
		.dev = g->dev,
		.fd = fd,
		.flags = resume ? VBE_GUEST_INFLIGHT_F_RESUME : 0,
		.offset = offset,
		.len = len,
	};
	int ret = g->call(g, VBE_IOC_GUEST_INFLIGHT, &arg);

	return ret ? fail(g, ret, "in-flight area") : 0;
}

/* A number may have been given out again: whether ours is there says more than the event. */
static bool is_gone(struct guest *g)
{
	struct vbe_guest_dev_info info = { .size = sizeof(info), .dev = g->dev };
	int ret = g->call(g, VBE_IOC_GUEST_DEV_INFO, &info);

	return ret == -ENOENT || ret == -ENODEV;
}

/**
 * guest_events() - read what the guest fd tells
 * @g: guest; @g->gone is set when its device was deleted
 * @state: set when its state or backend changed
 * @config: set when config space changed
 */
int guest_events(struct guest *g, bool *state, bool *config)
{
	struct vbe_guest_event ev[16];
	ssize_t n = read(g->fd, ev, sizeof(ev));

	*state = false;
	*config = false;
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	for (size_t i = 0; i < n / sizeof(ev[0]); i++) {
		if (ev[i].dev != g->dev)
			continue;
		if (ev[i].type == VBE_GUEST_EVENT_STATE)
			*state = true;
		else if (ev[i].type == VBE_GUEST_EVENT_CONFIG)
			*config = true;
		else if (ev[i].type == VBE_GUEST_EVENT_GONE)
			g->gone = is_gone(g);
		/* A call without eventfd: that driver looks at its ring by itself. */
	}
	return 0;
}
