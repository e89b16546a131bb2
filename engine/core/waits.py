"""Waits: how long a wait step sleeps, from constants or values of its input."""

from __future__ import annotations

import re
from typing import Any

from engine.core.commands import Sleep
from engine.core.happenings import RunInfo
from engine.core.outcomes import INVALID_WAIT, Failure
from engine.fdl.mappings import resolve_reference
from engine.fdl.model import WaitStep
from engine.fdl.timestamps import seconds_of_timestamp

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def wait_of(step: WaitStep, given: dict[str, Any], run: RunInfo) -> Sleep | Failure | None:
    """What a wait step asks for; None: it is over at once.

    A timestamp is held against `run.now` where that is known; otherwise whoever has a clock
    does it (a timestamp beyond the cap: TaskRaised with FnF.InvalidWait).
    """
    if step.timestamp is not None:
        return _until(_value(step.timestamp, given), run)
    return _for(_value(step.duration, given), run.max_wait_s)


def _value(written: Any, given: dict[str, Any]) -> Any:
    if isinstance(written, str) and written.startswith("$"):
        return resolve_reference(written, given)
    return written


def _for(value: Any, cap_s: float) -> Sleep | Failure | None:
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = float(value)
    # Only NaN differs from itself; math.isnan would not take an integer beyond every float.
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return Failure(INVALID_WAIT, f"a duration must be a number of seconds, not {_show(value)}")
    if value <= 0:
        return None
    if value > cap_s:
        return _over_cap("the duration", cap_s)
    return Sleep(duration_s=float(value))


def _until(value: Any, run: RunInfo) -> Sleep | Failure | None:
    try:
        until = seconds_of_timestamp(value if isinstance(value, str) else "")
    except ValueError:
        return Failure(INVALID_WAIT, f"a timestamp must be an RFC 3339 time, not {_show(value)}")
    if run.now is not None:
        if until <= run.now:
            return None
        if until - run.now > run.max_wait_s:
            return _over_cap(f"the timestamp {value}", run.max_wait_s)
    return Sleep(until=until)


def _over_cap(what: str, cap_s: float) -> Failure:
    return Failure(INVALID_WAIT, f"{what} is over the longest wait of {cap_s:.0f} s")


def _show(value: Any) -> str:
    return repr(value) if isinstance(value, str | bool | int | float) else type(value).__name__
