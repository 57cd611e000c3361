# Everything a checkout can do; `make` alone lists it. Needs make, Python 3.11 or newer, and for the
# tests on a real Kafka broker Java 17 and Maven.

.DEFAULT_GOAL := help
.PHONY: help demo test check soak bench peers goldens pins clean remake

PYTHON ?= python3
VENV := .venv
ARGS ?=
# Test processes, each with servers of its own; a test waits more than it computes.
JOBS ?= 3

IN_VENV := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
PIP := $(IN_VENV) -m pip --disable-pip-version-check
CONTRACTS := $(wildcard schemas/sessionfold_schemas/published/*.avsc) schemas/sessionfold_schemas/session_updated.avsc
SOURCES := $(wildcard schemas producer consumer tests benchmarks examples)

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo 'ARGS="..." is passed on: make test ARGS="-k fold". PYTHON=... chooses the interpreter of $(VENV).'
	@echo 'JOBS=3 is how many processes run the tests; JOBS=0 runs them in one.'

demo: $(INSTALLED) ## Five workers report into an embedded broker; watch their sessions, a minute.
	@$(IN_VENV) examples/demo.py $(ARGS)

test: $(INSTALLED) ## All tests, on a Kafka broker that they start and stop.
	@$(IN_VENV) -m pytest -n $(JOBS) --dist worksteal $(ARGS)

check: $(INSTALLED) ## Lint, format, types, the contract's history, and what the wheel holds.
	@$(IN_VENV) -m ruff check .
	@$(IN_VENV) -m ruff format --check .
	@$(IN_VENV) -m mypy $(SOURCES)
	@set -e; for file in $(CONTRACTS); do $(VENV)/bin/sessionfold schema check $$file; done
	@$(IN_VENV) -m pytest -q tests/unit/test_wheel.py

soak: $(INSTALLED) ## The tests that run for minutes: random kills, many generated cases.
	@SESSIONFOLD_TEST_PROFILE=soak $(IN_VENV) -m pytest -m "soak or hypothesis" $(ARGS)

bench: $(INSTALLED) ## The benchmarks, side by side with what they are compared to; half an hour.
	@$(IN_VENV) -m benchmarks $(ARGS)

peers: $(INSTALLED) ## Install the telemetry clients that the benchmark sets the SDK beside.
	@$(PIP) install -q --require-hashes -r requirements/peers.txt

goldens: $(INSTALLED) ## Write the golden records anew with Avro's Java implementation.
	@$(IN_VENV) -m tests.contract.goldens

pins: $(INSTALLED) ## Write requirements/ anew from pyproject.toml (ARGS=--upgrade for newer releases).
	@$(PIP) install -q uv
	@$(PIN) pyproject.toml --extra consumer --extra postgres --group dev -o requirements/dev.txt
	@$(PIN) pyproject.toml --extra consumer --extra postgres -o requirements/run.txt
	@$(PIN) --group build -o requirements/build.txt
	@$(PIN) --group peers -c requirements/dev.txt -o requirements/peers.txt

clean: ## Remove the environment, fetched jars, caches and build output.
	rm -rf .venv .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

PIN = UV_CUSTOM_COMPILE_COMMAND='make pins' $(IN_VENV) -m uv pip compile -q --universal \
	--python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links $(ARGS)

# An interpreter that was asked for by name, and is not the environment's, makes it anew.
ifneq ($(origin PYTHON),file)
ifneq ($(wildcard $(INSTALLED)),)
VERSION := -c 'import sys; print(sys.version)'
ifneq ($(shell $(PYTHON) $(VERSION)),$(shell $(IN_VENV) $(VERSION)))
OTHER_PYTHON := remake
endif
endif
endif

define CHECK_PYTHON
import sys
choose = "; name another interpreter, for example: make test PYTHON=python3.12"
if sys.version_info < (3, 11):
    sys.exit("sessionfold needs Python 3.11 or newer, $(PYTHON) is %d.%d" % sys.version_info[:2] + choose)
try:
    import ensurepip, venv
except ImportError:
    sys.exit("$(PYTHON) cannot make environments (on Debian: apt-get install python3-venv)" + choose)
endef
export CHECK_PYTHON

$(INSTALLED): pyproject.toml requirements/dev.txt $(OTHER_PYTHON)
	@command -v $(PYTHON) > /dev/null || { \
		echo "there is no $(PYTHON); sessionfold needs Python 3.11 or newer: make test PYTHON=/path/to/python" >&2; \
		exit 1; }
	@$(PYTHON) -c "$$CHECK_PYTHON"
	@echo "installing into $(VENV), once ..."
	@$(PYTHON) -m venv $(if $(OTHER_PYTHON),--clear) $(VENV)
	@$(PIP) install -q --require-hashes -r requirements/dev.txt
	@$(PIP) install -q --no-deps --no-build-isolation -e .
	@touch $@
