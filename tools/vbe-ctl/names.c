// SPDX-License-Identifier: GPL-2.0
/*
 * Names of what the kernel gives as numbers.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * The names of virtio features are those of the virtio specification, in lower
 * case and without prefix; so are the bits.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vbe-ctl.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct name {
	uint32_t val;
	const char *name;
};

static const char *const states[] = {
	[VBE_DEV_EMPTY] = "empty",
	[VBE_DEV_READY] = "ready",
	[VBE_DEV_ONLINE] = "online",
	[VBE_DEV_LOST] = "lost",
	[VBE_DEV_OFFLINING] = "offlining",
	[VBE_DEV_DEAD] = "dead",
};

const char *const policy_names[] = {
	[VBE_LOSS_HOLD] = "hold",
	[VBE_LOSS_RESET] = "reset",
	[VBE_LOSS_FAIL] = "fail",
	NULL
};

static const char *const classes[] = {
	[VBE_MEM_PINNED] = "pinned",
	[VBE_MEM_PFN] = "pfn",
	[VBE_MEM_COPY] = "copy",
};

static const char *const events[] = {
	[VBE_DEV_EVENT_NEW] = "new",
	[VBE_DEV_EVENT_DEL] = "del",
	[VBE_DEV_EVENT_STATE] = "state",
	[VBE_DEV_EVENT_ATTACH] = "attach",
	[VBE_DEV_EVENT_DETACH] = "detach",
	[VBE_DEV_EVENT_LOSS] = "loss",
	[VBE_DEV_EVENT_REVOKE] = "revoke",
	[VBE_DEV_EVENT_BOUNDED_RESET] = "bounded-reset",
	[VBE_DEV_EVENT_STATUS] = "status",
};

static const char *const attrs[] = {
	[VBE_ATTR_NAME] = "name",
	[VBE_ATTR_ID] = "id",
	[VBE_ATTR_PROVIDER] = "provider",
	[VBE_ATTR_TRANSPORT] = "transport",
	[VBE_ATTR_GUEST] = "guest",
	[VBE_ATTR_WINDOW_SIZE] = "window-size",
	[VBE_ATTR_VIRTIO_ID] = "virtio-id",
	[VBE_ATTR_UID] = "uid",
	[VBE_ATTR_GID] = "gid",
	[VBE_ATTR_LOSS_POLICY] = "loss-policy",
	[VBE_ATTR_RESET_TIMEOUT_MS] = "reset-timeout-ms",
	[VBE_ATTR_RESIZE] = "resize",
	[VBE_ATTR_GUEST_ID] = "guest-id (domid)",
	[VBE_ATTR_BASE] = "base",
	[VBE_ATTR_IRQ] = "irq",
	[VBE_ATTR_GRANTS] = "grants",
	[VBE_ATTR_PATH] = "path",
	[VBE_ATTR_READONLY] = "readonly",
};

/* The types that people name; rows of type_names and type_ids go together. */
const char *const type_names[] = {
	"net", "blk", "console", "rng", "balloon", "scsi", "9p", "gpu", "input", "vsock",
	"crypto", "iommu", "mem", "sound", "fs", "pmem", "i2c", "bt", "gpio", NULL
};

static const uint32_t type_ids[] = {
	1, 2, 3, 4, 5, 8, 9, 16, 18, 19,
	20, 23, 24, 25, 26, 27, 34, 40, 41
};

static const struct name blk_features[] = {
	{ 0, "barrier" }, { 1, "size_max" }, { 2, "seg_max" }, { 4, "geometry" }, { 5, "ro" },
	{ 6, "blk_size" }, { 7, "scsi" }, { 9, "flush" }, { 10, "topology" },
	{ 11, "config_wce" }, { 12, "mq" }, { 13, "discard" }, { 14, "write_zeroes" },
	{ 15, "lifetime" }, { 16, "secure_erase" }, { 17, "zoned" }, { 0, NULL }
};

static const struct name net_features[] = {
	{ 0, "csum" }, { 1, "guest_csum" }, { 2, "ctrl_guest_offloads" }, { 3, "mtu" },
	{ 5, "mac" }, { 6, "gso" }, { 7, "guest_tso4" }, { 8, "guest_tso6" },
	{ 9, "guest_ecn" }, { 10, "guest_ufo" }, { 11, "host_tso4" }, { 12, "host_tso6" },
	{ 13, "host_ecn" }, { 14, "host_ufo" }, { 15, "mrg_rxbuf" }, { 16, "status" },
	{ 17, "ctrl_vq" }, { 18, "ctrl_rx" }, { 19, "ctrl_vlan" }, { 20, "ctrl_rx_extra" },
	{ 21, "guest_announce" }, { 22, "mq" }, { 23, "ctrl_mac_addr" },
	{ 50, "device_stats" }, { 52, "vq_notf_coal" }, { 53, "notf_coal" },
	{ 54, "guest_uso4" }, { 55, "guest_uso6" }, { 56, "host_uso" },
	{ 57, "hash_report" }, { 59, "guest_hdrlen" }, { 60, "rss" }, { 61, "rsc_ext" },
	{ 62, "standby" }, { 63, "speed_duplex" }, { 0, NULL }
};

static const struct name console_features[] = {
	{ 0, "size" }, { 1, "multiport" }, { 2, "emerg_write" }, { 0, NULL }
};

static const struct name ring_features[] = {
	{ 24, "notify_on_empty" }, { 27, "any_layout" }, { 28, "indirect_desc" },
	{ 29, "event_idx" }, { 32, "version_1" }, { 33, "access_platform" },
	{ 34, "ring_packed" }, { 35, "in_order" }, { 36, "order_platform" },
	{ 37, "sr_iov" }, { 38, "notification_data" }, { 39, "notif_config_data" },
	{ 40, "ring_reset" }, { 41, "admin_vq" }, { 0, NULL }
};

static const struct name status_bits[] = {
	{ 0, "acknowledge" }, { 1, "driver" }, { 2, "driver_ok" }, { 3, "features_ok" },
	{ 4, "suspend" }, { 6, "needs_reset" }, { 7, "failed" }, { 0, NULL }
};

static const char *lookup(const char *const *table, size_t n, uint32_t val)
{
	return val < n && table[val] ? table[val] : "unknown";
}

const char *state_name(uint32_t state)
{
	return lookup(states, COUNT(states), state);
}

const char *policy_name(uint32_t policy)
{
	return lookup(policy_names, COUNT(policy_names), policy);
}

const char *class_name(uint32_t mem_class)
{
	return lookup(classes, COUNT(classes), mem_class);
}

const char *event_name(uint32_t event)
{
	return lookup(events, COUNT(events), event);
}

const char *attr_name(int attr)
{
	return attr > 0 ? lookup(attrs, COUNT(attrs), attr) : "unknown";
}

int policy_of(const char *name)
{
	int i;

	for (i = 0; policy_names[i]; i++)
		if (!strcmp(policy_names[i], name))
			return i;
	return -1;
}

/* A known name, or a number; 0 for neither. */
uint32_t type_of(const char *name)
{
	const char *why;
	uint32_t val;
	size_t i;

	for (i = 0; type_names[i]; i++)
		if (!strcmp(type_names[i], name))
			return type_ids[i];
	if (!isdigit((unsigned char)*name) || parse_u32(name, &val, &why))
		return 0;
	return val;
}

const char *type_name(uint32_t virtio_id, char *buf, size_t len)
{
	size_t i;

	for (i = 0; type_names[i]; i++)
		if (type_ids[i] == virtio_id)
			return type_names[i];
	snprintf(buf, len, "virtio-id-%u", virtio_id);
	return buf;
}

static const struct name *features_of(uint32_t virtio_id)
{
	static const struct name none[] = { { 0, NULL } };

	switch (virtio_id) {
	case 1:
		return net_features;
	case 2:
		return blk_features;
	case 3:
		return console_features;
	default:
		return none;
	}
}

static const char *bit_name(const struct name *table, uint32_t bit)
{
	for (; table->name; table++)
		if (table->val == bit)
			return table->name;
	return NULL;
}

static json_object *bit_names(const struct name *first, const struct name *second,
			      uint64_t bits)
{
	json_object *names = json_object_new_array();
	const char *name;
	char buf[16];
	uint32_t i;

	for (i = 0; i < 64; i++) {
		if (!(bits & (1ULL << i)))
			continue;
		name = bit_name(first, i);
		if (!name && second)
			name = bit_name(second, i);
		if (!name) {
			snprintf(buf, sizeof(buf), "bit_%u", i);
			name = buf;
		}
		json_object_array_add(names, json_object_new_string(name));
	}
	return names;
}

json_object *status_names(uint32_t status)
{
	return bit_names(status_bits, NULL, status);
}

json_object *feature_names(uint32_t virtio_id, uint64_t features)
{
	return bit_names(features_of(virtio_id), ring_features, features);
}
