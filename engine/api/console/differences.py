"""Differences: two texts of a flow beside each other, line by line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from engine.api.console.lines import equal_lines

CONTEXT = 3
"""Equal lines that are shown around what differs."""

MOST_LINES = 20_000
"""Lines of a text that is compared."""

MOST_ROWS = 5000
"""Rows that are shown: a browser has to draw them."""

Place = tuple[int | None, int | None]
"""A line's index in the old and the new text; None where it is not."""


def differences(old: str, new: str) -> list[dict[str, Any]]:
    """Rows: `kind` same, removed, added or gap; the lines' numbers, None where there is none.

    A gap with a text, the last row, stands for what is more than MOST_LINES or MOST_ROWS.
    """
    lines = max(text.count("\n") for text in (old, new))
    if lines > MOST_LINES:
        told = f"{lines} lines are too many to compare; the limit is {MOST_LINES}."
        return [_gap(told)] if old != new else []
    before, after = (text.removesuffix("\n").split("\n") for text in (old, new))
    places = list(_places(before, after))
    rows: list[dict[str, Any]] = []
    shown = _near_changes(places)
    for index, (a, c) in enumerate(places):
        if not shown[index]:
            continue
        if index and not shown[index - 1]:
            rows.append(_gap())
        if len(rows) >= MOST_ROWS:
            return [*rows, _gap(f"They differ in more. The first {MOST_ROWS} lines are shown.")]
        rows.append(_row(a, c, before, after))
    return rows


def _places(before: Sequence[str], after: Sequence[str]) -> Iterator[Place]:
    """All lines of both texts, in the order in which they are shown."""
    a = c = 0
    for to_a, to_c in [*equal_lines(before, after), (len(before), len(after))]:
        yield from ((gone, None) for gone in range(a, to_a))
        yield from ((None, came) for came in range(c, to_c))
        if to_a < len(before):
            yield to_a, to_c
        a, c = to_a + 1, to_c + 1


def _near_changes(places: Sequence[Place]) -> bytearray:
    """1 for each place that is shown."""
    near = bytearray(len(places))
    for index, place in enumerate(places):
        if None in place:
            first, end = max(0, index - CONTEXT), min(len(places), index + CONTEXT + 1)
            near[first:end] = b"\1" * (end - first)
    return near


def _row(a: int | None, c: int | None, before: list[str], after: list[str]) -> dict[str, Any]:
    kind = "added" if a is None else "removed" if c is None else "same"
    text = before[a] if a is not None else after[c or 0]
    numbers = (None if at is None else at + 1 for at in (a, c))
    return {"kind": kind, **dict(zip(("old", "new"), numbers, strict=True)), "text": text}


def _gap(text: str = "") -> dict[str, Any]:
    return {"kind": "gap", "old": None, "new": None, "text": text}
