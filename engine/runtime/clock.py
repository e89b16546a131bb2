"""The store's clock: every process goes by it, whatever its machine thinks the time is."""

from __future__ import annotations

import time

from redis import Redis

ASK_EVERY_S = 60.0
"""How far two clocks drift apart within it does not matter."""

SURE_S = 0.5
"""An answer that took longer says little: nobody knows when in between it was given."""


class StoreClock:
    """Tells the time of Redis, which is asked every `ask_every_s`. Threads may share it."""

    def __init__(self, redis: Redis, ask_every_s: float = ASK_EVERY_S) -> None:
        self._redis = redis
        self._ask_every_s = ask_every_s
        self._asked_at = float("-inf")
        self._ahead_s: float | None = None

    def now_s(self) -> float:
        """Seconds since the epoch. Cost: O(1), now and then a question to Redis."""
        # Monotonic: this machine's own time may be set meanwhile.
        here = time.monotonic()
        ahead_s = self._ahead_s
        if ahead_s is None or here - self._asked_at > self._ask_every_s:
            ahead_s = self._ask()
        return time.monotonic() + ahead_s

    def behind_s(self) -> float:
        """How far the store's time is behind this machine's own, as far as is known.

        Redis is not asked, so nothing blocks; 0 before `now_s` was ever called.
        """
        if self._ahead_s is None:
            return 0.0
        return time.time() - time.monotonic() - self._ahead_s

    def _ask(self) -> float:
        before = time.monotonic()
        seconds, micros = self._redis.time()  # type: ignore[misc]  # the synchronous client
        after = time.monotonic()
        ahead_s: float = seconds + micros / 1e6 - (before + after) / 2
        sure = after - before < SURE_S
        if self._ahead_s is not None and not sure:
            return self._ahead_s
        self._ahead_s = ahead_s
        if sure:
            self._asked_at = after
        return ahead_s
