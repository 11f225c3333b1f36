// SPDX-License-Identifier: GPL-2.0
/*
 * Help that teaches.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <stdio.h>
#include <string.h>

#include "vbe-ctl.h"

static void synopsis(FILE *out, const struct command *cmd)
{
	char line[128];

	snprintf(line, sizeof(line), "%s%s%s%s%s", cmd->noun, cmd->verb ? " " : "",
		 cmd->verb ? cmd->verb : "", *cmd->args ? " " : "", cmd->args);
	fprintf(out, "  %-34s %s\n", line, cmd->summary);
}

static void option_lines(FILE *out, const struct opt *o)
{
	char line[64], letter[8];

	for (; o && o->name; o++) {
		snprintf(letter, sizeof(letter), o->letter ? "-%c, " : "    ", o->letter);
		snprintf(line, sizeof(line), "%s--%s%s%s", letter, o->name, o->arg ? " " : "",
			 o->arg ? o->arg : "");
		fprintf(out, "  %-28s %s\n", line, o->help);
	}
}

void help_all(FILE *out)
{
	const struct command *c;

	fputs("usage: vbe-ctl [OPTION]... COMMAND [ARGUMENT]...\n\n"
	      "Administer and observe vbe devices: virtio devices that a user-space\n"
	      "process (the backend) serves through /dev/vbe.\n\nCommands:\n", out);
	for (c = commands; c->noun; c++)
		synopsis(out, c);
	fputs("\nOptions of every command:\n", out);
	option_lines(out, global_opts);
	fputs("\nExit codes: 0 ok, 1 failed, 2 wrong usage, 3 not supported here,\n"
	      "4 not permitted.\n\nBegin with:\n"
	      "  vbe-ctl probe                  what works here, what is missing, how to mend it\n"
	      "  vbe-ctl dev add disk0          a device for a backend to serve\n"
	      "  vbe-blk --on disk0 disk.img    serve it: a disk appears\n"
	      "  vbe-ctl dev show disk0         who serves it, is it alive, what was negotiated\n\n"
	      "More: vbe-ctl COMMAND --help, man vbe-ctl\n", out);
}

void help_noun(FILE *out, const char *noun)
{
	const struct command *c;

	fprintf(out, "usage: vbe-ctl %s COMMAND [ARGUMENT]...\n\nCommands:\n", noun);
	for (c = commands; c->noun; c++)
		if (!strcmp(c->noun, noun))
			synopsis(out, c);
	fprintf(out, "\nMore: vbe-ctl %s COMMAND --help\n", noun);
}

void help_command(FILE *out, const struct command *cmd)
{
	fprintf(out, "usage: vbe-ctl %s%s%s%s %s\n\n%s.\n", cmd->noun, cmd->verb ? " " : "",
		cmd->verb ? cmd->verb : "", cmd->opts ? " [OPTION]..." : "", cmd->args,
		cmd->summary);
	if (cmd->opts) {
		fputs("\nOptions:\n", out);
		option_lines(out, cmd->opts);
	}
	fputs("\nOptions of every command:\n", out);
	option_lines(out, global_opts);
	if (cmd->text)
		fprintf(out, "\n%s", cmd->text);
}
