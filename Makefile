# `make` alone lists the targets. Everything is installed into .venv on first use, from pinned and hashed versions.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.installed-runtime
DEV := $(VENV)/.installed-dev
# DATAQUEUE_* of the caller's environment reach the commands as they are.
ifdef PORT
export DATAQUEUE_PORT := $(PORT)
endif

.DEFAULT_GOAL := help
.PHONY: help dev test test-cluster check format bench rivals openapi migrate lock clean

help: ## List the targets.
	@echo 'DataQueue. Run `make dev`, POST a job to http://127.0.0.1:8000/v1/jobs, watch it being done.'
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo 'Variables: PYTHON=python3.11 (creates .venv), PORT=8000, DATAQUEUE_HOME=folder of the embedded server,'
	@echo '           DATAQUEUE_BACKEND=redis (embedded Redis), DATAQUEUE_URL=postgresql://… (your own server), ARGS="-k name -x" (for test and bench).'

dev: $(RUNTIME) ## Run everything here: an embedded server, API, worker, example handlers.
	@exec $(BIN)/dataqueue dev

# Every test: in two processes, a file at a time to each, for most of them wait for a server or a worker.
test: $(DEV) ## Run every test, or those that ARGS names.
	@$(BIN)/python -m pytest $(if $(ARGS),$(ARGS),-n 2 --dist loadfile)

test-cluster: $(DEV) ## Run the tests that start a Redis Cluster, of three masters and three replicas.
	@$(BIN)/python -m pytest -o norecursedirs='.*' tests/cluster $(ARGS)

check: $(DEV) ## Check format, lint, types, imports, and that what is generated is current.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m app.export_openapi --check
	$(BIN)/python docs/draw_lifecycle.py --check
	$(BIN)/python -m pytest -q tests/storage/test_postgres_migrations.py tests/docs

format: $(DEV) ## Format the code and mend what ruff can mend.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(DEV) ## Measure, each figure beside a reference measured in the same run.
	@$(BIN)/python -m benchmarks $(ARGS)

rivals: $(DEV) ## Install the queues that the benchmark on Redis is compared with, beside ours.
	@$(PYTHON) -m venv $(VENV)/rivals
	@$(VENV)/rivals/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r benchmarks/rivals.txt

openapi: $(RUNTIME) ## Write openapi/openapi.json from the application.
	$(BIN)/python -m app.export_openapi

migrate: $(RUNTIME) ## Bring the database at DATAQUEUE_URL to the newest revision.
	@$(BIN)/dataqueue migrate

lock: ## Write the constraints anew (Python 3.11; UPGRADE=--upgrade for newer versions).
	PYTHON='$(PYTHON)' ./lock.sh $(UPGRADE)

clean: ## Remove .venv and caches; the embedded server's data stays.
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

# One recipe, two lists: the second holds the first, pin by pin.
$(RUNTIME): constraints.txt
$(DEV): constraints-dev.txt
$(RUNTIME) $(DEV): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("DataQueue needs Python 3.11 or later: make PYTHON=python3.11")'
	@echo 'Installing into $(VENV) …'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(filter constraints%,$^)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
