// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
/*
 * A vhost-user front-end for tests, see usage(). What it finds wrong it prints, and fails.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "driver.h"

int wrong_run(const char *path);

static int usage(void)
{
	fputs("Usage: frontend SOCKET COMMAND [status] [slots] [queues] [no-inflight]\n"
	      "\n"
	      "  run MS         random I/O for so long, or until SIGTERM, over as many\n"
	      "                 connections as it takes, then read all of it; prints how often\n"
	      "                 it connected again\n"
	      "  churn N        memory comes and goes N times under I/O\n"
	      "  again N        stop, and start on the same connection, N times under I/O\n"
	      "  leave N        N connections that end without a word, under I/O\n"
	      "  truncate       cut guest memory off under a request\n"
	      "  second         be refused, since there is a front-end already\n"
	      "  hasty PID      leave without waiting to be read, and be followed at once; the\n"
	      "                 vbe-vhost-user that listens sleeps meanwhile\n"
	      "  wrong          everything that must be refused\n", stderr);
	return 2;
}

static int run(struct vmm *v, int ms)
{
	sigset_t set;
	int ret;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	ret = vmm_connect(v);
	if (!ret)
		ret = io_run(v, ms);
	if (!ret)
		ret = io_verify(v);
	if (!ret)
		ret = vmm_stop(v);
	printf("# %llu requests, %u reconnects\n", (unsigned long long)v->done, v->reconnects);
	return ret;
}

static int churn(struct vmm *v, int n)
{
	int ret = vmm_connect(v);

	for (int i = 0; i < n && !ret; i++) {
		/* So that something is in flight when it changes. */
		io_random(v);
		ret = vmm_extra(v, !v->extra);
		if (!ret)
			ret = io_run(v, 5);
	}
	if (!ret)
		ret = io_verify(v);
	return ret ? ret : vmm_stop(v);
}

static int again(struct vmm *v, int n)
{
	int ret = vmm_connect(v);

	for (int i = 0; i < n && !ret; i++) {
		ret = io_run(v, 20);
		if (!ret)
			ret = vmm_stop(v);
		if (!ret)
			ret = vmm_start(v);
	}
	if (!ret)
		ret = io_verify(v);
	return ret ? ret : vmm_stop(v);
}

static int leave(struct vmm *v, int n)
{
	int ret = 0;

	for (int i = 0; i < n && !ret; i++) {
		ret = vmm_connect(v);
		if (!ret)
			ret = io_run(v, 20);
		if (!ret)
			io_random(v);
		shutdown(v->sock, SHUT_RDWR);
	}
	if (!ret)
		ret = vmm_connect(v);
	if (!ret)
		ret = io_run(v, 20);
	if (!ret)
		ret = io_verify(v);
	return ret ? ret : vmm_stop(v);
}

/* One request with its buffer in the extra region. */
static int one_there(struct vmm *v)
{
	int ret;

	v->buffer = EXTRA_BASE + 4096;
	v->any_result = true;
	ret = io_submit(v, 0, 0, false);
	if (!ret)
		ret = io_drain(v);
	v->buffer = 0;
	v->any_result = false;
	return ret;
}

/*
 * A request whose buffer is not there any more ends in whatever way; the next one, and the
 * backend, must not suffer.
 */
static int cut_off(struct vmm *v)
{
	int ret = vmm_connect(v);

	if (!ret)
		ret = vmm_extra(v, true);
	for (int i = 0; i < 5 && !ret; i++) {
		ret = one_there(v);
		if (!ret)
			ret = io_run(v, 50);
		if (ftruncate(v->extra_fd, i % 2 ? EXTRA_SIZE : 0))
			ret = -errno;
		if (!ret)
			ret = one_there(v);
	}
	if (!ret)
		ret = io_verify(v);
	return ret ? ret : vmm_stop(v);
}

static int second(struct vmm *v)
{
	int ret = vmm_connect(v), sock;
	struct vu_header h;
	union vu_payload p;

	if (ret)
		return ret;
	sock = vmm_socket(v->path, REPLY_MS);
	ret = wire_recv(sock, &h, &p, NULL, REPLY_MS);
	close(sock);
	if (ret != -ECONNRESET) {
		printf("# it was not refused: %s\n", strerror(-ret));
		return -EILSEQ;
	}
	ret = io_run(v, 100);
	return ret ? ret : vmm_stop(v);
}

/*
 * The first one's messages, and its end, are all there before the first of them is read; and so is
 * the second one. It must be served, since there is nobody else.
 */
static int hasty(struct vmm *v, pid_t pid)
{
	struct vu_header owner = { VU_SET_OWNER, WIRE_OK, 0 };
	struct vu_header ask = { VU_GET_FEATURES, WIRE_OK, 0 };
	int first, second, ret = 0;
	union vu_payload p;

	if (pid <= 0 || kill(pid, SIGSTOP))
		return -ESRCH;
	first = vmm_socket(v->path, REPLY_MS);
	for (int i = 0; i < 10 && !ret; i++)
		ret = wire_send(first, &owner, NULL, 0, NULL, 0);
	close(first);
	second = vmm_socket(v->path, REPLY_MS);
	if (!ret)
		ret = wire_send(second, &ask, NULL, 0, NULL, 0);
	kill(pid, SIGCONT);
	if (!ret)
		ret = wire_recv(second, &ask, &p, NULL, REPLY_MS);
	close(second);
	return ret;
}

static int command(struct vmm *v, const char *name, int n)
{
	if (!strcmp(name, "run"))
		return run(v, n);
	if (!strcmp(name, "churn"))
		return churn(v, n);
	if (!strcmp(name, "again"))
		return again(v, n);
	if (!strcmp(name, "leave"))
		return leave(v, n);
	if (!strcmp(name, "truncate"))
		return cut_off(v);
	if (!strcmp(name, "second"))
		return second(v);
	if (!strcmp(name, "hasty"))
		return hasty(v, n);
	if (!strcmp(name, "wrong"))
		return wrong_run(v->path);
	return -ENOENT;
}

int main(int argc, char **argv)
{
	struct vmm v;
	int i, n = 0, ret;

	if (argc < 3)
		return usage();
	setvbuf(stdout, NULL, _IOLBF, 0);
	vmm_init(&v, argv[1]);
	i = 3;
	if (i < argc && argv[i][0] >= '0' && argv[i][0] <= '9')
		n = atoi(argv[i++]);
	for (; i < argc; i++) {
		if (!strcmp(argv[i], "status"))
			v.use_status = true;
		else if (!strcmp(argv[i], "slots"))
			v.use_slots = true;
		else if (!strcmp(argv[i], "queues"))
			v.n_queues = 2;
		else if (!strcmp(argv[i], "no-inflight"))
			v.use_inflight = false;
		else
			return usage();
	}
	ret = command(&v, argv[2], n);
	vmm_free(&v);
	if (ret == -ENOENT)
		return usage();
	if (ret)
		printf("# %s: %s\n", argv[2], strerror(-ret));
	return ret != 0;
}
