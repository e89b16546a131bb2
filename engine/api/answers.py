"""Answers: what REST requests get; times are RFC 3339 in UTC, null where there is none."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, Field

from engine.core.events import Event
from engine.core.states import ExecutionStatus
from engine.runtime.definitions import FlowRecord
from engine.runtime.views import Execution

JsonObject = dict[str, Any]


class FlowAnswer(BaseModel):
    """A deployed flow."""

    name: str
    description: str
    definition: str
    version: int = Field(description="Rises with each change of the definition.")
    retention: dict[str, float] = Field(description="Seconds by status; else as it is set.")
    created_time: datetime
    last_modified_time: datetime


class FlowList(BaseModel):
    """A page of flows, by name."""

    flows: list[FlowAnswer]
    next_cursor: str | None


class VersionAnswer(BaseModel):
    """A published version of a flow."""

    version: int
    description: str
    definition: str
    created_time: datetime


class VersionList(BaseModel):
    """A page of a flow's versions, newest first."""

    versions: list[VersionAnswer]
    next_cursor: str | None


class RouteAnswer(BaseModel):
    """A share of an alias's starts, in percent."""

    version: int
    weight: int


class AliasAnswer(BaseModel):
    """An alias of a flow."""

    name: str
    description: str
    routing: list[RouteAnswer]
    created_time: datetime
    last_modified_time: datetime


class AliasList(BaseModel):
    """A page of a flow's aliases, by name."""

    aliases: list[AliasAnswer]
    next_cursor: str | None


class ExecutionAnswer(BaseModel):
    """An execution as it was when it was read."""

    flow_name: str
    name: str
    status: ExecutionStatus
    input: JsonObject
    output: JsonObject | None
    error: str | None
    cause: str | None
    started_time: datetime
    stopped_time: datetime | None
    version: int | None = Field(description="The flow's version that it was started with.")
    qualifier: str | None
    report: dict[str, int] = Field(description="What it has been through without harm.")


class ExecutionBrief(BaseModel):
    """An execution in a list."""

    flow_name: str
    name: str
    status: ExecutionStatus
    error: str | None
    started_time: datetime
    stopped_time: datetime | None
    version: int | None
    qualifier: str | None


class ExecutionList(BaseModel):
    """A page of executions, newest first; one with a cursor may be short, even empty."""

    executions: list[ExecutionBrief]
    next_cursor: str | None


class EventAnswer(BaseModel):
    """An event of a history."""

    event_id: int
    type: str
    step_name: str
    frame: str
    time: datetime
    schedule_event_id: int
    detail: JsonObject


class EventList(BaseModel):
    """A page of a history, oldest first."""

    events: list[EventAnswer]
    next_after: int | None = Field(description="`after` of the next page; null: no more for now.")


class MapRunAnswer(BaseModel):
    """How far a foreach is."""

    flow_name: str
    execution_name: str
    name: str
    status: str
    concurrency: int
    tolerated_failed_count: int | None
    total: int
    pending: int
    running: int
    succeeded: int
    failed: int
    aborted: int
    started_time: datetime | None
    stopped_time: datetime | None


class ScheduleAnswer(BaseModel):
    """A schedule of a flow."""

    flow_name: str
    name: str
    id: str
    cron: str
    time_zone: str
    payload: str
    enabled: bool
    description: str
    catch_up: str
    catch_up_limit: int
    overlap: str
    created_time: datetime
    last_modified_time: datetime
    next_time: datetime | None
    last_time: datetime | None
    last_execution: str | None
    last_error: str | None


class ScheduleList(BaseModel):
    """A page of schedules, by flow and name."""

    schedules: list[ScheduleAnswer]
    next_cursor: str | None


class StartedList(BaseModel):
    """Names of executions that were started."""

    executions: list[str]


class LinkAnswer(BaseModel):
    """A link to a page on which a task's outcome is decided."""

    url: str
    valid_until: datetime


class AuditAnswer(BaseModel):
    """Something that somebody did."""

    id: str
    time: datetime
    action: str
    subject: str
    by: str
    source: str
    detail: JsonObject


class AuditList(BaseModel):
    """A page of the audit log, newest first."""

    entries: list[AuditAnswer]
    next_before: str | None


class Health(BaseModel):
    """Whether the service can serve."""

    status: str


def moment(seconds: float) -> datetime:
    """A time in seconds since the epoch as a time in UTC, to the millisecond."""
    return datetime.fromtimestamp(round(seconds, 3), UTC)


def perhaps(seconds: float | None) -> datetime | None:
    """`moment`, None for none."""
    return None if seconds is None else moment(seconds)


def flow_answer(record: FlowRecord) -> FlowAnswer:
    """A flow's answer."""
    return FlowAnswer(
        name=record.name,
        description=record.description,
        definition=record.definition,
        version=record.version,
        retention=dict(record.retention),
        created_time=moment(record.created_time),
        last_modified_time=moment(record.last_modified_time),
    )


def execution_answer(execution: Execution) -> ExecutionAnswer:
    """An execution's answer."""
    report = execution.report
    return ExecutionAnswer(
        **_brief(execution),
        input=execution.input,
        output=execution.output,
        cause=execution.cause,
        report={name: getattr(report, name) for name in report.__slots__},
    )


def execution_brief(execution: Execution) -> ExecutionBrief:
    """An execution's row in a list."""
    return ExecutionBrief(**_brief(execution))


def event_answer(event: Event) -> EventAnswer:
    """An event's answer."""
    return EventAnswer(
        event_id=event.event_id,
        type=event.type.value,
        step_name=event.step_name,
        frame=event.frame,
        time=moment(event.time),
        schedule_event_id=event.schedule_event_id,
        detail=event.detail,
    )


def _brief(execution: Execution) -> JsonObject:
    return {
        "flow_name": execution.flow_name,
        "name": execution.name,
        "status": execution.status,
        "error": execution.error,
        "started_time": moment(execution.started_time),
        "stopped_time": perhaps(execution.stopped_time),
        "version": execution.version,
        "qualifier": execution.qualifier,
    }
