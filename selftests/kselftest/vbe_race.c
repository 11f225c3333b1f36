// SPDX-License-Identifier: GPL-2.0
/*
 * Life-cycle races, each for VBE_RACE_SECONDS (5): eventfds closed, replaced and
 * detached under traffic; deletion against everything; backends that compete; fds
 * that are inherited and passed on. What is looked for is mostly what a debug
 * kernel then says; the tests themselves check that nobody hangs, that exactly one
 * wins, and that the device still works afterwards.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "be.h"
#include "check.h"
#include "dev.h"
#include "io.h"

#define NAME	"kst-race"
#define DISK	(4U << 20)
#define LIMIT	COMES_MS
#define SECONDS	env_seconds("VBE_RACE_SECONDS", 5)

/* Time for the longest of all: set-up, the race itself, the end. */
#define TIMEOUT	600

FIXTURE(race)
{
	struct be *be;
	char virtio[32];
	char node[32];
};

FIXTURE_SETUP(race)
{
	struct dev_params p = dev_defaults(NAME);

	p.reset_ms = 500;
	ASSERT_EQ(0, dev_fresh(&p))
		TH_LOG("cannot make a loop device: %s", dev_text);
	if (!exists("/sys/bus/virtio/drivers/virtio_blk"))
		modprobe("virtio_blk");
	self->be = be_new(BE_BLK);
	be_make_disk(self->be, DISK);
}

FIXTURE_TEARDOWN(race)
{
	int ret;

	be_free(self->be);
	ret = dev_del(NAME);
	EXPECT_TRUE(ret == 0 || ret == -ENOENT)
		TH_LOG("dev del: %d %s", ret, dev_text);
}

/* ---- threads that run until told to stop ------------------------------------------ */

/**
 * struct racer - one thread of a race
 * @fn: done again and again; other than 0 ends it
 * @fd: for @fn
 * @slot: for @fn: an fd that another racer changes
 * @rounds: how often it was done
 * @bad: what it ended with
 */
struct racer {
	int (*fn)(struct racer *r);
	int fd;
	volatile int *slot;
	volatile bool *stop;
	volatile long rounds;
	volatile int bad;
	pthread_t thread;
};

static void *race(void *arg)
{
	struct racer *r = arg;

	while (!*r->stop && !r->bad) {
		r->bad = r->fn(r);
		r->rounds++;
	}
	return NULL;
}

static bool has_raced(void *arg)
{
	struct racer *r = arg;

	return r->rounds || r->bad;
}

static void run_race(struct __test_metadata *_metadata, struct racer *r, int n)
{
	static volatile bool stop;
	int i;

	stop = false;
	for (i = 0; i < n; i++) {
		r[i].stop = &stop;
		ASSERT_EQ(0, pthread_create(&r[i].thread, NULL, race, &r[i]));
	}
	sleep_ms(1000 * SECONDS);
	/* On a machine that stood still, one may not have come to it yet. */
	for (i = 0; i < n; i++)
		wait_until(has_raced, &r[i], LIMIT);
	stop = true;
	for (i = 0; i < n; i++) {
		pthread_join(r[i].thread, NULL);
		EXPECT_EQ(0, r[i].bad)
			TH_LOG("racer %d: %s", i, strerror(-r[i].bad));
		EXPECT_LT(0, r[i].rounds)
			TH_LOG("racer %d did nothing", i);
	}
}

static void up_disk(struct __test_metadata *_metadata, struct be *be, char *virtio, char *node)
{
	ASSERT_DONE(be_up(be, NAME));
	ASSERT_TRUE(fe_wait_driver(NAME, "virtio_blk", virtio, LIMIT))
		TH_LOG("virtio_blk has not bound; backend: %s", be->broken ?: "well");
	ASSERT_TRUE(fe_block(virtio, node, LIMIT) && io_settle(node));
}

#define UP_DISK()	up_disk(_metadata, self->be, self->virtio, self->node)

/* A device that is READY, with two queues and no front-end. */
static int ready_device(void)
{
	static struct good_setup g;
	int fd = dev_open(NAME), ret;

	if (fd < 0)
		return fd;
	good_setup(&g);
	g.s.virtio_id = 0x3f;
	g.s.n_queues = 2;
	g.sizes[1] = 64;
	ret = xioctl(fd, VBE_IOC_DEV_SETUP, &g.s);
	return ret < 0 ? ret : fd;
}

static bool tolerated(int ret, int e1, int e2)
{
	return ret >= 0 || ret == -e1 || ret == -e2;
}

/* ---- eventfds ------------------------------------------------------------------------ */

/* Attach an eventfd and close it: HUP. Another thread meanwhile detaches. */
static int attach_and_close(struct racer *r)
{
	int ev = eventfd(0, EFD_NONBLOCK), ret;

	if (ev < 0)
		return -errno;
	ret = queue_fds(r->fd, 0, VBE_FDS_F_CALL, -1, ev);
	eventfd_write(ev, 1);
	close(ev);
	return ret < 0 ? ret : 0;
}

static int detach_call(struct racer *r)
{
	int ret = queue_fds(r->fd, 0, VBE_FDS_F_CALL, -1, -1);

	return ret < 0 ? ret : 0;
}

static int detach_kick(struct racer *r)
{
	int ret = queue_fds(r->fd, 0, VBE_FDS_F_KICK, -1, -1);

	return ret < 0 ? ret : 0;
}

static int attach_kick_and_close(struct racer *r)
{
	int ev = eventfd(0, EFD_NONBLOCK), ret;

	if (ev < 0)
		return -errno;
	ret = queue_fds(r->fd, 0, VBE_FDS_F_KICK, ev, -1);
	close(ev);
	return ret < 0 ? ret : 0;
}

static int call_queue(struct racer *r)
{
	int ret = xioctl(r->fd, VBE_IOC_QUEUE_CALL, (void *)0);

	return ret < 0 ? ret : 0;
}

TEST_F_TIMEOUT(race, hup_against_detach, TIMEOUT)
{
	int fd = ready_device();
	struct racer r[] = {
		{ .fn = attach_and_close, .fd = fd },
		{ .fn = attach_and_close, .fd = fd },
		{ .fn = detach_call, .fd = fd },
		{ .fn = call_queue, .fd = fd },
	};

	ASSERT_LE(0, fd);
	run_race(_metadata, r, ARRAY_LEN(r));
	close(fd);
}

/* HUP of eventfds while their whole device comes and goes. */
static int attach_close_device(struct racer *r)
{
	int ev = eventfd(0, EFD_NONBLOCK), fd = ready_device();

	(void)r;
	if (fd >= 0) {
		queue_fds(fd, 0, VBE_FDS_F_CALL | VBE_FDS_F_KICK, ev, ev);
		close(ev);
		close(fd);
		return 0;
	}
	close(ev);
	return tolerated(fd, EBUSY, ENOENT) || fd == -ENODEV ? 0 : fd;
}

static int remake(struct racer *r)
{
	int ret = dev_del(NAME);

	(void)r;
	if (!ret || ret == -ENOENT)
		ret = dev_add_named(NAME);
	return ret;
}

TEST_F_TIMEOUT(race, hup_against_close, TIMEOUT)
{
	struct racer r[] = { { .fn = attach_close_device } };

	run_race(_metadata, r, ARRAY_LEN(r));
}

TEST_F_TIMEOUT(race, hup_against_delete, TIMEOUT)
{
	struct racer r[] = { { .fn = attach_close_device }, { .fn = remake } };

	run_race(_metadata, r, ARRAY_LEN(r));
}

/* ---- under I/O -------------------------------------------------------------------------- */

static char race_node[32];

static int do_io(struct racer *r)
{
	uint32_t at = (r->rounds % 32) * 65536;
	uint8_t byte = r->rounds;
	int got = io_now(io_write(race_node, at, 65536, byte));

	if (got == IO_GOOD)
		got = io_now(io_check(race_node, at, 65536, byte));
	return got == IO_GOOD ? 0 : -EIO;
}

/* Kicks go to an fd that is replaced all the time; what is latched must not be lost. */
static int replace_kick(struct racer *r)
{
	int a = eventfd(0, EFD_NONBLOCK), ret;

	if (a < 0)
		return -errno;
	ret = queue_fds(r->fd, 0, VBE_FDS_F_KICK, a, -1);
	if (ret >= 0)
		ret = queue_fds(r->fd, 0, VBE_FDS_F_KICK, *r->slot, -1);
	close(a);
	return ret < 0 ? ret : 0;
}

static int replace_call(struct racer *r)
{
	int a = eventfd(0, EFD_NONBLOCK), ret;

	if (a < 0)
		return -errno;
	ret = queue_fds(r->fd, 0, VBE_FDS_F_CALL, -1, a);
	eventfd_write(a, 1);
	if (ret >= 0)
		ret = queue_fds(r->fd, 0, VBE_FDS_F_CALL, -1, *r->slot);
	close(a);
	return ret < 0 ? ret : 0;
}

TEST_F_TIMEOUT(race, fds_replaced_under_io, TIMEOUT)
{
	volatile int *kick = &self->be->queues[0].kick, *call = &self->be->queues[0].call;
	struct racer r[3] = { { .fn = do_io } };

	UP_DISK();
	strcpy(race_node, self->node);
	r[1] = (struct racer){ .fn = replace_kick, .fd = self->be->fd, .slot = kick };
	r[2] = (struct racer){ .fn = replace_call, .fd = self->be->fd, .slot = call };
	run_race(_metadata, r, 3);
	EXPECT_EQ(IO_GOOD, io_now(io_write(self->node, 0, 65536, 1)));
	EXPECT_EQ(NULL, self->be->broken);
}

TEST_F_TIMEOUT(race, kick_detached_under_io, TIMEOUT)
{
	struct racer r[3] = { { .fn = do_io } };
	int kick;

	UP_DISK();
	strcpy(race_node, self->node);
	r[1] = (struct racer){ .fn = detach_kick, .fd = self->be->fd };
	r[2] = (struct racer){ .fn = attach_kick_and_close, .fd = self->be->fd };
	/* The backend looks at its rings each tick: it gets on without kicks. */
	run_race(_metadata, r, 3);
	kick = self->be->queues[0].kick;
	EXPECT_DONE(queue_fds(self->be->fd, 0, VBE_FDS_F_KICK, kick, -1));
	EXPECT_EQ(IO_GOOD, io_now(io_write(self->node, 0, 65536, 1)));
}

/* The device fd is closed while the driver kicks; the next backend goes on. */
TEST_F_TIMEOUT(race, close_against_kick, TIMEOUT)
{
	int64_t end = now_ms() + 1000 * SECONDS;
	int round = 0;
	pid_t io;

	UP_DISK();
	while (now_ms() < end || round < 2) {
		self->be->stall = true;
		io = io_write(self->node, 0, 1 << 20, round++);
		be_drop(self->be);
		self->be->stall = false;
		ASSERT_DONE(be_up(self->be, NAME));
		ASSERT_EQ(IO_GOOD, io_now(io))
			TH_LOG("round %d; backend: %s", round, self->be->broken ?: "well");
	}
}

/* ---- open, delete, compete ----------------------------------------------------------------- */

static int open_and_use(struct racer *r)
{
	int fd = dev_open(NAME);
	struct vbe_dev_info i;
	struct vbe_event ev;
	void *p;

	(void)r;
	if (fd < 0)
		return fd == -EBUSY || fd == -ENOENT || fd == -ENODEV ? 0 : fd;
	dev_info(fd, &i);
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	read_event(fd, &ev, 0);
	if (p != MAP_FAILED) {
		*(volatile char *)p = 1;
		munmap(p, 4096);
	}
	close(fd);
	return 0;
}

TEST_F_TIMEOUT(race, delete_against_open, TIMEOUT)
{
	struct racer r[] = {
		{ .fn = open_and_use }, { .fn = open_and_use }, { .fn = remake },
	};

	run_race(_metadata, r, ARRAY_LEN(r));
}

static int delete_only(struct racer *r)
{
	int ret = dev_del(NAME);

	(void)r;
	return ret == -ENOENT || ret == -EBUSY || ret == -ENODEV ? 0 : ret;
}

static int add_only(struct racer *r)
{
	int ret = dev_add_named(NAME);

	(void)r;
	return ret == -EEXIST ? 0 : ret;
}

TEST_F_TIMEOUT(race, delete_against_delete, TIMEOUT)
{
	struct racer r[] = {
		{ .fn = delete_only }, { .fn = delete_only }, { .fn = add_only },
		{ .fn = open_and_use },
	};

	run_race(_metadata, r, ARRAY_LEN(r));
	dev_add_named(NAME);
}

/* The full way up against deletion: probe, I/O, whatever it is just doing. */
static int up_and_drop(struct racer *r)
{
	struct be *be = be_new(BE_BLK);
	int ret;

	be_make_disk(be, 1 << 20);
	ret = be_up(be, NAME);
	if (!ret)
		sleep_ms(r->rounds % 50);
	if (ret == -EINVAL)	/* what another took online and lost, of another shape */
		ret = 0;
	be_free(be);
	return ret == -EBUSY || ret == -ENOENT || ret == -ENODEV ? 0 : ret;
}

TEST_F_TIMEOUT(race, delete_against_online, TIMEOUT)
{
	struct racer r[] = { { .fn = up_and_drop }, { .fn = remake } };

	run_race(_metadata, r, ARRAY_LEN(r));
}

/* All ioctls on a device that goes away under them. */
static int use_ready(struct racer *r)
{
	int fd = ready_device(), i;
	struct vbe_queue_info q;

	(void)r;
	if (fd < 0)
		return fd == -EBUSY || fd == -ENOENT || fd == -ENODEV ? 0 : fd;
	for (i = 0; i < 50; i++) {
		int ev = eventfd(0, 0), ret = queue_fds(fd, i & 1, 3, ev, ev);

		if (ret >= 0)
			ret = queue_info(fd, i & 1, &q);
		if (ret >= 0)
			ret = xioctl(fd, VBE_IOC_QUEUE_CALL, (void *)0);
		close(ev);
		if (ret < 0 && ret != -ENODEV)
			return ret;
	}
	close(fd);
	return 0;
}

TEST_F_TIMEOUT(race, delete_against_ioctl, TIMEOUT)
{
	struct racer r[] = { { .fn = use_ready }, { .fn = remake } };

	run_race(_metadata, r, ARRAY_LEN(r));
}

/* Both want it at the same moment: exactly one gets it, the other hears EBUSY. */
TEST_F_TIMEOUT(race, two_backends, TIMEOUT)
{
	int64_t end = now_ms() + 1000 * SECONDS;
	long rounds = 0;

	while (now_ms() < end || !rounds) {
		int go[2], done[2], got[2], status, i, busy = 0, won = 0;
		pid_t pid[2];

		ASSERT_EQ(0, pipe(go));
		ASSERT_EQ(0, pipe(done));
		for (i = 0; i < 2; i++) {
			pid[i] = fork();
			if (!pid[i]) {
				char c;
				int fd;

				close(go[1]);
				close(done[1]);
				if (read(go[0], &c, 1) < 0)
					_exit(99);
				fd = dev_open(NAME);
				/* The winner keeps it until both have tried. */
				if (fd >= 0 && read(done[0], &c, 1) < 0)
					_exit(99);
				_exit(fd < 0 ? -fd : 0);
			}
		}
		close(go[1]);
		/* Only the loser comes back before "done". */
		for (i = 0; i < COMES_MS && !busy; i++) {
			pid_t first = waitpid(-1, &status, WNOHANG);

			if (first > 0) {
				busy = WIFEXITED(status) && WEXITSTATUS(status) == EBUSY;
				pid[first == pid[1]] = 0;
				break;
			}
			sleep_ms(1);
		}
		EXPECT_EQ(1, busy);
		close(done[1]);
		for (i = 0; i < 2; i++) {
			got[i] = pid[i] ? wait_child(pid[i], COMES_MS) : -1;
			won += got[i] == 0;
		}
		ASSERT_EQ(1, won);
		close(go[0]);
		close(done[0]);
		rounds++;
	}
}

/* ---- inherited and passed on ---------------------------------------------------- */

/* The attachment ends with the last fd, not with the process that opened it. */
TEST_F(race, fork_keeps_the_attachment)
{
	int fd = ready_device(), pipes[2], next;
	char c = 0;
	pid_t pid;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, pipe(pipes));
	pid = fork();
	if (!pid) {
		struct vbe_dev_info i;

		close(pipes[1]);
		if (read(pipes[0], &c, 1) < 0)
			_exit(1);
		_exit(dev_info(fd, &i) || i.state != VBE_DEV_READY);
	}
	close(fd);
	next = dev_open(NAME);
	EXPECT_EQ(-EBUSY, next)
		TH_LOG("the parent's close has ended the child's attachment");
	EXPECT_TRUE(dev_wait_state(NAME, VBE_DEV_READY, COMES_MS));
	close(pipes[1]);
	EXPECT_EQ(0, wait_child(pid, COMES_MS));
	EXPECT_TRUE(dev_wait_state(NAME, VBE_DEV_EMPTY, COMES_MS));
	next = dev_open(NAME);
	EXPECT_LE(0, next);
	close(next);
	close(pipes[0]);
}

/* A sandboxed nobody serves the disk from an fd that it was sent. */
TEST_F(race, passed_to_nobody)
{
	int sv[2], fd, ret;
	pid_t pid;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	pid = fork();
	if (!pid) {
		keep_only(sv[1]);
		drop_to_nobody();
		if (dev_open(NAME) >= 0)
			_exit(10);	/* it must not open the device itself */
		fd = recv_fd(sv[1]);
		if (fd < 0)
			_exit(11);
		ret = be_take(self->be, fd);
		if (!ret)
			ret = be_setup(self->be);
		if (!ret)
			ret = be_online(self->be);
		if (!ret)
			ret = be_start(self->be);
		if (ret)
			_exit(12);
		pause();
		_exit(0);
	}
	fd = dev_open(NAME);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, send_fd(sv[0], fd));
	close(fd);
	EXPECT_TRUE(fe_wait_driver(NAME, "virtio_blk", self->virtio, LIMIT));
	EXPECT_TRUE(fe_block(self->virtio, self->node, LIMIT) && io_settle(self->node));
	EXPECT_EQ(IO_GOOD, io_now(io_write(self->node, 4096, 65536, 0x6e)));
	EXPECT_EQ(0x6e, self->be->disk[4096]);
	EXPECT_EQ(-ETIMEDOUT, wait_child(pid, 0));
	kill(pid, SIGKILL);
	wait_child(pid, COMES_MS);
	EXPECT_TRUE(dev_wait_state(NAME, VBE_DEV_LOST, COMES_MS));
	close(sv[0]);
	close(sv[1]);
}

static int open_as(uid_t uid, gid_t gid)
{
	pid_t pid;

	/* Who may use the node is udev's business; here everybody may. */
	chmod(VBE_NODE, 0666);
	pid = fork();
	if (!pid) {
		int fd;

		if (setgroups(0, NULL) || setresgid(gid, gid, gid) || setresuid(uid, uid, uid))
			_exit(99);
		fd = dev_open(NAME);
		_exit(fd < 0 ? -fd : 0);
	}
	return wait_child(pid, COMES_MS);
}

TEST_F(race, owner_and_stranger)
{
	struct dev_params p = dev_defaults(NAME);

	EXPECT_EQ(EACCES << 8, open_as(NOBODY, NOBODY));
	p.uid = NOBODY;
	ASSERT_EQ(0, dev_fresh(&p));
	EXPECT_EQ(0, open_as(NOBODY, NOBODY));
	EXPECT_EQ(EACCES << 8, open_as(1000, 1000));
	EXPECT_EQ(0, open_as(0, 0));
	p.uid = 0;
	p.gid = 1000;
	ASSERT_EQ(0, dev_fresh(&p));
	EXPECT_EQ(EACCES << 8, open_as(NOBODY, NOBODY));
	EXPECT_EQ(0, open_as(NOBODY, 1000));
}

/* ---- eventfds bent round --------------------------------------------------------------------- */

/* One eventfd as kick and call of a queue: each kick is a call. */
TEST_F(race, kick_is_call)
{
	int ev = eventfd(0, EFD_NONBLOCK), i;

	UP_DISK();
	ASSERT_DONE(queue_fds(self->be->fd, 0, 3, ev, ev));
	/* Nobody tells the backend, which looks by itself, and nobody the driver. */
	for (i = 0; i < 20; i++)
		eventfd_write(ev, 1);
	io_result(io_write(self->node, 0, 4096, 1), 500);
	ASSERT_DONE(queue_fds(self->be->fd, 0, 3, self->be->queues[0].kick,
			      self->be->queues[0].call));
	eventfd_write(self->be->queues[0].call, 1);
	EXPECT_EQ(IO_GOOD, io_now(io_write(self->node, 0, 4096, 2)));
	close(ev);
}

/* Two queues that call each other by their kicks: an endless loop, if one lets it. */
TEST_F(race, crossed_queues)
{
	int a = eventfd(0, EFD_NONBLOCK), b = eventfd(0, EFD_NONBLOCK), i;
	int fd = ready_device();

	ASSERT_LE(0, fd);
	ASSERT_DONE(queue_fds(fd, 0, 3, a, b));
	ASSERT_DONE(queue_fds(fd, 1, 3, b, a));
	ASSERT_DONE(dev_simple(fd, VBE_IOC_DEV_ONLINE));
	for (i = 0; i < 1000; i++) {
		eventfd_write(a, 1);
		eventfd_write(b, 1);
		xioctl(fd, VBE_IOC_QUEUE_CALL, (void *)(uintptr_t)(i & 1));
	}
	close(a);
	close(b);
	close(fd);
}

TEST_HARNESS_MAIN
