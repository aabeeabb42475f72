#!/bin/sh
# Adds to .venv what instructors need besides, and does nothing where that is done.
# After tools/setup.sh, from the project's folder.
set -eu

wanted() { cat requirements-teaching.lock tools/setup_teaching.sh; }

state=.venv/teaching-state
if [ "$(wanted)" = "$(cat "$state" 2>/dev/null)" ]; then
    exit 0
fi
echo "Adding nbgrader, Sphinx and JupyterHub to .venv: once."
PIP_USER=0 .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input \
    --require-hashes -r requirements-teaching.lock || {
    echo "They could not be installed (pip says why above). The same command tries again." >&2
    exit 1
}
wanted >"$state"
