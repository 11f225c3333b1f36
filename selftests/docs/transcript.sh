#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Copyright (c) 2026 The vbe authors
#
# Usage: transcript.sh FILE.md...
#
# In a VM of the lab: does what a document says. Its console blocks are run line by
# line, and what they print is compared:
#
#	# COMMAND		as root; one that ends with & stays in the background
#	guest# COMMAND		on the console of the guest that was started
#	anything else		what the command prints: "..." is any text, alone on a
#				line any lines; no lines: it is not looked at
#
# What a guest is here says DOCS_LIB: kvm.sh (default) or xen.sh. It has
#
#	docs_prepare		once, before the first line
#	docs_starts_guest COMMAND	will the guest begin anew?
#	docs_guest_up		wait for it
#	docs_guest COMMAND	have the guest do it
#
# and note, result, wait_for, give_up, finish, and RUN, a folder.
# shellcheck source-path=SCRIPTDIR source=kvm.sh
. "${DOCS_LIB:-$(dirname "${BASH_SOURCE[0]}")/kvm.sh}"

# Lines that are expected, as a regular expression for all of the output.
pattern() { # FILE
	sed -e 's/[][\\.^$*+?(){}|]/\\&/g' \
		-e 's/^\\\.\\\.\\\.$/@ANY@/' -e 's/\\\.\\\.\\\./[^@NL@]*/g' "$1" |
		awk '{ out = out ($0 == "@ANY@" ? "(.*@NL@)?" : $0 "@NL@") }
			END { gsub(/@NL@/, "\n", out); printf "^%s$", out }'
}

matches() { # EXPECTED OUTPUT
	local re out
	[ -s "$1" ] || return 0
	re=$(pattern "$1")
	out=$(tr -d '\r' < "$2"; echo .)
	[[ ${out%.} =~ $re ]]
}

# The document's seconds shall be such in which the machine runs: when it stands still, that
# is the time of one short sleep of many.
run_seconds() { # SECONDS
	local n
	for n in $(seq $(($1 * 5))); do sleep 0.2; done
}

run() { # COMMAND LINE
	eval "${1//sleep /run_seconds }"
}

# It goes on writing: into a file of its own.
run_in_background() {
	output=$RUN/output.$tests
	run "$1" > "$output" 2>&1
	wait_for 120 matches $RUN/expected "$output"
}

run_here() {
	run "$1" > $RUN/output 2>&1 && matches $RUN/expected $RUN/output
}

run_in_guest() {
	[ $up = yes ] || docs_guest_up || return
	up=yes
	docs_guest "$1" > $RUN/output && matches $RUN/expected $RUN/output
}

step() { # DOCUMENT LINE
	local rc=0 text=${command#*# } output=$RUN/output
	[ -n "$command" ] || return 0
	! docs_starts_guest "$text" || up=no
	case $command in
	"guest# "*) run_in_guest "$text" || rc=1 ;;
	*"&") run_in_background "$text" || rc=1 ;;
	*) run_here "$text" || rc=1 ;;
	esac
	[ $rc = 0 ] || {
		note "expected:"
		note "$(cat $RUN/expected)"
		note "printed:"
		note "$(tail -n 30 "$output")"
	}
	result $rc "${1##*/}:$2: ${text//[$'\n\t']/ }"
	command=
}

document() { # FILE
	local lines line number=0 begun=0 inside=no more=no command=
	mapfile -t lines < "$1"
	for line in "${lines[@]}"; do
		number=$((number + 1))
		if [ $more = yes ]; then
			command+=$'\n'$line
		elif [ $inside = no ]; then
			[ "$line" != '```console' ] || inside=yes
			continue
		elif [ "$line" = '```' ]; then
			step "$1" $begun
			inside=no
			continue
		elif [[ $line == "# "* || $line == "guest# "* ]]; then
			step "$1" $begun
			command=$line begun=$number
			: > $RUN/expected
		else
			echo "$line" >> $RUN/expected
			continue
		fi
		more=no
		[[ $line != *"\\" ]] || more=yes
	done
	[ "$tests" != 0 ] || give_up "$1 has no console block"
}

up=no tests=0
docs_prepare
for file in "$@"; do document "$file"; done
finish
