# make demo   trains, evaluates and draws a segmentation network on the embedded Shapes set
# make setup  makes the environment that the others use, and no more
# make test   runs the tests, and make test-slow those that take minutes
# make test-deploy  runs those of exported files in an environment of their own, .venv-deploy, with all runtimes
# make test-web     runs in it the page of web/ in headless Chromium, and its JavaScript in Node.js
# make lint   style and types
# Each sets up .venv first. PYTHON names another Python, PIP_ARGS adds options to pip install.
PYTHON ?= python3
PIP_ARGS ?=
BIN := .venv/bin
ACTIVATE := Type first, once in each terminal: source $(BIN)/activate

.PHONY: demo setup test test-slow test-deploy test-web lint clean
.DELETE_ON_ERROR:

.venv/installed: setup.py constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or later is needed; name one with make PYTHON=...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e '.[dev]'
	@touch $@

demo: .venv/installed
	$(BIN)/python mobiledense.py demo
	@echo '$(ACTIVATE)'

setup: .venv/installed
	@echo '$(ACTIVATE)'

test: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto --maxprocesses 4 --dist loadfile

test-slow: .venv/installed
	$(BIN)/python -m pytest -q -m slow

.venv-deploy/installed: setup.py constraints-deploy.txt
	$(PYTHON) -m venv .venv-deploy
	.venv-deploy/bin/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints-deploy.txt -e '.[deploy,ray,test-phone,test-web]'
	@touch $@

test-deploy: .venv-deploy/installed
	OMP_NUM_THREADS=1 .venv-deploy/bin/python -m pytest -q -m 'slow or not slow' tests/deploy tests/examples tests/search/test_layer_runtimes.py tests/tools/test_export.py

test-web: .venv-deploy/installed
	@command -v chromium google-chrome || { echo 'make test-web needs chromium on the path; apt-get install chromium, say'; exit 1; }
	OMP_NUM_THREADS=1 .venv-deploy/bin/python -m pytest -q -m 'not slow' tests/web

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf .venv .venv-deploy runs data/shapes build *.egg-info
