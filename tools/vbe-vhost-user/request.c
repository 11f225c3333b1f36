// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
/* Which requests there are, what they must look like, and the simple ones. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/virtio_config.h>

#include "vbe-vhost-user.h"

/**
 * struct request - a row of the dispatch table
 * @name: as the specification calls it
 * @fn: does it: 0, or -errno after a message
 * @min: bytes of payload, at least
 * @max: at most
 * @min_fds: file descriptors, at least
 * @max_fds: at most
 * @proto: protocol feature that must have been taken, or 0
 * @replies: @fn makes a reply out of the message
 */
struct request {
	const char *name;
	int (*fn)(struct session *s, struct message *m);
	uint32_t min;
	uint32_t max;
	uint32_t min_fds;
	uint32_t max_fds;
	uint64_t proto;
	bool replies;
};

static void reply_u64(struct message *m, uint64_t value)
{
	m->h.size = sizeof(uint64_t);
	m->p.u64 = value;
}

static int get_features(struct session *s, struct message *m)
{
	reply_u64(m, s->offered);
	return 0;
}

static int set_features(struct session *s, struct message *m)
{
	uint64_t f = m->p.u64;

	if (f & ~s->offered) {
		complain("front-end: SET_FEATURES: 0x%" PRIx64 " was not offered",
			 f & ~s->offered);
		return -EINVAL;
	}
	if (!(f & BIT(VIRTIO_F_VERSION_1))) {
		complain("front-end: SET_FEATURES: without VIRTIO_F_VERSION_1: drivers of before "
			 "virtio 1.0 are not served");
		return -EINVAL;
	}
	if (s->features_set && f != s->features && rings_running(s)) {
		complain("front-end: SET_FEATURES while rings run");
		return -EPROTO;
	}
	s->features = f;
	s->features_set = true;
	return 0;
}

static int get_protocol_features(struct session *s, struct message *m)
{
	reply_u64(m, s->proto_offered);
	return 0;
}

static int set_protocol_features(struct session *s, struct message *m)
{
	uint64_t p = m->p.u64;

	if (p & ~s->proto_offered) {
		complain("front-end: SET_PROTOCOL_FEATURES: 0x%" PRIx64 " was not offered",
			 p & ~s->proto_offered);
		return -EINVAL;
	}
	if (s->proto_set && p != s->proto && rings_running(s)) {
		complain("front-end: SET_PROTOCOL_FEATURES while rings run");
		return -EPROTO;
	}
	s->proto = p;
	s->proto_set = true;
	return 0;
}

static int set_owner(struct session *s, struct message *m)
{
	(void)s;
	(void)m;
	return 0;
}

static int reset_owner(struct session *s, struct message *m)
{
	(void)m;
	return rings_disable(s);
}

static int get_queue_num(struct session *s, struct message *m)
{
	reply_u64(m, s->n_queues);
	return 0;
}

static int get_max_mem_slots(struct session *s, struct message *m)
{
	(void)s;
	reply_u64(m, VBE_GUEST_MAX_MEM);
	return 0;
}

static int set_backend_req_fd(struct session *s, struct message *m)
{
	int domain = 0;
	socklen_t len = sizeof(domain);

	if (getsockopt(m->fds[0], SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 || domain != AF_UNIX) {
		complain("front-end: SET_BACKEND_REQ_FD: this is not a UNIX socket");
		return -EINVAL;
	}
	if (s->backend_fd >= 0)
		close(s->backend_fd);
	s->backend_fd = m->fds[0];
	m->fds[0] = -1;
	return 0;
}

static int check_config(const struct message *m, const char *what)
{
	const struct vu_config *c = &m->p.config;

	if (c->size == m->h.size - VU_CONFIG_HEADER && c->size <= VU_MAX_CONFIG &&
	    c->offset <= VBE_MAX_CONFIG)
		return 0;
	complain("front-end: %s of %u bytes at %u in a message of %u", what, c->size, c->offset,
		 m->h.size);
	return -EPROTO;
}

/*
 * Front-ends ask for as much as they know of; what the device does not have reads as zeroes, and
 * belongs to features that it does not offer.
 */
static int get_config(struct session *s, struct message *m)
{
	struct vu_config *c = &m->p.config;
	uint32_t have = c->offset < s->config_size ? s->config_size - c->offset : 0;
	int ret = check_config(m, "GET_CONFIG");

	if (ret)
		return ret;
	if (have > c->size)
		have = c->size;
	memset(c->data, 0, c->size);
	/* A reply without payload says that it failed. */
	if (have && guest_config(s->g, c->offset, have, c->data, false))
		m->h.size = 0;
	return 0;
}

static int set_config(struct session *s, struct message *m)
{
	struct vu_config *c = &m->p.config;
	int ret = check_config(m, "SET_CONFIG");

	if (ret)
		return ret;
	if (c->flags) {
		complain("front-end: SET_CONFIG with flags 0x%x: there is no live migration here",
			 c->flags);
		return -EOPNOTSUPP;
	}
	return guest_config(s->g, c->offset, c->size, c->data, true);
}

static int reset_all(struct session *s)
{
	int ret = guest_reset(s->g);

	if (ret)
		return ret;
	rings_forget(s);
	s->status = 0;
	return 0;
}

static int reset_device(struct session *s, struct message *m)
{
	(void)m;
	return reset_all(s);
}

/*
 * A front-end need not set all bits of a virtio driver, nor in its order: one is known to set
 * FEATURES_OK alone. The kernel is told when features are settled, and when the driver is ready.
 */
static int set_status(struct session *s, struct message *m)
{
	uint64_t status = m->p.u64;
	int ret;

	if (status > 0xff) {
		complain("front-end: SET_STATUS: 0x%" PRIx64, status);
		return -EINVAL;
	}
	if (!status)
		return reset_all(s);
	if (!(status & VIRTIO_CONFIG_S_FEATURES_OK)) {
		s->status = status;
		return 0;
	}
	/* Refused features are no error: GET_STATUS tells. */
	s->status = status & ~VIRTIO_CONFIG_S_FEATURES_OK & ~VIRTIO_CONFIG_S_DRIVER_OK;
	ret = session_commit(s, false);
	if (ret)
		return ret == -EOPNOTSUPP ? 0 : ret;
	s->status |= VIRTIO_CONFIG_S_FEATURES_OK;
	ret = rings_update(s, true);
	if (ret)
		return ret;
	s->status = status;
	return guest_set_status(s->g, status & ~VIRTIO_CONFIG_S_NEEDS_RESET);
}

static int get_status(struct session *s, struct message *m)
{
	uint32_t device;
	int ret = guest_info(s->g);

	if (ret)
		return ret;
	device = s->g->info.status & VIRTIO_CONFIG_S_NEEDS_RESET;
	reply_u64(m, (s->status & ~VIRTIO_CONFIG_S_NEEDS_RESET) | device);
	return 0;
}

#define PAYLOAD(_type)		.min = sizeof(_type), .max = sizeof(_type)
#define FDS(_min, _max)		.min_fds = (_min), .max_fds = (_max)
#define REQUEST(_name, _fn, ...) \
	[VU_##_name] = { .name = #_name, .fn = (_fn), __VA_ARGS__ }
#define CONFIG_PAYLOAD		.min = VU_CONFIG_HEADER, .max = VU_CONFIG_HEADER + VU_MAX_CONFIG
#define INFLIGHT_PAYLOAD	.min = VU_INFLIGHT_MIN, .max = sizeof(struct vu_inflight)

static const struct request requests[VU_REQUEST_MAX] = {
	REQUEST(GET_FEATURES, get_features, .replies = true),
	REQUEST(SET_FEATURES, set_features, PAYLOAD(uint64_t)),
	REQUEST(SET_OWNER, set_owner),
	REQUEST(RESET_OWNER, reset_owner),
	REQUEST(SET_MEM_TABLE, request_set_mem_table,
		.min = offsetof(struct vu_mem_table, regions), .max = sizeof(struct vu_mem_table),
		FDS(0, VU_MAX_FDS)),
	REQUEST(SET_VRING_NUM, request_set_vring_num, PAYLOAD(struct vu_vring_state)),
	REQUEST(SET_VRING_ADDR, request_set_vring_addr, PAYLOAD(struct vu_vring_addr)),
	REQUEST(SET_VRING_BASE, request_set_vring_base, PAYLOAD(struct vu_vring_state)),
	REQUEST(GET_VRING_BASE, request_get_vring_base, PAYLOAD(struct vu_vring_state),
		.replies = true),
	REQUEST(SET_VRING_KICK, request_set_vring_kick, PAYLOAD(uint64_t), FDS(0, 1)),
	REQUEST(SET_VRING_CALL, request_set_vring_call, PAYLOAD(uint64_t), FDS(0, 1)),
	REQUEST(SET_VRING_ERR, request_set_vring_err, PAYLOAD(uint64_t), FDS(0, 1)),
	REQUEST(GET_PROTOCOL_FEATURES, get_protocol_features, .replies = true),
	REQUEST(SET_PROTOCOL_FEATURES, set_protocol_features, PAYLOAD(uint64_t)),
	REQUEST(GET_QUEUE_NUM, get_queue_num, .replies = true, .proto = VU_PROTOCOL_F_MQ),
	REQUEST(SET_VRING_ENABLE, request_set_vring_enable, PAYLOAD(struct vu_vring_state)),
	REQUEST(SET_BACKEND_REQ_FD, set_backend_req_fd, FDS(1, 1),
		.proto = VU_PROTOCOL_F_BACKEND_REQ),
	REQUEST(GET_CONFIG, get_config, CONFIG_PAYLOAD, .replies = true,
		.proto = VU_PROTOCOL_F_CONFIG),
	REQUEST(SET_CONFIG, set_config, CONFIG_PAYLOAD, .proto = VU_PROTOCOL_F_CONFIG),
	REQUEST(GET_INFLIGHT_FD, request_get_inflight_fd, INFLIGHT_PAYLOAD, .replies = true,
		.proto = VU_PROTOCOL_F_INFLIGHT_SHMFD),
	REQUEST(SET_INFLIGHT_FD, request_set_inflight_fd, INFLIGHT_PAYLOAD, FDS(1, 1),
		.proto = VU_PROTOCOL_F_INFLIGHT_SHMFD),
	REQUEST(RESET_DEVICE, reset_device, .proto = VU_PROTOCOL_F_RESET_DEVICE),
	REQUEST(GET_MAX_MEM_SLOTS, get_max_mem_slots, .replies = true,
		.proto = VU_PROTOCOL_F_MEM_SLOTS),
	REQUEST(ADD_MEM_REG, request_add_mem_reg, PAYLOAD(struct vu_mem_reg), FDS(1, 1),
		.proto = VU_PROTOCOL_F_MEM_SLOTS),
	REQUEST(REM_MEM_REG, request_rem_mem_reg, PAYLOAD(struct vu_mem_reg), FDS(0, 1),
		.proto = VU_PROTOCOL_F_MEM_SLOTS),
	REQUEST(SET_STATUS, set_status, PAYLOAD(uint64_t), .proto = VU_PROTOCOL_F_STATUS),
	REQUEST(GET_STATUS, get_status, .replies = true, .proto = VU_PROTOCOL_F_STATUS),
};

static const struct request *find(uint32_t number)
{
	if (number < VU_REQUEST_MAX && requests[number].fn)
		return &requests[number];
	complain("front-end: unknown request %u", number);
	return NULL;
}

static int check(const struct session *s, const struct request *r, const struct message *m)
{
	if (m->h.size < r->min || m->h.size > r->max) {
		complain("front-end: %s: %u bytes, not %u%s", r->name, m->h.size, r->min,
			 r->min == r->max ? "" : " or more");
		return -EPROTO;
	}
	if (m->n_fds < r->min_fds || m->n_fds > r->max_fds) {
		complain("front-end: %s: %u file descriptors: too %s", r->name, m->n_fds,
			 m->n_fds < r->min_fds ? "few" : "many");
		return -EPROTO;
	}
	if (r->proto && !(s->proto & r->proto)) {
		complain("front-end: %s: its protocol feature, 0x%" PRIx64 ", was not taken",
			 r->name, r->proto);
		return -EPROTO;
	}
	return 0;
}

/**
 * request_handle() - do what a message asks for, and answer it
 * @s: session
 * @m: a whole message; what nobody took of it is closed later
 *
 * Return: 0, or -errno: the connection must be closed.
 */
int request_handle(struct session *s, struct message *m)
{
	bool ack = (m->h.flags & VU_FLAG_NEED_REPLY) && has_proto(s, VU_PROTOCOL_F_REPLY_ACK);
	const struct request *r = find(m->h.request);
	int ret = r ? check(s, r, m) : -EPROTO;

	if (!ret)
		ret = r->fn(s, m);
	if (r && r->replies)
		return ret ? ret : conn_reply(s, m);
	/* A front-end that took REPLY_ACK just now does not wait for an answer to that. */
	if (!ack)
		return ret;
	reply_u64(m, ret ? 1 : 0);
	return conn_reply(s, m);
}
