#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# In the VM: the worked example of the documentation, a virtio-rng backend, feeds
# the kernel's own hwrng.
echo "1..2"
modprobe -a vbe vbe_loop virtio_rng
vbe-ctl dev add tiny --type rng || { echo "not ok 1 - device added"; exit 1; }
tiny-backend tiny &
backend=$!
for _ in $(seq 600); do
	grep -q virtio_rng /sys/class/misc/hw_random/rng_available && break
	sleep 0.1
done
rng=$(grep -o 'virtio_rng[^ ]*' /sys/class/misc/hw_random/rng_available | tail -1)
echo "$rng" > /sys/class/misc/hw_random/rng_current
bytes=$(timeout 60 dd if=/dev/hwrng bs=64 count=4 2> /dev/null | wc -c)
if [ -n "$rng" ] && [ "$bytes" -gt 0 ]; then
	echo "ok 1 - hwrng read $bytes bytes from the example backend by $rng"
else
	echo "not ok 1 - hwrng '$rng' gave $bytes bytes"
fi
kill -TERM $backend
wait $backend
if vbe-ctl dev del tiny; then
	echo "ok 2 - device deleted"
else
	echo "not ok 2 - device deleted"
fi
