#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Copyright (c) 2026 The vbe authors
#
# In a dom0 of lab/xen-run: guests' memory as a backend sees it. First a guest that never
# runs and may be spoilt; then one that gives memory back, gets some again, and dies, while
# a backend touches all of it.
cd "$(dirname "${BASH_SOURCE[0]}")" || exit
RUN=/run/vbe-xen
# shellcheck source=/dev/null
. /vm/steps.sh
# shellcheck source-path=SCRIPTDIR source=lib.sh
. ./lib.sh
# shellcheck source-path=SCRIPTDIR source=console.sh
. ./console.sh

# Where an HVM guest has memory, whatever it has, and a place where it has none.
RAM=0x2000000
HOLE=0xd0000000
CHECKS=17

no_domain() { ! xl list | awk 'NR > 1 { print $1 }' | grep -qvx Domain-0; }

device_gone() { ! vbe-ctl dev show | grep -q "^$1"; }

raw_device() { # GUEST NAME
	vbe-ctl dev add "$2" provider xen domid "$(guest_id "$1")" transport raw
}

# None may be missing, either.
mapped() {
	xen-mem spoilt $RAM 64 $HOLE > $RUN/xen-mem.out
	local status=$?
	cat $RUN/xen-mem.out
	[ $status = 0 ] && [ "$(grep -c '^ok ' $RUN/xen-mem.out)" = $CHECKS ]
}

destroyed() { # GUEST DEVICE
	xl destroy "$1" || return
	wait_for 120 no_domain || { xl list; return 1; }
	wait_for 120 device_gone "$2" || { vbe-ctl dev show; return 1; }
}

# How often the backend of a device has had to ask for memory.
faults() { vbe-ctl dev show "$1" | sed -n 's/.* faults \([0-9]*\).*/\1/p'; }

touches() {
	start toucher xen-mem balloon $RAM 160 touch 600
	wait_for 120 all_touched
}

# Once it has all, it asks for nothing any more.
all_touched() {
	local before
	before=$(faults balloon)
	sleep 3
	echo "faults: $before, $(faults balloon)"
	[ "$before" -gt 0 ] && [ "$(faults balloon)" = "$before" ]
}

has_memory() { # MIB
	[ "$(xl list balloon | awk 'NR == 2 { print $3 }')" -le "$1" ]
}

# Frames go: all that was mapped is asked for anew.
shrinks() {
	local before
	before=$(faults balloon)
	xl mem-set balloon 150 || return
	wait_for 120 has_memory 152 || { xl list; return 1; }
	echo "faults: $before, $(faults balloon)"
	[ "$(faults balloon)" -gt "$before" ] && alive toucher
}

grows() {
	xl mem-set balloon 200 || return
	wait_for 120 eval "! has_memory 190" || { xl list; return 1; }
	alive toucher
}

# All of what it may use is sound: an archive of files, and as many new pages.
guest_is_well() {
	guest_do balloon "free -m; dd if=/dev/urandom of=/tmp/a bs=1M count=16 && cp /tmp/a /tmp/b &&
		cmp /tmp/a /tmp/b && rm /tmp/a /tmp/b && ! dmesg | grep -E 'Call Trace|BUG|Bad page'"
}

destroyed_while_touched() {
	destroyed balloon balloon && alive toucher && kill_9 toucher
}

rm -rf $RUN
mkdir -p $RUN
modprobe vbe_xen || give_up "vbe_xen does not load"
guest_new spoilt console-job mem=192 || give_up "xl create fails"
check "a raw device of a paused guest" raw_device spoilt spoilt
check "mappings and copies of its memory: $CHECKS checks" mapped
check "again, with pages that the last one left" mapped
check "it is destroyed" destroyed spoilt spoilt

guest_new balloon console-job mem=256 || give_up "xl create fails"
check "a raw device of a guest that is to run" raw_device balloon balloon
guest_start balloon
guest_up balloon 300 || give_up "the guest does not boot: $(tail -n 30 "$(guest_log balloon)")"
check "a backend touches its memory" touches
check "it gives memory back" shrinks
check "the guest is well" guest_is_well
check "it gets memory again" grows
check "the guest is still well" guest_is_well
check "it is destroyed while it is touched: no zombie, the backend lives" destroyed_while_touched
check "nothing is left" rmmod vbe_xen
finish
