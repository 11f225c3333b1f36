// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
/*
 * A front-end gone mad, over a fake kernel. Most messages are nearly right, so that it gets far;
 * the fake aborts on what must not be asked of a kernel, the sanitizers on the rest.
 *
 *	fuzz [SEED [MESSAGES]]
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fake.h"
#include "wire.h"

#define MESSAGES	60000ull
#define PER_SESSION	200u
#define MB		(1024ull * 1024)
#define USER		0x7f0000000000ull

const char *const log_name = "fuzz";

static struct fake fake;
static struct session session = { .fd = -1 };
static int sock = -1;

enum { FD_MEM, FD_EVENT, FD_SOCKET, FD_NULL, FD_AREA, FD_KINDS };
static int fd_kinds[FD_KINDS];

static uint64_t rnd(uint64_t below)
{
	return fake_random(&fake) % below;
}

static bool one_in(uint64_t n)
{
	return !rnd(n);
}

static uint64_t odd_number(void)
{
	static const uint64_t odd[] = {
		0, 1, 7, 255, 256, 4095, 4096, 65535, 65536, 1ull << 31, 1ull << 32, 1ull << 62,
		1ull << 63, -1ull, -4096ull, -65536ull,
	};

	return one_in(4) ? fake_random(&fake) : odd[rnd(sizeof(odd) / sizeof(odd[0]))];
}

static uint32_t index_of_ring(void)
{
	return one_in(100) ? odd_number() : rnd(FAKE_QUEUES);
}

static struct vu_region region(void)
{
	uint64_t at = rnd(one_in(2) ? 16 : 2) * MB;
	struct vu_region r = { at, (1 + rnd(3)) * MB, USER + at, at };

	if (one_in(10))
		r.size = odd_number();
	if (one_in(20))
		r.guest_addr = odd_number();
	if (one_in(20))
		r.user_addr = odd_number();
	if (one_in(20))
		r.mmap_offset = odd_number();
	return r;
}

static uint64_t ring_address(void)
{
	return one_in(15) ? odd_number() : USER + rnd(one_in(4) ? 16 : 2) * MB + rnd(4) * 0x4000;
}

static uint32_t fill_number(uint32_t number, union vu_payload *p)
{
	static const uint8_t status[] = { 0, 1, 3, 8, 11, 15 };

	if (number == VU_SET_FEATURES) {
		p->u64 = BIT(32) | VU_F_PROTOCOL_FEATURES | (one_in(3) ? BIT(34) : 0);
	} else if (number == VU_SET_PROTOCOL_FEATURES) {
		p->u64 = session.proto_offered & (one_in(5) ? fake_random(&fake) : -1ull);
		if (one_in(2))
			p->u64 &= ~VU_PROTOCOL_F_STATUS;
	} else if (number == VU_SET_STATUS) {
		p->u64 = status[rnd(sizeof(status))];
	} else {
		p->u64 = rnd(FAKE_QUEUES) | (one_in(10) ? VU_VRING_NOFD : 0);
	}
	if (one_in(20))
		p->u64 = odd_number();
	return sizeof(p->u64);
}

static uint32_t fill_memory(uint32_t number, union vu_payload *p)
{
	if (number == VU_SET_MEM_TABLE) {
		p->table.n_regions = one_in(20) ? odd_number() : rnd(4);
		for (unsigned int i = 0; i < VU_MAX_REGIONS; i++)
			p->table.regions[i] = region();
		return offsetof(struct vu_mem_table, regions) +
		       (p->table.n_regions & 15) * sizeof(struct vu_region);
	}
	p->region.region = region();
	if (number == VU_REM_MEM_REG && session.n_regions && !one_in(3)) {
		const struct region *r = &session.regions[rnd(session.n_regions)];

		p->region.region = (struct vu_region){ r->guest_addr, r->size, r->user_addr, 0 };
	}
	return sizeof(p->region);
}

static uint32_t fill_state(uint32_t number, union vu_payload *p)
{
	p->state.index = index_of_ring();
	if (number == VU_SET_VRING_NUM)
		p->state.num = one_in(10) ? odd_number() : 1u << rnd(10);
	else if (number == VU_SET_VRING_ENABLE)
		p->state.num = one_in(20) ? odd_number() : !one_in(4);
	else
		p->state.num = odd_number();
	return sizeof(p->state);
}

static uint32_t fill_config(union vu_payload *p)
{
	p->config.offset = one_in(50) ? odd_number() : rnd(70);
	p->config.size = one_in(50) ? odd_number() : rnd(30);
	p->config.flags = one_in(20);
	return VU_CONFIG_HEADER + (p->config.size & 255);
}

static uint32_t fill_inflight(union vu_payload *p)
{
	p->inflight = (struct vu_inflight){ FAKE_QUEUES * FAKE_INFLIGHT, 0, 1, 256 };
	if (one_in(20))
		p->inflight.num_queues = odd_number();
	if (one_in(10))
		p->inflight.mmap_size = odd_number();
	if (one_in(10))
		p->inflight.mmap_offset = odd_number();
	return one_in(2) ? VU_INFLIGHT_MIN : sizeof(p->inflight);
}

/* What request @number is about; returns bytes. */
static uint32_t fill(uint32_t number, union vu_payload *p)
{
	switch (number) {
	case VU_SET_FEATURES:
	case VU_SET_PROTOCOL_FEATURES:
	case VU_SET_STATUS:
	case VU_SET_VRING_KICK:
	case VU_SET_VRING_CALL:
	case VU_SET_VRING_ERR:
		return fill_number(number, p);
	case VU_SET_MEM_TABLE:
	case VU_ADD_MEM_REG:
	case VU_REM_MEM_REG:
		return fill_memory(number, p);
	case VU_SET_VRING_NUM:
	case VU_SET_VRING_BASE:
	case VU_GET_VRING_BASE:
	case VU_SET_VRING_ENABLE:
		return fill_state(number, p);
	case VU_SET_VRING_ADDR:
		p->addr = (struct vu_vring_addr){ index_of_ring(), one_in(30), ring_address(),
						  ring_address(), ring_address(), 0 };
		return sizeof(p->addr);
	case VU_GET_CONFIG:
	case VU_SET_CONFIG:
		return fill_config(p);
	case VU_GET_INFLIGHT_FD:
	case VU_SET_INFLIGHT_FD:
		return fill_inflight(p);
	default:
		return 0;
	}
}

static unsigned int pick_fds(uint32_t number, const union vu_payload *p, int *fds)
{
	unsigned int n = 0;
	int kind = FD_MEM;

	switch (number) {
	case VU_SET_MEM_TABLE:
		n = p->table.n_regions & 15;
		break;
	case VU_ADD_MEM_REG:
		n = 1;
		break;
	case VU_SET_VRING_KICK:
	case VU_SET_VRING_CALL:
	case VU_SET_VRING_ERR:
		n = !(p->u64 & VU_VRING_NOFD);
		kind = FD_EVENT;
		break;
	case VU_SET_BACKEND_REQ_FD:
		n = 1;
		kind = FD_SOCKET;
		break;
	case VU_SET_INFLIGHT_FD:
		n = 1;
		kind = FD_AREA;
		break;
	}
	if (one_in(200))
		n = rnd(WIRE_MAX_FDS);
	for (unsigned int i = 0; i < n; i++)
		fds[i] = fd_kinds[one_in(25) ? rnd(FD_KINDS) : (unsigned int)kind];
	return n;
}

static uint32_t pick_request(void)
{
	static const uint8_t known[] = {
		1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 21, 24, 25, 31, 32, 34,
		36, 37, 38, 39, 40,
		/* What makes a ring run, more often. */
		2, 37, 37, 37, 8, 9, 9, 9, 12, 12, 18, 18, 39,
	};

	return one_in(200) ? odd_number() : known[rnd(sizeof(known))];
}

static void pump(void)
{
	struct pollfd p = { .events = POLLIN };

	while (session_alive(&session)) {
		p.fd = session.fd;
		if (poll(&p, 1, 0) <= 0)
			return;
		if (session_input(&session))
			abort();
	}
}

/* Replies do not matter, but there must be room for them, and their fds be closed. */
static void drain(void)
{
	struct vu_header h;
	union vu_payload p;
	int fd;

	while (!wire_recv(sock, &h, &p, &fd, 0))
		if (fd >= 0)
			close(fd);
}

static void send_one(void)
{
	struct vu_header h = { .request = pick_request() };
	union vu_payload p;
	int fds[WIRE_MAX_FDS];
	unsigned int n_fds;
	uint32_t len;

	memset(&p, 0, sizeof(p));
	h.size = fill(h.request, &p);
	h.flags = one_in(1000) ? odd_number() : WIRE_ACK;
	n_fds = pick_fds(h.request, &p, fds);
	if (one_in(200))
		h.size = one_in(2) ? odd_number() : rnd(sizeof(p) + 8);
	len = h.size <= sizeof(p) ? h.size : sizeof(p);
	if (one_in(500) && len)
		len = rnd(len);
	wire_send(sock, &h, &p, len, fds, n_fds);
	fake.lost = one_in(fake.lost ? 10 : 100) ? !fake.lost : fake.lost;
	fake.refuse = one_in(fake.refuse ? 10 : 300) ? !fake.refuse : fake.refuse;
	pump();
	drain();
}

static void send_right(uint32_t request, const void *p, uint32_t size, int kind)
{
	struct vu_header h = { request, WIRE_ACK, size };

	wire_send(sock, &h, p, size, &fd_kinds[kind], kind != FD_NULL);
	pump();
	drain();
}

/* Some sessions begin as they should. */
static void bring_up(void)
{
	struct vu_mem_reg mem = { .region = { 0, 4 * MB, USER, 0 } };
	uint64_t proto = session.proto_offered & ~(one_in(2) ? VU_PROTOCOL_F_STATUS : 0);
	uint64_t features = BIT(32) | VU_F_PROTOCOL_FEATURES | (one_in(3) ? BIT(34) : 0);

	send_right(VU_SET_PROTOCOL_FEATURES, &proto, 8, FD_NULL);
	if (one_in(10))
		return;
	send_right(VU_SET_FEATURES, &features, 8, FD_NULL);
	if (one_in(10))
		return;
	send_right(VU_ADD_MEM_REG, &mem, sizeof(mem), FD_MEM);
	for (uint32_t i = 0; i < FAKE_QUEUES && !one_in(4); i++) {
		struct vu_vring_state num = { i, 256 }, on = { i, 1 };
		uint64_t at = USER + i * 0x10000, index = i;
		struct vu_vring_addr addr = { i, 0, at, at + 0x2000, at + 0x4000, 0 };

		send_right(VU_SET_VRING_NUM, &num, sizeof(num), FD_NULL);
		send_right(VU_SET_VRING_ADDR, &addr, sizeof(addr), FD_NULL);
		send_right(VU_SET_VRING_CALL, &index, sizeof(index), FD_EVENT);
		send_right(VU_SET_VRING_KICK, &index, sizeof(index), FD_EVENT);
		send_right(VU_SET_VRING_ENABLE, &on, sizeof(on), FD_NULL);
	}
	if (proto & VU_PROTOCOL_F_STATUS)
		send_right(VU_SET_STATUS, &(uint64_t){ 0xf }, sizeof(uint64_t), FD_NULL);
}

static void begin(void)
{
	int sv[2];

	fake.lost = false;
	fake.refuse = false;
	fake.failed = false;
	fake.fail_one_in = 0;
	/* What a session with failures has left is not the next one's. */
	fake.n_mem = 0;
	if (guest_dev_add(&fake.g) || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv))
		abort();
	fcntl(sv[1], F_SETFL, O_NONBLOCK);
	sock = sv[0];
	session_begin(&session, sv[1]);
	if (one_in(3))
		fake.fail_one_in = 60;
	if (!one_in(5))
		bring_up();
}

static unsigned int count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned int n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static bool any_running(void)
{
	for (unsigned int i = 0; i < FAKE_QUEUES; i++)
		if (fake.queues[i].enabled)
			return true;
	return false;
}

static void make_fds(void)
{
	int sv[2];

	fd_kinds[FD_MEM] = memfd_create("mem", MFD_CLOEXEC);
	fd_kinds[FD_AREA] = memfd_create("area", MFD_CLOEXEC);
	fd_kinds[FD_EVENT] = eventfd(0, EFD_CLOEXEC);
	fd_kinds[FD_NULL] = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (ftruncate(fd_kinds[FD_MEM], 32 * MB) ||
	    ftruncate(fd_kinds[FD_AREA], FAKE_QUEUES * FAKE_INFLIGHT) ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv))
		abort();
	fd_kinds[FD_SOCKET] = sv[0];
}

int main(int argc, char **argv)
{
	uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
	uint64_t messages = argc > 2 ? strtoull(argv[2], NULL, 0) : MESSAGES;
	unsigned long sessions = 0, ran = 0, clean = 0;
	unsigned int before;

	/* What it says is for people; here it is only checked that it can be said. */
	if (!freopen("/dev/null", "w", stderr))
		return 1;
	make_fds();
	fake_init(&fake, seed);
	session_init(&session, &fake.g);
	before = count_fds();
	for (uint64_t done = 0; done < messages; sessions++) {
		bool was_running = false;

		begin();
		for (unsigned int i = 0; i < PER_SESSION && session_alive(&session); i++, done++) {
			send_one();
			was_running |= any_running();
		}
		close(sock);
		pump();
		if (session_alive(&session))
			abort();
		if (!fake.failed) {
			fake_assert_clean(&fake);
			clean++;
		}
		ran += was_running;
	}
	printf("TAP version 13\n");
	printf("%sok 1 - no file descriptor is left open\n", count_fds() == before ? "" : "not ");
	printf("%sok 2 - rings ran in %lu of %lu connections, %lu without failures of the kernel\n",
	       ran > sessions / 20 && clean > sessions / 3 ? "" : "not ", ran, sessions, clean);
	printf("1..2\n");
	return count_fds() != before || ran <= sessions / 20 || clean <= sessions / 3;
}
