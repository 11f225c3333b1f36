# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Copyright (c) 2026 The vbe authors
#
# The guest of xen-arm-run --dom0less, for scripts in its dom0; to be sourced after
# /vm/steps.sh. No toolstack knows it, so xl has no console of it: what it says is on Xen's
# serial line, and what it hears comes from there.
#
#	guest_up g1 120			it is there, and listens
#	guest_do g1 "modprobe virtio_mmio"	it does this; status and output
#
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=console.sh
. "$(dirname "${BASH_SOURCE[0]}")/console.sh"

# Xen numbers them in the order of the host's device tree.
guest_id() { xl list 1 > /dev/null 2>&1 && echo 1; }

# Its lines of what Xen has printed until now.
guest_log() {
	tr -d '\r' < /out/.vm/console |
		sed -n 's/^(XEN) \(\[[^]]*\] \)\?DOM1: //p' > $RUN/guest.console
	echo $RUN/guest.console
}

# The guest's UART holds 32 bytes, and Xen drops what comes while it is full.
type_slowly() { # TEXT
	local i
	for ((i = 0; i < ${#1}; i += 8)); do
		printf %s "${1:i:8}" >> /out/.vm/console.in
		sleep 0.1
	done
}

# Ctrl-a three times gives the line to the next: from Xen to dom0, to the guest, to Xen. It
# goes back in one piece with the line's end: whoever copies from console.in may be held up
# for longer than the guest waits with its answer. It may also be late with several letters
# at once, which are lost then, and more than once on a busy host.
guest_ask() { # GUEST COMMAND LINE: again, if not all of it has come there
	local guest=$1 n line next=$'\x01\x01\x01' try end=
	shift
	n=$((${asked[$guest]:-0} + 1)) asked[$guest]=$n
	line=$(tr '\n\t' '  ' <<< "$*")
	line=${line% }
	for try in {1..12}; do
		type_slowly "$next$next$end$n ${#line} $line"
		printf '\n%s' $next >> /out/.vm/console.in
		! guest_says "$guest" "^guest: begin $n\$" 5 || return 0
		# That of the last line may be lost, too.
		end=$'\n'
	done
	echo "the guest does not hear (tried $try times)"
	return 1
}
