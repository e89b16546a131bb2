"""The object store: what the tasks need of a bucket, whoever runs it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Protocol

from tasks.chunk import CHUNK_BYTES

MAX_PAGE_KEYS = 1000
"""Most objects any of the stores gives in one page."""

OSS_ARCHIVE_CLASSES = frozenset({"Archive", "ColdArchive", "DeepColdArchive"})
S3_ARCHIVE_CLASSES = frozenset({"GLACIER", "DEEP_ARCHIVE"})
ARCHIVE_CLASSES = OSS_ARCHIVE_CLASSES | S3_ARCHIVE_CLASSES
"""Storage classes whose objects must be restored before they can be read."""


class RestoreState(Enum):
    """Whether an object can be read now."""

    NOT_ARCHIVED = "not archived"
    FROZEN = "frozen"
    """Archived, no restore in progress: never restored, refused, or the copy has expired."""
    THAWING = "thawing"
    THAWED = "thawed"


class RestoreOutcome(Enum):
    """What a restore request met; all three are success."""

    STARTED = "started"
    IN_PROGRESS = "in progress"
    ALREADY_RESTORED = "already restored"


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """An object as a listing or a head gives it. `size` is in bytes.

    `version` is another one once the object has other bytes; "" in listings.
    """

    key: str
    size: int
    storage_class: str
    restore_state: RestoreState
    version: str = ""

    @property
    def archived(self) -> bool:
        """True for the storage classes that need a restore, restored or not."""
        return self.restore_state is not RestoreState.NOT_ARCHIVED

    @property
    def readable(self) -> bool:
        """True when its bytes can be read now."""
        return self.restore_state in (RestoreState.NOT_ARCHIVED, RestoreState.THAWED)


@dataclass(frozen=True, slots=True)
class Page:
    """A stretch of a listing, in the order of the keys.

    `next_marker` is the last key of this page, "" when `end`: hand it back as `marker`.
    """

    objects: tuple[ObjectInfo, ...]
    next_marker: str
    end: bool


class ObjectStore(Protocol):
    """A store of objects in buckets. Safe to use from several threads.

    Every method raises TaskError: NoSuchBucket, NoSuchKey, AccessDenied, MissingCredentials,
    InvalidObjectState, FC.InvalidArgument; FC.ResourceThrottled and FC.InternalServerError are
    worth another try, and are raised only after the few tries that the store makes by itself.
    """

    def list_page(
        self, bucket: str, prefix: str = "", marker: str = "", max_keys: int = MAX_PAGE_KEYS
    ) -> Page:
        """The first `max_keys` objects whose keys begin with `prefix` and come after `marker`.

        A FROZEN in a page may be THAWING or THAWED in truth (not every store lists restores):
        `head` knows.
        """
        ...

    def restore(self, bucket: str, key: str, days: int = 1, tier: str = "") -> RestoreOutcome:
        """Asks for a readable copy for `days`. Idempotent: asking again is success too.

        `tier` is the store's word for the speed of it (`Expedited`, `Standard`, `Bulk`),
        "" its default.
        """
        ...

    def head(self, bucket: str, key: str) -> ObjectInfo:
        """One object's state, as it is now."""
        ...

    def read(self, bucket: str, key: str) -> bytes:
        """All bytes of an object. InvalidObjectState while it is frozen or thawing."""
        ...

    def read_chunks(
        self,
        bucket: str,
        key: str,
        chunk_bytes: int = CHUNK_BYTES,
        start: int = 0,
        version: str = "",
    ) -> Iterator[bytes]:
        """The bytes from `start` on, in pieces of `chunk_bytes`; only the last may be shorter.

        A few pieces are in memory at once. ObjectChanged, if the object is not of that `version`
        ("" is any), or gets another one while it is read; the other errors of `read`.
        """
        ...

    def put(self, bucket: str, key: str, data: bytes, storage_class: str = "") -> None:
        """Writes an object, over an old one if there is one; "" is the store's usual class."""
        ...

    def put_file(self, bucket: str, key: str, path: Path, storage_class: str = "") -> None:
        """As `put`, with the bytes of a file, some at a time: there is all of it or nothing."""
        ...


def state_of(storage_class: str, restoring: bool, restored: bool) -> RestoreState:
    """The restore state from the three facts that the stores tell."""
    if storage_class not in ARCHIVE_CLASSES:
        return RestoreState.NOT_ARCHIVED
    if restoring:
        return RestoreState.THAWING
    return RestoreState.THAWED if restored else RestoreState.FROZEN
