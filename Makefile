# `make help` lists what can be done. Everything lives in .venv; nothing needs root, except that setup installs
# Debian's chromium, nginx and ffmpeg for tests and benchmarks when it runs as root (NO_APT=1: not even then).
.DEFAULT_GOAL := help
PY := .venv/bin/python
UV := .venv/bin/uv
JOBS ?= 4
ROUNDS ?= 10
# Tests and the demo start hundreds of processes, many at once; what setup has not compiled each compiles for itself.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test search check bench docs clean lock

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: .venv/.ready ## make .venv from the locks and build the pages' assets (tests and benchmarks also get Debian's chromium, nginx, ffmpeg)

.venv/.ready: requirements/dev.lock requirements/bootstrap.lock pyproject.toml web/package-lock.json $(wildcard web/src/*) web/build.mjs
	@test -x $(UV) || { python3 -m venv .venv && .venv/bin/python -m pip install --quiet --require-hashes -r requirements/bootstrap.lock; }
	$(UV) pip sync --quiet --compile-bytecode --require-hashes requirements/dev.lock
	$(UV) pip install --quiet --no-deps --no-build-isolation --editable .
	$(PY) -m compileall -q src
	$(PY) -m koinon.portal.build
	@touch $@

.venv/.tools: .venv/.ready
	@if [ "$$(id -u)" = 0 ] && [ -z "$(NO_APT)" ] && command -v apt-get >/dev/null && { ! command -v chromium >/dev/null || ! command -v nginx >/dev/null || ! command -v ffprobe >/dev/null; }; then \
	  (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium nginx-light ffmpeg fonts-dejavu-core) >/dev/null 2>&1 \
	  || echo "chromium, nginx and ffmpeg could not be installed: the tests that need them will be skipped"; fi
	@touch $@

demo: setup ## the Brussels demo region on http://127.0.0.1:8000, until Ctrl-C
	.venv/bin/koinon demo

test: .venv/.tools ## the whole test suite
	$(PY) -m pytest -n $(JOBS) --dist worksteal

search: .venv/.tools ## the property tests with newly drawn examples, ROUNDS times or until one fails
	for round in $$(seq $(ROUNDS)); do HYPOTHESIS_PROFILE=search $(PY) -m pytest -n $(JOBS) --dist worksteal -q -m hypothesis || exit 1; done

check: setup ## format, lint, types, import contracts, docs, translations
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	$(PY) -m koinon.app.docs --check
	$(PY) -m koinon.portal.build --check

bench: .venv/.tools ## every number the project claims, peers in the same run, into benchmarks/results/
	.venv/bin/koinon bench all

docs: setup ## write the generated reference pages
	$(PY) -m koinon.app.docs

lock: ## resolve the locks anew (needs the package registry)
	$(UV) pip compile -q --universal -p 3.11 --generate-hashes --no-header --upgrade requirements/bootstrap.in -o requirements/bootstrap.lock
	$(UV) pip compile -q --universal -p 3.11 --generate-hashes --no-header --upgrade pyproject.toml -o requirements/runtime.lock
	$(UV) pip compile -q --universal -p 3.11 --generate-hashes --no-header --upgrade --extra dev pyproject.toml -o requirements/dev.lock

clean: ## remove .venv, caches and built assets; state in KOINON_HOME stays
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis web/node_modules src/koinon/portal/static htmlcov .coverage*
	find src tests -name __pycache__ -prune -exec rm -rf {} +
