# The commands a person needs; .ci/run calls the same. `make demo` and `make test` set everything up by themselves.
PYTHON ?= python3.11
PYTHON := $(or $(shell command -v $(PYTHON)),python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup-stamp
# Processes that `make test` spreads over.
JOBS ?= 2

.PHONY: setup check test test-long test-all test-cpus demo demo-train photos graphics bench clean
.DELETE_ON_ERROR:

setup: $(STAMP)

# The stamp is made last, so that an interrupted install is done again.
$(STAMP): pyproject.toml requirements.lock
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint requirements.lock --editable '.[dev]'
	touch $(STAMP)

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/pyright

# Fast tests: no server, no package downloads.
test: setup
	$(BIN)/pytest -n $(JOBS) -m "not slow and not mediawiki and not browser and not gpu"

# Loops at their full length, ten times what CI does: kills, fuzz, properties. Hours.
test-long: setup
	LUCIDLR_LONG=1 $(BIN)/pytest --timeout 7200 -m "not gpu"

# Everything that this machine can run; those that lack a part say so.
test-all: setup
	$(BIN)/pytest

# Tests of golden values, as other processors compute: Intel's and AMD's, with and without wide vectors.
test-cpus: setup
	$(BIN)/python scripts/test_cpus.py

demo: setup
	$(BIN)/lucidlr demo

# NFT on the demo's dataset with a tiny model, three ways; about ten minutes on two idle cores. `make photos` first gives
# the pretraining more photographs, as for docs/training-results.md.
demo-train: setup
	$(BIN)/lucidlr demo-train

# Photographs from Debian packages, for claims about held-out photographs. No root; checksums are verified.
photos:
	./scripts/fetch_photos.sh .photos

# Screenshots and drawings, for the label that tells them from photographs.
graphics:
	./scripts/fetch_photos.sh .graphics --table graphics

bench: setup
	$(BIN)/python -m benchmarks

clean:
	rm -rf out .pytest_cache .ruff_cache .hypothesis
