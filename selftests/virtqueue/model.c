// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
#include <stdlib.h>
#include <string.h>
#include "model.h"

/*
 * The words of a ring are little-endian. A build with -DVBE_BIG_ENDIAN makes both sides swap on a
 * little-endian machine: then a word that the engine swaps twice, or not, is not understood.
 */
#ifdef VBE_BIG_ENDIAN
#define le16(x)		__builtin_bswap16(x)
#define le32(x)		__builtin_bswap32(x)
#define le64(x)		__builtin_bswap64(x)
#else
#define le16(x)		(x)
#define le32(x)		(x)
#define le64(x)		(x)
#endif

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the model of the driver needs a little-endian host"
#endif

#define F_NEXT		1
#define F_WRITE		2
#define F_INDIRECT	4
#define F_AVAIL		0x80
#define F_USED		0x8000

/* Ring memory is shared with the BE, maybe in another thread. */
static uint16_t get16(const void *p)
{
	return le16(__atomic_load_n((const uint16_t *)p, __ATOMIC_SEQ_CST));
}

static void put16(void *p, uint16_t v)
{
	__atomic_store_n((uint16_t *)p, le16(v), __ATOMIC_SEQ_CST);
}

static uint32_t get32(const void *p)
{
	return le32(__atomic_load_n((const uint32_t *)p, __ATOMIC_SEQ_CST));
}

static int guest_map(void *opaque, uint64_t addr, uint32_t len, bool write, void **host,
		     uint32_t *got)
{
	struct guest *g = opaque;
	uint64_t off = addr - GUEST_BASE;

	(void)write;
	if (off >= g->len)
		return -1;
	*host = g->mem + off;
	*got = g->len - off < len ? g->len - off : len + 5;
	if (*got > 4096 - off % 4096)
		*got = 4096 - off % 4096;
	return 0;
}

static int guest_read(void *opaque, uint64_t addr, void *dst, uint32_t len)
{
	struct guest *g = opaque;
	uint64_t off = addr - GUEST_BASE;
	uint16_t v;

	if (g->gone)
		return -1;
	CHECK(off <= g->len && len <= g->len - off);
	if (len == 2 && !(off & 1)) {
		v = le16(get16(g->mem + off));
		memcpy(dst, &v, 2);
	} else {
		memcpy(dst, g->mem + off, len);
	}
	return 0;
}

static int guest_write(void *opaque, uint64_t addr, const void *src, uint32_t len)
{
	struct guest *g = opaque;
	uint64_t off = addr - GUEST_BASE;
	uint16_t v;

	if (g->gone)
		return -1;
	CHECK(off <= g->len && len <= g->len - off);
	if (len == 2 && !(off & 1)) {
		memcpy(&v, src, 2);
		put16(g->mem + off, le16(v));
	} else {
		memcpy(g->mem + off, src, len);
	}
	return 0;
}

/* Pages in turn: mapped, by copy, left to the map callback; from the last one down. */
static void mixed_windows(struct guest *g)
{
	uint32_t page, n = 0;

	for (page = (g->len + 4095) / 4096; page--;) {
		struct vbe_vq_window *w = &g->windows[n];
		uint32_t off = page * 4096;

		if (page % 3 == 2 || n == 512)
			continue;
		w->fe_addr = GUEST_BASE + off;
		w->len = g->len - off < 4096 ? g->len - off : 4096;
		w->host = page % 3 == 0 ? g->mem + off : NULL;
		w->flags = 0;
		n++;
	}
	g->access.nr_windows = n;
	g->access.map = guest_map;
}

void guest_init(struct guest *g, uint32_t len, enum access access)
{
	memset(g, 0, sizeof(*g));
	g->len = len;
	/* Exactly that long, so that a sanitizer sees each access beyond it. */
	g->mem = calloc(1, len);
	g->access.windows = g->windows;
	g->access.opaque = g;
	g->access.read = guest_read;
	g->access.write = guest_write;
	if (access == ACCESS_MIXED) {
		mixed_windows(g);
		return;
	}
	g->windows[0].fe_addr = GUEST_BASE;
	g->windows[0].len = len;
	g->windows[0].host = access == ACCESS_COPY ? NULL : g->mem;
	g->access.nr_windows = 1;
}

void guest_free(struct guest *g)
{
	free(g->mem);
}

static uint32_t round_up(uint32_t v, uint32_t to)
{
	return (v + to - 1) / to * to;
}

void fe_init(struct fe *fe, const struct fe_opts *opts, uint64_t seed)
{
	uint32_t n = opts->size, desc, driver, device, data, i;

	memset(fe, 0, sizeof(*fe));
	rng_seed(&fe->rng, seed);
	fe->opts = *opts;
	fe->size = n;
	fe->packed = opts->features & VBE_VQ_F_RING_PACKED;
	fe->event_idx = opts->features & VBE_VQ_F_EVENT_IDX;
	fe->in_order = opts->features & VBE_VQ_F_IN_ORDER;
	fe->indirect = opts->features & VBE_VQ_F_INDIRECT_DESC;

	desc = 16;
	driver = desc + 16 * n;
	device = round_up(driver + (fe->packed ? 4 : 6 + 2 * n), 4);
	data = round_up(device + (fe->packed ? 4 : 6 + 8 * n), 16);
	guest_init(&fe->guest, data + n * FE_REGION, opts->access);
	fe->desc = fe->guest.mem + desc;
	fe->driver = fe->guest.mem + driver;
	fe->device = fe->guest.mem + device;
	fe->desc_addr = GUEST_BASE + desc;
	fe->driver_addr = GUEST_BASE + driver;
	fe->device_addr = GUEST_BASE + device;

	fe->req = calloc(n, sizeof(*fe->req));
	fe->order = calloc(n, sizeof(*fe->order));
	fe->free_desc = calloc(n, sizeof(*fe->free_desc));
	fe->free_region = calloc(n, sizeof(*fe->free_region));
	for (i = 0; i < n; i++) {
		fe->free_desc[i] = i;
		fe->free_region[i] = data + i * FE_REGION;
	}
	fe->nr_free = n;
	/* Nothing says that buffer IDs are small. */
	fe->id_base = fe->packed ? rng_next(&fe->rng) : 0;
	fe->avail_wrap = true;
	fe->used_wrap = true;
	if (!fe->packed) {
		fe->avail_idx = opts->start;
		fe->used_idx = opts->start;
		put16(fe->driver + 2, opts->start);
		put16(fe->device + 2, opts->start);
	}
	fe_calls(fe, true, 0);
}

void fe_free(struct fe *fe)
{
	guest_free(&fe->guest);
	free(fe->req);
	free(fe->order);
	free(fe->free_desc);
	free(fe->free_region);
}

void fe_config(const struct fe *fe, struct vbe_vq_config *cfg, struct vbe_vq_slot *slots,
	       void *inflight, size_t inflight_len)
{
	memset(cfg, 0, sizeof(*cfg));
	cfg->features = fe->opts.features | 1ull << 32;
	cfg->size = fe->size;
	cfg->desc_addr = fe->desc_addr;
	cfg->driver_addr = fe->driver_addr;
	cfg->device_addr = fe->device_addr;
	cfg->mem = &fe->guest.access;
	cfg->slots = slots;
	cfg->nr_slots = fe->size;
	cfg->inflight = inflight;
	cfg->inflight_len = inflight_len;
	if (!fe->packed && fe->opts.start) {
		cfg->flags = VBE_VQ_START;
		cfg->start_avail = fe->opts.start;
		cfg->start_used = fe->opts.start;
	}
}

static uint8_t read_byte(uint64_t tag, uint32_t i)
{
	return tag * 31 + i * 7 + (tag >> 8) + 1;
}

static uint8_t written_byte(uint64_t tag, uint32_t i)
{
	return tag * 13 + i * 3 + (tag >> 7) + 101;
}

/* Cuts a region into random elements: readable ones, then writable ones; some of length 0. */
static void make_segs(struct fe *fe, struct fe_req *r, uint32_t max)
{
	uint32_t i, k, reads, off = r->region + FE_REGION / 2;

	r->nr_segs = 1 + rng_below(&fe->rng, max);
	reads = rng_below(&fe->rng, r->nr_segs + 1);
	r->read_len = 0;
	r->write_len = 0;
	for (i = 0; i < r->nr_segs; i++) {
		struct fe_seg *s = &r->seg[i];
		uint32_t gap = rng_below(&fe->rng, 4);

		s->write = i >= reads;
		s->len = rng_below(&fe->rng, 8) ? 1 + rng_below(&fe->rng, 32) : 0;
		s->off = off + gap;
		off += gap + s->len;
		for (k = 0; k < s->len; k++)
			fe->guest.mem[s->off + k] =
				s->write ? 0xee : read_byte(r->tag, r->read_len + k);
		if (s->write)
			r->write_len += s->len;
		else
			r->read_len += s->len;
	}
}

static void put_desc(uint8_t *p, uint64_t addr, uint32_t len, uint16_t w12, uint16_t w14)
{
	addr = le64(addr);
	len = le32(len);
	w12 = le16(w12);
	w14 = le16(w14);
	memcpy(p, &addr, 8);
	memcpy(p + 8, &len, 4);
	memcpy(p + 12, &w12, 2);
	memcpy(p + 14, &w14, 2);
}

static uint16_t take_desc(struct fe *fe)
{
	uint32_t i;
	uint16_t d;

	fe->nr_free--;
	if (fe->in_order) {
		d = fe->next_desc;
		fe->next_desc = (d + 1) % fe->size;
		return d;
	}
	i = rng_below(&fe->rng, fe->nr_free + 1);
	d = fe->free_desc[i];
	fe->free_desc[i] = fe->free_desc[fe->nr_free];
	return d;
}

/* Writes elements from @from on to a table. In order the standard wants 0, 1, 2, ... */
static void make_table(struct fe *fe, const struct fe_req *r, uint32_t from)
{
	uint32_t n = r->nr_segs - from, i, at[FE_MAX_SEGS];
	uint8_t *table = fe->guest.mem + r->region;

	for (i = 0; i < n; i++)
		at[i] = i;
	for (i = n; !fe->in_order && !fe->packed && i-- > 2;) {
		uint32_t k = 1 + rng_below(&fe->rng, i), t = at[i];

		at[i] = at[k];
		at[k] = t;
	}
	for (i = 0; i < n; i++) {
		const struct fe_seg *s = &r->seg[from + i];
		uint16_t flags = s->write ? F_WRITE : 0;

		if (fe->packed)
			put_desc(table + 16 * i, GUEST_BASE + s->off, s->len, 0x5a5a, flags);
		else
			put_desc(table + 16 * at[i], GUEST_BASE + s->off, s->len,
				 flags | (i + 1 < n ? F_NEXT : 0), i + 1 < n ? at[i + 1] : 0);
	}
}

/* @direct elements stand in the ring; the rest, if any, in a table. Gives the head. */
static uint16_t add_split(struct fe *fe, struct fe_req *r, uint32_t direct)
{
	bool table = direct < r->nr_segs;
	uint16_t head;
	uint32_t i;

	r->nr_descs = direct + table;
	for (i = 0; i < r->nr_descs; i++)
		r->desc[i] = take_desc(fe);
	head = r->desc[0];
	for (i = 0; i < r->nr_descs; i++) {
		const struct fe_seg *s = &r->seg[i];
		bool last = i + 1 == r->nr_descs;
		uint16_t flags = last ? 0 : F_NEXT, next = last ? 0 : r->desc[i + 1];
		uint8_t *p = fe->desc + 16 * r->desc[i];

		if (i == direct)
			put_desc(p, GUEST_BASE + r->region, 16 * (r->nr_segs - direct),
				 F_INDIRECT | (rng_below(&fe->rng, 2) ? F_WRITE : 0), next);
		else
			put_desc(p, GUEST_BASE + s->off, s->len,
				 flags | (s->write ? F_WRITE : 0), next);
	}
	put16(fe->driver + 4 + 2 * (fe->avail_idx % fe->size), head);
	return head;
}

static void add_packed(struct fe *fe, struct fe_req *r, uint16_t id, bool table)
{
	uint32_t i, first = fe->next_avail;
	uint16_t flags, first_flags = 0;
	uint8_t *p;

	r->nr_descs = table ? 1 : r->nr_segs;
	fe->nr_free -= r->nr_descs;
	for (i = 0; i < r->nr_descs; i++) {
		const struct fe_seg *s = &r->seg[i];
		bool last = i + 1 == r->nr_descs;

		p = fe->desc + 16 * fe->next_avail;
		flags = fe->avail_wrap ? F_AVAIL : F_USED;
		if (table)
			flags |= F_INDIRECT | (rng_below(&fe->rng, 2) ? F_WRITE : 0);
		else
			flags |= (s->write ? F_WRITE : 0) | (last ? 0 : F_NEXT);
		/* The old flags stay until the rest is written. */
		put_desc(p, table ? GUEST_BASE + r->region : GUEST_BASE + s->off,
			 table ? 16 * r->nr_segs : s->len, last ? id : 0xdead, get16(p + 14));
		if (i)
			put16(p + 14, flags);
		else
			first_flags = flags;
		if (++fe->next_avail == fe->size) {
			fe->next_avail = 0;
			fe->avail_wrap = !fe->avail_wrap;
		}
	}
	put16(fe->desc + 16 * first + 14, first_flags);
}

static uint32_t free_index(struct fe *fe)
{
	uint32_t i = rng_below(&fe->rng, fe->size);

	while (fe->req[i].active)
		i = (i + 1) % fe->size;
	return i;
}

bool fe_add(struct fe *fe)
{
	bool table = fe->indirect && rng_below(&fe->rng, 2);
	struct fe_req r, *slot;
	uint32_t i, direct;

	if (!fe->nr_free)
		return false;
	memset(&r, 0, sizeof(r));
	r.active = true;
	r.tag = fe->next_tag++;
	r.region = fe->free_region[fe->size - fe->nr_active - 1];
	if (table || fe->nr_free > FE_MAX_SEGS)
		make_segs(fe, &r, FE_MAX_SEGS);
	else
		make_segs(fe, &r, fe->nr_free);
	direct = r.nr_segs;
	if (table) {
		direct = rng_below(&fe->rng, r.nr_segs);
		if (fe->packed || direct >= fe->nr_free)
			direct = 0;
		make_table(fe, &r, direct);
	}
	i = fe->packed ? free_index(fe) : add_split(fe, &r, direct);
	slot = &fe->req[i];
	CHECK(!slot->active);
	*slot = r;
	fe->order[fe->nr_active++] = i;
	/* From here on the BE may have it. */
	if (fe->packed)
		add_packed(fe, slot, fe->id_base + i, table);
	else
		put16(fe->driver + 2, ++fe->avail_idx);
	fe->added += fe->packed ? slot->nr_descs : 1;
	return true;
}

/* Counts back over what was added, one by one, as no engine would. */
static bool passed(struct fe *fe, uint32_t event, bool wrap)
{
	uint32_t pos = fe->next_avail, n;
	bool lap = fe->avail_wrap;

	for (n = fe->added; n; n--) {
		if (!fe->packed) {
			if ((uint16_t)(fe->avail_idx - n) == event)
				return true;
			continue;
		}
		if (!pos) {
			pos = fe->size;
			lap = !lap;
		}
		if (--pos == event && lap == wrap)
			return true;
	}
	return false;
}

bool fe_wants_kick(struct fe *fe)
{
	uint16_t flags, where;
	bool ret;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!fe->added)
		return false;
	if (fe->packed) {
		flags = get16(fe->device + 2);
		where = get16(fe->device);
		CHECK(flags < 3);
		CHECK(fe->event_idx || flags < 2);
		if (flags == 2) {
			CHECK((where & 0x7fffu) < fe->size);
			ret = passed(fe, where & 0x7fff, where >> 15);
		} else {
			ret = flags == 0;
		}
	} else if (fe->event_idx) {
		CHECK_EQ(get16(fe->device), 0);
		ret = passed(fe, get16(fe->device + 4 + 8 * fe->size), false);
	} else {
		CHECK(get16(fe->device) < 2);
		ret = !get16(fe->device);
	}
	fe->added = 0;
	return ret;
}

/* Request number @at in order is finished, with @len bytes written. */
static void complete(struct fe *fe, uint32_t at, uint32_t len)
{
	uint16_t i = fe->order[at];
	struct fe_req *r = &fe->req[i];
	uint32_t k, n, pos = 0;

	CHECK(r->active);
	CHECK(len <= r->write_len);
	for (n = 0; n < r->nr_segs; n++) {
		const uint8_t *data = fe->guest.mem + r->seg[n].off;

		if (!r->seg[n].write)
			continue;
		for (k = 0; k < r->seg[n].len; k++, pos++)
			CHECK_EQ(data[k], pos < len ? written_byte(r->tag, pos) : 0xee);
	}
	for (k = 0; !fe->packed && !fe->in_order && k < r->nr_descs; k++)
		fe->free_desc[fe->nr_free + k] = r->desc[k];
	fe->nr_free += r->nr_descs;
	memmove(fe->order + at, fe->order + at + 1,
		(fe->nr_active - at - 1) * sizeof(*fe->order));
	fe->nr_active--;
	fe->free_region[fe->size - fe->nr_active - 1] = r->region;
	r->active = false;
	r->popped = false;
	fe->completed++;
}

/* Completes request @i, and in order all before it. Gives the width of all in the ring. */
static uint32_t complete_upto(struct fe *fe, uint32_t i, uint32_t len, uint32_t *nr)
{
	uint32_t at = 0, width = 0;

	CHECK(i < fe->size && fe->req[i].active);
	while (fe->order[at] != i)
		at++;
	*nr = fe->in_order ? at + 1 : 1;
	while (fe->in_order && at--) {
		struct fe_req *r = &fe->req[fe->order[0]];

		width += r->nr_descs;
		complete(fe, 0, r->write_len);
	}
	width += fe->req[i].nr_descs;
	for (at = 0; fe->order[at] != i;)
		at++;
	complete(fe, at, len);
	return width;
}

bool fe_has_used(const struct fe *fe)
{
	uint16_t flags;

	if (!fe->packed)
		return get16(fe->device + 2) != fe->used_idx;
	flags = get16(fe->desc + 16 * fe->next_used + 14);
	return !!(flags & F_USED) == fe->used_wrap && !!(flags & F_AVAIL) == fe->used_wrap;
}

uint32_t fe_take_used(struct fe *fe)
{
	uint32_t nr, id, len, width, left;
	const uint8_t *p;

	if (!fe_has_used(fe))
		return 0;
	if (!fe->packed) {
		left = (uint16_t)(get16(fe->device + 2) - fe->used_idx);
		CHECK(left <= fe->nr_active);
		p = fe->device + 4 + 8 * (fe->used_idx % fe->size);
		id = get32(p);
		len = get32(p + 4);
		complete_upto(fe, id, len, &nr);
		CHECK(nr <= left);
		fe->used_idx += nr;
		return nr;
	}
	p = fe->desc + 16 * fe->next_used;
	memcpy(&len, p + 8, 4);
	len = le32(len);
	id = (uint16_t)(get16(p + 12) - fe->id_base);
	/* Without WRITE the length means nothing. */
	if (!(get16(p + 14) & F_WRITE))
		len = 0;
	else
		CHECK(len);
	width = complete_upto(fe, id, len, &nr);
	fe->next_used += width;
	if (fe->next_used >= fe->size) {
		fe->next_used -= fe->size;
		fe->used_wrap = !fe->used_wrap;
	}
	return nr;
}

uint32_t fe_take_all(struct fe *fe)
{
	uint32_t n, total = 0;

	while ((n = fe_take_used(fe)))
		total += n;
	return total;
}

uint16_t fe_driver16(const struct fe *fe, uint32_t off)
{
	return get16(fe->driver + off);
}

void fe_calls(struct fe *fe, bool on, uint32_t ahead)
{
	uint32_t pos = fe->next_used + ahead;
	bool wrap = fe->used_wrap;

	if (!fe->packed) {
		if (fe->event_idx)
			put16(fe->driver + 4 + 2 * fe->size, fe->used_idx + ahead);
		else
			put16(fe->driver, !on);
	} else if (on && fe->event_idx) {
		while (pos >= fe->size) {
			pos -= fe->size;
			wrap = !wrap;
		}
		put16(fe->driver, pos | wrap << 15);
		put16(fe->driver + 2, 2);
	} else {
		put16(fe->driver + 2, !on);
	}
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* Segments must cover the elements in order, and no more. */
static void check_segs(struct fe *fe, const struct fe_req *r, const struct vbe_vq_chain *chain)
{
	uint32_t i, n = 0, at = 0, done = 0;

	for (i = 0; i < r->nr_segs; i++) {
		const struct fe_seg *s = &r->seg[i];

		for (done = 0; done < s->len; n++) {
			const struct vbe_vq_seg *seg = &chain->segs[n];

			CHECK(n < chain->nr_read + chain->nr_write);
			CHECK(seg->len && seg->len <= s->len - done);
			CHECK_EQ(seg->fe_addr, GUEST_BASE + s->off + done);
			CHECK(!seg->host || seg->host == fe->guest.mem + s->off + done);
			CHECK_EQ(n >= chain->nr_read, s->write);
			done += seg->len;
		}
		at += done;
	}
	CHECK_EQ(n, chain->nr_read + chain->nr_write);
	CHECK_EQ(at, chain->read_len + chain->write_len);
	CHECK_EQ(r->read_len, chain->read_len);
	CHECK_EQ(r->write_len, chain->write_len);
}

struct fe_req *fe_check_chain(struct fe *fe, const struct vbe_vq *vq,
			      const struct vbe_vq_chain *chain)
{
	uint8_t data[FE_REGION];
	struct fe_req *r;
	uint32_t i;

	i = (uint16_t)(chain->id - fe->id_base);
	CHECK(i < fe->size);
	r = &fe->req[i];
	CHECK(r->active);
	CHECK(!r->popped);
	r->popped = true;
	CHECK_EQ(chain->nr_descs, r->nr_descs);
	check_segs(fe, r, chain);
	CHECK_EQ(vbe_vq_chain_read(vq, chain, 0, data, r->read_len), 0);
	for (i = 0; i < r->read_len; i++)
		CHECK_EQ(data[i], read_byte(r->tag, i));
	return r;
}

void fe_serve(const struct vbe_vq *vq, const struct vbe_vq_chain *chain, const struct fe_req *req,
	      uint32_t len)
{
	uint8_t data[FE_REGION];
	uint32_t i, half = len / 2;

	for (i = 0; i < len; i++)
		data[i] = written_byte(req->tag, i);
	CHECK_EQ(vbe_vq_chain_write(vq, chain, 0, data, half), 0);
	CHECK_EQ(vbe_vq_chain_write(vq, chain, half, data + half, len - half), 0);
}
