# The two commands of the README are `make demo` and `make test`; both make .venv on first use.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
.PHONY: demo test check bench table2 docs lock sbom ends clean

demo: $(VENV)/.installed-base
	$(BIN)/causalseg demo --out demo

# Several processes share the cores; spinning OpenMP threads would starve each other. Each takes one
# half of the files, in order, so that what a module prepares is prepared once, and then the other's rest.
test: export OMP_WAIT_POLICY := passive
test: check
	$(BIN)/python -m pytest -n 2 --dist worksteal

check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks.run

# The paper's Table 2 on real data; resumes where it was stopped: make table2 DATA=path/QaTa-COV19 [ARGS="--seeds 0"]
table2: $(VENV)/.installed-base
	$(BIN)/causalseg ablate --config causalclipseg/table2.yaml --data.root "$(DATA)" --out runs/table2 $(ARGS)

docs: $(VENV)/.installed-dev
	$(BIN)/pip install -q -e '.[docs]'
	$(BIN)/zensical build

# Exact versions, with hashes. A CPU build of PyTorch is taken where pip finds one; only a CUDA build
# asks for the libraries in cuda.txt.
LOCKED := $(BIN)/pip install -q --no-compile --no-deps --require-hashes
define install
test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
$(LOCKED) -r requirements/cpu.txt 2> /dev/null || true
$(LOCKED) -r requirements/$(1).txt
! $(BIN)/pip check | grep -q '^torch .* not installed' || $(LOCKED) -r requirements/cuda.txt
$(BIN)/pip install -q --no-deps --no-build-isolation -e .
touch $@
endef

$(VENV)/.installed-base: pyproject.toml requirements/base.txt
	$(call install,base)

$(VENV)/.installed-dev: pyproject.toml requirements/dev.txt
	$(call install,dev)

# Renew the exact versions. Do it whenever pyproject.toml changes, then run `make test`.
lock: $(VENV)/.installed-dev
	$(BIN)/pip install -q 'uv>=0.9'
	$(BIN)/python scripts/lock.py

# A bill of materials of a plain install, and the page of its licences.
sbom: $(VENV)/.installed-dev
	$(BIN)/python scripts/licences.py
	test -x build/sbom/bin/python || $(PYTHON) -m venv build/sbom
	build/sbom/bin/pip install -q 'cyclonedx-bom>=7.5'
	mkdir -p dist
	build/sbom/bin/cyclonedx-py requirements requirements/base.txt --pyproject pyproject.toml \
		--output-reproducible --of JSON -o dist/causalseg.cdx.json

# The oldest and the newest versions that pyproject.toml admits: make ends [ARGS="--constraint FILE"]
ends: $(VENV)/.installed-dev
	$(BIN)/pip install -q 'uv>=0.9'
	$(BIN)/python scripts/ends.py $(ARGS)

clean:
	rm -rf $(VENV) demo build dist site
