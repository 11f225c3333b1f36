/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 The vbe authors */
/* Messages to stderr, each one write() of a whole line that begins with log_name. */
#ifndef TOOLS_LOG_H
#define TOOLS_LOG_H

#include <stdbool.h>

/* Each program says what it is called. */
extern const char *const log_name;

/* First of all, before a file is opened. */
void log_fill_stdio(void);
void log_verbose(bool on);
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Only with log_verbose(). */
void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/*
 * What a guest can cause at will: at most a few lines per second, from any thread; tells how many
 * were left out.
 */
void complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif /* TOOLS_LOG_H */
