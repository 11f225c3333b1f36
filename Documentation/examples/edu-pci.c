// SPDX-License-Identifier: BSD-3-Clause
/* Copyright (c) 2026 The vbe authors */
/*
 * edu: PCI configuration space.
 *
 * It is an array of bytes, of which the guest may write some bits. That alone does BAR
 * sizing: the low bits of BAR 0 are not writable, so ones written there read back as
 * the size. What a write means is found out after it, by looking at what is there now.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <linux/pci_regs.h>

#include "edu.h"

/* What the guest can bring about again and again must not fill a log. */
static void complain(struct edu *edu, const char *what)
{
	static unsigned int times;

	if (times++ < 10)
		fprintf(stderr, "edu: %s: %s\n", what, vbe_error(edu->dev));
}

static void put(uint8_t *bytes, uint32_t offset, uint32_t len, uint32_t value)
{
	for (; len; len--, value >>= 8)
		bytes[offset++] = value;
}

static uint32_t get(const struct edu *edu, uint32_t offset, uint32_t len)
{
	uint32_t value = 0;

	while (len--)
		value = value << 8 | edu->config[offset + len];
	return value;
}

void edu_pci_init(struct edu *edu)
{
	uint8_t *c = edu->config, *w = edu->writable;

	put(c, PCI_VENDOR_ID, 2, EDU_VENDOR);
	put(c, PCI_DEVICE_ID, 2, EDU_DEVICE);
	put(c, PCI_STATUS, 2, PCI_STATUS_CAP_LIST);
	put(c, PCI_CLASS_DEVICE, 2, 0xff00);
	put(c, PCI_CAPABILITY_LIST, 1, EDU_MSI);
	put(c, PCI_INTERRUPT_PIN, 1, 1);
	put(w, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
	    PCI_COMMAND_INTX_DISABLE);
	put(w, PCI_BASE_ADDRESS_0, 4, ~(EDU_BAR_SIZE - 1));
	put(w, PCI_INTERRUPT_LINE, 1, 0xff);

	/* One vector, 64-bit address, no masking. */
	put(c, EDU_MSI + PCI_CAP_LIST_ID, 1, PCI_CAP_ID_MSI);
	put(c, EDU_MSI + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_64BIT);
	put(w, EDU_MSI + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE);
	put(w, EDU_MSI + PCI_MSI_ADDRESS_LO, 4, ~3u);
	put(w, EDU_MSI + PCI_MSI_ADDRESS_HI, 4, ~0u);
	put(w, EDU_MSI + PCI_MSI_DATA_64, 2, 0xffff);
}

/* ---- BAR 0 --------------------------------------------------------------- */

/* Claim the addresses that BAR 0 has now, and no others. */
static void update_bar(struct edu *edu)
{
	struct vbe_raw_region region = { .index = 0, .space = VBE_SPACE_MMIO };
	uint64_t bar = 0;

	if (get(edu, PCI_COMMAND, 2) & PCI_COMMAND_MEMORY)
		bar = get(edu, PCI_BASE_ADDRESS_0, 4) & ~(EDU_BAR_SIZE - 1);
	if (bar == edu->bar)
		return;
	edu->bar = bar;
	region.base = bar;
	region.len = bar ? EDU_BAR_SIZE : 0;
	/* A guest may well put it where something else is: then it is nowhere. */
	if (vbe_raw_region(edu->dev, &region))
		complain(edu, "BAR 0");
}

/* ---- interrupts ---------------------------------------------------------- */

static void notify(int fd)
{
	uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) != sizeof(one))
		perror("edu: eventfd");
}

static enum edu_irq_mode wanted_mode(const struct edu *edu)
{
	uint32_t command = get(edu, PCI_COMMAND, 2);

	/* A message is a write to memory, for which a function needs to be a master. */
	if (get(edu, EDU_MSI + PCI_MSI_FLAGS, 2) & PCI_MSI_FLAGS_ENABLE)
		return command & PCI_COMMAND_MASTER ? EDU_IRQ_MSI : EDU_IRQ_NONE;
	return command & PCI_COMMAND_INTX_DISABLE ? EDU_IRQ_NONE : EDU_IRQ_INTX;
}

/*
 * Say what a write to irq_fd does. It stays the same eventfd and the same index: what
 * is pending is delivered in the new way.
 */
static void set_mode(struct edu *edu, enum edu_irq_mode mode)
{
	struct vbe_raw_irq irq = { .index = 0, .fd = edu->irq_fd, .resample_fd = -1 };

	switch (mode) {
	case EDU_IRQ_MSI:
		irq.type = VBE_RAW_IRQ_MSI;
		irq.msi_addr = edu->msi_addr;
		irq.msi_data = edu->msi_data;
		break;
	case EDU_IRQ_INTX:
		irq.type = VBE_RAW_IRQ_LEVEL;
		irq.resample_fd = edu->resample_fd;
		break;
	case EDU_IRQ_NONE:
		irq.fd = -1;
		break;
	}
	if (vbe_raw_irq(edu->dev, &irq))
		complain(edu, "interrupt");
}

static void update_irq(struct edu *edu)
{
	uint64_t addr = get(edu, EDU_MSI + PCI_MSI_ADDRESS_LO, 4) |
			(uint64_t)get(edu, EDU_MSI + PCI_MSI_ADDRESS_HI, 4) << 32;
	uint32_t data = get(edu, EDU_MSI + PCI_MSI_DATA_64, 2);
	enum edu_irq_mode mode = wanted_mode(edu), old = edu->mode;

	if (mode == old &&
	    (mode != EDU_IRQ_MSI || (addr == edu->msi_addr && data == edu->msi_data)))
		return;
	edu->mode = mode;
	edu->msi_addr = addr;
	edu->msi_data = data;
	set_mode(edu, mode);
	/* A reason that came while nobody could be told; and a line is high while there is one. */
	if ((old == EDU_IRQ_NONE || mode == EDU_IRQ_INTX) && mode != EDU_IRQ_NONE &&
	    edu->irq_status)
		notify(edu->irq_fd);
}

/* Something to interrupt for. */
void edu_interrupt(struct edu *edu, uint32_t reasons)
{
	if (!reasons)
		return;
	edu->irq_status |= reasons;
	if (edu->mode != EDU_IRQ_NONE)
		notify(edu->irq_fd);
}

/* The guest has ended an INTx interrupt, and the line is low. Is there still a reason? */
void edu_resample(struct edu *edu)
{
	if (edu->mode == EDU_IRQ_INTX && edu->irq_status)
		notify(edu->irq_fd);
}

bool edu_pci_may_dma(const struct edu *edu)
{
	return get(edu, PCI_COMMAND, 2) & PCI_COMMAND_MASTER;
}

/* ---- accesses ------------------------------------------------------------ */

uint32_t edu_pci_read(struct edu *edu, uint32_t offset, uint32_t len)
{
	uint32_t status = get(edu, PCI_STATUS, 2) & ~PCI_STATUS_INTERRUPT;

	/* A conventional function: there is nothing behind the first 256 bytes. */
	if (len > 4 || offset + len > sizeof(edu->config))
		return ~0u;
	put(edu->config, PCI_STATUS, 2, status | (edu->irq_status ? PCI_STATUS_INTERRUPT : 0));
	return get(edu, offset, len);
}

void edu_pci_write(struct edu *edu, uint32_t offset, uint32_t len, uint32_t data)
{
	uint32_t i;

	if (len > 4 || offset + len > sizeof(edu->config))
		return;
	for (i = offset; i < offset + len; i++, data >>= 8)
		edu->config[i] = (edu->config[i] & ~edu->writable[i]) |
				 (data & edu->writable[i]);
	update_bar(edu);
	update_irq(edu);
}
