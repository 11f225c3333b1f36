// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
/*
 * The memory table. A region that goes while rings run could be in use: they are stopped first,
 * and go on afterwards where they ended, if they still lie in memory.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "vbe-vhost-user.h"

static bool overlap(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
	return a < b ? b - a < a_len : a - b < b_len;
}

/* The same user addresses may well stand for two places in the guest. */
static bool regions_clash(const struct region *a, const struct region *b)
{
	return overlap(a->guest_addr, a->size, b->guest_addr, b->size);
}

static bool same_region(const struct region *a, const struct region *b)
{
	return a->guest_addr == b->guest_addr && a->user_addr == b->user_addr &&
	       a->size == b->size && a->offset == b->offset && a->dev == b->dev &&
	       a->ino == b->ino;
}

/* From the message to ours. Neither addresses nor the offset may wrap, nor reach the last page. */
static int region_parse(struct region *r, const struct vu_region *v, int fd)
{
	const uint64_t room = UINT64_MAX - 0xffff;
	struct stat st;

	if (!v->size || v->size > room || v->guest_addr > room - v->size ||
	    v->user_addr > room - v->size || v->mmap_offset > room - v->size) {
		complain("front-end: memory at 0x%" PRIx64 ", 0x%" PRIx64 " bytes: empty or wrapping",
			 v->guest_addr, v->size);
		return -EINVAL;
	}
	*r = (struct region) {
		.guest_addr = v->guest_addr,
		.user_addr = v->user_addr,
		.size = v->size,
		.offset = v->mmap_offset,
	};
	if (fd < 0)
		return 0;
	if (fstat(fd, &st) < 0)
		return -errno;
	r->dev = st.st_dev;
	r->ino = st.st_ino;
	return 0;
}

/**
 * memory_translate() - from a user address of the front-end to a guest-physical one
 * @s: session
 * @user: first
 * @len: bytes, all of which must lie in one region
 * @guest: set
 */
bool memory_translate(const struct session *s, uint64_t user, uint64_t len, __u64 *guest)
{
	for (unsigned int i = 0; i < s->n_regions; i++) {
		const struct region *r = &s->regions[i];

		if (user >= r->user_addr && user - r->user_addr < r->size &&
		    len <= r->size - (user - r->user_addr)) {
			*guest = r->guest_addr + (user - r->user_addr);
			return true;
		}
	}
	return false;
}

static int add(struct session *s, const struct region *r, int fd)
{
	int ret;

	if (s->n_regions == VBE_GUEST_MAX_MEM) {
		complain("front-end: more than %u memory regions", VBE_GUEST_MAX_MEM);
		return -ENOSPC;
	}
	for (unsigned int i = 0; i < s->n_regions; i++) {
		if (regions_clash(r, &s->regions[i])) {
			complain("front-end: memory at 0x%" PRIx64 " overlaps another region",
				 r->guest_addr);
			return -EEXIST;
		}
	}
	ret = guest_mem_add(s->g, r, fd);
	if (!ret)
		s->regions[s->n_regions++] = *r;
	return ret;
}

static int del(struct session *s, unsigned int i)
{
	int ret = guest_mem_del(s->g, &s->regions[i]);

	if (!ret)
		s->regions[i] = s->regions[--s->n_regions];
	return ret;
}

/** memory_drop() - take all memory back */
void memory_drop(struct session *s)
{
	while (s->n_regions) {
		guest_mem_del(s->g, &s->regions[s->n_regions - 1]);
		s->n_regions--;
	}
}

static const struct region *find(const struct region *table, unsigned int n,
				 const struct region *r)
{
	for (unsigned int i = 0; i < n; i++)
		if (same_region(&table[i], r))
			return &table[i];
	return NULL;
}

/* What is in the table and not in @want goes. Rings have been stopped if any does. */
static int del_others(struct session *s, const struct region *want, unsigned int n)
{
	int ret = 0;

	for (unsigned int i = 0; i < s->n_regions && !ret; ) {
		if (find(want, n, &s->regions[i])) {
			i++;
			continue;
		}
		ret = del(s, i);
	}
	return ret;
}

static bool any_goes(const struct session *s, const struct region *want, unsigned int n)
{
	for (unsigned int i = 0; i < s->n_regions; i++)
		if (!find(want, n, &s->regions[i]))
			return true;
	return false;
}

static int table_parse(struct region *want, const struct message *m)
{
	const struct vu_mem_table *t = &m->p.table;
	int ret = 0;

	if (t->n_regions > VU_MAX_REGIONS || t->n_regions != m->n_fds ||
	    m->h.size != offsetof(struct vu_mem_table, regions[t->n_regions])) {
		complain("front-end: SET_MEM_TABLE: %u regions in %u bytes with %u files",
			 t->n_regions, m->h.size, m->n_fds);
		return -EPROTO;
	}
	for (unsigned int i = 0; i < t->n_regions && !ret; i++) {
		ret = region_parse(&want[i], &t->regions[i], m->fds[i]);
		for (unsigned int j = 0; j < i && !ret; j++) {
			if (!regions_clash(&want[i], &want[j]))
				continue;
			complain("front-end: SET_MEM_TABLE: regions %u and %u overlap", j, i);
			ret = -EINVAL;
		}
	}
	return ret;
}

int request_set_mem_table(struct session *s, struct message *m)
{
	struct region want[VU_MAX_REGIONS];
	unsigned int n;
	int ret = table_parse(want, m);

	if (ret)
		return ret;
	n = m->p.table.n_regions;
	if (any_goes(s, want, n)) {
		ret = rings_pause(s);
		if (!ret)
			ret = del_others(s, want, n);
	}
	for (unsigned int i = 0; i < n && !ret; i++)
		if (!find(s->regions, s->n_regions, &want[i]))
			ret = add(s, &want[i], m->fds[i]);
	return ret ? ret : rings_update(s, false);
}

int request_add_mem_reg(struct session *s, struct message *m)
{
	struct region r;
	int ret = region_parse(&r, &m->p.region.region, m->fds[0]);

	if (!ret)
		ret = add(s, &r, m->fds[0]);
	return ret ? ret : rings_update(s, false);
}

/* Some front-ends send a file with it, which says nothing; the offset does not count, either. */
int request_rem_mem_reg(struct session *s, struct message *m)
{
	const struct vu_region *v = &m->p.region.region;
	unsigned int i;
	int ret;

	for (i = 0; i < s->n_regions; i++) {
		const struct region *r = &s->regions[i];

		if (r->guest_addr == v->guest_addr && r->user_addr == v->user_addr &&
		    r->size == v->size)
			break;
	}
	if (i == s->n_regions) {
		complain("front-end: REM_MEM_REG: there is no memory at 0x%" PRIx64 ", 0x%" PRIx64
			 " bytes", v->guest_addr, v->size);
		return -ENOENT;
	}
	ret = rings_pause(s);
	if (!ret)
		ret = del(s, i);
	return ret ? ret : rings_update(s, false);
}
