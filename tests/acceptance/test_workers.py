"""Workers of every kind: two that share the work, that have different tasks, and each pool."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.core.events import EventType
from engine.runtime.documents import STATE_VERSION
from engine.runtime.engine import Engine
from tests.acceptance.running import (
    END_WITHIN_S,
    fresh_engine,
    history,
    nodes_of,
    of_type,
    run,
    start,
)
from tests.processes import WorkerProcess
from tests.waiting import wait_until

HERE = Path(__file__).parent
WORKING = HERE / "working_tasks.py"
ELSEWHERE = HERE / "elsewhere_tasks.py"
ONE = ["-c", "1"]
QUICK = {"PENSTOCK_RESOURCE_GRACE_S": "1.5"}


@pytest.fixture
def stack() -> Iterator[tuple[Engine, str]]:
    with fresh_engine() as pair:
        yield pair


def test_two_workers_share_the_items_of_one_execution(
    stack: tuple[Engine, str], tmp_path: Path
) -> None:
    engine, url = stack
    steps = """
- type: foreach
  name: each
  iterationMapping: {collection: $.items, item: item}
  steps:
    - type: task
      name: square
      resourceArn: meet
      outputMappings: [{target: square, source: $local.square}]
  outputMappings: [{target: squares, source: "$local[*].square"}]
"""
    input = {"place": str(tmp_path), "workers": 2, "items": list(range(40))}
    with WorkerProcess(url, [WORKING], ONE), WorkerProcess(url, [WORKING], ONE):
        ended = run(engine, "shared", steps, input)
        announced = {worker.node for worker in engine.runtime.fleet.workers(fresh=True)}
    assert ended.output == {"squares": [item**2 for item in range(40)]}, ended.cause
    assert nodes_of(history(engine, ended)) == announced
    assert len(announced) == 2


def _in_turn(count: int) -> str:
    """Steps whose tasks are on two workers by turns."""
    names = ("tell", "elsewhere")
    return "".join(
        f"""
- type: task
  name: s{number}
  resourceArn: {names[number % 2]}
  outputMappings: [{{target: s{number}, source: $local.parent}}]
"""
        for number in range(count)
    )


def test_a_message_of_an_unknown_task_goes_to_the_worker_that_has_it(
    stack: tuple[Engine, str],
) -> None:
    engine, url = stack
    with WorkerProcess(url, [WORKING], ONE) as a, WorkerProcess(url, [ELSEWHERE], ONE) as b:
        ended = run(engine, "in_turn", _in_turn(6))
        assert ended.status == "Succeeded", (ended.error, ended.cause)
        pids = [(ended.output or {})[f"s{number}"] for number in range(6)]
        assert pids == [a.pid, b.pid] * 3


def test_a_task_with_a_queue_runs_on_a_worker_of_that_queue(stack: tuple[Engine, str]) -> None:
    engine, url = stack
    steps = """
- {type: task, name: first, resourceArn: tell}
- type: task
  name: calculate
  resourceArn: gpu
  outputMappings: [{target: "on", source: $local.on}]
- {type: task, name: last, resourceArn: tell}
"""
    general = WorkerProcess(url, [WORKING], [*ONE, "-Q", "penstock"])
    special = WorkerProcess(url, [WORKING], [*ONE, "-Q", "gpu"], {"HARDWARE": "gpu0"})
    with general, special:
        ended = run(engine, "with_gpu", steps)
        assert (ended.output or {}).get("on") == "gpu0", ended.cause
        assert len(nodes_of(history(engine, ended))) == 2


def test_a_task_whose_queue_nobody_consumes_is_not_found(stack: tuple[Engine, str]) -> None:
    engine, url = stack
    with WorkerProcess(url, [WORKING], [*ONE, "-Q", "penstock"], QUICK):
        ended = run(engine, "without_gpu", "- {type: task, name: calculate, resourceArn: gpu}\n")
    assert (ended.status, ended.error) == ("Failed", "FC.FunctionNotFound")
    assert "gpu" in str(ended.cause)


def test_a_task_that_nobody_has_is_not_found_after_the_grace(stack: tuple[Engine, str]) -> None:
    engine, url = stack
    with WorkerProcess(url, options=ONE, env=QUICK):
        ended = run(engine, "unserved", "- {type: task, name: only, resourceArn: tell}\n")
    assert (ended.status, ended.error) == ("Failed", "FC.FunctionNotFound")
    assert (ended.stopped_time or 0) - ended.started_time >= 1.5


def test_a_worker_that_comes_within_the_grace_has_the_task(stack: tuple[Engine, str]) -> None:
    engine, url = stack
    with WorkerProcess(url, options=ONE):
        begun = start(engine, "later", "- {type: task, name: only, resourceArn: tell}\n")
        wait_until(lambda: of_type(history(engine, begun), EventType.TASK_SCHEDULED))
        with WorkerProcess(url, [WORKING], ONE):
            assert begun.wait(END_WITHIN_S).status == "Succeeded"


POOLS = """
- type: parallel
  name: both
  branches:
    - steps:
        - type: task
          name: a
          resourceArn: double
          outputMappings: [{target: a, source: $local.value}]
    - steps:
        - type: task
          name: b
          resourceArn: async_double
          outputMappings: [{target: b, source: $local.value}]
        - type: task
          name: c
          resourceArn: async_tell
          outputMappings: [{target: c, source: $local}]
  outputMappings: [{target: branches, source: $local}]
- type: foreach
  name: each
  iterationMapping: {collection: $.items, item: value}
  steps:
    - type: task
      name: d
      resourceArn: double
      outputMappings: [{target: d, source: $local.value}]
  outputMappings: [{target: doubled, source: "$local[*].d"}]
- {type: wait, name: rest, duration: 0.2}
- type: task
  name: fails
  resourceArn: async_fail
  catch: [{errors: [NoGood], goto: last}]
  errorMappings: [{target: why, source: $local.cause}]
- {type: pass, name: last}
"""
POOLED = {
    "branches": [{"a": 14}, {"b": 14, "c": {"step": "c", "items": [0, 1, 2]}}],
    "doubled": [2 * value for value in range(30)],
    "why": "it was no good",
}


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_every_pool_runs_plain_and_async_tasks(stack: tuple[Engine, str], pool: str) -> None:
    engine, url = stack
    with WorkerProcess(url, [WORKING], ["-c", "2", "-P", pool]):
        ended = run(engine, "pooled", POOLS, {"value": 7, "items": list(range(30))})
    assert ended.status == "Succeeded", (ended.error, ended.cause)
    assert ended.output == POOLED


def test_an_execution_of_an_unknown_version_is_left_to_other_workers(
    stack: tuple[Engine, str],
) -> None:
    engine, url = stack
    run = start(engine, "of_the_future", "- {type: pass, name: keep}")
    record = engine.runtime.store.keys.record(f"{run.flow_name}:{run.name}")
    engine.runtime.store.redis.hset(record, "state_version", "99")
    with WorkerProcess(url, options=["-c", "1"]) as worker:
        wait_until(lambda: "left to a worker of its version" in worker.log)
        assert run.describe().status == "Running"
        engine.runtime.store.redis.hset(record, "state_version", STATE_VERSION)
        assert run.wait(20).status == "Succeeded"
