"""Approval links: a page that asks, a POST that decides, once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.api.serving import Stack, client_of, served
from tests.waiting import wait_until

ASK = """
- type: task
  name: asks
  resourceArn: api/ask
  pattern: waitForCallback
  inputMappings:
  - {target: place, source: $input.place}
  - {target: token, source: $context.task.token}
  - {target: what, source: $input.what}
"""
WHAT = "<script>alert('250 €')</script>"


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with served() as made:
        made.deploy("asks", ASK)
        yield made


@pytest.fixture
def nobody(stack: Stack) -> Iterator[httpx.Client]:
    """A client without a key: somebody who was sent a link."""
    with client_of(stack.api, None) as client:
        yield client


def _waiting(stack: Stack, place: Path) -> tuple[str, str]:
    """The name of an execution that waits, and its token."""
    started = stack.start("asks", {"place": str(place), "what": WHAT})
    wait_until(place.exists, 20)
    return started["name"], place.read_text()


def _link(stack: Stack, token: str, valid_s: float = 60) -> str:
    made = stack.client.post("/v1/approvals", json={"token": token, "valid_s": valid_s})
    assert made.status_code == 201, made.text
    url: str = made.json()["url"]
    assert url.startswith(stack.api.url) and token not in url
    return url


def test_a_page_asks_and_a_post_decides_once(
    stack: Stack, nobody: httpx.Client, tmp_path: Path
) -> None:
    name, token = _waiting(stack, tmp_path / "token")
    url = _link(stack, token)
    for _ in range(2):
        page = nobody.get(url)
        assert page.status_code == 200 and "A decision is needed" in page.text
    assert WHAT not in page.text and "alert(&#x27;250 €&#x27;)" in page.text
    assert token not in page.text
    assert "script" not in page.headers["content-security-policy"]
    assert stack.engine.describe_execution("asks", name).status == "Running"
    done = nobody.post(url, data={"decision": "approve", "comment": " fine "})
    assert done.status_code == 200 and "Approved" in done.text
    ended = stack.engine.wait("asks", name, 20)
    assert ended.output == {"approved": True, "comment": "fine"}
    assert nobody.post(url, data={"decision": "reject"}).status_code == 409
    entry = stack.client.get("/v1/audit").json()["entries"][0]
    assert (entry["action"], entry["subject"]) == ("DecideTask", f"asks/{name}")
    assert (entry["by"], entry["source"]) == ("approval link", "127.0.0.1")
    assert entry["detail"]["approved"] is True and token not in str(entry)
    assert nobody.get(url).status_code == 410


def test_a_rejection_fails_the_task(stack: Stack, nobody: httpx.Client, tmp_path: Path) -> None:
    name, token = _waiting(stack, tmp_path / "token")
    url = _link(stack, token)
    assert nobody.post(url, data={"decision": "perhaps"}).status_code == 400
    assert nobody.post(url, data={"decision": "reject", "comment": "no"}).status_code == 200
    ended = stack.engine.wait("asks", name, 20)
    assert (ended.status, ended.error, ended.cause) == ("Failed", "Rejected", "no")


def test_a_link_that_was_forged_or_is_late_leads_nowhere(
    stack: Stack, nobody: httpx.Client, tmp_path: Path
) -> None:
    name, token = _waiting(stack, tmp_path / "token")
    url = _link(stack, token)
    late = _link(stack, token, valid_s=0.001)
    for wrong in (url[:-3] + "AAA", f"{stack.api.url}/approvals/{token}", late):
        assert nobody.get(wrong).status_code == 404
        assert nobody.post(wrong, data={"decision": "approve"}).status_code == 404
    foreign = nobody.post(
        url, data={"decision": "approve"}, headers={"Origin": "https://evil.example"}
    )
    assert foreign.status_code == 403
    assert stack.engine.describe_execution("asks", name).status == "Running"
    stack.engine.stop_execution("asks", name)


def test_a_link_needs_a_key_to_be_made(stack: Stack, nobody: httpx.Client) -> None:
    assert nobody.post("/v1/approvals", json={"token": "x"}).status_code == 401
    with stack.as_role("operator") as operator:
        assert operator.post("/v1/approvals", json={"token": "x"}).status_code == 403


def test_a_report_over_rest_ends_a_task(stack: Stack, tmp_path: Path) -> None:
    name, token = _waiting(stack, tmp_path / "token")
    with stack.as_role("approver") as approver:
        report = {"token": token, "output": {"answer": 1}}
        assert approver.post("/v1/reports", json=report).status_code == 204
        again = approver.post("/v1/reports", json=report)
        assert (again.status_code, again.json()["code"]) == (400, "TaskAlreadyCompleted")
        both = approver.post("/v1/reports", json={**report, "error": "x"})
        assert both.json()["code"] == "InvalidArgument"
    assert stack.engine.wait("asks", name, 20).output == {"answer": 1}
