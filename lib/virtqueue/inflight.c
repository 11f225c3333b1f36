// SPDX-License-Identifier: BSD-3-Clause
/* Copyright (c) 2026 The vbe authors */
/*
 * The in-flight log. Its layout, and why a crash at any point is harmless, is told in the DOC
 * section of vbe/virtqueue.h; each store's place among the others is part of that.
 *
 * While a queue runs, the log is only written. What is read of it, when resuming, is as
 * untrusted as the rings.
 */
#include "internal.h"

#define LOG_MAGIC		0x51456276u
#define LOG_VERSION		1u
#define LOG_SPLIT		1u
#define LOG_PACKED		2u

#define LOG_IN_FLIGHT		0x10000u
#define LOG_PENDING		0x20000u
#define LOG_POS_MASK		0xffffu

#define NIL			0xffffu

struct log_head {
	uint32_t magic;
	uint16_t version;
	uint16_t format;
	uint32_t size;
	uint32_t used_pos;
	uint32_t zero[12];
};

struct split_entry {
	uint64_t seq;
	uint32_t state;
	uint32_t zero;
};

struct packed_entry {
	uint64_t seq;
	uint32_t state;
	uint16_t next;
	uint16_t count;
	uint64_t addr;
	uint32_t len;
	uint16_t id;
	uint16_t flags;
};

static inline struct log_head *log_head(const struct vbe_vq *vq)
{
	return (struct log_head *)vq->log;
}

static inline struct split_entry *split_entry(const struct vbe_vq *vq, uint32_t i)
{
	return (struct split_entry *)(vq->log + sizeof(struct log_head)) + i;
}

static inline struct packed_entry *packed_entry(const struct vbe_vq *vq, uint32_t i)
{
	return (struct packed_entry *)(vq->log + sizeof(struct log_head)) + i;
}

static inline uint32_t *state_of(const struct vbe_vq *vq, uint32_t i)
{
	return vq->packed ? &packed_entry(vq, i)->state : &split_entry(vq, i)->state;
}

size_t vbe_log_size(uint32_t size, bool packed)
{
	return sizeof(struct log_head) +
	       (size_t)size * (packed ? sizeof(struct packed_entry) : sizeof(struct split_entry));
}

/* Notes a descriptor of a chain that is being popped. */
void vbe_log_desc(struct vbe_vq *vq, uint16_t slot, const struct vbe_desc *desc)
{
	struct packed_entry *e = packed_entry(vq, slot);

	vbe_store64(&e->addr, desc->addr);
	vbe_store32(&e->len, desc->len);
	vbe_store16(&e->id, desc->w12);
	vbe_store16(&e->flags, desc->w14);
	vbe_store16(&e->next, vq->slots[slot].next);
}

void vbe_log_desc_get(const struct vbe_vq *vq, uint16_t slot, struct vbe_desc *desc)
{
	const struct packed_entry *e = packed_entry(vq, slot);

	vbe_vq_test_desc_read();
	desc->addr = vbe_load64(&e->addr);
	desc->len = vbe_load32(&e->len);
	desc->w12 = vbe_load16(&e->id);
	desc->w14 = vbe_load16(&e->flags);
}

/* The chain is popped from the store of its state on. */
void vbe_log_pop(struct vbe_vq *vq, uint16_t slot)
{
	struct packed_entry *p;
	struct split_entry *s;

	if (vq->packed) {
		p = packed_entry(vq, slot);
		vbe_store64(&p->seq, vq->next_seq++);
		vbe_store16(&p->count, vq->slots[slot].count);
		vbe_store32(&p->state, LOG_IN_FLIGHT);
	} else {
		s = split_entry(vq, slot);
		vbe_store64(&s->seq, vq->next_seq++);
		vbe_store32(&s->state, LOG_IN_FLIGHT);
	}
}

/* The chain is about to be published at @pos. */
void vbe_log_pending(struct vbe_vq *vq, uint16_t slot, uint32_t pos)
{
	vbe_store32(state_of(vq, slot), LOG_PENDING | pos);
}

/* All before @pos is published (packed). */
void vbe_log_used_pos(struct vbe_vq *vq, uint32_t pos)
{
	vbe_store32(&log_head(vq)->used_pos, pos);
}

/* The chain is published, and the log knows it. */
void vbe_log_clear(struct vbe_vq *vq, uint16_t slot)
{
	vbe_store32(state_of(vq, slot), 0);
}

/* Makes an empty log. Cut short, it is one of a fresh queue, as the magic is missing. */
void vbe_log_begin(struct vbe_vq *vq)
{
	struct log_head *h = log_head(vq);

	vbe_store32(&h->magic, 0);
	vbe_wmb();
	memset(vq->log + sizeof(h->magic), 0,
	       vbe_log_size(vq->size, vq->packed) - sizeof(h->magic));
	vbe_store16(&h->version, LOG_VERSION);
	vbe_store16(&h->format, vq->packed ? LOG_PACKED : LOG_SPLIT);
	vbe_store32(&h->size, vq->size);
	vbe_store32(&h->used_pos, vq->used_pos);
	/* The compiler may move a memset(), but not across a barrier. */
	vbe_wmb();
	vbe_store32(&h->magic, LOG_MAGIC);
	vq->next_seq = 1;
}

/* The chain in @slot is to be popped again. */
static void add_resumed(struct vbe_vq *vq, uint16_t slot, uint64_t seq)
{
	vq->slots[slot].seq = seq;
	vq->slots[slot].state = SLOT_RESUME;
	vbe_list_add(vq, &vq->resume, slot);
	vq->in_flight++;
}

/* Merges two lists, which end with NIL and are sorted by seq. */
static uint16_t merge(struct vbe_vq_slot *slots, uint16_t a, uint16_t b)
{
	uint16_t head = NIL, *end = &head;

	while (a != NIL && b != NIL) {
		uint16_t *first = slots[a].seq <= slots[b].seq ? &a : &b;

		*end = *first;
		end = &slots[*first].link;
		*first = *end;
	}
	*end = a != NIL ? a : b;
	return head;
}

/* Brings the chains to resume in the order in which they were popped. */
static int sort_resumed(struct vbe_vq *vq)
{
	struct vbe_vq_slot *slots = vq->slots;
	uint16_t run[17], slot;
	uint32_t left = vq->resume.count, i;
	uint64_t seq = 0;

	for (i = 0; i < 17; i++)
		run[i] = NIL;
	/* run[i] is empty or a sorted list of 2^i; a new one carries as in a binary counter. */
	while (vq->resume.count) {
		slot = vbe_list_take(vq, &vq->resume);
		slots[slot].link = NIL;
		for (i = 0; run[i] != NIL; i++) {
			slot = merge(slots, run[i], slot);
			run[i] = NIL;
		}
		run[i] = slot;
	}
	for (i = 0, slot = NIL; i < 17; i++)
		slot = merge(slots, run[i], slot);
	vq->resume.head = slot;
	for (; slot != NIL; slot = slots[slot].link) {
		/* Seen, or not such as this engine counts: nobody honest wrote this. */
		if (slots[slot].seq <= seq || slots[slot].seq >> 63)
			return VBE_VQ_E_INFLIGHT;
		seq = slots[slot].seq;
		vq->resume.tail = slot;
	}
	vq->resume.count = left;
	vq->next_seq = seq + 1;
	return 0;
}

static int resume_split(struct vbe_vq *vq)
{
	uint32_t i, state;
	uint16_t used;
	int ret;

	/* The index of the used ring, at offset 2, is the truth of what was published. */
	ret = vbe_ring_get16(vq, &vq->device, 2, &used);
	if (ret)
		return ret;
	for (i = 0; i < vq->size; i++) {
		state = vbe_load32(&split_entry(vq, i)->state);
		if (!state)
			continue;
		if (state >= LOG_PENDING && state <= (LOG_PENDING | LOG_POS_MASK)) {
			/* A batch is no longer than half of the index space. */
			if ((uint16_t)(state - used) >= 0x8000) {
				vbe_log_clear(vq, i);
				continue;
			}
			vbe_store32(&split_entry(vq, i)->state, LOG_IN_FLIGHT);
		} else if (state != LOG_IN_FLIGHT) {
			return VBE_VQ_E_INFLIGHT;
		}
		add_resumed(vq, i, vbe_load64(&split_entry(vq, i)->seq));
	}
	vq->used_pos = used;
	/* Each chain popped was published since, or is in flight. */
	vq->avail_pos = (used + vq->resume.count) & 0xffff;
	return 0;
}

/*
 * Checks an entry of the packed log and, if it begins a chain, takes its entries. Slots keep what
 * was read: writable the state, count and next the chain. Returns 0 or VBE_VQ_E_INFLIGHT.
 */
static int claim(struct vbe_vq *vq, uint32_t head)
{
	struct vbe_vq_slot *s = &vq->slots[head];
	uint32_t state, n, i = head;

	state = vbe_load32(&packed_entry(vq, head)->state);
	if (!state)
		return 0;
	if (s->state != SLOT_FREE)
		return VBE_VQ_E_INFLIGHT;
	if (state != LOG_IN_FLIGHT &&
	    (state < LOG_PENDING || state - LOG_PENDING >= 2 * vq->size))
		return VBE_VQ_E_INFLIGHT;
	s->state = SLOT_RESUME;
	s->writable = state;
	s->count = vbe_load16(&packed_entry(vq, head)->count);
	if (!s->count || s->count > vq->size)
		return VBE_VQ_E_INFLIGHT;
	for (n = 1; n < s->count; n++) {
		vq->slots[i].next = vbe_load16(&packed_entry(vq, i)->next);
		i = vq->slots[i].next;
		if (i >= vq->size || vq->slots[i].state != SLOT_FREE)
			return VBE_VQ_E_INFLIGHT;
		vq->slots[i].state = SLOT_PART;
	}
	s->tail = i;
	return 0;
}

/* Whether a chain was marked for publishing, in a batch that used_pos does not cover. */
static bool unsettled(const struct vbe_vq *vq, uint32_t state)
{
	uint32_t laps = 2 * vq->size;

	return state >= LOG_PENDING &&
	       ((state & LOG_POS_MASK) + laps - vq->used_pos) % laps < vq->size;
}

/*
 * Finds out whether the last batch was published just before the end, and moves used_pos over it
 * if so: from then on its marks are settled.
 */
static int settle_batch(struct vbe_vq *vq)
{
	uint32_t i, n = 0;
	int ret;

	for (i = 0; i < vq->size; i++)
		if (vq->slots[i].state == SLOT_RESUME && unsettled(vq, vq->slots[i].writable))
			n += vq->slots[i].count;
	if (!n)
		return 0;
	ret = vbe_packed_is_used(vq, vq->used_pos);
	if (ret <= 0)
		return ret;
	vq->used_pos = vbe_pos_add(vq, vq->used_pos, n);
	vbe_log_used_pos(vq, vq->used_pos);
	return 0;
}

/* Clears the mark of a chain that was published, and gives back its entries. */
static void forget(struct vbe_vq *vq, uint16_t slot)
{
	uint32_t n = vq->slots[slot].count;

	vbe_log_clear(vq, slot);
	while (n--) {
		vq->slots[slot].state = SLOT_FREE;
		slot = vq->slots[slot].next;
	}
}

static int resume_packed(struct vbe_vq *vq)
{
	struct vbe_vq_slot *s;
	uint32_t i;
	int ret;

	vq->used_pos = vbe_load32(&log_head(vq)->used_pos);
	if (vq->used_pos >= 2 * vq->size)
		return VBE_VQ_E_INFLIGHT;
	vq->outstanding = 0;
	for (i = 0; i < vq->size; i++) {
		ret = claim(vq, i);
		if (ret)
			return ret;
	}
	ret = settle_batch(vq);
	if (ret)
		return ret;
	for (i = 0; i < vq->size; i++) {
		s = &vq->slots[i];
		if (s->state != SLOT_RESUME)
			continue;
		if (s->writable != LOG_IN_FLIGHT) {
			if (!unsettled(vq, s->writable)) {
				forget(vq, i);
				continue;
			}
			vbe_store32(&packed_entry(vq, i)->state, LOG_IN_FLIGHT);
		}
		add_resumed(vq, i, vbe_load64(&packed_entry(vq, i)->seq));
		vq->outstanding += s->count;
	}
	/* What a crash left of an unpublished batch must not be seen when other things are. */
	vq->avail_pos = vq->used_pos;
	for (i = 0; i < vq->outstanding; i++) {
		ret = vbe_packed_take_back(vq, vq->avail_pos);
		if (ret)
			return ret;
		vq->avail_pos = vbe_pos_add(vq, vq->avail_pos, 1);
	}
	return 0;
}

/* Goes on where the log says, if it says anything. Returns 0 or an error. */
int vbe_log_resume(struct vbe_vq *vq)
{
	struct log_head *h = log_head(vq);
	uint32_t magic = vbe_load32(&h->magic);
	int ret;

	if (!magic) {
		vbe_log_begin(vq);
		return 0;
	}
	if (magic != LOG_MAGIC || vbe_load16(&h->version) != LOG_VERSION ||
	    vbe_load16(&h->format) != (vq->packed ? LOG_PACKED : LOG_SPLIT) ||
	    vbe_load32(&h->size) != vq->size)
		return VBE_VQ_E_INFLIGHT;
	ret = vq->packed ? resume_packed(vq) : resume_split(vq);
	if (ret)
		return ret;
	vq->call_pending = true;
	return sort_resumed(vq);
}
