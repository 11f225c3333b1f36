/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 The vbe authors */
/* vhost-user messages, as a front-end sends them: rightly, or wrongly on purpose. */
#ifndef WIRE_H
#define WIRE_H

#include "../../tools/vbe-vhost-user/protocol.h"

#define WIRE_OK		(VU_VERSION)
#define WIRE_ACK	(VU_VERSION | VU_FLAG_NEED_REPLY)
#define WIRE_MAX_FDS	32

/**
 * wire_send() - send a message
 * @sock: socket
 * @h: header, as it is: nothing in it needs to be true
 * @p: payload
 * @len: bytes of it that are really sent
 * @fds: file descriptors to go with it
 * @n_fds: number, up to WIRE_MAX_FDS
 *
 * Return: 0 or -errno.
 */
int wire_send(int sock, const struct vu_header *h, const void *p, unsigned int len,
	      const int *fds, unsigned int n_fds);

/**
 * wire_recv() - receive a reply
 * @sock: socket
 * @h: set
 * @p: payload
 * @fd: a file descriptor that came with it, or -1; may be NULL
 * @timeout_ms: how long to wait
 *
 * Return: 0; -ETIMEDOUT; -ECONNRESET, the back-end has closed; other -errno.
 */
int wire_recv(int sock, struct vu_header *h, union vu_payload *p, int *fd, int timeout_ms);

#endif /* WIRE_H */
