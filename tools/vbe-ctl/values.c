// SPDX-License-Identifier: GPL-2.0
/*
 * What people write as sizes, times and owners.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vbe-ctl.h"

static int parse_number(const char *text, uint64_t *val, char **end, const char **why)
{
	if (!isdigit((unsigned char)*text)) {
		*why = "not a number";
		return -1;
	}
	errno = 0;
	*val = strtoull(text, end, 0);
	if (errno) {
		*why = "too large a number";
		return -1;
	}
	return 0;
}

int parse_size(const char *text, uint64_t *bytes, const char **why)
{
	static const char units[] = "KMGT";
	const char *unit;
	unsigned int shift = 0;
	char *end;

	if (parse_number(text, bytes, &end, why))
		return -1;
	if (*end) {
		unit = strchr(units, toupper((unsigned char)*end));
		if (!unit || (end[1] && strcasecmp(end + 1, "iB") && strcasecmp(end + 1, "B"))) {
			*why = "write bytes, or a number with K, M, G or T (16M)";
			return -1;
		}
		shift = 10 * (unit - units + 1);
	}
	if (*bytes > UINT64_MAX >> shift) {
		*why = "too large a number";
		return -1;
	}
	*bytes <<= shift;
	return 0;
}

int parse_u32(const char *text, uint32_t *val, const char **why)
{
	uint64_t wide;
	char *end;

	if (parse_number(text, &wide, &end, why))
		return -1;
	if (*end) {
		*why = "not a whole number";
		return -1;
	}
	if (wide > UINT32_MAX) {
		*why = "too large a number";
		return -1;
	}
	*val = wide;
	return 0;
}

int parse_u64(const char *text, uint64_t *val, const char **why)
{
	char *end;

	if (parse_number(text, val, &end, why))
		return -1;
	if (*end) {
		*why = "not a whole number";
		return -1;
	}
	return 0;
}

/* One field of a PCI address: hexadecimal digits up to @stop. Return: past it, or NULL. */
static const char *pci_field(const char *text, char stop, unsigned int max, unsigned int *val)
{
	size_t digits = strspn(text, "0123456789abcdefABCDEF");

	if (!digits || digits > 4 || text[digits] != stop)
		return NULL;
	*val = strtoul(text, NULL, 16);
	return *val > max ? NULL : text + digits + !!stop;
}

/* BUS:SLOT.FUNCTION as lspci prints it, perhaps with 0000: before. */
int parse_bdf(const char *text, uint64_t *address, const char **why)
{
	unsigned int segment, bus, slot, fn;
	const char *p = text;

	if (strchr(p, ':') != strrchr(p, ':')) {
		p = pci_field(p, ':', 0, &segment);
		if (!p) {
			*why = "there is no PCI segment but 0000 in a guest";
			return -1;
		}
	}
	p = pci_field(p, ':', 0xff, &bus);
	p = p ? pci_field(p, '.', 0x1f, &slot) : NULL;
	p = p ? pci_field(p, '\0', 7, &fn) : NULL;
	if (!p) {
		*why = "write BUS:SLOT.FUNCTION in hexadecimal, as in 00:1f.0";
		return -1;
	}
	*address = bus << 8 | slot << 3 | fn;
	return 0;
}

int parse_on_off(const char *text, bool *on, const char **why)
{
	*on = !strcmp(text, "on");
	if (*on || !strcmp(text, "off"))
		return 0;
	*why = "write on or off";
	return -1;
}

int parse_ms(const char *text, uint32_t *ms, const char **why)
{
	uint64_t wide;
	char *end;

	if (parse_number(text, &wide, &end, why))
		return -1;
	if (!strcmp(end, "s") && wide <= UINT32_MAX) {
		wide *= 1000;
	} else if (*end && strcmp(end, "ms")) {
		*why = "write milliseconds, or a number with ms or s (5s)";
		return -1;
	}
	if (wide > UINT32_MAX) {
		*why = "too large a number";
		return -1;
	}
	*ms = wide;
	return 0;
}

static int parse_user(const char *text, uint32_t *uid, const char **why)
{
	const struct passwd *pw = getpwnam(text);

	if (pw) {
		*uid = pw->pw_uid;
		return 0;
	}
	if (!isdigit((unsigned char)*text))
		*why = "there is no such user";
	else if (!parse_u32(text, uid, why))
		return 0;
	return -1;
}

static int parse_group(const char *text, uint32_t *gid, const char **why)
{
	const struct group *gr = getgrnam(text);

	if (gr) {
		*gid = gr->gr_gid;
		return 0;
	}
	if (!isdigit((unsigned char)*text))
		*why = "there is no such group";
	else if (!parse_u32(text, gid, why))
		return 0;
	return -1;
}

/* USER, USER:GROUP or :GROUP; names or numbers. */
int parse_owner(const char *text, uint32_t *uid, bool *has_uid, uint32_t *gid,
		bool *has_gid, const char **why)
{
	const char *colon = strchr(text, ':');
	char user[256];
	size_t len = colon ? (size_t)(colon - text) : strlen(text);

	if (len >= sizeof(user) || (!len && !colon) || (colon && !colon[1])) {
		*why = "write USER, USER:GROUP or :GROUP";
		return -1;
	}
	*has_uid = len;
	*has_gid = colon;
	memcpy(user, text, len);
	user[len] = '\0';
	if (*has_uid && parse_user(user, uid, why))
		return -1;
	return colon ? parse_group(colon + 1, gid, why) : 0;
}

/* Whole units where the size is a multiple of one, else one decimal. */
void format_size(uint64_t bytes, char *buf, size_t len)
{
	static const char units[] = " KMGTPE";
	unsigned int i = 0;
	double val = bytes;

	while (val >= 1024 && units[i + 1]) {
		val /= 1024;
		i++;
	}
	if (!i)
		snprintf(buf, len, "%llu", (unsigned long long)bytes);
	else
		snprintf(buf, len, "%.*f%c", val == (uint64_t)val ? 0 : 1, val, units[i]);
}
