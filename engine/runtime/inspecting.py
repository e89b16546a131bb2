"""Inspecting: what an execution is at, without reading all of its history.

Each event names the one before it in its frame, and the end of a fork names its beginning: from
the last event of a frame its own come one after the other, however much has happened below.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.core.events import EventType
from engine.core.frame import join_id
from engine.core.graph import Graph
from engine.core.places import Places
from engine.core.states import ExecutionStatus
from engine.errors import ExecutionNotExists
from engine.fdl.model import ParallelStep
from engine.runtime.archiving import PAGE, archived_page, event_id_of
from engine.runtime.health import redis_errors
from engine.runtime.pointer import execution_id
from engine.runtime.runtime import Runtime

LOOK = 64
"""Events that are read at once on the way back through a history."""

MOST_EVENTS = 2000
"""The most events of one frame that are looked at: the last ones."""

MOST_KEPT = 20 * PAGE
"""The most events that are remembered for the next look."""

MOST_SEARCHED = 2000
"""The most events among which the ends of a parallel's branches are searched."""

_FIELDS = (
    "status events definition started_ms stopped_ms error cause archived flow_version redrives"
).split()


@dataclass(frozen=True, slots=True)
class Fact:
    """An event whose detail is left as it is stored: large values in it are references."""

    event_id: int
    type: EventType
    step_name: str
    frame: str
    time: float
    cause: int
    text: str

    @property
    def detail(self) -> dict[str, Any]:
        """The detail, references unresolved."""
        detail: dict[str, Any] = json.loads(self.text)
        return detail


@dataclass(frozen=True, slots=True)
class Summary:
    """An execution without its payloads. `last_event`: the id of its last event."""

    flow_name: str
    name: str
    status: ExecutionStatus
    last_event: int
    definition_id: str
    started_time: float
    stopped_time: float | None
    error: str | None
    cause: str | None
    archived: int
    redrives: int


@dataclass(frozen=True, slots=True)
class Outline:
    """The events of a frame and of its parallel branches, by id.

    Not those of iterations. `whole` is False when there were more than were looked at.
    `open_frames`: where those of these frames stand that have not ended, as the store says it.
    """

    facts: tuple[Fact, ...]
    whole: bool
    open_frames: dict[str, dict[str, Any]]


@redis_errors()
def summary(runtime: Runtime, flow: str, name: str) -> Summary:
    """An execution in short. Cost: O(1). Raises ExecutionNotExists."""
    key = runtime.store.keys.record(execution_id(flow, name))
    values: Any = runtime.store.redis.hmget(key, _FIELDS)
    record = dict(zip(_FIELDS, values, strict=True))
    if record["status"] is None:
        raise ExecutionNotExists(f"flow {flow!r} has no execution {name!r}")
    stopped = record["stopped_ms"]
    return Summary(
        flow_name=flow,
        name=name,
        status=ExecutionStatus(record["status"]),
        last_event=int(record["events"] or 0),
        definition_id=record["definition"],
        started_time=int(record["started_ms"]) / 1000,
        stopped_time=int(stopped) / 1000 if stopped else None,
        error=record["error"],
        cause=record["cause"],
        archived=int(record["archived"] or 0),
        redrives=int(record["redrives"] or 0),
    )


@dataclass(slots=True)
class Inspector:
    """Reads one execution again and again; what it has read of the history it keeps."""

    runtime: Runtime
    flow: str
    name: str
    _facts: dict[int, Fact] = field(default_factory=dict)
    _archived: int = 0

    @property
    def identity(self) -> str:
        """The execution's id."""
        return execution_id(self.flow, self.name)

    def summary(self) -> Summary:
        """The execution in short. Cost: O(1). Raises ExecutionNotExists."""
        now = summary(self.runtime, self.flow, self.name)
        self._archived = max(self._archived, now.archived)
        return now

    @redis_errors()
    def outline(self, graph: Graph, now: Summary, frame: str = "", head: int = 0) -> Outline:
        """What has happened in a frame. Cost: O(events of the frame that are new), bounded.

        `head`: an event of the frame, its last one if it has ended; 0: the last one of an open
        frame, or of the execution.
        """
        states = self._states([frame])
        start = int(states[frame]["last"]) if frame in states else head or now.last_event
        chain = self._chain(frame, start)
        facts = {fact.event_id: fact for fact in chain}
        whole = bool(chain) and chain[-1].type in _BEGINNINGS
        for branch, last in self._branches(graph, frame, chain, now, states):
            inner = self.outline(graph, now, branch, last)
            facts |= {fact.event_id: fact for fact in inner.facts}
            whole = whole and inner.whole
            states |= inner.open_frames
        return Outline(tuple(facts[key] for key in sorted(facts)), whole, states)

    def facts(self, first: int, last: int) -> list[Fact]:
        """The events with ids from `first` to `last`; fewer if some are gone."""
        self._make_room()
        wanted = range(max(first, 1), last + 1)
        missing = [number for number in wanted if number not in self._facts]
        if missing:
            self._read(missing[0], missing[-1])
        return [self._facts[number] for number in wanted if number in self._facts]

    @redis_errors()
    def join(self, join: str) -> dict[str, Any] | None:
        """The counters of a fork that is open or has failed, or is the flow's own. Cost: O(1)."""
        found = self.runtime.store.join(self.identity, join)
        if found is not None:
            return found
        key = self.runtime.store.keys.record(self.identity)
        text: Any = self.runtime.store.redis.hget(key, f"map:{join}")
        return json.loads(text) if text else None

    @redis_errors()
    def open_at(self, frame: str) -> int | None:
        """The last event of a frame that stands somewhere; None: it does not. Cost: O(1)."""
        state = self._states([frame]).get(frame)
        return int(state["last"]) if state is not None else None

    @redis_errors()
    def kept_frames(self, prefix: str) -> list[str]:
        """Frames under a prefix that are open, or that a redrive goes on with. Cost: O(those)."""
        names: Any = self.runtime.store.redis.hkeys(self.runtime.store.keys.frames(self.identity))
        return [str(name) for name in names if str(name).startswith(prefix)]

    def _states(self, frames: Sequence[str]) -> dict[str, dict[str, Any]]:
        key = self.runtime.store.keys.states(self.identity)
        texts: Any = self.runtime.store.redis.hmget(key, list(frames))
        found = zip(frames, texts, strict=True)
        return {frame: json.loads(text) for frame, text in found if text}

    def _chain(self, frame: str, start: int) -> list[Fact]:
        """The events of a frame from `start` back to its first one."""
        chain: list[Fact] = []
        at = start
        while at > 0 and len(chain) < MOST_EVENTS:
            if at not in self._facts:
                self._make_room()
                self._read(max(1, at - LOOK + 1), at)
            fact = self._facts.get(at)
            if fact is None or fact.frame != frame:
                break
            chain.append(fact)
            at = min(fact.cause, at - 1)
        return chain

    def _branches(
        self,
        graph: Graph,
        frame: str,
        chain: list[Fact],
        now: Summary,
        states: dict[str, dict[str, Any]],
    ) -> Iterator[tuple[str, int]]:
        """The branches of the parallels of a frame, and the last event of each."""
        places = Places(graph)
        after = now.last_event
        for fact in chain:
            if fact.type is EventType.STEP_ENTERED:
                path = places.path_of(frame, fact.step_name)
                step = graph.nodes[path].step if path is not None else None
                if isinstance(step, ParallelStep):
                    join = join_id(frame, fact.step_name)
                    names = [f"{join}.{number}" for number in range(len(step.branches))]
                    yield from self._ends(names, fact.event_id, after, states).items()
            after = fact.event_id

    def _ends(
        self, frames: list[str], first: int, last: int, states: dict[str, dict[str, Any]]
    ) -> dict[str, int]:
        """The last events of frames, which lie between two events."""
        found = self._states(frames) if last >= first else {}
        states |= found
        ends = {name: int(state["last"]) for name, state in found.items() if state["last"] > first}
        left = set(frames) - set(ends)
        for at, to in _windows(first + 1, last):
            if not left:
                break
            for fact in reversed(self.facts(at, to)):
                if fact.frame in left:
                    left.discard(fact.frame)
                    ends[fact.frame] = fact.event_id
        return ends

    def _read(self, first: int, last: int) -> None:
        store = self.runtime.store
        while first <= self._archived and first <= last:
            page = archived_page(self.runtime, self.identity, (first - 1) // PAGE)
            self._keep(page)
            first = ((first - 1) // PAGE + 1) * PAGE + 1
        if first <= last:
            key = store.keys.history(self.identity)
            rows: Any = store.redis.xrange(key, f"{first}-0", f"{last}-0")
            self._keep(rows)

    def _make_room(self) -> None:
        """Forgets what has been read, if that is much; not between a read and its use."""
        if len(self._facts) > MOST_KEPT:
            self._facts.clear()

    def _keep(self, rows: list[tuple[str, dict[str, str]]]) -> None:
        for entry, fields in rows:
            fact = _fact_of(entry, fields)
            self._facts[fact.event_id] = fact


_BEGINNINGS = (
    EventType.EXECUTION_STARTED,
    EventType.BRANCH_ENTERED,
    EventType.ITERATION_ENTERED,
)


def _fact_of(entry: str, fields: dict[str, str]) -> Fact:
    return Fact(
        event_id=event_id_of(entry),
        type=EventType(fields["y"]),
        step_name=fields["s"],
        frame=fields["f"],
        time=int(fields["t"]) / 1000,
        cause=int(float(fields["c"])),
        text=fields["d"],
    )


def _windows(first: int, last: int) -> Iterator[tuple[int, int]]:
    """Parts of a range of events, its end first, then its beginning, and no more than allowed."""
    half = MOST_SEARCHED // 2
    low = max(first, last - half + 1)
    for to in range(last, low - 1, -PAGE):
        yield max(low, to - PAGE + 1), to
    if first < low:
        yield first, min(low - 1, first + half)
