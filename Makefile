# What a person who clones this wants: see it work, change it, check it.
#
#   make demo    a small batch against the embedded emulator: no key, no network, no cost
#   make test    the whole test suite
#   make bench   measure everything again, in about a quarter of an hour, and write docs/performance.md
#   make chaos   prove again what is promised about money and results, and write docs/reliability.md
#   make check   formatting, lint, types, import layers and the quick tests, in under a minute

PYTHON ?= python3
# One more than there are processors, since many tests wait for a process or a deadline.
WORKERS ?= $(shell expr $$(nproc 2>/dev/null || echo 2) + 1)
VENV := .venv
BIN := $(VENV)/bin
# Every test worker and every command that a test starts would compile again what was compiled before.
unexport PYTHONDONTWRITEBYTECODE
SOURCES := pyproject.toml README.md $(shell find runner plugins schemas -type f -not -name '*.pyc')

.PHONY: demo test quick check lint docs bench chaos clean
.DEFAULT_GOAL := demo

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# As a user installs it: not editable, and again when the sources are newer.
$(VENV)/.installed: $(SOURCES) | $(BIN)/python
	@echo "installing wanrun into $(VENV)"
	@$(BIN)/pip install --quiet --disable-pip-version-check ".[all]"
	@touch $@

$(VENV)/.developer: pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	$(BIN)/pip install --quiet --disable-pip-version-check --group dev
	@touch $@

demo: $(VENV)/.installed
	@$(BIN)/wanrun specs/quickstart.yaml --emulator

test: $(VENV)/.installed $(VENV)/.developer
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

check: $(VENV)/.installed $(VENV)/.developer
	@$(MAKE) --no-print-directory -j2 --output-sync=line lint quick

quick: $(VENV)/.installed $(VENV)/.developer
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal -m "not slow"

lint: $(VENV)/.installed $(VENV)/.developer
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

# Pages and the picture that the program itself says or shows; a test compares the pages.
docs: $(VENV)/.installed $(VENV)/.developer
	$(BIN)/python docs/render.py
	$(BIN)/python docs/make_picture.py

bench: $(VENV)/.installed $(VENV)/.developer
	$(BIN)/python -m benchmarks

chaos: $(VENV)/.installed $(VENV)/.developer
	PYTHONPATH=tests $(BIN)/python -m chaos

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
