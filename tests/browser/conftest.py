"""Fixtures of the browser tests: a Chromium, a served engine with a worker, and pages in both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

import pytest

from tests.api import console_flows as flows
from tests.api.serving import ROLES, Stack, served
from tests.browser.chromium import chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

TASKS = Path(__file__).parents[1] / "api" / "console_tasks.py"
PATIENCE_MS = 15_000
FLOWER = "http://flower.example"

OpenPage: TypeAlias = "Callable[..., Page]"
"""Opens a page: the path, and `role`, `size`, `dark`."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium, as it is installed on this machine.

    Not for longer than a module: while it is there an event loop runs in the tests' thread.
    """
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def stack(browser: Browser) -> Iterator[Stack]:
    """An engine with the console's flows, served to those who have a key."""
    env = {"PENSTOCK_API_FLOWER_URL": FLOWER, "PENSTOCK_STREAM_GATHER_S": "5"}
    with served(slots=4, tasks=TASKS, env=env) as made:
        made.engine.create_flow("order", flows.ORDER)
        made.engine.create_flow("labels", flows.LABELS)
        made.engine.create_flow("juice", flows.STREAM)
        made.engine.create_flow("polling", flows.POLLING)
        yield made


@pytest.fixture
def open_page(browser: Browser, stack: Stack) -> Iterator[OpenPage]:
    """Opens pages; in the end none of them may have complained, or have asked another site.

    No address may have held a secret. `role` None: nobody has signed in.
    """
    faults: list[str] = []
    addresses: list[str] = []
    contexts = []

    def opened(
        path: str,
        role: str | None = "admin",
        size: tuple[int, int] = (1280, 900),
        dark: bool = False,
    ) -> Page:
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if dark else "light",
            base_url=stack.api.url,
        )
        contexts.append(context)
        if role is not None:
            key = f"sessionStorage.setItem('penstock.key', '{role}-key:{role}-secret')"
            context.add_init_script(key)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda told: faults.append(told.text) if _is_fault(told) else None)
        page.on("request", lambda request: addresses.append(request.url))
        page.on("framenavigated", lambda frame: addresses.append(frame.url))
        page.goto(path)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not faults
    assert {urlsplit(address).netloc for address in addresses} <= {stack.api.address}
    secrets = [f"{role}-{part}" for role in ROLES for part in ("secret", "key:")]
    assert not [address for address in addresses if any(each in address for each in secrets)]


def _is_fault(told: ConsoleMessage) -> bool:
    """A policy that was broken, or a script that failed; not an answer of the API."""
    return told.type == "error" and not told.text.startswith("Failed to load resource")
