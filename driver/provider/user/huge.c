// SPDX-License-Identifier: GPL-2.0
/*
 * Guest memory in huge pages (hugetlbfs, memfd with MFD_HUGETLB).
 *
 * Copyright (c) 2026 The vbe authors
 *
 * Nobody outside can ask hugetlbfs for a page, as can be done with shmem. But its pages
 * stay in memory anyway: so they are found through a passing mapping in the VMM, and
 * pinned as long as they are guest memory, on the VMM's account (RLIMIT_MEMLOCK) and
 * under the module's cap. What the VMM punches out of the file meanwhile, backends keep.
 *
 * Backends map them in small pieces and without references (class "pfn"): the kernel
 * counts mappings of such pages as wholes only.
 */
#include <linux/hugetlb.h>
#include <linux/magic.h>
#include <linux/mman.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "user.h"

#define USER_PIN_BATCH	4096	/* pages, between looks for a fatal signal */

/* Is @file made of huge pages? */
bool user_file_huge(struct file *file)
{
	return IS_ENABLED(CONFIG_HUGETLBFS) &&
	       file->f_mapping->host->i_sb->s_magic == HUGETLBFS_MAGIC;
}

/* Its seals, F_SEAL_*; it is made of huge pages. */
unsigned int user_file_huge_seals(struct file *file)
{
#ifdef CONFIG_HUGETLBFS
	return READ_ONCE(HUGETLBFS_I(file->f_mapping->host)->seals);
#else
	return 0;
#endif
}

static int user_huge_account(struct user_huge *huge, struct vbe_why *why)
{
	int ret;

	if (!vbe_pages_charge(huge->n))
		return vbe_fail(why, -ENOMEM, "over the cap on vbe's memory (mem_limit_mb)");
	ret = account_locked_vm(current->mm, huge->n, true);
	if (ret) {
		vbe_pages_uncharge(huge->n);
		return vbe_fail(why, ret,
				"huge pages are pinned: over RLIMIT_MEMLOCK, or out of memory");
	}
	mmgrab(current->mm);
	huge->mm = current->mm;
	return 0;
}

static void user_huge_unaccount(struct user_huge *huge)
{
	if (mmget_not_zero(huge->mm)) {
		account_locked_vm(huge->mm, huge->n, false);
		mmput(huge->mm);
	}
	mmdrop(huge->mm);
	vbe_pages_uncharge(huge->n);
}

/* Pins from @va on. Returns 0 with all of them, else @huge->pinned tells how many. */
static int user_huge_pin_at(struct user_huge *huge, unsigned long va, unsigned int flags)
{
	long got;

	while (huge->pinned < huge->n) {
		got = pin_user_pages_fast(va + huge->pinned * PAGE_SIZE,
					  min(huge->n - huge->pinned, USER_PIN_BATCH + 0UL),
					  flags, huge->pages + huge->pinned);
		if (got <= 0)
			return got ?: -EFAULT;
		huge->pinned += got;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

/* The VMM has other threads, who may map what they like where we look. */
static bool user_huge_is_of(struct user_huge *huge, struct file *file)
{
	unsigned long i;

	for (i = 0; i < huge->n; i++)
		if (READ_ONCE(page_folio(huge->pages[i])->mapping) != file->f_mapping)
			return false;
	return true;
}

static int user_huge_pin(struct user_huge *huge, struct file *file, u64 offset, bool readonly)
{
	unsigned long size = file->f_mapping->host->i_sb->s_blocksize;
	u64 start = round_down(offset, size);
	u64 end = round_up(offset + ((u64)huge->n << PAGE_SHIFT), size);
	unsigned long va;
	int ret;

	va = vm_mmap(file, 0, end - start, readonly ? PROT_READ : PROT_READ | PROT_WRITE,
		     MAP_SHARED, start);
	if (IS_ERR_VALUE(va))
		return va;
	ret = user_huge_pin_at(huge, va + (offset - start),
			       FOLL_LONGTERM | (readonly ? 0 : FOLL_WRITE));
	vm_munmap(va, end - start);
	if (!ret && !user_huge_is_of(huge, file))
		ret = -EFAULT;
	return ret;
}

/**
 * user_huge_new() - pin a part of a file
 * @file: with huge pages
 * @offset: bytes, page aligned
 * @len: bytes, whole pages
 * @readonly: @file may not be open for writing
 * @why: error text
 *
 * Context: process, the VMM's; takes its mmap_lock.
 * Return: pages pinned, or ERR_PTR.
 */
struct user_huge *user_huge_new(struct file *file, u64 offset, u64 len, bool readonly,
				struct vbe_why *why)
{
	struct user_huge *huge = kzalloc(sizeof(*huge), GFP_KERNEL_ACCOUNT);
	int ret;

	if (!huge)
		return ERR_PTR(vbe_fail(why, -ENOMEM, "out of memory"));
	huge->n = len >> PAGE_SHIFT;
	ret = user_huge_account(huge, why);
	if (ret) {
		kfree(huge);
		return ERR_PTR(ret);
	}
	huge->pages = kvcalloc(huge->n, sizeof(*huge->pages), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (huge->pages)
		ret = user_huge_pin(huge, file, offset, readonly);
	else
		ret = -ENOMEM;
	if (!ret)
		return huge;
	user_huge_free(huge);
	return ERR_PTR(vbe_fail(why, ret,
				"the huge pages cannot be had: too few, or past the file's end"));
}

/**
 * user_huge_free() - let go of them
 * @huge: from user_huge_new()
 *
 * Context: process, may sleep.
 */
void user_huge_free(struct user_huge *huge)
{
	if (huge->pages)
		unpin_user_pages(huge->pages, huge->pinned);
	kvfree(huge->pages);
	user_huge_unaccount(huge);
	kfree(huge);
}
