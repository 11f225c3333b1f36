// SPDX-License-Identifier: GPL-2.0
/*
 * Print the frequency of this host's time stamp counter in kHz.
 *
 * QEMU's emulation hands the host's counter to the guest, and a guest that
 * boots on a busy host measures it wrongly: its clock then runs several times
 * too fast, and every timeout in it is a lie. So vm-run measures here, where
 * being preempted does no harm, and tells the guest.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <stdio.h>
#include <time.h>
#include <x86intrin.h>

struct pair {
	unsigned long long ticks;
	long long ns;
};

static long long now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

/* The closest of several readings: the one that nothing interrupted. */
static struct pair sample(void)
{
	struct pair best = { 0 };
	long long best_gap = -1;
	int i;

	for (i = 0; i < 50; i++) {
		long long before = now_ns();
		unsigned long long ticks = __rdtsc();
		long long gap = now_ns() - before;

		if (best_gap < 0 || gap < best_gap) {
			best_gap = gap;
			best.ticks = ticks;
			best.ns = before + gap / 2;
		}
	}
	return best;
}

int main(void)
{
	struct timespec pause = { .tv_nsec = 50000000 };
	struct pair a = sample(), b;

	nanosleep(&pause, NULL);
	b = sample();
	printf("%.0f\n", (b.ticks - a.ticks) * 1e6 / (b.ns - a.ns));
	return 0;
}
