"""Programs that several tests run: git under a made-up name, nginx as a plain user."""

import os
import subprocess

GIT_SETTINGS = {
    "user.name": "x",
    "user.email": "x@example.org",
    "init.defaultBranch": "x",
}


def git(folder, *arguments):
    """Run git in a folder, whoever the user is → what it prints."""
    settings = []
    for name, value in GIT_SETTINGS.items():
        settings += ["-c", f"{name}={value}"]
    command = ["git", *settings, *arguments]
    done = subprocess.run(
        command, cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def start_nginx(nginx, folder, text, changes, more=""):
    """Start nginx with a site's settings → its process; its errors are in error.log.
    nginx: the program; folder: for all that it writes; text: the site's settings;
    changes: {what stands there: what stands there in this test}; more: settings in
    front of the site's."""
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    # nginx gives up root's rights, and then could not read root's temporary folder.
    user = "" if os.geteuid() else "user root;\n"
    (folder / "nginx.conf").write_text(
        f"{user}daemon off;\npid {folder}/pid;\nerror_log {folder}/error.log;\nevents "
        f"{{}}\nhttp {{\n{more}access_log off;\n{temporary}{text}}}\n"
    )
    command = [nginx, "-e", folder / "error.log", "-c", folder / "nginx.conf"]
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
