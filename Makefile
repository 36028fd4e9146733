# The only place where steps are spelled out. `make run` and `make test` set up first; `make setup` says nothing about what is there already.

SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c

ifneq (,$(findstring $$,$(CURDIR))$(findstring :,$(CURDIR))$(findstring ',$(CURDIR)))
$(error the path $(CURDIR) has one of $$ : ' in it, which a shell or Python takes for something else; move the checkout)
endif

BOARD ?= virtual-x86_64
VENV := .venv
PYTHON := $(VENV)/bin/python
RUN_ARGUMENTS ?=

PACKAGES := qemu-system-x86 cpio lz4 e2fsprogs openssh-client gcc libc6-dev mksh busybox-static sigrok-cli
MISSING = $(shell for p in $(PACKAGES) $(VENV_PACKAGE); do dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done)
SYSTEM_PYTHON := $(shell command -v python3.11 || command -v python3)
VENV_PACKAGE := $(shell $(SYSTEM_PYTHON) -c 'import ensurepip' 2>/dev/null || echo python3-venv)
SUDO := $(shell [ "$$(id -u)" = 0 ] || command -v sudo || echo none)

CC := gcc
CFLAGS := -std=c11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -Werror -Iboards/virtual/include -ffile-prefix-map='$(CURDIR)=.'
QVM_SOURCES := $(wildcard boards/virtual/qvm/*.c)
HEADERS := $(wildcard boards/virtual/include/qvm/*.h boards/virtual/qvm/*.h boards/virtual/vdevs/*.h)
VDEVS := ioapic 8259 timer8254 ser8250
VDEV_OBJECTS := $(VDEVS:%=build/virtual/vdevs/vdev-%.so)

.PHONY: setup packages run test soak benchmark lock clean
.SECONDEXPANSION:
.DELETE_ON_ERROR:

setup: packages $(VENV)/.complete build/virtual/qvm $(VDEV_OBJECTS)
	@$(PYTHON) -m boards.virtual.image --output build/virtual/image
	@$(VENV)/bin/harness guest build linux >/dev/null
	@$(VENV)/bin/harness guest build linux --kernel 6.12 >/dev/null || echo "tests on the newer kernel will be skipped"

packages:
	@missing="$(strip $(MISSING))"; if [ -n "$$missing" ]; then \
	    if [ "$(SUDO)" = none ]; then \
	        echo "Debian packages are missing, and there is no sudo to install them with; as root: apt-get install $$missing" >&2; exit 1; \
	    fi; \
	    echo "installing Debian packages: $$missing"; \
	    $(SUDO) apt-get update -q && \
	    $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $$missing; \
	fi

# A virtual environment works only where it was made; in a checkout that was copied or moved it is made anew.
ifneq ($(shell cat $(VENV)/.complete 2>/dev/null),$(CURDIR))
.PHONY: $(VENV)/.complete
endif

$(VENV)/.complete: requirements.lock pyproject.toml | packages
	@echo "making the virtual environment in $(VENV)"
	@[ "$$(cat $@ 2>/dev/null)" = '$(CURDIR)' ] || rm -rf $(VENV)
	@$(SYSTEM_PYTHON) -m venv $(VENV)
	@$(PYTHON) -m pip install --disable-pip-version-check --progress-bar off --require-hashes -r requirements.lock | { grep -E '^(Collecting|Installing)' || true; }
	@$(PYTHON) -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --editable .
	@echo '$(CURDIR)' >$@

build/virtual/qvm: $(QVM_SOURCES) $(HEADERS) Makefile | packages
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -fvisibility=hidden -rdynamic -o $@ $(QVM_SOURCES) -ldl -pthread

build/virtual/vdevs/vdev-%.so: boards/virtual/vdevs/%.c $$(wildcard boards/virtual/vdevs/$$*_*.c) $(HEADERS) Makefile | packages
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -shared -fPIC -Wl,--build-id -o $@ $(filter %.c,$^)

# The device suites on a board, and what came out of them.
run: setup
	@$(VENV)/bin/pytest --board=$(BOARD) $(RUN_ARGUMENTS)

# Every quick test there is.
test: setup
	@$(VENV)/bin/ruff check --quiet . && $(VENV)/bin/ruff format --check --quiet . && $(VENV)/bin/mypy && $(VENV)/bin/lint-imports
	@$(VENV)/bin/pytest suites/harness

# What is too long for every change: every defect of every vdev; a hundred thousand damaged VM configurations; five hours of a
# counter, in minutes; the ends of a run, at each moment four times; a MiB through a port each way.
soak: setup
	@HARNESS_DEFECTS=all $(VENV)/bin/pytest suites/harness/test_runs.py -k defect
	@HARNESS_FILES=100000 $(VENV)/bin/pytest suites/harness/test_qvm_parser.py
	@HARNESS_HOURS=5 $(VENV)/bin/pytest suites/harness/test_hours.py
	@HARNESS_ROUNDS=4 $(VENV)/bin/pytest suites/harness/test_ends.py
	@HARNESS_KIB=1024 $(VENV)/bin/pytest --board=$(BOARD) suites/ser8250/test_bridge.py

# A run as ratios to a bare boot of the same machine and kernel; a file on a serial line; commands on a noisy one, ours and labgrid's.
benchmark: setup
	@$(VENV)/bin/pytest suites/performance -s -q

# Pins what pyproject.toml asks for.
lock:
	$(VENV)/bin/pip-compile --quiet --strip-extras --allow-unsafe --generate-hashes --no-emit-index-url --no-emit-trusted-host --no-header --extra dev --output-file requirements.lock pyproject.toml

clean:
	rm -rf build
