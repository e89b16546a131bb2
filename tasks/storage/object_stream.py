"""The object stream: an object as the source or the sink of a stream, named by its URI."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tasks.chunk import CHUNK_BYTES
from tasks.storage.object_store import ObjectInfo
from tasks.storage.opening import OpenBucket, open_place
from tasks.storage.settings import StorageSettings
from tasks.storage.uri import place_of


@dataclass(frozen=True, slots=True)
class ObjectStream:
    """An object that the settings let flows use; whether it is there is not known yet.

    Every method raises the errors of `tasks.storage.ObjectStore`.
    """

    uri: str
    bucket: OpenBucket
    key: str

    def info(self) -> ObjectInfo:
        """Its size, state and version as they are now."""
        return self.bucket.store.head(self.bucket.name, self.key)

    def read(
        self, chunk_bytes: int = CHUNK_BYTES, start: int = 0, version: str = ""
    ) -> Iterator[bytes]:
        """Its bytes from `start` on, in chunks that are all of `chunk_bytes` but for the last.

        So a reader can begin again, or anywhere, and gets the same chunks: hand it the `version`
        of the first time, and it raises ObjectChanged rather than give others.
        """
        return self.bucket.store.read_chunks(
            self.bucket.name, self.key, chunk_bytes, start, version
        )

    def put_file(self, path: Path) -> None:
        """Makes the bytes of a file the object's: all of them, or nothing is changed."""
        self.bucket.store.put_file(self.bucket.name, self.key, path)


def open_object(uri: str, settings: StorageSettings | None = None) -> ObjectStream:
    """The object of a URI (see `tasks.storage.uri`), if the settings allow its bucket.

    Args:
        uri: Names the object.
        settings: None reads the environment.

    Raises:
        TaskError: `AccessDenied`, `FC.InvalidArgument`, `InvalidSettings`, `MissingExtra`,
            `MissingCredentials`.
    """
    settings = settings if settings is not None else StorageSettings.from_environment()
    place = place_of(uri, settings)
    return ObjectStream(uri, open_place(place.endpoint, place.bucket, settings), place.key)
