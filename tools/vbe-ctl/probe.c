// SPDX-License-Identifier: GPL-2.0
/*
 * vbe-ctl probe: what works here, what is missing, how to mend it.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <linux/capability.h>

#include "probe.h"
#include "vbe-ctl.h"

#ifndef VBE_VERSION
#define VBE_VERSION "0.1.0"
#endif

#define MEMLOCK_WANTED (64ULL << 20)

static const char *const verdicts[] = { "ok", "warn", "fail" };

/* Each adds one row: what was looked at, how it is, what to do about it. */
void report(json_object *checks, enum verdict verdict, const char *check, const char *text,
	    const char *fix)
{
	json_object *row = json_object_new_object();

	add_string(row, "check", check);
	add_string(row, "result", verdicts[verdict]);
	add_string(row, "text", text);
	add_string(row, "fix", fix);
	json_object_array_add(checks, row);
}

bool file_has(const char *path, const char *word)
{
	FILE *f = fopen(path, "re");
	bool found = false;
	char *line = NULL;
	size_t size = 0;

	while (f && !found && getline(&line, &size, f) > 0)
		found = strstr(line, word);
	free(line);
	if (f)
		fclose(f);
	return found;
}

/* A module's name has _ where its file may have -, as in virtio-rng.ko. */
static bool module_listed(const char *path, const char *name)
{
	char word[128], *c;

	snprintf(word, sizeof(word), "/%s.ko", name);
	if (file_has(path, word))
		return true;
	for (c = word; *c; c++)
		if (*c == '_')
			*c = '-';
	return file_has(path, word);
}

/* Is there a file /NAME.ko (perhaps compressed), or is it built in? */
bool module_installed(const char *name)
{
	char path[256];
	struct utsname u;

	uname(&u);
	snprintf(path, sizeof(path), "/lib/modules/%s/modules.dep", u.release);
	if (module_listed(path, name))
		return true;
	snprintf(path, sizeof(path), "/lib/modules/%s/modules.builtin", u.release);
	return module_listed(path, name);
}

bool module_loaded(const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "/sys/module/%s", name);
	return !access(path, F_OK);
}

bool read_line(const char *path, char *buf, size_t len)
{
	FILE *f = fopen(path, "re");
	bool ok = f && fgets(buf, len, f);

	if (f)
		fclose(f);
	if (ok)
		buf[strcspn(buf, "\n")] = '\0';
	return ok;
}

static bool check_module(json_object *checks)
{
	bool locked = file_has("/sys/kernel/security/lockdown", "[integrity]") ||
		      file_has("/sys/kernel/security/lockdown", "[confidentiality]");

	if (module_loaded("vbe")) {
		report(checks, OK, "module", "the module vbe is loaded", NULL);
		return true;
	}
	if (module_installed("vbe"))
		report(checks, FAIL, "module", "the module vbe is installed, but not loaded",
		       "modprobe vbe");
	else if (locked)
		report(checks, FAIL, "module", "the module vbe is not installed for this kernel",
		       "make && make install, sign it for Secure Boot (see README), modprobe vbe");
	else
		report(checks, FAIL, "module", "the module vbe is not installed for this kernel",
		       "make && make install && modprobe vbe");
	return false;
}

static bool check_family(json_object *checks)
{
	if (nl_family_present()) {
		report(checks, OK, "netlink", "the netlink family vbe answers", NULL);
		return true;
	}
	report(checks, FAIL, "netlink", "the netlink family vbe is not there",
	       module_loaded("vbe") ? "run in the initial network namespace" : "modprobe vbe");
	return false;
}

static bool check_abi(json_object *checks, int fd, uint32_t *abi)
{
	struct vbe_info info = { .size = sizeof(info) };
	char text[160];

	if (ioctl(fd, VBE_IOC_INFO, &info)) {
		snprintf(text, sizeof(text), "/dev/vbe does not answer: %s", strerror(errno));
		report(checks, FAIL, "device-node", text, "install the vbe module of this version");
		return false;
	}
	*abi = info.abi_version;
	snprintf(text, sizeof(text), "/dev/vbe answers: ABI %u, up to %u queues of %u entries",
		 info.abi_version, info.max_queues, info.max_queue_size);
	report(checks, OK, "device-node", text, NULL);
	if (info.abi_version != VBE_ABI_VERSION) {
		snprintf(text, sizeof(text), "this program knows ABI %u, the module has %u",
			 VBE_ABI_VERSION, info.abi_version);
		report(checks, WARN, "abi", text, "install module and tools of one version");
	}
	return true;
}

static bool check_node(json_object *checks, uint32_t *abi)
{
	int fd = open("/dev/vbe", O_RDWR | O_CLOEXEC);
	char text[160];
	bool ok;

	*abi = 0;
	if (fd >= 0) {
		ok = check_abi(checks, fd, abi);
		close(fd);
		return ok;
	}
	snprintf(text, sizeof(text), "/dev/vbe: %s", strerror(errno));
	if (errno == EACCES || errno == EPERM) {
		report(checks, WARN, "device-node", text,
		       "to serve devices, join the group of /dev/vbe, or be root");
		return true;
	}
	report(checks, FAIL, "device-node", text, module_loaded("vbe") ?
	       "is /dev a devtmpfs, and does udev run?" : "modprobe vbe");
	return false;
}

/* Modules vbe_*.ko that are installed but not loaded bring more providers. */
static void suggest_providers(json_object *checks)
{
	static const char *const known[] = { "vbe_loop", "vbe_xen", "vbe_ivshmem", NULL };
	char text[96], fix[64];
	size_t i;

	for (i = 0; known[i]; i++) {
		if (module_loaded(known[i]) || !module_installed(known[i]))
			continue;
		snprintf(text, sizeof(text), "provider module %s is installed, not loaded",
			 known[i]);
		snprintf(fix, sizeof(fix), "modprobe %s (dev add does it by itself)", known[i]);
		report(checks, OK, "provider", text, fix);
	}
}

static json_object *check_providers(json_object *checks, bool family)
{
	json_object *providers = NULL;
	struct failure why;

	if (!family)
		return json_object_new_array();
	if (model_dump(VBE_CMD_PROVIDER_GET, NULL, &providers, &why)) {
		report(checks, FAIL, "provider", *why.text ? why.text : strerror(why.err), NULL);
		return json_object_new_array();
	}
	if (!json_object_array_length(providers) && !module_installed("vbe_loop"))
		report(checks, WARN, "provider",
		       "no provider is loaded: no device can be made",
		       "load one: modprobe vbe_loop for devices on this machine itself");
	suggest_providers(checks);
	return providers;
}

static bool has_capability(int cap)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };

	if (syscall(SYS_capget, &head, data))
		return false;
	return data[cap / 32].effective & (1U << cap % 32);
}

static void check_rights(json_object *checks)
{
	if (has_capability(CAP_NET_ADMIN))
		report(checks, OK, "rights", "you may make, change and delete devices", NULL);
	else
		report(checks, WARN, "rights",
		       "you may look, but not make, change or delete devices",
		       "it takes CAP_NET_ADMIN: run as root");
}

static bool check_io_uring(json_object *checks)
{
	/* Without a struct it fails, but says how. */
	if (!syscall(SYS_io_uring_setup, 0, NULL) || errno == EFAULT || errno == EINVAL) {
		report(checks, OK, "io_uring", "io_uring is available", NULL);
		return true;
	}
	if (errno == EPERM)
		report(checks, WARN, "io_uring", "io_uring is forbidden here: vbe-blk needs it",
		       "sysctl kernel.io_uring_disabled=0");
	else
		report(checks, WARN, "io_uring",
		       "this kernel has no io_uring: vbe-blk needs it",
		       "use a kernel with CONFIG_IO_URING");
	return false;
}

static uint64_t check_memlock(json_object *checks)
{
	struct rlimit lim = { .rlim_cur = RLIM_INFINITY };
	char text[128], size[32];

	getrlimit(RLIMIT_MEMLOCK, &lim);
	format_size(lim.rlim_cur, size, sizeof(size));
	if (lim.rlim_cur == RLIM_INFINITY || has_capability(CAP_IPC_LOCK)) {
		report(checks, OK, "memlock", "a backend may lock as much memory as it likes",
		       NULL);
	} else if (lim.rlim_cur >= MEMLOCK_WANTED) {
		snprintf(text, sizeof(text), "a backend may lock %s of memory", size);
		report(checks, OK, "memlock", text, NULL);
	} else {
		snprintf(text, sizeof(text),
			 "a backend may lock only %s: fixed io_uring buffers may not fit", size);
		report(checks, WARN, "memlock", text,
		       "ulimit -l 65536, or LimitMEMLOCK=64M in its unit");
	}
	return lim.rlim_cur == RLIM_INFINITY ? 0 : lim.rlim_cur;
}

static json_object *check_drivers(json_object *checks)
{
	static const char *const drivers[] = { "virtio_blk", "virtio_net", "virtio_rng",
					       "virtio_console", NULL };
	json_object *out = json_object_new_array(), *row;
	char missing[128] = "";
	size_t i;

	for (i = 0; drivers[i]; i++) {
		bool loaded = module_loaded(drivers[i]);
		bool there = loaded || module_installed(drivers[i]);

		row = json_object_new_object();
		add_string(row, "name", drivers[i]);
		json_object_object_add(row, "available", json_object_new_boolean(there));
		json_object_object_add(row, "loaded", json_object_new_boolean(loaded));
		json_object_array_add(out, row);
		if (!there)
			snprintf(missing + strlen(missing), sizeof(missing) - strlen(missing),
				 " %s", drivers[i]);
	}
	if (*missing) {
		char text[192];

		snprintf(text, sizeof(text), "drivers that this kernel lacks:%s", missing);
		report(checks, WARN, "drivers", text,
		       "devices of these types on this machine (provider loop) find no driver");
	} else {
		report(checks, OK, "drivers", "virtio drivers for blk, net, rng and console",
		       NULL);
	}
	return out;
}

static void add_kernel(json_object *top, bool io_uring, uint64_t memlock)
{
	json_object *kernel = json_object_new_object();
	struct utsname u;

	uname(&u);
	add_string(kernel, "release", u.release);
	add_string(kernel, "machine", u.machine);
	json_object_object_add(kernel, "io_uring", json_object_new_boolean(io_uring));
	if (memlock)
		add_u64(kernel, "memlock", memlock);
	else
		json_object_object_add(kernel, "memlock", NULL);
	json_object_object_add(top, "kernel", kernel);
}

static void add_module(json_object *top, uint32_t abi)
{
	json_object *module = json_object_new_object();
	char version[64] = "";

	read_line("/sys/module/vbe/version", version, sizeof(version));
	json_object_object_add(module, "loaded", json_object_new_boolean(module_loaded("vbe")));
	add_string(module, "version", version);
	if (abi)
		add_u64(module, "abi", abi);
	else
		json_object_object_add(module, "abi", NULL);
	json_object_object_add(top, "module", module);
}

static void print_checks(json_object *checks)
{
	json_object *row;
	size_t i;

	for (i = 0; i < json_object_array_length(checks); i++) {
		row = json_object_array_get_idx(checks, i);
		printf("%-4s  %-11s  %s\n", get_string(row, "result"), get_string(row, "check"),
		       get_string(row, "text"));
		if (get(row, "fix"))
			printf("%19s-> %s\n", "", get_string(row, "fix"));
	}
}

static void print_probe(json_object *top)
{
	json_object *providers = get(top, "providers"), *p;
	size_t i;

	print_checks(get(top, "checks"));
	for (i = 0; i < json_object_array_length(providers); i++) {
		p = json_object_array_get_idx(providers, i);
		printf("%-4s  %-11s  %s: %s (transport %s)\n", "ok", "provider",
		       get_string(p, "name"), get_string(p, "description"),
		       get_string(p, "transport"));
	}
	puts(json_object_get_boolean(get(top, "usable")) ?
	     "vbe can be used here." : "vbe cannot be used here: see the lines with fail.");
}

int cmd_probe(const struct args *a)
{
	json_object *top = json_object_new_object(), *checks = json_object_new_array();
	json_object *providers, *drivers, *xen;
	bool module, family, node, io_uring;
	uint64_t memlock;
	uint32_t abi;
	int ret;

	(void)a;
	module = check_module(checks);
	family = check_family(checks);
	node = check_node(checks, &abi);
	providers = check_providers(checks, family);
	check_rights(checks);
	io_uring = check_io_uring(checks);
	memlock = check_memlock(checks);
	drivers = check_drivers(checks);
	xen = check_xen(checks);
	ret = module && family && node ? EXIT_OK : EXIT_UNSUPPORTED;

	json_object_object_add(top, "usable", json_object_new_boolean(!ret));
	add_module(top, abi);
	add_kernel(top, io_uring, memlock);
	json_object_object_add(top, "providers", providers);
	json_object_object_add(top, "drivers", drivers);
	json_object_object_add(top, "xen", xen);
	json_object_object_add(top, "checks", checks);
	if (opt_json)
		return print_json(top) ? EXIT_FAILED : ret;
	print_probe(top);
	json_object_put(top);
	return flush_out() ? EXIT_FAILED : ret;
}

static uint32_t module_abi(void)
{
	struct vbe_info info = { .size = sizeof(info) };
	int fd = open("/dev/vbe", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return 0;
	if (ioctl(fd, VBE_IOC_INFO, &info))
		info.abi_version = 0;
	close(fd);
	return info.abi_version;
}

int cmd_version(const struct args *a)
{
	json_object *top;

	(void)a;
	if (!opt_json) {
		printf("vbe-ctl %s, ABI %u\n", VBE_VERSION, VBE_ABI_VERSION);
		if (!module_loaded("vbe"))
			puts("module vbe: not loaded");
		else if (module_abi())
			printf("module vbe: ABI %u\n", module_abi());
		else
			puts("module vbe: loaded (/dev/vbe cannot be opened)");
		return flush_out();
	}
	top = json_object_new_object();
	add_string(top, "version", VBE_VERSION);
	add_u64(top, "abi", VBE_ABI_VERSION);
	add_module(top, module_abi());
	return print_json(top);
}
