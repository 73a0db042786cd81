# `make demo` and `make test` each do all their own set-up. Needed: Python 3.11+, make, gcc, git.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

PY ?= python3
VENV ?= .venv
PYTEST_ARGS ?=
BENCH ?=

# uv looks for local wheels (a CPU build of torch, say) where pip is told to look.
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)

BIN := $(VENV)/bin
PROTO_FILES := $(wildcard protos/aimass/v1/*.proto)
TORCH_PIN := torch==2.13.0
comma := ,

.PHONY: help demo test test-fast lint protos bench lock dev clean

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  settings: PY=python3.12 VENV=.venv PYTEST_ARGS='-k why' BENCH=apply"

demo: $(VENV)/.ready-scheduler+node+train  ## A real training job through daemon, agents and crashes (60 s)
	$(BIN)/python examples/demo.py

test: $(VENV)/.ready-train+dev  ## Every test, the torch jobs included
	$(BIN)/python -m pytest -n 2 --dist worksteal $(PYTEST_ARGS)

test-fast: $(VENV)/.ready-dev  ## Without torch and the slow ones (under 60 s)
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not torch and not slow" $(PYTEST_ARGS)

lint: $(VENV)/.ready-dev  ## Style and types: ruff, mypy
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/python scripts/link_types.py
	$(BIN)/mypy -p aimass
	$(BIN)/mypy scripts examples benchmarks

protos: $(VENV)/.ready-dev  ## Generate protos/aimass/v1/*_pb2* from the .proto files
	$(BIN)/python -m grpc_tools.protoc -I protos --python_out=protos --pyi_out=protos $(PROTO_FILES)
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m grpc_tools.protoc -I protos \
		--grpc_python_out=protos --mypy_grpc_out=protos $(shell grep -l '^service ' $(PROTO_FILES))

bench: $(VENV)/.ready-dev  ## Measure; BENCH=NAME for one of them
	$(BIN)/python -m benchmarks $(BENCH)

# CUDA wheels stay out: torch pins its own, and the CPU build has none.
lock: $(VENV)/.ready-venv  ## Renew constraints.txt from pyproject.toml
	{ echo '# Made by `make lock`: the versions that are installed and tested.'; \
	echo '$(TORCH_PIN)' | env -u UV_FIND_LINKS $(BIN)/uv pip compile -q pyproject.toml --all-extras \
		--universal --python-version 3.11 --no-annotate --no-header -c /dev/stdin \
	| grep -vE '^(nvidia-.*-cu|nvidia-(cu|nv)|cuda-|triton)'; } > constraints.new
	mv constraints.new constraints.txt

dev: $(VENV)/.ready-dev  ## The environment for working on the code
	$(BIN)/python scripts/link_types.py
	@echo "ready: $(BIN)/massctl, $(BIN)/pytest; editors find the package in .types/"

clean:  ## Remove everything that the other targets made
	rm -rf $(VENV) .types build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One stamp per set of extras, "+" between them. uv is 15 times as fast; pip does when it cannot be had.
$(VENV)/.ready-%: pyproject.toml constraints.txt | $(VENV)/.ready-venv
	@extras='$(subst +,$(comma),$*)'; echo "setting up $(VENV) for: $$extras"; \
	$(BIN)/uv pip install -q --python $(BIN)/python -e ".[$$extras]" -c constraints.txt || { \
		echo "uv did not do it; trying pip"; \
		$(BIN)/python -m pip install -q -e ".[$$extras]" -c constraints.txt; }
	@touch $@

$(VENV)/.ready-venv:
	@for python in $(PY) python3.11 python3.12 python3.13 python3.14; do \
		"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
		"$$python" -m venv $(VENV) || { \
			echo "error: $$python cannot make a virtual environment" >&2; \
			echo "fix: install its venv module (on Debian: apt-get install python3-venv)" >&2; exit 1; }; \
		$(BIN)/python -m pip install -q uv || echo "no uv to be had; pip will do"; \
		touch $@; exit 0; \
	done; \
	echo "error: no Python 3.11 or newer ($(PY) is $$($(PY) --version 2>&1 || true))" >&2; \
	echo "fix: install one, or name it: make PY=/path/to/python3.11" >&2; exit 1
