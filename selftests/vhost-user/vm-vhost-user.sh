#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Copyright (c) 2026 The vbe authors
#
# shellcheck disable=SC2317 # functions are called by check
#
# vbe-vhost-user, with a front-end that tests it (frontend) and vbe-blk behind it. Runs in a VM; TAP.
#	vm-vhost-user.sh [ROUNDS]	kills of each kind
# Programs: vbe-vhost-user vbe-blk vbe-ctl frontend; modules: vbe.
set -u
# shellcheck source=selftests/blk/vm-lib.sh
. "${0%/*}/../blk/vm-lib.sh"
modprobe -q vbe || :
ROUNDS=${1:-20}
SOCKET=$TMP/vu.sock
IMG=$TMP/disk.img
VU='' BLK=''

start_vu() {
	vbe-vhost-user -v listen "$SOCKET" --dev vu --type block 2>>"$TMP/vu.log" &
	VU=$!
}
start_blk() {
	vbe-blk -v --on vu --wait --queues 2 "${RING[@]}" "$IMG" 2>>"$TMP/blk.log" &
	BLK=$!
}
RING=()
on_failure() {
	vbe-ctl dev show vu 2>&1 | head -n 20 | sed 's/^/# device: /'
	ends_of frontend exit vu blk
}
fds() { find "/proc/$1/fd" -type l | wc -l; }
wait_for() { # COMMAND...: for a minute at most: only what never comes is late
	local i
	for ((i = 0; i < 600; i++)); do
		"$@" && return 0
		sleep 0.1
	done
	return 1
}
has_backend() { vbe-ctl dev show vu 2>/dev/null | grep -qi online; }
in_use() { vbe-ctl dev show vu 2>/dev/null | grep -q '^ *status .*(0xf)'; }
forgotten() { vbe-ctl dev show vu | grep -q '^vu: .*empty'; }
# Whether vbe-vhost-user is done with the last front-end, which may have ended long before: until
# then the device has a driver, and if its backend ends it waits for one with the same queues.
parted() {
	grep 'front-end connected\|connection closed' "$TMP/vu.log" | tail -n 1 | grep -q closed
}
no_device() { ! vbe-ctl dev show vu >/dev/null 2>&1; }
alive() { kill -0 "$1" 2>/dev/null; }
same_fds() { wait_for same_fds_now; }
same_fds_now() { [ "$(fds "$VU")" = "$FDS" ]; }
end() { # PID: by SIGTERM, with success
	kill -TERM "$1"
	wait "$1"
}
fresh() {
	rm -f "$IMG"
	truncate -s 64M "$IMG"
	: >"$TMP/vu.log"
}
said() { grep -q "$1" "$TMP/vu.log"; }
frontend_() { frontend "$SOCKET" "$@" >"$TMP/frontend.log" 2>&1; }

# I/O until it is told to end, however long what happens meanwhile takes.
FRONT=''
begin_io() { # OPTION...
	wait_for parted || return 1
	timeout -s KILL $((10 * ROUNDS + 300)) frontend "$SOCKET" run 3600000 "$@" \
		>"$TMP/frontend.log" 2>&1 &
	FRONT=$!
	wait_for in_use
}
end_io() {
	kill -TERM $FRONT
	wait $FRONT
}

# I/O while something is killed and started ROUNDS times.
under_fire() { # WHAT OPTION...
	local what=$1 i
	shift
	begin_io "$@" || return 1
	for ((i = 0; i < ROUNDS; i++)); do
		if [ "$what" != blk ]; then
			kill -KILL "$VU"
			wait "$VU" 2>/dev/null
		fi
		if [ "$what" != vu ]; then
			kill -KILL "$BLK"
			wait "$BLK" 2>/dev/null
			start_blk
		fi
		[ "$what" = blk ] || start_vu
		sleep 0.3
	done
	end_io
}

# The device goes, and is back with the next backend, while vbe-vhost-user does not look.
unseen() {
	local away=0
	begin_io || return 1
	kill -STOP "$VU"
	kill -KILL "$BLK"
	wait "$BLK" 2>/dev/null
	wait_for forgotten || away=1
	start_blk
	wait_for has_backend || away=1
	kill -CONT "$VU"
	end_io && [ $away = 0 ]
}

# A next backend, which has queues of its own.
next_blk() { # OPTION...
	wait_for parted && end "$BLK" && forgotten || return 1
	RING=("$@")
	start_blk
	wait_for has_backend
}

fresh
start_vu
check "the socket is there" wait_for test -S "$SOCKET"
frontend "$SOCKET" run 200 >"$TMP/frontend.log" 2>&1 &
early=$!
sleep 1
check "a front-end waits for a backend" alive $early
start_blk
check "and goes on when it comes" wait $early
check "its mode" is "$(stat -c %a "$SOCKET")" 600
check "it has no capabilities" [ -z "$(grep '^Cap\(Prm\|Eff\|Amb\):' "/proc/$VU/status" | grep -v ':.0*$')" ]
check "the backend is online" wait_for has_backend
check "and the front-end has left" wait_for parted
FDS=$(fds "$VU")
check "I/O" frontend_ run 1000
check "with STATUS" frontend_ run 1000 status
check "with memory slots" frontend_ run 1000 slots
check "two queues" frontend_ run 1000 queues status slots
check "without an in-flight area" frontend_ run 500 no-inflight
check "memory that comes and goes: table" frontend_ churn 40 queues
check "memory that comes and goes: slots" frontend_ churn 40 queues slots
check "stopped and started" frontend_ again 20 queues
check "stopped and started with STATUS" frontend_ again 20 queues status slots
check "front-ends that end without a word" frontend_ leave 20 queues
check "no file descriptor is left open" same_fds
check "memory that is cut off" frontend_ truncate
check "a second front-end is refused" frontend_ second
check "which is said" wait_for said "a second front-end is refused"
check "who comes right after one that left is served" frontend_ hasty "$VU"
check "all that is wrong is refused" frontend_ wrong
check "still no file descriptor" same_fds
check "and the next one is served" frontend_ run 500 queues
check "backend and all are the same" alive "$BLK"

check "a second one for the device is refused" exits_with 1 timeout 100 vbe-vhost-user listen "$TMP/other.sock" --dev vu
check "a second one for the socket, too" exits_with 1 vbe-vhost-user listen "$SOCKET" --dev other

check "vbe-blk is killed" under_fire blk queues status
check "no file descriptor is left open" same_fds
check "vbe-vhost-user is killed" under_fire vu queues
check "both are killed" under_fire both queues slots
check "its backend says nothing else" alive "$BLK"

check "more I/O" begin_io
check "SIGTERM in the middle of it" end "$VU"
check "takes the socket away" [ ! -e "$SOCKET" ]
check "and the device" wait_for no_device
start_vu
check "the front-end goes on with the next" end_io
check "a backend with small queues" next_blk --queue-size 64
check "rings too large for it" exits_with 1 frontend "$SOCKET" run 100
check "which is said" wait_for said "wants 128 entries, the backend has at most 64"
check "another one" next_blk --queue-size 128 --packed --policy fail
check "takes over" frontend_ wrong
check "the device was away for a moment" unseen
vbe-ctl dev del vu
check "it ends when its device is deleted" exits_with 1 wait "$VU"
check "usage" exits_with 2 vbe-vhost-user listen --dev x
kill -KILL "$BLK"
finish
