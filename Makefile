# Each target works alone on a fresh clone: it finds a Python >= 3.11 (or takes PYTHON=...), creates .venv,
# installs chainrule with the extras it needs, and runs. Later runs install only if pyproject.toml changed.

VENV := .venv
PY := $(VENV)/bin/python
PYTHONS := $(or $(PYTHON),python3.13 python3.12 python3.11 python3)

.PHONY: help demo examples test zoo fuzz lint fmt docs bench clean
.NOTPARALLEL:

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.with-demo  ## fit two models to real data with exact gradients
	@$(PY) examples/demo.py

examples: $(VENV)/.with-demo $(VENV)/.with-plot  ## fit orbits, populations and cameras with compiled gradients
	@$(PY) examples/orbit.py
	@$(PY) examples/lynx_hare.py
	@$(PY) examples/bundle.py

test: $(VENV)/.with-test  ## run the tests and the examples in docstrings
	@$(PY) -m pytest -q -n 2

zoo: $(VENV)/.with-test  ## run every program of the zoo in every mode and back end (half an hour)
	@CHAINRULE_ZOO=all $(PY) -m pytest -q -n 2 tests/test_native_programs.py

fuzz: $(VENV)/.with-test  ## compare the derivatives of 2,000 random programs on every road (an hour)
	@$(PY) -m tests.fuzz.many 2000

lint: $(VENV)/.with-lint  ## check format, style and types
	@$(PY) -m ruff format --check .
	@$(PY) -m ruff check .
	@$(PY) -m mypy

fmt: $(VENV)/.with-lint  ## format and mend what can be mended automatically
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

docs: $(VENV)/.with-docs  ## build the pages into docs/_build/html; a warning is an error
	@$(PY) -m sphinx -W --keep-going -q docs docs/_build/html
	@echo "docs/_build/html/index.html"

bench: $(VENV)/.with-bench  ## time both modes against their rivals, one thread each
	@status=0; for mode in eager native passes; do $(PY) benchmarks/$$mode.py || status=1; done; exit $$status

clean:  ## remove .venv, builds and caches
	rm -rf $(VENV) build dist docs/_build .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One stamp per extra: `.venv/.with-test` is newer than pyproject.toml if the extra `test` is installed.
$(VENV)/.with-%: pyproject.toml $(VENV)/.created
	@echo "installing chainrule[$*] into $(VENV) (a minute, the first time)"
	@$(PY) -m pip install -qq --disable-pip-version-check --editable '.[$*]'
	@touch $@

$(VENV)/.created:
	@for python in $(PYTHONS); do \
	    if "$$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        echo "creating $(VENV) with $$("$$python" --version)"; \
	        "$$python" -m venv $(VENV) && touch $@; exit; \
	    fi; \
	done; \
	echo "no Python >= 3.11 with the modules venv and ensurepip among: $(PYTHONS)" >&2; \
	echo "name one: make PYTHON=/path/to/python3" >&2; exit 1
