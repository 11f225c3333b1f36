// SPDX-License-Identifier: GPL-2.0
/*
 * Transport "raw": regions, matches, and accesses that an emulator answers, late, not at
 * all, or while it dies.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "check.h"
#include "dev.h"
#include "emu.h"

#define NAME	"kst-raw"
#define BDF	0x0108		/* bus 1, device 1 */
#define SOON_MS	(EMU_TIMEOUT_MS / 2)
#define SHORT_MS 1000		/* where nobody answers */
#define VCPUS	80
#define PATIENCE_MS	6000		/* first tried, for what must be done before it ends */

FIXTURE(raw)
{
	struct emu *emu;
	struct guest *g;
};

FIXTURE_SETUP(raw)
{
	self->emu = emu_new(NAME, BDF, EMU_TIMEOUT_MS);
	ASSERT_NE(NULL, self->emu)
		TH_LOG("no raw device: %s", strerror(errno));
	self->g = self->emu->g;
	ASSERT_DONE(emu_up(self->emu));
}

FIXTURE_TEARDOWN(raw)
{
	emu_free(self->emu);
}

static uint64_t ones(uint32_t len)
{
	return len < 8 ? (1ULL << (8 * len)) - 1 : ~0ULL;
}

/* Accesses that vbe had to answer itself. */
static uint64_t unanswered(void)
{
	struct dev_state st;

	return dev_get(NAME, &st) ? ~0ULL : st.unanswered;
}

/* ---- set-up -------------------------------------------------------------- */

TEST_F(raw, set_up_describes_nothing)
{
	struct good_setup virtio;
	struct emu *emu = self->emu;
	struct vbe_dev_info info;

	emu_kill(emu);
	emu->fd = dev_open(NAME);
	ASSERT_LE(0, emu->fd);
	good_setup(&virtio);
	EXPECT_WHY(emu->fd, EINVAL, xioctl(emu->fd, VBE_IOC_DEV_SETUP, &virtio.s));
	EXPECT_WHY(emu->fd, EINVAL, raw_region(emu->fd, 0, VBE_SPACE_MMIO, EMU_MMIO, EMU_LEN));
	EXPECT_WHY(emu->fd, EINVAL, raw_match(emu->fd, 0, 0, 4, guest_eventfd()));
	EXPECT_WHY(emu->fd, EINVAL, raw_edge(emu->fd, 0, guest_eventfd()));
	EXPECT_WHY(emu->fd, EINVAL, raw_no_irq(emu->fd, 0));
	EXPECT_DONE(raw_dev_setup(emu->fd));
	ASSERT_DONE(dev_info(emu->fd, &info));
	EXPECT_STREQ("raw", (char *)info.transport);
	EXPECT_EQ(0, info.n_queues);
	EXPECT_EQ(0, info.config_size);
	EXPECT_EQ(0, info.virtio_id);
	EXPECT_WHY(emu->fd, EINVAL, queue_fds(emu->fd, 0, VBE_FDS_F_CALL, -1, -1));
}

TEST_F(raw, other_transports_have_none)
{
	struct good_setup virtio;
	int fd;

	ASSERT_DONE(guest_dev_add(self->g, "kst-raw-direct", "direct", 0));
	fd = dev_open("kst-raw-direct");
	ASSERT_LE(0, fd);
	good_setup(&virtio);
	ASSERT_DONE(xioctl(fd, VBE_IOC_DEV_SETUP, &virtio.s));
	EXPECT_WHY(fd, EOPNOTSUPP, raw_region(fd, 0, VBE_SPACE_MMIO, 0x20000000, 0x1000));
	EXPECT_WHY(fd, EOPNOTSUPP, raw_match(fd, 0, 0, 4, guest_eventfd()));
	EXPECT_WHY(fd, EOPNOTSUPP, raw_edge(fd, 0, guest_eventfd()));
	close(fd);
}

/* ---- regions ------------------------------------------------------------- */

TEST_F(raw, region_errors)
{
	struct vbe_raw_region r = { .size = sizeof(r), .index = 1, .flags = 1,
				    .base = 0x20000000, .len = 0x1000 };
	int fd = self->emu->fd;

	EXPECT_WHY(fd, EINVAL, xioctl(fd, VBE_IOC_RAW_REGION, &r));
	EXPECT_WHY(fd, EINVAL, raw_region(fd, VBE_RAW_MAX_REGIONS, 0, 0x20000000, 0x1000));
	EXPECT_WHY(fd, EINVAL, raw_region(fd, ~0U, 0, 0x20000000, 0x1000));
	EXPECT_WHY(fd, EINVAL, raw_region(fd, 1, VBE_SPACE_PCI + 1, 0x20000000, 0x1000));
	EXPECT_WHY(fd, EINVAL, raw_region(fd, 1, VBE_SPACE_MMIO, ~0ULL - 0xff, 0x1000));
	EXPECT_WHY(fd, EINVAL, raw_region(fd, 1, VBE_SPACE_MMIO, 0, (1ULL << 32) + 1));
	EXPECT_WHY(fd, EINVAL, raw_region(fd, 1, VBE_SPACE_PIO, 0xfff0, 0x20));
	EXPECT_WHY(fd, EINVAL, raw_region(fd, 1, VBE_SPACE_PIO, 0x10000, 1));
	EXPECT_WHY(fd, EINVAL, raw_region(fd, 1, VBE_SPACE_PCI, 1ULL << 44, 0x1000));
	/* Another region of the same device, its end, and its own PCI header. */
	EXPECT_WHY(fd, EEXIST, raw_region(fd, 1, VBE_SPACE_MMIO, EMU_MMIO, EMU_LEN));
	EXPECT_WHY(fd, EEXIST, raw_region(fd, 1, VBE_SPACE_MMIO, EMU_MMIO + EMU_LEN - 1, 1));
	EXPECT_WHY(fd, EEXIST, raw_region(fd, 1, VBE_SPACE_MMIO, EMU_MMIO - 1, 2));
	EXPECT_WHY(fd, EEXIST, raw_region(fd, 1, VBE_SPACE_MMIO, 0, 1ULL << 32));
	EXPECT_WHY(fd, EEXIST, raw_region(fd, 1, VBE_SPACE_PCI, GUEST_PCI(BDF, 0xffc), 4));
	/* The same number in another space is another address. */
	EXPECT_DONE(raw_region(fd, 1, VBE_SPACE_PCI, EMU_MMIO, EMU_LEN));
	EXPECT_DONE(raw_region(fd, 2, VBE_SPACE_PIO, 0xffff, 1));
	EXPECT_DONE(raw_region(fd, 3, VBE_SPACE_MMIO, EMU_MMIO + EMU_LEN, 1));
	EXPECT_DONE(raw_region(fd, 3, 0, 0, 0));
	EXPECT_DONE(raw_region(fd, 3, 0, 0, 0));
}

TEST_F(raw, other_devices_keep_theirs)
{
	struct guest *g2;

	/* The same PCI function twice, one that does not exist, and another guest. */
	EXPECT_WHY(self->g->fd, EEXIST, guest_dev_add(self->g, "kst-raw-2", "raw", BDF));
	EXPECT_WHY(self->g->fd, EINVAL, guest_dev_add(self->g, "kst-raw-2", "raw", 1ULL << 32));
	EXPECT_WHY(self->g->fd, EEXIST, guest_dev_add(self->g, NAME, "raw", 0));
	g2 = guest_new("other");
	ASSERT_NE(NULL, g2);
	EXPECT_DONE(guest_dev_add(g2, "kst-raw-2", "raw", BDF));
	EXPECT_EQ(ones(4), guest_read(g2, VBE_SPACE_PCI, GUEST_PCI(BDF, 0), 4));
	EXPECT_EQ(0, g2->last);
	guest_read(g2, VBE_SPACE_MMIO, EMU_MMIO, 4);
	EXPECT_EQ(-ENOENT, g2->last);
	guest_free(g2);
}

TEST_F(raw, the_vmm_is_told_of_regions)
{
	struct vbe_guest_event ev;
	struct guest *g = self->g;

	ASSERT_EQ(0, guest_wait_indexed(g, VBE_GUEST_EVENT_REGION, self->emu->dev, 0, &ev,
					COMES_MS));
	EXPECT_EQ(EMU_MMIO, ev.data[0]);
	EXPECT_EQ(EMU_LEN, ev.data[1]);
	EXPECT_EQ(VBE_SPACE_MMIO, ev.data[2]);
	ASSERT_DONE(raw_region(self->emu->fd, 0, VBE_SPACE_PIO, 0x300, 8));
	ASSERT_EQ(0, guest_wait_indexed(g, VBE_GUEST_EVENT_REGION, self->emu->dev, 0, &ev,
					COMES_MS));
	EXPECT_EQ(0x300, ev.data[0]);
	EXPECT_EQ(8, ev.data[1]);
	EXPECT_EQ(VBE_SPACE_PIO, ev.data[2]);
	emu_kill(self->emu);
	ASSERT_EQ(0, guest_wait_indexed(g, VBE_GUEST_EVENT_REGION, self->emu->dev, 0, &ev,
					COMES_MS));
	EXPECT_EQ(0, ev.data[1]);
}

TEST_F(raw, a_region_moves)
{
	int fd = self->emu->fd;

	emu_start(self->emu);
	EXPECT_EQ((uint32_t)emu_value(0, 8), guest_read(self->g, 0, EMU_MMIO + 8, 4));
	EXPECT_DONE(raw_region(fd, 0, VBE_SPACE_MMIO, 0x30000000, 0x2000));
	guest_read(self->g, 0, EMU_MMIO + 8, 4);
	EXPECT_EQ(-ENOENT, self->g->last);
	EXPECT_EQ((uint32_t)emu_value(0, 0x1ffc), guest_read(self->g, 0, 0x30001ffc, 4));
	/* Into another region: it is nowhere then, and can come back. */
	EXPECT_DONE(raw_region(fd, 1, VBE_SPACE_MMIO, 0x40000000, 0x1000));
	EXPECT_WHY(fd, EEXIST, raw_region(fd, 0, VBE_SPACE_MMIO, 0x40000000, 0x1000));
	guest_read(self->g, 0, 0x30000000, 4);
	EXPECT_EQ(-ENOENT, self->g->last);
	EXPECT_EQ((uint32_t)emu_value(1, 0), guest_read(self->g, 0, 0x40000000, 4));
	EXPECT_DONE(raw_region(fd, 0, VBE_SPACE_MMIO, EMU_MMIO, EMU_LEN));
	EXPECT_EQ((uint32_t)emu_value(0, 0), guest_read(self->g, 0, EMU_MMIO, 4));
}

/* ---- what the emulator is told ------------------------------------------- */

static void check_access(struct __test_metadata *_metadata, struct emu *emu, uint32_t space,
			 uint64_t addr, uint32_t region, uint64_t offset)
{
	uint32_t len, n;

	for (len = 1; len <= 8; len *= 2) {
		uint64_t value = 0x8877665544332211ULL;

		n = emu->n;
		EXPECT_EQ(emu_value(region, offset) & ones(len),
			  guest_read(emu->g, space, addr, len));
		EXPECT_EQ(0, guest_write(emu->g, space, addr, len, value));
		ASSERT_TRUE(emu_wait(emu, n + 2, COMES_MS));
		EXPECT_EQ(VBE_NO_QUEUE, emu->log[n].queue);
		EXPECT_NE(0, emu->log[n].cookie);
		EXPECT_EQ(offset, emu->log[n].data[0]);
		EXPECT_EQ((uint64_t)region << 32 | len << 8, emu->log[n].data[1]);
		EXPECT_EQ(0, emu->log[n].data[2]);
		EXPECT_EQ(emu->log[n].seq + 1, emu->log[n + 1].seq);
		EXPECT_NE(emu->log[n].cookie, emu->log[n + 1].cookie);
		EXPECT_EQ(offset, emu->log[n + 1].data[0]);
		EXPECT_EQ((uint64_t)region << 32 | len << 8 | 1, emu->log[n + 1].data[1]);
		EXPECT_EQ(value & ones(len), emu->log[n + 1].data[2]);
	}
}

TEST_F(raw, every_space_and_size)
{
	struct emu *emu = self->emu;

	ASSERT_DONE(raw_region(emu->fd, 5, VBE_SPACE_PIO, 0xcf8, 0x10));
	ASSERT_DONE(raw_region(emu->fd, 15, VBE_SPACE_PCI, GUEST_PCI(0xffffffff, 0), 4096));
	emu_start(emu);
	check_access(_metadata, emu, VBE_SPACE_MMIO, EMU_MMIO + 0x18, 0, 0x18);
	check_access(_metadata, emu, VBE_SPACE_MMIO, EMU_MMIO + EMU_LEN - 8, 0, EMU_LEN - 8);
	check_access(_metadata, emu, VBE_SPACE_PIO, 0xcf8 + 3, 5, 3);
	check_access(_metadata, emu, VBE_SPACE_PCI, GUEST_PCI(0xffffffff, 0x10), 15, 0x10);
	check_access(_metadata, emu, VBE_SPACE_PCI, GUEST_PCI(BDF, 0x40), VBE_RAW_MAX_REGIONS,
		     0x40);
	/* Over the end, and where nobody is. */
	guest_read(self->g, VBE_SPACE_MMIO, EMU_MMIO + EMU_LEN - 4, 8);
	EXPECT_EQ(-ENOENT, self->g->last);
	guest_read(self->g, VBE_SPACE_PIO, 0xd08, 1);
	EXPECT_EQ(-ENOENT, self->g->last);
	guest_read(self->g, VBE_SPACE_PCI, GUEST_PCI(BDF + 1, 0), 4);
	EXPECT_EQ(-ENOENT, self->g->last);
}

TEST_F(raw, not_shown_is_not_there)
{
	struct emu *emu = self->emu;
	struct vbe_event ev;

	emu_kill(emu);
	/* Nobody, and somebody who is not ready. */
	EXPECT_EQ(ones(4), guest_read(self->g, VBE_SPACE_PCI, GUEST_PCI(BDF, 0), 4));
	EXPECT_EQ(0, self->g->last);
	emu->fd = dev_open(NAME);
	ASSERT_LE(0, emu->fd);
	EXPECT_EQ(ones(4), guest_read(self->g, VBE_SPACE_PCI, GUEST_PCI(BDF, 0), 4));
	ASSERT_DONE(raw_dev_setup(emu->fd));
	EXPECT_EQ(ones(2), guest_read(self->g, VBE_SPACE_PCI, GUEST_PCI(BDF, 0), 2));
	EXPECT_EQ(0, guest_write(self->g, VBE_SPACE_PCI, GUEST_PCI(BDF, 0), 2, 1));
	EXPECT_EQ(-ETIMEDOUT, read_event(emu->fd, &ev, 50));
	ASSERT_DONE(dev_simple(emu->fd, VBE_IOC_DEV_ONLINE));
	emu_start(emu);
	EXPECT_EQ((uint32_t)emu_value(VBE_RAW_MAX_REGIONS, 0),
		  guest_read(self->g, VBE_SPACE_PCI, GUEST_PCI(BDF, 0), 4));
	emu_stop(emu);
	/* Taken away by its backend. */
	ASSERT_DONE(dev_simple(emu->fd, VBE_IOC_DEV_OFFLINE));
	ASSERT_EQ(0, wait_event(emu->fd, VBE_EVENT_OFFLINE, &ev, COMES_MS));
	EXPECT_EQ(ones(4), guest_read(self->g, VBE_SPACE_PCI, GUEST_PCI(BDF, 0), 4));
	EXPECT_EQ(0, self->g->last);
	EXPECT_EQ(-ETIMEDOUT, read_event(emu->fd, &ev, 50));
}

/* ---- matches ------------------------------------------------------------- */

TEST_F(raw, matches)
{
	int any = guest_eventfd(), four = guest_eventfd(), seven = guest_eventfd();
	struct emu *emu = self->emu;
	struct guest *g = self->g;

	ASSERT_DONE(raw_match(emu->fd, 0, 0x10, 0, any));
	ASSERT_DONE(raw_match(emu->fd, 0, 0x20, 4, four));
	ASSERT_DONE(raw_match_data(emu->fd, 0, 0x30, 2, 7, seven));
	/* Answered without anybody who reads events. */
	EXPECT_EQ(0, guest_write(g, 0, EMU_MMIO + 0x10, 1, 0));
	EXPECT_EQ(0, guest_write(g, 0, EMU_MMIO + 0x10, 8, ~0ULL));
	EXPECT_EQ(2, guest_eventfd_wait(any, 0));
	EXPECT_EQ(0, guest_write(g, 0, EMU_MMIO + 0x20, 4, 0x12345678));
	EXPECT_EQ(1, guest_eventfd_wait(four, 0));
	/* Bits beyond the store are nobody's. */
	EXPECT_EQ(0, guest_write(g, 0, EMU_MMIO + 0x30, 2, 0x10007));
	EXPECT_EQ(1, guest_eventfd_wait(seven, 0));
	EXPECT_EQ(0, emu->n);

	/* Loads, other lengths, other data, places beside it: events like any other. */
	emu_start(emu);
	EXPECT_EQ((uint32_t)emu_value(0, 0x20), guest_read(g, 0, EMU_MMIO + 0x20, 4));
	EXPECT_EQ(0, guest_write(g, 0, EMU_MMIO + 0x20, 2, 0));
	EXPECT_EQ(0, guest_write(g, 0, EMU_MMIO + 0x21, 4, 0));
	EXPECT_EQ(0, guest_write(g, 0, EMU_MMIO + 0x30, 2, 8));
	EXPECT_EQ(0, guest_write(g, 0, EMU_MMIO + 0x30, 4, 7));
	EXPECT_EQ(5, emu->n);
	EXPECT_EQ(0, guest_eventfd_wait(four, 0));
	EXPECT_EQ(0, guest_eventfd_wait(seven, 0));

	/* A match stays with its region, wherever that goes; and goes when it is taken back. */
	ASSERT_DONE(raw_region(emu->fd, 0, VBE_SPACE_PIO, 0x400, 0x40));
	EXPECT_EQ(0, guest_write(g, VBE_SPACE_PIO, 0x420, 4, 1));
	EXPECT_EQ(1, guest_eventfd_wait(four, 0));
	ASSERT_DONE(raw_unmatch(emu->fd, 0, 0x20, 4, 0, 0));
	EXPECT_EQ(0, guest_write(g, VBE_SPACE_PIO, 0x420, 4, 1));
	EXPECT_EQ(0, guest_eventfd_wait(four, 0));
	EXPECT_EQ(6, emu->n);
}

TEST_F(raw, matches_of_the_header)
{
	int bell = guest_eventfd();
	struct emu *emu = self->emu;

	ASSERT_DONE(raw_match_data(emu->fd, VBE_RAW_MAX_REGIONS, 0x44, 0, 5, bell));
	EXPECT_EQ(0, guest_write(self->g, VBE_SPACE_PCI, GUEST_PCI(BDF, 0x44), 1, 5));
	EXPECT_EQ(0, guest_write(self->g, VBE_SPACE_PCI, GUEST_PCI(BDF, 0x44), 8, 5));
	EXPECT_EQ(2, guest_eventfd_wait(bell, 0));
	/* The backend dies: the store goes nowhere. */
	emu_kill(emu);
	EXPECT_EQ(0, guest_write(self->g, VBE_SPACE_PCI, GUEST_PCI(BDF, 0x44), 1, 5));
	EXPECT_EQ(0, guest_eventfd_wait(bell, 0));
	/* And the next one begins without. */
	ASSERT_DONE(emu_up(emu));
	ASSERT_DONE(raw_match(emu->fd, VBE_RAW_MAX_REGIONS, 0x44, 1, bell));
}

TEST_F(raw, match_errors)
{
	struct vbe_raw_match m = { .size = sizeof(m), .len = 4 };
	int fd = self->emu->fd, bell = guest_eventfd(), not_one = open("/dev/null", O_RDWR);
	uint32_t i;

	m.fd = bell;
	m.flags = 4;
	EXPECT_WHY(fd, EINVAL, xioctl(fd, VBE_IOC_RAW_MATCH, &m));
	m.flags = 0;
	m.__reserved = 1;
	EXPECT_WHY(fd, EINVAL, xioctl(fd, VBE_IOC_RAW_MATCH, &m));
	EXPECT_WHY(fd, EINVAL, raw_match(fd, VBE_RAW_MAX_REGIONS + 1, 0, 4, bell));
	EXPECT_WHY(fd, EINVAL, raw_match(fd, 0, 0, 3, bell));
	EXPECT_WHY(fd, EINVAL, raw_match(fd, 0, 0, 16, bell));
	EXPECT_WHY(fd, EINVAL, raw_match(fd, 0, 1ULL << 32, 4, bell));
	EXPECT_WHY(fd, EINVAL, raw_match_data(fd, 0, 0, 2, 0x10000, bell));
	EXPECT_WHY(fd, EBADF, raw_match(fd, 0, 0, 4, -1));
	EXPECT_WHY(fd, EINVAL, raw_match(fd, 0, 0, 4, not_one));
	EXPECT_WHY(fd, ENOENT, raw_unmatch(fd, 0, 0, 4, 0, 0));

	/* What one store could match twice. */
	ASSERT_DONE(raw_match_data(fd, 0, 0, 4, 1, bell));
	ASSERT_DONE(raw_match_data(fd, 0, 0, 4, 2, bell));
	ASSERT_DONE(raw_match_data(fd, 0, 0, 2, 1, bell));
	EXPECT_WHY(fd, EEXIST, raw_match_data(fd, 0, 0, 4, 1, bell));
	EXPECT_WHY(fd, EEXIST, raw_match_data(fd, 0, 0, 0, 2, bell));
	EXPECT_WHY(fd, EEXIST, raw_match(fd, 0, 0, 4, bell));
	EXPECT_WHY(fd, EEXIST, raw_match(fd, 0, 0, 0, bell));
	EXPECT_DONE(raw_match(fd, 0, 0, 8, bell));
	EXPECT_WHY(fd, ENOENT, raw_unmatch(fd, 0, 0, 4, 0, 0));
	EXPECT_WHY(fd, ENOENT, raw_unmatch(fd, 0, 0, 4, VBE_RAW_MATCH_F_DATA, 3));
	EXPECT_DONE(raw_unmatch(fd, 0, 0, 4, VBE_RAW_MATCH_F_DATA, 1));
	EXPECT_WHY(fd, ENOENT, raw_unmatch(fd, 0, 0, 4, VBE_RAW_MATCH_F_DATA, 1));

	for (i = 3; i < VBE_RAW_MAX_MATCHES; i++)
		EXPECT_DONE(raw_match(fd, 1, i, 4, bell));
	EXPECT_WHY(fd, ENOSPC, raw_match(fd, 2, 0, 4, bell));
	EXPECT_DONE(raw_unmatch(fd, 1, 3, 4, 0, 0));
	EXPECT_DONE(raw_match(fd, 2, 0, 4, bell));
	close(not_one);
}

/* ---- backends that do not answer ----------------------------------------- */

TEST_F(raw, backend_dies_with_an_access)
{
	struct vcpu load, store;
	struct vbe_event ev;

	vcpu_load(&load, self->g, EMU_MMIO + 4, 4);
	ASSERT_EQ(0, wait_event(self->emu->fd, VBE_EVENT_ACCESS, &ev, COMES_MS));
	vcpu_store(&store, self->g, EMU_MMIO + 4, 8, 1);
	ASSERT_EQ(0, wait_event(self->emu->fd, VBE_EVENT_ACCESS, &ev, COMES_MS));
	EXPECT_FALSE(load.done);
	emu_kill(self->emu);
	ASSERT_TRUE(vcpu_join(&load, SOON_MS));
	ASSERT_TRUE(vcpu_join(&store, SOON_MS));
	EXPECT_EQ(0, load.ret);
	EXPECT_EQ(0, load.a.flags & VBE_ACCESS_F_PENDING);
	EXPECT_EQ(ones(4), load.a.data);
	EXPECT_EQ(0, store.ret);
	EXPECT_GT(EMU_TIMEOUT_MS / 2, load.took);
	EXPECT_EQ(2, unanswered());

	/* The vCPU goes on: nobody decodes what the dead one did, the header reads ones. */
	guest_read(self->g, 0, EMU_MMIO, 4);
	EXPECT_EQ(-ENOENT, self->g->last);
	EXPECT_EQ(ones(4), guest_read(self->g, VBE_SPACE_PCI, GUEST_PCI(BDF, 0), 4));
	EXPECT_EQ(0, self->g->last);
	EXPECT_EQ(3, unanswered());
	/* And the next backend serves. */
	ASSERT_DONE(emu_up(self->emu));
	emu_start(self->emu);
	EXPECT_EQ((uint32_t)emu_value(0, 4), guest_read(self->g, 0, EMU_MMIO + 4, 4));
}

TEST_F(raw, backend_never_answers)
{
	struct emu *emu = self->emu;
	struct vcpu load, store;

	emu->mute = true;
	ASSERT_EQ(0, dev_set_reset_ms(NAME, SHORT_MS));
	emu_start(emu);
	vcpu_load(&load, self->g, EMU_MMIO, 2);
	vcpu_store(&store, self->g, EMU_MMIO + 8, 2, 3);
	ASSERT_TRUE(vcpu_join(&load, COMES_MS));
	ASSERT_TRUE(vcpu_join(&store, COMES_MS));
	EXPECT_EQ(0, load.ret);
	EXPECT_EQ(0, store.ret);
	EXPECT_EQ(ones(2), load.a.data);
	EXPECT_LE(SHORT_MS - 50, load.took);
	/* Each was an event, though nobody may have read it in time. */
	ASSERT_TRUE(emu_wait(emu, 2, COMES_MS));
	EXPECT_EQ(2, emu->n);
	EXPECT_WHY(emu->fd, ENOENT, complete_data(emu->fd, emu->log[0].cookie, 0));
	EXPECT_WHY(emu->fd, ENOENT, complete_data(emu->fd, emu->log[1].cookie, 0));
	EXPECT_WHY(emu->fd, ENOENT, complete_data(emu->fd, 0, 0));
	EXPECT_WHY(emu->fd, ENOENT, complete_data(emu->fd, emu->log[1].cookie + 1, 0));
	/* That was not its end. */
	ASSERT_EQ(0, dev_set_reset_ms(NAME, EMU_TIMEOUT_MS));
	emu->mute = false;
	EXPECT_EQ((uint32_t)emu_value(0, 0), guest_read(self->g, 0, EMU_MMIO, 4));
	EXPECT_WHY(emu->fd, ENOENT, complete_data(emu->fd, emu->log[2].cookie, 0));
	EXPECT_EQ(2, unanswered());
}

/* The backend takes the device away, and answers what had come before that. */
TEST_F(raw, offline_waits_for_an_access)
{
	struct vbe_event ev, none;
	struct vcpu load;

	vcpu_load(&load, self->g, EMU_MMIO, 4);
	ASSERT_EQ(0, wait_event(self->emu->fd, VBE_EVENT_ACCESS, &ev, COMES_MS));
	ASSERT_DONE(dev_simple(self->emu->fd, VBE_IOC_DEV_OFFLINE));
	EXPECT_EQ(-ETIMEDOUT, read_event(self->emu->fd, &none, 50));
	EXPECT_DONE(complete_data(self->emu->fd, ev.cookie, 0x1234));
	ASSERT_EQ(0, wait_event(self->emu->fd, VBE_EVENT_OFFLINE, &none, COMES_MS));
	ASSERT_TRUE(vcpu_join(&load, SOON_MS));
	EXPECT_EQ(0x1234, load.a.data);
	EXPECT_EQ(0, unanswered());
}

TEST_F(raw, guest_dies_with_an_access)
{
	struct vbe_event ev;
	struct vcpu load;

	vcpu_load(&load, self->g, EMU_MMIO, 4);
	ASSERT_EQ(0, wait_event(self->emu->fd, VBE_EVENT_ACCESS, &ev, COMES_MS));
	EXPECT_EQ(0, guest_die(self->g));
	ASSERT_TRUE(vcpu_join(&load, SOON_MS));
	EXPECT_EQ(0, load.ret);
	EXPECT_EQ(ones(4), load.a.data);
	guest_read(self->g, 0, EMU_MMIO, 4);
	EXPECT_EQ(-ENODEV, self->g->last);
	EXPECT_EQ(0, wait_event(self->emu->fd, VBE_EVENT_GONE, &ev, COMES_MS));
}

TEST_F(raw, device_goes_with_an_access)
{
	struct vbe_event ev;
	struct vcpu load;

	vcpu_load(&load, self->g, EMU_MMIO, 4);
	ASSERT_EQ(0, wait_event(self->emu->fd, VBE_EVENT_ACCESS, &ev, COMES_MS));
	EXPECT_EQ(0, guest_dev_del(self->g, self->emu->dev));
	ASSERT_TRUE(vcpu_join(&load, SOON_MS));
	EXPECT_EQ(0, load.ret);
	EXPECT_EQ(ones(4), load.a.data);
	EXPECT_WHY(self->emu->fd, ENODEV, complete_data(self->emu->fd, ev.cookie, 0));
	EXPECT_WHY(self->emu->fd, ENODEV, raw_region(self->emu->fd, 0, 0, EMU_MMIO, 4));
	EXPECT_WHY(self->emu->fd, ENODEV, raw_match(self->emu->fd, 0, 0, 4, guest_eventfd()));
	EXPECT_WHY(self->emu->fd, ENODEV, raw_edge(self->emu->fd, 0, guest_eventfd()));
	guest_read(self->g, 0, EMU_MMIO, 4);
	EXPECT_EQ(-ENOENT, self->g->last);
}

/* A VMM of its own, killed while its vCPU waits. */
TEST(vmm_dies_with_an_access)
{
	int sock[2], fd, again;
	struct vbe_event ev;
	struct emu *emu;
	pid_t pid;
	char c;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sock));
	pid = fork();
	if (!pid) {
		close(sock[0]);
		emu = emu_new("kst-raw-dies", 0, EMU_TIMEOUT_MS);
		if (!emu || emu_up(emu) < 0 || send_fd(sock[1], emu->fd))
			_exit(1);
		close(emu->fd);
		guest_read(emu->g, 0, EMU_MMIO, 4);
		_exit(2);
	}
	close(sock[1]);
	fd = recv_fd(sock[0]);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, wait_event(fd, VBE_EVENT_ACCESS, &ev, COMES_MS));
	kill(pid, SIGKILL);
	ASSERT_EQ(SIGKILL, wait_child(pid, COMES_MS));
	EXPECT_EQ(0, read(sock[0], &c, 1));
	ASSERT_EQ(0, wait_event(fd, VBE_EVENT_GONE, &ev, COMES_MS));
	EXPECT_WHY(fd, ENODEV, complete_data(fd, ev.cookie, 0));
	/* Nothing of it is left: not its name either. */
	emu = emu_new("kst-raw-dies", 0, EMU_TIMEOUT_MS);
	ASSERT_NE(NULL, emu)
		TH_LOG("the name is still taken: %s", strerror(errno));
	again = emu_up(emu);
	EXPECT_LE(0, again);
	emu_free(emu);
	close(fd);
}

/* ---- signals ------------------------------------------------------------- */

TEST_F(raw, a_signal_and_back)
{
	struct emu *emu = self->emu;
	struct vbe_event ev, none;
	struct vcpu v;

	vcpu_load(&v, self->g, EMU_MMIO + 0x10, 4);
	ASSERT_EQ(0, wait_event(emu->fd, VBE_EVENT_ACCESS, &ev, COMES_MS));
	vcpu_interrupt(&v);
	ASSERT_TRUE(vcpu_join(&v, SOON_MS));
	EXPECT_EQ(0, v.ret);
	ASSERT_EQ(VBE_ACCESS_F_PENDING, v.a.flags & VBE_ACCESS_F_PENDING);
	EXPECT_EQ(ev.cookie, v.a.cookie);
	/* Waits on, is interrupted again, and then answered while nobody waits. */
	v.a.flags &= ~VBE_ACCESS_F_EVENTS;
	vcpu_again(&v);
	vcpu_interrupt(&v);
	ASSERT_TRUE(vcpu_join(&v, SOON_MS));
	ASSERT_EQ(VBE_ACCESS_F_PENDING, v.a.flags & VBE_ACCESS_F_PENDING);
	EXPECT_EQ(ev.cookie, v.a.cookie);
	EXPECT_DONE(complete_data(emu->fd, ev.cookie, 0xabcdef0123456789ULL));
	EXPECT_WHY(emu->fd, ENOENT, complete_data(emu->fd, ev.cookie, 1));
	v.a.flags &= ~VBE_ACCESS_F_EVENTS;
	vcpu_again(&v);
	ASSERT_TRUE(vcpu_join(&v, SOON_MS));
	EXPECT_EQ(0, v.ret);
	EXPECT_EQ(0, v.a.flags & VBE_ACCESS_F_PENDING);
	EXPECT_EQ(0x23456789, v.a.data);
	/* It has happened once. */
	EXPECT_EQ(-ETIMEDOUT, read_event(emu->fd, &none, 50));
}

TEST_F(raw, a_store_happens_once)
{
	struct emu *emu = self->emu;
	struct vbe_event ev, none;
	struct vcpu v;

	vcpu_store(&v, self->g, EMU_MMIO + 0x10, 2, 0xf00d1234);
	ASSERT_EQ(0, wait_event(emu->fd, VBE_EVENT_ACCESS, &ev, COMES_MS));
	EXPECT_EQ(0x1234, ev.data[2]);
	vcpu_interrupt(&v);
	ASSERT_TRUE(vcpu_join(&v, SOON_MS));
	ASSERT_EQ(VBE_ACCESS_F_PENDING, v.a.flags & VBE_ACCESS_F_PENDING);
	v.a.flags &= ~VBE_ACCESS_F_EVENTS;
	vcpu_again(&v);
	ASSERT_TRUE(vcpu_waits(&v, COMES_MS));
	EXPECT_FALSE(v.done);
	EXPECT_DONE(complete_data(emu->fd, ev.cookie, 0));
	ASSERT_TRUE(vcpu_join(&v, SOON_MS));
	EXPECT_EQ(0, v.ret);
	EXPECT_EQ(0, v.a.flags & VBE_ACCESS_F_PENDING);
	EXPECT_EQ(-ETIMEDOUT, read_event(emu->fd, &none, 50));
}

TEST_F(raw, cookies_of_others)
{
	struct emu *emu = self->emu;
	struct vbe_event ev, none;
	struct vcpu v, other;

	vcpu_load(&v, self->g, EMU_MMIO + 0x10, 4);
	ASSERT_EQ(0, wait_event(emu->fd, VBE_EVENT_ACCESS, &ev, COMES_MS));
	vcpu_interrupt(&v);
	ASSERT_TRUE(vcpu_join(&v, SOON_MS));
	ASSERT_EQ(ev.cookie, v.a.cookie);
	v.a.flags &= ~VBE_ACCESS_F_EVENTS;

	/* Another access, and a cookie that nobody has: ones, at once, and no event. */
	other = v;
	other.a.addr += 4;
	vcpu_again(&other);
	ASSERT_TRUE(vcpu_join(&other, SOON_MS));
	EXPECT_EQ(0, other.ret);
	EXPECT_EQ(ones(4), other.a.data);
	other = v;
	other.a.cookie += 1000;
	vcpu_again(&other);
	ASSERT_TRUE(vcpu_join(&other, SOON_MS));
	EXPECT_EQ(ones(4), other.a.data);
	/* The same from two threads: one waits. */
	other = v;
	vcpu_again(&v);
	ASSERT_TRUE(vcpu_waits(&v, COMES_MS));
	vcpu_again(&other);
	ASSERT_TRUE(vcpu_join(&other, SOON_MS));
	EXPECT_EQ(ones(4), other.a.data);
	EXPECT_FALSE(v.done);
	EXPECT_DONE(complete_data(emu->fd, ev.cookie, 42));
	ASSERT_TRUE(vcpu_join(&v, SOON_MS));
	EXPECT_EQ(42, v.a.data);
	/* It is used up. */
	other.a.flags = VBE_ACCESS_F_PENDING;
	vcpu_again(&other);
	ASSERT_TRUE(vcpu_join(&other, SOON_MS));
	EXPECT_EQ(ones(4), other.a.data);
	EXPECT_EQ(-ETIMEDOUT, read_event(emu->fd, &none, 50));
}

/* ---- many ---------------------------------------------------------------- */

FIXTURE(many)
{
	struct emu *emu;
};

static void fresh_emu(struct __test_metadata *_metadata, struct _test_data_many *self)
{
	self->emu = emu_new(NAME, 0, EMU_TIMEOUT_MS);
	ASSERT_NE(NULL, self->emu)
		TH_LOG("no raw device: %s", strerror(errno));
	ASSERT_DONE(emu_up(self->emu));
}

FIXTURE_SETUP(many)
{
	fresh_emu(_metadata, self);
}

FIXTURE_TEARDOWN(many)
{
	emu_free(self->emu);
}

/* More vCPUs than there are slots, and a backend that comes late to its work. */
TEST_F(many, at_once)
{
	static struct vcpu v[VCPUS];
	uint32_t i;

	for (i = 0; i < VCPUS; i++)
		vcpu_load(&v[i], self->emu->g, EMU_MMIO + 8 * i, 8);
	sleep_ms(200);
	for (i = 0; i < VCPUS; i++)
		EXPECT_FALSE(v[i].done);
	emu_start(self->emu);
	for (i = 0; i < VCPUS; i++) {
		ASSERT_TRUE(vcpu_join(&v[i], COMES_MS));
		EXPECT_EQ(0, v[i].ret);
		EXPECT_EQ(emu_value(0, 8 * i), v[i].a.data);
	}
	EXPECT_EQ(VCPUS, self->emu->n);
}

/* Stores of all of them, interrupted; false: not before the first ones' time-out. */
static bool abandon_all(struct __test_metadata *_metadata, struct emu *emu, struct vcpu *v,
			int patience)
{
	int64_t begin = now_ms();
	uint32_t i;

	emu->mute = true;
	ASSERT_EQ(0, dev_set_reset_ms(NAME, patience));
	emu_start(emu);
	for (i = 0; i < VCPUS; i++)
		vcpu_store(&v[i], emu->g, EMU_MMIO + i, 1, i);
	sleep_ms(200);
	for (i = 0; i < VCPUS; i++)
		vcpu_interrupt(&v[i]);
	for (i = 0; i < VCPUS; i++)
		EXPECT_TRUE(vcpu_join(&v[i], SOON_MS));
	return now_ms() - begin < patience;
}

/* How many had begun: they have a cookie. */
static uint32_t count_begun(struct __test_metadata *_metadata, struct vcpu *v)
{
	uint32_t i, begun = 0;

	for (i = 0; i < VCPUS; i++) {
		EXPECT_EQ(0, v[i].ret);
		EXPECT_EQ(VBE_ACCESS_F_PENDING, v[i].a.flags & VBE_ACCESS_F_PENDING);
		begun += !!v[i].a.cookie;
	}
	return begun;
}

/* Nobody comes back for them: the next ones find room again, after the time-out. */
TEST_F(many, abandoned)
{
	static struct vcpu v[VCPUS];
	int patience = PATIENCE_MS;
	uint32_t i, begun;
	struct emu *emu;

	/* To make, and to interrupt, that many threads takes its time on a slow machine. */
	while (!abandon_all(_metadata, self->emu, v, patience)) {
		ASSERT_GT(EMU_TIMEOUT_MS, patience);
		patience *= 4;
		emu_free(self->emu);
		fresh_emu(_metadata, self);
	}
	emu = self->emu;
	begun = count_begun(_metadata, v);
	/* Cookie 0: it had not begun. Each of the others is one event. */
	EXPECT_LT(0, begun);
	EXPECT_GT(VCPUS, begun);
	EXPECT_TRUE(emu_wait(emu, begun, COMES_MS));
	EXPECT_EQ(begun, emu->n);
	emu->mute = false;
	sleep_ms(patience);
	ASSERT_EQ(0, dev_set_reset_ms(NAME, EMU_TIMEOUT_MS));
	for (i = 0; i < begun + 8; i++)
		EXPECT_EQ(emu_value(0, 8), guest_read(emu->g, 0, EMU_MMIO + 8, 8));
	/* One that had not begun does now. */
	for (i = 0; i < VCPUS - 1 && v[i].a.cookie; i++)
		;
	ASSERT_EQ(0, v[i].a.cookie);
	v[i].a.flags &= ~VBE_ACCESS_F_EVENTS;
	vcpu_again(&v[i]);
	ASSERT_TRUE(vcpu_join(&v[i], COMES_MS));
	EXPECT_EQ(0, v[i].a.flags & VBE_ACCESS_F_PENDING);
	EXPECT_EQ(2 * begun + 9, emu->n);
}

/* All at the same time: loads, matches, moves, deaths. */
static void *storm(void *arg)
{
	struct emu *emu = arg;
	uint64_t data = 1;
	int i;

	for (i = 0; !emu->stop; i++)
		guest_access(emu->g, 0, EMU_MMIO + 4 * (i % 8), 4, i & 1, &data);
	return NULL;
}

TEST_F(raw, storm)
{
	int bell = guest_eventfd();
	struct emu *emu = self->emu;
	int64_t end = now_ms() + 1000 * env_seconds("VBE_RACE_SECONDS", 3);
	pthread_t threads[4];
	uint64_t rings = 0;
	uint32_t i;

	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, storm, emu));
	for (i = 0; now_ms() < end; i++) {
		struct vbe_event ev;

		EXPECT_DONE(raw_match(emu->fd, 0, 4, 4, bell));
		while (!read_event(emu->fd, &ev, 0))
			if (ev.cookie)
				complete_data(emu->fd, ev.cookie, 0);
		EXPECT_DONE(raw_region(emu->fd, 0, 0, i & 1 ? EMU_MMIO : EMU_MMIO + 16, 64));
		rings += guest_eventfd_wait(bell, 1);
		EXPECT_DONE(raw_unmatch(emu->fd, 0, 4, 4, 0, 0));
		rings += guest_eventfd_wait(bell, 0);
		EXPECT_EQ(0, guest_eventfd_wait(bell, 0));
		if (i % 64 == 63) {
			close(emu->fd);
			ASSERT_DONE(emu_up(emu));
		}
	}
	emu->stop = true;
	close(emu->fd);
	emu->fd = -1;
	for (i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	EXPECT_LT(0, rings);
}

TEST_HARNESS_MAIN
