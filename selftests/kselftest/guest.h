/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The test as a VMM: a guest fd, memory, devices, and what its vCPUs do.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * What returns int gives 0 or more, or a negative errno; error_text(g->fd, ...) of
 * util.h then has the sentence. Nothing here ends the test but a lack of memory.
 *
 *	struct guest *g = guest_new("g1");
 *	guest_mem_add(g, 0x80000000, 16 << 20, 0);
 *	int dev = guest_dev_add(g, "disk", "mmio", 0x10000000);
 *	be_up(be, "disk");			the backend, from be.h
 *	guest_read(g, VBE_SPACE_MMIO, 0x10000000, 4);
 */
#ifndef KST_GUEST_H
#define KST_GUEST_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <linux/vbe_guest.h>

#define GUEST_MEM	8
#define GUEST_BACKLOG	512

/**
 * struct guest_mem - a memory region, as the test sees it
 * @addr: guest-physical address
 * @len: bytes
 * @host: the test's own mapping, writable also where backends may only read
 * @fd: the memfd, for truncation and holes
 */
struct guest_mem {
	uint64_t addr;
	uint64_t len;
	uint8_t *host;
	int fd;
};

/**
 * struct guest - a guest fd and what the test knows of it
 * @fd: guest fd
 * @last: result of the last guest_read() or guest_write(): 0 or a negative errno
 * @mem: regions made by guest_mem_add() and still there
 * @n_mem: their number
 * @lock: protects @backlog and @n_backlog
 * @backlog: events that were read while another one was waited for
 * @n_backlog: their number
 */
struct guest {
	int fd;
	int last;
	struct guest_mem mem[GUEST_MEM];
	uint32_t n_mem;
	pthread_mutex_t lock;
	struct vbe_guest_event backlog[GUEST_BACKLOG];
	uint32_t n_backlog;
};

/* ---- life: guest_new() gives NULL with errno set; guest_free() takes NULL -------- */

int guest_fd_new(const char *name);		/* the bare fd */
struct guest *guest_new(const char *name);
struct guest *guest_take(int fd);		/* of a guest fd got elsewhere */
void guest_close(struct guest *g);		/* the fd only: the guest's death */
void guest_free(struct guest *g);
int guest_die(struct guest *g);

/* ---- memory ------------------------------------------------------------------------ */

/* A memfd of @len bytes, mapped here too. @flags: VBE_GUEST_MEM_F_*. */
int guest_mem_add(struct guest *g, uint64_t addr, uint64_t len, uint32_t flags);
/* The ioctl alone. */
int guest_mem_add_fd(int guest_fd, int fd, uint64_t offset, uint64_t addr, uint64_t len,
		     uint32_t flags);
int guest_mem_del(struct guest *g, uint64_t addr, uint64_t len);
/* The test's pointer to guest memory, or NULL when not all of it is in one region. */
void *guest_host(struct guest *g, uint64_t addr, uint64_t len);

/* ---- devices ----------------------------------------------------------------------- */

/* For VBE_IOC_GUEST_DEV_ADD: owned by the caller, defaults for the rest. */
struct vbe_guest_dev_add guest_dev_params(const char *name, const char *transport,
					  uint64_t base);
/* The device's number. */
int guest_dev_add(struct guest *g, const char *name, const char *transport, uint64_t base);
int guest_dev_add_params(struct guest *g, struct vbe_guest_dev_add *p);
int guest_dev_del(struct guest *g, uint32_t dev);
int guest_dev_info(struct guest *g, uint32_t dev, struct vbe_guest_dev_info *info);
/* Until it is in @state: false after @ms. */
bool guest_wait_state(struct guest *g, uint32_t dev, uint32_t state, int ms);

/* ---- what a vCPU does ---------------------------------------------------------------- */

#define GUEST_PCI(bdf, offset)	((uint64_t)(bdf) << 12 | (offset))

/*
 * One access; an interrupted one is waited on. @data: in or out. guest_read() gives all
 * ones, of @len bytes, where that fails, and g->last tells.
 */
int guest_access(struct guest *g, uint32_t space, uint64_t addr, uint32_t len, bool write,
		 uint64_t *data);
uint64_t guest_read(struct guest *g, uint32_t space, uint64_t addr, uint32_t len);
int guest_write(struct guest *g, uint32_t space, uint64_t addr, uint32_t len, uint64_t data);
/* The ioctl alone, once: it may come back with VBE_ACCESS_F_PENDING. */
int guest_access_once(struct guest *g, struct vbe_guest_access *a);

/* ---- eventfds, interrupts, events ------------------------------------------------------ */

int guest_set_fd(struct guest *g, uint32_t dev, uint32_t type, uint32_t index, int fd);
int guest_eoi(struct guest *g, uint32_t dev);
int guest_queue_info(struct guest *g, uint32_t dev, uint32_t index,
		     struct vbe_guest_queue_info *info);
/* An eventfd that is read without blocking. */
int guest_eventfd(void);
/* Its count, reset by that: 0 after @ms without one. */
uint64_t guest_eventfd_wait(int fd, int ms);
/* The next event, from the backlog first: 0, -ETIMEDOUT after @ms, -ENODEV: it is dead. */
int guest_next_event(struct guest *g, struct vbe_guest_event *ev, int ms);
/* The next of @type and, unless GUEST_ANY, of @dev; others stay for later. */
#define GUEST_ANY	0xffffffffU
int guest_wait_event(struct guest *g, uint32_t type, uint32_t dev, struct vbe_guest_event *ev,
		     int ms);
/* The same of one @index: a queue, a vector or a region. */
int guest_wait_indexed(struct guest *g, uint32_t type, uint32_t dev, uint32_t index,
		       struct vbe_guest_event *ev, int ms);
/* Forgets all that is there now. */
void guest_drop_events(struct guest *g);

/* ---- transport "direct" ------------------------------------------------------------------ */

int guest_features(struct guest *g, uint32_t dev, uint64_t features);
/* What reads back, or a negative errno. */
int guest_status(struct guest *g, uint32_t dev, uint32_t status);
int guest_queue_set(struct guest *g, uint32_t dev, uint32_t index, uint32_t num, uint64_t desc,
		    uint64_t driver, uint64_t device);
int guest_queue_stop(struct guest *g, uint32_t dev, uint32_t index, uint32_t *base);
int guest_config_read(struct guest *g, uint32_t dev, uint32_t offset, void *buf, uint32_t len,
		      uint32_t *generation);
int guest_config_write(struct guest *g, uint32_t dev, uint32_t offset, const void *buf,
		       uint32_t len);
int guest_kick(struct guest *g, uint32_t dev, uint32_t queue);
int guest_inflight(struct guest *g, uint32_t dev, int fd, uint64_t offset, uint64_t len,
		   uint32_t flags);

#endif /* KST_GUEST_H */
