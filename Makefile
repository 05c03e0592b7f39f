# Every target sets up what it needs; `make help` lists them.
SHELL := /bin/bash
VENV ?= .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
HOST_TOOLS := $(VENV)/.host-tools
LOCK := packaging/requirements.lock

.PHONY: help test swarm fuzz properties lab-shell package demo bench load lab lab-demo lab-test lab-compare lab-bench lab-load \
  lint format schema lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml $(LOCK)
	packaging/prerequisites python
	python3 -m venv $(VENV)
	@# Install every library in the version and by the hash of the lock file, and nothing else.
	$(VENV)/bin/pip install -q --disable-pip-version-check --require-hashes -r $(LOCK)
	@# A path entry instead of an import hook: the hook would double the start of every process.
	$(VENV)/bin/pip install -q --disable-pip-version-check --no-deps --no-build-isolation \
	  --config-settings editable_mode=compat -e .
	touch $@

$(HOST_TOOLS): packaging/prerequisites $(STAMP)
	packaging/prerequisites test
	touch $@

test: $(HOST_TOOLS) ## run every test this machine can run
	$(PY) -m tests.lab.image storage
	@# Three at a time: two with real parts, one that computes (tests/conftest.py).
	$(PY) -m pytest -n 3

RUNS ?= 1000000
fuzz: $(STAMP) ## coverage-guided fuzzing of the decoders of heartbeats and orders (RUNS=10000000 for a long one)
	$(VENV)/bin/pip install -q --disable-pip-version-check -e '.[fuzz]'
	$(PY) -m tests.fuzz $(RUNS)

properties: $(HOST_TOOLS) ## property tests with new examples, twenty times as many: half an hour and more
	HYPOTHESIS_PROFILE=random $(PY) -m pytest -m hypothesis -o timeout=0

demo: $(STAMP) ## a pair in namespaces: commit, apply, heal, roll back, fail over in every way (KEEP=1 leaves it running)
	packaging/prerequisites demo
	@$(PY) -m reconciler.demo

bench: $(HOST_TOOLS) ## measure the times that operators and clients wait, in twenty minutes; GROUP=failover for one, RUNS=100 for more
	packaging/prerequisites bench
	$(PY) -m tests.bench $(if $(findstring command line,$(origin RUNS)),--runs $(RUNS)) $(GROUP)

load: $(HOST_TOOLS) ## false failovers while both processors are busy: two pairs for MINUTES (20)
	packaging/prerequisites bench
	$(PY) -m tests.bench.load --minutes $(or $(MINUTES),20)

swarm: $(STAMP) ## play SEEDS (1000000) random histories of the simulated pair from FIRST (0) on; minutes to hours
	$(PY) -m tests.simulation.swarm_runs --first $(or $(FIRST),0) --seeds $(or $(SEEDS),1000000) --processes 2

lab: $(HOST_TOOLS) ## build kernel, initial file system and OpenZFS for the emulated machines (minutes, once), or say where they are
	$(PY) -m tests.lab.image storage

lab-demo: lab ## a pair in emulated machines serves NFS and iSCSI: a commit, a power cut under a client, a switchover; minutes
	@$(PY) -m tests.lab.pair.demo

lab-test: lab ## the emulated pair with real disks: every scenario; minutes each
	$(PY) -m pytest tests/lab/pair

lab-compare: lab ## power cut to pool and address: hagit, the bare commands, Pacemaker; RUNS=3, TOKEN=1000 (ms), SHELF=kernel
	$(PY) -m tests.lab.benchmarks.comparison $(if $(findstring command line,$(origin RUNS)),$(RUNS),3) $(or $(TOKEN),1000) $(or $(SHELF),kernel)

lab-bench: lab ## times of hagit beside those of the bare commands, on emulated machines: an hour; RUNS=3 for less
	$(PY) -m tests.lab.benchmarks.power_cut $(if $(findstring command line,$(origin RUNS)),$(RUNS))
	$(PY) -m tests.lab.benchmarks.switchover $(if $(findstring command line,$(origin RUNS)),$(RUNS))
	$(PY) -m tests.lab.benchmarks.dataset_mounts $(if $(findstring command line,$(origin RUNS)),$(RUNS))
	$(PY) -m tests.lab.benchmarks.fencing $(if $(findstring command line,$(origin RUNS)),$(RUNS))

lab-load: lab ## false failovers of overloaded emulated machines: MINUTES (60)
	$(PY) -m tests.lab.benchmarks.load $(or $(MINUTES),60)

lab-shell: $(if $(MACHINE),$(HOST_TOOLS),lab) ## a prompt on the emulated pair (INSTALLED=1: under systemd); MACHINE=1 for one with bonds and VLANs
	@$(PY) -m $(if $(MACHINE),tests.lab.shell,tests.lab.pair.shell $(if $(INSTALLED),installed))

package: $(STAMP) ## build hagit as a Debian package into dist/
	@$(PY) packaging/deb.py dist

lint: $(STAMP) ## style, formatting and types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

format: $(STAMP) ## rewrite the code in the project's format
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

clean: ## remove everything that the targets built
	rm -rf $(VENV) .cache .hypothesis .mypy_cache .ruff_cache .pytest_cache build dist *.egg-info

schema: $(STAMP) ## rewrite the JSON Schema and the completion tree from the models
	$(PY) -m reconciler.cli.completion_tree > build-tree.json && mv build-tree.json reconciler/cli/completion.json
	$(PY) -c 'import json; from reconciler.core.spec.schema import json_schema; print(json.dumps(json_schema(), indent=2))' \
	  > schema/hagit.schema.json

lock: ## ask for the newest libraries that pyproject.toml allows, and write their versions and hashes into the lock file
	packaging/prerequisites python
	python3 -m venv build-lock
	build-lock/bin/pip install -q --disable-pip-version-check 'pip-tools>=7.4'
	CUSTOM_COMPILE_COMMAND="make lock" build-lock/bin/pip-compile -q --upgrade --generate-hashes --allow-unsafe \
	  --strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options \
	  --extra chat --extra dev --output-file $(LOCK) pyproject.toml
