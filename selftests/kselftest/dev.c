// SPDX-License-Identifier: GPL-2.0
/*
 * Devices by netlink, and what the front-end made of them.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/netlink.h>
#include <linux/vbe_netlink.h>

#include "dev.h"
#include "nl.h"
#include "util.h"

char dev_text[256];

struct dev_params dev_defaults(const char *name)
{
	struct dev_params p = {
		.name = name, .provider = "loop", .uid = NO_ID, .gid = NO_ID,
	};

	return p;
}

static int talk(struct nl *nl, struct nl_msg *m, nl_fn fn, void *arg)
{
	int ret = nl_talk(nl, m, fn, arg);

	memcpy(dev_text, nl->text, sizeof(dev_text));
	nl_close(nl);
	return ret;
}

int dev_add(const struct dev_params *p)
{
	struct nl_msg m;
	struct nl nl;
	int ret = nl_open(&nl);

	if (ret)
		return ret;
	nl_start(&nl, &m, VBE_CMD_DEV_NEW, 0);
	nl_put_str(&m, VBE_ATTR_NAME, p->name);
	nl_put_str(&m, VBE_ATTR_PROVIDER, p->provider);
	if (p->window)
		nl_put_u64(&m, VBE_ATTR_WINDOW_SIZE, p->window);
	if (p->virtio_id)
		nl_put_u32(&m, VBE_ATTR_VIRTIO_ID, p->virtio_id);
	if (p->uid != NO_ID)
		nl_put_u32(&m, VBE_ATTR_UID, p->uid);
	if (p->gid != NO_ID)
		nl_put_u32(&m, VBE_ATTR_GID, p->gid);
	if (p->reset_ms)
		nl_put_u32(&m, VBE_ATTR_RESET_TIMEOUT_MS, p->reset_ms);
	if (p->has_loss)
		nl_put_u32(&m, VBE_ATTR_LOSS_POLICY, p->loss);
	if (p->path)
		nl_put_str(&m, VBE_ATTR_PATH, p->path);
	if (p->readonly)
		nl_put(&m, VBE_ATTR_READONLY, NULL, 0);
	return talk(&nl, &m, NULL, NULL);
}

int dev_add_named(const char *name)
{
	struct dev_params p = dev_defaults(name);

	return dev_add(&p);
}

static int on_name(const char *name, uint8_t cmd, uint16_t flag_attr, uint32_t loss)
{
	struct nl_msg m;
	struct nl nl;
	int ret = nl_open(&nl);

	if (ret)
		return ret;
	nl_start(&nl, &m, cmd, 0);
	nl_put_str(&m, VBE_ATTR_NAME, name);
	if (flag_attr == VBE_ATTR_RESIZE)
		nl_put(&m, flag_attr, NULL, 0);
	else if (flag_attr)
		nl_put_u32(&m, flag_attr, loss);
	return talk(&nl, &m, NULL, NULL);
}

int dev_del(const char *name)
{
	return on_name(name, VBE_CMD_DEV_DEL, 0, 0);
}

int dev_set_loss(const char *name, uint32_t policy)
{
	return on_name(name, VBE_CMD_DEV_SET, VBE_ATTR_LOSS_POLICY, policy);
}

int dev_set_reset_ms(const char *name, uint32_t ms)
{
	return on_name(name, VBE_CMD_DEV_SET, VBE_ATTR_RESET_TIMEOUT_MS, ms);
}

int dev_resize(const char *name)
{
	return on_name(name, VBE_CMD_DEV_SET, VBE_ATTR_RESIZE, 0);
}

/* Makes the device anew, whatever a test that failed has left behind. */
int dev_fresh(const struct dev_params *p)
{
	int ret = dev_del(p->name);

	if (ret && ret != -ENOENT)
		return ret;
	return dev_add(p);
}

static const struct nlattr *inner(const struct nlattr *nest, uint16_t type)
{
	return nl_attr((const void *)((const char *)nest + NLA_HDRLEN),
		       nest->nla_len - NLA_HDRLEN, type);
}

static uint64_t get(const struct nlattr *a)
{
	return a ? nl_get_uint(a) : 0;
}

static void on_dev(void *arg, uint8_t cmd, const struct nlattr *at, size_t len)
{
	struct dev_state *st = arg;
	const struct nlattr *a;

	(void)cmd;
	st->state = get(nl_attr(at, len, VBE_ATTR_STATE));
	st->status = get(nl_attr(at, len, VBE_ATTR_STATUS));
	st->loss = get(nl_attr(at, len, VBE_ATTR_LOSS_POLICY));
	st->reset_ms = get(nl_attr(at, len, VBE_ATTR_RESET_TIMEOUT_MS));
	st->n_queues = get(nl_attr(at, len, VBE_ATTR_N_QUEUES));
	a = nl_attr(at, len, VBE_ATTR_FE_NAME);
	if (a)
		snprintf(st->fe_name, sizeof(st->fe_name), "%s", nl_get_str(a));
	a = nl_attr(at, len, VBE_ATTR_BACKEND);
	if (a)
		st->backend_pid = get(inner(a, VBE_BACKEND_ATTR_PID));
	a = nl_attr(at, len, VBE_ATTR_STATS);
	if (!a)
		return;
	st->bounded_resets = get(inner(a, VBE_STATS_ATTR_BOUNDED_RESETS));
	st->revokes = get(inner(a, VBE_STATS_ATTR_REVOKES));
	st->losses = get(inner(a, VBE_STATS_ATTR_LOSSES));
	st->events_lost = get(inner(a, VBE_STATS_ATTR_EVENTS_LOST));
	st->unanswered = get(inner(a, VBE_STATS_ATTR_UNANSWERED));
}

int dev_get(const char *name, struct dev_state *st)
{
	struct nl_msg m;
	struct nl nl;
	int ret = nl_open(&nl);

	memset(st, 0, sizeof(*st));
	if (ret)
		return ret;
	nl_start(&nl, &m, VBE_CMD_DEV_GET, 0);
	nl_put_str(&m, VBE_ATTR_NAME, name);
	return talk(&nl, &m, on_dev, st);
}

struct want {
	const char *name;
	uint32_t value;
	char *virtio;
	const char *driver;
};

static bool has_state(void *arg)
{
	const struct want *w = arg;
	struct dev_state st;

	return !dev_get(w->name, &st) && st.state == w->value;
}

bool dev_wait_state(const char *name, uint32_t state, int ms)
{
	struct want w = { .name = name, .value = state };

	return wait_until(has_state, &w, ms);
}

static bool has_status(void *arg)
{
	const struct want *w = arg;
	struct dev_state st;

	return !dev_get(w->name, &st) && (st.status & w->value) == w->value;
}

bool fe_wait_status(const char *name, uint32_t bits, int ms)
{
	struct want w = { .name = name, .value = bits };

	return wait_until(has_status, &w, ms);
}

static bool has_driver(void *arg)
{
	const struct want *w = arg;
	struct dev_state st;
	char path[128], link[256];
	ssize_t n;

	if (dev_get(w->name, &st) || !st.fe_name[0])
		return false;
	snprintf(path, sizeof(path), "/sys/bus/virtio/devices/%s/driver", st.fe_name);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0)
		return false;
	link[n] = 0;
	if (strcmp(strrchr(link, '/') + 1, w->driver))
		return false;
	strcpy(w->virtio, st.fe_name);
	return (st.status & 4) != 0;	/* DRIVER_OK: the probe has ended */
}

/* Waits until @driver has bound, and gives the name of its virtio device. */
bool fe_wait_driver(const char *name, const char *driver, char *virtio, int ms)
{
	struct want w = { .name = name, .virtio = virtio, .driver = driver };

	return wait_until(has_driver, &w, ms);
}

static bool is_gone(void *arg)
{
	return !exists(arg);
}

bool fe_wait_gone(const char *virtio, int ms)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/bus/virtio/devices/%s", virtio);
	return wait_until(is_gone, path, ms);
}

static bool has_block(void *arg)
{
	const struct want *w = arg;
	char path[128];
	struct dirent *e;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/bus/virtio/devices/%s/block", w->name);
	dir = opendir(path);
	if (!dir)
		return false;
	w->virtio[0] = 0;
	while ((e = readdir(dir)))
		if (e->d_name[0] != '.')
			snprintf(w->virtio, 32, "/dev/%.20s", e->d_name);
	closedir(dir);
	return w->virtio[0] && exists(w->virtio);
}

/* The node (32 bytes) of the disk on virtio device @virtio. */
bool fe_block(const char *virtio, char *node, int ms)
{
	struct want w = { .name = virtio, .virtio = node };

	return wait_until(has_block, &w, ms);
}

uint64_t fe_block_sectors(const char *node)
{
	char path[96], text[32];

	snprintf(path, sizeof(path), "/sys/class/block/%s/size", strrchr(node, '/') + 1);
	return read_text(path, text, sizeof(text)) < 0 ? 0 : strtoull(text, NULL, 10);
}
