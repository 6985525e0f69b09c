# Every command makes its own environment; nothing needs to be installed by hand.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# One more than processors: tests wait for kernels, pages and trainers.
WORKERS ?= $(shell $(PYTHON) -c "import os; print((os.cpu_count() or 1) + 1)")
# Images set it; without kept bytecode each of a few hundred processes compiles what it imports.
unexport PYTHONDONTWRITEBYTECODE
# The versions that were tested together; `make test CONSTRAINTS=/dev/null` takes the newest ones.
CONSTRAINTS ?= .ci/constraints.txt
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

# How often a failed test may be tried again; the report counts those that needed it. None but for submissions.
RERUNS ?= 0

.PHONY: help demo lab notebooks docs release lock test test-sdk test-recipes test-trackers test-nfs check bench clean test-page test-pythons prepare-browser prepare-postgres prepare-pythons prepare-sdk

help:
	@echo "make demo      runs two notebooks on the local service, prints what they show, writes build/*.html"
	@echo "make lab       opens the notebooks in JupyterLab"
	@echo "make test      checks format, lint and types, and runs every test"
	@echo "make test-sdk  runs the official SDK against the embedded service, where a Python 3.12 or newer is on the machine"
	@echo "make test-recipes  trains with the official recipes on the embedded service; installs PyTorch, some minutes"
	@echo "make test-trackers  reads files that TensorBoard, W&B, MLflow and Trackio wrote; installs these, some minutes"
	@echo "make notebooks runs all notebooks, and keeps what they print in their files"
	@echo "make docs      builds the manual into build/docs; its gallery is recorded on the local service"
	@echo "make release   builds sdist and wheel twice, checks and uses them in bare environments, writes build/release"
	@echo "make lock      renews the versions that these commands install (.ci/constraints.txt)"
	@echo "make test-nfs  records on a real NFS in a Linux in user mode, where Debian's user-mode-linux is installed"
	@echo "make bench     prints every speed that this project claims, as a ratio against a named peer"
	@echo "make clean     removes what these commands made"

demo: $(VENV)/.demo
	$(BIN)/python js/bundle.py
	$(BIN)/python notebooks/play.py demo

lab: $(VENV)/.lab
	$(BIN)/python js/bundle.py
	$(BIN)/python notebooks/play.py lab

# What a machine lacks is installed side by side, beside the checks; the page code first, since each of these builds it.
test: js/node_modules/.tools
	@$(PYTHON) js/bundle.py
	@$(MAKE) --no-print-directory --jobs 4 --output-sync check prepare-browser prepare-postgres prepare-pythons prepare-sdk
	@# These wait for pages, kernels and trainers more than they compute.
	@$(MAKE) --no-print-directory --jobs 3 --output-sync test-page test-pythons test-sdk
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --reruns $(RERUNS) -raR --ignore tests/browser
	$(BIN)/python -m pytest -n $(WORKERS) --reruns $(RERUNS) -raR tests/browser

test-page: js/node_modules/.tools
	cd js && npm run --silent test

test-pythons:
	$(PYTHON) tests/other_pythons.py

prepare-browser: $(VENV)/.browser
	@$(BIN)/python -m tests.browser.prepare

# Not beside the browsers: apt-get installs for one at a time.
prepare-postgres: $(VENV)/.test prepare-browser
	@$(BIN)/python -m tests.tracking.postgres_server

prepare-pythons:
	@$(PYTHON) tests/other_pythons.py --prepare

prepare-sdk:
	@$(PYTHON) -m tests.sdk --prepare

test-sdk: $(VENV)/.test
	$(BIN)/python -m tests.sdk

test-recipes: $(VENV)/.test
	$(BIN)/python -m tests.recipes

test-trackers: $(VENV)/.test
	$(BIN)/python -m tests.trackers

test-nfs: $(VENV)/.test
	$(BIN)/python -m tests.nfs

check: $(VENV)/.test $(VENV)/.browser js/node_modules/.tools
	$(BIN)/python js/bundle.py
	cd js && npm run --silent check
	$(BIN)/python .ci/async_twins.py --check
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy

bench: $(VENV)/.browser
	$(BIN)/python js/bundle.py
	$(BIN)/python -m benchmarks

notebooks: $(VENV)/.test $(VENV)/.lab
	$(BIN)/python js/bundle.py
	$(BIN)/python notebooks/play.py write

docs: $(VENV)/.docs
	$(BIN)/python js/bundle.py
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet docs build/docs
	@echo "The manual: build/docs/index.html"

release: $(VENV)/.release
	$(BIN)/python .ci/release.py

lock: $(VENV)/.release
	$(BIN)/uv pip compile --quiet --universal --upgrade --no-header --no-annotate --no-emit-index-url \
		--python-version 3.11 --extra local --group browser --group test --group docs --group release \
		--output-file $(CONSTRAINTS) pyproject.toml

clean:
	rm -rf build dist .venv .venv-* js/node_modules loops_nb/static

$(VENV)/bin/python:
	@# A bare Debian has Python without venv: add it where that is possible, say so where it is not.
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); apt-get install -y -qq python3-venv && $(PYTHON) -m venv $(VENV); }
	$(PIP) install "pip>=25.1"

# Two installations into one environment must not run at the same time.
$(VENV)/.browser: | $(VENV)/.test
$(VENV)/.docs: | $(VENV)/.browser
$(VENV)/.release: | $(VENV)/.docs

# One stamp a dependency group of pyproject.toml, so that a second run installs nothing.
$(VENV)/.demo $(VENV)/.lab $(VENV)/.test $(VENV)/.browser $(VENV)/.docs $(VENV)/.release: $(VENV)/.%: pyproject.toml $(CONSTRAINTS) | $(VENV)/bin/python
	$(PIP) install --editable '.[local]' --group $* --constraint $(CONSTRAINTS)
	@touch $@

# What the page is checked and tested with; building it needs less, and js/bundle.py asks for that by itself.
js/node_modules/.tools: js/package-lock.json
	cd js && npm ci --loglevel=error
	@touch $@
