#!/bin/sh
# Opens JupyterLab on the first lesson; arguments go to JupyterLab. Run from the project's folder.
set -eu

# Root, as in a container, has to say that it means it. Nobody else is offered that.
if [ "$(id -u)" = 0 ]; then
    set -- --allow-root "$@"
fi
# Without a screen there is no browser to open: JupyterLab prints the address and serves.
if [ "$(uname)" = Linux ] && [ -z "${DISPLAY:-}${WAYLAND_DISPLAY:-}${BROWSER:-}" ]; then
    set -- --no-browser "$@"
fi
# Pictures for the panels arrive as one message, of which only 10 MiB would be let through.
set -- '--ServerApp.tornado_settings={"websocket_max_message_size": 67108864}' "$@"
# As the default page, not as a file to open, the lesson is also in the address that is printed.
exec .venv/bin/python -m jupyterlab --LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb "$@"
