# SPDX-License-Identifier: GPL-2.0
# Copyright (c) 2026 The vbe authors
# shellcheck shell=bash
#
# Part of fetch: a tree of Debian 13 that builds its QEMU, for qemu-build.
# shellcheck disable=SC2154 # "update" is fetch's

qemu_packages() {
	echo base-files bash coreutils dash sed grep mawk findutils diffutils tar xz-utils \
		perl make gcc libc6-dev python3 python3-venv meson ninja-build pkgconf \
		libglib2.0-dev zlib1g-dev
}

# dpkg -x runs no maintainer script: make the few links that matter, and the file without
# which Python's pip does not even start.
qemu_link_tree() { # TREE
	[ -e "$1/usr/bin/sh" ] || ln -s dash "$1/usr/bin/sh"
	[ -e "$1/usr/bin/awk" ] || ln -s mawk "$1/usr/bin/awk"
	[ -e "$1/usr/bin/cc" ] || ln -s gcc "$1/usr/bin/cc"
	mkdir -p "$1/etc/ssl/certs"
	cat "$1"/usr/share/ca-certificates/mozilla/*.crt >"$1/etc/ssl/certs/ca-certificates.crt"
}

make_qemu_tree() { # TREE KEY
	local new=$1.new
	[ "$update" = yes ] || [ "$(cat "$1/.vbe-key" 2>/dev/null)" != "$2" ] || return 0
	rm -rf "$new"
	new_tree "$new"
	say "what builds QEMU: downloading"
	download_packages trixie "$new/archives" "$(qemu_packages)" "" ||
		die "download of what builds QEMU failed (archive: $(host_mirror))"
	unpack_debs "$new/archives" "$new"
	qemu_link_tree "$new"
	rm -rf "$new/archives" "$1"
	echo "$2" >"$new/.vbe-key"
	mv "$new" "$1"
}

fetch_qemu_tree() {
	local tree=$VBE_CACHE/tree/qemu key
	key=$(declare -f qemu_packages qemu_link_tree new_tree unpack_debs make_qemu_tree |
		sha256sum | cut -c1-16)
	if [ "$update" = yes ] || [ "$(cat "$tree/.vbe-key" 2>/dev/null)" != "$key" ]; then
		# Debian 13's apt is also that of its tree.
		with_lock tree-qemu with_lock tree-trixie make_qemu_tree "$tree" "$key"
	fi
	echo "$tree"
}
