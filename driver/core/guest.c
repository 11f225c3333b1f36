// SPDX-License-Identifier: GPL-2.0
/*
 * Guests: from the address of a trapped access to a device.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * A provider that traps hands over space, address, size and data. The region that
 * covers it tells the device, and the device's transport answers: at once, in whatever
 * context the trap came, or in a process if it has to ask a backend.
 *
 * What keeps a device while its transport runs:
 *
 *  atomic	RCU. Whoever takes a device away removes its regions, and waits.
 *  process	vbe_device.fe_users, taken under RCU. Likewise waited for.
 *
 * The same two keep what a backend described (queues, config): vbe_fe_close() lets
 * nobody in any more as for a device that is there, and waits for who is in.
 */
#include <linux/slab.h>

#include "trace.h"
#include "vbe.h"

#define VBE_PIO_END	0x10000ULL
#define VBE_PCI_END	BIT_ULL(44)	/* 32 bits of PCI address, 12 of offset */

/**
 * vbe_guest_new() - a guest without devices
 * @name: for show
 *
 * Return: the guest with a reference for the caller, or NULL when out of memory.
 */
struct vbe_guest *vbe_guest_new(const char *name)
{
	struct vbe_guest *guest = kzalloc(sizeof(*guest), GFP_KERNEL_ACCOUNT);

	if (!guest)
		return NULL;
	kref_init(&guest->ref);
	strscpy(guest->name, name, sizeof(guest->name));
	mutex_init(&guest->lock);
	seqcount_init(&guest->seq);
	return guest;
}
EXPORT_SYMBOL_GPL(vbe_guest_new);

static void vbe_guest_release(struct kref *ref)
{
	struct vbe_guest *guest = container_of(ref, struct vbe_guest, ref);

	kvfree(rcu_dereference_protected(guest->map, 1));
	kfree(guest);
}

void vbe_guest_get(struct vbe_guest *guest)
{
	kref_get(&guest->ref);
}
EXPORT_SYMBOL_GPL(vbe_guest_get);

/**
 * vbe_guest_put() - drop a reference
 * @guest: guest
 */
void vbe_guest_put(struct vbe_guest *guest)
{
	kref_put(&guest->ref, vbe_guest_release);
}
EXPORT_SYMBOL_GPL(vbe_guest_put);

/* ---- regions ------------------------------------------------------------------ */

static struct vbe_region_map *vbe_map_locked(struct vbe_guest *guest)
{
	return rcu_dereference_protected(guest->map, lockdep_is_held(&guest->lock));
}

/* Is (@space, @addr) before region @r? */
static bool vbe_addr_before(u32 space, u64 addr, const struct vbe_region *r)
{
	return space < r->space || (space == r->space && addr < r->base);
}

/* The place of the first region that begins behind (@space, @addr). */
static u32 vbe_map_place(const struct vbe_region_map *map, u32 space, u64 addr)
{
	u32 low = 0, high = min(READ_ONCE(map->n), map->max);

	while (low < high) {
		u32 middle = (low + high) / 2;

		if (vbe_addr_before(space, addr, &map->regions[middle]))
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

/* Does @r cover all of [@addr, @addr + @len)? */
static bool vbe_region_covers(const struct vbe_region *r, u32 space, u64 addr, u32 len)
{
	return r->space == space && addr >= r->base && addr - r->base < r->len &&
	       len <= r->len - (addr - r->base);
}

/*
 * Find the region of an access, by value: the map may change at any time. The device is
 * there as long as the caller's RCU read-side section lasts.
 */
static bool vbe_region_find(struct vbe_guest *guest, u32 space, u64 addr, u32 len,
			    struct vbe_region *region)
{
	struct vbe_region_map *map;
	unsigned int seq;
	bool found;
	u32 place;

	do {
		seq = read_seqcount_begin(&guest->seq);
		map = rcu_dereference(guest->map);
		found = false;
		if (!map)
			continue;
		place = vbe_map_place(map, space, addr);
		if (!place)
			continue;
		*region = map->regions[place - 1];
		found = true;
	} while (read_seqcount_retry(&guest->seq, seq));
	return found && vbe_region_covers(region, space, addr, len);
}

static struct vbe_region *vbe_region_of(struct vbe_region_map *map,
					const struct vbe_device *dev, u32 index)
{
	u32 i;

	for (i = 0; map && i < map->n; i++)
		if (map->regions[i].dev == dev && map->regions[i].index == index)
			return &map->regions[i];
	return NULL;
}

/*
 * The map changes with interrupts off: a trap that comes in as an interrupt on this CPU
 * would wait for ever for the change to end.
 */
static void vbe_map_remove(struct vbe_guest *guest, struct vbe_region *r)
{
	struct vbe_region_map *map = vbe_map_locked(guest);
	unsigned long flags;

	local_irq_save(flags);
	write_seqcount_begin(&guest->seq);
	map->n--;
	memmove(r, r + 1, (char *)&map->regions[map->n] - (char *)r);
	write_seqcount_end(&guest->seq);
	local_irq_restore(flags);
}

static void vbe_map_insert(struct vbe_guest *guest, const struct vbe_region *r)
{
	struct vbe_region_map *map = vbe_map_locked(guest);
	u32 place = vbe_map_place(map, r->space, r->base);
	unsigned long flags;

	local_irq_save(flags);
	write_seqcount_begin(&guest->seq);
	memmove(&map->regions[place + 1], &map->regions[place],
		(map->n - place) * sizeof(*r));
	map->regions[place] = *r;
	map->n++;
	write_seqcount_end(&guest->seq);
	local_irq_restore(flags);
}

static int vbe_map_grow(struct vbe_guest *guest)
{
	struct vbe_region_map *old = vbe_map_locked(guest), *map;
	u32 max = old ? min(2 * old->max, VBE_MAX_REGIONS) : 8;

	if (old && old->n < old->max)
		return 0;
	if (old && old->n == VBE_MAX_REGIONS)
		return -ENOSPC;
	map = kvzalloc(struct_size(map, regions, max), GFP_NOIO | __GFP_ACCOUNT);
	if (!map)
		return -ENOMEM;
	map->max = max;
	if (old) {
		map->n = old->n;
		memcpy(map->regions, old->regions, old->n * sizeof(old->regions[0]));
	}
	/* The same contents: readers of either find the same. */
	rcu_assign_pointer(guest->map, map);
	if (old)
		kvfree_rcu(old, rcu);
	return 0;
}

static int vbe_region_check(struct vbe_guest *guest, const struct vbe_region *r)
{
	u64 end = r->space == VBE_SPACE_MMIO ? U64_MAX :
		  r->space == VBE_SPACE_PIO ? VBE_PIO_END : VBE_PCI_END;
	struct vbe_region_map *map = vbe_map_locked(guest);
	const struct vbe_region *near;
	u32 place;

	if (!r->len || r->base >= end || r->len > end - r->base)
		return -EINVAL;
	if (!map)
		return 0;
	place = vbe_map_place(map, r->space, r->base);
	near = &map->regions[place];
	if (place < map->n && near->space == r->space && near->base - r->base < r->len)
		return -EEXIST;
	if (place && vbe_region_covers(near - 1, r->space, r->base, 1))
		return -EEXIST;
	return 0;
}

static void vbe_region_unmap_locked(struct vbe_device *dev, u32 index)
{
	struct vbe_guest *guest = dev->guest;
	struct vbe_region *r = vbe_region_of(vbe_map_locked(guest), dev, index);
	struct vbe_region old;

	if (!r)
		return;
	old = *r;
	vbe_map_remove(guest, r);
	if (dev->provider->region_unmap)
		dev->provider->region_unmap(dev, &old);
}

/**
 * vbe_region_map() - let accesses to a range of addresses go to a device
 * @dev: device of a guest
 * @index: the transport's number; what it was mapped to before is unmapped first
 * @space: &enum vbe_space
 * @base: first address
 * @len: bytes
 *
 * Context: process, may sleep; takes the guest's lock.
 * Return: 0; EOPNOTSUPP (no accesses are trapped here), EINVAL (empty, or past the end of
 * the space), EEXIST (overlaps another), ENOSPC, ENOMEM, or what the provider says. Then
 * the region is not mapped.
 */
int vbe_region_map(struct vbe_device *dev, u32 index, u32 space, u64 base, u64 len)
{
	const struct vbe_region r = {
		.dev = dev, .index = index, .space = space, .base = base, .len = len,
	};
	struct vbe_guest *guest = dev->guest;
	int ret;

	if (!guest || space > VBE_SPACE_PCI)
		return guest ? -EINVAL : -EOPNOTSUPP;
	mutex_lock(&guest->lock);
	vbe_region_unmap_locked(dev, index);
	ret = vbe_region_check(guest, &r);
	if (!ret)
		ret = vbe_map_grow(guest);
	if (!ret && dev->provider->region_map)
		ret = dev->provider->region_map(dev, &r);
	if (!ret)
		vbe_map_insert(guest, &r);
	mutex_unlock(&guest->lock);
	return ret;
}

/**
 * vbe_region_unmap() - accesses to a region go nowhere any more
 * @dev: device
 * @index: region; not being mapped is no error
 *
 * An access that is under way may still come to the transport.
 * Context: process, may sleep; takes the guest's lock.
 */
void vbe_region_unmap(struct vbe_device *dev, u32 index)
{
	if (!dev->guest)
		return;
	mutex_lock(&dev->guest->lock);
	vbe_region_unmap_locked(dev, index);
	mutex_unlock(&dev->guest->lock);
}

/**
 * vbe_region_base() - where a region is
 * @dev: device
 * @index: region
 *
 * Context: process, may sleep; takes the guest's lock.
 * Return: its first address, or 0 when it is not mapped.
 */
u64 vbe_region_base(struct vbe_device *dev, u32 index)
{
	struct vbe_region *r;
	u64 base = 0;

	if (!dev->guest)
		return 0;
	mutex_lock(&dev->guest->lock);
	r = vbe_region_of(vbe_map_locked(dev->guest), dev, index);
	if (r)
		base = r->base;
	mutex_unlock(&dev->guest->lock);
	return base;
}

static void vbe_fe_wait(struct vbe_device *dev)
{
	/* Who is in by RCU alone, or is about to take fe_users. */
	synchronize_rcu();
	wait_event(dev->hidden, !atomic_read(&dev->fe_users));
	/* The last one may not have done waking us: see vbe_fe_leave(). */
	synchronize_rcu();
}

/**
 * vbe_regions_drop() - unmap all regions of a device, and wait for accesses to it
 * @dev: device; no backend is attached
 *
 * Context: process, may sleep.
 */
void vbe_regions_drop(struct vbe_device *dev)
{
	struct vbe_region_map *map;
	u32 i;

	if (!dev->guest)
		return;
	mutex_lock(&dev->guest->lock);
	map = vbe_map_locked(dev->guest);
	/* Downwards, as each one that goes moves those behind it. */
	for (i = map ? map->n : 0; i--;)
		if (map->regions[i].dev == dev)
			vbe_region_unmap_locked(dev, map->regions[i].index);
	mutex_unlock(&dev->guest->lock);
	vbe_fe_wait(dev);
}

/* ---- the FE comes and goes ---------------------------------------------------- */

static bool vbe_fe_present(struct vbe_device *dev)
{
	return READ_ONCE(dev->visible) && !READ_ONCE(dev->leaving) &&
	       READ_ONCE(dev->state) != VBE_DEV_DEAD;
}

/**
 * vbe_fe_enter() - begin an operation of the FE in process context
 * @dev: device
 *
 * Context: any. On success vbe_fe_leave() must follow.
 * Return: false when the device is not shown.
 */
bool vbe_fe_enter(struct vbe_device *dev)
{
	bool present;

	rcu_read_lock();
	present = vbe_fe_present(dev);
	if (present)
		atomic_inc(&dev->fe_users);
	rcu_read_unlock();
	return present;
}
EXPORT_SYMBOL_GPL(vbe_fe_enter);

/**
 * vbe_fe_leave() - end an operation of the FE
 * @dev: device
 */
void vbe_fe_leave(struct vbe_device *dev)
{
	/* The waiter may free the device once it sees zero: wake it under RCU. */
	rcu_read_lock();
	if (atomic_dec_and_test(&dev->fe_users))
		wake_up_all(&dev->hidden);
	rcu_read_unlock();
}
EXPORT_SYMBOL_GPL(vbe_fe_leave);

/**
 * vbe_fe_close() - no operation of the FE is under way, and none will begin
 * @dev: device; vbe_device_hidden() follows
 *
 * Accesses are answered as for a device that is not there.
 * Context: process; sleeps for as long as one that waits for a backend: the reset
 * time-out at most.
 */
void vbe_fe_close(struct vbe_device *dev)
{
	WRITE_ONCE(dev->leaving, true);
	vbe_fe_wait(dev);
}
EXPORT_SYMBOL_GPL(vbe_fe_close);

void vbe_fe_vanish_work(struct work_struct *work)
{
	struct vbe_device *dev = container_of(work, struct vbe_device, vanish);
	bool wanted;

	/* Asked for twice, the second run may find it shown again, to another backend. */
	mutex_lock(&dev->lock);
	wanted = dev->visible && dev->state == VBE_DEV_OFFLINING;
	mutex_unlock(&dev->lock);
	if (!wanted)
		return;
	vbe_fe_close(dev);
	vbe_device_hidden(dev);
}

/**
 * vbe_fe_vanish() - hide() of providers whose drivers are not asked to leave
 * @dev: device
 * @force: no difference
 *
 * The driver just sees the device vanish. That is a work item of the device: queues that
 * deaths of guests wait on could be full of such, and wait for this. It has ended when
 * dev_del is called.
 * Context: dev->lock held.
 */
void vbe_fe_vanish(struct vbe_device *dev, bool force)
{
	queue_work(dev->wq, &dev->vanish);
}
EXPORT_SYMBOL_GPL(vbe_fe_vanish);

/* ---- accesses ------------------------------------------------------------------ */

static int vbe_access_do(const struct vbe_region *r, u64 addr, bool present, bool may_sleep,
			 struct vbe_access *a)
{
	struct vbe_device *dev = r->dev;
	int ret;

	a->region = r->index;
	a->offset = addr - r->base;
	a->present = present;
	ret = dev->transport->access(dev, a, may_sleep);
	if (ret != -EWOULDBLOCK) {
		atomic64_inc(&dev->stats.accesses);
		trace_vbe_access(dev, a->write, a->offset, a->len);
	}
	return ret;
}

/**
 * vbe_guest_access_atomic() - a trapped access, in interrupt context
 * @guest: guest
 * @space: &enum vbe_space
 * @addr: address
 * @a: @len, @write, and @data of a store; gets the rest
 *
 * Context: any.
 * Return: 0; ENOENT (no region covers all of it); EWOULDBLOCK: nothing has happened, and
 * vbe_guest_access() must be called in a process.
 */
int vbe_guest_access_atomic(struct vbe_guest *guest, u32 space, u64 addr,
			    struct vbe_access *a)
{
	struct vbe_region r;
	int ret = -ENOENT;

	rcu_read_lock();
	if (vbe_region_find(guest, space, addr, a->len, &r))
		ret = vbe_access_do(&r, addr, vbe_fe_present(r.dev), false, a);
	rcu_read_unlock();
	return ret;
}
EXPORT_SYMBOL_GPL(vbe_guest_access_atomic);

/**
 * vbe_guest_access() - a trapped access, in a process
 * @guest: guest
 * @space: &enum vbe_space
 * @addr: address
 * @a: @len, @write, and @data of a store; gets the rest
 *
 * Context: process; sleeps at most for the device's reset time-out.
 * Return: 0; ENOENT (no region covers all of it); EINPROGRESS: a signal came, see
 * &struct vbe_access.pending.
 */
int vbe_guest_access(struct vbe_guest *guest, u32 space, u64 addr, struct vbe_access *a)
{
	struct vbe_region r;
	bool entered = false;
	int ret;

	if (!a->pending) {
		ret = vbe_guest_access_atomic(guest, space, addr, a);
		if (ret != -EWOULDBLOCK)
			return ret;
	}
	ret = -ENOENT;
	rcu_read_lock();
	if (vbe_region_find(guest, space, addr, a->len, &r)) {
		entered = vbe_fe_enter(r.dev);
		/*
		 * One that is not there, or leaves, answers at once. Were it entered all the
		 * same, a guest that comes again and again would keep who waits for fe_users
		 * waiting.
		 */
		if (!entered)
			ret = vbe_access_do(&r, addr, false, false, a);
	}
	rcu_read_unlock();
	if (!entered)
		return ret;
	ret = vbe_access_do(&r, addr, true, true, a);
	vbe_fe_leave(r.dev);
	return ret;
}
EXPORT_SYMBOL_GPL(vbe_guest_access);

/**
 * vbe_device_eoi() - the guest acknowledged the device's wired interrupt
 * @dev: device
 * @nested: inside an eventfd wake-up
 *
 * Context: any.
 */
void vbe_device_eoi(struct vbe_device *dev, bool nested)
{
	rcu_read_lock();
	if (vbe_fe_present(dev) && dev->transport->eoi)
		dev->transport->eoi(dev, nested);
	rcu_read_unlock();
}
EXPORT_SYMBOL_GPL(vbe_device_eoi);
