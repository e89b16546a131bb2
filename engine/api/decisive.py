"""Decisive steps: those that wait for a decision, which are not to be passed by somebody else."""

from __future__ import annotations

from collections.abc import Iterator

from engine.core.graph import Graph
from engine.errors import FlowNotExists
from engine.fdl.model import TaskStep
from engine.fdl.resources import FlowResource, resource_of
from engine.runtime.engine import Engine
from engine.runtime.health import redis_errors

CALLBACK = "waitForCallback"


@redis_errors()
def is_decisive(engine: Engine, flow: str, name: str, step: str | None = None) -> bool:
    """True if a step of an execution waits for a decision, or one in it; None: any step of it.

    Steps of sub-flows count as they are deployed now.

    Raises:
        ExecutionNotExists.
    """
    execution = engine.describe_execution(flow, name)
    try:
        graph = engine.runtime.definitions.graph(execution.definition_id)
    except FlowNotExists:
        return True  # nobody can tell any more
    found = list(_decisive(engine, graph, {flow}))
    if step is None:
        return bool(found) or _waits(engine, flow, set())
    return any(step in path.split("/") for path in found)


def _decisive(engine: Engine, graph: Graph, seen: set[str]) -> Iterator[str]:
    """The paths of the decisive steps of a graph."""
    for path, node in graph.nodes.items():
        if not isinstance(node.step, TaskStep):
            continue
        resource = resource_of(node.step)
        if node.step.pattern == CALLBACK:
            yield path
        elif isinstance(resource, FlowResource) and _waits(engine, resource.name, seen):
            yield path


def _waits(engine: Engine, flow: str, seen: set[str]) -> bool:
    if flow in seen:
        return False
    seen.add(flow)
    try:
        record = engine.describe_flow(flow)
        graph = engine.runtime.definitions.graph(record.definition_id)
    except FlowNotExists:
        return False
    return any(_decisive(engine, graph, seen))
