// SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause)
/* Do not edit directly, auto-generated from: */
/*	Documentation/netlink/vbe.yaml */
/* YNL-GEN kernel source */

#include <net/netlink.h>
#include <net/genetlink.h>

#include "netlink_gen.h"

#include <linux/vbe_netlink.h>
#include <linux/vbe.h>

/* Integer value ranges */
static struct netlink_range_validation vbe_attr_window_size_range = {
	.min	= 4096ULL,
	.max	= 1099511627776ULL,
};

static struct netlink_range_validation vbe_attr_virtio_id_range = {
	.min	= 1ULL,
	.max	= 65535ULL,
};

static struct netlink_range_validation vbe_attr_reset_timeout_ms_range = {
	.min	= 1ULL,
	.max	= 600000ULL,
};

/* Global operation policy for vbe */
const struct nla_policy vbe_nl_policy[VBE_ATTR_READONLY + 1] = {
	[VBE_ATTR_NAME] = { .type = NLA_NUL_STRING, .len = 31, },
	[VBE_ATTR_PROVIDER] = { .type = NLA_NUL_STRING, .len = 31, },
	[VBE_ATTR_TRANSPORT] = { .type = NLA_NUL_STRING, .len = 31, },
	[VBE_ATTR_WINDOW_SIZE] = NLA_POLICY_FULL_RANGE(NLA_U64, &vbe_attr_window_size_range),
	[VBE_ATTR_VIRTIO_ID] = NLA_POLICY_FULL_RANGE(NLA_U32, &vbe_attr_virtio_id_range),
	[VBE_ATTR_UID] = { .type = NLA_U32, },
	[VBE_ATTR_GID] = { .type = NLA_U32, },
	[VBE_ATTR_LOSS_POLICY] = NLA_POLICY_MAX(NLA_U32, 2),
	[VBE_ATTR_RESET_TIMEOUT_MS] = NLA_POLICY_FULL_RANGE(NLA_U32, &vbe_attr_reset_timeout_ms_range),
	[VBE_ATTR_RESIZE] = { .type = NLA_FLAG, },
	[VBE_ATTR_GUEST_ID] = { .type = NLA_U32, },
	[VBE_ATTR_BASE] = { .type = NLA_U64, },
	[VBE_ATTR_IRQ] = { .type = NLA_U32, },
	[VBE_ATTR_GRANTS] = { .type = NLA_FLAG, },
	[VBE_ATTR_PATH] = { .type = NLA_NUL_STRING, .len = 1023, },
	[VBE_ATTR_READONLY] = { .type = NLA_FLAG, },
};

/* Ops table for vbe */
const struct genl_small_ops vbe_nl_ops[7] = {
	{
		.cmd	= VBE_CMD_PROVIDER_GET,
		.dumpit	= vbe_nl_provider_get_dumpit,
	},
	{
		.cmd	= VBE_CMD_DEV_NEW,
		.doit	= vbe_nl_dev_new_doit,
		.flags	= GENL_ADMIN_PERM,
	},
	{
		.cmd	= VBE_CMD_DEV_DEL,
		.doit	= vbe_nl_dev_del_doit,
		.flags	= GENL_ADMIN_PERM,
	},
	{
		.cmd	= VBE_CMD_DEV_SET,
		.doit	= vbe_nl_dev_set_doit,
		.flags	= GENL_ADMIN_PERM,
	},
	{
		.cmd	= VBE_CMD_DEV_GET,
		.doit	= vbe_nl_dev_get_doit,
		.dumpit	= vbe_nl_dev_get_dumpit,
	},
	{
		.cmd	= VBE_CMD_QUEUE_GET,
		.dumpit	= vbe_nl_queue_get_dumpit,
	},
	{
		.cmd	= VBE_CMD_WINDOW_GET,
		.dumpit	= vbe_nl_window_get_dumpit,
	},
};
