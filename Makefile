# Every command sets up what it needs: a virtual environment in .venv, made once.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
OLD ?= HEAD~1
NEW ?= HEAD

.PHONY: demo examples docs historical test test-slow test-all lint bench compare defaults gradients clean

## The main job on real data: compare gradient sources and optimizers.
demo: $(VENV)/.plot
	$(BIN)/python examples/compare_learners.py

## All scripts in examples/, one after the other.
examples: $(VENV)/.examples
	@for script in examples/*.py; do echo; echo "== $$script"; $(BIN)/python $$script || exit 1; done

## The documentation site, in docs/_build/html; with EXAMPLES=all every script is run for it.
docs: $(VENV)/.docs
	EXAMPLES=$(EXAMPLES) $(BIN)/sphinx-build -W --keep-going -b html -d docs/_build/doctrees docs docs/_build/html

## The experiments of 1986, run again with 20 seeds.
historical: $(VENV)/.plot
	$(BIN)/python examples/historical/experiments.py

## The tests that take seconds, with doctests and the README's code blocks.
test: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto -m "not slow"

## The tests that `test` leaves out: minutes.
test-slow: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto -m slow tests

## All tests.
test-all: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

## skgd beside its peers, in one run: networks, linear models, predictions, memory, start-up.
bench: $(VENV)/.bench
	$(BIN)/python benchmarks/bench.py
	$(BIN)/python benchmarks/gradients.py

## Whether a commit is slower than another: make compare OLD=v0.1 NEW=HEAD
compare: $(VENV)/.bench
	$(BIN)/python benchmarks/compare_commits.py $(OLD) $(NEW)

## How the defaults fit, beside scikit-learn, on twenty data sets.
defaults: $(VENV)/.bench
	$(BIN)/python benchmarks/defaults.py

## What gradients cost, beside HIPS autograd and scipy.optimize.approx_fprime.
gradients: $(VENV)/.bench
	$(BIN)/python benchmarks/gradients.py

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.plot: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable ".[plot]"
	touch $@

$(VENV)/.examples: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable ".[plot,examples]"
	touch $@

$(VENV)/.docs: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable ".[docs]"
	touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

$(VENV)/.bench: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable ".[bench]"
	touch $@

clean:
	rm -rf $(VENV) build docs/_build docs/generated *.egg-info
