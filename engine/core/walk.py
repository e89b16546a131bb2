"""A walk: a frame on the move through its series, until its decision is made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

from engine.core.commands import Command, Decision
from engine.core.events import EventType, NewEvent
from engine.core.frame import Frame, OpenStep, Scope
from engine.core.graph import Graph, Node
from engine.core.happenings import RunInfo
from engine.core.turns import NOWHERE, place_in, place_of
from engine.fdl.mappings import InvalidPath, Roots, apply_mappings
from engine.fdl.model import Mappings

Where: TypeAlias = Command | str | None
"""Where a walk goes next: a command ends it, a path is entered, None is the end of a series."""

MASK = "***"
"""Stands in the history for a callback token."""

_NO_CONTEXT: dict[str, Any] = {}


@dataclass(slots=True)
class Walk:
    """The parts of a frame while a decision changes them, and the events so far.

    `step` is None between two steps: it is set exactly while a step has its StepEntered and
    not yet its StepExited. Values (inputs, locals, outputs) are shared, never changed.
    `place` is the position of the flow's own step that was entered last, where turns are counted.
    """

    graph: Graph
    run: RunInfo
    id: str
    turn: str
    scopes: list[Scope]
    choices: list[OpenStep]
    step: OpenStep | None
    visits: int
    moves: int
    place: int = NOWHERE
    events: list[NewEvent] = field(default_factory=list)
    exact_ids: bool = False

    def frame(self) -> Frame:
        """The frame as it is now."""
        return Frame(
            self.id,
            tuple(self.scopes),
            tuple(self.choices),
            self.step,
            self.visits,
            self.moves,
            self.turn,
        )

    def decision(self, command: Command) -> Decision:
        """What the walk came to."""
        return Decision(self.frame(), tuple(self.events), command, self.exact_ids)

    def record(
        self, kind: EventType, step_name: str, detail: dict[str, Any], turn: bool = False
    ) -> None:
        """Adds an event; a callback token in its detail is masked: who has it may report."""
        if self.step is not None and self.graph.nodes[self.step.path].context.token:
            detail = _masked(detail, self.run.token(self.frame()))
        self.events.append(NewEvent(kind, step_name, detail, turn))

    def standing(self) -> tuple[Node, OpenStep]:
        """The step that the walk is at; ValueError between two steps."""
        if self.step is None:
            raise ValueError(f"frame {self.id!r} stands at no step")
        return self.graph.nodes[self.step.path], self.step

    def scope_roots(self, node: Node) -> Roots:
        """What `$input`, `$local` and `$context` are in a step's inputMappings."""
        scope = self.scopes[-1]
        return Roots(scope.input, scope.local, self.context(node))

    def context(self, node: Node) -> dict[str, Any]:
        """`$context` of a step; empty when none of its mappings asks for it."""
        if not node.context.any:
            return _NO_CONTEXT
        step: dict[str, Any] = {"name": node.step.name}
        context = self.flow_context() | {"step": step}
        if self.step is not None and self.step.event_id:
            step["eventId"] = self.step.event_id
        if node.context.token:
            context["task"] = {"token": self.run.token(self.frame())}
        return context

    def flow_context(self) -> dict[str, Any]:
        """`$context` of the flow's own mappings."""
        return {"flow": {"name": self.run.flow}, "execution": {"name": self.run.execution}}

    def map(self, mappings: Mappings, roots: Roots) -> dict[str, Any]:
        """The object that mappings make; InvalidPath in a strict flow only."""
        return apply_mappings(mappings, roots, self.graph.flow.strict)


def walk_from(graph: Graph, frame: Frame, run: RunInfo) -> Walk:
    """A walk that starts where a frame stands."""
    return Walk(
        graph,
        run,
        frame.id,
        frame.turn,
        list(frame.scopes),
        list(frame.choices),
        frame.step,
        frame.visits,
        frame.moves,
        place_in(graph, frame) if _counts_turns(graph, frame.id) else NOWHERE,
    )


def open_step(walk: Walk, path: str) -> Node:
    """Enters a step: maps its input and records StepEntered."""
    node = walk.graph.nodes[path]
    walk.visits += 1
    walk.moves += 1
    turn = _begins_turn(walk, node)
    event_id = 0
    if node.context.event_id:
        event_id = walk.run.next_event_id + len(walk.events)
        walk.exact_ids = True
    walk.step = OpenStep(path, {}, walk.visits, event_id=event_id)
    try:
        given = step_input(walk, node)
    except InvalidPath:
        walk.record(EventType.STEP_ENTERED, node.step.name, {"input": {}}, turn)
        raise
    walk.step = OpenStep(path, given, walk.visits, event_id=event_id)
    walk.record(EventType.STEP_ENTERED, node.step.name, {"input": given}, turn)
    return node


def map_flow_input(walk: Walk) -> None:
    """The flow's own inputMappings, on the input of its root frame; other frames have none."""
    mappings = walk.graph.flow.input_mappings
    if walk.id or mappings is None:
        return
    scope = walk.scopes[0]
    mapped = walk.map(mappings, Roots(scope.input, {}, walk.flow_context()))
    walk.scopes[0] = Scope(scope.series, mapped, {})


def step_input(walk: Walk, node: Node) -> dict[str, Any]:
    """A step's input: its mappings', else the parent's input and local, local first."""
    mappings = node.step.input_mappings
    if mappings is not None:
        return walk.map(mappings, walk.scope_roots(node))
    return merged(walk.scopes[-1].input, walk.scopes[-1].local)


def leave_step(walk: Walk, local: Any) -> str | None:
    """Ends the step successfully with its local (a list for a fork); returns what follows it."""
    node, opened = walk.standing()
    mappings = node.step.output_mappings
    if mappings is not None:
        output = walk.map(mappings, Roots(opened.input, local, walk.context(node)))
    else:
        output = local if isinstance(local, dict) else {}
    return close_step(walk, node, output)


def close_step(walk: Walk, node: Node, output: dict[str, Any]) -> str | None:
    """Records a step's success, merges its output into its parent's local; returns its next."""
    walk.record(EventType.STEP_SUCCEEDED, node.step.name, {})
    walk.record(EventType.STEP_EXITED, node.step.name, {"output": output})
    return merge_output(walk, node, output)


def merge_output(walk: Walk, node: Node, output: dict[str, Any]) -> str | None:
    """Leaves the step behind with its output in its parent's local; returns its next."""
    if output:
        scope = walk.scopes[-1]
        walk.scopes[-1] = Scope(scope.series, scope.input, merged(scope.local, output))
    walk.step = None
    return node.next


def _counts_turns(graph: Graph, frame_id: str) -> bool:
    return not frame_id and graph.flow.kept_turns is not None


def _begins_turn(walk: Walk, node: Node) -> bool:
    """True when the flow goes back among its own steps, and its turns are counted (L10.14)."""
    if node.series or not _counts_turns(walk.graph, walk.id):
        return False
    before, walk.place = walk.place, place_of(walk.graph, node.path)
    return walk.place <= before


def _masked(value: Any, secret: str) -> Any:
    """The value with `MASK` in the place of a secret, wherever it is in it."""
    match value:
        case dict():
            return {key: _masked(item, secret) for key, item in value.items()}
        case list():
            return [_masked(item, secret) for item in value]
        case str() if secret in value:
            return value.replace(secret, MASK)
        case _:
            return value


def merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Both objects in one, `above` wins; one of them as it is when the other is empty."""
    if not above:
        return below
    return {**below, **above} if below else above
