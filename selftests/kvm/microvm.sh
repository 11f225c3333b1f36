#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Copyright (c) 2026 The vbe authors
#
# The same on QEMU's virtio-mmio machine, more briefly. See lib.sh.
cd "$(dirname "${BASH_SOURCE[0]}")" || exit
# shellcheck source-path=SCRIPTDIR source=lib.sh
. ./lib.sh

on_mmio() {
	guest "readlink -f /sys/block/\${disk#/dev/} | grep LNRO0005 && [ -z \"\$(cat /proc/bus/pci/devices)\" ]"
}

killed() {
	guest_ask "$(guest_fio --size=8M --randseed=9)"
	flows $FLOW || return
	kill_9 backend
	backend vm2 --queues 2
	flows $FLOW || return
	guest_answer $ANSWER
}

rm -rf $RUN
mkdir -p $RUN
truncate -s 64M $RUN/disk.img
chmod 666 $RUN/disk.img
modprobe -a kvm-amd vbe || give_up "no KVM in this VM"
enter_stock
guest_initrd
bridge vm2
backend vm2 --queues 2
qemu_microvm
guest_up $BOOT || give_up "the guest does not boot: $(tail -n 20 $RUN/console)"
check "microvm: the disk is on virtio-mmio, and there is no PCI" on_mmio
check "microvm: mkfs.ext4, mount" guest "mkfs.ext4 -q \$disk && mount \$disk /mnt"
check "microvm: fio verifies, and vbe-blk is killed in the middle" killed
check "microvm: the guest reboots" guest_reboot
check "microvm: what was written is there" \
	guest "mount \$disk /mnt && $(guest_fio --size=8M --randseed=9 --verify_only) && umount /mnt"
kill_9 qemu
check "microvm: vbe-blk ends" end backend
check "microvm: vbe-vhost-user ends" end bridge
check "microvm: nothing is left" rmmod vbe
finish
