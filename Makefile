# Two commands matter: 'make demo' and 'make test'. Each sets up all that it needs.
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
EXTRAS := convert,dev
CODE := scripts examples benchmarks
# Two workers; 'make test PYTEST_ARGS="-n 0 -x -k masking"' runs a choice in one process.
PYTEST_ARGS ?= -n 2
.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' Makefile

# An environment of the project's own, made again only when what it holds has changed.
$(READY): pyproject.toml scripts/setup.sh
	@scripts/setup.sh $(VENV) $(EXTRAS)
	@touch $@

.PHONY: install
install: $(READY) ## Set up .venv with everything needed to work on Hornbeam

.PHONY: demo
demo: $(READY) ## Convert the digits model, prove it, score it and time it
	@$(BIN)/hornbeam demo

.PHONY: test
test: $(READY) ## Run the quick tests
	$(BIN)/python -m pytest -m "not slow" $(PYTEST_ARGS)

.PHONY: test-all
test-all: $(READY) ## Run every test, the slow ones too
	$(BIN)/python -m pytest $(PYTEST_ARGS)

# A time budget, and what the order is shuffled by: see scripts/slow_sample.py.
SLOW_SECONDS ?= 1800
SLOW_SEED ?= 0
.PHONY: test-slow
test-slow: $(READY) ## Run as many slow tests as fit into SLOW_SECONDS
	PYTHONPATH=scripts $(BIN)/python -m pytest -p slow_sample -m slow \
		--ignore tests/test_packaging.py \
		--sample-seconds $(SLOW_SECONDS) --sample-seed $(SLOW_SEED) $(PYTEST_ARGS)

.PHONY: test-runtime
test-runtime: $(READY) ## Run the runtime's tests on every Python found, and on the oldest versions
	$(BIN)/python scripts/test_runtime.py $(RUNTIME_ARGS)

.PHONY: test-wheel
test-wheel: $(READY) ## Build the wheel and test it in an empty environment
	$(BIN)/python -m pytest tests/test_packaging.py $(WHEEL_ARGS)

.PHONY: check
check: lint types ## Run lint and types

.PHONY: lint
lint: $(READY) ## Check style and formatting
	$(BIN)/ruff check
	$(BIN)/ruff format --check

.PHONY: types
types: $(READY) ## Check types
	$(BIN)/mypy
	$(BIN)/mypy --python-version 3.11 $(CODE)

.PHONY: format
format: $(READY) ## Format the code and mend what ruff can mend
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.PHONY: build
build: $(READY) ## Build the wheel and the source distribution into dist/
	$(BIN)/python -m build --no-isolation

.PHONY: benchmark-convert
benchmark-convert: $(READY) ## Measure conversion beside other converters
	$(BIN)/python benchmarks/convert.py $(BENCHMARK_ARGS)

.PHONY: clean
clean: ## Remove what was built or cached; the environments stay
	rm -rf build dist .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis

.PHONY: clean-all
clean-all: clean ## Remove the environments as well
	rm -rf $(VENV) .venv-peers
