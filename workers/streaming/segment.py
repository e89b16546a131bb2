"""A segment: the stages of one seat, each in a thread of its own, joined by pipes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from streams.ends import EdgeFigures, Reader, Writer
from streams.errors import StreamCancelled, StreamError, StreamFailed, StreamFenced
from streams.lanes import LaneReader, LaneWriter
from streams.pipe import pipe
from streams.stop import Stop
from workers.streaming.stage import Stage, StageContext, StageFailed
from workers.streaming.tally import Tally

FAILED = "another stage has failed"
"""Why the threads of a segment are stopped of which one has failed."""


@dataclass(frozen=True, slots=True)
class Ends:
    """What a segment reads and writes.

    `reader` None: nothing comes in. `late`: a chunk is freed once what was made of it is written,
    so that a successor goes on there. `marks`: the end of what one chunk became is marked.
    `held`: closes what they hold open, files and shared memory.
    """

    reader: Reader | None
    writer: Writer
    late: bool = False
    marks: bool = False
    held: ExitStack = field(default_factory=ExitStack)

    def close(self) -> None:
        """Removes what was prepared of an object that will not be made here. Idempotent."""
        if isinstance(self.writer, Tally):
            self.writer.close()

    def release(self) -> None:
        """Closes what they hold; only once nobody reads or writes any more. Idempotent."""
        self.held.close()


@dataclass(slots=True)
class Segment:
    """Runs stages until the last has ended, or one has failed.

    `context` makes what a stage is told of itself; `news` is called when the segment is over.
    `failure`: of the stage that failed first, or what broke the stream here.
    """

    stages: Sequence[Stage]
    ends: Ends
    stop: Stop
    window_bytes: int
    context: Callable[[Stage], dict[str, Any]]
    news: Callable[[], None]
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    inner: list[EdgeFigures] = field(default_factory=list)
    failure: StageFailed | StreamError | None = None
    _running: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def over(self) -> bool:
        """True when all its threads have ended."""
        return self._running == 0

    @property
    def finished(self) -> bool:
        """True when it is over and all has gone well."""
        return self.over and self.failure is None

    def start(self) -> None:
        """Starts the threads."""
        works = self._works()
        self._running = len(works)
        for name, work in works:
            threading.Thread(target=self._guard, args=(work,), name=name, daemon=True).start()

    def join(self, timeout_s: float) -> bool:
        """Waits for the threads; False if some still run. They may be deep in a library."""
        deadline = time.monotonic() + timeout_s
        while not self.over and time.monotonic() < deadline:
            threading.Event().wait(0.01)
        return self.over

    def _works(self) -> list[tuple[str, Callable[[], None]]]:
        works: list[tuple[str, Callable[[], None]]] = []
        reader = self.ends.reader
        for position, stage in enumerate(self.stages):
            last = position == len(self.stages) - 1
            writer, following = (self.ends.writer, None) if last else self._pipe()
            # What reads nothing has nothing to share out: it runs once.
            if stage.call.concurrency > 1 and reader is not None and not self.ends.marks:
                works += self._in_lanes(stage, reader, writer)
            else:
                works.append((stage.call.name, self._work(stage, reader, writer)))
            reader = following
        return works

    def _pipe(self) -> tuple[Writer, Reader]:
        writer, reader = pipe(self.window_bytes, self.stop)
        self.inner.append(writer.figures)
        return writer, reader

    def _work(
        self, stage: Stage, reader: Reader | None, writer: Writer, marks: bool = False
    ) -> Callable[[], None]:
        context = StageContext(
            **self.context(stage),
            reader=reader,
            writer=writer,
            stop=self.stop,
            late=self.ends.late,
            mark=writer.mark if marks or self.ends.marks else None,
        )

        def work() -> None:
            result = stage.run(context)
            with self._lock:
                self.results[stage.call.name] = self.results.get(stage.call.name, {}) | result

        return work

    def _in_lanes(
        self, stage: Stage, reader: Reader, writer: Writer
    ) -> list[tuple[str, Callable[[], None]]]:
        """A stage that takes several chunks at once: they are dealt out, and gathered in order."""
        lanes = [
            (pipe(self.window_bytes, self.stop), pipe(self.window_bytes, self.stop))
            for _ in range(stage.call.concurrency)
        ]
        dealt = LaneWriter([given for (given, _), _ in lanes])
        gathered = LaneReader([taken for _, (_, taken) in lanes])
        works = [(f"{stage.call.name}-deal", lambda: _copy(reader, dealt))]
        for number, ((_, given), (made, _)) in enumerate(lanes):
            name = f"{stage.call.name}-{number}"
            works.append((name, self._work(stage, given, made, marks=True)))
        works.append((f"{stage.call.name}-gather", lambda: _copy(gathered, writer)))
        return works

    def _guard(self, work: Callable[[], None]) -> None:
        failure: StageFailed | StreamError | None = StreamError("a thread of a stage has died")
        try:
            work()
            failure = None
        except (StageFailed, StreamError) as error:
            failure = error
        finally:
            with self._lock:
                if failure is not None:
                    self.failure = _first(self.failure, failure)
                self._running -= 1
            if failure is not None:  # the others may wait for one that is not there any more
                self.stop.set(FAILED)
            self.news()


def _first(
    known: StageFailed | StreamError | None, error: StageFailed | StreamError
) -> StageFailed | StreamError:
    """Of two failures the one that tells more: a stage's own before what it led to elsewhere."""
    if known is None or (isinstance(error, StageFailed) and not isinstance(known, StageFailed)):
        return error
    if isinstance(known, StreamCancelled | StreamFenced) and isinstance(error, StreamFailed):
        return error
    return known


def _copy(reader: Reader, writer: Writer) -> None:
    """Hands all chunks on, and the end, or the failure."""
    try:
        for chunk in reader:
            writer.write(chunk, chunk.headers)
            reader.commit(chunk.seq)
        writer.end()
    except StreamFailed as failed:
        writer.fail(failed.error, failed.cause)
        raise
