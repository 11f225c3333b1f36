// SPDX-License-Identifier: GPL-2.0
/*
 * The test as a VMM.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest.h"
#include "util.h"

int guest_fd_new(const char *name)
{
	struct vbe_guest_new n = { .size = sizeof(n), .out_fd = -1 };
	int ctl = vbe_open(), ret;

	if (ctl < 0)
		return ctl;
	memcpy(n.name, name, strnlen(name, sizeof(n.name)));
	ret = xioctl(ctl, VBE_IOC_GUEST_NEW, &n);
	close(ctl);
	return ret < 0 ? ret : n.out_fd;
}

struct guest *guest_take(int fd)
{
	struct guest *g = calloc(1, sizeof(*g));

	if (!g)
		die("no memory for a guest");
	g->fd = fd;
	/* Another copy of the fd may be read at any time: poll() is but a hint. */
	if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK))
		die("cannot set O_NONBLOCK on a guest fd");
	pthread_mutex_init(&g->lock, NULL);
	return g;
}

struct guest *guest_new(const char *name)
{
	int fd = guest_fd_new(name);

	if (fd >= 0)
		return guest_take(fd);
	errno = -fd;
	return NULL;
}

void guest_close(struct guest *g)
{
	if (g->fd >= 0)
		close(g->fd);
	g->fd = -1;
}

static void forget_mem(struct guest *g, uint32_t i)
{
	munmap(g->mem[i].host, g->mem[i].len);
	close(g->mem[i].fd);
	g->mem[i] = g->mem[--g->n_mem];
}

void guest_free(struct guest *g)
{
	if (!g)
		return;
	guest_close(g);
	while (g->n_mem)
		forget_mem(g, 0);
	pthread_mutex_destroy(&g->lock);
	free(g);
}

static int on_dev(struct guest *g, unsigned long cmd, uint32_t dev)
{
	struct vbe_guest_dev d = { .size = sizeof(d), .dev = dev };

	return xioctl(g->fd, cmd, &d);
}

int guest_die(struct guest *g)
{
	return on_dev(g, VBE_IOC_GUEST_DIE, 0);
}

/* ---- memory ---------------------------------------------------------------- */

int guest_mem_add_fd(int guest_fd, int fd, uint64_t offset, uint64_t addr, uint64_t len,
		     uint32_t flags)
{
	struct vbe_guest_mem m = { .size = sizeof(m), .flags = flags, .fe_addr = addr,
				   .len = len, .fd = fd, .offset = offset };

	return xioctl(guest_fd, VBE_IOC_GUEST_MEM_ADD, &m);
}

int guest_mem_add(struct guest *g, uint64_t addr, uint64_t len, uint32_t flags)
{
	struct guest_mem m = { .addr = addr, .len = len };
	int ret;

	if (g->n_mem == GUEST_MEM)
		return -E2BIG;
	m.fd = memfd_create("guest", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (m.fd < 0)
		return -errno;
	m.host = MAP_FAILED;
	if (!ftruncate(m.fd, len))
		m.host = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, m.fd, 0);
	if (m.host == MAP_FAILED) {
		ret = -errno;
		close(m.fd);
		return ret;
	}
	g->mem[g->n_mem++] = m;
	ret = guest_mem_add_fd(g->fd, m.fd, 0, addr, len, flags);
	if (ret < 0)
		forget_mem(g, g->n_mem - 1);
	return ret;
}

int guest_mem_del(struct guest *g, uint64_t addr, uint64_t len)
{
	struct vbe_guest_mem m = { .size = sizeof(m), .fe_addr = addr, .len = len, .fd = -1 };
	int ret = xioctl(g->fd, VBE_IOC_GUEST_MEM_DEL, &m);
	uint32_t i;

	for (i = 0; ret >= 0 && i < g->n_mem; i++) {
		if (g->mem[i].addr == addr) {
			forget_mem(g, i);
			break;
		}
	}
	return ret;
}

void *guest_host(struct guest *g, uint64_t addr, uint64_t len)
{
	uint32_t i;

	for (i = 0; i < g->n_mem; i++) {
		struct guest_mem *m = &g->mem[i];

		if (addr >= m->addr && len <= m->len && addr - m->addr <= m->len - len)
			return m->host + (addr - m->addr);
	}
	return NULL;
}

/* ---- devices ------------------------------------------------------------------ */

struct vbe_guest_dev_add guest_dev_params(const char *name, const char *transport,
					  uint64_t base)
{
	struct vbe_guest_dev_add a = {
		.size = sizeof(a), .uid = VBE_GUEST_SAME_UID, .gid = VBE_GUEST_NO_GID,
		.loss_policy = VBE_LOSS_DEFAULT, .base = base,
	};

	memcpy(a.name, name, strnlen(name, sizeof(a.name)));
	memcpy(a.transport, transport, strnlen(transport, sizeof(a.transport)));
	return a;
}

int guest_dev_add_params(struct guest *g, struct vbe_guest_dev_add *p)
{
	int ret = xioctl(g->fd, VBE_IOC_GUEST_DEV_ADD, p);

	return ret < 0 ? ret : (int)p->out_dev;
}

int guest_dev_add(struct guest *g, const char *name, const char *transport, uint64_t base)
{
	struct vbe_guest_dev_add a = guest_dev_params(name, transport, base);

	return guest_dev_add_params(g, &a);
}

int guest_dev_del(struct guest *g, uint32_t dev)
{
	return on_dev(g, VBE_IOC_GUEST_DEV_DEL, dev);
}

int guest_dev_info(struct guest *g, uint32_t dev, struct vbe_guest_dev_info *info)
{
	memset(info, 0, sizeof(*info));
	info->size = sizeof(*info);
	info->dev = dev;
	return xioctl(g->fd, VBE_IOC_GUEST_DEV_INFO, info);
}

struct awaited_state {
	struct guest *g;
	uint32_t dev;
	uint32_t state;
};

static bool is_in_state(void *arg)
{
	struct awaited_state *a = arg;
	struct vbe_guest_dev_info info;

	return guest_dev_info(a->g, a->dev, &info) >= 0 && info.state == a->state;
}

bool guest_wait_state(struct guest *g, uint32_t dev, uint32_t state, int ms)
{
	struct awaited_state a = { g, dev, state };

	return wait_until(is_in_state, &a, ms);
}

/* ---- what a vCPU does ------------------------------------------------------------ */

int guest_access_once(struct guest *g, struct vbe_guest_access *a)
{
	a->size = sizeof(*a);
	return xioctl(g->fd, VBE_IOC_GUEST_ACCESS, a);
}

int guest_access(struct guest *g, uint32_t space, uint64_t addr, uint32_t len, bool write,
		 uint64_t *data)
{
	struct vbe_guest_access a = {
		.flags = write ? VBE_ACCESS_F_WRITE : 0,
		.space = space, .len = len, .addr = addr, .data = *data,
	};
	int ret;

	do {
		a.flags &= ~VBE_ACCESS_F_EVENTS;
		ret = guest_access_once(g, &a);
	} while (ret >= 0 && (a.flags & VBE_ACCESS_F_PENDING));
	if (ret >= 0 && !write)
		*data = a.data;
	return ret;
}

uint64_t guest_read(struct guest *g, uint32_t space, uint64_t addr, uint32_t len)
{
	uint64_t data = 0;

	g->last = guest_access(g, space, addr, len, false, &data);
	if (g->last < 0)
		return len < 8 ? (1ULL << (8 * len)) - 1 : ~0ULL;
	return data;
}

int guest_write(struct guest *g, uint32_t space, uint64_t addr, uint32_t len, uint64_t data)
{
	g->last = guest_access(g, space, addr, len, true, &data);
	return g->last;
}

/* ---- eventfds, interrupts, events -------------------------------------------------- */

int guest_set_fd(struct guest *g, uint32_t dev, uint32_t type, uint32_t index, int fd)
{
	struct vbe_guest_set_fd s = { .size = sizeof(s), .dev = dev, .type = type,
				      .index = index, .fd = fd };

	return xioctl(g->fd, VBE_IOC_GUEST_SET_FD, &s);
}

int guest_eoi(struct guest *g, uint32_t dev)
{
	return on_dev(g, VBE_IOC_GUEST_EOI, dev);
}

int guest_queue_info(struct guest *g, uint32_t dev, uint32_t index,
		     struct vbe_guest_queue_info *info)
{
	memset(info, 0, sizeof(*info));
	info->size = sizeof(*info);
	info->dev = dev;
	info->index = index;
	return xioctl(g->fd, VBE_IOC_GUEST_QUEUE_INFO, info);
}

int guest_eventfd(void)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	if (fd < 0)
		die("eventfd");
	return fd;
}

uint64_t guest_eventfd_wait(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t count;

	if (poll(&p, 1, ms) <= 0 || read(fd, &count, sizeof(count)) != sizeof(count))
		return 0;
	return count;
}

static bool is_of(const struct vbe_guest_event *ev, uint32_t type, uint32_t dev,
		  uint32_t index)
{
	return (type == GUEST_ANY || ev->type == type) &&
	       (dev == GUEST_ANY || ev->dev == dev) &&
	       (index == GUEST_ANY || ev->index == index);
}

static bool from_backlog(struct guest *g, uint32_t type, uint32_t dev, uint32_t index,
			 struct vbe_guest_event *ev)
{
	uint32_t i;

	for (i = 0; i < g->n_backlog; i++) {
		if (!is_of(&g->backlog[i], type, dev, index))
			continue;
		*ev = g->backlog[i];
		g->n_backlog--;
		memmove(&g->backlog[i], &g->backlog[i + 1],
			(g->n_backlog - i) * sizeof(*ev));
		return true;
	}
	return false;
}

/* Reads what is there, without waiting, to the end of the backlog. */
static int to_backlog(struct guest *g)
{
	struct pollfd p = { .fd = g->fd, .events = POLLIN };
	struct vbe_guest_event *to = &g->backlog[g->n_backlog];
	ssize_t n;

	if (g->n_backlog == GUEST_BACKLOG || poll(&p, 1, 0) <= 0 || !(p.revents & POLLIN))
		return 0;
	n = read(g->fd, to, (GUEST_BACKLOG - g->n_backlog) * sizeof(*to));
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	if (!n)
		return -ENODEV;
	if (n % sizeof(*to))
		return -EPROTO;
	g->n_backlog += n / sizeof(*to);
	return 0;
}

/* Several threads may wait, for different things: none blocks in read(). */
int guest_wait_indexed(struct guest *g, uint32_t type, uint32_t dev, uint32_t index,
		       struct vbe_guest_event *ev, int ms)
{
	struct pollfd p = { .fd = g->fd, .events = POLLIN };
	int64_t end = now_ms() + ms;

	for (;;) {
		bool found, late = now_ms() >= end;
		int ret;

		pthread_mutex_lock(&g->lock);
		ret = to_backlog(g);
		found = from_backlog(g, type, dev, index, ev);
		pthread_mutex_unlock(&g->lock);
		if (found)
			return 0;
		if (ret < 0)
			return ret;
		if (late)
			return -ETIMEDOUT;
		poll(&p, 1, 10);
		if (p.revents & ~POLLIN)
			sleep_ms(5);
	}
}

int guest_wait_event(struct guest *g, uint32_t type, uint32_t dev, struct vbe_guest_event *ev,
		     int ms)
{
	return guest_wait_indexed(g, type, dev, GUEST_ANY, ev, ms);
}

int guest_next_event(struct guest *g, struct vbe_guest_event *ev, int ms)
{
	return guest_wait_indexed(g, GUEST_ANY, GUEST_ANY, GUEST_ANY, ev, ms);
}

void guest_drop_events(struct guest *g)
{
	pthread_mutex_lock(&g->lock);
	do
		g->n_backlog = 0;
	while (!to_backlog(g) && g->n_backlog);
	pthread_mutex_unlock(&g->lock);
}

/* ---- transport "direct" -------------------------------------------------------------- */

int guest_features(struct guest *g, uint32_t dev, uint64_t features)
{
	struct vbe_guest_features f = { .size = sizeof(f), .dev = dev, .features = features };

	return xioctl(g->fd, VBE_IOC_GUEST_FEATURES, &f);
}

int guest_status(struct guest *g, uint32_t dev, uint32_t status)
{
	struct vbe_guest_status s = { .size = sizeof(s), .dev = dev, .status = status };
	int ret = xioctl(g->fd, VBE_IOC_GUEST_STATUS, &s);

	return ret < 0 ? ret : (int)s.status;
}

int guest_queue_set(struct guest *g, uint32_t dev, uint32_t index, uint32_t num, uint64_t desc,
		    uint64_t driver, uint64_t device)
{
	struct vbe_guest_queue_set q = {
		.size = sizeof(q), .dev = dev, .index = index,
		.flags = VBE_GUEST_QUEUE_SET_F_ENABLE,
		.num = num, .desc = desc, .driver = driver, .device = device,
	};

	return xioctl(g->fd, VBE_IOC_GUEST_QUEUE_SET, &q);
}

int guest_queue_stop(struct guest *g, uint32_t dev, uint32_t index, uint32_t *base)
{
	struct vbe_guest_queue_set q = { .size = sizeof(q), .dev = dev, .index = index };
	int ret = xioctl(g->fd, VBE_IOC_GUEST_QUEUE_SET, &q);

	if (ret >= 0 && base)
		*base = q.base;
	return ret;
}

static int config_rw(struct guest *g, struct vbe_guest_config *c, uint32_t *generation)
{
	int ret = xioctl(g->fd, VBE_IOC_GUEST_CONFIG, c);

	if (ret >= 0 && generation)
		*generation = c->out_generation;
	return ret;
}

int guest_config_read(struct guest *g, uint32_t dev, uint32_t offset, void *buf, uint32_t len,
		      uint32_t *generation)
{
	struct vbe_guest_config c = { .size = sizeof(c), .dev = dev, .offset = offset,
				      .len = len, .buf = (uintptr_t)buf };

	return config_rw(g, &c, generation);
}

int guest_config_write(struct guest *g, uint32_t dev, uint32_t offset, const void *buf,
		       uint32_t len)
{
	struct vbe_guest_config c = { .size = sizeof(c), .dev = dev, .offset = offset,
				      .len = len, .flags = VBE_GUEST_CONFIG_F_WRITE,
				      .buf = (uintptr_t)buf };

	return config_rw(g, &c, NULL);
}

int guest_kick(struct guest *g, uint32_t dev, uint32_t queue)
{
	unsigned long arg = (unsigned long)dev << 16 | queue;
	int ret = ioctl(g->fd, VBE_IOC_GUEST_KICK, arg);

	return ret < 0 ? -errno : ret;
}

int guest_inflight(struct guest *g, uint32_t dev, int fd, uint64_t offset, uint64_t len,
		   uint32_t flags)
{
	struct vbe_guest_inflight i = { .size = sizeof(i), .dev = dev, .fd = fd,
					.flags = flags, .offset = offset, .len = len };

	return xioctl(g->fd, VBE_IOC_GUEST_INFLIGHT, &i);
}
