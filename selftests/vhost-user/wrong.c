// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
/* What a front-end may do wrong, where it takes the real kernel to notice. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "driver.h"

#define SLOT		(2 * MB)
#define USER		0x7e0000000000ull

/* What is to happen: nothing bad; a refusal; the end of the connection. */
enum { FINE, REFUSED, CLOSED };

static struct vmm vmm;
static int n_wrong;

static void expect(const char *what, int want, int ret)
{
	int got = !ret ? FINE : ret == -EINVAL ? REFUSED :
		  ret == -ECONNRESET || ret == -EPIPE ? CLOSED : -1;

	if (got == want)
		return;
	n_wrong++;
	printf("# %s: %s\n", what, got == FINE ? "was not refused" : strerror(-ret));
}

/* A connection on which nothing but features has been said. */
static int fresh(const char *path)
{
	uint64_t proto = VU_PROTOCOL_F_REPLY_ACK | VU_PROTOCOL_F_MEM_SLOTS |
			 VU_PROTOCOL_F_INFLIGHT_SHMFD | VU_PROTOCOL_F_BACKEND_REQ;
	uint64_t features = BIT(32) | VU_F_PROTOCOL_FEATURES;
	struct vu_header h = { VU_SET_PROTOCOL_FEATURES, WIRE_OK, 8 };
	int ret;

	if (vmm.sock >= 0)
		close(vmm.sock);
	vmm.sock = vmm_socket(path, REPLY_MS);
	ret = vmm.sock < 0 ? vmm.sock : wire_send(vmm.sock, &h, &proto, 8, NULL, 0);
	if (!ret)
		ret = vmm_simple(&vmm, VU_SET_FEATURES, &features, 8);
	return ret;
}

static int with_fd(uint32_t request, const void *p, uint32_t size, int fd)
{
	return vmm_request(&vmm, request, p, size, &fd, 1, NULL, NULL);
}

static int add_mem(uint64_t guest, uint64_t size, uint64_t offset, int fd)
{
	struct vu_mem_reg r = { .region = { guest, size, USER + guest, offset } };

	return with_fd(VU_ADD_MEM_REG, &r, sizeof(r), fd);
}

static int set_addr(uint64_t desc, uint64_t avail, uint64_t used)
{
	struct vu_vring_addr a = { .desc = desc, .avail = avail, .used = used };

	return vmm_simple(&vmm, VU_SET_VRING_ADDR, &a, sizeof(a));
}

static int set_state(uint32_t request, uint32_t num)
{
	struct vu_vring_state st = { 0, num };

	return vmm_simple(&vmm, request, &st, sizeof(st));
}

static int set_event(uint32_t request, int fd)
{
	uint64_t index = 0;

	return with_fd(request, &index, sizeof(index), fd);
}

static void wrong_fds(const char *path)
{
	int memfd = memfd_create("small", MFD_CLOEXEC), null = open("/dev/null", O_RDWR);
	int dir = open("/", O_RDONLY | O_DIRECTORY), event = eventfd(0, 0), p[2], read_only;
	char name[64];

	if (pipe(p) || ftruncate(memfd, SLOT))
		return;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", memfd);
	read_only = open(name, O_RDONLY);
	expect("connect", FINE, fresh(path));
	expect("memory: an eventfd", REFUSED, add_mem(0, SLOT, 0, event));
	expect("memory: a pipe", REFUSED, add_mem(0, SLOT, 0, p[0]));
	expect("memory: a directory", REFUSED, add_mem(0, SLOT, 0, dir));
	expect("memory: /dev/null", REFUSED, add_mem(0, SLOT, 0, null));
	expect("memory: a socket", REFUSED, add_mem(0, SLOT, 0, vmm.sock));
	expect("memory: only for reading", REFUSED, add_mem(0, SLOT, 0, read_only));
	expect("memory", FINE, add_mem(0, SLOT, 0, memfd));
	expect("kick: a memfd", REFUSED, set_event(VU_SET_VRING_KICK, memfd));
	expect("kick: a pipe", REFUSED, set_event(VU_SET_VRING_KICK, p[1]));
	expect("call: a directory", REFUSED, set_event(VU_SET_VRING_CALL, dir));
	expect("call: /dev/null", REFUSED, set_event(VU_SET_VRING_CALL, null));
	expect("channel: a pipe", REFUSED, with_fd(VU_SET_BACKEND_REQ_FD, NULL, 0, p[0]));
	expect("kick", FINE, set_event(VU_SET_VRING_KICK, event));
	close(memfd);
	close(null);
	close(dir);
	close(event);
	close(p[0]);
	close(p[1]);
	close(read_only);
}

static void wrong_memory(const char *path)
{
	unsigned int n;

	expect("connect", FINE, fresh(path));
	expect("memory in use twice", FINE, add_mem(0, SLOT, 0, vmm.mem_fd));
	expect("overlapping", REFUSED, add_mem(MB, SLOT, 0, vmm.mem_fd));
	expect("wrapping", REFUSED, add_mem(-MB, SLOT, 0, vmm.mem_fd));
	expect("empty", REFUSED, add_mem(SLOT, 0, 0, vmm.mem_fd));
	expect("offset past 63 bits", REFUSED, add_mem(SLOT, SLOT, 1ull << 63, vmm.mem_fd));
	expect("huge", REFUSED, add_mem(SLOT, 1ull << 63, 0, vmm.mem_fd));
	for (n = 1; n < 100 && !add_mem(n * SLOT, SLOT, 0, vmm.mem_fd); n++)
		;
	if (n != 64) {
		printf("# %u memory slots\n", n);
		n_wrong++;
	}
}

static int ring_of_size(uint32_t num)
{
	int ret = set_state(VU_SET_VRING_NUM, num);

	return ret ? ret : set_addr(USER, USER + 0x80000, USER + 0x100000);
}

static void wrong_rings(const char *path)
{
	int event = eventfd(0, 0);

	expect("connect", FINE, fresh(path));
	expect("memory", FINE, add_mem(0, SLOT, 0, vmm.mem_fd));
	expect("ring", FINE, ring_of_size(100));
	expect("kick", FINE, set_event(VU_SET_VRING_KICK, event));
	expect("100 entries", REFUSED, set_state(VU_SET_VRING_ENABLE, 1));
	expect("ring", FINE, ring_of_size(16384));
	expect("more entries than there are", REFUSED, set_state(VU_SET_VRING_ENABLE, 1));
	expect("128 entries", FINE, set_state(VU_SET_VRING_NUM, 128));
	expect("addresses", FINE, set_addr(USER + 8, USER + 0x1000, USER + 0x2000));
	expect("descriptors at 8", REFUSED, set_state(VU_SET_VRING_ENABLE, 1));
	expect("addresses", FINE, set_addr(USER, USER + 0x1001, USER + 0x2000));
	expect("driver area at 1", REFUSED, set_state(VU_SET_VRING_ENABLE, 1));
	expect("addresses", FINE, set_addr(USER, USER + 0x1000, USER + 0x2002));
	expect("device area at 2", REFUSED, set_state(VU_SET_VRING_ENABLE, 1));
	expect("outside", REFUSED, set_addr(USER + SLOT, USER, USER));
	expect("addresses", FINE, set_addr(USER, USER + 0x1000, USER + 0x2000));
	expect("at last", FINE, set_state(VU_SET_VRING_ENABLE, 1));
	expect("entries while it runs", REFUSED, set_state(VU_SET_VRING_NUM, 64));
	close(event);
}

static void wrong_inflight(const char *path)
{
	struct vu_inflight i = { .num_queues = 1, .queue_size = 128 };
	union vu_payload p;
	int event = eventfd(0, 0), area = -1, pipes[2];

	expect("connect", FINE, fresh(path));
	expect("memory", FINE, add_mem(0, SLOT, 0, vmm.mem_fd));
	expect("area", FINE, vmm_request(&vmm, VU_GET_INFLIGHT_FD, &i, sizeof(i), NULL, 0, &p,
					 &area));
	i = p.inflight;
	if (pipe(pipes))
		return;
	expect("a pipe, not looked at yet", FINE,
	       with_fd(VU_SET_INFLIGHT_FD, &i, sizeof(i), pipes[0]));
	expect("ring", FINE, ring_of_size(128));
	expect("kick", FINE, set_event(VU_SET_VRING_KICK, event));
	expect("a pipe", REFUSED, set_state(VU_SET_VRING_ENABLE, 1));
	expect("area", FINE, with_fd(VU_SET_INFLIGHT_FD, &i, sizeof(i), area));
	expect("at last", FINE, set_state(VU_SET_VRING_ENABLE, 1));
	expect("area while it runs", REFUSED, with_fd(VU_SET_INFLIGHT_FD, &i, sizeof(i), area));
	close(event);
	close(area);
	close(pipes[0]);
	close(pipes[1]);
}

/* Sends what it is given, and waits for what comes: nothing but the end will do. */
static int closes(const char *path, const struct vu_header *h, uint32_t len, unsigned int n_fds)
{
	static const char junk[4096];
	struct vu_header reply;
	union vu_payload p;
	int fds[WIRE_MAX_FDS], ret = fresh(path);

	for (int i = 0; i < WIRE_MAX_FDS; i++)
		fds[i] = vmm.mem_fd;
	if (!ret)
		ret = wire_send(vmm.sock, h, junk, len, fds, n_fds);
	return ret ? ret : wire_recv(vmm.sock, &reply, &p, NULL, REPLY_MS);
}

static void wrong_frames(const char *path)
{
	static const struct {
		const char *what;
		struct vu_header h;
		uint32_t len;
		unsigned int n_fds;
	} frames[] = {
		{ "version 2", { VU_GET_FEATURES, 2, 0 }, 0, 0 },
		{ "a reply", { VU_GET_FEATURES, WIRE_OK | VU_FLAG_REPLY, 0 }, 0, 0 },
		{ "4 GiB", { VU_SET_FEATURES, WIRE_OK, ~0u }, 4096, 0 },
		{ "4 KiB", { VU_SET_FEATURES, WIRE_OK, 4096 }, 4096, 0 },
		{ "unknown", { 77, WIRE_OK, 0 }, 0, 0 },
		{ "too short", { VU_SET_VRING_ADDR, WIRE_OK, 8 }, 8, 0 },
		{ "too long", { VU_SET_FEATURES, WIRE_OK, 16 }, 16, 0 },
		{ "32 fds", { VU_SET_MEM_TABLE, WIRE_ACK, 8 }, 8, 32 },
		{ "9 fds", { VU_SET_MEM_TABLE, WIRE_ACK, 8 }, 8, 9 },
		{ "an fd too many", { VU_GET_FEATURES, WIRE_OK, 0 }, 0, 1 },
		{ "an fd too few", { VU_ADD_MEM_REG, WIRE_OK, 40 }, 40, 0 },
		{ "no STATUS", { VU_GET_STATUS, WIRE_OK, 0 }, 0, 0 },
		{ "legacy", { VU_SET_FEATURES, WIRE_OK, 8 }, 8, 0 },
		{ "no such ring", { VU_GET_VRING_BASE, WIRE_OK, 4 }, 4, 0 },
	};

	for (unsigned int i = 0; i < sizeof(frames) / sizeof(frames[0]); i++)
		expect(frames[i].what, CLOSED, closes(path, &frames[i].h, frames[i].len,
						      frames[i].n_fds));
	/* The beginning of one, with files, and then nothing. */
	if (!fresh(path))
		wire_send(vmm.sock, &frames[7].h, "", 1, &vmm.mem_fd, 1);
	close(vmm.sock);
	vmm.sock = -1;
}

int wrong_run(const char *path)
{
	vmm_init(&vmm, path);
	wrong_fds(path);
	wrong_memory(path);
	wrong_rings(path);
	wrong_inflight(path);
	wrong_frames(path);
	vmm_free(&vmm);
	return n_wrong ? -EILSEQ : 0;
}
