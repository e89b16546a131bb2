"""Sleepers: what executions cost that wait for days.

python -m tests.chaos.sleepers [--executions 100000]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis import Redis

from tests.acceptance.running import HEAD
from tests.chaos.fleet import Fleet
from tests.waiting import wait_until

WAITS = HEAD + "- {type: wait, name: rests, duration: 86400}\n"
STARTERS = 4
LOOK_S = 10.0
ASLEEP_WITHIN_S = 1200.0
MOST_COMMANDS = 1.5
"""Commands of an idle fleet: so many times those that it has without any execution."""
MOST_WORKER_BYTES = 200
"""Memory of a worker for each execution that waits."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What an idle fleet costs: commands in a second, bytes of Redis and of its workers."""

    commands: float
    redis_bytes: int
    worker_bytes: int
    messages: int


def measure(executions: int) -> tuple[Cost, Cost]:
    """The cost before and while so many executions wait."""
    with tempfile.TemporaryDirectory() as place, Fleet(Path(place), 1, env={}) as fleet:
        fleet.engine.create_flow("sleeps", WAITS)
        for number in range(200):  # what is made once is there from now on
            fleet.engine.start_execution("sleeps", {}, name=f"first-{number}")
        _asleep(fleet, 200)
        before = _cost(fleet)

        def start(number: int) -> None:
            fleet.engine.start_execution("sleeps", {}, name=f"e-{number}")

        with ThreadPoolExecutor(STARTERS) as pool:
            for _ in pool.map(start, range(executions)):
                pass
        _asleep(fleet, 200 + executions)
        return before, _cost(fleet)


def _asleep(fleet: Fleet, count: int) -> None:
    with fleet.client() as client:
        timers = fleet.engine.runtime.store.keys.timers
        wait_until(lambda: client.zcard(timers) == count, ASLEEP_WITHIN_S, every_s=0.5)


def _cost(fleet: Fleet) -> Cost:
    with fleet.client() as client:
        begun, commands = time.monotonic(), _commands(client)
        time.sleep(LOOK_S)
        rate = (_commands(client) - commands) / (time.monotonic() - begun)
        memory: Any = client.info("memory")
        waiting: Any = client.llen(fleet.engine.runtime.store.keys.queue)
        unacked: Any = client.hlen("unacked")
        return Cost(rate, int(memory["used_memory"]), _worker_bytes(fleet), waiting + unacked)


def _commands(client: Redis) -> int:
    stats: Any = client.info("stats")
    return int(stats["total_commands_processed"])


def _worker_bytes(fleet: Fleet) -> int:
    worker = fleet.workers[0]
    pids = [worker.pid, *fleet.children(worker)]
    return sum(_resident_bytes(pid) for pid in pids)


def _resident_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"process {pid} tells no size")


def main() -> int:
    """Measures and prints; the exit code is 1 when executions that wait cost more than memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--executions", type=int, default=100_000)
    executions = parser.parse_args().executions
    before, after = measure(executions)
    redis_bytes = (after.redis_bytes - before.redis_bytes) / executions
    worker_bytes = (after.worker_bytes - before.worker_bytes) / executions
    print(f"{executions} executions wait; messages of theirs: {after.messages}")
    print(f"commands a second: {before.commands:.0f} before, {after.commands:.0f} now")
    print(f"bytes for each: {redis_bytes:.0f} in Redis, {worker_bytes:.0f} in the worker")
    calm = after.commands <= MOST_COMMANDS * before.commands + 5
    return int(after.messages > 0 or not calm or worker_bytes > MOST_WORKER_BYTES)


if __name__ == "__main__":
    sys.exit(main())
