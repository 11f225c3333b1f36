#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Copyright (c) 2026 The vbe authors
#
# In a dom0 of lab/xen-arm-run: a guest whose virtio drivers grant their memory (its kernel
# is of lab/xen-guest-kernel, at /xg/Image). Its disks must be reached by its grants alone,
# and each of those must be given back before the driver wants it back: else Linux gives up
# the device for good. Once with grants mapped, once with grants copied; and a driver that
# lies (grant-rogue.c).
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

TRACE=/sys/kernel/tracing
FIO="chroot /tools fio --thread --group_reporting --output-format=terse --direct=1
	--ioengine=libaio --verify=crc32c --verify_fatal=1 --verify_state_save=0 --name=job"

fio_on() { # DISK OPTION...
	local name=$1
	shift
	guest_do g1 "$FIO --filename=$(disk "$name") $*"
}

# The programs come through grants, too; one disk does without.
new_guest() {
	mkdir -p $GUESTS/g1/files/usr/bin
	cp /xg/grant-rogue $GUESTS/g1/files/usr/bin/
	guest_new g1 console-job vcpus=2 kernel=/xg/Image \
		"disk=$(arm_disk $RUN/a.img xvda rw 1)" "disk=$(arm_disk $RUN/b.img xvdb rw 1)" \
		"disk=$(arm_disk $RUN/c.img xvdc rw 0)" "disk=$(arm_disk "$(guest_tools)" xvde ro 1)" &&
		served xvda && served xvdb && served xvdc && served xvde
}

# Bit 33 is ACCESS_PLATFORM, without which a driver of virtio ignores what DMA addresses are.
drivers_grant() {
	guest_do g1 "for disk in $(disk xvda) $(disk xvdb) $(disk xvde); do
			cut -c33-34 /sys/block/\${disk##*/}/device/features | grep -x 11 || exit; done;
		cut -c33-34 $(block xvdc)/device/features | grep -x 10"
}

# Where the drivers' rings are.
rings_granted() {
	vbe-ctl vq show | awk -v dom="dom$(guest_id g1)-" '{ print }
		index($1, dom) == 1 && $3 == "yes" { for (i = 11; i <= 13; i++) n[$1 ~ /xvdc/, $i ~ /^0x8000/]++ }
		END { exit n[0, 0] || n[0, 1] < 9 || n[1, 1] || n[1, 0] < 3 }'
}

window_is() { # CLASS of what is granted
	vbe-ctl map show "$(device xvda)"
	vbe-ctl map show "$(device xvda)" | grep 0x8000000000000000 | grep -qw "$1"
}

trace_on() { echo > $TRACE/trace && echo 1 > $TRACE/events/vbe/vbe_map/enable; }

traced() { grep 'vbe_map:' $TRACE/trace | grep -v 'dom[0-9]*-xvdc'; }

# What backends have mapped: not one page of the guest's address space (at 0x4... is their
# in-flight area), and no scratch memory where a grant was missed.
mapped_grants_only() {
	traced | tail -n 3
	traced | grep -q ': dom[^ ]* 0x8' && ! traced | grep -v ': dom[^ ]* 0x[48].\{15\} ' &&
		! traced | grep scratch
}

copies() { vbe-ctl stats "$(device "$1")" -j | grep -o '"copies": *[0-9]*' | head -n 1 | grep -o '[0-9]*$'; }

# Nothing is mapped, and what was read has been copied.
copied_only() {
	local before
	before=$(copies xvda)
	guest_do g1 "dd if=$(disk xvda) of=/dev/null bs=64k count=16 iflag=direct" || return
	echo "copies: $before, then $(copies xvda)"
	[ "$(copies xvda)" -ge $((before + 16)) ] && ! traced | grep -v ': dom[^ ]* 0x4.\{15\} '
}

# Xen's own books: how many of the guest's grants somebody uses. The first two are its
# console's and its xenstore's.
pins() {
	xl debug-keys g
	xl dmesg | awk -v dom="d$(guest_id g1)" '
		/grant-table for remote/ { on = index($0, "remote " dom " ") > 0; if (on) n = 0 }
		on && /\[0x[0-9a-f]+\]/ && !/\[0x00[01]\]/ { n++ }
		END { print n + 0 }'
}

pins_are() { [ "$(pins)" = "$1" ]; }

reads() { # BLOCKS
	guest_do g1 "dd if=$(disk xvdb) of=/dev/null bs=64k count=$1 iflag=direct"
}

# Rings are in use as long as the driver is, buffers while they are. A ring that had to make
# room is in use again from the next request on: so one goes first.
pins_come_back() {
	local before
	reads 1 || return
	before=$(pins)
	echo "before: $before"
	reads 64 || return
	echo "after: $(pins)"
	wait_for 60 pins_are "$before"
}

# Written in pieces of each size, read back in those of another; dom0 sees the same.
sizes() {
	local at=0 bs
	guest_do g1 "head -c 524288 /dev/urandom > /tmp/random && md5sum < /tmp/random" || return
	guest_heard g1 | grep -oE '^[0-9a-f]{32}' > $RUN/sum
	for bs in 512 4096 65536 524288; do
		guest_do g1 "dd if=/tmp/random of=$(disk xvda) bs=$bs seek=$((at / bs)) oflag=direct &&
			dd if=$(disk xvda) bs=$((524800 - bs)) count=524288 skip=$at \
				iflag=direct,skip_bytes,count_bytes | cmp - /tmp/random" || return
		dd if=$RUN/a.img bs=512k skip=$((at / 524288)) count=1 2> /dev/null | md5sum |
			grep -qFf $RUN/sum || { echo "not what dom0 sees: $bs"; return 1; }
		at=$((at + 524288))
	done
}

in_flight() {
	fio_on xvdb --bsrange=512-256k --blockalign=512 --rw=randwrite --iodepth=32 --numjobs=2 \
		--size=4M --offset_increment=8M
}

# The oldest make room, in use or not.
little_room() {
	local knob=/sys/module/vbe_xen/parameters/grant_map_pages status=0 room
	room=$(cat $knob)
	echo 256 > $knob
	in_flight || status=1
	[ "$(pins)" -le $((3 * 256)) ] || { echo "in use: $(pins)"; status=1; }
	echo "$room" > $knob
	return $status
}

# Of a disk that is not told to.
without_grants() {
	guest_do g1 "dd if=/dev/urandom of=$(disk xvdc) bs=64k count=16 oflag=direct &&
		dd if=$(disk xvdc) bs=1M count=1 iflag=direct | md5sum" || return
	dd if=$RUN/c.img bs=1M count=1 2> /dev/null | md5sum > $RUN/sum
	guest_heard g1 | grep -qFf $RUN/sum
}

file_system() {
	guest_do g1 "chroot /tools mkfs.ext4 -q $(disk xvda) && mount $(disk xvda) /mnt &&
		seq 100000 > /mnt/numbers && sync && echo 3 > /proc/sys/vm/drop_caches &&
		[ \$(wc -l < /mnt/numbers) = 100000 ] && umount /mnt &&
		chroot /tools e2fsck -fn $(disk xvda)"
}

# What the driver frees when it goes must not be in use any more.
rebound() {
	guest_do g1 "dev=\$(readlink -f $(block xvdb)/device); p=\${dev##*/};
		cd /sys/bus/virtio/drivers/virtio_blk && for i in 1 2 3; do echo \$p > unbind &&
		! disk $(device xvdb) && echo \$p > bind && disk $(device xvdb) &&
		dd if=$(disk xvdb) of=/dev/null bs=64k count=4 iflag=direct || exit; done"
}

# Without a driver none of the device's is.
unbound_is_unpinned() {
	local with without
	with=$(pins)
	guest_do g1 "cd /sys/bus/virtio/drivers/virtio_blk && for disk in $(disk xvda) $(disk xvdb); do
		dev=\$(readlink -f /sys/block/\${disk##*/}/device); echo \${dev##*/} | tee -a /tmp/unbound > unbind;
		done" || return
	without=$(pins)
	guest_do g1 "cd /sys/bus/virtio/drivers/virtio_blk && for p in \$(cat /tmp/unbound); do
		echo \$p > bind || exit; done; rm /tmp/unbound; disk $(device xvda) && disk $(device xvdb)"
	echo "with three drivers: $with, with one: $without"
	# Three devices, with as many rings each.
	[ "$without" -gt 0 ] && [ "$with" -ge $((3 * without)) ]
}

# Linux says so once, and never uses the device again.
no_complaint() {
	guest_do g1 "! dmesg | grep -e 'still in use' -e 'disabled for further' -e 'still pending' \
		-e 'I/O error' -e 'EXT4-fs error' -e 'blocked for more' -e 'Call trace' -e WARNING"
}

killed_in_the_middle() {
	guest_ask g1 "$FIO --bs=16k --rw=randwrite --iodepth=8 --filename=$(disk xvdb) --size=24M --randseed=$RANDOM"
	servers_killed xvdb $RUN/b.img 2
}

# With no server at all nothing of the guest's is in use; the next ones go on.
servers_gone() {
	local disk servers=() status=0
	for disk in xvda xvdb xvdc xvde; do servers+=("$(server_of $disk)"); done
	# shellcheck disable=SC2154 # of steps.sh
	kill -KILL "${pid[auto]}" "${servers[@]}"
	wait "${pid[auto]}" 2> /dev/null
	wait_for 60 pins_are 0 || { echo "still in use: $(pins)"; status=1; }
	backend
	for disk in xvda xvdb xvdc xvde; do wait_for 120 served $disk || return; done
	guest_do g1 "for disk in $(disk xvda) $(disk xvdb) $(disk xvde); do
		dd if=\$disk of=/dev/null bs=64k count=4 iflag=direct || exit; done" && return $status
}

# By the driver that lies: else its first lies were none.
patience_lost() { dmesg | grep 'vbe_xen: domain [0-9]* grants what cannot be mapped'; }

# It has one disk; the guest's kernel goes on with another one.
rogue() { # SECONDS
	local server base before
	server=$(server_of xvda)
	before=$(pins)
	base=$(xenstore-read "/local/domain/0/backend/virtio_disk/$(guest_id g1)/51712/base")
	base=$(printf %x "$base")
	guest_do g1 "cd /sys/bus/platform/drivers/virtio-mmio && dev=\$(echo $base.*) && echo \$dev > unbind &&
		{ $FIO --bs=4k --rw=randwrite --size=2M --rate_iops=50 --time_based --runtime=$(($1 + 5)) \
			--filename=$(disk xvdb) > /tmp/fio 2>&1 & } &&
		grant-rogue 0x$base $1 && wait \$! && echo \$dev > bind &&
		dd if=$(disk xvda) of=/dev/null bs=64k count=16 iflag=direct" || return
	[ "$(server_of xvda)" = "$server" ] || { echo "another server: it was $server"; return 1; }
	wait_for 60 pins_are "$before" || { echo "grants in use: $before, now $(pins)"; return 1; }
}

# A kernel without XEN_VIRTIO looks ten seconds for a driver of what it takes for an IOMMU, then
# does without: the driver takes ACCESS_PLATFORM, and its addresses are what they always are.
not_listening() {
	guest_new g1 console-job "disk=$(arm_disk $RUN/c.img xvda rw 1)" || return
	guest_start g1
	guest_up g1 120 || return
	guest_do g1 "for i in 1 2 3 4 5 6 7 8 9 10; do disk $(device xvda) && break; sleep 3; done;
		cat /proc/uptime; dmesg | tail -n 3; cut -c34 $(block xvda)/device/features | grep -x 1 &&
		dd if=$(disk xvda) of=/dev/null bs=64k count=16 iflag=direct" || return
	vbe-ctl vq show | awk -v dom="dom$(guest_id g1)-" '{ print }
		index($1, dom) == 1 && $3 == "yes" && $11 ~ /^0x.{1,10}$/ { n++ } END { exit n != 1 }'
}

not_listening_over() {
	local status=0
	not_listening || status=1
	guest_destroy g1
	nothing_left && return $status
}

no_device() { ! vbe-ctl dev show | grep -q dom; }

nothing_left() {
	wait_for 120 no_domain || { xl list; return 1; }
	wait_for 120 no_device || { vbe-ctl dev show; return 1; }
}

destroyed_under_load() {
	guest_ask g1 "$FIO --bs=64k --rw=randwrite --iodepth=16 --filename=$(disk xvdb) --size=48M"
	flows $RUN/b.img 120 || return
	xl destroy g1 && nothing_left && alive auto
}

begin() { # MODE CLASS MODULE-PARAMETER...
	local mode=$1 class=$2
	shift 2
	modprobe vbe_xen "$@" || give_up "vbe_xen does not load"
	backend
	trace_on
	check "$mode: xl makes a guest that is to grant" new_guest
	guest_start g1
	guest_up g1 120 || give_up "the guest does not boot: $(tail -n 30 "$(guest_log g1)")"
	check "$mode: programs, from a disk" mount_tools
	check "$mode: its drivers grant" drivers_grant
	check "$mode: its rings are granted" rings_granted
	check "$mode: grants are a window of class $class" window_is "$class"
}

through() { # MODE
	check "$1: many in flight, of all sizes, verified" in_flight
	check "$1: virtio_blk is unbound and bound again" rebound
	check "$1: servers are killed in the middle of it" killed_in_the_middle
}

over() { # MODE SECONDS
	check "$1: the guest's kernel has nothing to complain about" no_complaint
	check "$1: a driver that lies about grants" rogue "$2"
	check "$1: the guest is destroyed under load: nothing is left" destroyed_under_load
}

end_all() { # MODE
	check "$1: vbe-blk ends" end auto
	check "$1: the module goes" rmmod vbe_xen
}

rm -rf $RUN
mkdir -p $RUN
truncate -s 64M $RUN/a.img $RUN/b.img $RUN/c.img

begin mapped pfn
check "mapped: pieces of every size" sizes
check "mapped: mkfs.ext4, mount, write, e2fsck" file_system
through mapped
check "mapped: grants, and no other memory, were mapped" mapped_grants_only
check "mapped: a disk of the same guest that does without grants" without_grants
check "mapped: with room for few grants" little_room
check "mapped: buffers are given back" pins_come_back
check "mapped: so are rings" unbound_is_unpinned
check "mapped: servers are killed, and hold nothing" servers_gone
over mapped 4
check "mapped: the log tells of grants that only can be copied" patience_lost
end_all mapped

begin copied copy grant_map=0
check "copied: what is read was copied" copied_only
through copied
check "copied: Xen knows of nobody who uses a grant" pins_are 0
over copied 2
check "a guest of Debian's that is told to grant" not_listening_over
end_all copied
finish
