// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
/*
 * --wait: a device that comes and goes, as a guest's does with its VMM.
 *
 * This process keeps the image and what it takes to open devices, and looks at nothing that a
 * guest has written. Each time the device appears it forks a server, which serves that one, in its
 * sandbox, and ends with it. So opening again needs no hole in the sandbox, and nothing of one
 * guest is left when the next one comes.
 *
 * A server dies with this process, by whatever death: to whoever kills and restarts it the two
 * are one.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "vbe-blk.h"

#define LOOK_MS		100	/* how late the device may be noticed */

static pid_t keeper;

/**
 * wait_bind() - in a server: die with the process that waits
 *
 * To be called again when the user has changed: the kernel forgets it then.
 *
 * Return: false if that has died already.
 */
bool wait_bind(void)
{
	if (!keeper)
		return true;
	return prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == keeper;
}

static void tell(const char *first, const char *what, const char *name)
{
	char status[128];

	snprintf(status, sizeof(status), "%sSTATUS=%s %s", first, what, name);
	notify_send(status);
}

/* Returns true when a signal asked to end. */
static bool pause_for(const sigset_t *signals, long ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
	int sig = sigtimedwait(signals, NULL, &ts);

	return sig > 0 && sig != SIGHUP;
}

/* The device, or NULL with an exit code in *code. */
static struct vbe_dev *await_device(const struct options *o, const sigset_t *signals, int *code)
{
	struct vbe_info info;
	bool told = false;

	for (;;) {
		struct vbe_dev *dev = open_device(o);
		int err = errno;

		if (dev)
			return dev;
		/* No such device yet, or it is just being deleted; but not: no vbe at all. */
		if ((err != ENOENT && err != ENODEV) || (!told && vbe_probe(&info))) {
			open_explain(o, err);
			*code = open_exit_code(err);
			return NULL;
		}
		if (!told) {
			say("waiting for device %s", o->name);
			tell("READY=1\n", "Waiting for device", o->name);
		}
		told = true;
		if (pause_for(signals, LOOK_MS)) {
			*code = XC_OK;
			return NULL;
		}
	}
}

static int server_ended(int status)
{
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	say("the server was killed by signal %d", WTERMSIG(status));
	return XC_FAIL;
}

/* Hand signals on to the server until it ends. Returns its exit code. */
static int mind_server(pid_t pid, const sigset_t *signals)
{
	sigset_t set = *signals;
	bool ending = false;
	int status, code;

	sigaddset(&set, SIGCHLD);
	for (;;) {
		int sig = sigwaitinfo(&set, NULL);

		if (sig > 0 && sig != SIGCHLD) {
			if (sig != SIGHUP) {
				notify_send("STOPPING=1");
				ending = true;
			}
			kill(pid, sig);
		}
		if (waitpid(pid, &status, WNOHANG) != pid)
			continue;
		code = server_ended(status);
		/* Who asked us to end does not want us to wait for the next device. */
		return ending && code == XC_GONE ? XC_OK : code;
	}
}

static void be_server(struct options *o, struct image *img, struct vbe_dev *dev,
		      const sigset_t *signals, pid_t parent)
{
	keeper = parent;
	/* What a terminal sends comes through the parent, once. */
	setpgid(0, 0);
	notify_end();
	_exit(wait_bind() ? serve_device(o, img, dev, signals, false) : XC_FAIL);
}

/**
 * wait_and_serve() - serve a device each time it appears
 * @o: options
 * @img: image
 * @signals: blocked
 *
 * Return: an exit code.
 */
int wait_and_serve(struct options *o, struct image *img, const sigset_t *signals)
{
	pid_t self = getpid(), pid;
	struct vbe_dev *dev;
	sigset_t child;
	int ret;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	do {
		dev = await_device(o, signals, &ret);
		if (!dev)
			return ret;
		/* The last server may have seen it change, or nobody may. */
		image_resize(img);
		pid = fork();
		if (!pid)
			be_server(o, img, dev, signals, self);
		ret = -errno;
		/* The server alone holds it: its death must be the device's loss. */
		vbe_close(dev);
		if (pid < 0) {
			say("cannot start a process: %s", strerror(-ret));
			return XC_FAIL;
		}
		tell("READY=1\n", "Serving device", o->name);
		ret = mind_server(pid, signals);
	} while (ret == XC_GONE);
	return ret;
}
