/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Raw generic netlink for tests: nothing is checked before it is sent, so that
 * malformed requests reach the kernel.
 *
 * Copyright (c) 2026 The vbe authors
 */
#ifndef KST_NL_H
#define KST_NL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NL_MSG_MAX	4096
#define NL_TEXT_MAX	256

/**
 * struct nl - a socket of the family "vbe"
 * @fd: socket, -1 when closed
 * @family: message type of the family
 * @group: id of the multicast group, 0 when there is none
 * @seq: of the last request
 * @text: extack text of the last answer, empty when it had none
 * @miss: attribute type that the kernel said was missing, 0 when none
 * @offset: offset of the attribute that the kernel pointed at, 0 when none
 */
struct nl {
	int fd;
	uint16_t family;
	uint32_t group;
	uint32_t seq;
	char text[NL_TEXT_MAX];
	uint32_t miss;
	uint32_t offset;
};

/**
 * struct nl_msg - one request
 * @buf: bytes
 * @len: bytes used
 */
struct nl_msg {
	char buf[NL_MSG_MAX] __attribute__((aligned(8)));
	size_t len;
};

struct nlattr;

/* What a message's payload is given to; @cmd is the genl command. */
typedef void (*nl_fn)(void *arg, uint8_t cmd, const struct nlattr *attrs, size_t len);

int nl_open(struct nl *nl);
void nl_close(struct nl *nl);
void nl_start(struct nl *nl, struct nl_msg *m, uint8_t cmd, uint16_t flags);
void nl_put(struct nl_msg *m, uint16_t type, const void *data, size_t len);
void nl_put_u8(struct nl_msg *m, uint16_t type, uint8_t v);
void nl_put_u32(struct nl_msg *m, uint16_t type, uint32_t v);
void nl_put_u64(struct nl_msg *m, uint16_t type, uint64_t v);
void nl_put_str(struct nl_msg *m, uint16_t type, const char *s);
size_t nl_nest(struct nl_msg *m, uint16_t type);
void nl_nest_end(struct nl_msg *m, size_t at);
int nl_send(struct nl *nl, struct nl_msg *m);
int nl_wait(struct nl *nl, nl_fn fn, void *arg, int timeout_ms);
int nl_talk(struct nl *nl, struct nl_msg *m, nl_fn fn, void *arg);
int nl_subscribe(struct nl *nl);
int nl_event(struct nl *nl, nl_fn fn, void *arg, int timeout_ms);

const struct nlattr *nl_attr(const struct nlattr *attrs, size_t len, uint16_t type);
uint32_t nl_get_u32(const struct nlattr *a);
uint64_t nl_get_uint(const struct nlattr *a);
const char *nl_get_str(const struct nlattr *a);

#endif /* KST_NL_H */
