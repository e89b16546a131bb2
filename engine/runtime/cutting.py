"""Cutting off: frames that will not go on leave their last events; a redrive finds them again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeAlias, TypeVar

from engine.core import scheduler
from engine.core.events import NewEvent
from engine.core.frame import Frame, parent_id
from engine.core.graph import Graph
from engine.fdl.mappings import resolve_reference
from engine.fdl.model import ForeachStep
from engine.runtime.pointer import Pointer
from engine.runtime.runtime import Runtime

Item = TypeVar("Item")

CUTS = 50
"""Frames cut off by one script call."""

MAX_ROUNDS = 100
"""How often the frames that are to be cut off are looked through: some move meanwhile."""

StopChild: TypeAlias = Callable[[str, Pointer], None]
"""Stops a child execution, by its id, of the execution that a pointer is of."""


def cut_below(
    runtime: Runtime, pointer: Pointer, graph: Graph, join: str, stop_child: StopChild
) -> None:
    """Cuts off everything below a join, and the child executions that are waited for there.

    Idempotent; each page Atomic. Cost: O(open frames), which the window bounds.
    """
    redis, keys, identity = runtime.store.redis, runtime.store.keys, pointer.execution_id
    right = {"by": pointer.frame, "fence": pointer.fence}
    for _ in range(MAX_ROUNDS):
        nested = [str(f) for f, _ in redis.hscan_iter(keys.joins(identity), match=f"{join}.*")]
        for page in pages([name for name in nested if ":" not in name]):
            runtime.store.verb("abort", identity, joins=page, **right)
        below = [key for key in open_keys(runtime, identity) if is_below(key, join)]
        if not below or not cut(runtime, pointer, graph, below, stop_child, right):
            return


def is_below(key: str, join: str) -> bool:
    """True for the frames and batches of a join, and what is under them."""
    return key.startswith((f"{join}.", f"{join}*"))


def open_keys(runtime: Runtime, execution_id: str) -> list[str]:
    """Frames and batches that are open. Cost: O(open frames)."""
    states = runtime.store.keys.states(execution_id)
    return [str(key) for key, _ in runtime.store.redis.hscan_iter(states, count=500)]


def cut(
    runtime: Runtime,
    pointer: Pointer,
    graph: Graph,
    keys: list[str],
    stop_child: StopChild,
    right: dict[str, str],
) -> bool:
    """Cuts off frames and batches, the deepest first; one that moves meanwhile is left as it is.

    The children that they wait for are stopped before: afterwards nobody would know of them.
    `right`: who does it, as the script takes it; False: it is not his to do any more.
    """
    abort = partial(runtime.store.verb, "abort", pointer.execution_id, **right)
    cuts: list[dict[str, Any]] = []
    for key in sorted(keys, key=lambda name: (-name.count("/") - ("*" in name), name)):
        state = runtime.store.state(pointer.execution_id, key)
        if state is None:
            continue
        if state.get("on"):
            if not abort().applied:
                return False
            stop_child(str(state["on"]), pointer)
        frame = _frame(runtime, pointer, graph, key, state)
        begun = not _waits_to_go_on(runtime, pointer, state)
        events = _last_events(runtime, pointer, graph, frame) if begun else ()
        rows = _rows(runtime, pointer, frame.id if frame is not None else key, events)
        cuts.append({"frame": key, "seen": state.get("call", ""), "events": rows})
    return all(abort(cuts=page).applied for page in pages(cuts))


def item_frame(
    runtime: Runtime, pointer: Pointer, graph: Graph, join: str, index: int
) -> Frame | None:
    """The frame of an item that a batch is at; None: its fork is over."""
    parent = runtime.store.frame(pointer.execution_id, parent_id(f"{join}.0"))
    if parent is None or parent.step is None:
        return None
    child = scheduler.open_child(graph, parent, index, item_of(graph, parent, index))
    return scheduler.begin(graph, child, runtime.info(pointer, 0)).frame


def item_of(graph: Graph, parent: Frame, index: int) -> Any:
    """The element at `index` of the collection that a foreach goes over; None for a parallel."""
    assert parent.step is not None
    step = graph.node(parent.step.path).step
    if not isinstance(step, ForeachStep):
        return None
    return resolve_reference(step.collection, parent.step.input)[index]


def _last_events(
    runtime: Runtime, pointer: Pointer, graph: Graph, frame: Frame | None
) -> tuple[NewEvent, ...]:
    """What a frame that is cut off leaves; before its first step: nothing."""
    if frame is None or frame.step is None:
        return ()
    return scheduler.abort(graph, frame)


def _waits_to_go_on(runtime: Runtime, pointer: Pointer, state: dict[str, Any]) -> bool:
    """True for a frame that a redrive has not entered again yet: its last events are written."""
    wake = state.get("wake")
    news = runtime.store.packer.unpack_detail(pointer.execution_id, wake) if wake else {}
    return news.get("kind") == "redriven"


def _frame(
    runtime: Runtime, pointer: Pointer, graph: Graph, key: str, state: dict[str, Any]
) -> Frame | None:
    """The open frame of a key; for a batch: that of the item it is at, if that has begun."""
    if "*" not in key:
        return runtime.store.frame(pointer.execution_id, key)
    if not state.get("open"):
        return None
    return item_frame(runtime, pointer, graph, key.rpartition("*")[0], int(state["cur"]))


def _rows(
    runtime: Runtime, pointer: Pointer, frame_id: str, events: tuple[NewEvent, ...]
) -> list[list[Any]]:
    return runtime.store.events(pointer.execution_id, frame_id, events)


def pages(items: list[Item]) -> Iterator[list[Item]]:
    """The items, as many at a time as one script call takes."""
    for first in range(0, len(items), CUTS):
        yield items[first : first + CUTS]
