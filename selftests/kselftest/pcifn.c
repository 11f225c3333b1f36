// SPDX-License-Identifier: GPL-2.0
/*
 * A virtio-pci function for tests.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <linux/pci_regs.h>

#include "pcifn.h"
#include "util.h"

struct be *fn_backend(void)
{
	struct be *be = be_new(BE_RNG);
	uint32_t i;

	/* What belongs to the transport is offered, too, and must be masked. */
	be->features = F_VERSION_1 | F_SOME | F_OWNED;
	be->n_queues = FN_QUEUES;
	be->queue_size = FN_NUM;
	be->config_size = FN_CONFIG_LEN;
	be->setup_flags = VBE_SETUP_F_QUEUE_STOP;
	for (i = 0; i < FN_CONFIG_LEN; i++)
		be->config[i] = 0x10 + i;
	return be;
}

int fn_new(struct fn *fn, const char *name)
{
	struct vbe_guest_dev_add a = guest_dev_params(name, "pci", FN_BDF);
	int ret;

	memset(fn, 0, sizeof(*fn));
	fn->bdf = FN_BDF;
	fn->bar = FN_BAR;
	fn->be = fn_backend();
	fn->g = guest_new("kst-pci-guest");
	if (!fn->g)
		return -errno;
	ret = guest_mem_add(fn->g, FN_MEM, FN_MEM_LEN, 0);
	if (ret >= 0)
		ret = guest_mem_add(fn->g, FN_HIGH_MEM, FN_MEM_LEN, 0);
	if (ret < 0)
		return ret;
	a.reset_timeout_ms = LIMIT;
	fn->dev = guest_dev_add_params(fn->g, &a);
	return fn->dev < 0 ? fn->dev : 0;
}

void fn_free(struct fn *fn)
{
	be_free(fn->be);
	guest_free(fn->g);
}

int fn_online(struct fn *fn, const char *name)
{
	int ret = be_attach(fn->be, name);

	if (ret >= 0)
		ret = be_setup(fn->be);
	return ret < 0 ? ret : be_online(fn->be);
}

/* ---- accesses ------------------------------------------------------------------ */

uint32_t cfg_in(struct fn *fn, uint32_t reg, uint32_t len)
{
	return guest_read(fn->g, VBE_SPACE_PCI, GUEST_PCI(fn->bdf, reg), len);
}

void cfg_out(struct fn *fn, uint32_t reg, uint32_t len, uint32_t value)
{
	guest_write(fn->g, VBE_SPACE_PCI, GUEST_PCI(fn->bdf, reg), len, value);
}

uint64_t bar_in(struct fn *fn, uint32_t offset, uint32_t len)
{
	return guest_read(fn->g, VBE_SPACE_MMIO, fn->bar + offset, len);
}

void bar_out(struct fn *fn, uint32_t offset, uint32_t len, uint64_t value)
{
	guest_write(fn->g, VBE_SPACE_MMIO, fn->bar + offset, len, value);
}

bool decoded(struct fn *fn, uint64_t at)
{
	guest_read(fn->g, VBE_SPACE_MMIO, at, 4);
	return fn->g->last >= 0;
}

void set_command(struct fn *fn, uint32_t command)
{
	cfg_out(fn, PCI_COMMAND, 2, command);
}

void place_bar(struct fn *fn, uint64_t at)
{
	set_command(fn, 0);
	cfg_out(fn, PCI_BASE_ADDRESS_0, 4, at);
	cfg_out(fn, PCI_BASE_ADDRESS_1, 4, at >> 32);
	set_command(fn, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	fn->bar = at;
}

uint32_t field_len(uint32_t field)
{
	if (field == STATUS || field == GENERATION)
		return 1;
	if (field < CONFIG_VECTOR)
		return 4;
	return field >= QUEUE_DESC && field < QUEUE_NDATA ? 8 : 2;
}

uint64_t get(struct fn *fn, uint32_t field)
{
	return bar_in(fn, COMMON + field, field_len(field));
}

void put(struct fn *fn, uint32_t field, uint64_t value)
{
	bar_out(fn, COMMON + field, field_len(field), value);
}

uint64_t qget(struct fn *fn, uint32_t q, uint32_t field)
{
	put(fn, QUEUE_SEL, q);
	return get(fn, field);
}

void qput(struct fn *fn, uint32_t q, uint32_t field, uint64_t value)
{
	put(fn, QUEUE_SEL, q);
	put(fn, field, value);
}

/* ---- a driver -------------------------------------------------------------------- */

uint64_t offered(struct fn *fn)
{
	uint64_t features;

	put(fn, DEV_SEL, 1);
	features = get(fn, DEV_FEATURES) << 32;
	put(fn, DEV_SEL, 0);
	return features | get(fn, DEV_FEATURES);
}

void take(struct fn *fn, uint64_t features)
{
	put(fn, DRV_SEL, 1);
	put(fn, DRV_FEATURES, features >> 32);
	put(fn, DRV_SEL, 0);
	put(fn, DRV_FEATURES, features & 0xffffffff);
}

uint32_t negotiate(struct fn *fn, uint64_t features)
{
	put(fn, STATUS, 0);
	put(fn, STATUS, S_ACK);
	put(fn, STATUS, S_DRIVER);
	take(fn, features);
	put(fn, STATUS, S_FEATURES);
	return get(fn, STATUS);
}

struct place good_place(uint32_t q)
{
	uint64_t at = (q ? FN_HIGH_MEM : FN_MEM) + q * 0x8000;

	return (struct place){ FN_NUM, at, at + 0x1000, at + 0x2000 };
}

/* Addresses as two halves, which every driver does; tests have the other way, too. */
static void put_halves(struct fn *fn, uint32_t field, uint64_t addr)
{
	bar_out(fn, COMMON + field, 4, addr & 0xffffffff);
	bar_out(fn, COMMON + field + 4, 4, addr >> 32);
}

void stage(struct fn *fn, uint32_t q, struct place p)
{
	qput(fn, q, QUEUE_SIZE, p.num);
	put_halves(fn, QUEUE_DESC, p.desc);
	put_halves(fn, QUEUE_DRIVER, p.driver);
	put_halves(fn, QUEUE_DEVICE, p.device);
}

uint32_t enable(struct fn *fn, uint32_t q, struct place p)
{
	stage(fn, q, p);
	put(fn, QUEUE_ENABLE, 1);
	return get(fn, QUEUE_ENABLE);
}

uint32_t drive(struct fn *fn, uint64_t features)
{
	uint32_t q;

	if (negotiate(fn, features) != S_FEATURES)
		return get(fn, STATUS);
	for (q = 0; q < FN_QUEUES; q++) {
		memset(guest_host(fn->g, good_place(q).desc, 0x4000), 0, 0x4000);
		if (enable(fn, q, good_place(q)) != 1)
			return get(fn, STATUS);
	}
	put(fn, STATUS, S_OK);
	return get(fn, STATUS);
}

/* ---- interrupts ------------------------------------------------------------------- */

void set_vector(struct fn *fn, uint32_t vector, uint64_t addr, uint32_t data, bool masked)
{
	uint32_t at = TABLE + PCI_MSIX_ENTRY_SIZE * vector;

	bar_out(fn, at + PCI_MSIX_ENTRY_LOWER_ADDR, 4, addr & 0xffffffff);
	bar_out(fn, at + PCI_MSIX_ENTRY_UPPER_ADDR, 4, addr >> 32);
	bar_out(fn, at + PCI_MSIX_ENTRY_DATA, 4, data);
	bar_out(fn, at + PCI_MSIX_ENTRY_VECTOR_CTRL, 4, masked);
}

uint64_t pending(struct fn *fn)
{
	return bar_in(fn, PBA, 8);
}

void set_msix(struct fn *fn, uint32_t control)
{
	cfg_out(fn, CAP_MSIX + PCI_MSIX_FLAGS, 2, control);
}

int call_queue(struct fn *fn, uint32_t q)
{
	return xioctl(fn->be->fd, VBE_IOC_QUEUE_CALL, (void *)(uintptr_t)q);
}

int call_by_fd(struct fn *fn, uint32_t q)
{
	uint64_t one = 1;

	return write(fn->be->queues[q].call, &one, sizeof(one)) == sizeof(one) ? 0 : -errno;
}

int change_config(struct fn *fn, uint32_t offset, uint8_t byte)
{
	struct vbe_config_rw c = { .size = sizeof(c), .offset = offset, .len = 1,
				   .buf = (uintptr_t)&byte };

	return xioctl(fn->be->fd, VBE_IOC_CONFIG_WRITE, &c);
}
