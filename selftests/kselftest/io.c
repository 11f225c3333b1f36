// SPDX-License-Identifier: GPL-2.0
/*
 * I/O on a front-end's disk.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io.h"
#include "util.h"

/* Long enough for all that goes well, on an emulated and busy machine. */
#define NOW_MS	COMES_MS
/* How long an open is waited for. */
#define OPEN_MS	COMES_MS

static int do_write(int fd, uint64_t offset, uint8_t *buf, uint32_t len, uint8_t byte)
{
	memset(buf, byte, len);
	return pwrite(fd, buf, len, offset) == (ssize_t)len ? IO_GOOD : IO_ERROR;
}

static int do_check(int fd, uint64_t offset, uint8_t *buf, uint32_t len, uint8_t byte)
{
	uint32_t i;

	memset(buf, ~byte, len);
	if (pread(fd, buf, len, offset) != (ssize_t)len)
		return IO_ERROR;
	for (i = 0; i < len; i++)
		if (buf[i] != byte)
			return IO_MISMATCH;
	return IO_GOOD;
}

/*
 * Returns once the child has the node open, so that no later event comes between;
 * or after a while without that: an open may hang, which must not be ours.
 */
static pid_t start(const char *node, uint64_t offset, uint32_t len, uint8_t byte, bool write)
{
	struct pollfd p = { .events = POLLIN };
	int pipes[2], fd;
	void *buf;
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (pid) {
		close(pipes[1]);
		p.fd = pipes[0];
		poll(&p, 1, OPEN_MS);
		close(pipes[0]);
		return pid;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	keep_only(pipes[1]);
	fd = open(node, O_RDWR | O_DIRECT | O_CLOEXEC);
	close(pipes[1]);
	if (fd < 0)
		_exit(IO_NO_OPEN);
	if (posix_memalign(&buf, 4096, len))
		_exit(IO_NO_OPEN);
	_exit(write ? do_write(fd, offset, buf, len, byte) :
		      do_check(fd, offset, buf, len, byte));
}

/* Writes @len bytes of @byte, past the page cache. */
pid_t io_write(const char *node, uint64_t offset, uint32_t len, uint8_t byte)
{
	return start(node, offset, len, byte, true);
}

/* Reads, and compares. */
pid_t io_check(const char *node, uint64_t offset, uint32_t len, uint8_t byte)
{
	return start(node, offset, len, byte, false);
}

static bool can_read(void *node)
{
	return io_result(start(node, 0, 512, 0, false), NOW_MS) < IO_NO_OPEN;
}

/*
 * A node is there before the disk can be opened, and that is before the driver's
 * probe has ended: it still reads the partition table. Whoever reads waits for it.
 */
bool io_settle(const char *node)
{
	char path[64];

	snprintf(path, sizeof(path), "%s", node);
	return wait_until(can_read, path, NOW_MS);
}

/* IO_*; IO_PENDING leaves the process as it is. */
int io_result(pid_t pid, int ms)
{
	int status = pid > 0 ? wait_child(pid, ms) : -EINVAL;

	if (status == -ETIMEDOUT)
		return IO_PENDING;
	if (status < 0 || !WIFEXITED(status))
		return IO_KILLED;
	return WEXITSTATUS(status);
}

int io_now(pid_t pid)
{
	return io_result(pid, NOW_MS);
}

/* Writes to a file of sysfs, which may take its time. IO_GOOD or IO_ERROR. */
pid_t text_writer(const char *path, const char *text)
{
	pid_t pid = fork();

	if (!pid) {
		keep_only(-1);
		_exit(write_text(path, text) ? IO_ERROR : IO_GOOD);
	}
	return pid;
}
