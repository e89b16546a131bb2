"""Tracing: what an execution's history says of it as one trace. No data of users is in it.

Its root is the execution; below it come steps, below these their attempts, and the items and
branches of forks with steps of their own. A redrive is one more span under the root, with what it
ran.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.core.events import Event, EventType
from engine.core.frame import parent_id
from engine.runtime.spans import (
    ROOT,
    Kind,
    Span,
    Value,
    attempt_key,
    place_of,
    trace_id_of,
)

MAX_SPANS = 2000
"""Spans of one trace; beyond it items and branches of forks are only counted."""

CUT_OFF = "penstock.cut_off"
"""Set on spans that did not end by themselves."""

_ENDS = {
    EventType.EXECUTION_SUCCEEDED: "Succeeded",
    EventType.EXECUTION_FAILED: "Failed",
    EventType.EXECUTION_STOPPED: "Stopped",
    EventType.EXECUTION_TIMED_OUT: "TimedOut",
}
_ATTEMPT_ENDS = (
    EventType.TASK_SUCCEEDED,
    EventType.TASK_FAILED,
    EventType.TASK_TIMED_OUT,
    EventType.TASK_SUBMIT_FAILED,
)


@dataclass(slots=True)
class _Walk:
    """Where a frame is: its own span, its open steps, the attempt that is under way.

    `left_at`: the step at which a redrive goes on, whose visit is the same as before it.
    """

    frame: str
    turn: str
    span: Span
    visits: int = 0
    last: str = ""
    left_at: str = ""
    steps: list[Span] = field(default_factory=list)
    attempt: Span | None = None

    @property
    def visit(self) -> str:
        return f"{self.frame}#{self.turn}{self.visits}"


class TraceBuilder:
    """Takes the events of an execution in their order, and has the spans of its last run.

    `submitted` are executions that an attempt has started: (its span, flow, name).
    """

    def __init__(self, flow: str, execution: str, started_ms: int) -> None:
        self.trace_id = trace_id_of(flow, execution, started_ms)
        self.submitted: list[tuple[Span, str, str]] = []
        self.dropped = 0
        self._flow = flow
        self._execution = execution
        self._spans: list[Span] = []
        self._runs = 0
        self._last_s = started_ms / 1000
        self._root = self._run(self._last_s)
        self._walks: dict[str, _Walk] = {"": _Walk("", "", self._root)}

    def add(self, event: Event) -> None:
        """One event more."""
        self._last_s = event.time
        kind = event.type
        if kind is EventType.EXECUTION_REDRIVEN:
            self._redriven(event)
        elif kind in _ENDS:
            self._root.end_s = event.time
            self._root.attributes["penstock.status"] = _ENDS[kind]
            if kind is not EventType.EXECUTION_SUCCEEDED:
                self._root.error = str(event.detail.get("error") or _ENDS[kind])
        elif kind in (EventType.EXECUTION_PAUSED, EventType.EXECUTION_RESUMED):
            self._root.notes.append((kind.value, event.time))
        elif kind in (EventType.ITERATION_ENTERED, EventType.BRANCH_ENTERED):
            self._entered_frame(event)
        elif kind in (EventType.ITERATION_EXITED, EventType.BRANCH_EXITED):
            self._exited_frame(event)
        elif event.step_name:
            self._of_step(self._walk(event.frame, event.time), event)

    def end(self, time: float, status: str) -> None:
        """How the execution ended, should not all of its events have been handed in."""
        if self._root.end_s is None:
            self._root.end_s = time
            self._root.attributes["penstock.status"] = status
            self._root.error = None if status == "Succeeded" else status

    def spans(self) -> list[Span]:
        """All spans, the root's first; what has no end of its own ended with the execution."""
        for span in self._spans:
            if span.end_s is None:
                span.end_s = self._root.end_s or self._last_s
                if span is not self._root:
                    span.attributes[CUT_OFF] = True
        if self.dropped:
            self._root.attributes["penstock.dropped_spans"] = self.dropped
        return self._spans

    @property
    def root(self) -> Span:
        """The span of the last run: the execution's, or that of a redrive."""
        return self._root

    def _of_step(self, walk: _Walk, event: Event) -> None:
        match event.type:
            case EventType.STEP_ENTERED:
                self._enter(walk, event.step_name, event.time)
            case EventType.STEP_FAILED:
                step = self._step(walk, event.step_name, event.time)
                step.error = str(event.detail.get("error") or "failed")
            case EventType.STEP_EXITED:
                self._exit(walk, event.step_name, event.time)
            case EventType.TASK_SCHEDULED:
                self._schedule(walk, event)
            case EventType.TASK_STARTED | EventType.TASK_SUBMITTED:
                self._started(walk, event)
            case _ if event.type in _ATTEMPT_ENDS:
                self._end_attempt(walk, event)
            case EventType.STREAM_OPENED | EventType.STREAM_CLOSED | EventType.STEP_SKIPPED:
                span = walk.attempt or self._step(walk, event.step_name, event.time)
                span.notes.append((event.type.value, event.time))
            case _:
                pass

    def _enter(self, walk: _Walk, name: str, time: float) -> Span:
        walk.visits += name != walk.left_at
        walk.last, walk.left_at = name, ""
        return self._push(walk, name, time)

    def _push(self, walk: _Walk, name: str, time: float) -> Span:
        parent = walk.steps[-1] if walk.steps else walk.span
        key = f"step/{walk.visit}/{self._runs}/{len(walk.steps)}"
        span = self._open(name, "step", key, parent, time, walk.frame, {"penstock.step": name})
        walk.steps.append(span)
        return span

    def _step(self, walk: _Walk, name: str, time: float) -> Span:
        """The open step of that name; after a redrive, one that it goes on with."""
        found = next((span for span in reversed(walk.steps) if span.name == name), None)
        return found or self._push(walk, name, time)

    def _exit(self, walk: _Walk, name: str, time: float) -> None:
        self._step(walk, name, time)
        self._cut_off(walk, time)
        while walk.steps:
            span = walk.steps.pop()
            span.end_s = time
            if span.name == name:
                return

    def _schedule(self, walk: _Walk, event: Event) -> Span:
        self._close_attempt(walk, event.time, "FC.Unknown")
        step = self._step(walk, event.step_name, event.time)
        attempt = int(event.detail.get("attempt", 1))
        resource = str(event.detail.get("resource", event.step_name))
        about: dict[str, Value] = {
            "penstock.step": event.step_name,
            "penstock.resource": resource,
            "penstock.attempt": attempt,
        }
        key = attempt_key(walk.visit, attempt)
        walk.attempt = self._open(resource, "attempt", key, step, event.time, walk.frame, about)
        if attempt > 1:
            before = attempt_key(walk.visit, attempt - 1)
            walk.attempt.links.append(place_of(self.trace_id, before))
        return walk.attempt

    def _started(self, walk: _Walk, event: Event) -> None:
        attempt = walk.attempt or self._schedule(walk, event)
        if event.type is EventType.TASK_SUBMITTED:
            flow, name = event.detail.get("flowName"), event.detail.get("executionName")
            if isinstance(flow, str) and isinstance(name, str):
                self.submitted.append((attempt, flow, name))
            return
        attempt.attributes["penstock.waited_s"] = round(event.time - attempt.start_s, 3)
        attempt.attributes["penstock.worker"] = str(event.detail.get("worker", ""))
        attempt.start_s = event.time

    def _end_attempt(self, walk: _Walk, event: Event) -> None:
        error = None
        if event.type is not EventType.TASK_SUCCEEDED:
            error = str(event.detail.get("error") or "FnF.TaskTimeout")
        self._close_attempt(walk, event.time, error)

    def _close_attempt(self, walk: _Walk, time: float, error: str | None) -> None:
        if walk.attempt is not None:
            walk.attempt.end_s, walk.attempt.error = time, error
        walk.attempt = None

    def _cut_off(self, walk: _Walk, time: float) -> None:
        if walk.attempt is not None:
            walk.attempt.attributes[CUT_OFF] = True
            self._close_attempt(walk, time, None)

    def _entered_frame(self, event: Event) -> None:
        self._walks.pop(event.frame, None)
        walk = self._walk(event.frame, event.time)
        walk.span.attributes["penstock.index"] = int(event.detail.get("index", 0))

    def _exited_frame(self, event: Event) -> None:
        walk = self._walk(event.frame, event.time)
        self._cut_off(walk, event.time)
        for span in [*walk.steps, walk.span]:
            span.end_s = span.end_s or event.time
        del self._walks[event.frame]

    def _walk(self, frame: str, time: float) -> _Walk:
        """The walk of a frame; after a redrive, one that goes on in the middle."""
        if (found := self._walks.get(frame)) is not None:
            return found
        parent = self._walk(parent_id(frame), time)
        join = frame.rpartition(".")[0]
        fork = self._step(parent, join.rpartition("/")[2], time)
        turn = f"{parent.turn}{parent.visits}."
        key = f"frame/{frame}#{turn}/{self._runs}"
        span = self._open(f"{fork.name}[]", "frame", key, fork, time, frame, {})
        self._walks[frame] = _Walk(frame, turn, span)
        return self._walks[frame]

    def _redriven(self, event: Event) -> None:
        self._runs += 1
        self._spans.clear()
        self.submitted.clear()
        self.dropped = 0
        self._root = self._run(event.time)
        for frame in [frame for frame in self._walks if frame]:
            del self._walks[frame]
        walk = self._walks[""]
        walk.span, walk.steps, walk.attempt = self._root, [], None
        walk.left_at = walk.last

    def _run(self, time: float) -> Span:
        key = f"execution/{self._runs}"
        parent = place_of(self.trace_id, ROOT).span_id if self._runs else None
        name = f"{self._flow} redrive" if self._runs else self._flow
        place = place_of(self.trace_id, key)
        span = Span(name, "execution", place, parent, time, attributes=dict(self._about("")))
        self._spans.append(span)
        return span

    def _open(
        self,
        name: str,
        kind: Kind,
        key: str,
        parent: Span,
        time: float,
        frame: str,
        about: Mapping[str, Value],
    ) -> Span:
        place = place_of(self.trace_id, key)
        attributes = {**self._about(frame), **about}
        span = Span(name, kind, place, parent.place.span_id, time, attributes=attributes)
        if frame and len(self._spans) >= MAX_SPANS:
            self.dropped += 1
        else:
            self._spans.append(span)
        return span

    def _about(self, frame: str) -> dict[str, Value]:
        about: dict[str, Value] = {
            "penstock.flow": self._flow,
            "penstock.execution": self._execution,
        }
        return about | ({"penstock.frame": frame} if frame else {})
