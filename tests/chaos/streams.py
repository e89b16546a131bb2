"""The kills of streams: the process of one stage after the other dies, and no byte is another one.

python -m tests.chaos.streams [--kills 30] [--seed 1]
"""

from __future__ import annotations

import argparse
import hashlib
import os
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from redis import Redis

from engine.runtime.streamed import StreamedExecution
from tests.acceptance.streaming import (
    Stack,
    expected,
    given,
    opened,
    pids,
    stack,
    stream_step,
    traces_of,
)
from tests.processes import WorkerProcess
from tests.waiting import wait_until

COUNT, SIZE, PAUSE_S = 140, 50_000, 0.02
STAGES = ("cut", "mix", "chain")
"""Of these `mix` has no state: it goes on where it was."""

HEAD = (
    f"{'':4}  {'stage':8}{'killed':9}{'after s':>8}{'again s':>9}{'lease s':>9}{'twice':>7}  bytes"
)
LEASE_S = 3.0
LEASES = {"PENSTOCK_LEASE_S": str(LEASE_S)}
AGAIN_WITHIN_S = 2.0
"""How soon after the end of a lease somebody goes on."""

IN_FLIGHT = 2
"""Chunks that a stage without a state may work at again: the one that it was at, and one of which
nobody knew yet that it was done."""

BEGUN_CHUNKS = 5
WORKERS = 4
FLOW = stream_step(*STAGES, more="fuse: false")


@dataclass(frozen=True)
class Kill:
    """One kill, and what came of it.

    `again_s`: from the kill until another process worked as the stage; None: none has.
    `lease_s`: the same from the end of the dead one's lease. `twice`: chunks that the stage without
    a state worked at more than once. `wrong`: what should not be.
    """

    stage: str
    whole: bool
    after_s: float
    again_s: float | None
    lease_s: float | None
    twice: int
    wrong: tuple[str, ...]


class Reading:
    """Reads a stream in a thread."""

    def __init__(self, streamed: StreamedExecution) -> None:
        self.streamed = streamed
        self.sha256 = hashlib.sha256()
        self.bytes = 0
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait(self, timeout_s: float) -> bool:
        """True once it has ended."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            for chunk in self.streamed:
                self.bytes += len(chunk)
                self.sha256.update(chunk)
        except Exception as error:  # whatever it is, it is told
            self.error = error


def begin(fleet: Stack, name: str, pause_s: float = PAUSE_S) -> tuple[Reading, Path]:
    """Starts a stream in a place of its own and reads it."""
    place = fleet.place / name
    place.mkdir()
    told = {"place": str(place), "size": SIZE, "pause_s": pause_s}
    streamed = fleet.stream("kills", FLOW, told, b"".join(given(COUNT, SIZE)))
    return Reading(streamed), place


def at_work(fleet: Stack, reading: Reading, place: Path, stage: str = STAGES[-1]) -> list[int]:
    """The processes of the seats, once a stage (the last one) has done some chunks."""
    wait_until(lambda: _done(place, stage) >= BEGUN_CHUNKS, 20)
    (detail,) = opened(fleet, reading.streamed)[:1]
    return pids(detail)


def worker_of(fleet: Stack, pid: int) -> WorkerProcess:
    """The worker that a process of a pool belongs to."""
    stat = Path(f"/proc/{pid}/stat").read_text()
    parent = int(stat.rpartition(")")[2].split()[1])
    return next(worker for worker in fleet.workers if worker.pid == parent)


def kill_worker(fleet: Stack, worker: WorkerProcess) -> None:
    """Kills a whole worker, as a machine that loses its power."""
    os.killpg(worker.pid, signal.SIGKILL)
    worker.stop()
    fleet.workers.remove(worker)


def wrong_with(reading: Reading, timeout_s: float = 40.0) -> list[str]:
    """Waits for the end of a stream; what is not as if nothing had happened."""
    if not reading.wait(timeout_s):
        return [f"it has not ended within {timeout_s:g} s"]
    if reading.error is not None:
        return [f"{type(reading.error).__name__}: {reading.error}"]
    if reading.sha256.digest() != hashlib.sha256(expected(COUNT, SIZE)).digest():
        return [f"other bytes: {reading.bytes} of {len(expected(COUNT, SIZE))}"]
    return []


def twice(place: Path, stage: str = "mix") -> int:
    """How many chunks a stage has worked at more than once."""
    numbers = [n for lines in traces_of(place, stage).values() for n, _ in lines]
    return len(numbers) - len(set(numbers))


def again_at(place: Path, stage: str, dead: int) -> float | None:
    """When (Unix time) another process than the dead one began to work as a stage."""
    others = (lines for pid, lines in traces_of(place, stage).items() if pid != dead)
    return min((when for lines in others for _, when in lines), default=None)


def lease_ends_at(fleet: Stack, reading: Reading, seat: int) -> float:
    """When (Unix time) the lease of a seat ends, as it stands now."""
    (detail,) = opened(fleet, reading.streamed)[:1]
    with Redis.from_url(fleet.url, decode_responses=True) as redis:
        (run,) = redis.scan_iter(match=f"*:{detail['run']}", count=1000)
        return int(str(redis.hget(run, f"lease:{seat}"))) / 1000


def kill(fleet: Stack, random: Random, number: int) -> Kill:
    """Kills the process of a stage in the middle of a stream, alone or with its worker."""
    seat, whole = number % len(STAGES), bool(number // len(STAGES) % 2)
    reading, place = begin(fleet, f"kill-{number}-{random.randrange(10**6)}")
    victim = at_work(fleet, reading, place)[seat]
    after_s = random.uniform(0, 1.5)
    threading.Event().wait(after_s)
    killed_at = time.time()
    if whole:
        kill_worker(fleet, worker_of(fleet, victim))
    else:
        os.kill(victim, signal.SIGKILL)
    ends_at = lease_ends_at(fleet, reading, seat)
    if whole:
        fleet.worker(1)
    wrong = wrong_with(reading)
    at = again_at(place, STAGES[seat], victim)
    if at is None or at > ends_at + AGAIN_WITHIN_S:
        wrong.append(f"did not go on within {AGAIN_WITHIN_S:g} s of the lease's end")
    wrong += [*_worked_wrongly(place, STAGES[seat], victim), *_left(fleet)]
    again_s, lease_s = (None, None) if at is None else (at - killed_at, at - ends_at)
    return Kill(STAGES[seat], whole, after_s, again_s, lease_s, twice(place), tuple(wrong))


def _worked_wrongly(place: Path, stage: str, dead: int) -> Iterator[str]:
    """What stages have worked at that they should not have, or the other way round."""
    for other in STAGES:
        if other != stage and len(traces_of(place, other)) != 1:
            yield f"{other} was run again, though nobody had killed it"
    traces = {pid: [n for n, _ in lines] for pid, lines in traces_of(place, stage).items()}
    before = traces.pop(dead)
    for numbers in traces.values():
        if stage == "mix" and (again := set(numbers) & set(before[:-IN_FLIGHT])):
            yield f"{stage} has worked at finished chunks again: {sorted(again)}"
        if stage != "mix" and numbers[:1] != [1]:
            yield f"{stage} has a state and did not begin anew"


def kills(count: int, seed: int) -> Iterator[Kill]:
    """So many kills, one after the other, on one fleet."""
    random = Random(seed)
    with tempfile.TemporaryDirectory() as place:
        with stack(Path(place), [1] * WORKERS, LEASES) as fleet:
            for number in range(count):
                yield kill(fleet, random, number)


def row(number: int, one: Kill) -> str:
    """A kill for people."""
    what = "worker" if one.whole else "process"
    times = "".join(f"{'-' if s is None else f'{s:.2f}':>9}" for s in (one.again_s, one.lease_s))
    end = "; ".join(one.wrong) or "identical"
    return f"{number:>4}  {one.stage:8}{what:9}{one.after_s:>8.2f}{times}{one.twice:>7}  {end}"


def main() -> int:
    """Runs and prints; the exit code is 1 when something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(HEAD, flush=True)
    done: list[Kill] = []
    for number, one in enumerate(kills(options.kills, options.seed), 1):
        done.append(one)
        print(row(number, one), flush=True)
    wrong = sum(bool(one.wrong) for one in done)
    print(_times("the kill", [one.again_s for one in done]))
    print(_times("the end of the lease", [one.lease_s for one in done]))
    print(f"{len(done)} kills, {wrong} with something wrong")
    return int(bool(wrong))


def _times(since: str, all_s: list[float | None]) -> str:
    times = [one for one in all_s if one is not None] or [float("nan")]
    median, most = statistics.median(times), max(times)
    return f"going on after {since}: median {median:.2f} s, at most {most:.2f} s"


def _done(place: Path, stage: str) -> int:
    return max((len(lines) for lines in traces_of(place, stage).values()), default=0)


def _left(fleet: Stack) -> list[str]:
    try:
        fleet.assert_nothing_left()
    except AssertionError as left:
        return [f"left: {left}"]
    return []


if __name__ == "__main__":
    sys.exit(main())
