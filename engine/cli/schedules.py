"""`penstock schedule …`: flows that the clock starts."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, cast

import typer

from engine.cli.connection import configured_engine
from engine.cli.executions import FlowName
from engine.cli.inputs import read_moment, read_text
from engine.cli.output import (
    Format,
    FormatOption,
    local_time,
    print_fields,
    print_json,
    print_table,
)
from engine.errors import InvalidArgument
from engine.runtime.schedules import CatchUp, Overlap, Schedule, ScheduleChange

ScheduleName = Annotated[str, typer.Argument(metavar="SCHEDULE", help="The schedule's name.")]
CronOption = typer.Option(
    metavar="CRON", help="'0 30 4 * * *' (seconds first) or '@every 10m'.", show_default=False
)
ZoneOption = Annotated[
    str | None, typer.Option("--time-zone", help="Such as Asia/Shanghai; UTC by default.")
]
PayloadOption = Annotated[
    str | None, typer.Option(metavar="TEXT|@file", help="Arrives as `payload`, JSON parsed.")
]
CatchUpOption = Annotated[
    str | None, typer.Option(help="Fire times that nobody saw: last (by default), skip or all.")
]
LimitOption = Annotated[int | None, typer.Option(min=1, help="How many of them at most, if all.")]
OverlapOption = Annotated[
    str | None,
    typer.Option(help="The one before still runs: allow (by default), skip or stop-previous."),
]
DescriptionOption = Annotated[str | None, typer.Option(help="What it is for.")]


def add(app: typer.Typer) -> None:
    """Registers the commands."""
    schedule = typer.Typer(help="Have flows started by the clock.")
    for command in (create, update, describe, pause, resume, trigger, backfill, delete):
        schedule.command()(command)
    schedule.command("list")(list_schedules)
    app.add_typer(schedule, name="schedule", no_args_is_help=True)


def create(
    flow: FlowName,
    name: ScheduleName,
    cron: Annotated[str, CronOption],
    time_zone: ZoneOption = None,
    payload: PayloadOption = None,
    catch_up: CatchUpOption = None,
    catch_up_limit: LimitOption = None,
    overlap: OverlapOption = None,
    description: DescriptionOption = None,
    format: FormatOption = Format.TEXT,
) -> None:
    """Make a schedule; it fires from now on, as long as any worker lives."""
    wanted = _change(cron, time_zone, payload, catch_up, catch_up_limit, overlap, description)
    with configured_engine() as engine:
        _show(engine.schedules.create(flow, name, wanted), format)


def update(
    flow: FlowName,
    name: ScheduleName,
    cron: Annotated[str | None, CronOption] = None,
    time_zone: ZoneOption = None,
    payload: PayloadOption = None,
    catch_up: CatchUpOption = None,
    catch_up_limit: LimitOption = None,
    overlap: OverlapOption = None,
    description: DescriptionOption = None,
    format: FormatOption = Format.TEXT,
) -> None:
    """Change what is given of a schedule."""
    wanted = _change(cron, time_zone, payload, catch_up, catch_up_limit, overlap, description)
    if wanted == ScheduleChange():
        raise InvalidArgument(f"update {flow} {name}: give what is to be changed")
    with configured_engine() as engine:
        _show(engine.schedules.update(flow, name, wanted), format)


def describe(flow: FlowName, name: ScheduleName, format: FormatOption = Format.TEXT) -> None:
    """Print a schedule."""
    with configured_engine() as engine:
        _show(engine.schedules.describe(flow, name), format)


def list_schedules(
    flow: Annotated[str | None, typer.Argument(metavar="[FLOW]", help="Only of this flow.")] = None,
    format: FormatOption = Format.TEXT,
) -> None:
    """Print all schedules."""
    with configured_engine() as engine:
        found = engine.schedules.list(flow)
    if format is Format.JSON:
        print_json([asdict(each) for each in found])
        return
    rows = [
        (each.flow_name, each.name, each.cron, each.time_zone, _next(each), each.last_execution)
        for each in found
    ]
    print_table(("flow", "schedule", "cron", "zone", "next", "last execution"), rows)


def pause(flow: FlowName, name: ScheduleName) -> None:
    """Have a schedule fire no more until it is resumed."""
    _enable(flow, name, False)


def resume(flow: FlowName, name: ScheduleName) -> None:
    """Have a paused schedule fire from now on."""
    _enable(flow, name, True)


def trigger(flow: FlowName, name: ScheduleName) -> None:
    """Start an execution now, besides the schedule's own; prints its name."""
    with configured_engine(warn=True) as engine:
        typer.echo(engine.schedules.trigger(flow, name))


def backfill(
    flow: FlowName,
    name: ScheduleName,
    start: Annotated[str, typer.Option("--from", metavar="RFC3339", help="The first moment.")],
    end: Annotated[str, typer.Option("--to", metavar="RFC3339", help="The first one after it.")],
) -> None:
    """Start an execution for each fire time of the past that has had none; prints their names."""
    from_s, to_s = read_moment("--from", start), read_moment("--to", end)
    with configured_engine(warn=True) as engine:
        for execution in engine.schedules.backfill(flow, name, from_s, to_s):
            typer.echo(execution)


def delete(flow: FlowName, name: ScheduleName) -> None:
    """Take a schedule away; what it has started goes on."""
    with configured_engine() as engine:
        engine.schedules.delete(flow, name)
    typer.echo(f"{flow}/{name}: deleted")


def _change(
    cron: str | None,
    time_zone: str | None,
    payload: str | None,
    catch_up: str | None,
    catch_up_limit: int | None,
    overlap: str | None,
    description: str | None,
) -> ScheduleChange:
    if payload is not None and payload.startswith("@"):
        payload = read_text(payload[1:], "payload file")
    return ScheduleChange(
        cron=cron,
        time_zone=time_zone,
        payload=payload,
        description=description,
        # What is none of them is refused where the schedule is made.
        catch_up=cast("CatchUp | None", catch_up),
        catch_up_limit=catch_up_limit,
        overlap=cast("Overlap | None", overlap),
    )


def _enable(flow: str, name: str, enabled: bool) -> None:
    with configured_engine() as engine:
        changed = engine.schedules.update(flow, name, ScheduleChange(enabled=enabled))
    typer.echo(f"{flow}/{name}: {_next(changed)}")


def _next(schedule: Schedule) -> str:
    if schedule.enabled:
        return local_time(schedule.next_time) or "never again"
    return "paused"


def _show(schedule: Schedule, format: Format) -> None:
    if format is Format.JSON:
        print_json(asdict(schedule))
        return
    print_fields(
        [
            ("flow", schedule.flow_name),
            ("schedule", schedule.name),
            ("cron", schedule.cron),
            ("time zone", schedule.time_zone),
            ("payload", schedule.payload),
            ("catch up", schedule.catch_up),
            ("overlap", schedule.overlap),
            ("description", schedule.description),
            ("next", _next(schedule)),
            ("last", local_time(schedule.last_time)),
            ("last execution", schedule.last_execution),
            ("last error", schedule.last_error),
            ("left out", str(schedule.skipped or "")),
        ]
    )
