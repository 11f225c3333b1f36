// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
/* Messages in and out. The socket does not block: a front-end may send half of one and wait. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vbe-vhost-user.h"

/* Room for one more than is allowed, so that too many are seen; the kernel closes the others. */
#define CONTROL_LEN	CMSG_SPACE((VU_MAX_FDS + 1) * sizeof(int))

/** message_reset() - forget a message, and close what nobody took of it */
void message_reset(struct message *m)
{
	for (unsigned int i = 0; i < m->n_fds; i++)
		if (m->fds[i] >= 0)
			close(m->fds[i]);
	if (m->reply_fd >= 0)
		close(m->reply_fd);
	memset(m, 0, sizeof(*m));
	m->reply_fd = -1;
}

static int take_fds(struct message *m, struct msghdr *mh)
{
	bool too_many = mh->msg_flags & MSG_CTRUNC;
	struct cmsghdr *c;

	for (c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (m->n_fds < VU_MAX_FDS) {
				m->fds[m->n_fds++] = fd;
			} else {
				close(fd);
				too_many = true;
			}
		}
	}
	if (!too_many)
		return 0;
	complain("front-end: request %u came with more than %u file descriptors", m->h.request,
		 VU_MAX_FDS);
	return -EPROTO;
}

/* Returns bytes; 0: not yet; -errno. */
static ssize_t receive_some(struct session *s, void *buf, size_t len)
{
	union {
		char buf[CONTROL_LEN];
		struct cmsghdr align;
	} control;
	struct iovec iov = { .iov_base = buf, .iov_len = len };
	struct msghdr mh = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control.buf, .msg_controllen = sizeof(control.buf),
	};
	ssize_t n = recvmsg(s->fd, &mh, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	int ret;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (!n) {
		if (s->msg.got)
			complain("front-end: left in the middle of a message");
		return -ECONNRESET;
	}
	s->msg.got += n;
	ret = take_fds(&s->msg, &mh);
	return ret ? ret : n;
}

static int check_header(const struct vu_header *h)
{
	if ((h->flags & VU_VERSION_MASK) != VU_VERSION) {
		complain("front-end: request %u: unknown protocol version %u", h->request,
			 h->flags & VU_VERSION_MASK);
		return -EPROTO;
	}
	if (h->flags & VU_FLAG_REPLY) {
		complain("front-end: request %u is marked as a reply", h->request);
		return -EPROTO;
	}
	if (h->size > sizeof(union vu_payload)) {
		complain("front-end: request %u: %u bytes are too long", h->request, h->size);
		return -EPROTO;
	}
	return 0;
}

/**
 * conn_receive() - receive one message, or some of it
 * @s: session; the message is in @s->msg
 *
 * Return: 1, a whole message has come; 0, not yet; -errno, the connection cannot go on, after a
 * message unless it just ended.
 */
int conn_receive(struct session *s)
{
	struct message *m = &s->msg;
	ssize_t n;
	int ret;

	if (m->got < sizeof(m->h)) {
		n = receive_some(s, (char *)&m->h + m->got, sizeof(m->h) - m->got);
		if (n <= 0 || m->got < sizeof(m->h))
			return n < 0 ? n : 0;
		ret = check_header(&m->h);
		if (ret)
			return ret;
	}
	if (m->got < sizeof(m->h) + m->h.size) {
		size_t have = m->got - sizeof(m->h);

		n = receive_some(s, (char *)&m->p + have, m->h.size - have);
		if (n < 0)
			return n;
	}
	return m->got == sizeof(m->h) + m->h.size;
}

static int send_message(int to, const struct vu_header *h, const union vu_payload *p, int fd)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov[2] = {
		{ .iov_base = (void *)h, .iov_len = sizeof(*h) },
		{ .iov_base = (void *)p, .iov_len = h->size },
	};
	struct msghdr mh = { .msg_iov = iov, .msg_iovlen = 2 };
	ssize_t n;

	if (fd >= 0) {
		struct cmsghdr *c;

		memset(&control, 0, sizeof(control));
		mh.msg_control = control.buf;
		mh.msg_controllen = sizeof(control.buf);
		c = CMSG_FIRSTHDR(&mh);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	n = sendmsg(to, &mh, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0)
		return -errno;
	/* A reply is small; it fits unless the front-end never reads any. */
	return (size_t)n == sizeof(*h) + h->size ? 0 : -EAGAIN;
}

/**
 * conn_reply() - send @m back as the reply
 * @s: session
 * @m: with payload and header size of the reply, and reply_fd
 *
 * Return: 0 or -errno: the connection cannot go on.
 */
int conn_reply(struct session *s, struct message *m)
{
	int ret;

	m->h.flags = VU_VERSION | VU_FLAG_REPLY;
	ret = send_message(s->fd, &m->h, &m->p, m->reply_fd);
	if (ret == -EAGAIN)
		complain("front-end: does not read its replies");
	return ret;
}

/**
 * session_config_changed() - tell the front-end that config space has changed
 * @s: session
 */
void session_config_changed(struct session *s)
{
	struct vu_header h = { .request = VU_BACKEND_CONFIG_CHANGE, .flags = VU_VERSION };
	int ret;

	if (s->backend_fd < 0 || !has_proto(s, VU_PROTOCOL_F_CONFIG))
		return;
	ret = send_message(s->backend_fd, &h, &s->msg.p, -1);
	if (!ret)
		return;
	complain("front-end: cannot be told that config space changed: %s", strerror(-ret));
	if (ret != -EAGAIN) {
		close(s->backend_fd);
		s->backend_fd = -1;
	}
}
