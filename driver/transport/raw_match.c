// SPDX-License-Identifier: GPL-2.0
/*
 * Raw transport: stores that signal an eventfd and are answered in the kernel.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * A store finds its match under RCU and without a lock, in the hypervisor's
 * interrupt if need be. No two matches can fit one store, so the first is the one.
 */
#include <linux/rculist.h>
#include <linux/slab.h>

#include "raw.h"

/**
 * struct vbe_raw_doorbell - a store that signals an eventfd
 * @link: in vbe_raw.doorbells
 * @offset: in the region
 * @data: with VBE_RAW_MATCH_F_DATA: the only value that matches
 * @region: region index
 * @len: bytes of the store; 0: any
 * @flags: VBE_RAW_MATCH_F_DATA or 0
 * @ctx: eventfd, reference held
 * @wq: where @work runs
 * @work: signals where eventfd_signal() is not allowed
 */
struct vbe_raw_doorbell {
	struct list_head link;
	u64 offset;
	u64 data;
	u32 region;
	u32 len;
	u32 flags;
	struct eventfd_ctx *ctx;
	struct workqueue_struct *wq;
	struct work_struct work;
};

void vbe_raw_match_init(struct vbe_raw *raw)
{
	INIT_LIST_HEAD(&raw->doorbells);
}

static void vbe_raw_match_work(struct work_struct *work)
{
	struct vbe_raw_doorbell *m = container_of(work, struct vbe_raw_doorbell, work);

	vbe_eventfd_signal(m->ctx);
}

static bool vbe_raw_match_fits(const struct vbe_raw_doorbell *m, const struct vbe_access *a)
{
	return m->offset == a->offset && m->region == a->region &&
	       (!m->len || m->len == a->len) &&
	       (!(m->flags & VBE_RAW_MATCH_F_DATA) || m->data == a->data);
}

/**
 * vbe_raw_match_hit() - signal the eventfd of a store, if it matches
 * @raw: device's
 * @a: a store, its data masked to its length
 *
 * Context: any.
 * Return: true when it did: the store is answered.
 */
bool vbe_raw_match_hit(struct vbe_raw *raw, const struct vbe_access *a)
{
	struct vbe_raw_doorbell *m;
	bool hit = false;

	rcu_read_lock();
	list_for_each_entry_rcu(m, &raw->doorbells, link) {
		if (!vbe_raw_match_fits(m, a))
			continue;
		if (eventfd_signal_allowed())
			vbe_eventfd_signal(m->ctx);
		else
			queue_work(m->wq, &m->work);
		hit = true;
		break;
	}
	rcu_read_unlock();
	return hit;
}

/* No store finds it any more. What was deferred is signalled before it goes. */
static void vbe_raw_match_free(struct vbe_raw_doorbell *m)
{
	if (cancel_work_sync(&m->work))
		vbe_eventfd_signal(m->ctx);
	eventfd_ctx_put(m->ctx);
	kfree(m);
}

/**
 * vbe_raw_match_drop() - forget all matches
 * @raw: device's; dev->lock held
 *
 * When it returns, no store signals any more.
 * Context: process, may sleep.
 */
void vbe_raw_match_drop(struct vbe_raw *raw)
{
	struct vbe_raw_doorbell *m, *next;
	LIST_HEAD(dead);

	lockdep_assert_held(&raw->dev->lock);
	if (list_empty(&raw->doorbells))
		return;
	raw->n_doorbells = 0;
	list_splice_init_rcu(&raw->doorbells, &dead, synchronize_rcu);
	list_for_each_entry_safe(m, next, &dead, link)
		vbe_raw_match_free(m);
}

/* May one store fit both? */
static bool vbe_raw_match_overlap(const struct vbe_raw_doorbell *m,
				  const struct vbe_raw_doorbell *n)
{
	return m->region == n->region && m->offset == n->offset &&
	       (m->len == n->len || !m->len || !n->len) &&
	       (!(m->flags & VBE_RAW_MATCH_F_DATA) || !(n->flags & VBE_RAW_MATCH_F_DATA) ||
		m->data == n->data);
}

static int vbe_raw_match_add(struct vbe_client *c, struct vbe_raw_doorbell *new)
{
	struct vbe_raw *raw = c->dev->transport_priv;
	struct vbe_raw_doorbell *m;

	lockdep_assert_held(&c->dev->lock);
	list_for_each_entry(m, &raw->doorbells, link)
		if (vbe_raw_match_overlap(m, new))
			return vbe_fail(&c->why, -EEXIST,
					"another match would take the same store");
	if (raw->n_doorbells >= VBE_RAW_MAX_MATCHES)
		return vbe_fail(&c->why, -ENOSPC, "the device has 64 matches already");
	raw->n_doorbells++;
	list_add_tail_rcu(&new->link, &raw->doorbells);
	return 0;
}

static int vbe_raw_match_assign(struct vbe_client *c, const struct vbe_raw_doorbell *key, int fd)
{
	struct vbe_raw_doorbell *m;
	int ret;

	m = kmemdup(key, sizeof(*m), GFP_KERNEL_ACCOUNT);
	if (!m)
		return vbe_fail(&c->why, -ENOMEM, "out of memory");
	m->ctx = eventfd_ctx_fdget(fd);
	if (IS_ERR(m->ctx)) {
		ret = vbe_fail(&c->why, PTR_ERR(m->ctx), "fd is not an eventfd");
		goto free;
	}
	m->wq = c->dev->wq;
	INIT_WORK(&m->work, vbe_raw_match_work);
	ret = vbe_raw_lock(c);
	if (!ret) {
		ret = vbe_raw_match_add(c, m);
		mutex_unlock(&c->dev->lock);
	}
	if (!ret)
		return 0;
	eventfd_ctx_put(m->ctx);
free:
	kfree(m);
	return ret;
}

static bool vbe_raw_match_same(const struct vbe_raw_doorbell *m,
			       const struct vbe_raw_doorbell *key)
{
	return m->region == key->region && m->offset == key->offset && m->len == key->len &&
	       m->flags == key->flags && m->data == key->data;
}

static int vbe_raw_match_deassign(struct vbe_client *c, const struct vbe_raw_doorbell *key)
{
	struct vbe_raw *raw = c->dev->transport_priv;
	struct vbe_raw_doorbell *m, *found = NULL;
	int ret;

	ret = vbe_raw_lock(c);
	if (ret)
		return ret;
	list_for_each_entry(m, &raw->doorbells, link) {
		if (vbe_raw_match_same(m, key)) {
			found = m;
			raw->n_doorbells--;
			list_del_rcu(&m->link);
			break;
		}
	}
	mutex_unlock(&c->dev->lock);
	if (!found)
		return vbe_fail(&c->why, -ENOENT, "there is no such match");
	synchronize_rcu();
	vbe_raw_match_free(found);
	return 0;
}

static int vbe_raw_match_check(struct vbe_client *c, const struct vbe_raw_doorbell *key)
{
	if (key->region > VBE_RAW_MAX_REGIONS)
		return vbe_fail(&c->why, -EINVAL, "region must be 0 to 16");
	if (key->len > 8 || (key->len && !is_power_of_2(key->len)))
		return vbe_fail(&c->why, -EINVAL, "len must be 0, 1, 2, 4 or 8");
	/* Offsets of accesses have 32 bits. */
	if (key->offset > U32_MAX)
		return vbe_fail(&c->why, -EINVAL, "offset passes the end of every region");
	if (!(key->flags & VBE_RAW_MATCH_F_DATA) && key->data)
		return vbe_fail(&c->why, -EINVAL, "data without VBE_RAW_MATCH_F_DATA");
	if (key->len && key->len < 8 && key->data >> (8 * key->len))
		return vbe_fail(&c->why, -EINVAL, "data does not fit into len bytes");
	return 0;
}

/**
 * vbe_raw_ioctl_match() - RAW_MATCH
 * @ctx: client
 * @arg: &struct vbe_raw_match, copied in
 * @nfd: not used
 *
 * Context: process, may sleep; takes dev->lock.
 */
int vbe_raw_ioctl_match(void *ctx, void *arg, struct vbe_new_fd *nfd)
{
	const struct vbe_raw_match *match = arg;
	struct vbe_client *c = ctx;
	bool deassign = match->flags & VBE_RAW_MATCH_F_DEASSIGN;
	const struct vbe_raw_doorbell key = {
		.offset = match->offset,
		.data = match->data,
		.region = match->region,
		.len = match->len,
		.flags = match->flags & VBE_RAW_MATCH_F_DATA,
	};
	int ret;

	if (match->flags & ~(VBE_RAW_MATCH_F_DATA | VBE_RAW_MATCH_F_DEASSIGN))
		return vbe_fail(&c->why, -EINVAL, "unknown flags");
	if (match->__reserved)
		return vbe_fail(&c->why, -EINVAL, "reserved field is not zero");
	ret = vbe_raw_match_check(c, &key);
	if (ret)
		return ret;
	if (!deassign)
		return vbe_raw_match_assign(c, &key, match->fd);
	if (match->fd != -1)
		return vbe_fail(&c->why, -EINVAL, "fd must be -1 with VBE_RAW_MATCH_F_DEASSIGN");
	return vbe_raw_match_deassign(c, &key);
}
