"""The console's page and assets: nothing from elsewhere, nothing inline, no data without a key."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.api.console.pages import ASSETS
from tests.api.console_flows import ORDER
from tests.api.serving import Stack, client_of, served

BROWSER = {"Accept": "text/html,application/xhtml+xml"}
DATA = "/console/data/flows/order/executions/one"
READ = (
    "/console/data/me",
    f"{DATA}/picture",
    f"{DATA}/snapshot",
    f"{DATA}/live",
    f"{DATA}/payloads",
    f"{DATA}/visits?path=price",
    f"{DATA}/items?path=price",
    "/console/data/flows/order/picture",
    "/console/data/flows/order/differences?old=now&new=now",
)


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with served(slots=0) as made:
        made.engine.create_flow("order", ORDER)
        made.engine.start_execution("order", input={}, name="one")
        yield made


@pytest.fixture
def nobody(stack: Stack) -> Iterator[httpx.Client]:
    with client_of(stack.api, None) as client:
        yield client


class _Inline(HTMLParser):
    """Collects what a policy without inline scripts and styles would refuse."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = {name for name, _ in attrs}
        if tag == "style" or (tag == "script" and "src" not in names):
            self.found.append(tag)
        self.found += [name for name in names if name == "style" or name.startswith("on")]


def test_the_page_is_served_at_every_address_of_the_console(nobody: httpx.Client) -> None:
    for path in ("/console/", "/console/flows", "/console/executions/order/a%2Fb?tab=events"):
        page = nobody.get(path)
        assert page.status_code == 200 and "<title>Penstock</title>" in page.text
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
        assert "script-src 'self'" in policy and "unsafe" not in policy
        assert page.headers["referrer-policy"] == "no-referrer"
    assert nobody.get("/console").headers["location"] == "/console/"


def test_a_browser_at_the_root_comes_to_the_console(nobody: httpx.Client) -> None:
    moved = nobody.get("/", headers=BROWSER)
    assert moved.is_redirect and moved.headers["location"] == "/console/"
    assert not nobody.get("/?Action=ListFlows&Version=2019-03-15", headers=BROWSER).is_redirect


def test_assets_are_sent_with_their_types_and_tags(nobody: httpx.Client) -> None:
    kinds = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
    for name in ASSETS:
        answer = nobody.get(f"/console/static/{name}")
        if suffix := kinds.get(name[name.rindex(".") :]):
            assert answer.headers["content-type"].startswith(suffix)
        tag = answer.headers["etag"]
        again = nobody.get(f"/console/static/{name}", headers={"If-None-Match": tag})
        assert again.status_code == 304 and again.content == b""


@pytest.mark.parametrize("name", ["none.js", "..%2f..%2fapp.py", "%2e%2e/%2e%2e/app.py", "%00"])
def test_nothing_but_the_assets_is_read_from_the_disk(nobody: httpx.Client, name: str) -> None:
    answer = nobody.get(f"/console/static/{name}")
    assert "import" not in answer.text.partition("<script")[0]
    assert answer.status_code == 404 or "<title>Penstock</title>" in answer.text


def test_no_asset_needs_inline_code_or_another_site() -> None:
    inline = _Inline()
    inline.feed(ASSETS["index.html"].content.decode())
    assert inline.found == []
    elsewhere = re.compile(r"https?://(?!www\.w3\.org/)|@import|//cdn")
    unsafe = re.compile(r"(inner|outer)HTML|insertAdjacentHTML|document\.write|\beval\(|Function\(")
    for name, file in ASSETS.items():
        text = file.content.decode()
        assert not elsewhere.search(text), name
        assert not unsafe.search(text), name


def test_data_needs_a_key_in_the_header(stack: Stack, nobody: httpx.Client) -> None:
    for path in READ:
        refused = nobody.get(path)
        assert refused.status_code == 401 and refused.json()["code"] == "Unauthorized"
        mark = "&" if "?" in path else "?"
        by_address = nobody.get(f"{path}{mark}key=viewer-key:viewer-secret&token=viewer-secret")
        assert by_address.status_code == 401
    wrong = nobody.get("/console/data/me", headers={"Authorization": "Bearer viewer-key:other"})
    assert wrong.status_code == 403 and wrong.json()["code"] == "SignatureNotMatch"
    with stack.as_role("viewer") as viewer:
        told = viewer.get("/console/data/me").json()
        assert told == {"id": "viewer-key", "role": "viewer", "open": False, "flower": ""}
        assert viewer.get(f"{DATA}/snapshot").status_code == 200


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_only_approvers_decide(stack: Stack, role: str) -> None:
    decision = {"path": "approval", "attempt": 1, "approve": True}
    with stack.as_role(role) as client:
        refused = client.post(f"{DATA}/decision", json=decision)
    assert refused.status_code == 403 and refused.json()["code"] == "AccessDenied"


def test_another_site_cannot_have_a_browser_decide(stack: Stack) -> None:
    decision = {"path": "approval", "attempt": 1, "approve": True}
    headers = {"Origin": "https://elsewhere.example"}
    refused = stack.client.post(f"{DATA}/decision", json=decision, headers=headers)
    assert refused.status_code == 403 and refused.json()["code"] == "ForeignOrigin"


def test_what_is_not_there_is_answered_with_its_code(stack: Stack) -> None:
    def code(path: str) -> tuple[int, str]:
        answer = stack.client.get(path)
        return answer.status_code, answer.json()["code"]

    none = "/console/data/flows/order/executions/none"
    assert code(f"{none}/snapshot") == (404, "ExecutionNotExists")
    assert code(f"{none}/live") == (404, "ExecutionNotExists")
    assert code("/console/data/flows/none/picture") == (404, "FlowNotExists")
    assert code(f"{DATA}/picture?frame=none.3") == (400, "InvalidArgument")
    assert code(f"{DATA}/snapshot?frame=send.7") == (400, "InvalidArgument")
    assert code(f"{DATA}/items?path=none") == (400, "InvalidArgument")
    assert code("/console/data/flows/order/differences?old=9&new=now")[0] == 404
    assert code("/console/data/none")[0] == 404


ODD_TEXTS = st.one_of(
    st.text(max_size=40),
    st.from_regex(r"(send|price|none|approval)?(\.\d{0,25})?(/(send|large|x)(\.-?\d{0,3})?)*"),
    st.sampled_from(["../..", "%", "\x00", "a" * 2000, "send.0/", "/", ".", "send.²", "²"]),
)
ODD_NUMBERS = st.one_of(st.integers(), st.integers(-2, 60), st.text(max_size=5))
ADDRESSES = ("picture", "snapshot", "visits", "items", "payloads")


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(ADDRESSES), ODD_TEXTS, ODD_TEXTS, ODD_NUMBERS, ODD_NUMBERS, st.booleans())
def test_no_question_makes_the_server_fail(
    stack: Stack, address: str, frame: str, path: str, event: object, first: object, failed: bool
) -> None:
    query = {"frame": frame, "path": path, "event": str(event), "first": str(first)}
    answer = stack.client.get(f"{DATA}/{address}", params=query | {"failed": str(failed)})
    assert answer.status_code in (200, 400, 404, 422), answer.text


@settings(max_examples=100, deadline=None)
@given(ODD_TEXTS, ODD_TEXTS, ODD_NUMBERS)
def test_no_decision_makes_the_server_fail(
    stack: Stack, frame: str, path: str, attempt: object
) -> None:
    told = {"frame": frame, "path": path, "attempt": attempt, "approve": True}
    answer = stack.client.post(f"{DATA}/decision", json=told)
    assert answer.status_code in (400, 404, 409, 422), answer.text


def test_letters_that_are_half_are_refused(stack: Stack) -> None:
    told = {"frame": "\ud800", "path": "\ud800", "attempt": 1, "approve": True}
    body = json.dumps(told | {"output": {"a": "\ud800"}}).encode()
    for content in (body, body.replace(b'"path": "\\ud800"', b'"path": "approval"')):
        answer = stack.client.post(f"{DATA}/decision", content=content)
        assert answer.status_code in (400, 404, 409, 422), answer.text


@settings(max_examples=50, deadline=None)
@given(st.one_of(st.just("now"), ODD_TEXTS), st.one_of(st.integers().map(str), ODD_TEXTS))
def test_no_comparison_makes_the_server_fail(stack: Stack, old: str, new: str) -> None:
    query = {"old": old, "new": new}  # "now", or the number of a version
    answer = stack.client.get("/console/data/flows/order/differences", params=query)
    assert answer.status_code in (200, 400, 404, 422), answer.text
