#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Copyright (c) 2026 The vbe authors
#
# In a dom0 of lab/xen-run: an unmodified Debian guest (HVM) is saved in the middle of
# writing to a disk of vbe, and goes on: as the same domain (xl save -c), as a new one to
# which its disks are attached again (xl save, xl restore), and after a live migration to
# this same host.
cd "$(dirname "${BASH_SOURCE[0]}")" || exit
RUN=/run/vbe-xen
# shellcheck source=/dev/null
. /vm/steps.sh
# shellcheck source-path=SCRIPTDIR source=lib.sh
. ./lib.sh
# shellcheck source-path=SCRIPTDIR source=console.sh
. ./console.sh
# shellcheck source-path=SCRIPTDIR source=watch.sh
. ./watch.sh
# shellcheck source-path=SCRIPTDIR source=still.sh
. ./still.sh

FIO="fio --thread --group_reporting --output-format=terse --filename=\$(disk disk-b) --bs=4k
	--rw=randwrite --ioengine=libaio --iodepth=8 --direct=1 --verify=crc32c --verify_fatal=1
	--name=job"
online() { vbe-ctl dev show "$1" | grep -q online; }

attach() { # NAME SLOT
	vbe-ctl dev add "$1" provider xen domid "$(guest_id g1)" slot "$2" &&
		wait_for 120 online "$1"
}

# Each where it was before: its driver knows it by its slot.
attach_all() { attach disk-a 16 && attach disk-b 17 && attach tools 18; }

# These outlive all domains of this guest.
serve() { # NAME IMAGE OPTION...
	local name=$1 image=$2
	shift 2
	start "$name" vbe-blk --on "$name" --wait "$@" "$image"
}

serve_all() {
	truncate -s 64M $RUN/disk-a.img
	dd if=/dev/urandom of=$RUN/disk-b.img bs=1M count=48 2> /dev/null
	serve disk-a $RUN/disk-a.img --queues 2
	serve disk-b $RUN/disk-b.img --queues 2
	serve tools "$(guest_tools)" --read-only
}

devices() { vbe-ctl dev show | grep -E "disk-|tools"; }
no_device() { ! devices > /dev/null; }
# The same domain goes on, with the same devices and servers.
checkpoint() {
	local before now
	before="$(guest_id g1) $(devices)"
	xl save -c g1 /tmp/g1.save || return
	rm -f /tmp/g1.save
	now="$(guest_id g1) $(devices)"
	[ "$before" = "$now" ] || { printf '%s\n' "$before" "$now"; return 1; }
	flows $RUN/disk-b.img 120
}

saved() {
	xl save g1 /tmp/g1.save || return
	wait_for 120 no_domain || { xl list; return 1; }
	wait_for 120 no_device || { devices; return 1; }
	alive disk-a && alive disk-b && alive tools
}

restored() {
	xl restore -p /tmp/g1.save || return
	rm -f /tmp/g1.save
	attach_all && guest_start g1 && flows $RUN/disk-b.img 120
}

# What was read before, from memory; and what the disk has.
unharmed() {
	guest_do g1 "seq 50000 | cmp - /mnt/numbers && echo 3 > /proc/sys/vm/drop_caches &&
		seq 50000 | cmp - /mnt/numbers && echo $1 > /mnt/$1 && sync &&
		! dmesg | grep -E 'I/O error|EXT4-fs error|blocked for more|Call Trace|is broken|WARNING'"
}

# In the background: a part of the disk is written and verified, and the rest is read into
# the guest's page cache. Both say in files how they ended.
begin_both() {
	guest_do g1 "echo 3 > /proc/sys/vm/drop_caches; rm -f /tmp/wrote /tmp/read;
		($FIO --offset=40M --size=4M; echo \$? > /tmp/wrote) > /dev/null 2>&1 &
		(dd if=\$(disk disk-b) of=/dev/null bs=64k count=512; echo \$? > /tmp/read) > /dev/null 2>&1 &"
}

both_done() {
	guest_do g1 "until [ -e /tmp/wrote ] && [ -e /tmp/read ]; do sleep 1; done;
		a=\$(dd if=\$(disk disk-b) bs=64k count=512 | md5sum);
		b=\$(dd if=\$(disk disk-b) bs=64k count=512 iflag=direct | md5sum);
		echo \$(cat /tmp/wrote /tmp/read) \$a \$b;
		[ \"\$(cat /tmp/wrote)\$(cat /tmp/read)\" = 00 ] && [ \"\$a\" = \"\$b\" ]"
}

# Nothing that a backend writes to the guest's memory is noticed by Xen: the pages that the
# guest reads from the disk while its memory is copied must be there nevertheless.
migrated() {
	# The console of a domain that comes is logged under the name it has until then.
	ln -f "$(guest_log g1)" "$(guest_log g1--incoming)"
	begin_both || return
	xl migrate -p -s "" g1 "xl migrate-receive -p" > $RUN/migrate.log 2>&1 || return
	wait_for 120 no_device || { devices; return 1; }
	attach_all && guest_start g1 && both_done
}

view() {
	vbe-ctl dev show
	vbe-ctl vq show
	vbe-ctl stats
}

answers() { # SECONDS
	guest_answer g1 "$1" || stands_still view g1
}

rm -rf $RUN
mkdir -p $RUN
modprobe vbe_xen || give_up "vbe_xen does not load"
serve_all
guest_new g1 console-job vcpus=1 mem=208 || give_up "xl create fails"
check "disks for the paused guest" attach_all
guest_start g1
guest_up g1 300 || give_up "the guest does not boot: $(tail -n 30 "$(guest_log g1)")"
check "mkfs.ext4, mount, write" guest_do g1 "mkfs.ext4 -q \$(disk disk-a) &&
	mount \$(disk disk-a) /mnt && seq 50000 > /mnt/numbers && sync"
# Slow enough to last until the guest is restored.
guest_ask g1 "$FIO --size=8M --rate_iops=,100"
check "fio writes" flows $RUN/disk-b.img 120
check "xl save -c in the middle of it: it goes on" checkpoint
check "xl save: the domain has gone, the servers wait" saved
check "xl restore, its disks attached again: it goes on" restored
check "fio verifies all that it wrote" answers 200
check "files are as they were" unharmed restored
check "xl migrate while it writes and reads: it has what is on the disk" migrated
check "files are as they were" unharmed migrated
guest_destroy g1
check "the guest is destroyed" wait_for 120 no_domain
check "vbe-blk ends" eval "wait_for 120 no_device && end disk-a && end disk-b && end tools"
check "nothing is left" rmmod vbe_xen
finish
