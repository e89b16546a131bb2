"""Calls: a task's function, called as a worker would call it."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeAlias

from engine.core.happenings import TaskRaised, TaskReturned, WorkerLost
from engine.core.outcomes import INVALID_LOCAL, failure_of

TaskFunction = Callable[..., Any]


Outcome: TypeAlias = TaskReturned | TaskRaised | WorkerLost
"""What comes of a call."""


class WorkerDied(Exception):
    """A function raises it to play a worker that dies in the middle of the task."""


class NotInStream(Exception):
    """A task that is no stage of a stream reads or writes; `code` and `cause` as a flow sees it."""

    code = "NotInStream"

    def __init__(self, step: str) -> None:
        self.cause = f"step {step!r} is no stage of a step of `type: stream`"
        super().__init__(self.cause)


class SimulatedChunk(bytes):
    """Bytes that one stage writes and the next one reads. `seq` counts from 1."""

    seq: int = 1
    headers: dict[str, str]

    def __new__(cls, data: bytes | memoryview = b"") -> SimulatedChunk:
        """A chunk with a copy of the data and no headers."""
        made = super().__new__(cls, data)
        made.headers = {}
        return made


@dataclass(slots=True, kw_only=True)
class SimulatedContext:
    """What a task gets as its second argument; the same attributes as on a worker, and `take`.

    `taken_s` is the virtual time that the call has taken.
    """

    execution: str
    flow: str
    step: str
    frame: str
    attempt: int
    idempotency_key: str
    taken_s: float = 0.0

    def take(self, seconds: float) -> None:
        """Lets the call take that much (more) virtual time."""
        self.taken_s += seconds

    @property
    def cancelled(self) -> bool:
        """Always False: a simulated call takes no time in which it could be cut off."""
        return False

    def heartbeat(self) -> None:
        """Does nothing."""

    def read(self) -> Iterator[SimulatedChunk]:
        """The chunks of the stage before. Raises NotInStream where there is none."""
        raise NotInStream(self.step)

    def write(self, data: Any, headers: Mapping[str, str] | None = None) -> None:
        """Hands a chunk to the next stage. Raises NotInStream where there is none."""
        raise NotInStream(self.step)

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger that names execution, frame, step and attempt in each record's `extra`."""
        names = ("execution", "flow", "step", "frame", "attempt")
        fields = {name: getattr(self, name) for name in names}
        return logging.LoggerAdapter(logging.getLogger("penstock.task"), fields)


def call(function: TaskFunction, input: dict[str, Any], context: SimulatedContext) -> Outcome:
    """Calls a task's function, plain or async, with a copy of its input.

    What it returns has gone through JSON, as on its way through a store.
    """
    result: Any = None
    with Caught() as caught:
        result = _result(function, json.loads(json.dumps(input)), context)
    if isinstance(caught.error, WorkerDied):
        return WorkerLost()
    if caught.error is not None:
        failure = failure_of(caught.error)
        return TaskRaised(failure.error, failure.cause)
    try:
        text = json.dumps(result, ensure_ascii=False, allow_nan=False)
        text.encode()
        return TaskReturned(json.loads(text))
    except (TypeError, ValueError, RecursionError) as error:
        return TaskRaised(INVALID_LOCAL, f"the result is no JSON: {error}")


def _result(function: TaskFunction, input: dict[str, Any], context: SimulatedContext) -> Any:
    result = function(input, context) if _takes_two(function) else function(input)
    if inspect.isawaitable(result):
        return asyncio.run(_awaited(result))
    return result


async def _awaited(result: Any) -> Any:
    return await result


def _takes_two(function: TaskFunction) -> bool:
    try:
        inspect.signature(function).bind(None, None)
    except TypeError:
        return False
    except ValueError:  # a builtin without a signature
        return True
    return True


class Caught:
    """Keeps the exception of somebody else's code, an exit included; what is none of it goes on."""

    def __init__(self) -> None:
        self.error: Exception | SystemExit | None = None

    def __enter__(self) -> Caught:
        """The keeper; its `error` is set when the block is left."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        """Keeps an exception; True: it goes no further."""
        if isinstance(error, Exception | SystemExit):
            self.error = error
            return True
        return False
