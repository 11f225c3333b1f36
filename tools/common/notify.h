/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 The vbe authors */
/* Tell the service manager how we are; notify_end() is for a child, which is not the service. */
#ifndef TOOLS_NOTIFY_H
#define TOOLS_NOTIFY_H

void notify_init(void);
void notify_send(const char *text);
void notify_end(void);

#endif /* TOOLS_NOTIFY_H */
