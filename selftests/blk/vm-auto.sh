#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Copyright (c) 2026 The vbe authors
#
# shellcheck disable=SC2317 # functions are called by check
#
# vbe-blk --auto: disks that come and go, servers that die. Runs in a VM; TAP.
# Programs: vbe-blk vbe-ctl cmp dd; modules: vbe_loop virtio_blk.
set -u
# shellcheck source=selftests/blk/vm-lib.sh
. "${0%/*}/vm-lib.sh"
modprobe -a vbe_loop virtio_blk
LOG=$TMP/auto.log

begin() { # OPTION...
	vbe-blk --auto -v "$@" > "$LOG" 2>&1 &
	AUTO=$!
	sleep 0.3
	kill -0 "$AUTO"
}

state() { vbe-ctl -j dev show "$1" | tr ',' '\n' | sed -n 's/.*"state":"\([a-z]*\)".*/\1/p'; }
in_state() { [ "$(state "$1")" = "$2" ]; }
backend() { vbe-ctl -j dev show "$1" | sed -n 's/.*"backend":{"pid":\([0-9]*\).*/\1/p'; }
node() { vbe-ctl -j dev show "$1" | grep -o '/dev/vd[a-z]*'; }
has_node() { [ -b "$(node "$1")" ]; }
served() { in_state "$1" online && has_node "$1"; }
other_backend() { [ -n "$(backend "$1")" ] && [ "$(backend "$1")" != "$2" ]; }
gone() { ! kill -0 "$1"; }
starts() { grep -c "device $1: process" "$LOG"; }

truncate -s 8M "$TMP/a.img" "$TMP/b.img"
check "device of no path" vbe-ctl dev add nopath type blk
check "device of another type" vbe-ctl dev add net type net path "$TMP/a.img"
check "a disk that is there before" vbe-ctl dev add a type blk path "$TMP/a.img"
check "--auto begins" begin
check "it is served" eventually served a
check "a disk that comes" vbe-ctl dev add b type blk path "$TMP/b.img" --read-only
check "is served as well" eventually served b
check "it can be written" dd if=/dev/urandom of="$(node a)" bs=64k count=4 oflag=direct status=none
check "its data is in its own image" cmp -s -n 262144 "$(node a)" "$TMP/a.img"
check "mode r is read-only" is "$(cat "/sys/block/$(basename "$(node b)")/ro")" 1
check "one of no path is not served" in_state nopath empty
check "one of another type is not served" in_state net empty

VICTIM=$(backend a)
NODE=$(node a)
dd if=/dev/zero of="$NODE" bs=4k count=512 oflag=direct status=none &
WRITER=$!
kill -KILL "$VICTIM"
check "a killed server is followed by another one" eventually other_backend a "$VICTIM"
check "a writer has seen no error" wait "$WRITER"
check "the disk has its name still" is "$(node a)" "$NODE"

OLD=$(backend b)
check "a disk that is deleted" vbe-ctl dev del b
check "its server ends" eventually gone "$OLD"
check "a disk of the same name" vbe-ctl dev add b type blk path "$TMP/b.img"
check "is served anew" eventually served b
check "and can be written" is "$(cat "/sys/block/$(basename "$(node b)")/ro")" 0

check "a disk without image" vbe-ctl dev add c type blk path "$TMP/none.img"
check "is told" eventually grep -q 'none.img: No such file' "$LOG"
check "once" eventually grep -q 'device c is not served: its server ended with status 1' "$LOG"
sleep 1
check "and not tried again and again" is "$(starts c)" 1
truncate -s 1M "$TMP/none.img"
vbe-ctl dev del c
check "it comes again with its image" vbe-ctl dev add c type blk path "$TMP/none.img"
check "and is served" eventually served c

OLD=$(backend a)
kill -USR1 "$OLD"
check "a server that is asked to leave the disk" eventually in_state a lost
sleep 0.5
check "is not followed by another one" is "$(state a)" lost
check "is followed by one that is started by hand" eval 'vbe-blk --on a "$TMP/a.img" > /dev/null 2>&1 & BY_HAND=$!; eventually served a'
kill -KILL "$BY_HAND"
check "and --auto takes over from that" eventually other_backend a "$BY_HAND"

truncate -s 16M "$TMP/a.img"
kill -HUP "$AUTO"
resized() { [ "$(cat "/sys/block/$(basename "$(node a)")/size")" = 32768 ]; }
check "SIGHUP goes to the servers" eventually resized

OLD=$(backend a)
kill -KILL "$AUTO"
wait "$AUTO" 2> /dev/null
check "without --auto the servers go on" dd if="$(node a)" of=/dev/null bs=64k count=4 iflag=direct status=none
check "another --auto begins" begin --provider loop
sleep 0.5
check "and leaves them alone" is "$(backend a)" "$OLD"
kill -KILL "$OLD"
check "but takes over when they die" eventually other_backend a "$OLD"

vbe-ctl dev del b c
PID=$(backend a)
kill -TERM "$AUTO"
check "SIGTERM ends it well" wait "$AUTO"
check "and its servers with it" gone "$PID"
check "which took the disk away" in_state a empty

check "another provider's disks" begin --provider xen
sleep 0.5
check "are left alone" in_state a empty
kill -TERM "$AUTO"
wait "$AUTO"
vbe-ctl dev del --all
check "no device is left" is "$(vbe-ctl dev show --names)" ""
finish
