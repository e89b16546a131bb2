"""A position: how far a stream has come at one of its entries, with the proof of it."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from typing import Self

from streams.ends import ENTRY_WEIGHT


@dataclass(frozen=True, slots=True)
class Position:
    """What all entries up to one come to.

    Attributes:
        seq: the number of that entry; 0 before the first.
        chunks, marks: how many there are of each.
        size: the bytes of all payloads.
        weight: what they have cost of the window.
        crc: a crc32 that runs on from entry to entry, over sizes, headers and payloads: one sum
            proves a chunk, its place and all that came before, and a successor can go on with it.
    """

    seq: int = 0
    chunks: int = 0
    marks: int = 0
    size: int = 0
    weight: int = 0
    crc: int = 0

    def after_chunk(self, headers: bytes, payload: bytes | memoryview) -> Self:
        """The position after one more chunk; `headers` as they are sent, `payload` flat."""
        size = len(payload)
        crc = zlib.crc32(payload, zlib.crc32(b"%d %s " % (size, headers), self.crc))
        return type(self)(
            self.seq + 1,
            self.chunks + 1,
            self.marks,
            self.size + size,
            self.weight + ENTRY_WEIGHT + len(headers) + size,
            crc,
        )

    def after_mark(self) -> Self:
        """The position after one more mark."""
        crc = zlib.crc32(b"mark ", self.crc)
        weight = self.weight + ENTRY_WEIGHT
        return type(self)(self.seq + 1, self.chunks, self.marks + 1, self.size, weight, crc)

    def text(self) -> bytes:
        """As it is sent and kept: six numbers."""
        return b"%d %d %d %d %d %d" % (
            self.seq,
            self.chunks,
            self.marks,
            self.size,
            self.weight,
            self.crc,
        )

    def after_last(self) -> Self:
        """The position of an end or an error: its number alone is another."""
        return replace(self, seq=self.seq + 1)

    def before_last(self) -> Self:
        """The reverse of `after_last`."""
        return replace(self, seq=self.seq - 1)

    @classmethod
    def parse(cls, text: bytes) -> Self:
        """The reverse of `text`."""
        return cls(*map(int, text.split()))


START = Position()
"""Before the first entry."""
