"""Whether people can read the console: contrast of texts in both themes, names of controls."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.api.serving import Stack
from tests.browser.chromium import needs_chromium
from tests.browser.conftest import OpenPage

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = needs_chromium

ENOUGH = 4.5
"""The contrast that WCAG 2 asks of small texts (level AA)."""

# Texts on what is painted behind them; colours are read back from a canvas, whatever their form.
CONTRASTS = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const paint = (colors) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const color of colors) { canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1); }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (rgb) => rgb.map((part) => part / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, n) => sum + part * [0.2126, 0.7152, 0.0722][n], 0);
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const text = walker.currentNode.textContent.trim();
    if (!text || !element.checkVisibility() || element.closest("[disabled], noscript")) continue;
    if (element.closest(".visually-hidden, .skip, title, option")) continue;
    const backs = [];
    for (let each = element; each; each = each.parentElement) {
      backs.unshift(getComputedStyle(each).backgroundColor);
      const box = each.matches?.(".node") ? each.querySelector(".box") : null;
      if (box) backs.unshift(getComputedStyle(box).fill);
    }
    const style = getComputedStyle(element);
    const color = element.closest("svg.canvas") ? style.fill : style.color;
    const [a, b] = [light(paint(backs)), light(paint([...backs, color]))];
    found.push([text, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)]);
  }
  return found;
}"""

NAMELESS = """() => [...document.querySelectorAll("button, a, input, select, textarea, .node")]
  .filter((each) => each.checkVisibility())
  .filter((each) => !(each.getAttribute("aria-label") || each.textContent.trim()
    || each.labels?.length))
  .map((each) => each.outerHTML.slice(0, 120))"""


def _unreadable(page: Page) -> list[tuple[str, float]]:
    found: list[Any] = page.evaluate(CONTRASTS)
    assert len(found) > 5
    return [(text, round(ratio, 2)) for text, ratio in found if ratio < ENOUGH]


@pytest.mark.parametrize("dark", [False, True])
def test_texts_have_enough_contrast_and_controls_have_names(
    stack: Stack, open_page: OpenPage, tmp_path: Path, dark: bool
) -> None:
    name = f"read-{'dark' if dark else 'light'}"
    stack.engine.start_execution("order", input={"amount": 3}, name=name)
    stack.engine.wait("order", name, 20)  # one of its steps has failed, another was cut off
    numbers = {"numbers": list(range(12)), "bad": [3]}
    stack.engine.start_execution("labels", input=numbers, name=name)
    stack.engine.wait("labels", name, 20)
    execution = f"/console/executions/order/{name}"
    for path, seen in (
        ("/console/", "table.executions a"),
        (f"{execution}?step=send%2Fbranches%2F0%2Fship", ".panel .failure"),
        (f"{execution}?tab=timeline", ".rows button"),
        (f"{execution}?tab=events", ".events td"),
        (f"/console/executions/labels/{name}?step=labels", ".items li"),
        ("/console/flows/order", ".node"),
        ("/console/schedules", "table"),
    ):
        page = open_page(path, dark=dark)
        page.locator(seen).first.wait_for()
        assert not _unreadable(page), path
        assert not page.evaluate(NAMELESS), path
