// SPDX-License-Identifier: BSD-3-Clause
/* Copyright (c) 2026 The vbe authors */
/* A device: opening it, and one function for each of its ioctls. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "private.h"

/* Of this thread's last vbe_open(), vbe_from_fd() or vbe_probe() that failed. */
static _Thread_local char open_error[VBE_ERROR_TEXT_MAX];
static _Thread_local char error_buf[VBE_ERROR_TEXT_MAX];

const char *vbe_version(void)
{
	return "0.1.0";
}

int vbe_ioctl(const struct vbe_dev *dev, unsigned long cmd, void *arg)
{
	return ioctl(dev->fd, cmd, arg) < 0 ? -errno : 0;
}

/* The kernel's sentence for an fd, or errno's own words where it has none for this error. */
static void fd_error(int fd, int err, char *buf)
{
	struct vbe_error_text text = { .size = sizeof(text) };

	if (ioctl(fd, VBE_IOC_ERROR_TEXT, &text) == 0 && text.out_text[0] &&
	    (!err || text.out_errno == err || text.out_errno == -err))
		snprintf(buf, VBE_ERROR_TEXT_MAX, "%.*s", VBE_ERROR_TEXT_MAX - 1,
			 (const char *)text.out_text);
	else
		snprintf(buf, VBE_ERROR_TEXT_MAX, "%s", strerror(err ? err : errno));
}

static void set_open_error(const char *text)
{
	snprintf(open_error, sizeof(open_error), "%s", text);
}

const char *vbe_error(struct vbe_dev *dev)
{
	if (!dev)
		return open_error[0] ? open_error : "no error";
	fd_error(dev->fd, 0, error_buf);
	return error_buf;
}

static int open_node(void)
{
	int fd = open(VBE_DEV_PATH, O_RDWR | O_CLOEXEC);
	int err = errno;

	if (fd >= 0)
		return fd;
	if (err == ENOENT)
		set_open_error("there is no " VBE_DEV_PATH ": is the module vbe loaded?");
	else if (err == EACCES)
		set_open_error("no permission to open " VBE_DEV_PATH);
	else
		set_open_error(strerror(err));
	errno = err;
	return -1;
}

int vbe_probe(struct vbe_info *info)
{
	int fd = open_node();
	int ret = 0;

	if (fd < 0)
		return -errno;
	memset(info, 0, sizeof(*info));
	info->size = sizeof(*info);
	if (ioctl(fd, VBE_IOC_INFO, info) < 0) {
		ret = -errno;
		fd_error(fd, -ret, open_error);
	}
	close(fd);
	return ret;
}

static struct vbe_dev *dev_new(int fd)
{
	struct vbe_dev *dev = calloc(1, sizeof(*dev));

	if (!dev) {
		set_open_error("out of memory");
		errno = ENOMEM;
		return NULL;
	}
	dev->fd = fd;
	pthread_mutex_init(&dev->lock, NULL);
	return dev;
}

struct vbe_dev *vbe_open(const char *name, unsigned int flags)
{
	struct vbe_dev_open arg = { .size = sizeof(arg), .flags = flags };
	size_t len = strlen(name);
	struct vbe_dev *dev;
	int fd, err;

	if (!len || len >= sizeof(arg.name)) {
		set_open_error("a device name has 1 to 31 characters");
		errno = EINVAL;
		return NULL;
	}
	memcpy(arg.name, name, len);
	fd = open_node();
	if (fd < 0)
		return NULL;
	err = ioctl(fd, VBE_IOC_DEV_OPEN, &arg) < 0 ? errno : 0;
	if (err)
		fd_error(fd, err, open_error);
	close(fd);
	if (err) {
		errno = err;
		return NULL;
	}
	dev = dev_new(arg.out_fd);
	if (!dev) {
		close(arg.out_fd);
		errno = ENOMEM;
	}
	return dev;
}

struct vbe_dev *vbe_from_fd(int fd)
{
	struct vbe_dev_info info = { .size = sizeof(info) };

	if (ioctl(fd, VBE_IOC_DEV_INFO, &info) < 0) {
		int err = errno;

		if (err == ENOTTY)
			set_open_error("this file descriptor is not a device of vbe");
		else
			fd_error(fd, err, open_error);
		errno = err;
		return NULL;
	}
	return dev_new(fd);
}

void vbe_close(struct vbe_dev *dev)
{
	if (!dev)
		return;
	vbe_mem_drop(dev);
	close(dev->fd);
	pthread_mutex_destroy(&dev->lock);
	free(dev);
}

int vbe_fd(const struct vbe_dev *dev)
{
	return dev->fd;
}

int vbe_get_info(struct vbe_dev *dev, struct vbe_dev_info *info)
{
	memset(info, 0, sizeof(*info));
	info->size = sizeof(*info);
	return vbe_ioctl(dev, VBE_IOC_DEV_INFO, info);
}

int vbe_dev_param(struct vbe_dev *dev, const char *key, char *buf, size_t len)
{
	struct vbe_dev_param arg = {
		.size = sizeof(arg),
		.len = len < VBE_PARAM_MAX ? len : VBE_PARAM_MAX,
		.value = (uintptr_t)buf,
	};

	if (strlen(key) >= sizeof(arg.key))
		return -ENOENT;
	memcpy(arg.key, key, strlen(key));
	return vbe_ioctl(dev, VBE_IOC_DEV_PARAM, &arg);
}

int vbe_setup(struct vbe_dev *dev, const struct vbe_dev_setup *setup)
{
	struct vbe_dev_setup arg = *setup;

	arg.size = sizeof(arg);
	return vbe_ioctl(dev, VBE_IOC_DEV_SETUP, &arg);
}

int vbe_online(struct vbe_dev *dev)
{
	struct vbe_dev_online arg = { .size = sizeof(arg) };

	return vbe_ioctl(dev, VBE_IOC_DEV_ONLINE, &arg);
}

int vbe_offline(struct vbe_dev *dev)
{
	struct vbe_dev_online arg = { .size = sizeof(arg) };

	return vbe_ioctl(dev, VBE_IOC_DEV_OFFLINE, &arg);
}

static int config_rw(struct vbe_dev *dev, unsigned long cmd, uint32_t offset, const void *buf,
		     uint32_t len)
{
	struct vbe_config_rw arg = {
		.size = sizeof(arg),
		.offset = offset,
		.len = len,
		.buf = (uintptr_t)buf,
	};

	return vbe_ioctl(dev, cmd, &arg);
}

int vbe_config_read(struct vbe_dev *dev, uint32_t offset, void *buf, uint32_t len)
{
	return config_rw(dev, VBE_IOC_CONFIG_READ, offset, buf, len);
}

int vbe_config_write(struct vbe_dev *dev, uint32_t offset, const void *buf, uint32_t len)
{
	return config_rw(dev, VBE_IOC_CONFIG_WRITE, offset, buf, len);
}

int vbe_get_queue(struct vbe_dev *dev, uint32_t index, struct vbe_queue_info *info)
{
	memset(info, 0, sizeof(*info));
	info->size = sizeof(*info);
	info->index = index;
	return vbe_ioctl(dev, VBE_IOC_QUEUE_INFO, info);
}

int vbe_set_fds(struct vbe_dev *dev, uint32_t index, uint32_t flags, int kick_fd, int call_fd)
{
	struct vbe_queue_fds arg = {
		.size = sizeof(arg),
		.index = index,
		.flags = flags,
		.kick_fd = kick_fd,
		.call_fd = call_fd,
	};

	return vbe_ioctl(dev, VBE_IOC_QUEUE_SET_FDS, &arg);
}

int vbe_call(struct vbe_dev *dev, uint32_t index)
{
	/* The argument is the index itself. */
	return vbe_ioctl(dev, VBE_IOC_QUEUE_CALL, (void *)(uintptr_t)index);
}

int vbe_complete(struct vbe_dev *dev, uint64_t cookie, uint32_t result)
{
	return vbe_complete_data(dev, cookie, result, 0);
}

int vbe_complete_data(struct vbe_dev *dev, uint64_t cookie, uint32_t result, uint64_t data)
{
	struct vbe_complete arg = {
		.size = sizeof(arg),
		.result = result,
		.cookie = cookie,
		.data = data,
	};

	return vbe_ioctl(dev, VBE_IOC_COMPLETE, &arg);
}

int vbe_raw_region(struct vbe_dev *dev, const struct vbe_raw_region *region)
{
	struct vbe_raw_region arg = *region;

	arg.size = sizeof(arg);
	return vbe_ioctl(dev, VBE_IOC_RAW_REGION, &arg);
}

int vbe_raw_match(struct vbe_dev *dev, const struct vbe_raw_match *match)
{
	struct vbe_raw_match arg = *match;

	arg.size = sizeof(arg);
	return vbe_ioctl(dev, VBE_IOC_RAW_MATCH, &arg);
}

int vbe_raw_irq(struct vbe_dev *dev, const struct vbe_raw_irq *irq)
{
	struct vbe_raw_irq arg = *irq;

	arg.size = sizeof(arg);
	return vbe_ioctl(dev, VBE_IOC_RAW_IRQ, &arg);
}
