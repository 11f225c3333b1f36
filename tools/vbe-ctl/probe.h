/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the parts of vbe-ctl probe share.
 *
 * Copyright (c) 2026 The vbe authors
 */
#ifndef VBE_CTL_PROBE_H
#define VBE_CTL_PROBE_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>

enum verdict { OK, WARN, FAIL };

void report(json_object *checks, enum verdict verdict, const char *check, const char *text,
	    const char *fix);
bool file_has(const char *path, const char *word);
bool module_installed(const char *name);
bool module_loaded(const char *name);
bool read_line(const char *path, char *buf, size_t len);

json_object *check_xen(json_object *checks);

#endif /* VBE_CTL_PROBE_H */
