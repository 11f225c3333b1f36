// SPDX-License-Identifier: GPL-2.0
/*
 * The loop provider with this kernel's own drivers as front-ends, served as it
 * should be: split and packed rings, several types of device.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>

#include "kselftest_harness.h"

#include "be.h"
#include "check.h"
#include "dev.h"
#include "io.h"

#define NAME	"kst-loop"
#define DISK	(4U << 20)
#define LIMIT	COMES_MS	/* ms for what needs no waiting by design */
#define RESET_MS (2 * LIMIT)	/* the reset time-out: for who answers, not to be late */
#define SHORT_MS 1500		/* where nobody answers */
#define FEATURES_OK	8

FIXTURE(loop)
{
	struct be *be;
	char virtio[32];
	char node[32];
};

FIXTURE_VARIANT(loop)
{
	uint64_t features;
	uint64_t window;
};

FIXTURE_VARIANT_ADD(loop, split) { .features = 0 };
FIXTURE_VARIANT_ADD(loop, packed) { .features = 1ULL << VIRTIO_F_RING_PACKED };
FIXTURE_VARIANT_ADD(loop, small_window) { .window = 1 << 20 };

FIXTURE_SETUP(loop)
{
	struct dev_params p = dev_defaults(NAME);

	p.window = variant->window;
	p.reset_ms = RESET_MS;
	ASSERT_EQ(0, dev_fresh(&p))
		TH_LOG("cannot make a loop device: %s", dev_text);
}

FIXTURE_TEARDOWN(loop)
{
	be_free(self->be);
	EXPECT_EQ(0, dev_del(NAME))
		TH_LOG("dev del: %s", dev_text);
}

#define UP(_id, _driver) do {							\
	if (!exists("/sys/bus/virtio/drivers/" _driver))			\
		modprobe(_driver);						\
	if (!exists("/sys/bus/virtio/drivers/" _driver))			\
		SKIP(return, "this kernel has no " _driver);			\
	if (!self->be)								\
		self->be = be_new(_id);						\
	self->be->features |= variant->features;				\
	ASSERT_DONE(be_up(self->be, NAME));					\
	ASSERT_TRUE(fe_wait_driver(NAME, _driver, self->virtio, LIMIT))		\
		TH_LOG(_driver " has not bound; backend: %s", self->be->broken ?: "well"); \
} while (0)

#define UP_DISK() do {								\
	self->be = be_new(BE_BLK);						\
	be_make_disk(self->be, DISK);						\
	UP(BE_BLK, "virtio_blk");						\
	ASSERT_TRUE(fe_block(self->virtio, self->node, LIMIT) && io_settle(self->node))	\
		TH_LOG("no disk has come up");					\
} while (0)

#define EXPECT_HEALTHY() do {							\
	EXPECT_EQ(NULL, self->be->broken)					\
		TH_LOG("backend: %s", self->be->broken);			\
	EXPECT_FALSE(self->be->bad_seq)						\
		TH_LOG("event numbers jumped");					\
} while (0)

/* ---- random numbers ------------------------------------------------------------- */

static int read_hwrng(void)
{
	uint8_t buf[64] = { 0 };
	int fd = open("/dev/hwrng", O_RDONLY), n, i;

	if (fd < 0)
		return IO_NO_OPEN;
	n = read(fd, buf, sizeof(buf));
	if (n <= 0)
		return IO_ERROR;
	for (i = 0; i < n; i++)
		if (buf[i] != BE_RNG_BYTE)
			return IO_MISMATCH;
	return IO_GOOD;
}

TEST_F(loop, rng)
{
	char list[256], *word, *save;
	int picked = -1;
	pid_t pid;

	UP(BE_RNG, "virtio_rng");
	ASSERT_LT(0, read_text("/sys/class/misc/hw_random/rng_available", list, sizeof(list)));
	for (word = strtok_r(list, " ", &save); word; word = strtok_r(NULL, " ", &save))
		if (!strncmp(word, "virtio_rng", 10))
			picked = write_text("/sys/class/misc/hw_random/rng_current", word);
	ASSERT_EQ(0, picked)
		TH_LOG("no virtio_rng among the sources");
	pid = fork();
	if (!pid)
		_exit(read_hwrng());
	EXPECT_EQ(IO_GOOD, io_now(pid));
	EXPECT_LT(0, self->be->served);
	EXPECT_HEALTHY();
	ASSERT_DONE(be_leave(self->be, LIMIT));
	EXPECT_TRUE(fe_wait_gone(self->virtio, COMES_MS));
}

/* ---- a disk ---------------------------------------------------------------------- */

static bool disk_has(struct be *be, uint64_t offset, uint32_t len, uint8_t byte)
{
	while (len--)
		if (be->disk[offset++] != byte)
			return false;
	return true;
}

TEST_F(loop, disk_data)
{
	struct vbe_queue_info q;
	struct vbe_dev_info i;

	UP_DISK();
	EXPECT_EQ(DISK / 512, fe_block_sectors(self->node));
	EXPECT_EQ(IO_GOOD, io_now(io_write(self->node, 4096, 4096, 0x11)));
	EXPECT_TRUE(disk_has(self->be, 4096, 4096, 0x11));
	EXPECT_TRUE(disk_has(self->be, 8192, 512, 0));
	EXPECT_EQ(IO_GOOD, io_now(io_write(self->node, 0, 512, 0x22)));
	EXPECT_TRUE(disk_has(self->be, 0, 512, 0x22));
	EXPECT_EQ(IO_GOOD, io_now(io_write(self->node, 1 << 20, 2 << 20, 0x33)));
	EXPECT_TRUE(disk_has(self->be, 1 << 20, 2 << 20, 0x33));
	memset(self->be->disk, 0x44, DISK);
	EXPECT_EQ(IO_GOOD, io_now(io_check(self->node, 0, 4096, 0x44)));
	EXPECT_EQ(IO_GOOD, io_now(io_check(self->node, DISK - (1 << 20), 1 << 20, 0x44)));

	ASSERT_DONE(dev_info(self->be->fd, &i));
	EXPECT_EQ(VBE_DEV_ONLINE, i.state);
	EXPECT_EQ(0xf, i.status);
	EXPECT_EQ(0, i.flags);
	EXPECT_EQ(variant->features, i.driver_features & 1ULL << VIRTIO_F_RING_PACKED);
	EXPECT_EQ(0, i.driver_features & ~i.features);
	ASSERT_DONE(queue_info(self->be->fd, 0, &q));
	EXPECT_EQ(VBE_QUEUE_F_ENABLED | VBE_QUEUE_F_HAS_KICK | VBE_QUEUE_F_HAS_CALL, q.flags);
	EXPECT_LT(0, q.num);
	EXPECT_GE(q.max_size, q.num);
	EXPECT_HEALTHY();
}

/* Many writers want more of the window than there is: they wait, none fails. */
TEST_F(loop, disk_deep_queue)
{
	pid_t pid[8];
	int round, i;

	UP_DISK();
	for (round = 0; round < 3; round++) {
		ASSERT_TRUE(be_stall(self->be));
		for (i = 0; i < 8; i++)
			pid[i] = io_write(self->node, (uint64_t)i * (DISK / 8), DISK / 8,
					  0x80 + 8 * round + i);
		sleep_ms(200);
		self->be->stall = false;
		for (i = 0; i < 8; i++)
			EXPECT_EQ(IO_GOOD, io_now(pid[i]))
				TH_LOG("writer %d of round %d", i, round);
		for (i = 0; i < 8; i++)
			EXPECT_TRUE(disk_has(self->be, i * (DISK / 8), DISK / 8,
					     0x80 + 8 * round + i));
	}
	EXPECT_HEALTHY();
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

TEST_F(loop, disk_resize)
{
	uint64_t capacity = DISK / 1024;
	struct vbe_config_rw w = { .size = sizeof(w), .len = 8, .buf = (uintptr_t)&capacity };
	struct sectors s = { .n = DISK / 1024 };

	UP_DISK();
	s.node = self->node;
	ASSERT_DONE(xioctl(self->be->fd, VBE_IOC_CONFIG_WRITE, &w));
	EXPECT_TRUE(wait_until(has_sectors, &s, LIMIT))
		TH_LOG("the disk has %llu sectors", (unsigned long long)fe_block_sectors(s.node));
	capacity = DISK / 512;
	s.n = capacity;
	ASSERT_DONE(xioctl(self->be->fd, VBE_IOC_CONFIG_WRITE, &w));
	EXPECT_TRUE(wait_until(has_sectors, &s, LIMIT));
	/* The administrator's wish arrives. */
	ASSERT_EQ(0, dev_resize(NAME));
	EXPECT_TRUE(be_wait_event(self->be, VBE_EVENT_RESIZE, 1, COMES_MS));
	EXPECT_HEALTHY();
}

/* The driver goes and comes back: one reset, answered in time. */
TEST_F(loop, disk_unbind_and_bind)
{
	const char *drv = "/sys/bus/virtio/drivers/virtio_blk";
	char unbind[64], bind[64];
	struct dev_state st;
	uint32_t resets;
	int i;

	UP_DISK();
	snprintf(unbind, sizeof(unbind), "%s/unbind", drv);
	snprintf(bind, sizeof(bind), "%s/bind", drv);
	for (i = 0; i < 3; i++) {
		resets = self->be->events[VBE_EVENT_RESET];
		EXPECT_EQ(IO_GOOD, io_now(text_writer(unbind, self->virtio)));
		EXPECT_LT(resets, self->be->events[VBE_EVENT_RESET]);
		ASSERT_EQ(0, dev_get(NAME, &st));
		EXPECT_EQ(VBE_DEV_ONLINE, st.state);
		EXPECT_EQ(0, st.status & 4);
		EXPECT_EQ(IO_GOOD, io_now(text_writer(bind, self->virtio)));
		ASSERT_TRUE(fe_wait_driver(NAME, "virtio_blk", self->virtio, LIMIT));
		ASSERT_TRUE(fe_block(self->virtio, self->node, LIMIT) && io_settle(self->node));
		EXPECT_EQ(IO_GOOD, io_now(io_write(self->node, 0, 65536, i + 1)));
		EXPECT_TRUE(disk_has(self->be, 0, 65536, i + 1));
	}
	EXPECT_EQ(0, st.bounded_resets);
	EXPECT_EQ(0, st.revokes);
	EXPECT_HEALTHY();
}

/* ---- features --------------------------------------------------------------------- */

TEST_F(loop, features_accepted)
{
	self->be = be_new(BE_BLK);
	be_make_disk(self->be, DISK);
	self->be->setup_flags = VBE_SETUP_F_ASK_FEATURES;
	UP(BE_BLK, "virtio_blk");
	EXPECT_EQ(1, self->be->events[VBE_EVENT_FEATURES]);
	EXPECT_HEALTHY();
}

static bool has_failed(void *arg)
{
	struct dev_state st;

	(void)arg;
	return !dev_get(NAME, &st) && (st.status & 0x80);
}

TEST_F(loop, features_refused)
{
	struct dev_state st;

	self->be = be_new(BE_BLK);
	be_make_disk(self->be, DISK);
	self->be->setup_flags = VBE_SETUP_F_ASK_FEATURES;
	self->be->refuse = true;
	ASSERT_DONE(be_up(self->be, NAME));
	EXPECT_TRUE(be_wait_event(self->be, VBE_EVENT_FEATURES, 1, LIMIT));
	EXPECT_TRUE(wait_until(has_failed, NULL, LIMIT))
		TH_LOG("the driver has not given up");
	ASSERT_EQ(0, dev_get(NAME, &st));
	EXPECT_EQ(0, st.status & FEATURES_OK);
}

/* A backend that asks to be asked and never speaks: refused in bounded time. */
TEST_F(loop, features_unanswered)
{
	struct dev_params p = dev_defaults(NAME);
	struct dev_state st;
	int64_t start;

	self->be = be_new(BE_BLK);
	be_make_disk(self->be, DISK);
	self->be->setup_flags = VBE_SETUP_F_ASK_FEATURES;
	self->be->mute_features = true;
	start = now_ms();
	ASSERT_DONE(be_up(self->be, NAME));
	/* It would wait for the reset time-out. */
	EXPECT_GT(LIMIT, now_ms() - start)
		TH_LOG("ONLINE waits for the driver");
	EXPECT_TRUE(be_wait_event(self->be, VBE_EVENT_FEATURES, 1, LIMIT));
	be_drop(self->be);
	p.window = variant->window;
	p.reset_ms = SHORT_MS;
	ASSERT_EQ(0, dev_fresh(&p));
	ASSERT_DONE(be_up(self->be, NAME));
	EXPECT_TRUE(be_wait_event(self->be, VBE_EVENT_FEATURES, 2, LIMIT));
	EXPECT_TRUE(wait_until(has_failed, NULL, LIMIT));
	ASSERT_EQ(0, dev_get(NAME, &st));
	EXPECT_EQ(0, st.status & FEATURES_OK);
}

/* What a held event's cookie is good for. */
TEST_F(loop, held_event_by_cookie)
{
	struct vbe_event ev;
	struct vbe_dev_info i;
	int fd;

	self->be = be_new(BE_BLK);
	be_make_disk(self->be, DISK);
	self->be->setup_flags = VBE_SETUP_F_ASK_FEATURES;
	ASSERT_DONE(be_attach(self->be, NAME));
	ASSERT_DONE(be_setup(self->be));
	ASSERT_DONE(be_online(self->be));
	fd = self->be->fd;
	ASSERT_EQ(0, wait_event(fd, VBE_EVENT_FEATURES, &ev, LIMIT));
	EXPECT_NE(0, ev.cookie);
	EXPECT_TRUE(ev.data[0] & 1ULL << VIRTIO_F_VERSION_1);
	ASSERT_DONE(dev_info(fd, &i));
	EXPECT_EQ(ev.cookie, i.pending_cookie);
	EXPECT_WHY(fd, ENOENT, dev_complete(fd, ev.cookie + 1, 0));
	EXPECT_WHY(fd, ENOENT, dev_complete(fd, 0, 0));
	EXPECT_DONE(dev_complete(fd, ev.cookie, 0));
	EXPECT_WHY(fd, ENOENT, dev_complete(fd, ev.cookie, 0));
	/* DRIVER_OK comes, and from there on it is served. */
	while (!wait_event(fd, VBE_EVENT_STATUS, &ev, LIMIT) && !(ev.data[0] & 4))
		;
	EXPECT_TRUE(ev.data[0] & 4);
	ASSERT_LE(0, be_queue_start(self->be, 0, false));
	ASSERT_DONE(be_start(self->be));
	EXPECT_TRUE(fe_wait_driver(NAME, "virtio_blk", self->virtio, LIMIT));
}

/* ---- other types ------------------------------------------------------------------- */

TEST_F(loop, net)
{
	struct virtio_net_config *c;
	char path[96];

	self->be = be_new(BE_NET);
	self->be->features |= 1ULL << VIRTIO_NET_F_MAC;
	c = (void *)self->be->config;
	memcpy(c->mac, "\x52\x54\x00\x76\x62\x65", 6);
	UP(BE_NET, "virtio_net");
	snprintf(path, sizeof(path), "/sys/bus/virtio/devices/%s/net", self->virtio);
	EXPECT_TRUE(exists(path));
	EXPECT_HEALTHY();
	ASSERT_DONE(be_leave(self->be, LIMIT));
	EXPECT_TRUE(fe_wait_gone(self->virtio, COMES_MS));
}

TEST_F(loop, console)
{
	UP(BE_CONSOLE, "virtio_console");
	EXPECT_HEALTHY();
	ASSERT_DONE(be_leave(self->be, LIMIT));
	EXPECT_TRUE(fe_wait_gone(self->virtio, COMES_MS));
}

static bool has_type(void *arg)
{
	struct dev_state st;
	char path[96];

	if (dev_get(NAME, &st) || !st.fe_name[0])
		return false;
	snprintf(path, sizeof(path), "/sys/bus/virtio/devices/%s/device", st.fe_name);
	return read_text(path, arg, 32) > 0;
}

/* A type of which nobody has a driver is a device all the same. */
TEST_F(loop, no_driver)
{
	char text[32];

	self->be = be_new(0x3f);
	ASSERT_DONE(be_up(self->be, NAME));
	ASSERT_TRUE(wait_until(has_type, text, LIMIT))
		TH_LOG("it is on no bus");
	EXPECT_STREQ("0x003f", text);
	ASSERT_DONE(be_leave(self->be, LIMIT));
}

/* ---- going offline ----------------------------------------------------------------- */

/* Data on its way is served to the end, and then the shape may change. */
TEST_F(loop, offline_serves_to_the_end)
{
	struct dev_state st;
	pid_t pid;

	UP_DISK();
	ASSERT_TRUE(be_stall(self->be));
	pid = io_write(self->node, 0, 65536, 0x66);
	EXPECT_EQ(IO_PENDING, io_result(pid, 200));
	ASSERT_DONE(dev_simple(self->be->fd, VBE_IOC_DEV_OFFLINE));
	self->be->stall = false;
	EXPECT_EQ(IO_GOOD, io_now(pid));
	EXPECT_TRUE(disk_has(self->be, 0, 65536, 0x66));
	ASSERT_TRUE(be_wait_event(self->be, VBE_EVENT_OFFLINE, 1, LIMIT));
	EXPECT_TRUE(fe_wait_gone(self->virtio, COMES_MS));
	ASSERT_EQ(0, dev_get(NAME, &st));
	EXPECT_EQ(VBE_DEV_READY, st.state);
	EXPECT_EQ(0, st.losses);
	be_free(self->be);
	EXPECT_TRUE(dev_wait_state(NAME, VBE_DEV_EMPTY, COMES_MS));
	ASSERT_EQ(0, dev_get(NAME, &st));
	EXPECT_EQ(0, st.losses);
	self->be = NULL;
	UP(BE_RNG, "virtio_rng");
}

TEST_F(loop, online_again_and_again)
{
	int i;

	UP_DISK();
	for (i = 0; i < 5; i++) {
		uint32_t before = self->be->events[VBE_EVENT_OFFLINE];

		ASSERT_DONE(dev_simple(self->be->fd, VBE_IOC_DEV_OFFLINE));
		ASSERT_TRUE(be_wait_event(self->be, VBE_EVENT_OFFLINE, before + 1, LIMIT))
			TH_LOG("turn %d", i);
		ASSERT_DONE(dev_simple(self->be->fd, VBE_IOC_DEV_ONLINE));
		ASSERT_TRUE(fe_wait_driver(NAME, "virtio_blk", self->virtio, LIMIT));
		ASSERT_TRUE(fe_block(self->virtio, self->node, LIMIT) && io_settle(self->node));
		EXPECT_EQ(IO_GOOD, io_now(io_write(self->node, 0, 4096, i)));
	}
	EXPECT_HEALTHY();
}

TEST_HARNESS_MAIN
