// SPDX-License-Identifier: GPL-2.0
/*
 * Talking to the kernel over generic netlink.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <errno.h>
#include <linux/genetlink.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vbe-ctl.h"

#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif

#define EVENT_BUFFER (4 << 20)

static struct nl_sock *sock;
static int family;

/**
 * struct talk - one request under way
 * @request: what was sent
 * @fn: takes each answer
 * @out: for @fn
 * @why: gets the kernel's verdict
 * @done: the verdict has come
 * @broken: @fn could not make sense of an answer
 */
struct talk {
	const struct nlmsghdr *request;
	answer_fn fn;
	json_object *out;
	struct failure *why;
	bool done;
	bool broken;
};

static void set_option(struct nl_sock *s, int option)
{
	int one = 1;

	/* Without one of them errors are less clear; nothing else is lost. */
	setsockopt(nl_socket_get_fd(s), SOL_NETLINK, option, &one, sizeof(one));
}

static struct nl_sock *connect_sock(void)
{
	struct nl_sock *s = nl_socket_alloc();

	if (!s)
		return NULL;
	if (genl_connect(s)) {
		nl_socket_free(s);
		return NULL;
	}
	nl_socket_enable_msg_peek(s);
	set_option(s, NETLINK_EXT_ACK);
	set_option(s, NETLINK_CAP_ACK);
	set_option(s, NETLINK_GET_STRICT_CHK);
	return s;
}

static int no_family(const struct command *cmd)
{
	if (access("/sys/module/vbe", F_OK))
		return fail(cmd, EXIT_UNSUPPORTED,
			    "the module vbe is not loaded: modprobe vbe (vbe-ctl probe says more)");
	return fail(cmd, EXIT_UNSUPPORTED,
		    "the module vbe is loaded, but its netlink family is not to be seen here: run in the initial network namespace");
}

int kernel_open(const struct command *cmd)
{
	if (sock)
		return EXIT_OK;
	sock = connect_sock();
	if (!sock)
		return fail(cmd, EXIT_FAILED, "no netlink socket: %s", strerror(errno));
	family = genl_ctrl_resolve(sock, VBE_FAMILY_NAME);
	if (family < 0) {
		kernel_close();
		return no_family(cmd);
	}
	return EXIT_OK;
}

void kernel_close(void)
{
	nl_socket_free(sock);
	sock = NULL;
}

bool nl_family_present(void)
{
	bool present;

	if (sock)
		return true;
	sock = connect_sock();
	if (!sock)
		return false;
	family = genl_ctrl_resolve(sock, VBE_FAMILY_NAME);
	present = family >= 0;
	if (!present)
		kernel_close();
	return present;
}

/*
 * Events have a socket of their own: they come unasked, so their numbers do not
 * match any request, and an overflow must not cost an answer.
 */
struct nl_sock *nl_events_open(const struct command *cmd)
{
	struct nl_sock *s = connect_sock();
	int group, size = EVENT_BUFFER;

	if (!s) {
		fail(cmd, EXIT_FAILED, "no netlink socket: %s", strerror(errno));
		return NULL;
	}
	group = genl_ctrl_resolve_grp(s, VBE_FAMILY_NAME, VBE_MCGRP_EVENTS);
	if (group < 0 || nl_socket_add_membership(s, group)) {
		fail(cmd, EXIT_FAILED, "cannot join the kernel's event group");
		nl_socket_free(s);
		return NULL;
	}
	/* Tells when the family goes; without it a listener would wait for ever. */
	group = genl_ctrl_resolve_grp(s, "nlctrl", "notify");
	if (group >= 0)
		nl_socket_add_membership(s, group);
	nl_socket_disable_seq_check(s);
	nl_socket_set_nonblocking(s);
	if (setsockopt(nl_socket_get_fd(s), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)))
		nl_socket_set_buffer_size(s, size, 0);
	return s;
}

struct nl_msg *nl_request(int cmd, int flags)
{
	struct nl_msg *msg = nlmsg_alloc();

	if (msg && !genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, family, 0,
				NLM_F_REQUEST | flags, cmd, VBE_FAMILY_VERSION)) {
		nlmsg_free(msg);
		msg = NULL;
	}
	return msg;
}

static int on_error(struct sockaddr_nl *who, struct nlmsgerr *e, void *arg)
{
	const struct nlmsghdr *nlh = (void *)((char *)e - NLMSG_HDRLEN);
	struct talk *t = arg;

	(void)who;
	t->why->err = -e->error;
	extack_parse(nlh, t->request, t->why);
	t->done = true;
	return NL_STOP;
}

static int on_ack(struct nl_msg *msg, void *arg)
{
	struct talk *t = arg;

	(void)msg;
	t->done = true;
	return NL_STOP;
}

/* The end of a dump carries an errno of its own, which libnl does not look at. */
static int on_finish(struct nl_msg *msg, void *arg)
{
	const struct nlmsghdr *nlh = nlmsg_hdr(msg);
	struct talk *t = arg;
	int err = 0;

	if (nlmsg_datalen(nlh) >= (int)sizeof(err))
		memcpy(&err, nlmsg_data(nlh), sizeof(err));
	if (err < 0) {
		t->why->err = -err;
		extack_parse(nlh, t->request, t->why);
	}
	t->done = true;
	return NL_OK;
}

static int on_answer(struct nl_msg *msg, void *arg)
{
	struct talk *t = arg;

	if (t->fn && t->fn(nlmsg_hdr(msg), t->out))
		t->broken = true;
	return NL_OK;
}

static struct nl_cb *callbacks(struct talk *t)
{
	struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);

	if (!cb)
		return NULL;
	nl_cb_err(cb, NL_CB_CUSTOM, on_error, t);
	nl_cb_set(cb, NL_CB_ACK, NL_CB_CUSTOM, on_ack, t);
	nl_cb_set(cb, NL_CB_FINISH, NL_CB_CUSTOM, on_finish, t);
	nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, on_answer, t);
	return cb;
}

/**
 * nl_talk() - send a request, take the answers
 * @msg: from nl_request(); freed here
 * @fn: takes each answer, or NULL
 * @out: for @fn
 * @why: why the kernel refused
 *
 * Return: 0; a positive errno, also in @why; -EINTR: the dump was overtaken by a
 * change, ask again.
 */
int nl_talk(struct nl_msg *msg, answer_fn fn, json_object *out, struct failure *why)
{
	struct talk t = { .fn = fn, .out = out, .why = why };
	bool overtaken = false;
	struct nl_cb *cb;
	int ret;

	memset(why, 0, sizeof(*why));
	if (!msg) {
		why->err = ENOMEM;
		return ENOMEM;
	}
	t.request = nlmsg_hdr(msg);
	cb = callbacks(&t);
	ret = cb ? nl_send_auto(sock, msg) : -NLE_NOMEM;
	while (ret >= 0 && !t.done) {
		ret = nl_recvmsgs(sock, cb);
		if (ret == -NLE_DUMP_INTR) {
			overtaken = true;
			ret = 0;
		} else if (ret < 0 && t.done) {
			break;
		}
	}
	if (!t.done) {
		why->err = EIO;
		snprintf(why->text, sizeof(why->text), "netlink: %s", nl_geterror(ret));
	} else if (!why->err && t.broken) {
		why->err = EPROTO;
		snprintf(why->text, sizeof(why->text), "the kernel's answer makes no sense");
	}
	if (cb)
		nl_cb_put(cb);
	nlmsg_free(msg);
	return why->err ? why->err : overtaken ? -EINTR : 0;
}

/* Say why, and which exit code that is. @object: device, or NULL. */
int nl_refused(const struct command *cmd, const char *object, const struct failure *why)
{
	const char *mend = "";
	int code = EXIT_FAILED;

	if (object && !*object)
		object = "''";

	if (why->err == EPERM || why->err == EACCES) {
		code = EXIT_PERMISSION;
		mend = "; it takes CAP_NET_ADMIN: run as root";
	} else if (why->err == EOPNOTSUPP) {
		code = EXIT_UNSUPPORTED;
	}
	if (*why->text)
		return fail(cmd, code, "%s%s%s (%s)", object ? object : "", object ? ": " : "",
			    why->text, strerror(why->err));
	return fail(cmd, code, "%s%s%s%s", object ? object : "", object ? ": " : "",
		    strerror(why->err), mend);
}
