// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
/* The command line. */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vbe-blk.h"

static const char usage[] =
"Usage: vbe-blk --loop IMAGE [OPTION]...     a disk on this machine\n"
"       vbe-blk --on NAME IMAGE [OPTION]...  serve a device that exists\n"
"       vbe-blk --fd N IMAGE [OPTION]...     serve a device fd that was passed\n"
"       vbe-blk --auto [OPTION]...           serve every disk that names its image\n"
"\n"
"Serve IMAGE, a file or block device, as a virtio disk through /dev/vbe.\n"
"\n"
"  truncate -s 1G disk.img && vbe-blk --loop disk.img\n"
"\n"
"makes a device, serves it, and prints the /dev/vdX that came up. Kill it by\n"
"whatever means and run the same command again: the disk goes on where it was.\n"
"SIGTERM or ^C takes the disk away, and deletes the device that --loop made.\n"
"SIGHUP looks at the size of IMAGE again. SIGUSR1 ends the server but leaves the\n"
"disk waiting for the next one.\n"
"\n"
"Device\n"
"      --name NAME        name of the device (default: IMAGE without its folder)\n"
"      --policy P         when the server dies: hold (the disk waits; default),\n"
"                         reset (the driver is told), fail (the disk goes away)\n"
"      --window SIZE      memory shared with the driver (--loop)\n"
"      --wait             with --on: wait for the device, also after it has gone\n"
"      --force            go on although another image was served before\n"
"      --provider NAME    with --auto: only disks of this provider, such as xen\n"
"\n"
"Disk\n"
"  -r, --read-only        refuse writes\n"
"      --serial STR       serial number, up to 20 characters (default: NAME)\n"
"      --block-size N     512 or 4096 (default: as IMAGE)\n"
"      --cache MODE       writeback (default) or writethrough\n"
"      --null             no IMAGE: zeroes; writes go nowhere\n"
"      --size SIZE        size of --null (default 1G)\n"
"      --direct MODE      O_DIRECT: auto (where image and memory allow; default),\n"
"                         on, off\n"
"      --fixed-buffers    with O_DIRECT: pin the window once, not with each I/O\n"
"\n"
"Queues\n"
"  -q, --queues N         queues, each with a thread (default 1, at most 64)\n"
"      --queue-size N     entries, a power of two (default 256, at most 1024;\n"
"                         for a VMM's own transport: 1024)\n"
"      --packed           offer packed rings (--no-packed: default)\n"
"      --no-event-idx     do not offer the event index\n"
"      --no-indirect      do not offer indirect descriptors\n"
"\n"
"Process\n"
"  -u, --user USER        run as USER (default, when root: nobody)\n"
"      --no-sandbox       keep privileges, no seccomp filter\n"
"  -v, --verbose          say more\n"
"  -h, --help             this text\n"
"  -V, --version          version\n"
"\n"
"SIZE takes the suffixes K, M, G, T. Exit status: 0 all well, 1 failed, 2 wrong\n"
"usage, 3 not supported here, 4 not permitted. See vbe-blk(8).\n";

enum {
	OPT_LOOP = 256, OPT_ON, OPT_FD, OPT_NAME, OPT_POLICY, OPT_WINDOW, OPT_WAIT, OPT_FORCE,
	OPT_AUTO, OPT_PROVIDER,
	OPT_SERIAL,
	OPT_BLOCK_SIZE, OPT_CACHE, OPT_NULL, OPT_SIZE, OPT_DIRECT, OPT_FIXED,
	OPT_QUEUE_SIZE, OPT_PACKED, OPT_NO_PACKED, OPT_NO_EVENT_IDX, OPT_NO_INDIRECT,
	OPT_NO_SANDBOX,
};

static const struct option longopts[] = {
	{ "loop", no_argument, NULL, OPT_LOOP },
	{ "on", required_argument, NULL, OPT_ON },
	{ "fd", required_argument, NULL, OPT_FD },
	{ "name", required_argument, NULL, OPT_NAME },
	{ "policy", required_argument, NULL, OPT_POLICY },
	{ "window", required_argument, NULL, OPT_WINDOW },
	{ "wait", no_argument, NULL, OPT_WAIT },
	{ "force", no_argument, NULL, OPT_FORCE },
	{ "auto", no_argument, NULL, OPT_AUTO },
	{ "provider", required_argument, NULL, OPT_PROVIDER },
	{ "read-only", no_argument, NULL, 'r' },
	{ "serial", required_argument, NULL, OPT_SERIAL },
	{ "block-size", required_argument, NULL, OPT_BLOCK_SIZE },
	{ "cache", required_argument, NULL, OPT_CACHE },
	{ "null", no_argument, NULL, OPT_NULL },
	{ "size", required_argument, NULL, OPT_SIZE },
	{ "direct", required_argument, NULL, OPT_DIRECT },
	{ "fixed-buffers", no_argument, NULL, OPT_FIXED },
	{ "queues", required_argument, NULL, 'q' },
	{ "queue-size", required_argument, NULL, OPT_QUEUE_SIZE },
	{ "packed", no_argument, NULL, OPT_PACKED },
	{ "no-packed", no_argument, NULL, OPT_NO_PACKED },
	{ "no-event-idx", no_argument, NULL, OPT_NO_EVENT_IDX },
	{ "no-indirect", no_argument, NULL, OPT_NO_INDIRECT },
	{ "user", required_argument, NULL, 'u' },
	{ "no-sandbox", no_argument, NULL, OPT_NO_SANDBOX },
	{ "verbose", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

static int bad(const char *what, const char *arg, const char *want)
{
	say("%s '%s': %s", what, arg, want);
	return XC_USAGE;
}

/* A number with an optional suffix. */
static int parse_size(const char *what, const char *arg, uint64_t *out)
{
	static const char suffixes[] = "KMGT";
	unsigned long long n;
	const char *s;
	char *end;

	errno = 0;
	n = strtoull(arg, &end, 0);
	if (errno || end == arg || !isdigit((unsigned char)arg[0]))
		return bad(what, arg, "not a size");
	if (*end) {
		s = strchr(suffixes, toupper((unsigned char)*end));
		if (!s || end[1])
			return bad(what, arg, "not a size; suffixes are K, M, G, T");
		for (; s >= suffixes; s--) {
			if (n > ULLONG_MAX >> 10)
				return bad(what, arg, "too large");
			n <<= 10;
		}
	}
	if (n > INT64_MAX)
		return bad(what, arg, "too large");
	*out = n;
	return XC_OK;
}

static int parse_number(const char *what, const char *arg, uint32_t min, uint32_t max,
			uint32_t *out)
{
	char want[64];
	uint64_t n;

	snprintf(want, sizeof(want), "must be a number from %u to %u", min, max);
	if (!isdigit((unsigned char)arg[0]) || strpbrk(arg, "KMGTkmgt"))
		return bad(what, arg, want);
	if (parse_size(what, arg, &n))
		return XC_USAGE;
	if (n < min || n > max)
		return bad(what, arg, want);
	*out = n;
	return XC_OK;
}

/* The index of @arg among @n words. */
static int parse_word(const char *what, const char *arg, const char *const *words, uint32_t n,
		      uint32_t *out)
{
	char want[64] = "must be one of:";

	for (uint32_t i = 0; i < n; i++) {
		if (!strcmp(arg, words[i])) {
			*out = i;
			return XC_OK;
		}
		snprintf(want + strlen(want), sizeof(want) - strlen(want), " %s", words[i]);
	}
	return bad(what, arg, want);
}

/* The kernel checks it again; this is for a sentence before anything is opened. */
static int set_name(struct options *o, const char *what, const char *name)
{
	size_t len = strlen(name);

	if (!len || len >= sizeof(o->name))
		return bad(what, name, "a device name has 1 to 31 characters");
	for (size_t i = 0; i < len; i++)
		if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-",
			    name[i]))
			return bad(what, name, "a device name is made of A-Z a-z 0-9 . _ : -");
	if (*name == '.' || *name == '-')
		return bad(what, name, "a device name begins with neither . nor -");
	memcpy(o->name, name, len + 1);
	return XC_OK;
}

static int parse_disk(struct options *o, int c, const char *arg)
{
	static const char *const caches[] = { "writeback", "writethrough" };
	static const char *const directs[] = { "auto", "on", "off" };
	uint32_t n;
	int ret;

	switch (c) {
	case 'r':
		o->read_only = true;
		return XC_OK;
	case OPT_SERIAL:
		if (strlen(arg) > VIRTIO_BLK_ID_BYTES)
			return bad("--serial", arg, "longer than 20 characters");
		memcpy(o->serial, arg, strlen(arg) + 1);
		return XC_OK;
	case OPT_BLOCK_SIZE:
		if (strcmp(arg, "512") && strcmp(arg, "4096"))
			return bad("--block-size", arg, "must be 512 or 4096");
		o->block_size = atoi(arg);
		return XC_OK;
	case OPT_CACHE:
		ret = parse_word("--cache", arg, caches, 2, &n);
		o->writethrough = !ret && n;
		return ret;
	case OPT_NULL:
		o->null = true;
		return XC_OK;
	case OPT_FIXED:
		o->fixed = true;
		return XC_OK;
	case OPT_SIZE:
		return parse_size("--size", arg, &o->size);
	default: /* OPT_DIRECT */
		ret = parse_word("--direct", arg, directs, 3, &n);
		if (!ret)
			o->direct = n;
		return ret;
	}
}

static int parse_queues(struct options *o, int c, const char *arg)
{
	int ret;

	switch (c) {
	case 'q':
		return parse_number("--queues", arg, 1, BLK_MAX_QUEUES, &o->queues);
	case OPT_QUEUE_SIZE:
		ret = parse_number("--queue-size", arg, 4, BLK_MAX_QUEUE_SIZE, &o->queue_size);
		if (!ret && o->queue_size & (o->queue_size - 1))
			return bad("--queue-size", arg, "must be a power of two");
		return ret;
	case OPT_PACKED:
	case OPT_NO_PACKED:
		o->packed = c == OPT_PACKED;
		return XC_OK;
	case OPT_NO_EVENT_IDX:
		o->event_idx = false;
		return XC_OK;
	default: /* OPT_NO_INDIRECT */
		o->indirect = false;
		return XC_OK;
	}
}

static int parse_device(struct options *o, int c, const char *arg)
{
	static const char *const policies[] = { "hold", "reset", "fail" };
	uint32_t n;
	int ret;

	switch (c) {
	case OPT_LOOP:
		o->loop = true;
		return XC_OK;
	case OPT_ON:
		o->on = true;
		return set_name(o, "--on", arg);
	case OPT_FD:
		ret = parse_number("--fd", arg, 0, INT_MAX, &n);
		o->fd = ret ? -1 : (int)n;
		return ret;
	case OPT_NAME:
		return set_name(o, "--name", arg);
	case OPT_POLICY:
		return parse_word("--policy", arg, policies, 3, &o->policy);
	case OPT_WINDOW:
		ret = parse_size("--window", arg, &o->window);
		if (!ret && !o->window)
			return bad("--window", arg, "must not be 0");
		return ret;
	case OPT_WAIT:
		o->wait = true;
		return XC_OK;
	case OPT_FORCE:
		o->force = true;
		return XC_OK;
	case OPT_AUTO:
		o->all = true;
		return XC_OK;
	default: /* OPT_PROVIDER */
		o->provider = arg;
		return XC_OK;
	}
}

/* The default name: the image's own, with what a name cannot have replaced. */
static void default_name(struct options *o)
{
	const char *base = o->image ? strrchr(o->image, '/') : NULL;
	size_t n = 0;

	base = base ? base + 1 : o->image ? o->image : "null";
	while (*base == '.' || *base == '-')
		base++;
	for (; *base && n < sizeof(o->name) - 1; base++, n++)
		o->name[n] = isalnum((unsigned char)*base) && !(*base & 0x80) ? *base :
			     strchr("._:-", *base) ? *base : '_';
	if (!n)
		snprintf(o->name, sizeof(o->name), "disk");
}

/* With --auto: what a server of any disk can be told as well. */
static int pass_on(struct options *o, int c, const char *arg)
{
	const struct option *opt = longopts;
	int n;

	if (c == OPT_AUTO || c == OPT_PROVIDER || o->n_pass >= AUTO_PASS_MAX)
		return XC_OK;
	while (opt->val != c)
		opt++;
	n = asprintf(&o->pass[o->n_pass], "--%s%s%s", opt->name, opt->has_arg ? "=" : "",
		     opt->has_arg ? arg : "");
	if (n < 0) {
		say("out of memory");
		return XC_FAIL;
	}
	o->n_pass++;
	return XC_OK;
}

static int check_auto(const struct options *o, int argc, char **argv)
{
	if (o->loop || o->on || o->fd >= 0 || o->wait) {
		say("--auto does not go with --loop, --on, --fd or --wait");
		return XC_USAGE;
	}
	if (optind < argc)
		return bad("--auto and image", argv[optind], "each disk names its own");
	if (o->n_pass == AUTO_PASS_MAX) {
		say("too many options");
		return XC_USAGE;
	}
	if (o->name[0] || o->window || o->serial[0] || o->null || o->size) {
		say("--auto serves many disks: no --name, --window, --serial, --null or --size");
		return XC_USAGE;
	}
	return XC_OK;
}

static int check(struct options *o, int argc, char **argv)
{
	if (o->all)
		return check_auto(o, argc, argv);
	if (o->provider) {
		say("--provider is for --auto");
		return XC_USAGE;
	}
	if (o->loop + o->on + (o->fd >= 0) != 1) {
		say("say which device: one of --loop, --on NAME, --fd N, --auto (see vbe-blk --help)");
		return XC_USAGE;
	}
	if (optind + 1 < argc)
		return bad("extra argument", argv[optind + 1], "one image is served");
	if (o->null && optind < argc)
		return bad("--null and image", argv[optind], "one or the other");
	if (!o->null && optind == argc) {
		say("which image? (see vbe-blk --help)");
		return XC_USAGE;
	}
	if (o->size && !o->null) {
		say("--size is for --null; an image has its own (truncate -s changes it)");
		return XC_USAGE;
	}
	if (o->window && !o->loop) {
		say("--window is for --loop: the device exists already");
		return XC_USAGE;
	}
	if (o->wait && !o->on) {
		say("--wait is for --on: no other device comes by itself");
		return XC_USAGE;
	}
	if (!o->size)
		o->size = 1ull << 30;
	if (optind < argc)
		o->image = argv[optind];
	if (!o->name[0] && o->fd < 0)
		default_name(o);
	return XC_OK;
}

/**
 * options_parse() - read the command line
 * @o: filled in
 * @argc: as of main()
 * @argv: likewise
 *
 * Return: an exit code, or -1 to go on.
 */
int options_parse(struct options *o, int argc, char **argv)
{
	int c, ret = XC_OK;

	*o = (struct options){
		.fd = -1, .queues = 1, .event_idx = true, .indirect = true,
		.sandbox = true, .policy = VBE_LOSS_DEFAULT,
	};
	while (!ret && (c = getopt_long(argc, argv, "rq:u:vhV", longopts, NULL)) != -1) {
		if (c == 'h')
			return fputs(usage, stdout) < 0 ? XC_FAIL : XC_OK;
		else if (c == 'V')
			return printf("vbe-blk %s\n", vbe_version()) < 0 ? XC_FAIL : XC_OK;
		else if (c == '?')
			return XC_USAGE;
		else if (c == 'v')
			o->verbose = true;
		else if (c == 'u')
			o->user = optarg;
		else if (c == OPT_NO_SANDBOX)
			o->sandbox = false;
		else if (c == 'q' || (c >= OPT_QUEUE_SIZE && c <= OPT_NO_INDIRECT))
			ret = parse_queues(o, c, optarg);
		else if (c >= OPT_LOOP && c <= OPT_PROVIDER)
			ret = parse_device(o, c, optarg);
		else
			ret = parse_disk(o, c, optarg);
		if (!ret)
			ret = pass_on(o, c, optarg);
	}
	if (!ret)
		ret = check(o, argc, argv);
	return ret ? ret : -1;
}
