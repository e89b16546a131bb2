"""Layout: where each step of a flow stands in its picture, and the ways between them.

A series is laid out in layers (`engine.api.console.layers`); a step with series of its own is one
box of it, with these side by side inside. A foreach is one box whose series is a picture by itself:
whoever wants to see it asks for that series.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from engine.api.console.blocks import (
    INNER_GAP,
    PAD,
    TITLE,
    Block,
    Group,
    Line,
    Shape,
    leaf,
    text_width,
)
from engine.api.console.layers import Box, Placed, Point, Way, place
from engine.core.graph import Graph, Node
from engine.fdl.model import AttemptedStep, ChoiceStep, FailStep, Option, ParallelStep

MARGIN = 24.0
DOT = 18.0
"""The size of the marks of start and end."""

START, END = ".start", ".end"
"""The paths of these marks: no step can be named so."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A picture: `series` is the path of the one that is shown, sizes are in pixels."""

    series: str
    width: float
    height: float
    shapes: tuple[Shape, ...]
    groups: tuple[Group, ...]
    lines: tuple[Line, ...]


def lay_out(graph: Graph, series: str = "") -> Layout:
    """The picture of a flow, or of one series of it. Deterministic.

    Raises:
        KeyError: the graph has no such series.
    """
    assert graph.series[series] is not None
    block = _Painter(graph).whole(series).moved(MARGIN, MARGIN)
    return Layout(
        series,
        block.width + 2 * MARGIN,
        block.height + 2 * MARGIN,
        tuple(block.shapes),
        tuple(block.groups),
        tuple(block.lines),
    )


@dataclass(frozen=True, slots=True)
class _Exit:
    """A way out of a step: to a sibling's path, to the end of the picture, or nowhere (None)."""

    target: str | None
    kind: str = "next"
    label: str = ""


@dataclass(slots=True)
class _Member:
    """A step in its series: its picture, and the ways out of it in the order of their places.

    `sortable`: these may be in any order.
    """

    path: str
    block: Block
    exits: list[_Exit] = field(default_factory=list)
    places: list[float] = field(default_factory=list)
    sortable: bool = False


class _Painter:
    """Draws the series of one graph."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def whole(self, series: str) -> Block:
        """A series between its start and its end."""
        first = self._graph.first(series)
        dot = Block(DOT, DOT)
        dot.shapes.append(Shape(START, "start", "", "", 0, 0, DOT, DOT))
        last = Block(DOT, DOT)
        last.shapes.append(Shape(END, "end", "", "", 0, 0, DOT, DOT))
        begin = _Member(START, dot, [_Exit(first or END)], [DOT / 2])
        return self._stacked([begin, *self._members(series, END), _Member(END, last)])

    def inner(self, series: str) -> Block:
        """A series inside of a step; an empty one is a little room."""
        members = list(self._members(series, None))
        return self._stacked(members) if members else Block(64.0, 18.0)

    def _members(self, series: str, end: str | None) -> Iterator[_Member]:
        for node in self._graph.nodes.values():
            if node.series == series:
                yield self._member(node, node.next or end)

    def _member(self, node: Node, following: str | None) -> _Member:
        match node.step:
            case ChoiceStep():
                return self._choice(node, node.step, following)
            case ParallelStep():
                return _Member(node.path, self._parallel(node), [_Exit(following)])
            case FailStep():
                return _Member(node.path, leaf(node))
            case _:
                return self._attempted(node, following)

    def _attempted(self, node: Node, following: str | None) -> _Member:
        block = leaf(node)
        member = _Member(node.path, block, [_Exit(following)], [block.width / 2])
        if isinstance(node.step, AttemptedStep) and node.catches:
            return self._caught(node, node.step, following)
        return member

    def _caught(self, node: Node, step: AttemptedStep, following: str | None) -> _Member:
        """A step with catches: the ways after failures leave it beside the one after success."""
        labels = [", ".join(catcher.errors) for catcher in step.catch]
        exits = [_Exit(following)]
        exits += [
            _Exit(target, "catch", label)
            for target, label in zip(node.catches, labels, strict=True)
        ]
        share = max(map(text_width, labels)) + INNER_GAP if len(labels) > 1 else 0.0
        block = leaf(node, at_least=share * len(exits))
        return _Member(node.path, block, exits, _exit_places(exits, block.width), sortable=True)

    def _choice(self, node: Node, step: ChoiceStep, following: str | None) -> _Member:
        written: list[Option] = [*step.choices, *([step.default] if step.default else [])]
        labels = [option.condition or "default" for option in written]
        exits = [
            _Exit(option.goto or following, "option", label)
            for option, label in zip(node.options, labels, strict=True)
        ]
        if step.default is None:
            exits.append(_Exit(following, "option", "else"))
        if any(option.steps for option in written):
            return self._columns(node, exits)
        share = max(text_width(each.label) for each in exits) + INNER_GAP
        block = leaf(node, at_least=share * len(exits))
        return _Member(node.path, block, exits, _exit_places(exits, block.width), sortable=True)

    def _columns(self, node: Node, exits: list[_Exit]) -> _Member:
        """A choice whose options have steps: a column for each."""
        inner = [self.inner(option.series) for option in node.options]
        series = [option.series for option in node.options]
        if len(exits) > len(inner):
            inner.append(Block(64.0, 18.0))
            series.append("")
        titles = [each.label for each in exits]
        block, middles = self._beside(node, inner, series, titles, "option")
        plain = [replace(each, label="") for each in exits]
        return _Member(node.path, block, plain, middles)

    def _parallel(self, node: Node) -> Block:
        series = [s.path for s in self._graph.series.values() if s.owner == node.path]
        inner = [self.inner(path) for path in series]
        titles = [f"branch {number}" for number in range(len(series))]
        block, _ = self._beside(node, inner, series, titles, "branch")
        return block

    def _beside(
        self, node: Node, inner: list[Block], series: list[str], titles: list[str], kind: str
    ) -> tuple[Block, list[float]]:
        """A step above its series, which stand side by side; and the middles of these."""
        head = leaf(node)
        widths = [
            max(block.width, text_width(title)) + 2 * PAD
            for block, title in zip(inner, titles, strict=True)
        ]
        tall = max(block.height for block in inner) + TITLE + PAD
        width = max(sum(widths) + INNER_GAP * (len(widths) - 1), head.width)
        block = Block(width, head.height + 2 * INNER_GAP + tall)
        block.take(head, (width - head.width) / 2, 0)
        top, x = head.height + 2 * INNER_GAP, (width - sum(widths)) / 2
        x -= INNER_GAP * (len(widths) - 1) / 2
        middles: list[float] = []
        for part, path, title, wide in zip(inner, series, titles, widths, strict=True):
            middle = x + wide / 2
            block.groups.append(Group(path, node.path, kind, title, x, top, wide, tall))
            block.take(part, middle - part.width / 2, top + TITLE)
            fork = ((width / 2, head.height), (middle, top))
            block.lines.append(Line(node.path, path, "fork", "", fork))
            middles.append(middle)
            x += wide + INNER_GAP
        return block, middles

    def _stacked(self, members: Sequence[_Member], sort: bool = True) -> Block:
        """The members of a series in layers, with the ways between them."""
        numbers = {member.path: number for number, member in enumerate(members)}
        ways = [
            (Way(number, numbers[each.target], exit), each)
            for number, member in enumerate(members)
            for exit, each in enumerate(member.exits)
            if each.target is not None
        ]
        placed = _placed(members, [way for way, _ in ways])
        # Ways that leave a step side by side do so in the order of where they lead.
        if sort and _sort_exits(members, ways, placed):
            return self._stacked(members, sort=False)
        block = Block(placed.width, placed.height)
        for member, (x, y) in zip(members, placed.corners, strict=True):
            block.take(member.block, x, y)
        for number, (way, each) in enumerate(ways):
            kind = "loop" if number in placed.back and each.kind != "catch" else each.kind
            start, end = members[way.start].path, members[way.end].path
            block.lines.append(Line(start, end, kind, each.label, placed.routes[number]))
        return block


def _placed(members: Sequence[_Member], ways: Sequence[Way]) -> Placed:
    boxes = [
        Box(m.block.width, m.block.height, tuple(m.places) or (m.block.width / 2,)) for m in members
    ]
    return place(boxes, ways)


def _sort_exits(
    members: Sequence[_Member], ways: Sequence[tuple[Way, _Exit]], placed: Placed
) -> bool:
    """Sorts exits by where they lead, those that lead back first; True if that changed any."""
    changed = False
    for number, member in enumerate(members):
        if not member.sortable:
            continue
        middle = _middle(members, placed.corners, number)
        leads = [middle] * len(member.exits)
        for way_number, (way, _) in enumerate(ways):
            if way.start == number and way.exit is not None:
                target = _middle(members, placed.corners, way.end)
                leads[way.exit] = -1.0 if way_number in placed.back else target
        order = sorted(range(len(leads)), key=leads.__getitem__)
        if order != list(range(len(order))):
            member.exits[:] = [member.exits[exit] for exit in order]
            member.places[:] = _exit_places(member.exits, member.block.width)
            changed = True
    return changed


def _exit_places(exits: Sequence[_Exit], width: float) -> list[float]:
    """Where ways leave a box, from its left edge: in equal parts; one catch beside the middle."""
    if [each.kind for each in exits] == ["catch", "next"]:
        return [width * 0.15, width / 2]
    if [each.kind for each in exits] == ["next", "catch"]:
        return [width / 2, width * 0.85]
    share = width / len(exits)
    return [share * (number + 0.5) for number in range(len(exits))]


def _middle(members: Sequence[_Member], corners: Sequence[Point], number: int) -> float:
    return corners[number][0] + members[number].block.width / 2
