"""The reader of an edge over Redis."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from streams.chunk import Chunk, Mark
from streams.ends import EdgeFigures
from streams.entry import LAST, Entry, Kind
from streams.errors import StreamCorrupt, StreamFailed, StreamLost
from streams.position import START, Position
from streams.spool import Spool
from streams.standing import Standing

AHEAD_BYTES = 1024 * 1024
"""About how much is fetched at once."""
MOST_ENTRIES = 128
TOGETHER_S = 0.005
"""Commits that follow each other faster are sent as one: what a successor then does again has taken
less than that.
"""
TOGETHER_BYTES = 128 * 1024
"""More is freed at once, or a quarter of the window: the writer may wait for it."""


@dataclass(frozen=True, slots=True)
class _Read:
    """An entry that was read and is still in Redis."""

    id: str
    position: Position


class StreamReader:
    """A `Reader` with an epoch; `Edge.reader` makes it.

    With a spool (`keep`) it begins at the first entry whatever was committed: first those that were
    kept, then the live ones. It then commits by itself what it has kept, and `commit` only tells
    the `out_seq`.
    """

    def __init__(self, standing: Standing, keep: Spool | None = None) -> None:
        self._standing = standing
        self._rings = standing.shared.rings()
        self._keep = keep
        last_id, position = standing.found
        self._freed = _Read(last_id.decode(), Position.parse(position))
        self._done = self._freed
        self._out_seq: int | None = None
        self._told: int | None = None
        self._freed_at = 0.0
        self._next_id = self._freed.id
        # What was read and verified; with a spool all is read again.
        self._at = START if keep else self._freed.position
        self._sha = hashlib.sha256() if self._at == START else None
        self._handed = b""
        self._unfreed: deque[_Read] = deque()
        self._ready: deque[Chunk | Mark | Entry] = deque()
        # For `commit`, which another thread may call.
        self._committing = threading.Lock()
        self._kept = keep.records(self._freed.position.seq) if keep else None
        self.figures = EdgeFigures()

    @property
    def position(self) -> Position:
        """How far it has read. Of a new one without a spool: how far was committed."""
        return self._at

    def __iter__(self) -> Iterator[Chunk]:
        """See `Reader.__iter__`."""
        return (entry for entry in self.entries() if not isinstance(entry, Mark))

    def entries(self) -> Iterator[Chunk | Mark]:
        """See `Reader.entries`."""
        while (entry := self._take()) is not None:
            yield entry

    def commit(self, seq: int, out_seq: int | None = None) -> None:
        """See `Reader.commit`. Atomic, Idempotent. Cost: O(entries freed).

        Raises:
            StreamFenced, StreamCancelled, StreamUnavailable: as they say.
        """
        with self._committing:
            if out_seq is not None:
                self._out_seq = out_seq
            while self._unfreed and self._unfreed[0].position.seq <= seq:
                self._done = self._unfreed.popleft()
            if self._is_due():
                self._flush()

    def flush(self) -> None:
        """Sends what was committed and still waits. Raises as `commit`."""
        with self._committing:
            self._flush()

    def close(self) -> None:
        """Lets go of shared memory and of kept files, once nobody reads any more. Idempotent."""
        self._rings.close()
        if self._kept is not None:  # it may have stopped in the middle of one
            self._kept.close()

    def _is_due(self) -> bool:
        """False while what was committed is little and recent."""
        held = self._done.position.weight - self._freed.position.weight
        most = min(TOGETHER_BYTES, self._standing.limits.window_bytes // 4)
        return held > most or time.monotonic() - self._freed_at > TOGETHER_S

    def _is_behind(self) -> bool:
        return self._done is not self._freed or self._out_seq != self._told

    def _flush(self) -> None:
        if self._is_behind():
            self._free(self._done, self._out_seq)
            self._freed, self._told = self._done, self._out_seq
            self._freed_at = time.monotonic()

    def _free(self, last: _Read, out_seq: int | None) -> None:
        position, standing = last.position, self._standing
        writer_epoch, _, seq = last.id.partition("-")
        verdict = standing.commands.script(
            "commit",
            standing.keys.all(),
            standing.epoch,
            position.seq,
            last.id,
            f"{writer_epoch}-{int(seq) + 1}",
            position.text(),
            position.weight,
            "" if out_seq is None else out_seq,
            standing.limits.ttl_ms,
        )
        standing.judge(verdict)
        standing.moved()

    def _take(self) -> Chunk | Mark | None:
        # Not before it was handed out: the step need not wait for that.
        if self._sha is not None:
            self._sha.update(self._handed)
        self._handed = b""
        while not self._ready:
            self._fetch()
        entry = self._ready[0]
        if isinstance(entry, Entry):
            self.flush()
            # It stays: who asks again is told the same.
            self._check_last(entry)
            return None
        self._ready.popleft()
        if not isinstance(entry, Mark):
            self._handed = entry
            self.figures.moved(len(entry))
        return entry

    def _fetch(self) -> None:
        """Makes at least one entry ready, verified. Blocks until there is one."""
        if self._kept is None:
            self._fetch_live()
        elif (entry := next(self._kept, None)) is not None:
            self._ready.append(self._verified(entry, entry.payload))
        else:
            self._kept = None
            self._begin_live()

    def _begin_live(self) -> None:
        """All that was kept is read; the rest is in Redis."""
        assert self._keep is not None
        committed = self._freed.position.seq
        if self._at.seq < committed:
            raise StreamLost(
                f"{self._standing.keys.stream}: of {committed} entries that were read"
                f" {self._at.seq} are kept on this host"
            )
        self._standing.check()  # before a file is made that nobody would remove
        self._keep.begin(self._standing.epoch)

    def _fetch_live(self) -> None:
        last: Entry | None = None
        reads: list[_Read] = []
        for name, fields in self._await_entries():
            entry = Entry.parse(fields[b"h"], fields.get(b"d", b""))
            self._next_id = name.decode()
            if entry.kind in LAST:
                last = entry
            else:
                reads.append(self._admitted(entry))
        with self._committing:
            self._unfreed.extend(reads)
        if self._keep is not None and reads:
            self.commit(reads[-1].position.seq)
            self.flush()
        if last is not None:
            self._ready.append(last)

    def _admitted(self, entry: Entry) -> _Read:
        """Makes an entry ready, and keeps it where that is asked."""
        payload = entry.payload
        if entry.kind is Kind.CLAIM:
            payload = self._found(bytes(payload))
            self.figures.memory = True
        made = self._verified(entry, payload)
        if isinstance(made, Mark):
            kept = Entry(Kind.MARK, entry.position)
        else:
            kept = Entry(Kind.CHUNK, entry.position, entry.headers, made)
        if self._keep is not None:
            self._keep.append(kept)
        self._ready.append(made)
        return _Read(self._next_id, self._at)

    def _found(self, reference: bytes) -> memoryview:
        """A payload in shared memory. What is gone from there may have gone with the edge."""
        try:
            return self._rings.find(reference)
        except StreamLost:
            self._standing.look()
            raise

    def _verified(self, entry: Entry, payload: bytes | memoryview) -> Chunk | Mark:
        """The chunk or mark of an entry, if it is the one that must come next.

        Raises:
            StreamCorrupt: it is not.
        """
        made: Chunk | Mark
        if entry.kind is Kind.MARK:
            made, after = Mark(entry.position.seq), self._at.after_mark()
        else:
            made = Chunk(payload, entry.position.seq, entry.header_texts())
            after = self._at.after_chunk(entry.headers, made)
        if after != entry.position:
            self._refuse(f"entry {entry.position.seq}: {entry.position} is said, {after} was read")
        self._at = after
        return made

    def _await_entries(self) -> list[tuple[bytes, dict[bytes, bytes]]]:
        begun = time.monotonic()
        self._standing.moved()
        while not (answer := self._read()):
            if self._is_behind():
                self.flush()
            else:
                self._standing.look()
        self.figures.blocked_s += time.monotonic() - begun
        entries: list[tuple[bytes, dict[bytes, bytes]]] = answer[0][1]
        return entries

    def _read(self) -> Any:
        """What Redis has, or will have soon; nothing, if it has none as long as may be waited."""
        self._standing.check()
        wait_ms = round(TOGETHER_S * 1000) if self._is_behind() else self._standing.limits.slice_ms
        return self._standing.commands.call(
            "XREAD", "COUNT", self._ahead(), "BLOCK", wait_ms,
            "STREAMS", self._standing.keys.stream, self._next_id,
        )  # fmt: skip

    def _ahead(self) -> int:
        """How many entries to fetch, by the size of those so far."""
        mean = self._at.weight // self._at.seq if self._at.seq else AHEAD_BYTES
        return max(1, min(MOST_ENTRIES, AHEAD_BYTES // mean))

    def _check_last(self, entry: Entry) -> None:
        headers = entry.header_texts()
        if entry.kind is Kind.ERROR:
            raise StreamFailed(headers["error"], headers["cause"])
        proof = headers.get("sha256")
        seen = self._sha.hexdigest() if self._sha is not None else proof
        if entry.position != self._at.after_last() or (proof is not None and proof != seen):
            said = f"it ends at {entry.position} with SHA-256 {proof}"
            self._refuse(f"{said}, but {self._at} with {seen} was read")

    def _refuse(self, text: str) -> NoReturn:
        """What does not fit may have been freed by a newer reader: that is no fault."""
        self._standing.look()
        raise StreamCorrupt(f"{self._standing.keys.stream}: {text}")
