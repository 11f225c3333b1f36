// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
/* Messages to stderr, each one write() of a whole line. */
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "log.h"

#define LINES_PER_SECOND	5

static bool verbose;
static pthread_mutex_t rate_lock = PTHREAD_MUTEX_INITIALIZER;

/* A file of ours must not become stdin, stdout or stderr: messages would go into it. */
void log_fill_stdio(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

void log_verbose(bool on)
{
	verbose = on;
}

static void line(const char *fmt, va_list ap)
{
	char buf[512];
	int n = snprintf(buf, sizeof(buf), "%s: ", log_name);
	ssize_t ret;

	n += vsnprintf(buf + n, sizeof(buf) - n - 1, fmt, ap);
	if (n > (int)sizeof(buf) - 2)
		n = sizeof(buf) - 2;
	buf[n++] = '\n';
	/* Nobody to tell if stderr is gone. */
	ret = write(STDERR_FILENO, buf, n);
	(void)ret;
}

void say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	line(fmt, ap);
	va_end(ap);
}

void note(const char *fmt, ...)
{
	va_list ap;

	if (!verbose)
		return;
	va_start(ap, fmt);
	line(fmt, ap);
	va_end(ap);
}

void complain(const char *fmt, ...)
{
	static unsigned int lines, left_out;
	static time_t second;
	unsigned int dropped = 0;
	struct timespec now;
	bool print;
	va_list ap;

	clock_gettime(CLOCK_MONOTONIC, &now);
	pthread_mutex_lock(&rate_lock);
	if (now.tv_sec != second) {
		second = now.tv_sec;
		lines = 0;
		dropped = left_out;
		left_out = 0;
	}
	print = lines < LINES_PER_SECOND;
	if (print)
		lines++;
	else
		left_out++;
	pthread_mutex_unlock(&rate_lock);
	if (dropped)
		say("%u more lines like this were left out", dropped);
	if (!print)
		return;
	va_start(ap, fmt);
	line(fmt, ap);
	va_end(ap);
}
