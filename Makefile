# SPDX-License-Identifier: GPL-2.0
# vbe: virtio backends in user space, the same on every hypervisor.
#
#	make demo	see it work, in a virtual machine, on any Debian 12 or 13
#	make check	run every test
#	make help	the rest

VERSION	:= 0.1.0
O	?= $(CURDIR)/build
KVER	?= $(shell uname -r)
KDIR	?= /lib/modules/$(KVER)/build

DESTDIR	?=
PREFIX	?= /usr/local
INSTALL	?= install
MODDIR	?= $(DESTDIR)/lib/modules/$(KVER)/extra
MANDIR	?= $(DESTDIR)$(PREFIX)/share/man
UDEVDIR	?= $(DESTDIR)/lib/udev/rules.d
UNITDIR	?= $(DESTDIR)/lib/systemd/system
SYSUSERSDIR ?= $(DESTDIR)/usr/lib/sysusers.d
COMPDIR	?= $(DESTDIR)$(PREFIX)/share/bash-completion/completions

MANPAGES := $(wildcard Documentation/man/*.[0-9])
SUB	:= DESTDIR=$(DESTDIR) PREFIX=$(PREFIX)

.PHONY: all user lib vbe-blk vbe-ctl vbe-vhost-user examples modules install install-user \
	install-modules uninstall demo check bench clean help
.DEFAULT_GOAL := all

all: user modules

user: lib vbe-blk vbe-ctl vbe-vhost-user examples

lib:
	@$(MAKE) -C lib O=$(O)/lib all

vbe-blk: lib
	@$(MAKE) -C tools/vbe-blk O=$(O)/vbe-blk LIBVBE=$(O)/lib all

vbe-ctl:
	@$(MAKE) -C tools/vbe-ctl O=$(O)/vbe-ctl all

vbe-vhost-user:
	@$(MAKE) -C tools/vbe-vhost-user O=$(O)/vbe-vhost-user all

examples: lib
	@mkdir -p $(O)/examples
	@$(MAKE) -C Documentation/examples O=$(O)/examples LIBVBE=$(O)/lib all

modules:
	@test -d $(KDIR) || { \
		echo "No kernel headers at $(KDIR)."; \
		echo "Install linux-headers-$(KVER), or set KDIR. 'make user' needs none."; \
		exit 1; }
	$(MAKE) -C $(KDIR) M=$(CURDIR) W=1 modules

install: install-user install-modules

install-user: user
	@$(MAKE) -C lib O=$(O)/lib $(SUB) install
	$(INSTALL) -d $(DESTDIR)$(PREFIX)/sbin $(UDEVDIR) $(UNITDIR) $(COMPDIR)
	$(INSTALL) -m 755 $(O)/vbe-blk/vbe-blk $(O)/vbe-ctl/vbe-ctl \
		$(O)/vbe-vhost-user/vbe-vhost-user $(DESTDIR)$(PREFIX)/sbin/
	$(INSTALL) -m 644 tools/udev/60-vbe.rules $(UDEVDIR)/
	sed 's|@SBINDIR@|$(PREFIX)/sbin|' tools/vbe-blk/vbe-blk@.service.in \
		> $(UNITDIR)/vbe-blk@.service
	sed 's|@SBINDIR@|$(PREFIX)/sbin|' tools/vbe-blk/vbe-blk-auto.service.in \
		> $(UNITDIR)/vbe-blk-auto.service
	sed 's|@SBINDIR@|$(PREFIX)/sbin|' tools/vbe-vhost-user/vbe-vhost-user@.service.in \
		> $(UNITDIR)/vbe-vhost-user@.service
	$(INSTALL) -d $(SYSUSERSDIR)
	$(INSTALL) -m 644 tools/udev/vbe-sysusers.conf $(SYSUSERSDIR)/vbe.conf
	$(INSTALL) -m 644 tools/vbe-ctl/completion/vbe-ctl $(COMPDIR)/vbe-ctl
	for page in $(MANPAGES); do \
		dir=$(MANDIR)/man$${page##*.}; \
		$(INSTALL) -d $$dir && $(INSTALL) -m 644 $$page $$dir/ || exit 1; \
	done
	@test -n "$(DESTDIR)" || ldconfig

install-modules: modules
	$(INSTALL) -d $(MODDIR)
	$(INSTALL) -m 644 vbe.ko vbe_loop.ko $(wildcard vbe_xen.ko) $(MODDIR)/
	@test -n "$(DESTDIR)" || depmod $(KVER)

uninstall:
	rm -f $(MODDIR)/vbe.ko $(MODDIR)/vbe_loop.ko $(MODDIR)/vbe_xen.ko $(UDEVDIR)/60-vbe.rules \
		$(UNITDIR)/vbe-blk@.service $(UNITDIR)/vbe-blk-auto.service $(UNITDIR)/vbe-vhost-user@.service $(COMPDIR)/vbe-ctl $(SYSUSERSDIR)/vbe.conf \
		$(addprefix $(DESTDIR)$(PREFIX)/sbin/,vbe-blk vbe-ctl vbe-vhost-user) \
		$(DESTDIR)$(PREFIX)/lib/libvbe.* $(DESTDIR)$(PREFIX)/lib/pkgconfig/vbe.pc
	rm -rf $(DESTDIR)$(PREFIX)/include/vbe
	for page in $(notdir $(MANPAGES)); do rm -f $(MANDIR)/man$${page##*.}/$$page; done
	@test -n "$(DESTDIR)" || depmod $(KVER)

demo:
	@selftests/demo/run

check:
	@selftests/run

bench:
	@selftests/lab/prereqs bench
	@$(MAKE) --no-print-directory user
	@selftests/bench/run

clean:
	rm -rf $(O)
	@if [ -d $(KDIR) ] && [ -e modules.order ]; then \
		$(MAKE) -C $(KDIR) M=$(CURDIR) clean; fi

help:
	@echo "make demo     install what is needed, build, boot a VM, show a disk through vbe"
	@echo "make check    run every test; ends with 'N passed, N failed, N skipped'"
	@echo "make bench    measure against VDUSE, NBD, ublk, null_blk, and in Xen"
	@echo "make          build modules (KVER=, KDIR=) and user space into $(O)"
	@echo "make user     build libvbe and the programs only"
	@echo "make install  install both (DESTDIR=, PREFIX=, KVER=); runs depmod"
	@echo "make clean    remove what was built"
