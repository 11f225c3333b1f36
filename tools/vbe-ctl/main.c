// SPDX-License-Identifier: GPL-2.0
/*
 * vbe-ctl: the table of commands.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <stdio.h>
#include <string.h>

#include "vbe-ctl.h"

bool opt_json;
bool opt_pretty;

/* Suggestions for completion only: the kernel knows which there are. */
static const char *const provider_names[] = { "loop", "xen", NULL };
static const char *const transport_names[] = { "direct", "mmio", "pci", "raw", NULL };
static const char *const size_hints[] = { "4M", "16M", "64M", "256M", NULL };
static const char *const add_words[] = { "provider", "domid", "transport", "base", "slot",
					 "irq", "grants", "type", "path", NULL };
static const char *const on_off[] = { "on", "off", NULL };
static const char *const set_words[] = { "resize", NULL };

const struct opt global_opts[] = {
	{ OPT_JSON, "json", 'j', NULL, "print JSON with stable keys, one line", NULL },
	{ OPT_PRETTY, "pretty", 'p', NULL, "print JSON for people to read", NULL },
	{ OPT_HELP, "help", 'h', NULL, "explain the command, with examples", NULL },
	{ 0 }
};

static const struct opt add_opts[] = {
	{ OPT_PROVIDER, "provider", 0, "NAME", "who brings the front-end (default: loop)",
	  provider_names },
	{ OPT_SIZE, "size", 0, "SIZE", "shared window, such as 16M (default: the provider's)",
	  size_hints },
	{ OPT_TYPE, "type", 0, "TYPE", "fix the device type: blk, net, rng, ... or a number",
	  type_names },
	{ OPT_OWNER, "owner", 0, "USER[:GROUP]", "who may serve it (default: root)", NULL },
	{ OPT_POLICY, "policy", 0, "POLICY", "when a backend dies: hold (default), reset, fail",
	  policy_names },
	{ OPT_RESET_TIMEOUT, "reset-timeout", 0, "MS",
	  "how long a reset waits for the backend (5000)", NULL },
	{ OPT_TRANSPORT, "transport", 0, "NAME", "how the driver talks (default: the provider's)",
	  transport_names },
	{ OPT_DOMID, "domid", 0, "N", "the guest, by its hypervisor's number", NULL },
	{ OPT_BASE, "base", 0, "ADDR", "mmio: where its registers are; pci: BUS:SLOT.FUNCTION",
	  NULL },
	{ OPT_SLOT, "slot", 0, "N", "pci: slot on bus 0 (default: one that is free)", NULL },
	{ OPT_IRQ, "irq", 0, "N", "mmio: the interrupt, by its hypervisor's number", NULL },
	{ OPT_GRANTS, "grants", 0, "on|off", "the driver may grant memory (default: off)",
	  on_off },
	{ OPT_PATH, "path", 0, "PATH", "what the backend shall serve (vbe-blk --auto)", NULL },
	{ OPT_READ_ONLY, "read-only", 'r', NULL, "the backend shall not change it", NULL },
	{ 0 }
};

static const struct opt del_opts[] = {
	{ OPT_ALL, "all", 'a', NULL, "delete every device", NULL },
	{ 0 }
};

static const struct opt set_opts[] = {
	{ OPT_OWNER, "owner", 0, "USER[:GROUP]", "who may serve it", NULL },
	{ OPT_POLICY, "policy", 0, "POLICY", "when a backend dies: hold, reset, fail",
	  policy_names },
	{ OPT_RESET_TIMEOUT, "reset-timeout", 0, "MS", "how long a reset waits for the backend",
	  NULL },
	{ OPT_RESIZE, "resize", 0, NULL, "the backend shall look at its size again", NULL },
	{ 0 }
};

static const struct opt show_opts[] = {
	{ OPT_VERBOSE, "verbose", 'v', NULL, "everything about every device", NULL },
	{ OPT_NAMES, "names", 'n', NULL, "names only, one per line", NULL },
	{ 0 }
};

static const struct opt stats_opts[] = {
	{ OPT_INTERVAL, "interval", 'i', "SECONDS", "again and again, as rates per second", NULL },
	{ OPT_COUNT, "count", 'n', "COUNT", "stop after that many", NULL },
	{ 0 }
};

static const struct opt monitor_opts[] = {
	{ OPT_COUNT, "count", 'n', "COUNT", "stop after that many events", NULL },
	{ 0 }
};

const struct command commands[] = {
	{ .noun = "probe", .args = "", .run = cmd_probe,
	  .summary = "Say what works here, what is missing and how to mend it",
	  .text = "Looks at the module, /dev/vbe, the providers, your rights and limits, the\n"
		  "drivers at hand, and what Xen has, if this is a domain of it. Exit code 3 if vbe cannot be used here.\n\n"
		  "Examples:\n  vbe-ctl probe\n  vbe-ctl probe -j | jq .usable\n" },
	{ .noun = "dev", .verb = "add", .args = "NAME [OPTION VALUE]...", .run = cmd_dev_add,
	  .min = 1, .max = -1, .opts = add_opts, .words = add_words, .pairs = true,
	  .summary = "Make a device that a backend may then serve",
	  .text = "NAME is 1 to 31 of A-Z a-z 0-9 _ . : - and begins with neither . nor -\n"
		  "The device outlives its backends. With policy hold the front-end waits for the\n"
		  "next backend when one dies, with reset it is told to reset the device, and with\n"
		  "fail what is in flight fails and the device is taken away from the front-end.\n\n"
		  "The dashes of an option with a value may be left out. For a guest of Xen: domid\n"
		  "says which; with transport mmio, base and irq are those of the guest's device\n"
		  "tree; with pci, add the device while the guest is paused (xl create -p).\n\n"
		  "Examples:\n"
		  "  vbe-ctl dev add disk0\n"
		  "  vbe-ctl dev add disk0 provider loop --size 64M --type blk\n"
		  "  vbe-ctl dev add net0 --owner netd:netd --policy reset --reset-timeout 2s\n"
		  "  vbe-ctl dev add disk1 provider xen domid 3 transport pci slot 5\n"
		  "  vbe-ctl dev add disk2 provider xen domid 4 transport mmio base 0x2000000 irq 33\n"
	},
	{ .noun = "dev", .verb = "del", .args = "NAME...", .run = cmd_dev_del,
	  .min = 0, .max = -1, .opts = del_opts, .devices = true,
	  .summary = "Delete devices, whoever uses them",
	  .text = "The driver is asked to leave first, for at most the reset time-out; then the\n"
		  "device is taken from it and from its backend.\n\n"
		  "Examples:\n  vbe-ctl dev del disk0 net0\n  vbe-ctl dev del --all\n" },
	{ .noun = "dev", .verb = "show", .args = "[NAME]", .run = cmd_dev_show,
	  .max = 1, .opts = show_opts, .devices = true,
	  .summary = "Show who serves a device, whether it lives, what was negotiated",
	  .text = "Without NAME, one line per device. States: empty (no backend yet), ready\n"
		  "(described, hidden), online (served), lost (its backend has gone; what happens\n"
		  "then is the policy), offlining (the driver is leaving), dead.\n\n"
		  "Examples:\n  vbe-ctl dev show\n  vbe-ctl dev show disk0\n"
		  "  vbe-ctl dev show disk0 -j | jq -r '.devices[0].fe.nodes[0]'\n" },
	{ .noun = "dev", .verb = "set", .args = "NAME [resize]", .run = cmd_dev_set,
	  .min = 1, .max = 2, .opts = set_opts, .devices = true, .words = set_words,
	  .summary = "Change a device, or have its backend look at its size again",
	  .text = "Examples:\n  vbe-ctl dev set disk0 --policy fail\n"
		  "  vbe-ctl dev set disk0 --owner alice\n"
		  "  truncate -s 2G disk.img && vbe-ctl dev set disk0 --resize\n" },
	{ .noun = "vq", .verb = "show", .args = "[NAME]", .run = cmd_vq_show,
	  .max = 1, .devices = true,
	  .summary = "Show the virtqueues: size, addresses, eventfds, counters",
	  .text = "In the column FDS, k is an attached kick eventfd, c a call eventfd, L a kick\n"
		  "that waits for one.\n\n"
		  "Examples:\n  vbe-ctl vq show\n  vbe-ctl vq show disk0 -j\n" },
	{ .noun = "map", .verb = "show", .args = "[NAME]", .run = cmd_map_show,
	  .max = 1, .devices = true,
	  .summary = "Show the windows: memory of the front-end that a backend may reach",
	  .text = "Classes: pinned (O_DIRECT and io_uring fixed buffers work), pfn (plain access),\n"
		  "copy (nothing can be mapped).\n\nExamples:\n  vbe-ctl map show disk0\n" },
	{ .noun = "stats", .args = "[NAME]", .run = cmd_stats,
	  .max = 1, .opts = stats_opts, .devices = true,
	  .summary = "Show counters of devices and queues, once or as rates",
	  .text = "With -i, the first lines are totals and the rest changes per second; -j then\n"
		  "prints one JSON document per line, with totals and rates.\n\n"
		  "Examples:\n  vbe-ctl stats\n  vbe-ctl stats disk0 -i 1\n"
		  "  vbe-ctl stats -j -i 5 -n 12\n" },
	{ .noun = "monitor", .args = "[NAME]", .run = cmd_monitor,
	  .max = 1, .opts = monitor_opts, .devices = true,
	  .summary = "Print what happens to devices, as it happens",
	  .text = "The first line, start, says that from now on nothing is missed.\n"
		  "Events: new, del, state, attach, detach, loss (the backend died), revoke,\n"
		  "bounded-reset, status. If some were lost, a gap line says so, and a sync line\n"
		  "per device says how it is now.\n\n"
		  "Examples:\n  vbe-ctl monitor\n  vbe-ctl monitor disk0 -j -n 1\n" },
	{ .noun = "version", .args = "", .run = cmd_version,
	  .summary = "Print versions of this program and of the module" },
	{ .noun = "help", .args = "[COMMAND]", .summary = "Print this, or more about a command" },
	{ 0 }
};

const struct command *command_of_noun(const char *noun)
{
	const struct command *c;

	for (c = commands; c->noun; c++)
		if (!strcmp(c->noun, noun))
			return c;
	return NULL;
}

/* @verb is NULL for commands of one word. "list" and "ls" are what fingers type. */
const struct command *command_find(const char *noun, const char *verb)
{
	const struct command *c;

	if (verb && (!strcmp(verb, "list") || !strcmp(verb, "ls")))
		verb = "show";
	for (c = commands; c->noun; c++)
		if (!strcmp(c->noun, noun) &&
		    (!c->verb || (verb && !strcmp(c->verb, verb))))
			return c;
	return NULL;
}

static int unknown_command(const char *noun, const char *verb)
{
	const char *words[sizeof(commands) / sizeof(commands[0])];
	const struct command *c;
	size_t n = 0;

	for (c = commands; c->noun; c++)
		if (verb && !strcmp(c->noun, noun))
			words[n++] = c->verb;
		else if (!verb && (!n || strcmp(words[n - 1], c->noun)))
			words[n++] = c->noun;
	words[n] = NULL;
	return unknown_word(NULL, "command", verb ? verb : noun, words);
}

static int help(int argc, char **argv)
{
	const struct command *first, *cmd;

	if (!argc) {
		help_all(stdout);
		return flush_out();
	}
	first = command_of_noun(argv[0]);
	if (!first)
		return unknown_command(argv[0], NULL);
	cmd = command_find(argv[0], argc > 1 ? argv[1] : NULL);
	if (!cmd && argc > 1)
		return unknown_command(argv[0], argv[1]);
	if (cmd)
		help_command(stdout, cmd);
	else
		help_noun(stdout, argv[0]);
	return flush_out();
}

static int run(int argc, char **argv)
{
	const struct command *first = command_of_noun(argv[0]);
	struct args a = { 0 };
	int words = 1, ret;

	if (!first)
		return unknown_command(argv[0], NULL);
	if (!strcmp(first->noun, "help"))
		return help(argc - 1, argv + 1);
	if (first->verb) {
		if (argc > 1 && (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help"))) {
			help_noun(stdout, argv[0]);
			return flush_out();
		}
		if (argc < 2) {
			help_noun(stderr, argv[0]);
			return EXIT_USAGE;
		}
		words = 2;
	}
	a.cmd = command_find(argv[0], first->verb ? argv[1] : NULL);
	if (!a.cmd)
		return unknown_command(argv[0], argv[1]);
	ret = args_parse(&a, argc - words + 1, argv + words - 1);
	if (!ret && a.opt[OPT_HELP]) {
		help_command(stdout, a.cmd);
		return flush_out();
	}
	if (!ret)
		ret = a.cmd->run(&a);
	kernel_close();
	return ret;
}

/* Options of every command may also come before it. Return: how many. */
static int leading_options(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc && argv[i][0] == '-'; i++) {
		if (!strcmp(argv[i], "--json") || !strcmp(argv[i], "-j"))
			opt_json = true;
		else if (!strcmp(argv[i], "--pretty") || !strcmp(argv[i], "-p"))
			opt_pretty = true;
		else if (!strcmp(argv[i], "-jp") || !strcmp(argv[i], "-pj"))
			opt_json = opt_pretty = true;
		else
			break;
	}
	return i - 1;
}

int main(int argc, char **argv)
{
	int n = leading_options(argc, argv);

	argc -= n + 1;
	argv += n + 1;
	if (!argc) {
		help_all(stderr);
		return EXIT_USAGE;
	}
	if (!strcmp(argv[0], "-h") || !strcmp(argv[0], "--help"))
		return help(0, NULL);
	if (!strcmp(argv[0], "-V") || !strcmp(argv[0], "--version"))
		return cmd_version(&(struct args) { .cmd = command_of_noun("version") });
	if (argv[0][0] == '-')
		return usage_error(NULL, "option '%s' is not known", argv[0]);
	if (!strcmp(argv[0], "complete"))
		return complete(argc - 1, argv + 1);
	return run(argc, argv);
}
