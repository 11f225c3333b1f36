/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The Xen provider: IOREQs, event channels, foreign mappings.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * Files:
 *
 *	main.c		the module: ops, what is needed of this Xen and of this domain
 *	guest.c		guests: found by domid, watched for their death
 *	dev.c		devices of a guest
 *	dmop.c		device model operations
 *	ioreq.c		the IOREQ server of a guest: what its vCPUs ask, and the answers
 *	irq.c		interrupts into the guest
 *	frame.c		a frame of another domain in this kernel's address space
 *	memory.c	guest memory: windows, and pages on demand
 *	physmap.c	... where Xen translates our addresses
 *	grant.c		memory that a guest's driver granted: copied
 *	grant_map.c	... and mapped, where Xen translates our addresses
 *	dirty.c		what backends wrote, for a guest that migrates
 *	bus.c		discovery: what the toolstack wrote into xenstore
 *
 * Lock order, outermost first:
 *
 *	xen_guests_lock		(mutex) which guests there are
 *	xen_guest.lock		(mutex) devices of a guest
 *	  the core's locks, down to mem_sem
 *	  xen_mem.lock		(mutex) pages of the guest that are mapped here
 *	  xen_grants.lock	(mutex) grants that are mapped here
 *	  xen_dev.line_lock	(spin, irq) what Xen was told of the wired interrupt
 *	    a transport's lock
 *
 * A trap takes none of these: it is answered by the core, under RCU.
 */
#ifndef VBE_XEN_H
#define VBE_XEN_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include <xen/interface/event_channel.h>
#include <xen/interface/xen.h>
#include <xen/xenbus.h>

#include "vbe.h"

#include "abi.h"

/* What kind of machine a guest is: what interrupts it can get. */
enum xen_guest_type {
	XEN_GUEST_HVM,		/* x86 with chipset: INTx and MSI */
	XEN_GUEST_PVH,		/* x86 without: MSI only; a wired one endangers the host */
	XEN_GUEST_ARM,		/* SPIs, rising edge */
};

/**
 * struct xen_frame - a frame that is mapped into this kernel
 * @addr: where, or NULL
 * @page: the page whose place it takes
 * @gfn: on auto-translated systems: its place in our own address space
 */
struct xen_frame {
	void *addr;
	struct page *page;
	xen_pfn_t gfn;
};

struct xen_bus_dev;
struct xen_grants;
struct xen_guest;
struct xen_mem;

/**
 * struct xen_vcpu - a vCPU of a guest, which waits while a request of it is answered
 * @guest: its guest
 * @id: number, also of its slot in the IOREQ page
 * @irq: ours of its event channel; 0: not bound
 * @port: our end of its event channel
 * @req: copy of the request that is being answered. Its writer is the interrupt handler
 *	until it queues @work, then the latter; the slot's state tells whose turn it is
 * @work: answers what cannot be answered in the interrupt
 */
struct xen_vcpu {
	struct xen_guest *guest;
	u32 id;
	int irq;
	evtchn_port_t port;
	struct ioreq_slot req;
	struct work_struct work;
};

/**
 * struct xen_guest - a domain that has devices of ours
 * @node: in the list of guests; under xen_guests_lock
 * @users: devices, made or being made, and who looks at it; under xen_guests_lock
 * @domid: Xen's number of it. Never used again by another while we have event channels
 * @type: kind of machine
 * @dying: it has gone, or goes; no more devices
 * @burial: deletes its devices then
 * @farewell: watch on its part of xenstore, which goes before it does; .node is NULL
 *	where there is none
 * @farewell_node: what is watched
 * @leaving: that part has gone. Set once, by the watch
 * @core: what the core knows of it
 * @wq: answers to requests that have to wait, one work item per vCPU
 *
 * @server: IOREQ server
 * @serving: there is one
 * @page: IOREQ page
 * @vcpus: @n_vcpus of them
 * @n_vcpus: number
 * @irq_name: what their interrupts are called
 *
 * @passes: times that all was unmapped because a vCPU asked; changes under @lock
 *
 * @lock: protects @devs
 * @devs: list of struct xen_dev
 * @mem: its memory: memory.c's
 */
struct xen_guest {
	struct list_head node;
	unsigned int users;
	domid_t domid;
	enum xen_guest_type type;
	bool dying;
	struct work_struct burial;
	struct xenbus_watch farewell;
	char farewell_node[40];
	bool leaving;
	struct vbe_guest *core;
	struct workqueue_struct *wq;

	u16 server;
	bool serving;
	struct xen_frame page;
	struct xen_vcpu *vcpus;
	u32 n_vcpus;
	char irq_name[16];
	atomic_t passes;

	struct mutex lock;
	struct list_head devs;
	struct xen_mem *mem;
};

/**
 * struct xen_dev - a device of a guest
 * @node: in guest->devs, from dev_add to dev_del
 * @guest: its guest
 * @vbe: the core's device
 * @slot: PCI slot on bus 0, for INTx; 0: it has none
 * @irq: SPI of an Arm guest; 0: it has none
 * @window: the guest's memory, as the device's backend sees it
 * @grants: what the guest grants, likewise; len 0 without
 * @mapped: those that are mapped: grant_map.c's; NULL where none can be
 * @bus: what discovery knows of it; NULL if the administrator made it
 *
 * @line_lock: protects @line; levels are told to Xen in their order
 * @line: level that Xen was told last
 */
struct xen_dev {
	struct list_head node;
	struct xen_guest *guest;
	struct vbe_device *vbe;
	u8 slot;
	u32 irq;
	struct vbe_window window;
	struct vbe_window grants;
	struct xen_grants *mapped;
	struct xen_bus_dev *bus;

	spinlock_t line_lock;
	bool line;
};

/* main.c */
extern struct vbe_provider_ops xen_provider;

/* guest.c */
struct xen_guest *xen_guest_get(u32 domid, struct netlink_ext_ack *extack);
void xen_guest_put(struct xen_guest *guest);
int xen_guests_init(void);
void xen_guests_exit(void);

/* dev.c */
int xen_dev_add(struct vbe_device *dev, const struct vbe_dev_params *p,
		struct netlink_ext_ack *extack);
void xen_dev_del(struct vbe_device *dev);
void xen_dev_quiesced(struct vbe_device *dev);
int xen_dev_region_map(struct vbe_device *dev, const struct vbe_region *region);
void xen_dev_region_unmap(struct vbe_device *dev, const struct vbe_region *region);

/* dmop.c. Any context, but for those that pause the guest: create, state, destroy. */
int xen_dmop_create(domid_t domid, u16 *server);
int xen_dmop_state(domid_t domid, u16 server, bool enabled);
int xen_dmop_destroy(domid_t domid, u16 server);
int xen_dmop_range(domid_t domid, u16 server, u32 type, u64 start, u64 end, bool map);
int xen_dmop_vcpus(domid_t domid, u32 *n);
int xen_dmop_msi(domid_t domid, u64 addr, u32 data);
int xen_dmop_intx(domid_t domid, u8 slot, bool level);
int xen_dmop_modified(domid_t domid, u64 first, u32 n);
int xen_dmop_irq(domid_t domid, u32 irq, bool level);

/* ioreq.c */
int xen_ioreq_start(struct xen_guest *guest, struct netlink_ext_ack *extack);
void xen_ioreq_stop(struct xen_guest *guest);
bool xen_ioreq_dead(struct xen_guest *guest);

/* irq.c */
void xen_inject(struct vbe_device *dev, const struct vbe_irq *irq);

/* frame.c. Process context; unmapping never fails, and one that is not mapped is fine. */
int xen_frame_map_ioreq(struct xen_frame *frame, domid_t domid, u16 server);
void xen_frame_unmap(struct xen_frame *frame);

/*
 * memory.c. Process context.
 *
 * xen_mem_new() finds out how much there is; xen_mem_attach() gives a device's backends
 * windows on it, xen_mem_detach() takes them back when no backend is attached;
 * xen_mem_invalidate() forgets what is mapped, since frames have left the guest;
 * xen_mem_free() ends it, when no device is left. xen_mem_attach(), _detach() and
 * _invalidate() with guest->lock held.
 */
int xen_mem_new(struct xen_guest *guest, struct netlink_ext_ack *extack);
void xen_mem_free(struct xen_guest *guest);
int xen_mem_attach(struct xen_dev *xd, const struct vbe_dev_params *p,
		   struct netlink_ext_ack *extack);
void xen_mem_detach(struct xen_dev *xd);
void xen_mem_invalidate(struct xen_guest *guest);
/* The guest is dying: all is unmapped, for good. guest->lock not held. */
void xen_mem_revoke(struct xen_guest *guest);
/* @len bytes within one page, for a string instruction. Takes no lock of the core's. */
int xen_mem_copy(struct xen_guest *guest, u64 addr, void *buf, u32 len, bool to_guest);

/* dirty.c */
void xen_dirty_tell(struct xen_guest *guest);

/* bus.c */
void xen_bus_bind(struct xen_dev *xd, void *data);
void xen_bus_state_changed(struct vbe_device *dev);
int xen_bus_init(void);
void xen_bus_exit(void);

#endif /* VBE_XEN_H */
