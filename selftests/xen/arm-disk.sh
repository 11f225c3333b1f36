#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Copyright (c) 2026 The vbe authors
#
# In a dom0 of lab/xen-arm-run: an unmodified Debian guest with five virtio-mmio disks,
# which xl's configuration alone describes and "vbe-blk --auto" serves. Their server is
# killed, comes late and not at all, drivers let go of them and come back, and the guest is
# destroyed in the middle of it all. One disk is a block device of dom0's (--scratch), one has
# programs: a guest that has disks of Xen's own too loses all of them when xl reboots it.
cd "$(dirname "${BASH_SOURCE[0]}")" || exit
RUN=/run/vbe-xen
# shellcheck source=/dev/null
. /vm/steps.sh
# shellcheck source-path=SCRIPTDIR source=arm-lib.sh
. ./arm-lib.sh
# shellcheck source-path=SCRIPTDIR source=console.sh
. ./console.sh
# shellcheck source-path=SCRIPTDIR source=watch.sh
. ./watch.sh
# shellcheck source-path=SCRIPTDIR source=arm-auto.sh
. ./arm-auto.sh

FIO="chroot /tools fio --thread --group_reporting --output-format=terse --bs=4k --rw=randwrite
	--ioengine=io_uring --iodepth=8 --direct=1 --verify=crc32c --verify_fatal=1 --name=job
	--verify_state_save=0"

new_guest() { # VCPUS
	guest_new g1 console-job "vcpus=$1" on_reboot=restart \
		"disk=$(arm_disk $RUN/a.img xvda)" "disk=$(arm_disk $RUN/b.img xvdb)" \
		"disk=$(arm_disk $RUN/c.img xvdc ro)" "disk=$(arm_disk "$SCRATCH" xvdd)" \
		"disk=$(arm_disk "$(guest_tools)" xvde ro)"
}

state_of() { # VDEV's number: as xl sees it
	xenstore-read "/local/domain/0/backend/virtio_disk/$(guest_id g1)/$1/state"
}

# Five devices, and xl has been told so.
all_served() {
	local vdev
	vbe-ctl dev show
	for vdev in xvda xvdb xvdc xvdd xvde; do served $vdev || return; done
	for vdev in 51712 51728 51744 51760 51776; do [ "$(state_of $vdev)" = 2 ] || return; done
}

# All of it is Debian's: no module but the kernel's own.
unmodified() {
	guest_do g1 "uname -a; cat /proc/modules;
		grep -q ^virtio_mmio /proc/modules && ! grep -E '^vbe|\([A-Z]*O' /proc/modules &&
		dmesg | grep 'Xen .* support found' &&
		cd $(block xvda) && readlink device/driver | grep virtio_blk &&
		[ \$(cat size) = 131072 ] && [ \$(cat ro) = 0 ]"
}

# And what it may only read it cannot write.
readonly_disk() {
	guest_do g1 "[ \$(cat $(block xvdc)/ro) = 1 ] && dd if=$(disk xvdc) count=1 | grep -q '^read me' &&
		! dd if=/dev/zero of=$(disk xvdc) count=1 oflag=direct" &&
		head -c 7 $RUN/c.img | grep -qx 'read me'
}

# What reaches the device comes straight from the guest's pages.
block_device() {
	guest_do g1 "head -c 4194304 /dev/urandom > /tmp/random && md5sum < /tmp/random &&
		dd if=/tmp/random of=$(disk xvdd) bs=64k oflag=direct" || return
	dd if="$SCRATCH" bs=64k count=64 iflag=direct | md5sum > $RUN/sum
	cat $RUN/sum
	guest_heard g1 | grep -qFf $RUN/sum || return
	dd if=/dev/urandom of="$SCRATCH" bs=64k count=64 seek=64 oflag=direct
	guest_do g1 "dd if=$(disk xvdd) bs=64k count=64 skip=64 iflag=direct | md5sum" || return
	dd if="$SCRATCH" bs=64k count=64 skip=64 iflag=direct | md5sum > $RUN/sum
	guest_heard g1 | grep -qFf $RUN/sum && fio_on xvdd --offset=16M --size=4M
}

interrupts() {
	guest_do g1 "dd if=$(disk xvda) of=/dev/null bs=64k count=16 iflag=direct; cat /proc/interrupts;
		grep -E 'GICv3.*virtio0' /proc/interrupts | grep -qvE ':( +0)+ '"
}

no_errors() {
	guest_do g1 "! dmesg | grep -E 'I/O error|EXT4-fs error|blocked for more|Call trace|device is broken'"
}

fio_on() { # DISK OPTION...
	local name=$1
	shift
	guest_do g1 "$FIO --filename=$(disk "$name") $*"
}

rebound() { # DRIVER'S FOLDER, WHERE THE DEVICE IS SEEN FROM THE DISK
	guest_do g1 "dev=\$(readlink -f $(block xvdb)/$2); p=\${dev##*/}; cd /sys/bus/$1 &&
		echo \$p > unbind && ! disk $(device xvdb) && echo \$p > bind && disk $(device xvdb)"
}

# It is started again by whoever started it.
killed_in_the_middle() {
	guest_ask g1 "$FIO --filename=$(disk xvdb) --size=24M --randseed=$RANDOM"
	servers_killed xvdb $RUN/b.img 3
}

# The servers go on without the one that started them; a next one takes over.
keeper_killed() {
	local server
	kill -KILL "${pid[auto]}"
	wait "${pid[auto]}" 2> /dev/null
	fio_on xvdb --size=2M || return
	backend
	server=$(server_of xvdb)
	kill -KILL "$server"
	wait_for 120 another_server xvdb "$server" && fio_on xvdb --size=2M
}

no_device() { [ -z "$(ls /sys/class/vbe 2>/dev/null)" ] && ! vbe-ctl dev show | grep -q dom; }

no_server() { ! pgrep -f 'vbe-blk --on' > /dev/null; }

nothing_left() {
	wait_for 120 no_domain || { xl list; return 1; }
	wait_for 120 no_device || { vbe-ctl dev show; return 1; }
	wait_for 120 no_server || { ps ax; return 1; }
	! xenstore-ls /local/domain/0/backend/virtio_disk 2> /dev/null | grep .
}

destroyed_under_load() {
	guest_ask g1 "$FIO --filename=$(disk xvdb) --size=48M"
	flows $RUN/b.img 120 || return
	xl destroy g1 && nothing_left && alive auto
}

# xl gives up, and leaves nothing behind.
nobody_serves() {
	end auto
	! new_guest 1 && nothing_left
}

# xl waits for ten seconds, of a clock that goes on while the host stands still: again, then.
late_backend() {
	for _ in 1 2 3; do
		(sleep 3; exec vbe-blk --auto --provider xen) >> $RUN/auto.log 2>&1 &
		pid[auto]=$!
		! new_guest 1 || break
		end auto
		nothing_left || return
	done
	all_served
}

again() {
	guest_start g1 && guest_up g1 300 && mount_tools &&
		guest_do g1 "chroot /tools e2fsck -fn $(disk xvda) && mount $(disk xvda) /mnt &&
			[ \$(wc -l < /mnt/numbers) = 100000 ]"
}

booted_twice() {
	[ "$(tr -d '\r' < "$(guest_log g1)" | grep -c '^guest: ready')" = 2 ]
}

# A next domain with the same disks.
rebooted() {
	local id
	id=$(guest_id g1)
	guest_ask g1 "umount /mnt; reboot -f"
	wait_for 300 booted_twice && [ "$(guest_id g1)" != "$id" ] && all_served && mount_tools &&
		guest_do g1 "chroot /tools e2fsck -fn $(disk xvda)" && fio_on xvdb --size=2M
}

shut_down() {
	guest_ask g1 bye
	nothing_left
}

state_is() { [ "$(state_of "$1")" = "$2" ]; }

# Those of other backends, in whatever state; one that contradicts itself is closed.
others() {
	local node status=0
	node=/local/domain/0/backend/virtio_disk/$(guest_id g1)
	xenstore-write "$node/900/type" qdisk "$node/900/state" 1 \
		"$node/901/type" standalone "$node/901/state" 4 \
		"$node/902/frontend-id" 0 "$node/902/state" 1
	wait_for 120 state_is 902 6 && state_is 900 1 && state_is 901 4 &&
		xenstore-read "$node/902/error" | grep frontend-id &&
		[ "$(vbe-ctl dev show | grep -c '^dom')" = 5 ] || status=1
	xenstore-ls -f "$node" | grep '/90'
	xenstore-rm "$node/900" "$node/901" "$node/902"
	return $status
}

# A device that is no disk: xl waits for nobody, and its node goes with the guest.
no_disk() {
	local status=0
	guest_new g1 console-job \
		'virtio=["backend=Domain-0,type=virtio,device22,transport=mmio,grant_usage=0"]' &&
		wait_for 120 vbe-ctl dev show "$(device virtio0)" || status=1
	guest_destroy g1
	nothing_left && return $status
}

# Linux's xenbus has room for "virtio_disk-9-51712", and for no longer name: a guest whose
# number has two digits, and the 17th disk of any.
long_names() {
	local status=0 id=0
	while [ "$id" -lt 9 ]; do
		guest_new dummy console-job || return
		id=$(guest_id dummy)
		guest_destroy dummy
	done
	guest_new g1 console-job "disk=$(arm_disk $RUN/a.img xvda)" "disk=$(arm_disk $RUN/b.img xvdt)" &&
		[ "$(guest_id g1)" -ge 10 ] && served xvda && served xvdt || status=1
	guest_destroy g1
	nothing_left && return $status
}

rm -rf $RUN
mkdir -p $RUN
truncate -s 64M $RUN/a.img $RUN/b.img
{ echo "read me"; head -c 1048568 /dev/zero; } > $RUN/c.img
SCRATCH=/dev/$(grep -lx scratch /sys/block/vd*/serial | cut -d/ -f4)
[ -b "$SCRATCH" ] || give_up "no scratch disk: xen-arm-run --scratch 64M"
modprobe vbe_xen || give_up "vbe_xen does not load"
backend
check "xl makes a guest with five disks" new_guest 2
check "the disks are there, served, before it runs" all_served
guest_start g1
guest_up g1 300 || give_up "the guest does not boot: $(tail -n 30 "$(guest_log g1)")"
check "programs, from one of them" mount_tools
check "an unmodified Debian guest with its own drivers" unmodified
check "a disk that xl makes read-only is" readonly_disk
check "interrupts arrive" interrupts
check "mkfs.ext4, mount, write" guest_do g1 "chroot /tools mkfs.ext4 -q $(disk xvda) &&
	mount $(disk xvda) /mnt && seq 100000 > /mnt/numbers && sync && umount /mnt"
check "fio: writes with O_DIRECT, and verifies" fio_on xvdb --size=8M
check "a disk that is a block device of dom0's" block_device
check "nodes of other backends are left alone" others
check "virtio_blk is unbound and bound again" rebound virtio/drivers/virtio_blk device
check "virtio-mmio is unbound and bound again" rebound platform/drivers/virtio-mmio device/..
check "fio again" fio_on xvdb --size=4M
check "a server is killed, three times in the middle of fio" killed_in_the_middle
check "the one that starts servers is killed" keeper_killed
check "the guest noticed nothing" no_errors
check "the guest is destroyed under load: nothing is left" destroyed_under_load
check "with nobody to serve its disks xl makes no guest" nobody_serves
check "a server that comes late is waited for" late_backend
check "the file system is sound in that guest" again
check "it reboots" rebooted
check "it shuts down, and nothing is left" shut_down
check "a device that is no disk" no_disk
check "disks with long names in xenbus" long_names
check "vbe-blk ends" end auto
check "the module goes" rmmod vbe_xen
finish
