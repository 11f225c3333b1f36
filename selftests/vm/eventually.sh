# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Copyright (c) 2026 The vbe authors
#
# For tests in a VM that are no steps of steps.sh: to be sourced.

eventually() { # COMMAND...: within a minute
	local _
	for _ in $(seq 600); do
		! "$@" 2> /dev/null || return 0
		sleep 0.1
	done
	return 1
}
