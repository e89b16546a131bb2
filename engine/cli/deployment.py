"""A deployment: the flows that a command line names, read and checked before anything starts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import typer

from engine.cli.inputs import flow_name, named_file, read_text
from engine.core.checks import load_flow
from engine.core.graph import Graph, Node
from engine.errors import FlowNotExists, InvalidArgument
from engine.fdl.model import Mark
from engine.fdl.problems import Problem
from engine.fdl.resources import FlowResource
from engine.runtime.definitions import NAME, plain_name
from engine.runtime.engine import Engine
from engine.runtime.sending import is_served, unserved_task

TASK_UNSERVED = "TASK_UNSERVED"
FLOW_UNKNOWN = "FLOW_UNKNOWN"

_NO_NAME = re.compile(r"[^A-Za-z0-9_-]+")
_NAME_LENGTH = 128


@dataclass(frozen=True, slots=True)
class FlowFile:
    """A checked flow and the name it is to have."""

    name: str
    path: str
    text: str
    graph: Graph


def read_deployment(path: str, pairs: Iterable[str]) -> tuple[FlowFile, ...]:
    """The flow of a file, first, and those of the options `--flow`; warnings go to stderr.

    Raises:
        InvalidArgument: a file cannot be read, a name cannot be used or comes twice.
        FlowInvalid: a flow has errors.
    """
    files = [_read(file_name(path), path)]
    for pair in pairs:
        name, file = named_file(pair)
        files.append(_read(_checked(plain_name(name), f"--flow {pair}"), file))
        if files[-1].name in [each.name for each in files[:-1]]:
            raise InvalidArgument(f"--flow {pair}: the flow '{files[-1].name}' was given before")
    return tuple(files)


def deploy(engine: Engine, files: Iterable[FlowFile]) -> None:
    """Creates the flows, or updates those whose definition is another one. Idempotent."""
    for file in files:
        try:
            current = engine.describe_flow(file.name)
        except FlowNotExists:
            engine.create_flow(file.name, file.text)
            continue
        if current.definition != file.text:
            engine.update_flow(file.name, file.text)


def missing(engine: Engine, files: Iterable[FlowFile]) -> tuple[Problem, ...]:
    """A warning for each step that no live worker serves, or whose flow is not deployed."""
    found: list[Problem] = []
    for file in files:
        for node in file.graph.nodes.values():
            if problem := _problem(engine, file.path, node):
                found.append(problem)
    return tuple(sorted(found))


def file_name(path: str) -> str:
    """A flow's name made of its file's: what a name may not have becomes `-`.

    Raises:
        InvalidArgument: nothing is left of it.
    """
    stem = flow_name(path)
    name = _NO_NAME.sub("-", stem).strip("-")[:_NAME_LENGTH]
    if name[:1].isdigit():
        name = f"_{name}"[:_NAME_LENGTH]
    return _checked(name, path)


def _checked(name: str, what: str) -> str:
    if not NAME.fullmatch(name):
        raise InvalidArgument(
            f"{what}: no flow can be named '{name}'; use letters, digits, '_' and '-', not"
            " beginning with a digit or '-'"
        )
    return name


def _read(name: str, path: str) -> FlowFile:
    text = read_text(path, "flow file")
    graph, warnings = load_flow(text, path)
    for warning in warnings:
        typer.echo(str(warning), err=True)
    return FlowFile(name, path, text, graph)


def _problem(engine: Engine, path: str, node: Node) -> Problem | None:
    mark, name = node.step.mark, node.step.name
    if node.resource is None:
        return None
    if isinstance(node.resource, FlowResource):
        wanted = plain_name(node.resource.name)
        if wanted in engine.runtime.definitions.names():
            return None
        text = f"{name}: no flow '{wanted}' is deployed; give its file with --flow {wanted}=FILE"
        return _warning(path, mark, FLOW_UNKNOWN, text)
    if is_served(engine.runtime, node):
        return None
    task = unserved_task(engine.runtime, node)
    text = f"{name}: no worker serves '{task}'; name the file of its task with --tasks"
    return _warning(path, mark, TASK_UNSERVED, text)


def _warning(path: str, mark: Mark, code: str, text: str) -> Problem:
    return Problem(path, mark.line, mark.column, "warning", code, text)
