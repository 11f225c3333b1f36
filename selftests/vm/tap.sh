#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Copyright (c) 2026 The vbe authors
#
# In the VM: run test programs one after the other, each argument one command
# line, and see to it that none fails silently.
#
# A command writes to a file, as a pipe would stay open with what it leaves running,
# and runs in the foreground, as one in the background ignores SIGINT. Its lines are
# printed as they come: of a machine that stands still they are all there is.
LOG=/tmp/tap.log
OVER=/tmp/tap.over

# Complete lines only, until OVER is there and all has been read.
follow() {
	local line='' part='' over=no
	while [ $over = no ]; do
		[ ! -e $OVER ] || over=yes
		while IFS= read -r line; do
			printf '%s\n' "$part$line"
			part=''
		done
		part+=$line
		[ $over = yes ] || sleep 0.5
	done < $LOG
	[ -z "$part" ] || printf '%s\n' "$part"
}

status=0
for cmd in "$@"; do
	echo "# --- $cmd"
	start=$SECONDS
	# Not the file that something of the last one may still write to.
	rm -f $LOG $OVER
	: > $LOG
	follow &
	bash -c "$cmd" >> $LOG 2>&1
	rc=$?
	: > $OVER
	wait $!
	grep -qaE '^(ok|not ok) |^[0-9]+ passed, ' $LOG || {
		echo "not ok - $cmd: no test result"
		status=1
	}
	if [ $rc -ne 0 ]; then
		status=1
		# The harness says 4 when every test was skipped.
		grep -qaE '^not ok |^[0-9]+ passed, [1-9][0-9]* failed' $LOG ||
			[ $rc -eq 4 ] || echo "not ok - $cmd: exit status $rc"
	fi
	echo "# --- $((SECONDS - start)) s"
done
exit $status
