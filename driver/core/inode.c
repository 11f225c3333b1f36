// SPDX-License-Identifier: GPL-2.0
/*
 * An address space per attachment.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * unmap_mapping_range() revokes by address space, and all anonymous inodes of
 * the kernel share one. So each attachment gets an inode of a pseudo file system.
 */
#include <linux/fs.h>
#include <linux/mount.h>
#include <linux/pseudo_fs.h>

#include "vbe.h"

#define VBE_FS_MAGIC	0x76626521

static struct vfsmount *vbe_mnt;
static int vbe_mnt_count;

static int vbe_fs_init_context(struct fs_context *fc)
{
	return init_pseudo(fc, VBE_FS_MAGIC) ? 0 : -ENOMEM;
}

static struct file_system_type vbe_fs = {
	.name = "vbe",
	.owner = THIS_MODULE,
	.init_fs_context = vbe_fs_init_context,
	.kill_sb = kill_anon_super,
};

struct inode *vbe_inode_new(void)
{
	struct inode *inode;
	int ret;

	ret = simple_pin_fs(&vbe_fs, &vbe_mnt, &vbe_mnt_count);
	if (ret)
		return ERR_PTR(ret);
	inode = alloc_anon_inode(vbe_mnt->mnt_sb);
	if (IS_ERR(inode))
		simple_release_fs(&vbe_mnt, &vbe_mnt_count);
	return inode;
}

void vbe_inode_free(struct inode *inode)
{
	iput(inode);
	simple_release_fs(&vbe_mnt, &vbe_mnt_count);
}
