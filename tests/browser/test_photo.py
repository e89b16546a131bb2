"""A photo on its way: curl sends it and takes the result, the console shows the bytes move."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from tests.api.serving import Stack
from tests.browser.chromium import needs_chromium
from tests.browser.conftest import OpenPage
from tests.waiting import wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = needs_chromium

FLOW = Path("tasks/image/flows/compress_watermark.yml")
RATE = "400k"
"""How fast curl sends: so that the photo is seen on its way for some seconds."""


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A picture of noise: its JPEG is about a megabyte."""
    path = tmp_path / "photo.jpg"
    Image.effect_noise((1600, 1200), 60).convert("RGB").save(path, quality=85)
    assert path.stat().st_size > 800_000
    return path


@pytest.fixture
def deployed(stack: Stack) -> Iterator[str]:
    """The flow that makes photos smaller."""
    stack.engine.create_flow("photo", FLOW.read_text())
    yield "photo"
    stack.engine.delete_flow("photo")


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
def test_the_console_shows_a_photo_on_its_way(
    stack: Stack, open_page: OpenPage, deployed: str, photo: Path, tmp_path: Path
) -> None:
    result = tmp_path / "small.jpg"
    page = open_page("/console/flows")
    curl = subprocess.Popen(
        ["curl", "-sS", "--fail", "--user", "admin-key:admin-secret", "--limit-rate", RATE]
        + ["-X", "POST", "-T", str(photo), "-o", str(result)]
        + [f"{stack.api.url}/v1/flows/{deployed}/executions:stream?name=sent"]
    )
    try:
        wait_until(lambda: _has_begun(stack, deployed))
        page.goto(f"/console/executions/{deployed}/sent")
        seen: set[str] = set()

        def moved() -> bool:
            seen.update(_into_the_first_stage(page))
            return len(seen) >= 3

        wait_until(moved, 20)
        assert curl.wait(30) == 0
    finally:
        curl.kill()
        curl.wait()
    with Image.open(result) as picture:
        picture.load()
        assert picture.size == (1600, 1200)
    page.locator(".head .badge").filter(has_text="Succeeded").wait_for()
    page.locator(".edge.known").filter(has_text="MB").first.wait_for()


def _has_begun(stack: Stack, flow: str) -> bool:
    return any(each.name == "sent" for each in stack.engine.list_executions(flow))


def _into_the_first_stage(page: Page) -> list[str]:
    """What is written at the first edge while it flows; nothing if it does not."""
    return page.locator(".edge.flowing").first.locator("text").all_text_contents()
