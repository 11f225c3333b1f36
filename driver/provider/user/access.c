// SPDX-License-Identifier: GPL-2.0
/*
 * What a vCPU did: accesses of register transports.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <linux/log2.h>

#include "user.h"

static int user_access_check(struct user_guest *guest, const struct vbe_guest_access *g)
{
	if (g->flags & ~(VBE_ACCESS_F_WRITE | VBE_ACCESS_F_PENDING | VBE_ACCESS_F_EVENTS))
		return vbe_fail(&guest->why, -EINVAL, "unknown flags");
	if (g->len > 8 || !is_power_of_2(g->len))
		return vbe_fail(&guest->why, -EINVAL, "len must be 1, 2, 4 or 8");
	if (g->space > VBE_SPACE_PCI)
		return vbe_fail(&guest->why, -EINVAL, "unknown address space");
	if (READ_ONCE(guest->dead))
		return vbe_fail(&guest->why, -ENODEV, "the guest is dead");
	return 0;
}

static u64 user_access_mask(u32 len)
{
	return len == 8 ? U64_MAX : BIT_ULL(8 * len) - 1;
}

/**
 * user_ioctl_access() - GUEST_ACCESS
 * @ctx: guest
 * @arg: struct vbe_guest_access
 * @nfd: not used
 *
 * Takes no lock; a register that needs no backend is answered without sleeping.
 */
int user_ioctl_access(void *ctx, void *arg, struct vbe_new_fd *nfd)
{
	struct vbe_guest_access *g = arg;
	struct user_guest *guest = ctx;
	struct vbe_access a;
	int ret;

	ret = user_access_check(guest, g);
	if (unlikely(ret))
		return ret;
	a = (struct vbe_access) {
		.len = g->len,
		.write = g->flags & VBE_ACCESS_F_WRITE,
		.pending = g->flags & VBE_ACCESS_F_PENDING,
		.cookie = g->cookie,
		.data = g->data & user_access_mask(g->len),
	};
	ret = vbe_guest_access(guest->core, g->space, g->addr, &a);
	g->flags &= VBE_ACCESS_F_WRITE;
	if (ret == -EINPROGRESS) {
		g->flags |= VBE_ACCESS_F_PENDING;
		g->cookie = a.cookie;
	} else if (ret == -ENOENT && a.pending) {
		return vbe_fail(&guest->why, -ENODEV, "the device of this cookie is gone");
	} else if (ret == -ENOENT) {
		return vbe_fail(&guest->why, ret, "no device of the guest claims all of this");
	} else if (ret) {
		return vbe_fail(&guest->why, ret, "the access could not be answered");
	} else if (!a.write) {
		g->data = a.data & user_access_mask(g->len);
	}
	if (user_events_pending(guest))
		g->flags |= VBE_ACCESS_F_EVENTS;
	return 0;
}

/**
 * user_ioctl_eoi() - GUEST_EOI
 * @ctx: guest
 * @arg: struct vbe_guest_dev
 * @nfd: not used
 */
int user_ioctl_eoi(void *ctx, void *arg, struct vbe_new_fd *nfd)
{
	struct vbe_guest_dev *d = arg;
	struct user_dev *ud = user_dev_get(ctx, d->dev);

	if (IS_ERR(ud))
		return PTR_ERR(ud);
	vbe_device_eoi(ud->vbe, false);
	user_dev_put(ud);
	return 0;
}
