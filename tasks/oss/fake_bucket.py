"""The memory of the OSS server for tests: buckets, objects, and restores that thaw by the clock."""

from __future__ import annotations

import time
from bisect import bisect_right, insort
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from threading import Lock

from tasks.storage.object_store import OSS_ARCHIVE_CLASSES, RestoreOutcome

DAY_S = 86_400.0


class OssFault(Exception):
    """An answer that is an error, as OSS would give it."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class FakeObject:
    """An object. Times are seconds since the epoch; `thaws_at` None before a first restore."""

    key: str
    data: bytes
    storage_class: str = "Standard"
    modified_at: float = 0.0
    thaws_at: float | None = None
    expires_at: float = 0.0

    def restore_info(self, now: float) -> str | None:
        """OSS's text on the restore, None when there is none (any more)."""
        if self.thaws_at is None or now >= self.expires_at:
            return None
        if now < self.thaws_at:
            return 'ongoing-request="true"'
        return f'ongoing-request="false", expiry-date="{formatdate(self.expires_at, usegmt=True)}"'

    def readable(self, now: float) -> bool:
        """True unless it is archived and not restored."""
        info = self.restore_info(now)
        return self.storage_class not in OSS_ARCHIVE_CLASSES or (
            info is not None and "false" in info
        )


@dataclass(slots=True)
class _Bucket:
    objects: dict[str, FakeObject] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)


class FakeBuckets:
    """All buckets of a server. Safe to use from several threads.

    Args:
        thaw_s: How long a restore takes.
        clock: Seconds since the epoch.
    """

    def __init__(self, thaw_s: float = 1.0, clock: Callable[[], float] = time.time) -> None:
        self._thaw_s = thaw_s
        self.clock = clock
        self._buckets: dict[str, _Bucket] = {}
        self._lock = Lock()

    def create(self, bucket: str) -> None:
        """Makes a bucket; nothing happens if it is there."""
        with self._lock:
            self._buckets.setdefault(bucket, _Bucket())

    def put(self, bucket: str, key: str, data: bytes, storage_class: str) -> None:
        """Writes an object. OssFault: NoSuchBucket."""
        with self._lock:
            place = self._place(bucket)
            if key not in place.objects:
                insort(place.keys, key)
            place.objects[key] = FakeObject(key, data, storage_class, self.clock())

    def get(self, bucket: str, key: str) -> FakeObject:
        """An object, readable or not. OssFault: NoSuchBucket, NoSuchKey."""
        with self._lock:
            return self._object(bucket, key)

    def delete(self, bucket: str, key: str) -> None:
        """Removes an object; nothing happens if it is not there. OssFault: NoSuchBucket."""
        with self._lock:
            place = self._place(bucket)
            if place.objects.pop(key, None) is not None:
                place.keys.remove(key)

    def page(
        self, bucket: str, prefix: str, after: str, max_keys: int
    ) -> tuple[list[FakeObject], bool]:
        """The next objects after the key `after`, and whether there are more."""
        with self._lock:
            place = self._place(bucket)
            start = bisect_right(place.keys, after)
            keys = [key for key in place.keys[start:] if key.startswith(prefix)][: max_keys + 1]
            return [place.objects[key] for key in keys[:max_keys]], len(keys) > max_keys

    def restore(self, bucket: str, key: str, days: int) -> RestoreOutcome:
        """Starts a restore. OssFault: OperationNotSupported for a class that needs none."""
        with self._lock:
            found, now = self._object(bucket, key), self.clock()
            if found.storage_class not in OSS_ARCHIVE_CLASSES:
                raise OssFault(400, "OperationNotSupported", "The object is not archived.")
            if found.restore_info(now) is None:
                thaws_at = now + self._thaw_s
                self._buckets[bucket].objects[key] = replace(
                    found, thaws_at=thaws_at, expires_at=thaws_at + days * DAY_S
                )
                return RestoreOutcome.STARTED
            if not found.readable(now):
                return RestoreOutcome.IN_PROGRESS
            self._buckets[bucket].objects[key] = replace(found, expires_at=now + days * DAY_S)
            return RestoreOutcome.ALREADY_RESTORED

    def _place(self, bucket: str) -> _Bucket:
        if bucket not in self._buckets:
            raise OssFault(404, "NoSuchBucket", "The specified bucket does not exist.")
        return self._buckets[bucket]

    def _object(self, bucket: str, key: str) -> FakeObject:
        found = self._place(bucket).objects.get(key)
        if found is None:
            raise OssFault(404, "NoSuchKey", "The specified key does not exist.")
        return found
