// SPDX-License-Identifier: GPL-2.0
/*
 * Every ioctl of a guest fd with good and bad arguments, and read() on it: the errno
 * ladder, sizes, flags, names, numbers, limits, who may do what.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/virtio_config.h>

#include "kselftest_harness.h"

#include "be.h"
#include "check.h"
#include "dev.h"
#include "guest.h"

#define NAME	"kst-g"
#define RAM	0x80000000ULL
#define REGS	0x10000000ULL
#define BDF	0x0008		/* 00:01.0 */
#define PAGE	4096ULL

/* The layout is the same for 32- and 64-bit callers, and part of the ABI. */
_Static_assert(sizeof(struct vbe_guest_new) == 48, "vbe_guest_new");
_Static_assert(sizeof(struct vbe_guest_dev_add) == 104, "vbe_guest_dev_add");
_Static_assert(sizeof(struct vbe_guest_dev) == 8, "vbe_guest_dev");
_Static_assert(sizeof(struct vbe_guest_dev_info) == 64, "vbe_guest_dev_info");
_Static_assert(sizeof(struct vbe_guest_mem) == 40, "vbe_guest_mem");
_Static_assert(sizeof(struct vbe_guest_access) == 40, "vbe_guest_access");
_Static_assert(sizeof(struct vbe_guest_set_fd) == 24, "vbe_guest_set_fd");
_Static_assert(sizeof(struct vbe_guest_queue_info) == 72, "vbe_guest_queue_info");
_Static_assert(sizeof(struct vbe_guest_queue_set) == 48, "vbe_guest_queue_set");
_Static_assert(sizeof(struct vbe_guest_features) == 16, "vbe_guest_features");
_Static_assert(sizeof(struct vbe_guest_status) == 16, "vbe_guest_status");
_Static_assert(sizeof(struct vbe_guest_config) == 32, "vbe_guest_config");
_Static_assert(sizeof(struct vbe_guest_inflight) == 32, "vbe_guest_inflight");
_Static_assert(sizeof(struct vbe_guest_event) == 48, "vbe_guest_event");

FIXTURE(gfd)
{
	struct guest *g;
	struct be *be;
};

FIXTURE_SETUP(gfd)
{
	self->g = guest_new(NAME);
	ASSERT_NE(NULL, self->g)
		TH_LOG("GUEST_NEW: %s", strerror(errno));
	self->be = be_new(BE_RNG);
}

FIXTURE_TEARDOWN(gfd)
{
	be_free(self->be);
	guest_free(self->g);
}

/* ---- sizes and unknown ioctls ---------------------------------------------------- */

static const struct {
	const char *what;
	unsigned long cmd;
	uint32_t size;
} calls[] = {
	{ "DEV_ADD", VBE_IOC_GUEST_DEV_ADD, sizeof(struct vbe_guest_dev_add) },
	{ "DEV_DEL", VBE_IOC_GUEST_DEV_DEL, sizeof(struct vbe_guest_dev) },
	{ "DEV_INFO", VBE_IOC_GUEST_DEV_INFO, sizeof(struct vbe_guest_dev_info) },
	{ "MEM_ADD", VBE_IOC_GUEST_MEM_ADD, sizeof(struct vbe_guest_mem) },
	{ "MEM_DEL", VBE_IOC_GUEST_MEM_DEL, sizeof(struct vbe_guest_mem) },
	{ "ACCESS", VBE_IOC_GUEST_ACCESS, sizeof(struct vbe_guest_access) },
	{ "SET_FD", VBE_IOC_GUEST_SET_FD, sizeof(struct vbe_guest_set_fd) },
	{ "QUEUE_INFO", VBE_IOC_GUEST_QUEUE_INFO, sizeof(struct vbe_guest_queue_info) },
	{ "QUEUE_SET", VBE_IOC_GUEST_QUEUE_SET, sizeof(struct vbe_guest_queue_set) },
	{ "FEATURES", VBE_IOC_GUEST_FEATURES, sizeof(struct vbe_guest_features) },
	{ "STATUS", VBE_IOC_GUEST_STATUS, sizeof(struct vbe_guest_status) },
	{ "CONFIG", VBE_IOC_GUEST_CONFIG, sizeof(struct vbe_guest_config) },
	{ "INFLIGHT", VBE_IOC_GUEST_INFLIGHT, sizeof(struct vbe_guest_inflight) },
	{ "EOI", VBE_IOC_GUEST_EOI, sizeof(struct vbe_guest_dev) },
	{ "DIE", VBE_IOC_GUEST_DIE, sizeof(struct vbe_guest_dev) },
};

static int sized(int fd, unsigned long cmd, uint8_t *buf, uint32_t size)
{
	memcpy(buf, &size, sizeof(size));
	return xioctl(fd, cmd, buf);
}

TEST_F(gfd, sizes)
{
	uint8_t *buf = calloc(1, 2 * PAGE);
	uint32_t i, exact;
	int whole, longer;

	ASSERT_NE(NULL, buf);
	for (i = 0; i < ARRAY_LEN(calls); i++) {
		unsigned long cmd = calls[i].cmd;

		TH_LOG("%s", calls[i].what);
		exact = calls[i].size;
		memset(buf, 0, 2 * PAGE);
		EXPECT_WHY(self->g->fd, EINVAL, sized(self->g->fd, cmd, buf, 0));
		EXPECT_WHY(self->g->fd, EINVAL, sized(self->g->fd, cmd, buf, exact - 1));
		EXPECT_WHY(self->g->fd, E2BIG, sized(self->g->fd, cmd, buf, PAGE + 1));
		EXPECT_WHY(self->g->fd, E2BIG, sized(self->g->fd, cmd, buf, 0xffffffff));
		buf[exact] = 1;
		EXPECT_WHY(self->g->fd, E2BIG, sized(self->g->fd, cmd, buf, exact + 8));
		EXPECT_WHY(self->g->fd, EFAULT, xioctl(self->g->fd, cmd, NULL));
		EXPECT_WHY(self->g->fd, EFAULT, xioctl(self->g->fd, cmd, (void *)-4096UL));
		if (cmd == VBE_IOC_GUEST_DIE)
			continue;
		/* A longer one with a tail of zeroes is as good as the exact one: bad here. */
		memset(buf, 0, 2 * PAGE);
		buf[4] = 77;
		whole = sized(self->g->fd, cmd, buf, exact);
		memset(buf, 0, 2 * PAGE);
		buf[4] = 77;
		longer = sized(self->g->fd, cmd, buf, exact + 64);
		EXPECT_GT(0, whole);
		EXPECT_EQ(whole, longer);
	}
	free(buf);
}

static const unsigned long not_here[] = {
	VBE_IOC_INFO, VBE_IOC_DEV_OPEN, VBE_IOC_GUEST_NEW, VBE_IOC_DEV_INFO,
	VBE_IOC_DEV_SETUP, VBE_IOC_DEV_ONLINE, VBE_IOC_QUEUE_CALL, VBE_IOC_MEM_COPY,
	VBE_IOC_RAW_REGION, _IO(VBE_IOC_MAGIC, 0x50), _IO(VBE_IOC_MAGIC, 0x3f),
	_IO(VBE_IOC_MAGIC, 0xff), _IOWR(VBE_IOC_MAGIC, 0x42, int), _IO('T', 0x42),
};

/* A guest fd is no device fd, nor the other way round. */
TEST_F(gfd, unknown_ioctls)
{
	uint8_t buf[512] = { 0 };
	int ctl = vbe_open(), fd;
	uint32_t i;

	for (i = 0; i < ARRAY_LEN(not_here); i++) {
		EXPECT_EQ(-ENOTTY, sized(self->g->fd, not_here[i], buf, 512))
			TH_LOG("ioctl %#lx on a guest fd", not_here[i]);
		memset(buf, 0, sizeof(buf));
	}
	ASSERT_LE(0, guest_dev_add(self->g, NAME, "direct", 0));
	fd = dev_open(NAME);
	ASSERT_LE(0, fd);
	for (i = 0; i < ARRAY_LEN(calls); i++) {
		EXPECT_EQ(-ENOTTY, sized(ctl, calls[i].cmd, buf, calls[i].size))
			TH_LOG("%s on /dev/vbe", calls[i].what);
		EXPECT_EQ(-ENOTTY, sized(fd, calls[i].cmd, buf, calls[i].size))
			TH_LOG("%s on a device fd", calls[i].what);
	}
	EXPECT_EQ(-ENOTTY, xioctl(ctl, VBE_IOC_GUEST_KICK, NULL));
	EXPECT_EQ(-ENOTTY, xioctl(fd, VBE_IOC_GUEST_KICK, NULL));
	close(fd);
	close(ctl);
}

/* ---- GUEST_NEW ------------------------------------------------------------------- */

static int new_struct(int ctl, const char *name, size_t len, uint32_t flags, uint32_t reserved)
{
	struct vbe_guest_new n = { .size = sizeof(n), .flags = flags, .out_fd = -1,
				   .__reserved = reserved };
	int ret;

	memcpy(n.name, name, len);
	ret = xioctl(ctl, VBE_IOC_GUEST_NEW, &n);
	return ret < 0 ? ret : n.out_fd;
}

TEST(guest_new_bad)
{
	int ctl = vbe_open();

	ASSERT_LE(0, ctl);
	EXPECT_WHY(ctl, EINVAL, new_struct(ctl, "g", 2, 1, 0));
	EXPECT_WHY(ctl, EINVAL, new_struct(ctl, "g", 2, 1U << 31, 0));
	EXPECT_WHY(ctl, EINVAL, new_struct(ctl, "g", 2, 0, 1));
	EXPECT_WHY(ctl, EINVAL, new_struct(ctl, "", 1, 0, 0));
	EXPECT_WHY(ctl, EINVAL, new_struct(ctl, "a b", 4, 0, 0));
	EXPECT_WHY(ctl, EINVAL, new_struct(ctl, "a/b", 4, 0, 0));
	EXPECT_WHY(ctl, EINVAL, new_struct(ctl, "\xc3\xa4", 3, 0, 0));
	EXPECT_WHY(ctl, EINVAL, new_struct(ctl, "01234567890123456789012345678901", 32, 0, 0));
	close(ctl);
}

TEST(guest_new_good)
{
	int ctl = vbe_open(), a, b, c;

	ASSERT_LE(0, ctl);
	a = new_struct(ctl, "A-z_0.9:x", 10, 0, 0);
	b = new_struct(ctl, "A-z_0.9:x", 10, 0, 0);
	c = new_struct(ctl, "0123456789012345678901234567890", 32, 0, 0);
	EXPECT_LE(0, a);
	EXPECT_LE(0, b)
		TH_LOG("two guests may have the same name");
	EXPECT_LE(0, c);
	EXPECT_EQ(FD_CLOEXEC, fcntl(a, F_GETFD));
	close(a);
	close(b);
	close(c);
	/* It does not live from the fd that it was made by. */
	a = new_struct(ctl, "x", 2, 0, 0);
	close(ctl);
	EXPECT_EQ(0, guest_mem_add_fd(a, memfd_create("m", 0), 0, 0, 0, 0) >= 0);
	close(a);
}

/* ---- DEV_ADD and DEV_DEL --------------------------------------------------------- */

#define ADD_WHY(err, field) do {						\
	struct vbe_guest_dev_add __a = guest_dev_params(NAME, "direct", 0);	\
	field;									\
	EXPECT_WHY(self->g->fd, err, guest_dev_add_params(self->g, &__a));	\
} while (0)

TEST_F(gfd, dev_add_bad)
{
	ADD_WHY(EINVAL, __a.flags = 1);
	ADD_WHY(EINVAL, __a.name[0] = 0);
	ADD_WHY(EINVAL, __a.name[0] = '-');
	ADD_WHY(EINVAL, __a.name[0] = '.');
	ADD_WHY(EINVAL, __a.name[1] = '/');
	ADD_WHY(EINVAL, memset(__a.name, 'a', sizeof(__a.name)));
	ADD_WHY(EINVAL, memset(__a.transport, 'a', sizeof(__a.transport)));
	ADD_WHY(ENOENT, strcpy((char *)__a.transport, "isa"));
	ADD_WHY(ENOENT, strcpy((char *)__a.transport, "Direct"));
	ADD_WHY(EINVAL, __a.loss_policy = 3);
	ADD_WHY(EINVAL, __a.loss_policy = 0xfe);
	ADD_WHY(EINVAL, __a.reset_timeout_ms = 600001);
	ADD_WHY(EINVAL, __a.virtio_id = 0x10000);
	ADD_WHY(EINVAL, __a.base = PAGE);
	/* Nothing has stayed of all this. */
	EXPECT_DONE(guest_dev_add(self->g, NAME, "direct", 0));
}

TEST_F(gfd, dev_add_names)
{
	struct guest *other = guest_new(NAME "-other");
	struct dev_params loop = dev_defaults(NAME "-loop");

	ASSERT_NE(NULL, other);
	EXPECT_EQ(0, guest_dev_add(self->g, NAME, "direct", 0));
	EXPECT_WHY(self->g->fd, EEXIST, guest_dev_add(self->g, NAME, "direct", 0));
	EXPECT_WHY(other->fd, EEXIST, guest_dev_add(other, NAME, "direct", 0));
	EXPECT_WHY(other->fd, EEXIST, guest_dev_add(other, NAME, "mmio", REGS));
	loop.name = NAME;
	EXPECT_EXTACK(EEXIST, "name", dev_add(&loop));

	/* Freed by the guest that had it, it is there for the other one. */
	EXPECT_DONE(guest_dev_del(self->g, 0));
	EXPECT_EQ(0, guest_dev_add(other, NAME, "direct", 0));
	guest_free(other);
	EXPECT_EQ(0, guest_dev_add(self->g, NAME, "direct", 0));
}

TEST_F(gfd, dev_add_places)
{
	int dev;

	EXPECT_WHY(self->g->fd, EINVAL, guest_dev_add(self->g, NAME, "mmio", REGS + 1));
	EXPECT_WHY(self->g->fd, EINVAL, guest_dev_add(self->g, NAME, "mmio", REGS + 0x800));
	EXPECT_WHY(self->g->fd, EINVAL, guest_dev_add(self->g, NAME, "mmio", -1ULL));
	EXPECT_WHY(self->g->fd, EINVAL, guest_dev_add(self->g, NAME, "mmio", -PAGE + 1));
	dev = guest_dev_add(self->g, NAME, "mmio", REGS);
	EXPECT_LE(0, dev);
	EXPECT_WHY(self->g->fd, EEXIST, guest_dev_add(self->g, NAME "2", "mmio", REGS));
	EXPECT_DONE(guest_dev_add(self->g, NAME "2", "mmio", REGS + PAGE));
	EXPECT_DONE(guest_dev_add(self->g, NAME "3", "mmio", REGS - PAGE));

	EXPECT_WHY(self->g->fd, EINVAL, guest_dev_add(self->g, NAME "4", "pci", 1ULL << 32));
	EXPECT_WHY(self->g->fd, EINVAL, guest_dev_add(self->g, NAME "4", "raw", 1ULL << 32));
	EXPECT_DONE(guest_dev_add(self->g, NAME "4", "pci", BDF));
	EXPECT_WHY(self->g->fd, EEXIST, guest_dev_add(self->g, NAME "5", "pci", BDF));
	EXPECT_WHY(self->g->fd, EEXIST, guest_dev_add(self->g, NAME "5", "raw", BDF));
	EXPECT_DONE(guest_dev_add(self->g, NAME "5", "pci", 0xffffffff));
	/* Without a place, any number. */
	EXPECT_DONE(guest_dev_add(self->g, NAME "6", "raw", 0));
	EXPECT_DONE(guest_dev_add(self->g, NAME "7", "raw", 0));

	/* A place is free again at once. */
	EXPECT_DONE(guest_dev_del(self->g, dev));
	EXPECT_DONE(guest_dev_add(self->g, NAME, "mmio", REGS));
}

TEST_F(gfd, dev_add_limit)
{
	char name[32];
	int i;

	for (i = 0; i < VBE_GUEST_MAX_DEVICES; i++) {
		snprintf(name, sizeof(name), NAME ".%d", i);
		ASSERT_EQ(i, guest_dev_add(self->g, name, i & 1 ? "mmio" : "direct",
					   i & 1 ? REGS + i * PAGE : 0));
	}
	EXPECT_WHY(self->g->fd, ENOSPC, guest_dev_add(self->g, NAME, "direct", 0));
	/* The number is given out again. */
	EXPECT_DONE(guest_dev_del(self->g, 17));
	EXPECT_EQ(17, guest_dev_add(self->g, NAME, "direct", 0));
}

TEST_F(gfd, dev_numbers)
{
	struct vbe_guest_dev_info info;
	struct vbe_guest_queue_info q;
	static const uint32_t none[] = { 1, 63, 64, 65, 255, 65535, 0x10000, 0xffffffff };
	uint32_t i;

	ASSERT_EQ(0, guest_dev_add(self->g, NAME, "direct", 0));
	for (i = 0; i < ARRAY_LEN(none); i++) {
		uint32_t n = none[i];

		EXPECT_WHY(self->g->fd, ENOENT, guest_dev_info(self->g, n, &info));
		EXPECT_WHY(self->g->fd, ENOENT, guest_dev_del(self->g, n));
		EXPECT_WHY(self->g->fd, ENOENT, guest_eoi(self->g, n));
		EXPECT_WHY(self->g->fd, ENOENT, guest_status(self->g, n, 0));
		EXPECT_WHY(self->g->fd, ENOENT, guest_features(self->g, n, 0));
		EXPECT_WHY(self->g->fd, ENOENT, guest_queue_info(self->g, n, 0, &q));
		EXPECT_WHY(self->g->fd, ENOENT, guest_kick(self->g, n, 0));
		EXPECT_WHY(self->g->fd, ENOENT,
			   guest_set_fd(self->g, n, VBE_GUEST_FD_CONFIG, 0, -1));
	}
	EXPECT_DONE(guest_dev_del(self->g, 0));
	EXPECT_WHY(self->g->fd, ENOENT, guest_dev_info(self->g, 0, &info));
	EXPECT_WHY(self->g->fd, ENOENT, guest_dev_del(self->g, 0));
}

TEST_F(gfd, dev_info)
{
	struct vbe_guest_dev_add a = guest_dev_params(NAME, "pci", BDF);
	struct vbe_guest_dev_info info;
	int dev;

	a.virtio_id = BE_RNG;
	dev = guest_dev_add_params(self->g, &a);
	ASSERT_LE(0, dev);
	ASSERT_DONE(guest_dev_info(self->g, dev, &info));
	EXPECT_EQ(dev, (int)info.dev);
	EXPECT_EQ(VBE_DEV_EMPTY, info.state);
	EXPECT_EQ(0, info.flags);
	EXPECT_EQ(0, info.n_queues);

	self->be->setup_flags = VBE_SETUP_F_QUEUE_STOP;
	self->be->config_size = 24;
	ASSERT_EQ(0, be_up(self->be, NAME));
	ASSERT_DONE(guest_dev_info(self->g, dev, &info));
	EXPECT_EQ(VBE_DEV_ONLINE, info.state);
	EXPECT_EQ(VBE_GUEST_INFO_F_BACKEND | VBE_GUEST_INFO_F_QUEUE_STOP, info.flags);
	EXPECT_EQ(BE_RNG, info.virtio_id);
	EXPECT_EQ(1, info.n_queues);
	EXPECT_EQ(24, info.config_size);
	EXPECT_EQ(4096, info.inflight_size);
	EXPECT_EQ(0, info.status);
	EXPECT_LE(2, info.n_vectors);
	EXPECT_NE(0, info.features & 1ULL << VIRTIO_F_VERSION_1);
}

/* ---- who may --------------------------------------------------------------------- */

struct owner {
	uint32_t uid;
	uint32_t gid;
	int want;
};

static const struct owner owners[] = {
	{ VBE_GUEST_SAME_UID, VBE_GUEST_NO_GID, 0 },
	{ NOBODY, VBE_GUEST_NO_GID, 0 },
	{ NOBODY, NOBODY, 0 },
	{ 0, VBE_GUEST_NO_GID, -EPERM },
	{ 1, VBE_GUEST_NO_GID, -EPERM },
	{ VBE_GUEST_SAME_UID, 0, -EPERM },
	{ 0, 0, -EPERM },
};

/* In a process of its own: which step went wrong, 0 for none. */
static int as_nobody(int ctl, struct be *be)
{
	struct guest *g;
	uint32_t i;
	int fd, ret;

	drop_to_nobody();
	fd = new_struct(ctl, NAME "-nobody", 13, 0, 0);
	if (fd < 0)
		return 100;
	g = guest_take(fd);
	for (i = 0; i < ARRAY_LEN(owners); i++) {
		struct vbe_guest_dev_add a = guest_dev_params(NAME "-n", "direct", 0);

		a.uid = owners[i].uid;
		a.gid = owners[i].gid;
		ret = guest_dev_add_params(g, &a);
		if (owners[i].want ? ret != owners[i].want : ret < 0)
			return 10 + i;
		if (ret >= 0 && guest_dev_del(g, ret) < 0)
			return 20 + i;
	}
	/* Its FE is no kernel: any type may be served by the owner. */
	if (guest_dev_add(g, NAME "-n", "direct", 0) < 0)
		return 30;
	be->fd = -1;
	struct vbe_dev_open o = { .size = sizeof(o), .name = NAME "-n" };

	if (xioctl(ctl, VBE_IOC_DEV_OPEN, &o) < 0)
		return 31;
	if (be_take(be, o.out_fd) || be_setup(be) || be_online(be))
		return 32;
	be_drop(be);
	guest_free(g);
	return 0;
}

TEST_F(gfd, as_nobody)
{
	int ctl = vbe_open(), status;
	pid_t pid;

	ASSERT_LE(0, ctl);
	be_free(self->be);
	self->be = be_new(BE_BLK);
	be_make_disk(self->be, 1 << 20);
	pid = fork();
	if (!pid) {
		guest_close(self->g);
		_exit(as_nobody(ctl, self->be));
	}
	status = wait_child(pid, 20000);
	EXPECT_EQ(0, status)
		TH_LOG("step %d", WEXITSTATUS(status));
	close(ctl);
}

/* root gives a device to somebody, who can open it, and nobody else can. */
TEST_F(gfd, owner)
{
	struct vbe_guest_dev_add a = guest_dev_params(NAME, "direct", 0);
	int ctl = vbe_open(), status;
	pid_t pid;

	a.uid = NOBODY;
	ASSERT_LE(0, guest_dev_add_params(self->g, &a));
	ASSERT_LE(0, guest_dev_add(self->g, NAME "-root", "direct", 0));
	pid = fork();
	if (!pid) {
		struct vbe_dev_open o = { .size = sizeof(o), .name = NAME };
		struct vbe_dev_open r = { .size = sizeof(r), .name = NAME "-root" };

		drop_to_nobody();
		if (xioctl(ctl, VBE_IOC_DEV_OPEN, &o))
			_exit(1);
		_exit(xioctl(ctl, VBE_IOC_DEV_OPEN, &r) == -EACCES ? 0 : 2);
	}
	status = wait_child(pid, 10000);
	EXPECT_EQ(0, status);
	close(ctl);
}

/* ---- memory ---------------------------------------------------------------------- */

TEST_F(gfd, mem_bad)
{
	int fd = memfd_create("m", MFD_CLOEXEC), dir = open("/", O_RDONLY), gfd = self->g->fd;
	struct vbe_guest_mem m = { .size = sizeof(m), .fe_addr = RAM, .len = PAGE, .fd = fd,
				   .__reserved = 1 };

	ASSERT_EQ(0, ftruncate(fd, 16 * PAGE));
	EXPECT_WHY(gfd, EINVAL, xioctl(gfd, VBE_IOC_GUEST_MEM_ADD, &m));
	EXPECT_WHY(gfd, EINVAL, guest_mem_add_fd(gfd, fd, 0, RAM, PAGE, 2));
	EXPECT_WHY(gfd, EINVAL, guest_mem_add_fd(gfd, fd, 0, RAM, 0, 0));
	EXPECT_WHY(gfd, EINVAL, guest_mem_add_fd(gfd, fd, 0, RAM, PAGE / 2, 0));
	EXPECT_WHY(gfd, EINVAL, guest_mem_add_fd(gfd, fd, 0, RAM + 512, PAGE, 0));
	EXPECT_WHY(gfd, EINVAL, guest_mem_add_fd(gfd, fd, 512, RAM, PAGE, 0));
	EXPECT_WHY(gfd, EINVAL, guest_mem_add_fd(gfd, fd, 0, -PAGE, 2 * PAGE, 0));
	EXPECT_WHY(gfd, EINVAL, guest_mem_add_fd(gfd, fd, 0, RAM, -PAGE, 0));
	EXPECT_WHY(gfd, EINVAL, guest_mem_add_fd(gfd, fd, -PAGE, RAM, PAGE, 0));
	EXPECT_WHY(gfd, EINVAL, guest_mem_add_fd(gfd, fd, 0, VBE_MMAP_INFLIGHT, PAGE, 0));
	EXPECT_WHY(gfd, EBADF, guest_mem_add_fd(gfd, -1, 0, RAM, PAGE, 0));
	EXPECT_WHY(gfd, EBADF, guest_mem_add_fd(gfd, 9999, 0, RAM, PAGE, 0));
	EXPECT_WHY(gfd, ENODEV, guest_mem_add_fd(gfd, dir, 0, RAM, PAGE, 0));
	EXPECT_WHY(gfd, ENODEV, guest_mem_add_fd(gfd, gfd, 0, RAM, PAGE, 0));
	close(dir);
	close(fd);
}

TEST_F(gfd, mem_overlap)
{
	struct guest *g = self->g;

	ASSERT_DONE(guest_mem_add(g, RAM, 4 * PAGE, 0));
	EXPECT_WHY(g->fd, EEXIST, guest_mem_add(g, RAM, 4 * PAGE, 0));
	EXPECT_WHY(g->fd, EEXIST, guest_mem_add(g, RAM + PAGE, PAGE, 0));
	EXPECT_WHY(g->fd, EEXIST, guest_mem_add(g, RAM + 3 * PAGE, 2 * PAGE, 0));
	EXPECT_WHY(g->fd, EEXIST, guest_mem_add(g, RAM - PAGE, 2 * PAGE, 0));
	EXPECT_WHY(g->fd, EEXIST, guest_mem_add(g, RAM - PAGE, 6 * PAGE, 0));
	EXPECT_DONE(guest_mem_add(g, RAM + 4 * PAGE, PAGE, 0));
	EXPECT_DONE(guest_mem_add(g, RAM - PAGE, PAGE, 0));

	/* Whole or not at all. */
	EXPECT_WHY(g->fd, ENOENT, guest_mem_del(g, RAM, PAGE));
	EXPECT_WHY(g->fd, ENOENT, guest_mem_del(g, RAM + PAGE, 3 * PAGE));
	EXPECT_WHY(g->fd, ENOENT, guest_mem_del(g, RAM, 5 * PAGE));
	EXPECT_DONE(guest_mem_del(g, RAM, 4 * PAGE));
	EXPECT_WHY(g->fd, ENOENT, guest_mem_del(g, RAM, 4 * PAGE));
	EXPECT_DONE(guest_mem_add(g, RAM, 4 * PAGE, VBE_GUEST_MEM_F_READONLY));
}

TEST_F(gfd, mem_limit)
{
	int fd = memfd_create("m", MFD_CLOEXEC), i, gfd = self->g->fd;

	ASSERT_EQ(0, ftruncate(fd, PAGE));
	for (i = 0; i < VBE_GUEST_MAX_MEM; i++)
		ASSERT_DONE(guest_mem_add_fd(gfd, fd, 0, RAM + 2 * i * PAGE, PAGE, 0));
	EXPECT_WHY(gfd, ENOSPC, guest_mem_add_fd(gfd, fd, 0, RAM + PAGE, PAGE, 0));
	EXPECT_DONE(guest_mem_del(self->g, RAM, PAGE));
	EXPECT_DONE(guest_mem_add_fd(gfd, fd, 0, RAM + PAGE, PAGE, 0));
	close(fd);
}

TEST_F(gfd, mem_del_bad)
{
	struct vbe_guest_mem m = { .size = sizeof(m), .fe_addr = RAM, .len = PAGE, .fd = -1 };
	int gfd = self->g->fd;

	ASSERT_DONE(guest_mem_add(self->g, RAM, PAGE, 0));
	m.flags = VBE_GUEST_MEM_F_READONLY;
	EXPECT_WHY(gfd, EINVAL, xioctl(gfd, VBE_IOC_GUEST_MEM_DEL, &m));
	m.flags = 0;
	m.offset = PAGE;
	EXPECT_WHY(gfd, EINVAL, xioctl(gfd, VBE_IOC_GUEST_MEM_DEL, &m));
	m.offset = 0;
	m.fd = 0;
	EXPECT_WHY(gfd, EINVAL, xioctl(gfd, VBE_IOC_GUEST_MEM_DEL, &m));
	m.fd = -1;
	m.__reserved = 1;
	EXPECT_WHY(gfd, EINVAL, xioctl(gfd, VBE_IOC_GUEST_MEM_DEL, &m));
	m.__reserved = 0;
	EXPECT_DONE(xioctl(gfd, VBE_IOC_GUEST_MEM_DEL, &m));
}

/* A device sees memory that came before it, and that came after its backend. */
TEST_F(gfd, mem_is_windows)
{
	struct vbe_mem_query w = { .size = sizeof(w) };
	struct vbe_dev_info info;
	struct vbe_event ev;
	int fd;

	ASSERT_DONE(guest_mem_add(self->g, RAM, 4 * PAGE, 0));
	ASSERT_EQ(0, guest_dev_add(self->g, NAME, "direct", 0));
	fd = dev_open(NAME);
	ASSERT_LE(0, fd);
	ASSERT_DONE(xioctl(fd, VBE_IOC_MEM_QUERY, &w));
	EXPECT_EQ(RAM, w.fe_addr);
	EXPECT_EQ(4 * PAGE, w.len);
	EXPECT_EQ(0, w.flags);
	ASSERT_DONE(guest_mem_add(self->g, RAM + 8 * PAGE, PAGE, VBE_GUEST_MEM_F_READONLY));
	EXPECT_EQ(0, wait_event(fd, VBE_EVENT_MEM, &ev, COMES_MS));
	ASSERT_DONE(dev_info(fd, &info));
	EXPECT_EQ(2, info.n_windows);
	w.index = 1;
	ASSERT_DONE(xioctl(fd, VBE_IOC_MEM_QUERY, &w));
	EXPECT_EQ(RAM + 8 * PAGE, w.fe_addr);
	EXPECT_EQ(VBE_WINDOW_F_READONLY, w.flags);
	EXPECT_EQ(0, strcmp((char *)info.guest, NAME));
	EXPECT_EQ(0, strcmp((char *)info.provider, "user"));
	EXPECT_EQ(0, strcmp((char *)info.transport, "direct"));
	ASSERT_DONE(guest_mem_del(self->g, RAM, 4 * PAGE));
	EXPECT_EQ(0, wait_event(fd, VBE_EVENT_MEM, &ev, COMES_MS));
	ASSERT_DONE(dev_info(fd, &info));
	EXPECT_EQ(1, info.n_windows);
	close(fd);
}

/* ---- ACCESS ---------------------------------------------------------------------- */

TEST_F(gfd, access_bad)
{
	static const uint32_t lens[] = { 0, 3, 5, 7, 9, 16, 0x80000000, 0xffffffff };
	struct vbe_guest_access a = { .space = VBE_SPACE_MMIO, .len = 4, .addr = REGS };
	int gfd = self->g->fd;
	uint32_t i;

	ASSERT_EQ(0, guest_dev_add(self->g, NAME, "mmio", REGS));
	for (i = 0; i < ARRAY_LEN(lens); i++) {
		a.len = lens[i];
		EXPECT_WHY(gfd, EINVAL, guest_access_once(self->g, &a));
	}
	a.len = 4;
	a.flags = 1U << 3;
	EXPECT_WHY(gfd, EINVAL, guest_access_once(self->g, &a));
	a.flags = 0;
	a.space = 3;
	EXPECT_WHY(gfd, EINVAL, guest_access_once(self->g, &a));
	a.space = VBE_SPACE_PIO;
	EXPECT_WHY(gfd, ENOENT, guest_access_once(self->g, &a));
	a.space = VBE_SPACE_PCI;
	EXPECT_WHY(gfd, ENOENT, guest_access_once(self->g, &a));
	a.space = VBE_SPACE_MMIO;
	a.addr = REGS - 1;
	EXPECT_WHY(gfd, ENOENT, guest_access_once(self->g, &a));
	a.addr = REGS - 2;
	EXPECT_WHY(gfd, ENOENT, guest_access_once(self->g, &a));
	a.addr = REGS + PAGE - 2;
	EXPECT_WHY(gfd, ENOENT, guest_access_once(self->g, &a));
	a.addr = REGS + PAGE;
	EXPECT_WHY(gfd, ENOENT, guest_access_once(self->g, &a));
	a.addr = -2ULL;
	EXPECT_WHY(gfd, ENOENT, guest_access_once(self->g, &a));
	a.addr = REGS;
	EXPECT_DONE(guest_access_once(self->g, &a));
	EXPECT_EQ(0x74726976, a.data);
	/* The last bytes of the region are its own. */
	a.addr = REGS + PAGE - 4;
	EXPECT_DONE(guest_access_once(self->g, &a));
}

TEST_F(gfd, access_says_events)
{
	struct vbe_guest_access a = { .space = VBE_SPACE_MMIO, .len = 4, .addr = REGS };

	ASSERT_EQ(0, guest_dev_add(self->g, NAME, "mmio", REGS));
	guest_drop_events(self->g);
	ASSERT_DONE(guest_access_once(self->g, &a));
	EXPECT_EQ(0, a.flags);
	ASSERT_EQ(0, be_attach(self->be, NAME));
	a.flags = 0;
	ASSERT_DONE(guest_access_once(self->g, &a));
	EXPECT_EQ(VBE_ACCESS_F_EVENTS, a.flags);
	guest_drop_events(self->g);
	a.flags = 0;
	ASSERT_DONE(guest_access_once(self->g, &a));
	EXPECT_EQ(0, a.flags);
}

/* ---- SET_FD ---------------------------------------------------------------------- */

TEST_F(gfd, set_fd_bad)
{
	struct vbe_guest_set_fd s = { .size = sizeof(s), .type = VBE_GUEST_FD_CONFIG, .fd = -1,
				      .flags = 1 };
	int ev = guest_eventfd(), gfd = self->g->fd, pipes[2];
	struct guest *g = self->g;
	uint32_t type;

	ASSERT_EQ(0, pipe(pipes));
	ASSERT_EQ(0, guest_dev_add(g, NAME, "direct", 0));
	EXPECT_WHY(gfd, EINVAL, xioctl(gfd, VBE_IOC_GUEST_SET_FD, &s));
	EXPECT_WHY(gfd, EINVAL, guest_set_fd(g, 0, 6, 0, ev));
	EXPECT_WHY(gfd, EINVAL, guest_set_fd(g, 0, 0xffffffff, 0, -1));
	for (type = VBE_GUEST_FD_KICK; type <= VBE_GUEST_FD_MSI; type++) {
		EXPECT_WHY(gfd, EINVAL, guest_set_fd(g, 0, type, 0, pipes[1]));
		EXPECT_WHY(gfd, EINVAL, guest_set_fd(g, 0, type, 0, gfd));
		EXPECT_WHY(gfd, EBADF, guest_set_fd(g, 0, type, 0, 9999));
		EXPECT_WHY(gfd, EBADF, guest_set_fd(g, 0, type, 0, -2));
		EXPECT_WHY(gfd, EINVAL, guest_set_fd(g, 0, type, 257, ev));
		EXPECT_WHY(gfd, EINVAL, guest_set_fd(g, 0, type, 0x80000000, -1));
	}
	EXPECT_WHY(gfd, EINVAL, guest_set_fd(g, 0, VBE_GUEST_FD_KICK, 256, ev));
	EXPECT_WHY(gfd, EINVAL, guest_set_fd(g, 0, VBE_GUEST_FD_CALL, 256, ev));
	EXPECT_WHY(gfd, EINVAL, guest_set_fd(g, 0, VBE_GUEST_FD_LINE, 1, ev));
	EXPECT_WHY(gfd, EINVAL, guest_set_fd(g, 0, VBE_GUEST_FD_CONFIG, 1, ev));
	EXPECT_WHY(gfd, EINVAL, guest_set_fd(g, 0, VBE_GUEST_FD_RESAMPLE, 1, ev));
	/* A line that raises itself. */
	EXPECT_DONE(guest_set_fd(g, 0, VBE_GUEST_FD_LINE, 0, ev));
	EXPECT_WHY(gfd, EINVAL, guest_set_fd(g, 0, VBE_GUEST_FD_RESAMPLE, 0, ev));
	EXPECT_DONE(guest_set_fd(g, 0, VBE_GUEST_FD_LINE, 0, -1));
	EXPECT_DONE(guest_set_fd(g, 0, VBE_GUEST_FD_RESAMPLE, 0, ev));
	EXPECT_WHY(gfd, EINVAL, guest_set_fd(g, 0, VBE_GUEST_FD_LINE, 0, ev));
	EXPECT_DONE(guest_set_fd(g, 0, VBE_GUEST_FD_RESAMPLE, 0, -1));
	EXPECT_DONE(guest_set_fd(g, 0, VBE_GUEST_FD_KICK, 255, ev));
	EXPECT_DONE(guest_set_fd(g, 0, VBE_GUEST_FD_CALL, 255, ev));
	EXPECT_DONE(guest_set_fd(g, 0, VBE_GUEST_FD_MSI, 256, ev));
	close(pipes[0]);
	close(pipes[1]);
	close(ev);
}

/* Any type, before there is a backend, again, and back: no reference is left. */
TEST_F(gfd, set_fd_any_time)
{
	int ev = guest_eventfd(), other = guest_eventfd();
	uint32_t type;

	ASSERT_EQ(0, guest_dev_add(self->g, NAME, "direct", 0));
	for (type = VBE_GUEST_FD_KICK; type <= VBE_GUEST_FD_MSI; type++) {
		EXPECT_DONE(guest_set_fd(self->g, 0, type, 0, -1));
		EXPECT_DONE(guest_set_fd(self->g, 0, type, 0, ev));
		EXPECT_DONE(guest_set_fd(self->g, 0, type, 0, ev));
		EXPECT_DONE(guest_set_fd(self->g, 0, type, 0, other));
		EXPECT_DONE(guest_set_fd(self->g, 0, type, 0, -1));
		/* RESAMPLE may not have the one of LINE. */
		if (type != VBE_GUEST_FD_LINE)
			EXPECT_DONE(guest_set_fd(self->g, 0, type, 0, ev));
	}
	close(ev);
	close(other);
}

/* ---- the direct calls ------------------------------------------------------------ */

TEST_F(gfd, direct_only)
{
	static const char *const others[] = { "mmio", "pci", "raw" };
	struct guest *g = self->g;
	uint8_t buf[8];
	uint32_t i;

	for (i = 0; i < ARRAY_LEN(others); i++) {
		int dev = guest_dev_add(g, others[i], others[i], i ? BDF + 8 * i : REGS);

		ASSERT_LE(0, dev);
		EXPECT_WHY(g->fd, EOPNOTSUPP, guest_status(g, dev, 0));
		EXPECT_WHY(g->fd, EOPNOTSUPP, guest_features(g, dev, 0));
		EXPECT_WHY(g->fd, EOPNOTSUPP, guest_kick(g, dev, 0));
		EXPECT_WHY(g->fd, EOPNOTSUPP, guest_queue_set(g, dev, 0, 1, RAM, RAM, RAM));
		EXPECT_WHY(g->fd, EOPNOTSUPP, guest_queue_stop(g, dev, 0, NULL));
		EXPECT_WHY(g->fd, EOPNOTSUPP, guest_config_read(g, dev, 0, buf, 1, NULL));
		EXPECT_WHY(g->fd, EOPNOTSUPP, guest_config_write(g, dev, 0, buf, 1));
	}
}

TEST_F(gfd, direct_before_backend)
{
	struct guest *g = self->g;
	uint8_t buf[8];

	ASSERT_EQ(0, guest_dev_add(g, NAME, "direct", 0));
	EXPECT_WHY(g->fd, ENOTCONN, guest_status(g, 0, 1));
	EXPECT_WHY(g->fd, ENOTCONN, guest_features(g, 0, 0));
	EXPECT_WHY(g->fd, ENOTCONN, guest_kick(g, 0, 0));
	EXPECT_WHY(g->fd, ENOTCONN, guest_config_read(g, 0, 0, buf, 1, NULL));
	EXPECT_WHY(g->fd, ENOTCONN, guest_queue_set(g, 0, 0, 1, RAM, RAM, RAM));
}

static void direct_up(struct __test_metadata *_metadata, struct _test_data_gfd *self)
{
	ASSERT_DONE(guest_mem_add(self->g, RAM, 16 * PAGE, 0));
	ASSERT_EQ(0, guest_dev_add(self->g, NAME, "direct", 0));
	self->be->config_size = 16;
	ASSERT_EQ(0, be_up(self->be, NAME));
}

TEST_F(gfd, direct_status_bad)
{
	struct vbe_guest_status s = { .size = sizeof(s), .__reserved = 1 };
	struct guest *g = self->g;

	direct_up(_metadata, self);
	EXPECT_WHY(g->fd, EINVAL, guest_status(g, 0, 0x100));
	EXPECT_WHY(g->fd, EINVAL, xioctl(g->fd, VBE_IOC_GUEST_STATUS, &s));
	EXPECT_EQ(1, guest_status(g, 0, VIRTIO_CONFIG_S_ACKNOWLEDGE));
	/* DRIVER_OK before FEATURES_OK, and bits that go without a reset. */
	EXPECT_WHY(g->fd, EINVAL, guest_status(g, 0, 1 | VIRTIO_CONFIG_S_DRIVER_OK));
	EXPECT_EQ(3, guest_status(g, 0, 3));
	EXPECT_WHY(g->fd, EINVAL, guest_status(g, 0, 1));
	EXPECT_DONE(guest_features(g, 0, 1ULL << VIRTIO_F_VERSION_1));
	EXPECT_EQ(11, guest_status(g, 0, 11));
	/* Settled. */
	EXPECT_GT(0, guest_features(g, 0, 0));
	EXPECT_EQ(0, guest_status(g, 0, 0));
}

/* What was not offered, and VERSION_1 left out. */
TEST_F(gfd, direct_features_bad)
{
	struct guest *g = self->g;

	direct_up(_metadata, self);
	ASSERT_EQ(3, guest_status(g, 0, 3));
	EXPECT_DONE(guest_features(g, 0, 1ULL << VIRTIO_F_VERSION_1 | 1));
	EXPECT_EQ(3, guest_status(g, 0, 11));
	EXPECT_DONE(guest_features(g, 0, 0));
	EXPECT_EQ(3, guest_status(g, 0, 11));
	EXPECT_DONE(guest_features(g, 0, ~0ULL));
	EXPECT_EQ(3, guest_status(g, 0, 11));
	EXPECT_DONE(guest_features(g, 0, 1ULL << VIRTIO_F_VERSION_1));
	EXPECT_EQ(11, guest_status(g, 0, 11));
}

TEST_F(gfd, direct_queue_bad)
{
	struct guest *g = self->g;
	uint64_t d = RAM, a = RAM + PAGE, u = RAM + 2 * PAGE;

	direct_up(_metadata, self);
	EXPECT_WHY(g->fd, EINVAL, guest_queue_set(g, 0, 0, 64, d, a, u));
	ASSERT_EQ(3, guest_status(g, 0, 3));
	ASSERT_DONE(guest_features(g, 0, 1ULL << VIRTIO_F_VERSION_1));
	ASSERT_EQ(11, guest_status(g, 0, 11));
	EXPECT_WHY(g->fd, ENOENT, guest_queue_set(g, 0, 1, 64, d, a, u));
	EXPECT_WHY(g->fd, ENOENT, guest_queue_set(g, 0, 0xffffffff, 64, d, a, u));
	EXPECT_WHY(g->fd, EINVAL, guest_queue_set(g, 0, 0, 0, d, a, u));
	EXPECT_WHY(g->fd, EINVAL, guest_queue_set(g, 0, 0, 63, d, a, u));
	EXPECT_WHY(g->fd, EINVAL, guest_queue_set(g, 0, 0, 256, d, a, u));
	EXPECT_WHY(g->fd, EFAULT, guest_queue_set(g, 0, 0, 64, d + 8, a, u));
	EXPECT_WHY(g->fd, EFAULT, guest_queue_set(g, 0, 0, 64, d, a + 1, u));
	EXPECT_WHY(g->fd, EFAULT, guest_queue_set(g, 0, 0, 64, d, a, u + 2));
	EXPECT_WHY(g->fd, EFAULT, guest_queue_set(g, 0, 0, 64, RAM - PAGE, a, u));
	EXPECT_WHY(g->fd, EFAULT, guest_queue_set(g, 0, 0, 64, d, -PAGE, u));
	EXPECT_WHY(g->fd, EFAULT, guest_queue_set(g, 0, 0, 64, d, a, RAM + 16 * PAGE - 16));
	EXPECT_WHY(g->fd, EFAULT, guest_queue_set(g, 0, 0, 64, 0, 0, 0));
	EXPECT_DONE(guest_queue_set(g, 0, 0, 64, d, a, u));
	EXPECT_WHY(g->fd, EBUSY, guest_queue_set(g, 0, 0, 64, d, a, u));
	/* This backend has not said that it can. */
	EXPECT_WHY(g->fd, EOPNOTSUPP, guest_queue_stop(g, 0, 0, NULL));
	EXPECT_WHY(g->fd, ENOENT, guest_queue_stop(g, 0, 1, NULL));
	EXPECT_WHY(g->fd, ENOENT, guest_kick(g, 0, 1));
	EXPECT_DONE(guest_kick(g, 0, 0));
}

TEST_F(gfd, direct_queue_flags)
{
	struct vbe_guest_queue_set q = { .size = sizeof(q), .flags = 4 };
	struct vbe_guest_queue_info info;
	struct guest *g = self->g;

	direct_up(_metadata, self);
	EXPECT_WHY(g->fd, EINVAL, xioctl(g->fd, VBE_IOC_GUEST_QUEUE_SET, &q));
	EXPECT_WHY(g->fd, ENOENT, guest_queue_info(g, 0, 1, &info));
	EXPECT_DONE(guest_queue_info(g, 0, 0, &info));
	EXPECT_EQ(128, info.max_size);
	EXPECT_EQ(0, info.num);
	EXPECT_EQ(0, info.flags);
	EXPECT_EQ(0, info.notify_addr);
	EXPECT_EQ(VBE_NO_QUEUE, info.vector);
}

TEST_F(gfd, direct_config)
{
	uint8_t in[32], out[16] = "0123456789abcdef";
	struct guest *g = self->g;
	struct vbe_guest_config c = { .size = sizeof(c), .len = 1, .flags = 2,
				      .buf = (uintptr_t)in };
	uint32_t gen = 77, then;
	int gfd = g->fd;

	direct_up(_metadata, self);
	EXPECT_WHY(gfd, EINVAL, xioctl(gfd, VBE_IOC_GUEST_CONFIG, &c));
	EXPECT_WHY(gfd, EINVAL, guest_config_read(g, 0, 0, in, 17, NULL));
	EXPECT_WHY(gfd, EINVAL, guest_config_read(g, 0, 16, in, 1, NULL));
	EXPECT_WHY(gfd, EINVAL, guest_config_read(g, 0, 0xffffffff, in, 2, NULL));
	EXPECT_WHY(gfd, EINVAL, guest_config_read(g, 0, 1, in, 0xffffffff, NULL));
	EXPECT_WHY(gfd, EINVAL, guest_config_write(g, 0, 1, out, 16));
	EXPECT_WHY(gfd, EFAULT, guest_config_write(g, 0, 0, (void *)8, 16));
	EXPECT_WHY(gfd, EFAULT, guest_config_read(g, 0, 0, (void *)8, 16, NULL));
	EXPECT_DONE(guest_config_read(g, 0, 0, in, 16, &gen));
	EXPECT_DONE(guest_config_write(g, 0, 0, out, 16));
	EXPECT_DONE(guest_config_read(g, 0, 4, in, 12, &then));
	EXPECT_EQ(0, memcmp(in, out + 4, 12));
	EXPECT_EQ(gen, then)
		TH_LOG("the generation counts changes by the device only");
	EXPECT_TRUE(be_wait_event(self->be, VBE_EVENT_CONFIG, 1, COMES_MS));
}

TEST_F(gfd, inflight_bad)
{
	int fd = memfd_create("inflight", MFD_CLOEXEC), gfd = self->g->fd;
	struct guest *g = self->g;

	ASSERT_EQ(0, ftruncate(fd, 4 * PAGE));
	ASSERT_EQ(0, guest_dev_add(g, NAME, "direct", 0));
	EXPECT_WHY(gfd, ENOTCONN, guest_inflight(g, 0, fd, 0, PAGE, 0));
	ASSERT_EQ(0, be_up(self->be, NAME));
	EXPECT_WHY(gfd, EINVAL, guest_inflight(g, 0, fd, 0, PAGE, 2));
	EXPECT_WHY(gfd, EINVAL, guest_inflight(g, 0, fd, 0, 2 * PAGE, 0));
	EXPECT_WHY(gfd, EINVAL, guest_inflight(g, 0, fd, 512, PAGE, 0));
	EXPECT_WHY(gfd, EINVAL, guest_inflight(g, 0, fd, 0, 0, 0));
	EXPECT_WHY(gfd, EBADF, guest_inflight(g, 0, 9999, 0, PAGE, 0));
	EXPECT_DONE(guest_inflight(g, 0, fd, PAGE, PAGE, 0));
	ASSERT_EQ(1, guest_status(g, 0, 1));
	EXPECT_WHY(gfd, EBUSY, guest_inflight(g, 0, fd, 0, PAGE, 0));
	close(fd);
}

/* ---- reading events -------------------------------------------------------------- */

static void *late_event(void *arg)
{
	sleep_ms(200);
	guest_dev_del(arg, 0);
	guest_dev_add(arg, NAME "-late", "mmio", REGS);
	return NULL;
}

TEST_F(gfd, read)
{
	void *volatile nowhere = (void *)8;
	struct vbe_guest_event ev[3];
	struct pollfd p = { .fd = self->g->fd, .events = POLLIN };
	pthread_t t;

	EXPECT_EQ(-1, read(self->g->fd, ev, sizeof(ev[0])));
	EXPECT_EQ(EAGAIN, errno);
	EXPECT_EQ(-1, read(self->g->fd, ev, sizeof(ev[0]) - 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, write(self->g->fd, ev, sizeof(ev[0])));
	EXPECT_EQ(0, poll(&p, 1, 0));

	/* An event that did not reach the reader stays. */
	ASSERT_EQ(0, guest_dev_add(self->g, NAME, "direct", 0));
	ASSERT_EQ(0, be_up(self->be, NAME));
	EXPECT_EQ(1, poll(&p, 1, COMES_MS));
	EXPECT_EQ(-1, read(self->g->fd, nowhere, sizeof(ev[0])));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ((ssize_t)sizeof(ev[0]), read(self->g->fd, ev, sizeof(ev)));
	EXPECT_EQ(VBE_GUEST_EVENT_STATE, ev[0].type);
	EXPECT_EQ(0, ev[0].dev);
	EXPECT_EQ(VBE_DEV_ONLINE, ev[0].data[0]);
	EXPECT_EQ(0, poll(&p, 1, 0));

	/* Blocking: until something happens. */
	ASSERT_EQ(0, fcntl(self->g->fd, F_SETFL, 0));
	ASSERT_EQ(0, pthread_create(&t, NULL, late_event, self->g));
	EXPECT_LT(0, read(self->g->fd, ev, sizeof(ev)));
	pthread_join(t, NULL);
}

/* As many whole records as fit. */
TEST_F(gfd, read_many)
{
	struct vbe_guest_event ev[4];
	uint32_t i, seen = 0;
	char name[16];
	ssize_t n;

	for (i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), NAME ".%d", i);
		ASSERT_EQ((int)i, guest_dev_add(self->g, name, "mmio", REGS + i * PAGE));
	}
	while ((n = read(self->g->fd, ev, sizeof(ev) - 1)) > 0) {
		EXPECT_EQ(0, n % (ssize_t)sizeof(ev[0]));
		EXPECT_GE(3, n / (ssize_t)sizeof(ev[0]));
		for (i = 0; i < n / sizeof(ev[0]); i++) {
			if (ev[i].type != VBE_GUEST_EVENT_REGION)
				continue;
			seen++;
			EXPECT_EQ(REGS + ev[i].dev * PAGE, ev[i].data[0]);
			EXPECT_EQ(PAGE, ev[i].data[1]);
			EXPECT_EQ(VBE_SPACE_MMIO, ev[i].data[2]);
		}
	}
	EXPECT_EQ(EAGAIN, errno);
	EXPECT_EQ(20, seen)
		TH_LOG("each mmio device tells once where its registers are");
}

/* ---- netlink and death ----------------------------------------------------------- */

TEST_F(gfd, netlink_add_refused)
{
	struct dev_params p = dev_defaults(NAME);

	p.provider = "user";
	EXPECT_EXTACK(EOPNOTSUPP, "VMM", dev_add(&p));
	EXPECT_DONE(guest_dev_add(self->g, NAME, "direct", 0));
}

TEST_F(gfd, netlink_del)
{
	struct vbe_guest_dev_info info;
	struct vbe_guest_event ev;
	struct guest *g = self->g;
	uint64_t data = 0;

	ASSERT_EQ(0, guest_dev_add(g, NAME, "mmio", REGS));
	ASSERT_EQ(1, guest_dev_add(g, NAME "2", "direct", 0));
	guest_drop_events(g);
	EXPECT_EQ(0, dev_del(NAME));
	EXPECT_EQ(0, guest_wait_event(g, VBE_GUEST_EVENT_GONE, 0, &ev, COMES_MS));
	/* The number stays the VMM's until it gives it back. */
	EXPECT_WHY(g->fd, ENODEV, guest_dev_info(g, 0, &info));
	EXPECT_WHY(g->fd, ENODEV, guest_eoi(g, 0));
	EXPECT_WHY(g->fd, ENODEV, guest_set_fd(g, 0, VBE_GUEST_FD_LINE, 0, -1));
	EXPECT_WHY(g->fd, ENOENT, guest_access(g, VBE_SPACE_MMIO, REGS, 4, false, &data));
	EXPECT_DONE(guest_dev_info(g, 1, &info));
	EXPECT_DONE(guest_dev_add(g, NAME, "mmio", REGS));
	EXPECT_DONE(guest_dev_del(g, 0));
	EXPECT_WHY(g->fd, ENOENT, guest_dev_info(g, 0, &info));
}

TEST_F(gfd, die)
{
	struct vbe_guest_dev d = { .size = sizeof(d), .dev = 1 };
	struct vbe_guest_event ev[64];
	struct vbe_guest_dev_info info;
	int fd = memfd_create("m", 0), gfd = self->g->fd;
	struct pollfd pfd = { .fd = gfd, .events = POLLIN };
	struct guest *g = self->g;
	uint64_t data = 0;
	ssize_t n;

	ASSERT_EQ(0, ftruncate(fd, PAGE));
	ASSERT_EQ(0, guest_dev_add(g, NAME, "mmio", REGS));
	EXPECT_WHY(gfd, EINVAL, xioctl(gfd, VBE_IOC_GUEST_DIE, &d));
	EXPECT_LE(0, poll(&pfd, 1, 0));
	EXPECT_FALSE(pfd.revents & POLLHUP);
	EXPECT_DONE(guest_die(g));
	EXPECT_EQ(1, poll(&pfd, 1, 0));
	EXPECT_TRUE(pfd.revents & POLLHUP);
	EXPECT_WHY(gfd, ENODEV, guest_dev_add(g, NAME, "direct", 0));
	EXPECT_WHY(gfd, ENODEV, guest_access(g, VBE_SPACE_MMIO, REGS, 4, false, &data));
	EXPECT_WHY(gfd, ENODEV, guest_mem_add_fd(gfd, fd, 0, RAM, PAGE, 0));
	EXPECT_GT(0, guest_dev_info(g, 0, &info));
	EXPECT_DONE(guest_die(g));
	while ((n = read(gfd, ev, sizeof(ev))) > 0)
		;
	EXPECT_EQ(0, n);
	EXPECT_EQ(-ENOENT, dev_open(NAME));
	close(fd);
}

TEST_F(gfd, fdinfo)
{
	char path[64], text[1024];

	ASSERT_EQ(0, guest_dev_add(self->g, NAME "-fdi", "direct", 0));
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", self->g->fd);
	ASSERT_LT(0, read_text(path, text, sizeof(text)));
	EXPECT_NE(NULL, strstr(text, NAME));
	EXPECT_NE(NULL, strstr(text, NAME "-fdi"));
}

TEST_HARNESS_MAIN
