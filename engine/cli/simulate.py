"""`penstock simulate`: a whole execution in this process, in virtual time."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import Annotated, Any

import typer

from engine.cli.exits import FAILED
from engine.cli.inputs import flow_name, read_flows, read_graph, read_input, read_moment, read_text
from engine.cli.stored_objects import StoredObjects
from engine.cli.task_files import load_task_files
from engine.core.events import Event
from engine.errors import InvalidArgument
from engine.simulate.bundles import read_bundle, replay
from engine.simulate.mocks import read_mocks
from engine.simulate.simulator import Simulation
from engine.simulate.simulator import simulate as run
from tasks.registry import tasks as registered


def add(app: typer.Typer) -> None:
    """Registers the command."""
    app.command()(simulate)


def simulate(
    flow: Annotated[str | None, typer.Argument(metavar="FLOW.yml")] = None,
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
    bundle: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Replays what `penstock export` printed; no flow: its."),
    ] = None,
    history: Annotated[bool, typer.Option("--history", help="Print events on stderr too.")] = False,
) -> None:
    """Run a flow in this process: real decisions, virtual time; the result is JSON on stdout."""
    if bundle is not None:
        if any(each is not None for each in (input, tasks, flows, mocks, now, seed)):
            raise InvalidArgument("--bundle: input, results and times are those of the bundle")
        _replay(bundle, flow, history)
        return
    if flow is None:
        raise InvalidArgument("simulate: name a FLOW.yml, or a --bundle")
    given, start = read_input(input), _seconds(now)
    answers = read_mocks(read_text(mocks, "mocks file"), mocks) if mocks else None
    graph, subflows = read_graph(flow), read_flows(flows or [])
    load_task_files(tasks or [])
    functions = {name: task.call for name, task in registered().items()}
    simulation = run(
        graph, given, tasks=functions, flows=subflows, mocks=answers, now=start, seed=seed,
        flow_name=flow_name(flow), objects=StoredObjects(),
    )  # fmt: skip
    _tell(simulation, {}, start if history else None)
    if simulation.status != "Succeeded":
        raise typer.Exit(FAILED)


def _replay(file: str, flow: str | None, history: bool) -> None:
    """Replays a bundle, by another flow if one is named; exit code 1 if it goes otherwise."""
    bundle = read_bundle(read_text(file, "bundle"), file)
    done = replay(bundle, None if flow is None else read_graph(flow))
    told = {"differences": list(done.differences)}
    _tell(done.simulation, told, bundle.execution.started_time if history else None)
    for line in done.differences:
        typer.echo(f"penstock: {line}", err=True)
    if done.differences:
        raise typer.Exit(FAILED)
    typer.echo(f"penstock: the same as recorded, {len(bundle.history)} events", err=True)


def _tell(simulation: Simulation, more: dict[str, Any], start: float | None) -> None:
    """Writes the result; with the clock's start its events, too."""
    if start is not None:
        _print_events(simulation.history, start)
    typer.echo(json.dumps(_result(simulation) | more, ensure_ascii=False))


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
    return read_moment("--now", now)
