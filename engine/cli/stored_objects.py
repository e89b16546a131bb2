"""Stored objects: real ones, at the ends of the streams of a simulation."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from tasks.storage import ObjectStream, open_object


class StoredObjects:
    """Reads and writes what URIs name, as a worker would (`engine.simulate.objects.Objects`)."""

    def source(self, uri: str) -> Iterable[bytes]:
        """The bytes of an object. Raises TaskError: it may not be used."""
        return open_object(uri).read()

    def sink(self, uri: str) -> Callable[[Iterable[bytes]], None]:
        """What writes an object. Raises TaskError: it may not be used."""
        return partial(_write, open_object(uri))


def _write(target: ObjectStream, chunks: Iterable[bytes]) -> None:
    with tempfile.NamedTemporaryFile(prefix="penstock-sink-") as file:
        file.writelines(chunks)
        file.flush()
        target.put_file(Path(file.name))
