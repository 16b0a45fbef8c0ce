# make book | test | lint | serve | pdf | linkcheck | paper | clean    (PROFILE=smoke|demo|paper  DATA=folder|physionet)
PROFILE ?= demo
DATA ?=
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
MIRROR := data/physionet
ifeq ($(DATA),physionet)
FETCH := $(BIN)/ecgnb fetch twadb ptbdb --folder $(MIRROR)
FOLDER := $(MIRROR)
else
FOLDER := $(DATA)
endif
export FOLDER  # by the environment: make would cut a path with blanks, the shell read its quotes
SETTINGS = PROFILE=$(PROFILE) DATA="$$FOLDER" ECGNB_DATA=
PORT ?= 8000
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1
export MKL_NUM_THREADS := 1
export PYTHONHASHSEED := 0
export PYDEVD_DISABLE_FILE_VALIDATION := 1

.PHONY: book test lint serve pdf linkcheck paper clean

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"Python 3.11 or newer is needed, found {v.major}.{v.minor}: set PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --progress-bar off -c constraints.txt -e '.[book,test,cluster,edf,hospital]'
	@touch $@

book: $(STAMP)
	@$(FETCH)
	@mkdir -p build
	@echo "The book, profile $(PROFILE), $${FOLDER:+data }$${FOLDER:-simulated cohort}:"
	@$(SETTINGS) $(BIN)/doit -n 2 -P process

test: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/ci.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.gitlab-ci --data-transform gitlab-ci .gitlab-ci.yml

serve: $(STAMP)
	@$(BIN)/python -m ecgnb.book.serve build $(PORT)

pdf linkcheck: $(STAMP)
	@mkdir -p build
	@$(SETTINGS) $(BIN)/doit $@

paper:
	$(MAKE) book PROFILE=paper DATA=physionet

clean:
	rm -rf build artifacts data/simulated-*
