// SPDX-License-Identifier: GPL-2.0
/*
 * Backends that die, hang, or never answer, under drivers with I/O in flight;
 * deletion in every such state. Nothing may wait without a bound, and nothing may
 * be lost where the policy says "hold".
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/virtio_config.h>

#include "kselftest_harness.h"

#include "be.h"
#include "check.h"
#include "dev.h"
#include "io.h"

#define NAME		"kst-loss"
#define DISK		(4U << 20)
#define LONG_MS		(2 * COMES_MS)	/* the reset time-out: for who answers, not to be late */
#define RESET_MS	1500	/* where nobody answers */
#define LIMIT		COMES_MS	/* ms for what needs no waiting by design */
#define DEL_MS		COMES_MS	/* twice RESET_MS, and the emulated machine's due */
#define NEEDS_RESET	0x40

FIXTURE(loss)
{
	struct be *be;
	struct be *next;
	char virtio[32];
	char node[32];
	pid_t io[4];
};

FIXTURE_VARIANT(loss)
{
	uint64_t features;
};

FIXTURE_VARIANT_ADD(loss, split) { .features = 0 };
FIXTURE_VARIANT_ADD(loss, packed) { .features = 1ULL << VIRTIO_F_RING_PACKED };

static struct be *new_disk(uint64_t features)
{
	struct be *be = be_new(BE_BLK);

	be_make_disk(be, DISK);
	be->features |= features;
	return be;
}

FIXTURE_SETUP(loss)
{
	struct dev_params p = dev_defaults(NAME);

	p.reset_ms = LONG_MS;
	ASSERT_EQ(0, dev_fresh(&p))
		TH_LOG("cannot make a loop device: %s", dev_text);
	if (!exists("/sys/bus/virtio/drivers/virtio_blk"))
		modprobe("virtio_blk");
	self->be = new_disk(variant->features);
}

FIXTURE_TEARDOWN(loss)
{
	unsigned int i;
	int ret;

	be_free(self->be);
	be_free(self->next);
	ret = dev_del(NAME);
	EXPECT_TRUE(ret == 0 || ret == -ENOENT)
		TH_LOG("dev del: %d %s", ret, dev_text);
	/* Whatever waited for the device must have been told by now. */
	for (i = 0; i < ARRAY_LEN(self->io); i++) {
		if (self->io[i] <= 0)
			continue;
		EXPECT_NE(IO_PENDING, io_result(self->io[i], COMES_MS))
			TH_LOG("I/O is stuck though its device is deleted%s",
			       is_stuck(self->io[i]) ? " (state D)" : "");
	}
}

/* A backend in a process of its own, and the disk that comes up with it. */
static pid_t up_forked(struct __test_metadata *_metadata, struct be *be, char *virtio,
		       char *node)
{
	pid_t pid = be_fork(be, NAME);

	ASSERT_LT(0, pid)
		TH_LOG("backend process: %s", strerror(-pid));
	ASSERT_TRUE(fe_wait_driver(NAME, "virtio_blk", virtio, LIMIT))
		TH_LOG("virtio_blk has not bound; backend: %s", be->broken ?: "well");
	ASSERT_TRUE(fe_block(virtio, node, LIMIT) && io_settle(node));
	return pid;
}

static void up_here(struct __test_metadata *_metadata, struct be *be, char *virtio, char *node)
{
	ASSERT_DONE(be_up(be, NAME));
	ASSERT_TRUE(fe_wait_driver(NAME, "virtio_blk", virtio, LIMIT))
		TH_LOG("virtio_blk has not bound; backend: %s", be->broken ?: "well");
	ASSERT_TRUE(fe_block(virtio, node, LIMIT) && io_settle(node));
}

/* From now on somebody does not answer. */
#define EXPECT_SILENCE() ASSERT_EQ(0, dev_set_reset_ms(NAME, RESET_MS))

#define UP_FORKED()	up_forked(_metadata, self->be, self->virtio, self->node)
#define UP_HERE()	up_here(_metadata, self->be, self->virtio, self->node)

static void kill_backend(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* Four writers of 64 KiB each, one after the other on the disk; they wait. */
static void stall_writers(struct __test_metadata *_metadata, struct be *be, const char *node,
			  pid_t *io, uint8_t byte)
{
	int i;

	/* Let what is being served end, so that all of these do wait. */
	ASSERT_TRUE(be_stall(be));
	for (i = 0; i < 4; i++)
		io[i] = io_write(node, i * 65536, 65536, byte + i);
	EXPECT_EQ(IO_PENDING, io_result(io[0], 300))
		TH_LOG("a write ends though nobody serves it");
}

#define STALL_WRITERS(byte) stall_writers(_metadata, self->be, self->node, self->io, byte)

static void expect_io(struct __test_metadata *_metadata, pid_t *io, int want)
{
	int i, got;

	for (i = 0; i < 4; i++) {
		got = io_now(io[i]);
		EXPECT_EQ(want, got)
			TH_LOG("writer %d%s", i, is_stuck(io[i]) ? " is in state D" : "");
		if (got != IO_PENDING)
			io[i] = 0;
	}
}

static bool disk_has(struct be *be, uint64_t offset, uint32_t len, uint8_t byte)
{
	while (len--)
		if (be->disk[offset++] != byte)
			return false;
	return true;
}

static int timed_del(const char *name, int *ms)
{
	int64_t start = now_ms();
	int ret = dev_del(name);

	*ms = now_ms() - start;
	return ret;
}

#define EXPECT_DELETED() do {							\
	int __ms;								\
	EXPECT_EQ(0, timed_del(NAME, &__ms))					\
		TH_LOG("dev del: %s", dev_text);				\
	EXPECT_GE(DEL_MS, __ms)							\
		TH_LOG("deletion took %d ms", __ms);				\
	EXPECT_TRUE(fe_wait_gone(self->virtio, COMES_MS));				\
} while (0)

/* ---- policy hold ------------------------------------------------------------------- */

TEST_F(loss, hold)
{
	struct vbe_dev_info i;
	struct dev_state st;
	pid_t pid;
	int round;

	pid = UP_FORKED();
	for (round = 0; round < 4; round++) {
		STALL_WRITERS(0x10 * round + 1);
		kill_backend(pid);
		ASSERT_TRUE(dev_wait_state(NAME, VBE_DEV_LOST, COMES_MS));
		EXPECT_EQ(IO_PENDING, io_result(self->io[0], 300))
			TH_LOG("with policy hold, I/O waits");
		self->be->stall = false;
		pid = be_fork(self->be, NAME);
		ASSERT_LT(0, pid)
			TH_LOG("the next backend: %s", strerror(-pid));
		expect_io(_metadata, self->io, IO_GOOD);
		EXPECT_EQ(NULL, self->be->broken)
			TH_LOG("backend: %s", self->be->broken);
		EXPECT_TRUE(disk_has(self->be, 3 * 65536, 65536, 0x10 * round + 4));
	}
	ASSERT_EQ(0, dev_get(NAME, &st));
	EXPECT_EQ(4, st.losses);
	EXPECT_EQ(0, st.status & NEEDS_RESET);
	EXPECT_EQ(0, st.bounded_resets);
	kill_backend(pid);
	ASSERT_TRUE(dev_wait_state(NAME, VBE_DEV_LOST, COMES_MS));
	/* What the next one is told. */
	ASSERT_DONE(be_attach(self->be, NAME));
	ASSERT_DONE(dev_info(self->be->fd, &i));
	EXPECT_EQ(VBE_INFO_F_RESUME, i.flags);
	EXPECT_EQ(VBE_DEV_LOST, i.state);
	EXPECT_EQ(0xf, i.status);
}

/* The driver took these features: a backend without them cannot take over. */
TEST_F(loss, hold_keeps_what_was_negotiated)
{
	uint64_t features = self->be->features;
	pid_t pid = UP_FORKED();

	kill_backend(pid);
	ASSERT_TRUE(dev_wait_state(NAME, VBE_DEV_LOST, COMES_MS));
	ASSERT_DONE(be_attach(self->be, NAME));
	self->be->features = 1ULL << VIRTIO_F_VERSION_1;
	EXPECT_WHY(self->be->fd, EINVAL, be_setup(self->be));
	self->be->features = features;
	EXPECT_DONE(be_setup(self->be));
	EXPECT_DONE(be_online(self->be));
	ASSERT_DONE(be_start(self->be));
	EXPECT_EQ(IO_GOOD, io_now(io_write(self->node, 0, 4096, 3)));
	EXPECT_TRUE(disk_has(self->be, 0, 4096, 3));
}

struct sectors {
	const char *node;
	uint64_t n;
};

static bool has_sectors(void *arg)
{
	struct sectors *s = arg;

	return fe_block_sectors(s->node) == s->n;
}

/* The next backend brings another size: the driver learns of it at ONLINE. */
TEST_F(loss, hold_with_new_config)
{
	struct sectors s = { .node = self->node, .n = DISK / 1024 };
	pid_t pid = UP_FORKED();

	kill_backend(pid);
	ASSERT_TRUE(dev_wait_state(NAME, VBE_DEV_LOST, COMES_MS));
	memcpy(self->be->config, &s.n, 8);
	ASSERT_DONE(be_up(self->be, NAME));
	EXPECT_TRUE(wait_until(has_sectors, &s, LIMIT));
}

/* A driver which goes while nobody serves it waits for nobody. */
TEST_F(loss, hold_and_unbind)
{
	pid_t pid = UP_FORKED(), writer;
	struct dev_state st;

	kill_backend(pid);
	ASSERT_TRUE(dev_wait_state(NAME, VBE_DEV_LOST, COMES_MS));
	writer = text_writer("/sys/bus/virtio/drivers/virtio_blk/unbind", self->virtio);
	EXPECT_EQ(IO_GOOD, io_result(writer, COMES_MS));
	ASSERT_EQ(0, dev_get(NAME, &st));
	EXPECT_EQ(VBE_DEV_LOST, st.state);
	EXPECT_EQ(0, st.status & 4);
	/* The next backend finds a device that is there, without a driver. */
	ASSERT_DONE(be_up(self->be, NAME));
	writer = text_writer("/sys/bus/virtio/drivers/virtio_blk/bind", self->virtio);
	EXPECT_EQ(IO_GOOD, io_now(writer));
	ASSERT_TRUE(fe_wait_driver(NAME, "virtio_blk", self->virtio, LIMIT));
	ASSERT_TRUE(fe_block(self->virtio, self->node, LIMIT) && io_settle(self->node));
	EXPECT_EQ(IO_GOOD, io_now(io_write(self->node, 0, 4096, 9)));
}

/* ---- policies reset and fail ---------------------------------------------------------- */

TEST_F(loss, needs_reset)
{
	struct dev_state st;
	pid_t pid;

	ASSERT_EQ(0, dev_set_loss(NAME, VBE_LOSS_RESET));
	pid = UP_FORKED();
	kill_backend(pid);
	EXPECT_TRUE(fe_wait_status(NAME, NEEDS_RESET, COMES_MS));
	ASSERT_EQ(0, dev_get(NAME, &st));
	EXPECT_EQ(VBE_DEV_LOST, st.state);
	EXPECT_EQ(1, st.losses);
	EXPECT_TRUE(exists(self->node));
	EXPECT_DELETED();
}

/* The backend's own word on the policy counts over the administrator's. */
TEST_F(loss, fail)
{
	struct dev_state st;
	pid_t pid;

	self->be->loss = VBE_LOSS_FAIL;
	pid = UP_FORKED();
	EXPECT_EQ(IO_GOOD, io_now(io_write(self->node, 0, 4096, 1)));
	STALL_WRITERS(1);
	kill_backend(pid);
	expect_io(_metadata, self->io, IO_ERROR);
	EXPECT_TRUE(fe_wait_gone(self->virtio, DEL_MS))
		TH_LOG("the failed device is still there");
	EXPECT_TRUE(dev_wait_state(NAME, VBE_DEV_EMPTY, DEL_MS));
	ASSERT_EQ(0, dev_get(NAME, &st));
	EXPECT_EQ(1, st.losses);
	/* It can come back. */
	self->be->stall = false;
	pid = UP_FORKED();
	EXPECT_EQ(IO_GOOD, io_now(io_write(self->node, 0, 4096, 2)));
	EXPECT_TRUE(disk_has(self->be, 0, 4096, 2));
	kill_backend(pid);
	EXPECT_TRUE(fe_wait_gone(self->virtio, DEL_MS));
}

/* ---- resets ---------------------------------------------------------------------------- */

static bool all_zero(struct be *be)
{
	uint64_t i;
	uint32_t w;

	for (w = 0; w < be->n_windows; w++)
		for (i = 0; i < be->windows[w].len; i++)
			if (be->windows[w].host[i])
				return false;
	return true;
}

/* All that the backend may write to. */
static void scribble(struct be *be, uint8_t byte)
{
	uint32_t w;

	for (w = 0; w < be->n_windows; w++)
		if (!be->windows[w].readonly)
			memset(be->windows[w].host, byte, be->windows[w].len);
}

/*
 * The same on a live device, by copies: pages that belong to the driver alone are
 * refused, one by one, where a store would be a SIGBUS.
 */
static int vandalise(struct be *be, uint8_t byte)
{
	static uint8_t page[4096];
	struct vbe_copy_entry e = { .buf = (uintptr_t)page, .len = sizeof(page) };
	struct vbe_mem_copy c = { .size = sizeof(c), .flags = VBE_COPY_F_TO_FE, .n = 1,
				  .entries = (uintptr_t)&e };
	uint64_t at;
	uint32_t w;
	int ret;

	memset(page, byte, sizeof(page));
	for (w = 0; w < be->n_windows; w++) {
		for (at = 0; at < be->windows[w].len; at += sizeof(page)) {
			e.fe_addr = be->windows[w].fe_addr + at;
			ret = xioctl(be->fd, VBE_IOC_MEM_COPY, &c);
			if (ret < 0)
				return ret;
		}
	}
	return 0;
}

static bool scribbled(struct be *be, uint8_t byte)
{
	uint32_t w;

	for (w = 0; w < be->n_windows; w++)
		if (!be->windows[w].readonly && be->windows[w].host[0] != byte)
			return false;
	return true;
}

TEST_F(loss, reset_never_answered)
{
	struct pollfd p = { .events = POLLIN };
	struct dev_state st;
	int64_t start;
	pid_t writer;

	UP_HERE();
	EXPECT_EQ(IO_GOOD, io_now(io_write(self->node, 0, 65536, 1)));
	self->be->mute_reset = true;
	EXPECT_SILENCE();
	start = now_ms();
	writer = text_writer("/sys/bus/virtio/drivers/virtio_blk/unbind", self->virtio);
	EXPECT_EQ(IO_GOOD, io_result(writer, COMES_MS))
		TH_LOG("the reset still waits");
	EXPECT_LE(RESET_MS - 50, now_ms() - start)
		TH_LOG("the backend was given %d ms only", (int)(now_ms() - start));
	/* The backend is told, and keeps scratch memory. */
	EXPECT_TRUE(be_wait_event(self->be, VBE_EVENT_REVOKED, 1, COMES_MS));
	be_stop(self->be);
	p.fd = self->be->fd;
	poll(&p, 1, 0);
	EXPECT_TRUE(p.revents & POLLHUP);
	EXPECT_TRUE(all_zero(self->be))
		TH_LOG("FE memory can still be read");
	scribble(self->be, 0x5a);
	EXPECT_WHY(self->be->fd, ENODEV, dev_simple(self->be->fd, VBE_IOC_DEV_OFFLINE));
	EXPECT_WHY(self->be->fd, ENODEV, xioctl(self->be->fd, VBE_IOC_QUEUE_CALL, 0));
	ASSERT_EQ(0, dev_get(NAME, &st));
	EXPECT_EQ(1, st.bounded_resets);
	EXPECT_EQ(1, st.revokes);
	EXPECT_EQ(1, st.losses);
	EXPECT_EQ(VBE_DEV_LOST, st.state);
	EXPECT_EQ(0, st.backend_pid);
	/* While the old one still has its fd, a next one serves the driver. */
	ASSERT_EQ(0, dev_set_reset_ms(NAME, LONG_MS));
	self->next = new_disk(variant->features);
	ASSERT_DONE(be_up(self->next, NAME));
	writer = text_writer("/sys/bus/virtio/drivers/virtio_blk/bind", self->virtio);
	EXPECT_EQ(IO_GOOD, io_now(writer));
	ASSERT_TRUE(fe_wait_driver(NAME, "virtio_blk", self->virtio, LIMIT));
	ASSERT_TRUE(fe_block(self->virtio, self->node, LIMIT) && io_settle(self->node));
	EXPECT_EQ(IO_GOOD, io_now(io_write(self->node, 0, 65536, 7)));
	EXPECT_TRUE(disk_has(self->next, 0, 65536, 7));
	EXPECT_TRUE(scribbled(self->be, 0x5a));
}

/* A backend that dies while a reset waits for it: the reset goes on at once. */
TEST_F(loss, reset_and_death)
{
	struct dev_state st;
	pid_t pid, writer;

	pid = UP_FORKED();
	self->be->mute_reset = true;
	writer = text_writer("/sys/bus/virtio/drivers/virtio_blk/unbind", self->virtio);
	EXPECT_TRUE(be_wait_event(self->be, VBE_EVENT_RESET, 1, LIMIT));
	kill_backend(pid);
	EXPECT_EQ(IO_GOOD, io_result(writer, COMES_MS))
		TH_LOG("the reset waits for a backend that is dead");
	ASSERT_EQ(0, dev_get(NAME, &st));
	EXPECT_EQ(0, st.bounded_resets);
}

/* ---- deletion --------------------------------------------------------------------------- */

TEST_F(loss, delete_with_live_backend)
{
	UP_HERE();
	EXPECT_EQ(IO_GOOD, io_now(io_write(self->node, 0, 65536, 1)));
	EXPECT_DELETED();
	EXPECT_TRUE(be_wait_event(self->be, VBE_EVENT_GONE, 1, COMES_MS));
	be_stop(self->be);
	EXPECT_TRUE(self->be->hup);
	EXPECT_TRUE(all_zero(self->be));
	EXPECT_FALSE(self->be->bad_seq);
}

/* A backend that had to be cut off learns that; one that was not, of the end. */
static bool told(void *arg)
{
	struct be *be = arg;

	return be->events[VBE_EVENT_GONE] || be->events[VBE_EVENT_REVOKED];
}

static bool was_told(struct be *be)
{
	return wait_until(told, be, COMES_MS);
}

TEST_F(loss, delete_with_stalled_backend)
{
	UP_HERE();
	STALL_WRITERS(1);
	EXPECT_SILENCE();
	EXPECT_DELETED();
	expect_io(_metadata, self->io, IO_ERROR);
	EXPECT_TRUE(was_told(self->be));
}

/* Neither the queues nor the reset are served, but the process lives. */
TEST_F(loss, delete_with_hung_backend)
{
	pid_t pid = UP_FORKED();

	STALL_WRITERS(1);
	kill(pid, SIGSTOP);
	EXPECT_SILENCE();
	EXPECT_DELETED();
	expect_io(_metadata, self->io, IO_ERROR);
	/* SIGCONT: it must come to no harm by what was revoked meanwhile. */
	kill(pid, SIGCONT);
	EXPECT_TRUE(was_told(self->be));
	self->be->stall = false;
	sleep_ms(100);
	EXPECT_EQ(-ETIMEDOUT, wait_child(pid, 0))
		TH_LOG("the backend has died of a deleted device");
	kill_backend(pid);
}

TEST_F(loss, delete_with_dead_backend)
{
	pid_t pid = UP_FORKED();

	STALL_WRITERS(1);
	kill_backend(pid);
	EXPECT_SILENCE();
	EXPECT_DELETED();
	expect_io(_metadata, self->io, IO_ERROR);
}

/* A backend that wrote nonsense over all it could reach, and died. */
TEST_F(loss, delete_after_vandalism)
{
	pid_t pid;

	UP_HERE();
	STALL_WRITERS(1);
	be_stop(self->be);
	ASSERT_DONE(vandalise(self->be, 0xa5));
	if (self->be->inflight_map)
		memset(self->be->inflight_map, 0x5a, self->be->inflight_len);
	be_drop(self->be);
	EXPECT_SILENCE();
	EXPECT_DELETED();
	for (pid = 0; pid < 4; pid++) {
		EXPECT_NE(IO_PENDING, io_result(self->io[pid], COMES_MS))
			TH_LOG("writer %d is stuck", pid);
		self->io[pid] = 0;
	}
}

/* Nobody ever served the driver: it hangs in its probe, reading the partitions. */
TEST_F(loss, delete_during_probe)
{
	struct dev_state st;
	int ms;

	self->be->stall = true;
	ASSERT_DONE(be_up(self->be, NAME));
	EXPECT_TRUE(fe_wait_status(NAME, VIRTIO_CONFIG_S_DRIVER_OK, LIMIT));
	sleep_ms(300);
	EXPECT_SILENCE();
	EXPECT_EQ(0, timed_del(NAME, &ms));
	EXPECT_GE(DEL_MS, ms)
		TH_LOG("deletion took %d ms", ms);
	EXPECT_EQ(-ENOENT, dev_get(NAME, &st));
}

TEST_F(loss, delete_after_death_during_probe)
{
	pid_t pid;
	int ms;

	self->be->stall = true;
	pid = be_fork(self->be, NAME);
	ASSERT_LT(0, pid);
	EXPECT_TRUE(fe_wait_status(NAME, VIRTIO_CONFIG_S_DRIVER_OK, LIMIT));
	kill_backend(pid);
	EXPECT_SILENCE();
	EXPECT_EQ(0, timed_del(NAME, &ms));
	EXPECT_GE(DEL_MS, ms)
		TH_LOG("deletion took %d ms", ms);
}

/* The random source of the kernel waits inside its driver. */
TEST_F(loss, delete_with_waiting_rng)
{
	pid_t pid;
	int ms;

	be_free(self->be);
	self->be = be_new(BE_RNG);
	self->be->features |= variant->features;
	self->be->stall = true;
	modprobe("virtio_rng");
	pid = be_fork(self->be, NAME);
	ASSERT_LT(0, pid);
	EXPECT_TRUE(fe_wait_status(NAME, VIRTIO_CONFIG_S_DRIVER_OK, LIMIT));
	sleep_ms(200);
	kill_backend(pid);
	EXPECT_SILENCE();
	EXPECT_EQ(0, timed_del(NAME, &ms));
	EXPECT_GE(DEL_MS, ms)
		TH_LOG("deletion took %d ms", ms);
}

TEST_F(loss, remake_at_once)
{
	struct dev_params p = dev_defaults(NAME);
	int i;

	p.reset_ms = LONG_MS;
	for (i = 0; i < 8; i++) {
		UP_HERE();
		if (i & 1)
			STALL_WRITERS(i);
		if (i & 2)
			be_drop(self->be);
		if (i & 3)
			EXPECT_SILENCE();
		EXPECT_DELETED();
		ASSERT_EQ(0, dev_add(&p))
			TH_LOG("turn %d: %s", i, dev_text);
		if (i & 1)
			expect_io(_metadata, self->io, IO_ERROR);
		be_free(self->be);
		self->be = new_disk(variant->features);
	}
	UP_HERE();
	EXPECT_EQ(IO_GOOD, io_now(io_write(self->node, 0, 4096, 1)));
}

/* OFFLINE, and then the backend dies before the driver has left. */
TEST_F(loss, death_while_going_offline)
{
	struct dev_state st;

	UP_HERE();
	STALL_WRITERS(1);
	EXPECT_SILENCE();
	ASSERT_DONE(dev_simple(self->be->fd, VBE_IOC_DEV_OFFLINE));
	sleep_ms(100);
	be_drop(self->be);
	expect_io(_metadata, self->io, IO_ERROR);
	EXPECT_TRUE(fe_wait_gone(self->virtio, DEL_MS));
	EXPECT_TRUE(dev_wait_state(NAME, VBE_DEV_EMPTY, DEL_MS));
	ASSERT_EQ(0, dev_get(NAME, &st));
	EXPECT_EQ(0, st.n_queues);
	self->be->stall = false;
	ASSERT_EQ(0, dev_set_reset_ms(NAME, LONG_MS));
	UP_HERE();
}

TEST_HARNESS_MAIN
