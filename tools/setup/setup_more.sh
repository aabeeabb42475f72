#!/bin/sh
# Adds to .venv what requirements/NAME.lock holds: sh tools/setup/setup_more.sh NAME "what it is"; does
# nothing where that is done. After tools/setup/setup.sh, from the project's folder.
set -eu

lock=requirements/$1.lock state=.venv/$1-state

wanted() { cat "$lock" tools/setup/setup_more.sh; }

if [ "$(wanted)" = "$(cat "$state" 2>/dev/null)" ]; then
    exit 0
fi
echo "Adding $2 to .venv: once."
PIP_USER=0 .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input \
    --require-hashes -r "$lock" || {
    echo "They could not be installed (pip says why above). The same command tries again." >&2
    exit 1
}
wanted >"$state"
