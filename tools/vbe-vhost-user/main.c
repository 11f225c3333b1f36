// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
/* vbe-vhost-user: see vbe-vhost-user(8). Start, privileges, and the loop. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/capability.h>

#include "../common/notify.h"
#include "vbe-vhost-user.h"

const char *const log_name = "vbe-vhost-user";

enum { POLL_SIGNAL, POLL_GUEST, POLL_LISTEN, POLL_CONN, POLL_MAX };

/* What runs. */
struct server {
	const struct options *o;
	struct guest guest;
	struct session session;
	int signal_fd;
	int listen_fd;
};

static int exit_code(int err)
{
	switch (err) {
	case 0:
		return XC_OK;
	case -EACCES:
	case -EPERM:
		return XC_PERM;
	case -ENOENT:
	case -ENOTTY:
	case -EOPNOTSUPP:
		return XC_UNSUPPORTED;
	default:
		return XC_FAIL;
	}
}

/*
 * All that is needed from here on is open. But for a device of somebody else's: making that again,
 * after a backend was lost together with its front-end, takes the privilege that the first did.
 */
static int drop_privileges(const struct options *o)
{
	struct __user_cap_header_struct hdr = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];
	uint32_t keep = 0;

	if (o->uid != VBE_GUEST_SAME_UID || o->gid != VBE_GUEST_NO_GID)
		keep = 1u << CAP_SYS_ADMIN;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(SYS_capget, &hdr, data) < 0)
		return -errno;
	keep &= data[0].permitted;
	memset(data, 0, sizeof(data));
	data[0].permitted = keep;
	data[0].effective = keep;
	return syscall(SYS_capset, &hdr, data) < 0 ? -errno : 0;
}

/* Guest memory in huge pages is pinned on our account: ask for what root may have, or for all. */
static void raise_memlock(void)
{
	struct rlimit lim = { .rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY };

	if (setrlimit(RLIMIT_MEMLOCK, &lim) == 0 || getrlimit(RLIMIT_MEMLOCK, &lim) < 0)
		return;
	lim.rlim_cur = lim.rlim_max;
	setrlimit(RLIMIT_MEMLOCK, &lim);
}

static int signals_open(void)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* The device's state, or its backend, is another. */
static int state_changed(struct server *v)
{
	struct session *s = &v->session;
	uint32_t old = v->guest.info.state, new;
	int ret = guest_info(&v->guest);

	if (ret)
		return ret;
	new = v->guest.info.state;
	if (new == old && new != VBE_DEV_ONLINE)
		return 0;
	if (new == VBE_DEV_ONLINE)
		note("device %s has a backend", v->o->dev);
	if (!session_alive(s))
		return 0;
	if (new == VBE_DEV_LOST) {
		say("device %s has lost its backend: the guest waits for the next one", v->o->dev);
		return 0;
	}
	if (new == VBE_DEV_ONLINE && session_still_fits(s))
		return 0;
	say(new == VBE_DEV_ONLINE ?
	    "device %s is another than the front-end knows: it must connect again" :
	    "device %s was taken away by its backend: the connection is closed", v->o->dev);
	return session_end(s);
}

static int guest_ready(struct server *v)
{
	bool state, config;
	int ret = guest_events(&v->guest, &state, &config);

	if (ret) {
		say("guest: %s", strerror(-ret));
		return ret;
	}
	if (v->guest.gone) {
		say("device %s was deleted", v->o->dev);
		return -ENODEV;
	}
	if (config && session_alive(&v->session))
		session_config_changed(&v->session);
	return state ? state_changed(v) : 0;
}

static void listen_ready(struct server *v)
{
	int fd;

	if (session_alive(&v->session)) {
		listen_refuse(v->listen_fd);
		return;
	}
	/* A backend may have gone a moment ago, and its event not been read yet. */
	if (guest_info(&v->guest) || !guest_online(&v->guest))
		return;
	fd = listen_accept(v->listen_fd);
	if (fd >= 0)
		session_begin(&v->session, fd);
}

/* One round. Returns 1 for the end, 0, or -errno. */
static int turn(struct server *v)
{
	bool alive = session_alive(&v->session);
	struct pollfd p[POLL_MAX] = {
		[POLL_SIGNAL] = { .fd = v->signal_fd, .events = POLLIN },
		[POLL_GUEST] = { .fd = v->guest.fd, .events = POLLIN },
		/* What a device has to offer is its backend's: no backend, no connection. */
		[POLL_LISTEN] = { .fd = alive || guest_online(&v->guest) ? v->listen_fd : -1,
				  .events = POLLIN },
		[POLL_CONN] = { .fd = v->session.fd, .events = POLLIN | POLLRDHUP },
	};
	int ret = 0;

	if (poll(p, POLL_MAX, -1) < 0)
		return errno == EINTR ? 0 : -errno;
	if (p[POLL_SIGNAL].revents)
		return 1;
	/* In this order: a front-end that has gone makes room for the next. */
	if (alive && p[POLL_CONN].revents)
		ret = session_input(&v->session);
	if (!ret && p[POLL_GUEST].revents)
		ret = guest_ready(v);
	/* What it said last may have to be read first: the next one waits for that. */
	if (!ret && p[POLL_LISTEN].revents && !(p[POLL_CONN].revents & (POLLHUP | POLLRDHUP)))
		listen_ready(v);
	return ret;
}

static int serve(struct server *v)
{
	int ret, end;

	notify_send("READY=1");
	note("device %s waits for a backend, and for a front-end", v->o->dev);
	do {
		ret = turn(v);
	} while (!ret);
	notify_send("STOPPING=1");
	/* Let the backend finish what it has: the front-end may connect to a next process. */
	end = session_alive(&v->session) ? session_end(&v->session) : 0;
	return ret < 0 ? ret : end;
}

static int run(struct server *v)
{
	int ret;

	v->signal_fd = signals_open();
	if (v->signal_fd < 0)
		return -errno;
	notify_init();
	raise_memlock();
	v->listen_fd = listen_open(v->o);
	if (v->listen_fd < 0)
		return v->listen_fd;
	ret = guest_open(&v->guest, v->o);
	if (!ret)
		ret = guest_dev_add(&v->guest);
	if (!ret) {
		ret = drop_privileges(v->o);
		if (ret)
			say("cannot give up privileges: %s", strerror(-ret));
	}
	session_init(&v->session, &v->guest);
	if (!ret)
		ret = serve(v);
	listen_close(v->o, v->listen_fd);
	if (v->guest.fd >= 0)
		close(v->guest.fd);
	return ret;
}

int main(int argc, char **argv)
{
	static struct server server = { .guest.fd = -1 };
	struct options o;
	int ret;

	log_fill_stdio();
	ret = options_parse(&o, argc, argv);
	if (ret >= 0)
		return ret;
	log_verbose(o.verbose);
	server.o = &o;
	return exit_code(run(&server));
}
