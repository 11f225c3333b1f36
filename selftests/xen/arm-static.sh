#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Copyright (c) 2026 The vbe authors
#
# In a dom0 of lab/xen-arm-run that has ONE vCPU: a guest of xl whose device "vbe-ctl dev
# add" makes, as for a guest that Xen starts itself (see docs/xen-dom0less.sh for that).
# The guest is destroyed while its memory is mapped: with one vCPU nobody here runs while
# Xen destroys it, so that must have been seen to before.
cd "$(dirname "${BASH_SOURCE[0]}")" || exit
RUN=/run/vbe-static
# shellcheck source=/dev/null
. /vm/steps.sh
# shellcheck source-path=SCRIPTDIR source=arm-lib.sh
. ./arm-lib.sh
# shellcheck source-path=SCRIPTDIR source=console.sh
. ./console.sh
# shellcheck source-path=SCRIPTDIR source=watch.sh
. ./watch.sh

# xl describes it in the guest's device tree, at this place, and waits for nobody.
NODE='virtio=["backend=Domain-0,type=virtio,device2,transport=mmio,grant_usage=0"]'

add() { # WORD...
	vbe-ctl dev add data provider xen "$@"
}

refused() { # WHY WORD...
	local why=$1
	shift
	! add "$@" 2> $RUN/why || return 1
	cat $RUN/why
	grep -qF -- "$why" $RUN/why && no_device
}

refuses() {
	local id
	id=$(guest_id g1)
	refused "needs domid" transport mmio base 0x2000000 irq 33 &&
		refused "there is no domain of this number" domid 999 transport mmio base 0x2000000 irq 33 &&
		refused "needs base and irq" domid "$id" transport mmio base 0x2000000 &&
		refused "32 to 1019" domid "$id" transport mmio base 0x2000000 irq 31 &&
		refused "domain 0 is no guest" domid 0 transport mmio base 0x2000000 irq 33
}

serve() { start blk vbe-blk --on data $RUN/data.img; }

attached() {
	add domid "$(guest_id g1)" transport mmio base 0x2000000 irq 33 && serve &&
		wait_for 120 online && vbe-ctl dev show data
}

online() { vbe-ctl dev show data | grep -q 'online, served by vbe-blk'; }

new_guest() { guest_new g1 console-job "$NODE" && attached && guest_start g1 && guest_up g1 300; }

# All of it passes through the guest's memory, of which it leaves little unmapped.
reads_all() {
	md5sum < $RUN/data.img > $RUN/sum
	guest_do g1 "md5sum < \$(disk data); free" && guest_heard g1 | grep -qFf $RUN/sum
}

writes() {
	guest_do g1 "head -c 4194304 /dev/urandom > /tmp/r && md5sum < /tmp/r &&
		dd if=/tmp/r of=\$(disk data) bs=64k oflag=direct" || return
	head -c 4194304 $RUN/data.img | md5sum > $RUN/sum
	guest_heard g1 | grep -qFf $RUN/sum
}

killed() {
	kill_9 blk
	guest_ask g1 "dd if=/tmp/r of=\$(disk data) bs=64k seek=64 oflag=direct" || return
	sleep 2
	! guest_said g1 '^guest: end' && serve && guest_answer g1 300 &&
		cmp -n 4194304 -i 0:4194304 $RUN/data.img $RUN/data.img
}

no_device() { ! vbe-ctl dev show data > /dev/null 2>&1; }

nothing_left() {
	wait_for 120 no_domain || { xl list; return 1; }
	wait_for 120 no_device || { vbe-ctl dev show; return 1; }
}

rm -rf $RUN
mkdir -p $RUN
head -c 96M /dev/urandom > $RUN/data.img
[ "$(nproc)" = 1 ] || give_up "dom0 has more than one vCPU"
modprobe vbe_xen discover=0 || give_up "vbe_xen does not load"
check "a guest that xl gives a place for a device" guest_new g1 console-job "$NODE"
check "what dev add refuses, it refuses with a reason" refuses
check "dev add, and a server" attached
check "the guest boots" eval 'guest_start g1 && guest_up g1 300'
check "its disk is read" reads_all
check "and written" writes
check "the server is killed, and comes again" killed
check "destroyed with its memory mapped: nothing is left, and dom0 lives" \
	eval 'xl destroy g1 && nothing_left'
check "the server has ended" wait_for 120 eval '! alive blk'
check "a next one" new_guest
check "which shuts itself down, likewise" eval 'reads_all && guest_ask g1 bye && nothing_left'
check "the module goes" rmmod vbe_xen
finish
