"""`penstock start`, `stop`, `watch`, `report`: what happens to an execution from outside."""

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

FlowName = Annotated[str, typer.Argument(metavar="FLOW", help="The flow's name.")]
ExecutionName = Annotated[str, typer.Argument(metavar="NAME", help="The execution's name.")]


def add(app: typer.Typer) -> None:
    """Registers the commands."""
    for command in (start, stop, watch, report):
        app.command()(command)


def start(
    flow: FlowName,
    input: Annotated[str | None, typer.Option(metavar="JSON|@file", help="A JSON object.")] = None,
    name: Annotated[str | None, typer.Option(help="A running one of that name is kept.")] = None,
    format: FormatOption = Format.TEXT,
) -> None:
    """Start an execution of a deployed flow; prints its name."""
    given = read_input(input)
    with configured_engine(warn=True) as engine:
        run = engine.start_execution(flow, given, name)
    if format is Format.JSON:
        print_json({"flow_name": run.flow_name, "name": run.name})
    else:
        typer.echo(run.name)


def stop(
    flow: FlowName,
    name: ExecutionName,
    error: Annotated[str | None, typer.Option(help="An error for its record.")] = None,
    cause: Annotated[str | None, typer.Option(help="Why, for people.")] = None,
) -> None:
    """Stop an execution and the sub-flows that it waits for."""
    with configured_engine() as engine:
        execution = engine.stop_execution(flow, name, error, cause)
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
