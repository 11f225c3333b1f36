// SPDX-License-Identifier: GPL-2.0
/*
 * As vbe_fail_nth, for guest fds: each allocation and each copy of a chain of good calls
 * fails in turn. What failed says so, and the guest can be closed, and its names taken
 * again, after each round.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>

#include "kselftest_harness.h"

#include "check.h"
#include "dev.h"
#include "guest.h"
#include "nth.h"

#define NAME	"kst-gnth"
#define RAM	0x80000000ULL
#define RAM_LEN	(256ULL << 10)
#define REGS	0x10000000ULL
#define BAR	0xe0000000ULL
#define BDF	0x08
#define PAGE	4096ULL
#define HUGE	(2ULL << 20)

/* How far the guest is brought before the failures begin. */
enum stage {
	BARE,		/* guest fd, no memory, no device */
	MEMORY,
	DEVICE,
	ATTACHED,
	ONLINE,
};

/**
 * struct chain - what a chain works on; made anew, without failures, for each n
 * @g: guest
 * @fd: device fd of the backend, or -1
 * @ev: eventfds
 * @memfd: a file of RAM_LEN
 * @s: set-up of the backend
 */
struct chain {
	struct guest *g;
	int fd;
	int ev[2];
	int memfd;
	struct good_setup *s;
};

/**
 * struct plan - a chain of calls
 * @transport: of the device
 * @base: where it is
 * @stage: how far all is brought before
 * @fn: the chain
 */
struct plan {
	const char *transport;
	uint64_t base;
	enum stage stage;
	int (*fn)(struct chain *c);
};

static int begin(struct chain *c, const struct plan *p)
{
	bool raw = !strcmp(p->transport, "raw");
	int ret = 0;

	c->g = guest_new(NAME);
	c->fd = -1;
	c->ev[0] = guest_eventfd();
	c->ev[1] = guest_eventfd();
	c->memfd = memfd_create("nth", MFD_CLOEXEC);
	c->s = calloc(1, sizeof(*c->s));
	if (!c->g || c->memfd < 0 || ftruncate(c->memfd, RAM_LEN) || !c->s)
		return -ENOMEM;
	good_setup(c->s);
	c->s->s.config_size = 32;
	c->s->s.inflight_size = PAGE;
	if (raw)
		c->s->s = (struct vbe_dev_setup){ .size = sizeof(c->s->s),
						  .loss_policy = VBE_LOSS_DEFAULT };
	if (p->stage >= MEMORY)
		ret = guest_mem_add(c->g, RAM, RAM_LEN, 0);
	if (ret >= 0 && p->stage >= DEVICE)
		ret = guest_dev_add(c->g, NAME, p->transport, p->base);
	if (ret >= 0 && p->stage >= ATTACHED)
		ret = c->fd = dev_open(NAME);
	if (ret >= 0 && p->stage >= ONLINE)
		ret = xioctl(c->fd, VBE_IOC_DEV_SETUP, &c->s->s);
	if (ret >= 0 && p->stage >= ONLINE)
		ret = dev_simple(c->fd, VBE_IOC_DEV_ONLINE);
	return ret < 0 ? ret : 0;
}

/* Goes well whatever has failed before: 0, or what is left. */
static int end(struct chain *c)
{
	int ret;

	guest_free(c->g);
	ret = dev_open(NAME);
	if (c->fd >= 0)
		close(c->fd);
	close(c->ev[0]);
	close(c->ev[1]);
	close(c->memfd);
	free(c->s);
	return ret == -ENOENT ? 0 : ret < 0 ? ret : -EEXIST;
}

static void sweep(struct __test_metadata *_metadata, const struct plan *p)
{
	unsigned int n, failed = 0;
	struct chain c;
	bool injected;
	int ret;

	for (n = 1; n <= NTH_MOST; n++) {
		ASSERT_EQ(0, begin(&c, p))
			TH_LOG("round %u cannot begin", n);
		nth_arm(n);
		ret = p->fn(&c);
		injected = nth_disarm();
		EXPECT_EQ(0, end(&c))
			TH_LOG("after failure %u something is left", n);
		if (!injected) {
			EXPECT_EQ(0, ret)
				TH_LOG("nothing was made to fail, and yet: %s", strerror(-ret));
			break;
		}
		EXPECT_TRUE(nth_clean_error(ret))
			TH_LOG("failure %u: %s", n, strerror(-ret));
		failed += ret != 0;
	}
	ASSERT_GE(NTH_MOST, n);
	/* At least one failure must have been there to see, or this tests nothing. */
	EXPECT_LT(1, n);
	EXPECT_LT(0, failed);
	TH_LOG("%u failure points, %u of them seen by the caller", n - 1, failed);
}

FIXTURE(gnth)
{
	int dummy;
};

FIXTURE_SETUP(gnth)
{
	const char *lacks = nth_begin();

	if (lacks)
		SKIP(return, "%s", lacks);
}

FIXTURE_TEARDOWN(gnth)
{
	nth_end();
}

#define NTH(name, how, where, when)						\
TEST_F_TIMEOUT(gnth, name, NTH_TIMEOUT)						\
{										\
	static const struct plan plan = { how, where, when, chain_##name };	\
	sweep(_metadata, &plan);						\
}

/* ---- guests, memory, devices ----------------------------------------------------- */

static int chain_guest_new(struct chain *c)
{
	int fd = guest_fd_new(NAME "-2");

	(void)c;
	if (fd >= 0)
		close(fd);
	return fd < 0 ? fd : 0;
}

NTH(guest_new, "direct", 0, BARE)

static int chain_mem_add(struct chain *c)
{
	return guest_mem_add_fd(c->g->fd, c->memfd, 0, RAM, RAM_LEN, 0);
}

NTH(mem_add, "direct", 0, BARE)

/* With a device, whose window it becomes, and a backend that is told. */
static int chain_mem_add_window(struct chain *c)
{
	int ret = guest_mem_add_fd(c->g->fd, c->memfd, 0, 2 * RAM, RAM_LEN, 0);

	return ret < 0 ? ret : guest_mem_del(c->g, 2 * RAM, RAM_LEN);
}

NTH(mem_add_window, "direct", 0, ATTACHED)

static int chain_mem_del(struct chain *c)
{
	return guest_mem_del(c->g, RAM, RAM_LEN);
}

NTH(mem_del, "direct", 0, ATTACHED)

static int add(struct chain *c, const char *transport, uint64_t base)
{
	int ret = guest_dev_add(c->g, NAME, transport, base);

	return ret < 0 ? ret : 0;
}

static int chain_add_direct(struct chain *c)
{
	return add(c, "direct", 0);
}

static int chain_add_mmio(struct chain *c)
{
	return add(c, "mmio", REGS);
}

static int chain_add_pci(struct chain *c)
{
	return add(c, "pci", BDF);
}

static int chain_add_raw(struct chain *c)
{
	return add(c, "raw", BDF);
}

NTH(add_direct, "direct", 0, MEMORY)
NTH(add_mmio, "mmio", REGS, MEMORY)
NTH(add_pci, "pci", BDF, MEMORY)
NTH(add_raw, "raw", BDF, MEMORY)

static int chain_del_online(struct chain *c)
{
	int ret = guest_dev_del(c->g, 0);

	/* Done, and only then not told. */
	return ret == -ENOENT ? 0 : ret;
}

NTH(del_online, "pci", BDF, ONLINE)

static int chain_die(struct chain *c)
{
	return guest_die(c->g);
}

NTH(die, "mmio", REGS, ONLINE)

static int chain_infos(struct chain *c)
{
	struct vbe_guest_queue_info q;
	struct vbe_guest_dev_info i;
	int ret = guest_dev_info(c->g, 0, &i);

	if (!ret)
		ret = guest_queue_info(c->g, 0, 0, &q);
	if (!ret)
		ret = guest_eoi(c->g, 0);
	return ret;
}

NTH(infos, "pci", BDF, ONLINE)

static int chain_read(struct chain *c)
{
	struct vbe_guest_event ev[8];

	return read(c->g->fd, ev, sizeof(ev)) > 0 ? 0 : -errno;
}

NTH(read, "pci", BDF, ONLINE)

/* ---- eventfds -------------------------------------------------------------------- */

static int chain_set_fd(struct chain *c)
{
	uint32_t type;
	int ret = 0;

	for (type = VBE_GUEST_FD_KICK; !ret && type <= VBE_GUEST_FD_MSI; type++) {
		ret = guest_set_fd(c->g, 0, type, 0, c->ev[0]);
		if (!ret)
			ret = guest_set_fd(c->g, 0, type, 0, c->ev[1]);
		if (!ret && (type & 1))
			ret = guest_set_fd(c->g, 0, type, 0, -1);
	}
	return ret;
}

NTH(set_fd, "pci", BDF, DEVICE)

static int chain_set_kick(struct chain *c)
{
	struct vbe_queue_kick_fd k = { .size = sizeof(k) };
	int own = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), ret;

	if (own < 0)
		return -errno;
	ret = queue_fds(c->fd, 0, VBE_FDS_F_KICK, own, -1);
	if (!ret)
		ret = guest_set_fd(c->g, 0, VBE_GUEST_FD_KICK, 0, c->ev[0]);
	if (!ret && eventfd_write(c->ev[0], 1))
		ret = -errno;
	if (!ret)
		ret = xioctl(c->fd, VBE_IOC_QUEUE_KICK_FD, &k);
	if (!ret)
		close(k.out_fd);
	if (!ret)
		ret = guest_set_fd(c->g, 0, VBE_GUEST_FD_KICK, 0, -1);
	close(own);
	return ret;
}

NTH(set_kick, "direct", 0, ONLINE)

/* ---- drivers --------------------------------------------------------------------- */

static int chain_direct(struct chain *c)
{
	uint8_t config[32];
	int ret = guest_status(c->g, 0, 3);

	if (ret >= 0)
		ret = guest_features(c->g, 0, 1ULL << VIRTIO_F_VERSION_1);
	if (ret >= 0)
		ret = guest_status(c->g, 0, 11);
	if (ret >= 0)
		ret = guest_queue_set(c->g, 0, 0, 16, RAM, RAM + PAGE, RAM + 2 * PAGE);
	if (ret >= 0)
		ret = guest_status(c->g, 0, 15);
	if (ret >= 0)
		ret = guest_kick(c->g, 0, 0);
	if (ret >= 0)
		ret = guest_config_write(c->g, 0, 0, memset(config, 1, 32), 32);
	if (ret >= 0)
		ret = guest_config_read(c->g, 0, 0, config, 32, NULL);
	return ret < 0 ? ret : 0;
}

NTH(direct, "direct", 0, ONLINE)

static int out32(struct chain *c, uint32_t reg, uint32_t value)
{
	return guest_write(c->g, VBE_SPACE_MMIO, REGS + reg, 4, value);
}

static int chain_mmio(struct chain *c)
{
	static const uint32_t up[][2] = {
		{ VIRTIO_MMIO_STATUS, 3 },
		{ VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1 },
		{ VIRTIO_MMIO_DRIVER_FEATURES, 1 },
		{ VIRTIO_MMIO_STATUS, 11 },
		{ VIRTIO_MMIO_QUEUE_SEL, 0 },
		{ VIRTIO_MMIO_QUEUE_NUM, 16 },
		{ VIRTIO_MMIO_QUEUE_DESC_LOW, RAM },
		{ VIRTIO_MMIO_QUEUE_AVAIL_LOW, RAM + PAGE },
		{ VIRTIO_MMIO_QUEUE_USED_LOW, RAM + 2 * PAGE },
		{ VIRTIO_MMIO_QUEUE_READY, 1 },
		{ VIRTIO_MMIO_STATUS, 15 },
		{ VIRTIO_MMIO_QUEUE_NOTIFY, 0 },
		{ VIRTIO_MMIO_CONFIG, 7 },
	};
	uint32_t i;
	int ret = 0;

	for (i = 0; !ret && i < ARRAY_LEN(up); i++)
		ret = out32(c, up[i][0], up[i][1]);
	return ret;
}

NTH(mmio, "mmio", REGS, ONLINE)

/* A BAR for which there is no memory is at no place. */
static int chain_pci(struct chain *c)
{
	static const uint32_t up[][3] = {
		{ PCI_BASE_ADDRESS_0, 4, BAR }, { PCI_BASE_ADDRESS_1, 4, 0 },
		{ PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER },
		{ PCI_BASE_ADDRESS_0, 4, BAR + 0x10000 }, { PCI_COMMAND, 2, 0 },
		{ PCI_COMMAND, 2, PCI_COMMAND_MEMORY },
	};
	uint32_t i;
	int ret = 0;

	for (i = 0; !ret && i < ARRAY_LEN(up); i++)
		ret = guest_write(c->g, VBE_SPACE_PCI, GUEST_PCI(BDF, up[i][0]), up[i][1],
				  up[i][2]);
	return ret;
}

NTH(pci, "pci", BDF, ONLINE)

static int chain_inflight(struct chain *c)
{
	return guest_inflight(c->g, 0, c->memfd, 0, PAGE, 0);
}

NTH(inflight, "direct", 0, ONLINE)

/* ---- raw ------------------------------------------------------------------------- */

static int chain_raw(struct chain *c)
{
	struct vbe_raw_region g = { .size = sizeof(g), .base = REGS, .len = PAGE };
	struct vbe_raw_match m = { .size = sizeof(m), .fd = c->ev[0], .len = 4 };
	struct vbe_raw_irq i = { .size = sizeof(i), .fd = c->ev[1], .resample_fd = -1 };
	int ret = xioctl(c->fd, VBE_IOC_RAW_REGION, &g);

	if (!ret)
		ret = xioctl(c->fd, VBE_IOC_RAW_MATCH, &m);
	if (!ret)
		ret = xioctl(c->fd, VBE_IOC_RAW_IRQ, &i);
	if (!ret)
		ret = guest_write(c->g, VBE_SPACE_MMIO, REGS, 4, 1);
	if (!ret)
		ret = eventfd_write(c->ev[1], 1) ? -errno : 0;
	if (!ret) {
		m.flags = VBE_RAW_MATCH_F_DEASSIGN;
		m.fd = -1;
		ret = xioctl(c->fd, VBE_IOC_RAW_MATCH, &m);
	}
	if (!ret) {
		g.len = 0;
		ret = xioctl(c->fd, VBE_IOC_RAW_REGION, &g);
	}
	return ret;
}

NTH(raw, "raw", BDF, ONLINE)

/* ---- the backend's view of guest memory ------------------------------------------ */

static int chain_map(struct chain *c)
{
	struct vbe_copy_entry e = { .fe_addr = RAM + 5 * PAGE, .len = 8 };
	struct vbe_mem_copy m = { .size = sizeof(m), .n = 1, .entries = (uintptr_t)&e };
	uint64_t word, i;
	uint8_t *p;
	int ret = 0;

	p = mmap(NULL, RAM_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd, RAM);
	if (p == MAP_FAILED)
		return -errno;
	/* A page fault that cannot allocate is done again by the CPU. */
	for (i = 0; i < 4 * PAGE; i += PAGE)
		p[i] = 1;
	e.buf = (uintptr_t)&word;
	if (madvise(p + 8 * PAGE, 8 * PAGE, MADV_POPULATE_WRITE))
		ret = -errno;
	if (!ret)
		ret = xioctl(c->fd, VBE_IOC_MEM_COPY, &m);
	munmap(p, RAM_LEN);
	return ret ? ret : e.status;
}

NTH(map, "direct", 0, ATTACHED)

static int do_ranges(struct chain *c, unsigned long cmd, uint32_t flags)
{
	struct vbe_mem_range e = { .fe_addr = RAM + PAGE, .len = 8 * PAGE };
	struct vbe_mem_map m = { .size = sizeof(m), .flags = flags, .n = 1,
				 .ranges = (uintptr_t)&e };
	int ret = xioctl(c->fd, cmd, &m);

	return ret ? ret : e.status;
}

/* What is mapped, touched and given back, with a mapping there. */
static int chain_ranges(struct chain *c)
{
	uint8_t *p = mmap(NULL, RAM_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd, RAM);
	int ret;

	if (p == MAP_FAILED)
		return -errno;
	ret = do_ranges(c, VBE_IOC_MEM_MAP, VBE_MAP_F_WRITE);
	/* A page fault that cannot allocate is done again by the CPU. */
	if (!ret)
		p[PAGE] = 1;
	if (!ret)
		ret = do_ranges(c, VBE_IOC_MEM_UNMAP, 0);
	if (!ret)
		p[2 * PAGE] = 1;
	munmap(p, RAM_LEN);
	return ret;
}

NTH(ranges, "direct", 0, ATTACHED)

/* Pages of hugetlb come from elsewhere, and go back there. */
static int chain_huge(struct chain *c)
{
	struct vbe_copy_entry e = { .fe_addr = 2 * RAM + PAGE, .len = 8 };
	struct vbe_mem_copy m = { .size = sizeof(m), .n = 1, .entries = (uintptr_t)&e };
	int fd = memfd_create("huge", MFD_CLOEXEC | MFD_HUGETLB), ret;
	uint64_t word;

	/* hugetlbfs says ENOSPC also where it finds no memory for an inode. */
	if (fd < 0)
		return -ENOMEM;
	ret = ftruncate(fd, HUGE) ? -errno : 0;
	if (!ret)
		ret = guest_mem_add_fd(c->g->fd, fd, 0, 2 * RAM, HUGE, 0);
	close(fd);
	e.buf = (uintptr_t)&word;
	if (ret >= 0)
		ret = xioctl(c->fd, VBE_IOC_MEM_COPY, &m);
	if (ret >= 0)
		ret = e.status;
	return ret < 0 ? ret : guest_mem_del(c->g, 2 * RAM, HUGE);
}

TEST_F_TIMEOUT(gnth, huge, NTH_TIMEOUT)
{
	static const struct plan plan = { "direct", 0, ATTACHED, chain_huge };

	ASSERT_EQ(0, write_text("/proc/sys/vm/nr_hugepages", "4"));
	sweep(_metadata, &plan);
	write_text("/proc/sys/vm/nr_hugepages", "0");
}

TEST_HARNESS_MAIN
