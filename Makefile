# Two commands matter: `make demo` and `make test`. Everything else is a part of them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SHELL := /bin/sh

.PHONY: help install install-dev demo down test coverage check lock bench-large clean

help:
	@echo 'make demo     the whole system with a demo province, at an address that it prints'
	@echo 'make test     everything that CI runs'
	@echo 'make check    the static part of it'
	@echo 'make coverage the tests once more, with the lines and branches that none of them reach'
	@echo 'make install  .venv with what running needs'
	@echo 'make lock     resolve the dependencies of pyproject.toml anew'
	@echo 'make bench-large  searches over 10 million studies, beside the services of tools/services (hours, 40 GB)'
	@echo 'make clean    remove .venv and caches (the data in var/ stays)'

install:
	@$(PYTHON) tools/install.py requirements.lock

install-dev:
	@$(PYTHON) tools/install.py requirements-dev.lock

demo: install
	@$(BIN)/python manage.py up --demo

down:
	@$(BIN)/python manage.py down

# The services are stopped whether the tests pass or not.
test: install-dev
	@$(BIN)/python tools/test.py

coverage: install-dev
	@PYTEST_ARGS='--cov --cov-report=term:skip-covered' $(BIN)/python tools/test.py

check: install-dev
	@$(BIN)/python tools/check.py

lock: install-dev
	@$(BIN)/python tools/lock.py

bench-large: install-dev
	@$(BIN)/python tools/services up
	@set -a && eval "$$($(BIN)/python tools/services env)" && set +a && \
		$(BIN)/python benchmarks/qido.py --sizes 10000000 --orthanc 0

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache htmlcov .coverage
	find . -name __pycache__ -type d -not -path './var/*' -prune -exec rm -rf {} +
