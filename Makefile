SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:

PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
BUILD := $(if $(shell nvidia-smi -L 2>/dev/null | grep GPU),gpu,cpu)
# The constraints are those of the CPU build; vllm's CUDA build pins a torch of its own.
CONSTRAINTS := $(if $(filter cpu,$(BUILD)),-c constraints.txt)

.PHONY: help run test lint audit weights secrets clean

help: ## List the commands
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

run: $(VENV)/.installed weights ## Set up, start everything, draw a sample for two locales, serve until Ctrl-C
	@$(BIN)/propriety serve --demo

test: $(VENV)/.installed-dev weights lint ## Set up, then ruff, mypy and pytest, with the embedded LLM
	@$(BIN)/python -m pytest

lint: $(VENV)/.installed-dev ## ruff and mypy
	@$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# A mirror of PyPI may leave the advisories out, which a version that is known to be vulnerable shows. Where there are
# none to be had nothing is known, which is no failure of ours.
audit: $(VENV)/.installed-dev ## Ask PyPI whether a pinned dependency has a known vulnerability
	@folder=$$(mktemp -d)
	trap 'rm -r "$$folder"' EXIT
	ask() { $(BIN)/pip-audit -r "$$1" --no-deps --disable-pip --progress-spinner off -f columns -o "$$folder/found"; }
	echo jinja2==2.4.1 > "$$folder/vulnerable"
	if ask "$$folder/vulnerable" 2> "$$folder/log" || [ ! -s "$$folder/found" ]; then
	  echo "audit: skipped, since no advisories can be had from PyPI here"
	elif rm "$$folder/found"; ask constraints.txt 2> "$$folder/log"; then
	  echo "audit: no known vulnerability in what constraints.txt pins"
	elif [ -s "$$folder/found" ]; then
	  cat "$$folder/found" >&2
	  exit 1
	else
	  tail -1 "$$folder/log"
	  echo "audit: skipped, since PyPI stopped answering"
	fi

weights: $(VENV)/.installed ## Fetch and convert the embedded LLM, where it is the one that is used
	@$(BIN)/python -m agent.models

secrets: secrets/db_password secrets/database_url secrets/grafana_password ## Make the passwords that docker compose reads

# Containers run as other users, so the files are for all to read, and the folder for its owner alone.
secrets/db_password secrets/grafana_password:
	@mkdir -p -m 700 $(@D)
	head -c 24 /dev/urandom | base64 | tr +/ -_ > $@
	chmod 644 $@

secrets/database_url: secrets/db_password
	@echo "postgresql+psycopg://propriety:$$(cat $<)@db/propriety" > $@
	chmod 644 $@

clean: ## Remove the virtual environment and all that was downloaded or made; the decision log stays
	rm -rf $(VENV) models out

$(VENV)/bin/python:
	@command -v $(PYTHON) >/dev/null || {
	  echo "make: no $(PYTHON) here. Propriety needs Python 3.11: 'apt-get install python3.11-venv', or 'make PYTHON=/path/to/python3.11'." >&2
	  exit 1
	}
	echo "Creating $(VENV) (10 s)"
	$(PYTHON) -m venv $(VENV) || {
	  rm -rf $(VENV)
	  echo "make: $(PYTHON) cannot create a virtual environment; 'apt-get install python3.11-venv' mends it." >&2
	  exit 1
	}

$(VENV)/.installed: EXTRAS = $(BUILD),generator
$(VENV)/.installed-dev: EXTRAS = $(BUILD),generator,dev
$(VENV)/.installed $(VENV)/.installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	@free=$$(df --output=avail -BG . | tail -1 | tr -dc 0-9)
	if [ ! -e $(VENV)/.installed ] && [ "$$free" -lt 12 ]; then
	  echo "make: $$free GB free on the disk of $$PWD; the first set-up needs about 12 GB. Free some, and run it again." >&2
	  exit 1
	fi
	echo "Installing propriety[$(EXTRAS)] into $(VENV) (2 to 5 minutes the first time)"
	$(BIN)/python -m pip install -qq $(CONSTRAINTS) -e '.[$(EXTRAS)]' 2> >(tee $(VENV)/pip.log >&2) || {
	  sleep 1
	  if grep -qE 'torch==[0-9.]+\+cpu' $(VENV)/pip.log; then
	    echo "make: pip finds no CPU wheels of PyTorch, which vLLM's CPU build needs. Set one thing, pip's extra-index-url" >&2
	    echo "(the variable PIP_EXTRA_INDEX_URL), to PyTorch's index of CPU wheels: choose Linux, Pip and CPU under" >&2
	    echo "'Start Locally' on pytorch.org/get-started/locally, and take the address after --index-url." >&2
	  fi
	  echo "make: the installation failed, see above and $(VENV)/pip.log; run the same command again once it is mended." >&2
	  exit 1
	}
	# pip resolves these for another build of torch, with which transformers and vllm then fail at import.
	[ $(BUILD) = gpu ] || $(BIN)/python -m pip uninstall -qq -y torchvision torchaudio torchcodec
	touch $(VENV)/.installed $@
