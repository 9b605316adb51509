.DEFAULT_GOAL := help
.PHONY: help run dev directory provider test lint types bench check lock format translations clean ready-run ready-test

BIN := .venv/bin
PORT ?= 8000
# Three, on two cores: they wait for servers and browsers a good part of the time. loadscope keeps a module's tests in
# one worker, so that its servers and fixtures are set up once; in the order of the folders, as few tests are often slow ones.
PYTEST_ARGS ?= -n 3 --dist loadscope --no-loadscope-reorder
# Tests take more than twice as long while branches are counted: `check` does, `test` need not.
COVERAGE ?=
export PORT

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ready-run ## the product with demo data on http://acme.localhost:8000 (PORT= moves it)
	@exec deploy/run.sh

dev: ready-test ## the same, with reloader and debug toolbar
	@exec deploy/run.sh dev

directory: ready-test ## a company's directory to connect a workspace with, for trying
	@tests/servers/install.sh
	@$(BIN)/python -m tests.servers.demo_directory

provider: ready-test ## an identity provider to connect a workspace with, for trying (PORT_PROVIDER= moves it)
	@tests/servers/install.sh
	@$(BIN)/python -m tests.servers.demo_provider

test: ready-test ## every test, with what it needs (PYTEST_ARGS= narrows it)
	@tests/servers/install.sh
	$(BIN)/python -m pytest $(COVERAGE) $(PYTEST_ARGS)

lint: ready-test ## style of code and templates
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/djlint --lint --quiet auth saas

types: ready-test ## mypy, strict
	$(BIN)/mypy

check: lint types ## what CI runs: style, types, and every test, with the branches that they cover
	@$(MAKE) --no-print-directory test COVERAGE='--cov --cov-report=term'

bench: ready-test ## what a request costs, against the floor
	$(BIN)/python -m tests.bench

format: ready-test ## rewrite the code in the agreed style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

translations: ready-test ## collect the strings, merge them into the catalogues, compile
	$(BIN)/pybabel extract --mapping pyproject.toml --keywords lazy_gettext --no-location --omit-header \
		--output saas/translations/messages.pot tenants auth saas
	$(BIN)/pybabel update --no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date --width 100 \
		--input-file saas/translations/messages.pot --output-dir saas/translations
	$(BIN)/pybabel compile --directory saas/translations

# The test lock is resolved under the runtime lock, so that one installation of it gives both.
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --upgrade
lock: ready-test ## resolve pyproject.toml again into both lock files
	$(LOCK) pyproject.toml --output-file requirements.lock
	$(LOCK) pyproject.toml --group dev --constraints requirements.lock --output-file tests/requirements.lock

clean: ## remove what was made here, but not the database in var/
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

ready-run:
	@deploy/bootstrap.sh run

ready-test:
	@deploy/bootstrap.sh test
