"""Edges: how far the bytes of a stream have come, while they flow and afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from engine.core.streaming import SINK, SOURCE
from engine.runtime.inspecting import Inspector
from engine.runtime.scripts import STORE_ERRORS
from streams.edge import Edge
from streams.errors import StreamError
from streams.run import StreamBridge

GLANCE_S = 1.0
"""How long a glance at an edge waits for a Redis that does not answer."""


def closed_edges(detail: dict[str, Any]) -> list[dict[str, Any]]:
    """The edges as a StreamClosed has them."""
    return [dict(edge) for edge in detail.get("edges") or ()]


def live_edges(
    inspector: Inspector, detail: dict[str, Any], stages: list[str]
) -> list[dict[str, Any]]:
    """What the edges of an open stream have carried; those inside of one process are not told of.

    `detail`: of its StreamOpened. Cost: O(edges).
    """
    names = [SOURCE, *stages, SINK]
    found: list[dict[str, Any]] = []
    for place, (before, after) in enumerate(pairwise(names)):
        figures = [_glance(edge) for edge in _edges_at(inspector, detail, stages, place)]
        known = [each for each in figures if each is not None]
        if known:
            chunks, size = (sum(each[n] for each in known) for n in (0, 1))
            found.append({"from": before, "to": after, "chunks": chunks, "bytes": size})
    return found


def _edges_at(
    inspector: Inspector, detail: dict[str, Any], stages: list[str], place: int
) -> Iterator[Edge]:
    """The edges into the stage at a place, one for each lane."""
    streams, identity = inspector.runtime.streams, inspector.identity
    run = str(detail.get("run") or "")
    if place == 0:
        yield streams.caller(identity).source()
    elif place == len(stages):
        yield streams.caller(identity).sink(run)
    elif lanes := _lanes(detail, stages, place):
        bridge = StreamBridge(streams.redis, streams.prefix(identity), run, patience_s=GLANCE_S)
        yield from (bridge.edge(place, lane, patience_s=GLANCE_S) for lane in range(lanes))


def _lanes(detail: dict[str, Any], stages: list[str], place: int) -> int:
    """How many edges over Redis lead into the stage at a place; 0: it is fused with the one before.

    A stage that runs in several processes at once has a segment of its own in each.
    """
    segments = [segment.get("stages") or [""] for segment in detail.get("segments") or ()]
    begins = sum(1 for segment in segments if segment[0] == stages[place])
    ends = sum(1 for segment in segments if segment[-1] == stages[place - 1])
    return max(begins, ends) if begins else 0


def _glance(edge: Edge) -> tuple[int, int] | None:
    try:
        figures = edge.figures()
    except (StreamError, *STORE_ERRORS):
        return None  # it is not there: not yet, not any more, or nobody has that end
    return figures.chunks, figures.bytes
