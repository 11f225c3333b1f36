// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
/*
 * vbe-blk's checks of requests, without a kernel: a driver of ours writes what it likes into a
 * ring in plain memory; the engine pops it, blk.c judges it. Every case runs twice: with memory
 * that is mapped, and with memory that can only be copied.
 */
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/virtio_ring.h>

#include "../../tools/vbe-blk/vbe-blk.h"

#define MEM_SIZE	(1u << 20)
#define FE_BASE		0x40000000ull
#define QUEUE		256u
#define DESC_OFF	0u
#define AVAIL_OFF	0x2000u
#define USED_OFF	0x3000u
#define HDR_OFF		0x8000u
#define DATA_OFF	0x10000u
#define STATUS_OFF	0x9000u
#define CAPACITY	(8u << 20)
#define GUARD		0x5a

static uint8_t *mem;
static struct vbe_vq vq;
static struct vbe_vq_window window;
static struct vbe_vq_mem vqmem;
static struct vbe_vq_slot slots[QUEUE];
static struct blk_request *req;
static struct blk_limits lim;
static unsigned int n_desc, n_test, n_failed, n_chain;
static bool copied;

static int mem_read(void *opaque, uint64_t fe_addr, void *dst, uint32_t len)
{
	(void)opaque;
	memcpy(dst, mem + (fe_addr - FE_BASE), len);
	return 0;
}

static int mem_write(void *opaque, uint64_t fe_addr, const void *src, uint32_t len)
{
	(void)opaque;
	memcpy(mem + (fe_addr - FE_BASE), src, len);
	return 0;
}

static void check(bool ok, const char *what)
{
	printf("%sok %u - %s%s\n", ok ? "" : "not ", ++n_test, what, copied ? " (copied)" : "");
	n_failed += !ok;
}

static void begin(void)
{
	struct vbe_vq_config cfg = {
		.size = QUEUE, .desc_addr = FE_BASE + DESC_OFF, .driver_addr = FE_BASE + AVAIL_OFF,
		.device_addr = FE_BASE + USED_OFF, .mem = &vqmem, .slots = slots,
		.nr_slots = QUEUE,
	};

	memset(mem, 0, MEM_SIZE);
	memset(mem + STATUS_OFF, GUARD, 64);
	window = (struct vbe_vq_window){
		.fe_addr = FE_BASE, .len = MEM_SIZE, .host = copied ? NULL : mem,
	};
	vqmem = (struct vbe_vq_mem){
		.windows = &window, .nr_windows = 1, .read = mem_read, .write = mem_write,
	};
	lim = (struct blk_limits){ .capacity = CAPACITY, .can_discard = true };
	n_desc = 0;
	n_chain = 0;
	if (vbe_vq_init(&vq, &cfg)) {
		printf("Bail out! the engine refused the ring\n");
		exit(1);
	}
}

static void desc(uint32_t off, uint32_t len, bool write)
{
	struct vring_desc *d = (struct vring_desc *)(mem + DESC_OFF) + n_desc;

	if (n_desc > n_chain)
		d[-1].flags |= htole16(VRING_DESC_F_NEXT);
	d->addr = htole64(FE_BASE + off);
	d->len = htole32(len);
	d->flags = htole16(write ? VRING_DESC_F_WRITE : 0);
	d->next = htole16(++n_desc);
}

static void header(uint32_t type, uint64_t sector)
{
	struct virtio_blk_outhdr hdr = { .type = htole32(type), .sector = htole64(sector) };

	memcpy(mem + HDR_OFF, &hdr, sizeof(hdr));
	desc(HDR_OFF, sizeof(hdr), false);
}

/* Make the descriptors available, pop and parse them. */
static void go(void)
{
	struct vring_avail *avail = (struct vring_avail *)(mem + AVAIL_OFF);
	uint16_t idx = le16toh(avail->idx);

	avail->ring[idx % QUEUE] = htole16(n_chain);
	avail->idx = htole16(idx + 1);
	n_chain = n_desc;
	memset(req, 0xff, sizeof(*req));
	req->chain.segs = req->segs;
	req->chain.max_segs = BLK_SEGS;
	if (vbe_vq_pop(&vq, &req->chain) != 1) {
		printf("Bail out! the engine gave no chain: %s\n",
		       vbe_vq_strerror(vbe_vq_error(&vq)));
		exit(1);
	}
	blk_parse(&vq, &lim, req);
}

static bool refused(uint8_t status)
{
	uint32_t used;

	if (req->op != BLK_DONE || req->status != status)
		return false;
	used = blk_finish(&vq, req);
	return mem[STATUS_OFF] == status && mem[STATUS_OFF + 1] == GUARD &&
	       vbe_vq_push(&vq, req->chain.token, used) == 0;
}

static bool finish(uint8_t status, uint32_t want_used)
{
	uint32_t used = blk_finish(&vq, req);

	return used == want_used && mem[STATUS_OFF] == status && mem[STATUS_OFF + 1] == GUARD &&
	       vbe_vq_push(&vq, req->chain.token, used) == 0;
}

static void rw(uint32_t type, uint64_t sector, uint32_t len)
{
	begin();
	header(type, sector);
	if (len)
		desc(DATA_OFF, len, type == VIRTIO_BLK_T_IN);
	desc(STATUS_OFF, 1, true);
}

static void test_rw(void)
{
	rw(VIRTIO_BLK_T_IN, 8, 4096);
	go();
	check(req->op == BLK_READ && req->off == 4096 && req->len == 4096 &&
	      req->mapped == !copied, "read");
	check(copied || (req->n_iov == 1 && req->iov[0].iov_base == mem + DATA_OFF &&
			 req->iov[0].iov_len == 4096), "read goes to the driver's buffer");
	blk_fill_zero(&vq, req);
	check(finish(VIRTIO_BLK_S_OK, 4097), "read is answered with data and status");
	rw(VIRTIO_BLK_T_OUT, CAPACITY / SECTOR - 1, SECTOR);
	go();
	check(req->op == BLK_WRITE && req->off == CAPACITY - SECTOR && req->len == SECTOR,
	      "write of the last sector");
	check(finish(VIRTIO_BLK_S_OK, 1), "write is answered with a status");
	rw(VIRTIO_BLK_T_IN, 0, 0);
	go();
	check(refused(VIRTIO_BLK_S_OK), "read of nothing is fine");
}

static void test_ranges_of_rw(void)
{
	static const struct {
		uint64_t sector;
		uint32_t len;
		const char *what;
	} bad[] = {
		{ CAPACITY / SECTOR, SECTOR, "at the end" },
		{ CAPACITY / SECTOR - 1, 2 * SECTOR, "across the end" },
		{ ~0ull, SECTOR, "at the largest sector" },
		{ ~0ull / SECTOR, SECTOR, "whose byte offset wraps" },
		{ ~0ull / SECTOR + 1, SECTOR, "whose byte offset wraps to 0" },
		{ 0, SECTOR + 1, "of a sector and a byte" },
		{ 0, 511, "of less than a sector" },
	};
	char what[80];

	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		rw(VIRTIO_BLK_T_IN, bad[i].sector, bad[i].len);
		go();
		snprintf(what, sizeof(what), "read %s is refused", bad[i].what);
		check(refused(VIRTIO_BLK_S_IOERR), what);
		rw(VIRTIO_BLK_T_OUT, bad[i].sector, bad[i].len);
		go();
		snprintf(what, sizeof(what), "write %s is refused", bad[i].what);
		check(refused(VIRTIO_BLK_S_IOERR), what);
	}
	rw(VIRTIO_BLK_T_OUT, 0, SECTOR);
	lim.read_only = true;
	go();
	check(refused(VIRTIO_BLK_S_IOERR), "write to a read-only disk is refused");
}

static void test_layout(void)
{
	begin();
	header(VIRTIO_BLK_T_IN, 0);
	desc(DATA_OFF, 100, true);
	desc(DATA_OFF + 100, 412, true);
	desc(DATA_OFF + 8192, 511, true);
	desc(STATUS_OFF - 1, 2, true);
	go();
	check(req->op == BLK_READ && req->len == 1024, "data and status may share a descriptor");
	check(copied || (req->n_iov == 3 && req->iov[0].iov_len == 512 &&
			 req->iov[2].iov_len == 1), "neighbours are merged");
	blk_fill_zero(&vq, req);
	check(finish(VIRTIO_BLK_S_OK, 1025), "and it is answered");

	begin();
	header(VIRTIO_BLK_T_OUT, 0);
	((struct vring_desc *)mem)[0].len = htole32(7);
	desc(HDR_OFF + 7, 9 + SECTOR, false);
	desc(STATUS_OFF, 1, true);
	memset(mem + HDR_OFF + 16, 0x77, SECTOR);
	go();
	check(req->op == BLK_WRITE && req->len == SECTOR &&
	      (copied || req->iov[0].iov_base == mem + HDR_OFF + 16),
	      "the header may be split, and share a descriptor with data");

	begin();
	desc(HDR_OFF, 15, false);
	desc(STATUS_OFF, 1, true);
	go();
	check(refused(VIRTIO_BLK_S_IOERR), "a short header is refused");

	begin();
	desc(STATUS_OFF, 1, true);
	go();
	check(refused(VIRTIO_BLK_S_IOERR), "no header is refused");

	begin();
	header(VIRTIO_BLK_T_FLUSH, 0);
	go();
	check(req->op == BLK_DONE && blk_finish(&vq, req) == 0 && mem[STATUS_OFF] == GUARD,
	      "without a status byte nothing is written");

	begin();
	header(VIRTIO_BLK_T_OUT, 0);
	for (unsigned int i = 0; i < BLK_SEG_MAX; i++)
		desc(DATA_OFF + i * 1024, SECTOR, false);
	desc(STATUS_OFF, 1, true);
	go();
	check(req->op == BLK_WRITE && req->len == BLK_SEG_MAX * SECTOR &&
	      (copied || req->n_iov == BLK_SEG_MAX), "as many segments as offered");
}

static void test_types(void)
{
	static const uint32_t unknown[] = { 2, 3, 5, 7, 9, 10, 12, 14, 0x80000000, ~0u };
	bool ok = true;

	for (unsigned int i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		rw(unknown[i], 0, SECTOR);
		go();
		ok &= refused(VIRTIO_BLK_S_UNSUPP);
	}
	check(ok, "unknown types are unsupported");
	rw(VIRTIO_BLK_T_FLUSH, 0, 0);
	go();
	check(req->op == BLK_FLUSH && finish(VIRTIO_BLK_S_OK, 1), "flush");
}

static void get_id(uint32_t room, const char *serial, const char *want, const char *what)
{
	begin();
	header(VIRTIO_BLK_T_GET_ID, 0);
	if (room)
		desc(DATA_OFF, room, true);
	desc(STATUS_OFF, 1, true);
	memset(mem + DATA_OFF, GUARD, 64);
	go();
	blk_get_id(&vq, req, serial);
	check(req->op == BLK_GET_ID && !memcmp(mem + DATA_OFF, want, room < 20 ? room : 20) &&
	      mem[DATA_OFF + (room < 20 ? room : 20)] == GUARD &&
	      finish(VIRTIO_BLK_S_OK, room <= 20 ? room + 1 : 20), what);
}

static void test_get_id(void)
{
	get_id(20, "disk0", "disk0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "serial number");
	get_id(20, "01234567890123456789", "01234567890123456789", "the longest serial number");
	get_id(3, "disk0", "dis", "serial number into a short buffer");
	get_id(40, "disk0", "disk0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "serial number into a long buffer");
	get_id(0, "disk0", "", "serial number into no buffer");
}

static void ranges(uint32_t type, unsigned int n, uint64_t sector, uint32_t sectors,
		   uint32_t flags)
{
	struct virtio_blk_discard_write_zeroes seg = {
		.sector = htole64(sector),
		.num_sectors = htole32(sectors),
		.flags = htole32(flags),
	};

	begin();
	header(type, 0);
	for (unsigned int i = 0; i < n; i++)
		memcpy(mem + DATA_OFF + i * sizeof(seg), &seg, sizeof(seg));
	if (n)
		desc(DATA_OFF, n * sizeof(seg), false);
	desc(STATUS_OFF, 1, true);
}

static void test_discard(void)
{
	const uint32_t types[] = { VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES };
	const uint32_t unmap = VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;

	for (unsigned int i = 0; i < 2; i++) {
		ranges(types[i], BLK_MAX_RANGES, 2, 6, 0);
		go();
		check(req->op == (i ? BLK_ZERO : BLK_DISCARD) && req->n_ranges == BLK_MAX_RANGES &&
		      req->ranges[15].off == 1024 && req->ranges[15].len == 3072,
		      "the most segments");
		check(finish(VIRTIO_BLK_S_OK, 1), "are answered");
		ranges(types[i], BLK_MAX_RANGES + 1, 2, 6, 0);
		go();
		check(refused(VIRTIO_BLK_S_IOERR), "one segment more is refused");
		ranges(types[i], 0, 0, 0, 0);
		go();
		check(refused(VIRTIO_BLK_S_IOERR), "no segment is refused");
		ranges(types[i], 1, CAPACITY / SECTOR - 1, 2, 0);
		go();
		check(refused(VIRTIO_BLK_S_IOERR), "across the end is refused");
		ranges(types[i], 1, ~0ull, 1, 0);
		go();
		check(refused(VIRTIO_BLK_S_IOERR), "the largest sector is refused");
		ranges(types[i], 1, 0, ~0u, 0);
		go();
		check(refused(VIRTIO_BLK_S_IOERR), "too many sectors are refused");
		ranges(types[i], 1, 0, 1, 2);
		go();
		check(refused(VIRTIO_BLK_S_UNSUPP), "an unknown flag is unsupported");
		ranges(types[i], 1, 0, 1, 0);
		((struct vring_desc *)mem)[1].len = htole32(15);
		go();
		check(refused(VIRTIO_BLK_S_IOERR), "half a segment is refused");
		ranges(types[i], 1, 0, 1, 0);
		lim.read_only = true;
		go();
		check(refused(VIRTIO_BLK_S_IOERR), "read-only is refused");
		ranges(types[i], 1, 0, 1, 0);
		lim.can_discard = false;
		go();
		check(refused(VIRTIO_BLK_S_UNSUPP), "not offered is unsupported");
	}
	ranges(VIRTIO_BLK_T_DISCARD, 1, 0, 1, unmap);
	go();
	check(refused(VIRTIO_BLK_S_UNSUPP), "discard with unmap is unsupported");
	ranges(VIRTIO_BLK_T_WRITE_ZEROES, 1, 0, 1, unmap);
	go();
	check(req->op == BLK_ZERO && req->ranges[0].unmap && finish(VIRTIO_BLK_S_OK, 1),
	      "write zeroes with unmap");
}

static void test_partial(void)
{
	begin();
	header(VIRTIO_BLK_T_IN, 0);
	desc(DATA_OFF, 512, true);
	desc(DATA_OFF + 4096, 512, true);
	desc(STATUS_OFF, 1, true);
	go();
	blk_advance(req, 600);
	check(req->pos == 600 && (copied || (req->iov_at == 1 && req->iov[1].iov_len == 424 &&
					     req->iov[1].iov_base == mem + DATA_OFF + 4096 + 88)),
	      "a short read is gone on with");
	req->status = VIRTIO_BLK_S_IOERR;
	check(finish(VIRTIO_BLK_S_IOERR, 0), "a failed read claims no bytes");
}

int main(void)
{
	mem = aligned_alloc(4096, MEM_SIZE);
	req = malloc(sizeof(*req));
	if (!mem || !req)
		return 1;
	printf("TAP version 13\n");
	for (int i = 0; i < 2; i++) {
		copied = i;
		test_rw();
		test_ranges_of_rw();
		test_layout();
		test_types();
		test_get_id();
		test_discard();
		test_partial();
	}
	printf("1..%u\n", n_test);
	free(req);
	free(mem);
	return n_failed != 0;
}
