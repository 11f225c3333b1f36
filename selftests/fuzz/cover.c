// SPDX-License-Identifier: GPL-2.0
/*
 * What was reached, and what must be.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <linux/vbe_guest.h>

#include "cover.h"

#define OUTCOMES	140	/* 0 and errnos */
#define THINGS		128
#define NEEDS		12
#define END		0xffff

static uint32_t outcomes[CALLS][OUTCOMES];
static uint32_t things[GROUPS][THINGS];

/* The outcomes that each call must have had; 0 is success. */
static const struct {
	const char *name;
	uint16_t need[NEEDS];
} calls[CALLS] = {
	[CALL_GUEST_NEW] = { "GUEST_NEW", { 0, EINVAL, END } },
	[CALL_DEV_ADD] = { "GUEST_DEV_ADD", { 0, EEXIST, EINVAL, ENOENT, ENODEV, END } },
	[CALL_DEV_DEL] = { "GUEST_DEV_DEL", { 0, ENOENT, END } },
	[CALL_DEV_INFO] = { "GUEST_DEV_INFO", { 0, ENOENT, END } },
	[CALL_MEM_ADD] = { "GUEST_MEM_ADD", { 0, EEXIST, EINVAL, EBADF, ENODEV, END } },
	[CALL_MEM_DEL] = { "GUEST_MEM_DEL", { 0, ENOENT, EINVAL, END } },
	[CALL_ACCESS] = { "GUEST_ACCESS", { 0, ENOENT, EINVAL, ENODEV, END } },
	[CALL_SET_FD] = { "GUEST_SET_FD", { 0, ENOENT, EINVAL, EBADF, END } },
	[CALL_QUEUE_INFO] = { "GUEST_QUEUE_INFO", { 0, ENOENT, END } },
	[CALL_QUEUE_SET] = { "GUEST_QUEUE_SET",
			     { 0, EINVAL, EFAULT, EBUSY, ENOENT, ENOTCONN, END } },
	[CALL_QUEUE_STOP] = { "GUEST_QUEUE_SET to stop", { 0, ENOENT, END } },
	[CALL_FEATURES] = { "GUEST_FEATURES", { 0, ENOENT, ENOTCONN, EOPNOTSUPP, END } },
	[CALL_STATUS] = { "GUEST_STATUS", { 0, EINVAL, ENOENT, ENOTCONN, EOPNOTSUPP, END } },
	[CALL_CONFIG] = { "GUEST_CONFIG", { 0, EINVAL, EFAULT, ENOENT, ENOTCONN, END } },
	[CALL_KICK] = { "GUEST_KICK", { 0, ENOENT, ENOTCONN, EOPNOTSUPP, END } },
	[CALL_INFLIGHT] = { "GUEST_INFLIGHT", { EINVAL, ENOTCONN, END } },
	[CALL_EOI] = { "GUEST_EOI", { 0, ENOENT, END } },
	[CALL_DIE] = { "GUEST_DIE", { 0, EINVAL, END } },
	[CALL_READ] = { "read() of a guest fd", { 0, EAGAIN, EINVAL, EFAULT, END } },
	[CALL_GARBAGE] = { "random structs", { EINVAL, E2BIG, EFAULT, ENOTTY, END } },
	[CALL_NL_DEL] = { "netlink dev del", { 0, ENOENT, END } },
	[CALL_BE_OPEN] = { "DEV_OPEN", { 0, ENOENT, EBUSY, END } },
	[CALL_BE_SETUP] = { "DEV_SETUP", { 0, EINVAL, ENODEV, END } },
	[CALL_BE_ONLINE] = { "DEV_ONLINE", { 0, EINVAL, ENODEV, END } },
	[CALL_BE_OFFLINE] = { "DEV_OFFLINE", { 0, EINVAL, EOPNOTSUPP, END } },
	[CALL_BE_QUEUE_FDS] = { "QUEUE_SET_FDS", { 0, EINVAL, ENODEV, END } },
	[CALL_BE_KICK_FD] = { "QUEUE_KICK_FD", { 0, ENOENT, END } },
	[CALL_BE_QUEUE_CALL] = { "QUEUE_CALL", { 0, EINVAL, ENODEV, END } },
	[CALL_BE_COMPLETE] = { "COMPLETE", { 0, ENOENT, ENODEV, END } },
	[CALL_BE_CONFIG_READ] = { "CONFIG_READ", { 0, EINVAL, END } },
	[CALL_BE_CONFIG_WRITE] = { "CONFIG_WRITE", { 0, EINVAL, END } },
	[CALL_BE_MEM_QUERY] = { "MEM_QUERY", { 0, ENOENT, ENODEV, END } },
	[CALL_BE_MEM_COPY] = { "MEM_COPY", { 0, EINVAL, ENODEV, END } },
	[CALL_BE_MEM_MAP] = { "MEM_MAP", { 0, EINVAL, EFAULT, ENODEV, END } },
	[CALL_BE_MEM_UNMAP] = { "MEM_UNMAP", { 0, EINVAL, EFAULT, ENODEV, END } },
	[CALL_BE_MEM_RANGE] = { "range of MEM_MAP or MEM_UNMAP", { 0, EINVAL, EFAULT, END } },
	[CALL_BE_MEM_FD] = { "MEM_FD", { 0, ENODEV, END } },
	[CALL_BE_MMAP] = { "mmap", { 0, END } },
	[CALL_BE_RAW_REGION] = { "RAW_REGION", { 0, EINVAL, EEXIST, END } },
	[CALL_BE_RAW_MATCH] = { "RAW_MATCH", { 0, EINVAL, EEXIST, ENOENT, END } },
	[CALL_BE_RAW_IRQ] = { "RAW_IRQ", { 0, EINVAL, END } },
};

static const struct {
	const char *name;
	uint16_t need[80];
} groups[GROUPS] = {
	[SEEN_MMIO_READ] = { "mmio register read",
			     { 0, 1, 2, 3, 4, 13, 17, 24, 28, 44, 45, 46, 47, 48, 63, 64, END } },
	[SEEN_MMIO_WRITE] = { "mmio register written",
			      { 5, 8, 9, 12, 14, 17, 20, 25, 28, 32, 33, 36, 37, 40, 41, 43, 48,
				64, END } },
	[SEEN_PCI_CONFIG_READ] = { "pci config read",
				   { 0, 1, 2, 3, 4, 5, 6, 9, 11, 13, 15, 16, 20, 38, 39, 40, 64,
				     END } },
	[SEEN_PCI_CONFIG_WRITE] = { "pci config written", { 0, 1, 3, 4, 5, 15, 34, 38, 39, END } },
	[SEEN_PCI_COMMON_READ] = { "pci common read",
				   { 0, 2, 4, 6, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 20, 22, 24,
				     26, 28, 29, END } },
	[SEEN_PCI_COMMON_WRITE] = { "pci common written",
				    { 0, 4, 6, 8, 10, 11, 12, 13, 14, 16, 18, 20, 22, 24, 26, 29,
				      END } },
	[SEEN_PCI_BAR_READ] = { "pci BAR read", { 0, 1, 2, 3, 4, 6, 7, END } },
	[SEEN_PCI_BAR_WRITE] = { "pci BAR written", { 0, 1, 2, 3, 4, 6, 7, END } },
	[SEEN_RAW] = { "raw access", { 0, 1, 2, 3, 4, 5, END } },
	[SEEN_STATUS] = { "device status",
			  { SEEN_DIRECT * 16 + 0, SEEN_DIRECT * 16 + 11, SEEN_DIRECT * 16 + 15,
			    SEEN_MMIO * 16 + 0, SEEN_MMIO * 16 + 11, SEEN_MMIO * 16 + 15,
			    SEEN_PCI * 16 + 0, SEEN_PCI * 16 + 11, SEEN_PCI * 16 + 15, END } },
	[SEEN_GUEST_EVENT] = { "guest event",
			       { VBE_GUEST_EVENT_STATE, VBE_GUEST_EVENT_LINE, VBE_GUEST_EVENT_MSI,
				 VBE_GUEST_EVENT_CALL, VBE_GUEST_EVENT_CONFIG,
				 VBE_GUEST_EVENT_VECTOR, VBE_GUEST_EVENT_REGION,
				 VBE_GUEST_EVENT_GONE, END } },
	[SEEN_BACKEND_EVENT] = { "backend event",
				 { VBE_EVENT_FEATURES, VBE_EVENT_STATUS, VBE_EVENT_RESET,
				   VBE_EVENT_CONFIG, VBE_EVENT_QUEUE, VBE_EVENT_MEM,
				   VBE_EVENT_REVOKED, VBE_EVENT_GONE, VBE_EVENT_QUEUE_STOP,
				   VBE_EVENT_KICK_FD, VBE_EVENT_ACCESS, END } },
	[SEEN_ACCESS] = { "access",
			  { ACCESS_ANSWERED, ACCESS_PENDING, ACCESS_RESUMED, ACCESS_ABANDONED,
			    ACCESS_STALE_COOKIE, END } },
};

int cover(enum call call, int ret)
{
	int outcome = ret < 0 ? -ret : 0;

	if (outcome < OUTCOMES)
		__atomic_fetch_add(&outcomes[call][outcome], 1, __ATOMIC_RELAXED);
	return ret;
}

void seen(enum group group, uint32_t what)
{
	if (what < THINGS)
		__atomic_fetch_add(&things[group][what], 1, __ATOMIC_RELAXED);
}

uint32_t times_seen(enum group group, uint32_t what)
{
	return __atomic_load_n(&things[group][what], __ATOMIC_RELAXED);
}

uint32_t cover_missing(bool say)
{
	uint32_t missing = 0, i;
	const uint16_t *need;

	for (i = 0; i < CALLS; i++) {
		for (need = calls[i].need; *need != END; need++) {
			if (outcomes[i][*need])
				continue;
			missing++;
			if (say)
				printf("# never: %s: %s\n", calls[i].name,
				       *need ? strerror(*need) : "success");
		}
	}
	for (i = 0; i < GROUPS; i++) {
		for (need = groups[i].need; *need != END; need++) {
			if (things[i][*need])
				continue;
			missing++;
			if (say)
				printf("# never: %s %u\n", groups[i].name, *need);
		}
	}
	return missing;
}

void cover_print(void)
{
	uint32_t i, j;

	for (i = 0; i < CALLS; i++) {
		printf("# %s:", calls[i].name);
		for (j = 0; j < OUTCOMES; j++)
			if (outcomes[i][j])
				printf(" %s=%u", j ? strerrorname_np(j) : "done", outcomes[i][j]);
		printf("\n");
	}
	for (i = 0; i < GROUPS; i++) {
		printf("# %s:", groups[i].name);
		for (j = 0; j < THINGS; j++)
			if (things[i][j])
				printf(" %u=%u", j, things[i][j]);
		printf("\n");
	}
}
