// SPDX-License-Identifier: GPL-2.0
/*
 * Chains of good calls over every ioctl and every netlink command, in which each
 * allocation and each copy from or to user space fails in turn: the n-th of the
 * chain, for n = 1, 2, ... until the chain gets through with nothing left to fail.
 * What failed must say so cleanly, and the device can be deleted and made again
 * after each round. Leaks are for kmemleak to find at the end.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/netlink.h>
#include <linux/vbe_netlink.h>

#include "kselftest_harness.h"

#include "check.h"
#include "dev.h"
#include "nl.h"
#include "nth.h"

#define NAME		"kst-nth"
#define MAPPED		(64 << 10)

/**
 * struct chain - what a chain works on; made anew, without failures, for each n
 * @ctl: /dev/vbe
 * @fd: device fd, or -1
 * @ev: an eventfd
 * @nl: netlink socket
 * @g: a good set-up
 * @page: anonymous memory, touched
 * @map: a mapping of FE memory, or NULL
 */
struct chain {
	int ctl;
	int fd;
	int ev;
	struct nl nl;
	struct good_setup *g;
	uint8_t *page;
	uint8_t *map;
};

/* How far the device is brought before the failures begin. */
enum stage {
	NO_DEVICE,
	MADE,
	OPEN,
	SET_UP,
	ONLINE,
};

typedef int (*chain_fn)(struct chain *c);

/* ---- one round ------------------------------------------------------------------------ */

static int bring_up(struct chain *c, enum stage stage)
{
	struct dev_params p = dev_defaults(NAME);
	int ret = dev_del(NAME);

	if (ret && ret != -ENOENT)
		return ret;
	p.window = 1 << 20;
	p.reset_ms = 300;
	ret = stage >= MADE ? dev_add(&p) : 0;
	if (!ret && stage >= OPEN) {
		c->fd = dev_open(NAME);
		ret = c->fd < 0 ? c->fd : 0;
	}
	if (!ret && stage >= SET_UP)
		ret = xioctl(c->fd, VBE_IOC_DEV_SETUP, &c->g->s);
	if (!ret && stage >= ONLINE)
		ret = dev_simple(c->fd, VBE_IOC_DEV_ONLINE);
	return ret;
}

static int begin(struct chain *c, enum stage stage)
{
	memset(c, 0, sizeof(*c));
	c->fd = -1;
	c->ctl = vbe_open();
	c->ev = eventfd(0, EFD_NONBLOCK);
	c->g = calloc(1, sizeof(*c->g));
	good_setup(c->g);
	c->g->s.virtio_id = 0x3f;
	c->g->s.n_queues = 2;
	c->g->sizes[1] = 8;
	c->g->s.config_size = 32;
	c->g->s.inflight_size = 4096;
	c->page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (c->ctl < 0 || c->ev < 0 || c->page == MAP_FAILED || nl_open(&c->nl))
		return -ENOMEM;
	c->page[0] = 1;
	return bring_up(c, stage);
}

/* The end must go well whatever has failed before. */
static int end(struct chain *c)
{
	int ret;

	if (c->map)
		munmap(c->map, MAPPED);
	if (c->fd >= 0)
		close(c->fd);
	close(c->ctl);
	close(c->ev);
	nl_close(&c->nl);
	munmap(c->page, 4096);
	free(c->g);
	ret = dev_del(NAME);
	return ret == -ENOENT ? 0 : ret;
}

static void sweep(struct __test_metadata *_metadata, enum stage stage, chain_fn fn)
{
	unsigned int n, failed = 0;
	struct chain c;
	bool injected;
	int ret;

	for (n = 1; n <= NTH_MOST; n++) {
		ASSERT_EQ(0, begin(&c, stage))
			TH_LOG("round %u cannot begin: %s", n, dev_text);
		nth_arm(n);
		ret = fn(&c);
		injected = nth_disarm();
		EXPECT_EQ(0, end(&c))
			TH_LOG("after failure %u the device cannot be deleted: %s", n, dev_text);
		if (!injected) {
			EXPECT_EQ(0, ret)
				TH_LOG("nothing was made to fail, and yet: %s", strerror(-ret));
			break;
		}
		EXPECT_TRUE(nth_clean_error(ret))
			TH_LOG("failure %u: %s", n, strerror(-ret));
		failed += ret != 0;
	}
	ASSERT_GE(NTH_MOST, n);
	/* At least one failure must have been there to see, or this tests nothing. */
	EXPECT_LT(1, n);
	TH_LOG("%u failure points, %u of them seen by the caller", n - 1, failed);
}

FIXTURE(nth)
{
	int dummy;
};

FIXTURE_SETUP(nth)
{
	const char *lacks = nth_begin();

	if (lacks)
		SKIP(return, "%s", lacks);
}

FIXTURE_TEARDOWN(nth)
{
	nth_end();
}

/* ---- /dev/vbe ----------------------------------------------------------------------------- */

static int chain_control(struct chain *c)
{
	struct vbe_info i = { .size = sizeof(i) };
	int fd = open(VBE_NODE, O_RDWR | O_CLOEXEC), ret;
	char text[VBE_ERROR_TEXT_MAX];

	(void)c;
	if (fd < 0)
		return -errno;
	ret = xioctl(fd, VBE_IOC_INFO, &i);
	if (!ret)
		ret = error_text(fd, text, sizeof(text));
	close(fd);
	return ret;
}

TEST_F_TIMEOUT(nth, control, NTH_TIMEOUT)
{
	sweep(_metadata, NO_DEVICE, chain_control);
}

static int chain_open(struct chain *c)
{
	struct vbe_dev_open o = { .size = sizeof(o), .name = NAME, .out_fd = -1 };
	int ret = xioctl(c->ctl, VBE_IOC_DEV_OPEN, &o);

	if (!ret)
		c->fd = o.out_fd;
	return ret;
}

TEST_F_TIMEOUT(nth, dev_open, NTH_TIMEOUT)
{
	sweep(_metadata, MADE, chain_open);
}

/* ---- device fd ------------------------------------------------------------------------------ */

static int chain_setup(struct chain *c)
{
	return xioctl(c->fd, VBE_IOC_DEV_SETUP, &c->g->s);
}

TEST_F_TIMEOUT(nth, dev_setup, NTH_TIMEOUT)
{
	sweep(_metadata, OPEN, chain_setup);
}

/*
 * A set-up that failed can be done again; unless it was done, and only the struct
 * could not be copied back.
 */
static int chain_setup_twice(struct chain *c)
{
	struct vbe_dev_info i;
	int ret = chain_setup(c);

	if (ret == -EFAULT && !dev_info(c->fd, &i) && i.state == VBE_DEV_READY)
		return 0;
	return ret ? chain_setup(c) : 0;
}

TEST_F_TIMEOUT(nth, dev_setup_again, NTH_TIMEOUT)
{
	sweep(_metadata, OPEN, chain_setup_twice);
}

static int chain_info(struct chain *c)
{
	struct vbe_mem_query w = { .size = sizeof(w) };
	struct vbe_queue_info q;
	struct vbe_dev_info i;
	int ret = dev_info(c->fd, &i);

	if (!ret)
		ret = queue_info(c->fd, 1, &q);
	if (!ret)
		ret = xioctl(c->fd, VBE_IOC_MEM_QUERY, &w);
	return ret;
}

TEST_F_TIMEOUT(nth, infos, NTH_TIMEOUT)
{
	sweep(_metadata, SET_UP, chain_info);
}

static int chain_config(struct chain *c)
{
	struct vbe_config_rw rw = { .size = sizeof(rw), .len = 32, .buf = (uintptr_t)c->page };
	int ret = xioctl(c->fd, VBE_IOC_CONFIG_WRITE, &rw);

	return ret ? ret : xioctl(c->fd, VBE_IOC_CONFIG_READ, &rw);
}

TEST_F_TIMEOUT(nth, config, NTH_TIMEOUT)
{
	sweep(_metadata, SET_UP, chain_config);
}

static int chain_fds(struct chain *c)
{
	int ret = queue_fds(c->fd, 0, 3, c->ev, c->ev);

	if (!ret)
		ret = xioctl(c->fd, VBE_IOC_QUEUE_CALL, (void *)0);
	if (!ret && eventfd_write(c->ev, 1))
		ret = -errno;
	if (!ret)
		ret = queue_fds(c->fd, 0, 3, -1, -1);
	return ret;
}

TEST_F_TIMEOUT(nth, queue_fds, NTH_TIMEOUT)
{
	sweep(_metadata, SET_UP, chain_fds);
}

static int chain_online(struct chain *c)
{
	return dev_simple(c->fd, VBE_IOC_DEV_ONLINE);
}

TEST_F_TIMEOUT(nth, online, NTH_TIMEOUT)
{
	sweep(_metadata, SET_UP, chain_online);
}

static int chain_offline(struct chain *c)
{
	return dev_simple(c->fd, VBE_IOC_DEV_OFFLINE);
}

TEST_F_TIMEOUT(nth, offline, NTH_TIMEOUT)
{
	sweep(_metadata, ONLINE, chain_offline);
}

/* There is nothing to complete: ENOENT is what it says when all goes well. */
static int chain_complete(struct chain *c)
{
	int ret = dev_complete(c->fd, 1, 0);

	return ret == -ENOENT ? 0 : ret;
}

TEST_F_TIMEOUT(nth, complete, NTH_TIMEOUT)
{
	sweep(_metadata, ONLINE, chain_complete);
}

static int chain_read(struct chain *c)
{
	struct vbe_event ev;

	/* RESIZE was posted before, without failures: see the test. */
	return read(c->fd, &ev, sizeof(ev)) == sizeof(ev) ? 0 : -errno;
}

static int chain_resize_and_read(struct chain *c)
{
	struct nl_msg m;
	int ret;

	nl_start(&c->nl, &m, VBE_CMD_DEV_SET, 0);
	nl_put_str(&m, VBE_ATTR_NAME, NAME);
	nl_put(&m, VBE_ATTR_RESIZE, NULL, 0);
	ret = nl_talk(&c->nl, &m, NULL, NULL);
	return ret ? ret : chain_read(c);
}

TEST_F_TIMEOUT(nth, events, NTH_TIMEOUT)
{
	sweep(_metadata, OPEN, chain_resize_and_read);
}

/* The first window without restrictions. */
static int data_window(struct chain *c, struct vbe_mem_query *w)
{
	int ret;

	*w = (struct vbe_mem_query){ .size = sizeof(*w) };
	while (!(ret = xioctl(c->fd, VBE_IOC_MEM_QUERY, w)) && w->flags)
		w->index++;
	return ret;
}

static int chain_copy(struct chain *c)
{
	struct vbe_copy_entry *e = (void *)c->page;
	struct vbe_mem_copy m = { .size = sizeof(m), .n = 2, .flags = VBE_COPY_F_TO_FE,
				  .entries = (uintptr_t)e };
	struct vbe_mem_query w;
	int ret = data_window(c, &w), i;

	if (ret)
		return ret;
	for (i = 0; i < 2; i++)
		e[i] = (struct vbe_copy_entry){ w.fe_addr, (uintptr_t)c->page + 2048, 64, 0 };
	ret = xioctl(c->fd, VBE_IOC_MEM_COPY, &m);
	/* One entry's failure is that entry's alone. */
	if (!ret && m.out_failed)
		ret = e[0].status ?: e[1].status;
	return ret;
}

TEST_F_TIMEOUT(nth, mem_copy, NTH_TIMEOUT)
{
	sweep(_metadata, OPEN, chain_copy);
}

static int do_ranges(struct chain *c, unsigned long cmd, uint32_t flags, uint64_t fe_addr)
{
	struct vbe_mem_range *e = (void *)c->page;
	struct vbe_mem_map m = { .size = sizeof(m), .flags = flags, .n = 2,
				 .ranges = (uintptr_t)e };
	int ret, i;

	for (i = 0; i < 2; i++)
		e[i] = (struct vbe_mem_range){ .fe_addr = fe_addr + i * MAPPED, .len = MAPPED };
	ret = xioctl(c->fd, cmd, &m);
	if (!ret && m.out_failed)
		ret = e[0].status ?: e[1].status;
	return ret;
}

/* Mapped, touched by a copy, and given back. */
static int chain_ranges(struct chain *c)
{
	struct vbe_mem_query w;
	int ret = data_window(c, &w);

	if (!ret)
		ret = do_ranges(c, VBE_IOC_MEM_MAP, VBE_MAP_F_WRITE, w.fe_addr);
	if (!ret)
		ret = chain_copy(c);
	if (!ret)
		ret = do_ranges(c, VBE_IOC_MEM_UNMAP, 0, w.fe_addr);
	return ret;
}

TEST_F_TIMEOUT(nth, mem_ranges, NTH_TIMEOUT)
{
	sweep(_metadata, OPEN, chain_ranges);
}

static int map_window(struct chain *c, int fd)
{
	struct vbe_mem_query w;
	int ret = data_window(c, &w);
	void *p;

	if (ret)
		return ret;
	p = mmap(NULL, MAPPED, PROT_READ | PROT_WRITE, MAP_SHARED, fd, w.fe_addr);
	if (p == MAP_FAILED)
		return -errno;
	c->map = p;
	/* A page fault that cannot allocate is done again by the CPU. */
	c->map[0] = 1;
	c->map[MAPPED - 1] = 1;
	return 0;
}

static int chain_map(struct chain *c)
{
	return map_window(c, c->fd);
}

TEST_F_TIMEOUT(nth, map, NTH_TIMEOUT)
{
	sweep(_metadata, OPEN, chain_map);
}

static int chain_mem_fd(struct chain *c)
{
	struct vbe_mem_fd m = { .size = sizeof(m) };
	int ret = xioctl(c->fd, VBE_IOC_MEM_FD, &m);

	if (ret)
		return ret;
	ret = map_window(c, m.out_fd);
	close(m.out_fd);
	return ret;
}

TEST_F_TIMEOUT(nth, mem_fd, NTH_TIMEOUT)
{
	sweep(_metadata, OPEN, chain_mem_fd);
}

/* ---- ends, which cannot fail -------------------------------------------------------------- */

static int chain_close(struct chain *c)
{
	close(c->fd);
	c->fd = -1;
	return 0;
}

static void sweep_close(struct __test_metadata *_metadata, enum stage stage)
{
	struct dev_state st;
	struct chain c;
	bool injected;
	int n;

	for (n = 1; n <= NTH_MOST; n++) {
		ASSERT_EQ(0, begin(&c, stage));
		ASSERT_EQ(0, chain_map(&c));
		munmap(c.map, MAPPED);
		c.map = NULL;
		nth_arm(n);
		chain_close(&c);
		injected = nth_disarm();
		ASSERT_EQ(0, dev_get(NAME, &st));
		EXPECT_EQ(0, st.backend_pid)
			TH_LOG("failure %d has kept the attachment alive", n);
		EXPECT_EQ(stage == ONLINE ? VBE_DEV_LOST : VBE_DEV_EMPTY, (int)st.state);
		EXPECT_EQ(0, end(&c));
		if (!injected)
			break;
	}
	ASSERT_GE(NTH_MOST, n);
}

TEST_F_TIMEOUT(nth, close_ready, NTH_TIMEOUT)
{
	sweep_close(_metadata, SET_UP);
}

TEST_F_TIMEOUT(nth, close_online, NTH_TIMEOUT)
{
	sweep_close(_metadata, ONLINE);
}

/* ---- netlink -------------------------------------------------------------------------------- */

static int chain_new(struct chain *c)
{
	struct nl_msg m;

	nl_start(&c->nl, &m, VBE_CMD_DEV_NEW, 0);
	nl_put_str(&m, VBE_ATTR_NAME, NAME);
	nl_put_str(&m, VBE_ATTR_PROVIDER, "loop");
	nl_put_u64(&m, VBE_ATTR_WINDOW_SIZE, 1 << 20);
	return nl_talk(&c->nl, &m, NULL, NULL);
}

TEST_F_TIMEOUT(nth, netlink_new, NTH_TIMEOUT)
{
	sweep(_metadata, NO_DEVICE, chain_new);
}

static int chain_set(struct chain *c)
{
	struct nl_msg m;

	nl_start(&c->nl, &m, VBE_CMD_DEV_SET, 0);
	nl_put_str(&m, VBE_ATTR_NAME, NAME);
	nl_put_u32(&m, VBE_ATTR_UID, 7);
	nl_put_u32(&m, VBE_ATTR_LOSS_POLICY, VBE_LOSS_FAIL);
	nl_put_u32(&m, VBE_ATTR_RESET_TIMEOUT_MS, 300);
	return nl_talk(&c->nl, &m, NULL, NULL);
}

TEST_F_TIMEOUT(nth, netlink_set, NTH_TIMEOUT)
{
	sweep(_metadata, MADE, chain_set);
}

static int ask(struct chain *c, uint8_t cmd, uint16_t flags, bool named)
{
	struct nl_msg m;

	nl_start(&c->nl, &m, cmd, flags);
	if (named)
		nl_put_str(&m, VBE_ATTR_NAME, NAME);
	return nl_talk(&c->nl, &m, NULL, NULL);
}

static int chain_get(struct chain *c)
{
	return ask(c, VBE_CMD_DEV_GET, 0, true);
}

TEST_F_TIMEOUT(nth, netlink_get, NTH_TIMEOUT)
{
	sweep(_metadata, ONLINE, chain_get);
}

static int chain_dump(struct chain *c)
{
	return ask(c, VBE_CMD_DEV_GET, NLM_F_DUMP, false);
}

TEST_F_TIMEOUT(nth, netlink_dump, NTH_TIMEOUT)
{
	sweep(_metadata, ONLINE, chain_dump);
}

static int chain_queues(struct chain *c)
{
	return ask(c, VBE_CMD_QUEUE_GET, NLM_F_DUMP, true);
}

TEST_F_TIMEOUT(nth, netlink_queues, NTH_TIMEOUT)
{
	sweep(_metadata, ONLINE, chain_queues);
}

static int chain_windows(struct chain *c)
{
	return ask(c, VBE_CMD_WINDOW_GET, NLM_F_DUMP, true);
}

TEST_F_TIMEOUT(nth, netlink_windows, NTH_TIMEOUT)
{
	sweep(_metadata, ONLINE, chain_windows);
}

static int chain_providers(struct chain *c)
{
	return ask(c, VBE_CMD_PROVIDER_GET, NLM_F_DUMP, false);
}

TEST_F_TIMEOUT(nth, netlink_providers, NTH_TIMEOUT)
{
	sweep(_metadata, MADE, chain_providers);
}

static int chain_del(struct chain *c)
{
	return ask(c, VBE_CMD_DEV_DEL, 0, true);
}

TEST_F_TIMEOUT(nth, netlink_del, NTH_TIMEOUT)
{
	sweep(_metadata, MADE, chain_del);
}

/* With a backend, a front-end, and memory that is mapped. */
static int chain_del_online(struct chain *c)
{
	int ret = chain_del(c);
	uint64_t i;

	/* and the scratch memory that it leaves */
	for (i = 0; c->map && i < MAPPED; i += 4096)
		c->map[i] = 1;
	return ret;
}

static int chain_map_and_del(struct chain *c)
{
	int ret = chain_map(c);

	return ret ? ret : chain_del_online(c);
}

TEST_F_TIMEOUT(nth, netlink_del_online, NTH_TIMEOUT)
{
	sweep(_metadata, ONLINE, chain_map_and_del);
}

static int chain_subscribe(struct chain *c)
{
	int ret = nl_subscribe(&c->nl);

	return ret ? ret : chain_set(c);
}

TEST_F_TIMEOUT(nth, netlink_events, NTH_TIMEOUT)
{
	sweep(_metadata, MADE, chain_subscribe);
}

TEST_HARNESS_MAIN
