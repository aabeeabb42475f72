#!/bin/sh
# Serves notebooks/app.ipynb as a page; arguments go to Voila. Run from the project's
# folder. MODEL, or else TRANSFER_MODEL, names another model than EfficientNet-Lite0: a
# saved or exported file, or a known name.
set -eu

model=${MODEL:-${TRANSFER_MODEL:-}}
case $model in
*.keras | *.onnx)
    if [ ! -f "$model" ]; then
        echo "There is no file $model: name a saved one, as in MODEL=mine.${model##*.}." >&2
        exit 1
    fi
    # The notebook runs in another folder.
    model=$(cd "$(dirname "$model")" && pwd)/${model##*/}
    ;;
esac
export TRANSFER_MODEL="$model"
# Without a screen there's no browser to open: Voila prints the address and serves.
if [ "$(uname)" = Linux ] && [ -z "${DISPLAY:-}${WAYLAND_DISPLAY:-}${BROWSER:-}" ]; then
    set -- --no-browser "$@"
fi
# Where our template lies.
export JUPYTER_PATH="$PWD/apps/served"
exec .venv/bin/python -m voila notebooks/app.ipynb \
    "--Voila.config_file_paths=$PWD/apps/served" "$@"
