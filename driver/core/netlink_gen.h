/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause) */
/* Do not edit directly, auto-generated from: */
/*	Documentation/netlink/vbe.yaml */
/* YNL-GEN kernel header */

#ifndef _LINUX_VBE_GEN_H
#define _LINUX_VBE_GEN_H

#include <net/netlink.h>
#include <net/genetlink.h>

#include <linux/vbe_netlink.h>
#include <linux/vbe.h>

/* Global operation policy for vbe */
extern const struct nla_policy vbe_nl_policy[VBE_ATTR_READONLY + 1];

/* Ops table for vbe */
extern const struct genl_small_ops vbe_nl_ops[7];

int vbe_nl_provider_get_dumpit(struct sk_buff *skb,
			       struct netlink_callback *cb);
int vbe_nl_dev_new_doit(struct sk_buff *skb, struct genl_info *info);
int vbe_nl_dev_del_doit(struct sk_buff *skb, struct genl_info *info);
int vbe_nl_dev_set_doit(struct sk_buff *skb, struct genl_info *info);
int vbe_nl_dev_get_doit(struct sk_buff *skb, struct genl_info *info);
int vbe_nl_dev_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb);
int vbe_nl_queue_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb);
int vbe_nl_window_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb);

enum {
	VBE_NLGRP_EVENTS,
};

#endif /* _LINUX_VBE_GEN_H */
