"""The writer of an edge over Redis."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping

from redis.exceptions import ResponseError

from streams.chunk import Payload, flat, headers_of
from streams.ends import EdgeFigures
from streams.entry import LAST, Entry, Kind, packed, unpacked
from streams.errors import (
    ChunkTooLarge,
    StreamCancelled,
    StreamCorrupt,
    StreamFailed,
    StreamFenced,
)
from streams.position import START, Position
from streams.shared import LEAST_BYTES, RingWriter, Sharing
from streams.standing import Standing

ALWAYS_TAKEN_BYTES = 1024 * 1024
"""The least limit of a value that Redis can be given."""


class StreamWriter:
    """A `Writer` with an epoch; `Edge.writer` makes it.

    What is in the edge already is not written again: the writer counts up to there. A writer that
    writes all chunks from the first on proves that it has written the same bytes (the running
    crc), and its END carries the SHA-256 of all; one that goes on at `resume_seq` has not seen
    those before, so its END has none, but the count, the bytes and the crc all the same.
    """

    def __init__(
        self, standing: Standing, resume_seq: int | None, sharing: Sharing | None = None
    ) -> None:
        self._standing = standing
        self._ring: RingWriter | None = None
        self._sharing = sharing
        head, freed = standing.found
        self._freed = Position.parse(freed).weight
        # What the edge holds: the position after its last entry, and how it ended, if it has.
        self._held, self._last = _end_of(head, Position.parse(freed))
        self._at = START
        self._largest: int | None = None  # asked for when it matters
        self._sha = hashlib.sha256() if not resume_seq else None
        self.seq = resume_seq or 0
        self.figures = EdgeFigures()
        if self.seq > self._held.seq:
            raise StreamCorrupt(f"{standing.keys.stream}: entries before {self.seq} are missing")
        self._catch_up()

    @property
    def position(self) -> Position:
        """How far the edge has come, earlier writers included; known for sure once it has ended."""
        return self._at

    def write(self, payload: Payload, headers: Mapping[str, str] | None = None) -> None:
        """See `Writer.write`. Idempotent: Redis refuses an entry that is there. Cost: O(size)."""
        data, head = flat(payload), packed(headers_of(payload, headers))
        after = self._at.after_chunk(head, data) if self._knows else START
        if not self._skips(after):
            self._put(Entry(Kind.CHUNK, after, head, data))
            self.figures.moved(len(data))
        # Afterwards: the reader is at it meanwhile.
        if self._sha is not None:
            self._sha.update(data)

    def mark(self) -> None:
        """See `Writer.mark`."""
        after = self._at.after_mark() if self._knows else START
        if not self._skips(after):
            self._put(Entry(Kind.MARK, after))

    def end(self) -> None:
        """See `Writer.end`."""
        proof = {"sha256": self._sha.hexdigest()} if self._sha is not None else {}
        self._finish(Kind.END, proof)

    def fail(self, error: str, cause: str) -> None:
        """See `Writer.fail`. After `end` it does nothing."""
        # A writer that is still behind what is there cannot take it back: it fails after that.
        if self.seq < self._held.seq:
            self.seq, self._at = self._held.seq, self._held
        self._finish(Kind.ERROR, {"error": error, "cause": cause})

    def close(self) -> None:
        """Lets go of shared memory, once nobody writes any more. Idempotent."""
        ring, self._ring = self._ring, None
        if ring is not None:
            ring.close()

    @property
    def _knows(self) -> bool:
        """Whether the position is known: not while a resumed writer is behind what is there."""
        return self._at.seq == self.seq

    def _skips(self, after: Position) -> bool:
        """Counts one more entry; True if the edge has it. `after`: the position then, if known."""
        if self.seq >= self._held.seq:
            self._refuse_after_last()
            return False
        if self._knows:
            self._at = after
        self.seq += 1
        self._catch_up()
        return True

    def _catch_up(self) -> None:
        """Once all that the edge holds is behind: goes on from there, if it is the same."""
        if self.seq != self._held.seq:
            return
        if self._knows and self._at != self._held:
            raise StreamCorrupt(
                f"{self._standing.keys.stream}: the replay of {self.seq} entries has written"
                " something else; a task with a state must write the same again"
            )
        self._at = self._held

    def _refuse_after_last(self) -> None:
        if self._last is None:
            return
        if self._last.kind is Kind.ERROR:
            failure = unpacked(self._last.headers)
            raise StreamFailed(failure["error"], failure["cause"])
        raise StreamCorrupt(f"{self._standing.keys.stream}: more was written after its end")

    def _put(self, entry: Entry) -> None:
        self._await_credit(entry.position.weight)
        self._append(entry)
        self._at, self.seq = entry.position, entry.position.seq
        self._standing.moved()
        self._standing.keep_alive()

    def _finish(self, kind: Kind, headers: Mapping[str, str]) -> None:
        if self.seq < self._held.seq:
            raise StreamCorrupt(
                f"{self._standing.keys.stream}: it ends after {self.seq} entries,"
                f" but {self._held.seq} are there"
            )
        if self._last is not None:
            return
        last = Entry(kind, self._at.after_last(), packed(headers))
        self._append(last)
        self._last = last

    def _await_credit(self, weight: int) -> None:
        if self._has_credit(weight):
            return
        begun, standing = time.monotonic(), self._standing
        standing.moved()
        while not self._has_credit(weight):
            standing.check()
            token = standing.commands.pop(standing.keys.tokens, standing.limits.slice_s)
            # The token itself may be lost on its way: what it says is asked for then.
            freed = int(token) if token else standing.look()
            if freed > self._freed:
                self._freed = freed
                standing.moved()
        self.figures.blocked_s += time.monotonic() - begun

    def _has_credit(self, weight: int) -> bool:
        """A chunk larger than the window is admitted when nothing is outstanding."""
        return (
            weight - self._freed <= self._standing.limits.window_bytes
            or self._at.weight == self._freed
        )

    def _append(self, entry: Entry) -> None:
        self._standing.check()  # before a ring is made that nobody would remove
        entry = self._claimed(entry)
        self._check_size(len(entry.payload))
        keys, name = self._standing.keys, self._name(entry)
        fields = ("h", entry.head(), "d", entry.payload) if entry.payload else ("h", entry.head())
        try:
            answer = self._standing.commands.call("XADD", keys.stream, "NOMKSTREAM", name, *fields)
        except ResponseError as error:
            if "equal or smaller" not in str(error):
                raise
            self._explain_refusal(name)
            return
        if answer is None:
            self._standing.shared.delete()  # the ring may have been made after the others were
            self._standing.judge(b"GONE")

    def _check_size(self, size: int) -> None:
        if size <= ALWAYS_TAKEN_BYTES:
            return
        if self._largest is None:
            self._largest = self._standing.commands.largest_bytes()
        if size > self._largest:
            raise ChunkTooLarge(
                f"a chunk has {size} bytes and Redis takes {self._largest} at once"
                " (proto-max-bulk-len): write smaller chunks"
            )

    def _explain_refusal(self, name: str) -> None:
        """Redis has a later id. Does nothing if it is this entry, whose answer was lost."""
        stream = self._standing.keys.stream
        end = self._standing.commands.stream_end(stream)
        if end is None:
            raise StreamCancelled(f"{stream} is gone: its run is over")
        if end[0] == name:
            return
        if int(end[0].partition("-")[0]) > self._standing.epoch:
            raise StreamFenced(f"{stream} has a newer writer than {self._standing.epoch}")
        raise StreamCorrupt(f"{stream}: {name} was written, but {end[0]} is there")

    def _claimed(self, entry: Entry) -> Entry:
        """The entry with its payload in shared memory, where that can be."""
        if entry.kind is not Kind.CHUNK or len(entry.payload) < LEAST_BYTES:
            return entry
        self._share(entry.position.weight)
        if self._ring is None:
            return entry
        reference = self._ring.put(entry.payload, entry.position.weight, self._freed)
        if reference is None:
            return entry
        self.figures.memory = True
        return Entry(Kind.CLAIM, entry.position, entry.headers, reference)

    def _share(self, weight: int) -> None:
        """Makes the ring, once, when there is use for it."""
        sharing, standing = self._sharing, self._standing
        if sharing is None or not sharing.is_due(weight, self._freed):
            return
        self._sharing = None
        if sharing.later_with is None or sharing.later_with == standing.told():
            self._ring = standing.shared.ring(standing.epoch, sharing)

    def _name(self, entry: Entry) -> str:
        return f"{self._standing.epoch}-{entry.position.seq}"


def _end_of(head: bytes, freed: Position) -> tuple[Position, Entry | None]:
    """The position after the last chunk or mark, and the END or ERROR after it."""
    if not head:
        return freed, None
    entry = Entry.parse(head)
    if entry.kind in LAST:
        return entry.position.before_last(), entry
    return entry.position, None
