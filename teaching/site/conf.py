"""How Sphinx makes the site of `make editions`: to be read from disk, nothing from
other hosts."""

from pathlib import Path

project = "Transfer learning for image classification"
html_title = project
extensions = ["myst_nb"]
# Lessons come with their outputs.
nb_execution_mode = "off"
smartquotes = False
myst_heading_anchors = 4

html_theme = "furo"
html_copy_source = False
html_show_copyright = False  # the README says what may be done with what
html_static_path = [str(Path(__file__).parent / "static")]
html_css_files = ["wide.css"]
# What shows panels as they were when the lesson ran; by default it would come from
# another host.
nb_ipywidgets_js = {"embed.js": {}}

linkcheck_timeout = 30
linkcheck_retries = 2
linkcheck_anchors = False
# Publishers that refuse programs, and addresses on the reader's own machine.
linkcheck_ignore = [r"https?://(localhost|127\.0\.0\.1)"]
linkcheck_allow_unauthorized = True
linkcheck_report_timeouts_as_broken = False


def setup(app):
    """Leave pages out of the contents: the paper, as in its journal's form each section
    is a title, and what is said of the apps, which other pages lead to."""

    def read(app, doctree):
        name = app.env.docname
        if name == "docs/paper/paper" or name.startswith("apps/"):
            app.env.metadata[name]["orphan"] = True

    app.connect("doctree-read", read)
