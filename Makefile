# Every target sets up what it needs in .venv, with the versions in constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
OUT ?= runs/gpu
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
SOURCES := setup.py constraints.txt $(foreach kind,cpp h cuh,$(wildcard gpuaug/kernels/*.$(kind)))

.PHONY: setup demo test test-all test-no-compiler mutants lint bench map docs fidelity fidelity-page study gpu clean

setup: .venv/.demo  ## what training and the demo need, without NVIDIA's libraries

demo: .venv/.demo  ## toy videos -> probe -> preview -> train, 160 steps on one thread -> report
	$(BIN)/python -m pretrain demo --out demo

test: .venv/.test  ## the fast tier: no training, no further process; under three minutes on two cores
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow and not end_to_end"

test-all: .venv/.test  ## every test that runs on this machine, on two workers
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# A copy of the sources with nothing compiled in it, and no compiler in reach: NumPy has to serve. Where compiled kernels
# are found after all, it fails.
BARE := $(CURDIR)/build/no-compiler
BARE_PYTHON := cd $(BARE) && env PATH=$(CURDIR)/$(BIN) CC=no-c-compiler CXX=no-c++-compiler PYTHONPATH=$(BARE) \
	$(CURDIR)/$(BIN)/python
BARE_TESTS := functional one_rule arrays values time_axis blend render edits arguments
test-no-compiler: .venv/.test  ## the tests of pixels as they run where there is no C++ compiler
	rm -rf $(BARE)
	mkdir -p $(BARE)
	tar -c --exclude='*.so' --exclude=__pycache__ gpuaug pretrain tests gpuaug_console.py setup.py pyproject.toml \
		README.md NOTICE LICENSE | tar -x -C $(BARE)
	$(BARE_PYTHON) setup.py --quiet build_ext --inplace
	$(BARE_PYTHON) -W error -c "import gpuaug.kernels.host as host; assert host.__file__.startswith('$(BARE)/'), host; \
		found = host.find(); assert isinstance(found, str), found"
	$(BARE_PYTHON) -m pytest -W "ignore:gpuaug's CPU kernels were not built:RuntimeWarning" -m "not gpu" \
		$(BARE_TESTS:%=tests/gpuaug/test_%.py) tests/gpuaug/kernels/test_host_allocator.py \
		tests/gpuaug/kernels/test_kernels.py::test_without_extension_the_reference_serves_with_one_warning
	$(BARE_PYTHON) -m gpuaug doctor

# Not part of CI: what it finds is read by a person, docs/mutants.md says how.
SAMPLE ?= 200
SEED ?= 0
mutants: .venv/.mutants  ## plants faults, and reports those that no fast test sees
	PYTHONPATH=$(CURDIR)/tests $(BIN)/python -m support.mutants.run --sample $(SAMPLE) --seed $(SEED)

lint: .venv/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/.test  ## the CPU benchmarks; writes benchmarks/results
	$(BIN)/python -m benchmarks

map: .venv/.demo  ## the map of the code in README.md, from the packages' docstrings
	$(BIN)/python tests/support/code_map.py

docs: .venv/.docs  ## the documentation site, in build/site: pages, reference, commands; a broken link or anchor is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

fidelity: .venv/.test  ## docs/fidelity.md: one step of every recipe against the papers, two of every command line
	$(BIN)/python -m pytest -m "fidelity or not fidelity" tests/pretrain/fidelity

fidelity-page: .venv/.test  ## the tables of docs/fidelity.md, from the recipes
	PYTHONPATH=.:tests $(BIN)/python tests/support/papers/page.py docs/fidelity.md

study: .venv/.test  ## every pre-training, one localiser, one table; goes on where it was stopped
	$(BIN)/python -m benchmarks.study.run --out runs/study

# On a GPU machine without a network: make gpu GPU_PYTHON=python3 OUT=dir uses that Python's packages; packages that it
# lacks are accepted by name, GPUAUG_ABSENT=nvidia.dali,torchcodec,kornia,pytorch_lightning. Within nine minutes: what takes longer is
# interrupted, so that pytest writes what is done by then, and each benchmark saves after every case. The examples, which
# start processes, have a run of their own. benchmarks/gpu_calls.sh does the same in calls of some minutes.
GPU_PYTHON ?= $(BIN)/python
GPU_FILES = $(shell grep -lE 'mark\.gpu|implementations' -r tests --include='test_*.py')
GPU_EXAMPLES = $(filter tests/end_to_end/%,$(GPU_FILES))
GPU_TESTS = $(filter-out $(GPU_EXAMPLES),$(GPU_FILES))
GPU_VIDEOS ?= $(OUT)/videos
GPU_RUN = GPUAUG_REQUIRE_GPU=1 timeout -s INT
gpu: $(if $(filter $(BIN)/python,$(GPU_PYTHON)),.venv/.test)  ## all GPU tests, of which none may be skipped; the GPU benchmarks
	mkdir -p $(OUT)
	$(GPU_PYTHON) setup.py --quiet build_ext --inplace
	$(GPU_RUN) 150 $(GPU_PYTHON) -m pytest -m gpu $(GPU_TESTS) --junitxml=$(OUT)/tests.xml; tests=$$?; \
	$(GPU_RUN) 60 $(GPU_PYTHON) -m pytest -m gpu $(GPU_EXAMPLES) --junitxml=$(OUT)/examples.xml; examples=$$?; \
	timeout -s INT 330 $(GPU_PYTHON) -m benchmarks --device cuda --out $(OUT) --videos $(GPU_VIDEOS); benchmarks=$$?; \
	exit $$((tests || examples || benchmarks))

clean:
	rm -rf .venv demo build *.egg-info gpuaug/kernels/*.so

# Without an NVIDIA driver torch comes from its index of CPU builds, which are some gigabytes smaller, where that index
# answers; elsewhere, and where torch is there already, from the usual one. TORCH_INDEX= (nothing) never asks.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
NVIDIA := /proc/driver/nvidia
ANSWERS := import sys, urllib.request as web; web.urlopen(sys.argv[1] + "/torch/", timeout=5)
define cpu_torch
	if [ -n "$(TORCH_INDEX)" ] && [ ! -e $(NVIDIA) ] && ! command -v nvidia-smi > /dev/null \
		&& ! $(BIN)/python -c 'import torch' 2> /dev/null && $(BIN)/python -c '$(ANSWERS)' $(TORCH_INDEX) 2> /dev/null; \
	then $(INSTALL) torch torchvision --index-url $(TORCH_INDEX); fi
endef

.venv/.demo: $(SOURCES)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(cpu_torch)
	$(INSTALL) -e '.[pretrain]'
	touch $@

.venv/.test: $(SOURCES)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(INSTALL) -e '.[pretrain,tensorboard,test,bench,cuda13]'
	touch $@ .venv/.demo

# What an extra needs beside .venv/.test. Not by -e '.[docs]', which would compile the kernels once more.
NEEDS := import importlib.metadata as m, sys; print(*(r.partition(";")[0] for r in m.requires("gpuaug") if sys.argv[1] in r.partition("extra ==")[2]), sep="\n")
.venv/.docs .venv/.mutants: .venv/.%: .venv/.test
	$(BIN)/python -c '$(NEEDS)' $* > .venv/$*.txt
	$(INSTALL) -r .venv/$*.txt
	touch $@
