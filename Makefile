# Every habit of the project. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SEED ?= 0
OUT ?= demo
PORT ?= 8420
# one more than there are cores, as tests of the station wait for browsers and servers
TESTERS ?= $(shell $(PYTHON) -c "import os; print(min(4, (os.cpu_count() or 1) + 1))")

# tests start many processes: with this set, each would compile flawmap anew
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install demo station test test-all test-postgresql quick coverage check format bench torture docs web clean

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 10

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train,dev]'
	@touch $@

install: $(VENV)/installed  ## virtual environment in .venv with everything in it

demo: install  ## draw a product, train, evaluate, report: SEED=0 OUT=demo
	$(BIN)/flawmap demo --out $(OUT) --seed $(SEED)

station: install  ## a station with the demo's product and parts coming in: PORT=8420 OUT=demo
	test -e $(OUT)/report.html || $(BIN)/flawmap demo --out $(OUT) --seed $(SEED)
	$(BIN)/python tools/station_demo.py $(OUT) --port $(PORT)

test: install  ## all tests but a few long ones; on Debian, as root, installs what they need
	tools/test_services.sh
	$(BIN)/python tools/run_tests.py -n $(TESTERS) -m 'not long' src tests

test-postgresql: install  ## the station's tests on PostgreSQL; `make test` runs a part of them on both
	tools/test_services.sh
	FLAWMAP_STATION_DATABASE=postgresql $(BIN)/python tools/run_tests.py -n $(TESTERS) -m 'not long' tests/station

test-all: install  ## all tests
	tools/test_services.sh
	$(BIN)/python tools/run_tests.py -n $(TESTERS) src tests

quick: install  ## tests that are not marked slow; those that should be are listed
	$(BIN)/python tools/run_tests.py -n $(TESTERS) -m 'not slow and not long' --durations 10 --durations-min 3 src tests

coverage: install  ## share of lines and branches that the tests execute, into benchmarks/results
	$(BIN)/python benchmarks/coverage_report.py

check: install  ## format, lint, types, which way imports point
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install  ## apply the fixes of the formatter and the linter
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: install  ## measure on the real data beside the checkout, into benchmarks/results
	$(BIN)/flawmap bench benchmarks/methods.yaml --out benchmarks/results
	$(BIN)/flawmap bench benchmarks/methods_kolektor.yaml --out benchmarks/results
	FLAWMAP_WEIGHTS=../shared/weights $(BIN)/flawmap bench benchmarks/fast.yaml --out benchmarks/results
	$(BIN)/python benchmarks/run.py all
	$(BIN)/python benchmarks/speed.py
	$(BIN)/python benchmarks/guard.py

torture: install  ## kill training at 30 moments, resume it, compare bits; into benchmarks/results
	$(BIN)/python benchmarks/torture.py

docs: install  ## tables from benchmarks/results, the command line's reference, the site in site/
	$(BIN)/python benchmarks/tables.py
	$(BIN)/python tools/cli_reference.py
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	$(BIN)/zensical build --strict

web:  ## the station's image viewer from tools/viewer (needs node); its built file is part of the source
	cd tools/viewer && npm ci --no-audit --no-fund && npm run build

clean:  ## remove everything that make made
	rm -rf $(VENV) $(OUT) build site .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage* src/*.egg-info \
		examples/javascript/node_modules
