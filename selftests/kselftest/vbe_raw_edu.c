// SPDX-License-Identifier: GPL-2.0
/*
 * The example emulator, Documentation/examples/edu-emulator.c, driven by its guest: the
 * program that emulator authors begin with must be right.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * VBE_EDU names the program; else it is "edu-emulator" in PATH.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/pci_regs.h>

#include "kselftest_harness.h"

#include "check.h"
#include "guest.h"

#include "../../Documentation/examples/edu-hw.h"

#define NAME	"kst-edu"
#define BDF	0x0018		/* bus 0, device 3 */
#define MEM	0x40000000ULL
#define MEM_LEN	(1 << 20)
#define BAR	0xfe000000U
#define ADDR	0xfee00000U

FIXTURE(edu)
{
	struct guest *g;
	int dev;
	pid_t pid;
	uint32_t bar;
	int line;
	int msi;
};

static pid_t start_emulator(void)
{
	const char *program = getenv("VBE_EDU") ?: "edu-emulator";
	pid_t pid = fork();

	if (!pid) {
		/* A guest fd that it inherited would keep the guest alive. */
		close_range(3, ~0U, 0);
		execlp(program, program, NAME, NULL);
		perror(program);
		_exit(127);
	}
	return pid;
}

FIXTURE_SETUP(edu)
{
	struct vbe_guest_dev_add a = guest_dev_params(NAME, "raw", BDF);

	a.reset_timeout_ms = COMES_MS;
	self->g = guest_new("edu");
	ASSERT_NE(NULL, self->g);
	ASSERT_DONE(guest_mem_add(self->g, MEM, MEM_LEN, 0));
	self->dev = guest_dev_add_params(self->g, &a);
	ASSERT_DONE(self->dev);
	self->line = guest_eventfd();
	self->msi = guest_eventfd();
	ASSERT_DONE(guest_set_fd(self->g, self->dev, VBE_GUEST_FD_LINE, 0, self->line));
	ASSERT_DONE(guest_set_fd(self->g, self->dev, VBE_GUEST_FD_MSI, 0, self->msi));
	self->pid = start_emulator();
	ASSERT_LT(0, self->pid);
	ASSERT_TRUE(guest_wait_state(self->g, self->dev, VBE_DEV_ONLINE, COMES_MS))
		TH_LOG("the emulator did not come up; VBE_EDU names it");
}

FIXTURE_TEARDOWN(edu)
{
	guest_free(self->g);
	/* Its guest is dead: it ends by itself. */
	if (self->pid > 0)
		EXPECT_EQ(0, wait_child(self->pid, COMES_MS));
}

static uint32_t config(struct guest *g, uint32_t offset, uint32_t len)
{
	return guest_read(g, VBE_SPACE_PCI, GUEST_PCI(BDF, offset), len);
}

static void set_config(struct guest *g, uint32_t offset, uint32_t len, uint32_t value)
{
	guest_write(g, VBE_SPACE_PCI, GUEST_PCI(BDF, offset), len, value);
}

static void bring_up(struct guest *g, uint32_t bar)
{
	set_config(g, PCI_BASE_ADDRESS_0, 4, bar);
	set_config(g, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

static uint32_t reg(struct guest *g, uint32_t offset)
{
	return guest_read(g, VBE_SPACE_MMIO, BAR + offset, 4);
}

static void set_reg(struct guest *g, uint32_t offset, uint32_t value)
{
	guest_write(g, VBE_SPACE_MMIO, BAR + offset, 4, value);
}

static void enable_msi(struct guest *g, uint16_t data)
{
	set_config(g, EDU_MSI + PCI_MSI_ADDRESS_LO, 4, ADDR);
	set_config(g, EDU_MSI + PCI_MSI_ADDRESS_HI, 4, 0);
	set_config(g, EDU_MSI + PCI_MSI_DATA_64, 2, data);
	set_config(g, EDU_MSI + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE);
}

/* ---- configuration space ------------------------------------------------- */

TEST_F(edu, header)
{
	struct guest *g = self->g;
	uint32_t i;

	EXPECT_EQ(EDU_DEVICE << 16 | EDU_VENDOR, config(g, PCI_VENDOR_ID, 4));
	EXPECT_EQ(EDU_VENDOR, config(g, PCI_VENDOR_ID, 2));
	EXPECT_EQ(EDU_VENDOR >> 8, config(g, PCI_VENDOR_ID + 1, 1));
	EXPECT_EQ(PCI_STATUS_CAP_LIST, config(g, PCI_STATUS, 2));
	EXPECT_EQ(EDU_MSI, config(g, PCI_CAPABILITY_LIST, 1));
	EXPECT_EQ(PCI_CAP_ID_MSI, config(g, EDU_MSI, 2));
	EXPECT_EQ(1, config(g, PCI_INTERRUPT_PIN, 1));
	/* Nothing of it can be written but what is meant to. */
	for (i = 0; i < 256; i += 4)
		if (i != PCI_COMMAND)
			set_config(g, i, 4, 0xffffffff);
	EXPECT_EQ(EDU_DEVICE << 16 | EDU_VENDOR, config(g, PCI_VENDOR_ID, 4));
	EXPECT_EQ(~(EDU_BAR_SIZE - 1U), config(g, PCI_BASE_ADDRESS_0, 4));
	EXPECT_EQ(0, config(g, PCI_BASE_ADDRESS_1, 4));
	EXPECT_EQ(0xff, config(g, PCI_INTERRUPT_LINE, 1));
	EXPECT_EQ(1, config(g, PCI_INTERRUPT_PIN, 1));
	/* Behind its end. */
	EXPECT_EQ(~0U, config(g, 0x100, 4));
	EXPECT_EQ(~0U, config(g, 0xffc, 4));
	EXPECT_EQ(0xffff, config(g, 0xff, 2));
}

TEST_F(edu, bar)
{
	struct vbe_guest_event ev;
	struct guest *g = self->g;

	/* Sized, placed, enabled. */
	set_config(g, PCI_BASE_ADDRESS_0, 4, 0xffffffff);
	EXPECT_EQ(~(EDU_BAR_SIZE - 1U), config(g, PCI_BASE_ADDRESS_0, 4));
	set_config(g, PCI_BASE_ADDRESS_0, 4, BAR);
	reg(g, EDU_ID);
	EXPECT_EQ(-ENOENT, g->last);
	guest_drop_events(g);
	set_config(g, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	/* When the store has returned, it is so. */
	EXPECT_EQ(EDU_ID_VALUE, reg(g, EDU_ID));
	ASSERT_EQ(0, guest_wait_indexed(g, VBE_GUEST_EVENT_REGION, self->dev, 0, &ev, COMES_MS));
	EXPECT_EQ(BAR, ev.data[0]);
	EXPECT_EQ(EDU_BAR_SIZE, ev.data[1]);
	/* Moved, byte by byte, with its doorbell; and off. */
	set_config(g, PCI_BASE_ADDRESS_0 + 2, 1, 0x01);
	EXPECT_EQ(BAR + 0x10000, config(g, PCI_BASE_ADDRESS_0, 4));
	reg(g, EDU_ID);
	EXPECT_EQ(-ENOENT, g->last);
	EXPECT_EQ(EDU_ID_VALUE, guest_read(g, 0, BAR + 0x10000, 4));
	guest_write(g, 0, BAR + 0x10000 + EDU_DOORBELL, 4, 1);
	EXPECT_EQ(1, guest_read(g, 0, BAR + 0x10000 + EDU_RINGS, 4));
	set_config(g, PCI_COMMAND, 2, 0);
	guest_read(g, 0, BAR + 0x10000, 4);
	EXPECT_EQ(-ENOENT, g->last);
}

/* ---- registers ----------------------------------------------------------- */

TEST_F(edu, registers)
{
	struct guest *g = self->g;
	uint32_t i;

	bring_up(g, BAR);
	EXPECT_EQ(EDU_ID_VALUE, reg(g, EDU_ID));
	set_reg(g, EDU_ID, 0);
	EXPECT_EQ(EDU_ID_VALUE, reg(g, EDU_ID));
	for (i = 0; i < 100; i++) {
		set_reg(g, EDU_LIVE, i * 0x01020304);
		EXPECT_EQ(~(i * 0x01020304), reg(g, EDU_LIVE));
	}
	/* Not a register, not all of one, more than one. */
	EXPECT_EQ(~0U, reg(g, 0x800));
	EXPECT_EQ(0xff, guest_read(g, 0, BAR, 1));
	EXPECT_EQ(~0ULL, guest_read(g, 0, BAR, 8));
	guest_write(g, 0, BAR + EDU_LIVE, 2, 0);
	EXPECT_EQ(~(99 * 0x01020304U), reg(g, EDU_LIVE));
}

TEST_F(edu, factorial_by_intx)
{
	static const uint32_t results[] = { 1, 1, 2, 6, 24, 120, 720, 5040, 40320, 362880 };
	struct guest *g = self->g;
	uint32_t n;

	bring_up(g, BAR);
	for (n = 0; n < ARRAY_LEN(results); n++) {
		set_reg(g, EDU_FACTORIAL, n);
		ASSERT_EQ(1, guest_eventfd_wait(self->line, COMES_MS));
		EXPECT_EQ(EDU_IRQ_FACTORIAL, reg(g, EDU_IRQ_STATUS));
		EXPECT_TRUE(config(g, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
		EXPECT_EQ(0, reg(g, EDU_STATUS));
		EXPECT_EQ(results[n], reg(g, EDU_FACTORIAL));
		set_reg(g, EDU_IRQ_ACK, EDU_IRQ_FACTORIAL);
		EXPECT_FALSE(config(g, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
		EXPECT_DONE(guest_eoi(g, self->dev));
		EXPECT_EQ(0, guest_eventfd_wait(self->line, 20));
	}
	set_reg(g, EDU_FACTORIAL, 0xffffffff);
	ASSERT_EQ(1, guest_eventfd_wait(self->line, COMES_MS));
	EXPECT_EQ(0, reg(g, EDU_FACTORIAL));
}

TEST_F(edu, intx_is_a_level)
{
	struct guest *g = self->g;

	bring_up(g, BAR);
	set_reg(g, EDU_IRQ_RAISE, 0x100);
	ASSERT_EQ(1, guest_eventfd_wait(self->line, COMES_MS));
	/* EOI without an ACK: it comes again, as often as that. */
	EXPECT_DONE(guest_eoi(g, self->dev));
	ASSERT_EQ(1, guest_eventfd_wait(self->line, COMES_MS));
	EXPECT_DONE(guest_eoi(g, self->dev));
	ASSERT_EQ(1, guest_eventfd_wait(self->line, COMES_MS));
	set_reg(g, EDU_IRQ_ACK, 0x100);
	EXPECT_DONE(guest_eoi(g, self->dev));
	EXPECT_EQ(0, guest_eventfd_wait(self->line, 30));
	/* Disabled: the reason is kept, and told when it may be. */
	set_config(g, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_DISABLE);
	set_reg(g, EDU_IRQ_RAISE, 0x200);
	EXPECT_EQ(0, guest_eventfd_wait(self->line, 30));
	set_config(g, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	EXPECT_EQ(1, guest_eventfd_wait(self->line, COMES_MS));
}

TEST_F(edu, msi)
{
	struct vbe_guest_event ev;
	struct guest *g = self->g;

	bring_up(g, BAR);
	enable_msi(g, 0x4123);
	ASSERT_EQ(0, guest_wait_indexed(g, VBE_GUEST_EVENT_VECTOR, self->dev, 0, &ev, COMES_MS));
	EXPECT_EQ(ADDR, ev.data[0]);
	EXPECT_EQ(0x4123, ev.data[1]);
	set_reg(g, EDU_FACTORIAL, 5);
	ASSERT_EQ(1, guest_eventfd_wait(self->msi, COMES_MS));
	EXPECT_EQ(120, reg(g, EDU_FACTORIAL));
	EXPECT_EQ(0, guest_eventfd_wait(self->line, 0));
	set_reg(g, EDU_IRQ_ACK, ~0U);
	/* Without an eventfd it is an event, with what the guest wrote last. */
	ASSERT_DONE(guest_set_fd(g, self->dev, VBE_GUEST_FD_MSI, 0, -1));
	set_config(g, EDU_MSI + PCI_MSI_DATA_64, 2, 0x4124);
	set_reg(g, EDU_IRQ_RAISE, 1);
	ASSERT_EQ(0, guest_wait_indexed(g, VBE_GUEST_EVENT_MSI, self->dev, 0, &ev, COMES_MS));
	EXPECT_EQ(ADDR, ev.data[0]);
	EXPECT_EQ(0x4124, ev.data[1]);
}

/* Raised as INTx, and the guest goes over to MSI before it looks. */
TEST_F(edu, pending_intx_becomes_msi)
{
	struct guest *g = self->g;

	bring_up(g, BAR);
	set_reg(g, EDU_IRQ_RAISE, 1);
	ASSERT_EQ(1, guest_eventfd_wait(self->line, COMES_MS));
	enable_msi(g, 1);
	EXPECT_EQ(1, guest_eventfd_wait(self->msi, COMES_MS));
	EXPECT_EQ(1, reg(g, EDU_IRQ_STATUS));
}

TEST_F(edu, doorbell)
{
	struct guest *g = self->g;
	uint32_t i;

	bring_up(g, BAR);
	enable_msi(g, 1);
	for (i = 1; i <= 200; i++) {
		set_reg(g, EDU_DOORBELL, i);
		/* Another path than the store's, and yet not overtaken. */
		EXPECT_EQ(i, reg(g, EDU_RINGS));
	}
	EXPECT_LT(0, guest_eventfd_wait(self->msi, COMES_MS));
	EXPECT_EQ(EDU_IRQ_DOORBELL, reg(g, EDU_IRQ_STATUS));
	/* 2 bytes of it are no doorbell, and no register. */
	guest_write(g, 0, BAR + EDU_DOORBELL, 2, 1);
	EXPECT_EQ(200, reg(g, EDU_RINGS));
}

/* ---- DMA ----------------------------------------------------------------- */

static uint32_t dma(struct guest *g, uint64_t addr, uint32_t offset, uint32_t len,
		    uint32_t command)
{
	set_reg(g, EDU_DMA_ADDR_LOW, addr);
	set_reg(g, EDU_DMA_ADDR_HIGH, addr >> 32);
	set_reg(g, EDU_DMA_OFFSET, offset);
	set_reg(g, EDU_DMA_LEN, len);
	set_reg(g, EDU_DMA_GO, command);
	return reg(g, EDU_DMA_GO);
}

TEST_F(edu, dma)
{
	uint8_t *host = guest_host(self->g, MEM, MEM_LEN);
	struct guest *g = self->g;
	uint32_t i;

	bring_up(g, BAR);
	enable_msi(g, 1);
	for (i = 0; i < EDU_BUFFER_SIZE; i++)
		host[0x1234 + i] = i * 7 + 1;
	EXPECT_EQ(0, dma(g, MEM + 0x1234, 0, EDU_BUFFER_SIZE, EDU_DMA_FROM_GUEST));
	EXPECT_EQ(1, guest_eventfd_wait(self->msi, COMES_MS));
	EXPECT_EQ(EDU_IRQ_DMA, reg(g, EDU_IRQ_STATUS));
	EXPECT_EQ(0, dma(g, MEM + MEM_LEN - 0x800, 0x400, 0x800, EDU_DMA_TO_GUEST));
	EXPECT_EQ(0, memcmp(host + MEM_LEN - 0x800, host + 0x1234 + 0x400, 0x800));
	EXPECT_EQ(MEM + MEM_LEN - 0x800, reg(g, EDU_DMA_ADDR_LOW));
	EXPECT_EQ(0x400, reg(g, EDU_DMA_OFFSET));
	EXPECT_EQ(0x800, reg(g, EDU_DMA_LEN));
}

TEST_F(edu, dma_that_lies)
{
	struct guest *g = self->g;

	bring_up(g, BAR);
	/* Past the buffer in every way. */
	EXPECT_EQ(EDU_DMA_ERROR, dma(g, MEM, 0, 0, 1));
	EXPECT_EQ(EDU_DMA_ERROR, dma(g, MEM, 0, EDU_BUFFER_SIZE + 1, 1));
	EXPECT_EQ(EDU_DMA_ERROR, dma(g, MEM, 1, EDU_BUFFER_SIZE, 2));
	EXPECT_EQ(EDU_DMA_ERROR, dma(g, MEM, 0xffffffff, 1, 2));
	EXPECT_EQ(EDU_DMA_ERROR, dma(g, MEM, 0xfffffff0, 0x20, 2));
	/* No memory, and half of it. */
	EXPECT_EQ(EDU_DMA_ERROR, dma(g, MEM - 1, 0, 4, 1));
	EXPECT_EQ(EDU_DMA_ERROR, dma(g, MEM + MEM_LEN - 2, 0, 4, 1));
	EXPECT_EQ(EDU_DMA_ERROR, dma(g, MEM + MEM_LEN - 2, 0, 4, 2));
	EXPECT_EQ(EDU_DMA_ERROR, dma(g, ~0ULL, 0, 4, 2));
	EXPECT_EQ(EDU_DMA_ERROR, dma(g, 0, 0, 4, 2));
	EXPECT_EQ(EDU_DMA_ERROR, dma(g, MEM, 0, 4, 3));
	EXPECT_EQ(0, dma(g, MEM, 0, 4, 1));
	/* Not a bus master. */
	set_config(g, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	EXPECT_EQ(EDU_DMA_ERROR, dma(g, MEM, 0, 4, 1));
	EXPECT_EQ(EDU_ID_VALUE, reg(g, EDU_ID));
}

/* Memory that the guest gets later is memory for DMA, too; and memory that goes is not. */
TEST_F(edu, dma_and_memory_that_changes)
{
	struct guest *g = self->g;

	bring_up(g, BAR);
	EXPECT_EQ(EDU_DMA_ERROR, dma(g, 0x100000000ULL, 0, 4, 1));
	ASSERT_DONE(guest_mem_add(g, 0x100000000ULL, 0x10000, 0));
	EXPECT_EQ(0, dma(g, 0x100000000ULL, 0, 4, 1));
	ASSERT_DONE(guest_mem_del(g, 0x100000000ULL, 0x10000));
	EXPECT_EQ(EDU_DMA_ERROR, dma(g, 0x100000000ULL, 0, 4, 2));
	EXPECT_EQ(0, dma(g, MEM, 0, 4, 2));
}

/* ---- ends ---------------------------------------------------------------- */

TEST_F(edu, killed_and_started_again)
{
	struct guest *g = self->g;
	int status;

	bring_up(g, BAR);
	EXPECT_EQ(EDU_ID_VALUE, reg(g, EDU_ID));
	kill(self->pid, SIGKILL);
	EXPECT_EQ(SIGKILL, wait_child(self->pid, COMES_MS));
	EXPECT_EQ(~0U, config(g, PCI_VENDOR_ID, 4));
	reg(g, EDU_ID);
	EXPECT_EQ(-ENOENT, g->last);
	/* A function after its reset: what the guest configured is gone. */
	self->pid = start_emulator();
	ASSERT_TRUE(guest_wait_state(g, self->dev, VBE_DEV_ONLINE, COMES_MS));
	EXPECT_EQ(0, config(g, PCI_BASE_ADDRESS_0, 4));
	bring_up(g, BAR);
	EXPECT_EQ(EDU_ID_VALUE, reg(g, EDU_ID));
	/* Asked to end, it takes the device away. */
	kill(self->pid, SIGTERM);
	status = wait_child(self->pid, COMES_MS);
	EXPECT_TRUE(WIFEXITED(status) && !WEXITSTATUS(status))
		TH_LOG("wait status %#x", status);
	self->pid = 0;
	EXPECT_EQ(~0U, config(g, PCI_VENDOR_ID, 4));
}

TEST_HARNESS_MAIN
