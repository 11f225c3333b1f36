// SPDX-License-Identifier: GPL-2.0
/*
 * In a guest on arm64 whose kernel grants: be a virtio-blk driver that lies about grants.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * grant-rogue BASE [SECONDS]: drives the virtio-mmio block device whose registers are at
 * BASE, through /dev/mem, with grants of its own (/dev/xen/gntalloc). The kernel's driver
 * must have been unbound. First it is honest: what it writes it reads back. Then it gives
 * what is not granted, no longer granted, or granted for reading only, to buffers and
 * rings; then for SECONDS whatever comes to mind. What the device answers to that is only
 * printed, since there is no right answer; but nothing may change that was granted for
 * reading only, the device must be reset in time, and after each of these an honest
 * request must work as before.
 *
 * What is on the device is lost. Other drivers of this kernel have grants too: only what is
 * surely granted by nobody else is given to be written to.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <xen/gntalloc.h>

#define PAGE		4096u
#define SECTOR		512u
#define QUEUE		16u		/* entries */
#define GRANT		(1ull << 63)	/* what stands for a grant has this bit */
#define NO_REF		0x7000u		/* within Xen's limit, but never granted */
#define FAR_REF		0x6fffffu	/* beyond any grant table */
#define RESET_S		20		/* longer than a device may take */
#define PATIENT_MS	3000		/* longer than vbe tries what cannot be mapped */
#define BOUND_MS	4500		/* shorter than vbe waits for a backend that is stuck */
#define COPIES_ONLY	(1u << 8)	/* of an entry of the grant table: GTF_sub_page */
#define ANSWER_MS	1500
#define FEATURES	(1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_F_ACCESS_PLATFORM)
#define INDIRECT	(1ull << VIRTIO_RING_F_INDIRECT_DESC)

/* In the page of the ring: */
#define RING_DRIVER	0x200
#define RING_DEVICE	0x400
/* In the page of headers: */
#define CTL_STATUS	0x800
#define CTL_TABLE	0x400

/**
 * struct page - one that was granted to the backend's domain
 * @mem: it
 * @ref: its grant
 * @index: what gntalloc calls it
 */
struct page {
	uint8_t *mem;
	uint32_t ref;
	uint64_t index;
};

static volatile uint8_t *regs;
static int gntalloc;
static struct page ring, ctl, data, constant;
static uint64_t capacity, random_state = 88172645463325252ULL;
static uint16_t avail_idx;
static int failed;

static uint32_t draw(uint32_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state >> 16) % n;
}

static void die(const char *what)
{
	printf("rogue: %s: %s\n", what, strerror(errno));
	exit(2);
}

/* ---- registers: Xen emulates plain loads and stores, not those that move a pointer --- */

static uint32_t reg_read(uint32_t at)
{
	uint32_t val;

	asm volatile("ldr %w0, [%1]" : "=r"(val) : "r"(regs + at) : "memory");
	return val;
}

static void reg_write(uint32_t at, uint32_t val)
{
	asm volatile("dsb sy; str %w0, [%1]" : : "r"(val), "r"(regs + at) : "memory");
}

static void reg_write64(uint32_t at, uint64_t val)
{
	reg_write(at, val);
	reg_write(at + 4, val >> 32);
}

static void map_registers(uint64_t base)
{
	int fd = open("/dev/mem", O_RDWR | O_SYNC | O_CLOEXEC);
	void *map;

	if (fd < 0)
		die("/dev/mem");
	map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, base & ~(PAGE - 1ull));
	if (map == MAP_FAILED)
		die("mapping the registers");
	close(fd);
	regs = (volatile uint8_t *)map + base % PAGE;
	if (reg_read(VIRTIO_MMIO_MAGIC_VALUE) != 0x74726976 ||
	    reg_read(VIRTIO_MMIO_DEVICE_ID) != 2) {
		printf("rogue: there is no block device at %#llx\n", (unsigned long long)base);
		exit(2);
	}
	capacity = reg_read(VIRTIO_MMIO_CONFIG) | (uint64_t)reg_read(VIRTIO_MMIO_CONFIG + 4) << 32;
}

/* ---- grants -------------------------------------------------------------------------- */

static struct page grant(bool writable)
{
	struct ioctl_gntalloc_alloc_gref arg = {
		.domid = 0,
		.flags = writable ? GNTALLOC_FLAG_WRITABLE : 0,
		.count = 1,
	};
	struct page page;

	if (ioctl(gntalloc, IOCTL_GNTALLOC_ALLOC_GREF, &arg))
		die("granting a page");
	page.ref = arg.gref_ids[0];
	page.index = arg.index;
	page.mem = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, gntalloc, arg.index);
	if (page.mem == MAP_FAILED)
		die("mapping a page");
	memset(page.mem, 0, PAGE);
	return page;
}

static void take_back(const struct page *page)
{
	struct ioctl_gntalloc_dealloc_gref arg = { .index = page->index, .count = 1 };

	munmap(page->mem, PAGE);
	if (ioctl(gntalloc, IOCTL_GNTALLOC_DEALLOC_GREF, &arg))
		die("taking a page back");
}

/*
 * Xen maps no grant that says so, and copies it: which is what want of memory looks like. The
 * grant table is where the guest's device tree says.
 */
static void for_copies_only(const struct page *page)
{
	int fd = open("/proc/device-tree/hypervisor/reg", O_RDONLY | O_CLOEXEC);
	uint64_t at;
	uint16_t *entry;
	void *map;

	if (fd < 0 || read(fd, &at, sizeof(at)) != sizeof(at))
		die("finding the grant table");
	close(fd);
	at = be64toh(at) + page->ref * 8ull;
	fd = open("/dev/mem", O_RDWR | O_SYNC | O_CLOEXEC);
	map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, at & ~(PAGE - 1ull));
	if (map == MAP_FAILED)
		die("mapping the grant table");
	close(fd);
	/* Flags, and who may. */
	entry = (uint16_t *)((uint8_t *)map + at % PAGE);
	if (__atomic_load_n(&entry[0], __ATOMIC_SEQ_CST) != 1 || entry[1]) {
		printf("rogue: no grant table at %#llx\n", (unsigned long long)at);
		exit(2);
	}
	__atomic_store_n(&entry[0], 1 | COPIES_ONLY, __ATOMIC_SEQ_CST);
	munmap(map, PAGE);
}

static uint64_t ref_addr(uint32_t ref)
{
	return GRANT | (uint64_t)ref * PAGE;
}

static uint64_t addr(const struct page *page, uint32_t at)
{
	return ref_addr(page->ref) + at;
}

/* ---- the device ---------------------------------------------------------------------- */

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ull + ts.tv_nsec / 1000000;
}

static bool reset(void)
{
	uint64_t until = now_ms() + RESET_S * 1000;

	reg_write(VIRTIO_MMIO_STATUS, 0);
	while (reg_read(VIRTIO_MMIO_STATUS)) {
		if (now_ms() > until) {
			printf("rogue: no reset in %d s\n", RESET_S);
			return false;
		}
		usleep(1000);
	}
	return true;
}

/* Return: whether the device takes @features. */
static bool negotiate(uint64_t features)
{
	const uint32_t status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;

	if (!reset())
		return false;
	reg_write(VIRTIO_MMIO_STATUS, status);
	for (uint32_t word = 0; word < 2; word++) {
		reg_write(VIRTIO_MMIO_DRIVER_FEATURES_SEL, word);
		reg_write(VIRTIO_MMIO_DRIVER_FEATURES, features >> 32 * word);
	}
	reg_write(VIRTIO_MMIO_STATUS, status | VIRTIO_CONFIG_S_FEATURES_OK);
	return reg_read(VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_FEATURES_OK;
}

static void go(uint64_t desc, uint64_t driver, uint64_t device)
{
	reg_write(VIRTIO_MMIO_QUEUE_SEL, 0);
	reg_write(VIRTIO_MMIO_QUEUE_NUM, QUEUE);
	reg_write64(VIRTIO_MMIO_QUEUE_DESC_LOW, desc);
	reg_write64(VIRTIO_MMIO_QUEUE_AVAIL_LOW, driver);
	reg_write64(VIRTIO_MMIO_QUEUE_USED_LOW, device);
	reg_write(VIRTIO_MMIO_QUEUE_READY, 1);
	reg_write(VIRTIO_MMIO_STATUS, reg_read(VIRTIO_MMIO_STATUS) | VIRTIO_CONFIG_S_DRIVER_OK);
}

static struct vring_desc *descs(void)
{
	return (void *)ring.mem;
}

static struct vring_used *used(void)
{
	return (void *)(ring.mem + RING_DEVICE);
}

/* From a reset on, with rings that are granted. */
static bool begin(uint64_t features)
{
	memset(ring.mem, 0, PAGE);
	avail_idx = 0;
	if (!negotiate(features))
		return false;
	go(addr(&ring, 0), addr(&ring, RING_DRIVER), addr(&ring, RING_DEVICE));
	return true;
}

/* Descriptor @head is made available. */
static void offer(uint16_t head)
{
	struct vring_avail *avail = (void *)(ring.mem + RING_DRIVER);

	avail->ring[avail_idx % QUEUE] = head;
	__atomic_store_n(&avail->idx, ++avail_idx, __ATOMIC_SEQ_CST);
	reg_write(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
}

/* Return: whether all that was offered has been used; not if the device wants a reset. */
static bool answered(uint32_t ms)
{
	uint64_t until = now_ms() + ms;

	while (__atomic_load_n(&used()->idx, __ATOMIC_SEQ_CST) != avail_idx) {
		if (now_ms() > until || reg_read(VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET)
			return false;
		usleep(500);
	}
	return true;
}

static void desc(uint16_t n, uint64_t at, uint32_t len, uint16_t flags, uint16_t next)
{
	descs()[n] = (struct vring_desc){ .addr = at, .len = len, .flags = flags, .next = next };
}

/* A request of @len bytes at @at in descriptors 0 to 2; whoever wants to spoils it. */
static void request(uint32_t type, uint64_t sector, uint64_t at, uint32_t len)
{
	struct virtio_blk_outhdr *hdr = (void *)ctl.mem;
	uint16_t write = type == VIRTIO_BLK_T_IN ? VRING_DESC_F_WRITE : 0;

	*hdr = (struct virtio_blk_outhdr){ .type = type, .sector = sector };
	ctl.mem[CTL_STATUS] = 0xff;
	desc(0, addr(&ctl, 0), sizeof(*hdr), VRING_DESC_F_NEXT, 1);
	desc(1, at, len, VRING_DESC_F_NEXT | write, 2);
	desc(2, addr(&ctl, CTL_STATUS), 1, VRING_DESC_F_WRITE, 0);
}

/* Return: the request's status; -1: it was not answered. */
static int done(void)
{
	offer(0);
	return answered(ANSWER_MS) ? ctl.mem[CTL_STATUS] : -1;
}

/* ---- honest -------------------------------------------------------------------------- */

/* What is written to the last two sectors is read back, each from the other end of a page. */
static bool honest(void)
{
	uint8_t text[2 * SECTOR];

	for (uint32_t i = 0; i < sizeof(text); i++)
		text[i] = draw(256);
	if (!begin(FEATURES)) {
		printf("rogue: the device takes no honest driver\n");
		return false;
	}
	memcpy(data.mem + PAGE - sizeof(text), text, sizeof(text));
	request(VIRTIO_BLK_T_OUT, capacity - 2, addr(&data, PAGE - sizeof(text)), sizeof(text));
	if (done() != VIRTIO_BLK_S_OK) {
		printf("rogue: an honest write has status %d\n", ctl.mem[CTL_STATUS]);
		return false;
	}
	memset(data.mem, 0, PAGE);
	request(VIRTIO_BLK_T_IN, capacity - 2, addr(&data, 0), sizeof(text));
	if (done() != VIRTIO_BLK_S_OK || memcmp(data.mem, text, sizeof(text))) {
		printf("rogue: an honest read has status %d, data %s\n", ctl.mem[CTL_STATUS],
		       memcmp(data.mem, text, sizeof(text)) ? "differ" : "agree");
		return false;
	}
	return true;
}

static bool untouched(void)
{
	for (uint32_t i = 0; i < PAGE; i++) {
		if (constant.mem[i] != 0x5a) {
			printf("rogue: a page granted for reading was written to\n");
			return false;
		}
	}
	return true;
}

/* ---- lies: each returns the status of its last request, or -1 ------------------------ */

static int not_granted_read(void)
{
	request(VIRTIO_BLK_T_IN, 0, ref_addr(NO_REF), PAGE);
	return done();
}

static int beyond_grants(void)
{
	request(VIRTIO_BLK_T_IN, 0, ref_addr(FAR_REF), PAGE);
	return done();
}

static int not_granted_write(void)
{
	request(VIRTIO_BLK_T_OUT, capacity - 2, ref_addr(NO_REF), 2 * SECTOR);
	return done();
}

static int not_granted_header(void)
{
	request(VIRTIO_BLK_T_IN, 0, addr(&data, 0), PAGE);
	descs()[0].addr = ref_addr(NO_REF);
	return done();
}

static int not_granted_status(void)
{
	request(VIRTIO_BLK_T_IN, 0, addr(&data, 0), PAGE);
	descs()[2].addr = ref_addr(NO_REF);
	return done();
}

/* The grants that follow are not of this buffer, if they are any at all. */
static int beyond_granted(void)
{
	request(VIRTIO_BLK_T_OUT, 0, addr(&data, 0), 256 * PAGE);
	return done();
}

static int four_gigabytes(void)
{
	request(VIRTIO_BLK_T_OUT, 0, addr(&data, 0), 0xfffffe00u);
	return done();
}

/* Out of the top of the grants' window. */
static int over_the_top(void)
{
	request(VIRTIO_BLK_T_IN, 0, ref_addr(0xffffffffu) + PAGE - SECTOR, 8 * SECTOR);
	return done();
}

static int between_windows(void)
{
	request(VIRTIO_BLK_T_IN, 0, 1ull << 62, PAGE);
	return done();
}

static int for_reading_only(void)
{
	request(VIRTIO_BLK_T_IN, 0, addr(&constant, 0), PAGE);
	return done();
}

static int status_for_reading_only(void)
{
	request(VIRTIO_BLK_T_IN, 0, addr(&data, 0), PAGE);
	descs()[2].addr = addr(&constant, 1);
	return done();
}

/*
 * Served once, then taken back: what was known of that grant must not be used again. Its
 * number may be somebody else's by then, so it is only read from.
 */
static int taken_back(void)
{
	struct page page = grant(true);

	request(VIRTIO_BLK_T_IN, 0, addr(&page, 0), PAGE);
	if (done() != VIRTIO_BLK_S_OK)
		printf("rogue: before it was taken back: status %d\n", ctl.mem[CTL_STATUS]);
	take_back(&page);
	request(VIRTIO_BLK_T_OUT, 0, addr(&page, 0), PAGE);
	return done();
}

static int taken_back_in_flight(void)
{
	struct page page;

	for (int i = 0; i < 20; i++) {
		page = grant(true);
		request(VIRTIO_BLK_T_OUT, i, addr(&page, 0), PAGE);
		offer(0);
		usleep(draw(300));
		take_back(&page);
		if (!answered(ANSWER_MS))
			return -1;
	}
	return ctl.mem[CTL_STATUS];
}

/* One page, as all the segments that a queue has room for. */
static int one_page_everywhere(void)
{
	request(VIRTIO_BLK_T_IN, 0, addr(&data, 0), PAGE);
	for (uint16_t n = 1; n < QUEUE - 1; n++)
		desc(n, addr(&data, 0), PAGE, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, n + 1);
	desc(QUEUE - 1, addr(&ctl, CTL_STATUS), 1, VRING_DESC_F_WRITE, 0);
	return done();
}

/* The ring itself as a buffer, and the status over it. */
static int ring_as_buffer(void)
{
	request(VIRTIO_BLK_T_IN, 0, addr(&ring, 0), PAGE);
	descs()[2].addr = addr(&ring, RING_DEVICE + 2);
	return done();
}

static int table(uint64_t at, uint32_t len)
{
	request(VIRTIO_BLK_T_IN, 0, addr(&data, 0), PAGE);
	memcpy(ctl.mem + CTL_TABLE, descs(), 3 * sizeof(struct vring_desc));
	desc(0, at, len, VRING_DESC_F_INDIRECT, 0);
	return done();
}

/* Not that of a liar: that the others are refused for what they are. */
static int honest_table(void)
{
	return table(addr(&ctl, CTL_TABLE), 3 * sizeof(struct vring_desc));
}

static int table_not_granted(void)
{
	return table(ref_addr(NO_REF), 3 * sizeof(struct vring_desc));
}

static int table_beyond_granted(void)
{
	return table(addr(&ctl, CTL_TABLE), 512 * sizeof(struct vring_desc));
}

/* Grants as many as one cares to name: nothing may be kept of each. */
static int thousands(void)
{
	uint32_t ref = NO_REF;

	for (int i = 0; i < 200; i++) {
		request(VIRTIO_BLK_T_IN, 0, ref_addr(ref++), PAGE);
		for (uint16_t n = 1; n < QUEUE - 1; n++)
			desc(n, ref_addr(ref++), PAGE, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE,
			     n + 1);
		desc(QUEUE - 1, addr(&ctl, CTL_STATUS), 1, VRING_DESC_F_WRITE, 0);
		offer(0);
		if (!answered(ANSWER_MS))
			return -1;
	}
	return ctl.mem[CTL_STATUS];
}

static int data_for_copies_only(void)
{
	struct page page = grant(true);
	int status;

	for_copies_only(&page);
	request(VIRTIO_BLK_T_IN, 0, addr(&page, 0), PAGE);
	status = done();
	take_back(&page);
	return status;
}

/* ---- rings that are none: the rest of the ring is what was granted -------------------- */

static int rings(uint64_t d, uint64_t driver, uint64_t device)
{
	memset(ring.mem, 0, PAGE);
	avail_idx = 0;
	if (!negotiate(FEATURES))
		return -1;
	go(d, driver, device);
	request(VIRTIO_BLK_T_IN, 0, addr(&data, 0), PAGE);
	offer(0);
	return answered(300) ? ctl.mem[CTL_STATUS] : -1;
}

static int rings_not_granted(void)
{
	return rings(ref_addr(NO_REF), ref_addr(NO_REF) + 0x200, ref_addr(NO_REF) + 0x400);
}

static int descs_not_granted(void)
{
	return rings(ref_addr(NO_REF), addr(&ring, RING_DRIVER), addr(&ring, RING_DEVICE));
}

static int used_not_granted(void)
{
	return rings(addr(&ring, 0), addr(&ring, RING_DRIVER), ref_addr(NO_REF));
}

static int used_for_reading_only(void)
{
	return rings(addr(&ring, 0), addr(&ring, RING_DRIVER), addr(&constant, 0));
}

static int rings_over_the_top(void)
{
	return rings(ref_addr(0xffffffffu) + PAGE - 16, ~0ull - 1, ~0ull - 3);
}

static int ring_taken_back(void)
{
	struct page page = grant(true);

	if (!negotiate(FEATURES))
		return -1;
	go(addr(&page, 0), addr(&page, RING_DRIVER), addr(&page, RING_DEVICE));
	reg_write(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	usleep(20000);
	take_back(&page);
	for (int i = 0; i < 50; i++)
		reg_write(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	usleep(100000);
	return -1;
}

/* The backend must not be stuck for as long as that is so. */
static int rings_for_copies_only(void)
{
	struct page page = grant(true);
	uint64_t start;

	for_copies_only(&page);
	if (!negotiate(FEATURES))
		return -1;
	go(addr(&page, 0), addr(&page, RING_DRIVER), addr(&page, RING_DEVICE));
	reg_write(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	usleep(PATIENT_MS * 1000);
	start = now_ms();
	if (!reset() || now_ms() - start > BOUND_MS) {
		printf("rogue: the backend was stuck\n");
		failed++;
	}
	printf("rogue: a reset after that: %llu ms\n", (unsigned long long)(now_ms() - start));
	take_back(&page);
	return -1;
}

/* ---- whatever comes to mind ----------------------------------------------------------- */

static uint64_t any_addr(void)
{
	const struct page *pages[] = { &ring, &ctl, &data, &constant };

	switch (draw(8)) {
	case 0:
		return draw(1 << 24);	/* where Xen has put no memory */
	case 1:
		return ref_addr(NO_REF + draw(1 << 12)) + draw(PAGE);
	case 2:
		return GRANT | (uint64_t)draw(1u << 31) << 20 | draw(1 << 20);
	default:
		return addr(pages[draw(4)], draw(2) ? 0 : draw(PAGE));
	}
}

static uint32_t any_len(void)
{
	static const uint32_t lens[] = { 0, 1, 16, SECTOR, PAGE, PAGE + 1, 1 << 16, 0xffffffff };

	return lens[draw(8)];
}

/* What follows a page of ours may be granted by somebody else. */
static bool ours(uint64_t at)
{
	return at & GRANT && at < ref_addr(NO_REF);
}

static void any_desc(uint16_t n, uint16_t flags, uint16_t next)
{
	uint64_t at = any_addr();
	uint32_t len = any_len(), room = PAGE - at % PAGE;

	if (flags & VRING_DESC_F_WRITE && ours(at) && len > room)
		len = room;
	desc(n, at, len, flags, next);
}

static void any_request(void)
{
	bool in = draw(2);

	request(in ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_OUT, draw(capacity - 16), 0, 0);
	any_desc(1, VRING_DESC_F_NEXT | (in ? VRING_DESC_F_WRITE : 0), 2);
	for (uint32_t i = draw(4); i; i--)
		any_desc(draw(QUEUE), draw(8), draw(QUEUE + 1));
	offer(draw(4) ? 0 : draw(QUEUE));
}

static int anything(uint32_t seconds)
{
	uint64_t until = now_ms() + seconds * 1000ull;
	uint32_t requests = 0, resets = 0;

	while (now_ms() < until) {
		if (!begin(FEATURES | (draw(2) ? INDIRECT : 0)))
			return 1;
		resets++;
		for (int i = 0; i < 16; i++, requests++) {
			any_request();
			if (!answered(20))
				break;
		}
	}
	printf("rogue: %u requests that mean nothing, %u resets\n", requests, resets);
	return !honest();
}

/* ------------------------------------------------------------------------------------- */

static const struct lie {
	const char *name;
	int (*tell)(void);
	uint64_t features;	/* 0: does all by itself */
} lies[] = {
	/* First, before vbe loses its patience with this guest. */
	{ "rings granted for copies only", rings_for_copies_only, 0 },
	{ "data to what is granted for copies only", data_for_copies_only, FEATURES },
	{ "data to what is not granted", not_granted_read, FEATURES },
	{ "data to what no grant can be", beyond_grants, FEATURES },
	{ "data from what is not granted", not_granted_write, FEATURES },
	{ "a header that is not granted", not_granted_header, FEATURES },
	{ "a status that is not granted", not_granted_status, FEATURES },
	{ "a buffer longer than what is granted", beyond_granted, FEATURES },
	{ "a buffer of 4 GiB", four_gigabytes, FEATURES },
	{ "a buffer over the top", over_the_top, FEATURES },
	{ "a buffer between windows", between_windows, FEATURES },
	{ "data to what is granted for reading", for_reading_only, FEATURES },
	{ "a status to what is granted for reading", status_for_reading_only, FEATURES },
	{ "a buffer that was taken back", taken_back, FEATURES },
	{ "buffers taken back in flight", taken_back_in_flight, FEATURES },
	{ "one page everywhere", one_page_everywhere, FEATURES },
	{ "the ring as a buffer", ring_as_buffer, FEATURES },
	{ "an honest table", honest_table, FEATURES | INDIRECT },
	{ "a table that is not granted", table_not_granted, FEATURES | INDIRECT },
	{ "a table longer than what is granted", table_beyond_granted, FEATURES | INDIRECT },
	{ "thousands of grants that are none", thousands, FEATURES },
	{ "rings that are not granted", rings_not_granted, 0 },
	{ "descriptors that are not granted", descs_not_granted, 0 },
	{ "a used ring that is not granted", used_not_granted, 0 },
	{ "a used ring granted for reading", used_for_reading_only, 0 },
	{ "rings over the top", rings_over_the_top, 0 },
	{ "a ring that was taken back", ring_taken_back, 0 },
};

static void tell(const struct lie *lie)
{
	uint64_t start = now_ms();
	int status = -1;

	if (lie->features && !begin(lie->features)) {
		printf("rogue: %s: the device does not start\n", lie->name);
		failed++;
		return;
	}
	status = lie->tell();
	printf("rogue: %s: status %d, device %#x, %llu ms\n", lie->name, status,
	       reg_read(VIRTIO_MMIO_STATUS), (unsigned long long)(now_ms() - start));
	fflush(stdout);
	if (!honest() || !untouched()) {
		printf("rogue: not as before after: %s\n", lie->name);
		failed++;
	}
}

int main(int argc, char **argv)
{
	if (argc < 2 || argc > 3) {
		fprintf(stderr, "usage: grant-rogue BASE [SECONDS]\n");
		return 2;
	}
	gntalloc = open("/dev/xen/gntalloc", O_RDWR | O_CLOEXEC);
	if (gntalloc < 0)
		die("/dev/xen/gntalloc");
	map_registers(strtoull(argv[1], NULL, 0));
	ring = grant(true);
	ctl = grant(true);
	data = grant(true);
	constant = grant(false);
	memset(constant.mem, 0x5a, PAGE);
	if (!honest())
		return 1;
	if (negotiate(1ull << VIRTIO_F_VERSION_1)) {
		printf("rogue: the device takes a driver that does not grant\n");
		failed++;
	}
	for (uint32_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++)
		tell(&lies[i]);
	if (argc == 3 && anything(strtoul(argv[2], NULL, 0)))
		failed++;
	if (!untouched())
		failed++;
	reset();
	printf("rogue: %d of them did harm\n", failed);
	return failed ? 1 : 0;
}
