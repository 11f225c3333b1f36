// SPDX-License-Identifier: GPL-2.0
/*
 * vbe-ctl dev add, del, set: what changes devices.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <errno.h>
#include <netlink/genl/genl.h>
#include <stdio.h>
#include <string.h>

#include "slots.h"
#include "vbe-ctl.h"

#define NAME_SANE 256	/* what we bother the kernel with; it knows the true limit */

static int put_owner(const struct args *a, struct nl_msg *msg)
{
	const char *why, *text = a->opt[OPT_OWNER];
	bool has_uid = false, has_gid = false;
	uint32_t uid, gid;

	if (!text)
		return EXIT_OK;
	if (parse_owner(text, &uid, &has_uid, &gid, &has_gid, &why))
		return usage_error(a->cmd, "--owner '%s': %s", text, why);
	if (has_uid)
		nla_put_u32(msg, VBE_ATTR_UID, uid);
	if (has_gid)
		nla_put_u32(msg, VBE_ATTR_GID, gid);
	return EXIT_OK;
}

/* What dev add and dev set have in common. */
static int put_settings(const struct args *a, struct nl_msg *msg)
{
	const char *why, *text;
	uint32_t ms;
	int policy;

	text = a->opt[OPT_POLICY];
	if (text) {
		policy = policy_of(text);
		if (policy < 0)
			return unknown_word(a->cmd, "policy", text, policy_names);
		nla_put_u32(msg, VBE_ATTR_LOSS_POLICY, policy);
	}
	text = a->opt[OPT_RESET_TIMEOUT];
	if (text) {
		if (parse_ms(text, &ms, &why))
			return usage_error(a->cmd, "--reset-timeout '%s': %s", text, why);
		nla_put_u32(msg, VBE_ATTR_RESET_TIMEOUT_MS, ms);
	}
	return put_owner(a, msg);
}

static int put_label(const struct args *a, struct nl_msg *msg, int attr, const char *what,
		     const char *text)
{
	if (!text)
		return EXIT_OK;
	if (strlen(text) >= NAME_SANE)
		return usage_error(a->cmd, "%s is too long (%zu bytes)", what, strlen(text));
	nla_put_string(msg, attr, text);
	return EXIT_OK;
}

static int put_new(const struct args *a, struct nl_msg *msg)
{
	const char *why, *text;
	uint64_t size;
	uint32_t type;

	text = a->opt[OPT_SIZE];
	if (text) {
		if (parse_size(text, &size, &why))
			return usage_error(a->cmd, "--size '%s': %s", text, why);
		nla_put_u64(msg, VBE_ATTR_WINDOW_SIZE, size);
	}
	text = a->opt[OPT_TYPE];
	if (text) {
		type = type_of(text);
		if (!type)
			return unknown_word(a->cmd, "device type", text, type_names);
		nla_put_u32(msg, VBE_ATTR_VIRTIO_ID, type);
	}
	return put_label(a, msg, VBE_ATTR_TRANSPORT, "the transport's name",
			 a->opt[OPT_TRANSPORT]);
}

/* An address of registers, or of a PCI function. */
static int put_base(const struct args *a, struct nl_msg *msg)
{
	const char *why, *base = a->opt[OPT_BASE], *slot = a->opt[OPT_SLOT];
	const char *transport = a->opt[OPT_TRANSPORT];
	uint64_t val;
	uint32_t n;
	int ret;

	if (base && slot)
		return usage_error(a->cmd, "base and slot both say where: give one");
	if (slot && transport && strcmp(transport, "pci") && strcmp(transport, "raw"))
		return usage_error(a->cmd, "transport %s has no slots: give base", transport);
	if (slot) {
		if (parse_u32(slot, &n, &why) || n > 31)
			return usage_error(a->cmd, "--slot '%s': write a number from 0 to 31 (a slot of PCI bus 0)",
					   slot);
		nla_put_u64(msg, VBE_ATTR_BASE, (uint64_t)n << 3);
		return EXIT_OK;
	}
	if (!base)
		return EXIT_OK;
	ret = strchr(base, ':') ? parse_bdf(base, &val, &why) : parse_u64(base, &val, &why);
	if (ret)
		return usage_error(a->cmd, "--base '%s': %s", base, why);
	nla_put_u64(msg, VBE_ATTR_BASE, val);
	return EXIT_OK;
}

static int put_number(const struct args *a, struct nl_msg *msg, int attr, int key,
		      const char *what)
{
	const char *why;
	uint32_t val;

	if (!a->opt[key])
		return EXIT_OK;
	if (parse_u32(a->opt[key], &val, &why))
		return usage_error(a->cmd, "--%s '%s': %s", what, a->opt[key], why);
	nla_put_u32(msg, attr, val);
	return EXIT_OK;
}

/* Where in which guest. */
static int put_place(const struct args *a, struct nl_msg *msg)
{
	bool grants = false;
	const char *why;
	int ret;

	ret = put_number(a, msg, VBE_ATTR_GUEST_ID, OPT_DOMID, "domid");
	if (!ret)
		ret = put_number(a, msg, VBE_ATTR_IRQ, OPT_IRQ, "irq");
	if (!ret)
		ret = put_base(a, msg);
	if (ret)
		return ret;
	if (a->opt[OPT_GRANTS] && parse_on_off(a->opt[OPT_GRANTS], &grants, &why))
		return usage_error(a->cmd, "--grants '%s': %s", a->opt[OPT_GRANTS], why);
	if (grants)
		nla_put_flag(msg, VBE_ATTR_GRANTS);
	return EXIT_OK;
}

/* What the backend shall serve. */
static int put_image(const struct args *a, struct nl_msg *msg)
{
	const char *path = a->opt[OPT_PATH];

	if (a->opt[OPT_READ_ONLY])
		nla_put_flag(msg, VBE_ATTR_READONLY);
	if (!path)
		return EXIT_OK;
	if (*path != '/')
		return usage_error(a->cmd, "--path '%s': write the whole path, from / on", path);
	if (strlen(path) >= VBE_PARAM_MAX)
		return usage_error(a->cmd, "--path is too long (%zu bytes)", strlen(path));
	nla_put_string(msg, VBE_ATTR_PATH, path);
	return EXIT_OK;
}

static int show_result(const struct args *a, const char *name)
{
	json_object *devices, *top;
	int ret;

	if (!opt_json)
		return EXIT_OK;
	ret = model_devices(a->cmd, name, &devices);
	if (ret)
		return ret;
	top = json_object_new_object();
	json_object_object_add(top, "devices", devices);
	return print_json(top);
}

static int build_add(const struct args *a, struct nl_msg *msg)
{
	const char *provider = a->opt[OPT_PROVIDER] ? a->opt[OPT_PROVIDER] : "loop";
	int ret;

	ret = put_label(a, msg, VBE_ATTR_NAME, "the name", a->pos[0]);
	if (!ret)
		ret = put_label(a, msg, VBE_ATTR_PROVIDER, "the provider's name", provider);
	if (!ret)
		ret = put_new(a, msg);
	if (!ret)
		ret = put_place(a, msg);
	if (!ret)
		ret = put_image(a, msg);
	if (!ret)
		ret = put_settings(a, msg);
	return ret;
}

/* Usage is checked before the kernel is asked: a mistype is one everywhere. */
static int send_command(const struct args *a, int cmd,
			int (*build)(const struct args *a, struct nl_msg *msg))
{
	struct nl_msg *msg, *trial = nl_request(cmd, 0);
	struct failure why;
	int ret;

	if (!trial)
		return fail(a->cmd, EXIT_FAILED, "out of memory");
	ret = build(a, trial);
	nlmsg_free(trial);
	if (!ret)
		ret = kernel_open(a->cmd);
	if (ret)
		return ret;
	msg = nl_request(cmd, NLM_F_ACK);
	if (msg)
		build(a, msg);
	if (nl_talk(msg, NULL, NULL, &why))
		return nl_refused(a->cmd, a->pos[0], &why);
	return EXIT_OK;
}

/* The slot of bus 0 that is asked for; false for none, and for what is refused anyway. */
static bool wanted_slot(const struct args *a, uint32_t *slot)
{
	const char *why, *base = a->opt[OPT_BASE];
	uint64_t address;

	if (a->opt[OPT_SLOT])
		return !parse_u32(a->opt[OPT_SLOT], slot, &why);
	if (!base || !strchr(base, ':') || parse_bdf(base, &address, &why) || address >> 8)
		return false;
	*slot = address >> 3;
	return true;
}

/* What only the guest's device model knows. */
static int check_slot(const struct args *a)
{
	const char *why, *provider = a->opt[OPT_PROVIDER];
	uint32_t domid, slot;
	char what[128];

	if (!provider || strcmp(provider, "xen") || !a->opt[OPT_DOMID] ||
	    parse_u32(a->opt[OPT_DOMID], &domid, &why) || !wanted_slot(a, &slot))
		return EXIT_OK;
	if (!slot_of_device_model(domid, slot, what, sizeof(what)))
		return EXIT_OK;
	return fail(a->cmd, EXIT_FAILED, "%s: slot %u is the guest's own device model's (%s)",
		    a->pos[0], slot, what);
}

int cmd_dev_add(const struct args *a)
{
	struct args all = *a;
	int ret;

	ret = args_pairs(&all, 1);
	if (!ret)
		ret = check_slot(&all);
	if (!ret)
		ret = send_command(&all, VBE_CMD_DEV_NEW, build_add);
	return ret ? ret : show_result(a, a->pos[0]);
}

static int build_set(const struct args *a, struct nl_msg *msg)
{
	bool resize = a->opt[OPT_RESIZE];
	int ret;

	if (a->n_pos == 2) {
		if (strcmp(a->pos[1], "resize"))
			return usage_error(a->cmd, "'%s' is one argument too many (is it an option?)",
					   a->pos[1]);
		resize = true;
	}
	if (!resize && !a->opt[OPT_OWNER] && !a->opt[OPT_POLICY] && !a->opt[OPT_RESET_TIMEOUT])
		return usage_error(a->cmd, "say what to change: --owner, --policy, --reset-timeout or --resize");
	ret = put_label(a, msg, VBE_ATTR_NAME, "the name", a->pos[0]);
	if (!ret)
		ret = put_settings(a, msg);
	if (!ret && resize)
		nla_put_flag(msg, VBE_ATTR_RESIZE);
	return ret;
}

int cmd_dev_set(const struct args *a)
{
	int ret = send_command(a, VBE_CMD_DEV_SET, build_set);

	return ret ? ret : show_result(a, a->pos[0]);
}

static int delete_one(const char *name, struct failure *why)
{
	struct nl_msg *msg = nl_request(VBE_CMD_DEV_DEL, NLM_F_ACK);

	if (msg && nla_put_string(msg, VBE_ATTR_NAME, name)) {
		nlmsg_free(msg);
		msg = NULL;
	}
	return nl_talk(msg, NULL, NULL, why);
}

/* All are tried; the exit code is that of the first that failed. */
static int delete_all(const struct args *a, json_object *names, json_object *deleted)
{
	struct failure why;
	int ret = EXIT_OK, one;
	size_t i;

	for (i = 0; i < json_object_array_length(names); i++) {
		const char *name = json_object_get_string(json_object_array_get_idx(names, i));

		if (!delete_one(name, &why)) {
			json_object_array_add(deleted, json_object_new_string(name));
			continue;
		}
		/* Of "all", one that has gone by itself is no failure. */
		if (a->opt[OPT_ALL] && (why.err == ENOENT || why.err == ENODEV))
			continue;
		one = nl_refused(a->cmd, name, &why);
		ret = ret ? ret : one;
	}
	return ret;
}

static int names_to_delete(const struct args *a, json_object *names)
{
	json_object *devices, *name;
	size_t i;
	int ret;

	for (i = 0; i < (size_t)a->n_pos; i++)
		json_object_array_add(names, json_object_new_string(a->pos[i]));
	if (!a->opt[OPT_ALL])
		return EXIT_OK;
	ret = model_devices(a->cmd, NULL, &devices);
	if (ret)
		return ret;
	for (i = 0; i < json_object_array_length(devices); i++) {
		name = get(json_object_array_get_idx(devices, i), "name");
		json_object_array_add(names, json_object_get(name));
	}
	json_object_put(devices);
	return EXIT_OK;
}

static int check_del(const struct args *a)
{
	int i;

	if (a->opt[OPT_ALL] && a->n_pos)
		return usage_error(a->cmd, "names and --all do not go together");
	if (!a->opt[OPT_ALL] && !a->n_pos)
		return usage_error(a->cmd, "which? Give names, or --all");
	for (i = 0; i < a->n_pos; i++)
		if (strlen(a->pos[i]) >= NAME_SANE)
			return usage_error(a->cmd, "the name is too long (%zu bytes)",
					   strlen(a->pos[i]));
	return kernel_open(a->cmd);
}

int cmd_dev_del(const struct args *a)
{
	json_object *names, *deleted, *top;
	int ret;

	ret = check_del(a);
	if (ret)
		return ret;
	names = json_object_new_array();
	deleted = json_object_new_array();
	ret = names_to_delete(a, names);
	if (!ret)
		ret = delete_all(a, names, deleted);
	json_object_put(names);
	if (!opt_json) {
		json_object_put(deleted);
		return ret;
	}
	top = json_object_new_object();
	json_object_object_add(top, "deleted", deleted);
	return print_json(top) ? EXIT_FAILED : ret;
}
