// SPDX-License-Identifier: GPL-2.0
/*
 * A module that does what no module may, so that the lab can prove that it
 * notices. Never built or loaded by anything but selftests/lab/selftest.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <linux/delay.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

static char *crime = "";
module_param(crime, charp, 0444);
MODULE_PARM_DESC(crime, "warn, overflow, leak, sleep, deadlock or panic");

static void *lost;
static DEFINE_SPINLOCK(lock);
static DEFINE_MUTEX(first);
static DEFINE_MUTEX(second);

static void warn(void)
{
	WARN(1, "splat: a warning\n");
}

static void overflow(void)
{
	char *buf = kmalloc(100, GFP_KERNEL);

	if (!buf)
		return;
	OPTIMIZER_HIDE_VAR(buf);
	buf[100] = 1;
	kfree(buf);
}

static void leak(void)
{
	lost = kmalloc(100, GFP_KERNEL);
	lost = NULL;
}

static void sleep_in_atomic(void)
{
	spin_lock(&lock);
	msleep(20);
	spin_unlock(&lock);
}

/* Both orders by one thread: only lockdep can tell that it was wrong. */
static void deadlock(void)
{
	mutex_lock(&first);
	mutex_lock(&second);
	mutex_unlock(&second);
	mutex_unlock(&first);

	mutex_lock(&second);
	mutex_lock(&first);
	mutex_unlock(&first);
	mutex_unlock(&second);
}

static void die(void)
{
	panic("splat: a panic");
}

static const struct {
	const char *name;
	void (*commit)(void);
} crimes[] = {
	{ "warn", warn },
	{ "overflow", overflow },
	{ "leak", leak },
	{ "sleep", sleep_in_atomic },
	{ "deadlock", deadlock },
	{ "panic", die },
};

static int __init splat_init(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(crimes); i++) {
		if (!strcmp(crimes[i].name, crime)) {
			crimes[i].commit();
			return 0;
		}
	}
	return -EINVAL;
}

static void __exit splat_exit(void)
{
}

module_init(splat_init);
module_exit(splat_exit);
MODULE_DESCRIPTION("Kernel bugs on purpose, for the lab's own test");
MODULE_LICENSE("GPL");
