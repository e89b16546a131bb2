"""The graph: a flow with everything a decision needs worked out beforehand.

Paths: a top-level step is `a`; in a choice option `a/choices/0/b` or `a/default/b`; in a branch
`a/branches/1/b`; in a foreach `a/steps/b`. A series' path is that without the step: "" for the
flow, `a/choices/0`, `a/default`, `a/branches/1`, `a/steps`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from engine.fdl.expressions import Condition, compile_condition
from engine.fdl.model import (
    AttemptedStep,
    ChoiceStep,
    FailStep,
    Flow,
    ForeachStep,
    Mappings,
    ParallelStep,
    Step,
    StreamStep,
    SucceedStep,
    TaskStep,
    WaitStep,
)
from engine.fdl.resources import Resource, resource_of

_NAMES = frozenset({"$context.flow.name", "$context.execution.name", "$context.step.name"})
_EVENT_ID = "$context.step.eventId"
_TOKEN = "$context.task.token"


@dataclass(frozen=True, slots=True)
class ChoiceOption:
    """A choice's option: its series, and the path that its goto leads to (None: no goto).

    `condition` is None for the default.
    """

    series: str
    condition: Condition | None
    goto: str | None


@dataclass(frozen=True, slots=True)
class ContextUse:
    """What a step's mappings ask of `$context`: nothing, names, its event id, its token."""

    any: bool = False
    event_id: bool = False
    token: bool = False


@dataclass(frozen=True, slots=True)
class Node:
    """A step at its place.

    `next` is the path that follows it (None: its series ends there, also because of `end`);
    `catches` has the target of each of its catchers; `works` is true when it is or holds a
    task, a stream or a wait, so that passing it is no idle move; `resource` is None unless it is a
    task or a stream.
    """

    path: str
    step: Step
    series: str
    next: str | None
    options: tuple[ChoiceOption, ...]
    catches: tuple[str, ...]
    resource: Resource | None
    context: ContextUse
    works: bool


@dataclass(frozen=True, slots=True)
class Series:
    """A series of steps: `owner` is the path of the step it is in (None: the flow itself).

    `first` is None when it has no steps; `goto` is where a choice option goes after it.
    """

    path: str
    owner: str | None
    first: str | None
    goto: str | None = None


@dataclass(frozen=True, slots=True)
class Graph:
    """A flow, its steps by path and its series by path."""

    flow: Flow
    nodes: Mapping[str, Node]
    series: Mapping[str, Series]

    def node(self, path: str) -> Node:
        """The step at `path`; KeyError when there is none."""
        return self.nodes[path]

    def first(self, series: str) -> str | None:
        """The path of a series' first step, None when it has no steps."""
        return self.series[series].first


def build_graph(flow: Flow) -> Graph:
    """Works out paths, gotos, conditions and resources of a flow.

    Raises:
        ValueError: a goto names no sibling, a resource or a condition cannot be read; a flow
            that came through `engine.core.checks.load_flow` has none of these.
    """
    nodes: dict[str, Node] = {}
    series: dict[str, Series] = {}
    _add_series(nodes, series, flow.steps, Series("", None, None))
    return Graph(flow, nodes, series)


def step_path(series: str, name: str) -> str:
    """The path of the step `name` of a series."""
    return f"{series}/{name}" if series else name


def sub_series(step: Step, path: str) -> Iterator[tuple[str, tuple[Step, ...]]]:
    """The series inside of the step at `path`, with their paths, in the order of the text."""
    match step:
        case ChoiceStep():
            for position, option in enumerate(step.choices):
                yield f"{path}/choices/{position}", option.steps
            if step.default is not None:
                yield f"{path}/default", step.default.steps
        case ParallelStep():
            for position, steps in enumerate(step.branches):
                yield f"{path}/branches/{position}", steps
        case ForeachStep():
            yield f"{path}/steps", step.steps
        case _:
            return


def _add_series(
    nodes: dict[str, Node], series: dict[str, Series], steps: tuple[Step, ...], at: Series
) -> None:
    first = step_path(at.path, steps[0].name) if steps else None
    series[at.path] = Series(at.path, at.owner, first, at.goto)
    siblings = {step.name: step_path(at.path, step.name) for step in steps}
    for position, step in enumerate(steps):
        path = siblings[step.name]
        options = _options(step, path, siblings)
        gotos = {option.series: option.goto for option in options}
        works = isinstance(step, AttemptedStep | WaitStep)
        for inner_path, inner in sub_series(step, path):
            _add_series(nodes, series, inner, Series(inner_path, path, None, gotos.get(inner_path)))
            works = works or any(nodes[step_path(inner_path, item.name)].works for item in inner)
        following = steps[position + 1].name if position + 1 < len(steps) else None
        nodes[path] = Node(
            path=path,
            step=step,
            series=at.path,
            next=None if following is None or _ends(step) else siblings[following],
            options=options,
            catches=_catches(step, siblings),
            resource=resource_of(step) if isinstance(step, TaskStep | StreamStep) else None,
            context=_context_use(step),
            works=works,
        )


def _ends(step: Step) -> bool:
    return step.end or isinstance(step, SucceedStep | FailStep)


def _options(step: Step, path: str, siblings: dict[str, str]) -> tuple[ChoiceOption, ...]:
    if not isinstance(step, ChoiceStep):
        return ()
    written = [*step.choices, *([step.default] if step.default is not None else [])]
    return tuple(
        ChoiceOption(
            inner_path,
            compile_condition(option.condition) if option.condition is not None else None,
            _sibling(option.goto, step, siblings) if option.goto is not None else None,
        )
        for (inner_path, _), option in zip(sub_series(step, path), written, strict=True)
    )


def _catches(step: Step, siblings: dict[str, str]) -> tuple[str, ...]:
    if not isinstance(step, AttemptedStep):
        return ()
    return tuple(_sibling(catcher.goto, step, siblings) for catcher in step.catch)


def _sibling(goto: str, step: Step, siblings: dict[str, str]) -> str:
    if goto not in siblings:
        raise ValueError(f"{step.name}: goto {goto!r} names no step here")
    return siblings[goto]


def _context_use(step: Step) -> ContextUse:
    asked = {text for text in _texts(step) if text.startswith("$context")}
    if not asked:
        return ContextUse()
    return ContextUse(
        any=True,
        event_id=bool(asked - _NAMES - {_TOKEN}),
        token=isinstance(step, TaskStep)
        and step.pattern == "waitForCallback"
        and bool(asked - _NAMES - {_EVENT_ID}),
    )


def _texts(step: Step) -> Iterator[str]:
    """Every text of a step that may be a path under `$context`."""
    yield from _mapping_texts(step.input_mappings)
    yield from _mapping_texts(step.output_mappings)
    if isinstance(step, AttemptedStep):
        yield from _mapping_texts(step.error_mappings)
    if isinstance(step, TaskStep):
        yield from _deep_texts(step.service_params)
    if isinstance(step, StreamStep):
        for stage in step.steps:
            yield from _mapping_texts(stage.input_mappings)
    yield from _deep_texts([getattr(step, "error", None), getattr(step, "cause", None)])


def _mapping_texts(mappings: Mappings | None) -> Iterator[str]:
    for mapping in mappings or ():
        if isinstance(mapping.source, str):
            yield mapping.source


def _deep_texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for item in value.values():
                yield from _deep_texts(item)
        case list():
            for item in value:
                yield from _deep_texts(item)
        case _:
            return
