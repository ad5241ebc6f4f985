# `make` alone lists the targets. Everything is installed into .venv, nothing outside of it.

PYTHON ?= python3
BIN    := .venv/bin
READY  := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help demo test docs fuzz lint format bench clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(READY)  ## rank the embeddings of a DeepBench convolution
	$(BIN)/explorer rank deepbench:conv/server/n1_c1_h161_w700_k32_r5_s20_p0x0_st2x2

test: $(READY)  ## run every test; those of pages need Chromium, and are skipped without
	$(BIN)/python -m pytest -n auto --dist worksteal

docs: $(READY)  ## build the documentation as a site, into build/site
	@$(BIN)/python -c 'import mkdocs' 2> /dev/null || \
	    $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

fuzz: $(READY)  ## try many more bad inputs, processes and interrupts
	EXPLORER_FUZZ=1 $(BIN)/python -m pytest -n auto tests/fuzz

lint: $(READY)  ## check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(READY)  ## rewrite the sources in the house style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(READY)  ## measure speed and quality
	$(BIN)/python -m benchmarks

clean:  ## remove what the other targets made
	rm -rf .venv .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp is younger than pyproject.toml exactly when the installed dependencies are up to date.
$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if v >= (3, 11) else \
	    "vta-explorer needs Python 3.11 or newer, and $(PYTHON) is %d.%d; try: make PYTHON=python3.12" % v[:2])'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
