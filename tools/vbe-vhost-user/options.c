// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
/* The command line. */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vbe-vhost-user.h"

#define VERSION		"0.1.0"
#define RESET_MS_MAX	600000ul

static const char usage[] =
"Usage: vbe-vhost-user listen SOCKET --dev NAME [OPTION]...\n"
"       vbe-vhost-user listen --fd N --dev NAME [OPTION]...\n"
"\n"
"Let a vhost-user front-end, as QEMU has one, use a device of /dev/vbe.\n"
"\n"
"  vbe-vhost-user listen /run/vm1-disk --dev vm1-disk &\n"
"  vbe-blk --on vm1-disk disk.img &\n"
"  qemu-system-x86_64 -m 1G -object memory-backend-memfd,id=mem,size=1G,share=on \\\n"
"    -machine q35,memory-backend=mem \\\n"
"    -chardev socket,id=disk,path=/run/vm1-disk,reconnect=1 \\\n"
"    -device vhost-user-blk-pci,chardev=disk ...\n"
"\n"
"The device NAME is there as long as this runs. A front-end that connects is served once\n"
"there is a backend. Any of the three may be killed and started again: I/O goes on.\n"
"\n"
"  -d, --dev NAME         name of the device, by which a backend opens it\n"
"      --name GUEST       name of the guest, for people (default: NAME)\n"
"      --type TYPE        only this type of device: net, block, console, entropy, scsi,\n"
"                         gpu, input, vsock, fs, sound, or a virtio id\n"
"      --owner USER       who may serve the device (default: who runs this)\n"
"      --group GROUP      group that may (default: none)\n"
"      --reset-timeout MS how long a reset waits for the backend\n"
"      --fd N             a listening UNIX socket was inherited as fd N\n"
"      --socket-mode MODE permissions of SOCKET (default 0600)\n"
"      --socket-group G   group of SOCKET\n"
"  -v, --verbose          say more\n"
"  -h, --help             this text\n"
"  -V, --version          version\n"
"\n"
"Exit status: 0 ended by SIGTERM or SIGINT, 1 failed, 2 wrong usage, 3 not supported\n"
"here, 4 not permitted. See vbe-vhost-user(8).\n";

enum {
	OPT_NAME = 256, OPT_TYPE, OPT_OWNER, OPT_GROUP, OPT_RESET, OPT_FD, OPT_MODE, OPT_SGROUP,
};

static const struct option longopts[] = {
	{ "dev", required_argument, NULL, 'd' },
	{ "name", required_argument, NULL, OPT_NAME },
	{ "type", required_argument, NULL, OPT_TYPE },
	{ "owner", required_argument, NULL, OPT_OWNER },
	{ "group", required_argument, NULL, OPT_GROUP },
	{ "reset-timeout", required_argument, NULL, OPT_RESET },
	{ "fd", required_argument, NULL, OPT_FD },
	{ "socket-mode", required_argument, NULL, OPT_MODE },
	{ "socket-group", required_argument, NULL, OPT_SGROUP },
	{ "verbose", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

static const struct {
	const char *name;
	uint32_t id;
} types[] = {
	{ "net", 1 }, { "block", 2 }, { "console", 3 }, { "entropy", 4 }, { "scsi", 8 },
	{ "gpu", 16 }, { "input", 18 }, { "vsock", 19 }, { "sound", 25 }, { "fs", 26 },
};

static int bad(const char *what, const char *arg, const char *want)
{
	say("%s '%s': %s", what, arg, want);
	return XC_USAGE;
}

static int parse_number(const char *what, const char *arg, int base, unsigned long max,
			unsigned long *out)
{
	char *end;

	errno = 0;
	*out = strtoul(arg, &end, base);
	if (errno || *end || end == arg || *arg == '-' || *arg == '+' || *out > max)
		return bad(what, arg, "not a number that makes sense here");
	return XC_OK;
}

static int parse_type(const char *arg, uint32_t *id)
{
	unsigned long n;
	int ret;

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (!strcmp(arg, types[i].name)) {
			*id = types[i].id;
			return XC_OK;
		}
	}
	ret = parse_number("--type", arg, 10, 0xffff, &n);
	*id = n;
	return ret;
}

static int parse_user(const char *arg, uint32_t *uid)
{
	struct passwd *pw = getpwnam(arg);
	unsigned long n;
	int ret;

	if (pw) {
		*uid = pw->pw_uid;
		return XC_OK;
	}
	ret = parse_number("--owner", arg, 10, VBE_GUEST_SAME_UID - 1, &n);
	*uid = n;
	return ret;
}

static int parse_group(const char *what, const char *arg, uint32_t *gid)
{
	struct group *gr = getgrnam(arg);
	unsigned long n;
	int ret;

	if (gr) {
		*gid = gr->gr_gid;
		return XC_OK;
	}
	ret = parse_number(what, arg, 10, VBE_GUEST_NO_GID - 1, &n);
	*gid = n;
	return ret;
}

static int parse_name(const char *what, const char *arg, size_t max)
{
	size_t len = 0;

	while (isalnum((unsigned char)arg[len]) || (arg[len] && strchr("._:-", arg[len])))
		len++;
	if (len && len < max && !arg[len] && arg[0] != '.' && arg[0] != '-')
		return XC_OK;
	return bad(what, arg, "1 to 31 of A-Z a-z 0-9 . _ : -, beginning with neither . nor -");
}

static int parse_numeric(struct options *o, int opt, const char *arg)
{
	unsigned long n;
	int ret;

	switch (opt) {
	case OPT_RESET:
		ret = parse_number("--reset-timeout", arg, 10, RESET_MS_MAX, &n);
		o->reset_ms = n;
		return ret;
	case OPT_FD:
		ret = parse_number("--fd", arg, 10, INT_MAX, &n);
		o->fd = n;
		return ret;
	default:
		ret = parse_number("--socket-mode", arg, 8, 0777, &n);
		o->socket_mode = n;
		return ret;
	}
}

static int parse_one(struct options *o, int opt, char *arg)
{
	int ret = XC_OK;

	switch (opt) {
	case 'd':
		o->dev = arg;
		return parse_name("--dev", arg, VBE_NAME_MAX);
	case OPT_NAME:
		ret = parse_name("--name", arg, VBE_LABEL_MAX);
		if (!ret)
			strcpy(o->guest, arg);
		return ret;
	case OPT_TYPE:
		return parse_type(arg, &o->virtio_id);
	case OPT_OWNER:
		return parse_user(arg, &o->uid);
	case OPT_GROUP:
		return parse_group("--group", arg, &o->gid);
	case OPT_SGROUP:
		return parse_group("--socket-group", arg, &o->socket_gid);
	case 'v':
		o->verbose = true;
		return XC_OK;
	case OPT_RESET:
	case OPT_FD:
	case OPT_MODE:
		return parse_numeric(o, opt, arg);
	default:
		say("'vbe-vhost-user --help' tells more");
		return XC_USAGE;
	}
}

static int check(struct options *o, int argc, char **argv)
{
	if (optind >= argc || strcmp(argv[optind], "listen")) {
		say("what to do? 'listen' is all there is; --help tells more");
		return XC_USAGE;
	}
	if (optind + 1 < argc)
		o->socket = argv[optind + 1];
	if (optind + 2 < argc)
		return bad("argument", argv[optind + 2], "one too many");
	if (!o->socket == (o->fd < 0)) {
		say(o->socket ? "either SOCKET or --fd, not both" : "SOCKET, or --fd, is missing");
		return XC_USAGE;
	}
	if (!o->dev) {
		say("--dev NAME is missing");
		return XC_USAGE;
	}
	if (!o->guest[0])
		strcpy(o->guest, o->dev);
	return XC_OK;
}

/**
 * options_parse() - read the command line
 * @o: filled in
 * @argc: main's
 * @argv: main's
 *
 * Return: -1 to go on, or an exit code.
 */
int options_parse(struct options *o, int argc, char **argv)
{
	int opt, ret;

	*o = (struct options){
		.fd = -1,
		.socket_mode = 0600,
		.socket_gid = (gid_t)-1,
		.uid = VBE_GUEST_SAME_UID,
		.gid = VBE_GUEST_NO_GID,
	};
	while ((opt = getopt_long(argc, argv, "d:vhV", longopts, NULL)) != -1) {
		if (opt == 'h' || opt == 'V') {
			fputs(opt == 'h' ? usage : "vbe-vhost-user " VERSION "\n", stdout);
			return fflush(stdout) ? XC_FAIL : XC_OK;
		}
		ret = parse_one(o, opt, optarg);
		if (ret)
			return ret;
	}
	ret = check(o, argc, argv);
	return ret ? ret : -1;
}
