"""`penstock validate`: every problem of flow files, one line each."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.cli.exits import BAD_INPUT, FAILED
from engine.cli.inputs import read_text
from engine.core.checks import load_flow
from engine.errors import FlowInvalid, InvalidArgument
from engine.fdl.model import AttemptedStep
from engine.fdl.problems import Problem


def add(app: typer.Typer) -> None:
    """Registers the command."""
    app.command()(validate)


def validate(
    files: Annotated[list[str], typer.Argument(metavar="FLOW.yml...", help="`-` is stdin.")],
    tasks: Annotated[
        list[str] | None, typer.Option(metavar="MODULE|FILE.py", help="Tasks that workers have.")
    ] = None,
) -> None:
    """Print every problem of flow files; exit 1 on an error, 2 if a file cannot be read."""
    unreadable: list[str] = []
    problems: list[Problem] = []
    for file in files:
        try:
            problems += _problems(file, read_text(file, "flow file"), tasks or [])
        except InvalidArgument as error:
            unreadable.append(str(error))
    for problem in problems:
        typer.echo(str(problem))
    for line in unreadable:
        typer.echo(f"penstock: {line}", err=True)
    if unreadable:
        raise typer.Exit(BAD_INPUT)
    if any(problem.is_error for problem in problems):
        raise typer.Exit(FAILED)


def _problems(file: str, text: str, sources: list[str]) -> tuple[Problem, ...]:
    try:
        graph, warnings = load_flow(text, file)
    except FlowInvalid as invalid:
        return invalid.problems
    if not any(isinstance(node.step, AttemptedStep) for node in graph.nodes.values()):
        return warnings
    # Only here: the packages of tasks take as long to import as all the rest.
    from engine.cli.task_files import load_task_files, task_problems

    load_task_files(sources)
    return tuple(sorted([*warnings, *task_problems(graph, file)]))
