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

for program in "$@"; do
	echo "# --- $program"
	"$here/$program" || failed="$failed $program"
	# A program may be over, but what it has left running must not be stuck.
	stuck=$(ps -o pid,stat,comm 2>/dev/null | awk '$2 ~ /^D/ && $3 !~ /^\[/ { print }')
	if [ -n "$stuck" ]; then
		sleep 5
		again=$(ps -o pid,stat,comm | awk '$2 ~ /^D/ && $3 !~ /^\[/ { print }')
		if [ "$stuck" = "$again" ]; then
			echo "# stuck after $program: $stuck"
			failed="$failed $program(stuck)"
		fi
	fi
done
if [ $reload = yes ]; then
	echo "# --- reload"
	sh "$here/reload.sh" || failed="$failed reload"
fi

[ -z "$failed" ] || { echo "# FAILED:$failed"; exit 1; }
echo "# all passed"
