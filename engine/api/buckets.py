"""Buckets: how often each caller may come."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from engine.errors import ResourceThrottled

MOST_CALLERS = 10_000
"""Callers that are remembered; of more, those who have not come for longest begin anew."""

BURST_S = 2.0
"""How many seconds' worth of requests may come at once."""


class Buckets:
    """A token bucket for each caller of this process; `rate_per_s` 0: no limit."""

    def __init__(self, rate_per_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate_per_s
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str) -> None:
        """Counts a request. Raises ResourceThrottled: the caller has none left. Cost: O(1)."""
        if not self._rate:
            return
        now = self._clock()
        most = self._rate * BURST_S
        left, at = self._left.pop(caller, (most, now))
        left = min(most, left + (now - at) * self._rate)
        self._left[caller] = (max(left - 1, 0) if left >= 1 else left, now)
        if len(self._left) > MOST_CALLERS:
            self._left.popitem(last=False)
        if left < 1:
            raise ResourceThrottled("too many requests", (1 - left) / self._rate)
