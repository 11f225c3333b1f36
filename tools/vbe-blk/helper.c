// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
/* A thread beside a queue's worker, for system calls that may take seconds. */
#include <errno.h>
#include <string.h>

#include "vbe-blk.h"

static void do_request(const struct image *img, struct blk_request *r)
{
	int ret = 0;

	for (uint32_t i = 0; i < r->n_ranges && !ret; i++) {
		const struct blk_range *range = &r->ranges[i];

		if (!range->len)
			continue;
		if (r->op == BLK_DISCARD)
			ret = image_discard(img, range->off, range->len);
		else
			ret = image_zero(img, range->off, range->len, range->unmap);
	}
	if (!ret && r->stable)
		ret = image_sync(img);
	if (ret) {
		complain("%s failed: %s", r->op == BLK_DISCARD ? "discard" : "write zeroes",
			 strerror(-ret));
		r->status = VIRTIO_BLK_S_IOERR;
	}
}

static void *helper_main(void *arg)
{
	struct helper *h = arg;
	struct blk_request *r;

	pthread_mutex_lock(&h->lock);
	for (;;) {
		while (!h->todo && !h->stop)
			pthread_cond_wait(&h->cond, &h->lock);
		r = h->todo;
		if (!r)
			break;
		h->todo = r->next;
		pthread_mutex_unlock(&h->lock);
		do_request(h->img, r);
		pthread_mutex_lock(&h->lock);
		r->next = h->done;
		h->done = r;
		vbe_queue_wake(h->wake);
	}
	pthread_mutex_unlock(&h->lock);
	return NULL;
}

int helper_start(struct helper *h, const struct image *img, struct vbe_queue *wake)
{
	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->cond, NULL);
	h->img = img;
	h->wake = wake;
	return -pthread_create(&h->thread, NULL, helper_main, h);
}

void helper_stop(struct helper *h)
{
	pthread_mutex_lock(&h->lock);
	h->stop = true;
	pthread_cond_signal(&h->cond);
	pthread_mutex_unlock(&h->lock);
	pthread_join(h->thread, NULL);
}

void helper_submit(struct helper *h, struct blk_request *r)
{
	struct blk_request **tail;

	r->next = NULL;
	pthread_mutex_lock(&h->lock);
	for (tail = &h->todo; *tail; tail = &(*tail)->next)
		;
	*tail = r;
	pthread_cond_signal(&h->cond);
	pthread_mutex_unlock(&h->lock);
}

/* Take what is done, as a list. */
struct blk_request *helper_reap(struct helper *h)
{
	struct blk_request *done;

	pthread_mutex_lock(&h->lock);
	done = h->done;
	h->done = NULL;
	pthread_mutex_unlock(&h->lock);
	return done;
}
