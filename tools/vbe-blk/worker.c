// SPDX-License-Identifier: GPL-2.0
/* Copyright (c) 2026 The vbe authors */
/*
 * A queue's thread.
 *
 * With nothing in flight it sleeps in read() of the kick eventfd: one system call, and the
 * shortest way from a kick to its request. With I/O in flight it sleeps in io_uring, with that
 * read armed there too.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "vbe-blk.h"

static void set_in_flight(struct worker *w, uint32_t n)
{
	__atomic_store_n(&w->in_flight, n, __ATOMIC_RELAXED);
}

/**
 * worker_done() - a request is finished
 * @w: its worker
 * @r: request
 *
 * The driver sees it with the next publish().
 */
void worker_done(struct worker *w, struct blk_request *r)
{
	struct vbe_vq *vq = vbe_queue_vq(w->q);
	int ret = vbe_vq_stage(vq, r->chain.token, blk_finish(vq, r));

	if (ret && !vbe_vq_error(vq))
		complain("queue %u: %s", w->index, vbe_vq_strerror(ret));
	w->staged++;
	set_in_flight(w, w->in_flight - 1);
	r->next = w->free;
	w->free = r;
}

static void publish(struct worker *w, bool must_look)
{
	if (w->staged)
		vbe_vq_flush(vbe_queue_vq(w->q));
	/* A device that has gone is told by its events. */
	if (w->staged || must_look)
		vbe_queue_call(w->q);
	w->staged = 0;
}

static void count(struct worker *w, const struct blk_request *r)
{
	if (r->op == BLK_READ)
		w->n_read++;
	else if (r->op == BLK_WRITE)
		w->n_write++;
	else
		w->n_other++;
}

/**
 * worker_attached() - whether the driver's memory is still that
 * @w: worker
 *
 * A revoked backend reads zeroes there. So this is asked after data was taken out of it, and before
 * anything is done to the image with that data.
 */
bool worker_attached(const struct worker *w)
{
	struct vbe_dev_info info;

	return vbe_get_info(w->dev, &info) == 0;
}

/* Whether a request that changes the image, or makes it stable, must be refused. */
static bool must_refuse(const struct worker *w, const struct blk_request *r)
{
	if (r->op == BLK_DONE || r->op == BLK_READ || r->op == BLK_GET_ID)
		return false;
	if (__atomic_load_n(&w->unstable, __ATOMIC_RELAXED))
		return true;
	return (r->op == BLK_DISCARD || r->op == BLK_ZERO) && !worker_attached(w);
}

static void start(struct worker *w, struct blk_request *r)
{
	struct vbe_vq *vq = vbe_queue_vq(w->q);
	struct blk_limits lim = {
		.capacity = image_size(w->img),
		.read_only = w->img->read_only,
		.can_discard = w->can_discard,
	};

	blk_parse(vq, &lim, r);
	r->stable = __atomic_load_n(&w->writethrough, __ATOMIC_RELAXED);
	count(w, r);
	if (must_refuse(w, r))
		r->status = VIRTIO_BLK_S_IOERR;
	else if (r->op == BLK_GET_ID)
		blk_get_id(vq, r, w->serial);
	else if (!w->ring && r->op == BLK_READ)
		blk_fill_zero(vq, r);
	else if (w->ring && (r->op == BLK_READ || r->op == BLK_WRITE || r->op == BLK_FLUSH))
		return ring_start(w, r);
	else if (w->ring && (r->op == BLK_DISCARD || r->op == BLK_ZERO))
		return helper_submit(&w->helper, r);
	worker_done(w, r);
}

/* As vbe_vq_pop(). */
static int pop(struct worker *w)
{
	struct blk_request *r = w->free;
	int ret;

	/* There is a request for each entry of the queue. */
	if (!r)
		return 0;
	r->chain.segs = r->segs;
	r->chain.max_segs = BLK_SEGS;
	ret = vbe_vq_pop(vbe_queue_vq(w->q), &r->chain);
	if (ret <= 0)
		return ret;
	w->free = r->next;
	set_in_flight(w, w->in_flight + 1);
	start(w, r);
	return 1;
}

static void reap_helper(struct worker *w)
{
	struct blk_request *r = w->ring ? helper_reap(&w->helper) : NULL;

	while (r) {
		struct blk_request *next = r->next;

		worker_done(w, r);
		r = next;
	}
}

/* Take all there is. A driver that never pauses does not keep us from looking at @want. */
static void look(struct worker *w)
{
	struct vbe_vq *vq = vbe_queue_vq(w->q);
	uint32_t budget = 4 * w->n_reqs;
	int ret = 0;

	if (w->broken)
		return;
	do {
		vbe_vq_disable_kicks(vq);
		while (budget && (ret = pop(w)) > 0)
			budget--;
		publish(w, false);
		if (!budget || ret < 0)
			break;
		ret = vbe_vq_enable_kicks(vq);
	} while (ret > 0);
	if (!budget)
		vbe_queue_wake(w->q);
	if (ret < 0) {
		w->broken = true;
		say("queue %u stopped until the driver resets the device: %s", w->index,
		    vbe_vq_strerror(ret));
	}
}

static void wait_for_work(struct worker *w)
{
	int ret;

	if (w->ring && ring_busy(w->ring))
		ret = ring_wait(w);
	else
		ret = vbe_queue_wait(w->q, -1);
	if (ret < 0 && ret != -EINTR)
		complain("queue %u: cannot wait: %s", w->index, strerror(-ret));
	reap_helper(w);
}

static void set_state(struct worker *w, enum worker_state state)
{
	pthread_mutex_lock(&w->lock);
	w->state = state;
	pthread_cond_broadcast(&w->cond);
	pthread_mutex_unlock(&w->lock);
}

/*
 * Finish what is in flight. New kicks are swallowed: who runs again looks at the queue without one.
 * Returns false when something else is wanted meanwhile.
 */
static bool drain(struct worker *w, int want)
{
	while (w->in_flight) {
		if (__atomic_load_n(&w->want, __ATOMIC_ACQUIRE) != want)
			return false;
		wait_for_work(w);
		publish(w, false);
	}
	return true;
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;

	for (;;) {
		int want = __atomic_load_n(&w->want, __ATOMIC_ACQUIRE);

		if (want == W_RUN) {
			if (w->state != W_RUN) {
				w->broken = false;
				set_state(w, W_RUN);
				look(w);
				/* What a former backend published may lack its call. */
				publish(w, true);
			}
			look(w);
		} else {
			if (!drain(w, want))
				continue;
			set_state(w, want);
			if (want == W_EXIT)
				return NULL;
		}
		wait_for_work(w);
		if (w->staged)
			publish(w, false);
	}
}

/**
 * worker_create() - make the thread of a queue, idle
 * @w: worker, with what is constant filled in, and its ring
 * @queue_size: the most entries of the queue
 *
 * Return: 0 or a negative errno.
 */
int worker_create(struct worker *w, uint32_t queue_size)
{
	pthread_condattr_t attr;
	int ret;

	w->reqs = calloc(queue_size, sizeof(*w->reqs));
	if (!w->reqs)
		return -ENOMEM;
	w->n_reqs = queue_size;
	for (uint32_t i = 0; i < queue_size; i++) {
		w->reqs[i].next = w->free;
		w->free = &w->reqs[i];
	}
	pthread_mutex_init(&w->lock, NULL);
	/* A clock that is set must not look like a time-out. */
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w->cond, &attr);
	pthread_condattr_destroy(&attr);
	if (w->ring) {
		ret = helper_start(&w->helper, w->img, w->q);
		if (ret)
			return ret;
	}
	return -pthread_create(&w->thread, NULL, worker_main, w);
}

/**
 * worker_order() - tell a worker what to do, without waiting
 * @w: worker
 * @want: state
 */
void worker_order(struct worker *w, enum worker_state want)
{
	__atomic_store_n(&w->want, want, __ATOMIC_RELEASE);
	vbe_queue_wake(w->q);
}

/**
 * worker_await() - wait until a worker does what it was told
 * @w: worker
 * @timeout_ms: at most so long
 *
 * Return: 0 or -ETIMEDOUT.
 */
int worker_await(struct worker *w, unsigned int timeout_ms)
{
	struct timespec end;
	int ret = 0;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += timeout_ms / 1000;
	end.tv_nsec += timeout_ms % 1000 * 1000000l;
	if (end.tv_nsec >= 1000000000l) {
		end.tv_nsec -= 1000000000l;
		end.tv_sec++;
	}
	pthread_mutex_lock(&w->lock);
	while ((int)w->state != w->want && !ret)
		ret = pthread_cond_timedwait(&w->cond, &w->lock, &end);
	pthread_mutex_unlock(&w->lock);
	return -ret;
}

/* After W_EXIT. */
void worker_join(struct worker *w)
{
	pthread_join(w->thread, NULL);
	if (w->ring)
		helper_stop(&w->helper);
	ring_free(w->ring);
	free(w->reqs);
	vbe_queue_free(w->q);
}
