"""Runners: how a simulation answers each kind of task (function, sub-flow, message, mock)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from engine.core.happenings import (
    Reported,
    SubmitFailed,
    Submitted,
    TaskRaised,
    TaskReturned,
    WorkerLost,
)
from engine.core.outcomes import (
    Failure,
    as_text,
    child_input,
    execution_exists,
    flow_not_exists,
)
from engine.core.states import ExecutionStatus
from engine.fdl.resources import (
    ActionResource,
    FlowResource,
    QueueResource,
    Resource,
    StreamResource,
    TopicResource,
)
from engine.simulate.attempts import Attempt, end_of_child, function_names, reported
from engine.simulate.calls import Outcome, call
from engine.simulate.execution import SimulatedExecution
from engine.simulate.stage import Stage
from engine.simulate.streaming import StreamRun

Runner = Callable[[Stage, Attempt], None]


def runner_of(stage: Stage, attempt: Attempt) -> Runner | None:
    """Who answers an attempt; None: nobody knows its task."""
    if attempt.mock.answers:
        return _mock
    match attempt.call.resource:
        case FlowResource():
            return _sub_flow
        case QueueResource() | TopicResource():
            return _message
        case ActionResource(product="fnf", operation="StartExecution"):
            return _start_execution
        case StreamResource() as resource if not _known(stage, resource):
            known = all(_known(stage, called) for _, called in resource.stages)
            return _stream if known else _function if attempt.mocked else None
        case _:
            known = _known(stage, attempt.call.resource)
            return _function if known or attempt.mocked else None


def unknown_task(stage: Stage, resource: Resource) -> str:
    """The task that nobody has, as shown to people; of a stream the first."""
    called = (one for _, one in resource.stages) if isinstance(resource, StreamResource) else ()
    return next((one.display for one in called if not _known(stage, one)), resource.display)


def _known(stage: Stage, resource: Resource) -> bool:
    return any(name in stage.tasks for name in function_names(resource))


def _mock(stage: Stage, attempt: Attempt) -> None:
    mock, resource = attempt.mock, attempt.call.resource
    if mock.lost:
        stage.later(mock.delay_s, attempt, WorkerLost())
    elif mock.error is not None:
        stage.later(mock.delay_s, attempt, TaskRaised(mock.error, mock.cause))
    elif attempt.call.pattern == "sync" and isinstance(resource, FlowResource):
        name = attempt.call.execution_name or attempt.random_name()
        detail = {"executionName": name, "flowName": resource.name}
        if attempt.happen(Submitted(detail, "child")):
            if mock.report is not None:
                stage.later(mock.report.delay_s, attempt, reported(mock.report))
            else:
                stage.later(mock.delay_s, attempt, Reported(mock.output))
    else:
        _return(stage, attempt, TaskReturned(mock.output))


def _function(stage: Stage, attempt: Attempt) -> None:
    for name in function_names(attempt.call.resource):
        if name in stage.tasks:
            context = attempt.context()
            outcome = call(stage.tasks[name], attempt.call.input, context)
            return _return(stage, attempt, outcome, context.taken_s)
    return _return(stage, attempt, TaskReturned(None))


def _stream(stage: Stage, attempt: Attempt) -> None:
    assert attempt.call.stream is not None
    run = StreamRun(attempt, attempt.call.stream, stage.tasks, stage.objects)
    outcome = run.outcome()
    _return(stage, attempt, outcome, run.taken_s)


def _message(stage: Stage, attempt: Attempt) -> None:
    body = as_text(attempt.call.input.get("MessageBody"))
    digest = hashlib.md5(body.encode(), usedforsecurity=False).hexdigest().upper()
    ids = {name: attempt.random_name(name) for name in ("MessageId", "RequestId")}
    _return(stage, attempt, TaskReturned({**ids, "MessageBodyMD5": digest}))


def _sub_flow(stage: Stage, attempt: Attempt) -> None:
    resource, wanted = attempt.call.resource, attempt.call
    found = stage.flow(resource.name if isinstance(resource, FlowResource) else "")
    given = child_input(wanted.input)
    name = wanted.execution_name or attempt.random_name()
    if found is None:
        missing = flow_not_exists(resource.display.removeprefix("flow:"))
        attempt.happen(SubmitFailed(missing.error, missing.cause))
    elif isinstance(given, Failure):
        attempt.happen(SubmitFailed(given.error, given.cause))
    elif (found.name, name) in stage.executions:
        taken = execution_exists(found.name, name)
        attempt.happen(SubmitFailed(taken.error, taken.cause))
    else:
        _submit(stage, attempt, stage.start(found.graph, found.name, name, given))


def _submit(stage: Stage, attempt: Attempt, child: SimulatedExecution) -> None:
    detail = {"executionName": child.name, "flowName": child.flow}
    match attempt.call.pattern:
        case "requestResponse":
            _return(stage, attempt, TaskReturned(detail))
        case "sync":
            attempt.happen(Submitted(detail, "child"))
            attempt.execution.synced[attempt.frame.id] = child
            child.ended.append(lambda end: stage.later(0.0, attempt, end_of_child(end)))
        case "waitForCallback":
            _wait_for_report(stage, attempt, detail)


def _start_execution(stage: Stage, attempt: Attempt) -> None:
    """`fnf:StartExecution`: starts an execution that goes its own way."""
    params = attempt.call.input
    found, given = stage.flow(str(params.get("FlowName", ""))), child_input(params.get("Input"))
    if isinstance(given, Failure):
        return _return(stage, attempt, TaskRaised(given.error, given.cause))
    if found is None:
        cause = flow_not_exists(str(params.get("FlowName", ""))).cause
        return _return(stage, attempt, TaskRaised("FlowNotExists", cause))
    name = str(params.get("ExecutionName") or attempt.random_name())
    execution = stage.executions.get((found.name, name))
    if execution is not None and execution.status.ended:
        cause = execution_exists(found.name, name).cause
        return _return(stage, attempt, TaskRaised("ExecutionAlreadyExists", cause))
    if execution is None:
        execution = stage.start(found.graph, found.name, name, given)
        if token := params.get("CallbackFnFTaskToken"):
            execution.ended.append(lambda end: stage.report_later(str(token), end_of_child(end)))
    answer = _answer(execution)
    if attempt.call.pattern == "waitForCallback":
        return _wait_for_report(stage, attempt, answer)
    return _return(stage, attempt, TaskReturned(answer))


def _answer(execution: SimulatedExecution) -> dict[str, Any]:
    """An execution that runs, in the service's form."""
    begun_s = execution.history[0].time if execution.history else execution.clock.now
    started = datetime.fromtimestamp(begun_s, UTC).isoformat(timespec="milliseconds")
    return {
        "FlowName": execution.flow,
        "Name": execution.name,
        "Status": str(ExecutionStatus.RUNNING),
        "Input": json.dumps(execution.input),
        "Output": "",
        "StartedTime": started.replace("+00:00", "Z"),
        "StoppedTime": "",
    }


def _return(stage: Stage, attempt: Attempt, outcome: Outcome, taken_s: float = 0.0) -> None:
    """The call comes back after its delay; then the mock's report may follow."""

    def come_back() -> None:
        waits = isinstance(outcome, TaskReturned) and attempt.call.pattern == "waitForCallback"
        if attempt.happen(outcome) and waits:
            _report(stage, attempt)

    stage.clock.after(attempt.mock.delay_s + taken_s, come_back)


def _wait_for_report(stage: Stage, attempt: Attempt, detail: dict[str, Any]) -> None:
    if attempt.happen(Submitted(detail, "callback")):
        _report(stage, attempt)


def _report(stage: Stage, attempt: Attempt) -> None:
    report = attempt.mock.report
    if report is not None:
        stage.later(report.delay_s, attempt, reported(report))
