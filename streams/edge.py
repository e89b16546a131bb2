"""An edge: bytes from one step to the next over one Redis stream, bounded, in order, resumable."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path

from redis import Redis

from streams.commands import Commands
from streams.ends import EdgeFigures
from streams.entry import LAST, Entry
from streams.errors import StreamCancelled
from streams.position import Position
from streams.reader import StreamReader
from streams.shared import MEMORY, RING_WINDOWS, SharedFolder, Sharing, host_token, sweep
from streams.spool import Spool
from streams.standing import EdgeKeys, EdgeLimits, Standing
from streams.stop import Stop
from streams.writer import StreamWriter

WINDOW_BYTES = 4 * 1024 * 1024
TTL_S = 600.0
IDLE_S = 60.0
PATIENCE_S = 30.0
SWEEP_AFTER_TTLS = 4
"""After how many lives of unused keys nobody can come back to shared memory."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an edge has come, in numbers of entries.

    Attributes:
        read_seq: up to where the reader has committed.
        written_seq: up to where it was written, END and ERROR not counted.
        out_seq: what the reader's commits have said of its outputs; None: nothing yet. A stateless
            successor of the reader makes its writer with it as `resume_seq` (None there would mean
            a replay: give 0).
        ended: whether the writer has ended it, well or not.
        outstanding_bytes: what was written and not committed, as the window counts it.
    """

    read_seq: int
    written_seq: int
    out_seq: int | None
    ended: bool
    outstanding_bytes: int


class Edge:
    """One edge over Redis.

    `redis` returns bytes, and is shared by threads; each end takes a connection of its pool while
    it waits. `key` has a hash tag if Redis is a cluster. `window_bytes`: what may be outstanding.
    `ttl_s`: life of the keys when nobody uses them. `idle_s`: how long an end waits for the other.
    `patience_s`: how long Redis may be away. `shared`: payloads go through `memory`; the two ends
    must be on one host, which `host_token` tells. Otherwise a Redis that keeps an append-only file
    writes every payload to it. `may_share`: one window goes through Redis, and the rest as if
    `shared` where the reader, made with this too, then turns out to see the same memory. `run`: the
    key of the run it belongs to; it is only made while that is on.
    """

    def __init__(
        self,
        redis: Redis,
        key: str,
        *,
        window_bytes: int = WINDOW_BYTES,
        ttl_s: float = TTL_S,
        idle_s: float = IDLE_S,
        patience_s: float = PATIENCE_S,
        shared: bool = False,
        may_share: bool = False,
        memory: Path = MEMORY,
        run: str | None = None,
    ) -> None:
        self._commands = Commands(redis, patience_s)
        self._keys = EdgeKeys(key)
        self._limits = EdgeLimits(window_bytes, ttl_s, idle_s, patience_s)
        self._run = run
        self._is_shared = shared
        self._may_share = may_share
        self._memory = memory
        self._memory_name = uuid.uuid4().hex

    @property
    def key(self) -> str:
        """The key of its Redis stream."""
        return self._keys.stream

    def create(self) -> None:
        """Makes the edge; ends can be made from then on. Atomic, Idempotent. Cost: O(1).

        Raises:
            StreamCancelled: its run is over, or was never begun.
        """
        keys = (*self._keys.all(), self._run or self.key)
        verdict = self._commands.script("create", keys, self._limits.ttl_ms, self._memory_name)
        if verdict == b"GONE":
            raise StreamCancelled(f"{self.key} belongs to a run that is over")
        if self._is_shared or self._may_share:
            sweep(SWEEP_AFTER_TTLS * self._limits.ttl_s, self._memory)

    def writer(self, epoch: int, stop: Stop, *, resume_seq: int | None) -> StreamWriter:
        """The writer from now on; older ones are fenced off. Atomic.

        `resume_seq` None: the caller writes all chunks from the first; those that are there are
        skipped. n: what it writes first is entry n + 1; those that are there are skipped too.

        Raises:
            StreamFenced: there is a newer one.
            StreamCancelled: the edge is gone.
            StreamCorrupt: it has less than `resume_seq` entries.
        """
        standing = self._standing("writer", epoch, stop)
        return StreamWriter(standing, resume_seq, self._sharing())

    def reader(self, epoch: int, stop: Stop, *, keep: Spool | None = None) -> StreamReader:
        """The reader from now on; older ones are fenced off. Atomic.

        `keep` None: it begins after the last committed entry. Given: it begins with the first, and
        the spool keeps all that it reads, for its successor on this host.

        Raises:
            StreamFenced: there is a newer one.
            StreamCancelled: the edge is gone.
        """
        return StreamReader(self._standing("reader", epoch, stop), keep)

    def progress(self) -> Progress:
        """How far it has come. Cost: O(size of a chunk).

        Raises:
            StreamCancelled: the edge is gone.
        """
        freed, out, last = self._look()
        at = _written(freed, last)
        return Progress(
            read_seq=freed.seq,
            written_seq=at.seq,
            out_seq=None if out is None else int(out),
            ended=last is not None and last.kind in LAST,
            outstanding_bytes=at.weight - freed.weight,
        )

    def figures(self) -> EdgeFigures:
        """Chunks and bytes written so far by all its writers. Times are known to the ends only.

        Raises:
            StreamCancelled: the edge is gone.
        """
        freed, _, last = self._look()
        at = _written(freed, last)
        return EdgeFigures(at.chunks, at.size)

    def delete(self) -> None:
        """Removes it; its ends, wherever they are, then raise StreamCancelled. Idempotent.

        Shared memory is removed on this host.
        """
        name = self._commands.call("HGET", self._keys.control, "memory")
        self._commands.call("UNLINK", *self._keys.all())
        if name is not None:
            SharedFolder(name.decode(), self.key, self._memory).delete()

    def _standing(self, role: str, epoch: int, stop: Stop) -> Standing:
        sees = host_token(self._memory) if role == "reader" and self._may_share else ""
        return Standing(
            self._commands, self._keys, self._limits, role, epoch, stop, self._memory, sees
        )

    def _sharing(self) -> Sharing | None:
        window = self._limits.window_bytes
        if self._is_shared:
            return Sharing(window, (RING_WINDOWS - 1) * window)
        if self._may_share:
            token = host_token(self._memory)
            return Sharing(window, window // 4, later_with=token) if token else None
        return None

    def _look(self) -> tuple[Position, bytes | None, Entry | None]:
        """What was freed, out_seq, the last entry."""
        position, out = self._commands.call("HMGET", self._keys.control, "position", "out")
        end = self._commands.stream_end(self.key)
        if position is None or end is None:
            raise StreamCancelled(f"{self.key} is gone: its run is over")
        return Position.parse(position), out, Entry.parse(end[1]) if end[1] else None


def _written(freed: Position, last: Entry | None) -> Position:
    """The position after the last chunk or mark."""
    if last is None:
        return freed
    return last.position.before_last() if last.kind in LAST else last.position
