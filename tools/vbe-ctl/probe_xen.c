// SPDX-License-Identifier: GPL-2.0
/*
 * vbe-ctl probe, on Xen: which one, what this domain may do, what is missing.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "probe.h"
#include "vbe-ctl.h"

#define XENSTORE_WAIT_MS 2000

/* Of xen/io/xs_wire.h: a request or an answer, @len bytes follow. */
struct xs_head {
	uint32_t type;
	uint32_t request;
	uint32_t transaction;
	uint32_t len;
};

#define XS_READ_NODE 2

/* <xen/privcmd.h> needs headers of Xen that are not there. */
struct dm_op_buf {
	void *addr;
	size_t size;
};

struct dm_op {
	uint16_t domid;
	uint16_t n;
	const struct dm_op_buf *bufs;
};

#define PRIVCMD_DM_OP _IOC(_IOC_NONE, 'P', 5, sizeof(struct dm_op))
#define DM_OP_NR_VCPUS 20
#define DOMID_NOBODY 0x7ff4	/* never given to a domain */

/**
 * struct xen - what was found out
 * @version: as in "4.20.2-debian", or empty
 * @dom0: 1: this is dom0; 0: it is not; -1: not known
 * @ioreq: likewise, whether this Xen has IOREQ servers
 * @domid: of this domain, or empty
 * @target: the one guest that this domain may serve, or empty
 */
struct xen {
	char version[64];
	int dom0;
	int ioreq;
	char domid[16];
	char target[16];
};

static void read_version(struct xen *x)
{
	static const char dir[] = "/sys/hypervisor/version/";
	static const char *const parts[] = { "major", "minor", "extra" };
	char path[64], part[24];
	size_t i, n = 0;

	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", dir, parts[i]);
		if (!read_line(path, part, sizeof(part)))
			continue;
		n += snprintf(x->version + n, sizeof(x->version) - n, "%s%s",
			      i == 1 ? "." : "", part);
	}
}

/* ---- the kernel -------------------------------------------------------------------- */

/* What this kernel was built with; NULL when nobody knows. The caller ends it with pclose. */
static FILE *open_config(void)
{
	char command[256];
	struct utsname u;

	uname(&u);
	snprintf(command, sizeof(command), "/boot/config-%s", u.release);
	if (!access(command, R_OK)) {
		snprintf(command, sizeof(command), "exec cat '/boot/config-%s'", u.release);
		return popen(command, "re");
	}
	return access("/proc/config.gz", R_OK) ? NULL :
						 popen("exec zcat /proc/config.gz", "re");
}

/* Which of @options are not set; false when that cannot be told. */
static bool config_lacks(const char *const *options, char *missing, size_t len)
{
	FILE *f = open_config();
	bool found[8] = { false };
	char *line = NULL;
	size_t size = 0, i, n;

	*missing = '\0';
	if (!f)
		return false;
	while (getline(&line, &size, f) > 0) {
		for (i = 0; options[i]; i++) {
			n = strlen(options[i]);
			if (!strncmp(line, options[i], n) && line[n] == '=')
				found[i] = true;
		}
	}
	free(line);
	if (pclose(f))
		return false;
	for (i = 0; options[i]; i++)
		if (!found[i])
			snprintf(missing + strlen(missing), len - strlen(missing), " %s",
				 options[i]);
	return true;
}

static void check_config(json_object *checks)
{
	static const char *const needed[] = { "CONFIG_XEN", "CONFIG_XEN_BACKEND",
					      "CONFIG_XEN_PRIVCMD", NULL };
	char missing[128], text[192];

	if (!config_lacks(needed, missing, sizeof(missing)) || !*missing)
		return;
	snprintf(text, sizeof(text), "this kernel was built without%s", missing);
	report(checks, WARN, "xen-kernel", text, "use a kernel that has it, such as Debian's");
}

static void check_xen_module(json_object *checks)
{
	if (module_loaded("vbe_xen"))
		report(checks, OK, "xen-module", "the module vbe_xen is loaded", NULL);
	else if (module_installed("vbe_xen"))
		report(checks, OK, "xen-module", "the module vbe_xen is installed, not loaded",
		       "modprobe vbe_xen: it also finds the devices that xl describes");
	else
		report(checks, WARN, "xen-module",
		       "the module vbe_xen is not installed for this kernel",
		       "make && make install (it is built where the kernel has CONFIG_XEN)");
}

/* ---- this domain --------------------------------------------------------------------- */

static void check_dom0(json_object *checks, struct xen *x)
{
	if (!access("/proc/xen/capabilities", R_OK))
		x->dom0 = file_has("/proc/xen/capabilities", "control_d");
	if (x->dom0 < 0)
		report(checks, WARN, "xen-domain", "it cannot be told whether this is dom0",
		       "mount -t xenfs none /proc/xen");
	else if (x->dom0)
		report(checks, OK, "xen-domain", "this is dom0: it may serve any guest", NULL);
}

/* Without an answer after some time, xenstored is not there. */
static bool xs_get(int fd, void *buf, size_t len)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	size_t done = 0;
	ssize_t n;

	while (done < len) {
		if (poll(&pfd, 1, XENSTORE_WAIT_MS) <= 0)
			return false;
		n = read(fd, (char *)buf + done, len - done);
		if (n <= 0)
			return false;
		done += n;
	}
	return true;
}

/* Return: whether xenstore answered; @val is empty where there is no such node. */
static bool xs_read(int fd, const char *node, char *val, size_t len)
{
	struct xs_head head = { .type = XS_READ_NODE, .len = strlen(node) + 1 };
	char msg[64], answer[256];

	*val = '\0';
	if (sizeof(head) + head.len > sizeof(msg))
		return false;
	memcpy(msg, &head, sizeof(head));
	memcpy(msg + sizeof(head), node, head.len);
	if (write(fd, msg, sizeof(head) + head.len) != (ssize_t)(sizeof(head) + head.len) ||
	    !xs_get(fd, &head, sizeof(head)) || head.len >= sizeof(answer) ||
	    !xs_get(fd, answer, head.len))
		return false;
	answer[head.len] = '\0';
	if (head.type == XS_READ_NODE)
		snprintf(val, len, "%.*s", (int)len - 1, answer);
	return true;
}

static void check_xenstore(json_object *checks, struct xen *x)
{
	int fd = open("/dev/xen/xenbus", O_RDWR | O_CLOEXEC);
	char text[96];

	if (fd < 0 && (errno == EACCES || errno == EPERM)) {
		report(checks, WARN, "xenstore", "/dev/xen/xenbus cannot be opened", "be root");
		return;
	}
	if (fd < 0 || !xs_read(fd, "domid", x->domid, sizeof(x->domid)) ||
	    !xs_read(fd, "target", x->target, sizeof(x->target))) {
		report(checks, WARN, "xenstore", "xenstore does not answer: no device is found by itself",
		       x->dom0 > 0 ? "start xenstored (systemctl start xenstored)" :
		       "have the toolstack give this domain a xenstore connection");
	} else {
		snprintf(text, sizeof(text), "xenstore answers: this is domain %s",
			 *x->domid ? x->domid : "(no number)");
		report(checks, OK, "xenstore", text, NULL);
	}
	if (fd >= 0)
		close(fd);
}

/* Xen gives the rights of a device model to dom0, or over one guest to one other domain. */
static void check_restriction(json_object *checks, const struct xen *x)
{
	char text[96];

	if (x->dom0)
		return;
	if (*x->target) {
		snprintf(text, sizeof(text), "this is not dom0: it may serve domain %.10s only",
			 x->target);
		report(checks, OK, "xen-domain", text, NULL);
	} else {
		report(checks, WARN, "xen-domain",
		       "this is not dom0, and it is the device model of no guest: it may serve none",
		       "serve from dom0, or have the toolstack set this domain's target");
	}
}

/* ---- this Xen -------------------------------------------------------------------------- */

/*
 * A device model operation on a domain that never exists: a Xen that has them says that
 * there is no such domain, another one that there is no such call.
 */
static int ask_ioreq(void)
{
	uint32_t op[4] = { DM_OP_NR_VCPUS };
	struct dm_op_buf buf = { op, sizeof(op) };
	struct dm_op arg = { .domid = DOMID_NOBODY, .n = 1, .bufs = &buf };
	int fd = open("/dev/xen/privcmd", O_RDWR | O_CLOEXEC), err;

	if (fd < 0)
		return -1;
	err = ioctl(fd, PRIVCMD_DM_OP, &arg) < 0 ? errno : 0;
	close(fd);
	if (err == ESRCH)
		return 1;
	return err == ENOSYS ? 0 : -1;
}

static void check_ioreq(json_object *checks, struct xen *x)
{
	x->ioreq = ask_ioreq();
	if (x->ioreq > 0)
		report(checks, OK, "xen-ioreq", "this Xen has IOREQ servers", NULL);
	else if (!x->ioreq)
		report(checks, WARN, "xen-ioreq",
		       "this Xen has no IOREQ servers: vbe can serve no guest",
		       "build Xen with CONFIG_EXPERT=y and CONFIG_IOREQ_SERVER=y (Debian's for Arm lacks it)");
	else
		report(checks, WARN, "xen-ioreq",
		       "it cannot be told whether this Xen has IOREQ servers",
		       access("/dev/xen/privcmd", F_OK) ? "modprobe xen_privcmd" : "be root");
}

static void add_bool(json_object *obj, const char *key, int val)
{
	json_object_object_add(obj, key, val < 0 ? NULL : json_object_new_boolean(val));
}

static json_object *describe(const struct xen *x)
{
	json_object *obj = json_object_new_object();

	add_string(obj, "version", x->version);
	add_bool(obj, "dom0", x->dom0);
	add_string(obj, "domid", x->domid);
	add_string(obj, "target", x->target);
	add_bool(obj, "ioreq_servers", x->ioreq);
	json_object_object_add(obj, "module_loaded",
			       json_object_new_boolean(module_loaded("vbe_xen")));
	return obj;
}

/* This machine runs on Xen, but its kernel does not know. */
static bool hidden_xen(void)
{
	char vendor[32];

	return read_line("/sys/class/dmi/id/sys_vendor", vendor, sizeof(vendor)) &&
	       !strcmp(vendor, "Xen");
}

/**
 * check_xen() - rows about Xen
 * @checks: rows
 *
 * Return: what was found, or NULL: this is no domain of Xen.
 */
json_object *check_xen(json_object *checks)
{
	struct xen x = { .dom0 = -1, .ioreq = -1 };
	char text[128], type[32] = "";

	if (!read_line("/sys/hypervisor/type", type, sizeof(type)) || strcmp(type, "xen")) {
		if (hidden_xen()) {
			report(checks, WARN, "xen", "this machine runs on Xen, but its kernel cannot use it",
			       "use a kernel with CONFIG_XEN and CONFIG_XEN_SYS_HYPERVISOR");
			check_config(checks);
		} else {
			report(checks, OK, "xen", "this is no domain of Xen: no guests of Xen to serve",
			       NULL);
		}
		return NULL;
	}
	read_version(&x);
	snprintf(text, sizeof(text), "this is a domain of Xen %s", x.version);
	report(checks, OK, "xen", text, NULL);
	check_config(checks);
	check_xen_module(checks);
	check_dom0(checks, &x);
	check_xenstore(checks, &x);
	check_restriction(checks, &x);
	check_ioreq(checks, &x);
	return describe(&x);
}
