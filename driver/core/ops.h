/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the core asks of providers and transports, and what it hands to them.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * Included by vbe.h, which has the lock order and the objects.
 */
#ifndef VBE_CORE_OPS_H
#define VBE_CORE_OPS_H

#include <linux/list.h>
#include <linux/module.h>
#include <linux/netlink.h>
#include <linux/uidgid.h>

#include <linux/vbe.h>

struct vbe_access;
struct vbe_client;
struct vbe_device;
struct vbe_guest;
struct vbe_guest_new;
struct vbe_hook;
struct vbe_ioctl;
struct vbe_new_fd;
struct vbe_queue;
struct vbe_region;
struct vbe_setup;
struct vbe_why;
struct vbe_window;

/**
 * enum vbe_irq_type - what a transport asks a provider to deliver
 * @VBE_IRQ_QUEUE: the driver's callback of queue @index (direct transport)
 * @VBE_IRQ_CONFIG: the driver's config change callback (direct transport)
 * @VBE_IRQ_LINE: level of the device's wired line has changed (register transports)
 * @VBE_IRQ_PULSE: the wired line was pulsed: an edge, and low again
 * @VBE_IRQ_MSI: one message, of vector @index
 */
enum vbe_irq_type {
	VBE_IRQ_QUEUE,
	VBE_IRQ_CONFIG,
	VBE_IRQ_LINE,
	VBE_IRQ_PULSE,
	VBE_IRQ_MSI,
};

/**
 * struct vbe_irq - one interrupt to deliver
 * @type: &enum vbe_irq_type
 * @nested: raised inside an eventfd wake-up, with its wait-queue lock held and
 *	interrupts off: neither FE driver code nor eventfd_signal() may run from
 *	here; defer to irq_work or a work item
 * @index: queue, for VBE_IRQ_QUEUE; vector, for VBE_IRQ_MSI
 * @level: for VBE_IRQ_LINE
 * @msi_addr: for VBE_IRQ_MSI
 * @msi_data: for VBE_IRQ_MSI
 */
struct vbe_irq {
	enum vbe_irq_type type;
	bool nested;
	u32 index;
	u32 level;
	u64 msi_addr;
	u32 msi_data;
};

/**
 * struct vbe_dev_params - what the administrator says of a device
 * @set: bit (1 << VBE_PARAM_x) for each field that was given
 * @name: device name: 1..31 of [A-Za-z0-9._:-], not beginning with '.' or '-'
 * @provider: provider name
 * @transport: transport name; empty for the provider's default
 * @window_size: bytes of shared window, for providers that allocate one
 * @virtio_id: fixes the device type; 0 leaves it to the backend
 * @uid: owner who may open it
 * @gid: group that may open it
 * @loss_policy: &enum vbe_loss_policy
 * @reset_timeout_ms: 1..VBE_RESET_TIMEOUT_MAX_MS
 * @base: where a register transport's registers are, or its PCI address
 * @guest_id: the hypervisor's number of the guest
 * @irq: the hypervisor's number of the device's wired interrupt
 * @grants: the driver may use addresses that stand for memory it granted
 * @path: what the backend is to serve; or NULL. The device keeps a copy
 * @readonly: the backend is not to change what it serves
 * @vdev: what the guest's configuration calls the device; or empty
 * @trusted: who asks has CAP_SYS_ADMIN
 * @provider_data: the provider's, when it makes the device itself; else NULL
 */
struct vbe_dev_params {
	u32 set;
	char name[VBE_NAME_MAX];
	char provider[VBE_LABEL_MAX];
	char transport[VBE_LABEL_MAX];
	u64 window_size;
	u32 virtio_id;
	kuid_t uid;
	kgid_t gid;
	u32 loss_policy;
	u32 reset_timeout_ms;
	u64 base;
	u32 guest_id;
	u32 irq;
	bool grants;
	const char *path;
	bool readonly;
	char vdev[VBE_LABEL_MAX];
	bool trusted;
	void *provider_data;
};

enum {
	VBE_PARAM_NAME,
	VBE_PARAM_PROVIDER,
	VBE_PARAM_TRANSPORT,
	VBE_PARAM_WINDOW_SIZE,
	VBE_PARAM_VIRTIO_ID,
	VBE_PARAM_UID,
	VBE_PARAM_GID,
	VBE_PARAM_LOSS_POLICY,
	VBE_PARAM_RESET_TIMEOUT,
	VBE_PARAM_BASE,
	VBE_PARAM_GUEST_ID,
	VBE_PARAM_IRQ,
	VBE_PARAM_GRANTS,
	VBE_PARAM_PATH,
	VBE_PARAM_READONLY,
	VBE_PARAM_VDEV,
};

/**
 * struct vbe_provider_ops - one hypervisor
 * @owner: module; pinned by each of its devices
 * @name: what the administrator calls it by
 * @description: one line for "vbe-ctl probe"
 * @default_transport: used when the administrator names none
 * @guest: name of the guest its devices belong to, when there is only one
 * @transports: NULL-ended list of transports that it can bring; NULL: the default
 * @features_required: virtio features that every device offers here
 * @mmio_size: bytes that its guests give to the registers of a virtio-mmio device, 512 to
 *	4096; 0: 4096
 * @fe_stays: a live driver cannot be asked to leave: DEV_OFFLINE is refused then, and
 *	a deletion does not wait for it
 * @privileged: a device here gives all of another guest's memory to who may open it: only
 *	CAP_SYS_ADMIN makes one, or says who may
 * @edge: the wired interrupt is one by its edges: what is behind it is told each time
 * @no_eoi: nobody tells when the guest acknowledges a wired interrupt
 * @no_msi: no message interrupts its guests
 * @own_msi: a message without a vector (low byte 0, others not) is an interrupt of the
 *	hypervisor's own: drivers mask it there, and leave the bit in the MSI-X table set
 * @any_type: an owner without privilege may serve a device of any virtio type: the
 *	FE is not this kernel
 * @list: the core's
 *
 * Only @inject and @mem_suspect run in atomic context; all others may sleep.
 * @show, @hide, @fe_name, @mem_suspect and @mem_clean are called with dev->lock
 * held (@hide also with fe_lock): they must not call back into the core. @dev_add
 * and @dev_del are called without a core lock.
 */
struct vbe_provider_ops {
	struct module *owner;
	const char *name;
	const char *description;
	const char *default_transport;
	const char *guest;
	const char * const *transports;
	u64 features_required;
	u32 mmio_size;
	bool fe_stays;
	bool privileged;
	bool edge;
	bool no_eoi;
	bool no_msi;
	bool own_msi;
	bool any_type;
	struct list_head list;

	/**
	 * @dev_add: take a new device; set @dev->provider_priv and add windows.
	 * @dev->params may get what the administrator left open. What is given and
	 * means nothing here is refused. Errors get an extack text.
	 */
	int (*dev_add)(struct vbe_device *dev, const struct vbe_dev_params *p,
		       struct netlink_ext_ack *extack);
	/**
	 * @dev_del: undo dev_add. The device is hidden, no call can be raised any
	 * more and no backend is attached. Cannot fail.
	 */
	void (*dev_del)(struct vbe_device *dev);
	/**
	 * @show: the FE shall see the device. Must not wait for probing, which
	 * needs the caller (the backend) to serve. Optional.
	 */
	int (*show)(struct vbe_device *dev);
	/**
	 * @hide: the FE shall leave; the provider calls vbe_device_hidden() when
	 * it has. Returns at once. With @force no backend serves any more: what is
	 * in flight fails, and the FE is gone in bounded time. May be called again
	 * with @force after a call without.
	 */
	void (*hide)(struct vbe_device *dev, bool force);
	/**
	 * @quiesced: the driver resets the device, and the backend has stopped, or
	 * has lost the memory. The driver is told when this returns. Process context,
	 * may sleep. Optional.
	 */
	void (*quiesced)(struct vbe_device *dev);
	/**
	 * @inject: deliver an interrupt. Any context, under RCU; see
	 * &struct vbe_irq.nested.
	 */
	void (*inject)(struct vbe_device *dev, const struct vbe_irq *irq);
	/**
	 * @region_map: @region of a device appeared where it is, or moved there: let
	 * the hypervisor trap it. Process context. Optional.
	 */
	int (*region_map)(struct vbe_device *dev, const struct vbe_region *region);
	/** @region_unmap: it has gone. Process context. Optional. Cannot fail. */
	void (*region_unmap)(struct vbe_device *dev, const struct vbe_region *region);
	/**
	 * @vector_changed: the driver wrote MSI vector @vector's address, message or
	 * mask. Any context, a transport's lock held. Optional.
	 */
	void (*vector_changed)(struct vbe_device *dev, u32 vector, u64 addr, u32 data,
			       bool masked);
	/**
	 * @guest_new: a process asks to be the hypervisor (GUEST_NEW): make an fd.
	 * Process context. Only one provider has it.
	 */
	int (*guest_new)(struct vbe_guest_new *arg, struct vbe_new_fd *nfd, struct vbe_why *why);
	/**
	 * @state_changed: the device's state or backend changed. dev->lock held.
	 * Optional.
	 */
	void (*state_changed)(struct vbe_device *dev);
	/**
	 * @mem_suspect: a backend ended: the host's storage may still write to pages
	 * of its windows to which somebody else has a reference. What the FE puts
	 * there from now on, until @mem_clean, may be overwritten. Optional. Atomic
	 * context.
	 */
	void (*mem_suspect)(struct vbe_device *dev);
	/**
	 * @mem_clean: a next backend attaches, and nobody else refers to a page of
	 * its windows any more: what @mem_suspect said is over. Optional.
	 */
	void (*mem_clean)(struct vbe_device *dev);
	/**
	 * @fe_name: what the FE calls the device ("virtio3"), into @buf; empty when
	 * it has no name now. Optional.
	 */
	void (*fe_name)(struct vbe_device *dev, char *buf, size_t len);
};

int vbe_provider_register(struct vbe_provider_ops *ops);
void vbe_provider_unregister(struct vbe_provider_ops *ops);

/**
 * struct vbe_access - one trapped access, on its way through a transport
 * @region: the transport's number of the region that it hits
 * @offset: in the region; @offset + @len does not pass its end
 * @len: 1, 2, 4 or 8
 * @write: a store
 * @present: the device is shown: what the core keeps for the FE may be used. Else
 *	the transport answers as for a device that is not there
 * @data: what is stored; or, set by the transport, what is loaded, in the low bytes
 * @cookie: of an access that waits for an emulator; see @pending
 * @pending: set when @access gave -EINPROGRESS: it can be waited on by @cookie
 */
struct vbe_access {
	u32 region;
	u32 offset;
	u32 len;
	bool write;
	bool present;
	bool pending;
	u64 data;
	u64 cookie;
};

/**
 * struct vbe_notify - where a queue is kicked, for hypervisors that match stores
 * @addr: FE physical address; 0 while nowhere
 * @len: bytes of the store; 0: any
 * @match: only stores of @data
 * @data: see @match
 * @vector: MSI vector of the queue, or VBE_NO_QUEUE
 */
struct vbe_notify {
	u64 addr;
	u32 len;
	bool match;
	u32 data;
	u32 vector;
};

/**
 * struct vbe_transport_ops - one way a driver talks to a device
 * @name: "direct", "mmio", "pci", "msg", "raw"
 * @features_owned: virtio features that are the transport's to offer or not;
 *	masked from what a backend offers
 * @features_queue_stop: what is offered if the backend can stop single queues
 * @not_virtio: DEV_SETUP describes no virtio device
 * @ioctls: ioctls on the device fd that only this transport has; ctx is the client
 * @n_ioctls: their number
 *
 * Optional but @queue_call and @config_changed. @access is called for devices that
 * have regions, from any number of vCPUs at once.
 */
struct vbe_transport_ops {
	const char *name;
	u64 features_owned;
	u64 features_queue_stop;
	bool not_virtio;
	const struct vbe_ioctl *ioctls;
	size_t n_ioctls;

	/** @queue_call: the backend interrupts queue @q. Any context, under RCU. */
	void (*queue_call)(struct vbe_queue *q, bool nested);
	/**
	 * @config_changed: config bytes or status changed, by the device. Any context,
	 * under RCU, the core's mutexes perhaps held.
	 */
	void (*config_changed)(struct vbe_device *dev);
	/**
	 * @init: a new device, after the provider took it: make dev->transport_priv,
	 * map regions. Errors get an extack text. Process context, no lock.
	 */
	int (*init)(struct vbe_device *dev, const struct vbe_dev_params *p,
		    struct netlink_ext_ack *extack);
	/**
	 * @exit: undo @init. No access is under way, none will come, and no call.
	 */
	void (*exit)(struct vbe_device *dev);
	/**
	 * @access: one trapped access. Without @may_sleep any context, under RCU;
	 * -EWOULDBLOCK then asks to be called again with it, and has done nothing.
	 * With it: process context; -EINPROGRESS: a signal came while an emulator
	 * thought about it. Else 0: whatever the FE does gets an answer.
	 */
	int (*access)(struct vbe_device *dev, struct vbe_access *a, bool may_sleep);
	/**
	 * @reset: the driver has reset the device, or it was hidden: forget what the
	 * driver wrote. Interrupts that are pending go; the wired line falls. Process
	 * context, dev->lock held.
	 */
	void (*reset)(struct vbe_device *dev);
	/** @queue_stopped: likewise for one queue. Process context, dev->lock held. */
	void (*queue_stopped)(struct vbe_queue *q);
	/** @backend_gone: its attachment has ended. Process context, dev->lock held. */
	void (*backend_gone)(struct vbe_device *dev);
	/**
	 * @complete: COMPLETE of a cookie that the core does not know: -ENOENT if the
	 * transport does not either. Process context, dev->lock held.
	 */
	int (*complete)(struct vbe_device *dev, u64 cookie, u64 data);
	/** @eoi: the guest acknowledged the wired interrupt. Any context, under RCU. */
	void (*eoi)(struct vbe_device *dev, bool nested);
	/** @line: is the wired interrupt high? Any context. */
	bool (*line)(struct vbe_device *dev);
	/** @notify: where queue @q is kicked. Process context, dev->lock held. */
	void (*notify)(struct vbe_queue *q, struct vbe_notify *n);
	/** @n_vectors: MSI vectors. Process context, dev->lock held. */
	u32 (*n_vectors)(struct vbe_device *dev);
};

/* The providers in this module. */
extern struct vbe_provider_ops vbe_user_provider;

extern const struct vbe_transport_ops vbe_direct_transport;
extern const struct vbe_transport_ops vbe_mmio_transport;
extern const struct vbe_transport_ops vbe_pci_transport;
extern const struct vbe_transport_ops vbe_raw_transport;

#endif /* VBE_CORE_OPS_H */
