#!/bin/sh
# Asks the package index whether a version in requirements/*.lock has a known vulnerability. Fails
# for one that has, and for one that could not be looked up. Installs nothing of what it asks about.
set -eu
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
.venv/bin/python -m pip install --quiet --disable-pip-version-check --target "$tools" 'pip-audit>=2.9,<3'
for lock in requirements/*.lock; do
    PYTHONPATH=$tools .venv/bin/python -m pip_audit --strict --disable-pip --require-hashes -r "$lock"
done
