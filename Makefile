# Two commands do everything, on a machine with Python 3.11 or newer and nothing else:
#   make demo    train, save, load and draw the digits classifier
#   make test    lint, type check and the whole test suite
# and a third one, which downloads PyTorch and TensorFlow:
#   make engines    what depends on the backend, tested on JAX, PyTorch and TensorFlow
# Each makes .venv and installs what it needs the first time; later runs start at once.
# Use another interpreter with:  make test PYTHON=python3.13
.DEFAULT_GOAL := help
.PHONY: help demo test lint types pytest reference engines bench clean

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --progress-bar off --disable-pip-version-check
WORKERS ?= 2
ENGINES ?= jax torch tensorflow

# The matrices of the demo and the tests are small: more BLAS threads than cores (two for each of two test workers) only
# wait for each other, ten times as long as they compute.
ONE_THREAD := OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1
PYTEST := $(ONE_THREAD) $(BIN)/python -m pytest -q -n $(WORKERS)

# The first interpreter on the path that is new enough.
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(firstword $(foreach p,python3 python3.14 python3.13 python3.12 python3.11 python,\
	$(shell $(p) -c '$(NEW_ENOUGH)' 2>/dev/null && echo $(p))))

help:
	@sed -n '1,7s/^# \{0,1\}//p' Makefile

demo: $(VENV)/demo.stamp
	$(ONE_THREAD) $(BIN)/python examples/digits_demo.py

test: lint types pytest reference

lint: $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/test.stamp
	$(BIN)/mypy

pytest: $(VENV)/test.stamp
	$(PYTEST) --ignore tests/engines

# Once more on the backend that it is compared with.
reference: $(VENV)/test.stamp
	$(PYTEST) --backend numpy --ignore tests/engines

# What depends on the backend, on the other engines: every op, the tape and the core, training and saving. A process for
# each suite, as the engines keep all that they compiled.
engines: $(VENV)/engines.stamp
	$(PYTEST) tests/engines
	set -e; for engine in $(ENGINES); do for suite in core ops train saving; do \
		$(PYTEST) --backend $$engine tests/$$suite; done; done

bench: $(VENV)/test.stamp
	$(BIN)/python -m benchmarks core

clean:
	rm -rf $(VENV) demo-output .pytest_cache .mypy_cache .ruff_cache .hypothesis

# An empty environment; a failed creation leaves nothing behind that looks finished.
$(VENV)/created.stamp:
	@$(or $(PYTHON),python3) -c '$(NEW_ENOUGH)' 2>/dev/null || \
		{ echo "Amalthea needs Python 3.11 or newer. Fix: install one, or name it: make PYTHON=/path/to/python3 ..."; exit 1; }
	@rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV) || { echo "Fix: install the venv module of this Python (on Debian: python3-venv)."; exit 1; }
	@touch $@

# Installed again when pyproject.toml changes. The package itself is installed editable.
$(VENV)/demo.stamp: pyproject.toml $(VENV)/created.stamp
	$(PIP) --editable '.[datasets,plot]'
	@touch $@

# The build of PyTorch for processors alone, as its other builds bring gigabytes.
$(VENV)/engines.stamp: $(VENV)/test.stamp
	$(PIP) --retries 10 --timeout 60 torch==2.13.0 'tensorflow-cpu==2.21.*'
	@touch $@

$(VENV)/test.stamp: pyproject.toml $(VENV)/created.stamp
	$(PIP) --editable '.[test]'
	@touch $@ $(VENV)/demo.stamp
