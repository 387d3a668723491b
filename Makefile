# Every command of the project. `make` alone lists them.
SHELL := /bin/bash
.ONESHELL:
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check
PROTO_FILES = $(shell find protos -name '*.proto' | sort)
# What the tests start besides what comes from PyPI.
TEST_SERVERS := tests/servers/node_modules/installed $(VENV)/mariadb $(VENV)/libcurl
HAND_WRITTEN := servicekit services gateway client tests bench

# A machine that is new may not know yet what there is.
apt = { $(1) apt-get install -y -q $(2) || { $(1) apt-get update -q && $(1) apt-get install -y -q $(2); }; }
# Installs a Debian package where we may, and says which one is missing where we may not.
apt-install = if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then $(call apt,,$(1)); \
  elif command -v apt-get >/dev/null && sudo -n true 2>/dev/null; then $(call apt,sudo,$(1)); \
  else echo "Please install the package $(1) (or what provides it here), then run make again" >&2; exit 1; fi

.PHONY: help install install-more run demo test test-unit test-contract test-integration test-e2e \
        protos protos-check protos-release lint types format bench clean

help: ## List the commands
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:[^#]*## /\t/' | expand -t 18

$(VENV)/installed: pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "Modelyard needs Python 3.11: install it, or name it with PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -c 'import ensurepip' 2>/dev/null || { $(call apt-install,$(notdir $(PYTHON))-venv); }
	[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	echo "Installing Modelyard into $(VENV) (about a minute the first time)"
	$(PIP) install --quiet --editable '.[all]'
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	@echo "Installing what tests and checks need"
	$(PIP) install --quiet --editable '.[all,dev]'
	touch $@

# The tests' own servers that come from npm; node itself comes from PyPI, into the same .venv.
tests/servers/node_modules/installed: tests/servers/package-lock.json $(VENV)/installed-dev
	@echo "Installing the servers that tests start"
	PATH="$(CURDIR)/$(BIN):$$PATH" npm ci --prefix tests/servers --omit=optional --ignore-scripts --no-fund --no-audit --loglevel=error
	touch $@

# The server, what sets it up and mariadb-dump: the package mariadb-server would start one for the whole machine.
$(VENV)/mariadb: $(VENV)/installed-dev
	@{ PATH="$$PATH:/usr/sbin" command -v mariadbd && command -v mariadb-dump; } >/dev/null || { $(call apt-install,mariadb-server-core mariadb-client); }
	touch $@

# What the mongod of the tests is linked with.
$(VENV)/libcurl: $(VENV)/installed-dev
	@PATH="$$PATH:/usr/sbin:/sbin" ldconfig -p | grep -q libcurl.so.4 || { $(call apt-install,libcurl4); }
	touch $@

install: $(VENV)/installed ## Create .venv and install everything that runs

install-more: $(VENV)/installed ## Install what images, neural networks, Kaggle and a Ray cluster need besides
	@$(PIP) install --quiet --editable '.[all,images,torch,kaggle,ray]'

run: $(VENV)/installed ## Serve Modelyard on this machine; Ctrl-C stops it
	@exec $(BIN)/modelyard run

demo: $(VENV)/installed ## Train a real model on the data that ships with the project
	@exec $(BIN)/modelyard demo

test: $(TEST_SERVERS) ## Run all tests
	@$(BIN)/python -m tests

test-unit test-contract test-integration test-e2e: test-%: $(TEST_SERVERS) ## Run one layer of the tests
	@$(BIN)/python -m pytest tests/$*

protos: $(VENV)/installed-dev ## Generate the stubs in gen/ from protos/
	@$(BIN)/buf format -w
	find gen/modelyard -name '*_pb2*' -delete
	$(BIN)/python -m grpc_tools.protoc -Iprotos --plugin=protoc-gen-mypy=$(BIN)/protoc-gen-mypy \
	  --plugin=protoc-gen-mypy_grpc=$(BIN)/protoc-gen-mypy_grpc \
	  --python_out=gen --grpc_python_out=gen --mypy_out=quiet:gen --mypy_grpc_out=quiet:gen $(PROTO_FILES)

protos-check: $(VENV)/installed-dev ## Lint the contracts, compare them with the released ones and with gen/
	@$(BIN)/buf lint
	$(BIN)/buf format --diff --exit-code
	$(BIN)/buf breaking --against protos/released.binpb
	fresh=$$(mktemp -d); trap 'rm -rf "$$fresh"' EXIT
	$(BIN)/python -m grpc_tools.protoc -Iprotos --plugin=protoc-gen-mypy=$(BIN)/protoc-gen-mypy \
	  --plugin=protoc-gen-mypy_grpc=$(BIN)/protoc-gen-mypy_grpc \
	  --python_out=$$fresh --grpc_python_out=$$fresh --mypy_out=quiet:$$fresh --mypy_grpc_out=quiet:$$fresh $(PROTO_FILES)
	diff -r --exclude=__pycache__ --exclude=py.typed $$fresh/modelyard gen/modelyard || { echo "gen/ is stale: run 'make protos'" >&2; exit 1; }

protos-release: $(VENV)/installed-dev ## Make the present contracts the ones that later changes must not break
	@$(BIN)/buf build -o protos/released.binpb

lint: protos-check types ## Check contracts, style, types and layers
	@$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/installed-dev ## Check the types
	@$(BIN)/mypy

format: $(VENV)/installed-dev ## Format the code
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format . && $(BIN)/buf format -w

bench: $(TEST_SERVERS) ## Measure the speeds that the documents claim
	@$(BIN)/python -m bench

clean: ## Remove what can be made again; your data in .data/ stays
	rm -rf $(VENV) tests/servers/node_modules .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
