#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Copyright (c) 2026 The vbe authors
#
# In a dom0 of lab/xen-arm-run: does the lab itself work? A guest runs a script and
# its result comes back; xl describes a virtio disk as vbe expects it and goes on when
# somebody answers. Nothing of vbe is used here.
# shellcheck source-path=SCRIPTDIR source=arm-lib.sh
. "$(dirname "$0")/arm-lib.sh"

tests=0 failed=0
ok() { # TEXT COMMAND...
	local text=$1
	shift
	tests=$((tests + 1))
	if "$@" >/tmp/ok.log 2>&1; then
		echo "ok $tests - $text ($SECONDS s)"
	else
		failed=1
		sed 's/^/# /' /tmp/ok.log
		echo "not ok $tests - $text"
	fi
}

status_of() { # STATUS COMMAND...
	local wanted=$1 status=0
	shift
	"$@" || status=$?
	[ $status = "$wanted" ] || { echo "status $status"; guest_show plain; guest_show fio; return 1; }
}

says() { grep -q "$2" "$(guest_log "$1")"; }

# What a backend does for xl: says that it is there, and later that it has gone.
answer() {
	local backend=/local/domain/0/backend/virtio_disk id node
	until id=$(xenstore-list $backend 2>/dev/null) && [ -n "$id" ]; do sleep 0.1; done
	node=$backend/$id/51712
	until [ "$(xenstore-read "$node/state" 2>/dev/null)" = 1 ]; do sleep 0.1; done
	xenstore-ls "$node" >/tmp/node
	xenstore-write "$node/state" 2
	until [ "$(xenstore-read "$node/state" 2>/dev/null)" = 5 ]; do sleep 0.1; done
	xenstore-write "$node/state" 6
}

create() { # NAME: paused, with a disk
	guest_new "$1" /tmp/job "disk=$(arm_disk /tmp/disk.img)"
}

echo 'echo "guest: this is $(uname -m), $(nproc) processors"; exit 7' >/tmp/job
ok "a guest with two processors runs a script, and its status comes back" \
	status_of 7 arm_guest plain /tmp/job 180 vcpus=2
ok "what it said is in its log" says plain 'this is aarch64, 2 processors'

echo 'time chroot /tools fio --name=a --filename=/tmp/a --size=1M --rw=randwrite --verify=crc32c' >/tmp/fio
ok "a guest has fio, from a disk through blkback" status_of 0 arm_guest fio /tmp/fio 180 tools=yes

truncate -s 16M /tmp/disk.img
answer &
ok "xl makes a guest with a virtio disk when somebody answers" create disk
ok "its disk has an address, an interrupt and a file" \
	sh -c 'grep -q "base = \"33554432\"" /tmp/node && grep -q "irq = \"33\"" /tmp/node &&
		grep -q "params = \"/tmp/disk.img\"" /tmp/node || { cat /tmp/node; false; }'
ok "and it can be destroyed" sh -c 'xl destroy disk && ! xl domid disk'
kill %1 2>/dev/null

echo "1..$tests"
exit $failed
