#!/bin/sh
# Makes .venv with all that the lessons and their tests need, and does nothing where that is done.
# Run from the project's folder; PYTHON names the Python to take, otherwise a suitable one is found.
set -eu

# JupyterLab looks for its extensions by patterns, in which [ ] mean something.
case $PWD in
*\[*\]*)
    echo "The name of this folder, or of one that it lies in, has [ and ] in it: $PWD" >&2
    echo "No panel of the lessons would work here. Rename it without them and try again." >&2
    exit 1
    ;;
esac

# What a finished set-up depends on: this folder (environments cannot be moved) and these files.
wanted() {
    pwd
    cat requirements/base.lock pyproject.toml tools/setup/setup.sh
}

suitable() { "$1" tools/setup/check_python.py 2>/dev/null; }
environment_suitable() { .venv/bin/python tools/setup/check_python.py --existing >/dev/null 2>&1; }

state=.venv/setup-state
if [ "$(wanted)" = "$(cat "$state" 2>/dev/null)" ] && environment_suitable; then
    exit 0
fi

# A set-up that was cut off may have left half a package, and a system update another Python:
# such an environment is made anew. pip's cache still holds what had been downloaded.
if [ "$(cat "$state" 2>/dev/null)" = unfinished ] || ! environment_suitable; then
    python= reason=
    for candidate in ${PYTHON:-python3.13 python3.12 python3.11 python3}; do
        # A name on PATH may still be a placeholder that does not run: ask it.
        if answer=$(suitable "$candidate"); then
            python=$candidate
            break
        fi
        reason=${reason:-$answer}
    done
    if [ -z "$python" ]; then
        echo "${reason:-No working ${PYTHON:-Python} found: the lessons need Python 3.11 to 3.13}." \
            "(PYTHON=… names another one.)" >&2
        exit 1
    fi
    echo "Setting up .venv with $("$python" --version): once, about 1 GB and a few minutes."
    rm -rf .venv
    mkdir .venv
    echo unfinished >"$state"
    "$python" -m venv .venv
fi

echo unfinished >"$state"
# Just the files that were tried, by their hashes; what builds our own package is among them.
pip() { PIP_USER=0 .venv/bin/python -m pip install --disable-pip-version-check --no-input "$@"; }
echo "pip fetches the packages, then unpacks them without a word, for a minute or two …"
pip --require-hashes -r requirements/base.lock && pip --quiet --no-deps --no-build-isolation -e . || {
    echo "The packages could not be installed (pip says why above). The same command tries again." >&2
    exit 1
}
echo "The packages are there; a first start takes half a minute …"
.venv/bin/python -c "import tensorflow" 2>/dev/null || {
    echo "TensorFlow does not start on this machine; it needs a processor with AVX or an Apple M chip." >&2
    exit 1
}
# matplotlib looks through all fonts once, with a warning; the Makefile points it to this folder.
MPLCONFIGDIR=$PWD/.venv/matplotlib .venv/bin/python -c "import matplotlib.font_manager" 2>/dev/null
# JupyterLab would greet every learner with a question about its news.
mkdir -p .venv/share/jupyter/lab/settings
cat >.venv/share/jupyter/lab/settings/overrides.json <<'JSON'
{"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": false}}
JSON
wanted >"$state"
