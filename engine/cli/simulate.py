"""`penstock simulate`: a whole execution in this process, in virtual time."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import Annotated, Any

import typer

from engine.cli.exits import FAILED
from engine.cli.inputs import flow_name, read_flows, read_graph, read_input, read_text
from engine.cli.stored_objects import StoredObjects
from engine.cli.task_files import load_task_files
from engine.core.events import Event
from engine.errors import InvalidArgument
from engine.fdl.timestamps import seconds_of_timestamp
from engine.simulate.mocks import read_mocks
from engine.simulate.simulator import Simulation
from engine.simulate.simulator import simulate as run
from tasks.registry import tasks as registered


def add(app: typer.Typer) -> None:
    """Registers the command."""
    app.command()(simulate)


def simulate(
    flow: Annotated[str, typer.Argument(metavar="FLOW.yml")],
    input: Annotated[str | None, typer.Option(metavar="JSON|@file", help="A JSON object.")] = None,
    tasks: Annotated[
        list[str] | None, typer.Option(metavar="MODULE|FILE.py", help="Tasks to call.")
    ] = None,
    flows: Annotated[
        list[str] | None, typer.Option("--flow", metavar="NAME=FILE", help="A sub-flow.")
    ] = None,
    mocks: Annotated[
        str | None, typer.Option(metavar="FILE.yml", help="Results or errors of steps.")
    ] = None,
    now: Annotated[
        str | None, typer.Option(metavar="RFC3339", help="When the clock starts.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Picks one order of what happens at once.")
    ] = None,
    history: Annotated[bool, typer.Option("--history", help="Print events on stderr too.")] = False,
) -> None:
    """Run a flow in this process: real decisions, virtual time; the result is JSON on stdout."""
    graph, subflows = read_graph(flow), read_flows(flows or [])
    given, start = read_input(input), _seconds(now)
    answers = read_mocks(read_text(mocks, "mocks file"), mocks) if mocks else None
    load_task_files(tasks or [])
    functions = {name: task.call for name, task in registered().items()}
    simulation = run(
        graph, given, tasks=functions, flows=subflows, mocks=answers, now=start, seed=seed,
        flow_name=flow_name(flow), objects=StoredObjects(),
    )  # fmt: skip
    if history:
        _print_events(simulation.history, start)
    typer.echo(json.dumps(_result(simulation), ensure_ascii=False))
    if simulation.status != "Succeeded":
        raise typer.Exit(FAILED)


def _result(simulation: Simulation) -> dict[str, Any]:
    return {
        "status": simulation.status,
        "output": simulation.output,
        "error": simulation.error,
        "cause": simulation.cause,
        "history": [asdict(event) for event in simulation.history],
    }


def _print_events(events: list[Event], start: float) -> None:
    for event in events:
        place = f"{event.frame}:{event.step_name}" if event.frame else event.step_name
        detail = json.dumps(event.detail, ensure_ascii=False) if event.detail else ""
        typer.echo(
            f"{event.event_id:>5} {event.time - start:>+12.3f}s {event.type:<18} {place} {detail}",
            err=True,
        )


def _seconds(now: str | None) -> float:
    if now is None:
        return time.time()
    try:
        return seconds_of_timestamp(now)
    except ValueError as error:
        raise InvalidArgument(f"--now: {error}") from None
