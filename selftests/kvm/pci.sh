#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Copyright (c) 2026 The vbe authors
#
# A KVM guest of stock QEMU with a vhost-user-blk-pci disk: everything that serves it
# is killed and started again, and nothing is lost. See lib.sh.
cd "$(dirname "${BASH_SOURCE[0]}")" || exit
# shellcheck source-path=SCRIPTDIR source=lib.sh
. ./lib.sh

# Its fds name them; and the module counts every exit of its guests.
kvm_runs_it() {
	local fd fds exits
	fds=$(for fd in "/proc/${pid[qemu]}"/fd/*; do readlink "$fd"; done | grep kvm)
	exits=$(cat /sys/kernel/debug/kvm/exits)
	echo "$fds, $exits exits"
	grep -q kvm-vcpu <<< "$fds" && [ "$exits" -gt 10000 ] &&
		guest "dmesg | grep 'Hypervisor detected: KVM'"
}

# All of it is Debian's: no module but the kernel's own.
unmodified() {
	guest "uname -r; cat /proc/modules;
		echo \$(cat /sys/block/\${disk#/dev/}/size) sectors;
		grep -q ^virtio_blk /proc/modules && ! grep -E '^vbe|\([A-Z]*O' /proc/modules &&
		readlink /sys/block/\${disk#/dev/}/device/driver | grep virtio_blk &&
		[ \$(cat /sys/block/\${disk#/dev/}/size) = 131072 ]"
}

# The kick goes from KVM to vbe-blk's eventfd, the call from it to KVM: vbe sees no
# kick, and vbe-vhost-user is not even switched to while the guest reads.
no_hop() {
	local before after
	before=$(switches bridge)
	guest "dd if=\$disk of=/dev/null bs=64k count=64 iflag=direct" || return
	after=$(switches bridge)
	vbe-ctl stats vm1
	echo "vbe-vhost-user: $before switches before, $after after"
	[ "$before" = "$after" ] && vbe-ctl stats vm1 | grep -q direct
}

no_errors() {
	guest "! dmesg | grep -E 'I/O error|EXT4-fs error|blocked for more|Call Trace'"
}

# fio's writes go on while NAME is killed and started again, three times.
killed_in_the_middle() { # NAME COMMAND...
	local name=$1 n kills=0
	shift
	guest_ask "$(guest_fio --size=16M --randseed=$RANDOM)"
	for n in 1 2 3; do
		flows $FLOW || { echo "nothing is written before kill $n"; break; }
		kill_9 "$name"
		"$@"
		flows $FLOW || { echo "nothing is written after kill $n"; break; }
		kills=$n
	done
	guest_answer $ANSWER && [ $kills = 3 ]
}

killed_both() {
	bridge vm1
	kill_9 backend
	backend vm1 --queues 2
}

# Whatever the guest heard to be on the disk is there after QEMU died under it.
qemu_killed() {
	local last
	# shellcheck disable=SC2016 # the guest's variables
	guest_ask 'i=0; while :; do i=$((i + 1)); printf %04096d $i; done |
		for i in $(seq 1000); do
			dd of=/mnt/numbers bs=4096 count=1 seek=$i iflag=fullblock conv=notrunc,fsync 2> /dev/null &&
			echo wrote $i; done'
	wait_for $FLOW said "^wrote 25" || return
	kill_9 qemu
	last=$(tr -d '\r' < $RUN/console | sed -n 's/^wrote //p' | tail -n 1)
	qemu_pci
	guest_up $BOOT || return
	guest "e2fsck -fy \$disk; mount \$disk /mnt" || return
	echo "$last were written"
	guest "for i in \$(seq $last); do
		dd if=/mnt/numbers bs=4096 skip=\$i count=1 2> /dev/null | grep -qx \$(printf %04096d \$i) ||
		{ echo \$i is lost; exit 1; }; done"
}

rm -rf $RUN
mkdir -p $RUN
truncate -s 64M $RUN/disk.img
chmod 666 $RUN/disk.img
modprobe -a kvm-amd vbe || give_up "no KVM in this VM"
enter_stock
guest_initrd
bridge vm1
backend vm1 --queues 2
qemu_pci
guest_up $BOOT || give_up "the guest does not boot: $(tail -n 20 $RUN/console)"
check "KVM runs the guest" kvm_runs_it
check "an unmodified Debian guest with its own drivers" unmodified
check "mkfs.ext4, mount" guest "mkfs.ext4 -q \$disk && mount \$disk /mnt"
check "fio: writes with O_DIRECT, and verifies" guest "$(guest_fio --size=8M --end_fsync=1) && umount /mnt"
check "kicks and calls do not pass vbe, and vbe-vhost-user sleeps" no_hop
check "the guest reboots" guest_reboot
check "e2fsck after the reboot" guest "e2fsck -fn \$disk && mount \$disk /mnt"
check "fio verifies what was written before the reboot" guest "$(guest_fio --size=8M --verify_only)"
check "vbe-blk is killed, three times in the middle of fio" \
	killed_in_the_middle backend backend vm1 --queues 2
check "vbe-vhost-user is killed, three times in the middle of fio" \
	killed_in_the_middle bridge bridge vm1
check "both are killed, three times in the middle of fio" \
	killed_in_the_middle bridge killed_both
check "the guest noticed nothing" no_errors
check "QEMU is killed: what the guest had written is there" qemu_killed
check "fio verifies again" guest "$(guest_fio --size=4M)"
check "the guest shuts down" guest "umount /mnt"
kill_9 qemu
check "vbe-blk ends" end backend
check "vbe-vhost-user ends" end bridge
check "nothing is left" rmmod vbe
finish
