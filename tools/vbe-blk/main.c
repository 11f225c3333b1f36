// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
/* vbe-blk: a virtio block device backend. See vbe-blk(8). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "vbe-blk.h"

#define OPEN_WAIT_MS	2000	/* for a predecessor to end */

static int exit_code(int err)
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

/* Returns an exit code; *@created tells whether the device is new. */
static int create(const struct options *o, bool *created)
{
	char err[256];
	int ret = create_loop(o, err, sizeof(err));

	*created = !ret;
	if (!ret || ret == -EEXIST)
		return XC_OK;
	say("cannot make device %s: %s", o->name, err);
	if (ret == -EPERM || ret == -EACCES)
		say("making a device needs root; --on NAME serves one that root has made");
	return exit_code(-ret);
}

/* What may take long before there is a device to care for can be interrupted. */
static void interruptible(bool on)
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

static struct vbe_dev *open_device(const struct options *o, int *code)
{
	struct vbe_dev *dev;
	int err;

	interruptible(true);
	dev = o->fd >= 0 ? vbe_from_fd(o->fd) : open_patiently(o->name);
	err = errno;
	interruptible(false);
	if (dev)
		return dev;
	if (o->fd >= 0)
		say("--fd %d: %s", o->fd, vbe_error(NULL));
	else
		say("device %s: %s", o->name, vbe_error(NULL));
	if (o->loop && err == EBUSY)
		say("another name can be given by --name");
	*code = exit_code(err);
	return NULL;
}

/* Locked memory is accounted where fixed buffers are registered; ask for what root may have. */
static void raise_memlock(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_MEMLOCK, &lim) == 0) {
		lim.rlim_cur = lim.rlim_max;
		setrlimit(RLIMIT_MEMLOCK, &lim);
	}
}

static int run(struct options *o, struct image *img, const sigset_t *signals)
{
	enum serve_end end = END_NEVER_ONLINE;
	struct vbe_dev_info info;
	bool created = false;
	struct vbe_dev *dev;
	int minder, ret;

	ret = o->loop ? create(o, &created) : XC_OK;
	if (ret)
		return ret;
	dev = open_device(o, &ret);
	if (!dev)
		return ret;
	if (vbe_get_info(dev, &info) == 0)
		memcpy(o->name, info.name, sizeof(o->name));
	if (!o->serial[0])
		snprintf(o->serial, sizeof(o->serial), "%.20s", o->name);
	minder = minder_start(o->name);
	if (minder < 0) {
		say("cannot start a process: %s", strerror(-minder));
		return XC_FAIL;
	}
	raise_memlock();
	ret = serve(o, img, dev, minder, signals, &end);
	/* A device that was made for this and never came up is of no use to anybody. */
	if (o->loop && (end == END_CLEAN || (end == END_NEVER_ONLINE && created)) &&
	    !minder_delete(minder) && !ret)
		ret = XC_FAIL;
	return ret;
}

/* A file of ours must not become stdin, stdout or stderr: messages would go into it. */
static void fill_stdio(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	struct options o;
	struct image img;
	sigset_t signals;
	int ret;

	fill_stdio();
	ret = options_parse(&o, argc, argv);
	if (ret >= 0)
		return ret;
	log_verbose(o.verbose);
	/* Before there are threads, so that no thread gets them. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGUSR1);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	notify_init();
	interruptible(true);
	ret = image_open(&img, &o);
	interruptible(false);
	if (!ret)
		ret = run(&o, &img, &signals);
	image_close(&img);
	return ret;
}
