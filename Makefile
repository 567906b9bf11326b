# make compare: the main job on the bundled data.   make test: the whole suite.   make docs: the site, in docs/_build/html.
# make catalogues: brings docs/locale up to date, for translators.
# All make .venv and install what they need through constraints.txt; a second run is quick.
PYTHON ?= python3
BIN := .venv/bin
PIP := PIP_CONSTRAINT=constraints.txt $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: compare test docs catalogues lint clean

compare: .venv/installed
	@$(BIN)/tidegate compare

test: .venv/installed-test
	@$(BIN)/python -m pytest -n 2 --dist worksteal

docs: .venv/installed-docs
	@$(BIN)/python docs/build.py $(OPTIONS)

catalogues: .venv/installed-docs
	@$(BIN)/python docs/catalogues.py

lint: .venv/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Tidegate needs Python 3.11 or newer; set PYTHON=")'
	@$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/python pyproject.toml constraints.txt
	@echo "installing Tidegate and what it needs into .venv (about a minute)"
	@$(PIP) -e '.[tasks]'
	@touch $@

.venv/installed-test: .venv/installed
	@echo "installing what the tests need"
	@$(PIP) -e '.[test,peer,docs]'
	@touch $@

.venv/installed-docs: .venv/installed
	@echo "installing what the site needs"
	@$(PIP) -e '.[docs]'
	@touch $@

.venv/installed-dev: .venv/installed-test
	@$(PIP) -e '.[test,peer,dev]'
	@touch $@

clean:
	rm -rf .venv build dist docs/_build .pytest_cache .hypothesis .ruff_cache .mypy_cache
