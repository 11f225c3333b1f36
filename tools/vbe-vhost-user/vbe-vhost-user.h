/* SPDX-License-Identifier: GPL-2.0 */
/* Copyright (c) 2026 The vbe authors */
/*
 * vbe-vhost-user: puts the guest of a vhost-user front-end on /dev/vbe.
 *
 *	front-end (a VMM) --vhost-user--> this --guest fd--> vbe --> any backend
 *
 * Only control passes through here. The front-end's kick and call eventfds and its memory files
 * are given to the kernel; no code of this program runs when a request is made or completed.
 *
 * Files:
 *
 *	main.c		start, privileges, the loop
 *	options.c	the command line
 *	listen.c	the socket
 *	guest.c		the guest fd: one function for each ioctl
 *	session.c	what a connection is, from accept to its end
 *	conn.c		messages in and out
 *	request.c	which requests there are, and the simple ones
 *	memory.c	the memory table
 *	queue.c		rings
 *	inflight.c	the area that lets I/O survive this program
 */
#ifndef VBE_VHOST_USER_H
#define VBE_VHOST_USER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <linux/vbe.h>
#include <linux/vbe_guest.h>

#include "../common/log.h"
#include "protocol.h"

#define BIT(n)		(1ull << (n))

enum exit_code { XC_OK, XC_FAIL, XC_USAGE, XC_UNSUPPORTED, XC_PERM };

/**
 * struct options - the command line
 * @socket: path to listen on, or NULL with @fd
 * @fd: listening socket that was inherited, or -1
 * @socket_mode: permissions of the socket
 * @socket_gid: its group; (gid_t)-1: as it comes
 * @dev: device name
 * @guest: name of the guest
 * @uid: who may serve the device
 * @gid: group that may
 * @virtio_id: fixes its type, or 0
 * @reset_ms: how long a reset waits for the backend, 0 for the default
 * @verbose: say more
 */
struct options {
	const char *socket;
	int fd;
	mode_t socket_mode;
	gid_t socket_gid;
	const char *dev;
	char guest[VBE_LABEL_MAX];
	uint32_t uid;
	uint32_t gid;
	uint32_t virtio_id;
	uint32_t reset_ms;
	bool verbose;
};

/**
 * struct guest - the guest fd, and the one device of the guest
 * @fd: guest fd
 * @call: makes an ioctl on it: 0 or -errno. Tests bring their own
 * @why: the kernel's sentence for the last one that failed
 * @o: how to make the device
 * @dev: its number
 * @info: as last asked
 * @status: device status as last written or read
 * @features: what the driver took, as far as the kernel knows
 * @gone: the administrator deleted the device
 */
struct guest {
	int fd;
	int (*call)(struct guest *g, unsigned long cmd, void *arg);
	const char *(*why)(struct guest *g, int err);
	const struct options *o;
	uint32_t dev;
	struct vbe_guest_dev_info info;
	uint32_t status;
	uint64_t features;
	bool gone;
};

/**
 * struct region - a memory region of the front-end, which the kernel has
 * @guest_addr: guest-physical address
 * @user_addr: where the front-end has mapped it: how it names rings
 * @size: bytes
 * @offset: in the file
 * @dev: file
 * @ino: file
 */
struct region {
	uint64_t guest_addr;
	uint64_t user_addr;
	uint64_t size;
	uint64_t offset;
	dev_t dev;
	ino_t ino;
};

/**
 * struct ring - a ring as the front-end described it
 * @num: entries, 0 before SET_VRING_NUM
 * @base: where to begin
 * @desc: user address of the descriptor area
 * @driver: of the driver area ("available")
 * @device: of the device area ("used")
 * @has_base: SET_VRING_BASE came
 * @has_addr: SET_VRING_ADDR came
 * @has_kick: the kernel has a kick eventfd
 * @has_call: the kernel has a call eventfd
 * @told: SET_VRING_ENABLE came
 * @enabled: what it said
 * @running: the kernel has it enabled
 */
struct ring {
	uint32_t num;
	uint32_t base;
	uint64_t desc;
	uint64_t driver;
	uint64_t device;
	bool has_base;
	bool has_addr;
	bool has_kick;
	bool has_call;
	bool told;
	bool enabled;
	bool running;
};

/**
 * struct file_id - which file it is, whatever its descriptor
 * @dev: device
 * @ino: inode
 */
struct file_id {
	dev_t dev;
	ino_t ino;
};

/**
 * struct message - one message of the front-end, and the reply
 * @h: header
 * @p: payload
 * @fds: what came with it; -1 where somebody took it
 * @n_fds: number
 * @got: bytes of header and payload received so far
 * @reply_fd: goes with the reply, and is closed then; or -1
 */
struct message {
	struct vu_header h;
	union vu_payload p;
	int fds[VU_MAX_FDS];
	unsigned int n_fds;
	size_t got;
	int reply_fd;
};

/**
 * struct session - a connection
 * @g: guest
 * @fd: socket, -1 when there is none
 * @msg: the message that is being received
 * @offered: virtio features that the front-end was offered
 * @features: those it took
 * @features_set: SET_FEATURES came
 * @proto_offered: protocol features that the front-end was offered
 * @proto: those it took
 * @proto_set: SET_PROTOCOL_FEATURES came
 * @status: device status as the front-end wrote it (protocol feature STATUS)
 * @n_queues: of the device when the connection began
 * @inflight_size: likewise, bytes per queue
 * @config_size: likewise
 * @virtio_id: likewise
 * @backend_fd: channel for our requests, or -1
 * @rings: rings
 * @regions: memory
 * @n_regions: number
 * @inflight_fd: in-flight area that the kernel is to get, or -1
 * @inflight_offset: where in the file
 * @inflight_given: the kernel has one
 * @fresh: the area that GET_INFLIGHT_FD made last: nothing is in it before it was used
 */
struct session {
	struct guest *g;
	int fd;
	struct message msg;
	uint64_t offered;
	uint64_t features;
	bool features_set;
	uint64_t proto_offered;
	uint64_t proto;
	bool proto_set;
	uint32_t status;
	uint32_t n_queues;
	uint32_t inflight_size;
	uint32_t config_size;
	uint32_t virtio_id;
	int backend_fd;
	struct ring rings[VBE_MAX_QUEUES];
	struct region regions[VBE_GUEST_MAX_MEM];
	unsigned int n_regions;
	int inflight_fd;
	uint64_t inflight_offset;
	bool inflight_given;
	struct file_id fresh;
};

/* options.c */
int options_parse(struct options *o, int argc, char **argv);

/* listen.c */
int listen_open(const struct options *o);
int listen_accept(int fd);
void listen_refuse(int fd);
void listen_close(const struct options *o, int fd);

/*
 * guest.c. All return 0 or -errno, and complain() before they return an error, but where they say
 * that they do not.
 */
int guest_open(struct guest *g, const struct options *o);
int guest_dev_add(struct guest *g);
int guest_dev_renew(struct guest *g);
int guest_info(struct guest *g);
bool guest_online(const struct guest *g);
int guest_reset(struct guest *g);
int guest_set_status(struct guest *g, uint32_t status);
int guest_negotiate(struct guest *g, uint64_t features);
int guest_config(struct guest *g, uint32_t offset, uint32_t len, void *buf, bool write);
int guest_set_fd(struct guest *g, uint32_t type, uint32_t index, int fd);
int guest_queue_start(struct guest *g, struct vbe_guest_queue_set *q);
int guest_queue_stop(struct guest *g, uint32_t index, uint32_t *base);
int guest_mem_add(struct guest *g, const struct region *r, int fd);
int guest_mem_del(struct guest *g, const struct region *r);
int guest_inflight(struct guest *g, int fd, uint64_t offset, uint64_t len, bool resume);
int guest_events(struct guest *g, bool *state, bool *config);

/* session.c */
void session_init(struct session *s, struct guest *g);
void session_begin(struct session *s, int fd);
int session_end(struct session *s);
int session_input(struct session *s);
bool session_alive(const struct session *s);
int session_commit(struct session *s, bool rings);
bool session_still_fits(const struct session *s);
void session_config_changed(struct session *s);

/* conn.c */
int conn_receive(struct session *s);
int conn_reply(struct session *s, struct message *m);
void message_reset(struct message *m);

/* request.c */
int request_handle(struct session *s, struct message *m);

/* memory.c */
int request_set_mem_table(struct session *s, struct message *m);
int request_add_mem_reg(struct session *s, struct message *m);
int request_rem_mem_reg(struct session *s, struct message *m);
bool memory_translate(const struct session *s, uint64_t user, uint64_t len, __u64 *guest);
void memory_drop(struct session *s);

/* queue.c */
int request_set_vring_num(struct session *s, struct message *m);
int request_set_vring_addr(struct session *s, struct message *m);
int request_set_vring_base(struct session *s, struct message *m);
int request_get_vring_base(struct session *s, struct message *m);
int request_set_vring_kick(struct session *s, struct message *m);
int request_set_vring_call(struct session *s, struct message *m);
int request_set_vring_err(struct session *s, struct message *m);
int request_set_vring_enable(struct session *s, struct message *m);
int rings_disable(struct session *s);
int rings_pause(struct session *s);
int rings_update(struct session *s, bool strict);
bool rings_running(const struct session *s);
int rings_end(struct session *s);
void rings_forget(struct session *s);

/* inflight.c */
int request_get_inflight_fd(struct session *s, struct message *m);
int request_set_inflight_fd(struct session *s, struct message *m);
int inflight_give(struct session *s);
void inflight_drop(struct session *s);

/* Whether the front-end took protocol feature @bit. */
static inline bool has_proto(const struct session *s, uint64_t bit)
{
	return s->proto & bit;
}

static inline bool is_packed(const struct session *s)
{
	return s->features & BIT(34); /* VIRTIO_F_RING_PACKED */
}

#endif /* VBE_VHOST_USER_H */
