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
CODE := ingest expectations warehouse dags docker tests bench

# Compiled modules are kept beside the libraries, and compiled loops beside ours (the set-up imports the large ones for
# that): Airflow starts a process a task, and each would compile them anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup run once test test-all lint format docs secrets lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

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

test: $(STAMP) ## tests, without the slow ones
	$(BIN)/pytest -m "not slow" -n 2 --dist loadfile

test-all: $(STAMP) ## all tests
	$(BIN)/pytest -n 2 --dist loadfile

lint: $(STAMP) ## ruff, mypy, sqlfluff, generated files and lock up to date
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy
	$(BIN)/sqlfluff lint --processes 2 dbt_project/models dbt_project/tests
	$(BIN)/pytest -q tests/unit/test_contracts_generate.py tests/unit/test_lock.py

format: $(STAMP) ## let ruff and sqlfluff mend what they can
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)
	$(BIN)/sqlfluff fix --processes 2 dbt_project/models dbt_project/tests

docs: $(STAMP) ## the data dictionary, dbt's pages and the validation results as files
	$(BIN)/warehouse docs

secrets: ## the secret files that docker-compose.yml names, in ./secrets
	@docker/make-secrets.sh secrets

lock: $(STAMP) ## choose the versions anew (needs a package index)
	$(BIN)/uv pip compile pyproject.toml --upgrade --output-file requirements.lock --quiet \
		--group dev --group build --universal --python-version 3.11 --generate-hashes --no-annotate --no-header

clean: ## remove everything that was made, the embedded database included
	@if [ -x $(BIN)/warehouse ]; then $(BIN)/warehouse down; fi
	rm -rf $(VENV) .warehouse dbt_project/target dbt_project/logs .pytest_cache .mypy_cache .ruff_cache .hypothesis
