# Two commands on a fresh machine with Python 3.11+, Java 17+ and make: `make demo` and `make test`.

PYTHON ?= python3
VENV ?= .venv
# processes that tests run in; each has its own servers and Spark session, and waits for them most of its time
WORKERS ?= 2
SPREAD = -n $(WORKERS) --dist loadfile --no-loadscope-reorder --durations=25
BIN = $(VENV)/bin
# Spark starts its Python workers by the name `python3`
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all lint classes format bench clean

help:  ## show this list
	@sed -n 's/^\([a-z-]*\):.*##/  make \1 -/p' $(MAKEFILE_LIST)

setup: $(VENV)/.test  ## create .venv with the package in editable mode and all that the tests need

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "spark_dynamo needs Python 3.11 or newer, and this is " + sys.version.split()[0] + ". Name another one: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.demo: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[demo]'
	@touch $@

$(VENV)/.test: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	@touch $@ $(VENV)/.demo

demo: $(VENV)/.demo  ## write real tables to a local DynamoDB, read them back, ask Spark a question
	@$(BIN)/spark-dynamo demo

lint: setup  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# an archive of Spark's Java classes, with which its sessions start in half the time
classes: setup
	@$(BIN)/python -m tests.servers.spark_classes

test: setup  ## all checks, and all tests but the slow ones
	@$(MAKE) --no-print-directory --jobs 2 lint classes
	$(BIN)/pytest -m 'not slow' $(SPREAD)

test-all: setup classes  ## all tests, those that take long and all notebooks too
	$(BIN)/pytest $(SPREAD)

format: setup  ## let ruff format and mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup .venv-bench/.ready  ## reading and writing, measured against their peers in the same run
	$(BIN)/python -m tests.benchmarks --peer-python .venv-bench/bin/python

# awswrangler asks for an older pyarrow than the one that is measured here
.venv-bench/.ready:
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet awswrangler
	@touch $@

clean:  ## remove all that make made
	rm -rf $(VENV) .venv-bench .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist spark-warehouse
