// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ring.h>

#include "driver.h"

#define DRAIN_MS	60000	/* the longest that a request may take, with kills in between */
#define QUEUE_BYTES	0x10000u
#define AVAIL		0x1000u
#define USED		0x2000u
#define SLOT_BYTES	8192u
#define DATA		4096u
#define STATUS		16u

int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ll + ts.tv_nsec / 1000000;
}

void vmm_init(struct vmm *v, const char *path)
{
	memset(v, 0, sizeof(*v));
	v->path = path;
	v->n_queues = 1;
	v->depth = 8;
	v->use_inflight = true;
	v->sock = -1;
	v->inflight_fd = -1;
	v->salt = (uint64_t)now_ms() << 24;
	srandom(v->salt >> 24);
	v->mem_fd = memfd_create("guest", MFD_CLOEXEC);
	v->extra_fd = memfd_create("extra", MFD_CLOEXEC);
	if (ftruncate(v->mem_fd, GUEST_SIZE) || ftruncate(v->extra_fd, EXTRA_SIZE))
		abort();
	v->mem = mmap(NULL, GUEST_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, v->mem_fd, 0);
	if (v->mem == MAP_FAILED)
		abort();
	for (unsigned int i = 0; i < MAX_QUEUES; i++) {
		v->queues[i].kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		v->queues[i].call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	}
}

void vmm_free(struct vmm *v)
{
	for (unsigned int i = 0; i < MAX_QUEUES; i++) {
		close(v->queues[i].kick);
		close(v->queues[i].call);
	}
	munmap(v->mem, GUEST_SIZE);
	close(v->mem_fd);
	close(v->extra_fd);
	if (v->inflight_fd >= 0)
		close(v->inflight_fd);
	if (v->sock >= 0)
		close(v->sock);
}

/* A connection, or -errno after so long. */
int vmm_socket(const char *path, int timeout_ms)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int64_t end = now_ms() + timeout_ms;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), err;

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	while (connect(fd, (struct sockaddr *)&sa, sizeof(sa))) {
		err = -errno;
		if (now_ms() > end) {
			close(fd);
			return err;
		}
		usleep(20000);
	}
	return fd;
}

static int fail(const char *what, int err)
{
	printf("# %s: %s\n", what, strerror(-err));
	return err;
}

/* With @reply: a request that has one of its own. Without: wait until it is acknowledged. */
int vmm_request(struct vmm *v, uint32_t request, const void *p, uint32_t size, const int *fds,
		unsigned int n_fds, union vu_payload *reply, int *reply_fd)
{
	struct vu_header h = { request, reply ? WIRE_OK : WIRE_ACK, size };
	union vu_payload ack;
	int ret = wire_send(v->sock, &h, p, size, fds, n_fds);

	if (!ret)
		ret = wire_recv(v->sock, &h, reply ? reply : &ack, reply_fd, REPLY_MS);
	if (ret)
		return ret;
	if (h.request != request || h.flags != (VU_VERSION | VU_FLAG_REPLY))
		return -EPROTO;
	return !reply && ack.u64 ? -EINVAL : 0;
}

int vmm_simple(struct vmm *v, uint32_t request, const void *p, uint32_t size)
{
	return vmm_request(v, request, p, size, NULL, 0, NULL, NULL);
}

static int negotiate(struct vmm *v)
{
	uint64_t proto = VU_PROTOCOL_F_MQ | VU_PROTOCOL_F_REPLY_ACK | VU_PROTOCOL_F_CONFIG |
			 VU_PROTOCOL_F_RESET_DEVICE;
	struct vu_header h = { VU_SET_PROTOCOL_FEATURES, WIRE_OK, 8 };
	union vu_payload p;
	int ret;

	if (v->use_status)
		proto |= VU_PROTOCOL_F_STATUS;
	if (v->use_slots)
		proto |= VU_PROTOCOL_F_MEM_SLOTS;
	if (v->use_inflight)
		proto |= VU_PROTOCOL_F_INFLIGHT_SHMFD;
	ret = vmm_request(v, VU_GET_FEATURES, NULL, 0, NULL, 0, &p, NULL);
	if (ret)
		return ret;
	v->features = p.u64 & (BIT(32) | VU_F_PROTOCOL_FEATURES);
	ret = vmm_request(v, VU_GET_PROTOCOL_FEATURES, NULL, 0, NULL, 0, &p, NULL);
	if (ret)
		return ret;
	if ((p.u64 & proto) != proto)
		return fail("protocol features are missing", -EOPNOTSUPP);
	ret = wire_send(v->sock, &h, &proto, 8, NULL, 0);
	if (!ret)
		ret = vmm_simple(v, VU_SET_OWNER, NULL, 0);
	if (!ret)
		ret = vmm_simple(v, VU_SET_FEATURES, &v->features, 8);
	return ret;
}

static int read_config(struct vmm *v)
{
	struct vu_config c = { .size = 60 };
	union vu_payload p;
	int ret = vmm_request(v, VU_GET_QUEUE_NUM, NULL, 0, NULL, 0, &p, NULL);

	if (ret)
		return ret;
	if (p.u64 < v->n_queues)
		return fail("the device has fewer queues", -ENOSPC);
	ret = vmm_request(v, VU_GET_CONFIG, &c, VU_CONFIG_HEADER + 60, NULL, 0, &p, NULL);
	if (ret)
		return ret;
	memcpy(&v->capacity, p.config.data, sizeof(v->capacity));
	return v->capacity * 512 < (uint64_t)BLOCKS * BLOCK ?
	       fail("the disk is too small", -ENOSPC) : 0;
}

static int set_inflight(struct vmm *v)
{
	struct vu_inflight i = { .num_queues = v->n_queues, .queue_size = RING_SIZE };
	union vu_payload p;
	int ret;

	if (!v->use_inflight)
		return 0;
	if (v->inflight_fd < 0) {
		ret = vmm_request(v, VU_GET_INFLIGHT_FD, &i, sizeof(i), NULL, 0, &p,
				  &v->inflight_fd);
		if (ret)
			return ret;
		v->inflight = p.inflight;
	}
	return vmm_request(v, VU_SET_INFLIGHT_FD, &v->inflight, sizeof(v->inflight),
			   &v->inflight_fd, 1, NULL, NULL);
}

static int set_memory(struct vmm *v)
{
	struct vu_region main_mem = { GUEST_BASE, GUEST_SIZE, (uintptr_t)v->mem, 0 };
	struct vu_region extra = { EXTRA_BASE, EXTRA_SIZE, EXTRA_BASE, 0 };
	struct vu_mem_table t = { .n_regions = 1 + v->extra, .regions = { main_mem, extra } };
	struct vu_mem_reg r = { .region = main_mem };
	int fds[2] = { v->mem_fd, v->extra_fd };
	int ret;

	if (v->told && v->use_slots)
		return 0;
	v->told = true;
	if (!v->use_slots)
		return vmm_request(v, VU_SET_MEM_TABLE, &t,
				   offsetof(struct vu_mem_table, regions[t.n_regions]), fds,
				   t.n_regions, NULL, NULL);
	ret = vmm_request(v, VU_ADD_MEM_REG, &r, sizeof(r), fds, 1, NULL, NULL);
	r.region = extra;
	if (!ret && v->extra)
		ret = vmm_request(v, VU_ADD_MEM_REG, &r, sizeof(r), fds + 1, 1, NULL, NULL);
	return ret;
}

/* Have the extra region, or have it not. */
int vmm_extra(struct vmm *v, bool on)
{
	struct vu_mem_reg r = { .region = { EXTRA_BASE, EXTRA_SIZE, EXTRA_BASE, 0 } };

	v->extra = on;
	if (!v->use_slots)
		return set_memory(v);
	return vmm_request(v, on ? VU_ADD_MEM_REG : VU_REM_MEM_REG, &r, sizeof(r), &v->extra_fd,
			   on, NULL, NULL);
}

static uint8_t *ring(struct vmm *v, unsigned int q)
{
	return v->mem + q * QUEUE_BYTES;
}

static volatile struct vring_used *used_ring(struct vmm *v, unsigned int q)
{
	return (struct vring_used *)(ring(v, q) + USED);
}

static int set_fd(struct vmm *v, uint32_t request, uint64_t index, int fd)
{
	return vmm_request(v, request, &index, sizeof(index), &fd, 1, NULL, NULL);
}

/* The base is the used index: what a VMM knows that was not told where the ring ended. */
static int start_ring(struct vmm *v, uint32_t q)
{
	uintptr_t at = (uintptr_t)ring(v, q);
	struct vu_vring_state num = { q, RING_SIZE }, base = { q, used_ring(v, q)->idx };
	struct vu_vring_state on = { q, 1 };
	struct vu_vring_addr addr = {
		.index = q, .desc = at, .avail = at + AVAIL, .used = at + USED,
	};
	int ret = vmm_simple(v, VU_SET_VRING_NUM, &num, sizeof(num));

	if (!ret)
		ret = vmm_simple(v, VU_SET_VRING_BASE, &base, sizeof(base));
	if (!ret)
		ret = vmm_simple(v, VU_SET_VRING_ADDR, &addr, sizeof(addr));
	if (!ret)
		ret = set_fd(v, VU_SET_VRING_CALL, q, v->queues[q].call);
	if (!ret)
		ret = set_fd(v, VU_SET_VRING_KICK, q, v->queues[q].kick);
	if (!ret)
		ret = vmm_simple(v, VU_SET_VRING_ENABLE, &on, sizeof(on));
	return ret;
}

/* Connect, and talk until the queues run. */
int vmm_start(struct vmm *v)
{
	static const uint64_t features_ok = 8, all = 15;
	int ret = negotiate(v);

	if (!ret)
		ret = read_config(v);
	if (!ret && v->use_status)
		ret = vmm_simple(v, VU_SET_STATUS, &features_ok, 8);
	if (!ret)
		ret = set_inflight(v);
	if (!ret)
		ret = set_memory(v);
	for (unsigned int q = 0; q < v->n_queues && !ret; q++)
		ret = start_ring(v, q);
	if (!ret && v->use_status)
		ret = vmm_simple(v, VU_SET_STATUS, &all, 8);
	return ret;
}

int vmm_connect(struct vmm *v)
{
	int64_t end = now_ms() + DRAIN_MS;
	int ret;

	do {
		if (v->sock >= 0)
			close(v->sock);
		v->sock = vmm_socket(v->path, REPLY_MS);
		if (v->sock < 0)
			return fail("connect", v->sock);
		v->told = false;
		ret = vmm_start(v);
		/* Who is killed in the middle of it closes the connection. */
	} while ((ret == -ECONNRESET || ret == -EPIPE) && now_ms() < end);
	return ret ? fail("cannot start", ret) : 0;
}

bool vmm_alive(struct vmm *v)
{
	struct pollfd p = { .fd = v->sock, .events = POLLIN };

	return v->sock >= 0 && poll(&p, 1, 0) == 0;
}

/* Stop all queues; each must have ended where the driver has. */
int vmm_stop(struct vmm *v)
{
	static const uint64_t none;
	int ret = 0;

	for (uint32_t q = 0; q < v->n_queues && !ret; q++) {
		struct vu_vring_state st = { q, 0 };
		union vu_payload p;

		ret = vmm_request(v, VU_GET_VRING_BASE, &st, sizeof(st), NULL, 0, &p, NULL);
		if (!ret && p.state.num != v->queues[q].avail) {
			printf("# queue %u ended at %u, not %u\n", q, p.state.num,
			       v->queues[q].avail);
			ret = -EILSEQ;
		}
	}
	if (!ret && v->use_status)
		ret = vmm_simple(v, VU_SET_STATUS, &none, 8);
	return ret;
}

static uint8_t *slot(struct vmm *v, unsigned int q, unsigned int n)
{
	return v->mem + MB + (q * MAX_DEPTH + n) * SLOT_BYTES;
}

static uint64_t guest(struct vmm *v, const void *p)
{
	return GUEST_BASE + ((const uint8_t *)p - v->mem);
}

static void pattern(const struct vmm *v, uint64_t *buf, uint32_t block, uint32_t version)
{
	uint64_t x = (((uint64_t)block << 32) | version) * 0x9e3779b97f4a7c15ull + v->salt;

	for (unsigned int i = 0; i < BLOCK / 8; i++)
		buf[i] = x + i;
}

/* Returns 0, -EAGAIN when there is no room or the block is in use. */
int io_submit(struct vmm *v, unsigned int qi, uint32_t block, bool out)
{
	struct queue *q = &v->queues[qi];
	struct vring_desc *d = (struct vring_desc *)ring(v, qi);
	struct vring_avail *avail = (struct vring_avail *)(ring(v, qi) + AVAIL);
	struct virtio_blk_outhdr hdr = {
		.type = out ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN,
		.sector = (uint64_t)block * (BLOCK / 512),
	};
	uint64_t one = 1;
	unsigned int n;
	uint8_t *at;

	for (n = 0; n < v->depth && q->reqs[n].busy; n++)
		;
	if (n == v->depth || v->in_use[block])
		return -EAGAIN;
	at = slot(v, qi, n);
	q->reqs[n] = (struct request){ true, out, block, v->versions[block] + out };
	v->in_use[block] = true;
	memcpy(at, &hdr, sizeof(hdr));
	at[STATUS] = 0xff;
	if (out)
		pattern(v, (uint64_t *)(at + DATA), block, q->reqs[n].version);
	else
		memset(at + DATA, 0x5a, BLOCK);
	d += 3 * n;
	d[0] = (struct vring_desc){ guest(v, at), sizeof(hdr), VRING_DESC_F_NEXT, 3 * n + 1 };
	d[1] = (struct vring_desc){ v->buffer ? v->buffer : guest(v, at + DATA), BLOCK,
				    VRING_DESC_F_NEXT | (out ? 0 : VRING_DESC_F_WRITE),
				    3 * n + 2 };
	d[2] = (struct vring_desc){ guest(v, at + STATUS), 1, VRING_DESC_F_WRITE, 0 };
	avail->ring[q->avail % RING_SIZE] = 3 * n;
	q->avail++;
	__atomic_store_n(&avail->idx, q->avail, __ATOMIC_RELEASE);
	return write(q->kick, &one, sizeof(one)) < 0 ? -errno : 0;
}

static int check_done(struct vmm *v, unsigned int qi, unsigned int n)
{
	struct request *r = &v->queues[qi].reqs[n];
	uint8_t *at = slot(v, qi, n);
	static uint64_t want[BLOCK / 8];

	if (!v->any_result && at[STATUS]) {
		printf("# block %u: status %u\n", r->block, at[STATUS]);
		return -EIO;
	}
	pattern(v, want, r->block, r->version);
	if (!v->any_result && memcmp(at + DATA, want, BLOCK)) {
		printf("# block %u: not version %u\n", r->block, r->version);
		return -EILSEQ;
	}
	v->versions[r->block] = r->version;
	v->in_use[r->block] = false;
	r->busy = false;
	v->done++;
	return 0;
}

/* Returns how many were completed, or -errno: wrong status, data, or a stray completion. */
int io_reap(struct vmm *v, unsigned int qi)
{
	struct queue *q = &v->queues[qi];
	volatile struct vring_used *used = used_ring(v, qi);
	uint16_t idx = __atomic_load_n(&used->idx, __ATOMIC_ACQUIRE);
	int n = 0, ret;

	for (; q->used != idx; q->used++, n++) {
		uint32_t id = used->ring[q->used % RING_SIZE].id;

		if (id % 3 || id / 3 >= v->depth || !q->reqs[id / 3].busy) {
			printf("# queue %u: completion %u is not of a request\n", qi, id);
			return -EILSEQ;
		}
		ret = check_done(v, qi, id / 3);
		if (ret)
			return ret;
	}
	return n;
}

unsigned int io_in_flight(const struct vmm *v)
{
	unsigned int n = 0;

	for (unsigned int q = 0; q < v->n_queues; q++)
		for (unsigned int i = 0; i < v->depth; i++)
			n += v->queues[q].reqs[i].busy;
	return n;
}

/* Wait for a call, or for the end of the connection, which is then made again. */
static int wait_some(struct vmm *v)
{
	struct pollfd p[MAX_QUEUES + 1] = { { .fd = v->sock, .events = POLLIN } };
	uint64_t count;
	int ret;

	for (unsigned int q = 0; q < v->n_queues; q++)
		p[q + 1] = (struct pollfd){ .fd = v->queues[q].call, .events = POLLIN };
	if (poll(p, v->n_queues + 1, 100) < 0)
		return -errno;
	for (unsigned int q = 0; q < v->n_queues; q++)
		if (p[q + 1].revents && read(v->queues[q].call, &count, sizeof(count)) < 0)
			return -errno;
	if (!p[0].revents)
		return 0;
	ret = vmm_connect(v);
	v->reconnects++;
	return ret;
}

static int reap_all(struct vmm *v)
{
	for (unsigned int q = 0; q < v->n_queues; q++) {
		int ret = io_reap(v, q);

		if (ret < 0)
			return ret;
	}
	return 0;
}

/* Wait until nothing is in flight. */
int io_drain(struct vmm *v)
{
	int64_t end = now_ms() + DRAIN_MS;
	int ret = reap_all(v);

	while (!ret && io_in_flight(v)) {
		if (now_ms() > end)
			return fail("requests never end", -ETIMEDOUT);
		ret = wait_some(v);
		if (!ret)
			ret = reap_all(v);
	}
	return ret;
}

/* Fill the queues with random requests. */
void io_random(struct vmm *v)
{
	for (unsigned int q = 0; q < v->n_queues; q++) {
		for (unsigned int i = 0; i < v->depth; i++) {
			uint32_t block = random() % BLOCKS;

			io_submit(v, q, block, !v->versions[block] || random() % 2);
		}
	}
}

/* Blocked by who wants to be told so: then no call is interrupted by it. */
static bool told_to_end(void)
{
	sigset_t set;

	return sigpending(&set) == 0 && sigismember(&set, SIGTERM) == 1;
}

/* Random reads and writes for so long, or until a blocked SIGTERM comes; all are checked. */
int io_run(struct vmm *v, int64_t ms)
{
	int64_t end = now_ms() + ms;
	int ret = 0;

	while (!ret && now_ms() < end && !told_to_end()) {
		io_random(v);
		ret = wait_some(v);
		if (!ret)
			ret = reap_all(v);
	}
	return ret ? ret : io_drain(v);
}

/* Read everything once more. */
int io_verify(struct vmm *v)
{
	int ret = 0;

	for (uint32_t b = 0; b < BLOCKS && !ret; b++) {
		if (!v->versions[b])
			continue;
		while (!ret && io_submit(v, b % v->n_queues, b, false) == -EAGAIN) {
			ret = wait_some(v);
			if (!ret)
				ret = reap_all(v);
		}
	}
	return ret ? ret : io_drain(v);
}
