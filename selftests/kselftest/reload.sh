#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Copyright (c) 2026 The vbe authors
#
# In the VM, as root: the modules are loaded and unloaded while they are used.
# TAP on stdout. Needs vbe_ioctl and vbe_loop beside this script as load, and
# modprobe and rmmod.
#
#	reload.sh [ROUNDS]

rounds=${1:-10}
here=$(cd "$(dirname "$0")" && pwd)
n=0 failed=0

ok() { # WHAT STATUS
	n=$((n + 1))
	[ "$2" = 0 ] && echo "ok $n $1" || { echo "not ok $n $1"; failed=$((failed + 1)); }
}

loaded() { [ -d /sys/module/vbe ]; }

# No client may be left over by whatever ran before.
unload() { # within a minute: references of closed fds go a moment later
	tries=0
	while ! { rmmod vbe_loop 2>/dev/null; rmmod vbe 2>/dev/null; ! loaded; }; do
		tries=$((tries + 1))
		[ $tries -lt 600 ] || return 1
		sleep 0.1
	done
}

echo "TAP version 13"

unload
ok "unused modules go" $?
modprobe vbe_loop
loaded
ok "and come back" $?

# An open control fd pins the core.
exec 3<>/dev/vbe
rmmod vbe_loop
rmmod vbe 2>/dev/null
ok "rmmod is refused while /dev/vbe is open" $((! $?))
exec 3>&-
unload
ok "and works once it is closed" $?

# A device pins its provider, whether served or not. The program's tests make and
# delete devices all the time; while one runs some rmmod will be refused.
modprobe vbe_loop
"$here/vbe_ioctl" >/tmp/reload.out 2>&1 &
load=$!
refused=0 tries=0
while kill -0 $load 2>/dev/null && [ $tries -lt 2000 ]; do
	# vbe alone: vbe_loop needs it, so this is refused as long as that is there
	rmmod vbe 2>/dev/null || refused=$((refused + 1))
	tries=$((tries + 1))
done
wait $load
ok "the tests run to their end under rmmod" $?
[ $refused = $tries ]
ok "no rmmod got the core away from under its provider" $?

# The provider goes and comes under programs that make and delete devices: they
# may fail, the kernel may not.
round=0 bad=0
while [ $round -lt "$rounds" ]; do
	round=$((round + 1))
	modprobe -a vbe vbe_loop || bad=$((bad + 1))
	"$here/vbe_event" >/tmp/reload.out 2>&1 &
	a=$!
	"$here/vbe_memory" >/tmp/reload.out 2>&1 &
	b=$!
	tries=0
	while kill -0 $a 2>/dev/null && [ $tries -lt 50 ]; do
		rmmod vbe_loop 2>/dev/null
		rmmod vbe 2>/dev/null
		modprobe -a vbe vbe_loop 2>/dev/null
		tries=$((tries + 1))
	done
	wait $a
	wait $b
	unload || bad=$((bad + 1))
done
ok "$rounds rounds of load, use and unload at the same time" $bad

# Unused again, with a disk that was served in between.
modprobe -a vbe vbe_loop
"$here/vbe_loop" -t disk_data >/tmp/reload.out 2>&1
ok "a disk is served after all that" $?
unload
ok "and the modules go" $?
modprobe -a vbe vbe_loop
loaded
ok "and come back for whoever is next" $?

echo "1..$n"
[ $failed = 0 ]
