#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Copyright (c) 2026 The vbe authors
#
# In the VM of the lab: libblkio, a vhost-user front-end that nobody here wrote, by
# itself (blkio-io) and as a block driver of Debian's qemu-img, against vbe-blk behind
# vbe-vhost-user.
cd "$(dirname "${BASH_SOURCE[0]}")" || exit
# shellcheck source-path=SCRIPTDIR source=lib.sh
. ./lib.sh

readonly MIB=24

# The devices' other side as qemu-img names it.
blkio=driver=virtio-blk-vhost-user,path=$RUN/sock,cache.direct=on

serve() { # OPTION...
	bridge blkio
	backend blkio "$@"
	wait_for $FLOW test -S $RUN/sock
}

serve_no_more() {
	end backend && end bridge
}

compare() {
	stock qemu-img compare --image-opts "$blkio" driver=file,filename=$RUN/disk.img
}

convert() {
	dd if=/dev/urandom of=$RUN/source bs=1M count=$MIB 2> /dev/null
	stock qemu-img convert -n --target-image-opts -f raw $RUN/source "$blkio" &&
		cmp $RUN/source $RUN/disk.img
}

bench() {
	stock qemu-img bench --image-opts "$blkio" -c 2000 -d 8 -s 4096
}

killed() {
	local front n kills=0 rc
	# Enough of them to be killed in; what is not needed any more does no harm.
	stock /run/blkio-io verify $RUN/sock 4 12 &
	front=$!
	for n in 1 2 3; do
		flows $FLOW || break
		kill_9 backend
		backend blkio --queues 4
		flows $FLOW || break
		kills=$n
	done
	wait $front
	rc=$?
	[ $rc = 0 ] && [ $kills = 3 ]
}

rm -rf $RUN
mkdir -p $RUN
cp ./blkio-io /run/blkio-io
truncate -s ${MIB}M $RUN/disk.img
chmod 666 $RUN/disk.img
modprobe vbe || give_up "no vbe"
enter_stock
for queues in 1 4; do
	serve --queues $queues
	check "libblkio, $queues queues: written and read back" \
		stock /run/blkio-io verify $RUN/sock $queues
	check "libblkio, $queues queues: reads at depth 16" \
		stock /run/blkio-io bench $RUN/sock $queues 16 1000
	check "qemu-img compare, $queues queues offered: the same as the file" compare
	[ $queues = 1 ] || check "vbe-blk is killed, three times, and libblkio notices nothing" killed
	check "vbe-blk and vbe-vhost-user end" serve_no_more
done
serve --packed
check "qemu-img convert: the file is as the source" convert
check "qemu-img bench" bench
check "libblkio, vbe-blk offers packed rings: written and read back" \
	stock /run/blkio-io verify $RUN/sock 1
check "vbe-blk and vbe-vhost-user end" serve_no_more
check "nothing is left" rmmod vbe
finish
