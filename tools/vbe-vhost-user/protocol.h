/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 The vbe authors */
/*
 * The vhost-user protocol: numbers and layouts, as its specification has them. All numbers are in
 * the byte order of the machine.
 */
#ifndef VHOST_USER_PROTOCOL_H
#define VHOST_USER_PROTOCOL_H

#include <stdint.h>

#define VU_VERSION_MASK		0x3u
#define VU_VERSION		0x1u
#define VU_FLAG_REPLY		(1u << 2)
#define VU_FLAG_NEED_REPLY	(1u << 3)

/* Front-end requests. */
enum vu_request {
	VU_GET_FEATURES = 1,
	VU_SET_FEATURES = 2,
	VU_SET_OWNER = 3,
	VU_RESET_OWNER = 4,
	VU_SET_MEM_TABLE = 5,
	VU_SET_VRING_NUM = 8,
	VU_SET_VRING_ADDR = 9,
	VU_SET_VRING_BASE = 10,
	VU_GET_VRING_BASE = 11,
	VU_SET_VRING_KICK = 12,
	VU_SET_VRING_CALL = 13,
	VU_SET_VRING_ERR = 14,
	VU_GET_PROTOCOL_FEATURES = 15,
	VU_SET_PROTOCOL_FEATURES = 16,
	VU_GET_QUEUE_NUM = 17,
	VU_SET_VRING_ENABLE = 18,
	VU_SET_BACKEND_REQ_FD = 21,
	VU_GET_CONFIG = 24,
	VU_SET_CONFIG = 25,
	VU_GET_INFLIGHT_FD = 31,
	VU_SET_INFLIGHT_FD = 32,
	VU_RESET_DEVICE = 34,
	VU_GET_MAX_MEM_SLOTS = 36,
	VU_ADD_MEM_REG = 37,
	VU_REM_MEM_REG = 38,
	VU_SET_STATUS = 39,
	VU_GET_STATUS = 40,
	VU_REQUEST_MAX,
};

/* Back-end requests. */
#define VU_BACKEND_CONFIG_CHANGE	2u

/* The virtio feature bit by which a back-end says that it has protocol features. */
#define VU_F_PROTOCOL_FEATURES		(1ull << 30)
/* Not virtio's, either: dirty logging for live migration, which is not offered. */
#define VU_F_LOG_ALL			(1ull << 26)

#define VU_PROTOCOL_F_MQ		(1ull << 0)
#define VU_PROTOCOL_F_REPLY_ACK		(1ull << 3)
#define VU_PROTOCOL_F_BACKEND_REQ	(1ull << 5)
#define VU_PROTOCOL_F_CONFIG		(1ull << 9)
#define VU_PROTOCOL_F_INFLIGHT_SHMFD	(1ull << 12)
#define VU_PROTOCOL_F_RESET_DEVICE	(1ull << 13)
#define VU_PROTOCOL_F_MEM_SLOTS		(1ull << 15)
#define VU_PROTOCOL_F_STATUS		(1ull << 16)

#define VU_MAX_REGIONS		8u	/* of one SET_MEM_TABLE */
#define VU_MAX_CONFIG		256u	/* bytes of one GET_CONFIG or SET_CONFIG */
#define VU_MAX_FDS		8u	/* of one message */

#define VU_VRING_INDEX_MASK	0xffull
#define VU_VRING_NOFD		(1ull << 8)

struct vu_header {
	uint32_t request;
	uint32_t flags;
	uint32_t size;
};

struct vu_vring_state {
	uint32_t index;
	uint32_t num;
};

struct vu_vring_addr {
	uint32_t index;
	uint32_t flags;
	uint64_t desc;
	uint64_t used;
	uint64_t avail;
	uint64_t log;
};

struct vu_region {
	uint64_t guest_addr;
	uint64_t size;
	uint64_t user_addr;
	uint64_t mmap_offset;
};

struct vu_mem_table {
	uint32_t n_regions;
	uint32_t padding;
	struct vu_region regions[VU_MAX_REGIONS];
};

struct vu_mem_reg {
	uint64_t padding;
	struct vu_region region;
};

#define VU_CONFIG_HEADER	12u	/* bytes before the data */

struct vu_config {
	uint32_t offset;
	uint32_t size;
	uint32_t flags;
	uint8_t data[VU_MAX_CONFIG];
};

#define VU_INFLIGHT_MIN		20u	/* some pad it to eight bytes, some do not */

struct vu_inflight {
	uint64_t mmap_size;
	uint64_t mmap_offset;
	uint16_t num_queues;
	uint16_t queue_size;
};

union vu_payload {
	uint64_t u64;
	struct vu_vring_state state;
	struct vu_vring_addr addr;
	struct vu_mem_table table;
	struct vu_mem_reg region;
	struct vu_config config;
	struct vu_inflight inflight;
};

#endif /* VHOST_USER_PROTOCOL_H */
