# The two commands of the README: make quickstart, make test. Everything runs inside .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DEVELOPING := $(VENV)/.developing
RUN_DIR ?= runs/quickstart

.PHONY: setup quickstart test test-slow test-lowest dist faults lint docs bench clean
.DEFAULT_GOAL := setup

setup: $(DEVELOPING)

# What search.py and train.py need: the quick start waits for no more.
$(INSTALLED): pyproject.toml constraints.txt
	@sh install.sh $(PYTHON) $(VENV) .
	@touch $@

# What the tests and the pages need beside it.
$(DEVELOPING): pyproject.toml constraints.txt
	@sh install.sh $(PYTHON) $(VENV) '.[dev,docs]'
	@touch $(INSTALLED) $@

quickstart: $(INSTALLED)
	@$(BIN)/naswot search --config quickstart --run_dir $(RUN_DIR)
	@$(BIN)/naswot train --config quickstart --run_dir $(RUN_DIR)

lint: $(DEVELOPING)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pip check

test: lint
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-slow: lint
	$(BIN)/python -m pytest -m slow

# The wheel and the source distribution, as an index would take them.
dist: $(DEVELOPING)
	rm -rf dist
	$(BIN)/python -m build --no-isolation
	$(BIN)/python -m twine check --strict dist/*

# PYTHONS=3.11:lowest-direct on a machine that has no other.
test-lowest: $(DEVELOPING)
	sh tests/lowest.sh $(BIN)/uv $(PYTHONS)

# Damaged files for every reader, then three rounds of every fault that is caused on purpose: about an hour.
faults: $(DEVELOPING)
	$(BIN)/python -m tests.fuzz --inputs 10000
	$(BIN)/python -m tests.faults

docs: $(DEVELOPING)
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "Pages: site/index.html"

bench: $(DEVELOPING)
	$(BIN)/python -m bench

clean:
	rm -rf $(VENV) site build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
