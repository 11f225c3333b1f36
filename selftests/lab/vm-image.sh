# SPDX-License-Identifier: GPL-2.0
# Copyright (c) 2026 The vbe authors
# shellcheck shell=bash
#
# The initramfs of a lab VM, in two archives that the kernel unpacks one over
# the other: a base (busybox, bash, kmod, kernel modules), kept in the cache, and
# what this run adds. Uses lib.sh and vm-run's variables:
# shellcheck disable=SC2154,SC2086

# The kernel's own modules that every VM has, where the kernel has them.
BASE_MODULES="virtio virtio_ring virtio_pci virtio_mmio virtio_blk virtio_net
	virtio_console virtio_rng virtio_balloon virtio_input evdev 9p 9pnet_virtio ext4
	loop null_blk nbd vdpa vduse virtio_vdpa ublk_drv tun crc32c_generic"

new_root() { # DIR
	mkdir -p "$1"/usr/{bin,lib,lib64} "$1"/{etc,root,vm}
	local dir
	for dir in bin lib lib64; do ln -s "usr/$dir" "$1/$dir"; done
	ln -s usr/bin "$1/sbin"
	ln -s bin "$1/usr/sbin"
}

# A library goes where the loader found it; one from an unusual place also to
# where the guest's loader looks.
add_library() { # ROOT FILE
	local dir=${2%/*}
	case $dir in
	/lib*) dir=/usr$dir ;;
	esac
	mkdir -p "$1$dir"
	cp -L "$2" "$1$dir/"
	case $dir in
	/usr/lib*) ;;
	*) cp -L "$2" "$1/usr/lib/" ;;
	esac
}

add_program() { # ROOT PROGRAM
	local file lib
	file=$(PATH=$PATH:/usr/sbin:/sbin command -v "$2") ||
		die "--bin: no program '$2' on this host"
	cp -L "$file" "$1/usr/bin/${2##*/}"
	ldd "$file" 2>/dev/null | sed -nE 's,^(.* => )?[[:space:]]*(/[^ ]*) \(0x.*,\2,p' |
		while read -r lib; do add_library "$1" "$lib"; done
	if ldd "$file" 2>/dev/null | grep 'not found' >&2; then
		die "--bin: $2 needs a library that this host lacks"
	fi
}

# Modules are stored unpacked: not every kernel unpacks them itself.
add_module_file() { # FILE DEST
	case $1 in
	*.xz) xz -dc "$1" >"${2%.xz}" ;;
	*.zst) zstd -qdc "$1" >"${2%.zst}" ;;
	*.gz) gzip -dc "$1" >"${2%.gz}" ;;
	*) cp "$1" "$2" ;;
	esac
}

add_modules() { # ROOT KERNEL_ROOT RELEASE MODULE...
	local root=$1 from=$2 release=$3 dir=$1/usr/lib/modules/$3 file module
	shift 3
	mkdir -p "$dir"
	for module in "$@"; do
		modprobe -S "$release" -d "$from" --show-depends "$module" 2>/dev/null || :
	done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | sort -u |
		while read -r file; do add_module_file "$file" "$dir/${file##*/}"; done
	cp "$from/lib/modules/$release"/modules.{builtin,order} "$dir/"
	cp "$from/lib/modules/$release/modules.builtin.modinfo" "$dir/" 2>/dev/null || :
	depmod -b "$root" "$release"
}

require_modules() { # KERNEL_ROOT RELEASE MODULE...: those asked for by name
	local from=$1 release=$2 module
	shift 2
	for module in "$@"; do
		modprobe -S "$release" -d "$from" --show-depends "$module" >/dev/null 2>&1 ||
			die "kernel $release has no module '$module'"
	done
}

add_accounts() { # ROOT
	printf '%s\n' 'root:x:0:0:root:/root:/bin/bash' \
		'daemon:x:1:1:daemon:/:/bin/false' \
		'user:x:1000:1000:user:/tmp:/bin/bash' \
		'nobody:x:65534:65534:nobody:/:/bin/false' >"$1/etc/passwd"
	printf '%s\n' 'root:x:0:' 'daemon:x:1:' 'disk:x:6:' 'user:x:1000:' \
		'nogroup:x:65534:' >"$1/etc/group"
	printf '127.0.0.1 localhost\n' >"$1/etc/hosts"
	printf 'passwd: files\ngroup: files\nhosts: files\n' >"$1/etc/nsswitch.conf"
}

pack() { # ROOT FILE
	(cd "$1" && find . -print0 | cpio --quiet -0 -o -H newc -R 0:0) >"$2.tmp"
	mv "$2.tmp" "$2"
}

make_base() { # FILE RELEASE KERNEL_ROOT
	local root=$work/base applet
	[ ! -e "$1" ] || return 0
	new_root "$root"
	add_program "$root" bash
	add_program "$root" kmod
	ln -s bash "$root/usr/bin/sh"
	cp "$(command -v busybox)" "$root/usr/bin/busybox"
	for applet in insmod rmmod lsmod modprobe modinfo depmod; do
		ln -s kmod "$root/usr/bin/$applet"
	done
	for applet in $(busybox --list); do
		[ -e "$root/usr/bin/$applet" ] || [ -L "$root/usr/bin/$applet" ] ||
			ln -s busybox "$root/usr/bin/$applet"
	done
	add_accounts "$root"
	add_modules "$root" "$3" "$2" $BASE_MODULES $more_modules $load
	mkdir -p "${1%/*}"
	find "${1%/*}" -name '*.cpio' -mtime +7 -delete
	pack "$root" "$1"
	rm -rf "$root"
}

base_image() { # -> path; made anew when anything in it would differ
	local release from key file
	release=$(kernel_release "$kernel")
	from=$(kernel_root "$kernel")
	require_modules "$from" "$release" $more_modules $load
	key=$( (cat "$LAB/vm-image.sh" "$LAB/lib.sh" "$from/lib/modules/$release/modules.dep"
		echo "$release $more_modules $load"
		stat -Lc '%n %Y %s' "$(command -v bash)" "$(command -v busybox)") |
		sha256sum | cut -c1-16)
	file=$VBE_CACHE/initrd/$release-$key.cpio
	with_lock "initrd-$release" make_base "$file" "$release" "$from"
	echo "$file"
}

add_path() { # ROOT PATH[:DEST]
	local path=$2 dest
	case $2 in
	*:/*) dest=${2##*:} path=${2%:*} ;;
	*) dest=/$(basename "$2") ;;
	esac
	[ -e "$path" ] || die "--add: no file or folder '$path'"
	if [ -d "$path" ]; then
		mkdir -p "$1$dest"
		cp -aL "$path/." "$1$dest/"
	else
		mkdir -p "$1$(dirname "$dest")"
		cp -L "$path" "$1$dest"
	fi
}

# Words as the guest's shell will read them back.
quoted() {
	printf '%q ' "$@"
	echo
}

write_job() { # ROOT
	local pair
	cp "$LAB/vm-init" "$1/init"
	{
		echo "export VBE_KERNEL=$kernel"
		for pair in "${envs[@]}"; do
			printf 'export %s=%q\n' "${pair%%=*}" "${pair#*=}"
		done
	} >"$1/vm/environment"
	quoted exec "${command[@]}" >"$1/vm/command"
	echo "$load" >"$1/vm/modules"
	printf '%s\n' "${mounts[@]##*:}" >"$1/vm/mounts"
	[ $kmemleak = no ] || : >"$1/vm/kmemleak"
}

add_vbe() { # ROOT: modules of this tree and single ones
	local dir file files=("${kos[@]}")
	if [ $vbe = yes ]; then
		dir=$("$LAB/build-modules" --quiet "$kernel") || die "the modules do not build"
		files+=("$dir"/*.ko)
	fi
	[ ${#files[@]} -gt 0 ] || return 0
	dir=$1/usr/lib/modules/$(kernel_release "$kernel")/updates
	mkdir -p "$dir"
	for file in "${files[@]}"; do cp "$file" "$dir/"; done
}

make_image() { # WORK -> WORK/initrd
	local root=$1/root path base
	new_root "$root"
	for path in "${bins[@]}"; do add_program "$root" "$path"; done
	for path in "${adds[@]}"; do add_path "$root" "$path"; done
	add_vbe "$root"
	write_job "$root"
	base=$(base_image)
	pack "$root" "$1/add.cpio"
	cat "$base" "$1/add.cpio" >"$1/initrd"
	rm -rf "$root" "$1/add.cpio"
}
