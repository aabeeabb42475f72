"""Interactive parts for the lessons (ipywidgets 8), one a module; each is made by one call."""

from panels.classify import classify_widget
from panels.cleaner import label_cleaner
from panels.collect import collect_widget
from panels.errors import error_browser
from panels.preprocess import preprocess_widget
from panels.threshold import threshold_widget
