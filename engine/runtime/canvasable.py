"""Canvasable: which steps plain Celery can run, and why it cannot run the others."""

from __future__ import annotations

from typing import assert_never

from engine.core.graph import Graph, Node
from engine.core.policies import delay_before
from engine.errors import NotCanvasable
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
from engine.runtime.sending import served_names


def check_canvasable(graph: Graph, longest_delay_s: float) -> None:
    """Refuses a flow with a step that plain Celery cannot run.

    `longest_delay_s`: the longest that a message may wait unacknowledged.

    Raises:
        NotCanvasable: it names the first such step, in the order of the text.
    """
    if graph.flow.timeout_s is not None:
        why = "the flow has timeoutSeconds, and plain Celery knows no time limit of a whole canvas"
        raise NotCanvasable(graph.flow.steps[0].name, why)
    for node in sorted(graph.nodes.values(), key=lambda node: node.step.mark.line):
        why = _refusal(node) or _refused_delay(node, longest_delay_s)
        if why:
            raise NotCanvasable(node.step.name, why)


def delay_refusal(delay_s: float, longest_s: float) -> str:
    """Why a delay is too long for a Celery message with an ETA; "" if it is not."""
    if delay_s <= longest_s:
        return ""
    return (
        f"a delay of {delay_s:g} s is longer than the broker's visibility timeout of "
        f"{longest_s:g} s, after which the message would be delivered twice"
    )


def _refusal(node: Node) -> str:
    if node.context.event_id:
        return "it asks for its event id, and plain Celery keeps no history"
    match node.step:
        case TaskStep():
            return _task_refusal(node, node.step)
        case StreamStep():
            return "the stages of a stream run at the same time, and only the store keeps their run"
        case ChoiceStep():
            return "which way a choice takes is not known beforehand"
        case SucceedStep() | FailStep():
            return "a canvas does not end before its last signature"
        case PassStep() | WaitStep() | ParallelStep() | ForeachStep():
            return ""
        case _:
            assert_never(node.step)


def _task_refusal(node: Node, step: TaskStep) -> str:
    assert node.resource is not None
    if step.pattern != "requestResponse":
        return f"the pattern {step.pattern} waits for a report, and only the store knows who waits"
    if not served_names(node.resource):
        return f"{node.resource.display} is no registered task"
    if step.catch:
        return "a catch leads somewhere that is not known beforehand"
    if step.timeout_s is not None:
        return "timeoutSeconds is kept by the store"
    return ""


def _refused_delay(node: Node, longest_s: float) -> str:
    if not isinstance(node.step, TaskStep):
        return ""
    delays = (delay_before(policy, policy.max_attempts) for policy in node.step.retry)
    return delay_refusal(max(delays, default=0.0), longest_s)
