"""The worst days: what may go wrong with a broker, a store and workers, one thing at a time."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from engine.config import Settings
from engine.core.checks import load_flow
from engine.core.events import EventType
from engine.errors import StoreFull
from engine.runtime.embedded import EmbeddedRedis
from engine.runtime.engine import Engine, Run
from engine.runtime.views import Execution
from engine.simulate.simulator import simulate
from tests.acceptance.running import HEAD, fresh_engine, history, nodes_of, of_type, start
from tests.ageing import pass_time
from tests.chaos.doubling import Doubling
from tests.chaos.hasty_worker import VISIBILITY_S
from tests.fundamentals.invariants import broken
from tests.processes import WorkerProcess
from tests.waiting import wait_until

WORKING = Path(__file__).resolve().parents[1] / "acceptance" / "working_tasks.py"
END_WITHIN_S = 90.0
DAY_S = 86_400.0
MONTH_S = 30 * DAY_S
ONE = ["-c", "1"]
IMPATIENT = {"PENSTOCK_DISPATCH_GRACE_S": "0.5"}
TELL = "- {type: task, name: tells, resourceArn: tell}\n"


class Mortal(WorkerProcess):
    """A worker that is killed at the end of its test, which need not wait for its manners."""

    def stop(self) -> None:
        if self.lives:
            os.killpg(self.pid, signal.SIGKILL)
        super().stop()


@pytest.fixture
def stack() -> Iterator[tuple[Engine, str]]:
    """An engine at default settings, and the URL of its own Redis."""
    with fresh_engine() as pair:
        yield pair


def _succeeded(engine: Engine, run: Run) -> Execution:
    """Waits for a success whose history is sound."""
    ended = run.wait(END_WITHIN_S)
    assert ended.status == "Succeeded", (ended.error, ended.cause)
    assert broken(history(engine, ended)) == []
    return ended


def _signal(signum: signal.Signals, *workers: Mortal) -> None:
    for worker in workers:
        os.killpg(worker.pid, signum)


def test_a_message_that_went_down_with_its_worker_is_sent_again_within_seconds(
    stack: tuple[Engine, str],
) -> None:
    engine, url = stack
    engine.create_flow("tells", HEAD + TELL)
    redis = Redis.from_url(url)
    with Mortal(url, [WORKING], ONE) as victim, Mortal(url, [WORKING], ONE) as other:
        _succeeded(engine, engine.start_execution("tells"))

        def both_took_one() -> list[Run]:
            """Idle workers that stand still: each is handed a message that it never sees."""
            _signal(signal.SIGSTOP, victim, other)
            runs = [engine.start_execution("tells") for _ in range(2)]
            if not redis.llen("penstock") and not redis.hlen("unacked"):
                return runs
            _signal(signal.SIGCONT, victim, other)
            for run in runs:
                _succeeded(engine, run)
            return []

        runs = wait_until(both_took_one)
        _signal(signal.SIGKILL, victim)
        _signal(signal.SIGCONT, other)
        begun = time.monotonic()
        ended = [_succeeded(engine, run) for run in runs]
        assert time.monotonic() - begun < 10
        assert sum(one.report.redispatches for one in ended) == 1


@pytest.mark.parametrize(
    "item_s", [pytest.param(0.2, id="short"), pytest.param(1.0, marks=pytest.mark.chaos_long)]
)
def test_a_queue_that_is_merely_long_is_no_reason_to_send_anything_again(
    item_s: float,
) -> None:
    grace_s = 2.0  # most of what is sent waits for longer
    env = {"PENSTOCK_DISPATCH_GRACE_S": str(grace_s)}
    with EmbeddedRedis() as server, Mortal(server.url, [WORKING], ONE, env):
        engine = Engine(server.url, Settings(dispatch_grace_s=grace_s))
        steps = """
- type: foreach
  name: each
  iterationMapping: {collection: $.items, item: seconds}
  steps: [{type: task, name: naps, resourceArn: nap}]
"""
        runs = [start(engine, "long", steps, {"items": [item_s] * 10})]
        engine.create_flow("naps", HEAD + "- {type: task, name: naps, resourceArn: nap}\n")
        runs += [engine.start_execution("naps", {"seconds": item_s}) for _ in range(40)]
        engine.create_flow("tells", HEAD + TELL)
        runs += [engine.start_execution("tells") for _ in range(10)]
        reports = [_succeeded(engine, run).report for run in runs]
        assert {(one.redispatches, one.duplicates_absorbed) for one in reports} == {(0, 0)}


LENGTHY = """
- type: task
  name: waits
  resourceArn: wait_for_sign
  outputMappings: [{target: first, source: $local.attempt}]
- {type: wait, name: rests, duration: 10}
- type: task
  name: tells
  resourceArn: tell
  outputMappings: [{target: attempt, source: $local.attempt}]
"""


def test_a_visibility_timeout_shorter_than_a_task_does_it_no_harm(
    stack: tuple[Engine, str], tmp_path: Path
) -> None:
    engine, url = stack

    def worker() -> Mortal:
        return Mortal(url, [WORKING], module="tests.chaos.hasty_worker")

    def held_for_long() -> bool:
        held: Any = engine.runtime.store.redis.zrange("unacked_index", 0, 0, withscores=True)
        return bool(held) and held[0][1] < time.time() - 2 * VISIBILITY_S

    def absorbed(count: int) -> None:
        wait_until(lambda: run.describe().report.duplicates_absorbed >= count)

    with worker(), worker():
        run = start(engine, "lengthy", LENGTHY, {"place": str(tmp_path)})
        wait_until(held_for_long)
        # A worker that comes hands on what others hold: here the message of the running task,
        with worker():
            absorbed(1)
            (tmp_path / "go").touch()
            wait_until(lambda: history(engine, run)[-1].step_name == "rests")
            wait_until(held_for_long)
            # and there the one of a wait.
            with worker():
                ended = _succeeded(engine, run)
                absorbed(2)
    assert ended.output == {"first": 1, "attempt": 1}
    assert len(of_type(history(engine, ended), EventType.TASK_STARTED)) == 2


TWICE = """
- type: foreach
  name: rows
  iterationMapping: {collection: $.rows, item: items}
  steps:
  - type: foreach
    name: cells
    iterationMapping: {collection: $.items, item: value}
    steps:
    - type: task
      name: doubles
      resourceArn: double
      outputMappings: [{target: value, source: $local.value}]
    outputMappings: [{target: values, source: "$local[*].value"}]
  outputMappings: [{target: values, source: "$local[*].values[*]"}]
- {type: task, name: again, resourceArn: fail_once,
   retry: [{errors: [Test.Once], intervalSeconds: 0.5, maxAttempts: 3}]}
- {type: wait, name: rests, duration: 0.5}
- type: parallel
  name: both
  branches:
  - steps: [{type: task, name: left, resourceArn: tell}]
  - steps: [{type: wait, name: right, duration: 0.2}]
- {type: task, name: calls, resourceArn: "acs:fnf:::flow/called", pattern: sync}
"""


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.chaos_long)])
def test_messages_that_all_come_twice_and_in_any_order_are_worked_on_once(
    stack: tuple[Engine, str], seed: int
) -> None:
    engine, url = stack
    engine.create_flow("called", HEAD + TELL)
    engine.create_flow("twice", HEAD + TWICE)
    given = {"rows": [[1, 2, 3], [4, 5, 6, 7, 8], [9]]}
    with (
        Mortal(url, [WORKING], ["-c", "2"]),
        Mortal(url, [WORKING], ["-c", "2"]),
        Doubling(url, "penstock", seed) as doubling,
    ):
        runs = [engine.start_execution("twice", given) for _ in range(6)]
        for ended in [_succeeded(engine, run) for run in runs]:
            assert ended.output is not None
            assert ended.output["values"] == [2 * n for n in range(1, 10)]
            told = Counter(event.type for event in history(engine, ended))
            assert told[EventType.TASK_STARTED] == 9 + 2 + 1 + 1
            assert told[EventType.TASK_SUCCEEDED] == 9 + 1 + 1 + 1
        assert doubling.sent > 100
        absorbed = sum(one.report.duplicates_absorbed for one in engine.list_executions())
        assert absorbed > doubling.sent / 4
        wait_until(lambda: not engine.runtime.store.redis.llen("penstock"))


def test_a_redis_without_memory_refuses_starts_and_what_runs_goes_on_later(
    stack: tuple[Engine, str],
) -> None:
    engine, url = stack
    naps = """
- type: foreach
  name: each
  iterationMapping: {collection: $.items, item: seconds}
  steps: [{type: task, name: naps, resourceArn: nap}]
- {type: wait, name: rests, duration: 1}
"""
    redis = Redis.from_url(url, decode_responses=True)
    with Mortal(url, [WORKING], ["-c", "2"]), Mortal(url, [WORKING], ["-c", "2"]):
        runs = [start(engine, f"naps{n}", naps, {"items": [0.1] * 40}) for n in range(3)]
        wait_until(lambda: len(history(engine, runs[0])) > 40)
        redis.config_set("maxmemory", 1)
        wait_until(lambda: _stands_still(engine, runs))
        with pytest.raises(StoreFull, match="no memory left.*maxmemory.*RETENTION"):
            engine.start_execution("naps0", {"items": []}, "refused")
        assert [one.name for one in engine.list_executions() if one.name == "refused"] == []
        assert [run.describe().status for run in runs] == ["Running"] * 3
    redis.config_set("maxmemory", 0)
    # Celery's workers end when they cannot acknowledge: what supervises them starts others.
    with Mortal(url, [WORKING], ["-c", "2"]):
        for run in runs:
            _succeeded(engine, run)


def _stands_still(engine: Engine, runs: list[Run]) -> bool:
    """True when nothing has been recorded for a while."""
    before = [len(history(engine, run)) for run in runs]
    end = time.monotonic() + 2
    wait_until(lambda: time.monotonic() > end)
    return before == [len(history(engine, run)) for run in runs]


MONTH = f"""
- {{type: task, name: first, resourceArn: tell}}
- {{type: wait, name: month, duration: {MONTH_S}}}
- type: task
  name: last
  resourceArn: tell
  outputMappings: [{{target: at, source: $local.attempt}}]
"""


def test_a_wait_of_a_month_survives_the_death_of_everything() -> None:
    with EmbeddedRedis() as server:
        engine = Engine(server.url, Settings())
        with Mortal(server.url, [WORKING], ONE) as worker:
            run = start(engine, "month", MONTH)
            wait_until(lambda: "month" in [event.step_name for event in history(engine, run)])
            _signal(signal.SIGKILL, worker)
        os.kill(server.pid, signal.SIGKILL)
        server.start()
        keys, redis = engine.runtime.store.keys, engine.runtime.store.redis
        pass_time(redis, keys, MONTH_S - 3600)
        with Mortal(server.url, [WORKING], ONE) as worker:
            assert not redis.llen("penstock")
            assert run.describe().status == "Running"
            _signal(signal.SIGKILL, worker)
        pass_time(redis, keys, 3600)
        with Mortal(server.url, [WORKING], ONE):
            assert (_succeeded(engine, run).output or {})["at"] == 1


def test_a_wait_of_a_month_is_one_line_in_the_simulator() -> None:
    graph = load_flow(f"{HEAD}- {{type: wait, name: month, duration: {MONTH_S}}}\n")[0]
    begun = time.monotonic()
    assert simulate(graph, tasks={}, now=0.0).history[-1].time == MONTH_S
    assert time.monotonic() - begun < 1


SKEWED = Path(__file__).with_name("skewed")
TIMELY = """
- type: foreach
  name: each
  iterationMapping: {collection: $.items, item: value}
  steps:
  - type: task
    name: again
    resourceArn: fail_once
    retry: [{errors: [Test.Once], intervalSeconds: 1, maxAttempts: 3}]
  - {type: wait, name: rests, duration: 1}
  - {type: wait, name: until, timestamp: $.until}
- {type: task, name: tells, resourceArn: tell, timeoutSeconds: 5}
"""


def test_workers_whose_clocks_are_an_hour_off_keep_the_time_of_the_store() -> None:
    def worker(ahead_s: float) -> Mortal:
        env = {"PYTHONPATH": str(SKEWED), "CLOCK_AHEAD_S": str(ahead_s), **IMPATIENT}
        return Mortal(server.url, [WORKING], ONE, env)

    with EmbeddedRedis() as server, worker(3600), worker(-3600):
        engine = Engine(server.url, Settings())
        until_s = time.time() + 8
        given = {"items": [1, 2, 3, 4], "until": datetime.fromtimestamp(until_s, UTC).isoformat()}
        ended = _succeeded(engine, start(engine, "timely", TIMELY, given))
        assert len(nodes_of(history(engine, ended))) == 2
        told = [event for event in history(engine, ended) if event.step_name == "until"]
        ends = [event.time for event in told if event.type is EventType.STEP_EXITED]
        assert len(ends) == 4
        assert until_s <= min(ends) and max(ends) < until_s + 5
