# SPDX-License-Identifier: GPL-2.0
# Copyright (c) 2026 The vbe authors
# shellcheck shell=bash
#
# "fetch xen-arm": what the Xen lab for arm64 boots. dom0's root folder, of Debian
# 13's arm64 packages; a Xen built from Debian's source with the IOREQ servers that
# Debian's own build leaves out; what a guest starts from. Sourced by fetch: uses its
# new_tree, unpack_debs, fetch_tree and $update.
# shellcheck disable=SC2154
# shellcheck source-path=SCRIPTDIR source=vm-image.sh
. "$LAB/vm-image.sh"
# shellcheck source=xen-arm.sh
. "$LAB/xen-arm.sh"

# For Xen: without IOREQ servers no one outside Xen can emulate a device.
xen_config() { # debug|release
	printf '%s\n' CONFIG_EXPERT=y CONFIG_UNSUPPORTED=y CONFIG_IOREQ_SERVER=y CONFIG_ARGO=y
	# Assertions, but not every free page filled with a pattern: that takes seconds.
	[ "$1" = release ] || printf '%s\n' CONFIG_DEBUG=y '# CONFIG_SCRUB_DEBUG is not set'
}

root_packages() {
	echo base-files bash coreutils grep sed mawk findutils diffutils util-linux mount \
		procps kmod cpio busybox-static e2fsprogs fio strace \
		libxenmisc4.20 libxenhypfs1 xenstore-utils libncurses6 \
		libc6-dev libnl-3-dev libnl-genl-3-dev liburing-dev libseccomp-dev libjson-c-dev \
		libxen-dev
}

# Without the Python and the udev that they also want.
root_extras() {
	echo xen-utils-4.20 xen-utils-common "linux-image-$(kernel_release $XEN_ARM_KERNEL arm64)"
}

# To be run on this machine, by make.
host_extras() { echo pkgconf-bin libpkgconf3; }

download_root() { # DIR
	local archives=$1/archives packages extras
	read -ra packages < <(root_packages)
	mapfile -t extras < <(root_extras | tr ' ' '\n')
	mkdir -p "$archives/partial" "$1/host"
	say "dom0 for arm64: downloading"
	retry arm_apt apt-get -o "Dir::Cache::archives=$archives" -y --download-only install \
		"${packages[@]}" || return
	(cd "$archives" && retry arm_apt apt-get download "${extras[@]}") || return
	[ -e "$VBE_CACHE/apt/trixie/sources.list" ] || release_apt_update trixie
	read -ra extras < <(host_extras)
	(cd "$1/host" && retry release_apt trixie apt-get download "${extras[@]}")
}

link_root() { # ROOT
	local tool
	[ -e "$1/usr/bin/sh" ] || ln -s bash "$1/usr/bin/sh"
	[ -e "$1/usr/bin/awk" ] || ln -s mawk "$1/usr/bin/awk"
	ln -sf ../proc/self/mounts "$1/etc/mtab"
	add_accounts "$1"
	for tool in insmod rmmod lsmod modprobe modinfo depmod; do
		[ -e "$1/usr/sbin/$tool" ] || ln -s ../bin/kmod "$1/usr/sbin/$tool"
	done
	for tool in $(busybox --list); do
		[ -e "$1/usr/bin/$tool" ] || [ -e "$1/usr/sbin/$tool" ] ||
			[ -L "$1/usr/bin/$tool" ] || ln -s busybox "$1/usr/bin/$tool"
	done
	# Debian's wrappers look for the Xen that is running; this is the only one here.
	for tool in "$1"/usr/lib/xen-4.20/bin/{xl,xen-init-dom0}; do
		ln -sf "../lib/xen-4.20/bin/${tool##*/}" "$1/usr/sbin/${tool##*/}"
	done
	for tool in "$1"/usr/lib/xen-4.20/bin/xen{stored,consoled}; do
		ln -sf "../lib/xen-4.20/bin/${tool##*/}" "$1/usr/sbin/${tool##*/}"
	done
}

make_root() { # TREE KEY
	local new=$1.new
	[ "$update" = yes ] || [ "$(cat "$1/.vbe-key" 2>/dev/null)" != "$2" ] || return 0
	rm -rf "$new"
	mkdir -p "$new/tools"
	if [ "$update" = yes ] || [ ! -e "$VBE_CACHE/apt/trixie-arm64/sources.list" ]; then
		arm_apt_update
	fi
	if ! download_root "$new"; then
		# The lists may be older than the archive.
		arm_apt_update
		download_root "$new" ||
			die "download for arm64 failed (archive: $(host_mirror)); when it is the" \
				"kernel that is missing, try fetch --update 6.12"
	fi
	say "dom0 for arm64: unpacking"
	find "$new/archives" -name 'xen-utils-4.20_*' -printf '%f\n' |
		sed 's/^[^_]*_\(.*\)_[^_]*$/\1/' >"$new/xen-version"
	new_tree "$new/root"
	unpack_debs "$new/archives" "$new/root"
	unpack_debs "$new/host" "$new/tools"
	link_root "$new/root"
	depmod -b "$new/root" "$(kernel_release $XEN_ARM_KERNEL arm64)"
	rm -rf "$new/archives" "$new/host" "$1"
	echo "$2" >"$new/.vbe-key"
	mv "$new" "$1"
	say "dom0 for arm64: ready in $1"
}

GUEST_MODULES="virtio_mmio virtio_blk xen-blkfront ext4 crc32c_generic"
GUEST_PROGRAMS="fio mkfs.ext4 e2fsck"

# dom0's own initramfs and the guests' are one: busybox, and modules to find a disk.
make_initrd() { # ROOT FILE FROM RELEASE
	local applet
	new_root "$1"
	mkdir -p "$1"/{proc,sys,dev,tmp,run,mnt}
	cp "$3/usr/bin/busybox" "$1/usr/bin/busybox"
	# The host's busybox knows the same applets, or nearly.
	for applet in $(busybox --list); do
		[ -e "$1/usr/bin/$applet" ] || ln -s busybox "$1/usr/bin/$applet"
	done
	add_accounts "$1"
	# shellcheck disable=SC2086 # words
	add_modules "$1" "$3" "$4" $GUEST_MODULES
	pack "$1" "$2"
}

# A program of dom0's root folder and the libraries it needs.
add_arm_closure() { # ROOT FILE
	local lib
	[ ! -e "$1/$2" ] || return 0
	mkdir -p "$1/$(dirname "$2")"
	cp -L "$XEN_ARM_ROOT/$2" "$1/$2"
	readelf -d "$XEN_ARM_ROOT/$2" | sed -n 's/.*(NEEDED).*\[\(.*\)\]$/\1/p' |
		while read -r lib; do
			lib=$(cd "$XEN_ARM_ROOT" && find "usr/lib/$XEN_ARM_CROSS" usr/lib -name "$lib" |
				sed -n 1p)
			add_arm_closure "$1" "${lib:?a library of $2 is missing}"
		done
}

# The image at /guest: the kernel as Debian built it, the initramfs to start from, and
# programs too large for that.
make_guest() { # WORK DIR
	local program file
	new_root "$1"
	mkdir -p "$1"/{boot,proc,sys,dev,tmp,mnt}
	cp "$2/vmlinuz" "$2/initrd" "$1/boot/"
	add_arm_closure "$1" usr/lib/ld-linux-aarch64.so.1
	for program in $GUEST_PROGRAMS; do
		file=usr/bin/$program
		[ -e "$XEN_ARM_ROOT/$file" ] || file=usr/sbin/$program
		add_arm_closure "$1" "$file"
	done
	make_ext4 "$1" "$2/guest"
}

# dom0's root: modules come from its initramfs, and nothing is compiled in it.
make_dom0() { # WORK DIR
	mkdir -p "$1"
	cp -a "$XEN_ARM_ROOT/." "$1/"
	rm -rf "${1:?}"/{boot,usr/lib/modules,usr/include,usr/share,usr/lib/*/*.a}
	mkdir -p "$1"/{out,mnt,guest,usr/share}
	make_ext4 "$1" "$2/root"
}

make_images() { # DIR KEY
	local release new=$1.new
	[ "$(cat "$1/.vbe-key" 2>/dev/null)" != "$2" ] || return 0
	say "dom0 for arm64: making images"
	release=$(kernel_release $XEN_ARM_KERNEL arm64)
	rm -rf "$new"
	mkdir -p "$new"
	cp "$XEN_ARM_ROOT/boot/vmlinuz-$release" "$new/vmlinuz"
	make_initrd "$new/work1" "$new/initrd" "$XEN_ARM_ROOT" "$release"
	make_guest "$new/work2" "$new"
	make_dom0 "$new/work3" "$new"
	rm -rf "$new"/work? "$1"
	echo "$2" >"$new/.vbe-key"
	mv "$new" "$1"
}

build_xen() { # DIR debug|release
	local new=$1.new tree cross=aarch64-linux-gnu-
	[ ! -e "$1/xen" ] || return 0
	rm -rf "$new"
	mkdir -p "$new/source"
	say "Xen for arm64 ($2): building"
	(cd "$new" && retry arm_apt apt-get source --download-only --tar-only xen) ||
		die "download of Xen's source failed (archive: $(host_mirror))"
	tar -xf "$new"/xen_*.orig.tar.* --no-same-owner --strip-components=1 -C "$new/source"
	tree=$(tree_of $XEN_ARM_KERNEL)
	xen_config "$2" >"$new/config"
	# shellcheck disable=SC2016 # expanded by the inner shell
	tree_run "$tree" "$new" -- sh -ec '
		cd "$1/source"
		export XEN_TARGET_ARCH=arm64 CROSS_COMPILE=$2
		make -C xen defconfig
		cat "$1/config" >>xen/.config
		make -C xen olddefconfig
		make -C xen -j"$3"
	' build_xen "$new" "$cross" "$VBE_JOBS" >"$new/log" 2>&1 ||
		{ tail -n 30 "$new/log" >&2; die "Xen did not build: $new/log"; }
	mv "$new/source/xen/xen" "$new/source/xen/.config" "$new/source/xen/xen-syms" "$new/"
	while read -r tree; do
		grep -qx "$tree" "$new/.config" || die "Xen did not take $tree"
	done <"$new/config"
	rm -rf "$new"/source "$new"/*.orig.tar.* "$1"
	mv "$new" "$1"
}

# The one that dom0's tools are of.
xen_dir() { # debug|release
	echo "$XEN_ARM/xen-$(cat "$XEN_ARM/tree/xen-version")-$1-$(xen_config "$1" |
		sha256sum | cut -c1-8)"
}

fetch_xen_arm() { # [debug|release]
	local build=${1:-debug} key dir
	case $build in debug | release) ;; *) die "no build '$build' of Xen: debug or release" ;; esac
	fetch_tree trixie
	key=$( (declare -f root_packages root_extras host_extras new_tree unpack_debs link_root \
		add_accounts make_root
		kernel_release $XEN_ARM_KERNEL arm64) | sha256sum | cut -c1-16)
	if [ "$update" = yes ] || [ "$(cat "$XEN_ARM/tree/.vbe-key" 2>/dev/null)" != "$key" ]; then
		with_lock xen-arm make_root "$XEN_ARM/tree" "$key"
	fi
	key=$( (declare -f make_images make_dom0 make_guest add_arm_closure make_initrd add_modules \
		make_ext4
		echo "$GUEST_MODULES $GUEST_PROGRAMS"
		stat -c %Y "$XEN_ARM/tree/.vbe-key") | sha256sum | cut -c1-16)
	if [ "$(cat "$XEN_ARM/boot/.vbe-key" 2>/dev/null)" != "$key" ]; then
		with_lock xen-arm make_images "$XEN_ARM/boot" "$key"
	fi
	dir=$(xen_dir "$build")
	[ -e "$dir/xen" ] || with_lock xen-arm build_xen "$dir" "$build"
	echo "$dir/xen"
}
