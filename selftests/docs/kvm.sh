# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Copyright (c) 2026 The vbe authors
#
# For transcript.sh: Debian's own QEMU and its guest, in a VM of the lab. ${VM[@]} in a
# command line of QEMU is what a reader's virtual machine has already: here it is the
# lab's guest.
# shellcheck source-path=SCRIPTDIR source=../kvm/lib.sh
. "${KVM_LIB:-/kvm/lib.sh}"

# QEMU as Debian ships it, its console where lib.sh looks for it.
install_qemu() {
	cat > /usr/bin/qemu-system-x86_64 <<-END
		#!/bin/bash
		exec chroot /stock qemu-system-x86_64 "\$@" < $RUN/console.in >> $RUN/console
	END
	chmod +x /usr/bin/qemu-system-x86_64
	console_new
	vm_options pci
}

docs_prepare() {
	rm -rf $RUN
	mkdir -p $RUN
	modprobe kvm-amd || give_up "no KVM in this VM"
	enter_stock
	guest_initrd
	install_qemu
	cd /tmp || exit
}

docs_starts_guest() { [[ $1 == *qemu-system* ]]; }

docs_guest_up() { guest_up "$BOOT"; }

docs_guest() { # COMMAND LINE: what it prints, and its status
	guest "$1" | grep -v '^guest: [0-9]* status'
	return "${PIPESTATUS[0]}"
}

# There is no QEMU of ours: whether it lives is no question here.
alive() { true; }
