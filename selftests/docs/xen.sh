# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Copyright (c) 2026 The vbe authors
#
# For transcript.sh: the guest vm1 of a dom0 of lab/xen-run or lab/xen-arm-run. Its
# configuration, which a reader has, is /etc/xen/vm1.cfg; on Arm with the disk
# /srv/data.img, which xl describes there.
RUN=/run/docs
# shellcheck source=/dev/null
. /vm/steps.sh
XEN_SCRIPTS=/xt
[ -e $XEN_SCRIPTS ] || XEN_SCRIPTS=/xen
if [ "$(uname -m)" = aarch64 ]; then
	# shellcheck source-path=SCRIPTDIR source=../xen/arm-lib.sh
	. $XEN_SCRIPTS/arm-lib.sh
	docs_disk=("disk=$(arm_disk /srv/data.img)")
else
	# shellcheck source-path=SCRIPTDIR source=../xen/lib.sh
	. $XEN_SCRIPTS/lib.sh
	docs_disk=()
fi
# shellcheck source-path=SCRIPTDIR source=../xen/console.sh
. $XEN_SCRIPTS/console.sh

# Programs that are too large for the guest's initramfs are called by their names.
docs_job() {
	cat <<-'END'
		for program in mkfs.ext4 e2fsck fio; do
			printf '#!/bin/sh\nexec chroot /tools %s "$@"\n' $program > /bin/$program
			chmod +x /bin/$program
		done
	END
	cat $XEN_SCRIPTS/console-job
}

# Where xl looks for it. On x86 the toolstack is in a read-only image of its own.
docs_config_dir() {
	local dir=/etc/xen
	if [ -d /xen/etc/xen ]; then
		dir=$RUN/etc-xen
		cp -a /xen/etc/xen "$dir" && mount --bind "$dir" /xen/etc/xen || return
	fi
	mkdir -p "$dir" && echo "$dir"
}

docs_prepare() {
	local dir
	rm -rf $RUN
	mkdir -p $RUN "$GUESTS/vm1" /srv
	docs_job > $RUN/job
	guest_ramdisk vm1 $RUN/job || give_up "no initramfs for the guest"
	dir=$(docs_config_dir) || give_up "no place for the guest's configuration"
	guest_config vm1 tools=yes "${docs_disk[@]}" > "$dir/vm1.cfg"
	cd /tmp || exit
}

docs_starts_guest() {
	case $1 in
	# A guest of this name may have said something before.
	*"xl create "*) rm -f "$(guest_log vm1)" ;;
	*"xl unpause "*) ;;
	*) return 1 ;;
	esac
}

docs_guest_up() { guest_up vm1 300; }

docs_guest() { # COMMAND LINE: what it prints, and its status
	local rc=0
	# Not in a pipe: it counts what it has asked.
	guest_do vm1 "$1" > $RUN/heard || rc=1
	grep -v '^guest: end ' $RUN/heard
	return $rc
}
