// SPDX-License-Identifier: GPL-2.0
/*
 * Device fds and memory fds.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <linux/anon_inodes.h>
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/nospec.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/uio.h>
#include <uapi/linux/virtio_config.h>

#include "vbe.h"

/* ---- clients -------------------------------------------------------------------- */

/**
 * vbe_client_new() - an attachment to be
 * @dev: device; the client takes its own reference
 *
 * Return: a client with one reference, or ERR_PTR.
 */
struct vbe_client *vbe_client_new(struct vbe_device *dev)
{
	struct vbe_client *c = kzalloc(sizeof(*c), GFP_KERNEL_ACCOUNT);
	struct inode *inode;

	if (!c)
		return ERR_PTR(-ENOMEM);
	inode = vbe_inode_new();
	if (IS_ERR(inode)) {
		kfree(c);
		return ERR_CAST(inode);
	}
	c->inode = inode;
	kref_init(&c->ref);
	kref_get(&dev->ref);
	c->dev = dev;
	vbe_events_init(&c->events);
	c->pid = task_tgid_nr(current);
	get_task_comm(c->comm, current);
	c->admin = capable(CAP_SYS_ADMIN);
	return c;
}

static void vbe_client_release(struct kref *ref)
{
	struct vbe_client *c = container_of(ref, struct vbe_client, ref);

	vbe_inode_free(c->inode);
	vbe_device_put(c->dev);
	kfree(c);
}

void vbe_client_put(struct vbe_client *c)
{
	kref_put(&c->ref, vbe_client_release);
}

/* ---- ioctls ------------------------------------------------------------------------ */

static int vbe_gone(struct vbe_client *c)
{
	return vbe_fail(&c->why, -ENODEV, "the device is gone, or this attachment was revoked");
}

static int vbe_ioctl_error_text(void *ctx, void *arg, struct vbe_new_fd *nfd)
{
	struct vbe_client *c = ctx;

	return vbe_error_text_ioctl(&c->why, arg);
}

static void vbe_info_fill(struct vbe_device *dev, struct vbe_dev_info *info)
{
	u32 i;

	if (dev->resume ||
	    (dev->state == VBE_DEV_LOST && (dev->status & VIRTIO_CONFIG_S_DRIVER_OK)))
		info->flags |= VBE_INFO_F_RESUME;
	info->state = dev->state;
	info->virtio_id = dev->virtio_id ?: dev->params.virtio_id;
	strscpy(info->name, dev->name, sizeof(info->name));
	strscpy(info->provider, dev->provider->name, sizeof(info->provider));
	strscpy(info->transport, dev->transport->name, sizeof(info->transport));
	strscpy(info->guest, vbe_device_guest(dev), sizeof(info->guest));
	info->status = dev->status;
	info->loss_policy = dev->setup_policy;
	info->features = dev->features;
	info->driver_features = dev->driver_features;
	info->n_queues = dev->n_queues;
	info->config_size = dev->config_size;
	info->config_generation = dev->config_generation;
	info->reset_timeout_ms = dev->params.reset_timeout_ms;
	info->inflight_size = dev->inflight_size;
	info->max_queues = VBE_MAX_QUEUES;
	info->pending_cookie = dev->held.cookie;
	info->features_allowed = ~dev->transport->features_owned |
				 vbe_fe_features_required(dev);
	down_read(&dev->mem_sem);
	info->n_windows = dev->n_windows;
	for (i = 0; i < dev->n_windows; i++)
		info->mem_classes |= BIT(dev->windows[i]->mem_class);
	up_read(&dev->mem_sem);
}

static int vbe_ioctl_dev_info(void *ctx, void *arg, struct vbe_new_fd *nfd)
{
	struct vbe_client *c = ctx;
	struct vbe_dev_info *info = arg;
	u32 size = info->size;
	int ret = 0;

	memset(info, 0, sizeof(*info));
	info->size = size;
	mutex_lock(&c->dev->lock);
	if (c->dev->client == c)
		vbe_info_fill(c->dev, info);
	else
		ret = vbe_gone(c);
	mutex_unlock(&c->dev->lock);
	return ret;
}

/* What stays as it was when the device was made. Return: its text, or NULL. */
static const char *vbe_param(const struct vbe_dev_params *p, const char *key)
{
	if (!strcmp(key, "path"))
		return p->path;
	if (!strcmp(key, "mode") && (p->path || p->readonly))
		return p->readonly ? "r" : "w";
	if (!strcmp(key, "vdev") && *p->vdev)
		return p->vdev;
	return NULL;
}

static int vbe_ioctl_dev_param(void *ctx, void *arg, struct vbe_new_fd *nfd)
{
	struct vbe_dev_param *param = arg;
	struct vbe_client *c = ctx;
	const char *value;
	size_t len;

	if (!memchr(param->key, 0, sizeof(param->key)))
		return vbe_fail(&c->why, -EINVAL, "the key does not end");
	if (READ_ONCE(c->revoked))
		return vbe_gone(c);
	value = vbe_param(&c->dev->params, param->key);
	if (!value)
		return vbe_fail(&c->why, -ENOENT, "the device was not given this parameter");
	len = strlen(value) + 1;
	if (len > param->len)
		return vbe_fail(&c->why, -ERANGE, "value has no room for the parameter");
	if (copy_to_user(u64_to_user_ptr(param->value), value, len))
		return vbe_fail(&c->why, -EFAULT, "value cannot be written");
	param->len = len;
	return 0;
}

static int vbe_ioctl_dev_setup(void *ctx, void *arg, struct vbe_new_fd *nfd)
{
	return vbe_backend_setup(ctx, arg);
}

static int vbe_ioctl_dev_online(void *ctx, void *arg, struct vbe_new_fd *nfd)
{
	struct vbe_dev_online *o = arg;
	struct vbe_client *c = ctx;

	if (o->flags)
		return vbe_fail(&c->why, -EINVAL, "unknown flags");
	return vbe_backend_online(c);
}

static int vbe_ioctl_dev_offline(void *ctx, void *arg, struct vbe_new_fd *nfd)
{
	struct vbe_dev_online *o = arg;
	struct vbe_client *c = ctx;

	if (o->flags)
		return vbe_fail(&c->why, -EINVAL, "unknown flags");
	return vbe_backend_offline(c);
}

/*
 * Take dev->lock for an ioctl of a set-up client. Its error has been noted, and
 * the lock is not held, unless 0 is returned.
 */
static int vbe_client_lock(struct vbe_client *c)
{
	struct vbe_device *dev = c->dev;

	mutex_lock(&dev->lock);
	if (dev->client == c && c->setup_done)
		return 0;
	mutex_unlock(&dev->lock);
	if (READ_ONCE(c->revoked))
		return vbe_gone(c);
	return vbe_fail(&c->why, -EINVAL, "DEV_SETUP comes first");
}

/* The same for reads, which a next backend also needs to write its SETUP. */
static int vbe_client_lock_read(struct vbe_client *c)
{
	struct vbe_device *dev = c->dev;

	mutex_lock(&dev->lock);
	if (dev->client == c && dev->queues)
		return 0;
	mutex_unlock(&dev->lock);
	if (READ_ONCE(c->revoked))
		return vbe_gone(c);
	return vbe_fail(&c->why, -EINVAL, "DEV_SETUP comes first");
}

static int vbe_config_check(struct vbe_client *c, const struct vbe_config_rw *rw)
{
	if (rw->flags)
		return vbe_fail(&c->why, -EINVAL, "unknown flags");
	if (rw->offset > VBE_MAX_CONFIG || rw->len > VBE_MAX_CONFIG)
		return vbe_fail(&c->why, -EINVAL, "the range passes the end of config space");
	return 0;
}

/* Copy to or from config space; dev->lock held. */
static int vbe_config_move(struct vbe_client *c, const struct vbe_config_rw *rw, u8 *buf,
			   bool write)
{
	struct vbe_device *dev = c->dev;

	if (rw->offset + rw->len > dev->config_size)
		return vbe_fail(&c->why, -EINVAL, "the range passes the end of config space");
	spin_lock_irq(&dev->state_lock);
	if (write) {
		memcpy(dev->config + rw->offset, buf, rw->len);
		WRITE_ONCE(dev->config_generation, dev->config_generation + 1);
	} else {
		memcpy(buf, dev->config + rw->offset, rw->len);
	}
	spin_unlock_irq(&dev->state_lock);
	if (write)
		vbe_device_config_changed(dev);
	return 0;
}

static int vbe_ioctl_config_read(void *ctx, void *arg, struct vbe_new_fd *nfd)
{
	struct vbe_client *c = ctx;
	struct vbe_config_rw *rw = arg;
	u8 *buf;
	int ret;

	ret = vbe_config_check(c, rw);
	if (ret)
		return ret;
	buf = kzalloc(max(rw->len, 1U), GFP_KERNEL_ACCOUNT);
	if (!buf)
		return vbe_fail(&c->why, -ENOMEM, "out of memory");
	ret = vbe_client_lock_read(c);
	if (!ret) {
		ret = vbe_config_move(c, rw, buf, false);
		mutex_unlock(&c->dev->lock);
	}
	if (!ret && copy_to_user(u64_to_user_ptr(rw->buf), buf, rw->len))
		ret = vbe_fail(&c->why, -EFAULT, "buf cannot be written");
	kfree(buf);
	return ret;
}

static int vbe_ioctl_config_write(void *ctx, void *arg, struct vbe_new_fd *nfd)
{
	struct vbe_client *c = ctx;
	struct vbe_config_rw *rw = arg;
	u8 *buf;
	int ret;

	ret = vbe_config_check(c, rw);
	if (ret)
		return ret;
	buf = memdup_user(u64_to_user_ptr(rw->buf), rw->len);
	if (IS_ERR(buf))
		return vbe_fail(&c->why, PTR_ERR(buf), "buf cannot be read");
	ret = vbe_client_lock(c);
	if (!ret) {
		ret = vbe_config_move(c, rw, buf, true);
		mutex_unlock(&c->dev->lock);
	}
	kfree(buf);
	return ret;
}

/* A queue by a number from user space; dev->lock held. */
static struct vbe_queue *vbe_client_queue(struct vbe_client *c, u32 index)
{
	struct vbe_queue *q = vbe_fe_queue(c->dev, index);

	if (!q)
		vbe_fail(&c->why, -EINVAL, "there is no queue of this index");
	return q;
}

static int vbe_ioctl_queue_info(void *ctx, void *arg, struct vbe_new_fd *nfd)
{
	struct vbe_client *c = ctx;
	struct vbe_queue_info *info = arg;
	struct vbe_queue *q;
	int ret;

	ret = vbe_client_lock_read(c);
	if (ret)
		return ret;
	q = vbe_client_queue(c, info->index);
	if (q) {
		*info = (struct vbe_queue_info) {
			.size = info->size,
			.index = info->index,
			.flags = (q->enabled ? VBE_QUEUE_F_ENABLED : 0) |
				 (q->kick_ctx ? VBE_QUEUE_F_HAS_KICK : 0) |
				 (q->call ? VBE_QUEUE_F_HAS_CALL : 0) |
				 (vbe_queue_kick_is_direct(q) ? VBE_QUEUE_F_DIRECT_KICK : 0),
			.max_size = q->max_size,
			.num = q->num,
			.base = q->base,
			.desc = q->desc,
			.driver = q->driver,
			.device = q->device,
		};
	}
	mutex_unlock(&c->dev->lock);
	return q ? 0 : -EINVAL;
}

static int vbe_set_fds_locked(struct vbe_client *c, const struct vbe_queue_fds *fds,
			      struct eventfd_ctx *kick)
{
	struct vbe_queue *q;
	int ret = 0;

	q = vbe_client_queue(c, fds->index);
	if (!q)
		return -EINVAL;
	if (fds->flags & VBE_FDS_F_CALL)
		ret = vbe_queue_set_call(q, fds->call_fd, &c->why);
	if (!ret && (fds->flags & VBE_FDS_F_KICK)) {
		ret = vbe_queue_set_kick(q, kick);
		if (ret)
			vbe_fail(&c->why, ret, "the front-end's eventfd cannot be listened to");
	}
	return ret;
}

static int vbe_ioctl_queue_set_fds(void *ctx, void *arg, struct vbe_new_fd *nfd)
{
	struct vbe_client *c = ctx;
	struct vbe_queue_fds *fds = arg;
	struct eventfd_ctx *kick = NULL;
	int ret;

	if (fds->flags & ~(VBE_FDS_F_KICK | VBE_FDS_F_CALL))
		return vbe_fail(&c->why, -EINVAL, "unknown flags");
	if (fds->__reserved)
		return vbe_fail(&c->why, -EINVAL, "reserved field is not zero");
	if (((fds->flags & VBE_FDS_F_KICK) && fds->kick_fd < -1) ||
	    ((fds->flags & VBE_FDS_F_CALL) && fds->call_fd < -1))
		return vbe_fail(&c->why, -EBADF, "a negative fd other than -1");
	if ((fds->flags & VBE_FDS_F_KICK) && fds->kick_fd >= 0) {
		kick = eventfd_ctx_fdget(fds->kick_fd);
		if (IS_ERR(kick))
			return vbe_fail(&c->why, PTR_ERR(kick), "kick_fd is not an eventfd");
	}
	ret = vbe_client_lock(c);
	if (!ret) {
		ret = vbe_set_fds_locked(c, fds, kick);
		mutex_unlock(&c->dev->lock);
	}
	if (ret && kick)
		eventfd_ctx_put(kick);
	return ret;
}

static int vbe_ioctl_queue_kick_fd(void *ctx, void *arg, struct vbe_new_fd *nfd)
{
	struct vbe_queue_kick_fd *k = arg;
	struct vbe_client *c = ctx;
	struct vbe_queue *q;
	int ret;

	if (k->__reserved)
		return vbe_fail(&c->why, -EINVAL, "reserved field is not zero");
	ret = vbe_client_lock(c);
	if (ret)
		return ret;
	q = vbe_client_queue(c, k->index);
	ret = q ? vbe_queue_adopt_kick(q, nfd, &c->why) : -EINVAL;
	mutex_unlock(&c->dev->lock);
	if (!ret)
		k->out_fd = nfd->fd;
	return ret;
}

/* The fast path: no struct, no mutex. The queues stay under RCU. */
static int vbe_ioctl_queue_call(struct vbe_client *c, unsigned long index)
{
	struct vbe_device *dev = c->dev;
	struct vbe_queue *queues;
	int ret = 0;
	u32 n;

	rcu_read_lock();
	/* Pairs with vbe_setup_apply(). */
	queues = smp_load_acquire(&dev->queues);
	n = READ_ONCE(dev->n_queues);
	if (unlikely(READ_ONCE(c->revoked)))
		ret = vbe_gone(c);
	else if (unlikely(!READ_ONCE(c->setup_done)))
		ret = vbe_fail(&c->why, -EINVAL, "DEV_SETUP comes first");
	else if (unlikely(!queues || index >= n))
		ret = vbe_fail(&c->why, -EINVAL, "there is no queue of this index");
	else
		vbe_queue_call(&queues[array_index_nospec(index, n)], false);
	rcu_read_unlock();
	return ret;
}

static int vbe_ioctl_complete(void *ctx, void *arg, struct vbe_new_fd *nfd)
{
	return vbe_held_complete(ctx, arg);
}

static int vbe_ioctl_mem_query(void *ctx, void *arg, struct vbe_new_fd *nfd)
{
	struct vbe_client *c = ctx;
	struct vbe_device *dev = c->dev;
	struct vbe_mem_query *query = arg;
	int ret = 0;

	down_read(&dev->mem_sem);
	if (c->revoked) {
		ret = vbe_gone(c);
	} else if (query->index >= dev->n_windows) {
		ret = vbe_fail(&c->why, -ENOENT, "there is no window of this index");
	} else {
		const struct vbe_window *win =
			dev->windows[array_index_nospec(query->index, VBE_MAX_WINDOWS)];

		query->flags = win->flags;
		query->mem_class = win->mem_class;
		query->fe_addr = win->fe_addr;
		query->len = win->len;
		query->mmap_offset = win->mem_class == VBE_MEM_COPY ? 0 :
				     vbe_mmap_offset(win->fe_addr);
	}
	up_read(&dev->mem_sem);
	return ret;
}

static int vbe_copy_one(struct vbe_client *c, struct vbe_copy_entry __user *ue, void *bounce,
			bool to_fe, u32 *failed)
{
	struct vbe_copy_entry e;

	if (copy_from_user(&e, ue, sizeof(e)))
		return vbe_fail(&c->why, -EFAULT, "entries cannot be read");
	e.status = vbe_mem_copy(c, &e, bounce, to_fe);
	if (e.status)
		(*failed)++;
	if (put_user(e.status, &ue->status))
		return vbe_fail(&c->why, -EFAULT, "entries cannot be written");
	if (fatal_signal_pending(current))
		return -EINTR;
	return 0;
}

static int vbe_ioctl_mem_copy(void *ctx, void *arg, struct vbe_new_fd *nfd)
{
	struct vbe_client *c = ctx;
	struct vbe_mem_copy *copy = arg;
	struct vbe_copy_entry __user *ue = u64_to_user_ptr(copy->entries);
	void *bounce;
	int ret = 0;
	u32 i;

	if (copy->flags & ~VBE_COPY_F_TO_FE)
		return vbe_fail(&c->why, -EINVAL, "unknown flags");
	if (!copy->n || copy->n > VBE_MAX_COPY_ENTRIES)
		return vbe_fail(&c->why, -EINVAL, "n must be 1 to 1024");
	if (READ_ONCE(c->revoked))
		return vbe_gone(c);
	bounce = kmalloc(PAGE_SIZE, GFP_KERNEL_ACCOUNT);
	if (!bounce)
		return vbe_fail(&c->why, -ENOMEM, "out of memory");
	copy->out_failed = 0;
	for (i = 0; !ret && i < copy->n; i++)
		ret = vbe_copy_one(c, ue + i, bounce, copy->flags & VBE_COPY_F_TO_FE,
				   &copy->out_failed);
	kfree(bounce);
	return ret;
}

static int vbe_ioctl_mem_fd(void *ctx, void *arg, struct vbe_new_fd *nfd);

static const struct vbe_ioctl vbe_device_ioctls[] = {
	VBE_IOCTL(VBE_IOC_COMPLETE, vbe_complete, data, vbe_ioctl_complete),
	VBE_IOCTL(VBE_IOC_CONFIG_READ, vbe_config_rw, buf, vbe_ioctl_config_read),
	VBE_IOCTL(VBE_IOC_CONFIG_WRITE, vbe_config_rw, buf, vbe_ioctl_config_write),
	VBE_IOCTL(VBE_IOC_DEV_INFO, vbe_dev_info, features_allowed, vbe_ioctl_dev_info),
	VBE_IOCTL(VBE_IOC_DEV_OFFLINE, vbe_dev_online, flags, vbe_ioctl_dev_offline),
	VBE_IOCTL(VBE_IOC_DEV_ONLINE, vbe_dev_online, flags, vbe_ioctl_dev_online),
	VBE_IOCTL(VBE_IOC_DEV_PARAM, vbe_dev_param, value, vbe_ioctl_dev_param),
	VBE_IOCTL(VBE_IOC_DEV_SETUP, vbe_dev_setup, inflight_size, vbe_ioctl_dev_setup),
	VBE_IOCTL(VBE_IOC_ERROR_TEXT, vbe_error_text, out_text, vbe_ioctl_error_text),
	VBE_IOCTL(VBE_IOC_MEM_COPY, vbe_mem_copy, entries, vbe_ioctl_mem_copy),
	VBE_IOCTL(VBE_IOC_MEM_FD, vbe_mem_fd, __reserved, vbe_ioctl_mem_fd),
	VBE_IOCTL(VBE_IOC_MEM_MAP, vbe_mem_map, ranges, vbe_ioctl_mem_map),
	VBE_IOCTL(VBE_IOC_MEM_QUERY, vbe_mem_query, len, vbe_ioctl_mem_query),
	VBE_IOCTL(VBE_IOC_MEM_UNMAP, vbe_mem_map, ranges, vbe_ioctl_mem_unmap),
	VBE_IOCTL(VBE_IOC_QUEUE_KICK_FD, vbe_queue_kick_fd, __reserved, vbe_ioctl_queue_kick_fd),
	VBE_IOCTL(VBE_IOC_QUEUE_INFO, vbe_queue_info, device, vbe_ioctl_queue_info),
	VBE_IOCTL(VBE_IOC_QUEUE_SET_FDS, vbe_queue_fds, __reserved, vbe_ioctl_queue_set_fds),
};

/* Those that not every device has: RAW_*. */
static bool vbe_ioctl_of_transport(unsigned int cmd)
{
	return cmd == VBE_IOC_RAW_REGION || cmd == VBE_IOC_RAW_MATCH || cmd == VBE_IOC_RAW_IRQ;
}

static long vbe_device_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct vbe_client *c = file->private_data;

	const struct vbe_transport_ops *transport = c->dev->transport;
	const struct vbe_ioctl *table = vbe_device_ioctls;
	size_t n = ARRAY_SIZE(vbe_device_ioctls);

	if (cmd == VBE_IOC_QUEUE_CALL)
		return vbe_ioctl_queue_call(c, arg);
	if (vbe_ioctl_of_transport(cmd)) {
		table = transport->ioctls;
		n = transport->n_ioctls;
		if (!n)
			return vbe_fail(&c->why, -EOPNOTSUPP,
					"this ioctl is for devices of another transport");
	}
	return vbe_ioctl_dispatch(table, n, cmd, (void __user *)arg, c, &c->why);
}

/* ---- file operations ------------------------------------------------------------------ */

static ssize_t vbe_device_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct file *file = iocb->ki_filp;

	return vbe_events_read(file->private_data, to,
			       (file->f_flags & O_NONBLOCK) || (iocb->ki_flags & IOCB_NOWAIT));
}

static __poll_t vbe_device_poll(struct file *file, poll_table *pt)
{
	return vbe_events_poll(file->private_data, file, pt);
}

static int vbe_device_mmap(struct file *file, struct vm_area_struct *vma)
{
	return vbe_client_mmap(file->private_data, vma, false);
}

static int vbe_device_release(struct inode *inode, struct file *file)
{
	struct vbe_client *c = file->private_data;

	vbe_backend_detach(c);
	vbe_client_put(c);
	return 0;
}

static void vbe_device_fdinfo(struct seq_file *m, struct file *file)
{
	struct vbe_client *c = file->private_data;
	struct vbe_device *dev = c->dev;

	seq_printf(m, "vbe-device:\t%s\n", dev->name);
	seq_printf(m, "vbe-state:\t%u\n", READ_ONCE(dev->state));
	seq_printf(m, "vbe-status:\t%#x\n", READ_ONCE(dev->status));
	seq_printf(m, "vbe-revoked:\t%u\n", READ_ONCE(c->revoked));
	seq_printf(m, "vbe-events:\t%u\n", READ_ONCE(c->events.count));
}

static const struct file_operations vbe_device_fops = {
	.owner = THIS_MODULE,
	.release = vbe_device_release,
	.unlocked_ioctl = vbe_device_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.read_iter = vbe_device_read_iter,
	.poll = vbe_device_poll,
	.mmap = vbe_device_mmap,
	.show_fdinfo = vbe_device_fdinfo,
};

static int vbe_mem_mmap(struct file *file, struct vm_area_struct *vma)
{
	return vbe_client_mmap(file->private_data, vma, !(file->f_mode & FMODE_WRITE));
}

static int vbe_mem_release(struct inode *inode, struct file *file)
{
	vbe_client_put(file->private_data);
	return 0;
}

static const struct file_operations vbe_mem_fops = {
	.owner = THIS_MODULE,
	.release = vbe_mem_release,
	.mmap = vbe_mem_mmap,
};

static int vbe_new_file(struct vbe_client *c, const char *name,
			const struct file_operations *fops, int flags, struct vbe_new_fd *nfd)
{
	struct file *file;
	int fd;

	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	file = anon_inode_getfile(name, fops, c, flags);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		return PTR_ERR(file);
	}
	/* One address space for all mappings of the attachment: see inode.c. */
	file->f_mapping = c->inode->i_mapping;
	nfd->fd = fd;
	nfd->file = file;
	return 0;
}

/**
 * vbe_client_open_file() - make the device fd
 * @c: attached client; on success the file takes over the caller's reference
 * @nfd: the fd, to be installed or dropped by vbe_ioctl_dispatch()
 */
int vbe_client_open_file(struct vbe_client *c, struct vbe_new_fd *nfd)
{
	return vbe_new_file(c, "[vbe]", &vbe_device_fops, O_RDWR, nfd);
}

static int vbe_ioctl_mem_fd(void *ctx, void *arg, struct vbe_new_fd *nfd)
{
	struct vbe_client *c = ctx;
	struct vbe_mem_fd *m = arg;
	int ret;

	if (m->flags & ~VBE_MEM_FD_F_READONLY)
		return vbe_fail(&c->why, -EINVAL, "unknown flags");
	if (m->__reserved)
		return vbe_fail(&c->why, -EINVAL, "reserved field is not zero");
	if (READ_ONCE(c->revoked))
		return vbe_gone(c);
	kref_get(&c->ref);
	ret = vbe_new_file(c, "[vbe-mem]", &vbe_mem_fops,
			   m->flags & VBE_MEM_FD_F_READONLY ? O_RDONLY : O_RDWR, nfd);
	if (ret) {
		vbe_client_put(c);
		return vbe_fail(&c->why, ret, "no file or file descriptor to be had");
	}
	m->out_fd = nfd->fd;
	return 0;
}
