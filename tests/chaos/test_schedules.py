"""A schedule of every second while workers are killed: each second has one execution."""

from __future__ import annotations

import os
import signal
import time
from datetime import UTC, datetime
from random import Random

from engine.runtime.embedded import EmbeddedRedis
from engine.runtime.engine import Engine
from engine.runtime.schedules import ScheduleChange
from tests.processes import WorkerProcess
from tests.waiting import wait_until

PASS = "version: v1\ntype: flow\nsteps: [{type: pass, name: only}]"
WORKERS, KILLS, FIRES = 3, 6, 15
QUICK = {"PENSTOCK_SWEEP_EVERY_S": "0.1", "PENSTOCK_LEASE_S": "2"}


def test_each_second_is_started_once_while_workers_are_killed() -> None:
    random = Random(7)
    with EmbeddedRedis() as server:
        workers = [WorkerProcess(server.url, [], ["-c", "1"], QUICK) for _ in range(WORKERS)]
        engine = Engine(server.url)
        engine.create_flow("ticks", PASS)
        try:
            for worker in workers:
                worker.start()
            wanted = ScheduleChange("@every 1s", catch_up="all", catch_up_limit=1000)
            first = engine.schedules.create("ticks", "tick", wanted).next_time
            assert first is not None
            for _ in range(KILLS):
                killed = random.choice(workers)
                os.killpg(killed.pid, signal.SIGKILL)
                killed.wait(10)
                killed.start()
            wait_until(lambda: time.time() > first + FIRES + 1, 60)
            engine.schedules.update("ticks", "tick", ScheduleChange(enabled=False))
            schedule = engine.schedules.describe("ticks", "tick")
            wait_until(lambda: not engine.list_executions("ticks", "Running"), 30)
            executions = engine.list_executions("ticks")
        finally:
            for worker in workers:
                worker.stop()
        fires = sorted(_second(each.name) for each in executions)
        assert schedule.last_time is not None and len(fires) >= FIRES
        assert fires == [int(first) + passed for passed in range(len(fires))]
        assert fires[-1] == schedule.last_time
        assert {each.status for each in executions} == {"Succeeded"}
        assert _started(engine) == len(fires)


def _second(name: str) -> int:
    moment = datetime.strptime(name.removeprefix("tick-"), "%Y%m%dT%H%M%SZ")
    return int(moment.replace(tzinfo=UTC).timestamp())


def _started(engine: Engine) -> float:
    """How many executions have been started, by the counter."""
    families = {family.name: family for family in engine.metrics().families}
    return families["penstock_executions_started_total"].samples[0].value
