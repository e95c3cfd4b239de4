# One set-up serves every target: `make tune` and `make test` work on a machine with Python 3.11 and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
CODE := hearai experiments tests cluster

.DEFAULT_GOAL := help
.PHONY: help venv tune test test-fast test-slow lint format-check format-apply docs clean

help:  ## what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $(PYTHON) is older than Python 3.11; give one: make PYTHON=python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -r requirements.txt
	@touch $@

venv: $(READY)  ## the virtual environment .venv

tune: $(READY)  ## the search on the demo data: watch it finish, then read runs/hamnosys/report.html
	$(BIN)/python experiments/tune.py --space hamnosys

test: $(READY)  ## the whole test suite, in two processes
	$(BIN)/python -m pytest -n 2 --dist loadgroup

test-fast: $(READY)  ## tests without Ray and without training
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m 'not ray and not training and not slow'

test-slow: $(READY)  ## what takes longer than the suite allows
	$(BIN)/python -m pytest -m slow

lint: $(READY) format-check  ## formatting, lint rules and types
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy hearai

format-check: $(READY)  ## is everything formatted?
	$(BIN)/ruff format --check $(CODE)

format-apply: $(READY)  ## format everything
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

docs: $(READY)  ## docs/options.md, from the config's descriptions
	$(BIN)/python -m hearai.config.options_page > docs/options.md

clean:  ## remove the environment (runs/ stays)
	rm -rf $(VENV) *.egg-info
