"""Stream facts: what the events of a stream tell people, in a few words."""

from __future__ import annotations

from typing import Any

from engine.core.events import Event, EventType

_LARGER_UNITS = ("MB", "GB", "TB")


def stream_fact(event: Event) -> str:
    """What a StreamOpened or a StreamClosed tells.

    The first where the stages run: `3 stages in 2 processes`; the second what has come out:
    `3.1 MB in 24 chunks`, and how often a stage was taken over, if it was.
    """
    opened = event.type is EventType.STREAM_OPENED
    return _opened(event.detail) if opened else _closed(event.detail)


def _opened(detail: dict[str, Any]) -> str:
    segments = detail.get("segments") or ()
    stages = {name for segment in segments for name in segment.get("stages") or ()}
    places = {(segment.get("worker"), segment.get("pid")) for segment in segments}
    return f"{_count(len(stages), 'stage')} in {_count(len(places), 'process', 'processes')}"


def _closed(detail: dict[str, Any]) -> str:
    edges = detail.get("edges") or ()
    if not edges:
        return ""
    last = edges[-1]
    fact = f"{_size(last.get('bytes') or 0)} in {_count(last.get('chunks') or 0, 'chunk')}"
    taken_over = sum(edge.get("takeovers") or 0 for edge in edges)
    return f"{fact}, {_count(taken_over, 'takeover')}" if taken_over else fact


def _size(count: int) -> str:
    if count < 1000:
        return _count(count, "byte")
    value, unit = count / 1000, "kB"
    for larger in _LARGER_UNITS:
        if value >= 999.95:  # 1000.0 when it is rounded
            value, unit = value / 1000, larger
    return f"{value:.1f} {unit}"


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
