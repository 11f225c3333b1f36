// SPDX-License-Identifier: GPL-2.0
/*
 * The test backend's life: attach, set up, serve in a thread, leave or die.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>

#include "be.h"
#include "util.h"

/* How late a change of be->stall and be->stop may be noticed. */
#define BE_TICK_MS	20

static void *shared(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die("mmap of the test's own memory");
	return p;
}

/* What another process had here has gone with it. */
static void forget(struct be *be)
{
	int i;

	be->running = false;
	be->n_windows = 0;
	be->inflight_map = NULL;
	for (i = 0; i < BE_QUEUES; i++) {
		be->queues[i].live = false;
		be->queues[i].kick = be->queues[i].call = -1;
		be->queues[i].adopted = false;
	}
	be->fd = -1;
	be->owner = getpid();
}

struct be *be_new(uint32_t id)
{
	struct be *be = shared(sizeof(*be));

	be->id = id;
	be->features = 1ULL << VIRTIO_F_VERSION_1;
	be->n_queues = id == BE_NET || id == BE_CONSOLE ? 2 : 1;
	be->queue_size = 128;
	be->loss = VBE_LOSS_DEFAULT;
	be->inflight = 4096;
	forget(be);
	if (id == BE_NET)
		be->config_size = 12;
	if (id == BE_CONSOLE)
		be->config_size = 12;
	return be;
}

void be_make_disk(struct be *be, uint64_t size)
{
	struct virtio_blk_config *c = (void *)be->config;

	be->disk = shared(size);
	be->disk_size = size;
	be->config_size = offsetof(struct virtio_blk_config, geometry);
	be->features |= 1ULL << VIRTIO_BLK_F_SEG_MAX;
	c->capacity = size / 512;
	c->seg_max = 16;
}

void be_free(struct be *be)
{
	if (!be)
		return;
	be_stop(be);
	be_drop(be);
	if (be->disk)
		munmap(be->disk, be->disk_size);
	munmap(be, sizeof(*be));
}

static int map_windows(struct be *be)
{
	struct vbe_dev_info info;
	uint32_t i;
	int ret = dev_info(be->fd, &info);

	if (ret < 0)
		return ret;
	be->n_windows = 0;
	for (i = 0; i < info.n_windows && i < BE_WINDOWS; i++) {
		struct vbe_mem_query w = { .size = sizeof(w), .index = i };
		int prot = PROT_READ;
		void *p;

		ret = xioctl(be->fd, VBE_IOC_MEM_QUERY, &w);
		if (ret < 0)
			return ret;
		if (!(w.flags & VBE_WINDOW_F_READONLY))
			prot |= PROT_WRITE;
		p = mmap(NULL, w.len, prot, MAP_SHARED, be->fd, w.fe_addr);
		if (p == MAP_FAILED)
			return -errno;
		be->windows[be->n_windows++] = (struct be_window){
			.fe_addr = w.fe_addr, .len = w.len, .host = p,
			.readonly = w.flags & VBE_WINDOW_F_READONLY,
		};
	}
	return 0;
}

/* Becomes the backend of what @fd is open on. */
int be_take(struct be *be, int fd)
{
	forget(be);
	be->fd = fd;
	be->last_seq = 0;
	be->hup = false;
	be->broken = NULL;
	return map_windows(be);
}

int be_attach(struct be *be, const char *name)
{
	int fd = dev_open(name);

	return fd < 0 ? fd : be_take(be, fd);
}

static int set_fds(struct be *be)
{
	uint32_t i;
	int ret;

	for (i = 0; i < be->n_queues; i++) {
		struct be_queue *q = &be->queues[i];

		q->live = false;
		q->packed = be->features & 1ULL << VIRTIO_F_RING_PACKED;
		q->kick = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		q->call = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (q->kick < 0 || q->call < 0)
			return -errno;
		ret = queue_fds(be->fd, i, VBE_FDS_F_KICK | VBE_FDS_F_CALL, q->kick, q->call);
		if (ret < 0)
			return ret;
	}
	return 0;
}

static int map_inflight(struct be *be)
{
	struct vbe_dev_info info;
	int ret = dev_info(be->fd, &info);
	void *p;

	if (ret < 0 || !info.inflight_size)
		return ret;
	be->inflight_len = (uint64_t)info.inflight_size * be->n_queues;
	p = mmap(NULL, be->inflight_len, PROT_READ | PROT_WRITE, MAP_SHARED, be->fd,
		 VBE_MMAP_INFLIGHT);
	if (p == MAP_FAILED)
		return -errno;
	be->inflight_map = p;
	return 0;
}

int be_setup(struct be *be)
{
	uint32_t sizes[BE_QUEUES], i;
	struct vbe_dev_setup s = {
		.size = sizeof(s), .flags = be->setup_flags, .virtio_id = be->id,
		.features = be->features, .n_queues = be->n_queues,
		.config_size = be->config_size, .config = (uintptr_t)be->config,
		.queue_sizes = (uintptr_t)sizes, .loss_policy = be->loss,
		.inflight_size = be->inflight,
	};
	int ret;

	for (i = 0; i < be->n_queues; i++)
		sizes[i] = be->queue_size;
	ret = xioctl(be->fd, VBE_IOC_DEV_SETUP, &s);
	if (ret < 0)
		return ret;
	ret = set_fds(be);
	return ret < 0 ? ret : map_inflight(be);
}

static int own_kick(struct be *be, uint32_t index)
{
	struct be_queue *q = &be->queues[index];
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	close(q->kick);
	q->kick = fd;
	q->adopted = false;
	/* As in adopt_kick(). */
	q->look = true;
	return queue_fds(be->fd, index, VBE_FDS_F_KICK, fd, -1);
}

/* Waits on the FE's own eventfd, or on ours again when the FE has taken it back. */
static int adopt_kick(struct be *be, uint32_t index)
{
	struct vbe_queue_kick_fd k = { .size = sizeof(k), .index = index };
	struct be_queue *q = &be->queues[index];
	int ret = xioctl(be->fd, VBE_IOC_QUEUE_KICK_FD, &k);

	if (ret == -ENOENT)
		return q->adopted ? own_kick(be, index) : 0;
	if (ret < 0)
		return ret;
	close(q->kick);
	q->kick = k.out_fd;
	q->adopted = true;
	/* What was counted in the old one went with it. */
	q->look = true;
	return 0;
}

static int start_queues(struct be *be, bool resume)
{
	uint32_t i;
	int ret;

	for (i = 0; i < be->n_queues; i++) {
		if (be->queues[i].live)
			continue;
		ret = be_queue_start(be, i, resume);
		if (ret > 0 && be->adopt_kick)
			ret = adopt_kick(be, i);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* The driver says that queues are ready. A provider may have brought what to resume from. */
static void on_ready(struct be *be)
{
	struct vbe_dev_info info;

	if (!dev_info(be->fd, &info))
		start_queues(be, info.flags & VBE_INFO_F_RESUME);
}

/* Goes online; takes up a driver that a former backend has left waiting. */
int be_online(struct be *be)
{
	struct vbe_dev_info info;
	int ret = dev_info(be->fd, &info);

	if (ret >= 0)
		ret = dev_simple(be->fd, VBE_IOC_DEV_ONLINE);
	if (ret < 0)
		return ret;
	if ((info.flags & VBE_INFO_F_RESUME) && (info.status & VIRTIO_CONFIG_S_DRIVER_OK))
		return start_queues(be, true);
	return 0;
}

static void on_reset(struct be *be, const struct vbe_event *ev)
{
	uint32_t i;

	if (be->mute_reset)
		return;
	for (i = 0; i < be->n_queues; i++)
		be->queues[i].live = false;
	/* ENOENT: the kernel's patience ended first. */
	dev_complete(be->fd, ev->cookie, 0);
}

static void on_queue_stop(struct be *be, const struct vbe_event *ev)
{
	struct vbe_complete c = { .size = sizeof(c), .cookie = ev->cookie };
	struct be_queue *q;

	if (be->mute_stop)
		return;
	if (ev->queue >= be->n_queues) {
		be->broken = "a queue that is not there shall stop";
		return;
	}
	q = &be->queues[ev->queue];
	q->live = false;
	be->stopped_at = be_queue_base(q);
	c.data = be->stopped_at;
	/* ENOENT: as in on_reset(). */
	xioctl(be->fd, VBE_IOC_COMPLETE, &c);
}

static void on_kick_fd(struct be *be, const struct vbe_event *ev)
{
	int ret;

	if (!be->adopt_kick || ev->queue >= be->n_queues || !be->queues[ev->queue].live)
		return;
	ret = adopt_kick(be, ev->queue);
	/* ENODEV: it goes at the same time, and that is told by other means. */
	if (ret < 0 && ret != -ENODEV)
		be->broken = "cannot follow a kick eventfd";
}

static void count_event(struct be *be, const struct vbe_event *ev)
{
	if (ev->type < ARRAY_LEN(be->events))
		__atomic_fetch_add(&be->events[ev->type], 1, __ATOMIC_SEQ_CST);
}

static void on_event(struct be *be, const struct vbe_event *ev)
{
	/* Who waits for the answer may look at the counter as soon as that is given. */
	if (ev->cookie)
		count_event(be, ev);
	if (be->last_seq && ev->seq != be->last_seq + 1 && ev->type != VBE_EVENT_LOST)
		be->bad_seq = true;
	be->last_seq = ev->seq;
	switch (ev->type) {
	case VBE_EVENT_STATUS:
		if (ev->data[0] & VIRTIO_CONFIG_S_DRIVER_OK)
			on_ready(be);
		break;
	case VBE_EVENT_QUEUE:
		on_ready(be);
		break;
	case VBE_EVENT_QUEUE_STOP:
		on_queue_stop(be, ev);
		break;
	case VBE_EVENT_KICK_FD:
		on_kick_fd(be, ev);
		break;
	case VBE_EVENT_RESET:
		on_reset(be, ev);
		break;
	case VBE_EVENT_FEATURES:
		if (!be->mute_features)
			dev_complete(be->fd, ev->cookie, be->refuse);
		break;
	}
	if (!ev->cookie)
		count_event(be, ev);
}

static void serve_queue(struct be *be, uint32_t index)
{
	struct be_queue *q = &be->queues[index];
	struct be_seg segs[BE_SEGS];
	uint32_t id, n_descs, written, done = 0;
	struct pollfd p = { .fd = q->kick, .events = POLLIN };
	uint64_t one = 1, kicks = 0;
	int n;

	/*
	 * A read of 0 kicks is no news: unless strict, each tick looks at the ring anyway. An
	 * eventfd of the FE may block.
	 */
	if ((!q->adopted || poll(&p, 1, 0) > 0) &&
	    read(q->kick, &kicks, sizeof(kicks)) < 0 && errno != EAGAIN)
		be->broken = "cannot read the kick eventfd";
	q->look |= kicks > 0;
	if (be->stall || !q->live || (be->strict && !q->look))
		return;
	q->look = false;
	/* What these two receive into stays there: nothing is ever received. */
	if ((be->id == BE_NET || be->id == BE_CONSOLE) && !(index & 1))
		return;
	while (!be->stall && q->live && !be->broken &&
	       (n = be_pop(be, q, segs, &id, &n_descs)) > 0) {
		written = be_serve_chain(be, index, segs, n);
		be_push(q, id, n_descs, written);
		be->served++;
		done++;
	}
	if (be->stall)
		q->look = true;
	if (done && be_needs_call(q) && write(q->call, &one, sizeof(one)) != sizeof(one))
		be->broken = "cannot write the call eventfd";
}

static void *be_main(void *arg)
{
	struct pollfd p[BE_QUEUES + 1];
	struct be *be = arg;
	struct vbe_event ev;
	uint32_t i;

	while (!be->stop) {
		p[0] = (struct pollfd){ .fd = be->hup ? -1 : be->fd, .events = POLLIN };
		for (i = 0; i < be->n_queues; i++)
			p[i + 1] = (struct pollfd){ .fd = be->queues[i].kick, .events = POLLIN };
		poll(p, be->n_queues + 1, BE_TICK_MS);
		/* After POLLHUP too: what there is to read may come a moment later. */
		while (!read_event(be->fd, &ev, 0))
			on_event(be, &ev);
		if (p[0].revents & POLLHUP)
			be->hup = true;
		for (i = 0; i < be->n_queues; i++)
			serve_queue(be, i);
		be->rounds++;
	}
	return NULL;
}

int be_start(struct be *be)
{
	be->stop = false;
	be->running = !pthread_create(&be->thread, NULL, be_main, be);
	return be->running ? 0 : -EAGAIN;
}

/* Ends the thread; the device fd stays open. */
void be_stop(struct be *be)
{
	if (!be->running || be->owner != getpid())
		return;
	be->stop = true;
	pthread_join(be->thread, NULL);
	be->running = false;
}

/* Closes all there is: a loss, unless the device was offline. */
void be_drop(struct be *be)
{
	uint32_t i;

	if (be->owner != getpid()) {
		forget(be);
		return;
	}
	be_stop(be);
	for (i = 0; i < be->n_windows; i++)
		munmap(be->windows[i].host, be->windows[i].len);
	be->n_windows = 0;
	if (be->inflight_map)
		munmap(be->inflight_map, be->inflight_len);
	be->inflight_map = NULL;
	for (i = 0; i < be->n_queues; i++) {
		struct be_queue *q = &be->queues[i];

		q->live = false;
		if (q->kick >= 0)
			close(q->kick);
		if (q->call >= 0)
			close(q->call);
		q->kick = q->call = -1;
	}
	if (be->fd >= 0)
		close(be->fd);
	be->fd = -1;
}

/* The clean end: OFFLINE, serve until the FE has gone, close. */
int be_leave(struct be *be, int ms)
{
	uint32_t before = be->events[VBE_EVENT_OFFLINE];
	int ret = dev_simple(be->fd, VBE_IOC_DEV_OFFLINE);

	if (ret >= 0 && !be_wait_event(be, VBE_EVENT_OFFLINE, before + 1, ms))
		ret = -ETIMEDOUT;
	be_drop(be);
	return ret < 0 ? ret : 0;
}

/* All the way up, served by a thread. */
int be_up(struct be *be, const char *name)
{
	int ret = be_attach(be, name);

	if (!ret)
		ret = be_setup(be);
	if (!ret)
		ret = be_online(be);
	return ret ? ret : be_start(be);
}

/* The same in a process of its own; returns once that is online. */
pid_t be_fork(struct be *be, const char *name)
{
	int pipes[2], ret = 0;
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		keep_only(pipes[1]);
		ret = be_attach(be, name);
		if (!ret)
			ret = be_setup(be);
		if (!ret)
			ret = be_online(be);
		if (write(pipes[1], &ret, sizeof(ret)) != sizeof(ret) || ret)
			_exit(1);
		be->stop = false;
		be_main(be);
		_exit(0);
	}
	close(pipes[1]);
	if (pid > 0 && read(pipes[0], &ret, sizeof(ret)) != sizeof(ret))
		ret = -EPIPE;
	close(pipes[0]);
	if (pid > 0 && ret) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		return ret;
	}
	return pid < 0 ? -errno : pid;
}

struct round {
	struct be *be;
	uint32_t n;
};

static bool is_round(void *arg)
{
	struct round *r = arg;

	return (int32_t)(r->be->rounds - r->n) >= 0;
}

/* A running one takes nothing from the queues any more when this returns. */
bool be_stall(struct be *be)
{
	struct round r = { .be = be };

	be->stall = true;
	/* The round that goes on may not have seen it; the next one does. */
	r.n = be->rounds + 2;
	return wait_until(is_round, &r, COMES_MS);
}

struct awaited {
	struct be *be;
	uint32_t type;
	uint32_t count;
};

static bool has_come(void *arg)
{
	struct awaited *a = arg;

	return a->be->events[a->type] >= a->count;
}

bool be_wait_event(struct be *be, uint32_t type, uint32_t count, int ms)
{
	struct awaited a = { be, type, count };

	return wait_until(has_come, &a, ms);
}
