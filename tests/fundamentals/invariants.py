"""Invariants: what holds of every history, and what a pair may demand of its own by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any

from engine.core.events import Event, EventType

_OPENS = {EventType.BRANCH_ENTERED, EventType.ITERATION_ENTERED}
_CLOSES = {EventType.BRANCH_EXITED, EventType.ITERATION_EXITED}
_ENDS = {
    EventType.EXECUTION_SUCCEEDED,
    EventType.EXECUTION_FAILED,
    EventType.EXECUTION_STOPPED,
    EventType.EXECUTION_TIMED_OUT,
}


def broken(history: Sequence[Event], demanded: Iterable[Any] = (), dropped: int = 0) -> list[str]:
    """The invariants that a finished execution's history breaks; `demanded` are a pair's own.

    `dropped`: so many events are missing in it, as its flow asks for.
    """
    found = _numbered_from_one(history, dropped)
    found += [text for check in _ALWAYS for text in check(history)]
    for item in demanded:
        name, limit = next(iter(item.items())) if isinstance(item, dict) else (item, None)
        value = _NAMED[name](history)
        if not _HOLDS[name.rpartition("_at_")[2] if "_at_" in name else "is"](value, limit):
            found.append(f"{name}: {value}, wanted {limit}")
    return found


def _numbered_from_one(history: Sequence[Event], dropped: int) -> list[str]:
    numbers = [event.event_id for event in history]
    rising = numbers[0] == 1 and all(one < other for one, other in pairwise(numbers))
    right = rising and numbers[-1] == len(numbers) + dropped
    return [] if right else [f"event ids {numbers}, with {dropped} dropped"]


def _causes_come_first(history: Sequence[Event]) -> list[str]:
    first, *others = history
    wrong = [event for event in others if not 0 < event.schedule_event_id < event.event_id]
    wrong += [first] if first.schedule_event_id else []
    return [f"cause {event.schedule_event_id} of event {event.event_id}" for event in wrong]


def _starts_and_ends_once(history: Sequence[Event]) -> list[str]:
    starts = [event.event_id for event in history if event.type is EventType.EXECUTION_STARTED]
    ends = [event.event_id for event in history if event.type in _ENDS]
    # An end that is not the last event is one that a redrive takes back.
    redriven = [
        one.event_id
        for one, other in pairwise(history)
        if other.type is EventType.EXECUTION_REDRIVEN
    ]
    right = starts == [1] and ends == [*redriven, history[-1].event_id]
    return [] if right else [f"starts {starts}, ends {ends} of {len(history)}"]


def _entered_is_exited_once(history: Sequence[Event]) -> list[str]:
    open_steps: dict[str, list[str]] = {}
    found = []
    for event in history:
        steps = open_steps.setdefault(event.frame, [])
        if event.type is EventType.STEP_ENTERED:
            steps.append(event.step_name)
        elif event.type is EventType.STEP_EXITED:
            if not steps or steps.pop() != event.step_name:
                found.append(f"{event.frame}: {event.step_name} exited out of order")
    left = {frame: steps for frame, steps in open_steps.items() if steps}
    return found + ([f"never exited: {left}"] if left else [])


def _frames_open_and_close_once(history: Sequence[Event]) -> list[str]:
    open_frames: set[str] = set()
    found = []
    for event in history:
        if event.type in _OPENS:
            found += [f"{event.frame} entered twice"] if event.frame in open_frames else []
            open_frames.add(event.frame)
        elif event.frame and event.frame not in open_frames:
            found.append(f"{event.type} {event.step_name} in {event.frame}, which is not open")
        elif event.type in _CLOSES:
            open_frames.remove(event.frame)
    return found + ([f"never exited: {sorted(open_frames)}"] if open_frames else [])


def _streams_close_once_they_are_open(history: Sequence[Event]) -> list[str]:
    open_streams: dict[tuple[str, str], bool] = {}
    found = []
    for event in history:
        place = event.frame, event.step_name
        if event.type is EventType.TASK_STARTED:
            open_streams[place] = False
        elif event.type is EventType.STREAM_OPENED:
            found += [f"{place} opened twice"] if open_streams.get(place) else []
            open_streams[place] = True
        elif event.type is EventType.STREAM_CLOSED and not open_streams.pop(place, False):
            found.append(f"{place} closed, but not open")
    return found


_ALWAYS: tuple[Callable[[Sequence[Event]], list[str]], ...] = (
    _causes_come_first,
    _starts_and_ends_once,
    _entered_is_exited_once,
    _frames_open_and_close_once,
    _streams_close_once_they_are_open,
)


def _entered(history: Sequence[Event]) -> list[str]:
    return [event.frame for event in history if event.type in _OPENS]


def _most_open(history: Sequence[Event]) -> int:
    count = most = 0
    for event in history:
        count += (event.type in _OPENS) - (event.type in _CLOSES)
        most = max(most, count)
    return most


def _in_order(history: Sequence[Event]) -> None | list[str]:
    frames = _entered(history)
    numbers = [int(frame.rpartition(".")[2]) for frame in frames]
    return None if numbers == sorted(numbers) else frames


def _lasted_s(history: Sequence[Event]) -> float:
    return round(history[-1].time - history[0].time, 3)


def _longest_delay_s(history: Sequence[Event]) -> float:
    return max((event.detail.get("delay_s", 0.0) for event in history), default=0.0)


def _shortest_delay_s(history: Sequence[Event]) -> float:
    delays = [event.detail["delay_s"] for event in history if "delay_s" in event.detail]
    return min(delays, default=0.0)


_NAMED: dict[str, Callable[[Sequence[Event]], Any]] = {
    "frames": lambda history: len(_entered(history)),
    "frames_open_at_most": _most_open,
    "frames_begin_in_order": _in_order,
    "events_at_least": len,
    "lasts_s": _lasted_s,
    "lasts_s_at_least": _lasted_s,
    "lasts_s_at_most": _lasted_s,
    "delays_at_most": _longest_delay_s,
    "delays_at_least": _shortest_delay_s,
}

_HOLDS: dict[str, Callable[[Any, Any], bool]] = {
    "is": lambda value, limit: bool(value == limit),
    "most": lambda value, limit: bool(value <= limit),
    "least": lambda value, limit: bool(value >= limit),
}
