"""Progress: where an execution's steps stand, worked out from its events."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from engine.cli.stream_facts import stream_fact
from engine.core.events import Event, EventType
from engine.core.graph import Graph
from engine.core.places import Places
from engine.core.states import ExecutionStatus
from engine.fdl.mappings import resolve_reference
from engine.fdl.model import ForeachStep, ParallelStep, Step

ENDS = {
    EventType.EXECUTION_SUCCEEDED: ExecutionStatus.SUCCEEDED,
    EventType.EXECUTION_FAILED: ExecutionStatus.FAILED,
    EventType.EXECUTION_STOPPED: ExecutionStatus.STOPPED,
    EventType.EXECUTION_TIMED_OUT: ExecutionStatus.TIMED_OUT,
}
BY_HAND = {
    EventType.EXECUTION_PAUSED: ExecutionStatus.PAUSED,
    EventType.EXECUTION_RESUMED: ExecutionStatus.RUNNING,
    EventType.EXECUTION_REDRIVEN: ExecutionStatus.RUNNING,
}


@dataclass(slots=True)
class StepProgress:
    """One step of the text, all its visits taken together.

    `active` counts the visits that are open, `aborted` those of late that were cut off. For a fork,
    `total` is how many children these visits have together (None before there is one, or if it is
    not known), `done` how many of them ended, `failed` how many badly; `kept` of those that ended
    well before a redrive are not run again. `since` is when the oldest open visit began, `spent_s`
    how long it took until none was open. `note` says what is special now: a retry, an error.
    `child` is the (flow, name) of the execution that it started last. `stream`: where the stages of
    the last stream run, and once it is closed what came out of it.
    """

    visits: int = 0
    active: int = 0
    aborted: int = 0
    succeeded: int = 0
    failures: int = 0
    total: int | None = None
    done: int = 0
    failed: int = 0
    kept: int = 0
    since: float = 0.0
    spent_s: float = 0.0
    note: str = ""
    child: tuple[str, str] | None = None
    stream: str = ""


@dataclass(slots=True)
class Progress:
    """The steps of one execution by their path in its graph, and the executions they started.

    `children` has the executions that were started, or went on, since somebody emptied it.
    """

    graph: Graph
    steps: dict[str, StepProgress] = field(init=False)
    children: list[tuple[str, str]] = field(default_factory=list)
    status: ExecutionStatus = ExecutionStatus.STARTING
    started: float | None = None
    last_event: int = 0
    _places: Places = field(init=False)
    _failing: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.steps = {path: StepProgress() for path in self.graph.nodes}
        self._places = Places(self.graph)

    def apply(self, event: Event) -> None:
        """Takes the next event in."""
        self.last_event = event.event_id
        match event.type:
            case EventType.EXECUTION_STARTED:
                self.started, self.status = event.time, ExecutionStatus.RUNNING
            case EventType.ITERATION_EXITED | EventType.BRANCH_EXITED:
                if not event.detail.get("aborted"):
                    self._child_ended(event.frame)
            case _ if event.type in ENDS:
                self.status = ENDS[event.type]
            case _ if event.type in BY_HAND:
                self.status = BY_HAND[event.type]
                if event.type is EventType.EXECUTION_REDRIVEN:
                    self._keep_results()
            case _ if event.step_name:
                self._step_event(event)
            case _:
                pass

    def path_of(self, frame: str, name: str) -> str | None:
        """The path of the step `name` as the frame sees it; None if the flow has no such step."""
        return self._places.path_of(frame, name)

    def _step_event(self, event: Event) -> None:
        path = self.path_of(event.frame, event.step_name)
        if path is None:
            return
        step = self.steps[path]
        match event.type:
            case EventType.STEP_ENTERED:
                _enter(step, self.graph.node(path).step, event)
            case EventType.STEP_EXITED:
                _leave(step, event)
            case EventType.STEP_SUCCEEDED:
                step.succeeded += 1
                step.note = ""
            case EventType.STEP_SKIPPED:
                step.failures, step.note = 0, "skipped"
            case EventType.STEP_FAILED:
                step.failures += 1
                step.note = str(event.detail.get("error") or "")
                self._failing.add(event.frame)
            case EventType.TASK_SCHEDULED:
                step.note = retry_note(event.detail)
            case EventType.TASK_SUBMITTED:
                self._note_child(step, event.detail)
            case EventType.STREAM_OPENED | EventType.STREAM_CLOSED:
                step.stream = stream_fact(event)
            case _:
                pass

    def _keep_results(self) -> None:
        for step in self.steps.values():
            step.kept = step.done - step.failed if step.failures or step.aborted else 0

    def _child_ended(self, frame: str) -> None:
        parent, _, segment = frame.rpartition("/")
        path = self.path_of(parent, segment.rpartition(".")[0])
        if path is None:
            return
        self.steps[path].done += 1
        if frame in self._failing:
            self._failing.discard(frame)
            self.steps[path].failed += 1

    def _note_child(self, step: StepProgress, detail: dict[str, Any]) -> None:
        if "flowName" in detail and "executionName" in detail:
            step.child = (str(detail["flowName"]), str(detail["executionName"]))
            self.children.append(step.child)


def retry_note(detail: dict[str, Any]) -> str:
    """What a TaskScheduled says to people: "" for a first attempt."""
    attempt, delay_s = int(detail.get("attempt") or 1), float(detail.get("delay_s") or 0)
    if attempt < 2:
        return ""
    return f"attempt {attempt}" + (f" in {delay_s:g} s" if delay_s else "")


def _enter(step: StepProgress, written: Step, event: Event) -> None:
    if step.active == 0:
        step.since, step.aborted = event.time, 0
        step.total, step.done, step.failed, step.kept = None, step.kept, 0, 0
    step.visits += 1
    step.active += 1
    match written:
        case ForeachStep():
            items = resolve_reference(written.collection, event.detail.get("input") or {})
            children = len(items) if isinstance(items, list) else None
        case ParallelStep():
            children = len(written.branches)
        case _:
            return
    step.total = step.total if children is None else (step.total or 0) + children


def _leave(step: StepProgress, event: Event) -> None:
    step.active = max(0, step.active - 1)
    if step.active == 0:
        step.spent_s += event.time - step.since
    if event.detail.get("aborted"):
        step.aborted += 1
        step.note = step.note if step.failures else ""
