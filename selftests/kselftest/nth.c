// SPDX-License-Identifier: GPL-2.0
/*
 * The n-th allocation, or copy from or to user space, of this thread fails.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nth.h"
#include "util.h"

#define FAIL_NTH	"/proc/thread-self/fail-nth"
#define DEBUG		"/sys/kernel/debug/"

static const char *const knobs[][2] = {
	{ DEBUG "failslab/ignore-gfp-wait", "N" },
	{ DEBUG "failslab/verbose", "0" },
	{ DEBUG "fail_page_alloc/ignore-gfp-wait", "N" },
	{ DEBUG "fail_page_alloc/ignore-gfp-highmem", "N" },
	{ DEBUG "fail_page_alloc/min-order", "0" },
	{ DEBUG "fail_page_alloc/verbose", "0" },
	{ DEBUG "fail_usercopy/verbose", "0" },
};

static int nth_fd = -1;

const char *nth_begin(void)
{
	char text[16];
	size_t i;

	nth_fd = open(FAIL_NTH, O_RDWR | O_CLOEXEC);
	if (nth_fd < 0)
		return "no " FAIL_NTH ": this kernel lacks CONFIG_FAULT_INJECTION";
	if (read_text(knobs[0][0], text, sizeof(text)) < 0)
		return "no " DEBUG "failslab: CONFIG_FAILSLAB, or debugfs, is missing";
	for (i = 0; i < ARRAY_LEN(knobs); i++)
		write_text(knobs[i][0], knobs[i][1]);
	return NULL;
}

void nth_end(void)
{
	if (nth_fd >= 0)
		close(nth_fd);
	nth_fd = -1;
}

void nth_arm(unsigned int n)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", n);

	if (pwrite(nth_fd, text, len, 0) != len)
		die("cannot write " FAIL_NTH);
}

/*
 * Reading whether it happened is a copy too: when it fails, this was the n-th, so the
 * chain had none. The same goes for writing, which is then done again.
 */
bool nth_disarm(void)
{
	char text[16] = "";
	bool injected = false;

	if (pread(nth_fd, text, sizeof(text) - 1, 0) > 0)
		injected = strtoul(text, NULL, 10) == 0;
	else if (errno != EFAULT)
		die("cannot read " FAIL_NTH);
	while (pwrite(nth_fd, "0", 1, 0) != 1)
		if (errno != EFAULT)
			die("cannot write " FAIL_NTH);
	return injected;
}

bool nth_clean_error(int ret)
{
	switch (ret) {
	case 0:
	case -ENOMEM:
	case -EFAULT:
	case -ENOBUFS:
	case -EMSGSIZE:		/* of a dump: no room in this buffer, for want of a larger */
		return true;
	}
	return false;
}
