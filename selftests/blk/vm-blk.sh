#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Copyright (c) 2026 The vbe authors
#
# shellcheck disable=SC2317 # functions are called by check
#
# What vbe-blk offers, seen by the kernel's own driver. Runs in a VM; TAP.
# Programs: vbe-blk vbe-ctl blkdiscard cmp dd mount setpriv; modules: vbe_loop virtio_blk.
set -u
# shellcheck source=selftests/blk/vm-lib.sh
. "${0%/*}/vm-lib.sh"
modprobe -a vbe_loop virtio_blk

has_size() { is "$(queue_attr size)" "$1"; }
same_as_zeroes() { cmp -s -n "$1" "$DISK" /dev/zero; }
kib() { du -k "$1" | cut -f1; }
# By their parent's pid: not every kernel has task/*/children.
children() {
	grep -lx "PPid:.$1" /proc/[0-9]*/status 2>/dev/null | sed 's#/proc/\([0-9]*\)/.*#\1#'
}
ticks() { cut -d' ' -f14,15 "/proc/$1/stat" | tr ' ' '+'; }
with_closed_stdio() { vbe-blk --loop --name closed "$IMG" <&- >&- 2>&- & SERVER=$!; }

# None, in none of its threads.
no_capabilities() {
	local sets
	sets=$(grep -h '^Cap\(Prm\|Eff\|Amb\):' "/proc/$SERVER"/task/*/status) &&
		! grep -qv ':.0*$' <<<"$sets"
}

# Not root, but with all capabilities, as systemd's AmbientCapabilities= gives them.
vbe-blk-with-capabilities() {
	exec setpriv --reuid 65534 --clear-groups --inh-caps=+all --ambient-caps=+all vbe-blk "$@"
}

# The server must notice the death of its minder once, and not spin.
minder_dies() {
	local before
	kill -KILL "$(children "$SERVER")"
	eventually grep -q 'minder has ended' "$TMP/server.log"
	sleep 1
	before=$(($(ticks "$SERVER")))
	sleep 1
	[ $(($(ticks "$SERVER") - before)) -lt 20 ] &&
		[ "$(grep -c 'minder has ended' "$TMP/server.log")" = 1 ] &&
		dd if="$DISK" of=/dev/null bs=64k count=1 iflag=direct status=none
}

# Writes in flight when the driver asks for writethrough must be served all the same.
cache_changes_under_load() {
	local cache=/sys/block/${DISK#/dev/}/cache_type writer
	dd if=/dev/zero of="$DISK" bs=64k count=256 oflag=direct status=none &
	writer=$!
	for _ in 1 2 3 4 5; do
		echo "write back" >"$cache"
		echo "write through" >"$cache"
	done
	wait "$writer" && is "$(queue_attr cache_type)" "write through"
}

fails_with_eio() { "$@" 2>&1 | grep -q 'Input/output\|I/O error'; }

IMG=$TMP/disk.img
truncate -s 64M "$IMG"

check "a disk comes up" serve --loop --serial S123 --block-size 4096 --queues 2 \
	--cache writethrough "$IMG"
check "serial" is "$(queue_attr serial)" S123
check "block size" is "$(queue_attr queue/logical_block_size)" 4096
check "writethrough" is "$(queue_attr cache_type)" "write through"
echo "write back" >"/sys/block/${DISK#/dev/}/cache_type"
check "the driver may change it" is "$(queue_attr cache_type)" "write back"
check "and change it back while it writes" cache_changes_under_load
check "the server is not root" grep -q '^Uid:.*65534' "/proc/$SERVER/status"
check "it has no capabilities" no_capabilities
check "it is under seccomp" grep -q '^Seccomp:.2' "/proc/$SERVER/status"
truncate -s 128M "$IMG"
kill -HUP "$SERVER"
check "resize" eventually has_size 262144
dd if=/dev/urandom of="$DISK" bs=1M count=16 oflag=direct 2>/dev/null
check "data is in the image" cmp -s -n 16777216 "$DISK" "$IMG"
check "discard" blkdiscard -o 0 -l 8388608 "$DISK"
check "discard frees the image's blocks" [ "$(kib "$IMG")" -le 8192 ]
check "write zeroes" blkdiscard -z -o 8388608 -l 4194304 "$DISK"
check "both read as zeroes" same_as_zeroes 12582912
check "SIGTERM takes it away" stop

head -c 65536 /dev/urandom | dd of="$IMG" conv=notrunc status=none
head -c 65536 "$IMG" >"$TMP/head"
with_closed_stdio
sleep 3
check "closed stdin, stdout and stderr: it serves" kill -0 "$SERVER"
check "and its messages do not go into the image" cmp -s -n 65536 "$IMG" "$TMP/head"
kill -TERM "$SERVER"
wait "$SERVER"
check "root is no user for the sandbox" exits_with 1 vbe-blk --loop --user root "$IMG"
check "capabilities without root" serve_by vbe-blk-with-capabilities --loop --queues 2 "$IMG"
check "are given up, too" no_capabilities
check "and it ends" stop
serve --loop --name orphan "$IMG"
check "it outlives its minder" minder_dies
vbe-ctl dev del orphan
# It cannot make sure of that itself any more, and says so by its status.
check "and ends when its device is deleted" exits_with 1 wait "$SERVER"

for ring in --no-packed --packed; do
	check "a disk ($ring)" serve --loop $ring "$IMG"
	head -c 4194304 /dev/urandom >"$TMP/data"
	check "write ($ring)" dd if="$TMP/data" of="$DISK" bs=256k oflag=direct status=none
	die_hard
	(sleep 1; exec vbe-blk --loop --queue-size 32 $ring "$IMG" >"$TMP/next.out" 2>"$TMP/server.log") &
	SERVER=$!
	dd if="$DISK" of="$TMP/back" bs=1M count=4 iflag=direct status=none
	check "a read waits for the next server ($ring)" cmp -s "$TMP/data" "$TMP/back"
	check "with the queues of the last one, as it says ($ring)" \
		grep -q 'has 1 queues of 256 entries from its last server' "$TMP/server.log"
	check "which can be stopped ($ring)" stop
done

check "read-only" serve --loop --read-only "$IMG"
check "the driver knows" is "$(queue_attr ro)" 1
stop
check "zeroes" serve --loop --null --size 2G --no-event-idx --no-indirect
check "of that size" is "$(queue_attr size)" 4194304
check "read as zeroes" same_as_zeroes 10000000
stop

mkdir -p "$TMP/small"
mount -t tmpfs -o size=4M none "$TMP/small"
truncate -s 16M "$TMP/small/disk.img"
serve --loop "$TMP/small/disk.img"
check "a full file system is an I/O error" fails_with_eio \
	dd if=/dev/urandom of="$DISK" bs=1M count=8 oflag=direct
check "and a line" grep -q 'write.*failed: No space left' "$TMP/server.log"
truncate -s 1M "$TMP/small/disk.img"
check "a truncated image is an I/O error" fails_with_eio \
	dd if="$DISK" of=/dev/null bs=64k skip=64 count=1 iflag=direct
stop
umount "$TMP/small"

truncate -s 32M "$TMP/other.img"
serve --loop --name foo "$IMG"
die_hard
check "another image is refused" exits_with 1 vbe-blk --loop --name foo "$TMP/other.img"
serve --loop --name foo "$IMG"
check "a second server is refused" exits_with 1 vbe-blk --loop --name foo "$TMP/other.img"
check "so is a second use of an image" exits_with 1 vbe-blk --loop --name bar "$IMG"
kill -USR1 "$SERVER"
wait "$SERVER"
check "SIGUSR1 leaves the disk" [ -e "$DISK" ]
serve --loop --name foo "$IMG"
driver=/sys/bus/virtio/drivers/virtio_blk
fe=$(basename "$(readlink -f "/sys/block/${DISK#/dev/}/device")")
for _ in 1 2 3; do
	echo "$fe" >$driver/unbind
	echo "$fe" >$driver/bind
done
check "the driver may leave and come back" dd if="$DISK" of=/dev/null bs=1M count=8 \
	iflag=direct status=none
kill -STOP "$SERVER"
echo "$fe" >$driver/unbind
kill -CONT "$SERVER"
check "a server that sleeps through a reset is told so" exits_with 1 wait "$SERVER"
(sleep 1; echo "$fe" >$driver/bind) &
serve --loop --name foo "$IMG"
check "the next one goes on" dd if="$DISK" of=/dev/null bs=1M count=8 iflag=direct status=none
check "and ends" stop
check "wrong usage" exits_with 2 vbe-blk --loop --queues 0 "$IMG"
check "no image" exits_with 1 vbe-blk --loop "$TMP/nowhere.img"
finish
