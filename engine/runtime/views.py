"""Views: an execution and its history, as people and clients read them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from engine.core.events import Event, EventType
from engine.core.states import ExecutionStatus
from engine.errors import ExecutionNotExists
from engine.runtime.archiving import PAGE, Entry, archived_page, event_id_of
from engine.runtime.figures import Report, report_of
from engine.runtime.payloads import dumps
from engine.runtime.pointer import execution_id
from engine.runtime.runtime import Runtime


@dataclass(frozen=True, slots=True)
class Execution:
    """An execution as it was when it was read.

    `output` is None until it has succeeded; `error` and `cause` are None unless it failed, timed
    out or was stopped with them. Times are seconds since the epoch.
    `dropped` counts, by type, the events of the `dropped_turns` that its history does not keep.
    `report`: what it has been through.
    `version`: the flow's published version that it was started with, `qualifier`: as it was asked
    for there; None: the flow as it was deployed then. `definition_id`: names the text it runs.
    """

    flow_name: str
    name: str
    status: ExecutionStatus
    input: dict[str, Any]
    output: dict[str, Any] | None
    error: str | None
    cause: str | None
    started_time: float
    stopped_time: float | None
    dropped: dict[str, int] = field(default_factory=dict)
    dropped_turns: int = 0
    report: Report = Report()
    version: int | None = None
    qualifier: str | None = None
    definition_id: str = ""


def describe(runtime: Runtime, flow: str, name: str) -> Execution:
    """Reads an execution. Cost: O(1) and its payloads. Raises ExecutionNotExists."""
    identity = execution_id(flow, name)
    record = runtime.store.record(identity)
    if not record.get("status"):
        raise ExecutionNotExists(f"flow {flow!r} has no execution {name!r}")
    return execution_of(runtime, record)


def execution_of(runtime: Runtime, record: Mapping[str, str]) -> Execution:
    """The execution of a record; one that lacks its payloads is shown without them."""
    identity = execution_id(record["flow"], record["name"])
    packer = runtime.store.packer
    output = record.get("output")
    stopped = record.get("stopped_ms")
    version = record.get("flow_version")
    return Execution(
        flow_name=record["flow"],
        name=record["name"],
        status=ExecutionStatus(record["status"]),
        input=_own(packer.unpack(identity, record.get("input", "{}"))),
        output=_own(packer.unpack(identity, output)) if output else None,
        error=record.get("error"),
        cause=record.get("cause"),
        started_time=int(record["started_ms"]) / 1000,
        stopped_time=int(stopped) / 1000 if stopped else None,
        dropped=_dropped(record),
        dropped_turns=int(record.get("dropped_turns", 0)),
        report=report_of(record),
        version=int(version) if version else None,
        qualifier=record.get("qualifier"),
        definition_id=record.get("definition", ""),
    )


def history(
    runtime: Runtime, flow: str, name: str, after: int = 0, limit: int | None = None
) -> list[Event]:
    """Events with ids above `after`, at most `limit` (None: all). Cost: O(page).

    Raises:
        ExecutionNotExists.
    """
    identity = execution_id(flow, name)
    key = runtime.store.keys.record(identity)
    status, archived = runtime.store.redis.hmget(key, ["status", "archived"])  # type: ignore[misc]
    if status is None:
        raise ExecutionNotExists(f"flow {flow!r} has no execution {name!r}")
    return _events(runtime, identity, max(after, 0), limit, int(archived or 0))


def news(runtime: Runtime, identity: str, after: int, limit: int) -> list[Event]:
    """Events with ids above `after`, at most `limit`; none when the execution is gone."""
    return _events(runtime, identity, after, limit, 0)


def execution_fields(runtime: Runtime, flow: str, name: str) -> dict[str, Any]:
    """An execution in the service's form: JSON texts, "" for what is not set."""
    execution = describe(runtime, flow, name)
    return {
        "FlowName": execution.flow_name,
        "Name": execution.name,
        "Status": execution.status.value,
        "Input": json.dumps(execution.input),
        "Output": json.dumps(execution.output) if execution.output is not None else "",
        "StartedTime": _service_time(execution.started_time),
        "StoppedTime": _service_time(execution.stopped_time),
    }


def event_of(runtime: Runtime, execution_id: str, entry: str, fields: dict[str, str]) -> Event:
    """An entry of the history's stream as an event."""
    return Event(
        event_id=event_id_of(entry),
        type=EventType(fields["y"]),
        step_name=fields["s"],
        frame=fields["f"],
        time=int(fields["t"]) / 1000,
        schedule_event_id=int(float(fields["c"])),
        detail=runtime.store.packer.unpack_detail(execution_id, fields["d"]),
    )


def _own(value: dict[str, Any]) -> dict[str, Any]:
    """A copy: whoever reads it may change it, and what the packer holds is shared."""
    # As JSON: a value may be nested deeper than Python's own copying goes.
    own: dict[str, Any] = json.loads(dumps(value))
    return own


def _events(
    runtime: Runtime, identity: str, after: int, limit: int | None, archived: int
) -> list[Event]:
    """Events above `after`; those up to `archived` are known to be in archived pages.

    Pages may be archived while we read: whether the live stream still began where we are is found
    out right after it was read, so that nothing is missed and nothing twice.
    """
    events: list[Event] = []
    while limit is None or len(events) < limit:
        count = PAGE if limit is None else min(PAGE, limit - len(events))
        if after < archived:
            page = archived_page(runtime, identity, after // PAGE)
            rows = [row for row in page if event_id_of(row[0]) > after][:count]
            at_end = not rows
        else:
            rows, archived = _live(runtime, identity, after, count)
            if after < archived:
                continue
            at_end = len(rows) < count
        events += [event_of(runtime, identity, *row) for row in rows]
        if at_end:
            break
        after = events[-1].event_id
    return events


def _live(runtime: Runtime, identity: str, after: int, count: int) -> tuple[list[Entry], int]:
    """Entries of the stream, and the id up to which events were archived when they were read.

    In this order: what is archived in between is in both. No transaction, which a Redis without
    memory would refuse.
    """
    keys = runtime.store.keys
    with runtime.store.redis.pipeline(transaction=False) as both:
        both.xrange(keys.history(identity), f"({after}-0", "+", count)
        both.hget(keys.record(identity), "archived")
        rows, archived = both.execute()
    return rows, int(archived or 0)


def _dropped(record: Mapping[str, str]) -> dict[str, int]:
    mark = "dropped:"
    found = sorted((name, count) for name, count in record.items() if name.startswith(mark))
    return {name.removeprefix(mark): int(count) for name, count in found}


def _service_time(seconds: float | None) -> str:
    if seconds is None:
        return ""
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
