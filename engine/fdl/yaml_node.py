"""A node of a YAML document: its JSON value, and where it stands in the file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from engine.fdl.model import Mark


@dataclass(slots=True, eq=False)
class Node:
    """One node: `value` is its JSON value, `items` or `entries` its parts' nodes.

    `size` counts the nodes it would be with every alias written out. `raw` is a scalar's text in
    the file, quotes and block header included. A node that had an error has `broken` set.
    """

    value: Any
    mark: Mark
    size: int = 1
    raw: str = ""
    items: list[Node] | None = None
    entries: dict[str, Node] | None = None
    key_marks: dict[str, Mark] = field(default_factory=dict)
    broken: bool = False

    def mark_at(self, offset: int) -> Mark:
        """The place in the file of a character of this scalar's text, by its offset from 0."""
        body = _body_start(self.raw)
        skipped = len("".join(str(self.value)[:offset].split()))
        at_end = offset >= len(str(self.value))
        index = _nth_visible(self.raw, body, skipped, at_end)
        before = self.raw[:index]
        newlines = before.count("\n")
        column = index - before.rfind("\n") if newlines else self.mark.column + index
        return Mark(self.mark.line + newlines, column)


def _body_start(raw: str) -> int:
    if raw[:1] in ("|", ">"):
        return raw.find("\n") + 1
    return 1 if raw[:1] in ("'", '"') else 0


def _nth_visible(raw: str, start: int, count: int, at_end: bool) -> int:
    """The index of the visible character number `count` (from 0) at or after `start`.

    Line folding changes only blanks, so counting the others finds a character's place again;
    `at_end`: the place just behind the one before it.
    """
    quote = raw[:1] if raw[:1] in ("'", '"') else ""
    index, last = start, start
    while index < len(raw) and count > 0:
        if not raw[index].isspace():
            if quote and raw[index : index + 2] in ("''" if quote == "'" else '\\"', "\\\\"):
                index += 1
            count -= 1
            last = index + 1
        index += 1
    if at_end:
        return last
    while index < len(raw) and raw[index].isspace():
        index += 1
    return index
