"""An entry: how a chunk, a mark, an end or an error is written into a Redis stream.

Its id is `<epoch of the writer>-<seq>`. It has a field `h`, the kind, the position after it and the
headers as JSON, and, where there is a payload, a field `d`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Self

from streams.position import Position

_NUMBERS = 6


class Kind(Enum):
    """What an entry is."""

    CHUNK = b"C"
    CLAIM = b"S"
    """A chunk whose payload is in shared memory; `d` says where."""
    MARK = b"M"
    END = b"E"
    """The position is that of the last entry before it, but for the number; the headers may hold
    `sha256`.
    """
    ERROR = b"X"
    """As END; the headers hold `error` and `cause`."""


LAST = frozenset({Kind.END, Kind.ERROR})
"""Kinds after which nothing comes."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry. `headers` as they are sent: JSON, or nothing."""

    kind: Kind
    position: Position
    headers: bytes = b""
    payload: bytes | memoryview = b""

    def head(self) -> bytes:
        """The field `h`."""
        return b"%s %s %s" % (self.kind.value, self.position.text(), self.headers)

    @classmethod
    def parse(cls, head: bytes, payload: bytes = b"") -> Self:
        """The reverse of `head`, with the field `d`.

        Raises:
            ValueError: this is no head of an entry.
        """
        kind, *numbers, headers = head.split(b" ", _NUMBERS + 1)
        if len(numbers) != _NUMBERS:
            raise ValueError(f"no entry of a stream: {head[:80]!r}")
        return cls(Kind(kind), Position(*map(int, numbers)), headers, payload)

    def header_texts(self) -> dict[str, str]:
        """The headers as they were given."""
        return unpacked(self.headers)


def packed(headers: Mapping[str, str]) -> bytes:
    """Headers as they are sent: the same bytes for the same headers, whatever their order."""
    if not headers:
        return b""
    return json.dumps(headers, sort_keys=True, separators=(",", ":")).encode()


def unpacked(headers: bytes) -> dict[str, str]:
    """The reverse of `packed`."""
    texts: dict[str, str] = json.loads(headers) if headers else {}
    return texts
