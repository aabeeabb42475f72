"""A class on one machine, by the real JupyterHub on loopback; the settings for
Kubernetes."""

import asyncio
import csv
import html
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import requests
import yaml
from cases import thorough_but
from lessons import LESSONS
from links import dead, prose

from teaching import handout
from teaching.lessons import read_all

ROOT = Path(__file__).resolve().parents[2]
VALUES = ROOT / "teaching" / "hub" / "values.yaml"
CONFIG = ROOT / "teaching" / "hub" / "jupyterhub_config.py"
CLASS = 8

# -- the real hub ----------------------------------------------------------------------


def with_hub(test):
    """What starts the hub: slow, and only where all that it needs is."""
    needs = {
        "Linux": sys.platform.startswith("linux"),
        "JupyterHub (make teaching)": importlib.util.find_spec("jupyterhub"),
        "configurable-http-proxy on PATH (npm)": shutil.which(
            "configurable-http-proxy"
        ),
    }
    missing = ", ".join(name for name, there in needs.items() if not there)
    return pytest.mark.slow(
        pytest.mark.skipif(bool(missing), reason=f"needs {missing}")(test)
    )


@pytest.fixture(scope="module")
def tool():
    return importlib.import_module("teaching.hub.measure_hub")


@pytest.fixture(scope="module")
def hub(tool):
    with tool.Hub() as running:
        yield running


def learner(tool, hub, name):
    """Somebody who is logged in and has a server."""
    one = tool.Learner(hub, name)
    assert one.log_in(hub.password)
    one.start()
    return one


@with_hub
@pytest.mark.parametrize("password", ["", "not the password"])
def test_nobody_gets_in_without_the_password(tool, hub, password):
    assert not tool.Learner(hub, "ada").log_in(password)


def log_in(hub, name, session=None):
    """The form, as a browser sends it → status, what the page then says is wrong, and
    the session, which is the browser."""
    web = session or requests.Session()
    web.trust_env = False
    page = f"{hub.address}/hub/login"
    web.get(page, timeout=30)
    crumb = next(c.value for c in web.cookies if c.name == "_xsrf")
    form = {"username": name, "password": hub.password, "_xsrf": crumb}
    answer = web.post(page, data=form, allow_redirects=False, timeout=120)
    answer.encoding = "utf-8"
    wrong = re.search(r'(?s)class="login_error">(.*?)</p>', answer.text)
    return answer.status_code, html.unescape(wrong[1]) if wrong else "", web


@with_hub
@pytest.mark.parametrize(
    "name",
    ["../ada", "a/b", "1", ".hidden", "ada$", "ada lovelace", "ädä", "a" * 33],
)
def test_a_name_that_will_not_do_is_refused_with_the_rule(tool, hub, name):
    status, wrong, _ = log_in(hub, name)
    assert status == 400
    assert wrong.startswith(f"“{name}” won't do. A name is up to 32 small letters")


@with_hub
def test_the_rule_stands_on_the_login_page(hub):
    web = requests.Session()
    web.trust_env = False
    text = web.get(f"{hub.address}/hub/login", timeout=30).text
    assert "up to 32 small letters" in text
    assert "must be yours alone" in text


@with_hub
def test_two_of_one_name_do_not_share_a_folder_unawares(tool, hub):
    first = tool.Learner(hub, "anna")
    assert first.log_in(hub.password)
    first.start()
    status, wrong, _ = log_in(hub, "anna")
    assert status == 409
    assert "Somebody is working as “anna” right now" in wrong
    assert "anna2" in wrong
    status, _, second = log_in(hub, "anna2")
    assert status == 302
    # The first one may go on in another browser once the server has stopped, and then
    # that browser is known.
    first.stop()
    status, _, browser = log_in(hub, "anna")
    assert status == 302
    first.start()
    browser.get(f"{hub.address}/hub/logout", timeout=30)
    assert log_in(hub, "anna", browser)[0] == 302
    assert log_in(hub, "anna", second)[0] == 409
    first.stop()


@pytest.fixture(scope="module")
def edition(tmp_path_factory):
    """What `make handout` makes → its folder."""
    folder = tmp_path_factory.mktemp("build") / "student"
    folder.mkdir()
    handout.write(folder, read_all())
    return folder


@with_hub
def test_the_student_edition_is_handed_out_whole(tool, edition):
    """As the guide says: a lesson opens, without solutions, and every link in it and in
    what it links to leads somewhere in the learner's own folder."""
    with tool.Hub(HUB_NOTEBOOKS=str(edition)) as running:
        ada = learner(tool, running, "ada")
        sources = ada.open("notebooks/00_start_here.ipynb")
        assert "You are ready" in sources[0]
        home = running.folder / "class" / "learners" / "ada"
        pages = [
            *home.glob("notebooks/*.ipynb"),
            *home.glob("*.md"),
            *home.glob("docs/*.md"),
        ]
        assert len(pages) > len(LESSONS) + 3
        for page in pages:
            assert dead(page) == [], page
            assert "<summary>Solution" not in page.read_text(encoding="utf-8")
            for link in re.findall(r"\]\((?![a-z]+:|#)([^)#\s]+)", prose(page)):
                path = os.path.normpath(page.relative_to(home).parent / link)
                ada.ask("GET", f"{ada.server}/api/contents/{path}?content=0")
        assert not (home / "docs" / "teaching.md").exists()
        page = ada.ask("GET", f"{ada.server}/lab").text
        settings = json.loads(
            re.search(r'(?s)id="jupyter-config-data"[^>]*>(.*?)</script>', page)[1]
        )
        assert "@jupyter/nbgrader:create-assignment" in settings["disabledExtensions"]
        assert "@jupyter/nbgrader:formgrader" in settings["disabledExtensions"]
        ada.stop()


@pytest.mark.skipif(
    not importlib.util.find_spec("jupyterhub"),
    reason="needs JupyterHub (make teaching)",
)
@pytest.mark.parametrize(
    "place", thorough_but(["", "notebooks", "no such folder"], "notebooks")
)
def test_the_hub_refuses_a_folder_without_lessons(tmp_path, place):
    (tmp_path / "notebooks").mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "jupyterhub", "-f", CONFIG],
        cwd=tmp_path,
        env=os.environ
        | {"HUB_NOTEBOOKS": str(tmp_path / place), "HUB_FOLDER": str(tmp_path / "hub")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode != 0
    assert "there is no lesson in" in done.stderr
    assert "HUB_NOTEBOOKS=build/student" in done.stderr


@with_hub
def test_changes_stay_and_a_deleted_lesson_comes_back(tool, hub):
    ada = learner(tool, hub, "ada")
    own = hub.folder / "class" / "learners" / "ada" / "notebooks"
    original = (ROOT / tool.LESSON).read_bytes()
    assert (own / Path(tool.LESSON).name).read_bytes() == original
    assert (own / "../data/computers/README.md").is_file()
    (own / "00_start_here.ipynb").write_text("mine")
    (own / Path(tool.LESSON).name).unlink()
    ada.stop()
    ada.start()
    assert (own / "00_start_here.ipynb").read_text() == "mine"
    assert (own / Path(tool.LESSON).name).read_bytes() == original
    ada.stop()


@with_hub
def test_a_kernel_has_the_tried_packages_and_asks_nothing_inside(tool, hub):
    ada = learner(tool, hub, "grace")
    cells = [
        "import sys; print(sys.executable)",
        "from safeguards.addresses import hosted; print(hosted())",
        """from helpers import load_image, ImageError
try:
    load_image("http://127.0.0.1:9/secret.png")
except ImageError as error:
    print(error)""",
    ]
    printed, _ = asyncio.run(ada.run(tool.LESSON, cells))
    ada.stop()
    lines = printed.splitlines()
    assert lines[:2] == [sys.executable, "True"]
    assert "only public web addresses" in lines[2]


@with_hub
def test_a_class_runs_lesson_01_at_once(tool, record_property):
    row = asyncio.run(tool.measure(CLASS))
    for name, value in row.items():
        record_property(name, value)
    assert row["learners"] == str(CLASS)
    # What docs/teaching.md says of memory must not be far below what is needed now.
    with open(tool.RECORDED, encoding="utf-8") as file:
        rows = csv.DictReader((line for line in file if line[0] != "#"), delimiter="\t")
        recorded = {r["learners"]: r for r in rows}[str(CLASS)]
    assert int(row["learner_peak_mb"]) < 1.3 * int(recorded["learner_peak_mb"])


# -- Kubernetes ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def values():
    return yaml.safe_load(VALUES.read_text(encoding="utf-8"))


def test_values_name_settings_of_the_chart(values):
    """The chart refuses unknown names; these are from its own table of settings."""
    assert set(values) == {"hub", "singleuser", "prePuller", "scheduling", "cull"}
    known = {
        "image", "cmd", "startTimeout", "defaultUrl", "memory", "cpu", "storage",
        "extraEnv", "networkPolicy", "lifecycleHooks",
    }  # fmt: skip
    assert set(values["singleuser"]) == known
    assert all(
        isinstance(text, str) for text in values["singleuser"]["extraEnv"].values()
    )
    assert values["singleuser"]["extraEnv"]["TRANSFER_HOSTED"] == "1"


def test_values_give_each_lesson_the_memory_that_it_was_measured_to_need(values):
    with open(ROOT / "docs" / "lesson_needs.tsv", encoding="utf-8") as file:
        rows = list(
            csv.DictReader((line for line in file if line[0] != "#"), delimiter="\t")
        )
    most = max(int(row["kernel_mb"]) + int(row["beside_mb"]) for row in rows)
    limit = values["singleuser"]["memory"]["limit"]
    assert limit.endswith("G")
    assert 1.2 * most + 200 < 1000 * float(limit[:-1]), (
        "a lesson and its server must fit"
    )


def test_the_first_start_hands_out_the_lessons_and_keeps_what_is_there(
    values, tmp_path
):
    image, home = tmp_path / "image", tmp_path / "home"
    (image / "notebooks").mkdir(parents=True)
    (image / "data").mkdir()
    (home / "notebooks").mkdir(parents=True)
    for name in ("00_a.ipynb", "01_b.ipynb"):
        (image / "notebooks" / name).write_text("original")
    (home / "notebooks" / "01_b.ipynb").write_text("mine")
    command = values["singleuser"]["lifecycleHooks"]["postStart"]["exec"]["command"]
    script = command[2].replace("/opt/lessons", str(image))
    for _ in range(2):
        subprocess.run(
            [*command[:2], script],
            env={"HOME": str(home), "PATH": os.environ["PATH"]},
            check=True,
        )
    assert {p.name: p.read_text() for p in (home / "notebooks").iterdir()} == {
        "00_a.ipynb": "original",
        "01_b.ipynb": "mine",
    }
    assert (home / "data").resolve() == image / "data"
    assert not (image / "data" / "data").exists(), "a second start linked into the link"


def test_both_ways_hand_out_the_same(values):
    config = CONFIG.read_text(encoding="utf-8")
    script = values["singleuser"]["lifecycleHooks"]["postStart"]["exec"]["command"][2]
    listed = script.split("for name in ")[1].split(";")[0]
    names = listed.replace("\\\n", " ").split()
    shared = re.search(r"(?s)^SHARED = \((.*?)\)", config, re.MULTILINE)[1]
    assert re.findall(r'"(.+?)"', shared) == names
    assert all((ROOT / name).exists() for name in names)
