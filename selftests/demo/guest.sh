#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Copyright (c) 2026 The vbe authors
#
# The demo, in the VM. Each step says what it does; a step that fails ends it.
set -u

step() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
show() { printf '\033[2m$ %s\033[0m\n' "$*"; "$@"; }
die() { printf '\nDEMO FAILED: %s\n' "$*"; exit 1; }

start_backend() {
	vbe-blk --loop /run/disk.img --name demo > /run/vbe-blk.log 2>&1 &
	backend=$!
}

wait_for_disk() {
	for _ in $(seq 200); do
		disk=$(grep -o '/dev/vd[a-z]*' /run/vbe-blk.log | head -1)
		[ -n "$disk" ] && [ -b "$disk" ] && return 0
		kill -0 $backend 2> /dev/null || { cat /run/vbe-blk.log; die "vbe-blk ended"; }
		sleep 0.05
	done
	cat /run/vbe-blk.log
	die "no disk appeared"
}

step "Load vbe, and ask what it can do here"
show modprobe vbe || die "no module"
show modprobe vbe_loop || die "no module"
show vbe-ctl probe || die "probe"

step "Serve a 64 MiB file with vbe-blk; the kernel's own virtio_blk finds the disk"
truncate -s 64M /run/disk.img
start_backend
wait_for_disk
cat /run/vbe-blk.log
show ls -l "$(readlink -f "/sys/block/${disk##*/}/device/driver")/module" -d

step "Make a file system on $disk and mount it"
show mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 "$disk" || die "mkfs"
mkdir -p /mnt
show mount "$disk" /mnt || die "mount"

step "Write 24 MiB of random data, with its checksum kept aside"
dd if=/dev/urandom of=/run/data bs=1M count=24 2> /dev/null
want=$(sha256sum < /run/data)
(dd if=/run/data of=/mnt/data bs=64k oflag=direct conv=fsync 2> /run/dd.log
	echo $? > /run/dd.status) &
writer=$!

step "SIGKILL the backend in the middle of that write"
for _ in $(seq 400); do
	size=$(stat -c %s /mnt/data 2> /dev/null || echo 0)
	[ "$size" -ge $((4 << 20)) ] && break
	sleep 0.01
done
kill -KILL $backend
wait $backend 2> /dev/null
echo "killed after $((size >> 10)) KiB; the writer (pid $writer) now waits:"
sleep 1
[ -e /run/dd.status ] && die "the write was over before the kill; nothing shown"
show vbe-ctl dev show demo

step "Start it again: the same device, the same driver, the write goes on"
: > /run/vbe-blk.log
start_backend
for _ in $(seq 600); do
	[ -e /run/dd.status ] && break
	sleep 0.1
done
[ "$(cat /run/dd.status 2> /dev/null)" = 0 ] || { cat /run/dd.log; die "the write failed"; }
cat /run/dd.log

step "Verify: drop the caches, read back, compare"
show umount /mnt || die "umount"
show e2fsck -fn "$disk" || die "the file system is damaged"
show mount "$disk" /mnt || die "mount"
got=$(sha256sum < /mnt/data)
echo "written $want"
echo "read    $got"
[ "$want" = "$got" ] || die "data differ"

step "What the administrator sees"
show vbe-ctl dev show demo
show vbe-ctl stats demo

step "SIGTERM: the backend drains, takes the disk away, and leaves nothing behind"
umount /mnt
kill -TERM $backend
wait $backend || die "vbe-blk ended with an error"
[ -b "$disk" ] && die "$disk is still there"
vbe-ctl dev show
rmmod vbe_loop vbe || die "modules still in use"
printf '\nDEMO OK: no I/O error, no lost byte, nothing left behind.\n'
