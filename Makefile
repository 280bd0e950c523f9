# Every target sets up what it needs. `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
LOCK := $(BIN)/uv pip compile --quiet --generate-hashes --python-platform x86_64-manylinux_2_35 --custom-compile-command 'make lock'
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# PyPI's build brings CUDA, several GB; the CPU's comes from PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu.
TORCH ?= torch==2.13.0
# Installs Debian's packages for root on Debian; names them to everybody else, and stops.
DEBIAN = { echo "missing, of Debian's packages: $(1)" >&2; \
  test "$$(id -u)" = 0 && command -v apt-get > /dev/null || { echo "install them, or what gives the same here, and run make again" >&2; exit 1; }; \
  apt-get update -qq; RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $(1); }

.PHONY: help demo serve test bench loadtest k8s lock sbom lint generate check-generated clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

$(BIN)/python:
	@$(PYTHON) -c 'import ensurepip' 2> /dev/null || $(call DEBIAN,python3.11-venv)
	$(PYTHON) -m venv $(VENV)

$(VENV)/.serve: pyproject.toml client/pyproject.toml | $(BIN)/python
	@echo "setting up: service, Triton, client (once, a few minutes)"
	$(PIP) -e '.[service,triton]' -e './client[cli]'
	@touch $@

$(VENV)/.dev: pyproject.toml client/pyproject.toml | $(BIN)/python
	@echo "setting up: everything, PyTorch included (once, some minutes)"
	@# skia draws with EGL and GL; rules and dashboard are tested by Prometheus
	@missing=; $(BIN)/python -c 'import ctypes; [ctypes.CDLL(f"lib{name}.so.1") for name in ("EGL", "GL", "expat")]' 2> /dev/null || missing='libegl1 libgl1 libexpat1'; \
	  command -v promtool > /dev/null || missing+=' prometheus'; \
	  test -z "$$missing" || $(call DEBIAN,$$missing)
	$(PIP) '$(TORCH)'
	$(PIP) -e '.[service,triton,student,export,fp8,tensorrt-rtx,training,curation,evaluation,loadtest,simulation,deploy,test]' -e './client[cli]'
	@touch $@ $(VENV)/.serve

demo: $(VENV)/.serve ## try a garment on, switch it mid-stream: out/demo.mp4 and out/demo.png
	$(BIN)/python -m demo

serve: $(VENV)/.serve ## run Triton and the orchestrator on 127.0.0.1:50051 until stopped
	$(BIN)/python -m service

bench: $(VENV)/.dev ## overhead, switch, many sessions, cache, scheduler (not: memory, half an hour)
	$(BIN)/python -m benchmarks

loadtest: $(VENV)/.dev ## smoke run against a service it starts, on loopback only: out/loadtest/index.html
	rm -rf out/loadtest
	CHAMELEON_LISTEN=127.0.0.1:0 CHAMELEON_METRICS_LISTEN=127.0.0.1:0 CHAMELEON_TRITON_METRICS_PORT=0 CHAMELEON_DRAIN_GRACE_S=0 \
	  $(BIN)/python -m loadtest run scenarios/smoke.yaml --serve '$(BIN)/python -m service' --out out/loadtest

test: $(VENV)/.dev $(VENV)/.checkov ## set up and run every test that needs no GPU
	$(BIN)/python -m pytest -q tests/contract --cov=contract --cov-branch --cov-fail-under=100 --cov-report=term-missing
	OMP_NUM_THREADS=2 $(BIN)/python -m pytest --ignore=tests/contract

k8s: $(VENV)/.dev $(VENV)/.checkov ## render and check every overlay, lint the Containerfiles, run the pod's processes
	CHAMELEON_STRICT=1 $(BIN)/python -m pytest -q tests/deploy/k8s

$(VENV)/.checkov: | $(BIN)/python # its pins clash with ours
	$(PYTHON) -m venv $(VENV)/checkov
	$(VENV)/checkov/bin/python -m pip install --quiet --disable-pip-version-check checkov==3.3.30
	@touch $@

lock: $(VENV)/.dev ## pin and hash what the images install, anew
	$(LOCK) --extra service --python-version 3.11 -o deploy/containers/orchestrator.requirements.txt pyproject.toml
	$(LOCK) --extra triton --python-version 3.11 -o deploy/containers/triton-cpu.requirements.txt pyproject.toml
	$(LOCK) --python-version 3.12 -o deploy/containers/triton-gpu.requirements.txt deploy/containers/triton-gpu.in
	$(LOCK) --python-version 3.12 -o deploy/containers/triton-torch.requirements.txt deploy/containers/triton-torch.in
	$(LOCK) --python-version 3.12 --override deploy/containers/engine-builder.overrides \
	  -o deploy/containers/engine-builder.requirements.txt deploy/containers/engine-builder.in

sbom: $(VENV)/.dev ## bill of materials of what the images install: out/sbom.spdx.json
	mkdir -p out
	SYFT_CHECK_FOR_APP_UPDATE=false $(BIN)/syft scan dir:deploy/containers -o spdx-json=out/sbom.spdx.json

lint: $(VENV)/.dev check-generated ## ruff, mypy, import-linter, buf, generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy contract curation service executors student export training evaluation client/src/chameleon demo benchmarks loadtest simulation deploy/monitoring deploy/containers
	$(BIN)/lint-imports
	$(BIN)/python -m export configs --check
	$(BIN)/python -m deploy.monitoring --check
	cd proto && ../$(BIN)/buf lint && ../$(BIN)/buf format --diff --exit-code

generate: $(VENV)/.dev ## regenerate the committed stubs
	$(BIN)/python -m grpc_tools.protoc -Iproto --python_out=proto/gen --pyi_out=proto/gen --grpc_python_out=proto/gen proto/fashionchameleon/v1/*.proto

check-generated: generate ## fail if the committed stubs differ from what the protos give
	git diff --exit-code --stat -- proto/gen

clean: ## remove what the targets made
	rm -rf $(VENV) out
