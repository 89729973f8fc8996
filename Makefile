# `make` alone lists the targets. Each sets up what it needs.

VENV ?= .venv
EXTRAS ?= test
WORKERS ?= 2
QUICK = "not slow and not browser and not postgres"
PY = $(VENV)/bin/python
STAMP = $(VENV)/.stamp
PIP = $(PY) -m pip install -q --disable-pip-version-check -c constraints.txt
NEW_ENOUGH = import sys; sys.exit(not (3, 11, 4) <= sys.version_info[:3] < (3, 14))

# A name on PATH may be a shim for a Python that is not there, so each is run.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c '$(NEW_ENOUGH)' 2>/dev/null && echo $$p && break; done)

# With it every process that a test starts compiles the library anew: half a second and more each.
unexport PYTHONDONTWRITEBYTECODE

# Each of the processes gets neighbouring tests, so that it alone makes the lakes of their module.
SHARED = -n $(WORKERS) --dist worksteal

# The quick tests' files are in memory where there is room (they take 0.3 GB): on a busy disk they wait
# for flushes of small files as long again as they work. `make test-all` writes to the disk.
MEMORY = $(shell test "$$(df -Pm /dev/shm 2>&- | awk 'NR == 2 {print $$4}')" -gt 2000 2>&- && \
	awk '/MemAvailable/ && $$2 > 6e6 {print "PYTEST_DEBUG_TEMPROOT=/dev/shm"}' /proc/meminfo)

.DEFAULT_GOAL := help
.PHONY: help setup demo test coverage test-all lint docs serve deploy bench campaign clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1|\2/p' Makefile | \
	while IFS='|' read -r name does; do printf '  %-14s %s\n' "$$name" "$$does"; done

setup: $(STAMP)  ## build .venv with the pinned versions (PYTHON=... chooses the interpreter)

$(STAMP): constraints.txt pyproject.toml
	@$(or $(PYTHON),false) -c '$(NEW_ENOUGH)' 2>/dev/null || { \
	echo "error: Python 3.11 (from 3.11.4 on), 3.12 or 3.13 is needed, found $(or $(PYTHON),none); install one, or name it: make setup PYTHON=/path/to/python3.12" >&2; exit 1; }
	@echo "building $(VENV) with $(PYTHON)"
	@rm -f $(STAMP)
	@$(PYTHON) -m venv --clear $(VENV)
	@$(PIP) -e '.[$(EXTRAS)]'
	@touch $@

demo: $(STAMP)  ## the whole migration once, on a local stand-in for the API
	@$(VENV)/bin/polygon-fundamentals demo

test: $(STAMP)  ## the quick tests
	@$(MEMORY) $(PY) -m pytest $(SHARED) -m $(QUICK)

coverage: $(STAMP)  ## the quick tests once more, measured: half as long again; fails below 88 %
	@$(MEMORY) $(PY) -m pytest $(SHARED) -m $(QUICK) --cov

test-all: $(STAMP)  ## every test; those that cannot run here are listed with the reason
	@$(PY) -m pytest -rs --cov

lint: $(STAMP)  ## ruff and mypy
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy

docs: $(STAMP)  ## the pages of docs/ as a site in site/; a broken link or anchor fails
	@$(PIP) -e '.[docs]'
	@NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --quiet --strict
	@echo "open site/index.html"

serve: $(STAMP)  ## try it out: a Prefect server, a worker and the schedules on this machine
	@$(PY) -m flows serve

deploy: $(STAMP)  ## register the deployments with the configured Prefect server
	@$(PY) -m flows deploy

BENCH_VENV ?= .venv-bench
BENCH_OUT ?= bench
BENCH_COMPANIES ?= 20
BENCH_PYTHON = $(BENCH_VENV)/bin/python

# One line at a time: a tool that cannot be installed is named, and reported as missing.
$(BENCH_VENV)/.stamp: benchmarks/requirements.txt
	@$(PYTHON) -m venv --clear $(BENCH_VENV)
	@grep -v '^#' benchmarks/requirements.txt | while read -r package; do \
	$(BENCH_PYTHON) -m pip install -q --disable-pip-version-check "$$package" || \
	echo "not installed, reported as missing: $$package" >&2; done
	@touch $@

bench: $(STAMP) $(BENCH_VENV)/.stamp  ## measure beside other tools (BENCH_COMPANIES="100 300"); goes on where it stopped
	@BENCH_PYTHON=$(abspath $(BENCH_PYTHON)) $(PY) -m benchmarks.run --out $(BENCH_OUT) --companies $(BENCH_COMPANIES)
	@$(PY) -m benchmarks.report $(BENCH_OUT)

MINUTES ?= 60

campaign: $(STAMP)  ## trials against kills, disks, clocks and a lying vendor (MINUTES=60 SEED=n); prints a seed where one fails
	@$(PY) -m campaign --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

clean:  ## remove .venv, caches and build products; lakes stay
	@rm -rf $(VENV) site build dist .coverage .coverage.* htmlcov .pytest_cache .mypy_cache .ruff_cache .hypothesis src/*.egg-info
	@find . -name __pycache__ -type d -not -path './data/*' -prune -exec rm -rf {} +
