// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <linux/virtio_config.h>

#include "fake.h"

#define must(_cond)	do { if (!(_cond)) die(#_cond, __LINE__); } while (0)

static void die(const char *what, int line)
{
	fprintf(stderr, "fake.c:%d: not true: %s\n", line, what);
	abort();
}

uint64_t fake_random(struct fake *f)
{
	f->seed ^= f->seed << 13;
	f->seed ^= f->seed >> 7;
	f->seed ^= f->seed << 17;
	return f->seed;
}

static bool is_eventfd(int fd)
{
	char path[64], target[64] = "";

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return readlink(path, target, sizeof(target) - 1) > 0 && strstr(target, "[eventfd]");
}

static bool covered(const struct fake *f, uint64_t addr, uint64_t len)
{
	for (unsigned int i = 0; i < f->n_mem; i++)
		if (addr >= f->mem[i].addr && addr - f->mem[i].addr < f->mem[i].len &&
		    len <= f->mem[i].len - (addr - f->mem[i].addr))
			return true;
	return false;
}

static int mem_add(struct fake *f, const struct vbe_guest_mem *m)
{
	struct stat st;

	must(m->len && !((m->fe_addr | m->len | m->offset) & 4095));
	must(m->fe_addr + m->len > m->fe_addr && m->offset + m->len > m->offset);
	must(fstat(m->fd, &st) == 0);
	for (unsigned int i = 0; i < f->n_mem; i++)
		if (m->fe_addr < f->mem[i].addr + f->mem[i].len &&
		    f->mem[i].addr < m->fe_addr + m->len)
			return -EEXIST;
	if (!S_ISREG(st.st_mode))
		return -ENODEV;
	if (f->n_mem == VBE_GUEST_MAX_MEM)
		return -ENOSPC;
	f->mem[f->n_mem++] = (struct fake_mem){ m->fe_addr, m->len };
	return 0;
}

static int mem_del(struct fake *f, const struct vbe_guest_mem *m)
{
	must(m->fd == -1 && !m->offset && !m->flags);
	for (unsigned int i = 0; i < f->n_mem; i++) {
		if (f->mem[i].addr == m->fe_addr && f->mem[i].len == m->len) {
			f->mem[i] = f->mem[--f->n_mem];
			return 0;
		}
	}
	die("memory that goes is there", __LINE__);
	return 0;
}

static int queue_set(struct fake *f, struct vbe_guest_queue_set *q)
{
	struct fake_queue *fq = &f->queues[q->index];
	bool packed = f->staged & BIT(34);

	must(q->index < FAKE_QUEUES);
	if (!(q->flags & VBE_GUEST_QUEUE_SET_F_ENABLE)) {
		must(fq->enabled || f->away);
		if (f->lost)
			return -ENOTCONN;
		fq->enabled = false;
		q->base = FAKE_BASE;
		return 0;
	}
	must(!fq->enabled && (f->status & VIRTIO_CONFIG_S_FEATURES_OK));
	must(q->num && q->num <= VBE_MAX_QUEUE_SIZE);
	must(covered(f, q->desc, 16ull * q->num));
	must(covered(f, q->driver, packed ? 4 : 4 + 2ull * q->num));
	must(covered(f, q->device, packed ? 4 : 4 + 8ull * q->num));
	if (f->lost)
		return -ENOTCONN;
	if (q->num > 1024)
		return -EINVAL;
	fq->enabled = true;
	fq->set = *q;
	return 0;
}

static int set_fd(struct fake *f, const struct vbe_guest_set_fd *a)
{
	bool on = a->fd >= 0;

	must(a->index < FAKE_QUEUES);
	must(a->type == VBE_GUEST_FD_KICK || a->type == VBE_GUEST_FD_CALL);
	if (on && !is_eventfd(a->fd))
		return -EINVAL;
	if (a->type == VBE_GUEST_FD_KICK)
		f->queues[a->index].kick = on;
	else
		f->queues[a->index].call = on;
	return 0;
}

static int set_status(struct fake *f, struct vbe_guest_status *a)
{
	uint32_t s = a->status;

	if (!s) {
		f->status = 0;
		for (unsigned int i = 0; i < FAKE_QUEUES; i++)
			f->queues[i].enabled = false;
		return 0;
	}
	must(!(f->status & ~s));
	must(!(s & VIRTIO_CONFIG_S_DRIVER_OK) || (s & VIRTIO_CONFIG_S_FEATURES_OK));
	if (f->refuse)
		s &= ~VIRTIO_CONFIG_S_FEATURES_OK;
	f->status |= s;
	a->status = f->status;
	return 0;
}

static int config(struct fake *f, const struct vbe_guest_config *a)
{
	void *buf = (void *)(uintptr_t)a->buf;

	if (a->offset > FAKE_CONFIG || a->len > FAKE_CONFIG - a->offset)
		return -EINVAL;
	if (a->flags & VBE_GUEST_CONFIG_F_WRITE)
		memcpy(f->config + a->offset, buf, a->len);
	else
		memcpy(buf, f->config + a->offset, a->len);
	return 0;
}

static int inflight(struct fake *f, const struct vbe_guest_inflight *a)
{
	struct stat st;

	must(!f->status);
	must(a->len == (uint64_t)FAKE_QUEUES * FAKE_INFLIGHT && !(a->offset & 4095));
	must(fstat(a->fd, &st) == 0);
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size < a->len ||
	    a->offset > (uint64_t)st.st_size - a->len)
		return -EINVAL;
	f->resumed = a->flags;
	return 0;
}

static int dev_add(struct fake *f, struct vbe_guest_dev_add *a)
{
	must(!strcmp((char *)a->transport, "direct"));
	f->renewed++;
	f->status = 0;
	memset(f->queues, 0, sizeof(f->queues));
	a->out_dev = f->renewed;
	return 0;
}

static int dev_info(struct fake *f, struct vbe_guest_dev_info *i)
{
	i->state = f->lost ? VBE_DEV_LOST : VBE_DEV_ONLINE;
	i->virtio_id = 2;
	i->status = f->status;
	i->n_queues = FAKE_QUEUES;
	i->features = FAKE_FEATURES;
	i->config_size = FAKE_CONFIG;
	i->inflight_size = FAKE_INFLIGHT;
	i->flags = VBE_GUEST_INFO_F_QUEUE_STOP;
	return 0;
}

static int do_call(struct fake *f, unsigned long cmd, void *arg)
{
	switch (cmd) {
	case VBE_IOC_GUEST_DEV_ADD:
		return dev_add(f, arg);
	case VBE_IOC_GUEST_DEV_DEL:
		return 0;
	case VBE_IOC_GUEST_DEV_INFO:
		return dev_info(f, arg);
	case VBE_IOC_GUEST_MEM_ADD:
		return mem_add(f, arg);
	case VBE_IOC_GUEST_MEM_DEL:
		return mem_del(f, arg);
	case VBE_IOC_GUEST_SET_FD:
		return set_fd(f, arg);
	case VBE_IOC_GUEST_QUEUE_SET:
		return queue_set(f, arg);
	case VBE_IOC_GUEST_QUEUE_INFO:
		((struct vbe_guest_queue_info *)arg)->max_size = 1024;
		return 0;
	case VBE_IOC_GUEST_FEATURES:
		must(!(f->status & VIRTIO_CONFIG_S_FEATURES_OK));
		f->staged = ((struct vbe_guest_features *)arg)->features;
		must(!(f->staged & ~(FAKE_OFFERED & ~VU_F_PROTOCOL_FEATURES)));
		return 0;
	case VBE_IOC_GUEST_STATUS:
		return set_status(f, arg);
	case VBE_IOC_GUEST_CONFIG:
		return config(f, arg);
	case VBE_IOC_GUEST_INFLIGHT:
		return inflight(f, arg);
	default:
		die("a known ioctl", __LINE__);
		return 0;
	}
}

static int fake_call(struct guest *g, unsigned long cmd, void *arg)
{
	static const int errors[] = { -ENOMEM, -EINVAL, -ENODEV, -EFAULT, -EBUSY, -EINTR };
	struct fake *f = (struct fake *)g;

	/* The end of a session does not ask whether it worked: there is nothing else to do. */
	if (f->fail_one_in && !(fake_random(f) % f->fail_one_in) &&
	    cmd != VBE_IOC_GUEST_DEV_ADD && cmd != VBE_IOC_GUEST_DEV_DEL) {
		f->failed = true;
		return errors[fake_random(f) % (sizeof(errors) / sizeof(errors[0]))];
	}
	return do_call(f, cmd, arg);
}

static const char *fake_why(struct guest *g, int err)
{
	(void)g;
	return strerror(-err);
}

void fake_init(struct fake *f, uint64_t seed)
{
	memset(f, 0, sizeof(*f));
	f->seed = seed * 0x9e3779b97f4a7c15ull + 1;
	f->resumed = -1;
	f->o.dev = "fake";
	f->g.o = &f->o;
	f->g.fd = -1;
	f->g.call = fake_call;
	f->g.why = fake_why;
	for (unsigned int i = 0; i < FAKE_CONFIG; i++)
		f->config[i] = i + 1;
	must(!guest_dev_add(&f->g));
}

/* A session has ended: nothing of it may be left. */
void fake_assert_clean(const struct fake *f)
{
	must(!f->n_mem && !f->status);
	for (unsigned int i = 0; i < FAKE_QUEUES; i++)
		must(!f->queues[i].enabled && !f->queues[i].kick && !f->queues[i].call);
}
