"""The console in a browser: people see what runs, and act on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.api.serving import Stack
from tests.browser.chromium import needs_chromium
from tests.browser.conftest import FLOWER, PATIENCE_MS, OpenPage
from tests.waiting import wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = needs_chromium

PHONE = (375, 720)


@pytest.fixture
def sign(tmp_path: Path) -> Iterator[Path]:
    """The file that tasks wait for; in the end it is there, so that none waits on."""
    path = tmp_path / "sign"
    yield path
    path.touch()


def _start(stack: Stack, flow: str, name: str, **input: Any) -> str:
    stack.engine.start_execution(flow, input=input, name=name)
    return f"/console/executions/{flow}/{name}"


def _badge(page: Page) -> Locator:
    return page.locator(".head .badge")


def _step(page: Page, name: str) -> Locator:
    return page.locator(".node").filter(has=page.locator(f".name:text-is('{name}')"))


def _see(locator: Locator, text: str | None = None) -> None:
    locator.filter(has_text=text).first.wait_for(state="visible", timeout=PATIENCE_MS)


def _state(locator: Locator, state: str) -> None:
    """Waits until a step of the graph has a state."""
    wait_until(lambda: f"s-{state}" in (locator.get_attribute("class") or "").split(), 15)


def test_an_execution_is_found_and_watched_to_its_end(
    stack: Stack, open_page: OpenPage, sign: Path
) -> None:
    _start(stack, "order", "watched", amount=3, sign=str(sign))
    page = open_page("/console/")
    page.get_by_label("Name", exact=True).fill("watch")
    row = page.get_by_role("row").filter(has_text="watched")
    _see(row, "Running")
    page.wait_for_url("**/console/?name=watch")
    row.get_by_role("link", name="watched").click()
    _see(_badge(page), "Running")
    _state(_step(page, "pack"), "running")
    _state(_step(page, "approval"), "idle")
    _step(page, "price").click()
    panel = page.get_by_role("complementary")
    _see(panel, "shop/price")
    _see(panel.locator("pre"), '"total": 57')
    page.get_by_role("tab", name="Events").click()
    _see(page.get_by_role("cell", name="ExecutionStarted"))
    sign.touch()  # what follows comes by itself: the page is not loaded again
    _see(_badge(page), "Succeeded")
    _see(page.get_by_role("cell", name="ExecutionSucceeded"))
    page.get_by_role("tab", name="Timeline").click()
    _see(page.get_by_role("button", name="pack, succeeded"))
    page.get_by_role("tab", name="Input & output").click()
    _see(page.get_by_label("Output"), '"sent"')
    page.get_by_role("tab", name="Graph").click()
    _state(_step(page, "delivered"), "succeeded")
    link = page.get_by_role("link", name="task")
    assert link.get_attribute("href") == f"{FLOWER}/task/order%3Awatched"


def test_a_failed_execution_is_redriven_by_the_button(
    stack: Stack, open_page: OpenPage, sign: Path
) -> None:
    sign.touch()
    courier = sign.with_name("courier")
    given = {"sign": str(sign), "courier": str(courier)}
    path = _start(stack, "order", "redriven", amount=3, **given)
    stack.engine.wait("order", "redriven", 20)
    page = open_page(path)
    _see(_badge(page), "Failed")
    _see(page.get_by_role("alert"), "no courier has a place <left> for parcel P-7")
    page.get_by_role("button", name="ship", exact=True).click()
    _see(page.get_by_role("complementary"), "NoCourier")
    courier.touch()
    page.get_by_role("button", name="Redrive…").click()
    page.get_by_label("Reason").fill("a courier came")
    page.get_by_role("dialog").get_by_role("button", name="Redrive", exact=True).click()
    _see(_badge(page), "Succeeded")
    _see(page.locator(".facts"), "redriven")
    redriven = next(e for e in _events(stack, "redriven") if e.type == "ExecutionRedriven")
    assert redriven.detail["by"] == "admin-key"


def test_a_failed_step_is_skipped_with_an_output(stack: Stack, open_page: OpenPage) -> None:
    path = _start(stack, "order", "skipped", amount=3)
    stack.engine.wait("order", "skipped", 20)
    page = open_page(f"{path}?step=send%2Fbranches%2F0%2Fship")
    page.get_by_role("button", name="Skip…").click()
    page.get_by_label("Output (JSON)").fill('{"tracking": "by hand"}')
    page.get_by_role("dialog").get_by_role("button", name="Skip", exact=True).click()
    _state(_step(page, "ship"), "skipped")
    _see(_badge(page), "Succeeded")
    ended = stack.engine.describe_execution("order", "skipped")
    assert ended.output is not None and ended.output["sent"] == ["by hand"]


def test_a_flow_is_started_paused_and_resumed(
    stack: Stack, open_page: OpenPage, sign: Path
) -> None:
    page = open_page("/console/flows/order")
    page.get_by_role("button", name="Start…").click()
    page.get_by_label("Name").fill("begun here")
    page.get_by_label("Input (JSON)").fill(f'{{"amount": 2, "sign": "{sign}"}}')
    page.get_by_role("dialog").get_by_role("button", name="Start").click()
    _see(page.locator(".notice.error"), "name")
    page.get_by_role("button", name="Start…").click()
    page.get_by_label("Name").fill("begun-here")
    page.get_by_label("Input (JSON)").fill(f'{{"amount": 2, "sign": "{sign}"}}')
    page.get_by_role("dialog").get_by_role("button", name="Start").click()
    _state(_step(page, "pack"), "running")
    page.get_by_role("button", name="Pause…").click()
    page.get_by_role("dialog").get_by_role("button", name="Pause").click()
    _see(_badge(page), "Paused")
    sign.touch()
    page.get_by_role("button", name="Resume").click()
    _see(_badge(page), "Succeeded")


def _events(stack: Stack, name: str) -> list[Any]:
    return list(stack.engine.get_execution_history("order", name))


def test_who_comes_back_sees_what_was_done_elsewhere(stack: Stack, open_page: OpenPage) -> None:
    page = open_page(_start(stack, "order", "elsewhere", amount=3, text="no sign"))
    _see(_badge(page), "Failed")
    stack.engine.skip_step("order", "elsewhere", "ship", {"tracking": "T-9"})
    stack.engine.wait("order", "elsewhere", 20)
    page.evaluate("dispatchEvent(new Event('focus'))")
    _see(_badge(page), "Succeeded")


def test_an_approver_signs_in_and_approves(stack: Stack, open_page: OpenPage, sign: Path) -> None:
    sign.touch()
    path = _start(stack, "order", "approved", amount=100, sign=str(sign))
    page = open_page(path, role=None)
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Key id").fill("approver-key")
    dialog.get_by_label("Secret").fill("wrong")
    dialog.get_by_role("button", name="Sign in").click()
    _see(dialog, "the secret of access key 'approver-key' is another")
    dialog.get_by_label("Key id").fill("approver-key")
    dialog.get_by_label("Secret").fill("approver-secret")
    dialog.get_by_role("button", name="Sign in").click()
    _see(page.locator("#who"), "approver-key · approver")
    _state(_step(page, "approval"), "waiting")
    _step(page, "approval").click()
    page.get_by_role("button", name="Approve…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Output (JSON)").fill("[1]")
    dialog.get_by_role("button", name="Approve").click()
    _see(dialog, "It must be a JSON object")
    dialog.get_by_label("Output (JSON)").fill('{"approved": true}')
    dialog.get_by_label("Comment").fill("within the budget")
    dialog.get_by_role("button", name="Approve").click()
    _see(_badge(page), "Succeeded")
    told = next(e for e in _events(stack, "approved") if e.detail.get("output", {}).get("approved"))
    assert told.detail["output"]["comment"] == "within the budget"
    kept = "[sessionStorage.length, localStorage.length, document.cookie]"
    assert page.evaluate(kept) == [1, 0, ""]


def test_a_viewer_has_no_buttons(stack: Stack, open_page: OpenPage, sign: Path) -> None:
    path = _start(stack, "order", "looked-at", amount=100, sign=str(sign))
    page = open_page(path, role="viewer")
    _state(_step(page, "approval"), "waiting")
    _step(page, "approval").click()
    _see(page.get_by_role("complementary"), "shop/ask")
    shown = page.get_by_role("main").get_by_role("button").all_text_contents()
    assert not [text for text in shown if text.endswith("…")]
    operator = open_page(path, role="operator")
    _step(operator, "approval").click()
    _see(operator.get_by_role("button", name="Skip…"))
    assert operator.get_by_role("button", name="Approve…").count() == 0
    operator.get_by_role("button", name="Stop…").click()
    operator.get_by_role("dialog").get_by_role("button", name="Stop", exact=True).click()
    _see(_badge(operator), "Stopped")
    _see(_badge(page), "Stopped")


def test_the_items_of_a_foreach_are_counted_and_paged(
    stack: Stack, open_page: OpenPage, sign: Path
) -> None:
    numbers = list(range(60))
    given = {"numbers": numbers, "bad": [3, 41], "sign": str(sign), "holds_at": 50}
    page = open_page(_start(stack, "labels", "sixty", **given))
    node = _step(page, "labels")
    _see(node, "48 / 60")
    _see(node, "2 failed")
    node.click()
    panel = page.get_by_role("complementary")
    _see(panel.locator(".items li"), "Smudged label 3 cannot be read")
    panel.get_by_role("button", name="More").click()
    _see(panel, "25–49 of 60")
    _see(panel.locator(".items li"), "#41")
    sign.touch()
    _see(_badge(page), "Succeeded")
    _see(node, "58 / 60")
    panel.get_by_role("link", name="#41").click()
    _see(_badge(page), "Failed")
    _state(_step(page, "label"), "failed")
    page.go_back()
    _see(_step(page, "labels"), "58 / 60")


def test_the_edges_of_a_stream_move_and_stay(stack: Stack, open_page: OpenPage, sign: Path) -> None:
    page = open_page(_start(stack, "juice", "pressed", sign=str(sign)))
    node = _step(page, "juice")
    _see(node.locator(".edge.flowing"), "200.0 kB · 10")
    _see(node.locator(".edge.flowing"), "100.0 kB · 10")
    sign.touch()
    _see(_badge(page), "Succeeded")
    _see(node.locator(".edge.known"), "400.0 kB · 20")
    node.click()
    row = page.get_by_role("row").filter(has_text="sieve → fill")
    _see(row, "200.0 kB")


def test_everything_can_be_done_by_keyboard(stack: Stack, open_page: OpenPage, sign: Path) -> None:
    _start(stack, "order", "by-keyboard", amount=3, sign=str(sign))
    page = open_page("/console/?name=by-keyboard")
    _see(page.get_by_role("link", name="by-keyboard"))
    page.keyboard.press("Tab")
    assert _focused(page) == "Skip to the content"
    page.keyboard.press("Enter")
    _tab_to(page, "by-keyboard")
    page.keyboard.press("Enter")
    _state(_step(page, "pack"), "running")
    _tab_to(page, "price, task, succeeded")
    page.keyboard.press("Enter")
    panel = page.get_by_role("complementary")
    _see(panel, "shop/price")
    page.keyboard.press("Escape")
    panel.wait_for(state="hidden")
    assert _focused(page) == "price, task, succeeded"
    page.get_by_role("tab", name="Graph").focus()
    page.keyboard.press("ArrowRight")
    assert _focused(page) == "Timeline"
    page.get_by_role("button", name="Stop…").focus()
    page.keyboard.press("Enter")
    _see(page.get_by_role("dialog"))
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="hidden")
    assert _focused(page) == "Stop…"
    page.keyboard.press("Enter")
    page.keyboard.type("not needed any more")
    page.keyboard.press("Enter")
    _see(_badge(page), "Stopped")
    assert stack.engine.describe_execution("order", "by-keyboard").cause == "not needed any more"


def _focused(page: Page) -> str:
    """What a screen reader says of what has the focus."""
    name = "e => e.getAttribute('aria-label') ?? e.textContent.trim()"
    return str(page.evaluate(f"({name})(document.activeElement)"))


def _tab_to(page: Page, name: str) -> None:
    seen = []
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.append(_focused(page))
        if seen[-1] == name:
            ring = "getComputedStyle(document.activeElement).outlineStyle"
            box = "document.activeElement.querySelector?.('.box')"
            dashed = f"{box} && getComputedStyle({box}).strokeDasharray"
            assert page.evaluate(ring) != "none" or page.evaluate(dashed) not in (None, "none")
            return
    raise AssertionError(f"{name!r} is not reached by keyboard, only {seen}")


def test_pages_fit_a_phone(stack: Stack, open_page: OpenPage, sign: Path) -> None:
    sign.touch()
    execution = _start(
        stack, "order", "on-a-phone-with-quite-a-long-name", amount=3, sign=str(sign)
    )
    stack.engine.wait("order", "on-a-phone-with-quite-a-long-name", 20)
    for path in ("/console/", execution, f"{execution}?tab=events", "/console/flows/polling"):
        page = open_page(path, size=PHONE)
        _see(page.get_by_role("heading", level=1))
        page.wait_for_load_state("networkidle") if "executions/" not in path else None
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE[0], path
    page = open_page(execution, size=PHONE)
    _step(page, "send").click()
    panel = page.get_by_role("complementary")
    _see(panel, "parallel")
    wait_until(lambda: _is_in_sight(page, panel))


def _is_in_sight(page: Page, locator: Locator) -> bool:
    box, size = locator.bounding_box(), page.viewport_size
    return box is not None and size is not None and 0 <= box["y"] < size["height"] - 50


def test_the_console_is_dark_for_those_who_like_it(stack: Stack, open_page: OpenPage) -> None:
    page = open_page("/console/flows", dark=True)
    _see(page.get_by_role("link", name="polling"))
    assert _lightness(page) < 40
    page.get_by_role("button", name="Change between dark and light").click()
    assert _lightness(page) > 200
    page.reload()
    _see(page.get_by_role("link", name="polling"))
    assert _lightness(page) > 200


def _lightness(page: Page) -> int:
    color = str(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    return max(int(part) for part in color.removeprefix("rgb(").removesuffix(")").split(","))


def test_versions_of_a_flow_are_compared(stack: Stack, open_page: OpenPage) -> None:
    definition = stack.engine.describe_flow("polling").definition
    stack.engine.versions.publish("polling", "as it began")
    stack.engine.update_flow("polling", definition.replace("duration: 5", "duration: 9"))
    page = open_page("/console/flows")
    page.get_by_role("link", name="polling").click()
    _see(page.get_by_role("row", name="removed:"), "duration: 5")
    _see(page.get_by_role("row", name="added:"), "duration: 9")
    page.get_by_label("to", exact=True).select_option("1")
    _see(page.get_by_text("There is no difference."))
    stack.engine.update_flow("polling", definition + "# a\n" * 20_001)
    page.get_by_label("to", exact=True).select_option("now")
    _see(page.get_by_text("too many to compare"))


def test_what_a_task_says_is_text_and_never_markup(
    stack: Stack, open_page: OpenPage, sign: Path
) -> None:
    markup = "<img src=x onerror=alert(1)><b>bold</b>"
    sign.touch()
    path = _start(stack, "order", "markup", amount=3, sign=str(sign), note=markup)
    stack.engine.wait("order", "markup", 20)
    page = open_page(f"{path}?tab=data")
    _see(page.get_by_label("Input"), markup)
    assert page.locator("main img, main b").count() == 0
