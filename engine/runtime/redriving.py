"""Redriving: an execution that has failed, timed out or was stopped goes on where it ended."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from engine.core.events import EventType, NewEvent
from engine.core.frame import Frame, OpenStep, join_id
from engine.core.graph import Graph
from engine.core.redriving import misfit
from engine.core.states import ExecutionStatus
from engine.errors import ExecutionNotExists, InvalidArgument
from engine.fdl.model import ForeachStep, ParallelStep
from engine.runtime import kept
from engine.runtime.pointer import Pointer
from engine.runtime.runtime import Runtime
from engine.runtime.scripts import Verdict
from engine.runtime.sending import again
from engine.runtime.views import history

Definition = Literal["same", "latest"]
"""Which definition goes on: the one the execution has run by, or the flow's newest."""

Items = Literal["failed", "all"]
"""Which items of a foreach run again that a redrive begins from."""

PAGE = 1000
"""Events of the history that are looked through at once."""


@dataclass(frozen=True, slots=True)
class Redrive:
    """How an execution is to go on.

    `from_step`: a top-level step's name; None: the steps that failed or were cut off. `skips`:
    frames whose step is not run again but ends with an output: {frame: {"output", "note"}}.
    `note`: who does it and why, for the history. `notify`: who waits for its end from now on.
    """

    flow: str
    name: str
    from_step: str | None = None
    definition: Definition = "same"
    items: Items = "failed"
    skips: dict[str, dict[str, Any]] = field(default_factory=dict)
    note: dict[str, str] = field(default_factory=dict)
    notify: dict[str, Any] | None = None


def redrive(runtime: Runtime, wanted: Redrive) -> ExecutionStatus | None:
    """Lets an execution go on. Atomic; one that goes on already is left alone (its status).

    Raises:
        ExecutionNotExists. FlowNotExists: the latest definition of a flow that is deleted.
        InvalidArgument: it has succeeded or was never redriven and runs, there is no such step, or
        the definition does not have a step that it stands at. ConcurrentUpdateError: another
        version's.
    """
    _check_choices(wanted)
    pointer = Pointer(wanted.flow, wanted.name, "", 1, "", "", "resume")
    identity = pointer.execution_id
    runtime.store.check_version(identity)
    record = runtime.store.record(identity)
    _check_status(wanted, record)
    definition = _definition(runtime, wanted, record)
    graph = runtime.definitions.graph(definition)
    news: dict[str, Any] = {"kind": "redriven"}
    detail: dict[str, Any] = {**wanted.note, "definition": wanted.definition}
    if wanted.from_step is not None:
        news |= _from_step(runtime, wanted, graph, identity, record)
        detail["from"] = wanted.from_step
    elif wanted.definition == "latest":
        _check_fits(wanted, graph, kept.going_on(runtime, identity).values())
    event = NewEvent(EventType.EXECUTION_REDRIVEN, "", detail)
    order: dict[str, Any] = {
        "events": runtime.store.events(identity, "", [event]),
        "definition": definition,
        "wake": runtime.store.packer.pack_detail(identity, news),
    }
    if wanted.skips:
        order["skips"] = runtime.store.packer.pack_detail(identity, wanted.skips)
    if wanted.notify is not None:
        order["notify"] = json.dumps(wanted.notify)
    if graph.flow.timeout_s is not None:
        order["timeout_ms"] = round(graph.flow.timeout_s * 1000)
    to = again(runtime, pointer)
    answer = runtime.store.verb("redrive", identity, to.queue, to=to.order(), **order)
    if answer.verdict is Verdict.MISSING:
        raise _gone(wanted)
    return ExecutionStatus(answer.values[0]) if answer.verdict is Verdict.REPEATED else None


def skip_of(runtime: Runtime, execution_id: str, frame_id: str) -> dict[str, Any] | None:
    """What a redrive says about a frame's step: {"output", "note"}; None: it runs again."""
    text = runtime.store.record(execution_id).get("skips")
    skips = runtime.store.packer.unpack_detail(execution_id, text) if text else {}
    return skips.get(frame_id)


def _check_choices(wanted: Redrive) -> None:
    for value, known in ((wanted.definition, Definition), (wanted.items, Items)):
        if value not in get_args(known):
            raise InvalidArgument(f"{value!r}: it must be one of {_list(get_args(known))}")


def _check_status(wanted: Redrive, record: dict[str, str]) -> None:
    if not record:
        raise ExecutionNotExists(f"flow {wanted.flow!r} has no execution {wanted.name!r}")
    status = ExecutionStatus(record["status"])
    if wanted.notify is not None:
        return  # its parent goes on with it, whatever became of it
    if status is ExecutionStatus.SUCCEEDED:
        raise InvalidArgument(f"{wanted.flow}/{wanted.name} has succeeded: nothing to redrive")
    if not status.ended and "redrives" not in record:
        raise InvalidArgument(
            f"{wanted.flow}/{wanted.name} is {status}: only what has ended can be redriven"
        )


def _definition(runtime: Runtime, wanted: Redrive, record: dict[str, str]) -> str:
    if wanted.definition == "latest":
        return runtime.definitions.describe(wanted.flow).definition_id
    return record["definition"]


def _check_fits(wanted: Redrive, graph: Graph, frames: Iterable[Frame]) -> None:
    """Refuses a definition in which a frame that is to go on has no place."""
    for frame in frames:
        if path := misfit(graph, frame):
            raise InvalidArgument(
                f"{wanted.flow}: the latest definition has no step {path!r}, where "
                f"{wanted.name} stands; redrive it from another step, with all items of the "
                "foreach, or with the same definition"
            )


def _from_step(
    runtime: Runtime, wanted: Redrive, graph: Graph, execution_id: str, record: dict[str, str]
) -> dict[str, Any]:
    """The news that lead the root frame to a step, with the local that it had there."""
    top = tuple(step.name for step in graph.flow.steps)
    name = str(wanted.from_step)
    if name not in top:
        raise InvalidArgument(f"{wanted.flow} has no top-level step {name!r}; it has {_list(top)}")
    told: dict[str, Any] = {"step": name}
    local = _local_at(runtime, wanted, name) if "dropped_turns" not in record else None
    # A history that has been shortened meanwhile does not say what the local was.
    if local is not None and "dropped_turns" not in runtime.store.record(execution_id):
        told["local"] = local
    if wanted.items == "failed" and isinstance(graph.node(name).step, ForeachStep | ParallelStep):
        visit = kept.has_failed_items(runtime, execution_id, join_id("", name))
        if visit is not None:
            at = OpenStep(name, {}, visit)
            _check_fits(wanted, graph, kept.going_on(runtime, execution_id, at).values())
            told["visit"] = visit
    return told


def _local_at(runtime: Runtime, wanted: Redrive, step_name: str) -> dict[str, Any] | None:
    """The flow's local when a top-level step was last entered; None: it never was.

    Cost: O(history).
    """
    local: dict[str, Any] = {}
    entered: dict[str, dict[str, Any]] = {}
    led_to: str | None = None
    depth, after = 0, 0
    while page := history(runtime, wanted.flow, wanted.name, after, PAGE):
        after = page[-1].event_id
        for event in page:
            if event.type is EventType.EXECUTION_REDRIVEN:
                led_to = event.detail.get("from")
            if event.frame or not event.step_name:
                continue
            if event.type is EventType.STEP_ENTERED:
                depth += 1
                if depth == 1:
                    # It was led there with what that step had; or was stopped before it came there.
                    if led_to == event.step_name:
                        local = entered.get(led_to, local)
                    entered[event.step_name], led_to = local, None
            elif event.type is EventType.STEP_EXITED:
                depth -= 1
                local = {**local, **event.detail.get("output", {})} if depth == 0 else local
    return entered.get(step_name)


def _gone(wanted: Redrive) -> InvalidArgument:
    return InvalidArgument(
        f"{wanted.flow}/{wanted.name}: nothing is left of what it was at; start a new execution"
    )


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
