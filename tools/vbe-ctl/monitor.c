// SPDX-License-Identifier: GPL-2.0
/*
 * vbe-ctl monitor: events as they happen.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * Nothing is lost silently. Every event of the family has a number; a jump in
 * them, or an overflow of the socket, prints a gap, and then how each device is
 * now.
 */
#include <errno.h>
#include <linux/genetlink.h>
#include <netlink/genl/genl.h>
#include <netlink/socket.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "vbe-ctl.h"

/**
 * struct monitor - a listener
 * @args: command line
 * @sock: where events come
 * @signal_fd: SIGINT and SIGTERM
 * @seq: number of the last event, 0 before the first
 * @left: events to print before the end, 0 for no end
 * @ret: exit code so far
 * @resync: a gap was printed: say how the devices are, once the socket is empty
 * @stop: enough
 */
struct monitor {
	const struct args *args;
	struct nl_sock *sock;
	int signal_fd;
	uint64_t seq;
	uint32_t left;
	int ret;
	bool resync;
	bool stop;
};

static void add_now(json_object *event)
{
	struct timespec wall;
	char text[32], stamp[64];
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &wall);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", gmtime_r(&wall.tv_sec, &tm));
	snprintf(stamp, sizeof(stamp), "%s.%06ldZ", text, wall.tv_nsec / 1000);
	add_string(event, "time", stamp);
}

static void print_text(json_object *event)
{
	const char *kind = get_string(event, "event");
	char *status;

	printf("%s  ", get_string(event, "time"));
	if (!strcmp(kind, "start")) {
		puts("start: watching (Ctrl-C ends)");
	} else if (!strcmp(kind, "gap")) {
		printf("gap: %s; how the devices are follows\n", get_string(event, "reason"));
	} else {
		status = join(get(event, "status_names"), " ");
		printf("%s  %-13s  state %s", get_string(event, "device"), kind,
		       get_string(event, "state"));
		printf("%s%s\n", *status ? "  status " : "", status);
		free(status);
	}
}

/* Frees @event. */
static void print_event(struct monitor *m, json_object *event)
{
	if (opt_json) {
		m->ret = print_json(event);
	} else {
		print_text(event);
		json_object_put(event);
		m->ret = flush_out();
	}
	if (m->ret)
		m->stop = true;
}

static bool wanted(const struct monitor *m, const char *device)
{
	return !m->args->n_pos || !strcmp(device, m->args->pos[0]);
}

static void print_sync(struct monitor *m)
{
	json_object *devices, *dev, *event;
	struct failure why;
	size_t i;

	m->resync = false;
	if (model_dump(VBE_CMD_DEV_GET, NULL, &devices, &why)) {
		m->ret = nl_refused(m->args->cmd, NULL, &why);
		m->stop = true;
		return;
	}
	for (i = 0; i < json_object_array_length(devices) && !m->stop; i++) {
		dev = json_object_array_get_idx(devices, i);
		if (!wanted(m, get_string(dev, "name")))
			continue;
		event = json_object_new_object();
		add_string(event, "event", "sync");
		add_string(event, "device", get_string(dev, "name"));
		add_u64(event, "id", get_u64(dev, "id"));
		add_string(event, "state", get_string(dev, "state"));
		add_u64(event, "status", get_u64(dev, "status"));
		json_object_object_add(event, "status_names",
				       json_object_get(get(dev, "status_names")));
		add_now(event);
		print_event(m, event);
	}
	json_object_put(devices);
}

/* @lost: how many, or 0 when nobody knows. */
static void print_gap(struct monitor *m, uint64_t lost)
{
	json_object *event = json_object_new_object();
	char reason[80] = "events came faster than they were read";

	if (lost)
		snprintf(reason, sizeof(reason), "%llu event(s) lost", (unsigned long long)lost);
	add_string(event, "event", "gap");
	add_string(event, "reason", reason);
	if (lost)
		add_u64(event, "lost", lost);
	else
		json_object_object_add(event, "lost", NULL);
	add_now(event);
	print_event(m, event);
	m->resync = true;
}

/* Without the module nothing would ever come again. */
static void on_control(struct monitor *m, struct nlmsghdr *nlh)
{
	const struct genlmsghdr *genl = nlmsg_data(nlh);
	struct nlattr *tb[CTRL_ATTR_MAX + 1];

	if (genl->cmd != CTRL_CMD_DELFAMILY || genlmsg_parse(nlh, 0, tb, CTRL_ATTR_MAX, NULL) ||
	    !tb[CTRL_ATTR_FAMILY_NAME] ||
	    nla_strcmp(tb[CTRL_ATTR_FAMILY_NAME], VBE_FAMILY_NAME))
		return;
	m->ret = fail(m->args->cmd, EXIT_FAILED, "the module vbe was unloaded");
	m->stop = true;
}

static int on_event(struct nl_msg *msg, void *arg)
{
	const struct genlmsghdr *genl = nlmsg_data(nlmsg_hdr(msg));
	struct monitor *m = arg;
	json_object *event;
	uint64_t seq;

	if (m->stop)
		return NL_OK;
	if (nlmsg_hdr(msg)->nlmsg_type == GENL_ID_CTRL) {
		on_control(m, nlmsg_hdr(msg));
		return NL_OK;
	}
	if (genl->cmd != VBE_CMD_DEV_NTF)
		return NL_OK;
	event = model_event(nlmsg_hdr(msg));
	if (!event)
		return NL_OK;
	seq = get_u64(event, "seq");
	if (m->seq && seq > m->seq + 1)
		print_gap(m, seq - m->seq - 1);
	m->seq = seq;
	if (m->stop || !wanted(m, get_string(event, "device"))) {
		json_object_put(event);
		return NL_OK;
	}
	print_event(m, event);
	if (m->left && !--m->left)
		m->stop = true;
	return NL_OK;
}

static void receive(struct monitor *m)
{
	int ret = nl_recvmsgs_default(m->sock);

	/* libnl's word for ENOBUFS: the kernel dropped some. */
	if (ret == -NLE_NOMEM) {
		m->seq = 0;
		print_gap(m, 0);
	} else if (ret < 0 && ret != -NLE_AGAIN && ret != -NLE_INTR) {
		m->ret = fail(m->args->cmd, EXIT_FAILED, "netlink: %s", nl_geterror(ret));
		m->stop = true;
	}
}

static void watch(struct monitor *m)
{
	struct pollfd fds[] = {
		{ .fd = nl_socket_get_fd(m->sock), .events = POLLIN },
		{ .fd = m->signal_fd, .events = POLLIN },
	};

	while (!m->stop) {
		/* What waits in the socket is older than what a dump would say. */
		int n = poll(fds, 2, m->resync ? 0 : -1);

		if (n < 0 && errno != EINTR)
			m->stop = true;
		else if (n > 0 && fds[1].revents)
			m->stop = true;
		else if (n > 0 && fds[0].revents)
			receive(m);
		else if (!n)
			print_sync(m);
	}
}

static int block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

static void print_start(struct monitor *m)
{
	json_object *event = json_object_new_object();

	add_string(event, "event", "start");
	add_now(event);
	print_event(m, event);
}

int cmd_monitor(const struct args *a)
{
	struct monitor m = { .args = a, .signal_fd = -1 };
	const char *why, *text = a->opt[OPT_COUNT];
	int ret;

	if (text && (parse_u32(text, &m.left, &why) || !m.left))
		return usage_error(a->cmd, "--count '%s': write a whole number from 1 on", text);
	ret = kernel_open(a->cmd);
	if (ret)
		return ret;
	m.sock = nl_events_open(a->cmd);
	if (!m.sock)
		return EXIT_FAILED;
	nl_socket_modify_cb(m.sock, NL_CB_VALID, NL_CB_CUSTOM, on_event, &m);
	m.signal_fd = block_signals();
	if (m.signal_fd < 0) {
		m.ret = fail(a->cmd, EXIT_FAILED, "signalfd: %s", strerror(errno));
	} else {
		print_start(&m);
		watch(&m);
		close(m.signal_fd);
	}
	nl_socket_free(m.sock);
	return m.ret;
}
