# SPDX-License-Identifier: GPL-2.0
# Copyright (c) 2026 The vbe authors
# shellcheck shell=bash
#
# What the backend domain of x86-target.sh is told to do, by its console. Each line there
# is a shell of its own that sources this.

IMAGE=/tmp/vdisk.img

within() { # SECONDS COMMAND...
	local end=$((SECONDS + $1))
	shift
	until "$@" > /dev/null 2>&1; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.2
	done
}

begin() {
	mount -t debugfs debugfs /sys/kernel/debug
	# It is scanned at the end.
	[ ! -w /sys/kernel/debug/kmemleak ] || echo scan=off > /sys/kernel/debug/kmemleak
	depmod -a && modprobe vbe_xen && uname -r
}

# Linux as a guest says what kind it is; a PV one would map in another way.
translated() {
	dmesg | grep -E 'Hypervisor detected: Xen (HVM|PVH)'
}

add() { # DOMID
	vbe-ctl dev add vdisk provider xen domid "$1" transport pci
}

# vbe-ctl says no, in words that match, and nothing is left of it.
refused() { # REGEX DOMID
	local text
	if text=$(add "$2" 2>&1); then
		echo "it was done"
		return 1
	fi
	echo "$text"
	grep -qE -- "$1" <<< "$text" && ! vbe-ctl dev show | grep -q vdisk
}

online() { vbe-ctl dev show vdisk | grep -q online; }

serve() {
	[ -e $IMAGE ] || truncate -s 64M $IMAGE
	vbe-blk --on vdisk --wait --queues 2 $IMAGE < /dev/null >> /tmp/blk.log 2>&1 &
	echo $! > /tmp/blk.pid
	within 60 online || { cat /tmp/blk.log; return 1; }
}

served() { [ -d "/proc/$(cat /tmp/blk.pid)" ]; }

unserved() { ! served; }

kill_server() { # SIGNAL
	kill "-$1" "$(cat /tmp/blk.pid)" && within 60 unserved
}

# When the image was last written to.
written() { stat -c %y $IMAGE; }

moved_on() { [ "$(written)" != "$1" ]; }

flows() {
	local before
	before=$(written)
	within 120 moved_on "$before"
}

# In the middle of what the guest writes.
kills() { # TIMES
	local n
	for n in $(seq "$1"); do
		flows || { echo "nothing is written before kill $n"; return 1; }
		kill_server KILL && serve || return 1
		echo "kill $n: after $SECONDS s"
		flows || { echo "nothing is written after kill $n"; return 1; }
	done
}

# All of the guest's memory from 32 MiB on, by a second device, again and again.
touches() { # DOMID MIB
	vbe-ctl dev add touched provider xen domid "$1" transport raw || return
	xen-mem touched 0x2000000 "$2" touch 600 < /dev/null >> /tmp/touch.log 2>&1 &
	echo $! > /tmp/touch.pid
	within 120 all_touched || { cat /tmp/touch.log; return 1; }
}

faults() { vbe-ctl dev show touched | sed -n 's/.* faults \([0-9]*\).*/\1/p'; }

# Once it has all, it asks for nothing any more.
all_touched() {
	local before
	before=$(faults)
	sleep 2
	[ "$before" -gt 0 ] && [ "$(faults)" = "$before" ]
}

touching() { [ -d "/proc/$(cat /tmp/touch.pid)" ]; }

asked_again() { [ "$(faults)" -gt "$1" ]; }

# Frames have gone: what was mapped is asked for anew.
invalidated() { # FAULTS BEFORE
	within 60 asked_again "$1" && touching && faults
}

untouched() {
	kill -KILL "$(cat /tmp/touch.pid)"
	vbe-ctl dev del touched
}

no_device() { ! vbe-ctl dev show | grep -qE 'vdisk|touched'; }

# What the guest's end leaves: a server that waits, and nothing of the guest.
bereft() {
	within 60 no_device || { vbe-ctl dev show; return 1; }
	served && kill_server TERM && cat /tmp/blk.log
}

# Younger than five seconds is not reported, and twice seen is what counts.
leaks() {
	[ -w /sys/kernel/debug/kmemleak ] || return 0
	sleep 5
	echo scan > /sys/kernel/debug/kmemleak
	echo scan > /sys/kernel/debug/kmemleak
	cat /sys/kernel/debug/kmemleak
}

# For whoever wants to know why nothing goes on.
view() {
	local task
	vbe-ctl dev show
	vbe-ctl vq show
	vbe-ctl stats
	tail -n 20 /tmp/blk.log
	for task in "/proc/$(cat /tmp/blk.pid)/task"/*; do
		echo "$(cat "$task/comm"): $(cat "$task/wchan")"
		cat "$task/stack"
	done
	cat /proc/interrupts
	dmesg | tail -n 20
}
