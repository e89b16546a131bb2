"""Clocks: workers whose machines have the wrong time keep that of the store."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.config import Settings
from engine.core.events import Event, EventType
from engine.runtime.embedded import EmbeddedRedis
from engine.runtime.engine import Engine
from tests.acceptance.running import history, run
from tests.processes import WorkerProcess

HERE = Path(__file__).parent
SKEWED = HERE.parent / "chaos" / "skewed"
WORKING = HERE / "working_tasks.py"
LATE_S = 1.5
"""How late a step may begin."""

GRACE_S = 60.0
"""Nothing is sent again within a test: what does not come in time does not come at all."""

TIMELY = """
- {type: task, name: first, resourceArn: gpu}
- {type: wait, name: rests, duration: 2}
- type: task
  name: again
  resourceArn: fail_once
  retry: [{errors: [Test.Once], intervalSeconds: 1, maxAttempts: 3}]
- {type: task, name: second, resourceArn: gpu}
- {type: wait, name: until, timestamp: $.until}
"""


def _worker(url: str, queue: str, ahead_s: float) -> WorkerProcess:
    env = {"PYTHONPATH": str(SKEWED), "CLOCK_AHEAD_S": str(ahead_s)}
    env |= {"PENSTOCK_DISPATCH_GRACE_S": str(GRACE_S)}
    return WorkerProcess(url, [WORKING], ["-c", "1", "-Q", queue], env)


@pytest.mark.parametrize("ahead_s", [3600, -3600], ids=["ahead", "behind"])
def test_delays_are_over_when_the_store_says_so(ahead_s: float) -> None:
    with (
        EmbeddedRedis() as server,
        _worker(server.url, "gpu", ahead_s),  # it sends the messages of the waits
        _worker(server.url, "penstock", -ahead_s),  # and this one holds them
    ):
        engine = Engine(server.url, Settings(dispatch_grace_s=GRACE_S))
        until_s = time.time() + 10
        until = datetime.fromtimestamp(until_s, UTC).isoformat()
        ended = run(engine, "timely", TIMELY, {"until": until})
        events = history(engine, ended)
        assert ended.status == "Succeeded", (ended.error, ended.cause)
        begun, over = _turn(events, "rests")
        assert 2 <= over - begun < 2 + LATE_S
        assert until_s <= _turn(events, "until")[1] < until_s + LATE_S
        tries = [
            e.time for e in events if (e.type, e.step_name) == (EventType.TASK_STARTED, "again")
        ]
        assert 1 <= tries[1] - tries[0] < 1 + LATE_S
        assert ended.report.redispatches == ended.report.duplicates_absorbed == 0


def _turn(events: list[Event], step: str) -> tuple[float, float]:
    """When a step was entered and left."""
    times = [event.time for event in events if event.step_name == step]
    return times[0], times[-1]
