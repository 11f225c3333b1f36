// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
/*
 * The in-flight area. The front-end keeps it, and gives it to whoever serves it next: so I/O that
 * was under way is done although both this program and the backend were killed. What is in it is
 * the backend's; here it is a file of a size.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vbe-vhost-user.h"

#define SEALS	(F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static uint64_t area_size(const struct session *s)
{
	return (uint64_t)s->n_queues * s->inflight_size;
}

static int check_queues(const struct session *s, const struct vu_inflight *i, const char *what)
{
	if (i->num_queues && i->num_queues <= s->n_queues)
		return 0;
	complain("front-end: %s for %u queues: the device has %u", what, i->num_queues,
		 s->n_queues);
	return -EINVAL;
}

/* Nobody can make it shorter once it is in use: the kernel and the backend have it mapped. */
static int area_new(uint64_t size)
{
	int fd = memfd_create("vbe-inflight", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int err;

	if (fd >= 0 && ftruncate(fd, size) == 0 && fcntl(fd, F_ADD_SEALS, SEALS) == 0)
		return fd;
	err = -errno;
	complain("cannot make an in-flight area of %" PRIu64 " bytes: %s", size, strerror(-err));
	if (fd >= 0)
		close(fd);
	return err;
}

/* For all queues of the device, whatever the front-end uses: the kernel has one area for it. */
int request_get_inflight_fd(struct session *s, struct message *m)
{
	int ret = check_queues(s, &m->p.inflight, "GET_INFLIGHT_FD");
	struct stat st;

	if (ret)
		return ret;
	ret = area_new(area_size(s));
	if (ret < 0)
		return ret;
	m->reply_fd = ret;
	if (fstat(m->reply_fd, &st) < 0)
		return -errno;
	s->fresh = (struct file_id){ .dev = st.st_dev, .ino = st.st_ino };
	m->p.inflight.mmap_size = area_size(s);
	m->p.inflight.mmap_offset = 0;
	return 0;
}

/* Kept until rings start: the kernel takes it while the device is reset. */
int request_set_inflight_fd(struct session *s, struct message *m)
{
	const struct vu_inflight *i = &m->p.inflight;
	int ret = check_queues(s, i, "SET_INFLIGHT_FD");

	if (ret)
		return ret;
	if (i->mmap_size != area_size(s)) {
		complain("front-end: SET_INFLIGHT_FD: %" PRIu64 " bytes: the backend has %" PRIu64,
			 i->mmap_size, area_size(s));
		return -EINVAL;
	}
	if (i->mmap_offset % sysconf(_SC_PAGESIZE)) {
		complain("front-end: SET_INFLIGHT_FD: offset 0x%" PRIx64 " is not page aligned",
			 i->mmap_offset);
		return -EINVAL;
	}
	if (rings_running(s)) {
		complain("front-end: SET_INFLIGHT_FD while rings run");
		return -EPROTO;
	}
	inflight_drop(s);
	s->inflight_fd = m->fds[0];
	s->inflight_offset = i->mmap_offset;
	m->fds[0] = -1;
	return 0;
}

/**
 * inflight_give() - give the area to the kernel
 * @s: session, with an area; no ring runs
 *
 * One that this session made and that was never used holds nothing; of any other it is not known,
 * so what is in it counts.
 */
int inflight_give(struct session *s)
{
	struct stat st;
	bool resume;
	int ret;

	if (fstat(s->inflight_fd, &st) < 0)
		return -errno;
	resume = st.st_dev != s->fresh.dev || st.st_ino != s->fresh.ino;
	ret = guest_reset(s->g);
	if (!ret)
		ret = guest_inflight(s->g, s->inflight_fd, s->inflight_offset, area_size(s),
				     resume);
	if (ret)
		return ret;
	memset(&s->fresh, 0, sizeof(s->fresh));
	s->inflight_given = true;
	inflight_drop(s);
	note("in-flight area: %s", resume ? "resuming" : "new");
	return 0;
}

void inflight_drop(struct session *s)
{
	if (s->inflight_fd >= 0)
		close(s->inflight_fd);
	s->inflight_fd = -1;
}
