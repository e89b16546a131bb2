"""Shared memory: payloads handed over in /dev/shm, where both ends of an edge are on one host.

Every writer has a ring: a file of twice the window, mapped by both ends. An entry in Redis then
holds a reference only. The credit of the edge keeps what is outstanding from being overwritten; a
payload that finds no place goes through Redis. Rings go with the run, or, if its processes have
died, with a later sweep.
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
from pathlib import Path

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
    users. "" where there is none.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        folder = memory.stat()
    except OSError:
        return ""
    told = f"{boot} {folder.st_dev} {folder.st_ino} {os.getuid()}"
    return hashlib.sha256(told.encode()).hexdigest()[:16]


class SharedFolder:
    """The rings of one edge on this host.

    `run` names its run, among those of all Redis servers that are used here; `edge` the edge in it.
    """

    def __init__(self, run: str, edge: str, memory: Path = MEMORY) -> None:
        self._memory = memory
        self._run = run_folder(run, memory)
        self._folder = self._run / _digest(edge)

    def ring(self, epoch: int, size: int) -> RingWriter | None:
        """A new ring of a writer; None: there is no shared memory, or not enough.

        Cost: O(size), the memory is taken at once: to find it missing later would end the process.
        """
        token = host_token(self._memory)
        if not token or not self._made() or not has_room(size, self._memory):
            return None
        path = self._folder / str(epoch)
        try:
            return RingWriter(_reserved(path, size), f"{token} {epoch}".encode())
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
    """Where one writer puts payloads. One thread at a time."""

    def __init__(self, ring: mmap.mmap, name: bytes) -> None:
        self._ring = ring
        self._name = name
        # What is outstanding, oldest first: weight when it will be freed, where it begins and ends.
        self._held: deque[tuple[int, int, int]] = deque()

    def put(self, payload: bytes | memoryview, weight: int, freed: int) -> bytes | None:
        """Copies a payload into a free place; the reference to it. None: small, or no such place.

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
        self._ring[begin : begin + size] = payload
        self._held.append((weight, begin, begin + size))
        return b"%s %d %d" % (self._name, begin, size)

    def close(self) -> None:
        """Lets go of the memory; the file stays. Idempotent."""
        self._ring.close()

    def _place(self, size: int) -> int | None:
        """The first byte of a free place after the newest payload, or before the oldest one."""
        if not self._held:
            return 0 if size <= len(self._ring) else None
        oldest, newest_end = self._held[0][1], self._held[-1][2]
        if newest_end <= oldest:
            return newest_end if newest_end + size <= oldest else None
        if newest_end + size <= len(self._ring):
            return newest_end
        return 0 if size <= oldest else None


class RingReader:
    """Where a reader finds payloads. One thread at a time."""

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
    for run in list(root.iterdir()) if root.exists() else []:
        if _used_at(run) < oldest:
            shutil.rmtree(run, ignore_errors=True)


def remove_run(run: str, memory: Path = MEMORY) -> None:
    """Removes the rings of all edges of a run on this host. Idempotent."""
    shutil.rmtree(run_folder(run, memory), ignore_errors=True)


def _reserved(path: Path, size: int) -> mmap.mmap:
    file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    try:
        os.posix_fallocate(file, 0, size)
        return mmap.mmap(file, size)
    finally:
        os.close(file)


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
