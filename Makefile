# Each target makes the environment it needs (.venv-*/, rebuilt when pyproject.toml changes) and
# runs in it. The machine needs make and Python >= 3.11:  make test PYTHON=python3.12

PYTHON ?= python3
# The oldest versions have wheels for the oldest Python, so prefer that one where it runs.
PYTHON_OLDEST ?= $(shell python3.11 -c "" 2>/dev/null && echo python3.11 || echo "$(PYTHON)")
# Passed to pytest:  make test ARGS="-k digits -x"
ARGS ?=
TEST_EXTRAS = .[test,data,lint]

# Two workers, each with one BLAS thread, fill two cores.
RUN_TESTS = OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 \
	$(1)/bin/python -m pytest --numprocesses=2 $(ARGS)

# Start-up is part of what we test, so byte code is written as it is for users.
unexport PYTHONDONTWRITEBYTECODE

.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help demo test oldest nojit lint bench clean

help:
	@echo "make demo    run examples/demo.py: a table, and demo.png"
	@echo "make test    the whole suite"
	@echo "make oldest  the suite with the oldest versions pyproject.toml allows"
	@echo "make nojit   the tests marked nojit with the kernels as plain Python, and their coverage"
	@echo "make lint    ruff, its formatter, numpydoc on the public names"
	@echo "make bench   the benchmarks in their quick form"
	@echo "make clean   remove environments, caches and results"

demo: .venv-demo/.stamp
	.venv-demo/bin/python examples/demo.py

test: .venv-test/.stamp
	$(call RUN_TESTS,.venv-test)

# Its own compile cache: Numba empties a cache that another version of Numba wrote.
oldest: .venv-oldest/.stamp
	NUMBA_CACHE_DIR="$(CURDIR)/.venv-oldest/numba-cache" $(call RUN_TESTS,.venv-oldest)

nojit: .venv-test/.stamp
	NUMBA_DISABLE_JIT=1 $(call RUN_TESTS,.venv-test) -m nojit --cov --cov-report=term-missing:skip-covered

lint: .venv-test/.stamp
	.venv-test/bin/ruff check .
	.venv-test/bin/ruff format --check .
	.venv-test/bin/numpydoc lint $$(find skmtl -name '*.py')

# All but weightings_torchjd, which needs torchjd, search, which takes minutes, and landmine, wine,
# books_movies, frozen_layers, class_shares and the newsgroups, which need their data.
BENCHMARKS = fit_dense fit_sparse many_tasks transfer scale start_up predict \
	sklearn_parity transfer_ladder forgetting verdict standard_errors shifts yeast

bench: .venv-bench/.stamp
	@set -e; for name in $(BENCHMARKS); do \
		echo "--- benchmarks.$$name"; .venv-bench/bin/python -m benchmarks.$$name --quick; \
	done

clean:
	rm -rf .venv-* build dist *.egg-info .pytest_cache .ruff_cache .coverage .coverage.* htmlcov demo.png
	find . -name __pycache__ -not -path "./.venv-*" -type d -prune -exec rm -rf {} +

# venv(directory, python, arguments of pip install): errors are shown, progress is not.
define venv
@echo "making $(1)"
@$(2) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'skmtl needs Python >= 3.11; this is $(2) ' + sys.version.split()[0])"
@rm -rf $(1)
@$(2) -m venv $(1)
@$(1)/bin/python -m pip install --disable-pip-version-check -qq $(3)
@touch $@
endef

.venv-demo/.stamp: pyproject.toml
	$(call venv,.venv-demo,$(PYTHON),--editable ".[demo]")

.venv-bench/.stamp: pyproject.toml
	$(call venv,.venv-bench,$(PYTHON),--editable ".[bench]")

.venv-test/.stamp: pyproject.toml
	$(call venv,.venv-test,$(PYTHON),--editable "$(TEST_EXTRAS)")

.venv-oldest/.stamp: pyproject.toml .ci/oldest.txt
	$(call venv,.venv-oldest,$(PYTHON_OLDEST),--editable ".[test]" --constraint .ci/oldest.txt)
