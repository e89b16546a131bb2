"""Redriving: how a frame goes on that was left at a step when its execution ended; and skips."""

from __future__ import annotations

from dataclasses import replace

from engine.core.endings import entered, fail
from engine.core.events import EventType
from engine.core.frame import Frame, OpenStep, Scope, index_of
from engine.core.graph import Graph
from engine.core.happenings import Redriven, Skipped
from engine.core.outcomes import Failure
from engine.core.steps import start_step
from engine.core.walk import Walk, Where, map_flow_input, merge_output, step_input
from engine.fdl.mappings import InvalidPath
from engine.fdl.model import AttemptedStep, TaskStep


def by_hand(walk: Walk, happening: Skipped | Redriven) -> Where:
    """What somebody wants of a frame: that its step is over, or that it goes on after an end."""
    if isinstance(happening, Skipped):
        return _skipped(walk, happening)
    return _redriven(walk, happening)


def misfit(graph: Graph, frame: Frame) -> str | None:
    """The path of a step that a frame stands in and that a graph does not have; None: it fits."""
    for scope in frame.scopes:
        if scope.series not in graph.series:
            return scope.series
    for opened in (*frame.choices, *([frame.step] if frame.step else [])):
        if opened.path not in graph.nodes:
            return opened.path
    return None


def _redriven(walk: Walk, happening: Redriven) -> Where:
    """Enters again what the frame's end had left, and its step as a further attempt of it."""
    walk.moves = 0
    never_begun = walk.step is None and not walk.visits
    if never_begun:
        map_flow_input(walk)
    if happening.step is not None and happening.failure is None:
        return _from_step(walk, happening)
    if walk.id:
        walk.record(entered(walk.graph, walk.scopes[0].series), "", {"index": index_of(walk.id)})
    for opened in walk.choices:
        name = walk.graph.nodes[opened.path].step.name
        walk.record(EventType.STEP_ENTERED, name, {"input": opened.input})
    if never_begun:
        return walk.graph.series[walk.scopes[0].series].first
    if walk.step is None:
        return None
    if happening.failure is not None:
        name = walk.graph.nodes[walk.step.path].step.name
        walk.record(EventType.STEP_ENTERED, name, {"input": {}})
        return fail(walk, Failure(*happening.failure))
    return _again(walk, walk.step, happening.skip)


def _skipped(walk: Walk, happening: Skipped) -> Where:
    """Ends the step with the output that somebody has given it."""
    node, _ = walk.standing()
    detail = {"output": happening.output, **happening.note}
    walk.record(EventType.STEP_SKIPPED, node.step.name, detail)
    walk.record(EventType.STEP_EXITED, node.step.name, {"output": happening.output})
    return merge_output(walk, node, happening.output)


def _from_step(walk: Walk, happening: Redriven) -> Where:
    scope = walk.scopes[0]
    local = scope.local if happening.local is None else happening.local
    walk.scopes[:] = [Scope(scope.series, scope.input, local)]
    walk.choices.clear()
    walk.step = None
    if happening.visit is None:
        return happening.step
    assert happening.step is not None
    return _again(walk, OpenStep(happening.step, {}, happening.visit), None)


def _again(walk: Walk, left: OpenStep, skip: Skipped | None) -> Where:
    """The same visit of a step once more: tasks keep their idempotency key, forks their results."""
    node = walk.graph.nodes[left.path]
    event_id = 0
    if node.context.event_id:
        event_id = walk.run.next_event_id + len(walk.events)
        walk.exact_ids = True
    retried = left.retried + sum(left.retries)
    attempt = 1
    if isinstance(node.step, AttemptedStep):
        attempt = left.attempt + 1
        # A child that is waited for goes on under its name; any other name has been used.
        retried += not (isinstance(node.step, TaskStep) and node.step.pattern == "sync")
    walk.step = OpenStep(
        left.path, {}, left.visit, attempt, event_id=event_id, retried=retried, redriven=True
    )
    try:
        given = step_input(walk, node)
    except InvalidPath:
        walk.record(EventType.STEP_ENTERED, node.step.name, {"input": {}})
        raise
    walk.step = replace(walk.step, input=given)
    walk.record(EventType.STEP_ENTERED, node.step.name, {"input": given})
    return start_step(walk, node) if skip is None else _skipped(walk, skip)
