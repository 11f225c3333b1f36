/* SPDX-License-Identifier: BSD-3-Clause */
/* Copyright (c) 2026 The vbe authors */
/**
 * DOC: The device side of a virtio queue, freestanding
 *
 * This engine takes buffers which a virtio driver (the FE) made available in a split or packed
 * ring, gives them to a device implementation (the BE), and puts them back as used. It allocates
 * nothing, calls no libc function but memcpy() and memset(), takes no lock, and keeps all its
 * state in memory of the caller, so that it runs in a process, in a kernel and on an RTOS. So its
 * structs are part of its interface: until release 1.0 they may grow, and a program is to be
 * compiled with the headers of the library that it runs with. Zero what you do not know.
 *
 * Trust. All that the FE wrote is hostile: each word is fetched once, into private memory, and
 * checked there. Work is bounded by the queue's size and &vbe_vq_config.max_indirect, whatever
 * the rings say. On a violation the call returns a negative &enum vbe_vq_error which names it,
 * and the queue is *broken*: every later call returns the same error until vbe_vq_init().
 * Set DEVICE_NEEDS_RESET then.
 *
 * Threads. A &struct vbe_vq belongs to one thread at a time: nothing in it is locked. Several
 * queues may share one &struct vbe_vq_mem; change that only while no queue uses it.
 *
 * Memory. FE addresses are looked up in a table of windows. A window with a host pointer is
 * read and written directly. One without (class `copy`) goes through the read and write
 * callbacks, rings included. An address in no window is given to the map callback, if there is
 * one; else it is refused. Callbacks must act in program order: what read() gives was fetched
 * after the call began; what write() stored is visible to the FE, in order with all stores
 * before the call, when it returns; an aligned 2, 4 or 8 byte object is never torn.
 *
 * Transient memory. What is behind some windows is lent by the FE with each buffer, and must not
 * be held when the buffer is back (%VBE_VQ_WINDOW_TRANSIENT). The engine notes what it gave
 * pointers to, and calls release() before it publishes: do not use a chain's pointers after
 * vbe_vq_flush().
 *
 * The usual loop::
 *
 *	do {
 *		vbe_vq_disable_kicks(vq);
 *		while ((ret = vbe_vq_pop(vq, &chain)) > 0)
 *			start(&chain);	// and vbe_vq_push(vq, chain.token, len) at its end
 *	} while (ret == 0 && (ret = vbe_vq_enable_kicks(vq)) > 0);
 *	if (vbe_vq_needs_call(vq))
 *		signal the call eventfd;
 *
 * Resume. With an in-flight area (&vbe_vq_config.inflight: plain memory which outlives the BE),
 * each pop and each completion is logged, such that the BE may be killed between any two
 * instructions. The next BE calls vbe_vq_init() with the same area and %VBE_VQ_RESUME; then
 * vbe_vq_pop() first gives, in their first order, the chains that were popped and not published
 * as used, each once, and goes on with new ones. The kick that announced them may have died
 * with the old BE, and so may the call for what it published: after a resume look at the queue
 * once without a kick; the first vbe_vq_needs_call() says true. An area of zeroes means that
 * the queue is fresh: whoever resets a queue must zero its area.
 *
 * In-flight area, version 1, in the host's byte order, at an address aligned to 8::
 *
 *	offset
 *	 0  u32 magic      0x51456276 when the area is in use; written last
 *	 4  u16 version    1
 *	 6  u16 format     1 split, 2 packed
 *	 8  u32 size       entries
 *	12  u32 used_pos   packed: ring position of the next used descriptor, 0 .. 2 * size - 1,
 *	                   at or above size in the laps whose wrap counter is 0
 *	16  zero, up to 64
 *	64  entries, 16 bytes each (split, by head index):
 *		u64 seq    order of the pop
 *		u32 state  below
 *		u32 zero
 *	    or 32 bytes each (packed, one per descriptor, taken from a free list):
 *		u64 seq    order of the pop (first entry of a chain)
 *		u32 state  below (first entry of a chain, 0 elsewhere)
 *		u16 next   next entry of the same chain
 *		u16 count  descriptors of the chain (first entry)
 *		u64 addr, u32 len, u16 id, u16 flags: the FE's descriptor, since its ring slot is
 *		           overwritten when another chain completes first
 *
 *	state: 0 free; 1 << 16 in flight; 2 << 16 | pos being published at used position pos
 *
 * One store of state makes a chain popped. Before a completion is published its state says where
 * it will appear; so after a crash the ring itself tells whether it did: split by the used index
 * having passed pos, packed by the used bit of the descriptor at used_pos. Marks of published
 * chains are cleared after that (packed: once used_pos has moved). Resuming turns marks of
 * unpublished ones back to "in flight" and, packed, takes back half-written used descriptors
 * which the FE cannot have seen yet.
 */
#ifndef VBE_VIRTQUEUE_H
#define VBE_VIRTQUEUE_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

#ifndef VBE_VQ_API
#if defined(__GNUC__) && !defined(__KERNEL__)
#define VBE_VQ_API __attribute__((visibility("default")))
#else
#define VBE_VQ_API
#endif
#endif

/** Largest queue, in descriptors, of both formats. */
#define VBE_VQ_MAX_SIZE			32768u

/** Largest indirect table walked, in descriptors; the default of &vbe_vq_config.max_indirect. */
#define VBE_VQ_MAX_INDIRECT		65536u

/* Bits of &vbe_vq_config.features which the engine looks at; it ignores all others. */
#define VBE_VQ_F_INDIRECT_DESC		((uint64_t)1 << 28)
#define VBE_VQ_F_EVENT_IDX		((uint64_t)1 << 29)
#define VBE_VQ_F_RING_PACKED		((uint64_t)1 << 34)
#define VBE_VQ_F_IN_ORDER		((uint64_t)1 << 35)

/**
 * enum vbe_vq_error - what was wrong, as a negative return value
 * @VBE_VQ_E_CONFIG: the caller's config is not usable (size, slots, missing pointer, flags)
 * @VBE_VQ_E_ALIGN: a ring address is not aligned as virtio demands
 * @VBE_VQ_E_RING: a ring is not within reach: in no window, or in a read-only one
 * @VBE_VQ_E_MEM: a read or write callback failed (the FE or its memory is gone)
 * @VBE_VQ_E_AVAIL_IDX: the available index moved by more than the queue size
 * @VBE_VQ_E_HEAD: a head index in the available ring is not below the queue size
 * @VBE_VQ_E_BUSY: the FE offered a head again which it has not got back yet
 * @VBE_VQ_E_OVERRUN: packed: more descriptors outstanding than the queue has
 * @VBE_VQ_E_NEXT: a next field points outside its table
 * @VBE_VQ_E_LOOP: a chain is longer than its table, so it has a loop
 * @VBE_VQ_E_INDIRECT: an indirect descriptor, but the feature was not negotiated
 * @VBE_VQ_E_INDIRECT_NEXT: INDIRECT together with NEXT; packed: at the end of a chain
 * @VBE_VQ_E_INDIRECT_NEST: an indirect descriptor within an indirect table
 * @VBE_VQ_E_INDIRECT_LEN: the length of an indirect table is 0 or no multiple of 16
 * @VBE_VQ_E_INDIRECT_MAX: an indirect chain is longer than max_indirect
 * @VBE_VQ_E_ORDER: a readable element after a writable one
 * @VBE_VQ_E_TOTAL: the elements of a chain exceed 2^32 bytes in total
 * @VBE_VQ_E_WRAP: address plus length of an element or table wraps
 * @VBE_VQ_E_ADDR: an element or table is in no window, or writable in a read-only one
 * @VBE_VQ_E_SEGS: the chain needs more segments than the caller has
 * @VBE_VQ_E_INFLIGHT: the in-flight area is corrupt, or belongs to another kind of queue
 * @VBE_VQ_E_TOKEN: no chain with this token is popped (a bug of the BE; does not break the queue)
 * @VBE_VQ_E_WRITTEN: more written than the chain can take (BE bug; does not break the queue)
 * @VBE_VQ_E_RANGE: access beyond the chain or the windows (does not break the queue)
 */
enum vbe_vq_error {
	VBE_VQ_E_CONFIG		= -1,
	VBE_VQ_E_ALIGN		= -2,
	VBE_VQ_E_RING		= -3,
	VBE_VQ_E_MEM		= -4,
	VBE_VQ_E_AVAIL_IDX	= -5,
	VBE_VQ_E_HEAD		= -6,
	VBE_VQ_E_BUSY		= -7,
	VBE_VQ_E_OVERRUN	= -8,
	VBE_VQ_E_NEXT		= -9,
	VBE_VQ_E_LOOP		= -10,
	VBE_VQ_E_INDIRECT	= -11,
	VBE_VQ_E_INDIRECT_NEXT	= -12,
	VBE_VQ_E_INDIRECT_NEST	= -13,
	VBE_VQ_E_INDIRECT_LEN	= -14,
	VBE_VQ_E_INDIRECT_MAX	= -15,
	VBE_VQ_E_ORDER		= -16,
	VBE_VQ_E_TOTAL		= -17,
	VBE_VQ_E_WRAP		= -18,
	VBE_VQ_E_ADDR		= -19,
	VBE_VQ_E_SEGS		= -20,
	VBE_VQ_E_INFLIGHT	= -21,
	VBE_VQ_E_TOKEN		= -22,
	VBE_VQ_E_WRITTEN	= -23,
	VBE_VQ_E_RANGE		= -24,
};

/** The BE must not write to this window. */
#define VBE_VQ_WINDOW_RO		1u
/** The window is for rings: nothing that a chain names there is written. */
#define VBE_VQ_WINDOW_RINGS		2u
/*
 * What a chain names here is given back before the FE sees the chain as used, see
 * &vbe_vq_mem.release. Of this window only rings, and pieces of chains of at least
 * %VBE_VQ_TRANSIENT_MIN bytes, are reached by pointer; all else is copied.
 */
#define VBE_VQ_WINDOW_TRANSIENT		4u

/** To map less, in a transient window, and give it back costs more than to copy it. */
#define VBE_VQ_TRANSIENT_MIN		2048u

/**
 * struct vbe_vq_range - a piece of a transient window that a chain was given pointers to
 * @fe_addr: first FE address
 * @len: length in bytes, not 0
 * @link: private to the engine
 */
struct vbe_vq_range {
	uint64_t fe_addr;
	uint32_t len;
	uint32_t link;
};

/**
 * struct vbe_vq_window - a range of FE addresses that the BE can reach
 * @fe_addr: first FE address
 * @len: length in bytes; @fe_addr + @len must not wrap
 * @host: where it is mapped, or NULL when it can only be copied
 * @flags: %VBE_VQ_WINDOW_RO, %VBE_VQ_WINDOW_RINGS, %VBE_VQ_WINDOW_TRANSIENT or 0
 * @reserved: zero
 */
struct vbe_vq_window {
	uint64_t fe_addr;
	uint64_t len;
	void *host;
	uint32_t flags;
	uint32_t reserved;
};

/**
 * struct vbe_vq_mem - how FE memory is reached; may be shared by queues, must outlive them
 * @windows: table of windows; with overlapping ones the first wins
 * @nr_windows: entries of @windows, may be 0
 * @reserved: zero
 * @opaque: given to the callbacks
 * @map: optional: look up @fe_addr, which is in no window. Sets @host to where it is mapped, or
 *	to NULL when it can only be copied, and @got to the number of bytes from @fe_addr, at
 *	least 1, to which that applies; more than @len is fine. Returns 0, or non-zero when the
 *	address cannot be reached (@write: cannot be written). A pointer must stay valid until the
 *	chain is pushed; one for a ring, until the next vbe_vq_init() or vbe_vq_set_mem().
 * @read: copy @len bytes at @fe_addr to @dst. Returns 0, or non-zero on failure. Required when
 *	there is anything that can only be copied.
 * @write: copy @len bytes from @src to @fe_addr. As @read.
 * @want: optional: @n ranges of transient windows are going to be read, or written if @write. A
 *	hint
 * @release: give @n ranges of transient windows back: the FE is going to take them. What the BE
 *	stored there is visible to the FE when it returns. Returns 0, or non-zero on failure.
 *	Without it such windows are only copied, but for rings.
 *
 * The callbacks are called by the queue's thread, and may sleep if that may.
 */
struct vbe_vq_mem {
	const struct vbe_vq_window *windows;
	uint32_t nr_windows;
	uint32_t reserved;
	void *opaque;
	int (*map)(void *opaque, uint64_t fe_addr, uint32_t len, bool write, void **host,
		   uint32_t *got);
	int (*read)(void *opaque, uint64_t fe_addr, void *dst, uint32_t len);
	int (*write)(void *opaque, uint64_t fe_addr, const void *src, uint32_t len);
	void (*want)(void *opaque, const struct vbe_vq_range *ranges, uint32_t n, bool write);
	int (*release)(void *opaque, const struct vbe_vq_range *ranges, uint32_t n);
};

/**
 * struct vbe_vq_slot - the engine's private note of one chain; give one per queue entry
 *
 * All fields are private to the engine.
 */
struct vbe_vq_slot {
	/* private: */
	uint64_t seq;
	uint64_t writable;
	uint32_t written;
	uint32_t gen;
	uint16_t id;
	uint16_t count;
	uint16_t next;
	uint16_t link;
	uint16_t tail;
	uint8_t state;
	uint8_t reserved;
	uint32_t ranges;
};

/** &vbe_vq_config.flags: go on where the in-flight area says; needs one. */
#define VBE_VQ_RESUME			1u
/** &vbe_vq_config.flags: begin a fresh queue (RESUME: an area of zeroes) at start_avail/used. */
#define VBE_VQ_START			2u

/**
 * struct vbe_vq_config - a queue as it was negotiated
 * @features: negotiated virtio feature bits (VBE_VQ_F_*; others are ignored)
 * @flags: %VBE_VQ_RESUME, %VBE_VQ_START
 * @size: entries: 1 .. %VBE_VQ_MAX_SIZE; split: a power of two
 * @desc_addr: FE address of the descriptor area, aligned to 16
 * @driver_addr: FE address of the driver area (split: available ring, aligned to 2; packed:
 *	driver event suppression, aligned to 4)
 * @device_addr: FE address of the device area (split: used ring; packed: device event
 *	suppression), aligned to 4
 * @mem: how FE memory is reached
 * @slots: private memory for the engine, at least @size entries; need not be initialised
 * @nr_slots: entries of @slots
 * @max_indirect: longest chain in an indirect table, 1 .. %VBE_VQ_MAX_INDIRECT; 0 = the maximum
 * @inflight: in-flight area, aligned to 8, or NULL for none
 * @inflight_len: its length in bytes, at least vbe_vq_inflight_size()
 * @start_avail: with %VBE_VQ_START, when the in-flight area has nothing to say: next available
 *	position; split: 16-bit index; packed: ring offset, with the wrap counter in bit 15
 * @start_used: as @start_avail, next used position; they differ only when chains were lost
 * @reserved: zero
 * @ranges: private memory for the engine, to note what has to be given back of transient windows;
 *	need not be initialised. When all are in use, what is popped is copied. May be NULL
 * @nr_ranges: entries of @ranges
 * @reserved2: zero
 *
 * vbe_vq_init() reads the struct, and keeps only what @mem, @slots, @ranges and @inflight point to.
 * Zero it before use.
 */
struct vbe_vq_config {
	uint64_t features;
	uint32_t flags;
	uint32_t size;
	uint64_t desc_addr;
	uint64_t driver_addr;
	uint64_t device_addr;
	const struct vbe_vq_mem *mem;
	struct vbe_vq_slot *slots;
	uint32_t nr_slots;
	uint32_t max_indirect;
	void *inflight;
	size_t inflight_len;
	uint16_t start_avail;
	uint16_t start_used;
	uint32_t reserved;
	struct vbe_vq_range *ranges;
	uint32_t nr_ranges;
	uint32_t reserved2;
};

/**
 * struct vbe_vq_seg - a piece of a chain
 * @host: where it is mapped, or NULL when it can only be copied (vbe_vq_chain_read() and
 *	vbe_vq_chain_write() work on both)
 * @fe_addr: its FE address
 * @len: its length in bytes, never 0
 * @reserved: zero
 *
 * A descriptor that crosses windows gives several segments; one of length 0 gives none.
 */
struct vbe_vq_seg {
	void *host;
	uint64_t fe_addr;
	uint32_t len;
	uint32_t reserved;
};

/**
 * struct vbe_vq_chain - a buffer of the FE, as vbe_vq_pop() gave it
 * @segs: set by the caller: array for the segments, first the readable then the writable ones
 * @max_segs: set by the caller: entries of @segs
 * @token: names the chain to vbe_vq_push()
 * @nr_read: number of readable segments: segs[0] .. segs[nr_read - 1]
 * @nr_write: number of writable segments: segs[nr_read] .. segs[nr_read + nr_write - 1]
 * @read_len: bytes in the readable segments
 * @write_len: bytes in the writable segments
 * @nr_descs: descriptors in the ring that the chain uses (split: in the table)
 * @id: split: head index; packed: buffer ID
 * @resumed: true if an earlier BE had popped this chain before (it may have been served, in part
 *	or in full, but the FE was not told)
 */
struct vbe_vq_chain {
	struct vbe_vq_seg *segs;
	uint32_t max_segs;
	uint32_t token;
	uint32_t nr_read;
	uint32_t nr_write;
	uint64_t read_len;
	uint64_t write_len;
	uint16_t nr_descs;
	uint16_t id;
	bool resumed;
};

/**
 * struct vbe_vq_done - a finished chain for vbe_vq_push_n()
 * @token: &vbe_vq_chain.token
 * @written: bytes written to its writable part, counted from its start
 */
struct vbe_vq_done {
	uint32_t token;
	uint32_t written;
};

/**
 * struct vbe_vq_state - where a queue is, for debugging and hand-over
 * @error: 0, or what broke the queue (&enum vbe_vq_error)
 * @avail_pos: next available position; split: 16-bit index; packed: ring offset, with the wrap
 *	counter in bit 15
 * @used_pos: next used position, published; as @avail_pos
 * @in_flight: chains popped and not published as used
 * @held: of these, finished ones which are staged or wait for an earlier one (in order)
 * @to_resume: chains of an earlier BE that are yet to be popped again
 * @popped: chains popped since vbe_vq_init()
 * @published: chains published as used since vbe_vq_init()
 */
struct vbe_vq_state {
	int error;
	uint16_t avail_pos;
	uint16_t used_pos;
	uint32_t in_flight;
	uint32_t held;
	uint32_t to_resume;
	uint64_t popped;
	uint64_t published;
};

/* One part of the rings: its FE address, and where it is mapped (NULL: by copy). Private. */
struct vbe_vq_ring {
	uint8_t *host;
	uint64_t fe_addr;
};

/* A singly linked list of slots, by their link. Private. */
struct vbe_vq_list {
	uint16_t head;
	uint16_t tail;
	uint32_t count;
};

/**
 * struct vbe_vq - a queue; all fields are private
 *
 * Owned by one thread at a time. Positions are 16-bit indices (split) or 0 .. 2 * size - 1
 * (packed; at or above size in the laps whose wrap counter is 0).
 */
struct vbe_vq {
	/* private: constant after vbe_vq_init() */
	uint32_t size;
	uint32_t max_indirect;
	bool packed;
	bool indirect;
	bool event_idx;
	bool in_order;
	struct vbe_vq_ring desc;
	struct vbe_vq_ring driver;
	struct vbe_vq_ring device;
	const struct vbe_vq_mem *mem;
	struct vbe_vq_slot *slots;
	uint8_t *log;		/* in-flight area, or NULL */
	struct vbe_vq_range *ranges;
	uint32_t nr_ranges;
	bool transient;		/* there are such windows */

	/* hot */
	const struct vbe_vq_window *hit;	/* the window found last, or NULL */
	uint32_t avail_pos;	/* next to pop */
	uint32_t avail_seen;	/* split: the FE's index when last looked at */
	uint32_t used_pos;	/* next to publish */
	uint32_t staged_pos;	/* after what is written but not published */
	uint32_t unsignalled;	/* entries, packed: descriptors, since the last check */
	uint32_t outstanding;	/* packed: descriptors popped and not published */
	uint32_t in_flight;	/* chains popped and not published */
	uint32_t held;		/* in order: finished, not published */
	uint16_t first_flags;	/* packed: flags that will publish the staged batch */
	uint16_t free;		/* packed: list of free slots */
	uint32_t nr_free;
	bool call_pending;	/* after a resume: a call may have been lost */
	bool kicks_off;
	int error;
	uint64_t next_seq;
	/* Ranges are named by their place + 1, and end with 0. */
	uint32_t free_ranges;	/* list of those not in use */
	uint32_t first_range;	/* of the chain being popped */
	uint32_t last_range;
	struct vbe_vq_list resume;	/* found in the in-flight area, to be popped again */
	struct vbe_vq_list fifo;	/* in order: popped; else: staged for the next flush */
	uint64_t popped;
	uint64_t published;
};

/**
 * vbe_vq_inflight_size() - bytes that the in-flight area of a queue needs
 * @cfg: its config; only size and features are looked at
 *
 * Return: the size, or 0 if the queue size is not valid.
 */
VBE_VQ_API size_t vbe_vq_inflight_size(const struct vbe_vq_config *cfg);

/**
 * vbe_vq_init() - begin with a queue, fresh or where an earlier BE was
 * @vq: the queue; its content does not matter
 * @cfg: what was negotiated
 *
 * Without %VBE_VQ_RESUME an in-flight area is cleared. With it, see the DOC section: marks left by
 * a crash are settled before this returns, and pops begin with what was in flight. Kicks are
 * enabled. Look at the queue once without waiting for a kick.
 *
 * Return: 0, or a negative &enum vbe_vq_error (the queue is then broken).
 */
VBE_VQ_API int vbe_vq_init(struct vbe_vq *vq, const struct vbe_vq_config *cfg);

/**
 * vbe_vq_set_mem() - use another table of windows, or the same after it was changed
 * @vq: the queue
 * @mem: must reach the rings; host pointers in chains popped before are the caller's business
 *
 * Return: 0, or %VBE_VQ_E_RING, %VBE_VQ_E_ALIGN, %VBE_VQ_E_CONFIG: chains hold ranges of transient
 * windows, and @mem has no release() (the queue is then broken).
 */
VBE_VQ_API int vbe_vq_set_mem(struct vbe_vq *vq, const struct vbe_vq_mem *mem);

/**
 * vbe_vq_pop() - take the next available chain
 * @vq: the queue
 * @chain: segs and max_segs set by the caller; all else is filled in, and is undefined unless
 *	this returns 1
 *
 * Reads at most size + max_indirect descriptors.
 *
 * Return: 1 with a chain, 0 when there is none, or a negative &enum vbe_vq_error when the FE
 * broke the rules or its memory is out of reach (the queue is then broken).
 */
VBE_VQ_API int vbe_vq_pop(struct vbe_vq *vq, struct vbe_vq_chain *chain);

/**
 * vbe_vq_has_work() - whether vbe_vq_pop() would give a chain, for polling
 * @vq: the queue
 *
 * Return: 1, 0, or a negative &enum vbe_vq_error.
 */
VBE_VQ_API int vbe_vq_has_work(struct vbe_vq *vq);

/**
 * vbe_vq_stage() - complete a chain, to be published by the next vbe_vq_flush()
 * @vq: the queue
 * @token: &vbe_vq_chain.token; not valid any more after this returned 0
 * @written: bytes written to its writable part, counted from its start
 *
 * With VIRTIO_F_IN_ORDER completions may be given in any order; the engine holds them until
 * those of all chains before are known, and publishes them in order.
 *
 * Return: 0 or a negative &enum vbe_vq_error. %VBE_VQ_E_TOKEN and %VBE_VQ_E_WRITTEN are bugs of
 * the caller and change nothing.
 */
VBE_VQ_API int vbe_vq_stage(struct vbe_vq *vq, uint32_t token, uint32_t written);

/**
 * vbe_vq_flush() - show all staged completions to the FE at once
 * @vq: the queue
 *
 * Ask vbe_vq_needs_call() afterwards.
 *
 * Return: 0 or a negative &enum vbe_vq_error.
 */
VBE_VQ_API int vbe_vq_flush(struct vbe_vq *vq);

/**
 * vbe_vq_push() - complete a chain and show it to the FE: vbe_vq_stage() and vbe_vq_flush()
 * @vq: the queue
 * @token: &vbe_vq_chain.token; not valid any more after this returned 0
 * @written: bytes written to its writable part, counted from its start
 *
 * Return: as vbe_vq_stage().
 */
VBE_VQ_API int vbe_vq_push(struct vbe_vq *vq, uint32_t token, uint32_t written);

/**
 * vbe_vq_push_n() - complete several chains and show them to the FE at once
 * @vq: the queue
 * @done: the chains
 * @n: their number
 *
 * Return: 0, or the first error; those before the one refused are published then.
 */
VBE_VQ_API int vbe_vq_push_n(struct vbe_vq *vq, const struct vbe_vq_done *done, uint32_t n);

/**
 * vbe_vq_needs_call() - whether the FE wants a call for what was published since the last check
 * @vq: the queue
 *
 * Contains the memory barrier between publishing and looking. If it says true the caller must
 * call, since the next check looks only at what is published after this one.
 *
 * Return: true if so. True too when the queue is broken: a needless call does no harm.
 */
VBE_VQ_API bool vbe_vq_needs_call(struct vbe_vq *vq);

/**
 * vbe_vq_enable_kicks() - ask the FE for a kick when it makes the next chain available
 * @vq: the queue
 *
 * Return: 1 if there is a chain to pop already, for which no kick may come; 0 if one may sleep;
 * or a negative &enum vbe_vq_error.
 */
VBE_VQ_API int vbe_vq_enable_kicks(struct vbe_vq *vq);

/**
 * vbe_vq_disable_kicks() - tell the FE that kicks are not needed
 * @vq: the queue
 *
 * A hint only: kicks may still come.
 */
VBE_VQ_API void vbe_vq_disable_kicks(struct vbe_vq *vq);

/**
 * vbe_vq_get_state() - where the queue is
 * @vq: the queue
 * @state: filled in
 */
VBE_VQ_API void vbe_vq_get_state(const struct vbe_vq *vq, struct vbe_vq_state *state);

/**
 * vbe_vq_mem_read() - copy from FE memory
 * @mem: how it is reached
 * @fe_addr: where
 * @dst: to
 * @len: bytes; may cross windows
 *
 * Return: 0, %VBE_VQ_E_RANGE if not all is within reach, %VBE_VQ_E_MEM if a callback failed. In
 * both cases a part may have been copied.
 */
VBE_VQ_API int vbe_vq_mem_read(const struct vbe_vq_mem *mem, uint64_t fe_addr, void *dst,
			       size_t len);

/**
 * vbe_vq_mem_write() - copy to FE memory
 * @mem: how it is reached
 * @fe_addr: where
 * @src: from
 * @len: bytes; may cross windows
 *
 * Return: as vbe_vq_mem_read(); %VBE_VQ_E_RANGE for a read-only window too.
 */
VBE_VQ_API int vbe_vq_mem_write(const struct vbe_vq_mem *mem, uint64_t fe_addr, const void *src,
				size_t len);

/**
 * vbe_vq_chain_read() - copy out of the readable part of a chain
 * @vq: the queue
 * @chain: as popped
 * @offset: where to begin in the readable part, in bytes
 * @dst: to
 * @len: bytes
 *
 * Return: 0, %VBE_VQ_E_RANGE if the part is shorter (nothing was copied), %VBE_VQ_E_MEM.
 */
VBE_VQ_API int vbe_vq_chain_read(const struct vbe_vq *vq, const struct vbe_vq_chain *chain,
				 uint64_t offset, void *dst, size_t len);

/**
 * vbe_vq_chain_write() - copy into the writable part of a chain
 * @vq: the queue
 * @chain: as popped
 * @offset: where to begin in the writable part, in bytes
 * @src: from
 * @len: bytes
 *
 * Return: as vbe_vq_chain_read().
 */
VBE_VQ_API int vbe_vq_chain_write(const struct vbe_vq *vq, const struct vbe_vq_chain *chain,
				  uint64_t offset, const void *src, size_t len);

/**
 * vbe_vq_strerror() - an error in words
 * @error: &enum vbe_vq_error, or 0
 *
 * Return: a constant string, never NULL.
 */
VBE_VQ_API const char *vbe_vq_strerror(int error);

/**
 * vbe_vq_errname() - the name of an error
 * @error: &enum vbe_vq_error, or 0
 *
 * Return: a constant string such as "VBE_VQ_E_LOOP", never NULL.
 */
VBE_VQ_API const char *vbe_vq_errname(int error);

/**
 * vbe_vq_error() - what broke the queue
 * @vq: the queue
 *
 * Return: 0 or a negative &enum vbe_vq_error.
 */
static inline int vbe_vq_error(const struct vbe_vq *vq)
{
	return vq->error;
}

/**
 * vbe_vq_in_flight() - chains which the BE has popped and not published
 * @vq: the queue
 *
 * Return: the number of chains.
 */
static inline uint32_t vbe_vq_in_flight(const struct vbe_vq *vq)
{
	return vq->in_flight;
}

#ifdef __cplusplus
}
#endif

#endif /* VBE_VIRTQUEUE_H */
