// SPDX-License-Identifier: GPL-2.0
/*
 * vbe-ctl stats: counters, once or as rates.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "vbe-ctl.h"

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* So that JSON does not show digits that mean nothing; @format is a literal. */
static json_object *new_double(double val, const char *format)
{
	json_object *obj = json_object_new_double(val);

	json_object_set_serializer(obj, json_object_double_to_json_string, (void *)format, NULL);
	return obj;
}

static json_object *queue_stats(json_object *queues, const char *device)
{
	json_object *out = json_object_new_array(), *one, *q;
	size_t i;

	for (i = 0; i < json_object_array_length(queues); i++) {
		q = json_object_array_get_idx(queues, i);
		if (strcmp(get_string(q, "device"), device))
			continue;
		one = json_object_new_object();
		add_u64(one, "index", get_u64(q, "index"));
		json_object_object_add(one, "kick_direct", json_object_get(get(q, "kick_direct")));
		json_object_object_add(one, "counters", json_object_get(get(q, "stats")));
		json_object_object_add(one, "rates", NULL);
		json_object_array_add(out, one);
	}
	return out;
}

/* [{ device, id, counters, queues: [{ index, counters }] }] */
static int sample(const struct args *a, json_object **out)
{
	const char *name = a->n_pos ? a->pos[0] : NULL;
	json_object *devices, *queues, *dev, *one;
	size_t i;
	int ret;

	ret = model_devices(a->cmd, name, &devices);
	if (ret)
		return ret;
	ret = model_of_devices(a->cmd, name, VBE_CMD_QUEUE_GET, &queues);
	if (ret) {
		json_object_put(devices);
		return ret;
	}
	*out = json_object_new_array();
	for (i = 0; i < json_object_array_length(devices); i++) {
		dev = json_object_array_get_idx(devices, i);
		one = json_object_new_object();
		add_string(one, "device", get_string(dev, "name"));
		add_u64(one, "id", get_u64(dev, "id"));
		json_object_object_add(one, "counters", json_object_get(get(dev, "stats")));
		json_object_object_add(one, "rates", NULL);
		json_object_object_add(one, "queues",
				       queue_stats(queues, get_string(dev, "name")));
		json_object_array_add(*out, one);
	}
	json_object_put(devices);
	json_object_put(queues);
	return EXIT_OK;
}

/* The member of @array whose @key is that of @like. */
static json_object *same(json_object *array, json_object *like, const char *key)
{
	json_object *one;
	size_t i;

	for (i = 0; array && i < json_object_array_length(array); i++) {
		one = json_object_array_get_idx(array, i);
		if (get_u64(one, key) == get_u64(like, key))
			return one;
	}
	return NULL;
}

/* A counter that went back began anew: its value is the change. */
static void add_rates(json_object *cur, json_object *old, double seconds)
{
	json_object *rates = json_object_new_object();
	json_object *before = old ? get(old, "counters") : NULL;
	uint64_t was, is;

	json_object_object_foreach(get(cur, "counters"), key, val) {
		was = before ? get_u64(before, key) : 0;
		is = json_object_get_uint64(val);
		is = is >= was ? is - was : is;
		json_object_object_add(rates, key, new_double(is / seconds, "%.1f"));
	}
	json_object_object_add(cur, "rates", rates);
}

static void add_all_rates(json_object *cur, json_object *old, double seconds)
{
	json_object *dev, *old_dev, *queues, *q;
	size_t i, j;

	for (i = 0; i < json_object_array_length(cur); i++) {
		dev = json_object_array_get_idx(cur, i);
		old_dev = same(old, dev, "id");
		add_rates(dev, old_dev, seconds);
		queues = get(dev, "queues");
		for (j = 0; j < json_object_array_length(queues); j++) {
			q = json_object_array_get_idx(queues, j);
			add_rates(q, old_dev ? same(get(old_dev, "queues"), q, "index") : NULL,
				  seconds);
		}
	}
}

static void counter_cells(struct table *t, json_object *one, const char *const *keys, size_t n)
{
	json_object *rates = get(one, "rates");
	size_t i;

	for (i = 0; i < n; i++)
		if (rates)
			table_cell(t, "%.0f", json_object_get_double(get(rates, keys[i])));
		else
			table_cell(t, "%llu", (unsigned long long)
				   get_u64(get(one, "counters"), keys[i]));
}

static void counter_heads(struct table *t, const char *const *keys, size_t n)
{
	char head[32];
	size_t i, j;

	for (i = 0; i < n; i++) {
		for (j = 0; keys[i][j] && j < sizeof(head) - 1; j++)
			head[j] = keys[i][j] == '_' ? '-' : toupper((unsigned char)keys[i][j]);
		head[j] = '\0';
		table_cell(t, "%s", head);
	}
}

static void print_device_counters(json_object *stats, const char *unit)
{
	static const char *const keys[] = { "accesses", "maps", "faults", "copies", "revokes",
					    "bounded_resets", "losses", "events_lost",
					    "unanswered" };
	const size_t n = sizeof(keys) / sizeof(keys[0]);
	struct table t = { .n_columns = n + 1, .right = 0x3fe };
	json_object *dev;
	size_t i;

	table_cell(&t, "DEVICE%s", unit);
	counter_heads(&t, keys, n);
	for (i = 0; i < json_object_array_length(stats); i++) {
		dev = json_object_array_get_idx(stats, i);
		table_cell(&t, "%s", get_string(dev, "device"));
		counter_cells(&t, dev, keys, n);
	}
	table_print(&t);
}

static void print_queue_counters(json_object *stats, const char *unit)
{
	static const char *const keys[] = { "kicks", "calls", "latched", "coalesced", "spurious" };
	const size_t n = sizeof(keys) / sizeof(keys[0]);
	struct table t = { .n_columns = n + 2, .right = 0x7e };
	json_object *dev, *queues, *q;
	size_t i, j;

	table_cell(&t, "DEVICE%s", unit);
	table_cell(&t, "VQ");
	counter_heads(&t, keys, n);
	for (i = 0; i < json_object_array_length(stats); i++) {
		dev = json_object_array_get_idx(stats, i);
		queues = get(dev, "queues");
		for (j = 0; j < json_object_array_length(queues); j++) {
			q = json_object_array_get_idx(queues, j);
			table_cell(&t, "%s", get_string(dev, "device"));
			table_cell(&t, "%llu", (unsigned long long)get_u64(q, "index"));
			/* Kicks that come without passing vbe are not counted. */
			if (json_object_get_boolean(get(q, "kick_direct"))) {
				table_cell(&t, "direct");
				counter_cells(&t, q, keys + 1, n - 1);
			} else {
				counter_cells(&t, q, keys, n);
			}
		}
	}
	table_print(&t);
}

static int print_sample(const struct args *a, json_object *stats, double seconds)
{
	const char *unit = seconds > 0 ? " (PER SECOND)" : "";
	json_object *top;

	if (opt_json) {
		top = json_object_new_object();
		json_object_object_add(top, "interval_s", seconds > 0 ?
				       new_double(seconds, "%.3f") : NULL);
		json_object_object_add(top, "stats", json_object_get(stats));
		return print_json(top);
	}
	if (!json_object_array_length(stats)) {
		puts("There are no devices.");
		return flush_out();
	}
	print_device_counters(stats, unit);
	putchar('\n');
	print_queue_counters(stats, unit);
	if (a->opt[OPT_INTERVAL])
		putchar('\n');
	return flush_out();
}

static int parse_options(const struct args *a, double *interval, uint32_t *count)
{
	const char *why, *text = a->opt[OPT_INTERVAL];
	char *end;

	*interval = 0;
	*count = 0;
	if (text) {
		errno = 0;
		*interval = strtod(text, &end);
		if (errno || end == text || *end || !(*interval >= 0.01 && *interval <= 86400))
			return usage_error(a->cmd, "--interval '%s': write seconds, 0.01 to 86400",
					   text);
	}
	text = a->opt[OPT_COUNT];
	if (text && (parse_u32(text, count, &why) || !*count))
		return usage_error(a->cmd, "--count '%s': write a whole number from 1 on", text);
	if (!*interval && *count > 1)
		*interval = 1;
	return EXIT_OK;
}

static void wait_until(double moment)
{
	struct timespec ts = { .tv_sec = (time_t)moment };

	ts.tv_nsec = (long)((moment - (double)ts.tv_sec) * 1e9);
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
		;
}

int cmd_stats(const struct args *a)
{
	json_object *old = NULL, *cur;
	double interval, last = 0, moment, next;
	uint32_t count, n = 0;
	int ret;

	ret = parse_options(a, &interval, &count);
	if (!ret)
		ret = kernel_open(a->cmd);
	next = now();
	while (!ret) {
		ret = sample(a, &cur);
		if (ret)
			break;
		moment = now();
		if (old)
			add_all_rates(cur, old, moment - last);
		ret = print_sample(a, cur, old ? moment - last : 0);
		json_object_put(old);
		old = cur;
		last = moment;
		if (!interval || (count && ++n == count))
			break;
		next = next + interval > moment ? next + interval : moment + interval;
		wait_until(next);
	}
	json_object_put(old);
	return ret;
}
