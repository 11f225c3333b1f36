// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
/* Make, delete and look up devices through the generic netlink family "vbe". */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <linux/netlink.h>
#include <linux/vbe_netlink.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>

#include "vbe-blk.h"

/**
 * struct talk - one request and what came back
 * @sk: socket
 * @family: number of the family
 * @err: 0 or a negative errno of the kernel
 * @text: the kernel's sentence, or empty
 * @fe: FE name that a reply had
 */
struct talk {
	struct nl_sock *sk;
	int family;
	int err;
	bool done;
	char text[256];
	char fe[VBE_LABEL_MAX];
};

/* libnl does not know extended acknowledgements: look for the sentence behind the error. */
static int on_error(struct sockaddr_nl *from, struct nlmsgerr *e, void *arg)
{
	struct nlmsghdr *nlh = (struct nlmsghdr *)((char *)e - NLMSG_HDRLEN);
	struct nlattr *tb[NLMSGERR_ATTR_MAX + 1] = { NULL };
	struct talk *t = arg;
	int skip = sizeof(*e);

	(void)from;
	t->err = e->error;
	t->done = true;
	if (!(nlh->nlmsg_flags & NLM_F_ACK_TLVS))
		return NL_STOP;
	if (!(nlh->nlmsg_flags & NLM_F_CAPPED))
		skip += e->msg.nlmsg_len - NLMSG_HDRLEN;
	if (skip < 0 || (unsigned int)skip > nlh->nlmsg_len - NLMSG_HDRLEN)
		return NL_STOP;
	nla_parse(tb, NLMSGERR_ATTR_MAX, (struct nlattr *)((char *)e + skip),
		  nlh->nlmsg_len - NLMSG_HDRLEN - skip, NULL);
	if (tb[NLMSGERR_ATTR_MSG])
		nla_strlcpy(t->text, tb[NLMSGERR_ATTR_MSG], sizeof(t->text));
	return NL_STOP;
}

static int on_ack(struct nl_msg *msg, void *arg)
{
	struct talk *t = arg;

	(void)msg;
	t->done = true;
	return NL_STOP;
}

static int on_reply(struct nl_msg *msg, void *arg)
{
	struct nlattr *tb[VBE_ATTR_MAX + 1] = { NULL };
	struct talk *t = arg;

	if (genlmsg_parse(nlmsg_hdr(msg), 0, tb, VBE_ATTR_MAX, NULL) < 0)
		return NL_SKIP;
	if (tb[VBE_ATTR_FE_NAME])
		nla_strlcpy(t->fe, tb[VBE_ATTR_FE_NAME], sizeof(t->fe));
	return NL_OK;
}

static int talk_open(struct talk *t)
{
	int one = 1;
	int ret;

	memset(t, 0, sizeof(*t));
	t->sk = nl_socket_alloc();
	if (!t->sk)
		return -ENOMEM;
	ret = genl_connect(t->sk);
	if (!ret) {
		t->family = genl_ctrl_resolve(t->sk, VBE_FAMILY_NAME);
		if (t->family >= 0) {
			setsockopt(nl_socket_get_fd(t->sk), SOL_NETLINK, NETLINK_EXT_ACK, &one,
				   sizeof(one));
			return 0;
		}
		snprintf(t->text, sizeof(t->text),
			 "the kernel has no netlink family vbe: is the module vbe loaded?");
		ret = -ENOENT;
	}
	nl_socket_free(t->sk);
	return ret < 0 ? -ENOPROTOOPT : 0;
}

/* Sends @msg, frees it, and waits for the answer. */
static int talk_run(struct talk *t, struct nl_msg *msg)
{
	struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);
	int ret;

	if (!cb) {
		nlmsg_free(msg);
		return -ENOMEM;
	}
	nl_cb_err(cb, NL_CB_CUSTOM, on_error, t);
	nl_cb_set(cb, NL_CB_ACK, NL_CB_CUSTOM, on_ack, t);
	nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, on_reply, t);
	ret = nl_send_auto(t->sk, msg);
	nlmsg_free(msg);
	while (ret >= 0 && !t->done)
		ret = nl_recvmsgs(t->sk, cb);
	nl_cb_put(cb);
	if (t->err)
		return t->err;
	return ret < 0 && !t->done ? -EIO : 0;
}

static struct nl_msg *request(struct talk *t, uint8_t cmd, const char *name)
{
	struct nl_msg *msg = nlmsg_alloc();

	if (!msg)
		return NULL;
	if (genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, t->family, 0, NLM_F_ACK, cmd,
			VBE_FAMILY_VERSION) &&
	    nla_put_string(msg, VBE_ATTR_NAME, name) == 0)
		return msg;
	nlmsg_free(msg);
	return NULL;
}

static void explain(const struct talk *t, int ret, char *err, size_t err_len)
{
	if (ret)
		snprintf(err, err_len, "%s", t->text[0] ? t->text : strerror(-ret));
}

static int put_new(struct nl_msg *msg, const struct options *o)
{
	uid_t uid;
	gid_t gid;
	int ret;

	ret = nla_put_string(msg, VBE_ATTR_PROVIDER, "loop");
	if (!ret)
		ret = nla_put_u32(msg, VBE_ATTR_VIRTIO_ID, 2);
	if (!ret && o->window)
		ret = nla_put_u64(msg, VBE_ATTR_WINDOW_SIZE, o->window);
	if (!ret && o->policy != VBE_LOSS_DEFAULT)
		ret = nla_put_u32(msg, VBE_ATTR_LOSS_POLICY, o->policy);
	if (!ret && o->user && sandbox_owner(o, &uid, &gid) == 0) {
		ret = nla_put_u32(msg, VBE_ATTR_UID, uid);
		if (!ret)
			ret = nla_put_u32(msg, VBE_ATTR_GID, gid);
	}
	return ret ? -EMSGSIZE : 0;
}

/**
 * create_loop() - make the loop device that the options describe
 * @o: options
 * @err: set to the kernel's sentence on failure
 * @err_len: room in @err
 *
 * Return: 0; -EEXIST; -ENOPROTOOPT without the netlink family; other negative errno.
 */
int create_loop(const struct options *o, char *err, size_t err_len)
{
	struct nl_msg *msg;
	struct talk t;
	int ret;

	ret = talk_open(&t);
	if (ret) {
		explain(&t, ret, err, err_len);
		return ret;
	}
	msg = request(&t, VBE_CMD_DEV_NEW, o->name);
	if (!msg) {
		ret = -ENOMEM;
	} else if (put_new(msg, o)) {
		nlmsg_free(msg);
		ret = -EMSGSIZE;
	} else {
		ret = talk_run(&t, msg);
	}
	explain(&t, ret, err, err_len);
	nl_socket_free(t.sk);
	return ret;
}

static int simple(uint8_t cmd, const char *name, struct talk *t)
{
	struct nl_msg *msg;
	int ret;

	ret = talk_open(t);
	if (ret)
		return ret;
	msg = request(t, cmd, name);
	ret = msg ? talk_run(t, msg) : -ENOMEM;
	nl_socket_free(t->sk);
	return ret;
}

/* Delete a device; as create_loop(). */
int create_delete(const char *name, char *err, size_t err_len)
{
	struct talk t;
	int ret = simple(VBE_CMD_DEV_DEL, name, &t);

	explain(&t, ret, err, err_len);
	return ret;
}

/* What the driver's side calls the device; empty when it has no name (yet). */
int create_fe_name(const char *name, char *fe, size_t fe_len)
{
	struct talk t;
	int ret = simple(VBE_CMD_DEV_GET, name, &t);

	if (!ret)
		snprintf(fe, fe_len, "%s", t.fe);
	return ret;
}
