"""Where a frame stands after a decision, and the message that goes out with it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, assert_never

from engine.core.commands import Await, Decision, RunTask, Sleep
from engine.core.frame import Frame, OpenStep, join_id
from engine.core.graph import Graph, Node
from engine.fdl.model import AttemptedStep, TaskStep
from engine.fdl.resources import (
    ActionResource,
    CeleryResource,
    FlowResource,
    FunctionResource,
    NamedResource,
    QueueResource,
    Resource,
    StreamResource,
    TopicResource,
)
from engine.runtime.canvas import (
    BEGIN,
    ENGINE_TASKS,
    JOIN,
    RESUME,
    STEP,
    STREAM,
    UNSERVED,
    WAIT,
    Sending,
)
from engine.runtime.fleet import Served
from engine.runtime.pointer import Kind, Pointer
from engine.runtime.runtime import Runtime
from engine.runtime.standing import Standing, fresh, new_id

START_EXECUTION = "fnf:StartExecution"
"""The action that the engine itself answers."""


def served_names(resource: Resource) -> tuple[str, ...]:
    """The names a resource's task may be registered under; () for what the engine does itself.

    Of a stream they are those of its first stage: a worker that has it takes the message.
    """
    match resource:
        case FunctionResource():
            return resource.names
        case NamedResource():
            return (resource.name,)
        case ActionResource():
            return () if resource.name == START_EXECUTION else (resource.name,)
        case StreamResource():
            return stage_names(resource)[0]
        case FlowResource() | QueueResource() | TopicResource() | CeleryResource():
            return ()
        case _:
            assert_never(resource)


def stage_names(resource: StreamResource) -> tuple[tuple[str, ...], ...]:
    """For each stage of a stream, in order, the names its task may be registered under."""
    return tuple(served_names(called) for _, called in resource.stages)


def standing(
    runtime: Runtime,
    pointer: Pointer,
    graph: Graph,
    decision: Decision,
    request: str,
    child: str | None = None,
) -> Standing:
    """Where a frame stands after a decision that asks for a task, a wait or a report.

    `request`: the Celery id of the message being worked on; `child`: the execution waited for.
    """
    command, step = decision.command, decision.frame.step
    assert step is not None
    node = graph.node(step.path)
    pointer = replace(pointer, frame=decision.frame.id)
    match command:
        case RunTask():
            turn = _turn(runtime, fresh(pointer), node, step, request or None, command.delay_s)
            return replace(turn, goes_on=command.goes_on)
        case Await():
            waiting = fresh(pointer.to("resume", "", node.step.name, step.attempt))
            on = child if command.on == "child" else None
            return Standing("WAITING", waiting, keeps_timeout=True, on=on)
        case Sleep():
            return _sleep(runtime, pointer, node.step.name, command, request)
        case _:
            raise TypeError(f"{command} is no standing")


def beginning(runtime: Runtime, pointer: Pointer) -> Standing:
    """The first message of an execution, with the pointer's fence: its id is the execution's."""
    queue = runtime.store.settings.queue
    shown = f"flow:{pointer.flow}"
    return _ready(runtime, Sending(BEGIN, pointer, queue, pointer.execution_id, shown=shown))


def again(runtime: Runtime, pointer: Pointer) -> Standing:
    """A fresh message for a frame that is to be claimed for news, not for a task's turn."""
    renewed = fresh(pointer.to("resume", "", pointer.step, pointer.attempt))
    return _ready(runtime, Sending(RESUME, renewed, runtime.store.settings.queue, new_id()))


def repeated(
    runtime: Runtime, pointer: Pointer, graph: Graph, frame: Frame, delay_s: float = 0.0
) -> Standing:
    """The message of what a frame waits for already (the pointer's kind and fence), once more.

    Its delay is over, or the message or its worker may be lost: it is as the first was, but for
    its id, its parent and its ETA. A task that has found a worker, or lost its last one, gets
    the other kind. `delay_s`: what is left of its delay, after a pause.
    """
    step, queue = frame.step, runtime.store.settings.queue
    if step is None and pointer.kind == "begin":
        return beginning(runtime, pointer)
    if step is None:
        return _ready(runtime, Sending(RESUME, pointer, queue, new_id()))
    # Not from the graph: a redrive may lead away from a step that its definition lacks.
    name = step.path.rpartition("/")[2]
    at = pointer.to(pointer.kind, pointer.fence, name, step.attempt)
    match pointer.kind:
        case "task" | "unserved":
            return _turn(runtime, at, graph.node(step.path), step, delay_s=delay_s)
        case "wait":
            return _ready(runtime, Sending(WAIT, at, queue, new_id(), delay_s=delay_s))
        case "join":
            group = group_of(at, join_id(frame.id, name))
            return _ready(runtime, Sending(JOIN, at, queue, new_id(), group=group))
        case "begin" | "resume" | "lane":
            return _ready(runtime, Sending(RESUME, at, queue, new_id()))
        case _:
            assert_never(pointer.kind)


def group_of(pointer: Pointer, join: str) -> str:
    """The id of the group that a fork's lanes are, and of the join at its end."""
    return f"{pointer.execution_id}/{join}"


def task_message(runtime: Runtime, node: Node) -> tuple[str, str, float | None]:
    """The Celery task of a task or stream step, its queue, and its time limit in seconds.

    The limit is the step's own; else that of the task, of a stream the least of its stages'; None:
    there is none.
    """
    step = node.step
    assert isinstance(step, AttemptedStep) and node.resource is not None
    wanted = _wanted(node.resource)
    found = [runtime.fleet.serving(names) for _, names in wanted]
    served = [one for one in found if one is not None]
    if len(served) < len(wanted) or not wanted:
        name = UNSERVED if wanted else STEP
        return name, runtime.store.settings.queue, step.timeout_s
    limits = [one.timeout_s for one in served if one.timeout_s is not None]
    limit = min(limits, default=None) if step.timeout_s is None else step.timeout_s
    name = STREAM if isinstance(node.resource, StreamResource) else served[0].name
    return name, served[0].queue, limit


def is_served(runtime: Runtime, node: Node) -> bool:
    """False when a task's name, or that of a stage, is one that no live worker has registered."""
    assert node.resource is not None
    return all(runtime.fleet.serving(names) for _, names in _wanted(node.resource))


def unserved_task(runtime: Runtime, node: Node) -> str:
    """The task of a step that no live worker has, as shown to people; of a stream the first."""
    assert node.resource is not None
    missing = (
        called.display
        for called, names in _wanted(node.resource)
        if runtime.fleet.serving(names) is None
    )
    return next(missing, node.resource.display)


def inline_task(runtime: Runtime, node: Node) -> Served | None:
    """The task of a fork's first step if a lane can run it item by item in one message.

    Not one with a time limit: a limit revokes a message, and here it would revoke a batch.
    """
    step = node.step
    if not isinstance(step, TaskStep) or step.pattern != "requestResponse" or step.timeout_s:
        return None
    assert node.resource is not None
    names = served_names(node.resource)
    served = runtime.fleet.serving(names) if names else None
    return served if served is not None and served.timeout_s is None else None


def _wanted(resource: Resource) -> list[tuple[Resource, tuple[str, ...]]]:
    """The tasks that workers must have for a resource, with the names they may be found under."""
    if isinstance(resource, StreamResource):
        return [(called, served_names(called)) for _, called in resource.stages]
    names = served_names(resource)
    return [(resource, names)] if names else []


def _turn(
    runtime: Runtime,
    pointer: Pointer,
    node: Node,
    opened: OpenStep,
    parent_id: str | None = None,
    delay_s: float = 0.0,
) -> Standing:
    """A task's turn, or its look for a worker while none has it; with the pointer's fence."""
    assert node.resource is not None
    name, queue, limit = task_message(runtime, node)
    kind: Kind = "unserved" if name == UNSERVED else "task"
    at = pointer.to(kind, pointer.fence, node.step.name, opened.attempt)
    if delay_s > runtime.store.settings.timer_horizon_s:
        return Standing("WAITING", at, delay_s=delay_s)
    sending = Sending(
        name,
        at,
        queue,
        new_id(),
        parent_id,
        shown=node.resource.display if name in ENGINE_TASKS else None,
        delay_s=delay_s,
        retries=opened.attempt - 1,
        policies=_policies(node, opened),
        limits_s=_limits(runtime, name, limit),
    )
    return replace(_ready(runtime, sending), timeout_s=limit)


def _limits(runtime: Runtime, name: str, limit: float | None) -> tuple[float, float] | None:
    """When Celery ends a task: not where the limit is that of something else that is waited for."""
    if limit is None or (name in ENGINE_TASKS and name != STREAM):
        return None
    return limit, limit + runtime.store.settings.kill_grace_s


def _ready(runtime: Runtime, sending: Sending) -> Standing:
    envelope = runtime.canvas.envelope(sending)
    return Standing("READY", sending.pointer, envelope, sending.queue, sending.delay_s)


def _policies(node: Node, opened: OpenStep) -> tuple[dict[str, Any], ...]:
    """The retry policies that a task's earlier attempts have used, for people who read messages."""
    assert isinstance(node.step, AttemptedStep)
    return tuple(
        {"errors": list(policy.errors), "used": used, "max_attempts": policy.max_attempts}
        for policy, used in zip(node.step.retry, opened.retries, strict=False)
        if used
    )


def _sleep(runtime: Runtime, pointer: Pointer, name: str, command: Sleep, request: str) -> Standing:
    waiting = fresh(pointer.to("wait", "", name, 1))
    settings = runtime.store.settings
    delay_s = command.duration_s
    if delay_s is None:
        delay_s = max(0.0, (command.until or 0.0) - runtime.store.clock.now_s())
    if delay_s > settings.timer_horizon_s:
        return Standing("WAITING", waiting, delay_s=command.duration_s, until_s=command.until)
    return _ready(
        runtime,
        Sending(WAIT, waiting, settings.queue, new_id(), request or None, delay_s=delay_s),
    )
