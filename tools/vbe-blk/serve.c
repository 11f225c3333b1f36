// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
/* The main thread: brings the device up, answers its events and our signals, takes it down. */
#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <linux/virtio_config.h>

#include "vbe-blk.h"

#define OFFLINE_WAIT_MS		30000	/* for the driver to leave */
#define DRAIN_WAIT_MS		10000	/* for I/O in flight, at the end */
#define SAME_SIGNAL_MS		1000	/* it came to us, and to the process that waits */
#define EARLY_EVENTS		64	/* all that a device keeps */

/**
 * struct server - all of it
 * @o: options
 * @img: image
 * @dev: device
 * @minder: socket to the minder
 * @signals: signalfd
 * @disk: what was set up
 * @workers: disk.n_queues of them
 * @n_started: workers that exist
 * @live: the driver is ready, and queues are served
 * @asked: the minder looks for the disk
 * @told: what it found was told
 * @leaving: the driver was asked to leave; until @deadline
 * @deadline: milliseconds, monotonic
 * @gone: the device has gone; with --wait, another may come for the image
 * @early: events that were read before the device was online
 * @n_early: their number
 * @done: leave the loop
 * @code: exit code
 * @end: how it ended
 */
struct server {
	const struct options *o;
	struct image *img;
	struct vbe_dev *dev;
	int minder;
	int signals;
	struct disk disk;
	struct worker *workers;
	uint32_t n_started;
	bool live;
	bool asked;
	bool told;
	bool leaving;
	int64_t deadline;
	bool gone;
	struct vbe_event early[EARLY_EVENTS];
	int n_early;
	bool done;
	int code;
	enum serve_end end;
};

static void finish(struct server *s, int code, enum serve_end end)
{
	s->done = true;
	s->code = code;
	s->end = end;
}

/* ---- queues ---- */

/* Make all workers idle (or exit) within a time. Returns whether they are. */
static bool quiesce(struct server *s, enum worker_state want, int64_t ms)
{
	int64_t end = now_ms() + ms;
	bool ok = true;

	for (uint32_t i = 0; i < s->n_started; i++)
		worker_order(&s->workers[i], want);
	for (uint32_t i = 0; i < s->n_started; i++) {
		int64_t left = end - now_ms();

		if (worker_await(&s->workers[i], left > 0 ? left : 0))
			ok = false;
	}
	if (!ok)
		say("I/O to the image does not end");
	return ok;
}

/* After quiesce(): serve the queues that were served before. */
static void run_workers(struct server *s)
{
	for (uint32_t i = 0; i < s->n_started; i++)
		if (vbe_queue_started(s->workers[i].q))
			worker_order(&s->workers[i], W_RUN);
}

/*
 * The driver will send no flush any more: what was written before must not stay behind, nor what
 * is in flight and began as a write that need not be stable.
 */
static void make_stable(struct server *s)
{
	int ret = quiesce(s, W_IDLE, DRAIN_WAIT_MS) ? image_sync(s->img) : -ETIMEDOUT;

	if (ret)
		say("the image cannot be made stable: %s; writes fail until the driver resets "
		    "the device", strerror(-ret));
	for (uint32_t i = 0; i < s->n_started && ret; i++)
		__atomic_store_n(&s->workers[i].unstable, true, __ATOMIC_RELAXED);
	run_workers(s);
}

/*
 * A driver may have written where it has nothing to say: the next one finds what is true.
 * With @keep_cache its wish for the cache stays.
 */
static void restore_config(struct server *s, bool keep_cache)
{
	struct virtio_blk_config now, want = s->disk.config;

	if (vbe_config_read(s->dev, 0, &now, sizeof(now)))
		return;
	if (keep_cache)
		want.wce = now.wce;
	if (memcmp(&now, &want, sizeof(now)))
		vbe_config_write(s->dev, 0, &want, sizeof(want));
}

static void update_cache(struct server *s)
{
	bool wt = disk_writethrough(&s->disk, s->dev);
	bool was = s->n_started && s->workers[0].writethrough;

	for (uint32_t i = 0; i < s->n_started; i++)
		__atomic_store_n(&s->workers[i].writethrough, wt, __ATOMIC_RELAXED);
	if (wt && !was && !s->img->read_only)
		make_stable(s);
	note("cache: %s", wt ? "writethrough" : "writeback");
}

static void start_queue(struct server *s, uint32_t i)
{
	struct worker *w = &s->workers[i];
	int ret;

	if (i >= s->n_started || vbe_queue_started(w->q))
		return;
	ret = vbe_queue_start(w->q, 0);
	if (ret == -EAGAIN)
		return;
	if (ret) {
		complain("queue %u cannot be served: %s", i,
			 ret == -EPROTO ? vbe_queue_strerror(w->q) : strerror(-ret));
		return;
	}
	worker_order(w, W_RUN);
	note("queue %u: serving %u entries", i, vbe_queue_size(w->q));
}

/* All that the driver has enabled. */
static void start_all(struct server *s)
{
	for (uint32_t i = 0; i < s->n_started; i++)
		start_queue(s, i);
}

static void start_queues(struct server *s)
{
	if (s->live)
		return;
	if (disk_claim(s->o, s->img, s->dev))
		return finish(s, XC_FAIL, END_KEPT);
	s->live = true;
	update_cache(s);
	start_all(s);
	if (s->disk.local && !s->asked) {
		s->asked = true;
		minder_ask_disk(s->minder);
	}
}

/* How long to take for an answer. Past its limit the kernel takes our memory, and goes on alone. */
static int64_t answer_ms(struct server *s)
{
	struct vbe_dev_info info;

	if (vbe_get_info(s->dev, &info))
		return 4000;
	return info.reset_timeout_ms - info.reset_timeout_ms / 8;
}

static void handle_reset(struct server *s, uint64_t cookie)
{
	if (!quiesce(s, W_IDLE, answer_ms(s)))
		return;
	for (uint32_t i = 0; i < s->n_started; i++) {
		vbe_queue_reset(s->workers[i].q);
		s->workers[i].unstable = false;
	}
	s->live = false;
	s->disk.config.wce = s->disk.wce;
	restore_config(s, false);
	vbe_complete(s->dev, cookie, 0);
	note("the driver has reset the device");
}

/* One queue alone. The kernel forgets what is in flight in it, so nothing must be. */
static void stop_queue(struct server *s, const struct vbe_event *ev)
{
	uint32_t base = 0;
	struct worker *w;

	if (ev->queue < s->n_started) {
		w = &s->workers[ev->queue];
		worker_order(w, W_IDLE);
		if (worker_await(w, answer_ms(s)))
			return say("queue %u: I/O to the image does not end", ev->queue);
		vbe_queue_stop(w->q);
		if (vbe_queue_base(w->q, &base))
			return;
		note("queue %u: the driver has stopped it", ev->queue);
	}
	vbe_complete_data(s->dev, ev->cookie, 0, base);
}

static void change_kick(struct server *s, uint32_t i)
{
	int ret = i < s->n_started ? vbe_queue_refresh_kick(s->workers[i].q) : 0;

	if (ret)
		complain("queue %u: cannot follow a change of its kick eventfd: %s", i,
			 strerror(-ret));
}

/*
 * A queue whose memory is not there (any more), or that saw scratch memory in its place, is
 * stopped: its memory may come with a next change, and the in-flight area says where to go on. A
 * driver that broke the rules just breaks them again.
 */
static void remap_queue(struct worker *w)
{
	if (!vbe_queue_started(w->q))
		return;
	if (vbe_vq_error(vbe_queue_vq(w->q)) || vbe_queue_remap(w->q))
		vbe_queue_stop(w->q);
}

static void refresh_memory(struct server *s)
{
	if (!quiesce(s, W_IDLE, DRAIN_WAIT_MS) || vbe_mem_refresh(s->dev)) {
		say("cannot follow a change of the driver's memory");
		return finish(s, XC_FAIL, END_KEPT);
	}
	disk_memory_changed(&s->disk, s->img, s->dev);
	for (uint32_t i = 0; i < s->n_started; i++) {
		struct worker *w = &s->workers[i];

		if (w->ring && s->disk.fixed)
			ring_register(w->ring, s->dev);
		remap_queue(w);
	}
	run_workers(s);
	if (s->live)
		start_all(s);
}

/* ---- size ---- */

static void resize(struct server *s)
{
	int ret = image_resize(s->img);
	uint64_t capacity;

	if (ret < 0)
		say("cannot see the size of the image: %s", strerror(-ret));
	if (ret <= 0)
		return;
	capacity = htole64(image_size(s->img) / SECTOR);
	s->disk.config.capacity = capacity;
	ret = vbe_config_write(s->dev, offsetof(struct virtio_blk_config, capacity), &capacity,
			       sizeof(capacity));
	if (ret)
		say("cannot tell the driver of the new size: %s", vbe_error(s->dev));
	else
		say("the disk has %llu bytes now", (unsigned long long)image_size(s->img));
}

/* ---- events ---- */

/*
 * The attachment is over. What the driver's memory was is scratch memory now, and a request that
 * was made from it must not reach the image: end at once, without draining what is in flight; or,
 * if another device may come, with that alone.
 */
static void cut_off(struct server *s, int code)
{
	/* The next device must not be served while this one's I/O is under way to the image. */
	if (s->o->wait) {
		s->gone = true;
		for (uint32_t i = 0; i < s->n_started; i++)
			__atomic_store_n(&s->workers[i].gone, true, __ATOMIC_RELAXED);
		return finish(s, XC_GONE, END_KEPT);
	}
	for (uint32_t i = 0; i < s->n_started; i++)
		if (__atomic_load_n(&s->workers[i].in_flight, __ATOMIC_RELAXED))
			_exit(code);
	finish(s, code, END_KEPT);
}

/* After events were lost: see for ourselves. */
static void resync(struct server *s)
{
	struct vbe_dev_info info;
	int ret = vbe_get_info(s->dev, &info);

	if (ret) {
		say("the device cannot be asked: %s", strerror(-ret));
		return cut_off(s, XC_FAIL);
	}
	/* Held events are never lost. */
	if (info.status & VIRTIO_CONFIG_S_DRIVER_OK)
		start_queues(s);
	restore_config(s, true);
	if (s->live)
		update_cache(s);
	for (uint32_t i = 0; i < s->n_started; i++)
		change_kick(s, i);
	if (!s->done)
		refresh_memory(s);
	resize(s);
}

static void handle_event(struct server *s, const struct vbe_event *ev)
{
	switch (ev->type) {
	case VBE_EVENT_STATUS:
		if (ev->data[0] & VIRTIO_CONFIG_S_FAILED)
			say("the driver has given up on the device (status 0x%x)",
			    (unsigned int)ev->data[0]);
		else if (ev->data[0] & VIRTIO_CONFIG_S_DRIVER_OK)
			start_queues(s);
		return;
	case VBE_EVENT_RESET:
		return handle_reset(s, ev->cookie);
	case VBE_EVENT_QUEUE:
		if (s->live && ev->data[0])
			start_queue(s, ev->queue);
		return;
	case VBE_EVENT_QUEUE_STOP:
		return stop_queue(s, ev);
	case VBE_EVENT_KICK_FD:
		return change_kick(s, ev->queue);
	case VBE_EVENT_CONFIG:
		restore_config(s, true);
		return update_cache(s);
	case VBE_EVENT_MEM:
		return refresh_memory(s);
	case VBE_EVENT_RESIZE:
		return resize(s);
	case VBE_EVENT_LOST:
		return resync(s);
	case VBE_EVENT_OFFLINE:
		if (!s->leaving)
			say("the device was taken away from its driver");
		/* The guest's death shows as this first. */
		if (!s->leaving && s->o->wait)
			return cut_off(s, XC_OK);
		return finish(s, XC_OK, END_CLEAN);
	case VBE_EVENT_GONE:
		say("the device was deleted");
		return cut_off(s, XC_OK);
	case VBE_EVENT_REVOKED:
		say("the kernel has ended this attachment: a reset was not answered in time");
		_exit(XC_FAIL);
	default:
		if (ev->cookie)
			vbe_complete(s->dev, ev->cookie, 0);
	}
}

static void handle_events(struct server *s, const struct vbe_event *ev, int n)
{
	for (int i = 0; i < n && !s->done; i++) {
		note("event %s", vbe_event_name(ev[i].type));
		handle_event(s, &ev[i]);
	}
}

static void read_events(struct server *s)
{
	struct vbe_event ev[16];
	int n = vbe_event_read(s->dev, ev, 16);

	/* 0: all were read, and no more will come. */
	if (n == -ENODEV || !n) {
		say("the device has gone");
		cut_off(s, XC_FAIL);
	}
	handle_events(s, ev, n);
}

/* ---- signals ---- */

static bool going_offline(struct server *s)
{
	struct vbe_dev_info info;

	return vbe_get_info(s->dev, &info) == 0 && info.state == VBE_DEV_OFFLINING;
}

/* Whether the disk waits for the next server when this one ends. */
static bool is_held(struct server *s)
{
	struct vbe_dev_info info;

	return vbe_get_info(s->dev, &info) == 0 && info.loss_policy == VBE_LOSS_HOLD;
}

static void leave(struct server *s)
{
	int ret;

	if (s->leaving) {
		if (s->o->wait && now_ms() < s->deadline - OFFLINE_WAIT_MS + SAME_SIGNAL_MS)
			return;
		say("leaving at once");
		return finish(s, XC_FAIL, END_CLEAN);
	}
	notify_send("STOPPING=1");
	ret = vbe_offline(s->dev);
	if (ret == -EOPNOTSUPP) {
		say(is_held(s) ? "the driver cannot be made to leave: the disk waits for the next server"
			       : "the driver cannot be made to leave: it loses its disk (--policy)");
		return finish(s, XC_OK, END_KEPT);
	}
	/* Somebody else may have asked the driver already. */
	if (ret && !going_offline(s)) {
		note("offline: %s", strerror(-ret));
		return finish(s, XC_OK, END_CLEAN);
	}
	/* The driver writes back what it has, and then lets go: serve it until then. */
	s->leaving = true;
	s->deadline = now_ms() + OFFLINE_WAIT_MS;
}

static void read_signal(struct server *s)
{
	struct signalfd_siginfo si;

	if (read(s->signals, &si, sizeof(si)) != sizeof(si))
		return;
	switch (si.ssi_signo) {
	case SIGHUP:
		return resize(s);
	case SIGUSR1:
		if (!is_held(s))
			return say("not leaving: with this --policy the disk would not wait");
		notify_send("STOPPING=1");
		say("leaving; the disk waits for the next server");
		return finish(s, XC_OK, END_KEPT);
	default:
		return leave(s);
	}
}

/* Returns false when the minder has ended. */
static bool read_minder(struct server *s)
{
	char path[64], status[128];
	bool alive = minder_take_disk(s->minder, path, sizeof(path));

	if (!alive)
		say("vbe-blk-minder has ended: nobody will delete the device");
	if (!alive && (!s->asked || s->told))
		return false;
	s->told = true;
	if (path[0] == '/') {
		dprintf(STDOUT_FILENO, "%s\n", path);
		snprintf(status, sizeof(status), "READY=1\nSTATUS=Serving %s", path);
	} else {
		say("device %s is served, but no disk has come up for it", s->o->name);
		snprintf(status, sizeof(status), "READY=1\nSTATUS=Serving %s", s->o->name);
	}
	notify_send(status);
	return alive;
}

static void loop(struct server *s)
{
	struct pollfd fds[3] = {
		{ .fd = vbe_fd(s->dev), .events = POLLIN },
		{ .fd = s->signals, .events = POLLIN },
		{ .fd = s->minder, .events = POLLIN },
	};

	handle_events(s, s->early, s->n_early);
	while (!s->done) {
		int64_t left = s->leaving ? s->deadline - now_ms() : -1;

		if (s->leaving && left <= 0) {
			say("the driver does not let go of the disk");
			return finish(s, XC_FAIL, END_CLEAN);
		}
		if (poll(fds, 3, left) < 0 && errno != EINTR) {
			say("poll: %s", strerror(errno));
			return finish(s, XC_FAIL, END_KEPT);
		}
		if (fds[1].revents)
			read_signal(s);
		if (fds[2].revents && !read_minder(s))
			fds[2].fd = -1;
		if (fds[0].revents && !s->done)
			read_events(s);
	}
}

/* ---- up and down ---- */

static int make_worker(struct server *s, uint32_t i)
{
	struct worker *w = &s->workers[i];
	int err = -ENOMEM;

	w->index = i;
	w->dev = s->dev;
	w->img = s->img;
	w->serial = s->o->serial;
	w->can_discard = s->img->can_discard;
	w->q = vbe_queue_new(s->dev, i);
	if (!w->q)
		goto fail;
	if (!s->o->null) {
		w->ring = ring_new(s->img, s->disk.queue_sizes[i], &err);
		if (!w->ring)
			goto fail;
		if (s->disk.fixed)
			ring_register(w->ring, s->dev);
	}
	return XC_OK;
fail:
	say("queue %u: %s%s", i, strerror(-err),
	    err == -EPERM ? " (is io_uring disabled by sysctl kernel.io_uring_disabled?)" : "");
	return err == -EPERM || err == -ENOSYS ? XC_UNSUPPORTED : XC_FAIL;
}

static int start_workers(struct server *s)
{
	int ret;

	s->workers = calloc(s->disk.n_queues, sizeof(*s->workers));
	if (!s->workers) {
		say("out of memory");
		return XC_FAIL;
	}
	for (uint32_t i = 0; i < s->disk.n_queues; i++) {
		ret = make_worker(s, i);
		if (ret)
			return ret;
	}
	ret = sandbox_threads(s->o);
	for (uint32_t i = 0; i < s->disk.n_queues && !ret; i++) {
		ret = worker_create(&s->workers[i], s->disk.queue_sizes[i]);
		if (ret) {
			say("queue %u: cannot start its threads: %s", i, strerror(-ret));
			return XC_FAIL;
		}
		s->n_started++;
	}
	return ret;
}

/*
 * The driver may have written its wish for the cache after disk_setup() looked, and before SETUP
 * overwrote that byte. Which value it wrote is lost, but not that it wrote: its event came before
 * we are online. Writethrough is right for a driver that wants it, and safe for one that does not.
 */
static void keep_wce(struct server *s)
{
	const uint32_t at = offsetof(struct virtio_blk_config, wce);
	struct pollfd pfd = { .fd = vbe_fd(s->dev), .events = POLLIN };
	bool wrote = false;
	uint8_t wce = 0;

	if (poll(&pfd, 1, 0) <= 0 || !(pfd.revents & POLLIN))
		return;
	s->n_early = vbe_event_read(s->dev, s->early, EARLY_EVENTS);
	for (int i = 0; i < s->n_early; i++) {
		const struct vbe_event *ev = &s->early[i];

		if (ev->type == VBE_EVENT_LOST ||
		    (ev->type == VBE_EVENT_CONFIG && at - ev->data[0] < ev->data[1]))
			wrote = true;
	}
	/* What differs from SETUP's was written after it. */
	if (!wrote || vbe_config_read(s->dev, at, &wce, 1) || wce != s->disk.config.wce || !wce)
		return;
	wce = 0;
	vbe_config_write(s->dev, at, &wce, 1);
	s->disk.config.wce = 0;
	note("cache: the driver's wish came between two servers: writethrough");
}

static int bring_up(struct server *s)
{
	struct vbe_dev_info info;
	int ret;

	ret = disk_setup(&s->disk, s->o, s->img, s->dev);
	if (!ret && s->disk.resumed)
		keep_wce(s);
	if (!ret)
		ret = start_workers(s);
	/* Now: from here on the driver can talk to us. */
	if (!ret)
		ret = sandbox_enter(s->o);
	if (ret)
		return ret;
	ret = vbe_online(s->dev);
	if (ret) {
		say("device %s: cannot go online: %s", s->o->name, vbe_error(s->dev));
		return XC_FAIL;
	}
	s->end = END_KEPT;
	note("device %s: online, %llu bytes, %s", s->o->name,
	     (unsigned long long)image_size(s->img), s->o->null ? "zeroes" :
	     s->disk.direct ? "O_DIRECT" : "page cache");
	if (!s->disk.local)
		notify_send("READY=1");
	if (vbe_get_info(s->dev, &info) == 0 && info.status & VIRTIO_CONFIG_S_DRIVER_OK)
		start_queues(s);
	return XC_OK;
}

static bool asked_to_end(struct server *s)
{
	struct signalfd_siginfo si;

	while (read(s->signals, &si, sizeof(si)) == sizeof(si))
		if (si.ssi_signo != SIGHUP)
			return true;
	return false;
}

static void take_down(struct server *s)
{
	uint64_t n[3] = { 0 };
	bool ended;

	do {
		ended = quiesce(s, W_EXIT, DRAIN_WAIT_MS);
	} while (!ended && s->gone && !asked_to_end(s));
	if (!ended) {
		/* The device's close tells the kernel; it knows what is still in flight. */
		_exit(XC_FAIL);
	}
	for (uint32_t i = 0; i < s->n_started; i++) {
		n[0] += s->workers[i].n_read;
		n[1] += s->workers[i].n_write;
		n[2] += s->workers[i].n_other;
		worker_join(&s->workers[i]);
	}
	note("served %llu reads, %llu writes, %llu others", (unsigned long long)n[0],
	     (unsigned long long)n[1], (unsigned long long)n[2]);
	free(s->workers);
}

/**
 * serve() - serve a device until it ends
 * @o: options
 * @img: image
 * @dev: device; closed on return
 * @minder: socket to the minder
 * @signals: what to take by signalfd, blocked in all threads
 * @end: set
 *
 * Return: an exit code.
 */
int serve(const struct options *o, struct image *img, struct vbe_dev *dev, int minder,
	  const sigset_t *signals, enum serve_end *end)
{
	struct server s = {
		.o = o, .img = img, .dev = dev, .minder = minder,
		.end = END_NEVER_ONLINE,
	};
	struct vbe_dev_info info;

	s.signals = signalfd(-1, signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s.signals < 0) {
		say("signalfd: %s", strerror(errno));
		s.code = XC_FAIL;
	} else {
		s.code = bring_up(&s);
	}
	if (!s.code)
		loop(&s);
	take_down(&s);
	/* Whatever failed while it went: that it has gone is why. */
	if (s.code == XC_FAIL && o->wait && vbe_get_info(dev, &info) == -ENODEV)
		s.code = XC_GONE;
	vbe_close(dev);
	close(s.signals);
	*end = s.end;
	return s.code;
}
