"""What the console's pages are told of executions: snapshots, attempts, items, decisions."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine.api.console.differences import MOST_ROWS
from engine.runtime.pointer import execution_id
from tests.api import console_flows as flows
from tests.api.serving import Stack, client_of, served
from tests.waiting import wait_until

TASKS = Path(__file__).with_name("console_tasks.py")
MANY = 10_000
QUICK_S = 0.5
SMALL = 16_000


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with served(slots=4, tasks=TASKS, env={"PENSTOCK_STREAM_GATHER_S": "5"}) as made:
        made.engine.create_flow("order", flows.ORDER)
        made.engine.create_flow("labels", flows.LABELS)
        made.engine.create_flow("items", flows.PLAIN_ITEMS)
        made.engine.create_flow("juice", flows.STREAM)
        made.engine.create_flow("polling", flows.POLLING)
        yield made


@pytest.fixture
def sign(tmp_path: Path) -> Iterator[Path]:
    """The file that tasks wait for; in the end it is there, so that none waits on."""
    path = tmp_path / "sign"
    yield path
    path.touch()


def _data(flow: str, name: str) -> str:
    return f"/console/data/flows/{flow}/executions/{name}"


def _get(stack: Stack, path: str, /, **query: Any) -> Any:
    answer = stack.client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def _state(stack: Stack, flow: str, name: str, path: str) -> str:
    steps = _get(stack, f"{_data(flow, name)}/snapshot")["steps"]
    return str(steps.get(path, {}).get("state", "idle"))


def _start(stack: Stack, flow: str, name: str, **input: Any) -> None:
    stack.engine.start_execution(flow, input=input, name=name)


def _decision(stack: Stack, name: str, **change: Any) -> httpx.Response:
    told = {"path": "approval", "attempt": 1, "approve": True} | change
    with stack.as_role("approver") as approver:
        return approver.post(f"{_data('order', name)}/decision", json=told)


def _is_refused(stack: Stack, *auth: str) -> bool:
    with client_of(stack.api, (auth[0], auth[1])) as client:
        return client.get("/v1/flows").status_code == 403


def test_a_snapshot_shows_where_an_execution_stands(stack: Stack, sign: Path) -> None:
    _start(stack, "order", "stands", amount=2, sign=str(sign))
    wait_until(lambda: _state(stack, "order", "stands", "pack") == "running")
    told = _get(stack, f"{_data('order', 'stands')}/snapshot")
    assert told["state"] == "running" and not told["execution"]["ended"] and told["whole"]
    states = {path: step["state"] for path, step in told["steps"].items()}
    assert states == {"price": "succeeded", "large": "succeeded", "pack": "running"}
    assert told["passed"] == [".start>price", "large>pack", "price>large"]
    assert told["steps"]["pack"]["worker"]
    sign.touch()
    stack.engine.wait("order", "stands", 20)
    ended = _get(stack, f"{_data('order', 'stands')}/snapshot")
    assert ended["state"] == "succeeded" and "delivered>.end" in ended["passed"]
    assert ended["steps"]["send/branches/0/ship"]["frame"] == "send.0"
    assert {bar["path"] for bar in ended["bars"]} == set(ended["steps"])


def test_a_failure_is_told_with_its_step_and_cause(stack: Stack) -> None:
    _start(stack, "order", "fails", amount=2)
    stack.engine.wait("order", "fails", 20)
    told = _get(stack, f"{_data('order', 'fails')}/snapshot")
    ship = told["steps"]["send/branches/0/ship"]
    assert told["state"] == "failed" == ship["state"] == told["steps"]["send"]["state"]
    assert ship["error"] == "KeyError" and "sign" in ship["cause"]
    assert not any(way.endswith(".end") for way in told["passed"])


def test_a_step_is_told_attempt_by_attempt(stack: Stack, sign: Path) -> None:
    sign.touch()
    _start(stack, "order", "attempts", amount=2, sign=str(sign))
    stack.engine.wait("order", "attempts", 20)
    [visit] = _get(stack, f"{_data('order', 'attempts')}/visits", path="pack")
    [attempt] = visit["attempts"]
    assert attempt["number"] == 1 and attempt["ended"] >= attempt["started"]
    assert json.loads(attempt["output"]["text"]) == {"parcel": "P-7"}
    assert json.loads(visit["input"]["text"])["amount"] == 2
    payloads = _get(stack, f"{_data('order', 'attempts')}/payloads")
    assert json.loads(payloads["output"]["text"])["sent"] == ["T-1"]


def test_a_long_payload_is_cut_and_says_so(stack: Stack) -> None:
    _start(stack, "items", "long", numbers=[1], text="x" * 100_000)
    wait_until(lambda: _state(stack, "items", "long", "items") == "succeeded")
    visits = _get(stack, f"{_data('items', 'long')}/visits", path="items")
    given = visits[0]["input"]
    assert given["letters"] > 100_000 > len(given["text"])
    stack.engine.stop_execution("items", "long")


def test_a_caught_failure_shows_the_way_it_took(stack: Stack) -> None:
    _start(stack, "order", "refused", amount=100)
    wait_until(lambda: _state(stack, "order", "refused", "approval") == "waiting")
    assert _decision(stack, "refused", approve=False, cause="too dear").status_code == 204
    ended = stack.engine.wait("order", "refused", 20)
    assert (ended.error, ended.cause) == ("OrderRefused", "somebody said no")
    told = _get(stack, f"{_data('order', 'refused')}/snapshot")
    assert told["steps"]["approval"]["state"] == "caught"
    assert told["steps"]["approval"]["cause"] == "too dear"
    assert "approval!refused" in told["passed"] and "approval>pack" not in told["passed"]


def test_an_approval_is_given_once_and_shows_no_token(stack: Stack, sign: Path) -> None:
    sign.touch()
    _start(stack, "order", "approved", amount=100, sign=str(sign))
    wait_until(lambda: _state(stack, "order", "approved", "approval") == "waiting")
    identity = execution_id("order", "approved")
    frame = stack.engine.runtime.store.frame(identity, "")
    assert frame is not None
    token = stack.engine.runtime.tokens.make("order", "approved", frame)
    at = _data("order", "approved")
    answers = [f"{at}/snapshot", f"{at}/visits?path=approval", f"{at}/payloads"]
    assert all(token not in stack.client.get(path).text for path in answers)
    assert _get(stack, answers[0])["steps"]["approval"]["callback"] is True
    for wrong in ({"attempt": 2}, {"path": "pack"}, {"frame": "send.0"}):
        assert _decision(stack, "approved", **wrong).status_code == 409
    assert _decision(stack, "approved", output={"approved": True, "by": "me"}).status_code == 204
    assert _decision(stack, "approved").status_code == 409
    entry = stack.engine.audit.read(limit=1)[0]
    assert (entry.action, entry.by) == ("DecideTask", "approver-key")
    assert entry.subject == "order/approved" and entry.detail["step"] == "approval"
    ended = stack.engine.wait("order", "approved", 20)
    assert ended.output is not None and ended.output["approved"] is True


def test_a_task_that_nobody_must_decide_cannot_be_decided(stack: Stack, sign: Path) -> None:
    _start(stack, "order", "undecided", amount=2, sign=str(sign))
    wait_until(lambda: _state(stack, "order", "undecided", "pack") == "running")
    refused = _decision(stack, "undecided", path="pack")
    assert refused.status_code == 409 and refused.json()["code"] == "TaskInvalidState"
    sign.touch()
    stack.engine.wait("order", "undecided", 20)


def test_a_foreach_is_counted_and_its_items_are_paged(stack: Stack, sign: Path) -> None:
    _start(
        stack, "labels", "thirty", numbers=list(range(30)), bad=[3, 17], sign=str(sign), holds_at=20
    )
    at = _data("labels", "thirty")

    def counters() -> dict[str, int]:
        found = _get(stack, f"{at}/snapshot")["steps"].get("labels", {}).get("items", {})
        return dict(found)

    wait_until(lambda: counters().get("running") == 4 and counters()["succeeded"] == 18, 20)
    assert counters() == {"total": 30, "succeeded": 18, "failed": 2, "running": 4}
    first = _get(stack, f"{at}/items", path="labels", limit=10)
    assert first["total"] == 30 and first["next"] == 10
    assert [item["index"] for item in first["items"]] == list(range(10))
    assert first["items"][3]["state"] == "failed" and first["items"][3]["error"] == "Smudged"
    assert first["items"][4]["state"] == "succeeded"
    rest = _get(stack, f"{at}/items", path="labels", first=20, limit=10)
    assert rest["next"] is None
    states = [item["state"] for item in rest["items"]]
    assert set(states) == {"running", "pending"} and states[0] == "running"
    assert states[-2:] == ["pending"] * 2
    wrong = _get(stack, f"{at}/items", path="labels", failed=True)["items"]
    assert [item["index"] for item in wrong if item["state"] == "failed"] == [3, 17]
    sign.touch()
    stack.engine.wait("labels", "thirty", 30)
    assert counters() == {"total": 30, "succeeded": 28, "failed": 2, "running": 0}
    tolerated = _get(stack, f"{at}/items", path="labels", failed=True)
    assert [(item["index"], item["error"]) for item in tolerated["items"]] == [
        (3, "Smudged"),
        (17, "Smudged"),
    ]
    assert tolerated["next"] is None
    inner = _get(stack, f"{at}/snapshot", frame="labels.3")
    assert inner["state"] == "failed" and inner["steps"]["labels/steps/label"]["state"] == "failed"
    assert _get(stack, f"{at}/snapshot", frame="labels.4")["state"] == "succeeded"
    picture = _get(stack, f"{at}/picture", frame="labels.4")
    assert "labels/steps/label" in {shape["path"] for shape in picture["shapes"]}


def test_frames_in_frames_have_pictures_of_their_own(stack: Stack) -> None:
    _start(stack, "polling", "nested", areas=[[1, 2], [3]], amount=1)
    stack.engine.wait("polling", "nested", 20)
    at = _data("polling", "nested")
    inner = _get(stack, f"{at}/snapshot", frame="areas.1")
    assert inner["state"] == "succeeded" and inner["passed"] == [
        ".start>areas/steps/both",
        "areas/steps/both>.end",
    ]
    parts = "areas/steps/both/branches/0/parts"
    assert inner["steps"][parts]["items"]["total"] == 1
    page = _get(stack, f"{at}/items", path=parts, frame="areas.1")
    assert [item["frame"] for item in page["items"]] == ["areas.1/both.0/parts.0"]


def test_ten_thousand_items_neither_swell_nor_slow_the_page(stack: Stack) -> None:
    _start(stack, "items", "many", numbers=list(range(MANY)))
    wait_until(lambda: _state(stack, "items", "many", "rest") == "running", 60, 0.1)
    at = _data("items", "many")
    for asked in (
        "snapshot",
        "picture",
        "items?path=items&first=0",
        "items?path=items&first=7321",
        "snapshot?frame=items.7321",
    ):
        times: list[float] = []
        for _ in range(3):
            began = time.perf_counter()
            answer = stack.client.get(f"{at}/{asked}")
            times.append(time.perf_counter() - began)
        took_s = min(times)  # others may be at work on this machine
        assert answer.status_code == 200, answer.text
        assert len(answer.content) < SMALL and took_s < QUICK_S, (asked, took_s)
    page = _get(stack, f"{at}/items", path="items", first=7321, limit=25)
    assert {item["state"] for item in page["items"]} == {"succeeded"}
    steps = _get(stack, f"{at}/snapshot")["steps"]
    assert steps["items"]["items"] == {
        "total": MANY,
        "succeeded": MANY,
        "failed": 0,
        "running": 0,
    }
    stack.engine.stop_execution("items", "many")


def test_snapshots_follow_an_execution_to_its_end(stack: Stack, sign: Path) -> None:
    _start(stack, "order", "followed", amount=2, sign=str(sign))
    wait_until(lambda: _state(stack, "order", "followed", "pack") == "running")
    kinds, states = [], []
    with stack.client.stream("GET", f"{_data('order', 'followed')}/live") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        for line in answer.iter_lines():
            if line.startswith("event: "):
                kinds.append(line.removeprefix("event: "))
            elif line.startswith("data: ") and kinds[-1] == "snapshot":
                states.append(json.loads(line.removeprefix("data: "))["state"])
                sign.touch()  # what is seen makes it go on
    assert states[0] == "running" and states[-1] == "succeeded"
    assert kinds[-1] == "end" and kinds.count("end") == 1


def test_the_edges_of_a_stream_move_while_it_runs_and_stay_after_it(
    stack: Stack, sign: Path
) -> None:
    _start(stack, "juice", "one", sign=str(sign))
    at = f"{_data('juice', 'one')}/snapshot"

    def carried() -> dict[tuple[str, str], int]:
        step = _get(stack, at)["steps"].get("juice", {})
        return {(edge["from"], edge["to"]): edge["chunks"] for edge in step.get("edges", ())}

    # The half that was poured is seen while the stream is still open.
    wait_until(lambda: carried().get(("pour", "sieve")) == 10, 20)
    wait_until(lambda: carried().get(("sieve", "fill")) == 10, 20)
    assert _get(stack, at)["streaming"] is True
    sign.touch()
    stack.engine.wait("juice", "one", 30)
    assert carried()[("pour", "sieve")] == carried()[("sieve", "fill")] == 20
    edges = _get(stack, at)["steps"]["juice"]["edges"]
    assert [edge["bytes"] for edge in edges if edge["to"] == "fill"] == [200_000]
    assert all("blocked_s" in edge for edge in edges)


def test_a_key_that_is_deleted_sees_no_more_snapshots(stack: Stack, sign: Path) -> None:
    _start(stack, "order", "watched", amount=2, sign=str(sign))
    wait_until(lambda: _state(stack, "order", "watched", "pack") == "running")
    key = stack.engine.keys.create("viewer")
    path = f"{_data('order', 'watched')}/live"
    with client_of(stack.api, (key.id, key.secret)) as client, client.stream("GET", path) as answer:
        lines = answer.iter_lines()
        assert any(line == "event: snapshot" for line in lines)
        stack.engine.keys.delete(key.id)
        wait_until(lambda: _is_refused(stack, key.id, key.secret), 10)
        sign.touch()
        assert not [line for line in lines if line.startswith("event: ")]
    stack.engine.wait("order", "watched", 20)


def test_who_watches_is_not_let_go_while_redis_is_away(sign: Path) -> None:
    with served(tasks=TASKS) as away:
        away.engine.create_flow("order", flows.ORDER)
        _start(away, "order", "stays", amount=2, sign=str(sign))
        wait_until(lambda: _state(away, "order", "stays", "pack") == "running")
        redis = away.engine.runtime.store.redis
        with away.client.stream("GET", f"{_data('order', 'stays')}/live") as answer:
            lines = answer.iter_lines()
            assert any(line == "event: snapshot" for line in lines)
            redis.config_set("maxclients", 1)
            redis.client_kill_filter(_type="normal", skipme=True)
            assert any(line == ": Redis does not answer" for line in lines)
            redis.config_set("maxclients", 1000)
            sign.touch()
            assert any(line == "event: end" for line in lines)


def test_two_versions_are_compared_line_by_line(stack: Stack) -> None:
    stack.engine.create_flow("changes", flows.ORDER)
    stack.engine.versions.publish("changes", "first")
    stack.engine.update_flow("changes", flows.ORDER.replace("> 1000", "> 500"))
    path = "/console/data/flows/changes/differences"
    rows = _get(stack, path, old="1", new="now")
    changed = [(row["kind"], row["text"].strip()) for row in rows if row["kind"] != "same"]
    assert [each for each in changed if each[0] != "gap"] == [
        ("removed", "- condition: $.total > 1000"),
        ("added", "- condition: $.total > 500"),
    ]
    assert _get(stack, path, old="1", new="1") == []


def test_long_texts_are_compared_as_soon_as_short_ones(stack: Stack) -> None:
    stack.engine.create_flow("long", flows.ORDER + "# a\n" * 15_000)
    stack.engine.versions.publish("long", "first")
    stack.engine.update_flow("long", "# a\n" * 7500 + flows.ORDER + "# a\n# b\n" * 3700)
    since = time.monotonic()
    rows = _get(stack, "/console/data/flows/long/differences", old="1", new="now")
    assert time.monotonic() - since < 5  # of two such texts the exact answer takes minutes
    assert len(rows) == MOST_ROWS + 1 and "more" in rows[-1]["text"]
