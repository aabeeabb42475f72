#!/bin/sh
# Writes requirements/base.lock anew: every package that requirements.txt brings, on every system
# and Python that we support, by version and hash; then teaching.lock, which agrees with it, and
# scale.lock, which agrees with both. Needs the package index. LOCK_ARGS go to uv:
# "--upgrade-package NAME" renews one package, "--upgrade" all; without, what is there is kept.
set -eu
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
.venv/bin/python -m pip install --quiet --disable-pip-version-check --target "$tools" 'uv>=0.13,<0.14'
# uv does not heed that later releases want a Python below 3.11; pip does, and then finds none.
echo 'backports-strenum<1.3' >"$tools/constraints"
lock() {
    # shellcheck disable=SC2086 # several arguments, split on purpose
    "$tools/bin/uv" pip compile --universal --python-version 3.11 --generate-hashes --no-header \
        --quiet --no-annotate --constraint "$tools/constraints" \
        --no-emit-package transfer-learning-notebooks ${LOCK_ARGS:-} "$1" -o "$2"
    # What is locked next agrees: the versions alone, as hashes may not stand in constraints.
    sed -n 's/^\([^ #]*==[^\\]*\).*/\1/p' "$2" >>"$tools/constraints"
}
lock requirements.txt requirements/base.lock
lock requirements/teaching.txt requirements/teaching.lock
lock requirements/scale.txt requirements/scale.lock
