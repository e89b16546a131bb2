"""Lanes: the edges to and from a step that works at several chunks at a time, in order again.

In front of the step chunk n goes to lane (n - 1) mod N. Behind it each lane holds the outputs of
its own inputs, and a mark after those of each; the reader takes such groups from the lanes by turn.
Both work with edges over Redis and with pipes. A step of N lanes that follows another of N needs
neither: lane to lane it reads chunks and marks (`Reader.entries`) and passes the marks on.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence

from streams.chunk import Chunk, Mark, Payload
from streams.ends import EdgeFigures, Reader, Writer
from streams.errors import StreamCorrupt
from streams.position import Position


def lane_share(count: int, lanes: int, lane: int) -> int:
    """How many of the first `count` chunks, dealt by turn, go to one of the lanes (from 0).

    It is the `resume_seq` of that lane's writer where `count` is that of them all.
    """
    return (max(0, count - lane) + lanes - 1) // lanes


class LaneWriter:
    """A `Writer` that deals chunks by turn. `resume_seq`: how many were dealt before."""

    def __init__(self, writers: Sequence[Writer], resume_seq: int = 0) -> None:
        self._writers = tuple(writers)
        self.seq = resume_seq
        self.figures = EdgeFigures()

    def write(self, payload: Payload, headers: Mapping[str, str] | None = None) -> None:
        """See `Writer.write`. Waits for the lane whose turn it is."""
        lane = self._writers[self.seq % len(self._writers)]
        waited_s = lane.figures.blocked_s
        lane.write(payload, headers)
        self.figures.blocked_s += lane.figures.blocked_s - waited_s
        self.figures.moved(memoryview(payload).nbytes)
        self.seq += 1

    def mark(self) -> None:
        """Marks end the outputs of lanes; these are their inputs.

        Raises:
            TypeError: always; lanes that follow lanes are joined one to one.
        """
        raise TypeError("inputs of lanes have no marks: join lanes with lanes one to one")

    def end(self) -> None:
        """See `Writer.end`: every lane ends."""
        for lane in self._writers:
            lane.end()

    def fail(self, error: str, cause: str) -> None:
        """See `Writer.fail`: every lane fails."""
        for lane in self._writers:
            lane.fail(error, cause)


class LaneReader:
    """A `Reader` that takes groups by turn. Its chunks are numbered anew, from 1 or on from where
    earlier readers had committed.

    `readers`: one for each lane, all new. `positions`: where they begin, if they are over Redis
    (`StreamReader.position`): the turn and the numbers go on there. A commit's `out_seq` is kept by
    the lane it was given with: the highest of them all holds.
    """

    def __init__(self, readers: Sequence[Reader], positions: Sequence[Position] = ()) -> None:
        self._readers = tuple(readers)
        self._entries = [reader.entries() for reader in readers]
        self._turn = _turn_of([position.marks for position in positions])
        self._within = False
        self._over = False
        # Entries that were read: number of the chunk (of the one before, for a mark), lane, number
        # in the lane. They are committed in this order, so that a successor finds the turn.
        self._read: deque[tuple[int, int, int]] = deque()
        self._committing = threading.Lock()
        self.seq = sum(position.chunks for position in positions)
        self.figures = EdgeFigures()

    def __iter__(self) -> Iterator[Chunk]:
        """See `Reader.__iter__`."""
        while not self._over:
            entry = next(self._entries[self._turn], None)
            if entry is None:
                self._end()
            elif isinstance(entry, Mark):
                self._read.append((self.seq, self._turn, entry.seq))
                self._turn = (self._turn + 1) % len(self._readers)
                self._within = False
            else:
                self._within = True
                yield self._numbered(entry)

    def entries(self) -> Iterator[Chunk | Mark]:
        """The chunks alone: behind this reader there are no lanes."""
        return iter(self)

    def commit(self, seq: int, out_seq: int | None = None) -> None:
        """See `Reader.commit`. Cost: a commit for each group that lies in between."""
        with self._committing:
            steps: list[tuple[int, int]] = []
            while self._read and self._read[0][0] <= seq:
                _, lane, lane_seq = self._read.popleft()
                if steps and steps[-1][0] == lane:
                    steps.pop()
                steps.append((lane, lane_seq))
            for lane, lane_seq in steps:
                last = (lane, lane_seq) == steps[-1]
                self._readers[lane].commit(lane_seq, out_seq if last else None)

    def flush(self) -> None:
        """See `Reader.flush`."""
        for reader in self._readers:
            reader.flush()

    def _numbered(self, chunk: Chunk) -> Chunk:
        self.seq += 1
        self._read.append((self.seq, self._turn, chunk.seq))
        self.figures.moved(len(chunk))
        self.figures.blocked_s = sum(reader.figures.blocked_s for reader in self._readers)
        # A pipe may have given the very chunk that the step before still holds: it stays as it is.
        return Chunk(chunk, self.seq, chunk.headers)

    def _end(self) -> None:
        """The lane whose turn it is has ended: so must the others have."""
        if self._within:
            raise StreamCorrupt(f"lane {self._turn} has ended within the outputs of an input")
        for lane in range(len(self._readers)):
            if next(self._entries[lane], None) is not None:
                raise StreamCorrupt(f"lane {lane} goes on, but lane {self._turn} has ended")
        self._over = True


def _turn_of(groups: Sequence[int]) -> int:
    """The first lane that is behind the one before it; the first of all, if none is."""
    return next((lane for lane, count in enumerate(groups) if count < groups[0]), 0)
