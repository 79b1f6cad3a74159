# Two commands: `make demo` and `make test`. Both do all the set-up they need.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3; do \
	command -v $$p >/dev/null && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
NOTES := build/bench-notes
CORPUS := build/bench-corpus

.PHONY: demo test lint browser plugins latex bench clean

demo: $(VENV)/.installed
	$(BIN)/timbrespace demo

test: $(VENV)/.installed-dev browser plugins latex lint
	$(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile --durations=10

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check src tests bench experiments
	$(BIN)/ruff format --check src tests bench experiments
	$(BIN)/pyright

# Writes bench/results/*.md; takes three quarters of an hour and wants a quiet machine.
bench: $(VENV)/.installed-dev $(CORPUS)
	$(BIN)/python bench/instruments.py
	$(BIN)/python bench/plugins.py
	$(BIN)/python bench/features.py $(NOTES)
	$(BIN)/python bench/inversion.py $(NOTES)
	$(BIN)/python bench/prepare.py $(NOTES)
	$(BIN)/python bench/store.py $(NOTES)
	$(BIN)/python bench/scale.py
	$(BIN)/python bench/alike.py $(CORPUS)
	$(BIN)/python bench/training.py $(CORPUS)
	$(BIN)/python bench/estimate.py $(CORPUS)
	$(BIN)/python bench/parallel.py $(CORPUS)
	$(BIN)/python experiments/run.py experiments/shipped.yaml $(CORPUS)

$(NOTES): | $(VENV)/.installed
	$(BIN)/timbrespace instruments --out $@ --notes 8000

$(CORPUS): | $(NOTES)
	$(BIN)/timbrespace prepare $(NOTES) --out $@

# The browser tests drive a real Chromium: one from PATH, else the system's package.
browser:
	@for b in chromium chromium-browser google-chrome; do command -v $$b >/dev/null && exit 0; done; \
	as=; [ "$$(id -u)" = 0 ] || as='sudo -n'; \
	echo "installing Chromium for the browser tests"; \
	{ $$as apt-get update -qq && $$as apt-get install -y -qq chromium; } >/dev/null 2>&1 \
	|| { echo "The browser tests need Chromium: install the package 'chromium' and run make test again."; exit 2; }

# The tests of plug-ins run those of two packages of 2 MB.
plugins:
	@[ -d /usr/lib/lv2/mda.lv2 ] && [ -d /usr/lib/lv2/delay-swh.lv2 ] && exit 0; \
	as=; [ "$$(id -u)" = 0 ] || as='sudo -n'; \
	echo "installing LV2 plug-ins for the tests of plug-ins"; \
	{ $$as apt-get update -qq && $$as apt-get install -y -qq mda-lv2 swh-lv2; } >/dev/null 2>&1 \
	|| { echo "The tests of plug-ins need LV2 plug-ins: install the packages 'mda-lv2' and 'swh-lv2' and run make test again."; exit 2; }

# A test compiles the paper; where LaTeX cannot be installed that one is skipped.
latex:
	@command -v pdflatex >/dev/null && exit 0; \
	as=; [ "$$(id -u)" = 0 ] || as='sudo -n'; \
	echo "installing LaTeX for the test of the paper"; \
	{ $$as apt-get update -qq && $$as apt-get install -y -qq --no-install-recommends texlive-latex-base; } >/dev/null 2>&1 \
	|| echo "The test that compiles the paper is skipped: install the package 'texlive-latex-base' to run it."

$(BIN)/python:
	@[ -n "$(PYTHON)" ] || { echo "timbrespace needs Python 3.11 or newer; none was found."; exit 2; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "Python's venv is missing: on Debian or Ubuntu, apt install python3-venv"; exit 2; }

# torch first and pinned: resolved on its own, a plain "torch" would bring gigabytes for GPUs.
$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --requirement constraints.txt
	$(INSTALL) --constraint constraints.txt --editable '.[maps,pitch]'
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(INSTALL) --constraint constraints.txt --editable '.[maps,dev,e2e,tensorboard]'
	touch $@

# demo/ holds a trained run and is kept.
clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache
