# The project's commands.  Needs Python 3.11 or later and make; everything else is installed into .venv.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev

# Options of `lfsql up`, e.g. `make up UP="--nodes 5 --port 5500"`.
UP ?=
# Options of pytest, e.g. `make test PYTEST="-k election -x"`.
PYTEST ?=
# Least coverage, in percent, of each pure part; 0 turns the gate off.
COVERAGE_MIN ?= 90
# Options of `make sim`, e.g. `make sim SIM="--seeds 100 --first 7000"`.
SIM ?= --seeds 10000
# Options of `make chaos`, e.g. `make chaos CHAOS="--seconds 60 --seed 7"`; ten minutes of a new seed without.
CHAOS ?=
PURE := lfsql/core lfsql/values proxy/pg proxy/sql

.PHONY: up test lint types coverage bench sim chaos clean

up: $(INSTALLED)
	@exec $(BIN)/lfsql up $(UP)

# Silent after the tests when all is well, so that the last line says how they ended.
test: lint types
	@$(BIN)/coverage erase
	$(BIN)/python -m tests $(PYTEST)
	@$(MAKE) --no-print-directory --silent coverage > $(VENV)/coverage.txt || { cat $(VENV)/coverage.txt; exit 1; }

lint: $(INSTALLED_DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED_DEV)
	$(BIN)/mypy

# Of the last `make test`.
coverage: $(INSTALLED_DEV)
	@for part in $(PURE); do \
		$(BIN)/coverage report --include="$$part/*" --skip-covered --fail-under=$(COVERAGE_MIN) || \
			{ echo "coverage of $$part is below $(COVERAGE_MIN) %"; exit 1; }; \
	done

bench: $(INSTALLED_DEV)
	$(BIN)/python -m bench.compare

# Whole clusters with faults of every kind, one for each seed; see docs/testing.md.
sim: $(INSTALLED_DEV)
	$(BIN)/python -m lfsql.testing.simulator $(SIM)

# Real processes, clients and faults; what this machine does not permit (partitions, full disks) is left out and said.
chaos: $(INSTALLED_DEV)
	$(BIN)/python -m tests.chaos $(CHAOS)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage

# Installed again only when the requirements change.
$(INSTALLED): pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later is needed: set PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is too old: Python 3.11 or later is needed" >&2; exit 1; }
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	@echo "installing into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(INSTALLED_DEV): $(INSTALLED)
	@echo "installing the tools of development into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
