"""Recovery: how long it takes from a kill until the step runs elsewhere, at default settings.

python -m tests.chaos.recovery [--kills 10]
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.acceptance.running import HEAD
from tests.chaos.fleet import Fleet
from tests.waiting import wait_until

WAITS = HEAD + "- {type: task, name: waits, resourceArn: chaos:wait}\n"
WITHIN_S = 60.0
TARGET_S = 5.0

Kill = Callable[[Fleet, int], None]


def pool_process(fleet: Fleet, pid: int) -> None:
    """Kills the process that the task is in."""
    os.kill(pid, signal.SIGKILL)


def worker(fleet: Fleet, pid: int) -> None:
    """Kills the whole worker that the task is on; another one is there."""
    victim = next(w for w in fleet.workers if pid in fleet.children(w))
    fleet.kill(victim)


def all_workers(fleet: Fleet, pid: int) -> None:
    """Kills all workers; the time runs from when another one is ready."""
    for one in fleet.workers:
        fleet.kill(one)


KILLS: dict[str, Kill] = {
    "pool process": pool_process,
    "worker, another is there": worker,
    "all workers, since a new one": all_workers,
}


def recovery_s(fleet: Fleet, name: str, number: int) -> float:
    """Seconds from one kill until the task has begun in another process."""
    place = fleet.place / f"{name.partition(',')[0]}-{number}".replace(" ", "-")
    place.mkdir()
    run = fleet.engine.start_execution("waits", {"place": str(place)})
    first = _started(place, set())
    KILLS[name](fleet, first)
    begun = time.monotonic()
    if name.startswith("all"):
        fleet.mend()
        begun = time.monotonic()
    _started(place, {first})
    taken = time.monotonic() - begun
    (place / "go").touch()
    assert run.wait(WITHIN_S).status == "Succeeded"
    fleet.mend()
    return taken


def measure(kills: int) -> dict[str, list[float]]:
    """The times of each kind of kill, at the settings that a user has who sets none."""
    with tempfile.TemporaryDirectory() as place, Fleet(Path(place), 2, env={}, slots=1) as fleet:
        fleet.engine.create_flow("waits", WAITS)
        return {name: [recovery_s(fleet, name, n) for n in range(kills)] for name in KILLS}


def _started(place: Path, without: set[int]) -> int:
    """The process that has begun the task, of those that are not in `without`."""

    def found() -> set[int]:
        return {int(path.name.split("-")[1]) for path in place.glob("started-*")} - without

    return wait_until(found, WITHIN_S, every_s=0.01).pop()


def main() -> int:
    """Measures and prints; the exit code is 1 when a median is over the target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    times = measure(parser.parse_args().kills)
    print(f"{'killed':32}{'median s':>10}{'max s':>8}{'kills':>7}")
    for name, taken in times.items():
        print(f"{name:32}{statistics.median(taken):>10.2f}{max(taken):>8.2f}{len(taken):>7}")
    return int(any(statistics.median(taken) >= TARGET_S for taken in times.values()))


if __name__ == "__main__":
    sys.exit(main())
