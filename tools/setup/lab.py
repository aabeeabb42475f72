"""Open JupyterLab on the first lesson, whatever settings a user has kept from before.

python tools/setup/lab.py [NOTEBOOK] [JupyterLab's arguments], with the Python of the
lessons' environment, from any folder. The arguments go last, so they win. NOTEBOOK, a
path in the project's folder, is opened instead of the first lesson. One line says which
address to open; after that only warnings and errors are printed.
"""

import glob
import os
import re
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

ROOT = Path(__file__).resolve().parents[2]
FIRST_LESSON = "notebooks/00_start_here.ipynb"
MAX_MESSAGE = 64 * 2**20  # bytes of an upload; tornado's own limit is 10 MiB
# What Jupyter warns of each time: of notebooks that it hasn't saved itself, and of a
# default of its own that tornado mends.
HARMLESS = ("is not trusted", "The websocket_ping_timeout")
DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
OTHER_FOLDER = re.compile(r"--(.*root_dir|notebook[_-]dir)\b")  # asks for another one
OTHER_LOG = re.compile(r"--(debug|show-config|.*log[_-]level)\b")  # asks for more of it


def arguments_for_lab(given, environment, system, is_root):
    """What JupyterLab is told, as arguments: they win over any file of settings.

    given: the user's arguments, which come last, but for a notebook at their beginning;
    environment: the variables; system: as in sys.platform."""
    notebook = notebook_in(given)
    if notebook:
        given = given[1:]
    arguments = [
        # As the default page, not as a file to open, it's also in the printed address.
        f"--LabApp.default_url=/lab/tree/{quote(notebook or FIRST_LESSON)}",
        f"--ServerApp.tornado_settings={{'websocket_max_message_size': {MAX_MESSAGE}}}",
    ]
    if not any(map(OTHER_LOG.match, given)):
        arguments.append("--Application.log_level=WARN")
    if not any(map(OTHER_FOLDER.match, given)):
        arguments += [
            f"--ServerApp.root_dir={ROOT}",
            f"--ServerApp.preferred_dir={ROOT}",
            # The same by the names that newer files of settings use.
            f"--AsyncLargeFileManager.root_dir={ROOT}",
            "--AsyncLargeFileManager.preferred_dir=",
        ]
    # Not before `problem` had its say: another Python may be without Jupyter.
    import zmq

    if zmq.has("curve"):  # so that nobody on the same machine can listen to kernels
        arguments.append("--KernelManager.transport_encryption=auto")
    if is_root:  # as in a container; root has to say that it means it
        arguments.append("--allow-root")
    # Without a screen there's no browser to open: JupyterLab prints the address.
    if system.startswith("linux") and not any(map(environment.get, DISPLAYS)):
        arguments.append("--no-browser")
    # Here the browser runs on another system, which can't read the file that
    # JupyterLab would have it open: give it the address itself.
    codespace = environment.get("CODESPACE_NAME")
    if codespace or environment.get("WSL_DISTRO_NAME"):
        arguments.append("--ServerApp.use_redirect_file=False")
    if codespace:
        # Pages come by way of GitHub, under another name than the one we listen on.
        domain = environment.get(
            "GITHUB_CODESPACES_PORT_FORWARDING_DOMAIN", "app.github.dev"
        )
        origin = rf"https://{re.escape(codespace)}-\d+\.{re.escape(domain)}$"
        arguments.append(f"--ServerApp.allow_origin_pat={origin}")
    # Not twice: JupyterLab would not start with two tables of settings.
    asked = {argument.partition("=")[0] for argument in given}
    ours = [word for word in arguments if word.partition("=")[0] not in asked]
    return [*ours, *given]


def notebook_in(given):
    """The notebook that arguments begin with, a path in the project's folder; or None.
    A notebook that lies elsewhere is JupyterLab's own matter."""
    if not given or not given[0].endswith(".ipynb") or given[0].startswith("-"):
        return None
    path = Path(os.path.normpath(ROOT / given[0]))
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else None


def problem(notebook=None):
    """Why JupyterLab can't be opened with this Python, in a line; None if it can.

    notebook: the path in the project's folder of the one to open, if it's asked for."""
    # JupyterLab looks for its extensions by patterns, in which [ ] mean something.
    if not glob.glob(sys.prefix):
        return (
            f"{sys.prefix} has [ and ] in its name, and no panel works there. Rename "
            "the folder without them, and set the lessons up again."
        )
    if find_spec("jupyterlab") is None:
        return (
            f"JupyterLab isn't installed for {sys.executable}. README.md says under "
            "“Start” how to set the lessons up; then name that Python instead."
        )
    if notebook and not (ROOT / notebook).is_file():
        text = f"There is no {notebook}."
        if notebook.startswith("build/mine/"):
            text += " Make it first: make mine PICTURES=~/Pictures/pets"
        return text
    return None


def find_a_place_to_write(environment):
    """Give Jupyter a folder where the home is missing or read-only, as in Docker for
    a user that the image doesn't know."""
    home = Path(os.path.expanduser("~"))
    if not (home.is_dir() and os.access(home, os.W_OK)):
        environment["HOME"] = tempfile.mkdtemp(prefix="lessons-home-")


def needs_somebody(record):
    """Whether anybody has to do something about a message of Jupyter's log."""
    return not any(text in record.getMessage() for text in HARMLESS)


def open_lab():
    """Start JupyterLab with the arguments in sys.argv, and wait until it ends.

    It logs its address in several lines, among others; here it's one, printed once."""
    from jupyter_server.serverapp import ServerApp
    from jupyterlab.labapp import LabApp
    from tornado.log import gen_log
    from traitlets import default

    class Server(ServerApp):
        """JupyterLab's server, which says in one line where it is."""

        @default("token")
        def _deprecated_token_access(self):
            # Extensions still ask for it, and nobody here could mend what it warns of.
            return self.identity_provider.token

        def start_app(self):
            address = self.connect_url.partition("\n")[0]

            def says_more(record):
                return address not in record.getMessage()

            # Printed first: a browser in the terminal has it to itself.
            print(f"Open this: {address}", flush=True)
            print("To end it: Ctrl+C, then y.", flush=True)
            for log in (self.log, gen_log):
                log.addFilter(needs_somebody)
            self.log.addFilter(says_more)
            super().start_app()
            self.log.removeFilter(says_more)

    LabApp.serverapp_class = Server
    return LabApp.launch_instance()


def main():
    """The command line; returns the exit status, once JupyterLab has ended."""
    reason = problem(notebook_in(sys.argv[1:]))
    if reason:
        print(reason, file=sys.stderr)
        return 1
    find_a_place_to_write(os.environ)
    # The environment's own kernel, whatever kernels the user has installed elsewhere.
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    # Else C's library keeps free memory apart for each thread: safeguards/memory.py.
    os.environ.setdefault("MALLOC_ARENA_MAX", "2")
    os.chdir(ROOT)
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    sys.argv[1:] = arguments_for_lab(sys.argv[1:], os.environ, sys.platform, is_root)
    return open_lab()


if __name__ == "__main__":
    sys.path[0] = str(ROOT)
    from safeguards.printing import run_tool

    sys.exit(run_tool(main))
