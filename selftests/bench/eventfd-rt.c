// SPDX-License-Identifier: GPL-2.0
/*
 * The bare eventfd round trip: what two wake-ups cost on this machine, and so
 * the least that a request through a user-space backend can cost.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * Two processes, as an I/O program and its backend are, wake each other by
 * writing one eventfd and sleeping in read() on another. Prints nanoseconds per
 * round trip: the median, which the odd interruption cannot move.
 */
#include <err.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#define WARM_UP		500
#define ROUND_TRIPS	10000

static void pass(int fd)
{
	const uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) != sizeof(one))
		err(1, "eventfd write");
}

static void take(int fd)
{
	uint64_t count;

	if (read(fd, &count, sizeof(count)) != sizeof(count))
		err(1, "eventfd read");
}

static int new_eventfd(void)
{
	int fd = eventfd(0, EFD_CLOEXEC);

	if (fd < 0)
		err(1, "eventfd");
	return fd;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double round_trip(int ping, int pong)
{
	double start = now();

	pass(ping);
	take(pong);
	return now() - start;
}

int main(void)
{
	static double ns[ROUND_TRIPS];
	int ping = new_eventfd(), pong = new_eventfd();
	pid_t pid = fork();
	int i;

	if (pid < 0)
		err(1, "fork");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;) {
			take(ping);
			pass(pong);
		}
	}
	for (i = 0; i < WARM_UP; i++)
		round_trip(ping, pong);
	for (i = 0; i < ROUND_TRIPS; i++)
		ns[i] = round_trip(ping, pong);
	kill(pid, SIGKILL);
	qsort(ns, ROUND_TRIPS, sizeof(ns[0]), compare);
	printf("{\"round_trip_ns\": %.0f}\n", ns[ROUND_TRIPS / 2]);
	return 0;
}
