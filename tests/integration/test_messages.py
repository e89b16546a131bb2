"""The messages of real executions: what the broker holds is what `explain` lists."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import redis

from engine.config import Settings
from engine.core.checks import load_flow
from engine.runtime.canvas import STATE_HEADER
from engine.runtime.claims import Holder
from engine.runtime.documents import STATE_VERSION
from engine.runtime.engine import Engine
from engine.runtime.explaining import (
    Assumptions,
    Explanation,
    MessageForm,
    StepForm,
    explain,
)
from engine.runtime.fleet import Served, WorkerInfo
from engine.runtime.pointer import Pointer
from engine.runtime.sweeping import Sweeper
from tasks import TaskError, registry, task
from tests.waiting import wait_until
from workers.app import Bench, make_worker_app

OPTIONAL = ("root_id", "parent_id", "eta", "retries", "group", "group_index", "shadow", "expires")
HERE = "here@test"
QUEUES = ("penstock", "slow")

TASK = """
  - {type: task, name: greet, resourceArn: test/hello}
  - {type: task, name: again, resourceArn: test/hello, inputMappings: []}
"""
RETRY = """
  - type: task
    name: flaky
    resourceArn: test/flaky
    retry: [{errors: [Flaky], intervalSeconds: 0.1, maxAttempts: 3}]
"""
LIMITED = """
  - type: task
    name: flaky
    resourceArn: test/flaky
    timeoutSeconds: 20
    retry: [{errors: [Flaky], intervalSeconds: 0.1, maxAttempts: 3}]
  - {type: task, name: own_limit, resourceArn: test/limited}
  - type: task
    name: call
    resourceArn: acs:fnf:::flow/child
    serviceParams: {Input: {seconds: 0.1}}
    pattern: sync
    timeoutSeconds: 20
"""
WAIT = """
  - {type: wait, name: nap, duration: 0.1}
  - {type: wait, name: later, duration: $.seconds}
"""
PARALLEL = """
  - type: parallel
    name: both
    branches:
      - steps: [{type: task, name: left, resourceArn: test/hello}]
      - steps: [{type: wait, name: right, duration: 0.1}]
"""
FOREACH = """
  - type: foreach
    name: each
    iterationMapping: {collection: $.items, item: item}
    steps:
      - {type: task, name: first, resourceArn: test/slow}
      - {type: task, name: second, resourceArn: test/hello}
"""
FOREACH_OF_WAITS = """
  - type: foreach
    name: each
    iterationMapping: {collection: $.items, item: item}
    steps: [{type: wait, name: rest, duration: 0.05}]
"""
SUB_FLOW = """
  - type: task
    name: call
    resourceArn: acs:fnf:::flow/child
    serviceParams: {Input: {seconds: 0.1}}
    pattern: sync
"""
ONLY_A_PASS = "  - {type: pass, name: only}\n"


@dataclass(frozen=True, slots=True)
class Captured:
    """A message as it lay in a queue of the broker."""

    queue: str
    headers: dict[str, Any]
    kwargs: dict[str, Any]

    @property
    def seen(self) -> tuple[str, str, str, tuple[str, ...]]:
        """The step, the task, the queue, and the headers that are set."""
        names = [name for name in OPTIONAL if self.headers[name]]
        names += [name for name in ("penstock_retry", STATE_HEADER) if name in self.headers]
        names += ["timelimit"] if any(self.headers["timelimit"]) else []
        return self.kwargs["step"], self.headers["task"], self.queue, tuple(sorted(names))


@pytest.fixture(scope="module", autouse=True)
def _registered() -> None:
    """Tasks of this module, in this process: it is its own worker."""

    @task("test/hello")
    def hello(input: dict[str, Any]) -> dict[str, Any]:
        return {"hello": "you"}

    @task("test/flaky")
    def flaky(input: dict[str, Any], ctx: Any) -> dict[str, Any]:
        if ctx.attempt < 3:
            raise TaskError("Flaky", "not yet")
        return {}

    @task("test/limited", timeout_s=30)
    def limited(input: dict[str, Any]) -> dict[str, Any]:
        return {}

    @task("test/slow", queue="slow")
    def slow(input: dict[str, Any]) -> dict[str, Any]:
        return {}


@dataclass(frozen=True, slots=True)
class Stage:
    """An engine, and a worker that takes one message after the other out of the broker's hands."""

    engine: Engine
    bench: Bench
    sweeper: Sweeper
    client: redis.Redis

    def messages_of(self, flow: str, input: dict[str, Any]) -> list[Captured]:
        """Runs an execution to its end; every message that was in a queue on the way."""
        run = self.engine.start_execution(flow, input)
        captured: list[Captured] = []

        def has_ended() -> bool:
            self.sweeper.sweep()
            while (message := self.next()) is not None:
                captured.append(message)
                self.work(message)
            return run.describe().status == "Succeeded"

        wait_until(has_ended)
        return captured

    def work(self, message: Captured) -> None:
        at = Pointer(**message.kwargs)
        holder = Holder(HERE, message.headers["id"])
        if at.kind == "lane":
            self.bench.lanes.run(at, holder)
        else:
            self.bench.conductor.advance(at, holder)

    def next(self) -> Captured | None:
        for queue in QUEUES:
            text: Any = self.client.rpop(queue)
            if text is not None:
                message = json.loads(text)
                _, kwargs, _ = json.loads(base64.b64decode(message["body"]))
                return Captured(queue, message["headers"], kwargs)
        return None


@pytest.fixture
def stage(redis_url: str, redis_client: redis.Redis) -> Stage:
    return _stage(redis_url, redis_client, Settings())


def _stage(redis_url: str, client: redis.Redis, settings: Settings) -> Stage:
    engine = Engine(redis_url, settings)
    served = {name: (one.queue or "penstock", one.timeout_s) for name, one in _tasks().items()}
    engine.runtime.fleet.announce(WorkerInfo(HERE, 2, served))
    bench = Bench(make_worker_app(redis_url, settings), redis_url, settings)
    return Stage(engine, bench, Sweeper(bench.runtime), client)


def _tasks() -> dict[str, registry.RegisteredTask]:
    return {name: one for name, one in registry.tasks().items() if name.startswith("test/")}


def _explained(text: str, flow: str, horizon_s: float = 60.0) -> Explanation:
    tasks = {
        name: Served(name, one.queue or "penstock", one.timeout_s)
        for name, one in _tasks().items()
    }
    given = Assumptions(timer_horizon_s=horizon_s, tasks=tasks)
    return explain(load_flow(text)[0], flow, given)


def _forms(explanation: Explanation) -> Iterator[tuple[str, MessageForm]]:
    yield "", explanation.start
    yield from _of_steps(explanation.steps)


def _of_steps(steps: tuple[StepForm, ...]) -> Iterator[tuple[str, MessageForm]]:
    for step in steps:
        yield from ((step.name, message) for message in step.messages)
        for inner in step.series.values():
            yield from _of_steps(inner)


def _listed(explanation: Explanation) -> set[tuple[str, str, str, tuple[str, ...]]]:
    return {
        (step, form.task, form.queue, tuple(sorted(form.headers)))
        for step, form in _forms(explanation)
    }


FLOWS = {
    "tasks": (TASK, {"flow", "task"}),
    "retries": (RETRY, {"flow", "task", "retry"}),
    "limits": (LIMITED, {"flow", "task", "retry", "resume"}),
    "waits": (WAIT, {"flow", "wait"}),
    "branches": (PARALLEL, {"flow", "lane", "task", "wait", "join"}),
    "items": (FOREACH, {"flow", "lane", "task", "join"}),
    "waiting_items": (FOREACH_OF_WAITS, {"flow", "lane", "wait", "join"}),
    "parent": (SUB_FLOW, {"flow", "task", "resume"}),
    "passes": (ONLY_A_PASS, {"flow"}),
}


@pytest.mark.parametrize("flow", FLOWS)
def test_what_the_broker_holds_is_what_explain_lists(flow: str, stage: Stage) -> None:
    steps, forms = FLOWS[flow]
    text = f"version: v1\ntype: flow\nsteps:\n{steps}"
    child = f"version: v1\ntype: flow\nsteps:\n{WAIT}"
    stage.engine.create_flow("child", child)
    stage.engine.create_flow(flow, text)
    captured = stage.messages_of(flow, {"items": [1, 2, 3], "seconds": 0.05})
    own = {message.seen for message in captured if message.kwargs["flow"] == flow}
    explanation = _explained(text, flow)
    assert own - _listed(explanation) == set()
    seen = {form.form for step, form in _forms(explanation) if _key(step, form) in own}
    assert seen == forms
    of_child = {message.seen for message in captured if message.kwargs["flow"] == "child"}
    assert of_child - _listed(_explained(child, "child")) == set()


def _key(step: str, form: MessageForm) -> tuple[str, str, str, tuple[str, ...]]:
    return step, form.task, form.queue, tuple(sorted(form.headers))


@pytest.mark.parametrize("steps", [WAIT, RETRY])
def test_what_lies_beyond_the_horizon_is_sent_when_it_is_due(
    steps: str, redis_url: str, redis_client: redis.Redis
) -> None:
    stage = _stage(redis_url, redis_client, Settings(timer_horizon_s=0.01))
    text = f"version: v1\ntype: flow\nsteps:\n{steps}"
    stage.engine.create_flow("beyond", text)
    captured = stage.messages_of("beyond", {"seconds": 0.05})
    explanation = _explained(text, "beyond", horizon_s=0.01)
    assert {message.seen for message in captured} - _listed(explanation) == set()
    assert all(message.headers["eta"] is None for message in captured)
    assert len(captured) == 3 + (steps is RETRY)


def test_all_messages_of_an_execution_have_its_id_as_root_and_its_version(stage: Stage) -> None:
    stage.engine.create_flow("rooted", f"version: v1\ntype: flow\nsteps:\n{FOREACH}")
    captured = stage.messages_of("rooted", {"items": [1, 2]})
    identity = captured[0].headers["id"]
    assert identity == f"rooted:{captured[0].kwargs['execution']}"
    assert {message.headers["root_id"] for message in captured} == {identity}
    assert {message.headers[STATE_HEADER] for message in captured} == {STATE_VERSION}
    ids = {message.headers["id"] for message in captured}
    assert {message.headers["parent_id"] for message in captured} - {None} <= ids


@pytest.mark.parametrize("horizon_s", [60.0, 0.01])
def test_the_message_of_a_retry_tells_the_policy_that_led_to_it(
    horizon_s: float, redis_url: str, redis_client: redis.Redis
) -> None:
    stage = _stage(redis_url, redis_client, Settings(timer_horizon_s=horizon_s))
    stage.engine.create_flow("retried", f"version: v1\ntype: flow\nsteps:\n{RETRY}")
    captured = stage.messages_of("retried", {})
    policies = [message.headers.get("penstock_retry") for message in captured]
    assert policies == [None, None] + [
        [{"errors": ["Flaky"], "used": used, "max_attempts": 3}] for used in (1, 2)
    ]


def test_a_message_that_is_sent_again_is_as_the_lost_one_was(stage: Stage) -> None:
    stage.engine.create_flow("lossy", f"version: v1\ntype: flow\nsteps:\n{PARALLEL}")
    run = stage.engine.start_execution("lossy", {})
    keys, found = stage.bench.runtime.store.keys, dict[str, list[dict[str, Any]]]()

    def lose_each_once() -> bool:
        stage.sweeper.sweep()
        for message in iter(stage.next, None):
            copies = found.setdefault(message.kwargs["kind"], [])
            copies.append(message.headers)
            if len(copies) > 1 or message.kwargs["kind"] == "lane":
                stage.work(message)
        unclaimed: Any = stage.client.zrange(keys.dispatch, 0, -1)
        for entry in unclaimed:
            stage.client.zadd(keys.dispatch, {entry: 1}, xx=True)
        return run.describe().status == "Succeeded"

    wait_until(lose_each_once)
    assert set(found) == {"begin", "lane", "task", "wait", "join"}
    for lost, sent, *_ in found.values():
        kept = [key for key in OPTIONAL if key not in ("parent_id", "eta")]
        assert [lost[key] for key in kept] == [sent[key] for key in kept]


def test_the_message_of_a_task_with_a_limit_tells_it_to_celery(stage: Stage) -> None:
    child = f"version: v1\ntype: flow\nsteps:\n{WAIT}"
    stage.engine.create_flow("child", child)
    stage.engine.create_flow("limited", f"version: v1\ntype: flow\nsteps:\n{LIMITED}")
    captured = stage.messages_of("limited", {})
    grace_s = Settings().kill_grace_s
    told = {one.kwargs["step"]: set[tuple[float | None, ...]]() for one in captured}
    for one in captured:
        told[one.kwargs["step"]].add(tuple(one.headers["timelimit"]))
    assert told["flaky"] == {(20 + grace_s, 20)}
    assert told["own_limit"] == {(30 + grace_s, 30)}
    assert told["call"] == {(None, None)}


def test_a_message_carries_no_data_of_the_user(stage: Stage) -> None:
    stage.engine.create_flow("secretive", f"version: v1\ntype: flow\nsteps:\n{TASK}{PARALLEL}")
    captured = stage.messages_of("secretive", {"password": "hunter2"})
    assert "hunter2" not in repr(captured)
    assert "you" not in repr(captured)
