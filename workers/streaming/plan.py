"""The plan of a stream's run: which process runs which stages, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any

HEAVY = 8
"""An edge that carries so many times what the lightest one does stays within one process: handing
a block over by reference costs nothing, over Redis or shared memory about what making it did."""

VIA_MEMORY, VIA_REDIS = "memory", "redis"
"""How chunks go from one process to another."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A process that may take part: its worker, its process id, the stages whose tasks it has.

    `ticket`: its number among the helpers, from 1; 0 is the lead. `memory` names the shared memory
    that it sees.
    """

    node: str
    pid: int
    able: frozenset[int]
    ticket: int = 0
    memory: str = ""

    def to_json(self) -> dict[str, Any]:
        """What a helper says of itself."""
        told = {"node": self.node, "pid": self.pid, "able": sorted(self.able)}
        return told | {"memory": self.memory}

    @classmethod
    def of(cls, ticket: int, told: dict[str, Any]) -> Offer:
        """What a helper has said."""
        able, memory = frozenset(told["able"]), str(told.get("memory", ""))
        return cls(str(told["node"]), int(told["pid"]), able, ticket, memory)


@dataclass(frozen=True, slots=True)
class Seat:
    """A part of the run that one process does: stages `first` up to `stop`, excluded.

    `lane` of `lanes`: an inner stage may have several seats, which take chunks by turn.
    `ticket`, `node`, `pid`: whose it is at first.
    """

    first: int
    stop: int
    ticket: int
    lane: int = 0
    lanes: int = 1
    node: str = ""
    pid: int = 0

    @property
    def stages(self) -> range:
        """The positions of its stages."""
        return range(self.first, self.stop)


@dataclass(frozen=True, slots=True)
class Plan:
    """Seats in the order of the stages; `why` says in a sentence how it came about.

    `from_caller`, `to_caller`: whether the execution's caller is at the outer ends. `memory`: the
    shared memory that chunks go through between seats; "": they go through Redis.
    """

    seats: tuple[Seat, ...]
    why: str
    from_caller: bool = False
    to_caller: bool = False
    memory: str = ""

    def to_json(self) -> dict[str, Any]:
        """As it is published."""
        return {
            "seats": [astuple(seat) for seat in self.seats],
            "why": self.why,
            "ends": [self.from_caller, self.to_caller],
            "memory": self.memory,
        }

    @classmethod
    def of(cls, published: dict[str, Any]) -> Plan:
        """As it was published."""
        seats = tuple(Seat(*row) for row in published["seats"])
        memory = str(published.get("memory", ""))
        from_caller, to_caller = published["ends"]
        return cls(seats, str(published["why"]), from_caller, to_caller, memory)

    @property
    def via(self) -> str | None:
        """How chunks go from seat to seat; None: there is one."""
        if len(self.seats) == 1:
            return None
        return VIA_MEMORY if self.memory else VIA_REDIS

    def before(self, seat: Seat) -> tuple[int, ...]:
        """The seats that write what a seat reads, in the order of their lanes."""
        return tuple(n for n, other in enumerate(self.seats) if other.stop == seat.first)

    def after(self, seat: Seat) -> tuple[int, ...]:
        """The seats that read what a seat writes."""
        return tuple(n for n, other in enumerate(self.seats) if other.first == seat.stop)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the planner knows of a stream: `lanes` wanted by each stage, whether to `fuse` (None:
    as it pays), and the bytes that each edge between two stages carried last time, () if unknown.
    """

    lanes: tuple[int, ...]
    fuse: bool | None
    carried: tuple[int, ...] = ()

    @property
    def most_seats(self) -> int:
        """The most processes that it can use."""
        if self.fuse:
            return 1
        # At the outer ends there is one object, or one caller: who takes part there is one process.
        return len(self.cuts()) + 1 + sum(lanes - 1 for lanes in self.lanes[1:-1])

    def cuts(self) -> list[int]:
        """Where it may be cut: before these stages, the best place first."""
        middle = len(self.lanes) / 2
        places = list(range(1, len(self.lanes)))
        if self.fuse is None and places and len(self.carried) == len(places):
            most = HEAVY * max(1, min(self.carried))
            places = [place for place in places if self.carried[place - 1] <= most] or places
        return sorted(places, key=lambda place: (abs(place - middle), place))


def make_plan(wanted: Wanted, offers: Sequence[Offer]) -> Plan | None:
    """Divides the stages among the lead (the first of `offers`) and the helpers that came.

    None: for some stage nobody who came has the task.
    """
    everything = frozenset(range(len(wanted.lanes)))
    if not all(everything <= offer.able for offer in offers):
        return _by_ability(wanted, offers)
    if wanted.fuse:
        return _fused(wanted, offers[0], "the flow says fuse: true")
    if len(offers) == 1:
        few = "it has one stage" if wanted.most_seats == 1 else "no other slot was free"
        return _fused(wanted, offers[0], few)
    return _spread(wanted, offers)


def _fused(wanted: Wanted, lead: Offer, why: str) -> Plan:
    seat = Seat(0, len(wanted.lanes), 0)
    return Plan((_owned(seat, lead),), f"in one process: {why}")


def _owned(seat: Seat, offer: Offer) -> Seat:
    return replace(seat, ticket=offer.ticket, node=offer.node, pid=offer.pid)


def _spread(wanted: Wanted, offers: Sequence[Offer]) -> Plan:
    """Cuts where it pays, a part for each who came; who is left over takes lanes."""
    places = wanted.cuts()
    chosen = sorted(places[: len(offers) - 1])
    bounds = [0, *chosen, len(wanted.lanes)]
    parts = list(zip(bounds, bounds[1:], strict=False))
    left = len(offers) - len(parts)
    seats: list[Seat] = []
    for first, stop in parts:
        lanes = 1
        inner = 0 < first and stop < len(wanted.lanes)
        if inner and stop - first == 1 and seats[-1].lanes == 1:  # lanes meet at one reader
            lanes = min(wanted.lanes[first], 1 + left)
            left -= lanes - 1
        seats += [Seat(first, stop, 0, lane, lanes) for lane in range(lanes)]
    owned = tuple(_owned(seat, offer) for seat, offer in zip(seats, offers, strict=False))
    kept = len(places) < len(wanted.lanes) - 1
    why = "edges of many bytes are kept within one" if kept else "as many as came"
    return Plan(owned, f"{_where(owned)}: {why}")


def _where(seats: Sequence[Seat]) -> str:
    """How many processes they are; a pool of threads has several slots in one."""
    processes = len({(seat.node, seat.pid) for seat in seats})
    slots = len({seat.ticket for seat in seats})
    shared = f" ({slots} slots)" if slots > processes else ""
    return f"in {f'{processes} processes' if processes > 1 else 'one process'}{shared}"


def _by_ability(wanted: Wanted, offers: Sequence[Offer]) -> Plan | None:
    """Each in turn takes all stages it has the tasks of; once more, where nobody else can."""
    seats: list[Seat] = []
    left, first = list(offers), 0
    while first < len(wanted.lanes):
        able = next((offer for offer in (*left, *offers) if first in offer.able), None)
        if able is None:
            return None
        stop = first
        while stop < len(wanted.lanes) and stop in able.able:
            stop += 1
        seats.append(_owned(Seat(first, stop, 0), able))
        left = [offer for offer in left if offer is not able]
        first = stop
    return Plan(tuple(seats), f"{_where(seats)}: by the tasks that workers have")
