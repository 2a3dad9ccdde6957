# What a newcomer runs: make demo, make test, make dev. Everything installs itself into .venv.

PYTHON ?= python3
BIN := .venv/bin
export HIVEGUARD_SHARED ?= ../shared
PYTEST_WORKERS ?= 2
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-deps

.PHONY: demo dev test test-slow debian label-studio lint bench bench-quick peers golden lock clean

demo: .venv/.run
	@$(BIN)/hiveguard demo

dev: .venv/.run
	@$(BIN)/hiveguard init
	@VIRTUAL_ENV="$$PWD/.venv" DAGSTER_HOME="$${DAGSTER_HOME:-$$PWD/.hiveguard/dagster}" $(BIN)/dg dev

test: lint
	$(BIN)/pytest -n $(PYTEST_WORKERS)

test-slow: .venv/.test debian label-studio .peers/formats/.installed
	$(BIN)/pytest -m slow -n $(PYTEST_WORKERS) --dist loadgroup

# What the long tests need besides Python; tests that lack theirs are skipped.
debian:
	@missing=$$(for p in $$(cat tests/debian-packages.txt); do \
	  dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
	if [ -z "$$missing" ]; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  { apt-get update -q && DEBIAN_FRONTEND=noninteractive \
	    apt-get install -y -q --no-install-recommends $$missing; } || echo "not installed:" $$missing; \
	else echo "the long tests also want: apt-get install" $$missing; fi

# A Label Studio server, in an environment of its own, for the tests that push to one and pull from it.
label-studio: .peers/label-studio/.installed

lint: .venv/.test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The whole table takes some hours and 30 GB; QUICK=1 (or bench-quick) under two minutes. ONLY=batch,tick picks rows.
bench: .venv/.test peers
	$(BIN)/python -m benchmarks $(if $(QUICK),--quick) $(if $(ONLY),--only $(ONLY)) $(BENCH_OPTIONS)

bench-quick:
	@$(MAKE) bench QUICK=1

peers: .peers/crowd-kit/.installed .peers/formats/.installed .peers/texts/.installed

# What irrCAC, statsmodels, scikit-learn and crowd-kit say of the real votes, for the tests of quality.
golden: .peers/irrcac/.installed .peers/crowd-kit/.installed
	.peers/irrcac/bin/python tests/quality/golden/write_agreement.py $(HIVEGUARD_SHARED)
	.peers/crowd-kit/bin/python tests/quality/golden/write_crowdkit_aggregation.py $(HIVEGUARD_SHARED)/votes

lock:
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-annotate --no-strip-extras -o requirements.lock
	uv pip compile pyproject.toml --group test -c requirements.lock --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-annotate --no-strip-extras -o tests/requirements.lock
	uv pip compile deploy/launchers.in -c requirements.lock --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-annotate --no-strip-extras -o deploy/launchers.lock
	uv pip compile benchmarks/crowd-kit.in --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-annotate --no-strip-extras -o benchmarks/crowd-kit.lock
	uv pip compile benchmarks/formats.in --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-annotate --no-strip-extras -o benchmarks/formats.lock
	uv pip compile benchmarks/irrcac.in --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-annotate --no-strip-extras -o benchmarks/irrcac.lock
	uv pip compile benchmarks/texts.in --no-deps --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-annotate --no-strip-extras -o benchmarks/texts.lock
	uv pip compile tests/label-studio.in --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-annotate --no-strip-extras -o tests/label-studio.lock

clean:
	rm -rf .venv .peers .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info

.venv/.run: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("HiveGuard needs Python 3.11 or newer, not " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@echo "installing into .venv (a minute or two the first time)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(PIP) --require-hashes -r requirements.lock
	@$(PIP) --no-build-isolation -e .
	@touch $@

.venv/.test: .venv/.run tests/requirements.lock
	@$(PIP) --require-hashes -r tests/requirements.lock
	@touch $@

INSTALL_PEER = test -x .peers/$(1)/bin/python || $(PYTHON) -m venv .peers/$(1); \
	.peers/$(1)/bin/python -m pip --disable-pip-version-check install --quiet --no-deps \
	  --require-hashes -r $<

.peers/%/.installed: benchmarks/%.lock
	@$(call INSTALL_PEER,$*)
	@touch $@

.peers/label-studio/.installed: tests/label-studio.lock
	@echo "installing Label Studio into .peers/label-studio (some minutes and 800 MB, the first time)"
	@$(call INSTALL_PEER,label-studio)
	@touch $@
