// SPDX-License-Identifier: GPL-2.0
/*
 * In a guest: access a PCI function in every way that a driver never would.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * poke 0000:00:12.0 [SECONDS]: every size at every offset of BAR 0 and of configuration
 * space (by ports CF8 and CFC), string instructions in both directions, then stores of
 * random data anywhere in the BAR. Without SECONDS once, and the function must be as it
 * was after a reset; with SECONDS for so long. What the function answers is not looked at
 * but for what must hold: what is no register reads as zeroes or ones, identity stays.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define BAR_SIZE	0x8000
#define PCI_ADDRESS	0xcf8
#define PCI_DATA	0xcfc
#define REG_STATUS	0x14	/* device_status of the common structure, at 0 of the BAR */

static volatile uint8_t *bar;
static uint32_t function;	/* as it is written to CF8 */
static uint64_t state = 88172645463325252ULL;

static uint32_t draw(uint32_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state % n;
}

static uint32_t config_read(uint32_t reg, int size)
{
	outl(function | (reg & 0xfc), PCI_ADDRESS);
	switch (size) {
	case 1:
		return inb(PCI_DATA + (reg & 3));
	case 2:
		return inw(PCI_DATA + (reg & 3));
	default:
		return inl(PCI_DATA + (reg & 3));
	}
}

static void config_write(uint32_t reg, int size, uint32_t value)
{
	outl(function | (reg & 0xfc), PCI_ADDRESS);
	switch (size) {
	case 1:
		outb(value, PCI_DATA + (reg & 3));
		break;
	case 2:
		outw(value, PCI_DATA + (reg & 3));
		break;
	default:
		outl(value, PCI_DATA + (reg & 3));
	}
}

static uint64_t load(uint32_t at, int size)
{
	switch (size) {
	case 1:
		return bar[at];
	case 2:
		return *(volatile uint16_t *)(bar + at);
	case 4:
		return *(volatile uint32_t *)(bar + at);
	default:
		return *(volatile uint64_t *)(bar + at);
	}
}

static void store(uint32_t at, int size, uint64_t value)
{
	switch (size) {
	case 1:
		bar[at] = value;
		break;
	case 2:
		*(volatile uint16_t *)(bar + at) = value;
		break;
	case 4:
		*(volatile uint32_t *)(bar + at) = value;
		break;
	default:
		*(volatile uint64_t *)(bar + at) = value;
	}
}

/* Between memory and the BAR, up or down: one request with a count, and a pointer. */
static void string(void *to, const void *from, size_t n, int down)
{
	if (down)
		asm volatile("std; rep movsb; cld"
			     : "+D"(to), "+S"(from), "+c"(n) : : "memory", "cc");
	else
		asm volatile("cld; rep movsb"
			     : "+D"(to), "+S"(from), "+c"(n) : : "memory", "cc");
}

static void fill(void *to, uint8_t value, size_t n)
{
	asm volatile("cld; rep stosb" : "+D"(to), "+c"(n) : "a"(value) : "memory", "cc");
}

static void every_size_and_offset(void)
{
	static const int sizes[] = { 1, 2, 4, 8 };
	uint32_t at, i;

	/* Each register, each gap, and what crosses from one to the next. */
	for (i = 0; i < 4; i++)
		for (at = 0; at + sizes[i] <= BAR_SIZE; at += at < 0x80 ? 1 : 61)
			load(at, sizes[i]);
	for (i = 0; i < 3; i++)
		for (at = 0; at < 0x100; at++)
			config_read(at, sizes[i]);
}

static void strings(void)
{
	static uint8_t memory[8192];
	uint8_t *io = (uint8_t *)bar;

	string(memory + 4000, io, 200, 0);
	string(memory + 5000, io + 199, 200, 1);
	string(io + 0x2000, memory, 64, 0);
	string(io + 0x20ff, memory + 255, 64, 1);
	string(io + 0x1000, io + 0x2000, 32, 0);
	fill(io + 0x2000, 0x5a, 4096);
}

/* Anywhere but in BAR and COMMAND of configuration space: the kernel's are these. */
static void anything(void)
{
	uint32_t n, size, at, reg;

	for (n = 0; n < 200; n++) {
		size = 1 << draw(4);
		at = draw(2) ? draw(0x80) : draw(BAR_SIZE - 8);
		if (draw(3))
			store(at, size, draw(~0U) >> draw(32));
		else
			load(at, size);
		reg = 0x30 + draw(0xd0);
		config_write(reg, 1 << draw(3), draw(~0U));
	}
}

static int check_identity(const char *when)
{
	uint32_t id = config_read(0, 4), tries;

	if ((id & 0xffff) != 0x1af4) {
		printf("%s: the function has id %08x\n", when, id);
		return 1;
	}
	store(REG_STATUS, 1, 0);
	for (tries = 0; load(REG_STATUS, 1) && tries < 100; tries++)
		usleep(100000);
	if (load(REG_STATUS, 1)) {
		printf("%s: it does not reset\n", when);
		return 1;
	}
	return 0;
}

static int open_function(const char *name)
{
	char path[128];
	unsigned int bus, slot, fn;
	int fd;

	if (sscanf(name, "%*x:%x:%x.%x", &bus, &slot, &fn) != 3)
		return -EINVAL;
	function = 1U << 31 | bus << 16 | slot << 11 | fn << 8;
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/enable", name);
	fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, "1", 1) != 1)
		return -errno;
	close(fd);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource0", name);
	fd = open(path, O_RDWR);
	if (fd < 0)
		return -errno;
	bar = mmap(NULL, BAR_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (bar == MAP_FAILED || iopl(3))
		return -errno;
	return 0;
}

int main(int argc, char **argv)
{
	time_t end = argc > 2 ? time(NULL) + atoi(argv[2]) : 0;
	int ret;

	if (argc < 2) {
		fprintf(stderr, "usage: poke ADDRESS [SECONDS]\n");
		return 2;
	}
	ret = open_function(argv[1]);
	if (ret) {
		fprintf(stderr, "poke: %s: %s\n", argv[1], strerror(-ret));
		return 1;
	}
	if (check_identity("before"))
		return 1;
	do {
		every_size_and_offset();
		strings();
		anything();
		puts("poked");
		fflush(stdout);
	} while (time(NULL) < end);
	return check_identity("after");
}
