#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Copyright (c) 2026 The vbe authors
#
# In the VM, as root: load the modules and run the kselftest programs that lie
# beside this script, or those that are named. Fails when any of them does.
#
#	run.sh [--reload] [PROGRAM]...

here=$(cd "$(dirname "$0")" && pwd)
reload=no
[ "${1:-}" != --reload ] || { reload=yes; shift; }
[ $# -gt 0 ] || set -- vbe_ioctl vbe_event vbe_memory vbe_netlink vbe_loop vbe_loss vbe_race vbe_mmio \
	vbe_raw vbe_raw_irq vbe_raw_edu vbe_pci vbe_pci_irq vbe_blk
failed=

modprobe -a vbe vbe_loop virtio_blk virtio_rng virtio_net virtio_console 2>/dev/null
for module in vbe vbe_loop; do
	[ -d /sys/module/$module ] || modprobe $module || exit 1
done

# Processes that cannot be killed now. Of the kernel's own threads (children of 2) some may
# always be so; those that wait too long are the hung task detector's.
asleep() { ps -o pid,ppid,stat | awk '$3 ~ /^D/ && $1 != 2 && $2 != 2 { print $1 }'; }

# A program may be over, but what it has left running must not be stuck: none that sleeps
# now, and each time it is looked at, for a minute.
stuck() {
	tries=60
	all=$(asleep)
	while [ -n "$all" ] && [ $((tries -= 1)) -gt 0 ]; do
		sleep 1
		now=$(asleep)
		all=$(for pid in $all; do echo "$now" | grep -x "$pid"; done)
	done
	for pid in $all; do
		echo "# stuck: $pid $(cat "/proc/$pid/comm")"
		sed 's/^/#   /' "/proc/$pid/stack"
	done 2> /dev/null
	[ -n "$all" ]
}

for program in "$@"; do
	echo "# --- $program"
	"$here/$program" || failed="$failed $program"
	! stuck || failed="$failed $program(stuck)"
done
if [ $reload = yes ]; then
	echo "# --- reload"
	sh "$here/reload.sh" || failed="$failed reload"
fi

[ -z "$failed" ] || { echo "# FAILED:$failed"; exit 1; }
echo "# all passed"
