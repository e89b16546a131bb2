"""Blocks: pieces of a picture, from a single step to a whole series, that are put together."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from engine.api.console.layers import Point
from engine.core.graph import Node
from engine.core.streaming import SINK, SOURCE
from engine.fdl.model import FailStep, ForeachStep, StreamStep, WaitStep
from engine.fdl.resources import StreamResource

PAD = 14.0
TITLE = 26.0
INNER_GAP = 14.0
"""Around what is in a box, for its title, and between boxes side by side; in pixels."""

NARROWEST, WIDEST = 148.0, 248.0
CHARACTER = 7.0
"""Widths of a step's box, and of a letter in it."""

LEAST_WIDTHS = {"foreach": 212.0, "stream": 264.0}
"""Boxes that need room for their figures."""

STEP_HEIGHT = 48.0
FOREACH_HEIGHT = 76.0
STAGE_HEIGHT = 30.0
EDGE_HEIGHT = 34.0
END_HEIGHT = 20.0
"""Sizes of a step, a foreach with its counter, and of what a stream's box has in it."""

LONGEST_LABEL = 34
"""Letters of a label that are shown; who points at it sees it all."""


@dataclass(frozen=True, slots=True)
class Part:
    """A stage or an edge inside a stream's box, `y` from that box's top; `of`: where bytes go."""

    kind: str
    name: str
    label: str
    y: float
    height: float
    of: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Shape:
    """A step, or the mark of start or end. `kind` is the type of the step as it is written."""

    path: str
    kind: str
    name: str
    label: str
    x: float
    y: float
    width: float
    height: float
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """The box of a series inside of the step `owner`: an option or a branch."""

    series: str
    owner: str
    kind: str
    label: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Line:
    """A way between two paths. `kind`: next, option, catch, loop or fork."""

    start: str
    end: str
    kind: str
    label: str
    points: tuple[Point, ...]


@dataclass(slots=True)
class Block:
    """A piece of the picture with its own upper left corner."""

    width: float
    height: float
    shapes: list[Shape] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)

    def take(self, other: Block, x: float, y: float) -> None:
        """Puts another block into this one."""
        moved = other.moved(x, y)
        self.shapes += moved.shapes
        self.groups += moved.groups
        self.lines += moved.lines

    def moved(self, x: float, y: float) -> Block:
        """The same, moved."""
        return Block(
            self.width,
            self.height,
            [replace(s, x=s.x + x, y=s.y + y) for s in self.shapes],
            [replace(g, x=g.x + x, y=g.y + y) for g in self.groups],
            [replace(n, points=tuple((a + x, b + y) for a, b in n.points)) for n in self.lines],
        )


def leaf(node: Node, at_least: float = 0.0) -> Block:
    """The box of one step, without the series inside of it."""
    kind, label = kind_of(node), label_of(node)
    parts = _parts(node)
    texts = [node.step.name + " " * 4, label, *(f"{part.name} {part.label}" for part in parts)]
    width = max(NARROWEST, *(text_width(text) + 52 for text in texts))
    width = max(min(width, WIDEST), at_least, LEAST_WIDTHS.get(kind, 0.0))
    height = FOREACH_HEIGHT if kind == "foreach" else STEP_HEIGHT
    height += sum(part.height for part in parts) + (8.0 if parts else 0.0)
    block = Block(width, height)
    block.shapes.append(Shape(node.path, kind, node.step.name, label, 0, 0, width, height, parts))
    return block


def kind_of(node: Node) -> str:
    """The type of a step as it is written in a flow."""
    return type(node.step).__name__.removesuffix("Step").lower()


def label_of(node: Node) -> str:
    """What a step does, in a few words."""
    match node.step:
        case StreamStep(steps=stages):
            return f"stream of {len(stages)} stages" if len(stages) > 1 else "stream of 1 stage"
        case WaitStep(duration=duration, timestamp=timestamp):
            if timestamp is not None:
                return f"until {timestamp}"
            return f"{duration:g} s" if isinstance(duration, int | float) else str(duration)
        case ForeachStep(collection=collection):
            return f"each of {collection}"
        case FailStep(error=error):
            return error or "fail"
        case _ if node.resource is not None:
            return node.resource.display
        case _:
            return kind_of(node)


def text_width(text: str) -> float:
    """About how wide a text is."""
    return min(len(text), LONGEST_LABEL) * CHARACTER


def _parts(node: Node) -> tuple[Part, ...]:
    """What a stream's box shows: its ends and stages one below the other, and the edges between."""
    if not isinstance(node.step, StreamStep) or not isinstance(node.resource, StreamResource):
        return ()
    tasks = [called.display for _, called in node.resource.stages]
    rows: list[tuple[str, str, str]] = [("end", node.step.source or SOURCE, SOURCE)]
    for stage, task in zip(node.step.steps, tasks, strict=True):
        lanes = f" ×{stage.concurrency}" if stage.concurrency > 1 else ""
        rows.append(("stage", stage.name, task + lanes))
    rows.append(("end", node.step.sink or SINK, SINK))
    names = [SOURCE, *(stage.name for stage in node.step.steps), SINK]
    parts: list[Part] = []
    y = STEP_HEIGHT
    for number, (kind, name, label) in enumerate(rows):
        height = STAGE_HEIGHT if kind == "stage" else END_HEIGHT
        parts.append(Part(kind, name, label, y, height))
        y += height
        if number + 1 < len(rows):
            parts.append(Part("edge", "", "", y, EDGE_HEIGHT, (names[number], names[number + 1])))
            y += EDGE_HEIGHT
    return tuple(parts)
