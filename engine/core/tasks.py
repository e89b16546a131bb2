"""Task calls: what a task or a stream step runs, and how its next attempt is scheduled."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from engine.core.commands import RunTask
from engine.core.events import EventType
from engine.core.frame import Frame, OpenStep
from engine.core.graph import Graph, Node
from engine.core.happenings import RunInfo
from engine.core.streaming import StreamCall, stream_call
from engine.core.walk import Walk, step_input, walk_from
from engine.fdl.mappings import service_params
from engine.fdl.model import StreamStep, TaskPattern, TaskStep
from engine.fdl.resources import (
    ActionResource,
    FlowResource,
    QueueResource,
    Resource,
    StreamResource,
    TopicResource,
)


@dataclass(frozen=True, slots=True)
class TaskCall:
    """What to run for the attempt a task or a stream step is at.

    `input` is an object, but for a sub-flow it is what its serviceParams say (see
    `engine.core.outcomes.child_input`); for a queue or topic it holds `MessageBody`.
    `timeout_s` None: no limit. `execution_name`: the fixed name of a sub-flow's execution, with
    its suffix on a retry; None: a random one. `redriven`: the first attempt since a redrive.
    `stream`: what a stream runs; None for a task.
    """

    resource: Resource
    input: Any
    timeout_s: float | None
    pattern: TaskPattern
    attempt: int
    queue: str | None = None
    execution_name: str | None = None
    redriven: bool = False
    stream: StreamCall | None = None


def task_call(graph: Graph, frame: Frame, run: RunInfo) -> TaskCall:
    """What the task or stream step that a frame stands at runs now.

    Raises:
        ValueError: the frame stands at neither.
        InvalidPath: a path of its call is not there, in a strict flow; the decision that
            scheduled the attempt has failed the step in that case.
    """
    return call_of(walk_from(graph, frame, run))


def call_of(walk: Walk) -> TaskCall:
    """The same for a walk that stands at a task or a stream."""
    node, opened = walk.standing()
    step = node.step
    if isinstance(step, StreamStep) and isinstance(node.resource, StreamResource):
        return _stream_call(walk, node, node.resource, step, opened)
    if not isinstance(step, TaskStep) or node.resource is None:
        raise ValueError(f"{step.name}: neither a task nor a stream")
    given, name = _call_input(walk, node, step, opened)
    return TaskCall(
        node.resource,
        given,
        step.timeout_s,
        step.pattern,
        opened.attempt,
        execution_name=name,
        redriven=opened.redriven,
    )


def schedule(walk: Walk, delay_s: float = 0.0) -> RunTask:
    """Records TaskScheduled for the attempt the walk's step is at, and asks for it."""
    walk.moves = 0
    call = call_of(walk)
    detail = {"resource": call.resource.display, "input": call.input, "attempt": call.attempt}
    if delay_s > 0:
        detail["delay_s"] = delay_s
    walk.record(EventType.TASK_SCHEDULED, walk.standing()[0].step.name, detail)
    return RunTask(delay_s)


def try_again(walk: Walk, retries: tuple[int, ...], losses: int, delay_s: float) -> RunTask:
    """Schedules the next attempt of the task that the walk stands at.

    An input that holds the callback token is mapped anew: every attempt has its own token.
    """
    node, opened = walk.standing()
    walk.step = replace(
        opened, attempt=opened.attempt + 1, retries=retries, losses=losses, redriven=False
    )
    if node.context.token:
        walk.step = replace(walk.step, input=step_input(walk, node))
    return schedule(walk, delay_s)


def _stream_call(
    walk: Walk, node: Node, resource: StreamResource, step: StreamStep, opened: OpenStep
) -> TaskCall:
    strict = walk.graph.flow.strict
    return TaskCall(
        resource,
        opened.input,
        step.timeout_s,
        "requestResponse",
        opened.attempt,
        redriven=opened.redriven,
        stream=stream_call(step, resource, opened.input, walk.context(node), strict),
    )


def _call_input(walk: Walk, node: Node, step: TaskStep, opened: OpenStep) -> tuple[Any, str | None]:
    """The input of a call, and the name of a sub-flow's execution."""
    params = _params(walk, node, step, opened)
    match node.resource:
        case FlowResource():
            name = params.get("ExecutionName") if params else None
            given = params.get("Input", opened.input) if params else opened.input
            return given, _attempt_name(name, opened)
        case QueueResource() | TopicResource():
            return {"MessageBody": opened.input, **(params or {})}, None
        case ActionResource(product="fnf", operation="StartExecution"):
            params = opened.input if params is None else params
            if name := _attempt_name(params.get("ExecutionName"), opened):
                params = {**params, "ExecutionName": name}
            return params, None
        case _:
            return opened.input if params is None else params, None


def _params(walk: Walk, node: Node, step: TaskStep, opened: OpenStep) -> dict[str, Any] | None:
    if step.service_params is None:
        return None
    strict = walk.graph.flow.strict
    return service_params(step.service_params, opened.input, walk.context(node), strict)


def _attempt_name(name: Any, opened: OpenStep) -> str | None:
    """A fixed execution name with `-retry-N` on a retry.

    A call that is only repeated because its worker died keeps the name: it meets its own child.
    """
    if name is None or name == "":
        return None
    retry = opened.retried + sum(opened.retries)
    return f"{name}-retry-{retry}" if retry else str(name)
