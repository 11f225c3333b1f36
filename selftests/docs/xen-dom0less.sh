# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Copyright (c) 2026 The vbe authors
#
# For transcript.sh: the guest of lab/xen-arm-run --dom0less, which runs already.
RUN=/run/docs
# shellcheck source=/dev/null
. /vm/steps.sh
# shellcheck source-path=SCRIPTDIR source=../xen/dom0less-lib.sh
. /xt/dom0less-lib.sh

docs_prepare() {
	rm -rf $RUN
	mkdir -p $RUN /srv
	cd /tmp || exit
}

docs_starts_guest() { false; }

docs_guest_up() { guest_up domu1 300; }

docs_guest() { # COMMAND LINE: what it prints, and its status
	local rc=0
	# Not in a pipe: it counts what it has asked.
	guest_do domu1 "$1" > $RUN/heard || rc=1
	grep -v '^guest: end ' $RUN/heard
	return $rc
}
