#!/bin/sh
# Writes the page that needs no server; arguments go to apps.page.build. Run it from the
# project's folder. MODEL, or else TRANSFER_MODEL, names another model than the default
# one; TRAIN=1 makes the page that learns. The first time, npm fetches what runs models
# in a browser, as apps/page/package-lock.json pins it, file by file with its hash.
set -eu

# A copy of the lock file, made when everything it names had been fetched.
state=apps/page/node_modules/state
if ! cmp -s apps/page/package-lock.json "$state"; then
    if ! command -v npm >/dev/null; then
        echo "make page needs npm once, to fetch what runs models in a browser. It" >&2
        echo "comes with Node.js: https://nodejs.org, or on Debian: apt install npm." >&2
        exit 1
    fi
    echo "Fetching onnxruntime-web into apps/page/node_modules: once." >&2
    (cd apps/page && npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error) || {
        echo "It could not be fetched (npm says why above). The same command tries again." >&2
        exit 1
    }
    cp apps/page/package-lock.json "$state"
fi
model=${MODEL:-${TRANSFER_MODEL:-}}
exec .venv/bin/python -m apps.page.build ${model:+"$model"} ${TRAIN:+--train} "$@"
