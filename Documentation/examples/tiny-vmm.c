// SPDX-License-Identifier: BSD-3-Clause
/* Copyright (c) 2026 The vbe authors */
/*
 * A tiny VMM: a guest of KVM whose only device is a virtio entropy device on virtio-mmio, served
 * by whatever backend opens it on /dev/vbe. The guest is tiny-guest.S. See vmm-guide.md.
 *
 *	tiny-vmm rng0 &
 *	tiny-backend rng0
 *
 * What the guest does to the device's registers comes here, and goes on to vbe. Its kick does not:
 * KVM signals the eventfd that the backend waits on. Nor does the interrupt: vbe signals the
 * eventfd that KVM waits on.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/kvm.h>
#include <linux/vbe.h>
#include <linux/vbe_guest.h>

#include "tiny-guest.h"

extern const char tiny_guest[], tiny_guest_end[];

/**
 * struct vmm - all there is
 * @guest: guest fd of vbe
 * @dev: the device's number in it
 * @vm: KVM's fd
 * @vcpu: KVM's fd of the only vCPU
 * @run: what KVM tells of the vCPU
 * @ram_fd: memfd with the guest's memory
 * @ram: the same
 * @accesses: register accesses that came here
 */
struct vmm {
	int guest;
	uint32_t dev;
	int vm;
	int vcpu;
	struct kvm_run *run;
	int ram_fd;
	char *ram;
	unsigned int accesses;
};

static int die(const char *what)
{
	fprintf(stderr, "tiny-vmm: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* vbe says in a sentence why. */
static int die_vbe(int fd, const char *what)
{
	struct vbe_error_text e = { .size = sizeof(e) };
	int err = errno;

	if (ioctl(fd, VBE_IOC_ERROR_TEXT, &e) || !e.out_text[0]) {
		errno = err;
		die(what);
	}
	fprintf(stderr, "tiny-vmm: %s: %s\n", what, (char *)e.out_text);
	exit(1);
}

static int new_eventfd(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	return fd < 0 ? die("eventfd") : fd;
}

/* ---- vbe's side --------------------------------------------------------------------- */

/* A guest, its memory, and its device. */
static void vbe_begin(struct vmm *v, const char *name)
{
	struct vbe_guest_new g = { .size = sizeof(g), .name = "tiny" };
	struct vbe_guest_mem m = { .size = sizeof(m), .len = GUEST_RAM, .fd = v->ram_fd };
	struct vbe_guest_dev_add d = {
		.size = sizeof(d), .transport = "mmio", .base = GUEST_MMIO,
		.uid = VBE_GUEST_SAME_UID, .gid = VBE_GUEST_NO_GID,
		.loss_policy = VBE_LOSS_DEFAULT,
	};
	int ctl = open("/dev/vbe", O_RDWR | O_CLOEXEC);

	if (ctl < 0)
		die("/dev/vbe");
	if (ioctl(ctl, VBE_IOC_GUEST_NEW, &g))
		die_vbe(ctl, "GUEST_NEW");
	close(ctl);
	v->guest = g.out_fd;
	if (ioctl(v->guest, VBE_IOC_GUEST_MEM_ADD, &m))
		die_vbe(v->guest, "GUEST_MEM_ADD");
	snprintf((char *)d.name, sizeof(d.name), "%s", name);
	if (ioctl(v->guest, VBE_IOC_GUEST_DEV_ADD, &d))
		die_vbe(v->guest, "GUEST_DEV_ADD");
	v->dev = d.out_dev;
}

/* A guest looks for its devices when it boots: a backend must be there by then. */
static void vbe_await_backend(struct vmm *v)
{
	struct vbe_guest_dev_info info = { .size = sizeof(info), .dev = v->dev };
	struct vbe_guest_event ev;

	for (;;) {
		if (ioctl(v->guest, VBE_IOC_GUEST_DEV_INFO, &info))
			die_vbe(v->guest, "GUEST_DEV_INFO");
		if (info.state == VBE_DEV_ONLINE)
			return;
		if (read(v->guest, &ev, sizeof(ev)) < 0)
			die("guest fd");
	}
}

static void vbe_fd(struct vmm *v, uint32_t type, int fd)
{
	struct vbe_guest_set_fd s = { .size = sizeof(s), .dev = v->dev, .type = type, .fd = fd };

	if (ioctl(v->guest, VBE_IOC_GUEST_SET_FD, &s))
		die_vbe(v->guest, "GUEST_SET_FD");
}

/* ---- both ----------------------------------------------------------------------------- */

/* KVM writes the eventfd when the guest stores the queue's number to QueueNotify. */
static void connect_kick(struct vmm *v)
{
	struct vbe_guest_queue_info q = { .size = sizeof(q), .dev = v->dev };
	struct kvm_ioeventfd io = { .fd = new_eventfd() };

	if (ioctl(v->guest, VBE_IOC_GUEST_QUEUE_INFO, &q))
		die_vbe(v->guest, "GUEST_QUEUE_INFO");
	io.addr = q.notify_addr;
	io.len = q.notify_len;
	if (q.flags & VBE_GUEST_QUEUE_F_MATCH) {
		io.flags = KVM_IOEVENTFD_FLAG_DATAMATCH;
		io.datamatch = q.match;
	}
	if (ioctl(v->vm, KVM_IOEVENTFD, &io))
		die("KVM_IOEVENTFD");
	vbe_fd(v, VBE_GUEST_FD_KICK, io.fd);
}

/* vbe writes one eventfd to raise the line; KVM the other, when the guest ends the interrupt. */
static void connect_line(struct vmm *v)
{
	struct kvm_irqfd irq = {
		.fd = new_eventfd(), .resamplefd = new_eventfd(), .gsi = GUEST_IRQ,
		.flags = KVM_IRQFD_FLAG_RESAMPLE,
	};

	if (ioctl(v->vm, KVM_IRQFD, &irq))
		die("KVM_IRQFD");
	vbe_fd(v, VBE_GUEST_FD_RESAMPLE, irq.resamplefd);
	vbe_fd(v, VBE_GUEST_FD_LINE, irq.fd);
}

/* ---- KVM's side ------------------------------------------------------------------------- */

static void kvm_memory(struct vmm *v)
{
	struct kvm_userspace_memory_region m = {
		.memory_size = GUEST_RAM, .userspace_addr = (uintptr_t)v->ram,
	};

	if (ioctl(v->vm, KVM_SET_USER_MEMORY_REGION, &m))
		die("KVM_SET_USER_MEMORY_REGION");
}

/* In real mode, at GUEST_CODE. */
static void kvm_vcpu(struct vmm *v, int size)
{
	struct kvm_regs regs = { .rip = GUEST_CODE, .rflags = 2 };
	struct kvm_sregs sregs;

	v->vcpu = ioctl(v->vm, KVM_CREATE_VCPU, 0);
	if (v->vcpu < 0)
		die("KVM_CREATE_VCPU");
	v->run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, v->vcpu, 0);
	if (v->run == MAP_FAILED || ioctl(v->vcpu, KVM_GET_SREGS, &sregs))
		die("vCPU");
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	if (ioctl(v->vcpu, KVM_SET_SREGS, &sregs) || ioctl(v->vcpu, KVM_SET_REGS, &regs))
		die("vCPU registers");
}

static void kvm_begin(struct vmm *v)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (kvm < 0)
		die("/dev/kvm");
	v->vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (v->vm < 0 || ioctl(v->vm, KVM_CREATE_IRQCHIP, 0))
		die("KVM_CREATE_VM");
	kvm_memory(v);
	kvm_vcpu(v, ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0));
	close(kvm);
}

static void make_ram(struct vmm *v)
{
	v->ram_fd = memfd_create("tiny-guest", MFD_CLOEXEC);
	if (v->ram_fd < 0 || ftruncate(v->ram_fd, GUEST_RAM))
		die("memfd");
	v->ram = mmap(NULL, GUEST_RAM, PROT_READ | PROT_WRITE, MAP_SHARED, v->ram_fd, 0);
	if (v->ram == MAP_FAILED)
		die("mmap");
	memcpy(v->ram + GUEST_CODE, tiny_guest, tiny_guest_end - tiny_guest);
}

/* ---- what the guest does ------------------------------------------------------------------ */

/* A load or store where there is no memory. */
static void on_mmio(struct vmm *v)
{
	struct vbe_guest_access a = {
		.size = sizeof(a), .space = VBE_SPACE_MMIO, .len = v->run->mmio.len,
		.addr = v->run->mmio.phys_addr,
		.flags = v->run->mmio.is_write ? VBE_ACCESS_F_WRITE : 0,
	};

	if (v->run->mmio.is_write)
		memcpy(&a.data, v->run->mmio.data, a.len);
	v->accesses++;
	/* A larger VMM has other devices to ask when this is ENOENT. */
	if (ioctl(v->guest, VBE_IOC_GUEST_ACCESS, &a))
		a.data = ~0ull;
	if (!v->run->mmio.is_write)
		memcpy(v->run->mmio.data, &a.data, a.len);
}

static void guest_says(uint16_t port, uint32_t word)
{
	switch (port) {
	case PORT_MAGIC:
		printf("guest: magic 0x%08x\n", word);
		break;
	case PORT_DEVICE:
		printf("guest: virtio device %u\n", word);
		break;
	case PORT_LENGTH:
		printf("guest: the device wrote %u bytes\n", word);
		break;
	case PORT_RANDOM:
		printf("guest: random 0x%08x\n", word);
		break;
	case PORT_IRQS:
		printf("guest: interrupts %u\n", word);
		break;
	}
}

/* The guest speaks by ports. Returns false when it is done. */
static bool on_port(struct vmm *v)
{
	char *data = (char *)v->run + v->run->io.data_offset;
	uint32_t word;

	if (v->run->io.port == PORT_END || v->run->io.size != sizeof(word))
		return false;
	for (uint32_t i = 0; i < v->run->io.count; i++) {
		memcpy(&word, data + i * sizeof(word), sizeof(word));
		guest_says(v->run->io.port, word);
	}
	return true;
}

static void run(struct vmm *v)
{
	for (;;) {
		if (ioctl(v->vcpu, KVM_RUN, 0) && errno != EINTR)
			die("KVM_RUN");
		switch (v->run->exit_reason) {
		case KVM_EXIT_MMIO:
			on_mmio(v);
			break;
		case KVM_EXIT_IO:
			if (!on_port(v))
				return;
			break;
		case KVM_EXIT_INTR:
			break;
		default:
			fprintf(stderr, "tiny-vmm: KVM exit %u\n", v->run->exit_reason);
			exit(1);
		}
	}
}

int main(int argc, char **argv)
{
	struct vmm v = { 0 };

	if (argc != 2) {
		fprintf(stderr, "usage: tiny-vmm DEVICE\n");
		return 2;
	}
	setlinebuf(stdout);
	make_ram(&v);
	vbe_begin(&v, argv[1]);
	printf("tiny-vmm: device %s waits for its backend\n", argv[1]);
	vbe_await_backend(&v);
	kvm_begin(&v);
	connect_kick(&v);
	connect_line(&v);
	run(&v);
	printf("tiny-vmm: %u register accesses passed here, no kick, no interrupt\n", v.accesses);
	return 0;
}
