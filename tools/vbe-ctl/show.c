// SPDX-License-Identifier: GPL-2.0
/*
 * vbe-ctl dev show, vq show, map show.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vbe-ctl.h"

static int print_array(const char *key, json_object *array)
{
	json_object *top = json_object_new_object();

	json_object_object_add(top, key, array);
	return print_json(top);
}

static const char *name_arg(const struct args *a)
{
	return a->n_pos ? a->pos[0] : NULL;
}

/* "vbe-blk[123]", or why there is none. */
static void backend_text(json_object *dev, char *buf, size_t len)
{
	json_object *backend = get(dev, "backend");
	const char *state = get_string(dev, "state");

	if (backend)
		snprintf(buf, len, "%s[%llu]%s", get_string(backend, "comm"),
			 (unsigned long long)get_u64(backend, "pid"),
			 json_object_get_boolean(get(backend, "revoked")) ? " revoked" : "");
	else
		snprintf(buf, len, "%s", strcmp(state, "lost") ? "-" : "gone");
}

/* "virtio0 /dev/vda" */
static void fe_text(json_object *dev, char *buf, size_t len)
{
	json_object *fe = get(dev, "fe");
	char *nodes;

	if (!fe) {
		snprintf(buf, len, "-");
		return;
	}
	nodes = join(get(fe, "nodes"), " ");
	snprintf(buf, len, "%s%s%s", get_string(fe, "name"), *nodes ? " " : "", nodes);
	free(nodes);
}

static const char *or_dash(const char *text)
{
	return *text ? text : "-";
}

static void device_row(struct table *t, json_object *dev)
{
	char backend[64], fe[256], size[32];

	backend_text(dev, backend, sizeof(backend));
	fe_text(dev, fe, sizeof(fe));
	format_size(get_u64(dev, "window_size"), size, sizeof(size));
	table_cell(t, "%s", get_string(dev, "name"));
	table_cell(t, "%s", or_dash(get_string(dev, "type")));
	table_cell(t, "%s", get_string(dev, "state"));
	table_cell(t, "%s", backend);
	table_cell(t, "%llu", (unsigned long long)get_u64(dev, "n_queues"));
	table_cell(t, "%s", get_u64(dev, "window_size") ? size : "-");
	table_cell(t, "%s", get_string(dev, "loss_policy"));
	table_cell(t, "%s", get_string(dev, "provider"));
	table_cell(t, "%s", fe);
}

static void devices_table(json_object *devices)
{
	static const char *const heads[] = { "NAME", "TYPE", "STATE", "BACKEND", "QUEUES",
					     "WINDOW", "ON-LOSS", "PROVIDER", "FRONT-END" };
	struct table t = { .n_columns = 9, .right = 1U << 4 | 1U << 5 };
	size_t i;

	if (!json_object_array_length(devices)) {
		puts("There are no devices. Make one with: vbe-ctl dev add NAME");
		return;
	}
	for (i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
		table_cell(&t, "%s", heads[i]);
	for (i = 0; i < json_object_array_length(devices); i++)
		device_row(&t, json_object_array_get_idx(devices, i));
	table_print(&t);
}

static void names_line(const char *what, json_object *names, const char *hex)
{
	char *text = join(names, " ");

	printf("  %-11s %s%s(%s)\n", what, text, *text ? " " : "", hex);
	free(text);
}

/* The first line answers: who serves it, is it alive? */
static void device_head(json_object *dev)
{
	const char *state = get_string(dev, "state"), *policy = get_string(dev, "loss_policy");
	char backend[64];

	backend_text(dev, backend, sizeof(backend));
	printf("%s: %s, %s", get_string(dev, "name"), or_dash(get_string(dev, "type")), state);
	if (get(dev, "backend"))
		printf(", served by %s\n", backend);
	else if (!strcmp(state, "lost"))
		printf(", its backend has gone (%s)\n", strcmp(policy, "hold") ?
		       "on loss: see below" : "the front-end waits for the next one");
	else
		puts(", no backend");
}

static void device_owner(json_object *dev)
{
	json_object *owner = get(dev, "owner");

	printf("  %-11s ", "owner");
	if (get(owner, "user"))
		fputs(get_string(owner, "user"), stdout);
	else
		printf("%llu", (unsigned long long)get_u64(owner, "uid"));
	if (get(owner, "group"))
		printf(":%s", get_string(owner, "group"));
	else if (get(owner, "gid"))
		printf(":%llu", (unsigned long long)get_u64(owner, "gid"));
	putchar('\n');
}

static void device_counters(json_object *dev)
{
	printf("  %-11s", "counters");
	json_object_object_foreach(get(dev, "stats"), key, val)
		printf(" %s %llu", key, (unsigned long long)json_object_get_uint64(val));
	putchar('\n');
}

/* What only devices of guests, and of a configuration, have. */
static void device_place(json_object *dev)
{
	const char *mode = get_string(dev, "mode");

	if (get(dev, "domid") || get(dev, "base")) {
		printf("  %-11s", "place");
		if (get(dev, "domid"))
			printf(" domid %llu", (unsigned long long)get_u64(dev, "domid"));
		if (get(dev, "base"))
			printf(" base %s", get_string(dev, "base"));
		if (get(dev, "irq"))
			printf(" irq %llu", (unsigned long long)get_u64(dev, "irq"));
		puts(json_object_get_boolean(get(dev, "grants")) ? " grants on" : "");
	}
	if (get(dev, "vdev"))
		printf("  %-11s %s\n", "vdev", get_string(dev, "vdev"));
	if (get(dev, "path"))
		printf("  %-11s %s (%s)\n", "path", get_string(dev, "path"),
		       strcmp(mode, "r") ? "read-write" : "read-only");
}

static void device_detail(json_object *dev)
{
	char fe[256], size[32], hex[16];

	fe_text(dev, fe, sizeof(fe));
	format_size(get_u64(dev, "window_size"), size, sizeof(size));
	snprintf(hex, sizeof(hex), "0x%llx", (unsigned long long)get_u64(dev, "status"));
	device_head(dev);
	printf("  %-11s %s\n", "front-end", fe);
	printf("  %-11s %s, transport %s, guest %s\n", "provider", get_string(dev, "provider"),
	       get_string(dev, "transport"), or_dash(get_string(dev, "guest")));
	device_place(dev);
	names_line("status", get(dev, "status_names"), hex);
	names_line("offered", get(dev, "feature_names"), get_string(dev, "features"));
	names_line("negotiated", get(dev, "driver_feature_names"),
		   get_string(dev, "driver_features"));
	printf("  %-11s %llu, config %llu bytes, window %s in %llu part(s)\n", "queues",
	       (unsigned long long)get_u64(dev, "n_queues"),
	       (unsigned long long)get_u64(dev, "config_size"),
	       get_u64(dev, "window_size") ? size : "-",
	       (unsigned long long)get_u64(dev, "n_windows"));
	printf("  %-11s %s, reset waits %llu ms\n", "on loss", get_string(dev, "loss_policy"),
	       (unsigned long long)get_u64(dev, "reset_timeout_ms"));
	device_owner(dev);
	device_counters(dev);
}

static void print_devices(const struct args *a, json_object *devices)
{
	json_object *dev;
	size_t i;

	if (!a->opt[OPT_NAMES] && !a->opt[OPT_VERBOSE] && !a->n_pos) {
		devices_table(devices);
		return;
	}
	for (i = 0; i < json_object_array_length(devices); i++) {
		dev = json_object_array_get_idx(devices, i);
		if (a->opt[OPT_NAMES])
			puts(get_string(dev, "name"));
		else
			device_detail(dev);
	}
}

int cmd_dev_show(const struct args *a)
{
	json_object *devices;
	int ret;

	ret = kernel_open(a->cmd);
	if (!ret)
		ret = model_devices(a->cmd, name_arg(a), &devices);
	if (ret)
		return ret;
	if (opt_json)
		return print_array("devices", devices);
	print_devices(a, devices);
	json_object_put(devices);
	return flush_out();
}

static void queue_row(struct table *t, json_object *q)
{
	json_object *stats = get(q, "stats");

	table_cell(t, "%s", get_string(q, "device"));
	table_cell(t, "%llu", (unsigned long long)get_u64(q, "index"));
	table_cell(t, "%s", json_object_get_boolean(get(q, "enabled")) ? "yes" : "no");
	table_cell(t, "%llu/%llu", (unsigned long long)get_u64(q, "size"),
		   (unsigned long long)get_u64(q, "max_size"));
	table_cell(t, "%c%c%c%c", json_object_get_boolean(get(q, "has_kick")) ? 'k' : '-',
		   json_object_get_boolean(get(q, "has_call")) ? 'c' : '-',
		   json_object_get_boolean(get(q, "kick_latched")) ? 'L' : '-',
		   json_object_get_boolean(get(q, "kick_direct")) ? 'D' : '-');
	json_object_object_foreach(stats, key, val) {
		(void)key;
		table_cell(t, "%llu", (unsigned long long)json_object_get_uint64(val));
	}
	table_cell(t, "%s", get_string(q, "desc"));
	table_cell(t, "%s", get_string(q, "driver"));
	table_cell(t, "%s", get_string(q, "device_area"));
}

static void queues_table(json_object *queues)
{
	static const char *const heads[] = { "DEVICE", "VQ", "ON", "SIZE", "FDS", "KICKS",
					     "CALLS", "LATCHED", "COALESCED", "SPURIOUS",
					     "DESC", "DRIVER", "DEVICE-AREA" };
	struct table t = { .n_columns = 13, .right = 0x3ea };
	size_t i;

	if (!json_object_array_length(queues)) {
		puts("There are no queues: no backend has described a device yet.");
		return;
	}
	for (i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
		table_cell(&t, "%s", heads[i]);
	for (i = 0; i < json_object_array_length(queues); i++)
		queue_row(&t, json_object_array_get_idx(queues, i));
	table_print(&t);
}

int cmd_vq_show(const struct args *a)
{
	json_object *queues;
	int ret;

	ret = kernel_open(a->cmd);
	if (!ret)
		ret = model_of_devices(a->cmd, name_arg(a), VBE_CMD_QUEUE_GET, &queues);
	if (ret)
		return ret;
	if (opt_json)
		return print_array("queues", queues);
	queues_table(queues);
	json_object_put(queues);
	return flush_out();
}

static void windows_table(json_object *windows)
{
	static const char *const heads[] = { "DEVICE", "FE-ADDRESS", "LENGTH", "CLASS", "ACCESS" };
	struct table t = { .n_columns = 5, .right = 1U << 1 | 1U << 2 };
	json_object *w;
	char size[32];
	size_t i;

	if (!json_object_array_length(windows)) {
		puts("There are no windows.");
		return;
	}
	for (i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
		table_cell(&t, "%s", heads[i]);
	for (i = 0; i < json_object_array_length(windows); i++) {
		w = json_object_array_get_idx(windows, i);
		format_size(get_u64(w, "len"), size, sizeof(size));
		table_cell(&t, "%s", get_string(w, "device"));
		table_cell(&t, "%s", get_string(w, "fe_addr"));
		table_cell(&t, "%s", size);
		table_cell(&t, "%s", get_string(w, "mem_class"));
		table_cell(&t, "%s", json_object_get_boolean(get(w, "readonly")) ?
				     "read-only" : "read-write");
	}
	table_print(&t);
}

int cmd_map_show(const struct args *a)
{
	json_object *windows;
	int ret;

	ret = kernel_open(a->cmd);
	if (!ret)
		ret = model_of_devices(a->cmd, name_arg(a), VBE_CMD_WINDOW_GET, &windows);
	if (ret)
		return ret;
	if (opt_json)
		return print_array("windows", windows);
	windows_table(windows);
	json_object_put(windows);
	return flush_out();
}
