"""The two ends of an edge, the same over Redis and in a process."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from streams.chunk import Chunk, Mark, Payload

ENTRY_WEIGHT = 64
"""What an entry costs of its window besides its payload and headers, in bytes: many tiny chunks
take memory too.
"""


@dataclass(slots=True)
class EdgeFigures:
    """What one end has moved since it was made.

    Attributes:
        chunks, bytes: of payloads written or read; at a writer without those that were there.
        first_byte_s: when the first of them passed, counted from the making of the end; None: none
            has yet.
        blocked_s: how long it waited for the other end: a writer for credit, a reader for a chunk.
        memory: whether a payload has passed through shared memory.
    """

    chunks: int = 0
    bytes: int = 0
    first_byte_s: float | None = None
    blocked_s: float = 0.0
    memory: bool = False
    made_at: float = field(default_factory=time.monotonic, repr=False, compare=False)

    def moved(self, size: int) -> None:
        """Counts a chunk of so many bytes."""
        if self.first_byte_s is None:
            self.first_byte_s = time.monotonic() - self.made_at
        self.chunks += 1
        self.bytes += size


class Writer(Protocol):
    """The end that writes. One thread at a time."""

    @property
    def figures(self) -> EdgeFigures:
        """What has passed here."""
        ...

    @property
    def seq(self) -> int:
        """The number of the last entry, chunk or mark, that was written or skipped; 0: none.

        Everything up to it is in the edge: it is what a commit gives as `out_seq`.
        """
        ...

    def write(self, payload: Payload, headers: Mapping[str, str] | None = None) -> None:
        """Appends a chunk. Blocks while the window is full.

        `headers` None: those of `payload`, if it is a chunk.

        Raises:
            StreamCancelled, StreamFenced, StreamIdle, StreamUnavailable: as they say.
        """
        ...

    def mark(self) -> None:
        """Says that the outputs of one input are complete (lanes only). Raises as `write`."""
        ...

    def end(self) -> None:
        """Says that this was all. Idempotent. Raises as `write`, but never blocks for credit."""
        ...

    def fail(self, error: str, cause: str) -> None:
        """Says that no more will come, since something failed. As `end`."""
        ...


class Reader(Protocol):
    """The end that reads. One thread at a time; `commit` may be called from another."""

    @property
    def figures(self) -> EdgeFigures:
        """What has passed here."""
        ...

    def __iter__(self) -> Iterator[Chunk]:
        """The chunks in order; it ends where the writer has ended. Every iterator goes on where
        the last one stopped. Blocks until there is one.

        Raises:
            StreamFailed: the writer's side has failed; all chunks before have been given.
            StreamCancelled, StreamFenced, StreamCorrupt, StreamIdle, StreamLost,
            StreamUnavailable: as they say.
        """
        ...

    def entries(self) -> Iterator[Chunk | Mark]:
        """The same with the marks of lanes in between."""
        ...

    def commit(self, seq: int, out_seq: int | None = None) -> None:
        """Says that all up to number `seq` is done with: it is freed, and not read again.

        `out_seq`: the `seq` of the writer that has what was derived from it; a stateless successor
        goes on there. None: nothing is said about that. May be late or repeated.
        """
        ...

    def flush(self) -> None:
        """Sends commits that still wait for others to be sent with them: they wait while more was
        fetched, and until the next is read at the latest.
        """
        ...
