/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What was reached: each call with each of its outcomes, each register, each event. A
 * fuzzer that no longer reaches something fails.
 *
 * Copyright (c) 2026 The vbe authors
 */
#ifndef VBE_FUZZ_COVER_H
#define VBE_FUZZ_COVER_H

#include <stdbool.h>
#include <stdint.h>

enum call {
	CALL_GUEST_NEW,
	CALL_DEV_ADD,
	CALL_DEV_DEL,
	CALL_DEV_INFO,
	CALL_MEM_ADD,
	CALL_MEM_DEL,
	CALL_ACCESS,
	CALL_SET_FD,
	CALL_QUEUE_INFO,
	CALL_QUEUE_SET,
	CALL_QUEUE_STOP,
	CALL_FEATURES,
	CALL_STATUS,
	CALL_CONFIG,
	CALL_KICK,
	CALL_INFLIGHT,
	CALL_EOI,
	CALL_DIE,
	CALL_READ,
	CALL_GARBAGE,
	CALL_NL_DEL,
	CALL_BE_OPEN,
	CALL_BE_SETUP,
	CALL_BE_ONLINE,
	CALL_BE_OFFLINE,
	CALL_BE_QUEUE_FDS,
	CALL_BE_KICK_FD,
	CALL_BE_QUEUE_CALL,
	CALL_BE_COMPLETE,
	CALL_BE_CONFIG_READ,
	CALL_BE_CONFIG_WRITE,
	CALL_BE_MEM_QUERY,
	CALL_BE_MEM_COPY,
	CALL_BE_MEM_MAP,
	CALL_BE_MEM_UNMAP,
	CALL_BE_MEM_RANGE,
	CALL_BE_MEM_FD,
	CALL_BE_MMAP,
	CALL_BE_RAW_REGION,
	CALL_BE_RAW_MATCH,
	CALL_BE_RAW_IRQ,
	CALLS,
};

enum group {
	SEEN_MMIO_READ,		/* register offset / 4 */
	SEEN_MMIO_WRITE,
	SEEN_PCI_CONFIG_READ,	/* offset / 4 */
	SEEN_PCI_CONFIG_WRITE,
	SEEN_PCI_COMMON_READ,	/* offset / 2 */
	SEEN_PCI_COMMON_WRITE,
	SEEN_PCI_BAR_READ,	/* offset / 4 KiB */
	SEEN_PCI_BAR_WRITE,
	SEEN_RAW,		/* space * 2 + store */
	SEEN_STATUS,		/* transport * 16 + four low bits of device status */
	SEEN_GUEST_EVENT,	/* type */
	SEEN_BACKEND_EVENT,	/* type */
	SEEN_ACCESS,		/* &enum seen_access */
	GROUPS,
};

enum seen_access {
	ACCESS_ANSWERED,
	ACCESS_PENDING,
	ACCESS_RESUMED,
	ACCESS_ABANDONED,
	ACCESS_STALE_COOKIE,
};

enum seen_transport {
	SEEN_DIRECT,
	SEEN_MMIO,
	SEEN_PCI,
};

/* Count, and give @ret back: 0 or more, or a negative errno. */
int cover(enum call call, int ret);
void seen(enum group group, uint32_t what);
uint32_t times_seen(enum group group, uint32_t what);
/* How much of what must be reached was not; with @say, what. */
uint32_t cover_missing(bool say);
void cover_print(void);

#endif /* VBE_FUZZ_COVER_H */
