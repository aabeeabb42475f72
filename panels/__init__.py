"""The panels: interactive widgets (ipywidgets 8), one a module, each made by one call.

To add a panel:
1. write a module here with a function that returns a `VBox`; `_common.py` helps;
2. import that function below, so that lessons can write `from panels import …`;
3. test what each widget does, as `tests/panels/test_widgets.py` shows;
4. show it: README.md's table, `PANELS` in tools/record/photograph_panels.py for the
   picture in docs/, and REUSE.toml for that picture's licence.
"""

from panels.classify import classify_widget
from panels.cleaner import label_cleaner
from panels.collect import collect_widget
from panels.errors import error_browser
from panels.preprocess import preprocess_widget
from panels.threshold import threshold_widget
