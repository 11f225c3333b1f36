#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Copyright (c) 2026 The vbe authors
#
# In a dom0 of lab/xen-run: administrators who mistype, and guests that mean it.
cd "$(dirname "${BASH_SOURCE[0]}")" || exit
RUN=/run/vbe-xen
# shellcheck source=/dev/null
. /vm/steps.sh
# shellcheck source-path=SCRIPTDIR source=lib.sh
. ./lib.sh
# shellcheck source-path=SCRIPTDIR source=console.sh
. ./console.sh

# vbe-ctl says no, in words that match, and nothing is left of it.
refused() { # REGEX vbe-ctl's ARGUMENT...
	local regex=$1 text
	shift
	if text=$(vbe-ctl "$@" 2>&1); then
		echo "it was done"
		return 1
	fi
	echo "$text"
	grep -qE -- "$regex" <<< "$text" && ! vbe-ctl dev show | grep -q "^bad"
}

check_refused() { # TEXT REGEX ARGUMENT...
	local text=$1 regex=$2
	shift 2
	check "refused: $text" refused "$regex" dev add bad provider xen "$@"
}

# The emulator of the examples asks for a level.
refused_emulator() { # NAME REGEX
	local text
	if text=$(edu-emulator "$1" 2>&1); then
		echo "it runs"
		return 1
	fi
	echo "$text"
	grep -qE -- "$2" <<< "$text"
}

# Paused, and never run.
paused() { # NAME TYPE
	cat > "$RUN/$1.cfg" <<-END
		name = "$1"
		type = "$2"
		memory = 160
		kernel = "/guest/boot/vmlinuz"
		ramdisk = "/guest/boot/initrd"
	END
	xl create -p -q "$RUN/$1.cfg"
}

no_domain() { ! xl list | awk 'NR > 1 { print $1 }' | grep -qvx Domain-0; }

online() { vbe-ctl dev show "$1" | grep -q online; }

served() { # NAME OPTION...
	local name=$1
	shift
	vbe-ctl dev add "$name" provider xen domid "$(guest_id g1)" "$@" || return
	start "$name" vbe-blk --null --size 64M --on "$name" --wait
	wait_for 120 online "$name"
}

poked() {
	guest_do g1 "dev=\$(readlink -f /sys/block/\$(basename \$(disk victim))/device/..); p=\${dev##*/};
		echo \$p > /sys/bus/pci/drivers/virtio-pci/unbind; poke \$p && poke \$p && sleep 2 &&
		echo \$p > /sys/bus/pci/drivers/virtio-pci/bind && disk victim &&
		dd if=\$(disk victim) of=/dev/null bs=4k count=16 iflag=direct"
}

other_disk_works() {
	guest_do g1 "dd if=\$(disk good) of=/dev/null bs=64k count=16 iflag=direct &&
		! dmesg | grep -E 'I/O error|Call Trace'"
}

destroyed_while_it_pokes() {
	guest_ask g1 "dev=\$(readlink -f /sys/block/\$(basename \$(disk victim))/device/..); p=\${dev##*/};
		echo \$p > /sys/bus/pci/drivers/virtio-pci/unbind; poke \$p 100"
	guest_says g1 poked 120 || return
	xl destroy g1 || return
	wait_for 120 eval '! guest_id g1' || { xl list; return 1; }
	wait_for 120 device_gone || { vbe-ctl dev show; return 1; }
}

device_gone() { ! vbe-ctl dev show | grep -qE "victim|good"; }

rm -rf $RUN
mkdir -p $RUN
modprobe vbe_xen || give_up "vbe_xen does not load"
paused pv pv || give_up "no PV guest: $(cat $RUN/*.log)"
paused pvh pvh || give_up "no PVH guest"
mkdir -p $GUESTS/g1/files/usr/bin
cp /poke $GUESTS/g1/files/usr/bin/poke
# With a card that the toolstack knows nothing of.
guest_new g1 console-job vcpus=2 \
	'device_model_args=[ "-device", "pci-testdev,addr=0x9" ]' || give_up "xl create fails"
id=$(guest_id g1)

check_refused "no domid" 'needs domid' transport pci
check_refused "a domid that does not exist" 'no domain' domid 4000
check_refused "a domid that is none" 'domid' domid 40000
check_refused "dom0" 'domain 0' domid 0
check_refused "a PV guest" 'PV guest' domid "$(guest_id pv)"
check_refused "PCI in a PVH guest" 'needs an HVM guest' domid "$(guest_id pvh)" transport pci
check_refused "virtio-mmio on x86" 'needs an Arm guest' domid "$id" transport mmio base 0xf0000000 irq 33
check_refused "an irq on x86" 'Arm guests only' domid "$id" transport pci irq 40
check_refused "a slot of the guest's device model" "device model's" domid "$id" transport pci slot 1
check_refused "a slot of a card of it" "slot 9 is .*(1b36:0005|testdev)" \
	domid "$id" transport pci slot 9
check_refused "the same by its address" "slot 9 is" domid "$id" transport pci base 00:09.0
check "the slot beside it" eval "vbe-ctl dev add beside provider xen domid $id transport pci slot 10 &&
	vbe-ctl dev del beside"
check_refused "a slot that PCI does not have" 'slot|SLOT' domid "$id" transport pci slot 32
check_refused "a function that is not the first" 'SLOT' domid "$id" transport pci base 00:10.1
check_refused "another bus" 'SLOT' domid "$id" transport pci base 01:10.0
check_refused "transport direct" 'cannot use that transport' domid "$id" transport direct
vbe-ctl dev add other provider xen domid "$id" transport pci slot 20
check_refused "a slot that is taken" 'already' domid "$id" transport pci slot 20
vbe-ctl dev del other
check "raw devices in HVM and PVH guests" eval \
	"vbe-ctl dev add r1 provider xen domid $id transport raw &&
	vbe-ctl dev add r2 provider xen domid $(guest_id pvh) transport raw &&
	vbe-ctl dev add r3 provider xen domid $id transport raw slot 21"
check "an emulator learns that a device has no wire" refused_emulator r2 "without an interrupt"
check "an emulator learns that nobody tells of EOIs" refused_emulator r3 "acknowledges a level"
check "they go" eval "vbe-ctl dev del r1 r2 r3"
check "vbe-ctl probe names what there is of Xen" eval \
	"vbe-ctl probe; vbe-ctl probe | grep -i xen"

check "two disks" eval "served good && served victim"
guest_start g1
guest_up g1 300 || give_up "the guest does not boot: $(tail -n 30 "$(guest_log g1)")"
check "a guest accesses in every way, and its driver goes on" poked
check "its other disk works" other_disk_works
check "it is destroyed while it does so" destroyed_while_it_pokes
check "servers wait for a next device" eval "end good && end victim"
check "guests that never ran go" eval "xl destroy pv && xl destroy pvh && wait_for 120 no_domain"
check "nothing is left" rmmod vbe_xen
finish
