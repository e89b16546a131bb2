"""Shared memory: payloads handed over in /dev/shm, where both ends of an edge are on one host.

Every writer has a ring: a file of somewhat more than a window, which the reader maps. An entry in
Redis then holds a reference only. The credit of the edge keeps what is outstanding from being
overwritten; a payload that finds no place goes through Redis. Rings go with the run, or, if its
processes have died, with a later sweep.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import shutil
import stat
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from streams.errors import StreamLost

MEMORY = Path("/dev/shm")
LEAST_BYTES = 4 * 1024
"""A smaller payload is sent through Redis."""
SPARE_BYTES = 16 * 1024 * 1024
"""What a new ring leaves free: others use this memory too."""
RING_WINDOWS = 2
"""The size of a ring in windows: one outstanding, and room for the pieces that do not fit."""


def host_token(memory: Path = MEMORY) -> str:
    """Names the shared memory that this process sees: equal tokens can hand payloads to each other.

    It differs between hosts, after a reboot, between containers with a /dev/shm each, and between
    users, also those of one number in containers that count users for themselves. "" where there is
    none.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        users = Path("/proc/self/ns/user").stat().st_ino
        folder = memory.stat()
    except OSError:
        return ""
    told = f"{boot} {folder.st_dev} {folder.st_ino} {users} {os.getuid()}"
    return hashlib.sha256(told.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Sharing:
    """How a writer is to use shared memory.

    Attributes:
        window_bytes: of its edge.
        spare_bytes: of the ring, beyond the window: if no payload is larger, each has a place.
        later_with: None: the reader is known to see the same memory. A token: it is asked once a
            window has gone through Redis, and must see the memory of this token.
    """

    window_bytes: int
    spare_bytes: int
    later_with: str | None = None

    def is_due(self, weight: int, freed: int) -> bool:
        """True once the edge has come so far that memory is used.

        `weight`: of all its entries; `freed`: of those that a reader, who is there then, has freed.
        """
        return self.later_with is None or (weight > self.window_bytes and freed > 0)


class SharedFolder:
    """The rings of one edge on this host.

    `run` names its run, among those of all Redis servers that are used here; `edge` the edge in it.
    """

    def __init__(self, run: str, edge: str, memory: Path = MEMORY) -> None:
        self._memory = memory
        self._run = run_folder(run, memory)
        self._folder = self._run / _digest(edge)

    def ring(self, epoch: int, sharing: Sharing) -> RingWriter | None:
        """A new ring of a writer; None: there is no shared memory, or not enough.

        Cost: O(size), the memory is taken at once: to find it missing later would end the process.
        """
        token, size = host_token(self._memory), sharing.window_bytes + sharing.spare_bytes
        if not token or not self._made() or not has_room(size, self._memory):
            return None
        path = self._folder / str(epoch)
        try:
            name = f"{token} {epoch}".encode()
            return RingWriter(_reserved(path, size), size, name, sharing.window_bytes)
        except FileExistsError:  # somebody may be reading there
            return None
        except OSError:
            path.unlink(missing_ok=True)
            return None

    def rings(self) -> RingReader:
        """What finds payloads by their references."""
        return RingReader(self._folder, host_token(self._memory).encode())

    def touch(self) -> None:
        """Tells the sweep that this is in use."""
        with suppress(FileNotFoundError):
            os.utime(self._run)

    def delete(self) -> None:
        """Removes the rings of the edge, and the run's folder with the last edge. Idempotent."""
        shutil.rmtree(self._folder, ignore_errors=True)
        try:
            self._run.rmdir()
        except OSError:
            return

    def _made(self) -> bool:
        try:
            root = _root(self._memory)
            root.mkdir(mode=0o700, exist_ok=True)
            found = root.lstat()
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            return False
        # Somebody else may have made it, to read what we put there.
        mine = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
        return mine and not found.st_mode & 0o077


class RingWriter:
    """Where one writer puts payloads. One thread at a time.

    `window_bytes`: what the edge lets be outstanding. If no payload is larger than the rest of the
    ring, each has a place, and memory beyond one more than the window is never touched.
    """

    def __init__(self, ring: BinaryIO, size: int, name: bytes, window_bytes: int) -> None:
        self._ring = ring
        self._size = size
        self._name = name
        self._window = window_bytes
        # What is outstanding, oldest first: weight when it will be freed, where it begins and ends.
        self._held: deque[tuple[int, int, int]] = deque()

    def put(self, payload: bytes | memoryview, weight: int, freed: int) -> bytes | None:
        """Copies a payload into a free place; the reference to it. None: small, or no such place,
        or the system does not take it.

        `weight`: of the edge with this payload; `freed`: up to which weight the reader is done.
        """
        size = len(payload)
        if size < LEAST_BYTES:
            return None
        while self._held and self._held[0][0] <= freed:
            self._held.popleft()
        begin = self._place(size)
        if begin is None:
            return None
        # Not by a map of it: that would count as this process's memory, and hold Python's lock.
        try:
            if os.pwrite(self._ring.fileno(), payload, begin) < size:
                return None
        except OSError:
            return None
        self._held.append((weight, begin, begin + size))
        return b"%s %d %d" % (self._name, begin, size)

    def close(self) -> None:
        """Lets go of the memory; the file stays. Idempotent."""
        self._ring.close()

    def _place(self, size: int) -> int | None:
        """The first byte of a free place after the newest payload, or before the oldest one.

        It begins anew as soon as a window lies behind: what is outstanding is less than that, so
        that from there on it leaves room for the rest of the window.
        """
        if not self._held:
            return 0 if size <= self._size else None
        oldest, newest_end = self._held[0][1], self._held[-1][2]
        if newest_end <= oldest:
            return newest_end if newest_end + size <= oldest else None
        if newest_end >= self._window and size <= oldest:
            return 0
        if newest_end + size <= self._size:
            return newest_end
        return 0 if size <= oldest else None


class RingReader:
    """Where a reader finds payloads, one after the other. One thread at a time."""

    def __init__(self, folder: Path, token: bytes) -> None:
        self._folder = folder
        self._token = token
        self._rings: dict[bytes, mmap.mmap] = {}

    def find(self, reference: bytes) -> memoryview:
        """What a reference stands for; it is to be copied before it is committed.

        Raises:
            StreamLost: it is in another memory than this process sees, or gone.
        """
        token, ring, begin, size = reference.split()
        if token != self._token:
            raise StreamLost("a chunk is in the shared memory of another host")
        if ring not in self._rings:
            self._rings[ring] = self._mapped(ring.decode())
        # What was found before has been copied: it need not count as this process's memory.
        self._rings[ring].madvise(mmap.MADV_DONTNEED)
        whole = memoryview(self._rings[ring])
        return whole[int(begin) : int(begin) + int(size)]

    def close(self) -> None:
        """Lets go of all memory; nothing that was found may be looked at any more. Idempotent."""
        for ring in self._rings.values():
            with suppress(BufferError):  # a failure still shows to a payload: it goes with that
                ring.close()
        self._rings.clear()

    def _mapped(self, name: str) -> mmap.mmap:
        try:
            with (self._folder / name).open("rb") as file:
                return mmap.mmap(file.fileno(), 0, mmap.MAP_SHARED, mmap.PROT_READ)
        except (OSError, ValueError) as error:
            raise StreamLost(f"a chunk is no longer in shared memory: {error}") from None


def run_folder(run: str, memory: Path = MEMORY) -> Path:
    """Where the rings of all edges of a run are."""
    return _root(memory) / _digest(run)


def sweep(older_than_s: float, memory: Path = MEMORY) -> None:
    """Removes the folders of runs that were not used for so long: their processes are dead."""
    oldest = time.time() - older_than_s
    root = _root(memory)
    try:
        runs = list(root.iterdir())
    except OSError:  # there is none, or it is not ours
        return
    for run in runs:
        if _used_at(run) < oldest:
            shutil.rmtree(run, ignore_errors=True)


def remove_run(run: str, memory: Path = MEMORY) -> None:
    """Removes the rings of all edges of a run on this host. Idempotent."""
    shutil.rmtree(run_folder(run, memory), ignore_errors=True)


def _reserved(path: Path, size: int) -> BinaryIO:
    file = os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb", buffering=0)
    try:
        os.posix_fallocate(file.fileno(), 0, size)
    except OSError:
        file.close()
        raise
    return file


def has_room(size: int, memory: Path = MEMORY) -> bool:
    """True if a ring of this size would find place now."""
    return _room(memory) >= size + SPARE_BYTES


def _room(memory: Path) -> int:
    try:
        room = os.statvfs(memory)
    except OSError:
        return 0
    return room.f_bavail * room.f_frsize


def _root(memory: Path) -> Path:
    return memory / f"penstock-{os.getuid()}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _used_at(run: Path) -> float:
    try:
        return max(path.stat().st_mtime for path in (run, *run.iterdir()))
    except OSError:
        return time.time()
