# One environment for all targets: `make tune` and `make test` need Python 3.11 and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
CODE := hearai experiments tests cluster docs
DOCS_READY := $(VENV)/.docs-ready
BASELINE := hearai/benchmarks/speed/baseline.json

# Why the environment that exists cannot be used; empty where it can, or where there is none. Its scripts, such as pip and
# ray, hold the path of the folder that it was made in.
VERSION := import sys; print("%d.%d" % sys.version_info[:2]); sys.exit(sys.version_info < (3, 11))
GIVEN := $(if $(filter command environment,$(firstword $(origin PYTHON))),$(PYTHON))
FAULT := $(shell test -e $(VENV) || exit 0; \
	found=`$(BIN)/python -ISc '$(VERSION)' 2>&1` || { echo "has no Python of 3.11 or newer that starts"; exit; }; \
	given=`test -z "$(GIVEN)" || $(GIVEN) -ISc '$(VERSION)' 2>&1`; \
	test "$${given:-$$found}" = "$$found" || { echo "has Python $$found"; exit; }; \
	test ! -f $(BIN)/pip || head -n 2 $(BIN)/pip | grep -qF -e "`pwd -P`/$(BIN)/" -e "`cd $(BIN) && pwd -P`/" || \
	echo "was made in another folder")

# Compiled test modules are kept: pytest rewrites the assertions of changed ones only.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help venv landmarks tune dashboard test test-fast test-slow test-gpu bench lint format-check format-apply
.PHONY: docs docs-pages screenshots clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

ifneq ($(FAULT),)
.PHONY: $(READY)
endif
$(READY): requirements.txt pyproject.toml
	@test -z "$(FAULT)" && test -x $(BIN)/pip || { \
		$(PYTHON) -ISc '$(VERSION)' >/dev/null || \
		{ echo "error: $(PYTHON) is not Python 3.11 or newer; name one: make venv PYTHON=python3.11"; exit 2; }; \
		test -z "$(FAULT)" || echo "$(VENV) $(FAULT): it is made again, without optional packages (make landmarks)"; \
		$(PYTHON) -m venv $(if $(FAULT),--clear) $(VENV); }
	$(BIN)/python -m pip install --quiet -r requirements.txt
	@touch $@

venv: $(READY)  ## the virtual environment .venv

landmarks: $(READY)  ## MediaPipe, which finds landmarks in videos; it brings its own OpenCV
	$(BIN)/python -m pip install --quiet mediapipe==1.2.3

tune: $(READY)  ## a search on demo data; then open runs/hamnosys/report.html
	$(BIN)/python experiments/tune.py --space hamnosys

dashboard: $(READY)  ## a local page with all studies in runs/
	@mkdir -p runs
	$(BIN)/python experiments/dashboard.py

test: $(READY)  ## the whole test suite, in two processes
	$(BIN)/python -m pytest -n 2 --dist loadgroup

test-fast: $(READY)  ## tests without Ray, training and whatever takes seconds
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m 'not ray and not training and not heavy and not slow'

test-slow: $(READY)  ## tests that take too long for the suite: kills, clusters, long runs
	$(BIN)/python -m pytest -m slow

test-gpu: $(READY)  ## a GPU computes what the CPU does; skipped with a reason where there is none
	$(BIN)/python -m pytest -rs tests/gpu

bench: $(READY)  ## the benchmarks of speed on the CPU; warns where a ratio is a fifth lower than the baseline
	$(BIN)/python experiments/benchmark.py throughput --baseline $(BASELINE)
	$(BIN)/python experiments/benchmark.py search-cost --baseline $(BASELINE)

screenshots: $(READY)  ## docs/img, the images of README and docs, from a small search; needs Chromium
	$(BIN)/python docs/tools/screenshots.py

lint: $(READY) format-check  ## formatting, lint rules and types
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy hearai

format-check: $(READY)  ## fail on unformatted files
	$(BIN)/ruff format --check $(CODE)

format-apply: $(READY)  ## format all files
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

docs: $(DOCS_READY) docs-pages  ## the documentation as a site in site/; its links are checked
	$(BIN)/python docs/tools/site.py

docs-pages: $(READY)  ## regenerate docs/options.md, docs/commands.md and the tree in docs/architecture.md
	$(BIN)/python -m hearai.config.options_page > docs/options.md
	$(BIN)/python docs/tools/commands_page.py
	$(BIN)/python docs/tools/architecture_tree.py

$(DOCS_READY): $(READY) docs/requirements.txt
	$(BIN)/python -m pip install --quiet -r docs/requirements.txt
	@touch $@

clean:  ## remove the environment (keeps runs/)
	rm -rf $(VENV) *.egg-info site
