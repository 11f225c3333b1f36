// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
/* The image: a file, a block device, or nothing but zeroes. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <linux/falloc.h>
#include <linux/fs.h>

#include "vbe-blk.h"

#define ZERO_CHUNK	(1u << 20)
#define PREDECESSOR_MS	5000
#define RETRY_US	20000

/* Whether O_DIRECT works on @fd with this alignment: some file systems only say so on I/O. */
static bool dio_works(int fd, uint32_t align)
{
	void *buf;
	bool ok;

	if (posix_memalign(&buf, align, align))
		return false;
	ok = pread(fd, buf, align, 0) >= 0;
	free(buf);
	return ok;
}

static void open_direct(struct image *img, const struct options *o)
{
	int flags = (img->read_only ? O_RDONLY : O_RDWR) | O_DIRECT | O_CLOEXEC;
	char path[32];
	int fd;

	if (o->direct == DIRECT_OFF)
		return;
	/* By its path it might be another file by now. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", img->fd);
	fd = open(path, flags);
	if (fd < 0) {
		note("%s: no O_DIRECT: %s", o->image, strerror(errno));
		return;
	}
	for (uint32_t align = SECTOR; align <= 4096; align *= 2) {
		if (img->block_dev && align < img->logical)
			continue;
		if (!dio_works(fd, align))
			continue;
		img->direct_fd = fd;
		img->dio_align = align;
		return;
	}
	note("%s: O_DIRECT does not work", o->image);
	close(fd);
}

static int query_block_dev(struct image *img)
{
	unsigned int physical = 0, io_min = 0, io_opt = 0;
	uint64_t size;
	int logical;

	if (ioctl(img->fd, BLKGETSIZE64, &size) < 0 || ioctl(img->fd, BLKSSZGET, &logical) < 0)
		return -errno;
	ioctl(img->fd, BLKPBSZGET, &physical);
	ioctl(img->fd, BLKIOMIN, &io_min);
	ioctl(img->fd, BLKIOOPT, &io_opt);
	img->size = size;
	img->logical = logical;
	img->physical = physical;
	img->io_min = io_min;
	img->io_opt = io_opt;
	return 0;
}

static int query_file(struct image *img, const struct stat *st)
{
	img->size = st->st_size;
	img->logical = SECTOR;
	img->physical = st->st_blksize >= 4096 ? 4096 : SECTOR;
	img->io_min = img->physical;
	return 0;
}

/* Punching nothing past the end tells whether holes can be punched, and changes nothing. */
static bool probe_discard(const struct image *img)
{
	if (img->read_only)
		return false;
	if (img->block_dev)
		return true;
	return fallocate(img->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, img->size,
			 SECTOR) == 0;
}

static int check_sizes(struct image *img, const struct options *o)
{
	const char *what = o->image ? o->image : "--size";

	if (o->block_size) {
		if (img->block_dev && o->block_size < img->logical) {
			say("%s: has blocks of %u bytes: --block-size %u does not fit", what,
			    img->logical, o->block_size);
			return XC_FAIL;
		}
		img->logical = o->block_size;
	}
	if (img->physical < img->logical)
		img->physical = img->logical;
	if (img->size % img->logical) {
		say("%s: its last %u bytes are not a whole block, and will not be seen",
		    what, (unsigned int)(img->size % img->logical));
		img->size -= img->size % img->logical;
	}
	if (!img->size) {
		say("%s: is smaller than one block%s%s", what,
		    o->image ? "; make it with: truncate -s 1G " : "", o->image ? what : "");
		return XC_FAIL;
	}
	return XC_OK;
}

/* A predecessor that was just killed holds the image until its last I/O has ended. */
static int open_patiently(const char *path, int flags)
{
	int64_t end = now_ms() + PREDECESSOR_MS;
	int fd;

	do {
		fd = open(path, flags);
		if (fd >= 0 || errno != EBUSY)
			return fd;
		usleep(RETRY_US);
	} while (now_ms() < end);
	errno = EBUSY;
	return -1;
}

static int open_fd(struct image *img, const struct options *o)
{
	int flags = (o->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC;
	struct stat st;
	int err;

	/* O_EXCL means "not mounted" for a block device, and nothing for a file. */
	if (stat(o->image, &st) == 0 && S_ISBLK(st.st_mode) && !o->read_only)
		flags |= O_EXCL;
	img->fd = open_patiently(o->image, flags);
	err = errno;
	if (img->fd >= 0)
		return XC_OK;
	if (err == EBUSY)
		say("%s: is mounted or in use", o->image);
	else if (err == EACCES || err == EROFS)
		say("%s: %s (--read-only needs less)", o->image, strerror(err));
	else
		say("%s: %s", o->image, strerror(err));
	return err == EACCES || err == EPERM ? XC_PERM : XC_FAIL;
}

/* As open_patiently(). */
static int lock_image(int fd, bool shared)
{
	int64_t end = now_ms() + PREDECESSOR_MS;

	do {
		if (flock(fd, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB) == 0)
			return 0;
		usleep(RETRY_US);
	} while (now_ms() < end);
	return -1;
}

/*
 * O_DIRECT that outlives this process (killed with I/O in flight) keeps the open file that it was
 * submitted on. So the lock is to be that file's: then a next server waits for such I/O, also
 * where the kernel does not make it wait, since the device went as well and is another one now.
 * Somebody may get the lock in between; then one of us two gives up.
 */
static int lock_direct(struct image *img)
{
	if (img->direct_fd < 0 || img->read_only)
		return 0;
	flock(img->fd, LOCK_UN);
	return lock_image(img->direct_fd, false);
}

/**
 * image_open() - open what is to be served
 * @img: filled in
 * @o: options
 *
 * Return: an exit code; not XC_OK after a message.
 */
int image_open(struct image *img, const struct options *o)
{
	struct stat st;
	int ret;

	memset(img, 0, sizeof(*img));
	img->fd = -1;
	img->direct_fd = -1;
	img->read_only = o->read_only;
	if (o->null) {
		img->size = o->size;
		img->logical = SECTOR;
		img->physical = 4096;
		img->can_discard = !o->read_only;
		return check_sizes(img, o);
	}
	ret = open_fd(img, o);
	if (ret)
		return ret;
	if (fstat(img->fd, &st) < 0 || (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))) {
		say("%s: is neither a file nor a block device", o->image);
		return XC_FAIL;
	}
	if (lock_image(img->fd, o->read_only) < 0) {
		say("%s: another process uses it (flock)", o->image);
		return XC_FAIL;
	}
	img->block_dev = S_ISBLK(st.st_mode);
	ret = img->block_dev ? query_block_dev(img) : query_file(img, &st);
	if (ret) {
		say("%s: %s", o->image, strerror(-ret));
		return XC_FAIL;
	}
	img->tag[0] = img->block_dev ? st.st_rdev : st.st_dev;
	img->tag[1] = img->block_dev ? ~0ULL : st.st_ino;
	ret = check_sizes(img, o);
	if (ret)
		return ret;
	open_direct(img, o);
	if (o->direct == DIRECT_ON && img->direct_fd < 0) {
		say("%s: O_DIRECT does not work here: use --direct auto", o->image);
		return XC_UNSUPPORTED;
	}
	if (lock_direct(img) < 0) {
		say("%s: another process uses it (flock)", o->image);
		return XC_FAIL;
	}
	img->can_discard = probe_discard(img);
	return XC_OK;
}

/**
 * image_use_direct() - use O_DIRECT, or do not
 * @img: image; no I/O is in flight
 * @on: the FE's memory is of the class that O_DIRECT needs
 */
void image_use_direct(struct image *img, bool on)
{
	img->direct = on && img->direct_fd >= 0;
}

/**
 * image_resize() - look at the size again
 * @img: image
 *
 * Return: 1 if it changed, 0 if not, or a negative errno.
 */
int image_resize(struct image *img)
{
	struct stat st;
	uint64_t size;

	if (img->fd < 0)
		return 0;
	if (img->block_dev) {
		if (ioctl(img->fd, BLKGETSIZE64, &size) < 0)
			return -errno;
	} else {
		if (fstat(img->fd, &st) < 0)
			return -errno;
		size = st.st_size;
	}
	size -= size % img->logical;
	if (size == image_size(img))
		return 0;
	__atomic_store_n(&img->size, size, __ATOMIC_RELEASE);
	return 1;
}

static int do_fallocate(int fd, int mode, uint64_t off, uint64_t len)
{
	int ret;

	do {
		ret = fallocate(fd, mode | FALLOC_FL_KEEP_SIZE, off, len);
	} while (ret < 0 && errno == EINTR);
	return ret < 0 ? -errno : 0;
}

/**
 * image_discard() - the driver does not need these bytes any more
 * @img: image
 * @off: first byte
 * @len: bytes
 *
 * Return: 0 or a negative errno. A device that cannot is no error: discard is a hint.
 */
int image_discard(const struct image *img, uint64_t off, uint64_t len)
{
	uint64_t range[2] = { off, len };
	int ret;

	if (img->fd < 0)
		return 0;
	if (img->block_dev)
		ret = ioctl(img->fd, BLKDISCARD, range) < 0 ? -errno : 0;
	else
		ret = do_fallocate(img->fd, FALLOC_FL_PUNCH_HOLE, off, len);
	return ret == -EOPNOTSUPP ? 0 : ret;
}

static int write_zeroes(int fd, uint64_t off, uint64_t len)
{
	size_t chunk = len < ZERO_CHUNK ? len : ZERO_CHUNK;
	char *buf = calloc(1, chunk);
	int ret = 0;

	if (!buf)
		return -ENOMEM;
	while (len && !ret) {
		ssize_t n = pwrite(fd, buf, len < chunk ? len : chunk, off);

		if (n < 0 && errno != EINTR)
			ret = -errno;
		if (n > 0) {
			off += n;
			len -= n;
		}
	}
	free(buf);
	return ret;
}

/**
 * image_zero() - make bytes read as zeroes
 * @img: image
 * @off: first byte
 * @len: bytes
 * @may_unmap: their blocks may be given back
 *
 * Return: 0 or a negative errno.
 */
int image_zero(const struct image *img, uint64_t off, uint64_t len, bool may_unmap)
{
	uint64_t range[2] = { off, len };
	int ret;

	if (img->fd < 0)
		return 0;
	if (img->block_dev)
		return ioctl(img->fd, BLKZEROOUT, range) < 0 ? -errno : 0;
	ret = do_fallocate(img->fd, may_unmap ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE, off,
			   len);
	if (ret != -EOPNOTSUPP)
		return ret;
	return write_zeroes(img->fd, off, len);
}

/* Make what was written stable. */
int image_sync(const struct image *img)
{
	if (img->fd < 0)
		return 0;
	return fdatasync(img->fd) < 0 ? -errno : 0;
}

void image_close(struct image *img)
{
	if (img->direct_fd >= 0)
		close(img->direct_fd);
	img->direct_fd = -1;
	if (img->fd >= 0)
		close(img->fd);
	img->fd = -1;
}
