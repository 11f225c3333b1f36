/* SPDX-License-Identifier: GPL-2.0 */
/*
 * I/O on a front-end's disk, each in a process of its own so that it can be seen
 * to wait, to fail or to be stuck.
 *
 * Copyright (c) 2026 The vbe authors
 */
#ifndef KST_IO_H
#define KST_IO_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* What such a process ends with. */
#define IO_GOOD		0
#define IO_ERROR	1
#define IO_MISMATCH	2
#define IO_NO_OPEN	3
#define IO_PENDING	100	/* it has not ended */
#define IO_KILLED	101

pid_t io_write(const char *node, uint64_t offset, uint32_t len, uint8_t byte);
pid_t io_check(const char *node, uint64_t offset, uint32_t len, uint8_t byte);
bool io_settle(const char *node);
int io_result(pid_t pid, int ms);
int io_now(pid_t pid);
pid_t text_writer(const char *path, const char *text);

#endif /* KST_IO_H */
