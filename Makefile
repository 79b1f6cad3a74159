# Two commands: `make demo` and `make test`. Both do all the set-up they need.
PYTHON ?= $(shell for p in python3.14 python3.13 python3.12 python3.11 python3; do \
	command -v $$p >/dev/null && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test lint browser bench clean

demo: $(VENV)/.installed
	$(BIN)/timbrespace demo

test: $(VENV)/.installed-dev browser lint
	$(BIN)/python -m pytest --durations=10

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check src tests bench
	$(BIN)/ruff format --check src tests bench
	$(BIN)/pyright

bench: $(VENV)/.installed-dev
	@echo "each script of bench/ is run by hand: $(BIN)/python bench/NAME.py --help"

browser:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null \
	|| { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq chromium >/dev/null; } \
	|| { echo "The browser tests need Chromium: install the package 'chromium' and run make test again."; exit 2; }

$(VENV)/bin/pip:
	@[ -n "$(PYTHON)" ] || { echo "timbrespace needs Python 3.11 or newer; none was found."; exit 2; }
	$(PYTHON) -m venv $(VENV)

# torch first and pinned: resolved on its own, a plain "torch" would bring gigabytes for GPUs.
$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/pip
	$(BIN)/pip install --quiet --disable-pip-version-check torch==2.13.0
	$(INSTALL) --editable '.[maps]'
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(INSTALL) --editable '.[maps,dev,e2e,tensorboard]'
	touch $@

clean:
	rm -rf $(VENV) demo .pytest_cache .ruff_cache
