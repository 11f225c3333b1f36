# SPDX-License-Identifier: GPL-2.0
# Copyright (c) 2026 The vbe authors
# shellcheck shell=bash
#
# For the tests of vbe-blk that run inside a VM: TAP, and servers in the background.
# To be sourced. Needs vbe-blk and modprobe in PATH; works in $TMP.

# shellcheck source=selftests/vm/eventually.sh
. "${0%/*}/../vm/eventually.sh"

TMP=${TMPDIR:-/tmp}
n_test=0
n_failed=0
# shellcheck disable=SC2034 # for those who source this
SERVER=
DISK=

check() { # WHAT COMMAND...: one test
	local what=$1
	shift
	n_test=$((n_test + 1))
	if "$@"; then
		echo "ok $n_test - $what"
	else
		n_failed=$((n_failed + 1))
		echo "not ok $n_test - $what"
		on_failure
	fi
}

# What there is to say when a check has failed; for the sourcing script to replace.
on_failure() { ends_of server exit; }

ends_of() { # LOG...: their last lines, as comments
	local log
	for log in "$@"; do
		[ ! -s "$TMP/$log.log" ] || tail -n 25 "$TMP/$log.log" | sed "s/^/# $log: /"
	done
}

finish() {
	echo "1..$n_test"
	exit $((n_failed != 0))
}

# Begin a server. Its disk, once it is there, is $DISK.
serve() { serve_by vbe-blk "$@"; } # OPTION...

serve_by() { # COMMAND OPTION...
	local i command=$1
	shift
	: >"$TMP/server.out"
	"$command" -v "$@" >"$TMP/server.out" 2>"$TMP/server.log" &
	SERVER=$!
	for ((i = 0; i < 600; i++)); do
		[ ! -s "$TMP/server.out" ] || break
		kill -0 "$SERVER" 2>/dev/null || break
		sleep 0.1
	done
	DISK=$(cat "$TMP/server.out")
	[ -n "$DISK" ]
}

queue_attr() { cat "/sys/block/${DISK#/dev/}/$1"; }

is() { [ "$1" = "$2" ]; }

# End the server as an administrator does; its disk must be gone then.
stop() {
	kill -TERM "$SERVER"
	wait "$SERVER" && [ ! -e "$DISK" ]
}

die_hard() {
	kill -KILL "$SERVER"
	wait "$SERVER" 2>/dev/null || :
}

exits_with() { # STATUS COMMAND...
	local want=$1 status=0
	shift
	"$@" >"$TMP/exit.log" 2>&1 || status=$?
	[ "$status" = "$want" ] || { echo "# exit status $status, not $want"; return 1; }
	rm -f "$TMP/exit.log"
}
