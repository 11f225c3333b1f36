// SPDX-License-Identifier: GPL-2.0
/*
 * vbe-blk for a VMM's guest: devices that come and go, queues that stop alone, eventfds
 * and memory that change under it. The test is VMM and driver. Needs vbe-blk in PATH.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>

#include "kselftest_harness.h"

#include "check.h"
#include "driver.h"

#define NAME		"kst-blk"
#define IMAGE		"/tmp/kst-blk.img"
#define LOG		"/tmp/kst-blk.log"
#define IMAGE_LEN	(8 << 20)
#define MEM		0x80000000ULL
#define MEM_LEN		(1U << 20)
#define MORE		0x140000000ULL	/* a second region, for data */
#define NUM		64
#define IO		4096
#define LIMIT		COMES_MS	/* for what should come soon; the reset time-out */
#define RING_RESET	(1ULL << 40)
#define QUIET		300		/* ms in which nothing should come */

FIXTURE(blk)
{
	struct guest *g;
	struct drv d;
	struct drv_blk_req r;
	int dev;
	pid_t server;
};

FIXTURE_VARIANT(blk)
{
	const char *transport;
	uint64_t base;
	uint32_t flags;
};

#define VARIANT(_name, _transport, _base, _flags)				\
	FIXTURE_VARIANT_ADD(blk, _name) {					\
		.transport = (_transport), .base = (_base), .flags = (_flags),	\
	}

VARIANT(direct, "direct", 0, 0);
VARIANT(direct_packed, "direct", 0, DRV_F_PACKED);
VARIANT(mmio, "mmio", 0x10000000, DRV_F_KICK_FD);
VARIANT(mmio_packed, "mmio", 0x10000000, DRV_F_PACKED | DRV_F_EVENTS);
VARIANT(pci, "pci", 0x0008, DRV_F_KICK_FD | DRV_F_EVENT_IDX);
VARIANT(pci_packed, "pci", 0x0008, DRV_F_PACKED | DRV_F_INTX);

/* ---- the server ------------------------------------------------------------------- */

static pid_t server_start(const char *option)
{
	pid_t pid = fork();
	int fd;

	if (pid)
		return pid;
	/* A test that hangs is killed: so must this be. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fd = open(LOG, O_WRONLY | O_CREAT | O_APPEND, 0600);
	dup2(fd, 1);
	dup2(fd, 2);
	execlp("vbe-blk", "vbe-blk", "-v", "--packed", "--on", NAME, IMAGE, option, NULL);
	die("exec of vbe-blk");
}

static bool log_has(const char *text)
{
	static char buf[1 << 16];

	return read_text(LOG, buf, sizeof(buf)) >= 0 && strstr(buf, text);
}

static bool waits(void *arg)
{
	(void)arg;
	return log_has("waiting for device " NAME);
}

static bool alive(pid_t pid)
{
	return waitpid(pid, NULL, WNOHANG) == 0;
}

static void show_log(void)
{
	static char buf[1 << 16];
	char *line, *next;

	if (read_text(LOG, buf, sizeof(buf)) < 0)
		return;
	for (line = buf; line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		printf("# server: %s\n", line);
	}
}

/* ---- the guest ---------------------------------------------------------------------- */

static struct guest *guest_begin(const char *transport, uint64_t base, int *dev)
{
	struct vbe_guest_dev_add a = guest_dev_params(NAME, transport, base);
	struct guest *g = guest_new("kst-blk-guest");

	a.reset_timeout_ms = LIMIT;
	if (!g)
		return NULL;
	if (guest_mem_add(g, MEM, MEM_LEN, 0) >= 0) {
		*dev = guest_dev_add_params(g, &a);
		if (*dev >= 0)
			return g;
	}
	guest_free(g);
	return NULL;
}

static int driver_up(struct drv *d, struct drv_blk_req *r, struct guest *g, uint32_t dev,
		     const char *transport, uint64_t base, uint32_t flags)
{
	int ret;

	if (!guest_wait_state(g, dev, VBE_DEV_ONLINE, LIMIT))
		return -ETIMEDOUT;
	drv_init(d, g, dev, transport, base, flags);
	drv_arena(d, MEM, MEM_LEN);
	ret = drv_up(d, RING_RESET, 1, NUM);
	return ret < 0 ? ret : drv_blk_req(d, r, IO);
}

#define GUEST_UP() do {								\
	self->g = guest_begin(variant->transport, variant->base, &self->dev);	\
	ASSERT_NE(NULL, self->g);						\
	ASSERT_DONE(driver_up(&self->d, &self->r, self->g, self->dev,		\
			      variant->transport, variant->base, variant->flags)); \
} while (0)

static void guest_down(struct drv *d, struct guest **g)
{
	drv_exit(d);
	guest_free(*g);
	*g = NULL;
}

static void fill(struct drv *d, const struct drv_blk_req *r, int seed)
{
	memset(drv_ptr(d, r->data, r->len), seed, r->len);
}

/* How many bytes are @seed. */
static uint32_t filled(struct drv *d, const struct drv_blk_req *r, int seed)
{
	uint8_t *p = drv_ptr(d, r->data, r->len);
	uint32_t i, n = 0;

	for (i = 0; i < r->len; i++)
		n += p[i] == (uint8_t)seed;
	return n;
}

static int wr(struct drv *d, struct drv_blk_req *r, uint64_t sector, int seed)
{
	fill(d, r, seed);
	return drv_blk(d, 0, r, VIRTIO_BLK_T_OUT, sector, LIMIT);
}

static int rd(struct drv *d, struct drv_blk_req *r, uint64_t sector)
{
	fill(d, r, 0xee);
	return drv_blk(d, 0, r, VIRTIO_BLK_T_IN, sector, LIMIT);
}

#define EXPECT_IO(sector, seed) do {						\
	EXPECT_EQ(VIRTIO_BLK_S_OK, wr(&self->d, &self->r, sector, seed));	\
	EXPECT_EQ(VIRTIO_BLK_S_OK, rd(&self->d, &self->r, sector));		\
	EXPECT_EQ(IO, filled(&self->d, &self->r, seed));			\
} while (0)

#define SERVER(_option) do {							\
	self->server = server_start(_option);					\
	ASSERT_LT(0, self->server);						\
} while (0)

FIXTURE_SETUP(blk)
{
	int fd = open(IMAGE, O_RDWR | O_CREAT | O_TRUNC, 0666);

	self->g = NULL;
	self->server = -1;
	memset(&self->d, 0, sizeof(self->d));
	unlink(LOG);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, IMAGE_LEN));
	close(fd);
}

FIXTURE_TEARDOWN(blk)
{
	if (_metadata->exit_code)
		show_log();
	if (self->server > 0) {
		kill(self->server, SIGKILL);
		waitpid(self->server, NULL, 0);
	}
	guest_down(&self->d, &self->g);
	unlink(IMAGE);
}

/* ---- tests ------------------------------------------------------------------------------ */

TEST_F(blk, guests_come_and_go)
{
	int i;

	SERVER("--wait");
	ASSERT_TRUE(wait_until(waits, NULL, LIMIT));
	for (i = 1; i <= 3; i++) {
		GUEST_UP();
		if (i > 1) {
			EXPECT_EQ(VIRTIO_BLK_S_OK, rd(&self->d, &self->r, 8));
			EXPECT_EQ(IO, filled(&self->d, &self->r, i - 1))
				TH_LOG("there is %02x",
				       *(uint8_t *)drv_ptr(&self->d, self->r.data, 1));
		}
		EXPECT_IO(8, i);
		/* Dies with requests under way. */
		if (i == 2) {
			ASSERT_DONE(drv_blk_add(&self->d, 0, &self->r, VIRTIO_BLK_T_IN, 16));
			ASSERT_DONE(drv_kick(&self->d, 0));
		}
		guest_down(&self->d, &self->g);
		EXPECT_TRUE(alive(self->server));
	}
	GUEST_UP();
	EXPECT_IO(24, 77);
	kill(self->server, SIGTERM);
	EXPECT_EQ(0, wait_child(self->server, LIMIT));
	self->server = -1;
	EXPECT_TRUE(log_has("the disk waits for the next server"));
	/* The driver did not notice. An interrupt may be left from before. */
	drv_irq(&self->d, 0, 0);
	ASSERT_DONE(drv_blk_add(&self->d, 0, &self->r, VIRTIO_BLK_T_OUT, 32));
	ASSERT_DONE(drv_kick(&self->d, 0));
	EXPECT_EQ(0, drv_irq(&self->d, 0, QUIET));
	SERVER("--wait");
	EXPECT_DONE(drv_wait(&self->d, 0, &(uint64_t){ 0 }, &(uint32_t){ 0 }, LIMIT));
	EXPECT_EQ(VIRTIO_BLK_S_OK, drv_blk_status(&self->d, &self->r));
	EXPECT_IO(40, 78);
}

TEST_F(blk, killed_while_it_waits)
{
	SERVER("--wait");
	ASSERT_TRUE(wait_until(waits, NULL, LIMIT));
	kill(self->server, SIGTERM);
	EXPECT_EQ(0, wait_child(self->server, LIMIT));
	self->server = -1;
}

TEST_F(blk, killed_while_it_serves)
{
	SERVER("--wait");
	GUEST_UP();
	EXPECT_IO(8, 5);
	kill(self->server, SIGKILL);
	waitpid(self->server, NULL, 0);
	/* The process that serves dies with the one that waits. */
	EXPECT_TRUE(guest_wait_state(self->g, self->dev, VBE_DEV_LOST, LIMIT));
	ASSERT_DONE(drv_blk_add(&self->d, 0, &self->r, VIRTIO_BLK_T_IN, 8));
	ASSERT_DONE(drv_kick(&self->d, 0));
	SERVER("--wait");
	EXPECT_DONE(drv_wait(&self->d, 0, &(uint64_t){ 0 }, &(uint32_t){ 0 }, LIMIT));
	EXPECT_EQ(VIRTIO_BLK_S_OK, drv_blk_status(&self->d, &self->r));
	EXPECT_EQ(IO, filled(&self->d, &self->r, 5));
}

TEST_F(blk, resets)
{
	int i;

	SERVER("--wait");
	GUEST_UP();
	for (i = 1; i < 5; i++) {
		EXPECT_IO(8, i);
		ASSERT_DONE(drv_up(&self->d, RING_RESET, 1, NUM));
	}
	EXPECT_IO(8, i);
}

TEST_F(blk, queue_resets)
{
	int i;

	SERVER("--wait");
	GUEST_UP();
	for (i = 1; i < 20; i++) {
		EXPECT_IO(8, i);
		ASSERT_DONE(drv_queue_down(&self->d, 0));
		ASSERT_DONE(drv_queue_up(&self->d, 0, NUM));
	}
	EXPECT_IO(8, i);
	EXPECT_TRUE(log_has("the driver has stopped it"));
}

/* A VMM that stops a queue and goes on where it was, as for a migration. */
TEST_F(blk, stops_and_goes_on)
{
	struct vbe_guest_queue_set s = { .size = sizeof(s), .index = 0, .num = NUM,
		.flags = VBE_GUEST_QUEUE_SET_F_ENABLE | VBE_GUEST_QUEUE_SET_F_BASE };
	struct drv_queue *q = &self->d.queues[0];
	uint32_t base, want;
	int i;

	SERVER("--wait");
	GUEST_UP();
	if (strcmp(variant->transport, "direct")) {
		/* There it is the driver's own business, by a register. */
		EXPECT_EQ(-EOPNOTSUPP, guest_queue_stop(self->g, self->dev, 0, &base));
		EXPECT_IO(8, 1);
		return;
	}
	/* More than a lap, packed. */
	for (i = 1; i < 60; i++) {
		EXPECT_IO(8, i);
		ASSERT_DONE(guest_queue_stop(self->g, self->dev, 0, &base));
		want = q->next_avail | (q->packed && q->avail_wrap ? 0x8000 : 0);
		if (q->packed)
			want |= want << 16;
		EXPECT_EQ(want, base);
		s.dev = self->dev;
		s.base = base;
		s.desc = q->desc;
		s.driver = q->driver;
		s.device = q->device;
		/* Nobody may serve it meanwhile; what came then is not lost. */
		if (i % 2) {
			ASSERT_DONE(drv_blk_add(&self->d, 0, &self->r, VIRTIO_BLK_T_IN, 8));
			drv_kick_now(&self->d, 0);
		}
		ASSERT_DONE(xioctl(self->g->fd, VBE_IOC_GUEST_QUEUE_SET, &s));
		if (i % 2)
			ASSERT_DONE(drv_wait(&self->d, 0, &(uint64_t){ 0 }, &(uint32_t){ 0 },
					     LIMIT));
	}
}

/* ---- eventfds --------------------------------------------------------------------------- */

static unsigned int eventfd_id(const char *path)
{
	char buf[512], *p;

	if (read_text(path, buf, sizeof(buf)) < 0)
		return ~0U;
	p = strstr(buf, "eventfd-id:");
	return p ? strtoul(p + 11, NULL, 10) : ~0U;
}

/* Whether @pid has our eventfd @fd open. */
static bool has_eventfd(pid_t pid, int fd)
{
	char dir[64], path[384];
	unsigned int id;
	bool found = false;
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	id = eventfd_id(path);
	snprintf(dir, sizeof(dir), "/proc/%d/fdinfo", pid);
	d = opendir(dir);
	while (d && !found && (e = readdir(d))) {
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		found = id != ~0U && eventfd_id(path) == id;
	}
	if (d)
		closedir(d);
	return found;
}

struct wanted {
	pid_t pid;
	int fd;
};

static bool adopted(void *arg)
{
	struct wanted *w = arg;

	return has_eventfd(w->pid, w->fd);
}

/* The server waits on the VMM's own eventfd, whichever that is now. */
TEST_F(blk, kick_eventfds_change)
{
	static const int flags[] = { 0, EFD_NONBLOCK, EFD_NONBLOCK, 0 };
	/* Else the driver kicks by accesses, and those must reach the server all the same. */
	bool by_fd = (variant->flags & DRV_F_KICK_FD) || !strcmp(variant->transport, "direct");
	struct drv_queue *q = &self->d.queues[0];
	int fd = -1, old, i;
	struct wanted w;

	self->g = guest_begin(variant->transport, variant->base, &self->dev);
	ASSERT_NE(NULL, self->g);
	SERVER(NULL);
	ASSERT_DONE(driver_up(&self->d, &self->r, self->g, self->dev, variant->transport,
			      variant->base, variant->flags));
	EXPECT_IO(8, 100);
	for (i = 0; i < 8; i++) {
		old = by_fd ? q->kick_fd : fd;
		fd = eventfd(0, EFD_CLOEXEC | flags[i % 4]);
		ASSERT_DONE(guest_set_fd(self->g, self->dev, VBE_GUEST_FD_KICK, 0, fd));
		if (old >= 0)
			close(old);
		if (by_fd)
			q->kick_fd = fd;
		/* At once, and when it has adopted it. */
		EXPECT_IO(8, i + 1);
		w = (struct wanted){ self->server, fd };
		EXPECT_TRUE(wait_until(adopted, &w, LIMIT));
		EXPECT_IO(8, i + 101);
	}
	ASSERT_DONE(guest_set_fd(self->g, self->dev, VBE_GUEST_FD_KICK, 0, -1));
	close(fd);
	q->kick_fd = -1;
	EXPECT_IO(16, 9);
	kill(self->server, SIGTERM);
	EXPECT_EQ(0, wait_child(self->server, LIMIT));
	self->server = -1;
}

/* ---- memory -------------------------------------------------------------------------------- */

static void in_more(struct drv_blk_req *r, const struct drv_blk_req *old)
{
	*r = *old;
	r->data = MORE;
}

TEST_F(blk, memory_comes_and_goes)
{
	struct drv_blk_req more;
	int i;

	SERVER("--wait");
	GUEST_UP();
	in_more(&more, &self->r);
	for (i = 0; i < 5; i++) {
		ASSERT_DONE(guest_mem_add(self->g, MORE, MEM_LEN, 0));
		/* Perhaps before the server has heard of it. */
		EXPECT_EQ(VIRTIO_BLK_S_OK, wr(&self->d, &more, 64, i + 1));
		EXPECT_EQ(VIRTIO_BLK_S_OK, rd(&self->d, &more, 64));
		EXPECT_EQ(IO, filled(&self->d, &more, i + 1));
		ASSERT_DONE(guest_mem_del(self->g, MORE, MEM_LEN));
		EXPECT_IO(8, i + 1);
	}
	EXPECT_EQ(VIRTIO_BLK_S_OK, rd(&self->d, &self->r, 64));
	EXPECT_EQ(IO, filled(&self->d, &self->r, 5));
}

/* The same for a server that is asked to pin the memory: what it pins must not go stale. */
TEST_F(blk, memory_is_not_pinned)
{
	struct drv_blk_req more;
	int i;

	self->g = guest_begin(variant->transport, variant->base, &self->dev);
	ASSERT_NE(NULL, self->g);
	SERVER("--fixed-buffers");
	ASSERT_DONE(driver_up(&self->d, &self->r, self->g, self->dev, variant->transport,
			      variant->base, variant->flags));
	in_more(&more, &self->r);
	for (i = 0; i < 5; i++) {
		EXPECT_IO(8, i + 1);
		ASSERT_DONE(guest_mem_add(self->g, MORE, MEM_LEN, 0));
		EXPECT_EQ(VIRTIO_BLK_S_OK, wr(&self->d, &more, 64, i + 1));
		/* The server has heard of it by now, or not. */
		sleep_ms(i * 20);
		EXPECT_EQ(VIRTIO_BLK_S_OK, rd(&self->d, &more, 64));
		EXPECT_EQ(IO, filled(&self->d, &more, i + 1));
		ASSERT_DONE(guest_mem_del(self->g, MORE, MEM_LEN));
	}
	EXPECT_EQ(VIRTIO_BLK_S_OK, rd(&self->d, &self->r, 64));
	EXPECT_EQ(IO, filled(&self->d, &self->r, 5));
	EXPECT_TRUE(log_has("no fixed buffers"));
}

/* The server may take the request as soon as the memory is there: so must what is in it. */
static int mem_add_filled(struct guest *g, uint64_t addr, int seed)
{
	struct guest_mem m = { .addr = addr, .len = MEM_LEN };

	m.fd = memfd_create("filled", MFD_CLOEXEC);
	if (m.fd < 0 || ftruncate(m.fd, MEM_LEN))
		return -errno;
	m.host = mmap(NULL, MEM_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, m.fd, 0);
	if (m.host == MAP_FAILED)
		return -errno;
	memset(m.host, seed, MEM_LEN);
	g->mem[g->n_mem++] = m;
	return guest_mem_add_fd(g->fd, m.fd, 0, addr, MEM_LEN, 0);
}

/* What is asked for while its memory is away fails, or waits for it; but writes no zeroes. */
TEST_F(blk, no_zeroes_from_memory_that_has_gone)
{
	struct drv_blk_req more;
	uint64_t token;
	uint32_t len;

	SERVER("--wait");
	GUEST_UP();
	EXPECT_IO(64, 3);
	in_more(&more, &self->r);
	ASSERT_DONE(guest_mem_add(self->g, MORE, MEM_LEN, 0));
	EXPECT_EQ(VIRTIO_BLK_S_OK, wr(&self->d, &more, 72, 4));
	ASSERT_DONE(guest_mem_del(self->g, MORE, MEM_LEN));
	ASSERT_DONE(drv_blk_add(&self->d, 0, &more, VIRTIO_BLK_T_OUT, 64));
	ASSERT_DONE(drv_kick(&self->d, 0));
	if (drv_wait(&self->d, 0, &token, &len, QUIET) >= 0) {
		EXPECT_EQ(VIRTIO_BLK_S_IOERR, drv_blk_status(&self->d, &more));
	} else {
		ASSERT_DONE(mem_add_filled(self->g, MORE, 3));
		EXPECT_DONE(drv_wait(&self->d, 0, &token, &len, LIMIT));
	}
	EXPECT_EQ(VIRTIO_BLK_S_OK, rd(&self->d, &self->r, 64));
	EXPECT_EQ(IO, filled(&self->d, &self->r, 3));
}

/* A VMM gives its whole memory anew, under a live driver and its rings. */
TEST_F(blk, memory_is_given_anew)
{
	uint8_t *host;
	int fd, i;

	SERVER("--wait");
	GUEST_UP();
	for (i = 0; i < 5; i++) {
		EXPECT_IO(8, i + 1);
		fd = dup(self->g->mem[0].fd);
		host = mmap(NULL, MEM_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		ASSERT_NE(MAP_FAILED, host);
		ASSERT_DONE(guest_mem_del(self->g, MEM, MEM_LEN));
		/* Time to see that the rings have gone. */
		if (i % 2)
			sleep_ms(QUIET);
		ASSERT_DONE(guest_mem_add_fd(self->g->fd, fd, 0, MEM, MEM_LEN, 0));
		self->g->mem[self->g->n_mem++] = (struct guest_mem){
			.addr = MEM, .len = MEM_LEN, .host = host, .fd = fd,
		};
		EXPECT_IO(16, i + 11);
	}
}

TEST_HARNESS_MAIN
