# SPDX-License-Identifier: GPL-2.0
# Copyright (c) 2026 The vbe authors
# shellcheck shell=bash
#
# A guest that Xen starts itself, beside dom0: xen-arm-run --dom0less GUIDE. What the
# guide prints is what is tried: its first block of device tree is the guest's piece, its
# second one goes into the host's tree below /chosen. There, too, stands where in memory
# Xen looks for the guest's kernel, initramfs and piece of tree; QEMU puts them there, as
# a boot loader would. Sourced by xen-arm-run, whose qemu, XEN_ARM and fs this uses.
# shellcheck disable=SC2154

DOM0LESS_TOOLS="dtc fdtget"

dts_block() { # GUIDE N
	awk -v n="$2" '/^```dts$/ { on = ++i == n; next } /^```$/ { on = 0 } on' "$1"
}

# The machine's own tree, which QEMU makes when it starts, and the guide's piece of it. The
# guest's console is judged with Xen's: the guest must be as patient with the host as dom0.
make_trees() { # WORK GUIDE
	timeout 300 "${qemu[@]}" -machine "dumpdtb=$1/machine.dtb" </dev/null >"$1/dump.log" 2>&1 ||
		{ cat "$1/dump.log" >&2; die "QEMU does not give its device tree"; }
	{
		dtc -q -I dtb -O dts "$1/machine.dtb"
		echo "/ { chosen {"
		dts_block "$2" 2 | sed "s/\(bootargs = \"[^\"]*\)\";/\1 $PATIENCE\";/"
		echo "}; };"
	} >"$1/host.dts"
	dts_block "$2" 1 >"$1/guest.dts"
	dtc -q -I dts -O dtb -o "$1/host.dtb" "$1/host.dts" || die "$2: the host's device tree"
	dtc -q -I dts -O dtb -o "$1/guest.dtb" "$1/guest.dts" || die "$2: the guest's device tree"
}

# The guests' common initramfs, and what --domu-add brings.
make_domu_initrd() { # WORK
	local root=$1/domu path
	mkdir -p "$root"
	for path in "${domu_adds[@]}"; do add_path "$root" "$path"; done
	[ ! -e "$root/init" ] || chmod +x "$root/init"
	pack "$root" "$1/domu.cpio"
	cat "$XEN_ARM/boot/initrd" "$1/domu.cpio" >"$1/domu.initrd"
	rm -rf "$root" "$1/domu.cpio"
}

domu_module() { # WORK COMPATIBLE: its file
	case $2 in
	*multiboot,kernel*) echo "$XEN_ARM/boot/vmlinuz" ;;
	*multiboot,ramdisk*) echo "$1/domu.initrd" ;;
	*multiboot,device-tree*) echo "$1/guest.dtb" ;;
	*) die "a module of the guest is '$2': kernel, ramdisk or device-tree" ;;
	esac
}

# Where the host's tree says that they are, and not longer than it says.
load_modules() { # WORK
	local node domu tree=$1/host.dtb file high low n=0
	local -a reg
	for domu in $(fdtget -l "$tree" /chosen | grep '^domU'); do
		for node in $(fdtget -l "$tree" "/chosen/$domu"); do
			node=/chosen/$domu/$node
			file=$(domu_module "$1" "$(fdtget "$tree" "$node" compatible)")
			read -ra reg < <(fdtget -t x "$tree" "$node" reg)
			high=$((0x${reg[0]} << 32 | 0x${reg[1]})) low=$((0x${reg[2]} << 32 | 0x${reg[3]}))
			[ "$(stat -Lc %s "$file")" -le "$low" ] || die "$node: $file is longer than reg says"
			qemu+=(-device "loader,file=$file,addr=$high,force-raw=on")
			n=$((n + 1))
		done
	done
	[ $n -gt 0 ] || die "no guest with modules in the host's device tree"
}

# The serial line is Xen's and, by turns, the guest's. dom0 can type there: what it appends
# to the file console.in is copied to the line.
open_console() { # WORK OUT
	local serial
	mkfifo "$1/serial.in" "$1/serial.out"
	: >"$2/.vm/console.in"
	exec {serial}<>"$1/serial.out"
	cat <&"$serial" >>"$2/.vm/console" &
	helpers+=($!)
	exec {serial}<>"$1/serial.in"
	tail -c +1 -f -s 0.2 "$2/.vm/console.in" >&"$serial" &
	helpers+=($!)
}

add_domu() { # WORK OUT GUIDE
	local tool
	for tool in $DOM0LESS_TOOLS; do
		command -v "$tool" >/dev/null || die "$tool is not installed: run $LAB/prereqs check"
	done
	open_console "$1" "$2"
	make_trees "$1" "$3"
	make_domu_initrd "$1"
	load_modules "$1"
	qemu+=(-dtb "$1/host.dtb")
}
