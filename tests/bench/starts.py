"""Starts: how many executions one process can start, and how fast they end."""

from __future__ import annotations

import time

from tests.bench.figures import Figure
from tests.bench.stage import Stage
from tests.waiting import wait_until

EXECUTIONS = 500
TIMEOUT_S = 60.0


def measure_starts(stage: Stage) -> list[Figure]:
    """Executions of a flow of one task, started one after the other."""
    stage.deploy("one", "- {type: task, name: t, resourceArn: bench_noop}\n")
    begun = time.perf_counter()
    runs = [stage.engine.start_execution("one", {"at": i}) for i in range(EXECUTIONS)]
    started_s = time.perf_counter() - begun
    keys = stage.engine.runtime.store.keys
    records = [keys.record(f"one:{run.name}") for run in runs]

    def all_ended() -> bool:
        pipe = stage.redis.pipeline(transaction=False)
        for record in records:
            pipe.hexists(record, "stopped_ms")
        return all(pipe.execute())

    wait_until(all_ended, TIMEOUT_S, every_s=0.05)
    ended_s = time.perf_counter() - begun
    started, ended = EXECUTIONS / started_s, EXECUTIONS / ended_s
    return [Figure("starts", f"{started:.0f} started/s, {ended:.0f} run to their end/s", started)]
