"""Sizes: counts the bytes that a task reads and writes."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.chunk import BytesLike, Chunk
from tasks.context import TaskContext


class Sizes:
    """Reads and writes for a task, and counts.

    Attributes:
        bytes_in: Bytes read so far.
        bytes_out: Bytes written so far.
    """

    def __init__(self, ctx: TaskContext) -> None:
        self._ctx = ctx
        self.bytes_in = 0
        self.bytes_out = 0

    def read(self) -> Iterator[Chunk]:
        """As `ctx.read`."""
        for chunk in self._ctx.read():
            self.bytes_in += len(chunk)
            yield chunk

    def write(self, data: BytesLike) -> None:
        """As `ctx.write`, without headers."""
        self._ctx.write(data, {})
        self.bytes_out += len(data)

    def result(self) -> dict[str, int]:
        """What the task returns: `bytesIn` and `bytesOut`."""
        return {"bytesIn": self.bytes_in, "bytesOut": self.bytes_out}
