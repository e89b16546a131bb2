"""Levels: how severe a log line says it is."""

from __future__ import annotations

import re

_NAMES = (
    ("trace",),
    ("debug",),
    ("info",),
    ("notice",),
    ("warn", "warning"),
    ("error", "err"),
    ("critical", "crit", "fatal", "severe", "alert", "emerg", "emergency", "panic"),
)
LEVELS = {name: rank for rank, names in enumerate(_NAMES) for name in names}
"""Rank of each level's name, in small letters; a higher one is more severe."""

_FIELD_NAMES = (b"level", b"lvl", b"severity")

HEAD_BYTES = 2048
"""Where in a line its level is looked for."""

_ANY = "|".join(sorted(LEVELS, key=len, reverse=True)).encode()
# A field that is called so: level=info, "severity": "ERROR".
_FIELD = re.compile(rb"\b(?:level|levelname|lvl|severity)[\"']?\s?[=:]\s?[\"']?(%b)\b" % _ANY)
# A word in capitals, or in brackets: 12:00:01 WARN …, [error] …, <info> …
_WORD = re.compile(rb"\b(%b)\b|[\[<(|](?i:(%b))\b" % (_ANY.upper(), _ANY))


class LevelFilter:
    """Tells which lines are at least as severe as `least`, a name of `LEVELS`.

    A line without a level belongs to the one before it, as the lines of a traceback do. Before
    the first level nothing is severe.
    """

    def __init__(self, least: str) -> None:
        self._least = LEVELS[least]
        self._last = -1

    def __call__(self, lines: list[bytes]) -> list[bool]:
        """For each of the next lines of the stream, in order."""
        return [self._rank(line) >= self._least for line in lines]

    def _rank(self, line: bytes) -> int:
        head = line[:HEAD_BYTES]
        lowered = head.lower()
        # Asked first, for it is many times faster than the search.
        named = any(name in lowered for name in _FIELD_NAMES)
        found = (_FIELD.search(lowered) if named else None) or _WORD.search(head)
        if found is not None:
            self._last = LEVELS[next(name for name in found.groups() if name).lower().decode()]
        return self._last
