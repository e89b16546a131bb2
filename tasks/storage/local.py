"""The local store: a folder whose subfolders are buckets, with archive classes that thaw."""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

from tasks.chunk import CHUNK_BYTES
from tasks.errors import SERVER_ERROR, TaskError
from tasks.storage.archive_state import STATE_FOLDER, ArchiveState, ArchiveStates
from tasks.storage.errors import (
    ACCESS_DENIED,
    INVALID_OBJECT_STATE,
    NO_SUCH_BUCKET,
    NO_SUCH_KEY,
    OBJECT_CHANGED,
    invalid,
)
from tasks.storage.object_store import (
    ARCHIVE_CLASSES,
    MAX_PAGE_KEYS,
    ObjectInfo,
    Page,
    RestoreOutcome,
    RestoreState,
)

STANDARD = "Standard"


class LocalStore:
    """An ObjectStore on a local folder: files that anybody put there are ordinary objects.

    Many processes and threads may use one folder at once. A frozen object's bytes are refused
    by `read`; the file itself is as it was.

    Args:
        root: The folder; its subfolders are the buckets.
        thaw_s: How long a restore takes.
        clock: Seconds since the epoch.
    """

    def __init__(
        self, root: Path, thaw_s: float = 2.0, clock: Callable[[], float] = time.time
    ) -> None:
        self.root = root.resolve()
        self._thaw_s = thaw_s
        self._clock = clock

    def create_bucket(self, bucket: str) -> None:
        """Makes the bucket; nothing happens if it is there."""
        (self.root / bucket).mkdir(parents=True, exist_ok=True)

    def list_page(
        self, bucket: str, prefix: str = "", marker: str = "", max_keys: int = MAX_PAGE_KEYS
    ) -> Page:
        """See ObjectStore. Cost: the folders between `marker` and the page's end."""
        folder = self._bucket(bucket)
        found = list(islice(_walk(folder, "", prefix, marker), max_keys + 1))
        states, now = ArchiveStates(folder), self._clock()
        objects = tuple(_info(key, size, states.read(key), now) for key, size in found[:max_keys])
        end = len(found) <= max_keys
        return Page(objects, "" if end else objects[-1].key, end)

    def restore(self, bucket: str, key: str, days: int = 1, tier: str = "") -> RestoreOutcome:
        """See ObjectStore. `tier` changes nothing here."""
        folder = self._bucket(bucket)
        states = ArchiveStates(folder)
        self._stat(folder, bucket, key)
        with states.lock():
            state = states.read(key)
            if state is None:
                raise invalid(f"restore of {bucket}/{key}: its class is {STANDARD}, not an archive")
            after, outcome = state.restored(self._clock(), self._thaw_s, days)
            states.write(key, after)
        return outcome

    def head(self, bucket: str, key: str) -> ObjectInfo:
        """See ObjectStore."""
        folder = self._bucket(bucket)
        found = self._stat(folder, bucket, key)
        info = _info(key, found.st_size, ArchiveStates(folder).read(key), self._clock())
        return replace(info, version=_version(found))

    def read(self, bucket: str, key: str) -> bytes:
        """See ObjectStore."""
        path = self._readable(bucket, key)
        try:
            return path.read_bytes()
        except OSError as error:
            raise _as_task_error(error, bucket, key) from error

    def read_chunks(
        self,
        bucket: str,
        key: str,
        chunk_bytes: int = CHUNK_BYTES,
        start: int = 0,
        version: str = "",
    ) -> Iterator[bytes]:
        """See ObjectStore. A file that is replaced meanwhile is read on as it was."""
        path = self._readable(bucket, key)
        try:
            with path.open("rb") as file:
                version = version or _version(os.fstat(file.fileno()))
                file.seek(start)
                more = True
                while more:
                    piece = file.read(chunk_bytes)
                    if _version(os.fstat(file.fileno())) != version:
                        raise TaskError(OBJECT_CHANGED, f"{bucket}/{key} is not as it was")
                    if piece:
                        yield piece
                    more = len(piece) == chunk_bytes
        except OSError as error:
            raise _as_task_error(error, bucket, key) from error

    def put(self, bucket: str, key: str, data: bytes, storage_class: str = "") -> None:
        """See ObjectStore. Classes: Standard and the archive classes of OSS and S3."""
        self._put(bucket, key, storage_class, lambda file: file.write_bytes(data))

    def put_file(self, bucket: str, key: str, path: Path, storage_class: str = "") -> None:
        """See ObjectStore and `put`."""
        self._put(bucket, key, storage_class, lambda file: shutil.copyfile(path, file))

    def _put(
        self, bucket: str, key: str, storage_class: str, fill: Callable[[Path], object]
    ) -> None:
        storage_class = storage_class or STANDARD
        if storage_class not in ARCHIVE_CLASSES | {STANDARD}:
            known = ", ".join(sorted(ARCHIVE_CLASSES | {STANDARD}))
            raise invalid(f"storage class {storage_class!r} is not one of {known}")
        folder = self._bucket(bucket)
        path, states = self._path(folder, key), ArchiveStates(folder)
        archived = storage_class in ARCHIVE_CLASSES
        try:
            with states.unfinished() as file:
                fill(file)
                with states.lock():
                    states.finish(file, path)
                    states.write(key, ArchiveState(storage_class) if archived else None)
        except OSError as error:
            raise _as_task_error(error, bucket, key) from error

    def _readable(self, bucket: str, key: str) -> Path:
        info = self.head(bucket, key)
        if not info.readable:
            raise TaskError(
                INVALID_OBJECT_STATE, f"{bucket}/{key} is {info.restore_state.value}: restore it"
            )
        return self._path(self._bucket(bucket), key)

    def _bucket(self, bucket: str) -> Path:
        folder = self.root / bucket
        if folder.parent != self.root or bucket == ".." or not folder.is_dir():
            raise TaskError(NO_SUCH_BUCKET, f"no bucket {bucket!r} in {self.root}")
        return folder

    def _path(self, folder: Path, key: str) -> Path:
        """The file of a key; FC.InvalidArgument for any key that would lead elsewhere."""
        parts = key.split("/")
        if (
            "\0" in key
            or parts[0] == STATE_FOLDER
            or any(part in ("", ".", "..") for part in parts)
        ):
            raise invalid(f"{key!r} is not an object's key in a local folder")
        path = folder / key
        if not path.resolve().is_relative_to(folder.resolve()):
            raise invalid(f"{key!r} leads out of its bucket")
        return path

    def _stat(self, folder: Path, bucket: str, key: str) -> os.stat_result:
        path = self._path(folder, key)
        try:
            found = path.stat()
        except OSError as error:
            raise _as_task_error(error, bucket, key) from error
        if not stat.S_ISREG(found.st_mode):
            raise TaskError(NO_SUCH_KEY, f"no object {bucket}/{key}")
        return found


def _info(key: str, size: int, state: ArchiveState | None, now: float) -> ObjectInfo:
    if state is None:
        return ObjectInfo(key, size, STANDARD, RestoreState.NOT_ARCHIVED)
    return ObjectInfo(key, size, state.storage_class, state.at(now))


def _version(found: os.stat_result) -> str:
    return f"{found.st_ino:x}-{found.st_size:x}-{found.st_mtime_ns:x}"


def _walk(folder: Path, base: str, prefix: str, marker: str) -> Iterator[tuple[str, int]]:
    """(key, size) of the files under `folder` in the order of their keys, after `marker`.

    A folder sorts as its name with the slash, which puts `a.txt` before `a/b` as the keys are.
    """
    entries = [entry for entry in os.scandir(folder) if entry.name != STATE_FOLDER or base]
    entries.sort(key=lambda entry: entry.name + ("/" if _is_folder(entry) else ""))
    for entry in entries:
        key = base + entry.name
        if _is_folder(entry):
            if _may_hold(f"{key}/", prefix, marker):
                yield from _walk(Path(entry.path), f"{key}/", prefix, marker)
        elif key > marker and key.startswith(prefix) and entry.is_file(follow_symlinks=False):
            yield key, entry.stat(follow_symlinks=False).st_size


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False)


def _may_hold(folder_key: str, prefix: str, marker: str) -> bool:
    after_marker = folder_key > marker or marker.startswith(folder_key)
    return after_marker and (folder_key.startswith(prefix) or prefix.startswith(folder_key))


def _as_task_error(error: OSError, bucket: str, key: str) -> TaskError:
    match error:
        case FileNotFoundError() | NotADirectoryError():
            return TaskError(NO_SUCH_KEY, f"no object {bucket}/{key}")
        case PermissionError():
            return TaskError(ACCESS_DENIED, f"{bucket}/{key}: {error.strerror}")
        case IsADirectoryError() | FileExistsError():
            return invalid(f"{bucket}/{key}: a folder and an object cannot share a name")
        case _:
            return TaskError(SERVER_ERROR, f"{bucket}/{key}: {error.strerror}")
