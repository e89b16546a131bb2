"""Layers: a directed graph of boxes, put into rows from top to bottom, with ways around them.

The rows come from longest paths, ways that lead back left out; the order in a row from the mean
place of its neighbours; the places from the same means, as close as the boxes' widths allow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

GAP_X = 28.0
GAP_Y = 52.0
LANE = 16.0
"""Between boxes, between rows, and the width of a way that passes a row; in pixels."""

SWEEPS = 4
"""How often order and places are drawn towards the neighbours, down and up."""

Point: TypeAlias = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Box:
    """What is to be placed. `exits`: the places along its bottom edge where ways leave it."""

    width: float
    height: float
    exits: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Way:
    """From a box to another, by their numbers; `exit`: by which of its exits (None: the middle)."""

    start: int
    end: int
    exit: int | None = None


@dataclass(frozen=True, slots=True)
class Placed:
    """The upper left corners of the boxes, the ways' points, and the size of it all.

    `back` has the numbers of the ways that lead back.
    """

    corners: tuple[Point, ...]
    routes: tuple[tuple[Point, ...], ...]
    back: frozenset[int]
    width: float
    height: float


@dataclass(slots=True)
class _Cell:
    """A box in its row, or the place where a way passes a row (`box` None)."""

    box: int | None
    row: int
    width: float
    x: float = 0.0
    above: list[_Cell] = field(default_factory=list)
    below: list[_Cell] = field(default_factory=list)


def place(boxes: Sequence[Box], ways: Sequence[Way]) -> Placed:
    """Places boxes and ways. Deterministic. Cost: O(boxes and ways, times rows)."""
    if not boxes:
        return Placed((), (), frozenset(), 0.0, 0.0)
    back = _back_ways(len(boxes), ways)
    rows_of = _rows_of(len(boxes), ways, back)
    cells = [_Cell(n, rows_of[n], box.width) for n, box in enumerate(boxes)]
    rows: list[list[_Cell]] = [[] for _ in range(max(rows_of) + 1)]
    for cell in cells:
        rows[cell.row].append(cell)
    passes = {n: _pass(cells, rows, way) for n, way in enumerate(ways) if n not in back}
    _order(rows)
    _spread(rows)
    return _Drawing(boxes, ways, cells, rows, passes, back).placed()


def _back_ways(count: int, ways: Sequence[Way]) -> frozenset[int]:
    """The ways that close a circle, as a walk from the first box finds them."""
    leaving: list[list[int]] = [[] for _ in range(count)]
    for number, way in enumerate(ways):
        leaving[way.start].append(number)
    open_boxes: set[int] = set()
    seen: set[int] = set()
    back: set[int] = set()
    for root in range(count):
        trail = [root] if root not in seen else []
        while trail:
            at = trail[-1]
            seen.add(at)
            open_boxes.add(at)
            if not leaving[at]:
                open_boxes.discard(trail.pop())
                continue
            number = leaving[at].pop(0)
            target = ways[number].end
            if target in open_boxes:
                back.add(number)
            elif target not in seen:
                trail.append(target)
    return frozenset(back)


def _rows_of(count: int, ways: Sequence[Way], back: frozenset[int]) -> list[int]:
    """Each box's row: one below the lowest of those that lead to it."""
    into = [0] * count
    onward: list[list[int]] = [[] for _ in range(count)]
    for number, way in enumerate(ways):
        if number not in back:
            into[way.end] += 1
            onward[way.start].append(way.end)
    rows = [0] * count
    ready = [n for n in range(count) if not into[n]]
    while ready:
        at = ready.pop()
        for target in onward[at]:
            rows[target] = max(rows[target], rows[at] + 1)
            into[target] -= 1
            if not into[target]:
                ready.append(target)
    return rows


def _pass(cells: list[_Cell], rows: list[list[_Cell]], way: Way) -> list[_Cell]:
    """The cells of a way in the rows that it passes, linked from its start to its end."""
    chain = [cells[way.start]]
    for row in range(chain[0].row + 1, cells[way.end].row):
        passing = _Cell(None, row, LANE)
        rows[row].append(passing)
        chain.append(passing)
    chain.append(cells[way.end])
    for upper, lower in zip(chain, chain[1:], strict=False):
        upper.below.append(lower)
        lower.above.append(upper)
    return chain[1:-1]


def _order(rows: list[list[_Cell]]) -> None:
    """Sorts each row by the mean place of its neighbours; the order with fewest crossings stays."""
    best = [list(row) for row in rows]
    fewest = _crossings(rows)
    for sweep in range(2 * SWEEPS):
        downwards = sweep % 2 == 0
        _number(rows)
        for row in rows if downwards else reversed(rows):
            row.sort(key=lambda cell: _mean_x(cell, cell.above if downwards else cell.below))
            _number([row])
        if (crossings := _crossings(rows)) < fewest:
            fewest, best = crossings, [list(row) for row in rows]
    rows[:] = best


def _number(rows: list[list[_Cell]]) -> None:
    for row in rows:
        for number, cell in enumerate(row):
            cell.x = float(number)


def _crossings(rows: list[list[_Cell]]) -> int:
    _number(rows)
    total = 0
    for row in rows:
        lines = [(cell.x, lower.x) for cell in row for lower in cell.below]
        total += sum(
            1
            for n, (a, b) in enumerate(lines)
            for c, d in lines[n + 1 :]
            if (a < c and b > d) or (a > c and b < d)
        )
    return total


def _mean_x(cell: _Cell, neighbours: list[_Cell]) -> float:
    if not neighbours:
        return cell.x
    return sum(other.x for other in neighbours) / len(neighbours)


def _spread(rows: list[list[_Cell]]) -> None:
    """Gives each cell its middle: as near to its neighbours' as those beside it allow."""
    for row in rows:
        x = 0.0
        for cell in row:
            cell.x = x + cell.width / 2
            x += cell.width + GAP_X
        for cell in row:
            cell.x -= (x - GAP_X) / 2
    for sweep in range(2 * SWEEPS + 1):
        downwards = sweep % 2 == 0
        for row in rows if downwards else reversed(rows):
            wanted = [_mean_x(cell, cell.above if downwards else cell.below) for cell in row]
            for cell, x in zip(row, _apart(row, wanted), strict=True):
                cell.x = x


def _apart(row: Sequence[_Cell], wanted: Sequence[float]) -> list[float]:
    """The places nearest to those wanted at which the cells of a row do not touch."""
    offsets = [0.0]
    for left, right in zip(row, row[1:], strict=False):
        offsets.append(offsets[-1] + (left.width + right.width) / 2 + GAP_X)
    # Without their widths the cells only have to stay in order: neighbours that would not are one
    # group, at the mean of what they want.
    groups: list[tuple[float, int]] = []
    for want, offset in zip(wanted, offsets, strict=True):
        mean, size = want - offset, 1
        while groups and groups[-1][0] > mean:
            before, count = groups.pop()
            mean, size = (mean * size + before * count) / (size + count), size + count
        groups.append((mean, size))
    means = [mean for mean, size in groups for _ in range(size)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=True)]


class _Drawing:
    """Turns rows into corners and points."""

    def __init__(
        self,
        boxes: Sequence[Box],
        ways: Sequence[Way],
        cells: list[_Cell],
        rows: list[list[_Cell]],
        passes: dict[int, list[_Cell]],
        back: frozenset[int],
    ) -> None:
        self._boxes, self._ways, self._cells = boxes, ways, cells
        self._passes, self._back = passes, back
        heights = [max(boxes[c.box].height for c in row if c.box is not None) for row in rows]
        self._tops = [sum(heights[:n]) + n * GAP_Y for n in range(len(heights))]
        self._bottoms = [top + height for top, height in zip(self._tops, heights, strict=True)]
        lefts = [cell.x - cell.width / 2 for row in rows for cell in row]
        rights = [cell.x + cell.width / 2 for row in rows for cell in row]
        self._lanes = len(back)
        # What leads back runs in lanes on the left of everything, and around its lower end.
        self._left = min(lefts) - self._lanes * LANE
        self._width = max(rights) - self._left
        lowest, highest = len(rows) - 1, 0
        self._last = GAP_Y / 2 if any(self._row(ways[n].start) == lowest for n in back) else 0.0
        self._first = GAP_Y / 2 if any(self._row(ways[n].end) == highest for n in back) else 0.0

    def placed(self) -> Placed:
        """What `place` answers."""
        corners = tuple(
            (cell.x - cell.width / 2 - self._left, self._tops[cell.row] + self._first)
            for cell in self._cells[: len(self._boxes)]
        )
        lanes = {number: lane for lane, number in enumerate(sorted(self._back))}
        routes = tuple(
            self._around(way, lanes[n]) if n in lanes else self._through(way, self._passes[n])
            for n, way in enumerate(self._ways)
        )
        height = self._bottoms[-1] + self._first + self._last
        return Placed(corners, routes, self._back, self._width, height)

    def _through(self, way: Way, passes: list[_Cell]) -> tuple[Point, ...]:
        points = [self._exit(way)]
        below = self._at(0.0, self._bottoms[self._row(way.start)])[1]
        if points[0][1] < below:
            points.append((points[0][0], below))  # past taller boxes of its row
        for cell in passes:
            points.append(self._at(cell.x, self._tops[cell.row]))
            points.append(self._at(cell.x, self._bottoms[cell.row]))
        return (*points, self._entry(way))

    def _around(self, way: Way, lane: int) -> tuple[Point, ...]:
        """Down out of the box, to the left, up, and into the other from above."""
        start, end = self._exit(way), self._entry(way)
        x = lane * LANE + LANE / 2
        turn = self._bottoms[self._row(way.start)] + self._first + GAP_Y / 2 - 4 - 3 * lane
        above = end[1] - GAP_Y / 2 + 4 + 3 * lane
        return (start, (start[0], turn), (x, turn), (x, above), (end[0], above), end)

    def _exit(self, way: Way) -> Point:
        cell, box = self._cells[way.start], self._boxes[way.start]
        offset = box.width / 2 if way.exit is None else box.exits[way.exit]
        return self._at(cell.x - cell.width / 2 + offset, self._tops[cell.row] + box.height)

    def _entry(self, way: Way) -> Point:
        cell = self._cells[way.end]
        return self._at(cell.x, self._tops[cell.row])

    def _at(self, x: float, y: float) -> Point:
        return (x - self._left, y + self._first)

    def _row(self, box: int) -> int:
        return self._cells[box].row
