"""A streamed execution: its bytes as they come, while it reads what its caller sends."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, suppress
from functools import partial
from types import TracebackType
from typing import Protocol, TypeAlias

from engine.core.states import ExecutionStatus
from engine.errors import (
    EngineError,
    ExecutionAlreadyCompleted,
    ExecutionFailed,
    ExecutionNotExists,
    StoreUnavailable,
)
from engine.runtime.health import redis_errors
from engine.runtime.scripts import STORE_ERRORS
from engine.runtime.streaming import CALLER_S, Caller
from engine.runtime.views import Execution
from streams.chunk import Chunk
from streams.edge import Edge
from streams.errors import StreamCancelled, StreamError, StreamFailed, StreamUnavailable
from streams.pipe import Stop


class Readable(Protocol):
    """An open file, or what reads like one."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; none at its end."""
        ...


Source: TypeAlias = bytes | bytearray | memoryview | Readable | Iterable[bytes]
"""What a caller may send: bytes, an open file, or anything that gives bytes."""

SOURCE_CHUNK_BYTES = 240_000
"""How much is sent at once: what Redis keeps without waste."""

LOOK_S = 0.25
"""How often it is looked whether an execution has ended that writes nothing."""

KEEP_EVERY_S = CALLER_S / 5
SOURCE_FAILED = "SourceFailed"
CLOSED = "CallerClosed"
DIFFERS = "StreamDiffers"
INCOMPLETE = "StreamIncomplete"


class Followed(Protocol):
    """An execution that has been started."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    def describe(self) -> Execution:
        """It as it is now."""
        ...

    def wait(self, timeout_s: float | None = None) -> Execution:
        """Waits for its end."""
        ...

    def stop(self, error: str | None = None, cause: str | None = None) -> Execution:
        """Stops it."""
        ...


class StreamedExecution(Iterator[bytes]):
    """The bytes that an execution writes to its caller, as they come; one thread reads them.

    Iterate to the end, or leave early by `close`, which stops the execution; as a context manager
    it closes itself. The end of the iteration is the execution's end.

    Attributes:
        execution: The execution's run, there at once: its name, `describe`, `wait`.

    Raises:
        ExecutionFailed: from the iteration, when the execution failed, timed out or was stopped,
            or has succeeded without the whole stream: what has been given out by then is no whole
            result. StoreUnavailable.
    """

    def __init__(self, execution: Followed, caller: Caller, source: Source | None) -> None:
        self.execution = execution
        self._reading = _Reading(execution, caller)
        self._bytes = self._reading.whole()
        # What runs besides knows nothing of this object: when nobody has it any more it closes.
        stop = self._reading.stop
        _in_background("penstock-caller", self._reading.keep)
        if source is not None:
            _in_background("penstock-source", partial(_send, caller, stop, source))

    def __next__(self) -> bytes:
        with redis_errors():
            return next(self._bytes)

    def __enter__(self) -> StreamedExecution:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        with suppress(StoreUnavailable):  # it is then stopped because its caller is gone
            self.close()

    def close(self) -> None:
        """Stops the execution unless it has ended. Idempotent; any thread may call it."""
        reading = self._reading
        with redis_errors():
            if not reading.ended:
                with suppress(ExecutionAlreadyCompleted, ExecutionNotExists):
                    self.execution.stop(CLOSED, "the program that read its stream closed it")
            reading.leave()
            with suppress(ValueError):  # another thread is reading, which learns that it is over
                self._bytes.close()


class _Reading:
    """How far a caller has come with reading what its execution writes."""

    def __init__(self, execution: Followed, caller: Caller) -> None:
        self.stop = Stop()
        self.ended = False
        self._execution = execution
        self._caller = caller
        self._delivery = _Delivery()
        self._edges: list[Edge] = []

    def whole(self) -> Generator[bytes, None, None]:
        """All bytes. Raises ExecutionFailed after them if they are not; StoreUnavailable."""
        is_whole = True
        try:
            for run in self._runs():
                if is_whole := (yield from self._of_run(self._caller.sink(run))):
                    break
        except StreamUnavailable as away:
            raise StoreUnavailable(str(away)) from away
        except (ExecutionFailed, StreamError) as error:
            raise self._given_up(error) from error
        execution = self._execution.wait()
        self.leave()
        if execution.status is not ExecutionStatus.SUCCEEDED:
            raise ExecutionFailed(execution.error or execution.status.value, execution.cause or "")
        if not is_whole:
            raise ExecutionFailed(INCOMPLETE, self._delivery.short())

    def keep(self) -> None:
        """Says that the caller is there, until it has left. Blocking.

        A stream whose lead has died with its execution has nobody who would say that it is over.
        """
        while not self.stop.wait(KEEP_EVERY_S):
            with suppress(StreamError, EngineError, *STORE_ERRORS):
                self._caller.keep()
                for edge in self._edges[-1:]:
                    if self._execution.describe().status.ended and not edge.progress().ended:
                        edge.delete()

    def leave(self) -> None:
        """The caller's ends are not needed any more. Idempotent."""
        if not self.ended:
            self.ended = True
            self.stop.set("the execution has ended")
            with suppress(StreamError, *STORE_ERRORS):
                for edge in self._edges:
                    edge.delete()
                self._caller.detach()

    def _given_up(self, error: ExecutionFailed | StreamError) -> ExecutionFailed:
        """What has broken the stream here; the execution is stopped for it."""
        if isinstance(error, StreamError):
            error = ExecutionFailed(type(error).__name__, str(error))
        with suppress(ExecutionAlreadyCompleted, ExecutionNotExists):
            self._execution.stop(error.error, error.cause)
        self.leave()
        return error

    def _runs(self) -> Iterator[str]:
        """The runs that write to us, each once, until the execution has ended."""
        seen: set[str] = set()
        while (run := self._next_run()) is not None:
            if run not in seen:
                seen.add(run)
                yield run

    def _next_run(self) -> str | None:
        """The next run that writes to us; None once the execution has ended."""
        while True:
            ended = self._execution.describe().status.ended
            if (run := self._caller.next_run(0.01 if ended else LOOK_S)) or ended:
                return run

    def _of_run(self, edge: Edge) -> Generator[bytes, None, bool]:
        """What a run writes; True if that was all.

        When it has failed the execution says why, or tries again: the next run.
        """
        self._delivery.begin_anew()
        # Until the execution has ended: who goes on for a writer that died must find its end.
        self._edges.append(edge)
        try:
            for chunk in self._chunks(edge):
                if fresh := self._delivery.fresh(chunk):
                    yield fresh
        except (StreamFailed, StreamCancelled):
            return False
        self._delivery.check_whole()
        return True

    def _chunks(self, edge: Edge) -> Iterator[Chunk]:
        with closing(edge.reader(1, self.stop)) as reader:
            for chunk in reader:
                yield chunk
                reader.commit(chunk.seq)


def _send(caller: Caller, stop: Stop, source: Source) -> None:
    """Writes the source; when it raises, that is how the stream fails."""
    # What becomes of it the execution says.
    with (
        suppress(StreamError, *STORE_ERRORS),
        closing(caller.source().writer(1, stop, resume_seq=None)) as writer,
    ):
        try:
            for part in parts_of(source):
                writer.write(part)
        except StreamError:
            raise
        except Exception as error:  # of an iterable that is the user's
            writer.fail(SOURCE_FAILED, f"{type(error).__name__}: {error}")
        else:
            writer.end()


class _Delivery:
    """What has been given out. A run that begins anew must begin with just that."""

    def __init__(self) -> None:
        self._given = hashlib.sha256()
        self._given_bytes = 0
        self.begin_anew()

    def begin_anew(self) -> None:
        """A new run: it repeats what was given out."""
        self._expected, self._left_bytes = self._given.digest(), self._given_bytes
        self._again = hashlib.sha256()

    def fresh(self, chunk: Chunk) -> bytes:
        """The part of the chunk that was not given out before. Raises ExecutionFailed."""
        if not self._left_bytes:
            return self._give(chunk)
        again, fresh = chunk[: self._left_bytes], chunk[self._left_bytes :]
        self._again.update(again)
        self._left_bytes -= len(again)
        if not self._left_bytes and self._again.digest() != self._expected:
            raise ExecutionFailed(DIFFERS, "the stream was begun anew, with other bytes")
        return self._give(fresh)

    def check_whole(self) -> None:
        """To be called at the end of a run. Raises ExecutionFailed if it repeated too little."""
        if self._left_bytes:
            raise ExecutionFailed(DIFFERS, "the stream was begun anew, with fewer bytes")

    def short(self) -> str:
        """Why what was given out is not whole though the execution has succeeded."""
        return (
            f"its stream broke off, {self._given_bytes} bytes came; the execution went on without"
            " it and has succeeded: its output says how"
        )

    def _give(self, part: bytes) -> bytes:
        self._given.update(part)
        self._given_bytes += len(part)
        return part


def parts_of(source: Source) -> Iterator[bytes]:
    """A source as parts of bounded size.

    Raises:
        OSError, ValueError: what the source raises.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        yield from _cut(source)
    elif isinstance(source, Iterable) and not hasattr(source, "read"):
        for given in source:
            yield from _cut(given)
    else:
        while part := source.read(SOURCE_CHUNK_BYTES):
            yield part


def _cut(given: bytes | bytearray | memoryview) -> Iterator[bytes]:
    view = memoryview(given).cast("B")
    for start in range(0, len(view), SOURCE_CHUNK_BYTES):
        yield bytes(view[start : start + SOURCE_CHUNK_BYTES])


def _in_background(name: str, work: Callable[[], None]) -> None:
    threading.Thread(target=work, name=name, daemon=True).start()
