// SPDX-License-Identifier: GPL-2.0
/*
 * Generic netlink family "vbe": administration, observation, events.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * Documentation/netlink/vbe.yaml is the specification; netlink_gen.c has the
 * policy and the table of commands made from it. The family runs its commands
 * in parallel, since deleting a device may wait (a bounded time) for its driver.
 */
#include <linux/jhash.h>
#include <linux/ktime.h>
#include <linux/user_namespace.h>
#include <net/genetlink.h>
#include <net/sock.h>

#include "netlink_gen.h"
#include "vbe.h"

/* Grows when a device comes or goes: tells a dump that it was overtaken. */
static atomic_t vbe_nl_generation = ATOMIC_INIT(1);

/* Keeps events in the order of their numbers. Nothing is taken inside. */
static DEFINE_MUTEX(vbe_nl_event_lock);
static u64 vbe_nl_event_seq;

static const struct genl_multicast_group vbe_nl_groups[] = {
	[VBE_NLGRP_EVENTS] = { .name = VBE_MCGRP_EVENTS, },
};

static struct genl_family vbe_nl_family __ro_after_init = {
	.name = VBE_FAMILY_NAME,
	.version = VBE_FAMILY_VERSION,
	.module = THIS_MODULE,
	.maxattr = ARRAY_SIZE(vbe_nl_policy) - 1,
	.policy = vbe_nl_policy,
	.parallel_ops = true,
	.small_ops = vbe_nl_ops,
	.n_small_ops = ARRAY_SIZE(vbe_nl_ops),
	.mcgrps = vbe_nl_groups,
	.n_mcgrps = ARRAY_SIZE(vbe_nl_groups),
	/* Every command, now and to come, is validated strictly. */
	.resv_start_op = 0,
};

/* ---- requests ------------------------------------------------------------- */

#define VBE_NL_SELECT	BIT(VBE_ATTR_NAME)
#define VBE_NL_CHANGE	(BIT(VBE_ATTR_UID) | BIT(VBE_ATTR_GID) | \
			 BIT(VBE_ATTR_LOSS_POLICY) | BIT(VBE_ATTR_RESET_TIMEOUT_MS))
#define VBE_NL_CREATE	(VBE_NL_SELECT | VBE_NL_CHANGE | BIT(VBE_ATTR_PROVIDER) | \
			 BIT(VBE_ATTR_TRANSPORT) | BIT(VBE_ATTR_WINDOW_SIZE) | \
			 BIT(VBE_ATTR_VIRTIO_ID) | BIT(VBE_ATTR_GUEST_ID) | \
			 BIT(VBE_ATTR_BASE) | BIT(VBE_ATTR_IRQ) | BIT(VBE_ATTR_GRANTS) | \
			 BIT(VBE_ATTR_PATH) | BIT(VBE_ATTR_READONLY))

/*
 * The policy is one for all commands. What a command does not take is refused
 * here: an attribute that is silently ignored is a wish that is silently not
 * fulfilled.
 */
static int vbe_nl_check(struct nlattr **attrs, struct netlink_ext_ack *extack,
			unsigned long allowed)
{
	unsigned int i;

	for (i = 1; i < ARRAY_SIZE(vbe_nl_policy); i++) {
		if (!attrs[i] || (allowed & BIT(i)))
			continue;
		NL_SET_ERR_MSG_ATTR(extack, attrs[i],
				    "this command does not take this attribute");
		return -EINVAL;
	}
	if ((allowed & VBE_NL_SELECT) && !attrs[VBE_ATTR_NAME]) {
		NL_SET_ERR_ATTR_MISS(extack, NULL, VBE_ATTR_NAME);
		NL_SET_ERR_MSG(extack, "missing attribute: name");
		return -EINVAL;
	}
	return 0;
}

/* Return: the device that the request names, with a reference, or an ERR_PTR. */
static struct vbe_device *vbe_nl_device(struct nlattr **attrs,
					struct netlink_ext_ack *extack)
{
	struct vbe_device *dev;
	char name[VBE_NAME_MAX];

	nla_strscpy(name, attrs[VBE_ATTR_NAME], sizeof(name));
	dev = vbe_device_find(name);
	if (!dev) {
		NL_SET_ERR_MSG_ATTR(extack, attrs[VBE_ATTR_NAME],
				    "there is no device of that name");
		return ERR_PTR(-ENOENT);
	}
	return dev;
}

static int vbe_nl_get_owner(struct sk_buff *skb, struct genl_info *info,
			    struct vbe_dev_params *p)
{
	struct user_namespace *ns = sk_user_ns(NETLINK_CB(skb).sk);
	struct nlattr *attr;

	attr = info->attrs[VBE_ATTR_UID];
	if (attr) {
		p->uid = make_kuid(ns, nla_get_u32(attr));
		p->set |= BIT(VBE_PARAM_UID);
		if (!uid_valid(p->uid)) {
			NL_SET_ERR_MSG_ATTR(info->extack, attr, "no such user id here");
			return -EINVAL;
		}
	}
	attr = info->attrs[VBE_ATTR_GID];
	if (attr) {
		p->gid = make_kgid(ns, nla_get_u32(attr));
		p->set |= BIT(VBE_PARAM_GID);
		if (!gid_valid(p->gid)) {
			NL_SET_ERR_MSG_ATTR(info->extack, attr, "no such group id here");
			return -EINVAL;
		}
	}
	return 0;
}

static void vbe_nl_get_string(struct genl_info *info, int attr, struct vbe_dev_params *p,
			      int param, char *buf, size_t size)
{
	if (!info->attrs[attr])
		return;
	nla_strscpy(buf, info->attrs[attr], size);
	p->set |= BIT(param);
}

static void vbe_nl_get_u32(struct genl_info *info, int attr, struct vbe_dev_params *p,
			   int param, u32 *val)
{
	if (!info->attrs[attr])
		return;
	*val = nla_get_u32(info->attrs[attr]);
	p->set |= BIT(param);
}

static void vbe_nl_get_u64(struct genl_info *info, int attr, struct vbe_dev_params *p,
			   int param, u64 *val)
{
	if (!info->attrs[attr])
		return;
	*val = nla_get_u64(info->attrs[attr]);
	p->set |= BIT(param);
}

static void vbe_nl_get_flag(struct genl_info *info, int attr, struct vbe_dev_params *p,
			    int param, bool *val)
{
	*val = nla_get_flag(info->attrs[attr]);
	if (*val)
		p->set |= BIT(param);
}

/* Where the guest and the device in it are, and what the backend is to serve. */
static int vbe_nl_get_place(struct genl_info *info, struct vbe_dev_params *p)
{
	struct nlattr *path = info->attrs[VBE_ATTR_PATH];

	vbe_nl_get_u32(info, VBE_ATTR_GUEST_ID, p, VBE_PARAM_GUEST_ID, &p->guest_id);
	vbe_nl_get_u64(info, VBE_ATTR_BASE, p, VBE_PARAM_BASE, &p->base);
	vbe_nl_get_u32(info, VBE_ATTR_IRQ, p, VBE_PARAM_IRQ, &p->irq);
	vbe_nl_get_flag(info, VBE_ATTR_GRANTS, p, VBE_PARAM_GRANTS, &p->grants);
	vbe_nl_get_flag(info, VBE_ATTR_READONLY, p, VBE_PARAM_READONLY, &p->readonly);
	if (!path)
		return 0;
	/* The policy has seen its NUL; the request outlives the parameters. */
	p->path = nla_data(path);
	p->set |= BIT(VBE_PARAM_PATH);
	if (!*p->path) {
		NL_SET_ERR_MSG_ATTR(info->extack, path, "the path is empty");
		return -EINVAL;
	}
	return 0;
}

static int vbe_nl_get_params(struct sk_buff *skb, struct genl_info *info,
			     struct vbe_dev_params *p)
{
	int ret;

	vbe_nl_get_string(info, VBE_ATTR_NAME, p, VBE_PARAM_NAME, p->name, sizeof(p->name));
	vbe_nl_get_string(info, VBE_ATTR_PROVIDER, p, VBE_PARAM_PROVIDER, p->provider,
			  sizeof(p->provider));
	vbe_nl_get_string(info, VBE_ATTR_TRANSPORT, p, VBE_PARAM_TRANSPORT, p->transport,
			  sizeof(p->transport));
	vbe_nl_get_u64(info, VBE_ATTR_WINDOW_SIZE, p, VBE_PARAM_WINDOW_SIZE, &p->window_size);
	vbe_nl_get_u32(info, VBE_ATTR_VIRTIO_ID, p, VBE_PARAM_VIRTIO_ID, &p->virtio_id);
	vbe_nl_get_u32(info, VBE_ATTR_LOSS_POLICY, p, VBE_PARAM_LOSS_POLICY, &p->loss_policy);
	vbe_nl_get_u32(info, VBE_ATTR_RESET_TIMEOUT_MS, p, VBE_PARAM_RESET_TIMEOUT,
		       &p->reset_timeout_ms);
	ret = vbe_nl_get_place(info, p);
	return ret ?: vbe_nl_get_owner(skb, info, p);
}

/* ---- commands that change ------------------------------------------------- */

int vbe_nl_dev_new_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct vbe_dev_params p = {};
	int ret;

	ret = vbe_nl_check(info->attrs, info->extack, VBE_NL_CREATE);
	if (ret)
		return ret;
	if (!info->attrs[VBE_ATTR_PROVIDER]) {
		NL_SET_ERR_ATTR_MISS(info->extack, NULL, VBE_ATTR_PROVIDER);
		GENL_SET_ERR_MSG(info, "missing attribute: provider");
		return -EINVAL;
	}
	ret = vbe_nl_get_params(skb, info, &p);
	if (ret)
		return ret;
	p.trusted = netlink_capable(skb, CAP_SYS_ADMIN);
	return vbe_device_create(&p, info->extack);
}

int vbe_nl_dev_del_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct vbe_device *dev;
	int ret;

	ret = vbe_nl_check(info->attrs, info->extack, VBE_NL_SELECT);
	if (ret)
		return ret;
	dev = vbe_nl_device(info->attrs, info->extack);
	if (IS_ERR(dev))
		return PTR_ERR(dev);
	ret = vbe_device_delete(dev, info->extack);
	vbe_device_put(dev);
	return ret;
}

static int vbe_nl_dev_set(struct vbe_device *dev, const struct vbe_dev_params *p,
			  struct genl_info *info)
{
	int ret = 0;

	if (p->set)
		ret = vbe_device_set(dev, p, info->extack);
	if (!ret && info->attrs[VBE_ATTR_RESIZE])
		ret = vbe_device_resize(dev, info->extack);
	return ret;
}

int vbe_nl_dev_set_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct vbe_dev_params p = {};
	struct vbe_device *dev;
	int ret;

	ret = vbe_nl_check(info->attrs, info->extack,
			   VBE_NL_SELECT | VBE_NL_CHANGE | BIT(VBE_ATTR_RESIZE));
	if (ret)
		return ret;
	ret = vbe_nl_get_params(skb, info, &p);
	if (ret)
		return ret;
	p.trusted = netlink_capable(skb, CAP_SYS_ADMIN);
	/* The name says which device; it does not change. */
	p.set &= ~BIT(VBE_PARAM_NAME);
	if (!p.set && !info->attrs[VBE_ATTR_RESIZE]) {
		GENL_SET_ERR_MSG(info, "nothing to change was given");
		return -EINVAL;
	}
	dev = vbe_nl_device(info->attrs, info->extack);
	if (IS_ERR(dev))
		return PTR_ERR(dev);
	ret = vbe_nl_dev_set(dev, &p, info);
	vbe_device_put(dev);
	return ret;
}

/* ---- one device ------------------------------------------------------------ */

static int vbe_nl_put_counter(struct sk_buff *msg, int attr, const atomic64_t *counter,
			      int pad)
{
	return nla_put_u64_64bit(msg, attr, atomic64_read(counter), pad);
}

static int vbe_nl_put_stats(struct sk_buff *msg, const struct vbe_dev_stats *s)
{
	const struct {
		int attr;
		const atomic64_t *counter;
	} rows[] = {
		{ VBE_STATS_ATTR_ACCESSES, &s->accesses },
		{ VBE_STATS_ATTR_MAPS, &s->maps },
		{ VBE_STATS_ATTR_FAULTS, &s->faults },
		{ VBE_STATS_ATTR_COPIES, &s->copies },
		{ VBE_STATS_ATTR_REVOKES, &s->revokes },
		{ VBE_STATS_ATTR_BOUNDED_RESETS, &s->bounded_resets },
		{ VBE_STATS_ATTR_LOSSES, &s->losses },
		{ VBE_STATS_ATTR_EVENTS_LOST, &s->events_lost },
		{ VBE_STATS_ATTR_UNANSWERED, &s->unanswered },
	};
	struct nlattr *nest = nla_nest_start(msg, VBE_ATTR_STATS);
	size_t i;

	if (!nest)
		return -EMSGSIZE;
	for (i = 0; i < ARRAY_SIZE(rows); i++)
		if (vbe_nl_put_counter(msg, rows[i].attr, rows[i].counter,
				       VBE_STATS_ATTR_PAD))
			return -EMSGSIZE;
	nla_nest_end(msg, nest);
	return 0;
}

static int vbe_nl_put_backend(struct sk_buff *msg, const struct vbe_client *c)
{
	struct nlattr *nest;

	if (!c)
		return 0;
	nest = nla_nest_start(msg, VBE_ATTR_BACKEND);
	if (!nest || nla_put_u32(msg, VBE_BACKEND_ATTR_PID, c->pid) ||
	    nla_put_string(msg, VBE_BACKEND_ATTR_COMM, c->comm) ||
	    (READ_ONCE(c->revoked) && nla_put_flag(msg, VBE_BACKEND_ATTR_REVOKED)))
		return -EMSGSIZE;
	nla_nest_end(msg, nest);
	return 0;
}

static int vbe_nl_put_params(struct sk_buff *msg, struct vbe_device *dev,
			     struct sk_buff *asker)
{
	struct user_namespace *ns = sk_user_ns(NETLINK_CB(asker).sk);
	const struct vbe_dev_params *p = &dev->params;

	if (nla_put_u64_64bit(msg, VBE_ATTR_WINDOW_SIZE, p->window_size, VBE_ATTR_PAD) ||
	    nla_put_u32(msg, VBE_ATTR_UID, from_kuid_munged(ns, p->uid)) ||
	    (gid_valid(p->gid) &&
	     nla_put_u32(msg, VBE_ATTR_GID, from_kgid_munged(ns, p->gid))) ||
	    nla_put_u32(msg, VBE_ATTR_LOSS_POLICY, dev->setup_policy) ||
	    nla_put_u32(msg, VBE_ATTR_RESET_TIMEOUT_MS, p->reset_timeout_ms))
		return -EMSGSIZE;
	return 0;
}

/*
 * Who runs now may be another than who asks: a privileged program, handed the socket, that
 * sends or receives what it does not know. So he counts only if he is who opened it.
 */
static bool vbe_nl_is_owner(const struct vbe_dev_params *p, struct sk_buff *asker)
{
	const struct socket *sock = NETLINK_CB(asker).sk->sk_socket;
	const struct cred *opener;

	if (!sock || !sock->file)
		return false;
	opener = sock->file->f_cred;
	if (!uid_eq(opener->euid, current_euid()) || !gid_eq(opener->egid, current_egid()))
		return false;
	return uid_eq(p->uid, current_euid()) || (gid_valid(p->gid) && in_egroup_p(p->gid));
}

/*
 * Where a guest's disk is on this machine is no business of everybody's: of the device's
 * owner, who is told by the device as well, and of administrators.
 */
static bool vbe_nl_may_see_path(const struct vbe_device *dev, struct sk_buff *asker)
{
	return vbe_nl_is_owner(&dev->params, asker) ||
	       netlink_capable(asker, CAP_NET_ADMIN) || netlink_capable(asker, CAP_SYS_ADMIN);
}

static int vbe_nl_put_place(struct sk_buff *msg, struct vbe_device *dev,
			    struct sk_buff *asker)
{
	const struct vbe_dev_params *p = &dev->params;
	const char *path = p->path;

	lockdep_assert_held(&dev->lock);
	if (path && !vbe_nl_may_see_path(dev, asker))
		path = NULL;

	if (((p->set & BIT(VBE_PARAM_GUEST_ID)) &&
	     nla_put_u32(msg, VBE_ATTR_GUEST_ID, p->guest_id)) ||
	    ((p->set & BIT(VBE_PARAM_BASE)) &&
	     nla_put_u64_64bit(msg, VBE_ATTR_BASE, p->base, VBE_ATTR_PAD)) ||
	    ((p->set & BIT(VBE_PARAM_IRQ)) && nla_put_u32(msg, VBE_ATTR_IRQ, p->irq)) ||
	    (p->grants && nla_put_flag(msg, VBE_ATTR_GRANTS)) ||
	    (path && nla_put_string(msg, VBE_ATTR_PATH, path)) ||
	    (p->readonly && nla_put_flag(msg, VBE_ATTR_READONLY)) ||
	    (*p->vdev && nla_put_string(msg, VBE_ATTR_VDEV, p->vdev)))
		return -EMSGSIZE;
	return 0;
}

static int vbe_nl_put_virtio(struct sk_buff *msg, struct vbe_device *dev)
{
	u32 n_windows;

	down_read(&dev->mem_sem);
	n_windows = dev->n_windows;
	up_read(&dev->mem_sem);

	if (nla_put_u32(msg, VBE_ATTR_VIRTIO_ID, dev->virtio_id ?: dev->params.virtio_id) ||
	    nla_put_u32(msg, VBE_ATTR_STATE, dev->state) ||
	    nla_put_u32(msg, VBE_ATTR_STATUS, READ_ONCE(dev->status)) ||
	    nla_put_u64_64bit(msg, VBE_ATTR_FEATURES, dev->features, VBE_ATTR_PAD) ||
	    nla_put_u64_64bit(msg, VBE_ATTR_DRIVER_FEATURES,
			      READ_ONCE(dev->driver_features), VBE_ATTR_PAD) ||
	    nla_put_u32(msg, VBE_ATTR_N_QUEUES, dev->n_queues) ||
	    nla_put_u32(msg, VBE_ATTR_CONFIG_SIZE, dev->config_size) ||
	    nla_put_u32(msg, VBE_ATTR_N_WINDOWS, n_windows))
		return -EMSGSIZE;
	return 0;
}

static int vbe_nl_put_fe(struct sk_buff *msg, struct vbe_device *dev)
{
	char name[VBE_LABEL_MAX] = "";
	const char *guest = NULL;

	/* The provider is there until the device is DEAD, and its module with it. */
	if (dev->state != VBE_DEV_DEAD) {
		guest = vbe_device_guest(dev);
		if (dev->provider->fe_name)
			dev->provider->fe_name(dev, name, sizeof(name));
	}
	if (nla_put_string(msg, VBE_ATTR_PROVIDER, dev->params.provider) ||
	    nla_put_string(msg, VBE_ATTR_TRANSPORT, dev->transport->name) ||
	    nla_put_string(msg, VBE_ATTR_GUEST, guest ?: "") ||
	    nla_put_string(msg, VBE_ATTR_FE_NAME, name))
		return -EMSGSIZE;
	return 0;
}

static int vbe_nl_put_name(struct sk_buff *msg, struct vbe_device *dev)
{
	if (nla_put_string(msg, VBE_ATTR_NAME, dev->name) ||
	    nla_put_u32(msg, VBE_ATTR_ID, dev->id))
		return -EMSGSIZE;
	return 0;
}

/* @asker: the request */
static int vbe_nl_put_device(struct sk_buff *msg, struct vbe_device *dev,
			     struct sk_buff *asker)
{
	int ret;

	mutex_lock(&dev->lock);
	ret = vbe_nl_put_name(msg, dev);
	if (!ret)
		ret = vbe_nl_put_fe(msg, dev);
	if (!ret)
		ret = vbe_nl_put_params(msg, dev, asker);
	if (!ret)
		ret = vbe_nl_put_place(msg, dev, asker);
	if (!ret)
		ret = vbe_nl_put_virtio(msg, dev);
	if (!ret)
		ret = vbe_nl_put_backend(msg, dev->client);
	if (!ret)
		ret = vbe_nl_put_stats(msg, &dev->stats);
	mutex_unlock(&dev->lock);
	return ret;
}

static int vbe_nl_reply_device(struct sk_buff *msg, struct vbe_device *dev,
			       struct sk_buff *asker, struct genl_info *info)
{
	void *hdr = genlmsg_put(msg, info->snd_portid, info->snd_seq, &vbe_nl_family, 0,
				VBE_CMD_DEV_GET);

	if (!hdr || vbe_nl_put_device(msg, dev, asker))
		return -EMSGSIZE;
	genlmsg_end(msg, hdr);
	return 0;
}

int vbe_nl_dev_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct vbe_device *dev;
	struct sk_buff *msg;
	int ret;

	ret = vbe_nl_check(info->attrs, info->extack, VBE_NL_SELECT);
	if (ret)
		return ret;
	msg = nlmsg_new(NLMSG_GOODSIZE, GFP_KERNEL);
	if (!msg) {
		GENL_SET_ERR_MSG(info, "out of memory");
		return -ENOMEM;
	}
	dev = vbe_nl_device(info->attrs, info->extack);
	if (IS_ERR(dev)) {
		nlmsg_free(msg);
		return PTR_ERR(dev);
	}
	ret = vbe_nl_reply_device(msg, dev, skb, info);
	vbe_device_put(dev);
	if (ret) {
		GENL_SET_ERR_MSG(info, "the device does not fit into one message");
		nlmsg_free(msg);
		return ret;
	}
	return genlmsg_reply(msg, info);
}

/* ---- dumps ------------------------------------------------------------------ */

/*
 * The shape of a dump: put messages until one does not fit, remember its place in
 * cb->args[0], and return the length so far; nothing put means the end. cb->seq
 * is a fingerprint of the set that is walked: when it differs between two parts,
 * the reader is told (NLM_F_DUMP_INTR) and asks again.
 */
static void *vbe_nl_dump_put(struct sk_buff *msg, struct netlink_callback *cb, u8 cmd)
{
	void *hdr = genlmsg_put(msg, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq,
				&vbe_nl_family, NLM_F_MULTI, cmd);

	if (hdr)
		genl_dump_check_consistent(cb, hdr);
	return hdr;
}

static int vbe_nl_dump_end(struct sk_buff *msg, struct netlink_callback *cb, void *hdr,
			   int ret)
{
	if (ret) {
		genlmsg_cancel(msg, hdr);
		return ret;
	}
	genlmsg_end(msg, hdr);
	return 0;
}

/* A part with something in it goes out; one message that never fits is an error. */
static int vbe_nl_dump_result(struct sk_buff *msg, struct netlink_callback *cb, int ret)
{
	if (!ret || msg->len)
		return msg->len;
	NL_SET_ERR_MSG(cb->extack, "one entry does not fit into a message");
	return ret;
}

static int vbe_nl_dump_provider(struct sk_buff *msg, struct netlink_callback *cb,
				const struct vbe_provider_info *p)
{
	void *hdr = vbe_nl_dump_put(msg, cb, VBE_CMD_PROVIDER_GET);
	int ret = 0;

	if (!hdr)
		return -EMSGSIZE;
	if (nla_put_string(msg, VBE_ATTR_PROVIDER, p->name) ||
	    nla_put_string(msg, VBE_ATTR_DESCRIPTION, p->description) ||
	    nla_put_string(msg, VBE_ATTR_TRANSPORT, p->transport))
		ret = -EMSGSIZE;
	return vbe_nl_dump_end(msg, cb, hdr, ret);
}

int vbe_nl_provider_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct vbe_provider_info info;
	int ret;

	ret = vbe_nl_check(vbe_genl_dump_attrs(cb), cb->extack, 0);
	if (ret)
		return ret;
	for (; vbe_provider_at(cb->args[0], &info); cb->args[0]++) {
		ret = vbe_nl_dump_provider(skb, cb, &info);
		if (ret)
			break;
	}
	return vbe_nl_dump_result(skb, cb, ret);
}

static int vbe_nl_dump_device(struct sk_buff *msg, struct netlink_callback *cb,
			      struct vbe_device *dev)
{
	void *hdr = vbe_nl_dump_put(msg, cb, VBE_CMD_DEV_GET);

	if (!hdr)
		return -EMSGSIZE;
	return vbe_nl_dump_end(msg, cb, hdr, vbe_nl_put_device(msg, dev, cb->skb));
}

int vbe_nl_dev_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct vbe_device *dev;
	int ret;

	ret = vbe_nl_check(vbe_genl_dump_attrs(cb), cb->extack, 0);
	if (ret)
		return ret;
	cb->seq = atomic_read(&vbe_nl_generation);
	while ((dev = vbe_device_next(cb->args[0]))) {
		ret = vbe_nl_dump_device(skb, cb, dev);
		if (!ret)
			cb->args[0] = dev->id + 1UL;
		vbe_device_put(dev);
		if (ret)
			break;
	}
	return vbe_nl_dump_result(skb, cb, ret);
}

static int vbe_nl_put_flags(struct sk_buff *msg, struct vbe_queue *q)
{
	bool has_kick, latched;

	spin_lock_irq(&q->kick_lock);
	has_kick = q->kick_ctx;
	latched = q->kick_latched;
	spin_unlock_irq(&q->kick_lock);

	if ((READ_ONCE(q->enabled) && nla_put_flag(msg, VBE_QUEUE_ATTR_ENABLED)) ||
	    (has_kick && nla_put_flag(msg, VBE_QUEUE_ATTR_HAS_KICK)) ||
	    (latched && nla_put_flag(msg, VBE_QUEUE_ATTR_KICK_LATCHED)) ||
	    (vbe_queue_kick_is_direct(q) && nla_put_flag(msg, VBE_QUEUE_ATTR_KICK_DIRECT)) ||
	    (q->call && nla_put_flag(msg, VBE_QUEUE_ATTR_HAS_CALL)))
		return -EMSGSIZE;
	return 0;
}

static int vbe_nl_put_geometry(struct sk_buff *msg, const struct vbe_queue *q)
{
	if (nla_put_u32(msg, VBE_QUEUE_ATTR_INDEX, q->index) ||
	    nla_put_u32(msg, VBE_QUEUE_ATTR_MAX_SIZE, q->max_size) ||
	    nla_put_u32(msg, VBE_QUEUE_ATTR_SIZE, READ_ONCE(q->num)) ||
	    nla_put_u64_64bit(msg, VBE_QUEUE_ATTR_DESC, READ_ONCE(q->desc),
			      VBE_QUEUE_ATTR_PAD) ||
	    nla_put_u64_64bit(msg, VBE_QUEUE_ATTR_DRIVER, READ_ONCE(q->driver),
			      VBE_QUEUE_ATTR_PAD) ||
	    nla_put_u64_64bit(msg, VBE_QUEUE_ATTR_DEVICE, READ_ONCE(q->device),
			      VBE_QUEUE_ATTR_PAD))
		return -EMSGSIZE;
	return 0;
}

static int vbe_nl_put_queue(struct sk_buff *msg, struct vbe_queue *q)
{
	const struct vbe_queue_stats *s = &q->stats;
	const int pad = VBE_QUEUE_ATTR_PAD;
	struct nlattr *nest = nla_nest_start(msg, VBE_ATTR_QUEUE);

	if (!nest || vbe_nl_put_geometry(msg, q) || vbe_nl_put_flags(msg, q) ||
	    vbe_nl_put_counter(msg, VBE_QUEUE_ATTR_KICKS, &s->kicks, pad) ||
	    vbe_nl_put_counter(msg, VBE_QUEUE_ATTR_CALLS, &s->calls, pad) ||
	    vbe_nl_put_counter(msg, VBE_QUEUE_ATTR_LATCHED, &s->latched, pad) ||
	    vbe_nl_put_counter(msg, VBE_QUEUE_ATTR_COALESCED, &s->coalesced, pad) ||
	    vbe_nl_put_counter(msg, VBE_QUEUE_ATTR_SPURIOUS, &s->spurious, pad))
		return -EMSGSIZE;
	nla_nest_end(msg, nest);
	return 0;
}

static int vbe_nl_dump_queue(struct sk_buff *msg, struct netlink_callback *cb,
			     struct vbe_device *dev, struct vbe_queue *q)
{
	void *hdr = vbe_nl_dump_put(msg, cb, VBE_CMD_QUEUE_GET);
	int ret;

	if (!hdr)
		return -EMSGSIZE;
	ret = vbe_nl_put_name(msg, dev);
	if (!ret)
		ret = vbe_nl_put_queue(msg, q);
	return vbe_nl_dump_end(msg, cb, hdr, ret);
}

static int vbe_nl_dump_queues(struct sk_buff *msg, struct netlink_callback *cb,
			      struct vbe_device *dev)
{
	int ret = 0;

	mutex_lock(&dev->lock);
	cb->seq = jhash_2words(dev->id, dev->n_queues, 0) | 1;
	while (!ret && cb->args[0] < dev->n_queues) {
		ret = vbe_nl_dump_queue(msg, cb, dev, &dev->queues[cb->args[0]]);
		if (!ret)
			cb->args[0]++;
	}
	mutex_unlock(&dev->lock);
	return ret;
}

static int vbe_nl_put_window(struct sk_buff *msg, const struct vbe_window *win)
{
	struct nlattr *nest = nla_nest_start(msg, VBE_ATTR_WINDOW);

	if (!nest ||
	    nla_put_u64_64bit(msg, VBE_WINDOW_ATTR_FE_ADDR, win->fe_addr,
			      VBE_WINDOW_ATTR_PAD) ||
	    nla_put_u64_64bit(msg, VBE_WINDOW_ATTR_LEN, win->len, VBE_WINDOW_ATTR_PAD) ||
	    nla_put_u32(msg, VBE_WINDOW_ATTR_MEM_CLASS, win->mem_class) ||
	    ((win->flags & VBE_WINDOW_F_READONLY) &&
	     nla_put_flag(msg, VBE_WINDOW_ATTR_READONLY)))
		return -EMSGSIZE;
	nla_nest_end(msg, nest);
	return 0;
}

static int vbe_nl_dump_window(struct sk_buff *msg, struct netlink_callback *cb,
			      struct vbe_device *dev, const struct vbe_window *win)
{
	void *hdr = vbe_nl_dump_put(msg, cb, VBE_CMD_WINDOW_GET);
	int ret;

	if (!hdr)
		return -EMSGSIZE;
	ret = vbe_nl_put_name(msg, dev);
	if (!ret)
		ret = vbe_nl_put_window(msg, win);
	return vbe_nl_dump_end(msg, cb, hdr, ret);
}

static u32 vbe_nl_windows_fingerprint(struct vbe_device *dev)
{
	u32 i, hash = dev->id;

	lockdep_assert_held(&dev->mem_sem);
	for (i = 0; i < dev->n_windows; i++) {
		const u32 words[] = {
			lower_32_bits(dev->windows[i]->fe_addr),
			upper_32_bits(dev->windows[i]->fe_addr),
			lower_32_bits(dev->windows[i]->len),
			upper_32_bits(dev->windows[i]->len),
		};

		hash = jhash2(words, ARRAY_SIZE(words), hash);
	}
	return hash | 1;
}

static int vbe_nl_dump_windows(struct sk_buff *msg, struct netlink_callback *cb,
			       struct vbe_device *dev)
{
	int ret = 0;

	down_read(&dev->mem_sem);
	cb->seq = vbe_nl_windows_fingerprint(dev);
	while (!ret && cb->args[0] < dev->n_windows) {
		ret = vbe_nl_dump_window(msg, cb, dev, dev->windows[cb->args[0]]);
		if (!ret)
			cb->args[0]++;
	}
	up_read(&dev->mem_sem);
	return ret;
}

static int vbe_nl_dump_of_device(struct sk_buff *skb, struct netlink_callback *cb,
				 int (*dump)(struct sk_buff *msg,
					     struct netlink_callback *cb,
					     struct vbe_device *dev))
{
	struct nlattr **attrs = vbe_genl_dump_attrs(cb);
	struct vbe_device *dev;
	int ret;

	ret = vbe_nl_check(attrs, cb->extack, VBE_NL_SELECT);
	if (ret)
		return ret;
	dev = vbe_nl_device(attrs, cb->extack);
	if (IS_ERR(dev))
		return PTR_ERR(dev);
	ret = dump(skb, cb, dev);
	vbe_device_put(dev);
	return vbe_nl_dump_result(skb, cb, ret);
}

int vbe_nl_queue_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	return vbe_nl_dump_of_device(skb, cb, vbe_nl_dump_queues);
}

int vbe_nl_window_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	return vbe_nl_dump_of_device(skb, cb, vbe_nl_dump_windows);
}

/* ---- events ------------------------------------------------------------------ */

static struct sk_buff *vbe_nl_event_new(struct vbe_device *dev, enum vbe_nl_what what,
					u64 seq)
{
	struct sk_buff *msg = nlmsg_new(NLMSG_GOODSIZE, GFP_NOIO);
	void *hdr;

	if (!msg)
		return NULL;
	hdr = genlmsg_put(msg, 0, 0, &vbe_nl_family, 0, VBE_CMD_DEV_NTF);
	if (!hdr || nla_put_u32(msg, VBE_ATTR_EVENT, what) ||
	    nla_put_u64_64bit(msg, VBE_ATTR_EVENT_SEQ, seq, VBE_ATTR_PAD) ||
	    nla_put_u64_64bit(msg, VBE_ATTR_EVENT_TIME, ktime_get_ns(), VBE_ATTR_PAD) ||
	    vbe_nl_put_name(msg, dev) ||
	    nla_put_u32(msg, VBE_ATTR_STATE, READ_ONCE(dev->state)) ||
	    nla_put_u32(msg, VBE_ATTR_STATUS, READ_ONCE(dev->status))) {
		nlmsg_free(msg);
		return NULL;
	}
	genlmsg_end(msg, hdr);
	return msg;
}

/**
 * vbe_nl_notify() - tell the multicast group what has happened to a device
 * @dev: the device; the caller holds a reference
 * @what: event
 *
 * An event that cannot be built leaves a jump in the numbers and an ENOBUFS on
 * the listeners' sockets: they know that they must look again.
 *
 * Context: process, may sleep. Takes no core lock, so any may be held. Allocates
 * with GFP_NOIO: reclaim must not wait for a disk whose backend waits for us.
 */
void vbe_nl_notify(struct vbe_device *dev, enum vbe_nl_what what)
{
	struct sk_buff *msg;

	BUILD_BUG_ON((int)VBE_NL_NEW != VBE_DEV_EVENT_NEW);
	BUILD_BUG_ON((int)VBE_NL_DETACH != VBE_DEV_EVENT_DETACH);
	BUILD_BUG_ON((int)VBE_NL_REVOKE != VBE_DEV_EVENT_REVOKE);
	BUILD_BUG_ON((int)VBE_NL_STATUS != VBE_DEV_EVENT_STATUS);

	if (what == VBE_NL_NEW || what == VBE_NL_DEL)
		atomic_inc(&vbe_nl_generation);

	mutex_lock(&vbe_nl_event_lock);
	vbe_nl_event_seq++;
	if (genl_has_listeners(&vbe_nl_family, &init_net, VBE_NLGRP_EVENTS)) {
		msg = vbe_nl_event_new(dev, what, vbe_nl_event_seq);
		if (msg)
			genlmsg_multicast(&vbe_nl_family, msg, 0, VBE_NLGRP_EVENTS,
					  GFP_NOIO);
		else
			genl_set_err(&vbe_nl_family, &init_net, 0, VBE_NLGRP_EVENTS,
				     -ENOBUFS);
	}
	mutex_unlock(&vbe_nl_event_lock);
}

int __init vbe_nl_init(void)
{
	return genl_register_family(&vbe_nl_family);
}

void vbe_nl_exit(void)
{
	genl_unregister_family(&vbe_nl_family);
}
