"""Events as they happen, by server-sent events."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import httpx
import pytest

from tests.api.serving import Stack, client_of, served
from tests.waiting import wait_until

WAITS = "- {type: wait, name: little, duration: 0.3}\n- {type: pass, name: after}\n"
LONG = "- {type: wait, name: long, duration: 600}\n"
WITHIN_S = 0.1
ROUNDS = 40


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with served() as made:
        made.deploy("waits", WAITS)
        made.deploy("long", LONG)
        yield made


def _read(answer: httpx.Response) -> Iterator[dict[str, Any]]:
    """The events of an answer, with when each came."""
    event: dict[str, Any] = {}
    for line in answer.iter_lines():
        name, _, value = line.partition(": ")
        if line and not line.startswith(":") and name != "retry":
            event[name] = value
        elif not line and event:
            event["data"] = json.loads(event["data"])
            yield event | {"came": time.time()}
            event = {}


def _follow(stack: Stack, started: dict[str, Any], **headers: str) -> list[dict[str, Any]]:
    with stack.client.stream("GET", f"{stack.at(started)}/events", headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        return list(_read(answer))


def test_events_come_until_the_end(stack: Stack) -> None:
    started = stack.start("waits")
    events = _follow(stack, started)
    assert [event["event"] for event in events][-2:] == ["ExecutionSucceeded", "end"]
    ids = [int(event["id"]) for event in events[:-1]]
    assert ids == list(range(1, len(ids) + 1))
    assert events[-1]["data"] == {"status": "Succeeded"}
    whole = stack.client.get(f"{stack.at(started)}/history").json()["events"]
    assert [event["data"] for event in events[:-1]] == whole


def test_an_event_comes_soon_after_it_has_happened(stack: Stack) -> None:
    name = stack.start("long")["name"]
    lags: list[float] = []
    with stack.client.stream("GET", f"/v1/flows/long/executions/{name}/events") as answer:
        for event in _read(answer):
            # Each is caused by the one before it: who looks from time to time has just looked.
            if event["event"] in ("StepEntered", "ExecutionResumed"):
                stack.engine.pause_execution("long", name)
            elif event["event"] == "ExecutionPaused":
                stack.engine.resume_execution("long", name)
            if event["event"] in ("ExecutionPaused", "ExecutionResumed"):
                lags.append(event["came"] - _moment(event))
                if len(lags) == ROUNDS:
                    stack.engine.stop_execution("long", name)
    assert len(lags) >= ROUNDS
    # What slows a machine down for a while delays some of them; looking only so often, all.
    assert sorted(lags)[ROUNDS // 2] < WITHIN_S, lags


def _moment(event: dict[str, Any]) -> float:
    return datetime.fromisoformat(event["data"]["time"]).timestamp()


def test_who_comes_again_misses_nothing_and_gets_nothing_twice(stack: Stack) -> None:
    started = stack.start("waits")
    whole = _follow(stack, started)
    rest = _follow(stack, started, **{"Last-Event-ID": whole[2]["id"]})
    assert [e["id"] for e in rest[:-1]] == [e["id"] for e in whole[3:-1]]
    last = {"Last-Event-ID": whole[-2]["id"]}
    again = stack.client.get(f"{stack.at(started)}/events", headers=last)
    assert again.status_code == 204


def test_many_follow_at_once(stack: Stack) -> None:
    started = stack.start("long")
    path = f"{stack.at(started)}/events"
    opened = [stack.client.stream("GET", path) for _ in range(30)]
    answers = [each.__enter__() for each in opened]
    readers = [_read(answer) for answer in answers]
    for reader in readers:
        assert next(reader)["event"] == "ExecutionStarted"
    stack.client.post(f"{stack.at(started)}:stop")
    for reader in readers:
        assert [event["event"] for event in reader][-2:] == ["ExecutionStopped", "end"]
    for each in opened:
        each.__exit__(None, None, None)
    wait_until(lambda: "penstock_api_followers 0" in stack.client.get("/metrics").text)


def test_a_follower_that_leaves_is_forgotten(stack: Stack) -> None:
    started = stack.start("long")
    with stack.client.stream("GET", f"{stack.at(started)}/events") as answer:
        reader = _read(answer)
        next(reader)
        assert "penstock_api_followers 1" in stack.client.get("/metrics").text
    wait_until(lambda: "penstock_api_followers 0" in stack.client.get("/metrics").text)
    stack.client.post(f"{stack.at(started)}:stop")


def test_a_key_that_is_deleted_follows_no_more(stack: Stack) -> None:
    started = stack.start("long")
    key = stack.engine.keys.create("viewer")
    path = f"{stack.at(started)}/events"
    with client_of(stack.api, (key.id, key.secret)) as client, client.stream("GET", path) as answer:
        reader = _read(answer)
        next(reader)
        stack.engine.keys.delete(key.id)

        def refused() -> bool:
            with client_of(stack.api, (key.id, key.secret)) as again:
                return again.get("/v1/flows").status_code == 403

        wait_until(refused, 10)
        stack.client.post(f"{stack.at(started)}:stop")
        assert "end" not in [event["event"] for event in reader]


def test_only_so_many_follow_at_once() -> None:
    with served(slots=0, env={"PENSTOCK_API_MAX_FOLLOWERS": "5"}) as few:
        few.deploy("long", LONG)
        path = f"{few.at(few.start('long'))}/events"

        def follow(_: int) -> int:
            with few.client.stream("GET", path) as answer:
                if answer.status_code == 200:
                    all_there.wait(20)
                return answer.status_code

        all_there = threading.Event()
        with ThreadPoolExecutor(20) as pool:
            following = pool.map(follow, range(20))
            wait_until(lambda: "penstock_api_followers 5" in few.client.get("/metrics").text)
            all_there.set()
            assert sorted(following).count(200) >= 5
        assert "penstock_api_followers 6" not in few.client.get("/metrics").text


def test_who_follows_is_not_let_go_while_redis_is_away() -> None:
    with served(slots=0) as away:
        away.deploy("long", LONG)
        started = away.start("long")
        redis = away.engine.runtime.store.redis
        with away.client.stream("GET", f"{away.at(started)}/events") as answer:
            lines = answer.iter_lines()
            assert any(line == "event: ExecutionStarted" for line in lines)
            redis.config_set("maxclients", 1)
            redis.client_kill_filter(_type="normal", skipme=True)
            assert any(line == ": Redis does not answer" for line in lines)
            redis.config_set("maxclients", 1000)
            away.engine.stop_execution("long", started["name"])
            assert any(line == "event: ExecutionStopped" for line in lines)


def test_of_no_execution_there_are_no_events(stack: Stack) -> None:
    answer = stack.client.get("/v1/flows/waits/executions/none/events")
    assert (answer.status_code, answer.json()["code"]) == (404, "ExecutionNotExists")
    started = stack.start("waits")
    wrong = stack.client.get(f"{stack.at(started)}/events", headers={"Last-Event-ID": "x"})
    assert wrong.status_code == 400


def test_a_process_that_ends_lets_its_followers_go() -> None:
    with served(slots=0) as stack:
        stack.deploy("long", LONG)
        started = stack.start("long")
        with stack.client.stream("GET", f"{stack.at(started)}/events") as answer:
            reader = _read(answer)
            next(reader)
            began = time.monotonic()
            stack.api.stop()
            assert time.monotonic() - began < 4
            assert [event["event"] for event in reader if event["event"] == "end"] == []
        assert stack.api.wait(1) == 0
