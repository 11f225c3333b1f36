/* SPDX-License-Identifier: BSD-3-Clause */
/* Copyright (c) 2026 The vbe authors */
/*
 * edu: a PCI function that is not virtio, for the emulator author's guide.
 *
 *	edu-hw.h	the hardware: what a driver for it has to know
 *	edu-emulator.c	the event loop: what a vCPU did, and what has happened since
 *	edu-pci.c	configuration space: where BAR 0 is, how to interrupt
 *	edu-regs.c	the registers in BAR 0, the factorial, DMA
 */
#ifndef EDU_H
#define EDU_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <vbe/vbe.h>

#include "edu-hw.h"

/* How the guest wants to be interrupted now. */
enum edu_irq_mode {
	EDU_IRQ_NONE,
	EDU_IRQ_INTX,
	EDU_IRQ_MSI,
};

/**
 * struct edu - the device
 * @dev: our side of /dev/vbe
 * @irq_fd: a write interrupts the guest, in the way that it wants
 * @resample_fd: readable when the guest has ended an INTx interrupt
 * @bell_fd: readable when the doorbell rang
 * @done_fd: readable when the worker has finished
 * @config: configuration space
 * @writable: the bits in it that the guest may write
 * @bar: where BAR 0 is decoded; 0: it is not
 * @mode: how we interrupt
 * @msi_addr: MSI address, with EDU_IRQ_MSI
 * @msi_data: MSI message, with EDU_IRQ_MSI
 *
 * @live, @irq_status, @rings, @dma_addr, @dma_offset, @dma_len, @dma_status: registers
 * @buffer: what DMA goes to and comes from
 *
 * @worker: computes factorials
 * @lock: protects the rest
 * @wake: wakes the worker
 * @busy: it has something to do
 * @stop: it shall end
 * @value: what it was given; what it has found
 */
struct edu {
	struct vbe_dev *dev;
	int irq_fd;
	int resample_fd;
	int bell_fd;
	int done_fd;

	uint8_t config[256];
	uint8_t writable[256];
	uint64_t bar;
	enum edu_irq_mode mode;
	uint64_t msi_addr;
	uint32_t msi_data;

	uint32_t live;
	uint32_t irq_status;
	uint32_t rings;
	uint64_t dma_addr;
	uint32_t dma_offset;
	uint32_t dma_len;
	uint32_t dma_status;
	uint8_t buffer[EDU_BUFFER_SIZE];

	pthread_t worker;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool busy;
	bool stop;
	uint32_t value;
};

/* edu-pci.c */
void edu_pci_init(struct edu *edu);
uint32_t edu_pci_read(struct edu *edu, uint32_t offset, uint32_t len);
void edu_pci_write(struct edu *edu, uint32_t offset, uint32_t len, uint32_t data);
bool edu_pci_may_dma(const struct edu *edu);
void edu_interrupt(struct edu *edu, uint32_t reasons);
void edu_resample(struct edu *edu);

/* edu-regs.c */
int edu_regs_init(struct edu *edu);
void edu_regs_exit(struct edu *edu);
uint32_t edu_regs_read(struct edu *edu, uint32_t offset);
void edu_regs_write(struct edu *edu, uint32_t offset, uint32_t data);

#endif /* EDU_H */
