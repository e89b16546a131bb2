# One entry for every job; each makes the environment it needs.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help venv demo test check chaos soak bench up clean

VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
JOBS ?= 3
EXTRAS := dev
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# The first that runs and is new enough; up to 3.12 first, because a wheel holds a Redis for these.
FIND_PYTHON := for p in python3.12 python3.11 python3 python3.13 python3.14 python; do \
  $$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done
PYTHON ?= $(shell $(FIND_PYTHON))

help: ## what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(READY): pyproject.toml constraints.txt
	@if [ -z "$(PYTHON)" ]; then echo "penstock needs Python 3.11 or newer: none found; set PYTHON=" >&2; exit 1; fi
	@[ -x $(BIN)/python ] || { echo "making $(VENV) with $(PYTHON)"; $(PYTHON) -m venv $(VENV); }
	@echo "installing penstock[$(EXTRAS)] into $(VENV)"
	@$(BIN)/python -m pip install --quiet --editable '.[$(EXTRAS)]' --constraint constraints.txt
	@touch $@

venv: $(READY) ## the environment alone

demo: $(READY) ## restore 300 archived objects, stream a photo, and print what happened
	@$(BIN)/python -m engine.cli.demo

test: $(READY) ## the whole test suite
	@$(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadscope --no-loadscope-reorder $(ARGS)

check: $(READY) ## lint, types, architecture
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest --quiet tests/test_architecture.py

chaos: $(READY) ## kill workers, Redis and the network while flows run; some minutes
	@$(BIN)/python -m tests.chaos.run $(ARGS)
	@$(BIN)/python -m tests.chaos.recovery
	@$(BIN)/python -m pytest tests/chaos tests/acceptance/test_kills.py -m '' --timeout 600

soak: $(READY) ## ten minutes of steps, then 100,000 that wait: what stays, what it costs
	@$(BIN)/python -m tests.chaos.soak
	@$(BIN)/python -m tests.chaos.sleepers

bench: $(READY) ## speeds, as ratios to plain Celery on the same Redis
	@$(BIN)/python -m tests.bench $(ARGS)

up: $(READY) ## a local stack: Redis, worker, API and console, Flower
	@$(BIN)/penstock up $(ARGS)

clean: ## remove the environment and what was made
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache demo-output dist build
