"""The spool: the input of a stateful step, kept in files until the step has ended.

Every epoch of a reader appends to a file of its own: a reader that was replaced and does not know
it cannot spoil what its successor writes. A file is a row of records: sizes, head, payload.
"""

from __future__ import annotations

import os
import shutil
import struct
import time
from collections.abc import Generator, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import BinaryIO

from streams.chunk import Chunk
from streams.entry import Entry, Kind
from streams.errors import StreamUnavailable

_SIZES = struct.Struct(">IQ")


class Spool:
    """What was read of one edge, in the folder `folder`/`name`. One thread at a time.

    Survives the death of the process, not of the host: it is not forced to the disk.
    """

    def __init__(self, folder: Path | str, name: str) -> None:
        self._folder = Path(folder) / name
        self._file: BinaryIO | None = None

    def begin(self, epoch: int) -> None:
        """Opens the file that `append` writes to.

        Raises:
            StreamUnavailable: it cannot be written.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = (self._folder / f"{epoch:020d}").open("ab", buffering=0)
        except OSError as error:
            raise StreamUnavailable(f"cannot keep input in {self._folder}: {error}") from error

    def append(self, entry: Entry) -> None:
        """Keeps a chunk or a mark. Raises as `begin`."""
        assert self._file is not None, "begin comes first"
        head = entry.head()
        sizes = _SIZES.pack(len(head), len(entry.payload))
        try:
            _write_all(self._file.fileno(), [sizes, head, entry.payload])
        except OSError as error:
            raise StreamUnavailable(f"cannot keep input in {self._folder}: {error}") from error

    def records(self, up_to: int | None = None) -> Generator[Entry, None, None]:
        """What was kept, in order, up to entry number `up_to`. Close it, if not read to its end."""
        files = [(first, path) for path in self._files() if (first := _first_seq(path))]
        successors = [first for first, _ in files[1:]]
        for (_, path), successor in zip_longest(files, successors):
            for entry in _records(path):
                seq = entry.position.seq
                # What a replaced reader wrote after its successor had begun does not count.
                if successor is not None and seq >= successor:
                    break
                if up_to is not None and seq > up_to:
                    return
                yield entry

    def replay(self) -> Iterator[Chunk]:
        """The chunks that were kept, in order."""
        for entry in self.records():
            if entry.kind is Kind.CHUNK:
                yield Chunk(entry.payload, entry.position.seq, entry.header_texts())

    def close(self) -> None:
        """Closes the file; what was kept stays. Idempotent."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def delete(self) -> None:
        """Removes everything. Idempotent."""
        self.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _files(self) -> list[Path]:
        return sorted(self._folder.iterdir()) if self._folder.exists() else []


def sweep(folder: Path | str, older_than_s: float) -> None:
    """Removes the spools in `folder` that nobody has written to for so long."""
    if not Path(folder).exists():
        return
    oldest = time.time() - older_than_s
    for spool in Path(folder).iterdir():
        try:
            used_at = max(path.stat().st_mtime for path in (spool, *spool.iterdir()))
        except OSError:
            continue
        if used_at < oldest:
            shutil.rmtree(spool, ignore_errors=True)


def _records(path: Path) -> Iterator[Entry]:
    with path.open("rb") as file:
        while len(sizes := file.read(_SIZES.size)) == _SIZES.size:
            head_size, payload_size = _SIZES.unpack(sizes)
            head, payload = file.read(head_size), file.read(payload_size)
            # The process died while it wrote the last one; Redis still has that.
            if len(head) + len(payload) < head_size + payload_size:
                return
            yield Entry.parse(head, payload)


def _first_seq(path: Path) -> int:
    """The number of a file's first entry; 0: it has none."""
    return next((entry.position.seq for entry in _records(path)), 0)


def _write_all(file: int, parts: list[bytes | memoryview]) -> None:
    rest = [memoryview(part) for part in parts if len(part)]
    while rest:
        written = os.writev(file, rest)
        while rest and written >= len(rest[0]):
            written -= len(rest.pop(0))
        if rest and written:
            rest[0] = rest[0][written:]
