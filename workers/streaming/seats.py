"""Seats: the parts of a run that one process works at."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from engine.core.outcomes import failure_of
from streams.ends import EdgeFigures, Reader, Writer
from streams.errors import StreamCancelled, StreamError, StreamFailed, StreamFenced
from streams.reader import StreamReader
from streams.run import StreamBridge
from streams.stop import Stop
from streams.writer import StreamWriter
from tasks.errors import TaskError
from workers.streaming.opening import Opening, Taking
from workers.streaming.plan import Plan
from workers.streaming.segment import Segment
from workers.streaming.stage import Stage, StageFailed
from workers.streaming.tally import Tally

LET_GO = "somebody else goes on with this part of the stream"

LEAVE_S = 2.5
"""How long threads that were told to stop are waited for; a worker whose time is over is killed 5 s
later, if the settings do not say otherwise, and still has to tidy up before that."""


@dataclass(frozen=True, slots=True)
class Held:
    """A seat that this process holds."""

    epoch: int
    stop: Stop
    segment: Segment


@dataclass(frozen=True, slots=True)
class Worker:
    """Who works at a run: its name, and the stages that it has the tasks of, by position.

    `told`: what a stage's context says of where it is. `news` is called when something is over.
    """

    holder: str
    stages: dict[int, Stage]
    told: Callable[[Stage], dict[str, Any]]
    news: Callable[[], None]


class Seats:
    """Takes seats of a run and works at them until they are done, lost or not wanted any more."""

    def __init__(
        self, bridge: StreamBridge, plan: Plan, opening: Opening, worker: Worker, lease_s: float
    ) -> None:
        self.bridge = bridge
        self.plan = plan
        self._opening = opening
        self._worker = worker
        self._lease_s = lease_s
        self._held: dict[int, Held] = {}
        self._told: set[int] = set()

    @property
    def any(self) -> bool:
        """True while it works at some."""
        return bool(self._held)

    def holds(self, number: int) -> bool:
        """True while this process works at a seat."""
        return number in self._held

    def can_take(self, number: int) -> bool:
        """True if this process has all tasks of a seat, and does not hold it already."""
        able = all(position in self._worker.stages for position in self.plan.seats[number].stages)
        return able and number not in self._held

    def take(self, number: int) -> bool:
        """Takes a seat, free or lost, and begins to work at it; False if somebody else has it."""
        if not self.can_take(number):
            return False
        epoch = self.bridge.claim(number, self._worker.holder, self._lease_s)
        if epoch is None:
            return False
        seat = self.plan.seats[number]
        stages = [self._worker.stages[position] for position in seat.stages]
        stop = Stop()
        try:
            ends = self._opening.ends(Taking(seat, epoch, stages, stop))
        except StreamFenced:  # it took so long that somebody else has it by now
            return False
        except (TaskError, StreamError) as error:
            failure = failure_of(error)
            self.bridge.fail(failure.error, failure.cause, "")
            return False
        window_bytes = self._opening.window_bytes
        told, news = self._worker.told, self._worker.news
        segment = Segment(stages, ends, stop, window_bytes, told, news)
        self._held[number] = Held(epoch, stop, segment)
        self._told.discard(number)
        segment.start()
        return True

    def renew(self) -> None:
        """Keeps the seats that are worked at; one that somebody else has by now is let go."""
        for number, held in self._held.items():
            if not self.bridge.renew(number, held.epoch, self._lease_s):
                held.stop.set(LET_GO)

    def tend(self) -> None:
        """Says of the seats that are over how they came out."""
        for number, held in list(self._held.items()):
            # A stage that is deep in a library does not keep its failure from being known.
            if (held.segment.over or held.segment.failure) and number not in self._told:
                self._told.add(number)
                self._over(number, held)
            if held.segment.over:
                held.segment.ends.release()
                del self._held[number]

    def leave(self, reason: str) -> None:
        """Stops all work; threads that are deep in a library are left to themselves."""
        for held in self._held.values():
            held.stop.set(reason)
        deadline = time.monotonic() + LEAVE_S
        for held in self._held.values():
            gone = held.segment.join(deadline - time.monotonic())
            held.segment.ends.close()
            if gone:  # a thread that still runs may write there
                held.segment.ends.release()
        self._held.clear()

    def _over(self, number: int, held: Held) -> None:
        held.segment.ends.close()
        match held.segment.failure:
            case None:
                self.bridge.leave(number, held.epoch, outcome_of(held.segment))
            case StageFailed() as failed:
                self.bridge.fail(failed.failure.error, failed.failure.cause, failed.stage)
            case StreamFailed(error=error, cause=cause):
                self.bridge.fail(error, cause, "")
            case StreamFenced():
                return
            case StreamCancelled() if held.stop.reason == LET_GO:
                return
            case StreamError() as broken:
                self.bridge.fail(type(broken).__name__, str(broken), "")


def outcome_of(segment: Segment) -> dict[str, Any]:
    """What a segment that is done leaves behind: its stages' results, and its figures.

    `edges` has those of the edge that it reads (None: nothing came in), of the pipes between its
    stages, and of what it writes, in this order.
    """
    reader, writer = segment.ends.reader, segment.ends.writer
    edges = [
        None if reader is None else figures_of(reader.figures) | _carried(reader),
        *(figures_of(inner) for inner in segment.inner),
        figures_of(writer.figures) | _carried(writer),
    ]
    total = writer.total() if isinstance(writer, Tally) else None
    return {"results": segment.results, "edges": edges, "total": total}


def _carried(end: Reader | Writer) -> dict[str, int]:
    """What an edge over Redis has carried; the end itself knows its own part of that only."""
    match end:
        case Tally():
            chunks, size = end.counted()
        case StreamReader(position=at) | StreamWriter(position=at):
            chunks, size = at.chunks, at.size
        case _:
            return {}
    return {"chunks": chunks, "bytes": size}


def figures_of(figures: EdgeFigures) -> dict[str, Any]:
    """Figures as they are kept."""
    first_byte_s = figures.first_byte_s
    return {
        "chunks": figures.chunks,
        "bytes": figures.bytes,
        "first_byte_s": None if first_byte_s is None else round(first_byte_s, 4),
        "blocked_s": round(figures.blocked_s, 4),
        "memory": figures.memory,
    }
