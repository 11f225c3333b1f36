/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests share: time, files, processes, raw ioctls.
 *
 * Copyright (c) 2026 The vbe authors
 */
#ifndef KST_UTIL_H
#define KST_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include <linux/vbe.h>

#define VBE_NODE	"/dev/vbe"
#define ARRAY_LEN(a)	(sizeof(a) / sizeof((a)[0]))
#define NOBODY		65534

/*
 * Milliseconds: what must come, comes within this. So long that only what never comes is
 * late: a machine that shares its processors with others may stand still for half a minute.
 */
#define COMES_MS	60000

int64_t now_ms(void);
void sleep_ms(int ms);
void die(const char *what) __attribute__((noreturn));

/* Calls @cond each 10 ms until it is true; false after @ms. */
bool wait_until(bool (*cond)(void *arg), void *arg, int ms);

int read_text(const char *path, char *buf, size_t size);
int write_text(const char *path, const char *text);
bool exists(const char *path);
void modprobe(const char *module);
int wait_child(pid_t pid, int ms);
char task_state(pid_t tid);
bool is_stuck(pid_t pid);
int send_fd(int sock, int fd);
int recv_fd(int sock);
void keep_only(int fd);
void drop_to_nobody(void);
unsigned int env_seconds(const char *name, unsigned int otherwise);

/* An ioctl's result or -errno. */
int xioctl(int fd, unsigned long cmd, void *arg);
int vbe_open(void);
int dev_open(const char *name);
int dev_open_flags(const char *name, uint32_t flags);
int dev_info(int fd, struct vbe_dev_info *info);
int dev_simple(int fd, unsigned long cmd);
int dev_complete(int fd, uint64_t cookie, uint32_t result);
int dev_complete_data(int fd, uint64_t cookie, uint64_t data);
int queue_info(int fd, uint32_t index, struct vbe_queue_info *info);
int queue_fds(int fd, uint32_t index, uint32_t flags, int kick, int call);
int error_text(int fd, char *text, size_t size);
int read_event(int fd, struct vbe_event *ev, int ms);
int wait_event(int fd, uint32_t type, struct vbe_event *ev, int ms);

/* A set-up that is right: id 4 (rng), one queue of 64. */
struct good_setup {
	struct vbe_dev_setup s;
	uint32_t sizes[VBE_MAX_QUEUES + 1];
	uint8_t config[VBE_MAX_CONFIG + 1];
};

void good_setup(struct good_setup *g);

#endif /* KST_UTIL_H */
