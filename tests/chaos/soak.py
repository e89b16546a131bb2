"""The soak: steps by the hundred thousand, and afterwards Redis is as it was.

python -m tests.chaos.soak [--seconds 600]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis import Redis

from engine.runtime.engine import Run
from tests.acceptance.running import HEAD
from tests.chaos.fleet import Fleet
from tests.waiting import wait_until

ITEMS = 500
AT_ONCE = 6
END_WITHIN_S = 120.0
SETTLES_WITHIN_S = 120.0
MOST_LEFT_BYTES = 1_000_000
"""What the allocator and the servers' own tables may take more than at the beginning."""
GOAL = 1_000_000

RETENTION = {"PENSTOCK_RETENTION_S": "3", "PENSTOCK_SWEEP_EVERY_S": "0.2"}
STEPS = """
- type: foreach
  name: items
  iterationMapping: {collection: $.items, item: item}
  steps:
    - {type: task, name: quick, resourceArn: chaos:quick}
- {type: wait, name: rests, duration: 0.05}
- {type: task, name: large, resourceArn: chaos:large}
"""
STEPS_EACH = ITEMS + 3


@dataclass(frozen=True, slots=True)
class Memory:
    """What Redis holds: bytes as it says itself, and the names of its keys."""

    used: int
    keys: frozenset[str]


def soak(seconds: float) -> tuple[int, Memory, Memory, int]:
    """Steps done, the memory before and after, and the most that was used in between, in bytes."""
    with tempfile.TemporaryDirectory() as place, Fleet(Path(place), 2, RETENTION) as fleet:
        fleet.engine.create_flow("soak", HEAD + STEPS)
        _finish([_start(fleet) for _ in range(AT_ONCE)])  # what is made once is there from now on
        client = fleet.client()
        before = _settled(client)
        begun, done, peak = time.monotonic(), 0, 0
        running = [_start(fleet) for _ in range(AT_ONCE)]
        while time.monotonic() - begun < seconds:
            _finish([running.pop(0)])
            running.append(_start(fleet))
            done += STEPS_EACH
            peak = max(peak, _used(client))
        _finish(running)
        done += STEPS_EACH * len(running)
        return done, before, _settled(client, before), peak


def _start(fleet: Fleet) -> Run:
    return fleet.engine.start_execution("soak", {"items": list(range(ITEMS))})


def _finish(runs: list[Run]) -> None:
    for run in runs:
        ended = run.wait(END_WITHIN_S)
        assert ended.status == "Succeeded", (ended.status, ended.error, ended.cause)


def _settled(client: Redis, like: Memory | None = None) -> Memory:
    """The memory once what has ended is forgotten."""

    def executions() -> list[str]:
        return [str(key) for key in client.scan_iter(match="*soak*", count=1000)]

    wait_until(lambda: not executions(), SETTLES_WITHIN_S, every_s=0.5)
    client.memory_purge()
    if like is not None:  # a worker's report, or an event that waits to be sent, comes and goes
        wait_until(lambda: _used(client) <= like.used + MOST_LEFT_BYTES, 20, every_s=0.5)
    return Memory(_used(client), frozenset(str(key) for key in client.scan_iter(count=1000)))


def _used(client: Redis) -> int:
    memory: Any = client.info("memory")
    return int(memory["used_memory"])


def main() -> int:
    """Soaks and prints; the exit code is 1 when something has stayed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    seconds = parser.parse_args().seconds
    done, before, after, peak = soak(seconds)
    grown = after.used - before.used
    more = sorted(after.keys - before.keys)
    print(f"{done} steps in {seconds:.0f} s, at most {peak / 1e6:.1f} MB in use")
    print(f"before {before.used} bytes, {len(before.keys)} keys")
    print(f"after  {after.used} bytes, {len(after.keys)} keys; new keys: {more or 'none'}")
    print(f"for {GOAL} steps: {grown * GOAL / max(1, done):+.0f} bytes")
    return int(grown > MOST_LEFT_BYTES or bool(more))


if __name__ == "__main__":
    sys.exit(main())
