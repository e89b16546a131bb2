"""`penstock describe`, `history`, `list`: executions as they are."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import Annotated, Any

import typer

from engine.cli.connection import configured_engine
from engine.cli.executions import ExecutionName, FlowName
from engine.cli.output import (
    Format,
    FormatOption,
    figures,
    local_time,
    print_fields,
    print_json,
    print_table,
)
from engine.cli.step_tree import duration
from engine.core.events import Event
from engine.core.states import ExecutionStatus
from engine.runtime.views import Execution

LISTED = 50


def add(app: typer.Typer) -> None:
    """Registers the commands."""
    app.command()(describe)
    app.command()(history)
    app.command("list")(list_executions)


def describe(flow: FlowName, name: ExecutionName, format: FormatOption = Format.TEXT) -> None:
    """Print an execution: its status, times, input, and output or error."""
    with configured_engine() as engine:
        execution = engine.describe_execution(flow, name)
    if format is Format.JSON:
        print_json(asdict(execution))
        return
    print_fields(
        [
            ("flow", execution.flow_name),
            ("name", execution.name),
            ("status", execution.status),
            ("started", local_time(execution.started_time)),
            ("stopped", local_time(execution.stopped_time)),
            ("took", _took(execution)),
            ("error", execution.error or ""),
            ("cause", execution.cause or ""),
            ("input", _json(execution.input)),
            ("output", "" if execution.output is None else _json(execution.output)),
            ("dropped", _dropped(execution)),
            ("report", figures(asdict(execution.report))),
        ]
    )


def history(
    flow: FlowName,
    name: ExecutionName,
    after: Annotated[int, typer.Option(min=0, help="Only events with greater ids.")] = 0,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many.")] = None,
    format: FormatOption = Format.TEXT,
) -> None:
    """Print the events of an execution."""
    with configured_engine() as engine:
        events = engine.get_execution_history(flow, name, after, limit)
    if format is Format.JSON:
        print_json([asdict(event) for event in events])
        return
    start = events[0].time if events else 0.0
    columns = ("id", "cause", "time", "event", "step", "detail")
    print_table(columns, [_row(event, start) for event in events])


def list_executions(
    flow: Annotated[str | None, typer.Argument(metavar="[FLOW]", help="Only of this flow.")] = None,
    status: Annotated[ExecutionStatus | None, typer.Option(help="Only in this status.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = LISTED,
    format: FormatOption = Format.TEXT,
) -> None:
    """Print executions, newest first."""
    with configured_engine() as engine:
        found = engine.list_executions(flow, status, limit)
    if format is Format.JSON:
        print_json([asdict(execution) for execution in found])
        return
    columns = ("flow", "name", "status", "started", "took", "error")
    print_table(
        columns,
        [
            (e.flow_name, e.name, e.status, local_time(e.started_time), _took(e), e.error or "")
            for e in found
        ],
    )


def _took(execution: Execution) -> str:
    return duration((execution.stopped_time or time.time()) - execution.started_time)


def _row(event: Event, start: float) -> tuple[str, ...]:
    place = f"{event.frame}/{event.step_name}".strip("/")
    return (
        str(event.event_id),
        str(event.schedule_event_id),
        f"{event.time - start:+.3f}s",
        event.type,
        place,
        _json(event.detail) if event.detail else "",
    )


def _dropped(execution: Execution) -> str:
    """What the history does not keep, as its flow asks for."""
    if not execution.dropped:
        return ""
    kinds = ", ".join(f"{count} {kind}" for kind, count in execution.dropped.items())
    return f"{execution.dropped_turns} turns: {kinds}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
