"""The archive state of a local object: a small file beside the objects, replaced as a whole."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tasks.storage.object_store import RestoreOutcome, RestoreState, state_of

STATE_FOLDER = ".penstock"
"""In each bucket: archive states, unfinished writes and the lock. Never listed as objects."""

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class ArchiveState:
    """Times are seconds since the epoch; None before the first restore."""

    storage_class: str
    thaws_at: float | None = None
    expires_at: float | None = None

    def at(self, now: float) -> RestoreState:
        """Thawing and expiry happen by the clock: nothing has to run for them."""
        if self.thaws_at is None or self.expires_at is None or now >= self.expires_at:
            return state_of(self.storage_class, restoring=False, restored=False)
        thawed = now >= self.thaws_at
        return state_of(self.storage_class, restoring=not thawed, restored=thawed)

    def restored(self, now: float, thaw_s: float, days: int) -> tuple[ArchiveState, RestoreOutcome]:
        """The state after a restore request, and what the request met.

        A request for a restored object prolongs its copy; one in progress is left as it is.
        """
        match self.at(now):
            case RestoreState.THAWING:
                return self, RestoreOutcome.IN_PROGRESS
            case RestoreState.THAWED | RestoreState.NOT_ARCHIVED:
                longer = replace(self, expires_at=now + days * DAY_S)
                return longer, RestoreOutcome.ALREADY_RESTORED
            case RestoreState.FROZEN:
                thaws_at = now + thaw_s
                started = replace(self, thaws_at=thaws_at, expires_at=thaws_at + days * DAY_S)
                return started, RestoreOutcome.STARTED


class ArchiveStates:
    """The archive states of one bucket's objects; an object without one is not archived.

    Readers need no lock, for a file is replaced in one step. Writers of any process take the
    bucket's lock around reading and writing.
    """

    def __init__(self, bucket: Path) -> None:
        self._folder = bucket / STATE_FOLDER
        self._states = self._folder / "states"

    def read(self, key: str) -> ArchiveState | None:
        """The state of `key`, None when it is not archived."""
        try:
            return ArchiveState(**json.loads(self._file(key).read_bytes()))
        except FileNotFoundError:
            return None

    def write(self, key: str, state: ArchiveState | None) -> None:
        """Sets the state; None makes the object an ordinary one. Call it under `lock`."""
        if state is None:
            self._file(key).unlink(missing_ok=True)
        else:
            self.replace_file(self._file(key), json.dumps(asdict(state)).encode())

    def replace_file(self, target: Path, data: bytes) -> None:
        """Writes a file so that readers see the old bytes or the new ones, never a part."""
        with self.unfinished() as file:
            file.write_bytes(data)
            self.finish(file, target)

    @contextmanager
    def unfinished(self) -> Iterator[Path]:
        """The path of a new file for bytes that nobody may see yet; gone with the block."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"unfinished-{uuid.uuid4().hex}"
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def finish(self, unfinished: Path, target: Path) -> None:
        """Puts the file in its place, over an old one, in one step."""
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(unfinished, target)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Only one thread of one process is inside, per bucket. Blocking."""
        self._states.mkdir(parents=True, exist_ok=True)
        # Each entry opens the file anew, so that flock excludes threads as well as processes.
        with (self._folder / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _file(self, key: str) -> Path:
        # A digest, for a key may be longer than a file's name can be, and `a` and `a/b` may meet.
        digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
        return self._states / f"{digest[:40]}.json"
