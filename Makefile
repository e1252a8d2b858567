# make up | test | lint | bench | chaos is all there is to know.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := libs/common libs/sandbox libs/cli $(wildcard services/*)
MYPY_TARGETS := $(wildcard libs/*/src/*) $(wildcard services/*/src/*)

.PHONY: up test lint bench chaos lock clean system-packages

up: $(VENV)/.installed
	@exec $(BIN)/postfleet up --demo

test: $(VENV)/.installed system-packages
	@$(BIN)/pytest -n 4 --dist loadfile --no-loadscope-reorder $(ARGS) || { code=$$?; [ $$code = 1 ] || exit $$code; \
		echo "what failed beside the others runs once more, alone:"; $(BIN)/pytest --last-failed $(ARGS); }

lint: $(VENV)/.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $(MYPY_TARGETS)
	$(BIN)/lint-imports

bench: $(VENV)/.installed system-packages
	@.ci/system-packages bench
	$(BIN)/python -m tests.bench

chaos: $(VENV)/.installed system-packages
	$(BIN)/python -m tests.chaos

# What the tests need from the distribution; a no-op where it is there already.
system-packages: $(VENV)/.installed
	@.ci/system-packages
	@.ci/mail-peers $(VENV)/mail-peers

lock: $(VENV)/.installed
	requirements/lock.sh --upgrade

$(VENV)/.installed: requirements/all.txt requirements/build.txt $(wildcard libs/*/pyproject.toml) $(wildcard services/*/pyproject.toml)
	@.ci/venv $(PYTHON) $(VENV) $(PACKAGES)
	@touch $@

clean:
	rm -rf $(VENV) .postfleet
