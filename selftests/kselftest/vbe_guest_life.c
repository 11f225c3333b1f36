// SPDX-License-Identifier: GPL-2.0
/*
 * Lives and deaths of a guest, its devices and their backends, and the eventfds that
 * go between them. Transport "direct", so that nothing is in the way.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>

#include "kselftest_harness.h"

#include "be.h"
#include "check.h"
#include "dev.h"
#include "driver.h"

#define NAME	"kst-gl"
#define RAM	0x80000000ULL
#define RAM_LEN	(4ULL << 20)
#define PAGE	4096ULL
#define REGS	0x10000000ULL
#define LONG	COMES_MS
#define SHORT_MS 3000	/* the reset time-out where nobody answers */

FIXTURE(life)
{
	struct guest *g;
	struct be *be;
	struct be *next;
	struct drv d;
	struct drv_blk_req r;
};

static struct be *disk_backend(void)
{
	struct be *be = be_new(BE_BLK);

	be_make_disk(be, 1 << 20);
	be->strict = true;
	return be;
}

FIXTURE_SETUP(life)
{
	self->g = guest_new(NAME);
	ASSERT_NE(NULL, self->g)
		TH_LOG("GUEST_NEW: %s", strerror(errno));
	ASSERT_DONE(guest_mem_add(self->g, RAM, RAM_LEN, 0));
	self->be = disk_backend();
	self->next = NULL;
	memset(&self->d, 0, sizeof(self->d));
}

FIXTURE_TEARDOWN(life)
{
	/* One that has lost its guest may have seen scratch memory before it was told. */
	if (!self->be->events[VBE_EVENT_GONE] && !self->be->events[VBE_EVENT_REVOKED])
		EXPECT_EQ(NULL, self->be->broken)
			TH_LOG("backend: %s", self->be->broken);
	EXPECT_FALSE(self->be->bad_seq);
	drv_exit(&self->d);
	be_free(self->be);
	be_free(self->next);
	guest_free(self->g);
	EXPECT_EQ(-ENOENT, dev_open(NAME))
		TH_LOG("the name is not free again");
}

/* Device, backend, driver; one request has been through. */
static void all_up(struct __test_metadata *_metadata, struct _test_data_life *self, uint32_t loss,
		   uint32_t drv_flags)
{
	struct vbe_guest_dev_add a = guest_dev_params(NAME, "direct", 0);

	a.loss_policy = loss;
	a.reset_timeout_ms = LONG;
	ASSERT_EQ(0, guest_dev_add_params(self->g, &a));
	ASSERT_EQ(0, be_up(self->be, NAME));
	drv_init(&self->d, self->g, 0, "direct", 0, drv_flags);
	drv_arena(&self->d, RAM, RAM_LEN);
	ASSERT_EQ(0, drv_up(&self->d, 0, 1, 64));
	ASSERT_EQ(0, drv_blk_req(&self->d, &self->r, 4096));
	ASSERT_EQ(VIRTIO_BLK_S_OK, drv_blk(&self->d, 0, &self->r, VIRTIO_BLK_T_IN, 0, LONG));
}

static int one_read(struct _test_data_life *self, int ms)
{
	return drv_blk(&self->d, 0, &self->r, VIRTIO_BLK_T_IN, 8, ms);
}

/* ---- death ----------------------------------------------------------------------- */

/* The backend's own view of guest memory, before and after. */
static void check_scratch(struct __test_metadata *_metadata, struct be *be)
{
	volatile uint8_t *p = be->windows[0].host;
	uint64_t i;

	for (i = 0; i < RAM_LEN; i += PAGE) {
		EXPECT_EQ(0, p[i]);
		p[i] = 1;
	}
}

TEST_F(life, closed_with_backend)
{
	all_up(_metadata, self, VBE_LOSS_HOLD, 0);
	memset(guest_host(self->g, RAM, RAM_LEN), 0xee, RAM_LEN);
	guest_close(self->g);
	EXPECT_TRUE(be_wait_event(self->be, VBE_EVENT_GONE, 1, LONG));
	be_stop(self->be);
	check_scratch(_metadata, self->be);
	/* What the VMM has of its memory is its own. */
	EXPECT_EQ(0xee, ((uint8_t *)guest_host(self->g, RAM, RAM_LEN))[PAGE]);
	EXPECT_EQ(-ENODEV, dev_simple(self->be->fd, VBE_IOC_DEV_OFFLINE));
}

TEST_F(life, died_with_backend)
{
	all_up(_metadata, self, VBE_LOSS_HOLD, 0);
	EXPECT_DONE(guest_die(self->g));
	EXPECT_TRUE(be_wait_event(self->be, VBE_EVENT_GONE, 1, LONG));
	be_stop(self->be);
	check_scratch(_metadata, self->be);
}

TEST_F(life, deleted_with_backend)
{
	struct vbe_guest_dev_info info;

	all_up(_metadata, self, VBE_LOSS_HOLD, 0);
	EXPECT_DONE(guest_dev_del(self->g, 0));
	EXPECT_TRUE(be_wait_event(self->be, VBE_EVENT_GONE, 1, LONG));
	EXPECT_WHY(self->g->fd, ENOENT, guest_dev_info(self->g, 0, &info));
	/* While the old backend still holds its fd, name and number are free. */
	EXPECT_EQ(0, guest_dev_add(self->g, NAME, "direct", 0));
	be_stop(self->be);
	check_scratch(_metadata, self->be);
}

TEST_F(life, administrator_deletes)
{
	struct vbe_guest_event ev;

	all_up(_metadata, self, VBE_LOSS_HOLD, 0);
	EXPECT_EQ(0, dev_del(NAME));
	EXPECT_TRUE(be_wait_event(self->be, VBE_EVENT_GONE, 1, LONG));
	EXPECT_EQ(0, guest_wait_event(self->g, VBE_GUEST_EVENT_GONE, 0, &ev, LONG));
	EXPECT_WHY(self->g->fd, ENODEV, guest_kick(self->g, 0, 0));
	EXPECT_WHY(self->g->fd, ENODEV, guest_status(self->g, 0, 0));
}

/* The VMM is killed: what it had goes, whatever it was doing. */
TEST_F(life, killed)
{
	int pipes[2], ready = 0;
	pid_t pid;

	ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC));
	pid = fork();
	if (!pid) {
		struct guest *g = guest_new(NAME "-k");

		guest_mem_add(g, RAM, RAM_LEN, 0);
		ready = guest_dev_add(g, NAME, "direct", 0);
		if (write(pipes[1], &ready, sizeof(ready)) < 0)
			_exit(1);
		for (;;)
			pause();
	}
	ASSERT_EQ((ssize_t)sizeof(ready), read(pipes[0], &ready, sizeof(ready)));
	ASSERT_EQ(0, ready);
	ASSERT_EQ(0, be_up(self->be, NAME));
	kill(pid, SIGKILL);
	EXPECT_TRUE(be_wait_event(self->be, VBE_EVENT_GONE, 1, LONG));
	EXPECT_EQ(SIGKILL, wait_child(pid, LONG));
	be_stop(self->be);
	check_scratch(_metadata, self->be);
	close(pipes[0]);
	close(pipes[1]);
}

/* ---- copies of the guest fd ------------------------------------------------------ */

static bool name_is_free(void *arg)
{
	int fd = dev_open(arg);

	if (fd >= 0)
		close(fd);
	return fd == -ENOENT;
}

TEST_F(life, passed_on)
{
	int socks[2], fd, status;
	struct guest *g;
	pid_t pid;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socks));
	pid = fork();
	if (!pid) {
		guest_close(self->g);
		fd = recv_fd(socks[1]);
		if (fd < 0)
			_exit(1);
		g = guest_take(fd);
		if (guest_dev_add(g, NAME, "direct", 0) != 0)
			_exit(2);
		/* The other copy is closed by now. */
		if (read(socks[1], &fd, 1) != 1 || guest_dev_del(g, 0) ||
		    guest_dev_add(g, NAME, "direct", 0) != 0)
			_exit(3);
		if (write(socks[1], "x", 1) != 1 || read(socks[1], &fd, 1) != 1)
			_exit(4);
		_exit(0);
	}
	ASSERT_EQ(0, send_fd(socks[0], self->g->fd));
	guest_close(self->g);
	ASSERT_EQ(1, write(socks[0], "x", 1));
	ASSERT_EQ(1, read(socks[0], &fd, 1));
	EXPECT_FALSE(name_is_free(NAME));
	ASSERT_EQ(1, write(socks[0], "x", 1));
	status = wait_child(pid, LONG);
	EXPECT_EQ(0, status)
		TH_LOG("step %d", WEXITSTATUS(status));
	/* That was the last one. */
	EXPECT_TRUE(wait_until(name_is_free, NAME, LONG));
	close(socks[0]);
	close(socks[1]);
}

TEST_F(life, forked)
{
	int status, pipes[2];
	pid_t pid;
	char c;

	all_up(_metadata, self, VBE_LOSS_HOLD, 0);
	ASSERT_EQ(0, pipe(pipes));
	pid = fork();
	if (!pid) {
		/* Both copies drive the same guest; this one until it is told to end. */
		close(pipes[1]);
		if (read(pipes[0], &c, 1) < 0)
			_exit(2);
		_exit(guest_kick(self->g, 0, 0) ? 1 : 0);
	}
	guest_close(self->g);
	EXPECT_FALSE(be_wait_event(self->be, VBE_EVENT_GONE, 1, 100));
	close(pipes[0]);
	close(pipes[1]);
	status = wait_child(pid, LONG);
	EXPECT_EQ(0, status);
	EXPECT_TRUE(be_wait_event(self->be, VBE_EVENT_GONE, 1, LONG));
}

/* ---- calls that wait, while things go -------------------------------------------- */

struct waiter {
	struct guest *g;
	int ret;
	volatile bool done;
};

static void *resetter(void *arg)
{
	struct waiter *w = arg;

	w->ret = guest_status(w->g, 0, 0);
	w->done = true;
	return NULL;
}

static bool told_the_end(void *arg)
{
	struct be *be = arg;

	return be->events[VBE_EVENT_GONE] || be->events[VBE_EVENT_REVOKED];
}

TEST_F(life, die_while_resetting)
{
	struct waiter w = { .g = self->g };
	int64_t begin;
	pthread_t t;

	all_up(_metadata, self, VBE_LOSS_HOLD, 0);
	self->be->mute_reset = true;
	ASSERT_EQ(0, dev_set_reset_ms(NAME, SHORT_MS));
	begin = now_ms();
	ASSERT_EQ(0, pthread_create(&t, NULL, resetter, &w));
	EXPECT_TRUE(be_wait_event(self->be, VBE_EVENT_RESET, 1, LONG));
	/* Unless this machine stood still, it waits. */
	EXPECT_TRUE(!w.done || now_ms() - begin >= SHORT_MS);
	begin = now_ms();
	EXPECT_DONE(guest_die(self->g));
	EXPECT_GT(LONG, now_ms() - begin);
	pthread_join(t, NULL);
	EXPECT_TRUE(wait_until(told_the_end, self->be, LONG));
}

TEST_F(life, close_while_resetting)
{
	struct waiter w = { .g = self->g };
	pthread_t t;

	all_up(_metadata, self, VBE_LOSS_HOLD, 0);
	self->be->mute_reset = true;
	ASSERT_EQ(0, dev_set_reset_ms(NAME, SHORT_MS));
	ASSERT_EQ(0, pthread_create(&t, NULL, resetter, &w));
	EXPECT_TRUE(be_wait_event(self->be, VBE_EVENT_RESET, 1, LONG));
	guest_close(self->g);
	/* The call holds the file: death comes when it ends, in bounded time. */
	pthread_join(t, NULL);
	EXPECT_TRUE(wait_until(name_is_free, NAME, LONG));
}

static void *accessor(void *arg)
{
	struct waiter *w = arg;
	uint64_t data = 0;
	int ret;

	do
		ret = guest_access(w->g, VBE_SPACE_MMIO, REGS, 4, false, &data);
	while (ret >= 0 || ret == -ENOENT);
	w->ret = ret;
	return NULL;
}

TEST_F(life, die_while_accessing)
{
	struct waiter w[4];
	pthread_t t[4];
	int i;

	ASSERT_EQ(0, guest_dev_add(self->g, NAME, "mmio", REGS));
	for (i = 0; i < 4; i++) {
		w[i] = (struct waiter){ .g = self->g };
		ASSERT_EQ(0, pthread_create(&t[i], NULL, accessor, &w[i]));
	}
	for (i = 0; i < 20; i++) {
		ASSERT_DONE(guest_dev_del(self->g, 0));
		ASSERT_EQ(0, guest_dev_add(self->g, NAME, "mmio", REGS));
	}
	EXPECT_DONE(guest_die(self->g));
	for (i = 0; i < 4; i++) {
		pthread_join(t[i], NULL);
		EXPECT_EQ(-ENODEV, w[i].ret);
	}
}

/* ---- loss, as the guest sees it -------------------------------------------------- */

TEST_F(life, loss_hold)
{
	struct vbe_guest_dev_info info;

	all_up(_metadata, self, VBE_LOSS_HOLD, 0);
	be_drop(self->be);
	EXPECT_TRUE(guest_wait_state(self->g, 0, VBE_DEV_LOST, LONG));
	ASSERT_DONE(guest_dev_info(self->g, 0, &info));
	EXPECT_EQ(0, info.flags & VBE_GUEST_INFO_F_BACKEND);
	EXPECT_EQ(15, info.status);
	/* It just waits: what was asked for meanwhile is served by the next one. */
	ASSERT_EQ(0, drv_blk_add(&self->d, 0, &self->r, VIRTIO_BLK_T_IN, 0));
	ASSERT_EQ(0, drv_kick(&self->d, 0));
	EXPECT_EQ(-ETIMEDOUT, drv_wait(&self->d, 0, NULL, NULL, 100));
	ASSERT_EQ(0, be_up(self->be, NAME));
	EXPECT_EQ(1, drv_wait(&self->d, 0, NULL, NULL, LONG));
	EXPECT_EQ(VIRTIO_BLK_S_OK, one_read(self, LONG));
	EXPECT_TRUE(guest_wait_state(self->g, 0, VBE_DEV_ONLINE, LONG));
}

TEST_F(life, loss_reset)
{
	struct vbe_guest_dev_info info;

	all_up(_metadata, self, VBE_LOSS_RESET, 0);
	be_drop(self->be);
	EXPECT_EQ(1, drv_irq(&self->d, DRV_CONFIG, LONG));
	ASSERT_DONE(guest_dev_info(self->g, 0, &info));
	EXPECT_EQ(15 | VIRTIO_CONFIG_S_NEEDS_RESET, (int)info.status);
	ASSERT_EQ(0, drv_reset(&self->d));
	ASSERT_DONE(guest_dev_info(self->g, 0, &info));
	EXPECT_EQ(0, info.status);
	ASSERT_EQ(0, be_up(self->be, NAME));
	ASSERT_EQ(0, drv_up(&self->d, 0, 1, 64));
	EXPECT_EQ(VIRTIO_BLK_S_OK, one_read(self, LONG));
}

TEST_F(life, loss_fail)
{
	struct vbe_guest_dev_info info;

	all_up(_metadata, self, VBE_LOSS_FAIL, 0);
	be_drop(self->be);
	EXPECT_TRUE(guest_wait_state(self->g, 0, VBE_DEV_EMPTY, LONG));
	ASSERT_DONE(guest_dev_info(self->g, 0, &info));
	EXPECT_EQ(0, info.status);
	EXPECT_WHY(self->g->fd, ENOTCONN, guest_status(self->g, 0, 1));
	/* The next backend begins anew. */
	ASSERT_EQ(0, be_up(self->be, NAME));
	ASSERT_EQ(0, drv_up(&self->d, 0, 1, 64));
	EXPECT_EQ(VIRTIO_BLK_S_OK, one_read(self, LONG));
}

TEST_F(life, offline_refused)
{
	all_up(_metadata, self, VBE_LOSS_HOLD, 0);
	EXPECT_WHY(self->be->fd, EOPNOTSUPP, dev_simple(self->be->fd, VBE_IOC_DEV_OFFLINE));
	EXPECT_EQ(VIRTIO_BLK_S_OK, one_read(self, LONG));
	/* Without a driver nobody needs to be asked. */
	ASSERT_EQ(0, drv_reset(&self->d));
	EXPECT_DONE(be_leave(self->be, LONG));
	EXPECT_TRUE(guest_wait_state(self->g, 0, VBE_DEV_EMPTY, LONG));
}

TEST_F(life, features_refused)
{
	self->be->setup_flags = VBE_SETUP_F_ASK_FEATURES;
	self->be->refuse = true;
	ASSERT_EQ(0, guest_dev_add(self->g, NAME, "direct", 0));
	ASSERT_EQ(0, be_up(self->be, NAME));
	drv_init(&self->d, self->g, 0, "direct", 0, 0);
	drv_arena(&self->d, RAM, RAM_LEN);
	EXPECT_EQ(-EPERM, drv_up(&self->d, 0, 1, 64));
	EXPECT_TRUE(be_wait_event(self->be, VBE_EVENT_FEATURES, 1, LONG));
	self->be->refuse = false;
	EXPECT_EQ(0, drv_up(&self->d, 0, 1, 64));
	EXPECT_TRUE(be_wait_event(self->be, VBE_EVENT_FEATURES, 2, LONG));
}

/* A backend that does not answer a reset is taken its memory, and the driver goes on. */
TEST_F(life, reset_unanswered)
{
	int64_t begin;

	all_up(_metadata, self, VBE_LOSS_HOLD, 0);
	self->be->mute_reset = true;
	ASSERT_EQ(0, dev_set_reset_ms(NAME, SHORT_MS));
	begin = now_ms();
	EXPECT_EQ(0, drv_reset(&self->d));
	EXPECT_LE(SHORT_MS - 50, now_ms() - begin);
	EXPECT_TRUE(be_wait_event(self->be, VBE_EVENT_REVOKED, 1, LONG));
	be_stop(self->be);
	check_scratch(_metadata, self->be);
	self->next = disk_backend();
	be_drop(self->be);
	ASSERT_EQ(0, be_up(self->next, NAME));
	ASSERT_EQ(0, drv_up(&self->d, 0, 1, 64));
	EXPECT_EQ(VIRTIO_BLK_S_OK, one_read(self, LONG));
}

/* ---- KICK ------------------------------------------------------------------------ */

static uint32_t queue_flags(struct be *be)
{
	struct vbe_queue_info info;

	return queue_info(be->fd, 0, &info) < 0 ? 0 : info.flags;
}

/* The backend waits on the very eventfd of the VMM. */
TEST_F(life, kick_adopted)
{
	int i;

	self->be->adopt_kick = true;
	all_up(_metadata, self, VBE_LOSS_HOLD, DRV_F_KICK_FD);
	EXPECT_NE(0, queue_flags(self->be) & VBE_QUEUE_F_DIRECT_KICK);
	EXPECT_TRUE(self->be->queues[0].adopted);
	for (i = 0; i < 100; i++)
		ASSERT_EQ(VIRTIO_BLK_S_OK, one_read(self, LONG));
}

TEST_F(life, kick_not_adopted)
{
	int i;

	all_up(_metadata, self, VBE_LOSS_HOLD, DRV_F_KICK_FD);
	EXPECT_EQ(0, queue_flags(self->be) & VBE_QUEUE_F_DIRECT_KICK);
	for (i = 0; i < 100; i++)
		ASSERT_EQ(VIRTIO_BLK_S_OK, one_read(self, LONG));
}

/* Kicks while no backend is there are not lost, whether the next one adopts or not. */
static void kept_kick(struct __test_metadata *_metadata, struct _test_data_life *self, bool adopt)
{
	int round;

	self->be->adopt_kick = adopt;
	all_up(_metadata, self, VBE_LOSS_HOLD, DRV_F_KICK_FD);
	for (round = 0; round < 3; round++) {
		be_drop(self->be);
		ASSERT_EQ(0, drv_blk_add(&self->d, 0, &self->r, VIRTIO_BLK_T_IN, 0));
		ASSERT_EQ(0, drv_kick(&self->d, 0));
		ASSERT_EQ(0, be_up(self->be, NAME));
		EXPECT_EQ(1, drv_wait(&self->d, 0, NULL, NULL, LONG));
		EXPECT_EQ(VIRTIO_BLK_S_OK, one_read(self, LONG));
		self->be->adopt_kick = adopt ^ (round & 1);
	}
}

TEST_F(life, kick_kept_adopted)
{
	kept_kick(_metadata, self, true);
}

TEST_F(life, kick_kept_not_adopted)
{
	kept_kick(_metadata, self, false);
}

/* By hand, so that nothing else may be what woke it: count for count. */
TEST_F(life, kick_count_is_kept)
{
	int ev = eventfd(5, EFD_NONBLOCK | EFD_CLOEXEC), mine = guest_eventfd(), fd;
	struct vbe_queue_kick_fd k = { .size = sizeof(k) };
	struct good_setup *s = calloc(1, sizeof(*s));
	uint64_t one = 1, count = 0;

	ASSERT_EQ(0, guest_dev_add(self->g, NAME, "direct", 0));
	ASSERT_DONE(guest_set_fd(self->g, 0, VBE_GUEST_FD_KICK, 0, ev));
	fd = dev_open(NAME);
	ASSERT_LE(0, fd);
	good_setup(s);
	ASSERT_DONE(xioctl(fd, VBE_IOC_DEV_SETUP, &s->s));
	ASSERT_DONE(dev_simple(fd, VBE_IOC_DEV_ONLINE));
	ASSERT_DONE(xioctl(fd, VBE_IOC_QUEUE_KICK_FD, &k));
	EXPECT_EQ(FD_CLOEXEC, fcntl(k.out_fd, F_GETFD));
	/* What was written before there was anybody is there, and not one more. */
	ASSERT_EQ((ssize_t)sizeof(count), read(k.out_fd, &count, sizeof(count)));
	EXPECT_EQ(5, count);
	ASSERT_EQ((ssize_t)sizeof(one), write(ev, &one, sizeof(one)));
	EXPECT_EQ(1, guest_eventfd_wait(k.out_fd, LONG));
	/* An access on top goes the same way. */
	ASSERT_DONE(guest_kick(self->g, 0, 0));
	EXPECT_EQ(1, guest_eventfd_wait(k.out_fd, LONG));

	/* From now on through vbe, to one of the backend's own. */
	ASSERT_EQ((ssize_t)sizeof(one), write(ev, &one, sizeof(one)));
	ASSERT_DONE(queue_fds(fd, 0, VBE_FDS_F_KICK, mine, -1));
	EXPECT_NE(0, guest_eventfd_wait(mine, LONG))
		TH_LOG("what is pending stays pending");
	ASSERT_EQ((ssize_t)sizeof(one), write(ev, &one, sizeof(one)));
	EXPECT_NE(0, guest_eventfd_wait(mine, LONG));
	close(k.out_fd);
	close(fd);
	close(mine);
	close(ev);
	free(s);
}

/* The VMM takes its eventfd back, or brings another, while I/O goes on. */
static void replaced_kicks(struct __test_metadata *_metadata, struct _test_data_life *self)
{
	struct drv_queue *q = &self->d.queues[0];
	int i, old;

	for (i = 0; i < 10; i++) {
		ASSERT_EQ(VIRTIO_BLK_S_OK, one_read(self, LONG))
			TH_LOG("round %d", i);
		old = q->kick_fd;
		q->kick_fd = i % 3 == 1 ? -1 : guest_eventfd();
		ASSERT_DONE(guest_set_fd(self->g, 0, VBE_GUEST_FD_KICK, 0, q->kick_fd));
		if (old >= 0)
			close(old);
	}
	EXPECT_EQ(VIRTIO_BLK_S_OK, one_read(self, LONG));
}

TEST_F(life, kick_replaced_adopted)
{
	self->be->adopt_kick = true;
	all_up(_metadata, self, VBE_LOSS_HOLD, DRV_F_KICK_FD);
	replaced_kicks(_metadata, self);
	EXPECT_LE(1, self->be->events[VBE_EVENT_KICK_FD]);
}

TEST_F(life, kick_replaced_not_adopted)
{
	all_up(_metadata, self, VBE_LOSS_HOLD, DRV_F_KICK_FD);
	replaced_kicks(_metadata, self);
}

/* Two queues cannot tell kicks on one eventfd apart where vbe listens to it. */
TEST_F(life, kick_fd_elsewhere)
{
	int ev = guest_eventfd();

	all_up(_metadata, self, VBE_LOSS_HOLD, 0);
	ASSERT_DONE(guest_set_fd(self->g, 0, VBE_GUEST_FD_KICK, 0, ev));
	/* The same again is no other. */
	EXPECT_DONE(guest_set_fd(self->g, 0, VBE_GUEST_FD_KICK, 0, ev));
	ASSERT_EQ(1, guest_dev_add(self->g, NAME "-2", "direct", 0));
	EXPECT_DONE(guest_set_fd(self->g, 1, VBE_GUEST_FD_KICK, 0, ev));
	close(ev);
	EXPECT_EQ(VIRTIO_BLK_S_OK, one_read(self, LONG));
}

/* ---- CALL and CONFIG ------------------------------------------------------------- */

TEST_F(life, call_fd_or_event)
{
	struct vbe_guest_event ev;
	struct guest *g = self->g;
	int fd = guest_eventfd();

	all_up(_metadata, self, VBE_LOSS_HOLD, DRV_F_EVENTS);
	be_stop(self->be);
	guest_drop_events(g);

	/* Told once, however often it happened. */
	ASSERT_EQ(0, ioctl(self->be->fd, VBE_IOC_QUEUE_CALL, 0));
	ASSERT_EQ(0, ioctl(self->be->fd, VBE_IOC_QUEUE_CALL, 0));
	EXPECT_EQ(0, guest_wait_event(g, VBE_GUEST_EVENT_CALL, 0, &ev, LONG));
	EXPECT_EQ(0, ev.index);
	EXPECT_EQ(-ETIMEDOUT, guest_wait_event(g, VBE_GUEST_EVENT_CALL, 0, &ev, 50));

	/* What nobody has read goes to the eventfd that comes. */
	ASSERT_EQ(0, ioctl(self->be->fd, VBE_IOC_QUEUE_CALL, 0));
	ASSERT_DONE(guest_set_fd(g, 0, VBE_GUEST_FD_CALL, 0, fd));
	EXPECT_EQ(1, guest_eventfd_wait(fd, LONG));
	EXPECT_EQ(-ETIMEDOUT, guest_wait_event(g, VBE_GUEST_EVENT_CALL, 0, &ev, 50));

	/* From within the backend's own ioctl: no waiting here. */
	ASSERT_EQ(0, ioctl(self->be->fd, VBE_IOC_QUEUE_CALL, 0));
	EXPECT_EQ(1, guest_eventfd_wait(fd, 0));
	EXPECT_EQ(-1, ioctl(self->be->fd, VBE_IOC_QUEUE_CALL, 1));

	ASSERT_DONE(guest_set_fd(g, 0, VBE_GUEST_FD_CALL, 0, -1));
	ASSERT_EQ(0, ioctl(self->be->fd, VBE_IOC_QUEUE_CALL, 0));
	EXPECT_EQ(0, guest_eventfd_wait(fd, 50));
	EXPECT_EQ(0, guest_wait_event(g, VBE_GUEST_EVENT_CALL, 0, &ev, LONG));
	close(fd);
}

TEST_F(life, call_fd_replaced)
{
	struct drv_queue *q = &self->d.queues[0];
	int i, old;

	all_up(_metadata, self, VBE_LOSS_HOLD, 0);
	for (i = 0; i < 20; i++) {
		ASSERT_EQ(0, drv_blk_add(&self->d, 0, &self->r, VIRTIO_BLK_T_IN, 0));
		ASSERT_EQ(0, drv_kick(&self->d, 0));
		/* It comes by the old one, or by the new one, but it comes. */
		old = q->call_fd;
		q->call_fd = guest_eventfd();
		ASSERT_DONE(guest_set_fd(self->g, 0, VBE_GUEST_FD_CALL, 0, q->call_fd));
		if (guest_eventfd_wait(old, 0))
			drv_get(&self->d, 0, NULL, NULL);
		if (self->d.queues[0].in_flight)
			ASSERT_EQ(1, drv_wait(&self->d, 0, NULL, NULL, LONG));
		close(old);
	}
}

TEST_F(life, config_fd)
{
	struct vbe_config_rw w = { .size = sizeof(w), .offset = 0, .len = 8 };
	struct vbe_guest_dev_info info;
	uint64_t sectors = 4096, seen;
	uint32_t before, after;

	all_up(_metadata, self, VBE_LOSS_HOLD, 0);
	ASSERT_DONE(guest_config_read(self->g, 0, 0, &seen, 8, &before));
	w.buf = (uintptr_t)&sectors;
	ASSERT_DONE(xioctl(self->be->fd, VBE_IOC_CONFIG_WRITE, &w));
	EXPECT_EQ(1, drv_irq(&self->d, DRV_CONFIG, LONG));
	ASSERT_DONE(guest_config_read(self->g, 0, 0, &seen, 8, &after));
	EXPECT_EQ(sectors, seen);
	EXPECT_NE(before, after);
	ASSERT_DONE(guest_dev_info(self->g, 0, &info));
	EXPECT_EQ(after, info.config_generation);
}

static bool has_come_back(void *d)
{
	return drv_get(d, 0, NULL, NULL) == 1;
}

/* One guest's eventfd as another one's: they are wired together, and come apart again. */
TEST_F(life, call_is_kick)
{
	struct vbe_guest_dev_add a = guest_dev_params(NAME "-x", "direct", 0);
	int ev = guest_eventfd();

	all_up(_metadata, self, VBE_LOSS_HOLD, 0);
	ASSERT_EQ(1, guest_dev_add_params(self->g, &a));
	ASSERT_DONE(guest_set_fd(self->g, 0, VBE_GUEST_FD_CALL, 0, ev));
	ASSERT_DONE(guest_set_fd(self->g, 0, VBE_GUEST_FD_KICK, 0, ev));
	/* The call kicks the queue: nothing new there, so no further call. */
	ASSERT_EQ(0, drv_blk_add(&self->d, 0, &self->r, VIRTIO_BLK_T_IN, 0));
	ASSERT_DONE(guest_kick(self->g, 0, 0));
	EXPECT_TRUE(wait_until(has_come_back, &self->d, LONG));
	sleep_ms(100);
	ASSERT_DONE(guest_dev_del(self->g, 0));
	close(ev);
}

TEST_HARNESS_MAIN
