// SPDX-License-Identifier: GPL-2.0
/*
 * Command lines: options by table, complaints, suggestions, completion.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vbe-ctl.h"

#define MAX_OPTS 24
#define MAX_WORD 64
#define LONG_ONLY 1000

static void complain(const struct command *cmd, const char *fmt, va_list ap)
{
	fflush(stdout);
	fputs("vbe-ctl: ", stderr);
	if (cmd)
		fprintf(stderr, "%s%s%s: ", cmd->noun, cmd->verb ? " " : "",
			cmd->verb ? cmd->verb : "");
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
}

int fail(const struct command *cmd, int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	complain(cmd, fmt, ap);
	va_end(ap);
	return code;
}

int usage_error(const struct command *cmd, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	complain(cmd, fmt, ap);
	va_end(ap);
	if (cmd)
		fprintf(stderr, "Try: vbe-ctl %s%s%s --help\n", cmd->noun, cmd->verb ? " " : "",
			cmd->verb ? cmd->verb : "");
	else
		fputs("Try: vbe-ctl --help\n", stderr);
	return EXIT_USAGE;
}

static size_t min3(size_t a, size_t b, size_t c)
{
	size_t low = a < b ? a : b;

	return low < c ? low : c;
}

/* How many letters must be put in, left out or changed. */
static size_t distance(const char *a, const char *b)
{
	size_t row[MAX_WORD + 1], la = strlen(a), lb = strlen(b), i, j, diag, up;

	if (la > MAX_WORD || lb > MAX_WORD)
		return MAX_WORD;
	for (j = 0; j <= lb; j++)
		row[j] = j;
	for (i = 1; i <= la; i++) {
		diag = row[0];
		row[0] = i;
		for (j = 1; j <= lb; j++) {
			up = row[j];
			row[j] = min3(row[j] + 1, row[j - 1] + 1,
				      diag + (a[i - 1] != b[j - 1]));
			diag = up;
		}
	}
	return row[lb];
}

/* The word of @list that was probably meant, or NULL. */
const char *nearest(const char *word, const char *const *list)
{
	const char *best = NULL;
	size_t least = 3, d;

	for (; *list; list++) {
		d = strlen(word) > 1 && !strncmp(*list, word, strlen(word)) ?
			    0 : distance(word, *list);
		if (d < least && d < strlen(*list)) {
			least = d;
			best = *list;
		}
	}
	return best;
}

int unknown_word(const struct command *cmd, const char *what, const char *word,
		 const char *const *list)
{
	const char *meant = nearest(word, list);
	json_object *all = json_object_new_array();
	char *text;
	int ret;

	for (; *list; list++)
		json_object_array_add(all, json_object_new_string(*list));
	text = join(all, ", ");
	json_object_put(all);
	if (meant)
		ret = usage_error(cmd, "%s '%s' is not known: did you mean '%s'? There are: %s",
				  what, word, meant, text);
	else
		ret = usage_error(cmd, "%s '%s' is not known; there are: %s", what, word, text);
	free(text);
	return ret;
}

static const struct opt *opt_at(const struct command *cmd, size_t i)
{
	size_t n = 0;

	for (; global_opts[n].name; n++)
		if (n == i)
			return &global_opts[n];
	i -= n;
	for (n = 0; cmd->opts && cmd->opts[n].name; n++)
		if (n == i)
			return &cmd->opts[n];
	return NULL;
}

static const struct opt *opt_of(const struct command *cmd, int code)
{
	const struct opt *o;
	size_t i;

	if (code >= LONG_ONLY)
		return opt_at(cmd, code - LONG_ONLY);
	for (i = 0; (o = opt_at(cmd, i)); i++)
		if (o->letter == code)
			return o;
	return NULL;
}

static void getopt_tables(const struct command *cmd, struct option *longs, char *shorts)
{
	const struct opt *o;
	size_t i;

	*shorts++ = ':';
	for (i = 0; i < MAX_OPTS && (o = opt_at(cmd, i)); i++) {
		longs[i].name = o->name;
		longs[i].has_arg = o->arg ? required_argument : no_argument;
		longs[i].flag = NULL;
		longs[i].val = LONG_ONLY + i;
		if (!o->letter)
			continue;
		*shorts++ = o->letter;
		if (o->arg)
			*shorts++ = ':';
	}
	memset(&longs[i], 0, sizeof(*longs));
	*shorts = '\0';
}

static int bad_option(const struct command *cmd, char **argv, bool missing)
{
	const char *word = argv[optind - 1], *names[MAX_OPTS + 1];
	const struct opt *o;
	size_t i;

	if (optopt > 0 && optopt < LONG_ONLY && strncmp(word, "--", 2)) {
		if (missing)
			return usage_error(cmd, "option -%c needs an argument", optopt);
		return usage_error(cmd, "option -%c is not known", optopt);
	}
	if (missing)
		return usage_error(cmd, "option %s needs an argument", word);
	if (optopt >= LONG_ONLY)
		return usage_error(cmd, "option %s takes no argument", word);
	for (i = 0; i < MAX_OPTS && (o = opt_at(cmd, i)); i++)
		names[i] = o->name;
	names[i] = NULL;
	return unknown_word(cmd, "option", word + strspn(word, "-"), names);
}

static int check_count(const struct args *a)
{
	const struct command *cmd = a->cmd;

	if (a->n_pos < cmd->min)
		return usage_error(cmd, "something is missing; usage: vbe-ctl %s%s%s %s", cmd->noun,
				   cmd->verb ? " " : "", cmd->verb ? cmd->verb : "", cmd->args);
	if (cmd->max >= 0 && a->n_pos > cmd->max)
		return usage_error(cmd, "'%s' is one argument too many", a->pos[cmd->max]);
	return EXIT_OK;
}

/**
 * args_parse() - take a command's own command line apart
 * @a: @cmd is set; the rest is filled in
 * @argc: number
 * @argv: beginning with the last word of the command
 *
 * Return: EXIT_OK, or EXIT_USAGE with the complaint made.
 */
int args_parse(struct args *a, int argc, char **argv)
{
	struct option longs[MAX_OPTS + 1];
	char shorts[2 * MAX_OPTS + 2];
	const struct opt *o;
	int code;

	getopt_tables(a->cmd, longs, shorts);
	optind = 1;
	while ((code = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		o = code == '?' || code == ':' ? NULL : opt_of(a->cmd, code);
		if (!o)
			return bad_option(a->cmd, argv, code == ':');
		a->opt[o->key] = o->arg ? optarg : "";
	}
	a->pos = argv + optind;
	a->n_pos = argc - optind;
	opt_json |= !!a->opt[OPT_JSON];
	opt_pretty |= !!a->opt[OPT_PRETTY];
	opt_json |= opt_pretty;
	return a->opt[OPT_HELP] ? EXIT_OK : check_count(a);
}

static const struct opt *opt_word(const struct command *cmd, const char *word)
{
	const struct opt *o;
	size_t i;

	for (i = 0; cmd->opts && cmd->opts[i].name; i++) {
		o = &cmd->opts[i];
		if (o->arg && !strcmp(word, o->name))
			return o;
	}
	return NULL;
}

static int unknown_pair(const struct args *a, const char *word)
{
	const char *names[MAX_OPTS + 1];
	const struct opt *o;
	size_t n = 0;

	for (o = a->cmd->opts; o->name && n < MAX_OPTS; o++)
		if (o->arg)
			names[n++] = o->name;
	names[n] = NULL;
	return unknown_word(a->cmd, "word", word, names);
}

/**
 * args_pairs() - take options that are written as words: "provider loop size 4M"
 * @a: parsed; the options are added
 * @first: the positional argument they begin at
 *
 * Return: EXIT_OK, or EXIT_USAGE with the complaint made.
 */
int args_pairs(struct args *a, int first)
{
	const struct opt *o;
	int i;

	for (i = first; i < a->n_pos; i += 2) {
		o = opt_word(a->cmd, a->pos[i]);
		if (!o)
			return unknown_pair(a, a->pos[i]);
		if (i + 1 == a->n_pos)
			return usage_error(a->cmd, "%s needs a value: %s %s", o->name, o->name,
					   o->arg);
		if (a->opt[o->key])
			return usage_error(a->cmd, "the %s is given twice", o->name);
		a->opt[o->key] = a->pos[i + 1];
	}
	return EXIT_OK;
}

/* ---- completion ---------------------------------------------------------------- */

static void offer(const char *word, const char *prefix)
{
	if (!strncmp(word, prefix, strlen(prefix)))
		puts(word);
}

static void offer_commands(const char *noun, const char *prefix)
{
	const struct command *c;
	const char *last = "";

	for (c = commands; c->noun; c++) {
		if (noun && !strcmp(noun, c->noun) && c->verb)
			offer(c->verb, prefix);
		else if (!noun && strcmp(last, c->noun))
			offer(c->noun, prefix);
		last = c->noun;
	}
}

static void offer_devices(const char *prefix)
{
	json_object *devices;
	struct failure why;
	size_t i;

	/* No module, no names: completion must not chatter. */
	if (!nl_family_present() || model_dump(VBE_CMD_DEV_GET, NULL, &devices, &why))
		return;
	for (i = 0; i < json_object_array_length(devices); i++)
		offer(get_string(json_object_array_get_idx(devices, i), "name"), prefix);
	json_object_put(devices);
	kernel_close();
}

static void offer_values(const struct opt *o, const char *prefix)
{
	const char *const *v;

	for (v = o->values; v && *v; v++)
		offer(*v, prefix);
}

static const struct opt *opt_named(const struct command *cmd, const char *word)
{
	const struct opt *o;
	size_t i;

	for (i = 0; (o = opt_at(cmd, i)); i++)
		if ((!strncmp(word, "--", 2) && !strcmp(word + 2, o->name)) ||
		    (word[0] == '-' && word[1] == o->letter && o->letter && !word[2]))
			return o;
	return cmd->pairs ? opt_word(cmd, word) : NULL;
}

static void offer_options(const struct command *cmd, const char *prefix)
{
	const struct opt *o;
	char word[MAX_WORD];
	size_t i;

	for (i = 0; (o = opt_at(cmd, i)); i++) {
		snprintf(word, sizeof(word), "--%s", o->name);
		offer(word, prefix);
	}
}

static void offer_arguments(const struct command *cmd, const char *before, const char *prefix)
{
	const struct opt *o = opt_named(cmd, before);
	const char *const *w;

	if (o && o->arg) {
		offer_values(o, prefix);
	} else if (*prefix == '-') {
		offer_options(cmd, prefix);
	} else {
		if (cmd->devices)
			offer_devices(prefix);
		for (w = cmd->words; w && *w; w++)
			offer(*w, prefix);
	}
}

/**
 * complete() - print what the last word may become, one per line
 * @argc: number
 * @argv: the words typed after "vbe-ctl"; the last one is to be completed
 *
 * For the shells: they need know nothing of the commands.
 */
int complete(int argc, char **argv)
{
	const char *prefix = argc ? argv[argc - 1] : "";
	const struct command *cmd, *first;
	int i = 0;

	while (i < argc - 1 && argv[i][0] == '-')
		i++;
	if (i >= argc - 1) {
		if (*prefix == '-')
			offer_options(&commands[0], prefix);
		else
			offer_commands(NULL, prefix);
		return EXIT_OK;
	}
	first = command_of_noun(argv[i]);
	if (!first)
		return EXIT_OK;
	if (first->verb && i == argc - 2 && *prefix != '-') {
		offer_commands(argv[i], prefix);
		return EXIT_OK;
	}
	cmd = command_find(argv[i], first->verb ? argv[i + 1] : NULL);
	if (cmd)
		offer_arguments(cmd, argv[argc - 2], prefix);
	return EXIT_OK;
}
