// SPDX-License-Identifier: BSD-3-Clause
/* Copyright (c) 2026 The vbe authors */
/*
 * A tiny backend: a virtio entropy device (virtio 1.3, 5.4), the simplest there is. It has one
 * queue, no features and no config space; the driver offers buffers, we fill them.
 *
 *	vbe-ctl dev add rng0 --provider loop
 *	tiny-backend rng0 &
 *	dd if=/dev/hwrng bs=16 count=1 | od -x
 *
 * Kill it whenever you like: the driver waits, and the next one goes on.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <vbe/vbe.h>

#define QUEUE_SIZE	8

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
	(void)sig;
	stop = 1;
}

static int fail(struct vbe_dev *dev, const char *what)
{
	fprintf(stderr, "tiny-backend: %s: %s\n", what, vbe_error(dev));
	vbe_close(dev);
	return 1;
}

/* One buffer of the driver. Returns how many bytes we have written to it. */
static uint32_t handle(struct vbe_queue *q, struct vbe_vq_chain *chain, void *arg)
{
	char bytes[256];
	uint64_t len = chain->write_len;

	(void)arg;
	if (len > sizeof(bytes))
		len = sizeof(bytes);
	if (getrandom(bytes, len, 0) != (ssize_t)len ||
	    vbe_vq_chain_write(vbe_queue_vq(q), chain, 0, bytes, len))
		return 0;
	return len;
}

static void serve(struct vbe_queue *q)
{
	struct vbe_vq_seg segs[QUEUE_SIZE];
	struct vbe_vq_chain chain = { .segs = segs, .max_segs = QUEUE_SIZE };

	if (vbe_queue_started(q) && vbe_queue_serve(q, &chain, handle, NULL) < 0)
		fprintf(stderr, "tiny-backend: %s\n", vbe_queue_strerror(q));
}

/* Returns false when the device has gone. */
static int handle_event(struct vbe_dev *dev, struct vbe_queue *q)
{
	struct vbe_event ev;

	if (vbe_event_read(dev, &ev, 1) != 1)
		return 0;
	if (ev.type == VBE_EVENT_STATUS && ev.data[0] & VIRTIO_CONFIG_S_DRIVER_OK)
		vbe_queue_start(q, 0);
	if (ev.type == VBE_EVENT_RESET) {
		vbe_queue_reset(q);
		vbe_complete(dev, ev.cookie, 0);
	}
	return ev.type != VBE_EVENT_OFFLINE && ev.type != VBE_EVENT_GONE &&
	       ev.type != VBE_EVENT_REVOKED;
}

static void loop(struct vbe_dev *dev, struct vbe_queue *q)
{
	struct pollfd fds[2] = {
		{ .fd = vbe_fd(dev), .events = POLLIN },
		{ .fd = vbe_queue_kick_fd(q), .events = POLLIN },
	};

	for (;;) {
		serve(q);
		/* The driver has to leave first; until it has, it is served. */
		if (stop == 1 && vbe_offline(dev) < 0)
			return;
		if (stop)
			stop = 2;
		if (poll(fds, 2, 1000) < 0)
			continue;
		if (fds[1].revents)
			vbe_queue_wait(q, 0);
		if (fds[0].revents && !handle_event(dev, q))
			return;
	}
}

int main(int argc, char **argv)
{
	uint32_t sizes[1] = { QUEUE_SIZE };
	struct vbe_dev_setup setup = {
		.virtio_id = VIRTIO_ID_RNG,
		.features = 1ull << VIRTIO_F_VERSION_1,
		.n_queues = 1,
		.queue_sizes = (uintptr_t)sizes,
		.loss_policy = VBE_LOSS_HOLD,
		.inflight_size = vbe_queue_inflight_size(QUEUE_SIZE),
	};
	struct sigaction sa = { .sa_handler = on_signal };
	struct vbe_dev *dev;
	struct vbe_queue *q;

	if (argc != 2) {
		fprintf(stderr, "usage: tiny-backend DEVICE\n");
		return 2;
	}
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	dev = vbe_open(argv[1], 0);
	if (!dev)
		return fail(NULL, argv[1]);
	q = vbe_queue_new(dev, 0);
	if (!q || vbe_setup(dev, &setup) || vbe_online(dev))
		return fail(dev, "set-up");
	/* After a death of our predecessor the driver is ready already. */
	vbe_queue_start(q, 0);
	loop(dev, q);
	vbe_queue_free(q);
	vbe_close(dev);
	return 0;
}
