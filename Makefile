# The two commands of the README: make quickstart, make test. Everything runs inside .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
RUN_DIR ?= runs/quickstart

.PHONY: setup quickstart test test-slow faults lint bench clean
.DEFAULT_GOAL := setup

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

quickstart: $(STAMP)
	$(BIN)/python search.py --config configs/search/quickstart.yaml --run_dir $(RUN_DIR)
	$(BIN)/python train.py --config configs/train/quickstart.yaml --run_dir $(RUN_DIR)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pip check

test: lint
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-slow: lint
	$(BIN)/python -m pytest -m slow

faults: $(STAMP)
	$(BIN)/python -m tests.fuzz --inputs 10000
	$(BIN)/python -m tests.faults

bench: $(STAMP)
	$(BIN)/python -m bench

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
