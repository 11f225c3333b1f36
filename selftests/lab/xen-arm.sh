# SPDX-License-Identifier: GPL-2.0
# Copyright (c) 2026 The vbe authors
# shellcheck shell=bash
#
# What the scripts of the Xen lab for arm64 share: where things are in the cache,
# and apt for arm64. To be sourced after lib.sh.
# shellcheck disable=SC2034 # used by those

XEN_ARM=$VBE_CACHE/xen-arm
# dom0's root folder, which is also the sysroot for its programs.
XEN_ARM_ROOT=$XEN_ARM/tree/root
# Debian 13's: its kernel, its Xen, its compiler.
XEN_ARM_KERNEL=6.12
XEN_ARM_CROSS=aarch64-linux-gnu

# apt for arm64, with sources, and with lists of its own, so that nobody waits here
# for whoever is working with the trees.
arm_apt() { # TOOL ARGS...
	local tool=$1
	shift
	release_apt trixie-arm64 "$tool" -o APT::Architecture=arm64 \
		-o APT::Architectures=arm64 "$@"
}

arm_apt_update() {
	local dir=$VBE_CACHE/apt/trixie-arm64 type
	local keys=/usr/share/keyrings/debian-archive-keyring.gpg
	[ -e "$keys" ] || die "$keys is missing: install debian-archive-keyring"
	mkdir -p "$dir/state/lists/partial" "$dir/cache/archives/partial"
	: >"$dir/status"
	for type in deb deb-src; do
		echo "$type [signed-by=$keys] $(host_mirror) trixie main"
	done >"$dir/sources.list"
	retry arm_apt apt-get update ||
		die "apt-get update for arm64 failed (archive: $(host_mirror))"
}

is_arm64() { # FILE: an ELF file for AArch64
	[ "$(od -A n -t x1 -N 4 "$1" | tr -d ' ')" = 7f454c46 ] &&
		[ "$(od -A n -t u2 -j 18 -N 2 "$1" | tr -d ' ')" = 183 ]
}
