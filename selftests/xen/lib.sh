# SPDX-License-Identifier: GPL-2.0
# Copyright (c) 2026 The vbe authors
# shellcheck shell=bash
#
# HVM guests for scripts that run in a dom0 of lab/xen-run: an unmodified Debian
# kernel (xen-run --guest K) that runs a script and says on its console how that ended.
# For bash.
#
#	guest_new g1 job.sh vcpus=2		made, and paused
#	guest_start g1				runs
#	guest_wait g1 60			its script's exit status; 124: too long
#	guest_log g1				where its console goes
#	guest_destroy g1			at once

XEN_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
GUESTS=/tmp/guests

# What every guest's kernel is told. Its console is Xen's: a serial line would cost
# one exit per byte. Nor does it look for a graphics bridge at 65536 addresses twice.
# A host that stands still for half a minute is no bug of theirs, which they would report.
GUEST_PATIENCE="rcupdate.rcu_cpu_stall_timeout=120 watchdog_thresh=60"
GUEST_LINE="console=hvc0 quiet panic=-1 mitigations=off apparmor=0 selinux=0 audit=0
	pci=noearly 8250.nr_uarts=0 $GUEST_PATIENCE"

guest_log() { echo "/xen/var/log/xen/console/guest-$1.log"; }

guest_id() { xl domid "$1" 2>/dev/null; }

# The guest's own archive: kernel modules and busybox first, then /init and its job.
guest_ramdisk() { # NAME SCRIPT
	local dir=$GUESTS/$1
	rm -rf "$dir/root"
	mkdir -p "$dir/root"
	cp "$XEN_DIR/guest-init" "$dir/root/init"
	chmod +x "$dir/root/init"
	cp "$2" "$dir/root/job"
	[ ! -d "$dir/files" ] || cp -a "$dir/files/." "$dir/root/"
	{
		cat /guest/boot/initrd
		(cd "$dir/root" && find . | cpio -o -H newc -R 0:0 2>/dev/null)
	} >"$dir/initrd"
	rm -rf "$dir/root"
}

# The disk of programs that xen-run's --guest has mounted here.
guest_tools() {
	awk '$2 == "/guest" { print $1 }' /proc/mounts | head -n 1
}

# guest_config NAME [KEY=VALUE]... -> xl's configuration. Keys: vcpus, mem, kernel,
# line (more of the kernel's), tools=yes, disk=SPEC (of xl, several), and any other
# is given to xl as it is: KEY="VALUE" has the quotes that xl wants.
guest_config() {
	local name=$1 vcpus=1 mem=256 line='' boot=kernel disks='' more='' pair tools=no
	shift
	for pair in "$@"; do
		case $pair in
		vcpus=*) vcpus=${pair#*=} ;;
		mem=*) mem=${pair#*=} ;;
		line=*) line=" ${pair#*=}" ;;
		boot=*) boot=${pair#*=} ;;
		tools=yes) tools=yes ;;
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
		type = "hvm"
		memory = $mem
		vcpus = $vcpus
		disk = [ $disks ]
		vga = "none"
		nographic = 1
		vnc = 0
		sdl = 0
		usb = 0
		tsc_mode = "native"
		on_poweroff = "destroy"
		on_reboot = "destroy"
		on_crash = "destroy"
	END
	# With nested paging they die of their first page fault, in this lab; see its README.
	[ "${XEN:-}" != 4.17 ] || echo "hap = 0"
	if [ "$boot" = kernel ]; then
		echo "kernel = \"/guest/boot/vmlinuz\""
		echo "ramdisk = \"$GUESTS/$name/initrd\""
		# shellcheck disable=SC2086 # one line of words
		echo "cmdline = \"$(echo $GUEST_LINE) rdinit=/init maxcpus=1$line\""
	fi
	printf '%s' "$more"
}

# A guest, paused: its devices can be attached now. See guest_config for KEY=VALUE;
# boot=disk: by its firmware from its first disk, SCRIPT is then not used.
guest_new() { # NAME SCRIPT [KEY=VALUE]...
	local name=$1 script=$2
	shift 2
	mkdir -p "$GUESTS/$name"
	case " $* " in
	*" boot=disk "*) ;;
	*) guest_ramdisk "$name" "$script" || return ;;
	esac
	guest_config "$name" "$@" >"$GUESTS/$name/config"
	rm -f "$(guest_log "$name")"
	xl create -p -q "$GUESTS/$name/config"
}

guest_start() { xl unpause "$1"; }

# COMMAND again and again, until it is true. An idle machine's clock goes on while the host
# stands still, so it is looks that are counted, a second apart, and not that clock.
guest_until() { # SECONDS COMMAND...
	local looks=$1
	shift
	until "$@"; do
		[ $((looks -= 1)) -ge 0 ] || return 1
		sleep 1
	done
}

# Waiting must cost next to nothing: under emulation one start of xl takes from the
# guest what it needs to get there at all.
guest_exited() { # NAME: sets GUEST_STATUS
	local text
	[ -e "$(guest_log "$1")" ] || return
	text=$(<"$(guest_log "$1")")
	[[ ${text//$'\r'/} =~ (^|$'\n')"guest: exit "([0-9]+) ]] || return
	GUEST_STATUS=${BASH_REMATCH[2]}
}

# The status of the guest's script; 124 when it takes longer than SECONDS; 125 when
# the guest is gone without having said it.
guest_wait() { # NAME SECONDS
	local n=0
	while ! guest_exited "$1"; do
		[ $n -lt "$2" ] || return 124
		sleep 1
		n=$((n + 1))
		[ $((n % 10)) = 0 ] || continue
		guest_id "$1" >/dev/null || guest_exited "$1" || return 125
	done
	return "$GUEST_STATUS"
}

# Until a line of the guest's console matches.
guest_says() { # NAME REGEX SECONDS
	guest_until "$3" guest_wrote "$1" "$2"
}

guest_wrote() { # NAME REGEX
	grep -qaE -- "$2" "$(guest_log "$1")" 2>/dev/null
}

# Until no domain of that name, dying or not, is left.
guest_gone() { # NAME SECONDS
	guest_until "$2" guest_is_gone "$1"
}

guest_is_gone() { ! guest_id "$1" >/dev/null; }

guest_destroy() { # NAME
	! guest_id "$1" >/dev/null || xl destroy "$1"
}

# For the record of a test that failed.
guest_show() { # NAME
	echo "# the console of $1:"
	tail -n 60 "$(guest_log "$1")" 2>/dev/null | tr -d '\r' | sed 's/^/# /'
	tail -n 5 "/xen/var/log/xen/qemu-dm-$1.log" 2>/dev/null | sed 's/^/# qemu: /'
}
