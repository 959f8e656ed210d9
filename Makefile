# Each target sets up what it needs: .venv, the packages in it and, for root on Debian, system packages.
# PYTHON=python3.12 names another interpreter, ARGS="..." goes to the program that a target runs.

PYTHON ?=
ARGS ?=
BIN := .venv/bin
# The warnings are setuptools' about editable installs in general, a page of them each time.
INSTALL := PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run test lint bench idle load clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: .venv/.stamp-base ## serve examples/welcome on http://127.0.0.1:9357 and https 9443, or the next free ports
	@$(BIN)/greenbas serve examples.welcome.site:server --port 9357 --port-range 9370 \
		--tls-port 9443 --tls-port-range 9456 --dev $(ARGS)

test: .venv/.stamp-test ## run all tests; ARGS="..." are pytest's, for some of them
	@.ci/system-packages curl chromium haproxy nginx-light openssl redis-server
	@$(BIN)/python tests/run.py $(ARGS)

lint: .venv/.stamp-lint ## check with ruff and mypy
	@$(BIN)/ruff check $(ARGS)
	@$(BIN)/mypy

bench: .venv/.stamp-bench ## compare with other servers, by wrk; ARGS="--help" lists the options
	@.ci/system-packages wrk nginx-light haproxy
	@$(BIN)/python loadtests/bench.py $(ARGS)

idle: .venv/.stamp-base ## hold thousands of idle connections and print the memory of each
	@$(BIN)/python loadtests/idle.py $(ARGS)

load: .venv/.stamp-load ## two minutes of locust; its thresholds decide the exit code
	@$(BIN)/python loadtests/load.py $(ARGS)

clean: ## remove caches and what building left (.venv stays)
	@rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis tests/browser/shots
	@find . -path ./.venv -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp for each extra, inside .venv so that it goes when .venv goes. A change of setup.cfg or pyproject.toml
# installs again; a change of the code needs no installing, the install is editable.
.venv/.stamp-base: setup.cfg pyproject.toml | .venv/bin/python
	@$(INSTALL) --editable .
	@touch $@

# The peers of the benchmark. Some need a compiler and are compared only where they build.
.venv/.stamp-bench: loadtests/requirements.txt loadtests/requirements-optional.txt setup.cfg pyproject.toml | .venv/bin/python
	@.ci/system-packages gcc libev-dev python3-dev
	@$(INSTALL) --editable . -r loadtests/requirements.txt
	@$(INSTALL) -r loadtests/requirements-optional.txt \
		>.venv/optional-peers.log 2>&1 || echo "not all optional peers could be built; see .venv/optional-peers.log"
	@touch $@

.venv/.stamp-%: setup.cfg pyproject.toml | .venv/bin/python
	@$(INSTALL) --editable '.[$*]'
	@touch $@

.venv/bin/python:
	@PYTHON='$(PYTHON)' .ci/venv
