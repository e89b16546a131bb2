"""Endings: of a series, of a failed step with all around it, and of a frame."""

from __future__ import annotations

from engine.core.commands import Finish
from engine.core.events import EventType, NewEvent
from engine.core.frame import Frame, index_of
from engine.core.graph import Graph
from engine.core.outcomes import Failure
from engine.core.walk import Walk, Where, leave_step
from engine.fdl.mappings import Roots
from engine.fdl.model import ParallelStep


def end_series(walk: Walk) -> Where:
    """The innermost series is over: its choice ends and its option's goto is taken.

    Without an option around it the frame itself has ended.
    """
    if not walk.choices:
        return _end_frame(walk)
    scope = walk.scopes.pop()
    walk.step = walk.choices.pop()
    following = leave_step(walk, scope.local)
    goto = walk.graph.series[scope.series].goto
    return following if goto is None else goto


def fail(walk: Walk, failure: Failure) -> Finish:
    """The step fails, and so do the choices around it and the frame.

    The frame keeps standing at the step that failed, so that it can be tried again from there.
    """
    detail = {"error": failure.error, "cause": failure.cause}
    for opened in reversed([*walk.choices, *([walk.step] if walk.step else [])]):
        name = walk.graph.nodes[opened.path].step.name
        walk.record(EventType.STEP_FAILED, name, detail)
        walk.record(EventType.STEP_EXITED, name, {})
    if walk.id:
        walk.record(exited(walk.graph, walk.scopes[0].series), "", {"index": index_of(walk.id)})
    else:
        walk.record(EventType.EXECUTION_FAILED, "", detail)
    return Finish(error=failure.error, cause=failure.cause)


def aborted(graph: Graph, frame: Frame) -> tuple[NewEvent, ...]:
    """The Exited events of a frame that is cut off, innermost first."""
    opened = reversed([*frame.choices, *([frame.step] if frame.step else [])])
    events = [
        NewEvent(EventType.STEP_EXITED, graph.nodes[step.path].step.name, {"aborted": True})
        for step in opened
    ]
    if frame.id:
        detail = {"index": index_of(frame.id), "aborted": True}
        events.append(NewEvent(exited(graph, frame.scopes[0].series), "", detail))
    return tuple(events)


def entered(graph: Graph, series: str) -> EventType:
    """The event that opens a child with this series."""
    return EventType.BRANCH_ENTERED if _is_branch(graph, series) else EventType.ITERATION_ENTERED


def exited(graph: Graph, series: str) -> EventType:
    """The event that closes a child with this series."""
    return EventType.BRANCH_EXITED if _is_branch(graph, series) else EventType.ITERATION_EXITED


def _is_branch(graph: Graph, series: str) -> bool:
    owner = graph.series[series].owner
    return owner is not None and isinstance(graph.nodes[owner].step, ParallelStep)


def _end_frame(walk: Walk) -> Finish:
    scope = walk.scopes[0]
    if walk.id:
        walk.record(exited(walk.graph, scope.series), "", {"index": index_of(walk.id)})
        return Finish(local=scope.local)
    mappings = walk.graph.flow.output_mappings
    output = scope.local
    if mappings is not None:
        output = walk.map(mappings, Roots(scope.input, scope.local, walk.flow_context()))
    walk.record(EventType.EXECUTION_SUCCEEDED, "", {"output": output})
    return Finish(local=scope.local, output=output)
