"""A timestamp: RFC 3339 text as seconds since the epoch."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_RFC3339 = re.compile(
    r"(?P<date>\d{4}-\d{2}-\d{2})[Tt ](?P<minutes>\d{2}:\d{2}):(?P<seconds>\d{2}(?:\.\d+)?)"
    r"(?P<zone>[Zz]|[+-]\d{2}:\d{2})?",
    re.ASCII,
)


def seconds_of_timestamp(text: str) -> float:
    """Seconds since the epoch of an RFC 3339 timestamp; without a zone it is UTC.

    Raises:
        ValueError: it is none.
    """
    match = _RFC3339.fullmatch(text.strip())
    if match is None or float(match["seconds"]) >= 61:
        raise ValueError(f"'{text}' is no RFC 3339 timestamp such as 2026-01-31T12:00:00Z")
    moment = datetime.fromisoformat(f"{match['date']}T{match['minutes']}:00")
    zone = match["zone"] or "Z"
    offset_s = 0.0 if zone in "Zz" else _offset_s(zone)
    # Seconds are added, not parsed: a leap second (:60) is the next minute's first.
    return moment.replace(tzinfo=UTC).timestamp() - offset_s + float(match["seconds"])


def _offset_s(zone: str) -> float:
    hours, minutes = int(zone[1:3]), int(zone[4:6])
    if hours > 23 or minutes > 59:
        raise ValueError(f"'{zone}' is no time zone")
    seconds = hours * 3600.0 + minutes * 60.0
    return -seconds if zone[0] == "-" else seconds
