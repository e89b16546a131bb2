"""`penstock start`, `stop`, `pause`, `redrive` and the like: an execution from outside."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from engine.cli.connection import configured_engine
from engine.cli.display import make_display
from engine.cli.exits import FAILED
from engine.cli.inputs import read_input
from engine.cli.output import Format, FormatOption, print_json
from engine.cli.run import follow, report_end
from engine.errors import InvalidArgument
from engine.runtime.redriving import Definition, Items

FlowName = Annotated[str, typer.Argument(metavar="FLOW", help="The flow's name.")]
ByOption = Annotated[str | None, typer.Option("--by", help="Who does it; else you.")]
ReasonOption = Annotated[str | None, typer.Option("--reason", help="Why, for the history.")]
ExecutionName = Annotated[str, typer.Argument(metavar="NAME", help="The execution's name.")]


def add(app: typer.Typer) -> None:
    """Registers the commands."""
    for command in (start, stop, pause, resume, redrive, skip, watch, report):
        app.command()(command)


def start(
    flow: FlowName,
    input: Annotated[str | None, typer.Option(metavar="JSON|@file", help="A JSON object.")] = None,
    name: Annotated[str | None, typer.Option(help="A running one of that name is kept.")] = None,
    qualifier: Annotated[
        str | None, typer.Option(help="A published version's number, or an alias.")
    ] = None,
    format: FormatOption = Format.TEXT,
) -> None:
    """Start an execution of a deployed flow; prints its name."""
    given = read_input(input)
    with configured_engine(warn=True) as engine:
        run = engine.start_execution(flow, given, name, qualifier=qualifier)
    if format is Format.JSON:
        print_json({"flow_name": run.flow_name, "name": run.name})
    else:
        typer.echo(run.name)


def stop(
    flow: FlowName,
    name: ExecutionName,
    error: Annotated[str | None, typer.Option(help="An error for its record.")] = None,
    cause: Annotated[str | None, typer.Option(help="Why, for people.")] = None,
    by: ByOption = None,
) -> None:
    """Stop an execution and the sub-flows that it waits for."""
    with configured_engine() as engine:
        execution = engine.stop_execution(flow, name, error, cause, by)
    typer.echo(f"{flow}/{name}: {execution.status}")


def pause(
    flow: FlowName,
    name: ExecutionName,
    freeze_timers: Annotated[
        bool, typer.Option("--freeze-timers", help="Waits and time-outs stand still, too.")
    ] = False,
    by: ByOption = None,
    reason: ReasonOption = None,
) -> None:
    """Hold an execution and its sub-flows: what runs ends, nothing new begins."""
    with configured_engine() as engine:
        execution = engine.pause_execution(flow, name, freeze_timers, by, reason)
    typer.echo(f"{flow}/{name}: {execution.status}")


def resume(
    flow: FlowName, name: ExecutionName, by: ByOption = None, reason: ReasonOption = None
) -> None:
    """Let a paused execution go on."""
    with configured_engine() as engine:
        execution = engine.resume_execution(flow, name, by, reason)
    typer.echo(f"{flow}/{name}: {execution.status}")


def redrive(
    flow: FlowName,
    name: ExecutionName,
    from_step: Annotated[
        str | None,
        typer.Option("--from", metavar="STEP", help="A top-level step; else where it failed."),
    ] = None,
    latest: Annotated[
        bool, typer.Option("--latest", help="With the flow's newest definition.")
    ] = False,
    all_items: Annotated[
        bool, typer.Option("--all-items", help="All items of a foreach, not the failed ones.")
    ] = False,
    by: ByOption = None,
    reason: ReasonOption = None,
) -> None:
    """Let an execution go on that failed, timed out or was stopped; what succeeded stays."""
    definition: Definition = "latest" if latest else "same"
    items: Items = "all" if all_items else "failed"
    with configured_engine() as engine:
        execution = engine.redrive_execution(flow, name, from_step, definition, items, by, reason)
    typer.echo(f"{flow}/{name}: {execution.status}")


def skip(
    flow: FlowName,
    name: ExecutionName,
    step: Annotated[str, typer.Argument(metavar="STEP", help="The step's name.")],
    output: Annotated[
        str | None, typer.Option(metavar="JSON|@file", help="The step's output, an object.")
    ] = None,
    frame: Annotated[
        str | None, typer.Option(help="Which iteration or branch, such as orders.3.")
    ] = None,
    by: ByOption = None,
    reason: ReasonOption = None,
) -> None:
    """End a step that runs, waits or has failed with an output of yours, and go on after it."""
    given = read_input(output)
    with configured_engine() as engine:
        execution = engine.skip_step(flow, name, step, given, frame, by, reason)
    typer.echo(f"{flow}/{name}: {execution.status}")


def watch(flow: FlowName, name: ExecutionName) -> None:
    """Show an execution until its end; its output goes to stdout. Ctrl-C only ends the watching."""
    console = Console(stderr=True)
    with configured_engine() as engine, make_display(console) as display:
        execution = follow(engine, display, flow, name)
    if not report_end(execution, console):
        raise typer.Exit(FAILED)


def report(
    token: Annotated[str, typer.Argument(help="The token that the task was given.")],
    output: Annotated[
        str | None, typer.Option(metavar="JSON|@file", help="It succeeded, with this object.")
    ] = None,
    error: Annotated[str | None, typer.Option(help="It failed, with this error.")] = None,
    cause: Annotated[str, typer.Option(help="Why it failed.")] = "",
) -> None:
    """Report how a task that waits for a callback came out."""
    if (output is None) == (error is None):
        raise InvalidArgument("report: give either --output or --error")
    given = read_input(output)
    with configured_engine() as engine:
        if error is None:
            engine.report_task_succeeded(token, given)
        else:
            engine.report_task_failed(token, error, cause)
