/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What Xen says of IOREQ servers and device model operations.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * Linux has only the outer shape of dm_op, and struct ioreq in newer kernels only. This
 * ABI is stable from Xen 4.17 on, in Xen's tree public/hvm/dm_op.h and public/hvm/ioreq.h.
 */
#ifndef VBE_XEN_ABI_H
#define VBE_XEN_ABI_H

#include <linux/build_bug.h>
#include <linux/types.h>

/* ---- dm_op --------------------------------------------------------------------- */

enum {
	DMOP_CREATE_IOREQ_SERVER = 1,
	DMOP_MAP_IO_RANGE = 3,
	DMOP_UNMAP_IO_RANGE = 4,
	DMOP_SET_IOREQ_SERVER_STATE = 5,
	DMOP_DESTROY_IOREQ_SERVER = 6,
	DMOP_SET_PCI_INTX_LEVEL = 8,
	DMOP_MODIFIED_MEMORY = 11,
	DMOP_INJECT_MSI = 14,
	DMOP_SET_IRQ_LEVEL = 19,
	DMOP_NR_VCPUS = 20,
};

/* handle_bufioreq: none. The buffered page cannot carry addresses past 1 MiB. */
#define DMOP_BUFIOREQ_OFF	0

/* Address spaces of a range. */
enum {
	DMOP_RANGE_PORT = 0,
	DMOP_RANGE_MEMORY = 1,
	DMOP_RANGE_PCI = 2,		/* segment << 16 | bus << 8 | devfn */
};

/* A server has at most so many ranges of each kind; a domain has 8 servers. */
#define DMOP_MAX_RANGES		256

struct dmop_create {
	u8 handle_bufioreq;
	u8 pad[3];
	u16 id;				/* out */
};

struct dmop_range {
	u16 id;
	u16 pad;
	u32 type;
	u64 start;
	u64 end;			/* inclusive */
};

struct dmop_state {
	u16 id;
	u8 enabled;
	u8 pad;
};

struct dmop_destroy {
	u16 id;
	u16 pad;
};

struct dmop_intx {
	u16 domain;
	u8 bus;
	u8 device;
	u8 intx;
	u8 level;
};

struct dmop_modified {
	u32 n_extents;
	u32 opaque;			/* 0 */
};

/* In a buffer of its own. */
struct dmop_extent {
	u64 first;
	u32 n;
	u32 pad;
};

struct dmop_msi {
	u32 data;
	u32 pad;
	u64 addr;
};

/* Of Arm: shared peripheral interrupts, from 32 on. */
struct dmop_irq {
	u32 irq;
	u8 level;
	u8 pad[3];
};

struct dmop_vcpus {
	u32 vcpus;			/* out */
};

struct dmop {
	u32 op;
	u32 pad;
	union {
		struct dmop_create create;
		struct dmop_range range;
		struct dmop_state state;
		struct dmop_destroy destroy;
		struct dmop_intx intx;
		struct dmop_modified modified;
		struct dmop_msi msi;
		struct dmop_irq irq;
		struct dmop_vcpus vcpus;
	} u;
};

static_assert(sizeof(struct dmop_range) == 24);
static_assert(sizeof(struct dmop_extent) == 16);
static_assert(sizeof(struct dmop_msi) == 16);
static_assert(offsetof(struct dmop, u) == 8);

/* ---- IOREQ page ------------------------------------------------------------------- */

/* Frame of XENMEM_resource_ioreq_server; frame 0 is the buffered page. */
#define IOREQ_RESOURCE_FRAME	1

enum {
	IOREQ_STATE_NONE = 0,
	IOREQ_STATE_READY = 1,
	IOREQ_STATE_INPROCESS = 2,
	IOREQ_STATE_RESP_READY = 3,
};

enum {
	IOREQ_KIND_PIO = 0,
	IOREQ_KIND_COPY = 1,		/* memory */
	IOREQ_KIND_PCI_CONFIG = 2,	/* addr: PCI address << 32 | register */
	IOREQ_KIND_TIMEOFFSET = 7,
	IOREQ_KIND_INVALIDATE = 8,	/* frames have left the guest */
};

/* Bits of ioreq_slot.flags. */
#define IOREQ_STATE_MASK	0x0f
#define IOREQ_DATA_IS_PTR	BIT(4)
#define IOREQ_READ		BIT(5)
#define IOREQ_DOWN		BIT(6)	/* repeated towards lower addresses */

/* One per vCPU, in an array by vCPU number. */
struct ioreq_slot {
	u64 addr;
	u64 data;
	u32 count;
	u32 size;
	u32 port;			/* the vCPU's end of the event channel */
	u16 pad;
	u8 flags;			/* state, and IOREQ_* */
	u8 kind;
};

static_assert(sizeof(struct ioreq_slot) == 32);
static_assert(offsetof(struct ioreq_slot, flags) == 30);

#define IOREQ_MAX_VCPUS		128	/* slots in the page */

#endif /* VBE_XEN_ABI_H */
