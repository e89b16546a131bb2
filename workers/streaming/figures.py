"""Figures: what the edges of a run have carried, put together from what its seats tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.core.streaming import StreamCall, edges_of
from workers.streaming.plan import VIA_MEMORY, VIA_REDIS, Plan

Outcomes = Mapping[int, dict[str, Any]]
"""What each seat that is done leaves behind (`workers.streaming.seats.outcome_of`)."""


def closed_detail(
    call: StreamCall, plan: Plan, outcomes: Outcomes, takeovers: Mapping[int, int]
) -> dict[str, Any]:
    """The detail of StreamClosed: an entry per edge.

    Each has from, to, chunks, bytes; first_byte_s: seconds from the start of who writes it;
    blocked_s: seconds that it was held up for, by back-pressure; takeovers: how often somebody
    else went on with writing it; across: whether it leads from one process to another; via: how,
    `memory` or `redis`; a caller's end begins in Redis, and may go on in memory; None is unknown.
    """
    sourced = call.source is not None or plan.from_caller
    names = edges_of([stage.name for stage in call.stages], sourced)
    first = 0 if sourced else 1
    return {
        "edges": [
            {
                "from": before,
                "to": after,
                **_edge_at(plan, outcomes, place),
                "takeovers": sum(
                    takeovers.get(number, 0)
                    for number, seat in enumerate(plan.seats)
                    if (seat.stop if place else seat.first) == place
                ),
                "across": _across(call, plan, place),
                "via": _via(call, plan, outcomes, place),
            }
            for place, (before, after) in enumerate(names, first)
        ]
    }


def carried(call: StreamCall, plan: Plan, outcomes: Outcomes) -> list[int]:
    """The bytes of the edges between two stages."""
    places = range(1, len(call.stages))
    return [_edge_at(plan, outcomes, place)["bytes"] for place in places]


def _edge_at(plan: Plan, outcomes: Outcomes, place: int) -> dict[str, Any]:
    """The figures of the edge into the stage at a place, as the seats tell them; lanes together."""
    told = _told_of(plan, outcomes, place)
    if not told:
        return {"chunks": 0, "bytes": 0, "first_byte_s": None, "blocked_s": 0.0}
    firsts = [each["first_byte_s"] for each in told if each["first_byte_s"] is not None]
    return {
        "chunks": sum(each["chunks"] for each in told),
        "bytes": sum(each["bytes"] for each in told),
        "first_byte_s": min(firsts, default=None),
        "blocked_s": round(sum(each["blocked_s"] for each in told), 4),
    }


def _told_of(plan: Plan, outcomes: Outcomes, place: int) -> list[dict[str, Any]]:
    told = [
        outcomes[number]["edges"][place - seat.first]
        for number, seat in enumerate(plan.seats)
        if number in outcomes and _tells(seat.first, seat.stop, place)
    ]
    return [figures for figures in told if figures is not None]


def _tells(first: int, stop: int, place: int) -> bool:
    """Who writes an edge tells of it; of what comes from outside, who reads it."""
    return first < place <= stop or (place == 0 and first == 0)


def _across(call: StreamCall, plan: Plan, place: int) -> bool:
    if place == 0:
        return plan.from_caller
    if place == len(call.stages):
        return plan.to_caller
    return any(seat.first == place for seat in plan.seats)


def _via(call: StreamCall, plan: Plan, outcomes: Outcomes, place: int) -> str | None:
    """How it crosses."""
    if not _across(call, plan, place):
        return None
    if 0 < place < len(call.stages):
        return plan.via
    told = _told_of(plan, outcomes, place)
    if not told:
        return None
    # An outcome of a worker before this version says nothing of memory.
    return VIA_MEMORY if any(each.get("memory") for each in told) else VIA_REDIS
