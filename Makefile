# Everything a working copy needs, from a fresh clone with Python 3.11+ and GNU make.
# `make` prints the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# More arguments for pytest: make unit PYTEST_ARGS="-k chunked -x"
PYTEST_ARGS ?=

# Each is a program that takes --seconds.
FUZZERS := $(filter-out test_%,$(basename $(notdir $(wildcard tests/fuzz/[a-z]*.py))))
FUZZ_SECONDS ?= 60

# Arguments for the benchmarks: make bench BENCH_ARGS="--rows hello --rounds 1"
BENCH_ARGS ?=

# Processes that run tests: one more than there are cores, because tests wait much for others.
WORKERS := $(shell $(PYTHON) -c 'import os; print(1 + (os.cpu_count() or 1))')

# Where 100 % of lines and branches are required; pyproject.toml has the overall gate.
FULLY_COVERED := src/tidegate/wire/*,src/tidegate/exchange/*

# pip reports what it cannot do, and nothing else.
PIP_INSTALL := $(BIN)/python -m pip install -qq --no-compile --disable-pip-version-check

# The tests start many processes; each would compile the sources again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help serve test lint types unit matrix fast docs fuzz sanitize bench wheels system clean

define announce
@printf '\n==> %s\n' '$(1)'
endef

help:  ## print this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1|\2/p' $(firstword $(MAKEFILE_LIST)) \
		| awk -F '|' '{ printf "%-13s %s\n", $$1, $$2 }'

serve: $(VENV)/installed  ## serve the demo, examples/demo, on http://127.0.0.1:8000
	$(call announce,Serving the demo on http://127.0.0.1:8000; Ctrl+C stops it)
	@$(BIN)/tidegate run demo:app --app-dir examples --host 127.0.0.1 --port 8000

test: $(VENV)/installed-dev system lint types unit matrix  ## run every check and every test
	$(call announce,All checks passed)

lint: $(VENV)/installed-dev  ## check format and lint
	$(call announce,Format)
	@$(BIN)/ruff format --check .
	$(call announce,Lint)
	@$(BIN)/ruff check .

types: $(VENV)/installed-dev  ## check types with mypy --strict
	$(call announce,Types)
	@$(BIN)/mypy

unit: $(VENV)/installed-dev  ## run the tests and both coverage gates
	$(call announce,Tests)
	@$(BIN)/coverage erase
	@$(BIN)/python -m pytest -n $(WORKERS) --cov --cov-report= --cov-fail-under=0 $(PYTEST_ARGS)
	$(call announce,Coverage: overall)
	@$(BIN)/coverage report
	$(call announce,Coverage: wire and exchange)
	@$(BIN)/coverage report --include='$(FULLY_COVERED)' --fail-under=100

matrix: $(VENV)/installed-dev  ## run the tests compiled, on the other Python versions found
	$(call announce,Tests compiled; on the other Python versions found)
	@$(BIN)/nox

fast: $(VENV)/installed-dev  ## build Tidegate compiled and run all tests on it
	$(call announce,All tests compiled)
	@$(BIN)/nox --session compiled -- tests $(PYTEST_ARGS)

docs: $(VENV)/installed-dev  ## run the examples of README.md and docs/
	$(call announce,Examples of README.md and docs/)
	@$(BIN)/python -m pytest tests/test_docs.py $(PYTEST_ARGS)

fuzz: $(VENV)/installed-dev  ## run the fuzzers at length
	$(call announce,Fuzzers)
	@for fuzzer in $(FUZZERS); do \
		$(BIN)/python -m tests.fuzz.$$fuzzer --seconds $(FUZZ_SECONDS) || exit 1; \
	done

sanitize: $(VENV)/installed-dev  ## run the tests of wire with the sanitizers of gcc
	$(call announce,Sanitizers)
	@$(BIN)/nox --session sanitize

wheels: $(VENV)/installed-dev  ## build wheels and sources into dist, and try each
	$(call announce,Wheels)
	@$(BIN)/nox --session wheels

bench: $(VENV)/installed-dev  ## measure Tidegate beside other servers
	$(call announce,Benchmarks)
	@$(PIP_INSTALL) -r bench/requirements.txt
	@$(BIN)/python -m bench $(BENCH_ARGS)

clean:  ## delete what the other targets made
	$(call announce,Deleting what the other targets made)
	@rm -rf $(VENV) .nox build dist src/*.egg-info .coverage .coverage.* \
		.hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find bench examples src tests -name ".*" -prune -o -type d -name __pycache__ -prune -exec rm -rf {} +

system:
	$(call announce,System packages)
	@sh tools/system_packages.sh

# pip is the last thing `python -m venv` makes, so it tells that all of it worked.
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		found=$$($(PYTHON) --version 2>&1 | head -n 1); \
		echo "make: Tidegate needs Python 3.11 or newer, '$(PYTHON)' is: $$found. Choose another: make PYTHON=python3.12" >&2; \
		exit 1; }
	$(call announce,Creating $(VENV))
	@$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml | $(BIN)/pip
	$(call announce,Installing Tidegate and what its demo uses)
	@$(PIP_INSTALL) -e '.[demo]'
	@touch $@

$(VENV)/installed-dev: pyproject.toml | $(BIN)/pip
	$(call announce,Installing Tidegate and what its tests use)
	@$(PIP_INSTALL) -e '.[dev]'
	@touch $(VENV)/installed $@
