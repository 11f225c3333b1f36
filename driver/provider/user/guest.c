// SPDX-License-Identifier: GPL-2.0
/*
 * Guest fds.
 *
 * Copyright (c) 2026 The vbe authors
 *
 * A guest dies when its last fd is closed, or by GUEST_DIE. Its devices are deleted in a
 * work item: a process that was killed could not wait there for a backend to let go.
 * Closing waits for that, so that who closed may use the names again.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/poll.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uio.h>

#include "user.h"

static void user_guest_release(struct kref *ref)
{
	struct user_guest *guest = container_of(ref, struct user_guest, ref);

	vbe_guest_put(guest->core);
	cleanup_srcu_struct(&guest->srcu);
	kfree(guest);
}

void user_guest_put(struct user_guest *guest)
{
	kref_put(&guest->ref, user_guest_release);
}

/* ---- death -------------------------------------------------------------------- */

static void user_guest_death(struct work_struct *work)
{
	struct user_guest *guest = container_of(work, struct user_guest, death);

	user_guest_delete_devs(guest);
	mutex_lock(&guest->lock);
	user_mem_free(guest);
	mutex_unlock(&guest->lock);
}

static void user_guest_die(struct user_guest *guest)
{
	mutex_lock(&guest->lock);
	guest->dead = true;
	mutex_unlock(&guest->lock);
	queue_work(system_unbound_wq, &guest->death);
	flush_work(&guest->death);
	wake_up_all(&guest->wait);
}

static int user_ioctl_die(void *ctx, void *arg, struct vbe_new_fd *nfd)
{
	struct user_guest *guest = ctx;
	struct vbe_guest_dev *d = arg;

	if (d->dev)
		return vbe_fail(&guest->why, -EINVAL, "dev must be 0 here");
	user_guest_die(guest);
	return 0;
}

static int user_ioctl_error_text(void *ctx, void *arg, struct vbe_new_fd *nfd)
{
	struct user_guest *guest = ctx;

	return vbe_error_text_ioctl(&guest->why, arg);
}

/* ---- the file ------------------------------------------------------------------- */

static const struct vbe_ioctl user_guest_ioctls[] = {
	/* The one that vCPUs wait for comes first. */
	VBE_IOCTL(VBE_IOC_GUEST_ACCESS, vbe_guest_access, cookie, user_ioctl_access),
	VBE_IOCTL(VBE_IOC_ERROR_TEXT, vbe_error_text, out_text, user_ioctl_error_text),
	VBE_IOCTL(VBE_IOC_GUEST_CONFIG, vbe_guest_config, buf, user_ioctl_config),
	VBE_IOCTL(VBE_IOC_GUEST_DEV_ADD, vbe_guest_dev_add, base, user_ioctl_dev_add),
	VBE_IOCTL(VBE_IOC_GUEST_DEV_DEL, vbe_guest_dev, dev, user_ioctl_dev_del),
	VBE_IOCTL(VBE_IOC_GUEST_DEV_INFO, vbe_guest_dev_info, n_vectors, user_ioctl_dev_info),
	VBE_IOCTL(VBE_IOC_GUEST_DIE, vbe_guest_dev, dev, user_ioctl_die),
	VBE_IOCTL(VBE_IOC_GUEST_EOI, vbe_guest_dev, dev, user_ioctl_eoi),
	VBE_IOCTL(VBE_IOC_GUEST_FEATURES, vbe_guest_features, features, user_ioctl_features),
	VBE_IOCTL(VBE_IOC_GUEST_INFLIGHT, vbe_guest_inflight, len, user_ioctl_inflight),
	VBE_IOCTL(VBE_IOC_GUEST_MEM_ADD, vbe_guest_mem, offset, user_ioctl_mem_add),
	VBE_IOCTL(VBE_IOC_GUEST_MEM_DEL, vbe_guest_mem, offset, user_ioctl_mem_del),
	VBE_IOCTL(VBE_IOC_GUEST_QUEUE_INFO, vbe_guest_queue_info, __reserved,
		  user_ioctl_queue_info),
	VBE_IOCTL(VBE_IOC_GUEST_QUEUE_SET, vbe_guest_queue_set, device, user_ioctl_queue_set),
	VBE_IOCTL(VBE_IOC_GUEST_SET_FD, vbe_guest_set_fd, flags, user_ioctl_set_fd),
	VBE_IOCTL(VBE_IOC_GUEST_STATUS, vbe_guest_status, __reserved, user_ioctl_status),
};

static long user_guest_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct user_guest *guest = file->private_data;

	if (cmd == VBE_IOC_GUEST_KICK)
		return user_guest_kick(guest, arg);
	return vbe_ioctl_dispatch(user_guest_ioctls, ARRAY_SIZE(user_guest_ioctls), cmd,
				  (void __user *)arg, guest, &guest->why);
}

static ssize_t user_guest_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct file *file = iocb->ki_filp;

	return user_events_read(file->private_data, to,
				(file->f_flags & O_NONBLOCK) || (iocb->ki_flags & IOCB_NOWAIT));
}

static __poll_t user_guest_poll(struct file *file, poll_table *pt)
{
	struct user_guest *guest = file->private_data;
	__poll_t mask = 0;

	poll_wait(file, &guest->wait, pt);
	if (user_events_pending(guest))
		mask |= EPOLLIN | EPOLLRDNORM;
	/* read() gives 0 from now on. */
	if (READ_ONCE(guest->dead))
		mask |= EPOLLHUP;
	return mask;
}

static int user_guest_file_release(struct inode *inode, struct file *file)
{
	struct user_guest *guest = file->private_data;

	user_guest_die(guest);
	user_guest_put(guest);
	return 0;
}

static void user_guest_fdinfo(struct seq_file *m, struct file *file)
{
	struct user_guest *guest = file->private_data;
	u32 i;

	seq_printf(m, "vbe-guest:\t%s\n", guest->core->name);
	mutex_lock(&guest->lock);
	seq_printf(m, "vbe-dead:\t%u\n", guest->dead);
	seq_printf(m, "vbe-regions:\t%u\n", guest->n_mem);
	for (i = 0; i < VBE_GUEST_MAX_DEVICES; i++)
		if (guest->devs[i] && guest->devs[i]->vbe)
			seq_printf(m, "vbe-device:\t%u %s%s\n", i, guest->devs[i]->vbe->name,
				   guest->devs[i]->dead ? " (deleted)" : "");
	mutex_unlock(&guest->lock);
}

static const struct file_operations user_guest_fops = {
	.owner = THIS_MODULE,
	.release = user_guest_file_release,
	.unlocked_ioctl = user_guest_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.read_iter = user_guest_read_iter,
	.poll = user_guest_poll,
	.show_fdinfo = user_guest_fdinfo,
};

static struct user_guest *user_guest_alloc(const char *name)
{
	struct user_guest *guest = kzalloc(sizeof(*guest), GFP_KERNEL_ACCOUNT);

	if (!guest)
		return NULL;
	if (init_srcu_struct(&guest->srcu)) {
		kfree(guest);
		return NULL;
	}
	guest->core = vbe_guest_new(name);
	if (!guest->core) {
		cleanup_srcu_struct(&guest->srcu);
		kfree(guest);
		return NULL;
	}
	kref_init(&guest->ref);
	mutex_init(&guest->lock);
	INIT_LIST_HEAD(&guest->mem);
	init_waitqueue_head(&guest->wait);
	INIT_WORK(&guest->death, user_guest_death);
	return guest;
}

/**
 * user_guest_new() - GUEST_NEW
 * @arg: checked by the core
 * @nfd: gets the guest fd
 * @why: error text
 *
 * Return: 0; ENOMEM, EMFILE, ENFILE.
 */
int user_guest_new(struct vbe_guest_new *arg, struct vbe_new_fd *nfd, struct vbe_why *why)
{
	struct user_guest *guest = user_guest_alloc(arg->name);
	struct file *file;
	int fd;

	if (!guest)
		return vbe_fail(why, -ENOMEM, "out of memory");
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0) {
		user_guest_put(guest);
		return vbe_fail(why, fd, "no file descriptor to be had");
	}
	file = anon_inode_getfile("[vbe-guest]", &user_guest_fops, guest, O_RDWR);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		user_guest_put(guest);
		return vbe_fail(why, PTR_ERR(file), "no file to be had");
	}
	nfd->fd = fd;
	nfd->file = file;
	arg->out_fd = fd;
	return 0;
}
