"""Fire times: when a schedule fires, by a cron expression in a time zone or by an interval.

All moments are whole seconds since the epoch.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from engine.errors import InvalidArgument

EVERY = "@every"
ZONE_PREFIXES = ("CRON_TZ=", "TZ=")
FIELDS = 6
DAY_S = 86_400
_UNITS = {"d": DAY_S, "h": 3600, "m": 60, "s": 1}
_DURATION = re.compile(r"(\d+[dhms])+")
_EPOCH = datetime(1970, 1, 1)
_SECOND = timedelta(seconds=1)


class Timetable(Protocol):
    """Says when something fires."""

    def after(self, moment: float) -> int | None:
        """The first fire time later than `moment`; None: there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Interval:
    """Fires every `every_s` seconds, counted from `anchor` in both directions."""

    every_s: int
    anchor: int

    def after(self, moment: float) -> int:
        """The first fire time later than `moment`."""
        passed = (math.floor(moment) - self.anchor) // self.every_s
        return self.anchor + (passed + 1) * self.every_s


@dataclass(frozen=True, slots=True)
class Cron:
    """Fires by a cron expression of six fields, on the clocks of a time zone.

    When clocks change, an expression with hours and minutes of its own fires once for each of its
    times: one that is left out that day as soon as the clocks have changed, one that comes twice
    the first time. One that begins its minutes or hours with `*` goes on in even steps.
    """

    expression: str
    zone: ZoneInfo

    def after(self, moment: float) -> int | None:
        """The first fire time later than `moment`; None: there is none within 50 years."""
        at = math.floor(moment)
        wall = self._wall(at)
        if self._is_fixed and (repeated := self._repeats_until(at)):
            wall = repeated - _SECOND
        while (found := self._next(wall)) is not None:
            instant = _seconds(found) - self._offset(at)
            if instant - at > DAY_S:
                # Nothing matches in between: only what the clocks do close to it matters.
                at = instant - DAY_S // 2
                wall = self._wall(at)
                continue
            change = self._change(at, instant)
            if change is None:
                return instant
            old, new = self._walls(change)
            if self._is_fixed and found < new:
                return change
            wall = (max(old, new) if self._is_fixed else new) - _SECOND
            at = change
        return None

    @property
    def _is_fixed(self) -> bool:
        _, minute, hour, *_ = self.expression.split()
        return not (minute.startswith("*") or hour.startswith("*"))

    def _next(self, wall: datetime) -> datetime | None:
        """The next time of the expression on a clock that is never changed."""
        return next(CronSim(self.expression, wall), None)

    def _offset(self, at: int) -> int:
        offset = datetime.fromtimestamp(at, self.zone).utcoffset()
        return int(offset.total_seconds()) if offset else 0

    def _wall(self, at: int) -> datetime:
        return _EPOCH + timedelta(seconds=at + self._offset(at))

    def _walls(self, change: int) -> tuple[datetime, datetime]:
        """What clocks show at the moment of their change, unchanged and changed."""
        old = _EPOCH + timedelta(seconds=change + self._offset(change - 1))
        return old, self._wall(change)

    def _change(self, at: int, until: int) -> int | None:
        """The first moment after `at`, at most `until`, at which clocks are changed."""
        before = self._offset(at)
        if self._offset(until) == before:
            return None
        while until - at > 1:
            middle = (at + until) // 2
            if self._offset(middle) == before:
                at = middle
            else:
                until = middle
        return until

    def _repeats_until(self, at: int) -> datetime | None:
        """Until when clocks show what they have shown before; None: they do not."""
        if not datetime.fromtimestamp(at, self.zone).fold:
            return None
        change = self._change(at - DAY_S, at)
        return self._walls(change)[0] if change else None


def timetable(expression: str, time_zone: str, anchor: int) -> Timetable:
    """Reads `@every 1h30m` (d, h, m, s; counted from `anchor`) or six cron fields, seconds first.

    Raises:
        InvalidArgument: it is neither, it would never fire, or there is no such time zone.
    """
    if expression.startswith(EVERY):
        return Interval(_interval_s(expression), anchor)
    zone, fields = _zone_and_fields(expression, time_zone)
    if len(fields) != FIELDS:
        hint = f"; did you mean '0 {' '.join(fields)}'?" if len(fields) == FIELDS - 1 else ""
        raise InvalidArgument(
            f"cron {expression!r} has {len(fields)} fields; write 6 (second minute hour day month "
            f"weekday) or '@every 10m'{hint}"
        )
    # Days that do not matter may be written as in Quartz.
    fields[3:] = ["*" if field == "?" else field for field in fields[3:]]
    table = Cron(" ".join(fields), _zone(zone))
    try:
        fires = table.after(anchor)
    except (CronSimError, ValueError, OverflowError) as error:
        raise InvalidArgument(f"cron {expression!r}: {error}") from None
    if fires is None:
        raise InvalidArgument(f"cron {expression!r} never fires")
    return table


def fires_between(table: Timetable, start: float, end: float) -> Iterator[int]:
    """The fire times later than `start`, up to `end`. Cost: O(those taken)."""
    at = table.after(start)
    while at is not None and at <= end:
        yield at
        at = table.after(at)


def latest_fires(table: Timetable, start: float, end: float, count: int) -> list[int]:
    """The latest fire times later than `start`, up to `end`; at most `count`, the oldest first.

    Cost: O(count · log(end - start)), however many there are.
    """
    found: list[int] = []
    while len(found) < count and (at := _last(table, math.floor(start), math.floor(end))):
        found.append(at)
        end = at - 1
    return found[::-1]


def _last(table: Timetable, start: int, end: int) -> int | None:
    """The last fire time later than `start`, up to `end`."""

    def has_later(moment: int) -> bool:
        at = table.after(moment)
        return at is not None and at <= end

    if end <= start or not has_later(start):
        return None
    low, step = start, 1
    while end - step > start:  # the nearest are looked at first
        if has_later(end - step):
            low = end - step
            break
        step *= 2
    high = end if step == 1 else end - step // 2
    while high - low > 1:
        middle = (low + high) // 2
        if has_later(middle):
            low = middle
        else:
            high = middle
    return table.after(low)


def _interval_s(expression: str) -> int:
    text = expression.removeprefix(EVERY).strip()
    if not expression.startswith(f"{EVERY} ") or not _DURATION.fullmatch(text):
        raise InvalidArgument(f"{expression!r}: write it like '@every 10m' or '@every 1h30m'")
    total = sum(int(n) * _UNITS[unit] for n, unit in re.findall(r"(\d+)([dhms])", text))
    if not 1 <= total <= 366 * DAY_S:
        raise InvalidArgument(f"{expression!r}: an interval is from 1s to 366d")
    return total


def _zone_and_fields(expression: str, time_zone: str) -> tuple[str, list[str]]:
    words = expression.split()
    for prefix in ZONE_PREFIXES:
        if words and words[0].startswith(prefix):
            return words[0].removeprefix(prefix), words[1:]
    return time_zone, words


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidArgument(
            f"there is no time zone {name!r}; write one like 'Asia/Shanghai'"
        ) from None


def _seconds(wall: datetime) -> int:
    return int((wall - _EPOCH).total_seconds())
