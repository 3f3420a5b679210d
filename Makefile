# Freshet. `make` prints help; `make demo` and `make test` do everything on a fresh machine.
# Only Python >= 3.11 and make are assumed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# Options of `make demo`, each handed on only when given.
DEMO_OPTIONS := $(if $(DATA),--data "$(DATA)") $(if $(KEEP),--keep "$(KEEP)") $(if $(SUMMARY),--summary "$(SUMMARY)") \
	$(if $(SEGMENTS),--segments "$(SEGMENTS)") $(if $(UNTIL),--until "$(UNTIL)") $(if $(LIMIT),--limit "$(LIMIT)") \
	$(if $(USERS),--users "$(USERS)") $(if $(SEED),--seed "$(SEED)")

.PHONY: help
help: ## Show this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  \033[1m%-13s\033[0m %s\n", $$1, $$2}'
	@echo
	@echo "  make demo takes DATA=folder KEEP=0 SUMMARY=file.json SEGMENTS=folder UNTIL=instant LIMIT=n USERS=n SEED=n"

$(STAMP): requirements/dev.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) is not installed; install Python 3.11 or newer, or say make PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else f"make: Python 3.11 or newer is needed, {sys.executable} is {sys.version.split()[0]}; say make PYTHON=/path/to/python3.11")'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "make: this Python has no venv module; install it (Debian: python3-venv)" >&2; exit 1; }
	@echo "setting up $(VENV) (once; takes a minute or two)"
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock \
		|| { echo "make: packages could not be installed; the first run needs the network" >&2; exit 1; }
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

.PHONY: setup
setup: $(STAMP) ## Make the Python environment below .venv

.PHONY: demo
demo: $(STAMP) ## Start everything, send events, decide, train, score, print the result
	@$(BIN)/python -m deploy.demo $(DEMO_OPTIONS)

.PHONY: up
up: $(STAMP) ## Start Kafka, Redis and all services
	@$(BIN)/python -m deploy.local up

.PHONY: down
down: $(STAMP) ## Stop everything that up or demo started
	@$(BIN)/python -m deploy.local down

.PHONY: status
status: $(STAMP) ## Show processes, ports and readiness
	@$(BIN)/python -m deploy.local status

.PHONY: logs
logs: $(STAMP) ## Show the logs (SERVICE=name for one of them)
	@$(BIN)/python -m deploy.local logs $(SERVICE)

.PHONY: topics
topics: $(STAMP) ## Show topics, offsets and the lag of each group
	@$(BIN)/python -m deploy.local topics

.PHONY: clean
clean: $(STAMP) ## Remove all data below .freshet (refused while running)
	@$(BIN)/python -m deploy.local clean

.PHONY: format
format: $(STAMP) ## Format the code
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

.PHONY: lint
lint: $(STAMP) ## Check format, lint, types and import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy services shared deploy tests
	$(BIN)/lint-imports

.PHONY: unit
unit: $(STAMP) ## Run the tests that need no sockets
	$(BIN)/pytest tests/unit tests/contract tests/architecture

.PHONY: test
test: lint ## Run all checks and tests
	$(BIN)/pytest -n 2 --no-loadscope-reorder

.PHONY: fuzz
fuzz: $(STAMP) ## Search for differences between engine and oracle (MINUTES=60)
	@$(BIN)/python -m tests.property.pql.fuzz --minutes $(or $(MINUTES),60) $(if $(SEED),--first $(SEED))

.PHONY: simulate
simulate: $(STAMP) ## Run the stage runtime through seeded schedules of faults (N=1000000, FIRST=seed)
	@$(BIN)/python -m tests.simulation --schedules $(or $(N),1000000) --first $(or $(FIRST),0)

.PHONY: chaos
chaos: $(STAMP) ## Kill, freeze and roll back real processes under load, then check everything (MINUTES=10 SEED=1 EVENTS=1000000)
	@$(BIN)/python -m tests.chaos --minutes $(or $(MINUTES),10) --seed $(or $(SEED),1) --events $(or $(EVENTS),1000000)

.PHONY: soak
soak: $(STAMP) ## Run the whole system for an hour and judge its memory, files and tasks (MINUTES=60)
	@$(BIN)/python -m tests.chaos.soak --minutes $(or $(MINUTES),60)

.PHONY: bench
bench: $(STAMP) ## Measure throughput and latency, write JSON
	@$(BIN)/python -m tests.bench --output tests/bench/results/pipeline.json

.PHONY: bench-pql
bench-pql: $(STAMP) ## Measure the segment engine alone, write JSON
	@$(BIN)/python -m tests.bench.pql

.PHONY: bench-runtime
bench-runtime: $(STAMP) ## Measure the stage runtime alone, write JSON (ONLY=bare,segmentation,...)
	@$(BIN)/python -m tests.bench.runtime $(if $(ONLY),--only $(ONLY))

.PHONY: bench-peers
bench-peers: $(STAMP) ## Measure the same job on Faust, quixstreams and Kafka Streams, write JSON
	@$(BIN)/python -m tests.bench.peers

.PHONY: lock
lock: ## Resolve dependencies again into requirements/*.lock (needs uv)
	uv pip compile pyproject.toml --extra all --group dev --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header -q -o requirements/dev.lock
	for extra in ingestion segmentation profile-store training model-registry scoring edge-inference; do \
		uv pip compile pyproject.toml --extra $$extra --universal --python-version 3.11 --generate-hashes \
			--no-emit-index-url --no-header --no-annotate -q -o requirements/$$extra.lock -c requirements/dev.lock; done
