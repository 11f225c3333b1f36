// SPDX-License-Identifier: GPL-2.0
/*
 * Devices of a guest, and what the core asks of this provider.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * A device is made by GUEST_DEV_ADD through the core, which calls back dev_add. It is
 * deleted by the VMM, by its death, or by the administrator: always through the core,
 * which calls back dev_del. What the VMM holds of it, its number, stays until
 * GUEST_DEV_DEL and says ENODEV.
 */
#include <linux/cred.h>
#include <linux/delay.h>
#include <linux/nospec.h>
#include <linux/slab.h>
#include <linux/uidgid.h>
#include <linux/user_namespace.h>

#include "user.h"

/* ---- by number ------------------------------------------------------------------- */

static void user_dev_release(struct kref *ref)
{
	struct user_dev *ud = container_of(ref, struct user_dev, ref);

	if (ud->vbe)
		vbe_device_put(ud->vbe);
	user_guest_put(ud->guest);
	kvfree(ud);
}

void user_dev_put(struct user_dev *ud)
{
	kref_put(&ud->ref, user_dev_release);
}

/* The device of a number, being made or dead also; guest->lock held. */
static struct user_dev *user_dev_at(struct user_guest *guest, u32 id)
{
	lockdep_assert_held(&guest->lock);
	if (id >= VBE_GUEST_MAX_DEVICES)
		return NULL;
	return guest->devs[array_index_nospec(id, VBE_GUEST_MAX_DEVICES)];
}

/**
 * user_dev_get() - the living device of a number
 * @guest: guest; gets an error text
 * @id: from the VMM
 *
 * Context: process, may sleep; takes guest->lock.
 * Return: the device with a reference for the caller; or ERR_PTR: ENOENT, ENODEV.
 */
struct user_dev *user_dev_get(struct user_guest *guest, u32 id)
{
	struct user_dev *ud;

	mutex_lock(&guest->lock);
	ud = user_dev_at(guest, id);
	if (!ud || !ud->made)
		ud = ERR_PTR(vbe_fail(&guest->why, -ENOENT,
				      "the guest has no device of this number"));
	else if (ud->dead)
		ud = ERR_PTR(vbe_fail(&guest->why, -ENODEV, "the device was deleted"));
	else
		kref_get(&ud->ref);
	mutex_unlock(&guest->lock);
	return ud;
}

/* ---- the core's side --------------------------------------------------------------- */

static int user_dev_add(struct vbe_device *dev, const struct vbe_dev_params *p,
			struct netlink_ext_ack *extack)
{
	struct user_dev *ud = p->provider_data;
	struct user_guest *guest;
	int ret;

	if (!ud) {
		NL_SET_ERR_MSG(extack, "devices of this provider are made by a VMM (GUEST_DEV_ADD), such as vbe-vhost-user");
		return -EOPNOTSUPP;
	}
	guest = ud->guest;
	mutex_lock(&guest->lock);
	if (guest->dead) {
		NL_SET_ERR_MSG(extack, "the guest is dead");
		ret = -ENODEV;
		goto out;
	}
	kref_get(&dev->ref);
	ud->vbe = dev;
	ret = user_mem_attach(ud);
	if (ret) {
		NL_SET_ERR_MSG(extack, "out of memory");
		ud->vbe = NULL;
		vbe_device_put(dev);
		goto out;
	}
	vbe_guest_get(guest->core);
	dev->guest = guest->core;
	kref_get(&ud->ref);
	dev->provider_priv = ud;
out:
	mutex_unlock(&guest->lock);
	return ret;
}

static void user_dev_del(struct vbe_device *dev)
{
	struct user_dev *ud = dev->provider_priv;
	struct user_guest *guest = ud->guest;

	mutex_lock(&guest->lock);
	ud->dead = true;
	user_mem_detach(ud);
	user_irq_exit(ud);
	mutex_unlock(&guest->lock);
	user_event(ud, USER_SRC_GONE);
	wake_up_all(&guest->wait);
	user_dev_put(ud);
}

static int user_dev_show(struct vbe_device *dev)
{
	return user_apply_kicks(dev->provider_priv);
}

static void user_dev_state_changed(struct vbe_device *dev)
{
	if (dev->provider_priv)
		user_event(dev->provider_priv, USER_SRC_STATE);
}

static const char * const user_transports[] = { "direct", "mmio", "pci", "raw", NULL };

struct vbe_provider_ops vbe_user_provider = {
	.owner = THIS_MODULE,
	.name = "user",
	.description = "a process is the hypervisor: KVM guests by vhost-user, VMMs, tests",
	.default_transport = "direct",
	.transports = user_transports,
	.fe_stays = true,
	.any_type = true,
	.guest_new = user_guest_new,
	.dev_add = user_dev_add,
	.dev_del = user_dev_del,
	.show = user_dev_show,
	.hide = vbe_fe_vanish,
	.inject = user_inject,
	.region_map = user_region_map,
	.region_unmap = user_region_unmap,
	.vector_changed = user_vector_changed,
	.state_changed = user_dev_state_changed,
};

/* ---- the VMM's side ----------------------------------------------------------------- */

static int user_params_owner(struct user_guest *guest, const struct vbe_guest_dev_add *a,
			     struct vbe_dev_params *p)
{
	p->uid = current_euid();
	p->gid = INVALID_GID;
	if (a->uid != VBE_GUEST_SAME_UID)
		p->uid = make_kuid(current_user_ns(), a->uid);
	if (a->gid != VBE_GUEST_NO_GID)
		p->gid = make_kgid(current_user_ns(), a->gid);
	if (!uid_valid(p->uid) || (a->gid != VBE_GUEST_NO_GID && !gid_valid(p->gid)))
		return vbe_fail(&guest->why, -EINVAL, "no such uid or gid here");
	if ((!uid_eq(p->uid, current_euid()) ||
	     (gid_valid(p->gid) && !in_egroup_p(p->gid))) && !capable(CAP_SYS_ADMIN))
		return vbe_fail(&guest->why, -EPERM,
				"only CAP_SYS_ADMIN may make a device that somebody else serves");
	p->set |= BIT(VBE_PARAM_UID) | BIT(VBE_PARAM_GID);
	return 0;
}

static int user_params(struct user_guest *guest, const struct vbe_guest_dev_add *a,
		       struct vbe_dev_params *p)
{
	if (a->flags)
		return vbe_fail(&guest->why, -EINVAL, "unknown flags");
	if (strnlen(a->name, sizeof(a->name)) == sizeof(a->name))
		return vbe_fail(&guest->why, -EINVAL, "the device name is not terminated");
	if (strnlen(a->transport, sizeof(a->transport)) == sizeof(a->transport))
		return vbe_fail(&guest->why, -EINVAL, "the transport name is not terminated");
	if (a->virtio_id > 0xffff)
		return vbe_fail(&guest->why, -EINVAL, "virtio_id must be 0 to 65535");
	if (a->base && !strcmp(a->transport, vbe_direct_transport.name))
		return vbe_fail(&guest->why, -EINVAL, "transport direct is at no place: base must be 0");
	p->set = BIT(VBE_PARAM_NAME) | BIT(VBE_PARAM_PROVIDER) | BIT(VBE_PARAM_TRANSPORT);
	strscpy(p->name, a->name, sizeof(p->name));
	strscpy(p->provider, vbe_user_provider.name, sizeof(p->provider));
	strscpy(p->transport, a->transport, sizeof(p->transport));
	p->virtio_id = a->virtio_id;
	p->base = a->base;
	if (a->base)
		p->set |= BIT(VBE_PARAM_BASE);
	if (a->virtio_id)
		p->set |= BIT(VBE_PARAM_VIRTIO_ID);
	if (a->loss_policy != VBE_LOSS_DEFAULT) {
		p->loss_policy = a->loss_policy;
		p->set |= BIT(VBE_PARAM_LOSS_POLICY);
	}
	if (a->reset_timeout_ms) {
		p->reset_timeout_ms = a->reset_timeout_ms;
		p->set |= BIT(VBE_PARAM_RESET_TIMEOUT);
	}
	return user_params_owner(guest, a, p);
}

/* Reserve a number. The caller has a reference of its own: who kills the guest forgets it. */
static struct user_dev *user_dev_new(struct user_guest *guest)
{
	struct user_dev *ud = kvzalloc(sizeof(*ud), GFP_KERNEL_ACCOUNT);
	int ret = 0;
	u32 id;

	if (!ud)
		return ERR_PTR(vbe_fail(&guest->why, -ENOMEM, "out of memory"));
	kref_init(&ud->ref);
	user_irq_init(ud);
	mutex_lock(&guest->lock);
	for (id = 0; id < VBE_GUEST_MAX_DEVICES && guest->devs[id]; id++)
		;
	if (guest->dead)
		ret = vbe_fail(&guest->why, -ENODEV, "the guest is dead");
	else if (id == VBE_GUEST_MAX_DEVICES)
		ret = vbe_fail(&guest->why, -ENOSPC, "a guest has at most 64 devices");
	if (!ret) {
		kref_get(&ud->ref);
		kref_get(&guest->ref);
		ud->guest = guest;
		ud->id = id;
		guest->devs[id] = ud;
	}
	mutex_unlock(&guest->lock);
	if (ret) {
		kvfree(ud);
		return ERR_PTR(ret);
	}
	return ud;
}

/* Give the number back. */
static void user_dev_forget(struct user_dev *ud)
{
	struct user_guest *guest = ud->guest;
	bool ours;

	mutex_lock(&guest->lock);
	ours = guest->devs[ud->id] == ud;
	if (ours) {
		guest->devs[ud->id] = NULL;
		clear_bit(ud->id, guest->ready);
	}
	mutex_unlock(&guest->lock);
	if (ours)
		user_dev_put(ud);
}

int user_ioctl_dev_add(void *ctx, void *arg, struct vbe_new_fd *nfd)
{
	struct netlink_ext_ack extack = { };
	struct vbe_guest_dev_add *a = arg;
	struct user_guest *guest = ctx;
	struct vbe_dev_params p = { };
	struct user_dev *ud;
	int ret;

	ret = user_params(guest, a, &p);
	if (ret)
		return ret;
	ud = user_dev_new(guest);
	if (IS_ERR(ud))
		return PTR_ERR(ud);
	p.provider_data = ud;
	ret = vbe_device_create(&p, &extack);
	if (ret) {
		user_dev_forget(ud);
		vbe_fail(&guest->why, ret, extack._msg ?: "the device could not be made");
	} else {
		mutex_lock(&guest->lock);
		ud->made = true;
		mutex_unlock(&guest->lock);
		a->out_dev = ud->id;
	}
	user_dev_put(ud);
	return ret;
}

int user_ioctl_dev_del(void *ctx, void *arg, struct vbe_new_fd *nfd)
{
	struct netlink_ext_ack extack = { };
	struct user_guest *guest = ctx;
	struct vbe_guest_dev *d = arg;
	struct user_dev *ud;
	int ret = 0;

	mutex_lock(&guest->lock);
	ud = user_dev_at(guest, d->dev);
	if (ud && ud->made)
		kref_get(&ud->ref);
	else
		ud = NULL;
	mutex_unlock(&guest->lock);
	if (!ud)
		return vbe_fail(&guest->why, -ENOENT, "the guest has no device of this number");
	if (!READ_ONCE(ud->dead))
		ret = vbe_device_delete(ud->vbe, &extack);
	/* The administrator may have been faster. */
	if (READ_ONCE(ud->dead)) {
		user_dev_forget(ud);
		ret = 0;
	}
	user_dev_put(ud);
	if (ret)
		vbe_fail(&guest->why, ret, extack._msg);
	return ret;
}

static struct user_dev *user_dev_next_alive(struct user_guest *guest)
{
	struct user_dev *ud = NULL;
	u32 i;

	mutex_lock(&guest->lock);
	for (i = 0; i < VBE_GUEST_MAX_DEVICES && !ud; i++)
		if (guest->devs[i] && guest->devs[i]->vbe && !guest->devs[i]->dead)
			ud = guest->devs[i];
	if (ud)
		kref_get(&ud->ref);
	mutex_unlock(&guest->lock);
	return ud;
}

/**
 * user_guest_delete_devs() - the guest is dead
 * @guest: marked so: no device is added any more
 *
 * One that is being made, or deleted by somebody else, is waited for.
 * Context: a kernel thread: no signal.
 */
void user_guest_delete_devs(struct user_guest *guest)
{
	struct netlink_ext_ack extack = { };
	struct user_dev *ud;
	u32 i;

	while ((ud = user_dev_next_alive(guest))) {
		if (vbe_device_delete(ud->vbe, &extack))
			msleep(20);
		user_dev_put(ud);
	}
	for (i = 0; i < VBE_GUEST_MAX_DEVICES; i++) {
		mutex_lock(&guest->lock);
		ud = guest->devs[i] && guest->devs[i]->dead ? guest->devs[i] : NULL;
		mutex_unlock(&guest->lock);
		if (ud)
			user_dev_forget(ud);
	}
}

static void user_info_fill(struct user_dev *ud, struct vbe_guest_dev_info *info)
{
	struct vbe_device *dev = ud->vbe;
	const struct vbe_transport_ops *transport = dev->transport;

	lockdep_assert_held(&dev->lock);
	/* From DEAD on the transport's part may be gone. */
	if (dev->state == VBE_DEV_DEAD) {
		*info = (struct vbe_guest_dev_info) {
			.size = info->size, .dev = ud->id, .state = VBE_DEV_DEAD,
		};
		return;
	}
	*info = (struct vbe_guest_dev_info) {
		.size = info->size,
		.dev = ud->id,
		.flags = (dev->client ? VBE_GUEST_INFO_F_BACKEND : 0) |
			 (dev->setup_flags & VBE_SETUP_F_QUEUE_STOP ?
			  VBE_GUEST_INFO_F_QUEUE_STOP : 0) |
			 (user_line(ud) ? VBE_GUEST_INFO_F_LINE : 0),
		.state = dev->state,
		.virtio_id = dev->virtio_id,
		.vendor_id = dev->vendor_id,
		.status = dev->status,
		.n_queues = dev->n_queues,
		.features = dev->features,
		.driver_features = dev->driver_features,
		.config_size = dev->config_size,
		.config_generation = dev->config_generation,
		.inflight_size = dev->inflight_size,
		.n_vectors = transport->n_vectors ? transport->n_vectors(dev) : 0,
	};
}

int user_ioctl_dev_info(void *ctx, void *arg, struct vbe_new_fd *nfd)
{
	struct vbe_guest_dev_info *info = arg;
	struct user_dev *ud = user_dev_get(ctx, info->dev);

	if (IS_ERR(ud))
		return PTR_ERR(ud);
	mutex_lock(&ud->vbe->lock);
	user_info_fill(ud, info);
	mutex_unlock(&ud->vbe->lock);
	user_dev_put(ud);
	return 0;
}
