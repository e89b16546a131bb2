"""A pipe: an edge between two threads of one process, bounded by bytes."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping

from streams.chunk import UNNUMBERED, Chunk, Mark, Payload, headers_of, is_chunk
from streams.ends import ENTRY_WEIGHT, EdgeFigures
from streams.errors import StreamFailed
from streams.stop import Stop

__all__ = ["PipeReader", "PipeWriter", "Stop", "pipe"]


def pipe(window_bytes: int, stop: Stop) -> tuple[PipeWriter, PipeReader]:
    """The two ends of a new pipe. At most `window_bytes` wait in it, or one larger chunk.

    A chunk frees its place when it is read, not when it is committed.
    """
    channel = _Channel(window_bytes, stop)
    return PipeWriter(channel), PipeReader(channel)


class PipeWriter:
    """A `Writer` of a pipe.

    Bytes are copied once, into a `Chunk`. A chunk that has this pipe's next number, or none yet, is
    passed on as it is.
    """

    def __init__(self, channel: _Channel) -> None:
        self._channel = channel
        self._ended = False
        self.seq = 0
        self.figures = EdgeFigures()

    @property
    def committed(self) -> int:
        """Up to which number the reader has committed."""
        return self._channel.committed

    def write(self, payload: Payload, headers: Mapping[str, str] | None = None) -> None:
        """See `Writer.write`. Raises only StreamCancelled."""
        chunk = self._chunk(payload, headers_of(payload, headers))
        self.figures.blocked_s += self._channel.put(chunk)
        self.seq += 1
        self.figures.moved(len(chunk))

    def mark(self) -> None:
        """See `Writer.mark`."""
        self.figures.blocked_s += self._channel.put(Mark(self.seq + 1))
        self.seq += 1

    def end(self) -> None:
        """See `Writer.end`."""
        self._close(None)

    def fail(self, error: str, cause: str) -> None:
        """See `Writer.fail`."""
        self._close(StreamFailed(error, cause))

    def _close(self, failure: StreamFailed | None) -> None:
        if not self._ended:
            self._ended = True
            self._channel.close(failure)

    def _chunk(self, payload: Payload, headers: dict[str, str]) -> Chunk:
        seq = self.seq + 1
        if is_chunk(payload) and payload.seq in (UNNUMBERED, seq) and payload.headers == headers:
            payload.seq = seq
            return payload
        return Chunk(payload, seq, headers)


class PipeReader:
    """A `Reader` of a pipe."""

    def __init__(self, channel: _Channel) -> None:
        self._channel = channel
        self.figures = EdgeFigures()

    @property
    def committed(self) -> int:
        """Up to which number this end has committed."""
        return self._channel.committed

    def __iter__(self) -> Iterator[Chunk]:
        """See `Reader.__iter__`. Raises only StreamFailed and StreamCancelled."""
        return (entry for entry in self.entries() if not isinstance(entry, Mark))

    def entries(self) -> Iterator[Chunk | Mark]:
        """See `Reader.entries`."""
        while (entry := self._take()) is not None:
            yield entry

    def commit(self, seq: int, out_seq: int | None = None) -> None:
        """Remembers the highest `seq`; `out_seq` says nothing here, where nobody takes over."""
        self._channel.committed = max(self._channel.committed, seq)

    def flush(self) -> None:
        """Nothing waits here."""

    def _take(self) -> Chunk | Mark | None:
        entry, waited_s = self._channel.take()
        self.figures.blocked_s += waited_s
        if entry is not None and not isinstance(entry, Mark):
            self.figures.moved(len(entry))
        return entry


class _Channel:
    """What the two ends share."""

    def __init__(self, window_bytes: int, stop: Stop) -> None:
        self._window = window_bytes
        self._stop = stop
        self._queue: deque[Chunk | Mark] = deque()
        self._weight = 0
        self._closed = False
        self._failure: StreamFailed | None = None
        self._changed = threading.Condition()
        self.committed = 0
        stop.on_set(self._wake)

    def put(self, entry: Chunk | Mark) -> float:
        weight = _weight(entry)
        with self._changed:
            waited_s = 0.0
            while not self._stop.is_set and self._queue and self._weight + weight > self._window:
                waited_s += self._wait()
            self._stop.check()
            self._queue.append(entry)
            self._weight += weight
            self._changed.notify_all()
        return waited_s

    def take(self) -> tuple[Chunk | Mark | None, float]:
        with self._changed:
            waited_s = 0.0
            while not (self._queue or self._closed or self._stop.is_set):
                waited_s += self._wait()
            self._stop.check()
            if not self._queue:
                if self._failure is not None:
                    raise self._failure
                return None, waited_s
            entry = self._queue.popleft()
            self._weight -= _weight(entry)
            self._changed.notify_all()
        return entry, waited_s

    def close(self, failure: StreamFailed | None) -> None:
        with self._changed:
            self._closed = True
            self._failure = failure
            self._changed.notify_all()

    def _wait(self) -> float:
        begun = time.monotonic()
        self._changed.wait()
        return time.monotonic() - begun

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()


def _weight(entry: Chunk | Mark) -> int:
    return ENTRY_WEIGHT + (0 if isinstance(entry, Mark) else len(entry))
