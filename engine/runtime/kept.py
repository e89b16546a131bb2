"""Kept: what the end of an execution has left of a fork, for a redrive to go on from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from engine.core.frame import (
    Frame,
    OpenStep,
    child_turn,
    index_of,
    join_id,
    parent_id,
    visit_key,
)
from engine.core.graph import Node
from engine.runtime.claims import Batch
from engine.runtime.payloads import dumps
from engine.runtime.pointer import Pointer
from engine.runtime.runtime import Runtime

RANGES = 100
"""Ranges of items that a script reads at once."""

FRAMES = 500
"""Frames that are read by one command."""


def kept_items(runtime: Runtime, batch: Batch) -> dict[int, Frame]:
    """The items of a batch that were begun before the redrive, and where each was left."""
    indices = range(batch.first, batch.stop)
    names = [f"{batch.pointer.frame}.{index}" for index in indices]
    frames = runtime.store.frames(batch.pointer.execution_id, names)
    turn = child_turn(batch.parent)
    found = zip(indices, frames, strict=True)
    return {index: frame for index, frame in found if frame is not None and frame.turn == turn}


def mark_of(node: Node, items: Sequence[Any]) -> str:
    """Tells a fork and its items from any others."""
    return hashlib.sha256(dumps([node.path, *items]).encode()).hexdigest()[:32]


def reopened(
    runtime: Runtime, pointer: Pointer, parent: Frame, node: Node, items: Sequence[Any]
) -> tuple[Frame, dict[str, Any]]:
    """A frame at a fork that is redriven, and what the fork still has to do; {}: all of it.

    What is left belongs to the items that there were. With others in their places (a newer
    definition, another local) it is another visit, which shares nothing with the one before.
    Idempotent. Cost: O(kept frames), paged.
    """
    identity, join = pointer.execution_id, join_id(parent.id, node.step.name)
    j = runtime.store.join(identity, join)
    if j is None or j["visit"] != visit_key(parent):
        return parent, {}
    total = int(j["total"])
    mark = mark_of(node, items[:total])
    # An older worker's fork has no mark: its items are taken for the same if they can be.
    if j.get("of", mark) != mark or len(items) < total:
        return _anew(parent), {}
    redo = _given_back(runtime, identity, join, j)
    redo |= _left_open(runtime, identity, join, child_turn(parent))
    first, *more = _pages(_ranges(redo)) or ["[]"]
    for n, page in enumerate(more, 1):
        # Under the claim's own name: who has lost it meanwhile must not change what others do.
        field = f"{join}:returned.{pointer.fence}.{n}"
        at = {"frame": parent.id, "fence": pointer.fence, "field": field}
        runtime.store.verb("keep_page", identity, ranges=page, **at)
    told = {"returned": len(redo), "ranges": first, "pages": len(more), "tag": pointer.fence}
    return parent, {"again": {"cursor": int(j["cursor"]), **told}}


def going_on(runtime: Runtime, execution_id: str, at: OpenStep | None = None) -> dict[str, Frame]:
    """The kept frames that a redrive goes on with, by id: others are of forks that are over.

    `at`: the fork that the root frame is led to, which is then none of them; None: where it stands.
    Cost: O(kept frames).
    """
    key = runtime.store.keys.frames(execution_id)
    texts = runtime.store.redis.hscan_iter(key, count=FRAMES)
    frames = {
        str(name): runtime.store.unpack_frame(execution_id, str(text)) for name, text in texts
    }
    if at is not None and "" in frames:
        frames[""] = replace(frames[""], step=at)
    found: dict[str, Frame] = {}
    for name in sorted(frames, key=lambda name: (name != "", name.count("/"))):
        frame = frames[name]
        if not name or _is_child(frame, found.get(parent_id(name))):
            found[name] = frame
    if at is not None:
        found.pop("", None)
    return found


def has_failed_items(runtime: Runtime, execution_id: str, join: str) -> int | None:
    """The visit of a kept fork that has items to be run again; None: it has none."""
    j = runtime.store.join(execution_id, join)
    if j is None:
        return None
    frame_id, _, turn = str(j["visit"]).partition("#")
    open_items = j["failed"] or j["returned"] or j["cursor"] < j["total"]
    turn += "."
    if not open_items and not _left_open(runtime, execution_id, join, turn):
        return None
    return None if frame_id else int(turn.rstrip("."))


def _anew(frame: Frame) -> Frame:
    """The frame at a further visit of the step that it stands at."""
    assert frame.step is not None
    visit = frame.visits + 1
    return replace(frame, visits=visit, step=replace(frame.step, visit=visit))


def _is_child(frame: Frame, parent: Frame | None) -> bool:
    """True for a child of the visit of the fork that its parent stands at."""
    if parent is None or parent.step is None or frame.turn != child_turn(parent):
        return False
    name = parent.step.path.rpartition("/")[2]
    return frame.id.rpartition(".")[0] == join_id(parent.id, name)


def _given_back(runtime: Runtime, execution_id: str, join: str, j: dict[str, Any]) -> set[int]:
    """Items that no batch has come to."""
    fields = [f"{join}:returned"]
    fields += [
        f"{join}:returned.{j.get('tag')}.{n}" for n in range(1, int(j.get("pages") or 0) + 1)
    ]
    texts: Any = runtime.store.redis.hmget(runtime.store.keys.joins(execution_id), fields)
    ranges = [pair for text in texts if text for pair in json.loads(text)]
    return {index for first, stop in ranges for index in range(int(first), int(stop))}


def _left_open(runtime: Runtime, execution_id: str, join: str, turn: str) -> set[int]:
    """Items whose frames are kept: they failed, or were cut off."""
    key = runtime.store.keys.frames(execution_id)
    found = runtime.store.redis.hscan_iter(key, match=f"{join}.*", count=FRAMES)
    below = ((str(name), str(doc)) for name, doc in found)
    mine = ((name, doc) for name, doc in below if "/" not in name[len(join) :])
    return {index_of(name) for name, doc in mine if json.loads(doc).get("t") == turn}


def _ranges(indices: Iterable[int]) -> list[list[int]]:
    ranges: list[list[int]] = []
    for index in sorted(indices):
        if ranges and ranges[-1][1] == index:
            ranges[-1][1] += 1
        else:
            ranges.append([index, index + 1])
    return ranges


def _pages(ranges: list[list[int]]) -> list[str]:
    """In the order in which they are taken: the script takes from the end of each."""
    parts = [ranges[at : at + RANGES] for at in range(0, len(ranges), RANGES)]
    return [json.dumps(part[::-1]) for part in parts]
