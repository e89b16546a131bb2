"""Shutdown: a worker that is told to end drains or hands on, on every pool, and leaves nothing."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import pytest

from engine.core.events import EventType
from engine.runtime.engine import Engine, Run
from tests.acceptance.running import END_WITHIN_S, fresh_engine, history, nodes_of, of_type, start
from tests.processes import WorkerProcess
from tests.stores import without_ttl
from tests.waiting import wait_until

LASTING = Path(__file__).with_name("lasting_tasks.py")
POOLS = pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
LASTS = """
- type: task
  name: lasts
  resourceArn: last
  outputMappings: [{target: attempt, source: $local.attempt}]
"""
ORDERLY = {"PENSTOCK_LEASE_S": "60", "PENSTOCK_DISPATCH_GRACE_S": "60"}
"""With these a step gets to another worker within a test only if its own one hands it on."""

STOPS_WITHIN_S = 5.0
"""Much less than the grace at which a worker that waits for its tasks would hand them on."""

NAP = "- {type: wait, name: nap, duration: 4}\n"
LEAVES = "- {type: task, name: leaves, resourceArn: leaves}\n"
A_THREAD_STAYS = """
from threading import Event, Thread
from penstock import task

@task("leaves")
def leaves(input, ctx):
    Thread(target=Event().wait).start()
    return {}
"""


@pytest.fixture
def stack() -> Iterator[tuple[Engine, str]]:
    with fresh_engine() as pair:
        yield pair


def _worker(
    url: str,
    pool: str = "prefork",
    grace_s: float = 20,
    slots: int = 2,
    env: Mapping[str, str] | None = None,
) -> WorkerProcess:
    options = ["-c", str(slots), "-P", pool]
    given = {"PENSTOCK_SHUTDOWN_GRACE_S": str(grace_s)} | dict(env or {})
    return WorkerProcess(url, [LASTING], options, given)


def _lasting(engine: Engine, place: Path, **input: float) -> Run:
    """An execution whose task runs."""
    run = start(engine, "lasting", LASTS, {"place": str(place), **input})
    wait_until((place / "started-1").exists)
    return run


def _left_by(worker: WorkerProcess, engine: Engine) -> list[str]:
    """What is still there of a worker that has ended: processes, announcements, what it held."""
    listed = [
        path.name
        for path in Path("/proc").glob("[0-9]*")
        if (fields := _fields(path)) and int(fields[2]) == worker.pid and fields[0] != "Z"
    ]
    redis = engine.runtime.store.redis
    nodes = {node.node for node in engine.runtime.fleet.workers(fresh=True)}
    held = [str(key).rpartition(":held:")[2] for key in redis.scan_iter(match="*:held:*")]
    return listed + [node for node in (*nodes, *held) if node in worker.log]


def _fields(path: Path) -> list[str]:
    """State, parent, group, … of a process; [] if it has ended meanwhile."""
    try:
        return (path / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


@POOLS
def test_running_tasks_end_and_so_does_the_worker(
    stack: tuple[Engine, str], tmp_path: Path, pool: str
) -> None:
    engine, url = stack
    with _worker(url, pool) as worker:
        run = _lasting(engine, tmp_path, seconds=2)
        os.kill(worker.pid, signal.SIGTERM)
        code = worker.wait(10)
        assert code == 0, worker.log
        assert len(of_type(history(engine, run), EventType.TASK_SUCCEEDED)) == 1
        assert _left_by(worker, engine) == []
    with _worker(url):
        ended = run.wait(END_WITHIN_S)
    assert ended.output == {"attempt": 1}, ended.cause


@POOLS
def test_what_has_not_ended_within_the_grace_runs_elsewhere(
    stack: tuple[Engine, str], tmp_path: Path, pool: str
) -> None:
    engine, url = stack
    with _worker(url, pool, grace_s=1, env=ORDERLY) as worker:
        run = _lasting(engine, tmp_path)
        with _worker(url, env=ORDERLY):
            begun = time.monotonic()
            os.kill(worker.pid, signal.SIGTERM)
            wait_until((tmp_path / "started-2").exists, STOPS_WITHIN_S)
            taken_over_s = time.monotonic() - begun
            assert worker.wait(STOPS_WITHIN_S) == 0, worker.log
            assert 1 <= taken_over_s < 3
            assert _left_by(worker, engine) == []
            (tmp_path / "go").touch()
            ended = run.wait(END_WITHIN_S)
    assert ended.output == {"attempt": 2}, ended.cause
    assert len(nodes_of(history(engine, ended))) == 2
    assert len(of_type(history(engine, ended), EventType.TASK_SUCCEEDED)) == 1


@pytest.mark.parametrize(
    "signals",
    [(signal.SIGTERM, signal.SIGTERM), (signal.SIGQUIT,), (signal.SIGINT, signal.SIGINT)],
    ids=["second_term", "quit", "second_int"],
)
@POOLS
def test_a_worker_that_must_hurry_hands_on_at_once(
    stack: tuple[Engine, str], tmp_path: Path, pool: str, signals: tuple[signal.Signals, ...]
) -> None:
    engine, url = stack
    with _worker(url, pool, env=ORDERLY) as worker:
        run = _lasting(engine, tmp_path)
        with _worker(url, env=ORDERLY):
            for count, number in enumerate(signals):
                os.kill(worker.pid, number)
                if count < len(signals) - 1:
                    wait_until(lambda: "ending: running tasks have" in worker.log)
            assert worker.wait(STOPS_WITHIN_S) == 0, worker.log
            wait_until((tmp_path / "started-2").exists, 3)
            assert _left_by(worker, engine) == []
            (tmp_path / "go").touch()
            assert run.wait(END_WITHIN_S).output == {"attempt": 2}


@POOLS
def test_what_a_worker_has_taken_and_not_begun_goes_back_at_once(
    stack: tuple[Engine, str], tmp_path: Path, pool: str
) -> None:
    engine, url = stack
    with _worker(url, pool, slots=1, env=ORDERLY) as worker:
        nap = start(engine, "nap", NAP)
        wait_until(lambda: "penstock.wait[" in worker.log)  # it is held until its ETA
        _lasting(engine, tmp_path, seconds=20)
        os.kill(worker.pid, signal.SIGTERM)
        wait_until(lambda: "ending: running tasks have" in worker.log)
        redis = engine.runtime.store.redis
        if pool == "solo":  # its loop is at the task itself
            os.kill(worker.pid, signal.SIGTERM)
        wait_until(lambda: redis.llen("penstock"), 3)
        (tmp_path / "go").touch()
        with _worker(url, env=ORDERLY):
            ended = nap.wait(END_WITHIN_S)
    assert 3.9 < (ended.stopped_time or 0) - ended.started_time < 9
    assert ended.report.redispatches == 0


def test_after_many_ends_under_load_nothing_is_lost_and_nothing_is_left(
    stack: tuple[Engine, str], tmp_path: Path
) -> None:
    engine, url = stack
    steps = """
- type: foreach
  name: all
  iterationMapping: {collection: $.items, item: seconds}
  steps:
  - type: task
    name: one
    resourceArn: last
    outputMappings: [{target: attempt, source: $local.attempt}]
  outputMappings: [{target: attempts, source: "$local[*].attempt"}]
"""
    input = {"place": str(tmp_path), "items": [0.05] * 120}
    run = start(engine, "loaded", steps, input)
    for _ in range(3):
        with _worker(url) as worker:
            enough = _exited(engine, run) + 5
            wait_until(partial(_has_exited, engine, run, enough))
            os.kill(worker.pid, signal.SIGTERM)
            assert worker.wait(10) == 0, worker.log
            assert _left_by(worker, engine) == []
    with _worker(url):
        ended = run.wait(END_WITHIN_S)
    assert ended.output == {"attempts": [1] * 120}, ended.cause
    assert without_ttl(engine.runtime.store.redis) == []


def _exited(engine: Engine, run: Run) -> int:
    """How many items have ended."""
    return len(of_type(history(engine, run), EventType.ITERATION_EXITED))


def _has_exited(engine: Engine, run: Run, enough: int) -> bool:
    return _exited(engine, run) > enough


def test_a_thread_that_a_task_has_left_does_not_keep_a_worker(
    stack: tuple[Engine, str], tmp_path: Path
) -> None:
    engine, url = stack
    tasks = tmp_path / "leaving_tasks.py"
    tasks.write_text(A_THREAD_STAYS)
    grace = {"PENSTOCK_SHUTDOWN_GRACE_S": "1"}
    with WorkerProcess(url, [tasks], ["-c", "1", "-P", "threads"], grace) as worker:
        start(engine, "leaves", LEAVES).wait(END_WITHIN_S)
        os.kill(worker.pid, signal.SIGTERM)
        assert worker.wait(10) == os.EX_OK
