#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Copyright (c) 2026 The vbe authors
#
# In the VM, as root: load the module and fuzz it. Afterwards it can be unloaded, so
# nothing of it is in use any more.
#
#	run.sh [OPTION OF fuzz]...

here=$(cd "$(dirname "$0")" && pwd)
modprobe vbe || exit 1
"$here/fuzz" "$@" || exit 1
# Within a minute: the references of a process that has just ended go a moment later.
tries=600
until modprobe -r vbe 2>/dev/null; do
	[ $((tries -= 1)) -gt 0 ] || {
		echo "not ok - vbe is in use still: $(cat /sys/module/vbe/refcnt)"
		exit 1
	}
	sleep 0.1
done
