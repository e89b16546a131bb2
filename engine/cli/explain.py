"""`penstock explain`: what a flow becomes in Celery and Redis, without either of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated

import typer

from engine.cli.inputs import flow_name, read_graph
from engine.cli.task_files import load_task_files
from engine.config import load_settings
from engine.runtime.explaining import (
    Assumptions,
    Explanation,
    MessageForm,
    StepForm,
    as_json,
    explain,
)
from engine.runtime.fleet import Served
from engine.runtime.picture import picture
from tasks import registry

NOTHING = "chain()"
"""A series in which nothing is sent."""


class Format(StrEnum):
    """How an explanation is written."""

    TEXT = "text"
    JSON = "json"
    MERMAID = "mermaid"


def add(app: typer.Typer) -> None:
    """Registers the command."""
    app.command("explain")(explain_flow)


def explain_flow(
    flow: Annotated[str, typer.Argument(metavar="FLOW.yml", help="`-` is stdin.")],
    format: Annotated[Format, typer.Option(help="How to write it.")] = Format.TEXT,
    tasks: Annotated[
        list[str] | None, typer.Option(metavar="MODULE|FILE.py", help="Tasks that workers have.")
    ] = None,
) -> None:
    """Print the Celery canvas, the messages, the Redis keys or a picture of a flow."""
    graph, name = read_graph(flow), flow_name(flow)
    if format is Format.MERMAID:
        typer.echo(picture(graph, name))
        return
    explanation = explain(graph, name, _assumptions(tasks or []))
    if format is Format.JSON:
        typer.echo(json.dumps(as_json(explanation), indent=2, ensure_ascii=False))
        return
    for line in _lines(explanation):
        typer.echo(line)
    typer.echo("\npicture (Mermaid)")
    typer.echo(picture(graph, name))


def _assumptions(sources: list[str]) -> Assumptions:
    load_task_files(sources)
    settings = load_settings()
    served = {
        name: Served(name, task.queue or settings.queue, task.timeout_s)
        for name, task in registry.tasks().items()
    }
    return Assumptions(settings.queue, settings.key_prefix, settings.timer_horizon_s, served)


def _lines(explanation: Explanation) -> Iterator[str]:
    yield f"flow {explanation.flow}"
    yield "\ncanvas"
    yield f"  {_canvas(explanation.steps)}"
    yield "\nmessages"
    yield f"  {_message(explanation.start)}"
    yield from _steps(explanation.steps, "  ")
    yield "\nkeys of an execution"
    yield from (f"  {name:<20} {key}" for name, key in explanation.keys.items())
    yield "\nkeys it shares with others"
    yield from (f"  {name:<20} {key}" for name, key in explanation.shared_keys.items())


def _canvas(steps: tuple[StepForm, ...]) -> str:
    """The primitives of a series, as Celery would write them."""
    parts = [part for step in steps if (part := _primitive(step))]
    return parts[0] if len(parts) == 1 else f"chain({', '.join(parts)})"


def _primitive(step: StepForm) -> str:
    inner = [_canvas(series) for series in step.series.values()]
    match step.primitive:
        case "group":
            return f"chord(group({', '.join(inner)}), join {step.name})"
        case "decided":
            ways = [text for text in inner if text != NOTHING]
            return f"{step.name}?({' | '.join(ways)})" if ways else ""
        case _:
            return step.name


def _steps(steps: tuple[StepForm, ...], indent: str) -> Iterator[str]:
    for step in steps:
        limit = f", at most {step.timeout_s:g} s" if step.timeout_s is not None else ""
        lanes = f", at most {step.lanes} at once" if step.lanes is not None else ""
        decided = ", no message of its own" if step.primitive == "decided" else ""
        yield f"{indent}{step.path} ({step.type}{limit}{lanes}{decided})"
        yield from (f"{indent}  {_message(message)}" for message in step.messages)
        for policy in step.retry:
            delays = ", ".join(f"{delay:g}" for delay in policy.delays_s)
            jitter = ", with jitter" if policy.jitter else ""
            yield f"{indent}  policy {'|'.join(policy.errors)}: after {delays} s{jitter}"
        for stage in step.stages:
            lanes = f", {stage.concurrency} at once" if stage.concurrency > 1 else ""
            yield f"{indent}  stage  {stage.name}: {stage.task} -> {stage.queue}{lanes}"
        for edge in step.edges:
            yield f"{indent}  edge   {edge.writer} -> {edge.reader}, at most {edge.holds} bytes"
        for inner in step.series.values():
            yield from _steps(inner, indent + "  ")


def _message(message: MessageForm) -> str:
    shown = f" (shown as {message.shown})" if message.shown else ""
    eta = f" in {message.delay_s:g} s" if message.delay_s is not None else ""
    headers = " ".join(message.headers)
    return f"{message.form:<6} {message.task}{shown}{eta} -> {message.queue} [{headers}]"
