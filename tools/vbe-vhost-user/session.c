// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
/* What a connection is, from accept to its end. */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <linux/virtio_config.h>

#include "vbe-vhost-user.h"

/*
 * What cannot be had over vhost-user, or not through here: an IOMMU, kicks that carry data, SR-IOV
 * and administration queues (both need a PCI function), and the two bits that mean other things.
 */
#define NOT_OFFERED	(BIT(33) | BIT(37) | BIT(38) | BIT(39) | BIT(41) | \
			 VU_F_PROTOCOL_FEATURES | VU_F_LOG_ALL)

#define PROTO_OFFERED	(VU_PROTOCOL_F_MQ | VU_PROTOCOL_F_REPLY_ACK | \
			 VU_PROTOCOL_F_BACKEND_REQ | VU_PROTOCOL_F_CONFIG | \
			 VU_PROTOCOL_F_RESET_DEVICE | VU_PROTOCOL_F_MEM_SLOTS | \
			 VU_PROTOCOL_F_STATUS)

/* vhost-user's messages have eight bits for the number of a ring. */
#define MAX_RINGS	256u

void session_init(struct session *s, struct guest *g)
{
	memset(s, 0, sizeof(*s));
	s->g = g;
	s->fd = -1;
	s->backend_fd = -1;
	s->inflight_fd = -1;
	s->msg.reply_fd = -1;
}

bool session_alive(const struct session *s)
{
	return s->fd >= 0;
}

/**
 * session_begin() - a front-end has connected
 * @s: no connection before
 * @fd: its socket
 *
 * A backend is online, and @s->g->info tells what it has.
 */
void session_begin(struct session *s, int fd)
{
	const struct vbe_guest_dev_info *info = &s->g->info;

	session_init(s, s->g);
	s->fd = fd;
	s->offered = (info->features & ~NOT_OFFERED) | VU_F_PROTOCOL_FEATURES;
	s->proto_offered = PROTO_OFFERED;
	if (info->inflight_size)
		s->proto_offered |= VU_PROTOCOL_F_INFLIGHT_SHMFD;
	s->n_queues = info->n_queues < MAX_RINGS ? info->n_queues : MAX_RINGS;
	s->inflight_size = info->inflight_size;
	s->config_size = info->config_size;
	s->virtio_id = info->virtio_id;
	if (!(info->flags & VBE_GUEST_INFO_F_QUEUE_STOP))
		say("device %s: its backend cannot stop single queues: a front-end that stops a "
		    "ring will be disconnected", s->g->o->dev);
	note("front-end connected");
}

/*
 * Nobody but us sets status bits, so one that is missing says that the device was taken away
 * meanwhile (policy "fail"), and came back before we looked: its queues are not enabled any more.
 */
static bool status_kept(const struct guest *g)
{
	return !((g->info.status ^ g->status) & ~VIRTIO_CONFIG_S_NEEDS_RESET);
}

/**
 * session_still_fits() - is the device what the front-end was told that it is?
 * @s: connection; a backend is online, perhaps another one
 */
bool session_still_fits(const struct session *s)
{
	const struct vbe_guest_dev_info *info = &s->g->info;
	uint64_t taken = s->features & ~VU_F_PROTOCOL_FEATURES;

	return status_kept(s->g) && !(taken & ~info->features) &&
	       info->n_queues >= s->n_queues && info->inflight_size == s->inflight_size &&
	       info->config_size == s->config_size && info->virtio_id == s->virtio_id;
}

/**
 * session_commit() - make the device what the front-end has said of the driver
 * @s: connection
 * @rings: a ring is about to be enabled: the in-flight area must be there, too
 *
 * Return: 0; -EOPNOTSUPP, the backend refuses the features; other -errno.
 */
int session_commit(struct session *s, bool rings)
{
	int ret;

	if (!s->features_set) {
		complain("front-end: a ring cannot run before SET_FEATURES");
		return -EPROTO;
	}
	if (rings && s->inflight_fd >= 0 && !rings_running(s)) {
		ret = inflight_give(s);
		if (ret)
			return ret;
	}
	ret = guest_negotiate(s->g, s->features & ~VU_F_PROTOCOL_FEATURES);
	/* Settling them anew has lost what came after. */
	if (!ret && (s->status & VIRTIO_CONFIG_S_DRIVER_OK))
		ret = guest_set_status(s->g, VIRTIO_CONFIG_S_DRIVER_OK);
	return ret;
}

static void detach_fds(struct session *s)
{
	for (uint32_t i = 0; i < s->n_queues; i++) {
		if (s->rings[i].has_kick)
			guest_set_fd(s->g, VBE_GUEST_FD_KICK, i, -1);
		if (s->rings[i].has_call)
			guest_set_fd(s->g, VBE_GUEST_FD_CALL, i, -1);
	}
}

/**
 * session_end() - the connection is over: leave nothing of it with the device
 * @s: connection
 *
 * What is in flight is finished first. Where no backend is there to do so, the front-end's
 * in-flight area is what remembers it, and must not be cleared by a reset.
 *
 * Return: 0, or -errno: there is no device any more.
 */
int session_end(struct session *s)
{
	struct guest *g = s->g;
	int ret = 0;

	if (rings_end(s) == -ENOTCONN && s->inflight_given) {
		note("device %s is made anew: its in-flight area is kept", g->o->dev);
		ret = guest_dev_renew(g);
	} else {
		guest_reset(g);
		detach_fds(s);
	}
	memory_drop(s);
	inflight_drop(s);
	message_reset(&s->msg);
	if (s->backend_fd >= 0)
		close(s->backend_fd);
	close(s->fd);
	session_init(s, g);
	note("connection closed");
	return ret;
}

/**
 * session_input() - there is something to read on the connection
 * @s: connection; afterwards perhaps none any more
 *
 * Return: 0, or -errno: there is no device any more.
 */
int session_input(struct session *s)
{
	int ret = conn_receive(s);

	if (!ret)
		return 0;
	if (ret > 0) {
		ret = request_handle(s, &s->msg);
		message_reset(&s->msg);
	}
	if (!ret)
		return 0;
	if (ret == -ECONNRESET || ret == -EPIPE)
		note("front-end has gone");
	else
		complain("the connection is closed");
	return session_end(s);
}
