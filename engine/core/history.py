"""A history without what differs between two runs of the same flow."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from engine.core.events import Event, EventType

NormalEvent: TypeAlias = tuple[str, str, dict[str, Any]]
"""Type, step name, detail."""

_WHO = frozenset({"worker", "by"})
_OF_EDGE = ("from", "to", "chunks", "bytes")
_OF_CUT_EDGE = ("from", "to")
_CHANGING = re.compile(
    r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9-]{10}T[0-9:]{8}\.[0-9]{3}Z"
)


def normalise(
    history: Iterable[Event], hide: Callable[[str], bool] | None = None
) -> dict[str, list[NormalEvent]]:
    """The events of each frame in their order, without ids and times.

    Also without the name of the worker and of who stopped it; UUIDs (random names, message ids),
    times of the service's form and texts for which `hide` is true are written as `*`. Of a stream
    it is left out where it ran, and of its edges all but what they have carried; of one that was
    cut off that, too.
    """
    frames: dict[str, list[NormalEvent]] = {}
    for event in history:
        detail = _lasting(event)
        normal = (str(event.type), event.step_name, _masked(detail, hide))
        frames.setdefault(event.frame, []).append(normal)
    return dict(sorted(frames.items()))


def _lasting(event: Event) -> dict[str, Any]:
    match event.type:
        case EventType.STREAM_OPENED:
            return {}
        case EventType.STREAM_CLOSED:
            aborted = {key: event.detail[key] for key in ("aborted",) if key in event.detail}
            kept = _OF_CUT_EDGE if aborted else _OF_EDGE
            edges = event.detail.get("edges") or ()
            return {"edges": [{key: edge.get(key) for key in kept} for edge in edges], **aborted}
        case _:
            return {key: value for key, value in event.detail.items() if key not in _WHO}


def _masked(value: Any, hide: Callable[[str], bool] | None) -> Any:
    match value:
        case dict():
            return {key: _masked(item, hide) for key, item in value.items()}
        case list():
            return [_masked(item, hide) for item in value]
        case str() if _CHANGING.fullmatch(value) or (hide is not None and hide(value)):
            return "*"
        case _:
            return value
