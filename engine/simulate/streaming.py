"""Streaming in a simulation: the stages of a stream one after the other, over chunks in memory.

What a stage writes does not depend on when it reads, so the bytes, the chunks and the history are
those of a real run; only that everything is kept, and that nobody calls: no bytes come in from
outside, and nobody reads those that go out, unless the flow names an object for them.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

from engine.core.frame import run_key
from engine.core.happenings import TaskRaised, TaskReturned, WorkerLost
from engine.core.outcomes import INVALID_ARGUMENT, Failure, failure_of, result_outcome
from engine.core.scheduler import stream_opened
from engine.core.streaming import (
    TO_NOBODY,
    StageCall,
    StreamCall,
    edges_of,
    stage_failure,
    stream_local,
)
from engine.simulate.attempts import Attempt, function_names
from engine.simulate.calls import (
    Caught,
    Outcome,
    SimulatedChunk,
    SimulatedContext,
    TaskFunction,
    call,
)
from engine.simulate.objects import Objects

Finish: TypeAlias = Callable[[], Failure | None]
"""What is done at the end of the last stage."""

WHERE = "simulation"
"""Stands for the worker in StreamOpened."""


@dataclass(slots=True, kw_only=True)
class StageContext(SimulatedContext):
    """The second argument of a stage: it reads what the stage before has written."""

    given: Iterator[SimulatedChunk]
    written: list[SimulatedChunk] = field(default_factory=list)

    def read(self) -> Iterator[SimulatedChunk]:
        """The chunks of the stage before; a further call goes on where the last one stopped."""
        return self.given

    def write(self, data: Any, headers: Mapping[str, str] | None = None) -> None:
        """Hands a chunk, bytes or the like, to the stage after this one.

        `headers` None: those that the data has, if it is a chunk itself.
        """
        kept = getattr(data, "headers", {}) if headers is None else headers
        # Not bytes(data): a number would be as many zeros.
        made = SimulatedChunk(memoryview(data))
        made.seq, made.headers = len(self.written) + 1, dict(kept)
        self.written.append(made)


@dataclass(slots=True)
class StreamRun:
    """One attempt of a stream: what its edges have carried so far, and its stages' results.

    `taken_s` is the virtual time of the stage that took longest: they run at the same time.
    """

    attempt: Attempt
    stream: StreamCall
    tasks: Mapping[str, TaskFunction]
    objects: Objects | None = None
    carried: list[list[SimulatedChunk]] = field(default_factory=list)
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    taken_s: float = 0.0

    def outcome(self) -> Outcome:
        """Runs it and says what came of it, with the figures of its edges."""
        if self.stream.refusal is not None:
            return TaskRaised(self.stream.refusal.error, self.stream.refusal.cause)
        self._opened()
        failure, flow, finish = self._ends()
        if failure is not None:
            return self._failed(failure)
        for stage in self.stream.stages:
            came = self._stage(stage, flow)
            if isinstance(came, WorkerLost):
                return came
            failure = came or (finish() if stage is self.stream.stages[-1] else None)
            if failure is not None:
                return self._failed(stage_failure(stage, failure))
            flow = iter(self.carried[-1])
        return TaskReturned(self._local(), closed=self._closed())

    def _opened(self) -> None:
        stages = [stage.name for stage in self.stream.stages]
        detail = {
            "run": run_key(self.attempt.frame),
            "segments": [{"stages": stages, "worker": WHERE, "pid": 0}],
            "why": "a simulation runs all stages in one process",
        }
        execution, frame = self.attempt.execution, self.attempt.frame
        execution.record(frame.id, stream_opened(execution.graph, frame, detail))

    def _ends(self) -> tuple[Failure | None, Iterator[SimulatedChunk], Finish]:
        """What comes in, and what writes the object at the other end."""
        source, sink = self.stream.source, self.stream.sink
        missing = next((uri for uri in (source, sink) if uri is not None), None)
        if self.objects is None and missing is not None:
            return _no_objects(missing), iter(()), _nothing
        flow: Iterator[SimulatedChunk] = iter(())
        finish: Finish = _nothing
        with Caught() as caught:
            if self.objects is not None and source is not None:
                self.carried.append([])
                flow = self._incoming(self.objects.source(source), self.carried[0])
            if self.objects is not None and sink is not None:
                finish = partial(self._written, self.objects.sink(sink))
        return _failure(caught), flow, finish

    def _incoming(
        self, chunks: Iterable[bytes], carried: list[SimulatedChunk]
    ) -> Iterator[SimulatedChunk]:
        for number, data in enumerate(chunks, start=1):
            made = SimulatedChunk(data)
            made.seq = number
            carried.append(made)
            yield made

    def _written(self, write: Callable[[Iterable[bytes]], None]) -> Failure | None:
        with Caught() as caught:
            write(self.carried[-1])
        return _failure(caught)

    def _stage(
        self, stage: StageCall, flow: Iterator[SimulatedChunk]
    ) -> Failure | WorkerLost | None:
        """Runs one stage; None: it has come to its end and its result is kept."""
        context = self._context(stage, flow)
        names = function_names(stage.resource)
        function = next(self.tasks[name] for name in names if name in self.tasks)
        came = call(function, stage.input, context)
        self.carried.append(context.written)
        self.taken_s = max(self.taken_s, context.taken_s)
        if isinstance(came, WorkerLost):
            return came
        if isinstance(came, TaskRaised):
            return Failure(came.error, came.cause)
        local = result_outcome(came.result)
        if isinstance(local, Failure):
            return local
        self.results[stage.name] = local
        with Caught() as caught:  # what it did not want comes in all the same
            deque(flow, maxlen=0)
        return _failure(caught)

    def _failed(self, failure: Failure) -> TaskRaised:
        return TaskRaised(failure.error, failure.cause, closed=self._closed())

    def _context(self, stage: StageCall, flow: Iterator[SimulatedChunk]) -> StageContext:
        whole = self.attempt.context()
        return StageContext(
            execution=whole.execution,
            flow=whole.flow,
            step=f"{whole.step}/{stage.name}",
            frame=whole.frame,
            attempt=whole.attempt,
            idempotency_key=f"{whole.idempotency_key}/{stage.name}",
            given=flow,
        )

    def _local(self) -> dict[str, Any]:
        chunks, whole = self.carried[-1], hashlib.sha256()
        for chunk in chunks:
            whole.update(chunk)
        size = sum(len(chunk) for chunk in chunks)
        sink = self.stream.sink or TO_NOBODY
        return stream_local(len(chunks), size, whole.hexdigest(), sink, self.results)

    def _closed(self) -> dict[str, Any]:
        names = [stage.name for stage in self.stream.stages]
        ends = edges_of(names, self.stream.source is not None)
        carried = [*self.carried, *([[]] * (len(ends) - len(self.carried)))]
        return {"edges": [_figures(*at, chunks) for at, chunks in zip(ends, carried, strict=True)]}


def _figures(writer: str, reader: str, chunks: Sequence[bytes]) -> dict[str, Any]:
    return {
        "from": writer,
        "to": reader,
        "chunks": len(chunks),
        "bytes": sum(len(chunk) for chunk in chunks),
        "first_byte_s": 0.0 if any(chunks) else None,
        "blocked_s": 0.0,
        "takeovers": 0,
        "across": False,
    }


def _nothing() -> None:
    """Ends a stream whose bytes nobody takes."""


def _failure(caught: Caught) -> Failure | None:
    return None if caught.error is None else failure_of(caught.error)


def _no_objects(uri: str) -> Failure:
    return Failure(INVALID_ARGUMENT, f"{uri}: this simulation can neither read nor write objects")
