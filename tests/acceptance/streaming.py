"""Streams on real workers: flows of one stream step, who ran it, and what must not be left."""

from __future__ import annotations

import os
import re
import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from redis import Redis

from engine.config import Settings
from engine.core.events import EventType
from engine.runtime.embedded import EmbeddedRedis
from engine.runtime.engine import Engine
from engine.runtime.streamed import Source, StreamedExecution
from tests.acceptance.running import HEAD, history, of_type
from tests.acceptance.streamed_tasks import chained, mixed, numbered
from tests.processes import WorkerProcess
from tests.stores import without_ttl
from tests.waiting import wait_until

TASKS = Path(__file__).with_name("streamed_tasks.py")
QUICK = {
    # Who stands still for a while is not taken for dead, and who is slow to help is waited for.
    "PENSTOCK_LEASE_S": "10",
    "PENSTOCK_STREAM_GATHER_S": "5",
    "PENSTOCK_SWEEP_EVERY_S": "0.3",
    "PENSTOCK_DISPATCH_GRACE_S": "1",
}
SHARED = Path("/dev/shm")
GONE_WITHIN_S = 8.0
"""How soon after its end an execution has left nothing but what says what it was."""


@dataclass
class Stack:
    """Redis with workers on it. `place`: a folder that the tasks share."""

    engine: Engine
    url: str
    place: Path
    server: EmbeddedRedis
    env: dict[str, str]
    workers: list[WorkerProcess] = field(default_factory=list)

    def worker(
        self, slots: int = 1, *options: str, url: str | None = None, tasks: Path = TASKS
    ) -> WorkerProcess:
        """One more worker, once it consumes and is known."""
        given = ["-c", str(slots), *options]
        worker = WorkerProcess(url or self.url, [tasks], given, self.env).start()
        self.workers.append(worker)
        alive = sum(each.lives for each in self.workers)
        wait_until(lambda: len(self.engine.runtime.fleet.workers(fresh=True)) >= alive)
        return worker

    def close(self) -> None:
        """Ends all workers."""
        for worker in self.workers:
            if worker.lives:  # all at once: each takes its time
                os.kill(worker.pid, signal.SIGTERM)
        for worker in self.workers:
            worker.stop()

    def stream(
        self,
        flow: str,
        steps: str,
        input: Mapping[str, Any] | None = None,
        source: Source | None = None,
    ) -> StreamedExecution:
        """Deploys steps (YAML, a list) and streams through them; the tasks are told the place."""
        if flow not in [each.name for each in self.engine.list_flows()]:
            self.engine.create_flow(flow, HEAD + steps)
        given = {"place": str(self.place)} | dict(input or {})
        return self.engine.stream(flow, given, source)

    @property
    def spool(self) -> Path:
        """Where its workers keep what streams have read."""
        return Path(self.env["TMPDIR"]) / f"penstock-spool-{os.getuid()}"

    @property
    def memory(self) -> Path:
        """Its shared memory."""
        return Path(self.env["PENSTOCK_STREAM_MEMORY"])

    def rings(self) -> list[Path]:
        """The files that there are in shared memory."""
        return [path for path in self.memory.rglob("*") if path.is_file()]

    def assert_nothing_left(self) -> None:
        """After the end: of streams there are no keys, no files, nothing in shared memory."""
        with suppress(AssertionError):
            wait_until(lambda: not self.left(), GONE_WITHIN_S)
        left = self.left()
        assert left == [], left

    def assert_nothing_held(self) -> None:
        """After the end: nobody has a file of a spool or of shared memory open, or mapped."""
        with suppress(AssertionError):
            wait_until(lambda: not self.held())
        held = self.held()
        assert held == [], held

    def held(self) -> list[str]:
        """The files of streams that its workers, or this process, have open or mapped."""
        parents = [psutil.Process(worker.pid) for worker in self.workers]
        children = [child for parent in parents for child in parent.children()]
        names: list[str] = []
        for process in (psutil.Process(), *parents, *children):
            for link in Path(f"/proc/{process.pid}/fd").iterdir():
                with suppress(FileNotFoundError):  # the one that lists them
                    names.append(os.readlink(link))
            maps = Path(f"/proc/{process.pid}/maps").read_text()
            names += [line.split(maxsplit=5)[-1] for line in maps.splitlines()]
        return [name for name in names if name.startswith((str(self.spool), str(self.memory)))]

    def left(self) -> list[str]:
        """What is left of streams, but for counters of epochs, which have a life of their own."""
        with Redis.from_url(self.url, decode_responses=True) as redis:
            keys = [str(key) for key in redis.scan_iter(match="*:{s:*", count=1000)]
            found = [key for key in keys if not key.endswith(":epoch")] + without_ttl(redis)
            seats: Any = redis.zrange(self.engine.runtime.store.keys.seats, 0, -1)
            found += [f"seat {seat}" for seat in seats]
        spooled = [str(path) for path in self.spool.rglob("*")] if self.spool.exists() else []
        return found + spooled + [str(path) for path in self.memory.glob("*/*")]

    def traced(self, stage: str, place: Path | None = None) -> dict[int, list[int]]:
        """The numbers of the chunks that each process has worked at, as its stage."""
        traces = traces_of(place or self.place, stage)
        return {pid: [number for number, _ in lines] for pid, lines in traces.items()}


@contextmanager
def stack(
    place: Path, slots: Sequence[int] = (), env: Mapping[str, str] | None = None
) -> Iterator[Stack]:
    """A stack with a worker for each of `slots`."""
    memory = tempfile.mkdtemp(prefix="penstock-test-", dir=SHARED if SHARED.exists() else place)
    temporary = place / "temporary"
    temporary.mkdir()
    kept = {
        **QUICK,
        "PENSTOCK_STREAM_MEMORY": memory,
        "TMPDIR": str(temporary),
        "PENSTOCK_STORAGE_ALLOW": place.as_uri(),
        **(env or {}),
    }
    with EmbeddedRedis() as server:
        traces = place / "traces"
        traces.mkdir()
        # It sees the memory that the workers see, as programs of one host do.
        engine = Engine(server.url, Settings(stream_memory=Path(kept["PENSTOCK_STREAM_MEMORY"])))
        made = Stack(engine, server.url, traces, server, kept)
        try:
            for count in slots:
                made.worker(count)
            yield made
        finally:
            made.close()
            shutil.rmtree(memory)


def stream_step(*stages: str, more: str = "") -> str:
    """A stream step of these tasks; a stage is named like its task, options may follow it."""
    lines = ["- type: stream", "  name: stream"]
    lines += [f"  {line}" for line in more.splitlines()]
    lines.append("  steps:")
    for stage in stages:
        name, comma, options = stage.partition(",")
        told = f"type: task, name: {name}, resourceArn: streamed/{name}{comma}{options}"
        lines.append(f"  - {{{told}}}")
    return "\n".join(lines) + "\n"


def traces_of(place: Path, stage: str) -> dict[int, list[tuple[int, float]]]:
    """What each process has left there as a stage: numbers of chunks, and when (Unix time)."""
    found: dict[int, list[tuple[int, float]]] = {}
    for path in place.glob(f"{stage}.*"):
        lines = [
            line.split() for line in path.read_text().splitlines(keepends=True) if "\n" in line
        ]
        found[int(path.suffix[1:])] = [(int(number), float(at)) for number, at in lines]
    return found


def read(streamed: StreamedExecution) -> bytes:
    """All bytes of a stream."""
    return b"".join(streamed)


def given(count: int, size: int) -> list[bytes]:
    """The chunks of the stage that gives."""
    return [numbered(number, size) for number in range(1, count + 1)]


def expected(count: int, size: int) -> bytes:
    """What comes out of give, mix and chain."""
    return b"".join(chained([mixed(chunk) for chunk in given(count, size)]))


def opened(stack: Stack, streamed: StreamedExecution) -> list[dict[str, Any]]:
    """The details of StreamOpened, one for each attempt."""
    return of_type(history(stack.engine, _run(stack, streamed)), EventType.STREAM_OPENED)


def closed(stack: Stack, streamed: StreamedExecution) -> list[dict[str, Any]]:
    """The details of StreamClosed."""
    return of_type(history(stack.engine, _run(stack, streamed)), EventType.STREAM_CLOSED)


def pids(detail: Mapping[str, Any]) -> list[int]:
    """The processes that a StreamOpened names, one for each part of the stream."""
    return [int(segment["pid"]) for segment in detail["segments"]]


def plain(cause: str | None) -> bool:
    """True for a cause that people can read: a line, no traceback, no object's address."""
    text = cause or ""
    return bool(text) and "\n" not in text and not re.search(r"Traceback|0x[0-9a-f]{6}", text)


def _run(stack: Stack, streamed: StreamedExecution) -> Any:
    return streamed.execution.describe()
