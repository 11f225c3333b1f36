# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Copyright (c) 2026 The vbe authors
#
# Disks of guest g1 that xl describes and "vbe-blk --auto" serves, by the names that xl has
# for them; to be sourced after arm-lib.sh, console.sh and watch.sh.

backend() { start auto vbe-blk --auto --provider xen; }

device() { echo "dom$(guest_id g1)-$1"; }

# For the guest's shell.
disk() { echo "\$(disk $(device "$1"))"; }

block() { echo "/sys/block/\$(basename $(disk "$1"))"; }

server_of() { # DISK: its process
	vbe-ctl dev show "$(device "$1")" | sed -n 's/.*vbe-blk\[\([0-9]*\)\].*/\1/p'
}

served() { [ -n "$(server_of "$1")" ]; }

another_server() { # DISK PROCESS
	served "$1" && [ "$(server_of "$1")" != "$2" ]
}

mount_tools() {
	guest_do g1 "mount -t ext4 -o ro,noload $(disk xvde) /tools && mount -t tmpfs tmpfs /tools/tmp &&
		for dir in dev proc sys; do mount --bind /\$dir /tools/\$dir || exit; done"
}

# In the middle of fio, which the guest was asked for.
servers_killed() { # DISK IMAGE TIMES
	local n kills=0 server
	for n in $(seq "$3"); do
		flows "$2" 120 || { echo "nothing is written before kill $n"; break; }
		server=$(server_of "$1")
		kill -KILL "$server"
		wait_for 120 another_server "$1" "$server" || { echo "no server after kill $n"; break; }
		flows "$2" 120 || { echo "nothing is written after kill $n"; break; }
		kills=$n
	done
	guest_answer g1 300 && [ "$kills" = "$3" ]
}
