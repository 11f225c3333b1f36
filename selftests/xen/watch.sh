# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Copyright (c) 2026 The vbe authors
#
# What dom0 sees of guests and of their disks; to be sourced after /vm/steps.sh.

no_domain() { ! xl list | awk 'NR > 1 { print $1 }' | grep -qvx Domain-0; }

written_since() { # IMAGE TIME
	[ "$(stat -c %y "$1")" != "$2" ]
}

# Something is written to it from now on.
flows() { # IMAGE SECONDS
	wait_for "$2" written_since "$1" "$(stat -c %y "$1")"
}
