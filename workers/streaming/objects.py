"""Objects at the outer ends of a stream: read from one, or written to one, by its URI."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from streams.chunk import Chunk, Mark, Payload, flat
from streams.ends import EdgeFigures
from streams.stop import Stop
from tasks.storage.object_stream import ObjectStream, open_object


class ObjectSource:
    """A reader of an object's bytes. Who goes on with it begins anew: the object is still there.

    `agree` is given the object's version and answers the one that the run has begun with: a
    successor reads no other one.

    Raises:
        TaskError: from the start, or from reading, as `tasks.storage.ObjectStore` says.
    """

    def __init__(self, uri: str, stop: Stop, agree: Callable[[str], str]) -> None:
        self._object: ObjectStream = open_object(uri)
        self._stop = stop
        self._agree = agree
        self._chunks = self._read()
        self.figures = EdgeFigures()

    def __iter__(self) -> Iterator[Chunk]:
        """See `Reader.__iter__`."""
        return self._chunks

    def entries(self) -> Iterator[Chunk | Mark]:
        """See `Reader.entries`."""
        return self._chunks

    def commit(self, seq: int, out_seq: int | None = None) -> None:
        """See `Reader.commit`: an object keeps what was read."""

    def flush(self) -> None:
        """See `Reader.flush`: nothing waits."""

    def _read(self) -> Iterator[Chunk]:
        version = self._agree(self._object.info().version)
        for seq, part in enumerate(self._object.read(version=version), 1):
            self._stop.check()
            self.figures.moved(len(part))
            yield Chunk(part, seq)


class ObjectSink:
    """A writer that makes an object, in one piece, once all is there; until then it is in `folder`.

    Raises:
        TaskError: from the start and from the end, as `tasks.storage.ObjectStore` says.
    """

    def __init__(self, uri: str, stop: Stop, folder: Path) -> None:
        self._object: ObjectStream = open_object(uri)
        self._stop = stop
        # What a killed process leaves there is swept.
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = Path(tempfile.mkdtemp(prefix="sink-", dir=folder))
        self._file = (self._folder / "object").open("wb", buffering=0)
        self.figures = EdgeFigures()
        self.seq = 0

    def write(self, payload: Payload, headers: Mapping[str, str] | None = None) -> None:
        """See `Writer.write`."""
        self._stop.check()
        rest = memoryview(flat(payload))
        self.figures.moved(len(rest))
        self.seq += 1
        while rest:
            rest = rest[os.write(self._file.fileno(), rest) :]

    def mark(self) -> None:
        """See `Writer.mark`: here it means nothing."""

    def end(self) -> None:
        """Makes the object. Idempotent."""
        if not self._file.closed:
            self._stop.check()
            self._file.close()
            self._object.put_file(Path(self._file.name))
            self.close()

    def fail(self, error: str, cause: str) -> None:
        """Leaves the object as it was."""
        self.close()

    def close(self) -> None:
        """Removes what was kept of it so far. Idempotent."""
        self._file.close()
        shutil.rmtree(self._folder, ignore_errors=True)
