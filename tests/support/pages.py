"""The pages with no server, as tests of both see them."""

import json
import os

import pytest

from apps.page import build as page


def require_runtime():
    """Skip a test where onnxruntime-web isn't installed; in CI it fails."""
    if not page.RUNTIME.is_dir():
        reason = "needs onnxruntime-web (make page fetches it)"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)


def about_of(built):
    """What a page's JSON file says."""
    (path,) = built.glob("page-*.json")
    return json.loads(path.read_text(encoding="utf-8"))
