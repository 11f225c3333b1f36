# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Copyright (c) 2026 The vbe authors
#
# In the VM of the lab: Debian's own QEMU, run from the image at /stock, with
# -accel kvm; in it the unmodified Debian guest from the image at /guest, whose disk
# is served by vbe-blk through vbe-vhost-user. The guest is told what to do on its
# console (guest/init). To be sourced, from the folder /kvm.

RUN=/run/kvm
# Seconds in which what must come comes: two emulations deep, on a busy host.
readonly BOOT=400 ANSWER=400 FLOW=200
asked=0
# shellcheck source=/dev/null
. /vm/steps.sh

# Debian's programs see this VM's folders.
enter_stock() {
	local dir
	for dir in proc sys dev run tmp guest; do
		grep -q " /stock/$dir " /proc/mounts || mount --rbind /$dir /stock/$dir
	done
}

stock() { chroot /stock "$@"; }

bridge() { # DEVICE
	start bridge vbe-vhost-user listen $RUN/sock --dev "$1"
}

backend() { # DEVICE OPTION...
	local dev=$1
	shift
	start backend vbe-blk --on "$dev" --wait "$@" $RUN/disk.img
}

# The initramfs of the guest: Debian's modules, and guest/init.
guest_initrd() {
	(cd /kvm/guest && find . | cpio -o -H newc) > $RUN/init.cpio 2> /dev/null
	cat /guest/boot/initrd $RUN/init.cpio > $RUN/initrd
}

readonly GUEST_MIB=224

# A processor that does not run for half a minute, as the host is busy, is no bug that the
# guest's kernel should report.
readonly GUEST_LINE="console=ttyS0 loglevel=4 panic=-1
	rcupdate.rcu_cpu_stall_timeout=120 watchdog_thresh=60"

# What a virtual machine has besides the disk under test, in VM.
vm_options() { # BUS: pci or device
	local tools
	tools=$(awk '$2 == "/guest" { print $1 }' /proc/mounts)
	# shellcheck disable=SC2054 # QEMU's commas
	VM=(-cpu host -smp 2 -nodefaults -no-user-config -display none
		-kernel /guest/boot/vmlinux -initrd "$RUN/initrd"
		-append "${GUEST_LINE//[$'\n\t']/ }"
		-drive "if=none,id=tools,format=raw,readonly=on,file=$tools"
		-device "virtio-blk-$1,drive=tools,serial=tools"
		-chardev stdio,id=console,signal=off -serial chardev:console)
}

# The console's other end, for guest_ask().
console_new() {
	rm -f $RUN/console.in
	mkfifo $RUN/console.in
	exec 7<> $RUN/console.in
	: > $RUN/console
}

qemu() { # OPTION...: machine and disk
	console_new
	chroot /stock qemu-system-x86_64 -accel kvm -m ${GUEST_MIB}M \
		-object "memory-backend-memfd,id=mem,size=${GUEST_MIB}M,share=on" \
		-chardev "socket,id=disk,path=$RUN/sock,reconnect=1" \
		"${VM[@]}" "$@" < $RUN/console.in >> $RUN/console 2>> $RUN/qemu.log &
	pid[qemu]=$!
}

# virtio-pci with MSI-X.
qemu_pci() {
	vm_options pci
	qemu -M q35,memory-backend=mem -device vhost-user-blk-pci,chardev=disk,num-queues=2
}

# virtio-mmio, found by the guest in its ACPI tables.
qemu_microvm() {
	vm_options device
	qemu -M microvm,acpi=on,memory-backend=mem -global virtio-mmio.force-legacy=false \
		-device vhost-user-blk,chardev=disk,num-queues=2
}

# ---- the guest's console ----

said() { # REGEX
	tr -d '\r' < $RUN/console | grep -aqE "$1"
}

said_or_dead() { said "$1" || ! alive qemu; }

guest_up() { # SECONDS
	wait_for "$1" said_or_dead '^guest: 0 status 0' && said '^guest: 0 status 0'
}

guest_ask() { # COMMAND LINE: begin it; line ends and tabs are only for readers here
	cat $RUN/console >> $RUN/console.all
	: > $RUN/console
	asked=$((asked + 1))
	tr '\n\t' '  ' <<< "$asked $*" >&7
	echo >&7
}

# Its exit status, and what it printed.
guest_answer() { # SECONDS
	wait_for "$1" said_or_dead "^guest: $asked status " || echo "no answer in $1 s"
	tr -d '\r' < $RUN/console
	said "^guest: $asked status 0"
}

guest() { # COMMAND LINE
	guest_ask "$@"
	guest_answer $ANSWER
}

guest_reboot() {
	guest_ask "reboot -f"
	guest_up $BOOT
}

# ---- I/O ----

# When the image was last written to.
written() { stat -c %y $RUN/disk.img; }

# Something is written from now on.
flows() { # SECONDS
	local before
	before=$(written)
	wait_for "$1" moved_on "$before"
}

moved_on() { [ "$(written)" != "$1" ]; }

FIO="fio --thread --group_reporting --output-format=terse --directory=/mnt --filename=data
	--bs=4k --rw=randwrite --ioengine=libaio --direct=1 --verify=crc32c --verify_fatal=1
	--randseed=7 --name=job"

guest_fio() { # OPTION...
	echo "$FIO $*"
}

# Of a process that has nothing to do with I/O: not even a switch to it.
switches() { # NAME
	awk '/ctxt_switches/ { n += $2 } END { print n }' "/proc/${pid[$1]}/status"
}
