# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Copyright (c) 2026 The vbe authors
#
# For tests in a VM that go step by step and print TAP: to be sourced, with RUN the
# folder for logs. Processes that a test starts, and kills, have names.

declare -A pid
tests=0 failed=0

note() {
	local line
	while IFS= read -r line; do echo "# $line"; done <<< "$*"
}

result() { # STATUS TEXT
	tests=$((tests + 1))
	if [ "$1" = 0 ]; then
		echo "ok $tests - $2"
	else
		failed=$((failed + 1))
		echo "not ok $tests - $2"
		logs
	fi
}

# What is true from the command's exit status.
check() { # TEXT COMMAND...
	local text=$1 rc=0 begin=$SECONDS
	shift
	# On the console: what is left of a machine that stood still.
	{ echo "<3>now: $text" > /dev/kmsg; } 2> /dev/null || true
	"$@" > $RUN/check.log 2>&1 || rc=1
	[ $rc = 0 ] || note "$(tail -n 15 $RUN/check.log)"
	result $rc "$text"
	[ $((SECONDS - begin)) -lt 10 ] || note "that took $((SECONDS - begin)) s"
}

logs() {
	local file
	for file in "$RUN"/*.log; do
		[ ! -s "$file" ] || note "$file: $(tail -n 12 "$file")"
	done
}

# Nothing that follows would mean anything.
give_up() {
	note "$*"
	result 1 "$*"
	echo "1..$tests"
	exit 1
}

finish() {
	echo "1..$tests"
	[ $failed = 0 ]
}

# A clock that jumps, as the host did not run this machine for half a minute, has lost one
# second of them.
wait_for() { # SECONDS COMMAND...
	local left=$1 now=$SECONDS
	shift
	until "$@" > /dev/null 2>&1; do
		[ "$left" -gt 0 ] || return 1
		sleep 0.1
		[ $SECONDS = "$now" ] || { left=$((left - 1)); now=$SECONDS; }
	done
}

start() { # NAME COMMAND...
	local name=$1
	shift
	"$@" >> "$RUN/$name.log" 2>&1 &
	pid[$name]=$!
}

alive() { [ -d "/proc/${pid[$1]}" ]; }

# Gone when this returns, with all that it started.
kill_9() { # NAME
	local children
	children=$(cat "/proc/${pid[$1]}"/task/*/children)
	kill -KILL "${pid[$1]}"
	wait "${pid[$1]}" 2> /dev/null
	# shellcheck disable=SC2086 # numbers
	[ -z "$children" ] || wait_for 200 gone $children
}

gone() { # PID...
	local number
	for number in "$@"; do [ ! -d "/proc/$number" ] || return 1; done
}

end() { # NAME: its exit status
	kill -TERM "${pid[$1]}"
	wait "${pid[$1]}"
}
