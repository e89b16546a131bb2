"""Runners: how a simulation answers each kind of task (function, sub-flow, message, mock)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
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
    EXECUTION_EXISTS,
    FLOW_NOT_EXISTS,
    Failure,
    child_input,
)
from engine.core.states import ExecutionStatus
from engine.fdl.resources import ActionResource, FlowResource, QueueResource, TopicResource
from engine.simulate.attempts import Attempt, end_of_child, function_names, reported
from engine.simulate.calls import call
from engine.simulate.execution import SimulatedExecution
from engine.simulate.world import World

Runner = Callable[[World, Attempt], None]


def runner_of(world: World, attempt: Attempt) -> Runner | None:
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
        case _:
            known = any(name in world.tasks for name in function_names(attempt.call.resource))
            return _function if known or attempt.mocked else None


def _mock(world: World, attempt: Attempt) -> None:
    mock, resource = attempt.mock, attempt.call.resource
    if mock.lost:
        world.later(mock.delay_s, attempt, WorkerLost())
    elif mock.error is not None:
        world.later(mock.delay_s, attempt, TaskRaised(mock.error, mock.cause))
    elif attempt.call.pattern == "sync" and isinstance(resource, FlowResource):
        name = attempt.call.execution_name or world.random_name()
        detail = {"executionName": name, "flowName": resource.name}
        if attempt.happen(Submitted(detail, "child")):
            world.later(mock.delay_s, attempt, Reported(mock.output))
    else:
        _return(world, attempt, TaskReturned(mock.output))


def _function(world: World, attempt: Attempt) -> None:
    for name in function_names(attempt.call.resource):
        if name in world.tasks:
            outcome = call(world.tasks[name], attempt.call.input, attempt.context())
            return _return(world, attempt, outcome)
    return _return(world, attempt, TaskReturned(None))


def _message(world: World, attempt: Attempt) -> None:
    body = json.dumps(attempt.call.input.get("MessageBody"), sort_keys=True)
    digest = hashlib.md5(body.encode(), usedforsecurity=False).hexdigest().upper()
    ids = {"MessageId": world.random_name(), "RequestId": world.random_name()}
    _return(world, attempt, TaskReturned({**ids, "MessageBodyMD5": digest}))


def _sub_flow(world: World, attempt: Attempt) -> None:
    resource, wanted = attempt.call.resource, attempt.call
    found = world.flow(resource.name if isinstance(resource, FlowResource) else "")
    given = child_input(wanted.input)
    name = wanted.execution_name or world.random_name()
    if found is None:
        text = f"{attempt.node.step.name}: there is no flow for {resource.display}"
        attempt.happen(SubmitFailed(FLOW_NOT_EXISTS, text))
    elif isinstance(given, Failure):
        attempt.happen(SubmitFailed(given.error, given.cause))
    elif (found.name, name) in world.executions:
        text = f"{found.name} has an execution {name!r} already"
        attempt.happen(SubmitFailed(EXECUTION_EXISTS, text))
    else:
        _submit(world, attempt, world.start(found.graph, found.name, name, given))


def _submit(world: World, attempt: Attempt, child: SimulatedExecution) -> None:
    detail = {"executionName": child.name, "flowName": child.flow}
    match attempt.call.pattern:
        case "requestResponse":
            _return(world, attempt, TaskReturned(detail))
        case "sync":
            attempt.happen(Submitted(detail, "child"))
            attempt.execution.synced[attempt.frame.id] = child
            child.ended.append(lambda end: world.later(0.0, attempt, end_of_child(end)))
        case "waitForCallback":
            _wait_for_report(world, attempt, detail)


def _start_execution(world: World, attempt: Attempt) -> None:
    """`fnf:StartExecution`: starts an execution that goes its own way."""
    params = attempt.call.input
    found, given = world.flow(str(params.get("FlowName", ""))), child_input(params.get("Input"))
    if isinstance(given, Failure):
        return _return(world, attempt, TaskRaised(given.error, given.cause))
    if found is None:
        text = f"there is no flow {params.get('FlowName')!r}"
        return _return(world, attempt, TaskRaised("FlowNotExists", text))
    name = str(params.get("ExecutionName") or world.random_name())
    execution = world.executions.get((found.name, name))
    if execution is not None and execution.status.ended:
        text = f"{found.name} has an execution {name!r} already, which has ended"
        return _return(world, attempt, TaskRaised("ExecutionAlreadyExists", text))
    if execution is None:
        execution = world.start(found.graph, found.name, name, given)
        if token := params.get("CallbackFnFTaskToken"):
            execution.ended.append(lambda end: world.report(str(token), end_of_child(end)))
    answer = _answer(world, execution)
    if attempt.call.pattern == "waitForCallback":
        return _wait_for_report(world, attempt, answer)
    return _return(world, attempt, TaskReturned(answer))


def _answer(world: World, execution: SimulatedExecution) -> dict[str, Any]:
    return {
        "FlowName": execution.flow,
        "Name": execution.name,
        "Status": str(ExecutionStatus.RUNNING),
        "Input": json.dumps(execution.input),
        "Output": "",
        "RequestId": world.random_name(),
    }


def _return(world: World, attempt: Attempt, outcome: TaskReturned | TaskRaised) -> None:
    """The call comes back after its delay; then the mock's report may follow."""

    def come_back() -> None:
        waits = isinstance(outcome, TaskReturned) and attempt.call.pattern == "waitForCallback"
        if attempt.happen(outcome) and waits:
            _report(world, attempt)

    world.clock.after(attempt.mock.delay_s, come_back)


def _wait_for_report(world: World, attempt: Attempt, detail: dict[str, Any]) -> None:
    if attempt.happen(Submitted(detail, "callback")):
        _report(world, attempt)


def _report(world: World, attempt: Attempt) -> None:
    report = attempt.mock.report
    if report is not None:
        world.later(report.delay_s, attempt, reported(report))
