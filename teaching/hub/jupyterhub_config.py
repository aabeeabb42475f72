"""JupyterHub for a class on one machine: python -m jupyterhub -f
teaching/hub/jupyterhub_config.py.

docs/teaching.md says how to set it up, what it needs, and what it does not protect.
What differs from class to class is set by environment variables:

HUB_PASSWORD     the class's password, eight characters at least; without it nobody
                 gets in
HUB_TEACHERS     names, with commas between, that may stop other people's servers; they
                 log in with
HUB_TEACHERS_PASSWORD   32 characters at least
HUB_FOLDER       where the learners' folders and the hub's own files go; default
                 ~/lessons-hub
HUB_NOTEBOOKS    the project to hand out, a folder that holds notebooks/; default this
                 one, with its solutions; `make handout` writes build/student without
HUB_PORT         default 8000; the two above it are used, too
"""

import os
import re
import shutil
import sys
from pathlib import Path

from jupyterhub.authenticators.shared import SharedPasswordAuthenticator
from tornado import web

PROJECT = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("HUB_FOLDER", "~/lessons-hub")).expanduser().resolve()
HANDED_OUT = Path(os.environ.get("HUB_NOTEBOOKS") or PROJECT).expanduser().resolve()
NOTEBOOKS = HANDED_OUT / "notebooks"
# What notebooks link to and read, and what that links to.
SHARED = (
    "CITATION.cff",
    "LICENSE",
    "LICENSE-CONTENT",
    "LICENSES",
    "README.md",
    "REUSE.toml",
    "apps",
    "data",
    "docs",
    "helpers",
    "requirements",
    "safeguards",
)
if not list(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb")):
    sys.exit(
        f"HUB_NOTEBOOKS: there is no lesson in {NOTEBOOKS}. Name a folder that is laid "
        "out like the project, as `make handout` writes it: HUB_NOTEBOOKS=build/student"
    )

c = get_config()  # noqa: F821 (JupyterHub puts it there)

# Loopback only. In front belongs a web server that speaks TLS to the class
# (docs/teaching.md).
PORT = int(os.environ.get("HUB_PORT", 8000))
c.JupyterHub.bind_url = f"http://127.0.0.1:{PORT}"
c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{PORT + 2}"
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{PORT + 1}"
FOLDER.mkdir(mode=0o700, parents=True, exist_ok=True)
c.JupyterHub.db_url = f"sqlite:///{FOLDER / 'hub.sqlite'}"
c.JupyterHub.cookie_secret_file = str(FOLDER / "cookie_secret")
c.ConfigurableHTTPProxy.pid_file = str(FOLDER / "proxy.pid")

# One password for the class, each learner under a name of their own choice: enough for
# a workshop among people who trust each other, for whoever knows it can log in under
# any name. For anything longer: "pam" with system accounts, or the university's login
# by oauthenticator.
NAME = re.compile(r"\A[a-z][a-z0-9_-]{0,31}\Z")  # it becomes a folder's name
RULE = (
    "A name is up to 32 small letters from a to z, digits, - and _, and starts with a "
    "letter."
)
ALONE = (
    "It names your folder, so it must be yours alone: whoever takes the same one gets "
    "your notebooks. If there are two of you, add a number, as in anna2."
)
REMEMBERED_DAYS = 30


class ClassAuthenticator(SharedPasswordAuthenticator):
    """One password for all, and says what is wrong with a name instead of that
    something is."""

    def validate_username(self, username):
        if NAME.search(username):
            return super().validate_username(username)
        raise web.HTTPError(400, f"“{username[:40]}” won't do. {RULE}")

    async def authenticate(self, handler, data):
        """Refuses a name whose server runs, unless this browser logged in with it
        before: two who choose the same name would share a folder unawares."""
        found = await super().authenticate(handler, data)
        if not found or not NAME.search(found["name"]):
            return found
        cookie = f"lessons-{found['name']}"
        user = handler.find_user(found["name"])
        known = handler.get_secure_cookie(cookie, max_age_days=REMEMBERED_DAYS)
        if user and user.active and not (known or found["admin"]):
            raise web.HTTPError(
                409,
                f"Somebody is working as “{user.name}” right now. If it isn't you, "
                f"take another name, as in {user.name}2. If it's you on another "
                "computer or browser, stop your server there first (File → Hub Control "
                "Panel → Stop My Server), or ask your teacher to.",
            )
        handler.set_secure_cookie(cookie, "mine", expires_days=REMEMBERED_DAYS)
        return found


c.JupyterHub.authenticator_class = ClassAuthenticator
c.JupyterHub.template_vars = {"announcement_login": f"{RULE} {ALONE}"}
c.SharedPasswordAuthenticator.user_password = os.environ.get("HUB_PASSWORD")
c.SharedPasswordAuthenticator.admin_password = os.environ.get("HUB_TEACHERS_PASSWORD")
c.Authenticator.admin_users = {
    *filter(None, os.environ.get("HUB_TEACHERS", "").split(","))
}
c.Authenticator.allow_all = True

# Servers run as the account that runs the hub: no system accounts to make, but learners
# are not kept apart from each other, nor from the hub. Do not run it as root or beside
# what is private. With "pam", "localprocess" starts each server as the learner's own
# account.
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = str(FOLDER / "learners" / "{username}")
# The same Python, and so the same versions, that runs the hub: the project's .venv.
c.Spawner.cmd = [sys.executable, "-m", "jupyterhub.singleuser"]
c.Spawner.default_url = "/lab/tree/notebooks/00_start_here.ipynb"
c.Spawner.env_keep = [
    "PATH",
    "VIRTUAL_ENV",
    "LANG",
    "LC_ALL",
    "JUPYTER_PATH",
    "JUPYTERLAB_DIR",
]
c.Spawner.environment = {
    # addresses are typed by others: none inside this network is asked
    "TRANSFER_HOSTED": "1",
    # TensorFlow otherwise keeps what it once took; measured in docs/teaching.md.
    "TF_ONEDNN_USE_SYSTEM_ALLOCATOR": "1",
    "MPLCONFIGDIR": str(PROJECT / ".venv" / "matplotlib"),
    # Else C's library keeps free memory apart for each thread.
    "MALLOC_ARENA_MAX": "2",
} | {
    name: os.environ[name]
    for name in ("TRANSFER_MODEL", "TRANSFER_WEIGHTS")
    if name in os.environ
}
# Pictures for the panels arrive as one message, as in tools/setup/lab.py.
c.Spawner.args = [
    "--ServerApp.tornado_settings={'websocket_max_message_size': 67108864}"
]
# When everybody starts at once, a server takes its time.
c.Spawner.start_timeout = 300
c.Spawner.http_timeout = 300
# "simple" and "localprocess" cannot limit memory. SystemdSpawner can (mem_limit,
# cpu_limit), and so can Kubernetes (values.yaml). Here idle kernels and servers are
# ended instead: see below.


# How JupyterLab is set for learners: without what nbgrader has for teachers.
LEARNERS_CONFIG = Path("teaching", "hub", "learners")


def hand_out(spawner):
    """Put the lessons into the learner's folder: notebooks as copies that are theirs,
    the rest as links. A notebook that is there is never touched; one that was renamed
    or deleted comes back. Only teachers get nbgrader's menus for making and grading."""
    if not spawner.user.admin:
        spawner.environment = spawner.environment | {
            "JUPYTER_CONFIG_PATH": str(PROJECT / LEARNERS_CONFIG)
        }
    home = Path(spawner.home_dir)
    own = home / "notebooks"
    own.mkdir(parents=True, exist_ok=True)
    for notebook in NOTEBOOKS.glob("*.ipynb"):
        if not (own / notebook.name).exists():
            part = own / f".{notebook.name}.part"
            shutil.copyfile(notebook, part)
            os.replace(part, own / notebook.name)
    for name in SHARED:
        link = home / name
        if not link.exists() or (
            link.is_symlink() and link.resolve() != HANDED_OUT / name
        ):  # or it leads to where the project was before
            link.unlink(missing_ok=True)
            link.symlink_to(HANDED_OUT / name)


c.Spawner.pre_spawn_hook = hand_out

# After an hour without a sign of life a server ends and gives its memory back; files
# stay.
c.JupyterHub.load_roles = [
    {
        "name": "culler",
        "scopes": [
            "list:users",
            "read:users:activity",
            "read:servers",
            "delete:servers",
        ],
        "services": ["culler"],
    }
]
c.JupyterHub.services = [
    {
        "name": "culler",
        "command": [sys.executable, "-m", "jupyterhub_idle_culler", "--timeout=3600"],
    }
]
