# Needs Python 3.11 or newer, pip and make. Start with `make run` or `make test`.

PYTHON ?= $(shell for each in python3 python3.15 python3.14 python3.13 python3.12 python3.11 python; do \
	$$each -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$each && break; done)
VENV := .venv
BIN := $(VENV)/bin
CLIENTS_VENV := $(VENV)/clients
AUDIT_VENV := $(VENV)/audit
NODE := tests/clients/node

# Empty files that record an installation. A lock file that is newer is installed again.
RUN_STAMP := $(VENV)/.installed-run
DEV_STAMP := $(VENV)/.installed-dev
CLIENTS_STAMP := $(VENV)/.installed-clients
AUDIT_STAMP := $(VENV)/.installed-audit
NODE_STAMP := $(NODE)/node_modules/.package-lock.json

# Variables for the command line, for example `make soak MINUTES=30`.
VERSIONS ?= 3.13 3.14 3.15
CLIENTS_OUT ?= build/clients
WORLDS ?= 1000000
MINUTES ?= 10

.DEFAULT_GOAL := help
.PHONY: fleet help run test test-pythons clients fuzz simulate check lint-openapi check-dockerfile \
	sbom audit image-digest openapi screenshots fault-report bench soak lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  %-18s%s\n", $$1, $$2 }' Makefile

##@ Run
run: $(RUN_STAMP) ## start the proxy with an embedded upstream; needs no configuration
	$(BIN)/python -m app serve --sandbox

##@ Test
# The store in Redis is tested with a real server only.
UNTESTED = $(shell command -v redis-server >/dev/null || echo --omit=app/cache/redis_store.py)

# Three processes even on two cores: tests with browsers and sockets spend time waiting.
# Test modules and the program are compiled once, not by each process.
test: export PYTHONDONTWRITEBYTECODE :=
test: $(DEV_STAMP) ## run all tests; fails below 100 % branch coverage of app/
	@echo "Running the tests…"
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest --numprocesses 3 --dist loadfile
	@$(BIN)/coverage combine --quiet
	@report=$$($(BIN)/coverage report $(UNTESTED) 2>&1) || { echo "$$report"; exit 1; }

test-pythons: $(DEV_STAMP) ## do `make run` and `make test` on VERSIONS="3.13 3.14 3.15"; needs root and debootstrap
	@$(BIN)/python -m tools.test_pythons $(VERSIONS)

simulate: $(DEV_STAMP) ## run WORLDS=1000000 simulated worlds, or replay one of them with SEED=123
	@$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED) --verbose,--worlds $(WORLDS) \
		--sync 1000 --anywhere 1000 --defects 400 --disturbed 300)

clients: $(DEV_STAMP) $(CLIENTS_STAMP) $(NODE_STAMP) ## generate a TypeScript and a Python client, type-check and try them
	rm -rf $(CLIENTS_OUT) $(NODE)/build && mkdir -p $(CLIENTS_OUT)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(CLIENTS_VENV)/bin/openapi-python-client generate --path openapi/openapi.json \
		--meta none --output-path $(CLIENTS_OUT)/orders_client --fail-on-warning
	$(NODE)/node_modules/.bin/openapi-typescript openapi/openapi.json --output $(NODE)/build/orders.d.ts
	MYPYPATH=$(CLIENTS_OUT) $(BIN)/mypy --config-file tests/clients/python/mypy.ini \
		--python-executable $(CLIENTS_VENV)/bin/python $(CLIENTS_OUT)/orders_client tests/clients/python
	$(NODE)/node_modules/.bin/tsc --project $(NODE)
	$(BIN)/python -m tests.clients $(CLIENTS_VENV)/bin/python $(CLIENTS_OUT)

fuzz: $(DEV_STAMP) $(CLIENTS_STAMP) ## send Schemathesis requests to a running server, CASES=1000 for each operation
	$(BIN)/python -m tests.fuzz $(CLIENTS_VENV)/bin/schemathesis

##@ Check
check: $(DEV_STAMP) ## check format, lint, types, imports, dependencies, names and the Dockerfile
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry app
	$(BIN)/deptry tests bench tools --ignore DEP002,DEP004
	$(BIN)/python -m tools.vocabulary
	$(BIN)/hadolint Dockerfile

lint-openapi: $(NODE_STAMP) ## lint openapi/openapi.json with Spectral and Redocly
	$(NODE)/node_modules/.bin/spectral lint openapi/openapi.json --ruleset $(NODE)/spectral.yaml --fail-severity warn
	$(NODE)/node_modules/.bin/redocly lint openapi/openapi.json --config $(NODE)/redocly.yaml

check-dockerfile: $(DEV_STAMP) ## run the steps of the Dockerfile without a container engine
	$(BIN)/python -m tools.check_dockerfile

##@ Supply chain
sbom: $(AUDIT_STAMP) ## write build/sbom.json (CycloneDX): the packages that the image installs
	@mkdir -p build
	$(AUDIT_VENV)/bin/cyclonedx-py requirements requirements.lock --pyproject pyproject.toml \
		--output-reproducible --output-file build/sbom.json

audit: $(AUDIT_STAMP) ## look for known vulnerabilities in the locked packages; needs a vulnerability service
	@$(BIN)/python -m tools.audit $(AUDIT_VENV)/bin/pip-audit $(AUDIT_OPTIONS)

image-digest: ## print the base image of the Dockerfile with its digest; needs Docker and its registry
	@image=$$(sed -n 's/^ARG PYTHON=//p' Dockerfile); \
		digest=$$(docker buildx imagetools inspect "$$image" --format '{{.Manifest.Digest}}'); \
		echo "$$image@$$digest"

##@ Document
openapi: $(DEV_STAMP) ## write openapi/openapi.json
	$(BIN)/python -m app openapi --output openapi/openapi.json

screenshots: $(DEV_STAMP) ## take the screenshots in docs/pictures, with Chromium
	$(BIN)/python -m tools.screenshots

fault-report: $(DEV_STAMP) ## try every upstream fault on real processes and write docs/faults.md
	$(BIN)/python -m tests.faults --output docs/faults.md

##@ Measure
bench: $(DEV_STAMP) ## compare what requests cost with nginx, Varnish and others; writes docs/performance.md
	$(BIN)/python -u -m bench

fleet: $(DEV_STAMP) ## measure six processes with one store: calls, a frozen store, a restart, a hit; needs redis-server
	@$(BIN)/python -u -m tests.fleet

soak: $(DEV_STAMP) ## apply load for MINUTES=10 with a failing upstream; BUSY=1 ignores latency
	$(BIN)/python -m tests.soak --minutes $(MINUTES) $(if $(BUSY),--busy)

##@ Maintain
# No index, URL or path of the machine that runs it may get into a lock file.
LOCK := $(BIN)/python -m uv pip compile --quiet --upgrade --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"

lock: | $(BIN)/python ## lock the newest versions that pyproject.toml allows, with hashes
	@$(BIN)/python -m uv --version >/dev/null 2>&1 || $(BIN)/python -m pip install --quiet 'uv>=0.9'
	$(LOCK) pyproject.toml --output-file requirements.lock
	$(LOCK) pyproject.toml --group dev --constraint requirements.lock --output-file requirements-dev.lock
	$(LOCK) --group pyproject.toml:clients --output-file requirements-clients.lock
	$(LOCK) --group pyproject.toml:audit --output-file requirements-audit.lock

clean: ## remove the virtual environment, caches and build results
	rm -rf $(VENV) build dist .coverage .coverage.* .hypothesis .import_linter_cache \
		.mypy_cache .pytest_cache .ruff_cache
	find app tests bench tools -name __pycache__ -type d -exec rm -rf {} +

# install,VENV,LOCK: install everything that a lock file pins.
define install
	@echo "Installing $$(grep -c '^[a-z].*==' $(2)) packages into $(1) (only once)…"
	@$(1)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(2)
	@touch $@
endef

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python"; exit 1; }
	@echo "Creating a virtual environment in $(VENV) with $$($(PYTHON) --version)…"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(RUN_STAMP): requirements.lock | $(BIN)/python
	$(call install,$(VENV),$<)

$(DEV_STAMP): requirements-dev.lock | $(BIN)/python
	$(call install,$(VENV),$<)

$(CLIENTS_STAMP): requirements-clients.lock | $(BIN)/python
	@$(BIN)/python -m venv $(CLIENTS_VENV)
	$(call install,$(CLIENTS_VENV),$<)

$(AUDIT_STAMP): requirements-audit.lock | $(BIN)/python
	@$(BIN)/python -m venv $(AUDIT_VENV)
	$(call install,$(AUDIT_VENV),$<)

$(NODE_STAMP): $(NODE)/package-lock.json
	@echo "Installing Node packages into $(NODE) (only once)…"
	@npm ci --prefix $(NODE) --no-audit --no-fund --ignore-scripts --loglevel=error
	@touch $@
