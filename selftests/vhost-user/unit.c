// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
/* vbe-vhost-user against a front-end that does one thing at a time; over a fake kernel. TAP. */
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
#include <sys/stat.h>
#include <unistd.h>
#include <linux/virtio_config.h>

#include "fake.h"
#include "wire.h"

const char *const log_name = "unit";

#define MB		(1024ull * 1024)
#define USER		0x7f0000000000ull	/* where the front-end has guest address 0 */
#define FEATURES		(BIT(32) | VU_F_PROTOCOL_FEATURES)
#define P_ALL		(VU_PROTOCOL_F_MQ | VU_PROTOCOL_F_REPLY_ACK | VU_PROTOCOL_F_BACKEND_REQ | \
			 VU_PROTOCOL_F_CONFIG | VU_PROTOCOL_F_INFLIGHT_SHMFD | \
			 VU_PROTOCOL_F_RESET_DEVICE | VU_PROTOCOL_F_MEM_SLOTS)

enum { DONE = 0, REFUSED = 1, CLOSED = -1, SILENT = -2 };

static struct fake fake;
static struct session session = { .fd = -1 };
static int sock = -1, mem_fd, n_test, n_failed;
static struct vu_header reply;
static union vu_payload payload;
static int reply_fd = -1;

static void ok(int good, const char *what)
{
	n_test++;
	n_failed += !good;
	printf("%sok %d - %s\n", good ? "" : "not ", n_test, what);
}

static int count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void hang_up(void)
{
	if (sock >= 0)
		close(sock);
	sock = -1;
	if (session_alive(&session))
		session_input(&session);
	if (reply_fd >= 0)
		close(reply_fd);
	reply_fd = -1;
}

static void begin(void)
{
	int sv[2];

	hang_up();
	fake_init(&fake, 1);
	session_init(&session, &fake.g);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv))
		abort();
	fcntl(sv[1], F_SETFL, O_NONBLOCK);
	sock = sv[0];
	session_begin(&session, sv[1]);
}

static void pump(void)
{
	struct pollfd p = { .events = POLLIN };

	while (session_alive(&session)) {
		p.fd = session.fd;
		if (poll(&p, 1, 0) <= 0)
			return;
		session_input(&session);
	}
}

/* Sends @h with @len bytes of payload; what came back is in reply, payload and reply_fd. */
static int raw(const struct vu_header *h, const void *p, unsigned int len, const int *fds,
	       unsigned int n_fds)
{
	int ret;

	if (reply_fd >= 0)
		close(reply_fd);
	reply_fd = -1;
	if (wire_send(sock, h, p, len, fds, n_fds))
		return CLOSED;
	pump();
	ret = wire_recv(sock, &reply, &payload, &reply_fd, 0);
	if (ret)
		return ret == -ECONNRESET ? CLOSED : SILENT;
	if (reply.request != h->request || reply.flags != (VU_VERSION | VU_FLAG_REPLY))
		abort();
	return reply.size == sizeof(uint64_t) && payload.u64 == 1 ? REFUSED : DONE;
}

static int msg_fds(uint32_t request, const void *p, unsigned int len, const int *fds,
		   unsigned int n_fds)
{
	struct vu_header h = { request, WIRE_ACK, len };

	return raw(&h, p, len, fds, n_fds);
}

static int msg(uint32_t request, const void *p, unsigned int len)
{
	return msg_fds(request, p, len, NULL, 0);
}

static int msg_u64(uint32_t request, uint64_t v)
{
	return msg(request, &v, sizeof(v));
}

static int state(uint32_t request, uint32_t index, uint32_t num)
{
	struct vu_vring_state st = { index, num };

	return msg(request, &st, sizeof(st));
}

static int add_mem_of(uint64_t guest, uint64_t size, uint64_t user, uint64_t offset, int fd)
{
	struct vu_mem_reg r = { .region = { guest, size, user, offset } };

	return msg_fds(VU_ADD_MEM_REG, &r, sizeof(r), &fd, 1);
}

static int add_mem(uint64_t guest, uint64_t size)
{
	return add_mem_of(guest, size, USER + guest, guest, mem_fd);
}

static int rem_mem(uint64_t guest, uint64_t size)
{
	struct vu_mem_reg r = { .region = { guest, size, USER + guest, 0 } };

	return msg(VU_REM_MEM_REG, &r, sizeof(r));
}

static int addr(uint32_t index, uint64_t desc, uint64_t avail, uint64_t used)
{
	struct vu_vring_addr a = { .index = index, .desc = desc, .avail = avail, .used = used };

	return msg(VU_SET_VRING_ADDR, &a, sizeof(a));
}

static int event_msg(uint32_t request, uint64_t index)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	int ret = msg_fds(request, &index, sizeof(index), &fd, 1);

	close(fd);
	return ret;
}

static void negotiate(uint64_t proto)
{
	begin();
	if (msg_u64(VU_SET_PROTOCOL_FEATURES, proto) != SILENT ||
	    msg_u64(VU_SET_FEATURES, FEATURES) != DONE || msg(VU_SET_OWNER, NULL, 0) != DONE)
		abort();
}

static int describe(uint32_t i)
{
	uint64_t at = USER + i * 0x10000;

	return state(VU_SET_VRING_NUM, i, 256) || state(VU_SET_VRING_BASE, i, 7) ||
	       addr(i, at, at + 0x2000, at + 0x4000) || event_msg(VU_SET_VRING_CALL, i) ||
	       event_msg(VU_SET_VRING_KICK, i);
}

static int ring_up(uint32_t i)
{
	return describe(i) || state(VU_SET_VRING_ENABLE, i, 1);
}

static bool up(uint64_t proto)
{
	negotiate(proto);
	return add_mem(0, 4 * MB) == DONE && ring_up(0) == DONE;
}

static void test_bring_up(void)
{
	begin();
	ok(msg(VU_GET_FEATURES, NULL, 0) == DONE && payload.u64 == FAKE_OFFERED,
	   "features: the backend's, but for what cannot be");
	ok(msg(VU_GET_PROTOCOL_FEATURES, NULL, 0) == DONE &&
	   payload.u64 == (P_ALL | VU_PROTOCOL_F_STATUS), "protocol features");
	negotiate(P_ALL);
	ok(msg(VU_GET_QUEUE_NUM, NULL, 0) == DONE && payload.u64 == FAKE_QUEUES, "queues");
	ok(msg(VU_GET_MAX_MEM_SLOTS, NULL, 0) == DONE && payload.u64 == 64, "memory slots");
	ok(add_mem(0, 4 * MB) == DONE && fake.n_mem == 1, "memory");
	ok(!describe(0) && !fake.queues[0].enabled, "a ring waits until it is enabled");
	ok(state(VU_SET_VRING_ENABLE, 0, 1) == DONE && fake.queues[0].enabled, "and runs");
	ok(fake.queues[0].set.desc == 0 && fake.queues[0].set.driver == 0x2000 &&
	   fake.queues[0].set.device == 0x4000 && fake.queues[0].set.num == 256,
	   "its addresses are guest-physical");
	ok(fake.queues[0].set.base == 7 && (fake.queues[0].set.flags & VBE_GUEST_QUEUE_SET_F_BASE),
	   "its base");
	ok(fake.status == 0xf, "the driver is said to be ready");
	ok(!ring_up(1) && fake.queues[1].enabled, "a second ring");
	ok(state(VU_GET_VRING_BASE, 0, 0) == DONE && payload.state.num == FAKE_BASE &&
	   !fake.queues[0].enabled && !fake.queues[0].kick, "it stops, and tells where");
	ok(fake.queues[1].enabled && fake.queues[0].call, "the other goes on");
	ok(event_msg(VU_SET_VRING_KICK, 0) == DONE && fake.queues[0].set.base == FAKE_BASE,
	   "it goes on where it ended");
	ok(state(VU_SET_VRING_ENABLE, 0, 0) == DONE && !fake.queues[0].enabled, "disabled");
	ok(msg(VU_RESET_DEVICE, NULL, 0) == DONE && !fake.status && !fake.queues[1].kick,
	   "reset");
	hang_up();
	fake_assert_clean(&fake);
	ok(1, "nothing is left when the front-end goes");
}

static void test_without_bit_30(void)
{
	begin();
	msg_u64(VU_SET_PROTOCOL_FEATURES, P_ALL);
	ok(msg_u64(VU_SET_FEATURES, BIT(32)) == DONE && add_mem(0, 4 * MB) == DONE &&
	   !describe(0) && fake.queues[0].enabled,
	   "without F_PROTOCOL_FEATURES a ring runs at once");
}

static void test_status(void)
{
	negotiate(P_ALL | VU_PROTOCOL_F_STATUS);
	add_mem(0, 4 * MB);
	ring_up(0);
	ok(!fake.queues[0].enabled && !fake.status, "STATUS: a ring waits for FEATURES_OK");
	ok(msg_u64(VU_SET_STATUS, VIRTIO_CONFIG_S_FEATURES_OK) == DONE && fake.queues[0].enabled &&
	   fake.status == 0xb, "FEATURES_OK alone is enough");
	ok(msg(VU_GET_STATUS, NULL, 0) == DONE && payload.u64 == 8, "GET_STATUS");
	ok(msg_u64(VU_SET_STATUS, 0xf) == DONE && fake.status == 0xf, "DRIVER_OK");
	ok(msg_u64(VU_SET_STATUS, 0) == DONE && !fake.status && !fake.queues[0].kick, "0 resets");
	fake.refuse = true;
	ok(msg_u64(VU_SET_STATUS, 0xb) == DONE && msg(VU_GET_STATUS, NULL, 0) == DONE &&
	   payload.u64 == 3, "refused features are told by GET_STATUS");
}

static void test_config(void)
{
	struct vu_config c = { .offset = 8, .size = 4 };

	negotiate(P_ALL);
	ok(msg(VU_GET_CONFIG, &c, 16) == DONE && reply.size == 16 &&
	   payload.config.data[0] == 9 && payload.config.data[3] == 12, "GET_CONFIG");
	c = (struct vu_config){ .offset = 56, .size = 8 };
	ok(msg(VU_GET_CONFIG, &c, 20) == DONE && payload.config.data[3] == 60 &&
	   payload.config.data[4] == 0, "past its end there are zeroes");
	c = (struct vu_config){ .offset = 32, .size = 1, .data = { 0xaa } };
	ok(msg(VU_SET_CONFIG, &c, 13) == DONE && fake.config[32] == 0xaa, "SET_CONFIG");
	c.flags = 1;
	ok(msg(VU_SET_CONFIG, &c, 13) == REFUSED, "SET_CONFIG for migration is refused");
	c = (struct vu_config){ .offset = 59, .size = 4 };
	ok(msg(VU_SET_CONFIG, &c, 16) == REFUSED, "SET_CONFIG past the end is refused");
	c = (struct vu_config){ .size = 8 };
	ok(msg(VU_GET_CONFIG, &c, 16) == CLOSED, "GET_CONFIG of another size is refused");
}

static void test_config_change(void)
{
	struct vu_header h;
	int sv[2];

	negotiate(P_ALL);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv))
		abort();
	ok(msg_fds(VU_SET_BACKEND_REQ_FD, NULL, 0, &sv[1], 1) == DONE, "SET_BACKEND_REQ_FD");
	close(sv[1]);
	session_config_changed(&session);
	ok(wire_recv(sv[0], &h, &payload, NULL, 0) == 0 && h.request == VU_BACKEND_CONFIG_CHANGE &&
	   h.flags == VU_VERSION && !h.size, "a config change is told");
	close(sv[0]);
	session_config_changed(&session);
	ok(session.backend_fd < 0 && session_alive(&session),
	   "the channel's end is not the connection's");
	ok(msg_fds(VU_SET_BACKEND_REQ_FD, NULL, 0, &mem_fd, 1) == REFUSED,
	   "a file is no channel");
}

static void test_inflight(void)
{
	struct vu_inflight i = { .num_queues = 1, .queue_size = 256 };
	uint64_t size = (uint64_t)FAKE_QUEUES * FAKE_INFLIGHT;
	struct stat st;
	int area;

	negotiate(P_ALL);
	ok(msg(VU_GET_INFLIGHT_FD, &i, sizeof(i)) == DONE && reply_fd >= 0 &&
	   payload.inflight.mmap_size == size && fstat(reply_fd, &st) == 0 &&
	   (uint64_t)st.st_size == size, "GET_INFLIGHT_FD gives an area for the whole device");
	ok(ftruncate(reply_fd, 0) < 0, "that cannot shrink");
	area = dup(reply_fd);
	i = payload.inflight;
	ok(msg_fds(VU_SET_INFLIGHT_FD, &i, VU_INFLIGHT_MIN, &area, 1) == DONE &&
	   fake.resumed < 0, "SET_INFLIGHT_FD, without padding");
	add_mem(0, 4 * MB);
	ok(!ring_up(0) && fake.resumed == 0, "a new one is not resumed from");
	ok(msg_fds(VU_SET_INFLIGHT_FD, &i, sizeof(i), &area, 1) == REFUSED,
	   "SET_INFLIGHT_FD while a ring runs is refused");
	fake.lost = true;
	hang_up();
	ok(fake.renewed == 2, "front-end and backend gone: the area is not cleared");
	fake_assert_clean(&fake);
	negotiate(P_ALL);
	add_mem(0, 4 * MB);
	ok(msg_fds(VU_SET_INFLIGHT_FD, &i, sizeof(i), &area, 1) == DONE && !ring_up(0) &&
	   fake.resumed == VBE_GUEST_INFLIGHT_F_RESUME && fake.status == 0xf,
	   "one of before is resumed from");
	state(VU_GET_VRING_BASE, 0, 0);
	i.mmap_size -= 4096;
	ok(msg_fds(VU_SET_INFLIGHT_FD, &i, sizeof(i), &area, 1) == REFUSED, "wrong size");
	i.mmap_size += 4096;
	i.mmap_offset = 12;
	ok(msg_fds(VU_SET_INFLIGHT_FD, &i, sizeof(i), &area, 1) == REFUSED, "wrong offset");
	i.num_queues = 5;
	ok(msg_fds(VU_SET_INFLIGHT_FD, &i, sizeof(i), &area, 1) == REFUSED, "too many queues");
	i.num_queues = 0;
	ok(msg(VU_GET_INFLIGHT_FD, &i, sizeof(i)) == CLOSED, "GET_INFLIGHT_FD for no queue");
	close(area);
}

static void test_inflight_then_status(void)
{
	struct vu_inflight i = { .num_queues = 1, .queue_size = 256 };
	int area;

	/* The order in which QEMU does it: FEATURES_OK comes first. */
	negotiate(P_ALL | VU_PROTOCOL_F_STATUS);
	msg_u64(VU_SET_STATUS, VIRTIO_CONFIG_S_FEATURES_OK);
	msg(VU_GET_INFLIGHT_FD, &i, sizeof(i));
	i = payload.inflight;
	area = dup(reply_fd);
	msg_fds(VU_SET_INFLIGHT_FD, &i, sizeof(i), &area, 1);
	msg_u64(VU_SET_FEATURES, FEATURES);
	add_mem(0, 4 * MB);
	ok(!ring_up(0) && fake.resumed == 0 && fake.queues[0].enabled && fake.status == 0xb,
	   "an area that comes after FEATURES_OK");
	ok(msg_u64(VU_SET_STATUS, 0xf) == DONE && fake.status == 0xf, "and DRIVER_OK");
	close(area);
}

static int table(unsigned int n, unsigned int n_fds, const uint64_t (*r)[3])
{
	struct vu_mem_table t = { .n_regions = n };
	int fds[VU_MAX_REGIONS];

	for (unsigned int i = 0; i < n; i++) {
		t.regions[i] = (struct vu_region){ r[i][0], r[i][1], r[i][2], r[i][0] };
		fds[i] = mem_fd;
	}
	return msg_fds(VU_SET_MEM_TABLE, &t, offsetof(struct vu_mem_table, regions[n]), fds, n_fds);
}

static void test_mem_table(void)
{
	static const uint64_t two[][3] = { { 0, MB, USER }, { 2 * MB, MB, USER + 2 * MB } };
	static const uint64_t grown[][3] = { { 0, MB, USER }, { 2 * MB, 2 * MB, USER + 2 * MB } };
	static const uint64_t moved[][3] = { { 4 * MB, MB, USER } };
	static const uint64_t clash[][3] = { { 0, MB, USER }, { MB - 4096, MB, USER + 2 * MB } };

	negotiate(P_ALL);
	ok(table(2, 2, two) == DONE && fake.n_mem == 2, "SET_MEM_TABLE");
	ok(!ring_up(0), "a ring in it");
	fake.queues[0].set.base = 0;
	ok(table(2, 2, grown) == DONE && fake.queues[0].set.base == FAKE_BASE &&
	   fake.queues[0].enabled, "memory that changes pauses the ring");
	fake.queues[0].set.base = 0;
	ok(table(2, 2, grown) == DONE && !fake.queues[0].set.base, "the same again does not");
	ok(table(1, 1, moved) == DONE && fake.queues[0].set.desc == 4 * MB &&
	   fake.queues[0].enabled, "rings move with their memory");
	ok(table(0, 0, NULL) == DONE && !fake.n_mem && !fake.queues[0].enabled,
	   "a ring without memory stops");
	ok(table(1, 1, two) == DONE && fake.queues[0].enabled, "and goes on when it is back");
	ok(table(2, 2, clash) == REFUSED && fake.n_mem == 1, "regions that overlap");
	ok(table(2, 1, two) == REFUSED, "fewer files than regions");
	ok(table(1, 2, two) == REFUSED, "more files than regions");
}

static void test_mem_slots(void)
{
	int ev = eventfd(0, 0);
	int n;

	up(P_ALL);
	ok(add_mem(8 * MB, MB) == DONE && fake.n_mem == 2 && fake.queues[0].enabled,
	   "memory is added while a ring runs");
	ok(rem_mem(8 * MB, MB) == DONE && fake.n_mem == 1 && fake.queues[0].enabled,
	   "and removed");
	ok(rem_mem(8 * MB, MB) == REFUSED, "what is not there cannot be removed");
	ok(rem_mem(0, MB) == REFUSED, "nor a part");
	ok(add_mem(2 * MB, 4 * MB) == REFUSED, "overlapping");
	ok(add_mem(16 * MB, 0) == REFUSED, "empty");
	ok(add_mem(-MB, 2 * MB) == REFUSED, "wrapping");
	ok(add_mem_of(16 * MB, MB, -4096ull, 0, mem_fd) == REFUSED, "wrapping for the front-end");
	ok(add_mem_of(16 * MB, MB, USER, -4096ull, mem_fd) == REFUSED, "wrapping in the file");
	ok(add_mem_of(16 * MB, MB, USER, 512, mem_fd) == REFUSED, "a file offset within a page");
	ok(add_mem_of(16 * MB, 100, USER + 16 * MB, 0, mem_fd) == DONE &&
	   fake.mem[1].len == 4096, "a part of a page is the page");
	ok(add_mem_of(32 * MB, MB, USER, 0, ev) == REFUSED, "an eventfd is no memory");
	for (n = 0; n < 64 && add_mem((64 + n) * MB, MB) == DONE; n++)
		;
	ok(n == 62 && fake.n_mem == 64, "64 slots, and no more");
	close(ev);
}

static void test_rings(void)
{
	uint64_t at = USER + 0x8000;
	uint64_t nofd = VU_VRING_NOFD;

	up(P_ALL);
	ok(state(VU_SET_VRING_NUM, 0, 128) == REFUSED, "SET_VRING_NUM of a ring that runs");
	ok(state(VU_SET_VRING_BASE, 0, 1) == REFUSED, "SET_VRING_BASE");
	ok(addr(0, at, at, at) == REFUSED, "SET_VRING_ADDR");
	ok(addr(0, USER, USER + 0x2000, USER + 0x4000) == DONE, "but the same address");
	ok(state(VU_SET_VRING_NUM, 4, 16) == REFUSED, "a ring that is not there");
	ok(state(VU_SET_VRING_NUM, ~0u, 16) == REFUSED, "nor this one");
	ok(state(VU_SET_VRING_NUM, 1, 0) == REFUSED, "no entries");
	ok(state(VU_SET_VRING_NUM, 1, 65536) == REFUSED, "too many entries");
	ok(addr(1, at, at, at) == REFUSED, "SET_VRING_ADDR before SET_VRING_NUM");
	state(VU_SET_VRING_NUM, 1, 256);
	ok(addr(1, USER - 16, at, at) == REFUSED, "descriptors before the memory");
	ok(addr(1, USER + 4 * MB - 4095, at, at) == REFUSED, "descriptors past its end");
	ok(addr(1, USER, USER + 4 * MB - 514, at) == REFUSED, "driver area past its end");
	ok(addr(1, USER, at, USER + 4 * MB - 2048) == REFUSED, "device area past its end");
	ok(addr(1, -16ull, at, at) == REFUSED, "wrapping");
	ok(state(VU_SET_VRING_BASE, 1, 0x10000) == REFUSED, "a base past 16 bits");
	ok(state(VU_SET_VRING_ENABLE, 1, 2) == REFUSED, "SET_VRING_ENABLE with 2");
	ok(msg_u64(VU_SET_VRING_KICK, nofd | 1) == REFUSED, "no kick eventfd");
	ok(msg_u64(VU_SET_VRING_CALL, nofd) == DONE && !fake.queues[0].call,
	   "no call eventfd: no interrupts");
	ok(msg_u64(VU_SET_VRING_CALL, 0) == REFUSED, "no eventfd, and no word of it");
	ok(event_msg(VU_SET_VRING_CALL, nofd) == REFUSED, "an eventfd with NOFD");
	ok(event_msg(VU_SET_VRING_ERR, 0) == DONE, "SET_VRING_ERR");
	ok(event_msg(VU_SET_VRING_ERR, 0x200) == REFUSED, "unknown bits");
	ok(msg_fds(VU_SET_VRING_CALL, &(uint64_t){ 0 }, 8, &mem_fd, 1) == REFUSED,
	   "a file is no eventfd");
	ok(state(VU_GET_VRING_BASE, 9, 0) == CLOSED, "GET_VRING_BASE of none");
}

static void test_features(void)
{
	begin();
	ok(msg_u64(VU_SET_FEATURES, 0) == CLOSED, "features without VERSION_1");
	begin();
	ok(msg_u64(VU_SET_FEATURES, FEATURES | BIT(33)) == CLOSED, "features that were not offered");
	begin();
	ok(msg_u64(VU_SET_PROTOCOL_FEATURES, BIT(1)) == CLOSED,
	   "protocol features that were not offered");
	begin();
	ok(state(VU_SET_VRING_ENABLE, 0, 1) == CLOSED, "SET_VRING_ENABLE before any features");
	begin();
	ok(msg(VU_GET_QUEUE_NUM, NULL, 0) == CLOSED, "GET_QUEUE_NUM without MQ");
	begin();
	msg_u64(VU_SET_PROTOCOL_FEATURES, P_ALL);
	add_mem(0, 4 * MB);
	ok(describe(0) == REFUSED && !fake.queues[0].enabled, "a ring without SET_FEATURES");
	up(P_ALL);
	ok(msg_u64(VU_SET_FEATURES, FEATURES | BIT(29)) == REFUSED, "other features while a ring runs");
	ok(msg_u64(VU_SET_FEATURES, FEATURES) == DONE, "the same are no change");
	state(VU_GET_VRING_BASE, 0, 0);
	ok(msg_u64(VU_SET_FEATURES, FEATURES | BIT(34)) == DONE && !ring_up(0) &&
	   fake.staged == (BIT(32) | BIT(34)), "others when it has stopped");
	up(P_ALL);
	fake.refuse = true;
	state(VU_GET_VRING_BASE, 0, 0);
	msg_u64(VU_SET_FEATURES, FEATURES | BIT(29));
	ok(event_msg(VU_SET_VRING_KICK, 0) == REFUSED, "features that the backend refuses");
}

static void test_lost(void)
{
	up(P_ALL);
	fake.lost = true;
	ok(state(VU_SET_VRING_ENABLE, 0, 0) == REFUSED, "nobody tells where a ring ended");
	ok(add_mem(8 * MB, MB) == DONE && rem_mem(8 * MB, MB) == DONE && session.rings[0].running,
	   "memory may change all the same");
	ok(state(VU_GET_VRING_BASE, 0, 0) == CLOSED && fake.renewed == 1,
	   "GET_VRING_BASE without a backend");
	fake_assert_clean(&fake);
}

/* Between one look at the device and the next. */
static void test_come_back(void)
{
	up(P_ALL);
	guest_info(&fake.g);
	ok(session_still_fits(&session), "a next backend finds what the last one left");
	fake.status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	guest_info(&fake.g);
	ok(session_still_fits(&session), "perhaps in need of a reset");
	fake.away = true;
	fake.status = 0;
	for (unsigned int i = 0; i < FAKE_QUEUES; i++)
		fake.queues[i].enabled = false;
	guest_info(&fake.g);
	ok(!session_still_fits(&session), "a device that was away has no driver any more");
	session_end(&session);
	fake_assert_clean(&fake);
}

static void test_framing(void)
{
	static const char junk[512];
	struct vu_header h = { VU_GET_FEATURES, WIRE_OK, 0 };
	int fds[WIRE_MAX_FDS];

	for (int i = 0; i < WIRE_MAX_FDS; i++)
		fds[i] = mem_fd;
	negotiate(P_ALL);
	ok(msg(99, NULL, 0) == REFUSED, "unknown request");
	ok(msg(0, NULL, 0) == REFUSED, "request 0");
	ok(msg(6, junk, 8) == REFUSED, "SET_LOG_BASE: there is no migration");
	ok(msg(VU_SET_FEATURES, junk, 4) == REFUSED, "too short");
	ok(msg(VU_SET_FEATURES, junk, 12) == REFUSED, "too long for its type");
	ok(msg_fds(VU_SET_FEATURES, &(uint64_t){ FEATURES }, 8, fds, 1) == REFUSED, "an fd too many");
	ok(msg(VU_SET_INFLIGHT_FD, junk, 24) == REFUSED, "an fd too few");
	ok(msg_fds(VU_ADD_MEM_REG, junk, 40, fds, 2) == REFUSED, "two for one");
	ok(msg_fds(VU_SET_MEM_TABLE, junk, 8, fds, 9) == CLOSED, "nine fds");
	negotiate(P_ALL);
	ok(msg_fds(VU_SET_MEM_TABLE, junk, 8, fds, WIRE_MAX_FDS) == CLOSED, "32 fds");
	begin();
	h.flags = 0;
	ok(raw(&h, NULL, 0, NULL, 0) == CLOSED, "version 0");
	begin();
	h.flags = WIRE_OK | VU_FLAG_REPLY;
	ok(raw(&h, NULL, 0, NULL, 0) == CLOSED, "a reply");
	begin();
	h = (struct vu_header){ VU_SET_FEATURES, WIRE_OK, ~0u };
	ok(raw(&h, junk, 8, NULL, 0) == CLOSED, "4 GiB of payload");
	begin();
	h = (struct vu_header){ VU_SET_FEATURES, WIRE_OK, 4 };
	ok(raw(&h, junk, 4, NULL, 0) == CLOSED, "an error that nobody waits for closes");
	negotiate(P_ALL);
	h = (struct vu_header){ VU_SET_FEATURES, WIRE_ACK, 8 };
	ok(raw(&h, junk, 3, fds, 3) == SILENT && session.msg.n_fds == 3, "half a message waits");
	hang_up();
	fake_assert_clean(&fake);
	ok(!session_alive(&session), "and is forgotten when the front-end goes");
}

int main(void)
{
	int before;

	setvbuf(stdout, NULL, _IOLBF, 0);
	mem_fd = memfd_create("mem", MFD_CLOEXEC);
	if (mem_fd < 0 || ftruncate(mem_fd, 256 * MB))
		return 1;
	before = count_fds();
	puts("TAP version 13");
	test_bring_up();
	test_without_bit_30();
	test_status();
	test_config();
	test_config_change();
	test_inflight();
	test_inflight_then_status();
	test_mem_table();
	test_mem_slots();
	test_rings();
	test_features();
	test_lost();
	test_come_back();
	test_framing();
	hang_up();
	ok(count_fds() == before, "no file descriptor is left open");
	printf("1..%d\n", n_test);
	return n_failed != 0;
}
