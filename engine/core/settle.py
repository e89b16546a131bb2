"""Settling: what the end of an attempt leads to (success, retry, catch or failure)."""

from __future__ import annotations

from typing import Any, Literal

from engine.core.commands import Await
from engine.core.endings import fail
from engine.core.events import EventType
from engine.core.frame import OpenStep
from engine.core.graph import Node
from engine.core.outcomes import (
    OUTCOME_UNKNOWN,
    TASK_TIMEOUT,
    Failure,
    named_failure,
    result_outcome,
)
from engine.core.policies import matching_catcher, matching_policy, next_retry
from engine.core.tasks import try_again
from engine.core.walk import Walk, Where, close_step, leave_step
from engine.fdl.mappings import Roots
from engine.fdl.model import AttemptedStep, StreamStep, TaskStep
from engine.fdl.resources import FlowResource


def closed(walk: Walk, figures: dict[str, Any] | None, failed: bool = False) -> None:
    """Records StreamClosed, where there is something to tell of a stream's edges.

    `failed`: the attempt did not come to its end, so how far its bytes came is chance.
    """
    if figures is not None:
        _, step, _ = at_task(walk)
        detail = {**figures, "aborted": True} if failed else figures
        walk.record(EventType.STREAM_CLOSED, step.name, detail)


def returned(walk: Walk, result: Any) -> Where:
    """The attempt returned: that is its local, unless somebody is still to report it."""
    node, step, _ = at_task(walk)
    pattern = step.pattern if isinstance(step, TaskStep) else "requestResponse"
    if pattern == "waitForCallback":
        return submitted(walk, {}, "callback")
    if pattern == "sync" and isinstance(node.resource, FlowResource):
        raise ValueError(f"{step.name}: a sync child is reported, it does not return")
    return succeeded(walk, result)


def succeeded(walk: Walk, result: Any) -> Where:
    """The task has its result, returned or reported."""
    _, step, _ = at_task(walk)
    local = result_outcome(result)
    if isinstance(local, Failure):
        return failed(walk, local)
    walk.record(EventType.TASK_SUCCEEDED, step.name, {"output": local})
    return leave_step(walk, local)


def submitted(walk: Walk, detail: dict[str, Any], on: str) -> Where:
    """The attempt goes on elsewhere: in a child, or until its token is reported."""
    _, step, _ = at_task(walk)
    walk.record(EventType.TASK_SUBMITTED, step.name, detail)
    waits: Literal["callback", "child"] = "child" if on == "child" else "callback"
    return Await(waits)


def failed(
    walk: Walk, failure: Failure, kind: EventType = EventType.TASK_FAILED, lost: int = 0
) -> Where:
    """The attempt failed: its retry policy, else a catch, else the step fails.

    `kind` is the event that says so; `lost` is 1 when its worker died.
    """
    node, step, opened = at_task(walk)
    walk.record(kind, step.name, {"error": failure.error, "cause": failure.cause})
    retry = next_retry(step.retry, opened.retries, failure.error, walk.run.random)
    if retry is not None:
        return try_again(walk, retry.used, opened.losses + lost, retry.delay_s)
    position = matching_catcher(step.catch, failure.error)
    if position is None:
        return fail(walk, failure)
    _caught(walk, node, step, opened, failure)
    return node.catches[position]


def own_failure(walk: Walk, error: str, cause: str) -> Failure:
    """A failure that the task itself came to, under the name that the flow sees."""
    node, _, _ = at_task(walk)
    return named_failure(Failure(error, cause), node.resource)


def timed_out(walk: Walk) -> Where:
    """The attempt took too long."""
    _, step, _ = at_task(walk)
    limit = "its time limit" if step.timeout_s is None else f"{step.timeout_s:g} s"
    failure = Failure(TASK_TIMEOUT, f"{step.name} took longer than {limit}")
    return failed(walk, failure, EventType.TASK_TIMED_OUT)


def worker_lost(walk: Walk) -> Where:
    """The attempt's worker died: the retry policy for that, else some more attempts at once."""
    _, step, opened = at_task(walk)
    failure = Failure(OUTCOME_UNKNOWN, "the worker died; nobody knows how far the task came")
    if matching_policy(step.retry, failure.error) is not None:
        return failed(walk, failure, lost=1)
    if opened.losses >= walk.run.max_losses:
        return failed(walk, failure)
    detail = {"error": failure.error, "cause": failure.cause}
    walk.record(EventType.TASK_FAILED, step.name, detail)
    return try_again(walk, opened.retries, opened.losses + 1, 0.0)


def at_task(walk: Walk) -> tuple[Node, TaskStep | StreamStep, OpenStep]:
    """The task or stream that the walk stands at; ValueError when it stands at another step."""
    node, opened = walk.standing()
    if not isinstance(node.step, TaskStep | StreamStep):
        raise ValueError(f"frame {walk.id!r} stands at {node.path}, which is no task")
    return node, node.step, opened


def _caught(
    walk: Walk, node: Node, step: AttemptedStep, opened: OpenStep, failure: Failure
) -> None:
    """Closes the step as handled; its output is what errorMappings make of the error."""
    output: dict[str, Any] = {}
    if step.error_mappings is not None:
        local = {"error": failure.error, "code": failure.error, "cause": failure.cause}
        output = walk.map(step.error_mappings, Roots(opened.input, local, walk.context(node)))
    close_step(walk, node, output)
