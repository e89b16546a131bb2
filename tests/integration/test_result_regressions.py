"""What tasks may come to on a worker, each once handled wrongly."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from redis import Redis

from engine.runtime.embedded import EmbeddedRedis
from engine.runtime.views import Execution
from tasks import task
from tests.driving import Driver
from workers.steps import StepRunner

FLOW = """
version: v1
type: flow
steps:
- type: task
  name: first
  resourceArn: {name}
  outputMappings: [{{target: items, source: $local.items}}, {{target: a, source: $local.items}}]
- type: foreach
  name: each
  iterationMapping: {{collection: $.items, item: it}}
  steps: [{{type: pass, name: p}}]
- {{type: wait, name: w, duration: 0.01}}
- type: task
  name: second
  resourceArn: {name}
  outputMappings: [{{target: b, source: $local.items}}]
outputMappings: [{{target: a, source: $local.a}}, {{target: b, source: $local.b}}]
"""

kept = ["x" * 100] * 100


@task("regressions:grow")
def grow(input: dict[str, Any]) -> dict[str, Any]:
    kept.append("y")
    return {"items": kept}


@task("regressions:tuple")
def two(input: dict[str, Any]) -> dict[str, Any]:
    return {"items": (1, 2)}


@task("regressions:name")
def name(input: dict[str, Any]) -> dict[str, Any]:
    return {"items": ["a\udcff"]}


@task("regressions:cause")
def cause(input: dict[str, Any]) -> dict[str, Any]:
    raise ValueError("a\udcff")


@task("regressions:exit")
def leave(input: dict[str, Any]) -> dict[str, Any]:
    sys.exit(3)


@pytest.fixture
def driver(redis_server: EmbeddedRedis) -> Driver:
    client: Redis = Redis.from_url(redis_server.url, decode_responses=True)
    client.flushall()
    names = [f"regressions:{what}" for what in ("grow", "tuple", "name", "cause", "exit")]
    found = Driver(client, dict.fromkeys(names, grow))
    found.conductor.runner = StepRunner(found.runtime, found.runtime.canvas.app)
    return found


def run(driver: Driver, name: str) -> Execution:
    return driver.run(FLOW.format(name=name))


def test_a_result_that_its_task_changes_later_stays_as_it_was(driver: Driver) -> None:
    output = run(driver, "regressions:grow").output
    assert output is not None
    assert len(output["b"]) == len(output["a"]) + 1


def test_a_tuple_in_a_result_is_a_list(driver: Driver) -> None:
    ended = run(driver, "regressions:tuple")
    assert ended.output == {"a": [1, 2], "b": [1, 2]}, ended.cause


def test_a_result_that_utf8_cannot_write_is_an_invalid_local(driver: Driver) -> None:
    assert run(driver, "regressions:name").error == "FnF.InvalidLocal"


def test_a_cause_that_utf8_cannot_write_is_written_with_escapes(driver: Driver) -> None:
    ended = run(driver, "regressions:cause")
    assert (ended.error, ended.cause) == ("ValueError", "a\\udcff")


def test_a_task_that_exits_fails_and_its_worker_goes_on(driver: Driver) -> None:
    ended = run(driver, "regressions:exit")
    assert (ended.error, ended.cause) == ("SystemExit", "3")
