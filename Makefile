# Every target sets up what it needs in .venv, with the versions in constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
OUT ?= runs/gpu
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
SOURCES := setup.py constraints.txt $(wildcard gpuaug/kernels/*)

.PHONY: setup demo test test-all lint bench map study gpu clean

setup: .venv/.demo  ## what training and the demo need, without NVIDIA's libraries

demo: .venv/.demo  ## toy videos -> probe -> train for three minutes -> preview
	$(BIN)/python -m pretrain demo --out demo

test: .venv/.test  ## the fast tier: no training, no further process; under three minutes on two cores
	$(BIN)/python -m pytest -m "not slow and not end_to_end"

test-all: .venv/.test  ## every test that runs on this machine, on two workers
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: .venv/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/.test  ## the CPU benchmarks; writes benchmarks/results
	$(BIN)/python -m benchmarks

map: .venv/.demo  ## the map of the code in README.md, from the packages' docstrings
	$(BIN)/python tests/support/code_map.py

study: .venv/.test  ## every pre-training, one localiser, one table; goes on where it was stopped
	$(BIN)/python -m benchmarks.study.run --out runs/study

# On a GPU machine without a network: make gpu GPU_PYTHON=python3 OUT=dir uses that Python's packages. Within nine
# minutes: what takes longer is stopped, and what is done by then is in OUT.
GPU_PYTHON ?= $(BIN)/python
GPU_TESTS = $(shell grep -lE 'mark\.gpu|implementations' -r tests --include='test_*.py')
gpu: $(if $(filter $(BIN)/python,$(GPU_PYTHON)),.venv/.test)  ## all GPU tests, of which none may be skipped; the GPU benchmarks
	mkdir -p $(OUT)
	$(GPU_PYTHON) setup.py --quiet build_ext --inplace
	GPUAUG_REQUIRE_GPU=1 timeout 200 $(GPU_PYTHON) -m pytest -m gpu $(GPU_TESTS) --junitxml=$(OUT)/tests.xml; \
	tests=$$?; timeout 330 $(GPU_PYTHON) -m benchmarks --device cuda --out $(OUT); \
	benchmarks=$$?; exit $$((tests + benchmarks))

clean:
	rm -rf .venv demo build *.egg-info gpuaug/kernels/*.so

.venv/.demo: $(SOURCES)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(INSTALL) -e '.[pretrain]'
	touch $@

.venv/.test: $(SOURCES)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(INSTALL) -e '.[pretrain,test,bench,cuda13]'
	touch $@ .venv/.demo
