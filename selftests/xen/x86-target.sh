#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Copyright (c) 2026 The vbe authors
#
# In a dom0 of lab/xen-run: another domain serves a guest's disk. It runs vbe on a kernel
# of its own, from /out/be (lab/domain-image), and may do so for the one guest that is its
# target, in Xen and in xenstore; for any other it is refused. BE_TYPE is hvm or pvh;
# BE_MEM its MiB; KILLS, how often its server is killed while the guest writes.
cd "$(dirname "${BASH_SOURCE[0]}")" || exit
RUN=/run/vbe-xen
# shellcheck source=/dev/null
. /vm/steps.sh
# shellcheck source-path=SCRIPTDIR source=lib.sh
. ./lib.sh
# shellcheck source-path=SCRIPTDIR source=console.sh
. ./console.sh
# shellcheck source-path=SCRIPTDIR source=watch.sh
. ./watch.sh
# shellcheck source-path=SCRIPTDIR source=still.sh
. ./still.sh
# What a healthy kernel never prints.
# shellcheck source=/dev/null
. /vm-judge.sh

BE_TYPE=${BE_TYPE:-pvh}
KILLS=${KILLS:-2}
FE_MEM=264
FIO="chroot /tools fio --thread --group_reporting --output-format=terse --filename=\$(disk vdisk)
	--bs=4k --rw=randwrite --ioengine=libaio --iodepth=8 --direct=1 --verify=crc32c
	--verify_fatal=1 --name=job"

# Its console is Xen's, and its job is to do as it is told.
be_new() {
	local dir=$GUESTS/be line="console=hvc0 quiet panic=-1 mitigations=off log_buf_len=2M"
	mkdir -p $dir/root
	cp guest-init $dir/root/init
	cp console-job $dir/root/job
	cp target-be.sh $dir/root/be.sh
	chmod +x $dir/root/init
	(cd $dir/root && find . | cpio -o -H newc -R 0:0 2>/dev/null) | cat /out/be/initrd - > $dir/initrd
	cat > $dir/config <<-END
		name = "be"
		type = "$BE_TYPE"
		memory = ${BE_MEM:-384}
		vcpus = 1
		kernel = "/out/be/vmlinuz"
		ramdisk = "$dir/initrd"
		cmdline = "$line apparmor=0 selinux=0 audit=0 rdinit=/init tsc=reliable no_timer_check pci=noearly 8250.nr_uarts=0"
		disk = [ ]
		vga = "none"
		nographic = 1
		vnc = 0
		sdl = 0
		usb = 0
		tsc_mode = "native"
		on_poweroff = "destroy"
		on_reboot = "destroy"
		on_crash = "destroy"
	END
	[ "$BE_TYPE" = hvm ] || sed -i '/^\(vga\|nographic\|vnc\|sdl\|usb\) /d' $dir/config
	xl create -q $dir/config && rm -f $dir/initrd
}

# If it does not do it in time, what there is to see is written down.
be() { guest_do be ". /be.sh; $*" || silent be || return; }
fe() { guest_do fe "$*" || silent fe || return; }
fe_answers() { guest_answer fe "$1" || silent fe || return; }

be_view() { GUEST_SECONDS=60 guest_do be ". /be.sh; view"; }

# Whoever has answered, if only that it failed, does not stand still.
silent() { # GUEST
	guest_said "$1" "^guest: end ${asked[$1]} " || stands_still be_view be fe
	return 1
}

boots() { # GUEST SECONDS VIEW
	guest_up "$1" "$2" && return
	note "$(stands_still "$3" "$1")"
	give_up "$1 does not boot: $(tail -n 30 "$(guest_log "$1")")"
}

# Xen's, and the one that says so in xenstore, which the domain itself can read.
xen_target() { # BACKEND GUEST
	cp /set-target /tmp/ &&
		chroot /xen /tmp/set-target libxenctrl.so.4.20 "$1" "$2"
}

store_target() { xenstore-write "/local/domain/$1/target" "$2"; }

# What kind of guest it is, only dom0 may read.
store_type() { xenstore-chmod "/libxl/$2/type" n0 "r$1"; }

# All of it is Debian's: no module but the kernel's own.
unmodified() {
	fe "uname -a; grep -q ^virtio_blk /proc/modules && ! grep -E '^vbe|\([A-Z]*O' /proc/modules &&
		dmesg | grep 'Hypervisor detected: Xen' && [ \$(cat /sys/block/\$(basename \$(disk vdisk))/size) = 131072 ]"
}

files() {
	fe "chroot /tools mkfs.ext4 -q \$(disk vdisk) && mount -t ext4 \$(disk vdisk) /mnt &&
		seq 50000 > /mnt/numbers && sync && echo 1 > /proc/sys/vm/drop_caches &&
		seq 50000 | cmp - /mnt/numbers && umount /mnt && chroot /tools e2fsck -fn \$(disk vdisk)"
}

msix_used() {
	fe "dd if=\$(disk vdisk) of=/dev/null bs=64k count=16 iflag=direct; cat /proc/interrupts;
		grep -E 'MSI.*virtio[0-9]-req' /proc/interrupts | grep -vE ':( +0)+ +[^ 0-9]'"
}

rebound() {
	fe "dev=\$(readlink -f /sys/block/\$(basename \$(disk vdisk))/device/..); p=\${dev##*/};
		cd /sys/bus/pci/drivers/virtio-pci && echo \$p > unbind && ! disk vdisk &&
		echo \$p > bind && disk vdisk"
}

killed_in_the_middle() {
	guest_ask fe "$FIO --size=${KILLS}M --rate_iops=20 --randseed=$RANDOM"
	be kills $KILLS || { stands_still be_view be fe; return; }
	fe_answers 400
}

no_errors() {
	fe "! dmesg | grep -E 'I/O error|EXT4-fs error|blocked for more|Call Trace|device is broken'"
}

has_memory() { # MIB
	[ "$(xl list fe | awk 'NR == 2 { print $3 }')" -le "$1" ]
}

# Asked in the guest: xl, again and again, would take the time that it needs.
shrunk() { # MIB
	fe "n=0; until [ \$(cat /sys/devices/system/xen_memory/xen_memory0/info/current_kb) -le $(($1 * 1024)) ]; do
		n=\$((n + 1)); [ \$n -le 120 ] || exit 1; sleep 1; done" && has_memory "$1"
}

# Little, of a guest of which little is touched: Xen asks for all to be unmapped again and
# again meanwhile.
shrinks() {
	local before
	be faults || return
	before=$(guest_heard be | grep -aE -m 1 '^[0-9]+$')
	xl mem-set fe $((FE_MEM - 2)) || return
	shrunk $((FE_MEM - 1)) || { xl list; return 1; }
	be "invalidated $before"
}

# Its memory has gone back to Xen. The domain's number stays its own as long as somebody has
# it as target: that is Xen's.
no_memory() { xl list | awk -v id="$1" '$2 == id && $3 > 0 { bad = 1 } END { exit bad }'; }

destroyed_under_load() {
	guest_ask fe "$FIO --size=32M"
	be flows || return
	xl destroy fe || return
	wait_for 120 no_memory "$fe" || { xl list; return 1; }
	be bereft
	local rc=$?
	xl list
	return $rc
}

# As the lab judges any kernel of its own.
judged() {
	local dir=/out/be-said
	rm -rf $dir
	mkdir -p $dir
	be leaks && guest_heard be | grep -av '^guest: ' > $dir/kmemleak
	be cat /proc/sys/kernel/tainted && guest_heard be | grep -aE -m 1 '^[0-9]+$' > $dir/tainted
	be dmesg && guest_heard be > $dir/dmesg
	tr -d '\r' < "$(guest_log be)" > $dir/console
	[ -s $dir/tainted ] && [ "$(wc -l < $dir/dmesg)" -gt 100 ] && ! ignore='' splats $dir
}

ended() {
	xl destroy be || return
	wait_for 120 no_domain || { xl list; return 1; }
}

rm -rf $RUN
mkdir -p $RUN
be_new || give_up "xl create of the backend domain fails"
boots be 600 true
check "a backend domain, $BE_TYPE, loads vbe_xen" be "begin && translated"
guest_new fe console-job mem=$FE_MEM vcpus=2 tools=yes || give_up "xl create fails"
be=$(guest_id be) fe=$(guest_id fe)

check "refused: a guest that is not its target" \
	be "refused \"not dom0, and xenstore does not name\" $fe"
store_target "$be" "$fe"
check "refused: one that is so in xenstore, and not in Xen" \
	be "refused \"does not let this domain\" $fe"
check "Xen makes the guest its target" xen_target "$be" "$fe"
check "refused: a guest of which it may not know what it is" \
	be "refused \"xenstore does not say\" $fe"
check "refused: itself, and others" \
	be "refused \"not dom0\" $be && refused \"not dom0\" $((fe + 1)) && refused \"domain 0\" 0"
store_type "$be" "$fe"
check "a disk for the paused guest" be "add $fe && serve"

guest_start fe
boots fe 300 be_view
check "an unmodified Debian guest with its own drivers" unmodified
check "mkfs.ext4, mount, write, read, e2fsck" files
check "fio: writes with O_DIRECT, and verifies" fe "$FIO --size=1M --end_fsync=1"
check "MSI-X interrupts" msix_used
check "virtio-pci is unbound and bound again" rebound
check "vbe-blk is killed, $KILLS times in the middle of fio" killed_in_the_middle
check "the guest noticed nothing" no_errors

check "a backend touches the guest's memory" be "touches $fe 1"
check "the guest gives memory back: what was mapped is asked for anew" shrinks
check "the guest is well" fe "$FIO --size=1M --end_fsync=1"
check "the device is deleted" be "untouched"

check "the guest is destroyed under load: its memory is free, the server lives" destroyed_under_load
check "nothing is left" be "rmmod vbe_xen vbe"
check "no complaint of its kernel, and no leak" judged
check "the backend domain ends, and with it all" ended
finish
