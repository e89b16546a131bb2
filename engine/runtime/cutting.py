"""Cutting off: frames that will not go on leave their last events and are forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engine.core import scheduler
from engine.core.events import NewEvent
from engine.core.frame import Frame, parent_id
from engine.core.graph import Graph
from engine.fdl.mappings import resolve_reference
from engine.fdl.model import ForeachStep
from engine.runtime.pointer import Pointer
from engine.runtime.runtime import Runtime

CUTS = 50
"""Frames cut off by one script call."""


def cut_below(runtime: Runtime, pointer: Pointer, graph: Graph, join: str) -> list[str]:
    """Cuts off everything below a join; answers the child executions that they waited for.

    Idempotent; each page Atomic. Cost: O(open frames), which the window bounds.
    """
    redis, keys, identity = runtime.store.redis, runtime.store.keys, pointer.execution_id
    nested = [str(f) for f, _ in redis.hscan_iter(keys.joins(identity), match=f"{join}.*")]
    if nested:
        redis.hdel(keys.joins(identity), *nested)
    below = [key for key in open_keys(runtime, identity) if is_below(key, join)]
    return cut(runtime, pointer, graph, below)


def is_below(key: str, join: str) -> bool:
    """True for the frames and batches of a join, and what is under them."""
    return key.startswith((f"{join}.", f"{join}*"))


def open_keys(runtime: Runtime, execution_id: str) -> list[str]:
    """Frames and batches that are open. Cost: O(open frames)."""
    states = runtime.store.keys.states(execution_id)
    return [str(key) for key, _ in runtime.store.redis.hscan_iter(states, count=500)]


def cut(runtime: Runtime, pointer: Pointer, graph: Graph, keys: list[str]) -> list[str]:
    """Cuts off frames and batches, the deepest first; answers the children they waited for."""
    children: list[str] = []
    cuts: list[dict[str, Any]] = []
    for key in sorted(keys, key=lambda name: (-name.count("/") - ("*" in name), name)):
        state = runtime.store.state(pointer.execution_id, key)
        if state is None:
            continue
        if state.get("on"):
            children.append(str(state["on"]))
        frame = _frame(runtime, pointer, graph, key, state)
        events = scheduler.abort(graph, frame) if frame is not None else ()
        frame_id = frame.id if frame is not None else key
        cuts.append({"frame": key, "events": _rows(runtime, pointer, frame_id, events)})
    for page in _pages(cuts):
        runtime.store.verb("abort", pointer.execution_id, cuts=page)
    return children


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


def _pages(cuts: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    for first in range(0, len(cuts), CUTS):
        yield cuts[first : first + CUTS]
