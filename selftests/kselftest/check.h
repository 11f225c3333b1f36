/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Checks on top of kselftest_harness.h, to be included after it.
 *
 * Copyright (c) 2026 The vbe authors
 */
#ifndef KST_CHECK_H
#define KST_CHECK_H

#include <errno.h>
#include <string.h>

#include "util.h"

/* The harness's own 30 seconds: the same test in an emulated machine, among others. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	300

/* The call fails with @err, and ERROR_TEXT on @fd says so and says why. */
#define EXPECT_WHY(fd, err, call) do {						\
	char __why[VBE_ERROR_TEXT_MAX] = "";					\
	int __ret = (call);							\
	EXPECT_EQ(-(err), __ret)						\
		TH_LOG("%s", #call);						\
	EXPECT_EQ(err, error_text(fd, __why, sizeof(__why)))			\
		TH_LOG("error text after %s: '%s'", #call, __why);		\
	EXPECT_NE(0, __why[0])							\
		TH_LOG("no error text after %s", #call);			\
} while (0)

/* 0 or more, else show the error and what the kernel said. */
#define ASSERT_DONE(call) do {							\
	int __done = (call);							\
	ASSERT_LE(0, __done)							\
		TH_LOG("%s: %s", #call, strerror(-__done));			\
} while (0)

#define EXPECT_DONE(call) do {							\
	int __done = (call);							\
	EXPECT_LE(0, __done)							\
		TH_LOG("%s: %s", #call, strerror(-__done));			\
} while (0)

/* For netlink: the error and the extack text that came with it. */
#define EXPECT_EXTACK(err, word, call) do {					\
	int __ret = (call);							\
	EXPECT_EQ(-(err), __ret)						\
		TH_LOG("%s", #call);						\
	EXPECT_NE(NULL, strstr(dev_text, word))					\
		TH_LOG("%s: extack '%s' does not name '%s'", #call, dev_text, word); \
} while (0)

#endif /* KST_CHECK_H */
