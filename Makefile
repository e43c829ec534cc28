# On a machine with Python 3.11+, pip and make: `make run`, `make test`. Nothing else to set up.

PYTHON ?= $(shell for each in python3 python3.15 python3.14 python3.13 python3.12 python3.11 python; do \
	$$each -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$each && break; done)
VENV := .venv
BIN := $(VENV)/bin

# A stamp is as old as what is installed: a lock that is newer is installed again.
RUN_STAMP := $(VENV)/.installed-run
DEV_STAMP := $(VENV)/.installed-dev
CLIENTS := $(VENV)/clients
CLIENTS_STAMP := $(VENV)/.installed-clients
NODE := tests/clients/node
NODE_STAMP := $(NODE)/node_modules/.package-lock.json
MADE := build/clients

.DEFAULT_GOAL := help
.PHONY: help run test check clients judge fuzz simulate bench faults soak openapi pictures image lock clean

help: ## what can be made
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 10

run: $(RUN_STAMP) ## run the proxy with an embedded upstream: nothing to configure
	$(BIN)/python -m app serve --sandbox

# Three at once: browsers and sockets make tests wait.
test: $(DEV_STAMP) ## run every test; each branch of app/ has to be run
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest --numprocesses 3 --dist loadfile
	@$(BIN)/coverage combine --quiet
	@told=$$($(BIN)/coverage report 2>&1) || { echo "$$told"; exit 1; }

check: $(DEV_STAMP) ## format, lint, types, and which room may import which
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry app
	$(BIN)/deptry tests bench tools docs --ignore DEP002,DEP004
	$(BIN)/hadolint Dockerfile

clients: $(DEV_STAMP) $(CLIENTS_STAMP) $(NODE_STAMP) ## make a TypeScript and a Python client, check and use them
	rm -rf $(MADE) $(NODE)/build && mkdir -p $(MADE)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(CLIENTS)/bin/openapi-python-client generate --path openapi/openapi.json \
		--meta none --output-path $(MADE)/orders_client --fail-on-warning
	$(NODE)/node_modules/.bin/openapi-typescript openapi/openapi.json --output $(NODE)/build/orders.d.ts
	MYPYPATH=$(MADE) $(BIN)/mypy --config-file tests/clients/python/mypy.ini \
		--python-executable $(CLIENTS)/bin/python $(MADE)/orders_client tests/clients/python
	$(NODE)/node_modules/.bin/tsc --project $(NODE)
	$(BIN)/python -m tests.clients $(CLIENTS)/bin/python $(MADE)

judge: $(NODE_STAMP) ## what Spectral and Redocly say of openapi/openapi.json
	$(NODE)/node_modules/.bin/spectral lint openapi/openapi.json --ruleset $(NODE)/spectral.yaml --fail-severity warn
	$(NODE)/node_modules/.bin/redocly lint openapi/openapi.json --config $(NODE)/redocly.yaml

fuzz: $(DEV_STAMP) $(CLIENTS_STAMP) ## let Schemathesis ask a running server: CASES an operation (1000)
	$(BIN)/python -m tests.fuzz $(CLIENTS)/bin/schemathesis

WORLDS ?= 1000000
simulate: $(DEV_STAMP) ## a million small worlds, each with an order of events of its own; SEED=123 tells one
	@$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED) --verbose,--worlds $(WORLDS))

bench: $(DEV_STAMP) ## how fast a hit is, on this machine
	$(BIN)/python -u -m bench

faults: $(DEV_STAMP) ## try every fault on real processes, and write docs/faults.md
	$(BIN)/python -m tests.faults --output docs/faults.md

MINUTES ?= 10
soak: $(DEV_STAMP) ## minutes of load while the upstream breaks and is away: what was wrong (MINUTES=10); BUSY=1 judges no times
	$(BIN)/python -m tests.soak --minutes $(MINUTES) $(if $(BUSY),--busy)

openapi: $(DEV_STAMP) ## write openapi/openapi.json from the code
	$(BIN)/python -m app openapi --output openapi/openapi.json

pictures: $(DEV_STAMP) ## take the pictures of the docs anew, with Chromium
	$(BIN)/python -m docs.pictures

image: $(DEV_STAMP) ## do the steps of the Dockerfile, without an engine
	$(BIN)/python -m tests.image_steps

# Nothing of the machine that locks may stand in a lock: no index, no URL, no path.
LOCK := $(BIN)/python -m uv pip compile --quiet --upgrade --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"

lock: | $(BIN)/python ## pin the newest versions that pyproject.toml allows, with hashes
	@$(BIN)/python -m uv --version >/dev/null 2>&1 || $(BIN)/python -m pip install --quiet 'uv>=0.9'
	$(LOCK) pyproject.toml --output-file requirements.lock
	$(LOCK) pyproject.toml --group dev --constraint requirements.lock --output-file requirements-dev.lock
	$(LOCK) --group pyproject.toml:clients --output-file requirements-clients.lock

clean: ## remove what was made, the environment too
	rm -rf $(VENV) build dist .coverage .coverage.* .hypothesis .import_linter_cache \
		.mypy_cache .pytest_cache .ruff_cache
	find app tests bench -name __pycache__ -type d -exec rm -rf {} +

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(RUN_STAMP): requirements.lock | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

$(CLIENTS_STAMP): requirements-clients.lock | $(BIN)/python
	$(BIN)/python -m venv $(CLIENTS)
	$(CLIENTS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-clients.lock
	@touch $@

$(NODE_STAMP): $(NODE)/package-lock.json
	npm ci --prefix $(NODE) --no-audit --no-fund --ignore-scripts --loglevel=error
	@touch $@

$(DEV_STAMP): requirements-dev.lock | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@
