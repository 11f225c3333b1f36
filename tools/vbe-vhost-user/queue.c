// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
/*
 * Rings. The front-end describes a ring in any order of messages; it runs, which is: the kernel
 * has it enabled, while all of it is known, it has a kick eventfd, and it is not disabled.
 */
#include <errno.h>
#include <inttypes.h>
#include <unistd.h>
#include <linux/virtio_config.h>

#include "vbe-vhost-user.h"

#define EVENT_IDX	BIT(29)	/* VIRTIO_RING_F_EVENT_IDX */
#define PACKED_BASE	0x80008000u	/* both wrap counters begin as 1 */

static struct ring *ring_of(struct session *s, uint32_t index)
{
	if (index < s->n_queues)
		return &s->rings[index];
	complain("front-end: there is no ring %u: the device has %u", index, s->n_queues);
	return NULL;
}

/* Of one that must not be changed while it runs. */
static struct ring *stopped_ring(struct session *s, uint32_t index)
{
	struct ring *r = ring_of(s, index);

	if (!r || !r->running)
		return r;
	complain("front-end: ring %u runs: it cannot be changed", index);
	return NULL;
}

static bool ring_enabled(const struct session *s, const struct ring *r)
{
	return r->told ? r->enabled : !(s->features & VU_F_PROTOCOL_FEATURES);
}

static bool ring_ready(const struct session *s, const struct ring *r)
{
	return r->num && r->has_addr && r->has_kick && ring_enabled(s, r) &&
	       (!has_proto(s, VU_PROTOCOL_F_STATUS) ||
		(s->status & VIRTIO_CONFIG_S_FEATURES_OK));
}

static bool part(const struct session *s, uint32_t index, const char *what, uint64_t user,
		 uint64_t len, __u64 *guest)
{
	if (memory_translate(s, user, len, guest))
		return true;
	complain("front-end: ring %u: the %s area at 0x%" PRIx64 ", %" PRIu64
		 " bytes, does not lie in one memory region", index, what, user, len);
	return false;
}

static int ring_translate(const struct session *s, uint32_t index, struct vbe_guest_queue_set *q)
{
	const struct ring *r = &s->rings[index];
	uint64_t n = r->num, event = s->features & EVENT_IDX ? 2 : 0;

	if (!part(s, index, "descriptor", r->desc, 16 * n, &q->desc) ||
	    !part(s, index, "driver", r->driver, is_packed(s) ? 4 : 4 + 2 * n + event,
		  &q->driver) ||
	    !part(s, index, "device", r->device, is_packed(s) ? 4 : 4 + 8 * n + event,
		  &q->device))
		return -EFAULT;
	return 0;
}

static int ring_start(struct session *s, uint32_t index)
{
	struct ring *r = &s->rings[index];
	struct vbe_guest_queue_set q = { .index = index, .num = r->num };
	int ret = ring_translate(s, index, &q);

	if (ret)
		return ret;
	ret = session_commit(s, true);
	if (ret)
		return ret;
	if (r->has_base) {
		q.flags = VBE_GUEST_QUEUE_SET_F_BASE;
		q.base = r->base;
	}
	ret = guest_queue_start(s->g, &q);
	if (ret)
		return ret;
	r->running = true;
	note("ring %u runs: %u entries", index, r->num);
	/* Without STATUS nobody says that the driver is ready: this does. */
	return has_proto(s, VU_PROTOCOL_F_STATUS) ? 0 :
	       guest_set_status(s->g, VIRTIO_CONFIG_S_DRIVER_OK);
}

static int ring_stop(struct session *s, uint32_t index)
{
	struct ring *r = &s->rings[index];
	int ret = guest_queue_stop(s->g, index, &r->base);

	if (ret)
		return ret;
	r->running = false;
	r->has_base = true;
	note("ring %u stopped at 0x%x", index, r->base);
	return 0;
}

static int ring_stop_or_complain(struct session *s, uint32_t index)
{
	int ret = ring_stop(s, index);

	if (ret == -ENOTCONN)
		complain("ring %u cannot be stopped: no backend tells where it ended", index);
	else if (ret == -EOPNOTSUPP)
		complain("ring %u cannot be stopped: the backend cannot stop single queues",
			 index);
	return ret;
}

/* Make of the ring what the front-end has said of it by now. */
static int ring_update(struct session *s, uint32_t index)
{
	struct ring *r = &s->rings[index];
	bool ready = ring_ready(s, r);

	if (ready == r->running)
		return 0;
	return ready ? ring_start(s, index) : ring_stop_or_complain(s, index);
}

/**
 * rings_update() - start what can run
 * @s: session
 * @strict: a ring that cannot is an error; else it stays stopped, after a message
 */
int rings_update(struct session *s, bool strict)
{
	int ret;

	for (uint32_t i = 0; i < s->n_queues; i++) {
		ret = ring_update(s, i);
		if (ret && (strict || ret != -EFAULT))
			return ret;
	}
	return 0;
}

/**
 * rings_pause() - stop what runs, while memory changes
 * @s: session
 *
 * Without a backend nobody uses the memory; one that cannot stop has to see for itself. Both go
 * on being enabled. rings_update() starts the others again.
 */
int rings_pause(struct session *s)
{
	int ret;

	for (uint32_t i = 0; i < s->n_queues; i++) {
		if (!s->rings[i].running)
			continue;
		ret = ring_stop(s, i);
		if (ret && ret != -ENOTCONN && ret != -EOPNOTSUPP)
			return ret;
	}
	return 0;
}

bool rings_running(const struct session *s)
{
	for (uint32_t i = 0; i < s->n_queues; i++)
		if (s->rings[i].running)
			return true;
	return false;
}

/** rings_disable() - as SET_VRING_ENABLE with 0 for each */
int rings_disable(struct session *s)
{
	int ret = 0;

	for (uint32_t i = 0; i < s->n_queues && !ret; i++) {
		s->rings[i].told = true;
		s->rings[i].enabled = false;
		ret = ring_update(s, i);
	}
	return ret;
}

/**
 * rings_end() - stop what runs, at the end of a connection
 * @s: session
 *
 * Return: 0, or the error of a ring that could not be stopped; the others are.
 */
int rings_end(struct session *s)
{
	int err = 0;

	for (uint32_t i = 0; i < s->n_queues; i++) {
		if (s->rings[i].running) {
			int ret = ring_stop(s, i);

			if (ret && err != -ENOTCONN)
				err = ret;
		}
	}
	return err;
}

/** rings_forget() - the device was reset; call eventfds stay */
void rings_forget(struct session *s)
{
	for (uint32_t i = 0; i < s->n_queues; i++) {
		struct ring *r = &s->rings[i];

		if (r->has_kick)
			guest_set_fd(s->g, VBE_GUEST_FD_KICK, i, -1);
		*r = (struct ring){ .has_call = r->has_call };
	}
}

int request_set_vring_num(struct session *s, struct message *m)
{
	struct ring *r = stopped_ring(s, m->p.state.index);
	uint32_t num = m->p.state.num;

	if (!r)
		return -EINVAL;
	if (!num || num > VBE_MAX_QUEUE_SIZE) {
		complain("front-end: ring %u: %u entries", m->p.state.index, num);
		return -EINVAL;
	}
	r->num = num;
	return 0;
}

/* The same again is no change: some front-ends do so when logging begins. */
static bool same_addr(const struct ring *r, const struct vu_vring_addr *a)
{
	return r->has_addr && r->desc == a->desc && r->driver == a->avail && r->device == a->used;
}

int request_set_vring_addr(struct session *s, struct message *m)
{
	const struct vu_vring_addr *a = &m->p.addr;
	struct vbe_guest_queue_set q;
	struct ring *r = ring_of(s, a->index), old;
	int ret;

	if (!r)
		return -EINVAL;
	if (a->flags) {
		complain("front-end: ring %u: flags 0x%x: writes are not logged here", a->index,
			 a->flags);
		return -EINVAL;
	}
	if (same_addr(r, a))
		return 0;
	if (!stopped_ring(s, a->index))
		return -EINVAL;
	if (!r->num) {
		complain("front-end: ring %u: SET_VRING_ADDR before SET_VRING_NUM", a->index);
		return -EPROTO;
	}
	old = *r;
	r->desc = a->desc;
	r->driver = a->avail;
	r->device = a->used;
	r->has_addr = true;
	ret = ring_translate(s, a->index, &q);
	if (!ret)
		ret = ring_update(s, a->index);
	if (ret)
		*r = old;
	return ret;
}

int request_set_vring_base(struct session *s, struct message *m)
{
	struct ring *r = stopped_ring(s, m->p.state.index);

	if (!r)
		return -EINVAL;
	if (s->features_set && !is_packed(s) && m->p.state.num > 0xffff) {
		complain("front-end: ring %u: a split ring cannot begin at 0x%x",
			 m->p.state.index, m->p.state.num);
		return -EINVAL;
	}
	r->base = m->p.state.num;
	r->has_base = true;
	return 0;
}

int request_get_vring_base(struct session *s, struct message *m)
{
	uint32_t index = m->p.state.index;
	struct ring *r = ring_of(s, index);
	int ret;

	if (!r)
		return -EINVAL;
	ret = r->running ? ring_stop_or_complain(s, index) : 0;
	if (!ret && r->has_kick)
		ret = guest_set_fd(s->g, VBE_GUEST_FD_KICK, index, -1);
	if (ret)
		return ret;
	r->has_kick = false;
	m->p.state.num = r->has_base || !is_packed(s) ? r->base : PACKED_BASE;
	return 0;
}

/* Payload: index, and whether there is no eventfd. Returns the ring's number, or an error. */
static int fd_message(struct session *s, struct message *m, const char *what)
{
	uint64_t p = m->p.u64;
	bool nofd = p & VU_VRING_NOFD;

	if (p & ~(VU_VRING_INDEX_MASK | VU_VRING_NOFD)) {
		complain("front-end: %s: unknown bits in 0x%" PRIx64, what, p);
		return -EINVAL;
	}
	if (nofd != !m->n_fds) {
		complain("front-end: %s: %u eventfds, but the message says %s", what, m->n_fds,
			 nofd ? "none" : "one");
		return -EPROTO;
	}
	return ring_of(s, p & VU_VRING_INDEX_MASK) ? (int)(p & VU_VRING_INDEX_MASK) : -EINVAL;
}

int request_set_vring_kick(struct session *s, struct message *m)
{
	int index = fd_message(s, m, "SET_VRING_KICK"), ret;

	if (index < 0)
		return index;
	if (!m->n_fds) {
		complain("front-end: ring %d: no kick eventfd: polling is not possible here",
			 index);
		return -EOPNOTSUPP;
	}
	ret = guest_set_fd(s->g, VBE_GUEST_FD_KICK, index, m->fds[0]);
	if (ret)
		return ret;
	s->rings[index].has_kick = true;
	return ring_update(s, index);
}

/* No eventfd: the driver does not want to be interrupted. */
int request_set_vring_call(struct session *s, struct message *m)
{
	int index = fd_message(s, m, "SET_VRING_CALL"), ret;

	if (index < 0)
		return index;
	ret = guest_set_fd(s->g, VBE_GUEST_FD_CALL, index, m->n_fds ? m->fds[0] : -1);
	if (!ret)
		s->rings[index].has_call = m->n_fds;
	return ret;
}

/* Errors of a ring show in the backend; there is nothing to signal it for. */
int request_set_vring_err(struct session *s, struct message *m)
{
	int index = fd_message(s, m, "SET_VRING_ERR");

	return index < 0 ? index : 0;
}

int request_set_vring_enable(struct session *s, struct message *m)
{
	uint32_t on = m->p.state.num;
	struct ring *r = ring_of(s, m->p.state.index), old;
	int ret;

	if (!r)
		return -EINVAL;
	if (on > 1) {
		complain("front-end: ring %u: SET_VRING_ENABLE with %u", m->p.state.index, on);
		return -EINVAL;
	}
	if (!s->proto_set && !(s->features & VU_F_PROTOCOL_FEATURES)) {
		complain("front-end: SET_VRING_ENABLE, but protocol features were not taken");
		return -EPROTO;
	}
	old = *r;
	r->told = true;
	r->enabled = on;
	ret = ring_update(s, m->p.state.index);
	if (ret) {
		r->told = old.told;
		r->enabled = old.enabled;
	}
	return ret;
}
