// SPDX-License-Identifier: BSD-3-Clause
/* Copyright (c) 2026 The vbe authors */
/*
 * edu: the registers in BAR 0.
 *
 * A vCPU stands still until its access is answered. So what takes long (here: a
 * factorial) is given to a worker, the store is answered at once, and the guest is
 * interrupted when it is done.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "edu.h"

/* ---- the worker ---------------------------------------------------------- */

static uint32_t factorial(uint32_t n)
{
	uint32_t product = 1;

	/* From 34 on, all 32 bits are zero. */
	for (; n > 1 && product; n--)
		product *= n;
	return product;
}

static void *work(void *arg)
{
	struct edu *edu = arg;
	uint64_t one = 1;
	uint32_t n;

	pthread_mutex_lock(&edu->lock);
	for (;;) {
		while (!edu->busy && !edu->stop)
			pthread_cond_wait(&edu->wake, &edu->lock);
		if (edu->stop)
			break;
		n = edu->value;
		pthread_mutex_unlock(&edu->lock);
		n = factorial(n);
		pthread_mutex_lock(&edu->lock);
		edu->value = n;
		edu->busy = false;
		/* The event loop interrupts: all else of the device is its alone. */
		if (write(edu->done_fd, &one, sizeof(one)) != sizeof(one))
			break;
	}
	pthread_mutex_unlock(&edu->lock);
	return NULL;
}

static void start_factorial(struct edu *edu, uint32_t n)
{
	pthread_mutex_lock(&edu->lock);
	if (!edu->busy) {
		edu->value = n;
		edu->busy = true;
		pthread_cond_signal(&edu->wake);
	}
	pthread_mutex_unlock(&edu->lock);
}

static uint32_t worker_state(struct edu *edu, bool *busy)
{
	uint32_t value;

	pthread_mutex_lock(&edu->lock);
	value = edu->value;
	*busy = edu->busy;
	pthread_mutex_unlock(&edu->lock);
	return value;
}

int edu_regs_init(struct edu *edu)
{
	pthread_mutex_init(&edu->lock, NULL);
	pthread_cond_init(&edu->wake, NULL);
	return pthread_create(&edu->worker, NULL, work, edu);
}

void edu_regs_exit(struct edu *edu)
{
	pthread_mutex_lock(&edu->lock);
	edu->stop = true;
	pthread_cond_signal(&edu->wake);
	pthread_mutex_unlock(&edu->lock);
	pthread_join(edu->worker, NULL);
}

/* ---- DMA ----------------------------------------------------------------- */

static int dma(struct edu *edu, uint32_t command)
{
	bool to_guest = command == EDU_DMA_TO_GUEST;
	struct vbe_mem_ref ref;
	uint8_t *bytes;

	if (command != EDU_DMA_FROM_GUEST && !to_guest)
		return -EINVAL;
	if (!edu_pci_may_dma(edu))
		return -EPERM;
	/* The guest wrote these: anything may be in them. */
	if (!edu->dma_len || edu->dma_len > EDU_BUFFER_SIZE ||
	    edu->dma_offset > EDU_BUFFER_SIZE - edu->dma_len)
		return -ERANGE;
	bytes = edu->buffer + edu->dma_offset;
	/* This checks that the address is guest memory, all of it. */
	if (vbe_mem(edu->dev, &ref, edu->dma_addr, edu->dma_len,
		    to_guest ? VBE_ACCESS_WRITE : VBE_ACCESS_READ))
		return -EFAULT;
	if (to_guest)
		memcpy(ref.ptr, bytes, edu->dma_len);
	else
		memcpy(bytes, ref.ptr, edu->dma_len);
	return vbe_mem_put(edu->dev, &ref);
}

/* ---- accesses ------------------------------------------------------------ */

uint32_t edu_regs_read(struct edu *edu, uint32_t offset)
{
	uint32_t value;
	bool busy;

	switch (offset) {
	case EDU_ID:
		return EDU_ID_VALUE;
	case EDU_LIVE:
		return ~edu->live;
	case EDU_FACTORIAL:
		value = worker_state(edu, &busy);
		return busy ? 0 : value;
	case EDU_STATUS:
		worker_state(edu, &busy);
		return busy ? EDU_BUSY : 0;
	case EDU_IRQ_STATUS:
		return edu->irq_status;
	case EDU_RINGS:
		return edu->rings;
	case EDU_DMA_ADDR_LOW:
		return edu->dma_addr;
	case EDU_DMA_ADDR_HIGH:
		return edu->dma_addr >> 32;
	case EDU_DMA_OFFSET:
		return edu->dma_offset;
	case EDU_DMA_LEN:
		return edu->dma_len;
	case EDU_DMA_GO:
		return edu->dma_status;
	default:
		return ~0u;
	}
}

void edu_regs_write(struct edu *edu, uint32_t offset, uint32_t data)
{
	switch (offset) {
	case EDU_LIVE:
		edu->live = data;
		break;
	case EDU_FACTORIAL:
		start_factorial(edu, data);
		break;
	case EDU_IRQ_ACK:
		edu->irq_status &= ~data;
		break;
	case EDU_IRQ_RAISE:
		edu_interrupt(edu, data);
		break;
	case EDU_DMA_ADDR_LOW:
		edu->dma_addr = (edu->dma_addr & ~0xffffffffull) | data;
		break;
	case EDU_DMA_ADDR_HIGH:
		edu->dma_addr = (edu->dma_addr & 0xffffffffull) | (uint64_t)data << 32;
		break;
	case EDU_DMA_OFFSET:
		edu->dma_offset = data;
		break;
	case EDU_DMA_LEN:
		edu->dma_len = data;
		break;
	case EDU_DMA_GO:
		edu->dma_status = dma(edu, data) ? EDU_DMA_ERROR : 0;
		edu_interrupt(edu, EDU_IRQ_DMA);
		break;
	}
}
