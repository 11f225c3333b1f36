#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Copyright (c) 2026 The vbe authors
#
# In a dom0 of lab/xen-run: a guest that has no disk but one of vbe boots from it. Its
# firmware, GRUB (by the firmware's calls) and Debian's kernel all read it.
cd "$(dirname "${BASH_SOURCE[0]}")" || exit
RUN=/run/vbe-xen
# shellcheck source=/dev/null
. /vm/steps.sh
# shellcheck source-path=SCRIPTDIR source=lib.sh
. ./lib.sh
# shellcheck source-path=SCRIPTDIR source=guest-boot.sh
. ./guest-boot.sh

no_domain() { ! xl list | awk 'NR > 1 { print $1 }' | grep -qvx Domain-0; }

online() { vbe-ctl dev show boot | grep -q online; }

attached() {
	vbe-ctl dev add boot provider xen domid "$(guest_id g1)" transport pci || return
	start server vbe-blk --on boot $RUN/boot.img
	wait_for 120 online
}

# It has no kernel, no initramfs, and no disk of its own.
nothing_else() {
	! grep -E '^(kernel|ramdisk)|vdev' $GUESTS/g1/config
}

booted() {
	local status=0
	guest_start g1
	guest_wait g1 300 || status=$?
	tail -n 20 "$(guest_log g1)"
	vbe-ctl stats boot
	[ $status = 0 ]
}

written() {
	dd if=$RUN/boot.img of=$RUN/part bs=1M skip=1 status=none
	mkdir -p $RUN/mnt
	mount -o loop,ro $RUN/part $RUN/mnt && cat $RUN/mnt/written && umount $RUN/mnt
}

rm -rf $RUN
mkdir -p $RUN
cat > $RUN/job <<'END'
modprobe -a virtio_pci virtio_blk ext4
mount -t ext4 /dev/vda1 /mnt || exit 1
[ "$(cat /mnt/data)" = "on the disk" ] || exit 2
echo "by the guest" > /mnt/written
ls /sys/block
umount /mnt
END
echo "on the disk" > $RUN/data
modprobe vbe_xen || give_up "vbe_xen does not load"
check "a disk with GRUB, kernel and initramfs" guest_boot_disk $RUN/boot.img $RUN/job $RUN/data
guest_new g1 - boot=disk || give_up "xl create fails"
check "the guest has nothing else to boot from" nothing_else
check "the disk is attached to the paused guest" attached
check "firmware, GRUB and kernel boot from it" booted
wait_for 120 no_domain
check "what the guest wrote is there" eval "written | grep -x 'by the guest'"
# Its server ends with its device.
check "nothing is left" eval "wait && rmmod vbe_xen"
finish
