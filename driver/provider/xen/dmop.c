// SPDX-License-Identifier: GPL-2.0
/*
 * Device model operations: what a domain that emulates devices asks of Xen.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * All take a copy of their argument on the stack and no lock, and only those that pause
 * the guest take long. So interrupts are injected from wherever a call came.
 */
#include "xen.h"

#include <xen/interface/hvm/dm_op.h>

#include <asm/xen/hypercall.h>

static int xen_dmop(domid_t domid, struct dmop *op)
{
	struct xen_dm_op_buf buf = { .size = sizeof(*op) };

	set_xen_guest_handle(buf.h, op);
	return HYPERVISOR_dm_op(domid, 1, &buf);
}

/**
 * xen_dmop_create() - a new IOREQ server, disabled, without ranges
 * @domid: guest
 * @server: gets its number
 *
 * Context: process; pauses the guest for a moment.
 * Return: 0; ENOSYS or EOPNOTSUPP (this Xen has none), ESRCH, EPERM, EINVAL (a PV
 * guest), ENOSPC (the guest has eight).
 */
int xen_dmop_create(domid_t domid, u16 *server)
{
	struct dmop op = {
		.op = DMOP_CREATE_IOREQ_SERVER,
		.u.create.handle_bufioreq = DMOP_BUFIOREQ_OFF,
	};
	int ret = xen_dmop(domid, &op);

	if (!ret)
		*server = op.u.create.id;
	return ret;
}

/**
 * xen_dmop_state() - enable or disable an IOREQ server
 * @domid: guest
 * @server: server
 * @enabled: which
 *
 * Context: process; pauses the guest for a moment. A request that is under way stays.
 */
int xen_dmop_state(domid_t domid, u16 server, bool enabled)
{
	struct dmop op = {
		.op = DMOP_SET_IOREQ_SERVER_STATE,
		.u.state = { .id = server, .enabled = enabled },
	};

	return xen_dmop(domid, &op);
}

/**
 * xen_dmop_destroy() - end an IOREQ server
 * @domid: guest
 * @server: server
 *
 * Context: process; pauses the guest for a moment.
 */
int xen_dmop_destroy(domid_t domid, u16 server)
{
	struct dmop op = {
		.op = DMOP_DESTROY_IOREQ_SERVER,
		.u.destroy.id = server,
	};

	return xen_dmop(domid, &op);
}

/**
 * xen_dmop_range() - let accesses go to an IOREQ server, or not any more
 * @domid: guest
 * @server: server
 * @type: DMOP_RANGE_*
 * @start: first address
 * @end: last address
 * @map: which
 *
 * Return: 0; EEXIST (overlaps another of the server's), or what else Xen says.
 */
int xen_dmop_range(domid_t domid, u16 server, u32 type, u64 start, u64 end, bool map)
{
	struct dmop op = {
		.op = map ? DMOP_MAP_IO_RANGE : DMOP_UNMAP_IO_RANGE,
		.u.range = { .id = server, .type = type, .start = start, .end = end },
	};

	return xen_dmop(domid, &op);
}

/**
 * xen_dmop_vcpus() - how many vCPUs a guest has, online or not
 * @domid: guest
 * @n: gets the number
 */
int xen_dmop_vcpus(domid_t domid, u32 *n)
{
	struct dmop op = { .op = DMOP_NR_VCPUS };
	int ret = xen_dmop(domid, &op);

	if (!ret)
		*n = op.u.vcpus.vcpus;
	return ret;
}

/**
 * xen_dmop_msi() - send a guest a message-signalled interrupt
 * @domid: x86 guest
 * @addr: message address
 * @data: message
 *
 * Context: any.
 */
int xen_dmop_msi(domid_t domid, u64 addr, u32 data)
{
	struct dmop op = {
		.op = DMOP_INJECT_MSI,
		.u.msi = { .addr = addr, .data = data },
	};

	return xen_dmop(domid, &op);
}

/**
 * xen_dmop_intx() - set the level of pin A of a PCI slot on bus 0
 * @domid: x86 guest with a chipset; never any other
 * @slot: slot
 * @level: asserted
 *
 * Context: any.
 */
int xen_dmop_intx(domid_t domid, u8 slot, bool level)
{
	struct dmop op = {
		.op = DMOP_SET_PCI_INTX_LEVEL,
		.u.intx = { .device = slot, .level = level },
	};

	return xen_dmop(domid, &op);
}

/**
 * xen_dmop_irq() - set the level of a shared peripheral interrupt
 * @domid: Arm guest
 * @irq: 32..1019
 * @level: high
 *
 * Context: any.
 */
int xen_dmop_irq(domid_t domid, u32 irq, bool level)
{
	struct dmop op = {
		.op = DMOP_SET_IRQ_LEVEL,
		.u.irq = { .irq = irq, .level = level },
	};

	return xen_dmop(domid, &op);
}

/**
 * xen_dmop_modified() - tell Xen that frames were written to
 * @domid: x86 guest
 * @first: frame number
 * @n: frames, at least one
 *
 * Xen notes them while the guest is being copied elsewhere, and else does nothing.
 * Context: process: of many frames it takes long.
 * Return: 0; EINVAL (the guest does not have so many).
 */
int xen_dmop_modified(domid_t domid, u64 first, u32 n)
{
	struct dmop_extent extent = { .first = first, .n = n };
	struct dmop op = {
		.op = DMOP_MODIFIED_MEMORY,
		.u.modified.n_extents = 1,
	};
	struct xen_dm_op_buf bufs[] = {
		{ .size = sizeof(op) },
		{ .size = sizeof(extent) },
	};

	set_xen_guest_handle(bufs[0].h, &op);
	set_xen_guest_handle(bufs[1].h, &extent);
	return HYPERVISOR_dm_op(domid, ARRAY_SIZE(bufs), bufs);
}
