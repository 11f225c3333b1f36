// SPDX-License-Identifier: GPL-2.0
/*
 * Guests: domains that have devices of ours.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * A guest is begun by its first device and ended with its last. When the domain dies, its
 * devices are deleted: what is mapped of its memory would keep it a zombie. Xen tells of
 * deaths without saying whose, through a xenstore watch, to privileged domains only; so
 * we look at a channel of every guest, then and twice a second. On Arm that may be too late,
 * and we look for what xl does before: see xen_guest_leaves().
 */
#include <linux/atomic.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/wait.h>

#include <xen/xen.h>
#include <xen/xenbus.h>

#include "xen.h"

/*
 * Often, as on Arm a domain that is destroyed keeps a CPU of ours in a hypercall until we
 * have let go of its memory; and it costs a hypercall per guest.
 */
#define XEN_LOOK		(HZ / 2)

static DEFINE_MUTEX(xen_guests_lock);
static LIST_HEAD(xen_guests);

/* xenstore answers; before, whoever asks sleeps until it does. */
static bool xen_store_up;

/* Of its own: the module waits for it to be empty. */
static struct workqueue_struct *xen_burials;

/* Looks who has died. What it does then must not wait for other tasks: xen_guest_leaves(). */
static struct task_struct *xen_reaper;
static DECLARE_WAIT_QUEUE_HEAD(xen_reaper_wait);
static bool xen_look;

static void xen_guest_bury(struct work_struct *work);

/* Somebody may have died, or there is somebody who can. */
static void xen_guests_look(void)
{
	/* Pairs with xchg() in xen_reaper_run(). */
	smp_store_release(&xen_look, true);
	wake_up(&xen_reaper_wait);
}

/* ---- what xenstore says of a guest ------------------------------------------------ */

/* Into @buf; empty where there is nothing. */
static void xen_store_read(const char *dir, const char *node, char *buf, size_t len)
{
	unsigned int got;
	char *value;

	*buf = '\0';
	if (!READ_ONCE(xen_store_up))
		return;
	value = xenbus_read(XBT_NIL, dir, node, &got);
	if (IS_ERR(value))
		return;
	strscpy(buf, value, len);
	kfree(value);
}

static int xen_guest_type(u32 domid, enum xen_guest_type *type,
			  struct netlink_ext_ack *extack)
{
	char dir[32], value[16];

	if (!IS_ENABLED(CONFIG_X86)) {
		*type = XEN_GUEST_ARM;
		return 0;
	}
	snprintf(dir, sizeof(dir), "/libxl/%u", domid);
	xen_store_read(dir, "type", value, sizeof(value));
	if (!strcmp(value, "pv")) {
		NL_SET_ERR_MSG(extack, "a PV guest traps nothing: vbe serves HVM, PVH and Arm guests");
		return -EINVAL;
	}
	/* Not knowing it, we touch no wire: where there is no chipset Xen may stop for it. */
	*type = strcmp(value, "hvm") ? XEN_GUEST_PVH : XEN_GUEST_HVM;
	return 0;
}

/* "vm1/dom3", or "dom3" where nobody knows its name. */
static void xen_guest_label(u32 domid, char *buf, size_t len)
{
	char dir[32], name[VBE_LABEL_MAX - 9], *p;

	snprintf(dir, sizeof(dir), "/local/domain/%u", domid);
	xen_store_read(dir, "name", name, sizeof(name));
	for (p = name; *p; p++)
		if (!isascii(*p) || !isprint(*p))
			*p = '?';
	snprintf(buf, len, "%s%sdom%u", name, *name ? "/" : "", domid);
}

/* As for privcmd: a domain that is not the first one emulates for its target only. */
static int xen_guest_permitted(u32 domid, struct netlink_ext_ack *extack)
{
	char value[16];
	u32 target;

	if (xen_initial_domain())
		return 0;
	xen_store_read("target", "", value, sizeof(value));
	if (!kstrtou32(value, 10, &target) && target == domid)
		return 0;
	NL_SET_ERR_MSG(extack, "this domain is not dom0, and xenstore does not name the guest as its target");
	return -EPERM;
}

static int xen_guest_check(u32 domid, enum xen_guest_type *type,
			   struct netlink_ext_ack *extack)
{
	int ret;

	if (!domid) {
		NL_SET_ERR_MSG(extack, "domain 0 is no guest");
		return -EINVAL;
	}
	if (domid >= DOMID_FIRST_RESERVED) {
		NL_SET_ERR_MSG(extack, "a domid is 1 to 32751");
		return -EINVAL;
	}
	ret = xen_guest_permitted(domid, extack);
	if (ret)
		return ret;
	return xen_guest_type(domid, type, extack);
}

/* ---- what xenstore no longer says --------------------------------------------------- */

/*
 * "xl destroy" deletes the guest's part of xenstore, and then has Xen destroy the domain.
 * In that hypercall, on Arm, Xen goes through what is left of the guest's pages, again from
 * the first whenever this domain has an interrupt. It gets to the end when we have let go of
 * them; which, if dom0 has one vCPU and its kernel does not preempt, can only be before. So
 * who does it yields to no other task then.
 */
static void xen_guest_leaves(struct xenbus_watch *watch, const char *path, const char *token)
{
	struct xen_guest *guest = container_of(watch, struct xen_guest, farewell);
	char *value = xenbus_read(XBT_NIL, guest->farewell_node, "", NULL);

	if (!IS_ERR(value)) {
		kfree(value);
	} else if (PTR_ERR(value) == -ENOENT) {
		WRITE_ONCE(guest->leaving, true);
		xen_guests_look();
	}
}

/* A guest that Xen has started may have no part in xenstore: then it does not leave it. */
static void xen_farewell_begin(struct xen_guest *guest)
{
	char value[16];

	if (guest->type != XEN_GUEST_ARM)
		return;
	snprintf(guest->farewell_node, sizeof(guest->farewell_node), "/local/domain/%u/domid",
		 guest->domid);
	xen_store_read(guest->farewell_node, "", value, sizeof(value));
	if (!*value)
		return;
	guest->farewell.node = guest->farewell_node;
	guest->farewell.callback = xen_guest_leaves;
	if (register_xenbus_watch(&guest->farewell))
		guest->farewell.node = NULL;
}

/* Not in xenbus's thread of watches, which it waits for. */
static void xen_farewell_end(struct xen_guest *guest)
{
	if (guest->farewell.node)
		unregister_xenbus_watch(&guest->farewell);
}

/* ---- begin and end ------------------------------------------------------------------- */

static void xen_guest_free(struct xen_guest *guest)
{
	xen_farewell_end(guest);
	if (guest->wq)
		destroy_workqueue(guest->wq);
	if (guest->core)
		vbe_guest_put(guest->core);
	kfree(guest);
}

static struct xen_guest *xen_guest_alloc(u32 domid, enum xen_guest_type type)
{
	struct xen_guest *guest = kzalloc(sizeof(*guest), GFP_KERNEL);
	char label[VBE_LABEL_MAX];

	if (!guest)
		return NULL;
	guest->domid = domid;
	guest->type = type;
	mutex_init(&guest->lock);
	INIT_LIST_HEAD(&guest->devs);
	INIT_WORK(&guest->burial, xen_guest_bury);
	snprintf(guest->irq_name, sizeof(guest->irq_name), "vbe-dom%u", domid);
	xen_guest_label(domid, label, sizeof(label));
	guest->core = vbe_guest_new(label);
	/* Disks of the guest wait for what runs here. */
	guest->wq = alloc_workqueue("%s", WQ_UNBOUND | WQ_MEM_RECLAIM, 0, guest->irq_name);
	if (!guest->core || !guest->wq) {
		xen_guest_free(guest);
		return NULL;
	}
	return guest;
}

static struct xen_guest *xen_guest_begin(u32 domid, enum xen_guest_type type,
					 struct netlink_ext_ack *extack)
{
	struct xen_guest *guest;
	int ret;

	guest = xen_guest_alloc(domid, type);
	if (!guest) {
		NL_SET_ERR_MSG(extack, "out of memory");
		return ERR_PTR(-ENOMEM);
	}
	ret = xen_mem_new(guest, extack);
	if (ret)
		goto err_free;
	ret = xen_ioreq_start(guest, extack);
	if (ret)
		goto err_mem;
	list_add_tail(&guest->node, &xen_guests);
	xen_guests_look();
	return guest;

err_mem:
	xen_mem_free(guest);
err_free:
	xen_guest_free(guest);
	return ERR_PTR(ret);
}

/**
 * xen_guest_get() - a guest by its domid
 * @domid: Xen's number of it
 * @extack: gets a sentence on failure
 *
 * Context: process, may sleep; takes xen_guests_lock.
 * Return: the guest, to be given back by xen_guest_put(); or ERR_PTR: EINVAL, EPERM, ESRCH,
 * ENODEV (it is dying), EOPNOTSUPP, ENOMEM, or what Xen says.
 */
struct xen_guest *xen_guest_get(u32 domid, struct netlink_ext_ack *extack)
{
	struct xen_guest *guest, *found = NULL;
	enum xen_guest_type type;
	bool fresh = false;
	int ret;

	/* Asks xenstore, which may never answer: not under the lock. */
	ret = xen_guest_check(domid, &type, extack);
	if (ret)
		return ERR_PTR(ret);
	mutex_lock(&xen_guests_lock);
	list_for_each_entry(guest, &xen_guests, node)
		if (guest->domid == domid)
			found = guest;
	if (!found) {
		found = xen_guest_begin(domid, type, extack);
		fresh = !IS_ERR(found);
	} else if (found->dying) {
		NL_SET_ERR_MSG(extack, "the domain is dying");
		found = ERR_PTR(-ENODEV);
	}
	if (!IS_ERR(found))
		found->users++;
	mutex_unlock(&xen_guests_lock);
	/* Xenstore again. Who ends the guest is not before its last user, and this is one. */
	if (fresh)
		xen_farewell_begin(found);
	return found;
}

/**
 * xen_guest_put() - a device of a guest has gone
 * @guest: guest; ends with the last one
 *
 * Context: process, may sleep; takes xen_guests_lock.
 */
void xen_guest_put(struct xen_guest *guest)
{
	bool last;

	mutex_lock(&xen_guests_lock);
	last = !--guest->users;
	if (last)
		list_del(&guest->node);
	mutex_unlock(&xen_guests_lock);
	/*
	 * That may take long, and others do not wait for it. A guest of the same domid that
	 * is begun meanwhile has a server of its own.
	 */
	if (last) {
		xen_ioreq_stop(guest);
		xen_mem_free(guest);
		xen_guest_free(guest);
	}
}

/* ---- death --------------------------------------------------------------------------- */

static struct vbe_device *xen_guest_next_dev(struct xen_guest *guest)
{
	struct vbe_device *dev = NULL;
	struct xen_dev *xd;

	mutex_lock(&guest->lock);
	xd = list_first_entry_or_null(&guest->devs, struct xen_dev, node);
	if (xd) {
		dev = xd->vbe;
		kref_get(&dev->ref);
	}
	mutex_unlock(&guest->lock);
	return dev;
}

/* One that is being made, or deleted by somebody else, is waited for. */
static void xen_guest_delete_devs(struct xen_guest *guest)
{
	struct netlink_ext_ack extack = { };
	struct vbe_device *dev;

	while ((dev = xen_guest_next_dev(guest))) {
		if (vbe_device_delete(dev, &extack))
			msleep(20);
		vbe_device_put(dev);
	}
}

/* The next guest that has died and was not seen to, with a reference. */
static struct xen_guest *xen_guest_next_dead(void)
{
	struct xen_guest *guest, *dead = NULL;

	mutex_lock(&xen_guests_lock);
	list_for_each_entry(guest, &xen_guests, node) {
		if (dead || guest->dying)
			continue;
		if (!READ_ONCE(guest->leaving) && !xen_ioreq_dead(guest))
			continue;
		guest->dying = true;
		guest->users++;
		dead = guest;
	}
	mutex_unlock(&xen_guests_lock);
	return dead;
}

/* Waits for RCU and for backends, for a bounded time. */
static void xen_guest_bury(struct work_struct *work)
{
	struct xen_guest *guest = container_of(work, struct xen_guest, burial);

	xen_guest_delete_devs(guest);
	xen_guest_put(guest);
}

/*
 * Memory of all that have died first, and without waiting for RCU: see xen_mem_revoke().
 * So the rest is not done here, nor is xen_guests_lock held anywhere over such a wait.
 */
static bool xen_guests_reap(void)
{
	struct xen_guest *guest;
	bool any;

	while ((guest = xen_guest_next_dead())) {
		xen_mem_revoke(guest);
		queue_work(xen_burials, &guest->burial);
	}
	mutex_lock(&xen_guests_lock);
	any = !list_empty(&xen_guests);
	mutex_unlock(&xen_guests_lock);
	return any;
}

static int xen_reaper_run(void *unused)
{
	bool any = false;

	while (!kthread_should_stop()) {
		wait_event_idle_timeout(xen_reaper_wait,
					READ_ONCE(xen_look) || kthread_should_stop(),
					any ? XEN_LOOK : MAX_SCHEDULE_TIMEOUT);
		/* Whoever set it has said before what there is to see. */
		xchg(&xen_look, false);
		any = xen_guests_reap();
	}
	return 0;
}

static void xen_somebody_died(struct xenbus_watch *watch, const char *path, const char *token)
{
	xen_guests_look();
}

static struct xenbus_watch xen_death_watch = {
	.node = "@releaseDomain",
	.callback = xen_somebody_died,
};

/* ---- xenstore comes up --------------------------------------------------------------- */

static bool xen_watching;

/* Once, when xenstore is there; at once, if it is. */
static int xen_store_ready(struct notifier_block *nb, unsigned long event, void *data)
{
	WRITE_ONCE(xen_store_up, true);
	/* A domain without the privilege looks every few seconds only. */
	xen_watching = !register_xenbus_watch(&xen_death_watch);
	return NOTIFY_DONE;
}

static struct notifier_block xen_store_notifier = {
	.notifier_call = xen_store_ready,
};

int xen_guests_init(void)
{
	int ret;

	xen_burials = alloc_workqueue("vbe_xen", WQ_UNBOUND, 0);
	if (!xen_burials)
		return -ENOMEM;
	xen_reaper = kthread_run(xen_reaper_run, NULL, "vbe_xen");
	if (IS_ERR(xen_reaper)) {
		ret = PTR_ERR(xen_reaper);
		goto err_wq;
	}
	/*
	 * With one CPU it is a matter of overtaking. With more, it must not be woken on the
	 * one that is in that hypercall: an ordinary task goes where nobody runs, but one of
	 * this class stays where nobody of its class does.
	 */
	if (IS_ENABLED(CONFIG_ARM64) && num_online_cpus() == 1)
		sched_set_fifo_low(xen_reaper);
	ret = register_xenstore_notifier(&xen_store_notifier);
	if (ret)
		goto err_thread;
	return 0;

err_thread:
	kthread_stop(xen_reaper);
err_wq:
	destroy_workqueue(xen_burials);
	return ret;
}

/* No device is left, and so no guest. */
void xen_guests_exit(void)
{
	unregister_xenstore_notifier(&xen_store_notifier);
	if (xen_watching)
		unregister_xenbus_watch(&xen_death_watch);
	kthread_stop(xen_reaper);
	destroy_workqueue(xen_burials);
}
