"""Items: those of a foreach, a page at a time, found in a history of any length.

Items are begun in their order, as far as they do not run at the same time: about where one of them
is in the history is found by halving, and what is around that place is read, as far as it takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from math import inf
from statistics import median
from typing import Any

from engine.api.console.snapshot import View
from engine.api.console.visits import Visit
from engine.core.events import EventType
from engine.core.frame import join_id
from engine.core.graph import Graph
from engine.errors import InvalidArgument
from engine.runtime.inspecting import Fact, Inspector

MOST_ITEMS = 100
"""The most items of a page."""

MOST_READ = 16_000
"""The most events that a page is put together from; a shorter history is read as a whole."""

READ_AT_ONCE = 1000

PROBE = 48
"""Events that are read at once to see which items are there."""

CAUSE_LETTERS = 300


@dataclass(slots=True)
class Item:
    """An item. `state`: as of a visit, or pending, or earlier: it is not in what was read."""

    index: int
    frame: str
    state: str = "earlier"
    began: float | None = None
    ended: float | None = None
    step: str = ""
    error: str = ""
    cause: str = ""
    last_event: int = 0


@dataclass(frozen=True, slots=True)
class Loop:
    """A visit of a foreach: its items' events are those from `first` to `last`."""

    join: str
    first: int
    last: int
    open: bool

    def index_of(self, frame: str) -> int | None:
        """The item that a frame is of, or is below of; None: of none."""
        if not frame.startswith(f"{self.join}."):
            return None
        text = frame[len(self.join) + 1 :].partition("/")[0]
        return int(text) if text.isdecimal() else None


def loop_of(view: View, path: str, event: int = 0) -> Loop:
    """A visit of the foreach at `path`, by the id of its StepEntered; 0: the last one.

    Raises:
        InvalidArgument: there is no such visit.
    """
    now, visits = view.visits()
    found = [each for each in visits if each.path == path and event in (0, each.entered_event)]
    if not found:
        raise InvalidArgument(f"{path} has not been entered by then")
    return _loop(found[-1], now.last_event)


def page(inspector: Inspector, loop: Loop, first: int, limit: int, total: int) -> dict[str, Any]:
    """The items from number `first` on. Cost: O(MOST_READ) at most."""
    indices = range(first, min(first + min(limit, MOST_ITEMS), total))
    items = {index: Item(index, f"{loop.join}.{index}") for index in indices}
    _fill(inspector, loop, items)
    cursor = _begun(inspector, loop)
    for item in items.values():
        if item.state == "earlier" and item.index >= cursor:
            item.state = "pending"
    more = first + len(items) < total
    return {
        "total": total,
        "items": [asdict(item) for item in items.values()],
        "next": first + len(items) if more else None,
    }


def _begun(inspector: Inspector, loop: Loop) -> float:
    """The items from this number on are pending, if nothing is found of them."""
    join = inspector.join(loop.join) if loop.open else None
    if join is None:
        return inf
    # Batches are taken as a whole. After a redrive what is not found may be kept from before it.
    whole = loop.last - loop.first < MOST_READ and not inspector.summary().redrives
    return 0 if whole else int(join["cursor"])


def failed_page(inspector: Inspector, loop: Loop, first: int, limit: int) -> dict[str, Any]:
    """The items that have failed or are open; `first`: 0, or the `next` of the page before.

    `total` is None where it is not known. Cost: O(MOST_READ) at most, and O(kept frames).
    """
    kept = inspector.kept_frames(f"{loop.join}.")
    found = sorted({index for name in kept if (index := loop.index_of(name)) is not None})
    if not found and not loop.open:
        return _failed_before(inspector, loop, first, limit)
    shown = [index for index in found if index >= first][: min(limit, MOST_ITEMS // 4)]
    items = [Item(index, f"{loop.join}.{index}") for index in shown]
    for item in items:
        _look_near(inspector, loop, item)
    more = bool(shown) and shown[-1] < found[-1]
    return {
        "total": len(found),
        "items": [asdict(item) for item in items],
        "next": shown[-1] + 1 if more else None,
    }


def _failed_before(inspector: Inspector, loop: Loop, first: int, limit: int) -> dict[str, Any]:
    """The items whose failures were tolerated, by the history alone: it is searched in parts."""
    items: dict[str, Item] = {}
    failed: list[Item] = []
    at = max(first, loop.first + 1)
    end = min(at + MOST_READ - 1, loop.last)
    while at <= end and len(failed) < limit:
        for fact in inspector.facts(at, min(at + READ_AT_ONCE - 1, end)):
            index = loop.index_of(fact.frame)
            if index is not None and fact.frame == f"{loop.join}.{index}":
                item = items.setdefault(fact.frame, Item(index, fact.frame))
                _tell(item, fact)
                if item.state == "failed" and fact.type is EventType.ITERATION_EXITED:
                    failed.append(item)
        at += READ_AT_ONCE
    return {
        "total": None,
        "items": [asdict(item) for item in failed],
        "next": at if at <= loop.last else None,
    }


def _look_near(inspector: Inspector, loop: Loop, item: Item) -> None:
    """Writes into an item what the history tells around its last event, or else around it."""
    last = inspector.open_at(item.frame)
    if last is not None:
        for fact in inspector.facts(max(last - PROBE, loop.first), last + PROBE):
            if fact.frame == item.frame:
                _tell(item, fact)
    if item.state == "earlier":
        _fill(inspector, loop, {item.index: item})


def last_event_of(inspector: Inspector, graph: Graph, frame: str) -> int:
    """The last event of a frame, wherever it hangs; 0 for the flow itself.

    Raises:
        InvalidArgument: the history, as far as it is searched, has no such frame.
    """
    if not frame:
        return 0
    if (open_at := inspector.open_at(frame)) is not None:
        return open_at
    parent, _, segment = frame.rpartition("/")
    step, _, index = segment.rpartition(".")
    head = last_event_of(inspector, graph, parent)
    now, visits = View(inspector, graph, parent, head).visits()
    for visit in reversed([each for each in visits if each.name == step and each.frame == parent]):
        item = Item(int(index) if index.isdecimal() else -1, frame)
        _fill(inspector, _loop(visit, now.last_event), {item.index: item})
        if item.last_event:
            return item.last_event
    raise InvalidArgument(f"no frame {frame!r} is found in the history")


def _loop(visit: Visit, last_event: int) -> Loop:
    last = visit.exited_event or last_event
    join = join_id(visit.frame, visit.name)
    return Loop(join, visit.entered_event, last, visit.ended is None)


def _fill(inspector: Inspector, loop: Loop, items: dict[int, Item]) -> None:
    """Writes into the items what the history around them tells."""
    frames = {item.frame: item for item in items.values()}
    found: list[Fact] = []
    for facts in _around(inspector, loop, sorted(items)):
        found += [fact for fact in facts if fact.frame in frames]
        begun = {fact.frame for fact in found if fact.type is EventType.ITERATION_ENTERED}
        ended = {fact.frame for fact in found if fact.type is EventType.ITERATION_EXITED}
        if begun & ended == set(frames):
            break
    for fact in sorted(found, key=lambda fact: fact.event_id):
        _tell(frames[fact.frame], fact)


def _around(inspector: Inspector, loop: Loop, indices: list[int]) -> Iterator[list[Fact]]:
    """The events of a loop, those first that are nearest to where the items must be."""
    if not indices:
        return
    first, last = loop.first + 1, loop.last
    whole = last - first < MOST_READ
    low = high = first if whole else _place(inspector, loop, indices[len(indices) // 2])
    left = MOST_READ
    while left > 0 and (low > first or high <= last):
        to = min(high + READ_AT_ONCE - 1, last)
        if to >= high:
            yield inspector.facts(high, to)
        start = max(low - READ_AT_ONCE, first)
        if start < low:
            yield inspector.facts(start, low - 1)
        left -= (to - high + 1) + (low - start)
        low, high = start, to + 1


def _place(inspector: Inspector, loop: Loop, index: int) -> int:
    """About where an item begins: most before it are begun before. Cost: O(log events)."""
    low, high = loop.first + 1, loop.last
    while high - low > PROBE:
        middle = (low + high) // 2
        seen = _indices(loop, inspector.facts(middle, min(middle + PROBE - 1, high)))
        if not seen or median(seen) >= index:
            high = middle
        else:
            low = middle
    return low


def _indices(loop: Loop, facts: Sequence[Fact]) -> list[int]:
    """The items whose beginnings are among the events, else all that are there."""
    begun = [f for f in facts if f.type is EventType.ITERATION_ENTERED]
    found = (loop.index_of(fact.frame) for fact in (begun or facts))
    return [index for index in found if index is not None]


def _tell(item: Item, fact: Fact) -> None:
    item.last_event = fact.event_id
    match fact.type:
        case EventType.ITERATION_ENTERED:
            item.state, item.began, item.ended = "running", fact.time, None
            item.error = item.cause = ""
        case EventType.STEP_ENTERED:
            item.step = fact.step_name
        case EventType.STEP_FAILED:
            detail = fact.detail
            item.error = str(detail.get("error") or "")
            item.cause = str(detail.get("cause") or "")[:CAUSE_LETTERS]
        case EventType.ITERATION_EXITED:
            item.ended = fact.time
            item.state = "failed" if item.error else "succeeded"
            if fact.detail.get("aborted"):
                item.state = "aborted"
        case _:
            pass
