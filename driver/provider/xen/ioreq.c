// SPDX-License-Identifier: GPL-2.0
/*
 * The IOREQ server of a guest.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * Xen sends every access to a range of the server's here: it writes the request into the
 * vCPU's slot of a shared page, raises the vCPU's event channel, and lets the vCPU sleep
 * until the slot has an answer and the channel is raised the other way.
 *
 *	NONE -> READY		Xen
 *	READY -> RESP_READY	we, in the interrupt: whatever needs no backend
 *	READY -> INPROCESS	we, in the interrupt: the vCPU's work item will answer
 *	INPROCESS -> RESP_READY	we, in the work item
 *	RESP_READY -> NONE	Xen
 *
 * A state never goes back: Xen would crash the guest for it. Nor may a request be left
 * unanswered, even when the server ends: the vCPU would sleep for good. The page is
 * between Xen and us alone, so nothing in it is a guest's to forge; what the guest chose
 * is where it accesses what, and with what data.
 */
#include <linux/delay.h>
#include <linux/interrupt.h>
#include <linux/slab.h>

#include <xen/events.h>
#include <xen/interface/event_channel.h>
#include <xen/xen.h>

#include <asm/barrier.h>
#include <asm/xen/hypercall.h>

#include "xen.h"

/* Xen has a string instruction of more repetitions make several requests. */
#define XEN_MAX_REPEAT		4096
/* ms, in all of a request, for memory that is paged out, or that we do not have */
#define XEN_REPEAT_PATIENCE	200

static struct ioreq_slot *xen_slot(struct xen_vcpu *v)
{
	return (struct ioreq_slot *)v->guest->page.addr + v->id;
}

static u8 xen_slot_state(struct xen_vcpu *v)
{
	return READ_ONCE(xen_slot(v)->flags) & IOREQ_STATE_MASK;
}

static void xen_slot_set_state(struct xen_vcpu *v, u8 state)
{
	WRITE_ONCE(xen_slot(v)->flags, (v->req.flags & ~IOREQ_STATE_MASK) | state);
}

/* ---- what was asked ------------------------------------------------------------------ */

static bool xen_req_is_plain(const struct ioreq_slot *req)
{
	return req->count <= 1 && !(req->flags & IOREQ_DATA_IS_PTR) &&
	       req->kind <= IOREQ_KIND_PCI_CONFIG;
}

/* Where step @step of a request is. Ports and PCI registers stay where they are. */
static u64 xen_req_addr(const struct ioreq_slot *req, u32 step, u32 *space)
{
	u64 offset = (u64)step * req->size;

	switch (req->kind) {
	case IOREQ_KIND_PIO:
		*space = VBE_SPACE_PIO;
		return req->addr;
	case IOREQ_KIND_PCI_CONFIG:
		*space = VBE_SPACE_PCI;
		return (req->addr >> 32) << 12 | (req->addr & 0xfff);
	default:
		*space = VBE_SPACE_MMIO;
		return req->flags & IOREQ_DOWN ? req->addr - offset : req->addr + offset;
	}
}

/*
 * One access. What no device claims (its range may have gone a moment ago) reads as ones,
 * and a store to it goes nowhere.
 */
static int xen_req_step(struct xen_vcpu *v, u32 step, u64 *data, bool may_sleep)
{
	const struct ioreq_slot *req = &v->req;
	struct vbe_guest *core = v->guest->core;
	struct vbe_access a = {
		.len = req->size,
		.write = !(req->flags & IOREQ_READ),
		.data = *data,
	};
	u64 mask = req->size < 8 ? BIT_ULL(8 * req->size) - 1 : U64_MAX;
	int ret = -ENOENT;
	u32 space;
	u64 addr;

	if (req->size == 1 || req->size == 2 || req->size == 4 || req->size == 8) {
		addr = xen_req_addr(req, step, &space);
		a.data &= mask;
		do {
			ret = may_sleep ? vbe_guest_access(core, space, addr, &a) :
					  vbe_guest_access_atomic(core, space, addr, &a);
			/* No signal interrupts a work item. */
		} while (ret == -EINPROGRESS && a.pending);
	}
	if (ret == -EWOULDBLOCK)
		return ret;
	if (!a.write)
		*data = (ret ? U64_MAX : a.data) & mask;
	return 0;
}

/* The bytes may pass the end of a page. What cannot be read stays as it is. */
static void xen_req_copy(struct xen_vcpu *v, u64 at, void *buf, bool to_guest,
			 unsigned int *patience)
{
	u32 done = 0, n;
	int ret;

	while (done < v->req.size) {
		n = min_t(u32, v->req.size - done, PAGE_SIZE - offset_in_page(at + done));
		ret = xen_mem_copy(v->guest, at + done, buf + done, n, to_guest);
		if ((ret == -EAGAIN || ret == -ENOMEM) && *patience) {
			--*patience;
			usleep_range(1000, 1500);
			continue;
		}
		done += n;
	}
}

/*
 * A string instruction between the device and the guest's memory. Where there is none,
 * ones are read, and a store goes nowhere.
 */
static void xen_req_string(struct xen_vcpu *v, u32 step, unsigned int *patience)
{
	const struct ioreq_slot *req = &v->req;
	u64 at = req->flags & IOREQ_DOWN ? req->data - (u64)step * req->size :
					   req->data + (u64)step * req->size;
	__le64 bytes = cpu_to_le64(U64_MAX);
	bool read = req->flags & IOREQ_READ;
	u64 data;

	if (!read)
		xen_req_copy(v, at, &bytes, false, patience);
	data = le64_to_cpu(bytes);
	xen_req_step(v, step, &data, true);
	if (!read)
		return;
	bytes = cpu_to_le64(data);
	xen_req_copy(v, at, &bytes, true, patience);
}

static void xen_req_repeated(struct xen_vcpu *v)
{
	u32 count = clamp_t(u32, v->req.count, 1, XEN_MAX_REPEAT), step;
	bool string = v->req.flags & IOREQ_DATA_IS_PTR;
	unsigned int patience = XEN_REPEAT_PATIENCE;

	if (v->req.size > 8)
		return;
	for (step = 0; step < count; step++) {
		if (string)
			xen_req_string(v, step, &patience);
		else
			xen_req_step(v, step, &v->req.data, true);
		cond_resched();
	}
}

/*
 * Every vCPU that gives memory back asks for it, and it takes long. One pass serves all
 * who asked before it began: who finds, when it is his turn, that one has begun since he
 * came has been served, as they are under the lock from beginning to end.
 */
static void xen_req_invalidate(struct xen_guest *guest)
{
	int begun = atomic_read(&guest->passes);

	mutex_lock(&guest->lock);
	if (atomic_read(&guest->passes) == begun) {
		/* Fully ordered: it counts before the first page is unmapped. */
		atomic_inc_return(&guest->passes);
		xen_mem_invalidate(guest);
	}
	mutex_unlock(&guest->lock);
}

/* ---- answers --------------------------------------------------------------------------- */

static void xen_req_answer(struct xen_vcpu *v)
{
	/* The data of a string instruction is where its memory is. */
	if ((v->req.flags & (IOREQ_READ | IOREQ_DATA_IS_PTR)) == IOREQ_READ)
		WRITE_ONCE(xen_slot(v)->data, v->req.data);
	/* Xen looks at the data when it has seen the state. */
	virt_wmb();
	xen_slot_set_state(v, IOREQ_STATE_RESP_READY);
	notify_remote_via_evtchn(v->port);
}

static void xen_vcpu_work(struct work_struct *work)
{
	struct xen_vcpu *v = container_of(work, struct xen_vcpu, work);

	if (v->req.kind == IOREQ_KIND_INVALIDATE)
		xen_req_invalidate(v->guest);
	else if (xen_req_is_plain(&v->req))
		xen_req_step(v, 0, &v->req.data, true);
	else if (v->req.kind <= IOREQ_KIND_PCI_CONFIG)
		xen_req_repeated(v);
	/* Of any other kind there is nothing to do. */
	xen_req_answer(v);
}

/*
 * A vCPU has a request, perhaps: the channel is also raised once when it is bound. Kicks,
 * interrupt acknowledgment and register reads end here, with the vCPU on its way again.
 */
static irqreturn_t xen_vcpu_interrupt(int irq, void *data)
{
	struct xen_vcpu *v = data;

	if (xen_slot_state(v) != IOREQ_STATE_READY) {
		xen_irq_lateeoi(irq, XEN_EOI_FLAG_SPURIOUS);
		return IRQ_HANDLED;
	}
	/* The request was written before its state. */
	virt_rmb();
	v->req = *xen_slot(v);
	if (xen_req_is_plain(&v->req) && !xen_req_step(v, 0, &v->req.data, false)) {
		xen_req_answer(v);
	} else {
		xen_slot_set_state(v, IOREQ_STATE_INPROCESS);
		queue_work(v->guest->wq, &v->work);
	}
	xen_irq_lateeoi(irq, 0);
	return IRQ_HANDLED;
}

/* ---- the server ------------------------------------------------------------------------- */

/* Binding an interrupt to it has failed, and has closed it or not. */
static void xen_port_close(domid_t domid, evtchn_port_t port)
{
	struct evtchn_status status = { .dom = DOMID_SELF, .port = port };
	struct evtchn_close close = { .port = port };

	if (!HYPERVISOR_event_channel_op(EVTCHNOP_status, &status) &&
	    status.status == EVTCHNSTAT_interdomain && status.u.interdomain.dom == domid)
		HYPERVISOR_event_channel_op(EVTCHNOP_close, &close);
}

static int xen_vcpu_connect(struct xen_vcpu *v)
{
	struct evtchn_bind_interdomain bind = {
		.remote_dom = v->guest->domid,
		.remote_port = READ_ONCE(xen_slot(v)->port),
	};
	int ret;

	ret = HYPERVISOR_event_channel_op(EVTCHNOP_bind_interdomain, &bind);
	if (!ret)
		v->port = bind.local_port;
	return ret;
}

static int xen_vcpu_bind(struct xen_vcpu *v)
{
	int ret = xen_vcpu_connect(v);

	if (ret)
		return ret;
	ret = bind_evtchn_to_irqhandler_lateeoi(v->port, xen_vcpu_interrupt, 0,
						v->guest->irq_name, v);
	if (ret < 0) {
		xen_port_close(v->guest->domid, v->port);
		return ret;
	}
	v->irq = ret;
	return 0;
}

/* Reads that nobody answered any more read as ones. */
static void xen_vcpu_sweep(struct xen_vcpu *v)
{
	u8 state = xen_slot_state(v);

	if (state != IOREQ_STATE_READY && state != IOREQ_STATE_INPROCESS)
		return;
	/* Without an interrupt, the channel is needed for this one answer. */
	if (!v->irq && xen_vcpu_connect(v))
		return;
	/* As in the interrupt. */
	virt_rmb();
	v->req = *xen_slot(v);
	v->req.data = U64_MAX;
	xen_req_answer(v);
	if (!v->irq)
		xen_port_close(v->guest->domid, v->port);
}

static void xen_vcpus_sweep(struct xen_guest *guest)
{
	u32 i;

	/* Nothing is asked of a server before its page is here. */
	for (i = 0; guest->page.addr && i < guest->n_vcpus; i++)
		xen_vcpu_sweep(&guest->vcpus[i]);
}

static void xen_vcpus_unbind(struct xen_guest *guest)
{
	u32 i;

	for (i = 0; i < guest->n_vcpus; i++) {
		if (guest->vcpus[i].irq)
			unbind_from_irqhandler(guest->vcpus[i].irq, &guest->vcpus[i]);
		guest->vcpus[i].irq = 0;
	}
}

/**
 * xen_ioreq_stop() - end the IOREQ server, with every request answered
 * @guest: guest without devices; one that was started in part is fine
 *
 * Context: process, may sleep.
 */
void xen_ioreq_stop(struct xen_guest *guest)
{
	u32 i;

	for (i = 0; i < guest->n_vcpus; i++)
		if (guest->vcpus[i].irq)
			disable_irq(guest->vcpus[i].irq);
	for (i = 0; i < guest->n_vcpus; i++)
		flush_work(&guest->vcpus[i].work);
	xen_vcpus_sweep(guest);
	if (guest->serving)
		xen_dmop_state(guest->domid, guest->server, false);
	/* What came between the first sweep and that. */
	xen_vcpus_sweep(guest);
	xen_vcpus_unbind(guest);
	/* Whom no channel was left for at the start: now there are some. */
	xen_vcpus_sweep(guest);
	xen_frame_unmap(&guest->page);
	if (guest->serving)
		xen_dmop_destroy(guest->domid, guest->server);
	guest->serving = false;
	kvfree(guest->vcpus);
	guest->vcpus = NULL;
	guest->n_vcpus = 0;
}

static int xen_server_create(struct xen_guest *guest, struct netlink_ext_ack *extack)
{
	int ret = xen_dmop_create(guest->domid, &guest->server);

	switch (ret) {
	case 0:
		guest->serving = true;
		break;
	case -ENOSYS:
	case -EOPNOTSUPP:
		NL_SET_ERR_MSG(extack, "this Xen has no IOREQ servers (CONFIG_IOREQ_SERVER)");
		break;
	case -ENOSPC:
		NL_SET_ERR_MSG(extack, "the guest has as many IOREQ servers as Xen allows (8)");
		break;
	case -EINVAL:
		NL_SET_ERR_MSG(extack, "Xen refuses an IOREQ server: a PV guest has none");
		break;
	case -EPERM:
		NL_SET_ERR_MSG(extack, "Xen does not let this domain emulate devices for that guest");
		break;
	default:
		NL_SET_ERR_MSG(extack, "Xen refuses an IOREQ server for the guest");
	}
	return ret;
}

static int xen_vcpus_new(struct xen_guest *guest, struct netlink_ext_ack *extack)
{
	u32 n = 0, i;
	int ret;

	ret = xen_dmop_vcpus(guest->domid, &n);
	switch (ret) {
	case 0:
		break;
	case -ESRCH:
		NL_SET_ERR_MSG(extack, "no domain has this domid");
		return ret;
	case -ENOSYS:
	case -EOPNOTSUPP:
		NL_SET_ERR_MSG(extack, "this Xen has no device model operations (CONFIG_IOREQ_SERVER)");
		return ret;
	case -EINVAL:
		NL_SET_ERR_MSG(extack, "a PV guest traps nothing: vbe serves HVM, PVH and Arm guests");
		return ret;
	case -EPERM:
		NL_SET_ERR_MSG(extack, "Xen does not let this domain emulate devices for that guest");
		return ret;
	default:
		NL_SET_ERR_MSG(extack, "Xen does not tell how many vCPUs the guest has");
		return ret;
	}
	if (!n || n > IOREQ_MAX_VCPUS) {
		NL_SET_ERR_MSG(extack, "a guest must have 1 to 128 vCPUs");
		return -EINVAL;
	}
	guest->vcpus = kvcalloc(n, sizeof(*guest->vcpus), GFP_KERNEL);
	if (!guest->vcpus) {
		NL_SET_ERR_MSG(extack, "out of memory");
		return -ENOMEM;
	}
	guest->n_vcpus = n;
	for (i = 0; i < n; i++) {
		guest->vcpus[i].guest = guest;
		guest->vcpus[i].id = i;
		INIT_WORK(&guest->vcpus[i].work, xen_vcpu_work);
	}
	return 0;
}

static int xen_server_start(struct xen_guest *guest, struct netlink_ext_ack *extack)
{
	int ret;
	u32 i;

	ret = xen_frame_map_ioreq(&guest->page, guest->domid, guest->server);
	if (ret) {
		NL_SET_ERR_MSG(extack, "the IOREQ page of the guest cannot be mapped");
		return ret;
	}
	/* The channels exist while the server is enabled. */
	ret = xen_dmop_state(guest->domid, guest->server, true);
	if (ret) {
		NL_SET_ERR_MSG(extack, "Xen does not enable the IOREQ server");
		return ret;
	}
	for (i = 0; i < guest->n_vcpus && !ret; i++)
		ret = xen_vcpu_bind(&guest->vcpus[i]);
	if (ret)
		NL_SET_ERR_MSG(extack, "the event channels of the guest's vCPUs cannot be bound");
	return ret;
}

/**
 * xen_ioreq_start() - begin to answer a guest's requests
 * @guest: guest, with @core and @wq; gets @vcpus, @server, @page
 * @extack: gets a sentence on failure
 *
 * Context: process, may sleep.
 * Return: 0 or a negative errno; then nothing is left of it.
 */
int xen_ioreq_start(struct xen_guest *guest, struct netlink_ext_ack *extack)
{
	int ret;

	ret = xen_vcpus_new(guest, extack);
	if (!ret)
		ret = xen_server_create(guest, extack);
	if (!ret)
		ret = xen_server_start(guest, extack);
	if (ret)
		xen_ioreq_stop(guest);
	return ret;
}

/**
 * xen_ioreq_dead() - has the guest closed its ends of the event channels?
 * @guest: guest
 *
 * A domain does so first of all when it is destroyed. No privilege is needed to see it.
 * Context: process.
 */
bool xen_ioreq_dead(struct xen_guest *guest)
{
	struct evtchn_status status = {
		.dom = DOMID_SELF,
		.port = guest->vcpus[0].port,
	};

	return HYPERVISOR_event_channel_op(EVTCHNOP_status, &status) ||
	       status.status != EVTCHNSTAT_interdomain;
}
