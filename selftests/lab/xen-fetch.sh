# SPDX-License-Identifier: GPL-2.0
# Copyright (c) 2026 The vbe authors
# shellcheck shell=bash
#
# Part of fetch: what boots Xen on x86. For each Xen a tree of its Debian release
# with the hypervisor, the toolstack and the QEMU that it wants, and an image of
# that tree for dom0.
# shellcheck disable=SC2154 # "update" is fetch's

# A Xen is known by its version; each goes with one Debian release, whose libraries
# its toolstack needs.
xen_release_of() { # VERSION
	case $1 in
	4.17) echo bookworm ;;
	4.20) echo trixie ;;
	*) die "unknown Xen '$1': use 4.17 or 4.20" ;;
	esac
}

# grub is for disks that a guest boots from.
xen_packages() { # VERSION
	echo base-files bash coreutils dash sed grep mawk util-linux mount kmod iproute2 \
		"xen-utils-$1" xen-utils-common xenstore-utils qemu-system-xen seabios \
		grub-common grub-pc-bin
}

# Without the boot loader that its package would set up.
xen_extras() { # VERSION
	echo "xen-hypervisor-$1-amd64"
}

xen_download() { # VERSION RELEASE DIR
	say "Xen $1 of Debian $2: downloading"
	download_packages "$2" "$3/archives" "$(xen_packages "$1")" "$(xen_extras "$1")"
}

# dpkg -x runs no maintainer script, and the image is mounted read-only: what dom0
# mounts or writes over has to be there.
xen_link_tree() { # TREE
	local dir
	[ -e "$1/usr/bin/sh" ] || ln -s dash "$1/usr/bin/sh"
	[ -e "$1/usr/bin/awk" ] || ln -s mawk "$1/usr/bin/awk"
	for dir in run out guest mnt var/log var/run var/lock var/lib/xen; do
		mkdir -p "$1/$dir"
	done
}

make_xen() { # VERSION TREE KEY
	local release new=$2.new
	[ "$update" = yes ] || [ "$(cat "$2/.vbe-key" 2>/dev/null)" != "$3" ] || return 0
	release=$(xen_release_of "$1")
	rm -rf "$new"
	mkdir -p "$new/archives"
	[ -e "$VBE_CACHE/apt/$release/sources.list" ] || release_apt_update "$release"
	xen_download "$1" "$release" "$new" ||
		die "download of Xen $1 failed (archive: $(host_mirror))"
	new_tree "$new/root"
	unpack_debs "$new/archives" "$new/root"
	xen_link_tree "$new/root"
	# QEMU starts only an image that is not compressed.
	gzip -dc "$new/root/boot/xen-$1-amd64.gz" >"$new/hypervisor"
	rm -rf "$new/root/boot"
	make_ext4 "$new/root" "$new/image"
	rm -rf "$new/archives" "$2"
	echo "$3" >"$new/.vbe-key"
	mv "$new" "$2"
	say "Xen $1: ready in $2"
}

# Prints a folder: hypervisor, image (for vm-run --mount), root (the same, unpacked).
fetch_xen() { # VERSION
	local tree=$VBE_CACHE/tree/xen-$1 key release
	release=$(xen_release_of "$1")
	key=$(declare -f xen_packages xen_extras xen_link_tree new_tree unpack_debs \
		make_xen make_ext4 | sha256sum | cut -c1-16)
	if [ "$update" = yes ] || [ "$(cat "$tree/.vbe-key" 2>/dev/null)" != "$key" ]; then
		# The release's apt is also that of its tree.
		with_lock "tree-xen-$1" with_lock "tree-$release" \
			make_xen "$1" "$tree" "$key"
	fi
	echo "$tree"
}
