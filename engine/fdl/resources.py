"""A resource: what a task or a stream calls."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

from engine.fdl.model import Stage, StreamStep, TaskStep

FORMS = (
    "acs:fc:::services/SERVICE/functions/FUNCTION, acs:fc:::functions/FUNCTION, "
    "acs:fnf:::flow/FLOW, acs:mns:::/queues/QUEUE/messages, acs:mns:::/topics/TOPIC/messages, "
    "celery:package.module.task, or the name of a registered task"
)

# Regions, accounts and names may be placeholders that a deploy tool fills in, colons included.
_FUNCTION = re.compile(
    r"acs:fc:.*?:.*?:(?:services/(?P<service>.+?)/)?functions/(?P<function>[^/]+)(?:/.*)?"
)
_QUALIFIER = re.compile(r"\.[A-Za-z0-9_-]+$")
_FLOW = re.compile(r"acs:fnf:.*?:.*?:flow/(?P<name>.+)")
_MESSAGES = re.compile(r"acs:mns:.*?:.*?:/?(?P<kind>queues|topics)/(?P<name>.+)/messages")
_ACTION = re.compile(r"(?P<product>[^:\s]+):(?P<operation>[^:\s]+)")


class ResourceInvalid(ValueError):
    """A resourceArn or an action has a form that is not known."""


@dataclass(frozen=True, slots=True)
class FunctionResource:
    """A registered task; `names` are the names to look for, in order."""

    names: tuple[str, ...]

    @property
    def display(self) -> str:
        """The name shown to people: with its service, where it has one."""
        return self.names[0]


@dataclass(frozen=True, slots=True)
class FlowResource:
    """A sub-flow."""

    name: str

    @property
    def display(self) -> str:
        """The name shown to people."""
        return f"flow:{self.name}"


@dataclass(frozen=True, slots=True)
class QueueResource:
    """A message to a queue of the broker."""

    name: str

    @property
    def display(self) -> str:
        """The name shown to people."""
        return f"queue:{self.name}"


@dataclass(frozen=True, slots=True)
class TopicResource:
    """A message to a fanout exchange of the broker."""

    name: str

    @property
    def display(self) -> str:
        """The name shown to people."""
        return f"topic:{self.name}"


@dataclass(frozen=True, slots=True)
class ActionResource:
    """An operation of a product."""

    product: str
    operation: str

    @property
    def name(self) -> str:
        """The registered task's name: `product:Operation`."""
        return f"{self.product}:{self.operation}"

    @property
    def display(self) -> str:
        """The name shown to people."""
        return self.name


@dataclass(frozen=True, slots=True)
class CeleryResource:
    """A task of an existing Celery fleet, by the name it is registered under there."""

    task: str

    @property
    def display(self) -> str:
        """The name shown to people."""
        return self.task


@dataclass(frozen=True, slots=True)
class NamedResource:
    """A registered task by its own name."""

    name: str

    @property
    def display(self) -> str:
        """The name shown to people."""
        return self.name


@dataclass(frozen=True, slots=True)
class StreamResource:
    """The tasks of a stream, by the names of its stages, in their order."""

    stages: tuple[tuple[str, Resource], ...]

    @property
    def display(self) -> str:
        """The name shown to people: its stages."""
        return f"stream:{'+'.join(name for name, _ in self.stages)}"


Resource: TypeAlias = (
    FunctionResource
    | FlowResource
    | QueueResource
    | TopicResource
    | ActionResource
    | CeleryResource
    | NamedResource
    | StreamResource
)


def resource_of(step: TaskStep | StreamStep | Stage) -> Resource:
    """What a task step, a stream step or one of its stages calls.

    Raises:
        ResourceInvalid: the form of a resourceArn or an action is not known.
    """
    if isinstance(step, StreamStep):
        return StreamResource(tuple((stage.name, resource_of(stage)) for stage in step.steps))
    if step.action is not None:
        return resource_of_action(step.action)
    return resource_of_arn(step.resource_arn or "")


def resource_of_action(action: str) -> ActionResource:
    """Reads `product:Operation`.

    Raises:
        ResourceInvalid: it has another form.
    """
    match = _ACTION.fullmatch(action)
    if match is None:
        raise ResourceInvalid(f"action '{action}' is not of the form product:Operation")
    return ActionResource(match["product"], match["operation"])


def resource_of_arn(arn: str) -> Resource:
    """Reads a resourceArn; a text without `acs:` or `celery:` is a registered task's name.

    Raises:
        ResourceInvalid: it is empty or has a form that is not known.
    """
    if arn.startswith("celery:"):
        return _celery(arn)
    if arn.startswith("acs:"):
        return _acs(arn)
    if not arn.strip():
        raise ResourceInvalid(f"resourceArn is empty; known forms: {FORMS}")
    return NamedResource(arn)


def _celery(arn: str) -> CeleryResource:
    task = arn.removeprefix("celery:").strip()
    if not task:
        raise ResourceInvalid(f"resourceArn '{arn}' names no task: write celery:module.task")
    return CeleryResource(task)


def _acs(arn: str) -> Resource:
    if match := _FUNCTION.fullmatch(arn):
        return _function(match["service"], match["function"])
    if match := _FLOW.fullmatch(arn):
        return FlowResource(match["name"])
    if match := _MESSAGES.fullmatch(arn):
        kind = QueueResource if match["kind"] == "queues" else TopicResource
        return kind(match["name"])
    raise ResourceInvalid(f"resourceArn '{arn}' has no known form: {FORMS}")


def _function(service: str | None, function: str) -> FunctionResource:
    if service is None:
        return FunctionResource((function,))
    service = _QUALIFIER.sub("", service) or service
    return FunctionResource((f"{service}/{function}", function))
