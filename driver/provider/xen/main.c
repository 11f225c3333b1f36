// SPDX-License-Identifier: GPL-2.0
/*
 * vbe_xen: guests of Xen as front-ends.
 *
 * Copyright (c) 2026 The vbe authors
 */
#include <linux/module.h>

#include <xen/xen.h>

#include "xen.h"

static const char * const xen_transports[] = { "pci", "mmio", "raw", NULL };

struct vbe_provider_ops xen_provider = {
	.owner = THIS_MODULE,
	.name = "xen",
	.description = "guests of Xen: HVM by virtio-pci, Arm by virtio-mmio",
	.default_transport = IS_ENABLED(CONFIG_X86) ? "pci" : "mmio",
	.transports = xen_transports,
	/* libxl puts a device every 512 bytes. */
	.mmio_size = 0x200,
	.fe_stays = true,
	.any_type = true,
	.privileged = true,
	.edge = IS_ENABLED(CONFIG_ARM64),
	.no_eoi = true,
	.no_msi = IS_ENABLED(CONFIG_ARM64),
	/* By event channel: "hvm_pirq", which all HVM guests have before Xen 4.19. */
	.own_msi = true,
	.dev_add = xen_dev_add,
	.dev_del = xen_dev_del,
	.hide = vbe_fe_vanish,
	.quiesced = xen_dev_quiesced,
	.inject = xen_inject,
	.region_map = xen_dev_region_map,
	.region_unmap = xen_dev_region_unmap,
	.state_changed = xen_bus_state_changed,
};

static int __init xen_init(void)
{
	int ret;

	if (!xen_domain()) {
		pr_info("vbe_xen: this kernel does not run on Xen\n");
		return -ENODEV;
	}
	ret = xen_guests_init();
	if (ret)
		return ret;
	ret = vbe_provider_register(&xen_provider);
	if (ret)
		goto err_guests;
	/* There may be devices from here on: it cannot fail any more. */
	if (xen_bus_init())
		pr_warn("vbe_xen: what the toolstack describes is not discovered\n");
	return 0;

err_guests:
	xen_guests_exit();
	return ret;
}

static void __exit xen_exit(void)
{
	xen_bus_exit();
	/* From here on there is no device of ours, and will be none. */
	vbe_provider_unregister(&xen_provider);
	xen_guests_exit();
}

module_init(xen_init);
module_exit(xen_exit);

MODULE_DESCRIPTION("vbe provider: guests of Xen as front-ends");
MODULE_AUTHOR("The vbe authors");
MODULE_LICENSE("GPL");
MODULE_ALIAS("vbe-provider-xen");
