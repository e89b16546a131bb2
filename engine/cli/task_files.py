"""Task files: the tasks that a command knows, and the steps whose task it does not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from engine.core.graph import Graph
from engine.errors import InvalidArgument
from engine.fdl.model import Mark, Stage, StreamStep
from engine.fdl.problems import Problem, Severity
from engine.fdl.resources import (
    ActionResource,
    FunctionResource,
    NamedResource,
    Resource,
    StreamResource,
)
from tasks import TaskLoadError, load_tasks, shipped
from tasks.registry import find

BUILT_IN_ACTIONS = ("fnf:StartExecution",)
TASK_UNKNOWN = "TASK_UNKNOWN"
NO_STREAM_TASK = "NO_STREAM_TASK"
NOT_STATELESS = "NOT_STATELESS"


@dataclass(frozen=True, slots=True)
class _Called:
    """A place of a flow that calls a task; `where` begins messages about it."""

    where: str
    mark: Mark
    names: tuple[str, ...]
    stage: Stage | None = None


def load_task_files(sources: Iterable[str]) -> None:
    """Registers the shipped tasks and those of the options `--tasks MODULE|FILE.py`.

    Raises:
        InvalidArgument: one of them cannot be loaded.
    """
    shipped()
    for source in sources:
        try:
            load_tasks(source)
        except TaskLoadError as error:
            raise InvalidArgument(f"--tasks {error}") from error


def task_problems(graph: Graph, file: str) -> tuple[Problem, ...]:
    """What is wrong with the tasks that a flow calls, as far as they are registered here.

    One that is not is a warning only: a worker may have it.
    """
    return tuple(
        Problem(file, called.mark.line, called.mark.column, severity, code, text)
        for called in _called(graph)
        for severity, code, text in _problems(called)
    )


def _problems(called: _Called) -> Iterator[tuple[Severity, str, str]]:
    found, name = find(called.names), called.names[0]
    if found is None:
        text = (
            f"{called.where}: no task '{name}' is known here; name its file with --tasks, or see"
            " that a worker has it"
        )
        yield "warning", TASK_UNKNOWN, text
    elif called.stage is not None and not found.stream:
        text = f"{called.where}: '{found.name}' is no stream task: register it with stream=True"
        yield "error", NO_STREAM_TASK, text
    elif called.stage is not None and called.stage.concurrency > 1 and not found.stateless:
        text = (
            f"{called.where}: concurrency {called.stage.concurrency} is for stateless stream tasks,"
            f" and '{found.name}' is none"
        )
        yield "error", NOT_STATELESS, text


def _called(graph: Graph) -> Iterator[_Called]:
    for node in graph.nodes.values():
        step = node.step
        if isinstance(step, StreamStep) and isinstance(node.resource, StreamResource):
            for stage, (name, resource) in zip(step.steps, node.resource.stages, strict=True):
                where = f"{step.name}: {name}"
                yield _Called(where, stage.mark, _names(resource), stage)
        elif node.resource is not None and (names := _names(node.resource)):
            yield _Called(step.name, step.mark, names)


def _names(resource: Resource) -> tuple[str, ...]:
    match resource:
        case FunctionResource(names):
            return names
        case NamedResource(name):
            return (name,)
        case ActionResource() if resource.name not in BUILT_IN_ACTIONS:
            return (resource.name,)
        case _:
            return ()
