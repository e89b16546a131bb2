"""Operations on executions, their histories, the reports of their tasks, their map runs."""

from __future__ import annotations

import json

from engine.api.operations import (
    FOR_EVER_S,
    Answer,
    Call,
    Operation,
    Operations,
    succeeded,
    wait_for_end,
)
from engine.api.parameters import service_time
from engine.core.events import Event
from engine.errors import FlowNotExists, InvalidArgument, StoreUnavailable
from engine.runtime.access_keys import Role
from engine.runtime.engine import Run
from engine.runtime.health import redis_errors
from engine.runtime.map_runs import MapRun
from engine.runtime.searching import Search
from engine.runtime.views import Execution
from engine.runtime.watching import standing_of

LONGEST_WAIT_S = 60


def start_execution(call: Call) -> Answer:
    """StartExecution."""
    run = _start(call, call.given.text("CallbackFnFTaskToken") or None)
    return execution_answer(call, run.describe())


async def start_sync_execution(call: Call) -> Answer:
    """StartSyncExecution: answers when it has ended."""
    run = await call.service.call(_start, call, None)
    ended = await wait_for_end(call.service, run.flow_name, run.name, FOR_EVER_S, call.gone)
    answer = await call.service.call(execution_answer, call, ended)
    return answer | {"ErrorCode": ended.error or "", "ErrorMessage": ended.cause or ""}


async def describe_execution(call: Call) -> Answer:
    """DescribeExecution: at once, or when it ends, at most WaitTimeSeconds later."""
    flow, name = call.given.required("FlowName"), call.given.required("ExecutionName")
    wait_s = call.given.number("WaitTimeSeconds", 0, 0, LONGEST_WAIT_S)
    if wait_s:
        found = await wait_for_end(call.service, flow, name, wait_s, call.gone)
    else:
        found = await call.service.call(call.engine.describe_execution, flow, name)
    return await call.service.call(execution_answer, call, found)


def list_executions(call: Call) -> Answer:
    """ListExecutions, newest first."""
    given = call.given
    if given.text("MapRunName"):
        raise InvalidArgument("MapRunName: the items of a foreach are no executions here")
    brief = given.flag("MetadataOnly")
    status = given.text("Status")
    search = Search(
        flow=given.required("FlowName"),
        statuses=(status,) if status else (),
        started_from=given.time("StartedTimeBegin"),
        started_to=given.time("StartedTimeEnd"),
        name_prefix=given.text("ExecutionNamePrefix"),
        qualifier=given.text("Qualifier") or None,
        limit=given.limit(),
        token=given.text("NextToken"),
        metadata_only=brief,
    )
    page = call.engine.search_executions(search)
    if not page.executions and not page.next_token:
        call.engine.describe_flow(given.required("FlowName"))  # no flow is not an empty one
    rows = [_row(each, brief) for each in page.executions]
    return {"Executions": rows, "NextToken": page.next_token}


def get_history(call: Call) -> Answer:
    """GetExecutionHistory; a token is the id that a page begins with."""
    flow, name = call.given.required("FlowName"), call.given.required("ExecutionName")
    limit = call.given.limit()
    first = call.given.number("NextToken", 1, 0, 10**15)
    # One more than is asked for tells whether there is a page behind.
    events = call.engine.get_execution_history(flow, name, max(first, 1) - 1, limit + 1)
    token = str(events[limit].event_id) if len(events) > limit else ""
    return {"Events": [event_answer(event) for event in events[:limit]], "NextToken": token}


def stop_execution(call: Call) -> Answer:
    """StopExecution."""
    flow, name = call.given.required("FlowName"), call.given.required("ExecutionName")
    error, cause = call.given.text("Error") or None, call.given.text("Cause") or None
    return execution_answer(call, call.engine.stop_execution(flow, name, error, cause))


def report_succeeded(call: Call) -> Answer:
    """ReportTaskSucceeded."""
    token = call.given.required("TaskToken")
    call.given.required("Output")
    call.engine.report_task_succeeded(token, call.given.json_object("Output"))
    return {"EventId": last_event_of(call, token)}


def report_failed(call: Call) -> Answer:
    """ReportTaskFailed."""
    token, error = call.given.required("TaskToken"), call.given.required("Error")
    call.engine.report_task_failed(token, error, call.given.text("Cause"))
    return {"EventId": last_event_of(call, token)}


def last_event_of(call: Call, token: str) -> int:
    """The id of the last event of a token's execution."""
    ticket = call.engine.runtime.tokens.read(token)
    return standing_of(call.engine.runtime, ticket.flow, ticket.execution)[1]


def describe_map_run(call: Call) -> Answer:
    """DescribeMapRun: how far a foreach is."""
    return map_run_answer(call.engine.map_runs.describe(*_map_run(call)))


def update_map_run(call: Call) -> Answer:
    """UpdateMapRun: tunes a foreach that runs."""
    run = call.engine.map_runs.update(
        *_map_run(call),
        concurrency=call.given.perhaps_number("Concurrency", 1, 10**6),
        tolerated_failed_count=call.given.perhaps_number("ToleratedFailedCount", 0, 10**9),
        tolerated_failed_percentage=call.given.percentage("ToleratedFailedPercentage"),
    )
    return {"FlowName": run.flow_name, **map_run_answer(run)}


def execution_answer(call: Call, execution: Execution) -> Answer:
    """An execution in the service's form."""
    return {**_row(execution, False), "FlowDefinition": _definition(call, execution)}


def event_answer(event: Event) -> Answer:
    """An event in the service's form."""
    return {
        "EventId": event.event_id,
        "Type": event.type.value,
        "StepName": event.step_name,
        "ScheduleEventId": event.schedule_event_id,
        "Time": service_time(event.time),
        "EventDetail": json.dumps(event.detail) if event.detail else "",
    }


def map_run_answer(run: MapRun) -> Answer:
    """A map run in the service's form."""
    return {
        "ExecutionName": run.execution_name,
        "MapRunName": run.name,
        "Status": run.status,
        "Concurrency": run.concurrency,
        "ToleratedFailedCount": run.tolerated_failed_count,
        "ToleratedFailedPercentage": None,
        "StartedTime": service_time(run.started_time),
        "StoppedTime": service_time(run.stopped_time),
        "ItemCounts": {
            "Total": run.total,
            "Pending": run.pending,
            "Running": run.running,
            "Succeed": run.succeeded,
            "Failed": run.failed,
            "Aborted": run.aborted,
        },
    }


def _start(call: Call, callback_token: str | None) -> Run:
    if callback_token:
        call.caller.needs(Role.APPROVER)  # who has it told of an end reports a task
    return call.engine.start_execution(
        call.given.required("FlowName"),
        call.given.json_object("Input"),
        call.given.text("ExecutionName") or None,
        callback_token,
        qualifier=call.given.text("Qualifier") or None,
    )


def _row(execution: Execution, brief: bool) -> Answer:
    output = json.dumps(execution.output) if succeeded(execution) and not brief else ""
    return {
        "FlowName": execution.flow_name,
        "Name": execution.name,
        "Status": execution.status.value,
        "Input": "" if brief else json.dumps(execution.input),
        "Output": output,
        "FlowDefinition": "",
        "StartedTime": service_time(execution.started_time),
        "StoppedTime": service_time(execution.stopped_time),
    }


def _definition(call: Call, execution: Execution) -> str:
    try:
        with redis_errors():
            return call.engine.runtime.definitions.text(execution.definition_id)
    except (FlowNotExists, StoreUnavailable):
        return ""


def _map_run(call: Call) -> tuple[str, str, str]:
    given = call.given
    return given.required("FlowName"), given.required("ExecutionName"), given.required("MapRunName")


OPERATIONS: Operations = {
    "StartExecution": Operation(Role.OPERATOR, start_execution),
    "StartSyncExecution": Operation(Role.OPERATOR, waiting=start_sync_execution),
    "DescribeExecution": Operation(Role.VIEWER, waiting=describe_execution),
    "ListExecutions": Operation(Role.VIEWER, list_executions),
    "GetExecutionHistory": Operation(Role.VIEWER, get_history),
    "StopExecution": Operation(Role.OPERATOR, stop_execution),
    "ReportTaskSucceeded": Operation(Role.APPROVER, report_succeeded),
    "ReportTaskFailed": Operation(Role.APPROVER, report_failed),
    "DescribeMapRun": Operation(Role.VIEWER, describe_map_run),
    "UpdateMapRun": Operation(Role.OPERATOR, update_map_run),
}
