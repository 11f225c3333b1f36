#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Copyright (c) 2026 The vbe authors
#
# In the VM: SIGKILL the backend at random moments while fio writes and verifies
# through it. The image lies on a real file system, opened O_DIRECT where that is
# possible, so that the host's storage works on FE buffers when the kill comes.
#
#	crash.sh ROUNDS split|packed [QUEUES [VBE-BLK-OPTION]]
#
# fio must never see an error, a lost, a repeated or a corrupt block.
set -u
rounds=$1
ring=$2
queues=${3:-2}
more=${4:-}
dir=/run/crash
image=$dir/disk.img
size=24M
name=crash
ring_opt=--no-packed
[ "$ring" = packed ] && ring_opt=--packed

say() { echo "# $*"; }
fail() {
	echo "not ok 1 - $rounds SIGKILLs, $ring ring, $queues queues: $*"
	[ -s $dir/fio.log ] && tail -20 $dir/fio.log | sed 's/^/# fio: /'
	[ -s $dir/blk.log ] && tail -20 $dir/blk.log | sed 's/^/# vbe-blk: /'
	vbe-ctl dev show $name | sed 's/^/# /'
	vbe-ctl stats $name | sed 's/^/# /'
	exit 1
}

set_up() {
	mkdir -p $dir
	if [ -b /dev/vda ]; then
		mkfs.ext4 -q -F /dev/vda && mount /dev/vda $dir || fail "no scratch file system"
	fi
	truncate -s $size $image
	modprobe vbe || fail "no module"
}

start_backend() {
	: > $dir/blk.now
	vbe-blk --loop $image --name $name --queues "$queues" $ring_opt --queue-size 64 \
		--serial crash ${more:+-v $more} > $dir/blk.now 2>&1 &
	backend=$!
}

# The name comes from the kernel; the driver needs a moment to bind.
wait_disk() {
	local i
	for i in $(seq 2400); do
		disk=$(ls -d /sys/bus/virtio/devices/*/block/* 2> /dev/null |
			while read -r p; do
				[ "$(cat "$p/serial" 2> /dev/null)" = crash ] && echo "/dev/${p##*/}"
			done | head -1)
		[ -n "$disk" ] && [ -b "$disk" ] && return 0
		kill -0 "$backend" 2> /dev/null || fail "vbe-blk ended at its start"
		sleep 0.05
	done
	fail "no disk appeared"
}

fio_forever() {
	local seed=1
	while [ ! -e $dir/stop ]; do
		fio --name=v --filename="$disk" --direct=1 --ioengine=io_uring --iodepth=16 \
			--rw=randwrite --bsrange=4k-32k --blockalign=4k --size=8M \
			--offset=$(((seed % 2) * 8))M --norandommap=0 --randseed=$seed \
			--verify=crc32c --verify_fatal=1 --verify_backlog=256 \
			--do_verify=1 --group_reporting > $dir/fio.log 2>&1 || return 1
		seed=$((seed + 1))
		echo $seed > $dir/fio.runs
	done
}

random_sleep() {
	# 0 to 255 ms
	sleep "0.$(printf '%03d' $((RANDOM % 256)))"
}

losses() {
	vbe-ctl -j stats $name | grep -o '"losses": *[0-9]*' | grep -o '[0-9]*$'
}

# It says the disk's name once it serves. In one round of five, do not wait for that:
# a backend may also die while it starts.
await_service() {
	local i
	[ $((RANDOM % 5)) = 0 ] && return 0
	for i in $(seq 2400); do
		grep -q /dev/vd $dir/blk.now && return 0
		kill -0 $backend 2> /dev/null || fail "vbe-blk ended by itself: $(tail -1 $dir/blk.now)"
		sleep 0.05
	done
	fail "vbe-blk does not serve after two minutes"
}

# Until so many kills have hit a backend that was serving.
kill_rounds() {
	local i=0
	while [ "$(losses)" -lt "$rounds" ]; do
		i=$((i + 1))
		[ $i -gt $((rounds * 2)) ] && fail "only $(losses) of $i kills hit a serving backend"
		await_service
		random_sleep
		kill -0 $fio 2> /dev/null || fail "fio ended in round $i"
		kill -KILL $backend || fail "the backend had ended by itself in round $i"
		wait $backend 2> /dev/null
		cat $dir/blk.now >> $dir/blk.log
		start_backend
		[ $((i % 50)) = 0 ] && say "$i kills, $(cat $dir/fio.runs 2> /dev/null) fio runs"
	done
	kills=$i
}

echo "1..2"
set_up
start_backend
wait_disk
say "disk $disk, $ring ring"
fio_forever &
fio=$!
kill_rounds
touch $dir/stop
for i in $(seq 3000); do
	kill -0 $fio 2> /dev/null || break
	sleep 0.1
done
kill -0 $fio 2> /dev/null && fail "fio hangs after the last restart"
wait $fio || fail "fio found an error"
say "$kills kills, $(losses) of a serving backend, $(cat $dir/fio.runs) fio runs"
grep -q "no fixed buffers" $dir/blk.log && fail "fixed buffers were refused: $(grep -m1 "no fixed buffers" $dir/blk.log)"
echo "ok 1 - $rounds SIGKILLs, $ring ring, $queues queues $more: no I/O lost, repeated or corrupt"
kill -TERM $backend
for i in $(seq 600); do
	kill -0 $backend 2> /dev/null || break
	sleep 0.1
done
if kill -0 $backend 2> /dev/null; then
	echo "not ok 2 - SIGTERM ends the backend"
	exit 1
fi
if vbe-ctl dev show $name > /dev/null 2>&1; then
	echo "not ok 2 - SIGTERM leaves no device behind"
	exit 1
fi
echo "ok 2 - SIGTERM ends the backend and its device"
grep -q " $dir " /proc/mounts && umount $dir
exit 0
