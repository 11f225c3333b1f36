# SPDX-License-Identifier: GPL-2.0
# Copyright (c) 2026 The vbe authors
# shellcheck shell=bash
#
# A VM of the lab is run, and judged by the status of its command and by what its
# kernel said. Uses lib.sh and what the script that sources this has set: qemu, work,
# kernel, timeout, keep, ignore.
# shellcheck disable=SC2154

readonly E_SPLAT=122 E_PANIC=123 E_TIMEOUT=124 E_LAB=125
die() { say "$*"; exit $E_LAB; }

# A loaded host must not look like a hung guest: when the kernel calls itself stuck.
PATIENCE="rcupdate.rcu_cpu_stall_timeout=120 watchdog_thresh=60 workqueue.watchdog_thresh=120"
PATIENCE+=" sysctl.kernel.hung_task_timeout_secs=240"

# What a healthy kernel never prints.
SPLAT='(^|\] )WARNING: |BUG[: ]|KASAN|UBSAN|Oops|general protection fault'
SPLAT+='|INFO: task .* blocked for more than|INFO: rcu|rcu: .*(stall|detected)'
SPLAT+='|possible (circular|recursive|irq lock)|inconsistent lock state'
SPLAT+='|suspicious RCU usage|held lock freed|locks? held when returning|still held'
SPLAT+='|sleeping function called|scheduling while atomic|refcount_t:'
SPLAT+='|unreferenced object|new suspected memory leaks|corruption|ODEBUG|DEBUG_LOCKS_WARN_ON'
SPLAT+='|kernel BUG at|Unable to handle|soft lockup|hard LOCKUP|DMA-API: '
SPLAT+='|detected buffer overflow|usercopy: Kernel memory|Objects remaining'
SPLAT+='|Kernel panic|unable to handle page fault|bad page state|Bad page'
# What a healthy one does print, in the same words.
HEALTHY='DMA-API: (preallocated|debugging enabled)|ODEBUG: selftest passed'

# QEMU 7.2 emulates a second CPU's view of code that the first is patching not
# quite as silicon does, and now and then a boot dies of it. A VM that died
# before anything of ours was in it (vm-init's mark) is started again.
run_vm() { # VMDIR
	local pid status try
	for try in 1 2 3; do
		status=0
		timeout --foreground -k 5 "$timeout" "${qemu[@]}" </dev/null &
		pid=$!
		# shellcheck disable=SC2064 # this pid
		trap "kill $pid; wait $pid; rm -rf '$work'; exit 130" INT TERM HUP
		wait $pid || status=$?
		if [ -e "$1/started" ] || [ $status = $E_TIMEOUT ] || [ $try = 3 ]; then
			break
		fi
		grep -qaE "$SPLAT" "$1/console" || break
		say "the VM died while booting, before anything was loaded; once more"
		cp "$1/console" "$1/console.died-$try"
	done
	return $status
}

# Warned (512), died (128), bad page (32), soft lockup (16384): true even when
# the line itself has fallen out of the log.
taints() { # VMDIR
	local bits
	bits=$(cat "$1/tainted" 2>/dev/null || echo 0)
	[ -n "$ignore" ] || [ $((bits & (512 | 128 | 32 | 16384))) = 0 ] ||
		echo "BUG: the kernel is tainted: $bits"
}

# The log has what any scan for leaks has found, kmemleak what still was one after the last.
splats() { # VMDIR: complaints in all that the kernel said
	local healthy=$HEALTHY
	[ ! -e "$1/kmemleak" ] || healthy+='|[0-9]+ new suspected memory leaks'
	{ cat "$1/dmesg" "$1/console" "$1/kmemleak" 2>/dev/null; taints "$1"; } | tr -d '\r' |
		grep -aE "$SPLAT" | grep -avE "$healthy${ignore:+|$ignore}"
}

show_splats() { # VMDIR
	local log=$1/dmesg
	[ -s "$log" ] || log=$1/console
	say "the kernel complained (kernel $kernel${keep:+; whole log: $log}):"
	sort -u "$1/splats" | head -n 20 >&2 || :
	head -n 1 "$1/splats" | grep -aF -A 60 -f - "$log" | head -n 90 >&2 || :
	[ ! -s "$1/kmemleak" ] || head -n 60 "$1/kmemleak" >&2
}

# The VM ended without the status of COMMAND.
explain_death() { # VMDIR QEMU_STATUS
	if [ "$2" = $E_TIMEOUT ]; then
		say "timeout: killed after $timeout s (kernel $kernel)"
	else
		say "the VM died (kernel $kernel, QEMU's status $2)"
	fi
	say "last lines of the console:"
	tail -n 40 "$1/console" >&2 || :
}

judge() { # VMDIR QEMU_STATUS
	local status=$E_PANIC
	if [ -s "$1/status" ]; then
		status=$(cat "$1/status")
	else
		explain_death "$@"
		[ "$2" != $E_TIMEOUT ] || status=$E_TIMEOUT
	fi
	splats "$1" >"$1/splats" || :
	if [ -s "$1/splats" ]; then
		show_splats "$1"
		[ ! -s "$1/status" ] || status=$E_SPLAT
	fi
	return "$status"
}
