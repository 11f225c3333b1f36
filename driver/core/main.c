// SPDX-License-Identifier: GPL-2.0
/*
 * vbe: /dev/vbe, ioctl dispatch, module.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <linux/vbe_guest.h>

#include "vbe.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

/**
 * struct vbe_control - an open /dev/vbe
 * @why: last error on it
 */
struct vbe_control {
	struct vbe_why why;
};

static const struct vbe_ioctl *vbe_ioctl_find(const struct vbe_ioctl *table, size_t n,
					      unsigned int cmd)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (table[i].cmd == cmd)
			return &table[i];
	return NULL;
}

static void vbe_new_fd_finish(struct vbe_new_fd *nfd, bool install)
{
	if (nfd->fd < 0)
		return;
	if (install) {
		fd_install(nfd->fd, nfd->file);
	} else {
		put_unused_fd(nfd->fd);
		fput(nfd->file);
	}
}

/**
 * vbe_ioctl_dispatch() - run one ioctl whose argument is a size-first struct
 * @table: known ioctls
 * @n: rows
 * @cmd: from the caller
 * @arg: from the caller
 * @ctx: handed to the handler
 * @why: where an error text goes
 *
 * Context: process, may sleep, no lock.
 * Return: 0 or a negative errno of the ladder in uapi/linux/vbe.h.
 */
long vbe_ioctl_dispatch(const struct vbe_ioctl *table, size_t n, unsigned int cmd,
			void __user *arg, void *ctx, struct vbe_why *why)
{
	struct vbe_new_fd nfd = { .fd = -1 };
	const struct vbe_ioctl *op = vbe_ioctl_find(table, n, cmd);
	union {
		u64 align;
		u32 size;
		u8 bytes[VBE_IOCTL_ARG_MAX];
	} buf;
	u32 size;
	int ret;

	if (!op)
		return vbe_fail(why, -ENOTTY, "this ioctl is not known on this file");
	if (get_user(size, (u32 __user *)arg))
		return vbe_fail(why, -EFAULT, "the argument cannot be read");
	if (size < op->min)
		return vbe_fail(why, -EINVAL, "the struct's size field is too small");
	/* What is checked to be zero must have a bound. */
	if (size > PAGE_SIZE)
		return vbe_fail(why, -E2BIG, "the struct's size field is too large");
	ret = copy_struct_from_user(&buf, op->size, arg, size);
	if (ret == -E2BIG)
		return vbe_fail(why, ret, "the struct is from the future: its unknown tail is not zero");
	if (ret)
		return vbe_fail(why, ret, "the argument cannot be read");
	/* Fetched a second time with the struct: believe the first only. */
	buf.size = size;

	ret = op->fn(ctx, &buf, &nfd);
	if (ret)
		return ret;
	if (copy_to_user(arg, &buf, min(size, op->size))) {
		vbe_new_fd_finish(&nfd, false);
		return vbe_fail(why, -EFAULT, "the argument cannot be written");
	}
	vbe_new_fd_finish(&nfd, true);
	return 0;
}

int vbe_error_text_ioctl(const struct vbe_why *why, void *arg)
{
	struct vbe_error_text *t = arg;
	const char *text = READ_ONCE(why->text);

	memset(t->out_text, 0, sizeof(t->out_text));
	t->out_errno = -READ_ONCE(why->err);
	if (text)
		strscpy(t->out_text, text, sizeof(t->out_text));
	return 0;
}

static int vbe_control_error_text(void *ctx, void *arg, struct vbe_new_fd *nfd)
{
	struct vbe_control *ctl = ctx;

	return vbe_error_text_ioctl(&ctl->why, arg);
}

static int vbe_control_info(void *ctx, void *arg, struct vbe_new_fd *nfd)
{
	struct vbe_info *info = arg;

	*info = (struct vbe_info) {
		.size = info->size,
		.abi_version = VBE_ABI_VERSION,
		.max_queues = VBE_MAX_QUEUES,
		.max_queue_size = VBE_MAX_QUEUE_SIZE,
		.max_config = VBE_MAX_CONFIG,
		.max_inflight = VBE_MAX_INFLIGHT,
		.max_copy_entries = VBE_MAX_COPY_ENTRIES,
	};
	return 0;
}

static int vbe_control_open_dev(struct vbe_control *ctl, struct vbe_device *dev,
				struct vbe_dev_open *o, struct vbe_new_fd *nfd)
{
	struct vbe_client *c;
	int ret;

	if (!vbe_device_may_open(dev))
		return vbe_fail(&ctl->why, -EACCES,
				"the device belongs to somebody else (vbe-ctl dev set NAME --owner)");
	c = vbe_client_new(dev);
	if (IS_ERR(c))
		return vbe_fail(&ctl->why, PTR_ERR(c), "out of memory");
	ret = vbe_backend_attach(dev, c, o->flags & VBE_OPEN_F_NOWAIT, &ctl->why);
	if (ret) {
		vbe_client_put(c);
		return ret;
	}
	ret = vbe_client_open_file(c, nfd);
	if (ret) {
		vbe_backend_detach(c);
		vbe_client_put(c);
		return vbe_fail(&ctl->why, ret, "no file or file descriptor to be had");
	}
	o->out_fd = nfd->fd;
	return 0;
}

static int vbe_control_dev_open(void *ctx, void *arg, struct vbe_new_fd *nfd)
{
	struct vbe_control *ctl = ctx;
	struct vbe_dev_open *o = arg;
	struct vbe_device *dev;
	int ret;

	if (o->flags & ~VBE_OPEN_F_NOWAIT)
		return vbe_fail(&ctl->why, -EINVAL, "unknown flags");
	if (o->__reserved)
		return vbe_fail(&ctl->why, -EINVAL, "reserved field is not zero");
	if (strnlen(o->name, sizeof(o->name)) == sizeof(o->name))
		return vbe_fail(&ctl->why, -EINVAL, "the device name is not terminated");
	dev = vbe_device_find(o->name);
	if (!dev)
		return vbe_fail(&ctl->why, -ENOENT, "there is no device of that name");
	ret = vbe_control_open_dev(ctl, dev, o, nfd);
	vbe_device_put(dev);
	return ret;
}

static int vbe_control_guest_new(void *ctx, void *arg, struct vbe_new_fd *nfd)
{
	struct vbe_control *ctl = ctx;
	struct vbe_guest_new *g = arg;
	struct vbe_provider_ops *ops;
	int ret;

	if (g->flags)
		return vbe_fail(&ctl->why, -EINVAL, "unknown flags");
	if (g->__reserved)
		return vbe_fail(&ctl->why, -EINVAL, "reserved field is not zero");
	if (strnlen(g->name, sizeof(g->name)) == sizeof(g->name) || !vbe_name_valid(g->name))
		return vbe_fail(&ctl->why, -EINVAL,
				"a guest name is 1 to 31 of A-Z a-z 0-9 _ . : - and begins with none of . -");
	ops = vbe_provider_get_guest_maker();
	if (!ops)
		return vbe_fail(&ctl->why, -EOPNOTSUPP, "no provider lets a process make guests");
	ret = ops->guest_new(g, nfd, &ctl->why);
	vbe_provider_put(ops);
	return ret;
}

static const struct vbe_ioctl vbe_control_ioctls[] = {
	VBE_IOCTL(VBE_IOC_DEV_OPEN, vbe_dev_open, __reserved, vbe_control_dev_open),
	VBE_IOCTL(VBE_IOC_ERROR_TEXT, vbe_error_text, out_text, vbe_control_error_text),
	VBE_IOCTL(VBE_IOC_GUEST_NEW, vbe_guest_new, __reserved, vbe_control_guest_new),
	VBE_IOCTL(VBE_IOC_INFO, vbe_info, __reserved, vbe_control_info),
};

static long vbe_control_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct vbe_control *ctl = file->private_data;

	return vbe_ioctl_dispatch(vbe_control_ioctls, ARRAY_SIZE(vbe_control_ioctls), cmd,
				  (void __user *)arg, ctl, &ctl->why);
}

static int vbe_control_open(struct inode *inode, struct file *file)
{
	struct vbe_control *ctl = kzalloc(sizeof(*ctl), GFP_KERNEL_ACCOUNT);

	if (!ctl)
		return -ENOMEM;
	file->private_data = ctl;
	return 0;
}

static int vbe_control_release(struct inode *inode, struct file *file)
{
	kfree(file->private_data);
	return 0;
}

static const struct file_operations vbe_control_fops = {
	.owner = THIS_MODULE,
	.open = vbe_control_open,
	.release = vbe_control_release,
	.unlocked_ioctl = vbe_control_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct miscdevice vbe_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "vbe",
	.fops = &vbe_control_fops,
	.mode = 0660,
};

static int __init vbe_init(void)
{
	int ret;

	/* Nobody sees a provider before /dev/vbe and netlink are there. */
	ret = vbe_provider_register(&vbe_user_provider);
	if (ret)
		return ret;
	ret = misc_register(&vbe_misc);
	if (ret)
		goto err_provider;
	ret = vbe_nl_init();
	if (ret)
		goto err_misc;
	return 0;

err_misc:
	misc_deregister(&vbe_misc);
err_provider:
	vbe_provider_unregister(&vbe_user_provider);
	return ret;
}

/*
 * Devices pin their provider's module, which pins this one: none is left here.
 * Files pin it too.
 */
static void __exit vbe_exit(void)
{
	vbe_nl_exit();
	misc_deregister(&vbe_misc);
	vbe_provider_unregister(&vbe_user_provider);
	/* Guests and their maps are freed by RCU. */
	rcu_barrier();
}

module_init(vbe_init);
module_exit(vbe_exit);
MODULE_DESCRIPTION("Virtio backends in user space, the same on every hypervisor");
MODULE_AUTHOR("The vbe authors");
MODULE_LICENSE("GPL");
