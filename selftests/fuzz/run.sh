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
modprobe -r vbe || {
	echo "not ok - vbe is in use still: $(cat /sys/module/vbe/refcnt)"
	exit 1
}
