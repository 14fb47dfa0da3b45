# The commands a person needs; .ci/run calls the same. `make demo` sets up the light core, `make test` everything.
PYTHON ?= python3.11
PYTHON := $(or $(shell command -v $(PYTHON)),python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup-stamp
CORE := $(VENV)/.core-stamp
# Every file that comes from outside is checked by its SHA-256. The project itself has none: it is installed after them.
INSTALL = $(BIN)/python -m pip install --quiet --require-hashes --requirement
EDITABLE = $(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
LOCK = --python-version 3.11 --generate-hashes --no-header --no-annotate
# Processes that `make test` and CI spread over; a file of tests stays with one.
JOBS ?= 2
OVER = -n $(JOBS) --dist loadgroup --no-loadscope-reorder
# Folders of tests lie in memory where there is enough of it: what they write is synced, file by file.
FREE_KB = $(shell df --output=avail -k /dev/shm 2>/dev/null | tail -1)
MEMORY = $(shell test 0$(strip $(FREE_KB)) -gt 6000000 && echo PYTEST_DEBUG_TEMPROOT=/dev/shm)
# Hundreds of processes compile nothing twice.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup core lock docs check test test-slow test-long test-all test-cpus demo demo-train photos graphics bench rehearsal clean
.DELETE_ON_ERROR:

# Everything: torch, Prefect and what the tests need.
setup: $(STAMP)

# Enough for a dataset, 1.3 GB. Where everything is set up, that is kept up to date instead.
core: $(if $(wildcard $(STAMP)),$(STAMP),$(CORE))

# A stamp is made last, so that an interrupted install is done again.
$(STAMP): pyproject.toml requirements.lock
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) requirements.lock
	$(EDITABLE)
	touch $(STAMP)

$(CORE): pyproject.toml requirements-core.lock
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) requirements-core.lock
	$(EDITABLE)
	touch $(CORE)

# New locks from constraints.txt, by uv. Edit a version there, or delete its line, first.
lock:
	uv pip compile --quiet $(LOCK) -c constraints.txt --extra dev pyproject.toml scripts/build.in -o requirements.lock
	sed -n 's/^\([A-Za-z0-9_.-]*==[^ ]*\).*/\1/p' requirements.lock > constraints.txt
	uv pip compile --quiet $(LOCK) -c constraints.txt pyproject.toml scripts/build.in -o requirements-core.lock

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/pyright

# Fast tests: no server, no package downloads.
test: setup
	$(MEMORY) $(BIN)/pytest $(OVER) -m "not slow and not mediawiki and not browser and not gpu"

# Slow tests, a Prefect server, and the real MediaWiki.
test-slow: setup
	$(MEMORY) $(BIN)/pytest $(OVER) -m "(slow or mediawiki) and not gpu and not browser" --durations=10

# Loops at their full length, ten times what CI does: kills, fuzz, properties. Hours.
test-long: setup
	LUCIDLR_LONG=1 $(BIN)/pytest --timeout 7200 -m "not gpu"

# Everything that this machine can run; those that lack a part say so.
test-all: setup
	$(BIN)/pytest

# Tests of golden values, as other processors compute: Intel's and AMD's, with and without wide vectors.
test-cpus: setup
	$(BIN)/python scripts/test_cpus.py

# Documents that follow from the code: recipe.md, its JSON Schema, commands.md.
docs: setup
	$(BIN)/python -m pipelines.reference

demo: core
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

# 20,000 files listed and 5,000 downloaded from the embedded Commons, then five weeks of new ones. An hour or more; run
# it again after an interruption.
rehearsal: setup
	$(BIN)/python -m benchmarks rehearsal

clean:
	rm -rf out .pytest_cache .ruff_cache .hypothesis
