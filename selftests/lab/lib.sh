# SPDX-License-Identifier: GPL-2.0
# Copyright (c) 2026 The vbe authors
# shellcheck shell=bash
#
# What the lab's scripts share: messages, the cache, the table of kernels,
# private apt configurations and the unpacked trees of other Debian releases.
# To be sourced, after "set -euo pipefail".

# A failure inside $(...) is a failure.
shopt -s inherit_errexit

LAB=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck disable=SC2034 # for those who source this
TOP=$(cd "$LAB/../.." && pwd)
VBE_CACHE=${VBE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/vbe}
VBE_JOBS=${VBE_JOBS:-$(nproc)}
PROG=${0##*/}

say() { printf '%s: %s\n' "$PROG" "$*" >&2; }
die() { say "$*"; exit 2; }

# The table of kernels: name -> Debian release and its compiler.
release_of() {
	case $1 in
	6.1) echo bookworm ;;
	6.12 | debug) echo trixie ;;
	7.2) echo sid ;;
	*) die "unknown kernel '$1': use 6.1, 6.12, 7.2 or debug" ;;
	esac
}

gcc_of() { # RELEASE -> major version of the compiler its kernels are built with
	case $1 in
	bookworm) echo 12 ;;
	trixie) echo 14 ;;
	sid) echo 16 ;;
	*) die "unknown Debian release '$1': use bookworm, trixie or sid" ;;
	esac
}

tree_of() { echo "$VBE_CACHE/tree/$(release_of "$1")"; }

host_release() { (. /etc/os-release && echo "${VERSION_CODENAME:-unknown}"); }

# One at a time on this machine; with_shared_lock: many at a time, but none
# while somebody is in with_lock.
with_lock() { # NAME COMMAND...
	_with_lock "$1" --exclusive "${@:2}"
}

with_shared_lock() { # NAME COMMAND...
	_with_lock "$1" --shared "${@:2}"
}

_with_lock() { # NAME MODE COMMAND...
	local name=$1 mode=$2
	shift 2
	mkdir -p "$VBE_CACHE/lock"
	(
		flock "$mode" 9
		"$@"
	) 9>>"$VBE_CACHE/lock/$name"
}

# Several downloads are running at once and mirrors are only human.
retry() {
	local try
	for try in 1 2 3; do
		"$@" && return 0
		[ "$try" = 3 ] || { say "try $try failed: $1 …; again in 5 s"; sleep 5; }
	done
	return 1
}

# The archive that this machine's own apt uses for Debian proper.
host_mirror() {
	local site
	if [ -n "${VBE_MIRROR:-}" ]; then
		echo "$VBE_MIRROR"
		return
	fi
	command -v apt-get >/dev/null ||
		die "apt-get not found: the lab needs a Debian host (or VBE_MIRROR and apt)"
	# shellcheck disable=SC2016 # $(SITE) is apt's own
	site=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' \
		'Origin: Debian' 'Label: Debian' | sed -n 1p)
	# shellcheck disable=SC2016
	[ -n "$site" ] || site=$(apt-get indextargets --format '$(SITE)' \
		'Created-By: Packages' | grep '/debian/*$' | sed -n 1p)
	[ -n "$site" ] ||
		die "no Debian archive in this host's apt configuration: set VBE_MIRROR"
	echo "$site"
}

# apt for RELEASE, in a folder of its own: the host's proxy and key settings
# are kept, its sources, lists and package state are neither read nor touched.
release_apt() { # RELEASE TOOL ARGS...
	local dir=$VBE_CACHE/apt/$1 tool=$2
	shift 2
	"$tool" -qq \
		-o Dir::Etc::sourcelist="$dir/sources.list" \
		-o Dir::Etc::sourceparts=/dev/null \
		-o Dir::Etc::preferences=/dev/null \
		-o Dir::Etc::preferencesparts=/dev/null \
		-o Dir::State="$dir/state" \
		-o Dir::State::status="$dir/status" \
		-o Dir::Cache="$dir/cache" \
		-o Dir::Cache::archives="$dir/cache/archives" \
		-o APT::Architecture=amd64 \
		-o APT::Architectures=amd64,arm64 \
		-o APT::Install-Recommends=false \
		-o APT::Sandbox::User=root \
		-o APT::Update::Post-Invoke= \
		-o APT::Update::Error-Mode=any \
		-o Acquire::Languages=none \
		-o Acquire::Retries=3 \
		-o Acquire::Check-Valid-Until=false \
		"$@"
}

release_apt_update() { # RELEASE
	local dir=$VBE_CACHE/apt/$1 keys=/usr/share/keyrings/debian-archive-keyring.gpg
	[ -e "$keys" ] || die "$keys is missing: install debian-archive-keyring"
	mkdir -p "$dir/state/lists/partial" "$dir/cache/archives/partial"
	: >"$dir/status"
	echo "deb [signed-by=$keys] $(host_mirror) $1 main" >"$dir/sources.list"
	retry release_apt "$1" apt-get update ||
		die "apt-get update for Debian $1 failed (archive: $(host_mirror))"
}

# A file system for a VM to mount, made without root, with room for a little more.
make_ext4() { # TREE IMAGE
	rm -f "$2"
	truncate -s $(($(du -sm "$1" | cut -f1) * 5 / 4 + 32))M "$2"
	PATH=$PATH:/usr/sbin:/sbin mke2fs -q -F -t ext4 -O ^has_journal -E root_owner=0:0 -d "$1" "$2"
}

# Run a command inside an unpacked tree with some of the host's folders bound
# at the same path: tree_run TREE FOLDER... -- COMMAND...
# Root uses a private mount namespace; anyone else a user namespace too.
tree_run() {
	with_shared_lock "tree-${1##*/}" become_in_tree "$@"
}

# The same without the lock: this process becomes COMMAND.
become_in_tree() {
	local tree=$1 binds=() ns=(unshare --mount)
	shift
	while [ "$1" != -- ]; do
		binds+=("$1")
		shift
	done
	shift
	[ "$(id -u)" = 0 ] || ns+=(--map-root-user)
	# shellcheck disable=SC2016 # expanded by the inner shell
	exec "${ns[@]}" bash -c '
		set -e
		tree=$1; shift
		mount -t tmpfs tmpfs "$tree/tmp"
		while [ "$1" != -- ]; do
			mkdir -p "$tree$1"
			mount --bind "$1" "$tree$1"
			shift
		done
		shift
		mount --rbind /dev "$tree/dev"
		mount --rbind /proc "$tree/proc"
		exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LC_ALL=C \
			chroot "$tree" "$@"
	' tree_run "$tree" "${binds[@]}" -- "$@"
}

# The kernel release (uname -r) a name stands for, from what the cache holds.
kernel_release() { # KERNEL [ARCH]
	local dir found
	if [ "$1" = debug ]; then
		dir=$("$LAB/build-debug-kernel" --path)
		cat "$dir/include/config/kernel.release" 2>/dev/null ||
			die "the debug kernel is not built: run $LAB/build-debug-kernel"
		return
	fi
	if [ "$1" = host ]; then
		host_kernel_release
		return
	fi
	found=$(find "$(tree_of "$1")/lib/modules/" -mindepth 1 -maxdepth 1 \
		-name "*-${2:-amd64}" -printf '%f\n' 2>/dev/null | sort -V | tail -n 1)
	[ -n "$found" ] || die "kernel $1 is not in the cache: run $LAB/fetch $1"
	echo "$found"
}

# "host": the kernel of this host's Debian release, whatever is running now.
host_kernel_release() {
	local found
	found=$(find /usr/src -maxdepth 1 -name 'linux-headers-*-amd64' \
		-printf '%f\n' 2>/dev/null | sort -V | tail -n 1)
	[ -n "$found" ] || die "no linux-headers-amd64 on this host: run $LAB/prereqs demo"
	echo "${found#linux-headers-}"
}

# Debian 13's headers bring the kernel itself along; Debian 12's do not.
host_kernel_root() {
	local release
	release=$(host_kernel_release)
	if [ -r "/boot/vmlinuz-$release" ] && [ -e "/lib/modules/$release/modules.dep" ]; then
		echo /
	else
		echo "$VBE_CACHE/host/$release"
	fi
}

# Have KERNEL in the cache: quick when it is there.
require_kernel() { # KERNEL
	case $1 in
	6.1 | 6.12 | 7.2 | host) "$LAB/fetch" "$1" ;;
	debug) "$LAB/build-debug-kernel" >/dev/null ;;
	*) die "unknown kernel '$1': use 6.1, 6.12, 7.2, debug or host" ;;
	esac
}

# Where the modules and the image of a kernel are: a folder with lib/modules/.
kernel_root() { # KERNEL
	case $1 in
	debug) echo "$("$LAB/build-debug-kernel" --path)/mods" ;;
	host) host_kernel_root ;;
	*) tree_of "$1" ;;
	esac
}

kernel_image() { # KERNEL
	local root release file
	if [ "$1" = debug ]; then
		echo "$("$LAB/build-debug-kernel" --path)/vmlinuz"
		return
	fi
	root=$(kernel_root "$1")
	release=$(kernel_release "$1")
	for file in "$root/boot/vmlinuz-$release" "$root/usr/lib/modules/$release/vmlinuz"; do
		[ ! -e "$file" ] || { echo "$file"; return; }
	done
	die "no kernel image for $1 ($release) under $root: run $LAB/fetch $1"
}

# The same without its compression: QEMU starts an ELF kernel directly (PVH),
# which spares every boot a decompression under emulation.
boot_image() { # KERNEL
	local image out
	image=$(kernel_image "$1")
	out=$VBE_CACHE/vmlinux/$(kernel_release "$1")
	if [ ! "$out" -nt "$image" ]; then
		mkdir -p "${out%/*}"
		unpack_image "$image" "$out.$$" && mv "$out.$$" "$out"
	fi
	if [ "$out" -nt "$image" ]; then
		echo "$out"
	else
		rm -f "$out.$$"
		echo "$image"
	fi
}

field() { # FILE OFFSET BYTES: a number from a binary file
	od -A n -j "$2" -N "$3" -t "u$3" "$1" | tr -d ' '
}

# The layout is that of Documentation/arch/x86/boot.rst: the payload follows the
# real-mode sectors, and ends with its unpacked size unless it is gzip.
unpack_image() { # VMLINUZ OUT
	local start length unpacker
	start=$((($(field "$1" 497 1) + 1) * 512 + $(field "$1" 584 4)))
	length=$(($(field "$1" 588 4) - 4))
	case $(od -A n -j $start -N 4 -t x1 "$1" | tr -d ' ') in
	fd377a58) unpacker="xz -dc" ;;
	28b52ffd) unpacker="zstd -dqc" ;;
	1f8b*) unpacker="gzip -dc" length=$((length + 4)) ;;
	*) return 1 ;;
	esac
	# shellcheck disable=SC2086 # a command and its options
	tail -c +$((start + 1)) "$1" | head -c $length | $unpacker >"$2" 2>/dev/null
	[ "$(od -A n -N 4 -t x1 "$2" | tr -d ' ')" = 7f454c46 ]
}
