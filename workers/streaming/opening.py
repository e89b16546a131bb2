"""Opening: what a seat reads and writes, over Redis or at the outer ends of its stream."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from engine.core.frame import visit_key
from engine.core.streaming import StreamCall
from engine.fdl.model import AttemptedStep
from engine.runtime.runner import Work
from engine.runtime.runtime import Runtime
from engine.runtime.streaming import FOR_EVER_S, source_spool
from streams.edge import Edge
from streams.ends import Reader, Writer
from streams.errors import StreamLost
from streams.lanes import LaneReader, LaneWriter
from streams.run import StreamBridge
from streams.spool import Spool
from streams.stop import Stop
from workers.streaming.objects import ObjectSink, ObjectSource
from workers.streaming.plan import Plan, Seat
from workers.streaming.segment import Ends
from workers.streaming.stage import Stage
from workers.streaming.tally import Tally

ELSEWHERE = "the chunks of this run are in the shared memory of another host; a retry begins anew"


@dataclass(frozen=True, slots=True)
class Taking:
    """A seat that is being taken: with which epoch, to run which stages."""

    seat: Seat
    epoch: int
    stages: Sequence[Stage]
    stop: Stop


class Opening:
    """Opens the ends of the seats of one run."""

    def __init__(
        self, runtime: Runtime, work: Work, bridge: StreamBridge, plan: Plan, memory: str
    ) -> None:
        assert work.call.stream is not None
        self._call: StreamCall = work.call.stream
        self._retried = _is_retried(work)
        self._bridge = bridge
        self._plan = plan
        self._memory = memory
        self._streams = runtime.streams
        self._fleet = runtime.fleet
        self._identity = work.pointer.execution_id
        self._source_spool = source_spool(visit_key(work.frame))
        self._caller = runtime.streams.caller(self._identity)
        self._held = ExitStack()

    @property
    def window_bytes(self) -> int:
        """How many bytes may be under way between two stages."""
        return self._call.window_bytes

    def ends(self, taking: Taking) -> Ends:
        """What a seat reads and writes.

        Raises:
            TaskError: an object of its outer ends cannot be used.
            StreamLost: chunks are in the shared memory of another host.
        """
        if self._plan.memory and self._plan.memory != self._memory:
            raise StreamLost(ELSEWHERE)
        edge = self._only_edge(taking.seat)
        late = edge is not None and self._resumes(taking)
        self._held = ExitStack()
        # First of all the reader: from then on nobody else commits.
        reader = self._reader(taking, keeps=not late)
        resume_seq = (edge.progress().out_seq or 0) if edge is not None and late else None
        return Ends(
            reader=reader,
            writer=self._writer(taking, resume_seq),
            late=late,
            marks=taking.seat.lanes > 1,
            held=self._held,
        )

    def _resumes(self, taking: Taking) -> bool:
        """True if a successor of this seat can go on in the middle of it."""
        seat, stage = taking.seat, taking.stages[0]
        if seat.first == 0 and self._retried:  # another run needs what the caller has sent
            return False
        alone = len(taking.stages) == 1 and stage.stateless
        one_thread = stage.call.concurrency == 1 or seat.lanes > 1
        one_way_out = len(self._plan.after(seat)) == 1 or seat.lanes > 1
        if seat.stop == len(self._call.stages):
            one_way_out = self._plan.to_caller
        return alone and one_thread and one_way_out

    def _only_edge(self, seat: Seat) -> Edge | None:
        """The edge that a seat reads, if it is one."""
        if seat.first == 0:
            return self._caller.source() if self._plan.from_caller else None
        edges = [*self._edges_into(seat).values()]
        return edges[0] if len(edges) == 1 else None

    def _reader(self, taking: Taking, keeps: bool) -> Reader | None:
        seat = taking.seat
        if seat.first == 0:
            return self._source(taking, keeps)
        readers = [
            edge.reader(
                taking.epoch,
                taking.stop,
                keep=self._spool(f"{self._bridge.run}-{name}") if keeps else None,
            )
            for name, edge in self._edges_into(seat).items()
        ]
        for reader in readers:
            self._held.callback(reader.close)
        return readers[0] if len(readers) == 1 else LaneReader(readers)

    def _source(self, taking: Taking, keeps: bool) -> Reader | None:
        if self._call.source is not None:
            agree = partial(self._bridge.agree, "version of the source")
            return ObjectSource(self._call.source, taking.stop, agree)
        if not self._plan.from_caller:
            return None
        spool = self._spool(self._source_spool) if keeps else None
        edge = self._caller.source(may_share=self._may_read_memory())
        reader = edge.reader(taking.epoch, taking.stop, keep=spool)
        self._held.callback(reader.close)
        return reader

    def _may_read_memory(self) -> bool:
        """True if whoever may go on with what a caller has sent will find it in this memory.

        A spool of its own stands for workers on other hosts, now or later.
        """
        here = self._streams.settings.stream_spool is None
        return here and self._fleet.memory() == self._memory

    def _writer(self, taking: Taking, resume_seq: int | None) -> Writer:
        seat = taking.seat
        if seat.stop == len(self._call.stages):
            return self._sink(taking, resume_seq)
        writers = [
            edge.writer(taking.epoch, taking.stop, resume_seq=resume_seq)
            for edge in self._edges_out_of(seat).values()
        ]
        for writer in writers:
            self._held.callback(writer.close)
        return writers[0] if len(writers) == 1 else LaneWriter(writers)

    def _sink(self, taking: Taking, resume_seq: int | None) -> Tally:
        whole = not resume_seq
        if self._call.sink is not None:
            sink = ObjectSink(self._call.sink, taking.stop, self._streams.spool_folder)
            return Tally(sink, whole)
        if not self._plan.to_caller:
            return Tally(None, whole)
        edge = self._caller.sink(self._bridge.run)
        writer = edge.writer(taking.epoch, taking.stop, resume_seq=resume_seq)
        self._held.callback(writer.close)
        return Tally(writer, whole)

    # the edges between seats: named by the stage that they lead to, one for each lane

    def _edges_into(self, seat: Seat) -> dict[str, Edge]:
        """The edges that a seat reads, by name."""
        if seat.lanes > 1:
            return self._edges(seat.first, [seat.lane])
        return self._edges(seat.first, range(len(self._plan.before(seat))))

    def _edges_out_of(self, seat: Seat) -> dict[str, Edge]:
        if seat.lanes > 1:
            return self._edges(seat.stop, [seat.lane])
        return self._edges(seat.stop, range(len(self._plan.after(seat))))

    def _edges(self, place: int, lanes: Iterable[int]) -> dict[str, Edge]:
        return {f"{place}.{lane}": self._edge(place, lane) for lane in lanes}

    def _edge(self, place: int, lane: int) -> Edge:
        # A stage may take its time: whether it lives, the lead watches.
        edge = self._bridge.edge(
            place,
            lane,
            window_bytes=self._call.window_bytes,
            idle_s=FOR_EVER_S,
            shared=bool(self._plan.memory),
        )
        edge.create()
        return edge

    def _spool(self, name: str) -> Spool:
        spool = self._streams.spool(self._identity, name)
        self._held.callback(spool.close)
        return spool


def _is_retried(work: Work) -> bool:
    """True if the step has another run when it fails."""
    assert work.frame.step is not None
    step = work.graph.node(work.frame.step.path).step
    return isinstance(step, AttemptedStep) and bool(step.retry)
