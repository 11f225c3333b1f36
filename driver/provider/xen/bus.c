// SPDX-License-Identifier: GPL-2.0
/*
 * Discovery: what the toolstack wrote into xenstore becomes devices.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * xl writes a node for each virtio device of a guest, backend/virtio/DOMID/N or
 * backend/virtio_disk/DOMID/N, in state Initialising. The device is made at once, so that
 * accesses are trapped from then on. The node goes to InitWait, which xl waits for before
 * it lets the guest run, when a backend serves the device: of a disk, xl gives up after 10
 * seconds. It never goes further, since there is no driver that follows it on the other
 * side. Asked to close (state Closing), or when the node vanishes, the device is deleted;
 * then the state is Closed, as it is when no device could be made. A node that was in
 * another state when we saw it first is somebody else's, and so is a disk whose type is
 * not standalone.
 *
 * This is no driver of the kernel's xenbus: there, a device's name has less than 20
 * characters, and "virtio_disk-10-51712" gets no device.
 *
 * Who does what:
 *
 *	the watches	in xenbus's only thread: queue the scan
 *	the scan	one work item: looks at all nodes, and owns their list. It waits for
 *			xenstore only, and for the work of a node that has been done
 *	a node's work	makes and deletes the device, which may take seconds, and tells the
 *			toolstack. Never two at once for a node
 *
 * There is no lock of ours. xen_bus_state_changed() comes with the device's lock held, and
 * only queues the node's work, which takes the core's locks and xen_guests_lock.
 */
#include <linux/delay.h>
#include <linux/kstrtox.h>
#include <linux/slab.h>
#include <linux/string.h>

#include <xen/xenbus.h>

#include "xen.h"

#define XEN_BUS_VIRTIO_BLOCK	2

/* "backend/virtio_disk/32751/4294967295" */
#define XEN_BUS_PATH		40

/* Of a change of state that others' changes get into. */
#define XEN_BUS_TRIES		100

static bool discover = true;
module_param(discover, bool, 0444);
MODULE_PARM_DESC(discover, "make devices of what xl describes (default: yes)");

/* States of a node, as they are written in xenstore. */
enum xen_bus_state {
	XEN_BUS_UNKNOWN = 0,
	XEN_BUS_INITIALISING = 1,
	XEN_BUS_INIT_WAIT = 2,
	XEN_BUS_CLOSING = 5,
	XEN_BUS_CLOSED = 6,
};

/**
 * struct xen_bus_dev - a node and its device
 * @node: in the list of nodes; the scan's
 * @path: in xenstore, from our own domain's part of it
 * @disk: backend/virtio_disk; else backend/virtio
 * @domid: guest, as the path has it
 * @devid: its device, likewise
 * @seen: it was there in this scan; the scan's
 *
 * @work: brings state of node and device together
 * @made: it was tried to make the device; the work's
 * @vbe: device, with a reference, or NULL; the work's
 * @error: why no device could be made; the work's
 * @told: state that we wrote last, or XEN_BUS_UNKNOWN. By the work, once it is written
 *
 * @closing: the toolstack wants the device to go. Set once, by the scan
 * @gone: the node has vanished. Set once, by the scan
 * @done: and so has the device: the scan may free this. By the work
 */
struct xen_bus_dev {
	struct list_head node;
	char path[XEN_BUS_PATH];
	bool disk;
	u32 domid;
	u32 devid;
	bool seen;

	struct work_struct work;
	bool made;
	struct vbe_device *vbe;
	char error[128];
	enum xen_bus_state told;

	bool closing;
	bool gone;
	bool done;
};

static LIST_HEAD(xen_bus_nodes);
static unsigned int xen_bus_n_nodes;

/* The module goes: no scan any more. */
static bool xen_bus_ending;

static void xen_bus_scan(struct work_struct *work);
static DECLARE_DELAYED_WORK(xen_bus_scanner, xen_bus_scan);

static void xen_bus_scan_soon(void)
{
	mod_delayed_work(system_unbound_wq, &xen_bus_scanner, 0);
}

/* ---- what a node says -------------------------------------------------------------- */

/* In the log, and in the node when it is closed. */
static __printf(2, 3) void xen_bus_complain(struct xen_bus_dev *bd, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(bd->error, sizeof(bd->error), fmt, args);
	va_end(args);
	pr_warn_ratelimited("vbe_xen: %s: %s\n", bd->path, bd->error);
}

/* Into @buf. Return: 0; -ENOENT there is nothing; -ERANGE it is too long. */
static int xen_bus_read(const char *path, const char *node, char *buf, size_t len)
{
	char *value = xenbus_read(XBT_NIL, path, node, NULL);
	ssize_t n;

	if (IS_ERR(value))
		return PTR_ERR(value);
	n = strscpy(buf, value, len);
	kfree(value);
	if (n < 0)
		return -ERANGE;
	return n ? 0 : -ENOENT;
}

/* Decimal, or hexadecimal with 0x: xl writes either. */
static int xen_bus_read_number(const char *path, const char *node, u64 *val)
{
	char text[32];
	int ret = xen_bus_read(path, node, text, sizeof(text));

	return ret ?: kstrtou64(text, strncasecmp(text, "0x", 2) ? 10 : 16, val);
}

/* Return: 0; -ENOENT the node is not there; others: try again. */
static int xen_bus_read_state(struct xenbus_transaction xbt, const char *path,
			      unsigned int *state)
{
	int ret = xenbus_scanf(xbt, path, "state", "%u", state);

	if (ret == -ERANGE)
		*state = XEN_BUS_UNKNOWN;
	return ret < 0 && ret != -ERANGE ? ret : 0;
}

static int xen_bus_read_place(struct xen_bus_dev *bd, struct vbe_dev_params *p)
{
	char transport[16];
	u64 irq;
	int ret;

	ret = xen_bus_read(bd->path, "transport", transport, sizeof(transport));
	if (ret != -ENOENT && (ret || strcmp(transport, "mmio"))) {
		xen_bus_complain(bd, "transport %s is not known; mmio is",
				 ret ? "of that length" : transport);
		return -EOPNOTSUPP;
	}
	if (xen_bus_read_number(bd->path, "base", &p->base) ||
	    xen_bus_read_number(bd->path, "irq", &irq) || irq > U32_MAX) {
		xen_bus_complain(bd, "reading base and irq");
		return -EINVAL;
	}
	/* On x86 xl accepts virtio devices, but puts them nowhere. */
	if (!p->base || !irq) {
		xen_bus_complain(bd, "xl gave the device no place; use vbe-ctl dev add (transport pci)");
		return -EOPNOTSUPP;
	}
	p->irq = irq;
	p->grants = xenbus_read_unsigned(bd->path, "grant_usage", 0);
	p->set |= BIT(VBE_PARAM_BASE) | BIT(VBE_PARAM_IRQ);
	if (p->grants)
		p->set |= BIT(VBE_PARAM_GRANTS);
	return 0;
}

/* "virtio,device22": in hexadecimal. */
static int xen_bus_read_type(struct xen_bus_dev *bd, struct vbe_dev_params *p)
{
	static const char prefix[] = "virtio,device";
	char type[32];

	if (xen_bus_read(bd->path, "type", type, sizeof(type)) ||
	    strncmp(type, prefix, strlen(prefix)) ||
	    kstrtou32(type + strlen(prefix), 16, &p->virtio_id) ||
	    !p->virtio_id || p->virtio_id > 0xffff) {
		xen_bus_complain(bd, "type must be virtio,device and a number from 1 to ffff");
		return -EINVAL;
	}
	snprintf(p->name, sizeof(p->name), "dom%u-virtio%u", bd->domid, bd->devid);
	return 0;
}

static int xen_bus_read_disk(struct xen_bus_dev *bd, struct vbe_dev_params *p)
{
	char mode[8];
	char *path;

	p->virtio_id = XEN_BUS_VIRTIO_BLOCK;
	if (xen_bus_read(bd->path, "dev", p->vdev, sizeof(p->vdev)) || !vbe_name_valid(p->vdev))
		snprintf(p->vdev, sizeof(p->vdev), "disk%u", bd->devid);
	snprintf(p->name, sizeof(p->name), "dom%u-%.20s", bd->domid, p->vdev);
	p->readonly = !xen_bus_read(bd->path, "mode", mode, sizeof(mode)) && *mode == 'r';
	path = xenbus_read(XBT_NIL, bd->path, "params", NULL);
	if (IS_ERR(path)) {
		xen_bus_complain(bd, "reading params, the disk's path");
		return PTR_ERR(path);
	}
	p->path = path;
	if (!*path || strlen(path) >= VBE_PARAM_MAX) {
		xen_bus_complain(bd, "params, the disk's path, is empty or too long");
		return -EINVAL;
	}
	return 0;
}

/* What fails has been told. p->path is the caller's to free, also then. */
static int xen_bus_read_params(struct xen_bus_dev *bd, struct vbe_dev_params *p)
{
	u64 domid;
	int ret;

	if (xen_bus_read_number(bd->path, "frontend-id", &domid) || domid != bd->domid) {
		xen_bus_complain(bd, "frontend-id is not the domid in the path");
		return -EINVAL;
	}
	p->set = BIT(VBE_PARAM_NAME) | BIT(VBE_PARAM_PROVIDER) | BIT(VBE_PARAM_TRANSPORT) |
		 BIT(VBE_PARAM_GUEST_ID) | BIT(VBE_PARAM_VIRTIO_ID);
	strscpy(p->provider, xen_provider.name, sizeof(p->provider));
	strscpy(p->transport, "mmio", sizeof(p->transport));
	p->guest_id = bd->domid;
	if (bd->disk)
		ret = xen_bus_read_disk(bd, p);
	else
		ret = xen_bus_read_type(bd, p);
	return ret ?: xen_bus_read_place(bd, p);
}

/* ---- what we say to it -------------------------------------------------------------- */

/* Return: 0; 1: it cannot or need not be; -EAGAIN: somebody else wrote meanwhile. */
static int xen_bus_switch_once(const struct xen_bus_dev *bd, enum xen_bus_state state)
{
	struct xenbus_transaction xbt;
	unsigned int now;
	int ret, end;

	ret = xenbus_transaction_start(&xbt);
	if (ret)
		return ret;
	/* Writing would bring a node back that has vanished. */
	ret = xen_bus_read_state(xbt, bd->path, &now);
	if (!ret && (now == state ||
		     (state == XEN_BUS_INIT_WAIT && now != XEN_BUS_INITIALISING)))
		ret = 1;
	if (!ret)
		ret = xenbus_printf(xbt, bd->path, "state", "%d", state);
	if (!ret && *bd->error)
		ret = xenbus_printf(xbt, bd->path, "error", "%s", bd->error);
	end = xenbus_transaction_end(xbt, ret != 0);
	return ret ?: end;
}

static void xen_bus_switch(struct xen_bus_dev *bd, enum xen_bus_state state)
{
	unsigned int n = 0;
	int ret;

	do {
		ret = xen_bus_switch_once(bd, state);
	} while (ret == -EAGAIN && ++n < XEN_BUS_TRIES);
	if (!ret)
		/* Pairs with xen_bus_scan_node(): a state that it reads after this is no older. */
		smp_store_release(&bd->told, state);
	else if (ret < 0 && ret != -ENOENT)
		xen_bus_complain(bd, "state %d cannot be written (%d)", state, ret);
}

/* ---- node and device together ------------------------------------------------------ */

static void xen_bus_make(struct xen_bus_dev *bd)
{
	struct vbe_dev_params p = { .provider_data = bd };
	struct netlink_ext_ack extack = { };
	int ret;

	if (xen_bus_read_params(bd, &p))
		goto out;
	ret = vbe_device_create(&p, &extack);
	if (!ret)
		goto out;
	xen_bus_complain(bd, "%s: %s (%d)", p.name,
			 extack._msg ?: "the device could not be made", ret);
	/* It may have failed after dev_add. */
	if (bd->vbe)
		vbe_device_put(bd->vbe);
	bd->vbe = NULL;
out:
	kfree(p.path);
}

/*
 * Somebody else may be deleting it. When this returns, nobody will tell of a change of its
 * state any more: DEAD is the last.
 */
static void xen_bus_delete(struct vbe_device *dev)
{
	struct netlink_ext_ack extack = { };
	int ret;

	while ((ret = vbe_device_delete(dev, &extack)) && ret != -ENODEV)
		msleep(20);
}

static enum vbe_dev_state xen_bus_device_state(struct vbe_device *dev)
{
	enum vbe_dev_state state;

	if (!dev)
		return VBE_DEV_DEAD;
	mutex_lock(&dev->lock);
	state = dev->state;
	mutex_unlock(&dev->lock);
	return state;
}

static void xen_bus_work(struct work_struct *work)
{
	struct xen_bus_dev *bd = container_of(work, struct xen_bus_dev, work);
	bool gone = READ_ONCE(bd->gone);
	bool leave = gone || READ_ONCE(bd->closing);
	enum vbe_dev_state state;

	if (!bd->made && !leave)
		xen_bus_make(bd);
	bd->made = true;
	state = xen_bus_device_state(bd->vbe);
	if (leave && state != VBE_DEV_DEAD) {
		xen_bus_delete(bd->vbe);
		state = VBE_DEV_DEAD;
	}
	if (gone) {
		/* Pairs with xen_bus_scan(), which frees it. */
		smp_store_release(&bd->done, true);
		xen_bus_scan_soon();
	} else if (state == VBE_DEV_DEAD) {
		xen_bus_switch(bd, XEN_BUS_CLOSED);
	} else if (state == VBE_DEV_ONLINE && bd->told == XEN_BUS_UNKNOWN) {
		xen_bus_switch(bd, XEN_BUS_INIT_WAIT);
	}
}

/**
 * xen_bus_bind() - a device that is being made may be a node's
 * @xd: device
 * @data: struct vbe_dev_params.provider_data: whose; NULL: nobody's
 *
 * Context: dev_add, which succeeds.
 */
void xen_bus_bind(struct xen_dev *xd, void *data)
{
	struct xen_bus_dev *bd = data;

	if (!bd)
		return;
	kref_get(&xd->vbe->ref);
	bd->vbe = xd->vbe;
	xd->bus = bd;
}

/**
 * xen_bus_state_changed() - a device's state or backend changed
 * @dev: device
 *
 * Context: dev->lock held.
 */
void xen_bus_state_changed(struct vbe_device *dev)
{
	struct xen_dev *xd = dev->provider_priv;
	struct xen_bus_dev *bd = xd->bus;

	/* Who deletes it waits for that state only, and not for what is told after it. */
	if (dev->state == VBE_DEV_DEAD)
		xd->bus = NULL;
	if (bd)
		queue_work(system_unbound_wq, &bd->work);
}

/* ---- nodes come and go -------------------------------------------------------------- */

/* Nothing of ours is running or will run for it: its device has been deleted. */
static void xen_bus_free(struct xen_bus_dev *bd)
{
	cancel_work_sync(&bd->work);
	if (bd->vbe)
		vbe_device_put(bd->vbe);
	list_del(&bd->node);
	xen_bus_n_nodes--;
	kfree(bd);
}

static struct xen_bus_dev *xen_bus_find(bool disk, u32 domid, u32 devid)
{
	struct xen_bus_dev *bd;

	list_for_each_entry(bd, &xen_bus_nodes, node)
		if (bd->disk == disk && bd->domid == domid && bd->devid == devid)
			return bd;
	return NULL;
}

/* QEMU and the like serve disks of their own types. */
static bool xen_bus_ours(const char *path, bool disk)
{
	char type[16];
	int ret;

	if (!disk)
		return true;
	ret = xen_bus_read(path, "type", type, sizeof(type));
	return ret == -ENOENT || (!ret && !strcmp(type, "standalone"));
}

static int xen_bus_new(const char *path, bool disk, u32 domid, u32 devid)
{
	struct xen_bus_dev *bd;

	if (!xen_bus_ours(path, disk))
		return 0;
	if (xen_bus_n_nodes >= VBE_MAX_DEVICES) {
		pr_warn_ratelimited("vbe_xen: %s: too many devices\n", path);
		return 0;
	}
	bd = kzalloc(sizeof(*bd), GFP_KERNEL);
	if (!bd)
		return -ENOMEM;
	strscpy(bd->path, path, sizeof(bd->path));
	bd->disk = disk;
	bd->domid = domid;
	bd->devid = devid;
	bd->seen = true;
	INIT_WORK(&bd->work, xen_bus_work);
	list_add_tail(&bd->node, &xen_bus_nodes);
	xen_bus_n_nodes++;
	queue_work(system_unbound_wq, &bd->work);
	return 0;
}

static int xen_bus_scan_node(bool disk, u32 domid, u32 devid)
{
	struct xen_bus_dev *bd = xen_bus_find(disk, domid, devid);
	/* Before the state is read: see xen_bus_switch(). */
	enum xen_bus_state told = bd ? smp_load_acquire(&bd->told) : XEN_BUS_UNKNOWN;
	char path[XEN_BUS_PATH];
	unsigned int state;
	int ret;

	snprintf(path, sizeof(path), "backend/%s/%u/%u", disk ? "virtio_disk" : "virtio",
		 domid, devid);
	ret = xen_bus_read_state(XBT_NIL, path, &state);
	if (ret)
		return ret == -ENOENT ? 0 : ret;
	if (!bd)
		return state == XEN_BUS_INITIALISING ? xen_bus_new(path, disk, domid, devid) : 0;
	/* What we have told something does not begin anew: it is a next node in its place. */
	if (state == XEN_BUS_INITIALISING && told != XEN_BUS_UNKNOWN)
		return 0;
	bd->seen = true;
	if (state == XEN_BUS_CLOSING && !bd->gone) {
		WRITE_ONCE(bd->closing, true);
		queue_work(system_unbound_wq, &bd->work);
	}
	return 0;
}

/* Return: entries of a folder, to be freed, of which there are @n; NULL: none; ERR_PTR. */
static char **xen_bus_list(const char *path, const char *node, unsigned int *n)
{
	char **names = xenbus_directory(XBT_NIL, path, node, n);

	if (IS_ERR(names))
		*n = 0;
	return IS_ERR(names) && PTR_ERR(names) == -ENOENT ? NULL : names;
}

static int xen_bus_scan_guest(bool disk, const char *dir, const char *name)
{
	unsigned int i, n;
	u32 domid, devid;
	char **names;
	int ret = 0;

	if (kstrtou32(name, 10, &domid) || domid >= DOMID_FIRST_RESERVED)
		return 0;
	names = xen_bus_list(dir, name, &n);
	if (IS_ERR(names))
		return PTR_ERR(names);
	for (i = 0; i < n && !ret; i++)
		if (!kstrtou32(names[i], 10, &devid))
			ret = xen_bus_scan_node(disk, domid, devid);
	kfree(names);
	return ret;
}

static int xen_bus_scan_kind(bool disk)
{
	const char *dir = disk ? "backend/virtio_disk" : "backend/virtio";
	unsigned int i, n;
	char **names;
	int ret = 0;

	names = xen_bus_list(dir, "", &n);
	if (IS_ERR(names))
		return PTR_ERR(names);
	for (i = 0; i < n && !ret; i++)
		ret = xen_bus_scan_guest(disk, dir, names[i]);
	kfree(names);
	return ret;
}

static void xen_bus_scan(struct work_struct *work)
{
	struct xen_bus_dev *bd, *next;
	int ret;

	if (READ_ONCE(xen_bus_ending))
		return;
	list_for_each_entry_safe(bd, next, &xen_bus_nodes, node) {
		bd->seen = false;
		/* Pairs with xen_bus_work(). */
		if (smp_load_acquire(&bd->done))
			xen_bus_free(bd);
	}
	ret = xen_bus_scan_kind(false);
	ret = ret ?: xen_bus_scan_kind(true);
	if (ret) {
		/* Nothing follows from what was not seen. */
		pr_warn_ratelimited("vbe_xen: xenstore cannot be read (%d)\n", ret);
		queue_delayed_work(system_unbound_wq, &xen_bus_scanner, HZ);
		return;
	}
	list_for_each_entry(bd, &xen_bus_nodes, node) {
		if (bd->seen || bd->gone)
			continue;
		WRITE_ONCE(bd->gone, true);
		queue_work(system_unbound_wq, &bd->work);
	}
}

/* ---- xenstore tells ------------------------------------------------------------------ */

static void xen_bus_changed(struct xenbus_watch *watch, const char *path, const char *token)
{
	xen_bus_scan_soon();
}

static bool xen_bus_watching[2];

/* Each is told of once when it is registered, and so there is a first scan. */
static struct xenbus_watch xen_bus_watches[ARRAY_SIZE(xen_bus_watching)] = {
	{ .node = "backend/virtio", .callback = xen_bus_changed },
	{ .node = "backend/virtio_disk", .callback = xen_bus_changed },
};

/* Once, when xenstore is there; at once, if it is. */
static int xen_bus_store_ready(struct notifier_block *nb, unsigned long event, void *data)
{
	unsigned int i;
	int ret;

	for (i = 0; i < ARRAY_SIZE(xen_bus_watches); i++) {
		ret = register_xenbus_watch(&xen_bus_watches[i]);
		xen_bus_watching[i] = !ret;
		if (ret)
			pr_warn("vbe_xen: %s cannot be watched (%d): use vbe-ctl dev add\n",
				xen_bus_watches[i].node, ret);
	}
	return NOTIFY_DONE;
}

static struct notifier_block xen_bus_notifier = {
	.notifier_call = xen_bus_store_ready,
};

int xen_bus_init(void)
{
	return discover ? register_xenstore_notifier(&xen_bus_notifier) : 0;
}

/* No device is left, and none can be made. */
void xen_bus_exit(void)
{
	struct xen_bus_dev *bd, *next;
	unsigned int i;

	if (!discover)
		return;
	unregister_xenstore_notifier(&xen_bus_notifier);
	for (i = 0; i < ARRAY_SIZE(xen_bus_watches); i++)
		if (xen_bus_watching[i])
			unregister_xenbus_watch(&xen_bus_watches[i]);
	/* Nodes that are at work may still ask for a scan, which does nothing then. */
	WRITE_ONCE(xen_bus_ending, true);
	cancel_delayed_work_sync(&xen_bus_scanner);
	list_for_each_entry_safe(bd, next, &xen_bus_nodes, node)
		xen_bus_free(bd);
	cancel_delayed_work_sync(&xen_bus_scanner);
}
