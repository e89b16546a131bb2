"""Task files: the tasks that a command knows, and the steps whose task it does not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from engine.core.graph import Graph
from engine.errors import InvalidArgument
from engine.fdl.model import TaskStep
from engine.fdl.problems import Problem
from engine.fdl.resources import ActionResource, FunctionResource, NamedResource
from tasks import TaskLoadError, load_tasks, shipped
from tasks.registry import find

BUILT_IN_ACTIONS = ("fnf:StartExecution",)
TASK_UNKNOWN = "TASK_UNKNOWN"


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


def unserved(graph: Graph, file: str) -> tuple[Problem, ...]:
    """A warning for each task step whose task is not registered here; a worker may have it."""
    return tuple(
        Problem(
            file, step.mark.line, step.mark.column, "warning", TASK_UNKNOWN,
            f"{step.name}: no task '{names[0]}' is known here; name its file with --tasks, or see"
            " that a worker has it",
        )
        for step, names in _called(graph)
        if find(names) is None
    )  # fmt: skip


def _called(graph: Graph) -> Iterator[tuple[TaskStep, tuple[str, ...]]]:
    for node in graph.nodes.values():
        if not isinstance(node.step, TaskStep):
            continue
        match node.resource:
            case FunctionResource(names):
                yield node.step, names
            case NamedResource(name):
                yield node.step, (name,)
            case ActionResource() as action if action.name not in BUILT_IN_ACTIONS:
                yield node.step, (action.name,)
            case _:
                pass
