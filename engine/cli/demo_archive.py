"""The demo's archive: frozen objects in a local folder, and what became of them."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from tasks.errors import TaskError
from tasks.storage.local import LocalStore

BUCKET = "archive"
OBJECTS = 300
OBJECT_BYTES = 2048
THAW_S = 1.5


@dataclass(frozen=True, slots=True)
class Outcome:
    """One object: what the store says of it before and after, and whether its bytes are right."""

    key: str
    before: str
    after: str
    readable: bool


class DemoArchive:
    """A bucket of `OBJECTS` archived objects under `root`, made anew."""

    def __init__(self, root: Path) -> None:
        if root.exists():
            shutil.rmtree(root)
        root.mkdir(parents=True)
        self.root = root.resolve()
        self._store = LocalStore(self.root, THAW_S)
        self._store.create_bucket(BUCKET)
        for number in range(OBJECTS):
            key = f"photos/{number // 100:02d}/picture-{number:05d}.jpg"
            self._store.put(BUCKET, key, _content(key), "Archive")

    @property
    def environment(self) -> dict[str, str]:
        """What a worker has to be told, to be allowed to restore it."""
        return {
            "PENSTOCK_STORAGE_ALLOW": self.root.as_uri(),
            "PENSTOCK_STORAGE_LOCAL_THAW_S": f"{THAW_S:g}",
        }

    def states(self) -> dict[str, str]:
        """The state of each object by its key, as a listing gives it."""
        page = self._store.list_page(BUCKET, max_keys=OBJECTS)
        return {info.key: info.restore_state.value for info in page.objects}

    def outcomes(self, before: dict[str, str]) -> list[Outcome]:
        """Reads every object back; `before` are the states of before the restore."""
        return [self._outcome(key, state) for key, state in before.items()]

    def _outcome(self, key: str, before: str) -> Outcome:
        try:
            after = self._store.head(BUCKET, key).restore_state.value
            readable = self._store.read(BUCKET, key) == _content(key)
        except TaskError as error:
            return Outcome(key, before, str(error), False)
        return Outcome(key, before, after if readable else "other bytes", readable)


def _content(key: str) -> bytes:
    """Bytes that only this key has."""
    digest = hashlib.sha256(key.encode()).digest()
    return digest * (OBJECT_BYTES // len(digest))
