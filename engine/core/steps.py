"""Steps: what each kind of step does when a walk comes to it."""

from __future__ import annotations

import math
from typing import Any, assert_never

from engine.core.commands import Command, Fork
from engine.core.endings import end_series, fail
from engine.core.frame import OpenStep, Scope
from engine.core.graph import Node
from engine.core.outcomes import (
    DEFAULT_FAIL,
    INVALID_COLLECTION,
    RUNTIME_ERROR,
    Failure,
    as_text,
)
from engine.core.tasks import schedule
from engine.core.waits import wait_of
from engine.core.walk import Walk, Where, leave_step, open_step
from engine.fdl.mappings import resolve_reference, resolve_source
from engine.fdl.model import (
    ChoiceStep,
    FailStep,
    ForeachStep,
    ParallelStep,
    PassStep,
    StreamStep,
    SucceedStep,
    TaskStep,
    WaitStep,
)
from engine.fdl.paths import MISSING


def advance(walk: Walk, where: Where) -> Command:
    """Goes on from `where` until the walk comes to a command."""
    while where is None or isinstance(where, str):
        where = end_series(walk) if where is None else _enter(walk, where)
    return where


def foreach_items(step: ForeachStep, given: dict[str, Any]) -> list[Any] | Failure:
    """A foreach's collection, out of the step's input."""
    items = resolve_reference(step.collection, given)
    if isinstance(items, list):
        return items
    what = "is not there" if items is None else f"is of type {type(items).__name__}"
    return Failure(INVALID_COLLECTION, f"{step.name}: {step.collection} {what}, it must be a list")


def _enter(walk: Walk, path: str) -> Where:
    node = open_step(walk, path)
    if walk.moves > walk.run.max_moves:
        idle = f"{walk.run.max_moves} steps in a row without a task or a wait"
        return fail(walk, Failure(RUNTIME_ERROR, f"{idle}: the flow loops"))
    return start_step(walk, node)


def start_step(walk: Walk, node: Node) -> Where:
    """Does what a step that has just been entered asks for."""
    _, opened = walk.standing()
    match node.step:
        case TaskStep() | StreamStep():
            return schedule(walk)
        case PassStep():
            return leave_step(walk, {})
        case ChoiceStep():
            return _choose(walk, node, opened)
        case WaitStep():
            return _wait(walk, node.step, opened)
        case ParallelStep():
            total = len(node.step.branches)
            return Fork("parallel", total, total)
        case ForeachStep():
            return _fork(walk, node.step, opened)
        case SucceedStep():
            return leave_step(walk, {})
        case FailStep():
            return _fail(walk, node, node.step, opened)
        case _:
            assert_never(node.step)


def _choose(walk: Walk, node: Node, opened: OpenStep) -> Where:
    for option in node.options:
        if option.condition is None or option.condition.test(opened.input):
            walk.choices.append(opened)
            walk.scopes.append(Scope(option.series, opened.input, {}))
            walk.step = None
            return walk.graph.series[option.series].first
    return leave_step(walk, {})


def _wait(walk: Walk, step: WaitStep, opened: OpenStep) -> Where:
    sleep = wait_of(step, opened.input, walk.run)
    if isinstance(sleep, Failure):
        return fail(walk, sleep)
    if sleep is None:
        return leave_step(walk, {})
    walk.moves = 0
    return sleep


def _fork(walk: Walk, step: ForeachStep, opened: OpenStep) -> Where:
    items = foreach_items(step, opened.input)
    if isinstance(items, Failure):
        return fail(walk, items)
    total = len(items)
    if total == 0:
        return leave_step(walk, [])
    tolerated = step.tolerated_failures
    if step.tolerated_percent is not None:
        tolerated = math.floor(total * step.tolerated_percent / 100)
    return Fork("foreach", total, min(step.concurrency, total), tolerated, step.batch)


def _fail(walk: Walk, node: Node, step: FailStep, opened: OpenStep) -> Where:
    error = _either(walk, node, step.error, opened)
    cause = _either(walk, node, step.cause, opened)
    return fail(walk, Failure(as_text(error) or DEFAULT_FAIL, as_text(cause)))


def _either(walk: Walk, node: Node, written: Any, opened: OpenStep) -> Any:
    """A fail step's text: as a mapping's source, or `$.x` into the step's input."""
    strict = walk.graph.flow.strict
    value = resolve_source(written, walk.scope_roots(node), strict)
    if value is MISSING:
        return None
    return resolve_reference(value, opened.input, strict) if value is written else value
