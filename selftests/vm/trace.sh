#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# In the VM: every tracepoint of vbe fires in a disk's life, and fdinfo tells.
tracing=/sys/kernel/tracing
[ -d $tracing/events ] || mount -t tracefs none $tracing
modprobe -a vbe vbe_loop virtio_blk
echo "1..8"
echo 1 > $tracing/events/vbe/enable
echo > $tracing/trace
vbe-blk --loop --null --size 8M --name traced > /tmp/traced.log 2>&1 &
server=$!
for _ in $(seq 600); do
	grep -q /dev/vd /tmp/traced.log && break
	sleep 0.1
done
disk=$(grep -o '/dev/vd[a-z]*' /tmp/traced.log | head -1)
dd if="$disk" of=/dev/null bs=64k count=4 iflag=direct 2> /dev/null
grep -h vbe-device /proc/"$server"/fdinfo/* > /tmp/fdinfo 2> /dev/null
kill -TERM "$server"
wait "$server"
n=0
for event in vbe_kick vbe_call vbe_access vbe_map vbe_event vbe_state; do
	n=$((n + 1))
	if grep -q "$event: traced\|$event:.*traced" $tracing/trace; then
		echo "ok $n - $event: $(grep -c "$event:" $tracing/trace) lines"
	else
		echo "not ok $n - $event: no line"
	fi
done
echo 0 > $tracing/events/vbe/enable
if grep -q 'traced' /tmp/fdinfo; then
	echo "ok 7 - fdinfo names the device"
else
	echo "not ok 7 - fdinfo names the device"
fi
vbe-ctl dev show traced > /dev/null 2>&1 && vbe-ctl dev del traced
# The references of a server that has just ended go a moment later.
for _ in $(seq 600); do
	rmmod vbe_loop 2> /dev/null && break
	sleep 0.1
done
if [ ! -d /sys/module/vbe_loop ]; then
	echo "ok 8 - nothing is left"
else
	echo "not ok 8 - vbe_loop is still in use"
fi
