// SPDX-License-Identifier: GPL-2.0
/*
 * Printing: JSON and tables; and reading json-c objects without ceremony.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vbe-ctl.h"

static void *must(void *ptr)
{
	if (!ptr) {
		fputs("vbe-ctl: out of memory\n", stderr);
		exit(EXIT_FAILED);
	}
	return ptr;
}

void table_cell(struct table *t, const char *fmt, ...)
{
	va_list ap;
	char *text;
	int len;

	t->cells = must(realloc(t->cells, (t->n_cells + 1) * sizeof(*t->cells)));
	va_start(ap, fmt);
	len = vasprintf(&text, fmt, ap);
	va_end(ap);
	t->cells[t->n_cells++] = must(len < 0 ? NULL : text);
}

static void table_widths(const struct table *t, int *width)
{
	size_t i;
	int len;

	for (i = 0; i < t->n_cells; i++) {
		len = strlen(t->cells[i]);
		if (len > width[i % t->n_columns])
			width[i % t->n_columns] = len;
	}
}

void table_print(struct table *t)
{
	int width[TABLE_COLUMNS] = { 0 };
	size_t i;
	int col;

	table_widths(t, width);
	for (i = 0; i < t->n_cells; i++) {
		col = i % t->n_columns;
		if (t->right & (1U << col))
			printf("%*s", width[col], t->cells[i]);
		else if (col == t->n_columns - 1)
			printf("%s", t->cells[i]);
		else
			printf("%-*s", width[col], t->cells[i]);
		fputs(col == t->n_columns - 1 ? "\n" : "  ", stdout);
		free(t->cells[i]);
	}
	free(t->cells);
	t->cells = NULL;
	t->n_cells = 0;
}

/* A full disk or a closed pipe must not look like success. */
int flush_out(void)
{
	if (fflush(stdout) || ferror(stdout)) {
		fprintf(stderr, "vbe-ctl: cannot write the output: %s\n", strerror(errno));
		return EXIT_FAILED;
	}
	return EXIT_OK;
}

/* Prints and frees @obj. */
int print_json(json_object *obj)
{
	int flags = JSON_C_TO_STRING_NOSLASHESCAPE;

	flags |= opt_pretty ? JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED :
			      JSON_C_TO_STRING_PLAIN;
	puts(must((void *)json_object_to_json_string_ext(obj, flags)));
	json_object_put(obj);
	return flush_out();
}

json_object *get(json_object *obj, const char *key)
{
	json_object *val = NULL;

	json_object_object_get_ex(obj, key, &val);
	return val;
}

/* Never NULL: a missing or null value is an empty string. */
const char *get_string(json_object *obj, const char *key)
{
	json_object *val = get(obj, key);

	return val ? json_object_get_string(val) : "";
}

uint64_t get_u64(json_object *obj, const char *key)
{
	return json_object_get_uint64(get(obj, key));
}

/* An empty or NULL string is null. */
void add_string(json_object *obj, const char *key, const char *val)
{
	json_object_object_add(obj, key, val && *val ? json_object_new_string(val) : NULL);
}

void add_u64(json_object *obj, const char *key, uint64_t val)
{
	json_object_object_add(obj, key, json_object_new_uint64(val));
}

/* 64 bits as a string, since many readers of JSON have only doubles. */
void add_hex(json_object *obj, const char *key, uint64_t val)
{
	char buf[32];

	snprintf(buf, sizeof(buf), "0x%llx", (unsigned long long)val);
	add_string(obj, key, buf);
}

/* The caller frees. */
char *join(json_object *array, const char *separator)
{
	size_t i, n = array ? json_object_array_length(array) : 0;
	size_t size;
	FILE *out;
	char *text;

	out = must(open_memstream(&text, &size));
	for (i = 0; i < n; i++)
		fprintf(out, "%s%s", i ? separator : "",
			json_object_get_string(json_object_array_get_idx(array, i)));
	fclose(out);
	return must(text);
}
