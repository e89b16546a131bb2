"""Lines: which lines of two texts belong together. Its work is bounded, whatever the texts are."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence

MOST_STEPS = 400_000
"""Steps of the exact search, for all parts of two texts together: a fraction of a second."""

Pair = tuple[int, int]


def equal_lines(before: Sequence[str], after: Sequence[str]) -> list[Pair]:
    """The lines that are in both texts, by their indexes in either, both of them ascending.

    Nearly all there are, by few steps: lines that either text has once hold the rest in place. A
    part between two of them that is too different for the steps left counts as replaced.
    """
    pairs: list[Pair] = []
    left = MOST_STEPS
    held = [*_held(before, after), (len(before), len(after))]
    a = c = 0
    for to_a, to_c in held:
        found, left = _between(before[a:to_a], after[c:to_c], left)
        pairs += [(a + x, c + y) for x, y in found]
        pairs.append((to_a, to_c))
        a, c = to_a + 1, to_c + 1
    return pairs[:-1]


def _held(before: Sequence[str], after: Sequence[str]) -> list[Pair]:
    """The most of the lines both texts have once that stand in the same order."""
    here, there = Counter(before), Counter(after)
    places = {line: c for c, line in enumerate(after)}
    once = [
        (a, places[line]) for a, line in enumerate(before) if here[line] == 1 == there.get(line)
    ]
    ends: list[int] = []  # of the ascending rows of each length, the least end
    last: list[int] = []  # which of `once` that end is
    earlier: list[int] = []  # before each of `once`, in its row; -1: it is the first
    for index, (_, c) in enumerate(once):
        length = bisect_left(ends, c)
        earlier.append(last[length - 1] if length else -1)
        ends[length : length + 1] = [c]  # in its place, or behind the last one
        last[length : length + 1] = [index]
    row: list[Pair] = []
    index = last[-1] if last else -1
    while index >= 0:
        row.append(once[index])
        index = earlier[index]
    return row[::-1]


def _between(old: Sequence[str], new: Sequence[str], left: int) -> tuple[list[Pair], int]:
    """The equal lines of a part, and how many steps are left after it."""
    head = _common(zip(old, new, strict=False))
    tail = _common(zip(reversed(old[head:]), reversed(new[head:]), strict=False))
    ends = len(old) - tail, len(new) - tail
    found, left = _shortest(old[head : ends[0]], new[head : ends[1]], left)
    pairs = [(at, at) for at in range(head)]
    pairs += [(head + x, head + y) for x, y in found]
    return pairs + [(ends[0] + at, ends[1] + at) for at in range(tail)], left


def _common(lines: Iterator[tuple[str, str]]) -> int:
    """How many there are before the first two that differ."""
    count = 0
    for one, other in lines:
        if one != other:
            break
        count += 1
    return count


def _shortest(old: Sequence[str], new: Sequence[str], left: int) -> tuple[list[Pair], int]:
    """The equal lines along a shortest way from one text to the other; none if it is too far.

    Greedy, by Myers: for each number of edits, how far into `old` one comes on each diagonal
    (lines removed less lines added). Diagonals differ by two, so their index is 0, 1, 2, ….
    """
    reached: list[list[int]] = []
    if not old or not new:
        return [], left
    while True:
        here: list[int] = []
        reached.append(here)
        for index in range(len(reached)):
            shift = 2 * index - len(reached) + 1
            start = x = _start(reached, index)
            while x < len(old) and 0 <= x - shift < len(new) and old[x] == new[x - shift]:
                x += 1
            left -= 1 + x - start
            here.append(x)
            if x >= len(old) and x - shift >= len(new):
                return _walked(reached, index), left
            if left <= 0:
                return [], 0


def _start(reached: Sequence[Sequence[int]], index: int) -> int:
    """Where a diagonal is entered after the last number of edits: the farther of two ways."""
    edits = len(reached) - 1
    if not edits:
        return 0
    added = reached[edits - 1][index] if index < edits else -1
    removed = reached[edits - 1][index - 1] + 1 if index else -1
    return max(added, removed)


def _walked(reached: list[list[int]], index: int) -> list[Pair]:
    """The equal lines of the way that ended on a diagonal."""
    pairs: list[Pair] = []
    while reached:
        edits = len(reached) - 1
        start, end = _start(reached, index), reached[edits][index]
        shift = 2 * index - edits
        pairs += [(x, x - shift) for x in reversed(range(start, end))]
        if index and edits and reached[edits - 1][index - 1] + 1 == start:
            index -= 1
        reached.pop()
    return pairs[::-1]
