"""The REST API: flows under their ETags, executions from their start to their end."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.api.serving import HEAD, Stack, served
from tests.stores import life_s
from tests.waiting import wait_until

DOUBLE = "- {type: task, name: twice, resourceArn: api/double}\n"
WAIT = "- {type: wait, name: long, duration: 600}\n"
BREAK = "- {type: task, name: breaks, resourceArn: api/break}\n"
EACH = """
- type: foreach
  name: all
  iterationMapping: {collection: $.items, item: item}
  steps: [{type: wait, name: long, duration: 600}]
"""


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with served() as made:
        made.deploy("double", DOUBLE)
        made.deploy("wait", WAIT)
        made.deploy("break", BREAK)
        made.deploy("each", EACH)
        yield made


def _problem(answer: Any) -> tuple[int, str]:
    body = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert body["status"] == answer.status_code and body["type"].endswith(body["code"])
    return answer.status_code, body["code"]


def test_a_flow_is_deployed_changed_and_taken_away(stack: Stack) -> None:
    definition = HEAD + DOUBLE
    made = stack.client.post("/v1/flows", json={"name": "life", "definition": definition})
    assert made.status_code == 201 and made.headers["location"] == "/v1/flows/life"
    tag = made.headers["etag"]
    same = stack.client.get("/v1/flows/life", headers={"If-None-Match": tag})
    assert same.status_code == 304 and same.content == b""
    change = {"definition": HEAD + WAIT, "description": "waits"}
    changed = stack.client.patch("/v1/flows/life", json=change, headers={"If-Match": tag})
    assert changed.json()["version"] == 2 and changed.headers["etag"] != tag
    late = stack.client.patch("/v1/flows/life", json=change, headers={"If-Match": tag})
    assert _problem(late) == (412, "PreconditionFailed")
    assert stack.client.get("/v1/flows/life").json()["description"] == "waits"
    assert stack.client.delete("/v1/flows/life").status_code == 204
    assert _problem(stack.client.get("/v1/flows/life")) == (404, "FlowNotExists")


def test_of_two_changes_to_what_both_have_seen_one_counts(stack: Stack) -> None:
    stack.deploy("twice", DOUBLE)
    tag = stack.client.get("/v1/flows/twice").headers["etag"]

    def change(text: str) -> int:
        headers = {"If-Match": tag}
        answer = stack.client.patch("/v1/flows/twice", json={"description": text}, headers=headers)
        return answer.status_code

    with ThreadPoolExecutor(8) as pool:
        codes = sorted(pool.map(change, [f"text {number}" for number in range(8)]))
    assert codes[0] == 200 and set(codes[1:]) <= {409, 412}


def test_a_flow_says_how_long_its_executions_are_kept(stack: Stack) -> None:
    body = {"name": "kept", "definition": HEAD + DOUBLE, "retention": {"Succeeded": 3600}}
    assert stack.client.post("/v1/flows", json=body).json()["retention"] == {"Succeeded": 3600}
    wrong = stack.client.patch("/v1/flows/kept", json={"retention": {"Odd": 1}})
    assert _problem(wrong) == (400, "InvalidArgument")
    started = stack.start("kept", {"value": 1})
    stack.engine.wait("kept", started["name"], 20)
    redis = stack.engine.runtime.store.redis
    key = stack.engine.runtime.store.keys.record(f"kept:{started['name']}")
    assert 3000 < life_s(redis, key) <= 3600


def test_all_mistakes_of_a_flow_are_answered_with_their_places(stack: Stack) -> None:
    wrong = HEAD + "- {type: task, name: a, resorceArn: x}\n- {type: wait, name: a}\n"
    answer = stack.client.post("/v1/flows", json={"name": "wrong", "definition": wrong})
    assert _problem(answer) == (400, "FlowInvalid")
    problems = answer.json()["problems"]
    assert len(problems) >= 2 and {each["line"] for each in problems} >= {4, 5}


def test_flows_are_listed_in_pages(stack: Stack) -> None:
    names: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = stack.client.get("/v1/flows", params={"limit": 3, "cursor": cursor}).json()
        names += [flow["name"] for flow in page["flows"]]
        cursor = page["next_cursor"]
    assert names == sorted(names) and {"double", "wait", "break", "each"} <= set(names)


def test_a_start_can_be_waited_for(stack: Stack) -> None:
    answer = stack.client.post(
        "/v1/flows/double/executions",
        json={"input": {"value": 4}},
        headers={"Prefer": "respond-async, wait=20"},
    )
    assert answer.status_code == 200 and answer.headers["preference-applied"] == "wait=20"
    assert answer.json()["status"] == "Succeeded" and answer.json()["output"] == {"value": 8}
    assert stack.client.get(answer.headers["location"]).json() == answer.json()
    began = time.monotonic()
    runs_on = stack.client.post("/v1/flows/wait/executions", json={}, headers={"Prefer": "wait=1"})
    assert runs_on.status_code == 202 and runs_on.json()["status"] == "Running"
    assert 0.9 < time.monotonic() - began < 5


def test_the_same_idempotency_key_starts_once(stack: Stack) -> None:
    def start(key: str, value: int) -> Any:
        body = {"input": {"value": value}}
        headers = {"Idempotency-Key": key, "Prefer": "wait=20"}
        return stack.client.post("/v1/flows/double/executions", json=body, headers=headers)

    first, again, other = start("k1", 1), start("k1", 1), start("k2", 1)
    assert first.json()["name"] == again.json()["name"] != other.json()["name"]
    assert again.status_code == 200 and again.json()["output"] == {"value": 2}
    assert _problem(start("k1", 2)) == (422, "IdempotencyKeyReused")
    with stack.as_role("operator") as somebody:
        headers = {"Idempotency-Key": "k1"}
        theirs = somebody.post(
            "/v1/flows/double/executions", json={"input": {"value": 1}}, headers=headers
        )
    assert theirs.json()["name"] != first.json()["name"]


def test_a_history_is_read_in_pages(stack: Stack) -> None:
    started = stack.start("double", {"value": 1})
    stack.engine.wait("double", started["name"], 20)
    found: list[dict[str, Any]] = []
    after: int | None = 0
    while after is not None:
        page = stack.client.get(
            f"{stack.at(started)}/history", params={"after": after, "limit": 3}
        ).json()
        found += page["events"]
        after = page["next_after"]
    assert [event["event_id"] for event in found] == list(range(1, len(found) + 1))
    assert found[-1]["type"] == "ExecutionSucceeded" and found[-1]["time"].endswith("Z")


def test_an_execution_is_held_and_stopped_by_its_caller(stack: Stack) -> None:
    started = stack.start("wait")
    at = stack.at(started)
    assert stack.client.post(f"{at}:pause", json={"reason": "why"}).json()["status"] == "Paused"
    assert stack.client.post(f"{at}:resume").json()["status"] == "Running"
    stopped = stack.client.post(f"{at}:stop", json={"error": "Enough", "cause": "it is"})
    body = stopped.json()
    assert (body["status"], body["error"], body["cause"]) == ("Stopped", "Enough", "it is")
    assert _problem(stack.client.post(f"{at}:stop")) == (400, "ExecutionAlreadyCompleted")
    events = stack.client.get(f"{at}/history").json()["events"]
    whose = {event["type"]: event["detail"].get("by") for event in events}
    assert whose["ExecutionPaused"] == whose["ExecutionStopped"] == "admin-key"


def test_what_failed_is_redriven_or_skipped(stack: Stack) -> None:
    started = stack.start("break")
    assert stack.engine.wait("break", started["name"], 20).status == "Failed"
    at = stack.at(started)
    assert stack.client.post(f"{at}:redrive").json()["status"] in ("Running", "Failed")
    stack.engine.wait("break", started["name"], 20)
    order = {"step": "breaks", "output": {"mended": True}, "reason": "known"}
    assert stack.client.post(f"{at}:skip", json=order).status_code == 200
    assert stack.engine.wait("break", started["name"], 20).output == {"mended": True}


def test_executions_are_found(stack: Stack) -> None:
    for number in range(3):
        body = {"name": f"found-{number}", "input": {"value": 1}}
        stack.client.post("/v1/flows/double/executions", json=body)
    query: dict[str, Any] = {"flow": "double", "name_prefix": "found-", "limit": 2}
    page = stack.client.get("/v1/executions", params=query).json()
    names = [each["name"] for each in page["executions"]]
    rest = stack.client.get(
        "/v1/executions", params={**query, "cursor": page["next_cursor"]}
    ).json()
    names += [each["name"] for each in rest["executions"]]
    assert names == ["found-2", "found-1", "found-0"] and rest["next_cursor"] is None
    query = {"status": ["Failed", "Stopped"], "started_to": "2020-01-01T00:00:00Z"}
    assert stack.client.get("/v1/executions", params=query).json()["executions"] == []


def test_a_running_foreach_is_tuned(stack: Stack) -> None:
    started = stack.start("each", {"items": [1, 2, 3]})
    at = f"{stack.at(started)}/map-runs/all"
    wait_until(lambda: stack.client.get(at).status_code == 200, 20)
    assert stack.client.get(at).json()["total"] == 3
    tuned = stack.client.patch(at, json={"concurrency": 2, "tolerated_failed_count": 1})
    assert (tuned.json()["concurrency"], tuned.json()["tolerated_failed_count"]) == (2, 1)
    stack.client.post(f"{stack.at(started)}:stop")


def test_versions_and_aliases_lead_starts(stack: Stack) -> None:
    stack.deploy("versioned", DOUBLE)
    made = stack.client.post("/v1/flows/versioned/versions", json={"description": "first"})
    assert made.status_code == 201 and made.json()["version"] == 1
    stack.client.patch("/v1/flows/versioned", json={"definition": HEAD + WAIT})
    alias = {"name": "live", "routing": [{"version": 1}]}
    assert stack.client.post("/v1/flows/versioned/aliases", json=alias).status_code == 201
    answer = stack.client.post(
        "/v1/flows/versioned/executions",
        json={"input": {"value": 2}, "qualifier": "live"},
        headers={"Prefer": "wait=20"},
    ).json()
    assert (answer["output"], answer["version"]) == ({"value": 4}, 1)
    used = stack.client.delete("/v1/flows/versioned/versions/1")
    assert _problem(used) == (409, "FlowVersionInUse")
    assert stack.client.delete("/v1/flows/versioned/aliases/live").status_code == 204
    assert stack.client.delete("/v1/flows/versioned/versions/1").status_code == 204
    missing = stack.client.get("/v1/flows/versioned/versions/1")
    assert _problem(missing) == (404, "FlowVersionNotExists")


def test_what_belongs_to_a_flow_is_listed_in_pages(stack: Stack) -> None:
    stack.deploy("much", DOUBLE)
    at = "/v1/flows/much"
    for number in (1, 2, 3):
        stack.client.post(f"{at}/versions", json={})
        alias = {"name": f"a{number}", "routing": [{"version": 1}]}
        assert stack.client.post(f"{at}/aliases", json=alias).status_code == 201
        schedule = {"name": f"s{number}", "cron": "0 0 4 * * *", "enabled": False}
        assert stack.client.post(f"{at}/schedules", json=schedule).status_code == 201
    assert _names(stack, f"{at}/versions", "versions", "version") == [3, 2, 1]
    assert _names(stack, f"{at}/aliases", "aliases", "name") == ["a1", "a2", "a3"]
    assert _names(stack, "/v1/schedules?flow=much", "schedules", "name") == ["s1", "s2", "s3"]


def _names(stack: Stack, path: str, rows: str, name: str) -> list[Any]:
    """What all pages of two list."""
    found: list[Any] = []
    query: dict[str, Any] = {"limit": 2}
    while True:
        page = stack.client.get(httpx.URL(path).copy_merge_params(query)).json()
        found += [each[name] for each in page[rows]]
        if page["next_cursor"] is None:
            return found
        query["cursor"] = page["next_cursor"]


def test_a_schedule_is_made_triggered_and_paused(stack: Stack) -> None:
    body = {"name": "nightly", "cron": "0 0 4 * * *", "payload": '{"value": 3}'}
    made = stack.client.post("/v1/flows/double/schedules", json=body)
    assert made.status_code == 201 and made.json()["next_time"]
    at = "/v1/flows/double/schedules/nightly"
    (name,) = stack.client.post(f"{at}:trigger").json()["executions"]
    assert stack.client.get(f"/v1/flows/double/executions/{name}").status_code == 200
    paused = stack.client.patch(at, json={"enabled": False}).json()
    assert paused["enabled"] is False and paused["next_time"] is None
    listed = stack.client.get("/v1/schedules", params={"flow": "double"}).json()["schedules"]
    assert [each["name"] for each in listed] == ["nightly"]
    wrong = stack.client.patch(at, json={"cron": "never"})
    assert _problem(wrong) == (400, "InvalidArgument")
    assert stack.client.delete(at).status_code == 204
    assert _problem(stack.client.get(at)) == (404, "ScheduleNotExists")


@pytest.mark.parametrize(
    ("method", "path", "content", "code"),
    [
        ("POST", "/v1/flows", b"{", "InvalidArgument"),
        ("POST", "/v1/flows", b"[" * 100_000, "InvalidArgument"),
        ("POST", "/v1/flows", b"\xff", "InvalidArgument"),
        ("POST", "/v1/flows", b"{}", "MissingRequiredParams"),
        ("POST", "/v1/flows", b'{"name": "x", "definition": "", "more": 1}', "InvalidArgument"),
        ("POST", "/v1/flows", b'{"name": "\\ud800", "definition": "x"}', "InvalidArgument"),
        ("POST", "/v1/flows/double/executions", b'{"input": {"a": NaN}}', "InvalidArgument"),
        ("POST", "/v1/flows/double/executions", b'{"input": {"a": "\\udc00"}}', "InvalidArgument"),
        ("POST", "/v1/flows/double/executions", b'{"input": [1]}', "InvalidArgument"),
        ("POST", "/v1/flows/double/executions", b'{"name": "a/b"}', "InvalidArgument"),
        ("GET", "/v1/executions?limit=0", b"", "InvalidArgument"),
        ("GET", "/v1/executions?cursor=forged", b"", "InvalidArgument"),
        ("GET", "/v1/executions?status=Odd", b"", "InvalidArgument"),
        ("GET", "/v1/executions?started_from=soon", b"", "InvalidArgument"),
    ],
)
def test_what_cannot_be_used_is_a_problem(
    stack: Stack, method: str, path: str, content: bytes, code: str
) -> None:
    headers = {"Content-Type": "application/json"} if content else {}
    answer = stack.client.request(method, path, content=content, headers=headers)
    assert _problem(answer) == (400, code)


def _nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"a": value}
    return value


def test_what_is_nested_too_deeply_is_refused_and_no_defect(stack: Stack) -> None:
    at = "/v1/flows/wait/executions"
    assert stack.client.post(at, json={"input": _nested(200)}).status_code == 201
    for levels in (260, 900):
        answer = stack.client.post(at, json={"input": _nested(levels)})
        assert _problem(answer) == (400, "InvalidArgument")
    name = stack.engine.start_execution("wait", _nested(300)).name
    for path in (f"{at}/{name}", f"{at}/{name}/history"):
        assert _problem(stack.client.get(path)) == (400, "EntityTooLarge")
    with stack.client.stream("GET", f"{at}/{name}/events") as answer:
        assert "event: ExecutionStarted" in answer.iter_lines()
    assert "Traceback" not in stack.api.log


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1e400}',
        f'{{"a": {"9" * 4000}}}',
        f'{{"a": {"9" * 5000}}}',
        '{"\\u0000": "\\u0000"}',
        '{"": -0.0}',
    ],
)
def test_odd_values_are_kept_or_refused(stack: Stack, text: str) -> None:
    content = f'{{"input": {text}}}'
    headers = {"Content-Type": "application/json"}
    made = stack.client.post("/v1/flows/wait/executions", content=content, headers=headers)
    if made.status_code == 201:
        again = stack.client.get(made.headers["location"])
        assert again.json()["input"] == json.loads(text)
    else:
        assert _problem(made) == (400, "InvalidArgument")


def test_paths_and_methods_that_there_are_not_are_problems(stack: Stack) -> None:
    assert _problem(stack.client.get("/v1/nothing")) == (404, "NotFound")
    assert _problem(stack.client.put("/v1/flows")) == (405, "MethodNotAllowed")


def test_a_problems_type_explains_it(stack: Stack) -> None:
    kind = stack.client.get("/v1/flows/none").json()["type"]
    assert "No flow of that name" in stack.client.get(kind).text
    assert stack.client.get("/problems/Odd").status_code == 404


def test_the_api_describes_itself(stack: Stack) -> None:
    document = stack.client.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert operation["summary"] and operation["responses"], path
            assert "HTTPValidationError" not in str(operation)
    assert "/v1/flows/{flow}/executions:stream" in document["paths"]


def test_health_and_metrics_are_told(stack: Stack) -> None:
    assert stack.client.get("/readyz").json() == {"status": "ok"}
    text = stack.client.get("/metrics").text
    assert "# TYPE penstock_api_answer_seconds histogram" in text
    assert 'penstock_api_answers_total{status="2xx"}' in text
