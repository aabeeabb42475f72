"""Take the pictures of the panels in docs/.

python -m tools.record.photograph_panels [NAME …], for example widget

Each lesson is run up to the cell that shows the panel and served by Voila to this
machine; a browser then does what a learner would, and the panel alone is photographed.
Needs Chromium.
"""

import re
import shutil
import socket
import subprocess
import sys
import tempfile
from io import BytesIO
from pathlib import Path

import nbformat
from PIL import Image
from playwright.sync_api import sync_playwright

from safeguards.printing import run_tool
from safeguards.whole_files import atomic_write

ROOT = Path(__file__).resolve().parents[2]
WAIT = 300_000  # milliseconds: lesson 07 trains before it shows anything


def classify(panel):
    panel.get_by_role("button", name="cat").click()
    panel.get_by_alt_text("Classified: cat", exact=True).wait_for()


def mix_channels(panel):
    panel.get_by_label("BGR").check()
    panel.get_by_text("wrong:").wait_for()


def lower_threshold(panel):
    slider = panel.get_by_role("slider")
    for _ in range(9):
        slider.press("ArrowLeft")
    panel.get_by_text("Answers other than at 0.5: 9").wait_for()


def decide(panel):
    panel.get_by_role("button", name="Relabel").click()
    panel.get_by_text(re.compile(r"^1 of \d+ decided")).wait_for()
    panel.page.wait_for_timeout(1000)  # a click at once is taken for a slip
    panel.get_by_role("button", name="Keep").click()
    panel.get_by_text(re.compile(r"^2 of \d+ decided")).wait_for()
    # Counter and buttons change first; the picture follows, its label and bars.
    label = panel.get_by_role("button", name="Keep").inner_text().split(":")[-1].strip()
    panel.get_by_text(f"is {label}. Is that right?").wait_for()
    panel.page.wait_for_timeout(3000)


# docs/NAME.png: the lesson, the call that shows the panel, what is done with it
PANELS = {
    "widget": ("01", "classify_widget(", classify),
    "preprocess": ("02", "preprocess_widget(", mix_channels),
    "threshold": ("04", "threshold_widget(", lower_threshold),
    "error_browser": ("07", "panels.error_browser(", lambda panel: None),
    "label_cleaner": ("07", "panels.label_cleaner(", decide),
}


def up_to(call, lesson, folder):
    """A notebook in `folder` with a lesson's cells up to the first with this call."""
    (source,) = (ROOT / "notebooks").glob(f"{lesson}_*.ipynb")
    notebook = nbformat.read(source, as_version=4)
    last = next(
        i for i, cell in enumerate(notebook.cells) if f"\n{call}" in cell.source
    )
    notebook.cells = [
        cell for cell in notebook.cells[: last + 1] if cell.cell_type == "code"
    ]
    nbformat.write(notebook, path := folder / source.name)
    return path


def photograph(chromium, name):
    """The panel of that name, as PNG bytes."""
    lesson, call, act = PANELS[name]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "voila",
                up_to(call, lesson, Path(folder)),
                "--no-browser",
            ]
            + [f"--port={port}", "--ip=127.0.0.1", "--template=lab"],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        try:
            next(line for line in server.stderr if "running at" in line)
            page = chromium.new_page(viewport={"width": 900, "height": 1400})
            page.set_default_timeout(WAIT)
            page.goto(f"http://127.0.0.1:{port}/")
            panel = page.locator(".jp-OutputArea-output > .widget-vbox").last
            panel.wait_for()
            act(panel)
            page.wait_for_load_state("networkidle")
            return panel.screenshot()
        finally:
            server.terminate()
            server.wait()


def main(names):
    if unknown := set(names) - set(PANELS):
        sys.exit(
            f"No panel {', '.join(sorted(unknown))}: there are {', '.join(PANELS)}."
        )
    if not (chromium := shutil.which("chromium")):
        sys.exit("This needs Chromium (on Debian: apt install chromium).")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox"]
        )
        for name in names or PANELS:
            image = Image.open(BytesIO(photograph(browser, name))).convert("RGB")
            with atomic_write(ROOT / "docs" / f"{name}.png") as part:
                image.quantize(256).save(
                    part, format="PNG", optimize=True
                )  # a third of the size
            print(f"docs/{name}.png")


if __name__ == "__main__":
    sys.exit(run_tool(main, sys.argv[1:]))
