// SPDX-License-Identifier: GPL-2.0
/*
 * Events: read(), poll(), the bounded queue and its LOST marker. The events here
 * are RESIZE ones, which the administrator can send without any front-end.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "check.h"
#include "dev.h"

#define NAME	"kst-event"
#define FLOOD	200

FIXTURE(event)
{
	int fd;
};

FIXTURE_SETUP(event)
{
	struct dev_params p = dev_defaults(NAME);

	ASSERT_EQ(0, dev_fresh(&p))
		TH_LOG("cannot make a loop device: %s", dev_text);
	self->fd = dev_open(NAME);
	ASSERT_LE(0, self->fd)
		TH_LOG("DEV_OPEN: %s", strerror(-self->fd));
	ASSERT_EQ(0, fcntl(self->fd, F_SETFL, O_NONBLOCK));
}

FIXTURE_TEARDOWN(event)
{
	int ret;

	close(self->fd);
	ret = dev_del(NAME);
	EXPECT_TRUE(ret == 0 || ret == -ENOENT)
		TH_LOG("dev del: %d %s", ret, dev_text);
}

static short poll_now(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	poll(&p, 1, 0);
	return p.revents;
}

static int post(int n)
{
	int ret = 0;

	while (n-- && !ret)
		ret = dev_resize(NAME);
	return ret;
}

TEST_F(event, nothing_to_read)
{
	struct vbe_event ev[2];

	EXPECT_EQ(0, poll_now(self->fd));
	EXPECT_EQ(-1, read(self->fd, ev, sizeof(ev)));
	EXPECT_EQ(EAGAIN, errno);
}

TEST_F(event, small_buffers)
{
	struct vbe_event ev[4];

	ASSERT_EQ(0, post(3));
	EXPECT_EQ(-1, read(self->fd, ev, 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, read(self->fd, ev, sizeof(ev[0]) - 1));
	EXPECT_EQ(EINVAL, errno);
	/* whole records only */
	EXPECT_EQ(2 * sizeof(ev[0]), read(self->fd, ev, 3 * sizeof(ev[0]) - 1));
	EXPECT_EQ(ev[0].seq + 1, ev[1].seq);
	EXPECT_EQ(sizeof(ev[0]), read(self->fd, ev + 2, sizeof(ev[0])));
	EXPECT_EQ(ev[1].seq + 1, ev[2].seq);
	EXPECT_EQ(0, poll_now(self->fd));
}

TEST_F(event, record)
{
	struct vbe_event ev;
	uint64_t zero[4] = { 0 };
	struct iovec iov[2] = { { &ev, 24 }, { (char *)&ev + 24, sizeof(ev) - 24 } };

	memset(&ev, 0xff, sizeof(ev));
	ASSERT_EQ(0, post(1));
	EXPECT_EQ(POLLIN, poll_now(self->fd));
	ASSERT_EQ(sizeof(ev), readv(self->fd, iov, 2));
	EXPECT_EQ(VBE_EVENT_RESIZE, ev.type);
	EXPECT_EQ(VBE_NO_QUEUE, ev.queue);
	EXPECT_EQ(0, ev.cookie);
	EXPECT_EQ(0, memcmp(zero, ev.data, sizeof(zero)));
	EXPECT_EQ(0, ev.__reserved);
}

/* An event that cannot be copied out is not lost. */
TEST_F(event, bad_buffer)
{
	struct vbe_event *ev;
	long page = sysconf(_SC_PAGESIZE);
	uint64_t first;
	char *p;

	ASSERT_EQ(0, post(2));
	EXPECT_EQ(-1, read(self->fd, (void *)-4096L, sizeof(*ev)));
	EXPECT_EQ(EFAULT, errno);
	p = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, munmap(p + page, page));
	ev = (void *)(p + page - sizeof(*ev));
	/* The second record's room does not exist. */
	ASSERT_EQ(sizeof(*ev), read(self->fd, ev, 2 * sizeof(*ev)));
	first = ev->seq;
	EXPECT_EQ(VBE_EVENT_RESIZE, ev->type);
	ASSERT_EQ(sizeof(*ev), read(self->fd, ev, sizeof(*ev)))
		TH_LOG("the event that could not be copied has gone");
	EXPECT_EQ(VBE_EVENT_RESIZE, ev->type);
	EXPECT_EQ(first + 1, ev->seq);
	munmap(p, page);
}

TEST_F(event, full_queue_says_lost)
{
	struct vbe_event ev;
	uint64_t first = 0, last = 0, lost = 0, kept = 0;
	struct dev_state st;
	int markers = 0, ret;

	ASSERT_EQ(0, post(FLOOD));
	while (!(ret = read_event(self->fd, &ev, 0))) {
		if (ev.type == VBE_EVENT_LOST) {
			markers++;
			lost += ev.data[0];
			continue;
		}
		EXPECT_EQ(VBE_EVENT_RESIZE, ev.type);
		EXPECT_LT(last, ev.seq)
			TH_LOG("sequence numbers do not rise");
		if (!first)
			first = ev.seq;
		last = ev.seq;
		kept++;
		ASSERT_GE(FLOOD, kept);
	}
	EXPECT_EQ(-ETIMEDOUT, ret);
	EXPECT_EQ(1, markers);
	EXPECT_LE(16, kept)
		TH_LOG("the queue holds %d records only", (int)kept);
	EXPECT_EQ(FLOOD, kept + lost)
		TH_LOG("%d kept, %d said to be lost", (int)kept, (int)lost);
	ASSERT_EQ(0, dev_get(NAME, &st));
	EXPECT_EQ(lost, st.events_lost);

	/* Afterwards it works as before, and the gap shows in the numbers. */
	ASSERT_EQ(0, post(1));
	ASSERT_EQ(0, read_event(self->fd, &ev, 0));
	EXPECT_EQ(VBE_EVENT_RESIZE, ev.type);
	EXPECT_EQ(first + FLOOD, ev.seq);
}

/* What ends the attachment is told even when the queue is full. */
TEST_F(event, full_queue_keeps_room_for_the_end)
{
	struct vbe_event ev;

	ASSERT_EQ(0, post(FLOOD));
	ASSERT_EQ(0, dev_del(NAME));
	EXPECT_EQ(POLLIN | POLLHUP, poll_now(self->fd));
	ASSERT_EQ(0, wait_event(self->fd, VBE_EVENT_GONE, &ev, COMES_MS));
}

TEST_F(event, gone)
{
	struct vbe_event ev;
	ssize_t n;

	ASSERT_EQ(0, dev_del(NAME));
	EXPECT_EQ(POLLIN | POLLHUP, poll_now(self->fd));
	EXPECT_EQ(0, wait_event(self->fd, VBE_EVENT_GONE, &ev, COMES_MS));
	while (!read_event(self->fd, &ev, 0))
		EXPECT_EQ(VBE_EVENT_REVOKED, ev.type);
	EXPECT_TRUE(poll_now(self->fd) & POLLHUP);
	/* All read: it must not block, with or without O_NONBLOCK. */
	ASSERT_EQ(0, fcntl(self->fd, F_SETFL, 0));
	n = read(self->fd, &ev, sizeof(ev));
	EXPECT_TRUE(n == 0 || (n < 0 && errno == ENODEV))
		TH_LOG("read() gives %zd, errno %d", n, errno);
}

struct reader {
	int fd;
	volatile ssize_t n;
	struct vbe_event ev;
	volatile bool done;
};

static void *blocking_read(void *arg)
{
	struct reader *r = arg;

	r->n = read(r->fd, &r->ev, sizeof(r->ev));
	r->done = true;
	return NULL;
}

static bool reader_done(void *arg)
{
	return ((struct reader *)arg)->done;
}

TEST_F(event, blocking_read_wakes)
{
	struct reader r = { .fd = self->fd };
	pthread_t thread;

	ASSERT_EQ(0, fcntl(self->fd, F_SETFL, 0));
	ASSERT_EQ(0, pthread_create(&thread, NULL, blocking_read, &r));
	sleep_ms(50);
	EXPECT_FALSE(r.done)
		TH_LOG("read() did not wait: %zd", r.n);
	ASSERT_EQ(0, post(1));
	ASSERT_TRUE(wait_until(reader_done, &r, COMES_MS));
	EXPECT_EQ(sizeof(r.ev), r.n);
	EXPECT_EQ(VBE_EVENT_RESIZE, r.ev.type);
	pthread_join(thread, NULL);
}

TEST_F(event, blocking_read_ends_with_the_device)
{
	struct reader r = { .fd = self->fd };
	pthread_t thread;

	ASSERT_EQ(0, fcntl(self->fd, F_SETFL, 0));
	ASSERT_EQ(0, pthread_create(&thread, NULL, blocking_read, &r));
	sleep_ms(50);
	ASSERT_EQ(0, dev_del(NAME));
	ASSERT_TRUE(wait_until(reader_done, &r, COMES_MS));
	EXPECT_EQ(sizeof(r.ev), r.n);
	pthread_join(thread, NULL);
}

TEST_F(event, cannot_write_or_seek)
{
	struct vbe_event ev = { 0 };

	EXPECT_EQ(-1, write(self->fd, &ev, sizeof(ev)));
	EXPECT_EQ(-1, pread(self->fd, &ev, sizeof(ev), 64));
}

TEST_F(event, resize_without_a_backend)
{
	close(self->fd);
	self->fd = -1;
	EXPECT_EQ(-ENOTCONN, dev_resize(NAME));
	EXPECT_NE(0, dev_text[0])
		TH_LOG("no extack text");
}

TEST_HARNESS_MAIN
