# Recipes. Everything happens in .venv; nothing is installed into the system.
PYTHON ?= python3
# PyTorch's CPU builds: a tenth of the size of the CUDA build that plain pip brings on Linux.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: help demo test soak lint format bench pds reference docs man shots dist clean
help:
	@echo "make demo    see it work, in half a minute, with no account and no network"
	@echo "make test    the whole suite"
	@echo "make lint    ruff and mypy --strict"
	@echo "make bench   speed, as ratios within one run; ten minutes"
	@echo "make soak    the long proofs: hundreds of kills, hundreds of thousands of samples"
	@echo "make pds     a real Bluesky server for the tests, from npm (needs node 18 or 20, and a C++ compiler)"
	@echo "make shots   screenshots of every page of the console"
	@echo "make docs    the site of the documentation, in site/"
	@echo "make man     a man page for each command, in man/"
	@echo "make clean   forget all that was built"

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "biobot needs Python 3.11 or newer: make PYTHON=python3.11 ..."; exit 1; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; echo "no virtual environment could be made; on Debian: apt-get install python3-venv"; exit 1; }

# torch first: on Linux without an NVIDIA GPU one short try at the CPU builds, then whatever pip finds.
.venv/torch: constraints.txt | .venv/bin/python
	@echo "installing torch and what else is needed (once) ..."
	@if [ "$$(uname -s)" = Linux ] && ! command -v nvidia-smi >/dev/null 2>&1 && ! $(BIN)/python -c 'import torch' 2>/dev/null; then \
		$(PIP) --index-url $(TORCH_INDEX) --retries 0 --timeout 5 torch 2>/dev/null || true; fi
	@$(PIP) torch
	@touch $@

.venv/core: pyproject.toml constraints.txt .venv/torch
	@$(PIP) -e '.[web]'
	@touch $@

.venv/dev: pyproject.toml constraints.txt .venv/torch
	@$(PIP) -e '.[dev]'
	@touch $@ .venv/core

demo: .venv/core
	@$(BIN)/python -m biobot.demo

# three at once on two cores: some tests wait for clocks and servers
test: .venv/dev
	@$(BIN)/python -m pytest -m "not soak" -n 3 --dist worksteal $(ARGS)

soak: .venv/dev
	@$(BIN)/python -m pytest -m soak --timeout 7200 $(ARGS)

lint: .venv/dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: .venv/dev
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: .venv/dev
	@for each in tests/bench/*.py; do case $$each in */_*) ;; *) $(BIN)/python $$each || exit 1;; esac; done

pds: tests/pds/node_modules/.done

tests/pds/node_modules/.done: tests/pds/package.json
	@echo "installing a PDS for the tests (once) ..."
	@cd tests/pds && npm install --no-package-lock --no-audit --no-fund --loglevel=error
	@ls tests/pds/node_modules/better-sqlite3/build/Release/better_sqlite3.node >/dev/null
	@touch $@

reference: .venv/dev
	@$(BIN)/python docs/generate.py

# mkdocs-material is used by nothing else, so it has an environment of its own.
docs: reference
	@test -x .venv/docs/bin/mkdocs || { $(PYTHON) -m venv .venv/docs && .venv/docs/bin/python -m pip install --quiet 'mkdocs-material>=9.6,<10'; }
	@NO_MKDOCS_2_WARNING=1 .venv/docs/bin/mkdocs build --strict --quiet
	@echo "the site: site/index.html (offline, searchable)"

man: .venv/dev
	@$(BIN)/python docs/generate.py --man man
	@echo "man pages: man/*.1; read one with: man -l man/biobot-status.1"

shots: .venv/dev
	@$(BIN)/python -m tests.web.shots

dist: .venv/dev
	@$(BIN)/python -m pip wheel --quiet --no-deps -w dist .

clean:
	rm -rf .venv tests/pds/node_modules site man dist build shots .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
