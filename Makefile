SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:

PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
BUILD := $(if $(shell nvidia-smi -L 2>/dev/null | grep GPU),gpu,cpu)
# The constraints are for the CPU build; vllm's CUDA build pins its own torch.
CONSTRAINTS := $(if $(filter cpu,$(BUILD)),-c constraints.txt)

# The LLM takes every core, so the tests that ask it run one after the other, apart from the others.
TESTS := $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
TESTS_WITH_LLM := $(BIN)/python -m pytest

.PHONY: help run check test test-all lint audit weights secrets clean

help: ## List the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

run: $(VENV)/.installed weights ## Install, start everything, draw a sample for two locales, serve until Ctrl-C
	@$(BIN)/propriety serve --demo --keyless

check: lint ## ruff, mypy, import-linter, and the tests that need no LLM: 2 minutes
	@$(TESTS) -m 'not all and not compose and not llm and not slow'

test: $(VENV)/.installed-dev weights lint ## Set up, then lint and every quick test, with the embedded LLM
	@$(TESTS) -m 'not all and not compose and not llm'
	$(TESTS_WITH_LLM) -m 'llm and not all'

test-all: $(VENV)/.installed-dev weights lint ## As test, and over every policy and pipeline family: before a release
	@$(TESTS) -m 'not compose and not llm'
	$(TESTS_WITH_LLM) -m llm

lint: $(VENV)/.installed-dev ## ruff, mypy and import-linter
	@$(BIN)/ruff check .
	$(BIN)/ruff check --preview --select PLW1514 agent benchmarks cli evaluation generator propriety  # every file names its encoding
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

# A mirror of PyPI may omit the advisories. A version that is known to be vulnerable shows whether it does; if so, the
# audit is skipped and does not fail.
audit: $(VENV)/.installed-dev ## Check PyPI for known vulnerabilities of the pinned dependencies
	@folder=$$(mktemp -d)
	trap 'rm -r "$$folder"' EXIT
	ask() { $(BIN)/pip-audit -r "$$1" --no-deps --disable-pip --progress-spinner off -f columns -o "$$folder/found"; }
	echo jinja2==2.4.1 > "$$folder/vulnerable"
	if ask "$$folder/vulnerable" 2> "$$folder/log" || [ ! -s "$$folder/found" ]; then
	  echo "audit: skipped, since PyPI provides no advisories here"
	elif rm "$$folder/found"; ask constraints.txt 2> "$$folder/log"; then
	  echo "audit: constraints.txt pins no version with a known vulnerability"
	elif [ -s "$$folder/found" ]; then
	  cat "$$folder/found" >&2
	  exit 1
	else
	  tail -1 "$$folder/log"
	  echo "audit: skipped, since PyPI stopped responding"
	fi

weights: $(VENV)/.installed ## Download and convert the embedded LLM, if it is the one in use
	@$(BIN)/python -m agent.models

secrets: secrets/db_password secrets/database_url secrets/grafana_password ## Create the passwords that docker compose reads

# Containers run as other users, so everyone may read the files, but only the owner may open the folder.
secrets/db_password secrets/grafana_password:
	@mkdir -p -m 700 $(@D)
	head -c 24 /dev/urandom | base64 | tr +/ -_ > $@
	chmod 644 $@

secrets/database_url: secrets/db_password
	@echo "postgresql+psycopg://propriety:$$(cat $<)@db/propriety" > $@
	chmod 644 $@

clean: ## Remove the virtual environment, models and pictures; keep the decision log
	rm -rf $(VENV) models out

$(VENV)/bin/python:
	@command -v $(PYTHON) >/dev/null || {
	  echo "make: $(PYTHON) not found. Propriety needs Python 3.11: 'apt-get install python3.11-venv', or 'make PYTHON=/path/to/python3.11'." >&2
	  exit 1
	}
	echo "Creating $(VENV) (10 s)"
	$(PYTHON) -m venv $(VENV) || {
	  rm -rf $(VENV)
	  echo "make: $(PYTHON) cannot create a virtual environment; run 'apt-get install python3.11-venv'." >&2
	  exit 1
	}

$(VENV)/.installed: EXTRAS = $(BUILD),generator
$(VENV)/.installed-dev: EXTRAS = $(BUILD),generator,dev
$(VENV)/.installed $(VENV)/.installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	@free=$$(df --output=avail -BG . | tail -1 | tr -dc 0-9)
	if [ ! -e $(VENV)/.installed ] && [ "$$free" -lt 12 ]; then
	  echo "make: $$free GB free on the disk of $$PWD; the first installation needs about 12 GB. Free some space and run it again." >&2
	  exit 1
	fi
	echo "Installing propriety[$(EXTRAS)] into $(VENV) (2 to 5 minutes the first time)"
	$(BIN)/python -m pip install -qq $(CONSTRAINTS) -e '.[$(EXTRAS)]' 2> >(tee $(VENV)/pip.log >&2) || {
	  sleep 1
	  if grep -qE 'torch==[0-9.]+\+cpu' $(VENV)/pip.log; then
	    echo "make: pip found no CPU wheels of PyTorch, which vLLM's CPU build needs. Set pip's extra-index-url" >&2
	    echo "(the variable PIP_EXTRA_INDEX_URL) to PyTorch's index of CPU wheels: choose Linux, Pip and CPU under" >&2
	    echo "'Start Locally' on pytorch.org/get-started/locally, and use the URL after --index-url." >&2
	  fi
	  echo "make: the installation failed, see above and $(VENV)/pip.log; fix it and run the same command again." >&2
	  exit 1
	}
	# pip installs these for another build of torch, which makes transformers and vllm fail at import.
	[ $(BUILD) = gpu ] || $(BIN)/python -m pip uninstall -qq -y torchvision torchaudio torchcodec
	touch $(VENV)/.installed $@
