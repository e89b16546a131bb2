"""Admission: what flows that are deployed through the API may reach."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from engine.api.settings import API_PREFIX, ApiSettings
from engine.core.checks import load_flow
from engine.core.graph import Graph
from engine.errors import AccessDenied
from engine.fdl.model import StreamStep, TaskStep
from engine.fdl.resources import (
    CeleryResource,
    QueueResource,
    Resource,
    StreamResource,
    TopicResource,
    resource_of,
)


def check_allowed(definition: str, settings: ApiSettings) -> None:
    """Passes a definition that names no queue, and no task of another fleet, but allowed ones.

    Files and endpoints are the workers' to allow: their settings say which a flow may name.

    Raises:
        FlowInvalid: it has errors. AccessDenied: it names what is not allowed.
    """
    graph, _ = load_flow(definition)
    for step, resource in _resources(graph):
        match resource:
            case QueueResource(name) | TopicResource(name):
                _check(step, "queue or topic", name, "ALLOW_QUEUES", settings.allow_queues)
            case CeleryResource(name):
                _check(step, "celery: task", name, "ALLOW_CELERY", settings.allow_celery)
            case _:
                pass


def _resources(graph: Graph) -> Iterator[tuple[str, Resource]]:
    for node in graph.nodes.values():
        if isinstance(node.step, TaskStep | StreamStep):
            resource = resource_of(node.step)
            yield node.step.name, resource
            if isinstance(resource, StreamResource):
                yield from resource.stages


def _check(step: str, what: str, name: str, variable: str, allowed: tuple[str, ...]) -> None:
    if not any(fnmatchcase(name, pattern) for pattern in allowed):
        raise AccessDenied(
            f"{step}: the {what} {name!r} is not allowed to flows of this API"
            f" ({API_PREFIX}{variable})"
        )
