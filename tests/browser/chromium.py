"""Chromium: the browser that is installed here, if there is one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PROGRAM = next(filter(None, map(shutil.which, PROGRAMS)), None)

needs_chromium = pytest.mark.skipif(
    PROGRAM is None or find_spec("playwright") is None,
    reason="there is no browser here: install the package chromium, and playwright with pip",
)
"""Of each module whose tests use a browser."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless one, started and ended."""
    from playwright.sync_api import sync_playwright

    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=root)
        yield browser
        browser.close()
