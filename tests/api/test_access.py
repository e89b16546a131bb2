"""Who may do what: keys, roles, signatures, origins, and what is too large."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import psutil
import pytest

from engine.api.signing import signature
from engine.runtime.embedded import EmbeddedRedis
from tests.api.serving import HEAD, KEYS, ApiProcess, Stack, client_of, served
from tests.api.signed import signed
from tests.waiting import wait_until

FLOW = HEAD + "- {type: pass, name: nothing}\n"


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with served(slots=0) as made:
        made.engine.create_flow("there", FLOW)
        yield made


@pytest.fixture(scope="module")
def opened() -> Iterator[Stack]:
    """An API without keys."""
    with served(keys="", slots=0) as made:
        yield made


def _code(stack: Stack, query: dict[str, str]) -> tuple[int, str]:
    with client_of(stack.api, None) as client:
        answer = client.get("/", params=query)
    return answer.status_code, answer.json().get("Code", "")


def test_the_signature_is_the_one_that_is_documented() -> None:
    query = {
        "Timestamp": "2016-02-23T12:46:24Z",
        "Format": "XML",
        "AccessKeyId": "testid",
        "Action": "DescribeRegions",
        "SignatureMethod": "HMAC-SHA1",
        "SignatureNonce": "3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf",
        "Version": "2014-05-26",
        "SignatureVersion": "1.0",
    }
    assert signature("testsecret", "GET", query.items()) == "OLeaidS1JvxuMvnyHOwuJ+uX5qY="


def test_a_signed_request_counts_once(stack: Stack) -> None:
    query = signed()
    assert _code(stack, query) == (200, "")
    assert _code(stack, query) == (400, "SignatureNonceUsed")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (lambda: {"Action": "ListFlows"}, (403, "AccessDenied")),
        (lambda: signed(secret="wrong"), (403, "SignatureNotMatch")),
        (lambda: signed() | {"Limit": "1"}, (403, "SignatureNotMatch")),
        (lambda: signed(key="nobody"), (403, "InvalidAccessKeyID")),
        (lambda: signed(Timestamp="2019-01-01T00:00:00Z"), (403, "RequestTimeTooSkewed")),
        (lambda: signed(Timestamp="yesterday"), (400, "InvalidArgument")),
        (lambda: signed(SignatureMethod="HMAC-MD5"), (400, "InvalidArgument")),
        (lambda: signed(Version="2020-01-01"), (400, "InvalidArgument")),
        (lambda: signed(Action="DescribeRegions"), (400, "ActionNotSupported")),
        (lambda: signed(Action=""), (400, "MissingRequiredParams")),
        (lambda: signed(Limit="0"), (400, "InvalidArgument")),
        (lambda: signed(Limit="9" * 5000), (400, "InvalidArgument")),
        (
            lambda: signed("viewer-key", "viewer-secret", Action="DeleteFlow", Name="there"),
            (403, "AccessDenied"),
        ),
    ],
)
def test_what_is_not_signed_rightly_is_refused(
    stack: Stack, query: Any, expected: tuple[int, str]
) -> None:
    assert _code(stack, query()) == expected


def test_a_refused_request_uses_up_no_nonce(stack: Stack) -> None:
    query = signed()
    assert _code(stack, query | {"Signature": "wrong"}) == (403, "SignatureNotMatch")
    assert _code(stack, query) == (200, "")


NEEDS = [
    ("viewer", "GET", "/v1/flows", None, 200),
    ("viewer", "GET", "/v1/executions", None, 200),
    ("viewer", "GET", "/metrics", None, 200),
    ("operator", "POST", "/v1/flows/there/executions", {}, 201),
    ("operator", "POST", "/v1/flows/there/executions/none:stop", {}, 404),
    ("approver", "POST", "/v1/reports", {"token": "x", "output": {}}, 400),
    ("approver", "POST", "/v1/approvals", {"token": "x"}, 400),
    ("admin", "PATCH", "/v1/flows/there", {"description": "x"}, 200),
    ("admin", "GET", "/v1/audit", None, 200),
]


@pytest.mark.parametrize(("role", "method", "path", "body", "status"), NEEDS)
def test_a_role_may_do_what_is_its_own_and_no_more(
    stack: Stack, role: str, method: str, path: str, body: Any, status: int
) -> None:
    roles = ["viewer", "operator", "approver", "admin"]
    for each in roles:
        with stack.as_role(each) as client:
            answer = client.request(method, path, json=body)
        if roles.index(each) < roles.index(role):
            assert answer.status_code == 403 and answer.json()["code"] == "AccessDenied"
        else:
            assert answer.status_code == status, answer.text


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 401, "Unauthorized"),
        ({"Authorization": "Basic !"}, 401, "Unauthorized"),
        ({"Authorization": "Bearer nobody:nothing"}, 403, "InvalidAccessKeyID"),
        ({"Authorization": "Bearer admin-key:wrong"}, 403, "SignatureNotMatch"),
        ({"Authorization": "Bearer admin-key:"}, 403, "SignatureNotMatch"),
    ],
)
def test_rest_needs_a_key(stack: Stack, headers: dict[str, str], status: int, code: str) -> None:
    with client_of(stack.api, None) as client:
        answer = client.get("/v1/flows", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_key_may_come_as_a_bearer(stack: Stack) -> None:
    with client_of(stack.api, None) as client:
        headers = {"Authorization": "Bearer viewer-key:viewer-secret"}
        assert client.get("/v1/flows", headers=headers).status_code == 200


def test_a_key_that_was_deleted_is_refused_soon(stack: Stack) -> None:
    key = stack.engine.keys.create("viewer")
    with client_of(stack.api, (key.id, key.secret)) as client:
        assert client.get("/v1/flows").status_code == 200
    stack.engine.keys.delete(key.id)

    def refused() -> bool:
        with client_of(stack.api, (key.id, key.secret)) as client:
            return client.get("/v1/flows").status_code == 403

    wait_until(refused, 5)


def test_no_secret_is_ever_written_down(stack: Stack) -> None:
    assert "secret" not in stack.api.log
    with stack.as_role("viewer") as client:
        assert "admin-secret" not in client.get("/openapi.json").text


def test_without_keys_a_loopback_api_is_open_and_says_so(opened: Stack) -> None:
    assert "warning: there are no access keys" in opened.api.log
    assert opened.client.get("/v1/flows").status_code == 200
    assert _code(opened, {"Action": "ListFlows"}) == (200, "")
    assert _code(opened, signed("any", "thing")) == (200, "")


def test_without_keys_the_api_does_not_listen_elsewhere() -> None:
    with EmbeddedRedis() as server:
        api = ApiProcess(server.url, "--host", "0.0.0.0", env={KEYS: ""})
        with pytest.raises(AssertionError, match="no access keys"):
            api.start()
        assert api.wait(10) == 2


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "{own}", "Sec-Fetch-Site": "same-origin"}, 201),
        ({}, 201),
    ],
)
def test_an_open_api_does_not_do_what_a_foreign_page_says(
    opened: Stack, headers: dict[str, str], status: int
) -> None:
    body = {"name": f"f_{uuid.uuid4().hex}", "definition": FLOW}
    headers = {name: text.format(own=opened.api.url) for name, text in headers.items()}
    answer = opened.client.post("/v1/flows", json=body, headers=headers)
    assert answer.status_code == status, answer.text


def test_large_requests_are_refused_before_they_are_read(stack: Stack) -> None:
    answer = stack.client.get("/v1/flows", headers={"X-Large": "x" * 20_000})
    assert (answer.status_code, answer.json()["code"]) == (431, "HeadersTooLarge")
    large = b'{"input": {"text": "' + b"x" * (18 * 1024 * 1024) + b'"}}'
    headers = {"Content-Type": "application/json"}
    for content in (large, _parts(large)):
        answer = stack.client.post("/v1/flows/there/executions", content=content, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (400, "EntityTooLarge")
    assert stack.client.get("/healthz").status_code == 200


def test_a_request_whose_headers_never_end_is_cut_off(stack: Stack) -> None:
    host, _, port = stack.api.address.partition(":")
    before = psutil.Process(stack.api.pid).memory_info().rss
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: ")
        with pytest.raises(OSError):
            for _ in range(1000):
                connection.sendall(b"x" * 65_536)
    assert psutil.Process(stack.api.pid).memory_info().rss - before < 20 * 1024 * 1024
    assert stack.client.get("/healthz").status_code == 200


def test_what_is_no_http_is_refused(stack: Stack) -> None:
    host, _, port = stack.api.address.partition(":")
    for sent in (b"\x16\x03\x01\x02\x00\x01", b"GET /\xff HTTP/1.1\r\n\r\n", b"A" * 70_000):
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            connection.sendall(sent)
            assert connection.recv(100).startswith(b"HTTP/1.1 400")
    assert "Traceback" not in stack.api.log


def _parts(content: bytes) -> Iterator[bytes]:
    for start in range(0, len(content), 1 << 20):
        yield content[start : start + (1 << 20)]


def test_a_caller_that_comes_too_often_is_told_when_to_come_again() -> None:
    env = {"PENSTOCK_API_RATE_PER_S": "2"}
    with served(slots=0, env=env) as limited:
        answers = [limited.client.get("/v1/flows") for _ in range(8)]
        refused = [each for each in answers if each.status_code == 429]
        assert refused and int(refused[0].headers["retry-after"]) >= 1
        assert refused[0].json()["code"] == "ResourceThrottled"
        with limited.as_role("viewer") as other:
            assert other.get("/v1/flows").status_code == 200
        with client_of(limited.api, None) as nobody:
            made_up = [{"Authorization": f"Bearer key-{n}:x"} for n in range(12)]
            codes = [nobody.get("/v1/flows", headers=each).status_code for each in made_up]
        assert codes[0] == 403 and codes[-1] == 429


@pytest.mark.parametrize(
    "path",
    ["/v1/flows/..%2f..%2fetc", "/v1/flows/%00", "/v1/flows/a/executions/..%2fb", "/../etc/passwd"],
)
def test_paths_lead_nowhere_else(stack: Stack, path: str) -> None:
    url = httpx.URL(stack.api.url).copy_with(raw_path=path.encode())
    assert stack.client.get(url).status_code in (400, 404)


def test_flows_of_the_api_reach_only_what_is_allowed() -> None:
    queue = HEAD + "- {type: task, name: q, resourceArn: 'acs:mns:::/queues/jobs/messages'}\n"
    inner = (
        "- type: foreach\n  name: each\n  iterationMapping: {collection: $.i, item: i}\n"
        "  steps: [{type: task, name: q, resourceArn: 'acs:mns:::/queues/other/messages'}]\n"
    )
    foreign = HEAD + "- {type: task, name: c, resourceArn: 'celery:a.b', timeoutSeconds: 5}\n"
    with served(slots=0, env={"PENSTOCK_API_ALLOW_QUEUES": "job*"}) as allowed:
        answer = allowed.client.post("/v1/flows", json={"name": "q", "definition": queue})
        assert answer.status_code == 201
        answer = allowed.client.post("/v1/flows", json={"name": "c", "definition": foreign})
        assert answer.status_code == 403 and "ALLOW_CELERY" in answer.json()["detail"]
        answer = allowed.client.post("/v1/flows", json={"name": "i", "definition": HEAD + inner})
        assert answer.status_code == 403 and "ALLOW_QUEUES" in answer.json()["detail"]
        answer = allowed.client.patch("/v1/flows/q", json={"definition": foreign})
        assert answer.status_code == 403
