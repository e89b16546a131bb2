"""The scheduler: the pure heart. Same frame, same happening, same decision; no clock, no I/O.

A decision walks a frame through everything that needs nobody else (pass, choice, succeed, fail)
and stops at the first step that needs a worker, a timer or a join, or at the frame's end.
"""

from __future__ import annotations

from typing import Any, assert_never

from engine.core.commands import Decision, RunTask
from engine.core.endings import aborted, entered, fail
from engine.core.events import EventType, NewEvent
from engine.core.frame import Frame, Scope, child_id, child_turn, index_of
from engine.core.graph import Graph
from engine.core.happenings import (
    Happening,
    Joined,
    JoinFailed,
    PutOff,
    Redriven,
    Reported,
    RunInfo,
    Skipped,
    SubmitFailed,
    Submitted,
    TaskRaised,
    TaskReturned,
    TaskTimedOut,
    TimerFired,
    WorkerLost,
)
from engine.core.outcomes import Failure
from engine.core.redriving import by_hand
from engine.core.settle import (
    closed,
    failed,
    own_failure,
    returned,
    submitted,
    succeeded,
    timed_out,
    worker_lost,
)
from engine.core.states import ExecutionStatus
from engine.core.steps import advance
from engine.core.streaming import StageCall, StreamCall
from engine.core.tasks import TaskCall, task_call
from engine.core.walk import Walk, Where, leave_step, map_flow_input, walk_from
from engine.fdl.mappings import InvalidPath
from engine.fdl.model import AttemptedStep, ForeachStep, ParallelStep, WaitStep

__all__ = [
    "StageCall",
    "StreamCall",
    "TaskCall",
    "abort",
    "begin",
    "decide",
    "end_event",
    "open_child",
    "open_root",
    "started",
    "stream_opened",
    "task_call",
]


def open_root(graph: Graph, input: dict[str, Any]) -> Frame:
    """The root frame of an execution with this input, before its first step."""
    return Frame("", (Scope("", input, {}),))


def open_child(graph: Graph, parent: Frame, index: int, item: Any = None) -> Frame:
    """The frame of a branch or an iteration, before its first step.

    `parent` stands at the fork; `item` is the element of the collection for a foreach.

    Raises:
        ValueError: the parent stands at no fork.
    """
    fork = parent.step
    step = graph.nodes[fork.path].step if fork is not None else None
    if fork is None or not isinstance(step, ParallelStep | ForeachStep):
        raise ValueError(f"frame {parent.id!r} stands at no parallel or foreach")
    series = f"{fork.path}/branches/{index}"
    given = fork.input
    if isinstance(step, ForeachStep):
        series = f"{fork.path}/steps"
        given = {**given, step.item: item}
        if step.index is not None:
            given[step.index] = index
    frame_id = child_id(parent.id, step.name, index)
    return Frame(frame_id, (Scope(series, given, {}),), turn=child_turn(parent))


def start_event(root: Frame) -> NewEvent:
    """The first event of an execution, whose root frame has just been opened."""
    return NewEvent(EventType.EXECUTION_STARTED, "", {"input": root.scopes[0].input})


def begin(graph: Graph, frame: Frame, run: RunInfo, recorded: bool = False) -> Decision:
    """The first decision on a frame that has just been opened.

    `recorded`: the event with which it opens is in the history already.
    """
    walk = walk_from(graph, frame, run)
    scope = frame.scopes[0]
    if not recorded:
        event = start_event(frame)
        if frame.id:
            event = NewEvent(entered(graph, scope.series), "", {"index": index_of(frame.id)})
        walk.record(event.type, event.step_name, event.detail)
    try:
        map_flow_input(walk)
        command = advance(walk, graph.series[scope.series].first)
    except InvalidPath as problem:
        command = fail(walk, Failure(problem.code, str(problem)))
    return walk.decision(command)


def decide(graph: Graph, frame: Frame, happening: Happening, run: RunInfo) -> Decision:
    """The decision on what happened to the step that a frame waits at.

    Raises:
        ValueError: that cannot happen to this step (the caller's fences are wrong).
    """
    walk = walk_from(graph, frame, run)
    try:
        command = advance(walk, _react(walk, happening))
    except InvalidPath as problem:
        command = fail(walk, Failure(problem.code, str(problem)))
    return walk.decision(command)


def started(graph: Graph, frame: Frame, worker: str | None = None) -> NewEvent:
    """TaskStarted of the attempt a frame is at; `worker`, where given, is named in it."""
    opened = frame.step
    if opened is None:
        raise ValueError(f"frame {frame.id!r} stands at no step")
    detail: dict[str, Any] = {"attempt": opened.attempt}
    if worker is not None:
        detail["worker"] = worker
    return NewEvent(EventType.TASK_STARTED, graph.nodes[opened.path].step.name, detail)


def stream_opened(graph: Graph, frame: Frame, detail: dict[str, Any]) -> NewEvent:
    """StreamOpened of the attempt a frame is at; `detail` tells where its stages run."""
    opened = frame.step
    if opened is None:
        raise ValueError(f"frame {frame.id!r} stands at no step")
    return NewEvent(EventType.STREAM_OPENED, graph.nodes[opened.path].step.name, detail)


def abort(graph: Graph, frame: Frame) -> tuple[NewEvent, ...]:
    """The Exited events, with `aborted`, of a frame cut off: innermost step first."""
    return aborted(graph, frame)


def end_event(
    status: ExecutionStatus,
    error: str | None = None,
    cause: str | None = None,
    by: str | None = None,
) -> NewEvent:
    """The event of an end from outside; None: the error, the cause or who did it is not known.

    Raises:
        ValueError: executions come to this status by a decision of their own.
    """
    match status:
        case ExecutionStatus.STOPPED:
            kind = EventType.EXECUTION_STOPPED
        case ExecutionStatus.TIMED_OUT:
            kind = EventType.EXECUTION_TIMED_OUT
        case ExecutionStatus.FAILED:
            kind = EventType.EXECUTION_FAILED
        case _:
            raise ValueError(f"no end from outside is {status}")
    texts = {"error": error, "cause": cause, "by": by}
    return NewEvent(kind, "", {key: text for key, text in texts.items() if text is not None})


def _react(walk: Walk, happening: Happening) -> Where:
    match happening:
        case TaskReturned():
            closed(walk, happening.closed)
            return returned(walk, happening.result)
        case Reported():
            return succeeded(walk, happening.output)
        case TaskRaised() | JoinFailed() | SubmitFailed():
            return _raised(walk, happening)
        case Submitted():
            return submitted(walk, happening.detail, happening.on)
        case TaskTimedOut():
            closed(walk, happening.closed, failed=True)
            return timed_out(walk)
        case WorkerLost() | PutOff():
            return _not_done(walk, happening)
        case TimerFired():
            return _waited(walk)
        case Joined():
            return _joined(walk, happening.results)
        case Skipped() | Redriven():
            return by_hand(walk, happening)
        case _:
            assert_never(happening)


def _raised(walk: Walk, happening: TaskRaised | JoinFailed | SubmitFailed) -> Where:
    """An attempt's error; at any other step one that came from its children or from outside."""
    failure = Failure(happening.error, happening.cause)
    if not isinstance(walk.standing()[0].step, AttemptedStep):
        return fail(walk, failure)
    if isinstance(happening, TaskRaised):
        closed(walk, happening.closed, failed=True)
        if happening.reported:
            return failed(walk, failure)
    failure = own_failure(walk, failure.error, failure.cause)
    if isinstance(happening, SubmitFailed):
        return failed(walk, failure, EventType.TASK_SUBMIT_FAILED)
    return failed(walk, failure)


def _not_done(walk: Walk, happening: WorkerLost | PutOff) -> Where:
    if isinstance(happening, PutOff):
        return RunTask(happening.delay_s, goes_on=True)
    return worker_lost(walk)


def _waited(walk: Walk) -> Where:
    node, _ = walk.standing()
    if not isinstance(node.step, WaitStep):
        raise ValueError(f"frame {walk.id!r} stands at {node.path}, which is no wait")
    return leave_step(walk, {})


def _joined(walk: Walk, results: list[Any]) -> Where:
    node, _ = walk.standing()
    if not isinstance(node.step, ParallelStep | ForeachStep):
        raise ValueError(f"frame {walk.id!r} stands at {node.path}, which is no fork")
    if node.works:
        walk.moves = 0
    return leave_step(walk, results)
