# make demo: everything on this machine, no credentials. make test: all checks but slow tests, make slow: these.
# make setup: only the environment.
PYTHON ?= python3
BIN := .venv/bin
SHELL := /bin/bash
unexport PYTHONDONTWRITEBYTECODE  # some hundred processes would each compile everything anew

.PHONY: demo test setup checks lint types imports unit lock clean

demo: setup
	$(BIN)/audit-bot demo

# mypy keeps one core busy while the tests wait for each other.
test: setup
	$(MAKE) --no-print-directory -j2 checks unit

checks: lint types imports

setup: .venv/.made

# Made again only when the lock changes. The stamp is written last, so a broken-off set-up starts over.
# Compiled at the end on all cores; what packages ship for other Pythons does not compile and is not missed.
# --no-deps: the lock is whole (pip check says so), and an older pip would look for a newer `coverage[toml]` than is pinned.
.venv/.made: requirements.lock
	rm -rf .venv
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-compile --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	$(BIN)/python -m pip check --disable-pip-version-check
	$(BIN)/python -m compileall -q -j 0 .venv bot || true
	touch $@

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

imports: setup
	$(BIN)/lint-imports

unit: setup
	$(BIN)/pytest -n 4 --dist worksteal -m "not slow" --cov --cov-report=term:skip-covered -q

# Tests that take seconds each: the demo, the forest over months, laws with many events. CI runs them after `make test`.
.PHONY: slow
slow: setup
	$(BIN)/pytest -n 4 --dist worksteal -m slow -q

# These take their time. kills: the service is killed 200 times. soak: 15 minutes with a million events.
# laws: every property test and the state machine with 25 times the examples: a long run.
.PHONY: kills soak laws
kills: setup
	$(BIN)/python -m tests.kills

soak: setup
	$(BIN)/python -m tests.soak

laws: setup
	LAWS=long $(BIN)/pytest -m hypothesis -n 2 -q

# Known vulnerabilities of what is pinned. Needs a network: the advisories are asked for at the package index.
.PHONY: audit
audit: .venv/audit
	.venv/audit/bin/pip-audit --require-hashes --disable-pip -r requirements.lock -r benchmarks/requirements.lock

# In an environment of its own, not pinned: it has to know the newest advisories, and the bot runs nothing of it.
.venv/audit: | setup
	$(PYTHON) -m venv $@
	$@/bin/python -m pip install --quiet --disable-pip-version-check pip-audit

# Needs uv. Hashes only: no lock format that records addresses.
lock:
	uv pip compile --universal --python-version 3.11 --extra dev --generate-hashes --no-annotate \
	  --no-emit-index-url --no-header pyproject.toml -o requirements.lock

.PHONY: bench
# How fast and how small: figures into benchmarks/results; SIZES="100k 1M 10M" takes an hour and 4 GB under /tmp.
SIZES ?= 100k 1M
RUNS ?= 5
bench: setup .venv/bench
	$(BIN)/python -m benchmarks.speed --sizes $(SIZES) --runs $(RUNS) --peer-path .venv/bench

# What only benchmarks need, in a folder of its own: the bot's environment stays as it is locked.
.venv/bench: benchmarks/requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --upgrade \
	  --target $@ -r benchmarks/requirements.lock
	touch $@

clean:
	rm -rf .venv data .pytest_cache .mypy_cache .ruff_cache .coverage*

.PHONY: screenshots
# Pictures of the docs, made from the running demo; needs Chromium.
screenshots: setup
	$(BIN)/python docs/screenshots.py
