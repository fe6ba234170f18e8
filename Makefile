# make demo   map the packaged sample scan      make test   everything that is checked before a merge
# make lint   style, types and import rule      make bench  speed against other programs
# make bench-paper   the published comparison done again; bench-paper-quick: its short form
# make docs   the documentation, strictly       make docs-check   every command and code block in it
# make screenshots  photographs of the real window   make changes   the change log of the next release
# make dist   wheel and archive, looked at      make wheel-check  the wheel in an empty environment
# make faults drills: killed, starved, cut off  make fuzz   bytes of all kinds for every parser, ten minutes
# make clean  remove what these made            make distclean  and the environment
#
# All but clean first set up .venv with the versions of constraints.txt; a second run finds it ready.
# PYTHON=python3.12 chooses another interpreter, TORCH_INDEX= takes PyTorch with CUDA from PyPI.

.DEFAULT_GOAL := demo
.NOTPARALLEL:
.PHONY: demo test lint format pytest faults fuzz sbom bench bench-paper bench-paper-quick docs docs-check changes dist wheel-check screenshots soak clean distclean system setup setup-docs setup-release

bin := .venv/bin
export PYTHON ?= python3
export TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

demo: setup
	$(bin)/polarmap demo --out demo

test: system lint pytest

lint: setup
	$(bin)/ruff check .
	$(bin)/ruff format --check .
	$(bin)/mypy
	$(bin)/lint-imports

format: setup
	$(bin)/ruff check --fix .
	$(bin)/ruff format .

pytest: system setup
	$(bin)/pytest $(ARGS)

# Two lines that count what was tried and what survived: drills without, then with a window.
faults: system setup
	$(bin)/python tests/helpers/drills.py $(ARGS)
	$(bin)/pytest -q -k "closing or closed or cancel or delet" tests/widgets

fuzz: setup
	@sh tools/setup.sh python fuzz
	$(bin)/python tests/fuzz/parsers.py build/fuzz/corpus -max_total_time=600

# What a user gets with the wheel and the versions of constraints.txt, as CycloneDX.
sbom:
	@sh tools/sbom.sh

bench: setup
	$(bin)/python benchmarks/speed.py $(ARGS)

# Sets that are missing in build/bench-sets are simulated first; records are kept below build/.
bench-paper: setup
	$(bin)/python benchmarks/paper.py --report docs $(ARGS)

bench-paper-quick: setup
	$(bin)/python benchmarks/paper.py --quick --report docs $(ARGS)

docs: setup-docs
	NO_MKDOCS_2_WARNING=1 $(bin)/mkdocs build --strict

# ARGS=--no-slow leaves out the blocks that are marked as slow; ARGS=docs/train.md checks one page
docs-check: setup
	$(bin)/python tools/check_docs.py $(ARGS)

changes: setup-release
	$(bin)/towncrier build --draft --version next

dist: setup-release
	rm -rf dist
	$(bin)/python -m build --no-isolation
	$(bin)/twine check --strict dist/*
	$(bin)/check-manifest --no-build-isolation
	$(bin)/python tools/check_recipe.py

# pip installs into a new environment: some minutes, most of them PyTorch
wheel-check: system setup dist
	$(bin)/python tools/check_wheel.py dist/*.whl $(ARGS)

screenshots: system setup
	xvfb-run -a -s "-screen 0 1600x1000x24" $(bin)/python tools/screenshots.py
	QT_SCALE_FACTOR=2 xvfb-run -a -s "-screen 0 3200x2000x24" $(bin)/python tools/screenshots.py hidpi
	xvfb-run -a -s "-screen 0 1600x1000x24" $(bin)/python tools/tour.py

# Half an hour of random clicks; ARGS="--minutes 3 --seed 7" for less, or others
soak: system setup
	xvfb-run -a -s "-screen 0 1600x1000x24" $(bin)/python tools/soak.py $(ARGS)

setup:
	@sh tools/setup.sh python all,simulation,distributed,test

setup-docs: setup
	@sh tools/setup.sh python docs

setup-release: setup
	@sh tools/setup.sh python release

system:
	@sh tools/setup.sh system

clean:
	rm -rf demo build dist site .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find src tests tools benchmarks -name __pycache__ -type d -exec rm -rf {} +

distclean: clean
	rm -rf .venv
