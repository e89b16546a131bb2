"""A photo on its way: curl sends it and takes the result, the console shows the bytes move."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

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
PIECE = 100_000
"""Bytes that curl is given at a time."""

PIECES = 7
"""After each of so many the rest is only sent once the page shows it."""

SOON_S = 1.0
"""How soon the page shows a piece: it looks at the edges twice a second."""


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
    data = photo.read_bytes()
    page = open_page("/console/flows")
    curl = subprocess.Popen(
        ["curl", "-sS", "--fail", "--user", "admin-key:admin-secret"]
        + ["-X", "POST", "-T", ".", "-o", str(result)]
        + [f"{stack.api.url}/v1/flows/{deployed}/executions:stream?name=sent"],
        stdin=subprocess.PIPE,
    )
    assert curl.stdin is not None
    try:
        wait_until(lambda: _has_begun(stack, deployed))
        page.goto(f"/console/executions/{deployed}/sent")
        took = [_shown_after(page, curl.stdin, data, n * PIECE) for n in range(PIECES)]
        curl.stdin.write(data[PIECES * PIECE :])
        curl.stdin.close()
        assert curl.wait(30) == 0
    finally:
        curl.kill()
        curl.wait()
    # A machine that is busy for a while delays some of them; looking less often, all.
    assert sorted(took)[PIECES // 4] < SOON_S, took
    with Image.open(result) as picture:
        picture.load()
        assert picture.size == (1600, 1200)
    page.locator(".head .badge").filter(has_text="Succeeded").wait_for()
    page.locator(".edge.known").filter(has_text="MB").first.wait_for()


def _has_begun(stack: Stack, flow: str) -> bool:
    return any(each.name == "sent" for each in stack.engine.list_executions(flow))


def _shown_after(page: Page, curl: IO[bytes], photo: bytes, begin: int) -> float:
    """Hands curl the piece that begins there; how long until the page shows that it has moved."""
    began, end = time.monotonic(), begin + PIECE
    curl.write(photo[begin:end])
    curl.flush()
    wait_until(lambda: _shows(page, end), 20)
    return time.monotonic() - began


def _shows(page: Page, size: int) -> bool:
    """True while so many bytes, and no more, stand at the first edge, which flows."""
    texts = page.locator(".edge.flowing").first.locator("text").all_text_contents()
    return any(text.startswith(f"{size / 1000:.1f} kB ") for text in texts)
