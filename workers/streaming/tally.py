"""The tally: counts and hashes the bytes that leave a stream."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from streams.chunk import Payload, flat
from streams.ends import EdgeFigures, Writer
from streams.writer import StreamWriter
from workers.streaming.objects import ObjectSink


class Tally:
    """A writer at the end of a stream; what it is given goes on to another one, if there is one.

    `whole`: False where a part of the bytes went by before, so that nobody can tell their SHA-256.
    """

    def __init__(self, onwards: Writer | None = None, whole: bool = True) -> None:
        self._onwards = onwards
        self._sha256 = hashlib.sha256() if whole else None
        self._own = EdgeFigures()
        self._seq = 0

    @property
    def figures(self) -> EdgeFigures:
        """What has passed here; how it went on, and how long that took, the next one knows."""
        if self._onwards is not None:
            onwards = self._onwards.figures
            self._own.blocked_s, self._own.memory = onwards.blocked_s, onwards.memory
        return self._own

    @property
    def seq(self) -> int:
        """See `Writer.seq`."""
        return self._seq if self._onwards is None else self._onwards.seq

    def write(self, payload: Payload, headers: Mapping[str, str] | None = None) -> None:
        """See `Writer.write`."""
        if self._onwards is not None:
            self._onwards.write(payload, headers)
        if self._sha256 is not None:
            self._sha256.update(payload)
        self._seq += 1
        self._own.moved(len(flat(payload)))

    def mark(self) -> None:
        """See `Writer.mark`: here it means nothing."""

    def end(self) -> None:
        """See `Writer.end`."""
        if self._onwards is not None:
            self._onwards.end()

    def fail(self, error: str, cause: str) -> None:
        """See `Writer.fail`."""
        if self._onwards is not None:
            self._onwards.fail(error, cause)

    def close(self) -> None:
        """Nothing more comes: what was prepared of an object goes. Idempotent."""
        if isinstance(self._onwards, ObjectSink):
            self._onwards.close()

    def total(self) -> dict[str, Any]:
        """All that has left the stream; the SHA-256 is None where it is not known."""
        sha256 = None if self._sha256 is None else self._sha256.hexdigest()
        chunks, size = self.counted()
        return {"chunks": chunks, "bytes": size, "sha256": sha256}

    def counted(self) -> tuple[int, int]:
        """The chunks and bytes that have left the stream; at its end also those before this one."""
        if isinstance(self._onwards, StreamWriter):
            return self._onwards.position.chunks, self._onwards.position.size
        return self._own.chunks, self._own.bytes
