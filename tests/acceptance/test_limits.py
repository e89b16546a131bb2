"""Limits: tasks whose time is over end as their flow says, on every pool, and free their slot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.core.events import EventType
from engine.runtime.engine import Engine
from tests.acceptance.running import END_WITHIN_S, fresh_engine, history, of_type, run, start
from tests.processes import WorkerProcess
from tests.waiting import wait_until

LASTING = Path(__file__).with_name("lasting_tasks.py")
SETTINGS = {"PENSTOCK_KILL_GRACE_S": "2"}
RETRIED = """
- type: task
  name: limited
  resourceArn: {task}
  timeoutSeconds: 3
  retry: [{{errors: [FnF.TaskTimeout], intervalSeconds: 0.1, maxAttempts: 2}}]
  outputMappings: [{{target: attempt, source: $local.attempt}}]
"""
ONCE = "- {{type: task, name: limited, resourceArn: {task}, timeoutSeconds: 3}}\n"


@pytest.fixture(scope="module", params=["prefork", "threads"])
def stack(request: pytest.FixtureRequest) -> Iterator[tuple[Engine, WorkerProcess, str]]:
    """An engine and a worker; its pool of processes has one slot."""
    pool = str(request.param)
    slots = "1" if pool == "prefork" else "4"
    with fresh_engine() as (engine, url):
        with WorkerProcess(url, [LASTING], ["-c", slots, "-P", pool], SETTINGS) as worker:
            yield engine, worker, pool


def test_a_task_that_never_ends_has_as_many_attempts_as_its_flow_says(
    stack: tuple[Engine, WorkerProcess, str], tmp_path: Path
) -> None:
    engine, _, pool = stack
    ended = run(engine, "never", RETRIED.format(task="never_end"), {"place": str(tmp_path)})
    assert ended.output == {"attempt": 3}, (ended.error, ended.cause)
    events = history(engine, ended)
    assert len(of_type(events, EventType.TASK_STARTED)) == 3
    assert len(of_type(events, EventType.TASK_TIMED_OUT)) == 2
    assert of_type(events, EventType.TASK_FAILED) == []
    # The slot is free again, in the same process.
    after = run(engine, f"after_{pool}", ONCE.format(task="last"), {"place": "/tmp", "seconds": 0})
    assert after.status == "Succeeded"


def test_a_task_may_clean_up_when_its_time_is_over(
    stack: tuple[Engine, WorkerProcess, str], tmp_path: Path
) -> None:
    engine, _, pool = stack
    if pool == "threads":  # nothing can interrupt a thread
        return
    ended = run(engine, "cleans", ONCE.format(task="clean_up"), {"place": str(tmp_path)})
    assert (ended.status, ended.error) == ("Failed", "FnF.TaskTimeout")
    assert (tmp_path / "cleaned").exists()


def test_the_process_of_a_task_that_will_not_end_is_replaced(
    stack: tuple[Engine, WorkerProcess, str], tmp_path: Path
) -> None:
    engine, worker, pool = stack
    if pool == "threads":
        return
    begun = start(engine, "stubborn", RETRIED.format(task="stubborn"), {"place": str(tmp_path)})
    ended = begun.wait(END_WITHIN_S)
    assert ended.output == {"attempt": 2}, (ended.error, ended.cause)
    (told,) = tmp_path.glob("told-*")
    wait_until(lambda: not Path(f"/proc/{told.name.partition('-')[2]}/stat").exists())
    events = history(engine, ended)
    assert len(of_type(events, EventType.TASK_STARTED)) == 2
    assert len(of_type(events, EventType.TASK_TIMED_OUT)) == 1
    assert of_type(events, EventType.TASK_FAILED) == []
    record = engine.runtime.store.record(f"stubborn:{begun.name}")
    assert not {"handovers", "redispatches", "duplicates"} & set(record)
    assert engine.runtime.store.redis.keys("*:held:*") == []
    assert worker.lives
