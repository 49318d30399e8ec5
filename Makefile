# Two commands on a fresh machine with Python 3.11+, Java 17+ and make: `make demo` and `make test`.

PYTHON ?= python3
VENV ?= .venv
# processes that tests run in: one has the Spark session, the others all else
WORKERS ?= 2
PYTEST = $(BIN)/pytest -n $(WORKERS) --dist loadgroup --no-loadscope-reorder --durations=15
CONSTRAINTS = tests/constraints.txt
BIN = $(VENV)/bin
# Spark starts its Python workers by the name `python3`
export PATH := $(CURDIR)/$(BIN):$(PATH)
# else each process of pytest and Spark compiles anew what it imports
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help setup demo test-unit test test-rest test-all test-newest test-versions lint lock servers classes format bench clean

help:  ## show this list
	@sed -n 's/^\([a-z-]*\):.*##/  make \1 -/p' $(MAKEFILE_LIST)

setup: $(VENV)/.test  ## create .venv with the package in editable mode and all that the tests need

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "spark_dynamo needs Python 3.11 or newer, and this is " + sys.version.split()[0] + ". Name another one: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.demo: $(VENV)/bin/python pyproject.toml $(CONSTRAINTS)
	$(BIN)/python -m pip install --quiet --constraint $(CONSTRAINTS) --editable '.[demo]'
	@touch $@

$(VENV)/.test: $(VENV)/bin/python pyproject.toml $(CONSTRAINTS)
	$(BIN)/python -m pip install --quiet --constraint $(CONSTRAINTS) --editable '.[test]'
	@touch $@ $(VENV)/.demo

lock: setup  ## raise what the tests are installed with to the newest of everything
	$(BIN)/uv pip compile pyproject.toml --extra test --universal --python-version 3.11 --upgrade \
		--no-header --no-annotate --no-emit-index-url --quiet --output-file $(CONSTRAINTS)

demo: $(VENV)/.demo  ## write real tables to a local DynamoDB, read them back, ask Spark a question
	@$(BIN)/spark-dynamo demo

lint: setup  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# an archive of Spark's Java classes, with which its sessions start in half the time
classes: setup
	@$(BIN)/python -m tests.servers.spark_classes

# a second DynamoDB server, compiled once by cargo; without cargo its tests are skipped
servers: setup
	@$(BIN)/python -m tests.servers.dynoxide

test-unit: setup  ## what needs neither Java nor a server, in a minute and a half
	$(PYTEST) -m unit

test: setup servers  ## all checks, unit tests, servers below Spark, one good pass through Spark: some six minutes
	@$(MAKE) --no-print-directory --jobs 2 lint classes
	$(PYTEST) -m 'not slow'

# what `make test` leaves out
test-rest: setup servers classes
	$(PYTEST) -m slow

test-all: test test-rest  ## all tests there are: notebooks, clusters, kills, versions, an installed wheel too

test-versions: setup servers  ## older pyspark, and the oldest of all dependencies, each in an environment of its own
	$(BIN)/pytest tests/versions

test-newest: setup  ## unit tests with the newest of everything; says what breaks, and does not fail
	@$(BIN)/python -m tests.versions.newest

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
