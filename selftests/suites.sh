# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Copyright (c) 2026 The vbe authors
#
# The suites of make check, sourced by selftests/run. Each prints TAP, or closes
# with "N passed, N failed, N skipped". The long ones come first, since two run
# at a time.

SUITES=(debug-crash-split debug-crash-packed debug-guest debug-fail-nth debug-fuzz
	debug-kselftest kvm xen-x86 xen-arm docs libblkio
	xen-x86-bad xen-x86-mem xen-x86-boot xen-x86-4.17 docs-xen-x86 docs-xen-arm
	docs-xen-dom0less
	debug-tools debug-reload crash-split crash-packed lab static build unit reload
	guest-6.1 guest-6.12 guest-7.2
	kselftest-6.1 kselftest-6.12 kselftest-7.2 debug-vhost-user
	vhost-user-6.1 vhost-user-6.12 vhost-user-7.2 tools-6.1 tools-6.12 tools-7.2)

# Too long for a first look: .ci/run runs them after make check.
# shellcheck disable=SC2034 # of selftests/run
LONG_SUITES=(xen-arm-grant xen-x86-target xen-x86-save)

# By name only: ten minutes of one processor.
# shellcheck disable=SC2034 # of selftests/run
NAMED_SUITES=(debug-xen-x86-target)

# Of one processor's time they take half.
# shellcheck disable=SC2034 # of selftests/run
LIGHT_SUITES=(guest-6.1 guest-6.12 guest-7.2 kselftest-6.1 kselftest-6.12 kselftest-7.2
	vhost-user-6.1 vhost-user-6.12 vhost-user-7.2 tools-6.1 tools-6.12 tools-7.2)

readonly CRASH_ROUNDS=${VBE_CRASH_ROUNDS:-200}
readonly KSFT=$TOP/build/kselftest

prepare_kernels() {
	local kernel
	$LAB/fetch || return 1
	$LAB/build-debug-kernel || return 1
	$LAB/fetch stock && $LAB/guest-image 6.12 && $LAB/guest-image 6.1 || return 1
	$LAB/fetch xen 4.17 && $LAB/fetch xen 4.20 && $LAB/qemu-build && $LAB/xen-build 4.20 &&
		$LAB/fetch xen-arm || return 1
	make --no-print-directory -C selftests/xen O="$TOP/build/xen" LIBVBE="$TOP/build/lib" || return 1
	for kernel in 6.1 6.12 7.2 debug; do
		$LAB/build-modules $kernel || return 1
	done
	make -C selftests/kselftest TOP="$TOP" O="$KSFT" KSFT_DIR="$(kernel_tree)/tools/testing/selftests"
}

kernel_tree() { $LAB/build-debug-kernel --path; }

# What every VM of a suite gets.
vm() { # NAME KERNEL TIMEOUT OPTIONS... -- COMMAND...
	local name=$1 kernel=$2 timeout=$3
	shift 3
	$LAB/vm-run --kernel "$kernel" --vbe --timeout "$timeout" --out "$OUT/$name.vm" \
		--bin build/vbe-blk/vbe-blk --bin build/vbe-ctl/vbe-ctl \
		--bin build/examples/tiny-backend --bin build/examples/edu-emulator \
		--bin mkfs.ext4 --bin e2fsck --bin fio \
		--bin blkdiscard --bin cmp --bin dd --bin mount --bin setpriv \
		--load "virtio_blk virtio_net virtio_console ext4" \
		--add selftests/vm:/vm --add selftests/ctl:/ctl --add selftests/crash:/crash \
		--add selftests/blk:/blk --add "$KSFT:/ksft" \
		--add selftests/kselftest/run.sh:/ksft/run.sh \
		--add tools/vbe-ctl/vbe-ctl.schema.json:/ctl/vbe-ctl.schema.json \
		--add tools/vbe-ctl/completion/vbe-ctl:/ctl/vbe-ctl.bash "$@"
}

# Races are found by the debug kernel, if by any.
kselftest() { # SUITE KERNEL TIMEOUT RACE-SECONDS
	vm "$1" "$2" "$3" --env "VBE_RACE_SECONDS=${VBE_RACE_SECONDS:-$4}" -- \
		/vm/tap.sh "sh /ksft/run.sh"
}
suite_kselftest_6_1() { kselftest kselftest-6.1 6.1 1800 2; }
suite_kselftest_6_12() { kselftest kselftest-6.12 6.12 1800 2; }
suite_kselftest_7_2() { kselftest kselftest-7.2 7.2 1800 2; }
suite_debug_kselftest() { kselftest debug-kselftest debug 2700 5; }

# The programs as a user has them, and what vbe-ctl printed against its schema.
tools() { # SUITE KERNEL TIMEOUT
	local rc=0
	rm -rf "$OUT/$1.vm/json"
	vm "$1" "$2" "$3" -- /vm/tap.sh /ctl/ctl-test.sh /ctl/completion-test.sh \
		/vm/tiny-backend.sh /vm/trace.sh /blk/vm-blk.sh /blk/vm-auto.sh || rc=1
	selftests/ctl/schema-check "$OUT/$1.vm/json" || rc=1
	return $rc
}
suite_tools_6_1() { tools tools-6.1 6.1 1200; }
suite_tools_6_12() { tools tools-6.12 6.12 1200; }
suite_tools_7_2() { tools tools-7.2 7.2 1200; }
suite_debug_tools() { tools debug-tools debug 2400; }

# vbe-vhost-user, its front-end and vbe-blk behind it; kills of each by the dozen.
vhost_user() { # SUITE KERNEL TIMEOUT ROUNDS
	make --no-print-directory -s -C selftests/vhost-user O="$TOP/build/vhost-user-test" all || return 1
	vm "$1" "$2" "$3" --bin build/vbe-vhost-user/vbe-vhost-user \
		--bin build/vhost-user-test/frontend --bin stat --bin find --bin timeout \
		--add selftests/vhost-user:/vhost-user -- \
		/vm/tap.sh "/vhost-user/vm-vhost-user.sh $4"
}
suite_vhost_user_6_1() { vhost_user vhost-user-6.1 6.1 900 5; }
suite_vhost_user_6_12() { vhost_user vhost-user-6.12 6.12 900 20; }
suite_vhost_user_7_2() { vhost_user vhost-user-7.2 7.2 900 5; }
suite_debug_vhost_user() { vhost_user debug-vhost-user debug 1800 10; }

suite_debug_fail_nth() {
	vm debug-fail-nth debug 2400 -- /vm/tap.sh "sh /ksft/run.sh vbe_fail_nth vbe_guest_nth"
}

# The user provider: guest fds, their memory, and the same I/O over each transport.
guest() { # SUITE KERNEL TIMEOUT
	vm "$1" "$2" "$3" --scratch 64M -- /vm/tap.sh \
		"sh /ksft/run.sh vbe_guest vbe_guest_life vbe_guest_mem vbe_guest_io"
}
suite_guest_6_1() { guest guest-6.1 6.1 1200; }
suite_guest_6_12() { guest guest-6.12 6.12 1200; }
suite_guest_7_2() { guest guest-7.2 7.2 1200; }
suite_debug_guest() { guest debug-guest debug 2400; }

# A hostile hypervisor, hostile drivers, hostile backends. VBE_FUZZ_STEPS: accesses;
# VBE_FUZZ_HOURS: go on for so long; VBE_FUZZ_SEED: draw the same again.
suite_debug_fuzz() {
	local hours=${VBE_FUZZ_HOURS:-0}
	make --no-print-directory -s -C selftests/fuzz TOP="$TOP" O="$TOP/build/fuzz" || return 1
	vm debug-fuzz debug $((1800 + 3600 * hours)) --add "$TOP/build/fuzz:/fuzz" -- \
		/vm/tap.sh "sh /fuzz/run.sh --steps ${VBE_FUZZ_STEPS:-200000} --hours $hours ${VBE_FUZZ_SEED:+--seed $VBE_FUZZ_SEED}"
}

crash() { # NAME KERNEL RING TIMEOUT [VBE-BLK-OPTION]
	vm "$1" "$2" "$4" --scratch 512M -- /vm/tap.sh "/crash/crash.sh ${CRASH_ROUNDS_NOW:-$CRASH_ROUNDS} $3 2 ${5:-}"
}
suite_crash_split() { crash crash-split 6.12 split 1200; }
# With the whole data window pinned by io_uring: what "pinned" class promises.
suite_crash_packed() { crash crash-packed 6.12 packed 1200 --fixed-buffers; }
suite_debug_crash_split() { CRASH_ROUNDS_NOW=$((CRASH_ROUNDS / 4)) crash debug-crash-split debug split 2400; }
suite_debug_crash_packed() { CRASH_ROUNDS_NOW=$((CRASH_ROUNDS / 4)) crash debug-crash-packed debug packed 2400; }

suite_reload() { vm reload 6.12 1200 -- /vm/tap.sh "sh /ksft/reload.sh"; }
suite_debug_reload() { vm debug-reload debug 1800 -- /vm/tap.sh "sh /ksft/reload.sh 4"; }

# With Debian's own QEMU and libblkio at /stock, and a guest for it at /guest. Run by the
# lab's QEMU: the emulation of SVM in Debian's two is not reliable.
#
# One error is left in it: VMRUN with a virtual interrupt pending sets a bit of what
# the timer's thread sets one in, without a lock, and now and then the timer's is lost.
# The local APIC then has its interrupt pending for ever ("info lapic": IRR 236), and a
# kernel that programs each next one waits for this one for ever. A periodic timer, as
# with these options, comes again after 4 ms.
kvm_vm() { # NAME TIMEOUT OPTIONS... -- COMMAND...
	local name=$1 timeout=$2 stock guest
	shift 2
	stock=$($LAB/fetch stock) && guest=$($LAB/guest-image 6.12) || return 1
	$LAB/vm-run --kernel 6.12 --vbe --nested --smp 1 --mem 1280 \
		--append "nohz=off highres=off" --timeout "$timeout" --out "$OUT/$name.vm" \
		--modules kvm-amd --mount "$stock:/stock" --mount "$guest:/guest" \
		--bin build/vbe-blk/vbe-blk --bin build/vbe-ctl/vbe-ctl \
		--bin build/vbe-vhost-user/vbe-vhost-user --bin cmp --bin dd \
		--add selftests/vm:/vm --add selftests/kvm:/kvm "$@"
}
suite_kvm() { kvm_vm kvm 2400 -- /vm/tap.sh /kvm/pci.sh /kvm/microvm.sh; }

suite_libblkio() {
	local stock
	stock=$($LAB/fetch stock) || return 1
	make --no-print-directory -C selftests/bench O="$TOP/build/bench" \
		STOCK="${stock%/image}/root" "$TOP/build/bench/blkio-io" || return 1
	kvm_vm libblkio 1200 --add build/bench/blkio-io:/kvm/blkio-io -- /vm/tap.sh /kvm/libblkio.sh
}

# Real Xen on x86: PV dom0 and HVM guests. Scripts are at /xt, a guest's kernel at /guest.
xen_vm() { # NAME TIMEOUT OPTIONS... -- COMMAND...
	local name=$1 timeout=$2
	shift 2
	$LAB/xen-run --xen 4.20 --guest 6.12 --vbe --timeout "$timeout" --out "$OUT/$name.vm" \
		--bin build/vbe-blk/vbe-blk --bin build/vbe-ctl/vbe-ctl --bin build/xen/xen-mem \
		--bin dd --bin stat --bin mount --load loop --add selftests/vm:/vm \
		--add selftests/xen:/xt --add build/xen/poke:/poke "$@"
}
suite_xen_x86() {
	xen_vm xen-x86 2400 --scratch 256M --load ext4 --bin mkfs.ext4 -- /vm/tap.sh /xt/x86-disk.sh
}
suite_xen_x86_save() { xen_vm xen-x86-save 1500 -- /vm/tap.sh /xt/x86-save.sh; }
# Debian 12's Xen, with its kernel as dom0 and as guest.
suite_xen_x86_4_17() {
	xen_vm xen-x86-4.17 1800 --xen 4.17 --guest 6.1 -- /vm/tap.sh "/xt/x86-disk.sh short"
}
suite_xen_x86_boot() { xen_vm xen-x86-boot 1200 -- /vm/tap.sh /xt/x86-boot.sh; }
# These on a Xen that was built with its assertions.
suite_xen_x86_bad() {
	xen_vm xen-x86-bad 2400 --debug-xen --bin build/examples/edu-emulator -- \
		/vm/tap.sh /xt/x86-bad.sh
}
suite_xen_x86_mem() { xen_vm xen-x86-mem 2400 --debug-xen -- /vm/tap.sh /xt/x86-mem.sh; }
# Another domain is the backend.
xen_target_vm() { # NAME KERNEL BE_TYPE BE_MEM
	local name=$1
	$LAB/domain-image "$2" "$OUT/$name.vm/be" --bin build/vbe-blk/vbe-blk \
		--bin build/vbe-ctl/vbe-ctl --bin build/xen/xen-mem || return 1
	xen_vm "$name" 1800 --debug-xen --dom0-mem 1024 --env "BE_TYPE=$3" --env "BE_MEM=$4" \
		--add selftests/lab/vm-judge.sh:/vm-judge.sh --add build/xen/set-target:/set-target -- \
		/vm/tap.sh /xt/x86-target.sh
}
suite_xen_x86_target() { xen_target_vm xen-x86-target 6.12 pvh 384; }
# The debug kernel has no entry for PVH.
suite_debug_xen_x86_target() { xen_target_vm debug-xen-x86-target debug hvm 768; }

# Real Xen on Arm, with assertions: configured by xl alone.
xen_arm_vm() { # NAME TIMEOUT OPTIONS... -- COMMAND...
	local name=$1 timeout=$2
	shift 2
	$LAB/xen-arm-run --vbe --scratch 64M --timeout "$timeout" --out "$OUT/$name.vm" \
		--add selftests/vm:/vm --add selftests/xen:/xt "$@"
}
suite_xen_arm() { xen_arm_vm xen-arm 2400 -- /vm/tap.sh /xt/arm-lab.sh /xt/arm-disk.sh /xt/arm-static.sh; }
# A guest whose drivers grant.
suite_xen_arm_grant() {
	local image
	image=$($LAB/xen-guest-kernel) || return 1
	$LAB/xen-arm-user selftests/xen/grant-rogue.c "$OUT/grant-rogue" -Werror -static || return 1
	xen_arm_vm xen-arm-grant 2400 --add "$image:/xg/Image" --add "$OUT/grant-rogue:/xg/grant-rogue" -- \
		/vm/tap.sh /xt/arm-grant.sh
}

# The guides do what they say.
suite_docs_xen_x86() {
	xen_vm docs-xen-x86 1800 --env DOCS_LIB=/docs/xen.sh --add selftests/docs:/docs \
		--add Documentation/xen-x86.md:/docs/xen-x86.md -- \
		/vm/tap.sh "/docs/transcript.sh /docs/xen-x86.md"
}
suite_docs_xen_arm() {
	xen_arm_vm docs-xen-arm 1200 --env DOCS_LIB=/docs/xen.sh --add selftests/docs:/docs \
		--add Documentation/xen-arm.md:/docs/xen-arm.md -- \
		/vm/tap.sh "/docs/transcript.sh /docs/xen-arm.md"
}
# Xen starts the guest as the guide's device trees say. dom0 has two vCPUs: the guide says why.
suite_docs_xen_dom0less() {
	xen_arm_vm docs-xen-dom0less 1200 --dom0-vcpus 2 --dom0less Documentation/xen-dom0less.md \
		--domu-add selftests/xen/guest-init:/init --domu-add selftests/xen/dom0less-job:/job \
		--env DOCS_LIB=/docs/xen-dom0less.sh --add selftests/docs:/docs \
		--add Documentation/xen-dom0less.md:/docs/xen-dom0less.md -- \
		/vm/tap.sh "/docs/transcript.sh /docs/xen-dom0less.md"
}
suite_docs() {
	kvm_vm docs 1800 --bin build/examples/tiny-vmm --bin build/examples/tiny-backend \
		--add selftests/docs:/docs --add Documentation/kvm-guide.md:/docs/kvm-guide.md \
		--add Documentation/vmm-guide.md:/docs/vmm-guide.md -- \
		/vm/tap.sh "/docs/transcript.sh /docs/vmm-guide.md /docs/kvm-guide.md"
}

# That the lab itself sees a warning, a splat, a leak, a panic, a time-out.
suite_lab() { $LAB/selftest; }

suite_static() { selftests/static/run "$(kernel_tree)"; }

suite_build() {
	local kernel arch n=0 bad=0
	echo "1..7"
	for kernel in 6.1 6.12 7.2; do
		for arch in amd64 arm64; do
			n=$((n + 1))
			if $LAB/build-modules $kernel $arch > "$OUT/build-$kernel-$arch.log" 2>&1; then
				echo "ok $n - modules for $kernel $arch: W=1, sparse, no warning"
			else
				bad=1
				tail -20 "$OUT/build-$kernel-$arch.log" | sed 's/^/# /'
				echo "not ok $n - modules for $kernel $arch"
			fi
		done
	done
	if make --no-print-directory install-user DESTDIR="$OUT/dest" PREFIX=/usr > "$OUT/install.log" 2>&1 &&
		[ -x "$OUT/dest/usr/sbin/vbe-blk" ] && [ -e "$OUT/dest/usr/lib/libvbe.so.0" ] &&
		[ -e "$OUT/dest/usr/share/man/man8/vbe-ctl.8" ]; then
		echo "ok 7 - make install-user with DESTDIR"
	else
		bad=1
		tail -20 "$OUT/install.log" | sed 's/^/# /'
		echo "not ok 7 - make install-user with DESTDIR"
	fi
	return $bad
}

suite_unit() {
	local rc=0
	make --no-print-directory -C selftests/virtqueue O="$TOP/build/virtqueue" check || rc=1
	make --no-print-directory -C selftests/libvbe O="$TOP/build/libvbe-test" check || rc=1
	make --no-print-directory -C selftests/blk O="$TOP/build/blk-test" check || rc=1
	make --no-print-directory -C selftests/vhost-user O="$TOP/build/vhost-user-test" check || rc=1
	return $rc
}
