// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
/*
 * What a queue of libvbe is kicked by: the FE's eventfd or its own, and a change from one to the
 * other under a thread that waits. The kernel's side is played here. TAP.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "private.h"

#define TRIES		200
#define WAIT_MS		5000

static int n_tests, n_failed;

static void check(bool ok, const char *what)
{
	n_tests++;
	n_failed += !ok;
	printf("%sok %d - %s\n", ok ? "" : "not ", n_tests, what);
}

/* ---- the kernel's side ---- */

static int fe_fd = -1;		/* what the FE brings */
static int fe_errno = ENOENT;	/* what is said when it brings none */
static int attached = -1;	/* where kicks go */

int __wrap_ioctl(int fd, unsigned long cmd, ...);

static void attach(int fd)
{
	if (attached >= 0)
		close(attached);
	attached = fd >= 0 ? dup(fd) : -1;
}

int __wrap_ioctl(int fd, unsigned long cmd, ...)
{
	struct vbe_queue_kick_fd *kick;
	struct vbe_queue_fds *fds;
	va_list ap;

	(void)fd;
	va_start(ap, cmd);
	kick = va_arg(ap, void *);
	va_end(ap);
	if (cmd == VBE_IOC_QUEUE_KICK_FD && fe_fd >= 0) {
		attach(fe_fd);
		kick->out_fd = dup(fe_fd);
		return 0;
	}
	if (cmd == VBE_IOC_QUEUE_SET_FDS) {
		fds = (void *)kick;
		attach(fds->kick_fd);
		return 0;
	}
	errno = cmd == VBE_IOC_QUEUE_KICK_FD ? fe_errno : ENOTTY;
	return -1;
}

static void kick(void)
{
	if (eventfd_write(attached, 1))
		abort();
}

/* ---- one thread ---- */

static struct vbe_dev dev = { .fd = -1 };
static struct vbe_kick k;

static void bring(int flags)
{
	if (fe_fd >= 0)
		close(fe_fd);
	fe_fd = flags < 0 ? -1 : eventfd(0, EFD_CLOEXEC | flags);
}

static bool empty_after(int n)
{
	while (n--)
		if (vbe_kick_wait(&k, 0) != 1)
			return false;
	return vbe_kick_wait(&k, 0) == 0;
}

static void drain(void)
{
	while (vbe_kick_wait(&k, 0) == 1)
		;
}

static int count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void falls_back(void)
{
	static const int errnos[] = { ENOENT, ENOTTY, EOPNOTSUPP, EMFILE };
	bool ok = true;

	for (int i = 0; i < 4; i++) {
		fe_errno = errnos[i];
		ok &= !vbe_kick_init(&k) && !vbe_kick_attach(&k, &dev, 0);
		kick();
		ok &= empty_after(1);
		vbe_kick_wake(&k);
		ok &= empty_after(1);
		vbe_kick_detach(&k, &dev, 0);
		vbe_kick_exit(&k);
	}
	check(ok, "without an eventfd of the FE it is ours");
	fe_errno = ENOENT;
}

static bool kicked_and_woken(void)
{
	bool ok = true;

	drain();
	kick();
	ok &= empty_after(1);
	vbe_kick_wake(&k);
	ok &= empty_after(1);
	return ok && !(fcntl(k.fd, F_GETFD) ^ FD_CLOEXEC);
}

/* @flags of the FE's eventfd; -1: none. */
static bool changes_to(int flags)
{
	int before = k.fd;

	bring(flags);
	return !vbe_kick_attach(&k, &dev, 0) && k.fd == before && vbe_kick_wait(&k, 0) == 1 &&
	       kicked_and_woken();
}

static void adopts(void)
{
	static const int flags[] = { 0, EFD_NONBLOCK, -1, EFD_NONBLOCK, 0, EFD_SEMAPHORE, -1 };
	int before = count_fds();
	bool ok = !vbe_kick_init(&k);

	bring(0);
	ok &= !vbe_kick_attach(&k, &dev, 0) && kicked_and_woken();
	for (int i = 0; i < 7; i++)
		ok &= changes_to(flags[i]);
	check(ok, "the FE may bring, change and take back its eventfd; our number stays");
	bring(0);
	ok = !vbe_kick_attach(&k, &dev, 0);
	vbe_kick_detach(&k, &dev, 0);
	drain();
	eventfd_write(fe_fd, 1);
	ok &= attached < 0 && vbe_kick_wait(&k, 0) == 0;
	vbe_kick_wake(&k);
	check(ok && empty_after(1), "detached it has ours again");
	bring(-1);
	vbe_kick_exit(&k);
	check(count_fds() == before, "no fd is left over");
}

/* A FE may fill its eventfd, and who has it may read it behind our back. */
static void bad_manners(void)
{
	bool ok;

	bring(0);
	ok = !vbe_kick_init(&k) && !vbe_kick_attach(&k, &dev, 0);
	drain();
	eventfd_write(fe_fd, 0xfffffffffffffffeULL);
	vbe_kick_wake(&k);
	check(ok && empty_after(1), "a wake-up does not block on a full eventfd");
	fcntl(fe_fd, F_SETFL, O_NONBLOCK);
	ok = vbe_kick_wait(&k, -1) == 1 && k.nonblock;
	kick();
	check(ok && vbe_kick_wait(&k, -1) == 1, "one that ceases to block is noticed");
	bring(-1);
	vbe_kick_exit(&k);
}

/* ---- a thread that waits ---- */

static uint32_t n_waits, stop;
static int64_t waiter_ns;

static void *waiter_main(void *arg)
{
	struct timespec ts;

	(void)arg;
	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		if (vbe_kick_wait(&k, -1) < 0 && errno != EINTR)
			break;
		__atomic_add_fetch(&n_waits, 1, __ATOMIC_RELEASE);
	}
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	waiter_ns = ts.tv_sec * 1000000000LL + ts.tv_nsec;
	return NULL;
}

/* Whether the waiter returns once more than @before. */
static bool returns(uint32_t before)
{
	for (int i = 0; i < WAIT_MS * 10; i++) {
		if (__atomic_load_n(&n_waits, __ATOMIC_ACQUIRE) != before)
			return true;
		usleep(100);
	}
	return false;
}

static uint32_t waits(void)
{
	return __atomic_load_n(&n_waits, __ATOMIC_ACQUIRE);
}

static void change_under_waiter(void)
{
	static const int flags[] = { 0, EFD_NONBLOCK, -1 };
	pthread_t thread;
	bool ok = true;
	uint32_t n;

	bring(-1);
	if (vbe_kick_init(&k) || vbe_kick_attach(&k, &dev, 0) ||
	    pthread_create(&thread, NULL, waiter_main, NULL))
		abort();
	for (int i = 0; i < TRIES && ok; i++) {
		/* Sometimes it sleeps already, sometimes it is just about to. */
		usleep(i % 4 * 300);
		bring(flags[i % 3]);
		n = waits();
		ok &= !vbe_kick_attach(&k, &dev, 0) && returns(n);
		usleep(i % 3 * 300);
		n = waits();
		kick();
		ok &= returns(n);
		usleep(1000);
		n = waits();
		vbe_kick_wake(&k);
		ok &= returns(n);
	}
	check(ok, "a change, a kick, a wake-up reach a thread that waits");
	bring(EFD_NONBLOCK);
	vbe_kick_attach(&k, &dev, 0);
	usleep(200000);
	n = waits();
	usleep(200000);
	check(waits() == n, "it sleeps, also with an eventfd that does not block");
	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	vbe_kick_wake(&k);
	pthread_join(thread, NULL);
	bring(-1);
	vbe_kick_exit(&k);
}

/* ---- io_uring, as vbe-blk waits ---- */

static bool ring_read(struct io_uring *ring, uint64_t *count)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	io_uring_prep_read(sqe, k.fd, count, sizeof(*count), 0);
	return io_uring_submit(ring) == 1;
}

/* Whether the read ends within @ms, well. */
static bool ring_reads(struct io_uring *ring, int ms)
{
	struct __kernel_timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
	struct io_uring_cqe *cqe;
	int res;

	if (io_uring_wait_cqe_timeout(ring, &cqe, &ts))
		return false;
	res = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	return res == sizeof(uint64_t);
}

static void with_io_uring(void)
{
	struct io_uring ring;
	uint64_t count;
	bool ok;

	if (io_uring_queue_init(4, &ring, 0)) {
		printf("ok %d - # SKIP no io_uring here\n", ++n_tests);
		return;
	}
	bring(EFD_NONBLOCK);
	ok = !vbe_kick_init(&k) && !vbe_kick_attach(&k, &dev, 0);
	drain();
	ok &= ring_read(&ring, &count) && !ring_reads(&ring, 50);
	kick();
	ok &= ring_reads(&ring, WAIT_MS);
	check(ok, "io_uring waits on an eventfd that does not block");
	ok = ring_read(&ring, &count) && !ring_reads(&ring, 50);
	bring(0);
	ok &= !vbe_kick_attach(&k, &dev, 0) && ring_reads(&ring, WAIT_MS);
	check(ok, "its read ends when the eventfd is changed");
	io_uring_queue_exit(&ring);
	bring(-1);
	vbe_kick_exit(&k);
}

int main(void)
{
	/* A thread that is not woken is not joined either. */
	alarm(120);
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("TAP version 13\n");
	falls_back();
	adopts();
	bad_manners();
	change_under_waiter();
	with_io_uring();
	printf("1..%d\n", n_tests);
	return n_failed != 0;
}
