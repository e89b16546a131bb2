"""What somebody without the right to it cannot do: neither by a trick, nor by sheer size."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlencode

import psutil
import pytest

from tests.api.serving import HEAD, Stack, served
from tests.api.signed import signed
from tests.waiting import wait_until

MIB = 1024 * 1024
FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
STILL_S = 2.0
"""So long at most nobody else is answered."""

ASK = """
- type: task
  name: asks
  resourceArn: api/ask
  pattern: waitForCallback
  inputMappings:
  - {target: place, source: $input.place}
  - {target: token, source: $context.task.token}
"""
PASS = "- {type: pass, name: done}\n"
PARENT = "- {type: task, name: child, resourceArn: 'acs:fnf:::flow/asks', pattern: sync}\n" + PASS


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with served(slots=1) as made:
        made.deploy("asks", ASK + PASS)
        made.deploy("parent", PARENT)
        made.deploy("pass", PASS)
        yield made


@pytest.fixture(scope="module")
def opened() -> Iterator[Stack]:
    with served(keys="", slots=0) as made:
        made.deploy("there", PASS)
        yield made


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
        {"Referer": "https://evil.example/page"},
        {"Origin": "https://evil.example"},
    ],
)
def test_a_picture_on_a_foreign_page_changes_nothing(
    opened: Stack, headers: dict[str, str]
) -> None:
    query = {"Action": "DeleteFlow", "Name": "there"}
    answer = opened.client.get("/", params=query, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "ForeignOrigin")
    assert opened.client.get("/v1/flows/there").status_code == 200


def _send(stack: Stack, method: str, path: str, kind: str, body: bytes) -> bytes:
    """The first line of the answer to a body that is sent whatever comes back."""
    host, _, port = stack.api.address.partition(":")
    head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {kind}\r\n"
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        with suppress(OSError):
            connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        with suppress(OSError):
            return connection.recv(1000).partition(b"\r\n")[0]
    return b""


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PATCH", "/v1/flows/a:stream"),
        ("POST", "/approvals/a:stream"),
        ("POST", "/v1/flows/a/executions:stream"),
        ("POST", "/v1/flows/a/b/executions:stream"),
        ("POST", "/"),
    ],
)
def test_a_large_body_of_nobody_is_not_taken_in(stack: Stack, method: str, path: str) -> None:
    api = psutil.Process(stack.api.pid)
    before = api.memory_info().rss
    _send(stack, method, path, FORM, bytes(100 * MIB))
    assert api.memory_info().rss - before < 20 * MIB
    assert stack.client.get("/healthz").status_code == 200


def _half_known() -> str:
    query = signed() | {"Signature": "wrong"}
    return "/?" + urlencode(query)


@pytest.mark.parametrize(
    ("method", "path", "kind", "body"),
    [
        ("POST", "/v1/flows", JSON, b"[" + b"[]," * (5 * MIB) + b"[]]"),
        ("POST", "/", FORM, b"a=" + b"%41" * (5 * MIB)),
        ("POST", _half_known(), FORM, b"a=" + b"%41" * 1_900_000 + bytes(8 * MIB)),
        ("POST", _half_known(), FORM, b"a=" + b"%41" * (5 * MIB)),
        ("POST", "/approvals/x", FORM, b"a=1&" * (4 * MIB)),
    ],
)
def test_one_large_request_keeps_nobody_waiting(
    stack: Stack, method: str, path: str, kind: str, body: bytes
) -> None:
    waits: list[float] = []
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(_send, stack, method, path, kind, body)
        while not sending.done() or len(waits) < 5:
            began = time.monotonic()
            assert stack.client.get("/healthz").status_code == 200
            waits.append(time.monotonic() - began)
    assert max(waits) < STILL_S, max(waits)


def test_a_body_of_very_many_values_is_refused(stack: Stack) -> None:
    content = b'{"input": {"a": [' + b"[]," * 1_000_000 + b"[]]}}"
    headers = {"Content-Type": JSON}
    answer = stack.client.post("/v1/flows/pass/executions", content=content, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "EntityTooLarge")


def test_a_form_of_very_many_escapes_is_refused(stack: Stack) -> None:
    content = b"Input=" + b"%41" * 2_100_000
    headers = {"Content-Type": FORM}
    answer = stack.client.post("/", params=signed(), content=content, headers=headers)
    assert (answer.status_code, answer.json()["Code"]) == (400, "EntityTooLarge")


def test_what_comes_behind_a_body_is_not_kept(stack: Stack) -> None:
    host, _, port = stack.api.address.partition(":")
    api = psutil.Process(stack.api.pid)
    before = api.memory_info().rss
    head = f"POST / HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(head.encode())
        with pytest.raises(OSError):
            for _ in range(1000):
                connection.sendall((b"x: " + b"a" * 1000 + b"\r\n") * 60)
    assert api.memory_info().rss - before < 20 * MIB


def test_an_answer_that_comes_bit_by_bit_needs_a_newer_protocol(opened: Stack) -> None:
    host, _, port = opened.api.address.partition(":")
    for path in ("/v1/flows/there/executions:stream", "/v1/flows/there/executions/x/events"):
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            connection.sendall(f"POST {path} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
            assert b" 426 " in connection.recv(1000).partition(b"\r\n")[0]


def test_nobody_is_believed_to_come_from_elsewhere(stack: Stack) -> None:
    body = {"name": "from_elsewhere", "definition": HEAD + PASS}
    headers = {"X-Forwarded-For": "203.0.113.9"}
    assert stack.client.post("/v1/flows", json=body, headers=headers).status_code == 201
    assert stack.client.get("/v1/audit").json()["entries"][0]["source"] == "127.0.0.1"


def test_a_proxy_that_is_named_is_believed() -> None:
    with served(slots=0, env={"PENSTOCK_API_TRUSTED_PROXIES": "127.0.0.1"}) as proxied:
        body = {"name": "proxied", "definition": HEAD + PASS}
        headers = {"X-Forwarded-For": "203.0.113.9"}
        assert proxied.client.post("/v1/flows", json=body, headers=headers).status_code == 201
        entry = proxied.client.get("/v1/audit").json()["entries"][0]
        assert entry["source"] == "203.0.113.9"


def _waiting(stack: Stack, flow: str, place: Path) -> tuple[str, str]:
    """The path of an execution that waits for a decision, and the token of it."""
    started = stack.start(flow, {"place": str(place)})
    wait_until(place.exists, 20)
    return stack.at(started), place.read_text()


@pytest.mark.parametrize(("flow", "step"), [("asks", "asks"), ("parent", "child")])
def test_a_decision_is_not_passed_by_an_operator(
    stack: Stack, tmp_path: Path, flow: str, step: str
) -> None:
    at, token = _waiting(stack, flow, tmp_path / "token")
    skip = {"step": step, "output": {"approved": True}}
    with stack.as_role("operator") as operator:
        assert operator.post(f"{at}:skip", json=skip).status_code == 403
        body = {"callback_token": token}
        assert operator.post("/v1/flows/pass/executions", json=body).status_code == 403
        query = signed(
            "operator-key", "operator-secret",
            Action="StartExecution", FlowName="pass", CallbackFnFTaskToken=token,
        )  # fmt: skip
        assert operator.get("/", params=query).json()["Code"] == "AccessDenied"
        assert operator.post(f"{at}:stop").status_code == 200
        jump = operator.post(f"{at}:redrive", json={"from_step": "done"})
        assert jump.status_code == 403
    with stack.as_role("approver") as approver:
        again = approver.post(f"{at}:redrive", json={"from_step": "done"})
        assert again.status_code == 200, again.text


def test_what_waits_for_nobody_is_skipped_by_an_operator(stack: Stack) -> None:
    stack.engine.create_flow("waits", HEAD + "- {type: wait, name: w, duration: 600}\n")
    at = stack.at(stack.start("waits"))
    wait_until(lambda: len(stack.client.get(f"{at}/history").json()["events"]) > 1, 20)
    with stack.as_role("operator") as operator:
        assert operator.post(f"{at}:skip", json={"step": "w"}).status_code == 200
