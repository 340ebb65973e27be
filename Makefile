# Needs Python 3.11 or newer (with its venv module), git and make. Everything else goes into .venv.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14 python; do \
	$$p -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --quiet --upgrade
RECIPE := recipes/quickstart.yaml
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help install demo test lint format types copick-versions bench bench-projects bench-portal bench-rows bench-engines clean

help: ## list what there is to make
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

install: $(INSTALLED) ## install the package and what its development needs into .venv

$(INSTALLED): pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer with its venv module was found. Name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "Installing into $(VENV), which takes a minute or two."
	$(PYTHON) -m venv $(VENV)
	$(PIP) "pip>=25.1"
	$(PIP) --editable . --group dev
	@touch $@

define OPEN
from croissant_recipes import from_croissant
root = from_croissant("recipes/sample/Croissant/metadata.json")
for run in root.runs:
    picks = [f"{len(p.points)} {p.pickable_object_name} by {p.user_id}" for p in run.picks]
    print(run.name, run.split, "; ".join(picks) or "no picks", sep=" | ")
endef
export OPEN

define NEXT

Next:
  . $(BIN)/activate
      puts croissant-recipe on your path
  croissant-recipe plan $(RECIPE) --set voxel=20.0
      what an error looks like
  croissant-recipe plan recipes/best-tomogram.yaml
      one of the recipes that recipes/README.md describes
  croissant-recipe init --config PROJECT.json
      a starter recipe over a copick project of your own
  README.md and docs/recipe-format.md
      a tour, and everything that a recipe can say
endef
export NEXT

demo: $(INSTALLED) ## check, plan and build the quickstart recipe, and open what it built
	$(BIN)/croissant-recipe check $(RECIPE)
	@echo
	$(BIN)/croissant-recipe plan $(RECIPE)
	@echo
	$(BIN)/croissant-recipe build $(RECIPE)
	@printf '\nOpened from Python:\n\n%s\n\n' "$$OPEN"
	@$(BIN)/python -c "$$OPEN"
	@printf '%s\n' "$$NEXT"

test: $(INSTALLED) ## run the tests; ARGS goes to pytest
	$(BIN)/pytest -n 2 --dist worksteal $(ARGS)

lint: $(INSTALLED) ## ruff: rules and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: $(INSTALLED) ## let ruff correct what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: $(INSTALLED) ## mypy, strict
	$(BIN)/mypy

copick-versions: $(INSTALLED) ## opening Croissants with the lowest and the newest copick that is allowed
	$(BIN)/python .ci/copick-versions

bench: bench-projects bench-portal bench-rows ## side by side with copick: projects on disk, and the portal; many rows

bench-projects: $(INSTALLED) ## only projects on disk; ARGS goes to the benchmark
	$(BIN)/python -m benchmarks.compare_projects $(ARGS)

bench-portal: $(INSTALLED) ## only the portal, played by a server on this machine
	$(BIN)/python -m benchmarks.compare_portal $(ARGS)

bench-rows: $(INSTALLED) ## only plans and builds of 100,000 and 1,000,000 rows
	$(BIN)/python -m benchmarks.compare_rows $(ARGS)

bench-engines: $(INSTALLED) ## the steps of a plan in pandas, Arrow, Polars and DuckDB, which it installs
	$(PIP) --group engines
	$(BIN)/python -m benchmarks.compare_engines $(ARGS)

clean: ## remove .venv and what was built
	rm -rf $(VENV) build dist recipes/build recipes/sample/Croissant recipes/sample/.croissant-recipe.lock
