# The front page of the project: `make` lists what there is. Everything runs in .venv; nothing else is installed.
.DEFAULT_GOAL := help
SHELL := /bin/bash

# The first Python that really runs and is new enough (a pyenv shim may exist and fail).
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3; do \
	"$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo "$$python" && break; done)
UV_VERSION := 0.13.9
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
# Tests that may be skipped: those of drivers, poolers, a queue and a browser that Debian packages, one that needs Docker
# Compose, and one that needs root.
MAX_SKIPS ?= 19
# Slow ones besides: of PostgreSQL 15, 16 and 17, of readers behind a pooler, and of the queue.
MAX_SKIPS_OF_ALL ?= 25
CODE := ingest expectations warehouse dags docker tests bench bi
# Superset's pins differ from ours: it has an environment of its own.
BI_VENV := .venv-bi
BI_STAMP := $(BI_VENV)/.ready

# Compiled modules are kept beside the libraries, and compiled loops beside ours (the set-up imports the large ones for
# that): Airflow starts a process a task, and each would compile them anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup run once bi test test-all lint format generate docs secrets pin-images lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## make .venv from the lock (the other targets call it)

$(STAMP): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed: make setup PYTHON=/path/to/python"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test "$$($(BIN)/uv --version 2>/dev/null | cut -d ' ' -f 2)" = "$(UV_VERSION)" \
		|| $(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip sync --quiet --require-hashes requirements.lock
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	@$(BIN)/python -c "import expectations.gate, ingest.staging" & \
		$(BIN)/python -c "import airflow.jobs.scheduler_job_runner, airflow.sdk, dbt.cli.main, dbt.adapters.postgres" & wait
	@touch $@

run: $(STAMP) ## PostgreSQL and Airflow until Ctrl-C [INBOX=dir; without it sample deliveries are made]
	@exec $(BIN)/warehouse serve $(if $(INBOX),--inbox "$(INBOX)")

once: $(STAMP) ## the same, ending when there is nothing more to do [INBOX=dir]
	@exec $(BIN)/warehouse serve --once $(if $(INBOX),--inbox "$(INBOX)")

bi: $(STAMP) $(BI_STAMP) ## Superset with the dashboards over what is published, until Ctrl-C
	@exec $(BIN)/python -m bi.superset

$(BI_STAMP): bi/requirements.lock | $(STAMP)
	@test -x $(BI_VENV)/bin/python || $(BIN)/uv venv --quiet --python $(BIN)/python $(BI_VENV)
	VIRTUAL_ENV=$(BI_VENV) $(BIN)/uv pip sync --quiet --require-hashes bi/requirements.lock
	@touch $@

test: $(STAMP) ## tests, without the slow ones
	$(BIN)/pytest -m "not slow" -n 2 --dist loadfile --max-skips $(MAX_SKIPS)

test-all: $(STAMP) $(BI_STAMP) ## all tests
	$(BIN)/pytest -n 2 --dist loadfile --max-skips $(MAX_SKIPS_OF_ALL)

lint: $(STAMP) ## ruff, mypy, sqlfluff, generated files and lock up to date
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy
	$(BIN)/sqlfluff lint --processes 2 dbt_project/models dbt_project/tests
	$(BIN)/pytest -q tests/unit/warehouse/build tests/unit/warehouse/documentation tests/unit/bi tests/unit/project/test_lock.py

format: $(STAMP) ## let ruff and sqlfluff mend what they can
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)
	$(BIN)/sqlfluff fix --processes 2 dbt_project/models dbt_project/tests

generate: $(STAMP) ## write what follows from contracts and models: dbt's sources, reference page, dictionary
	$(BIN)/python -m warehouse.build.dbt_sources
	$(BIN)/python -m warehouse.build.dbt_metrics
	$(BIN)/python -m warehouse.documentation.contract_page
	$(BIN)/python -m warehouse.documentation.dictionary
	$(BIN)/python -m warehouse.documentation.code_tables
	$(BIN)/python -m bi.exposures

docs: $(STAMP) ## the portal and dbt's pages as files
	$(BIN)/warehouse docs

secrets: ## the secret files that docker-compose.yml names, in ./secrets
	@docker/make-secrets.sh secrets

pin-images: ## ask the registry for the digests of the images that Compose and the Dockerfile name, and write them down
	@$(PYTHON) docker/pin_images.py

lock: $(STAMP) ## choose the versions anew (needs a package index)
	$(BIN)/uv pip compile pyproject.toml --upgrade --output-file requirements.lock --quiet \
		--group dev --group build --universal --python-version 3.11 --generate-hashes --no-annotate --no-header
	$(BIN)/uv pip compile bi/requirements.in --upgrade --output-file bi/requirements.lock --quiet \
		--python-version 3.11 --generate-hashes --no-annotate --no-header

clean: ## remove everything that was made, the embedded database included
	@if [ -x $(BIN)/warehouse ]; then $(BIN)/warehouse down; fi
	rm -rf $(VENV) .warehouse dbt_project/target dbt_project/logs .pytest_cache .mypy_cache .ruff_cache .hypothesis
