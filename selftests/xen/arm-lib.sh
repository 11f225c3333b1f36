# SPDX-License-Identifier: GPL-2.0
# Copyright (c) 2026 The vbe authors
# shellcheck shell=bash
#
# Guests for scripts that run in a dom0 of lab/xen-arm-run: as in lib.sh, which has the
# functions to make, start, await and destroy one, with what differs on arm64.
#
#	guest_new g1 job.sh "disk=$(arm_disk /tmp/disk.img)"
#
# waits, as xl does, up to 10 s for somebody to answer for that disk.
#
#	arm_guest g1 job.sh 60 "disk=$(arm_disk /tmp/disk.img)"
#
# makes it, runs it, and has the exit status of its script; what the guest wrote is in
# the file that "guest_log g1" names.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

guest_log() { echo "/var/log/xen/console/guest-$1.log"; }

# A raw file or block device as virtio disk, for a backend that is not QEMU. GRANTS 1: the
# guest's driver is told to grant its memory; Debian's kernels do not listen.
arm_disk() { # FILE [VDEV [ro|rw [GRANTS]]]
	echo "format=raw,vdev=${2:-xvda},access=${3:-rw},backendtype=standalone,specification=virtio,${4:+grant_usage=$4,}target=$1"
}

# See lib.sh for the keys; kernel=FILE is another one than Debian's. A device of another kind
# than disk is KEY too:
# 'virtio=["backend=Domain-0,type=virtio,device1a,transport=mmio,grant_usage=0"]'
guest_config() { # NAME [KEY=VALUE]...
	local name=$1 vcpus=1 mem=256 line='' disks='' more='' pair tools=no reboot=destroy
	local kernel=/guest/boot/vmlinuz
	shift
	for pair in "$@"; do
		case $pair in
		vcpus=*) vcpus=${pair#*=} ;;
		mem=*) mem=${pair#*=} ;;
		line=*) line=" ${pair#*=}" ;;
		kernel=*) kernel=${pair#*=} ;;
		tools=yes) tools=yes ;;
		on_reboot=*) reboot=${pair#*=} ;;
		disk=*) disks+="'${pair#*=}', " ;;
		*) more+="$pair"$'\n' ;;
		esac
	done
	if [ $tools = yes ]; then
		disks+="'format=raw,vdev=xvdt,access=ro,target=$(guest_tools)', "
		line+=" guest.tools"
	fi
	cat <<-END
		name = "$name"
		memory = $mem
		vcpus = $vcpus
		disk = [ $disks ]
		kernel = "$kernel"
		ramdisk = "$GUESTS/$name/initrd"
		cmdline = "console=hvc0 quiet panic=-1 $GUEST_PATIENCE rdinit=/init$line"
		on_poweroff = "destroy"
		on_reboot = "$reboot"
		on_crash = "destroy"
	END
	printf '%s' "$more"
}

# A guest's whole life: its script's exit status, 124 when it took longer than SECONDS,
# 125 when it went away without a word, 126 when it could not be made. Gone afterwards.
arm_guest() { # NAME SCRIPT SECONDS [KEY=VALUE]...
	local name=$1 script=$2 seconds=$3 status=0
	shift 3
	guest_new "$name" "$script" "$@" || return 126
	guest_start "$name" || return 126
	guest_wait "$name" "$seconds" || status=$?
	[ $status = 124 ] || guest_gone "$name" 60 || status=124
	guest_destroy "$name"
	return $status
}
