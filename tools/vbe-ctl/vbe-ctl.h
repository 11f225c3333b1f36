/* SPDX-License-Identifier: GPL-2.0 */
/*
 * vbe-ctl: administer and observe vbe devices.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * What the kernel answers becomes json-c objects at once (model.c); -j prints
 * them as they are, and the tables for people read the same objects. So there
 * is one set of keys, that of vbe-ctl.schema.json.
 */
#ifndef VBE_CTL_H
#define VBE_CTL_H

#include <json-c/json.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/vbe.h>
#include <linux/vbe_netlink.h>

enum {
	EXIT_OK = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_UNSUPPORTED = 3,
	EXIT_PERMISSION = 4,
};

/* ---- commands and their arguments: main.c, args.c, help.c ---------------- */

enum opt_key {
	OPT_JSON,
	OPT_PRETTY,
	OPT_HELP,
	OPT_PROVIDER,
	OPT_SIZE,
	OPT_TYPE,
	OPT_OWNER,
	OPT_POLICY,
	OPT_RESET_TIMEOUT,
	OPT_TRANSPORT,
	OPT_DOMID,
	OPT_BASE,
	OPT_SLOT,
	OPT_IRQ,
	OPT_GRANTS,
	OPT_PATH,
	OPT_READ_ONLY,
	OPT_RESIZE,
	OPT_ALL,
	OPT_VERBOSE,
	OPT_NAMES,
	OPT_INTERVAL,
	OPT_COUNT,
	OPT_KEYS
};

/**
 * struct opt - one option of a command
 * @key: where its value goes in &struct args
 * @name: long name
 * @letter: short one, or 0
 * @arg: what its argument is called in help, NULL for a flag
 * @help: one line
 * @values: NULL-terminated list for completion and suggestions, or NULL
 */
struct opt {
	enum opt_key key;
	const char *name;
	char letter;
	const char *arg;
	const char *help;
	const char *const *values;
};

/**
 * struct args - a parsed command line
 * @cmd: the command
 * @opt: argument of each option given ("" for a flag), NULL if not given
 * @pos: positional arguments
 * @n_pos: number
 */
struct args {
	const struct command *cmd;
	const char *opt[OPT_KEYS];
	char **pos;
	int n_pos;
};

/**
 * struct command - one command
 * @noun: first word
 * @verb: second word, or NULL
 * @args: positional arguments as help shows them
 * @summary: one line
 * @text: what help says below, with examples
 * @opts: options, ended by an empty row; NULL for none
 * @min: fewest positional arguments
 * @max: most, -1 for any number
 * @devices: positional arguments are device names (for completion)
 * @words: other words it takes, for completion, or NULL
 * @pairs: it takes its options as "NAME VALUE" too, without dashes
 * @run: returns an exit code
 */
struct command {
	const char *noun;
	const char *verb;
	const char *args;
	const char *summary;
	const char *text;
	const struct opt *opts;
	int min;
	int max;
	bool devices;
	const char *const *words;
	bool pairs;
	int (*run)(const struct args *a);
};

extern const struct command commands[];
extern const struct opt global_opts[];
extern bool opt_json;
extern bool opt_pretty;

const struct command *command_find(const char *noun, const char *verb);
const struct command *command_of_noun(const char *noun);
int args_parse(struct args *a, int argc, char **argv);
int args_pairs(struct args *a, int first);
int usage_error(const struct command *cmd, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
int fail(const struct command *cmd, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
const char *nearest(const char *word, const char *const *list);
int unknown_word(const struct command *cmd, const char *what, const char *word,
		 const char *const *list);
void help_all(FILE *out);
void help_noun(FILE *out, const char *noun);
void help_command(FILE *out, const struct command *cmd);
int complete(int argc, char **argv);

/* ---- values: values.c, names.c -------------------------------------------- */

int parse_size(const char *text, uint64_t *bytes, const char **why);
int parse_u32(const char *text, uint32_t *val, const char **why);
int parse_u64(const char *text, uint64_t *val, const char **why);
int parse_ms(const char *text, uint32_t *ms, const char **why);
int parse_bdf(const char *text, uint64_t *address, const char **why);
int parse_on_off(const char *text, bool *on, const char **why);
int parse_owner(const char *text, uint32_t *uid, bool *has_uid, uint32_t *gid,
		bool *has_gid, const char **why);
void format_size(uint64_t bytes, char *buf, size_t len);

extern const char *const policy_names[];
extern const char *const type_names[];
int policy_of(const char *name);
uint32_t type_of(const char *name);
const char *type_name(uint32_t virtio_id, char *buf, size_t len);
const char *state_name(uint32_t state);
const char *policy_name(uint32_t policy);
const char *class_name(uint32_t mem_class);
const char *event_name(uint32_t event);
const char *attr_name(int attr);
json_object *status_names(uint32_t status);
json_object *feature_names(uint32_t virtio_id, uint64_t features);

/* ---- the kernel: nl.c, extack.c, model.c ------------------------------------ */

/**
 * struct failure - why the kernel refused
 * @err: errno, 0 for success
 * @text: its sentence, empty if it gave none
 */
struct failure {
	int err;
	char text[512];
};

/* Called for each answer; adds to @out, a json array. */
typedef int (*answer_fn)(struct nlmsghdr *nlh, json_object *out);

int kernel_open(const struct command *cmd);
void kernel_close(void);
bool nl_family_present(void);
struct nl_sock *nl_events_open(const struct command *cmd);
struct nl_msg *nl_request(int cmd, int flags);
int nl_talk(struct nl_msg *msg, answer_fn fn, json_object *out, struct failure *why);
int nl_refused(const struct command *cmd, const char *object, const struct failure *why);
void extack_parse(const struct nlmsghdr *nlh, const struct nlmsghdr *request,
		  struct failure *why);

json_object *model_device(struct nlmsghdr *nlh);
json_object *model_event(struct nlmsghdr *nlh);
int model_dump(int cmd, const char *name, json_object **out, struct failure *why);
int model_get(const char *name, json_object **out, struct failure *why);
int model_devices(const struct command *cmd, const char *name, json_object **out);
int model_of_devices(const struct command *cmd, const char *name, int nl_cmd,
		     json_object **out);

/* ---- output: output.c -------------------------------------------------------- */

#define TABLE_COLUMNS 16

/**
 * struct table - rows of cells, aligned when printed
 * @n_columns: cells per row
 * @n_cells: cells so far; the first row is the heading
 * @cells: their texts
 * @right: bit (1 << column): aligned to the right
 */
struct table {
	int n_columns;
	size_t n_cells;
	char **cells;
	unsigned int right;
};

void table_cell(struct table *t, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void table_print(struct table *t);
int print_json(json_object *obj);
int flush_out(void);
json_object *get(json_object *obj, const char *key);
const char *get_string(json_object *obj, const char *key);
uint64_t get_u64(json_object *obj, const char *key);
void add_string(json_object *obj, const char *key, const char *val);
void add_u64(json_object *obj, const char *key, uint64_t val);
void add_hex(json_object *obj, const char *key, uint64_t val);
char *join(json_object *array, const char *separator);

/* ---- the commands --------------------------------------------------------------- */

int cmd_probe(const struct args *a);
int cmd_dev_add(const struct args *a);
int cmd_dev_del(const struct args *a);
int cmd_dev_set(const struct args *a);
int cmd_dev_show(const struct args *a);
int cmd_vq_show(const struct args *a);
int cmd_map_show(const struct args *a);
int cmd_stats(const struct args *a);
int cmd_monitor(const struct args *a);
int cmd_version(const struct args *a);

#endif /* VBE_CTL_H */
