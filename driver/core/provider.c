// SPDX-License-Identifier: GPL-2.0
/*
 * Providers: who brings front-ends.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <linux/kmod.h>
#include <linux/string.h>

#include "vbe.h"

/* Protects the list; a provider on it can be pinned with try_module_get(). */
static DEFINE_MUTEX(vbe_providers_lock);
static LIST_HEAD(vbe_providers);

static const struct vbe_transport_ops * const vbe_transports[] = {
	&vbe_direct_transport,
	&vbe_mmio_transport,
	&vbe_pci_transport,
	&vbe_raw_transport,
};

static struct vbe_provider_ops *vbe_provider_lookup(const char *name)
{
	struct vbe_provider_ops *ops;

	lockdep_assert_held(&vbe_providers_lock);
	list_for_each_entry(ops, &vbe_providers, list)
		if (!strcmp(ops->name, name))
			return ops;
	return NULL;
}

/**
 * vbe_provider_register() - make a provider known
 * @ops: static, until vbe_provider_unregister()
 *
 * Context: process, may sleep.
 * Return: 0, or -EEXIST when the name is taken.
 */
int vbe_provider_register(struct vbe_provider_ops *ops)
{
	int ret = 0;

	mutex_lock(&vbe_providers_lock);
	if (vbe_provider_lookup(ops->name))
		ret = -EEXIST;
	else
		list_add_tail(&ops->list, &vbe_providers);
	mutex_unlock(&vbe_providers_lock);
	return ret;
}
EXPORT_SYMBOL_GPL(vbe_provider_register);

/**
 * vbe_provider_unregister() - forget a provider
 * @ops: registered before
 *
 * For module exit: no device is left then, since each pins the module.
 * Context: process, may sleep.
 */
void vbe_provider_unregister(struct vbe_provider_ops *ops)
{
	mutex_lock(&vbe_providers_lock);
	list_del(&ops->list);
	mutex_unlock(&vbe_providers_lock);
}
EXPORT_SYMBOL_GPL(vbe_provider_unregister);

static struct vbe_provider_ops *vbe_provider_get_loaded(const char *name)
{
	struct vbe_provider_ops *ops;

	mutex_lock(&vbe_providers_lock);
	ops = vbe_provider_lookup(name);
	if (ops && !try_module_get(ops->owner))
		ops = NULL;
	mutex_unlock(&vbe_providers_lock);
	return ops;
}

/**
 * vbe_provider_get() - find a provider and pin its module, loading it if need be
 * @name: checked by the caller to be a plain label
 *
 * Return: the provider, or NULL.
 */
struct vbe_provider_ops *vbe_provider_get(const char *name)
{
	struct vbe_provider_ops *ops = vbe_provider_get_loaded(name);

	if (!ops && !request_module("vbe-provider-%s", name))
		ops = vbe_provider_get_loaded(name);
	return ops;
}

/**
 * vbe_provider_get_guest_maker() - the provider that processes make guests with
 *
 * Return: the provider, its module pinned, or NULL.
 */
struct vbe_provider_ops *vbe_provider_get_guest_maker(void)
{
	struct vbe_provider_ops *ops, *found = NULL;

	mutex_lock(&vbe_providers_lock);
	list_for_each_entry(ops, &vbe_providers, list)
		if (ops->guest_new && try_module_get(ops->owner)) {
			found = ops;
			break;
		}
	mutex_unlock(&vbe_providers_lock);
	return found;
}

void vbe_provider_put(struct vbe_provider_ops *ops)
{
	module_put(ops->owner);
}

/**
 * vbe_provider_at() - the provider at a place in the list, for dumps
 * @index: 0 and up
 * @info: filled in
 *
 * Return: false past the end.
 */
bool vbe_provider_at(u32 index, struct vbe_provider_info *info)
{
	struct vbe_provider_ops *ops;
	bool found = false;

	mutex_lock(&vbe_providers_lock);
	list_for_each_entry(ops, &vbe_providers, list) {
		if (index--)
			continue;
		strscpy(info->name, ops->name, sizeof(info->name));
		strscpy(info->description, ops->description, sizeof(info->description));
		strscpy(info->transport, ops->default_transport, sizeof(info->transport));
		found = true;
		break;
	}
	mutex_unlock(&vbe_providers_lock);
	return found;
}

const struct vbe_transport_ops *vbe_transport_find(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(vbe_transports); i++)
		if (!strcmp(vbe_transports[i]->name, name))
			return vbe_transports[i];
	return NULL;
}
