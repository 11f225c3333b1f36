// SPDX-License-Identifier: GPL-2.0
/*
 * Every ioctl of /dev/vbe and of a device fd with good and bad arguments: the
 * errno ladder, sizes, flags, reserved fields, ranges, states.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/virtio_config.h>

#include "kselftest_harness.h"

#include "check.h"
#include "dev.h"

#define NAME		"kst-ioctl"
#define CONFIG_SIZE	64
#define NO_DRIVER_ID	0x3f	/* a virtio id for which this kernel has no driver */

/* The layout is the same for 32- and 64-bit callers, and part of the ABI. */
_Static_assert(sizeof(struct vbe_event) == 64, "vbe_event");
_Static_assert(sizeof(struct vbe_info) == 32, "vbe_info");
_Static_assert(sizeof(struct vbe_dev_open) == 48, "vbe_dev_open");
_Static_assert(sizeof(struct vbe_error_text) == 168, "vbe_error_text");
_Static_assert(sizeof(struct vbe_dev_info) == 216, "vbe_dev_info");
_Static_assert(sizeof(struct vbe_dev_setup) == 56, "vbe_dev_setup");
_Static_assert(sizeof(struct vbe_dev_online) == 8, "vbe_dev_online");
_Static_assert(sizeof(struct vbe_config_rw) == 24, "vbe_config_rw");
_Static_assert(sizeof(struct vbe_queue_info) == 48, "vbe_queue_info");
_Static_assert(sizeof(struct vbe_queue_fds) == 24, "vbe_queue_fds");
_Static_assert(sizeof(struct vbe_complete) == 24, "vbe_complete");
_Static_assert(sizeof(struct vbe_mem_query) == 40, "vbe_mem_query");
_Static_assert(sizeof(struct vbe_mem_range) == 16, "vbe_mem_range");
_Static_assert(sizeof(struct vbe_mem_map) == 24, "vbe_mem_map");
_Static_assert(sizeof(struct vbe_copy_entry) == 24, "vbe_copy_entry");
_Static_assert(sizeof(struct vbe_mem_copy) == 24, "vbe_mem_copy");
_Static_assert(sizeof(struct vbe_mem_fd) == 16, "vbe_mem_fd");
_Static_assert(sizeof(struct vbe_dev_param) == 48, "vbe_dev_param");

static int open_struct(int ctl, const char *name, size_t len, uint32_t flags,
		       uint32_t reserved)
{
	struct vbe_dev_open o = { .size = sizeof(o), .flags = flags, .out_fd = -1,
				  .__reserved = reserved };
	int ret;

	memcpy(o.name, name, len);
	ret = xioctl(ctl, VBE_IOC_DEV_OPEN, &o);
	return ret < 0 ? ret : o.out_fd;
}

static int config_rw(int fd, unsigned long cmd, uint32_t offset, uint32_t len, void *buf,
		     uint32_t flags)
{
	struct vbe_config_rw c = { .size = sizeof(c), .offset = offset, .len = len,
				   .flags = flags, .buf = (uintptr_t)buf };

	return xioctl(fd, cmd, &c);
}

FIXTURE(ioctl)
{
	int ctl;
	int fd;
	struct good_setup *g;
};

FIXTURE_SETUP(ioctl)
{
	struct dev_params p = dev_defaults(NAME);

	p.reset_ms = 500;
	ASSERT_EQ(0, dev_fresh(&p))
		TH_LOG("cannot make a loop device: %s", dev_text);
	self->ctl = vbe_open();
	ASSERT_LE(0, self->ctl);
	self->fd = dev_open(NAME);
	ASSERT_LE(0, self->fd)
		TH_LOG("DEV_OPEN: %s", strerror(-self->fd));
	self->g = calloc(1, sizeof(*self->g));
	ASSERT_NE(NULL, self->g);
	good_setup(self->g);
	self->g->s.virtio_id = NO_DRIVER_ID;
	self->g->s.config_size = CONFIG_SIZE;
	self->g->s.n_queues = 2;
	self->g->sizes[1] = 256;
}

FIXTURE_TEARDOWN(ioctl)
{
	close(self->fd);
	close(self->ctl);
	free(self->g);
	EXPECT_EQ(0, dev_del(NAME))
		TH_LOG("dev del: %s", dev_text);
}

/* ---- sizes of all structs ------------------------------------------------------ */

/*
 * An argument which, when its size is right, gives @want however often. It was @min bytes at
 * first.
 */
struct size_case {
	const char *what;
	unsigned long cmd;
	bool control;
	uint32_t size;
	uint32_t min;
	int want;
	uint8_t arg[256];
};

static void size_arg(struct size_case *c, const char *what, unsigned long cmd, uint32_t size,
		     int want)
{
	memset(c, 0, sizeof(*c));
	c->what = what;
	c->cmd = cmd;
	c->size = size;
	c->min = size;
	c->want = want;
}

/* The kernel said EINVAL because of the size, and not for another reason. */
static bool about_size(int fd)
{
	char text[VBE_ERROR_TEXT_MAX];

	return error_text(fd, text, sizeof(text)) == EINVAL && strstr(text, "size field");
}

static int with_size(int fd, const struct size_case *c, uint32_t size, uint8_t tail_byte,
		     uint8_t *buf)
{
	int ret;

	memset(buf, 0, 8192);
	memcpy(buf, c->arg, c->size);
	if (size > c->size && size <= 8192)
		buf[size - 1] = tail_byte;
	memcpy(buf, &size, sizeof(size));
	ret = xioctl(fd, c->cmd, buf);
	if (ret == 0 && c->cmd == VBE_IOC_MEM_FD) {
		struct vbe_mem_fd m;

		memcpy(&m, buf, sizeof(m));
		close(m.out_fd);
	}
	return ret;
}

static void check_sizes(struct __test_metadata *_metadata, int fd, struct size_case *c)
{
	static uint8_t buf[8192] __attribute__((aligned(4096)));
	uint32_t small[] = { 0, 1, 4, 7, c->min - 1 }, i;
	long page = sysconf(_SC_PAGESIZE);
	uint8_t *edge;
	int ret;

	for (i = 0; i < ARRAY_LEN(small); i++) {
		EXPECT_EQ(-EINVAL, with_size(fd, c, small[i], 0, buf))
			TH_LOG("%s with size %u", c->what, small[i]);
		EXPECT_TRUE(about_size(fd))
			TH_LOG("%s with size %u: error text is not about it", c->what, small[i]);
	}
	EXPECT_EQ(c->want, with_size(fd, c, c->min, 0, buf))
		TH_LOG("%s with its first size", c->what);
	EXPECT_EQ(c->want, with_size(fd, c, c->size, 0, buf))
		TH_LOG("%s with its size", c->what);
	EXPECT_FALSE(c->want == -EINVAL && about_size(fd))
		TH_LOG("%s: its own size is refused", c->what);
	EXPECT_EQ(c->want, with_size(fd, c, c->size + 8, 0, buf))
		TH_LOG("%s with 8 bytes of zero tail", c->what);
	EXPECT_EQ(c->want, with_size(fd, c, 4096, 0, buf))
		TH_LOG("%s with a page of zero tail", c->what);
	EXPECT_EQ(-E2BIG, with_size(fd, c, c->size + 1, 1, buf))
		TH_LOG("%s with a non-zero tail of 1", c->what);
	EXPECT_EQ(-E2BIG, with_size(fd, c, 4096, 0x80, buf))
		TH_LOG("%s with the last of 4096 bytes set", c->what);

	ret = with_size(fd, c, 0xffffffff, 0, buf);
	EXPECT_TRUE(ret == -E2BIG || ret == -EFAULT)
		TH_LOG("%s with size 2^32-1: %d", c->what, ret);

	EXPECT_EQ(-EFAULT, xioctl(fd, c->cmd, NULL))
		TH_LOG("%s with NULL", c->what);
	EXPECT_EQ(-EFAULT, xioctl(fd, c->cmd, (void *)-4096UL))
		TH_LOG("%s with a kernel pointer", c->what);

	/* Only the size field is readable, the rest lies past the mapping. */
	edge = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, edge);
	ASSERT_EQ(0, munmap(edge + page, page));
	memcpy(edge + page - 4, &c->size, 4);
	EXPECT_EQ(-EFAULT, xioctl(fd, c->cmd, edge + page - 4))
		TH_LOG("%s across the end of a mapping", c->what);
	/* Readable but not writable: what returns data must fail, and leak no fd. */
	memcpy(edge, c->arg, c->size);
	memcpy(edge, &c->size, 4);
	ASSERT_EQ(0, mprotect(edge, page, PROT_READ));
	ret = xioctl(fd, c->cmd, edge);
	EXPECT_EQ(c->want == 0 ? -EFAULT : c->want, ret)
		TH_LOG("%s with a read-only argument", c->what);
	munmap(edge, page);
}

TEST_F(ioctl, sizes_control)
{
	struct vbe_dev_open *o;
	struct size_case c;

	size_arg(&c, "INFO", VBE_IOC_INFO, sizeof(struct vbe_info), 0);
	check_sizes(_metadata, self->ctl, &c);
	size_arg(&c, "DEV_OPEN", VBE_IOC_DEV_OPEN, sizeof(struct vbe_dev_open), -ENOENT);
	o = (void *)c.arg;
	strcpy((char *)o->name, "kst-nobody-there");
	check_sizes(_metadata, self->ctl, &c);
	/* The last failure stays on record while ERROR_TEXT itself goes well. */
	EXPECT_WHY(self->ctl, ENOENT, open_struct(self->ctl, "x", 2, 0, 0));
}

TEST_F(ioctl, sizes_setup)
{
	struct vbe_dev_setup *s;
	struct size_case c;

	size_arg(&c, "DEV_SETUP", VBE_IOC_DEV_SETUP, sizeof(*s), -EFAULT);
	s = (void *)c.arg;
	*s = self->g->s;
	s->queue_sizes = 8;
	check_sizes(_metadata, self->fd, &c);
}

static void check_device_sizes(struct __test_metadata *_metadata, int fd)
{
	struct vbe_copy_entry entry = { .len = 0 };
	struct vbe_mem_range range = { .len = 0 };
	struct size_case c;

	size_arg(&c, "DEV_INFO", VBE_IOC_DEV_INFO, sizeof(struct vbe_dev_info), 0);
	check_sizes(_metadata, fd, &c);
	size_arg(&c, "CONFIG_READ", VBE_IOC_CONFIG_READ, sizeof(struct vbe_config_rw), 0);
	check_sizes(_metadata, fd, &c);
	size_arg(&c, "CONFIG_WRITE", VBE_IOC_CONFIG_WRITE, sizeof(struct vbe_config_rw), 0);
	check_sizes(_metadata, fd, &c);
	size_arg(&c, "QUEUE_INFO", VBE_IOC_QUEUE_INFO, sizeof(struct vbe_queue_info), 0);
	check_sizes(_metadata, fd, &c);
	size_arg(&c, "QUEUE_SET_FDS", VBE_IOC_QUEUE_SET_FDS, sizeof(struct vbe_queue_fds), 0);
	((struct vbe_queue_fds *)c.arg)->flags = VBE_FDS_F_CALL;
	((struct vbe_queue_fds *)c.arg)->call_fd = -1;
	check_sizes(_metadata, fd, &c);
	size_arg(&c, "COMPLETE", VBE_IOC_COMPLETE, sizeof(struct vbe_complete), -ENOENT);
	((struct vbe_complete *)c.arg)->cookie = 0xdead;
	check_sizes(_metadata, fd, &c);
	size_arg(&c, "QUEUE_KICK_FD", VBE_IOC_QUEUE_KICK_FD, sizeof(struct vbe_queue_kick_fd),
		 -ENOENT);
	check_sizes(_metadata, fd, &c);
	size_arg(&c, "DEV_PARAM", VBE_IOC_DEV_PARAM, sizeof(struct vbe_dev_param), -ENOENT);
	check_sizes(_metadata, fd, &c);
	size_arg(&c, "MEM_QUERY", VBE_IOC_MEM_QUERY, sizeof(struct vbe_mem_query), 0);
	c.min = offsetof(struct vbe_mem_query, mmap_offset);
	check_sizes(_metadata, fd, &c);
	size_arg(&c, "MEM_COPY", VBE_IOC_MEM_COPY, sizeof(struct vbe_mem_copy), 0);
	((struct vbe_mem_copy *)c.arg)->n = 1;
	((struct vbe_mem_copy *)c.arg)->entries = (uintptr_t)&entry;
	check_sizes(_metadata, fd, &c);
	size_arg(&c, "MEM_MAP", VBE_IOC_MEM_MAP, sizeof(struct vbe_mem_map), 0);
	((struct vbe_mem_map *)c.arg)->n = 1;
	((struct vbe_mem_map *)c.arg)->ranges = (uintptr_t)&range;
	check_sizes(_metadata, fd, &c);
	c.what = "MEM_UNMAP";
	c.cmd = VBE_IOC_MEM_UNMAP;
	check_sizes(_metadata, fd, &c);
	size_arg(&c, "MEM_FD", VBE_IOC_MEM_FD, sizeof(struct vbe_mem_fd), 0);
	check_sizes(_metadata, fd, &c);
	/* These two change the state when they go well; flag 1 does not exist. */
	size_arg(&c, "DEV_ONLINE", VBE_IOC_DEV_ONLINE, sizeof(struct vbe_dev_online), -EINVAL);
	((struct vbe_dev_online *)c.arg)->flags = 1;
	check_sizes(_metadata, fd, &c);
	c.what = "DEV_OFFLINE";
	c.cmd = VBE_IOC_DEV_OFFLINE;
	check_sizes(_metadata, fd, &c);
}

TEST_F(ioctl, sizes_device)
{
	ASSERT_DONE(xioctl(self->fd, VBE_IOC_DEV_SETUP, &self->g->s));
	check_device_sizes(_metadata, self->fd);
}

static void check_text_sizes(struct __test_metadata *_metadata, int fd)
{
	struct vbe_error_text t[2];

	memset(t, 0, sizeof(t));
	EXPECT_EQ(-EINVAL, xioctl(fd, VBE_IOC_ERROR_TEXT, t));
	t[0].size = sizeof(t[0]) - 1;
	EXPECT_EQ(-EINVAL, xioctl(fd, VBE_IOC_ERROR_TEXT, t));
	t[0].size = sizeof(t[0]);
	EXPECT_EQ(0, xioctl(fd, VBE_IOC_ERROR_TEXT, t));
	EXPECT_EQ(EINVAL, t[0].out_errno);
	t[0].size = sizeof(t);
	EXPECT_EQ(0, xioctl(fd, VBE_IOC_ERROR_TEXT, t));
	t[1].out_errno = 1;
	EXPECT_EQ(-E2BIG, xioctl(fd, VBE_IOC_ERROR_TEXT, t));
	EXPECT_EQ(-EFAULT, xioctl(fd, VBE_IOC_ERROR_TEXT, NULL));
}

TEST_F(ioctl, sizes_error_text)
{
	check_text_sizes(_metadata, self->ctl);
	check_text_sizes(_metadata, self->fd);
}

/* ---- /dev/vbe -------------------------------------------------------------------- */

TEST_F(ioctl, info)
{
	struct vbe_info i = { .size = sizeof(i) };

	ASSERT_EQ(0, xioctl(self->ctl, VBE_IOC_INFO, &i));
	EXPECT_EQ(sizeof(i), i.size);
	EXPECT_EQ(VBE_ABI_VERSION, i.abi_version);
	EXPECT_EQ(VBE_MAX_QUEUES, i.max_queues);
	EXPECT_EQ(VBE_MAX_QUEUE_SIZE, i.max_queue_size);
	EXPECT_EQ(VBE_MAX_CONFIG, i.max_config);
	EXPECT_EQ(VBE_MAX_INFLIGHT, i.max_inflight);
	EXPECT_EQ(VBE_MAX_COPY_ENTRIES, i.max_copy_entries);
	EXPECT_EQ(0, i.__reserved);
}

TEST_F(ioctl, error_text_of_a_fresh_fd)
{
	char text[VBE_ERROR_TEXT_MAX] = "x";
	int ctl = vbe_open();

	ASSERT_LE(0, ctl);
	EXPECT_EQ(0, error_text(ctl, text, sizeof(text)));
	EXPECT_EQ(0, text[0])
		TH_LOG("'%s'", text);
	close(ctl);
	EXPECT_EQ(0, error_text(self->fd, text, sizeof(text)));
	EXPECT_EQ(0, text[0]);
}

TEST_F(ioctl, control_fd_does_nothing_else)
{
	char c = 0;

	EXPECT_EQ(-1, read(self->ctl, &c, 1));
	EXPECT_EQ(-1, write(self->ctl, &c, 1));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, 4096, PROT_READ, MAP_SHARED, self->ctl, 0));
}

TEST_F(ioctl, unknown_ioctls)
{
	unsigned long strange[] = {
		_IO(VBE_IOC_MAGIC, 0x7f), _IO(VBE_IOC_MAGIC, 0x31), _IO('x', 1), 0,
		_IOWR(VBE_IOC_MAGIC, 0x10, int), ~0U,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(strange); i++) {
		EXPECT_EQ(-ENOTTY, xioctl(self->ctl, strange[i], NULL))
			TH_LOG("ioctl 0x%lx on " VBE_NODE, strange[i]);
		EXPECT_EQ(-ENOTTY, xioctl(self->fd, strange[i], NULL))
			TH_LOG("ioctl 0x%lx on a device fd", strange[i]);
	}
	for (i = 0x10; i <= 0x1f; i++)
		EXPECT_EQ(-ENOTTY, xioctl(self->ctl, _IO(VBE_IOC_MAGIC, i), NULL))
			TH_LOG("device ioctl 0x%x on " VBE_NODE, i);
	EXPECT_EQ(-ENOTTY, xioctl(self->ctl, VBE_IOC_MEM_UNMAP, NULL));
	for (i = 0x20; i <= 0x22; i++)
		EXPECT_EQ(-EOPNOTSUPP, xioctl(self->fd, _IO(VBE_IOC_MAGIC, i), NULL))
			TH_LOG("raw ioctl 0x%x on a virtio device", i);
	for (i = 0x40; i <= 0x4f; i++)
		EXPECT_EQ(-ENOTTY, xioctl(self->fd, _IO(VBE_IOC_MAGIC, i), NULL))
			TH_LOG("guest ioctl 0x%x on a device fd", i);
	for (i = 0; i <= 2; i++)
		EXPECT_EQ(-ENOTTY, xioctl(self->fd, _IO(VBE_IOC_MAGIC, i), NULL))
			TH_LOG("control ioctl 0x%x on a device fd", i);
}

TEST_F(ioctl, open_bad)
{
	char full[VBE_NAME_MAX];

	memset(full, 'a', sizeof(full));
	EXPECT_WHY(self->ctl, ENOENT, open_struct(self->ctl, "kst-none", 9, 0, 0));
	EXPECT_WHY(self->ctl, ENOENT, open_struct(self->ctl, "", 1, 0, 0));
	EXPECT_WHY(self->ctl, EINVAL, open_struct(self->ctl, full, sizeof(full), 0, 0));
	EXPECT_WHY(self->ctl, EINVAL, open_struct(self->ctl, NAME, sizeof(NAME), 2, 0));
	EXPECT_WHY(self->ctl, EINVAL, open_struct(self->ctl, NAME, sizeof(NAME), 1U << 31, 0));
	EXPECT_WHY(self->ctl, EINVAL, open_struct(self->ctl, NAME, sizeof(NAME), 0, 1));
	EXPECT_WHY(self->ctl, EBUSY, open_struct(self->ctl, NAME, sizeof(NAME), 0, 0));
	EXPECT_WHY(self->ctl, EBUSY,
		   open_struct(self->ctl, NAME, sizeof(NAME), VBE_OPEN_F_NOWAIT, 0));
}

TEST_F(ioctl, open_again_and_again)
{
	int i, fd;

	EXPECT_EQ(FD_CLOEXEC, fcntl(self->fd, F_GETFD));
	close(self->fd);
	for (i = 0; i < 20; i++) {
		fd = open_struct(self->ctl, NAME, sizeof(NAME), i & VBE_OPEN_F_NOWAIT, 0);
		ASSERT_LE(0, fd)
			TH_LOG("turn %d: %s", i, strerror(-fd));
		close(fd);
	}
	self->fd = dev_open(NAME);
	EXPECT_LE(0, self->fd);
}

/* The fd is made, but its number cannot be told: nothing may stay attached. */
TEST_F(ioctl, open_with_unwritable_argument)
{
	struct vbe_dev_open *o = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, o);
	close(self->fd);
	o->size = sizeof(*o);
	strcpy((char *)o->name, NAME);
	ASSERT_EQ(0, mprotect(o, 4096, PROT_READ));
	EXPECT_EQ(-EFAULT, xioctl(self->ctl, VBE_IOC_DEV_OPEN, o));
	self->fd = dev_open(NAME);
	EXPECT_LE(0, self->fd)
		TH_LOG("the failed DEV_OPEN has left the device attached");
}

/* ---- set-up ------------------------------------------------------------------------ */

static int setup(int fd, struct good_setup *g)
{
	return xioctl(fd, VBE_IOC_DEV_SETUP, &g->s);
}

#define SETUP_REFUSED(err, change) do {						\
	struct good_setup *g = self->g;						\
	struct good_setup __saved = *g;						\
	struct vbe_dev_info __info;						\
	change;									\
	EXPECT_WHY(self->fd, err, setup(self->fd, g));				\
	*g = __saved;								\
	EXPECT_EQ(0, dev_info(self->fd, &__info));				\
	EXPECT_EQ(VBE_DEV_EMPTY, __info.state)					\
		TH_LOG("after %s", #change);					\
	EXPECT_EQ(0, __info.n_queues);						\
} while (0)

TEST_F(ioctl, setup_bad)
{
	SETUP_REFUSED(EINVAL, g->s.flags = 4);
	SETUP_REFUSED(EINVAL, g->s.flags = 1U << 31);
	SETUP_REFUSED(EINVAL, g->s.virtio_id = 0);
	SETUP_REFUSED(EINVAL, g->s.features = 0);
	SETUP_REFUSED(EINVAL, g->s.features = ~(1ULL << VIRTIO_F_VERSION_1));
	SETUP_REFUSED(EINVAL, g->s.n_queues = 0);
	SETUP_REFUSED(EINVAL, g->s.n_queues = VBE_MAX_QUEUES + 1);
	SETUP_REFUSED(EINVAL, g->s.n_queues = 0xffffffff);
	SETUP_REFUSED(EINVAL, g->sizes[0] = 0);
	SETUP_REFUSED(EINVAL, g->sizes[1] = 3);
	SETUP_REFUSED(EINVAL, g->sizes[1] = 2 * VBE_MAX_QUEUE_SIZE);
	SETUP_REFUSED(EINVAL, g->sizes[0] = 1U << 31);
	SETUP_REFUSED(EINVAL, g->s.config_size = VBE_MAX_CONFIG + 1);
	SETUP_REFUSED(EINVAL, g->s.config_size = 0xffffffff);
	SETUP_REFUSED(EINVAL, g->s.loss_policy = VBE_LOSS_FAIL + 1);
	SETUP_REFUSED(EINVAL, g->s.loss_policy = 0x100);
	SETUP_REFUSED(EINVAL, g->s.inflight_size = VBE_MAX_INFLIGHT + 1);
	SETUP_REFUSED(EINVAL, g->s.inflight_size = 0xffffffff);
	SETUP_REFUSED(EFAULT, g->s.queue_sizes = 0);
	SETUP_REFUSED(EFAULT, g->s.queue_sizes = ~0ULL);
	SETUP_REFUSED(EFAULT, g->s.config = 0);
	SETUP_REFUSED(EFAULT, g->s.config = 1ULL << 63);
	EXPECT_DONE(setup(self->fd, self->g));
}

TEST_F(ioctl, setup_most)
{
	struct vbe_dev_info info;
	struct vbe_queue_info q;
	int i;

	self->g->s.n_queues = VBE_MAX_QUEUES;
	self->g->s.config_size = VBE_MAX_CONFIG;
	self->g->s.inflight_size = 1;
	for (i = 0; i < VBE_MAX_QUEUES; i++)
		self->g->sizes[i] = VBE_MAX_QUEUE_SIZE;
	ASSERT_DONE(setup(self->fd, self->g));
	ASSERT_DONE(dev_info(self->fd, &info));
	EXPECT_EQ(VBE_MAX_QUEUES, info.n_queues);
	EXPECT_EQ(VBE_MAX_CONFIG, info.config_size);
	EXPECT_EQ(sysconf(_SC_PAGESIZE), info.inflight_size);
	EXPECT_DONE(queue_info(self->fd, VBE_MAX_QUEUES - 1, &q));
	EXPECT_EQ(VBE_MAX_QUEUE_SIZE, q.max_size);
}

TEST_F(ioctl, setup_good)
{
	struct vbe_dev_info i;
	struct vbe_queue_info q;

	EXPECT_DONE(dev_info(self->fd, &i));
	EXPECT_EQ(VBE_DEV_EMPTY, i.state);
	EXPECT_EQ(0, i.virtio_id);
	EXPECT_EQ(0, i.config_size);
	EXPECT_STREQ(NAME, (char *)i.name);
	EXPECT_STREQ("loop", (char *)i.provider);
	EXPECT_STREQ("direct", (char *)i.transport);
	EXPECT_EQ(VBE_LOSS_HOLD, i.loss_policy);
	EXPECT_EQ(500, i.reset_timeout_ms);

	self->g->s.loss_policy = VBE_LOSS_RESET;
	self->g->s.inflight_size = 100;
	ASSERT_DONE(setup(self->fd, self->g));
	ASSERT_DONE(dev_info(self->fd, &i));
	EXPECT_EQ(VBE_DEV_READY, i.state);
	EXPECT_EQ(NO_DRIVER_ID, i.virtio_id);
	EXPECT_EQ(0, i.flags);
	EXPECT_EQ(0, i.status);
	EXPECT_EQ(VBE_LOSS_RESET, i.loss_policy);
	EXPECT_EQ(2, i.n_queues);
	EXPECT_EQ(CONFIG_SIZE, i.config_size);
	EXPECT_EQ(sysconf(_SC_PAGESIZE), i.inflight_size);
	EXPECT_EQ(0, i.pending_cookie);
	EXPECT_LE(2, i.max_queues);
	EXPECT_LE(1, i.n_windows);
	EXPECT_TRUE(i.mem_classes & 1 << VBE_MEM_PINNED);
	EXPECT_TRUE(i.features & 1ULL << VIRTIO_F_VERSION_1);
	EXPECT_TRUE(i.features_allowed & 1ULL << VIRTIO_F_VERSION_1);

	ASSERT_DONE(queue_info(self->fd, 1, &q));
	EXPECT_EQ(256, q.max_size);
	EXPECT_EQ(0, q.flags);
	EXPECT_EQ(0, q.num);
	EXPECT_EQ(0, q.desc);

	EXPECT_WHY(self->fd, EINVAL, setup(self->fd, self->g));
}

/* What the transport does not carry is masked, not refused. */
TEST_F(ioctl, setup_masks_features)
{
	struct vbe_dev_info i;

	self->g->s.features = ~0ULL;
	ASSERT_DONE(setup(self->fd, self->g));
	ASSERT_DONE(dev_info(self->fd, &i));
	EXPECT_EQ(0, i.features & ~i.features_allowed)
		TH_LOG("offered 0x%llx, allowed 0x%llx", (unsigned long long)i.features,
		       (unsigned long long)i.features_allowed);
}

/* A backend that leaves before ONLINE leaves nothing. */
TEST_F(ioctl, close_in_ready_empties)
{
	struct vbe_dev_info i;

	ASSERT_DONE(setup(self->fd, self->g));
	close(self->fd);
	self->fd = dev_open(NAME);
	ASSERT_LE(0, self->fd);
	ASSERT_DONE(dev_info(self->fd, &i));
	EXPECT_EQ(VBE_DEV_EMPTY, i.state);
	EXPECT_EQ(0, i.n_queues);
	self->g->s.n_queues = 1;
	self->g->s.virtio_id++;
	EXPECT_DONE(setup(self->fd, self->g));
}

TEST_F(ioctl, online_offline_states)
{
	struct vbe_dev_online o = { .size = sizeof(o), .flags = 1 };
	struct vbe_event ev;

	EXPECT_WHY(self->fd, EINVAL, dev_simple(self->fd, VBE_IOC_DEV_ONLINE));
	EXPECT_WHY(self->fd, EINVAL, dev_simple(self->fd, VBE_IOC_DEV_OFFLINE));
	ASSERT_DONE(setup(self->fd, self->g));
	EXPECT_WHY(self->fd, EINVAL, dev_simple(self->fd, VBE_IOC_DEV_OFFLINE));
	EXPECT_WHY(self->fd, EINVAL, xioctl(self->fd, VBE_IOC_DEV_ONLINE, &o));
	ASSERT_DONE(dev_simple(self->fd, VBE_IOC_DEV_ONLINE));
	EXPECT_WHY(self->fd, EINVAL, dev_simple(self->fd, VBE_IOC_DEV_ONLINE));
	EXPECT_WHY(self->fd, EINVAL, setup(self->fd, self->g));
	ASSERT_DONE(dev_simple(self->fd, VBE_IOC_DEV_OFFLINE));
	ASSERT_EQ(0, wait_event(self->fd, VBE_EVENT_OFFLINE, &ev, COMES_MS));
	/* READY again: it can be shown once more. */
	ASSERT_DONE(dev_simple(self->fd, VBE_IOC_DEV_ONLINE));
	ASSERT_DONE(dev_simple(self->fd, VBE_IOC_DEV_OFFLINE));
	ASSERT_EQ(0, wait_event(self->fd, VBE_EVENT_OFFLINE, &ev, COMES_MS));
}

TEST_F(ioctl, lost_device_keeps_its_shape)
{
	struct good_setup *g = self->g, saved;
	struct vbe_dev_info i;

	g->s.inflight_size = 4096;
	saved = *g;
	ASSERT_DONE(setup(self->fd, g));
	ASSERT_DONE(dev_simple(self->fd, VBE_IOC_DEV_ONLINE));
	close(self->fd);
	EXPECT_TRUE(dev_wait_state(NAME, VBE_DEV_LOST, COMES_MS));
	self->fd = dev_open(NAME);
	ASSERT_LE(0, self->fd);
	ASSERT_DONE(dev_info(self->fd, &i));
	EXPECT_EQ(VBE_DEV_LOST, i.state);
	EXPECT_EQ(2, i.n_queues);

	EXPECT_WHY(self->fd, EINVAL, dev_simple(self->fd, VBE_IOC_DEV_ONLINE));
	g->s.virtio_id++;
	EXPECT_WHY(self->fd, EINVAL, setup(self->fd, g));
	*g = saved;
	g->s.n_queues = 1;
	EXPECT_WHY(self->fd, EINVAL, setup(self->fd, g));
	*g = saved;
	g->sizes[1] = 128;
	EXPECT_WHY(self->fd, EINVAL, setup(self->fd, g));
	*g = saved;
	g->s.inflight_size = 8192;
	EXPECT_WHY(self->fd, EINVAL, setup(self->fd, g));
	*g = saved;
	EXPECT_DONE(setup(self->fd, g));
	EXPECT_DONE(dev_simple(self->fd, VBE_IOC_DEV_ONLINE));
	ASSERT_DONE(dev_info(self->fd, &i));
	EXPECT_EQ(VBE_DEV_ONLINE, i.state);
}

TEST_F(ioctl, administrator_fixes_the_type)
{
	struct dev_params p = dev_defaults(NAME);

	close(self->fd);
	p.virtio_id = 5;
	ASSERT_EQ(0, dev_fresh(&p));
	self->fd = dev_open(NAME);
	ASSERT_LE(0, self->fd);
	EXPECT_WHY(self->fd, EINVAL, setup(self->fd, self->g));
	self->g->s.virtio_id = 5;
	EXPECT_DONE(setup(self->fd, self->g));
}

/* ---- config space ---------------------------------------------------------------- */

static int dev_param(int fd, const char *key, void *value, uint32_t len, uint32_t *got)
{
	struct vbe_dev_param p = { .size = sizeof(p), .len = len, .value = (uintptr_t)value };
	int ret;

	memcpy(p.key, key, strlen(key));
	ret = xioctl(fd, VBE_IOC_DEV_PARAM, &p);
	if (got)
		*got = p.len;
	return ret;
}

TEST_F(ioctl, parameters_not_given)
{
	char buf[VBE_PARAM_MAX];

	EXPECT_WHY(self->fd, ENOENT, dev_param(self->fd, "path", buf, sizeof(buf), NULL));
	EXPECT_WHY(self->fd, ENOENT, dev_param(self->fd, "mode", buf, sizeof(buf), NULL));
	EXPECT_WHY(self->fd, ENOENT, dev_param(self->fd, "vdev", buf, sizeof(buf), NULL));
}

TEST_F(ioctl, parameters)
{
	static const char path[] = "/srv/a disk, of a guest.img";
	struct dev_params p = dev_defaults("kst-param");
	char buf[VBE_PARAM_MAX], key[VBE_LABEL_MAX + 1];
	uint32_t len;
	int fd;

	p.path = path;
	p.readonly = true;
	ASSERT_EQ(0, dev_fresh(&p)) TH_LOG("%s", dev_text);
	fd = dev_open("kst-param");
	ASSERT_GE(fd, 0);
	EXPECT_EQ(0, dev_param(fd, "path", buf, sizeof(buf), &len));
	EXPECT_STREQ(path, buf);
	EXPECT_EQ(sizeof(path), len);
	memset(buf, 'x', sizeof(buf));
	EXPECT_EQ(0, dev_param(fd, "path", buf, sizeof(path), &len));
	EXPECT_EQ('x', buf[sizeof(path)]);
	EXPECT_WHY(fd, ERANGE, dev_param(fd, "path", buf, sizeof(path) - 1, NULL));
	EXPECT_WHY(fd, ERANGE, dev_param(fd, "path", buf, 0, NULL));
	EXPECT_WHY(fd, EFAULT, dev_param(fd, "path", NULL, sizeof(buf), NULL));
	EXPECT_EQ(0, dev_param(fd, "mode", buf, sizeof(buf), &len));
	EXPECT_STREQ("r", buf);
	EXPECT_WHY(fd, ENOENT, dev_param(fd, "vdev", buf, sizeof(buf), NULL));
	EXPECT_WHY(fd, ENOENT, dev_param(fd, "", buf, sizeof(buf), NULL));
	EXPECT_WHY(fd, ENOENT, dev_param(fd, "pat", buf, sizeof(buf), NULL));
	memset(key, 'k', sizeof(key) - 1);
	key[sizeof(key) - 1] = '\0';
	EXPECT_WHY(fd, EINVAL, dev_param(fd, key, buf, sizeof(buf), NULL));
	ASSERT_EQ(0, dev_del("kst-param"));
	EXPECT_WHY(fd, ENODEV, dev_param(fd, "path", buf, sizeof(buf), NULL));
	close(fd);
}

TEST_F(ioctl, config)
{
	uint8_t bytes[CONFIG_SIZE], want[CONFIG_SIZE];
	struct vbe_dev_info before, after;
	int i, fd = self->fd;

	EXPECT_WHY(fd, EINVAL, config_rw(fd, VBE_IOC_CONFIG_READ, 0, 1, bytes, 0));
	EXPECT_WHY(fd, EINVAL, config_rw(fd, VBE_IOC_CONFIG_WRITE, 0, 1, bytes, 0));
	for (i = 0; i < CONFIG_SIZE; i++)
		self->g->config[i] = want[i] = i ^ 0x5a;
	ASSERT_DONE(setup(fd, self->g));
	ASSERT_DONE(config_rw(fd, VBE_IOC_CONFIG_READ, 0, CONFIG_SIZE, bytes, 0));
	EXPECT_EQ(0, memcmp(bytes, want, CONFIG_SIZE));
	ASSERT_DONE(config_rw(fd, VBE_IOC_CONFIG_READ, CONFIG_SIZE - 1, 1, bytes, 0));
	EXPECT_EQ(want[CONFIG_SIZE - 1], bytes[0]);

	ASSERT_DONE(dev_info(fd, &before));
	want[7] = 0x11;
	ASSERT_DONE(config_rw(fd, VBE_IOC_CONFIG_WRITE, 7, 1, want + 7, 0));
	ASSERT_DONE(config_rw(fd, VBE_IOC_CONFIG_READ, 0, CONFIG_SIZE, bytes, 0));
	EXPECT_EQ(0, memcmp(bytes, want, CONFIG_SIZE));
	ASSERT_DONE(dev_info(fd, &after));
	EXPECT_NE(before.config_generation, after.config_generation);
}

TEST_F(ioctl, config_bad)
{
	unsigned long cmd[] = { VBE_IOC_CONFIG_READ, VBE_IOC_CONFIG_WRITE };
	uint8_t b[CONFIG_SIZE * 2] = { 0 };
	int fd = self->fd;
	unsigned int i;

	ASSERT_DONE(setup(fd, self->g));
	for (i = 0; i < 2; i++) {
		EXPECT_WHY(fd, EINVAL, config_rw(fd, cmd[i], 0, CONFIG_SIZE + 1, b, 0));
		EXPECT_WHY(fd, EINVAL, config_rw(fd, cmd[i], CONFIG_SIZE, 1, b, 0));
		EXPECT_WHY(fd, EINVAL, config_rw(fd, cmd[i], 1, CONFIG_SIZE, b, 0));
		EXPECT_WHY(fd, EINVAL, config_rw(fd, cmd[i], 0xffffffff, 2, b, 0));
		EXPECT_WHY(fd, EINVAL, config_rw(fd, cmd[i], 2, 0xffffffff, b, 0));
		EXPECT_WHY(fd, EINVAL, config_rw(fd, cmd[i], 0xffffffff, 0xffffffff, b, 0));
		EXPECT_WHY(fd, EINVAL, config_rw(fd, cmd[i], 0, 1, b, 1));
		EXPECT_WHY(fd, EFAULT, config_rw(fd, cmd[i], 0, 8, NULL, 0));
		EXPECT_WHY(fd, EFAULT, config_rw(fd, cmd[i], 0, 8, (void *)-64L, 0));
	}
}

/* ---- queues ------------------------------------------------------------------------ */

TEST_F(ioctl, queues_before_setup)
{
	struct vbe_queue_info q;
	int fd = self->fd;

	EXPECT_WHY(fd, EINVAL, queue_info(fd, 0, &q));
	EXPECT_WHY(fd, EINVAL, queue_fds(fd, 0, VBE_FDS_F_KICK, -1, -1));
	EXPECT_WHY(fd, EINVAL, xioctl(fd, VBE_IOC_QUEUE_CALL, (void *)0));
}

TEST_F(ioctl, queues_bad)
{
	struct vbe_queue_fds f = { .size = sizeof(f), .__reserved = 1 };
	uint32_t index[] = { 2, 255, 256, 0x80000000, 0xffffffff }, i;
	struct vbe_queue_info q;
	int fd = self->fd, ev = eventfd(0, 0), pipes[2], closed;

	ASSERT_LE(0, ev);
	ASSERT_EQ(0, pipe(pipes));
	closed = dup(ev);
	close(closed);
	ASSERT_DONE(setup(fd, self->g));
	for (i = 0; i < ARRAY_LEN(index); i++) {
		EXPECT_WHY(fd, EINVAL, queue_info(fd, index[i], &q));
		EXPECT_WHY(fd, EINVAL, queue_fds(fd, index[i], VBE_FDS_F_KICK, ev, -1));
		EXPECT_WHY(fd, EINVAL, queue_fds(fd, index[i], VBE_FDS_F_CALL, -1, ev));
		EXPECT_WHY(fd, EINVAL,
			   xioctl(fd, VBE_IOC_QUEUE_CALL, (void *)(uintptr_t)index[i]));
	}
	EXPECT_WHY(fd, EINVAL, xioctl(fd, VBE_IOC_QUEUE_CALL, (void *)(1UL << 32)));
	EXPECT_WHY(fd, EINVAL, queue_fds(fd, 0, 4, -1, -1));
	EXPECT_WHY(fd, EINVAL, queue_fds(fd, 0, 7, ev, ev));
	EXPECT_WHY(fd, EINVAL, xioctl(fd, VBE_IOC_QUEUE_SET_FDS, &f));
	EXPECT_WHY(fd, EINVAL, queue_fds(fd, 0, VBE_FDS_F_KICK, pipes[0], -1));
	EXPECT_WHY(fd, EINVAL, queue_fds(fd, 0, VBE_FDS_F_CALL, -1, pipes[1]));
	EXPECT_WHY(fd, EBADF, queue_fds(fd, 0, VBE_FDS_F_KICK, closed, -1));
	EXPECT_WHY(fd, EBADF, queue_fds(fd, 0, VBE_FDS_F_CALL, -1, closed));
	/* The half that is right must not stay when the other half is wrong. */
	EXPECT_WHY(fd, EBADF, queue_fds(fd, 0, 3, ev, closed));
	EXPECT_DONE(queue_info(fd, 0, &q));
	EXPECT_EQ(0, q.flags)
		TH_LOG("a refused QUEUE_SET_FDS has attached something");
	close(ev);
	close(pipes[0]);
	close(pipes[1]);
}

TEST_F(ioctl, queue_fds_attach_and_detach)
{
	int fd = self->fd, a = eventfd(0, EFD_NONBLOCK), b = eventfd(0, EFD_NONBLOCK);
	struct vbe_queue_info q;
	uint64_t v;

	ASSERT_DONE(setup(fd, self->g));
	ASSERT_DONE(queue_fds(fd, 0, 3, a, b));
	ASSERT_DONE(queue_info(fd, 0, &q));
	EXPECT_EQ(VBE_QUEUE_F_HAS_KICK | VBE_QUEUE_F_HAS_CALL, q.flags);
	/* no flag, no change */
	ASSERT_DONE(queue_fds(fd, 0, 0, -1, -1));
	ASSERT_DONE(queue_info(fd, 0, &q));
	EXPECT_EQ(VBE_QUEUE_F_HAS_KICK | VBE_QUEUE_F_HAS_CALL, q.flags);
	/* the kernel eats what is written to an attached call fd */
	EXPECT_EQ(0, eventfd_write(b, 5));
	EXPECT_EQ(-1, eventfd_read(b, &v));
	/* one eventfd, one queue */
	EXPECT_WHY(fd, EBUSY, queue_fds(fd, 1, VBE_FDS_F_CALL, -1, b));
	/* ... and the same once more on its own queue is fine */
	EXPECT_DONE(queue_fds(fd, 0, VBE_FDS_F_CALL, -1, b));
	ASSERT_DONE(queue_fds(fd, 0, VBE_FDS_F_CALL, -1, -1));
	EXPECT_EQ(0, eventfd_write(b, 5));
	EXPECT_EQ(0, eventfd_read(b, &v));
	EXPECT_EQ(5, v);
	/* a pending count is taken at once */
	EXPECT_EQ(0, eventfd_write(b, 7));
	ASSERT_DONE(queue_fds(fd, 1, VBE_FDS_F_CALL, -1, b));
	EXPECT_EQ(-1, eventfd_read(b, &v));
	ASSERT_DONE(queue_fds(fd, 0, VBE_FDS_F_KICK, -1, -1));
	ASSERT_DONE(queue_info(fd, 0, &q));
	EXPECT_EQ(0, q.flags);
	EXPECT_DONE(xioctl(fd, VBE_IOC_QUEUE_CALL, (void *)1));
	close(a);
	close(b);
}

/* A refused replacement leaves what was there. */
TEST_F(ioctl, queue_fds_refused_changes_nothing)
{
	int fd = self->fd, a = eventfd(0, EFD_NONBLOCK), b = eventfd(0, EFD_NONBLOCK);
	struct vbe_queue_info q;

	ASSERT_DONE(setup(fd, self->g));
	ASSERT_DONE(queue_fds(fd, 0, VBE_FDS_F_CALL, -1, a));
	ASSERT_DONE(queue_fds(fd, 1, VBE_FDS_F_CALL, -1, b));
	EXPECT_WHY(fd, EBUSY, queue_fds(fd, 0, VBE_FDS_F_CALL, -1, b));
	EXPECT_WHY(fd, EINVAL, queue_fds(fd, 0, VBE_FDS_F_CALL, -1, fd));
	ASSERT_DONE(queue_info(fd, 0, &q));
	EXPECT_EQ(VBE_QUEUE_F_HAS_CALL, q.flags)
		TH_LOG("the old call eventfd has gone");
	close(a);
	close(b);
}

/* ---- the rest ---------------------------------------------------------------------- */

TEST_F(ioctl, complete_bad)
{
	EXPECT_WHY(self->fd, ENOENT, dev_complete(self->fd, 0, 0));
	EXPECT_WHY(self->fd, ENOENT, dev_complete(self->fd, 1, 0));
	ASSERT_DONE(setup(self->fd, self->g));
	EXPECT_WHY(self->fd, ENOENT, dev_complete(self->fd, ~0ULL, 0));
}

/* Each device ioctl, with an argument that is right. */
static int good_call(int fd, unsigned long cmd, struct good_setup *g)
{
	struct vbe_mem_query w = { .size = sizeof(w) };
	struct vbe_mem_copy copy = { .size = sizeof(copy), .n = 1 };
	struct vbe_mem_fd m = { .size = sizeof(m) };
	struct vbe_mem_map ranges = { .size = sizeof(ranges), .n = 1 };
	struct vbe_copy_entry e = { .len = 0 };
	struct vbe_mem_range r = { .len = 0 };
	struct vbe_queue_info q;
	struct vbe_dev_info i;

	ranges.ranges = (uintptr_t)&r;
	copy.entries = (uintptr_t)&e;
	switch (cmd) {
	case VBE_IOC_DEV_INFO: return dev_info(fd, &i);
	case VBE_IOC_DEV_SETUP: return setup(fd, g);
	case VBE_IOC_CONFIG_READ:
	case VBE_IOC_CONFIG_WRITE: return config_rw(fd, cmd, 0, 1, g->config, 0);
	case VBE_IOC_QUEUE_INFO: return queue_info(fd, 0, &q);
	case VBE_IOC_QUEUE_SET_FDS: return queue_fds(fd, 0, VBE_FDS_F_CALL, -1, -1);
	case VBE_IOC_QUEUE_CALL: return xioctl(fd, cmd, (void *)0);
	case VBE_IOC_COMPLETE: return dev_complete(fd, 1, 0);
	case VBE_IOC_MEM_QUERY: return xioctl(fd, cmd, &w);
	case VBE_IOC_MEM_COPY: return xioctl(fd, cmd, &copy);
	case VBE_IOC_MEM_FD: return xioctl(fd, cmd, &m);
	case VBE_IOC_MEM_MAP:
	case VBE_IOC_MEM_UNMAP: return xioctl(fd, cmd, &ranges);
	}
	return dev_simple(fd, cmd);
}

TEST_F(ioctl, everything_is_enodev_when_gone)
{
	struct vbe_event ev;
	unsigned int nr;

	ASSERT_DONE(setup(self->fd, self->g));
	ASSERT_EQ(0, dev_del(NAME));
	for (nr = 0x10; nr <= 0x1c; nr++)
		EXPECT_WHY(self->fd, ENODEV,
			   good_call(self->fd, _IO(VBE_IOC_MAGIC, nr), self->g));
	EXPECT_WHY(self->fd, ENODEV, good_call(self->fd, VBE_IOC_MEM_MAP, self->g));
	EXPECT_WHY(self->fd, ENODEV, good_call(self->fd, VBE_IOC_MEM_UNMAP, self->g));
	EXPECT_EQ(0, wait_event(self->fd, VBE_EVENT_GONE, &ev, COMES_MS));
	EXPECT_WHY(self->ctl, ENOENT, open_struct(self->ctl, NAME, sizeof(NAME), 0, 0));
	ASSERT_EQ(0, dev_add_named(NAME))
		TH_LOG("the name cannot be used again: %s", dev_text);
	/* The old fd stays dead. */
	EXPECT_WHY(self->fd, ENODEV, good_call(self->fd, VBE_IOC_DEV_INFO, self->g));
}

TEST_HARNESS_MAIN
