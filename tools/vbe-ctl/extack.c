// SPDX-License-Identifier: GPL-2.0
/*
 * Why the kernel refused: the extended acknowledgment, which libnl does not read.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <errno.h>
#include <linux/netlink.h>
#include <netlink/attr.h>
#include <stdio.h>
#include <string.h>

#include "vbe-ctl.h"

/* Where the attributes of an error or of the end of a dump begin; NULL for none. */
static struct nlattr *extack_attrs(const struct nlmsghdr *nlh, int *len)
{
	const struct nlmsgerr *e = nlmsg_data(nlh);
	size_t offset;

	if (!(nlh->nlmsg_flags & NLM_F_ACK_TLVS))
		return NULL;
	offset = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(int));
	if (nlh->nlmsg_type == NLMSG_ERROR) {
		offset = NLMSG_HDRLEN + sizeof(*e);
		if (!(nlh->nlmsg_flags & NLM_F_CAPPED))
			offset += NLMSG_ALIGN(e->msg.nlmsg_len) - NLMSG_HDRLEN;
	}
	if (offset >= nlh->nlmsg_len)
		return NULL;
	*len = nlh->nlmsg_len - offset;
	return (struct nlattr *)((char *)nlh + offset);
}

/* The attribute of our request that the kernel points at; NULL if it is not one. */
static const char *blamed(const struct nlmsghdr *request, uint32_t offset)
{
	const struct nlattr *attr;

	if (offset < NLMSG_HDRLEN || offset + sizeof(*attr) > request->nlmsg_len)
		return NULL;
	attr = (const void *)((const char *)request + offset);
	return attr_name(attr->nla_type & NLA_TYPE_MASK);
}

/* What would have been right, from the kernel's policy: "1 to 600000". */
static void limits(struct nlattr *policy, char *buf, size_t len)
{
	struct nlattr *tb[NL_POLICY_TYPE_ATTR_MAX + 1];

	*buf = '\0';
	if (!policy || nla_parse_nested(tb, NL_POLICY_TYPE_ATTR_MAX, policy, NULL))
		return;
	if (tb[NL_POLICY_TYPE_ATTR_MIN_VALUE_U] && tb[NL_POLICY_TYPE_ATTR_MAX_VALUE_U])
		snprintf(buf, len, " must be %llu to %llu",
			 (unsigned long long)nla_get_u64(tb[NL_POLICY_TYPE_ATTR_MIN_VALUE_U]),
			 (unsigned long long)nla_get_u64(tb[NL_POLICY_TYPE_ATTR_MAX_VALUE_U]));
	else if (tb[NL_POLICY_TYPE_ATTR_MAX_LENGTH])
		snprintf(buf, len, " takes at most %u bytes",
			 nla_get_u32(tb[NL_POLICY_TYPE_ATTR_MAX_LENGTH]));
}

/**
 * extack_parse() - put the kernel's sentence together
 * @nlh: NLMSG_ERROR or NLMSG_DONE
 * @request: what was asked
 * @why: gets @text
 *
 * Texts of vbe itself say everything; those of the netlink core are about "an
 * attribute", so that its name and limits are added where a policy comes along.
 */
void extack_parse(const struct nlmsghdr *nlh, const struct nlmsghdr *request,
		  struct failure *why)
{
	struct nlattr *tb[NLMSGERR_ATTR_MAX + 1];
	const char *attr = NULL, *text = "";
	struct nlattr *head;
	char limit[80];
	int len;

	head = extack_attrs(nlh, &len);
	if (!head || nla_parse(tb, NLMSGERR_ATTR_MAX, head, len, NULL))
		return;
	if (tb[NLMSGERR_ATTR_MSG])
		text = nla_get_string(tb[NLMSGERR_ATTR_MSG]);
	if (tb[NLMSGERR_ATTR_OFFS])
		attr = blamed(request, nla_get_u32(tb[NLMSGERR_ATTR_OFFS]));
	limits(tb[NLMSGERR_ATTR_POLICY], limit, sizeof(limit));

	if (attr && *limit)
		snprintf(why->text, sizeof(why->text), "%s: %s%s", text, attr, limit);
	else if (!*text && tb[NLMSGERR_ATTR_MISS_TYPE])
		snprintf(why->text, sizeof(why->text), "missing attribute: %s",
			 attr_name(nla_get_u32(tb[NLMSGERR_ATTR_MISS_TYPE])));
	else if (!*text && attr)
		snprintf(why->text, sizeof(why->text), "attribute %s is refused", attr);
	else
		snprintf(why->text, sizeof(why->text), "%s", text);
}
