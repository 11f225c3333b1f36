// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
/*
 * Give up what is not needed to serve: the user id, all capabilities, new privileges by exec, and
 * all system calls but a few. All threads exist by now, and all files are open.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/capability.h>
#include <linux/fs.h>

#include "vbe-blk.h"

/* Names, so that each architecture has its own numbers; one that it lacks is skipped. */
static const char *const allowed[] = {
	"read", "write", "readv", "writev", "pread64", "pwrite64", "close",
	"poll", "ppoll", "ppoll_time64", "dup3", "fcntl", "fcntl64",
	"fstat", "fstat64", "newfstatat", "fstatat64", "statx", "lseek", "_llseek",
	"fallocate", "fsync", "fdatasync",
	"io_uring_enter", "io_uring_register",
	"sendto", "sendmsg", "recvfrom", "recvmsg",
	"brk", "munmap", "mremap", "madvise",
	"futex", "futex_time64", "set_robust_list", "rseq", "membarrier", "sched_yield",
	"clock_gettime", "clock_gettime64", "clock_nanosleep", "clock_nanosleep_time64",
	"nanosleep", "gettimeofday", "time",
	"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall",
	"getpid", "gettid", "tgkill", "getrandom",
	"exit", "exit_group",
};

static int find_user(const char *name, uid_t *uid, gid_t *gid)
{
	struct passwd *pw = getpwnam(name);
	char *end;

	if (pw) {
		*uid = pw->pw_uid;
		*gid = pw->pw_gid;
		return 0;
	}
	*uid = strtoul(name, &end, 10);
	if (!*name || *end)
		return -ENOENT;
	*gid = *uid;
	return 0;
}

/**
 * sandbox_owner() - who the server will run as
 * @o: options
 * @uid: set
 * @gid: set
 *
 * Return: 0 or -ENOENT: no such user.
 */
int sandbox_owner(const struct options *o, uid_t *uid, gid_t *gid)
{
	if (o->user)
		return find_user(o->user, uid, gid);
	if (geteuid()) {
		*uid = geteuid();
		*gid = getegid();
		return 0;
	}
	if (find_user("nobody", uid, gid)) {
		*uid = 65534;
		*gid = 65534;
	}
	return 0;
}

static int drop_capabilities(void)
{
	struct __user_cap_header_struct hdr = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2];

	memset(none, 0, sizeof(none));
	return syscall(SYS_capset, &hdr, none) < 0 ? -errno : 0;
}

/**
 * sandbox_threads() - what must be given up before there are threads: they inherit what is left
 * @o: options
 *
 * Capabilities belong to a thread. Those of root end in all threads when sandbox_enter() changes
 * the user; those of anybody else, given by a file or by systemd, would stay in all but one.
 *
 * Return: an exit code; not XC_OK after a message.
 */
int sandbox_threads(const struct options *o)
{
	int ret;

	if (!o->sandbox || !geteuid())
		return XC_OK;
	ret = drop_capabilities();
	if (!ret)
		return XC_OK;
	say("cannot give up capabilities: %s (--no-sandbox goes without)", strerror(-ret));
	return XC_FAIL;
}

static int drop_user(const struct options *o)
{
	uid_t uid;
	gid_t gid;

	if (geteuid())
		return 0;
	if (sandbox_owner(o, &uid, &gid))
		return -ENOENT;
	if (!uid) {
		say("the sandbox cannot be entered as root");
		return -EINVAL;
	}
	/* glibc does it in all threads. */
	if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return -errno;
	return 0;
}

/* Allow a call if one of its arguments, masked, has a value. */
static int allow_if(scmp_filter_ctx ctx, int nr, unsigned int arg, uint64_t mask, uint64_t value)
{
	struct scmp_arg_cmp cmp = {
		.arg = arg, .op = SCMP_CMP_MASKED_EQ, .datum_a = mask, .datum_b = value,
	};

	return seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, nr, 1, &cmp);
}

static int add_ioctls(scmp_filter_ctx ctx)
{
	static const unsigned long cmds[] = { BLKDISCARD, BLKZEROOUT, BLKGETSIZE64 };
	int nr = seccomp_syscall_resolve_name("ioctl");
	int ret;

	/* The one call of the hot path that the kernel cannot answer without running the filter. */
	seccomp_syscall_priority(ctx, nr, 255);
	/* All of vbe's, by their magic number. */
	ret = allow_if(ctx, nr, 1, 0xff00, VBE_IOC_MAGIC << 8);
	for (unsigned int i = 0; i < sizeof(cmds) / sizeof(cmds[0]) && !ret; i++)
		ret = allow_if(ctx, nr, 1, 0xffffffff, cmds[i]);
	return ret;
}

/* Memory may be mapped, but never to be executed. */
static int add_maps(scmp_filter_ctx ctx)
{
	static const char *const calls[] = { "mmap", "mmap2", "mprotect" };
	int ret = 0;

	for (unsigned int i = 0; i < sizeof(calls) / sizeof(calls[0]) && !ret; i++) {
		int nr = seccomp_syscall_resolve_name(calls[i]);

		if (nr >= 0)
			ret = allow_if(ctx, nr, 2, PROT_EXEC, 0);
	}
	return ret;
}

static int enter_seccomp(void)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int ret;

	if (!ctx)
		return -ENOMEM;
	ret = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
	for (unsigned int i = 0; i < sizeof(allowed) / sizeof(allowed[0]) && !ret; i++) {
		int nr = seccomp_syscall_resolve_name(allowed[i]);

		/* Negative: of another architecture. */
		if (nr >= 0)
			ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, nr, 0);
	}
	if (!ret)
		ret = add_ioctls(ctx);
	if (!ret)
		ret = add_maps(ctx);
	if (!ret)
		ret = seccomp_load(ctx);
	seccomp_release(ctx);
	return ret;
}

/**
 * sandbox_enter() - give up privileges
 * @o: options
 *
 * Return: an exit code; not XC_OK after a message.
 */
int sandbox_enter(const struct options *o)
{
	const char *what = "no_new_privs";
	int ret;

	if (!o->sandbox)
		return XC_OK;
	ret = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
	if (!ret) {
		what = o->user ? o->user : "nobody";
		ret = drop_user(o);
	}
	if (!ret) {
		what = "capabilities";
		ret = drop_capabilities();
	}
	if (!ret) {
		what = "the process that waits";
		ret = wait_bind() ? 0 : -ESRCH;
	}
	if (!ret) {
		what = "seccomp";
		ret = enter_seccomp();
	}
	if (ret) {
		say("cannot enter the sandbox: %s: %s (--no-sandbox goes without)", what,
		    ret == -ENOENT ? "no such user" : strerror(-ret));
		return XC_FAIL;
	}
	return XC_OK;
}
