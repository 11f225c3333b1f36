/* SPDX-License-Identifier: BSD-3-Clause */
/* Copyright (c) 2026 The vbe authors */
/*
 * The guest of tiny-vmm, in real mode: a driver for a virtio entropy device on virtio-mmio
 * (virtio 1.3, 4.2 and 5.4). It asks for 16 random bytes, sleeps until the interrupt, and tells
 * what it got.
 */
#include "tiny-guest.h"

/* Registers of virtio-mmio. */
#define MAGIC		0x000
#define DEVICE_ID	0x008
#define FEATURES	0x020
#define FEATURES_SEL	0x024
#define QUEUE_SEL	0x030
#define QUEUE_NUM	0x038
#define QUEUE_READY	0x044
#define QUEUE_NOTIFY	0x050
#define IRQ_STATUS	0x060
#define IRQ_ACK		0x064
#define STATUS		0x070
#define QUEUE_DESC	0x080
#define QUEUE_DRIVER	0x090
#define QUEUE_DEVICE	0x0a0

/* Where things are in memory. */
#define STACK		0x8000
#define DESC		0x2000
#define DRIVER		0x2100
#define DEVICE		0x2200
#define BUFFER		0x3000
#define VECTOR		0x20		/* of IRQ 0 */

	.code16
	.section .rodata
	.globl	tiny_guest, tiny_guest_end
tiny_guest:
	cli
	xorw	%ax, %ax
	movw	%ax, %ds
	movw	%ax, %ss
	movw	$STACK, %sp
	movw	$(GUEST_MMIO >> 4), %ax
	movw	%ax, %es

	/* The interrupt controller: vectors from VECTOR on, only ours enabled. */
	movb	$0x11, %al
	outb	%al, $0x20
	movb	$VECTOR, %al
	outb	%al, $0x21
	movb	$0x04, %al
	outb	%al, $0x21
	movb	$0x01, %al
	outb	%al, $0x21
	movb	$(0xff & ~(1 << GUEST_IRQ)), %al
	outb	%al, $0x21
	movw	$(irq - tiny_guest + GUEST_CODE), ((VECTOR + GUEST_IRQ) * 4)
	movw	$0, ((VECTOR + GUEST_IRQ) * 4 + 2)

	movl	%es:MAGIC, %eax
	movw	$PORT_MAGIC, %dx
	outl	%eax, %dx
	movl	%es:DEVICE_ID, %eax
	movw	$PORT_DEVICE, %dx
	outl	%eax, %dx

	/* One buffer for the device to write to, and it is available. */
	movl	$BUFFER, DESC
	movl	$16, DESC + 8
	movl	$2, DESC + 12
	movw	$1, DRIVER + 2

	/* Registers and what to store in them. */
	cld
	movw	$(init - tiny_guest + GUEST_CODE), %si
next:	lodsw
	movw	%ax, %di
	lodsl
	movl	%eax, %es:(%di)
	cmpw	$(init_end - tiny_guest + GUEST_CODE), %si
	jne	next

	/* Sleep until the device has interrupted; "sti" takes effect with "hlt". */
sleep:	cli
	cmpw	$0, irqs - tiny_guest + GUEST_CODE
	jne	used
	sti
	hlt
	jmp	sleep

	/* The length that the device says it has written, then what it wrote. */
used:	movl	DEVICE + 8, %eax
	movw	$PORT_LENGTH, %dx
	outl	%eax, %dx
	movw	$BUFFER, %si
	movw	$PORT_RANDOM, %dx
	movw	$4, %cx
	rep outsl
	movzwl	irqs - tiny_guest + GUEST_CODE, %eax
	movw	$PORT_IRQS, %dx
	outl	%eax, %dx
	movw	$PORT_END, %dx
	outl	%eax, %dx
	hlt

irq:	pushl	%eax
	movl	%es:IRQ_STATUS, %eax
	movl	%eax, %es:IRQ_ACK
	incw	irqs - tiny_guest + GUEST_CODE
	movb	$0x20, %al
	outb	%al, $0x20
	popl	%eax
	iretw

irqs:	.word	0

	.macro	store register, value
	.word	\register
	.long	\value
	.endm
init:	store	STATUS, 0
	store	STATUS, 1
	store	STATUS, 3
	store	FEATURES_SEL, 1
	store	FEATURES, 1			/* VIRTIO_F_VERSION_1 */
	store	STATUS, 11
	store	QUEUE_SEL, 0
	store	QUEUE_NUM, 8
	store	QUEUE_DESC, DESC
	store	QUEUE_DESC + 4, 0
	store	QUEUE_DRIVER, DRIVER
	store	QUEUE_DRIVER + 4, 0
	store	QUEUE_DEVICE, DEVICE
	store	QUEUE_DEVICE + 4, 0
	store	QUEUE_READY, 1
	store	STATUS, 15
	store	QUEUE_NOTIFY, 0
init_end:
tiny_guest_end:
	.section .note.GNU-stack, "", @progbits
