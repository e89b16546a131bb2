"""The service's own protocol as an OpenAPI document: a form for each operation."""

from __future__ import annotations

from typing import Any

TEXT: dict[str, Any] = {"type": "string", "maxLength": 200}
NUMBER: dict[str, Any] = {"anyOf": [{"type": "number"}, TEXT]}
TIME: dict[str, Any] = {"anyOf": [{"type": "string", "format": "date-time"}, TEXT]}

GOOD = {
    "FlowName": "there",
    "Name": "there",
    "Definition": "version: v1\ntype: flow\nsteps:\n- {type: pass, name: a}\n",
    "Type": "FDL",
    "ExecutionMode": "Standard",
    "ExecutionName": "done",
    "Input": '{"value": 1}',
    "Output": "{}",
    "CallbackFnFTaskToken": "",
    "Qualifier": "",
    "WaitTimeSeconds": "0",
    "Limit": "2",
    "NextToken": "",
    "Status": "Succeeded",
    "StartedTimeBegin": "2020-01-01T00:00:00Z",
    "StartedTimeEnd": "",
    "MetadataOnly": "true",
    "FlowVersion": "1",
    "RoutingConfigurations": '[{"Version": "1", "Weight": 100}]',
    "MapRunName": "all",
    "Concurrency": "2",
    "ToleratedFailedCount": "",
    "ToleratedFailedPercentage": "10",
    "ScheduleName": "nightly",
    "CronExpression": "@every 1h",
    "Payload": "{}",
    "Enable": "false",
}
"""A value of each parameter that can be used."""

_PAGE = "Limit NextToken"
_FLOW = "Name Definition Description Type RoleArn ExecutionMode"
_ALIAS = "FlowName Name Description RoutingConfigurations"
_MAP_RUN = "FlowName ExecutionName MapRunName"
_SCHEDULE = "FlowName ScheduleName CronExpression Payload Enable Description"
_TUNING = "Concurrency ToleratedFailedCount ToleratedFailedPercentage"
_FOUND = "Status StartedTimeBegin StartedTimeEnd ExecutionNamePrefix MetadataOnly Qualifier"

FORMS = {
    "CreateFlow": _FLOW,
    "UpdateFlow": _FLOW,
    "DescribeFlow": "Name FlowVersion",
    "ListFlows": _PAGE,
    "StartExecution": "FlowName ExecutionName Input CallbackFnFTaskToken Qualifier",
    "StartSyncExecution": "FlowName ExecutionName Input Qualifier",
    "DescribeExecution": "FlowName ExecutionName WaitTimeSeconds",
    "ListExecutions": f"FlowName {_PAGE} {_FOUND}",
    "GetExecutionHistory": f"FlowName ExecutionName {_PAGE}",
    "StopExecution": "FlowName ExecutionName Error Cause",
    "ReportTaskSucceeded": "TaskToken Output",
    "ReportTaskFailed": "TaskToken Error Cause",
    "PublishFlowVersion": "FlowName Description",
    "ListFlowVersions": f"FlowName {_PAGE}",
    "CreateFlowAlias": _ALIAS,
    "UpdateFlowAlias": _ALIAS,
    "DescribeFlowAlias": "FlowName Name",
    "ListFlowAliases": f"FlowName {_PAGE}",
    "DescribeMapRun": _MAP_RUN,
    "UpdateMapRun": f"{_MAP_RUN} {_TUNING}",
    "CreateSchedule": _SCHEDULE,
    "UpdateSchedule": _SCHEDULE,
    "DescribeSchedule": "FlowName ScheduleName",
    "ListSchedules": f"FlowName {_PAGE}",
    "DeleteSchedule": "FlowName ScheduleName",
    "DeleteFlowAlias": "FlowName Name",
    "DeleteFlowVersion": "FlowName FlowVersion",
    "DeleteFlow": "Name",
    "DescribeRegions": "",
}
"""The parameters of each operation; what deletes comes last."""


def rpc_document() -> dict[str, Any]:
    """The whole. An operation is a path of its own here; it is sent to `/`."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Operations of version 2019-03-15", "version": "2019-03-15"},
        "paths": {f"/{action}": {"post": _operation(action)} for action in FORMS},
    }


def _operation(action: str) -> dict[str, Any]:
    fields = {name: _kind(name) for name in FORMS[action].split()}
    form = {"type": "object", "properties": fields}
    content = {"application/x-www-form-urlencoded": {"schema": form}}
    return {
        "operationId": action,
        "requestBody": {"required": True, "content": content},
        "responses": {"default": {"description": "An answer with its RequestId."}},
    }


def _kind(name: str) -> dict[str, Any]:
    if name.endswith(("Begin", "End")):
        return TIME
    return NUMBER if name.startswith(("Limit", "Conc", "Tolerated", "Wait", "FlowV")) else TEXT
