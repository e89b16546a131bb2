"""The virtual clock: what is due happens in its order, and waiting takes no time."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

Action = Callable[[], None]


@dataclass(order=True, slots=True)
class _Due:
    time: float
    late: bool
    draw: float
    number: int
    action: Action = field(compare=False)


class VirtualClock:
    """Runs actions at their times; those of the same time in an order that `seed` draws.

    Args:
        now: Where the clock starts, in seconds since the epoch.
        seed: Of the order of simultaneous actions; None: the order in which they were asked for.
    """

    def __init__(self, now: float, seed: int | None = None) -> None:
        self.now = now
        self._random = None if seed is None else Random(seed)
        self._due: list[_Due] = []
        self._number = 0

    def after(self, delay_s: float, action: Action, late: bool = False) -> None:
        """Has `action` run `delay_s` from now; `late`: after all others of that time."""
        self.at(self.now + delay_s, action, late)

    def at(self, time: float, action: Action, late: bool = False) -> None:
        """Has `action` run at a time; a time that is over counts as now."""
        self._number += 1
        draw = 0.0 if self._random is None else self._random.random()
        heapq.heappush(self._due, _Due(max(time, self.now), late, draw, self._number, action))

    def run(self, max_actions: int) -> bool:
        """Runs until nothing is due any more; False: `max_actions` were not enough."""
        for _ in range(max_actions):
            if not self._due:
                return True
            due = heapq.heappop(self._due)
            self.now = due.time
            due.action()
        return not self._due
