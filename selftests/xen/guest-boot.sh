# SPDX-License-Identifier: GPL-2.0
# Copyright (c) 2026 The vbe authors
# shellcheck shell=bash
#
# A disk that an HVM guest boots from by its firmware: a master boot record and GRUB
# before the first partition, in that one Debian's kernel and an initramfs, as in
# lib.sh. For bash in the dom0 of lab/xen-run --guest K; after lib.sh.
#
#	guest_boot_disk /tmp/boot.img job.sh		then, with that file as xl's hda
#	guest_new g1 - boot=disk disk=…			or behind vbe-blk

readonly BOOT_SECTOR=2048 BOOT_MB=48

# GRUB reads its own disk by the firmware's calls, which is what shall be shown.
guest_boot_loader() { # FILE DIR LINE
	local grub=/usr/lib/grub/i386-pc
	cat >"$2/grub.cfg" <<-END
		set root=(hd0,msdos1)
		echo guest: GRUB reads the kernel
		linux /boot/vmlinuz $3
		initrd /boot/initrd
		boot
	END
	chroot /xen /usr/bin/grub-mkimage -O i386-pc -d $grub -p '(hd0,msdos1)/boot' \
		-c "$2/grub.cfg" -o "$2/core.img" biosdisk part_msdos ext2 linux echo || return
	[ "$(stat -c %s "$2/core.img")" -lt $(((BOOT_SECTOR - 1) * 512)) ] || return
	# The code of sector 0 loads sector 1, and that one what follows it.
	dd if=/xen$grub/boot.img of="$1" bs=440 count=1 conv=notrunc 2>/dev/null &&
		dd if="$2/core.img" of="$1" bs=512 seek=1 conv=notrunc 2>/dev/null
}

# One partition of Linux', active, from BOOT_SECTOR to the end.
guest_boot_table() { # FILE
	local sectors=$((BOOT_MB * 2048 - BOOT_SECTOR)) entry
	# Of cylinders and heads nobody asks any more.
	printf -v entry '\\x80\\xfe\\xff\\xff\\x83\\xfe\\xff\\xff\\x%02x\\x%02x\\x%02x\\x%02x\\x%02x\\x%02x\\x%02x\\x%02x' \
		$((BOOT_SECTOR & 255)) $((BOOT_SECTOR >> 8 & 255)) \
		$((BOOT_SECTOR >> 16 & 255)) $((BOOT_SECTOR >> 24)) \
		$((sectors & 255)) $((sectors >> 8 & 255)) \
		$((sectors >> 16 & 255)) $((sectors >> 24))
	printf '%b' "$entry" | dd of="$1" bs=1 seek=446 conv=notrunc 2>/dev/null
	printf '\x55\xaa' | dd of="$1" bs=1 seek=510 conv=notrunc 2>/dev/null
}

# SCRIPT is the guest's job; DATA, a file or a folder, is put at /data of its partition.
guest_boot_disk() { # FILE SCRIPT [DATA [LINE]]
	local file=$1 data=${3:-} name=${1##*/} dir part=$GUESTS/${1##*/}.part line
	dir=$GUESTS/$name
	mkdir -p "$dir" || return
	guest_ramdisk "$name" "$2" || return
	truncate -s $((BOOT_MB - BOOT_SECTOR / 2048))M "$part"
	mkdir -p "$dir/part/boot"
	cp /guest/boot/vmlinuz "$dir/part/boot/"
	mv "$dir/initrd" "$dir/part/boot/"
	[ -z "$data" ] || cp -a "$data" "$dir/part/data"
	mke2fs -q -F -t ext4 -O ^has_journal,^metadata_csum -d "$dir/part" "$part" || return
	rm -rf "$dir/part"
	rm -f "$file"
	truncate -s "${BOOT_MB}M" "$file"
	dd if="$part" of="$file" bs=1M seek=$((BOOT_SECTOR / 2048)) conv=notrunc,sparse 2>/dev/null ||
		dd if="$part" of="$file" bs=1M seek=$((BOOT_SECTOR / 2048)) conv=notrunc 2>/dev/null
	rm -f "$part"
	# shellcheck disable=SC2086 # one line of words
	line="$(echo $GUEST_LINE) rdinit=/init maxcpus=1 ${4:-}"
	guest_boot_loader "$file" "$dir" "$line" && guest_boot_table "$file"
}
