"""Histories: comparing a history's events with the ones a pair expects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from engine.core.history import NormalEvent


def differences(
    expected: Mapping[str, Sequence[Any]], frames: Mapping[str, Sequence[NormalEvent]]
) -> list[str]:
    """What is not as expected, frame by frame; frames that are not expected are not looked at."""
    found: list[str] = []
    for frame, wanted in expected.items():
        events = frames.get(frame, ())
        for place, item in enumerate(wanted):
            event = events[place] if place < len(events) else None
            if event is None or not _fits(item, event):
                found.append(f"frame {frame!r}, event {place}: wanted {item}, got {event}")
                break
        else:
            found += [f"frame {frame!r}: not expected: {more}" for more in events[len(wanted) :]]
    return found


def _fits(wanted: Any, event: NormalEvent) -> bool:
    kind, step, detail = event
    if isinstance(wanted, str):
        return wanted == f"{kind} {step}".strip()
    (wanted_kind, wanted_step), *rest = wanted.items()
    if (wanted_kind, wanted_step) != (kind, step):
        return False
    return all(key in detail and _same(detail[key], value) for key, value in rest)


def _same(got: Any, wanted: Any) -> bool:
    if isinstance(wanted, float) and isinstance(got, int | float):
        return bool(got == pytest.approx(wanted))
    return bool(got == wanted)
