# Everything here works with GNU make 3.81, the one that comes with macOS.
LAB_ARGS ?=
APP_ARGS ?=
PAGE_ARGS ?=
EDITIONS ?=
TALLY_ARGS ?=
CANARY_ARGS ?=
BENCH_ARGS ?=

export PYTHON
export MODEL
export NOTEBOOK
export TRAIN
# As it is: a dollar sign in the name of a folder is no variable of make's.
override PICTURES := $(value PICTURES)
export PICTURES
override TABLE := $(value TABLE)
export TABLE
export ALIKE
export TUNE
override TALLY := $(value TALLY)
export TALLY
export LOCK_ARGS
export MPLCONFIGDIR := $(CURDIR)/.venv/matplotlib
# The environment's own kernel, whatever kernels the user has installed elsewhere.
export JUPYTER_PREFER_ENV_PATH := 1
# Packages that other software put in everybody's way would shadow ours.
unexport PYTHONPATH
unexport PYTHONHOME

.PHONY: help lab fresh app page mine labels classify test test-thorough test-slow bench lint lessons handout editions links tally setup teaching scale lock audit canary clean
.DEFAULT_GOAL := help

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' Makefile
	@echo "PYTHON=python3.12 names the Python for a new .venv; LAB_ARGS=… goes to JupyterLab, APP_ARGS=…"
	@echo "to Voila, PAGE_ARGS=… to apps.page.build; MODEL=mine.keras makes the pages use a model that you"
	@echo "saved; ALIKE=0.98 makes fewer pictures count as one, TUNE=1 fine-tunes."
	@echo "For instructors: EDITIONS=html writes only that one; TALLY=FOLDER holds what learners handed in."

lab: setup ## open the lessons in JupyterLab
	@.venv/bin/python tools/setup/lab.py $(LAB_ARGS)

fresh: ## bring the original of a lesson back, as in NOTEBOOK=03, and keep yours beside it
	@sh tools/setup/fresh.sh

app: setup ## serve the classifier as a page, on this machine only
	@sh apps/served/app.sh $(APP_ARGS)

page: setup ## write the classifier as a page that needs no server, to build/page/; TRAIN=1: one that learns
	@sh apps/page/page.sh $(PAGE_ARGS)

mine: setup ## make a classifier of your folder, PICTURES=~/Pictures/pets, in build/mine
	@.venv/bin/python -m apps.own_pictures.mine

labels: setup ## decide on the labels that make mine suspects, in a panel; then run make mine again
	@.venv/bin/python tools/setup/lab.py build/mine/labels.ipynb

classify: setup ## name what is in each picture of a folder, PICTURES=~/Pictures/unsorted, in build/
	@.venv/bin/python -m apps.many.classify

test: lint ## check style, run the quick tests and every lesson
	.venv/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-thorough: setup ## run what CI runs besides: all other cases, each real model, the editions
	.venv/bin/python -m pytest -n 2 --dist loadscope -m thorough tests

test-slow: test-thorough ## run the tests that take minutes each as well: all lessons as other machines run them
	.venv/bin/python -m pytest -m slow tests

bench: setup ## compare with what learners would otherwise copy; half an hour, into tools/benchmarks/
	.venv/bin/python -m tools.benchmarks $(BENCH_ARGS)

lint: setup ## check the style of code and notebooks, and which folder imports which
	.venv/bin/python -m ruff check .
	.venv/bin/python -m ruff format --check .
	.venv/bin/lint-imports

lessons: setup ## run all lessons again and save their outputs
	.venv/bin/python -m tools.record.run_lessons

handout: setup ## make one file for learners, build/transfer-learning-lessons.zip: no solutions, no guide
	@.venv/bin/python -m teaching.handout

editions: teaching ## write the student's, the instructor's, nbgrader's edition and a site to build/
	.venv/bin/python -m teaching.editions $(EDITIONS)

links: teaching ## look up every address on the web that the lessons name
	.venv/bin/python -m teaching.editions --links

tally: setup ## count what a class answered, by their my_progress.jsonl in TALLY=FOLDER
	@.venv/bin/python -m teaching.tally $(TALLY_ARGS)

setup: ## only make the environment, .venv
	@sh tools/setup/setup.sh

teaching: setup ## also install what instructors need: nbgrader, Sphinx, JupyterHub
	@sh tools/setup/setup_more.sh teaching "nbgrader, Sphinx and JupyterHub"

scale: setup ## also install what many machines need: Ray
	@sh tools/setup/setup_more.sh scale Ray

lock: setup ## renew the lock files in requirements/; LOCK_ARGS=--upgrade takes all that is new
	@sh tools/setup/lock.sh

audit: setup ## ask whether a package of the lock has a known vulnerability
	@sh tools/setup/audit.sh

canary: setup ## try newer packages than the lock's, an hour or more; name the one that breaks a test
	.venv/bin/python tools/setup/canary.py $(CANARY_ARGS)

clean: ## remove the environment and all caches
	rm -rf .venv .canary apps/page/node_modules .pytest_cache .ruff_cache *.egg-info
	find . -name __pycache__ -prune -exec rm -rf {} +
	find . -name .ipynb_checkpoints -prune -exec rm -rf {} +
