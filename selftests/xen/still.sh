# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Copyright (c) 2026 The vbe authors
#
# For whoever wants to know why a domain of an x86 dom0 does not answer: what its processors
# do, and whether the devices wait for it or it for them. To be sourced after lib.sh and
# console.sh.

# Twice: does it stand, or turn?
still_processors() { # GUEST
	local id n cpu
	id=$(guest_id "$1") || { echo "no such domain"; return; }
	for n in 1 2; do
		for cpu in $(xl vcpu-list "$1" | awk 'NR > 1 { print $3 }'); do
			echo "-- $1, processor $cpu, look $n"
			xenctx -a "$id" "$cpu"
		done
		sleep 2
	done
}

still_guest() { # GUEST
	echo "== $1: processors"
	still_processors "$1"
	echo "== $1: console"
	tail -n 40 "$(guest_log "$1")"
}

# What the backend sees, by COMMAND, is asked first: Xen's own words go to its ring, and that
# is printed last. Returns 1: it is not as it should be.
stands_still() { # COMMAND GUEST...
	local view=$1 guest
	shift
	{
		echo "== the devices"
		$view
		for guest in "$@"; do still_guest "$guest"; done
		echo "== dom0"
		cat /proc/interrupts
		xl vcpu-list
		echo "== Xen"
		xl debug-keys q
		xl debug-keys e
		xl dmesg
	} > /out/stands-still 2>&1
	echo "see stands-still in the folder of this machine"
	return 1
}
