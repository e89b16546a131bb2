"""Children: executions that a task step starts, and the start action of the service."""

from __future__ import annotations

import json
import uuid
from typing import Any

from engine.core import happenings as hap
from engine.core.frame import visit_key
from engine.core.outcomes import Failure, child_input, execution_exists, flow_not_exists
from engine.errors import EngineError, ExecutionAlreadyExists, FlowNotExists
from engine.fdl.resources import FlowResource
from engine.runtime.definitions import plain_name
from engine.runtime.redriving import Redrive, redrive
from engine.runtime.runner import Work
from engine.runtime.runtime import Runtime
from engine.runtime.starting import Start, Started, start
from engine.runtime.views import execution_fields

NAMESPACE = uuid.UUID("5e1f0c9a-6a1d-4b52-9a55-0d1e6f7c8b90")
"""Makes the names of children that nobody named: the same attempt always names the same child."""


def start_child(runtime: Runtime, work: Work) -> hap.Happening:
    """Starts the child execution of a task step; the same attempt again finds its own."""
    resource, call = work.call.resource, work.call
    assert isinstance(resource, FlowResource)
    given = child_input(call.input)
    if isinstance(given, Failure):
        return hap.SubmitFailed(given.error, given.cause)
    flow = plain_name(resource.name)
    name = call.execution_name or _own_name(work)
    notify = _parent_of(work)
    if call.pattern == "sync":
        expected = runtime.store.expect(work.pointer, f"{flow}:{name}")
        if not expected.applied:
            return hap.WorkerLost()  # its frame is somebody else's: what we decide is refused
        if call.redriven and _goes_on(runtime, work, flow, name, notify):
            return hap.Submitted({"executionName": name, "flowName": flow}, "child")
    try:
        started = start(runtime, Start(flow, name, given, notify))
    except (FlowNotExists, ExecutionAlreadyExists) as error:
        if isinstance(error, ExecutionAlreadyExists) and _is_ours(runtime, flow, name, notify):
            started = Started(name, False)
        else:
            return _refused(error, flow, name)
    except EngineError as error:
        return _refused(error, flow, name)
    if not started.created and not _is_ours(runtime, flow, name, notify):
        return _refused(None, flow, name)
    detail = {"executionName": started.name, "flowName": flow}
    if call.pattern == "requestResponse":
        return hap.TaskReturned(detail)
    return hap.Submitted(detail, "child" if call.pattern == "sync" else "callback")


def start_execution(runtime: Runtime, work: Work) -> hap.Happening:
    """The action fnf:StartExecution: starts a flow, and answers as the service does."""
    params: dict[str, Any] = work.call.input if isinstance(work.call.input, dict) else {}
    given = child_input(params.get("Input"))
    if isinstance(given, Failure):
        return hap.TaskRaised(given.error, given.cause)
    token = params.get("CallbackFnFTaskToken")
    notify = _parent_of(work) | {"waits": False} | ({"token": token} if token else {})
    flow = plain_name(str(params.get("FlowName", "")))
    name = str(params.get("ExecutionName") or _own_name(work))
    try:
        start(runtime, Start(flow, name, given, notify))
    except EngineError as error:
        # The same attempt again, since its worker died: the execution may have ended meanwhile.
        if not (
            isinstance(error, ExecutionAlreadyExists) and _is_ours(runtime, flow, name, notify)
        ):
            return hap.TaskRaised(f"fnf.{error.code}", _refused(error, flow, name).cause)
    fields = execution_fields(runtime, flow, name)
    if work.call.pattern == "waitForCallback":
        return hap.Submitted(fields, "callback")
    return hap.TaskReturned(fields)


def _refused(error: EngineError | None, flow: str, name: str) -> hap.SubmitFailed:
    """Why a child could not be started; no error: somebody else's execution has its name."""
    match error:
        case FlowNotExists():
            failure = flow_not_exists(flow)
        case ExecutionAlreadyExists() | None:
            failure = execution_exists(flow, name)
        case _:
            failure = Failure(f"FnF.{error.code}", str(error))
    return hap.SubmitFailed(failure.error, failure.cause)


def _goes_on(runtime: Runtime, work: Work, flow: str, name: str, notify: dict[str, Any]) -> bool:
    """True when a redriven step's child of before goes on, or has ended well meanwhile."""
    record = runtime.store.record(f"{flow}:{name}")
    if _visit_of(json.loads(record.get("notify", "{}"))) != _visit_of(notify):
        return False
    note = {"by": f"parent {work.pointer.execution_id}"}
    try:
        redrive(runtime, Redrive(flow, name, note=note, notify=notify))
    except EngineError:
        return False
    return True


def _visit_of(notify: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(notify.get(key) for key in ("flow", "execution", "frame", "visit"))


def _parent_of(work: Work) -> dict[str, Any]:
    return {
        "flow": work.pointer.flow,
        "execution": work.pointer.execution,
        "frame": work.frame.id,
        "step": work.pointer.step,
        "visit": visit_key(work.frame),
        "attempt": work.call.attempt,
        "waits": work.call.pattern == "sync",
    }


def _is_ours(runtime: Runtime, flow: str, name: str, notify: dict[str, Any]) -> bool:
    record = runtime.store.record(f"{flow}:{name}")
    return record.get("notify") == json.dumps(notify)


def _own_name(work: Work) -> str:
    attempt = work.call.attempt
    if work.call.redriven and work.call.pattern == "sync":
        attempt -= 1  # the child of the attempt before is the one that goes on
    key = f"{work.pointer.execution_id}/{visit_key(work.frame)}/{attempt}"
    return str(uuid.uuid5(NAMESPACE, key))
