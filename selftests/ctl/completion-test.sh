#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Copyright (c) 2026 The vbe authors
#
# In the VM: what bash would offer. TAP.
n=0 bad=0
# shellcheck source=/dev/null
. /ctl/vbe-ctl.bash

offered() { # WORD... : the last one is being typed
	COMP_WORDS=(vbe-ctl "$@")
	COMP_CWORD=$#
	COMPREPLY=()
	_vbe_ctl
	echo " ${COMPREPLY[*]} " | tr '\n' ' '
}

expect() { # NAME WANTED... -- WORD...
	local name=$1 wanted=() got word ok=yes
	shift
	while [ "$1" != -- ]; do wanted+=("$1"); shift; done
	shift
	got=$(offered "$@")
	for word in "${wanted[@]}"; do
		case $word in
		!*) case $got in *" ${word#!} "*) ok=no ;; esac ;;
		*) case $got in *" $word "*) ;; *) ok=no ;; esac ;;
		esac
	done
	n=$((n + 1))
	if [ $ok = yes ]; then
		echo "ok $n - $name"
	else
		bad=1
		echo "not ok $n - $name: '$*' offers:$got"
	fi
}

modprobe vbe vbe_loop
modprobe vbe_loop
vbe-ctl dev add compl0 || bad=1
vbe-ctl dev add compl1 || bad=1
expect "commands" dev vq map stats monitor probe -- ''
expect "commands that begin so" map monitor !dev -- m
expect "verbs" add del show set -- dev ''
expect "device names" compl0 compl1 -- dev show ''
expect "device names that begin so" compl1 -- dev del compl1
expect "options" --policy --size --type -- dev add x --
expect "values of an option" hold reset fail -- dev add x --policy ''
expect "words" provider domid path -- dev add x ''
expect "values of a word" on off -- dev add x grants ''
expect "nothing for nonsense" !dev !add -- nonsense ''
vbe-ctl dev del compl0 compl1
expect "no names when there are no devices" !compl0 -- dev show ''
echo "1..$n"
exit $bad
