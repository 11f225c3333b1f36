// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
/*
 * --auto: serve every disk that is configured with a path, and has no server.
 *
 * This process looks at what devices there are whenever the kernel tells of a change, and
 * starts for each a program of its own: vbe-blk --on NAME PATH. It opens no image, and no
 * device. A server that a signal killed is started again, and the disk goes on; one that
 * ended by itself has said why, and is not. When this process dies the servers go on.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "auto.h"

#define SCAN_EVERY_MS	20	/* at most so often */
#define DELAY_MIN_MS	100	/* before a server that died at once is started again */
#define DELAY_MAX_MS	5000
#define LIVED_LONG_MS	10000

/**
 * struct server - a device, and the process that serves it
 * @next: in the list
 * @dev: device as it was seen last
 * @pid: process; 0: none
 * @started: when
 * @delay: what was waited before that
 * @due: when to start it again; 0: at the next scan
 * @ended: it ended by itself: not again, unless somebody else has served it since
 * @seen: in the last scan
 */
struct server {
	struct server *next;
	struct auto_dev dev;
	pid_t pid;
	int64_t started;
	long delay;
	int64_t due;
	bool ended;
	bool seen;
};

/**
 * struct keeper - this process
 * @o: options
 * @servers: list
 * @look: a scan is due
 * @scanned: when the last one was
 * @stopping: no more servers are started
 */
struct keeper {
	const struct options *o;
	struct server *servers;
	bool look;
	int64_t scanned;
	bool stopping;
};

/* Is it ours to serve? */
static bool wanted(const struct options *o, const struct auto_dev *d)
{
	if (d->virtio_id != 2 || !d->path[0])
		return false;
	return !o->provider || !strcmp(o->provider, d->provider);
}

/* How long to wait with the next start: long, if it dies again and again. */
static long next_delay(long last_ms, int64_t lived_ms)
{
	if (lived_ms >= LIVED_LONG_MS)
		return 0;
	if (!last_ms)
		return DELAY_MIN_MS;
	return last_ms * 2 < DELAY_MAX_MS ? last_ms * 2 : DELAY_MAX_MS;
}

/* ---- processes -------------------------------------------------------------------------- */

/* By its name, which "vbe-ctl dev show" tells; by the link if it was replaced since. */
static void exec_self(char **argv)
{
	char path[512];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (n > 0) {
		path[n] = '\0';
		execv(path, argv);
	}
	execv("/proc/self/exe", argv);
}

static void be_server(const struct options *o, const struct auto_dev *d)
{
	char *argv[AUTO_PASS_MAX + 8];
	sigset_t none;
	size_t n = 0;

	argv[n++] = "vbe-blk";
	argv[n++] = "--on";
	argv[n++] = (char *)d->name;
	for (uint32_t i = 0; i < o->n_pass; i++)
		argv[n++] = o->pass[i];
	if (d->readonly)
		argv[n++] = "--read-only";
	argv[n++] = "--";
	argv[n++] = (char *)d->path;
	argv[n] = NULL;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	/* What a terminal sends comes through the parent, once. */
	setpgid(0, 0);
	unsetenv("NOTIFY_SOCKET");
	exec_self(argv);
	say("cannot start a server: %s", strerror(errno));
	_exit(XC_FAIL);
}

static void start_server(struct keeper *k, struct server *s)
{
	pid_t pid = fork();

	if (!pid)
		be_server(k->o, &s->dev);
	s->started = now_ms();
	if (pid < 0) {
		say("cannot start a process: %s", strerror(errno));
		s->delay = next_delay(s->delay, 0);
		s->due = s->started + s->delay;
		return;
	}
	s->pid = pid;
	s->due = 0;
	note("device %s: process %d serves %s", s->dev.name, pid, s->dev.path);
}

static void server_ended(struct keeper *k, struct server *s, int status)
{
	int64_t now = now_ms();

	s->pid = 0;
	k->look = true;
	if (WIFSIGNALED(status)) {
		s->delay = next_delay(s->delay, now - s->started);
		s->due = now + s->delay;
		say("device %s: its server was killed by signal %d", s->dev.name,
		    WTERMSIG(status));
		return;
	}
	s->ended = true;
	if (WEXITSTATUS(status))
		say("device %s is not served: its server ended with status %d", s->dev.name,
		    WEXITSTATUS(status));
}

static void reap(struct keeper *k)
{
	struct server *s;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (s = k->servers; s; s = s->next)
			if (s->pid == pid)
				server_ended(k, s, status);
}

static bool any_running(const struct keeper *k)
{
	const struct server *s;

	for (s = k->servers; s; s = s->next)
		if (s->pid)
			return true;
	return false;
}

/* ---- devices ------------------------------------------------------------------------------ */

static struct server *server_of(struct keeper *k, uint32_t id)
{
	struct server *s;

	for (s = k->servers; s && s->dev.id != id; s = s->next)
		;
	return s;
}

static void on_device(const struct auto_dev *d, void *arg)
{
	struct keeper *k = arg;
	struct server *s;

	if (!wanted(k->o, d))
		return;
	s = server_of(k, d->id);
	if (!s) {
		s = calloc(1, sizeof(*s));
		if (!s) {
			say("out of memory");
			return;
		}
		s->next = k->servers;
		k->servers = s;
	}
	s->dev = *d;
	s->seen = true;
	/* Whoever serves it now may leave it to us later. */
	if (d->served && !s->pid)
		s->ended = false;
}

/* Devices that have gone are forgotten once nobody serves them. */
static void forget_gone(struct keeper *k)
{
	struct server **at = &k->servers, *s;

	while ((s = *at)) {
		if (s->seen || s->pid) {
			at = &s->next;
			continue;
		}
		*at = s->next;
		free(s);
	}
}

static void scan(struct keeper *k)
{
	struct server *s;

	k->look = false;
	k->scanned = now_ms();
	for (s = k->servers; s; s = s->next)
		s->seen = false;
	if (auto_nl_scan(on_device, k)) {
		k->look = true;
		return;
	}
	forget_gone(k);
}

static bool to_be_started(const struct server *s)
{
	return s->seen && !s->pid && !s->ended && !s->dev.served &&
	       (s->dev.state == VBE_DEV_EMPTY || s->dev.state == VBE_DEV_LOST);
}

/* Return: milliseconds until the next one is due, or -1. */
static int start_due(struct keeper *k)
{
	int64_t now = now_ms(), next = -1;
	struct server *s;

	if (k->stopping)
		return -1;
	for (s = k->servers; s; s = s->next) {
		if (to_be_started(s) && s->due <= now)
			start_server(k, s);
		if (to_be_started(s) && s->due > now && (next < 0 || s->due - now < next))
			next = s->due - now;
	}
	return next;
}

/* ---- signals ------------------------------------------------------------------------------ */

static void tell_servers(struct keeper *k, int sig)
{
	struct server *s;

	for (s = k->servers; s; s = s->next)
		if (s->pid)
			kill(s->pid, sig);
}

static void on_signal(struct keeper *k, int fd)
{
	struct signalfd_siginfo info;

	if (read(fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGCHLD) {
		reap(k);
		return;
	}
	if (info.ssi_signo != SIGHUP && !k->stopping) {
		notify_send("STOPPING=1");
		k->stopping = true;
	}
	tell_servers(k, info.ssi_signo);
}

/* ---- the loop ------------------------------------------------------------------------------- */

/* Scan if it is time, start what is due. Return: how long to wait, -1: for ever. */
static int work(struct keeper *k)
{
	int64_t since = now_ms() - k->scanned;
	int next;

	if (k->look && since >= SCAN_EVERY_MS)
		scan(k);
	next = start_due(k);
	if (k->look && (next < 0 || next > SCAN_EVERY_MS))
		next = SCAN_EVERY_MS;
	return next;
}

static int loop(struct keeper *k, int nl_fd, int sig_fd)
{
	struct pollfd fds[] = {
		{ .fd = sig_fd, .events = POLLIN },
		{ .fd = nl_fd, .events = POLLIN },
	};

	while (!k->stopping || any_running(k)) {
		int n = poll(fds, 2, work(k));

		if (n < 0 && errno != EINTR) {
			say("poll: %s", strerror(errno));
			return XC_FAIL;
		}
		if (n > 0 && fds[0].revents)
			on_signal(k, sig_fd);
		if (n > 0 && fds[1].revents && auto_nl_events(&k->look))
			return XC_FAIL;
	}
	return XC_OK;
}

/**
 * auto_run() - serve every disk, until a signal asks to end
 * @o: options
 * @signals: blocked
 *
 * Return: an exit code.
 */
int auto_run(struct options *o, sigset_t *signals)
{
	struct keeper k = { .o = o, .look = true };
	int nl_fd, sig_fd;

	nl_fd = auto_nl_open();
	if (nl_fd < 0)
		return XC_UNSUPPORTED;
	sigaddset(signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, signals, NULL);
	sig_fd = signalfd(-1, signals, SFD_CLOEXEC);
	if (sig_fd < 0) {
		say("signalfd: %s", strerror(errno));
		return XC_FAIL;
	}
	notify_send("READY=1\nSTATUS=Waiting for disks");
	return loop(&k, nl_fd, sig_fd);
}
