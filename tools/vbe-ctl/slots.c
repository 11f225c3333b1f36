// SPDX-License-Identifier: GPL-2.0
/*
 * Which PCI slots of a Xen guest its device model has: asked of QEMU itself, by QMP. Xen
 * sends an access to whoever came last, so a function of vbe in such a slot would hide
 * QEMU's, and neither Xen nor the kernel can tell.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "slots.h"
#include "vbe-ctl.h"

#define ANSWER_WAIT_MS 3000
#define ANSWER_MAX (1 << 20)

/**
 * struct qmp - a connection
 * @fd: socket
 * @tok: parser of what comes in
 * @end: when to give up, in milliseconds of CLOCK_MONOTONIC
 * @buf: what came
 * @len: bytes of it
 * @pos: how far it is parsed
 * @total: bytes that came in all
 */
struct qmp {
	int fd;
	json_tokener *tok;
	int64_t end;
	char buf[4096];
	size_t len;
	size_t pos;
	size_t total;
};

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Toolstacks put the socket there; without one there is nobody to ask. */
static int qmp_connect(uint32_t domid)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd;

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	snprintf(addr.sun_path, sizeof(addr.sun_path), "/run/xen/qmp-libxl-%u", domid);
	if (!connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		return fd;
	close(fd);
	return -1;
}

/* It talks to one at a time: somebody else may keep it for longer than we wait. */
static bool qmp_fill(struct qmp *q)
{
	struct pollfd p = { .fd = q->fd, .events = POLLIN };
	int64_t left = q->end - now_ms();
	ssize_t n;

	if (left <= 0 || poll(&p, 1, left) <= 0)
		return false;
	n = read(q->fd, q->buf, sizeof(q->buf));
	if (n <= 0)
		return false;
	q->total += n;
	q->len = n;
	q->pos = 0;
	return q->total <= ANSWER_MAX;
}

static json_object *qmp_object(struct qmp *q)
{
	json_object *obj;

	for (;;) {
		/* What is left between two objects is white space. */
		while (q->pos < q->len && strchr(" \r\n", q->buf[q->pos]))
			q->pos++;
		if (q->pos == q->len && !qmp_fill(q))
			return NULL;
		obj = json_tokener_parse_ex(q->tok, q->buf + q->pos, q->len - q->pos);
		if (obj) {
			q->pos += json_tokener_get_parse_end(q->tok);
			json_tokener_reset(q->tok);
			return obj;
		}
		if (json_tokener_get_error(q->tok) != json_tokener_continue)
			return NULL;
		q->pos = q->len;
	}
}

/* What @command gives; events come in between. */
static json_object *qmp_ask(struct qmp *q, const char *command)
{
	char line[128];
	json_object *obj, *answer;
	int n;

	n = snprintf(line, sizeof(line), "{\"execute\": \"%s\"}\n", command);
	if (send(q->fd, line, n, MSG_NOSIGNAL) != n)
		return NULL;
	while ((obj = qmp_object(q))) {
		if (json_object_object_get_ex(obj, "return", &answer)) {
			answer = json_object_get(answer);
			json_object_put(obj);
			return answer;
		}
		n = json_object_object_get_ex(obj, "error", NULL);
		json_object_put(obj);
		if (n)
			return NULL;
	}
	return NULL;
}

static json_object *qmp_query_pci(int fd)
{
	struct qmp q = { .fd = fd, .end = now_ms() + ANSWER_WAIT_MS };
	json_object *hello, *answer = NULL;

	q.tok = json_tokener_new();
	if (!q.tok)
		return NULL;
	hello = qmp_object(&q);
	if (hello) {
		answer = qmp_ask(&q, "qmp_capabilities");
		json_object_put(hello);
	}
	if (answer) {
		json_object_put(answer);
		answer = qmp_ask(&q, "query-pci");
	}
	json_tokener_free(q.tok);
	return answer;
}

static bool find_slot(json_object *devices, uint32_t slot, char *what, size_t len)
{
	json_object *dev, *class, *id;
	const char *desc;
	size_t i;

	if (!json_object_is_type(devices, json_type_array))
		return false;
	for (i = 0; i < json_object_array_length(devices); i++) {
		dev = json_object_array_get_idx(devices, i);
		if (!json_object_is_type(dev, json_type_object) || get_u64(dev, "slot") != slot)
			continue;
		class = get(dev, "class_info");
		id = get(dev, "id");
		desc = class ? get_string(class, "desc") : NULL;
		snprintf(what, len, "%s, %04x:%04x", desc && *desc ? desc : "a device",
			 id ? (unsigned int)get_u64(id, "vendor") : 0,
			 id ? (unsigned int)get_u64(id, "device") : 0);
		return true;
	}
	return false;
}

bool slot_of_device_model(uint32_t domid, uint32_t slot, char *what, size_t len)
{
	json_object *buses, *bus;
	int fd = qmp_connect(domid);
	bool found = false;
	size_t i;

	if (fd < 0)
		return false;
	buses = qmp_query_pci(fd);
	close(fd);
	if (json_object_is_type(buses, json_type_array)) {
		for (i = 0; i < json_object_array_length(buses) && !found; i++) {
			bus = json_object_array_get_idx(buses, i);
			if (json_object_is_type(bus, json_type_object) && !get_u64(bus, "bus"))
				found = find_slot(get(bus, "devices"), slot, what, len);
		}
	}
	json_object_put(buses);
	return found;
}
