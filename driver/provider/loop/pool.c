// SPDX-License-Identifier: GPL-2.0
/*
 * The bounce pool: all of FE memory that a backend ever sees.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * A mapping copies the driver's buffer to a place in the pool and back, so the
 * backend can reach nothing else of the kernel. Terms:
 *
 *  area	a part of the pool with a lock of its own. A CPU begins at its own
 *		area and goes on to others when that is full, so there is no lock
 *		that all CPUs share on the data path.
 *  region	each area has two: whole pages for what is longer than 2 KiB, and
 *		an eighth in granules of 256 bytes for the rest (headers, status
 *		bytes, indirect tables), which overflows into pages.
 *  unit	a page or a granule. A mapping has a run of units of one region.
 *
 * Rings have an eighth of the pool to themselves: Linux' virtio_ring believes what
 * a split ring's descriptors say, so backends must not write there.
 *
 * What a read did not fill is copied back to the driver nevertheless. That leaks
 * nothing: pool pages are zeroed when they are allocated, and only ever hold what
 * this one device's own backend could read or has written anyway.
 *
 * Late writes: a backend that is killed may leave I/O behind which writes to pool
 * pages at its leisure (O_DIRECT), while the driver goes on and maps new buffers in
 * the same pages. Such I/O holds page references, and the core lets no next backend
 * attach before they have gone. So until then nobody looks at what is mapped, and
 * when the I/O has ended all that devices read is copied in again. Only rings, of
 * which there is no second copy, wait for it to leave their pages
 * (loop_pool_settle()).
 */
#include <linux/bitmap.h>
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/highmem.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "loop.h"

/* ---- making and unmaking ---------------------------------------------------- */

static int loop_region_init(struct loop_region *r, unsigned long page, unsigned int shift,
			    unsigned int n_pages)
{
	r->page = page;
	r->shift = shift;
	r->n = n_pages << (PAGE_SHIFT - shift);
	r->free = r->n;
	r->used = bitmap_zalloc(r->n, GFP_KERNEL_ACCOUNT);
	r->slots = kvcalloc(r->n, sizeof(*r->slots), GFP_KERNEL_ACCOUNT);
	return r->used && r->slots ? 0 : -ENOMEM;
}

static void loop_region_free(struct loop_region *r)
{
	bitmap_free(r->used);
	kvfree(r->slots);
}

static int loop_area_init(struct loop_pool *pool, unsigned int i)
{
	unsigned long page = pool->ring_pages + (unsigned long)i * pool->area_pages;
	unsigned int n = i < pool->n_areas - 1 ? pool->area_pages : pool->n_pages - page;
	struct loop_area *area = &pool->areas[i];
	unsigned int n_small = n / 8;
	int ret;

	spin_lock_init(&area->lock);
	ret = loop_region_init(&area->pages, page, PAGE_SHIFT, n - n_small);
	if (ret)
		return ret;
	pool->n_data += n - n_small;
	return loop_region_init(&area->small, page + n - n_small, LOOP_SMALL_SHIFT, n_small);
}

static int loop_rings_init(struct loop_pool *pool)
{
	struct loop_area *rings = &pool->rings;

	spin_lock_init(&rings->lock);
	/* No granules in here: their region begins where the area ends. */
	rings->small.page = pool->ring_pages;
	return loop_region_init(&rings->pages, 0, PAGE_SHIFT, pool->ring_pages);
}

/**
 * loop_pool_init() - make a pool
 * @pool: zeroed
 * @n_pages: size, at least 256 pages of 4 KiB, or as many bytes
 *
 * Context: process, may sleep.
 * Return: 0 or a negative errno; loop_pool_free() cleans up in both cases.
 */
int loop_pool_init(struct loop_pool *pool, unsigned long n_pages)
{
	unsigned int i;
	int ret;

	pool->pages = vbe_pages_alloc(n_pages);
	if (IS_ERR(pool->pages)) {
		ret = PTR_ERR(pool->pages);
		pool->pages = NULL;
		return ret;
	}
	pool->n_pages = n_pages;
	pool->max_map = PAGE_SIZE;
	pool->vaddr = vmap(pool->pages, n_pages, VM_MAP, PAGE_KERNEL);
	/* Each piece of a ring takes a page at least, and there are fewer large ones. */
	pool->ring_pages = n_pages / (PAGE_ALIGNED(SZ_4K) ? 8 : 4);
	pool->n_areas = max((n_pages - pool->ring_pages) / LOOP_AREA_PAGES, 1UL);
	pool->area_pages = (n_pages - pool->ring_pages) / pool->n_areas;
	pool->areas = kvcalloc(pool->n_areas, sizeof(*pool->areas), GFP_KERNEL_ACCOUNT);
	if (!pool->vaddr || !pool->areas)
		return -ENOMEM;
	ret = loop_rings_init(pool);
	for (i = 0; !ret && i < pool->n_areas; i++)
		ret = loop_area_init(pool, i);
	return ret;
}

/**
 * loop_pool_free() - unmake a pool
 * @pool: with nothing mapped any more, and no window of it
 */
void loop_pool_free(struct loop_pool *pool)
{
	unsigned int i;

	for (i = 0; pool->areas && i < pool->n_areas; i++) {
		loop_region_free(&pool->areas[i].pages);
		loop_region_free(&pool->areas[i].small);
	}
	loop_region_free(&pool->rings.pages);
	kvfree(pool->areas);
	if (pool->vaddr)
		vunmap(pool->vaddr);
	if (pool->pages)
		vbe_pages_free(pool->pages, pool->n_pages);
	memset(pool, 0, sizeof(*pool));
}

/* ---- runs of units -------------------------------------------------------------- */

/* O_DIRECT wants sectors aligned, so what is a sector or more is aligned to one. */
static unsigned long loop_align_mask(struct loop_region *r, size_t len)
{
	return len >= 512 && r->shift < 9 ? (512 >> r->shift) - 1 : 0;
}

/* Under the area's lock. Returns the first unit, or -1. */
static int loop_region_take(struct loop_region *r, phys_addr_t orig, size_t len, u8 dir,
			    unsigned int spare)
{
	unsigned int i, n = DIV_ROUND_UP(len, 1U << r->shift);
	unsigned long unit, mask = loop_align_mask(r, len);

	if (r->free < n + spare)
		return -1;
	unit = bitmap_find_next_zero_area(r->used, r->n, r->next, n, mask);
	if (unit + n > r->n)
		unit = bitmap_find_next_zero_area(r->used, r->n, 0, n, mask);
	if (unit + n > r->n)
		return -1;
	bitmap_set(r->used, unit, n);
	r->next = unit + n < r->n ? unit + n : 0;
	WRITE_ONCE(r->free, r->free - n);
	for (i = 0; i < n; i++)
		r->slots[unit + i].first = unit;
	r->slots[unit].orig = orig;
	r->slots[unit].len = len;
	r->slots[unit].dir = dir;
	return unit;
}

/* Under the area's lock. */
static void loop_region_give(struct loop_region *r, unsigned int unit)
{
	unsigned int n = DIV_ROUND_UP(r->slots[unit].len, 1U << r->shift);

	r->slots[unit].len = 0;
	bitmap_clear(r->used, unit, n);
	WRITE_ONCE(r->free, r->free + n);
}

static dma_addr_t loop_unit_addr(struct loop_region *r, unsigned int unit)
{
	return LOOP_FE_BASE + ((dma_addr_t)r->page << PAGE_SHIFT) +
	       ((dma_addr_t)unit << r->shift);
}

static void *loop_addr_ptr(struct loop_pool *pool, dma_addr_t addr)
{
	return pool->vaddr + (addr - LOOP_FE_BASE);
}

static dma_addr_t loop_area_take(struct loop_pool *pool, struct loop_area *area,
				 phys_addr_t orig, size_t len, u8 dir)
{
	struct loop_region *r = len <= LOOP_SMALL_MAX ? &area->small : &area->pages;
	unsigned int spare = 0;
	unsigned long flags;
	int unit;

	if (!READ_ONCE(area->pages.free) && !READ_ONCE(r->free))
		return DMA_MAPPING_ERROR;
	if (dir != DMA_TO_DEVICE)
		spare = area->pages.n * pool->reserve / 8;
	spin_lock_irqsave(&area->lock, flags);
	unit = loop_region_take(r, orig, len, dir, r == &area->pages ? spare : 0);
	if (unit < 0 && r == &area->small) {
		r = &area->pages;
		unit = loop_region_take(r, orig, len, dir, spare);
	}
	spin_unlock_irqrestore(&area->lock, flags);
	return unit < 0 ? DMA_MAPPING_ERROR : loop_unit_addr(r, unit);
}

/* Each CPU begins elsewhere, spread over the pool. */
static dma_addr_t loop_pool_take(struct loop_pool *pool, phys_addr_t orig, size_t len, u8 dir)
{
	unsigned int i, at = raw_smp_processor_id() * 7 % pool->n_areas;
	dma_addr_t addr;

	for (i = 0; i < pool->n_areas; i++) {
		addr = loop_area_take(pool, &pool->areas[at], orig, len, dir);
		if (likely(addr != DMA_MAPPING_ERROR))
			return addr;
		if (++at == pool->n_areas)
			at = 0;
	}
	return DMA_MAPPING_ERROR;
}

static struct loop_area *loop_addr_area(struct loop_pool *pool, dma_addr_t addr)
{
	unsigned long page = (addr - LOOP_FE_BASE) >> PAGE_SHIFT;

	if (addr < LOOP_FE_BASE || page >= pool->n_pages)
		return NULL;
	if (page < pool->ring_pages)
		return &pool->rings;
	page = (page - pool->ring_pages) / pool->area_pages;
	return &pool->areas[min_t(unsigned long, page, pool->n_areas - 1)];
}

/* The region and unit of an address within @area. */
static struct loop_region *loop_addr_region(struct loop_area *area, dma_addr_t addr,
					    unsigned int *unit)
{
	unsigned long page = (addr - LOOP_FE_BASE) >> PAGE_SHIFT;
	struct loop_region *r = page >= area->small.page ? &area->small : &area->pages;

	*unit = (addr - LOOP_FE_BASE - (r->page << PAGE_SHIFT)) >> r->shift;
	return r;
}

/* ---- mappings ----------------------------------------------------------------- */

/* @ptr is in the pool, @orig is the driver's; both in one piece. */
static void loop_copy(void *ptr, phys_addr_t orig, size_t len, bool to_pool)
{
	while (len) {
		struct page *page = pfn_to_page(PHYS_PFN(orig));
		size_t off = offset_in_page(orig);
		size_t n = min_t(size_t, len, PAGE_SIZE - off);

		if (to_pool)
			memcpy_from_page(ptr, page, off, n);
		else
			memcpy_to_page(page, off, ptr, n);
		ptr += n;
		orig += n;
		len -= n;
	}
}

/**
 * loop_pool_map() - map a driver's buffer
 * @pool: pool
 * @orig: physical address of the buffer
 * @len: its length
 * @dir: direction
 * @copy: copy what the device may read now, not only on a later sync
 *
 * Context: any.
 * Return: FE address, or DMA_MAPPING_ERROR when the pool is exhausted (try again
 * after an unmap) or @len is above the pool's max_map.
 */
dma_addr_t loop_pool_map(struct loop_pool *pool, phys_addr_t orig, size_t len,
			 enum dma_data_direction dir, bool copy)
{
	dma_addr_t addr;

	if (unlikely(!len || len > READ_ONCE(pool->max_map)))
		return DMA_MAPPING_ERROR;
	addr = loop_pool_take(pool, orig, len, dir);
	if (unlikely(addr == DMA_MAPPING_ERROR)) {
		atomic64_inc(&pool->exhausted);
		return addr;
	}
	atomic_inc(&pool->live);
	if (copy && dir != DMA_FROM_DEVICE)
		loop_copy(loop_addr_ptr(pool, addr), orig, len, true);
	else if (unlikely(READ_ONCE(pool->failing)))
		memset(loop_addr_ptr(pool, addr), LOOP_POISON, len);
	return addr;
}

/*
 * Look up the live mapping at @addr, which may be inside of it. Addresses come
 * from the driver; but a 6.1 driver may pass stale ones when a backend writes
 * nonsense into descriptors, so they are checked like a stranger's.
 */
static bool loop_pool_lookup(struct loop_pool *pool, dma_addr_t addr, struct loop_slot *slot,
			     dma_addr_t *start)
{
	struct loop_area *area = loop_addr_area(pool, addr);
	struct loop_region *r;
	unsigned long flags;
	unsigned int unit;

	if (unlikely(!area))
		return false;
	r = loop_addr_region(area, addr, &unit);
	spin_lock_irqsave(&area->lock, flags);
	unit = r->slots[unit].first;
	*slot = r->slots[unit];
	spin_unlock_irqrestore(&area->lock, flags);
	*start = loop_unit_addr(r, unit);
	return slot->len && addr - *start < slot->len;
}

/**
 * loop_pool_unmap() - end a mapping
 * @pool: pool
 * @addr: as loop_pool_map() gave it
 * @copy: copy back what the device may have written
 *
 * Context: any.
 * Return: false when nothing is mapped at @addr.
 */
bool loop_pool_unmap(struct loop_pool *pool, dma_addr_t addr, bool copy)
{
	struct loop_slot slot;
	dma_addr_t start;

	if (unlikely(!loop_pool_lookup(pool, addr, &slot, &start) || start != addr ||
		     !slot.orig))
		return false;
	if (copy && slot.dir != DMA_TO_DEVICE)
		loop_copy(loop_addr_ptr(pool, addr), slot.orig, slot.len, false);
	loop_pool_release(pool, addr);
	atomic_dec(&pool->live);
	return true;
}

static void loop_region_fail(struct loop_pool *pool, struct loop_region *r)
{
	unsigned int unit;

	for (unit = 0; unit < r->n; unit++)
		if (r->slots[unit].len && r->slots[unit].dir == DMA_FROM_DEVICE)
			memset(loop_addr_ptr(pool, loop_unit_addr(r, unit)), LOOP_POISON,
			       r->slots[unit].len);
}

/**
 * loop_pool_fail() - make all that devices should write say "failed"
 * @pool: pool
 *
 * What is mapped for the device to write, now or later, is filled with 0xff: a
 * status of any virtio device type reads that as an error. A mapping that this
 * pass misses was made after the flag was set, since it takes the area's lock.
 *
 * Context: process, may sleep.
 */
void loop_pool_fail(struct loop_pool *pool)
{
	unsigned int i;

	WRITE_ONCE(pool->failing, true);
	for (i = 0; i < pool->n_areas; i++) {
		struct loop_area *area = &pool->areas[i];

		spin_lock_irq(&area->lock);
		loop_region_fail(pool, &area->pages);
		loop_region_fail(pool, &area->small);
		spin_unlock_irq(&area->lock);
		cond_resched();
	}
}

/**
 * loop_pool_sync() - copy a part of a mapping
 * @pool: pool
 * @addr: within a mapping
 * @len: bytes; clipped to the mapping
 * @for_cpu: to the driver's buffer; else from it
 *
 * Context: any.
 */
void loop_pool_sync(struct loop_pool *pool, dma_addr_t addr, size_t len, bool for_cpu)
{
	struct loop_slot slot;
	dma_addr_t start;
	size_t off;

	if (unlikely(!loop_pool_lookup(pool, addr, &slot, &start) || !slot.orig))
		return;
	if (slot.dir == (for_cpu ? DMA_TO_DEVICE : DMA_FROM_DEVICE))
		return;
	off = addr - start;
	loop_copy(loop_addr_ptr(pool, addr), slot.orig + off,
		  min_t(size_t, len, slot.len - off), !for_cpu);
}

/**
 * loop_pool_alloc() - allocate coherent memory, for rings, among the pages for those
 * @pool: pool
 * @size: bytes; given in whole pages
 * @addr: set to its FE address
 *
 * Context: any.
 * Return: kernel address of zeroed memory, or NULL when there is no such room.
 */
void *loop_pool_alloc(struct loop_pool *pool, size_t size, dma_addr_t *addr)
{
	size = PAGE_ALIGN(size);
	if (!size || size > U32_MAX)
		return NULL;
	*addr = loop_area_take(pool, &pool->rings, 0, size, DMA_TO_DEVICE);
	if (*addr == DMA_MAPPING_ERROR)
		return NULL;
	return memset(loop_addr_ptr(pool, *addr), 0, size);
}

/**
 * loop_pool_release() - free coherent memory
 * @pool: pool
 * @addr: FE address from loop_pool_alloc()
 *
 * Context: any.
 */
void loop_pool_release(struct loop_pool *pool, dma_addr_t addr)
{
	struct loop_area *area = loop_addr_area(pool, addr);
	struct loop_region *r;
	unsigned long flags;
	unsigned int unit;

	if (!area)
		return;
	r = loop_addr_region(area, addr, &unit);
	spin_lock_irqsave(&area->lock, flags);
	if (r->slots[unit].len && r->slots[unit].first == unit)
		loop_region_give(r, unit);
	spin_unlock_irqrestore(&area->lock, flags);
}

/*
 * Copy in again what devices read. Other mappings are for devices to write; what
 * they have written the driver may not have seen yet.
 */
static void loop_region_refresh(struct loop_pool *pool, struct loop_region *r)
{
	struct loop_slot *slot;
	unsigned int unit;

	for (unit = 0; unit < r->n; unit++) {
		slot = &r->slots[unit];
		if (slot->len && slot->orig && slot->dir == DMA_TO_DEVICE)
			loop_copy(loop_addr_ptr(pool, loop_unit_addr(r, unit)), slot->orig,
				  slot->len, true);
	}
}

/**
 * loop_pool_suspect() - a backend ended, and the host's storage may still write
 * @pool: pool, of which nothing is mapped by a backend now
 *
 * Context: any.
 */
void loop_pool_suspect(struct loop_pool *pool)
{
	WRITE_ONCE(pool->suspect, true);
}

/**
 * loop_pool_clean() - that is over, and a next backend is about to come
 * @pool: pool, to whose pages nobody else refers
 *
 * A mapping that is made meanwhile copies the same bytes. One that is ended was
 * not, as long as its area is locked, so the driver's buffer is still there.
 *
 * Context: process, may sleep.
 */
void loop_pool_clean(struct loop_pool *pool)
{
	unsigned long flags;
	unsigned int i;

	if (!READ_ONCE(pool->suspect))
		return;
	for (i = 0; i < pool->n_areas; i++) {
		struct loop_area *area = &pool->areas[i];

		spin_lock_irqsave(&area->lock, flags);
		loop_region_refresh(pool, &area->pages);
		loop_region_refresh(pool, &area->small);
		spin_unlock_irqrestore(&area->lock, flags);
		cond_resched();
	}
	WRITE_ONCE(pool->suspect, false);
}

/**
 * loop_pool_settle() - wait for late writes, before rings are made
 * @pool: pool
 * @timeout_ms: how long to wait at most
 *
 * Context: process, sleeps.
 * Return: whether there are none any more.
 */
bool loop_pool_settle(struct loop_pool *pool, unsigned int timeout_ms)
{
	unsigned long page = 0, end = jiffies + msecs_to_jiffies(timeout_ms);

	/*
	 * A reference beyond our own and those of page tables is I/O in flight: of a
	 * backend that has ended, or of one that pinned a page when it might write it.
	 */
	while (page < pool->ring_pages) {
		if (page_ref_count(pool->pages[page]) <= 1 + vbe_page_mapcount(pool->pages[page])) {
			page++;
			continue;
		}
		if (time_after(jiffies, end))
			return false;
		usleep_range(1000, 4000);
	}
	return true;
}

static void loop_region_reset(struct loop_region *r)
{
	unsigned int unit;

	for (unit = 0; unit < r->n; unit++)
		if (r->slots[unit].len)
			loop_region_give(r, unit);
}

/**
 * loop_pool_reset() - take back what a driver left mapped
 * @pool: pool; no driver uses it any more
 *
 * None does, unless its rings were wrecked.
 * Context: process, may sleep.
 */
void loop_pool_reset(struct loop_pool *pool)
{
	unsigned int i;

	for (i = 0; i < pool->n_areas; i++) {
		struct loop_area *area = &pool->areas[i];

		spin_lock_irq(&area->lock);
		loop_region_reset(&area->pages);
		loop_region_reset(&area->small);
		spin_unlock_irq(&area->lock);
		cond_resched();
	}
	atomic_set(&pool->live, 0);
}

/**
 * loop_pool_is_live() - whether an address is the start of a driver's mapping
 * @pool: pool
 * @addr: any number
 *
 * Context: any.
 */
bool loop_pool_is_live(struct loop_pool *pool, dma_addr_t addr)
{
	struct loop_slot slot;
	dma_addr_t start;

	return loop_pool_lookup(pool, addr, &slot, &start) && start == addr && slot.orig;
}

/**
 * loop_pool_used() - pages' worth of units in use, rounded up per region
 * @pool: pool
 *
 * Context: any.
 */
unsigned int loop_pool_used(struct loop_pool *pool)
{
	unsigned int i, used = pool->rings.pages.n - READ_ONCE(pool->rings.pages.free);

	for (i = 0; i < pool->n_areas; i++) {
		struct loop_region *p = &pool->areas[i].pages;
		struct loop_region *s = &pool->areas[i].small;

		used += p->n - READ_ONCE(p->free);
		used += DIV_ROUND_UP(s->n - READ_ONCE(s->free), 1U << (PAGE_SHIFT - s->shift));
	}
	return used;
}
