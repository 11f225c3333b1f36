#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# In the VM: run test programs one after the other, each argument one command
# line, and see to it that none fails silently.
status=0
for cmd in "$@"; do
	echo "# --- $cmd"
	start=$SECONDS
	bash -c "$cmd" > /tmp/tap.log 2>&1
	rc=$?
	cat /tmp/tap.log
	grep -qE '^(ok|not ok) |^[0-9]+ passed, ' /tmp/tap.log || {
		echo "not ok - $cmd: no test result"
		status=1
	}
	if [ $rc -ne 0 ]; then
		status=1
		# The harness says 4 when every test was skipped.
		grep -qE '^not ok |^[0-9]+ passed, [1-9][0-9]* failed' /tmp/tap.log ||
			[ $rc -eq 4 ] || echo "not ok - $cmd: exit status $rc"
	fi
	echo "# --- $((SECONDS - start)) s"
done
exit $status
