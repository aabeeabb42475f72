"""Interactive parts for the lessons (ipywidgets 8), one a module; each is made by one call."""

from helpers.widgets.classify import classify_widget
from helpers.widgets.cleaner import label_cleaner
from helpers.widgets.collect import collect_widget
from helpers.widgets.errors import error_browser
from helpers.widgets.preprocess import preprocess_widget
from helpers.widgets.threshold import threshold_widget
