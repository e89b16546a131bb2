"""Kills: a process or a whole worker dies at a task, and the execution ends all the same."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.config import Settings
from engine.core.events import EventType
from engine.runtime.embedded import EmbeddedRedis
from engine.runtime.engine import Engine, Run
from engine.runtime.views import Execution
from tests.acceptance.running import END_WITHIN_S, fresh_engine, history, nodes_of, of_type, start
from tests.processes import WorkerProcess
from tests.waiting import wait_until

WORKING = Path(__file__).with_name("working_tasks.py")
QUICK = {"PENSTOCK_LEASE_S": "1.5", "PENSTOCK_SWEEP_EVERY_S": "0.3"}
TAKEN_OVER_WITHIN_S = 10.0
SLOW = """
- type: foreach
  name: all
  iterationMapping: {collection: $.items, item: seconds}
  steps:
  - {type: task, name: one, resourceArn: nap}
  outputMappings: [{target: done, source: "$local[*].slept"}]
"""
WAITS = """
- type: task
  name: waits
  resourceArn: wait_for_sign
  outputMappings: [{target: attempt, source: $local.attempt}]
"""
RETRY = "  retry: [{errors: [FC.Unknown], intervalSeconds: 1, maxAttempts: 2}]\n"
DIES = "- {type: task, name: dies, resourceArn: kill_itself}\n"


def _worker(url: str) -> WorkerProcess:
    return WorkerProcess(url, [WORKING], ["-c", "1"], QUICK)


@pytest.fixture
def stack() -> Iterator[tuple[Engine, str]]:
    """An engine for workers that will not survive."""
    with fresh_engine() as pair:
        yield pair


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """An engine with one worker, of which only a process dies now and then."""
    with fresh_engine() as (engine, url), _worker(url):
        yield engine


def _at_work(place: Path, without: set[int]) -> int:
    """The process that runs the task now, once one does that is not of `without`."""

    def found() -> set[int]:
        return {int(path.name.split("-")[1]) for path in place.glob("started-*")} - without

    return wait_until(found, TAKEN_OVER_WITHIN_S).pop()


def _released(run: Run, place: Path) -> Execution:
    (place / "go").touch()
    return run.wait(END_WITHIN_S)


@pytest.mark.parametrize("policy", ["", RETRY], ids=["without_policy", "with_policy"])
def test_a_task_whose_process_is_killed_runs_again(
    engine: Engine, tmp_path: Path, policy: str
) -> None:
    name = f"killed_{len(policy)}"
    run = start(engine, name, WAITS + policy, {"place": str(tmp_path)})
    first = _at_work(tmp_path, set())
    os.kill(first, signal.SIGKILL)
    _at_work(tmp_path, {first})
    ended = _released(run, tmp_path)
    assert ended.output == {"attempt": 2}, ended.cause
    lost = of_type(history(engine, ended), EventType.TASK_FAILED)
    assert [one["error"] for one in lost] == ["FC.Unknown"]
    assert len(of_type(history(engine, ended), EventType.TASK_SUCCEEDED)) == 1


def test_a_task_whose_process_is_killed_does_not_wait_for_the_end_of_its_lease(
    stack: tuple[Engine, str], tmp_path: Path
) -> None:
    engine, url = stack
    with WorkerProcess(url, [WORKING], ["-c", "2"], {"PENSTOCK_LEASE_S": "60"}):
        run = start(engine, "at_once", WAITS, {"place": str(tmp_path)})
        first = _at_work(tmp_path, set())
        os.kill(first, signal.SIGKILL)
        _at_work(tmp_path, {first})
        assert _released(run, tmp_path).output == {"attempt": 2}


def test_a_task_that_dies_a_few_times_succeeds_in_the_end(engine: Engine, tmp_path: Path) -> None:
    run = start(engine, "thrice", DIES, {"place": str(tmp_path), "times": 3})
    ended = run.wait(END_WITHIN_S)
    assert ended.output == {"attempt": 4}, (ended.error, ended.cause)


def test_a_task_that_dies_every_time_fails(engine: Engine, tmp_path: Path) -> None:
    ended = start(engine, "doomed", DIES, {"place": str(tmp_path)}).wait(END_WITHIN_S)
    assert (ended.status, ended.error) == ("Failed", "FC.Unknown")
    assert len(list(tmp_path.iterdir())) == 4
    # The worker lives on.
    after = start(engine, "after", "- {type: task, name: one, resourceArn: tell}\n")
    assert after.wait(END_WITHIN_S).status == "Succeeded"


def test_another_worker_takes_over_from_one_that_is_killed(
    stack: tuple[Engine, str], tmp_path: Path
) -> None:
    engine, url = stack
    with _worker(url) as victim:
        run = start(engine, "taken_over", WAITS, {"place": str(tmp_path)})
        first = _at_work(tmp_path, set())
        with _worker(url):
            os.killpg(victim.pid, signal.SIGKILL)
            _at_work(tmp_path, {first})
            ended = _released(run, tmp_path)
    assert ended.output == {"attempt": 2}, ended.cause
    assert len(nodes_of(history(engine, ended))) == 2


def test_the_items_of_a_killed_worker_are_done_by_another(
    stack: tuple[Engine, str], tmp_path: Path
) -> None:
    engine, url = stack
    steps = """
- type: foreach
  name: each
  iterationMapping: {collection: $.items, item: item}
  steps:
    - type: task
      name: waits
      resourceArn: wait_for_sign
      outputMappings: [{target: item, source: $input.item}]
  outputMappings: [{target: items, source: "$local[*].item"}]
"""
    items = list(range(20))
    with _worker(url) as victim:
        run = start(engine, "items", steps, {"place": str(tmp_path), "items": items})
        first = _at_work(tmp_path, set())
        with _worker(url):
            os.killpg(victim.pid, signal.SIGKILL)
            _at_work(tmp_path, {first})
            ended = _released(run, tmp_path)
    assert ended.output == {"items": items}, (ended.error, ended.cause)
    assert len(nodes_of(history(engine, ended))) == 2
    assert len(of_type(history(engine, ended), EventType.ITERATION_EXITED)) == len(items)


def test_a_redis_that_is_killed_and_comes_back_loses_nothing() -> None:
    with EmbeddedRedis() as server, _worker(server.url) as worker, _worker(server.url) as other:
        engine = Engine(server.url, Settings())
        run = start(engine, "restart", SLOW, {"items": [0.1] * 60})
        wait_until(lambda: len(history(engine, run)) > 60)
        os.kill(server.pid, signal.SIGKILL)
        server.start()
        ended = run.wait(END_WITHIN_S)
        assert ended.output == {"done": [0.1] * 60}, ended.cause
        assert worker.lives and other.lives
        counted = of_type(history(engine, ended), EventType.ITERATION_EXITED)
        assert sorted(one["index"] for one in counted) == list(range(60))
