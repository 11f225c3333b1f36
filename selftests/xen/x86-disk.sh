#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Copyright (c) 2026 The vbe authors
#
# In a dom0 of lab/xen-run: an unmodified Debian guest (HVM) with two virtio-pci disks of
# vbe. Their server is killed and started again, drivers let go of them and come back,
# and the guest is destroyed in the middle of it all.
#
# With "short", for a Xen that is not the only one: the guest boots from a third disk of
# vbe, since an old QEMU takes minutes to hand over a kernel; it has one processor; the
# server is killed once; and what takes long is left out.
cd "$(dirname "${BASH_SOURCE[0]}")" || exit
RUN=/run/vbe-xen
[ "${1:-}" = short ] && SHORT=yes KILLS=1 CPUS=1 || SHORT=no KILLS=3 CPUS=2
# shellcheck source=/dev/null
. /vm/steps.sh
# shellcheck source-path=SCRIPTDIR source=lib.sh
. ./lib.sh
# shellcheck source-path=SCRIPTDIR source=console.sh
. ./console.sh
# shellcheck source-path=SCRIPTDIR source=watch.sh
. ./watch.sh
# shellcheck source-path=SCRIPTDIR source=guest-boot.sh
. ./guest-boot.sh

FIO="fio --thread --group_reporting --output-format=terse --filename=\$(disk disk-b) --bs=4k
	--rw=randwrite --ioengine=libaio --iodepth=8 --direct=1 --verify=crc32c --verify_fatal=1
	--name=job"

online() { vbe-ctl dev show "$1" | grep -q online; }

# The images are files of an ext4 of dom0's, as most are. (--scratch; the lab's own disks have
# a serial number.)
images_on_ext4() {
	local disk
	for disk in /sys/block/vd*; do
		[ -n "$(cat "$disk/serial")" ] || break
	done
	mkfs.ext4 -q "/dev/${disk##*/}" && mount -t ext4 "/dev/${disk##*/}" $RUN
}

# A disk of guest $1 named $2 served from the image of that name.
disk() { # GUEST NAME OPTION...
	local guest=$1 name=$2
	shift 2
	[ -n "${IMAGE:-}" ] || [ -e "$RUN/$name.img" ] || truncate -s 64M "$RUN/$name.img"
	vbe-ctl dev add "$name" provider xen domid "$(guest_id "$guest")" transport pci || return
	serve "$name" "$@"
}

serve() { # NAME OPTION...
	local name=$1
	shift
	start "$name" vbe-blk --on "$name" --wait "$@" "${IMAGE:-$RUN/$name.img}"
	wait_for 120 online "$name"
}

new_guest() { # KEY=VALUE...
	if [ $SHORT = no ]; then
		guest_new g1 console-job "$@"
	else
		guest_boot_disk $RUN/boot.img console-job && guest_new g1 - boot=disk "$@"
	fi
}

# With two disks, and one that has fio. Firmware takes the first that it can boot from.
guest_with_disks() {
	[ $SHORT = no ] || IMAGE=$RUN/boot.img disk g1 boot || return
	disk g1 disk-a --queues 4 && disk g1 disk-b --queues 4 &&
		IMAGE=$(guest_tools) disk g1 tools --read-only
}

# All of it is Debian's: no module but the kernel's own.
unmodified() {
	guest_do g1 "uname -a; cat /proc/modules;
		grep -q ^virtio_blk /proc/modules && ! grep -E '^vbe|\([A-Z]*O' /proc/modules &&
		dmesg | grep 'Hypervisor detected: Xen' &&
		cd /sys/block/\$(basename \$(disk disk-a)) && readlink device/driver | grep virtio_blk &&
		[ \$(cat size) = 131072 ]"
}

four_queues() {
	guest_do g1 "ls -d /sys/block/vd*/mq/*; nproc; [ \$(nproc) = $CPUS ] &&
		[ \$(ls /sys/block/\$(basename \$(disk disk-a))/mq | wc -l) = $CPUS ]" || return
	vbe-ctl vq show disk-a
	[ "$(vbe-ctl -j vq show disk-a | grep -o '"index"' | wc -l)" = 4 ]
}

msix_used() {
	guest_do g1 "dd if=\$(disk disk-a) of=/dev/null bs=64k count=16 iflag=direct; cat /proc/interrupts;
		grep -E '(MSI|-msi-x).*virtio[0-9]-req' /proc/interrupts | grep -vE ':( +0)+ +[^ 0-9]'"
}

answered_in_kernel() {
	vbe-ctl stats disk-a
	vbe-ctl -j stats disk-a | grep -qE '"kicks": *[1-9]'
}

no_errors() {
	guest_do g1 "! dmesg | grep -E 'I/O error|EXT4-fs error|blocked for more|Call Trace|device is broken'"
}

rebound() {
	guest_do g1 "dev=\$(readlink -f /sys/block/\$(basename \$(disk disk-b))/device); v=\${dev##*/};
		cd /sys/bus/virtio/drivers/virtio_blk && echo \$v > unbind && ! disk disk-b &&
		echo \$v > bind && disk disk-b"
}

rebound_pci() {
	guest_do g1 "dev=\$(readlink -f /sys/block/\$(basename \$(disk disk-b))/device/..); p=\${dev##*/};
		cd /sys/bus/pci/drivers/virtio-pci && echo \$p > unbind && ! disk disk-b &&
		echo \$p > bind && disk disk-b"
}

# Without MSI-X: the wire, which the guest's driver lowers by reading the ISR.
intx() {
	guest_do g1 "dev=\$(readlink -f /sys/block/\$(basename \$(disk disk-b))/device/..); p=\${dev##*/};
		cd /sys/bus/pci/drivers/virtio-pci && echo \$p > unbind &&
		echo 0 > /sys/bus/pci/devices/\$p/msi_bus; echo \$p > bind &&
		dd if=\$(disk disk-b) of=/dev/null bs=4k count=64 iflag=direct;
		grep virtio /proc/interrupts;
		grep -E 'IO-APIC.*virtio' /proc/interrupts | grep -vE ':( +0)+ +[^ 0-9]'"
}

# When the image was last written to.
killed_in_the_middle() {
	local n kills=0
	guest_ask g1 "$FIO --size=4M --randseed=$RANDOM"
	for n in $(seq $KILLS); do
		flows $RUN/disk-b.img 120 || { echo "nothing is written before kill $n"; break; }
		kill_9 disk-b
		serve disk-b --queues 4
		flows $RUN/disk-b.img 120 || { echo "nothing is written after kill $n"; break; }
		kills=$n
	done
	guest_answer g1 400 && [ $kills = $KILLS ]
}

destroyed_under_load() {
	guest_ask g1 "$FIO --size=32M"
	flows $RUN/disk-b.img 120 || return
	xl destroy g1 || return
	wait_for 120 no_domain || { xl list; return 1; }
	wait_for 120 device_gone || { vbe-ctl dev show; return 1; }
	# It waits for a next device of this name.
	alive disk-a && alive disk-b && kill_9 disk-a && kill_9 disk-b && kill_9 tools || return
	[ $SHORT = no ] || kill_9 boot
}

device_gone() { ! vbe-ctl dev show | grep -qE "disk-|tools"; }

again() {
	new_guest vcpus=1 && guest_with_disks && guest_start g1 &&
		guest_up g1 300 && guest_do g1 "e2fsck -fn \$(disk disk-a) && mount \$(disk disk-a) /mnt && ls -l /mnt"
}

shut_down() {
	guest_ask g1 bye
	wait_for 120 no_domain || { xl list; return 1; }
}

rm -rf $RUN
mkdir -p $RUN
[ $SHORT = yes ] || images_on_ext4 || give_up "no ext4 for the images"
modprobe vbe_xen || give_up "vbe_xen does not load"
new_guest vcpus=$CPUS || give_up "xl create fails"
check "disks for the paused guest" guest_with_disks
guest_start g1
guest_up g1 300 || give_up "the guest does not boot: $(tail -n 30 "$(guest_log g1)"; vbe-ctl dev show; vbe-ctl stats; grep vbe /proc/interrupts)"
check "an unmodified Debian guest with its own drivers" unmodified
check "four queues; processors: $CPUS" four_queues
check "mkfs.ext4, mount, write" \
	guest_do g1 "mkfs.ext4 -q \$(disk disk-a) && mount \$(disk disk-a) /mnt && seq 100000 > /mnt/numbers && sync"
check "fio: writes with O_DIRECT, and verifies" guest_do g1 "$FIO --size=2M --end_fsync=1"
check "MSI-X interrupts" msix_used
check "kicks are counted" answered_in_kernel
check "virtio_blk is unbound and bound again" rebound
if [ $SHORT = no ]; then
	check "virtio-pci is unbound and bound again" rebound_pci
	check "fio again" guest_do g1 "$FIO --size=2M"
	check "wired interrupts" intx
fi
check "vbe-blk is killed in the middle of fio: $KILLS times" killed_in_the_middle
check "the guest noticed nothing" no_errors
check "the guest is destroyed under load: no zombie, servers live" destroyed_under_load
if [ $SHORT = no ]; then
	check "the file system is sound in a next guest" again
	check "it shuts down" shut_down
	check "vbe-blk ends" eval "end disk-a && end disk-b && end tools"
fi
check "nothing is left" rmmod vbe_xen
finish
