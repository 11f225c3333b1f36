// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
/*
 * --auto: which devices there are, and when to look again.
 *
 * Events only tell that something has happened; how things are is said by a dump. So a
 * lost event costs nothing but another dump.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <linux/genetlink.h>
#include <linux/vbe_netlink.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>

#include "auto.h"

#define SCAN_TRIES 20

/* One socket asks, another one listens: what comes unasked must not be in the way. */
static struct nl_sock *asks, *listens;
static int family;

/**
 * struct scan - a dump under way
 * @fn: takes each device
 * @arg: for it
 * @done: the end has come
 */
struct scan {
	void (*fn)(const struct auto_dev *d, void *arg);
	void *arg;
	bool done;
};

static struct nl_sock *open_socket(void)
{
	struct nl_sock *sk = nl_socket_alloc();

	if (sk && genl_connect(sk)) {
		nl_socket_free(sk);
		return NULL;
	}
	if (sk)
		nl_socket_enable_msg_peek(sk);
	return sk;
}

static int join_groups(void)
{
	int group = genl_ctrl_resolve_grp(listens, VBE_FAMILY_NAME, VBE_MCGRP_EVENTS);

	if (group < 0 || nl_socket_add_membership(listens, group))
		return -1;
	/* Tells when the module goes, and with it everything. */
	group = genl_ctrl_resolve_grp(listens, "nlctrl", "notify");
	if (group >= 0)
		nl_socket_add_membership(listens, group);
	nl_socket_disable_seq_check(listens);
	return nl_socket_set_nonblocking(listens);
}

/**
 * auto_nl_open() - begin to listen
 *
 * Return: an fd to poll for reading; or -1 with a message.
 */
int auto_nl_open(void)
{
	asks = open_socket();
	listens = open_socket();
	if (!asks || !listens) {
		say("no netlink socket: %s", strerror(errno));
		return -1;
	}
	family = genl_ctrl_resolve(asks, VBE_FAMILY_NAME);
	if (family < 0) {
		say("the kernel has no netlink family vbe: is the module vbe loaded?");
		return -1;
	}
	if (join_groups()) {
		say("cannot listen to the kernel's events");
		return -1;
	}
	return nl_socket_get_fd(listens);
}

/* ---- events --------------------------------------------------------------------------- */

/**
 * struct news - what events said
 * @look: something about who serves what has changed
 * @gone: the module was unloaded
 */
struct news {
	bool look;
	bool gone;
};

static void on_control(struct nlmsghdr *nlh, struct news *news)
{
	const struct genlmsghdr *genl = nlmsg_data(nlh);
	struct nlattr *tb[CTRL_ATTR_MAX + 1];

	if (genl->cmd == CTRL_CMD_DELFAMILY && !genlmsg_parse(nlh, 0, tb, CTRL_ATTR_MAX, NULL) &&
	    tb[CTRL_ATTR_FAMILY_NAME] &&
	    !nla_strcmp(tb[CTRL_ATTR_FAMILY_NAME], VBE_FAMILY_NAME))
		news->gone = true;
}

static int on_event(struct nl_msg *msg, void *arg)
{
	struct nlmsghdr *nlh = nlmsg_hdr(msg);
	struct nlattr *tb[VBE_ATTR_MAX + 1];
	struct news *news = arg;

	if (nlh->nlmsg_type == GENL_ID_CTRL) {
		on_control(nlh, news);
		return NL_OK;
	}
	/* What a driver writes is none of our business, and may come often. */
	if (genlmsg_parse(nlh, 0, tb, VBE_ATTR_MAX, NULL) || !tb[VBE_ATTR_EVENT] ||
	    nla_get_u32(tb[VBE_ATTR_EVENT]) != VBE_DEV_EVENT_STATUS)
		news->look = true;
	return NL_OK;
}

/**
 * auto_nl_events() - take what has come
 * @look: set when it is time for a scan
 *
 * Return: 0; or -1 with a message: nothing will come any more.
 */
int auto_nl_events(bool *look)
{
	struct news news = { false, false };
	int ret;

	nl_socket_modify_cb(listens, NL_CB_VALID, NL_CB_CUSTOM, on_event, &news);
	ret = nl_recvmsgs_default(listens);
	/* libnl's word for ENOBUFS: some were lost. */
	if (ret == -NLE_NOMEM) {
		news.look = true;
	} else if (ret < 0 && ret != -NLE_AGAIN && ret != -NLE_INTR) {
		say("netlink: %s", nl_geterror(ret));
		return -1;
	}
	if (news.gone) {
		say("the module vbe was unloaded");
		return -1;
	}
	*look |= news.look;
	return 0;
}

/* ---- scans ------------------------------------------------------------------------------ */

static void get_string(char *buf, size_t len, struct nlattr *attr)
{
	buf[0] = '\0';
	if (attr)
		nla_strlcpy(buf, attr, len);
}

static uint32_t get_u32(struct nlattr *attr)
{
	return attr && nla_len(attr) >= 4 ? nla_get_u32(attr) : 0;
}

static int on_device(struct nl_msg *msg, void *arg)
{
	struct nlattr *tb[VBE_ATTR_MAX + 1] = { NULL };
	struct auto_dev d = { .served = true };
	struct scan *scan = arg;

	if (genlmsg_parse(nlmsg_hdr(msg), 0, tb, VBE_ATTR_MAX, NULL) || !tb[VBE_ATTR_NAME])
		return NL_SKIP;
	d.id = get_u32(tb[VBE_ATTR_ID]);
	get_string(d.name, sizeof(d.name), tb[VBE_ATTR_NAME]);
	get_string(d.provider, sizeof(d.provider), tb[VBE_ATTR_PROVIDER]);
	get_string(d.path, sizeof(d.path), tb[VBE_ATTR_PATH]);
	d.virtio_id = get_u32(tb[VBE_ATTR_VIRTIO_ID]);
	d.state = get_u32(tb[VBE_ATTR_STATE]);
	d.readonly = tb[VBE_ATTR_READONLY];
	d.served = tb[VBE_ATTR_BACKEND];
	scan->fn(&d, scan->arg);
	return NL_OK;
}

static int on_end(struct nl_msg *msg, void *arg)
{
	struct scan *scan = arg;

	(void)msg;
	scan->done = true;
	return NL_STOP;
}

static int on_error(struct sockaddr_nl *from, struct nlmsgerr *e, void *arg)
{
	struct scan *scan = arg;

	(void)from;
	say("cannot list devices: %s", strerror(-e->error));
	scan->done = true;
	return NL_STOP;
}

/* Return: 0, -EAGAIN when devices have come or gone meanwhile, -EIO. */
static int scan_once(struct scan *scan)
{
	struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);
	bool overtaken = false;
	int ret;

	if (!cb)
		return -EIO;
	scan->done = false;
	nl_cb_err(cb, NL_CB_CUSTOM, on_error, scan);
	nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, on_device, scan);
	nl_cb_set(cb, NL_CB_FINISH, NL_CB_CUSTOM, on_end, scan);
	ret = genl_send_simple(asks, family, VBE_CMD_DEV_GET, VBE_FAMILY_VERSION, NLM_F_DUMP);
	while (ret >= 0 && !scan->done) {
		ret = nl_recvmsgs(asks, cb);
		if (ret == -NLE_DUMP_INTR) {
			overtaken = true;
			ret = 0;
		}
	}
	nl_cb_put(cb);
	if (!scan->done)
		return -EIO;
	return overtaken ? -EAGAIN : 0;
}

/**
 * auto_nl_scan() - look at every device
 * @fn: called for each, perhaps more than once
 * @arg: for it
 *
 * Return: 0; -1: not all may have been seen.
 */
int auto_nl_scan(void (*fn)(const struct auto_dev *d, void *arg), void *arg)
{
	struct scan scan = { .fn = fn, .arg = arg };
	int ret, tries = 0;

	do {
		ret = scan_once(&scan);
	} while (ret == -EAGAIN && ++tries < SCAN_TRIES);
	if (ret == -EIO)
		say("cannot list devices");
	return ret ? -1 : 0;
}
