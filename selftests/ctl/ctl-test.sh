#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Copyright (c) 2026 The vbe authors
#
# In the VM, as root: every command of vbe-ctl, good and bad. TAP. Every JSON that it
# prints is kept in /out/json for selftests/ctl/schema-check.
# shellcheck source=selftests/vm/eventually.sh
. "${0%/*}/../vm/eventually.sh"

n=0 bad=0
json=/out/json
mkdir -p $json
out=/tmp/ctl.out
err=/tmp/ctl.err

result() { # STATUS NAME
	n=$((n + 1))
	if [ "$1" = 0 ]; then
		echo "ok $n - $2"
	else
		bad=1
		sed 's/^/# out: /' $out | head -8
		sed 's/^/# err: /' $err | head -8
		echo "not ok $n - $2"
	fi
}

# try NAME EXIT-CODE [REGEX of stdout or stderr] -- ARGS...
try() {
	local name=$1 want=$2 regex='' rc=0
	shift 2
	if [ "$1" != -- ]; then regex=$1; shift; fi
	shift
	vbe-ctl "$@" > $out 2> $err < /dev/null || rc=$?
	[ $rc = "$want" ] || name="$name: exit code $rc, not $want"
	[ -z "$regex" ] || grep -qE -- "$regex" $out $err || {
		name="$name: no '$regex'"
		rc=-1
	}
	[ $rc = "$want" ]
	result $? "$name"
}

keep() { # FILE ARGS... : JSON for the schema
	local file=$1 rc=0
	shift
	vbe-ctl -j "$@" > "$json/$file.json" 2> $err || rc=$?
	cp "$json/$file.json" $out
	[ $rc = 0 ] && [ -s "$json/$file.json" ]
	result $? "vbe-ctl -j $*"
}

unprivileged() { # COMMAND... (busybox has a setpriv that cannot do it)
	if setpriv --reuid=65534 --regid=65534 --clear-groups true 2> /dev/null; then
		setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
	elif setuidgid nobody true 2> /dev/null; then
		setuidgid nobody "$@"
	else
		su -s /bin/sh nobody -c "$*"
	fi
}

without_module() {
	try "without the module: says how to load it" 3 'modprobe vbe' -- dev show
	try "probe without the module" 3 'modprobe' -- probe
}

usage() {
	try "no command is wrong usage" 2 usage --
	try "help" 0 'vbe-ctl probe' -- help
	try "help of a command" 0 Examples -- dev add --help
	try "unknown command, with a suggestion" 2 'probe' -- prob
	try "unknown verb" 2 'show' -- dev shwo
	try "unknown option" 2 'option' -- dev add x --colour red
	try "add without a name" 2 '' -- dev add
	try "bad size" 2 'size' -- dev add x --size 12Q
	try "negative size" 2 'size' -- dev add x --size -1
	try "bad policy, with the valid ones" 2 'hold.*reset.*fail' -- dev add x --policy hodl
	try "bad type" 2 'blk' -- dev add x --type blok
	try "bad owner" 2 'owner' -- dev add x --owner nosuchuser
	try "bad reset time-out" 2 'reset-timeout' -- dev add x --reset-timeout soon
	try "bad interval" 2 'interval|SECONDS|seconds' -- stats -i never
	try "a mistyped word, with a suggestion" 2 "did you mean 'provider'" -- dev add x providr loop
	try "a word without its value" 2 'domid needs a value: domid N' -- dev add x domid
	try "given twice" 2 'the provider is given twice' -- dev add x provider loop --provider user
	try "bad domid" 2 "domid 'one': not a number" -- dev add x domid one
	try "a domid that is too large" 2 "domid '4294967296': too large" -- dev add x domid 4294967296
	try "bad base" 2 "base '0x2g': not a whole number" -- dev add x base 0x2g
	try "bad PCI address" 2 "base '00:20.0': write BUS:SLOT.FUNCTION" -- dev add x base 00:20.0
	try "a PCI segment" 2 "no PCI segment but 0000" -- dev add x base 0001:00:1f.0
	try "bad slot" 2 "slot '32': write a number from 0 to 31" -- dev add x slot 32
	try "a slot, but not of PCI" 2 'mmio has no slots' -- dev add x transport mmio slot 3
	try "base and slot" 2 'give one' -- dev add x base 00:03.0 slot 3
	try "bad irq" 2 "irq 'soon': not a number" -- dev add x irq soon
	try "bad grants" 2 "grants 'maybe': write on or off" -- dev add x grants maybe
	try "a path that is not whole" 2 "path 'disk.img': write the whole path" -- dev add x path disk.img
	try "set without anything to change" 2 'what to change' -- dev set x
	try "delete without a name" 2 'all' -- dev del
}

devices() {
	try "version" 0 '[0-9]' -- version
	try "add" 0 -- dev add ctl0 --type blk --size 4M --policy reset --reset-timeout 700
	try "show" 0 'ctl0' -- dev show
	try "a provider without a name" 2 'provider needs a value' -- dev add y provider
	try "an argument too many" 2 'too many' -- dev show a b
	try "the kernel's limits are quoted" 1 'reset-timeout-ms must be 1 to 600000 .Numerical' -- dev add y --reset-timeout 700000
	try "the kernel's limit of a name is quoted" 1 'name takes at most 31 bytes' -- dev add 0123456789012345678901234567890123
	try "show one: its parts" 0 'reset waits 700 ms' -- dev show ctl0
	try "names only" 0 '^ctl0$' -- dev show --names
	try "a taken name: the kernel's sentence" 1 'a device of that name exists' -- dev add ctl0
	try "a name that is too long" 1 '.' -- dev add 0123456789012345678901234567890123
	try "a name with bad characters" 1 'A-Z a-z 0-9' -- dev add 'a/b'
	try "loop takes no domid" 1 'provider loop takes no guest-id' -- dev add y domid 1
	try "loop takes no base" 1 'provider loop takes no base' -- dev add y --base 0x1000
	try "loop takes no irq" 1 'provider loop takes no base and no irq' -- dev add y irq 33
	try "loop takes no grants" 1 'provider loop takes no grants' -- dev add y grants on
	try "grants that are off are none" 0 -- dev add y grants off
	try "and gone" 0 -- dev del y
	try "the user provider takes devices of a VMM only" 3 'user|VMM' -- dev add y provider user irq 1
	try "a path, in words" 0 -- dev add ctlp type blk path /srv/none.img --read-only
	try "the path is shown" 0 'path +/srv/none.img .read-only' -- dev show ctlp
	vbe-ctl -j dev show ctlp > $out 2> $err
	grep -q '"path":"/srv/none.img","mode":"r","vdev":null' $out
	result $? "the path and the mode are in the JSON"
	cp $out $json/dev-show-path.json
	try "and gone" 0 -- dev del ctlp
	try "an unknown provider" 1 'no such provider' -- dev add y provider nonesuch
	try "a window that is too small" 1 '1 MiB to 1 GiB|window' -- dev add y --size 4K
	try "a window that is too large" 1 'window|memory' -- dev add y --size 2G
	try "a time-out out of range" 1 '.' -- dev add y --reset-timeout 700000
	try "show of an unknown name" 1 'ctl1' -- dev show ctl1
	try "delete of an unknown name" 1 'ctl1' -- dev del ctl1
	try "set" 0 -- dev set ctl0 --policy fail --owner nobody
	try "set is seen" 0 'on loss +fail' -- dev show ctl0
	try "resize without a backend: the kernel's sentence" 1 'no backend' -- dev set ctl0 --resize
	try "queues before a backend" 0 -- vq show ctl0
	try "windows" 0 'pinned' -- map show ctl0
	try "stats" 0 'ctl0' -- stats
}

rights() {
	unprivileged vbe-ctl dev add nope > $out 2> $err
	[ $? = 4 ]
	result $? "an ordinary user may not add: exit code 4"
	setpriv --bounding-set=-sys_admin vbe-ctl dev add nope --provider loop --path /etc/passwd > $out 2> $err
	[ $? = 4 ] && grep -q CAP_SYS_ADMIN $err
	result $? "a path to serve takes more than CAP_NET_ADMIN"
	setpriv --bounding-set=-sys_admin vbe-ctl dev add ctl9 --provider loop > $out 2> $err &&
		vbe-ctl dev del ctl9
	result $? "and a device without takes no more"
	unprivileged vbe-ctl dev del ctl0 > $out 2> $err
	[ $? = 4 ]
	result $? "an ordinary user may not delete: exit code 4"
	unprivileged vbe-ctl dev show > $out 2> $err
	grep -q ctl0 $out
	result $? "an ordinary user may look"
	path_is_told
}

# Where the images of guests are is not for all to know.
path_is_told() {
	vbe-ctl dev add ctlq type blk path /srv/secret.img
	{ unprivileged vbe-ctl dev show ctlq; unprivileged vbe-ctl -j dev show; } > $out 2> $err
	grep -q ctlq $out && grep -q '"name":"ctlq"' $out && ! grep -q secret $out
	result $? "but not at what is served"
	vbe-ctl -j dev show > $out 2> $err
	grep -q '"path":"/srv/secret.img"' $out
	result $? "root sees it in the list"
	vbe-ctl dev set ctlq --owner nobody
	unprivileged vbe-ctl dev show ctlq > $out 2> $err &&
		unprivileged vbe-ctl -j dev show >> $out 2> $err
	[ "$(grep -c /srv/secret.img $out)" = 2 ]
	result $? "the owner of the device sees it"
	try "and gone" 0 -- dev del ctlq
}

has_grown() { [ "$(cat /sys/bus/virtio/devices/virtio*/block/vd*/size | tail -1)" = 32768 ]; }

served() {
	vbe-ctl -j monitor > $json/monitor.jsonl 2> $err &
	local monitor=$! backend
	# What it says first is that it listens.
	eventually grep -q '"event":"start"' $json/monitor.jsonl
	truncate -s 8M /tmp/ctl.img
	modprobe virtio_blk
	vbe-blk --loop /tmp/ctl.img --name ctl2 --queues 2 > /tmp/blk.log 2>&1 &
	backend=$!
	eventually grep -q /dev/vd /tmp/blk.log
	try "show of a served device: who, and what was made of it" 0 'vbe-blk\[[0-9]+\].*|/dev/vd' -- dev show ctl2
	try "negotiated features by name" 0 'negotiated.*version_1' -- dev show ctl2
	try "queues of a served device" 0 'ctl2 +1 +yes' -- vq show ctl2
	keep dev-show dev show
	keep dev-show-one dev show ctl2
	keep vq-show vq show
	keep map-show map show
	keep stats stats
	keep probe probe
	grep -q '"xen":null' $out
	result $? "probe: this machine is no domain of Xen"
	keep version version
	keep dev-set dev set ctl2 --policy hold
	keep dev-add dev add ctl3 provider loop
	keep dev-del dev del ctl3
	vbe-ctl dev show ctl3 > $out 2> $err
	[ $? = 1 ] && grep -q 'there is no device of that name (No such file or directory)' $err
	result $? "the error quotes the kernel's sentence and the errno's"
	vbe-ctl dev del ctl2x ctl3 > $out 2> $err
	[ "$(grep -c 'no device of that name' $err)" = 2 ]
	result $? "dev del names each that it could not delete"
	vbe-ctl -j stats ctl2 -i 1 -n 2 > $json/stats-interval.jsonl 2> $err
	[ "$(wc -l < $json/stats-interval.jsonl)" = 2 ]
	result $? "stats -i 1 -n 2 prints two lines"
	truncate -s 16M /tmp/ctl.img
	try "resize" 0 -- dev set ctl2 --resize
	eventually has_grown
	result $? "the disk has grown"
	kill -KILL $backend
	wait $backend 2> /dev/null
	try "a lost backend is told" 0 'lost' -- dev show ctl2
	try "delete with I/O possibly in flight" 0 -- dev del ctl2
	eventually grep -q '"event":"del","device":"ctl2"' $json/monitor.jsonl
	kill -INT $monitor
	wait $monitor 2> /dev/null
	cp $json/monitor.jsonl $out
	local event
	for event in new attach state status loss del; do
		grep -q "\"event\": *\"$event\"" $json/monitor.jsonl
		result $? "monitor saw $event"
	done
}

rmmod vbe_loop vbe 2> /dev/null
# A listener that cannot keep up must be told, and told how things are now. As an
# ordinary user it gets no more than the small buffer that rmem_max allows.
overflow() {
	local old pid i
	old=$(cat /proc/sys/net/core/rmem_max)
	echo 4096 > /proc/sys/net/core/rmem_max
	unprivileged vbe-ctl -j monitor > $json/monitor-gap.jsonl 2> $err &
	for _ in $(seq 600); do
		pid=$(grep -lx vbe-ctl /proc/[0-9]*/comm 2> /dev/null | cut -d/ -f3)
		[ -n "$pid" ] && [ -s $json/monitor-gap.jsonl ] && break
		sleep 0.1
	done
	kill -STOP "$pid"
	for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
		vbe-ctl dev add "flood$i"
	done
	kill -CONT "$pid"
	eventually grep -q '"event":"sync","device":"flood12"' $json/monitor-gap.jsonl
	vbe-ctl dev del flood1
	eventually grep -q '"event":"del","device":"flood1"' $json/monitor-gap.jsonl
	kill -INT "$pid" || kill -KILL %%
	wait
	echo "$old" > /proc/sys/net/core/rmem_max
	cp $json/monitor-gap.jsonl $out
	grep -q '"event":"gap"' $out
	result $? "monitor tells of events that it lost"
	grep -q '"event":"sync","device":"flood12"' $out
	result $? "monitor then tells how every device is"
	grep -q '"event":"del","device":"flood1"' $out
	result $? "monitor goes on after a gap"
}

without_module
modprobe vbe
modprobe vbe_loop
usage
devices
rights
served
overflow
try "delete all" 0 -- dev del --all
try "nothing is left" 0 'no devices' -- dev show
echo "1..$n"
exit $bad
