/* SPDX-License-Identifier: BSD-3-Clause */
/* Copyright (c) 2026 The vbe authors */
/*
 * What the virtqueue engine needs of its surroundings; the only file to touch for a new one.
 *
 * Loads and stores of shared memory are volatile, so that the compiler neither repeats, merges
 * nor reorders them. The in-flight log relies on that: a process that is killed leaves exactly a
 * prefix of its stores behind. Order towards the FE, on another CPU, comes from the barriers.
 */
#ifndef VBE_VIRTQUEUE_PORT_H
#define VBE_VIRTQUEUE_PORT_H

#ifdef __KERNEL__

#include <linux/compiler.h>
#include <linux/nospec.h>
#include <linux/string.h>
#include <linux/types.h>
#include <asm/barrier.h>
#include <asm/byteorder.h>

#define vbe_likely(x)		likely(x)
#define vbe_unlikely(x)		unlikely(x)
#define vbe_index(i, n)		array_index_nospec(i, n)

/* The other side is another machine, virtual or not, on other CPUs even if this one has one. */
#define vbe_mb()		virt_mb()	/* all before all after */
#define vbe_rmb()		virt_rmb()	/* loads before loads */
#define vbe_wmb()		virt_wmb()	/* stores before stores */

#ifdef __BIG_ENDIAN
#define VBE_BIG_ENDIAN
#endif

#else /* !__KERNEL__ */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A freestanding compiler may emit calls of these two, so that they exist everywhere. */
#define memcpy(d, s, n)		__builtin_memcpy(d, s, n)
#define memset(d, c, n)		__builtin_memset(d, c, n)

#define vbe_likely(x)		__builtin_expect(!!(x), 1)
#define vbe_unlikely(x)		__builtin_expect(!!(x), 0)
#define vbe_index(i, n)		((void)(n), (i))

#define vbe_mb()		__atomic_thread_fence(__ATOMIC_SEQ_CST)
#define vbe_rmb()		__atomic_thread_fence(__ATOMIC_ACQUIRE)
#define vbe_wmb()		__atomic_thread_fence(__ATOMIC_RELEASE)

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define VBE_BIG_ENDIAN
#endif

#endif /* __KERNEL__ */

#ifdef VBE_BIG_ENDIAN
#define vbe_le16(x)		__builtin_bswap16(x)
#define vbe_le32(x)		__builtin_bswap32(x)
#define vbe_le64(x)		__builtin_bswap64(x)
#else
#define vbe_le16(x)		((uint16_t)(x))
#define vbe_le32(x)		((uint32_t)(x))
#define vbe_le64(x)		((uint64_t)(x))
#endif

/* The tests count descriptor reads, and "kill" the BE before any store of shared memory. */
#ifdef VBE_VQ_TEST
void vbe_vq_test_store(void);
void vbe_vq_test_desc_read(void);
#else
#define vbe_vq_test_store()	do { } while (0)
#define vbe_vq_test_desc_read()	do { } while (0)
#endif

static inline uint16_t vbe_load16(const void *p)
{
	return *(const volatile uint16_t *)p;
}

static inline uint32_t vbe_load32(const void *p)
{
	return *(const volatile uint32_t *)p;
}

static inline uint64_t vbe_load64(const void *p)
{
	return *(const volatile uint64_t *)p;
}

static inline void vbe_store16(void *p, uint16_t v)
{
	vbe_vq_test_store();
	*(volatile uint16_t *)p = v;
}

static inline void vbe_store32(void *p, uint32_t v)
{
	vbe_vq_test_store();
	*(volatile uint32_t *)p = v;
}

/* May be two stores on a 32-bit machine. */
static inline void vbe_store64(void *p, uint64_t v)
{
	vbe_vq_test_store();
	*(volatile uint64_t *)p = v;
}

#endif /* VBE_VIRTQUEUE_PORT_H */
