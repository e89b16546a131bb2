"""A stage: the function of one inner step of a stream, between what it reads and what it writes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from engine.core.outcomes import INVALID_LOCAL, Failure, failure_of, result_outcome
from engine.core.streaming import StageCall, stage_failure
from engine.runtime.crashing import crash_point
from engine.runtime.logs import about
from engine.runtime.payloads import dumps
from streams.ends import Reader, Writer
from streams.errors import StreamCancelled, StreamError, StreamFailed, StreamFenced
from streams.pipe import Stop
from tasks.chunk import BytesLike, Chunk
from tasks.context import TaskContext
from tasks.errors import INVALID_ARGUMENT, TaskError
from tasks.registry import RegisteredTask
from workers.inputs import TaskInput

FLUSH_S = 0.01
"""About how much work of a stateless stage may be done again when its process dies."""


class StageFailed(Exception):
    """A stage has failed, or the stream at it. `stage`: its name; `failure`: what the flow sees."""

    def __init__(self, stage: str, failure: Failure) -> None:
        self.stage = stage
        self.failure = failure
        super().__init__(f"{stage}: {failure.error}")


@dataclass(slots=True, kw_only=True)
class StageContext(TaskContext):
    """A task's context in a stream.

    `late`: a chunk is done with when the next one is asked for, after what was made of it has been
    written; else as soon as it is handed out. `mark` is called between two chunks.
    """

    reader: Reader | None
    writer: Writer
    stop: Stop
    late: bool = False
    mark: Callable[[], None] | None = None
    _chunks: Iterator[Chunk] | None = field(default=None)
    _flushed: float = float("-inf")

    @property
    def cancelled(self) -> bool:
        """True once the stream is being stopped; `read` and `write` raise then."""
        return self.stop.is_set

    def read(self) -> Iterator[Chunk]:
        """The chunks of the stage before, or of the stream's source. Blocking."""
        if self._chunks is None:
            self._chunks = self._read()
        return self._chunks

    def write(self, data: BytesLike, headers: Mapping[str, str] | None = None) -> None:
        """Hands a chunk to the next stage. Blocking: waits while that has enough to do.

        Raises:
            TypeError: this is no bytes, or there is a header that is no text.
        """
        _check(data, headers)
        self.writer.write(data, headers)

    def _read(self) -> Iterator[Chunk]:
        for chunk in self.reader or ():
            if not self.late:
                self.reader.commit(chunk.seq)  # type: ignore[union-attr]  # there is a chunk of it
            yield cast(Chunk, chunk)
            if self.mark is not None:
                self.mark()
            if self.late:
                self._commit(chunk.seq)

    def _commit(self, seq: int) -> None:
        """A successor runs again what is not committed: little of it, where chunks take long."""
        assert self.reader is not None
        self.reader.commit(seq, self.writer.seq)
        now = time.monotonic()
        if now - self._flushed > FLUSH_S:
            self._flushed = now
            self.reader.flush()


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage that this process can run."""

    call: StageCall
    task: RegisteredTask

    @property
    def stateless(self) -> bool:
        """True when each of its outputs depends on one chunk of its input alone."""
        return self.task.is_stateless(self.call.input)

    def run(self, context: StageContext) -> dict[str, Any]:
        """Runs it from its first chunk to its last; what it returns. Blocking.

        Raises:
            StageFailed: the stage itself, or the stream at it. StreamFailed: the stage before has.
            StreamCancelled, StreamFenced: somebody else goes on, or nobody.
        """
        try:
            return self._run(context)
        except (StreamCancelled, StreamFenced):
            raise
        except StreamFailed as failed:
            context.writer.fail(failed.error, failed.cause)
            raise
        except StageFailed as failed:
            context.writer.fail(failed.failure.error, failed.failure.cause)
            raise

    def _run(self, context: StageContext) -> dict[str, Any]:
        crash_point("before a task")
        local = self._checked(self._called(context))
        try:
            for _ in context.read():  # what it did not want is done with, too
                pass
            context.writer.end()
        except StreamError as error:
            raise self._broken(error) from error
        except TaskError as error:  # of an object at the outer ends
            raise self._failed(failure_of(error)) from error
        crash_point("after a task")
        return local

    def _called(self, context: StageContext) -> Any:
        if (cause := self._unfit()) is not None:
            raise self._failed(Failure(INVALID_ARGUMENT, cause))
        try:
            with about(context):
                return self.task.call(TaskInput(self.call.input), context)
        except StreamError as error:
            raise self._broken(error) from error
        except (SystemExit, KeyboardInterrupt) as error:  # the task's: here is no main thread
            raise self._failed(Failure(type(error).__name__, str(error))) from error
        except Exception as error:  # the task's own: data from here on
            if isinstance(error.__cause__, StreamError):
                raise self._broken(error.__cause__) from error
            if context.cancelled:  # what a library made of it
                raise StreamCancelled(str(error)) from error
            failure = failure_of(error)
            context.log.info("stage failed", extra={"error": failure.error}, exc_info=error)
            raise self._failed(failure) from error

    def _unfit(self) -> str | None:
        name = self.task.name
        if not self.task.stream:
            return f"{name} is no stream task: declare it @task(..., stream=True)"
        if self.call.concurrency > 1 and not self.stateless:
            return f"{name} has a state from chunk to chunk: it cannot have concurrency"
        return None

    def _checked(self, result: Any) -> dict[str, Any]:
        local = result_outcome(result)
        if isinstance(local, Failure):
            raise self._failed(local)
        try:
            own: dict[str, Any] = json.loads(dumps(local))
        except (TypeError, ValueError) as error:
            failure = Failure(INVALID_LOCAL, f"the result is not JSON: {error}")
            raise self._failed(failure) from error
        return own

    def _broken(self, error: StreamError) -> Exception:
        """What the flow sees of a stream that does not go on."""
        if isinstance(error, StreamCancelled | StreamFenced | StreamFailed):
            return error
        return self._failed(Failure(type(error).__name__, str(error)))

    def _failed(self, failure: Failure) -> StageFailed:
        return StageFailed(self.call.name, stage_failure(self.call, failure))


def _check(data: BytesLike, headers: Mapping[str, str] | None) -> None:
    if not isinstance(data, BytesLike):  # bytes() makes zeros of a number
        raise TypeError(f"a stream is written in bytes, not in {type(data).__name__}")
    for name, value in (headers or {}).items():
        if not (isinstance(name, str) and isinstance(value, str)):
            raise TypeError(f"header {name!r} is {value!r}: names and values are texts")
