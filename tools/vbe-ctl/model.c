// SPDX-License-Identifier: GPL-2.0
/*
 * What the kernel answers, as json-c objects (vbe-ctl.schema.json).
 *
 * Copyright (c) 2026 The vbe authors
 *
 * Attributes that this program does not know are skipped, and one that an older
 * kernel does not send is null or zero: the keys are always there.
 */
#include <dirent.h>
#include <errno.h>
#include <grp.h>
#include <netlink/genl/genl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "vbe-ctl.h"

#define DUMP_TRIES 20

struct counter {
	int attr;
	const char *key;
};

static const struct counter device_counters[] = {
	{ VBE_STATS_ATTR_ACCESSES, "accesses" },
	{ VBE_STATS_ATTR_MAPS, "maps" },
	{ VBE_STATS_ATTR_FAULTS, "faults" },
	{ VBE_STATS_ATTR_COPIES, "copies" },
	{ VBE_STATS_ATTR_REVOKES, "revokes" },
	{ VBE_STATS_ATTR_BOUNDED_RESETS, "bounded_resets" },
	{ VBE_STATS_ATTR_LOSSES, "losses" },
	{ VBE_STATS_ATTR_EVENTS_LOST, "events_lost" },
	{ VBE_STATS_ATTR_UNANSWERED, "unanswered" },
	{ 0, NULL }
};

static const struct counter queue_counters[] = {
	{ VBE_QUEUE_ATTR_KICKS, "kicks" },
	{ VBE_QUEUE_ATTR_CALLS, "calls" },
	{ VBE_QUEUE_ATTR_LATCHED, "latched" },
	{ VBE_QUEUE_ATTR_COALESCED, "coalesced" },
	{ VBE_QUEUE_ATTR_SPURIOUS, "spurious" },
	{ 0, NULL }
};

/* An attribute of a wrong size counts as absent: never read past its end. */
static uint64_t u64_of(struct nlattr *attr)
{
	return attr && nla_len(attr) >= 8 ? nla_get_u64(attr) : 0;
}

static uint32_t u32_of(struct nlattr *attr)
{
	return attr && nla_len(attr) >= 4 ? nla_get_u32(attr) : 0;
}

static const char *string_of(struct nlattr *attr)
{
	if (!attr || nla_len(attr) < 1 || ((char *)nla_data(attr))[nla_len(attr) - 1])
		return "";
	return nla_get_string(attr);
}

static void add_counters(json_object *obj, struct nlattr **tb, const struct counter *c)
{
	for (; c->key; c++)
		add_u64(obj, c->key, u64_of(tb[c->attr]));
}

static json_object *owner_of(struct nlattr **tb)
{
	json_object *owner = json_object_new_object();
	const struct passwd *pw = getpwuid(u32_of(tb[VBE_ATTR_UID]));
	const struct group *gr = NULL;

	if (tb[VBE_ATTR_GID])
		gr = getgrgid(u32_of(tb[VBE_ATTR_GID]));
	add_u64(owner, "uid", u32_of(tb[VBE_ATTR_UID]));
	add_string(owner, "user", pw ? pw->pw_name : NULL);
	if (tb[VBE_ATTR_GID])
		add_u64(owner, "gid", u32_of(tb[VBE_ATTR_GID]));
	else
		json_object_object_add(owner, "gid", NULL);
	add_string(owner, "group", gr ? gr->gr_name : NULL);
	return owner;
}

static json_object *backend_of(struct nlattr *nest)
{
	struct nlattr *tb[VBE_BACKEND_ATTR_MAX + 1];
	json_object *backend;

	if (!nest || nla_parse_nested(tb, VBE_BACKEND_ATTR_MAX, nest, NULL))
		return NULL;
	backend = json_object_new_object();
	add_u64(backend, "pid", u32_of(tb[VBE_BACKEND_ATTR_PID]));
	add_string(backend, "comm", string_of(tb[VBE_BACKEND_ATTR_COMM]));
	json_object_object_add(backend, "revoked",
			       json_object_new_boolean(!!tb[VBE_BACKEND_ATTR_REVOKED]));
	return backend;
}

/* What the driver made of the device here: /dev/vda, eth1, /dev/vport1p0. */
static void add_nodes(json_object *nodes, const char *fe, const char *class,
		      const char *prefix)
{
	char path[512], node[300];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/bus/virtio/devices/%s/%s", fe, class);
	dir = opendir(path);
	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(node, sizeof(node), "%s%s", prefix, entry->d_name);
		json_object_array_add(nodes, json_object_new_string(node));
	}
	closedir(dir);
}

static json_object *fe_of(const char *name)
{
	json_object *fe, *nodes;

	if (!*name)
		return NULL;
	fe = json_object_new_object();
	nodes = json_object_new_array();
	add_string(fe, "name", name);
	if (!strchr(name, '/') && *name != '.') {
		add_nodes(nodes, name, "block", "/dev/");
		add_nodes(nodes, name, "net", "");
		add_nodes(nodes, name, "virtio-ports", "/dev/");
	}
	json_object_object_add(fe, "nodes", nodes);
	return fe;
}

static json_object *stats_of(struct nlattr *nest)
{
	struct nlattr *tb[VBE_STATS_ATTR_MAX + 1] = { NULL };
	json_object *stats = json_object_new_object();

	if (nest && nla_parse_nested(tb, VBE_STATS_ATTR_MAX, nest, NULL))
		memset(tb, 0, sizeof(tb));
	add_counters(stats, tb, device_counters);
	return stats;
}

static void add_features(json_object *obj, uint32_t virtio_id, const char *key,
			 const char *names_key, struct nlattr *attr)
{
	add_hex(obj, key, u64_of(attr));
	json_object_object_add(obj, names_key, feature_names(virtio_id, u64_of(attr)));
}

static void add_virtio(json_object *dev, struct nlattr **tb)
{
	uint32_t virtio_id = u32_of(tb[VBE_ATTR_VIRTIO_ID]);
	char buf[32];

	add_u64(dev, "virtio_id", virtio_id);
	add_string(dev, "type", virtio_id ? type_name(virtio_id, buf, sizeof(buf)) : NULL);
	add_string(dev, "state", state_name(u32_of(tb[VBE_ATTR_STATE])));
	json_object_object_add(dev, "backend", backend_of(tb[VBE_ATTR_BACKEND]));
	json_object_object_add(dev, "fe", fe_of(string_of(tb[VBE_ATTR_FE_NAME])));
	add_u64(dev, "status", u32_of(tb[VBE_ATTR_STATUS]));
	json_object_object_add(dev, "status_names", status_names(u32_of(tb[VBE_ATTR_STATUS])));
	add_features(dev, virtio_id, "features", "feature_names", tb[VBE_ATTR_FEATURES]);
	add_features(dev, virtio_id, "driver_features", "driver_feature_names",
		     tb[VBE_ATTR_DRIVER_FEATURES]);
	add_u64(dev, "n_queues", u32_of(tb[VBE_ATTR_N_QUEUES]));
	add_u64(dev, "config_size", u32_of(tb[VBE_ATTR_CONFIG_SIZE]));
	add_u64(dev, "n_windows", u32_of(tb[VBE_ATTR_N_WINDOWS]));
}

static void add_u64_or_null(json_object *obj, const char *key, struct nlattr *attr, uint64_t val)
{
	if (attr)
		add_u64(obj, key, val);
	else
		json_object_object_add(obj, key, NULL);
}

/* Where in its guest it is, and what its backend is to serve. */
static void add_place(json_object *dev, struct nlattr **tb)
{
	struct nlattr *path = tb[VBE_ATTR_PATH], *readonly = tb[VBE_ATTR_READONLY];

	add_u64_or_null(dev, "domid", tb[VBE_ATTR_GUEST_ID], u32_of(tb[VBE_ATTR_GUEST_ID]));
	if (tb[VBE_ATTR_BASE])
		add_hex(dev, "base", u64_of(tb[VBE_ATTR_BASE]));
	else
		json_object_object_add(dev, "base", NULL);
	add_u64_or_null(dev, "irq", tb[VBE_ATTR_IRQ], u32_of(tb[VBE_ATTR_IRQ]));
	json_object_object_add(dev, "grants", json_object_new_boolean(!!tb[VBE_ATTR_GRANTS]));
	add_string(dev, "path", path ? string_of(path) : NULL);
	add_string(dev, "mode", readonly ? "r" : path ? "w" : NULL);
	add_string(dev, "vdev", tb[VBE_ATTR_VDEV] ? string_of(tb[VBE_ATTR_VDEV]) : NULL);
}

/* Return: a new object, or NULL if the message makes no sense. */
json_object *model_device(struct nlmsghdr *nlh)
{
	struct nlattr *tb[VBE_ATTR_MAX + 1];
	json_object *dev;

	if (genlmsg_parse(nlh, 0, tb, VBE_ATTR_MAX, NULL) || !tb[VBE_ATTR_NAME])
		return NULL;
	dev = json_object_new_object();
	add_string(dev, "name", string_of(tb[VBE_ATTR_NAME]));
	add_u64(dev, "id", u32_of(tb[VBE_ATTR_ID]));
	add_string(dev, "provider", string_of(tb[VBE_ATTR_PROVIDER]));
	add_string(dev, "transport", string_of(tb[VBE_ATTR_TRANSPORT]));
	add_string(dev, "guest", string_of(tb[VBE_ATTR_GUEST]));
	add_virtio(dev, tb);
	add_u64(dev, "window_size", u64_of(tb[VBE_ATTR_WINDOW_SIZE]));
	json_object_object_add(dev, "owner", owner_of(tb));
	add_string(dev, "loss_policy", policy_name(u32_of(tb[VBE_ATTR_LOSS_POLICY])));
	add_u64(dev, "reset_timeout_ms", u32_of(tb[VBE_ATTR_RESET_TIMEOUT_MS]));
	add_place(dev, tb);
	json_object_object_add(dev, "stats", stats_of(tb[VBE_ATTR_STATS]));
	return dev;
}

static void add_flag(json_object *obj, const char *key, struct nlattr *attr)
{
	json_object_object_add(obj, key, json_object_new_boolean(!!attr));
}

static json_object *model_queue(struct nlattr **top)
{
	struct nlattr *tb[VBE_QUEUE_ATTR_MAX + 1];
	json_object *queue, *stats;

	if (!top[VBE_ATTR_QUEUE] ||
	    nla_parse_nested(tb, VBE_QUEUE_ATTR_MAX, top[VBE_ATTR_QUEUE], NULL))
		return NULL;
	queue = json_object_new_object();
	stats = json_object_new_object();
	add_string(queue, "device", string_of(top[VBE_ATTR_NAME]));
	add_u64(queue, "index", u32_of(tb[VBE_QUEUE_ATTR_INDEX]));
	add_flag(queue, "enabled", tb[VBE_QUEUE_ATTR_ENABLED]);
	add_u64(queue, "size", u32_of(tb[VBE_QUEUE_ATTR_SIZE]));
	add_u64(queue, "max_size", u32_of(tb[VBE_QUEUE_ATTR_MAX_SIZE]));
	add_hex(queue, "desc", u64_of(tb[VBE_QUEUE_ATTR_DESC]));
	add_hex(queue, "driver", u64_of(tb[VBE_QUEUE_ATTR_DRIVER]));
	add_hex(queue, "device_area", u64_of(tb[VBE_QUEUE_ATTR_DEVICE]));
	add_flag(queue, "has_kick", tb[VBE_QUEUE_ATTR_HAS_KICK]);
	add_flag(queue, "has_call", tb[VBE_QUEUE_ATTR_HAS_CALL]);
	add_flag(queue, "kick_latched", tb[VBE_QUEUE_ATTR_KICK_LATCHED]);
	add_flag(queue, "kick_direct", tb[VBE_QUEUE_ATTR_KICK_DIRECT]);
	add_counters(stats, tb, queue_counters);
	json_object_object_add(queue, "stats", stats);
	return queue;
}

static json_object *model_window(struct nlattr **top)
{
	struct nlattr *tb[VBE_WINDOW_ATTR_MAX + 1];
	json_object *window;

	if (!top[VBE_ATTR_WINDOW] ||
	    nla_parse_nested(tb, VBE_WINDOW_ATTR_MAX, top[VBE_ATTR_WINDOW], NULL))
		return NULL;
	window = json_object_new_object();
	add_string(window, "device", string_of(top[VBE_ATTR_NAME]));
	add_hex(window, "fe_addr", u64_of(tb[VBE_WINDOW_ATTR_FE_ADDR]));
	add_u64(window, "len", u64_of(tb[VBE_WINDOW_ATTR_LEN]));
	add_string(window, "mem_class", class_name(u32_of(tb[VBE_WINDOW_ATTR_MEM_CLASS])));
	add_flag(window, "readonly", tb[VBE_WINDOW_ATTR_READONLY]);
	return window;
}

static json_object *model_provider(struct nlattr **tb)
{
	json_object *provider = json_object_new_object();

	add_string(provider, "name", string_of(tb[VBE_ATTR_PROVIDER]));
	add_string(provider, "description", string_of(tb[VBE_ATTR_DESCRIPTION]));
	add_string(provider, "transport", string_of(tb[VBE_ATTR_TRANSPORT]));
	return provider;
}

/* Wall-clock time of a moment that the kernel gave as CLOCK_MONOTONIC. */
static void add_time(json_object *event, uint64_t monotonic)
{
	struct timespec mono, wall;
	char text[32], stamp[64];
	struct tm tm;
	int64_t ns;
	time_t sec;

	clock_gettime(CLOCK_MONOTONIC, &mono);
	clock_gettime(CLOCK_REALTIME, &wall);
	ns = (wall.tv_sec - mono.tv_sec) * 1000000000LL + wall.tv_nsec - mono.tv_nsec;
	ns += monotonic;
	sec = ns / 1000000000LL;
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", gmtime_r(&sec, &tm));
	snprintf(stamp, sizeof(stamp), "%s.%06dZ", text, (int)(ns % 1000000000LL / 1000));
	add_string(event, "time", stamp);
	add_u64(event, "monotonic_ns", monotonic);
}

json_object *model_event(struct nlmsghdr *nlh)
{
	struct nlattr *tb[VBE_ATTR_MAX + 1];
	json_object *event;

	if (genlmsg_parse(nlh, 0, tb, VBE_ATTR_MAX, NULL) || !tb[VBE_ATTR_EVENT])
		return NULL;
	event = json_object_new_object();
	add_string(event, "event", event_name(u32_of(tb[VBE_ATTR_EVENT])));
	add_string(event, "device", string_of(tb[VBE_ATTR_NAME]));
	add_u64(event, "id", u32_of(tb[VBE_ATTR_ID]));
	add_string(event, "state", state_name(u32_of(tb[VBE_ATTR_STATE])));
	add_u64(event, "status", u32_of(tb[VBE_ATTR_STATUS]));
	json_object_object_add(event, "status_names", status_names(u32_of(tb[VBE_ATTR_STATUS])));
	add_u64(event, "seq", u64_of(tb[VBE_ATTR_EVENT_SEQ]));
	add_time(event, u64_of(tb[VBE_ATTR_EVENT_TIME]));
	return event;
}

static int on_message(struct nlmsghdr *nlh, json_object *out)
{
	const struct genlmsghdr *genl = nlmsg_data(nlh);
	struct nlattr *tb[VBE_ATTR_MAX + 1];
	json_object *obj = NULL;

	if (genl->cmd == VBE_CMD_DEV_GET)
		obj = model_device(nlh);
	else if (genlmsg_parse(nlh, 0, tb, VBE_ATTR_MAX, NULL))
		return -1;
	else if (genl->cmd == VBE_CMD_QUEUE_GET)
		obj = model_queue(tb);
	else if (genl->cmd == VBE_CMD_WINDOW_GET)
		obj = model_window(tb);
	else if (genl->cmd == VBE_CMD_PROVIDER_GET)
		obj = model_provider(tb);
	if (!obj)
		return -1;
	json_object_array_add(out, obj);
	return 0;
}

static int ask(int cmd, int flags, const char *name, json_object **out, struct failure *why)
{
	struct nl_msg *msg = nl_request(cmd, flags);
	int ret;

	if (msg && name && nla_put_string(msg, VBE_ATTR_NAME, name)) {
		nlmsg_free(msg);
		msg = NULL;
	}
	*out = json_object_new_array();
	ret = nl_talk(msg, on_message, *out, why);
	if (ret) {
		json_object_put(*out);
		*out = NULL;
	}
	return ret;
}

/**
 * model_dump() - ask for all of something
 * @cmd: VBE_CMD_*_GET
 * @name: device, or NULL
 * @out: a new array
 * @why: why not
 *
 * A dump that a change overtook is asked for again.
 * Return: 0 or an errno.
 */
int model_dump(int cmd, const char *name, json_object **out, struct failure *why)
{
	int ret, tries = 0;

	do {
		ret = ask(cmd, NLM_F_DUMP, name, out, why);
	} while (ret == -EINTR && ++tries < DUMP_TRIES);
	if (ret == -EINTR) {
		ret = EAGAIN;
		why->err = ret;
		snprintf(why->text, sizeof(why->text),
			 "devices come and go faster than they can be listed");
	}
	return ret;
}

/* One device as an array of one. */
int model_get(const char *name, json_object **out, struct failure *why)
{
	return ask(VBE_CMD_DEV_GET, 0, name, out, why);
}

/* The named device, or all; complains itself. Return: exit code. */
int model_devices(const struct command *cmd, const char *name, json_object **out)
{
	struct failure why;
	int ret;

	ret = name ? model_get(name, out, &why) :
		     model_dump(VBE_CMD_DEV_GET, NULL, out, &why);
	return ret ? nl_refused(cmd, name, &why) : EXIT_OK;
}

static int append_of_device(const char *name, int nl_cmd, json_object *out,
			    struct failure *why)
{
	json_object *part;
	size_t i;
	int ret;

	ret = model_dump(nl_cmd, name, &part, why);
	if (ret)
		return ret;
	for (i = 0; i < json_object_array_length(part); i++)
		json_object_array_add(out, json_object_get(json_object_array_get_idx(part, i)));
	json_object_put(part);
	return 0;
}

/**
 * model_of_devices() - queues or windows of the named device, or of all
 * @cmd: for messages
 * @name: device, or NULL for all; one that goes away meanwhile is left out then
 * @nl_cmd: VBE_CMD_QUEUE_GET or VBE_CMD_WINDOW_GET
 * @out: a new array
 *
 * Return: exit code, with the complaint made.
 */
int model_of_devices(const struct command *cmd, const char *name, int nl_cmd,
		     json_object **out)
{
	json_object *devices;
	struct failure why;
	int ret;
	size_t i;

	ret = model_devices(cmd, name, &devices);
	if (ret)
		return ret;
	*out = json_object_new_array();
	for (i = 0; i < json_object_array_length(devices); i++) {
		const char *dev = get_string(json_object_array_get_idx(devices, i), "name");

		if (!append_of_device(dev, nl_cmd, *out, &why))
			continue;
		if (!name && why.err == ENOENT)
			continue;
		ret = nl_refused(cmd, dev, &why);
		break;
	}
	json_object_put(devices);
	if (ret)
		json_object_put(*out);
	return ret;
}
