"""The console's pictures: every step has its place, every way leads from a step to a step."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import combinations, pairwise
from pathlib import Path

import pytest

from engine.api.console.blocks import Shape
from engine.api.console.layers import Point
from engine.api.console.layout import END, START, Layout, lay_out
from engine.core.checks import load_flow
from engine.core.graph import Graph
from engine.errors import FlowInvalid
from engine.fdl.model import ForeachStep
from tests.api import console_flows as flows

FOLDERS = ("tests/flows", "tasks")
NEAR = 0.01

# A task beside a tall parallel in its row, and both lead to what is below the other one.
TALL = (
    flows.HEAD
    + """
- type: choice
  name: which
  choices: [{condition: $.a, goto: brief}, {condition: $.b, goto: long}]
  default: {goto: last}
- {type: task, name: brief, resourceArn: a/b, catch: [{errors: [E], goto: then}]}
- {type: succeed, name: left}
- type: parallel
  name: long
  branches:
    - steps: [{type: pass, name: p}]
    - steps: [{type: pass, name: q}]
    - steps: [{type: pass, name: r}]
- {type: choice, name: then, choices: [{condition: $.c, goto: left}], default: {goto: right}}
- {type: succeed, name: right}
- {type: succeed, name: last}
"""
)


def _graph(text: str) -> Graph:
    return load_flow(text)[0]


def _flow_files() -> Iterator[Path]:
    for folder in FOLDERS:
        for path in sorted(Path(folder).rglob("*.yml")):
            if not path.name.endswith(".expect.yml"):
                yield path


def _all_graphs() -> dict[str, Graph]:
    """Those of the console's tests, and of all flows that are there."""
    own = {"order": flows.ORDER, "polling": flows.POLLING, "stream": flows.STREAM, "tall": TALL}
    graphs = {name: _graph(text) for name, text in own.items()}
    for path in _flow_files():
        try:
            graphs[path.stem] = _graph(path.read_text())
        except FlowInvalid:
            continue  # it is there to be refused
    return graphs


def _pictures(graph: Graph) -> Iterator[Layout]:
    """The picture of a flow, and that of each foreach in it."""
    yield lay_out(graph)
    for path, node in graph.nodes.items():
        if isinstance(node.step, ForeachStep):
            yield lay_out(graph, f"{path}/steps")


def _shapes(picture: Layout) -> dict[str, Shape]:
    return {shape.path: shape for shape in picture.shapes}


def _touch(one: Shape, other: Shape) -> bool:
    return (
        one.x < other.x + other.width - NEAR
        and other.x < one.x + one.width - NEAR
        and one.y < other.y + other.height - NEAR
        and other.y < one.y + one.height - NEAR
    )


def _cuts(start: Point, end: Point, shape: Shape) -> bool:
    """True if the smallest box around a piece of a way and a shape have more than an edge."""
    (ax, ay), (bx, by) = start, end
    across = min(ax, bx) < shape.x + shape.width - NEAR and max(ax, bx) > shape.x + NEAR
    down = min(ay, by) < shape.y + shape.height - NEAR and max(ay, by) > shape.y + NEAR
    return across and down


GRAPHS = _all_graphs()


def test_there_are_flows_to_draw() -> None:
    assert len(GRAPHS) > 80


@pytest.mark.parametrize("name", GRAPHS)
def test_every_step_has_one_place_of_its_own(name: str) -> None:
    graph = GRAPHS[name]
    drawn: list[str] = []
    for picture in _pictures(graph):
        steps = [shape.path for shape in picture.shapes if shape.path not in (START, END)]
        assert len(set(steps)) == len(steps)
        drawn += steps
        for one, other in combinations(picture.shapes, 2):
            assert not _touch(one, other), (one.path, other.path)
        for shape in picture.shapes:
            assert 0 <= shape.x and shape.x + shape.width <= picture.width
            assert 0 <= shape.y and shape.y + shape.height <= picture.height
    assert sorted(drawn) == sorted(graph.nodes)


@pytest.mark.parametrize("name", GRAPHS)
def test_every_way_enters_its_step_from_above_and_stays_in_the_picture(name: str) -> None:
    for picture in _pictures(GRAPHS[name]):
        shapes, groups = _shapes(picture), {group.series: group for group in picture.groups}
        for line in picture.lines:
            end = shapes.get(line.end) or groups[line.end]
            x, y = line.points[-1]
            assert end.x <= x <= end.x + end.width
            if line.end in shapes:
                assert y == pytest.approx(end.y)
            for x, y in line.points:
                assert -NEAR <= x <= picture.width + NEAR and -NEAR <= y <= picture.height + NEAR


@pytest.mark.parametrize("name", GRAPHS)
def test_no_way_runs_through_a_step(name: str) -> None:
    for picture in _pictures(GRAPHS[name]):
        for line in picture.lines:
            for start, end in pairwise(line.points):
                crossed = [shape.path for shape in picture.shapes if _cuts(start, end, shape)]
                assert not crossed, (line.start, line.end, start, end)


@pytest.mark.parametrize("name", GRAPHS)
def test_the_same_flow_gives_the_same_picture(name: str) -> None:
    assert lay_out(GRAPHS[name]) == lay_out(GRAPHS[name])


def test_ways_follow_the_order_of_the_flow_and_its_gotos() -> None:
    picture = lay_out(_graph(flows.ORDER))
    ways = {(line.start, line.end): (line.kind, line.label) for line in picture.lines}
    assert ways[(START, "price")] == ("next", "")
    assert ways[("large", "approval")] == ("option", "$.total > 1000")
    assert ways[("large", "pack")] == ("option", "default")
    assert ways[("approval", "refused")] == ("catch", "Rejected")
    assert ways[("send", "delivered")] == ("next", "")
    assert ("refused", END) not in ways
    shapes = _shapes(picture)
    order = ["price", "large", "approval", "pack", "send", "delivered"]
    tops = [shapes[path].y for path in order]
    assert tops == sorted(tops) and len(set(tops)) == len(tops)


def test_a_way_back_runs_beside_the_steps_it_goes_around() -> None:
    picture = lay_out(_graph(flows.POLLING))
    shapes = _shapes(picture)
    back = next(line for line in picture.lines if (line.start, line.end) == ("back", "poll"))
    assert back.kind == "loop" and back.label == "true"
    assert shapes["poll"].y < shapes["back"].y
    left = min(x for x, _ in back.points)
    between = [s for s in picture.shapes if shapes["poll"].y <= s.y <= shapes["back"].y]
    assert left < min(shape.x for shape in between)
    caught = next(line for line in picture.lines if (line.start, line.end) == ("poll", "begin"))
    assert caught.kind == "catch" and caught.points[0][0] < caught.points[-1][0]


def test_a_choice_with_steps_has_a_column_for_each_option() -> None:
    picture = lay_out(_graph(flows.POLLING))
    columns = [group for group in picture.groups if group.owner == "ready"]
    assert [group.label for group in columns] == ["$.total < 0", "$.total > 100000", "default"]
    assert all(a.x + a.width < b.x for a, b in zip(columns, columns[1:], strict=False))
    summed = _shapes(picture)["ready/choices/1/sum"]
    column = columns[1]
    assert column.x < summed.x and summed.x + summed.width < column.x + column.width


def test_a_foreach_is_one_box_and_its_series_a_picture_by_itself() -> None:
    graph = _graph(flows.POLLING)
    assert "areas/steps/both" not in _shapes(lay_out(graph))
    inner = lay_out(graph, "areas/steps")
    inside = set(_shapes(inner)) - {START, END}
    assert inside == {
        "areas/steps/both",
        "areas/steps/both/branches/0/parts",
        "areas/steps/both/branches/1/other",
    }
    branches = [group for group in inner.groups if group.kind == "branch"]
    assert [group.label for group in branches] == ["branch 0", "branch 1"]


def test_a_stream_shows_its_stages_with_the_edges_between() -> None:
    juice = _shapes(lay_out(_graph(flows.STREAM)))["juice"]
    assert [part.name for part in juice.parts if part.kind == "stage"] == ["pour", "sieve", "fill"]
    ways = [part.of for part in juice.parts if part.kind == "edge"]
    assert ways == [("source", "pour"), ("pour", "sieve"), ("sieve", "fill"), ("fill", "sink")]
    lowest = juice.parts[-1]
    assert lowest.y + lowest.height <= juice.height


def test_three_hundred_steps_are_laid_out_within_a_second() -> None:
    steps = "".join(
        f"- type: choice\n  name: c{n}\n  choices:\n"
        f"    - {{condition: '$.n == {n}', goto: s{(n * 7) % 150}}}\n"
        f"  default: {{goto: s{n}}}\n- {{type: wait, name: s{n}, duration: 1}}\n"
        for n in range(150)
    )
    graph = _graph(flows.HEAD + steps)
    times: list[float] = []
    for _ in range(3):
        began = time.thread_time()  # what others on this machine do is not counted
        picture = lay_out(graph)
        times.append(time.thread_time() - began)
    assert len(picture.shapes) == 302
    assert min(times) < 1.0
