"""What an execution did otherwise than its pair says, simulated or real."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from engine.core.events import Event
from engine.core.history import normalise
from tests.fundamentals.histories import differences
from tests.fundamentals.invariants import broken
from tests.fundamentals.pairs import Pair


class Ended(Protocol):
    """What a simulation and a real execution have in common."""

    @property
    def status(self) -> str: ...
    @property
    def output(self) -> dict[str, Any] | None: ...
    @property
    def error(self) -> str | None: ...
    @property
    def cause(self) -> str | None: ...


def unexpected(pair: Pair, end: Ended, history: Sequence[Event]) -> list[str]:
    """The differences, for people; none when everything is as the pair says."""
    expect = pair.expect
    wanted: dict[str, Any] = {"status": expect.status, "output": expect.output}
    wanted |= {} if expect.error is None else {"error": expect.error}
    wanted |= {} if expect.cause is None else {"cause": expect.cause}
    found = [
        f"{key}: {getattr(end, key)!r}, wanted {value!r} (error {end.error}: {end.cause})"
        for key, value in wanted.items()
        if getattr(end, key) != value
    ]
    return [
        *found,
        *differences(expect.events, normalise(history)),
        *broken(history, expect.invariants, sum(expect.dropped.values())),
    ]
