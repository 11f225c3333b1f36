// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
/*
 * In a dom0: one domain is to emulate devices for another, as a stub domain does. xl
 * knows no word for it.
 *
 *	set-target LIBRARY BACKEND GUEST
 *
 * LIBRARY is libxenctrl, that of the toolstack: each works with its own Xen only, so this
 * program is not linked to any.
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct xenctrl {
	void *(*open)(void *logger, void *dombuild_logger, unsigned int flags);
	int (*close)(void *xch);
	int (*set_target)(void *xch, uint32_t domid, uint32_t target);
};

static void *symbol(void *library, const char *name)
{
	void *p = dlsym(library, name);

	if (!p) {
		fprintf(stderr, "set-target: %s\n", dlerror());
		exit(1);
	}
	return p;
}

static void load(const char *path, struct xenctrl *ctrl)
{
	void *library = dlopen(path, RTLD_NOW);

	if (!library) {
		fprintf(stderr, "set-target: %s\n", dlerror());
		exit(1);
	}
	ctrl->open = symbol(library, "xc_interface_open");
	ctrl->close = symbol(library, "xc_interface_close");
	ctrl->set_target = symbol(library, "xc_domain_set_target");
}

int main(int argc, char **argv)
{
	struct xenctrl ctrl;
	void *xch;
	int ret;

	if (argc != 4) {
		fprintf(stderr, "usage: set-target LIBRARY BACKEND GUEST\n");
		return 2;
	}
	load(argv[1], &ctrl);
	xch = ctrl.open(NULL, NULL, 0);
	if (!xch) {
		perror("set-target: no access to Xen");
		return 1;
	}
	ret = ctrl.set_target(xch, strtoul(argv[2], NULL, 10), strtoul(argv[3], NULL, 10));
	if (ret)
		perror("set-target: Xen refuses");
	ctrl.close(xch);
	return ret != 0;
}
