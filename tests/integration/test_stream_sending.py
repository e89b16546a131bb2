"""The message of a stream step: which queue it goes to, its time limit, and who is missing."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
import redis

from engine.cli.deployment import FlowFile, missing
from engine.config import Settings
from engine.core.checks import load_flow
from engine.core.graph import Node
from engine.runtime.canvas import STREAM, UNSERVED
from engine.runtime.claims import Holder
from engine.runtime.engine import Engine
from engine.runtime.explaining import Assumptions, explain
from engine.runtime.fleet import Served, WorkerInfo
from engine.runtime.pointer import Pointer
from engine.runtime.runtime import Runtime
from engine.runtime.sending import (
    is_served,
    served_names,
    stage_names,
    task_message,
    unserved_task,
)
from tests.waiting import wait_until
from workers.app import Bench, make_worker_app

FLOW = """
version: v1
type: flow
steps:
  - type: stream
    name: copy
    steps:
      - {type: task, name: one, resourceArn: test/one}
      - {type: task, name: two, resourceArn: 'acs:fc:::services/svc/functions/two'}
      - {type: task, name: three, action: 'test:Three'}
"""
LIMITED = FLOW.replace("    steps:", "    timeoutSeconds: 7\n    steps:")
RETRIED = FLOW.replace("    steps:", "    retry: [{errors: [E]}]\n    steps:")
EVERYBODY: dict[str, tuple[str, float | None]] = {
    "test/one": ("gpu", None),
    "two": ("penstock", 40.0),
    "test:Three": ("slow", 30.0),
}


def node_of(text: str) -> Node:
    return load_flow(text)[0].node("copy")


def serving(engine: Engine, **tasks: tuple[str, float | None]) -> Runtime:
    engine.runtime.fleet.announce(WorkerInfo("here@test", 2, tasks))
    return engine.runtime


@pytest.fixture
def engine(redis_url: str) -> Engine:
    return Engine(redis_url, Settings())


def test_it_goes_to_the_queue_of_its_first_stage_with_the_least_limit(engine: Engine) -> None:
    runtime = serving(engine, **EVERYBODY)
    assert task_message(runtime, node_of(FLOW)) == (STREAM, "gpu", 30.0)
    assert task_message(runtime, node_of(LIMITED)) == (STREAM, "gpu", 7.0)


def test_without_a_limit_of_anybody_there_is_none(engine: Engine) -> None:
    runtime = serving(engine, **{name: (queue, None) for name, (queue, _) in EVERYBODY.items()})
    assert task_message(runtime, node_of(FLOW)) == (STREAM, "gpu", None)


@pytest.mark.parametrize(
    ("gone", "display"),
    [("test/one", "test/one"), ("two", "svc/two"), ("test:Three", "test:Three")],
)
def test_one_stage_that_nobody_serves_is_enough_to_wait(
    engine: Engine, gone: str, display: str
) -> None:
    runtime = serving(engine, **{name: at for name, at in EVERYBODY.items() if name != gone})
    node = node_of(LIMITED)
    assert task_message(runtime, node) == (UNSERVED, "penstock", 7.0)
    assert not is_served(runtime, node)
    assert unserved_task(runtime, node) == display


def test_a_deployment_names_the_stage_that_nobody_serves(engine: Engine) -> None:
    serving(engine, **{"test/one": ("gpu", None)})
    file = FlowFile("copy", "copy.yml", FLOW, load_flow(FLOW)[0])
    (problem,) = missing(engine, [file])
    assert (problem.line, problem.code) == (5, "TASK_UNSERVED")
    assert problem.text.startswith("copy: no worker serves 'svc/two'")
    serving(engine, **EVERYBODY)
    assert wait_until(lambda: missing(engine, [file]) == ())


def test_all_stages_served_by_different_workers_will_do(engine: Engine) -> None:
    for number, (name, at) in enumerate(EVERYBODY.items()):
        engine.runtime.fleet.announce(WorkerInfo(f"w{number}@test", 1, {name: at}))
    assert is_served(engine.runtime, node_of(FLOW))


def test_the_names_of_its_stages_are_known(engine: Engine) -> None:
    resource: Any = node_of(FLOW).resource
    assert stage_names(resource) == (("test/one",), ("svc/two", "two"), ("test:Three",))
    assert served_names(resource) == ("test/one",), "whose worker takes the message"


@pytest.mark.parametrize("text", [LIMITED, RETRIED])
def test_what_is_sent_is_what_explain_shows(
    text: str, engine: Engine, redis_url: str, redis_client: redis.Redis
) -> None:
    serving(engine, **EVERYBODY)
    engine.create_flow("streaming", text)
    engine.start_execution("streaming", {})
    bench = Bench(make_worker_app(redis_url, Settings()), redis_url, Settings())
    first = _next(redis_client, "penstock")
    bench.conductor.advance(Pointer(**first["kwargs"]), Holder("here@test", "m-1"))

    sent = _next(redis_client, "gpu")
    headers = sent["headers"]
    assert (headers["task"], headers["shadow"]) == (STREAM, "stream:one+two+three")
    assert sent["kwargs"]["kind"] == "task"
    limit = 7 if text is LIMITED else 30
    assert headers["timelimit"] == [limit + Settings().kill_grace_s, limit]

    served = {name: Served(name, *at) for name, at in EVERYBODY.items()}
    step = explain(load_flow(text)[0], "streaming", Assumptions(tasks=served)).steps[0]
    form = step.messages[0]
    assert (form.form, form.task, form.queue, form.shown) == (
        "task", STREAM, "gpu", "stream:one+two+three",
    )  # fmt: skip
    assert all(name == "timelimit" or headers.get(name) for name in form.headers)
    assert "timelimit" in form.headers
    assert [stage.queue for stage in step.stages] == ["gpu", "penstock", "slow"]
    assert [(edge.writer, edge.reader) for edge in step.edges] == [
        ("source", "one"), ("one", "two"), ("two", "three"), ("three", "sink"),
    ]  # fmt: skip


def _next(client: redis.Redis, queue: str) -> dict[str, Any]:
    text: Any = wait_until(lambda: client.rpop(queue))
    message = json.loads(text)
    _, kwargs, _ = json.loads(base64.b64decode(message["body"]))
    return {"headers": message["headers"], "kwargs": kwargs}
