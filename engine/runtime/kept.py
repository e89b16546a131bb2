"""Kept: what the end of an execution has left of a fork, for a redrive to go on from."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from engine.core.frame import Frame, child_turn, index_of, visit_key
from engine.runtime.claims import Batch
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


def again(runtime: Runtime, execution_id: str, parent: Frame, join: str) -> dict[str, Any]:
    """What a fork that is redriven still has to do, as the script takes it; {}: all of it.

    Idempotent. Cost: O(kept frames), paged.
    """
    j = runtime.store.join(execution_id, join)
    if j is None or j["visit"] != visit_key(parent):
        return {}
    redo = _given_back(runtime, execution_id, join, j)
    redo |= _left_open(runtime, execution_id, join, child_turn(parent))
    pages = _pages(_ranges(redo))
    tag = runtime.store.record(execution_id).get("redrives", "0")
    first, *more = pages or ["[]"]
    if more:
        fields = {f"{join}:returned.{tag}.{n}": page for n, page in enumerate(more, 1)}
        runtime.store.redis.hset(runtime.store.keys.joins(execution_id), mapping=fields)
    told = {"returned": len(redo), "ranges": first, "pages": len(more), "tag": tag}
    return {"again": {"cursor": int(j["cursor"]), **told}}


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
