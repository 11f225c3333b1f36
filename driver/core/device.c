// SPDX-License-Identifier: GPL-2.0
/*
 * The registry of devices, and how one is made and unmade.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * Deletion goes through the FE first, then the backend, then the provider:
 *
 *  1. the FE is asked to leave while a live backend goes on serving it, so that
 *     a file system can write back: at most the reset time-out;
 *  2. what is not gone by then is forced: the backend's memory is revoked, and
 *     the provider fails whatever is in flight;
 *  3. the backend learns of it (VBE_EVENT_GONE) and keeps scratch memory;
 *  4. with nobody left who could call or kick, the provider frees its part.
 */
#include <linux/ctype.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/xarray.h>

#include "trace.h"
#include "vbe.h"

/*
 * All devices by id. The lock makes names unique and covers look-ups; it nests
 * outside of nothing and inside of nothing.
 */
static DEFINE_MUTEX(vbe_registry_lock);
static DEFINE_XARRAY_ALLOC1(vbe_registry);
static u32 vbe_next_id = 1;
static unsigned int vbe_n_devices;

/**
 * vbe_name_valid() - may a device or a guest have this name?
 * @name: name
 */
bool vbe_name_valid(const char *name)
{
	const char *p;

	if (!*name || *name == '.' || *name == '-')
		return false;
	for (p = name; *p; p++)
		if (!(isascii(*p) && isalnum(*p)) && !strchr("_.:-", *p))
			return false;
	return true;
}
EXPORT_SYMBOL_GPL(vbe_name_valid);

static struct vbe_device *vbe_registry_lookup(const char *name)
{
	struct vbe_device *dev;
	unsigned long id;

	lockdep_assert_held(&vbe_registry_lock);
	xa_for_each(&vbe_registry, id, dev)
		if (!strcmp(dev->name, name))
			return dev;
	return NULL;
}

/**
 * vbe_device_find() - look a device up by name
 * @name: its name
 *
 * Context: process, may sleep.
 * Return: the device with a reference for the caller, or NULL.
 */
struct vbe_device *vbe_device_find(const char *name)
{
	struct vbe_device *dev;

	mutex_lock(&vbe_registry_lock);
	dev = vbe_registry_lookup(name);
	if (dev)
		kref_get(&dev->ref);
	mutex_unlock(&vbe_registry_lock);
	return dev;
}
EXPORT_SYMBOL_GPL(vbe_device_find);

/**
 * vbe_device_next() - the device with the lowest id from @min_id on, for dumps
 * @min_id: where to start
 *
 * Context: process, may sleep.
 * Return: the device with a reference for the caller, or NULL.
 */
struct vbe_device *vbe_device_next(u32 min_id)
{
	unsigned long id = min_id;
	struct vbe_device *dev;

	mutex_lock(&vbe_registry_lock);
	dev = xa_find(&vbe_registry, &id, U32_MAX, XA_PRESENT);
	if (dev)
		kref_get(&dev->ref);
	mutex_unlock(&vbe_registry_lock);
	return dev;
}

static void vbe_device_release(struct kref *ref)
{
	struct vbe_device *dev = container_of(ref, struct vbe_device, ref);

	/* Nobody else is left; for lockdep. */
	mutex_lock(&dev->lock);
	vbe_setup_free(dev);
	mutex_unlock(&dev->lock);
	if (dev->wq)
		destroy_workqueue(dev->wq);
	if (dev->guest)
		vbe_guest_put(dev->guest);
	kfree(dev->params.path);
	kfree(dev);
}

/**
 * vbe_device_put() - drop a reference
 * @dev: device
 *
 * Context: process, may sleep.
 */
void vbe_device_put(struct vbe_device *dev)
{
	kref_put(&dev->ref, vbe_device_release);
}
EXPORT_SYMBOL_GPL(vbe_device_put);

/**
 * vbe_device_guest() - the guest that a device belongs to, for show
 * @dev: device
 *
 * Return: its name; empty where the provider has none.
 */
const char *vbe_device_guest(const struct vbe_device *dev)
{
	if (dev->guest)
		return dev->guest->name;
	return dev->provider->guest ?: "";
}

/**
 * vbe_device_set_state() - change the state and tell who watches
 * @dev: device, its lock held
 * @state: new state
 */
void vbe_device_set_state(struct vbe_device *dev, enum vbe_dev_state state)
{
	lockdep_assert_held(&dev->lock);
	if (dev->state == state)
		return;
	dev->state = state;
	trace_vbe_state(dev, state);
	vbe_nl_notify(dev, VBE_NL_STATE);
	if (dev->provider->state_changed)
		dev->provider->state_changed(dev);
}

/**
 * vbe_device_may_open() - is the caller an owner?
 * @dev: device
 *
 * Context: the opener's; takes dev->lock.
 */
bool vbe_device_may_open(struct vbe_device *dev)
{
	kuid_t uid;
	kgid_t gid;

	mutex_lock(&dev->lock);
	uid = dev->params.uid;
	gid = dev->params.gid;
	mutex_unlock(&dev->lock);
	return uid_eq(uid, current_euid()) ||
	       (gid_valid(gid) && in_egroup_p(gid)) || capable(CAP_SYS_ADMIN);
}

static struct vbe_device *vbe_device_alloc(const struct vbe_dev_params *p)
{
	struct vbe_device *dev = kzalloc(sizeof(*dev), GFP_KERNEL);

	if (!dev)
		return NULL;
	dev->params = *p;
	dev->params.path = kstrdup(p->path, GFP_KERNEL);
	if (p->path && !dev->params.path)
		goto err;
	/* Deferred kicks of a disk go by it; the name has a limit of its own. */
	dev->wq = alloc_workqueue("vbe-%.19s", WQ_UNBOUND | WQ_MEM_RECLAIM, 0, p->name);
	if (!dev->wq)
		goto err;
	kref_init(&dev->ref);
	strscpy(dev->name, p->name, sizeof(dev->name));
	dev->setup_policy = p->loss_policy;
	dev->leaving = true;
	INIT_WORK(&dev->vanish, vbe_fe_vanish_work);
	mutex_init(&dev->fe_lock);
	mutex_init(&dev->lock);
	init_rwsem(&dev->mem_sem);
	init_waitqueue_head(&dev->hidden);
	spin_lock_init(&dev->state_lock);
	init_completion(&dev->held.done);
	return dev;

err:
	kfree(dev->params.path);
	kfree(dev);
	return NULL;
}

static void vbe_params_defaults(struct vbe_dev_params *p)
{
	if (!(p->set & BIT(VBE_PARAM_PROVIDER)))
		strscpy(p->provider, "loop", sizeof(p->provider));
	if (!(p->set & BIT(VBE_PARAM_UID)))
		p->uid = GLOBAL_ROOT_UID;
	if (!(p->set & BIT(VBE_PARAM_GID)))
		p->gid = INVALID_GID;
	if (!(p->set & BIT(VBE_PARAM_LOSS_POLICY)))
		p->loss_policy = VBE_LOSS_HOLD;
	if (!(p->set & BIT(VBE_PARAM_RESET_TIMEOUT)))
		p->reset_timeout_ms = VBE_RESET_TIMEOUT_MS;
}

static int vbe_params_check(const struct vbe_dev_params *p, struct netlink_ext_ack *extack)
{
	if ((p->set & BIT(VBE_PARAM_LOSS_POLICY)) && p->loss_policy > VBE_LOSS_FAIL) {
		NL_SET_ERR_MSG(extack, "loss policy must be hold, reset or fail");
		return -EINVAL;
	}
	if ((p->set & BIT(VBE_PARAM_RESET_TIMEOUT)) &&
	    (!p->reset_timeout_ms || p->reset_timeout_ms > VBE_RESET_TIMEOUT_MAX_MS)) {
		NL_SET_ERR_MSG(extack, "reset time-out must be 1 to 600000 ms");
		return -EINVAL;
	}
	if ((p->set & BIT(VBE_PARAM_UID)) && !uid_valid(p->uid)) {
		NL_SET_ERR_MSG(extack, "owner uid is not valid");
		return -EINVAL;
	}
	return 0;
}

static int vbe_registry_insert(struct vbe_device *dev, struct netlink_ext_ack *extack)
{
	int ret;

	mutex_lock(&vbe_registry_lock);
	if (vbe_registry_lookup(dev->name)) {
		NL_SET_ERR_MSG(extack, "a device of that name exists");
		ret = -EEXIST;
	} else if (vbe_n_devices >= VBE_MAX_DEVICES) {
		NL_SET_ERR_MSG(extack, "too many devices (1024)");
		ret = -ENOSPC;
	} else {
		ret = xa_alloc_cyclic(&vbe_registry, &dev->id, dev, xa_limit_31b,
				      &vbe_next_id, GFP_KERNEL);
		if (ret < 0)
			NL_SET_ERR_MSG(extack, "out of memory");
		else
			ret = 0;
	}
	if (!ret)
		vbe_n_devices++;
	mutex_unlock(&vbe_registry_lock);
	return ret;
}

static void vbe_registry_remove(struct vbe_device *dev)
{
	mutex_lock(&vbe_registry_lock);
	xa_erase(&vbe_registry, dev->id);
	vbe_n_devices--;
	mutex_unlock(&vbe_registry_lock);
}

static bool vbe_provider_brings(const struct vbe_provider_ops *ops, const char *transport)
{
	const char * const *name;

	if (!ops->transports)
		return !strcmp(transport, ops->default_transport);
	for (name = ops->transports; *name; name++)
		if (!strcmp(*name, transport))
			return true;
	return false;
}

static int vbe_device_bind(struct vbe_device *dev, struct netlink_ext_ack *extack)
{
	const struct vbe_dev_params *p = &dev->params;
	const char *transport = p->transport;

	dev->provider = vbe_provider_get(p->provider);
	if (!dev->provider) {
		NL_SET_ERR_MSG(extack, "no such provider, and no module brings it");
		return -ENOENT;
	}
	/* What a provider makes by itself is not asked for by a process. */
	if (dev->provider->privileged && !p->trusted && !p->provider_data) {
		NL_SET_ERR_MSG(extack, "a device of this provider reaches all memory of its guest: making one takes CAP_SYS_ADMIN");
		return -EPERM;
	}
	/* Whoever serves all that appears opens it with rights that the asker may not have. */
	if (p->path && !p->trusted && !p->provider_data) {
		NL_SET_ERR_MSG(extack, "saying what a backend is to serve takes CAP_SYS_ADMIN");
		return -EPERM;
	}
	if (!*transport)
		transport = dev->provider->default_transport;
	dev->transport = vbe_transport_find(transport);
	if (!dev->transport) {
		NL_SET_ERR_MSG(extack, "no such transport");
		return -ENOENT;
	}
	if (!vbe_provider_brings(dev->provider, transport)) {
		NL_SET_ERR_MSG(extack, "this provider cannot use that transport");
		return -EOPNOTSUPP;
	}
	return 0;
}

/* What the provider chose where the administrator said nothing. */
static void vbe_device_note_windows(struct vbe_device *dev)
{
	u64 len = 0;
	u32 i;

	down_read(&dev->mem_sem);
	for (i = 0; i < dev->n_windows; i++)
		len += dev->windows[i]->len;
	up_read(&dev->mem_sem);
	dev->params.window_size = len;
}

/**
 * vbe_device_create() - make a device
 * @p: what the administrator said
 * @extack: gets a sentence on every failure
 *
 * The name is reserved first, with the device locked and DEAD, so that nobody
 * opens it before its provider has taken it.
 * Context: process, may sleep; no lock.
 * Return: 0; EEXIST, EINVAL, ENOENT (provider), EOPNOTSUPP, ENOSPC, ENOMEM.
 */
int vbe_device_create(const struct vbe_dev_params *p, struct netlink_ext_ack *extack)
{
	struct vbe_dev_params params = *p;
	struct vbe_device *dev;
	int ret;

	if (!vbe_name_valid(p->name)) {
		NL_SET_ERR_MSG(extack, "a device name is 1 to 31 of A-Z a-z 0-9 _ . : - and begins with none of . -");
		return -EINVAL;
	}
	ret = vbe_params_check(p, extack);
	if (ret)
		return ret;
	vbe_params_defaults(&params);
	if (!vbe_name_valid(params.provider)) {
		NL_SET_ERR_MSG(extack, "that cannot be the name of a provider");
		return -EINVAL;
	}
	dev = vbe_device_alloc(&params);
	if (!dev) {
		NL_SET_ERR_MSG(extack, "out of memory");
		return -ENOMEM;
	}
	dev->state = VBE_DEV_DEAD;
	ret = vbe_device_bind(dev, extack);
	if (ret)
		goto err_provider;
	dev->deleting = true;
	ret = vbe_registry_insert(dev, extack);
	if (ret)
		goto err_provider;
	ret = dev->provider->dev_add(dev, &params, extack);
	if (ret)
		goto err_registry;
	if (dev->transport->init)
		ret = dev->transport->init(dev, &dev->params, extack);
	if (ret)
		goto err_dev;
	mutex_lock(&dev->lock);
	vbe_device_note_windows(dev);
	dev->deleting = false;
	dev->state = VBE_DEV_EMPTY;
	mutex_unlock(&dev->lock);
	vbe_nl_notify(dev, VBE_NL_NEW);
	return 0;

err_dev:
	vbe_regions_drop(dev);
	dev->provider->dev_del(dev);
err_registry:
	vbe_registry_remove(dev);
err_provider:
	if (dev->provider)
		vbe_provider_put(dev->provider);
	vbe_device_put(dev);
	return ret;
}
EXPORT_SYMBOL_GPL(vbe_device_create);

/* Returns whether the FE is gone; false when a signal ended the wait. */
static bool vbe_device_evict_fe(struct vbe_device *dev, bool graceful)
{
	long left = msecs_to_jiffies(dev->params.reset_timeout_ms);

	if (graceful)
		wait_event_killable_timeout(dev->hidden, !READ_ONCE(dev->visible), left);
	if (READ_ONCE(dev->visible)) {
		vbe_backend_revoke(dev);
		mutex_lock(&dev->lock);
		if (dev->visible)
			dev->provider->hide(dev, true);
		mutex_unlock(&dev->lock);
	}
	return !wait_event_killable(dev->hidden, !READ_ONCE(dev->visible));
}

static int vbe_device_delete_begin(struct vbe_device *dev, bool *visible, bool *live,
				   struct netlink_ext_ack *extack)
{
	int ret = 0;

	mutex_lock(&dev->lock);
	if (dev->deleting) {
		NL_SET_ERR_MSG(extack, "the device is being made or deleted already");
		ret = dev->state == VBE_DEV_DEAD ? -ENODEV : -EBUSY;
		goto out;
	}
	dev->deleting = true;
	*live = dev->client && !dev->provider->fe_stays &&
		(dev->state == VBE_DEV_ONLINE || dev->state == VBE_DEV_OFFLINING);
	*visible = dev->visible;
	if (dev->visible) {
		vbe_device_set_state(dev, VBE_DEV_OFFLINING);
		dev->provider->hide(dev, !*live);
	}
out:
	mutex_unlock(&dev->lock);
	return ret;
}

static void vbe_device_kill(struct vbe_device *dev)
{
	mutex_lock(&dev->lock);
	vbe_device_set_state(dev, VBE_DEV_DEAD);
	mutex_unlock(&dev->lock);
	/* Tells a backend that still is there VBE_EVENT_GONE. */
	vbe_backend_revoke(dev);
	flush_workqueue(dev->wq);
	/* Calls look at the state under RCU before they enter the provider. */
	synchronize_rcu();
	vbe_regions_drop(dev);
	if (dev->transport->exit)
		dev->transport->exit(dev);
	dev->provider->dev_del(dev);
}

/**
 * vbe_device_delete() - unmake a device, whatever it is doing
 * @dev: device; the caller holds a reference
 * @extack: gets a sentence on failure
 *
 * Context: process, sleeps for at most twice the reset time-out; no lock.
 * Return: 0; EBUSY when another deletion is under way; ENODEV when it is being made
 * still, or is deleted already; EINTR when a fatal signal
 * came first (the device then is still there and may be deleted again).
 */
int vbe_device_delete(struct vbe_device *dev, struct netlink_ext_ack *extack)
{
	bool visible = false, live = false;
	int ret;

	ret = vbe_device_delete_begin(dev, &visible, &live, extack);
	if (ret)
		return ret;
	if (visible && !vbe_device_evict_fe(dev, live)) {
		NL_SET_ERR_MSG(extack, "interrupted while the front-end was leaving");
		mutex_lock(&dev->lock);
		dev->deleting = false;
		mutex_unlock(&dev->lock);
		return -EINTR;
	}
	vbe_device_kill(dev);
	vbe_registry_remove(dev);
	vbe_nl_notify(dev, VBE_NL_DEL);
	vbe_provider_put(dev->provider);
	vbe_device_put(dev);
	return 0;
}
EXPORT_SYMBOL_GPL(vbe_device_delete);

/**
 * vbe_device_set() - change what may change on a living device
 * @dev: device
 * @p: owner, group, loss policy, reset time-out; nothing else
 * @extack: gets a sentence on failure
 *
 * Context: process, may sleep; takes dev->lock.
 */
int vbe_device_set(struct vbe_device *dev, const struct vbe_dev_params *p,
		   struct netlink_ext_ack *extack)
{
	int ret;

	if (p->set & (BIT(VBE_PARAM_PROVIDER) | BIT(VBE_PARAM_TRANSPORT) |
		      BIT(VBE_PARAM_WINDOW_SIZE) | BIT(VBE_PARAM_VIRTIO_ID))) {
		NL_SET_ERR_MSG(extack, "provider, transport, window size and virtio id are fixed when a device is made");
		return -EINVAL;
	}
	if (dev->provider->privileged && !p->trusted &&
	    (p->set & (BIT(VBE_PARAM_UID) | BIT(VBE_PARAM_GID)))) {
		NL_SET_ERR_MSG(extack, "who opens this device reaches all memory of its guest: saying who takes CAP_SYS_ADMIN");
		return -EPERM;
	}
	ret = vbe_params_check(p, extack);
	if (ret)
		return ret;
	mutex_lock(&dev->lock);
	if (p->set & BIT(VBE_PARAM_UID))
		dev->params.uid = p->uid;
	if (p->set & BIT(VBE_PARAM_GID))
		dev->params.gid = p->gid;
	if (p->set & BIT(VBE_PARAM_LOSS_POLICY)) {
		dev->params.loss_policy = p->loss_policy;
		dev->setup_policy = p->loss_policy;
	}
	if (p->set & BIT(VBE_PARAM_RESET_TIMEOUT))
		dev->params.reset_timeout_ms = p->reset_timeout_ms;
	mutex_unlock(&dev->lock);
	return 0;
}

/**
 * vbe_device_resize() - ask the backend to look at its size again
 * @dev: device
 * @extack: gets a sentence on failure
 *
 * Context: process, may sleep; takes dev->lock.
 * Return: 0 or -ENOTCONN when no backend serves it.
 */
int vbe_device_resize(struct vbe_device *dev, struct netlink_ext_ack *extack)
{
	int ret = 0;

	mutex_lock(&dev->lock);
	if (dev->client) {
		vbe_event_post(dev, dev->client, VBE_EVENT_RESIZE, VBE_NO_QUEUE, 0, 0, 0);
	} else {
		NL_SET_ERR_MSG(extack, "no backend serves the device");
		ret = -ENOTCONN;
	}
	mutex_unlock(&dev->lock);
	return ret;
}

/**
 * vbe_device_hidden() - the FE has left
 * @dev: device
 *
 * For providers, after hide(). Nothing of the FE may touch the device any more.
 * Context: process, may sleep; takes dev->lock.
 */
void vbe_device_hidden(struct vbe_device *dev)
{
	u32 i;

	mutex_lock(&dev->lock);
	if (dev->state == VBE_DEV_DEAD || !dev->visible) {
		mutex_unlock(&dev->lock);
		return;
	}
	for (i = 0; i < dev->n_queues; i++)
		vbe_queue_stop(&dev->queues[i]);
	spin_lock_irq(&dev->state_lock);
	dev->status = 0;
	spin_unlock_irq(&dev->state_lock);
	dev->driver_features = 0;
	dev->features_staged = 0;
	if (dev->transport->reset)
		dev->transport->reset(dev);
	if (dev->client && dev->client->setup_done) {
		vbe_device_set_state(dev, VBE_DEV_READY);
	} else {
		vbe_setup_free(dev);
		vbe_device_set_state(dev, VBE_DEV_EMPTY);
	}
	if (dev->client)
		vbe_event_post(dev, dev->client, VBE_EVENT_OFFLINE, VBE_NO_QUEUE, 0, 0, 0);
	WRITE_ONCE(dev->visible, false);
	/* As while it was closed, and until it is shown again. */
	WRITE_ONCE(dev->leaving, true);
	wake_up_all(&dev->hidden);
	mutex_unlock(&dev->lock);
}
EXPORT_SYMBOL_GPL(vbe_device_hidden);
