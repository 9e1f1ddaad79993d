PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
SOURCES := vidgen plugins tests benchmarks
PYTEST := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal

.PHONY: help demo install install-test test test-all check format bench docs clean

help:  ## Show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; assert (3, 11) <= sys.version_info[:2] <= (3, 13), "vidgen needs Python 3.11 to 3.13; run: make PYTHON=python3.12 ..."'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(PIP) install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@

install: $(VENV)/installed  ## Create .venv and install vidgen into it

install-test: $(VENV)/installed-test  ## Install what the tests need as well

demo: install  ## Generate a video from a prompt with the shipped model, into out/
	$(BIN)/vidgen generate "a large red circle moving left on a black background" --seed 0 --output out/demo.mp4 --output out/demo.gif

test: install-test  ## Run the tests (the quick ones)
	$(PYTEST) -m "not slow"

test-all: install-test  ## Run every test
	$(PYTEST)

check: install-test  ## Lint, formatting and types
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy

format: install-test  ## Put the code into its format
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

bench: install-test  ## Measure the shipped model: prompts, reconstruction, speed, solvers
	$(BIN)/python -m benchmarks

docs: install  ## Build the site, warnings as errors
	$(PIP) install --quiet --constraint constraints.txt --editable '.[docs]'
	$(BIN)/mkdocs build --strict

clean:  ## Remove what can be made again
	rm -rf build dist site .mypy_cache .pytest_cache .ruff_cache
