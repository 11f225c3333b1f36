// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
/* vbe-blk: a virtio block device backend. See vbe-blk(8). */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "auto.h"

const char *const log_name = "vbe-blk";

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
	return open_exit_code(-ret);
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

/**
 * serve_device() - serve a device that was opened
 * @o: options; what depends on the device is filled in
 * @img: image
 * @dev: device; closed on return
 * @signals: blocked
 * @created: it was made for this
 *
 * Return: an exit code.
 */
int serve_device(struct options *o, struct image *img, struct vbe_dev *dev,
		 const sigset_t *signals, bool created)
{
	enum serve_end end = END_NEVER_ONLINE;
	struct vbe_dev_info info;
	int minder, ret;

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

static int run(struct options *o, struct image *img, const sigset_t *signals)
{
	bool created = false;
	struct vbe_dev *dev;
	int err, ret;

	if (o->wait)
		return wait_and_serve(o, img, signals);
	ret = o->loop ? create(o, &created) : XC_OK;
	if (ret)
		return ret;
	dev = open_device(o);
	err = errno;
	if (dev)
		return serve_device(o, img, dev, signals, created);
	open_explain(o, err);
	return open_exit_code(err);
}

int main(int argc, char **argv)
{
	struct options o;
	struct image img;
	sigset_t signals;
	int ret;

	log_fill_stdio();
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
	if (o.all)
		return auto_run(&o, &signals);
	open_interruptible(true);
	ret = image_open(&img, &o);
	open_interruptible(false);
	if (!ret)
		ret = run(&o, &img, &signals);
	image_close(&img);
	return ret;
}
