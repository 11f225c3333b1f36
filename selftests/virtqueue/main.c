// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
/* Runs the tests of the virtqueue engine; output in TAP, and a summary as the last line. */
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "test.h"

jmp_buf test_failed, killed;
char test_note[256];
uint64_t store_count, kill_at, desc_reads;
void (*at_store)(void);

static const char *filter;
static int nr, passed, failed;
static pthread_t main_thread;

void vbe_vq_test_store(void)
{
	if (at_store)
		at_store();
	if (++store_count == kill_at)
		longjmp(killed, 1);
}

void vbe_vq_test_desc_read(void)
{
	desc_reads++;
}

void test_fail(const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	printf("# %s:%d: ", file, line);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	if (test_note[0])
		printf("# while: %s\n", test_note);
	if (!pthread_equal(pthread_self(), main_thread)) {
		/* There is no way back from another stack. */
		printf("Bail out! a thread of a test failed\n%d passed, %d failed, 0 skipped\n",
		       passed, failed + 1);
		fflush(stdout);
		_exit(1);
	}
	longjmp(test_failed, 1);
}

void test_run(const char *name, void (*fn)(void))
{
	if (filter && !strstr(name, filter))
		return;
	test_note[0] = 0;
	store_count = 0;
	kill_at = 0;
	at_store = NULL;
	nr++;
	if (setjmp(test_failed)) {
		at_store = NULL;
		kill_at = 0;
		failed++;
		printf("not ok %d - %s\n", nr, name);
	} else {
		fn();
		passed++;
		printf("ok %d - %s\n", nr, name);
	}
	fflush(stdout);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		filter = argv[1];
	main_thread = pthread_self();
	printf("TAP version 13\n");
	unit_tests();
	log_tests();
	transient_tests();
	traffic_tests();
	crash_tests();
	thread_tests();
	printf("1..%d\n", nr);
	printf("%d passed, %d failed, 0 skipped\n", passed, failed);
	return failed || !passed;
}
