"""`penstock run`: one execution of a flow file, from its deployment to its end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from engine.cli.connection import engine_at
from engine.cli.deployment import FlowFile, deploy, missing, read_deployment
from engine.cli.display import Display, make_display
from engine.cli.ending import ending_in_order
from engine.cli.exits import FAILED
from engine.cli.follower import Follower
from engine.cli.inputs import read_input
from engine.cli.local import alone, own_worker, redis_for
from engine.cli.step_tree import duration
from engine.cli.streaming import SinkFile, SourceFile, sink_path
from engine.config import load_settings
from engine.core.states import ExecutionStatus
from engine.errors import ExecutionAlreadyCompleted, ExecutionFailed, StoreUnavailable
from engine.runtime.engine import Engine
from engine.runtime.views import Execution


def add(app: typer.Typer) -> None:
    """Registers the command."""
    app.command()(run)


def run(
    flow: Annotated[str, typer.Argument(metavar="FLOW.yml")],
    input: Annotated[str | None, typer.Option(metavar="JSON|@file", help="A JSON object.")] = None,
    tasks: Annotated[
        list[str] | None, typer.Option(metavar="MODULE|FILE.py", help="Tasks to serve.")
    ] = None,
    flows: Annotated[
        list[str] | None, typer.Option("--flow", metavar="NAME=FILE", help="A sub-flow.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The execution's name.")] = None,
    source: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What the flow's stream reads.")
    ] = None,
    sink: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where its stream's bytes go.")
    ] = None,
) -> None:
    """Run a flow on Redis and a worker, started here if none is configured; its output on stdout.

    Progress goes to stderr. Exit code: 0 succeeded, 1 not, 2 bad flow or input, 3 no usable Redis.
    """
    given, files = read_input(input), read_deployment(flow, flows or [])
    console = Console(stderr=True)
    sink = None if sink is None else sink_path(sink)
    started = Started(files, given, name, source, sink)
    with ending_in_order(), started.opened() as source_file:
        succeeded = _run(console, started, source_file, tasks or [])
    if not succeeded:
        raise typer.Exit(FAILED)


def follow(engine: Engine, display: Display, flow: str, name: str) -> Execution:
    """Shows an execution until its end. Blocking."""
    follower = Follower(engine, flow, name)
    for news in follower.events():
        display.show(follower, news)
    return follower.execution()


def follow_or_stop(engine: Engine, display: Display, flow: str, name: str) -> Execution:
    """As `follow`; if that is interrupted, the execution is stopped, and shown to its end."""
    ended = stopped = False
    try:
        with display:
            try:
                execution = follow(engine, display, flow, name)
                ended = True
            finally:
                stopped = not ended and _stop(engine, flow, name)
                if stopped:
                    follow(engine, display, flow, name)
    finally:
        # Only now: what is written beside a live display is painted over.
        if stopped:
            typer.echo(f"stopped {flow}/{name}", err=True)
    return execution


def report_end(
    execution: Execution, console: Console, broken: ExecutionFailed | None = None
) -> bool:
    """The output to stdout, or to stderr why there is none; True if all went well.

    `broken`: why the stream of one that has succeeded is not whole.
    """
    took = duration((execution.stopped_time or execution.started_time) - execution.started_time)
    error, cause = execution.error, execution.cause
    if execution.status is not ExecutionStatus.SUCCEEDED:
        console.print(f"[red]{execution.status}[/] after {took}", highlight=False)
    elif broken is not None:
        console.print(f"[red]Succeeded without its stream[/] in {took}", highlight=False)
        error, cause = broken.error, broken.cause
    else:
        console.print(f"[green]Succeeded[/] in {took}", highlight=False)
        typer.echo(json.dumps(execution.output, ensure_ascii=False))
        return True
    for what, text in (("error", error), ("cause", cause)):
        if text:
            console.print(f"{what}: {text}", markup=False, highlight=False, soft_wrap=True)
    return False


@dataclass(frozen=True, slots=True)
class Started:
    """What the command was asked to run. `source`, `sink`: files at the ends of its stream."""

    files: Sequence[FlowFile]
    input: dict[str, object]
    name: str | None
    source: Path | None
    sink: Path | None

    def opened(self) -> AbstractContextManager[SourceFile | None]:
        """The source, to be read. Raises InvalidArgument."""
        return SourceFile(self.source) if self.source is not None else nullcontext()


def _run(console: Console, wanted: Started, source: SourceFile | None, tasks: list[str]) -> bool:
    """Runs and reports the execution; True if it has succeeded."""
    settings = load_settings()
    with ExitStack() as stack:
        display = make_display(console)
        with _starting(console):
            url = stack.enter_context(redis_for(settings))
            engine = stack.enter_context(engine_at(url, warn=True))
            worker = own_worker(url, tasks, display.say, environment=alone(settings))
            if tasks or settings.redis_url is None:
                stack.enter_context(worker)
        deploy(engine, wanted.files)
        _warn(engine, wanted.files)
        execution, broken = _execute(engine, display, wanted, source)
        succeeded = report_end(execution, console, broken)
        if settings.redis_url is None and succeeded:
            # It is idle, and its Redis goes with it: an end in order would only take seconds.
            worker.kill()
        return succeeded


def _execute(
    engine: Engine, display: Display, wanted: Started, source: SourceFile | None
) -> tuple[Execution, ExecutionFailed | None]:
    """Starts the execution and shows it to its end; and why its sink is not whole, if it is not."""
    flow = wanted.files[0].name
    if wanted.source is None and wanted.sink is None:
        started = engine.start_execution(flow, wanted.input, wanted.name)
        return follow_or_stop(engine, display, started.flow_name, started.name), None
    with (
        engine.stream(flow, wanted.input, source, wanted.name) as streamed,
        SinkFile(streamed, wanted.sink, source) as sink,
    ):
        display.add(sink.bars)
        execution = follow_or_stop(engine, display, flow, streamed.execution.name)
        broken = sink.finish()
    display.tell(sink.summary())
    return execution, broken


def _starting(console: Console) -> AbstractContextManager[object]:
    """What a terminal shows until there is an execution to show."""
    if not console.is_terminal:
        return nullcontext()
    return console.status("starting", spinner_style="cyan")


def _warn(engine: Engine, files: Sequence[FlowFile]) -> None:
    if not engine.runtime.fleet.workers(fresh=True):
        typer.echo(
            "penstock: warning: no worker is running; start one with 'penstock worker', or hand"
            " over --tasks",
            err=True,
        )
        return
    for problem in missing(engine, files):
        typer.echo(str(problem), err=True)


def _stop(engine: Engine, flow: str, name: str) -> bool:
    """Stops an execution; False if it has ended already, or nobody can be told."""
    try:
        engine.stop_execution(flow, name, "Interrupted", "the command that ran it was interrupted")
    except (ExecutionAlreadyCompleted, StoreUnavailable):
        return False
    return True
