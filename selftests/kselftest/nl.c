// SPDX-License-Identifier: GPL-2.0
/*
 * Raw generic netlink for tests.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/genetlink.h>
#include <linux/netlink.h>

#include "nl.h"
#include "util.h"

#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif

#define FAMILY_NAME	"vbe"
#define ATTR_MASK	0x3fff
#define TALK_MS		COMES_MS

static size_t align4(size_t n)
{
	return (n + 3) & ~(size_t)3;
}

static const char *attr_data(const struct nlattr *a)
{
	return (const char *)a + NLA_HDRLEN;
}

static size_t attr_len(const struct nlattr *a)
{
	return a->nla_len - NLA_HDRLEN;
}

const struct nlattr *nl_attr(const struct nlattr *attrs, size_t len, uint16_t type)
{
	const char *p = (const char *)attrs;

	while (len >= NLA_HDRLEN) {
		const struct nlattr *a = (const void *)p;
		size_t step = align4(a->nla_len);

		if (a->nla_len < NLA_HDRLEN || a->nla_len > len)
			break;
		if ((a->nla_type & ATTR_MASK) == type)
			return a;
		if (step >= len)
			break;
		p += step;
		len -= step;
	}
	return NULL;
}

uint64_t nl_get_uint(const struct nlattr *a)
{
	uint64_t v = 0;

	/* little endian or not: only the exact widths occur */
	if (attr_len(a) == 8) {
		memcpy(&v, attr_data(a), 8);
	} else if (attr_len(a) == 4) {
		uint32_t w;

		memcpy(&w, attr_data(a), 4);
		v = w;
	} else if (attr_len(a) == 2) {
		uint16_t w;

		memcpy(&w, attr_data(a), 2);
		v = w;
	} else if (attr_len(a) == 1) {
		v = *(const uint8_t *)attr_data(a);
	}
	return v;
}

uint32_t nl_get_u32(const struct nlattr *a)
{
	return nl_get_uint(a);
}

const char *nl_get_str(const struct nlattr *a)
{
	size_t n = attr_len(a);

	return n && !attr_data(a)[n - 1] ? attr_data(a) : "";
}

void nl_start(struct nl *nl, struct nl_msg *m, uint8_t cmd, uint16_t flags)
{
	struct nlmsghdr *h = (void *)m->buf;
	struct genlmsghdr *g = (void *)(m->buf + NLMSG_HDRLEN);

	memset(m, 0, NLMSG_HDRLEN + GENL_HDRLEN);
	h->nlmsg_type = nl->family;
	h->nlmsg_flags = NLM_F_REQUEST | flags;
	if (!(flags & NLM_F_DUMP))
		h->nlmsg_flags |= NLM_F_ACK;
	g->cmd = cmd;
	g->version = 1;
	m->len = NLMSG_HDRLEN + GENL_HDRLEN;
}

void nl_put(struct nl_msg *m, uint16_t type, const void *data, size_t len)
{
	struct nlattr *a = (void *)(m->buf + m->len);
	size_t room = NLA_HDRLEN + align4(len);

	if (m->len + room > sizeof(m->buf))
		die("netlink message too long for the test's buffer");
	memset(a, 0, room);
	a->nla_type = type;
	a->nla_len = NLA_HDRLEN + len;
	if (len)
		memcpy(m->buf + m->len + NLA_HDRLEN, data, len);
	m->len += room;
}

void nl_put_u8(struct nl_msg *m, uint16_t type, uint8_t v)
{
	nl_put(m, type, &v, sizeof(v));
}

void nl_put_u32(struct nl_msg *m, uint16_t type, uint32_t v)
{
	nl_put(m, type, &v, sizeof(v));
}

void nl_put_u64(struct nl_msg *m, uint16_t type, uint64_t v)
{
	nl_put(m, type, &v, sizeof(v));
}

void nl_put_str(struct nl_msg *m, uint16_t type, const char *s)
{
	nl_put(m, type, s, strlen(s) + 1);
}

size_t nl_nest(struct nl_msg *m, uint16_t type)
{
	size_t at = m->len;

	nl_put(m, type | NLA_F_NESTED, NULL, 0);
	return at;
}

void nl_nest_end(struct nl_msg *m, size_t at)
{
	struct nlattr *a = (void *)(m->buf + at);

	a->nla_len = m->len - at;
}

int nl_send(struct nl *nl, struct nl_msg *m)
{
	struct sockaddr_nl to = { .nl_family = AF_NETLINK };
	struct nlmsghdr *h = (void *)m->buf;

	h->nlmsg_len = m->len;
	h->nlmsg_seq = ++nl->seq;
	if (sendto(nl->fd, m->buf, m->len, 0, (void *)&to, sizeof(to)) < 0)
		return -errno;
	return 0;
}

static void take_extack(struct nl *nl, const struct nlmsghdr *h)
{
	const struct nlmsgerr *e = (const void *)((const char *)h + NLMSG_HDRLEN);
	size_t skip = sizeof(*e), len = h->nlmsg_len - NLMSG_HDRLEN;
	const struct nlattr *attrs, *a;

	if (!(h->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	if (!(h->nlmsg_flags & NLM_F_CAPPED) && h->nlmsg_type == NLMSG_ERROR && e->error)
		skip += align4(e->msg.nlmsg_len - sizeof(e->msg));
	if (h->nlmsg_type == NLMSG_DONE)
		skip = sizeof(int);
	if (len <= skip)
		return;
	attrs = (const void *)((const char *)e + skip);
	len -= skip;
	a = nl_attr(attrs, len, NLMSGERR_ATTR_MSG);
	if (a)
		snprintf(nl->text, sizeof(nl->text), "%s", nl_get_str(a));
	a = nl_attr(attrs, len, NLMSGERR_ATTR_OFFS);
	if (a)
		nl->offset = nl_get_u32(a);
	a = nl_attr(attrs, len, 5 /* NLMSGERR_ATTR_MISS_TYPE, Linux 6.1 */);
	if (a)
		nl->miss = nl_get_u32(a);
}

/* One message of an answer: 1 go on, else the final result. */
static int take_message(struct nl *nl, const struct nlmsghdr *h, nl_fn fn, void *arg)
{
	const char *body = (const char *)h + NLMSG_HDRLEN;
	size_t skip = NLMSG_HDRLEN + GENL_HDRLEN;
	int err;

	if (h->nlmsg_seq != nl->seq)
		return 1;
	if (h->nlmsg_type == NLMSG_ERROR || h->nlmsg_type == NLMSG_DONE) {
		take_extack(nl, h);
		memcpy(&err, body, sizeof(err));
		return err > 0 ? 0 : err;
	}
	if (fn && h->nlmsg_len >= skip)
		fn(arg, ((const struct genlmsghdr *)body)->cmd,
		   (const void *)(body + GENL_HDRLEN), h->nlmsg_len - skip);
	return 1;
}

static ssize_t receive(struct nl *nl, char *buf, size_t size, int timeout_ms)
{
	struct pollfd p = { .fd = nl->fd, .events = POLLIN };
	ssize_t n;

	n = poll(&p, 1, timeout_ms);
	if (n == 0)
		return -ETIMEDOUT;
	if (n > 0)
		n = recv(nl->fd, buf, size, 0);
	return n < 0 ? -errno : n;
}

/* Reads answers to the last request until its ACK or the end of its dump. */
int nl_wait(struct nl *nl, nl_fn fn, void *arg, int timeout_ms)
{
	static __thread char buf[65536] __attribute__((aligned(8)));
	int64_t end = now_ms() + timeout_ms;

	nl->text[0] = 0;
	nl->miss = 0;
	nl->offset = 0;
	for (;;) {
		int left = end - now_ms();
		ssize_t n = receive(nl, buf, sizeof(buf), left > 0 ? left : 0);
		struct nlmsghdr *h = (void *)buf;

		if (n < 0)
			return n;
		for (; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			int ret = take_message(nl, h, fn, arg);

			if (ret != 1)
				return ret;
		}
	}
}

int nl_talk(struct nl *nl, struct nl_msg *m, nl_fn fn, void *arg)
{
	int ret = nl_send(nl, m);

	return ret ? ret : nl_wait(nl, fn, arg, TALK_MS);
}

/* One multicast message; its data go to @fn. -ETIMEDOUT when none came. */
int nl_event(struct nl *nl, nl_fn fn, void *arg, int timeout_ms)
{
	char buf[8192] __attribute__((aligned(8)));
	struct nlmsghdr *h = (void *)buf;
	size_t skip = NLMSG_HDRLEN + GENL_HDRLEN;
	ssize_t n = receive(nl, buf, sizeof(buf), timeout_ms);

	if (n < 0)
		return n;
	if (!NLMSG_OK(h, n) || h->nlmsg_type != nl->family || h->nlmsg_len < skip)
		return -EPROTO;
	fn(arg, ((struct genlmsghdr *)(buf + NLMSG_HDRLEN))->cmd,
	   (const void *)(buf + skip), h->nlmsg_len - skip);
	return 0;
}

int nl_subscribe(struct nl *nl)
{
	if (!nl->group)
		return -ENOENT;
	if (setsockopt(nl->fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &nl->group,
		       sizeof(nl->group)))
		return -errno;
	return 0;
}

static void on_family(void *arg, uint8_t cmd, const struct nlattr *attrs, size_t len)
{
	const struct nlattr *a;
	struct nl *nl = arg;

	if (cmd != CTRL_CMD_NEWFAMILY)
		return;
	a = nl_attr(attrs, len, CTRL_ATTR_FAMILY_ID);
	if (a)
		nl->family = nl_get_uint(a);
	a = nl_attr(attrs, len, CTRL_ATTR_MCAST_GROUPS);
	if (!a || attr_len(a) < NLA_HDRLEN)
		return;
	a = (const void *)attr_data(a);			/* the first and only group */
	a = nl_attr((const void *)attr_data(a), attr_len(a), CTRL_ATTR_MCAST_GRP_ID);
	if (a)
		nl->group = nl_get_u32(a);
}

int nl_open(struct nl *nl)
{
	struct nl_msg m;
	int one = 1, ret;

	memset(nl, 0, sizeof(*nl));
	nl->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	if (nl->fd < 0)
		return -errno;
	setsockopt(nl->fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one));
	setsockopt(nl->fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));
	setsockopt(nl->fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &one, sizeof(one));
	nl->family = GENL_ID_CTRL;
	nl_start(nl, &m, CTRL_CMD_GETFAMILY, 0);
	nl_put_str(&m, CTRL_ATTR_FAMILY_NAME, FAMILY_NAME);
	ret = nl_talk(nl, &m, on_family, nl);
	if (!ret && nl->family == GENL_ID_CTRL)
		ret = -ENOENT;
	if (ret)
		nl_close(nl);
	return ret;
}

void nl_close(struct nl *nl)
{
	if (nl->fd >= 0)
		close(nl->fd);
	nl->fd = -1;
}
