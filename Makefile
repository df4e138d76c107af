# SPDX-License-Identifier: MIT
#
# The front door: every target here hands the work to the directory that knows how (vm/, module through
# Kbuild, userland/, selftests/). Outputs go to build/, kernels and downloads to the cache
# ($XDG_CACHE_HOME/ringside); a warm cache costs nothing, and `make clean` does not touch it.

KERNEL	?= lean
export KERNEL

VM	:= $(MAKE) --no-print-directory -C vm

# Stop a part whose directory is not there with words instead of make's own.
part	= $(if $(wildcard $(1)/Makefile),,$(error $(1)/ has no Makefile: this checkout has no such part))

# A stamp carries the time at which the build started, so that an edit made meanwhile is newer than it. The
# lock is for builds by hand beside those that vm/run starts.
define stamped
	@mkdir -p build/$(1)
	@+flock build/$(1)/.lock sh -c 'touch build/$(1)/.stamp.new && $(MAKE) --no-print-directory -C $(1) && \
		mv build/$(1)/.stamp.new build/$(1)/.stamp'
endef

.DEFAULT_GOAL := help
.PHONY: help
help:
	@echo 'Ringside: selected processes in a hardware guest ring beside Linux.'
	@echo
	@echo '  make run           install what is missing, build, boot the test VM and run programs in the ring'
	@echo '  make check         every test, on both machines; the last line is "N passed, N failed"'
	@echo '  make check-fast    the tests that need no second kernel and no slow emulator'
	@echo '  make bench         the cost ledger as a table, as build/bench.csv and build/bench.svg'
	@echo '  make compat        command lines run natively and in the ring, compared'
	@echo
	@echo '  make all           module for KERNEL=lean, userland and selftests'
	@echo '  make deps          install the Debian packages that are missing (needs root)'
	@echo '  make kernels       all test kernels: $(patsubst kernel-%,%,$(KERNELS))'
	@echo '  make kernel-NAME   one of them'
	@echo '  make module        ringside.ko for KERNEL=NAME, in build/module/NAME'
	@echo '  make userland      the ringside command, its libraries, the guest kernel'
	@echo '  make selftests     the test programs'
	@echo '  make kunit         the KUnit suites, in the debug kernel'
	@echo '  make lint          style, shell, include direction'
	@echo '  make clean         remove what was built here, but not the kernels'
	@echo '  make distclean     remove build/ (the cache stays: rm -r $${XDG_CACHE_HOME:-~/.cache}/ringside)'
	@echo
	@echo '  vm/run -- COMMAND  runs COMMAND in a VM that has the module loaded (vm/README.md)'

KERNELS := kernel-lean kernel-debug kernel-leak kernel-stock kernel-lean-6.12
.PHONY: kernels $(KERNELS)
kernels: $(KERNELS)
$(KERNELS):
	@+$(VM) $@

.PHONY: all deps vm-init module userland selftests
all: module userland selftests

deps:
	@+$(VM) deps

vm-init:
	@+$(VM) init

module: kernel-$(KERNEL)
	@+$(VM) module

userland:
	$(call part,userland)
	$(call stamped,userland)

selftests: userland
	$(call part,selftests)
	$(call stamped,selftests)

# A target that is a script of selftests/: build everything, then run it.
script	= $(if $(wildcard selftests/$(1)/run),,$(error selftests/$(1)/run is missing: this checkout cannot do that))

.PHONY: run bench compat check check-fast kunit lint
run bench compat: deps kernel-lean
	$(call script,$(subst run,demo,$@))
	@+$(MAKE) --no-print-directory all KERNEL=lean >build/make.log 2>&1 || { tail -n 30 build/make.log; exit 1; }
	@selftests/$(subst run,demo,$@)/run

check: deps
	@selftests/check/run

check-fast: deps
	@selftests/check/run --fast

kunit: deps kernel-debug
	@vm/kunit

lint: deps
	@selftests/check/run lint

.PHONY: clean distclean
clean:
	rm -rf build/module build/userland build/selftests build/vm build/check

distclean:
	rm -rf build
