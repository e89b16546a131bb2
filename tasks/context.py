"""The task context: what a task may know of, and tell to, whoever runs it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from tasks.chunk import BytesLike, Chunk
from tasks.errors import NOT_IN_STREAM, TaskError


class _TaskLog(logging.LoggerAdapter[logging.Logger]):
    """Adds its fields to those of a call; the adapter as it comes would put them in their place."""

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        return msg, {**kwargs, "extra": {**(kwargs.get("extra") or {}), **(self.extra or {})}}


@dataclass(slots=True, kw_only=True)
class TaskContext:
    """Handed to a task as its second argument, if it takes one.

    As it stands it does nothing: it is what a test or a plain call uses. Whoever runs tasks for
    real overrides `cancelled`, and `heartbeat` if it has to be told; whoever runs them in a
    stream overrides `read` and `write`.

    Attributes:
        execution: Name of the execution.
        flow: Name of the flow.
        step: Name of the step.
        frame: Id of the frame ("" for the flow's own series, `orders.3` for an item of a foreach).
        attempt: 1 on the first try.
        idempotency_key: The same for every attempt of this visit of the step, different for any
            other: hand it to whatever must not happen twice.
    """

    execution: str = ""
    flow: str = ""
    step: str = ""
    frame: str = ""
    attempt: int = 1
    idempotency_key: str = ""

    @property
    def cancelled(self) -> bool:
        """True once the result is no longer wanted: return early, nobody reads what you return."""
        return False

    def heartbeat(self) -> None:
        """Says that the task is alive; a long task calls it between two items of its work.

        A worker needs no word of it: it keeps the lease of what it runs by itself.
        """

    def read(self) -> Iterator[Chunk]:
        """The chunks that the stage before writes, as they come; ends where they end. Blocking.

        Each call goes on where the last one stopped. The iterator raises when the stream is
        cancelled or when the stage before has failed: let it pass, there is nothing to mend.

        Raises:
            TaskError: `NotInStream`, the task does not run as a stage of a stream.
        """
        raise self._not_in_stream("read")

    def write(self, data: BytesLike, headers: Mapping[str, str] | None = None) -> None:
        """Hands a chunk to the stage after this one. Blocks while that one is too far behind.

        Args:
            data: Given away: change no bytearray after it was written. About 200 KiB at a time
                is fast; much less costs memory and time for each chunk.
            headers: What the next stage's `Chunk.headers` will be. None: those of `data`, if it is
                a Chunk.

        Raises:
            TaskError: `NotInStream`, the task does not run as a stage of a stream.
        """
        raise self._not_in_stream("write")

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger that names execution, frame, step and attempt in each record's `extra`."""
        return _TaskLog(logging.getLogger("penstock.task"), self._log_fields())

    def _log_fields(self) -> Mapping[str, Any]:
        names = ("execution", "flow", "step", "frame", "attempt")
        return {name: getattr(self, name) for name in names}

    def _not_in_stream(self, verb: str) -> TaskError:
        where = f"step {self.step!r}" if self.step else "this call"
        return TaskError(
            NOT_IN_STREAM,
            f"ctx.{verb}() works in a stage of a step of `type: stream`, and {where} is none; "
            "in a test, run the task by tasks.trying.run_stream",
        )
